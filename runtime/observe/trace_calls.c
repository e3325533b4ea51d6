// Calls as slices of a Chrome trace, which Perfetto shows: a microsecond there is an instruction
// here. Calls and returns are told by jumps: one that leaves its return address in ra or t0 calls,
// one to the return address of a caller returns to it, any other that leaves the function is a call
// in its last place.
#include "runtime/observe/trace.h"
#include "support/json_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 4096, RA = 1, T0 = 5 };

typedef struct frame {
    const elf_symbol *symbol; // NULL: none covers it
    uint64_t address;         // where it was entered
    uint64_t return_address;
    uint64_t start, lookups;
} frame;

typedef struct call_trace {
    trace *trace;
    frame frames[DEEPEST];
    size_t depth;         // frames that are open, those beyond DEEPEST included
    isa_instruction last; // a jump, if it can lead to another function
    uint64_t last_pc;
    uint64_t lookups;
} call_trace;

// -------------------------------------------------------------------------- slices

static void write_slice(call_trace *t, const char *name, uint64_t start, uint64_t lookups)
{
    FILE *stream = trace_stream(t->trace);
    json_t *slice =
        json_pack("{s:o, s:s, s:I, s:I, s:i, s:i, s:{s:I}}", "name", json_name(name), "ph", "X",
                  "ts", (json_int_t)start, "dur", (json_int_t)(t->trace->executed - start), "pid",
                  1, "tid", 1, "args", "lookups", (json_int_t)(t->lookups - lookups));
    fputs(t->trace->written > 1 ? ",\n" : "\n", stream);
    json_dumpf(slice, stream, JSON_COMPACT);
    json_decref(slice);
}

static bool wants(const call_trace *t, const frame *f)
{
    return f->address >= t->trace->low && f->address < t->trace->high &&
           f->start >= (uint64_t)t->trace->settings->from &&
           trace_wants_function(t->trace, f->symbol ? f->symbol->name : NULL);
}

static void close_frame(call_trace *t)
{
    if (--t->depth >= DEEPEST)
        return;
    const frame *f = &t->frames[t->depth];
    char address[32];
    snprintf(address, sizeof address, "0x%" PRIx64, f->address);
    if (wants(t, f) && trace_take(t->trace))
        write_slice(t, f->symbol ? f->symbol->name : address, f->start, f->lookups);
}

static void open_frame(call_trace *t, uint64_t pc, uint64_t return_address)
{
    if (t->depth < DEEPEST)
        t->frames[t->depth] = (frame){elf_symbol_at(host_image(t->trace->program), pc), pc,
                                      return_address, t->trace->executed, t->lookups};
    t->depth++;
}

// ----------------------------------------------------------------------- transfers

static bool is_link(unsigned number)
{
    return number == RA || number == T0;
}

// How many frames stay open when execution goes on at `pc`; 0: it is no return.
static size_t returns_to(const call_trace *t, uint64_t pc)
{
    size_t depth = t->depth < DEEPEST ? t->depth : DEEPEST;
    while (depth > 1 && t->frames[depth - 1].return_address != pc)
        depth--;
    return depth > 1 ? depth - 1 : 0;
}

static bool leaves_function(const call_trace *t, uint64_t pc)
{
    if (t->depth > DEEPEST)
        return false;
    return elf_symbol_at(host_image(t->trace->program), pc) != t->frames[t->depth - 1].symbol;
}

static void follow_jump(call_trace *t, uint64_t pc)
{
    uint64_t behind = t->last_pc + t->last.length;
    size_t left;
    if (pc == behind && !is_link(t->last.rd))
        return;
    if (is_link(t->last.rd)) {
        open_frame(t, pc, behind);
    } else if (t->last.opcode == ISA_JALR && (left = returns_to(t, pc)) > 0) {
        while (t->depth > left)
            close_frame(t);
    } else if (leaves_function(t, pc)) {
        uint64_t return_address = t->frames[t->depth - 1].return_address;
        close_frame(t);
        open_frame(t, pc, return_address);
    }
}

static void instruction(void *context, hart *h, const isa_instruction *in)
{
    call_trace *t = context;
    if (t->depth == 0)
        open_frame(t, h->pc, h->return_address);
    else if (t->last.opcode == ISA_JAL || t->last.opcode == ISA_JALR)
        follow_jump(t, h->pc);
    t->last = *in;
    t->last_pc = h->pc;
    if (in->opcode == ISA_LMMA && h->lut)
        t->lookups += lut_lookups(h->lut, in);
    t->trace->executed++;
}

static bool idle(void *context)
{
    return ((call_trace *)context)->trace->limit_reached;
}

static void begin(void *context, hart *h, const char *name)
{
    (void)h;
    (void)name;
    ((call_trace *)context)->last.opcode = ISA_ILLEGAL;
}

static void end(void *context, hart *h)
{
    (void)h;
    call_trace *t = context;
    while (t->depth > 0)
        close_frame(t);
}

static void finish(void *context, int exit_code)
{
    call_trace *t = context;
    fprintf(trace_stream(t->trace),
            "\n],\n\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"time\":\"1 us is 1 instruction\","
            "\"instructions\":\"%" PRIu64 "\",\"exit_code\":\"%d\",\"complete\":\"%s\"}}\n",
            t->trace->executed, exit_code, t->trace->limit_reached ? "no" : "yes");
    trace_commit(t->trace);
    free(t->trace);
    free(t);
}

void trace_calls_observer(trace *t, observer *out)
{
    call_trace *own = calloc(1, sizeof *own);
    if (!own)
        INTERNAL_ERROR("out of memory");
    own->trace = t;
    fputs("{\"traceEvents\":[", trace_stream(t));
    *out = (observer){.context = own,
                      .begin = begin,
                      .instruction = instruction,
                      .idle = idle,
                      .end = end,
                      .finish = finish};
}
