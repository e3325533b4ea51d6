// Weights are loaded as f32 accumulators, n of m rows at once; the dequantizer multiplies them by n
// activations and adds them to sums of n parts for each row of weights. The vector unit adds up
// these parts afterwards.
#include "compiler/passes/lower/dense_tiles.h"
#include "compiler/passes/lower/contract.h"
#include "compiler/passes/lower/native.h"
#include "compiler/schedule/schedule.h"

// Sums in registers: of as many tiles of weights side by side, for each row of activations; and
// tiles along the depth: prefetches bring pieces of rows as long as a tile.
enum { SUMS = 16, TILES = 4, STEPS = 4, AT_ONCE = 4 };

struct dense_tiles {
    lowering *l;
    const product *p;
    ir_value *w;
    ir_value *x;           // activations: the kernel's input, or a copy of the block's rows
    ir_value *row, *x_row; // of the block, as the kernel has it and in x
    ir_value *sums;        // scratch f32 [rows of activations * rows of weights][n]
    int64_t depth;
    bool copies;
};

// Tiles of `height` rows of weights, from `column` of the block on, whose first row is `first`.
typedef struct tile_block {
    unsigned rows, tiles;
    int64_t height;
    ir_value *first, *column;
} tile_block;

static bool may_scale(scalar_type t)
{
    return t == SCALAR_F16 || t == SCALAR_F32;
}

// What the dequantizer takes as scales: rows of f16 or f32 that end with a tile.
static bool is_copied(const lowering *l, scalar_type t, int64_t depth)
{
    return !may_scale(t) || depth % l->n;
}

dense_tiles *dense_tiles_of(lowering *l, const product *p)
{
    ir_value *w = low_input(l, ir_operand(p->op, 1))->buffer;
    const place *x = low_input(l, ir_operand(p->op, 0));
    scalar_type t = w->type->scalar;
    if (is_native(l->context) || !(may_scale(t) || t == SCALAR_BF16) ||
        !schedule_dense_tiles(l->context->machine, scalar_size(t)))
        return NULL;
    dense_tiles *k = ARENA_ARRAY(l->arena, dense_tiles, 1);
    int64_t depth = ir_operand(p->op, 1)->type->dims[1].value;
    *k = (dense_tiles){.l = l, .p = p, .w = w, .x = x->buffer, .depth = depth};
    k->copies = is_copied(l, x->type->scalar, depth);
    if (k->copies)
        k->x = low_scratch(l, SCALAR_F32, DENSE_ROWS, (depth + l->n - 1) / l->n * l->n);
    k->sums = low_scratch(l, SCALAR_F32, SUMS * l->m, l->n);
    return k;
}

ir_value *dense_tiles_block(lowering *l, scalar_type t, int64_t columns)
{
    int64_t before = TILES * l->m;
    ir_value *all = low_scratch(l, t, DENSE_ROWS + 1, before + columns);
    ir_dim dims[2] = {ir_dim_constant(DENSE_ROWS), ir_dim_constant(before + columns)};
    return low_view(l, all, low_index(l, 0), low_index(l, before),
                    ir_type_buffer(l->module, t, 2, dims));
}

// Rows of activations, with zeros behind them.
static void copy_rows(dense_tiles *k, ir_value *row, unsigned count)
{
    lowering *l = k->l;
    ir_value *x = low_input(l, ir_operand(k->p->op, 0))->buffer;
    ir_value *depth = low_index(l, k->depth), *end = low_index(l, k->x->type->dims[1].value);
    for (unsigned r = 0; r < count; r++) {
        low_loop strip;
        low_strip_begin(l, &strip, depth, "f32", 0, NULL);
        ir_value *from = low_add(l, row, low_index(l, r));
        ir_value *lanes = low_cast(l, low_vload(l, x, from, strip.counter, 1), SCALAR_F32);
        low_vstore(l, lanes, k->x, low_index(l, r), strip.counter, 1);
        low_loop_end(l, &strip, NULL);
        low_fill(l, k->x, low_index(l, r), depth, end, 0);
    }
}

