// The verifier's parts; private to this folder.
#pragma once

#include "compiler/ir/module.h"
#include "compiler/ir/signature.h"

typedef struct verifier {
    diagnostics *diagnostics;
    const ir_module *module;
    const ir_function *function;
    ir_mapping *defined;              // values visible at the op being checked
    ARRAY_OF(const ir_value *) scope; // in order of definition
    const ir_op *kernel;              // the enclosing one, or NULL
    const ir_op *graph_op, *tile_op;  // the function's first op of either level
} verifier;

// "'op': ..." at the op's location; always false. The types of the op's operands
// and results follow as a note where `verify_error` is told to.
bool verify_error(verifier *v, const ir_op *op, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The type's text, valid until the arena of the module goes.
const char *verify_type(const verifier *v, const ir_type *t);

// An op's own typing rule; signature and attributes hold already.
typedef bool verify_rule(verifier *v, const ir_op *op);
extern verify_rule *const verify_graph_rules[IR_OPCODE_COUNT];
extern verify_rule *const verify_tile_rules[IR_OPCODE_COUNT];
extern verify_rule *const verify_sequence_rules[IR_OPCODE_COUNT];
bool verify_elementwise(verifier *v, const ir_op *op);
// The first n dimensions are the same.
bool verify_dims_equal(const ir_type *a, unsigned n, const ir_type *b);
// False for elements that are no floats, reported.
bool verify_floats(verifier *v, const ir_op *op, const ir_type *t);
