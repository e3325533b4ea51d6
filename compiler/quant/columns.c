#include "compiler/quant/columns.h"

#include <string.h>

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// -------------------------------------------------------------------- geometry

static unsigned field_bits(const quant_format *f)
{
    unsigned bits = f->kind == QUANT_TERNARY ? 2 : f->planes;
    if (bits > 4)
        return 8;
    return f->group == 16 && (bits & 1) ? bits + 1 : bits;
}

static bool is_integer(const quant_format *f)
{
    return f->kind == QUANT_BYTES && f->element == SCALAR_I8;
}

static void set_levels(const quant_format *f, column_geometry *g)
{
    enum { ZERO = 128 }; // where the field of an integer 0 stands
    if (f->kind == QUANT_UNIFORM || f->kind == QUANT_TERNARY) {
        g->step = 2;
        g->levels = f->kind == QUANT_TERNARY ? 2 : (1u << f->planes) - 1;
    } else if (is_integer(f)) {
        g->step = 1;
        g->levels = ZERO;
    }
}

bool column_is_even(const quant_format *f)
{
    column_geometry g = {0};
    set_levels(f, &g);
    return g.step != 0;
}

// What a block has of each span: `units` units, and what groups begin with them.
static int64_t span_bytes(const quant_format *f, const column_geometry *g, int64_t units)
{
    int64_t groups = f->group ? divide_up(units, g->per_group) : 0;
    return units * g->unit_bytes + groups * g->group_bytes;
}

// block_bytes is known, so that no part of it overflows.
static void set_spans(const quant_format *f, column_geometry *g)
{
    g->beside = g->bits == 1 ? COLUMN_BESIDE : 1;
    g->front_bytes = f->group ? 0 : g->group_bytes;
    g->span_units = COLUMN_SPAN / g->unit;
    int64_t last = g->units % g->span_units;
    g->last_span_bytes = span_bytes(f, g, last ? last : least(g->units, g->span_units));
    g->span_bytes = g->units > g->span_units ? span_bytes(f, g, g->span_units) : g->last_span_bytes;
}

bool column_geometry_of(const quant_format *f, int64_t n, int64_t k, column_geometry *out)
{
    if (f->kind == QUANT_DENSE || n < 0 || k < 0)
        return false;
    column_geometry g = {.bits = field_bits(f), .unit = f->group == 16 ? 16 : 32};
    set_levels(f, &g);
    g.fields = (unsigned)g.unit / COLUMN_FIELD;
    g.lines = g.fields * g.bits / 8;
    g.units = divide_up(k, g.unit);
    g.groups = quant_groups(f, k);
    g.per_group = f->group ? f->group / g.unit : g.units;
    g.value_bytes = COLUMN_BLOCK * (int64_t)scalar_size(f->scale);
    g.group_bytes = (f->terms + f->offset) * g.value_bytes;
    g.unit_bytes = g.lines * COLUMN_TILES * COLUMN_LINE;
    g.blocks = divide_up(n, COLUMN_BLOCK);
    int64_t units, values, total;
    if (__builtin_mul_overflow(g.units, g.unit_bytes, &units) ||
        __builtin_mul_overflow(g.groups, g.group_bytes, &values) ||
        __builtin_add_overflow(units, values, &g.block_bytes) ||
        __builtin_mul_overflow(g.block_bytes, g.blocks, &total))
        return false;
    set_spans(f, &g);
    *out = g;
    return true;
}

// That of a matrix's block; its stream begins with the block `number` before it.
static column_place column_place_of(const column_geometry *g, int64_t block)
{
    int64_t number = block % g->beside;
    return (column_place){least(g->blocks - (block - number), g->beside), number};
}

static int64_t span_at(const column_geometry *g, column_place p, int64_t span)
{
    bool last = (span + 1) * g->span_units >= g->units;
    return p.count * (g->front_bytes + span * g->span_bytes) +
           p.number * (last ? g->last_span_bytes : g->span_bytes);
}

