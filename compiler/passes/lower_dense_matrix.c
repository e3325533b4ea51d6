// Dense products through the matrix unit. A block of row tiles times a block of column tiles stays
// in tile registers over the whole depth; activations and weights are read where they lie.
#include "compiler/passes/lower_matrix.h"

// 16 accumulators, 4 and 4 operands: they fit the 32 registers.
enum { ROW_TILES = 4, COLUMN_TILES = 4 };

typedef struct dense_matrix {
    lowering *l;
    product *products;
    unsigned n_products;
    int64_t tile_rows, tile_columns; // of C
} dense_matrix;

// What is multiplied at a time.
typedef struct matrix_block {
    unsigned row_tiles, column_tiles;
    ir_value *first_row, *first_column;
    ir_value *rows;  // valid ones; NULL: all
    int64_t columns; // valid ones
} matrix_block;

static ir_value *row_of_tile(const dense_matrix *k, const matrix_block *b, unsigned i)
{
    return low_add(k->l, b->first_row, low_index(k->l, i * k->tile_rows));
}

// Rows of column tile j: as many as there are columns left; NULL: all.
static ir_value *weight_rows(const dense_matrix *k, const matrix_block *b, unsigned j)
{
    int64_t left = b->columns - j * k->tile_columns;
    return left < k->tile_columns ? low_index(k->l, left) : NULL;
}

// One step of the depth, `bytes` of each row (0: whole tiles).
static void multiply_step(const dense_matrix *k, const ir_op *op, const matrix_block *b,
                          ir_value *at, int64_t bytes, ir_value **c)
{
    lowering *l = k->l;
    const place *x = &l->inputs[ir_operand(op, 0)->index];
    ir_value *w = l->inputs[ir_operand(op, 1)->index].buffer, *a[ROW_TILES];
    int64_t depth = ir_operand(op, 1)->type->dims[1].value;
    for (unsigned i = 0; i < b->row_tiles; i++)
        a[i] = matrix_load(l, "a", x->buffer, row_of_tile(k, b, i), at, depth,
                           matrix_part(l, b->rows, bytes));
    for (unsigned j = 0; j < b->column_tiles; j++) {
        ir_value *column = low_add(l, b->first_column, low_index(l, j * k->tile_columns));
        ir_value *t =
            matrix_load(l, "b", w, column, at, depth, matrix_part(l, weight_rows(k, b, j), bytes));
        for (unsigned i = 0; i < b->row_tiles; i++) {
            ir_value **sum = &c[i * b->column_tiles + j];
            *sum = matrix_multiply(l, matrix_type_name(x->type->scalar), *sum, a[i], t);
        }
    }
}

static void multiply(const dense_matrix *k, const product *p, const matrix_block *b)
{
    lowering *l = k->l;
    scalar_type t = ir_operand(p->op, 0)->type->scalar;
    int64_t depth = ir_operand(p->op, 1)->type->dims[1].value, step = matrix_depth(l, t);
    unsigned n = b->row_tiles * b->column_tiles;
    ir_value *c[ROW_TILES * COLUMN_TILES];
    for (unsigned i = 0; i < n; i++)
        c[i] = matrix_zero(l, t);
    if (depth >= step) {
        low_loop steps;
        low_for_begin(l, &steps, low_index(l, 0), low_index(l, depth / step * step),
                      low_index(l, step), n, c);
        for (unsigned i = 0; i < n; i++)
            c[i] = steps.carried[i];
        multiply_step(k, p->op, b, steps.counter, 0, c);
        low_loop_end(l, &steps, c);
        for (unsigned i = 0; i < n; i++)
            c[i] = ir_result(steps.op, i);
    }
    if (depth % step)
        multiply_step(k, p->op, b, low_index(l, depth / step * step),
                      depth % step * (int64_t)scalar_size(t), c);
    for (unsigned i = 0; i < b->row_tiles; i++)
        for (unsigned j = 0; j < b->column_tiles; j++)
            matrix_store(l, c[i * b->column_tiles + j], p->block, low_index(l, i * k->tile_rows),
                         low_index(l, j * k->tile_columns), COLUMN_TILES * k->tile_columns, NULL);
}

static void build_block(const dense_matrix *k, const matrix_block *b)
{
    lowering *l = k->l;
    for (unsigned i = 0; i < k->n_products; i++) {
        l->at.where = k->products[i].op->where;
        multiply(k, &k->products[i], b);
    }
    ir_value *rows = b->rows ? b->rows : low_index(l, b->row_tiles * k->tile_rows);
    epilogue e = {k->products, k->n_products,   b->first_row,
                  rows,        b->first_column, low_index(l, b->columns),
                  false};
    lower_epilogue(l, &e);
}

// All columns for the rows of one block: whole blocks of column tiles, then what is left.
static void build_columns(const dense_matrix *k, matrix_block b)
{
    lowering *l = k->l;
    int64_t n = ir_operand(k->products[0].op, 1)->type->dims[0].value;
    int64_t block = COLUMN_TILES * k->tile_columns, rest = n % block;
    low_loop columns;
    if (n >= block) {
        low_shared_begin(l, &columns, low_index(l, n / block), "parts");
        b.column_tiles = COLUMN_TILES;
        b.first_column = low_mul(l, columns.counter, low_index(l, block));
        b.columns = block;
        build_block(k, &b);
        low_loop_end(l, &columns, NULL);
    }
    if (rest) {
        low_shared_begin(l, &columns, low_index(l, 1), "turns");
        b.column_tiles = (unsigned)((rest + k->tile_columns - 1) / k->tile_columns);
        b.first_column = low_index(l, n - rest);
        b.columns = rest;
        build_block(k, &b);
        low_loop_end(l, &columns, NULL);
    }
}

// Whole blocks of row tiles, then single tiles, of which the last may not be whole.
void lower_dense_matrix(lowering *l, product *products, unsigned n_products)
{
    dense_matrix k = {l, products, n_products, matrix_rows(l), matrix_columns(l)};
    int64_t block = ROW_TILES * k.tile_rows, known;
    ir_value *zero = low_index(l, 0), *tile = low_index(l, k.tile_rows);
    ir_value *whole = low_sub(l, l->rows, low_rem(l, l->rows, low_index(l, block)));
    for (unsigned i = 0; i < n_products; i++)
        products[i].block = low_scratch(l, SCALAR_F32, block, COLUMN_TILES * k.tile_columns);
    low_loop rows;
    if (!low_is_constant(whole, &known) || known) {
        low_for_begin(l, &rows, zero, whole, low_index(l, block), 0, NULL);
        build_columns(&k, (matrix_block){.row_tiles = ROW_TILES, .first_row = rows.counter});
        low_loop_end(l, &rows, NULL);
    }
    low_for_begin(l, &rows, whole, l->rows, tile, 0, NULL);
    build_columns(&k, (matrix_block){.row_tiles = 1,
                                     .first_row = rows.counter,
                                     .rows = low_min(l, tile, low_sub(l, l->rows, rows.counter))});
    low_loop_end(l, &rows, NULL);
}
