#include "runtime/host/description.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MAX_LIST = 4096 };
static const int64_t LARGEST_EXTENT = INT64_C(1) << 40, LARGEST_SIZE = INT64_C(1) << 48;

typedef struct reader {
    arena *arena;
    diagnostics *diagnostics;
    location where;
    program_description *out;
    bool ok;
} reader;

__attribute__((format(printf, 3, 4))) static void fail(reader *r, const char *path,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text message = {0};
    text_vprintf(&message, format, args);
    va_end(args);
    diagnostic_error(r->diagnostics, r->where, "program description: %s: %s", path,
                     text_string(&message));
    text_free(&message);
    r->ok = false;
}

static const char *kind_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array",  [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

static const char *join(reader *r, const char *path, const char *key)
{
    return *path ? arena_format(r->arena, "%s.%s", path, key) : key;
}

static const char *element_path(reader *r, const char *path, size_t i)
{
    return arena_format(r->arena, "%s[%zu]", path, i);
}

static const json_t *get(reader *r, const json_t *object, const char *path, const char *key,
                         json_type kind, const char *expected)
{
    const json_t *value = json_object_get(object, key);
    if (value && json_typeof(value) == kind)
        return value;
    fail(r, join(r, path, key), "expected %s, found %s", expected, kind_name(value));
    return NULL;
}

static int64_t get_integer(reader *r, const json_t *object, const char *path, const char *key,
                           int64_t minimum, int64_t maximum)
{
    const json_t *value = get(r, object, path, key, JSON_INTEGER, "an integer");
    int64_t n = value ? json_integer_value(value) : minimum;
    if (n >= minimum && n <= maximum)
        return n;
    fail(r, join(r, path, key), "%" PRId64 " is not within %" PRId64 "..%" PRId64, n, minimum,
         maximum);
    return minimum;
}

static const char *checked_name(reader *r, const json_t *value, const char *path)
{
    const char *name = json_string_value(value);
    size_t length = json_string_length(value);
    if (length == 0 || length > TEXT_LONGEST_NAME) {
        fail(r, path, "a name has 1 to %d bytes, found %zu", TEXT_LONGEST_NAME, length);
        return "?";
    }
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ') {
            fail(r, path, "a name has no control characters");
            return "?";
        }
    return arena_intern(r->arena, name);
}

static const char *get_name(reader *r, const json_t *object, const char *path, const char *key)
{
    const json_t *value = get(r, object, path, key, JSON_STRING, "a string");
    return value ? checked_name(r, value, join(r, path, key)) : "?";
}

// A required list of objects; its elements that are objects are read one by one by the caller.
static const json_t *get_list(reader *r, const json_t *object, const char *path, const char *key)
{
    const json_t *list = get(r, object, path, key, JSON_ARRAY, "an array");
    if (json_array_size(list) > MAX_LIST) {
        fail(r, join(r, path, key), "%zu elements; at most %d are supported", json_array_size(list),
             MAX_LIST);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_object(json_array_get(list, i))) {
            fail(r, element_path(r, join(r, path, key), i), "expected an object, found %s",
                 kind_name(json_array_get(list, i)));
            return NULL;
        }
    return list;
}

static bool is_hash(const char *s)
{
    return strlen(s) == 16 && strspn(s, "0123456789abcdef") == 16;
}

static void read_machine(reader *r, const json_t *root)
{
    const json_t *m = get(r, root, "", "machine", JSON_OBJECT, "an object");
    if (!m)
        return;
    r->out->machine.name = get_name(r, m, "machine", "name");
    r->out->machine.vlen = (uint32_t)get_integer(r, m, "machine", "vlen", 0, 65536);
    r->out->machine.tile_m = (uint32_t)get_integer(r, m, "machine", "tile_m", 0, 4);
    r->out->machine.tile_n = (uint32_t)get_integer(r, m, "machine", "tile_n", 0, 256);
    const char *hash = get_name(r, m, "machine", "hash");
    if (!is_hash(hash))
        fail(r, "machine.hash", "expected 16 hexadecimal digits, found '%s'", hash);
    else
        sscanf(hash, "%16" SCNx64, &r->out->machine.hash);
}

static void read_dims(reader *r, const json_t *root)
{
    const json_t *list = get_list(r, root, "", "dims");
    size_t count = json_array_size(list);
    program_dim *dims = ARENA_ARRAY(r->arena, program_dim, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        const char *path = element_path(r, "dims", i);
        dims[i].name = get_name(r, item, path, "name");
        dims[i].minimum = get_integer(r, item, path, "min", 0, LARGEST_EXTENT);
        dims[i].maximum = get_integer(r, item, path, "max", dims[i].minimum, LARGEST_EXTENT);
        for (size_t j = 0; j < i; j++)
            if (strcmp(dims[i].name, dims[j].name) == 0)
                fail(r, path, "dimension '%s' is there twice", dims[i].name);
    }
    r->out->dims = dims;
    r->out->dim_count = count;
}

