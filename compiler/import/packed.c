// Packed weight files: reading and checking the frame of docs/program.md.
#include "compiler/import/source.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <xxhash.h>

typedef struct parsing {
    weights *w;
    diagnostics *d;
    const uint8_t *data;
    uint64_t end; // weights lie before it: the metadata, or else the directory
    uint64_t at;  // end of the weight before
    size_t index;
} parsing;

static bool fail(parsing *p, const char *what, const char *problem)
{
    diagnostic_error(p->d, p->w->where, "%s: %s", what, problem);
    return false;
}

static bool bad_entry(parsing *p, const char *problem)
{
    diagnostic_error(p->d, p->w->where, "directory entry %zu: %s", p->index + 1, problem);
    return false;
}

// A part [offset, offset + size) that lies between the header and the file's end.
static bool part_inside(uint64_t offset, uint64_t size, uint64_t file)
{
    return offset >= PACK_HEADER && offset <= file && size <= file - offset;
}

static bool check_header(parsing *p, const pack_header *h, size_t size)
{
    quant_format probe;
    pack_geometry g;
    p->w->shape = (pack_shape){h->tile_m, h->tile_n};
    if (h->version != pack_version(p->w->shape)) {
        diagnostic_error(p->d, p->w->where, "header: version %u is not supported, only %u",
                         h->version, pack_version(p->w->shape));
        return false;
    }
    quant_format_parse("w1", &probe);
    bool dense_only = !h->tile_m && !h->tile_n; // a machine without LUT tiles
    if (!dense_only && !pack_geometry_of(&probe, 1, 1, p->w->shape, &g)) {
        diagnostic_error(p->d, p->w->where, "header: m%u n%u is not a tile shape", h->tile_m,
                         h->tile_n);
        return false;
    }
    if (!part_inside(h->directory, h->directory_size, size))
        return fail(p, "header", "the directory lies outside the file, which may be truncated");
    if (h->metadata_size &&
        (h->metadata_size < 8 || !part_inside(h->metadata, h->metadata_size, h->directory)))
        return fail(p, "header", "the metadata does not lie between weights and directory");
    p->end = h->metadata_size ? h->metadata : h->directory;
    return true;
}

// ----------------------------------------------------------------------- entries

static bool entry_shape(parsing *p, json_t *shape, weights_tensor *t)
{
    if (!json_is_array(shape) || json_array_size(shape) > WEIGHTS_MAX_RANK)
        return bad_entry(p, "the shape is not a list of up to 6 sizes");
    t->rank = (unsigned)json_array_size(shape);
    for (unsigned i = 0; i < t->rank; i++) {
        json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return bad_entry(p, "a size in the shape is not a whole number");
        t->shape[i] = json_integer_value(size);
    }
    return tensor_matrix(t) || bad_entry(p, "the sizes in the shape are too large");
}

// Dense bytes are read as the GGUF type of the same elements.
static const weight_type *dense_type(const quant_format *f)
{
    for (const weight_type *t = weight_types; t->name; t++)
        if (weight_type_raw(t) && strcmp(t->dense, f->name) == 0)
            return t;
    return NULL;
}

// Several formats; which column tile has which stands in front of them.
static bool entry_mix(parsing *p, weights_tensor *t, uint64_t at)
{
    pack_mix *m = (pack_mix *)t->mix;
    const quant_mix formats = m->mix;
    if (t->rank != 2 || !pack_mix_of(&formats, t->rows, t->columns, p->w->shape, m))
        return bad_entry(p, "the format cannot be packed in this tile shape");
    if (t->size != m->size)
        return bad_entry(p, "the size is not that of the shape and format");
    t->data = p->data + at;
    p->at = at + t->size;
    uint8_t *parts = arena_alloc(p->w->arena, (size_t)m->tiles);
    return pack_mix_unmap(m, t->data, parts) ||
           bad_entry(p, "its column tiles do not each have one format, in order");
}

// The format or formats of a name.
static bool entry_format(parsing *p, const char *name, weights_tensor *t)
{
    quant_mix mix;
    if (!name || strlen(name) >= sizeof t->format.name || !quant_mix_parse(name, &mix))
        return bad_entry(p, "the format is unknown");
    t->format = mix.parts[0].format;
    if (!quant_is_mixed(&mix)) {
        t->type = t->format.planes ? NULL : dense_type(&t->format);
        return true;
    }
    pack_mix *m = ARENA_NEW(p->w->arena, pack_mix);
    m->mix = mix;
    t->mix = m;
    t->format = (quant_format){.kind = QUANT_DENSE, .scale = SCALAR_F32};
    memcpy(t->format.name, name, strlen(name));
    return true;
}

