// How well a model predicts a text: llama.cpp's perplexity, and the mean loss over all tokens.
//
// Perplexity: the text is cut into windows of `window` tokens; what is left at the end is not
// used. A window's first token is replaced by BOS where the vocabulary begins texts with one. Of
// a window the model reads all, and the tokens window / 2 + 1 .. window - 1 count, each predicted
// from those before it in the window.
//
// Mean loss: every token of the text counts, each once. The text is cut into windows as long as the
// model's context (`window` where that is unlimited); the model reads BOS and the window but its
// last token. Without BOS, the first token of a window has nothing to be predicted from and does
// not count.
#pragma once

#include "support/generation/generate.h"

enum { LEAST_WINDOW = 4 };

typedef struct perplexity_settings {
    size_t window;       // LEAST_WINDOW or more, at most the context
    size_t most_windows; // 0: all
    int64_t bos;         // -1: texts do not begin with one
    void *context;
    // After every window: the share that is done, the perplexity so far (NaN: none). NULL: silent.
    void (*progress)(void *context, double done, double perplexity);
} perplexity_settings;

typedef struct loss_sum {
    double loss, squares; // nats
    size_t count;
} loss_sum;

typedef struct perplexity_result {
    double perplexity, standard_error; // by the spread of the losses; 0 for a single one
    size_t windows;
    loss_sum counted;
    double mean_loss; // nats per token
    size_t loss_window;
    loss_sum all;
    generation_phase work;
} perplexity_result;

// `tokens`: the text without BOS. Windows go through the model in batches, as large as it takes;
// the numbers are the same. False: reported (a text shorter than a window, a failed call, logits
// that are no numbers).
bool perplexity_measure(arena *a, diagnostics *d, const language_model *m,
                        const perplexity_settings *s, const uint32_t *tokens, size_t count,
                        perplexity_result *out);

// -log softmax(logits)[target], in double; NaN where it is none.
double token_loss(const float *logits, size_t vocabulary, uint32_t target);
