// Format names: a base, then groups and flags. One row per base.
#include "compiler/quant/levels.h"
#include "compiler/quant/quant.h"

#include <stdlib.h>
#include <string.h>

typedef struct base_row {
    const char *name;
    quant_kind kind;
    unsigned planes, terms;
    scalar_type element; // dense formats, bytes
    bool offsets;        // z is possible
    const char *doc;
} base_row;

// clang-format off
static const base_row bases[] = {
    {"f32", QUANT_DENSE, 0, 0, SCALAR_F32, false, "dense, 32-bit floats"},
    {"f16", QUANT_DENSE, 0, 0, SCALAR_F16, false, "dense, 16-bit floats"},
    {"bf16", QUANT_DENSE, 0, 0, SCALAR_BF16, false, "dense, bfloat16"},
    {"i8", QUANT_BYTES, 8, 1, SCALAR_I8, false, "integers of 8 bits"},
    {"e4m3", QUANT_BYTES, 8, 1, SCALAR_E4M3, false, "floats of 8 bits, E4M3"},
    {"e5m2", QUANT_BYTES, 8, 1, SCALAR_E5M2, false, "floats of 8 bits, E5M2"},
    {"w1", QUANT_UNIFORM, 1, 1, SCALAR_F32, true, "binary: -s, +s"},
    {"w2", QUANT_UNIFORM, 2, 1, SCALAR_F32, true, "4 levels, evenly spaced"},
    {"w3", QUANT_UNIFORM, 3, 1, SCALAR_F32, true, "8 levels, evenly spaced"},
    {"w4", QUANT_UNIFORM, 4, 1, SCALAR_F32, true, "16 levels, evenly spaced"},
    {"w5", QUANT_UNIFORM, 5, 1, SCALAR_F32, true, "32 levels, evenly spaced"},
    {"w6", QUANT_UNIFORM, 6, 1, SCALAR_F32, true, "64 levels, evenly spaced"},
    {"w7", QUANT_UNIFORM, 7, 1, SCALAR_F32, true, "128 levels, evenly spaced"},
    {"w8", QUANT_UNIFORM, 8, 1, SCALAR_F32, true, "256 levels, evenly spaced"},
    {"ternary", QUANT_TERNARY, 2, 1, SCALAR_F32, false, "-s, 0, +s as two planes of equal weight"},
    {"bcq1", QUANT_CODED, 1, 1, SCALAR_F32, true, "binary coding: +-a"},
    {"bcq2", QUANT_CODED, 2, 2, SCALAR_F32, true, "binary coding: +-a +-b, a scale for each plane"},
    {"bcq3", QUANT_CODED, 3, 3, SCALAR_F32, true, "binary coding with 3 planes"},
    {"bcq4", QUANT_CODED, 4, 4, SCALAR_F32, true, "binary coding with 4 planes"},
    {"nf4", QUANT_CODEBOOK, 4, 1, SCALAR_F32, false, "codebook: 16 quantiles of a normal distribution (QLoRA)"},
    {"fp4", QUANT_CODEBOOK, 4, 1, SCALAR_F32, false, "codebook: floats of 4 bits, E2M1"},
    {"iq4nl", QUANT_CODEBOOK, 4, 1, SCALAR_F32, false, "codebook: the 16 numbers of llama.cpp's IQ4_NL"},
    {"cb4", QUANT_CODEBOOK, 4, 1, SCALAR_F32, false, "codebook of 16 numbers learned from the matrix"},
    {"cb2", QUANT_CODEBOOK, 2, 1, SCALAR_F32, false, "codebook of 4 numbers learned from the matrix"},
    {"bitmod3", QUANT_CODEBOOK, 4, 1, SCALAR_F32, false, "BitMoD: floats of 3 bits and one of 3 -3 6 -6 in each group"},
    {"bitmod4", QUANT_SPECIAL, 5, 2, SCALAR_F32, false, "BitMoD: fp4 and one of 5 -5 8 -8 in each group, as a plane"},
};
// clang-format on
enum { N_BASES = sizeof bases / sizeof bases[0] };

static const int groups[] = {16, 32, 64, 128, 256};
enum { N_GROUPS = sizeof groups / sizeof groups[0] };

static const base_row *match_base(const char *name, const char **rest)
{
    for (size_t i = 0; i < N_BASES; i++) // no base is the beginning of another one
        if (text_starts_with(name, bases[i].name)) {
            *rest = name + strlen(bases[i].name);
            return &bases[i];
        }
    return NULL;
}

