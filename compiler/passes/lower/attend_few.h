// Attention of few queries through tiles: what blocks of any rows and a single row share; private
// to the lowering.
#pragma once

#include "compiler/passes/lower/attend.h"

enum { FEW_STEPS = 16, FEW_SUMS = 16, FEW_WIDE = 4 };

struct few_attention {
    const attention *a;
    scalar_type half;
    const char *type;
    unsigned parts;        // halves that a query consists of
    unsigned steps;        // tiles of the depth
    unsigned wide;         // tiles of n columns of a value
    int64_t rows, columns; // keys of a tile; halves of queries beside them
    ir_value *q;           // scratch [columns][depth] of halves
    ir_value *scores;      // scratch f32 [score_rows][columns]: a row for each key, behind `rows`
    ir_value *sums;        // scratch f32 [m][wide * n]
    ir_value *ones;        // scratch f16 [2][n]: 1, and -1
    int64_t score_rows;
};

// Part h of query i stands in row h * count + i of x->q, and so do its scores.
void few_take_queries(const few_attention *x, const query_block *b);
// Step `s` of the depth of the block's queries.
ir_value *few_load_queries(const few_attention *x, const query_block *b, unsigned s);
// The same of `count` keys (NULL: of all of a tile) from `key` on.
ir_value *few_load_keys(const few_attention *x, const query_block *b, ir_value *key,
                        ir_value *count, unsigned s);
// Values of m keys from `key` on, or of that one, as f32, of column tile `j`.
ir_value *few_load_values(const few_attention *x, const query_block *b, ir_value *key, unsigned j,
                          bool one);
// Adds values, times a scale for each of their m rows (NULL: 1).
ir_value *few_add(const few_attention *x, ir_value *sum, ir_value *values, ir_value *scales);
// The m parts of a sum together, divided by the sum of the weights: what query i gives.
void few_give_result(const few_attention *x, const query_block *b, unsigned i,
                     ir_value *const *sums);

// Of query i, from `key` on.
ir_value *few_add_weighted(const few_attention *x, unsigned i, ir_value *sum, ir_value *values,
                           ir_value *key);
// A last key alone is loaded with rows of zeros, which are multiplied by what stands behind its
// weight: numbers.
void few_end_weights(const few_attention *x, const query_block *b, unsigned i);

// Queries first .. first + count of the group, of one row (attend_row.c).
void row_block(const few_attention *x, ir_value *first, unsigned count);
