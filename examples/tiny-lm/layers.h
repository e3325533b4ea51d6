// The layers of the network, forward and backward, over the rows (tokens) of one sequence. Only
// IEEE operations in a fixed order: the same bits on every machine.
//
// Backward functions take the gradient of the result; gradients of inputs are added to where the
// name begins with `add_`, otherwise written.
#pragma once

#include <stdbool.h>
#include <stdint.h>

float layer_exp(float x);
double layer_cosine(double x); // |x| <= pi, as of the sine
double layer_sine(double x);

// y = x / sqrt(mean(x^2) + epsilon) * gain; inverse: one per row, for backward
void rms_norm(int rows, int columns, float epsilon, const float *x, const float *gain, float *y,
              float *inverse);
void rms_norm_backward(int rows, int columns, const float *x, const float *gain,
                       const float *inverse, const float *dy, float *add_dx, float *add_dgain);

// q = round(x / scale), scale = max|x| / 127 of the row. Rounding is taken for nothing in the
// backward pass (straight-through), so that there is no function for it.
void quantize_rows(int rows, int columns, const float *x, float *q, float *scale);
// y[row] *= scale[row] * factor
void scale_rows(int rows, int columns, float *y, const float *scale, float factor);

// Pairs (i, i + size / 2) of each head turn by position * 10000^(-2 i / size); the size is a power
// of two.
typedef struct rotation {
    int size;         // of a head
    float *cos, *sin; // [position][size / 2]
} rotation;
void rotation_fill(rotation *r, int positions);
void rotate(const rotation *r, int rows, int heads, float *x, bool back);

// m = silu(gate) * up
void gated(int count, const float *gate, const float *up, float *m);
void gated_backward(int count, const float *gate, const float *up, const float *dm, float *dgate,
                    float *dup);

// Causal attention; each query head h reads key head h / (heads / kv_heads).
typedef struct attention_shape {
    int rows, heads, kv_heads, size;
} attention_shape;
// weights: [heads][rows][rows], for backward. scratch: matmul_scratch and rows * rows floats.
void attention(attention_shape s, const float *q, const float *k, const float *v, float *weights,
               float *y, float *scratch);
void attention_backward(attention_shape s, const float *q, const float *k, const float *v,
                        const float *weights, const float *dy, float *dq, float *dk, float *dv,
                        float *scratch);

// The sum of -log softmax(logits)[target] over the rows. With `gradient`, the logits become the
// gradient of `weight` times that.
double cross_entropy(int rows, int columns, float *logits, const uint32_t *targets, bool gradient,
                     float weight);
