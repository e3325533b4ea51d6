// Tokenizers: text to token ids and back, by the vocabulary that a model was trained with.
//
// Two models: "llama" (SentencePiece BPE: the pair whose merge scores highest goes first; bytes
// stand in for characters without a token) and "gpt2" (byte-level BPE: text is split by the
// model's pre-tokenizer, merges are ranked). docs/tokenizer.md says what each does exactly.
//
// Any bytes can be encoded: those that are not valid UTF-8 are kept, as bytes. Decoding gives
// back what was encoded, byte for byte, but for U+2581 in a "llama" vocabulary, which is a space.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/metadata.h"
#include "support/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tokenizer tokenizer;

typedef struct token_bytes { // UTF-8 as a rule, never guaranteed; not NUL-terminated
    const char *data;
    size_t length;
} token_bytes;

// As files number them.
typedef enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,      // what stands for text that has no token
    TOKEN_CONTROL,      // marks such as the begin of a text; has no text of its own
    TOKEN_USER_DEFINED, // never split or merged, wherever its text occurs
    TOKEN_UNUSED,
    TOKEN_BYTE, // "<0x41>": one byte, in "llama" vocabularies
} token_type;

// Ids of tokens with a role; -1: the vocabulary has none.
typedef struct special_tokens {
    int64_t bos, eos; // begin and end of a text
    int64_t eot;      // end of a turn
    int64_t unknown;
} special_tokens;

// A vocabulary as `tokenizer.ggml.*` describes it. Only read by tokenizer_create, which checks
// everything about it but that the arrays are as long as their counts.
typedef struct vocabulary {
    const char *name;  // of the file, for messages
    const char *model; // "llama", "gpt2"
    const char *pre;   // "gpt2": the pre-tokenizer, such as "gpt-2"; NULL: not stated
    const token_bytes *tokens;
    size_t token_count;
    const float *scores; // "llama": one per token
    size_t score_count;
    const int32_t *types; // one per token; none at all: all are normal
    size_t type_count;
    const token_bytes *merges; // "gpt2": "left right", most important first
    size_t merge_count;
    special_tokens special;
    // 1, 0, or -1: not stated, what the model does as a rule.
    int add_bos, add_eos, add_space_prefix;
} vocabulary;

// NULL: reported, all bad tokens and merges together. Lives as long as the arena; does not change,
// so that threads may share it.
tokenizer *tokenizer_create(arena *a, diagnostics *d, const vocabulary *v);
// From `tokenizer.ggml.*` of the file `name`; keeps nothing of the metadata. NULL: reported, among
// others keys that are missing or hold something else.
tokenizer *tokenizer_from_metadata(arena *a, diagnostics *d, const char *name, const metadata *m);

// ----------------------------------------------------------------------- vocabulary

size_t tokenizer_count(const tokenizer *t);
special_tokens tokenizer_special(const tokenizer *t);
bool tokenizer_adds_bos(const tokenizer *t);
bool tokenizer_ends(const tokenizer *t, uint32_t id); // end of text or turn
// The token as the vocabulary spells it, and the bytes it stands for. id < count.
token_bytes tokenizer_text(const tokenizer *t, uint32_t id);
token_bytes tokenizer_piece(const tokenizer *t, uint32_t id);
token_type tokenizer_type(const tokenizer *t, uint32_t id);
// The token spelled like that, or -1.
int64_t tokenizer_find(const tokenizer *t, const char *text, size_t length);

// -------------------------------------------------------------------------- encoding

typedef struct token_list {
    uint32_t *items;
    size_t count, capacity;
} token_list;

typedef struct encode_options {
    bool add_special;   // begin and end of text, where the vocabulary asks for them
    bool parse_special; // "<s>" in the text is that control token, not four characters
} encode_options;

// Appends to `out`, in `a`. Time grows as n log n. False: reported (a byte that has no token
// while there is no unknown token; a text beyond 1 GiB), and nothing is appended.
bool tokenizer_encode(const tokenizer *t, arena *a, diagnostics *d, const char *text, size_t length,
                      encode_options options, token_list *out);

// -------------------------------------------------------------------------- decoding

// Tokens one by one into text. A character that is spread over several tokens is held back until
// it is whole; bytes that cannot become one are passed on as they are.
typedef struct token_decoder {
    const tokenizer *tokenizer;
    bool show_special; // control and unknown tokens by their spelling
    bool drop_space;   // the next piece follows a prefix space that encoding put in
    unsigned held_count;
    char held[4];
} token_decoder;

// For the beginning of a text. Control tokens give nothing and the unknown token U+FFFD, unless
// they are to be shown.
token_decoder tokenizer_decoder(const tokenizer *t, bool show_special);
void decoder_put(token_decoder *s, uint32_t id, text *out); // any id: one that is none gives U+FFFD
void decoder_end(token_decoder *s, text *out);              // what was held back
