// The rows of ops.def with their signature texts taken apart, once per process.
#pragma once

#include "compiler/ir/ir.h"

enum { IR_MAX_SLOTS = 10, IR_MAX_ATTRIBUTES = 8 };

typedef struct ir_slot {
    char name[24];
    unsigned kinds; // bit 1 << ir_type_kind for every kind allowed
    bool optional, variadic;
} ir_slot;

typedef struct ir_attribute_row {
    char name[24];
    ir_attribute_kind kind;
    const char *words; // IR_ATTR_NAME: "a b c}": the words allowed, up to the brace
    bool has_default;
    ir_attribute value; // the default
    char word[24];      // what a default NAME points to
} ir_attribute_row;

typedef struct ir_signature {
    unsigned n_operands, n_results, n_attributes;
    bool variadic; // the last operand is
    bool variadic_results;
    ir_slot operands[IR_MAX_SLOTS], results[IR_MAX_SLOTS];
    ir_attribute_row attributes[IR_MAX_ATTRIBUTES];
} ir_signature;

const ir_signature *ir_signature_of(ir_opcode code);
const ir_attribute_row *ir_attribute_row_of(ir_opcode code, const char *name); // NULL: no such
bool ir_attribute_word_allowed(const ir_attribute_row *row, const char *word);
// "a tensor or vector": what the mask of kinds allows, for messages.
void ir_kinds_print(text *out, unsigned kinds);
// Slots before the variadic rest.
static inline unsigned ir_fixed_operands(const ir_signature *s)
{
    return s->n_operands - s->variadic;
}
// True when both are set to the same value (names and texts by content).
bool ir_attribute_equal(const ir_attribute *a, const ir_attribute *b);
// The attribute as set, else the row's default, else NULL.
const ir_attribute *ir_attribute_effective(const ir_op *op, const ir_attribute_row *row);
