// Attention over keys and values where they lie, in a state or a tensor.
//
// The queries of one batch element that read the same head of k and v (all rows of all query heads
// of its group) are taken in blocks of up to QUERY_BLOCK that share every load of a key and of a
// value. A block's scores stand in scratch rows, one per query, as long as the keys that any of its
// queries sees; no other key is touched.
#include "compiler/passes/lower/attend_few.h"
#include "compiler/passes/lower/matrix.h"
#include "compiler/passes/lower/native.h"

// One query's dot products are quicker key by key from WIDE_ROW columns on, on CPUs, which gather
// strided elements one by one, those of any block from NATIVE_ROW on; sums of values column by
// column up to SHORT_ROW of them.
enum { WIDE_ROW = 64, NATIVE_ROW = 32, SHORT_ROW = 16, REGISTER_GROUPS = 8 };

static ir_value *zeros(lowering *l)
{
    return low_broadcast(l, low_number(l, SCALAR_F32, 0));
}

static ir_value *fma_by(lowering *l, ir_value *x, ir_value *scalar, ir_value *sum)
{
    return ir_build1(&l->at, IR_FMA, sum->type, x, low_broadcast(l, scalar), sum);
}

// The strip width for rows of a cache `x`: of a few queries, halves fill the registers of twice as
// many floats.
scalar_type attend_strip_width(const place *x, unsigned queries)
{
    return scalar_size(x->type->scalar) == 2 && queries <= 2 ? SCALAR_F16 : SCALAR_F32;
}

// Of a strip: RISC-V's registers come in groups of four.
static int64_t lanes_of(const lowering *l, scalar_type width)
{
    const pass_context *c = l->context;
    int64_t bits = is_native(c) ? NATIVE_STRIP_BITS : 4 * (int64_t)c->machine->vlen;
    return bits / scalar_rows[width].bits;
}

ir_value *attend_cache_row(const attention *a, ir_value *key)
{
    lowering *l = a->l;
    ir_value *row = low_add(l, low_mul(l, a->batch, a->keys), key);
    return low_add(l, low_mul(l, row, low_index(l, a->groups)), a->group);
}

// --------------------------------------------------------------------- queries

// Queries first .. first + count of the group's rows x heads, the heads of a row side by side.
query_block attend_block_of(const attention *a, ir_value *first, unsigned count)
{
    lowering *l = a->l;
    query_block b = {.count = count, .level = count == 1 || a->one_row};
    ir_value *share = low_index(l, a->heads / a->groups), *one = low_index(l, 1);
    for (unsigned i = 0; i < count; i++) {
        ir_value *query = low_add(l, first, low_index(l, i));
        ir_value *t = a->one_row ? low_index(l, 0) : low_div(l, query, share);
        ir_value *in_group = a->one_row ? query : low_rem(l, query, share);
        ir_value *head = low_add(l, low_mul(l, a->group, share), in_group);
        ir_value *row = low_add(l, low_mul(l, a->batch, a->rows), t);
        b.row[i] = low_add(l, low_mul(l, row, low_index(l, a->heads)), head);
        b.result[i] = b.row[i];
        if (a->panel_row)
            b.result[i] = low_add(l, low_mul(l, a->panel_row, share), query);
        b.last[i] = low_add(l, a->position, t);
        if (a->slopes)
            b.slope[i] = low_load(l, a->slopes->buffer, low_index(l, 0), head);
    }
    b.first = low_index(l, 0);
    if (a->window) { // max(0, ..)
        ir_value *from = low_sub(l, b.last[0], low_index(l, a->window - 1));
        b.first = low_sub(l, from, low_min(l, from, b.first));
    }
    b.keys = low_sub(l, low_add(l, b.last[count - 1], one), b.first);
    return b;
}

void attend_scale_queries(const attention *a, query_block *b)
{
    lowering *l = a->l;
    ir_value *scale = low_number(l, SCALAR_F32, ir_number(a->op, "scale"));
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, a->depth), "f32", 0, NULL);
    for (unsigned i = 0; i < b->count; i++) {
        ir_value *x = low_vload(l, a->q->buffer, b->row[i], strip.counter, 1);
        x = low_binary(l, IR_MUL, low_cast(l, x, SCALAR_F32), low_broadcast(l, scale));
        low_vstore(l, x, a->scaled, low_index(l, i), strip.counter, 1);
    }
    low_loop_end(l, &strip, NULL);
}

