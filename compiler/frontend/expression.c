// Expressions: compile-time ones are computed, the others become operations.
#include "compiler/frontend/elaborate.h"

#include <math.h>
#include <string.h>

value runtime_value(ir_value *v)
{
    return (value){.kind = VALUE_RUNTIME, .runtime = v};
}

ir_value *emit(frontend *f, location where, ir_opcode code, const ir_type *result, ir_value *x,
               ir_value *y, ir_value *z)
{
    f->builder->where = where;
    return ir_build1(f->builder, code, result, x, y, z);
}

ir_value *emit_cast(frontend *f, location where, ir_value *x, scalar_type s)
{
    const ir_type *t = x->type->kind == IR_TENSOR ? ir_type_with_scalar(f->module, x->type, s)
                                                  : ir_type_scalar(f->module, s);
    return x->type == t ? x : emit(f, where, IR_CAST, t, x, NULL, NULL);
}

// ------------------------------------------------------------- run-time values

static const char *integer_range(frontend *f, const ir_type *t, double x)
{
    if (x != floor(x))
        return arena_format(f->arena,
                            "%s takes whole numbers only; write f32(...) around the other operand "
                            "to compute with fractions",
                            type_element(t));
    if (t->kind == IR_SCALAR || t->kind == IR_TENSOR)
        if (scalar_round(t->scalar, x) != x)
            return arena_format(f->arena, "it does not fit %s", type_element(t));
    return NULL;
}

static ir_value *constant(frontend *f, const ast_node *n, double x, const ir_type *like)
{
    bool fits = true;
    const char *problem = NULL;
    if (ir_type_is_float(like))
        fits = isfinite(scalar_round(like->scalar, x));
    else
        problem = integer_range(f, like, x);
    if (!fits)
        problem = arena_format(f->arena, "it is too large for %s", type_element(like));
    if (problem) {
        fail(f, n->where, "%s cannot be used with %s here: %s", describe_syntax(f, n),
             type_element(like), problem);
        return NULL;
    }
    const ir_type *t = like->kind == IR_INDEX ? like : ir_type_scalar(f->module, like->scalar);
    ir_value *v = emit(f, n->where, IR_CONSTANT, t, NULL, NULL, NULL);
    ir_set_number(v->op, "value", x);
    return v;
}

// A size as a run-time number: the dimension, times its coefficient.
static ir_value *dimension(frontend *f, const ast_node *n, ir_dim d, const ir_type *like)
{
    const ir_type *index = ir_type_index(f->module);
    ir_value *v = emit(f, n->where, IR_DIMENSION, index, NULL, NULL, NULL);
    ir_set_text(v->op, "symbol", d.symbol->name);
    if (d.value != 1) {
        ir_value *coefficient = constant(f, n, (double)d.value, index);
        v = emit(f, n->where, IR_MUL, index, v, coefficient, NULL);
    }
    if (!like || like->kind == IR_INDEX)
        return v;
    return emit_cast(f, n->where, v, like->scalar);
}

static ir_value *weight_value(frontend *f, const ast_node *n, value v)
{
    const char *name = describe_syntax(f, n);
    if (v.array)
        fail(f, n->where, "'%s' is %s; index it", name, describe(f, v));
    else if (!v.weights->leaf)
        fail(f, n->where, "'%s' is a group of weights; name one of its fields: %s", name,
             weights_fields(f, v.weights));
    else if (v.weights->type->kind == IR_WEIGHT)
        fail(f, n->where, "'%s' is a weight matrix (%s), which only linear and embedding take",
             name, describe(f, v));
    else if (weights_require(f, n, v))
        return weights_global(f, v.weights, v.integer);
    return NULL;
}

static ir_value *state_value(frontend *f, const ast_node *n, value v)
{
    if (v.array) {
        fail(f, n->where, "'%s' is %s; index it", describe_syntax(f, n), describe(f, v));
        return NULL;
    }
    ir_value *state = state_global(f, v.state, v.integer);
    return emit(f, n->where, IR_STATE_READ, state->type, state, NULL, NULL);
}

ir_value *runtime(frontend *f, const ast_node *n, value v, const ir_type *like)
{
    switch (v.kind) {
    case VALUE_POISON: return NULL;
    case VALUE_RUNTIME: return v.runtime;
    case VALUE_WEIGHTS: return weight_value(f, n, v);
    case VALUE_STATE: return state_value(f, n, v);
    case VALUE_DIMENSION: return dimension(f, n, v.dim, like);
    case VALUE_INTEGER:
    case VALUE_NUMBER:
        if (like)
            return constant(f, n, value_as_double(v), like);
        break;
    default: break;
    }
    fail(f, n->where, "expected a tensor or a scalar computed at run time, this is %s",
         describe(f, v));
    return NULL;
}

