// Attention, one kernel: what its two ways of computing share; private to the lowering.
#pragma once

#include "compiler/passes/lower.h"

typedef struct attention {
    lowering *l;
    const ir_op *op;
    const place *q, *k, *v, *y, *slopes; // slopes: NULL without
    int64_t heads, groups, depth, width; // H, G, D, E
    int64_t window;                      // 0: none
    ir_value *rows, *keys;               // T, S
    ir_value *scaled, *weights;          // scratch: queries times the scale; scores, then weights
    ir_value *batch, *group, *position;  // of the queries at work
} attention;

// The row of a key or value in k or v, seen as rows of one head.
ir_value *attend_cache_row(const attention *a, ir_value *key);
// Lanes from `key` on: their distances to the key `last`, i32, at most 0 up to it.
ir_value *attend_distances(lowering *l, ir_value *key, ir_value *last);
// `score` where the distance `is` .. bound, elsewhere minus infinity.
ir_value *attend_where(lowering *l, const char *is, ir_value *distance, int64_t bound,
                       ir_value *score);

// Blocks of queries through the matrix unit (lower_attend_matrix.c), and how many queries it takes
// to be worth it.
int64_t attend_matrix_queries(const attention *a);
void attend_matrix_groups(attention *a);
