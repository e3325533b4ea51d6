// Floating point through the library: printed to the last bit.
#include <complex.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void functions(void)
{
    static const struct {
        const char *name;
        double (*of)(double);
        float (*single)(float);
    } rows[] = {{"sin", sin, sinf},       {"cos", cos, cosf},       {"tan", tan, tanf},
                {"exp", exp, expf},       {"log", log, logf},       {"sqrt", sqrt, sqrtf},
                {"cbrt", cbrt, cbrtf},    {"tanh", tanh, tanhf},    {"asin", asin, asinf},
                {"atan", atan, atanf},    {"erf", erf, erff},       {"lgamma", lgamma, lgammaf},
                {"floor", floor, floorf}, {"ceil", ceil, ceilf},    {"rint", rint, rintf},
                {"round", round, roundf}, {"trunc", trunc, truncf}, {"exp2", exp2, exp2f},
                {"log1p", log1p, log1pf}, {"sinh", sinh, sinhf}};
    static const double points[] = {-7.5, -1, -0.5, -1e-9, 0, 0.3, 0.5, 1, 2.5, 10, 700, 1e22};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        printf("%s", rows[i].name);
        for (size_t j = 0; j < sizeof points / sizeof *points; j++) {
            double y = rows[i].of(points[j]);
            float z = rows[i].single((float)points[j]);
            printf(isnan(y) ? " nan" : " %a", y);
            printf(isnan(z) ? " nan" : " %a", z);
        }
        printf("\n");
    }
}

static void pairs(void)
{
    for (double x = -3; x < 4; x += 1.25)
        for (double y = -2; y < 3; y += 0.75)
            printf("%.17g %.17g %.17g %.17g %.17g %.9g\n", pow(fabs(x), y), atan2(x, y), fmod(x, y),
                   hypot(x, y), fma(x, y, 0.1), powf(fabsf((float)x), (float)y));
    int exponent;
    double fraction = frexp(1234.5, &exponent), whole;
    printf("%a %d %a %a %a\n", fraction, exponent, ldexp(0.7, 20), modf(-5.25, &whole), whole);
    printf("%ld %ld %lld %d %a\n", lrint(2.5), lround(-2.5), llrint(1e15 + 0.5), ilogb(1e-300),
           nextafter(1, 2));
}

static void modes(void)
{
    static const int rounding[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    volatile double one = 1, three = 3, huge = DBL_MAX, half = 2.5;
    for (int i = 0; i < 4; i++) {
        fesetround(rounding[i]);
        feclearexcept(FE_ALL_EXCEPT);
        volatile double third = one / three, negative = -one / three, rounded = rint(half);
        int exact = fetestexcept(FE_INEXACT) != 0;
        volatile double infinite = huge * huge;
        printf("%a %a %g %d %d %g %.3f\n", third, negative, rounded, exact,
               fetestexcept(FE_OVERFLOW) != 0, infinite, 0.0005);
    }
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    volatile double nothing = 0, bad = nothing / nothing, pole = one / nothing;
    printf("%d %d %d %g\n", isnan(bad) != 0, fetestexcept(FE_INVALID) != 0,
           fetestexcept(FE_DIVBYZERO) != 0, pole);
}

static void conversions(void)
{
    static const double values[] = {0.9, -0.9, 1e9, -1e9, 3e9, 1e18, 123.5};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        volatile double d = values[i];
        volatile float f = (float)d;
        printf("%lld %a %a %lld\n", (long long)d, (double)f, (double)(float)(long long)d,
               (long long)(f * 0.25f));
    }
    volatile int64_t i = -0x123456789abcdef;
    volatile uint64_t u = 0xfedcba9876543210;
    printf("%a %a %a %a\n", (double)i, (double)u, (double)(float)i, (double)(float)u);
    long double q = 1.0L / 3 + sqrtl(2.0L) * powl(1.1L, 5);
    double complex z = cexp(1 + 2 * I) * conj(0.5 - I);
    printf("%.33Lg %a %a %a\n", q, creal(z), cimag(z), cabs(z));
}

int main(void)
{
    functions();
    pairs();
    modes();
    conversions();
    return 0;
}
