// lut.ld, lut.lda, lut.ldm, lut.deq, lut.off and lut.sta with AVX-512: the defining operations on
// 16 columns at once.
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

// NaN results become the canonical one; there are hardly ever any.
__attribute__((noinline)) static void canonicalize(tile_f32 *d, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 16)
        _mm512_store_ps(d + i, canonical(_mm512_load_ps(d + i)));
}

// 16 columns of all rows. Nonzero: there are NaN among the results.
INLINE __mmask16 deq_columns(const uint8_t *s, tile_f32 *d, __m512 scale, const __m512 *factor,
                             unsigned m, size_t n, bool real)
{
    __m512 result[LUT_MAX_ROWS];
    UNROLL for (unsigned row = 0; row < m; row++)
    {
        const uint8_t *at = s + 4 * row * n;
        __m512 sum = real ? _mm512_load_ps(at) : _mm512_cvtepi32_ps(_mm512_load_si512(at));
        __m512 old = _mm512_load_ps(d + row * n);
        result[row] = _mm512_fmadd_ps(sum, _mm512_mul_ps(scale, factor[row]), old);
        _mm512_store_ps(d + row * n, result[row]);
    }
    __mmask16 nan = _mm512_cmp_ps_mask(result[0], result[m / 2], _CMP_UNORD_Q);
    if (m == 4)
        nan = _kor_mask16(nan, _mm512_cmp_ps_mask(result[1], result[3], _CMP_UNORD_Q));
    return nan;
}

INLINE void deq(lut_unit *u, const isa_instruction *in, const uint8_t *scales,
                const uint8_t *factors, unsigned m, bool real, unsigned scale_type)
{
    const size_t n = u->n, scale_bytes = scale_type == XLUT_SCALE_F32 ? 4 : 2;
    const uint8_t *s = lut_tile(u, in->rs3);
    tile_f32 *const first = lut_tile_f32(u, in->rd), *d = first;
    __m512 factor[LUT_MAX_ROWS];
    __mmask16 nan = 0;
    UNROLL for (unsigned row = 0; row < m; row++) factor[row] =
        factors ? row_factor(factors, row) : _mm512_set1_ps(1);
    for (tile_f32 *const end = d + n; d < end; d += 64, s += 256, scales += 64 * scale_bytes)
        UNROLL for (unsigned i = 0; i < 64; i += 16)
        {
            __m512 scale = columns_at(scale_type, scales, i);
            nan = _kor_mask16(nan, deq_columns(s + 4 * i, d + i, scale, factor, m, n, real));
        }
    if (__builtin_expect(!_kortestz_mask16_u8(nan, nan), 0))
        canonicalize(first, (uint32_t)(m * n));
}

INLINE void deq_rows(lut_unit *u, const isa_instruction *in, const uint8_t *scales,
                     const uint8_t *factors, bool real, unsigned scale_type)
{
    if (u->m == 1)
        deq(u, in, scales, factors, 1, real, scale_type);
    else if (u->m == 2)
        deq(u, in, scales, factors, 2, real, scale_type);
    else
        deq(u, in, scales, factors, 4, real, scale_type);
}

void lut_avx512_deq(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint8_t *scales = memory->item[0].host[0];
    const uint8_t *factors = memory->count > 1 ? memory->item[1].host[0] : NULL;
    if (in->type == XLUT_SUM_F32)
        deq_rows(u, in, scales, factors, true, in->scale_type);
    else if (in->scale_type == XLUT_SCALE_F32)
        deq_rows(u, in, scales, factors, false, XLUT_SCALE_F32);
    else
        deq_rows(u, in, scales, factors, false, XLUT_SCALE_F16);
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

INLINE void copy_half(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 128) {
        _mm512_store_si512(to + i, _mm512_loadu_si512(from + i));
        _mm512_store_si512(to + i + 64, _mm512_loadu_si512(from + i + 64));
    }
}

void lut_avx512_ld(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const uint32_t half = u->tile_bytes / 2, tile = 1u << in->rd;
    uint8_t *to = lut_tile(u, in->rd);
    const uint8_t *from = memory->item[0].host[0];
    copy_half(to, from, half);
    if (!in->half) {
        copy_half(to + half, from + half, half);
        u->half_zero &= ~tile;
    } else if (!(u->half_zero & tile)) {
        for (uint32_t i = half; i < 2 * half; i += 64)
            _mm512_store_si512(to + i, _mm512_setzero_si512());
        u->half_zero |= tile;
    }
}

void lut_avx512_zero(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    (void)memory;
    uint8_t *to = lut_tile(u, in->rd);
    for (uint32_t i = 0; i < u->tile_bytes; i += 128) {
        _mm512_store_si512(to + i, _mm512_setzero_si512());
        _mm512_store_si512(to + i + 64, _mm512_setzero_si512());
    }
    u->half_zero |= 1u << in->rd;
}

