// Private to quant: the scale of a group whose largest weights may be clipped.
//
// A few scales below the one that reaches all weights are tried, all of them in one pass over the
// group. The codes of each are worth what least squares makes of them: a scale s = sum(l w) / sum(l
// l), l being the levels, leaves the squared error sum(w w) - sum(l w)^2 / sum(l l). Part of the
// functions that are compiled for wider host vectors, as the passes in quantize.c.
#pragma once

#include "compiler/quant/levels.h"

#define CLIP_INLINE static inline __attribute__((always_inline))

enum { CLIP_LANES = 8, CLIP_TRIES = 4, CLIP_FEW = 3 };
typedef float clip_floats __attribute__((vector_size(CLIP_LANES * sizeof(float))));
typedef int32_t clip_integers __attribute__((vector_size(CLIP_LANES * sizeof(int32_t))));

typedef struct clip_fit {
    double scale, offset;
} clip_fit;

// What the first scale is multiplied by: of normal weights in groups of 32 to 128, about where the
// error is least.
static const float clip_ternary[CLIP_TRIES] = {1, 1.35f, 1.7f, 2.1f};
static const float clip_two_bits[CLIP_TRIES] = {1, 0.8f, 0.65f, 0.5f};
static const float clip_by_bits[][CLIP_FEW] = {
    // what its inverse is multiplied by
    [2] = {1, 1.33f, 1.8f},  [3] = {1, 1.18f, 1.4f},  [4] = {1, 1.11f, 1.25f},
    [5] = {1, 1.05f, 1.1f},  [6] = {1, 1.03f, 1.06f}, [7] = {1, 1.02f, 1.04f},
    [8] = {1, 1.01f, 1.02f},
};

// Of each try: sums over levels l and weights' distances w from the offset.
typedef struct clip_sums {
    float lw[CLIP_TRIES], ll[CLIP_TRIES], l[CLIP_TRIES];
} clip_sums;

