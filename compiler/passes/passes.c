// The table of passes, and what a running pass asks its context.
#include "compiler/passes/parameters.h"

#include <assert.h>
#include <string.h>

static_assert((int)IR_TILE_REGISTERS == (int)ISA_TILE_REGISTERS, "one number of tile registers");

#define REQUIRED NULL
const pass_row pass_rows[] = {
#define PASS(name, function, without, parameters, doc) {name, function, without, parameters, doc},
#include "compiler/passes/passes.def"
    {NULL},
};

const pass_row *pass_find(const char *name)
{
    for (const pass_row *row = pass_rows; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

// -------------------------------------------------------------------- remarks

static void add_remark(pass_context *c, const char *name, remark_kind kind, location where,
                       const char *format, va_list args)
{
    text message = {0};
    text_vprintf(&message, format, args);
    remark r = {arena_string(c->arena, name, strlen(name)), kind, where,
                arena_string(c->arena, text_string(&message), message.length)};
    ARRAY_PUSH(c->arena, &c->remarks, r);
    text_free(&message);
}

void pass_remark(pass_context *c, remark_kind kind, location where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_remark(c, c->running, kind, where, format, args);
    va_end(args);
}

void pass_remark_as(pass_context *c, const char *name, remark_kind kind, location where,
                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_remark(c, name, kind, where, format, args);
    va_end(args);
}

// ------------------------------------------------------------------ parameters

bool parameter_next(const char **at, parameter *out)
{
    const char *s = *at;
    if (!*s)
        return false;
    size_t length = strcspn(s, ":");
    snprintf(out->name, sizeof out->name, "%.*s", (int)length, s);
    s += length + 1;
    out->words = *s == '{' ? s + 1 : NULL;
    out->integer = sscanf(s, "integer %lld..%lld", &out->least, &out->greatest) == 2;
    out->boolean = text_starts_with(s, "boolean");
    s = strstr(s, " = ") + 3;
    length = strcspn(s, ",");
    snprintf(out->value, sizeof out->value, "%.*s", (int)length, s);
    *at = s + length + strspn(s + length, ", ");
    return true;
}

bool parameter_find(const pass_row *row, const char *name, parameter *out)
{
    for (const char *at = row->parameters; parameter_next(&at, out);)
        if (!strcmp(out->name, name))
            return true;
    return false;
}

const char *pass_argument_text(const pass_context *c, const char *name)
{
    parameter p;
    for (size_t i = 0; i < c->arguments.count; i++)
        if (!strcmp(c->arguments.items[i].name, name))
            return c->arguments.items[i].value;
    const pass_row *row = pass_find(c->running);
    if (!row || !parameter_find(row, name, &p))
        INTERNAL_ERROR("pass '%s' has no parameter '%s'", c->running, name);
    return arena_string(c->arena, p.value, strlen(p.value));
}

long long pass_argument_integer(const pass_context *c, const char *name)
{
    long long value;
    if (!text_to_int64(pass_argument_text(c, name), &value))
        INTERNAL_ERROR("pass '%s': parameter '%s' is not an integer", c->running, name);
    return value;
}

bool pass_argument_boolean(const pass_context *c, const char *name)
{
    return !strcmp(pass_argument_text(c, name), "true");
}
