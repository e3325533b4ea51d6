// Analysis of a function, shared by analyze.c and addresses.c.
#pragma once

#include "compiler/estimate/internal.h"

// The first access of a pointer's group that needs one of its constants in a register.
typedef struct address_taker {
    int64_t constant;
    int64_t op;   // its mark
    bool hoisted; // it stands in a loop that the address does not vary with
} address_taker;

// Accesses whose addresses differ by constants.
typedef struct pointer_group {
    uint64_t hash;
    bool has_immediate; // one of them takes its constant itself
    ARRAY_OF(address_taker) takers;
} pointer_group;

typedef struct loop_state {
    const ir_op *op; // NULL: the function outside of all loops
    loop_info *info;
    uint64_t counter; // hash of its counter
    ARRAY_OF(pointer_group) groups;
    ARRAY_OF(uint64_t) indices;
} loop_state;

typedef struct analysis {
    arena *arena;
    function_info *out;
    unsigned depth;
    int64_t op; // mark of the one that is looked at
    loop_state loops[MAX_DEPTH], outside;
    uint64_t next;
} analysis;

linear_form form_of(const analysis *s, const ir_value *v);
linear_form form_sum(linear_form x, linear_form y);
linear_form form_scaled(linear_form f, int64_t by);
// Elements behind the buffer's start that the operands from `first` on say.
linear_form index_form(const analysis *s, const ir_op *op, const ir_type *t, unsigned first);

// addresses.c: the scalar instructions of what an operation accesses; of all groups of a loop, when
// it has been looked at.
void note_access(analysis *s, const ir_op *op);
void finish_pointers(analysis *s, loop_state *l);
// Of integer operations that vary so.
void charge(analysis *s, uint64_t varies, unsigned integers, unsigned multiplies, unsigned divides);
