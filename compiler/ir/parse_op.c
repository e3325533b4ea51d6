// Statements and blocks: results, what stands behind the operation, regions.
#include "compiler/ir/statement.h"

ir_value lir_poison;

// ---------------------------------------------------------------------- names

static bool is_number_name(const char *name)
{
    return *name >= '0' && *name <= '9';
}

bool lir_define(parser *p, const token *name, ir_value *v)
{
    ir_value *hidden = ir_mapping_find(p->names, name->value);
    if (hidden && v != &lir_poison && hidden != &lir_poison)
        return lir_error(p, name->where, "%%%s is defined twice", name->value);
    ir_mapping_put(p->names, name->value, v);
    ARRAY_PUSH(p->arena, &p->visible, (scoped_name){name->value, hidden});
    if (v != &lir_poison && !is_number_name(name->value))
        v->name = name->value;
    return true;
}

static void leave_scope(parser *p, size_t visible)
{
    while (p->visible.count > visible) {
        scoped_name s = p->visible.items[--p->visible.count];
        ir_mapping_put(p->names, s.name, s.hidden);
    }
}

// -------------------------------------------------------------------- building

static bool parse_result_types(parser *p, statement *s)
{
    const ir_type *type;
    if (s->results.count == 0)
        return true;
    if (!lir_expect(p, ":"))
        return false;
    do {
        if (!lir_type(p, &type))
            return false;
        ARRAY_PUSH(p->arena, &s->types, type);
    } while (lir_accept(p, ","));
    if (s->types.count == s->results.count)
        return true;
    return lir_error(p, s->name.where, "%zu result%s but %zu type%s", s->results.count,
                     s->results.count == 1 ? "" : "s", s->types.count,
                     s->types.count == 1 ? "" : "s");
}

// The results' types of an op with regions stand behind them: such an op is
// built without and completed afterwards.
static ir_op *build(parser *p, statement *s, ir_block *b)
{
    ir_builder at = ir_builder_at_end(b);
    at.where = s->name.where;
    for (size_t i = 0; i < s->operands.count; i++)
        if (s->operands.items[i] == &lir_poison)
            s->operands.items[i] = NULL;
    ir_op *op = ir_build(&at, s->code, (unsigned)s->operands.count, s->operands.items,
                         (unsigned)s->types.count, s->types.items);
    for (size_t i = 0; i < s->attributes.count; i++)
        ARRAY_PUSH(p->arena, &op->attributes, s->attributes.items[i]);
    return op;
}

static void set_results(parser *p, statement *s)
{
    ir_op *op = s->op;
    op->n_results = (unsigned)s->types.count;
    op->results = ARENA_ARRAY(p->arena, ir_value, op->n_results);
    for (unsigned i = 0; i < op->n_results; i++)
        op->results[i] =
            (ir_value){.kind = IR_VALUE_RESULT, .type = s->types.items[i], .op = op, .index = i};
}

// -------------------------------------------------------------- forms of regions

// "(%a = %x : type, ...)"
static bool parse_bindings(parser *p, statement *s)
{
    if (!lir_expect(p, "("))
        return false;
    for (bool more = false; !lir_accept(p, ")"); more = true) {
        const ir_type *type;
        if (more && !lir_expect(p, ","))
            return false;
        if (p->now.kind != TOKEN_VALUE)
            return lir_expected(p, "%name = %value : type");
        ARRAY_PUSH(p->arena, &s->arguments, p->now);
        lir_advance(p);
        if (!lir_expect(p, "=") || !statement_value(p, s) || !lir_expect(p, ":") ||
            !lir_type(p, &type))
            return false;
        ARRAY_PUSH(p->arena, &s->argument_types, type);
    }
    return true;
}

static bool add_counter(parser *p, statement *s)
{
    if (p->now.kind != TOKEN_VALUE)
        return lir_expected(p, "a name like %i");
    ARRAY_PUSH(p->arena, &s->arguments, p->now);
    ARRAY_PUSH(p->arena, &s->argument_types, ir_type_index(p->module));
    lir_advance(p);
    return true;
}

static bool open_region(parser *p, statement *s, ir_block *b)
{
    s->op = build(p, s, b);
    s->visible = p->visible.count;
    for (size_t i = 0; i < s->arguments.count; i++) {
        ir_value *v = ir_block_argument(s->op->regions[0], s->argument_types.items[i], NULL);
        if (!lir_define(p, &s->arguments.items[i], v))
            return false;
    }
    return true;
}

static bool parse_region(parser *p, statement *s, unsigned index)
{
    return lir_block(p, s->op->regions[index], index ? p->visible.count : s->visible,
                     index ? &(location){0} : &s->where);
}

static bool parse_kernel(parser *p, statement *s, ir_block *b)
{
    return statement_attribute(p, s, ir_attribute_row_of(IR_KERNEL, "name")) &&
           statement_attribute(p, s, ir_attribute_row_of(IR_KERNEL, "kind")) &&
           parse_bindings(p, s) && statement_attributes(p, s) && open_region(p, s, b) &&
           parse_region(p, s, 0);
}

static bool parse_carried(parser *p, statement *s)
{
    return !lir_accept(p, "carry") || parse_bindings(p, s);
}

static bool parse_for(parser *p, statement *s, ir_block *b)
{
    return add_counter(p, s) && lir_expect(p, "=") && statement_value(p, s) &&
           lir_expect(p, "to") && statement_value(p, s) && lir_expect(p, "step") &&
           statement_value(p, s) && parse_carried(p, s) && statement_attributes(p, s) &&
           open_region(p, s, b) && parse_region(p, s, 0);
}

