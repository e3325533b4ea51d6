// Choosing the next token from logits. The same logits, settings and seed give the same tokens on
// every machine, as far as its exp() does.
#pragma once

#include "support/array.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// In this order: divide the logits by `temperature`; keep the `top_k` largest; of these the fewest
// whose probabilities reach `top_p` together; draw. Of equal logits the lower id comes first.
typedef struct sampler_settings {
    double temperature; // 0: the largest logit, without drawing
    size_t top_k;       // 0: all
    double top_p;       // 1: all
    uint64_t seed;
} sampler_settings;

typedef struct sampler {
    sampler_settings settings;
    random_stream random; // random_seed(seed): support/array.h says which stream that is
    struct candidate *candidates;
    size_t vocabulary;
} sampler;

sampler sampler_create(arena *a, const sampler_settings *settings, size_t vocabulary);
// The id, or -1 where no logit is a number. NaN is never chosen.
int64_t sampler_choose(sampler *s, const float *logits);