// ----------------------------------------------------------------------------- sums

static int64_t sums_of(const tile_block *b)
{
    return b->rows * b->tiles * b->height;
}

// The parts of a block's sum `i`, added up.
static ir_value *add_up(const dense_tiles *k, ir_value *i)
{
    lowering *l = k->l;
    ir_value *sum = low_broadcast(l, low_number(l, SCALAR_F32, 0));
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, l->n), "f16", 1, &sum);
    sum = low_binary(l, IR_ADD, strip.carried[0], low_vload(l, k->sums, i, strip.counter, 1));
    low_loop_end(l, &strip, &sum);
    return low_reduce(l, ir_result(strip.op, 0), "add");
}

static void store_sum(const dense_tiles *k, const tile_block *b, ir_value *i, ir_value *sum)
{
    lowering *l = k->l;
    const ir_value *scale = ir_operand_named(k->p->op, "scale");
    ir_value *columns = low_index(l, b->tiles * b->height), *zero = low_index(l, 0);
    ir_value *row = b->rows > 1 ? low_div(l, i, columns) : zero;
    ir_value *column = b->rows > 1 ? low_rem(l, i, columns) : i;
    if (scale)
        sum = low_binary(l, IR_MUL, sum,
                         low_load(l, low_input(l, scale)->buffer, zero, low_add(l, k->row, row)));
    low_store(l, low_cast(l, sum, k->p->block->type->scalar), k->p->block, row,
              low_add(l, b->column, column));
}

// The sums first + 0 .. count: all are added up before the first is stored.
static void add_up_some(const dense_tiles *k, const tile_block *b, ir_value *first, int64_t count)
{
    lowering *l = k->l;
    ir_value *done[AT_ONCE];
    for (int64_t i = 0; i < count; i++)
        done[i] = add_up(k, low_add(l, first, low_index(l, i)));
    for (int64_t i = 0; i < count; i++)
        store_sum(k, b, low_add(l, first, low_index(l, i)), done[i]);
}

static void add_up_all(const dense_tiles *k, const tile_block *b)
{
    lowering *l = k->l;
    const int64_t count = sums_of(b) % AT_ONCE ? 1 : AT_ONCE;
    low_loop sums;
    low_for_begin(l, &sums, low_index(l, 0), low_index(l, sums_of(b)), low_index(l, count), 0,
                  NULL);
    add_up_some(k, b, sums.counter, count);
    low_loop_end(l, &sums, NULL);
}

// ------------------------------------------------------------------------- products

static ir_value *load_weights(const dense_tiles *k, const tile_block *b, ir_value *at,
                              unsigned tile, int64_t columns)
{
    lowering *l = k->l;
    scalar_type t = k->w->type->scalar;
    ir_dim dims[1] = {ir_dim_constant(1)};
    ir_value *row =
        low_mul(l, low_add(l, b->first, low_index(l, tile * b->height)), low_index(l, k->depth));
    ir_value *from = low_view(l, k->w, low_index(l, 0), low_add(l, row, at),
                              ir_type_buffer(l->module, t, 1, dims));
    int64_t stride = k->depth * (int64_t)scalar_size(t);
    ir_value *c = ir_build1(&l->at, IR_XLUT_LDA, ir_type_tile(l->module, TILE_F32), from,
                            b->height > 1 ? low_index(l, stride) : NULL,
                            columns < l->n ? low_index(l, columns) : NULL);
    ir_set_name(c->op, "type", scalar_rows[t].name);
    return c;
}

static ir_value *add_product(const dense_tiles *k, unsigned row, ir_value *at, ir_value *weights,
                             ir_value *sum)
{
    lowering *l = k->l;
    ir_dim n[1] = {ir_dim_constant(l->n)};
    ir_value *x = low_view(l, k->x, low_add(l, k->x_row, low_index(l, row)), at,
                           ir_type_buffer(l->module, k->x->type->scalar, 1, n));
    return low_scale_into(l, sum, weights, x, NULL);
}

