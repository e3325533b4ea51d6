// The canonical form itself: what codes, scales and offsets stand for, and exact
// conversion from one format to another.
#include "compiler/quant/quant.h"
#include "compiler/quant/levels.h"
#include "support/clones.h"

#include <string.h>

quant_rows quant_rows_create(arena *a, const quant_format *f, int64_t n, int64_t k)
{
    quant_rows q = {.format = *f, .n = n, .k = k};
    size_t rows = (size_t)n, groups = (size_t)quant_groups(f, k);
    q.codes = arena_alloc_array(a, rows, (size_t)k);
    float *values = arena_alloc_array(a, rows, groups * sizeof(float) * (f->terms + f->offset));
    q.scale = values;
    q.offset = f->offset ? values + rows * groups * f->terms : NULL;
    if (f->codebook) {
        q.book = ARENA_ARRAY(a, float, QUANT_BOOK);
        memcpy(q.book, f->codebook->levels, sizeof f->codebook->levels);
    }
    return q;
}

quant_rows quant_rows_slice(const quant_rows *q, int64_t first, int64_t count)
{
    int64_t groups = quant_groups(&q->format, q->k);
    quant_rows slice = *q;
    slice.n = count;
    slice.codes += first * q->k;
    slice.scale += first * groups * q->format.terms;
    slice.offset = q->offset ? q->offset + first * groups : NULL;
    return slice;
}

void quant_rows_copy(const quant_rows *from, quant_rows *to)
{
    size_t groups = (size_t)(from->n * quant_groups(&from->format, from->k));
    memcpy(to->codes, from->codes, (size_t)(from->n * from->k));
    memcpy(to->scale, from->scale, groups * from->format.terms * sizeof *to->scale);
    if (from->offset)
        memcpy(to->offset, from->offset, groups * sizeof *to->offset);
    if (from->book)
        memcpy(to->book, from->book, QUANT_BOOK * sizeof *to->book);
}

static double sign_sum(const quant_term *t, unsigned code)
{
    int sum = 0;
    for (unsigned p = 0; p < t->planes; p++) {
        int weight = t->form == QUANT_EQUAL ? 1 : 1 << p;
        sum += code >> (t->first + p) & 1 ? weight : -weight;
    }
    return sum;
}

void quant_levels(const quant_format *f, const float *book, unsigned term,
                  double levels[QUANT_CODES])
{
    quant_term t = quant_term_of(f, term);
    if (f->kind == QUANT_BYTES) {
        quant_levels_of_bytes(f, levels);
        return;
    }
    unsigned mask = (1u << t.planes) - 1;
    for (unsigned code = 0; code < quant_code_count(f); code++)
        levels[code] = t.form == QUANT_BOOKED ? (double)book[code & mask] : sign_sum(&t, code);
}

// What each code stands for in group `group`, counted over all rows.
static void group_values(const quant_rows *q, double levels[][QUANT_CODES], int64_t group,
                         double values[QUANT_CODES])
{
    const float *scale = q->scale + group * q->format.terms;
    double offset = q->offset ? (double)q->offset[group] : 0;
    for (unsigned code = 0; code < quant_code_count(&q->format); code++) {
        double sum = (double)scale[0] * levels[0][code];
        for (unsigned t = 1; t < q->format.terms; t++)
            sum += (double)scale[t] * levels[t][code];
        values[code] = sum + offset;
    }
}

static void all_levels(const quant_rows *q, double levels[][QUANT_CODES])
{
    for (unsigned t = 0; t < q->format.terms; t++)
        quant_levels(&q->format, q->book, t, levels[t]);
}

static int64_t group_size(const quant_rows *q)
{
    return q->format.group ? q->format.group : q->k;
}

double quant_value(const quant_rows *q, int64_t n, int64_t k)
{
    double levels[QUANT_TERMS][QUANT_CODES], values[QUANT_CODES];
    all_levels(q, levels);
    group_values(q, levels, n * quant_groups(&q->format, q->k) + k / group_size(q), values);
    return values[q->codes[n * q->k + k]];
}

