// Products of several rows: the weights of a chunk are taken apart once into a panel, which then
// meets a few rows of activations at a time, whose sums stay in registers.
#include "compiler/codegen/product.h"

enum { CHUNK = 256, STEP_BYTES = COLUMN_TILES * COLUMN_LINE }; // weights; a step's 64 columns

static int64_t chunk_units(const product *p)
{
    int64_t most = CHUNK / p->g.unit;
    return p->group_units < most ? p->group_units : most;
}

// Groups longer than a chunk keep their sums in memory from chunk to chunk.
static bool is_chunked(const product *p)
{
    return p->group_units > chunk_units(p);
}

void panel_allocate(product *p)
{
    emitter *e = p->e;
    int64_t panel = chunk_units(p) * p->fields * STEP_BYTES;
    int64_t sums = is_chunked(p) ? PRODUCT_ROWS * COLUMN_BLOCK * 4 : COLUMN_LINE;
    LLVMTypeRef byte = int_type(e, 8);
    p->panel = LLVMBuildAlloca(e->builder, LLVMArrayType2(byte, (uint64_t)panel), "panel");
    p->sums = LLVMBuildAlloca(e->builder, LLVMArrayType2(byte, (uint64_t)sums), "sums");
    LLVMSetAlignment(p->panel, COLUMN_LINE);
    LLVMSetAlignment(p->sums, COLUMN_LINE);
}

// ------------------------------------------------------------------- the panel

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

// A vector of step `step` + `more` of the panel.
static LLVMValueRef step_at(const product *p, LLVMValueRef step, unsigned more, LLVMValueRef part,
                            unsigned vector)
{
    emitter *e = p->e;
    LLVMValueRef at = byte_at(e, p->panel, index_mul(e, step, STEP_BYTES));
    if (part)
        at = byte_at(e, at, index_mul(e, part, p->vectors * p->bytes));
    return byte_at_constant(e, at, (int64_t)more * STEP_BYTES + vector * p->bytes);
}

typedef struct chunk {
    const product_group *group;
    LLVMValueRef first; // unit of the group
    LLVMValueRef units;
} chunk;

// The same line of the chunk behind this one, which is wanted when all rows have met this one.
static void prefetch_line(product *p, LLVMValueRef unit, unsigned line, LLVMValueRef part,
                          unsigned vector)
{
    emitter *e = p->e;
    int64_t ahead = chunk_units(p) * p->g.unit_bytes + p->g.group_bytes;
    int64_t offset = (int64_t)line * STEP_BYTES + vector * p->bytes + ahead;
    LLVMValueRef at = byte_at_constant(e, unit, offset);
    if (part)
        at = byte_at(e, at, index_mul(e, part, p->vectors * p->bytes));
    if (vector * p->bytes % COLUMN_LINE == 0)
        prefetch(e, at);
}

static void unpack_part(product *p, const chunk *c, LLVMValueRef unit, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMValueRef number = index_add(e, c->first, unit);
    LLVMValueRef at = byte_at(e, c->group->units_at, index_mul(e, number, p->g.unit_bytes));
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef lines[4];
        for (unsigned l = 0; l < p->g.lines; l++) {
            lines[l] = load_line(p, at, l, part, v);
            prefetch_line(p, at, l, part, v);
        }
        for (unsigned f = 0; f < p->fields; f++)
            store_to(e, field_vector(p, lines, f, false),
                     step_at(p, index_mul(e, unit, p->fields), f, part, v), p->bytes);
    }
}

typedef void on_part(product *p, const chunk *c, LLVMValueRef argument, LLVMValueRef part);

static void for_parts(product *p, const chunk *c, LLVMValueRef argument, on_part *emit)
{
    emitter *e = p->e;
    if (p->parts == 1) {
        emit(p, c, argument, NULL);
        return;
    }
    counted_loop parts = counted_begin(e, constant64(p, 0), constant64(p, p->parts), 1, 0, NULL);
    emit(p, c, argument, parts.i);
    counted_end(e, &parts, NULL);
}

static void unpack(product *p, const chunk *c)
{
    counted_loop units = counted_begin(p->e, constant64(p, 0), c->units, 1, 0, NULL);
    for_parts(p, c, units.i, unpack_part);
    counted_end(p->e, &units, NULL);
}

