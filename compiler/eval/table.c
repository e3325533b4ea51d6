// Tables: their entries as the machine rounds them (docs/xlut.md, lut.tbl), and
// the noise that this rounding is expected to bring.
#include "compiler/eval/internal.h"

#include <math.h>
#include <stdlib.h>

static float activation(const double *x, int64_t columns, int64_t at)
{
    return at < columns ? (float)x[at] : 0;
}

// The 8 sums of 4 activations in f32, in the order that lut.tbl defines.
static void exact_entries(const double *x, int64_t columns, int64_t lookup, float t[8])
{
    float a[4];
    for (int j = 0; j < 4; j++)
        a[j] = activation(x, columns, 4 * lookup + j);
    for (unsigned entry = 0; entry < 8; entry++) {
        float x0 = entry & 1 ? a[0] : -a[0], x1 = entry & 2 ? a[1] : -a[1];
        float x2 = entry & 4 ? a[2] : -a[2];
        t[entry] = (x0 + x1) + (x2 + a[3]);
    }
}

// The greatest |entry| of lookups first .. last - 1: the greatest sum of four |activations|, added
// as those of an entry are.
static float largest_entry(const double *x, int64_t columns, int64_t first, int64_t last)
{
    float largest = 0;
    for (int64_t lookup = first; lookup < last; lookup++) {
        float sums[2] = {0, 0};
        for (int j = 0; j < 4; j++)
            sums[j / 2] += fabsf(activation(x, columns, 4 * lookup + j));
        largest = fmaxf(largest, sums[0] + sums[1]);
    }
    return largest;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t eval_table_span(const ir_type *table, int64_t tile_depth)
{
    switch (table->scale) {
    case TABLE_SCALE_GROUP: return table->group;
    case TABLE_SCALE_SLICE: return tile_depth / 4;
    default: return 0;
    }
}

// The scale is that of a quarter of the depth, for which lut.tbl computes the inverse one too, or
// the greatest of many of them, which programs invert.
static void i8_span(const double *x, int64_t columns, int64_t first, int64_t last, bool quarter,
                    double *entries)
{
    float largest = largest_entry(x, columns, first, last), t[8];
    float scale = largest / 127, inverse = 0;
    if (scale != 0)
        inverse = quarter ? 127 / largest : 1 / scale;
    for (int64_t lookup = first; lookup < last; lookup++) {
        exact_entries(x, columns, lookup, t);
        for (int i = 0; i < 8; i++) {
            double rounded = rint((double)(t[i] * inverse));
            entries[8 * lookup + i] = fmax(-127, fmin(127, rounded)) * (double)scale;
        }
    }
}

void eval_table_entries(const ir_type *table, int64_t tile_depth, const double *x, int64_t columns,
                        double *entries)
{
    int64_t lookups = (columns + 3) / 4;
    if (table->scalar == SCALAR_I8) {
        int64_t span = eval_table_span(table, tile_depth) / 4;
        span = span ? span : lookups;
        for (int64_t first = 0; first < lookups; first += span)
            i8_span(x, columns, first, least(first + span, lookups),
                    table->scale == TABLE_SCALE_SLICE, entries);
        return;
    }
    for (int64_t lookup = 0; lookup < lookups; lookup++) {
        float t[8];
        exact_entries(x, columns, lookup, t);
        for (int i = 0; i < 8; i++)
            entries[8 * lookup + i] = scalar_round(table->scalar, (double)t[i]);
    }
}

// ------------------------------------------------------------------ codebooks

static float book_number(const float *book, const quant_codebook *codebook, int code)
{
    return book[code % (1 << codebook->bits)];
}

static void book_span(const ir_type *table, const quant_codebook *codebook, const float *book,
                      const double *x, int64_t columns, int64_t first, int64_t last,
                      double *entries)
{
    int64_t per_lookup = 4 / codebook->bits;
    float most = 0, number = 0;
    for (int i = 0; i < 1 << codebook->bits; i++)
        number = fmaxf(number, fabsf(book[i]));
    for (int64_t at = first; at < last; at++) {
        float sum = 0;
        for (int64_t j = 0; j < per_lookup; j++)
            sum += fabsf(activation(x, columns, at * per_lookup + j));
        most = fmaxf(most, sum);
    }
    most *= number;
    bool rounded = table->scalar == SCALAR_I8;
    float scale = rounded ? most / 127 : 1, inverse = !rounded ? 1 : most == 0 ? 0 : 127 / most;
    for (int64_t at = first; at < last; at++)
        for (int i = 0; i < QUANT_BOOK; i++) {
            float sum = 0;
            for (int64_t j = 0; j < per_lookup; j++)
                sum += activation(x, columns, at * per_lookup + j) *
                       book_number(book, codebook, i >> (int)j * (int)codebook->bits);
            entries[at * QUANT_BOOK + i] =
                scalar_round(table->scalar, (double)(sum * inverse)) * (double)scale;
        }
}

void eval_book_entries(const ir_type *table, int64_t tile_depth, const quant_codebook *codebook,
                       const float *book, const double *x, int64_t columns, double *entries)
{
    int64_t per_lookup = 4 / codebook->bits, lookups = (columns + per_lookup - 1) / per_lookup;
    int64_t span = eval_table_span(table, tile_depth) / per_lookup;
    span = span ? span : lookups;
    for (int64_t first = 0; first < lookups; first += span)
        book_span(table, codebook, book, x, columns, first, least(first + span, lookups), entries);
}

// ------------------------------------------------------------------ expected noise

static unsigned plane_bits(const quant_rows *w, int64_t n, int64_t lookup, unsigned plane)
{
    unsigned bits = 0;
    for (int64_t j = 0; j < 4 && 4 * lookup + j < w->k; j++)
        bits |= (w->codes[n * w->k + 4 * lookup + j] >> plane & 1u) << j;
    return bits;
}

// What the 8 entries of a lookup are multiplied by in y[n], squared and added: planes that pick
// the same entry share its error.
static double squared_weights(const quant_rows *w, int64_t n, int64_t lookup)
{
    int64_t group = w->format.group ? 4 * lookup / w->format.group : 0;
    int64_t at = n * quant_groups(&w->format, w->k) + group;
    double factor[8] = {0}, sum = 0;
    for (unsigned i = 0; i < w->format.terms; i++) {
        quant_term t = quant_term_of(&w->format, i);
        for (unsigned p = 0; p < t.planes; p++) {
            unsigned bits = plane_bits(w, n, lookup, t.first + p);
            double alpha = ldexp((double)w->scale[at * w->format.terms + i],
                                 t.form == QUANT_EQUAL ? 0 : (int)p);
            factor[(bits & 8 ? bits : ~bits) & 7] += bits & 8 ? alpha : -alpha;
        }
    }
    if (w->offset)
        factor[7] += (double)w->offset[at];
    for (int i = 0; i < 8; i++)
        sum += factor[i] * factor[i];
    return sum;
}

static void *zeroed(int64_t count)
{
    void *p = calloc((size_t)count + 1, sizeof(double));
    if (!p)
        INTERNAL_ERROR("out of memory");
    return p;
}

// Sum over the lookups of scale^2 / 12 times `weights`.
static double row_noise(const double *x, int64_t columns, int64_t span, const double *weights)
{
    int64_t lookups = (columns + 3) / 4;
    double noise = 0;
    for (int64_t first = 0; first < lookups; first += span) {
        int64_t last = least(first + span, lookups);
        double scale = (double)largest_entry(x, columns, first, last) / 127;
        for (int64_t lookup = first; lookup < last; lookup++)
            noise += scale * scale / 12 * weights[lookup];
    }
    return noise;
}

double eval_predict_table_noise(const array *x, const quant_rows *w, int64_t span)
{
    int64_t lookups = (w->k + 3) / 4, rows = w->k ? array_count(x) / w->k : 0;
    double *row = zeroed(w->k), *weights = zeroed(lookups), *values = zeroed(w->n * w->k);
    double noise = 0, power = 0;
    quant_dequantize(w, values);
    for (int64_t n = 0; n < w->n; n++)
        for (int64_t lookup = 0; lookup < lookups; lookup++)
            weights[lookup] += squared_weights(w, n, lookup);
    for (int64_t m = 0; m < rows; m++) {
        for (int64_t k = 0; k < w->k; k++)
            row[k] = array_get(x, m * w->k + k);
        noise += row_noise(row, w->k, span ? span / 4 : lookups, weights);
        for (int64_t n = 0; n < w->n; n++) {
            double y = 0;
            for (int64_t k = 0; k < w->k; k++)
                y += row[k] * values[n * w->k + k];
            power += y * y;
        }
    }
    free(row);
    free(weights);
    free(values);
    return noise == 0 ? 0 : noise / power;
}
