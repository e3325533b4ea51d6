// AdamW with a clipped gradient, and a rate that rises in a straight line and falls as a cosine.
#pragma once

#include "examples/tiny-lm/model.h"

typedef struct optimizer_settings {
    float rate;  // the largest
    float decay; // of ternary matrices, times the rate
    float clip;  // the largest norm of the whole gradient
    int warmup, steps;
} optimizer_settings;

typedef struct optimizer {
    optimizer_settings settings;
    float *mean, *square;              // of the gradient, of its squares; decaying
    double mean_weight, square_weight; // what their weights add up to
    int step;
} optimizer;

optimizer optimizer_create(arena *a, const optimizer_settings *s, const model *m);
float optimizer_rate(const optimizer_settings *s, int step);
// One step by the sum of `count` gradients, in their order; the first becomes that sum. Then the
// model's values are rounded anew.
void optimizer_step(optimizer *o, model *m, float *const *gradients, int count, int threads);
