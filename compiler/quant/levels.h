// Private to quant: a code's level, the integer that its scale is multiplied by,
// and rounding of scales.
#pragma once

#include "compiler/quant/quant.h"

#include <math.h>
#include <string.h>

enum { QUANT_CODES = 16 };

// value = scale * level + offset: uniform 2q - (2^b - 1), ternary -2, 0, 0, +2.
void quant_levels(const quant_format *f, int8_t levels[QUANT_CODES]);

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
