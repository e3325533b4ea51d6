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

// Between f16 and f32 the exponent moves; zeros, and normal numbers only. Chunks are of both: what
// compilers make of a loop writes results in pieces, which are slow to read as a whole.
enum { CONVERTED = 8 };
typedef uint16_t halves __attribute__((vector_size(2 * CONVERTED)));
typedef uint32_t words __attribute__((vector_size(4 * CONVERTED)));
typedef uint64_t pairs __attribute__((vector_size(4 * CONVERTED)));

#define ALL(mask)                                                                                  \
    ((((pairs)(mask))[0] & ((pairs)(mask))[1] & ((pairs)(mask))[2] & ((pairs)(mask))[3]) ==        \
     UINT64_MAX)

#define QUICK_CONVERSION(name, D, A, prepare, result, good)                                        \
    HOST_CLONES size_t name(void *to, const void *from, vector_operand second, size_t n)           \
    {                                                                                              \
        uint8_t *pd = to;                                                                          \
        const uint8_t *pa = from;                                                                  \
        (void)second;                                                                              \
        for (size_t done = 0; done < n; done += CONVERTED, pd += sizeof(D), pa += sizeof(A)) {     \
            A a = {0};                                                                             \
            if (__builtin_expect(n - done > CONVERTED / 2, 1))                                     \
                memcpy(&a, pa, sizeof a);                                                          \
            else                                                                                   \
                memcpy(&a, pa, sizeof a / 2);                                                      \
            const words w = __builtin_convertvector(a, words);                                     \
            prepare;                                                                               \
            if (__builtin_expect(!ALL(good), 0))                                                   \
                return done;                                                                       \
            const D r = __builtin_convertvector(result, D);                                        \
            if (__builtin_expect(n - done < CONVERTED, 0))                                         \
                memcpy(pd, &r, (n - done) * (sizeof(D) / CONVERTED));                              \
            else                                                                                   \
                memcpy(pd, &r, sizeof r);                                                          \
        }                                                                                          \
        return n;                                                                                  \
    }

QUICK_CONVERSION(quick_f32_from_f16, words, halves, const words m = w & 0x7fff,
                 (w & 0x8000) << 16 | (((m << 13) + (112u << 23)) & (words)(m != 0)),
                 (words)(m == 0) | (words)(m - 0x400 < 0x7800))
QUICK_CONVERSION(quick_f16_from_f32, halves, words, const words m = w & 0x7fffffff,
                 (w >> 16 & 0x8000) |
                     ((((m + 0xfff + (m >> 13 & 1)) >> 13) - (112u << 10)) & (words)(m != 0)),
                 (words)(m == 0) | (words)(m - 0x38800000 <= 0x477fe000 - 0x38800000))

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

typedef int32_t ordered __attribute__((vector_size(4 * CONVERTED)));
enum { GREATEST_NUMBER = 0x7f800000 }; // infinity

// Numbers as integers in the same order, -0 below +0. NaN are beyond infinity of either sign.
static inline int32_t to_order(int32_t bits)
{
    return bits ^ (bits >> 31 & INT32_MAX);
}

static inline bool is_number(int32_t order)
{
    return order <= GREATEST_NUMBER && order >= ~GREATEST_NUMBER;
}

// The greatest number, if `flip` is 0, or the least, if it is -1.
static inline __attribute__((always_inline)) bool find_extreme(float *result, const float *a,
                                                               size_t n, int32_t flip)
{
    int32_t word;
    memcpy(&word, result, sizeof word);
    int32_t most = to_order(word) ^ flip;
    ordered all = {0}, bad = {0};
    bool good = is_number(to_order(word));
    all += most;
    for (; n >= CONVERTED; n -= CONVERTED, a += CONVERTED) {
        ordered x;
        memcpy(&x, a, sizeof x);
        x ^= x >> 31 & INT32_MAX;
        bad |= (ordered)(x > GREATEST_NUMBER) | (ordered)(x < ~GREATEST_NUMBER);
        x ^= flip;
        all ^= (x ^ all) & (x > all);
    }
    for (size_t i = 0; i < CONVERTED; i++) {
        most = all[i] > most ? all[i] : most;
        good &= bad[i] == 0;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(&word, a + i, sizeof word);
        const int32_t x = to_order(word) ^ flip;
        good &= is_number(to_order(word));
        most = x > most ? x : most;
    }
    word = to_order(most ^ flip);
    memcpy(result, &word, sizeof word);
    return good;
}

HOST_CLONES bool quick_maximum(float *result, const float *a, size_t n)
{
    return find_extreme(result, a, n, 0);
}

HOST_CLONES bool quick_minimum(float *result, const float *a, size_t n)
{
    return find_extreme(result, a, n, -1);
}
