#include "compiler/import/gguf_write.h"

#include "compiler/import/import.h"

#include <string.h>

enum { ALIGNMENT = 32 };
enum {
    VALUE_U32 = 4,
    VALUE_I32 = 5,
    VALUE_F32 = 6,
    VALUE_BOOL = 7,
    VALUE_STRING = 8,
    VALUE_ARRAY = 9
};

struct gguf_writer {
    arena *arena;
    uint64_t entries, tensors;
    struct chunk {
        uint8_t *items;
        size_t count, capacity;
    } meta, infos, data;
};

gguf_writer *gguf_writer_create(arena *a)
{
    gguf_writer *g = ARENA_NEW(a, gguf_writer);
    g->arena = a;
    return g;
}

static void put(gguf_writer *g, struct chunk *c, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ARRAY_PUSH(g->arena, c, ((const uint8_t *)data)[i]);
}

static void put_string(gguf_writer *g, struct chunk *c, const char *s)
{
    uint64_t length = strlen(s);
    put(g, c, &length, sizeof length);
    put(g, c, s, (size_t)length);
}

static void put_value(gguf_writer *g, const char *key, uint32_t type, const void *value,
                      size_t size)
{
    put_string(g, &g->meta, key);
    put(g, &g->meta, &type, sizeof type);
    put(g, &g->meta, value, size);
    g->entries++;
}

void gguf_put_text(gguf_writer *g, const char *key, const char *value)
{
    put_value(g, key, VALUE_STRING, NULL, 0);
    put_string(g, &g->meta, value);
}

void gguf_put_u32(gguf_writer *g, const char *key, uint32_t value)
{
    put_value(g, key, VALUE_U32, &value, sizeof value);
}

void gguf_put_f32(gguf_writer *g, const char *key, float value)
{
    put_value(g, key, VALUE_F32, &value, sizeof value);
}

void gguf_put_bool(gguf_writer *g, const char *key, bool value)
{
    uint8_t byte = value;
    put_value(g, key, VALUE_BOOL, &byte, sizeof byte);
}

static void put_array(gguf_writer *g, const char *key, uint32_t type, uint64_t count)
{
    put_value(g, key, VALUE_ARRAY, &type, sizeof type);
    put(g, &g->meta, &count, sizeof count);
}

void gguf_put_texts(gguf_writer *g, const char *key, uint64_t count, const char *const *values)
{
    put_array(g, key, VALUE_STRING, count);
    for (uint64_t i = 0; i < count; i++)
        put_string(g, &g->meta, values[i]);
}

void gguf_put_numbers(gguf_writer *g, const char *key, uint64_t count, const float *values)
{
    put_array(g, key, VALUE_F32, count);
    put(g, &g->meta, values, (size_t)count * sizeof *values);
}

void gguf_put_integers(gguf_writer *g, const char *key, uint64_t count, const int32_t *values)
{
    put_array(g, key, VALUE_I32, count);
    put(g, &g->meta, values, (size_t)count * sizeof *values);
}

static uint32_t type_id(const char *name)
{
    for (const weight_type *t = weight_types; t->name; t++)
        if (strcmp(t->name, name) == 0)
            return t->id;
    INTERNAL_ERROR("no GGUF type '%s'", name);
}

static void pad(gguf_writer *g, struct chunk *c)
{
    while (c->count % ALIGNMENT)
        put(g, c, "", 1);
}

void gguf_put_tensor(gguf_writer *g, const char *name, const char *type, unsigned rank,
                     const int64_t *shape, const void *data, size_t size)
{
    uint32_t id = type_id(type), dimensions = rank;
    pad(g, &g->data);
    uint64_t offset = g->data.count;
    put_string(g, &g->infos, name);
    put(g, &g->infos, &dimensions, sizeof dimensions);
    for (unsigned i = rank; i-- > 0;) // the fastest first
        put(g, &g->infos, &shape[i], sizeof shape[i]);
    put(g, &g->infos, &id, sizeof id);
    put(g, &g->infos, &offset, sizeof offset);
    put(g, &g->data, data, size);
    g->tensors++;
}

void gguf_put_floats(gguf_writer *g, const char *name, scalar_type type, unsigned rank,
                     const int64_t *shape, const float *values)
{
    static const char *const names[SCALAR_COUNT] = {
        [SCALAR_F32] = "F32", [SCALAR_F16] = "F16", [SCALAR_BF16] = "BF16"};
    size_t count = 1, size = scalar_size(type);
    for (unsigned i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    uint8_t *bytes = arena_alloc_array(g->arena, count, size);
    for (size_t i = 0; i < count; i++)
        scalar_store(type, bytes + i * size, (double)values[i]);
    gguf_put_tensor(g, name, names[type], rank, shape, bytes, count * size);
}

void gguf_write(const gguf_writer *g, text *out)
{
    const uint32_t version = 3;
    size_t start = out->length;
    text_append_n(out, "GGUF", 4);
    text_append_n(out, (const char *)&version, sizeof version);
    text_append_n(out, (const char *)&g->tensors, sizeof g->tensors);
    text_append_n(out, (const char *)&g->entries, sizeof g->entries);
    text_append_n(out, (const char *)g->meta.items, g->meta.count);
    text_append_n(out, (const char *)g->infos.items, g->infos.count);
    while ((out->length - start) % ALIGNMENT)
        text_char(out, '\0');
    text_append_n(out, (const char *)g->data.items, g->data.count);
}
