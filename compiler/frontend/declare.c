// The declarations of a program, and the values of its constants and dimensions,
// found on demand, so that their order does not matter.
#include "compiler/frontend/elaborate.h"

#include <math.h>
#include <string.h>

enum { MAX_DECLARATIONS = 10000, MAX_STATES = 65536 };

declaration *declaration_find(const frontend *f, const char *name)
{
    for (size_t i = 0; i < f->declarations.count; i++)
        if (f->declarations.items[i]->name == name)
            return f->declarations.items[i];
    return NULL;
}

const char *const *declaration_names(frontend *f, size_t *count)
{
    const char **names = ARENA_ARRAY(f->arena, const char *, f->declarations.count);
    *count = f->declarations.count;
    for (size_t i = 0; i < *count; i++)
        names[i] = f->declarations.items[i]->name;
    return names;
}

static const char *const kind_words[] = {"constant", "dimension", "weight", "state", "function"};

declaration *declare(frontend *f, declaration_kind kind, ast_node *syntax, const char *name,
                     location where)
{
    const declaration *other = declaration_find(f, name);
    if (other) {
        fail(f, where, "'%s' is declared twice", name);
        note(f, other->where, "the first is this %s", kind_words[other->kind]);
        return NULL;
    }
    if (f->declarations.count >= MAX_DECLARATIONS) {
        fail(f, where, "more than %d declarations", MAX_DECLARATIONS);
        return NULL;
    }
    scalar_type scalar;
    if (scalar_by_name(name, &scalar)) {
        fail(f, where, "'%s' is the name of a type; choose another name for this %s", name,
             kind_words[kind]);
        return NULL;
    }
    if (kind == DECLARATION_FUNCTION && is_builtin(name)) {
        fail(f, where, "'%s' is a built-in function; choose another name for this function", name);
        return NULL;
    }
    declaration *d = ARENA_NEW(f->arena, declaration);
    *d = (declaration){.kind = kind, .name = name, .where = where, .syntax = syntax};
    ARRAY_PUSH(f->arena, &f->declarations, d);
    return d;
}

// ---------------------------------------------------- constants and dimensions

bool evaluate_whole(frontend *f, ast_node *n, const char *what, int64_t minimum, int64_t maximum,
                    int64_t *out)
{
    value v = evaluate(f, n);
    if (is_poison(v))
        return false;
    if (v.kind != VALUE_INTEGER) {
        fail(f, n->where, "%s must be a whole number known at compile time, '%s' is %s", what,
             describe_syntax(f, n), describe(f, v));
        return false;
    }
    if (v.integer < minimum || v.integer > maximum) {
        fail(f, n->where, "%s must be between %lld and %lld, this is %lld", what,
             (long long)minimum, (long long)maximum, (long long)v.integer);
        return false;
    }
    *out = v.integer;
    return true;
}

static value literal(frontend *f, const char *s)
{
    long long whole;
    double number;
    if (text_to_int64(s, &whole))
        return value_integer(whole);
    if (text_to_double(s, &number) && isfinite(number))
        return value_number(number);
    if (!strcmp(s, "true") || !strcmp(s, "false"))
        return value_boolean(*s == 't');
    return value_text(arena_intern(f->arena, s));
}

static void evaluate_constant(frontend *f, declaration *d)
{
    if (d->override) {
        d->value = literal(f, d->override);
        return;
    }
    d->value = evaluate(f, ast_child(d->syntax, 0));
    if (!is_poison(d->value) && !is_compile_time(d->value))
        d->value = fail(f, d->where, "constant '%s' must be known at compile time, this is %s",
                        d->name, describe(f, d->value));
}

static void evaluate_dimension(frontend *f, declaration *d)
{
    d->minimum = d->maximum = 1;
    bool low = evaluate_whole(f, ast_child(d->syntax, 0), "the least value of a dimension", 0,
                              INT32_MAX, &d->minimum);
    bool high = evaluate_whole(f, ast_child(d->syntax, 1), "the largest value of a dimension", 1,
                               INT32_MAX, &d->maximum);
    if (low && high && d->minimum > d->maximum)
        fail(f, d->where, "dimension '%s' is in %lld..%lld, which is empty", d->name,
             (long long)d->minimum, (long long)d->maximum);
    if (d->maximum < d->minimum)
        d->maximum = d->minimum;
}

// Evaluation must not see the locals of the function that happens to be open.
static void evaluate_declaration(frontend *f, declaration *d)
{
    size_t frame = f->frame, calls = f->calls.count;
    ir_builder *builder = f->builder;
    f->frame = f->bindings.count;
    f->builder = NULL;
    f->calls.count = 0;
    d->progress = IN_PROGRESS;
    if (d->kind == DECLARATION_CONST)
        evaluate_constant(f, d);
    else
        evaluate_dimension(f, d);
    d->progress = DONE;
    f->frame = frame;
    f->builder = builder;
    f->calls.count = calls;
}

static value dimension_value(frontend *f, declaration *d)
{
    if (!d->symbol)
        d->symbol = ir_symbol_create(f->module, d->name, d->minimum, d->maximum, d->where);
    return value_dim((ir_dim){d->symbol, 1});
}

