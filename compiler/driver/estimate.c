// lutc estimate: how long an entry takes on a machine, from its tile IR.
#include "compiler/driver/driver.h"

#include "compiler/estimate/estimate.h"

#include <stdlib.h>
#include <string.h>

static bool add_dim(driver *d, estimate_options *o, const char *name, long long value)
{
    for (size_t i = 0; i < o->dims.count; i++) {
        if (strcmp(o->dims.items[i].name, name))
            continue;
        diagnostic_error(d->diagnostics, NOWHERE, "the size of '%s' is given twice", name);
        return false;
    }
    ARRAY_PUSH(d->arena, &o->dims, (estimate_dim){name, value});
    return true;
}

// --dim NAME=N
static bool read_dims(driver *d, estimate_options *o)
{
    for (size_t i = 0; i < d->dims.count; i++) {
        const char *given = d->dims.items[i], *equals = strchr(given, '=');
        char *end = NULL;
        long long value = equals ? strtoll(equals + 1, &end, 10) : 0;
        if (!equals || end == equals + 1 || *end || value < 1) {
            diagnostic_error(d->diagnostics, NOWHERE,
                             "--dim: expected NAME=N with a positive N, found '%s'", given);
            return false;
        }
        const char *name = arena_string(d->arena, given, (size_t)(equals - given));
        if (!ir_symbol_find(d->module, name)) {
            diagnostic_error(d->diagnostics, NOWHERE, "--dim: the program has no dimension '%s'",
                             name);
            return false;
        }
        if (!add_dim(d, o, name, value))
            return false;
    }
    return true;
}

static const ir_function *entry_of(const driver *d)
{
    const ir_function *f = NULL;
    const char *names[] = {d->entry, "forward", "main"};
    for (size_t i = 0; i < 3 && !f; i++)
        f = names[i] ? ir_function_find(d->module, names[i]) : NULL;
    return f && f->entry ? f : NULL;
}

// The dimensions of a language model's tokens: i32[B, T] or i32[T].
static bool token_dims(const driver *d, const ir_symbol **batch, const ir_symbol **tokens)
{
    const ir_function *f = entry_of(d);
    *batch = *tokens = NULL;
    if (!f || !f->body->arguments.count)
        return false;
    const ir_type *t = f->body->arguments.items[0]->type;
    if (t->scalar != SCALAR_I32 || t->rank < 1 || t->rank > 2)
        return false;
    *batch = t->rank == 2 ? t->dims[0].symbol : NULL;
    *tokens = t->dims[t->rank - 1].symbol;
    return *tokens;
}

static bool has_room(driver *d, long long position, long long tokens)
{
    size_t room = context_length_of(d);
    if (position < 0 || room == MODEL_UNLIMITED || (size_t)(position + tokens) <= room)
        return true;
    diagnostic_error(d->diagnostics, NOWHERE,
                     "%lld tokens behind %lld others: the program has room for %zu positions; -D "
                     "changes constants, such as its context",
                     tokens, position, room);
    return false;
}

// --batch, --prefill, --decode: sizes of a language model's dimensions, and where it stands.
static bool read_tokens(driver *d, estimate_options *o)
{
    const struct estimate_settings *s = &d->estimate;
    const ir_symbol *batch, *tokens;
    o->position = s->position > 0 ? s->position : s->decode;
    if (!s->batch && !s->prefill && !s->decode)
        return true;
    if (s->decode && (s->prefill || s->position > 0)) {
        diagnostic_error(d->diagnostics, NOWHERE,
                         s->prefill ? "either --prefill or --decode"
                                    : "--position is for --prefill; --decode N is behind N tokens");
        return false;
    }
    if (!token_dims(d, &batch, &tokens) || (s->batch > 1 && !batch)) {
        diagnostic_error(d->diagnostics, NOWHERE,
                         "--batch, --prefill and --decode are for language models with tokens of "
                         "i32[B, T] or i32[T]; others take --dim NAME=N");
        return false;
    }
    return has_room(d, o->position, s->prefill ? s->prefill : 1) &&
           (!batch || add_dim(d, o, batch->name, s->batch ? s->batch : 1)) &&
           add_dim(d, o, tokens->name, s->prefill ? s->prefill : 1);
}

