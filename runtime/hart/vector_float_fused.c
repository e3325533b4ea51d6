// Vector multiply-add, and arithmetic with a wide destination.

#include "runtime/hart/vector_float.h"

// Sign flips, as exclusive or with the sign bit.
#define PLUS(bits, x) (x)
#define MINUS(bits, x) ((uint##bits##_t)((x) ^ (uint##bits##_t)(1ull << (bits - 1))))

//   OP(name, sign of the product, first factor, addend's sign, addend); the second factor is b
#define FUSED_OPS(OP)                                                                              \
    OP(VFMACC, PLUS, a, PLUS, d)                                                                   \
    OP(VFNMACC, MINUS, a, MINUS, d)                                                                \
    OP(VFMSAC, PLUS, a, MINUS, d)                                                                  \
    OP(VFNMSAC, MINUS, a, PLUS, d)                                                                 \
    OP(VFMADD, PLUS, d, PLUS, a)                                                                   \
    OP(VFNMADD, MINUS, d, MINUS, a)                                                                \
    OP(VFMSUB, PLUS, d, MINUS, a)                                                                  \
    OP(VFNMSUB, MINUS, d, PLUS, a)

//   the wide accumulator is d
#define WIDEN_FUSED_OPS(OP)                                                                        \
    OP(VFWMACC, PLUS, PLUS)                                                                        \
    OP(VFWNMACC, MINUS, MINUS)                                                                     \
    OP(VFWMSAC, PLUS, MINUS)                                                                       \
    OP(VFWNMSAC, MINUS, PLUS)

#define WIDEN_OPS(OP)                                                                              \
    OP(VFWADD, add_)                                                                               \
    OP(VFWSUB, sub_)                                                                               \
    OP(VFWMUL, mul_)

#define WIDE_FIRST_OPS(OP)                                                                         \
    OP(VFWADD, add_)                                                                               \
    OP(VFWSUB, sub_)

#define DEFINE_FORM(FORM, second, E, loops, wide_d, wide_a)                                        \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        const vector_float_shape shape = {wide_d, wide_a};                                         \
        vector_float_run(h, in, &loops, shape, second, ROUND_DYNAMIC);                             \
    }

#define FUSED_LOOP(E, bits, sign_product, factor, sign_addend, addend)                             \
    FLOAT_LOOP(E##_##bits, uint##bits##_t, uint##bits##_t, uint##bits##_t,                         \
               fma_f##bits(sign_product(bits, factor), b, sign_addend(bits, addend), env))
#define DEFINE_FUSED(E, ...)                                                                       \
    FUSED_LOOP(E, 16, __VA_ARGS__)                                                                 \
    FUSED_LOOP(E, 32, __VA_ARGS__)                                                                 \
    FUSED_LOOP(E, 64, __VA_ARGS__)                                                                 \
    static const vector_float_loops loops_##E = {                                                  \
        {NULL, E##_16, E##_32, E##_64}, quick_##E, 2, NULL};                                       \
    FLOAT_FORMS_VF(DEFINE_FORM, E, loops_##E, 0, 0)
FUSED_OPS(DEFINE_FUSED)

// Widening is exact, so only the operation rounds; a signaling NaN is invalid either way.
#define WIDEN_FUSED_LOOP(E, bits, wide, sign_product, sign_addend)                                 \
    FLOAT_LOOP(E##_##bits, uint##wide##_t, uint##bits##_t, uint##bits##_t,                         \
               fma_f##wide(sign_product(wide, f##wide##_from_f##bits(a, env)),                     \
                           f##wide##_from_f##bits(b, env), sign_addend(wide, d), env))
#define DEFINE_WIDEN_FUSED(E, ...)                                                                 \
    WIDEN_FUSED_LOOP(E, 16, 32, __VA_ARGS__)                                                       \
    WIDEN_FUSED_LOOP(E, 32, 64, __VA_ARGS__)                                                       \
    static const vector_float_loops loops_##E = {{NULL, E##_16, E##_32, NULL}, NULL, 0, NULL};     \
    FLOAT_FORMS_VF(DEFINE_FORM, E, loops_##E, 1, 0)
WIDEN_FUSED_OPS(DEFINE_WIDEN_FUSED)

#define WIDEN_LOOP(E, bits, wide, operation)                                                       \
    FLOAT_LOOP(                                                                                    \
        E##_##bits, uint##wide##_t, uint##bits##_t, uint##bits##_t,                                \
        operation##f##wide(f##wide##_from_f##bits(a, env), f##wide##_from_f##bits(b, env), env))
#define DEFINE_WIDEN(E, operation)                                                                 \
    WIDEN_LOOP(E, 16, 32, operation)                                                               \
    WIDEN_LOOP(E, 32, 64, operation)                                                               \
    static const vector_float_loops loops_##E = {{NULL, E##_16, E##_32, NULL}, NULL, 0, NULL};     \
    FLOAT_FORMS_VF(DEFINE_FORM, E, loops_##E, 1, 0)
WIDEN_OPS(DEFINE_WIDEN)

#define WIDE_FIRST_LOOP(E, bits, wide, operation)                                                  \
    FLOAT_LOOP(E##_W_##bits, uint##wide##_t, uint##wide##_t, uint##bits##_t,                       \
               operation##f##wide(a, f##wide##_from_f##bits(b, env), env))
#define DEFINE_WIDE_FIRST(E, operation)                                                            \
    WIDE_FIRST_LOOP(E, 16, 32, operation)                                                          \
    WIDE_FIRST_LOOP(E, 32, 64, operation)                                                          \
    static const vector_float_loops loops_##E##_W = {                                              \
        {NULL, E##_W_16, E##_W_32, NULL}, NULL, 0, NULL};                                          \
    FLOAT_FORMS_W(DEFINE_FORM, E, loops_##E##_W, 1, 1)
WIDE_FIRST_OPS(DEFINE_WIDE_FIRST)

const hart_handler_row hart_vector_float_fused_rows[] = {
#define VF_ROW(E, ...) FLOAT_FORMS_VF(FORM_ROW, E)
#define W_ROW(E, ...) FLOAT_FORMS_W(FORM_ROW, E)
    FUSED_OPS(VF_ROW) WIDEN_FUSED_OPS(VF_ROW) WIDEN_OPS(VF_ROW)
        WIDE_FIRST_OPS(W_ROW){ISA_ILLEGAL, NULL},
};
