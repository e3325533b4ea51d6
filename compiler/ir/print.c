#include "compiler/ir/module.h"
#include "compiler/ir/signature.h"

#include <math.h>
#include <string.h>

typedef struct printer {
    text *out;
    arena *scratch;
    const ir_module *module;
    ir_mapping *names; // value -> printed name
    ir_mapping *taken; // printed name -> the next suffix to try
    location last;     // of the operation printed before, NOWHERE when it has none
    unsigned numbered, depth;
} printer;

// ---------------------------------------------------------------------- names

bool ir_is_word(const char *s)
{
    if (!(*s == '_' || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')))
        return false;
    for (; *s; s++)
        if (!(*s == '_' || *s == '.' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
              (*s >= 'A' && *s <= 'Z')))
            return false;
    return true;
}

static const char *word_of(printer *p, const char *wish)
{
    if (ir_is_word(wish))
        return wish;
    char *word = arena_format(p->scratch, "_%s", wish);
    for (char *at = word; *at; at++)
        if (!ir_is_word((char[]){'_', *at, 0}))
            *at = '_';
    return word;
}

static bool take(printer *p, const char *name)
{
    const char *key = arena_intern(p->scratch, name);
    if (ir_mapping_find(p->taken, key))
        return false;
    ir_mapping_put(p->taken, key, (void *)(uintptr_t)1);
    return true;
}

static const char *unique(printer *p, const char *wish)
{
    const char *base = arena_intern(p->scratch, word_of(p, wish));
    if (take(p, base))
        return base;
    uintptr_t suffix = (uintptr_t)ir_mapping_find(p->taken, base);
    const char *name;
    do
        name = arena_format(p->scratch, "%s_%zu", base, (size_t)suffix++);
    while (!take(p, name));
    ir_mapping_put(p->taken, base, (void *)suffix);
    return name;
}

static void name_value(printer *p, const ir_value *v)
{
    const char *name =
        v->name && *v->name ? unique(p, v->name) : arena_format(p->scratch, "%u", p->numbered++);
    ir_mapping_put(p->names, v, (void *)name);
}

// In the order in which the names stand in the text.
static void name_block(printer *p, const ir_block *b)
{
    for (size_t i = 0; i < b->arguments.count; i++)
        name_value(p, b->arguments.items[i]);
    IR_FOR_OPS(op, b)
    {
        for (unsigned i = 0; i < op->n_results; i++)
            name_value(p, &op->results[i]);
        for (unsigned i = 0; i < op->n_regions; i++)
            name_block(p, op->regions[i]);
    }
}

static void begin_function(printer *p, const ir_function *f)
{
    p->names = ir_mapping_create(p->scratch);
    p->taken = ir_mapping_create(p->scratch);
    p->last = NOWHERE;
    p->numbered = 0;
    name_block(p, f->body);
}

// --------------------------------------------------------------------- pieces

static void print_symbol_name(text *out, char sigil, const char *name)
{
    text_char(out, sigil);
    if (ir_is_word(name))
        text_append(out, name);
    else
        text_quoted(out, name, strlen(name));
}

static void print_value(printer *p, const ir_value *v)
{
    if (v->kind == IR_VALUE_GLOBAL) {
        print_symbol_name(p->out, '@', v->global->name);
        return;
    }
    const char *name = ir_mapping_find(p->names, v);
    text_printf(p->out, "%%%s", name ? name : "<of another function>");
}

static void print_values(printer *p, const ir_use *uses, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        text_append(p->out, i ? ", " : "");
        print_value(p, uses[i].value);
    }
}

// What is printed of a location: nothing for one in the text itself that the module was read from.
static location printable(const printer *p, location where)
{
    bool shown = where.source && where.line && where.source != p->module->text &&
                 *where.source->name && !strchr(where.source->name, '\n');
    return shown ? where : NOWHERE;
}

static void print_location(printer *p, location where)
{
    where = printable(p, where);
    if (where.source)
        text_printf(p->out, "   // %s:%u:%u", where.source->name, where.line, where.column);
}

static bool same_location(location a, location b)
{
    if (!a.source || !b.source)
        return a.source == b.source;
    return a.line == b.line && a.column == b.column && !strcmp(a.source->name, b.source->name);
}

// Only what differs from the line before; the parser takes the rest from there.
static void print_changed_location(printer *p, location where)
{
    where = printable(p, where);
    if (same_location(where, p->last))
        return;
    p->last = where;
    if (where.source)
        print_location(p, where);
    else
        text_append(p->out, "   // -");
}

static void print_number(text *out, double value, bool integral)
{
    if (integral && fabs(value) < 0x1p53 && value == floor(value) &&
        !(value == 0 && signbit(value)))
        text_printf(out, "%.0f", value);
    else
        text_double(out, value);
}

static void print_list(text *out, const ir_attribute *v)
{
    text_char(out, '[');
    for (int64_t i = 0; i < v->integer; i++)
        text_printf(out, "%s%lld", i ? ", " : "", (long long)v->list[i]);
    text_char(out, ']');
}

static void print_attribute_value(text *out, const ir_attribute *v)
{
    switch (v->kind) {
    case IR_ATTR_INTEGER: text_printf(out, "%lld", (long long)v->integer); return;
    case IR_ATTR_NUMBER: text_double(out, v->number); return;
    case IR_ATTR_BOOLEAN: text_append(out, v->integer ? "true" : "false"); return;
    case IR_ATTR_NAME: text_append(out, v->text); return;
    case IR_ATTR_TEXT: text_quoted(out, v->text, strlen(v->text)); return;
    case IR_ATTR_LIST: print_list(out, v); return;
    }
}

// In the row's order, so that equal ops print equally; `skip` ends with NULL and
// names what a custom form has shown already.
static void print_attributes(printer *p, const ir_op *op, const char *const *skip)
{
    const ir_signature *s = ir_signature_of(op->code);
    const char *separator = " {";
    for (unsigned i = 0; i < s->n_attributes; i++) {
        const ir_attribute_row *row = &s->attributes[i];
        const ir_attribute *v = ir_find(op, row->name);
        bool shown = false;
        for (const char *const *at = skip; *at; at++)
            shown |= !strcmp(*at, row->name);
        if (!v || shown || (row->has_default && ir_attribute_equal(v, &row->value)))
            continue;
        text_printf(p->out, "%s%s = ", separator, row->name);
        print_attribute_value(p->out, v);
        separator = ", ";
    }
    if (*separator == ',')
        text_char(p->out, '}');
}

static void print_result_types(printer *p, const ir_op *op)
{
    for (unsigned i = 0; i < op->n_results; i++) {
        text_append(p->out, i ? ", " : " : ");
        ir_type_print(p->out, op->results[i].type);
    }
}

static void print_indent(printer *p)
{
    for (unsigned i = 0; i < p->depth; i++)
        text_append(p->out, "  ");
}

static void print_op(printer *p, const ir_op *op);

// The ops and "}", behind " {" and what follows it.
static void print_block(printer *p, const ir_block *b)
{
    text_char(p->out, '\n');
    p->depth++;
    IR_FOR_OPS(op, b)
    {
        print_op(p, op);
        text_char(p->out, '\n');
    }
    p->depth--;
    print_indent(p);
    text_char(p->out, '}');
}

// " {   // location", the ops, "}"
static void print_region(printer *p, const ir_block *b, location where)
{
    text_append(p->out, " {");
    print_changed_location(p, where);
    print_block(p, b);
}

// ------------------------------------------------------------------ operations

// Required operands and the variadic rest by position, then optional ones by name.
static void print_operands(printer *p, const ir_op *op)
{
    const ir_signature *s = ir_signature_of(op->code);
    const char *separator = " ";
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < op->n_operands; i++) {
            const ir_slot *slot = &s->operands[i < s->n_operands ? i : s->n_operands - 1];
            if (slot->optional != (pass == 1) || !op->operands[i].value)
                continue;
            text_append(p->out, separator);
            if (slot->optional)
                text_printf(p->out, "%s = ", slot->name);
            print_value(p, op->operands[i].value);
            separator = ", ";
        }
    }
}

