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

// Activation j of each of the 4 lookups, 4 times; negated in the lanes of `negative`.
INLINE __m512 terms(__m512 a, int j, __mmask16 negative)
{
    const __m512i from = _mm512_setr_epi32(j, j, j, j, j + 4, j + 4, j + 4, j + 4, j + 8, j + 8,
                                           j + 8, j + 8, j + 12, j + 12, j + 12, j + 12);
    __m512 x = _mm512_permutexvar_ps(from, a);
    return _mm512_mask_xor_ps(x, negative, x, _mm512_set1_ps(-0.0f));
}

// The 8 entries of each of the 4 lookups of 16 activations.
INLINE void entries(__m512 a, __m512 t[2])
{
    const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7);
    const __m512i high = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 4, 4, 4, 4, 5, 5, 5, 5);
    const __m512i next = _mm512_set1_epi32(8);
    const __m512 first = _mm512_add_ps(terms(a, 0, 0x5555), terms(a, 1, 0x3333));
    const __m512 second = _mm512_add_ps(terms(a, 2, 0x1111), terms(a, 3, 0));
    t[0] = _mm512_add_ps(_mm512_permutexvar_ps(low, first), _mm512_permutexvar_ps(high, second));
    t[1] = _mm512_add_ps(_mm512_permutexvar_ps(_mm512_add_epi32(low, next), first),
                         _mm512_permutexvar_ps(_mm512_add_epi32(high, next), second));
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

// --------------------------------------------------------- i8 without exceptions

enum { MOST_BLOCKS = 2 * LUT_MAX_ROWS }; // of 16 activations

// The greatest |entry| of each lookup, in all its 4 lanes, if all entries are finite.
INLINE __m512 magnitudes(__m512 a)
{
    const __m512 x = _mm512_abs_ps(a), pairs = _mm512_add_ps(x, _mm512_permute_ps(x, 0xb1));
    return _mm512_add_ps(pairs, _mm512_permute_ps(pairs, 0x4e));
}

