// What else this machine has for a matrix product y[M][N] = x[M][K] w[N][K], for `./dev bench
// native`:
//
//     peers N K M THREADS [SECONDS]
//
// One line of JSON, G operations a second: a plain C loop over 4-bit weights that the compiler
// vectorizes, sgemm of OpenBLAS, gemm_s8s8s32 of oneDNN; null where a library is not installed.
// Weights stay in the caches as far as they fit.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t n, k, m;
static double seconds = 0.3;

// Of one thread the processor time: what else runs on the machine does not count.
static clockid_t clock_of = CLOCK_PROCESS_CPUTIME_ID;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_of, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void *filled(size_t size, int value)
{
    void *p = aligned_alloc(64, (size + 63) / 64 * 64);
    memset(p, value, size);
    return p;
}

static double rate(void (*run)(void))
{
    static double samples[10000];
    size_t count = 0;
    run();
    for (double end = now() + seconds; count < 10000 && (now() < end || count < 3); count++) {
        double start = now();
        run();
        samples[count] = now() - start;
    }
    qsort(samples, count, sizeof *samples, compare);
    return 2.0 * (double)(m * n * k) / samples[count / 2] / 1e9;
}

// ------------------------------------------------------------------------ plain C

static uint8_t *codes;
static int8_t *activations;
static float *scales, *result;

// Two weights in a byte, k and k + 16 of each 32; a scale for every 32 weights.
static void plain(void)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float y = 0;
            for (int64_t g = 0; g < k / 32; g++) {
                const uint8_t *w = codes + j * k / 2 + g * 16;
                const int8_t *x = activations + i * k + g * 32;
                int sum = 0;
                for (int l = 0; l < 16; l++)
                    sum += ((w[l] & 15) - 8) * x[l] + ((w[l] >> 4) - 8) * x[l + 16];
                y += (float)sum * scales[j * k / 32 + g];
            }
            result[i * n + j] = y;
        }
}

// ---------------------------------------------------------------------- libraries

static float *a32, *b32;
static int8_t *a8, *b8;
static int32_t *c32;
static void (*sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int,
                     float, float *, int);
static int (*gemm8)(char, char, char, int64_t, int64_t, int64_t, float, const int8_t *, int64_t,
                    int8_t, const int8_t *, int64_t, int8_t, float, int32_t *, int64_t,
                    const int32_t *);

static void openblas(void)
{
    enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };
    sgemm(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, (int)m, (int)n, (int)k, 1, a32, (int)k, b32, (int)k,
          0, result, (int)n);
}

static void onednn(void)
{
    static const int32_t zero;
    gemm8('N', 'T', 'F', m, n, k, 1, a8, k, 0, b8, k, 0, 0, c32, n, &zero);
}

static double with_openblas(int threads)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    void (*set)(int) = library ? (void (*)(int))dlsym(library, "openblas_set_num_threads") : NULL;
    sgemm = library ? (__typeof__(sgemm))dlsym(library, "cblas_sgemm") : NULL;
    if (!sgemm)
        return 0;
    if (set)
        set(threads);
    a32 = filled((size_t)(m * k) * 4, 0);
    b32 = filled((size_t)(n * k) * 4, 0);
    return rate(openblas);
}

static double with_onednn(void)
{
    void *library = dlopen("libdnnl.so.2", RTLD_NOW);
    gemm8 = library ? (__typeof__(gemm8))dlsym(library, "dnnl_gemm_s8s8s32") : NULL;
    if (!gemm8)
        return 0;
    a8 = filled((size_t)(m * k), 1);
    b8 = filled((size_t)(n * k), 1);
    c32 = filled((size_t)(m * n) * 4, 0);
    return rate(onednn);
}

static void print_rate(const char *name, double x)
{
    if (x)
        printf("\"%s\": %.1f", name, x);
    else
        printf("\"%s\": null", name);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return fprintf(stderr, "usage: peers N K M THREADS [SECONDS]\n"), 2;
    n = atoll(argv[1]), k = atoll(argv[2]), m = atoll(argv[3]);
    if (argc > 5)
        seconds = atof(argv[5]);
    setenv("OMP_NUM_THREADS", argv[4], 1);
    if (atoi(argv[4]) > 1)
        clock_of = CLOCK_MONOTONIC;
    codes = filled((size_t)(n * k / 2), 0x3c);
    activations = filled((size_t)(m * k), 3);
    scales = filled((size_t)(n * k / 32) * 4, 0);
    result = filled((size_t)(m * n) * 4, 0);
    printf("{");
    print_rate("plain_gops", rate(plain));
    printf(", ");
    print_rate("openblas_gflops", with_openblas(atoi(argv[4])));
    printf(", ");
    print_rate("onednn_s8_gops", with_onednn());
    printf("}\n");
    return 0;
}