// ---------------------------------------------------------------------- names

static bool is_scalar_name(const char *name)
{
    scalar_type ignored;
    return scalar_by_name(name, &ignored);
}

static value unknown_name(frontend *f, const ast_node *n)
{
    if (weights_failed(f, n->name))
        return poison();
    size_t count, builtins;
    const char *const *declared = declaration_names(f, &count);
    const char *const *functions = builtin_names(&builtins);
    size_t locals = f->bindings.count - f->frame;
    const char **names = ARENA_ARRAY(f->arena, const char *, count + locals);
    memcpy(names, declared, count * sizeof *names);
    for (size_t i = 0; i < locals; i++)
        names[count + i] = f->bindings.items[f->frame + i].name;
    for (size_t i = 0; i < builtins; i++)
        if (!strcmp(functions[i], n->name))
            return fail(f, n->where, "'%s' is a function; call it: %s(...)", n->name, n->name);
    if (is_scalar_name(n->name))
        return fail(f, n->where, "'%s' is a type; to convert to it write %s(x)", n->name, n->name);
    return fail(f, n->where, "'%s' is not declared%s", n->name,
                suggestion(f, n->name, names, count + locals));
}

static value evaluate_name(frontend *f, ast_node *n)
{
    binding *b = binding_find(f, n->name);
    if (b) {
        if (b->target)
            b->target->used = true;
        return b->value;
    }
    declaration *d = declaration_find(f, n->name);
    return d ? declaration_value(f, d, n->where) : unknown_name(f, n);
}

static value evaluate_member(frontend *f, ast_node *n)
{
    value base = evaluate(f, ast_child(n, 0));
    if (is_poison(base))
        return base;
    if (base.kind == VALUE_WEIGHTS)
        return weights_member(f, n->name_at, base, n->name);
    return fail(f, n->name_at, "only groups of weights have fields; '%s' is %s",
                describe_syntax(f, ast_child(n, 0)), describe(f, base));
}

static value evaluate_index(frontend *f, ast_node *n)
{
    value base = evaluate(f, ast_child(n, 0));
    ast_node *at = ast_child(n, 1);
    if (is_poison(base))
        return base;
    bool state = base.kind == VALUE_STATE, weights = base.kind == VALUE_WEIGHTS;
    bool tensor = base.kind == VALUE_RUNTIME && base.runtime->type->kind == IR_TENSOR;
    if (!state && !weights && !tensor)
        return fail(f, n->where, "only tensors, states and arrays can be indexed; '%s' is %s",
                    describe_syntax(f, ast_child(n, 0)), describe(f, base));
    if (tensor || !base.array)
        return subscript_read(f, n, base);
    if (n->children.count != 2 || at->kind == AST_SLICE)
        return fail(f, n->where, "'%s' takes one index", describe_syntax(f, ast_child(n, 0)));
    value index = evaluate(f, at);
    return is_poison(index) ? index : weights_index(f, at->where, base, index);
}

// ------------------------------------------------------------------ arithmetic

typedef struct operator_row {
    const char *name;
    ir_opcode code;
} operator_row;

static const operator_row operators[] = {{"+", IR_ADD}, {"-", IR_SUB}, {"*", IR_MUL},
                                         {"/", IR_DIV}, {"%", IR_REM}, {NULL, IR_OPCODE_COUNT}};

static value mixed_elements(frontend *f, location where, const char *name, const ir_type *x,
                            const ir_type *y)
{
    const char *a = describe_type(f, x), *b = describe_type(f, y);
    if (x->kind == IR_INDEX || y->kind == IR_INDEX)
        return fail(f, where,
                    "'%s' needs operands of one type, these are %s and %s; convert one: %s(...)",
                    name, a, b, type_element(x->kind == IR_INDEX ? y : x));
    return fail(f, where,
                "'%s' needs operands of one element type, these are %s and %s; convert one: "
                "%s(...) or %s(...)",
                name, a, b, type_element(x), type_element(y));
}

value evaluate_elementwise(frontend *f, location where, const char *name, ir_opcode code,
                           const ast_node *left, value x, const ast_node *right, value y)
{
    bool adopt_x = is_number(x) || x.kind == VALUE_DIMENSION;
    const ir_type *index = ir_type_index(f->module);
    ir_value *b = adopt_x ? runtime(f, right, y, index) : NULL;
    ir_value *a = runtime(f, left, x, b ? b->type : NULL);
    if (!adopt_x && a)
        b = runtime(f, right, y, a->type);
    if (!a || !b)
        return poison();
    if (!type_same_element(a->type, b->type))
        return mixed_elements(f, where, name, a->type, b->type);
    if (code == IR_REM &&
        (a->type->kind == IR_TENSOR || b->type->kind == IR_TENSOR || ir_type_is_float(a->type)))
        return fail(f, where, "'%%' works on whole scalars, not %s and %s",
                    describe_type(f, a->type), describe_type(f, b->type));
    const ir_type *t = type_broadcast(f, where, name, a->type, b->type);
    if (!t)
        return poison();
    return runtime_value(emit(f, where, code, t, a, b, NULL));
}

