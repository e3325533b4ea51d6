// Observers of a program's runs: one function on the hart that asks and tells them all.
#include "runtime/host/internal.h"

static bool fan_out(void *context, hart *h, const isa_instruction *in)
{
    host_program *p = context;
    const observer *first = p->observers.items, *end = first + p->observers.count;
    for (const observer *o = first; o < end; o++) {
        if (o->gate && !o->gate(o->context, h, in)) {
            p->refused = (size_t)(o - first);
            return false;
        }
    }
    for (const observer *o = first; o < end; o++)
        if (o->instruction)
            o->instruction(o->context, h, in);
    return true;
}

static void observe_harts(host_program *p, hart_observer *o)
{
    for (unsigned i = 0; i < p->hart_count; i++)
        hart_observe(p->harts[i], o, p);
}

void host_observe(host_program *p, const observer *o)
{
    ARRAY_PUSH(p->arena, &p->observers, *o);
    if (o->gate || o->instruction) {
        observe_harts(p, fan_out);
        p->observed = true;
    }
}

void observers_begin(host_program *p, hart *h, const char *name)
{
    for (size_t i = 0; i < p->observers.count; i++)
        if (p->observers.items[i].begin)
            p->observers.items[i].begin(p->observers.items[i].context, h, name);
}

bool observers_stopped(host_program *p, hart *h)
{
    const observer *o = &p->observers.items[p->refused];
    return o->stopped && o->stopped(o->context, h);
}

static bool is_idle(const observer *o)
{
    return (!o->gate && !o->instruction) || (o->idle && o->idle(o->context));
}

void observers_settle(host_program *p)
{
    if (!p->observed)
        return;
    for (size_t i = 0; i < p->observers.count; i++)
        if (!is_idle(&p->observers.items[i]))
            return;
    p->observed = false;
    observe_harts(p, NULL);
    for (unsigned i = 0; i < p->hart_count; i++)
        hart_flush_code(p->harts[i]); // what was decoded for single steps
}

bool observers_fault(host_program *p, hart *h)
{
    bool again = false;
    for (size_t i = 0; i < p->observers.count; i++)
        if (p->observers.items[i].fault)
            again |= p->observers.items[i].fault(p->observers.items[i].context, h);
    return again;
}

void observers_barrier(host_program *p, hart *h)
{
    for (size_t i = 0; i < p->observers.count; i++)
        if (p->observers.items[i].barrier)
            p->observers.items[i].barrier(p->observers.items[i].context, h);
}

void observers_end(host_program *p, hart *h)
{
    for (size_t i = 0; i < p->observers.count; i++)
        if (p->observers.items[i].end)
            p->observers.items[i].end(p->observers.items[i].context, h);
}

void host_finish(host_program *p, int exit_code)
{
    if (p->observed)
        observe_harts(p, NULL);
    for (size_t i = 0; i < p->observers.count; i++)
        if (p->observers.items[i].finish)
            p->observers.items[i].finish(p->observers.items[i].context, exit_code);
    p->observers.count = 0;
}
