// Vector floating point of one width: arithmetic, comparison, classification, merge.

#include "runtime/hart/vector_float.h"

static uint64_t scalar(const hart *h, unsigned r)
{
    return h->sew == 1 ? read_f16(h, r) : h->sew == 2 ? read_f32(h, r) : read_f64(h, r);
}

static const void *second_operand(hart *h, const isa_instruction *in, vector_float_second second,
                                  vector_buffer *splat)
{
    if (second != FLOAT_SECOND_F)
        return vector_register(h, in->rs1);
    vector_splat(splat->bytes, scalar(h, in->rs1), h->sew, h->vl);
    return splat->bytes;
}

static vector_operand quick_operand(const hart *h, const isa_instruction *in,
                                    vector_float_second second, vector_copy *copy)
{
    if (second == FLOAT_SECOND_F)
        return vector_copies(copy, scalar(h, in->rs1), h->sew);
    const size_t advance = second == FLOAT_SECOND_V ? ~(size_t)0 : 0;
    return (vector_operand){vector_register(h, in->rs1), advance};
}

static void check(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                  vector_float_shape shape, vector_float_second second)
{
    require_vtype(h);
    hart_require(h, loops->of[h->sew] != NULL);
    int emul_d = h->lmul + shape.wide_d, emul_a = h->lmul + shape.wide_a;
    int eew_d = h->sew + shape.wide_d;
    require_group(h, in->rd, emul_d);
    require_group(h, in->rs2, emul_a);
    require_overlap(h, in->rd, emul_d, eew_d, in->rs2, emul_a, h->sew + shape.wide_a);
    if (second == FLOAT_SECOND_V) {
        require_group(h, in->rs1, h->lmul);
        require_overlap(h, in->rd, emul_d, eew_d, in->rs1, h->lmul, h->sew);
    }
    vector_is_legal(h);
}

// Legal, unmasked, from the first element on, nearest-even, inexact raised already.
static inline bool is_usual(const hart *h, const isa_instruction *in)
{
    return vector_was_legal(h) && vector_is_whole(h, in) && h->frm == ROUND_NEAREST_EVEN &&
           h->fflags & FLAG_INEXACT;
}

// True: all is done. False: what is below vstart.
static inline bool run_quick(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                             vector_float_second second)
{
    vector_copy copy;
    if (!loops->quick || loops->quick_sew != h->sew || !is_usual(h, in))
        return false;
    const vector_operand b = quick_operand(h, in, second, &copy);
    const size_t done =
        loops->quick(vector_register(h, in->rd), vector_register(h, in->rs2), b, h->vl);
    if (done == h->vl)
        return true;
    h->vstart = done;
    return false;
}

void vector_float_run(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                      vector_float_shape shape, vector_float_second second, uint8_t rounding)
{
    if (run_quick(h, in, loops, second))
        return;
    float_env env = {hart_rounding(h, ROUND_DYNAMIC), h->fflags};
    if (!vector_was_legal(h))
        check(h, in, loops, shape, second);
    if (rounding != ROUND_DYNAMIC)
        env.rounding = rounding;
    vector_buffer splat;
    const void *b = second_operand(h, in, second, &splat);
    loops->of[h->sew](h, in, vector_register(h, in->rd), vector_register(h, in->rs2), b, &env);
    end_float(h, env);
    h->vstart = 0;
}

static void check_compare(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                          vector_float_second second)
{
    require_vtype(h);
    hart_require(h, loops->of[h->sew] != NULL);
    require_group(h, in->rs2, h->lmul);
    require_overlap(h, in->rd, 0, -1, in->rs2, h->lmul, h->sew);
    if (second == FLOAT_SECOND_V) {
        require_group(h, in->rs1, h->lmul);
        require_overlap(h, in->rd, 0, -1, in->rs1, h->lmul, h->sew);
    }
    vector_is_legal(h);
}

// Without NaN nothing is raised, whatever the mask.
static bool compare_quick(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                          vector_float_second second, vector_buffer *result)
{
    vector_copy copy;
    if (h->sew != 2 || !loops->quick_compare)
        return false;
    const vector_operand b = quick_operand(h, in, second, &copy);
    return loops->quick_compare(result->bytes, vector_register(h, in->rs2), b, h->vl);
}

