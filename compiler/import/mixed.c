// Weights of several formats: which blocks of rows have which, and reading them from packed files.
#include "compiler/import/source.h"

#include <string.h>

struct known_parts {
    const char *tensor, *format;
    uint8_t *part_of_block;
    known_parts *next;
};

bool weights_global_mix(const ir_global *g, quant_mix *out)
{
    const ir_type *t = g->value.type;
    return t->kind == IR_WEIGHT && quant_mix_parse(t->format, out);
}

static const known_parts *find_known(const weights *w, const weights_tensor *t, const char *format)
{
    const known_parts *p = w->books->parts;
    while (p && (strcmp(p->tensor, t->name) != 0 || strcmp(p->format, format) != 0))
        p = p->next;
    return p;
}

static void keep_parts(const weights *w, const weights_tensor *t, const char *format,
                       const uint8_t *part_of_block, int64_t blocks)
{
    known_parts *p = ARENA_NEW(w->arena, known_parts);
    *p = (known_parts){.tensor = arena_string(w->arena, t->name, strlen(t->name)),
                       .format = arena_string(w->arena, format, strlen(format)),
                       .part_of_block = arena_alloc(w->arena, (size_t)blocks),
                       .next = w->books->parts};
    memcpy(p->part_of_block, part_of_block, (size_t)blocks);
    w->books->parts = p;
}

void weights_place_parts(weights *w, const weights_tensor *t, const ir_global *g,
                         const uint8_t *part_of_block)
{
    quant_mix m;
    if (!weights_global_mix(g, &m))
        INTERNAL_ERROR("'%s' has no formats", g->name);
    keep_parts(w, t, g->value.type->format, part_of_block, quant_mix_blocks(&m, t->rows));
}

// The squared error of rows in a format.
static double error_of(arena *a, const weights *w, const quant_format *f, const float *values,
                       int64_t n, int64_t k)
{
    arena_mark mark = arena_save(a);
    quant_rows rows = quant_rows_create(a, f, n, k);
    double *got = arena_alloc_array(a, (size_t)n, (size_t)k * sizeof *got), sum = 0;
    quant_quantize_by(w->method, values, &rows);
    quant_dequantize(&rows, got);
    for (int64_t i = 0; i < n * k; i++)
        sum += (got[i] - (double)values[i]) * (got[i] - (double)values[i]);
    arena_restore(a, mark);
    return sum;
}

static bool choose_parts(const weights *w, diagnostics *d, const weights_tensor *t,
                         const quant_mix *m, uint8_t *part_of_block)
{
    arena *a = arena_create();
    int64_t blocks = quant_mix_blocks(m, t->rows);
    double *errors = arena_alloc_array(a, (size_t)blocks, m->n_parts * sizeof *errors);
    float *values = arena_alloc_array(a, (size_t)m->rows, (size_t)t->columns * sizeof *values);
    bool good = true;
    for (int64_t b = 0; b < blocks && good; b++) {
        int64_t first = b * m->rows, count = quant_mix_block_rows(m, t->rows, b);
        good = weights_read_rows(w, d, t, first, count, values);
        for (unsigned i = 0; i < m->n_parts && good; i++)
            errors[i * blocks + b] = error_of(a, w, &m->parts[i].format, values, count, t->columns);
        tensor_release(w, t, first, count);
    }
    if (good)
        quant_mix_choose(m, blocks, errors, part_of_block);
    arena_destroy(a);
    return good;
}

bool weights_parts(const weights *w, diagnostics *d, const ir_global *g, uint8_t *part_of_block)
{
    const char *format = g->value.type->format;
    quant_mix m;
    weights_tensor t;
    if (!weights_global_mix(g, &m))
        INTERNAL_ERROR("'%s' has no formats", g->name);
    if (!weights_resolve(w, d, g, &t))
        return false;
    int64_t blocks = quant_mix_blocks(&m, t.rows);
    const known_parts *known = find_known(w, &t, format);
    if (known) {
        memcpy(part_of_block, known->part_of_block, (size_t)blocks);
        return true;
    }
    if (!quant_is_mixed(&m))
        memset(part_of_block, 0, (size_t)blocks);
    else if (t.mix && strcmp(t.format.name, format) == 0)
        pack_mix_unmap(t.mix, t.data, part_of_block); // checked when it was opened
    else if (!choose_parts(w, d, &t, &m, part_of_block))
        return false;
    keep_parts(w, &t, format, part_of_block, blocks);
    return true;
}

