// Counts, as text and as JSON. What each number means: docs/stats.md.
#include "runtime/host/internal.h"

#include "support/json_name.h"
#include "support/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_VERSION = 1, TOP_OPCODES = 16 };

// Bytes that one scalar access moves; negative: stored.
static const struct {
    uint16_t opcode;
    int8_t bytes;
} scalar_accesses[] = {
    {ISA_LB, 1},  {ISA_LBU, 1}, {ISA_LH, 2},   {ISA_LHU, 2},  {ISA_LW, 4},   {ISA_LWU, 4},
    {ISA_LD, 8},  {ISA_FLH, 2}, {ISA_FLW, 4},  {ISA_FLD, 8},  {ISA_SB, -1},  {ISA_SH, -2},
    {ISA_SW, -4}, {ISA_SD, -8}, {ISA_FSH, -2}, {ISA_FSW, -4}, {ISA_FSD, -8},
};

static void count_scalar_bytes(host_statistics *s)
{
    for (size_t i = 0; i < sizeof scalar_accesses / sizeof *scalar_accesses; i++) {
        int bytes = scalar_accesses[i].bytes;
        uint64_t times = s->by_opcode[scalar_accesses[i].opcode];
        if (bytes > 0)
            s->scalar_bytes_loaded += times * (uint64_t)bytes;
        else
            s->scalar_bytes_stored += times * (uint64_t)-bytes;
    }
}

static void add_lut(lut_counters *sum, const lut_counters *c)
{
    sum->lookups += c->lookups;
    sum->multiply_accumulates += c->multiply_accumulates;
    sum->mma_multiply_accumulates += c->mma_multiply_accumulates;
    sum->bytes_read += c->bytes_read;
    sum->bytes_written += c->bytes_written;
}

static void add_hart(host_statistics *s, const hart *h)
{
    uint64_t opcodes[ISA_OPCODE_COUNT];
    hart_opcode_counts(h, opcodes);
    for (unsigned i = 0; i < ISA_OPCODE_COUNT; i++)
        s->by_opcode[i] += opcodes[i];
    if (h->lut)
        add_lut(&s->lut, &h->lut->counters);
    s->instructions += h->retired;
    s->vector_bytes_loaded += h->vector_bytes[0];
    s->vector_bytes_stored += h->vector_bytes[1];
}

void host_statistics_get(const host_program *p, host_statistics *out)
{
    *out = (host_statistics){.harts = p->hart_count,
                             .runs = p->runs,
                             .seconds = p->seconds + p->under_way,
                             .under_way = p->under_way,
                             .fastest = p->fastest};
    memcpy(out->by_opcode, p->checkpoint.opcodes, sizeof out->by_opcode);
    for (unsigned i = 0; i < ISA_OPCODE_COUNT; i++)
        out->resumed += p->checkpoint.opcodes[i];
    for (unsigned i = 0; i < p->hart_count; i++)
        add_hart(out, p->harts[i]);
    for (unsigned i = 0; i < ISA_OPCODE_COUNT; i++)
        out->by_class[isa_rows[i].class] += out->by_opcode[i];
    count_scalar_bytes(out);
}

// Opcodes by falling count; equal counts in the order of the enumeration.
typedef struct ranked {
    uint64_t count;
    unsigned opcode;
} ranked;

static int rank_order(const void *left, const void *right)
{
    const ranked *a = left, *b = right;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return (a->opcode > b->opcode) - (a->opcode < b->opcode);
}

static size_t rank_opcodes(const host_statistics *s, ranked out[ISA_OPCODE_COUNT])
{
    size_t count = 0;
    for (unsigned i = 0; i < ISA_OPCODE_COUNT; i++)
        if (s->by_opcode[i])
            out[count++] = (ranked){s->by_opcode[i], i};
    qsort(out, count, sizeof *out, rank_order);
    return count;
}

static double mips(const host_statistics *s)
{
    return s->seconds > 0 ? 1e-6 * (double)(s->instructions - s->resumed) / s->seconds : 0;
}

