// Attention of few queries through tiles, on machines with a matrix unit and a LUT unit: what a
// step of decoding does, where keys and values come from memory once and nothing may be slower.
//
// Keys are the matrix unit's operand A, 8m of them at once, the halves of the queries its operand
// B. Values are loaded as f32 accumulators of m keys each, and the dequantizer adds them, times
// the weights of these keys, to sums of m interleaved parts.
#include "compiler/passes/lower/attend_few.h"
#include "compiler/passes/lower/matrix.h"

#include "isa/cost.h"

enum { UNROLL = 2 };

static unsigned tiles_for(int64_t x, int64_t size)
{
    return (unsigned)((x + size - 1) / size);
}

// As many numbers of type `half` as have the digits of one of type `t`.
static unsigned parts_for(const attention *a, scalar_type half)
{
    scalar_type t = a->q->type->scalar;
    if (t == half || ir_name_is(a->op, "precision", "rounded"))
        return 1;
    return t == SCALAR_F32 && half == SCALAR_BF16 ? 3 : 2;
}

unsigned attend_few_queries(const few_attention *x)
{
    unsigned most = (unsigned)x->columns / x->parts, size = QUERY_BLOCK;
    while (size > most || size * x->wide > FEW_SUMS)
        size--;
    return size;
}

static int64_t keys_at_most(const attention *a)
{
    return ir_dim_maximum(a->k->type->dims[a->k->type->rank - 3]);
}

few_attention *attend_few(attention *a)
{
    lowering *l = a->l;
    scalar_type half = a->k->type->scalar;
    few_attention *x = ARENA_ARRAY(l->arena, few_attention, 1);
    *x = (few_attention){.a = a, .half = half, .type = matrix_type_name(half)};
    x->parts = parts_for(a, half);
    x->rows = matrix_rows(l);
    x->columns = matrix_columns(l);
    x->steps = tiles_for(a->depth, matrix_depth(l, half));
    x->wide = tiles_for(a->width, l->n);
    int64_t keys = keys_at_most(a);
    if (!machine_has(l->context->machine, ISA_UNIT_DEQUANTIZE) || x->steps > FEW_STEPS ||
        x->wide > FEW_WIDE || x->parts > x->columns || keys < x->rows)
        return NULL;
    x->score_rows = x->rows * (1 + tiles_for(keys, x->rows));
    x->q = low_scratch(l, half, x->columns, a->depth);
    x->scores = low_scratch(l, SCALAR_F32, x->score_rows, x->columns);
    x->sums = low_scratch(l, SCALAR_F32, l->m, x->wide * l->n);
    x->ones = low_scratch(l, SCALAR_F16, 2, l->n);
    for (unsigned i = 0; i < 2; i++)
        low_fill(l, x->ones, low_index(l, i), low_index(l, 0), low_index(l, l->n), i ? -1 : 1);
    return x;
}

// ---------------------------------------------------------------------- queries

static ir_value *q_row(const few_attention *x, const query_block *b, unsigned h, unsigned i)
{
    return low_index(x->a->l, h * b->count + i);
}

// Of any rows.
static void take_scattered(const few_attention *x, const query_block *b)
{
    lowering *l = x->a->l;
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, x->a->depth), "f32", 0, NULL);
    for (unsigned i = 0; i < b->count; i++) {
        ir_value *q = low_vload(l, x->a->q->buffer, b->row[i], strip.counter, 1);
        q = low_cast(l, q, SCALAR_F32);
        for (unsigned h = 0; h < x->parts; h++) {
            ir_value *half = low_cast(l, q, x->half);
            low_vstore(l, half, x->q, q_row(x, b, h, i), strip.counter, 1);
            if (h + 1 < x->parts)
                q = low_binary(l, IR_SUB, q, low_cast(l, half, SCALAR_F32));
        }
    }
    low_loop_end(l, &strip, NULL);
}

// `size` numbers from `at` on of what begins in row `row` of a buffer: rows of n columns, or less
// than one.
typedef struct tile_piece {
    int64_t at, size;
} tile_piece;

static ir_value *piece_view(lowering *l, ir_value *buffer, ir_value *row, int64_t at)
{
    ir_dim dims[1] = {ir_dim_constant(1)};
    return low_view(l, buffer, row, low_index(l, at),
                    ir_type_buffer(l->module, buffer->type->scalar, 1, dims));
}

static ir_value *piece_stride(lowering *l, const ir_value *buffer, tile_piece p)
{
    int64_t stride = l->n * (int64_t)scalar_size(buffer->type->scalar);
    return p.size > l->n ? low_index(l, stride) : NULL;
}

