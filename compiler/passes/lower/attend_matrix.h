// Attention through the matrix unit: what its two files share; private to it.
#pragma once

#include "compiler/passes/lower/attend.h"
#include "compiler/passes/lower/matrix.h"

enum { MAX_PARTS = 3, HALF_BYTES = 2 };

typedef struct matrix_attention {
    attention *a;
    scalar_type half;
    const char *type;
    unsigned parts, weight_parts; // halves that a query and a weight consist of
    int64_t rows, columns, step;  // of a block; keys of a tile; depth of a tile
    int64_t keys;                 // that are weighed at once: a block, or all, in whole tiles
    int64_t row;                  // of scores; a line longer, so that rows meet in no set
    int64_t width;                // a row of results, padded
    ir_value *q[MAX_PARTS];       // scratch [rows][depth] of halves
    ir_value *weights[MAX_PARTS]; // scratch [rows][row] of halves
    ir_value *scores, *results;   // scratch f32 [rows][row], [rows][width]
    ir_value *across;             // scratch f32 [rows][lanes]: of pieces; NULL: there are none
    ir_value *maxima, *sums;      // scratch f32 [rows]
    ir_value *added;              // scratch f32 [rows][width]: of a block of keys; NULL: of all
    ir_value *greatest, *factors; // scratch f32 [rows]: scores so far, of what was added before

    // the block at work
    ir_value *first, *count; // its first query, how many
    ir_value *from, *seen;   // the keys that are looked at: first key, how many
} matrix_attention;

// The head of query `i` of the block, and the last key that it sees.
ir_value *matrix_head_of(const matrix_attention *x, ir_value *i);
ir_value *matrix_last_key_of(const matrix_attention *x, ir_value *i);
// A vector of f32 as halves that add up to it.
void matrix_store_halves(const matrix_attention *x, ir_value *vector, unsigned parts,
                         ir_value *const *to, ir_value *row, ir_value *column);

// Scores of all keys, scaled and masked, and the greatest of each query in x->maxima.
void matrix_score(const matrix_attention *x);
// Weights exp(score - maximum) of all keys, which are added to x->sums, and the sums of values with
// them in `to`.
void matrix_sum_values(const matrix_attention *x, ir_value *maxima, ir_value *to);
