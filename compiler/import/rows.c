// Rows of a tensor: as floats, in canonical form, and as a program's weights.
#include "compiler/import/source.h"
#include "support/clones.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

// ------------------------------------------------------------------ random values

static uint64_t next_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// Nearly normal, with variance 1: the sum of eight uniform bytes. Integers, so that it is the
// same on every machine.
static float next_normal(uint64_t *state)
{
    static const float deviation = 209.0215f; // sqrt(8 * (256^2 - 1) / 12)
    const uint64_t bytes = 0x00ff00ff00ff00ffu;
    uint64_t bits = next_bits(state);
    uint64_t pairs = (bits & bytes) + (bits >> 8 & bytes);
    int sum = (int)(pairs * 0x0001000100010001u >> 48);
    return (float)(sum - 8 * 255 / 2) / deviation;
}

// Every row has a stream of its own. Matrices: variance 1 / K; vectors: around 1.
static void random_rows(const weights *w, const weights_tensor *t, int64_t first, int64_t count,
                        float *out)
{
    uint64_t hash = XXH3_64bits_withSeed(t->name, strlen(t->name), w->seed);
    bool vector = t->rank < 2;
    float scale = vector ? 0.1f : (float)(1 / sqrt((double)t->columns));
    for (int64_t n = 0; n < count; n++) {
        uint64_t state = hash + (uint64_t)(first + n) * 0xd1342543de82ef95u;
        for (int64_t k = 0; k < t->columns; k++)
            *out++ = next_normal(&state) * scale + (vector ? 1.0f : 0.0f);
    }
}

// ----------------------------------------------------------------- canonical form

bool tensor_canonical_format(const weights_tensor *t, quant_format *out)
{
    if (t->type)
        return t->type->canonical && quant_format_parse(t->type->canonical, out);
    *out = t->format;
    return t->data && t->format.planes;
}

// The learned numbers that stand in front of a packed tensor, which were checked when it was
// opened.
static void tensor_book(const weights_tensor *t, float *book)
{
    pack_unpack_book(t->data, book);
}

// The packed column tiles that hold the rows are unpacked whole.
static quant_rows unpack_rows(const weights *w, arena *a, const weights_tensor *t, int64_t first,
                              int64_t count)
{
    pack_geometry g;
    if (!pack_geometry_of(&t->format, t->rows, t->columns, w->shape, &g))
        INTERNAL_ERROR("'%s' cannot have been packed", t->name);
    const int64_t step = w->shape.tile_n, start = first / step * step, end = first + count;
    const int64_t whole = (end + step - 1) / step * step, until = whole < t->rows ? whole : t->rows;
    quant_rows rows = quant_rows_create(a, &t->format, until - start, t->columns);
    for (int64_t n = start; n < until; n += step) {
        int64_t tile = n / step, stream = tile - tile % g.beside;
        quant_rows part = quant_rows_slice(&rows, n - start, until - n < step ? until - n : step);
        pack_unpack_tile(t->data + g.book_bytes + stream * g.column_tile_bytes, w->shape, &g, tile,
                         &part);
    }
    if (g.book_bytes)
        tensor_book(t, rows.book);
    return quant_rows_slice(&rows, first - start, count);
}

static bool row_from_blocks(const weights_tensor *t, int64_t row, const quant_rows *out)
{
    const weight_type *type = t->type;
    int64_t blocks = t->columns / type->block;
    return type->to_canonical(type, &out->format, t->data + row * blocks * type->bytes, blocks,
                              out->codes, out->scale, out->offset);
}

static bool finite_values(const quant_rows *row)
{
    int64_t groups = quant_groups(&row->format, row->k);
    for (int64_t i = 0; i < groups * row->format.terms; i++)
        if (!isfinite(row->scale[i]))
            return false;
    for (int64_t g = 0; row->offset && g < groups; g++)
        if (!isfinite(row->offset[g]))
            return false;
    return true;
}

quant_rows tensor_canonical(const weights *w, arena *a, const weights_tensor *t, int64_t first,
                            int64_t count, bool *exact)
{
    quant_format format;
    if (!tensor_canonical_format(t, &format))
        INTERNAL_ERROR("'%s' has no canonical form", t->name);
    quant_rows rows = t->type ? quant_rows_create(a, &format, count, t->columns)
                              : unpack_rows(w, a, t, first, count);
    for (int64_t n = 0; n < count; n++) {
        quant_rows row = quant_rows_slice(&rows, n, 1);
        exact[n] = (!t->type || row_from_blocks(t, first + n, &row)) && finite_values(&row);
    }
    return rows;
}

