#include "support/scalar.h"

#include "support/diagnostic.h"

#include <float.h>
#include <math.h>
#include <string.h>

const scalar_row scalar_rows[SCALAR_COUNT] = {
#define SCALAR(E, text, width, kind, descr) {text, width, kind, descr},
    SCALAR_TYPES(SCALAR)
#undef SCALAR
};

bool scalar_by_name(const char *name, scalar_type *out)
{
    for (unsigned t = 0; t < SCALAR_COUNT; t++) {
        if (strcmp(scalar_rows[t].name, name) == 0) {
            *out = (scalar_type)t;
            return true;
        }
    }
    return false;
}

// ------------------------------------------------------------------ narrow floats

// A binary float format: 1 sign, `exponent` and `mantissa` bits, IEEE bias.
typedef struct float_format {
    unsigned exponent, mantissa;
    bool infinities; // false: e4m3, whose largest code is the one NaN
} float_format;

static const float_format half = {5, 10, true};
static const float_format brain = {8, 7, true};
static const float_format quarter4 = {4, 3, false};
static const float_format quarter5 = {5, 2, true};

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// Magnitude code of a finite |x|, rounded once; may exceed the largest finite code.
static uint32_t round_magnitude(uint64_t bits, float_format f)
{
    int least = 2 - (1 << (f.exponent - 1)); // exponent of the smallest normal number
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    if (exponent < least - (int)f.mantissa - 1)
        return 0; // below half of the smallest subnormal (double subnormals too)
    uint64_t m = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    unsigned shift = 52 - f.mantissa + (exponent < least ? (unsigned)(least - exponent) : 0);
    uint64_t kept = m >> shift, rest = m & ((UINT64_C(1) << shift) - 1);
    uint64_t middle = UINT64_C(1) << (shift - 1);
    if (rest > middle || (rest == middle && kept & 1))
        kept++; // a carry moves into the exponent by itself
    uint64_t binade = exponent > least ? (uint64_t)(exponent - least) : 0;
    return (uint32_t)((binade << f.mantissa) + kept);
}

static uint32_t narrow(double x, float_format f)
{
    uint64_t bits = bits_of(x);
    uint32_t sign = (uint32_t)(bits >> 63) << (f.exponent + f.mantissa);
    uint32_t infinity = ((1u << f.exponent) - 1) << f.mantissa;
    uint32_t all_ones = infinity | ((1u << f.mantissa) - 1);
    if (isnan(x)) {
        uint32_t payload = (uint32_t)(bits >> (52 - f.mantissa)) & ((1u << f.mantissa) - 1);
        return sign | (f.infinities ? infinity | payload | 1u << (f.mantissa - 1) : all_ones);
    }
    uint32_t limit = f.infinities ? infinity : all_ones - 1;
    if (isinf(x))
        return sign | limit;
    uint32_t code = round_magnitude(bits, f);
    return sign | (code > limit ? limit : code);
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float widen(uint32_t code, float_format f)
{
    unsigned width = f.exponent + f.mantissa, up = 23 - f.mantissa;
    int bias = (1 << (f.exponent - 1)) - 1;
    uint32_t magnitude = code & ((1u << width) - 1), sign = (code >> width & 1) << 31;
    uint32_t infinity = ((1u << f.exponent) - 1) << f.mantissa;
    if (f.infinities ? magnitude > infinity : magnitude == (1u << width) - 1)
        return float_of(sign | 0x7fc00000u | (magnitude - infinity) << up);
    if (f.infinities && magnitude == infinity)
        return float_of(sign | 0x7f800000u);
    if (magnitude >> f.mantissa)
        return float_of(sign | ((magnitude << up) + ((uint32_t)(127 - bias) << 23)));
    float value = ldexpf((float)magnitude, 1 - bias - (int)f.mantissa); // zero or subnormal
    return sign ? -value : value;
}

uint16_t f16_from_double(double x)
{
    return (uint16_t)narrow(x, half);
}
uint16_t f16_from_float(float x)
{
    return (uint16_t)narrow((double)x, half);
}
float f16_to_float(uint16_t bits)
{
    return widen(bits, half);
}
uint16_t bf16_from_double(double x)
{
    return (uint16_t)narrow(x, brain);
}
uint16_t bf16_from_float(float x)
{
    return (uint16_t)narrow((double)x, brain);
}
uint8_t e4m3_from_double(double x)
{
    return (uint8_t)narrow(x, quarter4);
}
float e4m3_to_float(uint8_t bits)
{
    return widen(bits, quarter4);
}
uint8_t e5m2_from_double(double x)
{
    return (uint8_t)narrow(x, quarter5);
}
float e5m2_to_float(uint8_t bits)
{
    return widen(bits, quarter5);
}

float bf16_to_float(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

// ------------------------------------------------------------------ any type

#define LOAD_AS(type)                                                                              \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, at, sizeof v);                                                                  \
        return (double)v;                                                                          \
    }
#define LOAD_BITS(type, convert)                                                                   \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, at, sizeof v);                                                                  \
        return (double)convert(v);                                                                 \
    }