// `steps` tiles of the depth from `at` on, or less of one: in the order in which rows are
// prefetched. Loads go before the sums that the dequantizer still works on.
static void add_step(const dense_tiles *k, const tile_block *b, ir_value *at, unsigned steps,
                     int64_t columns, ir_value **sums)
{
    lowering *l = k->l;
    const unsigned all = steps * b->tiles;
    ir_value *next = load_weights(k, b, at, 0, columns);
    for (unsigned i = 0; i < all; i++) {
        ir_value *weights = next, *here = low_add(l, at, low_index(l, i % steps * l->n));
        ir_value *then = low_add(l, at, low_index(l, (i + 1) % steps * l->n));
        if (i + 1 < all)
            next = load_weights(k, b, then, (i + 1) / steps, columns);
        for (unsigned r = 0; r < b->rows; r++) {
            ir_value **sum = &sums[r * b->tiles + i / steps];
            *sum = add_product(k, r, here, weights, *sum);
        }
    }
}

// The sum `i` of those that a round adds up, `each` of them, so that all rounds add up all.
static ir_value *sum_of_round(const dense_tiles *k, const tile_block *b, ir_value *round,
                              int64_t each, int64_t i)
{
    lowering *l = k->l;
    ir_value *sum = low_add(l, low_mul(l, round, low_index(l, each)), low_index(l, i));
    return low_rem(l, sum, low_index(l, sums_of(b)));
}

// Rounds of `steps` tiles of the depth. The sums of another block (NULL: none) are added up
// meanwhile.
static void add_steps(const dense_tiles *k, const tile_block *b, int64_t from, int64_t to,
                      unsigned steps, const tile_block *before, ir_value **sums)
{
    lowering *l = k->l;
    const unsigned n = b->rows * b->tiles;
    const int64_t step = steps * l->n, rounds = (to - from) / step;
    const int64_t each = before && rounds ? (sums_of(before) + rounds - 1) / rounds : 0;
    ir_value **old = ARENA_ARRAY(l->arena, ir_value *, (size_t)each),
             **done = ARENA_ARRAY(l->arena, ir_value *, (size_t)each);
    low_loop depth;
    if (!rounds)
        return;
    low_for_begin(l, &depth, low_index(l, from), low_index(l, to), low_index(l, step), n, sums);
    for (unsigned i = 0; i < n; i++)
        sums[i] = depth.carried[i];
    ir_value *round = low_div(l, depth.counter, low_index(l, step));
    for (int64_t i = 0; i < each; i++) {
        old[i] = sum_of_round(k, before, round, each, i);
        done[i] = add_up(k, old[i]);
    }
    add_step(k, b, depth.counter, steps, l->n, sums);
    for (int64_t i = 0; i < each; i++)
        store_sum(k, before, old[i], done[i]);
    low_loop_end(l, &depth, sums);
    for (unsigned i = 0; i < n; i++)
        sums[i] = ir_result(depth.op, i);
}

static void multiply(const dense_tiles *k, const tile_block *b, const tile_block *before)
{
    lowering *l = k->l;
    const int64_t whole = k->depth / (STEPS * l->n) * STEPS * l->n, end = k->depth / l->n * l->n;
    ir_value *sums[SUMS];
    if (before && !whole)
        add_up_all(k, before);
    for (unsigned i = 0; i < b->rows * b->tiles; i++)
        sums[i] = low_tile_zero(l, TILE_F32);
    add_steps(k, b, 0, whole, STEPS, before, sums);
    add_steps(k, b, whole, end, 1, NULL, sums);
    if (end < k->depth)
        add_step(k, b, low_index(l, end), 1, k->depth - end, sums);
    for (unsigned i = 0; i < b->rows * b->tiles; i++) {
        ir_dim dims[1] = {ir_dim_constant(l->n)};
        ir_value *to = low_view(l, k->sums, low_index(l, i * b->height), low_index(l, 0),
                                ir_type_buffer(l->module, SCALAR_F32, 1, dims));
        ir_value *operands[4] = {sums[i], to, b->height > 1 ? low_index(l, 4 * l->n) : NULL, NULL};
        ir_set_name(ir_build(&l->at, IR_XLUT_STA, 4, operands, 0, NULL), "type", "f32");
    }
}

