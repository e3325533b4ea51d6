// What a core of this machine can do, for `./dev bench native` to compare with: one line of JSON.
//
//     limits [--threads N]
//
// GB/s that N threads read together from memory, each one forward; and the peaks of one core
// (peaks.h); 0: the CPU has no such instruction.
#include "tests/bench/native/peaks.h"

#include <immintrin.h>
#include <pthread.h>
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

static double peak_of(const char *name)
{
    enum { ROUNDS = 400000 };
    double samples[SAMPLES];
    const peak *p = peak_named(name);
    for (int s = 0; p && s < SAMPLES; s++)
        samples[s] = peak_rate(p, ROUNDS);
    return p ? median(samples, SAMPLES) : 0;
}

int main(int argc, char **argv)
{
    unsigned threads = 1;
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--threads"))
            threads = (unsigned)atoi(argv[i + 1]);
    printf("{\"read_gbs\": %.2f, \"multiply_gops\": %.1f, \"lookup_gops\": %.1f, "
           "\"fma_gflops\": %.1f}\n",
           read_bandwidth(threads), peak_of("multiply"), peak_of("lookup"), peak_of("fma"));
    return 0;
}
