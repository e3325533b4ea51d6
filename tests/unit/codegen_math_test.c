// link: lutra_codegen lutra_host lutra_ir lutra_isa lutra_support
// The elementary functions on the emulator against double precision: the error
// bounds that compiler/codegen/math.c states, over a sweep of all f32 values.
#include "tests/unit/codegen_program.h"

#include <float.h>
#include <math.h>

enum { BLOCK = 1 << 16 };

static double reference_exp(double x)
{
    return exp(x);
}
static double reference_tanh(double x)
{
    return tanh(x);
}
static double reference_erf(double x)
{
    return erf(x);
}
static double reference_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double reference_silu(double x)
{
    return x / (1 + exp(-x));
}
static double reference_gelu(double x)
{
    return x / 2 * erfc(-x / sqrt(2));
}
static double reference_sqrt(double x)
{
    return sqrt(x);
}
static double reference_rsqrt(double x)
{
    return 1 / sqrt(x);
}

static double reference_gelu_tanh(double x)
{
    return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

// Bounds in ulp of the exact result, or as a share of |x|, for lowest <= x <= highest.
static const struct function {
    const char *op;
    double (*reference)(double x);
    double ulp, share, lowest, highest;
} functions[] = {
    {"exp %v", reference_exp, 1, 0, -INFINITY, INFINITY},
    {"exp %v {of = nonpositive}", reference_exp, 1, 0, -87, 0},
    {"exp %v {of = nonpositive}", reference_exp, 0, 0x1p-131, -INFINITY, -87},
    {"tanh %v", reference_tanh, 2, 0, -INFINITY, INFINITY},
    {"erf %v", reference_erf, 2, 0, -INFINITY, INFINITY},
    {"sigmoid %v", reference_sigmoid, 3, 0, -87, INFINITY},
    {"silu %v", reference_silu, 4, 0, -88.7, INFINITY},
    {"silu %v", reference_silu, 0, 0x1p-127, -FLT_MAX, -88.7},
    {"gelu %v", reference_gelu, 0, 0x1p-22, -1e30, 1e30},
    {"gelu %v {form = tanh}", reference_gelu_tanh, 0, 0x1p-22, -1e12, 1e12},
    {"sqrt %v", reference_sqrt, 0.5, 0, 0, INFINITY},
    {"rsqrt %v", reference_rsqrt, 1.5, 0, 0, INFINITY},
    {"sin %v", sin, 0.51, 0, -0x1p45, 0x1p45},
    {"cos %v", cos, 0.51, 0, -0x1p45, 0x1p45},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static void functions_program(text *out, bool strips)
{
    text_printf(out, "module \"m\"\ndim C in 0..%d\nentry func @main(%%x: buffer<f32>[%d]", BLOCK,
                BLOCK);
    for (int i = 0; i < FUNCTIONS; i++)
        text_printf(out, ", %%result%d: buffer<f32>[%d]", i, BLOCK);
    text_append(out, ") -> () {\n  %n = dim C : index\n  %zero = constant 0 : index\n"
                     "  %one = constant 1 : index\n");
    for (int i = 0; i < FUNCTIONS; i++)
        if (strips)
            text_printf(out,
                        "  strip %%i%d, %%l%d in %%n {\n    %%v = vload %%x, %%i%d : vec<f32>\n"
                        "    %%y = %s : vec<f32>\n    vstore %%y, %%result%d, %%i%d\n    yield\n"
                        "  }\n",
                        i, i, i, functions[i].op, i, i);
        else
            text_printf(
                out,
                "  for %%i%d = %%zero to %%n step %%one {\n    %%v = load %%x, %%i%d : f32\n"
                "    %%y = %s : f32\n    store %%y, %%result%d, %%i%d\n    yield\n  }\n",
                i, i, functions[i].op, i, i);
    text_append(out, "  return\n}\n");
}

// |got - want| in steps of f32 at `want`; a wrong infinity or NaN is infinitely far.
static double ulps(double got, double want)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    double rounded = (float)want;
    if (isinf(got) || isinf(rounded)) // at the edge either is a rounding of the other
        return got == rounded || fmin(fabs(got), fabs(want)) > 0x1.fffffcp127 ? 0 : INFINITY;
    int exponent;
    frexp(want, &exponent);
    return fabs(got - want) / fmax(ldexp(1, exponent - 24), 0x1p-149);
}

static double error_of(const struct function *f, double x, double got)
{
    double want = f->reference(x);
    if (f->ulp)
        return ulps(got, want) / (f->ulp + 1e-6);
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    return fabs(got - want) / fmax(f->share * fabs(x), 0x1p-149);
}

static void check_block(compiled *p, const array *x)
{
    int64_t count = x->shape[0];
    run(p, &count, x);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const struct function *f = &functions[i];
        array y = output(p, i);
        for (int64_t k = 0; k < count; k++) {
            double in = ((const float *)x->data)[k], got = ((const float *)y.data)[k];
            if (!isnan(in) && !(in >= f->lowest && in <= f->highest))
                continue;
            double error = error_of(f, in, got);
            if (!(error <= 1))
                fail_msg("%s of %a is %a, exactly %a: %.3g times the bound", f->op, in, got,
                         f->reference(in), error);
        }
    }
}