static bool convertible(const weights *w, const weights_tensor *t, const char *name)
{
    enum { ROWS = 64 };
    quant_format format;
    quant_format_parse(name, &format);
    bool good = true, exact[ROWS];
    for (int64_t first = 0; first < t->rows && t->columns && good; first += ROWS) {
        arena *a = arena_create();
        int64_t count = t->rows - first < ROWS ? t->rows - first : ROWS;
        quant_rows rows = tensor_canonical(w, a, t, first, count, exact);
        quant_rows converted = quant_rows_create(a, &format, count, t->columns);
        for (int64_t n = 0; n < count; n++)
            good &= exact[n];
        good = good && quant_convert(&rows, &converted);
        arena_destroy(a);
        tensor_release(w, t, first, count);
    }
    return good;
}

// Every weight is -d, 0 or d.
static bool one_magnitude(const float *row, int64_t k)
{
    float d = 0;
    for (int64_t i = 0; i < k; i++) {
        float magnitude = fabsf(row[i]);
        if (!isfinite(magnitude) || (magnitude != 0 && d != 0 && magnitude != d))
            return false;
        d = magnitude != 0 ? magnitude : d;
    }
    return true;
}

// Models trained for ternary weights are often stored as floats. Others are told from them by the
// first row; of those that are, the quantizer makes exactly these values.
static bool ternary_floats(const weights *w, const weights_tensor *t)
{
    arena *a = arena_create();
    float *row = ARENA_ARRAY(a, float, (size_t)t->columns);
    bool good = t->rows && t->columns;
    for (int64_t n = 0; n < t->rows && good; n++) {
        tensor_rows(w, t, n, 1, row);
        good = one_magnitude(row, t->columns);
        tensor_release(w, t, n, 1);
    }
    arena_destroy(a);
    return good;
}

const char *weights_keep_format(const weights *w, const weights_tensor *t)
{
    if (t->type && weight_type_raw(t->type))
        return ternary_floats(w, t) ? "ternary" : NULL;
    if (!t->type)
        return t->data && (t->format.planes || t->mix) ? t->format.name : NULL;
    for (size_t i = 0; i < sizeof t->type->keep / sizeof t->type->keep[0] && t->type->keep[i]; i++)
        if (convertible(w, t, t->type->keep[i]))
            return t->type->keep[i];
    return NULL;
}

const char *weights_dense_format(const weights_tensor *t)
{
    return t->type ? t->type->dense : "f32";
}

// ------------------------------------------------------------------------- floats

static void rounded_values(arena *a, const quant_rows *rows, float *out)
{
    int64_t all = rows->n * rows->k;
    double *values = ARENA_ARRAY(a, double, (size_t)all);
    quant_dequantize(rows, values);
    for (int64_t i = 0; i < all; i++)
        out[i] = (float)values[i];
}

static void packed_rows(const weights *w, const weights_tensor *t, int64_t first, int64_t count,
                        float *out)
{
    arena *a = arena_create();
    quant_rows rows = unpack_rows(w, a, t, first, count);
    rounded_values(a, &rows, out);
    arena_destroy(a);
}

void tensor_rows(const weights *w, const weights_tensor *t, int64_t first, int64_t count,
                 float *out)
{
    if (count == 0 || t->columns == 0)
        return;
    if (w->kind == WEIGHTS_RANDOM) {
        random_rows(w, t, first, count, out);
    } else if (t->type) {
        int64_t row_bytes = t->columns / t->type->block * t->type->bytes;
        t->type->dequantize(t->type, t->data + first * row_bytes, count * t->columns, out);
    } else if (t->mix) {
        mixed_floats(w, t, first, count, out);
    } else {
        packed_rows(w, t, first, count, out);
    }
}

// -1: all are finite. Exponents are compared as integers, which the compiler vectorizes.
static HOST_CLONES int64_t first_not_finite(const float *x, int64_t count)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    if (most < 0x7f800000u)
        return -1;
    int64_t i = 0;
    while (isfinite(x[i]))
        i++;
    return i;
}

bool weights_read_rows(const weights *w, diagnostics *d, const weights_tensor *t, int64_t first,
                       int64_t count, float *out)
{
    if (w->kind == WEIGHTS_NONE) {
        diagnostic_error(d, NOWHERE, "the values of '%s' are needed, but weights are 'none'",
                         t->name);
        return false;
    }
    tensor_rows(w, t, first, count, out);
    int64_t bad = t->columns ? first_not_finite(out, count * t->columns) : -1;
    if (bad < 0)
        return true;
    diagnostic_error(d, w->where,
                     "tensor '%s': row %lld, column %lld is not a finite 32-bit number (%g)",
                     t->name, (long long)(first + bad / t->columns), (long long)(bad % t->columns),
                     (double)out[bad]);
    return false;
}

