// From the arrays of a file, which may say anything, to a tokenizer that can be relied on.
#include "support/tokenizer/internal.h"

#include <stdlib.h>
#include <string.h>

const char *quoted(arena *a, token_bytes bytes)
{
    enum { SHOWN = 40 };
    text t = {0};
    size_t length = bytes.length;
    if (length > SHOWN)
        for (length = SHOWN; length > SHOWN - 3 && ((uint8_t)bytes.data[length] & 0xc0) == 0x80;)
            length--; // not in the middle of a character
    text_quoted(&t, bytes.data, length);
    if (length < bytes.length)
        text_append(&t, "...");
    const char *copy = arena_string(a, t.data, t.length);
    text_free(&t);
    return copy;
}

typedef struct building {
    tokenizer *tokenizer;
    arena *arena;
    diagnostics *diagnostics;
    const vocabulary *vocabulary;
} building;

// ----------------------------------------------------------------------------- tokens

static bool check_counts(const building *b)
{
    const vocabulary *v = b->vocabulary;
    location where = b->tokenizer->where;
    size_t before = diagnostics_errors(b->diagnostics);
    if (!v->token_count || v->token_count > LARGEST_COUNT)
        diagnostic_error(b->diagnostics, where, "the vocabulary has %zu tokens; expected 1 to %d",
                         v->token_count, LARGEST_COUNT);
    if (v->type_count && v->type_count != v->token_count)
        diagnostic_error(b->diagnostics, where, "%zu tokens have %zu types; expected one each",
                         v->token_count, v->type_count);
    return diagnostics_errors(b->diagnostics) == before;
}

static void read_token(building *b, uint32_t id)
{
    tokenizer *t = b->tokenizer;
    const vocabulary *v = b->vocabulary;
    token_bytes spelled = v->tokens[id];
    int32_t type = v->type_count ? v->types[id] : TOKEN_NORMAL;
    if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
        diagnostic_error(b->diagnostics, t->where, "token %u %s has type %d; expected 1 to 6", id,
                         quoted(b->arena, spelled), type);
    if (spelled.length > LONGEST_TOKEN) {
        diagnostic_error(b->diagnostics, t->where, "token %u %s has %zu bytes; at most %d", id,
                         quoted(b->arena, spelled), spelled.length, LONGEST_TOKEN);
        spelled.length = 0;
    }
    t->types[id] = (uint8_t)type;
    t->texts[id] =
        (token_bytes){arena_string(b->arena, spelled.data, spelled.length), spelled.length};
    t->longest = spelled.length > t->longest ? spelled.length : t->longest;
}

// Tokens without text exist in real vocabularies; nothing is ever encoded as one.
static void index_token(building *b, uint32_t id)
{
    tokenizer *t = b->tokenizer;
    uint32_t other = t->texts[id].length ? key_index_add(&t->by_text, id) : NO_TOKEN;
    if (other != NO_TOKEN)
        diagnostic_error(b->diagnostics, t->where, "tokens %u and %u are both %s", other, id,
                         quoted(b->arena, t->texts[id]));
}

static void read_tokens(building *b)
{
    tokenizer *t = b->tokenizer;
    size_t count = t->count = b->vocabulary->token_count;
    t->texts = ARENA_ARRAY(b->arena, token_bytes, count);
    t->pieces = ARENA_ARRAY(b->arena, token_bytes, count);
    t->types = ARENA_ARRAY(b->arena, uint8_t, count);
    t->separate = ARENA_ARRAY(b->arena, bool, count);
    t->by_text = key_index_create(b->arena, t->texts, count);
    for (uint32_t id = 0; id < count; id++) {
        read_token(b, id);
        index_token(b, id);
    }
}

// ---------------------------------------------------------------------- special tokens

