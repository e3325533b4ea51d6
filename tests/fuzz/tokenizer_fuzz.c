// link: lutra_tokenizer lutra_support
// Any bytes are encoded and come back, with every kind of tokenizer and with special tokens;
// the first byte chooses. Vocabularies whose arrays were spoilt are refused with a message, or
// work.
#include "tests/fuzz/nowhere.h"
#include "tests/unit/tokenizer_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// As "llama" reads it: U+2581 is a space. In place; returns the length.
static size_t normalize(char *s, size_t length)
{
    size_t at = 0;
    for (size_t i = 0; i < length;) {
        bool found = length - i >= 3 && memcmp(s + i, "\xe2\x96\x81", 3) == 0;
        s[at++] = found ? ' ' : s[i];
        i += found ? 3 : 1;
    }
    return at;
}

static void round_trip(const tokenizer *t, arena *a, diagnostics *d, const char *input,
                       size_t length, encode_options options)
{
    token_list ids = {0};
    text out = {0};
    if (!tokenizer_encode(t, a, d, input, length, options, &ids))
        __builtin_trap(); // these vocabularies have a token for every byte
    token_decoder s = tokenizer_decoder(t, false);
    for (size_t i = 0; i < ids.count; i++)
        decoder_put(&s, ids.items[i], &out);
    decoder_end(&s, &out);
    if (!options.parse_special &&
        (out.length != length || (length && memcmp(out.data, input, length) != 0)))
        __builtin_trap();
    text_free(&out);
}

// Bytes of the input become types, special ids, scores, tokens and merges.
static void spoil(fixture *f, const uint8_t *data, size_t size)
{
    vocabulary *v = &f->vocabulary;
    for (size_t i = 0; i + 4 <= size; i += 4) {
        size_t id = (data[i + 1] | (size_t)data[i + 2] << 8) % v->token_count;
        token_bytes bytes = {(const char *)data + i, data[i + 3] % (size - i)};
        switch (data[i] % 8) {
        case 0: f->types[id] = data[i + 3] % 9; break;
        case 1: v->special.unknown = (int64_t)id - 2; break;
        case 2: v->special.eos = data[i + 3] * 2 - 2; break;
        case 3: f->tokens[id] = bytes; break;
        case 4: memcpy(&f->scores[id], data + i, 4); break;
        case 5: f->merges[id % FIXTURE_MERGES] = bytes; break;
        case 6: v->add_bos = data[i + 3] % 3 - 1; break;
        case 7: v->merge_count = id % FIXTURE_MERGES; break;
        }
    }
}

static void try_spoilt(fixture *f, arena *a, diagnostics *d, const uint8_t *data, size_t size)
{
    spoil(f, data, size);
    tokenizer *t = tokenizer_create(a, d, &f->vocabulary);
    if (!t && !diagnostics_errors(d))
        __builtin_trap(); // refused without a word
    if (!t)
        return;
    token_list ids = {0};
    text out = {0};
    bool encoded =
        tokenizer_encode(t, a, d, (const char *)data, size, (encode_options){true, true}, &ids);
    if (!encoded && (ids.count || !diagnostics_errors(d)))
        __builtin_trap();
    token_decoder s = tokenizer_decoder(t, true);
    for (size_t i = 0; i < ids.count; i++)
        decoder_put(&s, ids.items[i], &out);
    decoder_end(&s, &out);
    text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "smollm", "bloom"};
    if (!size)
        return 0;
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(nowhere());
    fixture *f = ARENA_NEW(a, fixture);
    unsigned choice = data[0] % 6;
    if (choice < 5)
        fixture_gpt2(f, pres[choice]);
    else
        fixture_llama(f);
    f->vocabulary.add_space_prefix = data[0] / 6 % 3 - 1;
    char *input = arena_string(a, (const char *)data + 1, size - 1);
    size_t length = choice < 5 ? size - 1 : normalize(input, size - 1);
    const tokenizer *t = tokenizer_create(a, d, &f->vocabulary);
    if (!t)
        __builtin_trap();
    round_trip(t, a, d, input, length, (encode_options){.add_special = data[0] & 128});
    round_trip(t, a, d, input, length, (encode_options){true, true});
    if (data[0] & 64)
        try_spoilt(f, a, d, data + 1, size - 1);
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}
