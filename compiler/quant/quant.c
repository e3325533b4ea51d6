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
    float *values = arena_alloc_array(a, rows, groups * sizeof(float) * (f->offset ? 2 : 1));
    q.scale = values;
    q.offset = f->offset ? values + rows * groups : NULL;
    return q;
}

quant_rows quant_rows_slice(const quant_rows *q, int64_t first, int64_t count)
{
    int64_t groups = quant_groups(&q->format, q->k);
    quant_rows slice = *q;
    slice.n = count;
    slice.codes += first * q->k;
    slice.scale += first * groups;
    slice.offset = q->offset ? q->offset + first * groups : NULL;
    return slice;
}

void quant_levels(const quant_format *f, int8_t levels[QUANT_CODES])
{
    unsigned count = 1u << f->planes;
    for (unsigned code = 0; code < count; code++) {
        int sum = 0;
        for (unsigned p = 0; p < f->planes; p++) {
            int weight = f->kind == QUANT_UNIFORM ? 1 << p : 1;
            sum += code >> p & 1 ? weight : -weight;
        }
        levels[code] = (int8_t)sum;
    }
}

static double value_of(const quant_rows *q, int level, int64_t group)
{
    return (double)q->scale[group] * level + (q->offset ? (double)q->offset[group] : 0);
}

static int64_t group_size(const quant_rows *q)
{
    return q->format.group ? q->format.group : q->k;
}

double quant_value(const quant_rows *q, int64_t n, int64_t k)
{
    int8_t levels[QUANT_CODES];
    quant_levels(&q->format, levels);
    int64_t group = n * quant_groups(&q->format, q->k) + k / group_size(q);
    return value_of(q, levels[q->codes[n * q->k + k]], group);
}

static void dequantize_group(const quant_rows *q, const int8_t *levels, int64_t group,
                             const uint8_t *codes, int64_t count, double *out)
{
    double values[QUANT_CODES];
    for (unsigned code = 0; code < 1u << q->format.planes; code++)
        values[code] = value_of(q, levels[code], group);
    for (int64_t i = 0; i < count; i++)
        out[i] = values[codes[i]];
}

void quant_dequantize(const quant_rows *q, double *out)
{
    int8_t levels[QUANT_CODES];
    quant_levels(&q->format, levels);
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

// One value for each group of `to_size` out of k weights, from groups of `from_size`; false: those
// that it covers do not agree.
static bool merge_groups(const float *from, int64_t from_size, float *to, int64_t to_size,
                         int64_t k)
{
    for (int64_t start = 0; start < k; start += to_size) {
        int64_t end = start + to_size < k ? start + to_size : k;
        float value = from[start / from_size];
        for (int64_t at = start / from_size + 1; at <= (end - 1) / from_size; at++)
            if (from[at] != value)
                return false;
        *to++ = value;
    }
    return true;
}

// Scales, or offsets, of one row.
static bool convert_values(const quant_rows *from, const float *in, const quant_rows *to,
                           float *out)
{
    int64_t from_size = group_size(from), to_size = group_size(to);
    int64_t groups = quant_groups(&to->format, to->k);
    if (from_size == to_size)
        memcpy(out, in, (size_t)groups * sizeof *out);
    else if (!merge_groups(in, from_size, out, to_size, to->k))
        return false;
    return representable(to->format.scale, out, groups);
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
        return convert_values(from, from->offset, to, to->offset);
    if (to->offset)
        memset(to->offset, 0, (size_t)quant_groups(&to->format, to->k) * sizeof *to->offset);
    return !from->offset || all_zeros(from->offset, quant_groups(&from->format, from->k));
}

static bool convert_row(const quant_rows *from, const quant_rows *to)
{
    memcpy(to->codes, from->codes, (size_t)to->k);
    return convert_values(from, from->scale, to, to->scale) && convert_offsets(from, to);
}

bool quant_convert(const quant_rows *from, quant_rows *to)
{
    if (from->format.kind != to->format.kind || from->format.planes != to->format.planes)
        return false;
    for (int64_t n = 0; n < from->n && from->k; n++) {
        quant_rows row = quant_rows_slice(from, n, 1), converted = quant_rows_slice(to, n, 1);
        if (!convert_row(&row, &converted))
            return false;
    }
    return true;
}
