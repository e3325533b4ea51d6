// The functions of lookup_*.c, scale_*.c and table_*.c, which unit.c chooses from, and what they
// share. What a variant does not cover it gives to the defining function.
#pragma once

#include "runtime/lut/reference.h"

lut_function lut_avx2_lmma, lut_avx2_mma, lut_avx2_deq, lut_avx2_off, lut_avx2_lda;
lut_function lut_avx512_lmma, lut_avx512_deq, lut_avx512_off, lut_avx512_tbl, lut_avx512_mma;
lut_function lut_avx512_ld, lut_avx512_zero, lut_avx512_lda, lut_avx512_ldm, lut_avx512_ldt;
lut_function lut_avx512_sta;
lut_function lut_neon_lmma, lut_neon_deq, lut_neon_off, lut_dotprod_lmma;
// NULL: none for these options.
lut_kernel *lut_avx512_lmma_kernel(const lut_unit *u, const isa_instruction *in);
lut_strip_kernel *lut_avx512_strip_kernel(const lut_unit *u, const isa_instruction *in);
lut_strip_kernel *lut_avx512_rows_kernel(const lut_unit *u);
lut_move *lut_avx512_choose_move(const isa_instruction *in);
lut_scale *lut_avx512_choose_scale(const lut_unit *u, const isa_instruction *in);
void lut_avx512_copy_references(lut_unit *u, uint32_t tiles);
lut_build *lut_avx512_choose_build(const lut_unit *u, const isa_instruction *in);
// lmma by the function of lut_host, no tile that it reads being a reference.
lut_kernel lut_settled_lmma;

enum {
    LINE_BYTES = 64, // of an index plane: 4 lookups of 32 columns
    LINE_LOOKUPS = 4,
    LINE_COLUMNS = 32,
    LUT_MAX_GROUPS = 8 // of 4 lookups, in the depth of a tile
};

// An lmma's slice in groups of 4 lookups. Slices are whole groups, except for the quarters of
// 2 lookups where m is 1.
typedef struct lut_groups {
    uint32_t first, count;
    bool lower, upper; // the lookups 0, 1 and 2, 3 of each group are in the slice
} lut_groups;

static inline lut_groups lut_slice_groups(const lut_unit *u, const isa_instruction *in)
{
    lut_range slice = lut_slice_range(u, in);
    uint32_t offset = slice.first % LINE_LOOKUPS;
    return (lut_groups){
        .first = slice.first / LINE_LOOKUPS,
        .count = (slice.count + LINE_LOOKUPS - 1) / LINE_LOOKUPS,
        .lower = offset == 0,
        .upper = offset + slice.count >= LINE_LOOKUPS,
    };
}

static inline uint32_t lut_plane_weight(const isa_instruction *in, uint32_t plane)
{
    return in->form == XLUT_FORM_TERNARY ? 1 : 1u << plane;
}
