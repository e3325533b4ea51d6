#include "runtime/hart/softfloat.h"

typedef unsigned __int128 uint128;

typedef enum number_kind { KIND_ZERO, KIND_FINITE, KIND_INFINITY, KIND_NAN } number_kind;

// A finite number is significand * 2^(exponent - 62), bit 62 of the significand set.
typedef struct number {
    number_kind kind;
    bool sign, signaling;
    int32_t exponent;
    uint64_t significand;
} number;

static int32_t bias_of(float_format f)
{
    return (1 << (f.exponent - 1)) - 1;
}

static number unpack(float_format f, uint64_t bits)
{
    uint64_t fraction = bits & ((1ull << f.fraction) - 1);
    int32_t exponent = (int32_t)((bits >> f.fraction) & ((1u << f.exponent) - 1));
    number n = {.sign = bits & float_sign_bit(f)};
    if (exponent == (1 << f.exponent) - 1) {
        n.kind = fraction ? KIND_NAN : KIND_INFINITY;
        n.signaling = fraction && !(fraction & float_quiet_bit(f));
    } else if (exponent == 0 && fraction == 0) {
        n.kind = KIND_ZERO;
    } else if (exponent == 0) {
        int shift = __builtin_clzll(fraction) - 1;
        n.kind = KIND_FINITE;
        n.significand = fraction << shift;
        n.exponent = 1 - bias_of(f) + 62 - f.fraction - shift;
    } else {
        n.kind = KIND_FINITE;
        n.significand = (fraction | 1ull << f.fraction) << (62 - f.fraction);
        n.exponent = exponent - bias_of(f);
    }
    return n;
}

// Shift right; bits that fall out are or-ed into the lowest.
static uint64_t shift_jam(uint64_t x, uint32_t by)
{
    if (by > 63)
        return x != 0;
    return x >> by | ((x & ((1ull << by) - 1)) != 0);
}

static uint128 shift_jam128(uint128 x, uint32_t by)
{
    if (by > 127)
        return x != 0;
    return x >> by | ((x & (((uint128)1 << by) - 1)) != 0);
}

static uint64_t round_off(uint64_t x, uint32_t bits, bool sign, uint8_t rounding)
{
    uint64_t mask = (1ull << bits) - 1, half = 1ull << (bits - 1), rest = x & mask;
    uint64_t kept = x >> bits;
    switch (rounding) {
    case ROUND_NEAREST_EVEN: return kept + (rest > half || (rest == half && (kept & 1)));
    case ROUND_NEAREST_AWAY: return kept + (rest >= half);
    case ROUND_DOWN: return kept + (sign && rest);
    case ROUND_UP: return kept + (!sign && rest);
    case ROUND_TO_ODD: return kept | (rest != 0);
    default: return kept;
    }
}

static uint64_t overflow(float_format f, bool sign, float_env *env)
{
    env->flags |= FLAG_OVERFLOW | FLAG_INEXACT;
    bool to_infinity = env->rounding == ROUND_NEAREST_EVEN || env->rounding == ROUND_NEAREST_AWAY ||
                       env->rounding == (sign ? ROUND_DOWN : ROUND_UP);
    return (sign ? float_sign_bit(f) : 0) | (float_infinity(f) - !to_infinity);
}

// Rounds significand * 2^(exponent - 62), bit 62 set, bit 0 sticky.
static uint64_t round_pack(float_format f, bool sign, int32_t exponent, uint64_t significand,
                           float_env *env)
{
    uint32_t dropped = 62 - f.fraction;
    uint64_t sign_bit = sign ? float_sign_bit(f) : 0, mask = (1ull << dropped) - 1;
    int32_t least = 1 - bias_of(f);
    uint64_t rounded = round_off(significand, dropped, sign, env->rounding);
    if (exponent >= least) {
        if (significand & mask)
            env->flags |= FLAG_INEXACT;
        exponent += (int32_t)(rounded >> (f.fraction + 1));
        if (exponent > bias_of(f)) {
            return overflow(f, sign, env);
        }
        // A carry leaves a zero fraction.
        uint64_t fraction = rounded & ((1ull << f.fraction) - 1);
        return sign_bit | (uint64_t)(exponent + bias_of(f)) << f.fraction | fraction;
    }
    bool tiny = exponent < least - 1 || !(rounded >> (f.fraction + 1));
    significand = shift_jam(significand, (uint32_t)(least - exponent));
    if (significand & mask)
        env->flags |= tiny ? FLAG_INEXACT | FLAG_UNDERFLOW : FLAG_INEXACT;
    return sign_bit | round_off(significand, dropped, sign, env->rounding);
}

