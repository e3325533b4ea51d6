// N-dimensional arrays: npy files in and out, generated inputs, comparison.
// Shared by the oracle (lutc eval) and the emulator (lutrun), so that both take
// the same --input, --output and --expect.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/scalar.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>

enum { ARRAY_MAX_RANK = 8 };

// Row-major, contiguous, little-endian. `data` is owned by whoever made it (an
// arena or a caller's buffer).
typedef struct array {
    scalar_type type;
    unsigned rank;
    int64_t shape[ARRAY_MAX_RANK];
    void *data;
} array;

// Product of the shape; -1 when it (or its size in bytes) overflows int64.
int64_t array_count(const array *x);
int64_t array_bytes(const array *x);
array array_create(arena *a, scalar_type type, unsigned rank, const int64_t *shape);

// Reads the same bits as another type of the same size; false when the sizes differ.
bool array_cast_bits(array *x, scalar_type to);
// One element by its flat index, as scalar_load and scalar_store do.
double array_get(const array *x, int64_t index);
void array_set(array *x, int64_t index, double value);
bool array_same_shape(const array *x, unsigned rank, const int64_t *shape);
void array_print_shape(text *out, unsigned rank, const int64_t *shape); // [2, 3]

// npy 1.0, 2.0 and 3.0, C order. Fortran order, big-endian and object arrays
// are refused by name. False: reported to `d`. npy has no bf16 and no 8-bit
// floats: they are written as raw <u2 and |u1; <u2 is read back as bf16, and an
// input or expectation of type e4m3 or e5m2 takes |u1 as its bits.
bool array_read_npy(arena *a, diagnostics *d, const char *path, array *out);
bool array_parse_npy(arena *a, diagnostics *d, const char *name, const void *data, size_t size,
                     array *out);
bool array_write_npy(diagnostics *d, const char *path, const array *x); // whole or not at all

// What an --input says:  NAME=@FILE.npy | NAME=zeros | NAME=ones | NAME=iota |
// NAME=random[:SEED[:SCALE]] (standard normal times SCALE) | NAME=VALUE (in every element).
typedef enum input_kind {
    INPUT_FILE,
    INPUT_ZEROS,
    INPUT_ONES,
    INPUT_IOTA,
    INPUT_RANDOM,
    INPUT_VALUE
} input_kind;
typedef struct input_spec {
    const char *name; // interned in the arena given to the parser
    input_kind kind;
    const char *path;
    uint64_t seed;
    double scale, value;
    array file; // what input_read has read
} input_spec;
bool input_spec_parse(arena *a, diagnostics *d, const char *spec, input_spec *out);
// Of INPUT_FILE: its array, which input_make then takes; a pipe can be read only once.
bool input_read(arena *a, diagnostics *d, input_spec *spec);
// Fills a fresh array of the given type and shape (files: read, type converted
// only when exact, shape checked). The random stream is ours, specified in
// array.c, the same on every machine.
bool input_make(arena *a, diagnostics *d, const input_spec *spec, scalar_type type, unsigned rank,
                const int64_t *shape, array *out);

// Integers in random arrays are uniform over the type's range, capped to
// [-128, 127]. random_normal: one deviate of the stream.
typedef struct random_stream {
    uint64_t state;
} random_stream;
random_stream random_seed(uint64_t seed);
uint64_t random_bits(random_stream *r);
double random_uniform(random_stream *r); // [0, 1)
double random_normal(random_stream *r);

// Comparison of `got` with `want` (same shape required by the caller).
typedef struct array_difference {
    int64_t count;          // elements compared
    int64_t mismatches;     // outside atol + rtol * |want|, or one of them NaN
    int64_t first_mismatch; // flat index, or -1
    double max_absolute, max_relative;
    double nmse;    // sum (got - want)^2 / sum want^2; 0 when both are all zero
    bool identical; // bit for bit, NaN equal to NaN
} array_difference;
array_difference array_compare(const array *got, const array *want, double rtol, double atol);

// What an --expect says: NAME=@FILE.npy[,rtol=X][,atol=X][,nmse=X][,exact]. With an
// nmse alone elements are not compared one by one; with nothing they must be equal.
typedef struct expect_spec {
    const char *name, *path;
    array file;              // what is there
    double rtol, atol, nmse; // nmse < 0: not asked
    bool exact;
} expect_spec;
// Reads the file.
bool expect_spec_parse(arena *a, diagnostics *d, const char *spec, expect_spec *out);
// Compares, reports the first mismatch with its index and the nmse as an error; true when within
// tolerance.
bool expect_check(diagnostics *d, const expect_spec *spec, const array *got,
                  array_difference *difference);
