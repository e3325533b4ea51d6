// rope(x, pos): angles from positions, then the operation. The angles are plain operations of the
// graph in f64; layers that turn by the same angles share them (common subexpressions).
#include "compiler/frontend/elaborate.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

// ----------------------------------------------------------------- frequencies

typedef struct rotation {
    int64_t pairs;
    double base, factor, context, beta_fast, beta_slow, extrapolation, magnitude;
    const char *scaling; // none, linear, yarn
} rotation;

static bool is_scaled(const rotation *r, const char *how)
{
    return !strcmp(r->scaling, how);
}

// Peng et al., arXiv:2309.00071: the pair, as a fraction, that turns `turns` times over the
// original context.
static double turning_pair(const rotation *r, double turns)
{
    const double pi = 3.14159265358979323846;
    return (double)r->pairs * log(r->context / (turns * 2 * pi)) / log(r->base);
}

// How much of the original frequency a pair keeps: 1 for those that turn fast, 0 for slow ones.
static double kept(const rotation *r, int64_t pair)
{
    double low = fmax(floor(turning_pair(r, r->beta_fast)), 0);
    double high = fmin(ceil(turning_pair(r, r->beta_slow)), (double)(2 * r->pairs - 1));
    double ramp = ((double)pair - low) / fmax(high - low, 0.001);
    return r->extrapolation * (1 - fmin(fmax(ramp, 0), 1));
}

// Radians per position.
static double frequency(const rotation *r, int64_t pair)
{
    double original = pow(r->base, -(double)pair / (double)r->pairs);
    double share = is_scaled(r, "yarn") ? kept(r, pair) : is_scaled(r, "none");
    return original / r->factor * (1 - share) + original * share;
}

// ------------------------------------------------------------------ attributes

static const struct {
    const char *name;
    size_t at; // in a rotation
    double standard, above;
    bool yarn; // matters there alone
} numbers[] = {
    {"base", offsetof(rotation, base), 10000, 1, false},
    {"factor", offsetof(rotation, factor), 1, 0, false},
    {"original_context", offsetof(rotation, context), 0, 0, true},
    {"beta_fast", offsetof(rotation, beta_fast), 32, 0, true},
    {"beta_slow", offsetof(rotation, beta_slow), 1, 0, true},
    {"extrapolation", offsetof(rotation, extrapolation), 1, -INFINITY, true},
};
enum { N_NUMBERS = sizeof numbers / sizeof *numbers };

static bool read_number(frontend *f, const builtin_call *c, unsigned i, rotation *r)
{
    const ast_node *n = builtin_attribute(c, numbers[i].name);
    double *x = (double *)(void *)((char *)r + numbers[i].at);
    *x = numbers[i].standard;
    if (!builtin_number(f, c, numbers[i].name, x))
        return false;
    if (*x > numbers[i].above || (numbers[i].yarn && !is_scaled(r, "yarn")))
        return true;
    fail(f, n ? n->where : c->syntax->where, "'%s' must be greater than %g, this is %g",
         numbers[i].name, numbers[i].above, *x);
    return false;
}

static bool check_scaling(frontend *f, const builtin_call *c, const rotation *r)
{
    const ast_node *factor = builtin_attribute(c, "factor");
    if (factor && r->factor != 1 && !builtin_attribute(c, "scaling"))
        return fail(f, factor->where, "'factor' needs scaling = linear or scaling = yarn").kind;
    return true;
}

static bool read_numbers(frontend *f, const builtin_call *c, rotation *r)
{
    bool good = true;
    if (is_scaled(r, "yarn") && !builtin_attribute(c, "original_context"))
        return fail(f, c->syntax->where,
                    "scaling = yarn needs original_context, the context of the training")
            .kind;
    for (unsigned i = 0; i < N_NUMBERS; i++)
        if (!read_number(f, c, i, r))
            good = false;
    if (!good || !check_scaling(f, c, r))
        return false;
    r->magnitude = is_scaled(r, "yarn") && r->extrapolation != 0 ? 1 + 0.1 * log(r->factor) : 1;
    return builtin_number(f, c, "magnitude", &r->magnitude);
}

static bool read_rotation(frontend *f, const builtin_call *c, int64_t columns, rotation *r)
{
    ast_node *pairs = builtin_attribute(c, "pairs");
    *r = (rotation){.scaling = "none", .pairs = columns / 2};
    if (pairs && !evaluate_whole(f, pairs, "the number of pairs to rotate", 1, r->pairs, &r->pairs))
        return false;
    return builtin_word(f, c, "scaling", "none linear yarn}", &r->scaling) && read_numbers(f, c, r);
}

