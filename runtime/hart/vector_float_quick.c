#include "runtime/hart/vector_float_quick.h"

#include "support/clones.h"

#include <stdint.h>
#include <string.h>

static inline uint32_t magnitude_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

// Neither infinite nor NaN: sums never underflow, so nothing but rounding happened.
static inline bool is_finite(float x)
{
    return magnitude_of(x) <= 0x7f7fffff;
}

// In the normal range, and so far from its lower end that it cannot have been rounded up to it.
static inline bool is_normal(float x)
{
    return magnitude_of(x) - 0x00800001 <= 0x7f7fffff - 0x00800001;
}

// No NaN, and not zeros of different signs, which are equal and yet ordered.
static inline bool are_ordered(float x, float y)
{
    uint32_t m = magnitude_of(x), n = magnitude_of(y), larger = m > n ? m : n;
    return larger - 1 <= 0x7f800000 - 1;
}

#define LOOP(result, good)                                                                         \
    float *r = to;                                                                                 \
    const float *pd = from_d, *pa = from_a, *pb = from_b;                                          \
    uint32_t bad = 0;                                                                              \
    for (size_t i = 0; i < n; i++) {                                                               \
        float d = pd[i], a = pa[i], b = pb[i];                                                     \
        (void)d;                                                                                   \
        r[i] = result;                                                                             \
        bad |= !(good);                                                                            \
    }                                                                                              \
    return !bad;

#define PARAMETERS                                                                                 \
    void *restrict to, const void *restrict from_d, const void *restrict from_a,                   \
        const void *restrict from_b, size_t n

#define DEFINE_SUM(E, result)                                                                      \
    HOST_CLONES bool quick_##E(PARAMETERS)                                                         \
    {                                                                                              \
        LOOP(result, is_finite(r[i]))                                                              \
    }
QUICK_SUMS(DEFINE_SUM)

// A product with zero is exact, and so is the sum with it.
#define DEFINE_PRODUCT(E, x, y, result)                                                            \
    HOST_CLONES bool quick_##E(PARAMETERS)                                                         \
    {                                                                                              \
        LOOP(result, is_normal(r[i]) | (((x == 0) | (y == 0)) & is_finite(r[i])))                  \
    }
QUICK_PRODUCTS(DEFINE_PRODUCT)

#define DEFINE_EXTREME(E, result)                                                                  \
    HOST_CLONES bool quick_##E(PARAMETERS)                                                         \
    {                                                                                              \
        LOOP(result, are_ordered(a, b))                                                            \
    }
QUICK_EXTREMES(DEFINE_EXTREME)

HOST_CLONES bool quick_f32_from_f16(PARAMETERS)
{
    uint32_t *r = to, bad = 0;
    const uint16_t *a = from_a;
    (void)from_d, (void)from_b;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = a[i] & 0x7fff, sign = (uint32_t)(a[i] & 0x8000) << 16;
        r[i] = sign | (magnitude ? (magnitude << 13) + (112u << 23) : 0);
        bad |= (magnitude != 0) & (magnitude - 0x400 >= 0x7800);
    }
    return !bad;
}

HOST_CLONES bool quick_f16_from_f32(PARAMETERS)
{
    uint16_t *r = to;
    const uint32_t *a = from_a;
    uint32_t bad = 0;
    (void)from_d, (void)from_b;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = a[i] & 0x7fffffff, sign = a[i] >> 16 & 0x8000;
        uint32_t rounded = (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
        r[i] = (uint16_t)(sign | (magnitude ? rounded - (112u << 10) : 0));
        bad |= (magnitude != 0) & (magnitude - 0x38800000 > 0x477fe000 - 0x38800000);
    }
    return !bad;
}

bool quick_ordered_sum(float *sum, const float *a, size_t n)
{
    float s = *sum;
    for (size_t i = 0; i < n; i++)
        s += a[i];
    *sum = s;
    return is_finite(s); // what is not never becomes finite again
}
