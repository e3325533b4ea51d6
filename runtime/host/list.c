// What a program has: lutrun --list.
#include "runtime/host/host.h"

#include <inttypes.h>

static void list_values(const program_description *d, const char *what, const program_values *list,
                        FILE *stream)
{
    for (size_t i = 0; i < list->count; i++) {
        text t = {0};
        description_print_value(&t, d, &list->items[i]);
        fprintf(stream, "    %-7s %-24s %s\n", what, list->items[i].name, text_string(&t));
        text_free(&t);
    }
}

static void list_weights(const packed_file *weights, FILE *stream)
{
    if (weights->count > 0)
        fprintf(stream, "weights\n");
    for (size_t i = 0; i < weights->count; i++) {
        const packed_weight *w = &weights->weights[i];
        fprintf(stream, "    %-32s %-10s %-14s %12" PRIu64 " bytes\n", w->name, w->format, w->shape,
                w->size);
    }
}

void host_print_list(const host_program *p, FILE *stream)
{
    const program_description *d = host_description(p);
    const machine *m = host_machine(p);
    fprintf(stream, "machine %s: vlen %" PRIu32 ", tile m%" PRIu32 " n%" PRIu32 "\n", m->name,
            m->vlen, m->tile_m, m->tile_n);
    for (size_t i = 0; i < d->dim_count; i++)
        fprintf(stream, "dim %s in %" PRId64 "..%" PRId64 "\n", d->dims[i].name, d->dims[i].minimum,
                d->dims[i].maximum);
    for (size_t i = 0; i < d->entry_count; i++) {
        fprintf(stream, "entry %s\n", d->entries[i].name);
        list_values(d, "input", &d->entries[i].inputs, stream);
        list_values(d, "output", &d->entries[i].outputs, stream);
    }
    if (d->states.count > 0)
        fprintf(stream, "states (%" PRIu64 " bytes)\n", d->state_size);
    list_values(d, "state", &d->states, stream);
    list_weights(host_weights(p), stream);
}
