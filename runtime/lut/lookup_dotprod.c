// lmma with SDOT, which came with ARMv8.2.
#ifdef __ARM_FEATURE_DOTPROD

#include "runtime/lut/vectors_neon.h"

INLINE int32x4_t dot(int32x4_t acc, int8x16_t a, int8x16_t b)
{
    return vdotq_s32(acc, a, b);
}

#include "runtime/lut/lookup_neon.h"

void lut_dotprod_lmma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    neon_lmma(u, in, memory);
}

#else
typedef int lut_no_dotprod; // a translation unit is not empty
#endif