// "T" or "8*T".
static program_extent read_symbolic(reader *r, const char *s, const char *path)
{
    program_extent e = {1, -1};
    const char *name = s, *star = strchr(s, '*');
    if (star) {
        long long factor = 0;
        if (!text_to_int64(arena_string(r->arena, s, (size_t)(star - s)), &factor) || factor < 1 ||
            factor > LARGEST_EXTENT) {
            fail(r, path, "'%s' is not of the form 8*T", s);
            return e;
        }
        e.factor = factor;
        name = star + 1;
    }
    for (size_t i = 0; i < r->out->dim_count; i++)
        if (strcmp(r->out->dims[i].name, name) == 0)
            e.dim = (int)i;
    if (e.dim < 0)
        fail(r, path, "'%s' is not one of the dims", name);
    return e;
}

static program_extent read_extent(reader *r, const json_t *value, const char *path)
{
    if (json_is_string(value))
        return read_symbolic(r, json_string_value(value), path);
    program_extent e = {json_integer_value(value), -1};
    if (!json_is_integer(value))
        fail(r, path, "expected an integer or a dimension, found %s", kind_name(value));
    else if (e.factor < 0 || e.factor > LARGEST_EXTENT) {
        fail(r, path, "%" PRId64 " is not within 0..%" PRId64, e.factor, LARGEST_EXTENT);
        e.factor = 0;
    }
    return e;
}

// Bytes with every dimension at its maximum; -1 where that overflows.
static int64_t largest_bytes(const program_description *p, const program_value *v)
{
    int64_t bytes = (int64_t)scalar_size(v->type);
    for (unsigned i = 0; i < v->rank; i++) {
        const program_extent *e = &v->shape[i];
        int64_t maximum = e->dim < 0 ? 1 : p->dims[e->dim].maximum, extent;
        if (__builtin_mul_overflow(e->factor, maximum, &extent) ||
            __builtin_mul_overflow(bytes, extent, &bytes))
            return -1;
    }
    return bytes;
}

static void read_shape(reader *r, const json_t *item, const char *path, program_value *v)
{
    const json_t *shape = get(r, item, path, "shape", JSON_ARRAY, "an array");
    const char *shape_path = join(r, path, "shape");
    if (json_array_size(shape) > ARRAY_MAX_RANK) {
        fail(r, shape_path, "%zu dimensions; at most %d are supported", json_array_size(shape),
             ARRAY_MAX_RANK);
        return;
    }
    v->rank = (unsigned)json_array_size(shape);
    for (unsigned i = 0; i < v->rank; i++)
        v->shape[i] = read_extent(r, json_array_get(shape, i), element_path(r, shape_path, i));
    int64_t bytes = largest_bytes(r->out, v);
    if (bytes < 0 || bytes > LARGEST_SIZE)
        fail(r, shape_path, "more than 2^48 bytes");
}

static program_value read_value(reader *r, const json_t *item, const char *path)
{
    program_value v = {.name = get_name(r, item, path, "name"), .type = SCALAR_I64};
    const char *type = get_name(r, item, path, "type");
    v.is_index = strcmp(type, "index") == 0;
    if (!v.is_index && !scalar_by_name(type, &v.type))
        fail(r, join(r, path, "type"), "'%s' is not a type", type);
    read_shape(r, item, path, &v);
    return v;
}

static program_values read_values(reader *r, const json_t *object, const char *path,
                                  const char *key)
{
    const json_t *list = get_list(r, object, path, key);
    size_t count = json_array_size(list);
    program_value *values = ARENA_ARRAY(r->arena, program_value, count);
    for (size_t i = 0; i < count; i++) {
        const char *item = element_path(r, join(r, path, key), i);
        values[i] = read_value(r, json_array_get(list, i), item);
        for (size_t j = 0; j < i; j++)
            if (strcmp(values[i].name, values[j].name) == 0)
                fail(r, item, "'%s' is there twice", values[i].name);
    }
    return (program_values){values, count};
}

static void read_entries(reader *r, const json_t *root)
{
    const json_t *list = get_list(r, root, "", "entries");
    size_t count = json_array_size(list);
    program_entry *entries = ARENA_ARRAY(r->arena, program_entry, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        const char *path = element_path(r, "entries", i);
        entries[i] = (program_entry){
            get_name(r, item, path, "name"), get_name(r, item, path, "symbol"),
            read_values(r, item, path, "inputs"), read_values(r, item, path, "outputs")};
        for (size_t j = 0; j < i; j++)
            if (strcmp(entries[i].name, entries[j].name) == 0)
                fail(r, path, "entry '%s' is there twice", entries[i].name);
    }
    if (list && count == 0)
        fail(r, "entries", "a program has at least one entry");
    r->out->entries = entries;
    r->out->entry_count = count;
}

