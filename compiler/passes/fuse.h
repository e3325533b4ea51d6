// Fusion in three steps: units of operations are formed (fuse_form.c), ordered so that every
// value is defined before it is used, and built as kernels (fuse_build.c). Private to the pass.
#pragma once

#include "compiler/passes/graph.h"

typedef enum unit_kind {
    UNIT_OUTSIDE, // a single op that stays where no kernel is
    UNIT_ROWS,
    UNIT_MPGEMM,
    UNIT_DENSE,
    UNIT_COPY, // from here on kernels of one op, which nothing joins
    UNIT_GATHER,
    UNIT_ROPE,
    UNIT_ATTEND,
} unit_kind;

typedef struct unit {
    unit_kind kind;
    ARRAY_OF(ir_op *) ops; // in program order; empty: merged into another unit
    const ir_type *shape;  // of the first result; every member has these dimensions
    const ir_op *previous; // the state access before this one, or NULL
    unsigned index;        // among the units
    unsigned first, last;  // positions of its first and last op in the program
    unsigned visit;        // the last search that came here
    bool placed;
} unit;

typedef struct fusion {
    pass_context *context;
    ir_module *module;
    ir_function *function;
    // An op's mark is the index of its unit, plus 1; its first result's mark its position.
    ARRAY_OF(unit *) units;
    unsigned visit;
    unsigned position;                         // of the op being looked at
    bool rows, precompute, products, epilogue; // what may be fused
} fusion;

unit *fuse_unit_of(const fusion *f, const ir_value *v); // NULL: an argument or global
// Puts every op of the function into a unit, with remarks.
void fuse_form(fusion *f);
// Orders the units and makes kernels of them.
void fuse_build(fusion *f);