// With one scale the products are as quick as looking them up.
static void dequantize_group(const quant_rows *q, double levels[][QUANT_CODES], int64_t group,
                             const uint8_t *codes, int64_t count, double *out)
{
    double values[QUANT_CODES], scale = (double)q->scale[group * q->format.terms];
    double offset = q->offset ? (double)q->offset[group] : 0;
    if (q->format.terms > 1)
        group_values(q, levels, group, values);
    for (int64_t i = 0; i < count; i++)
        out[i] = q->format.terms > 1 ? values[codes[i]] : scale * levels[0][codes[i]] + offset;
}

void quant_dequantize(const quant_rows *q, double *out)
{
    double levels[QUANT_TERMS][QUANT_CODES];
    all_levels(q, levels);
    int64_t size = group_size(q), groups = quant_groups(&q->format, q->k);
    for (int64_t n = 0; n < q->n; n++)
        for (int64_t g = 0; g < groups; g++) {
            int64_t at = n * q->k + g * size, left = q->k - g * size;
            dequantize_group(q, levels, n * groups + g, q->codes + at, left < size ? left : size,
                             out + at);
        }
}

// ------------------------------------------------------------------ conversion

static HOST_CLONES bool representable(scalar_type t, const float *values, int64_t count)
{
    int64_t good = 0;
    for (int64_t i = 0; i < count; i++)
        good += quant_round(t, (double)values[i]) == (double)values[i];
    return good == count;
}

// `width` numbers for each group of `to_size` out of k weights, from groups of `from_size`; false:
// those that it covers do not agree.
static bool merge_groups(const float *from, int64_t from_size, float *to, int64_t to_size,
                         int64_t k, int64_t width)
{
    for (int64_t start = 0; start < k; start += to_size, to += width) {
        int64_t end = start + to_size < k ? start + to_size : k, first = start / from_size;
        memcpy(to, from + first * width, (size_t)width * sizeof *to);
        for (int64_t at = first + 1; at <= (end - 1) / from_size; at++)
            for (int64_t i = 0; i < width; i++)
                if (from[at * width + i] != to[i])
                    return false;
    }
    return true;
}

// Scales, or offsets, of one row; `width` of them for a group.
static bool convert_values(const quant_rows *from, const float *in, const quant_rows *to,
                           float *out, int64_t width)
{
    int64_t from_size = group_size(from), to_size = group_size(to);
    int64_t count = quant_groups(&to->format, to->k) * width;
    if (from_size == to_size)
        memcpy(out, in, (size_t)count * sizeof *out);
    else if (!merge_groups(in, from_size, out, to_size, to->k, width))
        return false;
    return representable(to->format.scale, out, count);
}

static bool all_zeros(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (values[i] != 0)
            return false;
    return true;
}

static bool convert_offsets(const quant_rows *from, const quant_rows *to)
{
    if (from->offset && to->offset)
        return convert_values(from, from->offset, to, to->offset, 1);
    if (to->offset)
        memset(to->offset, 0, (size_t)quant_groups(&to->format, to->k) * sizeof *to->offset);
    return !from->offset || all_zeros(from->offset, quant_groups(&from->format, from->k));
}

static bool convert_row(const quant_rows *from, const quant_rows *to)
{
    memcpy(to->codes, from->codes, (size_t)to->k);
    return convert_values(from, from->scale, to, to->scale, to->format.terms) &&
           convert_offsets(from, to);
}

bool quant_convert(const quant_rows *from, quant_rows *to)
{
    if (from->format.kind != to->format.kind || from->format.planes != to->format.planes ||
        from->format.codebook != to->format.codebook || from->format.element != to->format.element)
        return false;
    if (from->book && memcmp(from->book, to->book, QUANT_BOOK * sizeof *from->book) != 0)
        return false;
    for (int64_t n = 0; n < from->n && from->k; n++) {
        quant_rows row = quant_rows_slice(from, n, 1), converted = quant_rows_slice(to, n, 1);
        if (!convert_row(&row, &converted))
            return false;
    }
    return true;
}
