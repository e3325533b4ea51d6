// Scalar types: one table for the language, the IR, npy, GGUF and the machine,
// and their exact conversions (IEEE 754 round to nearest, ties to even).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// SCALAR(enumerator, name, bits, class, npy descr or NULL)
//   class: f float, i signed integer, u unsigned integer, b boolean
#define SCALAR_TYPES(SCALAR)                                                                       \
    SCALAR(F64, "f64", 64, 'f', "<f8")                                                             \
    SCALAR(F32, "f32", 32, 'f', "<f4")                                                             \
    SCALAR(F16, "f16", 16, 'f', "<f2")                                                             \
    SCALAR(BF16, "bf16", 16, 'f', NULL)                                                            \
    SCALAR(E4M3, "e4m3", 8, 'f', NULL) /* OCP 8-bit float, no infinities, NaN = 0x7f */            \
    SCALAR(E5M2, "e5m2", 8, 'f', NULL) /* OCP 8-bit float, IEEE-like */                            \
    SCALAR(I64, "i64", 64, 'i', "<i8")                                                             \
    SCALAR(I32, "i32", 32, 'i', "<i4")                                                             \
    SCALAR(I16, "i16", 16, 'i', "<i2")                                                             \
    SCALAR(I8, "i8", 8, 'i', "|i1")                                                                \
    SCALAR(U8, "u8", 8, 'u', "|u1")                                                                \
    SCALAR(I1, "i1", 8, 'b', "|b1") /* stored as one byte, 0 or 1 */

typedef enum scalar_type {
#define SCALAR(E, ...) SCALAR_##E,
    SCALAR_TYPES(SCALAR)
#undef SCALAR
        SCALAR_COUNT
} scalar_type;

typedef struct scalar_row {
    const char *name;
    unsigned bits;
    char class;
    const char *npy;
} scalar_row;

extern const scalar_row scalar_rows[SCALAR_COUNT];

static inline size_t scalar_size(scalar_type t)
{
    return scalar_rows[t].bits / 8;
}
static inline bool scalar_is_float(scalar_type t)
{
    return scalar_rows[t].class == 'f';
}
static inline bool scalar_is_integer(scalar_type t)
{
    return scalar_rows[t].class == 'i' || scalar_rows[t].class == 'u';
}
bool scalar_by_name(const char *name, scalar_type *out);

// Bit patterns. float -> narrow rounds once, from the exact value; e4m3
// saturates to +-448, the others overflow to infinity. NaN stays NaN (quiet,
// sign kept). double -> f16/bf16 rounds once as well (no step through f32).
uint16_t f16_from_double(double x);
uint16_t f16_from_float(float x);
float f16_to_float(uint16_t bits);
uint16_t bf16_from_double(double x);
uint16_t bf16_from_float(float x);
float bf16_to_float(uint16_t bits);
uint8_t e4m3_from_double(double x);
float e4m3_to_float(uint8_t bits);
uint8_t e5m2_from_double(double x);
float e5m2_to_float(uint8_t bits);

// One element of any type. Store rounds (floats) or rounds to nearest even and
// saturates (integers; NaN gives 0).
double scalar_load(scalar_type t, const void *at);
void scalar_store(scalar_type t, void *at, double value);
// The largest finite value.
double scalar_largest(scalar_type t);
// The value that storing and loading gives.
double scalar_round(scalar_type t, double value);
