// Attention of one row, a step of decoding: a head of keys at a time, whose queries need no mask.
// The softmax stands beside products with keys and sums of values.
#include "compiler/passes/lower/attend_few.h"
#include "compiler/passes/lower/matrix.h"

#include <string.h>

typedef struct row_attention {
    lowering *l;
    const few_attention *x;
    query_block block;
    unsigned count; // queries
    int64_t width;  // of a row of scores: the parts of all queries
    int64_t round;  // keys of a round of either loop
    beside strips;
    beside_memory memory;
    ir_value *scores; // f32 [keys][width], from row x->rows on
    ir_value *query[FEW_STEPS];
    ir_value *sums[FEW_SUMS];
} row_attention;

// ----------------------------------------------------------------------- scores

static ir_value *score_row(const row_attention *t, ir_value *key)
{
    return low_add(t->l, key, low_index(t->l, t->x->rows));
}

// Scores of a tile of keys, from `key` on.
typedef struct scored_tile {
    ir_value *sums, *key;
} scored_tile;

static void store_scores(const row_attention *t, const scored_tile *tile)
{
    lowering *l = t->l;
    int64_t bytes = t->width < t->x->columns ? t->width * 4 : 0;
    matrix_store(l, tile->sums, t->scores, score_row(t, tile->key), low_index(l, 0), t->width,
                 matrix_part(l, NULL, bytes));
}

// Products of a round, one after the other: first key and step of product `i`.
static ir_value *key_of(const row_attention *t, ir_value *from, unsigned i)
{
    return low_add(t->l, from, low_index(t->l, i / t->x->steps * t->x->rows));
}

static ir_value *load_product(const row_attention *t, ir_value *from, ir_value *count, unsigned i)
{
    return few_load_keys(t->x, &t->block, key_of(t, from, i), count, i % t->x->steps);
}

// Part `part` of query i of the keys of a strip, whose scores begin in row `row`. Two columns are
// read side by side: strides cost a cycle for each element.
static ir_value *score_part(const row_attention *t, ir_value *row, unsigned part, unsigned i)
{
    lowering *l = t->l;
    const unsigned column = part * t->count + i;
    if (t->width != 2)
        return low_vload(l, t->scores, row, low_index(l, column), t->width);
    low_pair columns = low_vload_pairs(l, t->scores, row, low_index(l, 0));
    return column ? columns.second : columns.first;
}

// The sum of a query's parts, times the scale.
static ir_value *scaled_score(const row_attention *t, unsigned i, ir_value *position)
{
    lowering *l = t->l;
    ir_value *row = score_row(t, position), *sum = NULL;
    for (unsigned part = 0; part < t->x->parts; part++) {
        ir_value *x = score_part(t, row, part, i);
        sum = sum ? low_binary(l, IR_ADD, sum, x) : x;
    }
    ir_value *scale = low_number(l, SCALAR_F32, ir_number(t->x->a->op, "scale"));
    return low_binary(l, IR_MUL, sum, low_broadcast(l, scale));
}

static unsigned number_of(ir_value *query)
{
    int64_t number = 0;
    if (!low_is_constant(query, &number))
        INTERNAL_ERROR("a query that is not known");
    return (unsigned)number;
}

static ir_value *finish_scores(const void *of, ir_value *query, ir_value *position)
{
    const row_attention *t = of;
    const unsigned i = number_of(query);
    ir_value *y = scaled_score(t, i, position);
    y = attend_adjusted(t->x->a, &t->block, i, position, y);
    low_vstore(t->l, y, t->x->a->weights, query, position, 1);
    return y;
}

static const strip_work finishing = {finish_scores, IR_MAX, "max", -__builtin_inf()};

static ir_value *weigh(const void *of, ir_value *query, ir_value *position)
{
    const row_attention *t = of;
    lowering *l = t->l;
    ir_value *greatest = low_load(l, t->memory.maxima, low_index(l, 0), query);
    ir_value *y = low_vload(l, t->x->a->weights, query, position, 1);
    y = low_exp_of_rest(l, y, low_broadcast(l, greatest));
    low_vstore(l, y, t->x->a->weights, query, position, 1);
    return y;
}

static const strip_work weighing = {weigh, IR_ADD, "add", 0};

