// What a core of this machine can do, for `./dev bench native` to compare with: one line of JSON.
//
//     limits [--threads N] [--seconds S]
//
// GB/s that N threads read together from memory, each one forward; and of one core, G operations a
// second (two to a multiply-accumulate): vpdpbusd alone, with vpermb (a pair counts as 512: 64
// lookups of 4 weights), f32 FMA. 0: the CPU has no such instruction.
#include <immintrin.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SAMPLES = 15, READ_BYTES = 256 << 20 };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *samples, int n)
{
    qsort(samples, (size_t)n, sizeof *samples, compare);
    return samples[n / 2];
}

// --------------------------------------------------------------------------- memory

typedef struct reader {
    pthread_t thread;
    const uint8_t *data;
    uint64_t sum;
} reader;

__attribute__((target("avx2"))) static void *read_all(void *argument)
{
    reader *r = argument;
    __m256i a = _mm256_setzero_si256(), b = a;
    for (size_t i = 0; i < READ_BYTES; i += 64) {
        a = _mm256_xor_si256(a, _mm256_load_si256((const __m256i *)(r->data + i)));
        b = _mm256_xor_si256(b, _mm256_load_si256((const __m256i *)(r->data + i + 32)));
    }
    r->sum = (uint64_t)_mm256_extract_epi64(_mm256_xor_si256(a, b), 0);
    return NULL;
}

static double read_bandwidth(unsigned threads)
{
    double samples[SAMPLES];
    reader *all = calloc(threads, sizeof *all);
    for (unsigned i = 0; i < threads; i++) {
        void *p = mmap(NULL, READ_BYTES + (2 << 20), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return 0;
        uint8_t *data = (uint8_t *)(((uintptr_t)p + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
        madvise(data, READ_BYTES, MADV_HUGEPAGE);
        memset(data, (int)i + 1, READ_BYTES);
        all[i].data = data;
    }
    clockid_t clock = threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    for (int s = 0; s < SAMPLES; s++) {
        double start = now(clock);
        for (unsigned i = 1; i < threads; i++)
            pthread_create(&all[i].thread, NULL, read_all, &all[i]);
        read_all(&all[0]);
        for (unsigned i = 1; i < threads; i++)
            pthread_join(all[i].thread, NULL);
        samples[s] = threads * (double)READ_BYTES / (now(clock) - start) / 1e9;
    }
    return median(samples, SAMPLES);
}

// ------------------------------------------------------------------------- arithmetic

enum { ROUNDS = 400000, CHAINS = 12 };

// Twelve chains of an instruction, whose latency they hide; the operands' values do not matter.
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

__attribute__((target("avx512f"))) static void multiply(void)
{
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile(CHAIN(MULTIPLY) : : : REGISTERS);
}

__attribute__((target("avx512f"))) static void look_up(void)
{
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile(LOOK_UP_INTO(0, 12) LOOK_UP_INTO(1, 13) LOOK_UP_INTO(2, 14)
                             LOOK_UP_INTO(3, 15) LOOK_UP_INTO(4, 12) LOOK_UP_INTO(5, 13)
                                 LOOK_UP_INTO(6, 14) LOOK_UP_INTO(7, 15) LOOK_UP_INTO(8, 12)
                                     LOOK_UP_INTO(9, 13) LOOK_UP_INTO(10, 14) LOOK_UP_INTO(11, 15)
                         :
                         :
                         : REGISTERS);
}

__attribute__((target("avx512f"))) static void fused(void)
{
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile(CHAIN(FUSED) : : : REGISTERS);
}

static double rate(void (*loop)(void), double operations, bool there)
{
    double samples[SAMPLES];
    for (int s = 0; there && s < SAMPLES; s++) {
        double start = now(CLOCK_THREAD_CPUTIME_ID);
        loop();
        samples[s] =
            ROUNDS * (double)CHAINS * operations / (now(CLOCK_THREAD_CPUTIME_ID) - start) / 1e9;
    }
    return there ? median(samples, SAMPLES) : 0;
}

int main(int argc, char **argv)
{
    unsigned threads = 1;
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--threads"))
            threads = (unsigned)atoi(argv[i + 1]);
    bool vnni = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
    printf("{\"read_gbs\": %.2f, \"multiply_gops\": %.1f, \"lookup_gops\": %.1f, "
           "\"fma_gflops\": %.1f}\n",
           read_bandwidth(threads), rate(multiply, 128, vnni), rate(look_up, 512, vnni),
           rate(fused, 32, vnni));
    return 0;
}