static const char *const skip_nothing[] = {NULL};

// "(%a = %x : type, ...)": region arguments from `first` with what they start as.
static void print_bindings(printer *p, const ir_op *op, size_t first_argument,
                           unsigned first_operand)
{
    const ir_block *b = op->regions[0];
    text_char(p->out, '(');
    for (size_t i = first_argument; i < b->arguments.count; i++) {
        size_t slot = first_operand + i - first_argument;
        text_append(p->out, i > first_argument ? ", " : "");
        print_value(p, b->arguments.items[i]);
        if (slot < op->n_operands) {
            text_append(p->out, " = ");
            print_value(p, op->operands[slot].value);
        }
        text_append(p->out, " : ");
        ir_type_print(p->out, b->arguments.items[i]->type);
    }
    text_char(p->out, ')');
}

static void print_kernel(printer *p, const ir_op *op)
{
    text_char(p->out, ' ');
    print_attribute_value(p->out, ir_find(op, "name"));
    text_printf(p->out, " %s ", ir_find(op, "kind")->text);
    print_bindings(p, op, 0, 0);
    print_attributes(p, op, (const char *const[]){"name", "kind", NULL});
    print_region(p, op->regions[0], op->where);
}

static void print_carried(printer *p, const ir_op *op, size_t first_argument,
                          unsigned first_operand)
{
    if (op->n_operands <= first_operand)
        return;
    text_append(p->out, " carry ");
    print_bindings(p, op, first_argument, first_operand);
}