// ---------------------------------------------------------------------- scores

// A lane for each key: what short rows want, and several queries where strides cost little.
static void dots_by_keys(const attention *a, const query_block *b)
{
    lowering *l = a->l;
    ir_value *initial[QUERY_BLOCK], *next[QUERY_BLOCK];
    low_loop keys, columns;
    low_strip_begin(l, &keys, b->keys, low_width(attend_strip_width(a->k, b->count)), 0, NULL);
    for (unsigned i = 0; i < b->count; i++)
        initial[i] = zeros(l);
    low_for_begin(l, &columns, low_index(l, 0), low_index(l, a->depth), low_index(l, 1), b->count,
                  initial);
    ir_value *row = attend_cache_row(a, low_add(l, b->first, keys.counter));
    ir_value *k = low_vload(l, a->k->buffer, row, columns.counter, a->groups * a->depth);
    k = low_cast(l, k, SCALAR_F32);
    for (unsigned i = 0; i < b->count; i++) {
        ir_value *x = low_load(l, a->scaled, low_index(l, i), columns.counter);
        next[i] = fma_by(l, k, x, columns.carried[i]);
    }
    low_loop_end(l, &columns, next);
    for (unsigned i = 0; i < b->count; i++)
        low_vstore(l, ir_result(columns.op, i), a->weights, low_index(l, i), keys.counter, 1);
    low_loop_end(l, &keys, NULL);
}

// Equal parts of a query's row that stay in registers side by side, with room for a key's.
unsigned attend_row_parts(const lowering *l, int64_t columns, scalar_type width)
{
    unsigned parts = width == SCALAR_F16 ? 2 : 4;
    while (parts > 1 && (columns % parts || columns <= (parts - 1) * lanes_of(l, width)))
        parts--;
    return parts;
}

// A lane for each column, a sum for each key and query: reads a key's row as it lies, once for all
// queries. Rows longer than the registers take several rounds, which add to the scores.
static void dots_by_columns(const attention *a, const query_block *b)
{
    lowering *l = a->l;
    scalar_type width = attend_strip_width(a->k, b->count);
    unsigned parts = attend_row_parts(l, a->depth, width);
    int64_t part = a->depth / parts;
    ir_value *zero = low_index(l, 0), *q[QUERY_BLOCK][4], *sums[QUERY_BLOCK];
    bool rounds = part > lanes_of(l, width);
    for (unsigned i = 0; rounds && i < b->count; i++)
        low_fill(l, a->weights, low_index(l, i), zero, b->keys, 0);
    low_loop columns, each;
    low_strip_begin(l, &columns, low_index(l, part), low_width(width), 0, NULL);
    for (unsigned i = 0; i < b->count; i++)
        for (unsigned j = 0; j < parts; j++)
            q[i][j] = low_vload(l, a->scaled, low_index(l, i),
                                low_add(l, columns.counter, low_index(l, j * part)), 1);
    low_for_begin(l, &each, zero, b->keys, low_index(l, 1), 0, NULL);
    ir_value *row = attend_cache_row(a, low_add(l, b->first, each.counter));
    for (unsigned j = 0; j < parts; j++) {
        ir_value *column = low_add(l, columns.counter, low_index(l, j * part));
        ir_value *k = low_cast(l, low_vload(l, a->k->buffer, row, column, 1), SCALAR_F32);
        for (unsigned i = 0; i < b->count; i++)
            sums[i] = j ? ir_build1(&l->at, IR_FMA, sums[i]->type, q[i][j], k, sums[i])
                        : low_binary(l, IR_MUL, q[i][0], k);
    }
    for (unsigned i = 0; i < b->count; i++) {
        ir_value *query = low_index(l, i), *sum = low_reduce(l, sums[i], "add");
        if (rounds)
            sum = low_binary(l, IR_ADD, sum, low_load(l, a->weights, query, each.counter));
        low_store(l, sum, a->weights, query, each.counter);
    }
    low_loop_end(l, &each, NULL);
    low_loop_end(l, &columns, NULL);
}

