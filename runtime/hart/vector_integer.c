// Integer arithmetic of one width: add to divide, multiply-add, compare, carry, merge.

#include "runtime/hart/vector.h"

// In expressions: a is vs2, b is vs1, x or the immediate, d the destination, U(x) as unsigned.
// 1u * keeps narrow products out of int.
#define BITS (8 * sizeof a)
// Sign- or zero-extended; the product's upper half is right either way.
#define WIDE(x) ((unsigned __int128)(__int128)(x))
#define LARGEST (~0ull >> (64 - BITS))

//   OP(name, forms, signedness, expression)
#define BINARY_OPS(OP)                                                                             \
    OP(VADD, FORMS_VXI, u, a + b)                                                                  \
    OP(VSUB, FORMS_VX, u, a - b)                                                                   \
    OP(VRSUB, FORMS_XI, u, b - a)                                                                  \
    OP(VMINU, FORMS_VX, u, a < b ? a : b)                                                          \
    OP(VMIN, FORMS_VX, s, a < b ? a : b)                                                           \
    OP(VMAXU, FORMS_VX, u, a > b ? a : b)                                                          \
    OP(VMAX, FORMS_VX, s, a > b ? a : b)                                                           \
    OP(VAND, FORMS_VXI, u, a &b)                                                                   \
    OP(VOR, FORMS_VXI, u, a | b)                                                                   \
    OP(VXOR, FORMS_VXI, u, a ^ b)                                                                  \
    OP(VMUL, FORMS_VX, u, 1u * a * b)                                                              \
    OP(VDIVU, FORMS_VX, u, b == 0 ? ~0ull : a / b)                                                 \
    OP(VDIV, FORMS_VX, s, divide_signed(a, b))                                                     \
    OP(VREMU, FORMS_VX, u, b == 0 ? a : a % b)                                                     \
    OP(VREM, FORMS_VX, s, remainder_signed(a, b))

//   one shift for all elements, mostly
#define SHIFT_OPS(OP)                                                                              \
    OP(VSLL, FORMS_VXI, u, a << by)                                                                \
    OP(VSRL, FORMS_VXI, u, a >> by)                                                                \
    OP(VSRA, FORMS_VXI, s, a >> by)

//   multiply-add: d is the accumulator or a factor
#define FUSED_OPS(OP)                                                                              \
    OP(VMACC, FORMS_VX, u, d + 1u * a * b)                                                         \
    OP(VNMSAC, FORMS_VX, u, d - 1u * a * b)                                                        \
    OP(VMADD, FORMS_VX, u, 1u * d * b + a)                                                         \
    OP(VNMSUB, FORMS_VX, u, a - 1u * d * b)

//   the high half: (name, type of a, type of b), narrow in 64 bits, 64 in 128
#define HIGH_OPS(OP)                                                                               \
    OP(VMULH, s, s)                                                                                \
    OP(VMULHU, u, u)                                                                               \
    OP(VMULHSU, s, u)

//   a mask as result
#define COMPARE_OPS(OP)                                                                            \
    OP(VMSEQ, FORMS_VXI, u, a == b)                                                                \
    OP(VMSNE, FORMS_VXI, u, a != b)                                                                \
    OP(VMSLTU, FORMS_VX, u, a < b)                                                                 \
    OP(VMSLT, FORMS_VX, s, a < b)                                                                  \
    OP(VMSLEU, FORMS_VXI, u, a <= b)                                                               \
    OP(VMSLE, FORMS_VXI, s, a <= b)                                                                \
    OP(VMSGTU, FORMS_XI, u, a > b)                                                                 \
    OP(VMSGT, FORMS_XI, s, a > b)

