// --check-wrap: whether a sum of lmma or mma leaves 32 bits, which the machine does not tell.
//
// What one instruction adds is far below 2^31. So the difference of a sum before and behind it,
// modulo 2^32, is what was added, and whether that wrapped follows.
#include "runtime/observe/settings.h"

#include "support/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct wrap_check {
    host_program *program;
    diagnostics *diagnostics;
    int32_t *before;   // the sums
    bool pending;      // an instruction that adds to them
    bool found;        // and nothing more is looked for
    uint64_t pc;       // of it
    unsigned tile;     // of its sums
    unsigned mnemonic; // its opcode
} wrap_check;

static bool adds_integers(const isa_instruction *in)
{
    if (in->opcode == ISA_MMA)
        return in->type == XLUT_MMA_I8;
    return in->opcode == ISA_LMMA && in->table != XLUT_TABLE_F16;
}

static void report(wrap_check *w, const lut_unit *u, size_t element, int64_t sum)
{
    text place = {0};
    host_print_place(w->program, w->pc, &place);
    text_printf(&place, " (pc 0x%" PRIx64 ")", w->pc);
    text line = {0};
    if (host_source_line(w->program, w->pc, &line))
        text_printf(&place, ", %s", text_string(&line));
    diagnostic_error(w->diagnostics, NOWHERE,
                     "%s: a sum wrapped: %s at %s made lt%u[%zu][%zu] %" PRId64
                     ", which has more than 32 bits",
                     host_path(w->program), w->mnemonic == ISA_MMA ? "mma" : "lmma",
                     text_string(&place), w->tile, element / u->n, element % u->n, sum);
    text_free(&place);
    text_free(&line);
}

static void look(wrap_check *w, const hart *h)
{
    const lut_unit *u = h->lut;
    const size_t count = u->tile_bytes / sizeof *w->before;
    w->pending = false;
    for (size_t i = 0; i < count && !w->found; i++) {
        int32_t now;
        memcpy(&now, lut_tile(u, w->tile) + i * sizeof now, sizeof now);
        const int32_t added = (int32_t)((uint32_t)now - (uint32_t)w->before[i]);
        const int64_t sum = (int64_t)w->before[i] + added;
        w->found = sum != now;
        if (w->found)
            report(w, u, i, sum);
    }
}

static void instruction(void *context, hart *h, const isa_instruction *in)
{
    wrap_check *w = context;
    if (w->pending)
        look(w, h);
    if (w->found || !h->lut || !adds_integers(in))
        return;
    w->pending = true;
    w->pc = h->pc;
    w->tile = in->rd;
    w->mnemonic = in->opcode;
    lut_settle(h->lut, 1u << w->tile);
    if (in->opcode == ISA_LMMA && in->start)
        memset(w->before, 0, h->lut->tile_bytes);
    else
        memcpy(w->before, lut_tile(h->lut, w->tile), h->lut->tile_bytes);
}

static bool idle(void *context)
{
    const wrap_check *w = context;
    return w->found;
}

static bool fault(void *context, hart *h)
{
    wrap_check *w = context;
    (void)h;
    w->pending = false; // it has changed nothing
    return false;
}

static void end(void *context, hart *h)
{
    wrap_check *w = context;
    if (w->pending)
        look(w, h);
}

static void finish(void *context, int exit_code)
{
    wrap_check *w = context;
    (void)exit_code;
    free(w->before);
    free(w);
}

bool observe_wrap_open(host_program *p, diagnostics *d, observer *out)
{
    const hart *h = host_hart(p);
    wrap_check *w = calloc(1, sizeof *w);
    int32_t *before = malloc(h->lut ? h->lut->tile_bytes : 1);
    if (!w || !before)
        INTERNAL_ERROR("out of memory");
    *w = (wrap_check){.program = p, .diagnostics = d, .before = before};
    *out = (observer){.context = w,
                      .instruction = instruction,
                      .idle = idle,
                      .fault = fault,
                      .end = end,
                      .finish = finish};
    return true;
}