// -------------------------------------------------------------------------- columns

// Single tiles of `height` rows of weights, of the columns from .. to.
static void build_tiles(const dense_tiles *k, unsigned rows, ir_value *first, ir_value *from,
                        ir_value *to, int64_t height)
{
    lowering *l = k->l;
    low_loop columns;
    low_for_begin(l, &columns, from, to, low_index(l, height), 0, NULL);
    tile_block b = {rows, 1, height, low_add(l, first, columns.counter), columns.counter};
    multiply(k, &b, NULL);
    add_up_all(k, &b);
    low_loop_end(l, &columns, NULL);
}

// Blocks of tiles, of the columns up to `to`. A block's sums are added up in the rounds of the next
// one; those before the first are none, and lie in front.
static void build_blocks(const dense_tiles *k, unsigned rows, unsigned tiles, ir_value *first,
                         ir_value *to)
{
    lowering *l = k->l;
    ir_value *step = low_index(l, tiles * l->m);
    low_loop columns;
    low_for_begin(l, &columns, low_index(l, 0), to, step, 0, NULL);
    tile_block b = {rows, tiles, l->m, low_add(l, first, columns.counter), columns.counter};
    tile_block before = b;
    before.column = low_sub(l, columns.counter, step);
    multiply(k, &b, &before);
    low_loop_end(l, &columns, NULL);
    before.column = low_sub(l, to, step);
    add_up_all(k, &before);
}

// Rows of weights whose pieces share the sets of scratch: what is read of so many neighbours.
static int64_t rows_in_set(const dense_tiles *k, int64_t rows)
{
    const machine *m = k->l->context->machine;
    int64_t way = (int64_t)m->scratch_size / m->scratch_ways;
    int64_t stride = k->depth * (int64_t)scalar_size(k->w->type->scalar);
    int64_t apart = least_multiple(stride, way) / stride;
    return (rows + apart - 1) / apart;
}

// As many as there are registers for, and half of the ways of scratch: pieces of each row are read
// and are on their way.
static unsigned tiles_at_once(const dense_tiles *k, unsigned rows)
{
    unsigned tiles = SUMS / rows < TILES ? SUMS / rows : TILES;
    while (tiles > 1 && 2 * rows_in_set(k, tiles * k->l->m) > k->l->context->machine->scratch_ways)
        tiles /= 2;
    return tiles;
}

static ir_value *last_multiple(lowering *l, ir_value *from, ir_value *to, int64_t step)
{
    return low_sub(l, to, low_rem(l, low_sub(l, to, from), low_index(l, step)));
}

void lower_dense_tiles(dense_tiles *k, ir_value *row, unsigned count, ir_value *first,
                       ir_value *width)
{
    lowering *l = k->l;
    const unsigned at_once = tiles_at_once(k, count);
    ir_value *zero = low_index(l, 0), *blocks = last_multiple(l, zero, width, at_once * l->m),
             *tiles = last_multiple(l, blocks, width, l->m);
    k->row = row;
    k->x_row = k->copies ? zero : row;
    if (k->copies)
        copy_rows(k, row, count);
    if (blocks != zero)
        build_blocks(k, count, at_once, first, blocks);
    if (tiles != blocks)
        build_tiles(k, count, first, blocks, tiles, l->m);
    if (width != tiles)
        build_tiles(k, count, first, tiles, width, 1);
}
