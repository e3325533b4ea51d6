// mma with AVX-512, of 16-bit floats in tiles of 64 columns: a B of 8 columns, 16 deep. Of 8 rows
// of A, lanes are columns of C, as in matrix_avx2.c, and B is transposed first. Of 16 rows, lanes
// are rows of C, and A and C are transposed: then only columns of B that are not 0 take time, as
// those of a few queries. All of C stays in registers.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/vectors_avx512.h"

enum { DEPTH = 16, COLUMNS = 8, ROW_BYTES = 2 * DEPTH };
enum { ROWS = 8 }; // of C, for each row of the tile

INLINE __m256i row_of(const uint8_t *tile, unsigned row)
{
    return _mm256_load_si256((const void *)(tile + ROW_BYTES * row));
}

INLINE __m512 widen(bool brain, __m256i halves)
{
    return brain ? _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))
                 : _mm512_cvtph_ps(halves);
}

// Read as it was written: wider loads would wait for the stores.
INLINE bool is_zero(const uint8_t *from, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 64) {
        const __m256i any = _mm256_or_si256(_mm256_load_si256((const void *)(from + i)),
                                            _mm256_load_si256((const void *)(from + i + 32)));
        if (!_mm256_testz_si256(any, any))
            return false;
    }
    return true;
}

INLINE bool are_finite(bool brain, const uint8_t *b)
{
    const __m512i exponent = _mm512_set1_epi16(brain ? 0x7f80 : 0x7c00);
    __mmask32 any = 0;
    UNROLL for (unsigned i = 0; i < COLUMNS * ROW_BYTES; i += 64) any |=
        _mm512_cmpeq_epi16_mask(_mm512_and_si512(_mm512_load_si512(b + i), exponent), exponent);
    return any == 0;
}

// ---------------------------------------------------------------- lanes are columns of C

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
INLINE void transpose(const uint8_t *b, uint16_t (*column)[COLUMNS])
{
    __m512i rows[COLUMNS / 2];
    UNROLL for (unsigned j = 0; j < COLUMNS / 2; j++) rows[j] = _mm512_load_si512(b + 64 * j);
    UNROLL for (unsigned i = 0; i < 2; i++)
    {
        const __m512i low = mix(rows[0], four_rows[i], rows[1]),
                      high = mix(rows[2], four_rows[i], rows[3]);
        _mm512_store_si512(column[8 * i], mix(low, eight_rows[0], high));
        _mm512_store_si512(column[8 * i + 4], mix(low, eight_rows[1], high));
    }
}

INLINE __m256 canonical_columns(__m256 x)
{
    const __mmask8 nan = _mm256_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm256_mask_mov_ps(x, nan, _mm256_set1_ps(__builtin_nanf("")));
}

// The first rows.
INLINE void multiply_few_rows(bool brain, const uint8_t *a, const uint8_t *b, tile_f32 *c)
{
    _Alignas(64) uint16_t column[DEPTH][COLUMNS];
    _Alignas(64) float factor[ROWS][DEPTH];
    __m256 sum[ROWS];
    __mmask8 nan = 0;
    transpose(b, column);
    UNROLL for (unsigned i = 0; i < ROWS; i++)
    {
        _mm512_store_ps(factor[i], widen(brain, row_of(a, i)));
        sum[i] = _mm256_load_ps(c + COLUMNS * i);
    }
    // gcc would permute registers instead of loading elements
    __asm__("" : "+m"(column), "+m"(factor));
    // Unrolled as a whole it displaces other code, and gains nothing.
    _Pragma("GCC unroll 2") for (unsigned k = 0; k < DEPTH; k++)
    {
        const __m256 x = widen_column(brain, column[k]);
        UNROLL for (unsigned i = 0; i < ROWS; i++) sum[i] =
            _mm256_fmadd_ps(_mm256_set1_ps(factor[i][k]), x, sum[i]);
    }
    UNROLL for (unsigned i = 0; i < ROWS; i += 2) nan =
        _kor_mask8(nan, _mm256_cmp_ps_mask(sum[i], sum[i + 1], _CMP_UNORD_Q));
    UNROLL for (unsigned i = 0; i < ROWS; i++) _mm256_store_ps(c + COLUMNS * i, sum[i]);
    if (__builtin_expect(!_kortestz_mask8_u8(nan, nan), 0))
        UNROLL for (unsigned i = 0; i < ROWS; i++)
            _mm256_store_ps(c + COLUMNS * i, canonical_columns(sum[i]));
}

