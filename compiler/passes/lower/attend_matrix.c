// Attention through the matrix unit: blocks of 8m queries (rows x heads of a group) times tiles of
// keys, then weights times values.
//
// Numbers stay those of f32: a query, and later a weight, is the sum of as many halves (or bfloats)
// as hold its digits, and products are added in f32. Where the kernel's precision is `rounded`, one
// has to do.
#include "compiler/passes/lower/attend_matrix.h"

#include <float.h>

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

ir_value *matrix_head_of(const matrix_attention *x, ir_value *i)
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
    return low_add(l, low_mul(l, row, low_index(l, x->a->heads)), matrix_head_of(x, i));
}

ir_value *matrix_last_key_of(const matrix_attention *x, ir_value *i)
{
    return low_add(x->a->l, x->a->position, token_of(x, i));
}

void matrix_store_halves(const matrix_attention *x, ir_value *vector, unsigned parts,
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
    matrix_store_halves(x, low_cast(l, q, SCALAR_F32), x->parts, x->q, queries.counter,
                        strip.counter);
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
        ir_value *first = low_sub(l, matrix_last_key_of(x, zero), low_index(l, x->a->window - 1));
        first = low_sub(l, first, low_min(l, first, zero)); // max(0, ..)
        x->from = low_sub(l, first, low_rem(l, first, low_index(l, x->step)));
    }
    ir_value *end = low_add(l, matrix_last_key_of(x, low_sub(l, x->count, one)), one);
    x->seen = low_sub(l, end, x->from);
}

// ------------------------------------------------------------------------ cells

static ir_value *load_cell(const matrix_attention *x, ir_value *cells, ir_value *i)
{
    return low_load(x->a->l, cells, low_index(x->a->l, 0), i);
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
    low_loop strip;
    low_strip_begin(l, &strip, x->count, "f32", 0, NULL);
    ir_value *before = low_vload(l, x->greatest, zero, strip.counter, 1);
    ir_value *now = low_vload(l, x->maxima, zero, strip.counter, 1);
    now = low_binary(l, IR_MAX, before, now);
    low_vstore(l, now, x->greatest, zero, strip.counter, 1);
    ir_value *factor = low_exp_of_rest(l, before, now);
    low_vstore(l, factor, x->factors, zero, strip.counter, 1);
    ir_value *sum = low_vload(l, x->sums, zero, strip.counter, 1);
    low_vstore(l, low_binary(l, IR_MUL, sum, factor), x->sums, zero, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
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
    matrix_score(&block);
    find_factors(&block);
    matrix_sum_values(&block, x->greatest, x->added);
    add_block(&block);
    low_loop_end(l, &blocks, NULL);
}

static void attend_rows(const matrix_attention *x)
{
    lowering *l = x->a->l;
    ir_value *zero = low_index(l, 0);
    low_fill(l, x->sums, zero, zero, low_index(l, x->rows), 0);
    matrix_score(x);
    matrix_sum_values(x, x->maxima, x->results);
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
    x.row = x.keys + ATTEND_LINE;
    x.width = padded(a->width, x.columns);
    for (unsigned h = 0; h < x.parts; h++)
        x.q[h] = low_scratch(l, x.half, x.rows, a->depth);
    for (unsigned h = 0; h < x.weight_parts; h++)
        x.weights[h] = low_scratch(l, x.half, x.rows, x.row);
    x.scores = low_scratch(l, SCALAR_F32, x.rows, x.row);
    bool in_panel =
        a->panels.count && a->panel.buffer->type->scalar == SCALAR_F32 && x.width == a->width;
    x.results = in_panel ? a->panel.buffer : low_scratch(l, SCALAR_F32, x.rows, x.width);
    x.across = a->beside.across;
    x.maxima = a->beside.maxima;
    x.sums = a->beside.sums;
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