static void print_for(printer *p, const ir_op *op)
{
    text_char(p->out, ' ');
    print_value(p, op->regions[0]->arguments.items[0]);
    static const char *const words[] = {" = ", " to ", " step "};
    for (unsigned i = 0; i < 3; i++) {
        text_append(p->out, words[i]);
        print_value(p, op->operands[i].value);
    }
    print_carried(p, op, 1, 3);
    print_attributes(p, op, skip_nothing);
    print_region(p, op->regions[0], op->where);
}

static void print_strip(printer *p, const ir_op *op)
{
    text_char(p->out, ' ');
    print_value(p, op->regions[0]->arguments.items[0]);
    text_append(p->out, ", ");
    print_value(p, op->regions[0]->arguments.items[1]);
    text_append(p->out, " in ");
    print_value(p, op->operands[0].value);
    print_carried(p, op, 2, 1);
    print_attributes(p, op, skip_nothing);
    print_region(p, op->regions[0], op->where);
}

static void print_if(printer *p, const ir_op *op)
{
    print_operands(p, op);
    print_region(p, op->regions[0], op->where);
    text_append(p->out, " else {");
    print_block(p, op->regions[1]);
}

static void print_constant(printer *p, const ir_op *op)
{
    const ir_type *t = op->results[0].type;
    text_char(p->out, ' ');
    print_number(p->out, ir_find(op, "value")->number, !ir_type_is_float(t));
}

static void print_dim(printer *p, const ir_op *op)
{
    text_printf(p->out, " %s", ir_find(op, "symbol")->text);
}

static void print_call(printer *p, const ir_op *op)
{
    text_char(p->out, ' ');
    print_symbol_name(p->out, '@', ir_find(op, "callee")->text);
    text_char(p->out, '(');
    print_values(p, op->operands, op->n_operands);
    text_char(p->out, ')');
}

// What a custom form relies on; an op that is not that far prints generically.
static bool is_well_formed(const ir_op *op)
{
    switch (op->code) {
    case IR_CONSTANT: return op->n_results == 1 && ir_find(op, "value");
    case IR_DIMENSION: return ir_find(op, "symbol") != NULL;
    case IR_CALL: return ir_find(op, "callee") != NULL;
    case IR_KERNEL: return ir_find(op, "name") && ir_find(op, "kind");
    case IR_FOR: return op->regions[0]->arguments.count >= 1;
    case IR_STRIP: return op->regions[0]->arguments.count >= 2;
    default: return true;
    }
}

static void print_generic(printer *p, const ir_op *op)
{
    print_operands(p, op);
    print_attributes(p, op, skip_nothing);
    for (unsigned i = 0; i < op->n_regions; i++)
        print_region(p, op->regions[i], op->where);
}

static void print_form(printer *p, const ir_op *op)
{
    switch (is_well_formed(op) ? op->code : IR_OPCODE_COUNT) {
    case IR_CONSTANT: print_constant(p, op); break;
    case IR_DIMENSION: print_dim(p, op); break;
    case IR_CALL: print_call(p, op); break;
    case IR_KERNEL: print_kernel(p, op); break;
    case IR_FOR: print_for(p, op); break;
    case IR_STRIP: print_strip(p, op); break;
    case IR_IF: print_if(p, op); break;
    default: print_generic(p, op); break;
    }
}

