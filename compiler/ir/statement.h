// A statement while it is read, and the parts of one; private to parse_op.c and parse_operand.c.
#pragma once

#include "compiler/ir/parser.h"

// "%a, %b = name ..."
typedef struct statement {
    ir_opcode code;
    token name; // of the op
    ARRAY_OF(token) results;
    ARRAY_OF(ir_value *) operands;
    ARRAY_OF(ir_attribute) attributes;
    ARRAY_OF(token) arguments; // of the region
    ARRAY_OF(const ir_type *) argument_types;
    ARRAY_OF(const ir_type *) types;
    bool poisoned; // an operand is lir_poison
    location where;
    size_t visible;
    ir_op *op; // once its regions can be read
} statement;

// A value of any kind, added to the operands.
bool statement_value(parser *p, statement *s);
// The operands as the operation's row has them: by position, optional ones by name.
bool statement_operands(parser *p, statement *s);
// "{name = value, ...}"; a brace that starts a region is left alone.
bool statement_attributes(parser *p, statement *s);
// The value of the attribute that the row describes, without its name.
bool statement_attribute(parser *p, statement *s, const ir_attribute_row *row);