static bool entry_place(parsing *p, const json_t *entry, weights_tensor *t)
{
    json_t *offset = json_object_get(entry, "offset"), *size = json_object_get(entry, "size");
    if (!json_is_integer(offset) || !json_is_integer(size) || json_integer_value(offset) < 0 ||
        json_integer_value(size) < 0)
        return bad_entry(p, "offset and size are not whole numbers");
    uint64_t at = (uint64_t)json_integer_value(offset);
    t->size = (uint64_t)json_integer_value(size);
    if (at % PACK_ALIGN || at < p->at || at > p->end || t->size > p->end - at)
        return bad_entry(p, "the weight is misaligned, overlaps its neighbour or leaves the file");
    pack_geometry g;
    if (t->mix)
        return entry_mix(p, t, at);
    if (t->format.planes && !pack_geometry_of(&t->format, t->rows, t->columns, p->w->shape, &g))
        return bad_entry(p, "the format cannot be packed in this tile shape");
    if (t->size != pack_size(&t->format, t->rows, t->columns, p->w->shape))
        return bad_entry(p, "the size is not that of the shape and format");
    t->data = p->data + at;
    p->at = at + t->size;
    float book[QUANT_BOOK];
    bool learned = t->size && t->format.planes && g.book_bytes;
    return !learned || pack_unpack_book(t->data, book) ||
           bad_entry(p, "a number of its codebook is not finite");
}

static bool entry_hash(parsing *p, const json_t *entry, weights_tensor *t)
{
    const char *hash = json_string_value(json_object_get(entry, "hash"));
    if (!hash || strlen(hash) != 16 || strspn(hash, "0123456789abcdef") != 16)
        return bad_entry(p, "the hash is not 16 hexadecimal digits");
    return sscanf(hash, "%" SCNx64, &t->hash) == 1;
}

static bool parse_entry(parsing *p, const json_t *entry)
{
    weights_tensor t = {0};
    const char *name = json_string_value(json_object_get(entry, "name"));
    json_t *origin = json_object_get(entry, "source");
    const char *format = json_string_value(json_object_get(entry, "format"));
    if (!name || !*name)
        return bad_entry(p, "it has no name");
    if (!json_is_string(origin) && !json_is_null(origin))
        return bad_entry(p, "the source is neither a name nor null");
    if (!entry_format(p, format, &t))
        return false;
    t.name = arena_string(p->w->arena, name, strlen(name));
    t.origin = json_is_string(origin) ? arena_string(p->w->arena, json_string_value(origin),
                                                     json_string_length(origin))
                                      : t.name;
    if (!entry_shape(p, json_object_get(entry, "shape"), &t) || !entry_place(p, entry, &t) ||
        !entry_hash(p, entry, &t))
        return false;
    ARRAY_PUSH(p->w->arena, &p->w->tensors, t);
    return true;
}

static bool parse_directory(parsing *p, const pack_header *h)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)p->data + h->directory, (size_t)h->directory_size,
                              JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        diagnostic_error(p->d, p->w->where, "directory: %s (line %d)", error.text, error.line);
        return false;
    }
    bool good = json_is_array(root) || fail(p, "directory", "it is not a list of weights");
    for (p->index = 0; good && p->index < json_array_size(root); p->index++)
        good = parse_entry(p, json_array_get(root, p->index));
    json_decref(root);
    return good;
}

static bool parse_metadata(parsing *p, const pack_header *h)
{
    if (!h->metadata_size)
        return true;
    byte_reader r = {.data = p->data,
                     .size = (size_t)(h->metadata + h->metadata_size),
                     .at = (size_t)h->metadata,
                     .diagnostics = p->d,
                     .where = p->w->where,
                     .what = "metadata"};
    uint64_t count;
    return read_u64(&r, &count) && metadata_parse(&p->w->meta, p->w->arena, &r, count);
}

bool packed_parse(weights *w, diagnostics *d, const uint8_t *data, size_t size)
{
    parsing p = {.w = w, .d = d, .data = data, .at = PACK_HEADER};
    pack_header h;
    if (size < PACK_HEADER)
        return fail(&p, "header", "the file is shorter than its header of 4096 bytes");
    memcpy(&h, data, sizeof h);
    return check_header(&p, &h, size) && parse_metadata(&p, &h) && parse_directory(&p, &h) &&
           tensors_index(w, d);
}

bool weights_verify(const weights *w, diagnostics *d, const weights_tensor *t)
{
    if (w->kind != WEIGHTS_PACKED)
        return true;
    if (XXH3_64bits(t->data, (size_t)t->size) == t->hash)
        return true;
    diagnostic_error(d, w->where,
                     "weight '%s' is damaged: its bytes do not have the hash that the "
                     "directory gives",
                     t->name);
    return false;
}
