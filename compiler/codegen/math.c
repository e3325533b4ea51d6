// Elementary functions of f32 (sin and cos: and f64), scalar or vector. Only
// additions, multiplications, fma, division, minimum and maximum, and integer operations on the
// bits are used, so that every machine gives the same bits; RISC-V has a silu of its own.
// Polynomials of f32 are minimax fits (Remez exchange, the relative error of the whole function
// weighted) made for these intervals.
//
//   function      largest error, against the exact value
//   exp           1 ulp; 0 below -103.98, infinity above 88.73, subnormals rounded
//   exp           of nonpositive on RISC-V 1 ulp; below -87 subnormals, wrong, or 0
//   tanh          2 ulp
//   erf           2 ulp
//   sigmoid       3 ulp above 2^-126; smaller results lose bits, 0 below -88.73
//   silu          4 ulp where sigmoid is normal; on RISC-V down to -88.7, below it 2^-127 |x|
//   gelu          2^-22 |x|, but at least a subnormal step
//   sin, cos      of f32 0.51 ulp; of f64 2 ulp + 2^-60; NaN for |x| above 2^45
//
// NaN gives NaN in all of them. silu of -infinity is NaN, on RISC-V -infinity.
// tests/unit/codegen_math_test.c holds them to it.
#include "compiler/codegen/emit.h"

#include <math.h>

static LLVMValueRef fused(emitter *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    return primitive3(e, P_FMA, x, y, z);
}

// c[0] + c[1] x + ... + c[n - 1] x^(n - 1)
static LLVMValueRef polynomial(emitter *e, LLVMValueRef x, const double *c, unsigned n)
{
    LLVMValueRef y = constant_like(x, c[n - 1]);
    for (unsigned i = n - 1; i-- > 0;)
        y = fused(e, y, x, constant_like(x, c[i]));
    return y;
}
#define POLYNOMIAL(e, x, c) polynomial(e, x, c, sizeof(c) / sizeof *(c))

// 2^n as a float, n an i32 in -126..127.
static LLVMValueRef power_of_two(emitter *e, LLVMValueRef n)
{
    LLVMValueRef biased = primitive2(e, P_ADD, n, bits_like(n, 127));
    return reinterpret(e, primitive2(e, P_SHL, biased, bits_like(n, 23)),
                       LLVMFloatTypeInContext(e->context));
}

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 q(r).
// Adding 1.5 * 2^23 rounds to an integer that then stands in the low bits.
static const double exp_series[] = {0x1.fffffcp-2, 0x1.555490p-3, 0x1.5558f8p-5, 0x1.123b02p-7,
                                    0x1.6a2250p-10};
enum { ROUNDER_BITS = 0x4b400000 };
static const double rounder = 0x1.8p23, log2_e = 0x1.715476p0;
static const double ln2_high = 0x1.62e4p-1,
                    ln2_low = 0x1.7f7d1cp-20; // high: 15 bits, n * high is exact

static LLVMValueRef reduced(emitter *e, LLVMValueRef n, LLVMValueRef x)
{
    LLVMValueRef r = fused(e, n, constant_like(x, -ln2_high), x);
    return fused(e, n, constant_like(x, -ln2_low), r);
}

// In the order in which RISC-V takes every coefficient from a scalar register: addends of fma would
// each be copied to a group of vector registers, of which there are few.
static LLVMValueRef exp_of_reduced(emitter *e, LLVMValueRef r)
{
    LLVMValueRef c[5], square = float_mul(e, r, r);
    for (unsigned i = 0; i < 5; i++)
        c[i] = constant_like(r, exp_series[i]);
    LLVMValueRef low = float_add(e, float_mul(e, r, c[1]), c[0]);
    LLVMValueRef high = float_add(e, fused(e, r, c[3], float_mul(e, square, c[4])), c[2]);
    LLVMValueRef tail = float_mul(e, square, fused(e, square, high, low));
    return float_add(e, constant_like(r, 1.0), float_add(e, r, tail));
}

