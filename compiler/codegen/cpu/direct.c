// Products of one row: all fields of a line while it is in a register.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

typedef struct direct_sums {
    place_sums at;
    byte_sum sums[PRODUCT_MOST_CLASSES][PRODUCT_MOST_VECTORS];
} direct_sums;

static unsigned class_of(const product *p, const direct_sums *s, unsigned field)
{
    unsigned place = p->form == ACTIVATION_LOOKUPS ? 0 : field_place(p, field, direct_place(p)),
             i = 0;
    while (s->at.places[i] != place)
        i++;
    return i;
}

// Tables are a third of what streams through the nearest cache, so they have left it. A unit's two
// lines come together.
static void prefetch_tables(const product *p, LLVMValueRef row, LLVMValueRef unit)
{
    enum { AHEAD = 4 }; // units
    int64_t bytes = operand_bytes(p) * p->fields;
    LLVMValueRef at = byte_at(p->e, row, index_mul(p->e, unit, bytes));
    prefetch(p->e, byte_at_constant(p->e, at, bytes * AHEAD), PREFETCH_FIRST);
}

static void direct_unit(product *p, direct_sums *s, LLVMValueRef unit_at, LLVMValueRef unit,
                        LLVMValueRef part)
{
    LLVMValueRef lines[PRODUCT_MOST_VECTORS][COLUMN_MOST_LINES] = {{NULL}}, row = p->entries;
    if (p->form == ACTIVATION_LOOKUPS && !stands_beside(&p->g))
        prefetch_tables(p, row, unit);
    for (unsigned f = 0; f < p->fields; f++) {
        LLVMValueRef operand = step_operand(p, row, unit, f);
        for (unsigned l = 0; l < p->g.lines; l++)
            for (unsigned v = 0; v < p->vectors && field_reads(p, f, l); v++)
                if (!lines[v][l])
                    lines[v][l] = load_line(p, unit_at, l, part, v);
        for (unsigned v = 0; v < p->vectors; v += SUM_PAIR) {
            LLVMValueRef weights[SUM_PAIR];
            for (unsigned i = 0; i < SUM_PAIR; i++)
                weights[i] = field_vector(p, lines[v + i], f, direct_place(p));
            sum_steps(p, &s->sums[class_of(p, s, f)][v], weights, operand);
        }
    }
}

// Some whole groups ahead, so that units and scales are met alike.
static int64_t prefetch_distance(const product *p)
{
    enum { WANTED = 2048 };
    if (p->weight_group >= p->depth)
        return WANTED;
    int64_t group = p->g.per_group * p->g.unit_bytes + p->g.group_bytes;
    return (WANTED + group - 1) / group * group;
}

// `size` bytes of each part, which lie side by side.
static void prefetch_part(const product *p, LLVMValueRef at, LLVMValueRef part, int64_t size)
{
    emitter *e = p->e;
    at = byte_at_constant(e, at, prefetch_distance(p));
    if (part)
        at = byte_at(e, at, index_mul(e, part, size));
    for (int64_t i = 0; i < size; i += COLUMN_LINE)
        prefetch(e, byte_at_constant(e, at, i), PREFETCH_FIRST);
}

// Line after line and vector after vector: all fields of one while it is in a register.
static void direct_lines(product *p, direct_sums *s, LLVMValueRef unit_at, LLVMValueRef unit,
                         LLVMValueRef part)
{
    LLVMValueRef operands[8], lines[COLUMN_MOST_LINES] = {NULL};
    const unsigned each = p->fields / p->g.lines;
    for (unsigned l = 0; l < p->g.lines; l++) {
        for (unsigned i = 0; i < each; i++)
            operands[i] = step_operand(p, p->entries, unit, l * each + i);
        prefetch_part(p, byte_at_constant(p->e, unit_at, l * COLUMN_TILES * COLUMN_LINE), part,
                      p->vectors * p->bytes);
        for (unsigned v = 0; v < p->vectors; v++) {
            lines[l] = load_line(p, unit_at, l, part, v);
            for (unsigned i = 0; i < each; i++) {
                unsigned f = l * each + i;
                sum_step(p, &s->sums[class_of(p, s, f)][v],
                         field_vector(p, lines, f, direct_place(p)), operands[i]);
            }
        }
    }
}

