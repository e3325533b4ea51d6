// What the two ways of prefetching share; private to the pass.
#pragma once

#include "compiler/passes/graph.h"
#include "compiler/passes/passes.h"

#include "isa/cost.h"

enum { LINE = 64, MOST_TERMS = 8 };

#define SCRATCH_KEPT 0.75 // of scratch, until what was brought there first leaves it

// A sum of values times factors, and a constant.
typedef struct address {
    int64_t constant;
    unsigned count;
    struct {
        const ir_value *value;
        int64_t factor;
    } terms[MOST_TERMS];
} address;

// A module that was dumped comes again.
bool is_prefetched(const ir_function *f);

bool is_op(const ir_value *v, ir_opcode code);
// Where a buffer begins, in bytes behind what it is a part of. False: not known when compiling.
bool address_of(const ir_value *buffer, const ir_value **root, address *at);
// The same of what has a buffer and indices in it: a view, a load of elements.
bool address_of_place(const ir_op *place, const ir_value **root, address *at);
int64_t address_factor(const address *sum, const ir_value *v);
bool address_same_terms(const address *x, const address *y);
int64_t buffer_bytes(const ir_type *t);
int64_t loop_step(const ir_op *loop); // 0: not known when compiling

double rounds_of(const ir_op *loop);        // 1: not known when compiling
bool looks_up(const ir_op *op);             // a lookup, or what has one in it
int64_t lookups_of_rows(const ir_op *loop); // of a round, of several rows at once
// What a round of a loop, its block, loads into tiles, with the loops in it. What is the same in
// all rounds counts once, however many loops read it.
double bytes_loaded(const ir_block *b);

bool is_inside(const ir_block *b, const ir_op *loop);
// An index that is computed in `outer` by sums and products, computed once more, for the round
// `counter` of `loop` (NULL: the first) and the first rounds of other loops in `outer`.
ir_value *value_in_round(ir_builder *b, const ir_op *outer, ir_value *v, const ir_op *loop,
                         ir_value *counter);

// Rows of matrices, and rows that strips of lanes read, whose place advances with the rounds of a
// loop, outside of loops that look up.
void prefetch_rows(ir_module *m, pass_context *c, ir_op *loop);
// What strips beside the products of a loop read that the kernel wrote before.
void prefetch_beside(ir_module *m, const machine *target, ir_op *loop);
// Rows that an epilogue behind products reads.
void prefetch_short_rows(ir_module *m, pass_context *c, ir_op *loop);
