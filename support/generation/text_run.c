#include "support/generation/text_run.h"

#include "support/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct job {
    arena *arena;
    diagnostics *diagnostics;
    const text_settings *settings;
    const language_model *model;
    const tokenizer *tokenizer;
    text_report *report;
} job;

#define REPORT(j, ...) (diagnostic_error((j)->diagnostics, NOWHERE, __VA_ARGS__), false)

static int64_t first_token(const job *j)
{
    bool wanted = tokenizer_adds_bos(j->tokenizer) && !j->settings->no_bos;
    return wanted ? tokenizer_special(j->tokenizer).bos : -1;
}

// ---------------------------------------------------------------------------- prompts

// A text that is not the first has no BOS; one of no tokens at all is begun by BOS whatever the
// vocabulary does as a rule.
static bool encode_prompt(const job *j, const char *typed, size_t length, bool first,
                          token_span *out)
{
    token_list list = {0};
    int64_t bos = first ? first_token(j) : -1;
    if (bos >= 0)
        ARRAY_PUSH(j->arena, &list, (uint32_t)bos);
    if (!tokenizer_encode(j->tokenizer, j->arena, j->diagnostics, typed, length,
                          (encode_options){0}, &list))
        return false;
    bos = tokenizer_special(j->tokenizer).bos;
    if (first && !list.count && bos < 0)
        return REPORT(j, "an empty prompt needs a token that begins a text, and the vocabulary "
                         "has none");
    if (first && !list.count)
        ARRAY_PUSH(j->arena, &list, (uint32_t)bos);
    *out = (token_span){list.items, list.count};
    return true;
}

static bool read_file(const job *j, const char *path, bool strip, const char **data, size_t *size)
{
    mapped_file file;
    if (!file_map(j->diagnostics, path, &file))
        return false;
    *size = file.size;
    *data = arena_string(j->arena, file.data ? (const char *)file.data : "", file.size);
    file_unmap(&file);
    if (strip && *size && (*data)[*size - 1] == '\n')
        --*size;
    return true;
}

static bool read_prompt(const job *j, size_t index, token_span *out)
{
    const text_settings *s = j->settings;
    const char *data = s->prompt_file ? NULL : s->prompts.items[index];
    size_t size = data ? strlen(data) : 0, most = j->model->context_length;
    if (s->prompt_file && !read_file(j, s->prompt_file, true, &data, &size))
        return false;
    if (!encode_prompt(j, data, size, true, out))
        return false;
    return out->count <= most ||
           REPORT(j, "prompt %zu has %zu tokens, more than the context of %zu", index + 1,
                  out->count, most);
}

// All of them, before any is continued.
static bool read_prompts(const job *j, token_span **out, size_t *count)
{
    bool ok = true;
    *count = j->settings->prompt_file ? 1 : j->settings->prompts.count;
    *out = ARENA_ARRAY(j->arena, token_span, *count);
    for (size_t i = 0; i < *count; i++)
        ok &= read_prompt(j, i, &(*out)[i]);
    return ok;
}

// ------------------------------------------------------------------------------ streams

// Sequences in order: the first that is not done is shown as it comes, those behind it wait.
typedef struct stream {
    const job *job;
    size_t count, shown;
    size_t first; // number of sequence 0 among all prompts
    bool quiet;   // tokens of prompts are not shown
    bool full;    // a sequence ended with the context
    bool open;    // what was shown last does not end a line
    struct {
        token_decoder decoder;
        text waiting;
        bool done;
    } *sequences;
} stream;

static stream stream_create(const job *j, size_t first, size_t count)
{
    stream s = {.job = j, .count = count, .first = first};
    s.sequences = arena_alloc_array(j->arena, count, sizeof *s.sequences);
    for (size_t i = 0; i < count; i++)
        s.sequences[i].decoder = tokenizer_decoder(j->tokenizer, j->settings->show_special);
    return s;
}