static ir_value *piece_columns(lowering *l, tile_piece p)
{
    return p.size < l->n ? low_index(l, p.size) : NULL;
}

static ir_value *load_piece(lowering *l, ir_value *buffer, ir_value *row, tile_piece p)
{
    ir_value *t = ir_build1(&l->at, IR_XLUT_LDA, ir_type_tile(l->module, TILE_F32),
                            piece_view(l, buffer, row, p.at), piece_stride(l, buffer, p),
                            piece_columns(l, p));
    ir_set_name(t->op, "type", scalar_rows[buffer->type->scalar].name);
    return t;
}

static void store_piece(lowering *l, ir_value *t, ir_value *buffer, ir_value *row, tile_piece p)
{
    ir_value *operands[4] = {t, piece_view(l, buffer, row, p.at), piece_stride(l, buffer, p),
                             piece_columns(l, p)};
    ir_set_name(ir_build(&l->at, IR_XLUT_STA, 4, operands, 0, NULL), "type",
                scalar_rows[buffer->type->scalar].name);
}

// Adds values times 1 or -1, a row of x->ones, and times a scale for each row (NULL: 1).
static ir_value *add_rows(const few_attention *x, ir_value *sum, ir_value *values, unsigned ones,
                          ir_value *scales)
{
    lowering *l = x->a->l;
    ir_dim n[1] = {ir_dim_constant(l->n)};
    ir_value *row = low_view(l, x->ones, low_index(l, ones), low_index(l, 0),
                             ir_type_buffer(l->module, SCALAR_F16, 1, n));
    return low_scale_into(l, sum, values, row, scales);
}

// Of one row, whose heads stand side by side: the tiles' moves convert, the dequantizer subtracts.
static void take_adjacent(const few_attention *x, const query_block *b)
{
    lowering *l = x->a->l;
    int64_t all = b->count * x->a->depth, most = l->m * l->n;
    tile_piece p = {0};
    for (; p.at < all; p.at += p.size) {
        int64_t left = all - p.at;
        p.size = left >= most ? most : left >= l->n ? l->n : left;
        ir_value *q = load_piece(l, x->a->q->buffer, b->row[0], p);
        for (unsigned h = 0; h < x->parts; h++) {
            ir_value *to = q_row(x, b, h, 0);
            store_piece(l, q, x->q, to, p);
            if (h + 1 < x->parts)
                q = add_rows(x, q, load_piece(l, x->q, to, p), 1, NULL);
        }
    }
}

void few_take_queries(const few_attention *x, const query_block *b)
{
    (x->a->one_row ? take_adjacent : take_scattered)(x, b);
}

ir_value *few_add(const few_attention *x, ir_value *sum, ir_value *values, ir_value *scales)
{
    return add_rows(x, sum, values, 0, scales);
}

// ----------------------------------------------------------------------- scores

// Bytes of step `s` of the depth; 0: whole.
static int64_t step_bytes(const few_attention *x, unsigned s)
{
    return matrix_piece_bytes(x->a->depth, matrix_depth(x->a->l, x->half), s, x->half);
}

static ir_value *step_column(const few_attention *x, unsigned s)
{
    return low_index(x->a->l, s * matrix_depth(x->a->l, x->half));
}

typedef struct score_tiles {
    ir_value *query[FEW_STEPS];
    ir_value *last, *row; // scores of the tile before, and where they belong
} score_tiles;

ir_value *few_load_queries(const few_attention *x, const query_block *b, unsigned s)
{
    lowering *l = x->a->l;
    unsigned rows = b->count * x->parts;
    ir_value *all = rows < x->columns ? low_index(l, rows) : NULL;
    return matrix_load(l, "b", x->q, low_index(l, 0), step_column(x, s), x->a->depth,
                       matrix_part(l, all, step_bytes(x, s)));
}

static void store_scores(const few_attention *x, ir_value *c, ir_value *row)
{
    matrix_store(x->a->l, c, x->scores, row, low_index(x->a->l, 0), x->columns, NULL);
}

ir_value *few_load_keys(const few_attention *x, const query_block *b, ir_value *key,
                        ir_value *count, unsigned s)
{
    const attention *a = x->a;
    ir_value *row = attend_cache_row(a, low_add(a->l, b->first, key));
    return matrix_load(a->l, "a", a->k->buffer, row, step_column(x, s), a->groups * a->depth,
                       matrix_part(a->l, count, step_bytes(x, s)));
}