ir_value *attend_distances(lowering *l, ir_value *key, ir_value *last)
{
    ir_value *lane =
        ir_build1(&l->at, IR_LANE, ir_type_vector(l->module, SCALAR_I32), NULL, NULL, NULL);
    ir_value *from = low_sub(l, key, last);
    return low_binary(l, IR_ADD, lane, low_broadcast(l, low_cast(l, from, SCALAR_I32)));
}

ir_value *attend_where(lowering *l, const char *is, ir_value *distance, int64_t bound,
                       ir_value *score)
{
    ir_value *limit = low_broadcast(l, low_number(l, SCALAR_I32, (double)bound));
    ir_value *never = low_broadcast(l, low_number(l, SCALAR_F32, -__builtin_inf()));
    return ir_build1(&l->at, IR_SELECT, score->type, low_compare(l, is, distance, limit), score,
                     never);
}

ir_value *attend_adjusted(const attention *a, const query_block *b, unsigned i, ir_value *position,
                          ir_value *score)
{
    lowering *l = a->l;
    bool masked = !b->level;
    if (!masked && !a->slopes)
        return score;
    ir_value *distance = attend_distances(l, low_add(l, b->first, position), b->last[i]);
    if (a->slopes)
        score = fma_by(l, low_cast(l, distance, SCALAR_F32), b->slope[i], score);
    if (masked)
        score = attend_where(l, "le", distance, 0, score);
    if (masked && a->window)
        score = attend_where(l, "gt", distance, -a->window, score);
    return score;
}

static ir_value *score_in_row(void *context, unsigned i, ir_value *position)
{
    const attention *a = context;
    return low_vload(a->l, a->weights, low_index(a->l, i), position, 1);
}

static ir_value *maximum_of(const attention *a, const query_block *b, unsigned i,
                            attend_score *score_of, void *context)
{
    lowering *l = a->l;
    ir_value *maximum = low_broadcast(l, low_number(l, SCALAR_F32, -__builtin_inf()));
    low_loop strip;
    low_strip_begin(l, &strip, b->keys, "f32", 1, &maximum);
    ir_value *score = score_of(context, i, strip.counter);
    ir_value *final = attend_adjusted(a, b, i, strip.counter, score);
    if (final != score || score_of != score_in_row)
        low_vstore(l, final, a->weights, low_index(l, i), strip.counter, 1);
    maximum = low_binary(l, IR_MAX, strip.carried[0], final);
    low_loop_end(l, &strip, &maximum);
    return low_reduce(l, ir_result(strip.op, 0), "max");
}

void attend_weigh(const attention *a, query_block *b, unsigned i, attend_score *score,
                  void *context)
{
    lowering *l = a->l;
    ir_value *maximum = maximum_of(a, b, i, score, context);
    ir_value *row = low_index(l, i), *sum = zeros(l);
    low_loop strip;
    low_strip_begin(l, &strip, b->keys, "f32", 1, &sum);
    ir_value *x = low_vload(l, a->weights, row, strip.counter, 1);
    x = low_exp_of_rest(l, x, low_broadcast(l, maximum));
    low_vstore(l, x, a->weights, row, strip.counter, 1);
    sum = low_binary(l, IR_ADD, strip.carried[0], x);
    low_loop_end(l, &strip, &sum);
    b->sum[i] = low_reduce(l, ir_result(strip.op, 0), "add");
}

// ---------------------------------------------------------------------- values

// Keys at once for `queries` sums: as many as leave a vector register group for a load.
static unsigned keys_at_once(unsigned queries, bool wide)
{
    unsigned size = wide ? 2 : 1, fit = (REGISTER_GROUPS - 1) / size - queries;
    return fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
}

