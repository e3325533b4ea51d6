// The vocabulary as the metadata of a model file describes it.
#include "support/tokenizer/internal.h"

#define PREFIX "tokenizer.ggml."

typedef struct source_metadata {
    arena *arena;
    diagnostics *diagnostics;
    location where;
    const metadata *metadata;
    bool ok;
} source_metadata;

static const char *const kind_names[] = {"a number", "a number", "a boolean", "a string",
                                         "an array"};

// NULL: absent, or reported as something else than expected.
static const meta_value *find(source_metadata *s, const char *key, meta_kind kind)
{
    const meta_value *v = metadata_find(s->metadata, key);
    if (!v || v->kind == kind)
        return v;
    diagnostic_error(s->diagnostics, s->where, "metadata '%s': expected %s, found %s", key,
                     kind_names[kind], v->type);
    s->ok = false;
    return NULL;
}

static const meta_value *find_array(source_metadata *s, const char *key, meta_kind element,
                                    const char *expected)
{
    const meta_value *v = find(s, key, META_ARRAY);
    if (!v || v->element == element)
        return v;
    diagnostic_error(s->diagnostics, s->where, "metadata '%s': expected array of %s, found %s", key,
                     expected, v->type);
    s->ok = false;
    return NULL;
}

static const char *read_text(source_metadata *s, const char *key)
{
    const meta_value *v = find(s, key, META_TEXT);
    return v ? arena_string(s->arena, v->text.data, v->text.length) : NULL;
}

static int64_t read_id(source_metadata *s, const char *key)
{
    const meta_value *v = find(s, key, META_INTEGER);
    return v ? v->integer : -1;
}

static int read_flag(source_metadata *s, const char *key)
{
    const meta_value *v = find(s, key, META_BOOLEAN);
    return v ? (int)v->integer : -1;
}

static const token_bytes *read_texts(source_metadata *s, const char *key, size_t *count)
{
    const meta_value *v = find_array(s, key, META_TEXT, "string");
    *count = v ? (size_t)v->count : 0;
    token_bytes *texts = ARENA_ARRAY(s->arena, token_bytes, *count);
    for (size_t i = 0; i < *count; i++) {
        meta_text t = meta_text_at(v, i);
        texts[i] = (token_bytes){t.data, t.length};
    }
    return texts;
}

static const float *read_scores(source_metadata *s, const char *key, size_t *count)
{
    const meta_value *v = find_array(s, key, META_NUMBER, "f32");
    *count = v ? (size_t)v->count : 0;
    float *scores = ARENA_ARRAY(s->arena, float, *count);
    for (size_t i = 0; i < *count; i++)
        scores[i] = (float)meta_number_at(v, i);
    return scores;
}

// Numbers that are no type stay none.
static int32_t type_of(int64_t number)
{
    return number < INT32_MIN || number > INT32_MAX ? 0 : (int32_t)number;
}

static const int32_t *read_types(source_metadata *s, const char *key, size_t *count)
{
    const meta_value *v = find_array(s, key, META_INTEGER, "i32");
    *count = v ? (size_t)v->count : 0;
    int32_t *types = ARENA_ARRAY(s->arena, int32_t, *count);
    for (size_t i = 0; i < *count; i++)
        types[i] = type_of(meta_integer_at(v, i));
    return types;
}

static void require(source_metadata *s, const char *key)
{
    if (metadata_find(s->metadata, key))
        return;
    diagnostic_error(s->diagnostics, s->where,
                     "no tokenizer: metadata '%s' is missing; text needs a model file that holds "
                     "its vocabulary",
                     key);
    s->ok = false;
}

tokenizer *tokenizer_from_metadata(arena *a, diagnostics *d, const char *name, const metadata *m)
{
    source_metadata s = {a, d, {.source = diagnostics_source(d, name, NULL, 0)}, m, true};
    vocabulary v = {.name = name,
                    .model = read_text(&s, PREFIX "model"),
                    .pre = read_text(&s, PREFIX "pre"),
                    .special = {.bos = read_id(&s, PREFIX "bos_token_id"),
                                .eos = read_id(&s, PREFIX "eos_token_id"),
                                .eot = read_id(&s, PREFIX "eot_token_id"),
                                .unknown = read_id(&s, PREFIX "unknown_token_id")},
                    .add_bos = read_flag(&s, PREFIX "add_bos_token"),
                    .add_eos = read_flag(&s, PREFIX "add_eos_token"),
                    .add_space_prefix = read_flag(&s, PREFIX "add_space_prefix")};
    require(&s, PREFIX "model");
    if (v.model)
        require(&s, PREFIX "tokens");
    v.tokens = read_texts(&s, PREFIX "tokens", &v.token_count);
    v.merges = read_texts(&s, PREFIX "merges", &v.merge_count);
    v.scores = read_scores(&s, PREFIX "scores", &v.score_count);
    v.types = read_types(&s, PREFIX "token_type", &v.type_count);
    return s.ok ? tokenizer_create(a, d, &v) : NULL;
}
