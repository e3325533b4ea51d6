// Host arithmetic where it provably gives the bits and flags of softfloat.h, which does the rest.
//
// Used in nearest-even for results in the normal range (no underflow, no overflow, no NaN). The
// only flag left is inexact: known when it is already set, or else found from the exact error. IEEE
// 754 fixes all of this, so every host gives the same.
#pragma once

#include "runtime/hart/softfloat.h"

#include <math.h>
#include <string.h>

static inline float f32_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float x;
    memcpy(&x, &low, sizeof x);
    return x;
}
static inline uint64_t bits_of_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline double f64_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline uint64_t bits_of_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// Largest finite, and what a result must exceed for its error to be representable.
#define LARGEST_F32 0x1.fffffep127f
#define SAFE_F32 0x1p-126f
#define LARGEST_F64 0x1.fffffffffffffp1023
#define SAFE_F64 0x1p-960

#define NEAREST(env) __builtin_expect((env)->rounding == ROUND_NEAREST_EVEN, 1)
#define KNOWN_INEXACT(env) ((env)->flags & FLAG_INEXACT)

// The exact error of r = a + b is zero (Knuth's two-sum).
#define SUM_IS_EXACT(type, a, b, r)                                                                \
    __extension__({                                                                                \
        type second = (r) - (a);                                                                   \
        ((a) - ((r) - second)) + ((b) - second) == 0;                                              \
    })

#define FAST_BINARY(name, W, format, type, safe, exact)                                            \
    static inline uint64_t name##_##W(uint64_t x, uint64_t y, float_env *env)                      \
    {                                                                                              \
        type a = W##_of(x), b = W##_of(y), r = FAST_##name(a, b);                                  \
        if (NEAREST(env) && (safe)) {                                                              \
            if (!KNOWN_INEXACT(env) && !(exact))                                                   \
                env->flags |= FLAG_INEXACT;                                                        \
            return bits_of_##W(r);                                                                 \
        }                                                                                          \
        return soft_##name(format, x, y, env);                                                     \
    }
#define FAST_add(a, b) ((a) + (b))
#define FAST_sub(a, b) ((a) - (b))
#define FAST_mul(a, b) ((a) * (b))
#define FAST_div(a, b) ((a) / (b))

#define F32 (FLOAT_F32)
#define F64 (FLOAT_F64)
FAST_BINARY(add, f32, F32, float, fabsf(r) <= LARGEST_F32, SUM_IS_EXACT(float, a, b, r))
FAST_BINARY(add, f64, F64, double, fabs(r) <= LARGEST_F64, SUM_IS_EXACT(double, a, b, r))
FAST_BINARY(sub, f32, F32, float, fabsf(r) <= LARGEST_F32, SUM_IS_EXACT(float, a, -b, r))
FAST_BINARY(sub, f64, F64, double, fabs(r) <= LARGEST_F64, SUM_IS_EXACT(double, a, -b, r))
FAST_BINARY(mul, f32, F32, float, (fabsf(r) <= LARGEST_F32 && fabsf(r) > SAFE_F32),
            (double)a *b == r)
FAST_BINARY(mul, f64, F64, double, (fabs(r) <= LARGEST_F64 && fabs(r) > SAFE_F64),
            fma(a, b, -r) == 0)
FAST_BINARY(div, f32, F32, float,
            (fabsf(r) <= LARGEST_F32 && fabsf(r) > SAFE_F32 && fabsf(b) <= LARGEST_F32 && b != 0),
            (double)r *b == a)
FAST_BINARY(div, f64, F64, double,
            (fabs(r) <= LARGEST_F64 && fabs(r) > SAFE_F64 && fabs(a) > SAFE_F64 &&
             fabs(b) <= LARGEST_F64 && b != 0),
            fma(-r, b, a) == 0)

static inline uint64_t sqrt_f32(uint64_t x, float_env *env)
{
    float a = f32_of(x), r = sqrtf(a);
    if (!NEAREST(env) || !(a > SAFE_F32 && a <= LARGEST_F32))
        return soft_sqrt(F32, x, env);
    if (!KNOWN_INEXACT(env) && (double)r * r != a)
        env->flags |= FLAG_INEXACT;
    return bits_of_f32(r);
}

