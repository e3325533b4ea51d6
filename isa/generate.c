// The generator: reads isa/*.isa and writes C tables.
//
//   isa_generate opcodes OUT FILE.isa...    ISA_ROW(ADDI) ... in the order of the files
//   isa_generate tables OUT FILE.isa...     rows, layouts, decoding tables (included by decode.c)
//   isa_generate machines OUT FILE...       the built-in machine descriptions (included by
//   machine.c)
#include "isa/rows.h"

#include <stdlib.h>
#include <string.h>

// The keys of the decoder's first table; the same as in layout.h, which needs opcodes.inc.
enum { KEYS = 1 << 15, COMPRESSED_KEYS = 1 << 8, MAX_CANDIDATES = 64 };

static uint32_t key_word(uint32_t key)
{
    return (key >> 8) << 25 | (key >> 5 & 7) << 12 | (key & 31) << 2 | 3;
}
static uint32_t compressed_key_word(uint32_t key)
{
    return (key >> 2) << 10 | (key & 3);
}

static void put_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++)
        fprintf(out, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    fputc('"', out);
}

static void put_class(FILE *out, const char *name)
{
    // The enumerator of a class is its name in capitals, save for the three that have longer names.
    static const char *const odd[][2] = {
        {"lut matrix", "LUT_MMA"}, {"matrix", "MMA"}, {"dequantize", "DEQUANTIZE"}};
    fputs("ISA_CLASS_", out);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (!strcmp(name, odd[i][0])) {
            fputs(odd[i][1], out);
            return;
        }
    for (; *name; name++)
        fputc(*name == ' ' ? '_' : *name & ~0x20, out);
}

static void write_opcodes(FILE *out, const rows *r)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->items[i].width == 32)
            fprintf(out, "ISA_ROW(%s)\n", r->items[i].enumerator);
}

static void write_rows(FILE *out, const rows *r)
{
    fputs("const isa_row isa_rows[ISA_OPCODE_COUNT] = {\n"
          "    [ISA_ILLEGAL] = {\"illegal\", \"\", 0, 0, \"\", ISA_CLASS_SYSTEM, \"no "
          "instruction\", \"\", \"\"},\n",
          out);
    for (unsigned i = 0; i < r->count; i++) {
        const row *w = &r->items[i];
        if (w->width != 32)
            continue;
        const char *strings[] = {w->mnemonic, w->extension, w->operands,
                                 w->meaning,  w->syntax,    w->bits};
        fprintf(out, "    [ISA_%s] = {", w->enumerator);
        for (unsigned s = 0; s < 6; s++) {
            if (s == 2)
                fprintf(out, "0x%08x, 0x%08x, ", w->match, w->mask);
            if (s == 3) {
                put_class(out, w->class);
                fputs(", ", out);
            }
            put_string(out, strings[s]);
            fputs(s == 5 ? "},\n" : ", ", out);
        }
    }
    fputs("};\n\n", out);
}

static void write_pieces(FILE *out, const rows *r)
{
    fputs("const isa_piece isa_pieces[] = {\n", out);
    for (unsigned i = 0; i < r->count; i++)
        for (unsigned p = 0; p < r->items[i].piece_count; p++) {
            const row_piece *w = &r->items[i].pieces[p];
            fprintf(out, "    {offsetof(isa_instruction, %s), %u, %u, %u, %u},\n", w->member,
                    w->low, w->width, w->shift, w->bias);
        }
    fputs("};\n\n", out);
}

static void write_layouts(FILE *out, const rows *r, unsigned width, const char *name)
{
    unsigned piece = 0;
    fprintf(out, "const isa_layout %s = {\n", name);
    if (width == 32)
        fputs("    [ISA_ILLEGAL] = {\"illegal\", \"\", 0, 0, 0, 0, 0, 0},\n", out);
    for (unsigned i = 0; i < r->count; i++) {
        const row *w = &r->items[i];
        if (w->width == width) {
            fputs("    {", out);
            put_string(out, w->syntax);
            fputs(", ", out);
            put_string(out, w->operands);
            fprintf(out, ", 0x%08x, 0x%08x, 0x%llx, %u, %u, %u},\n", w->match, w->mask,
                    (unsigned long long)w->constraints, piece, w->piece_count, w->sign);
        }
        piece += w->piece_count;
    }
    fputs("};\n\n", out);
}

