// Kernels that move elements as they are: in and out of states, parts of tensors.
#include "compiler/passes/lower.h"

// A number of blocks of elements that lie next to each other: where the first one starts, and how
// far one is from the next.
typedef struct blocks {
    ir_value *buffer, *first, *stride;
} blocks;

static void copy_elements(lowering *l, ir_value *from, ir_value *first, ir_value *to,
                          ir_value *to_first, ir_value *count)
{
    ir_value *zero = low_index(l, 0);
    low_loop strip;
    low_strip_begin(l, &strip, count, low_width(from->type->scalar), 0, NULL);
    ir_value *x = low_vload(l, from, zero, low_add(l, first, strip.counter), 1);
    low_vstore(l, x, to, zero, low_add(l, to_first, strip.counter), 1);
    low_loop_end(l, &strip, NULL);
}

static bool is_one(const ir_value *v)
{
    int64_t value;
    return low_is_constant(v, &value) && value == 1;
}

static void copy_blocks(lowering *l, blocks from, blocks to, ir_value *count, ir_value *length)
{
    bool together = from.stride == length && to.stride == length;
    if (together || is_one(count)) {
        copy_elements(l, from.buffer, from.first, to.buffer, to.first, low_mul(l, count, length));
        return;
    }
    low_loop loop;
    low_for_begin(l, &loop, low_index(l, 0), count, low_index(l, 1), 0, NULL);
    copy_elements(l, from.buffer, low_add(l, from.first, low_mul(l, loop.counter, from.stride)),
                  to.buffer, low_add(l, to.first, low_mul(l, loop.counter, to.stride)), length);
    low_loop_end(l, &loop, NULL);
}

// The product of dimensions first .. last - 1.
static ir_value *product(lowering *l, const ir_type *t, unsigned first, unsigned last)
{
    ir_value *count = low_index(l, 1);
    for (unsigned i = first; i < last; i++)
        count = low_mul(l, count, low_dim(l, t->dims[i]));
    return count;
}

static ir_value *first_dimension(lowering *l, const ir_type *t)
{
    return low_dim(l, t->rank ? t->dims[0] : ir_dim_constant(1));
}

// ---------------------------------------------------------------------- states

// Elements from one index of a state's first dimension to the next: the same in every call, so
// that of the largest sizes.
static ir_value *state_stride(lowering *l, const ir_type *state)
{
    int64_t stride = 1;
    for (unsigned i = 1; i < state->rank; i++)
        stride *= ir_dim_maximum(state->dims[i]);
    return low_index(l, stride);
}

// A block is an index of the first dimension; only the second one may leave a part of it unused.
static bool check_state(lowering *l, const ir_op *op, const ir_type *state)
{
    for (unsigned i = 2; i < state->rank; i++) {
        if (ir_dim_maximum(state->dims[i]) == state->dims[i].value)
            continue;
        diagnostic_error(l->context->diagnostics, op->where,
                         "a state's dimensions behind the second must be constant");
        return false;
    }
    return true;
}

static void read_state(lowering *l, const ir_op *op, const place *state)
{
    ir_value *zero = low_index(l, 0), *length = product(l, state->type, 1, state->type->rank);
    ir_value *stride = state_stride(l, state->type);
    for (unsigned i = 0; i < l->n_outputs; i++) {
        if (ir_operand(l->region->last, i) == &op->results[0])
            copy_blocks(l, (blocks){state->buffer, zero, stride},
                        (blocks){l->outputs[i].buffer, zero, length},
                        first_dimension(l, state->type), length);
    }
}

static const char out_of_range[] = "state position out of range";

// Traps unless 0 <= position and position + rows(x) <= rows(state).
static void check_rows(lowering *l, ir_value *position, const ir_type *x, const ir_type *state,
                       unsigned dimension)
{
    ir_dim one = ir_dim_constant(1);
    ir_value *rows = low_dim(l, dimension < state->rank ? state->dims[dimension] : one);
    ir_value *written = low_dim(l, dimension < x->rank ? x->dims[dimension] : one);
    low_check_range(l, position, low_sub(l, rows, written), out_of_range);
}

static void write_state(lowering *l, const ir_op *op, const place *state, const place *x)
{
    const ir_value *position = ir_operand_named(op, "position");
    ir_value *first = position ? low_index_operand(l, position) : low_index(l, 0);
    ir_value *length = product(l, state->type, 1, state->type->rank);
    ir_value *stride = state_stride(l, state->type);
    check_rows(l, first, x->type, state->type, 0);
    copy_blocks(l, (blocks){x->buffer, low_index(l, 0), length},
                (blocks){state->buffer, low_mul(l, first, stride), stride},
                first_dimension(l, x->type), length);
}

// Each index of the first dimension has a position in the second one.
static void write_slots(lowering *l, const ir_op *op, const place *state, const place *x)
{
    const place *positions = &l->inputs[ir_operand_named(op, "position")->index];
    ir_value *row = product(l, state->type, 2, state->type->rank);
    ir_value *length = low_mul(l, low_dim(l, x->type->dims[1]), row), *zero = low_index(l, 0);
    low_loop slots;
    low_for_begin(l, &slots, zero, first_dimension(l, x->type), low_index(l, 1), 0, NULL);
    ir_value *first = low_to_index(l, low_load(l, positions->buffer, zero, slots.counter));
    check_rows(l, first, x->type, state->type, 1);
    ir_value *slot = low_mul(l, slots.counter, state_stride(l, state->type));
    copy_elements(l, x->buffer, low_mul(l, slots.counter, length), state->buffer,
                  low_add(l, slot, low_mul(l, first, row)), length);
    low_loop_end(l, &slots, NULL);
}

// ---------------------------------------------------------------------- slices

static void copy_slice(lowering *l, const ir_op *op, const place *x, const place *y)
{
    unsigned at = (unsigned)ir_integer(op, "dimension"), rank = x->type->rank;
    ir_value *start = low_index_operand(l, ir_operand(op, 1)), *zero = low_index(l, 0);
    ir_value *inner = product(l, x->type, at + 1, rank);
    ir_value *size = low_dim(l, x->type->dims[at]), *part = low_dim(l, y->type->dims[at]);
    low_check_range(l, start, low_sub(l, size, part), "slice out of range");
    ir_value *length = low_mul(l, part, inner);
    copy_blocks(l, (blocks){x->buffer, low_mul(l, start, inner), low_mul(l, size, inner)},
                (blocks){y->buffer, zero, length}, product(l, x->type, 0, at), length);
}

// ---------------------------------------------------------------------- kernel

static const place *operand_place(lowering *l, const ir_op *op, unsigned slot)
{
    return &l->inputs[ir_operand(op, slot)->index];
}

static bool copy_op(lowering *l, const ir_op *op)
{
    const ir_value *position;
    l->at.where = op->where;
    switch (op->code) {
    case IR_STATE_READ:
        if (!check_state(l, op, ir_operand(op, 0)->type))
            return false;
        read_state(l, op, operand_place(l, op, 0));
        return true;
    case IR_STATE_WRITE:
        if (!check_state(l, op, ir_operand(op, 0)->type))
            return false;
        position = ir_operand_named(op, "position");
        (position && position->type->kind == IR_TENSOR ? write_slots : write_state)(
            l, op, operand_place(l, op, 0), operand_place(l, op, 1));
        return true;
    case IR_SLICE: copy_slice(l, op, operand_place(l, op, 0), &l->outputs[0]); return true;
    default: return true;
    }
}

bool lower_copy_kernel(lowering *l)
{
    bool good = true;
    IR_FOR_OPS(op, l->region)
    good = copy_op(l, op) && good;
    return good;
}
