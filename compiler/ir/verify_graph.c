// Typing rules of elementwise and graph operations, and of structure.
#include "compiler/ir/verify.h"

#include <math.h>
#include <string.h>

bool verify_dims_equal(const ir_type *a, unsigned n, const ir_type *b)
{
    for (unsigned i = 0; i < n; i++)
        if (!ir_dim_equal(a->dims[i], b->dims[i]))
            return false;
    return true;
}

static bool same_dims(const ir_type *a, const ir_type *b)
{
    return a->rank == b->rank && verify_dims_equal(a, a->rank, b);
}

// ---------------------------------------------------------------- elementwise

// Numpy's rule for one dimension: equal, or one of them 1.
static bool broadcast_dim(ir_dim x, ir_dim *into)
{
    if (ir_dim_equal(x, *into) || ir_dim_equal(x, ir_dim_constant(1)))
        return true;
    if (!ir_dim_equal(*into, ir_dim_constant(1)))
        return false;
    *into = x;
    return true;
}

static bool broadcast(const ir_type *t, ir_type *into)
{
    if (t->kind != IR_TENSOR)
        return true;
    while (into->rank < t->rank) {
        memmove(into->dims + 1, into->dims, into->rank * sizeof *into->dims);
        into->dims[0] = ir_dim_constant(1);
        into->rank++;
    }
    for (unsigned i = 1; i <= t->rank; i++)
        if (!broadcast_dim(t->dims[t->rank - i], &into->dims[into->rank - i]))
            return false;
    return true;
}

// Floats may meet floats of another width (the result is rounded once); integers
// only their own type.
static bool elements_agree(const ir_type *x, const ir_type *z)
{
    if (x->kind == IR_INDEX || z->kind == IR_INDEX)
        return x->kind == z->kind;
    return x->scalar == z->scalar || (scalar_is_float(x->scalar) && scalar_is_float(z->scalar));
}

static bool tensor_elementwise(verifier *v, const ir_op *op, const ir_type *z)
{
    ir_type shape = {.kind = IR_TENSOR};
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_type *x = op->operands[i].value->type;
        if (x->kind == IR_VECTOR || !elements_agree(x, z))
            return verify_error(v, op, "computes %s from %s: element types differ; cast first",
                                verify_type(v, z), verify_type(v, x));
        if (!broadcast(x, &shape))
            return verify_error(v, op, "cannot broadcast %s with %s",
                                verify_type(v, op->operands[0].value->type), verify_type(v, x));
    }
    if (!same_dims(&shape, z)) {
        shape.scalar = z->scalar;
        return verify_error(v, op, "gives %s, not %s", verify_type(v, &shape), verify_type(v, z));
    }
    return true;
}

static bool wants_floats(ir_opcode code)
{
    switch (code) {
    case IR_SQRT:
    case IR_RSQRT:
    case IR_EXP:
    case IR_TANH:
    case IR_ERF:
    case IR_SIN:
    case IR_COS:
    case IR_SIGMOID:
    case IR_SILU:
    case IR_GELU:
    case IR_ROUND: return true;
    default: return false;
    }
}

bool verify_elementwise(verifier *v, const ir_op *op)
{
    const ir_type *z = op->results[0].type;
    if (wants_floats(op->code) && !ir_type_is_float(z))
        return verify_error(v, op, "works on floats, not %s; cast first", verify_type(v, z));
    if (z->kind == IR_TENSOR)
        return tensor_elementwise(v, op, z);
    for (unsigned i = 0; i < op->n_operands; i++)
        if (op->operands[i].value->type != z)
            return verify_error(v, op, "needs operands of its result's type %s, not %s",
                                verify_type(v, z), verify_type(v, op->operands[i].value->type));
    return true;
}

static bool rule_cast(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *y = op->results[0].type;
    bool numbers = (x->kind == IR_INDEX || x->kind == IR_SCALAR) &&
                   (y->kind == IR_INDEX || y->kind == IR_SCALAR);
    return numbers || (x->kind == y->kind && same_dims(x, y)) ||
           verify_error(v, op, "changes the element type only, not %s to %s", verify_type(v, x),
                        verify_type(v, y));
}

static bool rule_constant(verifier *v, const ir_op *op)
{
    const ir_type *t = op->results[0].type;
    double value = ir_number(op, "value");
    if (ir_type_is_float(t))
        return true;
    if (t->kind == IR_INDEX)
        return (value == floor(value) && fabs(value) < 0x1p63) ||
               verify_error(v, op, "of type index is a whole number");
    return scalar_round(t->scalar, value) == value ||
           verify_error(v, op, "has a value that %s cannot hold", verify_type(v, t));
}

