// The defining functions of the LUT unit, one per instruction, and what they share.
#pragma once

#include "runtime/lut/lut.h"
#include "support/clones.h"

#include <string.h>

lut_function lut_reference_ld, lut_reference_st, lut_reference_zero, lut_reference_pf;
lut_function lut_reference_tbl, lut_reference_lmma, lut_reference_mma;
lut_function lut_reference_deq, lut_reference_off, lut_reference_lda, lut_reference_sta;
lut_function lut_reference_ldm, lut_reference_ldt, lut_reference_stm;

// Tile widths are multiples of 64 up to this.
enum { LUT_MAX_COLUMNS = 256 };

// The elements of a tile, whose bytes have no type of their own.
typedef float __attribute__((may_alias)) tile_f32;
typedef int32_t __attribute__((may_alias)) tile_i32;
typedef uint32_t __attribute__((may_alias)) tile_u32; // for sums that wrap

static inline tile_f32 *lut_tile_f32(const lut_unit *u, unsigned number)
{
    return (tile_f32 *)lut_tile(u, number);
}

static inline tile_i32 *lut_tile_i32(const lut_unit *u, unsigned number)
{
    return (tile_i32 *)lut_tile(u, number);
}

// NaN results are the canonical NaN, whatever the operands' payloads: hosts differ in those.
static inline float lut_canonical(float x)
{
    return x == x ? x : __builtin_nanf("");
}

// The lookups [first, first + count) that the slice of an lmma covers.
typedef struct lut_range {
    uint32_t first, count;
} lut_range;

static inline void lut_canonicalize(tile_f32 *x, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        x[i] = lut_canonical(x[i]);
}

static inline lut_range lut_slice_range(const lut_unit *u, const isa_instruction *in)
{
    uint32_t half = u->lookups / 2, quarter = u->lookups / 4;
    if (in->slice >= XLUT_SLICE_QUARTER0)
        return (lut_range){(in->slice - XLUT_SLICE_QUARTER0) * quarter, quarter};
    if (in->slice >= XLUT_SLICE_HALF0)
        return (lut_range){(in->slice - XLUT_SLICE_HALF0) * half, half};
    return (lut_range){0, u->lookups};
}

// 16 entries per lookup, else 8 and signs.
static inline bool lut_table_is_full(const isa_instruction *in)
{
    return in->form == XLUT_FORM_FULL;
}

// Rows that an lmma computes.
static inline uint32_t lut_rows(const lut_unit *u, const isa_instruction *in)
{
    return in->rows == XLUT_ROWS_ONE ? 1 : u->m;
}

// Every activation type converts to f32 exactly.
float lut_mma_element(unsigned type, const uint8_t *row, uint32_t k); // to f32, exactly
float lut_activation(unsigned type, const uint8_t *row, uint32_t index);
uint32_t lut_mma_depth(const lut_unit *u, const isa_instruction *in);
