// Tables for readers, JSON for programs.
#include "compiler/estimate/internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static double memory_bytes(const estimate_work *w)
{
    return w->memory_read + w->memory_written;
}

static void print_row(text *out, const estimate *e, const char *name, unsigned calls,
                      const estimate_work *w)
{
    double most, seconds = estimate_seconds(e, w);
    unsigned bound = estimate_bound(e->machine, w, &most);
    text_printf(out, "%-28.28s %6u %10.3f %6.1f  %-12s %5.1f %6.1f %6.1f %10.3f %9.3f", name, calls,
                1e3 * seconds, percent(w->cycles, e->total.cycles), estimate_bound_names[bound],
                percent(most, 1), percent(w->busy[ISA_UNIT_LUT], w->cycles),
                percent(memory_bytes(w), seconds * e->machine->memory_bandwidth),
                memory_bytes(w) / 1e6, estimate_instructions(w) / 1e6);
    if (e->machine->parts & MACHINE_ENERGY)
        text_printf(out, " %9.3f", 1e3 * w->energy);
    text_append(out, "\n");
}

void estimate_print(text *out, const estimate *e)
{
    const char *energy = e->machine->parts & MACHINE_ENERGY ? "        mJ" : "";
    text_printf(out, "entry %s on %s (%u hart%s at %.2f GHz)\n\n", e->entry, e->machine->name,
                e->machine->harts, e->machine->harts == 1 ? "" : "s", e->machine->clock / 1e9);
    text_printf(out, "%-28s %6s %10s %6s  %-12s %5s %6s %6s %10s %9s%s\n", "kernel", "calls", "ms",
                "%", "bound", "%", "LUT %", "DRAM %", "DRAM MB", "1e6 insns", energy);
    for (size_t i = 0; i < e->kernels.count; i++) {
        const estimate_kernel *k = &e->kernels.items[i];
        print_row(out, e, k->name, k->calls, &k->work);
    }
    text_append(out, "\n");
    for (unsigned i = 0; i < ESTIMATE_CLASSES; i++) {
        unsigned calls = 0;
        for (size_t k = 0; k < e->kernels.count; k++)
            calls += e->kernels.items[k].class == i ? e->kernels.items[k].calls : 0;
        if (calls)
            print_row(out, e, estimate_class_names[i], calls, &e->classes[i]);
    }
    unsigned calls = 0;
    for (size_t k = 0; k < e->kernels.count; k++)
        calls += e->kernels.items[k].calls;
    print_row(out, e, "total", calls, &e->total);
    double seconds = estimate_seconds(e, &e->total);
    text_printf(out, "\n%.0f new tokens in %.3f ms: %.1f tokens/s\n", e->new_tokens, 1e3 * seconds,
                seconds > 0 ? e->new_tokens / seconds : 0);
}

// -------------------------------------------------------------------------------- JSON

static json_t *work_json(const estimate *e, const estimate_work *w)
{
    double fraction;
    unsigned bound = estimate_bound(e->machine, w, &fraction);
    json_t *busy = json_object(), *classes = json_object();
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        if (w->busy[i] > 0)
            json_object_set_new(busy, isa_unit_names[i], json_real(w->busy[i]));
    for (unsigned i = 0; i < ISA_CLASS_COUNT; i++)
        if (w->classes[i] > 0)
            json_object_set_new(classes, isa_class_names[i], json_real(w->classes[i]));
    return json_pack("{s:f, s:f, s:s, s:f, s:o, s:f, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
                     "s:f}",
                     "seconds", estimate_seconds(e, w), "cycles", w->cycles, "bound",
                     estimate_bound_names[bound], "bound_fraction", fraction, "busy", busy,
                     "instructions", estimate_instructions(w), "classes", classes, "lookups",
                     w->lookups, "multiplies", w->multiplies, "table_groups", w->table_groups,
                     "scratch_bytes", w->scratch, "l2_bytes", w->l2, "memory_read", w->memory_read,
                     "memory_written", w->memory_written, "weight_bytes", w->weights, "energy",
                     w->energy);
}

void estimate_print_json(text *out, const estimate *e)
{
    json_t *kernels = json_array(), *classes = json_object();
    for (size_t i = 0; i < e->kernels.count; i++) {
        const estimate_kernel *k = &e->kernels.items[i];
        json_t *o = work_json(e, &k->work);
        json_object_set_new(o, "name", json_string(k->name));
        json_object_set_new(o, "class", json_string(estimate_class_names[k->class]));
        json_object_set_new(o, "calls", json_integer(k->calls));
        json_object_set_new(o, "harts", json_integer(k->harts));
        json_array_append_new(kernels, o);
    }
    for (unsigned i = 0; i < ESTIMATE_CLASSES; i++)
        json_object_set_new(classes, estimate_class_names[i], work_json(e, &e->classes[i]));
    json_t *o = json_pack("{s:i, s:s, s:s, s:i, s:f, s:f, s:o, s:o, s:o}", "version", 1, "machine",
                          e->machine->name, "entry", e->entry, "harts", (int)e->machine->harts,
                          "clock", e->machine->clock, "new_tokens", e->new_tokens, "total",
                          work_json(e, &e->total), "classes", classes, "kernels", kernels);
    char *s = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    text_append(out, s);
    text_append(out, "\n");
    free(s);
    json_decref(o);
}
