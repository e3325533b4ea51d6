// Attention through the matrix unit: blocks of 8m queries (rows x heads of a group) times tiles of
// keys, then weights times values.
//
// Numbers stay those of f32: a query, and later a weight, is the sum of as many halves (or bfloats)
// as hold its digits, and products are added in f32. Where the kernel's precision is `rounded`, one
// has to do.
#include "compiler/passes/lower/attend.h"
#include "compiler/passes/lower/matrix.h"

#include <float.h>

enum { MAX_RESIDENT = 16, MAX_TILES = 16, MAX_PARTS = 3, HALF_BYTES = 2, LINE = 64 };

typedef struct matrix_attention {
    attention *a;
    scalar_type half;
    const char *type;
    unsigned parts, weight_parts; // halves that a query and a weight consist of
    int64_t rows, columns, step;  // of a block; keys of a tile; depth of a tile
    int64_t keys;                 // that are weighed at once: a block, or all, in whole tiles
    int64_t row;                  // of scores; a line longer, so that rows meet in no set
    int64_t width;                // a row of results, padded
    ir_value *q[MAX_PARTS];       // scratch [rows][depth] of halves
    ir_value *weights[MAX_PARTS]; // scratch [rows][row] of halves
    ir_value *scores, *results;   // scratch f32 [rows][row], [rows][width]
    ir_value *sums;               // scratch f32 [rows]
    ir_value *added;              // scratch f32 [rows][width]: of a block of keys; NULL: of all
    ir_value *greatest, *factors; // scratch f32 [rows]: scores so far, of what was added before

    // the block at work
    ir_value *first, *count; // its first query, how many
    ir_value *from, *seen;   // the keys that are looked at: first key, how many
} matrix_attention;

static int64_t padded(int64_t x, int64_t to)
{
    return (x + to - 1) / to * to;
}

// Half a block: an instruction takes as long for one row as for all.
int64_t attend_matrix_queries(const attention *a)
{
    return matrix_rows(a->l) / 2;
}

// ---------------------------------------------------------------------- queries

static ir_value *share_of(const matrix_attention *x)
{
    return low_index(x->a->l, x->a->heads / x->a->groups);
}

// The row of tokens that query `i` of the block belongs to.
static ir_value *token_of(const matrix_attention *x, ir_value *i)
{
    return low_div(x->a->l, low_add(x->a->l, x->first, i), share_of(x));
}

static ir_value *head_of(const matrix_attention *x, ir_value *i)
{
    lowering *l = x->a->l;
    ir_value *in_group = low_rem(l, low_add(l, x->first, i), share_of(x));
    return low_add(l, low_mul(l, x->a->group, share_of(x)), in_group);
}

// Its row in q and y.
static ir_value *row_of(const matrix_attention *x, ir_value *i)
{
    lowering *l = x->a->l;
    ir_value *row = low_add(l, low_mul(l, x->a->batch, x->a->rows), token_of(x, i));
    return low_add(l, low_mul(l, row, low_index(l, x->a->heads)), head_of(x, i));
}

static ir_value *last_key_of(const matrix_attention *x, ir_value *i)
{
    return low_add(x->a->l, x->a->position, token_of(x, i));
}

// A vector of f32 as halves that add up to it.
static void store_halves(const matrix_attention *x, ir_value *vector, unsigned parts,
                         ir_value *const *to, ir_value *row, ir_value *column)
{
    lowering *l = x->a->l;
    for (unsigned h = 0; h < parts; h++) {
        ir_value *half = low_cast(l, vector, x->half);
        low_vstore(l, half, to[h], row, column, 1);
        if (h + 1 < parts)
            vector = low_binary(l, IR_SUB, vector, low_cast(l, half, SCALAR_F32));
    }
}

static void take_queries(const matrix_attention *x)
{
    lowering *l = x->a->l;
    low_loop queries, strip;
    low_for_begin(l, &queries, low_index(l, 0), x->count, low_index(l, 1), 0, NULL);
    ir_value *row = row_of(x, queries.counter);
    low_strip_begin(l, &strip, low_index(l, x->a->depth), "f32", 0, NULL);
    ir_value *q = low_vload(l, x->a->q->buffer, row, strip.counter, 1);
    store_halves(x, low_cast(l, q, SCALAR_F32), x->parts, x->q, queries.counter, strip.counter);
    low_loop_end(l, &strip, NULL);
    low_loop_end(l, &queries, NULL);
}