// ------------------------------------------------------------------- lanes are rows of C
//
// Lane e is row 4 * (e % 4) + e / 4: so all comes from transpositions within 128 bits.

// Low half of lanes[k]: element k of each row; high half: element k + 8.
INLINE void transpose_rows(const uint8_t *a, __m512i *lanes)
{
    const __m512i even = _mm512_setr_epi64(0, 4, 8, 12, 2, 6, 10, 14),
                  odd = _mm512_setr_epi64(1, 5, 9, 13, 3, 7, 11, 15);
    __m512i four[2][4]; // rows, of two elements
    UNROLL for (unsigned i = 0; i < 2; i++)
    {
        __m512i row[4], two[4];
        UNROLL for (unsigned j = 0; j < 4; j++) row[j] = _mm512_load_si512(a + 128 * j + 64 * i);
        UNROLL for (unsigned j = 0; j < 2; j++)
        {
            two[j] = _mm512_unpacklo_epi16(row[2 * j], row[2 * j + 1]);
            two[j + 2] = _mm512_unpackhi_epi16(row[2 * j], row[2 * j + 1]);
        }
        UNROLL for (unsigned j = 0; j < 4; j += 2)
        {
            four[i][j] = _mm512_unpacklo_epi32(two[j], two[j + 1]);
            four[i][j + 1] = _mm512_unpackhi_epi32(two[j], two[j + 1]);
        }
    }
    UNROLL for (unsigned j = 0; j < 4; j++)
    {
        lanes[2 * j] = _mm512_permutex2var_epi64(four[0][j], even, four[1][j]);
        lanes[2 * j + 1] = _mm512_permutex2var_epi64(four[0][j], odd, four[1][j]);
    }
}

// The 4 words of four vectors, of each 128 bits.
INLINE void transpose_words(__m512 *x)
{
    const __m512d low[2] = {_mm512_castps_pd(_mm512_unpacklo_ps(x[0], x[1])),
                            _mm512_castps_pd(_mm512_unpacklo_ps(x[2], x[3]))};
    const __m512d high[2] = {_mm512_castps_pd(_mm512_unpackhi_ps(x[0], x[1])),
                             _mm512_castps_pd(_mm512_unpackhi_ps(x[2], x[3]))};
    x[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low[0], low[1]));
    x[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low[0], low[1]));
    x[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high[0], high[1]));
    x[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high[0], high[1]));
}

// False: others than the first columns are not +0.
INLINE bool load_columns(const tile_f32 *c, unsigned columns, __m512 *sum)
{
    __m512i others = _mm512_setzero_si512();
    UNROLL for (unsigned i = 0; i < 4; i++)
    {
        const __m512 low = _mm512_load_ps(c + 32 * i), high = _mm512_load_ps(c + 32 * i + 16);
        sum[i] = _mm512_shuffle_f32x4(low, high, 0x88);
        sum[i + 4] = _mm512_shuffle_f32x4(low, high, 0xdd);
    }
    transpose_words(sum);
    if (columns > 4)
        transpose_words(sum + 4);
    UNROLL for (unsigned j = columns; j < COLUMNS; j++) others =
        _mm512_or_si512(others, _mm512_castps_si512(sum[j]));
    return _mm512_test_epi32_mask(others, others) == 0;
}

