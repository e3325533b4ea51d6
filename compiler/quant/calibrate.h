// Quantizing for the inputs that a matrix is multiplied with, with error feedback in the manner of
// GPTQ (Frantar et al., 2022).
//
// A product's error is tr((W - Q) H (W - Q)^T), H being the sum of x x^T over its inputs x. Codes
// are chosen column by column, and what rounding one of them does to the products is made up for
// by the columns that are still to come.
#pragma once

#include "compiler/quant/quant.h"

// Sums of x x^T of k columns: 16 k^2 bytes.
typedef struct quant_moments quant_moments;
quant_moments *quant_moments_create(int64_t k);
void quant_moments_destroy(quant_moments *m); // NULL is fine
// `rows` more inputs, row-major; row i counts as scale[i] * x (NULL: as it is).
void quant_moments_add(quant_moments *m, const double *x, const double *scale, int64_t rows);
// Once, behind all inputs. `damping`, as a part of the mean of the diagonal, is added to it, more
// where that does not make the sums positive definite; of inputs that are all zeros, 1. False: an
// input was not finite, or too large.
bool quant_moments_finish(quant_moments *m, double damping);

typedef struct quant_calibration {
    quant_method method; // of a group's scales, from its weights with the errors fed back
    unsigned scales;     // how many scales a group tries around that one, 1 to 5
    unsigned sweeps;     // over codes and scales once more, each against all others; 0: none
    double damping;
} quant_calibration;
extern const quant_calibration quant_calibration_usual;

// `rows` hold some rounding of the weights (n * k floats), and a codebook if the format has one.
// Each row is replaced by a better one if there is: its error, without damping, never grows.
// Deterministic, and independent of which rows are given together.
void quant_calibrate(const quant_moments *m, const quant_calibration *c, const float *weights,
                     quant_rows *rows);
// tr((W - Q) H (W - Q)^T), without damping.
double quant_product_error(const quant_moments *m, const float *weights, const quant_rows *rows);
