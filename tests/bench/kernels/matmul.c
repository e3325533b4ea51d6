// Scalar float: a 64 x 64 matrix product in f32, one fused multiply-add at a time.
#include "start.h"

enum { SIDE = 64 };
static float a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

static void multiply(void)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            float sum = 0.5f * c[i][j];
            for (int k = 0; k < SIDE; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

static uint64_t kernel(uint64_t rounds)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            a[i][j] = (float)((SIDE * i + j) * 37 % 101) - 50;
            b[i][j] = (float)((SIDE * i + j) * 53 % 97) / 97;
        }
    while (rounds--)
        multiply();
    double sum = 0;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            sum += (double)c[i][j] * (i - j);
    return (uint64_t)(int64_t)sum;
}
