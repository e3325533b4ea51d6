// What a core can do at most: loops of one instruction, or two, in so many chains that their
// latency does not count. Rates are G operations a second, two to a multiply-accumulate; a pair of
// vpermb and vpdpbusd counts as 512: 64 lookups of 4 weights.
#ifndef PEAKS_H
#define PEAKS_H

#include <stdbool.h>
#include <string.h>
#include <time.h>

typedef struct peak {
    const char *name;
    void (*loop)(long rounds);
    double operations; // of a round
} peak;

#ifdef __x86_64__
// Twelve chains; the operands' values do not matter.
#define CHAIN(line)                                                                                \
    line(0) line(1) line(2) line(3) line(4) line(5) line(6) line(7) line(8) line(9) line(10)       \
        line(11)
#define MULTIPLY(n) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #n "\n\t"
#define LOOK_UP_INTO(n, t)                                                                         \
    "vpermb %%zmm30, %%zmm31, %%zmm" #t "\n\tvpdpbusd %%zmm" #t ", %%zmm31, %%zmm" #n "\n\t"
#define FUSED(n) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #n "\n\t"
#define REGISTERS                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

__attribute__((target("avx512f"))) static void multiply(long rounds)
{
    for (long i = 0; i < rounds; i++)
        __asm__ volatile(CHAIN(MULTIPLY) : : : REGISTERS);
}

__attribute__((target("avx512f"))) static void look_up(long rounds)
{
    for (long i = 0; i < rounds; i++)
        __asm__ volatile(LOOK_UP_INTO(0, 12) LOOK_UP_INTO(1, 13) LOOK_UP_INTO(2, 14)
                             LOOK_UP_INTO(3, 15) LOOK_UP_INTO(4, 12) LOOK_UP_INTO(5, 13)
                                 LOOK_UP_INTO(6, 14) LOOK_UP_INTO(7, 15) LOOK_UP_INTO(8, 12)
                                     LOOK_UP_INTO(9, 13) LOOK_UP_INTO(10, 14) LOOK_UP_INTO(11, 15)
                         :
                         :
                         : REGISTERS);
}

__attribute__((target("avx512f"))) static void fused(long rounds)
{
    for (long i = 0; i < rounds; i++)
        __asm__ volatile(CHAIN(FUSED) : : : REGISTERS);
}

static const peak peaks[] = {
    {"multiply", multiply, 12 * 128.0}, {"lookup", look_up, 12 * 512.0}, {"fma", fused, 12 * 32.0}};

static bool peaks_there(void)
{
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}
#else
static const peak peaks[] = {{"", NULL, 0}};

static bool peaks_there(void)
{
    return false;
}
#endif

// NULL: there is no such peak, or the CPU has no such instructions.
static const peak *peak_named(const char *name)
{
    for (size_t i = 0; peaks_there() && i < sizeof peaks / sizeof *peaks; i++)
        if (!strcmp(peaks[i].name, name))
            return &peaks[i];
    return NULL;
}

static double peak_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak_rate(const peak *p, long rounds)
{
    double start = peak_seconds();
    p->loop(rounds);
    return (double)rounds * p->operations / (peak_seconds() - start) / 1e9;
}

#endif
