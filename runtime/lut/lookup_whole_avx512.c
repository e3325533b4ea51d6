// lmma with AVX-512 of the common kind: symmetric tables of integers, whole groups of 4 lookups,
// few enough of them that all expanded tables stay in registers. Everything but the tile's width is
// known when this is compiled. The method is that of lookup_avx512.c.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

#include "runtime/lut/lookup_whole_avx512.h"

// False: the tables have entries that these cannot hold, and nothing was done.
INLINE bool add(lut_unit *u, const isa_instruction *in, uint32_t first, shape k)
{
    const unsigned lines = k.wide && k.rows > 1 ? 1 : 2;
    const uint32_t entry_bytes = k.wide ? 2 : 1;
    const size_t pitch = 2 * (size_t)u->n;
    __m512i table[MOST_TABLES], weight[4], sum[MOST_SUMS];
    if (__builtin_expect(!expand(k, u->at[in->rs1] + 32 * entry_bytes * first,
                                 8 * (size_t)entry_bytes * u->lookups, table),
                         0))
        return false;
    const uint8_t *plane[4];
    UNROLL for (unsigned p = 0; p < k.planes; p++) plane[p] = u->at[in->rs2 + p] + pitch * first;
    load_weights(k, in, weight);
    uint8_t *c = lut_tile(u, in->rd);
    for (uint32_t j = 0; j < u->n; j += lines * LINE_COLUMNS) {
        load_sums(k, sum, c, pitch, 2 * lines, in->start);
        add_lines(k, sum, plane, weight, load_masks(), pitch, lines, table, 0);
        store_sums(k, sum, c, pitch, 2 * lines);
        UNROLL for (unsigned p = 0; p < k.planes; p++) plane[p] += LINE_BYTES * lines;
        c += 4 * LINE_COLUMNS * lines;
    }
    return true;
}

#define EACH_SHAPE(DO)                                                                             \
    EACH_PLANES(DO, 1, 0, 1)                                                                       \
    EACH_PLANES(DO, 1, 0, 2)                                                                       \
    EACH_PLANES(DO, 1, 0, 4)                                                                       \
    EACH_PLANES(DO, 1, 0, 8)                                                                       \
    EACH_PLANES(DO, 1, 1, 1)                                                                       \
    EACH_PLANES(DO, 1, 1, 2)                                                                       \
    EACH_PLANES(DO, 1, 1, 4)                                                                       \
    EACH_PLANES(DO, 2, 0, 1)                                                                       \
    EACH_PLANES(DO, 2, 0, 2)                                                                       \
    EACH_PLANES(DO, 2, 0, 4)                                                                       \
    EACH_PLANES(DO, 2, 1, 1)                                                                       \
    EACH_PLANES(DO, 2, 1, 2)                                                                       \
    EACH_PLANES(DO, 2, 1, 4)
#define DEFINE(rows, wide, groups, planes)                                                         \
    static void add_##rows##_##wide##_##groups##_##planes(lut_unit *u, const isa_instruction *in,  \
                                                          uint32_t first)                          \
    {                                                                                              \
        if (!add(u, in, first, (shape){rows, planes, groups, wide}))                               \
            lut_settled_lmma(u, in, first);                                                        \
    }
#define ENTRY(rows, wide, groups, planes)                                                          \
    [rows][wide][groups][planes] = add_##rows##_##wide##_##groups##_##planes,

EACH_SHAPE(DEFINE)

static lut_kernel *const kernels[LUT_MAX_ROWS + 1][2][LUT_MAX_GROUPS + 1][5] = {EACH_SHAPE(ENTRY)};

lut_kernel *lut_avx512_lmma_kernel(const lut_unit *u, const isa_instruction *in)
{
    lut_groups g = lut_slice_groups(u, in);
    if (lut_table_is_full(in) || in->table == XLUT_TABLE_F16 || !g.lower || !g.upper)
        return NULL;
    return kernels[lut_rows(u, in)][in->table == XLUT_TABLE_I16][g.count]
                  [xlut_form_planes(in->form)];
}

#else
typedef int lut_no_avx512; // a translation unit is not empty
#endif
