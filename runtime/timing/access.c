// Which memory an instruction touches.
#include "runtime/observe/access.h"
#include "runtime/timing/model.h"

typedef struct walk {
    timing_memory *memory;
    timing_request request;
} walk;

static void visit(void *context, const observe_access *a)
{
    walk *w = context;
    (a->write ? timing_write : timing_read)(w->memory, &w->request, a->address, a->size);
}

// Prefetches are no accesses that observers see.
static void prefetch(const timing_hart *t, const timing_op *op, uint64_t address, timing_request *r)
{
    uint64_t line = address / TIMING_LINE * TIMING_LINE;
    if (op->in.opcode != ISA_PREFETCH_I)
        timing_prefetch(t->memory, r, line,
                        op->in.opcode == ISA_LUT_PF ? machine_tile_bytes(t->machine) : TIMING_LINE);
}

static uint32_t rate(const timing_hart *t, const timing_op *op)
{
    switch (op->unit) {
    case ISA_UNIT_TILE_LOAD: return t->machine->tiles_load;
    case ISA_UNIT_TILE_STORE: return t->machine->tiles_store;
    case ISA_UNIT_MEMORY: return t->machine->scratch_bytes;
    default: return TIMING_LINE;
    }
}

static void walk_all(timing_hart *t, const timing_op *op, timing_request *r)
{
    walk w = {t->memory, *r};
    observe_accesses(t->hart, &op->in, visit, &w);
    *r = w.request;
}

timing_request timing_access(timing_hart *t, timing_op *op, uint64_t at)
{
    const timing_traffic *traffic = timing_memory_traffic(t->memory);
    const uint64_t moved = traffic->lines_read + traffic->lines_written;
    const uint64_t l2_moved = traffic->l2_lines;
    const uint64_t address = t->hart->x[op->in.rs1] + (uint64_t)(int64_t)op->in.imm;
    timing_request r = {.at = at, .end = at + op->latency, .rate = rate(t, op)};
    switch (op->access) {
    case TIMING_LOADS: timing_read(t->memory, &r, address, op->cost.read); break;
    case TIMING_STORES: timing_write(t->memory, &r, address, op->cost.written); break;
    case TIMING_PREFETCHES: prefetch(t, op, address, &r); break;
    default: walk_all(t, op, &r); break;
    }
    op->counts.memory_lines += traffic->lines_read + traffic->lines_written - moved;
    op->counts.l2_lines += traffic->l2_lines - l2_moved;
    return r;
}