static void read_special(building *b)
{
    const special_tokens s = b->tokenizer->special = b->vocabulary->special;
    const struct {
        const char *name;
        int64_t id;
    } rows[] = {{"begin of text", s.bos},
                {"end of text", s.eos},
                {"end of turn", s.eot},
                {"unknown", s.unknown}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].id < -1 || rows[i].id >= (int64_t)b->tokenizer->count)
            diagnostic_error(b->diagnostics, b->tokenizer->where,
                             "the '%s' token is %lld, but there are %zu tokens", rows[i].name,
                             (long long)rows[i].id, b->tokenizer->count);
}

static bool stated(int flag, bool otherwise)
{
    return flag < 0 ? otherwise : flag > 0;
}

static void read_flags(building *b)
{
    tokenizer *t = b->tokenizer;
    const vocabulary *v = b->vocabulary;
    t->add_bos = stated(v->add_bos, t->model->add_bos);
    t->add_eos = stated(v->add_eos, false);
    t->add_space_prefix = stated(v->add_space_prefix, t->model->add_space_prefix);
}

// What cannot be done is an error where it was asked for; otherwise it is left out.
static void check_flags(building *b)
{
    tokenizer *t = b->tokenizer;
    const vocabulary *v = b->vocabulary;
    if (v->add_bos > 0 && t->special.bos < 0)
        diagnostic_error(b->diagnostics, t->where,
                         "texts are to begin with a token, but none is named (bos_token_id)");
    if (v->add_eos > 0 && t->special.eos < 0)
        diagnostic_error(b->diagnostics, t->where,
                         "texts are to end with a token, but none is named (eos_token_id)");
    t->add_bos &= t->special.bos >= 0;
}

// ---------------------------------------------------------------------- separate tokens

static bool contains(token_bytes spelled, const char *part)
{
    return memmem(spelled.data, spelled.length, part, strlen(part)) != NULL;
}

// In a "llama" vocabulary a user-defined token with U+2581 is reached by merging.
static bool is_separate(const tokenizer *t, uint32_t id)
{
    switch (t->types[id]) {
    case TOKEN_CONTROL:
    case TOKEN_UNKNOWN: return t->texts[id].length > 0;
    case TOKEN_USER_DEFINED:
        return t->texts[id].length > 0 &&
               (t->model == &byte_level_model || !contains(t->texts[id], LOWER_ONE_EIGHTH));
    default: return false;
    }
}