// ---------------------------------------------------------------------- angles

static ir_value *frequencies(frontend *f, const builtin_call *c, const rotation *r)
{
    double *values = constant_values(f, c->syntax->where, r->pairs);
    for (int64_t i = 0; values && i < r->pairs; i++) {
        values[i] = frequency(r, i);
        if (!isfinite(values[i])) {
            fail(f, c->syntax->where, "the frequency of pair %lld is not a finite number",
                 (long long)i);
            return NULL;
        }
    }
    return values ? constant_vector(f, "rope", SCALAR_F64, r->pairs, values, c->syntax->where)
                  : NULL;
}

static bool check_factors(frontend *f, const builtin_call *c, const ir_value *factors,
                          int64_t pairs)
{
    const ir_type *t = factors->type;
    if (t->kind == IR_TENSOR && t->rank == 1 && ir_type_is_float(t) &&
        ir_dim_equal(t->dims[0], ir_dim_constant(pairs)))
        return true;
    return builtin_wrong_operand(f, c, 2,
                                 arena_format(f->arena,
                                              "a float vector of %lld elements, one for each pair",
                                              (long long)pairs),
                                 describe_type(f, t))
        .kind;
}

// f64[.., T, P] from i32[.., T].
static ir_value *angles(frontend *f, location where, ir_value *positions, ir_value *frequency,
                        ir_value *factors)
{
    const ir_type *t = positions->type;
    ir_dim dims[IR_MAX_RANK];
    memcpy(dims, t->dims, sizeof dims);
    dims[t->rank] = ir_dim_constant(1);
    ir_value *x = emit_cast(f, where, positions, SCALAR_F64);
    x = emit(f, where, IR_RESHAPE, ir_type_tensor(f->module, SCALAR_F64, t->rank + 1, dims), x,
             NULL, NULL);
    dims[t->rank] = frequency->type->dims[0];
    const ir_type *result = type_tensor(f, where, SCALAR_F64, t->rank + 1, dims);
    if (!result)
        return NULL;
    x = emit(f, where, IR_MUL, result, x, frequency, NULL);
    if (factors)
        x = emit(f, where, IR_DIV, result, x, emit_cast(f, where, factors, SCALAR_F64), NULL);
    return x;
}

// cos or sin in f64, times the magnitude, in f32.
static ir_value *turn(frontend *f, location where, ir_opcode code, ir_value *angle,
                      double magnitude)
{
    ir_value *x = emit(f, where, code, angle->type, angle, NULL, NULL);
    if (magnitude != 1) {
        const ir_type *scalar = ir_type_scalar(f->module, SCALAR_F64);
        ir_value *m = emit(f, where, IR_CONSTANT, scalar, NULL, NULL, NULL);
        ir_set_number(m->op, "value", magnitude);
        x = emit(f, where, IR_MUL, angle->type, x, m, NULL);
    }
    return emit_cast(f, where, x, SCALAR_F32);
}

value rule_rope(frontend *f, const builtin_call *c)
{
    scalar_type s;
    rotation r;
    location where = c->syntax->where;
    ir_value *x = builtin_operand(f, c, 0), *factors = builtin_operand(f, c, 2);
    if (!x || (c->operands[2] && !factors))
        return poison();
    const ir_type *t = x->type;
    ir_dim columns = t->kind == IR_TENSOR && t->rank ? t->dims[t->rank - 1] : ir_dim_constant(0);
    if (!ir_type_is_float(t) || t->rank < 3 || columns.symbol || columns.value < 2)
        return builtin_wrong_operand(f, c, 0, "a float tensor [.., T, H, D], D at least 2",
                                     describe_type(f, t));
    if (!builtin_float_type(f, c, t->scalar, &s) || !read_rotation(f, c, columns.value, &r) ||
        (factors && !check_factors(f, c, factors, r.pairs)))
        return poison();
    ir_value *positions = token_positions(f, c, 1, t);
    ir_value *frequency = positions ? frequencies(f, c, &r) : NULL;
    ir_value *angle = frequency ? angles(f, where, positions, frequency, factors) : NULL;
    if (!angle)
        return poison();
    ir_value *cosine = turn(f, where, IR_COS, angle, r.magnitude);
    ir_value *sine = turn(f, where, IR_SIN, angle, r.magnitude);
    ir_value *y = emit(f, where, IR_ROPE, ir_type_with_scalar(f->module, t, s), x, cosine, sine);
    ir_set_name(y->op, "layout", "interleaved");
    return builtin_finish(f, c, y);
}
