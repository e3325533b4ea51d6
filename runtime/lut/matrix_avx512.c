// mma with AVX-512, of 16-bit floats in tiles of 64 columns: a B of 8 columns, 16 deep, whose
// columns are transposed in registers and stay there. Lanes are columns of C, as in matrix_avx2.c.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/vectors_avx512.h"

enum { DEPTH = 16, COLUMNS = 8, ROW_BYTES = 2 * DEPTH };
enum { ROWS = 8 }; // of C at once

INLINE __m512 widen(bool brain, const uint8_t *row)
{
    const __m256i halves = _mm256_load_si256((const void *)row);
    return brain ? _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))
                 : _mm512_cvtph_ps(halves);
}

// Of 4 rows: in lane g of to[i], element 4g + i of each.
INLINE void transpose_words(const __m512 *row, __m512d *to)
{
    const __m512d low = _mm512_castps_pd(_mm512_unpacklo_ps(row[0], row[1])),
                  high = _mm512_castps_pd(_mm512_unpackhi_ps(row[0], row[1])),
                  next_low = _mm512_castps_pd(_mm512_unpacklo_ps(row[2], row[3])),
                  next_high = _mm512_castps_pd(_mm512_unpackhi_ps(row[2], row[3]));
    to[0] = _mm512_unpacklo_pd(low, next_low);
    to[1] = _mm512_unpackhi_pd(low, next_low);
    to[2] = _mm512_unpacklo_pd(high, next_high);
    to[3] = _mm512_unpackhi_pd(high, next_high);
}

// column[k] = element k of each row.
INLINE void transpose(const __m512 *row, __m256 *column)
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512d low[4], high[4];
    transpose_words(row, low);
    transpose_words(row + 4, high);
    UNROLL for (unsigned i = 0; i < 4; i++)
    {
        const __m512 x = _mm512_castpd_ps(_mm512_permutex2var_pd(low[i], first, high[i])),
                     y = _mm512_castpd_ps(_mm512_permutex2var_pd(low[i], last, high[i]));
        column[i] = _mm512_castps512_ps256(x);
        column[i + 4] = _mm512_extractf32x8_ps(x, 1);
        column[i + 8] = _mm512_castps512_ps256(y);
        column[i + 12] = _mm512_extractf32x8_ps(y, 1);
    }
}

// Read as it was written: wider loads would wait for the stores.
INLINE bool is_zero(const uint8_t *from)
{
    __m256i any = _mm256_setzero_si256();
    UNROLL for (unsigned i = 0; i < ROWS * ROW_BYTES; i += 32) any =
        _mm256_or_si256(any, _mm256_load_si256((const void *)(from + i)));
    return _mm256_testz_si256(any, any);
}

INLINE bool are_finite(const __m512 *row)
{
    enum { NOT_FINITE = 0x99 };
    __mmask16 any = 0;
    UNROLL for (unsigned i = 0; i < COLUMNS; i++) any =
        _kor_mask16(any, _mm512_fpclass_ps_mask(row[i], NOT_FINITE));
    return _kortestz_mask16_u8(any, any);
}

INLINE __m256 canonical_columns(__m256 x)
{
    const __mmask8 nan = _mm256_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm256_mask_mov_ps(x, nan, _mm256_set1_ps(__builtin_nanf("")));
}

INLINE void multiply(bool brain, const uint8_t *a, const __m256 *column, tile_f32 *c)
{
    _Alignas(64) float factor[ROWS][DEPTH];
    __m256 sum[ROWS];
    UNROLL for (unsigned i = 0; i < ROWS; i++)
    {
        _mm512_store_ps(factor[i], widen(brain, a + ROW_BYTES * i));
        sum[i] = _mm256_load_ps(c + COLUMNS * i);
    }
    __asm__("" : "+m"(factor)); // gcc would permute registers instead of loading elements
    UNROLL for (unsigned k = 0; k < DEPTH; k++) UNROLL for (unsigned i = 0; i < ROWS; i++) sum[i] =
        _mm256_fmadd_ps(_mm256_set1_ps(factor[i][k]), column[k], sum[i]);
    UNROLL for (unsigned i = 0; i < ROWS; i++)
        _mm256_store_ps(c + COLUMNS * i, canonical_columns(sum[i]));
}

// Rows of +0 add nothing to sums that are +0, as where a part of A was loaded.
INLINE void multiply_halves(lut_unit *u, const isa_instruction *in, bool brain)
{
    const uint8_t *b = lut_tile(u, in->rs2);
    __m512 row[COLUMNS];
    __m256 column[DEPTH];
    UNROLL for (unsigned j = 0; j < COLUMNS; j++) row[j] = widen(brain, b + ROW_BYTES * j);
    transpose(row, column);
    for (unsigned i = 0; i < u->m; i++) {
        const uint8_t *a = lut_tile(u, in->rs1) + ROWS * ROW_BYTES * i;
        tile_f32 *c = lut_tile_f32(u, in->rd) + ROWS * COLUMNS * i;
        if (is_zero(a) && is_zero((const uint8_t *)c) && are_finite(row))
            continue;
        multiply(brain, a, column, c);
    }
}

static void multiply_f16(lut_unit *u, const isa_instruction *in)
{
    multiply_halves(u, in, false);
}

static void multiply_bf16(lut_unit *u, const isa_instruction *in)
{
    multiply_halves(u, in, true);
}

void lut_avx512_mma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    if (u->n == 64 && in->type == XLUT_MMA_F16)
        multiply_f16(u, in);
    else if (u->n == 64 && in->type == XLUT_MMA_BF16)
        multiply_bf16(u, in);
    else
        lut_avx2_mma(u, in, memory);
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
