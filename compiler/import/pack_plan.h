// Where everything stands in a packed file, before it is written. Private to compiler/import.
#pragma once

#include "compiler/import/source.h"

#define FOR_WEIGHTS(g, m)                                                                          \
    for (ir_global *g = (m)->globals; g; g = g->next)                                              \
        if (g->kind == IR_GLOBAL_WEIGHT)

typedef struct pack_plan {
    pack_header header;
    uint64_t weights, total; // bytes of weights; of the file
    size_t count;            // weights
} pack_plan;

// Of a module whose weights have their places.
pack_plan pack_plan_file(const weights *w, const ir_module *m, pack_shape shape);
// hashes: one per weight in order, or NULL for zeros; the size is the same.
void pack_directory_print(text *out, const ir_module *m, const uint64_t *hashes);
