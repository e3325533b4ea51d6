// Decoding, token by token.
#include "support/tokenizer/internal.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

token_decoder tokenizer_decoder(const tokenizer *t, bool show_special)
{
    return (token_decoder){
        .tokenizer = t, .show_special = show_special, .drop_space = t->add_space_prefix};
}

// Bytes at the end that begin a character, but do not finish it.
static unsigned unfinished(const char *s, size_t length)
{
    for (unsigned n = 1; n <= 3 && n <= length; n++)
        if (utf8_sequence(s + length - n, n) < 0)
            return n;
    return 0;
}

static void put_bytes(token_decoder *s, const char *data, size_t length, text *out)
{
    text_append_n(out, s->held, s->held_count);
    text_append_n(out, data, length);
    size_t whole = s->held_count + length;
    s->held_count = unfinished(out->data + out->length - whole, whole);
    out->length -= s->held_count;
    memcpy(s->held, out->data + out->length, s->held_count);
    out->data[out->length] = '\0';
}

// What a token stands for that is not part of the text itself.
static token_bytes special_bytes(const token_decoder *s, uint32_t id)
{
    const tokenizer *t = s->tokenizer;
    if (id >= t->count || (t->types[id] == TOKEN_UNKNOWN && !s->show_special))
        return (token_bytes){REPLACEMENT, strlen(REPLACEMENT)};
    if (t->types[id] == TOKEN_CONTROL && !s->show_special)
        return (token_bytes){"", 0};
    return t->texts[id];
}

void decoder_put(token_decoder *s, uint32_t id, text *out)
{
    const tokenizer *t = s->tokenizer;
    if (id >= t->count || t->separate[id]) {
        token_bytes bytes = special_bytes(s, id);
        decoder_end(s, out);
        text_append_n(out, bytes.data, bytes.length);
        s->drop_space = t->add_space_prefix && id < t->count && t->types[id] != TOKEN_UNKNOWN;
        return;
    }
    token_bytes piece = t->pieces[id];
    bool drop = s->drop_space && piece.length && piece.data[0] == ' ';
    s->drop_space &= !piece.length;
    put_bytes(s, piece.data + drop, piece.length - drop, out);
}

void decoder_end(token_decoder *s, text *out)
{
    text_append_n(out, s->held, s->held_count);
    s->held_count = 0;
}
