// lmma with NEON. Who includes this has defined `dot`: acc + the sums of 4 neighbouring products.
//
// Integers: 16 bytes of a line are 4 lookups of 4 columns, so the tables of these lookups, side by
// side, are one table that nibble and lookup index. For symmetric tables bit 3 of the nibble is the
// sign, which selects the plane's weight or its negative. Entries of 16 bits are two such tables,
// 256 * high + low, if both parts fit 8 bits.
//
// Floats: loads take a line's 4 lookups apart; two tables have the low and the high bytes of the 16
// values of a lookup. One addition per entry, in the defined order; the weight is a power of two,
// so the fused product is exact.
#pragma once

#include "runtime/lut/vectors_neon.h"

enum { MAX_PLANES = 4, MAX_PARTS = 2, QUARTERS = 4 }; // of a line: 4 columns of low, 4 of high
enum { HIGH_SHIFT = 8, LARGEST_SPLIT = 127 * 256 + 127 };

// An lmma of one row, prepared.
typedef struct sums {
    const uint8_t *line[MAX_PLANES]; // the slice's first
    int8x16_t weight[MAX_PLANES];    // by nibble
    // Of each group: 4 lookups of 8 entries, which need 2 registers, or of 16.
    int8x16x4_t table[MAX_PARTS][LUT_MAX_GROUPS];
    uint32_t planes, groups, n;
} sums;

// ------------------------------------------------------------------ integers

INLINE int8x16_t entries_at(const int8x16x4_t *table, uint8x16_t nibble, bool full)
{
    const uint8x16_t lookup16 = vreinterpretq_u8_u32(vdupq_n_u32(0x30201000));
    const uint8x16_t lookup8 = vreinterpretq_u8_u32(vdupq_n_u32(0x18100800));
    if (full)
        return vqtbl4q_s8(*table, vorrq_u8(nibble, lookup16));
    int8x16x2_t narrow = {{table->val[0], table->val[1]}};
    return vqtbl2q_s8(narrow, vorrq_u8(vandq_u8(nibble, vdupq_n_u8(7)), lookup8));
}

// acc[4 i + q] has columns 16 i + 4 q and the next 3 of 32.
INLINE void add_line(const sums *s, const uint8_t *line, uint32_t group, uint32_t plane, bool full,
                     unsigned parts, int32x4_t acc[MAX_PARTS][2 * QUARTERS])
{
    UNROLL for (unsigned q = 0; q < QUARTERS; q++)
    {
        uint8x16_t bytes = vld1q_u8(line + 16 * q);
        uint8x16_t nibbles[2] = {vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8(bytes, 4)};
        UNROLL for (unsigned i = 0; i < 2; i++)
        {
            int8x16_t weight = vqtbl1q_s8(s->weight[plane], nibbles[i]);
            UNROLL for (unsigned part = 0; part < parts; part++)
            {
                int8x16_t entries = entries_at(&s->table[part][group], nibbles[i], full);
                int32x4_t *to = &acc[part][QUARTERS * i + q];
                *to = dot(*to, entries, weight);
            }
        }
    }
}

// c = (start ? 0 : c) + sums for a row.
INLINE void add_row(const sums *s, tile_i32 *c, bool start, bool full, unsigned parts)
{
    const size_t pitch = 2 * (size_t)s->n;
    for (uint32_t j = 0; j < s->n; j += LINE_COLUMNS) {
        int32x4_t acc[MAX_PARTS][2 * QUARTERS];
        UNROLL for (unsigned i = 0; i < 2 * QUARTERS; i++) acc[0][i] = acc[1][i] = vdupq_n_s32(0);
        for (uint32_t g = 0; g < s->groups; g++)
            for (uint32_t p = 0; p < s->planes; p++)
                add_line(s, s->line[p] + g * pitch + 2 * (size_t)j, g, p, full, parts, acc);
        UNROLL for (unsigned i = 0; i < 2 * QUARTERS; i++)
        {
            tile_i32 *to = c + j + 4 * i;
            int32x4_t sum = vaddq_s32(acc[0][i], vshlq_n_s32(acc[1][i], HIGH_SHIFT));
            vst1q_s32(to, start ? sum : vaddq_s32(sum, vld1q_s32(to)));
        }
    }
}

