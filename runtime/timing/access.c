// Which lines of memory an instruction touches, and when.
#include "runtime/observe/access.h"
#include "runtime/timing/model.h"

typedef struct walk {
    timing_hart *hart;
    timing_op *op;
    uint64_t request, arrival; // of the last line
    uint64_t bytes_per_cycle;  // a power of two or not
    uint64_t bytes;            // until now
    uint64_t at, end;
} walk;

static void touch(walk *w, uint64_t line, timing_access_kind kind)
{
    uint64_t at = w->at + w->bytes / w->bytes_per_cycle;
    uint64_t arrival = timing_line(w->hart->memory, line, kind, at, &w->request);
    if (kind == TIMING_READ && arrival > w->arrival)
        w->arrival = arrival;
    if (kind == TIMING_WRITE_PART || kind == TIMING_WRITE_WHOLE)
        timing_line_written(w->hart->memory, line, w->end);
}

static void touch_range(walk *w, uint64_t address, uint64_t size, bool write)
{
    uint64_t end = address + size;
    while (address < end) {
        uint64_t line = address / TIMING_LINE, next = (line + 1) * TIMING_LINE;
        bool whole = address % TIMING_LINE == 0 && end >= next;
        touch(w, line, !write ? TIMING_READ : whole ? TIMING_WRITE_WHOLE : TIMING_WRITE_PART);
        w->bytes += (end < next ? end : next) - address;
        if (next == 0)
            break;
        address = next;
    }
}

static void visit(void *context, const observe_access *a)
{
    touch_range(context, a->address, a->size, a->write);
}

// Prefetches are no accesses that observers see.
static void prefetch(walk *w, const hart *h)
{
    const isa_instruction *in = &w->op->in;
    uint64_t address = h->x[in->rs1] + (uint64_t)(int64_t)in->imm, size = 1;
    if (in->opcode == ISA_PREFETCH_I)
        return;
    if (in->opcode == ISA_LUT_PF)
        size = machine_tile_bytes(w->hart->machine);
    for (uint64_t done = 0; done < size; done += TIMING_LINE) {
        touch(w, (address + done) / TIMING_LINE, TIMING_PREFETCH);
        w->bytes += TIMING_LINE;
    }
}

static uint64_t rate(const timing_hart *t, const timing_op *op)
{
    switch (op->unit) {
    case ISA_UNIT_TILE_LOAD: return t->machine->tiles_load;
    case ISA_UNIT_TILE_STORE: return t->machine->tiles_store;
    case ISA_UNIT_MEMORY: return t->machine->scratch_bytes;
    default: return TIMING_LINE;
    }
}

static bool is_simple(const timing_op *op)
{
    return op->class == ISA_CLASS_LOAD || op->class == ISA_CLASS_STORE ||
           op->in.opcode == ISA_LUT_LD || op->in.opcode == ISA_LUT_ST;
}

uint64_t timing_access(timing_hart *t, timing_op *op, uint64_t at, uint64_t *last)
{
    hart *h = t->hart;
    const timing_traffic *traffic = timing_memory_traffic(t->memory);
    const uint64_t moved = traffic->lines_read + traffic->lines_written;
    const uint64_t l2_moved = traffic->l2_lines;
    walk w = {
        .hart = t, .op = op, .at = at, .end = at + op->latency, .bytes_per_cycle = rate(t, op)};
    uint64_t bytes = op->cost.read + op->cost.written;
    if (is_simple(op) && bytes)
        touch_range(&w, h->x[op->in.rs1] + (uint64_t)(int64_t)op->in.imm, bytes,
                    op->cost.written > 0);
    else if (op->class == ISA_CLASS_TILE_PREFETCH || op->class == ISA_CLASS_LOAD)
        prefetch(&w, h);
    else
        observe_accesses(h, &op->in, visit, &w);
    op->counts.memory_lines += traffic->lines_read + traffic->lines_written - moved;
    op->counts.l2_lines += traffic->l2_lines - l2_moved;
    *last = w.request;
    return w.arrival;
}
