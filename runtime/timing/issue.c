// Instructions issue in order: each waits for its operands, for its unit, and for what still reads
// or writes its result's register.
#include "runtime/timing/model.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1 << 13, RA = 1, T0 = 5 };

void timing_reason_print(unsigned reason, text *out)
{
    static const char *const others[] = {
#define REASON(E, name) name,
        TIMING_REASONS(REASON)
#undef REASON
    };
    if (reason < TIMING_BUSY)
        text_printf(out, "%s: result", isa_unit_names[reason - TIMING_RESULT]);
    else if (reason <= TIMING_OTHER)
        text_printf(out, "%s: busy", isa_unit_names[reason - TIMING_BUSY]);
    else
        text_append(out, others[reason - TIMING_OTHER - 1]);
}

void timing_counts_add(timing_counts *sum, const timing_counts *other)
{
    sum->instructions += other->instructions;
    sum->cycles += other->cycles;
    sum->lookups += other->lookups;
    sum->multiplies += other->multiplies;
    sum->read += other->read;
    sum->written += other->written;
    sum->memory_lines += other->memory_lines;
    sum->l2_lines += other->l2_lines;
    sum->energy += other->energy;
    for (unsigned i = 0; i < TIMING_REASON_COUNT; i++)
        sum->stalls[i] += other->stalls[i];
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        sum->busy[i] += other->busy[i];
}

double timing_counts_energy(const timing_counts *c, const machine *m)
{
    const bool l2 = m->parts & MACHINE_L2;
    return c->energy + (double)c->instructions * m->energy_instruction +
           (double)(c->read + c->written) * m->energy_scratch +
           (double)c->memory_lines * TIMING_LINE *
               (m->energy_memory + (l2 ? m->energy_l2 : m->energy_scratch)) +
           (double)c->l2_lines * TIMING_LINE * (m->energy_l2 + m->energy_scratch);
}

// ------------------------------------------------------------------- what is executed

static timing_op *add_op(timing_hart *t, uint64_t pc, const isa_instruction *in)
{
    timing_op *op = calloc(1, sizeof *op), **bucket = &t->buckets[(pc >> 1) % BUCKETS];
    if (!op)
        INTERNAL_ERROR("out of memory");
    op->pc = pc;
    op->in = *in;
    timing_prepare(op, t->machine);
    op->next = *bucket;
    *bucket = op;
    t->op_count++;
    return op;
}

__attribute__((noinline)) static timing_op *search_op(timing_hart *t, uint64_t pc,
                                                      const isa_instruction *in)
{
    timing_op *op = t->buckets[(pc >> 1) % BUCKETS];
    while (op && (op->pc != pc || op->word != in->word))
        op = op->next;
    return op ? op : add_op(t, pc, in);
}

static inline timing_op *find_op(timing_hart *t, uint64_t pc, const isa_instruction *in)
{
    timing_op *op = t->last ? t->last->behind : NULL;
    if (!op || op->pc != pc || op->word != in->word) {
        op = search_op(t, pc, in);
        if (t->last)
            t->last->behind = op;
    }
    return t->last = op;
}

void timing_each(timing_hart *t, timing_visit *visit, void *context)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (timing_op *op = t->buckets[i]; op; op = op->next) {
            timing_settle(op);
            visit(context, op);
        }
}

// -------------------------------------------------------------------------- waiting

// The cycle in which something can issue, and what it waited for last.
typedef struct wait {
    uint64_t cycle;
    unsigned reason;
} wait;

static inline void wait_for(wait *w, uint64_t cycle, unsigned reason)
{
    if (cycle > w->cycle)
        *w = (wait){cycle, reason};
}

// Element after element: the first ones may be taken before the last ones are there, as long as
// the taker is not faster than the maker.
static inline void wait_for_sources(const timing_hart *t, const timing_op *op, wait *w)
{
    const uint32_t chained = op->chains ? op->busy - 1 : 0;
    for (unsigned i = 0; i < op->source_count; i++) {
        const unsigned r = op->sources[i];
        uint32_t early = t->early[r] < chained ? t->early[r] : chained;
        wait_for(w, t->ready[r] - early, t->reason[r]);
    }
}

