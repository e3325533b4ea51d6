// Encoding: special tokens cut out first, the text between by the model.
#include "support/tokenizer/internal.h"

#include <string.h>

void encoding_push(encoding *e, uint32_t id)
{
    ARRAY_PUSH(e->arena, e->out, id);
}

void encoding_push_byte(encoding *e, uint8_t byte)
{
    const tokenizer *t = e->tokenizer;
    if (t->bytes[byte] != NO_TOKEN)
        encoding_push(e, t->bytes[byte]);
    else if (t->special.unknown >= 0)
        encoding_push(e, (uint32_t)t->special.unknown);
    else if (!e->missing++)
        e->first_missing = byte;
}

// The first of a sorted set, whose texts agree before `depth`, that has at least `byte` there.
static size_t lower_bound(const tokenizer *t, const token_set *set, size_t from, size_t to,
                          size_t depth, int byte)
{
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        token_bytes spelled = t->texts[set->ids[middle]];
        int at = depth < spelled.length ? (uint8_t)spelled.data[depth] : -1;
        if (at < byte)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

// The longest token of the set that the text begins with, or NO_TOKEN.
static uint32_t longest_match(const tokenizer *t, const token_set *set, const char *input,
                              size_t length)
{
    uint32_t best = NO_TOKEN;
    size_t from = 0, to = set->count;
    for (size_t depth = 0; depth < length && from < to; depth++) {
        int byte = (uint8_t)input[depth];
        from = lower_bound(t, set, from, to, depth, byte);
        to = lower_bound(t, set, from, to, depth, byte + 1);
        if (from < to && t->texts[set->ids[from]].length == depth + 1)
            best = set->ids[from];
    }
    return best;
}

// Text without special tokens, which follows one (the begin of a text counts).
static void encode_plain(encoding *e, const char *input, size_t length)
{
    if (!length)
        return;
    if (e->tokenizer->add_space_prefix) {
        char *prefixed = ARENA_ARRAY(e->scratch, char, length + 1);
        prefixed[0] = ' ';
        memcpy(prefixed + 1, input, length++);
        input = prefixed;
    }
    e->tokenizer->model->encode(e, input, length);
}

static void encode_all(encoding *e, const token_set *set, const char *input, size_t length)
{
    size_t start = 0, at = set->count ? 0 : length;
    while (at < length) {
        uint32_t id = longest_match(e->tokenizer, set, input + at, length - at);
        if (id == NO_TOKEN) {
            at++;
            continue;
        }
        encode_plain(e, input + start, at - start);
        encoding_push(e, id);
        start = at += e->tokenizer->texts[id].length;
    }
    encode_plain(e, input + start, length - start);
}

bool tokenizer_encode(const tokenizer *t, arena *a, diagnostics *d, const char *input,
                      size_t length, encode_options options, token_list *out)
{
    size_t before = out->count;
    encoding e = {.tokenizer = t, .arena = a, .scratch = arena_create(), .out = out};
    if (length > LARGEST_TEXT) {
        diagnostic_error(d, NOWHERE, "a text of %zu bytes is too long to encode; at most %d",
                         length, LARGEST_TEXT);
        arena_destroy(e.scratch);
        return false;
    }
    if (options.add_special && t->add_bos)
        encoding_push(&e, (uint32_t)t->special.bos);
    encode_all(&e, &t->sets[options.parse_special], input, length);
    if (options.add_special && t->add_eos)
        encoding_push(&e, (uint32_t)t->special.eos);
    arena_destroy(e.scratch);
    if (!e.missing)
        return true;
    diagnostic_error(d, NOWHERE,
                     "the byte %02X has no token in the vocabulary, nor has it an unknown token "
                     "(%u such bytes in the text)",
                     e.first_missing, e.missing);
    out->count = before;
    return false;
}