// ------------------------------------------------------------------- expansions

// The next operand of a list, in a buffer of the caller's; NULL at the end.
static const char *next_operand(const char **list, char name[32])
{
    *list += strspn(*list, " ,()");
    size_t length = strcspn(*list, " ,()");
    if (!length || length >= 32)
        return NULL;
    memcpy(name, *list, length);
    name[length] = '\0';
    *list += length;
    return name;
}

static const char *member_of(const row *w, const char *operand)
{
    static const char *const immediates[] = {"upper", "target", "csr", "uimm", "imm"};
    for (unsigned i = 0; i < sizeof immediates / sizeof *immediates; i++)
        if (!strcmp(operand, immediates[i]))
            return "imm";
    const field *f = field_by_name(operand);
    if (!f)
        row_fail(w->file, w->line, "'%s' is no field of the expansion", operand);
    return f->member;
}

static void write_assignment(FILE *out, const row *w, const char *to, const char *from)
{
    bool constant = field_by_name(from) == NULL;
    fprintf(out, "{offsetof(isa_instruction, %s), ", member_of(w, to));
    if (constant)
        fprintf(out, "ISA_CONSTANT, %d}, ", atoi(from + (*from == 'x')));
    else
        fprintf(out, "offsetof(isa_instruction, %s), 0}, ", member_of(w, from));
}

static void write_expansion(FILE *out, const rows *r, const row *w)
{
    char mnemonic[32], to[32], from[32];
    const char *source = w->meaning;
    const row *target = next_operand(&source, mnemonic) ? row_by_mnemonic(r, mnemonic) : NULL;
    if (!target)
        row_fail(w->file, w->line, "'%s' is not an instruction", w->meaning);
    fprintf(out, "    {ISA_%s, ", target->enumerator);
    const char *sink = target->operands;
    unsigned count = 0;
    for (const char *s = sink, *o = source; next_operand(&s, to) && next_operand(&o, from);)
        count++;
    fprintf(out, "%u, {", count);
    while (next_operand(&sink, to)) {
        if (!next_operand(&source, from))
            row_fail(w->file, w->line, "'%s' needs the operands '%s'", mnemonic, target->operands);
        write_assignment(out, w, to, from);
    }
    fprintf(out, "%s}},\n", count ? "" : "{0, 0, 0}");
}

static void write_expansions(FILE *out, const rows *r)
{
    fputs("static const isa_expansion expansions[] = {\n", out);
    for (unsigned i = 0; i < r->count; i++)
        if (r->items[i].width == 16)
            write_expansion(out, r, &r->items[i]);
    fputs("};\n\n", out);
}

// -------------------------------------------------------------- decoding tables

// Candidates of a key, most specific first, then a 0.
typedef struct candidates {
    unsigned items[MAX_CANDIDATES + 1], count, start;
} candidates;

static void find_candidates(const rows *r, unsigned width, uint32_t word, uint32_t bits,
                            candidates *c)
{
    unsigned opcode = 0, ones[MAX_CANDIDATES + 1];
    c->count = 0;
    for (unsigned i = 0; i < r->count; i++) {
        const row *w = &r->items[i];
        if (w->width != width)
            continue;
        opcode++;
        if ((word ^ w->match) & w->mask & bits)
            continue;
        if (c->count == MAX_CANDIDATES)
            row_fail(w->file, w->line, "more than %d candidates of one key", MAX_CANDIDATES);
        unsigned specific = (unsigned)__builtin_popcount(w->mask), at = c->count++;
        for (; at && ones[at - 1] < specific; at--)
            c->items[at] = c->items[at - 1], ones[at] = ones[at - 1];
        c->items[at] = opcode, ones[at] = specific;
    }
    c->items[c->count] = 0;
}

static bool same_candidates(const candidates *a, const candidates *b)
{
    return a->count == b->count && !memcmp(a->items, b->items, a->count * sizeof *a->items);
}

