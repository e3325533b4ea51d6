// Functions: expanded where they are called; entries become functions of the IR.
#include "compiler/frontend/elaborate.h"

#include <string.h>

enum { MAX_PARAMETERS = 256 };

// ----------------------------------------------------- values against declared types

// A dimension that the function leaves to its caller: a name that nothing declares.
static bool is_free(frontend *f, const ast_node *dim)
{
    return dim->kind == AST_NAME && !binding_find(f, dim->name) && !declaration_find(f, dim->name);
}

typedef struct slot { // what a value is for
    const ast_node *type, *at;
    const char *what; // "argument 'x' of 'f'"
    bool binds;       // a parameter: its free dimensions take their value here
} slot;

static bool match_dims(frontend *f, const slot *to, const ast_node *dims, const ir_type *t,
                       bool *same)
{
    *same = dims->children.count == t->rank;
    for (unsigned i = 0; *same && i < t->rank; i++) {
        ast_node *n = ast_child(dims, i);
        ir_dim d;
        if (to->binds && is_free(f, n))
            bind(f, n->name, value_dim(t->dims[i]), NULL);
        else if (!type_dim(f, n, &d))
            return false;
        else
            *same = ir_dim_equal(d, t->dims[i]);
    }
    return true;
}

// The declared type with its sizes as far as they are known: "f16[T, 64]".
static const char *describe_declared(frontend *f, const ast_node *type, const type_spec *s)
{
    text out = {0};
    text_append(&out, s->kind == SPEC_WEIGHT ? s->format : type->name);
    for (size_t i = 0; i < s->dims->children.count; i++) {
        ast_node *n = ast_child(s->dims, i);
        ir_dim d;
        text_append(&out, i ? ", " : "[");
        text_append(&out, is_free(f, n) ? n->name : type_dim(f, n, &d) ? describe_dim(f, d) : "?");
    }
    if (s->dims->children.count)
        text_char(&out, ']');
    const char *copy = arena_intern(f->arena, text_string(&out));
    text_free(&out);
    return copy;
}

static value mismatch(frontend *f, const slot *to, const type_spec *s, const char *found)
{
    const char *hint = "";
    if ((s->kind == SPEC_TENSOR || s->kind == SPEC_SCALAR) &&
        strncmp(found, to->type->name, strlen(to->type->name)) && strchr("fib", *found))
        hint = arena_format(f->arena, "; convert it: %s(...)", to->type->name);
    fail(f, to->at->where, "%s must be %s, this is %s%s", to->what,
         describe_declared(f, to->type, s), found, hint);
    return poison();
}

static value conform_constant(frontend *f, const slot *to, const type_spec *s, value v)
{
    bool fits = s->kind == SPEC_INDEX     ? v.kind == VALUE_INTEGER
                : s->kind == SPEC_NUMBER  ? is_number(v)
                : s->kind == SPEC_BOOLEAN ? v.kind == VALUE_BOOLEAN
                                          : v.kind == VALUE_TEXT;
    if (fits)
        return v;
    return fail(f, to->at->where, "%s must be %s known at compile time, this is %s", to->what,
                s->kind == SPEC_INDEX     ? "a whole number"
                : s->kind == SPEC_NUMBER  ? "a number"
                : s->kind == SPEC_BOOLEAN ? "true or false"
                                          : "a text",
                describe(f, v));
}

static value conform_group(frontend *f, const slot *to, const type_spec *s, value v)
{
    if (v.kind == VALUE_WEIGHTS && v.weights == s->group && !v.array)
        return v;
    return fail(f, to->at->where, "%s must be %s of '%s', this is %s", to->what,
                s->group->length ? "an element" : "the group", s->group->name, describe(f, v));
}

static value conform_scalar(frontend *f, const slot *to, const type_spec *s, value v)
{
    const ir_type *t = ir_type_scalar(f->module, s->scalar);
    ir_value *x = runtime(f, to->at, v, t);
    if (!x)
        return poison();
    // The scale of a vector is a tensor of rank 0, which no other type can name.
    bool fits = x->type == t || x->type == ir_type_tensor(f->module, s->scalar, 0, NULL);
    return fits ? runtime_value(x) : mismatch(f, to, s, describe_type(f, x->type));
}

static value conform_weight(frontend *f, const slot *to, const type_spec *s, value v)
{
    bool same = false;
    bool weight = is_weight_matrix(v);
    const char *format = s->kind == SPEC_WEIGHT ? s->format : scalar_rows[s->scalar].name;
    if (weight && (!strcmp(format, "w") || !strcmp(format, v.weights->type->format)) &&
        !match_dims(f, to, s->dims, v.weights->type, &same))
        return poison();
    return same ? v : mismatch(f, to, s, describe(f, v));
}