#define KERNELS_OF(E) static const vector_kernels kernels_##E = {{E##_8, E##_16, E##_32, E##_64}};
#define DEFINE_KERNELS_BY(KERNEL, E, S, expression)                                                \
    KERNEL(E##_8, type_##S##8, type_##S##8, type_##S##8, expression)                               \
    KERNEL(E##_16, type_##S##16, type_##S##16, type_##S##16, expression)                           \
    KERNEL(E##_32, type_##S##32, type_##S##32, type_##S##32, expression)                           \
    KERNEL(E##_64, type_##S##64, type_##S##64, type_##S##64, expression)                           \
    KERNELS_OF(E)
#define DEFINE_KERNELS(E, S, expression) DEFINE_KERNELS_BY(KERNEL, E, S, expression)

#define DEFINE_BINARY_FORM(FORM, second, E, reads)                                                 \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        vector_binary(h, in, &kernels_##E, second, reads);                                         \
    }
#define DEFINE_BINARY(E, FORMS, S, expression)                                                     \
    DEFINE_KERNELS(E, S, expression) FORMS(DEFINE_BINARY_FORM, E, false)
#define DEFINE_SHIFT(E, FORMS, S, expression)                                                      \
    DEFINE_KERNELS_BY(SHIFT_KERNEL, E, S, expression) FORMS(DEFINE_BINARY_FORM, E, false)
#define DEFINE_FUSED(E, FORMS, S, expression)                                                      \
    DEFINE_KERNELS(E, S, expression) FORMS(DEFINE_BINARY_FORM, E, true)
#define DEFINE_HIGH(E, SA, SB)                                                                     \
    KERNEL(E##_8, uint8_t, type_##SA##8, type_##SB##8, a *b >> 8)                                  \
    KERNEL(E##_16, uint16_t, type_##SA##16, type_##SB##16,                                         \
           ((type_##SA##32)a * (type_##SA##32)b) >> 16)                                            \
    KERNEL(E##_32, uint32_t, type_##SA##32, type_##SB##32,                                         \
           ((type_##SA##64)a * (type_##SA##64)b) >> 32)                                            \
    KERNEL(E##_64, uint64_t, type_##SA##64, type_##SB##64, WIDE(a) * WIDE(b) >> 64)                \
    KERNELS_OF(E)                                                                                  \
    FORMS_VX(DEFINE_BINARY_FORM, E, false)

BINARY_OPS(DEFINE_BINARY)
SHIFT_OPS(DEFINE_SHIFT)
FUSED_OPS(DEFINE_FUSED)
HIGH_OPS(DEFINE_HIGH)

#define DEFINE_COMPARE_FORM(FORM, second, E, carry)                                                \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        vector_compare(h, in, &kernels_##E, second, carry);                                        \
    }
#define DEFINE_COMPARE_KERNELS(E, S, expression)                                                   \
    KERNEL(E##_8, uint8_t, type_##S##8, type_##S##8, expression)                                   \
    KERNEL(E##_16, uint8_t, type_##S##16, type_##S##16, expression)                                \
    KERNEL(E##_32, uint8_t, type_##S##32, type_##S##32, expression)                                \
    KERNEL(E##_64, uint8_t, type_##S##64, type_##S##64, expression)                                \
    KERNELS_OF(E)
#define DEFINE_COMPARE(E, FORMS, S, expression)                                                    \
    DEFINE_COMPARE_KERNELS(E, S, expression) FORMS(DEFINE_COMPARE_FORM, E, false)
COMPARE_OPS(DEFINE_COMPARE)

// Carry and borrow; d is the carry-in.
DEFINE_COMPARE_KERNELS(VMADC, u, b > LARGEST - a || (d && b == LARGEST - a))
DEFINE_COMPARE_KERNELS(VMSBC, u, a < b || (d && a == b))
#define BOTH_FORMS(FORMS_CARRY, FORMS_PLAIN, E)                                                    \
    FORMS_CARRY(DEFINE_COMPARE_FORM, E, true) FORMS_PLAIN(DEFINE_COMPARE_FORM, E, true)
BOTH_FORMS(FORMS_M, FORMS_VXI, VMADC)
BOTH_FORMS(FORMS_MX, FORMS_VX, VMSBC)

DEFINE_KERNELS(VADC, u, a + b + d)
DEFINE_KERNELS(VSBC, u, a - b - d)

static void add_with_carry(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                           vector_second second)
{
    if (__builtin_expect(!vector_was_legal(h), 0))
        vector_require_binary(h, in, second);
    vector_buffer result;
    vector_copy copy;
    const vector_operand b = vector_second_of(h, in, second, &copy);
    vector_expand_mask(h, &result, h->sew, h->vl);
    kernels->of[h->sew](result.bytes, vector_register(h, in->rs2), b, h->vl);
    vector_commit_all(h, in->rd, result.bytes, h->sew);
}

#define DEFINE_CARRY_FORM(FORM, second, E)                                                         \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        add_with_carry(h, in, &kernels_##E, second);                                               \
    }
FORMS_M(DEFINE_CARRY_FORM, VADC)
FORMS_MX(DEFINE_CARRY_FORM, VSBC)

// d is the selector.
DEFINE_KERNELS(VMERGE, u, d ? b : a)
DEFINE_KERNELS(VMV, u, b)

static void merge(hart *h, const isa_instruction *in, vector_second second)
{
    if (!in->vm) {
        add_with_carry(h, in, &kernels_VMERGE, second);
        return;
    }
    require_vtype(h);
    require_group(h, in->rd, h->lmul);
    if (second == SECOND_V)
        require_group(h, in->rs1, h->lmul);
    vector_copy copy;
    const vector_operand b = vector_second_of(h, in, second, &copy);
    vector_compute(h, in, kernels_VMV.of[h->sew], b, h->sew, false);
}

#define MERGE_ROWS(ROW)                                                                            \
    ROW(VMERGE_VVM, SECOND_V)                                                                      \
    ROW(VMERGE_VXM, SECOND_X)                                                                      \
    ROW(VMERGE_VIM, SECOND_I)                                                                      \
    ROW(VMV_V_V, SECOND_V)                                                                         \
    ROW(VMV_V_X, SECOND_X)                                                                         \
    ROW(VMV_V_I, SECOND_I)
#define DEFINE_MERGE(E, second)                                                                    \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        merge(h, in, second);                                                                      \
    }
MERGE_ROWS(DEFINE_MERGE)

const hart_handler_row hart_vector_integer_rows[] = {
#define OP(E, FORMS, ...) FORMS(FORM_ROW, E)
#define HIGH_ROW(E, ...) FORMS_VX(FORM_ROW, E)
#define ROW(E, ...) {ISA_##E, execute_##E},
    BINARY_OPS(OP) SHIFT_OPS(OP) FUSED_OPS(OP) COMPARE_OPS(OP) HIGH_OPS(HIGH_ROW)
        FORMS_M(FORM_ROW, VMADC) FORMS_VXI(FORM_ROW, VMADC) FORMS_MX(FORM_ROW, VMSBC)
            FORMS_VX(FORM_ROW, VMSBC) FORMS_M(FORM_ROW, VADC) FORMS_MX(FORM_ROW, VSBC)
                MERGE_ROWS(ROW){ISA_ILLEGAL, NULL},
#undef OP
#undef HIGH_ROW
#undef ROW
};