// Where a block's unit stands in the stream, and a group's scales: in front of its first unit, or
// of all spans if there are no groups.
static int64_t unit_at(const column_geometry *g, column_place p, int64_t unit)
{
    int64_t before = unit % g->span_units;
    int64_t groups = g->front_bytes ? 0 : before / g->per_group + 1;
    return span_at(g, p, unit / g->span_units) + before * g->unit_bytes + groups * g->group_bytes;
}

static int64_t group_at(const column_geometry *g, column_place p, int64_t group)
{
    if (g->front_bytes)
        return p.number * g->front_bytes;
    return unit_at(g, p, group * g->per_group) - g->group_bytes;
}

column_field column_field_of(unsigned bits, unsigned f)
{
    enum { SPLIT = 6, LOWEST = 6 };
    if (bits != 3)
        return (column_field){.line = f * bits / 8, .shift = f * bits % 8};
    if (f < SPLIT)
        return (column_field){.line = f / 2, .shift = 3 * (f % 2)};
    return (column_field){.line = f - SPLIT, .shift = 6, .split = true, .low = f - SPLIT + LOWEST};
}

// ------------------------------------------------------------ fields of a unit

enum { SIGN = 0x80 };

// The stored field of a code: of a ternary one how many signs are +1, of integers what they are
// over -128.
static unsigned field_of(const quant_format *f, unsigned code)
{
    if (is_integer(f))
        return code ^ SIGN;
    return f->kind == QUANT_TERNARY ? (code & 1) + (code >> 1 & 1) : code;
}

static unsigned code_of(const quant_format *f, unsigned field)
{
    static const uint8_t ternary[4] = {0, 1, 3, 3};
    if (is_integer(f))
        return field ^ SIGN;
    return f->kind == QUANT_TERNARY ? ternary[field] : field & ((1u << f->planes) - 1);
}

enum { MOST_FIELDS = 8, LINE_BYTES = COLUMN_TILES * COLUMN_LINE };

// Byte `at` of a line, of the four that belong to the column.
static void put_field(uint8_t *at, column_field field, unsigned value)
{
    uint8_t *line = at + field.line * LINE_BYTES;
    if (!field.split) {
        *line |= (uint8_t)(value << field.shift);
        return;
    }
    *line |= (uint8_t)(value >> 1 << field.shift);
    at[2 * LINE_BYTES] |= (uint8_t)((value & 1) << field.low);
}

static unsigned get_field(const uint8_t *at, column_field field, unsigned bits)
{
    unsigned x = at[field.line * LINE_BYTES] >> field.shift;
    if (!field.split)
        return x & ((1u << bits) - 1);
    return (x & 3) << 1 | (at[2 * LINE_BYTES] >> field.low & 1);
}

static void list_fields(const column_geometry *g, column_field fields[MOST_FIELDS])
{
    for (unsigned f = 0; f < g->fields; f++)
        fields[f] = column_field_of(g->bits, f);
}

// Of a unit: the first byte of a column.
static int64_t column_offset(int64_t column)
{
    return column / 16 * COLUMN_LINE + column % 16 * COLUMN_FIELD;
}

// --------------------------------------------------------------------- packing

// Of every column the value of a group, `step` of which a group has.
static uint8_t *put_values(const quant_rows *q, const float *values, unsigned step, int64_t group,
                           uint8_t *out)
{
    size_t size = scalar_size(q->format.scale);
    int64_t groups = quant_groups(&q->format, q->k);
    memset(out, 0, COLUMN_BLOCK * size);
    for (int64_t c = 0; c < q->n; c++)
        scalar_store(q->format.scale, out + (size_t)c * size,
                     (double)values[(c * groups + group) * step]);
    return out + COLUMN_BLOCK * size;
}

static void put_group(const quant_rows *q, int64_t group, uint8_t *out)
{
    unsigned terms = q->format.terms;
    for (unsigned term = 0; term < terms; term++)
        out = put_values(q, q->scale + term, terms, group, out);
    if (q->offset)
        put_values(q, q->offset, 1, group, out);
}

