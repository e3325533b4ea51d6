// Elementwise operations on one strip of lanes: operands are found or loaded,
// computed in the compute type, and rounded to each value's own type, so that
// fusing operations never changes their results.
#include "compiler/passes/lower/lower.h"

scalar_type low_compute_scalar(scalar_type t)
{
    if (scalar_is_float(t))
        return t == SCALAR_F64 ? SCALAR_F64 : SCALAR_F32;
    return t == SCALAR_I64 ? SCALAR_I64 : SCALAR_I32;
}

ir_value *low_round_to(lowering *l, ir_value *x, scalar_type t)
{
    scalar_type compute = x->type->scalar;
    return t == compute ? x : low_cast(l, low_cast(l, x, t), compute);
}

void strip_remember(lowering *l, strip_scope *s, ir_value *v, ir_value *vector)
{
    if (s->n_known == s->capacity) {
        size_t capacity = s->capacity;
        s->known = arena_grow(l->arena, s->known, s->n_known, &capacity, sizeof *s->known);
        s->capacity = (unsigned)capacity;
    }
    s->known[s->n_known].graph = v;
    s->known[s->n_known++].tile = vector;
}

static bool same_leading(const ir_type *t, const ir_type *result)
{
    if (t->rank != result->rank)
        return t->rank < 2 && result->rank < 2;
    for (unsigned i = 0; i + 1 < t->rank; i++) {
        if (!ir_dim_equal(t->dims[i], result->dims[i]))
            return false;
    }
    return true;
}

// The row of an operand whose leading dimensions broadcast against the result's: the row number is
// taken apart by the result's dimensions and put together by the operand's.
static ir_value *low_broadcast_row(lowering *l, const ir_type *t, const ir_type *result,
                                   ir_value *row)
{
    unsigned lead_t = t->rank ? t->rank - 1 : 0, lead = result->rank ? result->rank - 1 : 0;
    if (same_leading(t, result))
        return row;
    ir_value *out = low_index(l, 0), *stride = low_index(l, 1);
    for (unsigned i = 0; i < lead_t; i++) { // from the innermost leading dimension outwards
        ir_dim of_t = t->dims[lead_t - 1 - i], of_result = result->dims[lead - 1 - i];
        if (ir_dim_equal(of_t, of_result)) {
            ir_value *size = low_dim(l, of_result);
            ir_value *position = i + 1 == lead ? row : low_rem(l, row, size);
            out = low_add(l, out, low_mul(l, position, stride));
            stride = low_mul(l, stride, size);
        }
        row = low_div(l, row, low_dim(l, of_result));
    }
    return out;
}

static const place *input_place(lowering *l, ir_value *v)
{
    if (v->kind == IR_VALUE_ARGUMENT && v->block == l->region)
        return low_input(l, v);
    return NULL;
}

static ir_value *scalar_operand(lowering *l, ir_value *v)
{
    const place *p = input_place(l, v);
    if (p)
        return p->scalar;
    if (v->kind == IR_VALUE_RESULT && v->op->code == IR_CONSTANT)
        return low_number(l, v->type->scalar, ir_number(v->op, "value"));
    INTERNAL_ERROR("a scalar computed inside a kernel");
}

// A value that is one scalar for the whole strip, in its own type; NULL when it has columns.
static ir_value *uniform_operand(lowering *l, strip_scope *s, ir_value *v, const ir_type *result)
{
    if (v->type->kind == IR_SCALAR)
        return scalar_operand(l, v);
    ir_dim columns = low_columns(v->type), of_result = low_columns(result);
    bool single = ir_dim_is_constant(columns) && columns.value == 1;
    bool result_single = ir_dim_is_constant(of_result) && of_result.value == 1;
    const place *p = input_place(l, v);
    if (!p || !single || result_single)
        return NULL;
    ir_value *row = low_broadcast_row(l, v->type, result, s->row);
    return low_load(l, p->buffer, row, low_index(l, 0));
}

static ir_value *strip_operand(lowering *l, strip_scope *s, ir_value *v, const ir_type *result)
{
    scalar_type compute = low_compute_scalar(v->type->scalar);
    ir_value *uniform = uniform_operand(l, s, v, result);
    if (uniform)
        return low_broadcast(l, low_cast(l, uniform, compute));
    const place *p = input_place(l, v);
    if (!p || same_leading(v->type, result))
        return strip_value(l, s, v);
    ir_value *row = low_broadcast_row(l, v->type, result, s->row);
    return low_cast(l, low_vload(l, p->buffer, row, s->column, 1), compute);
}

// An iota's elements: the lanes' columns.
static ir_value *positions(lowering *l, const strip_scope *s)
{
    const ir_type *type = ir_type_vector(l->module, SCALAR_I32);
    ir_value *lane = ir_build1(&l->at, IR_LANE, type, NULL, NULL, NULL);
    return low_binary(l, IR_ADD, lane, low_broadcast(l, low_cast(l, s->column, SCALAR_I32)));
}

ir_value *strip_value(lowering *l, strip_scope *s, ir_value *v)
{
    for (unsigned i = 0; i < s->n_known; i++) {
        if (s->known[i].graph == v)
            return s->known[i].tile;
    }
    ir_value *vector = s->find(l, s, v);
    if (!vector && v->kind == IR_VALUE_RESULT && v->op->code == IR_IOTA)
        vector = positions(l, s);
    if (!vector) {
        const place *p = input_place(l, v);
        if (!p)
            INTERNAL_ERROR("a kernel value was not computed where it is needed");
        vector = low_vload(l, p->buffer, s->row, s->column, 1);
    }
    vector = low_cast(l, vector, low_compute_scalar(v->type->scalar));
    strip_remember(l, s, v, vector);
    return vector;
}

ir_value *strip_elementwise(lowering *l, strip_scope *s, ir_op *op)
{
    const ir_type *result = op->results[0].type;
    scalar_type compute = low_compute_scalar(result->scalar);
    location outside = l->at.where;
    l->at.where = op->where;
    ir_value *operands[3] = {0};
    for (unsigned i = 0; i < op->n_operands; i++) {
        ir_value *x = strip_operand(l, s, ir_operand(op, i), result);
        operands[i] = op->code == IR_CAST ? x : low_cast(l, x, compute);
    }
    ir_value *y;
    if (op->code == IR_CAST) {
        // One conversion from the exact source value to the result's type.
        y = low_cast(l, low_cast(l, operands[0], result->scalar), compute);
    } else {
        y = ir_build1(&l->at, op->code, ir_type_vector(l->module, compute), operands[0],
                      operands[1], operands[2]);
        for (size_t i = 0; i < op->attributes.count; i++)
            ARRAY_PUSH(l->module->arena, &y->op->attributes, op->attributes.items[i]);
        y = low_round_to(l, y, result->scalar);
    }
    strip_remember(l, s, &op->results[0], y);
    l->at.where = outside;
    return y;
}
