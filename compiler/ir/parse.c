#include "compiler/ir/parser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --------------------------------------------------------------------- tokens

void lir_advance(parser *p)
{
    p->last = p->now;
    p->now = lexer_next(&p->lexer);
}

token lir_peek(const parser *p)
{
    lexer copy = p->lexer;
    return lexer_next(&copy);
}

bool lir_error(parser *p, location where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(p->diagnostics, SEVERITY_ERROR, where, format, args);
    va_end(args);
    return false;
}

bool lir_unexpected(parser *p, const char *what)
{
    const token *t = &p->now;
    int shown = t->length < 40 ? (int)t->length : 40;
    if (t->kind == TOKEN_BAD)
        return lir_error(p, t->where, "expected %s, found %s", what, t->value);
    if (t->kind == TOKEN_END)
        return lir_error(p, t->where, "expected %s, found the end of the text", what);
    return lir_error(p, t->where, "expected %s, found '%.*s'", what, shown, t->start);
}

bool lir_expected(parser *p, const char *what)
{
    const token *t = &p->now;
    if ((t->first || t->kind == TOKEN_LOCATION) && p->last.start) {
        location behind = p->last.where;
        behind.column += behind.length;
        behind.length = 1;
        return lir_error(p, behind, "expected %s, found the end of the %s", what,
                         t->kind == TOKEN_END ? "text" : "line");
    }
    return lir_unexpected(p, what);
}

bool lir_accept(parser *p, const char *s)
{
    bool found = token_is(&p->now, s);
    if (found)
        lir_advance(p);
    return found;
}

bool lir_expect(parser *p, const char *s)
{
    char what[16];
    snprintf(what, sizeof what, "'%s'", s);
    return lir_accept(p, s) || lir_expected(p, what);
}

bool lir_word(parser *p, const char *what, const char **out)
{
    if (p->now.kind != TOKEN_WORD)
        return lir_expected(p, what);
    *out = arena_intern_n(p->arena, p->now.start, p->now.length);
    lir_advance(p);
    return true;
}

bool lir_text(parser *p, const char *what, const char **out)
{
    if (p->now.kind != TOKEN_TEXT)
        return lir_expected(p, what);
    *out = p->now.value;
    lir_advance(p);
    return true;
}

bool lir_integer(parser *p, const char *what, int64_t minimum, int64_t maximum, int64_t *out)
{
    long long value;
    if (p->now.kind != TOKEN_NUMBER)
        return lir_expected(p, what);
    if (!text_to_int64(arena_string(p->arena, p->now.start, p->now.length), &value) ||
        value < minimum || value > maximum)
        return lir_error(p, p->now.where, "expected %s, a whole number in %lld..%lld", what,
                         (long long)minimum, (long long)maximum);
    *out = value;
    lir_advance(p);
    return true;
}

bool lir_number(parser *p, double *out)
{
    const char *s = arena_string(p->arena, p->now.start, p->now.length);
    bool negative = *s == '-';
    if ((p->now.kind != TOKEN_NUMBER && p->now.kind != TOKEN_WORD))
        return lir_expected(p, "a number");
    if (!strcmp(s + negative, "inf"))
        *out = negative ? -(double)INFINITY : (double)INFINITY;
    else if (!strcmp(s + negative, "nan"))
        *out = (double)NAN;
    else if (p->now.kind != TOKEN_NUMBER || !text_to_double(s, out))
        return lir_expected(p, "a number");
    lir_advance(p);
    return true;
}

// ------------------------------------------------------------------- locations

static const source *file_source(parser *p, const char *name, size_t length)
{
    const char *key = arena_intern_n(p->arena, name, length);
    const source *file = ir_mapping_find(p->files, key);
    if (!file) {
        file = diagnostics_source(p->diagnostics, key, NULL, 0);
        ir_mapping_put(p->files, key, (void *)file);
    }
    return file;
}

// The number between `from` and `to`, a line or column; 0 when it is none.
static uint32_t small_number(const char *from, const char *to)
{
    uint32_t value = 0;
    for (; from < to && *from >= '0' && *from <= '9' && value < 100000000; from++)
        value = 10 * value + (uint32_t)(*from - '0');
    return from == to ? value : 0;
}

static const char *last_colon(const char *from, const char *to)
{
    while (to > from && to[-1] != ':')
        to--;
    return to > from ? to - 1 : NULL;
}

// An optional trailing location; *out stays as it is without one.
static bool lir_location(parser *p, location *out)
{
    if (p->now.kind != TOKEN_LOCATION)
        return true;
    const char *s = p->now.value, *end = s + strlen(s);
    const char *column = last_colon(s, end), *line = column ? last_colon(s, column) : NULL;
    uint32_t line_number = line ? small_number(line + 1, column) : 0;
    uint32_t column_number = line ? small_number(column + 1, end) : 0;
    if (!line_number || !column_number || line == s)
        return lir_error(p, p->now.where,
                         "expected a location 'file:line:column' behind //; comments start "
                         "with ';'");
    *out = (location){file_source(p, s, (size_t)(line - s)), line_number, column_number, 1};
    lir_advance(p);
    return true;
}

