// What the vector unit does between attention's two products, beside them: scores of the keys
// before are finished, and those of the keys behind become weights. It is dealt out in pieces, a
// strip of keys of one query each, of as many in a round as a round's products have keys for.
#pragma once

#include "compiler/passes/lower/lower.h"

// What is done with a strip, and how the lanes of what that gives are put together.
typedef struct strip_work {
    ir_value *(*compute)(const void *of, ir_value *query, ir_value *column);
    ir_opcode by;
    const char *name;
    double none;
} strip_work;

// Scratch for the pieces of as many queries, and for what they give.
typedef struct beside_memory {
    ir_value *across;        // f32 [queries][lanes]; NULL: there are no pieces
    ir_value *maxima, *sums; // f32 [1][queries]: greatest scores, sums of weights
} beside_memory;

// The queries at work.
typedef struct beside {
    lowering *l;
    const void *of; // of strip_work.compute
    int64_t queries, lanes;
    ir_value *seen; // keys
    ir_value *across;
} beside;

typedef struct strip_piece {
    ir_value *query, *column, *count;
} strip_piece;

// The pieces of a round, and the products that they are dealt out among.
typedef struct dealing {
    beside with;
    const strip_work *work;
    strip_piece *pieces;
    unsigned count, done, products, seen;
} dealing;

int64_t beside_lanes(const lowering *l); // of a strip of f32
beside_memory beside_scratch(lowering *l, int64_t queries);
// Keys of a round: more than one tile of so many, and whole strips if it has pieces.
int64_t beside_keys(const beside *b, int64_t tile);
// The pieces of round `round`: `ahead` rounds before or behind the keys that it multiplies. In
// front of the first there is nothing to do. Without scratch there are none.
dealing beside_deal(const beside *b, const strip_work *work, ir_value *round, int64_t keys,
                    int64_t ahead);
// Behind a product: the pieces whose turn it is.
void beside_deal_out(dealing *d);

// Of keys that are no piece of a round; the other one leaves what that gives in the query's lanes,
// as pieces do.
ir_value *beside_alone(const beside *b, const strip_work *work, const strip_piece *p);
void beside_in_lanes(const beside *b, const strip_work *work, const strip_piece *p);
void beside_begin_lanes(const beside *b, const strip_work *work, ir_value *query);
// A query's cell becomes what is in its lanes, or that together with what it was.
void beside_end_lanes(const beside *b, const strip_work *work, ir_value *cells, ir_value *query);
void beside_add_lanes(const beside *b, const strip_work *work, ir_value *cells, ir_value *query);
