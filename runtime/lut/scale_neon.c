// lut.deq and lut.off with NEON: the defining operations on 4 columns at once.
#ifdef __aarch64__

#include "runtime/lut/vectors_neon.h"

// 4 columns of an operand of type f16 or f32.
INLINE float32x4_t columns_at(unsigned type, const uint8_t *from, uint32_t j)
{
    if (type == XLUT_SCALE_F32)
        return vreinterpretq_f32_u8(vld1q_u8(from + 4 * j));
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from + 2 * j)));
}

INLINE float32x4_t row_factor(const uint8_t *factors, uint32_t row)
{
    float factor;
    memcpy(&factor, factors + 4 * row, 4);
    return vdupq_n_f32(factor);
}

// D[r][j] = fma(sum, scale, D[r][j]), canonical
INLINE void add_scaled(tile_f32 *d, float32x4_t sum, float32x4_t scale)
{
    vst1q_f32(d, canonical(vfmaq_f32(vld1q_f32(d), sum, scale)));
}

void lut_neon_deq(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *scales = memory->item[0].host[0];
    const uint8_t *factors = memory->count > 1 ? memory->item[1].host[0] : NULL;
    for (uint32_t row = 0; row < u->m; row++) {
        const float32x4_t factor = factors ? row_factor(factors, row) : vdupq_n_f32(1);
        const uint32_t at = row * u->n;
        for (uint32_t j = 0; j < u->n; j += 4) {
            float32x4_t sum = in->type == XLUT_SUM_F32
                                  ? vld1q_f32(lut_tile_f32(u, in->rs3) + at + j)
                                  : vcvtq_f32_s32(vld1q_s32(lut_tile_i32(u, in->rs3) + at + j));
            float32x4_t scale = vmulq_f32(columns_at(in->scale_type, scales, j), factor);
            add_scaled(lut_tile_f32(u, in->rd) + at + j, sum, scale);
        }
    }
}

void lut_neon_off(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *factors = memory->item[0].host[0], *v = memory->item[1].host[0];
    for (uint32_t row = 0; row < u->m; row++) {
        tile_f32 *d = lut_tile_f32(u, in->rd) + row * u->n;
        for (uint32_t j = 0; j < u->n; j += 4)
            add_scaled(d + j, row_factor(factors, row), columns_at(in->scale_type, v, j));
    }
}

#else
typedef int lut_no_neon; // a translation unit is not empty
#endif
