// Private to the tokenizer: its tables, and what the files offer each other.
#pragma once

#include "support/tokenizer/tokenizer.h"

#define NO_TOKEN UINT32_MAX
#define LOWER_ONE_EIGHTH "\xe2\x96\x81" // U+2581: a space, in "llama" vocabularies

enum {
    LONGEST_TOKEN = 65535,   // bytes
    LARGEST_COUNT = 1 << 28, // tokens, merges
    LARGEST_TEXT = 1 << 30,  // bytes
};

// ----------------------------------------------------------------------------- UTF-8

// Bytes of the valid sequence at s; 0: there is none; -1: `length` bytes begin one, which is
// longer.
int utf8_sequence(const char *s, size_t length);
size_t utf8_encode(uint32_t code_point, char out[4]);
// Of one valid sequence.
uint32_t utf8_decode(const char *s, int length);

// ------------------------------------------------------------------------- key index

// Finds keys of an array by their bytes.
typedef struct key_index {
    const token_bytes *keys;
    uint32_t *slots; // position + 1
    size_t mask;
} key_index;

key_index key_index_create(arena *a, const token_bytes *keys, size_t count);
// The position of an equal key that is there already, or NO_TOKEN: then `position` is added.
uint32_t key_index_add(key_index *x, uint32_t position);
uint32_t key_index_find(const key_index *x, const char *data, size_t length); // or NO_TOKEN

// ------------------------------------------------------------------------- tokenizer

typedef struct encoding encoding;

typedef struct tokenizer_model {
    const char *name;
    bool add_bos, add_space_prefix; // where the file does not say
    // Checks and builds what this model alone needs. False: reported.
    bool (*prepare)(tokenizer *t, arena *a, diagnostics *d, const vocabulary *v);
    // Bytes that a token stands for.
    token_bytes (*piece)(const tokenizer *t, arena *a, uint32_t id);
    // The token of a byte, or NO_TOKEN.
    uint32_t (*byte_token)(const tokenizer *t, uint8_t byte);
    void (*encode)(encoding *e, const char *text, size_t length);
} tokenizer_model;

extern const tokenizer_model sentencepiece_model, byte_level_model;

typedef struct token_set { // sorted by text
    uint32_t *ids;
    size_t count;
} token_set;

typedef struct pretokenizer pretokenizer;

struct tokenizer {
    const tokenizer_model *model;
    location where;
    size_t count;
    token_bytes *texts, *pieces;
    uint8_t *types;
    size_t longest; // text, in bytes
    key_index by_text;
    uint32_t bytes[256]; // NO_TOKEN: none
    special_tokens special;
    bool add_bos, add_eos, add_space_prefix;
    bool *separate;      // matched in raw text as a whole, never by merging
    token_set sets[2];   // of these: user-defined ones; all
    const float *scores; // "llama"
    // "gpt2"
    const pretokenizer *pre;
    key_index merges; // by the ids of left and right; the position is the rank
    uint32_t *merged; // by rank
};

const char *quoted(arena *a, token_bytes text); // for messages: escaped and shortened

// ---------------------------------------------------------------------------- merging

// A piece of text that is one token, or none yet. Neighbours are positions; NO_TOKEN: the end.
typedef struct symbol {
    uint32_t start, length, previous, next;
    uint32_t id; // NO_TOKEN: no token is spelled like that
} symbol;

// What two neighbours merge into; the least priority merges first, the leftmost of equals.
typedef bool merge_rule(const tokenizer *t, const char *text, const symbol *left,
                        const symbol *right, double *priority, uint32_t *id);
// Merges until nothing merges. symbols[0] stays the first of the list. Works in `scratch`.
void merge_symbols(const tokenizer *t, arena *scratch, const char *text, symbol *symbols,
                   size_t count, merge_rule *rule);

// --------------------------------------------------------------------------- encoding

struct encoding {
    const tokenizer *tokenizer;
    arena *arena, *scratch;
    token_list *out;
    unsigned missing; // bytes that have no token
    uint8_t first_missing;
};

void encoding_push(encoding *e, uint32_t id);
void encoding_push_byte(encoding *e, uint8_t byte); // or the unknown token

// ------------------------------------------------------------------ the byte alphabet

// "gpt2" vocabularies spell each byte as one printable character.
uint32_t alphabet_character(uint8_t byte);
bool alphabet_byte(uint32_t character, uint8_t *byte);

// --------------------------------------------------------------------- pre-tokenizers

// NULL: reported, with the list of names.
const pretokenizer *pretokenizer_create(arena *a, diagnostics *d, location where, const char *name);
bool pretokenizer_whole_pieces(const pretokenizer *p); // a piece that is a token is not merged
bool pretokenizer_adds_bos(const pretokenizer *p);
// Calls `each` with the pieces of a text, in order; together they are the text. Bytes that are
// not UTF-8 are pieces of their own.
typedef void piece_function(void *context, const char *piece, size_t length);
void pretokenize(const pretokenizer *p, arena *scratch, const char *text, size_t length,
                 piece_function *each, void *context);
