// Sequences of tokens to learn from: stories, made when they are asked for.
#pragma once

#include "examples/tiny-lm/bpe.h"

typedef enum corpus_part { CORPUS_TRAINING, CORPUS_VALIDATION, CORPUS_VOCABULARY } corpus_part;

typedef struct corpus {
    uint64_t seed;
    bpe_vocabulary vocabulary;
    const tokenizer *tokenizer;
} corpus;

// Trains the vocabulary on stories of its own part. NULL tokenizer: reported.
corpus corpus_create(arena *a, diagnostics *d, uint64_t seed, size_t vocabulary_limit);
// Story number `index` of a part.
void corpus_story(uint64_t seed, corpus_part part, uint64_t index, text *out);
// A begin mark, a story (sometimes two, with an empty line between), an end mark; at most `limit`
// tokens, of which the rest is cut. Returns how many. Threads may share the corpus.
int corpus_sequence(const corpus *c, corpus_part part, uint64_t index, int limit, uint32_t *tokens);
