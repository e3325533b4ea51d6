// Products of several rows: a chunk of the weights meets a few rows of activations at a time, whose
// sums stay in registers. The first rows take the weights apart and leave them in a panel for the
// others.
#include "compiler/codegen/cpu/product.h"

enum { STEP_BYTES = COLUMN_TILES * COLUMN_LINE }; // of a step's 64 columns

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

static int64_t groups_of_chunk(const product *p)
{
    return is_chunked(p) ? 1 : p->chunk_units / p->group_units;
}

static LLVMValueRef local_bytes(product *p, int64_t size, const char *name)
{
    LLVMTypeRef type = LLVMArrayType2(int_type(p->e, 8), (uint64_t)size);
    LLVMValueRef at = LLVMBuildAlloca(p->e->builder, type, name);
    LLVMSetAlignment(at, COLUMN_LINE);
    return at;
}

static int64_t group_count(const product *p)
{
    return (p->g.units + p->group_units - 1) / p->group_units;
}

void panel_allocate(product *p)
{
    if (!p->panelled)
        return;
    int64_t sums = is_chunked(p) ? PRODUCT_ROWS * COLUMN_BLOCK * 4 : COLUMN_LINE;
    p->panel = local_bytes(p, p->chunk_units * p->fields * STEP_BYTES, "panel");
    p->values = local_bytes(p, groups_of_chunk(p) * 2 * STEP_BYTES, "values");
    p->sums = local_bytes(p, sums, "sums");
}

// ------------------------------------------------------------------- the panel

static LLVMValueRef vector_at(const product *p, LLVMValueRef base, const row_block *b,
                              int64_t offset, unsigned vector)
{
    if (b->part)
        base = byte_at(p->e, base, index_mul(p->e, b->part, p->vectors * p->bytes));
    return byte_at_constant(p->e, base, offset + vector * p->bytes);
}

// A line is read again for each of its fields: kept in registers, it would push out sums.
static LLVMValueRef read_again(LLVMValueRef load)
{
    LLVMSetVolatile(load, true);
    return load;
}

// Vectors of the weights of step `field` of a unit.
static void step_weights(product *p, const row_block *b, LLVMValueRef unit, LLVMValueRef panel,
                         unsigned field, LLVMValueRef *out)
{
    emitter *e = p->e;
    LLVMTypeRef bytes = LLVMVectorType(int_type(e, 8), p->bytes);
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef at = panel ? vector_at(p, panel, b, (int64_t)field * STEP_BYTES, v) : NULL;
        if (!b->first) {
            out[v] = load_as(e, bytes, at, p->bytes);
            continue;
        }
        LLVMValueRef lines[COLUMN_MOST_LINES] = {NULL};
        for (unsigned l = 0; l < p->g.lines; l++)
            if (field_reads(p, field, l))
                lines[l] = read_again(load_line(p, unit, l, b->part, v));
        out[v] = field_vector(p, lines, field, panel_place(p));
        if (panel)
            store_to(e, out[v], at, p->bytes);
    }
}

// Scales or offsets of group `i` of the chunk, as f32.
static LLVMValueRef panel_values(product *p, const row_block *b, const product_group *g,
                                 LLVMValueRef i, bool offset, unsigned vector)
{
    emitter *e = p->e;
    if (!p->panelled)
        return column_values(p, g, offset, b->part, vector);
    LLVMValueRef at = byte_at(e, p->values, index_mul(e, i, 2 * STEP_BYTES));
    at = vector_at(p, at, b, offset ? STEP_BYTES : 0, vector);
    if (!b->first)
        return load_as(e, float_lanes(p), at, p->bytes);
    LLVMValueRef x = column_values(p, g, offset, b->part, vector);
    store_to(e, x, at, p->bytes);
    return x;
}

// ------------------------------------------------------------------------ sums

// Where the sums of a row and vector wait for the next chunk.
static LLVMValueRef sum_at(const product *p, LLVMValueRef row, LLVMValueRef part, unsigned vector)
{
    product other = *p;
    other.to = p->sums;
    return result_at(&other, row, part, vector);
}

static LLVMTypeRef sum_type(const product *p)
{
    return LLVMVectorType(int_type(p->e, 32), p->lanes);
}