double scalar_load(scalar_type t, const void *at)
{
    switch (t) {
    case SCALAR_F64: LOAD_AS(double)
    case SCALAR_F32: LOAD_AS(float)
    case SCALAR_F16: LOAD_BITS(uint16_t, f16_to_float)
    case SCALAR_BF16: LOAD_BITS(uint16_t, bf16_to_float)
    case SCALAR_E4M3: LOAD_BITS(uint8_t, e4m3_to_float)
    case SCALAR_E5M2: LOAD_BITS(uint8_t, e5m2_to_float)
    case SCALAR_I64: LOAD_AS(int64_t)
    case SCALAR_I32: LOAD_AS(int32_t)
    case SCALAR_I16: LOAD_AS(int16_t)
    case SCALAR_I8: LOAD_AS(int8_t)
    case SCALAR_U8: LOAD_AS(uint8_t)
    case SCALAR_I1: return *(const uint8_t *)at != 0;
    case SCALAR_COUNT: break;
    }
    UNREACHABLE();
}

static int64_t to_integer(scalar_type t, double value)
{
    bool is_signed = scalar_rows[t].class == 'i';
    unsigned magnitude = t == SCALAR_I1 ? 1 : scalar_rows[t].bits - is_signed;
    double limit = ldexp(1, (int)magnitude); // first value beyond the largest
    if (isnan(value))
        return 0;
    value = rint(value);
    if (value >= limit)
        return (int64_t)((UINT64_C(1) << magnitude) - 1);
    if (value < (is_signed ? -limit : 0))
        return is_signed ? -(int64_t)((UINT64_C(1) << magnitude) - 1) - 1 : 0;
    return (int64_t)value;
}

#define STORE_AS(type, expression)                                                                 \
    {                                                                                              \
        type v = (type)(expression);                                                               \
        memcpy(at, &v, sizeof v);                                                                  \
        return;                                                                                    \
    }

void scalar_store(scalar_type t, void *at, double value)
{
    switch (t) {
    case SCALAR_F64: STORE_AS(double, value)
    case SCALAR_F32: STORE_AS(float, value)
    case SCALAR_F16: STORE_AS(uint16_t, f16_from_double(value))
    case SCALAR_BF16: STORE_AS(uint16_t, bf16_from_double(value))
    case SCALAR_E4M3: STORE_AS(uint8_t, e4m3_from_double(value))
    case SCALAR_E5M2: STORE_AS(uint8_t, e5m2_from_double(value))
    case SCALAR_I64: STORE_AS(int64_t, to_integer(t, value))
    case SCALAR_I32: STORE_AS(int32_t, to_integer(t, value))
    case SCALAR_I16: STORE_AS(int16_t, to_integer(t, value))
    case SCALAR_I8: STORE_AS(int8_t, to_integer(t, value))
    case SCALAR_U8: STORE_AS(uint8_t, to_integer(t, value))
    case SCALAR_I1: STORE_AS(uint8_t, to_integer(t, value))
    case SCALAR_COUNT: break;
    }
    UNREACHABLE();
}

double scalar_largest(scalar_type t)
{
    switch (t) {
    case SCALAR_F64: return DBL_MAX;
    case SCALAR_F32: return (double)FLT_MAX;
    case SCALAR_F16: return 65504;
    case SCALAR_BF16: return 0x1.fep127;
    case SCALAR_E4M3: return 448;
    case SCALAR_E5M2: return 57344;
    default: return scalar_round(t, (double)INFINITY);
    }
}

double scalar_round(scalar_type t, double value)
{
    unsigned char element[8];
    scalar_store(t, element, value);
    return scalar_load(t, element);
}
