// Continuing texts: prompts in, tokens out, for one sequence or a batch of them.
//
// A prompt is read in calls of as many tokens as the model takes, then tokens follow one by one.
// In a batch all sequences stand at the same position: what all prompts have is read together,
// longer ones are then fed token by token while the others already go on.
#pragma once

#include "support/generation/model.h"
#include "support/generation/sampler.h"

typedef struct token_span {
    const uint32_t *items;
    size_t count;
} token_span;

typedef enum generation_end {
    GENERATION_COUNT,   // as many tokens as asked for
    GENERATION_STOPPED, // at a token that ends a text
    GENERATION_CONTEXT, // there is no place for the next token
} generation_end;

typedef struct generation_settings {
    sampler_settings sampling; // sequence i has seed + i
    size_t count;              // new tokens of each sequence
    void *context;
    bool (*ends)(void *context, uint32_t token); // NULL: no token ends a text
    // Each token, first those of the prompt, as soon as it is read or chosen. NULL: not wanted.
    void (*emit)(void *context, size_t sequence, uint32_t token, bool from_prompt);
    void (*finish)(void *context, size_t sequence, generation_end end); // NULL: not wanted
} generation_settings;

// What was measured. Calls in which any sequence still reads its prompt are `prompt`.
typedef struct generation_phase {
    size_t tokens; // read by the model
    double seconds;
    model_work work;
} generation_phase;

typedef struct generation_counts {
    generation_phase prompt, decode;
} generation_counts;

typedef struct generation generation;

// Forgets what the model has read before. batch <= the model's largest.
generation *generation_create(arena *a, diagnostics *d, const language_model *m,
                              const generation_settings *s, size_t batch);
// One prompt per sequence, none of them empty. A generation of one sequence goes on where the last
// run ended: its prompt, which may be empty then, follows what is there. False: reported (a prompt
// that does not fit the context, a failed call, logits that are no numbers).
bool generation_run(generation *g, const token_span *prompts);
const generation_counts *generation_counted(const generation *g);

// A call of the model, added to *phase; `counted` of its tokens count.
const float *phase_call(generation_phase *phase, const language_model *m, language_model_call *call,
                        size_t batch, size_t count, const int32_t *tokens, const int32_t *positions,
                        size_t counted);