static uint64_t round_pack128(float_format f, bool sign, int32_t exponent, uint128 significand,
                              float_env *env)
{
    // significand * 2^(exponent - 126), not zero, below 2^128
    uint64_t high = (uint64_t)(significand >> 64);
    int leading = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)significand);
    if (leading <= 65)
        significand = shift_jam128(significand, (uint32_t)(65 - leading));
    else
        significand <<= leading - 65;
    return round_pack(f, sign, exponent + 1 - leading, (uint64_t)significand, env);
}

static uint64_t invalid(float_format f, float_env *env)
{
    env->flags |= FLAG_INVALID;
    return float_canonical_nan(f);
}

static uint64_t nan_result(float_format f, bool signaling, float_env *env)
{
    return signaling ? invalid(f, env) : float_canonical_nan(f);
}

static uint64_t signed_zero(float_format f, bool sign)
{
    return sign ? float_sign_bit(f) : 0;
}

static uint64_t signed_infinity(float_format f, bool sign)
{
    return signed_zero(f, sign) | float_infinity(f);
}

// The zero that x - x gives.
static uint64_t cancelled_zero(float_format f, const float_env *env)
{
    return signed_zero(f, env->rounding == ROUND_DOWN);
}

// Adds finite numbers given as significand * 2^(exponent - 126), either may be zero.
static uint64_t add_aligned(float_format f, bool sign_a, int32_t exponent_a, uint128 a, bool sign_b,
                            int32_t exponent_b, uint128 b, float_env *env)
{
    if (exponent_a < exponent_b)
        return add_aligned(f, sign_b, exponent_b, b, sign_a, exponent_a, a, env);
    b = shift_jam128(b, (uint32_t)(exponent_a - exponent_b));
    if (sign_a == sign_b)
        return round_pack128(f, sign_a, exponent_a, a + b, env);
    if (a == b)
        return cancelled_zero(f, env);
    bool swap = a < b;
    return round_pack128(f, swap ? sign_b : sign_a, exponent_a, swap ? b - a : a - b, env);
}

uint64_t soft_add(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    number x = unpack(f, a), y = unpack(f, b);
    if (x.kind == KIND_NAN || y.kind == KIND_NAN)
        return nan_result(f, x.signaling || y.signaling, env);
    if (x.kind == KIND_INFINITY && y.kind == KIND_INFINITY && x.sign != y.sign)
        return invalid(f, env);
    if (x.kind == KIND_INFINITY || y.kind == KIND_INFINITY)
        return x.kind == KIND_INFINITY ? a : b;
    if (x.kind == KIND_ZERO && y.kind == KIND_ZERO)
        return x.sign == y.sign ? a : cancelled_zero(f, env);
    if (x.kind == KIND_ZERO || y.kind == KIND_ZERO)
        return x.kind == KIND_ZERO ? b : a;
    return add_aligned(f, x.sign, x.exponent, (uint128)x.significand << 64, y.sign, y.exponent,
                       (uint128)y.significand << 64, env);
}

uint64_t soft_sub(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    return soft_add(f, a, float_is_nan(f, b) ? b : b ^ float_sign_bit(f), env);
}

uint64_t soft_mul(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    number x = unpack(f, a), y = unpack(f, b);
    bool sign = x.sign != y.sign;
    if (x.kind == KIND_NAN || y.kind == KIND_NAN)
        return nan_result(f, x.signaling || y.signaling, env);
    if (x.kind == KIND_INFINITY || y.kind == KIND_INFINITY)
        return x.kind == KIND_ZERO || y.kind == KIND_ZERO ? invalid(f, env)
                                                          : signed_infinity(f, sign);
    if (x.kind == KIND_ZERO || y.kind == KIND_ZERO)
        return signed_zero(f, sign);
    return round_pack128(f, sign, x.exponent + y.exponent + 2,
                         (uint128)x.significand * y.significand, env);
}

