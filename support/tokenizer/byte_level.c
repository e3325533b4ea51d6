// "gpt2": byte-level BPE. Every byte is a token; within a piece pairs merge by rank.
#include "support/tokenizer/internal.h"

#include <string.h>

// ------------------------------------------------------------------------- vocabulary

static uint32_t byte_token(const tokenizer *t, uint8_t byte)
{
    char spelling[4];
    size_t length = utf8_encode(alphabet_character(byte), spelling);
    uint32_t id = key_index_find(&t->by_text, spelling, length);
    return id != NO_TOKEN && !t->separate[id] ? id : NO_TOKEN;
}

// Characters outside the alphabet stand for themselves.
static token_bytes piece(const tokenizer *t, arena *a, uint32_t id)
{
    token_bytes spelled = t->texts[id];
    if (t->separate[id])
        return spelled;
    char *out = ARENA_ARRAY(a, char, spelled.length);
    size_t count = 0;
    for (size_t at = 0; at < spelled.length;) {
        int sequence = utf8_sequence(spelled.data + at, spelled.length - at);
        size_t size = sequence > 0 ? (size_t)sequence : 1;
        uint8_t byte;
        if (sequence > 0 && alphabet_byte(utf8_decode(spelled.data + at, sequence), &byte)) {
            out[count++] = (char)byte;
        } else {
            memcpy(out + count, spelled.data + at, size);
            count += size;
        }
        at += size;
    }
    return (token_bytes){out, count};
}

typedef struct merge_reading {
    tokenizer *tokenizer;
    arena *arena;
    diagnostics *diagnostics;
    token_bytes *keys; // pairs of ids
} merge_reading;

static uint32_t merge_part(merge_reading *m, size_t rank, token_bytes merge, const char *data,
                           size_t length)
{
    uint32_t id = key_index_find(&m->tokenizer->by_text, data, length);
    if (id == NO_TOKEN)
        diagnostic_error(m->diagnostics, m->tokenizer->where,
                         "merge %zu %s needs %s, which is not a token", rank,
                         quoted(m->arena, merge), quoted(m->arena, (token_bytes){data, length}));
    return id;
}

// "left right": a token may begin with a space, but not contain one.
static const char *separator(token_bytes merge)
{
    return merge.length > 2 ? memchr(merge.data + 1, ' ', merge.length - 2) : NULL;
}

static void read_merge(merge_reading *m, size_t rank, token_bytes merge)
{
    tokenizer *t = m->tokenizer;
    const char *space = separator(merge);
    if (!space || merge.length > LONGEST_TOKEN) {
        diagnostic_error(m->diagnostics, t->where,
                         "merge %zu is %s; expected two tokens with a space between", rank,
                         quoted(m->arena, merge));
        return;
    }
    size_t left = (size_t)(space - merge.data), right = merge.length - left - 1;
    char joined[LONGEST_TOKEN];
    memcpy(joined, merge.data, left);
    memcpy(joined + left, space + 1, right);
    uint32_t pair[2] = {merge_part(m, rank, merge, merge.data, left),
                        merge_part(m, rank, merge, space + 1, right)};
    m->keys[rank] = (token_bytes){arena_copy(m->arena, pair, sizeof pair), sizeof pair};
    t->merged[rank] = merge_part(m, rank, merge, joined, left + right);
    key_index_add(&t->merges, (uint32_t)rank); // of equal merges the first one counts
}

static bool prepare(tokenizer *t, arena *a, diagnostics *d, const vocabulary *v)
{
    size_t before = diagnostics_errors(d);
    t->pre = pretokenizer_create(a, d, t->where, v->pre);
    if (v->merge_count > LARGEST_COUNT) {
        diagnostic_error(d, t->where, "%zu merges are too many", v->merge_count);
        return false;
    }
    merge_reading m = {t, a, d, ARENA_ARRAY(a, token_bytes, v->merge_count)};
    t->merged = ARENA_ARRAY(a, uint32_t, v->merge_count);
    t->merges = key_index_create(a, m.keys, v->merge_count);
    for (size_t i = 0; i < v->merge_count; i++)
        read_merge(&m, i, v->merges[i]);
    if (t->pre && v->add_bos < 0)
        t->add_bos = pretokenizer_adds_bos(t->pre);
    return diagnostics_errors(d) == before;
}

// --------------------------------------------------------------------------- encoding

static bool by_rank(const tokenizer *t, const char *input, const symbol *left, const symbol *right,
                    double *priority, uint32_t *id)
{
    (void)input;
    uint32_t pair[2] = {left->id, right->id};
    uint32_t rank = key_index_find(&t->merges, (const char *)pair, sizeof pair);
    if (rank == NO_TOKEN)
        return false;
    *priority = rank;
    *id = t->merged[rank];
    return true;
}

// The token that a piece is as a whole, or NO_TOKEN.
static uint32_t whole_piece(const encoding *e, const char *piece_text, size_t length)
{
    const tokenizer *t = e->tokenizer;
    if (length > t->longest)
        return NO_TOKEN;
    char *spelling = ARENA_ARRAY(e->scratch, char, 2 * length);
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += utf8_encode(alphabet_character((uint8_t)piece_text[i]), spelling + count);
    uint32_t id = key_index_find(&t->by_text, spelling, count);
    return id != NO_TOKEN && !t->separate[id] ? id : NO_TOKEN;
}

static void merge_piece(encoding *e, const char *input, size_t length)
{
    symbol *symbols = ARENA_ARRAY(e->scratch, symbol, length);
    for (size_t i = 0; i < length; i++)
        symbols[i] = (symbol){
            .start = (uint32_t)i, .length = 1, .id = e->tokenizer->bytes[(uint8_t)input[i]]};
    merge_symbols(e->tokenizer, e->scratch, input, symbols, length, by_rank);
    for (uint32_t i = 0; i != NO_TOKEN; i = symbols[i].next)
        if (symbols[i].id != NO_TOKEN)
            encoding_push(e, symbols[i].id);
        else
            encoding_push_byte(e, (uint8_t)input[symbols[i].start]);
}

static void encode_piece(void *context, const char *input, size_t length)
{
    encoding *e = context;
    arena_mark mark = arena_save(e->scratch);
    uint32_t whole =
        pretokenizer_whole_pieces(e->tokenizer->pre) ? whole_piece(e, input, length) : NO_TOKEN;
    if (whole != NO_TOKEN)
        encoding_push(e, whole);
    else
        merge_piece(e, input, length);
    arena_restore(e->scratch, mark);
}

static void encode(encoding *e, const char *input, size_t length)
{
    pretokenize(e->tokenizer->pre, e->scratch, input, length, encode_piece, e);
}

const tokenizer_model byte_level_model = {
    .name = "gpt2",
    .add_bos = false,
    .add_space_prefix = false,
    .prepare = prepare,
    .piece = piece,
    .byte_token = byte_token,
    .encode = encode,
};
