// Format names: a base, then groups and flags. One row per base.
#include "compiler/quant/quant.h"

#include <stdlib.h>
#include <string.h>

typedef struct base_row {
    const char *name;
    quant_kind kind;
    unsigned planes;
    scalar_type element; // dense formats
    const char *doc;
} base_row;

static const base_row bases[] = {
    {"f32", QUANT_DENSE, 0, SCALAR_F32, "dense, 32-bit floats"},
    {"f16", QUANT_DENSE, 0, SCALAR_F16, "dense, 16-bit floats"},
    {"bf16", QUANT_DENSE, 0, SCALAR_BF16, "dense, bfloat16"},
    {"w1", QUANT_UNIFORM, 1, SCALAR_F32, "binary: -s, +s"},
    {"w2", QUANT_UNIFORM, 2, SCALAR_F32, "4 levels, evenly spaced"},
    {"w3", QUANT_UNIFORM, 3, SCALAR_F32, "8 levels, evenly spaced"},
    {"w4", QUANT_UNIFORM, 4, SCALAR_F32, "16 levels, evenly spaced"},
    {"ternary", QUANT_TERNARY, 2, SCALAR_F32, "-s, 0, +s as two planes of equal weight"},
};
enum { N_BASES = sizeof bases / sizeof bases[0] };

static const int groups[] = {16, 32, 64, 128, 256};
enum { N_GROUPS = sizeof groups / sizeof groups[0] };

static const base_row *match_base(const char *name, const char **rest)
{
    for (size_t i = 0; i < N_BASES; i++)
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
    quant_format f = {.kind = base->kind, .planes = base->planes, .scale = base->element};
    if (base->kind != QUANT_DENSE) {
        int group = match_group(&at);
        if (group < 0)
            return false;
        f.group = group;
        f.offset = base->kind == QUANT_UNIFORM && match_flag(&at, 'z');
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

void quant_format_list(text *out)
{
    text_append(out, "BASE[gGROUP][z][f]\n");
    for (size_t i = 0; i < N_BASES; i++)
        text_printf(out, "  %-8s %s\n", bases[i].name, bases[i].doc);
    text_append(out, "with, for formats that are not dense:\n  ");
    for (size_t i = 0; i < N_GROUPS; i++)
        text_printf(out, "g%d ", groups[i]);
    text_append(out, "  weights per scale (absent: one scale per row)\n"
                     "  z        with zero points (w1..w4)\n"
                     "  f        scales of groups in f32 instead of f16\n"
                     "examples: w2g64, w4g32z, ternary, w3, w4g128f, f16\n");
}