// ------------------------------------------------------------------ of packed files

// The stream of a column tile, and its format.
static const uint8_t *tile_stream(const weights_tensor *t, int64_t tile, const quant_format **f)
{
    for (unsigned i = 0; i < t->mix->mix.n_parts; i++)
        for (int64_t j = 0; j < t->mix->parts[i].tiles; j++) {
            int32_t there;
            memcpy(&there, t->data + 4 * (t->mix->parts[i].first + j), sizeof there);
            if (there != tile)
                continue;
            *f = &t->mix->mix.parts[i].format;
            return t->data + t->mix->parts[i].at + j * t->mix->parts[i].geometry.column_tile_bytes;
        }
    INTERNAL_ERROR("'%s' has no column tile %lld", t->name, (long long)tile);
}

// The codes of a column tile.
static quant_rows mixed_tile(const weights *w, arena *a, const weights_tensor *t, int64_t tile)
{
    const quant_format *f;
    const uint8_t *stream = tile_stream(t, tile, &f);
    quant_rows rows =
        quant_rows_create(a, f, quant_mix_block_rows(&t->mix->mix, t->rows, tile), t->columns);
    pack_unpack_rows(stream, w->shape, &rows);
    return rows;
}

static void round_rows(arena *a, const quant_rows *rows, float *out)
{
    double *values = arena_alloc_array(a, (size_t)rows->n, (size_t)rows->k * sizeof *values);
    quant_dequantize(rows, values);
    for (int64_t i = 0; i < rows->n * rows->k; i++)
        out[i] = (float)values[i];
}

// Calls `use` for the rows of each column tile that lie in first .. first + count.
typedef void rows_function(arena *a, const weights *w, const quant_rows *rows, int64_t at,
                           void *context);
static void for_tiles(const weights *w, const weights_tensor *t, int64_t first, int64_t count,
                      rows_function *use, void *context)
{
    const int64_t size = t->mix->mix.rows;
    for (int64_t n = first; n < first + count;) {
        arena *a = arena_create();
        int64_t tile = n / size, inside = n % size, left = first + count - n;
        quant_rows rows = mixed_tile(w, a, t, tile);
        rows = quant_rows_slice(&rows, inside, rows.n - inside < left ? rows.n - inside : left);
        use(a, w, &rows, n - first, context);
        n += rows.n;
        arena_destroy(a);
    }
}

static void use_floats(arena *a, const weights *w, const quant_rows *rows, int64_t at, void *out)
{
    (void)w;
    round_rows(a, rows, (float *)out + at * rows->k);
}

void mixed_floats(const weights *w, const weights_tensor *t, int64_t first, int64_t count,
                  float *out)
{
    for_tiles(w, t, first, count, use_floats, out);
}

// As they are, or quantized again.
static void use_rows(arena *a, const weights *w, const quant_rows *rows, int64_t at, void *out)
{
    quant_rows to = quant_rows_slice(out, at, rows->n);
    for (int64_t n = 0; n < rows->n; n++) {
        quant_rows from = quant_rows_slice(rows, n, 1), row = quant_rows_slice(&to, n, 1);
        if (quant_convert(&from, &row))
            continue;
        float *values = ARENA_ARRAY(a, float, (size_t)rows->k);
        round_rows(a, &from, values);
        quant_quantize_by(w->method, values, &row);
    }
}

void mixed_canonical(const weights *w, const weights_tensor *t, int64_t first, quant_rows *out)
{
    for_tiles(w, t, first, out->n, use_rows, out);
}
