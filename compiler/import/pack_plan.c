// Places of weights in packed files, and the directory that names them.
#include "compiler/import/pack_plan.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static uint64_t align_to(uint64_t x, uint64_t alignment)
{
    return (x + alignment - 1) / alignment * alignment;
}

static void matrix_of(const ir_global *g, int64_t *n, int64_t *k)
{
    const ir_type *t = g->value.type;
    *n = 1;
    *k = t->rank ? t->dims[t->rank - 1].value : 1;
    for (unsigned i = 0; i + 1 < t->rank; i++)
        if (__builtin_mul_overflow(*n, t->dims[i].value, n))
            *n = INT64_MAX; // no size fits: refused where sizes are computed
}

// ------------------------------------------------------------------------- places

static bool report_unpackable(diagnostics *d, const ir_global *g, const quant_format *f,
                              pack_shape shape)
{
    if (f->planes && f->group && f->group * 4 < 32 * (int64_t)shape.tile_m)
        diagnostic_error(
            d, g->where,
            "weight '%s': format %s cannot be packed for tiles of m%u n%u, whose depth "
            "of %u weights needs groups of at least %u",
            g->name, f->name, shape.tile_m, shape.tile_n, 32 * shape.tile_m, 8 * shape.tile_m);
    else
        diagnostic_error(
            d, g->where, "weight '%s': format %s cannot be packed: %s", g->name, f->name,
            shape.tile_n ? "it is too large" : "it is too large, or the machine has no LUT tiles");
    return false;
}

static int64_t mixed_blocks(const quant_mix *m)
{
    int64_t count = 0;
    for (unsigned i = 1; i < m->n_parts; i++)
        count += m->parts[i].blocks;
    return count;
}

// Of a weight in several formats.
static bool mixed_size(diagnostics *d, const ir_global *g, const quant_mix *m, pack_shape shape,
                       uint64_t *size)
{
    int64_t n, k;
    pack_mix p;
    matrix_of(g, &n, &k);
    bool packs =
        g->value.type->rank == 2 && pack_mix_of(m, n, k, shape, &p) && p.size < UINT64_C(1) << 47;
    *size = packs ? p.size : 0;
    if (packs)
        return true;
    diagnostic_error(
        d, g->where, "weight '%s': format %s cannot be packed: %s", g->name, g->value.type->format,
        !shape.tile_n             ? "machines without LUT tiles have no mixed rows"
        : m->rows != shape.tile_n ? "its blocks must have as many rows as a tile has columns"
        : n < 1 || quant_mix_blocks(m, n) < mixed_blocks(m)
            ? "the matrix has fewer blocks"
            : "it is too large, no matrix, or its groups are too small");
    return false;
}

static bool size_of(diagnostics *d, const ir_global *g, pack_shape shape, uint64_t *size)
{
    quant_mix mix;
    if (weights_global_mix(g, &mix) && quant_is_mixed(&mix))
        return mixed_size(d, g, &mix, shape, size);
    quant_format f;
    int64_t n, k;
    pack_geometry geometry;
    if (!weights_global_format(g, &f)) {
        diagnostic_error(d, g->where, "weight '%s' has no format that can be packed", g->name);
        return false;
    }
    if (f.planes && g->value.type->rank != 2) {
        diagnostic_error(d, g->where,
                         "weight '%s': format %s is for matrices, this has %u dimensions", g->name,
                         f.name, g->value.type->rank);
        return false;
    }
    matrix_of(g, &n, &k);
    *size = pack_size(&f, n, k, shape);
    bool possible = f.planes ? pack_geometry_of(&f, n, k, shape, &geometry) : *size || !n || !k;
    return (possible && *size < UINT64_C(1) << 47) || report_unpackable(d, g, &f, shape);
}

bool pack_file_place(ir_module *m, diagnostics *d, pack_shape shape)
{
    uint64_t at = PACK_HEADER;
    bool good = true;
    FOR_WEIGHTS(g, m)
    {
        uint64_t size;
        if (!size_of(d, g, shape, &size)) {
            good = false;
            continue;
        }
        g->packed = true;
        g->address = PACK_BASE + at;
        g->size = size;
        at = align_to(at + size, PACK_ALIGN);
        if (at >= UINT64_C(1) << 47) {
            diagnostic_error(d, g->where, "the weights are larger than 2^47 bytes");
            return false;
        }
    }
    return good;
}

