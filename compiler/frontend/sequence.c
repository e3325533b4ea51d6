// What models of sequences need: rows of tables, positions, attention. Rotations: rope.c.
#include "compiler/frontend/elaborate.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const int64_t max_constant_elements = 1 << 24;

double *constant_values(frontend *f, location where, int64_t count)
{
    f->constant_elements += count;
    if (count <= IR_CONSTANT_MAX_ELEMENTS && f->constant_elements <= max_constant_elements)
        return ARENA_ARRAY(f->arena, double, (size_t)count);
    fail(f, where,
         "too many frequencies and slopes: a constant has at most 2^20 elements, all "
         "that are computed 2^24");
    return NULL;
}

// One constant of the module for each distinct content, under no name that the program has.
ir_value *constant_vector(frontend *f, const char *name, scalar_type s, int64_t count,
                          double *values, location where)
{
    ir_dim dim = ir_dim_constant(count);
    const ir_type *t = ir_type_tensor(f->module, s, 1, &dim);
    for (int64_t i = 0; i < count; i++)
        values[i] = scalar_round(s, values[i]);
    for (size_t i = 0; i < f->constants.count; i++) {
        ir_global *g = f->constants.items[i];
        if (g->value.type == t && !memcmp(g->values, values, (size_t)count * sizeof *values))
            return &g->value;
    }
    while (declaration_find(f, arena_intern(f->arena, name)))
        name = arena_format(f->arena, "%s_", name);
    name = arena_format(f->arena, "%s.%zu", name, f->constants.count);
    ir_global *g = ir_constant_create(f->module, name, t, values, where);
    ARRAY_PUSH(f->arena, &f->constants, g);
    return &g->value;
}

static ir_value *iota(frontend *f, location where, ir_dim n)
{
    return emit(f, where, IR_IOTA, ir_type_tensor(f->module, SCALAR_I32, 1, &n), NULL, NULL, NULL);
}

value rule_range(frontend *f, const builtin_call *c)
{
    ir_dim n;
    if (!type_dim(f, c->operands[0], &n))
        return poison();
    if (ir_dim_maximum(n) > INT32_MAX)
        return fail(f, c->operands[0]->where, "'range' counts to 2^31 - 1 at most, this is %s",
                    describe_dim(f, n));
    return runtime_value(iota(f, c->syntax->where, n));
}

// ------------------------------------------------------------------- embedding

static bool is_float_matrix(const ir_type *t)
{
    return t->kind == IR_TENSOR && t->rank == 2 && ir_type_is_float(t);
}

static ir_value *table_operand(frontend *f, const builtin_call *c)
{
    value v = c->values[0];
    if (is_weight_matrix(v))
        return weights_require(f, c->operands[0], v) ? weights_global(f, v.weights, v.integer)
                                                     : NULL;
    ir_value *table = builtin_operand(f, c, 0);
    if (!table || is_float_matrix(table->type))
        return table;
    builtin_wrong_operand(f, c, 0, "a weight matrix or float tensor [V, D]", describe(f, v));
    return NULL;
}

value rule_embedding(frontend *f, const builtin_call *c)
{
    scalar_type s;
    ir_value *table = table_operand(f, c), *indices = builtin_operand(f, c, 1);
    if (!table || !indices || !builtin_float_type(f, c, SCALAR_F32, &s))
        return poison();
    const ir_type *t = indices->type;
    if (t->kind != IR_TENSOR || t->scalar != SCALAR_I32)
        return builtin_wrong_operand(f, c, 1, "a tensor of i32", describe_type(f, t));
    ir_dim dims[IR_MAX_RANK + 1];
    memcpy(dims, t->dims, sizeof t->dims);
    dims[t->rank] = table->type->dims[1];
    const ir_type *result = type_tensor(f, c->syntax->where, s, t->rank + 1, dims);
    if (!result)
        return poison();
    return runtime_value(emit(f, c->syntax->where, IR_GATHER, result, table, indices, NULL));
}

// ------------------------------------------------------------------- positions

static bool dims_begin_with(const ir_type *t, const ir_type *with, unsigned n)
{
    bool same = with->rank == n;
    for (unsigned i = 0; same && i < n; i++)
        same = ir_dim_equal(t->dims[i], with->dims[i]);
    return same;
}

