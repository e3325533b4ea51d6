// How products on CPUs take their activations: a row of bytes, lookup tables or floats, with scales
// and sums behind it. Lowering and code generation share this.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef enum activation_form {
    ACTIVATION_BYTES,   // i8, for multiplying; with a scale per group, or integers as they are
    ACTIVATION_LOOKUPS, // tables of 16 entries of i8 for the weights k, k + 4, k + 8, k + 12
    ACTIVATION_FLOATS,  // f32, exact
} activation_form;
extern const char *const activation_form_names[3];

enum { ACTIVATION_DEPTH = 32 }; // columns are padded with zeros to a multiple

typedef struct activation_row {
    int64_t padded;                   // columns
    int64_t scale_groups, sum_groups; // each with a scale (f32); with a sum (i32; of floats f32)
    int64_t scales, sums, bytes;      // byte offsets, and size of a row: a multiple of 64
} activation_row;
// Activations that share a scale and those that share a sum; 0: all of the row.
activation_row activation_row_of(activation_form form, int64_t columns, int64_t scale_group,
                                 int64_t sum_group);
