// How a kernel's work is cut into blocks, by a small analytic model of the machine: bytes that
// stream from memory against the cycles of the LUT array.
#pragma once

#include "compiler/ir/ir.h"
#include "isa/isa.h"

typedef struct kernel_schedule {
    int64_t row_block;    // row tiles (m rows each) handled per sweep over the weights
    int64_t column_block; // column tiles (n columns each) per step of the sweep
    int64_t depth_block;  // depth tiles taken at a time by a block of row tiles; 0: all
    unsigned registers;   // tile registers that takes
    double seconds;       // the model's estimate for the mean number of rows
    unsigned considered;  // schedules
    double whole_seconds; // of the best one that takes the whole depth
    double near_bytes;    // that are read from column tile to column tile
} kernel_schedule;

typedef struct schedule_wish {
    int64_t row_block;   // to take if it fits; 0: free choice
    int64_t depth_block; // depth tiles at a time; 0: free choice
    int64_t columns;     // column tiles that a block must have a multiple of
    int64_t rows;        // of activations, to be fastest for; 0: the mean of those that can be
    bool sums_wait;      // they are scaled when all of a block are there (no pass overlap)
} schedule_wish;

// The size of the blocks that take the row tiles that blocks of `rows` leave over: a third, down to
// single ones; 0: there are none behind those. Each size is code of its own.
static inline int64_t schedule_smaller_block(int64_t rows)
{
    return rows > 3 ? rows / 3 : rows > 1;
}

// The best schedule of an mpgemm kernel whose register demand fits the register file.
kernel_schedule schedule_mpgemm(const machine *target, const ir_op *kernel,
                                const schedule_wish *wish);
// Row tiles of a block of a kernel whose products the matrix unit takes, on a machine of many harts
// behind an l2, for so many rows (0: the mean of those that can be); false: of any other.
enum { MATRIX_BLOCK_TILES = 4 }; // columns of tiles in a block, and rows at most
bool schedule_matrix(const machine *target, const ir_op *kernel, int64_t rows,
                     kernel_schedule *out);
// Whether the dequantizer adds up products of dense weights of so many bytes each in less time than
// the vector unit.
bool schedule_dense_tiles(const machine *target, size_t bytes);
// Parts of the depth begin at multiples of this many depth tiles; 0: it is taken at once.
int64_t schedule_depth_step(const machine *target, const ir_op *kernel);
int64_t least_multiple(int64_t x, int64_t y); // of both; they are positive
// Tile registers for blocks of row tiles and column tiles: accumulators and result tiles, the
// planes, and the table (one per row tile where a tile is looked up in slices).
unsigned schedule_registers(const machine *target, const ir_op *kernel, int64_t row_block,
                            int64_t column_block, bool sums_wait);