uint64_t soft_fma(float_format f, uint64_t a, uint64_t b, uint64_t c, float_env *env)
{
    number x = unpack(f, a), y = unpack(f, b), z = unpack(f, c);
    bool sign = x.sign != y.sign;
    bool no_product = (x.kind == KIND_INFINITY && y.kind == KIND_ZERO) ||
                      (x.kind == KIND_ZERO && y.kind == KIND_INFINITY);
    if (no_product)
        return invalid(f, env); // even when the addend is a quiet NaN
    if (x.kind == KIND_NAN || y.kind == KIND_NAN || z.kind == KIND_NAN)
        return nan_result(f, x.signaling || y.signaling || z.signaling, env);
    if (x.kind == KIND_INFINITY || y.kind == KIND_INFINITY)
        return z.kind == KIND_INFINITY && z.sign != sign ? invalid(f, env)
                                                         : signed_infinity(f, sign);
    if (z.kind == KIND_INFINITY)
        return c;
    if (x.kind == KIND_ZERO || y.kind == KIND_ZERO) {
        if (z.kind != KIND_ZERO)
            return c;
        return z.sign == sign ? c : cancelled_zero(f, env);
    }
    uint128 product = (uint128)x.significand * y.significand; // bit 124 or 125 set
    int32_t exponent = x.exponent + y.exponent + 2;
    if (z.kind == KIND_ZERO)
        return round_pack128(f, sign, exponent, product, env);
    return add_aligned(f, sign, exponent, product, z.sign, z.exponent, (uint128)z.significand << 64,
                       env);
}

uint64_t soft_div(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    number x = unpack(f, a), y = unpack(f, b);
    bool sign = x.sign != y.sign;
    if (x.kind == KIND_NAN || y.kind == KIND_NAN)
        return nan_result(f, x.signaling || y.signaling, env);
    if (x.kind == y.kind && x.kind != KIND_FINITE)
        return invalid(f, env);
    if (x.kind == KIND_INFINITY)
        return signed_infinity(f, sign);
    if (x.kind == KIND_ZERO || y.kind == KIND_INFINITY)
        return signed_zero(f, sign);
    if (y.kind == KIND_ZERO) {
        env->flags |= FLAG_DIVIDE_BY_ZERO;
        return signed_infinity(f, sign);
    }
    int32_t exponent = x.exponent - y.exponent;
    if (x.significand < y.significand) {
        x.significand <<= 1;
        exponent--;
    }
    uint128 dividend = (uint128)x.significand << 62;
    uint64_t quotient = (uint64_t)(dividend / y.significand);
    return round_pack(f, sign, exponent, quotient | (dividend % y.significand != 0), env);
}

// Largest r with r * r <= x.
static uint64_t integer_sqrt(uint128 x)
{
    uint64_t root = 0;
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t trial = root | 1ull << bit;
        if ((uint128)trial * trial <= x)
            root = trial;
    }
    return root;
}

uint64_t soft_sqrt(float_format f, uint64_t a, float_env *env)
{
    number x = unpack(f, a);
    if (x.kind == KIND_NAN)
        return nan_result(f, x.signaling, env);
    if (x.kind == KIND_ZERO)
        return a;
    if (x.sign)
        return invalid(f, env);
    if (x.kind == KIND_INFINITY)
        return a;
    int odd = x.exponent & 1;
    uint128 radicand = (uint128)x.significand << (62 + odd);
    uint64_t root = integer_sqrt(radicand);
    bool inexact = (uint128)root * root != radicand;
    return round_pack(f, false, (x.exponent - odd) / 2, root | inexact, env);
}

uint64_t soft_convert(float_format from, float_format to, uint64_t a, float_env *env)
{
    number x = unpack(from, a);
    switch (x.kind) {
    case KIND_NAN: return nan_result(to, x.signaling, env);
    case KIND_INFINITY: return signed_infinity(to, x.sign);
    case KIND_ZERO: return signed_zero(to, x.sign);
    default: return round_pack(to, x.sign, x.exponent, x.significand, env);
    }
}