ir_value *token_positions(frontend *f, const builtin_call *c, unsigned slot, const ir_type *x)
{
    location where = c->syntax->where;
    unsigned leading = x->rank - 2; // [.., T]
    const ir_type *i32 = ir_type_scalar(f->module, SCALAR_I32);
    ir_value *p = runtime(f, c->operands[slot], c->values[slot], i32);
    if (!p)
        return NULL;
    bool index = p->type->kind == IR_INDEX, scalar = p->type == i32 || index;
    bool tensor = p->type->kind == IR_TENSOR && p->type->scalar == SCALAR_I32;
    if (tensor && dims_begin_with(x, p->type, leading))
        return p;
    if (!(scalar && leading == 1) && !(tensor && dims_begin_with(x, p->type, leading - 1))) {
        builtin_wrong_operand(
            f, c, slot,
            arena_format(f->arena, "the i32 position of the first token, or of all (x is %s)",
                         describe_type(f, x)),
            describe_type(f, p->type));
        return NULL;
    }
    ir_dim dims[IR_MAX_RANK];
    memcpy(dims, x->dims, sizeof dims);
    ir_value *count = iota(f, where, dims[leading - 1]);
    const ir_type *result = ir_type_tensor(f->module, SCALAR_I32, leading, dims);
    dims[leading - 1] = ir_dim_constant(1);
    p = index    ? emit_cast(f, where, p, SCALAR_I32)
        : tensor ? emit(f, where, IR_RESHAPE, ir_type_tensor(f->module, SCALAR_I32, leading, dims),
                        p, NULL, NULL)
                 : p;
    return emit(f, where, IR_ADD, result, p, count, NULL);
}

// ------------------------------------------------------------------- attention

// Keys and values stay in their states.
static ir_value *cache_operand(frontend *f, const builtin_call *c, unsigned slot)
{
    value v = c->values[slot];
    if (v.kind == VALUE_STATE && !v.array)
        return state_global(f, v.state, v.integer);
    return builtin_operand(f, c, slot);
}

static bool constant_heads(const ir_type *t)
{
    return t->kind == IR_TENSOR && ir_type_is_float(t) && t->rank >= 3 && t->rank <= 4 &&
           ir_dim_is_constant(t->dims[t->rank - 2]) && ir_dim_is_constant(t->dims[t->rank - 1]);
}

static bool same_batch(const ir_type *a, const ir_type *b)
{
    return a->rank == b->rank && (a->rank == 3 || ir_dim_equal(a->dims[0], b->dims[0]));
}

static bool keys_fit(const ir_type *q, const ir_type *k)
{
    if (!constant_heads(k) || !same_batch(q, k))
        return false;
    const ir_dim *a = q->dims + q->rank - 2, *b = k->dims + k->rank - 2;
    return ir_dim_equal(a[1], b[1]) && b[0].value >= 1 && a[0].value % b[0].value == 0;
}

static bool values_fit(const ir_type *k, const ir_type *v)
{
    unsigned rows = k->rank - 3;
    return constant_heads(v) && same_batch(k, v) && ir_dim_equal(k->dims[rows], v->dims[rows]) &&
           ir_dim_equal(k->dims[rows + 1], v->dims[rows + 1]);
}

static bool check_attention(frontend *f, const builtin_call *c, const ir_type *q, const ir_type *k,
                            const ir_type *v)
{
    const char *batch =
        q->rank == 4 ? arena_format(f->arena, "%s, ", describe_dim(f, q->dims[0])) : "";
    if (!constant_heads(q))
        return builtin_wrong_operand(f, c, 0, "a float tensor [T, H, D] or [B, T, H, D]",
                                     describe_type(f, q))
            .kind;
    if (!keys_fit(q, k))
        return builtin_wrong_operand(
                   f, c, 1,
                   arena_format(f->arena,
                                "floats [%sS, G, %s] whose G heads divide those of q (q is %s)",
                                batch, describe_dim(f, q->dims[q->rank - 1]), describe_type(f, q)),
                   describe_type(f, k))
            .kind;
    if (!values_fit(k, v))
        return builtin_wrong_operand(f, c, 2,
                                     arena_format(f->arena, "floats [%s%s, %s, E] for k (k is %s)",
                                                  batch, describe_dim(f, k->dims[k->rank - 3]),
                                                  describe_dim(f, k->dims[k->rank - 2]),
                                                  describe_type(f, k)),
                                     describe_type(f, v))
            .kind;
    return true;
}

static ir_value *attend_position(frontend *f, const builtin_call *c, const ir_type *q)
{
    value v = c->values[3];
    bool tensor = v.kind == VALUE_RUNTIME && v.runtime->type->kind == IR_TENSOR;
    if (q->rank == 3 && !tensor)
        return runtime_position(f, c->operands[3], v);
    if (q->rank == 4 && tensor && v.runtime->type->scalar == SCALAR_I32 &&
        dims_begin_with(q, v.runtime->type, 1))
        return v.runtime;
    builtin_wrong_operand(f, c, 3,
                          q->rank == 3
                              ? "the position of the first token, a scalar i32"
                              : arena_format(f->arena, "the positions of the first tokens, i32[%s]",
                                             describe_dim(f, q->dims[0])),
                          describe(f, v));
    return NULL;
}

