// Integer instructions whose destination is wider or narrower than a source.

#include "runtime/hart/vector.h"

// Widening: the destination has elements of 2 SEW in a group of 2 LMUL. Kernels are indexed by SEW;
// a is vs2, b is vs1 or x, both of SEW (W forms: a of 2 SEW); T is the wide type.
#define WIDEN_OPS(OP)                                                                              \
    OP(VWADDU, u, u, u, (T)a + b)                                                                  \
    OP(VWADD, s, s, s, (T)a + b)                                                                   \
    OP(VWSUBU, u, u, u, (T)a - b)                                                                  \
    OP(VWSUB, s, s, s, (T)a - b)                                                                   \
    OP(VWMUL, s, s, s, (T)a *b)                                                                    \
    OP(VWMULU, u, u, u, (T)a *b)                                                                   \
    OP(VWMULSU, s, s, u, (T)a *(T)b)

//   multiply-add: d is the wide accumulator; vs1 comes first in the name's signs
#define WIDEN_FUSED_OPS(OP)                                                                        \
    OP(VWMACC, FORMS_VX, s, s, d + U(T, (T)a * b))                                                 \
    OP(VWMACCU, FORMS_VX, u, u, d + U(T, (T)a * b))                                                \
    OP(VWMACCSU, FORMS_VX, u, s, d + U(T, (ST)a * (ST)b))                                          \
    OP(VWMACCUS, FORMS_X, s, u, d + U(T, (ST)a * (ST)b))

#define WIDE_FIRST_OPS(OP)                                                                         \
    OP(VWADDU, u, a + b)                                                                           \
    OP(VWADD, s, a + (uint64_t)b)                                                                  \
    OP(VWSUBU, u, a - b)                                                                           \
    OP(VWSUB, s, a - (uint64_t)b)

#define U(T, x) ((uint64_t)(x))

#define DEFINE_WIDEN_WIDTH(E, bits, wide, SD, SA, SB, expression)                                  \
    KERNEL(E##_##bits, type_u##wide, type_##SA##bits, type_##SB##bits, __extension__({             \
               typedef type_##SD##wide T;                                                          \
               typedef type_s##wide ST;                                                            \
               (void)sizeof(T), (void)sizeof(ST);                                                  \
               expression;                                                                         \
           }))
#define DEFINE_WIDEN_KERNELS(E, SD, SA, SB, expression)                                            \
    DEFINE_WIDEN_WIDTH(E, 8, 16, SD, SA, SB, expression)                                           \
    DEFINE_WIDEN_WIDTH(E, 16, 32, SD, SA, SB, expression)                                          \
    DEFINE_WIDEN_WIDTH(E, 32, 64, SD, SA, SB, expression)                                          \
    static const vector_kernels kernels_##E = {{E##_8, E##_16, E##_32, NULL}};

// Checks a widening instruction; `wide_a`: vs2 is wide already.
static void require_widening(hart *h, const isa_instruction *in, vector_second second, bool wide_a)
{
    require_vtype(h);
    hart_require(h, h->sew < 3);
    require_group(h, in->rd, h->lmul + 1);
    require_group(h, in->rs2, h->lmul + wide_a);
    require_overlap(h, in->rd, h->lmul + 1, h->sew + 1, in->rs2, h->lmul + wide_a, h->sew + wide_a);
    if (second == SECOND_V) {
        require_group(h, in->rs1, h->lmul);
        require_overlap(h, in->rd, h->lmul + 1, h->sew + 1, in->rs1, h->lmul, h->sew);
    }
    vector_is_legal(h);
}

static void widen(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                  vector_second second, bool wide_a, bool reads_destination)
{
    if (__builtin_expect(!vector_was_legal(h), 0))
        require_widening(h, in, second, wide_a);
    vector_copy copy;
    const vector_operand b = vector_second_of(h, in, second, &copy);
    vector_compute(h, in, kernels->of[h->sew], b, h->sew + 1, reads_destination);
}

#define DEFINE_FORM(FORM, second, E, kernels, wide_a, reads)                                       \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        widen(h, in, &kernels, second, wide_a, reads);                                             \
    }