static void set_planes(const lut_unit *u, const isa_instruction *in, lut_groups g, sums *s)
{
    s->planes = xlut_form_planes(in->form);
    s->groups = g.count;
    s->n = u->n;
    for (uint32_t p = 0; p < s->planes; p++) {
        int8_t weight = (int8_t)lut_plane_weight(in, p);
        int8x8_t positive = vdup_n_s8(weight);
        s->line[p] = lut_tile(u, in->rs2 + p) + 2 * (size_t)u->n * g.first;
        s->weight[p] = vcombine_s8(positive, lut_table_is_full(in) ? positive : vneg_s8(positive));
    }
}

// Whether the slice has the lookups in register i of a group's table.
INLINE bool is_covered(lut_groups g, unsigned i, unsigned registers)
{
    return i < registers / 2 ? g.lower : g.upper;
}

static void narrow_tables(const int8_t *from, lut_groups g, unsigned registers, sums *s)
{
    for (uint32_t group = 0; group < g.count; group++)
        for (unsigned i = 0; i < registers; i++)
            s->table[0][group].val[i] =
                is_covered(g, i, registers)
                    ? vld1q_s8(from + 16 * (registers * (g.first + group) + i))
                    : vdupq_n_s8(0);
}

// The high parts of 16 entries are rounded, so that the low ones have a sign.
static bool wide_tables(const int8_t *from, lut_groups g, unsigned registers, sums *s)
{
    int16x8_t greatest = vdupq_n_s16(0);
    for (uint32_t group = 0; group < g.count; group++)
        for (unsigned i = 0; i < registers; i++) {
            const int8_t *at = from + 32 * (registers * (g.first + group) + i);
            bool covered = is_covered(g, i, registers);
            int16x8_t a = vreinterpretq_s16_s8(covered ? vld1q_s8(at) : vdupq_n_s8(0));
            int16x8_t b = vreinterpretq_s16_s8(covered ? vld1q_s8(at + 16) : vdupq_n_s8(0));
            greatest = vmaxq_s16(greatest, vmaxq_s16(a, b));
            s->table[0][group].val[i] = vcombine_s8(vmovn_s16(a), vmovn_s16(b));
            s->table[1][group].val[i] =
                vcombine_s8(vrshrn_n_s16(a, HIGH_SHIFT), vrshrn_n_s16(b, HIGH_SHIFT));
        }
    return vmaxvq_s16(greatest) <= LARGEST_SPLIT;
}

// False: the tables have entries that cannot be split, and nothing was done.
INLINE bool integer_lmma(lut_unit *u, const isa_instruction *in, bool full, unsigned parts)
{
    const unsigned registers = full ? 4 : 2;
    const size_t row_bytes = (size_t)u->lookups * registers * 4 * parts;
    lut_groups g = lut_slice_groups(u, in);
    sums s[LUT_MAX_ROWS];
    for (uint32_t row = 0; row < lut_rows(u, in); row++) {
        const int8_t *from = (const int8_t *)lut_tile(u, in->rs1) + row * row_bytes;
        set_planes(u, in, g, &s[row]);
        if (parts == 1)
            narrow_tables(from, g, registers, &s[row]);
        else if (!wide_tables(from, g, registers, &s[row]))
            return false;
    }
    for (uint32_t row = 0; row < lut_rows(u, in); row++)
        add_row(&s[row], lut_tile_i32(u, in->rd) + row * u->n, in->start, full, parts);
    return true;
}

static bool narrow_lmma(lut_unit *u, const isa_instruction *in)
{
    return lut_table_is_full(in) ? integer_lmma(u, in, true, 1) : integer_lmma(u, in, false, 1);
}

static bool wide_lmma(lut_unit *u, const isa_instruction *in)
{
    return lut_table_is_full(in) ? integer_lmma(u, in, true, 2) : integer_lmma(u, in, false, 2);
}

// -------------------------------------------------------------------- floats

// The bytes of the f16 that each nibble selects.
typedef struct float_table {
    uint8x16_t low, high;
} float_table;

typedef struct float_sums {
    const uint8_t *plane[MAX_PLANES];
    float32x4_t weight[MAX_PLANES];
    float_table table[LUT_MAX_GROUPS * LINE_LOOKUPS];
    uint32_t planes, n;
    lut_range slice;
} float_sums;