// Press et al., arXiv:2108.12409: a geometric sequence from 2^(-bias / n) on for the n heads of the
// largest power of two; the heads beyond take every other term of the sequence for 2n.
static ir_value *alibi_slopes(frontend *f, const builtin_call *c, double bias, int64_t heads)
{
    int64_t n = 1;
    while (2 * n <= heads)
        n *= 2;
    double *slopes = constant_values(f, c->syntax->where, heads);
    for (int64_t h = 0; slopes && h < heads; h++)
        slopes[h] = h < n ? exp2(-bias * (double)(h + 1) / (double)n)
                          : exp2(-bias * (double)(2 * (h - n) + 1) / (double)(2 * n));
    return slopes ? constant_vector(f, "slopes", SCALAR_F32, heads, slopes, c->syntax->where)
                  : NULL;
}

static ir_value *given_slopes(frontend *f, const builtin_call *c, int64_t heads)
{
    ir_value *slopes = builtin_operand(f, c, 4);
    if (!slopes)
        return NULL;
    const ir_type *t = slopes->type;
    if (t->kind == IR_TENSOR && t->rank == 1 && ir_type_is_float(t) &&
        ir_dim_equal(t->dims[0], ir_dim_constant(heads)))
        return emit_cast(f, c->syntax->where, slopes, SCALAR_F32);
    builtin_wrong_operand(
        f, c, 4, arena_format(f->arena, "a float vector of %lld elements", (long long)heads),
        describe_type(f, t));
    return NULL;
}

// *out: NULL without a bias.
static bool find_slopes(frontend *f, const builtin_call *c, int64_t heads, ir_value **out)
{
    double bias = 0;
    const ast_node *alibi = builtin_attribute(c, "alibi");
    bool given = c->operands[4];
    if (!builtin_number(f, c, "alibi", &bias))
        return false;
    if (alibi && (given || !(bias >= 0 && bias <= FLT_MAX)))
        return fail(f, alibi->where,
                    given ? "'attend' takes either 'slopes' or 'alibi'"
                          : "'alibi' is the largest bias, an f32 not below 0")
            .kind;
    *out = given ? given_slopes(f, c, heads) : bias > 0 ? alibi_slopes(f, c, bias, heads) : NULL;
    return *out || (!given && bias == 0);
}

static bool check_attributes(frontend *f, const builtin_call *c, const ir_op *op)
{
    int64_t window = ir_integer(op, "window");
    if (window < 0 || window > INT32_MAX)
        return fail(f, c->syntax->where,
                    "'window' is a number of tokens, 0 for all, at most 2^31 - 1; this is %lld",
                    (long long)window)
            .kind;
    if (fabs(ir_number(op, "scale")) <= FLT_MAX)
        return true;
    return fail(f, c->syntax->where, "'scale' is beyond f32").kind;
}

value rule_attend(frontend *f, const builtin_call *c)
{
    scalar_type s;
    ir_value *q = builtin_operand(f, c, 0), *k = cache_operand(f, c, 1);
    ir_value *v = cache_operand(f, c, 2), *slopes = NULL;
    if (!q || !k || !v || !check_attention(f, c, q->type, k->type, v->type) ||
        !builtin_float_type(f, c, q->type->scalar, &s))
        return poison();
    unsigned last = q->type->rank - 1;
    ir_value *position = attend_position(f, c, q->type);
    if (!position || !find_slopes(f, c, q->type->dims[last - 1].value, &slopes))
        return poison();
    ir_dim dims[IR_MAX_RANK];
    memcpy(dims, q->type->dims, sizeof dims);
    dims[last] = v->type->dims[last];
    const ir_type *result = type_tensor(f, c->syntax->where, s, last + 1, dims);
    if (!result)
        return poison();
    ir_value *operands[] = {q, k, v, position, slopes};
    f->builder->where = c->syntax->where;
    ir_op *op = ir_build(f->builder, IR_ATTEND, 5, operands, 1, &result);
    ir_set_number(op, "scale", 1 / sqrt((double)q->type->dims[last].value));
    return builtin_attributes(f, c, op) && check_attributes(f, c, op)
               ? runtime_value(ir_result(op, 0))
               : poison();
}