bool pack_file_check(const ir_module *m, diagnostics *d, pack_shape shape)
{
    uint64_t at = PACK_HEADER;
    bool good = true;
    FOR_WEIGHTS(g, m)
    {
        uint64_t size;
        if (!size_of(d, g, shape, &size))
            return false;
        if (!g->packed || g->address != PACK_BASE + at || g->size != size) {
            diagnostic_error(
                d, g->where,
                "weight '%s' is not in its place: at 0x%llx, size %llu; run pack-weights", g->name,
                (unsigned long long)(PACK_BASE + at), (unsigned long long)size);
            good = false;
        }
        at = align_to(at + size, PACK_ALIGN);
    }
    return good;
}

// ---------------------------------------------------------------------- directory

// Hashes have a fixed width: the directory's size does not depend on them.
static void directory_entry(text *out, const ir_global *g, uint64_t hash)
{
    const ir_type *t = g->value.type;
    const char *format = t->kind == IR_WEIGHT ? t->format : scalar_rows[t->scalar].name;
    char digits[17];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash);
    json_t *shape = json_array();
    for (unsigned i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer(t->dims[i].value));
    json_t *entry =
        json_pack("{s:s, s:s?, s:s, s:o, s:I, s:I, s:s}", "name", g->name, "source", g->source,
                  "format", format, "shape", shape, "offset", (json_int_t)(g->address - PACK_BASE),
                  "size", (json_int_t)g->size, "hash", digits);
    char *line = entry ? json_dumps(entry, JSON_COMPACT) : NULL;
    if (!line)
        INTERNAL_ERROR("the directory entry of '%s' cannot be written", g->name);
    text_append(out, line);
    free(line);
    json_decref(entry);
}

uint64_t pack_file_layout(const ir_module *m, pack_shape shape)
{
    text all = {0};
    if (pack_version(shape) != PACK_TILES_VERSION)
        text_printf(&all, "version %u\n", pack_version(shape));
    FOR_WEIGHTS(g, m)
    {
        ir_type_print(&all, g->value.type);
        text_printf(&all, " %s %llu %llu\n", g->name, (unsigned long long)g->address,
                    (unsigned long long)g->size);
    }
    uint64_t hash = XXH3_64bits(text_string(&all), all.length);
    text_free(&all);
    return hash;
}

void pack_directory_print(text *out, const ir_module *m, const uint64_t *hashes)
{
    size_t index = 0;
    FOR_WEIGHTS(g, m)
    {
        text_append(out, index ? ",\n" : "[\n");
        directory_entry(out, g, hashes ? hashes[index] : 0);
        index++;
    }
    text_append(out, index ? "\n]\n" : "[]\n");
}

pack_plan pack_plan_file(const weights *w, const ir_module *m, pack_shape shape)
{
    pack_plan p = {.header = {.version = pack_version(shape),
                              .tile_m = shape.tile_m,
                              .tile_n = shape.tile_n,
                              .layout = pack_file_layout(m, shape)}};
    memcpy(p.header.magic, PACK_MAGIC, sizeof p.header.magic);
    uint64_t end = PACK_HEADER;
    FOR_WEIGHTS(g, m)
    {
        if (!g->packed || g->address < PACK_BASE + end || g->address % PACK_ALIGN)
            INTERNAL_ERROR("weight '%s' has no place in the packed file", g->name);
        end = g->address - PACK_BASE + g->size;
        p.weights += g->size;
        p.count++;
    }
    end = align_to(end, PACK_ALIGN);
    if (w->meta.values.count) {
        p.header.metadata = end;
        p.header.metadata_size = sizeof(uint64_t) + w->meta.size;
        end = align_to(end + p.header.metadata_size, PACK_ALIGN);
    }
    text directory = {0};
    pack_directory_print(&directory, m, NULL);
    p.header.directory = end;
    p.header.directory_size = directory.length;
    p.total = end + directory.length;
    text_free(&directory);
    return p;
}

uint64_t pack_file_size(const weights *w, const ir_module *m, pack_shape shape)
{
    return pack_plan_file(w, m, shape).total;
}