// && and || look at the right side only when they must.
static value evaluate_logical(frontend *f, ast_node *n)
{
    bool conjunction = n->name[0] == '&';
    value v = poison();
    for (size_t i = 0; i < 2; i++) {
        v = evaluate(f, ast_child(n, i));
        if (is_poison(v))
            return v;
        if (v.kind != VALUE_BOOLEAN)
            return fail(f, ast_child(n, i)->where, "'%s' needs true or false, this is %s", n->name,
                        describe(f, v));
        if ((v.integer != 0) != conjunction)
            break;
    }
    return v;
}

static value evaluate_binary(frontend *f, ast_node *n)
{
    if (n->name[0] == '&' || n->name[0] == '|')
        return evaluate_logical(f, n);
    value x = evaluate(f, ast_child(n, 0)), y = evaluate(f, ast_child(n, 1));
    bool done;
    if (is_poison(x) || is_poison(y))
        return poison();
    if (is_compile_time(x) && is_compile_time(y)) {
        value v = fold_binary(f, n->where, n->name, x, y, &done);
        if (done)
            return v;
        if (!f->builder)
            return fail(f, n->where,
                        "'%s' is known only at run time; sizes are whole numbers or multiples of a "
                        "dimension",
                        describe_syntax(f, n));
    }
    for (const operator_row *row = operators; row->name; row++)
        if (!strcmp(row->name, n->name))
            return evaluate_elementwise(f, n->where, n->name, row->code, ast_child(n, 0), x,
                                        ast_child(n, 1), y);
    return fail(f, n->where, "'%s' compares compile-time values only; these are %s and %s", n->name,
                describe(f, x), describe(f, y));
}

static value evaluate_unary(frontend *f, ast_node *n)
{
    value x = evaluate(f, ast_child(n, 0));
    if (is_poison(x))
        return x;
    bool at_run_time =
        *n->name == '-' && f->builder && (x.kind == VALUE_DIMENSION || !is_compile_time(x));
    if (!at_run_time)
        return fold_unary(f, n->where, n->name, x);
    ir_value *v = runtime(f, ast_child(n, 0), x, NULL);
    return v ? runtime_value(emit(f, n->where, IR_NEG, v->type, v, NULL, NULL)) : poison();
}

static value evaluate_conditional(frontend *f, ast_node *n)
{
    value condition = evaluate(f, ast_child(n, 0));
    if (is_poison(condition))
        return condition;
    if (condition.kind != VALUE_BOOLEAN)
        return fail(f, ast_child(n, 0)->where,
                    "a condition must be true or false at compile time, this is %s",
                    describe(f, condition));
    return evaluate(f, ast_child(n, condition.integer ? 1 : 2));
}

// ----------------------------------------------------------------- conversions

static value convert(frontend *f, location where, const ast_node *operand, value x, scalar_type s)
{
    if (is_number(x))
        return fold_cast(f, where, s, x);
    ir_value *v = f->builder ? runtime(f, operand, x, NULL) : NULL;
    if (v)
        return runtime_value(emit_cast(f, where, v, s));
    if (!f->builder)
        return fold_cast(f, where, s, x);
    return poison();
}

static value reshape(frontend *f, location where, const ast_node *operand, value x,
                     const ast_node *dims)
{
    unsigned rank;
    ir_dim shape[IR_MAX_RANK];
    ir_value *v = runtime(f, operand, x, NULL);
    if (!v || !type_dims(f, dims, &rank, shape))
        return poison();
    if (v->type->kind != IR_TENSOR)
        return fail(f, where, "only a tensor can be given a shape, '%s' is %s",
                    describe_syntax(f, operand), describe_type(f, v->type));
    const ir_type *t = type_tensor(f, where, v->type->scalar, rank, shape);
    if (!t || ir_type_same_dims(t, v->type))
        return t ? runtime_value(v) : poison();
    if (!type_same_count(v->type, rank, shape))
        return fail(f, where, "%s cannot be seen as %s: the number of elements differs",
                    describe_type(f, v->type), describe_type(f, t));
    return runtime_value(emit(f, where, IR_RESHAPE, t, v, NULL, NULL));
}

