// lmma on symmetric tables with AVX2.
//
// Integers: the 8 entries of two lookups fill 16 bytes, which vpshufb indexes by the low 3 bits of
// a nibble and the lookup's parity; bit 3 is the sign. vpmaddubsw multiplies by the plane's weight
// and adds in pairs; sums of a whole depth fit 16 bits. Entries of 16 bits are two such tables, 128
// * high + low, if both parts fit 7 bits and a sign.
//
// Floats: vpermps reads a lookup's 8 entries, and the index's sign is put on. One addition per
// entry, in the defined order; the weight is a power of two, so the fused product is exact.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "runtime/lut/vectors_avx2.h"

enum { ENTRIES = 8, MAX_PLANES = 4, QUARTERS = 4 }; // of a line: 8 columns each
enum { LOW_BITS = 7, LARGEST_SPLIT = 127 * 128 + 63 };

// An lmma of one row, prepared.
typedef struct sums {
    const uint8_t *line[MAX_PLANES]; // the slice's first
    __m256i weight[MAX_PLANES];
    __m256i table[LUT_MAX_GROUPS][2]; // lookups 0, 1 and 2, 3
    uint32_t planes, groups, n;
} sums;

// ------------------------------------------------------------------ integers

// The 8 columns of half a line's low or high nibbles: sums of two lookups in each 16 bits.
INLINE __m256i add_entries(__m256i acc, __m256i line, bool high, const __m256i table[2],
                           __m256i weight)
{
    const __m256i low3 = _mm256_set1_epi8(7), parity = _mm256_set1_epi32(0x08000800);
    __m256i nibble = high ? _mm256_srli_epi16(line, 4) : line;
    __m256i sign = high ? line : _mm256_slli_epi16(line, 4);
    __m256i index = _mm256_or_si256(_mm256_and_si256(nibble, low3), parity);
    __m256i entry = _mm256_blend_epi16(_mm256_shuffle_epi8(table[0], index),
                                       _mm256_shuffle_epi8(table[1], index), 0xaa);
    entry = _mm256_sign_epi8(entry, _mm256_or_si256(sign, _mm256_set1_epi8(1)));
    return _mm256_add_epi16(acc, _mm256_maddubs_epi16(weight, entry));
}

// c = (start ? 0 : c) + (sums << shift) for a row.
static void add_row(const sums *s, uint8_t *c, bool start, int shift)
{
    const size_t pitch = 2 * (size_t)s->n;
    const __m128i count = _mm_cvtsi32_si128(shift);
    for (uint32_t j = 0; j < s->n; j += LINE_COLUMNS) {
        __m256i acc[QUARTERS];
        UNROLL for (unsigned i = 0; i < QUARTERS; i++) acc[i] = _mm256_setzero_si256();
        for (uint32_t g = 0; g < s->groups; g++)
            for (uint32_t p = 0; p < s->planes; p++) {
                const __m256i *line = (const void *)(s->line[p] + g * pitch + 2 * (size_t)j);
                UNROLL for (unsigned i = 0; i < QUARTERS; i++) acc[i] =
                    add_entries(acc[i], line[i % 2], i / 2, s->table[g], s->weight[p]);
            }
        UNROLL for (unsigned i = 0; i < QUARTERS; i++)
        {
            __m256i *to = (void *)(c + 4 * (size_t)(j + 8 * i));
            __m256i sum = _mm256_madd_epi16(acc[i], _mm256_set1_epi16(1));
            sum = _mm256_sll_epi32(sum, count);
            *to = start ? sum : _mm256_add_epi32(sum, *to);
        }
    }
}

INLINE __m256i twice(__m128i x)
{
    return _mm256_broadcastsi128_si256(x);
}

