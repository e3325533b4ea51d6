// The network over one sequence: what it predicts, and the gradient of its loss.
#pragma once

#include "examples/tiny-lm/model.h"

// What one pass leaves for the next: one per thread.
typedef struct network network;

network *network_create(arena *a, const model *m); // refers to *m
// Reads tokens[0 .. count), count <= the context; gives the logits behind each,
// [count][vocabulary].
float *network_forward(network *n, const uint32_t *tokens, int count);
// The summed loss in nats of predicting tokens[1 .. count) from those before each.
double network_loss(network *n, const uint32_t *tokens, int count);
// The same, and adds the gradient of `weight` times it to `gradient`, laid out as the values.
double network_learn(network *n, const uint32_t *tokens, int count, float weight, float *gradient);