static uint64_t from_magnitude(float_format f, bool sign, uint64_t magnitude, float_env *env)
{
    if (magnitude == 0)
        return 0;
    return round_pack128(f, sign, 126, magnitude, env);
}

uint64_t soft_from_unsigned(float_format f, uint64_t value, float_env *env)
{
    return from_magnitude(f, false, value, env);
}

uint64_t soft_from_signed(float_format f, int64_t value, float_env *env)
{
    return from_magnitude(f, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value, env);
}

// The integer nearest to |x|, x finite or zero; false when it is 2^64 or more.
static bool round_to_magnitude(const number *x, uint8_t rounding, uint64_t *magnitude,
                               bool *inexact)
{
    *magnitude = 0;
    *inexact = false;
    if (x->kind == KIND_ZERO)
        return true;
    if (x->exponent >= 64)
        return false;
    if (x->exponent >= 62) {
        *magnitude = x->significand << (x->exponent - 62);
        return true;
    }
    // Two extra bits: the half and the sticky one.
    uint32_t shift = (uint32_t)(62 - x->exponent);
    uint64_t scaled = shift >= 2 ? shift_jam(x->significand, shift - 2) : x->significand << 1;
    *inexact = scaled & 3;
    *magnitude = round_off(scaled, 2, x->sign, rounding);
    return true;
}

uint64_t soft_to_unsigned(float_format f, uint64_t a, unsigned bits, float_env *env)
{
    number x = unpack(f, a);
    uint64_t largest = ~0ull >> (64 - bits), magnitude;
    bool inexact, negative = x.sign && x.kind != KIND_NAN;
    bool representable = x.kind <= KIND_FINITE &&
                         round_to_magnitude(&x, env->rounding, &magnitude, &inexact) &&
                         magnitude <= largest && (!negative || magnitude == 0);
    if (!representable) {
        env->flags |= FLAG_INVALID;
        return negative ? 0 : largest;
    }
    if (inexact)
        env->flags |= FLAG_INEXACT;
    return magnitude;
}

int64_t soft_to_signed(float_format f, uint64_t a, unsigned bits, float_env *env)
{
    number x = unpack(f, a);
    uint64_t largest = ~0ull >> (65 - bits), magnitude;
    bool inexact, negative = x.sign && x.kind != KIND_NAN;
    bool representable = x.kind <= KIND_FINITE &&
                         round_to_magnitude(&x, env->rounding, &magnitude, &inexact) &&
                         magnitude <= largest + negative;
    if (!representable) {
        env->flags |= FLAG_INVALID;
        return (int64_t)(negative ? ~largest : largest);
    }
    if (inexact)
        env->flags |= FLAG_INEXACT;
    return (int64_t)(negative ? -magnitude : magnitude);
}

// Order of the values, NaN excluded: maps to integers, both zeros to 0.
static int64_t order_key(float_format f, uint64_t a)
{
    int64_t magnitude = (int64_t)(a & (float_sign_bit(f) - 1));
    return a & float_sign_bit(f) ? -magnitude : magnitude;
}

static bool unordered(float_format f, uint64_t a, uint64_t b, bool quiet, float_env *env)
{
    if (!float_is_nan(f, a) && !float_is_nan(f, b))
        return false;
    if (!quiet || float_is_signaling(f, a) || float_is_signaling(f, b))
        env->flags |= FLAG_INVALID;
    return true;
}

bool soft_equal(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    return !unordered(f, a, b, true, env) && order_key(f, a) == order_key(f, b);
}

bool soft_less(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    return !unordered(f, a, b, false, env) && order_key(f, a) < order_key(f, b);
}

bool soft_less_equal(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    return !unordered(f, a, b, false, env) && order_key(f, a) <= order_key(f, b);
}

