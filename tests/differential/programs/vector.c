// Loops that compilers vectorise: every element width, widening, narrowing, strides, gathers,
// reductions, masks, half precision.
#include "guest.h"

#define N 777
static int8_t a8[N], b8[N];
static uint8_t u8[N];
static int16_t a16[N], b16[N];
static int32_t a32[N], b32[N];
static int64_t a64[N], b64[N];
static float af[N], bf[N];
static double ad[N], bd[N];
static _Float16 ah[N], bh[N];
static uint32_t index32[N];
static struct point {
    int32_t x, y, z;
} points[N];

static void print_hash(const char *name, const void *data, size_t size)
{
    uint64_t h = 0;
    for (size_t i = 0; i < size; i++)
        h = mix(h, ((const uint8_t *)data)[i]);
    print(name, h);
}
#define HASH(array) print_hash(#array, array, sizeof(array))

static void fill(void)
{
    for (int i = 0; i < N; i++) {
        uint64_t r = random_next();
        a8[i] = (int8_t)r, b8[i] = (int8_t)(r >> 8), u8[i] = (uint8_t)(r >> 16);
        a16[i] = (int16_t)(r >> 24), b16[i] = (int16_t)(r >> 32);
        a32[i] = (int32_t)r, b32[i] = (int32_t)(r >> 32);
        a64[i] = (int64_t)r, b64[i] = (int64_t)random_next();
        af[i] = (float)(int16_t)r / 64, bf[i] = (float)(int16_t)(r >> 16) / 1000;
        ad[i] = (double)(int32_t)r / 512, bd[i] = (double)(int32_t)(r >> 32) / 999;
        ah[i] = (_Float16)((float)(int8_t)r / 16), bh[i] = (_Float16)((float)(int8_t)(r >> 8) / 7);
        index32[i] = (uint32_t)(r >> 40) % N;
        points[i] = (struct point){(int32_t)r, (int32_t)(r >> 20), i};
    }
}

__attribute__((noinline)) static void elementwise(void)
{
    for (int i = 0; i < N; i++)
        b8[i] = (int8_t)(a8[i] * b8[i] + (u8[i] >> 3));
    for (int i = 0; i < N; i++)
        b16[i] = (int16_t)(a16[i] > b16[i] ? a16[i] : b16[i]);
    for (int i = 0; i < N; i++)
        b32[i] = a8[i] * a16[i] + b32[i];
    for (int i = 0; i < N; i++)
        a64[i] = (a64[i] >> 7) ^ (int64_t)((uint64_t)b64[i] << 5);
    for (int i = 0; i < N; i++)
        u8[i] = (uint8_t)((uint32_t)a32[i] >> 11);
    for (int i = 0; i < N; i++)
        a32[i] = b32[i] / ((a16[i] | 1)) + a32[i] % 17;
}

__attribute__((noinline)) static void floats(void)
{
    for (int i = 0; i < N; i++)
        bf[i] = __builtin_fmaf(af[i], bf[i], 2.5f);
    for (int i = 0; i < N; i++)
        bd[i] = ad[i] / (bd[i] + 1e9) + af[i];
    for (int i = 0; i < N; i++)
        bh[i] = (_Float16)(ah[i] * bh[i] + (_Float16)0.5f);
    for (int i = 0; i < N; i++)
        af[i] = bf[i] < 0 ? (float)ah[i] : __builtin_sqrtf(bf[i]);
    for (int i = 0; i < N; i++)
        a16[i] = (int16_t)(bf[i] > 3e4f ? 3e4f : bf[i] < -3e4f ? -3e4f : bf[i]);
}

__attribute__((noinline)) static void gathers(void)
{
    for (int i = 0; i < N; i++)
        b64[i] = a64[index32[i]];
    for (int i = 0; i < N; i++)
        points[i].y = points[i].x * 3 + points[i].z;
    for (int i = 0; i < N / 2; i++)
        b16[i] = (int16_t)(a16[2 * i] - a16[2 * i + 1]);
    for (int i = 0; i < N; i++)
        if (a32[i] & 4)
            a8[N - 1 - i] = (int8_t)a32[i];
}

__attribute__((noinline)) static void reductions(void)
{
    int32_t dot = 0, least = 0x7fffffff;
    int64_t sum = 0;
    unsigned count = 0;
    for (int i = 0; i < N; i++)
        dot += a8[i] * b8[i];
    for (int i = 0; i < N; i++)
        sum += a32[i];
    for (int i = 0; i < N; i++)
        least = a32[i] < least ? a32[i] : least;
    for (int i = 0; i < N; i++)
        count += u8[i] > 100;
    print("dot", (uint64_t)dot);
    print("sum", (uint64_t)sum);
    print("least", (uint64_t)least);
    print("count", count);
}

int main(void)
{
    fill();
    for (int round = 0; round < 3; round++) {
        elementwise();
        floats();
        gathers();
        reductions();
    }
    HASH(a8), HASH(b8), HASH(u8), HASH(a16), HASH(b16), HASH(a32), HASH(b32), HASH(a64), HASH(b64);
    HASH(af), HASH(bf), HASH(bd), HASH(bh), HASH(points);
    return 0;
}
