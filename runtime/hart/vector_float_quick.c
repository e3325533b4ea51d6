#include "runtime/hart/vector_float_quick.h"

#include <math.h>

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

// Of what is not too large; the hosts' undefined results for the rest are not used.
static inline int32_t to_integer(float x)
{
    return (int32_t)(magnitude_of(x) < 0x4f000000 ? x : 0);
}

enum { COUNT = VECTOR_CHUNK / sizeof(float) };

// A quick function in d, a and b, elements of types D, A, B; `good`, of the result r too, says
// whether the host's result is right.
#define QUICK(name, D, A, B, result, good)                                                         \
    HOST_CLONES size_t name(void *to, const void *from, vector_operand second, size_t n)           \
    {                                                                                              \
        D *pd = to;                                                                                \
        const A *pa = from;                                                                        \
        const B *pb = second.at;                                                                   \
        const size_t advance = COUNT & second.advance;                                             \
        for (size_t done = 0; done < n; done += COUNT, pd += COUNT, pa += COUNT, pb += advance) {  \
            D results[COUNT];                                                                      \
            uint32_t bad = 0;                                                                      \
            _Pragma("GCC unroll 1") for (size_t i = 0; i < COUNT; i++)                             \
            {                                                                                      \
                const D d = pd[i];                                                                 \
                const A a = pa[i];                                                                 \
                const B b = pb[i];                                                                 \
                (void)d, (void)b;                                                                  \
                const D r = (D)(result);                                                           \
                results[i] = r;                                                                    \
                bad |= !(good);                                                                    \
            }                                                                                      \
            if (__builtin_expect(bad, 0))                                                          \
                return done;                                                                       \
            if (__builtin_expect(n - done < COUNT, 0))                                             \
                memcpy(pd, results, (n - done) * sizeof(D));                                       \
            else                                                                                   \
                memcpy(pd, results, sizeof results);                                               \
        }                                                                                          \
        return n;                                                                                  \
    }
#define QUICK_FLOAT(E, result, good) QUICK(quick_##E, float, float, float, result, good)

#define DEFINE_SUM(E, result) QUICK_FLOAT(E, result, is_finite(r))
QUICK_SUMS(DEFINE_SUM)

// A product with zero is exact, and so is the sum with it.
#define DEFINE_PRODUCT(E, x, y, result)                                                            \
    QUICK_FLOAT(E, result, is_normal(r) | (((x == 0) | (y == 0)) & is_finite(r)))
QUICK_PRODUCTS(DEFINE_PRODUCT)

#define DEFINE_EXTREME(E, result) QUICK_FLOAT(E, result, are_ordered(a, b))
QUICK_EXTREMES(DEFINE_EXTREME)

#define DEFINE_QUOTIENT(E, x, y)                                                                   \
    QUICK_FLOAT(E, x / y, is_normal(r) | ((x == 0) & (y != 0) & is_finite(y)))
QUICK_QUOTIENTS(DEFINE_QUOTIENT)

QUICK_FLOAT(VFSQRT_V, sqrtf(a), is_normal(r))

#define DEFINE_SIGN(E, result) QUICK(quick_##E, uint32_t, uint32_t, uint32_t, result, true)
QUICK_SIGNS(DEFINE_SIGN)

QUICK(quick_f32_from_s32, float, int32_t, uint8_t, (float)a, true)
QUICK(quick_f32_from_u32, float, uint32_t, uint8_t, (float)a, true)
// Magnitudes below 2^31.
QUICK(quick_s32_toward_zero, int32_t, float, uint8_t, to_integer(a), magnitude_of(a) < 0x4f000000)
QUICK(quick_s32_from_f32, int32_t, float, uint8_t, to_integer(rintf(a)),
      magnitude_of(a) < 0x4f000000)

// The exponent moves; zeros, and normal numbers only.
QUICK(quick_f32_from_f16, uint32_t, uint16_t, uint8_t,
      (uint32_t)(a & 0x8000) << 16 |
          (a & 0x7fff ? ((uint32_t)(a & 0x7fff) << 13) + (112u << 23) : 0),
      ((a & 0x7fff) == 0) | ((uint32_t)(a & 0x7fff) - 0x400 < 0x7800))

static inline uint16_t half_of(uint32_t a)
{
    uint32_t magnitude = a & 0x7fffffff, sign = a >> 16 & 0x8000;
    uint32_t rounded = (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
    return (uint16_t)(sign | (magnitude ? rounded - (112u << 10) : 0));
}
QUICK(quick_f16_from_f32, uint16_t, uint32_t, uint8_t, half_of(a),
      ((a & 0x7fffffff) == 0) | ((a & 0x7fffffff) - 0x38800000 <= 0x477fe000 - 0x38800000))

#define DEFINE_COMPARISON(E, result)                                                               \
    HOST_CLONES bool quick_##E(uint8_t *d, const void *from, vector_operand second, size_t n)      \
    {                                                                                              \
        const float *pa = from, *pb = second.at;                                                   \
        const size_t advance = COUNT & second.advance;                                             \
        uint32_t bad = 0;                                                                          \
        for (; n; n = n > COUNT ? n - COUNT : 0, d += COUNT, pa += COUNT, pb += advance) {         \
            _Pragma("GCC unroll 1") for (size_t i = 0; i < COUNT; i++)                             \
            {                                                                                      \
                const float a = pa[i], b = pb[i];                                                  \
                d[i] = result;                                                                     \
                bad |= (magnitude_of(a) > 0x7f800000) | (magnitude_of(b) > 0x7f800000);            \
            }                                                                                      \
        }                                                                                          \
        return !bad;                                                                               \
    }
QUICK_COMPARISONS(DEFINE_COMPARISON)

bool quick_ordered_sum(float *sum, const float *a, size_t n)
{
    float s = *sum;
    for (size_t i = 0; i < n; i++)
        s += a[i];
    *sum = s;
    return is_finite(s); // what is not never becomes finite again
}