static void read_states(reader *r, const json_t *root)
{
    r->out->state_size = (uint64_t)get_integer(r, root, "", "state_size", 0, LARGEST_SIZE);
    r->out->workspace_size = (uint64_t)get_integer(r, root, "", "workspace_size", 0, LARGEST_SIZE);
    r->out->harts = 1;
    if (json_object_get(root, "harts"))
        r->out->harts = (uint32_t)get_integer(r, root, "", "harts", 1, HOST_MOST_HARTS);
    if (json_object_get(root, "scratch_size"))
        r->out->scratch_size = (uint64_t)get_integer(r, root, "", "scratch_size", 0, LARGEST_SIZE);
    program_values states = read_values(r, root, "", "states");
    const json_t *list = json_object_get(root, "states");
    for (size_t i = 0; i < states.count; i++) {
        program_value *v = (program_value *)&states.items[i];
        const char *path = element_path(r, "states", i);
        int64_t bytes = largest_bytes(r->out, v);
        v->offset =
            (uint64_t)get_integer(r, json_array_get(list, i), path, "offset", 0, LARGEST_SIZE);
        if (bytes >= 0 && v->offset + (uint64_t)bytes > r->out->state_size)
            fail(r, path, "%" PRId64 " bytes at offset %" PRIu64 " exceed state_size %" PRIu64,
                 bytes, v->offset, r->out->state_size);
    }
    r->out->states = states;
}

// No weights: absent, null, or of size 0.
static void read_weights(reader *r, const json_t *root)
{
    const json_t *w = json_object_get(root, "weights");
    if (!w || json_is_null(w))
        return;
    if (!json_is_object(w)) {
        fail(r, "weights", "expected an object or null, found %s", kind_name(w));
        return;
    }
    r->out->weights.address = (uint64_t)get_integer(r, w, "weights", "address", 0, LARGEST_SIZE);
    r->out->weights.size = (uint64_t)get_integer(r, w, "weights", "size", 0, LARGEST_SIZE);
    if (json_object_get(w, "layout")) {
        const char *layout = get_name(r, w, "weights", "layout");
        if (!is_hash(layout))
            fail(r, "weights.layout", "expected 16 hexadecimal digits, found '%s'", layout);
        else
            r->out->weights.layout = strtoull(layout, NULL, 16);
    }
    const json_t *file = json_object_get(w, "file");
    if (file && json_is_string(file))
        r->out->weights.file = checked_name(r, file, "weights.file");
    else if (file && !json_is_null(file))
        fail(r, "weights.file", "expected a string or null, found %s", kind_name(file));
}

static void read_root(reader *r, const json_t *root)
{
    if (!json_is_object(root)) {
        fail(r, "JSON", "expected an object, found %s", kind_name(root));
        return;
    }
    if (get_integer(r, root, "", "version", VERSION, VERSION) != VERSION || !r->ok)
        return;
    read_machine(r, root);
    read_dims(r, root);
    read_entries(r, root);
    read_states(r, root);
    read_weights(r, root);
}

bool description_parse(arena *a, diagnostics *d, const char *name, const char *json, size_t length,
                       program_description *out)
{
    *out = (program_description){0};
    reader r = {a, d, {.source = diagnostics_source(d, name, NULL, 0)}, out, true};
    while (length > 0 && json[length - 1] == '\0') // padding of the note
        length--;
    json_error_t error;
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail(&r, "JSON", "line %d, column %d: %s", error.line, error.column, error.text);
    else
        read_root(&r, root);
    json_decref(root);
    return r.ok;
}

int64_t description_extent(const program_extent *e, const int64_t *dims)
{
    int64_t value;
    if (e->dim < 0)
        return e->factor;
    return __builtin_mul_overflow(e->factor, dims[e->dim], &value) ? -1 : value;
}

const char *description_type_name(const program_value *v)
{
    return v->is_index ? "index" : scalar_rows[v->type].name;
}

static void print_extent(text *out, const program_description *p, const program_extent *e)
{
    if (e->dim < 0)
        text_printf(out, "%" PRId64, e->factor);
    else if (e->factor == 1)
        text_append(out, p->dims[e->dim].name);
    else
        text_printf(out, "%" PRId64 "*%s", e->factor, p->dims[e->dim].name);
}

void description_print_value(text *out, const program_description *p, const program_value *v)
{
    text_append(out, description_type_name(v));
    if (v->rank == 0)
        return;
    for (unsigned i = 0; i < v->rank; i++) {
        text_append(out, i ? ", " : "[");
        print_extent(out, p, &v->shape[i]);
    }
    text_char(out, ']');
}

const program_value *description_find(const program_values *list, const char *name, size_t *index)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) {
            *index = i;
            return &list->items[i];
        }
    return NULL;
}
