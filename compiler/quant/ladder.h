// Private to quant: rounding to what the codes of one group stand for, a weight at a time.
#pragma once

#include "compiler/quant/levels.h"

typedef struct quant_ladder {
    bool even; // the levels of one scale, evenly spaced
    quant_rows row;
    int64_t group;
    double scale, offset, level[QUANT_CODES]; // even
    unsigned count;
    double value[QUANT_RUNGS], by_code[QUANT_CODES]; // others, in ascending order and by code
    uint8_t code[QUANT_RUNGS];
} quant_ladder;

// Of a group whose scales and offset are set; `special` as quant_fit gave it. The row may not
// move.
void quant_ladder_of(const quant_rows *row, int64_t group, unsigned special, quant_ladder *out);
// The value nearest to x, and its code: the one that quant_encode gives.
double quant_ladder_nearest(const quant_ladder *l, double x, uint8_t *code);
double quant_ladder_value(const quant_ladder *l, uint8_t code);