// Bit patterns of f32 from `start` on, `step` apart.
static array bit_patterns(arena *a, uint32_t start, uint32_t step)
{
    int64_t n = BLOCK;
    array x = array_create(a, SCALAR_F32, 1, &n);
    for (uint32_t i = 0; i < BLOCK; i++)
        ((uint32_t *)x.data)[i] = start + i * step;
    return x;
}

static void sweep(bool strips, unsigned blocks)
{
    text lir = {0};
    functions_program(&lir, strips);
    compiled p = compile(lir.data);
    for (unsigned b = 0; b < blocks; b++) {
        array x = bit_patterns(p.arena, b * 977, UINT32_MAX / BLOCK);
        check_block(&p, &x);
    }
    release(&p);
    text_free(&lir);
}

static void vector_functions_keep_their_bounds(void **state)
{
    (void)state;
    sweep(true, getenv("LUTRA_TEST_QUICK") ? 2 : 12);
}

static void scalar_functions_keep_their_bounds(void **state)
{
    (void)state;
    sweep(false, 1);
}

// Where most values of a model lie, and around every bound and change of method.
static void critical_ranges_keep_their_bounds(void **state)
{
    (void)state;
    static const float centers[] = {0,       0.625f,   -0.625f,   1,       -1,      1.41421f,
                                    4,       -4,       88.72f,    -87.4f,  -88.7f,  -103.9f,
                                    87,      0.34657f, -0.34657f, -16.69f, 0.6459f, 9.01f,
                                    1.5708f, 3.14159f, 1e4f,      -1e6f,   0x1p30f};
    text lir = {0};
    functions_program(&lir, true);
    compiled p = compile(lir.data);
    for (size_t c = 0; c < sizeof centers / sizeof *centers; c++) {
        uint32_t bits;
        memcpy(&bits, &centers[c], 4);
        array x = bit_patterns(p.arena, bits ? bits - BLOCK / 2 * 37 : 0, bits ? 37 : 16384);
        check_block(&p, &x);
    }
    release(&p);
    text_free(&lir);
}

// ------------------------------------------------------- silu at the ends of its ranges

static const char silu_program[] =
    "module \"m\"\ndim C in 0..64\n"
    "entry func @main(%x: buffer<f32>[64], %result0: buffer<f32>[64], "
    "%result1: buffer<f32>[64]) -> () {\n"
    "  %n = dim C : index\n  %zero = constant 0 : index\n  %one = constant 1 : index\n"
    "  strip %i, %l in %n {\n    %v = vload %x, %i : vec<f32>\n"
    "    %y = silu %v : vec<f32>\n    vstore %y, %result0, %i\n    yield\n  }\n"
    "  for %j = %zero to %n step %one {\n    %s = load %x, %j : f32\n"
    "    %z = silu %s : f32\n    store %z, %result1, %j\n    yield\n  }\n  return\n}\n";

static void check_silu(float x, float got)
{
    bool right = isnan(x)    ? isnan(got)
                 : isinf(x)  ? got == x // x sigmoid(x) has no value at -infinity
                 : x < -88.7 ? got <= 0 && got >= x * 0x1p-127
                             : ulps(got, reference_silu(x)) <= 4 && !signbit(got) == !signbit(x);
    if (!right)
        fail_msg("silu of %a is %a", x, got);
}

