// Vector conversions between floating-point formats and integers.

#include "runtime/hart/vector_float.h"

//   ROW(opcode, destination wide, source wide, rounding, quick, loop for SEW 8, 16, 32, 64)
// Loops are named to_from.
#define CONVERT_ROWS(ROW)                                                                          \
    ROW(VFCVT_XU_F_V, 0, 0, ROUND_DYNAMIC, NULL, NULL, u16_f16, u32_f32, u64_f64)                  \
    ROW(VFCVT_X_F_V, 0, 0, ROUND_DYNAMIC, quick_s32_from_f32, NULL, s16_f16, s32_f32, s64_f64)     \
    ROW(VFCVT_RTZ_XU_F_V, 0, 0, ROUND_TOWARD_ZERO, NULL, NULL, u16_f16, u32_f32, u64_f64)          \
    ROW(VFCVT_RTZ_X_F_V, 0, 0, ROUND_TOWARD_ZERO, quick_s32_toward_zero, NULL, s16_f16, s32_f32,   \
        s64_f64)                                                                                   \
    ROW(VFCVT_F_XU_V, 0, 0, ROUND_DYNAMIC, quick_f32_from_u32, NULL, f16_u16, f32_u32, f64_u64)    \
    ROW(VFCVT_F_X_V, 0, 0, ROUND_DYNAMIC, quick_f32_from_s32, NULL, f16_s16, f32_s32, f64_s64)     \
    ROW(VFWCVT_XU_F_V, 1, 0, ROUND_DYNAMIC, NULL, NULL, u32_f16, u64_f32, NULL)                    \
    ROW(VFWCVT_X_F_V, 1, 0, ROUND_DYNAMIC, NULL, NULL, s32_f16, s64_f32, NULL)                     \
    ROW(VFWCVT_RTZ_XU_F_V, 1, 0, ROUND_TOWARD_ZERO, NULL, NULL, u32_f16, u64_f32, NULL)            \
    ROW(VFWCVT_RTZ_X_F_V, 1, 0, ROUND_TOWARD_ZERO, NULL, NULL, s32_f16, s64_f32, NULL)             \
    ROW(VFWCVT_F_XU_V, 1, 0, ROUND_DYNAMIC, NULL, f16_u8, f32_u16, f64_u32, NULL)                  \
    ROW(VFWCVT_F_X_V, 1, 0, ROUND_DYNAMIC, NULL, f16_s8, f32_s16, f64_s32, NULL)                   \
    ROW(VFWCVT_F_F_V, 1, 0, ROUND_DYNAMIC, quick_f32_from_f16, NULL, f32_f16, f64_f32, NULL)       \
    ROW(VFNCVT_XU_F_W, 0, 1, ROUND_DYNAMIC, NULL, u8_f16, u16_f32, u32_f64, NULL)                  \
    ROW(VFNCVT_X_F_W, 0, 1, ROUND_DYNAMIC, NULL, s8_f16, s16_f32, s32_f64, NULL)                   \
    ROW(VFNCVT_RTZ_XU_F_W, 0, 1, ROUND_TOWARD_ZERO, NULL, u8_f16, u16_f32, u32_f64, NULL)          \
    ROW(VFNCVT_RTZ_X_F_W, 0, 1, ROUND_TOWARD_ZERO, NULL, s8_f16, s16_f32, s32_f64, NULL)           \
    ROW(VFNCVT_F_XU_W, 0, 1, ROUND_DYNAMIC, NULL, NULL, f16_u32, f32_u64, NULL)                    \
    ROW(VFNCVT_F_X_W, 0, 1, ROUND_DYNAMIC, NULL, NULL, f16_s32, f32_s64, NULL)                     \
    ROW(VFNCVT_F_F_W, 0, 1, ROUND_DYNAMIC, quick_f16_from_f32, NULL, f16_f32, f32_f64, NULL)       \
    ROW(VFNCVT_ROD_F_F_W, 0, 1, ROUND_TO_ODD, NULL, NULL, f16_f32, f32_f64, NULL)                  \
    ROW(VFNCVTBF16_F_F_W, 0, 1, ROUND_DYNAMIC, NULL, NULL, bf16_f32, NULL, NULL)                   \
    ROW(VFWCVTBF16_F_F_V, 1, 0, ROUND_DYNAMIC, NULL, NULL, f32_bf16, NULL, NULL)

