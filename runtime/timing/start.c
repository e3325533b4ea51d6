// --time: the model attached to a program, harts and all.
#include "runtime/timing/timing.h"

#include "runtime/host/refuse.h"
#include "runtime/timing/report.h"
#include "runtime/timing/timeline.h"
#include "support/file.h"

#include <stdlib.h>
#include <string.h>

static const char json_to_file[] = "json:";

typedef struct timing {
    host_program *program;
    diagnostics *diagnostics;
    bool json;
    output_file *file; // NULL: stderr
    timing_hart **harts;
    timing_memory **memories;
    unsigned count;
    uint64_t calls;
    timeline *timeline; // NULL: none is wanted
    uint64_t *arrivals; // at barriers, of each hart
    // When the last hart came to the last barrier and the one before, by its number's parity.
    uint64_t passed[2], barriers;
} timing;

void timing_option_rows(timing_settings *s, option_row rows[TIMING_OPTIONS])
{
    rows[0] = (option_row){"--time",
                           NULL,
                           OPTION_OPTIONAL,
                           &s->time,
                           "json[:FILE]",
                           "cycles, stalls and energy on the machine (docs/timing.md): as text or "
                           "JSON to stderr, or as JSON to a file"};
}

bool timing_check(const char *tool, const timing_settings *s)
{
    const char *time = s->time;
    if (!time || !*time || strcmp(time, "json") == 0 ||
        (text_starts_with(time, json_to_file) && time[strlen(json_to_file)]))
        return true;
    fprintf(stderr, "%s: error: --time=%s: expected --time, --time=json or --time=json:FILE\n",
            tool, time);
    return false;
}

bool timing_takes_trace(const timing_settings *s, const trace_settings *trace)
{
    return s->time && trace->path && text_ends_with(trace->path, ".json");
}

// -------------------------------------------------------------------------- observing

static uint64_t read_cycles(void *context)
{
    return ((timing_hart *)context)->now;
}

// In nanoseconds of the machine.
static uint64_t read_time(void *context)
{
    const timing_hart *t = context;
    return (uint64_t)((double)t->now / t->machine->clock * 1e9);
}

static void attach(timing *t, hart *h)
{
    const unsigned rank = h->rank;
    timing_hart **own = &t->harts[rank];
    *own = timing_hart_create(host_machine(t->program), h, t->memories[rank]);
    h->cycles = read_cycles;
    h->clock = read_time;
    h->clock_context = *own;
    if (t->timeline)
        timeline_attach(t->timeline, *own, rank);
    hart_watch(h, timing_watch, *own);
}

// All harts begin a call together.
static void begin_call(timing *t)
{
    uint64_t latest = 0;
    for (unsigned i = 0; i < t->count; i++)
        if (t->harts[i] && timing_end(t->harts[i]) > latest)
            latest = timing_end(t->harts[i]);
    for (unsigned i = 0; i < t->count && t->count > 1; i++)
        if (t->harts[i])
            timing_wait_until(t->harts[i], latest);
    t->calls++;
}

static void begin(void *context, hart *h, const char *name)
{
    (void)name;
    timing *t = context;
    if (h->rank == 0)
        begin_call(t);
    if (!t->harts[h->rank])
        attach(t, h);
}

// Harts take turns: all have come to it before any goes on.
static void barrier(void *context, hart *h)
{
    timing *t = context;
    timing_hart *own = t->harts[h->rank];
    uint64_t number = ++t->arrivals[h->rank], *passed = &t->passed[number & 1];
    if (number > t->barriers) {
        t->barriers = number;
        *passed = 0;
    }
    *passed = own->now > *passed ? own->now : *passed;
    timing_barrier(own, passed);
}

static void write_report(timing *t)
{
    arena *a = arena_create();
    timing_report r = {.program = t->program,
                       .machine = host_machine(t->program),
                       .harts = t->count,
                       .calls = t->calls};
    timing_report_make(&r, a, t->harts);
    FILE *stream = t->file ? output_stream(t->file) : stderr;
    (t->json ? timing_report_print_json : timing_report_print)(&r, stream);
    if (t->file)
        output_commit(t->diagnostics, t->file);
    arena_destroy(a);
}

static void release(timing *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        timing_hart_destroy(t->harts[i]);
        timing_memory_destroy(t->memories[i]);
    }
    free(t->harts);
    free(t->memories);
    free(t->arrivals);
    free(t);
}

static void finish(void *context, int exit_code)
{
    timing *t = context;
    timeline_close(t->timeline, exit_code);
    if (t->calls)
        write_report(t);
    else // the run never began
        output_abandon(t->file);
    for (unsigned i = 0; i < t->count; i++) {
        if (!t->harts[i])
            continue;
        hart *h = t->harts[i]->hart;
        hart_watch(h, NULL, NULL);
        h->cycles = h->clock = NULL;
    }
    release(t);
}

// --------------------------------------------------------------------------- starting

static timing *create(host_program *p, diagnostics *d, unsigned harts)
{
    timing *t = calloc(1, sizeof *t);
    if (!t || !(t->harts = calloc(harts, sizeof *t->harts)) ||
        !(t->memories = calloc(harts, sizeof *t->memories)) ||
        !(t->arrivals = calloc(harts, sizeof *t->arrivals)))
        INTERNAL_ERROR("out of memory");
    t->program = p;
    t->diagnostics = d;
    t->count = harts;
    for (unsigned i = 0; i < harts; i++) {
        t->memories[i] = timing_memory_create(host_machine(p), harts);
        if (t->memories[i])
            continue;
        refuse(d, NOWHERE, "--time: machine '%s' has larger caches than can be modelled here",
               host_machine(p)->name);
        release(t);
        return NULL;
    }
    return t;
}

bool timing_start(host_program *p, arena *a, diagnostics *d, const timing_settings *s,
                  const trace_settings *trace)
{
    if (!s->time)
        return true;
    host_statistics statistics;
    host_statistics_get(p, &statistics);
    timing *t = create(p, d, statistics.harts);
    if (!t)
        return false;
    const char *path =
        text_starts_with(s->time, json_to_file) ? s->time + strlen(json_to_file) : NULL;
    t->json = *s->time != 0;
    if ((path && !(t->file = output_open(d, path))) ||
        (trace->is_timed && !(t->timeline = timeline_open(p, a, d, trace, t->count)))) {
        output_abandon(t->file);
        release(t);
        return false;
    }
    host_observe(p,
                 &(observer){.context = t, .begin = begin, .barrier = barrier, .finish = finish});
    return true;
}