static value conform_tensor(frontend *f, const slot *to, const type_spec *s, value v)
{
    bool same = false;
    if (is_weight_matrix(v))
        return conform_weight(f, to, s, v);
    if (is_compile_time(v))
        return mismatch(f, to, s, describe(f, v));
    ir_value *x = runtime(f, to->at, v, NULL);
    if (!x)
        return poison();
    if (x->type->kind == IR_TENSOR && x->type->scalar == s->scalar &&
        !match_dims(f, to, s->dims, x->type, &same))
        return poison();
    return same ? runtime_value(x) : mismatch(f, to, s, describe_type(f, x->type));
}

static value conform(frontend *f, const slot *to, value v)
{
    type_spec s = type_resolve(f, to->type);
    if (is_poison(v))
        return v;
    switch (s.kind) {
    case SPEC_ERROR: return poison();
    case SPEC_INDEX:
    case SPEC_NUMBER:
    case SPEC_BOOLEAN:
    case SPEC_TEXT: return conform_constant(f, to, &s, v);
    case SPEC_GROUP: return conform_group(f, to, &s, v);
    case SPEC_SCALAR: return conform_scalar(f, to, &s, v);
    case SPEC_TENSOR: return conform_tensor(f, to, &s, v);
    case SPEC_WEIGHT: return conform_weight(f, to, &s, v);
    }
    UNREACHABLE();
}

// ------------------------------------------------------------------------ body

// What surrounds the expansion of one function.
typedef struct surroundings {
    size_t frame, bindings;
    progress_state progress;
} surroundings;

static surroundings open_frame(frontend *f, declaration *d)
{
    surroundings s = {f->frame, f->bindings.count, d->progress};
    f->frame = f->bindings.count;
    d->progress = IN_PROGRESS;
    return s;
}

static void close_frame(frontend *f, declaration *d, surroundings s)
{
    f->bindings.count = s.bindings;
    f->frame = s.frame;
    d->progress = DONE;
}

static value wrong_count(frontend *f, const declaration *d, const returned *r, size_t want)
{
    if (!r->syntax)
        return fail(f, ast_child(d->syntax, 2)->name_at,
                    "'%s' must end with 'return' and %zu value%s", d->name, want,
                    want == 1 ? "" : "s");
    fail(f, r->syntax->where, "'%s' has %s result%s, this returns %zu", d->name,
         want ? arena_format(f->arena, "%zu", want) : "no", want == 1 ? "" : "s", r->count);
    note(f, d->where, "'%s' is declared here", d->name);
    return poison();
}

// The results of a function whose parameters are bound, as a tuple, or poison.
static value expand_body(frontend *f, declaration *d)
{
    const ast_node *types = ast_child(d->syntax, 1);
    size_t want = types->children.count, errors = f->errors;
    returned r = expand_block(f, ast_child(d->syntax, 2));
    if (r.count != want || (want && !r.syntax))
        return f->errors > errors && !r.syntax ? poison() : wrong_count(f, d, &r, want);
    value *items = ARENA_ARRAY(f->arena, value, want);
    bool good = true;
    for (size_t i = 0; i < want; i++) {
        bool own = r.syntax->children.count == want;
        slot to = {ast_child(types, i), own ? ast_child(r.syntax, i) : r.syntax,
                   want == 1 ? arena_format(f->arena, "the result of '%s'", d->name)
                             : arena_format(f->arena, "result %zu of '%s'", i + 1, d->name),
                   false};
        items[i] = conform(f, &to, r.items[i]);
        good &= !is_poison(items[i]);
    }
    return good ? (value){.kind = VALUE_TUPLE, .items = items, .count = want} : poison();
}

// ----------------------------------------------------------------------- calls

static int find_parameter(const ast_node *parameters, const char *name)
{
    for (size_t i = 0; i < parameters->children.count; i++)
        if (ast_child(parameters, i)->name == name)
            return (int)i;
    return -1;
}

static bool unknown_parameter(frontend *f, const declaration *d, const ast_node *argument)
{
    const ast_node *parameters = ast_child(d->syntax, 0);
    const char **names = ARENA_ARRAY(f->arena, const char *, parameters->children.count);
    for (size_t i = 0; i < parameters->children.count; i++)
        names[i] = ast_child(parameters, i)->name;
    fail(f, argument->name_at, "'%s' has no parameter '%s'%s", d->name, argument->name,
         suggestion(f, argument->name, names, parameters->children.count));
    note(f, d->where, "'%s' is declared here", d->name);
    return false;
}

static bool argument_error(frontend *f, const declaration *d, location where, const char *problem)
{
    fail(f, where, "%s", problem);
    note(f, d->where, "'%s' is declared here", d->name);
    return false;
}

