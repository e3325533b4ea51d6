// Key-value pairs of GGUF: one row per value type.
#include "support/metadata.h"

#include "support/reader.h"
#include "support/scalar.h"
#include "support/text.h"

#include <stdlib.h>
#include <string.h>

enum { META_TYPE_STRING = 8, META_TYPE_ARRAY = 9, META_TYPE_U64 = 10 };

typedef struct meta_type {
    const char *name, *array;
    unsigned size; // 0: not of fixed size
    meta_kind kind;
    scalar_type scalar;
} meta_type;

static const meta_type meta_types[] = {
    // index: the type's number in the file
    {"u8", "array of u8", 1, META_INTEGER, SCALAR_U8},
    {"i8", "array of i8", 1, META_INTEGER, SCALAR_I8},
    {"u16", "array of u16", 2, META_INTEGER, SCALAR_COUNT},
    {"i16", "array of i16", 2, META_INTEGER, SCALAR_I16},
    {"u32", "array of u32", 4, META_INTEGER, SCALAR_COUNT},
    {"i32", "array of i32", 4, META_INTEGER, SCALAR_I32},
    {"f32", "array of f32", 4, META_NUMBER, SCALAR_F32},
    {"bool", "array of bool", 1, META_BOOLEAN, SCALAR_U8},
    {"string", "array of string", 0, META_TEXT, SCALAR_COUNT},
    {"array", NULL, 0, META_ARRAY, SCALAR_COUNT},
    {"u64", "array of u64", 8, META_INTEGER, SCALAR_I64},
    {"i64", "array of i64", 8, META_INTEGER, SCALAR_I64},
    {"f64", "array of f64", 8, META_NUMBER, SCALAR_F64},
};
enum { N_META_TYPES = sizeof meta_types / sizeof meta_types[0] };

static int64_t load_integer(uint32_t type, const uint8_t *at)
{
    int64_t value = 0;
    const meta_type *row = &meta_types[type];
    memcpy(&value, at, row->size);
    bool is_signed = row->name[0] == 'i';
    unsigned shift = 64 - 8 * row->size;
    return is_signed ? (int64_t)((uint64_t)value << shift) >> shift : value;
}

static double load_number(uint32_t type, const uint8_t *at)
{
    return meta_types[type].kind == META_NUMBER ? scalar_load(meta_types[type].scalar, at)
                                                : (double)load_integer(type, at);
}

// ----------------------------------------------------------------------- parsing

// Values that cannot be held: u64 beyond int64, booleans that are neither 0 nor 1.
static bool check_item(byte_reader *r, uint32_t type, const uint8_t *at)
{
    if (type == META_TYPE_U64 && load_integer(type, at) < 0)
        return read_fail(r, "the number does not fit 63 bits");
    if (meta_types[type].kind == META_BOOLEAN && *at > 1)
        return read_fail(r, "a boolean is %u, not 0 or 1", *at);
    return true;
}

static bool read_text(byte_reader *r, meta_text *out)
{
    uint64_t length;
    const uint8_t *start = NULL;
    if (!read_u64(r, &length) || !read_skip(r, length, &start))
        return false;
    *out = (meta_text){(const char *)start, (size_t)length};
    return true;
}

static bool read_texts(arena *a, byte_reader *r, meta_value *v)
{
    if (v->count > read_left(r) / sizeof(uint64_t))
        return read_fail(r, "an array of %llu strings cannot fit in the %llu bytes left",
                         (unsigned long long)v->count, (unsigned long long)read_left(r));
    meta_text *items = ARENA_ARRAY(a, meta_text, (size_t)v->count);
    v->items = items;
    for (uint64_t i = 0; i < v->count; i++)
        if (!read_text(r, &items[i]))
            return false;
    return true;
}

static bool read_numbers(byte_reader *r, meta_value *v)
{
    const meta_type *row = &meta_types[v->item_type];
    if (v->count > read_left(r) / row->size)
        return read_fail(r, "an array of %llu %s cannot fit in the %llu bytes left",
                         (unsigned long long)v->count, row->name, (unsigned long long)read_left(r));
    const uint8_t *start = NULL;
    if (!read_skip(r, v->count * row->size, &start))
        return false;
    v->items = start;
    for (uint64_t i = 0; i < v->count; i++)
        if (!check_item(r, v->item_type, start + i * row->size))
            return false;
    return true;
}

static bool read_array(arena *a, byte_reader *r, meta_value *v)
{
    if (!read_u32(r, &v->item_type) || !read_u64(r, &v->count))
        return false;
    if (v->item_type >= N_META_TYPES)
        return read_fail(r, "unknown type %u of array items", v->item_type);
    if (v->item_type == META_TYPE_ARRAY)
        return read_fail(r, "arrays of arrays are not supported");
    v->element = meta_types[v->item_type].kind;
    v->type = meta_types[v->item_type].array;
    return v->item_type == META_TYPE_STRING ? read_texts(a, r, v) : read_numbers(r, v);
}

