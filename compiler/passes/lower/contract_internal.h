// What a contraction is made of: lookups of depth tiles (lookup.c), pieces of their sums
// (pieces.c), scaling (scaling.c). contract.c orders them.
#pragma once

#include "compiler/passes/lower/contract.h"

// Results are numbered column tile by column tile.
static inline unsigned count_results(const contraction *c)
{
    return c->row_tiles * c->column_tiles;
}

static inline unsigned row_of(const contraction *c, unsigned result)
{
    return result % c->row_tiles;
}

static inline unsigned column_of(const contraction *c, unsigned result)
{
    return result / c->row_tiles;
}

// ---- pieces
unsigned pieces_in_term(const piece_list *list, unsigned first); // from piece `first` on
// Where prepare_pieces keeps n times the factor.
ir_value **piece_factor(lowering *l, int factor);

// ---- lookups
// Quarters of the depth of a tile.
typedef struct depth_slice {
    int64_t first, count;
} depth_slice;
// accumulator (NULL: start afresh) += the piece's lookups for a result in a slice of the loaded
// tile, whose table is loaded where it was not yet.
ir_value *look_up(lowering *l, const contraction *c, const piece *p, unsigned result,
                  tile_operands *loaded, ir_value *accumulator, depth_slice slice);

// ---- scaling
// Accumulators of all pieces, for each result.
typedef ir_value *accumulators[MOST_PIECES][MOST_RESULTS];
// Each quarter of a depth tile has a table scale of its own.
bool scaled_by_slice(const contraction *c);
void begin_results(lowering *l, const contraction *c, ir_value **d); // those that are NULL are 0
// d += the accumulators times the weights' scales, which stand at `scale_offset` of the stream, and
// times the table's at quarter `quarter` of depth tile `tile`.
void dequantize(lowering *l, const contraction *c, ir_value **d, accumulators acc, ir_value *tile,
                int64_t quarter, ir_value *scale_offset);
// d += the offsets of the group whose scales stand at `scale_offset`, where the format has any,
// times sum `sum` of the activations.
void add_offsets(lowering *l, const contraction *c, ir_value **d, ir_value *sum,
                 ir_value *scale_offset);
