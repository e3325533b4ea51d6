// overlap: while the array looks up, the sums of the lookup before are scaled.
//
// Instructions issue in order: what scales the sums of a lookup waits for it, and everything behind
// waits too. So it goes behind the next lookup and the loads of its operands. No sum is added to in
// another order. Lookups of one row are left alone: prefetches fill their wait, and their loops
// stay what the emulator executes as a whole.
#include "compiler/passes/passes.h"

static bool is_scaling(const ir_op *op)
{
    return op->code == IR_XLUT_DEQ || op->code == IR_XLUT_OFF;
}

static bool uses(const ir_op *user, const ir_op *op)
{
    for (unsigned i = 0; i < user->n_operands; i++) {
        const ir_value *v = ir_operand(user, i);
        if (v && v->kind == IR_VALUE_RESULT && v->op == op)
            return true;
    }
    return false;
}

// Writes no memory, so that loads may stand on either side of it.
static bool may_be_passed(const ir_op *op)
{
    return (ir_op_rows[op->code].traits & IR_PURE) || is_scaling(op) || op->code == IR_XLUT_LD ||
           op->code == IR_XLUT_PF || op->code == IR_XLUT_ZERO || op->code == IR_XLUT_MMA;
}

// What it scales comes from the lookup in front of it, maybe through others that scale.
static bool waits_for(const ir_op *op, const ir_op *lookup)
{
    bool waits = uses(op, lookup);
    for (const ir_op *other = lookup->next; other != op && !waits; other = other->next)
        waits = is_scaling(other) && uses(op, other) && waits_for(other, lookup);
    return waits;
}

static ir_op *lookup_before(ir_op *op)
{
    while (op && op->code != IR_XLUT_MMA)
        op = op->previous;
    return op;
}

static void delay_scaling(ir_op *op)
{
    const ir_op *lookup = lookup_before(op);
    if (!lookup || ir_name_is(lookup, "rows", "one") || !waits_for(op, lookup))
        return;
    ir_op *next = op->next;
    while (next && next->code != IR_XLUT_MMA && may_be_passed(next) && !uses(next, op))
        next = next->next;
    if (next && next->code == IR_XLUT_MMA && next->next)
        ir_op_move_before(op, next->next);
}

// The last first: what they make room for follows.
static void overlap_block(ir_block *b)
{
    for (ir_op *op = b->last, *previous; op; op = previous) {
        previous = op->previous;
        if (is_scaling(op))
            delay_scaling(op);
    }
}

static void visit(ir_op *op, void *context)
{
    (void)context;
    if (op->code == IR_FOR)
        overlap_block(op->regions[0]);
}

bool pass_overlap(ir_module *m, pass_context *c)
{
    (void)c;
    for (ir_function *f = m->functions; f; f = f->next)
        ir_walk(f->body, visit, NULL);
    return true;
}
