#include "runtime/observe/settings.h"

#include "runtime/host/refuse.h"

#include <string.h>

void observe_option_rows(observe_settings *s, option_row rows[OBSERVE_OPTIONS])
{
    trace_settings *t = &s->trace;
    const option_row table[OBSERVE_OPTIONS] = {
        {"--profile", NULL, OPTION_OPTIONAL, &s->profile, "FILE",
         "count instructions by function and source line: to stderr, a file, or FILE.json"},
        {"--trace", NULL, OPTION_STRING, &t->path, "FILE",
         "write every instruction; to FILE.json: calls, for Perfetto"},
        {"--trace-function", NULL, OPTION_LIST, &t->functions, "NAME",
         "trace this function only; may be repeated"},
        {"--trace-range", NULL, OPTION_STRING, &t->range, "LOW..HIGH",
         "trace these addresses only, HIGH excluded"},
        {"--trace-from", NULL, OPTION_INTEGER, &t->from, "COUNT",
         "begin the trace after COUNT instructions", 0, INT64_MAX},
        {"--trace-limit", NULL, OPTION_INTEGER, &t->limit, "COUNT",
         "end the trace after COUNT lines or calls (default: 1000000)", 1, INT64_MAX},
        {"--check-wrap", NULL, OPTION_FLAG, &s->wrap, NULL,
         "report the first integer sum of lmma or mma that wraps"},
        {"--plugin", NULL, OPTION_LIST, &s->plugins, "FILE.so[:ARGUMENTS]",
         "load an observer of your own (docs/debugging.md)"}};
    memcpy(rows, table, sizeof table);
}

static bool check_trace(diagnostics *d, const trace_settings *t)
{
    const struct {
        const char *name;
        bool given;
    } rows[] = {{"--trace-function", t->functions.count > 0},
                {"--trace-range", t->range != NULL},
                {"--trace-from", t->from > 0},
                {"--trace-limit", t->limit > 0}};
    bool ok = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given && !t->path)
            ok = refuse(d, NOWHERE, "%s restricts a trace, and there is none: add --trace=FILE",
                        rows[i].name);
    return ok;
}

bool observe_start(host_program *p, arena *a, diagnostics *d, const observe_settings *s)
{
    observer o;
    bool ok = check_trace(d, &s->trace);
    for (size_t i = 0; i < s->plugins.count; i++) {
        if (observe_plugin_open(p, a, d, s->plugins.items[i], &o))
            host_observe(p, &o);
        else
            ok = false;
    }
    if (s->profile && (ok &= observe_profile_open(p, d, s->profile, &o)))
        host_observe(p, &o);
    if (s->trace.path && !s->trace.is_timed && (ok &= observe_trace_open(p, a, d, &s->trace, &o)))
        host_observe(p, &o);
    if (s->wrap && (ok &= observe_wrap_open(p, d, &o)))
        host_observe(p, &o);
    return ok;
}
