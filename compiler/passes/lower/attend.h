// Attention, one kernel: what its two ways of computing share; private to the lowering.
#pragma once

#include "compiler/passes/lower/attend_beside.h"
#include "compiler/passes/lower/table_epilogue.h"

typedef struct few_attention few_attention;
typedef struct attention {
    lowering *l;
    const ir_op *op;
    const place *q, *k, *v, *y, *slopes; // slopes: NULL without
    int64_t heads, groups, depth, width; // H, G, D, E
    int64_t window;                      // 0: none
    ir_value *rows, *keys;               // T, S
    ir_value *scaled, *weights;          // scratch: queries times the scale; scores, then weights
    beside_memory beside;                // where tiles are used
    ir_value *batch, *group, *position;  // of the queries at work
    // Where tables are built of what it gives, that goes to a panel: [rows, E of all heads of a
    // group], of which y is a view [queries, E].
    table_panels panels;
    place panel;
    ir_value *panel_row; // of the queries at work; NULL: y is the kernel's output
    few_attention *few;  // NULL: through vectors
    bool one_row;        // of q in each batch element, where code is built
} attention;

// Queries that share every load of a key and of a value; scores in a line of scratch: rows of them
// are a line longer than keys are many, and so meet in no set.
enum { QUERY_BLOCK = 4, ATTEND_LINE = 64 / 4 };
typedef struct query_block {
    unsigned count;
    bool level;                    // all see the same keys
    ir_value *row[QUERY_BLOCK];    // in q
    ir_value *result[QUERY_BLOCK]; // in y
    ir_value *last[QUERY_BLOCK];   // its last key
    ir_value *slope[QUERY_BLOCK];  // f32; NULL without slopes
    ir_value *sum[QUERY_BLOCK];    // of its weights
    ir_value *first, *keys;        // the keys that are looked at: first key, how many
} query_block;

query_block attend_block_of(const attention *a, ir_value *first, unsigned count);

// The score of query i of the block for the keys of a strip from `position` on.
typedef ir_value *attend_score(void *context, unsigned i, ir_value *position);
// Scores of query i become weights exp(score - maximum) in a->weights, and their sum is noted.
void attend_weigh(const attention *a, query_block *b, unsigned i, attend_score *score,
                  void *context);
// Slopes added, and minus infinity where another query of the block sees a key, but not this one.
ir_value *attend_adjusted(const attention *a, const query_block *b, unsigned i, ir_value *position,
                          ir_value *score);
ir_value *attend_inverse_sum(lowering *l, const query_block *b, unsigned i);

// The row of a key or value in k or v, seen as rows of one head.
ir_value *attend_cache_row(const attention *a, ir_value *key);
// Lanes from `key` on: their distances to the key `last`, i32, at most 0 up to it.
ir_value *attend_distances(lowering *l, ir_value *key, ir_value *last);
// `score` where the distance `is` .. bound, elsewhere minus infinity.
ir_value *attend_where(lowering *l, const char *is, ir_value *distance, int64_t bound,
                       ir_value *score);

// Sets the position of the batch element at work.
void attend_find_position(attention *a);
// Sizes of the blocks that queries of a group are taken in: as many of the first one as there are,
// then of the next.
typedef struct block_sizes {
    unsigned count, size[QUERY_BLOCK];
} block_sizes;
block_sizes attend_block_sizes(const attention *a);
// `count` queries of the group from `first` on.
void attend_block(const attention *a, ir_value *first, unsigned count);

// Its parts: queries times the scale; weights of the scores, and sums of values.
void attend_scale_queries(const attention *a, query_block *b);
void attend_weigh_values(const attention *a, query_block *b);
// Strips over rows of a cache `x`, for as many queries; parts of a row that stay in registers.
scalar_type attend_strip_width(const place *x, unsigned queries);
unsigned attend_row_parts(const lowering *l, int64_t columns, scalar_type width);

// One row on CPUs (attend_stream.c).
void attend_streamed_row(attention *a);

// Tables as an epilogue (attend_tables.c).
bool attend_prepare_tables(attention *a);
// The rows of the batch element at work, which are all that there are and fit the panel.
bool attend_few_rows(attention *a);
// One row of each batch element, a group of heads after the other; where tables are built, of whole
// row tiles.
bool attend_single_rows(attention *a);
// The tables of the panel's rows from `row` of all rows on, `count` of them valid.
bool attend_build_tables(const attention *a, ir_value *row, ir_value *count);

// Blocks of queries through the matrix unit (attend_matrix.c), and how many queries it takes
// to be worth it.
int64_t attend_matrix_queries(const attention *a);
bool attend_matrix_groups(attention *a); // false: reported

// Few queries through tiles where the machine has both units (attend_few.c): NULL where it
// has not, or where rows are too long. They are taken in blocks of up to attend_few_queries.
few_attention *attend_few(attention *a);
unsigned attend_few_queries(const few_attention *x);
void attend_few_block(const few_attention *x, ir_value *first, unsigned count);
