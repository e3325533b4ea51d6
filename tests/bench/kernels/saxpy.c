// Vector: y = a x + y over 4096 floats, vectorized by the compiler.
#include "start.h"

enum { COUNT = 4096 };
static float x[COUNT], y[COUNT];

static void saxpy(float a)
{
    for (int i = 0; i < COUNT; i++)
        y[i] += a * x[i];
}

static uint64_t kernel(uint64_t rounds)
{
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i * 37 % 101) - 50;
    for (uint64_t i = 0; i < rounds; i++)
        saxpy(i % 2 ? 0.375f : -0.25f);
    double sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += (double)y[i] * i;
    return (uint64_t)(int64_t)sum;
}
