// Dense products through the matrix unit. A block of row tiles times a block of column tiles stays
// in tile registers over the whole depth; activations and weights are read where they lie, but for
// weights in planes: rows of these are first made numbers, once for all rows of activations. Sums
// of elements of 8 bits take the scales of their row and column afterwards.
#include "compiler/passes/lower/matrix.h"
#include "compiler/passes/lower/unpack.h"
#include "compiler/schedule/schedule.h"

// 16 accumulators, 4 and 4 operands: they fit the 32 registers.
enum { ROW_TILES = MATRIX_BLOCK_TILES, COLUMN_TILES = MATRIX_BLOCK_TILES };

typedef struct dense_matrix {
    lowering *l;
    product *products;
    unsigned n_products;
    int64_t tile_rows, tile_columns; // of C
    unsigned row_tiles;              // of a block
    // By product, of weights in planes: how rows are unpacked, and scratch for those of a block of
    // columns, in the activations' type. NULL: of dense weights.
    plane_table *planes;
    ir_value **unpacked;
    // By product, of weights in bytes: their geometry, and scratch for the sums of a block. NULL
    // sums: of others.
    pack_geometry *bytes;
    ir_value **sums;
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

// Where the column tile of the block begins, which blocks do not cross, `offset` bytes further.
static ir_value *of_column_tile(const dense_matrix *k, unsigned number, const matrix_block *b,
                                int64_t offset, const ir_type *type)
{
    lowering *l = k->l;
    ir_value *stream = low_input(l, ir_operand(k->products[number].op, 1))->buffer;
    ir_value *tile = low_div(l, b->first_column, low_index(l, l->n));
    ir_value *at = low_mul(l, tile, low_index(l, k->bytes[number].column_tile_bytes));
    return low_view(l, stream, low_index(l, 0), low_add(l, at, low_index(l, offset)), type);
}

static ir_value *column_in_tile(const dense_matrix *k, const matrix_block *b)
{
    return low_rem(k->l, b->first_column, low_index(k->l, k->l->n));
}

// The block's rows of weights: what they are loaded from, and the first one.
static ir_value *weights_of(const dense_matrix *k, unsigned number, const matrix_block *b,
                            ir_value **first)
{
    lowering *l = k->l;
    const ir_value *x = ir_operand(k->products[number].op, 0);
    const ir_value *w = ir_operand(k->products[number].op, 1);
    *first = k->unpacked[number] ? low_index(l, 0) : b->first_column;
    if (k->unpacked[number])
        return k->unpacked[number];
    if (!k->sums[number])
        return low_input(l, w)->buffer;
    ir_dim dims[2] = {ir_dim_constant(l->n), w->type->dims[1]};
    *first = column_in_tile(k, b);
    return of_column_tile(k, number, b, 0, ir_type_buffer(l->module, x->type->scalar, 2, dims));
}

// One step of the depth, `bytes` of each row (0: whole tiles).
static void multiply_step(const dense_matrix *k, unsigned number, const matrix_block *b,
                          ir_value *at, int64_t bytes, ir_value **c)
{
    lowering *l = k->l;
    const ir_op *op = k->products[number].op;
    const place *x = low_input(l, ir_operand(op, 0));
    ir_value *a[ROW_TILES], *first, *w = weights_of(k, number, b, &first);
    int64_t depth = ir_operand(op, 1)->type->dims[1].value;
    for (unsigned i = 0; i < b->row_tiles; i++)
        a[i] = matrix_load(l, "a", x->buffer, row_of_tile(k, b, i), at, depth,
                           matrix_part(l, b->rows, bytes));
    for (unsigned j = 0; j < b->column_tiles; j++) {
        ir_value *column = low_add(l, first, low_index(l, j * k->tile_columns));
        ir_value *t =
            matrix_load(l, "b", w, column, at, depth, matrix_part(l, weight_rows(k, b, j), bytes));
        for (unsigned i = 0; i < b->row_tiles; i++) {
            ir_value **sum = &c[i * b->column_tiles + j];
            *sum = matrix_multiply(l, matrix_type_name(x->type->scalar), *sum, a[i], t);
        }
    }
}

// The block's sums times the scales of their columns and rows, where there are rows.
static void scale_sums(const dense_matrix *k, unsigned number, const matrix_block *b)
{
    lowering *l = k->l;
    const product *p = &k->products[number];
    const ir_value *scale = ir_operand_named(p->op, "scale");
    ir_value *zero = low_index(l, 0), *sums = k->sums[number];
    ir_dim dims[1] = {ir_dim_constant(l->n)};
    ir_value *columns = of_column_tile(k, number, b, k->bytes[number].plane_bytes,
                                       ir_type_buffer(l->module, SCALAR_F32, 1, dims));
    ir_value *first = column_in_tile(k, b);
    low_loop rows, strip;
    low_for_begin(l, &rows, zero, b->rows ? b->rows : low_index(l, b->row_tiles * k->tile_rows),
                  low_index(l, 1), 0, NULL);
    ir_value *of_row = NULL;
    if (scale)
        of_row =
            low_load(l, low_input(l, scale)->buffer, zero, low_add(l, b->first_row, rows.counter));
    low_strip_begin(l, &strip, low_index(l, b->columns), "f32", 0, NULL);
    ir_value *factor = low_vload(l, columns, zero, low_add(l, first, strip.counter), 1);
    if (of_row)
        factor = low_binary(l, IR_MUL, factor, low_broadcast(l, of_row));
    ir_value *x = low_cast(l, low_vload(l, sums, rows.counter, strip.counter, 1), SCALAR_F32);
    low_vstore(l, low_binary(l, IR_MUL, x, factor), p->block, rows.counter, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
    low_loop_end(l, &rows, NULL);
}

static void multiply(const dense_matrix *k, unsigned number, const matrix_block *b)
{
    lowering *l = k->l;
    const product *p = &k->products[number];
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
        multiply_step(k, number, b, steps.counter, 0, c);
        low_loop_end(l, &steps, c);
        for (unsigned i = 0; i < n; i++)
            c[i] = ir_result(steps.op, i);
    }
    if (depth % step)
        multiply_step(k, number, b, low_index(l, depth / step * step),
                      depth % step * (int64_t)scalar_size(t), c);
    for (unsigned i = 0; i < b->row_tiles; i++)
        for (unsigned j = 0; j < b->column_tiles; j++)
            matrix_store(l, c[i * b->column_tiles + j],
                         k->sums[number] ? k->sums[number] : p->block,
                         low_index(l, i * k->tile_rows), low_index(l, j * k->tile_columns),
                         COLUMN_TILES * k->tile_columns, NULL);
    if (k->sums[number])
        scale_sums(k, number, b);
}

static void build_block(const dense_matrix *k, matrix_block b)
{
    lowering *l = k->l;
    for (unsigned i = 0; i < k->n_products; i++) {
        l->at.where = k->products[i].op->where;
        multiply(k, i, &b);
    }
    ir_value *rows = b.rows ? b.rows : low_index(l, b.row_tiles * k->tile_rows);
    epilogue e = {k->products,    k->n_products,           b.first_row, rows,
                  b.first_column, low_index(l, b.columns), false};
    lower_epilogue(l, &e);
}

// ------------------------------------------------------------ weights in planes

static void unpack_column(const dense_matrix *k, unsigned i, ir_value *index, ir_value *row)
{
    lowering *l = k->l;
    const ir_op *op = k->products[i].op;
    int64_t depth = ir_operand(op, 1)->type->dims[1].value;
    ir_value *zero = low_index(l, 0);
    unpack_row(l, &k->planes[i], index);
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, depth), "f32", 0, NULL);
    ir_value *x = low_vload(l, k->planes[i].values, zero, strip.counter, 1);
    low_vstore(l, low_cast(l, x, k->unpacked[i]->type->scalar), k->unpacked[i], row, strip.counter,
               1);
    low_loop_end(l, &strip, NULL);
}