// `tiles` tiles of keys from `from` on, `count` keys of each (NULL: all); *before, if there is one,
// is stored, and becomes the last one. Loads go before the products that the unit still works on,
// and so do the stores of the tile before. Pieces read what is stored.
static void score_tiles(row_attention *t, scored_tile *before, ir_value *from, ir_value *count,
                        unsigned tiles, dealing *d)
{
    lowering *l = t->l;
    unsigned all = tiles * t->x->steps;
    ir_value *next = load_product(t, from, count, 0), *c = NULL;
    d->products = all - 1;
    for (unsigned i = 0; i < all; i++) {
        unsigned s = i % t->x->steps;
        if (s == 0)
            c = matrix_zero(l, t->x->half);
        ir_value *keys = next;
        if (i + 1 < all)
            next = load_product(t, from, count, i + 1);
        c = matrix_multiply(l, t->x->type, c, keys, t->query[s]);
        if (i > 0)
            beside_deal_out(d);
        if (s == 0 && before->sums)
            store_scores(t, before);
        *before = (scored_tile){c, key_of(t, from, i)};
    }
}

// Before the first tile there is none: what is stored for it lies in front of the scores. A round
// has several tiles, so that the last one of the round before keeps a register of its own.
static void score_whole(row_attention *t, ir_value *rounds)
{
    lowering *l = t->l;
    ir_value *rows = low_index(l, t->x->rows), *size = low_index(l, t->round);
    ir_value *c = matrix_zero(l, t->x->half);
    low_loop all;
    low_for_begin(l, &all, low_index(l, 0), rounds, low_index(l, 1), 1, &c);
    ir_value *from = low_mul(l, all.counter, size);
    dealing d = beside_deal(&t->strips, &finishing, all.counter, t->round, -1);
    scored_tile before = {all.carried[0], low_sub(l, from, rows)};
    score_tiles(t, &before, from, NULL, (unsigned)(t->round / t->x->rows), &d);
    low_loop_end(l, &all, &before.sums);
    ir_value *end = low_mul(l, rounds, size);
    before = (scored_tile){ir_result(all.op, 0), low_sub(l, end, rows)};
    store_scores(t, &before);
}

// Behind the last round there are its own keys, and those that are left over.
static void finish_rest(row_attention *t, ir_value *rounds)
{
    lowering *l = t->l;
    ir_value *zero = low_index(l, 0),
             *done = low_sub(l, rounds, low_min(l, rounds, low_index(l, 1)));
    strip_piece rest = {.column =
                            t->strips.across ? low_mul(l, done, low_index(l, t->round)) : zero};
    rest.count = low_sub(l, t->strips.seen, rest.column);
    for (unsigned q = 0; q < t->count; q++) {
        rest.query = low_index(l, q);
        low_store(l, beside_alone(&t->strips, &finishing, &rest), t->memory.maxima, zero,
                  rest.query);
        if (t->strips.across)
            beside_add_lanes(&t->strips, &finishing, t->memory.maxima, rest.query);
    }
}

static void score(row_attention *t)
{
    lowering *l = t->l;
    ir_value *keys = t->strips.seen, *rows = low_index(l, t->x->rows);
    ir_value *rounds = low_div(l, keys, low_index(l, t->round));
    for (unsigned q = 0; t->strips.across && q < t->count; q++)
        beside_begin_lanes(&t->strips, &finishing, low_index(l, q));
    score_whole(t, rounds);
    low_loop rest;
    low_for_begin(l, &rest, low_mul(l, rounds, low_index(l, t->round)), keys, rows, 0, NULL);
    scored_tile last = {0};
    score_tiles(t, &last, rest.counter, low_min(l, rows, low_sub(l, keys, rest.counter)), 1,
                &(dealing){0});
    store_scores(t, &last);
    low_loop_end(l, &rest, NULL);
    finish_rest(t, rounds);
}

// ----------------------------------------------------------------------- values

// Sums over keys from .. on, `groups` times m at once, or of one (0).
static void add_round(row_attention *t, ir_value *from, unsigned groups, dealing *d)
{
    lowering *l = t->l;
    const unsigned wide = t->x->wide, all = wide * (groups ? groups : 1);
    ir_value *next = NULL;
    d->products = all * t->count;
    for (unsigned i = 0; i <= all; i++) {
        ir_value *values = next;
        if (i < all)
            next = few_load_values(t->x, &t->block, low_add(l, from, low_index(l, i / wide * l->m)),
                                   i % wide, groups == 0);
        for (unsigned q = 0; i > 0 && q < t->count; q++) {
            ir_value **sum = &t->sums[q * wide + (i - 1) % wide];
            ir_value *key = low_add(l, from, low_index(l, (i - 1) / wide * l->m));
            *sum = few_add_weighted(t->x, q, *sum, values, key);
            beside_deal_out(d);
        }
    }
}

