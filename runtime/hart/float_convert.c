// Scalar conversions between floating-point formats and integers.

#include "runtime/hart/float_registers.h"

//   ROW(opcode, destination, source, expression in a)
#define FORMAT_ROWS(ROW)                                                                           \
    ROW(FCVT_S_H, f32, f16, f32_from_f16(a, &env))                                                 \
    ROW(FCVT_H_S, f16, f32, f16_from_f32(a, &env))                                                 \
    ROW(FCVT_D_S, f64, f32, f64_from_f32(a, &env))                                                 \
    ROW(FCVT_S_D, f32, f64, f32_from_f64(a, &env))                                                 \
    ROW(FCVT_D_H, f64, f16, soft_convert(F16, F64, a, &env))                                       \
    ROW(FCVT_H_D, f16, f64, soft_convert(F64, F16, a, &env))                                       \
    ROW(FCVT_BF16_S, bf16, f32, soft_convert(F32, FLOAT_BF16, a, &env))                            \
    ROW(FCVT_S_BF16, f32, bf16, soft_convert(FLOAT_BF16, F32, a, &env))

#define DEFINE_FORMAT(E, to, from, expression)                                                     \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        float_env env = begin_float(h, in);                                                        \
        uint64_t a = read_##from(h, in->rs1);                                                      \
        write_##to(h, in->rd, expression);                                                         \
        end_float(h, env);                                                                         \
    }
FORMAT_ROWS(DEFINE_FORMAT)

//   ROW(letter of the format, f name, format)
#define FORMATS(ROW)                                                                               \
    ROW(H, f16, F16)                                                                               \
    ROW(S, f32, F32)                                                                               \
    ROW(D, f64, F64)

#define DEFINE_TO_INTEGER(E, from, expression)                                                     \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        float_env env = begin_float(h, in);                                                        \
        uint64_t a = read_##from(h, in->rs1);                                                      \
        hart_write_x(h, in->rd, (uint64_t)(int64_t)(expression));                                  \
        end_float(h, env);                                                                         \
    }
#define DEFINE_FROM_INTEGER(E, to, expression)                                                     \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        float_env env = begin_float(h, in);                                                        \
        uint64_t x = h->x[in->rs1];                                                                \
        write_##to(h, in->rd, expression);                                                         \
        end_float(h, env);                                                                         \
    }
#define DEFINE_INTEGERS(X, W, format)                                                              \
    DEFINE_TO_INTEGER(FCVT_W_##X, W, soft_to_signed(format, a, 32, &env))                          \
    DEFINE_TO_INTEGER(FCVT_WU_##X, W, (int32_t)soft_to_unsigned(format, a, 32, &env))              \
    DEFINE_TO_INTEGER(FCVT_L_##X, W, soft_to_signed(format, a, 64, &env))                          \
    DEFINE_TO_INTEGER(FCVT_LU_##X, W, soft_to_unsigned(format, a, 64, &env))                       \
    DEFINE_FROM_INTEGER(FCVT_##X##_W, W, W##_from_signed((int32_t)x, &env))                        \
    DEFINE_FROM_INTEGER(FCVT_##X##_WU, W, W##_from_unsigned((uint32_t)x, &env))                    \
    DEFINE_FROM_INTEGER(FCVT_##X##_L, W, W##_from_signed((int64_t)x, &env))                        \
    DEFINE_FROM_INTEGER(FCVT_##X##_LU, W, W##_from_unsigned(x, &env))
FORMATS(DEFINE_INTEGERS)

const hart_handler_row hart_float_convert_rows[] = {
#define ROW(E, ...) {ISA_##E, execute_##E},
#define INTEGER_ROWS(X, ...)                                                                       \
    ROW(FCVT_W_##X)                                                                                \
    ROW(FCVT_WU_##X)                                                                               \
    ROW(FCVT_L_##X)                                                                                \
    ROW(FCVT_LU_##X)                                                                               \
    ROW(FCVT_##X##_W)                                                                              \
    ROW(FCVT_##X##_WU)                                                                             \
    ROW(FCVT_##X##_L)                                                                              \
    ROW(FCVT_##X##_LU)
    FORMAT_ROWS(ROW) FORMATS(INTEGER_ROWS){ISA_ILLEGAL, NULL},
#undef ROW
#undef INTEGER_ROWS
};