// Masked loads touch nothing behind a row's end.
INLINE __m512 loaded_columns(unsigned type, const uint8_t *from, uint32_t j, uint32_t columns)
{
    const __mmask16 mask = columns - j >= 16 ? 0xffff : (__mmask16)((1u << (columns - j)) - 1);
    if (type == XLUT_DATA_F16)
        return canonical(_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from + 2 * j)));
    return _mm512_maskz_loadu_ps(mask, from + 4 * j);
}

INLINE void load_rows(unsigned type, const lut_operand *rows, uint32_t columns, uint32_t n,
                      tile_f32 *to)
{
    for (uint32_t row = 0; row < rows->rows; row++, to += n) {
        uint32_t j = 0;
        for (; j < columns; j += 16)
            _mm512_store_ps(to + j, loaded_columns(type, rows->host[row], j, columns));
        for (; j < n; j += 16)
            _mm512_store_ps(to + j, _mm512_setzero_ps());
    }
}

// From bf16 as defined.
void lut_avx512_lda(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    const uint32_t columns = rows->bytes / lut_data_bytes(in), loaded = 4 * rows->rows * u->n;
    if (in->type == XLUT_DATA_BF16) {
        lut_reference_lda(u, in, memory);
        return;
    }
    if (in->type == XLUT_DATA_F16)
        load_rows(XLUT_DATA_F16, rows, columns, u->n, lut_tile_f32(u, in->rd));
    else
        load_rows(XLUT_DATA_F32, rows, columns, u->n, lut_tile_f32(u, in->rd));
    for (uint32_t i = loaded; i < u->tile_bytes; i += 64)
        _mm512_store_si512(lut_tile(u, in->rd) + i, _mm512_setzero_si512());
    u->half_zero &= ~(1u << in->rd);
}

// The first `bytes` of 32, the rest 0. Nothing behind them is touched.
INLINE __m256i first_of_32(const uint8_t *from, uint32_t bytes)
{
    if (bytes >= 32)
        return _mm256_loadu_si256((const void *)from);
    return _mm256_maskz_loadu_epi8((1u << bytes) - 1, from);
}

void lut_avx512_ldm(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    const uint32_t row_bytes = u->n / 2;
    uint8_t *to = lut_tile(u, in->rd);
    for (uint32_t row = 0; row < rows->rows; row++)
        for (uint32_t i = 0; i < row_bytes; i += 32, to += 32) {
            const uint32_t bytes = rows->bytes > i ? rows->bytes - i : 0;
            _mm256_store_si256((void *)to, first_of_32(rows->host[row] + i, bytes));
        }
    for (uint8_t *const end = lut_tile(u, in->rd) + u->tile_bytes; to < end; to += 32)
        _mm256_store_si256((void *)to, _mm256_setzero_si256());
    u->half_zero &= ~(1u << in->rd);
}

INLINE __m256i halves_of(const tile_f32 *from)
{
    return _mm512_cvtps_ph(canonical(_mm512_load_ps(from)),
                           _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// Masked stores are slow on some hosts, so they are kept for the rest of a row.
INLINE void store_halves(uint8_t *to, const tile_f32 *from, uint32_t columns)
{
    const uint32_t whole = columns & ~15u, rest = columns & 15;
    for (uint32_t j = 0; j < whole; j += 16)
        _mm256_storeu_si256((void *)(to + 2 * j), halves_of(from + j));
    if (rest)
        _mm256_mask_storeu_epi16(to + 2 * whole, (__mmask16)((1u << rest) - 1),
                                 halves_of(from + whole));
}

INLINE void store_words(uint8_t *to, const tile_f32 *from, uint32_t columns)
{
    const uint32_t whole = columns & ~15u, rest = columns & 15;
    for (uint32_t j = 0; j < whole; j += 16)
        _mm512_storeu_si512(to + 4 * j, _mm512_load_si512(from + j));
    if (rest)
        _mm512_mask_storeu_epi32(to + 4 * whole, (__mmask16)((1u << rest) - 1),
                                 _mm512_load_si512(from + whole));
}

// To bf16 as defined.
void lut_avx512_sta(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    const bool narrow = in->type == XLUT_DATA_F16;
    if (in->type == XLUT_DATA_BF16) {
        lut_reference_sta(u, in, memory);
        return;
    }
    for (uint32_t row = 0; row < rows->rows; row++) {
        const tile_f32 *from = lut_tile_f32(u, in->rd) + (size_t)row * u->n;
        if (narrow)
            store_halves(rows->host[row], from, rows->bytes / 2);
        else
            store_words(rows->host[row], from, rows->bytes / 4);
    }
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
