#include "examples/tiny-lm/matmul.h"

#include "support/clones.h"

#include <string.h>

// A tile of the result stays in registers: 6 x 16 floats are 12 of 16 AVX registers.
enum { TILE_M = 6, TILE_N = 16, LANES = 8 };

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4)));

static int round_up(int x, int to)
{
    return (x + to - 1) / to * to;
}

long matmul_scratch(int m, int k)
{
    return (long)(round_up(m, TILE_M) + TILE_N) * k;
}

#define INLINE static inline __attribute__((always_inline))

// k times `width` floats of k times `have`, the missing ones zeros.
INLINE void pack(const float *data, int step, int inner, int have, int width, int k, float *to)
{
    for (int p = 0; p < k; p++)
        for (int i = 0; i < width; i++)
            *to++ = i < have ? data[i * step + p * inner] : 0;
}

INLINE void tile_product(int k, const float *restrict a, const float *restrict b,
                         float *restrict result)
{
    lanes sums[TILE_M][2] = {{{0}}};
    for (int p = 0; p < k; p++, a += TILE_M, b += TILE_N) {
        lanes low = *(const lanes *)b, high = *(const lanes *)(b + LANES);
#pragma GCC unroll 6
        for (int i = 0; i < TILE_M; i++) {
            sums[i][0] += a[i] * low;
            sums[i][1] += a[i] * high;
        }
    }
    memcpy(result, sums, sizeof sums);
}

INLINE void store(const float *from, int rows, int columns, float *c, int c_row, bool add)
{
    for (int i = 0; i < rows; i++, from += TILE_N, c += c_row)
        for (int j = 0; j < columns; j++)
            c[j] = add ? c[j] + from[j] : from[j];
}

INLINE int least(int x, int y)
{
    return x < y ? x : y;
}

HOST_CLONES void matmul(int m, int n, int k, matrix a, matrix b, float *c, int c_row, bool add,
                        float *scratch)
{
    float *columns = scratch, *rows = scratch + (long)TILE_N * k, result[TILE_M * TILE_N];
    for (int i = 0; i < m; i += TILE_M)
        pack(a.data + (long)i * a.row, a.row, a.column, least(m - i, TILE_M), TILE_M, k,
             rows + (long)i * k);
    for (int j = 0; j < n; j += TILE_N) {
        int width = least(n - j, TILE_N);
        pack(b.data + (long)j * b.column, b.column, b.row, width, TILE_N, k, columns);
        for (int i = 0; i < m; i += TILE_M) {
            tile_product(k, rows + (long)i * k, columns, result);
            store(result, least(m - i, TILE_M), width, c + (long)i * c_row + j, c_row, add);
        }
    }
}
