#include "support/generation/perplexity.h"

#include <math.h>
#include <string.h>

enum { MOST_LOGITS = 1 << 24 }; // of one call

typedef struct measuring {
    diagnostics *diagnostics;
    const language_model *model;
    const perplexity_settings *settings;
    generation_phase *work;
    size_t batch;        // of a call
    size_t read, scored; // tokens of a call that is only read, or gives logits
    int32_t *tokens, *positions;
    const float *logits; // of the last call
    double done, all;    // tokens to read
} measuring;

// A window: what is read, and what follows each token of it.
typedef struct window {
    const uint32_t *inputs, *targets;
    loss_sum sum;
} window;

// Windows of one length; tokens from `first` on are predicted from.
typedef struct window_set {
    int64_t head; // stands for the first token of each; -1: that token itself
    size_t length, first;
} window_set;

double token_loss(const float *logits, size_t vocabulary, uint32_t target)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < vocabulary; i++)
        most = logits[i] > most ? logits[i] : most;
    for (size_t i = 0; i < vocabulary; i++)
        sum += exp((double)logits[i] - most);
    return log(sum) - ((double)logits[target] - most);
}

static void add_loss(loss_sum *sum, double loss)
{
    sum->loss += loss;
    sum->squares += loss * loss;
    sum->count++;
}

static void add_sum(loss_sum *sum, const loss_sum *other)
{
    sum->loss += other->loss;
    sum->squares += other->squares;
    sum->count += other->count;
}

// ------------------------------------------------------------------------------- calls

static void fill_tokens(measuring *m, const window_set *set, const window *windows, size_t batch,
                        size_t at, size_t count)
{
    for (size_t b = 0; b < batch; b++) {
        m->positions[b] = (int32_t)at;
        for (size_t t = 0; t < count; t++) {
            bool head = at + t == 0 && set->head >= 0;
            m->tokens[b * count + t] =
                (int32_t)(head ? set->head : (int64_t)windows[b].inputs[at + t]);
        }
    }
}

static bool run_call(measuring *m, language_model_call *call, size_t batch, size_t count)
{
    m->done += (double)(batch * count);
    m->logits =
        phase_call(m->work, m->model, call, batch, count, m->tokens, m->positions, batch * count);
    return m->logits;
}

static bool add_logits(measuring *m, window *windows, size_t batch, size_t at, size_t count)
{
    size_t vocabulary = m->model->vocabulary;
    for (size_t b = 0; b < batch; b++)
        for (size_t t = 0; t < count; t++) {
            const float *logits = m->logits + (b * count + t) * vocabulary;
            double loss = token_loss(logits, vocabulary, windows[b].targets[at + t]);
            if (isnan(loss)) {
                diagnostic_error(m->diagnostics, NOWHERE,
                                 "the logits at position %zu are no numbers (NaN)", at + t);
                return false;
            }
            add_loss(&windows[b].sum, loss);
        }
    return true;
}

// What is only read goes through `forward`, which gives fewer logits; what is predicted from
// through `score`, or one by one where the program has none.
static bool run_windows(measuring *m, const window_set *set, window *windows, size_t batch)
{
    const language_model *model = m->model;
    size_t count;
    model->reset(model->context);
    for (size_t at = 0; at < set->length; at += count) {
        bool read_only = at < set->first;
        size_t end = read_only ? set->first : set->length;
        size_t most = read_only ? m->read : m->scored;
        count = end - at < most ? end - at : most;
        fill_tokens(m, set, windows, batch, at, count);
        if (!run_call(m, read_only || !model->score ? model->forward : model->score, batch, count))
            return false;
        if (!read_only && !add_logits(m, windows, batch, at, count))
            return false;
    }
    return true;
}

static void show_progress(const measuring *m, const loss_sum *sum, bool is_perplexity)
{
    const perplexity_settings *s = m->settings;
    if (s->progress)
        s->progress(s->context, m->done / m->all,
                    is_perplexity && sum->count ? exp(sum->loss / (double)sum->count) : NAN);
}

