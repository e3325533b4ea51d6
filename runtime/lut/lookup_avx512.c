// lmma with AVX-512 VBMI and VNNI.
//
// Integers: the tables of the 4 lookups of a line, with their negatives 16 bytes each, fill one
// register. vpermb looks up 4 x 16 columns at once, its index being a nibble of the line below the
// number of the lookup; vpdpbusd multiplies by the plane's weight and adds the four lookups of each
// column. Entries of 16 bits are two such tables: 256 * signed high byte + unsigned low byte.
//
// Floats: one lookup's table is a register of f32, which vpermps reads for 16 columns. One addition
// per entry, in the defined order; the weight is a power of two, so the fused product is exact.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/vectors_avx512.h"

enum { PARTS = 2, LOW = 0, HIGH = 1, MAX_PLANES = 4 };

// An lmma of integers, prepared: tables expanded for the groups of its slice.
typedef struct sums {
    const uint8_t *line[MAX_PLANES]; // the slice's first
    __m512i weight[MAX_PLANES];
    __m512i table[LUT_MAX_ROWS][LUT_MAX_GROUPS][PARTS];
    uint32_t groups, n;
    uint8_t *c;
    bool start;
} sums;

// ------------------------------------------------------------------ tables

// Bits for what the slice covers of `count` equal pieces of a group.
INLINE __mmask8 covered(lut_groups g, unsigned count)
{
    unsigned half = (1u << count / 2) - 1;
    return (__mmask8)((g.lower ? half : 0) | (g.upper ? half << count / 2 : 0));
}

// Lookup k of `positive` and of `negative` (8 bytes each) side by side.
INLINE __m512i interleave(__m256i positive, __m256i negative)
{
    const __m512i order = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    return _mm512_permutex2var_epi64(_mm512_castsi256_si512(positive), order,
                                     _mm512_castsi256_si512(negative));
}

INLINE __m512i join(__m256i first, __m256i second)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

INLINE __m256i low_bytes(__m512i words)
{
    return _mm512_cvtepi16_epi8(words);
}

INLINE __m256i high_bytes(__m512i words)
{
    return _mm512_cvtepi16_epi8(_mm512_srli_epi16(words, 8));
}

// False: an entry whose negative is out of range.
INLINE bool expand_i8(const uint8_t *from, lut_groups g, __m512i part[PARTS])
{
    __m256i t = _mm256_maskz_loadu_epi64(covered(g, 4), from);
    part[HIGH] = interleave(t, _mm256_sub_epi8(_mm256_setzero_si256(), t));
    return _mm256_cmpeq_epi8_mask(t, _mm256_set1_epi8(-128)) == 0;
}

INLINE bool expand_i16(const uint8_t *from, lut_groups g, __m512i part[PARTS])
{
    __m512i t = _mm512_maskz_loadu_epi64(covered(g, 8), from);
    __m512i negative = _mm512_sub_epi16(_mm512_setzero_si512(), t);
    part[LOW] = interleave(low_bytes(t), low_bytes(negative));
    part[HIGH] = interleave(high_bytes(t), high_bytes(negative));
    return _mm512_cmpeq_epi16_mask(t, _mm512_set1_epi16(-32768)) == 0;
}

INLINE void expand_full_i8(const uint8_t *from, lut_groups g, __m512i part[PARTS])
{
    part[HIGH] = _mm512_maskz_loadu_epi64(covered(g, 8), from);
}

INLINE void expand_full_i16(const uint8_t *from, lut_groups g, __m512i part[PARTS])
{
    __m512i lower = _mm512_maskz_loadu_epi64(g.lower ? 0xff : 0, from);
    __m512i upper = _mm512_maskz_loadu_epi64(g.upper ? 0xff : 0, from + 64);
    part[LOW] = join(low_bytes(lower), low_bytes(upper));
    part[HIGH] = join(high_bytes(lower), high_bytes(upper));
}

INLINE bool expand(const uint8_t *from, lut_groups g, bool full, bool wide, __m512i part[PARTS])
{
    if (!full)
        return wide ? expand_i16(from, g, part) : expand_i8(from, g, part);
    if (wide)
        expand_full_i16(from, g, part);
    else
        expand_full_i8(from, g, part);
    return true;
}

// -------------------------------------------------------------------- sums

