// Built-in functions: arguments to slots, compile-time folding, result types.
#include "compiler/frontend/elaborate.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static builtin_rule rule_float, rule_numeric, rule_pair, rule_rowwise, rule_quantize;
static double fold_square(double x)
{
    return x * x;
}
static double fold_rsqrt(double x)
{
    return 1 / sqrt(x);
}

static const builtin_row rows[] = {
#define BUILTIN(name, code, operands, attributes, rule, fold, doc)                                 \
    {name, IR_##code, operands, attributes, rule, fold, doc},
#include "compiler/frontend/builtins.def"
};
static const char *const names[] = {
#define BUILTIN(name, ...) name,
#include "compiler/frontend/builtins.def"
};
enum { N_BUILTINS = sizeof rows / sizeof *rows };

const char *const *builtin_names(size_t *count)
{
    *count = N_BUILTINS;
    return names;
}

// ------------------------------------------------------------------ parameters

// "x pos factors?" to names. Returns how many.
static unsigned split_names(const char *list, builtin_parameter *out, unsigned limit)
{
    unsigned count = 0;
    while (*list && count < limit) {
        size_t length = strcspn(list, " ");
        bool optional = list[length - 1] == '?';
        out[count] = (builtin_parameter){.optional = optional};
        memcpy(out[count++].name, list, length - optional);
        list += length + (list[length] == ' ');
    }
    return count;
}

// Whether a list of words has "-name".
static bool is_left_out(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = strchr(list, '-'); at; at = strchr(at + 1, '-'))
        if (!strncmp(at + 1, name, length) && (!at[1 + length] || at[1 + length] == ' '))
            return true;
    return false;
}

// The operation's attributes, nameless where they are no arguments, then the row's own.
static void find_attributes(builtin_call *c)
{
    const ir_signature *s = c->signature;
    builtin_parameter own[BUILTIN_MAX_ATTRIBUTES];
    unsigned n_own = split_names(c->row->attributes, own, BUILTIN_MAX_ATTRIBUTES);
    for (c->n_attributes = 0; c->n_attributes < s->n_attributes; c->n_attributes++) {
        builtin_parameter *p = &c->attribute_rows[c->n_attributes];
        const char *name = s->attributes[c->n_attributes].name;
        snprintf(p->name, sizeof p->name, "%s", is_left_out(c->row->attributes, name) ? "" : name);
    }
    for (unsigned i = 0; i < n_own; i++)
        if (own[i].name[0] != '-' && c->n_attributes < BUILTIN_MAX_ATTRIBUTES)
            c->attribute_rows[c->n_attributes++] = own[i];
}

static void find_parameters(builtin_call *c)
{
    const ir_signature *s = c->signature = ir_signature_of(c->row->code);
    c->n_operands = split_names(c->row->operands, c->operand_rows, IR_MAX_SLOTS);
    if (!*c->row->operands)
        for (unsigned i = 0; i < s->n_operands; i++) {
            builtin_parameter *p = &c->operand_rows[c->n_operands++];
            p->optional = s->operands[i].optional;
            snprintf(p->name, sizeof p->name, "%s", s->operands[i].name);
        }
    find_attributes(c);
}

static void describe_usage(text *out, const builtin_call *c)
{
    text_printf(out, "%s(", c->row->name);
    for (unsigned i = 0; i < c->n_operands; i++)
        text_printf(out, c->operand_rows[i].optional ? "%s[%s]" : "%s%s", i ? ", " : "",
                    c->operand_rows[i].name);
    for (unsigned i = 0; i < c->n_attributes; i++)
        if (*c->attribute_rows[i].name)
            text_printf(out, ", [%s = ..]", c->attribute_rows[i].name);
    text_char(out, ')');
}

static value usage_error(frontend *f, location where, const builtin_call *c, const char *problem)
{
    text usage = {0};
    describe_usage(&usage, c);
    fail(f, where, "%s", problem);
    note(f, NOWHERE, "it is called as %s", text_string(&usage));
    text_free(&usage);
    return poison();
}

// ------------------------------------------------------------------- arguments

static ast_node **slot_by_name(builtin_call *c, const char *name)
{
    for (unsigned i = 0; i < c->n_operands; i++)
        if (!strcmp(c->operand_rows[i].name, name))
            return &c->operands[i];
    for (unsigned i = 0; i < c->n_attributes; i++)
        if (!strcmp(c->attribute_rows[i].name, name))
            return &c->attributes[i];
    return NULL;
}