// Adds columns of the values of keys from .. to, times their weights; `step` keys at once.
static void add_values(const attention *a, const query_block *b, ir_value *column, ir_value *from,
                       ir_value *to, unsigned step, ir_value **sums)
{
    lowering *l = a->l;
    ir_value *v[REGISTER_GROUPS];
    low_loop keys;
    low_for_begin(l, &keys, from, to, low_index(l, step), b->count, sums);
    for (unsigned j = 0; j < step; j++) {
        ir_value *key = low_add(l, keys.counter, low_index(l, j));
        ir_value *row = attend_cache_row(a, low_add(l, b->first, key));
        v[j] = low_cast(l, low_vload(l, a->v->buffer, row, column, 1), SCALAR_F32);
    }
    for (unsigned i = 0; i < b->count; i++) {
        sums[i] = keys.carried[i];
        for (unsigned j = 0; j < step; j++) {
            ir_value *key = low_add(l, keys.counter, low_index(l, j));
            sums[i] = fma_by(l, v[j], low_load(l, a->weights, low_index(l, i), key), sums[i]);
        }
    }
    low_loop_end(l, &keys, sums);
    for (unsigned i = 0; i < b->count; i++)
        sums[i] = ir_result(keys.op, i);
}

ir_value *attend_inverse_sum(lowering *l, const query_block *b, unsigned i)
{
    return low_binary(l, IR_DIV, low_number(l, SCALAR_F32, 1), b->sum[i]);
}

// A lane for each key: of short rows, which would leave most lanes of a strip without work.
static void sum_values_by_keys(const attention *a, const query_block *b)
{
    lowering *l = a->l;
    ir_value *zero = low_index(l, 0), *sums[QUERY_BLOCK], *inverse[QUERY_BLOCK];
    for (unsigned i = 0; i < b->count; i++)
        inverse[i] = attend_inverse_sum(l, b, i);
    low_loop columns, keys;
    low_for_begin(l, &columns, zero, low_index(l, a->width), low_index(l, 1), 0, NULL);
    for (unsigned i = 0; i < b->count; i++)
        sums[i] = zeros(l);
    const char *width = low_width(attend_strip_width(a->v, b->count));
    low_strip_begin(l, &keys, b->keys, width, b->count, sums);
    ir_value *row = attend_cache_row(a, low_add(l, b->first, keys.counter));
    ir_value *v = low_vload(l, a->v->buffer, row, columns.counter, a->groups * a->width);
    v = low_cast(l, v, SCALAR_F32);
    for (unsigned i = 0; i < b->count; i++) {
        ir_value *weight = low_vload(l, a->weights, low_index(l, i), keys.counter, 1);
        sums[i] = ir_build1(&l->at, IR_FMA, v->type, v, weight, keys.carried[i]);
    }
    low_loop_end(l, &keys, sums);
    for (unsigned i = 0; i < b->count; i++) {
        ir_value *y =
            low_binary(l, IR_MUL, low_reduce(l, ir_result(keys.op, i), "add"), inverse[i]);
        low_store(l, low_cast(l, y, a->y->type->scalar), a->y->buffer, b->result[i],
                  columns.counter);
    }
    low_loop_end(l, &columns, NULL);
}

static void sum_values_by_columns(const attention *a, const query_block *b)
{
    lowering *l = a->l;
    bool wide =
        attend_strip_width(a->v, b->count) == SCALAR_F16 && a->width > lanes_of(l, SCALAR_F32);
    unsigned step = keys_at_once(b->count, wide);
    ir_value *zero = low_index(l, 0), *sums[QUERY_BLOCK];
    ir_value *whole = low_sub(l, b->keys, low_rem(l, b->keys, low_index(l, step)));
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, a->width), wide ? "f16" : "f32", 0, NULL);
    for (unsigned i = 0; i < b->count; i++)
        sums[i] = zeros(l);
    add_values(a, b, strip.counter, zero, whole, step, sums);
    if (step > 1)
        add_values(a, b, strip.counter, whole, b->keys, 1, sums);
    for (unsigned i = 0; i < b->count; i++) {
        ir_value *y = low_binary(l, IR_MUL, sums[i], low_broadcast(l, attend_inverse_sum(l, b, i)));
        low_vstore(l, low_cast(l, y, a->y->type->scalar), a->y->buffer, b->result[i], strip.counter,
                   1);
    }
    low_loop_end(l, &strip, NULL);
}

// Of one row the heads of a group, in equal parts; else powers of two.
block_sizes attend_block_sizes(const attention *a)
{
    block_sizes sizes = {0};
    unsigned most = a->few ? attend_few_queries(a->few) : QUERY_BLOCK;
    unsigned share = (unsigned)(a->heads / a->groups);
    if (a->one_row) {
        unsigned blocks = (share + most - 1) / most, size = (share + blocks - 1) / blocks;
        sizes.size[sizes.count++] = size;
        if (share % size)
            sizes.size[sizes.count++] = share % size;
        return sizes;
    }
    for (unsigned size = QUERY_BLOCK; size; size /= 2)
        if (size <= most)
            sizes.size[sizes.count++] = size;
    return sizes;
}

