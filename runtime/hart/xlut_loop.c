// Loops of a run that advance evenly through memory: checked at once, executed round by round, or
// by the LUT unit as strips.

#include "runtime/hart/xlut_run.h"

static inline int64_t advance_of(const hart *h, run_advance a)
{
    return a.constant + (int64_t)(h->x[a.reg] << a.shift);
}

static inline uint64_t sum_of(const hart *h, run_pair at)
{
    return h->x[at.base] + (h->x[at.index] << at.shift);
}

// False: not in one of the segments that are remembered, misaligned, or so far from round to round
// that where the last one is says nothing of those before it.
static inline bool find_span(const hart *h, const run_span *s, unsigned i, run_rounds *r)
{
    const uint64_t at = sum_of(h, s->at), first = at + (uint64_t)(int64_t)s->low;
    const uint64_t advance = (uint64_t)advance_of(h, s->advance);
    const uint64_t last = first + (r->loop.count - 1) * advance;
    const uint32_t bytes = (uint32_t)(s->high - s->low);
    if (!is_moderate((int64_t)advance) ||
        (((at + (uint64_t)(int64_t)s->aligned) | advance) & (s->alignment - 1)) != 0)
        return false;
    r->loop.span[i] = h->memory_base + at;
    r->loop.advance[i] = (int64_t)advance;
    const uint64_t rows = s->has_rows ? (h->lut->m - 1) * (uint64_t)r->loop.stride : 0;
    for (unsigned k = s->written ? VARIABLE : CONSTANT; k < SEGMENTS; k++) {
        const hart_segment *in = &h->operands[k];
        if (lies_in(in, first, bytes) && lies_in(in, last, bytes) &&
            (rows == 0 || (lies_in(in, first + rows, bytes) && lies_in(in, last + rows, bytes)))) {
            r->lasting |= k == CONSTANT ? s->tiles : 0;
            return true;
        }
    }
    return false;
}

static inline bool find_spans(const hart *h, const run_loop *loop, uint64_t count, run_rounds *r)
{
    r->loop.count = count;
    r->loop.stride = (int64_t)h->x[loop->stride];
    r->lasting = 0;
    for (unsigned i = 0; i < loop->spans; i++)
        if (!find_span(h, &loop->span[i], i, r))
            return false;
    return true;
}

// The memory of a steady loop that has so many rounds, and wherever else in its segment each span
// may be. False: not in one of the segments that are remembered.
static bool find_room(const hart *h, const run_loop *loop, uint64_t count, hart_room *room)
{
    *room = (hart_room){.loop = loop, .changes = h->operand_changes};
    for (unsigned i = 0; i < loop->spans; i++) {
        const run_span *s = &loop->span[i];
        const int64_t distance = (int64_t)(count - 1) * s->advance.constant;
        const int64_t low = s->low + (distance < 0 ? distance : 0);
        const uint64_t bytes =
            (uint64_t)(s->high - s->low) + (uint64_t)(distance < 0 ? -distance : distance);
        const uint64_t first = sum_of(h, s->at) + (uint64_t)low;
        unsigned k = s->written ? VARIABLE : CONSTANT;
        while (k < SEGMENTS && !lies_in(&h->operands[k], first, bytes))
            k++;
        if (k == SEGMENTS || (s->advance.constant & (int32_t)(s->alignment - 1)) != 0)
            return false;
        room->lasting |= k == CONSTANT ? s->tiles : 0;
        room->span[i].lowest = h->operands[k].address - (uint64_t)low;
        room->span[i].room = h->operands[k].size - bytes;
    }
    room->count = count;
    return true;
}

// Enters where the spans are. False: not where they may be, or misaligned.
static inline bool have_room(const hart *h, const run_loop *loop, const hart_room *room,
                             run_rounds *r)
{
    for (unsigned i = 0; i < loop->spans; i++) {
        const run_span *s = &loop->span[i];
        const uint64_t at = sum_of(h, s->at);
        if (at - room->span[i].lowest > room->span[i].room ||
            ((at + (uint64_t)(int64_t)s->aligned) & (s->alignment - 1)) != 0)
            return false;
        r->loop.span[i] = h->memory_base + at;
        r->loop.advance[i] = s->advance.constant;
    }
    r->loop.count = room->count;
    r->lasting = room->lasting;
    return true;
}

// The same as find_spans, mostly with a comparison for each span.
static inline bool find_steady_spans(hart *h, const run_loop *loop, uint64_t count, run_rounds *r)
{
    hart_room *room = &h->rooms[((uintptr_t)loop / sizeof *loop) % HART_ROOMS];
    if (room->loop == loop && room->count == count && room->changes == h->operand_changes &&
        have_room(h, loop, room, r))
        return true;
    return find_room(h, loop, count, room) && have_room(h, loop, room, r);
}

