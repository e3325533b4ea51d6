// mma with AVX-512, of 16-bit floats in tiles of 64 columns: a B of 8 columns, 16 deep, which is
// transposed first. Lanes are columns of C, as in matrix_avx2.c; all of C stays in registers.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/vectors_avx512.h"

enum { DEPTH = 16, COLUMNS = 8, ROW_BYTES = 2 * DEPTH };
enum { ROWS = 8, MOST_ROWS = 16 }; // of C, for each row of the tile; where the tile has two

INLINE __m512 widen(bool brain, const uint8_t *row)
{
    const __m256i halves = _mm256_load_si256((const void *)row);
    return brain ? _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))
                 : _mm512_cvtph_ps(halves);
}

// The halves of a column of B.
INLINE __m256 widen_column(bool brain, const uint16_t *column)
{
    const __m128i halves = _mm_load_si128((const void *)column);
    return brain ? _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))
                 : _mm256_cvtph_ps(halves);
}

// Elements k to k + 7 of four rows of two vectors, in the order of k; then k to k + 3 of eight.
#define OF_FOUR(k) (k), (k) + 16, (k) + 32, (k) + 48
#define OF_EIGHT(k) 4 * (k), 4 * (k) + 1, 4 * (k) + 2, 4 * (k) + 3
#define TWICE_FOUR(k) OF_EIGHT(k), OF_EIGHT((k) + 8)
_Alignas(64) static const uint16_t four_rows[2][32] = {
    {OF_FOUR(0), OF_FOUR(1), OF_FOUR(2), OF_FOUR(3), OF_FOUR(4), OF_FOUR(5), OF_FOUR(6),
     OF_FOUR(7)},
    {OF_FOUR(8), OF_FOUR(9), OF_FOUR(10), OF_FOUR(11), OF_FOUR(12), OF_FOUR(13), OF_FOUR(14),
     OF_FOUR(15)},
};
_Alignas(64) static const uint16_t eight_rows[2][32] = {
    {TWICE_FOUR(0), TWICE_FOUR(1), TWICE_FOUR(2), TWICE_FOUR(3)},
    {TWICE_FOUR(4), TWICE_FOUR(5), TWICE_FOUR(6), TWICE_FOUR(7)},
};

INLINE __m512i mix(__m512i low, const uint16_t *order, __m512i high)
{
    return _mm512_permutex2var_epi16(low, _mm512_load_si512(order), high);
}

// column[k] = element k of each row.
INLINE void transpose(const __m512i *rows, uint16_t (*column)[COLUMNS])
{
    UNROLL for (unsigned i = 0; i < 2; i++)
    {
        const __m512i low = mix(rows[0], four_rows[i], rows[1]),
                      high = mix(rows[2], four_rows[i], rows[3]);
        _mm512_store_si512(column[8 * i], mix(low, eight_rows[0], high));
        _mm512_store_si512(column[8 * i + 4], mix(low, eight_rows[1], high));
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

INLINE bool are_finite(bool brain, const __m512i *rows)
{
    const __m512i exponent = _mm512_set1_epi16(brain ? 0x7f80 : 0x7c00);
    __mmask32 any = 0;
    UNROLL for (unsigned i = 0; i < ROWS / 2; i++) any |=
        _mm512_cmpeq_epi16_mask(_mm512_and_si512(rows[i], exponent), exponent);
    return any == 0;
}

INLINE __m256 canonical_columns(__m256 x)
{
    const __mmask8 nan = _mm256_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm256_mask_mov_ps(x, nan, _mm256_set1_ps(__builtin_nanf("")));
}

INLINE void multiply(bool brain, unsigned rows, const uint8_t *a, uint16_t (*column)[COLUMNS],
                     tile_f32 *c)
{
    _Alignas(64) float factor[MOST_ROWS][DEPTH];
    __m256 sum[MOST_ROWS];
    __mmask8 nan = 0;
    UNROLL for (unsigned i = 0; i < rows; i++)
    {
        _mm512_store_ps(factor[i], widen(brain, a + ROW_BYTES * i));
        sum[i] = _mm256_load_ps(c + COLUMNS * i);
    }
    __asm__("" : "+m"(factor)); // gcc would permute registers instead of loading elements
    // Unrolled as a whole it displaces other code, and gains nothing.
    _Pragma("GCC unroll 2") for (unsigned k = 0; k < DEPTH; k++)
    {
        const __m256 x = widen_column(brain, column[k]);
        UNROLL for (unsigned i = 0; i < rows; i++) sum[i] =
            _mm256_fmadd_ps(_mm256_set1_ps(factor[i][k]), x, sum[i]);
    }
    UNROLL for (unsigned i = 0; i < rows; i += 2) nan =
        _kor_mask8(nan, _mm256_cmp_ps_mask(sum[i], sum[i + 1], _CMP_UNORD_Q));
    UNROLL for (unsigned i = 0; i < rows; i++) _mm256_store_ps(c + COLUMNS * i, sum[i]);
    if (__builtin_expect(!_kortestz_mask8_u8(nan, nan), 0))
        UNROLL for (unsigned i = 0; i < rows; i++)
            _mm256_store_ps(c + COLUMNS * i, canonical_columns(sum[i]));
}

// Rows of +0 add nothing to sums that are +0, as where a part of A was loaded.
INLINE void multiply_halves(lut_unit *u, const isa_instruction *in, bool brain)
{
    const uint8_t *b = lut_tile(u, in->rs2), *a = lut_tile(u, in->rs1);
    tile_f32 *c = lut_tile_f32(u, in->rd);
    _Alignas(64) uint16_t column[DEPTH][COLUMNS];
    __m512i rows[COLUMNS / 2];
    UNROLL for (unsigned j = 0; j < COLUMNS / 2; j++) rows[j] = _mm512_load_si512(b + 64 * j);
    transpose(rows, column);
    __asm__("" : "+m"(column)); // likewise
    const bool half = ROWS * u->m == MOST_ROWS && is_zero(a + ROWS * ROW_BYTES) &&
                      is_zero((const uint8_t *)(c + ROWS * COLUMNS)) && are_finite(brain, rows);
    if (ROWS * u->m == MOST_ROWS && !half)
        multiply(brain, MOST_ROWS, a, column, c);
    else
        multiply(brain, ROWS, a, column, c);
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