// Entries of -128 have no negative here.
static bool narrow_tables(const uint8_t *from, lut_groups g, sums *s)
{
    __m128i excluded = _mm_setzero_si128();
    for (uint32_t i = 0; i < g.count; i++)
        for (unsigned pair = 0; pair < 2; pair++) {
            bool covered = pair ? g.upper : g.lower;
            __m128i t = _mm_loadu_si128((const void *)(from + 32 * (g.first + i) + 16 * pair));
            t = covered ? t : _mm_setzero_si128();
            excluded = _mm_or_si128(excluded, _mm_cmpeq_epi8(t, _mm_set1_epi8(-128)));
            s->table[i][pair] = twice(t);
        }
    return _mm_movemask_epi8(excluded) == 0;
}

// The low parts of a lookup's entries, then the high parts.
INLINE __m128i split(__m128i t)
{
    const __m128i middle = _mm_set1_epi16(64), mask = _mm_set1_epi16(127);
    __m128i low = _mm_sub_epi16(_mm_and_si128(_mm_add_epi16(t, middle), mask), middle);
    return _mm_packs_epi16(low, _mm_srai_epi16(_mm_sub_epi16(t, low), LOW_BITS));
}

INLINE __m128i out_of_range(__m128i t)
{
    return _mm_or_si128(_mm_cmpgt_epi16(t, _mm_set1_epi16(LARGEST_SPLIT)),
                        _mm_cmpgt_epi16(_mm_set1_epi16(-LARGEST_SPLIT), t));
}

static bool wide_tables(const uint8_t *from, lut_groups g, sums *low, sums *high)
{
    __m128i excluded = _mm_setzero_si128();
    for (uint32_t i = 0; i < g.count; i++)
        for (unsigned pair = 0; pair < 2; pair++) {
            bool covered = pair ? g.upper : g.lower;
            const __m128i *at = (const void *)(from + 64 * (g.first + i) + 32 * pair);
            __m128i a = covered ? _mm_loadu_si128(at) : _mm_setzero_si128();
            __m128i b = covered ? _mm_loadu_si128(at + 1) : _mm_setzero_si128();
            excluded = _mm_or_si128(excluded, _mm_or_si128(out_of_range(a), out_of_range(b)));
            a = split(a), b = split(b);
            low->table[i][pair] = twice(_mm_unpacklo_epi64(a, b));
            high->table[i][pair] = twice(_mm_unpackhi_epi64(a, b));
        }
    return _mm_movemask_epi8(excluded) == 0;
}

static void set_planes(const lut_unit *u, const isa_instruction *in, lut_groups g, sums *s)
{
    s->planes = xlut_form_planes(in->form);
    s->groups = g.count;
    s->n = u->n;
    for (uint32_t p = 0; p < s->planes; p++) {
        s->line[p] = lut_tile(u, in->rs2 + p) + 2 * (size_t)u->n * g.first;
        s->weight[p] = _mm256_set1_epi8((char)lut_plane_weight(in, p));
    }
}

// False: the tables have entries that these cannot hold, and nothing was done.
static bool narrow_lmma(lut_unit *u, const isa_instruction *in)
{
    lut_groups g = lut_slice_groups(u, in);
    sums s[LUT_MAX_ROWS];
    for (uint32_t row = 0; row < lut_rows(u, in); row++) {
        set_planes(u, in, g, &s[row]);
        if (!narrow_tables(lut_tile(u, in->rs1) + row * u->lookups * ENTRIES, g, &s[row]))
            return false;
    }
    for (uint32_t row = 0; row < lut_rows(u, in); row++)
        add_row(&s[row], lut_tile(u, in->rd) + 4 * row * u->n, in->start, 0);
    return true;
}

static bool wide_lmma(lut_unit *u, const isa_instruction *in)
{
    lut_groups g = lut_slice_groups(u, in);
    sums low[LUT_MAX_ROWS], high[LUT_MAX_ROWS];
    for (uint32_t row = 0; row < lut_rows(u, in); row++) {
        set_planes(u, in, g, &low[row]);
        set_planes(u, in, g, &high[row]);
        if (!wide_tables(lut_tile(u, in->rs1) + 2 * row * u->lookups * ENTRIES, g, &low[row],
                         &high[row]))
            return false;
    }
    for (uint32_t row = 0; row < lut_rows(u, in); row++) {
        uint8_t *c = lut_tile(u, in->rd) + 4 * row * u->n;
        add_row(&high[row], c, in->start, LOW_BITS);
        add_row(&low[row], c, false, 0);
    }
    return true;
}