// A window begins at a whole tile, so that sums do not depend on the block.
static void find_keys(matrix_attention *x)
{
    lowering *l = x->a->l;
    ir_value *one = low_index(l, 1), *zero = low_index(l, 0);
    x->from = zero;
    if (x->a->window) {
        ir_value *first = low_sub(l, last_key_of(x, zero), low_index(l, x->a->window - 1));
        first = low_sub(l, first, low_min(l, first, zero)); // max(0, ..)
        x->from = low_sub(l, first, low_rem(l, first, low_index(l, x->step)));
    }
    ir_value *end = low_add(l, last_key_of(x, low_sub(l, x->count, one)), one);
    x->seen = low_sub(l, end, x->from);
}

// ----------------------------------------------------------------------- scores

typedef struct query_tiles {
    unsigned steps;
    bool resident; // else loaded again for each tile of keys
    ir_value *tile[MAX_RESIDENT];
} query_tiles;

// Bytes of depth step `s` of rows of `depth` elements; 0: whole.
static int64_t step_bytes(const matrix_attention *x, int64_t depth, int64_t step, unsigned s)
{
    int64_t left = depth - step * s;
    return left < step ? left * (int64_t)scalar_size(x->half) : 0;
}

static ir_value *query_tile(const matrix_attention *x, unsigned s, unsigned h)
{
    lowering *l = x->a->l;
    ir_value *part = matrix_part(l, x->count, step_bytes(x, x->a->depth, x->step, s));
    return matrix_load(l, "a", x->q[h], low_index(l, 0), low_index(l, s * x->step), x->a->depth,
                       part);
}

static query_tiles load_queries(const matrix_attention *x)
{
    query_tiles q = {.steps = (unsigned)((x->a->depth + x->step - 1) / x->step)};
    q.resident = q.steps * x->parts <= MAX_RESIDENT;
    for (unsigned s = 0; q.resident && s < q.steps; s++)
        for (unsigned h = 0; h < x->parts; h++)
            q.tile[s * x->parts + h] = query_tile(x, s, h);
    return q;
}

static ir_value *score_tile(const matrix_attention *x, const query_tiles *q, ir_value *key)
{
    lowering *l = x->a->l;
    ir_value *c = matrix_zero(l, x->half), *row = attend_cache_row(x->a, low_add(l, x->from, key));
    ir_value *keys = low_min(l, low_index(l, x->columns), low_sub(l, x->seen, key));
    for (unsigned s = 0; s < q->steps; s++) {
        ir_value *part = matrix_part(l, keys, step_bytes(x, x->a->depth, x->step, s));
        ir_value *b = matrix_load(l, "b", x->a->k->buffer, row, low_index(l, s * x->step),
                                  x->a->groups * x->a->depth, part);
        for (unsigned h = 0; h < x->parts; h++) {
            ir_value *a = q->resident ? q->tile[s * x->parts + h] : query_tile(x, s, h);
            c = matrix_multiply(l, x->type, c, a, b);
        }
    }
    return c;
}

static void score(const matrix_attention *x)
{
    lowering *l = x->a->l;
    query_tiles q = load_queries(x);
    low_loop keys;
    low_for_begin(l, &keys, low_index(l, 0), x->seen, low_index(l, x->columns), 0, NULL);
    ir_value *c = score_tile(x, &q, keys.counter);
    matrix_store(l, c, x->scores, low_index(l, 0), keys.counter, x->row, NULL);
    low_loop_end(l, &keys, NULL);
}

// ---------------------------------------------------------------------- weights

// Scaled, slopes added, minus infinity for keys that query `i` does not see.
static ir_value *final_score(const matrix_attention *x, ir_value *i, ir_value *slope,
                             ir_value *column)
{
    lowering *l = x->a->l;
    ir_value *scale = low_number(l, SCALAR_F32, ir_number(x->a->op, "scale"));
    ir_value *y = low_vload(l, x->scores, i, column, 1);
    ir_value *distance = attend_distances(l, low_add(l, x->from, column), last_key_of(x, i));
    y = low_binary(l, IR_MUL, y, low_broadcast(l, scale));
    if (slope)
        y = ir_build1(&l->at, IR_FMA, y->type, low_cast(l, distance, SCALAR_F32),
                      low_broadcast(l, slope), y);
    y = attend_where(l, "le", distance, 0, y);
    if (x->a->window)
        y = attend_where(l, "gt", distance, -x->a->window, y);
    return y;
}