//   float to integer: (loop, destination bits, source bits, source format)
#define TO_INTEGER(LOOP)                                                                           \
    LOOP(8_f16, 8, 16, F16)                                                                        \
    LOOP(16_f16, 16, 16, F16)                                                                      \
    LOOP(32_f16, 32, 16, F16)                                                                      \
    LOOP(16_f32, 16, 32, F32)                                                                      \
    LOOP(64_f32, 64, 32, F32)                                                                      \
    LOOP(32_f64, 32, 64, F64)                                                                      \
    LOOP(64_f64, 64, 64, F64)
#define TO_INTEGER_LOOPS(name, to, from, format)                                                   \
    FLOAT_LOOP(u##name, uint##to##_t, uint##from##_t, uint8_t,                                     \
               soft_to_unsigned(format, a, to, env))                                               \
    FLOAT_LOOP(s##name, uint##to##_t, uint##from##_t, uint8_t, soft_to_signed(format, a, to, env))
TO_INTEGER(TO_INTEGER_LOOPS)
FLOAT_LOOP(u32_f32, uint32_t, uint32_t, uint8_t, soft_to_unsigned(F32, a, 32, env))
FLOAT_LOOP(s32_f32, uint32_t, uint32_t, uint8_t, signed_from_f32(a, 32, env))

//   integer to float: (bits of the float, bits of the integer)
#define FROM_INTEGER(LOOP)                                                                         \
    LOOP(16, 8)                                                                                    \
    LOOP(16, 16)                                                                                   \
    LOOP(16, 32)                                                                                   \
    LOOP(32, 16)                                                                                   \
    LOOP(32, 32)                                                                                   \
    LOOP(32, 64)                                                                                   \
    LOOP(64, 32)                                                                                   \
    LOOP(64, 64)
#define FROM_INTEGER_LOOPS(to, from)                                                               \
    FLOAT_LOOP(f##to##_u##from, uint##to##_t, uint##from##_t, uint8_t,                             \
               f##to##_from_unsigned(a, env))                                                      \
    FLOAT_LOOP(f##to##_s##from, uint##to##_t, int##from##_t, uint8_t, f##to##_from_signed(a, env))
FROM_INTEGER(FROM_INTEGER_LOOPS)

FLOAT_LOOP(f32_f16, uint32_t, uint16_t, uint8_t, f32_from_f16(a, env))
FLOAT_LOOP(f64_f32, uint64_t, uint32_t, uint8_t, f64_from_f32(a, env))
FLOAT_LOOP(f16_f32, uint16_t, uint32_t, uint8_t, f16_from_f32(a, env))
FLOAT_LOOP(f32_f64, uint32_t, uint64_t, uint8_t, f32_from_f64(a, env))
FLOAT_LOOP(bf16_f32, uint16_t, uint32_t, uint8_t, soft_convert(F32, FLOAT_BF16, a, env))
FLOAT_LOOP(f32_bf16, uint32_t, uint16_t, uint8_t, soft_convert(FLOAT_BF16, F32, a, env))

#define DEFINE(E, wide_d, wide_a, rounding, quick, ...)                                            \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        static const vector_float_loops loops = {                                                  \
            {__VA_ARGS__}, quick, (wide_d) || (wide_a) ? 1 : 2, NULL};                             \
        const vector_float_shape shape = {wide_d, wide_a};                                         \
        vector_float_run(h, in, &loops, shape, FLOAT_SECOND_NONE, rounding);                       \
    }
CONVERT_ROWS(DEFINE)

const hart_handler_row hart_vector_float_convert_rows[] = {
#define ROW(E, ...) {ISA_##E, execute_##E},
    CONVERT_ROWS(ROW){ISA_ILLEGAL, NULL},
#undef ROW
};