// The argument of each parameter, in the parameters' order.
static bool sort_arguments(frontend *f, const declaration *d, const ast_node *call, ast_node **out)
{
    const ast_node *parameters = ast_child(d->syntax, 0);
    size_t count = parameters->children.count, next = 0;
    for (size_t i = 0; i < call->children.count; i++) {
        ast_node *n = ast_child(call, i);
        int at = n->kind == AST_ARGUMENT ? find_parameter(parameters, n->name) : (int)next++;
        if (at < 0)
            return unknown_parameter(f, d, n);
        if ((size_t)at >= count)
            return argument_error(f, d, n->where,
                                  arena_format(f->arena, "'%s' takes %zu argument%s, these are %zu",
                                               d->name, count, count == 1 ? "" : "s",
                                               call->children.count));
        if (out[at])
            return argument_error(f, d, n->where,
                                  arena_format(f->arena, "parameter '%s' of '%s' is given twice",
                                               ast_child(parameters, (size_t)at)->name, d->name));
        out[at] = n->kind == AST_ARGUMENT ? ast_child(n, 0) : n;
    }
    for (size_t i = 0; i < count; i++)
        if (!out[i])
            return argument_error(f, d, call->where,
                                  arena_format(f->arena, "the call of '%s' lacks '%s'", d->name,
                                               ast_child(parameters, i)->name));
    return true;
}

static bool bind_parameters(frontend *f, const declaration *d, ast_node *const *arguments,
                            const value *values)
{
    const ast_node *parameters = ast_child(d->syntax, 0);
    bool good = true;
    for (size_t i = 0; i < parameters->children.count; i++) {
        const ast_node *p = ast_child(parameters, i);
        slot to = {ast_child(p, 0), arguments[i],
                   arena_format(f->arena, "argument '%s' of '%s'", p->name, d->name), true};
        size_t errors = f->errors;
        value v = conform(f, &to, values[i]);
        if (f->errors > errors)
            note(f, p->where, "'%s' is declared here", p->name);
        good &= !is_poison(v);
        bind(f, p->name, v, NULL);
    }
    return good;
}

static value recursion(frontend *f, const declaration *d, const ast_node *call)
{
    fail(f, call->where,
         "'%s' calls itself; functions are expanded where they are called, so this never ends",
         d->name);
    note(f, d->where, "'%s' is declared here", d->name);
    return poison();
}

value call_function(frontend *f, declaration *d, ast_node *call)
{
    size_t count = ast_child(d->syntax, 0)->children.count;
    ast_node **arguments = ARENA_ARRAY(f->arena, ast_node *, count);
    value *values = ARENA_ARRAY(f->arena, value, count);
    bool good = sort_arguments(f, d, call, arguments);
    if (d->progress == IN_PROGRESS)
        return recursion(f, d, call);
    for (size_t i = 0; good && i < count; i++)
        values[i] = evaluate(f, arguments[i]);
    if (!good)
        return poison();
    surroundings s = open_frame(f, d);
    value v = poison();
    if (bind_parameters(f, d, arguments, values)) {
        ARRAY_PUSH(f->arena, &f->calls, call->where);
        v = expand_body(f, d);
        f->calls.count--;
    } else {
        d->progress = s.progress;
    }
    close_frame(f, d, s);
    return v.kind == VALUE_TUPLE && v.count == 1 ? v.items[0] : v;
}

// --------------------------------------------------------------------- entries

static bool unknown_dims(frontend *f, const ast_node *dims)
{
    bool found = false;
    for (size_t i = 0; i < dims->children.count; i++) {
        const ast_node *n = ast_child(dims, i);
        if (!is_free(f, n))
            continue;
        fail(f, n->where,
             "'%s' is not declared; a size that is known only when the program runs is declared "
             "as: dim %s in 1..512;",
             n->name, n->name);
        found = true;
    }
    return found;
}

static void bind_entry_parameter(frontend *f, const ast_node *p, ir_block *body)
{
    const ast_node *type = ast_child(p, 0);
    type_spec s = type_resolve(f, type);
    value v = poison();
    if (s.kind == SPEC_TENSOR || s.kind == SPEC_SCALAR) {
        const ir_type *t = unknown_dims(f, s.dims) ? NULL : type_of_spec(f, type->where, &s);
        if (t)
            v = runtime_value(ir_block_argument(body, t, p->name));
    } else if (s.kind != SPEC_ERROR) {
        fail(f, type->where,
             "an entry is called from outside: '%s' must be a tensor or a scalar such as i32",
             p->name);
    }
    bind(f, p->name, v, NULL);
}

