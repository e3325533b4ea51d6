// A line per instruction: how many came before it, its address and place, its assembly, and the
// register it has written, which shows when the next one is about to execute.
#include "runtime/observe/trace.h"

#include "runtime/observe/access.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 32, PLACE_WIDTH = 28, ASSEMBLY_WIDTH = 36 };

typedef struct text_trace {
    trace *trace;
    bool pending; // a line lacks what its instruction has written
    isa_instruction last;
} text_trace;

// Elements of `width` bytes, the first of them first.
static void print_elements(const uint8_t *data, size_t size, size_t width, FILE *stream)
{
    for (size_t i = 0; i + width <= size && i < MOST_BYTES; i += width) {
        uint64_t element = 0;
        memcpy(&element, data + i, width);
        fprintf(stream, " %0*" PRIx64, (int)(2 * width), element);
    }
    if (size > MOST_BYTES)
        fputs(" ...", stream);
}

static void print_written(const hart *h, const isa_instruction *in, FILE *stream)
{
    observe_register kind;
    unsigned number;
    if (!observe_written(in, &kind, &number))
        return;
    switch (kind) {
    case OBSERVE_X: fprintf(stream, "  %s = 0x%" PRIx64, isa_x_names[number], h->x[number]); break;
    case OBSERVE_F:
        fprintf(stream, "  %s = 0x%016" PRIx64, isa_f_names[number], h->f[number]);
        break;
    case OBSERVE_VECTOR:
        fprintf(stream, "  v%u =", number);
        print_elements(h->v + (size_t)number * h->vlenb, h->vlenb,
                       h->vill ? 1 : (size_t)1 << h->sew, stream);
        break;
    default:
        fprintf(stream, "  lt%u =", number);
        print_elements(lut_tile(h->lut, number), h->lut->tile_bytes, 4, stream);
        break;
    }
}

static void end_line(text_trace *t, const hart *h)
{
    if (!t->pending)
        return;
    print_written(h, &t->last, trace_stream(t->trace));
    fputc('\n', trace_stream(t->trace));
    t->pending = false;
}

static void begin_line(text_trace *t, const hart *h, const isa_instruction *in)
{
    text place = {0}, assembly = {0};
    observe_register kind;
    unsigned number;
    host_print_place(t->trace->program, h->pc, &place);
    isa_disassemble(&assembly, in, h->pc);
    bool writes = observe_written(in, &kind, &number);
    fprintf(trace_stream(t->trace), "%12" PRIu64 " %8" PRIx64 " %-*s %-*s", t->trace->executed,
            h->pc, PLACE_WIDTH, text_string(&place), writes ? ASSEMBLY_WIDTH : 0,
            text_string(&assembly));
    t->last = *in;
    t->pending = true;
    text_free(&place);
    text_free(&assembly);
}

static void instruction(void *context, hart *h, const isa_instruction *in)
{
    text_trace *t = context;
    end_line(t, h);
    if (!t->trace->limit_reached && trace_wants(t->trace, h->pc) && trace_take(t->trace))
        begin_line(t, h, in);
    t->trace->executed++;
}

static bool idle(void *context)
{
    return ((text_trace *)context)->trace->limit_reached;
}

static void begin(void *context, hart *h, const char *name)
{
    (void)h;
    text_trace *t = context;
    if (!t->trace->limit_reached)
        fprintf(trace_stream(t->trace), "# %s\n", name);
}

static bool fault(void *context, hart *h)
{
    (void)h;
    text_trace *t = context;
    if (t->pending)
        fputs("  # faulted\n", trace_stream(t->trace));
    t->pending = false;
    return false;
}

static void end(void *context, hart *h)
{
    end_line(context, h);
}

static void finish(void *context, int exit_code)
{
    (void)exit_code;
    text_trace *t = context;
    if (t->trace->limit_reached)
        fprintf(trace_stream(t->trace), "# the limit of %" PRIu64 " lines is reached\n",
                t->trace->limit);
    trace_commit(t->trace);
    free(t->trace);
    free(t);
}

void trace_text_observer(trace *t, observer *out)
{
    text_trace *own = calloc(1, sizeof *own);
    if (!own)
        INTERNAL_ERROR("out of memory");
    own->trace = t;
    *out = (observer){.context = own,
                      .begin = begin,
                      .instruction = instruction,
                      .idle = idle,
                      .fault = fault,
                      .end = end,
                      .finish = finish};
}
