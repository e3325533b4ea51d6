// Quantizers: choose scale and offset of each group, round them to what the
// format stores, and only then choose the nearest codes.
//
// Formats with one scale and evenly spaced levels are here, the others in fit.c. The passes over a
// group are written so that the compiler can vectorize them; they are part of quantize_nearest,
// once for each usual size of a group.
#include "compiler/quant/clip.h"
#include "compiler/quant/levels.h"
#include "compiler/quant/quant.h"
#include "support/clones.h"

#include <math.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef clip_fit fit;

// ------------------------------------------------------------------- statistics

ALWAYS_INLINE float absolute_maximum(const float *w, int64_t count)
{
    int32_t most = 0; // magnitudes order as their bit patterns do
    for (int64_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, &w[i], sizeof bits);
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    float result;
    memcpy(&result, &most, sizeof result);
    return result;
}

// Sums of every fourth weight, or of their distances from `center`: a fixed order that vectorizes.
ALWAYS_INLINE double mean_of(const float *w, int64_t count, bool distances, double center)
{
    double sums[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int j = 0; j < 4; j++)
            sums[j] += distances ? fabs((double)w[i + j] - center) : (double)w[i + j];
    for (; i < count; i++)
        sums[i % 4] += distances ? fabs((double)w[i] - center) : (double)w[i];
    return (sums[0] + sums[1] + (sums[2] + sums[3])) / (double)count;
}

ALWAYS_INLINE double absolute_mean(const float *w, int64_t count, double center)
{
    return mean_of(w, count, true, center);
}

ALWAYS_INLINE double mean(const float *w, int64_t count)
{
    return mean_of(w, count, false, 0);
}

// Integers in the order of the floats with these bits, and back.
ALWAYS_INLINE int32_t ordered(int32_t bits)
{
    return bits ^ (bits >> 31 & INT32_MAX);
}

ALWAYS_INLINE void range(const float *w, int64_t count, float *least, float *most)
{
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (int64_t i = 0; i < count; i++) {
        int32_t x;
        memcpy(&x, &w[i], sizeof x);
        x = ordered(x);
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    low = ordered(low), high = ordered(high);
    memcpy(least, &low, sizeof low);
    memcpy(most, &high, sizeof high);
    if (*least == *most) // both signs of zero: the first one counts
        *least = *most = w[0];
}

// The magnitude shared by all weights that are not zero, or 0 if there is none.
ALWAYS_INLINE float common_magnitude(const float *w, int64_t count)
{
    float magnitude = absolute_maximum(w, count);
    for (int64_t i = 0; i < count; i++)
        if (w[i] != 0 && fabsf(w[i]) != magnitude)
            return 0;
    return magnitude;
}

// ------------------------------------------------------------------ first choice

ALWAYS_INLINE fit fit_ternary(const float *w, int64_t count)
{
    float exact = common_magnitude(w, count);
    return (fit){.scale = (exact != 0 ? (double)exact : absolute_mean(w, count, 0)) / 2};
}

ALWAYS_INLINE fit fit_uniform(const float *w, int64_t count, unsigned bits)
{
    if (bits == 1)
        return (fit){.scale = absolute_mean(w, count, 0)};
    return (fit){.scale = (double)absolute_maximum(w, count) / ((1 << bits) - 1)};
}

ALWAYS_INLINE fit fit_uniform_offset(const float *w, int64_t count, unsigned bits)
{
    if (bits == 1) {
        double center = mean(w, count);
        return (fit){.scale = absolute_mean(w, count, center), .offset = center};
    }
    float low, high;
    range(w, count, &low, &high);
    return (fit){.scale = ((double)high - (double)low) / 2 / ((1 << bits) - 1),
                 .offset = ((double)high + (double)low) / 2};
}

ALWAYS_INLINE fit first_fit(const quant_format *f, const float *w, int64_t count)
{
    if (f->kind == QUANT_TERNARY)
        return fit_ternary(w, count);
    return f->offset ? fit_uniform_offset(w, count, f->planes) : fit_uniform(w, count, f->planes);
}

ALWAYS_INLINE fit clipped_fit(const quant_format *f, const float *w, int64_t count)
{
    fit first = first_fit(f, w, count);
    clip_sums sums = clip_sum(f, w, count, first);
    return clip_best(&sums, f->offset, count, first);
}

// ------------------------------------------------------------------------ codes

// Nearest level. Code q covers [2q - 2^b, 2q + 2 - 2^b) * scale + offset.
ALWAYS_INLINE void encode_uniform(const float *restrict w, int64_t count, float scale, float offset,
                                  unsigned bits, uint8_t *restrict codes)
{
    const float inverse = scale != 0 ? 0.5f / scale : 0;
    const float middle = (float)(1 << bits) / 2, last = (float)(1 << bits) - 0.5f;
    for (int64_t i = 0; i < count; i++) {
        float x = (w[i] - offset) * inverse + middle;
        x = x > 0 ? x : 0;
        x = x < last ? x : last;
        codes[i] = (uint8_t)(int)x;
    }
}

// Halfway between 0 and the outer level, 2 * scale, rounds to 0.
ALWAYS_INLINE void encode_ternary(const float *restrict w, int64_t count, float scale,
                                  uint8_t *restrict codes)
{
    for (int64_t i = 0; i < count; i++)
        codes[i] = (uint8_t)(1 + 2 * (w[i] > scale) - (w[i] < -scale));
}

ALWAYS_INLINE void encode(const quant_format *f, const float *w, int64_t count, float scale,
                          float offset, uint8_t *codes)
{
    if (f->kind == QUANT_TERNARY)
        encode_ternary(w, count, scale, codes);
    else
        encode_uniform(w, count, scale, offset, f->planes, codes);
}

// ------------------------------------------------------------------- refinement

// The scale and offset of least squared error for codes already chosen.
static fit least_squares(const quant_format *f, const float *w, const uint8_t *codes, int64_t count,
                         const double *levels)
{
    double l = 0, ll = 0, x = 0, lx = 0;
    for (int64_t i = 0; i < count; i++) {
        double level = levels[codes[i]], value = (double)w[i];
        l += level, ll += level * level, x += value, lx += level * value;
    }
    if (!f->offset)
        return (fit){.scale = ll > 0 ? lx / ll : 0};
    double n = (double)count, determinant = n * ll - l * l;
    if (determinant <= 0)
        return (fit){.offset = x / n};
    double scale = (n * lx - l * x) / determinant;
    return (fit){.scale = scale, .offset = (x - scale * l) / n};
}

static double squared_error(const float *w, const uint8_t *codes, int64_t count, float scale,
                            float offset, const double *levels)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double error = (double)w[i] - ((double)scale * levels[codes[i]] + (double)offset);
        sum += error * error;
    }
    return sum;
}

