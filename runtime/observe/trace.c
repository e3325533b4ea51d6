#include "runtime/observe/trace.h"

#include "runtime/host/refuse.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool trace_wants_function(const trace *t, const char *name)
{
    const option_values *wanted = &t->settings->functions;
    for (size_t i = 0; name && i < wanted->count; i++)
        if (strcmp(wanted->items[i], name) == 0)
            return true;
    return wanted->count == 0;
}

bool trace_wants(const trace *t, uint64_t pc)
{
    if (pc < t->low || pc >= t->high || t->executed < (uint64_t)t->settings->from)
        return false;
    if (t->settings->functions.count == 0)
        return true;
    const elf_symbol *s = elf_symbol_at(host_image(t->program), pc);
    return trace_wants_function(t, s ? s->name : NULL);
}

bool trace_take(trace *t)
{
    if (t->written < t->limit)
        return t->written++, true;
    t->limit_reached = true;
    return false;
}

FILE *trace_stream(const trace *t)
{
    return output_stream(t->file);
}

void trace_commit(trace *t)
{
    if (t->limit_reached)
        diagnostic_warning(t->diagnostics, NOWHERE,
                           "the trace ends after %" PRIu64 " entries; --trace-limit sets how many",
                           t->limit);
    if (t->executed)
        output_commit(t->diagnostics, t->file);
    else // the run never began
        output_abandon(t->file);
}

// ----------------------------------------------------------------------- opening

// LOW..HIGH
static bool read_range(diagnostics *d, const char *range, trace *t)
{
    const char *dots = range ? strstr(range, "..") : NULL;
    long long low, high;
    if (!range)
        return true;
    char *first = dots ? strndup(range, (size_t)(dots - range)) : NULL;
    bool ok = first && text_to_int64(first, &low) && text_to_int64(dots + 2, &high) && low >= 0 &&
              low < high;
    free(first);
    if (!ok)
        return refuse(d, NOWHERE,
                      "--trace-range '%s': expected LOW..HIGH, two addresses, the lower one first",
                      range);
    t->low = (uint64_t)low;
    t->high = (uint64_t)high;
    return true;
}

static bool check_function(host_program *p, arena *a, diagnostics *d, const char *name)
{
    const elf_image *image = host_image(p);
    if (elf_find_symbol(image, name))
        return true;
    const char **names = ARENA_ARRAY(a, const char *, image->symbol_count);
    for (size_t i = 0; i < image->symbol_count; i++)
        names[i] = image->symbols[i].name;
    const char *near = text_nearest(name, names, image->symbol_count);
    return refuse(d, NOWHERE, "--trace-function: '%s' has no function '%s'%s%s%s", host_path(p),
                  name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

bool trace_open(host_program *p, arena *a, diagnostics *d, const trace_settings *s, trace *out)
{
    *out = (trace){.program = p,
                   .diagnostics = d,
                   .settings = s,
                   .high = UINT64_MAX,
                   .limit = s->limit ? (uint64_t)s->limit : TRACE_LIMIT};
    bool ok = read_range(d, s->range, out);
    for (size_t i = 0; i < s->functions.count; i++)
        ok &= check_function(p, a, d, s->functions.items[i]);
    return ok && (out->file = output_open(d, s->path));
}

bool observe_trace_open(host_program *p, arena *a, diagnostics *d, const trace_settings *s,
                        observer *out)
{
    trace *own = malloc(sizeof *own);
    if (!own)
        INTERNAL_ERROR("out of memory");
    if (!trace_open(p, a, d, s, own)) {
        free(own);
        return false;
    }
    if (text_ends_with(s->path, ".json"))
        trace_calls_observer(own, out);
    else
        trace_text_observer(own, out);
    return true;
}