value declaration_value(frontend *f, declaration *d, location where)
{
    switch (d->kind) {
    case DECLARATION_WEIGHT:
        if (!d->weight)
            return poison();
        return (value){.kind = VALUE_WEIGHTS, .weights = d->weight, .array = d->weight->length > 0};
    case DECLARATION_STATE:
        if (!d->state)
            return poison();
        return (value){.kind = VALUE_STATE, .state = d->state, .array = d->state->length > 0};
    case DECLARATION_FUNCTION:
        return fail(f, where, "'%s' is a function; call it: %s(...)", d->name, d->name);
    case DECLARATION_CONST:
    case DECLARATION_DIM: break;
    }
    if (d->progress == IN_PROGRESS) {
        fail(f, where, "'%s' depends on itself", d->name);
        note(f, d->where, "'%s' is declared here", d->name);
        return poison();
    }
    if (d->progress == NOT_STARTED)
        evaluate_declaration(f, d);
    return d->kind == DECLARATION_CONST ? d->value : dimension_value(f, d);
}

// -------------------------------------------------------------------- metadata

// meta("key", default = x): the arguments, or false after a report.
static bool meta_key(frontend *f, const ast_node *call, const char **key, ast_node **fallback)
{
    size_t n = call->children.count;
    ast_node *second = n == 2 ? ast_child(call, 1) : NULL;
    bool named = second && second->kind == AST_ARGUMENT && !strcmp(second->name, "default");
    if (n < 1 || n > 2 || ast_child(call, 0)->kind == AST_ARGUMENT || (second && !named) ||
        (second && !fallback)) {
        fail(f, call->where, "expected %s(\"key\"%s)", call->name,
             fallback ? ") or meta(\"key\", default = value" : "");
        return false;
    }
    value v = evaluate(f, ast_child(call, 0));
    if (v.kind != VALUE_TEXT) {
        if (!is_poison(v))
            fail(f, ast_child(call, 0)->where, "a metadata key is a text, this is %s",
                 describe(f, v));
        return false;
    }
    *key = v.text;
    if (fallback)
        *fallback = second ? ast_child(second, 0) : NULL;
    return true;
}

static value missing_key(frontend *f, const ast_node *call, const char *key)
{
    const frontend_metadata *m = f->options->metadata;
    if (!m)
        return fail(f, call->where,
                    "'%s' needs a weight file; give one, or its metadata alone (--metadata), add a "
                    "default, or set the constant with -D NAME=VALUE",
                    describe_syntax(f, call));
    return fail(f, call->where, "%s has no metadata '%s'%s", m->file, key,
                did_you_mean(f, m->nearest_key(m->context, key)));
}

static bool find_key(const frontend *f, const char *key, frontend_meta *out)
{
    const frontend_metadata *m = f->options->metadata;
    return m && m->lookup(m->context, key, out);
}

value evaluate_meta(frontend *f, ast_node *call)
{
    const char *key;
    ast_node *fallback;
    frontend_meta found;
    if (!meta_key(f, call, &key, &fallback))
        return poison();
    if (!find_key(f, key, &found)) {
        if (fallback && f->options->metadata && !f->defaulted)
            f->defaulted = call;
        return fallback ? evaluate(f, fallback) : missing_key(f, call, key);
    }
    switch (found.kind) {
    case FRONTEND_META_INTEGER: return value_integer(found.integer);
    case FRONTEND_META_NUMBER:
        return isfinite(found.number)
                   ? value_number(found.number)
                   : fail(f, call->where, "metadata '%s' is not a finite number", key);
    case FRONTEND_META_BOOLEAN: return value_boolean(found.integer != 0);
    case FRONTEND_META_TEXT: return value_text(arena_intern(f->arena, found.text));
    case FRONTEND_META_ARRAY: break;
    }
    return fail(f, call->where, "metadata '%s' is an array of %lld; only count(\"%s\") can be used",
                key, (long long)found.integer, key);
}

value evaluate_count(frontend *f, ast_node *call)
{
    const char *key;
    frontend_meta found;
    if (!meta_key(f, call, &key, NULL))
        return poison();
    if (!find_key(f, key, &found))
        return missing_key(f, call, key);
    if (found.kind != FRONTEND_META_ARRAY)
        return fail(f, call->where, "metadata '%s' is not an array; use meta(\"%s\")", key, key);
    return value_integer(found.integer);
}

value evaluate_has(frontend *f, ast_node *call)
{
    bool one = call->children.count == 1 && ast_child(call, 0)->kind != AST_ARGUMENT;
    if (!one)
        return fail(f, call->where, "expected has(weight)");
    value v = evaluate(f, ast_child(call, 0));
    if (is_poison(v))
        return v;
    if (v.kind != VALUE_WEIGHTS || v.array || !v.weights->leaf)
        return fail(f, ast_child(call, 0)->where,
                    "'has' asks whether the file has one optional weight; this is %s",
                    describe(f, v));
    return value_boolean(!weights_absent(f, v));
}

// ------------------------------------------------------------------ assertions

