// IEEE 754 arithmetic as RISC-V defines it, on bit patterns of four formats: every rounding mode,
// exact flags, tininess detected after rounding, canonical NaN results. Integer arithmetic, so the
// same on every host; `fast_float.h` puts host arithmetic in front where it gives the same.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct float_format {
    uint8_t fraction; // bits
    uint8_t exponent;
} float_format;

#define FLOAT_F16 ((float_format){10, 5})
#define FLOAT_BF16 ((float_format){7, 8})
#define FLOAT_F32 ((float_format){23, 8})
#define FLOAT_F64 ((float_format){52, 11})

enum {
    ROUND_NEAREST_EVEN = 0,
    ROUND_TOWARD_ZERO = 1,
    ROUND_DOWN = 2,
    ROUND_UP = 3,
    ROUND_NEAREST_AWAY = 4,
    ROUND_DYNAMIC = 7,
    ROUND_TO_ODD = 8, // vfncvt.rod only
};

enum {
    FLAG_INEXACT = 1,
    FLAG_UNDERFLOW = 2,
    FLAG_OVERFLOW = 4,
    FLAG_DIVIDE_BY_ZERO = 8,
    FLAG_INVALID = 16,
};

// Rounding mode in, flags or-ed out.
typedef struct float_env {
    uint8_t rounding, flags;
} float_env;

static inline uint64_t float_sign_bit(float_format f)
{
    return 1ull << (f.fraction + f.exponent);
}
static inline uint64_t float_infinity(float_format f)
{
    return ((1ull << f.exponent) - 1) << f.fraction;
}
static inline uint64_t float_quiet_bit(float_format f)
{
    return 1ull << (f.fraction - 1);
}
static inline uint64_t float_canonical_nan(float_format f)
{
    return float_infinity(f) | float_quiet_bit(f);
}
static inline bool float_is_nan(float_format f, uint64_t a)
{
    return (a & ~float_sign_bit(f)) > float_infinity(f);
}
static inline bool float_is_signaling(float_format f, uint64_t a)
{
    return float_is_nan(f, a) && !(a & float_quiet_bit(f));
}

uint64_t soft_add(float_format f, uint64_t a, uint64_t b, float_env *env);
uint64_t soft_sub(float_format f, uint64_t a, uint64_t b, float_env *env);
uint64_t soft_mul(float_format f, uint64_t a, uint64_t b, float_env *env);
uint64_t soft_div(float_format f, uint64_t a, uint64_t b, float_env *env);
uint64_t soft_sqrt(float_format f, uint64_t a, float_env *env);
uint64_t soft_fma(float_format f, uint64_t a, uint64_t b, uint64_t c, float_env *env); // a*b + c

uint64_t soft_convert(float_format from, float_format to, uint64_t a, float_env *env);
uint64_t soft_from_unsigned(float_format f, uint64_t value, float_env *env);
uint64_t soft_from_signed(float_format f, int64_t value, float_env *env);
// Saturated to `bits` (8 .. 64); NaN gives the largest value. Sign-extended when signed.
uint64_t soft_to_unsigned(float_format f, uint64_t a, unsigned bits, float_env *env);
int64_t soft_to_signed(float_format f, uint64_t a, unsigned bits, float_env *env);

bool soft_equal(float_format f, uint64_t a, uint64_t b, float_env *env); // quiet
bool soft_less(float_format f, uint64_t a, uint64_t b, float_env *env);  // signaling
bool soft_less_equal(float_format f, uint64_t a, uint64_t b, float_env *env);
uint64_t soft_minimum(float_format f, uint64_t a, uint64_t b, float_env *env);
uint64_t soft_maximum(float_format f, uint64_t a, uint64_t b, float_env *env);
unsigned soft_classify(float_format f, uint64_t a); // the mask of fclass

// The 7-bit estimates of V.
uint64_t soft_reciprocal7(float_format f, uint64_t a, float_env *env);
uint64_t soft_reciprocal_sqrt7(float_format f, uint64_t a, float_env *env);
