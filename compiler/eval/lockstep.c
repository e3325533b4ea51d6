// Calls that go through a function together, operation by operation: each has values and states of
// its own, weights are shared.
#include "compiler/eval/lockstep.h"
#include "compiler/eval/internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct call {
    slot *slots;
    eval_global *globals; // those of states are the call's own
    tensor *arguments;
} call;

struct eval_lockstep {
    evaluator *e;
    const ir_op *op; // that is about to run
    call *calls;
    size_t count;
};

// What a call owns takes the evaluator's place, and back.
static void exchange(evaluator *e, call *c)
{
    slot *slots = e->slots;
    e->slots = c->slots;
    c->slots = slots;
    for (const ir_global *g = e->module->globals; g; g = g->next) {
        eval_global *own = &c->globals[g->value.mark], *shared = &e->globals[g->value.mark];
        eval_global content = *shared;
        if (g->kind != IR_GLOBAL_STATE)
            continue;
        *shared = *own;
        *own = content;
    }
}

static bool run_everywhere(eval_lockstep *s)
{
    bool ok = true;
    for (size_t i = 0; i < s->count && ok; i++) {
        exchange(s->e, &s->calls[i]);
        ok = eval_run(s->e, s->op);
        exchange(s->e, &s->calls[i]);
    }
    return ok;
}

static bool run_ops(eval_lockstep *s, const ir_function *f, const eval_watch *watch)
{
    IR_FOR_OPS(op, f->body)
    {
        s->op = op;
        if (ir_op_rows[op->code].traits & IR_TERMINATOR)
            return true;
        switch (watch->before(watch->context, s, op)) {
        case EVAL_GO_ON: break;
        case EVAL_DONE: return true;
        case EVAL_FAILED: return false;
        }
        if (!run_everywhere(s))
            return false;
    }
    return true;
}

static void release_call(eval_lockstep *s, call *c, size_t arguments)
{
    for (int64_t i = 0; i < s->e->n_slots; i++)
        eval_release_slot(&c->slots[i]);
    for (const ir_global *g = s->e->module->globals; g; g = g->next)
        eval_release(&c->globals[g->value.mark].memory);
    for (size_t i = 0; i < arguments; i++)
        eval_release(&c->arguments[i]);
}

static bool begin_call(evaluator *e, arena *a, const ir_function *f, size_t n_inputs,
                       const named_array *inputs, call *c)
{
    size_t globals = 0;
    for (const ir_global *g = e->module->globals; g; g = g->next)
        globals++;
    c->slots = ARENA_ARRAY(a, slot, (size_t)e->n_slots);
    c->globals = ARENA_ARRAY(a, eval_global, globals);
    c->arguments = ARENA_ARRAY(a, tensor, f->body->arguments.count);
    exchange(e, c);
    bool ok = eval_bind_inputs(e, a, f, n_inputs, inputs, c->arguments);
    exchange(e, c);
    return ok;
}

bool eval_call_together(evaluator *e, const ir_function *f, size_t calls, size_t n_inputs,
                        const named_array *inputs, const eval_watch *watch)
{
    arena *a = arena_create();
    eval_lockstep s = {.e = e, .calls = ARENA_ARRAY(a, call, calls)};
    bool ok = true;
    for (; s.count < calls && ok; s.count++)
        ok = begin_call(e, a, f, n_inputs, inputs + s.count * n_inputs, &s.calls[s.count]);
    ok = ok && run_ops(&s, f, watch);
    for (size_t i = 0; i < s.count; i++)
        release_call(&s, &s.calls[i], f->body->arguments.count);
    arena_destroy(a);
    return ok;
}

size_t eval_lockstep_calls(const eval_lockstep *s)
{
    return s->count;
}

bool eval_lockstep_operand(eval_lockstep *s, size_t index, const char *name, eval_matrix *out)
{
    exchange(s->e, &s->calls[index]);
    const tensor *t;
    bool ok = eval_optional(s->e, s->op, name, &t);
    *out = ok && t ? (eval_matrix){t->data, eval_rows(t), eval_columns(t)} : (eval_matrix){0};
    exchange(s->e, &s->calls[index]);
    return ok;
}

// Content that was read before is read again.
void eval_forget_weight(evaluator *e, const ir_global *g)
{
    eval_global *content = &e->globals[g->value.mark];
    content->blocks = NULL;
    content->rows = NULL;
    content->values = content->levels = NULL;
}