#define DEFINE_WIDEN(E, SD, SA, SB, expression)                                                    \
    DEFINE_WIDEN_KERNELS(E, SD, SA, SB, expression)                                                \
    FORMS_VX(DEFINE_FORM, E, kernels_##E, false, false)
#define DEFINE_WIDEN_FUSED(E, FORMS, SA, SB, expression)                                           \
    DEFINE_WIDEN_KERNELS(E, SA, SA, SB, expression)                                                \
    FORMS(DEFINE_FORM, E, kernels_##E, false, true)
#define DEFINE_WIDE_FIRST(E, S, expression)                                                        \
    KERNEL(E##_W_8, uint16_t, type_##S##16, type_##S##8, expression)                               \
    KERNEL(E##_W_16, uint32_t, type_##S##32, type_##S##16, expression)                             \
    KERNEL(E##_W_32, uint64_t, type_##S##64, type_##S##32, expression)                             \
    static const vector_kernels kernels_##E##_W = {{E##_W_8, E##_W_16, E##_W_32, NULL}};           \
    FORMS_WX(DEFINE_FORM, E, kernels_##E##_W, true, false)
WIDEN_OPS(DEFINE_WIDEN)
WIDEN_FUSED_OPS(DEFINE_WIDEN_FUSED)
WIDE_FIRST_OPS(DEFINE_WIDE_FIRST)

// Narrowing shifts: kernels are indexed by SEW, a is of 2 SEW.
#define NARROW_OPS(OP)                                                                             \
    OP(VNSRL, u)                                                                                   \
    OP(VNSRA, s)

static void require_narrowing(hart *h, const isa_instruction *in, vector_second second)
{
    require_vtype(h);
    hart_require(h, h->sew < 3);
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, h->lmul + 1);
    require_overlap(h, in->rd, h->lmul, h->sew, in->rs2, h->lmul + 1, h->sew + 1);
    if (second == SECOND_V)
        require_group(h, in->rs1, h->lmul);
    vector_is_legal(h);
}

static void narrow(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                   vector_second second)
{
    if (__builtin_expect(!vector_was_legal(h), 0))
        require_narrowing(h, in, second);
    vector_copy copy;
    const vector_operand b = vector_second_of(h, in, second, &copy);
    vector_compute(h, in, kernels->of[h->sew], b, h->sew, false);
}

#define DEFINE_NARROW_FORM(FORM, second, E)                                                        \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        narrow(h, in, &kernels_##E, second);                                                       \
    }
#define DEFINE_NARROW(E, S)                                                                        \
    SHIFT_KERNEL(E##_8, uint8_t, type_##S##16, uint8_t, a >> by)                                   \
    SHIFT_KERNEL(E##_16, uint16_t, type_##S##32, uint16_t, a >> by)                                \
    SHIFT_KERNEL(E##_32, uint32_t, type_##S##64, uint32_t, a >> by)                                \
    static const vector_kernels kernels_##E = {{E##_8, E##_16, E##_32, NULL}};                     \
    FORMS_W(DEFINE_NARROW_FORM, E)
NARROW_OPS(DEFINE_NARROW)

// vzext, vsext: kernels are indexed by the destination's width.
#define EXTEND_OPS(OP)                                                                             \
    OP(VZEXT, u)                                                                                   \
    OP(VSEXT, s)

static void require_extending(hart *h, const isa_instruction *in, int factor)
{
    require_vtype(h);
    hart_require(h, h->sew >= factor);
    int emul = h->lmul - factor;
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, emul);
    require_overlap(h, in->rd, h->lmul, h->sew, in->rs2, emul, h->sew - factor);
    vector_is_legal(h);
}

static void extend(hart *h, const isa_instruction *in, const vector_kernels *kernels, int factor)
{
    if (__builtin_expect(!vector_was_legal(h), 0))
        require_extending(h, in, factor);
    const vector_operand none = {vector_register(h, in->rs2), 0};
    vector_compute(h, in, kernels->of[h->sew], none, h->sew, false);
}

#define EXTEND_KERNEL(E, S, to, from) KERNEL(E##_##to, uint##to##_t, type_##S##from, uint8_t, a)
#define DEFINE_EXTEND_FORM(E, factor)                                                              \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        extend(h, in, &kernels_##E, factor);                                                       \
    }
#define DEFINE_EXTEND(E, S)                                                                        \
    EXTEND_KERNEL(E##_VF2, S, 16, 8)                                                               \
    EXTEND_KERNEL(E##_VF2, S, 32, 16)                                                              \
    EXTEND_KERNEL(E##_VF2, S, 64, 32)                                                              \
    EXTEND_KERNEL(E##_VF4, S, 32, 8)                                                               \
    EXTEND_KERNEL(E##_VF4, S, 64, 16)                                                              \
    EXTEND_KERNEL(E##_VF8, S, 64, 8)                                                               \
    static const vector_kernels kernels_##E##_VF2 = {{NULL, E##_VF2_16, E##_VF2_32, E##_VF2_64}};  \
    static const vector_kernels kernels_##E##_VF4 = {{NULL, NULL, E##_VF4_32, E##_VF4_64}};        \
    static const vector_kernels kernels_##E##_VF8 = {{NULL, NULL, NULL, E##_VF8_64}};              \
    DEFINE_EXTEND_FORM(E##_VF2, 1)                                                                 \
    DEFINE_EXTEND_FORM(E##_VF4, 2)                                                                 \
    DEFINE_EXTEND_FORM(E##_VF8, 3)
EXTEND_OPS(DEFINE_EXTEND)

const hart_handler_row hart_vector_widen_rows[] = {
#define WIDEN_ROW(E, ...) FORMS_VX(FORM_ROW, E)
#define FUSED_ROW(E, FORMS, ...) FORMS(FORM_ROW, E)
#define WIDE_FIRST_ROW(E, ...) FORMS_WX(FORM_ROW, E)
#define NARROW_ROW(E, ...) FORMS_W(FORM_ROW, E)
#define EXTEND_ROW(E, ...)                                                                         \
    {ISA_##E##_VF2, execute_##E##_VF2}, {ISA_##E##_VF4, execute_##E##_VF4},                        \
        {ISA_##E##_VF8, execute_##E##_VF8},
    WIDEN_OPS(WIDEN_ROW) WIDEN_FUSED_OPS(FUSED_ROW) WIDE_FIRST_OPS(WIDE_FIRST_ROW)
        NARROW_OPS(NARROW_ROW) EXTEND_OPS(EXTEND_ROW){ISA_ILLEGAL, NULL},
};
