#include "compiler/ir/module.h"
#include "compiler/ir/signature.h"

#include <string.h>

const ir_attribute *ir_find(const ir_op *op, const char *name)
{
    for (size_t i = 0; i < op->attributes.count; i++)
        if (!strcmp(op->attributes.items[i].name, name))
            return &op->attributes.items[i];
    return NULL;
}

static void set(ir_op *op, const char *name, ir_attribute value)
{
    ir_module *m = op->block->function->module;
    value.name = ir_intern(m, name);
    ir_attribute *old = (ir_attribute *)ir_find(op, name);
    if (old)
        *old = value;
    else
        ARRAY_PUSH(m->arena, &op->attributes, value);
}

void ir_set_integer(ir_op *op, const char *name, int64_t value)
{
    set(op, name, (ir_attribute){.kind = IR_ATTR_INTEGER, .integer = value});
}

void ir_set_number(ir_op *op, const char *name, double value)
{
    set(op, name, (ir_attribute){.kind = IR_ATTR_NUMBER, .number = value});
}

void ir_set_boolean(ir_op *op, const char *name, bool value)
{
    set(op, name, (ir_attribute){.kind = IR_ATTR_BOOLEAN, .integer = value});
}

void ir_set_name(ir_op *op, const char *name, const char *word)
{
    word = ir_intern(op->block->function->module, word);
    set(op, name, (ir_attribute){.kind = IR_ATTR_NAME, .text = word});
}

void ir_set_text(ir_op *op, const char *name, const char *value)
{
    value = ir_intern(op->block->function->module, value);
    set(op, name, (ir_attribute){.kind = IR_ATTR_TEXT, .text = value});
}

void ir_remove_attribute(ir_op *op, const char *name)
{
    const ir_attribute *found = ir_find(op, name);
    if (!found)
        return;
    size_t at = (size_t)(found - op->attributes.items);
    size_t rest = --op->attributes.count - at;
    memmove(&op->attributes.items[at], &op->attributes.items[at + 1], rest * sizeof *found);
}

const ir_attribute *ir_attribute_effective(const ir_op *op, const ir_attribute_row *row)
{
    const ir_attribute *found = ir_find(op, row->name);
    return found ? found : row->has_default ? &row->value : NULL;
}

static const ir_attribute *require(const ir_op *op, const char *name, ir_attribute_kind kind)
{
    const ir_attribute_row *row = ir_attribute_row_of(op->code, name);
    if (!row)
        INTERNAL_ERROR("'%s' has no attribute '%s'", ir_op_rows[op->code].name, name);
    const ir_attribute *found = ir_attribute_effective(op, row);
    if (!found || found->kind != kind)
        INTERNAL_ERROR("'%s': attribute '%s' is %s", ir_op_rows[op->code].name, name,
                       found ? "of another kind" : "not set");
    return found;
}

int64_t ir_integer(const ir_op *op, const char *name)
{
    return require(op, name, IR_ATTR_INTEGER)->integer;
}

double ir_number(const ir_op *op, const char *name)
{
    return require(op, name, IR_ATTR_NUMBER)->number;
}

bool ir_boolean(const ir_op *op, const char *name)
{
    return require(op, name, IR_ATTR_BOOLEAN)->integer != 0;
}

const char *ir_name(const ir_op *op, const char *name)
{
    const ir_attribute_row *row = ir_attribute_row_of(op->code, name);
    ir_attribute_kind kind = row && row->kind == IR_ATTR_TEXT ? IR_ATTR_TEXT : IR_ATTR_NAME;
    return require(op, name, kind)->text;
}

bool ir_name_is(const ir_op *op, const char *name, const char *word)
{
    return !strcmp(ir_name(op, name), word);
}

static bool list_equal(const ir_attribute *a, const ir_attribute *b)
{
    for (int64_t i = 0; i < a->integer; i++)
        if (a->list[i] != b->list[i])
            return false;
    return true;
}

bool ir_attribute_equal(const ir_attribute *a, const ir_attribute *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case IR_ATTR_INTEGER:
    case IR_ATTR_BOOLEAN: return a->integer == b->integer;
    case IR_ATTR_NUMBER: return !memcmp(&a->number, &b->number, sizeof a->number);
    case IR_ATTR_NAME:
    case IR_ATTR_TEXT: return !strcmp(a->text, b->text);
    case IR_ATTR_LIST: return a->integer == b->integer && list_equal(a, b);
    }
    UNREACHABLE();
}
