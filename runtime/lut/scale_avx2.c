// lut.deq, lut.off and lut.lda with AVX2: the defining operations on 8 columns at once.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "runtime/lut/vectors_avx2.h"

// 8 columns of an operand of type f16 or f32.
INLINE __m256 columns_at(unsigned type, const uint8_t *from, uint32_t j)
{
    if (type == XLUT_SCALE_F32)
        return _mm256_loadu_ps((const tile_f32 *)(const void *)(from + 4 * j));
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + 2 * j)));
}

INLINE __m256 row_factor(const uint8_t *factors, uint32_t row)
{
    float factor;
    memcpy(&factor, factors + 4 * row, 4);
    return _mm256_set1_ps(factor);
}

// D[r][j] = fma(sum, scale, D[r][j]), canonical
INLINE void add_scaled(tile_f32 *d, __m256 sum, __m256 scale)
{
    _mm256_store_ps(d, canonical(_mm256_fmadd_ps(sum, scale, _mm256_load_ps(d))));
}

void lut_avx2_deq(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *scales = memory->item[0].host[0];
    const uint8_t *factors = memory->count > 1 ? memory->item[1].host[0] : NULL;
    for (uint32_t row = 0; row < u->m; row++) {
        const __m256 factor = factors ? row_factor(factors, row) : _mm256_set1_ps(1);
        const tile_f32 *s = lut_tile_f32(u, in->rs3) + row * u->n;
        tile_f32 *d = lut_tile_f32(u, in->rd) + row * u->n;
        for (uint32_t j = 0; j < u->n; j += 8) {
            __m256 sum = in->type == XLUT_SUM_F32
                             ? _mm256_load_ps(s + j)
                             : _mm256_cvtepi32_ps(_mm256_load_si256((const void *)(s + j)));
            add_scaled(d + j, sum, _mm256_mul_ps(columns_at(in->scale_type, scales, j), factor));
        }
    }
}

void lut_avx2_off(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *factors = memory->item[0].host[0], *v = memory->item[1].host[0];
    for (uint32_t row = 0; row < u->m; row++) {
        tile_f32 *d = lut_tile_f32(u, in->rd) + row * u->n;
        for (uint32_t j = 0; j < u->n; j += 8)
            add_scaled(d + j, row_factor(factors, row), columns_at(in->scale_type, v, j));
    }
}

// Halves, eight at a time; everything else as defined.
void lut_avx2_lda(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    const uint32_t columns = rows->bytes / xlut_data_bytes(in->type);
    if (in->type != XLUT_DATA_F16 || columns % 8 != 0) {
        lut_reference_lda(u, in, memory);
        return;
    }
    memset(lut_tile(u, in->rd), 0, u->tile_bytes);
    for (uint32_t row = 0; row < rows->rows; row++)
        for (uint32_t j = 0; j < columns; j += 8)
            _mm256_store_ps(lut_tile_f32(u, in->rd) + row * u->n + j,
                            canonical(columns_at(XLUT_SCALE_F16, rows->host[row], j)));
}

#else
typedef int lut_no_avx2; // a translation unit is not empty
#endif
