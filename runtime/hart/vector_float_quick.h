// Whole vectors of f32 arithmetic in host vectors, tried before the loop over elements.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Computes n elements from d (the destination's old content), a (vs2) and b (vs1 or f). False, and
// `to` undefined: some element may have bits, or a flag besides inexact, that only softfloat knows.
// For nearest-even with inexact raised already.
typedef bool vector_float_quick(void *restrict to, const void *restrict d, const void *restrict a,
                                const void *restrict b, size_t n);

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

#define DECLARE(E, ...) vector_float_quick quick_##E;
QUICK_SUMS(DECLARE)
QUICK_PRODUCTS(DECLARE)
QUICK_EXTREMES(DECLARE)
#undef DECLARE
vector_float_quick quick_f32_from_f16, quick_f16_from_f32;

// sum + a[0] + a[1] + .., in this order.
bool quick_ordered_sum(float *sum, const float *a, size_t n);