// Fields that stand doubled begin with what is taken from them.
static LLVMValueRef first_sum(const product *p, const product_group *g, LLVMValueRef row)
{
    emitter *e = p->e;
    if (p->form == ACTIVATION_LOOKUPS || panel_place(p) != FIELD_DOUBLED)
        return LLVMConstNull(sum_type(p));
    LLVMValueRef sum = sum_of_group(p, g, row, int_type(e, 32));
    sum = LLVMBuildMul(e->builder, sum, int_constant(e, 32, -(int64_t)p->g.levels), "");
    return vector_of(e, sum, p->lanes);
}

static void start_sums(product *p, const row_block *b, const product_group *g, LLVMValueRef *sums)
{
    for (unsigned r = 0; r < b->rows; r++) {
        bool begun = p->panelled && is_chunked(p);
        LLVMValueRef first = begun ? NULL : first_sum(p, g, b->numbers[r]);
        for (unsigned v = 0; v < p->vectors; v++)
            sums[r * p->vectors + v] =
                first ? first
                      : load_as(p->e, sum_type(p), sum_at(p, b->numbers[r], b->part, v), p->bytes);
    }
}

static void unit_steps(product *p, const row_block *b, LLVMValueRef unit_at, LLVMValueRef unit,
                       LLVMValueRef *sums)
{
    emitter *e = p->e;
    byte_sum s[PRODUCT_MOST_ROWS][PRODUCT_MOST_VECTORS];
    for (unsigned i = 0; i < b->rows * p->vectors; i++)
        s[i / p->vectors][i % p->vectors] =
            p->run_units ? (byte_sum){.partial = sums[i]} : (byte_sum){.sum = sums[i]};
    int64_t operands = p->fields * operand_bytes(p);
    LLVMValueRef offset = index_mul(e, unit, operands), panel = NULL;
    if (p->panelled)
        panel = byte_at(e, p->panel, index_mul(e, unit, p->fields * STEP_BYTES));
    for (unsigned i = 0; i < b->pieces; i++)
        prefetch(e, byte_at(e, unit_at, b->ahead[i]), PREFETCH_FIRST);
    for (unsigned f = 0; f < p->fields; f++) {
        LLVMValueRef w[PRODUCT_MOST_VECTORS];
        step_weights(p, b, unit_at, panel, f, w);
        for (unsigned r = 0; r < b->rows; r++) {
            LLVMValueRef at = byte_at(e, b->at[r], offset);
            LLVMValueRef operand = operand_at(p, byte_at_constant(e, at, f * operand_bytes(p)));
            for (unsigned v = 0; v < p->vectors; v++)
                sum_step(p, &s[r][v], w[v], operand);
        }
    }
    for (unsigned i = 0; i < b->rows * p->vectors; i++) {
        byte_sum *x = &s[i / p->vectors][i % p->vectors];
        if (!p->run_units)
            sum_flush(p, x);
        sums[i] = p->run_units ? x->partial : x->sum;
    }
}

// Indices of the panel lie side by side: those of a part are a vector for each table.
static void lookup_steps(product *p, const row_block *b, LLVMValueRef unit_at, LLVMValueRef unit,
                         LLVMValueRef *sums)
{
    emitter *e = p->e;
    LLVMTypeRef bytes = LLVMVectorType(int_type(e, 8), p->bytes);
    LLVMValueRef index[PRODUCT_LANE_STEPS];
    LLVMValueRef number = index_add(e, index_mul(e, unit, p->parts), b->part);
    LLVMValueRef panel = byte_at(e, p->panel, index_mul(e, number, PRODUCT_LANE_STEPS * p->bytes));
    LLVMValueRef offset = index_mul(e, unit, PRODUCT_LANE_STEPS * operand_bytes(p));
    if (b->first)
        lookup_indices(p, unit_at, b->part, index);
    for (unsigned i = 0; i < PRODUCT_LANE_STEPS; i++) {
        LLVMValueRef at = byte_at_constant(e, panel, i * p->bytes);
        if (b->first)
            store_to(e, index[i], at, p->bytes);
        else
            index[i] = load_as(e, bytes, at, p->bytes);
        for (unsigned r = 0; r < b->rows; r++)
            lookup_step(p, sums + 2 * r, index[i], byte_at(e, b->at[r], offset), i);
    }
}

typedef struct panel_units {
    const row_block *block;
    LLVMValueRef at, first;
} panel_units;