static bool read_single(byte_reader *r, uint32_t type, meta_value *v)
{
    if (type == META_TYPE_STRING)
        return read_text(r, &v->text);
    const uint8_t *at;
    if (!read_skip(r, meta_types[type].size, &at) || !check_item(r, type, at))
        return false;
    v->number = load_number(type, at);
    v->integer = v->kind == META_NUMBER ? 0 : load_integer(type, at);
    return true;
}

static bool read_value(arena *a, byte_reader *r, meta_value *v)
{
    uint32_t type;
    if (!read_u32(r, &type))
        return false;
    if (type >= N_META_TYPES)
        return read_fail(r, "unknown value type %u", type);
    v->kind = meta_types[type].kind;
    v->type = meta_types[type].name;
    return v->kind == META_ARRAY ? read_array(a, r, v) : read_single(r, type, v);
}

static int compare_keys(const void *a, const void *b)
{
    const meta_value *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static bool index_keys(metadata *m, arena *a, byte_reader *r)
{
    size_t count = m->values.count;
    m->by_key = ARENA_ARRAY(a, const meta_value *, count);
    for (size_t i = 0; i < count; i++)
        m->by_key[i] = &m->values.items[i];
    if (count)
        qsort(m->by_key, count, sizeof *m->by_key, compare_keys);
    for (size_t i = 1; i < count; i++)
        if (compare_keys(&m->by_key[i - 1], &m->by_key[i]) == 0) {
            r->what = "metadata";
            return read_fail(r, "key '%s' appears twice", m->by_key[i]->key);
        }
    return true;
}

bool metadata_parse(metadata *m, arena *a, byte_reader *r, uint64_t count)
{
    enum { LEAST = 8 + 1 + 4 + 1 }; // a key of one byte, a type, a value of one byte
    r->what = "header";
    if (count > read_left(r) / LEAST)
        return read_fail(r, "%llu metadata entries cannot fit in the %llu bytes left",
                         (unsigned long long)count, (unsigned long long)read_left(r));
    m->data = r->data + r->at;
    for (uint64_t i = 0; i < count; i++) {
        meta_value v = {.pair = r->data + r->at};
        r->what = arena_format(a, "metadata entry %llu of %llu", (unsigned long long)i + 1,
                               (unsigned long long)count);
        if (!read_name(r, a, &v.key))
            return false;
        r->what = arena_format(a, "metadata '%s'", v.key);
        if (!read_value(a, r, &v))
            return false;
        v.pair_size = (size_t)(r->data + r->at - v.pair);
        ARRAY_PUSH(a, &m->values, v);
    }
    m->size = (size_t)(r->data + r->at - m->data);
    return index_keys(m, a, r);
}

// -------------------------------------------------------------------- GGUF header

static bool read_version(byte_reader *r)
{
    uint32_t version;
    if (!read_u32(r, &version))
        return false;
    if (version && !(version & 0xffff))
        return read_fail(r, "the file is big-endian; convert it to little-endian "
                            "(gguf-py: gguf_convert_endian.py FILE little)");
    if (version != 2 && version != 3)
        return read_fail(r, "version %u is not supported, only 2 and 3", version);
    return true;
}

static bool gguf_header_read(byte_reader *r, gguf_header *out)
{
    char magic[4];
    r->what = "header";
    if (!read_bytes(r, magic, sizeof magic))
        return false;
    if (memcmp(magic, GGUF_MAGIC, sizeof magic) != 0)
        return read_fail(r, "not a GGUF file: it does not begin with " GGUF_MAGIC);
    return read_version(r) && read_u64(r, &out->tensors) && read_u64(r, &out->pairs);
}

bool gguf_metadata_read(arena *a, byte_reader *r, gguf_header *header, metadata *out)
{
    return gguf_header_read(r, header) && metadata_parse(out, a, r, header->pairs);
}

// ------------------------------------------------------------------------ access

const meta_value *metadata_find(const metadata *m, const char *key)
{
    if (!m->values.count)
        return NULL;
    const meta_value wanted = {.key = key}, *pointer = &wanted;
    const meta_value **found =
        bsearch(&pointer, m->by_key, m->values.count, sizeof *m->by_key, compare_keys);
    return found ? *found : NULL;
}

const char *metadata_nearest(const metadata *m, arena *a, const char *key)
{
    const char **keys = ARENA_ARRAY(a, const char *, m->values.count);
    for (size_t i = 0; i < m->values.count; i++)
        keys[i] = m->values.items[i].key;
    return text_nearest(key, keys, m->values.count);
}

static const uint8_t *item_at(const meta_value *v, uint64_t index)
{
    if (v->kind != META_ARRAY || index >= v->count)
        INTERNAL_ERROR("item %llu of metadata '%s'", (unsigned long long)index, v->key);
    return (const uint8_t *)v->items + index * meta_types[v->item_type].size;
}

int64_t meta_integer_at(const meta_value *v, uint64_t index)
{
    return load_integer(v->item_type, item_at(v, index));
}

double meta_number_at(const meta_value *v, uint64_t index)
{
    return load_number(v->item_type, item_at(v, index));
}

meta_text meta_text_at(const meta_value *v, uint64_t index)
{
    item_at(v, index);
    return ((const meta_text *)v->items)[index];
}