// ------------------------------------------------------------ a program's weights

// The codebook of a tensor is learned once for each format, from all of its rows.
static bool learn_book(const weights *w, diagnostics *d, const weights_tensor *t,
                       const quant_format *f, float *book)
{
    enum { ROWS = 16 };
    arena *a = arena_create();
    quant_learner *l = quant_learner_create(a, f, t->columns);
    float *values = ARENA_ARRAY(a, float, (size_t)(ROWS * t->columns));
    bool good = true;
    for (int64_t n = 0; n < t->rows && t->columns && good; n += ROWS) {
        int64_t count = t->rows - n < ROWS ? t->rows - n : ROWS;
        good = weights_read_rows(w, d, t, n, count, values);
        if (good)
            quant_learner_add(l, values, count);
        tensor_release(w, t, n, count);
    }
    if (good)
        quant_learner_finish(l, book);
    arena_destroy(a);
    return good;
}

static bool find_book(const weights *w, diagnostics *d, const weights_tensor *t, quant_rows *out)
{
    learned_book *known = w->books->first;
    while (known && !(strcmp(known->tensor, t->name) == 0 &&
                      known->format == out->format.codebook && known->group == out->format.group))
        known = known->next;
    if (!known) {
        known = ARENA_NEW(w->arena, learned_book);
        *known = (learned_book){.tensor = arena_string(w->arena, t->name, strlen(t->name)),
                                .format = out->format.codebook,
                                .group = out->format.group,
                                .next = w->books->first};
        if (!learn_book(w, d, t, &out->format, known->numbers))
            return false;
        w->books->first = known;
    }
    memcpy(out->book, known->numbers, sizeof known->numbers);
    return true;
}

// A few rows at a time: their floats stay in the cache between reading and quantizing.
static bool quantize_rows(const weights *w, diagnostics *d, arena *a, const weights_tensor *t,
                          int64_t first, quant_rows *out)
{
    enum { VALUES = 1 << 13 };
    int64_t step = out->k < VALUES && out->k ? VALUES / out->k : 1;
    float *values = ARENA_ARRAY(a, float, (size_t)(step * out->k));
    for (int64_t n = 0; n < out->n; n += step) {
        quant_rows rows = quant_rows_slice(out, n, step < out->n - n ? step : out->n - n);
        if (!weights_read_rows(w, d, t, first + n, rows.n, values))
            return false;
        quant_quantize_by(w->method, values, &rows);
    }
    return true;
}

// A packed row that has been unpacked with its tile: reading it would unpack them all again.
static void quantize_again(const weights *w, arena *a, const quant_rows *from, quant_rows *to)
{
    float *values = ARENA_ARRAY(a, float, (size_t)from->k);
    rounded_values(a, from, values);
    quant_quantize_by(w->method, values, to);
}

static bool convert_or_quantize(const weights *w, diagnostics *d, arena *a, const weights_tensor *t,
                                int64_t first, quant_rows *out, bool *exact)
{
    quant_rows rows = tensor_canonical(w, a, t, first, out->n, exact);
    for (int64_t n = 0; n < out->n; n++) {
        quant_rows from = quant_rows_slice(&rows, n, 1), to = quant_rows_slice(out, n, 1);
        if (exact[n] && quant_convert(&from, &to))
            continue;
        arena_mark mark = arena_save(a);
        if (exact[n] && !t->type)
            quantize_again(w, a, &from, &to);
        else if (!quantize_rows(w, d, a, t, first + n, &to))
            return false;
        arena_restore(a, mark);
    }
    return true;
}

// Row by row, so that a row stays in the cache; but packed rows are unpacked a tile at a time.
static bool rows_from_codes(const weights *w, diagnostics *d, arena *a, const weights_tensor *t,
                            int64_t first, quant_rows *out)
{
    int64_t step = t->type || !out->n ? 1 : out->n;
    bool good = true, *exact = ARENA_ARRAY(a, bool, (size_t)step);
    for (int64_t n = 0; n < out->n && good; n += step) {
        quant_rows rows = quant_rows_slice(out, n, step);
        arena_mark mark = arena_save(a);
        good = convert_or_quantize(w, d, a, t, first + n, &rows, exact);
        arena_restore(a, mark);
    }
    return good;
}

