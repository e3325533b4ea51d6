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

// While rows meet the units of a block, those of the next one come closer, with each unit a line of
// the part's columns: blocks of rows take turns, and several lines at once would keep what is
// needed now waiting. `all`: there may be fewer blocks than lines; then they bring the others, too.
static void next_lines(const product *p, row_block *b, LLVMValueRef first, bool all)
{
    emitter *e = p->e;
    LLVMValueRef lines = constant64(p, p->g.lines), rows = constant64(p, b->rows);
    LLVMValueRef number = LLVMBuildUDiv(e->builder, first, rows, "");
    LLVMValueRef blocks = LLVMBuildUDiv(e->builder, p->rows, rows, "");
    const unsigned vectors = all ? p->vectors : 1;
    b->pieces = all ? p->g.lines * vectors : 1;
    for (unsigned i = 0; i < b->pieces; i++) {
        LLVMValueRef before = index_mul(e, blocks, i / vectors),
                     turn = index_add(e, number, before);
        LLVMValueRef line = LLVMBuildURem(e->builder, turn, lines, "");
        LLVMValueRef at = index_mul(e, line, COLUMN_TILES * COLUMN_LINE);
        at = index_add(e, at, constant64(p, b->next + i % vectors * p->bytes));
        LLVMValueRef wanted = LLVMBuildICmp(e->builder, LLVMIntSLT, before, lines, "");
        b->ahead[i] = LLVMBuildSelect(e->builder, wanted, at, constant64(p, 0), "");
    }
}

// Blocks of `size` from row `from` to row `to`.
static void multiply_blocks(const product *all, const register_block *size, LLVMValueRef from,
                            LLVMValueRef to, bool all_lines)
{
    const unsigned rows = size->rows;
    product p = of_block(all, size);
    emitter *e = p.e;
    row_block b = {.rows = rows, .first = true};
    b.next = stands_beside(&p.g) ? p.g.span_bytes : p.g.block_bytes;
    counted_loop blocks = counted_begin(e, from, to, rows, 0, NULL);
    next_lines(&p, &b, blocks.i, all_lines);
    for (unsigned r = 0; r < rows; r++)
        b.numbers[r] = index_add(e, blocks.i, constant64(&p, r));
    if (p.parts == 1) {
        multiply_rows(&p, &b);
        counted_end(e, &blocks, NULL);
        return;
    }
    counted_loop parts = counted_begin(e, constant64(&p, 0), constant64(&p, p.parts), 1, 0, NULL);
    b.part = parts.i;
    for (unsigned i = 0; i < b.pieces; i++)
        b.ahead[i] = index_add(e, b.ahead[i], index_mul(e, parts.i, p.vectors * p.bytes));
    multiply_rows(&p, &b);
    counted_end(e, &parts, NULL);
    counted_end(e, &blocks, NULL);
}

// What is emitted between these happens where the condition holds.
static LLVMBasicBlockRef if_begin(emitter *e, LLVMValueRef condition)
{
    LLVMBasicBlockRef then = new_block(e, "then"), end = new_block(e, "end");
    LLVMBuildCondBr(e->builder, condition, then, end);
    LLVMPositionBuilderAtEnd(e->builder, then);
    return end;
}

static void if_end(emitter *e, LLVMBasicBlockRef end)
{
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

// As many blocks as there are; gives the first row behind them. Without groups the CPU foresees the
// lines. Most rows are in large blocks: what brings all lines is code of its own there.
static LLVMValueRef multiply_rest(const product *p, const register_block *size, LLVMValueRef from)
{
    enum { LARGE = 10, SMALL = 2 };
    const unsigned rows = size->rows;
    emitter *e = p->e;
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, p->rows, from, "");
    LLVMValueRef count = LLVMBuildSDiv(e->builder, left, constant64(p, rows), "");
    LLVMValueRef to = index_add(e, from, index_mul(e, count, rows));
    LLVMBasicBlockRef some = if_begin(e, LLVMBuildICmp(e->builder, LLVMIntSLT, from, to, ""));
    bool all = p->g.group_bytes && rows > SMALL, two = all && rows >= LARGE && p->g.lines > 1;
    if (two) {
        LLVMValueRef lines = constant64(p, (int64_t)p->g.lines * rows);
        LLVMValueRef few = LLVMBuildICmp(e->builder, LLVMIntSLT, p->rows, lines, "");
        LLVMBasicBlockRef end = if_begin(e, few);
        multiply_blocks(p, size, from, to, true);
        if_end(e, end);
        end = if_begin(e, LLVMBuildNot(e->builder, few, ""));
        multiply_blocks(p, size, from, to, false);
        if_end(e, end);
    } else {
        multiply_blocks(p, size, from, to, all);
    }
    if_end(e, some);
    return to;
}

void emit_registers(product *p)
{
    LLVMValueRef from = constant64(p, 0);
    for (size_t i = 0; i < sizeof register_blocks / sizeof *register_blocks; i++)
        if (has_registers(p, &register_blocks[i]))
            from = multiply_rest(p, &register_blocks[i], from);
}
