// The contraction over the depth that mpgemm and the sums of offsets share; private to the
// lowering.
#pragma once

#include "compiler/passes/lower/lower.h"

// The accumulators that a format needs for each row tile. An lmma adds up to four planes in one of
// a table's parts; a term of the format is made of one such sum, or of several times their factors:
// 1 and 16 for planes 0-3 and 4-7, 1 and 256 for the low and the high bytes of activations.
typedef struct piece {
    unsigned term;
    quant_form form;
    unsigned first, planes; // index planes
    unsigned part;          // of the table: 1 are the high bytes
    int factor;
} piece;
enum { MOST_PIECES = 8, MOST_RESULTS = 64, MOST_COLUMN_TILES = 8 };
typedef struct piece_list {
    unsigned count;
    piece items[MOST_PIECES]; // by terms
} piece_list;
piece_list pieces_of(const quant_format *f, const ir_type *table);
piece_list pieces_of_term(const piece_list *pieces, unsigned term);

// What is contracted with what, for `row_tiles` row tiles and some column tiles side by side: their
// results are numbered column tile by column tile.
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
    piece_list pieces;
    bool without_offsets; // another contraction of the same stream adds them
    unsigned column_tiles;
    ir_value *stream[MOST_COLUMN_TILES]; // u8 bytes of each column tile
    // Set for sums: this plane and these scales stand for the stream's.
    ir_value *constant_plane, *ones;
} contraction;

// Fills what combining pieces needs; called at the kernel's start, for every list used in it.
void prepare_pieces(lowering *l, const piece_list *pieces);
// d[j] += the whole depth. d holds an f32 tile for each result, NULL for 0, and is updated.
void lower_contraction(lowering *l, const contraction *c, ir_value **d);
// `count` depth tiles from tile `first` on.
typedef struct depth_part {
    ir_value *first;
    int64_t count;
    bool begins, ends; // the first part, the last one
} depth_part;
// A part of the depth. Between parts, contraction_carried tiles of that kind hold what was summed
// up: the results so far or, where the whole depth is one sum, its accumulators. Parts begin at
// multiples of schedule_depth_step. `tiles` holds what is carried, and d behind the last part.
void lower_contraction_part(lowering *l, const contraction *c, ir_value **tiles,
                            const depth_part *part);
unsigned contraction_carried(const lowering *l, const contraction *c);
tile_kind contraction_carried_kind(const lowering *l, const contraction *c);
// One group of at least the tile depth: `count` depth tiles from tile `first` on, its planes at
// byte `offset` of the stream, its scales behind them.
void contract_group(lowering *l, const contraction *c, ir_value **d, ir_value *group,
                    ir_value *first, int64_t count, ir_value *offset);

// The planes of one depth tile, and of its tables those that were loaded: once for all its slices.
typedef struct tile_operands {
    ir_value *tile;
    ir_value *plane[MOST_COLUMN_TILES][8], *table[MOST_RESULTS][2];
} tile_operands;
tile_operands load_tile(lowering *l, const contraction *c, ir_value *tile, ir_value *offset);
// One group smaller than the tile depth: slice `slice` of the loaded depth tile.
void contract_slice(lowering *l, const contraction *c, ir_value **d, int64_t slice,
                    tile_operands *loaded, ir_value *offset);

enum { QUARTERS = 4 }; // slices of the tile depth with a table scale of their own

tile_kind low_accumulator_kind(const ir_type *table);
// Depth tiles that share one table scale; 1 also where each quarter has its own.
int64_t low_scale_tiles(const lowering *l, const ir_type *table);