static inline uint64_t sqrt_f64(uint64_t x, float_env *env)
{
    double a = f64_of(x), r = sqrt(a);
    if (!NEAREST(env) || !(a > SAFE_F64 && a <= LARGEST_F64))
        return soft_sqrt(F64, x, env);
    if (!KNOWN_INEXACT(env) && fma(-r, r, a) != 0)
        env->flags |= FLAG_INEXACT;
    return bits_of_f64(r);
}

static inline uint64_t fma_f32(uint64_t x, uint64_t y, uint64_t z, float_env *env)
{
    float a = f32_of(x), b = f32_of(y), c = f32_of(z), r = fmaf(a, b, c);
    if (!NEAREST(env) || !(fabsf(r) <= LARGEST_F32 && fabsf(r) > SAFE_F32))
        return soft_fma(F32, x, y, z, env);
    if (!KNOWN_INEXACT(env)) {
        double product = (double)a * b, sum = product + c;
        if (sum != r || !SUM_IS_EXACT(double, product, (double)c, sum))
            env->flags |= FLAG_INEXACT;
    }
    return bits_of_f32(r);
}

static inline uint64_t fma_f64(uint64_t x, uint64_t y, uint64_t z, float_env *env)
{
    double r = fma(f64_of(x), f64_of(y), f64_of(z));
    if (NEAREST(env) && KNOWN_INEXACT(env) && fabs(r) <= LARGEST_F64 && fabs(r) > SAFE_F64)
        return bits_of_f64(r);
    return soft_fma(F64, x, y, z, env);
}

#define F16 (FLOAT_F16)

// Half precision: sums and products of halves are exact in double, so one rounding is left, done on
// the bits. Halves that are not normal take the long way.
static inline bool f16_is_plain(uint64_t x)
{
    return (x & 0x7fff) == 0 || (x & 0x7fff) - 0x400u < 0x7800;
}

static inline double double_of_f16(uint64_t x)
{
    uint32_t magnitude = x & 0x7fff;
    uint32_t bits = magnitude ? (magnitude << 13) + (112u << 23) : 0;
    return f32_of((x & 0x8000) << 16 | bits);
}

// Rounds an exact result in nearest-even. False: outside the normal range.
static inline bool f16_from_exact(double exact, uint64_t *result, float_env *env)
{
    uint64_t bits = bits_of_f64(exact), magnitude = bits & ~(1ull << 63);
    if (!(magnitude >= 0x3f10000000000000 && magnitude <= 0x40effc0000000000)) // 2^-14 .. 65504
        return false;
    if (magnitude << 22)
        env->flags |= FLAG_INEXACT;
    uint64_t rounded = (magnitude + 0x1ffffffffff + (magnitude >> 42 & 1)) >> 42;
    *result = (bits >> 48 & 0x8000) | (rounded - (1008u << 10));
    return true;
}

