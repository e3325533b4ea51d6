// linear(x, w): the operation everything is about, and the most explicit errors.
#include "compiler/frontend/elaborate.h"

#include <string.h>

// Another weight of the same group, or of the program, that fits x. NULL: none.
static const weight_node *find_fitting(const frontend *f, const weight_node *wrong, ir_dim k)
{
    const weight_node *group = wrong->parent;
    size_t count = group ? group->fields.count : f->declarations.count;
    for (size_t i = 0; i < count; i++) {
        const weight_node *w = group ? group->fields.items[i] : f->declarations.items[i]->weight;
        if (w && w->leaf && w != wrong && w->type->kind == IR_WEIGHT &&
            ir_dim_equal(w->type->dims[1], k))
            return w;
    }
    return NULL;
}

static value wrong_depth(frontend *f, const builtin_call *c, const ir_type *x, const weight_node *w)
{
    fail(f, c->syntax->where,
         "'linear' needs matching inner dimensions: x is %s, weight '%s' is %s",
         describe_type(f, x), w->name, describe_type(f, w->type));
    const weight_node *other = find_fitting(f, w, x->dims[x->rank - 1]);
    note(f, w->where, "'%s' is declared here with K = %s%s", w->name,
         describe_dim(f, w->type->dims[1]),
         other ? arena_format(f->arena, "; did you mean '%s' (%s)?", other->name,
                              describe_type(f, other->type))
               : "");
    return poison();
}

static weight_node *weight_operand(frontend *f, const builtin_call *c)
{
    value v = c->values[1];
    const ast_node *n = c->operands[1];
    if (is_weight_matrix(v))
        return weights_require(f, n, v) ? v.weights : NULL;
    if (v.kind == VALUE_WEIGHTS && (v.array || !v.weights->leaf))
        runtime(f, n, v, NULL); // says what is missing
    else
        fail(f, n->where, "'linear' needs a weight matrix as 'w', such as w[N, K]; '%s' is %s%s",
             describe_syntax(f, n), describe(f, v),
             v.kind == VALUE_RUNTIME ? ", which is computed at run time" : "");
    return NULL;
}

static bool check_activation(frontend *f, const builtin_call *c, const ir_type *x)
{
    bool known = x->kind == IR_TENSOR && x->rank &&
                 (ir_type_is_float(x) || x->scalar == SCALAR_I8 || x->scalar == SCALAR_I16);
    if (!known)
        fail(f, c->operands[0]->where,
             "'linear' needs a tensor of floats, i8 or i16 as 'x', this is %s",
             describe_type(f, x));
    return known;
}

// scale: one f32 per row of x.
static bool check_scale(frontend *f, const builtin_call *c, const ir_value *scale, const ir_type *x)
{
    ir_dim rows[IR_MAX_RANK];
    memcpy(rows, x->dims, sizeof rows);
    if (ir_type_is_float(x)) {
        fail(f, c->operands[2]->where,
             "'scale' is for integer activations, as quantize gives them; x is %s",
             describe_type(f, x));
        return false;
    }
    const ir_type *want = ir_type_tensor(f->module, SCALAR_F32, x->rank - 1, rows);
    if (scale->type == want)
        return true;
    fail(f, c->operands[2]->where, "'scale' must be %s, one for each row of x, this is %s",
         describe_type(f, want), describe_type(f, scale->type));
    return false;
}

static bool check_bias(frontend *f, const builtin_call *c, const ir_value *bias, ir_dim n)
{
    const ir_type *t = bias->type;
    if (t->kind == IR_TENSOR && t->rank == 1 && ir_type_is_float(t) && ir_dim_equal(t->dims[0], n))
        return true;
    fail(f, c->operands[3]->where, "'bias' must be a float vector of %s elements, this is %s",
         describe_dim(f, n), describe_type(f, t));
    return false;
}

// linear(w, x): a weight matrix where the activations belong, and a value where it belongs.
static bool check_order(frontend *f, const builtin_call *c)
{
    bool swapped = is_weight_matrix(c->values[0]) && c->values[1].kind == VALUE_RUNTIME;
    if (swapped)
        fail(f, c->syntax->where,
             "'linear' takes the activations first, then the weight: linear(%s, %s)",
             describe_syntax(f, c->operands[1]), describe_syntax(f, c->operands[0]));
    return !swapped;
}

value rule_linear(frontend *f, const builtin_call *c)
{
    scalar_type s;
    if (!check_order(f, c))
        return poison();
    ir_value *x = builtin_operand(f, c, 0), *scale = builtin_operand(f, c, 2);
    ir_value *bias = builtin_operand(f, c, 3);
    weight_node *w = x ? weight_operand(f, c) : NULL;
    if (!w || (c->operands[2] && !scale) || (c->operands[3] && !bias) ||
        !check_activation(f, c, x->type))
        return poison();
    const ir_type *t = x->type;
    if (!ir_dim_equal(t->dims[t->rank - 1], w->type->dims[1]))
        return wrong_depth(f, c, t, w);
    if ((scale && !check_scale(f, c, scale, t)) ||
        (bias && !check_bias(f, c, bias, w->type->dims[0])) ||
        !builtin_float_type(f, c, ir_type_is_float(t) ? t->scalar : SCALAR_F32, &s))
        return poison();
    ir_dim dims[IR_MAX_RANK];
    memcpy(dims, t->dims, sizeof dims);
    dims[t->rank - 1] = w->type->dims[0];
    const ir_type *result = type_tensor(f, c->syntax->where, bias ? SCALAR_F32 : s, t->rank, dims);
    if (!result)
        return poison();
    ir_value *weight = weights_global(f, w, c->values[1].integer);
    ir_value *y = emit(f, c->syntax->where, IR_LINEAR, result, x, weight, scale);
    if (bias) // added in f32 and rounded once
        y = emit(f, c->syntax->where, IR_ADD, ir_type_with_scalar(f->module, y->type, s), y, bias,
                 NULL);
    return runtime_value(y);
}
