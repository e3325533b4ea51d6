// Scalar floating point: arithmetic, sign injection, comparison, classification, moves.

#include "runtime/hart/float_registers.h"

// Arithmetic: ROW(name, result in a, b, c), for each of h, s, d.
#define BINARY_ROWS(ROW)                                                                           \
    ROW(FADD, add)                                                                                 \
    ROW(FSUB, sub)                                                                                 \
    ROW(FMUL, mul)                                                                                 \
    ROW(FDIV, div)

#define DEFINE_BINARY_FORMAT(E, W, operation)                                                      \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        float_env env = begin_float(h, in);                                                        \
        write_##W(h, in->rd, operation##_##W(read_##W(h, in->rs1), read_##W(h, in->rs2), &env));   \
        end_float(h, env);                                                                         \
    }
#define DEFINE_BINARY(E, operation)                                                                \
    DEFINE_BINARY_FORMAT(E##_H, f16, operation)                                                    \
    DEFINE_BINARY_FORMAT(E##_S, f32, operation)                                                    \
    DEFINE_BINARY_FORMAT(E##_D, f64, operation)
BINARY_ROWS(DEFINE_BINARY)

// rd = (+-a * b) +- c: which signs are flipped.
#define FUSED_ROWS(ROW)                                                                            \
    ROW(FMADD, false, false)                                                                       \
    ROW(FMSUB, false, true)                                                                        \
    ROW(FNMSUB, true, false)                                                                       \
    ROW(FNMADD, true, true)

#define DEFINE_FUSED_FORMAT(E, W, format, negate_product, negate_addend)                           \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        float_env env = begin_float(h, in);                                                        \
        uint64_t sign = float_sign_bit(format);                                                    \
        uint64_t a = read_##W(h, in->rs1) ^ (negate_product ? sign : 0);                           \
        uint64_t c = read_##W(h, in->rs3) ^ (negate_addend ? sign : 0);                            \
        write_##W(h, in->rd, fma_##W(a, read_##W(h, in->rs2), c, &env));                           \
        end_float(h, env);                                                                         \
    }
#define DEFINE_FUSED(E, negate_product, negate_addend)                                             \
    DEFINE_FUSED_FORMAT(E##_H, f16, F16, negate_product, negate_addend)                            \
    DEFINE_FUSED_FORMAT(E##_S, f32, F32, negate_product, negate_addend)                            \
    DEFINE_FUSED_FORMAT(E##_D, f64, F64, negate_product, negate_addend)
FUSED_ROWS(DEFINE_FUSED)

#define DEFINE_SQRT(E, W)                                                                          \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        float_env env = begin_float(h, in);                                                        \
        write_##W(h, in->rd, sqrt_##W(read_##W(h, in->rs1), &env));                                \
        end_float(h, env);                                                                         \
    }
DEFINE_SQRT(FSQRT_H, f16)
DEFINE_SQRT(FSQRT_S, f32)
DEFINE_SQRT(FSQRT_D, f64)

// What does not round: ROW(name, expression in a, b, sign; may set env.flags)
#define QUIET_ROWS(ROW)                                                                            \
    ROW(FSGNJ, (a & ~sign) | (b & sign))                                                           \
    ROW(FSGNJN, (a & ~sign) | (~b & sign))                                                         \
    ROW(FSGNJX, a ^ (b & sign))                                                                    \
    ROW(FMIN, soft_minimum(format, a, b, &env))                                                    \
    ROW(FMAX, soft_maximum(format, a, b, &env))

#define DEFINE_QUIET_FORMAT(E, W, form, expression)                                                \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        const float_format format = form;                                                          \
        const uint64_t sign = float_sign_bit(format);                                              \
        float_env env = {ROUND_NEAREST_EVEN, h->fflags};                                           \
        uint64_t a = read_##W(h, in->rs1), b = read_##W(h, in->rs2);                               \
        (void)sign;                                                                                \
        write_##W(h, in->rd, expression);                                                          \
        end_float(h, env);                                                                         \
    }
#define DEFINE_QUIET(E, expression)                                                                \
    DEFINE_QUIET_FORMAT(E##_H, f16, F16, expression)                                               \
    DEFINE_QUIET_FORMAT(E##_S, f32, F32, expression)                                               \
    DEFINE_QUIET_FORMAT(E##_D, f64, F64, expression)
QUIET_ROWS(DEFINE_QUIET)

#define COMPARE_ROWS(ROW)                                                                          \
    ROW(FEQ, equal)                                                                                \
    ROW(FLT, less)                                                                                 \
    ROW(FLE, less_equal)

#define DEFINE_COMPARE_FORMAT(E, W, compare)                                                       \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        float_env env = {ROUND_NEAREST_EVEN, h->fflags};                                           \
        hart_write_x(h, in->rd, compare##_##W(read_##W(h, in->rs1), read_##W(h, in->rs2), &env));  \
        end_float(h, env);                                                                         \
    }
#define DEFINE_COMPARE(E, compare)                                                                 \
    DEFINE_COMPARE_FORMAT(E##_H, f16, compare)                                                     \
    DEFINE_COMPARE_FORMAT(E##_S, f32, compare)                                                     \
    DEFINE_COMPARE_FORMAT(E##_D, f64, compare)
COMPARE_ROWS(DEFINE_COMPARE)

// To integer registers, and bits back.
#define TO_X_ROWS(ROW)                                                                             \
    ROW(FCLASS_H, soft_classify(F16, read_f16(h, in->rs1)))                                        \
    ROW(FCLASS_S, soft_classify(F32, read_f32(h, in->rs1)))                                        \
    ROW(FCLASS_D, soft_classify(F64, read_f64(h, in->rs1)))                                        \
    ROW(FMV_X_H, (uint64_t)(int64_t)(int16_t)h->f[in->rs1])                                        \
    ROW(FMV_X_W, (uint64_t)(int64_t)(int32_t)h->f[in->rs1])                                        \
    ROW(FMV_X_D, h->f[in->rs1])

#define FROM_X_ROWS(ROW)                                                                           \
    ROW(FMV_H_X, f16)                                                                              \
    ROW(FMV_W_X, f32)                                                                              \
    ROW(FMV_D_X, f64)

#define DEFINE_TO_X(E, expression)                                                                 \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        hart_write_x(h, in->rd, expression);                                                       \
    }
#define DEFINE_FROM_X(E, W)                                                                        \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        write_##W(h, in->rd, h->x[in->rs1]);                                                       \
    }
TO_X_ROWS(DEFINE_TO_X)
FROM_X_ROWS(DEFINE_FROM_X)

const hart_handler_row hart_float_rows[] = {
#define ROW(E, ...) {ISA_##E, execute_##E},
#define ROWS_HSD(E, ...) ROW(E##_H) ROW(E##_S) ROW(E##_D)
    BINARY_ROWS(ROWS_HSD) FUSED_ROWS(ROWS_HSD) QUIET_ROWS(ROWS_HSD) COMPARE_ROWS(ROWS_HSD)
        ROWS_HSD(FSQRT) TO_X_ROWS(ROW) FROM_X_ROWS(ROW){ISA_ILLEGAL, NULL},
#undef ROW
#undef ROWS_HSD
};
