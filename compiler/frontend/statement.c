// Statements: bindings, state writes, unrolled loops, compile-time branches.
#include "compiler/frontend/elaborate.h"

#include <string.h>

enum { MAX_LOCALS = 10000 };

// -------------------------------------------------------------------- bindings

binding *binding_find(frontend *f, const char *name)
{
    for (size_t i = f->bindings.count; i-- > f->frame;)
        if (f->bindings.items[i].name == name)
            return &f->bindings.items[i];
    return NULL;
}

void bind(frontend *f, const char *name, value v, ast_node *target)
{
    binding *b = binding_find(f, name);
    if (target)
        target->integer = 1; // reached: may be reported as unused
    if (b)
        *b = (binding){name, v, target};
    else if (f->bindings.count - f->frame < MAX_LOCALS)
        ARRAY_PUSH(f->arena, &f->bindings, ((binding){name, v, target}));
    else if (target)
        fail(f, target->where, "more than %d names in a function", MAX_LOCALS);
}

static void name_value(value v, const char *name)
{
    if (v.kind == VALUE_RUNTIME && v.runtime->kind == IR_VALUE_RESULT && !v.runtime->name)
        v.runtime->name = name;
}

// The constant, dimension or state that an assignment to a name would mean. Variables may have
// the names of functions and weights, and hide them.
static const declaration *global_meaning(frontend *f, const char *name)
{
    const declaration *d = declaration_find(f, name);
    bool hidden = d && (d->kind == DECLARATION_FUNCTION || d->kind == DECLARATION_WEIGHT);
    return d && !hidden && !binding_find(f, name) ? d : NULL;
}

static void assign_variable(frontend *f, ast_node *target, const ast_node *from, value v)
{

    const declaration *d = global_meaning(f, target->name);
    if (d) {
        fail(f, target->where, "'%s' is a %s of the program; a variable needs another name",
             d->name, d->kind == DECLARATION_CONST ? "constant" : "dimension");
        note(f, d->where, "'%s' is declared here", d->name);
        return;
    }
    if (v.kind == VALUE_STATE && !v.array) // now, not when the variable is used
        v = runtime_value(runtime(f, from, v, NULL));
    if (strcmp(target->name, "_"))
        name_value(v, target->name);
    bind(f, target->name, v, target);
}

// ---------------------------------------------------------------- state writes

// start : start + rows. The number of rows must be known when the program is compiled; it is left
// as -1 where the slice has no end.
static bool slice_rows(frontend *f, ast_node *slice, value start, ir_dim *rows)
{
    ast_node *first = ast_child(slice, 0), *end = ast_child(slice, 1);
    *rows = ir_dim_constant(-1);
    if (ast_is_empty(end))
        return true;
    if (ast_is_empty(first))
        return type_dim(f, end, rows);
    bool sum = end->kind == AST_BINARY && *end->name == '+';
    if (sum && ast_equal(ast_child(end, 0), first))
        return type_dim(f, ast_child(end, 1), rows);
    if (sum && ast_equal(ast_child(end, 1), first))
        return type_dim(f, ast_child(end, 0), rows);
    value stop = is_size(start) ? evaluate(f, end) : poison();
    bool done = false;
    value count = is_size(stop) ? fold_binary(f, slice->where, "-", stop, start, &done) : poison();
    if (done && count.kind == VALUE_INTEGER && count.integer >= 0)
        *rows = ir_dim_constant(count.integer);
    else if (done && count.kind == VALUE_DIMENSION)
        *rows = count.dim;
    else
        fail(f, slice->where,
             "the end of the rows must be written as '%s + count', the number of rows being known "
             "at compile time",
             describe_syntax(f, first));
    return rows->value >= 0;
}

static ir_value *slice_position(frontend *f, const ast_node *n, value start)
{
    const ir_type *index = ir_type_index(f->module);
    ir_value *v = runtime(f, n, start, index);
    if (!v || v->type == index)
        return v;
    if (v->type->kind == IR_SCALAR && scalar_is_integer(v->type->scalar))
        return emit(f, n->where, IR_CAST, index, v, NULL, NULL);
    fail(f, n->where, "a position is a whole number, '%s' is %s", describe_syntax(f, n),
         describe_type(f, v->type));
    return NULL;
}