// "g64" with one of the known sizes, without leading zeros; 0: absent; -1: wrong.
static int match_group(const char **at)
{
    if (**at != 'g')
        return 0;
    char *end;
    const char *digits = *at + 1;
    if (*digits < '1' || *digits > '9')
        return -1;
    long value = strtol(digits, &end, 10);
    *at = end;
    for (size_t i = 0; i < N_GROUPS; i++)
        if (groups[i] == value)
            return groups[i];
    return -1;
}

static bool match_flag(const char **at, char flag)
{
    bool found = **at == flag;
    *at += found;
    return found;
}

bool quant_format_parse(const char *name, quant_format *out)
{
    const char *at;
    const base_row *base = match_base(name, &at);
    if (!base || strlen(name) >= sizeof out->name)
        return false;
    quant_format f = {.kind = base->kind,
                      .planes = base->planes,
                      .terms = base->terms,
                      .scale = base->kind == QUANT_BYTES ? SCALAR_F32 : base->element,
                      .element = base->element,
                      .codebook = quant_codebook_find(base->name)};
    if (quant_looks_up(&f)) {
        int group = match_group(&at);
        if (group < 0)
            return false;
        f.group = group;
        f.offset = base->kind == QUANT_SPECIAL || (base->offsets && match_flag(&at, 'z'));
        bool wide = group && match_flag(&at, 'f');
        f.scale = group && !wide ? SCALAR_F16 : SCALAR_F32;
    }
    if (*at)
        return false;
    memcpy(f.name, name, strlen(name));
    *out = f;
    return true;
}

bool quant_format_is_open(const char *name)
{
    return strcmp(name, "w") == 0 || strcmp(name, "dense") == 0;
}

const char *quant_base_name(size_t index)
{
    return index < N_BASES ? bases[index].name : NULL;
}

const char *quant_base_doc(size_t index)
{
    return index < N_BASES ? bases[index].doc : NULL;
}

quant_term quant_term_of(const quant_format *f, unsigned term)
{
    switch (f->kind) {
    case QUANT_TERNARY: return (quant_term){QUANT_EQUAL, 0, 2};
    case QUANT_CODED: return (quant_term){QUANT_WEIGHTED, term, 1};
    case QUANT_CODEBOOK: return (quant_term){QUANT_BOOKED, 0, f->planes};
    case QUANT_SPECIAL:
        return term ? (quant_term){QUANT_WEIGHTED, f->planes - 1, 1}
                    : (quant_term){QUANT_BOOKED, 0, f->planes - 1};
    default: return (quant_term){QUANT_WEIGHTED, 0, f->planes};
    }
}

unsigned quant_accumulators(const quant_format *f)
{
    unsigned count = 0;
    for (unsigned i = 0; i < f->terms; i++) {
        quant_term t = quant_term_of(f, i);
        count += t.form == QUANT_BOOKED ? 1 : (t.planes + 3) / 4;
    }
    return count;
}

void quant_format_list(text *out)
{
    text_append(out, "BASE[gGROUP][z][f]\n");
    for (size_t i = 0; i < N_BASES; i++)
        if (bases[i].kind == QUANT_DENSE)
            text_printf(out, "  %-8s %s\n", bases[i].name, bases[i].doc);
    text_append(out, "with a scale for each row, for matrix units; activations become the same:\n");
    for (size_t i = 0; i < N_BASES; i++)
        if (bases[i].kind == QUANT_BYTES)
            text_printf(out, "  %-8s %s\n", bases[i].name, bases[i].doc);
    text_append(out, "in planes:\n");
    quant_support_list(out);
    text_append(out, "with, for formats in planes:\n  ");
    for (size_t i = 0; i < N_GROUPS; i++)
        text_printf(out, "g%d ", groups[i]);
    text_append(
        out,
        "  weights per scale (absent: one scale per row)\n"
        "  z        with offsets: zero points (w1..w8, bcq1..bcq4)\n"
        "  f        scales of groups in f32 instead of f16\n"
        "examples: w2g64, w4g32z, ternary, w3, bcq2g128, nf4g64, w4g128f, f16\n"
        "several in one matrix, by blocks of rows, if they differ in nothing but their base:\n"
        "  w2g64_4x64_w4g64  all in w2g64 but 4 blocks of 64 rows, which gain most, in w4g64;\n"
        "                    --quant also takes w2g64_10%_w4g64\n");
}
