// What compilers turn into vector code: matrices, hashes, reductions, sieves.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 37, LONG = 1003 };

static uint32_t state = 1;
static uint32_t next(void)
{
    return state = state * 1103515245 + 12345;
}

static unsigned long hash(const void *data, size_t size)
{
    const unsigned char *p = data;
    unsigned long h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

#define MATRIX(type, name, random)                                                                 \
    static void name(void)                                                                         \
    {                                                                                              \
        static type a[N][N], b[N][N], c[N][N];                                                     \
        for (int i = 0; i < N; i++)                                                                \
            for (int j = 0; j < N; j++) {                                                          \
                a[i][j] = (type)(random);                                                          \
                b[i][j] = (type)(random);                                                          \
                c[i][j] = 0;                                                                       \
            }                                                                                      \
        for (int i = 0; i < N; i++)                                                                \
            for (int k = 0; k < N; k++)                                                            \
                for (int j = 0; j < N; j++)                                                        \
                    c[i][j] += a[i][k] * b[k][j];                                                  \
        type transposed[N][N];                                                                     \
        for (int i = 0; i < N; i++)                                                                \
            for (int j = 0; j < N; j++)                                                            \
                transposed[j][i] = c[i][j];                                                        \
        printf(#name " %lx %lx %g\n", hash(c, sizeof c), hash(transposed, sizeof transposed),      \
               (double)c[N - 1][N - 2]);                                                           \
    }
#define SIGNED(bits) ((int)(next() >> 8) % (1 << (bits)))
MATRIX(double, of_double, SIGNED(16) / 256.0)
MATRIX(float, of_float, SIGNED(12) / 16.0f)
MATRIX(int64_t, of_int64, SIGNED(20))
MATRIX(int32_t, of_int32, SIGNED(12))
MATRIX(uint16_t, of_uint16, next() >> 20)
MATRIX(int8_t, of_int8, SIGNED(6))

static int8_t bytes[LONG];
static int16_t shorts[LONG];
static int32_t words[LONG];
static int64_t longs[LONG];
static float floats[LONG];
static double doubles[LONG];

static void fill(void)
{
    for (int i = 0; i < LONG; i++) {
        bytes[i] = (int8_t)(next() >> 16);
        shorts[i] = (int16_t)(next() >> 12);
        words[i] = (int32_t)(next() ^ next() << 16);
        longs[i] = (int64_t)next() << 32 ^ next();
        floats[i] = (float)(int32_t)next() / 65536;
        doubles[i] = (double)(int32_t)next() / 3;
    }
}

static void widening(void)
{
    int32_t dot = 0;
    int64_t sum = 0;
    uint32_t absolute = 0;
    for (int i = 0; i < LONG; i++) {
        dot += bytes[i] * bytes[LONG - 1 - i];
        sum += (int64_t)words[i] * shorts[i];
        absolute += (uint32_t)abs(shorts[i] - bytes[i]);
    }
    int8_t least = 127;
    uint64_t mixed = 0;
    for (int i = 0; i < LONG; i++) {
        least = bytes[i] < least ? bytes[i] : least;
        mixed ^= (uint64_t)longs[i] * 0x9e3779b97f4a7c15u >> (i & 31);
    }
    printf("widening %d %ld %u %d %lx\n", dot, sum, absolute, least, mixed);
}

static void converting(void)
{
    static int16_t narrow[LONG];
    static float single[LONG];
    static int32_t whole[LONG];
    static double wide[LONG];
    for (int i = 0; i < LONG; i++) {
        int32_t v = words[i] >> 10;
        narrow[i] = (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
        single[i] = (float)words[i] * 0.5f;
        whole[i] = (int32_t)floats[i];
        wide[i] = (double)floats[i] + doubles[i];
    }
    printf("converting %lx %lx %lx %lx\n", hash(narrow, sizeof narrow), hash(single, sizeof single),
           hash(whole, sizeof whole), hash(wide, sizeof wide));
}

static void masked(void)
{
    static float out[LONG];
    static int64_t chosen[LONG];
    int count = 0;
    float largest = -INFINITY;
    for (int i = 0; i < LONG; i++) {
        out[i] = floats[i] > 0 ? sqrtf(floats[i]) : -floats[i] / (1 + floats[i] * floats[i]);
        chosen[i] = shorts[i] & 4 ? longs[i] / (shorts[i] | 1)
                                  : (int64_t)((uint64_t)longs[i] << (bytes[i] & 15));
        count += words[i] > longs[i] % 1000;
        largest = floats[i] > largest ? floats[i] : largest;
    }
    printf("masked %lx %lx %d %a\n", hash(out, sizeof out), hash(chosen, sizeof chosen), count,
           largest);
}

static void strided(void)
{
    struct {
        int32_t x, y, z;
    } points[LONG / 3];
    uint8_t reversed[LONG];
    int64_t sums[3] = {0};
    memcpy(points, words, sizeof points);
    for (int i = 0; i < LONG / 3; i++) {
        sums[0] += points[i].x;
        sums[1] ^= points[i].y;
        sums[2] += points[i].z >> 3;
        points[i].y = (int32_t)((uint32_t)points[i].x + (uint32_t)points[i].z);
    }
    for (int i = 0; i < LONG; i++)
        reversed[i] = (uint8_t)bytes[LONG - 1 - i];
    uint64_t gathered = 0;
    for (int i = 0; i < LONG; i++)
        gathered += (uint64_t)longs[reversed[i] * 3];
    printf("strided %ld %ld %ld %lx %lx %lx\n", sums[0], sums[1], sums[2],
           hash(points, sizeof points), hash(reversed, sizeof reversed), gathered);
}

static void sieve(void)
{
    enum { LIMIT = 20000 };
    static unsigned char composite[LIMIT];
    int count = 0;
    for (int i = 2; i < LIMIT; i++) {
        if (composite[i])
            continue;
        count++;
        for (int j = 2 * i; j < LIMIT; j += i)
            composite[j] = 1;
    }
    printf("sieve %d\n", count);
}

int main(void)
{
    of_double();
    of_float();
    of_int64();
    of_int32();
    of_uint16();
    of_int8();
    fill();
    widening();
    converting();
    masked();
    strided();
    sieve();
    return 0;
}