static bool rule_dim(verifier *v, const ir_op *op)
{
    return ir_symbol_find(v->module, ir_name(op, "symbol")) ||
           verify_error(v, op, "names dimension '%s', which is not declared",
                        ir_name(op, "symbol"));
}

// --------------------------------------------------------------------- rowwise

bool verify_floats(verifier *v, const ir_op *op, const ir_type *t)
{
    return ir_type_is_float(t) || verify_error(v, op, "works on floats, not %s", verify_type(v, t));
}

static bool check_same_shape(verifier *v, const ir_op *op, const ir_type *x, const ir_type *y)
{
    if (!x->rank)
        return verify_error(v, op, "works over the last dimension, but %s has none",
                            verify_type(v, x));
    return same_dims(x, y) || verify_error(v, op, "keeps the shape: %s cannot become %s",
                                           verify_type(v, x), verify_type(v, y));
}

static bool check_gain(verifier *v, const ir_op *op, const char *name, const ir_type *x)
{
    const ir_value *gain = ir_operand_named(op, name);
    if (!gain)
        return true;
    const ir_type *t = gain->type;
    if (!ir_type_is_float(t) || t->rank != 1 || !ir_dim_equal(t->dims[0], x->dims[x->rank - 1]))
        return verify_error(v, op, "needs a %s of floats over the last dimension of %s, not %s",
                            name, verify_type(v, x), verify_type(v, t));
    return true;
}

static bool rule_rowwise(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *y = op->results[0].type;
    return verify_floats(v, op, x) && verify_floats(v, op, y) && check_same_shape(v, op, x, y);
}

static bool rule_rms_norm(verifier *v, const ir_op *op)
{
    return rule_rowwise(v, op) && check_gain(v, op, "gain", op->operands[0].value->type);
}

static bool rule_layer_norm(verifier *v, const ir_op *op)
{
    return rule_rms_norm(v, op) && check_gain(v, op, "bias", op->operands[0].value->type);
}

// A scale per row of x: f32 of x's leading dimensions.
static bool check_row_scale(verifier *v, const ir_op *op, const ir_type *scale, const ir_type *x)
{
    if (scale->scalar == SCALAR_F32 && scale->rank + 1 == x->rank &&
        verify_dims_equal(scale, scale->rank, x))
        return true;
    return verify_error(v, op, "has one f32 scale per row of %s, not %s", verify_type(v, x),
                        verify_type(v, scale));
}

static bool rule_quantize(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *q = op->results[0].type;
    if (!verify_floats(v, op, x) || !check_same_shape(v, op, x, q))
        return false;
    if (q->scalar != SCALAR_I8 && q->scalar != SCALAR_I16 && q->scalar != SCALAR_E4M3 &&
        q->scalar != SCALAR_E5M2)
        return verify_error(v, op, "gives i8, i16, e4m3 or e5m2, not %s", verify_type(v, q));
    return check_row_scale(v, op, op->results[1].type, x);
}

// ---------------------------------------------------------------- other graph ops

// The number of elements as coefficient and how often each symbol occurs.
static bool same_element_count(const ir_type *x, const ir_type *y)
{
    int64_t a = 1, b = 1;
    int balance = 0;
    for (unsigned i = 0; i < x->rank; i++)
        a *= x->dims[i].value;
    for (unsigned i = 0; i < y->rank; i++)
        b *= y->dims[i].value;
    for (unsigned i = 0; i < x->rank + y->rank; i++) {
        const ir_symbol *s = i < x->rank ? x->dims[i].symbol : y->dims[i - x->rank].symbol;
        int count = 0;
        for (unsigned j = 0; s && j < x->rank; j++)
            count += x->dims[j].symbol == s;
        for (unsigned j = 0; s && j < y->rank; j++)
            count -= y->dims[j].symbol == s;
        balance |= count;
    }
    return a == b && !balance;
}

static bool rule_reshape(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *y = op->results[0].type;
    return (x->scalar == y->scalar && same_element_count(x, y)) ||
           verify_error(v, op, "keeps elements and their type: %s cannot become %s",
                        verify_type(v, x), verify_type(v, y));
}