void vector_float_compare(hart *h, const isa_instruction *in, const vector_float_loops *loops,
                          vector_float_second second)
{
    float_env env = {hart_rounding(h, ROUND_DYNAMIC), h->fflags};
    if (!vector_was_legal(h))
        check_compare(h, in, loops, second);
    vector_buffer splat, result;
    if (!compare_quick(h, in, loops, second, &result)) {
        memset(result.bytes, 0, h->vl);
        const void *b = second_operand(h, in, second, &splat);
        loops->of[h->sew](h, in, result.bytes, vector_register(h, in->rs2), b, &env);
        end_float(h, env);
    }
    vector_commit_mask(h, in->rd, in->vm, result.bytes);
}

//   OP(name, forms, quick or NULL, operation, its operands)
#define BINARY_OPS(OP)                                                                             \
    OP(VFADD, FLOAT_FORMS_VF, quick_VFADD, add_, a, b)                                             \
    OP(VFSUB, FLOAT_FORMS_VF, quick_VFSUB, sub_, a, b)                                             \
    OP(VFRSUB, FLOAT_FORMS_F, quick_VFRSUB, sub_, b, a)                                            \
    OP(VFMUL, FLOAT_FORMS_VF, quick_VFMUL, mul_, a, b)                                             \
    OP(VFDIV, FLOAT_FORMS_VF, quick_VFDIV, div_, a, b)                                             \
    OP(VFRDIV, FLOAT_FORMS_F, quick_VFRDIV, div_, b, a)

//   OP(name, forms, expression in a = vs2, b = vs1 or f, W the format's name, F its description)
#define FORMAT_OPS(OP)                                                                             \
    OP(VFMIN, FLOAT_FORMS_VF, quick_VFMIN, soft_minimum(F, a, b, env))                             \
    OP(VFMAX, FLOAT_FORMS_VF, quick_VFMAX, soft_maximum(F, a, b, env))                             \
    OP(VFSGNJ, FLOAT_FORMS_VF, quick_VFSGNJ, (a & ~float_sign_bit(F)) | (b & float_sign_bit(F)))   \
    OP(VFSGNJN, FLOAT_FORMS_VF, quick_VFSGNJN,                                                     \
       (a & ~float_sign_bit(F)) | (~b & float_sign_bit(F)))                                        \
    OP(VFSGNJX, FLOAT_FORMS_VF, quick_VFSGNJX, a ^ (b & float_sign_bit(F)))

#define UNARY_OPS(OP)                                                                              \
    OP(VFCLASS_V, soft_classify(F, a))                                                             \
    OP(VFREC7_V, soft_reciprocal7(F, a, env))                                                      \
    OP(VFRSQRT7_V, soft_reciprocal_sqrt7(F, a, env))

#define COMPARE_OPS(OP)                                                                            \
    OP(VMFEQ, FLOAT_FORMS_VF, soft_equal(F, a, b, env))                                            \
    OP(VMFNE, FLOAT_FORMS_VF, !soft_equal(F, a, b, env))                                           \
    OP(VMFLT, FLOAT_FORMS_VF, soft_less(F, a, b, env))                                             \
    OP(VMFLE, FLOAT_FORMS_VF, soft_less_equal(F, a, b, env))                                       \
    OP(VMFGT, FLOAT_FORMS_F, soft_less(F, b, a, env))                                              \
    OP(VMFGE, FLOAT_FORMS_F, soft_less_equal(F, b, a, env))

#define SAME_WIDTH ((vector_float_shape){0, 0})
#define LOOPS_WITH(E, quick)                                                                       \
    static const vector_float_loops loops_##E = {{NULL, E##_16, E##_32, E##_64}, quick, 2, NULL};

#define DEFINE_FORM(FORM, second, E)                                                               \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        vector_float_run(h, in, &loops_##E, SAME_WIDTH, second, ROUND_DYNAMIC);                    \
    }