static const char *assertion_text(frontend *f, ast_node *n)
{
    value v = evaluate(f, n);
    if (v.kind == VALUE_TEXT)
        return v.text;
    if (!is_poison(v))
        fail(f, n->where, "the message of an assertion is a text, this is %s", describe(f, v));
    return NULL;
}

bool evaluate_assert(frontend *f, ast_node *n)
{
    ast_node *condition = ast_child(n, 0);
    value v = evaluate(f, condition);
    if (is_poison(v))
        return true;
    if (v.kind != VALUE_BOOLEAN) {
        fail(f, condition->where,
             "what is asserted must be true or false at compile time, this is %s", describe(f, v));
        return true;
    }
    const char *message = v.integer ? NULL : assertion_text(f, ast_child(n, 1));
    if (message)
        fail(f, condition->where, "%s", message);
    return v.integer || !message;
}

// What an assertion rules out would fail in many other ways: nothing is looked at after one that
// does not hold.
static bool check_asserts(frontend *f)
{
    for (size_t i = 0; i < f->file->children.count; i++) {
        ast_node *n = ast_child(f->file, i);
        if (n->kind == AST_ASSERT && !evaluate_assert(f, n))
            return false;
    }
    return true;
}

// ---------------------------------------------------------------------- states

static void declare_state(frontend *f, ast_node *syntax)
{
    const ast_node *names = ast_child(syntax, 0), *type = ast_child(syntax, 1);
    type_spec spec = type_resolve(f, type);
    const ir_type *t = spec.kind == SPEC_TENSOR ? type_of_spec(f, type->where, &spec) : NULL;
    if (spec.kind != SPEC_TENSOR && spec.kind != SPEC_ERROR)
        fail(f, type->where, "a state is a tensor, such as f16[S, 64]");
    for (unsigned i = 1; t && i < t->rank; i++)
        if (t->dims[i].symbol) {
            fail(f, ast_child(spec.dims, i)->where,
                 "a state keeps its size between calls: '%s' is known only at run time; use its "
                 "largest value (a dimension can stand in the first place only, for a batch)",
                 describe_dim(f, t->dims[i]));
            t = NULL;
        }
    for (size_t i = 0; i < names->children.count; i++) {
        ast_node *name = ast_child(names, i), *length = ast_child(name, 0);
        declaration *d = declare(f, DECLARATION_STATE, syntax, name->name, name->name_at);
        int64_t n = 0;
        if ((!ast_is_empty(length) &&
             !evaluate_whole(f, length, "a number of states", 1, MAX_STATES, &n)) ||
            !t || !d)
            continue;
        d->state = ARENA_NEW(f->arena, state_node);
        *d->state = (state_node){.name = d->name, .where = d->where, .length = n, .type = t};
    }
}

// ------------------------------------------------------------------ everything

static void declare_model(frontend *f, const ast_node *n, const ast_node **model)
{
    if (*model) {
        fail(f, n->where, "the model has two names");
        note(f, (*model)->where, "the first is here");
    }
    *model = n;
    f->module->name = n->name;
}

static void declare_names(frontend *f)
{
    const ast_node *model = NULL;
    for (size_t i = 0; i < f->file->children.count; i++) {
        ast_node *n = ast_child(f->file, i);
        if (n->kind == AST_MODEL)
            declare_model(f, n, &model);
        else if (n->kind == AST_CONST)
            declare(f, DECLARATION_CONST, n, n->name, n->name_at);
        else if (n->kind == AST_DIM)
            declare(f, DECLARATION_DIM, n, n->name, n->name_at);
        else if (n->kind == AST_FUNCTION)
            declare(f, DECLARATION_FUNCTION, n, n->name, n->name_at);
    }
}

// "NAME=VALUE" of the command line.
static void apply_defines(frontend *f)
{
    for (const char *const *at = f->options->defines; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals || equals == *at) {
            fail(f, NOWHERE, "-D %s: expected NAME=VALUE", *at);
            continue;
        }
        const char *name = arena_intern_n(f->arena, *at, (size_t)(equals - *at));
        declaration *d = declaration_find(f, name);
        size_t count;
        const char *const *names = declaration_names(f, &count);
        if (d && d->kind == DECLARATION_CONST)
            d->override = equals + 1;
        else
            fail(f, NOWHERE, "-D %s: the program has no constant '%s'%s", *at, name,
                 d ? "" : suggestion(f, name, names, count));
    }
}

bool declare_all(frontend *f)
{
    declare_names(f);
    apply_defines(f);
    if (!check_asserts(f))
        return false;
    for (size_t i = 0; i < f->declarations.count; i++) {
        declaration *d = f->declarations.items[i];
        if (d->kind == DECLARATION_CONST || d->kind == DECLARATION_DIM)
            if (d->progress == NOT_STARTED)
                evaluate_declaration(f, d);
    }
    for (size_t i = 0; i < f->file->children.count; i++) {
        ast_node *n = ast_child(f->file, i);
        if (n->kind == AST_WEIGHTS)
            weights_declare(f, n);
        else if (n->kind == AST_STATE)
            declare_state(f, n);
    }
    return true;
}