static bool reads_rows(const attention *a, unsigned queries)
{
    if (is_native(a->l->context))
        return a->depth >= NATIVE_ROW;
    return queries == 1 && a->depth >= WIDE_ROW;
}

void attend_weigh_values(const attention *a, query_block *b)
{
    for (unsigned i = 0; i < b->count; i++)
        attend_weigh(a, b, i, score_in_row, (void *)a);
    if (a->width <= SHORT_ROW)
        sum_values_by_keys(a, b);
    else
        sum_values_by_columns(a, b);
}

void attend_block(const attention *a, ir_value *first, unsigned count)
{
    if (a->few) {
        attend_few_block(a->few, first, count);
        return;
    }
    query_block b = attend_block_of(a, first, count);
    attend_scale_queries(a, &b);
    if (reads_rows(a, count))
        dots_by_columns(a, &b);
    else
        dots_by_keys(a, &b);
    attend_weigh_values(a, &b);
}

// ---------------------------------------------------------------------- kernel

// The queries of every group. Later rows see more keys, so ranks take turns.
static void attend_vector_groups(attention *a)
{
    lowering *l = a->l;
    ir_value *count = low_mul(l, a->rows, low_index(l, a->heads / a->groups));
    if (a->one_row)
        count = low_index(l, a->heads / a->groups);
    ir_value *done = low_index(l, 0);
    block_sizes sizes = attend_block_sizes(a);
    for (unsigned i = 0; i < sizes.count; i++) {
        unsigned size = sizes.size[i];
        ir_value *step = low_index(l, size);
        ir_value *blocks = low_div(l, low_sub(l, count, done), step);
        int64_t known;
        if (low_is_constant(blocks, &known) && known == 0)
            continue;
        low_loop all;
        low_shared_begin(l, &all, low_mul(l, low_index(l, a->groups), blocks), "turns");
        a->group = low_div(l, all.counter, blocks);
        ir_value *block = low_rem(l, all.counter, blocks);
        attend_block(a, low_add(l, done, low_mul(l, block, step)), size);
        low_loop_end(l, &all, NULL);
        done = low_add(l, done, low_mul(l, blocks, step));
    }
}

static ir_value *position_of(const attention *a)
{
    lowering *l = a->l;
    const ir_value *position = ir_operand_named(a->op, "position");
    if (position->type->kind == IR_TENSOR)
        return low_to_index(
            l, low_load(l, l->inputs[position->index].buffer, low_index(l, 0), a->batch));
    return low_index_operand(l, position);
}

static bool attend_few_groups(attention *a)
{
    if (a->panels.count)
        return attend_few_rows(a);
    attend_vector_groups(a);
    return true;
}

// Through vectors. On CPUs a single row is taken in blocks of its own: its keys are streamed once.
static void attend_rows(attention *a)
{
    lowering *l = a->l;
    if (!is_native(l->context)) {
        attend_vector_groups(a);
        return;
    }
    ir_value *one = low_index(l, 1);
    low_if single, several;
    low_if_begin(l, &single, low_compare(l, "eq", a->rows, one));
    a->one_row = true;
    (a->depth >= NATIVE_ROW ? attend_streamed_row : attend_vector_groups)(a);
    a->one_row = false;
    low_if_end(l, &single);
    low_if_begin(l, &several, low_compare(l, "gt", a->rows, one));
    attend_vector_groups(a);
    low_if_end(l, &several);
}