// Results are written in the order of the program, behind all reads of what was there.
static inline void wait_for_result(const timing_hart *t, const timing_op *op, wait *w)
{
    for (unsigned r = op->result; r < (unsigned)op->result + op->result_count; r++) {
        uint64_t last = t->read_until[r];
        unsigned reason = t->read_reason[r];
        if (t->ready[r] > last && r != op->sums)
            last = t->ready[r], reason = t->reason[r];
        if (last > op->latency)
            wait_for(w, last - op->latency, reason);
    }
}

// Units add to the sums that they made themselves without waiting for them to leave the unit.
static inline void wait_for_sums(const timing_hart *t, const timing_op *op, wait *w)
{
    if (op->sums && t->reason[op->sums] != TIMING_RESULT + op->unit)
        wait_for(w, t->ready[op->sums], t->reason[op->sums]);
}

static void wait_for_memory_units(const timing_hart *t, wait *w)
{
    static const isa_unit units[] = {ISA_UNIT_MEMORY, ISA_UNIT_TILE_LOAD, ISA_UNIT_TILE_STORE};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        wait_for(w, t->free[units[i]], TIMING_FENCE);
}

// --------------------------------------------------------------------------- issue

void timing_wait_until(timing_hart *t, uint64_t cycle)
{
    if (cycle > t->now) {
        t->now = cycle;
        t->slots = 0;
    }
}

// The front goes on at `cycle`: the reason is that of the instruction before.
static void go_on_at(timing_hart *t, timing_op *op, uint64_t cycle, unsigned reason)
{
    if (cycle <= t->now)
        return;
    op->counts.cycles += cycle - t->now;
    op->counts.stalls[reason] += cycle - t->now;
    timing_wait_until(t, cycle);
}

static void pass_barrier(timing_hart *t)
{
    if (t->barrier)
        go_on_at(t, t->transfer, *t->barrier, TIMING_HARTS);
    t->barrier = NULL;
    t->transfer = NULL;
}

// Whether the branch before went the way that was not predicted.
static void settle_transfer(timing_hart *t, uint64_t pc)
{
    timing_op *op = t->transfer;
    const isa_instruction *in = &op->in;
    bool taken = pc != op->pc + in->length, lost;
    if (op->class == ISA_CLASS_SYSTEM) {
        pass_barrier(t);
        return;
    }
    t->transfer = NULL;
    if (op->class == ISA_CLASS_BRANCH)
        lost = taken != (in->imm < 0);
    else // to where the caller is expected to go on, or anywhere
        lost = in->opcode == ISA_JALR && !(in->rd == 0 && (in->rs1 == RA || in->rs1 == T0));
    if (lost)
        go_on_at(t, op, t->issue + 1 + t->machine->issue_mispredict, TIMING_BRANCH);
}

static void take_slot(timing_hart *t, uint64_t cycle)
{
    if (cycle > t->now) {
        t->now = cycle;
        t->slots = 0;
    }
    t->issue = cycle;
    if (++t->slots == t->machine->issue_width) {
        t->now++;
        t->slots = 0;
    }
}

// Vectors and tiles are read while the unit works, which may begin late; scalars leave with the
// instruction.
static void mark_sources(timing_hart *t, const timing_op *op, uint64_t begin, unsigned reason)
{
    const uint64_t end = begin + op->busy;
    for (unsigned i = 0; i < op->source_count; i++) {
        const unsigned r = op->sources[i];
        if (r < TIMING_V || t->read_until[r] >= end)
            continue;
        t->read_until[r] = end;
        t->read_reason[r] = reason == TIMING_DATA ? TIMING_DATA : TIMING_REGISTER;
    }
}

