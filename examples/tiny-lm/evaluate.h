// What a model says, by this program's own forward pass: the reference for the compiled model.
#pragma once

#include "examples/tiny-lm/model_file.h"

typedef struct continuation {
    token_list tokens; // begin mark, prompt, and what follows: the largest logit, each time
    size_t prompt;     // how many tokens are the prompt's
    float margin;      // the smallest lead of a chosen token over the next best
} continuation;

// At most `count` new tokens; ends behind an end mark, and where the context does. False: reported.
bool continue_text(arena *a, diagnostics *d, const loaded_model *m, const char *prompt, int count,
                   continuation *out);
// The tokens as text, without marks.
void tokens_text(const tokenizer *t, const token_list *tokens, text *out);

typedef struct text_loss {
    size_t tokens;     // of the text
    double mean;       // nats per token
    double perplexity; // as llama.cpp counts it; NaN: the text is shorter than the context
} text_loss;

// The text is cut into windows of the context's length. For the mean, the model reads BOS and each
// window but its last token, and all tokens count. For the perplexity, only whole windows are used,
// their first token is replaced by BOS, and of the window the tokens context / 2 + 1 .. context - 1
// count. False: reported.
bool measure_text(arena *a, diagnostics *d, const loaded_model *m, const char *s, size_t length,
                  text_loss *out);