// 2^n is multiplied in two halves, so that overflow and underflow happen, correctly
// rounded, at the end.
LLVMValueRef math_exp(emitter *e, LLVMValueRef x)
{
    LLVMTypeRef i32 = int_type(e, 32);
    // Not max: a NaN has to stay one. Beyond the upper bound r itself overflows.
    LLVMValueRef low = constant_like(x, -104.0);
    x = choose(e, compare_float(e, LLVMRealOLT, x, low), low, x);
    LLVMValueRef scaled =
        primitive2(e, P_MINNUM, float_mul(e, x, constant_like(x, log2_e)), constant_like(x, 129.0));
    LLVMValueRef shifted = float_add(e, scaled, constant_like(x, rounder));
    LLVMValueRef r = reduced(e, float_sub(e, shifted, constant_like(x, rounder)), x);
    LLVMValueRef y = exp_of_reduced(e, r);
    LLVMValueRef bits = reinterpret(e, shifted, i32);
    LLVMValueRef k = primitive2(e, P_SUB, bits, bits_like(bits, ROUNDER_BITS));
    LLVMValueRef half = primitive2(e, P_ASHR, k, bits_like(k, 1));
    y = float_mul(e, y, power_of_two(e, half));
    return float_mul(e, y, power_of_two(e, primitive2(e, P_SUB, k, half)));
}

// The same bits down to exp(-87): n is added to the exponent of exp(r). Below, results are less
// than 2^-126, and 0 where the exponent would not do.
LLVMValueRef math_exp_nonpositive(emitter *e, LLVMValueRef x)
{
    if (e->level)
        return math_exp(e, x);
    LLVMValueRef shifted =
        float_add(e, float_mul(e, x, constant_like(x, log2_e)), constant_like(x, rounder));
    LLVMValueRef r = reduced(e, float_sub(e, shifted, constant_like(x, rounder)), x);
    LLVMValueRef n = reinterpret(e, shifted, int_type(e, 32));
    LLVMValueRef y = reinterpret(e, exp_of_reduced(e, r), int_type(e, 32));
    y = primitive2(e, P_ADD, y, primitive2(e, P_SHL, n, bits_like(n, 23)));
    LLVMValueRef below = compare_int(e, LLVMIntSLT, n, bits_like(n, ROUNDER_BITS - 126));
    return choose(e, below, constant_like(x, 0.0), reinterpret(e, y, element_of(x)));
}

// exp(-x) for x in -88.7..87, of others (and NaN) what a bound has: within them 2^n exp(r) is
// normal, so that n is added to the exponent of exp(r). The shift leaves nothing of 1.5 * 2^23.
static LLVMValueRef bounded_exp_minus(emitter *e, LLVMValueRef x)
{
    x = primitive2(e, P_MINNUM, x, constant_like(x, 87.0));
    x = primitive2(e, P_MAXNUM, x, constant_like(x, -88.7));
    LLVMValueRef shifted =
        float_add(e, float_mul(e, x, constant_like(x, -log2_e)), constant_like(x, rounder));
    LLVMValueRef n = float_sub(e, shifted, constant_like(x, rounder));
    LLVMValueRef r = reduced(e, n, primitive1(e, P_FNEG, x));
    LLVMValueRef y = exp_of_reduced(e, r);
    LLVMValueRef bits = reinterpret(e, shifted, int_type(e, 32));
    bits = primitive2(e, P_SHL, bits, bits_like(bits, 23));
    bits = primitive2(e, P_ADD, reinterpret(e, y, int_type(e, 32)), bits);
    return reinterpret(e, bits, element_of(x));
}

