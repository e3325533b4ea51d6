// What a statement's operation is given: operands and attributes, as its row in ops.def has them.
#include "compiler/ir/statement.h"

#include <string.h>

// -------------------------------------------------------------------- attributes

static bool parse_list(parser *p, ir_attribute *v)
{
    ARRAY_OF(int64_t) values = {0};
    int64_t value;
    if (!lir_expect(p, "["))
        return false;
    while (!lir_accept(p, "]")) {
        if ((values.count && !lir_expect(p, ",")) ||
            !lir_integer(p, "a list element", INT64_MIN, INT64_MAX, &value))
            return false;
        ARRAY_PUSH(p->arena, &values, value);
    }
    v->integer = (int64_t)values.count;
    v->list = values.items;
    return true;
}

static bool parse_boolean(parser *p, ir_attribute *v)
{
    v->integer = token_is(&p->now, "true");
    return lir_accept(p, "true") || lir_accept(p, "false") || lir_expected(p, "true or false");
}

static bool parse_choice(parser *p, const ir_attribute_row *row, ir_attribute *v)
{
    location where = p->now.where;
    if (!lir_word(p, "a word", &v->text))
        return false;
    return ir_attribute_word_allowed(row, v->text) ||
           lir_error(p, where, "'%s' is one of {%.*s}, not '%s'", row->name,
                     (int)strcspn(row->words, "}"), row->words, v->text);
}

bool statement_attribute(parser *p, statement *s, const ir_attribute_row *row)
{
    ir_attribute v = {.name = arena_intern(p->arena, row->name), .kind = row->kind};
    bool good = false;
    switch (row->kind) {
    case IR_ATTR_INTEGER:
        good = lir_integer(p, "a whole number", INT64_MIN, INT64_MAX, &v.integer);
        break;
    case IR_ATTR_NUMBER: good = lir_number(p, &v.number); break;
    case IR_ATTR_BOOLEAN: good = parse_boolean(p, &v); break;
    case IR_ATTR_NAME: good = parse_choice(p, row, &v); break;
    case IR_ATTR_TEXT: good = lir_text(p, "a text in quotes", &v.text); break;
    case IR_ATTR_LIST: good = parse_list(p, &v); break;
    }
    if (good)
        ARRAY_PUSH(p->arena, &s->attributes, v);
    return good;
}

static bool unknown_attribute(parser *p, const statement *s, location where, const char *name)
{
    const ir_signature *row = ir_signature_of(s->code);
    const char *names[IR_MAX_ATTRIBUTES];
    for (unsigned i = 0; i < row->n_attributes; i++)
        names[i] = row->attributes[i].name;
    const char *near = text_nearest(name, names, row->n_attributes);
    return lir_error(p, where, "'%s' has no attribute '%s'%s%s%s", ir_op_rows[s->code].name, name,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool parse_attribute(parser *p, statement *s)
{
    location where = p->now.where;
    const char *name;
    if (!lir_word(p, "an attribute's name", &name))
        return false;
    const ir_attribute_row *row = ir_attribute_row_of(s->code, name);
    if (!row)
        return unknown_attribute(p, s, where, name);
    for (size_t i = 0; i < s->attributes.count; i++)
        if (!strcmp(s->attributes.items[i].name, name))
            return lir_error(p, where, "attribute '%s' is given twice", name);
    return lir_expect(p, "=") && statement_attribute(p, s, row);
}

bool statement_attributes(parser *p, statement *s)
{
    if (!token_is(&p->now, "{"))
        return true;
    token word = lir_peek(p);
    if (ir_op_rows[s->code].n_regions && (word.first || word.kind != TOKEN_WORD))
        return true;
    lir_advance(p);
    do
        if (!parse_attribute(p, s))
            return false;
    while (lir_accept(p, ","));
    return lir_expect(p, "}");
}

// ---------------------------------------------------------------------- operands

static bool parse_value(parser *p, ir_value **out)
{
    const token t = p->now;
    if (t.kind == TOKEN_GLOBAL) {
        ir_global *g = ir_global_find(p->module, t.value);
        if (!g)
            return lir_error(p, t.where, "@%s is not declared; add a 'weight' or 'state' above",
                             t.value);
        *out = &g->value;
    } else if (t.kind == TOKEN_VALUE) {
        *out = ir_mapping_find(p->names, t.value);
        if (!*out)
            return lir_error(p, t.where, "%%%s is not defined here", t.value);
    } else {
        return lir_expected(p, "a value like %x or @weight");
    }
    lir_advance(p);
    return true;
}

bool statement_value(parser *p, statement *s)
{
    ir_value *v;
    if (!parse_value(p, &v))
        return false;
    s->poisoned |= v == &lir_poison;
    ARRAY_PUSH(p->arena, &s->operands, v);
    return true;
}

static unsigned required_operands(const ir_signature *row)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ir_fixed_operands(row); i++)
        count += !row->operands[i].optional;
    return count;
}