static int by_bytes(const void *x, const void *y, void *texts)
{
    token_bytes a = ((token_bytes *)texts)[*(const uint32_t *)x];
    token_bytes b = ((token_bytes *)texts)[*(const uint32_t *)y];
    int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static token_set make_set(const tokenizer *t, arena *a, bool all)
{
    ARRAY_OF(uint32_t) ids = {0};
    for (uint32_t id = 0; id < t->count; id++)
        if (t->separate[id] && (all || t->types[id] == TOKEN_USER_DEFINED))
            ARRAY_PUSH(a, &ids, id);
    if (ids.count)
        qsort_r(ids.items, ids.count, sizeof *ids.items, by_bytes, t->texts);
    return (token_set){ids.items, ids.count};
}

static void find_separate(building *b)
{
    tokenizer *t = b->tokenizer;
    for (uint32_t id = 0; id < t->count; id++)
        t->separate[id] = is_separate(t, id);
    for (int all = 0; all < 2; all++)
        t->sets[all] = make_set(t, b->arena, all);
}

// ------------------------------------------------------------------------------- bytes

static void find_bytes(building *b)
{
    tokenizer *t = b->tokenizer;
    text missing = {0};
    for (unsigned byte = 0; byte < 256; byte++) {
        t->bytes[byte] = t->model->byte_token(t, (uint8_t)byte);
        bool occurs = byte < 0xc0 || (byte > 0xc1 && byte < 0xf5); // in UTF-8
        if (t->bytes[byte] == NO_TOKEN && occurs && missing.length < 60)
            text_printf(&missing, " %02X", byte);
        else if (t->bytes[byte] == NO_TOKEN && occurs && !text_ends_with(missing.data, "..."))
            text_append(&missing, " ...");
    }
    if (missing.length && t->special.unknown < 0)
        diagnostic_error(b->diagnostics, t->where,
                         "there is neither an unknown token nor one for each of these bytes:%s",
                         missing.data);
    text_free(&missing);
}

// Byte tokens that no byte found are misspelled.
static void check_byte_tokens(building *b)
{
    tokenizer *t = b->tokenizer;
    bool *found = ARENA_ARRAY(b->arena, bool, t->count);
    for (unsigned byte = 0; byte < 256; byte++)
        if (t->bytes[byte] != NO_TOKEN)
            found[t->bytes[byte]] = true;
    for (uint32_t id = 0; id < t->count; id++)
        if (t->types[id] == TOKEN_BYTE && !found[id])
            diagnostic_error(b->diagnostics, t->where,
                             "token %u has the type of a byte, but is %s; a \"%s\" vocabulary "
                             "spells bytes as in %s",
                             id, quoted(b->arena, t->texts[id]), t->model->name,
                             t->model == &byte_level_model ? "\"A\"" : "\"<0x41>\"");
}

// ---------------------------------------------------------------------------- creation

static const tokenizer_model *const models[] = {&sentencepiece_model, &byte_level_model};

static bool find_model(building *b)
{
    const char *name = b->vocabulary->model;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (name && strcmp(models[i]->name, name) == 0)
            b->tokenizer->model = models[i];
    if (b->tokenizer->model)
        return true;
    if (name)
        diagnostic_error(b->diagnostics, b->tokenizer->where,
                         "the tokenizer model %s is not supported",
                         quoted(b->arena, (token_bytes){name, strlen(name)}));
    else
        diagnostic_error(b->diagnostics, b->tokenizer->where,
                         "the file does not name its tokenizer model");
    diagnostic_note(b->diagnostics, b->tokenizer->where,
                    "tokenizer.ggml.model is expected to be one of: llama, gpt2");
    return false;
}

static bool build(building *b)
{
    tokenizer *t = b->tokenizer;
    size_t before = diagnostics_errors(b->diagnostics);
    if (!find_model(b) || !check_counts(b))
        return false;
    read_tokens(b);
    read_special(b);
    read_flags(b);
    find_separate(b);
    find_bytes(b);
    check_byte_tokens(b);
    t->model->prepare(t, b->arena, b->diagnostics, b->vocabulary);
    check_flags(b);
    return diagnostics_errors(b->diagnostics) == before;
}

tokenizer *tokenizer_create(arena *a, diagnostics *d, const vocabulary *v)
{
    tokenizer *t = ARENA_NEW(a, tokenizer);
    t->where = (location){.source = diagnostics_source(d, v->name, NULL, 0)};
    building b = {t, a, d, v};
    if (!build(&b))
        return NULL;
    for (uint32_t id = 0; id < t->count; id++)
        t->pieces[id] = t->model->piece(t, a, id);
    return t;
}

// ----------------------------------------------------------------------------- lookups

size_t tokenizer_count(const tokenizer *t)
{
    return t->count;
}

special_tokens tokenizer_special(const tokenizer *t)
{
    return t->special;
}

bool tokenizer_adds_bos(const tokenizer *t)
{
    return t->add_bos;
}

bool tokenizer_ends(const tokenizer *t, uint32_t id)
{
    return id == t->special.eos || id == t->special.eot;
}

token_bytes tokenizer_text(const tokenizer *t, uint32_t id)
{
    return t->texts[id];
}

token_bytes tokenizer_piece(const tokenizer *t, uint32_t id)
{
    return t->pieces[id];
}

token_type tokenizer_type(const tokenizer *t, uint32_t id)
{
    return t->types[id];
}

int64_t tokenizer_find(const tokenizer *t, const char *spelled, size_t length)
{
    uint32_t id = key_index_find(&t->by_text, spelled, length);
    return id == NO_TOKEN ? -1 : (int64_t)id;
}
