// What the NEON files share.
#pragma once

#include "runtime/lut/variants.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE float32x4_t canonical(float32x4_t x)
{
    return vbslq_f32(vceqq_f32(x, x), x, vdupq_n_f32(__builtin_nanf("")));
}
