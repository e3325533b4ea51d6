// A SentencePiece-like BPE vocabulary, trained on a text: the most frequent pair of neighbours
// becomes a token, again and again. Pairs never cross from a word into punctuation or the next
// word.
#pragma once

#include "support/tokenizer/tokenizer.h"

enum { BPE_UNKNOWN, BPE_BOS, BPE_EOS, BPE_FIRST_BYTE, BPE_FIRST_MERGE = BPE_FIRST_BYTE + 256 };

typedef struct bpe_vocabulary {
    const char **tokens;
    float *scores; // merges in their order, then single characters
    int32_t *types;
    size_t count;
} bpe_vocabulary;

// From ASCII text. Fewer than `limit` tokens where no pair occurs twice any more.
bpe_vocabulary bpe_train(arena *a, const char *stories, size_t length, size_t limit);
tokenizer *bpe_tokenizer(arena *a, diagnostics *d, const bpe_vocabulary *v);