void host_print_mnemonic(unsigned opcode, text *out)
{
    const char *name = isa_rows[opcode].mnemonic;
    size_t plain = strcspn(name, "{");
    while (plain > 0 && name[plain - 1] == '.')
        plain--;
    text_append_n(out, name, plain);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_opcodes(const host_statistics *s, FILE *stream)
{
    static ranked order[ISA_OPCODE_COUNT];
    size_t count = rank_opcodes(s, order);
    fprintf(stream, "most frequent instructions\n");
    for (size_t i = 0; i < count && i < TOP_OPCODES; i++) {
        text name = {0};
        host_print_mnemonic(order[i].opcode, &name);
        fprintf(stream, "  %-16s %16" PRIu64 "  %5.1f %%\n", text_string(&name), order[i].count,
                percent(order[i].count, s->instructions));
        text_free(&name);
    }
}

static void print_count(const char *name, uint64_t value, const char *unit, FILE *stream)
{
    fprintf(stream, "  %-34s %16" PRIu64 "%s%s\n", name, value, *unit ? " " : "", unit);
}

static void print_speed(const host_statistics *s, FILE *stream)
{
    fprintf(stream, "host\n  %-34s %16.6f s in %" PRIu64 " runs", "time", s->seconds, s->runs);
    if (s->fastest > 0)
        fprintf(stream, ", fastest %.6f s", s->fastest);
    if (s->under_way > 0)
        fprintf(stream, ", and %.6f s of one that goes on", s->under_way);
    fprintf(stream, "\n  %-34s %16.1f million instructions per second\n", "speed", mips(s));
}

void host_statistics_print(const host_program *p, const host_statistics *s, FILE *stream)
{
    fprintf(stream, "%s on %s", p->path, p->machine.name);
    if (s->harts > 1)
        fprintf(stream, ", %u harts", s->harts);
    fputc('\n', stream);
    print_count("instructions", s->instructions, "", stream);
    for (unsigned i = 0; i < ISA_CLASS_COUNT; i++)
        if (s->by_class[i])
            fprintf(stream, "    %-32s %16" PRIu64 "  %5.1f %%\n", isa_class_names[i],
                    s->by_class[i], percent(s->by_class[i], s->instructions));
    print_opcodes(s, stream);
    fprintf(stream, "work\n");
    print_count("lmma", s->by_opcode[ISA_LMMA], "", stream);
    print_count("lut.tbl", s->by_opcode[ISA_LUT_TBL], "", stream);
    print_count("lookups", s->lut.lookups, "", stream);
    print_count("LUT multiply-accumulates", s->lut.multiply_accumulates, "", stream);
    print_count("mma multiply-accumulates", s->lut.mma_multiply_accumulates, "", stream);
    print_count("LUT unit bytes read", s->lut.bytes_read, "", stream);
    print_count("LUT unit bytes written", s->lut.bytes_written, "", stream);
    print_count("scalar bytes loaded", s->scalar_bytes_loaded, "", stream);
    print_count("scalar bytes stored", s->scalar_bytes_stored, "", stream);
    print_count("vector bytes loaded", s->vector_bytes_loaded, "", stream);
    print_count("vector bytes stored", s->vector_bytes_stored, "", stream);
    print_speed(s, stream);
}

// ------------------------------------------------------------------------- JSON

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *classes_json(const host_statistics *s)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < ISA_CLASS_COUNT; i++)
        json_object_set_new(o, isa_class_names[i], integer(s->by_class[i]));
    return o;
}

static json_t *opcodes_json(const host_statistics *s)
{
    static ranked order[ISA_OPCODE_COUNT];
    json_t *o = json_object();
    size_t count = rank_opcodes(s, order);
    for (size_t i = 0; i < count; i++) {
        text name = {0};
        host_print_mnemonic(order[i].opcode, &name);
        json_object_set_new(o, text_string(&name), integer(order[i].count));
        text_free(&name);
    }
    return o;
}

static json_t *work_json(const host_statistics *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"lmma", s->by_opcode[ISA_LMMA]},
        {"lut_tbl", s->by_opcode[ISA_LUT_TBL]},
        {"lookups", s->lut.lookups},
        {"lut_multiply_accumulates", s->lut.multiply_accumulates},
        {"mma_multiply_accumulates", s->lut.mma_multiply_accumulates},
        {"lut_bytes_read", s->lut.bytes_read},
        {"lut_bytes_written", s->lut.bytes_written},
        {"scalar_bytes_loaded", s->scalar_bytes_loaded},
        {"scalar_bytes_stored", s->scalar_bytes_stored},
        {"vector_bytes_loaded", s->vector_bytes_loaded},
        {"vector_bytes_stored", s->vector_bytes_stored},
    };
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        json_object_set_new(o, rows[i].name, integer(rows[i].value));
    return o;
}

static json_t *host_json(const host_statistics *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "runs", integer(s->runs));
    json_object_set_new(o, "seconds", json_real(s->seconds));
    json_object_set_new(o, "fastest_seconds", json_real(s->fastest));
    json_object_set_new(o, "million_instructions_per_second", json_real(mips(s)));
    return o;
}

void host_statistics_print_json(const host_program *p, const host_statistics *s, bool in_one_line,
                                FILE *stream)
{
    json_t *root = json_object();
    json_object_set_new(root, "schema", json_string("lutrun-statistics"));
    json_object_set_new(root, "version", json_integer(SCHEMA_VERSION));
    json_object_set_new(root, "program", json_name(p->path));
    json_object_set_new(root, "machine", json_name(p->machine.name));
    json_object_set_new(root, "harts", integer(s->harts));
    json_object_set_new(root, "instructions", integer(s->instructions));
    json_object_set_new(root, "classes", classes_json(s));
    json_object_set_new(root, "opcodes", opcodes_json(s));
    json_object_set_new(root, "work", work_json(s));
    json_object_set_new(root, "host", host_json(s));
    if (s->text)
        json_object_set_new(root, "text", text_report_json(s->text));
    json_dumpf(root, stream, in_one_line ? 0 : JSON_INDENT(2));
    fputc('\n', stream);
    json_decref(root);
}
