// Products of several rows whose weights are taken apart by instructions that cost nothing beside
// multiplications (VNNI): no panel. Results stay in registers over the whole depth, because a store
// takes the place of almost two multiplications.
#include "compiler/codegen/cpu/product.h"

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

// Registers hold sums, results of a span, and, where a span has several groups, results of groups.
static unsigned most_rows(const product *p)
{
    return spans_are_scaled(p) && p->span_units > p->group_units ? 4 : 6;
}

// Few rows take all columns at once, so that there are as many sums that do not wait for each
// other.
static product of_rows(const product *p, unsigned rows)
{
    product q = *p;
    q.vectors = rows > 2 ? 2 : 4;
    q.parts = COLUMN_BLOCK / (q.lanes * q.vectors);
    q.chunk_units = q.span_units;
    return q;
}

// ------------------------------------------------------------------ prefetching

static void prefetch_lines(const product *p, LLVMValueRef at, int64_t count, prefetch_cache cache)
{
    for (int64_t i = 0; i < count; i++)
        prefetch(p->e, byte_at_constant(p->e, at, i * COLUMN_LINE), cache);
}

// While rows meet a block's span, the same span of the next block comes closer, some lines with
// each block of rows.
static void prefetch_block(const product *p, const row_block *b, LLVMValueRef number)
{
    enum { SHARES = 32, MOST = 32 }; // blocks of rows, parts counted
    emitter *e = p->e;
    int64_t bytes = p->span_units * p->g.unit_bytes;
    int64_t lines = (bytes + SHARES * COLUMN_LINE - 1) / (SHARES * COLUMN_LINE);
    product_group g = group_at(p, b->chunk->first_group);
    bool beside = stands_beside(&p->g);
    LLVMValueRef at = byte_at_constant(e, g.units_at, beside ? p->g.span_bytes : p->g.block_bytes);
    at = byte_at(e, at, index_mul(e, number, lines * COLUMN_LINE));
    prefetch_lines(p, at, lines < MOST ? lines : MOST, PREFETCH_SECOND);
}

// What these rows need of the next span.
static void prefetch_span(const product *p, const row_block *b)
{
    enum { MOST = 512 };
    int64_t bytes = p->span_units * p->fields * operand_bytes(p);
    for (unsigned r = 0; bytes <= MOST && r < b->rows; r++)
        prefetch_lines(p, byte_at_constant(p->e, b->at[r], bytes), bytes / COLUMN_LINE,
                       PREFETCH_FIRST);
}

// -------------------------------------------------------------------------- rows

static void add_span(product *p, row_block *b, LLVMValueRef *y)
{
    LLVMValueRef results[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    emitter *e = p->e;
    unsigned n = b->rows * p->vectors;
    bool scaled = spans_are_scaled(p);
    LLVMValueRef offset = index_mul(e, b->chunk->first, p->fields * operand_bytes(p));
    for (unsigned r = 0; r < b->rows; r++)
        b->at[r] = byte_at(e, row_at(p, b->numbers[r]), offset);
    prefetch_span(p, b);
    for (unsigned i = 0; i < n; i++)
        results[i] = scaled ? NULL : y[i];
    row_groups(p, b, results);
    for (unsigned i = 0; i < n; i++)
        y[i] = scaled ? scaled_span(p, b->chunk, b->numbers[i / p->vectors], results[i], y[i])
                      : results[i];
}

static void multiply_rows(product *p, row_block *b, LLVMValueRef number)
{
    LLVMValueRef y[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    emitter *e = p->e;
    unsigned n = b->rows * p->vectors;
    for (unsigned i = 0; i < n; i++)
        y[i] = LLVMConstNull(float_lanes(p));
    span_rows s = {NULL, b->part, b->numbers, b->rows};
    counted_loop spans =
        counted_begin(e, constant64(p, 0), constant64(p, p->g.units), p->span_units, n, y);
    for (unsigned i = 0; i < n; i++)
        y[i] = spans.phis[i];
    chunk c = span_at(p, spans.i);
    enter_span(p, spans.i);
    b->chunk = &c;
    prefetch_block(p, b, number);
    add_span(p, b, y);
    counted_end(e, &spans, y);
    multiply_late(p, &s, y);
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef row = LLVMBuildNSWMul(e->builder, b->numbers[i / p->vectors], p->stride, "");
        LLVMValueRef at = byte_at(e, p->results, row);
        if (b->part)
            at = byte_at(e, at, index_mul(e, b->part, p->vectors * p->bytes));
        store_to(e, y[i], byte_at_constant(e, at, i % p->vectors * p->bytes), 4);
    }
}

static void multiply_block(const product *all, LLVMValueRef first, unsigned rows)
{
    product p = of_rows(all, rows);
    emitter *e = p.e;
    row_block b = {.rows = rows, .first = true};
    LLVMValueRef number = LLVMBuildUDiv(e->builder, first, constant64(&p, rows), "");
    for (unsigned r = 0; r < rows; r++)
        b.numbers[r] = index_add(e, first, constant64(&p, r));
    if (p.parts == 1) {
        multiply_rows(&p, &b, number);
        return;
    }
    counted_loop parts = counted_begin(e, constant64(&p, 0), constant64(&p, p.parts), 1, 0, NULL);
    b.part = parts.i;
    multiply_rows(&p, &b, index_add(e, index_mul(e, number, p.parts), parts.i));
    counted_end(e, &parts, NULL);
}

// Blocks of `rows` from `from` on, as many as there are; gives the first row behind them.
static LLVMValueRef multiply_blocks(const product *p, LLVMValueRef from, unsigned rows)
{
    emitter *e = p->e;
    LLVMBasicBlockRef some = new_block(e, "some"), end = new_block(e, "end");
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, p->rows, from, "");
    LLVMValueRef count = LLVMBuildSDiv(e->builder, left, constant64(p, rows), "");
    LLVMValueRef to = index_add(e, from, index_mul(e, count, rows));
    LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, from, to, ""), some, end);
    LLVMPositionBuilderAtEnd(e->builder, some);
    counted_loop blocks = counted_begin(e, from, to, rows, 0, NULL);
    multiply_block(p, blocks.i, rows);
    counted_end(e, &blocks, NULL);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
    return to;
}

void emit_registers(product *p)
{
    LLVMValueRef from = multiply_blocks(p, constant64(p, 0), most_rows(p));
    for (unsigned rows = 3; rows; rows--)
        from = multiply_blocks(p, from, rows);
}
