// Kernels that move elements as they are: in and out of states, parts of tensors.
#include "compiler/passes/lower/lower.h"

enum { PIECE = 4096 }; // elements that one rank copies at least

static void copy_elements(lowering *l, ir_value *from, ir_value *first, ir_value *to,
                          ir_value *to_first, ir_value *count)
{
    ir_value *zero = low_index(l, 0), *piece = low_index(l, PIECE);
    low_loop pieces, strip;
    low_for_begin(l, &pieces, zero, count, piece, 0, NULL);
    ir_set_name(pieces.op, "share", "turns");
    ir_value *left = low_min(l, low_sub(l, count, pieces.counter), piece);
    first = low_add(l, first, pieces.counter);
    to_first = low_add(l, to_first, pieces.counter);
    low_strip_begin(l, &strip, left, low_width(from->type->scalar), 0, NULL);
    ir_value *x = low_vload(l, from, zero, low_add(l, first, strip.counter), 1);
    low_vstore(l, x, to, zero, low_add(l, to_first, strip.counter), 1);
    low_loop_end(l, &strip, NULL);
    low_loop_end(l, &pieces, NULL);
}

// The product of dimensions first .. last - 1.
static ir_value *product(lowering *l, const ir_type *t, unsigned first, unsigned last)
{
    ir_value *count = low_index(l, 1);
    for (unsigned i = first; i < last; i++)
        count = low_mul(l, count, low_dim(l, t->dims[i]));
    return count;
}

// ---------------------------------------------------------------------- states

// Behind the first, a state's dimensions are constant: its elements lie together.
static void read_state(lowering *l, const place *state)
{
    ir_value *zero = low_index(l, 0);
    copy_elements(l, state->buffer, zero, l->outputs[0].buffer, zero,
                  product(l, state->type, 0, state->type->rank));
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
    ir_value *row = product(l, state->type, 1, state->type->rank);
    check_rows(l, first, x->type, state->type, 0);
    copy_elements(l, x->buffer, low_index(l, 0), state->buffer, low_mul(l, first, row),
                  product(l, x->type, 0, x->type->rank));
}

// Each index of the first dimension has a position in the second one.
static void write_slots(lowering *l, const ir_op *op, const place *state, const place *x)
{
    const place *positions = low_input(l, ir_operand_named(op, "position"));
    unsigned rank = state->type->rank;
    ir_value *row = product(l, state->type, 2, rank), *slot = product(l, state->type, 1, rank);
    ir_value *length = low_mul(l, low_dim(l, x->type->dims[1]), row), *zero = low_index(l, 0);
    low_loop slots;
    low_shared_begin(l, &slots, low_dim(l, x->type->dims[0]), "turns");
    ir_value *first = low_to_index(l, low_load(l, positions->buffer, zero, slots.counter));
    check_rows(l, first, x->type, state->type, 1);
    ir_value *to = low_add(l, low_mul(l, slots.counter, slot), low_mul(l, first, row));
    copy_elements(l, x->buffer, low_mul(l, slots.counter, length), state->buffer, to, length);
    low_loop_end(l, &slots, NULL);
}

// ---------------------------------------------------------------------- slices

static void copy_slice(lowering *l, const ir_op *op, const place *x, const place *y)
{
    unsigned at = (unsigned)ir_integer(op, "dimension"), rank = x->type->rank;
    ir_value *start = low_index_operand(l, ir_operand(op, 1));
    ir_value *outer = product(l, x->type, 0, at), *inner = product(l, x->type, at + 1, rank);
    ir_value *size = low_dim(l, x->type->dims[at]), *part = low_dim(l, y->type->dims[at]);
    low_check_range(l, start, low_sub(l, size, part), "slice out of range");
    low_loop blocks;
    low_shared_begin(l, &blocks, outer, "turns");
    ir_value *from = low_add(l, low_mul(l, blocks.counter, size), start);
    ir_value *length = low_mul(l, part, inner);
    copy_elements(l, x->buffer, low_mul(l, from, inner), y->buffer,
                  low_mul(l, blocks.counter, length), length);
    low_loop_end(l, &blocks, NULL);
}

// ---------------------------------------------------------------------- kernel

static const place *operand_place(lowering *l, const ir_op *op, unsigned slot)
{
    return low_input(l, ir_operand(op, slot));
}

static void copy_op(lowering *l, const ir_op *op)
{
    const ir_value *position;
    l->at.where = op->where;
    switch (op->code) {
    case IR_STATE_READ: read_state(l, operand_place(l, op, 0)); return;
    case IR_STATE_WRITE:
        position = ir_operand_named(op, "position");
        (position && position->type->kind == IR_TENSOR ? write_slots : write_state)(
            l, op, operand_place(l, op, 0), operand_place(l, op, 1));
        return;
    case IR_SLICE: copy_slice(l, op, operand_place(l, op, 0), &l->outputs[0]); return;
    default: return;
    }
}

bool lower_copy_kernel(lowering *l)
{
    IR_FOR_OPS(op, l->region)
    copy_op(l, op);
    return true;
}