// After a failure in the middle of a text its line is ended, so that messages have their own.
static void stream_free(stream *s)
{
    if (s->open) {
        putchar('\n');
        fflush(stdout);
    }
    for (size_t i = 0; i < s->count; i++)
        text_free(&s->sequences[i].waiting);
}

static void show(stream *s, size_t sequence)
{
    text *t = &s->sequences[sequence].waiting;
    if (t->length)
        s->open = t->data[t->length - 1] != '\n';
    fwrite(text_string(t), 1, t->length, stdout);
    fflush(stdout);
    text_clear(t);
}

static void show_ready(stream *s)
{
    while (s->shown < s->count) {
        show(s, s->shown);
        if (!s->sequences[s->shown].done)
            return;
        s->shown++;
    }
}

static void emit_token(void *context, size_t sequence, uint32_t token, bool from_prompt)
{
    stream *s = context;
    text *t = &s->sequences[sequence].waiting;
    size_t length = t->length;
    decoder_put(&s->sequences[sequence].decoder, token, t);
    if (from_prompt && s->quiet && t->length > length)
        t->data[t->length = length] = '\0';
    if (sequence == s->shown)
        show(s, sequence);
}

static void finish_sequence(void *context, size_t sequence, generation_end end)
{
    stream *s = context;
    text *t = &s->sequences[sequence].waiting;
    decoder_end(&s->sequences[sequence].decoder, t);
    text_char(t, '\n');
    if (s->first + sequence + 1 < s->job->settings->prompts.count)
        text_char(t, '\n'); // an empty line between texts
    s->sequences[sequence].done = true;
    show_ready(s);
    if (end != GENERATION_CONTEXT)
        return;
    s->full = true;
    diagnostic_note(s->job->diagnostics, NOWHERE,
                    "text %zu ends here: the context of %zu tokens is full",
                    s->first + sequence + 1, s->job->model->context_length);
}

static bool ends_text(void *context, uint32_t token)
{
    return tokenizer_ends(((stream *)context)->job->tokenizer, token);
}

static generation_settings generation_of(stream *s)
{
    const text_settings *t = s->job->settings;
    return (generation_settings){
        .sampling = {t->temperature, (size_t)t->top_k, t->top_p, (uint64_t)t->seed + s->first},
        .count = (size_t)t->count,
        .context = s,
        .ends = t->ignore_end ? NULL : ends_text,
        .emit = emit_token,
        .finish = finish_sequence};
}

static void add_phase(generation_phase *sum, const generation_phase *p)
{
    sum->tokens += p->tokens;
    sum->seconds += p->seconds;
    sum->work.instructions += p->work.instructions;
    sum->work.lmma += p->work.lmma;
    sum->work.lookups += p->work.lookups;
}

static void add_counts(const job *j, const generation *g)
{
    add_phase(&j->report->counts.prompt, &generation_counted(g)->prompt);
    add_phase(&j->report->counts.decode, &generation_counted(g)->decode);
}

// ----------------------------------------------------------------------------- the tasks

static bool run_group(const job *j, const token_span *prompts, size_t first, size_t count)
{
    stream s = stream_create(j, first, count);
    generation_settings settings = generation_of(&s);
    generation *g = generation_create(j->arena, j->diagnostics, j->model, &settings, count);
    bool ok = generation_run(g, prompts + first);
    show_ready(&s);
    add_counts(j, g);
    stream_free(&s);
    return ok;
}

static bool run_prompts(const job *j)
{
    token_span *prompts;
    size_t count, most = j->model->largest_batch;
    bool ok = read_prompts(j, &prompts, &count);
    for (size_t at = 0; ok && at < count; at += most)
        ok = run_group(j, prompts, at, count - at < most ? count - at : most);
    return ok;
}

