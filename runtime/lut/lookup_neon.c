// lmma with what every AArch64 processor has.
#ifdef __aarch64__

#include "runtime/lut/vectors_neon.h"

// Products of an entry and a weight, |weight| <= 8, fit 16 bits, and so do sums of two.
INLINE int32x4_t dot(int32x4_t acc, int8x16_t a, int8x16_t b)
{
    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vpadalq_s16(acc, vpaddq_s16(low, high));
}

#include "runtime/lut/lookup_neon.h"

void lut_neon_lmma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    neon_lmma(u, in, memory);
}

#else
typedef int lut_no_neon; // a translation unit is not empty
#endif