// |x| < 0.625: x + x^3 q(x^2); beyond: 1 - 2 / (exp(2 |x|) + 1) with x's sign.
LLVMValueRef math_tanh(emitter *e, LLVMValueRef x)
{
    static const double q[] = {-0x1.555532p-2, 0x1.110726p-3, -0x1.b83c5ap-5, 0x1.52269cp-6,
                               -0x1.75e1d0p-8};
    LLVMValueRef one = constant_like(x, 1.0), two = constant_like(x, 2.0);
    LLVMValueRef size = primitive1(e, P_FABS, x), square = float_mul(e, x, x);
    LLVMValueRef small = fused(e, float_mul(e, square, x), POLYNOMIAL(e, square, q), x);
    LLVMValueRef power = math_exp(e, float_add(e, size, size));
    LLVMValueRef large = float_sub(e, one, primitive2(e, P_FDIV, two, float_add(e, power, one)));
    large = primitive2(e, P_COPYSIGN, large, x);
    return choose(e, compare_float(e, LLVMRealOLT, size, constant_like(x, 0.625)), small, large);
}

// |x| < 1: x + x p(x^2); beyond: 1 - exp(q(|x|)) with x's sign, q a fit of the
// logarithm of erfc up to 4, where erf has become 1.
LLVMValueRef math_erf(emitter *e, LLVMValueRef x)
{
    static const double p[] = {0x1.06eba8p-3, -0x1.81273ep-2,  0x1.ce2cf8p-4, -0x1.b7f90ep-6,
                               0x1.5405b2p-8, -0x1.a3f700p-11, 0x1.496a34p-14};
    static const double q[] = {-0x1.662170p-12, -0x1.2088eap+0, -0x1.46baf0p-1, -0x1.a6532cp-4,
                               0x1.65cb4cp-6,   -0x1.825aa4p-9, 0x1.86dcfep-13};
    LLVMValueRef one = constant_like(x, 1.0), four = constant_like(x, 4.0);
    LLVMValueRef size = primitive1(e, P_FABS, x), square = float_mul(e, x, x);
    LLVMValueRef small = fused(e, x, POLYNOMIAL(e, square, p), x);
    LLVMValueRef bounded = choose(e, compare_float(e, LLVMRealOGT, size, four), four, size);
    LLVMValueRef large = float_sub(e, one, math_exp(e, POLYNOMIAL(e, bounded, q)));
    large = primitive2(e, P_COPYSIGN, large, x);
    return choose(e, compare_float(e, LLVMRealOLT, size, one), small, large);
}

static LLVMValueRef one_plus_exp_minus(emitter *e, LLVMValueRef x)
{
    return float_add(e, constant_like(x, 1.0), math_exp(e, primitive1(e, P_FNEG, x)));
}

LLVMValueRef math_sigmoid(emitter *e, LLVMValueRef x)
{
    return primitive2(e, P_FDIV, constant_like(x, 1.0), one_plus_exp_minus(e, x));
}

// On RISC-V shorter: what x is divided by need not become infinity or NaN.
LLVMValueRef math_silu(emitter *e, LLVMValueRef x)
{
    if (e->level)
        return primitive2(e, P_FDIV, x, one_plus_exp_minus(e, x));
    return primitive2(e, P_FDIV, x, float_add(e, constant_like(x, 1.0), bounded_exp_minus(e, x)));
}

// x / 2 (1 + y)
static LLVMValueRef half_one_plus(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef half = float_mul(e, x, constant_like(x, 0.5));
    return fused(e, half, y, half);
}

LLVMValueRef math_gelu_erf(emitter *e, LLVMValueRef x)
{
    LLVMValueRef scaled = float_mul(e, x, constant_like(x, 0x1.6a09e6p-1)); // 1 / sqrt 2
    return half_one_plus(e, x, math_erf(e, scaled));
}

LLVMValueRef math_gelu_tanh(emitter *e, LLVMValueRef x)
{
    const double root = 0x1.988454p-1, cubic = 0x1.6e4e26p-5; // sqrt(2 / pi), 0.044715
    LLVMValueRef inner = fused(e, float_mul(e, float_mul(e, x, x), constant_like(x, cubic)), x, x);
    return half_one_plus(e, x, math_tanh(e, float_mul(e, inner, constant_like(x, root))));
}

