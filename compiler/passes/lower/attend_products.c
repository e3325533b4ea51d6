// The two products of a block of queries, with keys and with values, and beside them, while the
// matrix unit works, what the vector unit does between them.
#include "compiler/passes/lower/attend_matrix.h"

#include <string.h>

enum { MAX_RESIDENT = 16, MAX_TILES = 16 };

static beside strips_of(const matrix_attention *x)
{
    return (beside){x->a->l, x, x->rows, beside_lanes(x->a->l), x->seen, x->across};
}

static ir_value *not_negative(lowering *l, ir_value *v)
{
    return low_sub(l, v, low_min(l, v, low_index(l, 0)));
}

// ----------------------------------------------------------------------- scores

typedef struct query_tiles {
    unsigned steps;
    bool resident; // else loaded again for each tile of keys
    ir_value *tile[MAX_RESIDENT];
} query_tiles;

// Of step `s` of the depth.
static int64_t step_bytes(const matrix_attention *x, unsigned s)
{
    return matrix_piece_bytes(x->a->depth, x->step, s, x->half);
}

static ir_value *query_tile(const matrix_attention *x, unsigned s, unsigned h)
{
    lowering *l = x->a->l;
    ir_value *part = matrix_part(l, x->count, step_bytes(x, s));
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

static ir_value *load_keys(const matrix_attention *x, ir_value *key, ir_value *count, unsigned s)
{
    lowering *l = x->a->l;
    ir_value *row = attend_cache_row(x->a, low_add(l, x->from, key));
    return matrix_load(l, "b", x->a->k->buffer, row, low_index(l, s * x->step),
                       x->a->groups * x->a->depth, matrix_part(l, count, step_bytes(x, s)));
}

// Sums of a tile, and the key that they begin with. In front of the first tile is none: what is
// stored for it, others overwrite.
typedef struct scored_tile {
    ir_value *sums, *key;
} scored_tile;

static void store_scores(const matrix_attention *x, const scored_tile *t)
{
    matrix_store(x->a->l, t->sums, x->scores, low_index(x->a->l, 0), not_negative(x->a->l, t->key),
                 x->row, NULL);
}

// `tiles` tiles from `key` on, `count` keys of each (NULL: all); the one before is stored while
// they are multiplied, and the last of them takes its place. Loads go before products that the unit
// still works on. Pieces read what is stored.
static void score_tiles(const matrix_attention *x, const query_tiles *q, ir_value *key,
                        ir_value *count, unsigned tiles, scored_tile *before, dealing *d)
{
    lowering *l = x->a->l;
    const unsigned all = tiles * q->steps;
    ir_value *next = load_keys(x, key, count, 0), *c = NULL;
    d->products = (all - 1) * x->parts;
    for (unsigned i = 0; i < all; i++) {
        const unsigned s = i % q->steps;
        ir_value *keys = next, *first = low_add(l, key, low_index(l, i / q->steps * x->columns));
        c = s ? c : matrix_zero(l, x->half);
        for (unsigned h = 0; h < x->parts; h++) {
            ir_value *a = q->resident ? q->tile[s * x->parts + h] : query_tile(x, s, h);
            c = matrix_multiply(l, x->type, c, a, keys);
            if (h == 0 && i + 1 < all)
                next = load_keys(x, low_add(l, key, low_index(l, (i + 1) / q->steps * x->columns)),
                                 count, (i + 1) % q->steps);
            if (i > 0)
                beside_deal_out(d);
        }
        if (s == 0)
            store_scores(x, before);
        *before = (scored_tile){c, first};
    }
}

// Scaled, slopes added, minus infinity for keys that query `i` does not see.
static ir_value *final_score(const matrix_attention *x, ir_value *i, ir_value *column)
{
    lowering *l = x->a->l;
    const place *slopes = x->a->slopes;
    ir_value *scale = low_number(l, SCALAR_F32, ir_number(x->a->op, "scale"));
    ir_value *y = low_vload(l, x->scores, i, column, 1);
    ir_value *distance = attend_distances(l, low_add(l, x->from, column), matrix_last_key_of(x, i));
    y = low_binary(l, IR_MUL, y, low_broadcast(l, scale));
    if (slopes) {
        ir_value *slope = low_load(l, slopes->buffer, low_index(l, 0), matrix_head_of(x, i));
        y = ir_build1(&l->at, IR_FMA, y->type, low_cast(l, distance, SCALAR_F32),
                      low_broadcast(l, slope), y);
    }
    y = attend_where(l, "le", distance, 0, y);
    if (x->a->window)
        y = attend_where(l, "gt", distance, -x->a->window, y);
    return y;
}

static ir_value *finish_scores(const void *of, ir_value *query, ir_value *column)
{
    const matrix_attention *x = of;
    ir_value *y = final_score(x, query, column);
    low_vstore(x->a->l, y, x->scores, query, column, 1);
    return y;
}

static const strip_work finishing = {finish_scores, IR_MAX, "max", -__builtin_inf()};

// Rounds of whole tiles; the keys that are left over, tile by tile.
static void score_rounds(const matrix_attention *x, ir_value *rounds, int64_t keys)
{
    lowering *l = x->a->l;
    const beside strips = strips_of(x);
    const query_tiles q = load_queries(x);
    ir_value *tile = low_index(l, x->columns), *size = low_index(l, keys), *zero = low_index(l, 0);
    scored_tile last = {.sums = matrix_zero(l, x->half)};
    low_loop all, rest;
    low_for_begin(l, &all, zero, rounds, low_index(l, 1), 1, &last.sums);
    ir_value *key = low_mul(l, all.counter, size);
    dealing d = beside_deal(&strips, &finishing, all.counter, keys, -1);
    last = (scored_tile){all.carried[0], low_sub(l, key, tile)};
    score_tiles(x, &q, key, NULL, (unsigned)(keys / x->columns), &last, &d);
    low_loop_end(l, &all, &last.sums);
    ir_value *done = low_mul(l, rounds, size);
    last = (scored_tile){ir_result(all.op, 0), low_sub(l, done, tile)};
    store_scores(x, &last);
    low_for_begin(l, &rest, done, x->seen, tile, 0, NULL);
    ir_value *left = low_min(l, tile, low_sub(l, x->seen, rest.counter));
    last = (scored_tile){matrix_zero(l, x->half), rest.counter};
    score_tiles(x, &q, rest.counter, left, 1, &last, &(dealing){0});
    store_scores(x, &last);
    low_loop_end(l, &rest, NULL);
}

// Behind the last round there are its own keys, and those that are left over.
static void finish_rest(const matrix_attention *x, ir_value *rounds, int64_t keys)
{
    lowering *l = x->a->l;
    const beside strips = strips_of(x);
    ir_value *one = low_index(l, 1), *zero = low_index(l, 0);
    ir_value *done = low_sub(l, rounds, low_min(l, rounds, one));
    strip_piece rest = {.column = x->across ? low_mul(l, done, low_index(l, keys)) : zero};
    low_loop each;
    rest.count = low_sub(l, x->seen, rest.column);
    low_for_begin(l, &each, zero, x->count, one, 0, NULL);
    rest.query = each.counter;
    low_store(l, beside_alone(&strips, &finishing, &rest), x->maxima, zero, rest.query);
    if (x->across)
        beside_add_lanes(&strips, &finishing, x->maxima, rest.query);
    low_loop_end(l, &each, NULL);
}

void matrix_score(const matrix_attention *x)
{
    lowering *l = x->a->l;
    const beside strips = strips_of(x);
    const int64_t keys = beside_keys(&strips, x->columns);
    ir_value *rounds = low_div(l, x->seen, low_index(l, keys));
    low_loop each;
    if (x->across) {
        low_for_begin(l, &each, low_index(l, 0), low_index(l, x->rows), low_index(l, 1), 0, NULL);
        beside_begin_lanes(&strips, &finishing, each.counter);
        low_loop_end(l, &each, NULL);
    }
    score_rounds(x, rounds, keys);
    finish_rest(x, rounds, keys);
}

// ----------------------------------------------------------------------- values

static ir_value *weigh(const void *of, ir_value *query, ir_value *column)
{
    const matrix_attention *x = of;
    lowering *l = x->a->l;
    ir_value *greatest = low_load(l, x->maxima, low_index(l, 0), query);
    ir_value *y = low_vload(l, x->scores, query, column, 1);
    y = low_exp_of_rest(l, y, low_broadcast(l, greatest));
    matrix_store_halves(x, y, x->weight_parts, x->weights, query, column);
    return y;
}

static const strip_work weighing = {weigh, IR_ADD, "add", 0};

// Products of a part of the columns, of which there are registers for so many tiles.
typedef struct value_tiles {
    const matrix_attention *x;
    unsigned first, count;
    ir_value *key, *keys;      // of the step at work; how many of its keys (NULL: all)
    ir_value *weight, *values; // of the next product
    ir_value *sums[MAX_TILES];
} value_tiles;

// Of step `s` from the key on.
static ir_value *load_weight(const value_tiles *t, unsigned s, unsigned h)
{
    const matrix_attention *x = t->x;
    lowering *l = x->a->l;
    ir_value *key = low_add(l, t->key, low_index(l, s * x->step)), *part = x->count;
    if (t->keys)
        part = low_add(l, part, low_mul(l, t->keys, low_index(l, HALF_BYTES << 16)));
    return matrix_load(l, "a", x->weights[h], low_index(l, 0), key, x->row, part);
}

// Of column tile `j` of these.
static ir_value *load_values(const value_tiles *t, unsigned s, unsigned j)
{
    const matrix_attention *x = t->x;
    lowering *l = x->a->l;
    ir_value *key = low_add(l, t->key, low_index(l, s * x->step));
    ir_value *row = attend_cache_row(x->a, low_add(l, x->from, key));
    const int64_t bytes = matrix_piece_bytes(x->a->width, x->columns, t->first + j, x->half);
    return matrix_load(l, "bt", x->a->v->buffer, row, low_index(l, (t->first + j) * x->columns),
                       x->a->groups * x->a->width, matrix_part(l, t->keys, bytes));
}

static void load_product(value_tiles *t, unsigned i)
{
    const unsigned s = i / t->count, j = i % t->count;
    if (j == 0)
        t->weight = load_weight(t, s, 0);
    t->values = load_values(t, s, j);
}

static void add_values(value_tiles *t, unsigned steps, dealing *d)
{
    const unsigned all = steps * t->count, parts = t->x->weight_parts;
    ir_value *weight[MAX_PARTS];
    d->products = all * parts;
    load_product(t, 0);
    for (unsigned i = 0; i < all; i++) {
        ir_value **c = &t->sums[i % t->count], *values = t->values;
        if (i % t->count == 0)
            weight[0] = t->weight;
        for (unsigned h = 0; h < parts; h++) {
            *c = matrix_multiply(t->x->a->l, t->x->type, *c, weight[h], values);
            if (i % t->count == 0 && h + 1 < parts)
                weight[h + 1] = load_weight(t, i / t->count, h + 1);
            if (h == 0 && i + 1 < all)
                load_product(t, i + 1);
            beside_deal_out(d);
        }
    }
}

// `weighs`: those weights are still to be made that the first round does not need.
static void sum_columns(value_tiles *t, ir_value *to, int64_t keys, bool weighs)
{
    const matrix_attention *x = t->x;
    lowering *l = x->a->l;
    const beside strips = strips_of(x);
    ir_value *size = low_index(l, keys), *rounds = low_div(l, x->seen, size);
    ir_value *done = low_mul(l, rounds, size), *step = low_index(l, x->step);
    low_loop all, rest;
    for (unsigned j = 0; j < t->count; j++)
        t->sums[j] = matrix_zero(l, x->half);
    low_for_begin(l, &all, low_index(l, 0), rounds, low_index(l, 1), t->count, t->sums);
    memcpy(t->sums, all.carried, t->count * sizeof *t->sums);
    dealing d = {0};
    if (weighs)
        d = beside_deal(&strips, &weighing, all.counter, keys, 1);
    t->key = low_mul(l, all.counter, size);
    t->keys = NULL;
    add_values(t, (unsigned)(keys / x->step), &d);
    low_loop_end(l, &all, t->sums);
    for (unsigned j = 0; j < t->count; j++)
        t->sums[j] = ir_result(all.op, j);
    low_for_begin(l, &rest, done, x->seen, step, t->count, t->sums);
    memcpy(t->sums, rest.carried, t->count * sizeof *t->sums);
    t->key = rest.counter;
    t->keys = low_min(l, step, low_sub(l, x->seen, rest.counter));
    add_values(t, 1, &(dealing){0});
    low_loop_end(l, &rest, t->sums);
    for (unsigned j = 0; j < t->count; j++)
        matrix_store(l, ir_result(rest.op, j), to, low_index(l, 0),
                     low_index(l, (t->first + j) * x->columns), x->width, NULL);
}

// The weights that the first round needs, or all.
static void weigh_first(const matrix_attention *x, int64_t keys)
{
    lowering *l = x->a->l;
    const beside strips = strips_of(x);
    ir_value *zero = low_index(l, 0);
    ir_value *count = x->across ? low_min(l, x->seen, low_index(l, keys)) : x->seen;
    low_loop queries;
    low_for_begin(l, &queries, zero, x->count, low_index(l, 1), 0, NULL);
    ir_value *query = queries.counter, *before = low_load(l, x->sums, zero, query);
    strip_piece first = {query, zero, count};
    if (x->across)
        beside_begin_lanes(&strips, &weighing, query);
    ir_value *sum = beside_alone(&strips, &weighing, &first);
    low_store(l, low_binary(l, IR_ADD, before, sum), x->sums, zero, query);
    low_loop_end(l, &queries, NULL);
}

void matrix_sum_values(const matrix_attention *x, ir_value *maxima, ir_value *to)
{
    lowering *l = x->a->l;
    matrix_attention y = *x;
    y.maxima = maxima;
    const beside strips = strips_of(&y);
    const int64_t keys = beside_keys(&strips, x->step);
    const unsigned all = (unsigned)(x->width / x->columns);
    low_loop queries;
    weigh_first(&y, keys);
    for (unsigned first = 0; first < all; first += MAX_TILES) {
        value_tiles t = {.x = &y, .first = first};
        t.count = all - first < MAX_TILES ? all - first : MAX_TILES;
        sum_columns(&t, to, keys, first == 0 && x->across);
    }
    if (!x->across)
        return;
    low_for_begin(l, &queries, low_index(l, 0), x->count, low_index(l, 1), 0, NULL);
    beside_add_lanes(&strips, &weighing, x->sums, queries.counter);
    low_loop_end(l, &queries, NULL);
}
