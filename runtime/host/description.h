// The description of a program (docs/program.md): its machine, dimensions, entries, states and
// weights, read from the JSON of its note and checked.
#pragma once

#include "support/arena.h"
#include "support/array.h"
#include "support/diagnostic.h"
#include "support/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOST_MOST_HARTS = 256 };

typedef struct program_dim {
    const char *name;
    int64_t minimum, maximum; // 0 <= minimum <= maximum
} program_dim;

// One element of a shape: factor * value of dims[dim]; dim -1: the factor itself.
typedef struct program_extent {
    int64_t factor;
    int dim;
} program_extent;

typedef struct program_value {
    const char *name;
    scalar_type type; // `index` is i64
    bool is_index;
    unsigned rank;
    program_extent shape[ARRAY_MAX_RANK];
    uint64_t offset; // states only: within the state memory
} program_value;

typedef struct program_values {
    const program_value *items;
    size_t count;
} program_values;

typedef struct program_entry {
    const char *name, *symbol;
    program_values inputs, outputs;
} program_entry;

typedef struct program_description {
    struct {
        const char *name;
        uint32_t vlen, tile_m, tile_n;
        uint64_t hash;
    } machine;
    const program_dim *dims;
    size_t dim_count;
    const program_entry *entries;
    size_t entry_count;
    program_values states;
    uint64_t state_size, workspace_size;
    uint64_t scratch_size; // of each hart
    uint32_t harts;        // the most that an entry can be run on
    struct {
        uint64_t address, size; // size 0: no weights
        uint64_t layout;        // that the packed file must have
        const char *file;       // relative to the program's folder; NULL: a segment of the program
    } weights;
} program_description;

// Reports every problem with the path of the field ("entries[0].inputs[1].type: ..."). Fields that
// version 1 does not know are ignored.
bool description_parse(arena *a, diagnostics *d, const char *name, const char *json, size_t length,
                       program_description *out);

// The value of an extent, -1 where it overflows.
int64_t description_extent(const program_extent *e, const int64_t *dims);
// "f16[T, 2560]"; "i32" for a scalar.
void description_print_value(text *out, const program_description *p, const program_value *v);
const char *description_type_name(const program_value *v);
// The value of that name, NULL when there is none; the position in *index.
const program_value *description_find(const program_values *list, const char *name, size_t *index);