void weights_place_rows(weights *w, const weights_tensor *t, int64_t first, const quant_rows *rows)
{
    placed_rows *p = ARENA_NEW(w->arena, placed_rows);
    *p = (placed_rows){arena_string(w->arena, t->name, strlen(t->name)), first, *rows, w->placed};
    w->placed = p;
}

static bool copy_placed(const weights *w, const weights_tensor *t, int64_t first, quant_rows *out)
{
    const placed_rows *p = w->placed;
    while (p &&
           (strcmp(p->tensor, t->name) != 0 || strcmp(p->rows.format.name, out->format.name) != 0 ||
            first < p->first || first + out->n > p->first + p->rows.n))
        p = p->next;
    if (!p)
        return false;
    quant_rows rows = quant_rows_slice(&p->rows, first - p->first, out->n);
    quant_rows_copy(&rows, out);
    return true;
}

bool weights_canonical(const weights *w, diagnostics *d, const ir_global *g, int64_t first,
                       int64_t count, quant_rows *out)
{
    weights_tensor t;
    quant_format native;
    if (!weights_resolve(w, d, g, &t))
        return false;
    if (out->n != count || out->k != t.columns)
        INTERNAL_ERROR("rows of '%s' do not fit what they are read into", g->name);
    if (copy_placed(w, &t, first, out))
        return true;
    if (t.mix) {
        mixed_canonical(w, &t, first, out);
        return true;
    }
    bool learned = out->format.codebook && out->format.codebook->learned;
    bool same = tensor_canonical_format(&t, &native) && native.codebook == out->format.codebook;
    if (learned && same)
        tensor_book(&t, out->book);
    if (learned && !same && !find_book(w, d, &t, out))
        return false;
    arena *a = arena_create();
    bool good = tensor_canonical_format(&t, &native) ? rows_from_codes(w, d, a, &t, first, out)
                                                     : quantize_rows(w, d, a, &t, first, out);
    arena_destroy(a);
    return good;
}

static bool canonical_values(const weights *w, diagnostics *d, const ir_global *g,
                             const quant_format *f, const weights_tensor *t, int64_t first,
                             int64_t count, double *out)
{
    arena *a = arena_create();
    quant_rows rows = quant_rows_create(a, f, count, t->columns);
    bool good = weights_canonical(w, d, g, first, count, &rows);
    if (good)
        quant_dequantize(&rows, out);
    arena_destroy(a);
    return good;
}

static bool dense_values(const weights *w, diagnostics *d, const ir_global *g,
                         const quant_format *f, const weights_tensor *t, int64_t first,
                         int64_t count, double *out)
{
    arena *a = arena_create();
    int64_t all = count * t->columns;
    float *values = ARENA_ARRAY(a, float, (size_t)all);
    bool good = weights_read_rows(w, d, t, first, count, values);
    for (int64_t i = 0; i < all && good; i++) {
        out[i] = scalar_round(f->scale, (double)values[i]);
        good = isfinite(out[i]);
        if (!good)
            diagnostic_error(d, g->where,
                             "weight '%s': %g in tensor '%s' is beyond the range of %s", g->name,
                             (double)values[i], t->name, f->name);
    }
    arena_destroy(a);
    return good;
}

// Block by block, whose rows have one format.
static bool mixed_values(const weights *w, diagnostics *d, const ir_global *g, const quant_mix *m,
                         const weights_tensor *t, int64_t first, int64_t count, double *out)
{
    arena *a = arena_create();
    uint8_t *part_of_block = arena_alloc(a, (size_t)quant_mix_blocks(m, t->rows));
    bool good = weights_parts(w, d, g, part_of_block);
    for (int64_t n = first; n < first + count && good;) {
        int64_t end = (n / m->rows + 1) * m->rows, step = end < first + count ? end : first + count;
        good = canonical_values(w, d, g, &m->parts[part_of_block[n / m->rows]].format, t, n,
                                step - n, out + (n - first) * t->columns);
        n = step;
    }
    arena_destroy(a);
    return good;
}

bool weights_values(const weights *w, diagnostics *d, const ir_global *g, int64_t first,
                    int64_t count, double *out)
{
    quant_format format;
    quant_mix mix;
    weights_tensor t;
    if (weights_global_mix(g, &mix) && quant_is_mixed(&mix))
        return weights_resolve(w, d, g, &t) && mixed_values(w, d, g, &mix, &t, first, count, out);
    if (!weights_global_format(g, &format))
        INTERNAL_ERROR("the format of '%s' is not decided", g->name);
    if (!weights_resolve(w, d, g, &t))
        return false;
    return format.planes ? canonical_values(w, d, g, &format, &t, first, count, out)
                         : dense_values(w, d, g, &format, &t, first, count, out);
}
