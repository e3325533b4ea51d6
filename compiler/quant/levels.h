// Private to quant: a code's level, the integer that its scale is multiplied by.
#pragma once

#include "compiler/quant/quant.h"

enum { QUANT_CODES = 16 };

// value = scale * level + offset: uniform 2q - (2^b - 1), ternary -2, 0, 0, +2.
void quant_levels(const quant_format *f, int8_t levels[QUANT_CODES]);
