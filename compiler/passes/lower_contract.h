// The contraction over the depth that mpgemm and the sums of offsets share; private to the
// lowering.
#pragma once

#include "compiler/passes/lower.h"

// What is contracted with what, for `row_tiles` row tiles of one column tile.
typedef struct contraction {
    const ir_type *table;
    ir_value *tables, *scales, *sums; // buffers of the table's place; scales, sums may be NULL
    // f32 [row tiles of the block, m] of integer activations, or NULL. With them the sums, which
    // contain them already, are those of the block too.
    ir_value *row_scales;
    ir_value *row_tile; // the first row tile
    unsigned row_tiles;
    bool one_row;
    quant_format format;
    pack_geometry geometry;
    ir_value *stream; // u8 bytes of the column tile
    // Set for sums: this plane and these scales stand for the stream's.
    ir_value *constant_plane, *ones;
} contraction;

// d[j] += the whole depth. d holds row_tiles f32 tiles and is updated.
void lower_contraction(lowering *l, const contraction *c, ir_value **d);
// One group of at least the tile depth: `count` depth tiles from tile `first` on, its planes at
// byte `offset` of the stream, its scales behind them.
void contract_group(lowering *l, const contraction *c, ir_value **d, ir_value *group,
                    ir_value *first, int64_t count, ir_value *offset);

// The planes and tables of one depth tile, loaded once for its slices.
typedef struct planes_tile {
    ir_value *plane[8], *table[64];
    unsigned count;
    const char *form;
} planes_tile;
planes_tile load_planes_tile(lowering *l, const contraction *c, ir_value *tile, ir_value *offset);
// One group smaller than the tile depth: slice `slice` of depth tile `tile`.
void contract_slice(lowering *l, const contraction *c, ir_value **d, ir_value *tile, int64_t slice,
                    const planes_tile *loaded, ir_value *offset);

enum { QUARTERS = 4 }; // slices of the tile depth with a table scale of their own

tile_kind low_accumulator_kind(const ir_type *table);
ir_value *low_tile_zero(lowering *l, tile_kind kind);
// Depth tiles that share one table scale; 1 also where each quarter has its own.
int64_t low_scale_tiles(const lowering *l, const ir_type *table);