// Whether registers hold no more than the loop was understood for.
static inline bool is_as_understood(const hart *h, const run_loop *loop)
{
    const int64_t stride = (int64_t)h->x[loop->stride];
    bool good = is_moderate(stride) && stride % 4 == 0;
    for (uint64_t left = loop->narrow; left && good; left &= left - 1)
        good = is_moderate((int64_t)h->x[__builtin_ctzll(left)]);
    return good;
}

// Until the first number is not less than the second one any more.
static int64_t rounds_until(int64_t a, int64_t b, int64_t advance)
{
    const int64_t most = INT64_MAX / 4;
    if (advance <= 0 || a < -most || a > most || b < -most || b > most)
        return 0;
    return a < b ? (b - a + advance - 1) / advance : 1;
}

// Until they are equal.
static int64_t rounds_to(int64_t distance, int64_t advance)
{
    if (advance == -1)
        return -distance;
    return distance % advance == 0 ? distance / advance : 0;
}

// How often the loop can be executed until its branch is not taken, or has to be looked at.
static inline uint64_t count_rounds(const hart *h, const run_loop *loop, const hart_op *branch,
                                    const hart_op *first)
{
    enum { MOST = 1 << 20 };
    const uint64_t a = h->x[branch->rs1], b = h->x[branch->rs2];
    if (branch->target != first || h->budget < branch->cost)
        return 0;
    int64_t count = loop->less ? rounds_until((int64_t)a, (int64_t)b, loop->advance)
                               : rounds_to((int64_t)(b - a), loop->advance);
    count = count < MOST ? count : MOST;
    if (count > 0 && h->budget < count * branch->cost)
        count = h->budget / branch->cost + 1;
    return count < 1 ? 0 : (uint64_t)count;
}

static inline uint8_t *at_place(const run_rounds *r, lut_place p)
{
    return (uint8_t *)(uintptr_t)(r->loop.span[p.span] + p.offset);
}

static void execute_function(lut_unit *u, const run_op *op, const run_rounds *r)
{
    lut_operands operands;
    operands.count = op->kind == RUN_OFFSET || op->rs2 ? 2 : 1;
    for (unsigned k = 0; k < operands.count; k++)
        operands.item[k].host[0] = at_place(r, op->place[k]);
    lut_own(u, 1u << op->rd);
    if (op->kind == RUN_DEQUANTIZE)
        lut_settle(u, 1u << op->in->rs3);
    u->functions[op->in->opcode](u, op->in, &operands);
}

static inline void refer_to_loaded(lut_unit *u, const run_loop *loop)
{
    u->references |= loop->loaded;
    u->half_references = (u->half_references & ~loop->loaded) | loop->halves;
}

// An lmma that settles tiles may stand between two loads of the same one.
static inline void refer_to(lut_unit *u, const run_op *op, const uint8_t *place)
{
    const uint32_t tile = 1u << op->rd;
    u->at[op->rd] = (uint8_t *)(uintptr_t)place;
    u->references |= tile;
    u->half_references = (u->half_references & ~tile) | (op->half ? tile : 0);
}

static inline void advance_spans(const run_loop *loop, uint64_t count, run_rounds *r)
{
    for (unsigned i = 0; i < loop->spans; i++)
        r->loop.span[i] += (int64_t)count * r->loop.advance[i];
}

// An lmma may have settled what was loaded in the round before.
static void execute_round(lut_unit *u, const hart_xlut_run *run, const run_loop *loop,
                          run_rounds *r)
{
    refer_to_loaded(u, loop);
    for (uint32_t i = loop->first; i < loop->branch; i++) {
        const run_op *op = &run->ops[i];
        if (op->kind == RUN_LOAD)
            refer_to(u, op, at_place(r, op->place[0]));
        else if (op->kind == RUN_LMMA)
            look_up(u, op->in, op->choice);
        else if (op->kind == RUN_DEQUANTIZE || op->kind == RUN_OFFSET)
            execute_function(u, op, r);
    }
    advance_spans(loop, 1, r);
}

// All rounds of tables. They are written again and again: nobody sees them but for the last.
static void build_tables(lut_unit *u, const hart_xlut_run *run, const run_loop *loop, run_rounds *r)
{
    for (uint64_t left = r->loop.count; left > 0; left--) {
        for (const run_op *op = run->ops + loop->first; op < run->ops + loop->branch; op++) {
            if (op->kind != RUN_TABLE)
                continue;
            lut_forget(u, op->rd);
            op->build(u, op->in, at_place(r, op->place[0]), at_place(r, op->place[1]), left > 1);
        }
        advance_spans(loop, 1, r);
    }
}