static void unpack_columns(const dense_matrix *k, const matrix_block *b)
{
    lowering *l = k->l;
    for (unsigned i = 0; i < k->n_products; i++) {
        if (!k->unpacked[i])
            continue;
        low_loop columns;
        l->at.where = k->products[i].op->where;
        low_for_begin(l, &columns, low_index(l, 0), low_index(l, b->columns), low_index(l, 1), 0,
                      NULL);
        unpack_column(k, i, low_add(l, b->first_column, columns.counter), columns.counter);
        low_loop_end(l, &columns, NULL);
    }
}

static bool prepare_planes(dense_matrix *k)
{
    lowering *l = k->l;
    bool any = false;
    k->planes = ARENA_ARRAY(l->arena, plane_table, k->n_products);
    k->unpacked = ARENA_ARRAY(l->arena, ir_value *, k->n_products);
    for (unsigned i = 0; i < k->n_products; i++) {
        const ir_value *w = ir_operand(k->products[i].op, 1);
        quant_format f;
        k->unpacked[i] = NULL;
        if (!quant_format_parse(w->type->format, &f) || !quant_looks_up(&f))
            continue;
        k->planes[i] = unpack_table(l, low_input(l, w), &f);
        k->unpacked[i] = low_scratch(l, ir_operand(k->products[i].op, 0)->type->scalar,
                                     COLUMN_TILES * k->tile_columns, w->type->dims[1].value);
        any = true;
    }
    return any;
}

