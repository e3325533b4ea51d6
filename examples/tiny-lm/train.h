// Training: batches of stories, each split into shares that are learned from one by one and whose
// gradients are added in a fixed order. The result is the same for any number of threads.
#pragma once

#include "examples/tiny-lm/corpus.h"
#include "examples/tiny-lm/optimizer.h"

typedef struct training_settings {
    uint64_t seed;
    int batch;  // sequences of a step
    int shares; // of a batch; divides it
    int threads;
    optimizer_settings optimizer;
    FILE *log; // a line now and then; NULL: silent
} training_settings;

// From fresh values. Returns the mean loss of the last steps, in nats per token.
double train(arena *a, model *m, const corpus *c, const training_settings *s);
// The mean loss over sequences first .. first + count of a part.
double corpus_loss(arena *a, const model *m, const corpus *c, corpus_part part, int count,
                   int threads);
