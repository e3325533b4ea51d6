// Reductions: a scalar in vs1[0] and the active elements of vs2 give vd[0].

#include "runtime/hart/float_registers.h"
#include "runtime/hart/vector.h"
#include "runtime/hart/vector_float_quick.h"

typedef void reduction(hart *h, const isa_instruction *in);

// Single registers for vs1 and vd, whatever LMUL; nothing happens when vl is 0.
static bool begin(hart *h, const isa_instruction *in, bool widens)
{
    require_vtype(h);
    hart_require(h, h->vstart == 0 && (!widens || h->sew < 3));
    require_group(h, in->rs2, h->lmul);
    return h->vl != 0;
}

#define REDUCE_WIDTH(E, bits, wide, S, expression)                                                 \
    static void E##_##bits(hart *h, const isa_instruction *in)                                     \
    {                                                                                              \
        type_##S##wide sum = *(type_##S##wide *)vector_register(h, in->rs1);                       \
        const type_##S##bits *elements = (type_##S##bits *)vector_register(h, in->rs2);            \
        for (uint64_t i = 0; i < h->vl; i++) {                                                     \
            type_##S##wide a = elements[i];                                                        \
            if (vector_active(h, in, i))                                                           \
                sum = (type_##S##wide)(expression);                                                \
        }                                                                                          \
        *(type_##S##wide *)vector_register(h, in->rd) = sum;                                       \
    }

//   OP(name, signedness, new sum of sum and a)
#define REDUCE_OPS(OP)                                                                             \
    OP(VREDSUM_VS, u, sum + a)                                                                     \
    OP(VREDAND_VS, u, sum &a)                                                                      \
    OP(VREDOR_VS, u, sum | a)                                                                      \
    OP(VREDXOR_VS, u, sum ^ a)                                                                     \
    OP(VREDMINU_VS, u, a < sum ? a : sum)                                                          \
    OP(VREDMIN_VS, s, a < sum ? a : sum)                                                           \
    OP(VREDMAXU_VS, u, a > sum ? a : sum)                                                          \
    OP(VREDMAX_VS, s, a > sum ? a : sum)

#define WIDEN_REDUCE_OPS(OP)                                                                       \
    OP(VWREDSUMU_VS, u, sum + a)                                                                   \
    OP(VWREDSUM_VS, s, (uint64_t)sum + (uint64_t)a)

#define DEFINE_REDUCE(E, S, expression)                                                            \
    REDUCE_WIDTH(E, 8, 8, S, expression)                                                           \
    REDUCE_WIDTH(E, 16, 16, S, expression)                                                         \
    REDUCE_WIDTH(E, 32, 32, S, expression)                                                         \
    REDUCE_WIDTH(E, 64, 64, S, expression)                                                         \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        static reduction *const widths[] = {E##_8, E##_16, E##_32, E##_64};                        \
        if (begin(h, in, false))                                                                   \
            widths[h->sew](h, in);                                                                 \
    }
#define DEFINE_WIDEN_REDUCE(E, S, expression)                                                      \
    REDUCE_WIDTH(E, 8, 16, S, expression)                                                          \
    REDUCE_WIDTH(E, 16, 32, S, expression)                                                         \
    REDUCE_WIDTH(E, 32, 64, S, expression)                                                         \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        static reduction *const widths[] = {E##_8, E##_16, E##_32};                                \
        if (begin(h, in, true))                                                                    \
            widths[h->sew](h, in);                                                                 \
    }
REDUCE_OPS(DEFINE_REDUCE)
WIDEN_REDUCE_OPS(DEFINE_WIDEN_REDUCE)

// Floating point, always in order.
#define FLOAT_REDUCE_WIDTH(E, W, bits, wide, expression)                                           \
    static void E##_##W(hart *h, const isa_instruction *in, float_env *env)                        \
    {                                                                                              \
        uint64_t sum = *(uint##wide##_t *)vector_register(h, in->rs1);                             \
        const uint##bits##_t *elements = (uint##bits##_t *)vector_register(h, in->rs2);            \
        for (uint64_t i = 0; i < h->vl; i++) {                                                     \
            uint64_t a = elements[i];                                                              \
            if (vector_active(h, in, i))                                                           \
                sum = expression;                                                                  \
        }                                                                                          \
        *(uint##wide##_t *)vector_register(h, in->rd) = (uint##wide##_t)sum;                       \
    }

// *result and all elements, if that raises nothing that is not raised already.
typedef bool quick_reduction(float *result, const float *a, size_t n);

// Sums of all elements in nearest-even, where nothing but inexact, raised already, can be raised.
static bool reduce_quickly(hart *h, const isa_instruction *in, const float_env *env,
                           quick_reduction *quick)
{
    const bool rounds = quick == quick_ordered_sum;
    float result;
    memcpy(&result, vector_register(h, in->rs1), sizeof result);
    if (!in->vm ||
        (rounds && (env->rounding != ROUND_NEAREST_EVEN || !(env->flags & FLAG_INEXACT))) ||
        !quick(&result, (const float *)vector_register(h, in->rs2), h->vl))
        return false;
    memcpy(vector_register(h, in->rd), &result, sizeof result);
    return true;
}

typedef void float_reduction(hart *h, const isa_instruction *in, float_env *env);

static void reduce_float(hart *h, const isa_instruction *in, bool widens, quick_reduction *quick,
                         float_reduction *const *widths)
{
    float_env env = {hart_rounding(h, ROUND_DYNAMIC), h->fflags};
    require_vtype(h);
    hart_require(h, h->sew > 0);
    if (!begin(h, in, widens))
        return;
    if (quick && h->sew == 2 && reduce_quickly(h, in, &env, quick))
        return;
    widths[h->sew - 1](h, in, &env);
    end_float(h, env);
}

//   OP(name, quick one of f32, operation for each format)
#define FLOAT_REDUCE_OPS(OP)                                                                       \
    OP(VFREDUSUM_VS, quick_ordered_sum, add_f16(sum, a, env), add_f32(sum, a, env),                \
       add_f64(sum, a, env))                                                                       \
    OP(VFREDOSUM_VS, quick_ordered_sum, add_f16(sum, a, env), add_f32(sum, a, env),                \
       add_f64(sum, a, env))                                                                       \
    OP(VFREDMIN_VS, quick_minimum, soft_minimum(F16, sum, a, env), soft_minimum(F32, sum, a, env), \
       soft_minimum(F64, sum, a, env))                                                             \
    OP(VFREDMAX_VS, quick_maximum, soft_maximum(F16, sum, a, env), soft_maximum(F32, sum, a, env), \
       soft_maximum(F64, sum, a, env))

#define FLOAT_WIDEN_REDUCE_OPS(OP)                                                                 \
    OP(VFWREDUSUM_VS)                                                                              \
    OP(VFWREDOSUM_VS)

#define DEFINE_FLOAT_REDUCE(E, quick, half, single, twofold)                                       \
    FLOAT_REDUCE_WIDTH(E, f16, 16, 16, half)                                                       \
    FLOAT_REDUCE_WIDTH(E, f32, 32, 32, single)                                                     \
    FLOAT_REDUCE_WIDTH(E, f64, 64, 64, twofold)                                                    \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        static float_reduction *const widths[] = {E##_f16, E##_f32, E##_f64};                      \
        reduce_float(h, in, false, quick, widths);                                                 \
    }
#define DEFINE_FLOAT_WIDEN_REDUCE(E)                                                               \
    FLOAT_REDUCE_WIDTH(E, f16, 16, 32, add_f32(sum, f32_from_f16(a, env), env))                    \
    FLOAT_REDUCE_WIDTH(E, f32, 32, 64, add_f64(sum, f64_from_f32(a, env), env))                    \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        static float_reduction *const widths[] = {E##_f16, E##_f32};                               \
        reduce_float(h, in, true, NULL, widths);                                                   \
    }
FLOAT_REDUCE_OPS(DEFINE_FLOAT_REDUCE)
FLOAT_WIDEN_REDUCE_OPS(DEFINE_FLOAT_WIDEN_REDUCE)

const hart_handler_row hart_vector_reduce_rows[] = {
#define ROW(E, ...) {ISA_##E, execute_##E},
    REDUCE_OPS(ROW) WIDEN_REDUCE_OPS(ROW) FLOAT_REDUCE_OPS(ROW)
        FLOAT_WIDEN_REDUCE_OPS(ROW){ISA_ILLEGAL, NULL},
#undef ROW
};