// From several starting scales, alternates codes and least squares; keeps the best.
static fit refined_fit(const quant_format *f, const float *w, int64_t count, uint8_t *codes)
{
    enum { STARTS = 7, ROUNDS = 6 };
    double levels[QUANT_CODES];
    quant_levels(f, NULL, 0, levels);
    fit first = first_fit(f, w, count), best = first;
    double least = INFINITY;
    for (int start = 0; start < STARTS; start++) {
        fit now = {first.scale * (1 - 0.1 * start), first.offset};
        for (int round = 0; round < ROUNDS; round++) {
            float scale = quant_stored(f->scale, now.scale),
                  offset = quant_stored(f->scale, now.offset);
            encode(f, w, count, scale, offset, codes);
            double error = squared_error(w, codes, count, scale, offset, levels);
            if (error < least) {
                least = error;
                best = now;
            }
            now = least_squares(f, w, codes, count, levels);
        }
    }
    return best;
}

// ---------------------------------------------------------------------- the door

ALWAYS_INLINE void store_fit(fit chosen, quant_rows *row, int64_t group)
{
    row->scale[group] = quant_stored(row->format.scale, chosen.scale);
    if (row->offset)
        row->offset[group] = quant_stored(row->format.scale, chosen.offset);
}

ALWAYS_INLINE void encode_group(const float *w, int64_t count, quant_rows *row, int64_t group,
                                uint8_t *codes)
{
    encode(&row->format, w, count, row->scale[group], row->offset ? row->offset[group] : 0, codes);
}

// Step by step for some groups at a time: what a group waits for, the next one need not.
ALWAYS_INLINE void clip_groups(const float *w, int64_t size, int64_t groups, quant_rows *row)
{
    enum { SOME = 16 };
    const quant_format *f = &row->format;
    fit first[SOME];
    clip_sums sums[SOME];
    for (int64_t g = 0; g < groups; g += SOME) {
        int64_t count = groups - g < SOME ? groups - g : SOME;
        for (int64_t i = 0; i < count; i++)
            first[i] = first_fit(f, w + (g + i) * size, size);
        for (int64_t i = 0; i < count; i++)
            sums[i] = clip_sum(f, w + (g + i) * size, size, first[i]);
        for (int64_t i = 0; i < count; i++)
            store_fit(clip_best(&sums[i], f->offset, size, first[i]), row, g + i);
    }
}

