// A call of a kernel: registers, arguments, and memory that harts share.
#include "compiler/estimate/walk.h"

#include <math.h>
#include <string.h>

// What the caller does, the registers that are saved and restored, and where they are.
static void enter(walker *w)
{
    enum { SAVED = 12, SCALARS = 16 };
    walk_plain(w, ISA_ADD, SCALARS + w->info->outside.integers);
    walk_plain(w, ISA_MUL, w->info->outside.multiplies);
    walk_plain(w, ISA_DIV, w->info->outside.divides);
    walk_plain(w, ISA_JAL, 2);
    for (unsigned i = 0; i < 2 * SAVED; i++) {
        access a = {.root = MAX_ROOTS,
                    .offset = 8 * (i % SAVED),
                    .bytes = 8,
                    .rows = 1,
                    .share = 1,
                    .write = i < SAVED,
                    .nearby = 1};
        isa_instruction in = {.opcode = i < SAVED ? ISA_SD : ISA_LD};
        hart_issue(w->hart, &in, &w->shape, NULL, 1, &a);
    }
}

// `active`: harts that share what is behind scratch.
static bool walk_once(function_info *f, const call_frame *frame, const root *roots, uint32_t active,
                      write_backs back, call_result *out)
{
    const machine *m = frame->options->machine;
    const ir_block *body = f->function->body;
    double memory = frame->options->memory > 0 ? frame->options->memory : 1;
    walker w = {.frame = frame, .info = f, .harts = 1, .most_harts = 1};
    w.hart = hart_create(m, active, memory, back);
    for (size_t i = 0; i < f->values.count; i++)
        f->values.items[i].at = (result){0};
    for (size_t i = 0; i < body->arguments.count; i++) {
        value_info *v = info(&w, body->arguments.items[i]);
        v->known = true;
        v->value = frame->values[i];
        if (i < MAX_ROOTS)
            *hart_root(w.hart, (unsigned)i) = roots[i];
    }
    enter(&w);
    walk_block(&w, f->function->body);
    out->counts = *hart_counts(w.hart);
    out->counts.work.cycles = hart_end(w.hart);
    out->harts = w.most_harts;
    hart_destroy(w.hart);
    return !w.failed;
}

// The part of what is written that leaves a memory of `room` bytes.
static double part_evicted(double unique, double room)
{
    return unique > room ? (unique - room) / unique : 0;
}

// Where several harts take turns and threads cover latencies: nothing is faster than what is busy.
static void cover_latency(const machine *m, estimate_work *w)
{
    if (!(m->parts & MACHINE_CLUSTER))
        return;
    double least = w->issued / m->issue_width;
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        least = fmax(least, w->busy[i]);
    double ramp = (m->memory_latency + m->l2_latency) * m->clock; // the first data
    w->cycles = fmin(w->cycles, fmax(least, w->cycles / m->cluster_threads) + ramp);
}

// Twice where the first walk shows how many harts share memory, and how much is written back.
bool walk_call(function_info *f, const call_frame *frame, call_result *out)
{
    const machine *m = frame->options->machine;
    root roots[MAX_ROOTS];
    memcpy(roots, frame->roots, sizeof roots);
    if (!walk_once(f, frame, roots, m->harts, (write_backs){0}, out))
        return false;
    const counts *c = &out->counts;
    write_backs back = {part_evicted(c->unique, (double)m->scratch_size),
                        part_evicted(c->unique_common, (double)m->l2_size)};
    if (c->dirtied > 0)
        back.near += frame->evicted / c->dirtied;
    for (unsigned i = 0; i < MAX_ROOTS; i++)
        if (roots[i].extent > 0)
            roots[i].share = c->first[i] * out->harts / roots[i].extent;
    if ((m->harts > 1 || back.near > 0.01) && !walk_once(f, frame, roots, out->harts, back, out))
        return false;
    cover_latency(m, &out->counts.work);
    return true;
}
