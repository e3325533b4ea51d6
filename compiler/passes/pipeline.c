// Pipelines: their text, and running them.
#include "compiler/passes/parameters.h"

#include "support/clock.h"

#include <string.h>

// The whole way, as a page: the passes' one-line descriptions are in passes.def.
const char pipeline_default[] =
    "fold,quantize-weights,split-precompute,quantize-tables,"
    "use-matrix,stream-softmax,pack-weights,fuse,fuse-tables,choose-tiles,"
    "lower-to-tile,overlap,prefetch,partition,interleave,pipeline-tables,rotate,"
    "assign-tile-registers,plan-memory";

// ---------------------------------------------------------------------- parsing

typedef struct pipeline_parser {
    arena *arena;
    diagnostics *diagnostics;
    const source *source;
    const char *at;
} pipeline_parser;

static location here(const pipeline_parser *p, const char *from, size_t length)
{
    return (location){p->source, 1, (uint32_t)(from - p->source->text + 1),
                      length ? (uint32_t)length : 1};
}

static void skip_space(pipeline_parser *p)
{
    p->at += strspn(p->at, " \t\n");
}

static bool expected(pipeline_parser *p, const char *what)
{
    if (*p->at)
        diagnostic_error(p->diagnostics, here(p, p->at, 1), "expected %s, found '%c'", what,
                         *p->at);
    else
        diagnostic_error(p->diagnostics, here(p, p->at, 1), "expected %s, found the end", what);
    return false;
}