static void mark_result(timing_hart *t, const timing_op *op, uint64_t ready, unsigned reason)
{
    const uint32_t early = op->chains && reason != TIMING_DATA ? op->busy - 1 : 0;
    for (unsigned r = op->result; r < (unsigned)op->result + op->result_count; r++) {
        t->ready[r] = ready;
        t->early[r] = early;
        t->reason[r] = (uint8_t)reason;
    }
}

// Of its unit, which works from `begin` on; `last` is the cycle of its last request to memory.
static void occupy(timing_hart *t, const timing_op *op, uint64_t cycle, uint64_t begin,
                   uint64_t last)
{
    const uint64_t done = begin + op->busy;
    const bool for_data = begin > cycle || last + 1 > done;
    t->free[op->unit] = last + 1 > done ? last + 1 : done;
    t->busy_reason[op->unit] = (uint8_t)(for_data ? TIMING_DATA : TIMING_BUSY + op->unit);
    if (t->issued)
        t->issued(t->issued_context, op, begin, done);
}

// From its issue on: memory, the unit, the result.
static void execute(timing_hart *t, timing_op *op, uint64_t cycle)
{
    timing_request r = {0};
    if (op->access != TIMING_NOTHING)
        r = timing_access(t, op, cycle);
    const uint64_t begin = op->needs_data && r.there > cycle ? r.there : cycle;
    const uint64_t behind = op->latency - (op->busy - 1); // the last piece
    uint64_t ready = begin + op->latency;
    unsigned reason = begin > cycle ? TIMING_DATA : TIMING_RESULT + op->unit;
    if (!op->needs_data && r.there > cycle && r.there + behind > ready) {
        ready = r.there + behind;
        reason = TIMING_DATA;
    }
    occupy(t, op, cycle, begin, r.last);
    if (op->busy > 1 || begin > cycle)
        mark_sources(t, op, begin, reason);
    mark_result(t, op, ready, reason);
}

void timing_watch(void *context, hart *h, const isa_instruction *in)
{
    timing_hart *t = context;
    if (t->transfer)
        settle_transfer(t, h->pc);
    timing_op *op = find_op(t, h->pc, in);
    if (op->is_shaped && op->shape != timing_shape(op, h))
        timing_reshape(op, t->machine, h);
    const uint64_t from = t->now;
    wait w = {from, 0};
    if (op->busy == 0) // of a unit that the machine does not have: about to fault
        return;
    wait_for_sources(t, op, &w);
    wait_for_result(t, op, &w);
    wait_for_sums(t, op, &w);
    wait_for(&w, t->free[op->unit], t->busy_reason[op->unit]);
    if (op->is_fence)
        wait_for_memory_units(t, &w);
    // Others may have issued in the first of the cycles.
    const uint64_t idle = w.cycle - from - (w.cycle > from && t->slots > 0);
    take_slot(t, w.cycle);
    execute(t, op, w.cycle);
    op->executed++;
    op->counts.cycles += t->now - from;
    op->counts.stalls[w.reason] += idle;
    if (op->is_transfer)
        t->transfer = op;
}

// --------------------------------------------------------------------- beginning, end

uint64_t timing_end(const timing_hart *t)
{
    uint64_t end = t->now;
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        end = t->free[i] > end ? t->free[i] : end;
    return end;
}

void timing_barrier(timing_hart *t, const uint64_t *passed)
{
    t->barrier = passed;
}

timing_hart *timing_hart_create(const machine *m, hart *h, timing_memory *memory)
{
    timing_hart *t = calloc(1, sizeof *t);
    if (!t || !(t->buckets = calloc(BUCKETS, sizeof *t->buckets)))
        INTERNAL_ERROR("out of memory");
    t->machine = m;
    t->hart = h;
    t->memory = memory;
    return t;
}

void timing_hart_destroy(timing_hart *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (timing_op *op = t->buckets[i], *next; op; op = next) {
            next = op->next;
            free(op);
        }
    free(t->buckets);
    free(t);
}