static void put_unit(const quant_rows *q, const column_geometry *g, int64_t start, uint8_t *unit)
{
    int64_t count = least(q->k - start, g->unit);
    column_field fields[MOST_FIELDS];
    list_fields(g, fields);
    memset(unit, 0, (size_t)g->unit_bytes);
    for (int64_t c = 0; c < q->n; c++) {
        const uint8_t *codes = q->codes + c * q->k + start;
        for (int64_t k = 0; k < count; k++)
            put_field(unit + column_offset(c) + k % COLUMN_FIELD, fields[k / COLUMN_FIELD],
                      field_of(&q->format, codes[k]));
    }
}

static column_geometry must_have(const quant_rows *q)
{
    column_geometry g;
    if (!column_geometry_of(&q->format, q->n, q->k, &g))
        INTERNAL_ERROR("format %s has no layout for CPUs", q->format.name);
    return g;
}

void column_pack_block(const quant_rows *q, column_place p, uint8_t *stream)
{
    column_geometry g = must_have(q);
    for (int64_t group = 0; group < g.groups; group++)
        put_group(q, group, stream + group_at(&g, p, group));
    for (int64_t unit = 0; unit < g.units; unit++)
        put_unit(q, &g, unit * g.unit, stream + unit_at(&g, p, unit));
}

void column_pack_rows(const quant_rows *q, uint8_t *out)
{
    column_geometry g = must_have(q);
    for (int64_t block = 0; block < g.blocks; block++) {
        column_place p = column_place_of(&g, block);
        int64_t first = block * COLUMN_BLOCK;
        quant_rows rows = quant_rows_slice(q, first, least(q->n - first, COLUMN_BLOCK));
        column_pack_block(&rows, p, out + (block - p.number) * g.block_bytes);
    }
}

// ------------------------------------------------------------------- unpacking

static const uint8_t *get_values(quant_rows *q, float *values, unsigned step, int64_t group,
                                 const uint8_t *in)
{
    size_t size = scalar_size(q->format.scale);
    int64_t groups = quant_groups(&q->format, q->k);
    for (int64_t c = 0; c < q->n; c++)
        values[(c * groups + group) * step] =
            (float)scalar_load(q->format.scale, in + (size_t)c * size);
    return in + COLUMN_BLOCK * size;
}

static void get_group(quant_rows *q, int64_t group, const uint8_t *in)
{
    unsigned terms = q->format.terms;
    for (unsigned term = 0; term < terms; term++)
        in = get_values(q, q->scale + term, terms, group, in);
    if (q->offset)
        get_values(q, q->offset, 1, group, in);
}

static void get_unit(quant_rows *q, const column_geometry *g, int64_t start, const uint8_t *unit)
{
    int64_t count = least(q->k - start, g->unit);
    column_field fields[MOST_FIELDS];
    list_fields(g, fields);
    for (int64_t c = 0; c < q->n; c++) {
        uint8_t *codes = q->codes + c * q->k + start;
        for (int64_t k = 0; k < count; k++)
            codes[k] =
                (uint8_t)code_of(&q->format, get_field(unit + column_offset(c) + k % COLUMN_FIELD,
                                                       fields[k / COLUMN_FIELD], g->bits));
    }
}

void column_unpack_block(const uint8_t *stream, column_place p, quant_rows *out)
{
    column_geometry g = must_have(out);
    for (int64_t group = 0; group < g.groups; group++)
        get_group(out, group, stream + group_at(&g, p, group));
    for (int64_t unit = 0; unit < g.units; unit++)
        get_unit(out, &g, unit * g.unit, stream + unit_at(&g, p, unit));
}

void column_unpack_rows(const uint8_t *in, quant_rows *out)
{
    column_geometry g = must_have(out);
    for (int64_t block = 0; block < g.blocks; block++) {
        column_place p = column_place_of(&g, block);
        int64_t first = block * COLUMN_BLOCK;
        quant_rows rows = quant_rows_slice(out, first, least(out->n - first, COLUMN_BLOCK));
        column_unpack_block(in + (block - p.number) * g.block_bytes, p, &rows);
    }
}
