// Vector: the product sum of 4096 8-bit integers in 32 bits, vectorized by the compiler.
#include "start.h"

enum { COUNT = 4096 };
static int8_t x[COUNT], y[COUNT];

static int32_t dot(void)
{
    int32_t sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += x[i] * y[i];
    return sum;
}

static uint64_t kernel(uint64_t rounds)
{
    for (int i = 0; i < COUNT; i++) {
        x[i] = (int8_t)(i * 37);
        y[i] = (int8_t)(i * 53 + 7);
    }
    uint64_t sum = 0;
    while (rounds--) {
        sum = 31 * sum + (uint32_t)dot();
        x[(sum ^ sum >> 32) % COUNT] ^= (int8_t)(rounds | 1);
    }
    return sum;
}
