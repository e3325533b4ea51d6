// lut.tbl with AVX-512: 16 activations are 4 lookups, whose 32 entries are 2 registers.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/vectors_avx512.h"

enum { ENTRIES = 8, LANES = 16, MAX_VECTORS = LUT_MAX_ROWS * 8 * ENTRIES / LANES };

INLINE __m512 other_activations(unsigned type, const uint8_t *row, uint32_t first)
{
    float a[LANES];
    for (uint32_t i = 0; i < LANES; i++)
        a[i] = lut_activation(type, row, first + i);
    return _mm512_loadu_ps(a);
}

// Activations [first, first + 16) of a row.
INLINE __m512 activations(unsigned type, const uint8_t *row, uint32_t first)
{
    __m256i words;
    switch (type) {
    case XLUT_ACTIVATION_F32: return _mm512_loadu_ps(row + 4 * first);
    case XLUT_ACTIVATION_F16:
        return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(row + 2 * first)));
    case XLUT_ACTIVATION_BF16:
        words = _mm256_loadu_si256((const void *)(row + 2 * first));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
    case XLUT_ACTIVATION_I8:
        return _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(row + first))));
    default: return other_activations(type, row, first);
    }
}

// Activation j of the lookups `first` and `first` + 1 of `a`, in each of their 8 entries; negated
// in the entries whose bit is in `negative`.
INLINE __m512 terms(__m512 a, int first, int j, __mmask16 negative)
{
    const int one = 4 * first + j, two = one + 4;
    const __m512i from = _mm512_setr_epi32(one, one, one, one, one, one, one, one, two, two, two,
                                           two, two, two, two, two);
    __m512 x = _mm512_permutexvar_ps(from, a);
    return _mm512_mask_xor_ps(x, negative, x, _mm512_set1_ps(-0.0f));
}

INLINE __m512 entries(__m512 a, int first)
{
    __m512 x0 = terms(a, first, 0, 0x5555), x1 = terms(a, first, 1, 0x3333);
    __m512 x2 = terms(a, first, 2, 0x0f0f), a3 = terms(a, first, 3, 0);
    return _mm512_add_ps(_mm512_add_ps(x0, x1), _mm512_add_ps(x2, a3));
}

// To the nearest integer, ties to even, within +-limit; NaN gives 0.
INLINE __m512i round_saturated(__m512 x, float limit)
{
    __mmask16 number = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(limit)), _mm512_set1_ps(-limit));
    return _mm512_maskz_cvt_roundps_epi32(number, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE void store_i8(uint8_t *to, const __m512 *t, uint32_t count, float inverse)
{
    const __m512 factor = _mm512_set1_ps(inverse);
    for (uint32_t i = 0; i < count; i++) {
        __m512i value = round_saturated(_mm512_mul_ps(t[i], factor), 127);
        _mm_storeu_si128((void *)(to + LANES * i), _mm512_cvtepi32_epi8(value));
    }
}

INLINE void store_i16(uint8_t *to, const __m512 *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        _mm256_storeu_si256((void *)(to + 2 * LANES * i),
                            _mm512_cvtepi32_epi16(round_saturated(t[i], 32767)));
}

INLINE void store_f16(uint8_t *to, const __m512 *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        _mm256_storeu_si256(
            (void *)(to + 2 * LANES * i),
            _mm512_cvtps_ph(canonical(t[i]), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// max |t|, the canonical NaN if there is a NaN: as integers these are the greatest.
INLINE float magnitude(const __m512 *t, uint32_t count)
{
    __m512i greatest = _mm512_setzero_si512();
    for (uint32_t i = 0; i < count; i++)
        greatest = _mm512_max_epu32(greatest, _mm512_castps_si512(_mm512_abs_ps(t[i])));
    uint32_t bits = _mm512_reduce_max_epu32(greatest);
    float result;
    memcpy(&result, &bits, 4);
    return lut_canonical(result);
}

INLINE void store_i8_dynamic(const lut_unit *u, uint8_t *to, const __m512 *t, uint8_t *scale_out)
{
    uint32_t count = u->lookups * ENTRIES / LANES / LUT_QUARTERS;
    for (uint32_t q = 0; q < LUT_QUARTERS; q++, t += count, to += LANES * count) {
        float greatest = magnitude(t, count), scale = lut_canonical(greatest / 127);
        memcpy(scale_out + 4 * q * u->m, &scale, 4);
        store_i8(to, t, count, greatest == 0 ? 0 : 127 / greatest);
    }
}

static void store_row(lut_unit *u, const isa_instruction *in, uint32_t row, const __m512 *t,
                      uint8_t *scales)
{
    uint32_t entry_count = u->lookups * ENTRIES, count = entry_count / LANES;
    uint8_t *tile = lut_tile(u, in->rd);
    float inverse = 1;
    switch (in->table) {
    case XLUT_TABLE_F16: store_f16(tile + 2 * row * entry_count, t, count); break;
    case XLUT_TABLE_I16: store_i16(tile + 2 * row * entry_count, t, count); break;
    case XLUT_TABLE_I8:
        if (scales)
            memcpy(&inverse, scales + 4 * row, 4);
        store_i8(tile + row * entry_count, t, count, inverse);
        break;
    default: store_i8_dynamic(u, tile + row * entry_count, t, scales + 4 * row);
    }
}

void lut_avx512_tbl(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    uint8_t *scales = memory->count > 1 ? memory->item[1].host[0] : NULL;
    __m512 t[MAX_VECTORS];
    memset(lut_tile(u, in->rd), 0, u->tile_bytes);
    for (uint32_t row = 0; row < rows->rows; row++) {
        for (uint32_t i = 0; i < u->lookups / 4; i++) {
            __m512 a = activations(in->activation, rows->host[row], LANES * i);
            t[2 * i] = entries(a, 0);
            t[2 * i + 1] = entries(a, 2);
        }
        store_row(u, in, row, t, scales);
    }
    // Rows that were not asked for are 0; so are their scales.
    for (uint32_t row = rows->rows; in->table == XLUT_TABLE_I8_DYNAMIC && row < u->m; row++)
        for (uint32_t q = 0; q < LUT_QUARTERS; q++)
            memset(scales + 4 * (q * u->m + row), 0, 4);
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
