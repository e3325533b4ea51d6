// What lookups with AVX-512 of the common kind share: symmetric tables of integers, whole groups of
// 4 lookups, few enough of them that all expanded tables stay in registers. The method is that of
// lookup_avx512.c.
#pragma once

#include "runtime/lut/vectors_avx512.h"

enum { LOW = 0, HIGH = 1, MOST_TABLES = 16, MOST_SUMS = 8 };

typedef struct shape {
    unsigned rows, planes, groups;
    bool wide; // entries of 16 bits
} shape;

// Constants that are loaded where gcc would make them of integers, which takes a vector unit's
// time.
static const uint32_t words[] = {0x0f0f0f0f, 0x30201000, 0x80808080, 0x80008000};
enum { NIBBLE, LOOKUP, LEAST_BYTE, LEAST_WORD };
static const uint32_t plane_weights[2][4] = {
    {0x01010101, 0x02020202, 0x04040404, 0x08080808}, // of a form of planes
    {0x01010101, 0x01010101},                         // of the ternary one
};

INLINE __m512i constant(unsigned which)
{
    const uint32_t *from = words + which;
    __asm__("" : "+r"(from));
    return _mm512_set1_epi32((int)*from);
}

// The masks of lookups; in registers for loops, where gcc would load them again and again.
typedef struct masks {
    __m512i nibble, lookup;
} masks;

INLINE masks load_masks(void)
{
    return (masks){constant(NIBBLE), constant(LOOKUP)};
}

INLINE masks hold_masks(void)
{
    masks m = load_masks();
    __asm__("" : "+v"(m.nibble), "+v"(m.lookup));
    return m;
}

// How many registers an entry takes: its high bytes, and its low ones.
INLINE unsigned parts_of(shape k)
{
    return k.wide ? 2 : 1;
}

// 4 lookups of 8 bytes from `first` on, each followed by its negatives.
INLINE __m512i with_negatives(__m512i t, int first)
{
    const __m512i order = _mm512_setr_epi64(first, first, first + 1, first + 1, first + 2,
                                            first + 2, first + 3, first + 3);
    __m512i twice = _mm512_permutexvar_epi64(order, t);
    return _mm512_mask_sub_epi8(twice, 0xff00ff00ff00ff00, _mm512_setzero_si512(), twice);
}

// The bytes `part` of 4 lookups of 8 words, each followed by those of its negatives.
INLINE __m512i bytes_of_words(__m512i t, __m512i negative, uint8_t part)
{
    const __m512i evens = _mm512_setr_epi64(
        0x0e0c0a0806040200, 0x4e4c4a4846444240, 0x1e1c1a1816141210, 0x5e5c5a5856545250,
        0x2e2c2a2826242220, 0x6e6c6a6866646260, 0x3e3c3a3836343230, 0x7e7c7a7876747270);
    __m512i order = _mm512_or_si512(evens, _mm512_set1_epi8((char)part));
    return _mm512_permutex2var_epi8(t, order, negative);
}

// Whether no bit is set in any mask.
INLINE bool none(const __mmask64 *mask, unsigned count)
{
    if (count == 1)
        return _kortestz_mask64_u8(mask[0], mask[0]);
    __mmask64 even = mask[0], odd = mask[count / 2];
    UNROLL for (unsigned i = 1; i < count / 2; i++)
    {
        even = _kor_mask64(even, mask[i]);
        odd = _kor_mask64(odd, mask[count / 2 + i]);
    }
    return _kortestz_mask64_u8(even, odd);
}

// One row's tables. False: there is an entry whose negative is out of range.
INLINE bool expand_narrow(const uint8_t *from, unsigned groups, __m512i *table)
{
    const __m512i least = constant(LEAST_BYTE);
    if (groups == 1) {
        __m512i t = _mm512_castsi256_si512(_mm256_load_si256((const void *)from));
        table[0] = with_negatives(t, 0);
        return _mm256_cmpeq_epi8_mask(_mm512_castsi512_si256(t), _mm512_castsi512_si256(least)) ==
               0;
    }
    __mmask64 bad[MOST_TABLES];
    UNROLL for (unsigned g = 0; g < groups; g += 2)
    {
        __m512i t = _mm512_load_si512(from + 32 * g);
        table[g] = with_negatives(t, 0);
        table[g + 1] = with_negatives(t, 4);
        bad[g] = bad[g + 1] = _mm512_cmpeq_epi8_mask(t, least);
    }
    return none(bad, groups);
}

INLINE bool expand_wide(const uint8_t *from, unsigned groups, __m512i *table)
{
    __mmask64 bad[MOST_TABLES];
    UNROLL for (unsigned g = 0; g < groups; g++)
    {
        __m512i t = _mm512_load_si512(from + 64 * g);
        __m512i negative = _mm512_sub_epi16(_mm512_setzero_si512(), t);
        table[2 * g + LOW] = bytes_of_words(t, negative, LOW);
        table[2 * g + HIGH] = bytes_of_words(t, negative, HIGH);
        bad[g] = _mm512_cmpeq_epi16_mask(t, constant(LEAST_WORD));
    }
    return none(bad, groups);
}