// The greatest numbers of 4 vectors whose groups of 4 lanes are each the same: as integers, of
// which NaN is the greatest.
INLINE __m128 greatest_of_each(const __m512 *x)
{
    __m512 all = _mm512_mask_mov_ps(x[0], 0x2222, x[1]);
    all = _mm512_mask_mov_ps(_mm512_mask_mov_ps(all, 0x4444, x[2]), 0x8888, x[3]);
    const __m512i bits = _mm512_castps_si512(all);
    const __m256i half =
        _mm256_max_epu32(_mm512_castsi512_si256(bits), _mm512_extracti64x4_epi64(bits, 1));
    return _mm_castsi128_ps(
        _mm_max_epu32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

INLINE __m512 greater(__m512 a, __m512 b)
{
    return _mm512_castsi512_ps(_mm512_max_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}

// 64 entries of 2 blocks, which are in range.
INLINE __m512i rounded(const __m512 *a, float first, float second)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i word[4];
    UNROLL for (unsigned i = 0; i < 2; i++)
    {
        const __m512 factor = _mm512_set1_ps(i ? second : first);
        __m512 t[2];
        entries(a[i], t);
        UNROLL for (unsigned k = 0; k < 2; k++) word[2 * i + k] = _mm512_cvt_roundps_epi32(
            _mm512_mul_ps(t[k], factor), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(word[0], word[1]),
                                             _mm512_packs_epi32(word[2], word[3]));
    return _mm512_permutexvar_epi32(order, bytes);
}

// False: some are infinite or NaN.
INLINE bool are_finite(__m128 x)
{
    enum { NOT_FINITE = 0x99 };
    return (_mm_fpclass_ps_mask(x, NOT_FINITE) & 15) == 0;
}

// The greatest |entry| of each quarter.
INLINE __m128 greatest_of_quarters(unsigned m, const __m512 *a)
{
    const unsigned parts = 2 * m / LUT_QUARTERS; // blocks of a quarter
    __m512 most[LUT_QUARTERS];
    UNROLL for (unsigned q = 0; q < LUT_QUARTERS; q++)
    {
        most[q] = magnitudes(a[q * parts]);
        if (parts == 2)
            most[q] = greater(most[q], magnitudes(a[q * parts + 1]));
    }
    return greatest_of_each(most);
}

INLINE void store_scales(unsigned m, uint8_t *scales, __m128 greatest)
{
    const __m128 scale = _mm_div_ps(greatest, _mm_set1_ps(127));
    for (unsigned q = 0; q < LUT_QUARTERS; q++)
        *(tile_f32 *)(scales + 4 * q * m) = scale[q];
}

// A row of i8 or i8dynamic. False: the general way has to do it.
INLINE bool store_quick(unsigned m, bool dynamic, uint8_t *to, const __m512 *a, uint8_t *scales)
{
    const unsigned parts = 2 * m / LUT_QUARTERS;
    const __m128 greatest = greatest_of_quarters(m, a);
    __m128 factor = _mm_set1_ps(1);
    float inverse[LUT_QUARTERS];
    if (dynamic)
        factor = _mm_maskz_div_ps(_mm_cmp_ps_mask(greatest, _mm_setzero_ps(), _CMP_NEQ_UQ),
                                  _mm_set1_ps(127), greatest);
    else if (scales)
        factor = _mm_set1_ps(*(const tile_f32 *)scales);
    const __m128 largest = _mm_andnot_ps(_mm_set1_ps(-0.0f), _mm_mul_ps(greatest, factor));
    if (!are_finite(greatest) || !are_finite(factor) ||
        (_mm_cmp_ps_mask(largest, _mm_set1_ps(127.25f), _CMP_NLE_UQ) & 15) != 0)
        return false;
    _mm_storeu_ps(inverse, factor);
    UNROLL for (unsigned i = 0; i < 2 * m; i += 2) _mm512_store_si512(
        to + 32 * i, rounded(a + i, inverse[i / parts], inverse[(i + 1) / parts]));
    if (dynamic)
        store_scales(m, scales, greatest);
    return true;
}

INLINE bool try_quick(const lut_unit *u, const isa_instruction *in, uint8_t *to, const __m512 *a,
                      uint8_t *scales)
{
    const bool dynamic = in->table == XLUT_TABLE_I8_DYNAMIC;
    if ((!dynamic && in->table != XLUT_TABLE_I8) || u->m < 2)
        return false;
    if (u->m == 4)
        return store_quick(4, dynamic, to, a, scales);
    return dynamic ? store_quick(2, true, to, a, scales) : store_quick(2, false, to, a, scales);
}

// -------------------------------------------------------------------------- rows

static void store_row(const lut_unit *u, const isa_instruction *in, uint32_t row, const __m512 *a,
                      uint8_t *tile, uint8_t *scales)
{
    uint32_t entry_count = u->lookups * ENTRIES, count = entry_count / LANES;
    float inverse = 1;
    __m512 t[MAX_VECTORS];
    for (uint32_t i = 0; i < u->lookups / 4; i++)
        entries(a[i], t + 2 * i);
    switch (in->table) {
    case XLUT_TABLE_F16: store_f16(tile + 2 * row * entry_count, t, count); break;
    case XLUT_TABLE_I16: store_i16(tile + 2 * row * entry_count, t, count); break;
    case XLUT_TABLE_I8:
        if (scales)
            memcpy(&inverse, scales, 4);
        store_i8(tile + row * entry_count, t, count, inverse);
        break;
    default: store_i8_dynamic(u, tile + row * entry_count, t, scales);
    }
}

// Rows that were not asked for are 0; so is what is behind a table of i8.
static void clear_rest(lut_unit *u, const isa_instruction *in, uint32_t rows)
{
    const bool narrow = in->table == XLUT_TABLE_I8 || in->table == XLUT_TABLE_I8_DYNAMIC;
    const uint32_t half = u->half_bytes, tile = 1u << in->rd;
    const uint32_t written = rows * u->lookups * ENTRIES * (narrow ? 1 : 2);
    uint8_t *to = lut_tile(u, in->rd);
    memset(to + written, 0, (narrow ? half : u->tile_bytes) - written);
    if (narrow && !(u->half_zero & tile))
        memset(to + half, 0, u->tile_bytes - half);
    u->half_zero = narrow ? u->half_zero | tile : u->half_zero & ~tile;
}

void lut_avx512_tbl(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    uint8_t *scales = memory->count > 1 ? memory->item[1].host[0] : NULL;
    const uint32_t row_bytes = u->lookups * ENTRIES;
    clear_rest(u, in, rows->rows);
    for (uint32_t row = 0; row < rows->rows; row++) {
        uint8_t *tile = lut_tile(u, in->rd), *of_row = scales ? scales + 4 * row : NULL;
        __m512 a[MOST_BLOCKS];
        for (uint32_t i = 0; i < u->lookups / 4; i++)
            a[i] = activations(in->activation, rows->host[row], LANES * i);
        if (!try_quick(u, in, tile + row * row_bytes, a, of_row))
            store_row(u, in, row, a, tile, of_row);
    }
    // Rows that were not asked for have scales of 0.
    for (uint32_t row = rows->rows; in->table == XLUT_TABLE_I8_DYNAMIC && row < u->m; row++)
        for (uint32_t q = 0; q < LUT_QUARTERS; q++)
            memset(scales + 4 * (q * u->m + row), 0, 4);
}

// ------------------------------------------------------------------- one row of i8 or i8dynamic

INLINE void build(lut_unit *u, const isa_instruction *in, const uint8_t *row, uint8_t *scales,
                  unsigned m, bool dynamic, bool only_scales)
{
    uint8_t *const tile = lut_tile(u, in->rd);
    const unsigned row_bytes = 8 * m * ENTRIES;
    __m512 a[2 * LUT_MAX_ROWS];
    if (in->activation == XLUT_ACTIVATION_F32)
        UNROLL for (unsigned i = 0; i < 2 * m; i++) a[i] = _mm512_loadu_ps(row + 4 * LANES * i);
    else
        for (unsigned i = 0; i < 2 * m; i++)
            a[i] = activations(in->activation, row, LANES * i);
    for (unsigned q = 0; dynamic && q < LUT_QUARTERS; q++)
        memset(scales + 4 * (q * m + 1), 0, 4 * (m - 1));
    if (only_scales) {
        const __m128 greatest = greatest_of_quarters(m, a);
        if (are_finite(greatest)) {
            store_scales(m, scales, greatest);
            return;
        }
    }
    for (unsigned i = row_bytes; i < m * row_bytes; i += 64)
        _mm512_store_si512(tile + i, _mm512_setzero_si512());
    clear_half(u, in->rd);
    if (!store_quick(m, dynamic, tile, a, scales))
        store_row(u, in, 0, a, tile, scales);
}

#define EACH_BUILD(DO)                                                                             \
    DO(2, 0)                                                                                       \
    DO(2, 1)                                                                                       \
    DO(4, 0)                                                                                       \
    DO(4, 1)
#define DEFINE_BUILD(m, dynamic)                                                                   \
    static void build_##m##_##dynamic(lut_unit *u, const isa_instruction *in, const uint8_t *row,  \
                                      uint8_t *scales, bool only_scales)                           \
    {                                                                                              \
        build(u, in, row, scales, m, dynamic, dynamic &&only_scales);                              \
    }
#define BUILD_ENTRY(m, dynamic) [m][dynamic] = build_##m##_##dynamic,

EACH_BUILD(DEFINE_BUILD)
static lut_build *const builds[LUT_MAX_ROWS + 1][2] = {EACH_BUILD(BUILD_ENTRY)};

lut_build *lut_avx512_choose_build(const lut_unit *u, const isa_instruction *in)
{
    const bool dynamic = in->table == XLUT_TABLE_I8_DYNAMIC;
    return dynamic || in->table == XLUT_TABLE_I8 ? builds[u->m][dynamic] : NULL;
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