// Adds one line's lookups, of 16 columns each in the low and in the high nibbles.
INLINE void add_line(const sums *s, uint32_t g, uint32_t p, __m512i line, unsigned rows, bool wide,
                     unsigned at, unsigned width, __m512i *acc)
{
    const __m512i nibble = _mm512_set1_epi8(15), lookup = _mm512_set1_epi32(0x30201000);
    UNROLL for (unsigned half = 0; half < 2; half++)
    {
        __m512i shifted = half ? _mm512_srli_epi16(line, 4) : line;
        __m512i index = _mm512_ternarylogic_epi32(shifted, nibble, lookup, 0xea);
        UNROLL for (unsigned row = 0; row < rows; row++)
        {
            __m512i *sum = acc + (row * width + at + half) * PARTS;
            __m512i high = _mm512_permutexvar_epi8(index, s->table[row][g][HIGH]);
            sum[HIGH] = _mm512_dpbusd_epi32(sum[HIGH], s->weight[p], high);
            if (!wide)
                continue;
            __m512i low = _mm512_permutexvar_epi8(index, s->table[row][g][LOW]);
            sum[LOW] = _mm512_dpbusd_epi32(sum[LOW], low, s->weight[p]);
        }
    }
}

// The columns of `lines` lines side by side, all rows.
INLINE void add_columns(const sums *s, uint32_t j, unsigned rows, unsigned planes, bool wide,
                        unsigned lines)
{
    const unsigned width = 2 * lines;
    const size_t pitch = 2 * (size_t)s->n, offset = 2 * (size_t)j;
    __m512i acc[LUT_MAX_ROWS * 4 * PARTS];
    UNROLL for (unsigned i = 0; i < rows * width * PARTS; i++) acc[i] = _mm512_setzero_si512();
    for (uint32_t g = 0; g < s->groups; g++)
        UNROLL for (unsigned p = 0; p < planes; p++) UNROLL for (unsigned i = 0; i < lines; i++)
        {
            const uint8_t *line = s->line[p] + g * pitch + offset + LINE_BYTES * i;
            add_line(s, g, p, _mm512_load_si512(line), rows, wide, 2 * i, width, acc);
        }
    UNROLL for (unsigned row = 0; row < rows; row++) UNROLL for (unsigned i = 0; i < width; i++)
    {
        uint8_t *c = s->c + 4 * ((size_t)row * s->n + j + 16 * i);
        const __m512i *sum = acc + (row * width + i) * PARTS;
        __m512i all = sum[HIGH];
        if (wide)
            all = _mm512_add_epi32(_mm512_slli_epi32(sum[HIGH], 8), sum[LOW]);
        if (!s->start)
            all = _mm512_add_epi32(all, _mm512_load_si512(c));
        _mm512_store_si512(c, all);
    }
}

INLINE void add_rows(const sums *s, unsigned rows, unsigned planes, bool wide)
{
    const unsigned lines = wide && rows > 1 ? 1 : 2;
    for (uint32_t j = 0; j < s->n; j += lines * LINE_COLUMNS)
        add_columns(s, j, rows, planes, wide, lines);
}

// False: the tables have entries that these cannot hold, and nothing was done.
INLINE bool integer_lmma(lut_unit *u, const isa_instruction *in, unsigned rows, bool wide,
                         unsigned planes, bool full)
{
    const uint32_t size = wide ? 2 : 1, row_bytes = u->lookups * (full ? 16 : 8) * size;
    const lut_groups g = lut_slice_groups(u, in);
    sums s;
    bool exact = true;
    for (unsigned row = 0; row < rows; row++)
        for (uint32_t i = 0; i < g.count; i++) {
            const uint8_t *from = lut_tile(u, in->rs1) + row * row_bytes;
            from += (g.first + i) * LINE_LOOKUPS * (full ? 16 : 8) * size;
            exact &= expand(from, g, full, wide, s.table[row][i]);
        }
    if (!exact)
        return false;
    s.groups = g.count;
    s.n = u->n;
    s.c = lut_tile(u, in->rd);
    s.start = in->start;
    for (uint32_t p = 0; p < planes; p++) {
        s.line[p] = lut_tile(u, in->rs2 + p) + 2 * (size_t)u->n * g.first;
        s.weight[p] = _mm512_set1_epi8((char)lut_plane_weight(in, p));
    }
    add_rows(&s, rows, planes, wide);
    return true;
}

// One function for each number of rows, width of entries and number of planes; 0 planes stand for
// full tables, which have one.
#define EACH_PLANES(DO, rows, wide)                                                                \
    DO(rows, wide, 0)                                                                              \
    DO(rows, wide, 1)                                                                              \
    DO(rows, wide, 2)                                                                              \
    DO(rows, wide, 3)                                                                              \
    DO(rows, wide, 4)
#define EACH_LMMA(DO)                                                                              \
    EACH_PLANES(DO, 1, 0)                                                                          \
    EACH_PLANES(DO, 1, 1)                                                                          \
    EACH_PLANES(DO, 2, 0)                                                                          \
    EACH_PLANES(DO, 2, 1)                                                                          \
    EACH_PLANES(DO, 4, 0)                                                                          \
    EACH_PLANES(DO, 4, 1)