// The totals of eight vectors.
CLIP_INLINE void clip_totals(const clip_floats v[8], float out[8])
{
    clip_floats pairs[4], fours[2];
    for (int i = 0; i < 4; i++)
        pairs[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
                   __builtin_shufflevector(v[2 * i], v[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    for (int i = 0; i < 2; i++)
        fours[i] =
            __builtin_shufflevector(pairs[2 * i], pairs[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
            __builtin_shufflevector(pairs[2 * i], pairs[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    clip_floats all = __builtin_shufflevector(fours[0], fours[1], 0, 1, 2, 3, 8, 9, 10, 11) +
                      __builtin_shufflevector(fours[0], fours[1], 4, 5, 6, 7, 12, 13, 14, 15);
    memcpy(out, &all, sizeof all);
}

// Weights from i on, zeros behind the last one.
CLIP_INLINE void clip_load(const float *w, int64_t i, int64_t count, clip_floats *out)
{
    if (i + CLIP_LANES <= count) {
        memcpy(out, w + i, sizeof *out);
    } else {
        *out = (clip_floats){0};
        memcpy(out, w + i, (size_t)(count - i) * sizeof *w);
    }
}

CLIP_INLINE void clip_magnitudes(clip_floats *x)
{
    *x = (clip_floats)((clip_integers)*x & INT32_MAX);
}

// Levels that a single threshold parts: of ternary weights 0 and 2, beyond the scale; of two bits 1
// and 3, beyond twice the scale.
CLIP_INLINE clip_sums clip_sum_parts(bool ternary, const float *w, int64_t count, double first)
{
    const clip_floats zero = {0};
    clip_floats all = zero, over[CLIP_TRIES] = {{0}}, sums[8];
    clip_integers beyond[CLIP_TRIES] = {{0}};
    float threshold[CLIP_TRIES], totals[8], rest[8];
    for (int t = 0; t < CLIP_TRIES; t++)
        threshold[t] = (float)first * (ternary ? clip_ternary[t] : 2 * clip_two_bits[t]);
    for (int64_t i = 0; i < count; i += CLIP_LANES) {
        clip_floats x;
        clip_load(w, i, count, &x);
        clip_magnitudes(&x);
        all += x;
        for (int t = 0; t < CLIP_TRIES; t++) {
            clip_integers is = x > zero + threshold[t];
            over[t] += (clip_floats)(is & (clip_integers)x);
            beyond[t] -= is;
        }
    }
    for (int t = 0; t < CLIP_TRIES; t++) {
        sums[t] = over[t];
        sums[CLIP_TRIES + t] = __builtin_convertvector(beyond[t], clip_floats);
    }
    clip_totals(sums, totals);
    memcpy(rest, &all, sizeof rest);
    float every =
        ((rest[0] + rest[4]) + (rest[2] + rest[6]) + (rest[1] + rest[5]) + (rest[3] + rest[7]));
    clip_sums s = {0};
    for (int t = 0; t < CLIP_TRIES; t++) {
        float n = totals[CLIP_TRIES + t];
        s.lw[t] = 2 * totals[t] + (ternary ? 0 : every);
        s.ll[t] = ternary ? 4 * n : (float)count + 8 * n;
    }
    return s;
}

// Levels 2 h, h being halves of odd numbers. Zeros behind the last weight have h = 1/2.
CLIP_INLINE clip_sums clip_sum_levels(unsigned bits, bool offset, const float *w, int64_t count,
                                      clip_fit first)
{
    const clip_floats zero = {0};
    const float half = (float)(1 << bits) / 2, last = (offset ? 2 : 1) * half - 0.5f;
    clip_floats hw[CLIP_FEW] = {{0}}, hh[CLIP_FEW] = {{0}}, h[CLIP_FEW] = {{0}}, all = zero;
    const float reach = 0.5f / (float)first.scale;
    float inverse[CLIP_FEW], totals[8], more[8] = {0};
    for (int t = 0; t < CLIP_FEW; t++)
        inverse[t] = reach * clip_by_bits[bits][t];
    for (int64_t i = 0; i < count; i += CLIP_LANES) {
        clip_floats x;
        clip_load(w, i, count, &x);
        if (offset && i + CLIP_LANES <= count)
            x -= (float)first.offset;
        else if (offset)
            for (int64_t j = i; j < count; j++)
                x[j - i] -= (float)first.offset;
        else
            clip_magnitudes(&x);
        all += x;
        for (int t = 0; t < CLIP_FEW; t++) {
            clip_floats at = x * inverse[t];
            if (offset) {
                at += half;
                at = (clip_floats)((at > zero) & (clip_integers)at);
            }
            clip_integers inside = at < zero + last;
            at = (clip_floats)((inside & (clip_integers)at) |
                               (~inside & (clip_integers)(zero + last)));
            clip_floats level =
                __builtin_convertvector(__builtin_convertvector(at, clip_integers), clip_floats);
            level += offset ? 0.5f - half : 0.5f;
            hw[t] += level * x;
            hh[t] += level * level;
            h[t] += level;
        }
    }
    clip_totals((clip_floats[]){hw[0], hw[1], hw[2], zero, hh[0], hh[1], hh[2], zero}, totals);
    if (offset)
        clip_totals((clip_floats[]){h[0], h[1], h[2], all, zero, zero, zero, zero}, more);
    const float padding = (float)(-count & (CLIP_LANES - 1));
    clip_sums s = {0};
    for (int t = 0; t < CLIP_FEW; t++) {
        s.lw[t] = 2 * totals[t];
        s.ll[t] = 4 * totals[4 + t] - padding;
        s.l[t] = offset ? 2 * more[t] - padding : 0;
    }
    s.l[CLIP_FEW] = more[3]; // the distances' sum; no level is tried there
    return s;
}

// The greatest of four numbers, without branches: which one it is cannot be predicted.
CLIP_INLINE int clip_greatest(const float x[CLIP_TRIES])
{
    int low = x[1] > x[0], high = 2 + (x[3] > x[2]);
    return low + (high - low) * (x[high] > x[low]);
}

// The try that explains most of the sum of squares: lw^2 / ll, in formats with offsets of what the
// mean leaves. Weights that are exactly levels of the first fit keep it: sums are rounded, it is
// not.
CLIP_INLINE clip_fit clip_best(clip_sums *s, bool offset, int64_t count, clip_fit first)
{
    const float n = (float)count, mean = offset ? s->l[CLIP_FEW] / n : 0;
    float scale[CLIP_TRIES], gain[CLIP_TRIES];
    for (int t = 0; t < (offset ? CLIP_FEW : CLIP_TRIES); t++) {
        s->lw[t] -= offset ? s->l[t] * mean : 0;
        s->ll[t] -= offset ? s->l[t] * s->l[t] / n : 0;
    }
    for (int t = 0; t < CLIP_TRIES; t++) {
        float ll = s->ll[t] > 0 ? s->ll[t] : 1;
        scale[t] = s->lw[t] / ll;
        gain[t] = scale[t] * s->lw[t];
    }
    int best = clip_greatest(gain);
    if (!(scale[best] > 0))
        return first;
    clip_fit found = {(double)scale[best], first.offset};
    if (offset)
        found.offset += (double)(mean - scale[best] * s->l[best] / n);
    double close = 1e-6 * (fabs(first.scale) + fabs(first.offset));
    bool same =
        fabs(found.scale - first.scale) <= close && fabs(found.offset - first.offset) <= close;
    return same ? first : found;
}

// From the fit that reaches all weights. Binary weights have the best scale already: no sums.
CLIP_INLINE clip_sums clip_sum(const quant_format *f, const float *w, int64_t count, clip_fit first)
{
    bool ternary = f->kind == QUANT_TERNARY;
    if ((!ternary && f->planes == 1) || !((float)first.scale > 0))
        return (clip_sums){0};
    if (f->offset)
        return clip_sum_levels(f->planes, true, w, count, first);
    if (ternary)
        return clip_sum_parts(true, w, count, first.scale);
    if (f->planes == 2)
        return clip_sum_parts(false, w, count, first.scale);
    return clip_sum_levels(f->planes, false, w, count, first);
}