#define DEFINE_BINARY(E, FORMS, quick, operation, x, y)                                            \
    FLOAT_LOOP(E##_16, uint16_t, uint16_t, uint16_t, operation##f16(x, y, env))                    \
    FLOAT_LOOP(E##_32, uint32_t, uint32_t, uint32_t, operation##f32(x, y, env))                    \
    FLOAT_LOOP(E##_64, uint64_t, uint64_t, uint64_t, operation##f64(x, y, env))                    \
    LOOPS_WITH(E, quick)                                                                           \
    FORMS(DEFINE_FORM, E)
BINARY_OPS(DEFINE_BINARY)

// One loop per format; F is its description inside the expression.
#define FORMAT_LOOP(name, D, bits, format, expression)                                             \
    FLOAT_LOOP(name, D, uint##bits##_t, uint##bits##_t, __extension__({                            \
                   const float_format F = format;                                                  \
                   (void)F;                                                                        \
                   expression;                                                                     \
               }))
#define FORMAT_LOOPS(E, quick, expression)                                                         \
    FORMAT_LOOP(E##_16, uint16_t, 16, F16, expression)                                             \
    FORMAT_LOOP(E##_32, uint32_t, 32, F32, expression)                                             \
    FORMAT_LOOP(E##_64, uint64_t, 64, F64, expression)                                             \
    LOOPS_WITH(E, quick)
#define DEFINE_FORMAT(E, FORMS, quick, expression)                                                 \
    FORMAT_LOOPS(E, quick, expression) FORMS(DEFINE_FORM, E)
FORMAT_OPS(DEFINE_FORMAT)

#define DEFINE_UNARY_FORM(E)                                                                       \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        vector_float_run(h, in, &loops_##E, SAME_WIDTH, FLOAT_SECOND_NONE, ROUND_DYNAMIC);         \
    }
#define DEFINE_UNARY(E, expression) FORMAT_LOOPS(E, NULL, expression) DEFINE_UNARY_FORM(E)
UNARY_OPS(DEFINE_UNARY)

FLOAT_LOOP(VFSQRT_V_16, uint16_t, uint16_t, uint16_t, sqrt_f16(a, env))
FLOAT_LOOP(VFSQRT_V_32, uint32_t, uint32_t, uint32_t, sqrt_f32(a, env))
FLOAT_LOOP(VFSQRT_V_64, uint64_t, uint64_t, uint64_t, sqrt_f64(a, env))
LOOPS_WITH(VFSQRT_V, quick_VFSQRT_V)
DEFINE_UNARY_FORM(VFSQRT_V)

#define DEFINE_COMPARE_FORM(FORM, second, E)                                                       \
    static void execute_##E##_##FORM(hart *h, const isa_instruction *in)                           \
    {                                                                                              \
        vector_float_compare(h, in, &loops_##E, second);                                           \
    }
#define DEFINE_COMPARE(E, FORMS, expression)                                                       \
    FORMAT_LOOP(E##_16, uint8_t, 16, F16, expression)                                              \
    FORMAT_LOOP(E##_32, uint8_t, 32, F32, expression)                                              \
    FORMAT_LOOP(E##_64, uint8_t, 64, F64, expression)                                              \
    static const vector_float_loops loops_##E = {                                                  \
        {NULL, E##_16, E##_32, E##_64}, NULL, 0, quick_##E};                                       \
    FORMS(DEFINE_COMPARE_FORM, E)
COMPARE_OPS(DEFINE_COMPARE)

// vd[i] = v0[i] ? f : vs2[i], or f everywhere.
static void merge(hart *h, const isa_instruction *in)
{
    require_vtype(h);
    hart_require(h, h->sew > 0);
    hart_rounding(h, ROUND_DYNAMIC);
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, in->vm ? -3 : h->lmul);
    vector_buffer splat, result;
    const uint8_t *b = second_operand(h, in, FLOAT_SECOND_F, &splat);
    const uint8_t *a = vector_register(h, in->rs2);
    size_t size = (size_t)1 << h->sew;
    for (uint64_t i = 0; i < h->vl; i++) {
        const uint8_t *from = vector_active(h, in, i) ? b : a;
        memcpy(result.bytes + i * size, from + i * size, size);
    }
    vector_commit_all(h, in->rd, result.bytes, h->sew);
}

const hart_handler_row hart_vector_float_rows[] = {
#define FORMS_ROW(E, FORMS, ...) FORMS(FORM_ROW, E)
#define ROW(E, ...) {ISA_##E, execute_##E},
    BINARY_OPS(FORMS_ROW) FORMAT_OPS(FORMS_ROW) COMPARE_OPS(FORMS_ROW) UNARY_OPS(ROW)
        ROW(VFSQRT_V){ISA_VFMERGE_VFM, merge},
    {ISA_VFMV_V_F, merge},
    {ISA_ILLEGAL, NULL},
};
