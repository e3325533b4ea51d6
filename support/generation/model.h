// Language models as callbacks: what generation and perplexity need of a program, whoever runs it
// (the emulator, the oracle), and the contract that its entries keep (docs/program.md).
#pragma once

#include "support/array.h"
#include "support/diagnostic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Counted since loading.
typedef struct model_work {
    uint64_t instructions, lmma, lookups;
} model_work;

// A call reads `count` tokens of each of `batch` sequences; positions[b] is the place of the first
// of them in its sequence. Sequences are told apart by b alone. tokens: [batch][count]. The logits
// that it gives stay until the next call. NULL: the call failed, reported.
typedef const float *language_model_call(void *context, size_t batch, size_t count,
                                         const int32_t *tokens, const int32_t *positions);

typedef struct language_model {
    size_t vocabulary;                    // ids are below it
    size_t context_length;                // positions of a sequence; MODEL_UNLIMITED
    size_t largest_batch, largest_tokens; // of a call
    void *context;
    language_model_call *forward; // logits [batch][vocabulary]: behind the last token
    language_model_call *score;   // [batch][count][vocabulary]: behind every token; or NULL
    void (*reset)(void *context); // forgets all sequences
    void (*work)(void *context, model_work *out); // NULL: nothing is counted
} language_model;

#define MODEL_UNLIMITED SIZE_MAX

// ---------------------------------------------------------------------- the contract

// What a program says of itself, in words that compiler and runtime share.
typedef struct signature_extent {
    int64_t factor;
    int dim; // factor * dims[dim]; -1: the factor itself
} signature_extent;

typedef struct signature_value {
    const char *name;
    const char *type; // "i32", "index"
    unsigned rank;
    signature_extent shape[ARRAY_MAX_RANK];
} signature_value;

typedef struct signature_list {
    const signature_value *items;
    size_t count;
} signature_list;

typedef struct signature_entry {
    const char *name;
    signature_list inputs, outputs;
} signature_entry;

typedef struct signature_dim {
    const char *name;
    int64_t minimum, maximum;
} signature_dim;

typedef struct program_signature {
    const char *program; // for messages
    const signature_dim *dims;
    size_t dim_count;
    const signature_entry *entries;
    size_t entry_count;
    signature_list states;
} program_signature;

// An entry as the contract sees it: positions in its lists.
typedef struct contract_entry {
    const char *name; // NULL: the program has none
    size_t index, tokens, positions;
    bool batched;             // tokens are [B, T], not [T]
    int batch_dim, token_dim; // -1: a constant 1
} contract_entry;

typedef struct model_contract {
    contract_entry forward, score;
    size_t vocabulary, context_length, largest_batch, largest_tokens;
} model_contract;

// False: everything that keeps the program from being a language model is reported.
bool model_contract_find(arena *a, diagnostics *d, const program_signature *s, model_contract *out);