// Adds 16 columns of a line to their sums of every row.
INLINE void add_half(shape k, __m512i index, __m512i weight, const __m512i *table, __m512i *sum)
{
    const unsigned parts = parts_of(k);
    UNROLL for (unsigned row = 0; row < k.rows; row++)
    {
        const __m512i *t = table + row * k.groups * parts;
        __m512i *s = sum + row * parts, high = _mm512_permutexvar_epi8(index, t[parts - 1]);
        s[parts - 1] = _mm512_dpbusd_epi32(s[parts - 1], weight, high);
        if (k.wide)
            s[LOW] = _mm512_dpbusd_epi32(s[LOW], _mm512_permutexvar_epi8(index, t[LOW]), weight);
    }
}

// Sums of the columns of `lines` lines side by side, which start at `c` or at 0.
INLINE void load_sums(shape k, __m512i *sum, const uint8_t *c, size_t pitch, unsigned width,
                      bool start)
{
    const unsigned parts = parts_of(k);
    const __mmask16 added = start ? 0 : 0xffff;
    UNROLL for (unsigned i = 0; i < width; i++) UNROLL for (unsigned row = 0; row < k.rows; row++)
    {
        __m512i *s = sum + (i * k.rows + row) * parts;
        s[HIGH * (parts - 1)] = _mm512_setzero_si512();
        s[LOW] = _mm512_maskz_load_epi32(added, c + 2 * pitch * row + LINE_BYTES * i);
    }
}

// Looks up all columns of `lines` lines side by side. With each line another one is fetched, so far
// ahead (0: none), in the order in which they lie in memory, which is that of the planes.
INLINE void add_lines(shape k, __m512i *sum, const uint8_t *const plane[], const __m512i *weight,
                      masks m, size_t pitch, unsigned lines, const __m512i *table, size_t ahead)
{
    const unsigned parts = parts_of(k), of_plane = k.groups * lines;
    UNROLL for (unsigned g = 0; g < k.groups; g++) UNROLL for (unsigned p = 0; p < k.planes; p++)
        UNROLL for (unsigned i = 0; i < lines; i++)
    {
        const unsigned number = (g * k.planes + p) * lines + i;
        const uint8_t *next = plane[number / of_plane] + LINE_BYTES * (number % of_plane);
        __m512i line = _mm512_load_si512(plane[p] + g * pitch + LINE_BYTES * i);
        // Of one or two planes gcc asks for all lines at once, which is quicker; more would be too
        // many.
        if (ahead && k.planes > 2)
            __asm__ volatile("prefetcht1 %0" : : "m"(next[ahead]), "v"(line));
        else if (ahead)
            _mm_prefetch((const char *)next + ahead, _MM_HINT_T1);
        __asm__("" : "+v"(line)); // gcc would load it twice
        __m512i low = _mm512_ternarylogic_epi32(line, m.nibble, m.lookup, 0xea);
        __m512i high =
            _mm512_ternarylogic_epi32(_mm512_srli_epi32(line, 4), m.nibble, m.lookup, 0xea);
        add_half(k, low, weight[p], table + g * parts, sum + 2 * i * k.rows * parts);
        add_half(k, high, weight[p], table + g * parts, sum + (2 * i + 1) * k.rows * parts);
    }
}

INLINE __m512i total_of(shape k, const __m512i *sum)
{
    return k.wide ? _mm512_add_epi32(_mm512_slli_epi32(sum[HIGH], 8), sum[LOW]) : sum[LOW];
}

INLINE void store_sums(shape k, const __m512i *sum, uint8_t *c, size_t pitch, unsigned width)
{
    const unsigned parts = parts_of(k);
    UNROLL for (unsigned i = 0; i < width; i++) UNROLL for (unsigned row = 0; row < k.rows; row++)
    {
        const __m512i total = total_of(k, sum + (i * k.rows + row) * parts);
        _mm512_store_si512(c + 2 * pitch * row + LINE_BYTES * i, total);
    }
}

INLINE bool expand(shape k, const uint8_t *from, size_t row_bytes, __m512i *table)
{
    bool exact = true;
    UNROLL for (unsigned row = 0; row < k.rows; row++)
    {
        const uint8_t *t = from + row * row_bytes;
        __m512i *to = table + row * k.groups * parts_of(k);
        exact &= k.wide ? expand_wide(t, k.groups, to) : expand_narrow(t, k.groups, to);
    }
    return exact;
}

INLINE void load_weights(shape k, const isa_instruction *in, __m512i *weight)
{
    UNROLL for (unsigned p = 0; p < k.planes; p++) weight[p] =
        _mm512_set1_epi32((int)plane_weights[in->form == XLUT_FORM_TERNARY][p]);
}

#define EACH_PLANES(DO, rows, wide, groups)                                                        \
    DO(rows, wide, groups, 1)                                                                      \
    DO(rows, wide, groups, 2)                                                                      \
    DO(rows, wide, groups, 3)                                                                      \
    DO(rows, wide, groups, 4)