// ----------------------------------------------------------------- sine, cosine

// A quarter turn in two parts. Up to |x| = 2^45 the number n of quarters nearest to x is found
// right, and x - n * high is exact: both are multiples of 2^-52 and less than 1 apart.
static const double quarter_high = 0x1.921fb54442d18p+0, quarter_low = 0x1.1a62633145c07p-54;
static const double largest_angle = 0x1p45;

// sin r = r + r^3 s(r^2), cos r = 1 + r^2 c(r^2): Taylor's series. For |r| <= pi / 4 the first term
// left out is below 2^-59 of the result.
static const double sine_series[] = {
    -1.0 / 6,        1.0 / 120,          -1.0 / 5040,         1.0 / 362880,
    -1.0 / 39916800, 1.0 / 6227020800.0, -1.0 / 1307674368e3, 1.0 / 355687428096e3};
static const double cosine_series[] = {
    -1.0 / 2,       1.0 / 24,        -1.0 / 720,           1.0 / 40320,
    -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200.0, 1.0 / 20922789888e3};

// sin(x + quarters * pi / 2) for f64.
static LLVMValueRef shifted_sine(emitter *e, LLVMValueRef x, int64_t quarters)
{
    const double magic = 0x1.8p52; // the sum's low bits are the nearest integer
    LLVMValueRef shifted = fused(e, x, constant_like(x, 0x1.45f306dc9c883p-1), // 2 / pi
                                 constant_like(x, magic));
    LLVMValueRef n = float_sub(e, shifted, constant_like(x, magic));
    LLVMValueRef r = fused(e, n, constant_like(x, -quarter_high), x);
    r = fused(e, n, constant_like(x, -quarter_low), r);
    LLVMValueRef square = float_mul(e, r, r);
    LLVMValueRef sine = fused(e, float_mul(e, square, r), POLYNOMIAL(e, square, sine_series), r);
    sine = primitive2(e, P_COPYSIGN, sine, r); // of -0, too
    LLVMValueRef cosine =
        fused(e, square, POLYNOMIAL(e, square, cosine_series), constant_like(x, 1.0));
    LLVMValueRef bits = reinterpret(e, shifted, int_type(e, 64));
    LLVMValueRef k = primitive2(e, P_ADD, bits, bits_like(bits, quarters));
    LLVMValueRef odd = primitive2(e, P_AND, k, bits_like(k, 1));
    LLVMValueRef sign =
        primitive2(e, P_SHL, primitive2(e, P_AND, k, bits_like(k, 2)), bits_like(k, 62));
    LLVMValueRef size = choose(e, compare_int(e, LLVMIntNE, odd, bits_like(odd, 0)), cosine, sine);
    LLVMValueRef signed_bits = primitive2(e, P_XOR, reinterpret(e, size, int_type(e, 64)), sign);
    LLVMValueRef y = reinterpret(e, signed_bits, element_of(x));
    LLVMValueRef fits =
        compare_float(e, LLVMRealOLE, primitive1(e, P_FABS, x), constant_like(x, largest_angle));
    return choose(e, fits, y, constant_like(x, NAN));
}

// Of an f32 through f64, which is exact enough to round right nearly always.
static LLVMValueRef through_f64(emitter *e, LLVMValueRef x, int64_t quarters)
{
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->context), from = element_of(x);
    if (from == f64)
        return shifted_sine(e, x, quarters);
    LLVMValueRef y = shifted_sine(e, convert(e, C_FPEXT, x, f64), quarters);
    return convert(e, C_FPTRUNC, y, from);
}

LLVMValueRef math_sin(emitter *e, LLVMValueRef x)
{
    return through_f64(e, x, 0);
}

LLVMValueRef math_cos(emitter *e, LLVMValueRef x)
{
    return through_f64(e, x, 1);
}
