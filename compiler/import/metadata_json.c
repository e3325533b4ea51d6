// Metadata from JSON: encoded as the pairs of a GGUF file and parsed as such, so that whoever
// reads them later, from here or from a packed file, sees no difference.
#include "compiler/import/source.h"

#include <jansson.h>
#include <string.h>

enum { LONGEST_KEY = 65535, MOST_BYTES = 64 << 20 };
// Numbers of value types in GGUF.
enum { U32 = 4, I32 = 5, BOOLEAN = 7, STRING = 8, ARRAY = 9, I64 = 11, F64 = 12 };

typedef struct encoding {
    diagnostics *diagnostics;
    const source *source;
    const char *key;
    bool good;
    text pairs;
    uint64_t count;
} encoding;

static void put(text *out, const void *data, size_t size)
{
    text_append_n(out, data, size);
}

static void put_u32(text *out, uint32_t value)
{
    put(out, &value, sizeof value);
}

static void put_u64(text *out, uint64_t value)
{
    put(out, &value, sizeof value);
}

static void put_text(text *out, const char *s, size_t length)
{
    put_u64(out, length);
    put(out, s, length);
}

// ------------------------------------------------------------------------- places

static location place_at(const source *s, size_t at, size_t length)
{
    location where = {.source = s, .line = 1, .column = 1, .length = (uint32_t)length};
    for (size_t i = 0; i < at && i < s->length; i++) {
        where.column++;
        if (s->text[i] == '\n') {
            where.line++;
            where.column = 1;
        }
    }
    return where;
}

// The first place where the key is written plainly and a colon follows; else the file.
static location place_of_key(const encoding *e)
{
    const char *end = e->source->text + e->source->length;
    size_t length = strlen(e->key);
    for (const char *at = e->source->text; at + length + 2 < end; at++) {
        const char *after = at + length + 2;
        if (*at != '"' || memcmp(at + 1, e->key, length) != 0 || after[-1] != '"')
            continue;
        while (after < end && strchr(" \t\r\n", *after))
            after++;
        if (after < end && *after == ':')
            return place_at(e->source, (size_t)(at - e->source->text), length + 2);
    }
    return (location){.source = e->source};
}

static void refuse(encoding *e, const char *problem)
{
    diagnostic_error(e->diagnostics, place_of_key(e), "metadata '%.80s' %s", e->key, problem);
    e->good = false;
}

// ------------------------------------------------------------------------- values

// The narrowest type of GGUF that its readers expect of such a value.
static uint32_t type_of(const json_t *v)
{
    if (json_is_integer(v)) {
        json_int_t i = json_integer_value(v);
        return i >= 0 && i <= UINT32_MAX ? U32 : i < 0 && i >= INT32_MIN ? I32 : I64;
    }
    return json_is_boolean(v)  ? BOOLEAN
           : json_is_string(v) ? STRING
           : json_is_array(v)  ? ARRAY
                               : F64;
}

static void put_value(text *out, uint32_t type, const json_t *v)
{
    json_int_t integer = json_integer_value(v);
    double number = json_number_value(v);
    switch (type) {
    case U32:
    case I32: put_u32(out, (uint32_t)integer); return;
    case I64: put(out, &integer, sizeof integer); return;
    case F64: put(out, &number, sizeof number); return;
    case BOOLEAN: text_char(out, (char)json_is_true(v)); return;
    case STRING: put_text(out, json_string_value(v), json_string_length(v)); return;
    default: UNREACHABLE();
    }
}

static bool is_single(const json_t *v)
{
    return json_is_number(v) || json_is_boolean(v) || json_is_string(v);
}

// Whole numbers of different widths are I64, whole and other numbers F64 together.
static uint32_t common_type(uint32_t a, uint32_t b)
{
    bool whole_a = a == U32 || a == I32 || a == I64, whole_b = b == U32 || b == I32 || b == I64;
    if (a == b)
        return a;
    if (whole_a && whole_b)
        return I64;
    return (whole_a || a == F64) && (whole_b || b == F64) ? F64 : ARRAY;
}

static void put_array(encoding *e, const json_t *array)
{
    size_t count = json_array_size(array);
    uint32_t type = count ? type_of(json_array_get(array, 0)) : I32;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!is_single(item) || (type = common_type(type, type_of(item))) == ARRAY) {
            refuse(e, "is an array whose items are not all numbers, all booleans or all texts");
            return;
        }
    }
    put_u32(&e->pairs, ARRAY);
    put_u32(&e->pairs, type);
    put_u64(&e->pairs, count);
    for (size_t i = 0; i < count; i++)
        put_value(&e->pairs, type, json_array_get(array, i));
}

static void put_pair(encoding *e, const json_t *v)
{
    size_t length = strlen(e->key);
    if (length == 0 || length > LONGEST_KEY) {
        refuse(e, "is not a key: a key has 1 to 65535 bytes");
        return;
    }
    if (!is_single(v) && !json_is_array(v)) {
        refuse(e, json_is_null(v) ? "is null: expected a number, a boolean, a text or an array; "
                                    "leave out what is not known"
                                  : "is an object: expected a number, a boolean, a text or an "
                                    "array; keys are written whole, \"llama.block_count\"");
        return;
    }
    e->count++;
    put_text(&e->pairs, e->key, length);
    if (json_is_array(v)) {
        put_array(e, v);
        return;
    }
    put_u32(&e->pairs, type_of(v));
    put_value(&e->pairs, type_of(v), v);
}

// ------------------------------------------------------------------------ merging

// NULL: reported.
static json_t *read_object(encoding *e)
{
    json_error_t error;
    const source *s = e->source;
    if (s->length > MOST_BYTES) {
        diagnostic_error(e->diagnostics, (location){.source = s}, "more than 64 MiB of metadata");
        return NULL;
    }
    json_t *root = json_loadb(s->text, s->length, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        size_t at = error.position > 0 ? (size_t)error.position - 1 : 0;
        diagnostic_error(e->diagnostics, place_at(s, at, 1), "not JSON: %s", error.text);
        return NULL;
    }
    if (json_is_object(root))
        return root;
    diagnostic_error(e->diagnostics, place_at(s, 0, 1),
                     "expected an object, {\"llama.block_count\": 32, ...}");
    json_decref(root);
    return NULL;
}

// The file's pairs that the object does not replace, then the object's.
static bool encode(encoding *e, const metadata *old, const json_t *object)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; i < old->values.count; i++) {
        const meta_value *v = &old->values.items[i];
        if (json_object_get(object, v->key))
            continue;
        put(&e->pairs, v->pair, v->pair_size);
        e->count++;
    }
    json_object_foreach((json_t *)object, key, value)
    {
        e->key = key;
        put_pair(e, value);
    }
    return e->good;
}

static bool replace(weights *w, const encoding *e)
{
    const uint8_t *data = arena_copy(w->arena, text_string(&e->pairs), e->pairs.length);
    byte_reader r = {.data = data,
                     .size = e->pairs.length,
                     .diagnostics = e->diagnostics,
                     .where = {.source = e->source},
                     .what = "metadata"};
    metadata merged = {0};
    if (!metadata_parse(&merged, w->arena, &r, e->count))
        return false;
    w->meta = merged;
    return true;
}

bool weights_override_metadata(weights *w, diagnostics *d, const source *json)
{
    encoding e = {.diagnostics = d, .source = json, .good = true};
    json_t *object = read_object(&e);
    bool good = object && encode(&e, &w->meta, object) && replace(w, &e);
    json_decref(object);
    text_free(&e.pairs);
    return good;
}
