// Element loops of the vector floating-point instructions. Inactive elements raise no flags, so the
// mask is looked at for every element.
#pragma once

#include "runtime/hart/float_registers.h"
#include "runtime/hart/vector.h"
#include "runtime/hart/vector_float_quick.h"

typedef void vector_float_loop(hart *h, const isa_instruction *in, void *to, const void *a,
                               const void *b, float_env *env);

// Loops by the format that SEW means: f16, f32, f64; NULL: illegal. `quick`, where there is one, is
// tried before the loop of SEW `quick_sew`, and `quick_compare` before that of f32.
typedef struct vector_float_loops {
    vector_float_loop *of[4];
    vector_float_quick *quick;
    unsigned quick_sew;
    vector_float_quick_compare *quick_compare;
} vector_float_loops;

// Operand widths relative to SEW and LMUL: 0, or 1 when twice as wide.
typedef struct vector_float_shape {
    uint8_t wide_d, wide_a;
} vector_float_shape;

typedef enum vector_float_second {
    FLOAT_SECOND_V,
    FLOAT_SECOND_F,
    FLOAT_SECOND_NONE
} vector_float_second;

// Checks, fetches operands, runs, and gathers the flags. Destinations may overlap sources as
// require_overlap allows: in ascending order nothing is overwritten before it is read.
void vector_float_run(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                      vector_float_shape shape, vector_float_second second, uint8_t rounding);
// The same with a mask as result; `to` has one byte per element.
void vector_float_compare(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                          vector_float_second second);

// Elements of types D, A, B; the expression computes the new bits from d, a, b and env.
#define FLOAT_LOOP(name, D, A, B, expression)                                                      \
    static void name(hart *h, const isa_instruction *in, void *to, const void *from_a,             \
                     const void *from_b, float_env *shared)                                        \
    {                                                                                              \
        D *pd = to;                                                                                \
        const A *pa = from_a;                                                                      \
        const B *pb = from_b;                                                                      \
        float_env flags = *shared, *env = &flags;                                                  \
        for (uint64_t i = h->vstart; i < h->vl; i++) {                                             \
            if (!vector_active(h, in, i))                                                          \
                continue;                                                                          \
            D d = pd[i];                                                                           \
            A a = pa[i];                                                                           \
            B b = pb[i];                                                                           \
            (void)a, (void)b, (void)d, (void)env;                                                  \
            pd[i] = (D)(expression);                                                               \
        }                                                                                          \
        *shared = flags;                                                                           \
    }

#define FLOAT_FORMS_VF(M, ...) M(VV, FLOAT_SECOND_V, __VA_ARGS__) M(VF, FLOAT_SECOND_F, __VA_ARGS__)
#define FLOAT_FORMS_F(M, ...) M(VF, FLOAT_SECOND_F, __VA_ARGS__)
#define FLOAT_FORMS_W(M, ...) M(WV, FLOAT_SECOND_V, __VA_ARGS__) M(WF, FLOAT_SECOND_F, __VA_ARGS__)
