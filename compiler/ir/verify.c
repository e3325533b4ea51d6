// The structure of modules: signatures, attributes, dominance, terminators,
// levels. What a single op demands of its types is in verify_graph.c and
// verify_tile.c.
#include "compiler/ir/verify.h"

#include <string.h>

// Largest number of elements of a value: with 8-byte elements far from overflow.
static const int64_t max_elements = INT64_C(1) << 48;

bool verify_error(verifier *v, const ir_op *op, const char *format, ...)
{
    va_list args;
    text message = {0};
    va_start(args, format);
    text_printf(&message, "'%s' ", ir_op_rows[op->code].name);
    text_vprintf(&message, format, args);
    va_end(args);
    diagnostic_error(v->diagnostics, op->where, "%s", text_string(&message));
    text_free(&message);
    return false;
}

const char *verify_type(const verifier *v, const ir_type *t)
{
    text out = {0};
    ir_type_print(&out, t);
    const char *copy = arena_string(v->module->arena, text_string(&out), out.length);
    text_free(&out);
    return copy;
}

// ---------------------------------------------------------------------- types

static const char *table_type_problem(const ir_type *t)
{
    if (t->scalar != SCALAR_I8 && t->scalar != SCALAR_I16 && t->scalar != SCALAR_F16)
        return "table entries are i8, i16 or f16";
    if ((t->scale != TABLE_SCALE_NONE) != (t->scalar == SCALAR_I8))
        return "i8 tables have a scale (row, group or slice), i16 and f16 tables have none";
    if (t->scale == TABLE_SCALE_GROUP && (t->group < 4 || t->group % 4))
        return "a table's scale group is a multiple of 4 activations";
    if (!t->rank)
        return "a table has at least one dimension";
    return NULL;
}

static const char *type_problem(const verifier *v, const ir_type *t)
{
    int64_t elements = 1;
    for (unsigned i = 0; i < t->rank; i++) {
        const ir_symbol *s = t->dims[i].symbol;
        int64_t size = ir_dim_maximum(t->dims[i]);
        if (s && ir_symbol_find(v->module, s->name) != s)
            return "a dimension belongs to another module";
        if (size < 0 && !(t->kind == IR_BUFFER && i == 0 && size == -1))
            return "a size is negative";
        size = size < 1 ? 1 : size;
        if (__builtin_mul_overflow(elements, size, &elements) || elements > max_elements)
            return "more than 2^48 elements";
    }
    if (t->kind == IR_TABLE)
        return table_type_problem(t);
    if (t->kind == IR_WEIGHT && (t->rank != 2 || t->dims[0].symbol || t->dims[1].symbol))
        return "a weight has two constant dimensions, [N, K]";
    return NULL;
}

static bool check_type(verifier *v, location where, const ir_type *t)
{
    const char *problem = type_problem(v, t);
    if (problem)
        diagnostic_error(v->diagnostics, where, "type %s: %s", verify_type(v, t), problem);
    return !problem;
}

// ----------------------------------------------------------------- signatures

static bool check_kind(verifier *v, const ir_op *op, const ir_slot *slot, const char *what,
                       const ir_type *t)
{
    if (slot->kinds & 1u << t->kind)
        return true;
    text kinds = {0};
    ir_kinds_print(&kinds, slot->kinds);
    verify_error(v, op, "takes %s as %s '%s', not %s", text_string(&kinds), what, slot->name,
                 verify_type(v, t));
    text_free(&kinds);
    return false;
}

static bool check_operand(verifier *v, const ir_op *op, unsigned i)
{
    const ir_signature *s = ir_signature_of(op->code);
    const ir_slot *slot = &s->operands[i < s->n_operands ? i : s->n_operands - 1];
    const ir_use *use = &op->operands[i];
    if (use->op != op || use->slot != i)
        return verify_error(v, op, "has a broken use in operand %u", i);
    if (!use->value)
        return slot->optional || verify_error(v, op, "needs operand '%s'", slot->name);
    return check_kind(v, op, slot, "operand", use->value->type);
}

static bool check_operands(verifier *v, const ir_op *op)
{
    const ir_signature *s = ir_signature_of(op->code);
    unsigned fixed = ir_fixed_operands(s);
    if (op->n_operands < fixed || (op->n_operands > fixed && !s->variadic))
        return verify_error(v, op, "takes %u operands, not %u", fixed, op->n_operands);
    bool good = true;
    for (unsigned i = 0; i < op->n_operands; i++)
        good &= check_operand(v, op, i);
    return good;
}

