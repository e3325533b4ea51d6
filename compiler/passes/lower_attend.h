// Attention, one kernel: what its two ways of computing share; private to the lowering.
#pragma once

#include "compiler/passes/lower_table_epilogue.h"

typedef struct attention {
    lowering *l;
    const ir_op *op;
    const place *q, *k, *v, *y, *slopes; // slopes: NULL without
    int64_t heads, groups, depth, width; // H, G, D, E
    int64_t window;                      // 0: none
    ir_value *rows, *keys;               // T, S
    ir_value *scaled, *weights;          // scratch: queries times the scale; scores, then weights
    ir_value *batch, *group, *position;  // of the queries at work
    // Where tables are built of what it gives, that goes to a panel: [rows, E of all heads of a
    // group], of which y is a view [queries, E].
    table_panels panels;
    place panel;
    ir_value *panel_row; // of the queries at work; NULL: y is the kernel's output
} attention;

// The row of a key or value in k or v, seen as rows of one head.
ir_value *attend_cache_row(const attention *a, ir_value *key);
// Lanes from `key` on: their distances to the key `last`, i32, at most 0 up to it.
ir_value *attend_distances(lowering *l, ir_value *key, ir_value *last);
// `score` where the distance `is` .. bound, elsewhere minus infinity.
ir_value *attend_where(lowering *l, const char *is, ir_value *distance, int64_t bound,
                       ir_value *score);

// Sets the position of the batch element at work.
void attend_find_position(attention *a);
// Queries of the group from `first` on: 4, 2 or 1.
void attend_block(const attention *a, ir_value *first, unsigned count);

// Tables as an epilogue (lower_attend_tables.c).
bool attend_prepare_tables(attention *a);
// The rows of the batch element at work, which are all that there are and fit the panel.
bool attend_few_rows(attention *a);
// One row of each batch element: a row tile of one group of heads after the other.
bool attend_single_rows(attention *a);
// The tables of the panel's rows from `row` of all rows on, `count` of them valid.
bool attend_build_tables(const attention *a, ir_value *row, ir_value *count);

// Blocks of queries through the matrix unit (lower_attend_matrix.c), and how many queries it takes
// to be worth it.
int64_t attend_matrix_queries(const attention *a);
bool attend_matrix_groups(attention *a); // false: reported