static bool check_rows(frontend *f, const ast_node *at, const value *state, const ir_type *x,
                       ir_dim rows)
{
    const ir_type *s = state->state->type;
    bool fits = x->kind == IR_TENSOR && x->rank == s->rank && x->scalar == s->scalar;
    for (unsigned i = 1; fits && i < s->rank; i++)
        fits = ir_dim_equal(x->dims[i], s->dims[i]);
    if (fits && rows.value >= 0)
        fits = ir_dim_equal(x->dims[0], rows);
    if (fits && ir_dim_maximum(x->dims[0]) <= s->dims[0].value)
        return true;
    ir_type want = *s;
    if (rows.value >= 0)
        want.dims[0] = rows;
    if (fits)
        fail(f, at->where, "%s can have %lld rows, more than state '%s' (%s)", describe_type(f, x),
             (long long)ir_dim_maximum(x->dims[0]), state->state->name, describe_type(f, s));
    else
        fail(f, at->where, "the rows assigned to state '%s' must be %s, these are %s",
             state->state->name, describe_type(f, &want), describe_type(f, x));
    note(f, state->state->where, "'%s' is declared here", state->state->name);
    return false;
}

static bool find_state(frontend *f, ast_node *base, value *state)
{
    *state = evaluate(f, base);
    if (is_poison(*state))
        return false;
    if (state->kind == VALUE_STATE && !state->array)
        return true;
    fail(f, base->where, "only variables and states can be assigned, '%s' is %s",
         describe_syntax(f, base), describe(f, *state));
    return false;
}

// A start that is known at compile time leaves room for the rows.
static bool check_start(frontend *f, const ast_node *slice, value start, const value *state,
                        const ir_type *x)
{
    int64_t rows = state->state->type->dims[0].value;
    if (start.kind != VALUE_INTEGER ||
        (start.integer >= 0 && start.integer <= rows - ir_dim_maximum(x->dims[0])))
        return true;
    fail(f, slice->where, "rows from %lld on do not fit state '%s', which has %lld",
         (long long)start.integer, state->state->name, (long long)rows);
    return false;
}

static void write_state(frontend *f, location where, const value *state, ir_value *x,
                        ir_value *position)
{
    ir_value *operands[3] = {state_global(f, state->state, state->integer), x, position};
    f->builder->where = where;
    ir_build(f->builder, IR_STATE_WRITE, position ? 3 : 2, operands, 0, NULL);
}

static void assign_state(frontend *f, ast_node *target, const ast_node *from, value v)
{
    bool sliced = target->kind == AST_INDEX && target->children.count == 2 &&
                  ast_child(target, 1)->kind == AST_SLICE;
    ast_node *slice = sliced ? ast_child(target, 1) : NULL;
    ast_node *first = sliced && !ast_is_empty(ast_child(slice, 0)) ? ast_child(slice, 0) : NULL;
    value state, start = value_integer(0);
    if (!find_state(f, sliced ? ast_child(target, 0) : target, &state))
        return;
    if (first)
        start = evaluate(f, first);
    ir_value *x = runtime(f, from, v, NULL);
    ir_dim rows = state.state->type->dims[0];
    if (!x || is_poison(start) || (slice && !slice_rows(f, slice, start, &rows)) ||
        !check_rows(f, from, &state, x->type, rows))
        return;
    ir_value *position = first ? slice_position(f, first, start) : NULL;
    if (!first || (position && check_start(f, slice, start, &state, x->type)))
        write_state(f, target->where, &state, x, position);
}

static void assign_one(frontend *f, ast_node *target, const ast_node *from, value v)
{
    const declaration *d = target->kind == AST_NAME ? global_meaning(f, target->name) : NULL;
    bool state = d && d->kind == DECLARATION_STATE;
    if (is_poison(v) && target->kind == AST_NAME && !d)
        bind(f, target->name, v, target);
    else if (is_poison(v))
        return;
    else if (target->kind == AST_NAME && !state)
        assign_variable(f, target, from, v);
    else if (state || target->kind == AST_INDEX)
        assign_state(f, target, from, v);
    else
        fail(f, target->where, "only variables and states can be assigned, not '%s'",
             describe_syntax(f, target));
}

static void assign(frontend *f, ast_node *n)
{
    ast_node *targets = ast_child(n, 0), *from = ast_child(n, 1);
    size_t count = targets->children.count;
    value v = evaluate(f, from);
    size_t results = v.kind == VALUE_TUPLE ? v.count : 1;
    if (!is_poison(v) && results != count) {
        fail(f, n->where, "%zu name%s on the left, %zu value%s on the right", count,
             count == 1 ? "" : "s", results, results == 1 ? "" : "s");
        v = poison();
    }
    for (size_t i = 0; i < count; i++)
        assign_one(f, ast_child(targets, i), from, v.kind == VALUE_TUPLE ? v.items[i] : v);
}

