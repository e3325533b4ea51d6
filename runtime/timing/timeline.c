#include "runtime/timing/timeline.h"

#include "runtime/observe/trace.h"
#include "support/json_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// Of a hart: its functions, then its units.
enum { TRACK_FUNCTIONS = 1, TRACK_UNITS = 2 };

typedef struct hart_timeline {
    timeline *all;
    unsigned process;
    const elf_symbol *function; // in which it is
    uint64_t begin, end;        // of that, until now
    bool is_shown;
} hart_timeline;

struct timeline {
    trace trace;
    bool has_entries;
    unsigned count;
    hart_timeline *harts;
};

// -------------------------------------------------------------------------- slices

static void begin_entry(timeline *l)
{
    fputs(l->has_entries ? ",\n" : "\n", trace_stream(&l->trace));
    l->has_entries = true;
}

static void write_slice(const hart_timeline *h, json_t *name, unsigned track, uint64_t begin,
                        uint64_t end, json_t *arguments)
{
    json_t *slice = json_pack("{s:o, s:s, s:I, s:I, s:i, s:i, s:o}", "name", name, "ph", "X", "ts",
                              (json_int_t)begin, "dur", (json_int_t)(end - begin), "pid",
                              (int)h->process, "tid", (int)track, "args", arguments);
    begin_entry(h->all);
    json_dumpf(slice, trace_stream(&h->all->trace), JSON_COMPACT);
    json_decref(slice);
}

static void name_track(const hart_timeline *h, unsigned track, const char *name)
{
    begin_entry(h->all);
    fprintf(
        trace_stream(&h->all->trace),
        "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":\"%s\"}}",
        h->process, track, name);
}

// Functions are not counted: each has other slices.
static void end_function(hart_timeline *h)
{
    if (h->is_shown)
        write_slice(h, json_name(h->function ? h->function->name : "(no symbol)"), TRACK_FUNCTIONS,
                    h->begin, h->end, json_object());
    h->is_shown = false;
}

static bool is_in(const elf_symbol *s, uint64_t pc)
{
    return s && pc - s->address < s->size;
}

static void follow_function(hart_timeline *h, uint64_t pc, uint64_t begin, uint64_t end,
                            bool wanted)
{
    if (!h->is_shown || !is_in(h->function, pc)) {
        end_function(h);
        h->function = elf_symbol_at(host_image(h->all->trace.program), pc);
        h->begin = begin;
        h->end = end;
        h->is_shown = wanted;
    }
    h->end = end > h->end ? end : h->end;
}

static json_t *name_of(const timing_op *op)
{
    text name = {0};
    isa_disassemble(&name, &op->in, ISA_NO_PC);
    json_t *string = json_stringn(name.data, strcspn(text_string(&name), " "));
    text_free(&name);
    return string;
}

static void issued(void *context, const timing_op *op, uint64_t begin, uint64_t end)
{
    hart_timeline *h = context;
    trace *t = &h->all->trace;
    bool wanted = trace_wants(t, op->pc);
    t->executed++;
    if (t->limit_reached)
        return;
    follow_function(h, op->pc, begin, end, wanted);
    if (!wanted || !trace_take(t))
        return;
    text place = {0};
    host_print_place(t->program, op->pc, &place);
    write_slice(h, name_of(op), TRACK_UNITS + op->unit, begin, end,
                json_pack("{s:o}", "at", json_name(text_string(&place))));
    text_free(&place);
}

// -------------------------------------------------------------------------- opening

void timeline_attach(timeline *l, timing_hart *t, unsigned rank)
{
    t->issued = issued;
    t->issued_context = &l->harts[rank];
}

timeline *timeline_open(host_program *p, arena *a, diagnostics *d, const trace_settings *s,
                        unsigned harts)
{
    timeline *l = calloc(1, sizeof *l);
    if (!l || !(l->harts = calloc(harts, sizeof *l->harts)))
        INTERNAL_ERROR("out of memory");
    if (!trace_open(p, a, d, s, &l->trace)) {
        free(l->harts);
        free(l);
        return NULL;
    }
    l->count = harts;
    fputs("{\"traceEvents\":[", trace_stream(&l->trace));
    for (unsigned i = 0; i < harts; i++) {
        l->harts[i] = (hart_timeline){.all = l, .process = i + 1};
        name_track(&l->harts[i], TRACK_FUNCTIONS, "functions");
        for (unsigned u = 0; u < ISA_UNIT_COUNT; u++)
            name_track(&l->harts[i], TRACK_UNITS + u, isa_unit_names[u]);
    }
    return l;
}

void timeline_close(timeline *l, int exit_code)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->count; i++)
        end_function(&l->harts[i]);
    fprintf(trace_stream(&l->trace),
            "\n],\n\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"time\":\"1 us is 1 cycle\","
            "\"instructions\":\"%" PRIu64 "\",\"exit_code\":\"%d\",\"complete\":\"%s\"}}\n",
            l->trace.executed, exit_code, l->trace.limit_reached ? "no" : "yes");
    trace_commit(&l->trace);
    free(l->harts);
    free(l);
}