bool lir_op_location(parser *p, location *out)
{
    if (p->now.kind == TOKEN_LOCATION && !strcmp(p->now.value, "-")) {
        p->inherited = NOWHERE;
        lir_advance(p);
    } else if (!lir_location(p, &p->inherited)) {
        return false;
    }
    if (p->inherited.source != p->module->text)
        *out = p->inherited;
    return true;
}

// -------------------------------------------------------------------- recovery

void lir_recover(parser *p, uint32_t line)
{
    unsigned open = 0;
    while (p->now.kind != TOKEN_END) {
        if (p->now.first && !open && p->now.where.line > line)
            return;
        if (token_is(&p->now, "{"))
            open++;
        else if (token_is(&p->now, "}") && open)
            open--;
        lir_advance(p);
    }
}

bool lir_gives_up(const parser *p)
{
    return diagnostics_errors(p->diagnostics) - p->errors >= PARSER_MAX_ERRORS;
}

// ------------------------------------------------------------------ declarations

static bool parse_dim(parser *p)
{
    location where = p->now.where;
    const char *name = NULL;
    int64_t minimum = 0, maximum = 0;
    if (!lir_word(p, "the dimension's name", &name) || !lir_expect(p, "in") ||
        !lir_integer(p, "the smallest size", 0, INT64_C(1) << 40, &minimum) ||
        !lir_expect(p, "..") ||
        !lir_integer(p, "the largest size, not below the smallest", minimum, INT64_C(1) << 40,
                     &maximum) ||
        !lir_location(p, &where))
        return false;
    if (!ir_is_word(name) || strchr(name, '.'))
        return lir_error(p, where, "a dimension's name has no '.'");
    if (ir_symbol_find(p->module, name))
        return lir_error(p, where, "dimension '%s' is declared twice", name);
    ir_symbol_create(p->module, name, minimum, maximum, where);
    return true;
}

static bool parse_address(parser *p, uint64_t *address, uint64_t *size)
{
    int64_t a, n;
    if (!lir_integer(p, "an address", 0, INT64_MAX, &a) || !lir_expect(p, "size") ||
        !lir_integer(p, "a size in bytes", 0, INT64_MAX, &n))
        return false;
    *address = (uint64_t)a;
    *size = (uint64_t)n;
    return true;
}

// A constant's elements. Their number must fit the type, which may be anything yet.
static bool parse_values(parser *p, const ir_type *type, const double **out)
{
    ARRAY_OF(double) values = {0};
    int64_t count = 1;
    if (type->kind != IR_TENSOR)
        return lir_error(p, p->last.where, "a constant is a tensor");
    for (unsigned i = 0; i < type->rank; i++)
        if (type->dims[i].symbol || type->dims[i].value < 0 ||
            __builtin_mul_overflow(count, type->dims[i].value, &count))
            return lir_error(p, p->last.where, "a constant's dimensions are constant");
    if (count > IR_CONSTANT_MAX_ELEMENTS)
        return lir_error(p, p->last.where, "a constant has at most %d elements",
                         IR_CONSTANT_MAX_ELEMENTS);
    location where = p->now.where;
    if (!lir_expect(p, "["))
        return false;
    while (!lir_accept(p, "]")) {
        double value;
        if ((values.count && !lir_expect(p, ",")) || !lir_number(p, &value))
            return false;
        ARRAY_PUSH(p->arena, &values, value);
    }
    if (values.count != (size_t)count)
        return lir_error(p, where, "expected %lld elements, found %zu", (long long)count,
                         values.count);
    *out = values.items;
    return true;
}

static bool parse_constant(parser *p)
{
    token name = p->now;
    location where = name.where;
    const ir_type *type;
    const double *values = NULL;
    if (name.kind != TOKEN_GLOBAL)
        return lir_expected(p, "a name like @angles");
    lir_advance(p);
    if (!lir_expect(p, ":") || !lir_type(p, &type) || !lir_expect(p, "=") ||
        !parse_values(p, type, &values) || !lir_location(p, &where))
        return false;
    if (ir_global_find(p->module, name.value))
        return lir_error(p, name.where, "@%s is declared twice", name.value);
    ir_constant_create(p->module, name.value, type, values, where);
    return true;
}

static bool parse_global(parser *p, ir_global_kind kind)
{
    token name = p->now;
    location where = name.where;
    const ir_type *type;
    const char *origin = NULL;
    uint64_t address = 0, size = 0;
    if (name.kind != TOKEN_GLOBAL)
        return lir_expected(p, "a name like @norm");
    lir_advance(p);
    if (!lir_expect(p, ":") || !lir_type(p, &type))
        return false;
    if (lir_accept(p, "=") && !lir_text(p, "the tensor's name in quotes", &origin))
        return false;
    bool packed = lir_accept(p, "at");
    if ((packed && !parse_address(p, &address, &size)) || !lir_location(p, &where))
        return false;
    if (ir_global_find(p->module, name.value))
        return lir_error(p, name.where, "@%s is declared twice", name.value);
    ir_global *g = ir_global_create(p->module, kind, name.value, type, origin, where);
    g->packed = packed;
    g->address = address;
    g->size = size;
    return true;
}