#define INTEGER_LMMA(rows, wide, planes)                                                           \
    static bool lmma_##rows##_##wide##_##planes(lut_unit *u, const isa_instruction *in)            \
    {                                                                                              \
        return integer_lmma(u, in, rows, wide, planes ? planes : 1, !planes);                      \
    }
#define INTEGER_ENTRY(rows, wide, planes) [rows][wide][planes] = lmma_##rows##_##wide##_##planes,

EACH_LMMA(INTEGER_LMMA)

typedef bool lmma_function(lut_unit *u, const isa_instruction *in);
static lmma_function *const integer_functions[LUT_MAX_ROWS + 1][2][MAX_PLANES + 1] = {
    EACH_LMMA(INTEGER_ENTRY)};

// ------------------------------------------------------------------- floats

// 16 entries of a lookup; of a symmetric table the second 8 are the negatives.
INLINE __m512 float_table(const uint8_t *from, bool full)
{
    if (full)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)from));
    __m512 t = _mm512_broadcast_f32x8(_mm256_cvtph_ps(_mm_loadu_si128((const void *)from)));
    const __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_mask_xor_ps(t, 0xff00, t, sign);
}

typedef struct float_sums {
    const uint8_t *plane[MAX_PLANES];
    __m512 weight[MAX_PLANES];
    uint32_t planes, n;
    lut_range slice;
} float_sums;

// 64 columns of a row.
static void add_float_columns(const float_sums *s, const __m512 *table, uint8_t *row, uint32_t j,
                              bool start)
{
    __m512 acc[4];
    tile_f32 *c = (tile_f32 *)row + j;
    UNROLL for (unsigned i = 0; i < 4; i++) acc[i] =
        start ? _mm512_setzero_ps() : _mm512_load_ps(c + 16 * i);
    for (uint32_t k = 0; k < s->slice.count; k++) {
        uint32_t g = s->slice.first + k;
        size_t offset = 2 * ((size_t)s->n * (g / LINE_LOOKUPS) + j);
        __m128i low = _mm_cvtsi32_si128((int)(8 * (g % LINE_LOOKUPS)));
        __m128i high = _mm_cvtsi32_si128((int)(8 * (g % LINE_LOOKUPS) + 4));
        for (uint32_t p = 0; p < s->planes; p++)
            UNROLL for (unsigned i = 0; i < 4; i++)
            {
                __m512i line = _mm512_load_si512(s->plane[p] + offset + LINE_BYTES * (i / 2));
                __m512i index = _mm512_srl_epi32(line, i % 2 ? high : low);
                __m512 entry = _mm512_permutexvar_ps(index, table[k]);
                acc[i] = _mm512_fmadd_ps(entry, s->weight[p], acc[i]);
            }
    }
    UNROLL for (unsigned i = 0; i < 4; i++) _mm512_store_ps(c + 16 * i, canonical(acc[i]));
}

static void float_lmma(lut_unit *u, const isa_instruction *in)
{
    __m512 table[LUT_MAX_GROUPS * LINE_LOOKUPS];
    bool full = lut_table_is_full(in);
    float_sums s = {.planes = xlut_form_planes(in->form), .n = u->n};
    s.slice = lut_slice_range(u, in);
    for (uint32_t p = 0; p < s.planes; p++) {
        s.plane[p] = lut_tile(u, in->rs2 + p);
        s.weight[p] = _mm512_set1_ps((float)lut_plane_weight(in, p));
    }
    for (uint32_t row = 0; row < lut_rows(u, in); row++) {
        uint32_t entries = full ? 16 : 8;
        const uint8_t *from =
            lut_tile(u, in->rs1) + 2 * (size_t)entries * (row * u->lookups + s.slice.first);
        for (uint32_t k = 0; k < s.slice.count; k++)
            table[k] = float_table(from + (size_t)k * entries * 2, full);
        for (uint32_t j = 0; j < u->n; j += 64)
            add_float_columns(&s, table, lut_tile(u, in->rd) + 4 * (size_t)row * u->n, j,
                              in->start);
    }
}

void lut_avx512_lmma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    if (in->table == XLUT_TABLE_F16) {
        float_lmma(u, in);
        return;
    }
    bool wide = in->table == XLUT_TABLE_I16;
    unsigned planes = lut_table_is_full(in) ? 0 : xlut_form_planes(in->form);
    if (!integer_functions[lut_rows(u, in)][wide][planes](u, in))
        lut_reference_lmma(u, in, memory);
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
