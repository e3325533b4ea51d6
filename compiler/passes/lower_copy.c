// Kernels that move data in and out of states.
#include "compiler/passes/lower.h"

static ir_value *element_count(lowering *l, const ir_type *t)
{
    return low_mul(l, low_row_count(l, t), low_dim(l, low_columns(t)));
}

static void copy_elements(lowering *l, ir_value *from, ir_value *to, ir_value *first,
                          ir_value *count)
{
    ir_value *zero = low_index(l, 0);
    low_loop strip;
    low_strip_begin(l, &strip, count, low_width(from->type->scalar), 0, NULL);
    ir_value *x = low_vload(l, from, zero, strip.counter, 1);
    low_vstore(l, x, to, zero, low_add(l, first, strip.counter), 1);
    low_loop_end(l, &strip, NULL);
}

// Traps unless 0 <= position and position + rows(x) <= rows(state).
static void check_range(lowering *l, ir_value *position, const ir_type *x, const ir_type *state)
{
    ir_value *most = low_sub(l, low_dim(l, state->dims[0]), low_dim(l, x->dims[0]));
    const struct {
        const char *is;
        ir_value *bound;
    } wrong[] = {{"lt", low_index(l, 0)}, {"gt", most}};
    for (unsigned i = 0; i < 2; i++) {
        low_if branch;
        low_if_begin(l, &branch, low_compare(l, wrong[i].is, position, wrong[i].bound));
        ir_op *trap = ir_build(&l->at, IR_TRAP, 0, NULL, 0, NULL);
        ir_set_text(trap, "reason", "state position out of range");
        low_if_end(l, &branch);
    }
}

static ir_value *first_row(lowering *l, const ir_op *write)
{
    ir_value *position = ir_operand_named(write, "position");
    if (!position)
        return low_index(l, 0);
    if (position->kind == IR_VALUE_RESULT) // nothing but a constant stands in such a kernel
        return low_index(l, (int64_t)ir_number(position->op, "value"));
    return l->inputs[position->index].scalar;
}

bool lower_copy_kernel(lowering *l)
{
    IR_FOR_OPS(op, l->region)
    {
        l->at.where = op->where;
        const place *state = op->n_operands ? &l->inputs[ir_operand(op, 0)->index] : NULL;
        if (op->code == IR_STATE_READ) {
            for (unsigned i = 0; i < l->n_outputs; i++) {
                if (ir_operand(l->region->last, i) == &op->results[0])
                    copy_elements(l, state->buffer, l->outputs[i].buffer, low_index(l, 0),
                                  element_count(l, state->type));
            }
        } else if (op->code == IR_STATE_WRITE) {
            const place *x = &l->inputs[ir_operand(op, 1)->index];
            ir_value *first = first_row(l, op);
            check_range(l, first, x->type, state->type);
            ir_value *row = low_index(l, 1);
            for (unsigned i = 1; i < state->type->rank; i++)
                row = low_mul(l, row, low_dim(l, state->type->dims[i]));
            copy_elements(l, x->buffer, state->buffer, low_mul(l, first, row),
                          element_count(l, x->type));
        }
    }
    return true;
}
