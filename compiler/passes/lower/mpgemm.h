// A kernel of mixed-precision products: what its blocks of rows and columns have in common; private
// to mpgemm.c, which orders blocks, and mpgemm_product.c, which computes a product's part of one.
#pragma once

#include "compiler/passes/lower/contract.h"
#include "compiler/passes/lower/epilogue.h"

typedef struct product_weight {
    pack_mix packed;
    piece_list pieces[QUANT_PARTS];
    // Integer activations: scratch for the block's row scales [row_block, m], and for the
    // table's sums times them [row_block, sums * m]; NULL otherwise.
    ir_value *row_scales, *scaled_sums;
    ir_value *partial; // scratch: what is carried between parts of the depth; NULL: nothing
} product_weight;

typedef struct mpgemm {
    lowering *l;
    product *products;
    unsigned n_products;
    product_weight *weights; // by product
    int64_t columns;         // N
    unsigned row_block, column_block;
    int64_t depth_block; // depth tiles that a block of row tiles takes at a time
    table_panels panels; // of what becomes tables
} mpgemm;

// Which rows a body works on.
typedef struct row_range {
    ir_value *tile;      // first row tile
    unsigned tiles;      // row tiles, their count known when compiling
    ir_value *rows;      // valid rows
    bool whole, one_row; // all rows of all tiles are valid; a single row is
    depth_part depth;
} row_range;

// Of the matrix, its place in the block, and the stream of the formats' that it is.
typedef struct column_tile {
    ir_value *number;
    unsigned place, part;
    ir_value *stream;
} column_tile;

// Scratch for a block of a product's results, once.
void mpgemm_prepare_block(mpgemm *k, product *p);
// What integer activations need before a block of rows: their scales, and sums times them.
void mpgemm_prepare_rows(mpgemm *k, const row_range *r);
// Product `i` of `count` column tiles side by side. Results go to the product's output when nothing
// else happens to them, else to its block.
void mpgemm_build_product(mpgemm *k, unsigned i, const row_range *r, const column_tile *at,
                          unsigned count);
