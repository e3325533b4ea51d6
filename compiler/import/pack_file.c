// Writing packed weight files: header, weights, the source's metadata, directory.
// All sizes are known before the first byte, so that the file is written forward.
#include "compiler/import/pack_plan.h"
#include "support/clones.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

typedef struct writer {
    FILE *stream;
    diagnostics *d;
    const weights *w;
    pack_shape shape;
    uint64_t at, done, all; // position; bytes of weights
    XXH3_state_t *hash;
    progress progress;
    double start;
    bool failed;
} writer;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool put(writer *o, const void *data, uint64_t size)
{
    if (!o->failed && size && fwrite(data, (size_t)size, 1, o->stream) != 1) {
        diagnostic_error(o->d, NOWHERE, "packed weights cannot be written: %s", strerror(errno));
        o->failed = true;
    }
    o->at += size;
    return !o->failed;
}

static bool put_zeros(writer *o, uint64_t until)
{
    static const uint8_t zeros[PACK_HEADER];
    while (o->at < until) {
        uint64_t left = until - o->at;
        if (!put(o, zeros, left < sizeof zeros ? left : sizeof zeros))
            return false;
    }
    return true;
}

static bool put_weight(writer *o, const void *data, uint64_t size)
{
    char detail[32];
    XXH3_64bits_update(o->hash, data, (size_t)size);
    o->done += size;
    double rate = (double)o->done / 1e9 / (seconds() - o->start + 1e-9);
    snprintf(detail, sizeof detail, "%.2f GB/s", rate);
    progress_update(&o->progress, o->all ? (double)o->done / (double)o->all : 1, detail);
    return put(o, data, size);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool put_book(writer *o, const quant_rows *rows)
{
    uint8_t bytes[QUANT_BOOK * sizeof(float)];
    pack_book(rows->book, bytes);
    return put_weight(o, bytes, sizeof bytes);
}

// Column tile by column tile, through one buffer; those beside each other are written together.
static bool put_planes(writer *o, arena *a, const ir_global *g, const quant_format *f,
                       const weights_tensor *t)
{
    const int64_t step = o->shape.tile_n;
    pack_geometry geometry;
    if (!pack_geometry_of(f, t->rows, t->columns, o->shape, &geometry))
        INTERNAL_ERROR("format %s was placed and cannot be packed", f->name);
    const uint64_t size = (uint64_t)geometry.column_tile_bytes;
    quant_rows rows = quant_rows_create(a, f, step, t->columns);
    uint8_t *packed = arena_alloc_array(a, (size_t)geometry.beside, (size_t)size);
    for (int64_t tile = 0; tile < geometry.column_tiles; tile++) {
        int64_t first = tile * step, count = least(step, t->rows - first);
        int64_t beside = pack_tiles_beside(&geometry, tile);
        quant_rows part = quant_rows_slice(&rows, 0, count);
        if (!weights_canonical(o->w, o->d, g, first, count, &part))
            return false;
        if (first == 0 && geometry.book_bytes && !put_book(o, &part))
            return false;
        pack_tile(&part, o->shape, &geometry, tile, packed);
        bool last = tile % geometry.beside == beside - 1;
        if (last && !put_weight(o, packed, (uint64_t)beside * size))
            return false;
        tensor_release(o->w, t, first, count);
    }
    return true;
}

// About a mebibyte of rows at a time.
static int64_t dense_step(const weights_tensor *t)
{
    int64_t rows = (1 << 17) / (t->columns ? t->columns : 1);
    return rows ? rows : 1;
}

// A dense tensor of the very format is written as it is, once its values are known to be finite.
static bool put_raw_rows(writer *o, arena *a, const weights_tensor *t, int64_t first, int64_t count)
{
    uint64_t row = (uint64_t)t->columns * t->type->bytes;
    float *values = ARENA_ARRAY(a, float, (size_t)(count * t->columns));
    return weights_read_rows(o->w, o->d, t, first, count, values) &&
           put_weight(o, t->data + (uint64_t)first * row, (uint64_t)count * row);
}

// False: a value is beyond f16's range.
static HOST_CLONES bool halves_from_floats(const float *restrict x, size_t count,
                                           uint16_t *restrict out)
{
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits, small;
        memcpy(&bits, &x[i], sizeof bits);
        uint32_t magnitude = bits & 0x7fffffff;
        // Normal: rounded to nearest even at bit 13, the exponent moved by 112.
        uint32_t half = ((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13) - (112 << 10);
        // Subnormal: 0.5 has the same last place, so that the addition rounds.
        float sum = fabsf(x[i]) + 0.5f;
        memcpy(&small, &sum, sizeof small);
        small -= 0x3f000000;
        half = magnitude < 0x38800000 ? small : half;
        most = half > most ? half : most;
        out[i] = (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)half;
    }
    return most < 0x7c00;
}

static bool put_halves(writer *o, arena *a, const weights_tensor *t, int64_t first, int64_t count,
                       bool *fit)
{
    size_t all = (size_t)(count * t->columns);
    float *values = ARENA_ARRAY(a, float, all);
    uint16_t *halves = ARENA_ARRAY(a, uint16_t, all);
    *fit = true;
    if (!weights_read_rows(o->w, o->d, t, first, count, values))
        return false;
    *fit = halves_from_floats(values, all, halves);
    return *fit && put_weight(o, halves, all * sizeof *halves);
}

static bool put_converted_rows(writer *o, arena *a, const ir_global *g, const quant_format *f,
                               const weights_tensor *t, int64_t first, int64_t count)
{
    bool fit = false;
    if (f->scale == SCALAR_F16) {
        bool good = put_halves(o, a, t, first, count, &fit);
        if (fit)
            return good;
    }
    size_t all = (size_t)(count * t->columns), size = scalar_size(f->scale);
    double *values = ARENA_ARRAY(a, double, all);
    uint8_t *bytes = arena_alloc_array(a, all, size);
    if (!weights_values(o->w, o->d, g, first, count, values)) // also what explains a bad value
        return false;
    for (size_t i = 0; i < all; i++)
        scalar_store(f->scale, bytes + i * size, values[i]);
    return put_weight(o, bytes, all * size);
}

static bool put_dense(writer *o, arena *a, const ir_global *g, const quant_format *f,
                      const weights_tensor *t)
{
    bool raw = t->type && weight_type_raw(t->type) && strcmp(t->type->dense, f->name) == 0;
    bool good = true;
    int64_t step = dense_step(t);
    for (int64_t first = 0; first < t->rows && t->columns && good; first += step) {
        int64_t count = least(step, t->rows - first);
        arena_mark mark = arena_save(a);
        good = raw ? put_raw_rows(o, a, t, first, count)
                   : put_converted_rows(o, a, g, f, t, first, count);
        arena_restore(a, mark);
        tensor_release(o->w, t, first, count);
    }
    return good;
}

// Bytes that are already what is wanted: the same format, and the same tiles if it has planes.
static bool reusable(const writer *o, const quant_format *f, const weights_tensor *t)
{
    bool same_tiles =
        o->shape.tile_m == o->w->shape.tile_m && o->shape.tile_n == o->w->shape.tile_n;
    if (o->w->kind == WEIGHTS_PACKED)
        return strcmp(f->name, t->format.name) == 0 && (same_tiles || !f->planes);
    return false;
}

static bool put_copy(writer *o, const weights_tensor *t)
{
    enum { CHUNK = 1 << 20 };
    for (uint64_t at = 0; at < t->size; at += CHUNK) {
        uint64_t left = t->size - at;
        uint64_t size = left < CHUNK ? left : CHUNK;
        if (!put_weight(o, t->data + at, size))
            return false;
        bytes_release(o->w, t->data + at, size);
    }
    return XXH3_64bits_digest(o->hash) == t->hash || weights_verify(o->w, o->d, t);
}

// The map, then part by part its column tiles.
static bool put_mix(writer *o, arena *a, const ir_global *g, const pack_mix *p,
                    const weights_tensor *t)
{
    const int64_t step = p->mix.rows;
    uint8_t *part_of_block = arena_alloc(a, (size_t)p->tiles);
    uint8_t *map = arena_alloc(a, (size_t)p->map_bytes);
    if (!weights_parts(o->w, o->d, g, part_of_block))
        return false;
    pack_mix_map(p, part_of_block, map);
    bool good = put_weight(o, map, (uint64_t)p->map_bytes);
    for (unsigned i = 0; i < p->mix.n_parts && good; i++) {
        const quant_format *f = &p->mix.parts[i].format;
        const uint64_t size = (uint64_t)p->parts[i].geometry.column_tile_bytes;
        quant_rows rows = quant_rows_create(a, f, step, t->columns);
        uint8_t *packed = arena_alloc(a, (size_t)size);
        for (int64_t b = 0; b < p->tiles && good; b++) {
            if (part_of_block[b] != i)
                continue;
            quant_rows tile = quant_rows_slice(&rows, 0, least(step, t->rows - b * step));
            good = weights_canonical(o->w, o->d, g, b * step, tile.n, &tile);
            pack_rows(&tile, o->shape, packed);
            good = good && put_weight(o, packed, size);
        }
    }
    return good;
}

// The same formats in the same tiles are copied.
static bool put_mixed_global(writer *o, const ir_global *g, const quant_mix *m)
{
    weights_tensor t;
    pack_mix p;
    if (!weights_resolve(o->w, o->d, g, &t) || !pack_mix_of(m, t.rows, t.columns, o->shape, &p))
        return false;
    if (t.mix && strcmp(t.format.name, g->value.type->format) == 0 &&
        o->shape.tile_m == o->w->shape.tile_m && o->shape.tile_n == o->w->shape.tile_n)
        return put_copy(o, &t);
    arena *a = arena_create();
    bool good = put_mix(o, a, g, &p, &t);
    arena_destroy(a);
    return good;
}

static bool put_global(writer *o, const ir_global *g)
{
    quant_format f;
    quant_mix mix;
    weights_tensor t;
    if (weights_global_mix(g, &mix) && quant_is_mixed(&mix))
        return put_mixed_global(o, g, &mix);
    weights_global_format(g, &f);
    if (!weights_resolve(o->w, o->d, g, &t))
        return false;
    if (reusable(o, &f, &t))
        return put_copy(o, &t);
    arena *a = arena_create();
    bool good = f.planes ? put_planes(o, a, g, &f, &t) : put_dense(o, a, g, &f, &t);
    arena_destroy(a);
    return good;
}

static bool put_weights(writer *o, const ir_module *m, uint64_t *hashes)
{
    bool good = true;
    size_t index = 0;
    FOR_WEIGHTS(g, m)
    {
        XXH3_64bits_reset(o->hash);
        good = put_zeros(o, g->address - PACK_BASE) && put_global(o, g);
        if (!good)
            break;
        if (o->at != g->address - PACK_BASE + g->size)
            INTERNAL_ERROR("weight '%s' has not the size it was placed with", g->name);
        hashes[index++] = XXH3_64bits_digest(o->hash);
    }
    progress_end(&o->progress);
    return good;
}

static bool put_rest(writer *o, const pack_plan *p, const ir_module *m, const uint64_t *hashes)
{
    uint64_t count = o->w->meta.values.count;
    if (count && !(put_zeros(o, p->header.metadata) && put(o, &count, sizeof count) &&
                   put(o, o->w->meta.data, o->w->meta.size)))
        return false;
    text directory = {0};
    pack_directory_print(&directory, m, hashes);
    bool good = put_zeros(o, p->header.directory) && put(o, directory.data, directory.length);
    text_free(&directory);
    return good;
}

// Every missing or misshaped tensor is reported before anything is written.
static bool resolve_all(diagnostics *d, const weights *w, const ir_module *m)
{
    bool good = true;
    FOR_WEIGHTS(g, m)
    {
        weights_tensor t;
        good &= weights_resolve(w, d, g, &t);
    }
    return good;
}

bool pack_file_write(FILE *out, diagnostics *d, const weights *w, const ir_module *m,
                     pack_shape shape)
{
    if (!resolve_all(d, w, m))
        return false;
    pack_plan p = pack_plan_file(w, m, shape);
    writer o = {.stream = out,
                .d = d,
                .w = w,
                .shape = shape,
                .all = p.weights,
                .progress = {.what = "packing"},
                .start = seconds(),
                .hash = XXH3_createState()};
    uint64_t *hashes = calloc(p.count + 1, sizeof *hashes);
    if (!hashes || !o.hash)
        INTERNAL_ERROR("out of memory");
    bool good = put(&o, &p.header, sizeof p.header) && put_zeros(&o, PACK_HEADER) &&
                put_weights(&o, m, hashes) && put_rest(&o, &p, m, hashes);
    free(hashes);
    XXH3_freeState(o.hash);
    return good;
}
