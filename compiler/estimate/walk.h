// The walk through one call, shared by walk.c and operations.c.
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
    unsigned divided;             // loops around that are divisible
    uint32_t division[MAX_DEPTH]; // harts that the loop at a depth is divided among; 0: one
    int64_t gathered;             // rows so far, each a different one
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

void walk_fail(walker *w, const ir_op *op, const char *what);
void walk_block(walker *w, ir_block *b); // walk.c

// operations.c: everything that has no regions.
void walk_operation(walker *w, ir_op *op);
// What a round of a loop without others inside prefetches is there, without executing it.
void walk_prefetched(walker *w, ir_block *b);
// Instructions that wait for nothing.
void walk_plain(walker *w, isa_opcode opcode, unsigned n);
operands walk_operand(const walker *w, const ir_value *v);