static value unknown_argument(frontend *f, builtin_call *c, const ast_node *n)
{
    const char *known[IR_MAX_SLOTS + BUILTIN_MAX_ATTRIBUTES];
    size_t count = 0;
    for (unsigned i = 0; i < c->n_operands; i++)
        known[count++] = c->operand_rows[i].name;
    for (unsigned i = 0; i < c->n_attributes; i++)
        if (*c->attribute_rows[i].name)
            known[count++] = c->attribute_rows[i].name;
    return usage_error(f, n->name_at, c,
                       arena_format(f->arena, "'%s' has no argument '%s'%s", c->row->name, n->name,
                                    suggestion(f, n->name, known, count)));
}

static bool sort_arguments(frontend *f, builtin_call *c)
{
    unsigned next = 0;
    bool named = false;
    for (size_t i = 0; i < c->syntax->children.count; i++) {
        ast_node *n = ast_child(c->syntax, i), **slot;
        if (n->kind == AST_ARGUMENT) {
            named = true;
            slot = slot_by_name(c, n->name);
            if (!slot)
                return unknown_argument(f, c, n).kind;
            n = ast_child(n, 0);
        } else if (named || next >= c->n_operands) {
            return usage_error(
                       f, n->where, c,
                       named ? "arguments without a name come first"
                             : arena_format(f->arena, "'%s' has too many arguments", c->row->name))
                .kind;
        } else {
            slot = &c->operands[next++];
        }
        if (*slot)
            return usage_error(f, n->where, c, "an argument is given twice").kind;
        *slot = n;
    }
    return true;
}

// A weight that the file lacks leaves its optional operand out.
static bool evaluate_operand(frontend *f, builtin_call *c, unsigned i)
{
    c->values[i] = evaluate(f, c->operands[i]);
    if (c->operand_rows[i].optional && weights_absent(f, c->values[i]))
        c->operands[i] = NULL;
    return !is_poison(c->values[i]);
}

static bool evaluate_operands(frontend *f, builtin_call *c)
{
    bool good = true;
    for (unsigned i = 0; i < c->n_operands; i++) {
        if (c->operands[i])
            good &= evaluate_operand(f, c, i);
        else if (!c->operand_rows[i].optional)
            return usage_error(f, c->syntax->where, c,
                               arena_format(f->arena, "'%s' lacks its argument '%s'", c->row->name,
                                            c->operand_rows[i].name))
                .kind;
    }
    return good;
}

static bool fold(frontend *f, const builtin_call *c, value *out)
{
    bool numbers = is_number(c->values[0]) && (c->n_operands == 1 || is_number(c->values[1]));
    if (!numbers || (!c->row->fold && c->row->rule != rule_pair))
        return false;
    if (c->row->rule == rule_pair) {
        bool first = value_as_double(c->values[0]) > value_as_double(c->values[1]);
        *out = c->values[first == (c->row->code == IR_MAX) ? 0 : 1];
        return true;
    }
    double x = c->row->fold(value_as_double(c->values[0]));
    bool whole =
        c->values[0].kind == VALUE_INTEGER && c->row->rule == rule_numeric && fabs(x) < 0x1p53;
    if (isfinite(x))
        *out = whole ? value_integer((int64_t)x) : value_number(x);
    else
        *out = fail(f, c->syntax->where, "'%s' of %s is not a finite number", c->row->name,
                    describe(f, c->values[0]));
    return true;
}

value evaluate_builtin(frontend *f, ast_node *call, bool *known)
{
    builtin_call c = {.syntax = call};
    for (size_t i = 0; i < N_BUILTINS && !c.row; i++)
        if (!strcmp(rows[i].name, call->name))
            c.row = &rows[i];
    *known = c.row != NULL;
    if (!c.row)
        return poison();
    value folded;
    find_parameters(&c);
    if (!sort_arguments(f, &c) || !evaluate_operands(f, &c))
        return poison();
    if (fold(f, &c, &folded))
        return folded;
    for (unsigned i = 0; i < c.n_operands && !f->builder; i++)
        if (c.values[i].kind == VALUE_TEXT || c.values[i].kind == VALUE_BOOLEAN)
            return fail(f, c.operands[i]->where, "'%s' needs numbers, this is %s", call->name,
                        describe(f, c.values[i]));
    if (!f->builder)
        return fail(f, call->where,
                    "'%s' works on run-time values; they exist only inside functions", call->name);
    return c.row->rule(f, &c);
}

// ------------------------------------------------------------------- for rules

ir_value *builtin_operand(frontend *f, const builtin_call *c, unsigned slot)
{
    return c->operands[slot] ? runtime(f, c->operands[slot], c->values[slot], NULL) : NULL;
}

ast_node *builtin_attribute(const builtin_call *c, const char *name)
{
    for (unsigned i = 0; i < c->n_attributes; i++)
        if (!strcmp(c->attribute_rows[i].name, name))
            return c->attributes[i];
    return NULL;
}