// A tile of keys from `key` on, `count` of them (NULL: all). Loads go before the products that the
// unit still works on, and so do the stores of the tile before.
static void score_tile(const few_attention *x, const query_block *b, score_tiles *t, ir_value *key,
                       ir_value *count)
{
    lowering *l = x->a->l;
    ir_value *next = few_load_keys(x, b, key, count, 0), *c = matrix_zero(l, x->half);
    for (unsigned s = 0; s < x->steps; s++) {
        ir_value *keys = next;
        if (s + 1 < x->steps)
            next = few_load_keys(x, b, key, count, s + 1);
        c = matrix_multiply(l, x->type, c, keys, t->query[s]);
        if (s == 0)
            store_scores(x, t->last, t->row);
    }
    t->last = c;
    t->row = low_add(l, key, low_index(l, x->rows));
}

// The scores of key k stand in row `rows` + k: the first round stores what is none.
static void score(const few_attention *x, const query_block *b)
{
    lowering *l = x->a->l;
    ir_value *rows = low_index(l, x->rows), *zero = low_index(l, 0);
    ir_value *whole = low_div(l, b->keys, low_index(l, UNROLL * x->rows));
    score_tiles t = {0};
    for (unsigned s = 0; s < x->steps; s++)
        t.query[s] = few_load_queries(x, b, s);
    t.last = matrix_zero(l, x->half);
    low_loop rounds, rest;
    low_for_begin(l, &rounds, zero, whole, low_index(l, 1), 1, &t.last);
    ir_value *key = low_mul(l, rounds.counter, low_index(l, UNROLL * x->rows));
    t.last = rounds.carried[0];
    t.row = key;
    for (unsigned i = 0; i < UNROLL; i++)
        score_tile(x, b, &t, low_add(l, key, low_index(l, i * x->rows)), NULL);
    low_loop_end(l, &rounds, &t.last);
    ir_value *done = low_mul(l, whole, low_index(l, UNROLL * x->rows));
    t.last = ir_result(rounds.op, 0);
    store_scores(x, t.last, done);
    low_for_begin(l, &rest, done, b->keys, rows, 0, NULL);
    t.last = matrix_zero(l, x->half);
    t.row = zero;
    score_tile(x, b, &t, rest.counter, low_min(l, rows, low_sub(l, b->keys, rest.counter)));
    store_scores(x, t.last, t.row);
    low_loop_end(l, &rest, NULL);
}

typedef struct product_row {
    const few_attention *x;
    const query_block *b;
} product_row;

// The sum of a query's parts, times the scale.
static ir_value *scaled_score(void *context, unsigned i, ir_value *position)
{
    const product_row *p = context;
    const few_attention *x = p->x;
    lowering *l = x->a->l;
    ir_value *row = low_add(l, position, low_index(l, x->rows)), *sum = NULL;
    for (unsigned h = 0; h < x->parts; h++) {
        ir_value *part =
            low_vload(l, x->scores, row, low_index(l, h * p->b->count + i), x->columns);
        sum = sum ? low_binary(l, IR_ADD, sum, part) : part;
    }
    ir_value *scale = low_number(l, SCALAR_F32, ir_number(x->a->op, "scale"));
    return low_binary(l, IR_MUL, sum, low_broadcast(l, scale));
}

// ----------------------------------------------------------------------- values

// Columns of column tile `j`; NULL: all of the tile.
static ir_value *columns_of(const few_attention *x, unsigned j)
{
    lowering *l = x->a->l;
    int64_t left = x->a->width - j * l->n;
    return left < l->n ? low_index(l, left) : NULL;
}

ir_value *few_load_values(const few_attention *x, const query_block *b, ir_value *key, unsigned j,
                          bool one)
{
    const attention *a = x->a;
    lowering *l = a->l;
    ir_dim dims[1] = {ir_dim_constant(1)};
    ir_value *row = attend_cache_row(a, low_add(l, b->first, key));
    ir_value *from = low_view(l, a->v->buffer, row, low_index(l, j * l->n),
                              ir_type_buffer(l->module, x->half, 1, dims));
    int64_t stride = a->groups * a->width * (int64_t)scalar_size(x->half);
    ir_value *t = ir_build1(&l->at, IR_XLUT_LDA, ir_type_tile(l->module, TILE_F32), from,
                            one ? NULL : low_index(l, stride), columns_of(x, j));
    ir_set_name(t->op, "type", scalar_rows[x->half].name);
    return t;
}

ir_value *few_add_weighted(const few_attention *x, unsigned i, ir_value *sum, ir_value *values,
                           ir_value *key)
{
    lowering *l = x->a->l;
    ir_dim m[1] = {ir_dim_constant(l->m)};
    ir_value *weights = low_view(l, x->a->weights, low_index(l, i), key,
                                 ir_type_buffer(l->module, SCALAR_F32, 1, m));
    return few_add(x, sum, values, weights);
}