static void narrow_steps(product *p, const void *context, LLVMValueRef unit, LLVMValueRef *sums)
{
    const panel_units *u = context;
    LLVMValueRef at = byte_at(p->e, u->at, index_mul(p->e, unit, p->g.unit_bytes));
    LLVMValueRef number = index_add(p->e, u->first, unit);
    (looks_up_lanes(p) ? lookup_steps : unit_steps)(p, u->block, at, number, sums);
}

// Sums of the units from `first` of the chunk on.
static void sum_units(product *p, const row_block *b, LLVMValueRef units_at, LLVMValueRef first,
                      LLVMValueRef units, LLVMValueRef *sums)
{
    emitter *e = p->e;
    enum { SHORT = 2 }; // units that need no loop
    unsigned n = b->rows * p->vectors;
    if (p->run_units) {
        panel_units u = {b, units_at, first};
        narrow_loop narrow = {.rows = b->rows, .step = 1, .add = narrow_steps, .context = &u};
        int64_t most = is_chunked(p) ? p->chunk_units : p->group_units;
        sum_narrow(p, &narrow, units, most, sums);
        return;
    }
    if (!p->panelled && p->group_units == SHORT && p->g.units % SHORT == 0) {
        for (int64_t i = 0; i < SHORT; i++)
            unit_steps(p, b, byte_at_constant(e, units_at, i * p->g.unit_bytes),
                       index_add(e, first, constant64(p, i)), sums);
        return;
    }
    counted_loop l = counted_begin(e, constant64(p, 0), units, 1, n, sums);
    for (unsigned i = 0; i < n; i++)
        sums[i] = l.phis[i];
    LLVMValueRef at = byte_at(e, units_at, index_mul(e, l.i, p->g.unit_bytes));
    unit_steps(p, b, at, index_add(e, first, l.i), sums);
    counted_end(e, &l, sums);
}

// ---------------------------------------------------------------------- groups

// Those of the next block.
static void prefetch_values(const product *p, const row_block *b, const product_group *g)
{
    int64_t each = p->vectors * p->lanes * (int64_t)scalar_size(p->format.scale);
    LLVMValueRef at = byte_at_constant(p->e, g->header, b->next);
    if (b->part)
        at = byte_at(p->e, at, index_mul(p->e, b->part, each));
    prefetch(p->e, at, PREFETCH_FIRST);
}