#define FAST_HALF(name)                                                                            \
    static inline uint64_t name##_f16(uint64_t x, uint64_t y, float_env *env)                      \
    {                                                                                              \
        uint64_t r;                                                                                \
        if (NEAREST(env) && f16_is_plain(x) && f16_is_plain(y) &&                                  \
            f16_from_exact(FAST_##name(double_of_f16(x), double_of_f16(y)), &r, env))              \
            return r;                                                                              \
        return soft_##name(F16, x, y, env);                                                        \
    }
FAST_HALF(add)
FAST_HALF(sub)
FAST_HALF(mul)

static inline uint64_t fma_f16(uint64_t x, uint64_t y, uint64_t z, float_env *env)
{
    if (NEAREST(env) && f16_is_plain(x) && f16_is_plain(y) && f16_is_plain(z)) {
        double product = double_of_f16(x) * double_of_f16(y), c = double_of_f16(z);
        double sum = product + c;
        uint64_t r;
        if (SUM_IS_EXACT(double, product, c, sum) && f16_from_exact(sum, &r, env))
            return r;
    }
    return soft_fma(F16, x, y, z, env);
}
static inline uint64_t div_f16(uint64_t x, uint64_t y, float_env *env)
{
    return soft_div(F16, x, y, env);
}
static inline uint64_t sqrt_f16(uint64_t x, float_env *env)
{
    return soft_sqrt(F16, x, env);
}

// Conversions, named to_from.
static inline uint64_t f32_from_f16(uint64_t x, float_env *env)
{
    if (!f16_is_plain(x)) // subnormal, infinity, NaN
        return soft_convert(F16, F32, x, env);
    uint32_t magnitude = x & 0x7fff;
    return (x & 0x8000) << 16 | (magnitude ? (magnitude << 13) + (112u << 23) : 0);
}

static inline uint64_t f16_from_f32(uint64_t x, float_env *env)
{
    uint32_t magnitude = x & 0x7fffffff;
    if (magnitude == 0)
        return x >> 16;
    if (!NEAREST(env) || magnitude < 0x38800000 || magnitude > 0x477fe000)
        return soft_convert(F32, F16, x, env);
    if (magnitude & 0x1fff)
        env->flags |= FLAG_INEXACT;
    uint32_t rounded = (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
    return (x >> 16 & 0x8000) | (rounded - (112u << 10));
}

static inline uint64_t f64_from_f32(uint64_t x, float_env *env)
{
    double r = f32_of(x);
    return fabs(r) <= LARGEST_F32 ? bits_of_f64(r) : soft_convert(F32, F64, x, env);
}

static inline uint64_t f32_from_f64(uint64_t x, float_env *env)
{
    double a = f64_of(x);
    float r = (float)a;
    if (!NEAREST(env) || !(fabsf(r) <= LARGEST_F32 && fabsf(r) > SAFE_F32))
        return soft_convert(F64, F32, x, env);
    if (r != a)
        env->flags |= FLAG_INEXACT;
    return bits_of_f32(r);
}

// Comparison: nothing is raised without NaN.
#define FAST_COMPARE(name, W, format, relation)                                                    \
    static inline bool name##_##W(uint64_t x, uint64_t y, float_env *env)                          \
    {                                                                                              \
        bool unordered = isunordered(W##_of(x), W##_of(y));                                        \
        return unordered ? soft_##name(format, x, y, env) : W##_of(x) relation W##_of(y);          \
    }
#define FAST_COMPARES(name, relation)                                                              \
    FAST_COMPARE(name, f32, F32, relation)                                                         \
    FAST_COMPARE(name, f64, F64, relation)                                                         \
    static inline bool name##_f16(uint64_t x, uint64_t y, float_env *env)                          \
    {                                                                                              \
        return soft_##name(F16, x, y, env);                                                        \
    }
FAST_COMPARES(equal, ==)
FAST_COMPARES(less, <)
FAST_COMPARES(less_equal, <=)
#undef FAST_COMPARES
#undef FAST_COMPARE

// To a signed integer of up to 64 bits: quick for values well inside 32 bits.
static inline int64_t signed_from_f32(uint64_t x, unsigned bits, float_env *env)
{
    float a = f32_of(x);
    if (bits < 32 || env->rounding > ROUND_TOWARD_ZERO || !(fabsf(a) < 0x1p22f))
        return soft_to_signed(F32, x, bits, env);
    float magic = copysignf(0x1p23f, a);
    float r = env->rounding == ROUND_NEAREST_EVEN ? (a + magic) - magic : (float)(int32_t)a;
    if (r != a)
        env->flags |= FLAG_INEXACT;
    return (int32_t)r;
}

// From integers: exact when small.
static inline uint64_t f32_from_signed(int64_t x, float_env *env)
{
    bool small = x >= -(1 << 24) && x <= 1 << 24;
    return small ? bits_of_f32((float)(int32_t)x) : soft_from_signed(F32, x, env);
}
static inline uint64_t f32_from_unsigned(uint64_t x, float_env *env)
{
    return x <= 1 << 24 ? bits_of_f32((float)(int32_t)x) : soft_from_unsigned(F32, x, env);
}
static inline uint64_t f64_from_signed(int64_t x, float_env *env)
{
    bool small = x >= -(1ll << 53) && x <= 1ll << 53;
    return small ? bits_of_f64((double)x) : soft_from_signed(F64, x, env);
}
static inline uint64_t f64_from_unsigned(uint64_t x, float_env *env)
{
    return x <= 1ull << 53 ? bits_of_f64((double)(int64_t)x) : soft_from_unsigned(F64, x, env);
}
static inline uint64_t f16_from_signed(int64_t x, float_env *env)
{
    return soft_from_signed(F16, x, env);
}
static inline uint64_t f16_from_unsigned(uint64_t x, float_env *env)
{
    return soft_from_unsigned(F16, x, env);
}