static ir_value *maximum_of(const matrix_attention *x, ir_value *i)
{
    lowering *l = x->a->l;
    ir_value *maximum = low_broadcast(l, low_number(l, SCALAR_F32, -__builtin_inf()));
    ir_value *slope = NULL;
    if (x->a->slopes)
        slope = low_load(l, x->a->slopes->buffer, low_index(l, 0), head_of(x, i));
    low_loop strip;
    low_strip_begin(l, &strip, x->seen, "f32", 1, &maximum);
    ir_value *y = final_score(x, i, slope, strip.counter);
    low_vstore(l, y, x->scores, i, strip.counter, 1);
    maximum = low_binary(l, IR_MAX, strip.carried[0], y);
    low_loop_end(l, &strip, &maximum);
    return low_reduce(l, ir_result(strip.op, 0), "max");
}

// Scores of query i less the maximum become weights; their sum.
static ir_value *weigh_query(const matrix_attention *x, ir_value *i, ir_value *maximum)
{
    lowering *l = x->a->l;
    ir_value *sum = low_broadcast(l, low_number(l, SCALAR_F32, 0));
    low_loop strip;
    low_strip_begin(l, &strip, x->seen, "f32", 1, &sum);
    ir_value *y = low_vload(l, x->scores, i, strip.counter, 1);
    y = low_exp_of_rest(l, y, low_broadcast(l, maximum));
    store_halves(x, y, x->weight_parts, x->weights, i, strip.counter);
    sum = low_binary(l, IR_ADD, strip.carried[0], y);
    low_loop_end(l, &strip, &sum);
    return low_reduce(l, ir_result(strip.op, 0), "add");
}

static ir_value *load_cell(const matrix_attention *x, ir_value *cells, ir_value *i)
{
    return low_load(x->a->l, cells, low_index(x->a->l, 0), i);
}

static void store_cell(const matrix_attention *x, ir_value *y, ir_value *cells, ir_value *i)
{
    low_store(x->a->l, y, cells, low_index(x->a->l, 0), i);
}

static void weigh(const matrix_attention *x)
{
    lowering *l = x->a->l;
    low_loop queries;
    low_for_begin(l, &queries, low_index(l, 0), x->count, low_index(l, 1), 0, NULL);
    ir_value *maximum = maximum_of(x, queries.counter);
    store_cell(x, weigh_query(x, queries.counter, maximum), x->sums, queries.counter);
    low_loop_end(l, &queries, NULL);
}

// ----------------------------------------------------------------------- values

// Adds `step` keys' values, of the tiles of columns first .. first + tiles.
static void add_values(const matrix_attention *x, ir_value *key, unsigned first, unsigned tiles,
                       ir_value **c)
{
    lowering *l = x->a->l;
    ir_value *keys = low_min(l, low_index(l, x->step), low_sub(l, x->seen, key));
    ir_value *part = low_add(l, x->count, low_mul(l, keys, low_index(l, HALF_BYTES << 16)));
    ir_value *row = attend_cache_row(x->a, low_add(l, x->from, key)), *w[MAX_PARTS];
    for (unsigned h = 0; h < x->weight_parts; h++)
        w[h] = matrix_load(l, "a", x->weights[h], low_index(l, 0), key, x->row, part);
    for (unsigned j = 0; j < tiles; j++) {
        int64_t bytes = step_bytes(x, x->a->width, x->columns, first + j);
        ir_value *v =
            matrix_load(l, "bt", x->a->v->buffer, row, low_index(l, (first + j) * x->columns),
                        x->a->groups * x->a->width, matrix_part(l, keys, bytes));
        for (unsigned h = 0; h < x->weight_parts; h++)
            c[j] = matrix_multiply(l, x->type, c[j], w[h], v);
    }
}

static void sum_columns(const matrix_attention *x, ir_value *to, unsigned first, unsigned tiles)
{
    lowering *l = x->a->l;
    ir_value *c[MAX_TILES];
    for (unsigned j = 0; j < tiles; j++)
        c[j] = matrix_zero(l, x->half);
    low_loop keys;
    low_for_begin(l, &keys, low_index(l, 0), x->seen, low_index(l, x->step), tiles, c);
    for (unsigned j = 0; j < tiles; j++)
        c[j] = keys.carried[j];
    add_values(x, keys.counter, first, tiles, c);
    low_loop_end(l, &keys, c);
    for (unsigned j = 0; j < tiles; j++)
        matrix_store(l, ir_result(keys.op, j), to, low_index(l, 0),
                     low_index(l, (first + j) * x->columns), x->width, NULL);
}