// Every table is built by a kernel of its own.
static void leave_tables_alone(driver *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->pipeline.steps.count; i++) {
        pipeline_step *s = &d->pipeline.steps.items[i];
        if (!strcmp(s->pass->name, "fuse"))
            ARRAY_PUSH(d->arena, &s->arguments, (pass_argument){"precompute", "false"});
        if (strcmp(s->pass->name, "fuse-tables"))
            d->pipeline.steps.items[kept++] = *s;
    }
    d->pipeline.steps.count = kept;
}

// Loops are whole, so that the estimate can divide them as it likes.
static void leave_loops_whole(driver *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->pipeline.steps.count; i++)
        if (strcmp(d->pipeline.steps.items[i].pass->name, "partition"))
            d->pipeline.steps.items[kept++] = d->pipeline.steps.items[i];
    d->pipeline.steps.count = kept;
}

// --precompute: how tables are made, as far as the passes decide it, or the estimate.
static bool choose_precompute(driver *d, estimate_options *o)
{
    static const struct {
        const char *word;
        estimate_tables tables;
        bool unfused;
    } rows[] = {{"fused", ESTIMATE_TABLES_COMPILED, false},
                {"unfused", ESTIMATE_TABLES_COMPILED, true},
                {"none", ESTIMATE_TABLES_FREE, true},
                {"repeated", ESTIMATE_TABLES_REPEATED, false}};
    const char *word = d->estimate.precompute ? d->estimate.precompute : "fused";
    size_t i = 0, n = sizeof rows / sizeof *rows;
    while (i < n && strcmp(rows[i].word, word))
        i++;
    if (i == n) {
        diagnostic_error(d->diagnostics, NOWHERE,
                         "--precompute: expected fused, unfused, none or repeated, found '%s'",
                         word);
        return false;
    }
    o->tables = rows[i].tables;
    if (rows[i].unfused && is_behind(d, "fuse"))
        warn_of_late(d, arena_format(d->arena, "--precompute %s", word), "fuse");
    if (rows[i].unfused)
        leave_tables_alone(d);
    return true;
}

static bool write_estimate(driver *d, const estimate *e)
{
    text table = {0}, json = {0};
    bool ok = true;
    estimate_print(&table, e);
    if (d->estimate.json) {
        estimate_print_json(&json, e);
        ok = write_output(d, d->estimate.json, &json);
    }
    if (ok && !(d->estimate.json && !strcmp(d->estimate.json, "-")))
        ok = write_output(d, "-", &table);
    text_free(&table);
    text_free(&json);
    return ok;
}

bool read_estimate_options(driver *d, estimate_options *o)
{
    *o = (estimate_options){.machine = &d->machine,
                            .entry = d->entry,
                            .compute = d->estimate.compute,
                            .memory = d->estimate.memory};
    return read_dims(d, o) && read_tokens(d, o);
}

bool lower_for_estimate(driver *d, estimate_options *o)
{
    if (!choose_pipeline(d, "plan-memory") || !choose_precompute(d, o))
        return false;
    leave_loops_whole(d);
    return run_pipeline(d);
}

int command_estimate(driver *d)
{
    estimate_options options;
    estimate result;
    const char *outputs[] = {d->estimate.json};
    if (!outputs_have_places(d, outputs, 1) || !load_machine(d) || !load_module(d) ||
        !read_estimate_options(d, &options) || !lower_for_estimate(d, &options))
        return EXIT_USER_ERROR;
    return estimate_module(d->arena, d->diagnostics, d->module, &options, &result) &&
                   write_estimate(d, &result)
               ? EXIT_OK
               : EXIT_USER_ERROR;
}