// -------------------------------------------------------------------- floats

typedef struct float_sums {
    const uint8_t *plane[MAX_PLANES];
    __m256 weight[MAX_PLANES];
    uint32_t planes, n;
    lut_range slice;
} float_sums;

// 8 columns whose indices are 4 bits of each 32, `bit` from the lowest.
INLINE __m256 float_entries(__m256 table, __m256i line, __m128i bit, __m128i to_sign)
{
    const __m256i sign_bit = _mm256_set1_epi32(INT32_MIN);
    __m256 entry = _mm256_permutevar8x32_ps(table, _mm256_srl_epi32(line, bit));
    __m256i sign = _mm256_and_si256(_mm256_sll_epi32(line, to_sign), sign_bit);
    return _mm256_xor_ps(entry, _mm256_castsi256_ps(sign));
}

// A line's 32 columns of a row: c[8 i] in quarter i.
static void add_float_columns(const float_sums *s, const __m256 *table, tile_f32 *c, uint32_t j,
                              bool start)
{
    __m256 acc[QUARTERS];
    UNROLL for (unsigned i = 0; i < QUARTERS; i++) acc[i] =
        start ? _mm256_setzero_ps() : _mm256_load_ps(c + j + 8 * i);
    for (uint32_t k = 0; k < s->slice.count; k++) {
        uint32_t g = s->slice.first + k;
        size_t offset = 2 * ((size_t)s->n * (g / LINE_LOOKUPS) + j);
        int bit = (int)(8 * (g % LINE_LOOKUPS));
        for (uint32_t p = 0; p < s->planes; p++)
            UNROLL for (unsigned i = 0; i < QUARTERS; i++)
            {
                const __m256i *line = (const void *)(s->plane[p] + offset);
                int from = bit + (i / 2 ? 4 : 0);
                __m256 entry = float_entries(table[k], line[i % 2], _mm_cvtsi32_si128(from),
                                             _mm_cvtsi32_si128(28 - from));
                acc[i] = _mm256_fmadd_ps(entry, s->weight[p], acc[i]);
            }
    }
    UNROLL for (unsigned i = 0; i < QUARTERS; i++)
        _mm256_store_ps(c + j + 8 * i, canonical(acc[i]));
}

static void float_lmma(lut_unit *u, const isa_instruction *in)
{
    __m256 table[LUT_MAX_GROUPS * LINE_LOOKUPS];
    float_sums s = {.planes = xlut_form_planes(in->form), .n = u->n};
    s.slice = lut_slice_range(u, in);
    for (uint32_t p = 0; p < s.planes; p++) {
        s.plane[p] = lut_tile(u, in->rs2 + p);
        s.weight[p] = _mm256_set1_ps((float)lut_plane_weight(in, p));
    }
    for (uint32_t row = 0; row < lut_rows(u, in); row++) {
        const __m128i *from = (const void *)lut_tile(u, in->rs1);
        for (uint32_t k = 0; k < s.slice.count; k++)
            table[k] = _mm256_cvtph_ps(from[row * u->lookups + s.slice.first + k]);
        for (uint32_t j = 0; j < u->n; j += LINE_COLUMNS)
            add_float_columns(&s, table, lut_tile_f32(u, in->rd) + row * u->n, j, in->start);
    }
}

static bool symmetric_lmma(lut_unit *u, const isa_instruction *in)
{
    switch (in->table) {
    case XLUT_TABLE_I8: return narrow_lmma(u, in);
    case XLUT_TABLE_I16: return wide_lmma(u, in);
    default: float_lmma(u, in); return true;
    }
}

void lut_avx2_lmma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    if (lut_table_is_full(in) || !symmetric_lmma(u, in))
        lut_reference_lmma(u, in, memory);
}

#else
typedef int lut_no_avx2; // a translation unit is not empty
#endif
