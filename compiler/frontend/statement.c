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

// A state that is assigned, as a whole or in parts: `target` is then the subscripted state.
static bool find_state(frontend *f, ast_node *target, value *state, bool *part)
{
    ast_node *base = target->kind == AST_INDEX ? ast_child(target, 0) : target;
    *state = evaluate(f, base);
    *part = base != target && state->kind == VALUE_STATE && !state->array;
    if (base != target && !*part && !is_poison(*state))
        *state = evaluate(f, target);
    if (is_poison(*state))
        return false;
    if (state->kind == VALUE_STATE && !state->array)
        return true;
    fail(f, target->where, "only variables and states can be assigned, '%s' is %s",
         describe_syntax(f, target), describe(f, *state));
    return false;
}

static void assign_state(frontend *f, ast_node *target, const ast_node *from, value v)
{
    value state;
    bool part;
    if (!find_state(f, target, &state, &part))
        return;
    ir_value *x = runtime(f, from, v, NULL);
    if (x)
        subscript_write(f, target, state, part, from, x);
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
    case AST_ASSERT: evaluate_assert(f, n); break;
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
