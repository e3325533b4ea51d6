// What the two ways of prefetching share; private to the pass.
#pragma once

#include "compiler/passes/graph.h"

#include "isa/cost.h"

enum { LINE = 64, MOST_TERMS = 8 };

// A sum of values times factors, and a constant.
typedef struct address {
    int64_t constant;
    unsigned count;
    struct {
        const ir_value *value;
        int64_t factor;
    } terms[MOST_TERMS];
} address;

bool is_op(const ir_value *v, ir_opcode code);
// Where a buffer begins, in bytes behind what it is a part of. False: not known when compiling.
bool address_of(const ir_value *buffer, const ir_value **root, address *at);
int64_t address_factor(const address *sum, const ir_value *v);
bool address_same_terms(const address *x, const address *y);
int64_t buffer_bytes(const ir_type *t);
int64_t loop_step(const ir_op *loop); // 0: not known when compiling

// Rows of matrices that a loop reads and whose place advances with its rounds, outside of loops
// that look up.
void prefetch_rows(ir_module *m, const machine *target, ir_op *loop);
