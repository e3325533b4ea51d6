// Fixed-point arithmetic: saturating, averaging, scaling, clipping. Only active elements set vxsat,
// so these go element by element.

#include "runtime/hart/vector.h"

// Shifts right by `by` (0 .. 127), rounding as vxrm says.
static __int128 round_shift(__int128 x, unsigned by, unsigned vxrm)
{
    if (by == 0)
        return x;
    __int128 kept = x >> by;
    bool half = x >> (by - 1) & 1;
    bool below = (x & (((__int128)1 << (by - 1)) - 1)) != 0;
    switch (vxrm) {
    case 0: return kept + half;                            // nearest, up
    case 1: return kept + (half && (below || (kept & 1))); // nearest, even
    case 2: return kept;                                   // down
    default: return kept | (half || below);                // to odd
    }
}

static int64_t saturate_signed(hart *h, __int128 x, unsigned bits)
{
    __int128 largest = ((__int128)1 << (bits - 1)) - 1;
    if (x >= -largest - 1 && x <= largest)
        return (int64_t)x;
    h->vxsat = 1;
    return (int64_t)(x < 0 ? -largest - 1 : largest);
}

static uint64_t saturate_unsigned(hart *h, __int128 x, unsigned bits)
{
    __int128 largest = ((__int128)1 << bits) - 1;
    if (x >= 0 && x <= largest)
        return (uint64_t)x;
    h->vxsat = 1;
    return (uint64_t)(x < 0 ? 0 : largest);
}

//   OP(name, forms, signedness, result of a = vs2, b = vs1 or x or immediate, of `bits` bits)
#define FIXED_OPS(OP)                                                                              \
    OP(VSADDU, FORMS_VXI, u, saturate_unsigned(h, a + b, bits))                                    \
    OP(VSADD, FORMS_VXI, s, saturate_signed(h, a + b, bits))                                       \
    OP(VSSUBU, FORMS_VX, u, saturate_unsigned(h, a - b, bits))                                     \
    OP(VSSUB, FORMS_VX, s, saturate_signed(h, a - b, bits))                                        \
    OP(VAADDU, FORMS_VX, u, round_shift(a + b, 1, h->vxrm))                                        \
    OP(VAADD, FORMS_VX, s, round_shift(a + b, 1, h->vxrm))                                         \
    OP(VASUBU, FORMS_VX, u, round_shift(a - b, 1, h->vxrm))                                        \
    OP(VASUB, FORMS_VX, s, round_shift(a - b, 1, h->vxrm))                                         \
    OP(VSMUL, FORMS_VX, s, saturate_signed(h, round_shift(a *b, bits - 1, h->vxrm), bits))         \
    OP(VSSRL, FORMS_VXI, u, round_shift(a, (unsigned)b &(bits - 1), h->vxrm))                      \
    OP(VSSRA, FORMS_VXI, s, round_shift(a, (unsigned)b &(bits - 1), h->vxrm))

//   narrowing: a is of 2 * bits
#define CLIP_OPS(OP)                                                                               \
    OP(VNCLIPU, u,                                                                                 \
       saturate_unsigned(h, round_shift(a, (unsigned)b & (2 * bits - 1), h->vxrm), bits))          \
    OP(VNCLIP, s, saturate_signed(h, round_shift(a, (unsigned)b & (2 * bits - 1), h->vxrm), bits))

#define ELEMENT_LOOP(E, bits_, D, A, B, expression)                                                \
    static void E##_##bits_(hart *h, const isa_instruction *in, const void *from_a,                \
                            const void *from_b)                                                    \
    {                                                                                              \
        const unsigned bits = bits_;                                                               \
        D *pd = (D *)vector_register(h, in->rd);                                                   \
        const A *pa = from_a;                                                                      \
        const B *pb = from_b;                                                                      \
        for (uint64_t i = h->vstart; i < h->vl; i++) {                                             \
            if (!vector_active(h, in, i))                                                          \
                continue;                                                                          \
            __int128 a = pa[i], b = pb[i];                                                         \
            (void)bits;                                                                            \
            pd[i] = (D)(expression);                                                               \
        }                                                                                          \
        h->vstart = 0;                                                                             \
    }

typedef void element_loop(hart *h, const isa_instruction *in, const void *a, const void *b);

static void fixed(hart *h, const isa_instruction *in, element_loop *const *loops,
                  vector_second second)
{
    require_vtype(h);
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, h->lmul);
    if (second == SECOND_V)
        require_group(h, in->rs1, h->lmul);
    vector_buffer splat;
    const void *b = vector_second_operand(h, in, second, h->sew, h->vl, &splat);
    loops[h->sew](h, in, vector_register(h, in->rs2), b);
}

// A destination at the lowest registers of the wide source is written behind what is read.
static void clip(hart *h, const isa_instruction *in, element_loop *const *loops,
                 vector_second second)
{
    require_vtype(h);
    hart_require(h, h->sew < 3);
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, h->lmul + 1);
    require_overlap(h, in->rd, h->lmul, h->sew, in->rs2, h->lmul + 1, h->sew + 1);
    if (second == SECOND_V)
        require_group(h, in->rs1, h->lmul);
    vector_buffer splat;
    const void *b = vector_second_operand(h, in, second, h->sew, h->vl, &splat);
    loops[h->sew](h, in, vector_register(h, in->rs2), b);
}

#define DEFINE_FIXED_FORM(FORM, second, E, run)                                                    \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        run(h, in, loops_##E, second);                                                             \
    }
#define DEFINE_FIXED(E, FORMS, S, expression)                                                      \
    ELEMENT_LOOP(E, 8, uint8_t, type_##S##8, type_##S##8, expression)                              \
    ELEMENT_LOOP(E, 16, uint16_t, type_##S##16, type_##S##16, expression)                          \
    ELEMENT_LOOP(E, 32, uint32_t, type_##S##32, type_##S##32, expression)                          \
    ELEMENT_LOOP(E, 64, uint64_t, type_##S##64, type_##S##64, expression)                          \
    static element_loop *const loops_##E[4] = {E##_8, E##_16, E##_32, E##_64};                     \
    FORMS(DEFINE_FIXED_FORM, E, fixed)
#define DEFINE_CLIP(E, S, expression)                                                              \
    ELEMENT_LOOP(E, 8, uint8_t, type_##S##16, uint8_t, expression)                                 \
    ELEMENT_LOOP(E, 16, uint16_t, type_##S##32, uint16_t, expression)                              \
    ELEMENT_LOOP(E, 32, uint32_t, type_##S##64, uint32_t, expression)                              \
    static element_loop *const loops_##E[3] = {E##_8, E##_16, E##_32};                             \
    FORMS_W(DEFINE_FIXED_FORM, E, clip)
FIXED_OPS(DEFINE_FIXED)
CLIP_OPS(DEFINE_CLIP)

const hart_handler_row hart_vector_fixed_rows[] = {
#define FIXED_ROW(E, FORMS, ...) FORMS(FORM_ROW, E)
#define CLIP_ROW(E, ...) FORMS_W(FORM_ROW, E)
    FIXED_OPS(FIXED_ROW) CLIP_OPS(CLIP_ROW){ISA_ILLEGAL, NULL},
};