// ------------------------------------------------------------------------ rows

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

typedef struct row_block {
    unsigned rows;
    LLVMValueRef numbers[PRODUCT_MOST_ROWS], at[PRODUCT_MOST_ROWS];
} row_block;

// Steps that one round of the loop makes: sums of 16 bits are added up behind each round.
static unsigned steps_per_round(const product *p)
{
    return p->e->level->dot == DOT_MADD ? p->fields : 2;
}

static void block_steps(product *p, const row_block *b, LLVMValueRef step, LLVMValueRef part,
                        LLVMValueRef *sums)
{
    emitter *e = p->e;
    byte_sum s[PRODUCT_MOST_ROWS][PRODUCT_MOST_VECTORS];
    for (unsigned r = 0; r < b->rows; r++)
        for (unsigned v = 0; v < p->vectors; v++)
            s[r][v] = (byte_sum){.sum = sums[r * p->vectors + v]};
    LLVMTypeRef bytes = LLVMVectorType(int_type(e, 8), p->bytes);
    LLVMValueRef offset = index_mul(e, step, operand_bytes(p));
    for (unsigned i = 0; i < steps_per_round(p); i++) {
        LLVMValueRef w[PRODUCT_MOST_VECTORS];
        for (unsigned v = 0; v < p->vectors; v++)
            w[v] = load_as(e, bytes, step_at(p, step, i, part, v), p->bytes);
        for (unsigned r = 0; r < b->rows; r++) {
            LLVMValueRef at = byte_at(e, b->at[r], offset);
            LLVMValueRef operand = operand_at(p, byte_at_constant(e, at, i * operand_bytes(p)));
            for (unsigned v = 0; v < p->vectors; v++)
                sum_step(p, &s[r][v], w[v], operand);
        }
    }
    for (unsigned r = 0; r < b->rows; r++)
        for (unsigned v = 0; v < p->vectors; v++) {
            sum_flush(p, &s[r][v]);
            sums[r * p->vectors + v] = s[r][v].sum;
        }
}

static void start_sums(product *p, const row_block *b, LLVMValueRef part, LLVMValueRef *sums)
{
    for (unsigned r = 0; r < b->rows; r++)
        for (unsigned v = 0; v < p->vectors; v++)
            sums[r * p->vectors + v] =
                is_chunked(p) ? load_as(p->e, sum_type(p), sum_at(p, b->numbers[r], part, v), 64)
                              : LLVMConstNull(sum_type(p));
}

static void finish_sums(product *p, const chunk *c, const row_block *b, LLVMValueRef part,
                        LLVMValueRef *sums)
{
    for (unsigned r = 0; r < b->rows; r++) {
        row_factors factors = {0};
        if (!is_chunked(p))
            factors = factors_of(p, c->group, b->numbers[r]);
        for (unsigned v = 0; v < p->vectors; v++) {
            LLVMValueRef sum = sums[r * p->vectors + v];
            if (is_chunked(p))
                store_to(p->e, sum, sum_at(p, b->numbers[r], part, v), p->bytes);
            else
                add_group(p, c->group, sum, factors, b->numbers[r], part, v);
        }
    }
}

// Bytes of entries that a row has for a chunk.
static int64_t chunk_entries(const product *p)
{
    return chunk_units(p) * p->fields * operand_bytes(p);
}