static value evaluate_as(frontend *f, ast_node *n)
{
    const ast_node *operand = ast_child(n, 0), *type = ast_child(n, 1);
    value x = evaluate(f, ast_child(n, 0));
    scalar_type s;
    if (is_poison(x))
        return x;
    if (type->name) {
        if (!type_scalar(f, type->name, type->where, &s)) {
            type_spec spec = type_resolve(f, type);
            return spec.kind == SPEC_ERROR
                       ? poison()
                       : fail(f, type->where,
                              "values can be converted to the types f64 to u8, not to '%s'",
                              type->name);
        }
        x = convert(f, n->where, operand, x, s);
    }
    if (is_poison(x) || ast_is_empty(ast_child(type, 0)))
        return x;
    if (!f->builder)
        return fail(f, n->where, "tensors exist only inside functions");
    return reshape(f, n->where, operand, x, ast_child(type, 0));
}

// ----------------------------------------------------------------------- calls

static value evaluate_conversion(frontend *f, ast_node *n, scalar_type s)
{
    if (n->children.count != 1 || ast_child(n, 0)->kind == AST_ARGUMENT)
        return fail(f, n->where, "a conversion takes one value: %s(x)", n->name);
    value x = evaluate(f, ast_child(n, 0));
    return is_poison(x) ? x : convert(f, n->where, ast_child(n, 0), x, s);
}

static value unknown_function(frontend *f, const ast_node *n)
{
    size_t count;
    const char *const *builtins = builtin_names(&count);
    const char **names = ARENA_ARRAY(f->arena, const char *, count + f->declarations.count);
    memcpy(names, builtins, count * sizeof *names);
    size_t n_builtins = count;
    for (size_t i = 0; i < f->declarations.count; i++)
        if (f->declarations.items[i]->kind == DECLARATION_FUNCTION)
            names[count++] = f->declarations.items[i]->name;
    fail(f, n->name_at, "there is no function '%s'%s", n->name,
         suggestion(f, n->name, names, count));
    text list = {0};
    for (size_t i = 0; i < n_builtins; i++)
        text_printf(&list, "%s%s", i ? " " : "", builtins[i]);
    note(f, NOWHERE, "the built-in functions are: %s", text_string(&list));
    text_free(&list);
    return poison();
}

// What is asked about the weight file.
static const struct {
    const char *name;
    value (*evaluate)(frontend *f, ast_node *call);
} questions[] = {{"meta", evaluate_meta}, {"count", evaluate_count}, {"has", evaluate_has}};
enum { N_QUESTIONS = sizeof questions / sizeof *questions };

bool is_builtin(const char *name)
{
    size_t count;
    const char *const *names = builtin_names(&count);
    for (size_t i = 0; i < N_QUESTIONS; i++)
        if (!strcmp(questions[i].name, name))
            return true;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static value evaluate_call(frontend *f, ast_node *n)
{
    scalar_type s;
    bool known;
    declaration *d = declaration_find(f, n->name);
    for (size_t i = 0; i < N_QUESTIONS; i++)
        if (!strcmp(questions[i].name, n->name))
            return questions[i].evaluate(f, n);
    if (type_scalar(f, n->name, n->where, &s))
        return evaluate_conversion(f, n, s);
    value v = evaluate_builtin(f, n, &known);
    if (known)
        return v;
    if (!d)
        return unknown_function(f, n);
    if (d->kind != DECLARATION_FUNCTION) {
        fail(f, n->name_at, "'%s' is not a function", n->name);
        note(f, d->where, "'%s' is declared here", n->name);
        return poison();
    }
    if (!f->builder)
        return fail(f, n->where, "'%s' cannot be called here: functions work on run-time values",
                    n->name);
    return call_function(f, d, n);
}

static value evaluate_node(frontend *f, ast_node *n)
{
    switch (n->kind) {
    case AST_INTEGER: return value_integer(n->integer);
    case AST_NUMBER: return value_number(n->number);
    case AST_BOOLEAN: return value_boolean(n->integer != 0);
    case AST_TEXT: return value_text(n->name);
    case AST_NAME: return evaluate_name(f, n);
    case AST_UNARY: return evaluate_unary(f, n);
    case AST_BINARY: return evaluate_binary(f, n);
    case AST_CONDITIONAL: return evaluate_conditional(f, n);
    case AST_CALL: return evaluate_call(f, n);
    case AST_INDEX: return evaluate_index(f, n);
    case AST_MEMBER: return evaluate_member(f, n);
    case AST_AS: return evaluate_as(f, n);
    default: UNREACHABLE();
    }
}

value evaluate(frontend *f, ast_node *n)
{
    if (!enter(f, n->where))
        return poison();
    value v = evaluate_node(f, n);
    leave(f);
    return v;
}