INLINE void store_columns(tile_f32 *c, unsigned columns, __m512 *sum)
{
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    UNROLL for (unsigned j = columns; j < COLUMNS; j++) sum[j] = _mm512_setzero_ps();
    transpose_words(sum);
    if (columns > 4)
        transpose_words(sum + 4);
    UNROLL for (unsigned i = 0; i < 4; i++)
    {
        const __m512d x = _mm512_castps_pd(sum[i]), y = _mm512_castps_pd(sum[i + 4]);
        _mm512_store_pd(c + 32 * i, _mm512_permutex2var_pd(x, low, y));
        _mm512_store_pd(c + 32 * i + 16, _mm512_permutex2var_pd(x, high, y));
    }
}

INLINE void add_products(bool brain, unsigned columns, __m512i *lanes, const float (*factor)[DEPTH],
                         __m512 *sum)
{
    for (unsigned k = 0; k < DEPTH; k += DEPTH / 2)
        UNROLL for (unsigned i = 0; i < DEPTH / 2; i++)
        {
            const __m512 x = widen(brain, _mm512_castsi512_si256(lanes[i]));
            lanes[i] = _mm512_castsi256_si512(_mm512_extracti64x4_epi64(lanes[i], 1));
            UNROLL for (unsigned j = 0; j < columns; j++) sum[j] =
                _mm512_fmadd_ps(_mm512_set1_ps(factor[j][k + i]), x, sum[j]);
        }
}

// What it leaves out are columns of B that are 0: they add nothing to sums that are +0 where A is
// finite, as it is where the sums of one column are. False: that is not so, nothing was done.
INLINE bool multiply_columns(bool brain, unsigned columns, const uint8_t *a, const uint8_t *b,
                             tile_f32 *c)
{
    enum { NOT_FINITE = 0x99 };
    _Alignas(64) float factor[COLUMNS][DEPTH];
    __m512i lanes[DEPTH / 2];
    __m512 sum[COLUMNS];
    if (!load_columns(c, columns, sum))
        return false;
    UNROLL for (unsigned j = 0; j < columns; j++)
        _mm512_store_ps(factor[j], widen(brain, row_of(b, j)));
    __asm__("" : "+m"(factor)); // likewise
    transpose_rows(a, lanes);
    add_products(brain, columns, lanes, factor, sum);
    __mmask16 bad = columns < COLUMNS ? _mm512_fpclass_ps_mask(sum[0], NOT_FINITE) : 0;
    UNROLL for (unsigned j = 0; j < columns; j += 2) bad =
        _kor_mask16(bad, _mm512_cmp_ps_mask(sum[j], sum[j + 1], _CMP_UNORD_Q));
    if (__builtin_expect(!_kortestz_mask16_u8(bad, bad), 0)) {
        if (columns < COLUMNS)
            return false;
        UNROLL for (unsigned j = 0; j < columns; j++) sum[j] = canonical(sum[j]);
    }
    store_columns(c, columns, sum);
    return true;
}

INLINE void multiply_all_rows(bool brain, const uint8_t *a, const uint8_t *b, tile_f32 *c)
{
    unsigned columns = COLUMNS;
    bool done = false;
    while (columns > 2 && is_zero(b + ROW_BYTES * (columns - 2), 2 * ROW_BYTES))
        columns -= 2;
    switch (columns) {
    case 2: done = multiply_columns(brain, 2, a, b, c); break;
    case 4: done = multiply_columns(brain, 4, a, b, c); break;
    case 6: done = multiply_columns(brain, 6, a, b, c); break;
    default: break;
    }
    if (!done)
        multiply_columns(brain, COLUMNS, a, b, c);
}

// Rows of +0 add nothing to sums that are +0, as where a part of A was loaded.
INLINE void multiply_halves(lut_unit *u, const isa_instruction *in, bool brain)
{
    enum { HALF = ROWS * ROW_BYTES };
    const uint8_t *b = lut_tile(u, in->rs2), *a = lut_tile(u, in->rs1);
    tile_f32 *c = lut_tile_f32(u, in->rd);
    if (u->m == 1 || (is_zero(a + HALF, HALF) && is_zero(lut_tile(u, in->rd) + HALF, HALF) &&
                      are_finite(brain, b)))
        multiply_few_rows(brain, a, b, c);
    else
        multiply_all_rows(brain, a, b, c);
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