// `count` windows, each `step` tokens behind the one before. Sums go window by window, so that
// batches give the same.
static bool run_set(measuring *m, arena *a, const window_set *set, const uint32_t *inputs,
                    const uint32_t *targets, size_t step, size_t count, loss_sum *out)
{
    window *windows = ARENA_ARRAY(a, window, m->batch);
    for (size_t at = 0; at < count; at += m->batch) {
        size_t batch = count - at < m->batch ? count - at : m->batch;
        for (size_t b = 0; b < batch; b++)
            windows[b] = (window){inputs + (at + b) * step, targets + (at + b) * step, {0}};
        if (!run_windows(m, set, windows, batch))
            return false;
        for (size_t b = 0; b < batch; b++)
            add_sum(out, &windows[b].sum);
        show_progress(m, out, set->first > 0);
    }
    return true;
}

// ------------------------------------------------------------------------------ measures

static void finish_perplexity(perplexity_result *r)
{
    double n = (double)r->counted.count, mean = r->counted.loss / n;
    double variance = r->counted.squares / n - mean * mean;
    r->perplexity = exp(mean);
    r->standard_error =
        r->counted.count > 1 && variance > 0 ? sqrt(variance / (n - 1)) * r->perplexity : 0;
}

// The windows of the mean loss: full ones, then what is left. `all` begins with BOS where texts do.
static bool measure_loss(measuring *m, arena *a, const uint32_t *all, size_t count,
                         perplexity_result *r)
{
    size_t step = r->loss_window, skipped = m->settings->bos < 0;
    size_t full = count / step, rest = count % step;
    window_set set = {m->settings->bos, step - skipped, 0};
    if (!run_set(m, a, &set, all, all + 1, step, full, &r->all))
        return false;
    set.length = rest > skipped ? rest - skipped : 0;
    const uint32_t *behind = all + full * step;
    return !set.length || run_set(m, a, &set, behind, behind + 1, step, 1, &r->all);
}

static bool measure_perplexity(measuring *m, arena *a, const uint32_t *all, perplexity_result *r)
{
    size_t length = m->settings->window;
    window_set set = {m->settings->bos, length - 1, length / 2};
    return run_set(m, a, &set, all, all + 1, length, r->windows, &r->counted);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static void prepare(measuring *m, arena *a, const perplexity_result *r, size_t count)
{
    const language_model *model = m->model;
    size_t affordable = MOST_LOGITS / model->vocabulary;
    affordable = affordable ? affordable : 1;
    m->batch = smallest(model->largest_batch, affordable, r->windows);
    m->read = smallest(model->largest_tokens, MOST_LOGITS / m->batch, count + 1);
    m->scored = model->score ? smallest(m->read, affordable / m->batch, SIZE_MAX) : 1;
    m->tokens = ARENA_ARRAY(a, int32_t, m->batch * m->read);
    m->positions = ARENA_ARRAY(a, int32_t, m->batch);
    m->all = (double)(r->windows * (m->settings->window - 1) + count);
}

bool perplexity_measure(arena *a, diagnostics *d, const language_model *model,
                        const perplexity_settings *s, const uint32_t *tokens, size_t count,
                        perplexity_result *out)
{
    size_t head = s->bos >= 0, length = count + head, windows = length / s->window;
    *out = (perplexity_result){.windows = windows};
    if (!windows) {
        diagnostic_error(d, NOWHERE,
                         "the text has %zu tokens, fewer than a window of %zu; give a longer text "
                         "or a smaller --context",
                         length, s->window);
        return false;
    }
    if (s->most_windows && s->most_windows < windows) {
        out->windows = s->most_windows;
        count = s->most_windows * s->window - head;
    }
    out->loss_window = model->context_length == MODEL_UNLIMITED ? s->window : model->context_length;
    uint32_t *all = ARENA_ARRAY(a, uint32_t, count + head);
    all[0] = head ? (uint32_t)s->bos : 0;
    memcpy(all + head, tokens, count * sizeof *all);
    measuring m = {.diagnostics = d, .model = model, .settings = s, .work = &out->work};
    prepare(&m, a, out, count);
    if (!measure_perplexity(&m, a, all, out) || !measure_loss(&m, a, all, count, out))
        return false;
    out->mean_loss = out->all.loss / (double)out->all.count;
    finish_perplexity(out);
    return true;
}