// -------------------------------------------------------------- weights in bytes

static void prepare_bytes(dense_matrix *k)
{
    lowering *l = k->l;
    pack_shape shape = {(unsigned)l->m, (unsigned)l->n};
    k->bytes = ARENA_ARRAY(l->arena, pack_geometry, k->n_products);
    k->sums = ARENA_ARRAY(l->arena, ir_value *, k->n_products);
    for (unsigned i = 0; i < k->n_products; i++) {
        const ir_type *w = ir_operand(k->products[i].op, 1)->type;
        quant_format f;
        k->sums[i] = NULL;
        if (!quant_format_parse(w->format, &f) || f.kind != QUANT_BYTES)
            continue;
        pack_geometry_of(&f, w->dims[0].value, w->dims[1].value, shape, &k->bytes[i]);
        k->sums[i] = low_scratch(l, f.element == SCALAR_I8 ? SCALAR_I32 : SCALAR_F32,
                                 ROW_TILES * k->tile_rows, COLUMN_TILES * k->tile_columns);
    }
}

// ----------------------------------------------------------------------- blocks

typedef void block_function(const dense_matrix *k, matrix_block b);

// All rows, in whole blocks of row tiles, then in single tiles, of which the last may not be whole.
static void for_rows(const dense_matrix *k, matrix_block b, block_function *body)
{
    lowering *l = k->l;
    int64_t block = k->row_tiles * k->tile_rows, known;
    ir_value *zero = low_index(l, 0), *tile = low_index(l, k->tile_rows);
    ir_value *whole = low_sub(l, l->rows, low_rem(l, l->rows, low_index(l, block)));
    low_loop rows;
    if (!low_is_constant(whole, &known) || known) {
        low_for_begin(l, &rows, zero, whole, low_index(l, block), 0, NULL);
        b.row_tiles = k->row_tiles;
        b.first_row = rows.counter;
        body(k, b);
        low_loop_end(l, &rows, NULL);
    }
    low_for_begin(l, &rows, whole, l->rows, tile, 0, NULL);
    b.row_tiles = 1;
    b.first_row = rows.counter;
    b.rows = low_min(l, tile, low_sub(l, l->rows, rows.counter));
    body(k, b);
    low_loop_end(l, &rows, NULL);
}

// All columns, in whole blocks of column tiles, then what is left.
static void for_columns(const dense_matrix *k, matrix_block b, block_function *body)
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
        body(k, b);
        low_loop_end(l, &columns, NULL);
    }
    if (rest) {
        low_shared_begin(l, &columns, low_index(l, 1), "turns");
        b.column_tiles = (unsigned)((rest + k->tile_columns - 1) / k->tile_columns);
        b.first_column = low_index(l, n - rest);
        b.columns = rest;
        body(k, b);
        low_loop_end(l, &columns, NULL);
    }
}

static void all_columns(const dense_matrix *k, matrix_block b)
{
    for_columns(k, b, build_block);
}

static void unpack_and_all_rows(const dense_matrix *k, matrix_block b)
{
    unpack_columns(k, &b);
    for_rows(k, b, build_block);
}

// Columns are what ranks share. Rows stand outside, so that a machine of many can share them too,
// unless the weights of the columns had to be unpacked for each of their blocks.
void lower_dense_matrix(lowering *l, product *products, unsigned n_products)
{
    dense_matrix k = {.l = l,
                      .products = products,
                      .n_products = n_products,
                      .tile_rows = matrix_rows(l),
                      .tile_columns = matrix_columns(l)};
    int64_t wish = ir_integer(l->kernel, "row_block");
    k.row_tiles = wish > 0 && wish < ROW_TILES ? (unsigned)wish : ROW_TILES;
    for (unsigned i = 0; i < n_products; i++)
        products[i].block =
            low_scratch(l, SCALAR_F32, ROW_TILES * k.tile_rows, COLUMN_TILES * k.tile_columns);
    prepare_bytes(&k);
    if (prepare_planes(&k))
        for_columns(&k, (matrix_block){0}, unpack_and_all_rows);
    else
        for_rows(&k, (matrix_block){0}, all_columns);
}