static bool check_results(verifier *v, const ir_op *op)
{
    const ir_signature *s = ir_signature_of(op->code);
    if (!s->variadic_results && op->n_results != s->n_results)
        return verify_error(v, op, "has %u result%s, not %u", s->n_results,
                            s->n_results == 1 ? "" : "s", op->n_results);
    bool good = true;
    for (unsigned i = 0; i < op->n_results; i++) {
        const ir_slot *slot = &s->results[i < s->n_results ? i : s->n_results - 1];
        good &= check_type(v, op->where, op->results[i].type) &&
                check_kind(v, op, slot, "result", op->results[i].type);
    }
    return good;
}

static bool check_attribute(verifier *v, const ir_op *op, const ir_attribute *a)
{
    const ir_attribute_row *row = ir_attribute_row_of(op->code, a->name);
    static const char *const kinds[] = {"an integer", "a number", "a boolean",
                                        "a word",     "a text",   "a list"};
    if (!row)
        return verify_error(v, op, "has no attribute '%s'", a->name);
    if (row->kind != a->kind)
        return verify_error(v, op, "takes %s as attribute '%s', not %s", kinds[row->kind], a->name,
                            kinds[a->kind]);
    if (a->kind == IR_ATTR_NAME && !ir_attribute_word_allowed(row, a->text))
        return verify_error(v, op, "attribute '%s' is one of {%.*s}, not '%s'", a->name,
                            (int)strcspn(row->words, "}"), row->words, a->text);
    return true;
}

static bool check_attributes(verifier *v, const ir_op *op)
{
    const ir_signature *s = ir_signature_of(op->code);
    bool good = true;
    for (size_t i = 0; i < op->attributes.count; i++)
        good &= check_attribute(v, op, &op->attributes.items[i]);
    for (unsigned i = 0; i < s->n_attributes; i++)
        if (!ir_attribute_effective(op, &s->attributes[i]))
            good = verify_error(v, op, "needs attribute '%s'", s->attributes[i].name);
    return good;
}

// ------------------------------------------------------- visibility and levels

static void define(verifier *v, const ir_value *value)
{
    ir_mapping_put(v->defined, value, (void *)value);
    ARRAY_PUSH(v->module->arena, &v->scope, value);
}

static void leave(verifier *v, size_t scope)
{
    while (v->scope.count > scope)
        ir_mapping_put(v->defined, v->scope.items[--v->scope.count], NULL);
}

static bool may_name_states(ir_opcode code)
{
    return code == IR_STATE_READ || code == IR_STATE_WRITE || code == IR_ATTEND ||
           code == IR_KERNEL || code == IR_ADDRESS;
}

static bool check_visible(verifier *v, const ir_op *op)
{
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *x = op->operands[i].value;
        if (!x)
            continue;
        if (x->kind != IR_VALUE_GLOBAL && !ir_mapping_find(v->defined, x))
            return verify_error(v, op, "uses operand %u%s%s before or outside its definition", i,
                                x->name ? ", %" : "", x->name ? x->name : "");
        if (x->kind == IR_VALUE_GLOBAL && x->global->kind == IR_GLOBAL_STATE &&
            !may_name_states(op->code))
            return verify_error(v, op, "uses state @%s; read it with state.read", x->global->name);
        if (x->kind == IR_VALUE_GLOBAL && v->kernel)
            return verify_error(v, op, "uses @%s inside a kernel; pass it as an input",
                                x->global->name);
    }
    return true;
}

static bool check_level(verifier *v, const ir_op *op)
{
    unsigned traits = ir_op_rows[op->code].traits;
    bool graph = traits & IR_GRAPH, tile = traits & IR_TILE_LEVEL;
    if (v->kernel && !(traits & IR_KERNEL_BODY))
        return verify_error(v, op, "cannot stand in a kernel");
    if (graph && !tile && !v->graph_op)
        v->graph_op = op;
    if (tile && !graph && !v->tile_op)
        v->tile_op = op;
    const ir_op *other = graph ? v->tile_op : v->graph_op;
    if (graph != tile && other)
        return verify_error(v, op, "is of the %s level, but the function has '%s' of the %s level",
                            graph ? "graph" : "tile", ir_op_rows[other->code].name,
                            graph ? "tile" : "graph");
    return true;
}

// ---------------------------------------------------------------------- blocks

static bool check_block(verifier *v, const ir_block *b);

static bool check_terminator(verifier *v, const ir_block *b, const ir_op *op)
{
    bool ends = ir_op_rows[op->code].traits & IR_TERMINATOR;
    if (ends && op->next)
        return verify_error(v, op, "must be the last operation of its region");
    if (ends && (op->code == IR_RETURN) != !b->parent)
        return verify_error(v, op, "cannot end %s; use '%s'", b->parent ? "a region" : "a function",
                            b->parent ? "yield" : "return");
    return true;
}