static bool builtin_type(frontend *f, const builtin_call *c, scalar_type otherwise,
                         scalar_type *out)
{
    const ast_node *n = builtin_attribute(c, "type");
    *out = otherwise;
    if (!n || (n->kind == AST_NAME && type_scalar(f, n->name, n->where, out)))
        return true;
    fail(f, n->where, "'type' is the name of a scalar type, such as f32; this is '%s'",
         describe_syntax(f, n));
    return false;
}

bool builtin_float_type(frontend *f, const builtin_call *c, scalar_type otherwise, scalar_type *out)
{
    if (!builtin_type(f, c, otherwise, out))
        return false;
    if (!scalar_is_float(*out))
        fail(f, builtin_attribute(c, "type")->where,
             "'%s' gives floats, not %s; round and convert its result", c->row->name,
             scalar_rows[*out].name);
    return scalar_is_float(*out);
}

bool builtin_number(frontend *f, const builtin_call *c, const char *name, double *inout)
{
    ast_node *n = builtin_attribute(c, name);
    if (!n)
        return true;
    value v = evaluate(f, n);
    if (is_number(v))
        *inout = value_as_double(v);
    else if (!is_poison(v))
        fail(f, n->where, "'%s' must be a number known at compile time, this is %s", name,
             describe(f, v));
    return is_number(v);
}

// One of the words of `row`: as it stands, or an expression that gives it as a text. NULL:
// neither, reported.
static const char *read_word(frontend *f, const ir_attribute_row *row, ast_node *n)
{
    if (n->kind == AST_NAME && ir_attribute_word_allowed(row, n->name))
        return n->name;
    bool known = n->kind != AST_NAME || binding_find(f, n->name) || declaration_find(f, n->name);
    value v = known ? evaluate(f, n) : poison();
    if (v.kind == VALUE_TEXT && ir_attribute_word_allowed(row, v.text))
        return v.text;
    if (!known || !is_poison(v))
        fail(f, n->where, "'%s' is one of: %.*s%s", row->name, (int)strcspn(row->words, "}"),
             row->words, known ? arena_format(f->arena, "; this is %s", describe(f, v)) : "");
    return NULL;
}

bool builtin_word(frontend *f, const builtin_call *c, const char *name, const char *words,
                  const char **inout)
{
    ast_node *n = builtin_attribute(c, name);
    ir_attribute_row row = {.words = words};
    snprintf(row.name, sizeof row.name, "%s", name);
    if (n)
        *inout = read_word(f, &row, n);
    return *inout;
}

static bool set_word(frontend *f, const ir_attribute_row *row, ast_node *n, ir_op *op)
{
    const char *word = read_word(f, row, n);
    if (word)
        ir_set_name(op, row->name, word);
    return word;
}

static bool set_attribute(frontend *f, const ir_attribute_row *row, ast_node *n, ir_op *op)
{
    if (row->kind == IR_ATTR_NAME)
        return set_word(f, row, n, op);
    value v = evaluate(f, n);
    if (is_poison(v))
        return false;
    if (row->kind == IR_ATTR_NUMBER && is_number(v))
        ir_set_number(op, row->name, value_as_double(v));
    else if (row->kind == IR_ATTR_INTEGER && v.kind == VALUE_INTEGER)
        ir_set_integer(op, row->name, v.integer);
    else if (row->kind == IR_ATTR_BOOLEAN && v.kind == VALUE_BOOLEAN)
        ir_set_boolean(op, row->name, v.integer != 0);
    else if (row->kind == IR_ATTR_TEXT && v.kind == VALUE_TEXT)
        ir_set_text(op, row->name, v.text);
    else
        return fail(f, n->where, "'%s' must be %s known at compile time, this is %s", row->name,
                    row->kind == IR_ATTR_NUMBER    ? "a number"
                    : row->kind == IR_ATTR_INTEGER ? "a whole number"
                    : row->kind == IR_ATTR_BOOLEAN ? "true or false"
                                                   : "a text",
                    describe(f, v))
            .kind;
    return true;
}

bool builtin_attributes(frontend *f, const builtin_call *c, ir_op *op)
{
    bool good = true;
    for (unsigned i = 0; i < c->signature->n_attributes; i++)
        if (c->attributes[i])
            good &= set_attribute(f, &c->signature->attributes[i], c->attributes[i], op);
    return good;
}

value builtin_finish(frontend *f, const builtin_call *c, ir_value *v)
{
    return builtin_attributes(f, c, v->op) ? runtime_value(v) : poison();
}

value builtin_wrong_operand(frontend *f, const builtin_call *c, unsigned slot, const char *wanted,
                            const char *found)
{
    return fail(f, c->operands[slot]->where, "'%s' needs %s as '%s', this is %s", c->row->name,
                wanted, c->operand_rows[slot].name, found);
}

static value wrong_operand(frontend *f, const builtin_call *c, unsigned slot, const char *wanted,
                           const ir_type *t)
{
    return builtin_wrong_operand(f, c, slot, wanted, describe_type(f, t));
}