// A turn begins with what is typed; it is not shown again.
static bool read_turn(const job *j, bool first, char **line, size_t *capacity, token_span *out,
                      bool *ended)
{
    if (isatty(STDIN_FILENO))
        fputs("> ", stderr);
    ssize_t length = getline(line, capacity, stdin);
    *ended = length < 0;
    if (*ended)
        return true;
    return encode_prompt(j, *line, (size_t)length - ((*line)[length - 1] == '\n'), first, out);
}

static bool run_turn(stream *s, generation *g, const token_span *prompt, bool quiet)
{
    s->quiet = quiet;
    s->shown = 0;
    s->sequences[0].done = false;
    return generation_run(g, prompt);
}

static bool run_turns(const job *j, stream *s, generation *g)
{
    token_span *prompts;
    size_t given, capacity = 0;
    char *line = NULL;
    bool ended = false, ok = read_prompts(j, &prompts, &given);
    if (ok && given)
        ok = run_turn(s, g, &prompts[0], false);
    for (bool first = !given; ok && !s->full; first = false) {
        token_span prompt;
        ok = read_turn(j, first, &line, &capacity, &prompt, &ended);
        if (!ok || ended)
            break;
        ok = run_turn(s, g, &prompt, true);
    }
    free(line);
    return ok;
}

static bool run_interactive(const job *j)
{
    stream s = stream_create(j, 0, 1);
    generation_settings settings = generation_of(&s);
    generation *g = generation_create(j->arena, j->diagnostics, j->model, &settings, 1);
    bool ok = run_turns(j, &s, g);
    add_counts(j, g);
    stream_free(&s);
    return ok;
}

static void show_estimate(void *context, double done, double perplexity)
{
    char detail[64] = "mean loss";
    if (!isnan(perplexity))
        snprintf(detail, sizeof detail, "perplexity %.4f", perplexity);
    progress_update(context, done, detail);
}

static void print_perplexity(const perplexity_result *r, size_t window)
{
    printf("perplexity %.4f +/- %.4f (%zu windows of %zu tokens, %zu counted)\n", r->perplexity,
           r->standard_error, r->windows, window, r->counted.count);
    printf("mean loss %.4f nats (%zu tokens, windows of %zu)\n", r->mean_loss, r->all.count,
           r->loss_window);
}

static bool run_perplexity(const job *j)
{
    enum { USUAL_WINDOW = 512 };
    const text_settings *s = j->settings;
    size_t most = j->model->context_length, usual = most < USUAL_WINDOW ? most : USUAL_WINDOW;
    size_t window = s->context ? (size_t)s->context : usual, size;
    progress bar = {.what = "perplexity"};
    perplexity_settings settings = {window, (size_t)s->windows, first_token(j), &bar,
                                    show_estimate};
    token_list list = {0};
    const char *data;
    if (window > most)
        return REPORT(j, "--context %zu is more than the model's context of %zu tokens", window,
                      most);
    if (window < LEAST_WINDOW)
        return REPORT(j, "the model's context of %zu tokens is too short for a perplexity", most);
    if (!read_file(j, s->perplexity, false, &data, &size) ||
        !tokenizer_encode(j->tokenizer, j->arena, j->diagnostics, data, size, (encode_options){0},
                          &list))
        return false;
    bool ok = perplexity_measure(j->arena, j->diagnostics, j->model, &settings, list.items,
                                 list.count, &j->report->perplexity);
    progress_end(&bar);
    if (ok)
        print_perplexity(&j->report->perplexity, window);
    return ok;
}

bool text_run(arena *a, diagnostics *d, const text_settings *s, const language_model *m,
              const tokenizer *t, text_report *out)
{
    job j = {a, d, s, m, t, out};
    *out = (text_report){.is_perplexity = s->perplexity};
    if (tokenizer_count(t) != m->vocabulary)
        return REPORT(&j, "the vocabulary has %zu tokens, but the program gives %zu logits",
                      tokenizer_count(t), m->vocabulary);
    if (s->perplexity)
        return run_perplexity(&j);
    return s->interactive ? run_interactive(&j) : run_prompts(&j);
}
