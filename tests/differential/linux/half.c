// Half floats; for clang, gcc 12 has none for RISC-V.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { COUNT = 301, N = 19 };

static uint32_t state = 7;
static float next(void)
{
    state = state * 1664525 + 1013904223;
    return (float)((int32_t)state >> 16) / 256;
}

static uint64_t hash(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static _Float16 a[COUNT], b[COUNT], c[COUNT];
static float wide[COUNT];
static int16_t whole[COUNT];

static void elementwise(void)
{
    for (int i = 0; i < COUNT; i++)
        c[i] = a[i] * b[i] + a[i];
    printf("multiply %lx\n", hash(c, sizeof c));
    for (int i = 0; i < COUNT; i++)
        c[i] = a[i] / (b[i] + (_Float16)300);
    printf("divide %lx\n", hash(c, sizeof c));
    for (int i = 0; i < COUNT; i++)
        c[i] = a[i] > b[i] ? a[i] : -b[i];
    printf("choose %lx\n", hash(c, sizeof c));
    for (int i = 0; i < COUNT; i++)
        wide[i] = (float)a[i] * (float)b[i];
    printf("widen %lx\n", hash(wide, sizeof wide));
    for (int i = 0; i < COUNT; i++)
        whole[i] = (int16_t)a[i];
    printf("convert %lx\n", hash(whole, sizeof whole));
}

static void matrix(void)
{
    static _Float16 x[N][N], y[N][N], z[N][N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            x[i][j] = (_Float16)(next() / 64);
            y[i][j] = (_Float16)(next() / 64);
        }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                z[i][j] += x[i][k] * y[k][j];
    printf("matrix %lx %g\n", hash(z, sizeof z), (double)z[3][4]);
}

int main(void)
{
    for (int i = 0; i < COUNT; i++) {
        a[i] = (_Float16)next();
        b[i] = (_Float16)next();
    }
    elementwise();
    matrix();
    _Float16 sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += a[i] / 64;
    printf("sum %g %g\n", (double)sum, (double)(_Float16)65519.0f);
    return 0;
}