static void print_op(printer *p, const ir_op *op)
{
    print_indent(p);
    for (unsigned i = 0; i < op->n_results; i++) {
        text_append(p->out, i ? ", " : "");
        print_value(p, &op->results[i]);
    }
    text_append(p->out, op->n_results ? " = " : "");
    text_append(p->out, ir_op_rows[op->code].name);
    print_form(p, op);
    print_result_types(p, op);
    if (!op->n_regions)
        print_changed_location(p, op->where);
}

// ---------------------------------------------------------- functions, modules

static void print_function(printer *p, const ir_function *f)
{
    text_append(p->out, f->entry ? "entry func " : "func ");
    print_symbol_name(p->out, '@', f->name);
    text_char(p->out, '(');
    for (size_t i = 0; i < f->body->arguments.count; i++) {
        text_append(p->out, i ? ", " : "");
        print_value(p, f->body->arguments.items[i]);
        text_append(p->out, ": ");
        ir_type_print(p->out, f->body->arguments.items[i]->type);
    }
    text_append(p->out, ") -> (");
    for (size_t i = 0; i < f->results.count; i++) {
        text_append(p->out, i ? ", " : "");
        ir_type_print(p->out, f->results.items[i]);
    }
    text_char(p->out, ')');
    print_region(p, f->body, f->where);
    text_char(p->out, '\n');
}

static void print_elements(text *out, const ir_global *g)
{
    bool integral = !ir_type_is_float(g->value.type);
    text_append(out, " = [");
    for (int64_t i = 0, count = ir_constant_count(g); i < count; i++) {
        text_append(out, i ? ", " : "");
        print_number(out, g->values[i], integral);
    }
    text_char(out, ']');
}

static void print_global(printer *p, const ir_global *g)
{
    text_printf(p->out, "%s ", ir_global_kind_words[g->kind]);
    print_symbol_name(p->out, '@', g->name);
    text_append(p->out, " : ");
    ir_type_print(p->out, g->value.type);
    if (g->source) {
        text_append(p->out, " = ");
        text_quoted(p->out, g->source, strlen(g->source));
    }
    if (g->kind == IR_GLOBAL_CONSTANT)
        print_elements(p->out, g);
    if (g->packed)
        text_printf(p->out, " at 0x%llx size %llu", (unsigned long long)g->address,
                    (unsigned long long)g->size);
    print_location(p, g->where);
    text_char(p->out, '\n');
}

static void print_header(printer *p, const ir_module *m)
{
    const char *separator = " {";
    text_append(p->out, "module ");
    text_quoted(p->out, m->name, strlen(m->name));
    for (size_t i = 0; i < IR_MODULE_SETTINGS; i++) {
        const ir_module_setting *s = &ir_module_settings[i];
        const char *value = *(const char *const *)((const char *)m + s->offset);
        if (!value)
            continue;
        text_printf(p->out, "%s%s = ", separator, s->name);
        if (ir_is_word(value))
            text_append(p->out, value);
        else
            text_quoted(p->out, value, strlen(value));
        separator = ", ";
    }
    text_append(p->out, *separator == ',' ? "}\n" : "\n");
}

static printer begin(text *out, const ir_module *m)
{
    return (printer){.out = out, .scratch = arena_create(), .module = m};
}

void ir_print_module(text *out, const ir_module *m)
{
    printer p = begin(out, m);
    print_header(&p, m);
    for (size_t i = 0; i < m->symbols.count; i++) {
        const ir_symbol *s = m->symbols.items[i];
        text_printf(out, "%sdim %s in %lld..%lld", i ? "" : "\n", s->name, (long long)s->minimum,
                    (long long)s->maximum);
        print_location(&p, s->where);
        text_char(out, '\n');
    }
    for (const ir_global *g = m->globals; g; g = g->next) {
        text_append(out, g == m->globals ? "\n" : "");
        print_global(&p, g);
    }
    for (const ir_function *f = m->functions; f; f = f->next) {
        text_char(out, '\n');
        begin_function(&p, f);
        print_function(&p, f);
    }
    arena_destroy(p.scratch);
}
