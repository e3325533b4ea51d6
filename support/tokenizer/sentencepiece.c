// "llama": SentencePiece BPE. Spaces are U+2581 here; pairs merge by the score of their token.
#include "support/tokenizer/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// ------------------------------------------------------------------------- vocabulary

static bool prepare(tokenizer *t, arena *a, diagnostics *d, const vocabulary *v)
{
    if (v->score_count != t->count) {
        diagnostic_error(d, t->where, "%zu tokens have %zu scores; expected one each", t->count,
                         v->score_count);
        return false;
    }
    size_t before = diagnostics_errors(d);
    for (size_t i = 0; i < t->count; i++)
        if (isnan(v->scores[i]))
            diagnostic_error(d, t->where, "the score of token %zu %s is not a number", i,
                             quoted(a, t->texts[i]));
    t->scores = arena_copy(a, v->scores, t->count * sizeof(float));
    return diagnostics_errors(d) == before;
}

// Appends with every `from` replaced; both are not empty. Returns the length.
static size_t replace(char *out, const char *s, size_t length, const char *from, const char *to)
{
    size_t at = 0, from_length = strlen(from), to_length = strlen(to);
    for (size_t i = 0; i < length;) {
        bool found = length - i >= from_length && memcmp(s + i, from, from_length) == 0;
        memcpy(out + at, found ? to : s + i, found ? to_length : 1);
        at += found ? to_length : 1;
        i += found ? from_length : 1;
    }
    return at;
}

static uint32_t byte_token(const tokenizer *t, uint8_t byte)
{
    char spelling[8];
    int length = snprintf(spelling, sizeof spelling, "<0x%02X>", byte);
    uint32_t id = key_index_find(&t->by_text, spelling, (size_t)length);
    return id != NO_TOKEN && t->types[id] == TOKEN_BYTE ? id : NO_TOKEN;
}

static token_bytes byte_piece(const tokenizer *t, arena *a, uint32_t id)
{
    for (unsigned byte = 0; byte < 256; byte++)
        if (t->bytes[byte] == id)
            return (token_bytes){arena_copy(a, &(char){(char)byte}, 1), 1};
    return t->texts[id]; // misspelled: reported
}

static token_bytes piece(const tokenizer *t, arena *a, uint32_t id)
{
    token_bytes spelled = t->texts[id];
    if (t->types[id] == TOKEN_BYTE)
        return byte_piece(t, a, id);
    if (t->types[id] == TOKEN_CONTROL || t->types[id] == TOKEN_UNKNOWN)
        return spelled;
    char *out = ARENA_ARRAY(a, char, spelled.length);
    return (token_bytes){out, replace(out, spelled.data, spelled.length, LOWER_ONE_EIGHTH, " ")};
}

// --------------------------------------------------------------------------- encoding

// The token that text may merge into, or NO_TOKEN.
static uint32_t mergeable(const tokenizer *t, const char *input, size_t length)
{
    uint32_t id = length <= t->longest ? key_index_find(&t->by_text, input, length) : NO_TOKEN;
    if (id == NO_TOKEN)
        return NO_TOKEN;
    uint8_t type = t->types[id];
    return type == TOKEN_NORMAL || type == TOKEN_USER_DEFINED || type == TOKEN_UNUSED ? id
                                                                                      : NO_TOKEN;
}

static bool by_score(const tokenizer *t, const char *input, const symbol *left, const symbol *right,
                     double *priority, uint32_t *id)
{
    *id = mergeable(t, input + left->start, (size_t)left->length + right->length);
    if (*id == NO_TOKEN)
        return false;
    *priority = -(double)t->scores[*id];
    return true;
}

// A symbol per character; a byte that is not UTF-8 is one by itself.
static symbol *characters(encoding *e, const char *input, size_t length, size_t *count)
{
    symbol *symbols = ARENA_ARRAY(e->scratch, symbol, length);
    *count = 0;
    for (size_t at = 0; at < length;) {
        int sequence = utf8_sequence(input + at, length - at);
        uint32_t size = sequence > 0 ? (uint32_t)sequence : 1;
        symbols[(*count)++] = (symbol){
            .start = (uint32_t)at, .length = size, .id = mergeable(e->tokenizer, input + at, size)};
        at += size;
    }
    return symbols;
}

// A character without a token: its bytes; or once the unknown token, should one be missing.
static void push_character(encoding *e, const char *input, size_t length)
{
    bool space = length == 3 && memcmp(input, LOWER_ONE_EIGHTH, 3) == 0;
    const char *bytes = space ? " " : input;
    size_t count = space ? 1 : length;
    bool missing = false;
    for (size_t i = 0; i < count; i++)
        missing |= e->tokenizer->bytes[(uint8_t)bytes[i]] == NO_TOKEN;
    if (missing && e->tokenizer->special.unknown >= 0) {
        encoding_push(e, (uint32_t)e->tokenizer->special.unknown);
        return;
    }
    for (size_t i = 0; i < count; i++)
        encoding_push_byte(e, (uint8_t)bytes[i]);
}

static void encode(encoding *e, const char *input, size_t length)
{
    size_t count;
    char *escaped = ARENA_ARRAY(e->scratch, char, 3 * length);
    length = replace(escaped, input, length, " ", LOWER_ONE_EIGHTH);
    symbol *symbols = characters(e, escaped, length, &count);
    merge_symbols(e->tokenizer, e->scratch, escaped, symbols, count, by_score);
    for (uint32_t i = count ? 0 : NO_TOKEN; i != NO_TOKEN; i = symbols[i].next)
        if (symbols[i].id != NO_TOKEN)
            encoding_push(e, symbols[i].id);
        else
            push_character(e, escaped + symbols[i].start, symbols[i].length);
}

const tokenizer_model sentencepiece_model = {
    .name = "llama",
    .add_bos = true,
    .add_space_prefix = true,
    .prepare = prepare,
    .piece = piece,
    .byte_token = byte_token,
    .encode = encode,
};
