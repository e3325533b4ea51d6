// prefetch: what tile loads will read is on its way when they read it.
//
// In a loop that looks up tiles, what is loaded from addresses that advance with the rounds is
// prefetched as far ahead as memory needs: its latency, in the time that a round takes, as long as
// no more lines are under way than the machine follows. What is read right behind the loop from
// the same stream is prefetched as far ahead too, so that the whole stream is. Prefetches read
// nothing and never fault: those beyond the end of what is read bring what follows.
#include "compiler/passes/prefetch_streams.h"

static void visit(ir_op *op, void *context)
{
    prefetching *p = context;
    if (op->code != IR_FOR && op->code != IR_STRIP)
        return;
    p->loop = op;
    p->count = 0;
    p->halved = false;
    bool lookups = false, prefetches = false;
    bool goes_on = false; // with the streams of a loop in it
    IR_FOR_OPS(inner, op->regions[0])
    {
        lookups |= inner->code == IR_XLUT_MMA;
        prefetches |= inner->code == IR_XLUT_PF || inner->code == IR_PREFETCH;
        goes_on |= inner->code == IR_FOR && looks_up(inner);
    }
    if (!prefetches && !lookups)
        prefetch_rows(p->module, p->context, op);
    if (!prefetches && !lookups && op->code == IR_FOR)
        prefetch_short_rows(p->module, p->context, op);
    if (!prefetches && !lookups && op->code == IR_FOR)
        prefetch_beside(p->module, p->machine, op);
    if (!lookups || prefetches || goes_on)
        return;
    collect_streams(p);
    if (!p->count)
        return;
    if (halves_keep_tables(p)) {
        prefetch_halves(p);
        pass_remark(p->context, REMARK_APPLIED, op->where,
                    "the loop is halved: each half uses the tables that the other one reads, so "
                    "that they stay in scratch");
    } else {
        measure_round(p);
        prefetch_streams(p);
        prefetch_behind(p);
    }
    pass_remark(p->context, REMARK_APPLIED, op->where,
                "a round reads %.0f lines from memory, which are asked for %.1f rounds ahead",
                lines_from_memory(p), p->ahead);
}

static void find_prefetch(ir_op *op, void *context)
{
    *(bool *)context |= op->code == IR_XLUT_PF || op->code == IR_PREFETCH;
}

bool is_prefetched(const ir_function *f)
{
    bool found = false;
    ir_walk(f->body, find_prefetch, &found);
    return found;
}

bool pass_prefetch(ir_module *m, pass_context *c)
{
    if (!machine_has(c->machine, ISA_UNIT_LUT))
        return true;
    prefetching p = {.module = m, .context = c, .machine = c->machine};
    for (ir_function *f = m->functions; f; f = f->next)
        if (!is_prefetched(f))
            ir_walk(f->body, visit, &p);
    return true;
}
