// Private to quant: a code's levels, which its scales are multiplied by, rounding of scales, and
// what the quantizers share.
#pragma once

#include "compiler/quant/quant.h"

#include <float.h>
#include <math.h>
#include <string.h>

static inline unsigned quant_code_count(const quant_format *f)
{
    return 1u << f->planes;
}

const quant_codebook *quant_codebook_find(const char *name); // NULL: none

// scalar_round for f16, without calls: normal numbers are rounded at bit 42 as integers, smaller
// ones by adding a number with the same last place. NaN becomes an infinity.
static inline double quant_round_half(double x)
{
    uint64_t bits;
    double magnitude = fabs(x), normal, small = magnitude + 0x1p28 - 0x1p28;
    memcpy(&bits, &magnitude, sizeof bits);
    bits = (bits + 0x1ffffffffff + (bits >> 42 & 1)) & ~UINT64_C(0x3ffffffffff);
    memcpy(&normal, &bits, sizeof normal);
    double rounded = magnitude < 0x1p-14 ? small : normal;
    return copysign(magnitude < 65520 ? rounded : (double)INFINITY, x);
}

// To a format's scale type.
static inline double quant_round(scalar_type t, double x)
{
    return t == SCALAR_F16 ? quant_round_half(x) : scalar_round(t, x);
}

// To what is stored. Values beyond the type's range become its largest finite one.
static inline float quant_stored(scalar_type t, double x)
{
    double rounded = quant_round(t, x);
    double limit = t == SCALAR_F16 ? 65504.0 : (double)FLT_MAX;
    return (float)(isfinite(rounded) ? rounded : copysign(limit, x));
}

// The codes that a group with this special may use, of the formats whose levels are not evenly
// spaced; their number.
enum { QUANT_RUNGS = QUANT_BOOK + 1 };
unsigned quant_usable_codes(const quant_format *f, unsigned special, uint8_t codes[QUANT_RUNGS]);
// quant_fit and quant_encode of the formats whose levels are not evenly spaced (fit.c).
unsigned quant_fit_free(quant_method method, quant_rows *row, int64_t group, const float *w,
                        int64_t count);
void quant_encode_free(const quant_rows *row, int64_t group, unsigned special, const float *w,
                       int64_t count, uint8_t *codes);

// Of QUANT_BYTES (bytes.c): the scale of a row, its codes, what all codes stand for.
void quant_fit_bytes(quant_rows *row, const float *w, int64_t count);
void quant_encode_bytes(const quant_rows *row, const float *w, int64_t count, uint8_t *codes);
void quant_levels_of_bytes(const quant_format *f, double levels[QUANT_CODES]);

// Lloyd's algorithm on numbers with weights, in ascending order: moves `k` centers, also ascending,
// until they rest or `rounds` are over. The weighted squared error, which no round increases.
double quant_k_means(const double *x, const double *weight, unsigned n, double *center, unsigned k,
                     unsigned rounds);
