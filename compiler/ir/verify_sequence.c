// Typing rules of what models of sequences need: states, positions, rows of tables, attention.
#include "compiler/ir/verify.h"

static bool check_state(verifier *v, const ir_op *op)
{
    const ir_value *state = op->operands[0].value;
    if (state->kind == IR_VALUE_GLOBAL ? state->global->kind == IR_GLOBAL_STATE : v->kernel != NULL)
        return true;
    return verify_error(v, op, "needs a state, not %s", verify_type(v, state->type));
}

static bool rule_state_read(verifier *v, const ir_op *op)
{
    const ir_type *state = op->operands[0].value->type, *x = op->results[0].type;
    return check_state(v, op) &&
           (state == x || verify_error(v, op, "of %s does not give %s", verify_type(v, state),
                                       verify_type(v, x)));
}

// One position for each first element of a tensor of type `t`: i32[B].
static bool check_positions(verifier *v, const ir_op *op, const ir_type *position, const ir_type *t)
{
    if (position->scalar == SCALAR_I32 && position->rank == 1 && t->rank > 1 &&
        ir_dim_equal(position->dims[0], t->dims[0]))
        return true;
    return verify_error(v, op, "needs an i32 position for each first element of %s, not %s",
                        verify_type(v, t), verify_type(v, position));
}

// The dimension that positions count: behind the batch, where there is one.
static unsigned position_dimension(const ir_op *op)
{
    const ir_value *position = ir_operand_named(op, "position");
    return position && position->type->kind == IR_TENSOR;
}

static bool rule_state_write(verifier *v, const ir_op *op)
{
    const ir_type *state = op->operands[0].value->type, *x = op->operands[1].value->type;
    unsigned rows = position_dimension(op);
    if (!check_state(v, op) ||
        (rows && !check_positions(v, op, ir_operand_named(op, "position")->type, x)))
        return false;
    bool fits = x->scalar == state->scalar && x->rank == state->rank && x->rank >= rows;
    for (unsigned i = 0; fits && i < x->rank; i++)
        fits = i == rows || ir_dim_equal(x->dims[i], state->dims[i]);
    return fits || verify_error(v, op, "cannot put %s into rows of state %s", verify_type(v, x),
                                verify_type(v, state));
}

static bool rule_iota(verifier *v, const ir_op *op)
{
    const ir_type *y = op->results[0].type;
    return (y->rank == 1 && y->scalar == SCALAR_I32) ||
           verify_error(v, op, "gives i32 of one dimension, not %s", verify_type(v, y));
}

static bool rule_slice(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *y = op->results[0].type;
    int64_t at = ir_integer(op, "dimension");
    if (at < 0 || at >= (int64_t)x->rank)
        return verify_error(v, op, "has no dimension %lld in %s", (long long)at, verify_type(v, x));
    bool fits = x->scalar == y->scalar && x->rank == y->rank;
    for (unsigned i = 0; fits && i < x->rank; i++)
        fits = i == at ? ir_dim_maximum(y->dims[i]) <= ir_dim_maximum(x->dims[i])
                       : ir_dim_equal(x->dims[i], y->dims[i]);
    return fits || verify_error(v, op, "of %s in dimension %lld cannot give %s", verify_type(v, x),
                                (long long)at, verify_type(v, y));
}

static bool rule_gather(verifier *v, const ir_op *op)
{
    const ir_type *table = op->operands[0].value->type, *at = op->operands[1].value->type;
    const ir_type *y = op->results[0].type;
    if (table->rank != 2 || (table->kind == IR_TENSOR && !ir_type_is_float(table)))
        return verify_error(v, op, "takes rows of a table of floats [V, D], not of %s",
                            verify_type(v, table));
    if (at->scalar != SCALAR_I32)
        return verify_error(v, op, "takes i32 indices, not %s", verify_type(v, at));
    bool fits = y->rank == at->rank + 1 && verify_dims_equal(y, at->rank, at) &&
                ir_dim_equal(y->dims[at->rank], table->dims[1]);
    if (!fits)
        return verify_error(v, op, "of %s by %s does not give %s", verify_type(v, table),
                            verify_type(v, at), verify_type(v, y));
    return verify_floats(v, op, y);
}