// Two arrays: NAME_first[key], the index into NAME_candidates of a 0-terminated list.
static void write_keys(FILE *out, const rows *r, const char *name, unsigned width, unsigned keys,
                       uint32_t (*word)(uint32_t))
{
    static candidates lists[4096];
    unsigned count = 0, total = 0;
    uint32_t bits = word(keys - 1);
    fprintf(out, "static const uint16_t %s_first[%u] = {", name, keys);
    for (uint32_t key = 0; key < keys; key++) {
        candidates c;
        find_candidates(r, width, word(key), bits, &c);
        unsigned at = 0;
        while (at < count && !same_candidates(&lists[at], &c))
            at++;
        if (at == count) {
            if (count == sizeof lists / sizeof *lists)
                row_fail("isa", 0, "too many candidate lists");
            c.start = total;
            total += c.count + 1;
            lists[count++] = c;
        }
        fprintf(out, "%s%u,", key % 16 ? " " : "\n    ", lists[at].start);
    }
    fprintf(out, "\n};\nstatic const uint16_t %s_candidates[%u] = {\n", name, total);
    for (unsigned l = 0; l < count; l++) {
        for (unsigned i = 0; i <= lists[l].count; i++)
            fprintf(out, "%s%u,", i ? " " : "    ", lists[l].items[i]);
        fputc('\n', out);
    }
    fputs("};\n\n", out);
}

static void write_tables(FILE *out, const rows *r)
{
    write_rows(out, r);
    write_pieces(out, r);
    write_layouts(out, r, 32, "isa_layouts[ISA_OPCODE_COUNT]");
    write_layouts(out, r, 16, "isa_compressed_layouts[]");
    write_expansions(out, r);
    write_keys(out, r, "word", 32, KEYS, key_word);
    write_keys(out, r, "compressed", 16, COMPRESSED_KEYS, compressed_key_word);
}

// ------------------------------------------------------------ machine descriptions

static void write_text(FILE *out, const char *path)
{
    char line[256];
    FILE *in = fopen(path, "r");
    if (!in)
        row_fail(path, 0, "cannot be read");
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        fputs("    ", out);
        put_string(out, line);
        fputs(" \"\\n\"\n", out);
    }
    fclose(in);
}

// Names without folder and extension, and their texts.
static void write_machines(FILE *out, char **paths, int count)
{
    fputs("const char *const machine_builtin_names[] = {", out);
    for (int i = 0; i < count; i++) {
        const char *slash = strrchr(paths[i], '/'), *name = slash ? slash + 1 : paths[i];
        fprintf(out, "\"%.*s\", ", (int)strcspn(name, "."), name);
    }
    fputs("NULL};\nstatic const char *const machine_builtin_texts[] = {\n", out);
    for (int i = 0; i < count; i++) {
        write_text(out, paths[i]);
        fputs("    ,\n", out);
    }
    fputs("};\n", out);
}

static void write_instructions(FILE *out, const char *mode, char **paths, int count)
{
    static rows all;
    for (int i = 0; i < count; i++)
        rows_read(&all, paths[i]);
    rows_check_overlaps(&all);
    if (!strcmp(mode, "opcodes"))
        write_opcodes(out, &all);
    else
        write_tables(out, &all);
}

static int finish(FILE *out, const char *path)
{
    if (!ferror(out) && !fclose(out))
        return 0;
    row_fail(path, 0, "cannot be written");
}

int main(int argc, char **argv)
{
    if (argc < 4 ||
        (strcmp(argv[1], "opcodes") && strcmp(argv[1], "tables") && strcmp(argv[1], "machines"))) {
        fputs("usage: isa_generate opcodes|tables|machines OUT FILE...\n", stderr);
        return 2;
    }
    FILE *out = fopen(argv[2], "w");
    if (!out)
        row_fail(argv[2], 0, "cannot be written");
    fputs("// Generated by isa/generate.c.\n", out);
    if (!strcmp(argv[1], "machines"))
        write_machines(out, argv + 3, argc - 3);
    else
        write_instructions(out, argv[1], argv + 3, argc - 3);
    return finish(out, argv[2]);
}