static void emit_row_block(product *p, const chunk *c, LLVMValueRef first, unsigned rows,
                           LLVMValueRef part)
{
    emitter *e = p->e;
    row_block b = {.rows = rows};
    LLVMValueRef sums[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    LLVMValueRef unit = index_add(e, c->group->first_unit, c->first);
    LLVMValueRef offset = index_mul(e, unit, operand_bytes(p) * p->fields);
    for (unsigned r = 0; r < rows; r++) {
        b.numbers[r] = index_add(e, first, constant64(p, r));
        b.at[r] = byte_at(e, row_at(p, b.numbers[r]), offset);
    }
    start_sums(p, &b, part, sums);
    for (unsigned r = 0; rows > 1 && r < rows; r++) // of the next rows
        for (int64_t at = 0; at < chunk_entries(p); at += COLUMN_LINE)
            prefetch(e, byte_at_constant(e, b.at[r], rows * p->row.bytes + at));
    LLVMValueRef count = index_mul(e, c->units, p->fields);
    counted_loop steps =
        counted_begin(e, constant64(p, 0), count, steps_per_round(p), rows * p->vectors, sums);
    for (unsigned i = 0; i < rows * p->vectors; i++)
        sums[i] = steps.phis[i];
    block_steps(p, &b, steps.i, part, sums);
    counted_end(e, &steps, sums);
    finish_sums(p, c, &b, part, steps.phis);
}

static void emit_row_blocks(product *p, const chunk *c, LLVMValueRef from, LLVMValueRef to,
                            unsigned rows, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMBasicBlockRef some = new_block(e, "some"), end = new_block(e, "end");
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, from, to, "");
    LLVMBuildCondBr(e->builder, more, some, end);
    LLVMPositionBuilderAtEnd(e->builder, some);
    counted_loop blocks = counted_begin(e, from, to, rows, 0, NULL);
    emit_row_block(p, c, blocks.i, rows, part);
    counted_end(e, &blocks, NULL);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

static void multiply_part(product *p, const chunk *c, LLVMValueRef argument, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMValueRef rest = LLVMBuildURem(e->builder, p->rows, constant64(p, p->block_rows), "");
    LLVMValueRef whole = LLVMBuildNSWSub(e->builder, p->rows, rest, "");
    (void)argument;
    emit_row_blocks(p, c, constant64(p, 0), whole, p->block_rows, part);
    emit_row_blocks(p, c, whole, p->rows, 1, part);
}

// ---------------------------------------------------------------------- groups

static void clear_sums(product *p)
{
    emitter *e = p->e;
    LLVMValueRef vectors = index_mul(e, p->rows, COLUMN_BLOCK / p->lanes);
    counted_loop l = counted_begin(e, constant64(p, 0), vectors, 1, 0, NULL);
    store_to(e, LLVMConstNull(sum_type(p)), byte_at(e, p->sums, index_mul(e, l.i, p->bytes)),
             p->bytes);
    counted_end(e, &l, NULL);
}

static void add_sums(product *p, const product_group *g)
{
    emitter *e = p->e;
    counted_loop rows = counted_begin(e, constant64(p, 0), p->rows, 1, 0, NULL);
    row_factors factors = factors_of(p, g, rows.i);
    for (unsigned v = 0; v < COLUMN_BLOCK / p->lanes; v++) {
        LLVMValueRef sum = load_as(e, sum_type(p), sum_at(p, rows.i, NULL, v), p->bytes);
        add_group(p, g, sum, factors, rows.i, NULL, v);
    }
    counted_end(e, &rows, NULL);
}

static void emit_chunk(product *p, const product_group *g, LLVMValueRef first)
{
    emitter *e = p->e;
    LLVMTypeRef i64 = int_type(e, 64);
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, g->units, first, "");
    LLVMValueRef operands[] = {left, constant64(p, chunk_units(p))};
    chunk c = {.group = g, .first = first};
    c.units = is_chunked(p) ? call_intrinsic(e, "llvm.smin", 1, &i64, 2, operands) : g->units;
    unpack(p, &c);
    for_parts(p, &c, NULL, multiply_part);
}

void emit_panel(product *p)
{
    emitter *e = p->e;
    LLVMValueRef zero = constant64(p, 0);
    int64_t groups = (p->g.units + p->group_units - 1) / p->group_units;
    counted_loop loop = counted_begin(e, zero, constant64(p, groups), 1, 0, NULL);
    product_group g = group_at(p, loop.i);
    if (!is_chunked(p)) {
        emit_chunk(p, &g, zero);
    } else {
        clear_sums(p);
        counted_loop chunks = counted_begin(e, zero, g.units, chunk_units(p), 0, NULL);
        emit_chunk(p, &g, chunks.i);
        counted_end(e, &chunks, NULL);
        add_sums(p, &g);
    }
    counted_end(e, &loop, NULL);
}