// What linear and lut.mpgemm share: x[.., K] and w[N, K] give y[.., N].
static bool check_contraction(verifier *v, const ir_op *op)
{
    const ir_value *weight = op->operands[1].value;
    const ir_type *x = op->operands[0].value->type, *w = weight->type, *y = op->results[0].type;
    if (!x->rank || !ir_dim_equal(x->dims[x->rank - 1], w->dims[1]))
        return verify_error(v, op, "needs matching inner dimensions: x is %s, weight%s%s is %s",
                            verify_type(v, x), weight->name ? " @" : "",
                            weight->name ? weight->name : "", verify_type(v, w));
    if (y->rank != x->rank || !verify_dims_equal(y, y->rank - 1, x) ||
        !ir_dim_equal(y->dims[y->rank - 1], w->dims[0]))
        return verify_error(v, op, "of %s and %s does not give %s", verify_type(v, x),
                            verify_type(v, w), verify_type(v, y));
    return verify_floats(v, op, y);
}

static bool check_contraction_scale(verifier *v, const ir_op *op, bool integers)
{
    const ir_value *scale = ir_operand_named(op, "scale");
    const ir_type *x = op->operands[0].value->type;
    if (!scale)
        return true;
    if (!integers)
        return verify_error(v, op,
                            "takes row scales of activations in integers or 8 bits only; x is %s",
                            verify_type(v, x));
    return check_row_scale(v, op, scale->type, x);
}

static bool rule_linear(verifier *v, const ir_op *op)
{
    scalar_type x = op->operands[0].value->type->scalar;
    if (!scalar_is_float(x) && x != SCALAR_I8 && x != SCALAR_I16)
        return verify_error(v, op, "takes floats, i8 or i16, not %s",
                            verify_type(v, op->operands[0].value->type));
    return check_contraction(v, op) &&
           check_contraction_scale(v, op, !scalar_is_float(x) || scalar_size(x) == 1);
}

static bool rule_mpgemm(verifier *v, const ir_op *op)
{
    const ir_value *signs = ir_operand_named(op, "signs");
    const ir_type *table = op->operands[0].value->type;
    if (signs && (signs->type->format || !table->format || !ir_type_same_dims(signs->type, table) ||
                  signs->type->scalar != table->scalar))
        return verify_error(v, op,
                            "needs signs of the activations of a codebook's table: %s and %s",
                            verify_type(v, table), verify_type(v, signs->type));
    return check_contraction(v, op) &&
           check_contraction_scale(v, op, op->operands[0].value->type->scalar == SCALAR_I16);
}

static bool rule_precompute(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *t = op->results[0].type;
    bool exact = t->scalar == SCALAR_I16, wide = x->scalar == SCALAR_I16;
    if (exact ? x->scalar != SCALAR_I8 && !wide : !ir_type_is_float(x))
        return verify_error(v, op,
                            "builds i16 tables of integers and others of floats, not %s of %s",
                            verify_type(v, t), verify_type(v, x));
    if (t->format && wide)
        return verify_error(v, op, "builds no tables of a codebook from %s", verify_type(v, x));
    if (t->parts != (wide ? 2 : 1))
        return verify_error(v, op, "builds tables in two parts of i16 only, and these always so");
    return check_same_shape(v, op, x, t);
}

// ------------------------------------------------------------------- structure

static bool check_count(verifier *v, const ir_op *op, const char *what, size_t want, size_t got)
{
    return want == got || verify_error(v, op, "has %zu %s%s where %zu %s needed", got, what,
                                       got == 1 ? "" : "s", want, want == 1 ? "is" : "are");
}

static bool check_pair(verifier *v, const ir_op *op, const char *what, size_t i,
                       const ir_type *want, const ir_type *got)
{
    return want == got || verify_error(v, op, "%s %zu is %s where %s is needed", what, i,
                                       verify_type(v, got), verify_type(v, want));
}

// The values that `end` passes on are of the types `want[0..n)`.
static bool check_passed(verifier *v, const ir_op *end, size_t n, const ir_type *const *want)
{
    bool good = check_count(v, end, "value", n, end->n_operands);
    for (unsigned i = 0; good && i < n; i++)
        good = check_pair(v, end, "value", i, want[i], end->operands[i].value->type);
    return good;
}

static bool rule_return(verifier *v, const ir_op *op)
{
    return check_passed(v, op, v->function->results.count, v->function->results.items);
}