// Group `i` of the chunk: its products join what the rows have so far.
static void row_group(product *p, const row_block *b, LLVMValueRef i, LLVMValueRef *results)
{
    emitter *e = p->e;
    LLVMValueRef sums[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    product_group g = group_at(p, index_add(e, b->chunk->first_group, i));
    LLVMValueRef first = index_mul(e, i, p->group_units);
    start_sums(p, b, &g, sums);
    if (b->next && p->g.group_bytes)
        prefetch_values(p, b, &g);
    sum_units(p, b, g.units_at, first, g.units, sums);
    LLVMValueRef scales[PRODUCT_MOST_VECTORS], offsets[PRODUCT_MOST_VECTORS];
    for (unsigned v = 0; v < p->vectors; v++) {
        scales[v] = p->late_weight ? NULL : panel_values(p, b, &g, i, false, v);
        offsets[v] = p->format.offset ? panel_values(p, b, &g, i, true, v) : NULL;
    }
    row_factors factors[PRODUCT_MOST_ROWS];
    for (unsigned r = 0; r < b->rows; r++)
        factors[r] = factors_of(p, &g, b->numbers[r]);
    for (unsigned k = 0; panel_place(p) != FIELD_DOUBLED && k < b->rows * p->vectors; k++)
        sums[k] = signed_sum(p, sums[k], factors[k / p->vectors].sum);
    sums_to_numbers(p, sums, b->rows * p->vectors);
    for (unsigned k = 0; k < b->rows * p->vectors; k++) {
        unsigned r = k / p->vectors, v = k % p->vectors;
        results[k] = add_group(p, sums[k], factors[r], scales[v], offsets[v], results[k]);
    }
}

void row_groups(product *p, const row_block *b, LLVMValueRef *results)
{
    emitter *e = p->e;
    LLVMValueRef zero = constant64(p, 0);
    unsigned n = b->rows * p->vectors;
    if (groups_of_chunk(p) == 1) {
        row_group(p, b, zero, results);
        return;
    }
    start_results(p, results, n);
    counted_loop l = counted_begin(e, zero, b->chunk->groups, 1, n, results);
    for (unsigned i = 0; i < n; i++)
        results[i] = l.phis[i];
    row_group(p, b, l.i, results);
    counted_end(e, &l, results);
}

// A part of a group: its sums stay integers.
static void row_chunk(product *p, const row_block *b)
{
    LLVMValueRef sums[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    const product_group *g = b->chunk->group;
    start_sums(p, b, g, sums);
    LLVMValueRef units = unit_at(p, g, b->chunk->first);
    sum_units(p, b, units, constant64(p, 0), b->chunk->units, sums);
    for (unsigned r = 0; r < b->rows; r++)
        for (unsigned v = 0; v < p->vectors; v++)
            store_to(p->e, sums[r * p->vectors + v], sum_at(p, b->numbers[r], b->part, v),
                     p->bytes);
}

// ------------------------------------------------------------------------ rows

static void row_results(product *p, const row_block *b)
{
    LLVMValueRef results[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    for (unsigned r = 0; r < b->rows; r++)
        for (unsigned v = 0; v < p->vectors; v++)
            results[r * p->vectors + v] = span_begin(p, b->chunk, b->numbers[r], b->part, v);
    row_groups(p, b, results);
    for (unsigned r = 0; r < b->rows; r++)
        for (unsigned v = 0; v < p->vectors; v++) {
            LLVMValueRef *y = &results[r * p->vectors + v];
            *y = span_result(p, b->chunk, b->numbers[r], b->part, v, *y);
        }
    span_rows s = {b->chunk, b->part, b->numbers, b->rows};
    span_end(p, &s, results);
}

// While rows meet this chunk, the next one comes closer, some lines with each block of rows.
static void prefetch_chunk(product *p, const chunk *c, LLVMValueRef row)
{
    enum { LINES = 8 };
    emitter *e = p->e;
    int64_t ahead = p->chunk_units * p->g.unit_bytes + groups_of_chunk(p) * p->g.group_bytes;
    LLVMValueRef at =
        is_chunked(p) ? unit_at(p, c->group, c->first) : group_at(p, c->first_group).units_at;
    at = byte_at_constant(e, at, ahead);
    LLVMValueRef block = LLVMBuildUDiv(e->builder, row, constant64(p, p->block_rows), "");
    at = byte_at(e, at, index_mul(e, block, LINES * COLUMN_LINE));
    for (unsigned i = 0; i < LINES; i++)
        prefetch(e, byte_at_constant(e, at, i * COLUMN_LINE), PREFETCH_SECOND);
}

static void row_block_at(product *p, const chunk *c, LLVMValueRef part, LLVMValueRef first,
                         unsigned rows, bool takes_apart)
{
    emitter *e = p->e;
    row_block b = {.chunk = c, .part = part, .rows = rows, .first = takes_apart};
    int64_t operands = p->fields * operand_bytes(p), all = p->chunk_units * operands;
    LLVMValueRef unit = c->first;
    if (is_chunked(p))
        unit = index_add(e, unit, c->group->first_unit);
    for (unsigned r = 0; r < rows; r++) {
        b.numbers[r] = index_add(e, first, constant64(p, r));
        b.at[r] = byte_at(e, row_at(p, b.numbers[r]), index_mul(e, unit, operands));
    }
    if (rows == p->block_rows)
        prefetch_chunk(p, c, first);
    for (unsigned r = 0; rows > 1 && r < rows; r++) // of the next rows
        for (int64_t at = 0; at < all; at += COLUMN_LINE)
            prefetch(e, byte_at_constant(e, b.at[r], rows * p->row.bytes + at), PREFETCH_FIRST);
    (is_chunked(p) ? row_chunk : row_results)(p, &b);
}

// Blocks of `rows` from `from` on, as many as there are; gives the first row behind them.
static LLVMValueRef row_blocks(product *p, const chunk *c, LLVMValueRef part, LLVMValueRef from,
                               unsigned rows)
{
    emitter *e = p->e;
    LLVMBasicBlockRef some = new_block(e, "some"), end = new_block(e, "end");
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, p->rows, from, "");
    LLVMValueRef count = LLVMBuildSDiv(e->builder, left, constant64(p, rows), "");
    LLVMValueRef to = index_add(e, from, index_mul(e, count, rows));
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, from, to, "");
    LLVMBuildCondBr(e->builder, more, some, end);
    LLVMPositionBuilderAtEnd(e->builder, some);
    counted_loop blocks = counted_begin(e, from, to, rows, 0, NULL);
    row_block_at(p, c, part, blocks.i, rows, false);
    counted_end(e, &blocks, NULL);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
    return to;
}

// The first block; gives the rows in it.
static LLVMValueRef first_rows(product *p, const chunk *c, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMBasicBlockRef whole = new_block(e, "whole"), single = new_block(e, "single");
    LLVMBasicBlockRef end = new_block(e, "end");
    LLVMValueRef zero = constant64(p, 0), size = constant64(p, p->block_rows);
    LLVMValueRef enough = LLVMBuildICmp(e->builder, LLVMIntSGE, p->rows, size, "");
    LLVMBuildCondBr(e->builder, enough, whole, single);
    LLVMPositionBuilderAtEnd(e->builder, whole);
    row_block_at(p, c, part, zero, p->block_rows, true);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, single);
    row_block_at(p, c, part, zero, 1, true);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
    return LLVMBuildSelect(e->builder, enough, size, constant64(p, 1), "");
}

