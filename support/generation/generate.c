#include "support/generation/generate.h"

#include "support/clock.h"

#include <string.h>

typedef struct sequence {
    sampler sampler;
    const uint32_t *input; // of this run: what it has to read
    size_t length;
    size_t chosen; // in this run
    int64_t last;  // token that was chosen and not read yet; -1: none
    bool done;
} sequence;

struct generation {
    arena *arena;
    diagnostics *diagnostics;
    const language_model *model;
    generation_settings settings;
    sequence *sequences;
    size_t batch, position; // of all sequences
    generation_counts counts;
    int32_t *tokens, *positions;
    const float *logits; // of the last call
};

const float *phase_call(generation_phase *phase, const language_model *m, language_model_call *call,
                        size_t batch, size_t count, const int32_t *tokens, const int32_t *positions,
                        size_t counted)
{
    model_work before = {0}, after = {0};
    double start = clock_seconds();
    if (m->work)
        m->work(m->context, &before);
    const float *logits = call(m->context, batch, count, tokens, positions);
    if (m->work)
        m->work(m->context, &after);
    phase->seconds += clock_seconds() - start;
    phase->tokens += counted;
    phase->work.instructions += after.instructions - before.instructions;
    phase->work.lmma += after.lmma - before.lmma;
    phase->work.lookups += after.lookups - before.lookups;
    return logits;
}

generation *generation_create(arena *a, diagnostics *d, const language_model *m,
                              const generation_settings *s, size_t batch)
{
    generation *g = ARENA_NEW(a, generation);
    *g = (generation){.arena = a, .diagnostics = d, .model = m, .settings = *s, .batch = batch};
    if (!batch || batch > m->largest_batch)
        INTERNAL_ERROR("a batch of %zu sequences, at most %zu", batch, m->largest_batch);
    g->sequences = ARENA_ARRAY(a, sequence, batch);
    g->tokens = ARENA_ARRAY(a, int32_t, batch * m->largest_tokens);
    g->positions = ARENA_ARRAY(a, int32_t, batch);
    for (size_t b = 0; b < batch; b++) {
        sampler_settings own = s->sampling;
        own.seed += b;
        g->sequences[b].sampler = sampler_create(a, &own, m->vocabulary);
        g->sequences[b].last = -1;
    }
    m->reset(m->context);
    return g;
}

const generation_counts *generation_counted(const generation *g)
{
    return &g->counts;
}

// ---------------------------------------------------------------------------- prompts

// A token that was chosen last time has not been read yet: it comes first.
static void take_prompt(generation *g, sequence *s, const token_span *prompt)
{
    size_t held = s->last >= 0;
    uint32_t *input = ARENA_ARRAY(g->arena, uint32_t, prompt->count + held);
    if (held)
        input[0] = (uint32_t)s->last;
    if (prompt->count)
        memcpy(input + held, prompt->items, prompt->count * sizeof *input);
    s->input = input;
    s->length = prompt->count + held;
    s->chosen = 0;
    s->last = -1;
    s->done = false;
}

static bool check_room(const generation *g, const sequence *s)
{
    size_t room = g->model->context_length - g->position;
    if (s->length <= room)
        return true;
    diagnostic_error(g->diagnostics, NOWHERE,
                     "the text to read has %zu tokens; the context of %zu has room for %zu",
                     s->length, g->model->context_length, room);
    return false;
}

static void emit(const generation *g, size_t b, uint32_t token, bool from_prompt)
{
    if (g->settings.emit)
        g->settings.emit(g->settings.context, b, token, from_prompt);
}

static bool call(generation *g, generation_phase *phase, size_t count, size_t counted)
{
    for (size_t b = 0; b < g->batch; b++)
        g->positions[b] = (int32_t)g->position;
    g->logits = phase_call(phase, g->model, g->model->forward, g->batch, count, g->tokens,
                           g->positions, counted);
    g->position += count;
    return g->logits;
}