// In two passes: a group's codes wait for its scale, but not the next group's scale.
ALWAYS_INLINE void quick_groups(bool clip, const float *w, int64_t size, int64_t groups,
                                quant_rows *row)
{
    if (clip)
        clip_groups(w, size, groups, row);
    for (int64_t g = 0; g < groups && !clip; g++)
        store_fit(first_fit(&row->format, w + g * size, size), row, g);
    for (int64_t g = 0; g < groups; g++)
        encode_group(w + g * size, size, row, g, row->codes + g * size);
}

// Passes over the usual sizes are unrolled.
static HOST_CLONES void quantize_nearest(const float *w, int64_t size, int64_t groups,
                                         quant_rows *row)
{
    switch (size) {
    case 32: quick_groups(false, w, 32, groups, row); break;
    case 64: quick_groups(false, w, 64, groups, row); break;
    case 128: quick_groups(false, w, 128, groups, row); break;
    default: quick_groups(false, w, size, groups, row); break;
    }
}

static HOST_CLONES void quantize_clipped(const float *w, int64_t size, int64_t groups,
                                         quant_rows *row)
{
    switch (size) {
    case 32: quick_groups(true, w, 32, groups, row); break;
    case 64: quick_groups(true, w, 64, groups, row); break;
    case 128: quick_groups(true, w, 128, groups, row); break;
    default: quick_groups(true, w, size, groups, row); break;
    }
}

static void quantize_refined(const float *w, int64_t size, int64_t groups, quant_rows *row)
{
    for (int64_t g = 0; g < groups; g++) {
        uint8_t *codes = row->codes + g * size;
        store_fit(refined_fit(&row->format, w + g * size, size, codes), row, g);
        encode_group(w + g * size, size, row, g, codes);
    }
}

static void quantize_free(const float *w, int64_t size, int64_t groups, quant_rows *row,
                          quant_method method)
{
    for (int64_t g = 0; g < groups; g++) {
        unsigned special = quant_fit(method, row, g, w + g * size, size);
        quant_encode(row, g, special, w + g * size, size, row->codes + g * size);
    }
}

static void quantize_groups(quant_method method, const float *w, int64_t size, int64_t groups,
                            quant_rows *row)
{
    bool even = row->format.kind == QUANT_UNIFORM || row->format.kind == QUANT_TERNARY;
    if (!even)
        quantize_free(w, size, groups, row, method);
    else if (method == QUANT_REFINED)
        quantize_refined(w, size, groups, row);
    else if (method == QUANT_CLIPPED)
        quantize_clipped(w, size, groups, row);
    else
        quantize_nearest(w, size, groups, row);
}

// A row's whole groups, then a shorter last one.
void quant_quantize_by(quant_method method, const float *weights, quant_rows *out)
{
    const int64_t size = out->format.group ? out->format.group : out->k;
    for (int64_t n = 0; n < out->n && out->k; n++, weights += out->k) {
        const int64_t groups = out->k / size, start = groups * size;
        quant_rows row = quant_rows_slice(out, n, 1), last = row;
        last.codes += start;
        last.scale += groups * out->format.terms;
        last.offset = row.offset ? row.offset + groups : NULL;
        quantize_groups(method, weights, size, groups, &row);
        if (start < out->k)
            quantize_groups(method, weights + start, out->k - start, 1, &last);
    }
}

void quant_quantize(const float *weights, quant_rows *out)
{
    quant_quantize_by(QUANT_NEAREST, weights, out);
}

// -------------------------------------------------------------- one group, step by step

unsigned quant_fit(quant_method method, quant_rows *row, int64_t group, const float *w,
                   int64_t count)
{
    const quant_format *f = &row->format;
    if (f->kind == QUANT_BYTES) {
        quant_fit_bytes(row, w, count);
        return 0;
    }
    if (f->kind != QUANT_UNIFORM && f->kind != QUANT_TERNARY)
        return quant_fit_free(method, row, group, w, count);
    if (method == QUANT_NEAREST)
        store_fit(first_fit(f, w, count), row, group);
    else if (method == QUANT_CLIPPED)
        store_fit(clipped_fit(f, w, count), row, group);
    else
        store_fit(refined_fit(f, w, count, row->codes + group * (f->group ? f->group : row->k)),
                  row, group);
    return 0;
}

void quant_encode(const quant_rows *row, int64_t group, unsigned special, const float *w,
                  int64_t count, uint8_t *codes)
{
    const quant_format *f = &row->format;
    if (f->kind == QUANT_BYTES)
        quant_encode_bytes(row, w, count, codes);
    else if (f->kind != QUANT_UNIFORM && f->kind != QUANT_TERNARY)
        quant_encode_free(row, group, special, w, count, codes);
    else
        encode(f, w, count, row->scale[group], row->offset ? row->offset[group] : 0, codes);
}