static void chunk_part(product *p, const chunk *c, LLVMValueRef part)
{
    LLVMValueRef from = first_rows(p, c, part);
    from = row_blocks(p, c, part, from, p->block_rows);
    for (unsigned rows = p->block_rows > 3 ? 3 : p->block_rows - 1; rows; rows--)
        from = row_blocks(p, c, part, from, rows);
}

// ------------------------------------------------------------ groups in chunks

static void clear_sums(product *p, const product_group *g)
{
    emitter *e = p->e;
    counted_loop l = counted_begin(e, constant64(p, 0), p->rows, 1, 0, NULL);
    LLVMValueRef first = first_sum(p, g, l.i);
    for (unsigned v = 0; v < COLUMN_BLOCK / p->lanes; v++)
        store_to(e, first, sum_at(p, l.i, NULL, v), p->bytes);
    counted_end(e, &l, NULL);
}

static void add_row_sums(product *p, const chunk *c, LLVMValueRef row, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMValueRef results[PRODUCT_MOST_VECTORS];
    row_factors f = factors_of(p, c->group, row);
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef sum = load_as(e, sum_type(p), sum_at(p, row, part, v), p->bytes);
        LLVMValueRef y = span_begin(p, c, row, part, v), scale = NULL, offset = NULL;
        if (panel_place(p) != FIELD_DOUBLED)
            sum = signed_sum(p, sum, f.sum);
        if (!p->late_weight)
            scale = column_values(p, c->group, false, part, v);
        if (p->format.offset)
            offset = column_values(p, c->group, true, part, v);
        results[v] = span_result(p, c, row, part, v, add_group(p, sum, f, scale, offset, y));
    }
    span_rows s = {c, part, &row, 1};
    span_end(p, &s, results);
}

static void add_sums(product *p, const chunk *c)
{
    emitter *e = p->e;
    counted_loop rows = counted_begin(e, constant64(p, 0), p->rows, 1, 0, NULL);
    for (unsigned i = 0; i < p->parts; i++)
        add_row_sums(p, c, rows.i, p->parts > 1 ? constant64(p, i) : NULL);
    counted_end(e, &rows, NULL);
}

// A group that is longer than a chunk keeps its sums in memory from chunk to chunk.
static void long_group(product *p, LLVMValueRef number)
{
    emitter *e = p->e;
    enter_span(p, index_mul(e, number, p->group_units));
    product_group g = group_at(p, number);
    chunk c = {.group = &g,
               .first_group = number,
               .begins = LLVMBuildICmp(e->builder, LLVMIntEQ, number, constant64(p, 0), ""),
               .ends = LLVMBuildICmp(e->builder, LLVMIntEQ, number,
                                     constant64(p, group_count(p) - 1), "")};
    clear_sums(p, &g);
    counted_loop chunks = counted_begin(e, constant64(p, 0), g.units, p->chunk_units, 0, NULL);
    c.first = chunks.i;
    c.units = least_index(e, LLVMBuildNSWSub(e->builder, g.units, chunks.i, ""),
                          constant64(p, p->chunk_units));
    for_parts(p, &c, chunk_part);
    counted_end(e, &chunks, NULL);
    add_sums(p, &c);
}

void emit_panel(product *p)
{
    if (!is_chunked(p)) {
        for_spans(p, chunk_part);
        return;
    }
    counted_loop l =
        counted_begin(p->e, constant64(p, 0), constant64(p, group_count(p)), 1, 0, NULL);
    long_group(p, l.i);
    counted_end(p->e, &l, NULL);
}