// Sums over keys from .. to, `groups` times m at once, or one by one (0).
static void add_values(const few_attention *x, const query_block *b, ir_value *from, ir_value *to,
                       unsigned groups, ir_value **sums)
{
    lowering *l = x->a->l;
    unsigned n = b->count * x->wide, each = groups ? groups : 1;
    ir_value *values[UNROLL][FEW_WIDE];
    low_loop keys;
    low_for_begin(l, &keys, from, to, low_index(l, groups ? groups * l->m : 1), n, sums);
    for (unsigned g = 0; g < each; g++)
        for (unsigned j = 0; j < x->wide; j++)
            values[g][j] = few_load_values(x, b, low_add(l, keys.counter, low_index(l, g * l->m)),
                                           j, groups == 0);
    for (unsigned i = 0; i < n; i++)
        sums[i] = keys.carried[i];
    for (unsigned g = 0; g < each; g++)
        for (unsigned i = 0; i < n; i++)
            sums[i] = few_add_weighted(x, i / x->wide, sums[i], values[g][i % x->wide],
                                       low_add(l, keys.counter, low_index(l, g * l->m)));
    low_loop_end(l, &keys, sums);
    for (unsigned i = 0; i < n; i++)
        sums[i] = ir_result(keys.op, i);
}

void few_give_result(const few_attention *x, const query_block *b, unsigned i,
                     ir_value *const *sums)
{
    const attention *a = x->a;
    lowering *l = a->l;
    ir_dim dims[1] = {ir_dim_constant(l->n)};
    const ir_type *row = ir_type_buffer(l->module, SCALAR_F32, 1, dims);
    for (unsigned j = 0; j < x->wide; j++) {
        ir_value *to = low_view(l, x->sums, low_index(l, 0), low_index(l, j * l->n), row);
        ir_value *stride = l->m > 1 ? low_index(l, x->wide * l->n * 4) : NULL;
        ir_value *operands[4] = {sums[i * x->wide + j], to, stride, NULL};
        ir_set_name(ir_build(&l->at, IR_XLUT_STA, 4, operands, 0, NULL), "type", "f32");
    }
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, a->width), "f32", 0, NULL);
    ir_value *y = low_vload(l, x->sums, low_index(l, 0), strip.counter, 1);
    for (int64_t r = 1; r < l->m; r++)
        y = low_binary(l, IR_ADD, y, low_vload(l, x->sums, low_index(l, r), strip.counter, 1));
    y = low_binary(l, IR_MUL, y, low_broadcast(l, attend_inverse_sum(l, b, i)));
    low_vstore(l, low_cast(l, y, a->y->type->scalar), a->y->buffer, b->result[i], strip.counter, 1);
    low_loop_end(l, &strip, NULL);
}

static void sum_values(const few_attention *x, const query_block *b)
{
    lowering *l = x->a->l;
    unsigned n = b->count * x->wide;
    ir_value *sums[FEW_SUMS], *zero = low_index(l, 0), *done = zero;
    for (unsigned i = 0; i < n; i++)
        sums[i] = matrix_zero(l, x->half);
    for (unsigned groups = UNROLL; groups > 0; groups--) {
        ir_value *step = low_index(l, groups * l->m);
        ir_value *end = low_sub(l, b->keys, low_rem(l, low_sub(l, b->keys, done), step));
        add_values(x, b, done, end, groups, sums);
        done = end;
    }
    if (l->m > 1)
        add_values(x, b, done, b->keys, 0, sums);
    for (unsigned i = 0; i < b->count; i++)
        few_give_result(x, b, i, sums);
}

void few_end_weights(const few_attention *x, const query_block *b, unsigned i)
{
    lowering *l = x->a->l;
    for (int64_t r = 0; r + 1 < l->m; r++)
        low_store(l, low_number(l, SCALAR_F32, 0), x->a->weights, low_index(l, i),
                  low_add(l, b->keys, low_index(l, r)));
}

static void block_of_rows(const few_attention *x, query_block *b)
{
    product_row p = {x, b};
    few_take_queries(x, b);
    score(x, b);
    for (unsigned i = 0; i < b->count; i++) {
        attend_weigh(x->a, b, i, scaled_score, &p);
        few_end_weights(x, b, i);
    }
    sum_values(x, b);
}

void attend_few_block(const few_attention *x, ir_value *first, unsigned count)
{
    if (x->a->one_row) {
        row_block(x, first, count);
        return;
    }
    query_block b = attend_block_of(x->a, first, count);
    block_of_rows(x, &b);
}