static bool rule_rope(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *y = op->results[0].type;
    const ir_type *cosine = op->operands[1].value->type, *sine = op->operands[2].value->type;
    if (!verify_floats(v, op, x) || !verify_floats(v, op, y))
        return false;
    if (!ir_type_same_dims(x, y))
        return verify_error(v, op, "keeps the shape: %s cannot become %s", verify_type(v, x),
                            verify_type(v, y));
    bool fits = cosine == sine && cosine->scalar == SCALAR_F32 && x->rank >= 2 &&
                cosine->rank + 1 == x->rank && verify_dims_equal(cosine, x->rank - 2, x);
    if (!fits)
        return verify_error(v, op,
                            "needs cosines and sines in f32, a row for all heads of %s, not %s "
                            "and %s",
                            verify_type(v, x), verify_type(v, cosine), verify_type(v, sine));
    ir_dim pairs = cosine->dims[cosine->rank - 1], columns = x->dims[x->rank - 1];
    return (ir_dim_is_constant(pairs) && ir_dim_is_constant(columns) && pairs.value >= 1 &&
            pairs.value <= columns.value / 2) ||
           verify_error(v, op, "cannot rotate %s pairs in rows of %s", verify_type(v, cosine),
                        verify_type(v, x));
}

// q [.., T, H, D], k [.., S, G, D], v [.., S, G, E] with H a multiple of G.
static const char *attend_problem(const ir_type *q, const ir_type *k, const ir_type *values,
                                  unsigned batch)
{
    if (q->rank != batch + 3 || k->rank != batch + 3 || values->rank != batch + 3)
        return "needs q [T, H, D], k [S, G, D], v [S, G, E], with a leading B for a position "
               "i32[B]";
    const ir_dim *a = q->dims + batch, *b = k->dims + batch, *c = values->dims + batch;
    for (unsigned i = 1; i < 3; i++)
        if (!ir_dim_is_constant(a[i]) || !ir_dim_is_constant(b[i]) || !ir_dim_is_constant(c[i]))
            return "needs constant numbers of heads and columns";
    if (!verify_dims_equal(q, batch, k) || !verify_dims_equal(q, batch, values))
        return "needs q, k and v of the same batch";
    if (!ir_dim_equal(a[2], b[2]))
        return "needs q and k with the same number of columns";
    if (!ir_dim_equal(b[0], c[0]) || !ir_dim_equal(b[1], c[1]))
        return "needs k and v with the same rows and heads";
    return b[1].value < 1 || a[1].value % b[1].value ? "needs heads of q that are a multiple of "
                                                       "those of k"
                                                     : NULL;
}

static bool check_slopes(verifier *v, const ir_op *op, ir_dim heads)
{
    const ir_value *slopes = ir_operand_named(op, "slopes");
    return !slopes ||
           (slopes->type->scalar == SCALAR_F32 && slopes->type->rank == 1 &&
            ir_dim_equal(slopes->type->dims[0], heads)) ||
           verify_error(v, op, "needs an f32 slope per head, not %s", verify_type(v, slopes->type));
}

static bool rule_attend(verifier *v, const ir_op *op)
{
    const ir_type *q = op->operands[0].value->type, *k = op->operands[1].value->type;
    const ir_type *values = op->operands[2].value->type, *y = op->results[0].type;
    unsigned batch = position_dimension(op);
    if (!verify_floats(v, op, q) || !verify_floats(v, op, k) || !verify_floats(v, op, values) ||
        !verify_floats(v, op, y))
        return false;
    const char *problem = attend_problem(q, k, values, batch);
    if (problem)
        return verify_error(v, op, "%s; they are %s, %s and %s", problem, verify_type(v, q),
                            verify_type(v, k), verify_type(v, values));
    if (batch && !check_positions(v, op, ir_operand_named(op, "position")->type, q))
        return false;
    if (y->rank != q->rank || !verify_dims_equal(y, q->rank - 1, q) ||
        !ir_dim_equal(y->dims[y->rank - 1], values->dims[y->rank - 1]))
        return verify_error(v, op, "does not give %s", verify_type(v, y));
    int64_t window = ir_integer(op, "window");
    if (window < 0 || window > INT32_MAX)
        return verify_error(v, op, "has a window of %lld; it is between 0 and 2^31 - 1",
                            (long long)window);
    int64_t block = ir_integer(op, "key_block");
    if (block < 0 || block > INT32_MAX || (block & (block - 1)))
        return verify_error(v, op, "has blocks of %lld keys; a power of two, or 0 for all",
                            (long long)block);
    return check_slopes(v, op, q->dims[batch + 1]);
}

verify_rule *const verify_sequence_rules[IR_OPCODE_COUNT] = {
    [IR_STATE_READ] = rule_state_read, [IR_STATE_WRITE] = rule_state_write, [IR_IOTA] = rule_iota,
    [IR_SLICE] = rule_slice,           [IR_GATHER] = rule_gather,           [IR_ROPE] = rule_rope,
    [IR_ATTEND] = rule_attend,
};