INLINE float_table float_table_at(const uint8_t *from, bool full)
{
    uint8x16_t a = vld1q_u8(from), b = full ? vld1q_u8(from + 16) : a;
    uint8x16_t negative = vcombine_u8(vdup_n_u8(0), vdup_n_u8(full ? 0 : 0x80));
    return (float_table){vuzp1q_u8(a, b), veorq_u8(vuzp2q_u8(a, b), negative)};
}

// 16 columns of a lookup.
INLINE void add_floats(float32x4_t acc[QUARTERS], const float_table *table, uint8x16_t nibble,
                       float32x4_t weight)
{
    uint8x16_t low = vqtbl1q_u8(table->low, nibble), high = vqtbl1q_u8(table->high, nibble);
    float16x8_t first = vreinterpretq_f16_u8(vzip1q_u8(low, high));
    float16x8_t second = vreinterpretq_f16_u8(vzip2q_u8(low, high));
    acc[0] = vfmaq_f32(acc[0], vcvt_f32_f16(vget_low_f16(first)), weight);
    acc[1] = vfmaq_f32(acc[1], vcvt_high_f32_f16(first), weight);
    acc[2] = vfmaq_f32(acc[2], vcvt_f32_f16(vget_low_f16(second)), weight);
    acc[3] = vfmaq_f32(acc[3], vcvt_high_f32_f16(second), weight);
}

// A line's 32 columns of a row.
static void add_float_columns(const float_sums *s, tile_f32 *c, uint32_t j, bool start)
{
    float32x4_t acc[2 * QUARTERS];
    uint8x16x4_t line[MAX_PLANES];
    UNROLL for (unsigned i = 0; i < 2 * QUARTERS; i++) acc[i] =
        start ? vdupq_n_f32(0) : vld1q_f32(c + j + 4 * i);
    for (uint32_t k = 0; k < s->slice.count; k++) {
        uint32_t g = s->slice.first + k;
        size_t offset = 2 * ((size_t)s->n * (g / LINE_LOOKUPS) + j);
        for (uint32_t p = 0; p < s->planes; p++) {
            if (k == 0 || g % LINE_LOOKUPS == 0)
                line[p] = vld4q_u8(s->plane[p] + offset);
            uint8x16_t nibbles = line[p].val[g % LINE_LOOKUPS];
            add_floats(acc, &s->table[k], vandq_u8(nibbles, vdupq_n_u8(15)), s->weight[p]);
            add_floats(acc + QUARTERS, &s->table[k], vshrq_n_u8(nibbles, 4), s->weight[p]);
        }
    }
    UNROLL for (unsigned i = 0; i < 2 * QUARTERS; i++) vst1q_f32(c + j + 4 * i, canonical(acc[i]));
}

static void float_lmma(lut_unit *u, const isa_instruction *in)
{
    const bool full = lut_table_is_full(in);
    const uint32_t lookup_bytes = full ? 32 : 16;
    float_sums s = {.planes = xlut_form_planes(in->form), .n = u->n};
    s.slice = lut_slice_range(u, in);
    for (uint32_t p = 0; p < s.planes; p++) {
        s.plane[p] = lut_tile(u, in->rs2 + p);
        s.weight[p] = vdupq_n_f32((float)lut_plane_weight(in, p));
    }
    for (uint32_t row = 0; row < lut_rows(u, in); row++) {
        const uint8_t *from =
            lut_tile(u, in->rs1) + lookup_bytes * (row * u->lookups + s.slice.first);
        for (uint32_t k = 0; k < s.slice.count; k++)
            s.table[k] = float_table_at(from + lookup_bytes * k, full);
        for (uint32_t j = 0; j < u->n; j += LINE_COLUMNS)
            add_float_columns(&s, lut_tile_f32(u, in->rd) + row * u->n, j, in->start);
    }
}

INLINE void neon_lmma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    if (in->table == XLUT_TABLE_F16)
        float_lmma(u, in);
    else if (!(in->table == XLUT_TABLE_I8 ? narrow_lmma(u, in) : wide_lmma(u, in)))
        lut_reference_lmma(u, in, memory);
}