static bool parse_strip(parser *p, statement *s, ir_block *b)
{
    return add_counter(p, s) && lir_expect(p, ",") && add_counter(p, s) && lir_expect(p, "in") &&
           statement_value(p, s) && parse_carried(p, s) && statement_attributes(p, s) &&
           open_region(p, s, b) && parse_region(p, s, 0);
}

static bool parse_if(parser *p, statement *s, ir_block *b)
{
    return statement_value(p, s) && open_region(p, s, b) && parse_region(p, s, 0) &&
           lir_expect(p, "else") && parse_region(p, s, 1);
}

// ------------------------------------------------------------- forms of other ops

static bool parse_constant(parser *p, statement *s)
{
    return statement_attribute(p, s, ir_attribute_row_of(IR_CONSTANT, "value"));
}

static bool parse_symbol(parser *p, statement *s)
{
    ir_attribute v = {.name = arena_intern(p->arena, "symbol"), .kind = IR_ATTR_TEXT};
    if (!lir_word(p, "a dimension's name", &v.text))
        return false;
    ARRAY_PUSH(p->arena, &s->attributes, v);
    return true;
}

static bool parse_call(parser *p, statement *s)
{
    ir_attribute v = {.name = arena_intern(p->arena, "callee"), .kind = IR_ATTR_TEXT};
    if (p->now.kind != TOKEN_GLOBAL)
        return lir_expected(p, "a function like @f");
    v.text = p->now.value;
    ARRAY_PUSH(p->arena, &s->attributes, v);
    lir_advance(p);
    if (!lir_expect(p, "("))
        return false;
    while (!lir_accept(p, ")"))
        if ((s->operands.count && !lir_expect(p, ",")) || !statement_value(p, s))
            return false;
    return true;
}

static bool parse_generic(parser *p, statement *s)
{
    return statement_operands(p, s) && statement_attributes(p, s);
}

static bool parse_form(parser *p, statement *s, ir_block *b)
{
    switch (s->code) {
    case IR_CONSTANT: return parse_constant(p, s);
    case IR_DIMENSION: return parse_symbol(p, s);
    case IR_CALL: return parse_call(p, s);
    case IR_KERNEL: return parse_kernel(p, s, b);
    case IR_FOR: return parse_for(p, s, b);
    case IR_STRIP: return parse_strip(p, s, b);
    case IR_IF: return parse_if(p, s, b);
    default: return parse_generic(p, s);
    }
}

// -------------------------------------------------------------------- statements

static bool parse_result_names(parser *p, statement *s)
{
    if (p->now.kind != TOKEN_VALUE)
        return true;
    do {
        if (p->now.kind != TOKEN_VALUE)
            return lir_expected(p, "a result like %y");
        ARRAY_PUSH(p->arena, &s->results, p->now);
        lir_advance(p);
    } while (lir_accept(p, ","));
    return lir_expect(p, "=");
}

static bool parse_opcode(parser *p, statement *s)
{
    const char *name, *names[IR_OPCODE_COUNT];
    s->name = p->now;
    s->where = s->name.where;
    if (s->name.kind != TOKEN_WORD && !s->results.count)
        return lir_unexpected(p, "an operation");
    if (!lir_word(p, "an operation", &name))
        return false;
    if (ir_opcode_by_name(name, &s->code))
        return true;
    for (unsigned i = 0; i < IR_OPCODE_COUNT; i++)
        names[i] = ir_op_rows[i].name;
    const char *near = text_nearest(name, names, IR_OPCODE_COUNT);
    return lir_error(p, s->name.where, "unknown operation '%s'%s%s%s", name,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool finish_statement(parser *p, statement *s, ir_block *b)
{
    if (!parse_result_types(p, s))
        return false;
    bool located = s->op && p->now.kind != TOKEN_LOCATION; // behind the brace
    if (!located && !lir_op_location(p, &s->where))
        return false;
    if (!p->now.first && !token_is(&p->now, "}"))
        return lir_expected(p, "the end of the line");
    if (s->op)
        set_results(p, s);
    else if (!s->poisoned)
        s->op = build(p, s, b);
    if (s->op && s->where.source != p->module->text)
        ARRAY_PUSH(p->arena, &p->locations, (parsed_location){s->op, s->where});
    for (size_t i = 0; i < s->results.count; i++)
        if (!lir_define(p, &s->results.items[i], s->poisoned ? &lir_poison : &s->op->results[i]))
            return false;
    return true;
}

static void parse_statement(parser *p, ir_block *b)
{
    statement s = {0};
    uint32_t line = p->now.where.line;
    size_t visible = p->visible.count;
    unsigned depth = p->depth;
    if (parse_result_names(p, &s) && parse_opcode(p, &s) && parse_form(p, &s, b) &&
        finish_statement(p, &s, b))
        return;
    p->depth = depth;
    leave_scope(p, visible);
    for (size_t i = 0; i < s.results.count; i++)
        if (!ir_mapping_find(p->names, s.results.items[i].value))
            lir_define(p, &s.results.items[i], &lir_poison);
    lir_recover(p, line);
}

bool lir_block(parser *p, ir_block *b, size_t visible, location *where)
{
    if (++p->depth > PARSER_MAX_DEPTH)
        return lir_error(p, p->now.where, "regions are nested more than %d deep", PARSER_MAX_DEPTH);
    if (!lir_expect(p, "{") || !lir_op_location(p, where))
        return false;
    while (!token_is(&p->now, "}")) {
        if (p->now.kind == TOKEN_END && !p->ended) {
            p->ended = true;
            lir_expected(p, "'}'");
        }
        if (p->ended || lir_gives_up(p))
            return false;
        parse_statement(p, b);
    }
    lir_advance(p);
    leave_scope(p, visible);
    p->depth--;
    return true;
}
