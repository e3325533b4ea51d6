#include "runtime/native/lutra.h"

#if defined __x86_64__
#include <cpuid.h>

static uint64_t extended_state(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static int has(unsigned word, unsigned bits)
{
    return (word & bits) == bits;
}

// The instructions of a level, and registers that the system keeps.
uint64_t lutra_cpu_features(void)
{
    enum { YMM = 6, ZMM = 0xe6 };
    const unsigned one = bit_SSE3 | bit_SSSE3 | bit_FMA | bit_SSE4_1 | bit_SSE4_2 | bit_MOVBE |
                         bit_POPCNT | bit_OSXSAVE | bit_AVX | bit_F16C;
    const unsigned v3 = bit_BMI | bit_AVX2 | bit_BMI2;
    const unsigned v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    const unsigned more = bit_AVX512VBMI | bit_AVX512VNNI, lzcnt = 1u << 5;
    unsigned a, b, c, d, b7 = 0, c7 = 0, c81 = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, one))
        return 0;
    unsigned first = c;
    uint64_t state = extended_state(), features = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        b7 = b, c7 = c;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        c81 = c;
    if (has(first, one) && has(b7, v3) && has(c81, lzcnt) && (state & YMM) == YMM)
        features |= LUTRA_AVX2;
    if (features && has(b7, v4) && has(c7, more) && (state & ZMM) == ZMM)
        features |= LUTRA_AVX512_VNNI;
    return features;
}
#elif defined __aarch64__
#include <sys/auxv.h>

uint64_t lutra_cpu_features(void)
{
    enum { ASIMDDP = 1 << 20 };
    return getauxval(AT_HWCAP) & ASIMDDP ? LUTRA_DOTPROD : 0;
}
#else
uint64_t lutra_cpu_features(void)
{
    return 0;
}
#endif
