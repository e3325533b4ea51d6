// What the searches of compiler/schedule share.
#pragma once

#include "compiler/schedule/schedule.h"

// What one sweep over the weights of a kernel costs.
typedef struct sweep {
    double stream;       // seconds to read the weights once
    double compute;      // seconds of the LUT array for one row tile
    double loads;        // seconds in which the first row tile waits for planes
    double columns;      // column tiles
    int64_t depth, step; // depth tiles; those at whose multiples parts begin, or 0
    double column_bytes; // of the weights of a column tile, of all products
    double table_bytes;  // of one row tile, the whole depth
    double scale_bytes;  // of the table's scales and sums, which nothing prefetches
    double bandwidth, latency, scratch;
    double tile_bytes, move;  // of accumulators, and the seconds from or to scratch
    double epilogue_bytes;    // of one row tile's block of results in near memory
    double rescale_bytes;     // of weights' scales, read for a row tile and column tile
    double products;          // that read the tables
    double early_strips;      // of a row tile's results that wait for other products
    bool mixed;               // formats by blocks of rows: column tiles go one by one
    int64_t minimum, maximum; // row tiles
} sweep;

// Blocks of row tiles and column tiles for machines of many harts with an l2.
kernel_schedule grid_schedule(const machine *target, const ir_op *kernel, const sweep *s,
                              const schedule_wish *wish);
int64_t schedule_rows(const ir_type *t, bool smallest); // of activations