static void sum_values(const matrix_attention *x, ir_value *to)
{
    unsigned all = (unsigned)(x->width / x->columns);
    for (unsigned first = 0; first < all; first += MAX_TILES)
        sum_columns(x, to, first, all - first < MAX_TILES ? all - first : MAX_TILES);
}

// -------------------------------------------------------------- blocks of keys

static void begin_blocks(const matrix_attention *x)
{
    lowering *l = x->a->l;
    ir_value *zero = low_index(l, 0), *rows = low_index(l, x->rows);
    low_fill(l, x->greatest, zero, zero, rows, -FLT_MAX);
    low_fill(l, x->sums, zero, zero, rows, 0);
    low_loop queries;
    low_for_begin(l, &queries, zero, x->count, low_index(l, 1), 0, NULL);
    low_fill(l, x->results, queries.counter, zero, low_index(l, x->width), 0);
    low_loop_end(l, &queries, NULL);
}

// What was added before counts exp(greatest before - greatest now) times.
static void find_factors(const matrix_attention *x)
{
    lowering *l = x->a->l;
    ir_value *zero = low_index(l, 0);
    low_loop queries, strip;
    low_for_begin(l, &queries, zero, x->count, low_index(l, 1), 0, NULL);
    store_cell(x, maximum_of(x, queries.counter), x->factors, queries.counter);
    low_loop_end(l, &queries, NULL);
    low_strip_begin(l, &strip, x->count, "f32", 0, NULL);
    ir_value *before = low_vload(l, x->greatest, zero, strip.counter, 1);
    ir_value *now = low_vload(l, x->factors, zero, strip.counter, 1);
    now = low_binary(l, IR_MAX, before, now);
    low_vstore(l, now, x->greatest, zero, strip.counter, 1);
    ir_value *factor = low_exp_of_rest(l, before, now);
    low_vstore(l, factor, x->factors, zero, strip.counter, 1);
    ir_value *sum = low_vload(l, x->sums, zero, strip.counter, 1);
    low_vstore(l, low_binary(l, IR_MUL, sum, factor), x->sums, zero, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
}

static void weigh_block(const matrix_attention *x)
{
    lowering *l = x->a->l;
    low_loop queries;
    find_factors(x);
    low_for_begin(l, &queries, low_index(l, 0), x->count, low_index(l, 1), 0, NULL);
    ir_value *i = queries.counter, *before = load_cell(x, x->sums, i);
    ir_value *sum = weigh_query(x, i, load_cell(x, x->greatest, i));
    store_cell(x, low_binary(l, IR_ADD, before, sum), x->sums, i);
    low_loop_end(l, &queries, NULL);
}

static void add_block(const matrix_attention *x)
{
    lowering *l = x->a->l;
    low_loop queries, strip;
    low_for_begin(l, &queries, low_index(l, 0), x->count, low_index(l, 1), 0, NULL);
    ir_value *factor = load_cell(x, x->factors, queries.counter);
    low_strip_begin(l, &strip, low_index(l, x->width), "f32", 0, NULL);
    ir_value *added = low_vload(l, x->added, queries.counter, strip.counter, 1);
    ir_value *y = low_vload(l, x->results, queries.counter, strip.counter, 1);
    y = ir_build1(&l->at, IR_FMA, y->type, y, low_broadcast(l, factor), added);
    low_vstore(l, y, x->results, queries.counter, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
    low_loop_end(l, &queries, NULL);
}

static void attend_blocks(const matrix_attention *x)
{
    lowering *l = x->a->l;
    matrix_attention block = *x;
    ir_value *size = low_index(l, x->keys);
    low_loop blocks;
    begin_blocks(x);
    low_for_begin(l, &blocks, low_index(l, 0), x->seen, size, 0, NULL);
    block.from = low_add(l, x->from, blocks.counter);
    block.seen = low_min(l, size, low_sub(l, x->seen, blocks.counter));
    score(&block);
    weigh_block(&block);
    sum_values(&block, x->added);
    add_block(&block);
    low_loop_end(l, &blocks, NULL);
}

static void attend_rows(const matrix_attention *x)
{
    score(x);
    weigh(x);
    sum_values(x, x->results);
}

// Keys that fit one block are weighed as a whole.
static void attend_keys(const matrix_attention *x)
{
    lowering *l = x->a->l;
    low_if branch;
    if (!x->added) {
        attend_rows(x);
        return;
    }
    low_if_begin(l, &branch, low_compare(l, "le", x->seen, low_index(l, x->keys)));
    attend_rows(x);
    low_if_end(l, &branch);
    low_if_begin(l, &branch, low_compare(l, "gt", x->seen, low_index(l, x->keys)));
    attend_blocks(x);
    low_if_end(l, &branch);
}

static void give_results(const matrix_attention *x)
{
    lowering *l = x->a->l;
    const place *y = x->a->y;
    low_loop queries, strip;
    low_for_begin(l, &queries, low_index(l, 0), x->count, low_index(l, 1), 0, NULL);
    ir_value *sum = low_load(l, x->sums, low_index(l, 0), queries.counter);
    ir_value *inverse = low_binary(l, IR_DIV, low_number(l, SCALAR_F32, 1), sum);
    ir_value *row = x->a->panels.count ? queries.counter : row_of(x, queries.counter);
    low_strip_begin(l, &strip, low_index(l, x->a->width), "f32", 0, NULL);
    ir_value *v = low_vload(l, x->results, queries.counter, strip.counter, 1);
    v = low_binary(l, IR_MUL, v, low_broadcast(l, inverse));
    low_vstore(l, low_cast(l, v, y->type->scalar), y->buffer, row, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
    low_loop_end(l, &queries, NULL);
}

// ---------------------------------------------------------------------- kernel

// As many numbers of type `half` as have the digits of one of type `t`.
static unsigned parts_for(scalar_type t, scalar_type half)
{
    if (t == half)
        return 1;
    return t == SCALAR_F32 && half == SCALAR_BF16 ? 3 : 2;
}

static matrix_attention matrix_attention_of(attention *a)
{
    lowering *l = a->l;
    matrix_attention x = {.a = a, .half = a->k->type->scalar};
    x.type = matrix_type_name(x.half);
    bool rounded = ir_name_is(a->op, "precision", "rounded");
    x.parts = rounded ? 1 : parts_for(a->q->type->scalar, x.half);
    x.weight_parts = rounded ? 1 : parts_for(SCALAR_F32, x.half);
    x.rows = matrix_rows(l);
    x.columns = matrix_columns(l);
    x.step = matrix_depth(l, x.half);
    const ir_dim *k = a->k->type->dims + a->k->type->rank - 3;
    int64_t block = ir_integer(a->op, "key_block"), all = padded(ir_dim_maximum(k[0]), x.step);
    bool blocks = block && block < all;
    x.keys = blocks ? padded(block, x.step) : all;
    x.row = x.keys + LINE / 4;
    x.width = padded(a->width, x.columns);
    for (unsigned h = 0; h < x.parts; h++)
        x.q[h] = low_scratch(l, x.half, x.rows, a->depth);
    for (unsigned h = 0; h < x.weight_parts; h++)
        x.weights[h] = low_scratch(l, x.half, x.rows, x.row);
    x.scores = low_scratch(l, SCALAR_F32, x.rows, x.row);
    bool in_panel =
        a->panels.count && a->panel.buffer->type->scalar == SCALAR_F32 && x.width == a->width;
    x.results = in_panel ? a->panel.buffer : low_scratch(l, SCALAR_F32, x.rows, x.width);
    x.sums = low_scratch(l, SCALAR_F32, 1, x.rows);
    if (blocks) {
        x.added = low_scratch(l, SCALAR_F32, x.rows, x.width);
        x.greatest = low_scratch(l, SCALAR_F32, 1, x.rows);
        x.factors = low_scratch(l, SCALAR_F32, 1, x.rows);
    }
    return x;
}

bool attend_matrix_groups(attention *a)
{
    lowering *l = a->l;
    matrix_attention x = matrix_attention_of(a);
    ir_value *size = low_index(l, x.rows), *one = low_index(l, 1);
    ir_value *queries = low_mul(l, a->rows, share_of(&x));
    ir_value *blocks = low_div(l, low_add(l, queries, low_sub(l, size, one)), size);
    low_loop all;
    low_shared_begin(l, &all, low_mul(l, low_index(l, a->groups), blocks), "turns");
    a->group = low_div(l, all.counter, blocks);
    x.first = low_mul(l, low_rem(l, all.counter, blocks), size);
    x.count = low_min(l, size, low_sub(l, queries, x.first));
    find_keys(&x);
    take_queries(&x);
    attend_keys(&x);
    give_results(&x);
    bool good = !a->panels.count || attend_build_tables(a, token_of(&x, low_index(l, 0)),
                                                        low_div(l, x.count, share_of(&x)));
    low_loop_end(l, &all, NULL);
    return good;
}