static bool check_regions(verifier *v, const ir_op *op)
{
    bool good = true;
    if (op->n_regions != ir_op_rows[op->code].n_regions)
        return verify_error(v, op, "has %u regions, not %u", ir_op_rows[op->code].n_regions,
                            op->n_regions);
    // A kernel's region sees nothing of what surrounds it.
    const ir_op *kernel = v->kernel;
    ir_mapping *defined = v->defined;
    if (op->code == IR_KERNEL) {
        v->kernel = op;
        v->defined = ir_mapping_create(v->module->arena);
    }
    for (unsigned i = 0; i < op->n_regions; i++)
        good &= check_block(v, op->regions[i]);
    v->kernel = kernel;
    v->defined = defined;
    return good;
}

static bool check_rule(verifier *v, const ir_op *op)
{
    verify_rule *rule = verify_graph_rules[op->code];
    if (!rule)
        rule = verify_tile_rules[op->code];
    if (!rule)
        rule = verify_sequence_rules[op->code];
    if (!rule && ir_op_rows[op->code].traits & IR_ELEMENTWISE)
        rule = verify_elementwise;
    return !rule || rule(v, op);
}

static bool check_op(verifier *v, const ir_block *b, const ir_op *op)
{
    bool operands = check_operands(v, op), results = check_results(v, op);
    bool attributes = check_attributes(v, op);
    bool good = operands && results && attributes && check_visible(v, op) && check_level(v, op) &&
                check_terminator(v, b, op) && check_regions(v, op) && check_rule(v, op);
    for (unsigned i = 0; i < op->n_results; i++)
        define(v, &op->results[i]);
    return good;
}

static location end_of(const ir_block *b)
{
    return b->last ? b->last->where : b->parent ? b->parent->where : b->function->where;
}

static bool check_block(verifier *v, const ir_block *b)
{
    size_t scope = v->scope.count;
    bool good = true;
    for (size_t i = 0; i < b->arguments.count; i++) {
        good &= check_type(v, end_of(b), b->arguments.items[i]->type);
        define(v, b->arguments.items[i]);
    }
    IR_FOR_OPS(op, b)
    good &= check_op(v, b, op);
    if (!b->last || !(ir_op_rows[b->last->code].traits & IR_TERMINATOR)) {
        diagnostic_error(v->diagnostics, end_of(b), "the %s does not end with '%s'",
                         b->parent ? "region" : "function", b->parent ? "yield" : "return");
        good = false;
    }
    leave(v, scope);
    return good;
}

// --------------------------------------------------------------------- modules

static void check_symbol(verifier *v, const ir_symbol *s)
{
    if (s->minimum < 0 || s->maximum < s->minimum)
        diagnostic_error(v->diagnostics, s->where, "dimension '%s': range %lld..%lld is empty",
                         s->name, (long long)s->minimum, (long long)s->maximum);
}

static void check_global(verifier *v, const ir_global *g)
{
    const ir_type *t = g->value.type;
    bool state = g->kind == IR_GLOBAL_STATE, weight = g->kind == IR_GLOBAL_WEIGHT;
    if (t->kind != IR_TENSOR && !(weight && t->kind == IR_WEIGHT)) {
        diagnostic_error(v->diagnostics, g->where, "@%s: a %s is a tensor%s, not %s", g->name,
                         ir_global_kind_words[g->kind],
                         weight ? " or a matrix in a weight format" : "", verify_type(v, t));
        return;
    }
    if (!check_type(v, g->where, t))
        return;
    for (unsigned i = state; i < t->rank; i++) // what a state holds stays where it is
        if (t->dims[i].symbol)
            diagnostic_error(v->diagnostics, g->where, "@%s: a %s's dimensions%s are constant",
                             g->name, ir_global_kind_words[g->kind],
                             state ? " behind the first" : "");
    if (g->packed && g->address % 64)
        diagnostic_error(v->diagnostics, g->where, "@%s: address 0x%llx is not 64-byte aligned",
                         g->name, (unsigned long long)g->address);
}

static void check_function(verifier *v, const ir_function *f)
{
    v->function = f;
    v->graph_op = v->tile_op = v->kernel = NULL;
    v->defined = ir_mapping_create(v->module->arena);
    v->scope.count = 0;
    for (size_t i = 0; i < f->results.count; i++)
        check_type(v, f->where, f->results.items[i]);
    check_block(v, f->body);
}

bool ir_verify(diagnostics *d, const ir_module *m)
{
    size_t errors = diagnostics_errors(d);
    verifier v = {.diagnostics = d, .module = m};
    for (size_t i = 0; i < m->symbols.count; i++)
        check_symbol(&v, m->symbols.items[i]);
    for (const ir_global *g = m->globals; g; g = g->next)
        check_global(&v, g);
    for (const ir_function *f = m->functions; f; f = f->next)
        check_function(&v, f);
    return diagnostics_errors(d) == errors;
}
