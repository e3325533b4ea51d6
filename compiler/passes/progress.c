// How far a module is in the usual pipeline, and for which machine and target: noted in its head,
// so that compilation goes on from its text.
#include "compiler/passes/passes.h"

#include <string.h>

bool pipeline_is_lowered(const ir_module *m)
{
    for (const ir_function *f = m->functions; f; f = f->next)
        IR_FOR_OPS(op, f->body)
        {
            if (!(ir_op_rows[op->code].traits & IR_GRAPH))
                return true;
        }
    return false;
}

// What later passes set on operations, where it is missing.
typedef struct unset {
    bool registers, offsets;
} unset;

static bool lacks(const ir_op *op, const char *attribute)
{
    const ir_attribute *a = ir_find(op, attribute);
    return !a || a->integer < 0;
}

static void find_unset(ir_op *op, void *context)
{
    unset *u = context;
    for (unsigned i = 0; i < op->n_results && !op->n_regions; i++)
        if (op->results[i].type->kind == IR_TILE && lacks(op, "register"))
            u->registers = true;
    if (op->code == IR_ALLOC && lacks(op, "offset"))
        u->offsets = true;
}

// The last pass that has left its traces on all operations of a lowered module.
static const pass_row *last_traced(const ir_module *m)
{
    unset u = {0};
    for (const ir_function *f = m->functions; f; f = f->next)
        ir_walk(f->body, find_unset, &u);
    const pass_row *last = pass_find("plan-memory");
    return u.registers ? pass_find("assign-tile-registers") - 1 : u.offsets ? last - 1 : last;
}

// What stands in the head may have been written by hand: the operations decide whether they are
// lowered, and have registers and memory.
const pass_row *pipeline_behind(const ir_module *m)
{
    const pass_row *noted = m->after ? pass_find(m->after) : NULL;
    const pass_row *lowering = pass_find("lower-to-tile");
    if (!pipeline_is_lowered(m))
        return noted && noted >= lowering ? lowering - 1 : noted;
    if (!noted || noted <= lowering)
        return lowering;
    const pass_row *traced = last_traced(m);
    return noted < traced ? noted : traced;
}

bool pipeline_requires(const code_target *target, const pass_row *pass)
{
    const char *usual = target && target->native ? pipeline_native : pipeline_default;
    return !pass->without && strstr(usual, pass->name);
}

const char *pipeline_architecture(arena *a, const machine *m)
{
    const char *tiles =
        m->tile_m ? arena_format(a, ", tile %u x %u", m->tile_m, m->tile_n) : ", no tiles";
    return arena_format(a, "vlen %u%s", m->vlen, tiles);
}

void pipeline_note_machine(ir_module *m, const pass_context *c)
{
    m->machine = ir_intern(m, c->machine->name);
    m->architecture = ir_intern(m, pipeline_architecture(c->arena, c->machine));
    m->target = ir_intern(m, c->target ? c->target->name : "riscv64");
}

void pipeline_note_pass(ir_module *m, const pass_context *c, const pass_row *pass)
{
    const pass_row *behind = pipeline_behind(m);
    for (const pass_row *row = behind ? behind + 1 : pass_rows; row < pass; row++)
        if (pipeline_requires(c->target, row))
            return; // it is still to come
    if (!behind || pass >= behind)
        m->after = ir_intern(m, pass->name);
}
