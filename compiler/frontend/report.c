// Errors, their notes, and how values are named in them.
#include "compiler/frontend/elaborate.h"

#include <string.h>

enum {
    MAX_CALL_NOTES = 6,
    MAX_STEPS = 1 << 20,
    MAX_DESCRIBED = 60,
    MAX_DEPTH = 800,
    MAX_ERRORS = 500
};

static bool same_place(location a, location b)
{
    return a.line == b.line && a.column == b.column && a.source == b.source;
}

static bool already_reported(frontend *f, location where)
{
    for (size_t i = 0; i < f->reported.count; i++)
        if (same_place(f->reported.items[i], where))
            return true;
    ARRAY_PUSH(f->arena, &f->reported, where);
    return false;
}

value fail(frontend *f, location where, const char *format, ...)
{
    f->errors++;
    f->muted = where.line && already_reported(f, where);
    if (f->muted)
        return poison();
    va_list args;
    va_start(args, format);
    diagnostic_vreport(f->diagnostics, SEVERITY_ERROR, where, format, args);
    va_end(args);
    size_t shown = 0;
    for (size_t i = f->calls.count; i-- > 0 && shown < MAX_CALL_NOTES; shown++)
        diagnostic_note(f->diagnostics, f->calls.items[i], "in the call from here");
    return poison();
}

void note(frontend *f, location where, const char *format, ...)
{
    if (f->muted)
        return;
    va_list args;
    va_start(args, format);
    diagnostic_vreport(f->diagnostics, SEVERITY_NOTE, where, format, args);
    va_end(args);
}

const char *did_you_mean(frontend *f, const char *nearest)
{
    return nearest ? arena_format(f->arena, "; did you mean '%s'?", nearest) : "";
}

const char *suggestion(frontend *f, const char *name, const char *const *candidates, size_t count)
{
    return did_you_mean(f, text_nearest(name, candidates, count));
}

bool step(frontend *f, location where)
{
    if (f->errors > MAX_ERRORS)
        return false; // enough is known
    if (++f->steps <= MAX_STEPS)
        return true;
    if (!f->exhausted)
        fail(f, where,
             "the program is too large: more than %d operations after its loops and calls are "
             "expanded",
             MAX_STEPS);
    f->exhausted = true;
    return false;
}

bool enter(frontend *f, location where)
{
    if (f->depth < MAX_DEPTH && step(f, where)) {
        f->depth++;
        return true;
    }
    if (f->depth >= MAX_DEPTH)
        fail(f, where,
             "this needs more than %d nested evaluations; is something defined by itself?",
             MAX_DEPTH);
    return false;
}

const char *describe_type(frontend *f, const ir_type *t)
{
    text out = {0};
    if (t->kind == IR_WEIGHT && strcmp(t->format, "w")) {
        text_append(&out, t->format);
        const ir_type *dims = ir_type_tensor(f->module, SCALAR_F32, t->rank, t->dims);
        text shape = {0};
        ir_type_print(&shape, dims);
        text_append(&out, strchr(text_string(&shape), '['));
        text_free(&shape);
    } else {
        ir_type_print(&out, t);
    }
    char *copy = arena_string(f->arena, text_string(&out), out.length);
    text_free(&out);
    return copy;
}

const char *describe_dim(frontend *f, ir_dim d)
{
    if (!d.symbol)
        return arena_format(f->arena, "%lld", (long long)d.value);
    if (d.value == 1)
        return d.symbol->name;
    return arena_format(f->arena, "%lld*%s", (long long)d.value, d.symbol->name);
}

static const char *describe_number(frontend *f, double x)
{
    text out = {0};
    text_append(&out, "the number ");
    text_double(&out, x);
    char *copy = arena_string(f->arena, text_string(&out), out.length);
    text_free(&out);
    return copy;
}

static const char *describe_weights(frontend *f, value v)
{
    if (v.array)
        return arena_format(f->arena, "an array of %lld %s", (long long)v.weights->length,
                            v.weights->leaf ? "weights" : "groups of weights");
    if (!v.weights->leaf)
        return "a group of weights";
    return describe_type(f, v.weights->type);
}

const char *describe(frontend *f, value v)
{
    switch (v.kind) {
    case VALUE_POISON: return "an error";
    case VALUE_INTEGER:
        return arena_format(f->arena, "the whole number %lld", (long long)v.integer);
    case VALUE_NUMBER: return describe_number(f, v.number);
    case VALUE_BOOLEAN: return v.integer ? "true" : "false";
    case VALUE_TEXT: return arena_format(f->arena, "the text \"%.40s\"", v.text);
    case VALUE_DIMENSION: return arena_format(f->arena, "the size %s", describe_dim(f, v.dim));
    case VALUE_RUNTIME: return describe_type(f, v.runtime->type);
    case VALUE_WEIGHTS: return describe_weights(f, v);
    case VALUE_STATE:
        return v.array
                   ? arena_format(f->arena, "an array of %lld states", (long long)v.state->length)
                   : describe_type(f, v.state->type);
    case VALUE_TUPLE: return arena_format(f->arena, "%zu results", v.count);
    }
    UNREACHABLE();
}

const char *describe_syntax(frontend *f, const ast_node *n)
{
    const source *s = n->where.source;
    if (!s || !n->where.line)
        return "this";
    const char *at = s->text, *end = s->text + s->length;
    for (uint32_t line = 1; line < n->where.line; line++)
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    at += n->where.column - 1;
    size_t length = n->where.length;
    if (length > (size_t)(end - at))
        length = (size_t)(end - at);
    if (length > MAX_DESCRIBED)
        return arena_format(f->arena, "%.*s...", MAX_DESCRIBED, at);
    return arena_string(f->arena, at, length);
}
