// Packed weight files (docs/program.md): header and directory, checked.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/metadata.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct packed_weight {
    const char *name, *source, *format;
    const char *shape; // "2560x6912"
    uint64_t offset, size;
} packed_weight;

typedef struct packed_file {
    uint32_t tile_m, tile_n;
    uint64_t layout; // names, formats, shapes and places of the weights, as a hash
    const packed_weight *weights;
    size_t count;
    uint64_t metadata, metadata_size; // where the key-value pairs are; size 0: there are none
} packed_file;

// `data` is the whole file (or segment) and is not kept. False: every problem is reported.
bool packed_file_parse(arena *a, diagnostics *d, const char *name, const uint8_t *data,
                       uint64_t size, packed_file *out);
// The pairs that a file keeps of the model file its weights came from, none being fine; `data` as
// it was given to packed_file_parse. Values point into it. False: reported.
bool packed_file_metadata(arena *a, diagnostics *d, const char *name, const packed_file *f,
                          const uint8_t *data, metadata *out);
