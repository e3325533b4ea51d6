// lut.ld, lut.deq, lut.off and lut.sta with AVX-512: the defining operations on 16 columns at once.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/vectors_avx512.h"

// 16 columns of an operand of type f16 or f32.
INLINE __m512 columns_at(unsigned type, const uint8_t *from, uint32_t j)
{
    if (type == XLUT_SCALE_F32)
        return _mm512_loadu_ps(from + 4 * j);
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + 2 * j)));
}

INLINE __m512 row_factor(const uint8_t *factors, uint32_t row)
{
    float factor;
    memcpy(&factor, factors + 4 * row, 4);
    return _mm512_set1_ps(factor);
}

INLINE void deq(lut_unit *u, const isa_instruction *in, const uint8_t *scales,
                const uint8_t *factors, bool real, unsigned scale_type)
{
    for (uint32_t row = 0; row < u->m; row++) {
        const __m512 factor = factors ? row_factor(factors, row) : _mm512_set1_ps(1);
        const uint8_t *s = lut_tile(u, in->rs3) + 4 * row * u->n;
        tile_f32 *d = lut_tile_f32(u, in->rd) + row * u->n;
        for (uint32_t j = 0; j < u->n; j += 16) {
            __m512 sum =
                real ? _mm512_load_ps(s + 4 * j) : _mm512_cvtepi32_ps(_mm512_load_si512(s + 4 * j));
            __m512 scale = _mm512_mul_ps(columns_at(scale_type, scales, j), factor);
            __m512 result = _mm512_fmadd_ps(sum, scale, _mm512_load_ps(d + j));
            _mm512_store_ps(d + j, canonical(result));
        }
    }
}

void lut_avx512_deq(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *scales = memory->item[0].host[0];
    const uint8_t *factors = memory->count > 1 ? memory->item[1].host[0] : NULL;
    if (in->type == XLUT_SUM_F32)
        deq(u, in, scales, factors, true, in->scale_type);
    else if (in->scale_type == XLUT_SCALE_F32)
        deq(u, in, scales, factors, false, XLUT_SCALE_F32);
    else
        deq(u, in, scales, factors, false, XLUT_SCALE_F16);
}

void lut_avx512_off(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *factors = memory->item[0].host[0], *v = memory->item[1].host[0];
    for (uint32_t row = 0; row < u->m; row++) {
        const __m512 factor = row_factor(factors, row);
        tile_f32 *d = lut_tile_f32(u, in->rd) + row * u->n;
        for (uint32_t j = 0; j < u->n; j += 16) {
            __m512 column = columns_at(in->scale_type, v, j);
            __m512 result = _mm512_fmadd_ps(factor, column, _mm512_load_ps(d + j));
            _mm512_store_ps(d + j, canonical(result));
        }
    }
}

void lut_avx512_ld(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    uint8_t *tile = lut_tile(u, in->rd);
    const uint8_t *from = memory->item[0].host[0];
    const uint32_t bytes = memory->item[0].bytes;
    for (uint32_t i = 0; i < bytes; i += LUT_TILE_ALIGNMENT)
        _mm512_store_si512(tile + i, _mm512_loadu_si512(from + i));
    for (uint32_t i = bytes; i < u->tile_bytes; i += LUT_TILE_ALIGNMENT)
        _mm512_store_si512(tile + i, _mm512_setzero_si512());
}

// To f16; the other types as defined.
void lut_avx512_sta(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    if (in->type != XLUT_DATA_F16) {
        lut_reference_sta(u, in, memory);
        return;
    }
    const uint32_t columns = rows->bytes / 2;
    for (uint32_t row = 0; row < rows->rows; row++)
        for (uint32_t j = 0; j < columns; j += 16) {
            __m512 value = canonical(_mm512_load_ps(lut_tile_f32(u, in->rd) + row * u->n + j));
            __mmask16 stored = columns - j < 16 ? (__mmask16)((1u << (columns - j)) - 1) : 0xffff;
            __m256i half = _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            _mm256_mask_storeu_epi16(rows->host[row] + 2 * j, stored, half);
        }
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