static void odd_gates(void **state)
{
    (void)state;
    static const float odd[] = {
        NAN,   INFINITY, 0,     0x1p-149f, 0x1.fffffep-127f, FLT_MIN, 87,    87.4f, 88,
        88.7f, 88.72f,   88.8f, 89,        103.9f,           104,     65504, 1e30f, FLT_MAX};
    enum { ODD = sizeof odd / sizeof *odd };
    compiled p = compile(silu_program);
    int64_t count = 2 * ODD;
    array x = array_create(p.arena, SCALAR_F32, 1, &count);
    for (int i = 0; i < 2 * ODD; i++)
        ((float *)x.data)[i] = i < ODD ? odd[i] : -odd[i - ODD];
    run(&p, &count, &x);
    array vectors = output(&p, 0), scalars = output(&p, 1);
    for (int64_t i = 0; i < count; i++) {
        float in = ((const float *)x.data)[i];
        check_silu(in, ((const float *)vectors.data)[i]);
        check_silu(in, ((const float *)scalars.data)[i]);
    }
    release(&p);
}

// ------------------------------------------------------------- sine and cosine of f64

static const char angles_program[] =
    "module \"m\"\ndim C in 0..65536\n"
    "entry func @main(%x: buffer<f64>[65536], %result0: buffer<f64>[65536], "
    "%result1: buffer<f64>[65536]) -> () {\n"
    "  %n = dim C : index\n"
    "  strip %i, %l in %n {width = f64} {\n    %v = vload %x, %i : vec<f64>\n"
    "    %s = sin %v : vec<f64>\n    %c = cos %v : vec<f64>\n"
    "    vstore %s, %result0, %i\n    vstore %c, %result1, %i\n    yield\n  }\n  return\n}\n";

// Angles up to 2^45, ever denser toward 0, and beside multiples of a quarter turn.
static double angle(int64_t i)
{
    double sign = i & 1 ? -1 : 1;
    if (i % 3 == 0)
        return sign * ldexp(1 + (double)(i * 7919 % 65536) / 65536, (int)(i % 95) - 50);
    double quarters = i % 3 == 1 ? (double)i : (double)i * 1e6;
    return sign * (quarters * M_PI_2 + ldexp(1, -(int)(i % 60)));
}

static void check_angle(double x, double got, long double want)
{
    int exponent;
    frexpl(want, &exponent);
    double bound = ldexp(1, exponent - 52) + 0x1p-60;
    if (!(fabsl((long double)got - want) <= bound))
        fail_msg("of %a: %a instead of %La", x, got, want);
}

static void angles_keep_their_bounds(void **state)
{
    (void)state;
    compiled p = compile(angles_program);
    int64_t count = BLOCK;
    array x = array_create(p.arena, SCALAR_F64, 1, &count);
    for (int64_t i = 0; i < count; i++)
        ((double *)x.data)[i] = angle(i);
    run(&p, &count, &x);
    array sine = output(&p, 0), cosine = output(&p, 1);
    for (int64_t i = 0; i < count; i++) {
        double in = ((const double *)x.data)[i];
        check_angle(in, ((const double *)sine.data)[i], sinl(in));
        check_angle(in, ((const double *)cosine.data)[i], cosl(in));
    }
    release(&p);
}

static void odd_angles(void **state)
{
    (void)state;
    static const double nowhere[] = {INFINITY, -INFINITY, NAN, 0x1.8p45, -1e300, 0x1p1023};
    compiled p = compile(angles_program);
    int64_t count = 7;
    array x = array_create(p.arena, SCALAR_F64, 1, &count);
    memcpy(x.data, nowhere, sizeof nowhere);
    ((double *)x.data)[6] = -0.0;
    run(&p, &count, &x);
    array sine = output(&p, 0), cosine = output(&p, 1);
    for (int i = 0; i < 6; i++) {
        assert_true(isnan(((const double *)sine.data)[i]));
        assert_true(isnan(((const double *)cosine.data)[i]));
    }
    assert_true(signbit(((const double *)sine.data)[6]) && ((const double *)sine.data)[6] == 0);
    assert_true(((const double *)cosine.data)[6] == 1);
    release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_functions_keep_their_bounds),
        cmocka_unit_test(scalar_functions_keep_their_bounds),
        cmocka_unit_test(critical_ranges_keep_their_bounds),
        cmocka_unit_test(odd_gates),
        cmocka_unit_test(angles_keep_their_bounds),
        cmocka_unit_test(odd_angles),
    };
    return cmocka_run_group_tests_name("codegen_math", tests, NULL, NULL);
}