static bool parse_arguments(parser *p, ir_function *f)
{
    if (!lir_expect(p, "("))
        return false;
    while (!lir_accept(p, ")")) {
        token name = p->now;
        const ir_type *type;
        if (f->body->arguments.count && !lir_expect(p, ","))
            return false;
        name = p->now;
        if (name.kind != TOKEN_VALUE)
            return lir_expected(p, "an argument like %x: f16[T, 64]");
        lir_advance(p);
        if (!lir_expect(p, ":") || !lir_type(p, &type) ||
            !lir_define(p, &name, ir_block_argument(f->body, type, NULL)))
            return false;
    }
    return true;
}

static bool parse_results(parser *p, ir_function *f)
{
    const ir_type *type;
    if (!lir_expect(p, "->") || !lir_expect(p, "("))
        return false;
    while (!lir_accept(p, ")")) {
        if ((f->results.count && !lir_expect(p, ",")) || !lir_type(p, &type))
            return false;
        ARRAY_PUSH(p->arena, &f->results, type);
    }
    return true;
}

static bool parse_function(parser *p, bool entry)
{
    token name = p->now;
    location where = name.where;
    if (name.kind != TOKEN_GLOBAL)
        return lir_expected(p, "a function name like @main");
    lir_advance(p);
    if (ir_function_find(p->module, name.value))
        return lir_error(p, name.where, "function @%s is defined twice", name.value);
    p->function = ir_function_create(p->module, name.value, entry, where);
    p->names = ir_mapping_create(p->arena);
    p->visible.count = 0;
    p->inherited = where;
    p->depth = 0;
    return parse_arguments(p, p->function) && parse_results(p, p->function) &&
           lir_block(p, p->function->body, 0, &p->function->where);
}

static bool parse_item(parser *p)
{
    if (lir_accept(p, "dim"))
        return parse_dim(p);
    if (lir_accept(p, "weight"))
        return parse_global(p, IR_GLOBAL_WEIGHT);
    if (lir_accept(p, "state"))
        return parse_global(p, IR_GLOBAL_STATE);
    if (lir_accept(p, "constant"))
        return parse_constant(p);
    if (lir_accept(p, "entry"))
        return lir_expect(p, "func") && parse_function(p, true);
    if (lir_accept(p, "func"))
        return parse_function(p, false);
    return lir_unexpected(p, "dim, weight, state, func or entry func");
}

// "machine = m2n64k4"
static bool parse_setting(parser *p)
{
    const char *name = NULL, *value = NULL;
    location where = p->now.where;
    if (!lir_word(p, "a setting of the module", &name) || !lir_expect(p, "="))
        return false;
    if (!(p->now.kind == TOKEN_TEXT ? lir_text(p, "a text", &value)
                                    : lir_word(p, "a word, or a text in quotes", &value)))
        return false;
    for (size_t i = 0; i < IR_MODULE_SETTINGS; i++) {
        const ir_module_setting *s = &ir_module_settings[i];
        if (strcmp(s->name, name) != 0)
            continue;
        *(const char **)((char *)p->module + s->offset) = value;
        return true;
    }
    return lir_error(p, where, "expected machine, architecture, target or after, found '%s'", name);
}

static bool parse_header(parser *p)
{
    const char *name = NULL;
    if (!lir_expect(p, "module") || !lir_text(p, "the module's name in quotes", &name))
        return false;
    p->module->name = name;
    if (!lir_accept(p, "{"))
        return true;
    do {
        if (!parse_setting(p))
            return false;
    } while (lir_accept(p, ","));
    return lir_expect(p, "}");
}

static void parse_items(parser *p)
{
    uint32_t line = p->now.where.line;
    if (!parse_header(p))
        lir_recover(p, line);
    while (p->now.kind != TOKEN_END && !lir_gives_up(p)) {
        line = p->now.where.line;
        if (!p->now.first)
            lir_unexpected(p, "the end of the line");
        else if (parse_item(p))
            continue;
        lir_recover(p, line);
    }
}

static void apply_locations(parser *p)
{
    for (size_t i = 0; i < p->locations.count; i++)
        p->locations.items[i].op->where = p->locations.items[i].where;
}

ir_module *ir_parse(arena *a, diagnostics *d, const source *input)
{
    parser p = {.arena = a, .diagnostics = d, .errors = diagnostics_errors(d)};
    p.module = ir_module_create(a, "");
    p.module->text = input;
    p.files = ir_mapping_create(a);
    p.lexer = lexer_create(a, input);
    lir_advance(&p);
    parse_items(&p);
    if (diagnostics_errors(d) != p.errors || !ir_verify(d, p.module))
        return NULL;
    apply_locations(&p);
    return p.module;
}
