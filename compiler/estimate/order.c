// The order in which LLVM puts what a strip does.
#include "compiler/estimate/walk.h"

// A strip's last store waits for what it stores: LLVM moves on in front of it.
bool walk_moves_on_early(const ir_op *op)
{
    return (op->code == IR_VSTORE || op->code == IR_VSTORE_PAIRS) && op->next &&
           op->next->code == IR_YIELD;
}

// LLVM moves the loads of a strip up, as far as registers reach, those that are converted to wider
// elements in pairs; never over stores.
enum { MOST_WIDENED = 2 };
typedef struct scheduler {
    ir_op *next;        // to be looked at
    unsigned registers; // of loads that are not used yet
    unsigned room;
    unsigned widened; // loads of narrow elements that are not converted yet
} scheduler;

static bool is_vector_load(const ir_op *op)
{
    return op->code == IR_VLOAD || op->code == IR_VLOAD_PAIRS;
}

static unsigned registers_of(const walker *w, const ir_op *op)
{
    if (!is_vector_load(op))
        return 0;
    unsigned bits = op->n_results * scalar_rows[ir_operand(op, 0)->type->scalar].bits;
    return (unsigned)((w->lanes * bits + w->frame->options->machine->vlen - 1) /
                      w->frame->options->machine->vlen);
}

static bool is_widened(const ir_op *op)
{
    const ir_use *use = is_vector_load(op) ? op->results[0].uses : NULL;
    return use && use->op->code == IR_CAST &&
           scalar_rows[use->op->results[0].type->scalar].bits >
               scalar_rows[op->results[0].type->scalar].bits;
}

static unsigned room_for_loads(const ir_block *b)
{
    enum { REGISTERS = 32, GROUP = 4 };
    unsigned carried = 0;
    for (const ir_op *op = b->parent; op; op = op->block->parent)
        for (unsigned i = 0; i < op->n_results; i++)
            carried += op->results[i].type->kind == IR_VECTOR ? GROUP : 0;
    return carried < REGISTERS ? (REGISTERS - carried) / 2 : 0;
}

static bool may_pass(const ir_op *op)
{
    return op->code == IR_VIEW || op->code == IR_BROADCAST || op->code == IR_LANE ||
           op->code == IR_COMPARE || op->code == IR_SELECT ||
           (ir_op_rows[op->code].traits & IR_ELEMENTWISE) || op->code == IR_CONSTANT;
}

static void look_ahead(walker *w, scheduler *s)
{
    for (; s->next && !w->failed; s->next = s->next->next) {
        ir_op *op = s->next;
        if (is_vector_load(op) || op->code == IR_LOAD) {
            unsigned n = registers_of(w, op);
            if (s->registers + n > s->room || (is_widened(op) && s->widened == MOST_WIDENED))
                return;
            walk_op(w, op);
            w->info->ops.items[op->mark].done = true;
            s->registers += n;
            s->widened += is_widened(op);
        } else if (op->code == IR_VIEW ||
                   (op->n_results == 1 && may_pass(op) && info(w, &op->results[0])->is_integer)) {
            walk_op(w, op);
        } else if (!may_pass(op)) {
            return;
        }
    }
}

// Registers of loads that nothing behind `op` uses.
static unsigned registers_freed(const walker *w, const ir_op *op)
{
    unsigned n = 0;
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *v = ir_operand(op, i);
        bool last = v && v->kind == IR_VALUE_RESULT && is_vector_load(v->op);
        for (const ir_use *u = last ? v->uses : NULL; u && last; u = u->next)
            last = u->op->mark <= op->mark && (u->op != op || u->slot <= i);
        n += last ? registers_of(w, v->op) : 0;
    }
    return n;
}

void walk_strip_block(walker *w, ir_block *b)
{
    scheduler s = {.next = b->first, .room = room_for_loads(b)};
    for (ir_op *op = b->first; op && !w->failed; op = op->next) {
        look_ahead(w, &s);
        bool *done = &w->info->ops.items[op->mark].done;
        unsigned freed = registers_freed(w, op);
        if (walk_moves_on_early(op))
            walk_move_on(w, b->parent);
        if (!*done)
            walk_op(w, op);
        *done = false;
        s.registers -= freed < s.registers ? freed : s.registers;
        const ir_value *x = op->code == IR_CAST ? ir_operand(op, 0) : NULL;
        if (x && x->kind == IR_VALUE_RESULT && is_widened(x->op) && s.widened)
            s.widened--;
        if (s.next == op)
            s.next = op->next;
    }
}