// ----------------------------------------------------------------------- rules

static value rule_numeric(frontend *f, const builtin_call *c)
{
    ir_value *x = builtin_operand(f, c, 0);
    if (!x)
        return poison();
    return builtin_finish(f, c, emit(f, c->syntax->where, c->row->code, x->type, x, NULL, NULL));
}

static value rule_float(frontend *f, const builtin_call *c)
{
    ir_value *x = builtin_operand(f, c, 0);
    if (!x)
        return poison();
    if (!ir_type_is_float(x->type))
        return wrong_operand(f, c, 0, "floats (convert: f32(...))", x->type);
    return builtin_finish(f, c, emit(f, c->syntax->where, c->row->code, x->type, x, NULL, NULL));
}

static value rule_pair(frontend *f, const builtin_call *c)
{
    return evaluate_elementwise(f, c->syntax->where, c->row->name, c->row->code, c->operands[0],
                                c->values[0], c->operands[1], c->values[1]);
}

static bool is_float_tensor(const ir_type *t)
{
    return t->kind == IR_TENSOR && t->rank && ir_type_is_float(t);
}

// gain and bias of a norm: a vector over the last dimension.
static bool check_vector(frontend *f, const builtin_call *c, unsigned slot, const ir_value *v,
                         const ir_type *x)
{
    ir_dim last = x->dims[x->rank - 1];
    if (is_float_tensor(v->type) && v->type->rank == 1 && ir_dim_equal(v->type->dims[0], last))
        return true;
    wrong_operand(f, c, slot,
                  arena_format(f->arena, "a float vector of %s elements (x is %s)",
                               describe_dim(f, last), describe_type(f, x)),
                  v->type);
    if (v->global)
        note(f, v->global->where, "'%s' is declared here", v->global->name);
    return false;
}

// A negative epsilon would be the root of a negative number where x is nearly 0.
static bool check_epsilon(frontend *f, const builtin_call *c)
{
    double eps = 0;
    if (!builtin_number(f, c, "eps", &eps))
        return false;
    if (eps >= 0 && eps <= FLT_MAX)
        return true;
    return fail(f, builtin_attribute(c, "eps")->where, "'eps' is an f32 not below 0, this is %.9g",
                eps)
        .kind;
}

static value rule_rowwise(frontend *f, const builtin_call *c)
{
    ir_value *operands[IR_MAX_SLOTS] = {NULL};
    for (unsigned i = 0; i < c->n_operands; i++) {
        operands[i] = builtin_operand(f, c, i);
        if (c->operands[i] && !operands[i])
            return poison();
    }
    const ir_type *x = operands[0]->type;
    if (!is_float_tensor(x))
        return wrong_operand(f, c, 0, "a float tensor", x);
    for (unsigned i = 1; i < c->n_operands; i++)
        if (operands[i] && !check_vector(f, c, i, operands[i], x))
            return poison();
    if (!check_epsilon(f, c))
        return poison();
    return builtin_finish(
        f, c, emit(f, c->syntax->where, c->row->code, x, operands[0], operands[1], operands[2]));
}

static value rule_quantize(frontend *f, const builtin_call *c)
{
    scalar_type s;
    ir_value *x = builtin_operand(f, c, 0);
    if (!x || !builtin_type(f, c, SCALAR_I8, &s))
        return poison();
    if (!is_float_tensor(x->type))
        return wrong_operand(f, c, 0, "a float tensor", x->type);
    if (s != SCALAR_I8 && s != SCALAR_I16)
        return fail(f, builtin_attribute(c, "type")->where, "'quantize' gives i8 or i16, not %s",
                    scalar_rows[s].name);
    const ir_type *results[2] = {
        ir_type_with_scalar(f->module, x->type, s),
        ir_type_tensor(f->module, SCALAR_F32, x->type->rank - 1, x->type->dims)};
    f->builder->where = c->syntax->where;
    ir_op *op = ir_build(f->builder, IR_QUANTIZE, 1, &x, 2, results);
    value *items = ARENA_ARRAY(f->arena, value, 2);
    items[0] = runtime_value(ir_result(op, 0));
    items[1] = runtime_value(ir_result(op, 1));
    return (value){.kind = VALUE_TUPLE, .items = items, .count = 2};
}

// ------------------------------------------------------------------------ list

void frontend_list_functions(text *out)
{
    for (size_t i = 0; i < N_BUILTINS; i++) {
        builtin_call c = {.row = &rows[i]};
        text line = {0};
        find_parameters(&c);
        describe_usage(&line, &c);
        text_printf(out, "%-52s %s\n", text_string(&line),
                    rows[i].doc ? rows[i].doc : ir_op_rows[rows[i].code].doc);
        text_free(&line);
    }
}
