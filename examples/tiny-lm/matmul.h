// Products of matrices in f32. Every element of the result is one sum, taken in the order of the
// inner dimension, each product rounded: the same bits on every machine.
#pragma once

#include <stdbool.h>

// Element (i, j) is data[i * row + j * column].
typedef struct matrix {
    const float *data;
    int row, column;
} matrix;

static inline matrix matrix_rows(const float *data, int row)
{
    return (matrix){data, row, 1};
}
static inline matrix matrix_transposed(const float *data, int row)
{
    return (matrix){data, 1, row};
}

// Floats of scratch memory that matmul needs.
long matmul_scratch(int m, int k);
// c (m x n, `c_row` floats from row to row) = a (m x k) b (k x n), or c += a b.
void matmul(int m, int n, int k, matrix a, matrix b, float *c, int c_row, bool add, float *scratch);
