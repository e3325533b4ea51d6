// Private to quant: the scale of a group whose largest weights may be clipped.
//
// A few scales below the one that reaches all weights are tried. The codes of each are worth what
// least squares makes of them: a scale s = sum(l w) / sum(l l) leaves the squared error
// sum(w w) - sum(l w)^2 / sum(l l). Part of the functions that are compiled for wider host
// vectors, as the passes in quantize.c.
#pragma once

#include "compiler/quant/levels.h"

#define CLIP_INLINE static inline __attribute__((always_inline))

enum { CLIP_LANES = 8, CLIP_TRIES = 4 };
typedef float clip_floats __attribute__((vector_size(CLIP_LANES * sizeof(float))));
typedef int32_t clip_integers __attribute__((vector_size(CLIP_LANES * sizeof(int32_t))));

typedef struct clip_fit {
    double scale, offset;
} clip_fit;

// What the first scale is multiplied by, by bits: of normal weights in groups of 32 to 128, about
// where the error is least. 0: the end.
static const float clip_factors[][CLIP_TRIES] = {
    [2] = {1, 0.8f, 0.65f, 0.5f},
    [3] = {1, 0.85f, 0.7f},
    [4] = {1, 0.9f, 0.8f},
    [5] = {1, 0.93f},
    [6] = {1, 0.96f},
    [7] = {1},
    [8] = {1},
};
static const float clip_ternary[CLIP_TRIES] = {1, 1.35f, 1.7f, 2.1f};

// Sums over levels l and weights w. Those of levels are exact.
typedef struct clip_sums {
    float l, ll, lw;
} clip_sums;

CLIP_INLINE float clip_total(const clip_floats *x)
{
    float t[CLIP_LANES];
    memcpy(t, x, sizeof t);
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

// A try: weights become levels 2 q - top.
typedef struct clip_try {
    bool ternary;
    float scale, inverse, start; // x = w * inverse + start
    float top;
} clip_try;

CLIP_INLINE void clip_levels(const clip_try *t, const clip_floats *weights, clip_floats *levels)
{
    const clip_floats w = *weights, zero = {0};
    if (t->ternary) {
        clip_floats one = zero + 1;
        clip_integers up = w > zero + t->scale, down = w < zero - t->scale;
        *levels = (clip_floats)((up & (clip_integers)one) | (down & (clip_integers)-one)) * 2;
        return;
    }
    clip_floats x = w * t->inverse + t->start, last = zero + (t->top + 0.5f);
    x = (clip_floats)((x > zero) & (clip_integers)x);
    clip_integers inside = x < last;
    x = (clip_floats)((inside & (clip_integers)x) | (~inside & (clip_integers)last));
    clip_floats q = __builtin_convertvector(__builtin_convertvector(x, clip_integers), clip_floats);
    *levels = q + q - t->top;
}

CLIP_INLINE clip_sums clip_sum(const clip_try *t, const float *w, int64_t count)
{
    clip_floats l = {0}, ll = {0}, lw = {0};
    for (int64_t i = 0; i < count; i += CLIP_LANES) {
        clip_floats x = {0}, kept = {0};
        if (i + CLIP_LANES <= count) {
            memcpy(&x, w + i, sizeof x);
            clip_levels(t, &x, &kept);
        } else {
            for (int64_t j = i; j < count; j++)
                x[j - i] = w[j];
            clip_floats levels;
            clip_levels(t, &x, &levels);
            for (int64_t j = i; j < count; j++)
                kept[j - i] = levels[j - i];
        }
        l += kept;
        ll += kept * kept;
        lw += kept * x;
    }
    return (clip_sums){clip_total(&l), clip_total(&ll), clip_total(&lw)};
}

CLIP_INLINE float clip_mean(const float *w, int64_t count)
{
    clip_floats sums = {0};
    float rest = 0;
    int64_t i = 0;
    for (; i + CLIP_LANES <= count; i += CLIP_LANES) {
        clip_floats x;
        memcpy(&x, w + i, sizeof x);
        sums += x;
    }
    for (; i < count; i++)
        rest += w[i];
    return (clip_total(&sums) + rest) / (float)count;
}

// What a try explains of the sum of squares is above / below.
typedef struct clip_gain {
    double above, below, scale_above;
} clip_gain;

CLIP_INLINE clip_gain clip_gain_of(const clip_sums *s, bool offset, double mean, int64_t count)
{
    double lw = (double)s->lw, ll = (double)s->ll, l = (double)s->l;
    if (offset) {
        lw -= l * mean;
        ll -= l * l / (double)count;
    }
    bool useful = ll > 0 && lw > 0;
    return useful ? (clip_gain){lw * lw, ll, lw} : (clip_gain){0, 1, 0};
}

// From the fit that reaches all weights. Weights that are exactly its levels keep it: sums are
// rounded, it is not. Binary weights have the best scale already.
CLIP_INLINE clip_fit clip_search(const quant_format *f, const float *w, int64_t count,
                                 clip_fit first)
{
    const bool ternary = f->kind == QUANT_TERNARY;
    const float *factors = ternary ? clip_ternary : clip_factors[f->planes];
    const double mean = f->offset ? (double)clip_mean(w, count) : 0;
    const float half = (float)(1 << f->planes) / 2;
    clip_gain best = {0, 1, 0};
    clip_sums sums = {0};
    if ((!ternary && f->planes == 1) || first.scale == 0)
        return first;
    for (int i = 0; i < CLIP_TRIES && factors[i] != 0; i++) {
        float scale = (float)first.scale * factors[i], inverse = 0.5f / scale;
        clip_try t = {ternary, scale, inverse, half - (float)first.offset * inverse, 2 * half - 1};
        clip_sums s = clip_sum(&t, w, count);
        clip_gain gain = clip_gain_of(&s, f->offset, mean, count);
        if (gain.above * best.below > best.above * gain.below) {
            best = gain;
            sums = s;
        }
    }
    clip_fit found = {best.scale_above / best.below, 0};
    if (f->offset)
        found.offset = mean - found.scale * (double)sums.l / (double)count;
    double close = 1e-6 * (fabs(first.scale) + fabs(first.offset));
    bool same =
        fabs(found.scale - first.scale) <= close && fabs(found.offset - first.offset) <= close;
    return same || !(best.above > 0) ? first : found;
}