// What is loaded when the last round ends.
static inline void refer_to_last(lut_unit *u, const run_loop *loop, const run_rounds *r)
{
    refer_to_loaded(u, loop);
    for (const run_load *l = loop->load; l < loop->load + loop->loads; l++)
        u->at[l->tile] =
            at_place(r, l->from) + (int64_t)(r->loop.count - 1) * r->loop.advance[l->from.span];
}

void hart_xlut_execute_rounds(lut_unit *u, const hart_xlut_run *run, const run_loop *loop,
                              run_rounds *r)
{
    for (uint64_t left = r->loop.count; left > 0; left--)
        execute_round(u, run, loop, r);
}

// The integer registers as the rounds leave them.
static inline void change_registers(hart *h, const run_loop *loop, uint64_t count)
{
    uint64_t value[MOST_CHANGES];
    for (unsigned i = 0; i < loop->changes; i++) {
        const run_change *c = &loop->change[i];
        value[i] = c->steady ? h->x[c->reg] + count * (uint64_t)(int64_t)c->offset
                             : sum_of(h, c->at) + (uint64_t)(int64_t)c->offset +
                                   (count - 1) * (uint64_t)advance_of(h, c->advance);
    }
    for (unsigned i = 0; i < loop->changes; i++)
        h->x[loop->change[i].reg] = value[i];
}

static inline void count_work(lut_unit *u, const run_loop *loop, uint64_t count)
{
    lut_counters *c = &u->counters;
    const lut_counters *work = &loop->work;
    u->lmma_count += count * loop->lmma_count;
    c->lookups += count * work->lookups;
    c->multiply_accumulates += count * work->multiply_accumulates;
    c->bytes_read += count * work->bytes_read;
    c->bytes_written += count * work->bytes_written;
}

static inline bool find_rounds(hart *h, const run_loop *loop, uint64_t count, run_rounds *r)
{
    return loop->steady ? find_steady_spans(h, loop, count, r)
                        : is_as_understood(h, loop) && find_spans(h, loop, count, r);
}

// What rounds leave beside tiles; those that they load are to be settled.
static inline void leave_rounds(hart *h, const run_loop *loop, hart_op *branch, uint64_t count,
                                const run_rounds *r, uint32_t *passing)
{
    *passing = (*passing & ~loop->loaded) | (loop->loaded & ~r->lasting);
    change_registers(h, loop, r->loop.count);
    branch->taken += count - 1;
    h->budget -= (int64_t)(count - 1) * branch->cost;
    count_work(h->lut, loop, r->loop.count);
}

bool hart_xlut_execute_loop(hart *h, const hart_xlut_run *run, const run_loop *loop,
                            uint32_t *passing)
{
    hart_op *branch = run->first + loop->branch;
    run_rounds r;
    const uint64_t count = count_rounds(h, loop, branch, run->first + loop->first);
    if (count < 2 || !find_rounds(h, loop, count - loop->leaves_last, &r))
        return false;
    if (loop->builds) {
        lut_settle(h->lut, *passing);
        *passing = 0;
        build_tables(h->lut, run, loop, &r);
    } else if (hart_xlut_execute_strips(h->lut, loop, &r.loop)) {
        refer_to_last(h->lut, loop, &r);
    } else {
        if (loop->leaves_last)
            return false;
        hart_xlut_execute_rounds(h->lut, run, loop, &r);
    }
    leave_rounds(h, loop, branch, count, &r, passing);
    return true;
}

// Whether the branch is not taken when so many rounds are done.
static bool ends_after(const hart *h, const run_loop *loop, const hart_op *branch, uint64_t count)
{
    const uint64_t a = h->x[branch->rs1] + count * (uint64_t)(int64_t)loop->advance;
    return loop->less ? (int64_t)a >= (int64_t)h->x[branch->rs2] : a == h->x[branch->rs2];
}

bool hart_xlut_plan_loop(hart *h, const hart_xlut_run *run, const run_loop *loop, run_rounds *r,
                         uint32_t *passing)
{
    hart_op *branch = run->first + loop->branch;
    const uint64_t count = count_rounds(h, loop, branch, run->first + loop->first);
    if (count == 0 || !ends_after(h, loop, branch, count) || !find_rounds(h, loop, count, r))
        return false;
    refer_to_last(h->lut, loop, r);
    leave_rounds(h, loop, branch, count, r, passing);
    return true;
}
