#include "examples/tiny-lm/evaluate.h"

#include "examples/tiny-lm/layers.h"
#include "examples/tiny-lm/network.h"

#include <math.h>
#include <string.h>

// ----------------------------------------------------------------------- continuation

// The position of the largest logit; *lead: how far it is above the second largest.
static uint32_t best_token(const float *logits, int count, float *lead)
{
    int best = 0;
    float second = -INFINITY;
    for (int i = 1; i < count; i++) {
        if (logits[i] > logits[best]) {
            second = logits[best];
            best = i;
        } else if (logits[i] > second) {
            second = logits[i];
        }
    }
    *lead = logits[best] - second;
    return (uint32_t)best;
}

bool continue_text(arena *a, diagnostics *d, const loaded_model *m, const char *prompt, int count,
                   continuation *out)
{
    const model_sizes *s = &m->model.sizes;
    *out = (continuation){.margin = INFINITY};
    token_list *tokens = &out->tokens;
    if (!tokenizer_encode(m->tokenizer, a, d, prompt, strlen(prompt),
                          (encode_options){.add_special = true}, tokens))
        return false;
    if (tokens->count > (size_t)s->context) {
        diagnostic_error(d, NOWHERE, "the prompt has %zu tokens, the context holds %d",
                         tokens->count, s->context);
        return false;
    }
    out->prompt = tokens->count;
    network *n = network_create(a, &m->model);
    for (int i = 0; i < count && tokens->count < (size_t)s->context; i++) {
        int rows = (int)tokens->count;
        float lead, *logits = network_forward(n, tokens->items, rows);
        ARRAY_PUSH(a, tokens,
                   best_token(logits + (long)(rows - 1) * s->vocabulary, s->vocabulary, &lead));
        out->margin = lead < out->margin ? lead : out->margin;
        if (tokenizer_ends(m->tokenizer, tokens->items[tokens->count - 1]))
            break;
    }
    return true;
}

void tokens_text(const tokenizer *t, const token_list *tokens, text *out)
{
    token_decoder decoder = tokenizer_decoder(t, false);
    for (size_t i = 0; i < tokens->count; i++)
        decoder_put(&decoder, tokens->items[i], out);
    decoder_end(&decoder, out);
}

// ------------------------------------------------------------------------------- loss

typedef struct measure {
    const loaded_model *model;
    network *network;
    const token_list *tokens;
    uint32_t *window;
} measure;

// BOS, then `count` tokens of the text.
static void fill_window(measure *m, size_t first, int count)
{
    m->window[0] = (uint32_t)tokenizer_special(m->model->tokenizer).bos;
    memcpy(m->window + 1, m->tokens->items + first, (size_t)count * sizeof *m->window);
}

static double mean_loss(measure *m)
{
    size_t context = (size_t)m->model->model.sizes.context;
    double loss = 0;
    for (size_t first = 0; first < m->tokens->count; first += context) {
        size_t left = m->tokens->count - first;
        int count = (int)(left < context ? left : context);
        fill_window(m, first, count);
        loss += network_loss(m->network, m->window, count + 1);
    }
    return loss / (double)m->tokens->count;
}

static double perplexity(measure *m)
{
    const model_sizes *s = &m->model->model.sizes;
    int context = s->context, from = context / 2, counted = context - from - 1;
    size_t windows = m->tokens->count / (size_t)context;
    double loss = 0;
    for (size_t i = 0; i < windows; i++) {
        fill_window(m, i * (size_t)context + 1, context - 1);
        float *logits = network_forward(m->network, m->window, context);
        loss += cross_entropy(counted, s->vocabulary, logits + (long)from * s->vocabulary,
                              m->window + from + 1, false, 0);
    }
    return exp(loss / (double)(windows * (size_t)counted));
}

bool measure_text(arena *a, diagnostics *d, const loaded_model *m, const char *s, size_t length,
                  text_loss *out)
{
    token_list tokens = {0};
    if (!tokenizer_encode(m->tokenizer, a, d, s, length, (encode_options){0}, &tokens))
        return false;
    if (tokens.count == 0 || tokenizer_special(m->tokenizer).bos < 0) {
        diagnostic_error(d, NOWHERE, "there is no text to measure, or no mark to begin it with");
        return false;
    }
    measure at = {m, network_create(a, &m->model), &tokens,
                  ARENA_ARRAY(a, uint32_t, (size_t)m->model.sizes.context + 1)};
    out->tokens = tokens.count;
    out->mean = mean_loss(&at);
    out->perplexity = perplexity(&at);
    return true;
}
