// Row-wise kernels, shared by what builds them a row after the other and a depth tile after the
// other.
#pragma once

#include "compiler/passes/lower/lower.h"

// What the lowering knows about a value of the region, by position in `values`.
typedef struct row_value {
    ir_value *value;
    int stage;        // in which it is computed
    int last_use;     // the last stage that reads it
    bool tabulated;   // operand of a lut.precompute
    ir_value *panel;  // [m or 1, padded columns], or NULL
    const place *out; // the kernel's output, or NULL
} row_value;

// A reduction over the row: its vector accumulator lives during one stage, its scalar afterwards.
typedef struct row_reduction {
    ir_op *op;
    int stage;
    const char *by;
    ir_value *accumulator, *scalar;
} row_reduction;

typedef struct rows_kernel {
    lowering *l;
    ARRAY_OF(row_value) values;
    ARRAY_OF(row_reduction) reductions;
    int stages;
    bool tables;        // some lut.precompute: rows are taken by row tiles
    ir_value *row;      // global row
    ir_value *tile_row; // row inside the panel
    ir_dim columns;
    const char *width;      // of the strips
    int64_t padded;         // columns rounded up to the tile depth
    ir_value *exponentials; // f32 row of softmax numerators, or NULL
    const ir_op *deferred;  // a norm whose factor its tables' scales take, or NULL
    ir_value *factors;      // f32 [1, m]: these factors, or NULL
    ir_value *squares;      // f32 [m, depth]: sums of a row taken depth tile by depth tile, or NULL
    ir_value *bounds;       // f32 [1, quarters of a round]: the greatest of such so far, or NULL
    int64_t round_tiles;    // depth tiles of a round
    int stage;              // being built
} rows_kernel;

row_value *rows_find_value(rows_kernel *k, const ir_value *v);
row_reduction *rows_find_reduction(rows_kernel *k, const ir_op *op, int pass);
// In a strip: the values of the stage, and a reduction's sum with this strip's lanes.
void rows_build_values(rows_kernel *k, strip_scope *s);
ir_value *rows_reduced(rows_kernel *k, strip_scope *s, row_reduction *r, int pass, ir_value *sum);
// strip_scope.find: a value of an earlier stage comes back from its panel or output.
ir_value *rows_find_kept(lowering *l, strip_scope *s, ir_value *v);
// From a row's sum or maximum: the scalar that the next stage, or a table's scale, uses.
void rows_conclude(rows_kernel *k, row_reduction *r, ir_value *total);
// What the tables of a row tile are built from.
table_source rows_table_source(rows_kernel *k, const ir_op *precompute, ir_value *row_tile);

// ---- rows_sliced.c
// Whether the tables of a row tile can be built in two ways over its depth tiles: the first one
// finds their scale, the second one builds them.
bool rows_are_sliced(const rows_kernel *k);
void rows_prepare_slices(rows_kernel *k);
void rows_build_sliced_tile(rows_kernel *k, ir_value *row_tile);