static bool rule_yield(verifier *v, const ir_op *op)
{
    const ir_op *parent = op->block->parent;
    const ir_type **types = ARENA_ARRAY(v->module->arena, const ir_type *, parent->n_results);
    for (unsigned i = 0; i < parent->n_results; i++)
        types[i] = parent->results[i].type;
    return check_passed(v, op, parent->n_results, types);
}

static bool rule_kernel(verifier *v, const ir_op *op)
{
    const ir_block *b = op->regions[0];
    bool good = check_count(v, op, "region argument", op->n_operands, b->arguments.count);
    for (unsigned i = 0; good && i < op->n_operands; i++)
        good = check_pair(v, op, "region argument", i, op->operands[i].value->type,
                          b->arguments.items[i]->type);
    if (ir_integer(op, "row_block") < 0 || ir_integer(op, "column_block") < 0 ||
        ir_integer(op, "depth_block") < 0)
        return verify_error(v, op, "has a negative block");
    return good;
}

// Loops: the region's arguments are `counters` index values, then the carried ones.
static bool check_carried(verifier *v, const ir_op *op, unsigned counters, unsigned first)
{
    const ir_block *b = op->regions[0];
    unsigned n = op->n_operands - first;
    bool good = check_count(v, op, "result", n, op->n_results) &&
                check_count(v, op, "region argument", counters + n, b->arguments.count);
    for (unsigned i = 0; good && i < counters; i++)
        good = check_pair(v, op, "region argument", i, ir_type_index((ir_module *)v->module),
                          b->arguments.items[i]->type);
    for (unsigned i = 0; good && i < n; i++) {
        const ir_type *t = op->operands[first + i].value->type;
        good = check_pair(v, op, "region argument", counters + i, t,
                          b->arguments.items[counters + i]->type) &&
               check_pair(v, op, "result", i, t, op->results[i].type);
    }
    return good;
}

static bool rule_for(verifier *v, const ir_op *op)
{
    const ir_value *step = op->operands[2].value;
    if (step->kind == IR_VALUE_RESULT && step->op->code == IR_CONSTANT &&
        ir_number(step->op, "value") < 1)
        return verify_error(v, op, "needs a positive step");
    return check_carried(v, op, 1, 3);
}

static bool rule_strip(verifier *v, const ir_op *op)
{
    return check_carried(v, op, 2, 1);
}

static bool rule_if(verifier *v, const ir_op *op)
{
    const ir_type *t = op->operands[0].value->type;
    if (t->scalar != SCALAR_I1)
        return verify_error(v, op, "needs a condition of type i1, not %s", verify_type(v, t));
    return check_count(v, op, "region argument", 0,
                       op->regions[0]->arguments.count + op->regions[1]->arguments.count);
}

static bool rule_call(verifier *v, const ir_op *op)
{
    const ir_function *f = ir_function_find(v->module, ir_name(op, "callee"));
    if (!f)
        return verify_error(v, op, "names function @%s, which is not defined",
                            ir_name(op, "callee"));
    bool good = check_count(v, op, "argument", f->body->arguments.count, op->n_operands) &&
                check_count(v, op, "result", f->results.count, op->n_results);
    for (unsigned i = 0; good && i < op->n_operands; i++)
        good = check_pair(v, op, "argument", i, f->body->arguments.items[i]->type,
                          op->operands[i].value->type);
    for (unsigned i = 0; good && i < op->n_results; i++)
        good = check_pair(v, op, "result", i, f->results.items[i], op->results[i].type);
    return good;
}

verify_rule *const verify_graph_rules[IR_OPCODE_COUNT] = {
    [IR_CONSTANT] = rule_constant,
    [IR_DIMENSION] = rule_dim,
    [IR_CAST] = rule_cast,
    [IR_RMS_NORM] = rule_rms_norm,
    [IR_LAYER_NORM] = rule_layer_norm,
    [IR_SOFTMAX] = rule_rowwise,
    [IR_QUANTIZE] = rule_quantize,
    [IR_RESHAPE] = rule_reshape,
    [IR_LINEAR] = rule_linear,
    [IR_LUT_PRECOMPUTE] = rule_precompute,
    [IR_LUT_MPGEMM] = rule_mpgemm,
    [IR_KERNEL] = rule_kernel,
    [IR_YIELD] = rule_yield,
    [IR_RETURN] = rule_return,
    [IR_FOR] = rule_for,
    [IR_STRIP] = rule_strip,
    [IR_IF] = rule_if,
    [IR_CALL] = rule_call,
};
