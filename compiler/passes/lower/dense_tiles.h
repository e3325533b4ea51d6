// Dense products through tiles, on machines with a LUT unit; private to the lowering.
#pragma once

#include "compiler/passes/lower/epilogue.h"

enum { DENSE_ROWS = 4 }; // of activations, which share every load of a weight

typedef struct dense_tiles dense_tiles;

// What tiles take, where they are quicker than vectors; NULL: they are not.
dense_tiles *dense_tiles_of(lowering *l, const product *p);
// Scratch for the results of DENSE_ROWS rows and so many columns.
ir_value *dense_tiles_block(lowering *l, scalar_type t, int64_t columns);
// `count` rows of activations, at most DENSE_ROWS, from `row` on, times `width` rows of weights
// from `first` on: the product's block gets the results.
void lower_dense_tiles(dense_tiles *k, ir_value *row, unsigned count, ir_value *first,
                       ir_value *width);
