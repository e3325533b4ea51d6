// Float, double and half arithmetic, their conversions, and the flags they leave.
#include "guest.h"

static double as_double(uint64_t x)
{
    double d;
    __builtin_memcpy(&d, &x, 8);
    return d;
}
static uint64_t bits(double x)
{
    uint64_t b;
    __builtin_memcpy(&b, &x, 8);
    return b;
}
static uint32_t bits32(float x)
{
    uint32_t b;
    __builtin_memcpy(&b, &x, 4);
    return b;
}
static uint16_t bits16(_Float16 x)
{
    uint16_t b;
    __builtin_memcpy(&b, &x, 2);
    return b;
}
static uint64_t take_flags(void)
{
    uint64_t flags;
    __asm__ volatile("csrrw %0, fflags, x0" : "=r"(flags)::"memory");
    return flags;
}

static double exponential(double x)
{
    double sum = 1, term = 1;
    for (int i = 1; i < 30; i++)
        sum += term *= x / i;
    return sum;
}

static uint64_t arithmetic(double a, double b)
{
    float x = (float)a, y = (float)b;
    _Float16 p = (_Float16)x, q = (_Float16)y;
    uint64_t h = 0;
    h = mix(h, bits(a + b) ^ bits(a * b));
    h = mix(h, bits(a / b) ^ bits(__builtin_sqrt(a)) ^ bits(__builtin_fma(a, b, a)));
    h = mix(h, bits32(x - y) + ((uint64_t)bits32(x / y) << 32));
    h = mix(h, bits32(__builtin_fmaf(x, y, 1.5f)) ^ bits32(__builtin_sqrtf(x)));
    h = mix(h, bits16(p + q) ^ (uint64_t)bits16(p * q) << 16 ^ (uint64_t)bits16(p / q) << 32);
    h = mix(h, (uint64_t)(int64_t)(float)p ^ (uint64_t)(a < b) << 1 ^ (uint64_t)(x == y) << 2 ^
                   (uint64_t)(p >= q) << 3);
    return mix(h, take_flags());
}

int main(void)
{
    uint64_t h = 0;
    for (int i = -20; i <= 20; i++)
        h = mix(h, bits(exponential(i / 4.0)));
    print("exponential", h);
    print("flags", take_flags());
    for (int i = 0; i < 3000; i++) {
        double a =
            as_double(random_next() >> 2 & ~(3ull << 60) | (random_next() & 1) << 63 | 1ull << 61);
        double b = as_double((random_next() >> 12) | (1000 + random_next() % 48) << 52);
        h = mix(h, arithmetic(i % 3 ? b : a, as_double(bits(b) + (1ull << 52))));
    }
    print("arithmetic", h);
    for (int i = 0; i < 1000; i++) {
        int64_t n = (int64_t)random_next() >> (i % 63);
        h = mix(h, bits((double)n) ^ bits32((float)(uint64_t)n) ^ bits32((float)(int32_t)n));
        double d = (double)n / 256;
        h = mix(h, (uint64_t)(int64_t)d ^ (uint64_t)(int32_t)(float)(n >> 40));
    }
    print("conversions", mix(h, take_flags()));
    return 0;
}
