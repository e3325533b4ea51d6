// Y[T][N] = X[T][K] W[N][K]^T with a scale per row of W, as one writes it without thinking about
// machines: weights unpacked to a byte each, three loops, the compiler vectorizes the innermost.
//    gemv i8|f32 T N K SECONDS      the type of X; prints processor seconds per product
#include "clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct problem {
    size_t rows, columns, depth;
    int8_t *weights, *integers;
    float *floats, *scales, *result;
} problem;

static void multiply_integers(const problem *p)
{
    for (size_t t = 0; t < p->rows; t++)
        for (size_t n = 0; n < p->columns; n++) {
            const int8_t *w = p->weights + n * p->depth, *x = p->integers + t * p->depth;
            int32_t sum = 0;
            for (size_t k = 0; k < p->depth; k++)
                sum += w[k] * x[k];
            p->result[t * p->columns + n] = p->scales[n] * (float)sum;
        }
}

static void multiply_floats(const problem *p)
{
    for (size_t t = 0; t < p->rows; t++)
        for (size_t n = 0; n < p->columns; n++) {
            const int8_t *w = p->weights + n * p->depth;
            const float *x = p->floats + t * p->depth;
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (size_t k = 0; k < p->depth; k++)
                sum += (float)w[k] * x[k];
            p->result[t * p->columns + n] = p->scales[n] * sum;
        }
}

static void *allocate(size_t count, size_t size)
{
    void *at = calloc(count, size);
    if (!at) {
        fputs("gemv: out of memory\n", stderr);
        exit(1);
    }
    return at;
}

static problem create(size_t rows, size_t columns, size_t depth)
{
    problem p = {.rows = rows, .columns = columns, .depth = depth};
    p.weights = allocate(columns, depth);
    p.integers = allocate(rows, depth);
    p.floats = allocate(rows * depth, sizeof(float));
    p.scales = allocate(columns, sizeof(float));
    p.result = allocate(rows * columns, sizeof(float));
    for (size_t i = 0; i < columns * depth; i++)
        p.weights[i] = (int8_t)(i * 7 % 4 * 2 - 3);
    for (size_t i = 0; i < rows * depth; i++)
        p.floats[i] = p.integers[i] = (int8_t)(i * 37);
    for (size_t n = 0; n < columns; n++)
        p.scales[n] = 0.25f;
    return p;
}

static double seconds_per_call(void (*multiply)(const problem *), const problem *p, double seconds)
{
    double start = processor_seconds(), elapsed;
    unsigned long calls = 0;
    do {
        multiply(p);
        calls++;
    } while ((elapsed = processor_seconds() - start) < seconds);
    return elapsed / (double)calls;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    size_t sizes[3];
    for (int i = 0; i < 3; i++)
        sizes[i] = strtoul(argv[2 + i], NULL, 10);
    problem p = create(sizes[0], sizes[1], sizes[2]);
    int integers = strcmp(argv[1], "i8") == 0;
    double seconds =
        seconds_per_call(integers ? multiply_integers : multiply_floats, &p, strtod(argv[5], NULL));
    printf("%.9g %g\n", seconds, (double)p.result[p.columns - 1]);
}
