// Private to quant: second moments, and products of a row with many.
#pragma once

#include "compiler/quant/calibrate.h"

struct quant_moments {
    int64_t k;
    double damping;  // what was added to the diagonal of `moments`
    double *moments; // H, k * k, symmetric once it is finished
    double *factor;  // L, lower triangular: L^T L = H
};

// Rows of a matrix that are quantized side by side: element k of row l is x[k * QUANT_LANES + l].
enum { QUANT_LANES = 16 };
// The sum of a[k] * x[k] for each of them.
void quant_lanes_dot(const double *a, const double *x, int64_t count, double out[QUANT_LANES]);