// Puts positional values into the required slots in order, then behind all.
static bool place_positional(parser *p, statement *s, ir_value **fixed, ir_value *v,
                             unsigned position)
{
    const ir_signature *row = ir_signature_of(s->code);
    unsigned required = required_operands(row);
    if (position >= required) {
        if (!row->variadic)
            return lir_error(p, p->last.where, "'%s' takes %u operand%s by position%s",
                             ir_op_rows[s->code].name, required, required == 1 ? "" : "s",
                             ir_fixed_operands(row) > required ? "; optional ones are named" : "");
        ARRAY_PUSH(p->arena, &s->operands, v);
        return true;
    }
    for (unsigned i = 0;; i++) {
        if (row->operands[i].optional || position--)
            continue;
        fixed[i] = v;
        return true;
    }
}

static bool parse_named_operand(parser *p, statement *s, ir_value **fixed)
{
    location where = p->now.where;
    const char *name;
    ir_value *v;
    if (!lir_word(p, "an operand", &name))
        return false;
    int slot = ir_operand_slot(s->code, name);
    if (slot < 0 || !ir_signature_of(s->code)->operands[slot].optional)
        return lir_error(p, where, "'%s' has no optional operand '%s'", ir_op_rows[s->code].name,
                         name);
    if (fixed[slot])
        return lir_error(p, where, "operand '%s' is given twice", name);
    if (!lir_expect(p, "=") || !parse_value(p, &v))
        return false;
    s->poisoned |= v == &lir_poison;
    fixed[slot] = v;
    return true;
}

static bool parse_operand(parser *p, statement *s, ir_value **fixed, unsigned *position)
{
    ir_value *v;
    if (p->now.kind == TOKEN_WORD)
        return parse_named_operand(p, s, fixed);
    if (!parse_value(p, &v))
        return false;
    s->poisoned |= v == &lir_poison;
    return place_positional(p, s, fixed, v, (*position)++);
}

static bool starts_operand(const parser *p)
{
    return !p->now.first && (p->now.kind == TOKEN_VALUE || p->now.kind == TOKEN_GLOBAL ||
                             p->now.kind == TOKEN_WORD || p->now.kind == TOKEN_BAD);
}

bool statement_operands(parser *p, statement *s)
{
    const ir_signature *row = ir_signature_of(s->code);
    ir_value *fixed[IR_MAX_SLOTS] = {0};
    unsigned n = ir_fixed_operands(row), position = 0;
    for (unsigned i = 0; i < n; i++)
        ARRAY_PUSH(p->arena, &s->operands, NULL);
    if (starts_operand(p)) {
        do
            if (!parse_operand(p, s, fixed, &position))
                return false;
        while (lir_accept(p, ","));
    }
    for (unsigned i = 0; i < n; i++)
        s->operands.items[i] = fixed[i];
    for (unsigned i = 0; i < n; i++)
        if (!fixed[i] && !row->operands[i].optional)
            return lir_error(p, s->name.where, "'%s' needs operand '%s'", ir_op_rows[s->code].name,
                             row->operands[i].name);
    return true;
}
