// Products of several rows whose weights are taken apart by instructions that cost nothing beside
// multiplications (VNNI): no panel. Results stay in registers over the whole depth, because a store
// takes the place of almost two multiplications.
#include "compiler/codegen/cpu/product.h"

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

// Rows that are taken together, and vectors of columns: many rows take the weights of few columns
// apart less often, few rows have as many sums that do not wait for each other.
typedef struct register_block {
    unsigned rows, vectors;
} register_block;

static const register_block register_blocks[] = {{12, 1}, {10, 1}, {8, 1}, {6, 2},
                                                 {4, 2},  {3, 2},  {2, 4}, {1, 4}};

// There are registers for sums, results of a span, and, where it has several groups, results of
// groups.
static bool has_registers(const product *p, const register_block *b)
{
    bool groups = spans_are_scaled(p) && p->span_units > p->group_units;
    return (groups ? 3 : 2) * b->rows * b->vectors <= 30;
}

static product of_block(const product *p, const register_block *b)
{
    product q = *p;
    q.vectors = b->vectors;
    q.parts = COLUMN_BLOCK / (q.lanes * q.vectors);
    q.chunk_units = q.span_units;
    return q;
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
    for (unsigned i = 0; i < n; i++)
        results[i] = scaled ? NULL : y[i];
    row_groups(p, b, results);
    for (unsigned i = 0; i < n; i++)
        y[i] = scaled ? scaled_span(p, b->chunk, b->numbers[i / p->vectors], results[i], y[i])
                      : results[i];
}

// Where a row's vector belongs.
static LLVMValueRef stored_at(const product *p, const row_block *b, unsigned i)
{
    emitter *e = p->e;
    LLVMValueRef row = LLVMBuildNSWMul(e->builder, b->numbers[i / p->vectors], p->stride, "");
    LLVMValueRef at = byte_at(e, p->results, row);
    if (b->part)
        at = byte_at(e, at, index_mul(e, b->part, p->vectors * p->bytes));
    return byte_at_constant(e, at, i % p->vectors * p->bytes);
}

static void multiply_rows(product *p, row_block *b)
{
    LLVMValueRef y[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    emitter *e = p->e;
    unsigned n = b->rows * p->vectors;
    for (unsigned i = 0; i < n; i++)
        y[i] = LLVMConstNull(float_lanes(p));
    span_rows s = {NULL, b->part, b->numbers, b->rows};
    for (unsigned i = 0; i < n; i++)
        prefetch_to_write(e, stored_at(p, b, i));
    counted_loop spans =
        counted_begin(e, constant64(p, 0), constant64(p, p->g.units), p->span_units, n, y);
    for (unsigned i = 0; i < n; i++)
        y[i] = spans.phis[i];
    chunk c = span_at(p, spans.i);
    enter_span(p, spans.i);
    b->chunk = &c;
    add_span(p, b, y);
    counted_end(e, &spans, y);
    multiply_late(p, &s, y);
    for (unsigned i = 0; i < n; i++)
        store_to(e, y[i], stored_at(p, b, i), 4);
}

// While rows meet the units of a block, those of the next one come closer, a line with each unit:
// rows and parts take turns. Several lines at once would keep what is needed now waiting.
static LLVMValueRef next_line(const product *p, LLVMValueRef first, unsigned rows, int64_t next)
{
    emitter *e = p->e;
    LLVMValueRef number = LLVMBuildUDiv(e->builder, first, constant64(p, rows), "");
    LLVMValueRef line = LLVMBuildURem(e->builder, number, constant64(p, p->g.lines), "");
    return index_add(e, constant64(p, next), index_mul(e, line, COLUMN_TILES * COLUMN_LINE));
}

static void multiply_block(const product *all, const register_block *size, LLVMValueRef first)
{
    const unsigned rows = size->rows;
    product p = of_block(all, size);
    emitter *e = p.e;
    row_block b = {.rows = rows, .first = true};
    b.next = stands_beside(&p.g) ? p.g.span_bytes : p.g.block_bytes;
    LLVMValueRef ahead = b.ahead = next_line(&p, first, rows, b.next);
    for (unsigned r = 0; r < rows; r++)
        b.numbers[r] = index_add(e, first, constant64(&p, r));
    if (p.parts == 1) {
        multiply_rows(&p, &b);
        return;
    }
    counted_loop parts = counted_begin(e, constant64(&p, 0), constant64(&p, p.parts), 1, 0, NULL);
    b.part = parts.i;
    b.ahead = index_add(e, ahead, index_mul(e, parts.i, p.vectors * p.bytes));
    multiply_rows(&p, &b);
    counted_end(e, &parts, NULL);
}

// Blocks from row `from` on, as many as there are; gives the first row behind them.
static LLVMValueRef multiply_blocks(const product *p, const register_block *size, LLVMValueRef from)
{
    const unsigned rows = size->rows;
    emitter *e = p->e;
    LLVMBasicBlockRef some = new_block(e, "some"), end = new_block(e, "end");
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, p->rows, from, "");
    LLVMValueRef count = LLVMBuildSDiv(e->builder, left, constant64(p, rows), "");
    LLVMValueRef to = index_add(e, from, index_mul(e, count, rows));
    LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, from, to, ""), some, end);
    LLVMPositionBuilderAtEnd(e->builder, some);
    counted_loop blocks = counted_begin(e, from, to, rows, 0, NULL);
    multiply_block(p, size, blocks.i);
    counted_end(e, &blocks, NULL);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
    return to;
}

void emit_registers(product *p)
{
    LLVMValueRef from = constant64(p, 0);
    for (size_t i = 0; i < sizeof register_blocks / sizeof *register_blocks; i++)
        if (has_registers(p, &register_blocks[i]))
            from = multiply_blocks(p, &register_blocks[i], from);
}
