// Vector: softmax of rows of 1024 floats: maximum, exponential by a polynomial, sum, division.
#include "start.h"

enum { COUNT = 1024 };
static float x[COUNT], y[COUNT];

static inline float exponential(float a)
{
    a = a < -87 ? -87 : a;
    int32_t n = (int32_t)(a * 1.44269504f - 0.5f);
    float r = a - (float)n * 0.693147182f, p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1;
    p = p * r + 1;
    union {
        int32_t bits;
        float value;
    } power = {.bits = (n + 127) << 23};
    return p * power.value;
}

static void softmax(void)
{
#pragma clang fp reassociate(on)
    float most = x[0], sum = 0;
    for (int i = 0; i < COUNT; i++)
        most = x[i] > most ? x[i] : most;
    for (int i = 0; i < COUNT; i++)
        y[i] = exponential(x[i] - most);
    for (int i = 0; i < COUNT; i++)
        sum += y[i];
    float scale = 1 / sum;
    for (int i = 0; i < COUNT; i++)
        y[i] *= scale;
}

static uint64_t kernel(uint64_t rounds)
{
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i * 37 % 101) / 8;
    double sum = 0;
    while (rounds--) {
        softmax();
        sum += (double)y[rounds % COUNT];
        x[rounds % COUNT] = (float)(rounds % 13);
    }
    return (uint64_t)(int64_t)(sum * 1e9);
}