// ------------------------------------------------------------------- structure

static returned expand_return(frontend *f, ast_node *n)
{
    size_t count = n->children.count;
    value *items = ARENA_ARRAY(f->arena, value, count);
    for (size_t i = 0; i < count; i++)
        items[i] = evaluate(f, ast_child(n, i));
    if (count == 1 && items[0].kind == VALUE_TUPLE)
        return (returned){n, items[0].items, items[0].count};
    for (size_t i = 0; i < count; i++)
        if (items[i].kind == VALUE_TUPLE)
            items[i] = fail(f, ast_child(n, i)->where,
                            "this call gives %zu results where one is needed", items[i].count);
    return (returned){n, items, count};
}

static returned expand_for(frontend *f, ast_node *n)
{
    int64_t low, high;
    size_t scope = f->bindings.count;
    returned r = {NULL};
    if (!evaluate_whole(f, ast_child(n, 0), "the start of a loop", INT32_MIN, INT32_MAX, &low) ||
        !evaluate_whole(f, ast_child(n, 1), "the end of a loop", INT32_MIN, INT32_MAX, &high))
        return r;
    for (int64_t i = low; i < high && !r.syntax && step(f, n->where); i++) {
        ARRAY_PUSH(f->arena, &f->bindings, ((binding){n->name, value_integer(i), NULL}));
        r = expand_block(f, ast_child(n, 2));
        f->bindings.count = scope;
    }
    return r;
}

static returned expand_if(frontend *f, ast_node *n)
{
    value condition = evaluate(f, ast_child(n, 0));
    if (is_poison(condition))
        return (returned){NULL};
    if (condition.kind != VALUE_BOOLEAN) {
        fail(f, ast_child(n, 0)->where,
             "a condition must be true or false at compile time, this is %s",
             describe(f, condition));
        return (returned){NULL};
    }
    ast_node *branch = ast_child(n, condition.integer ? 1 : 2);
    if (branch->kind == AST_IF)
        return expand_if(f, branch);
    return ast_is_empty(branch) ? (returned){NULL} : expand_block(f, branch);
}

static returned expand_statement(frontend *f, ast_node *n)
{
    switch (n->kind) {
    case AST_ASSIGN: assign(f, n); break;
    case AST_RETURN: return expand_return(f, n);
    case AST_FOR: return expand_for(f, n);
    case AST_IF: return expand_if(f, n);
    case AST_EVALUATE: {
        ast_node *call = ast_child(n, 0);
        value v = call->kind == AST_CALL
                      ? evaluate(f, call)
                      : fail(f, n->where, "this does nothing; expected an assignment or a call");
        if (!is_poison(v) && (v.kind != VALUE_TUPLE || v.count))
            fail(f, n->where, "the result of '%s' is lost; assign it to a name (or to _)",
                 call->name);
        break;
    }
    default: UNREACHABLE();
    }
    return (returned){NULL};
}

returned expand_block(frontend *f, ast_node *block)
{
    size_t scope = f->bindings.count;
    returned r = {NULL};
    for (size_t i = 0; i < block->children.count && !r.syntax; i++) {
        ast_node *n = ast_child(block, i);
        if (!enter(f, n->where))
            break;
        r = expand_statement(f, n);
        leave(f);
    }
    f->bindings.count = scope;
    return r;
}

// -------------------------------------------------------------------- warnings

static void warn_target(frontend *f, const ast_node *target)
{
    if (target->kind == AST_NAME && target->integer && !target->used && *target->name != '_')
        diagnostic_warning(f->diagnostics, target->where,
                           "the value of '%s' is never used (a name that begins with _ says so)",
                           target->name);
}

void warn_unused(frontend *f, const ast_node *n)
{
    if (n->kind == AST_ASSIGN)
        for (size_t i = 0; i < ast_child(n, 0)->children.count; i++)
            warn_target(f, ast_child(ast_child(n, 0), i));
    for (size_t i = 0; i < n->children.count; i++) {
        const ast_node *child = ast_child(n, i);
        if (n->kind == AST_BLOCK && child->kind == AST_RETURN && i + 1 < n->children.count)
            diagnostic_warning(f->diagnostics, ast_child(n, i + 1)->where,
                               "this is never reached: the function returns before it");
        if (child->kind == AST_BLOCK || n->kind == AST_BLOCK || n->kind == AST_IF)
            warn_unused(f, child);
    }
}