static uint64_t select_extreme(float_format f, uint64_t a, uint64_t b, bool largest, float_env *env)
{
    if (unordered(f, a, b, true, env)) {
        if (float_is_nan(f, a))
            return float_is_nan(f, b) ? float_canonical_nan(f) : b;
        return a;
    }
    int64_t x = order_key(f, a), y = order_key(f, b);
    bool a_less = x != y ? x < y : (a & float_sign_bit(f)) != 0; // -0 below +0
    return a_less == largest ? b : a;
}

uint64_t soft_minimum(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    return select_extreme(f, a, b, false, env);
}

uint64_t soft_maximum(float_format f, uint64_t a, uint64_t b, float_env *env)
{
    return select_extreme(f, a, b, true, env);
}

unsigned soft_classify(float_format f, uint64_t a)
{
    bool sign = a & float_sign_bit(f);
    uint64_t magnitude = a & (float_sign_bit(f) - 1);
    if (float_is_nan(f, a))
        return float_is_signaling(f, a) ? 1 << 8 : 1 << 9;
    if (magnitude == float_infinity(f))
        return sign ? 1 << 0 : 1 << 7;
    if (magnitude == 0)
        return sign ? 1 << 3 : 1 << 4;
    if (magnitude < 1ull << f.fraction)
        return sign ? 1 << 2 : 1 << 5;
    return sign ? 1 << 1 : 1 << 6;
}

// Entry i: the 7 fraction bits of 1 / (1 + (i + 0.5) / 128), taken from [0.5, 1).
static unsigned reciprocal_entry(unsigned i)
{
    // 256 / (1 + (2i + 1) / 256) - 128, rounded to nearest
    unsigned denominator = 257 + 2 * i;
    return (2 * 65536 / denominator + 1) / 2 - 128;
}

// Entry i: the same of 1 / sqrt of [2, 4) for i < 64, of [1, 2) above.
static unsigned reciprocal_sqrt_entry(unsigned i)
{
    // 256 / sqrt(x) - 128, rounded, x = (2 or 1) * (1 + (2 (i % 64) + 1) / 128)
    unsigned numerator = (129 + 2 * (i % 64)) * (i < 64 ? 2 : 1);
    // 512 / sqrt(numerator / 128) = sqrt(2^25 / numerator)
    uint64_t twice = integer_sqrt((1u << 25) / numerator);
    return (unsigned)((twice + 1) / 2 - 128);
}

uint64_t soft_reciprocal7(float_format f, uint64_t a, float_env *env)
{
    number x = unpack(f, a);
    if (x.kind == KIND_NAN)
        return nan_result(f, x.signaling, env);
    if (x.kind == KIND_INFINITY)
        return signed_zero(f, x.sign);
    if (x.kind == KIND_ZERO) {
        env->flags |= FLAG_DIVIDE_BY_ZERO;
        return signed_infinity(f, x.sign);
    }
    int32_t least = 1 - bias_of(f);
    if (x.exponent < least - 2)
        return overflow(f, x.sign, env);
    uint64_t fraction = reciprocal_entry((x.significand >> 55) & 127);
    int32_t exponent = -1 - x.exponent; // of the result
    uint64_t sign = signed_zero(f, x.sign);
    if (exponent >= least)
        return sign | (uint64_t)(exponent + bias_of(f)) << f.fraction |
               fraction << (f.fraction - 7);
    uint64_t significand = (128 | fraction) << (f.fraction - 7);
    return sign | significand >> (least - exponent);
}

uint64_t soft_reciprocal_sqrt7(float_format f, uint64_t a, float_env *env)
{
    number x = unpack(f, a);
    if (x.kind == KIND_NAN)
        return nan_result(f, x.signaling, env);
    if (x.kind == KIND_ZERO) {
        env->flags |= FLAG_DIVIDE_BY_ZERO;
        return signed_infinity(f, x.sign);
    }
    if (x.sign)
        return invalid(f, env);
    if (x.kind == KIND_INFINITY)
        return 0;
    bool odd = x.exponent & 1;
    unsigned index = (odd ? 0 : 64) | ((x.significand >> 56) & 63);
    int32_t exponent = -1 - (x.exponent - odd) / 2;
    return (uint64_t)(exponent + bias_of(f)) << f.fraction | (uint64_t)reciprocal_sqrt_entry(index)
                                                                 << (f.fraction - 7);
}
