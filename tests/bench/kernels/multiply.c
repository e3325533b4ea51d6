// Integer: a 64 x 64 matrix product of 32-bit integers.
#include "start.h"

enum { SIDE = 64 };
static int32_t a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

static void multiply(void)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

static uint64_t kernel(uint64_t rounds)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            a[i][j] = (SIDE * i + j) * 37 % 101 - 50;
            b[i][j] = (SIDE * i + j) * 53 % 97 - 48;
        }
    uint64_t sum = 0;
    while (rounds--) {
        multiply();
        sum = sum * 31 + (uint32_t)c[rounds % SIDE][rounds / SIDE % SIDE];
        a[rounds % SIDE][rounds / SIDE % SIDE] ^= (int32_t)sum & 63;
    }
    return sum;
}
