// Whole vectors of f32 arithmetic in host vectors, tried before the loop over elements.
#pragma once

#include "runtime/hart/vector.h"

// Computes n elements where they belong, from d, a (vs2) and b (vs1 or f), in order; gives how
// many: the next may have bits, or a flag besides inexact, that only softfloat knows. For
// nearest-even (or the rounding the instruction has of its own) with inexact raised already. Chunks
// are read as by kernels.
typedef size_t vector_float_quick(void *d, const void *a, vector_operand b, size_t n);
// Comparison: one byte, 0 or 1, for each element. False: some element is NaN.
typedef bool vector_float_quick_compare(uint8_t *d, const void *a, vector_operand b, size_t n);

//   QUICK(instruction, result in d, a, b)
#define QUICK_SUMS(QUICK)                                                                          \
    QUICK(VFADD, a + b)                                                                            \
    QUICK(VFSUB, a - b)                                                                            \
    QUICK(VFRSUB, b - a)
//   QUICK(instruction, factor, factor, result)
#define QUICK_PRODUCTS(QUICK)                                                                      \
    QUICK(VFMUL, a, b, a *b)                                                                       \
    QUICK(VFMACC, a, b, __builtin_fmaf(a, b, d))                                                   \
    QUICK(VFNMACC, a, b, __builtin_fmaf(-a, b, -d))                                                \
    QUICK(VFMSAC, a, b, __builtin_fmaf(a, b, -d))                                                  \
    QUICK(VFNMSAC, a, b, __builtin_fmaf(-a, b, d))                                                 \
    QUICK(VFMADD, d, b, __builtin_fmaf(d, b, a))                                                   \
    QUICK(VFNMADD, d, b, __builtin_fmaf(-d, b, -a))                                                \
    QUICK(VFMSUB, d, b, __builtin_fmaf(d, b, -a))                                                  \
    QUICK(VFNMSUB, d, b, __builtin_fmaf(-d, b, a))

#define QUICK_EXTREMES(QUICK)                                                                      \
    QUICK(VFMIN, a < b ? a : b)                                                                    \
    QUICK(VFMAX, a > b ? a : b)

//   a zero is divided exactly, by what is not zero
#define QUICK_QUOTIENTS(QUICK)                                                                     \
    QUICK(VFDIV, a, b)                                                                             \
    QUICK(VFRDIV, b, a)

//   QUICK(instruction, bits from a and b)
#define QUICK_SIGNS(QUICK)                                                                         \
    QUICK(VFSGNJ, (a & 0x7fffffff) | (b & 0x80000000))                                             \
    QUICK(VFSGNJN, (a & 0x7fffffff) | (~b & 0x80000000))                                           \
    QUICK(VFSGNJX, a ^ (b & 0x80000000))

#define QUICK_COMPARISONS(QUICK)                                                                   \
    QUICK(VMFEQ, a == b)                                                                           \
    QUICK(VMFNE, a != b)                                                                           \
    QUICK(VMFLT, a < b)                                                                            \
    QUICK(VMFLE, a <= b)                                                                           \
    QUICK(VMFGT, a > b)                                                                            \
    QUICK(VMFGE, a >= b)

#define DECLARE(E, ...) vector_float_quick quick_##E;
QUICK_SUMS(DECLARE)
QUICK_PRODUCTS(DECLARE)
QUICK_EXTREMES(DECLARE)
QUICK_QUOTIENTS(DECLARE)
QUICK_SIGNS(DECLARE)
#undef DECLARE
#define DECLARE(E, ...) vector_float_quick_compare quick_##E;
QUICK_COMPARISONS(DECLARE)
#undef DECLARE
vector_float_quick quick_VFSQRT_V, quick_f32_from_f16, quick_f16_from_f32, quick_f32_from_s32,
    quick_f32_from_u32, quick_s32_from_f32, quick_s32_toward_zero;

// sum + a[0] + a[1] + .., in this order.
bool quick_ordered_sum(float *sum, const float *a, size_t n);
// The greatest or least of *result and all of a. False: some are NaN.
bool quick_maximum(float *result, const float *a, size_t n);
bool quick_minimum(float *result, const float *a, size_t n);
