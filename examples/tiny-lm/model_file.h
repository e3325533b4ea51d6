// The model as a GGUF file of architecture "bitnet": TQ2_0 blocks with d = 1 and a scale beside
// each matrix, the embedding in f16, norms in f32, the vocabulary as metadata.
#pragma once

#include "examples/tiny-lm/bpe.h"
#include "examples/tiny-lm/model.h"
#include "support/text.h"

// Appends the file. Columns of ternary matrices are multiples of 256.
void model_write(arena *a, const model *m, const bpe_vocabulary *v, text *out);

typedef struct loaded_model {
    model model;
    tokenizer *tokenizer;
} loaded_model;

// Only to run it. False: reported.
bool model_read(arena *a, diagnostics *d, const char *path, loaded_model *out);