static void check_parameter_names(frontend *f, const ast_node *parameters)
{
    if (parameters->children.count > MAX_PARAMETERS)
        fail(f, ast_child(parameters, MAX_PARAMETERS)->where, "more than %d parameters",
             MAX_PARAMETERS);
    for (size_t i = 0; i < parameters->children.count && i < MAX_PARAMETERS; i++) {
        const ast_node *p = ast_child(parameters, i);
        if (find_parameter(parameters, p->name) != (int)i)
            fail(f, p->name_at, "two parameters are named '%s'", p->name);
    }
}

void expand_entry(frontend *f, declaration *d)
{
    const ast_node *parameters = ast_child(d->syntax, 0);
    ir_function *function = ir_function_create(f->module, d->name, true, d->where);
    ir_builder builder = ir_builder_at_end(function->body);
    f->builder = &builder;
    check_parameter_names(f, parameters);
    surroundings s = open_frame(f, d);
    for (size_t i = 0; i < parameters->children.count; i++)
        bind_entry_parameter(f, ast_child(parameters, i), function->body);
    value v = expand_body(f, d);
    close_frame(f, d, s);
    size_t count = v.kind == VALUE_TUPLE ? v.count : 0;
    ir_value **results = ARENA_ARRAY(f->arena, ir_value *, count);
    for (size_t i = 0; i < count; i++) {
        results[i] = v.items[i].kind == VALUE_RUNTIME ? v.items[i].runtime : NULL;
        if (!results[i])
            fail(f, ast_child(ast_child(d->syntax, 1), i)->where,
                 "an entry is called from outside: its result must be a tensor or a scalar");
        else
            ARRAY_PUSH(f->arena, &function->results, results[i]->type);
    }
    builder.where = ast_child(d->syntax, 2)->name_at;
    if (function->results.count == count)
        ir_build(&builder, IR_RETURN, (unsigned)count, results, 0, NULL);
    f->builder = NULL;
}

// ------------------------------------------------------- functions nobody calls

static bool has_free_dims(frontend *f, const ast_node *type)
{
    const ast_node *dims = ast_child(type, 0);
    for (size_t i = 0; i < dims->children.count; i++)
        if (is_free(f, ast_child(dims, i)))
            return true;
    return false;
}

// A weight that stands for any of this type.
static value sample_weight(frontend *f, const ast_node *p, const type_spec *s)
{
    weight_node *w = ARENA_NEW(f->arena, weight_node);
    *w = (weight_node){.name = p->name, .where = p->where, .instances = 1, .leaf = true};
    w->type = type_of_spec(f, p->where, s);
    w->sources = ast_create(f->arena, AST_LIST, p->where);
    return w->type ? (value){.kind = VALUE_WEIGHTS, .weights = w} : poison();
}

static value sample(frontend *f, const ast_node *p, const type_spec *s, ir_block *body)
{
    const ir_type *t;
    switch (s->kind) {
    case SPEC_INDEX: return value_integer(0);
    case SPEC_GROUP: return (value){.kind = VALUE_WEIGHTS, .weights = s->group};
    case SPEC_WEIGHT: return sample_weight(f, p, s);
    case SPEC_SCALAR:
    case SPEC_TENSOR:
        t = type_of_spec(f, p->where, s);
        return t ? runtime_value(ir_block_argument(body, t, p->name)) : poison();
    default: return poison();
    }
}

void check_alone(frontend *f, declaration *d, bool warn)
{
    const ast_node *parameters = ast_child(d->syntax, 0);
    bool possible = true;
    check_parameter_names(f, parameters);
    for (size_t i = 0; i < parameters->children.count; i++) {
        const ast_node *type = ast_child(ast_child(parameters, i), 0);
        type_spec s = type_resolve(f, type);
        possible &= !has_free_dims(f, type) && s.kind != SPEC_NUMBER && s.kind != SPEC_BOOLEAN &&
                    s.kind != SPEC_TEXT;
    }
    if (warn)
        diagnostic_warning(f->diagnostics, d->where, "function '%s' is never called%s", d->name,
                           possible ? "" : "; without a caller its body cannot be checked");
    if (!possible)
        return;
    ir_function *function = ir_function_create(f->module, d->name, false, d->where);
    ir_builder builder = ir_builder_at_end(function->body);
    f->builder = &builder;
    surroundings around = open_frame(f, d);
    for (size_t i = 0; i < parameters->children.count; i++) {
        const ast_node *p = ast_child(parameters, i);
        type_spec s = type_resolve(f, ast_child(p, 0));
        bind(f, p->name, sample(f, p, &s, function->body), NULL);
    }
    expand_body(f, d);
    close_frame(f, d, around);
    f->builder = NULL;
}