static bool parse_name(pipeline_parser *p, const char *what, const char **out)
{
    skip_space(p);
    size_t length = strspn(p->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.");
    if (!length)
        return expected(p, what);
    *out = arena_string(p->arena, p->at, length);
    p->at += length;
    skip_space(p);
    return true;
}

static bool parse_value(pipeline_parser *p, const char **out)
{
    skip_space(p);
    if (*p->at != '"')
        return parse_name(p, "a value", out);
    const char *end = strchr(p->at + 1, '"');
    if (!end) {
        diagnostic_error(p->diagnostics, here(p, p->at, 1), "this quote is not closed");
        return false;
    }
    *out = arena_string(p->arena, p->at + 1, (size_t)(end - p->at - 1));
    p->at = end + 1;
    skip_space(p);
    return true;
}

static const char *suggestion(arena *a, const char *name, const char *const *names, size_t n)
{
    const char *near = text_nearest(name, names, n);
    return near ? arena_format(a, "; did you mean '%s'?", near) : "";
}

static bool unknown_pass(pipeline_parser *p, location where, const char *name)
{
    const char *names[64];
    size_t n = 0;
    for (const pass_row *row = pass_rows; row->name && n < 64; row++)
        names[n++] = row->name;
    diagnostic_error(p->diagnostics, where, "there is no pass '%s'%s", name,
                     suggestion(p->arena, name, names, n));
    return false;
}

static bool unknown_parameter(pipeline_parser *p, location where, const pass_row *row,
                              const char *name)
{
    parameter all[8];
    const char *names[8];
    size_t n = 0;
    for (const char *at = row->parameters; n < 8 && parameter_next(&at, &all[n]); n++)
        names[n] = all[n].name;
    diagnostic_error(p->diagnostics, where, "pass '%s' has no parameter '%s'%s", row->name, name,
                     n ? suggestion(p->arena, name, names, n) : "; it takes none");
    return false;
}

static bool word_among(const char *words, const char *value)
{
    size_t length = strlen(value);
    for (size_t n; *words != '}'; words += n + (words[n] == ' ')) {
        n = strcspn(words, " }");
        if (n == length && !memcmp(words, value, n))
            return true;
    }
    return false;
}

static bool check_value(pipeline_parser *p, location where, const parameter *row, const char *value)
{
    long long number;
    if (row->words && !word_among(row->words, value))
        diagnostic_error(p->diagnostics, where, "'%s' is one of {%.*s}, not '%s'", row->name,
                         (int)strcspn(row->words, "}"), row->words, value);
    else if (row->boolean && strcmp(value, "true") && strcmp(value, "false"))
        diagnostic_error(p->diagnostics, where, "'%s' is true or false, not '%s'", row->name,
                         value);
    else if (row->integer &&
             (!text_to_int64(value, &number) || number < row->least || number > row->greatest))
        diagnostic_error(p->diagnostics, where,
                         "'%s' is a whole number from %lld to %lld, not '%s'", row->name,
                         row->least, row->greatest, value);
    else
        return true;
    return false;
}

static bool parse_argument(pipeline_parser *p, pipeline_step *step)
{
    parameter row;
    pass_argument argument;
    skip_space(p);
    const char *from = p->at;
    if (!parse_name(p, "a parameter", &argument.name))
        return false;
    location where = here(p, from, strlen(argument.name));
    if (!parameter_find(step->pass, argument.name, &row))
        return unknown_parameter(p, where, step->pass, argument.name);
    if (*p->at != '=')
        return expected(p, "'='");
    p->at++;
    skip_space(p);
    from = p->at;
    if (!parse_value(p, &argument.value) ||
        !check_value(p, here(p, from, strlen(argument.value)), &row, argument.value))
        return false;
    ARRAY_PUSH(p->arena, &step->arguments, argument);
    return true;
}

static bool parse_arguments(pipeline_parser *p, pipeline_step *step)
{
    do {
        p->at++;
        if (!parse_argument(p, step))
            return false;
    } while (*p->at == ',');
    if (*p->at != ')')
        return expected(p, "',' or ')'");
    p->at++;
    skip_space(p);
    return true;
}

static bool parse_step(pipeline_parser *p, pipeline *out)
{
    pipeline_step step = {0};
    const char *name = NULL;
    skip_space(p);
    const char *from = p->at;
    if (!parse_name(p, "a pass", &name))
        return false;
    step.pass = pass_find(name);
    if (!step.pass)
        return unknown_pass(p, here(p, from, strlen(name)), name);
    if (*p->at == '(' && !parse_arguments(p, &step))
        return false;
    ARRAY_PUSH(p->arena, &out->steps, step);
    return true;
}

bool pipeline_parse(arena *a, diagnostics *d, const char *input, pipeline *out)
{
    pipeline_parser p = {a, d, diagnostics_source(d, "--passes", input, strlen(input)), NULL};
    p.at = p.source->text;
    *out = (pipeline){0};
    skip_space(&p);
    if (!*p.at)
        return true;
    while (parse_step(&p, out)) {
        if (!*p.at)
            return true;
        if (*p.at != ',')
            return expected(&p, "',' between passes");
        p.at++;
    }
    return false;
}

// -------------------------------------------------------------------- disabling

static bool refuse_required(pipeline_parser *p, location where, const pass_row *row)
{
    text optional = {0};
    for (const pass_row *other = pass_rows; other->name; other++)
        if (other->without)
            text_printf(&optional, "%s%s", optional.length ? ", " : "", other->name);
    diagnostic_error(p->diagnostics, where,
                     "no program comes about without '%s'; what can be disabled: %s", row->name,
                     text_string(&optional));
    text_free(&optional);
    return false;
}

// The pass at p->at, NULL if it was reported. False: that is no name.
static bool parse_optional(pipeline_parser *p, const pass_row **out)
{
    const char *name = NULL;
    skip_space(p);
    const char *from = p->at;
    if (!parse_name(p, "a pass", &name))
        return false;
    *out = pass_find(name);
    location where = here(p, from, strlen(name));
    if (!*out)
        unknown_pass(p, where, name);
    else if (!(*out)->without && !refuse_required(p, where, *out))
        *out = NULL;
    return true;
}

// Steps of the pass become what its row has in their place.
static void disable(pipeline_parser *p, pipeline *all, const pass_row *row)
{
    pipeline instead;
    size_t kept = 0;
    bool found = false;
    if (!pipeline_parse(p->arena, p->diagnostics, row->without, &instead))
        INTERNAL_ERROR("pass '%s' cannot be replaced by '%s'", row->name, row->without);
    for (size_t i = 0; i < all->steps.count; i++) {
        bool leaves = all->steps.items[i].pass == row;
        if (!leaves || instead.steps.count)
            all->steps.items[kept++] = leaves ? instead.steps.items[0] : all->steps.items[i];
        found = found || leaves;
    }
    all->steps.count = kept;
    if (found)
        ARRAY_PUSH(p->arena, &all->disabled, row);
}

bool pipeline_disable(arena *a, diagnostics *d, const char *names, pipeline *all)
{
    pipeline_parser p = {a, d, diagnostics_source(d, "--disable", names, strlen(names)), NULL};
    bool good = true;
    p.at = p.source->text;
    for (;; p.at++) {
        const pass_row *row;
        if (!parse_optional(&p, &row))
            return false;
        if (row)
            disable(&p, all, row);
        good = good && row;
        if (!*p.at)
            return good;
        if (*p.at != ',')
            return expected(&p, "',' between passes");
    }
}

// --------------------------------------------------------------------- printing

static void print_argument(text *out, const pass_argument *argument)
{
    bool bare = *argument->value && !strpbrk(argument->value, ",()\"=;* /");
    text_printf(out, bare ? "%s=%s" : "%s=\"%s\"", argument->name, argument->value);
}

void pipeline_print(text *out, const pipeline *p)
{
    for (size_t i = 0; i < p->steps.count; i++) {
        const pipeline_step *step = &p->steps.items[i];
        text_printf(out, "%s%s", i ? "," : "", step->pass->name);
        for (size_t j = 0; j < step->arguments.count; j++) {
            text_char(out, j ? ',' : '(');
            print_argument(out, &step->arguments.items[j]);
        }
        text_append(out, step->arguments.count ? ")" : "");
    }
}

// ---------------------------------------------------------------------- running

static void set_arguments(pass_context *c, const pipeline_step *step)
{
    c->running = step->pass->name;
    c->arguments.items = step->arguments.items;
    c->arguments.count = step->arguments.count;
    c->arguments.capacity = step->arguments.count;
}

static void check_module(const ir_module *m, pass_context *c)
{
    if (ir_verify(c->diagnostics, m))
        return;
    diagnostics_flush(c->diagnostics);
    INTERNAL_ERROR("pass '%s' left an invalid module behind", c->running);
}

static void remark_disabled(const pipeline *p, pass_context *c)
{
    for (size_t i = 0; i < p->disabled.count; i++) {
        const pass_row *row = p->disabled.items[i];
        pass_remark_as(c, row->name, REMARK_MISSED, NOWHERE, "disabled%s%s",
                       *row->without ? "; instead runs " : "", row->without);
    }
}

bool pass_is_disabled(const pass_context *c, const char *name)
{
    const pipeline *p = c->pipeline;
    bool lowers = false;
    for (size_t i = 0; p && i < p->disabled.count; i++)
        if (!strcmp(p->disabled.items[i]->name, name))
            return true;
    for (size_t i = 0; p && i < p->steps.count; i++) {
        if (!strcmp(p->steps.items[i].pass->name, name))
            return false;
        lowers |= !strcmp(p->steps.items[i].pass->name, "lower-to-tile");
    }
    return lowers;
}

bool pipeline_run(const pipeline *p, ir_module *m, pass_context *c, const pipeline_observer *o)
{
    c->pipeline = p;
    remark_disabled(p, c);
    if (p->steps.count)
        pipeline_note_machine(m, c);
    if (o && o->after)
        o->after(o->context, 0, "input", m, 0);
    for (size_t i = 0; i < p->steps.count; i++) {
        set_arguments(c, &p->steps.items[i]);
        double start = clock_seconds();
        if (!p->steps.items[i].pass->run(m, c))
            return false;
        double seconds = clock_seconds() - start;
        check_module(m, c);
        pipeline_note_pass(m, c, p->steps.items[i].pass);
        if (o && o->after)
            o->after(o->context, (unsigned)i + 1, c->running, m, seconds);
    }
    return true;
}
