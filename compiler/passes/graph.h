// What the passes over graphs share; private to this folder.
#pragma once

#include "compiler/passes/passes.h"

// "gate" for @blk.0.gate, "h" for %h, "a value" without a name.
const char *graph_value_name(const ir_value *v);
// The same for messages: "'h'", "the result of 'mul'", "an argument".
const char *graph_describe_value(arena *a, const ir_value *v);
// Product of all dimensions but the last at their largest; 1 for vectors and scalars;
// INT64_MAX when it overflows.
int64_t graph_rows(const ir_type *t);
// The argument, allocation or global that a buffer is a part of.
const ir_value *graph_root(const ir_value *buffer);
// Whether an operation writes the memory of that operand, a buffer.
bool graph_writes(const ir_op *op, unsigned slot);
// Whether a tile operation leaves memory as it is: what it makes or changes are tiles.
bool graph_writes_tiles(const ir_op *op);
// A weight whose blocks of rows differ in format.
bool graph_is_mixed(const ir_value *weight);
// "1 table for 2 consumers (gate, up)", behind the first words given: the products that read a
// table.
void graph_print_consumers(text *out, const char *table, const ir_op *precompute);
// Numbers a block's ops by their mark, from 1.
void graph_number_ops(ir_block *b);