// Reads what all sequences have, from `held` tokens on shown as they are read.
static bool read_together(generation *g, size_t common, size_t held)
{
    for (size_t at = 0; at < common;) {
        size_t left = common - at, most = g->model->largest_tokens;
        size_t count = left < most ? left : most;
        for (size_t b = 0; b < g->batch; b++)
            for (size_t t = 0; t < count; t++)
                g->tokens[b * count + t] = (int32_t)g->sequences[b].input[at + t];
        if (!call(g, &g->counts.prompt, count, g->batch * count))
            return false;
        for (size_t b = 0; b < g->batch; b++)
            for (size_t t = 0; t < count; t++)
                if (at + t >= held)
                    emit(g, b, g->sequences[b].input[at + t], true);
        at += count;
    }
    return true;
}

// ----------------------------------------------------------------------------- decoding

static void finish(generation *g, size_t b, generation_end end)
{
    g->sequences[b].done = true;
    if (g->settings.finish)
        g->settings.finish(g->settings.context, b, end);
}

// False: reported.
static bool choose(generation *g, size_t b)
{
    sequence *s = &g->sequences[b];
    if (s->chosen == g->settings.count) {
        finish(g, b, GENERATION_COUNT);
        return true;
    }
    s->last = sampler_choose(&s->sampler, g->logits + b * g->model->vocabulary);
    if (s->last < 0) {
        diagnostic_error(g->diagnostics, NOWHERE, "the logits at position %zu are no numbers (NaN)",
                         g->position - 1);
        return false;
    }
    s->chosen++;
    emit(g, b, (uint32_t)s->last, false);
    if (g->settings.ends && g->settings.ends(g->settings.context, (uint32_t)s->last))
        finish(g, b, GENERATION_STOPPED);
    else if (s->chosen == g->settings.count)
        finish(g, b, GENERATION_COUNT);
    return true;
}

// The next token of every sequence behind `read` tokens of this run; the logits of one that is done
// are not looked at again, so it reads any. False: reported.
static bool next_tokens(generation *g, size_t read, size_t *active, bool *forced)
{
    *active = 0;
    *forced = false;
    for (size_t b = 0; b < g->batch; b++) {
        sequence *s = &g->sequences[b];
        bool reads = read < s->length;
        if (!reads && !s->done && !choose(g, b))
            return false;
        if (reads)
            emit(g, b, s->input[read], true);
        int64_t next = reads ? s->input[read] : s->last;
        g->tokens[b] = (int32_t)(next >= 0 ? next : 0);
        *forced |= reads;
        *active += !s->done;
    }
    return true;
}

static void end_at_context(generation *g)
{
    for (size_t b = 0; b < g->batch; b++)
        if (!g->sequences[b].done)
            finish(g, b, GENERATION_CONTEXT);
}

static bool continue_all(generation *g, size_t read)
{
    size_t active;
    bool forced;
    for (;; read++) {
        if (!next_tokens(g, read, &active, &forced))
            return false;
        if (!active)
            return true;
        if (g->position == g->model->context_length) {
            end_at_context(g);
            return true;
        }
        generation_phase *phase = forced ? &g->counts.prompt : &g->counts.decode;
        if (!call(g, phase, 1, active))
            return false;
    }
}

bool generation_run(generation *g, const token_span *prompts)
{
    size_t common = SIZE_MAX, held = g->sequences[0].last >= 0;
    bool ok = true;
    if (g->batch > 1 && g->position)
        INTERNAL_ERROR("a batch cannot go on");
    for (size_t b = 0; b < g->batch; b++) {
        sequence *s = &g->sequences[b];
        take_prompt(g, s, &prompts[b]);
        common = s->length < common ? s->length : common;
        ok &= check_room(g, s);
    }
    if (!common && !g->position)
        INTERNAL_ERROR("an empty prompt");
    return ok && read_together(g, common, held) && continue_all(g, common);
}