// Prompts go through the matrix unit, where there is one; few queries would leave it half empty.
// Those of one row, a step of decoding, need no masks, and are taken in blocks of their own.
static bool attend_groups(attention *a)
{
    lowering *l = a->l;
    bool good = true;
    if (!ir_name_is(a->op, "unit", "matrix")) {
        attend_rows(a);
        return true;
    }
    int64_t most = attend_matrix_queries(a), share = a->heads / a->groups;
    ir_value *least = low_index(l, most), *one = low_index(l, 1);
    ir_value *queries = low_mul(l, a->rows, low_index(l, share));
    low_if many, few, single;
    low_if_begin(l, &many, low_compare(l, "ge", queries, least));
    good = attend_matrix_groups(a);
    low_if_end(l, &many);
    if (share >= most)
        return good;
    low_if_begin(l, &few, low_compare(l, "lt", queries, least));
    if (a->few) {
        low_if_begin(l, &single, low_compare(l, "eq", a->rows, one));
        a->one_row = true;
        good = attend_few_groups(a) && good;
        a->one_row = false;
        low_if_end(l, &single);
        low_if_begin(l, &single, low_compare(l, "gt", a->rows, one));
    }
    good = attend_few_groups(a) && good;
    if (a->few)
        low_if_end(l, &single);
    low_if_end(l, &few);
    return good;
}

void attend_find_position(attention *a)
{
    lowering *l = a->l;
    a->position = position_of(a);
    low_check_range(l, a->position, low_sub(l, a->keys, a->rows), "attention beyond the last key");
}

static const place *place_of_operand(lowering *l, const ir_op *op, const char *name)
{
    const ir_value *v = ir_operand_named(op, name);
    return v ? &l->inputs[v->index] : NULL;
}

static attention attention_of(lowering *l, const ir_op *op)
{
    attention a = {.l = l, .op = op, .y = &l->outputs[0], .window = ir_integer(op, "window")};
    a.q = place_of_operand(l, op, "q");
    a.k = place_of_operand(l, op, "k");
    a.v = place_of_operand(l, op, "v");
    a.slopes = place_of_operand(l, op, "slopes");
    const ir_dim *q = a.q->type->dims + a.q->type->rank - 3;
    const ir_dim *k = a.k->type->dims + a.k->type->rank - 3;
    a.rows = low_dim(l, q[0]);
    a.heads = q[1].value;
    a.depth = q[2].value;
    a.keys = low_dim(l, k[0]);
    a.groups = k[1].value;
    a.width = low_columns(a.v->type).value;
    const bool all = is_native(l->context) && a.heads > QUERY_BLOCK; // of a row
    const int64_t queries = all ? a.heads : QUERY_BLOCK;
    a.scaled = low_scratch(l, SCALAR_F32, queries, a.depth);
    int64_t behind = ir_name_is(op, "unit", "matrix") ? l->m + ATTEND_LINE : 0; // m zeros first
    a.weights = low_scratch(l, SCALAR_F32, queries, ir_dim_maximum(k[0]) + behind);
    if (ir_name_is(op, "unit", "matrix"))
        a.beside = beside_scratch(l, matrix_rows(l) > FEW_SUMS ? matrix_rows(l) : FEW_SUMS);
    return a;
}

static bool is_one_row(ir_dim rows)
{
    return ir_dim_is_constant(rows) ? rows.value == 1 : ir_dim_maximum(rows) == 1;
}

// A row's heads that share keys are as many as go through the matrix unit.
static bool fills_matrix(const attention *a)
{
    return ir_name_is(a->op, "unit", "matrix") && a->heads / a->groups >= attend_matrix_queries(a);
}

// Sequence by sequence; single rows of many sequences are shared as one.
static bool attend_batches(attention *a)
{
    lowering *l = a->l;
    const ir_type *q = a->q->type;
    bool batched = q->rank == 4;
    low_loop batch;
    a->batch = low_index(l, 0);
    if (is_one_row(q->dims[q->rank - 3]) && (batched || a->panels.count) && !fills_matrix(a))
        return attend_single_rows(a);
    if (batched) {
        low_for_begin(l, &batch, low_index(l, 0), low_dim(l, q->dims[0]), low_index(l, 1), 0, NULL);
        a->batch = batch.counter;
    }
    attend_find_position(a);
    bool good = attend_groups(a);
    if (batched)
        low_loop_end(l, &batch, NULL);
    return good;
}

bool lower_attend_kernel(lowering *l)
{
    const ir_op *op = l->region->first;
    while (op->code != IR_ATTEND)
        op = op->next;
    l->at.where = op->where;
    attention a = attention_of(l, op);
    if (ir_name_is(op, "unit", "matrix"))
        a.few = attend_few(&a);
    return attend_prepare_tables(&a) && attend_batches(&a);
}
