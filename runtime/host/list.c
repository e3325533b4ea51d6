// What a program has: lutrun --list.
#include "runtime/host/host.h"

#include <inttypes.h>

static void list_values(const program_description *d, const char *what, const program_values *list,
                        text *out)
{
    for (size_t i = 0; i < list->count; i++) {
        text_printf(out, "    %-7s %-24s ", what, list->items[i].name);
        description_print_value(out, d, &list->items[i]);
        text_char(out, '\n');
    }
}

static void list_weights(const packed_file *weights, text *out)
{
    if (weights->count > 0)
        text_printf(out, "weights\n");
    for (size_t i = 0; i < weights->count; i++) {
        const packed_weight *w = &weights->weights[i];
        text_printf(out, "    %-32s %-10s %-14s %12" PRIu64 " bytes\n", w->name, w->format,
                    w->shape, w->size);
    }
}

void host_print_list(const host_program *p, FILE *stream)
{
    const program_description *d = host_description(p);
    const machine *m = host_machine(p);
    text out = {0};
    text_printf(&out, "machine %s: vlen %" PRIu32 ", tile m%" PRIu32 " n%" PRIu32 "\n", m->name,
                m->vlen, m->tile_m, m->tile_n);
    for (size_t i = 0; i < d->dim_count; i++)
        text_printf(&out, "dim %s in %" PRId64 "..%" PRId64 "\n", d->dims[i].name,
                    d->dims[i].minimum, d->dims[i].maximum);
    for (size_t i = 0; i < d->entry_count; i++) {
        text_printf(&out, "entry %s\n", d->entries[i].name);
        list_values(d, "input", &d->entries[i].inputs, &out);
        list_values(d, "output", &d->entries[i].outputs, &out);
    }
    if (d->states.count > 0)
        text_printf(&out, "states (%" PRIu64 " bytes)\n", d->state_size);
    list_values(d, "state", &d->states, &out);
    list_weights(host_weights(p), &out);
    text_print_visible(stream, text_string(&out), out.length);
    text_free(&out);
}