static void begin_sums(row_attention *t, low_loop *keys, ir_value *from, ir_value *to, int64_t step)
{
    unsigned n = t->count * t->x->wide;
    low_for_begin(t->l, keys, from, to, low_index(t->l, step), n, t->sums);
    memcpy(t->sums, keys->carried, n * sizeof *t->sums);
}

static void end_sums(row_attention *t, low_loop *keys)
{
    low_loop_end(t->l, keys, t->sums);
    for (unsigned i = 0; i < t->count * t->x->wide; i++)
        t->sums[i] = ir_result(keys->op, i);
}

// Of whole rounds. Weights of the keys behind are made beside.
static ir_value *add_rounds(row_attention *t)
{
    lowering *l = t->l;
    ir_value *size = low_index(l, t->round), *rounds = low_div(l, t->strips.seen, size);
    low_loop all;
    begin_sums(t, &all, low_index(l, 0), rounds, 1);
    dealing d = beside_deal(&t->strips, &weighing, all.counter, t->round, 1);
    add_round(t, low_mul(l, all.counter, size), (unsigned)(t->round / l->m), &d);
    end_sums(t, &all);
    return low_mul(l, rounds, size);
}

// The weights that the first round needs, or all.
static void weigh_first(row_attention *t)
{
    lowering *l = t->l;
    ir_value *zero = low_index(l, 0), *seen = t->strips.seen;
    ir_value *count = t->strips.across ? low_min(l, seen, low_index(l, t->round)) : seen;
    for (unsigned q = 0; q < t->count; q++) {
        strip_piece first = {low_index(l, q), zero, count};
        if (t->strips.across) {
            beside_begin_lanes(&t->strips, &weighing, first.query);
            beside_in_lanes(&t->strips, &weighing, &first);
        } else {
            low_store(l, beside_alone(&t->strips, &weighing, &first), t->memory.sums, zero,
                      first.query);
        }
        few_end_weights(t->x, &t->block, q);
    }
}

static void sum_values(row_attention *t)
{
    lowering *l = t->l;
    ir_value *keys = t->strips.seen, *zero = low_index(l, 0);
    low_loop rest;
    for (unsigned i = 0; i < t->count * t->x->wide; i++)
        t->sums[i] = matrix_zero(l, t->x->half);
    weigh_first(t);
    ir_value *done = add_rounds(t);
    ir_value *pairs = low_sub(l, keys, low_rem(l, keys, low_index(l, l->m)));
    begin_sums(t, &rest, done, pairs, l->m);
    add_round(t, rest.counter, 1, &(dealing){0});
    end_sums(t, &rest);
    if (l->m > 1) {
        begin_sums(t, &rest, pairs, keys, 1);
        add_round(t, rest.counter, 0, &(dealing){0});
        end_sums(t, &rest);
    }
    for (unsigned q = 0; q < t->count; q++) {
        ir_value *query = low_index(l, q);
        if (t->strips.across)
            beside_end_lanes(&t->strips, &weighing, t->memory.sums, query);
        t->block.sum[q] = low_load(l, t->memory.sums, zero, query);
    }
}

// ------------------------------------------------------------------------ block

static row_attention *attention_of_row(const few_attention *x, ir_value *first, unsigned count)
{
    lowering *l = x->a->l;
    row_attention *t = ARENA_ARRAY(l->arena, row_attention, 1);
    ir_value *zero = low_index(l, 0);
    *t = (row_attention){.l = l, .x = x, .count = count, .memory = x->a->beside};
    t->block = attend_block_of(x->a, first, count);
    t->width = count * x->parts;
    ir_dim scores[2] = {ir_dim_constant(x->score_rows), ir_dim_constant(t->width)};
    t->scores =
        low_view(l, x->scores, zero, zero, ir_type_buffer(l->module, SCALAR_F32, 2, scores));
    t->strips = (beside){l, t, count, beside_lanes(l), t->block.keys, t->memory.across};
    t->round = beside_keys(&t->strips, x->rows);
    return t;
}

void row_block(const few_attention *x, ir_value *first, unsigned count)
{
    row_attention *t = attention_of_row(x, first, count);
    few_take_queries(x, &t->block);
    for (unsigned s = 0; s < x->steps; s++)
        t->query[s] = few_load_queries(x, &t->block, s);
    score(t);
    sum_values(t);
    for (unsigned q = 0; q < count; q++)
        few_give_result(x, &t->block, q, t->sums);
}
