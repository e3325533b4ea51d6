// The walk through one call, which several files share.
#pragma once

#include "compiler/estimate/internal.h"

typedef struct walker {
    const call_frame *frame;
    function_info *info;
    hart *hart;
    uint64_t lanes;       // of the strip around
    unsigned sew, policy; // as vsetvli left them
    uint32_t harts;       // that work on this nest
    uint32_t most_harts;
    unsigned divided;                  // loops around that are divisible
    uint32_t division[MAX_DEPTH];      // harts that the loop at a depth is divided among; 0: one
    int64_t gathered;                  // rows so far, each a different one
    double beside_time, beside_issued; // behind the last strip beside products
    bool failed;
    isa_shape shape;
} walker;

static inline value_info *info(const walker *w, const ir_value *v)
{
    return info_of(w->info, v);
}

// `to` becomes what `from` is.
static inline void take(walker *w, const ir_value *to, const ir_value *from)
{
    value_info *t = info(w, to), *f = info(w, from);
    t->at = f->at;
    t->known = f->known;
    t->value = f->value;
}

static const result at_once = {0};

// operations.c: everything that has no regions.
void walk_operation(walker *w, ir_op *op);
void walk_fail(walker *w, const ir_op *op, const char *what);
// Instructions that wait for nothing.
void walk_plain(walker *w, isa_opcode opcode, unsigned n);
operands walk_operand(const walker *w, const ir_value *v);

// accesses.c: addresses; scalars and vectors in memory.
void walk_view(walker *w, ir_op *op);
void walk_scalar_access(walker *w, ir_op *op, bool write);
void walk_vector_access(walker *w, ir_op *op, bool write);
void walk_load_pairs(walker *w, ir_op *op);
void walk_store_pairs(walker *w, ir_op *op);
// Rows of bytes from a buffer's start on.
access walk_span(walker *w, const ir_value *buffer, int64_t stride, int64_t bytes, unsigned rows,
                 bool write);

// tiles.c: false if the operation is none on tiles.
bool walk_tile(walker *w, ir_op *op);
void walk_prefetch(walker *w, const ir_op *op);
// What a round of a loop without others inside prefetches is there, without executing it.
void walk_prefetched(walker *w, ir_block *b);

// order.c: the body of a strip. A last store waits for what it stores: LLVM moves on to the next
// round in front of it.
void walk_strip_block(walker *w, ir_block *b);
bool walk_moves_on_early(const ir_op *op);

// walk.c: loops, and what is in them.
void walk_block(walker *w, ir_block *b);
void walk_op(walker *w, ir_op *op);
// What moves counters and pointers to the next round.
void walk_move_on(walker *w, const ir_op *loop);