static void flush_sums(const product *p, direct_sums *s)
{
    for (unsigned c = 0; c < s->at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            sum_flush(p, &s->sums[c][v]);
}

static unsigned gather_sums(const product *p, direct_sums *s, LLVMValueRef *out)
{
    unsigned n = 0;
    for (unsigned c = 0; c < s->at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            out[n++] = s->sums[c][v].sum;
    return n;
}

static void set_sums(const product *p, direct_sums *s, LLVMValueRef *from)
{
    for (unsigned c = 0; c < s->at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            s->sums[c][v] = (byte_sum){.sum = *from++};
}

static LLVMValueRef unit_of(const product *p, const product_group *g, LLVMValueRef unit)
{
    return byte_at(p->e, g->units_at, index_mul(p->e, unit, p->g.unit_bytes));
}

// Sums of a group in 32 bits.
static void direct_wide(product *p, const product_group *g, LLVMValueRef part, LLVMValueRef *out)
{
    emitter *e = p->e;
    direct_sums s = {.at = place_sums_of(p)};
    LLVMValueRef sums[PRODUCT_MOST_CLASSES * PRODUCT_MOST_VECTORS];
    unsigned n = s.at.count * p->vectors;
    begin_sums(p, &s.at, g, sums);
    counted_loop units = counted_begin(e, constant64(p, 0), g->units, 1, n, sums);
    set_sums(p, &s, units.phis);
    direct_unit(p, &s, unit_of(p, g, units.i), index_add(e, g->first_unit, units.i), part);
    flush_sums(p, &s);
    gather_sums(p, &s, sums);
    counted_end(e, &units, sums);
    for (unsigned v = 0; v < p->vectors; v++)
        out[v] = joined(p, &s.at, units.phis + v);
}

typedef struct group_part {
    const product_group *group;
    LLVMValueRef part;
} group_part;

static void direct_lookups(product *p, const void *context, LLVMValueRef unit, LLVMValueRef *sums)
{
    const group_part *d = context;
    LLVMValueRef index[PRODUCT_LANE_STEPS], number = index_add(p->e, d->group->first_unit, unit);
    LLVMValueRef tables =
        byte_at(p->e, p->entries, index_mul(p->e, number, operand_bytes(p) * PRODUCT_LANE_STEPS));
    if (!stands_beside(&p->g))
        prefetch_tables(p, p->entries, number);
    lookup_indices(p, unit_of(p, d->group, unit), d->part, index);
    for (unsigned i = 0; i < PRODUCT_LANE_STEPS; i++)
        lookup_step(p, sums, index[i], tables, i);
}

static void direct_products(product *p, const void *context, LLVMValueRef unit, LLVMValueRef *sums)
{
    const group_part *d = context;
    direct_sums s = {.at = place_sums_of(p)};
    LLVMValueRef each[PRODUCT_MOST_CLASSES * PRODUCT_MOST_VECTORS];
    for (unsigned v = 0; v < p->vectors; v++)
        s.sums[0][v].partial = sums[v];
    for (unsigned i = 0; i < p->step_units; i++) {
        LLVMValueRef number = index_add(p->e, unit, constant64(p, i));
        (direct_place(p) == FIELD_IN_HALF ? direct_lines : direct_unit)(
            p, &s, unit_of(p, d->group, number), index_add(p->e, d->group->first_unit, number),
            d->part);
    }
    for (unsigned c = 0; c < s.at.count; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            each[c * p->vectors + v] = s.sums[c][v].partial;
    for (unsigned v = 0; v < p->vectors; v++)
        sums[v] = joined(p, &s.at, each + v);
}

// Sums of a group in 16 bits, widened.
static void direct_narrow(product *p, const product_group *g, LLVMValueRef part, LLVMValueRef *out)
{
    group_part d = {g, part};
    narrow_loop n = {.rows = 1, .step = p->step_units, .context = &d};
    n.add = looks_up_lanes(p) ? direct_lookups : direct_products;
    for (unsigned v = 0; v < p->vectors; v++)
        out[v] = LLVMConstNull(LLVMVectorType(int_type(p->e, 32), p->lanes));
    sum_narrow(p, &n, g->units, p->group_units, out);
}

static void direct_sum(product *p, const product_group *g, LLVMValueRef part, LLVMValueRef *sums)
{
    (p->run_units ? direct_narrow : direct_wide)(p, g, part, sums);
}

static void scale_group(product *p, const product_group *g, LLVMValueRef part, LLVMValueRef *sums,
                        LLVMValueRef *results)
{
    row_factors f = factors_of(p, g, constant64(p, 0));
    for (unsigned v = 0; v < p->vectors; v++)
        sums[v] = signed_sum(p, sums[v], f.sum);
    sums_to_numbers(p, sums, p->vectors);
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef scale = p->late_weight ? NULL : column_values(p, g, false, part, v);
        LLVMValueRef offset = p->format.offset ? column_values(p, g, true, part, v) : NULL;
        results[v] = add_group(p, sums[v], f, scale, offset, results[v]);
    }
}

static void direct_group(product *p, LLVMValueRef number, LLVMValueRef part, LLVMValueRef *results)
{
    LLVMValueRef sums[PRODUCT_MOST_VECTORS];
    product_group g = group_at(p, number);
    if (direct_place(p) == FIELD_IN_HALF)
        prefetch_part(p, g.header, part, p->g.group_bytes / p->parts);
    direct_sum(p, &g, part, sums);
    scale_group(p, &g, part, sums, results);
}

// The groups under one scale of activations: their products join `y`, or, where that is NULL, what
// is in memory then.
static void direct_span(product *p, const chunk *c, LLVMValueRef part, LLVMValueRef *y)
{
    emitter *e = p->e;
    LLVMValueRef results[PRODUCT_MOST_VECTORS], zero = constant64(p, 0);
    for (unsigned v = 0; v < p->vectors; v++)
        results[v] = spans_are_scaled(p) ? NULL : y[v];
    if (p->span_units == p->group_units) {
        direct_group(p, c->first_group, part, results);
    } else {
        start_results(p, results, p->vectors);
        counted_loop l = counted_begin(e, zero, c->groups, 1, p->vectors, results);
        memcpy(results, l.phis, p->vectors * sizeof *results);
        direct_group(p, index_add(e, c->first_group, l.i), part, results);
        counted_end(e, &l, results);
    }
    for (unsigned v = 0; v < p->vectors; v++)
        y[v] = y[v] && spans_are_scaled(p) ? scaled_span(p, c, zero, results[v], y[v])
                                           : span_result(p, c, zero, part, v, results[v]);
}

static void direct_spans(product *p, const chunk *c, LLVMValueRef part, LLVMValueRef *y)
{
    emitter *e = p->e;
    LLVMValueRef to = index_add(e, c->first, c->units);
    counted_loop spans = counted_begin(e, c->first, to, p->span_units, p->vectors, y);
    memcpy(y, spans.phis, p->vectors * sizeof *y);
    chunk span = span_at(p, spans.i);
    direct_span(p, &span, part, y);
    counted_end(e, &spans, y);
}

static void direct_part(product *p, const chunk *c, LLVMValueRef part)
{
    LLVMValueRef y[PRODUCT_MOST_VECTORS], zero = constant64(p, 0);
    for (unsigned v = 0; v < p->vectors; v++)
        y[v] = c->groups ? span_begin(p, c, zero, part, v) : earlier_result(p, c, zero, part, v);
    (c->groups ? direct_span : direct_spans)(p, c, part, y);
    span_rows s = {c, part, &zero, 1};
    span_end(p, &s, y);
}

static void each_span(product *p, LLVMValueRef from, LLVMValueRef to)
{
    counted_loop l = counted_begin(p->e, from, to, p->span_units, 0, NULL);
    chunk c = span_at(p, l.i);
    for_parts(p, &c, direct_part);
    counted_end(p->e, &l, NULL);
}

// ----------------------------------------------- one row, blocks beside each other

// A span's part of the only group: its sums stay integers, and wait where results will be.
static void direct_piece(product *p, const chunk *c, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMTypeRef integers = LLVMVectorType(int_type(e, 32), p->lanes);
    LLVMValueRef sums[PRODUCT_MOST_VECTORS], zero = constant64(p, 0);
    product_group g = {.first_unit = c->first, .units = c->units, .units_at = p->stream.span};
    direct_sum(p, &g, part, sums);
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef earlier = earlier_result(p, c, zero, part, v);
        earlier = LLVMBuildBitCast(e->builder, earlier, integers, "");
        sums[v] = LLVMBuildAdd(e->builder, sums[v], earlier, "");
        store_to(e, sums[v], result_at(p, zero, part, v), p->bytes);
    }
}

// Of a group that is all of the row.
static void scale_row(product *p, const chunk *c, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMTypeRef integers = LLVMVectorType(int_type(e, 32), p->lanes);
    LLVMValueRef sums[PRODUCT_MOST_VECTORS], results[PRODUCT_MOST_VECTORS];
    LLVMValueRef zero = constant64(p, 0);
    product_group g = group_at(p, zero);
    for (unsigned v = 0; v < p->vectors; v++) {
        sums[v] = load_as(e, integers, result_at(p, zero, part, v), p->bytes);
        results[v] = span_begin(p, c, zero, part, v);
    }
    scale_group(p, &g, part, sums, results);
    for (unsigned v = 0; v < p->vectors; v++) {
        results[v] = span_result(p, c, zero, part, v, results[v]);
        store_to(e, results[v], result_at(p, zero, part, v), p->bytes);
    }
}

static LLVMValueRef truth(const product *p, bool x)
{
    return int_constant(p->e, 1, x);
}

static void crossing_span(product *p, const chunk *c)
{
    emitter *e = p->e;
    LLVMBasicBlockRef scale = new_block(e, "scale"), done = new_block(e, "done");
    for_parts(p, c, direct_piece);
    LLVMBuildCondBr(e->builder, c->ends, scale, done);
    LLVMPositionBuilderAtEnd(e->builder, scale);
    chunk all = {.first_group = constant64(p, 0), .begins = truth(p, true)};
    for_parts(p, &all, scale_row);
    LLVMBuildBr(e->builder, done);
    LLVMPositionBuilderAtEnd(e->builder, done);
}

// Where vectors take all columns of the block at once, results stay in registers from span to span:
// a store takes the place of almost two products. Else all parts meet a span while it is near.
static void direct_units(product *p, LLVMValueRef from, LLVMValueRef to)
{
    emitter *e = p->e;
    LLVMValueRef all = constant64(p, p->g.units);
    chunk c = {.first = from, .units = LLVMBuildNSWSub(e->builder, to, from, "")};
    c.begins = LLVMBuildICmp(e->builder, LLVMIntEQ, from, constant64(p, 0), "");
    c.ends = LLVMBuildICmp(e->builder, LLVMIntEQ, to, all, "");
    if (crosses_spans(p))
        crossing_span(p, &c);
    else if (p->parts == 1)
        for_parts(p, &c, direct_part);
    else
        each_span(p, from, to);
}

void emit_direct(product *p)
{
    if (stands_beside(&p->g))
        for_blocks(p, direct_units);
    else
        direct_units(p, constant64(p, 0), constant64(p, p->g.units));
}
