#include "runtime/host/weights.h"

#include "runtime/host/refuse.h"
#include "support/reader.h"
#include "support/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { HEADER = 4096, ALIGNMENT = 64 };
enum { TILES_VERSION = 1, COLUMNS_VERSION = 2 }; // of the layout: for tiles, for CPUs
static const char magic[8] = {'L', 'U', 'T', 'W', 'P', 'A', 'C', 'K'};

typedef struct reader {
    arena *arena;
    diagnostics *diagnostics;
    location where;
    const uint8_t *data;
    uint64_t size;
    uint64_t weights_end; // where metadata or directory begin
} reader;

#define FAIL(r, ...) refuse((r)->diagnostics, (r)->where, __VA_ARGS__)

// The machine and the format are little-endian; so is every host this runs on.
static uint32_t u32_at(const reader *r, uint64_t offset)
{
    uint32_t value;
    memcpy(&value, r->data + offset, 4);
    return value;
}

static uint64_t u64_at(const reader *r, uint64_t offset)
{
    uint64_t value;
    memcpy(&value, r->data + offset, 8);
    return value;
}

static bool check_header(reader *r, packed_file *out, uint64_t *directory, uint64_t *length)
{
    if (r->size < HEADER || memcmp(r->data, magic, sizeof magic) != 0)
        return FAIL(r, "not a packed weight file: it does not begin with LUTWPACK");
    out->tile_m = u32_at(r, 12);
    out->tile_n = u32_at(r, 16);
    const int version = out->tile_n && !out->tile_m ? COLUMNS_VERSION : TILES_VERSION;
    if (u32_at(r, 8) != (uint32_t)version)
        return FAIL(r, "packed weights of version %" PRIu32 "; this program reads version %d",
                    u32_at(r, 8), version);
    *directory = u64_at(r, 24);
    *length = u64_at(r, 32);
    if (*directory < HEADER || *directory > r->size || *length > r->size - *directory)
        return FAIL(r,
                    "packed weights: the directory, %" PRIu64 " bytes at offset %" PRIu64
                    ", exceeds the file of %" PRIu64 " bytes (truncated?)",
                    *length, *directory, r->size);
    out->layout = u64_at(r, 56);
    out->metadata = u64_at(r, 40);
    out->metadata_size = u64_at(r, 48);
    if (out->metadata_size && (out->metadata < HEADER || out->metadata > *directory ||
                               out->metadata_size > *directory - out->metadata))
        return FAIL(r, "packed weights: the metadata does not lie between weights and directory");
    r->weights_end = out->metadata_size ? out->metadata : *directory;
    return true;
}

static const char *text_field(const reader *r, const json_t *item, const char *key)
{
    const char *s = json_string_value(json_object_get(item, key));
    return s ? arena_string(r->arena, s, strlen(s)) : NULL;
}

static uint64_t size_field(const json_t *item, const char *key)
{
    const json_t *value = json_object_get(item, key);
    json_int_t n = json_integer_value(value);
    return json_is_integer(value) && n >= 0 ? (uint64_t)n : UINT64_MAX;
}

static const char *shape_field(const reader *r, const json_t *item)
{
    const json_t *shape = json_object_get(item, "shape");
    text t = {0};
    for (size_t i = 0; i < json_array_size(shape) && i < 8; i++)
        text_printf(&t, "%s%" JSON_INTEGER_FORMAT, i ? "x" : "",
                    json_integer_value(json_array_get(shape, i)));
    const char *result = arena_string(r->arena, text_string(&t), t.length);
    text_free(&t);
    return result;
}

static bool read_weight(reader *r, size_t i, const json_t *item, packed_weight *out)
{
    *out = (packed_weight){text_field(r, item, "name"),   text_field(r, item, "source"),
                           text_field(r, item, "format"), shape_field(r, item),
                           size_field(item, "offset"),    size_field(item, "size")};
    if (!out->name || !out->format)
        return FAIL(r, "packed weights: entry %zu of the directory lacks its name or format", i);
    if (out->offset < HEADER || out->offset > r->weights_end ||
        out->size > r->weights_end - out->offset)
        return FAIL(r, "packed weights: '%s' lies outside the file", out->name);
    if (out->offset % ALIGNMENT)
        return FAIL(r, "packed weights: '%s' is not aligned to %d bytes", out->name, ALIGNMENT);
    return true;
}

bool packed_file_parse(arena *a, diagnostics *d, const char *name, const uint8_t *data,
                       uint64_t size, packed_file *out)
{
    reader r = {a, d, {.source = diagnostics_source(d, name, NULL, 0)}, data, size, 0};
    uint64_t directory = 0, length = 0;
    json_error_t error;
    *out = (packed_file){0};
    if (!check_header(&r, out, &directory, &length))
        return false;
    json_t *list = json_loadb((const char *)data + directory, length, 0, &error);
    bool ok = json_is_array(list);
    if (!ok)
        FAIL(&r, "packed weights: the directory is not a JSON array%s%s", list ? "" : ": ",
             list ? "" : error.text);
    packed_weight *weights = ARENA_ARRAY(a, packed_weight, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        ok &= read_weight(&r, i, json_array_get(list, i), &weights[i]);
    out->weights = weights;
    out->count = json_array_size(list);
    json_decref(list);
    return ok;
}

bool packed_file_metadata(arena *a, diagnostics *d, const char *name, const packed_file *f,
                          const uint8_t *data, metadata *out)
{
    *out = (metadata){0};
    if (!f->metadata_size)
        return true;
    byte_reader r = {.data = data + f->metadata,
                     .size = (size_t)f->metadata_size,
                     .diagnostics = d,
                     .where = {.source = diagnostics_source(d, name, NULL, 0)},
                     .what = "metadata of the weights"};
    uint64_t count;
    return read_u64(&r, &count) && metadata_parse(out, a, &r, count);
}
