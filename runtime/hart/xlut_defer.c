// Loops whose surroundings are executed together with them: sums that begin with 0 and are scaled
// and stored behind the loop, and results that begin with 0 and are stored, never leave host
// registers but to be kept.

#include "runtime/hart/xlut_run.h"

// What neither reads nor writes tiles, nor memory that somebody sees.
static bool is_quiet(const run_op *op)
{
    return is_arithmetic(op) || op->dispatch == RUN_PREFETCH;
}

static bool clears(const run_op *op, uint32_t tiles)
{
    return op->kind == RUN_ZERO && op->dispatch == op->kind && tiles >> op->rd & 1;
}

// The ops from here on that are quiet, up to a lut.sta of all of a tile's row as f32. NULL: another
// one comes first.
static run_op *find_store(run_op *op, unsigned tile, const lut_unit *u)
{
    while (is_quiet(op))
        op++;
    const isa_instruction *in = op->in;
    const bool whole = op->dispatch == RUN_PUT && in->opcode == ISA_LUT_STA &&
                       in->type == XLUT_DATA_F32 && op->rs3 == 0 && op->rows.rows == 1;
    return whole && op->rd == tile && op->rows.bytes == 4 * u->n ? op : NULL;
}

// The ops in front of a loop from which on they are quiet or clear tiles, and all that are asked
// for. NULL: there are no such.
static run_op *find_clears(hart_xlut_run *run, const run_loop *loop, uint32_t tiles, uint32_t asked)
{
    run_op *op = run->ops + loop->first;
    while (asked && op > run->ops && (is_quiet(op - 1) || clears(op - 1, tiles))) {
        op--;
        if (op->kind == RUN_ZERO)
            asked &= ~(1u << op->rd);
    }
    return asked ? NULL : op;
}

// From these ops on, which clear tiles of the loop, all waits for `finish`.
static void defer(hart_xlut_run *run, run_loop *loop, run_op *first, const run_op *end,
                  const run_op *finish)
{
    for (run_op *op = first; op < end; op++)
        if (op->kind == RUN_ZERO)
            op->dispatch = RUN_DEFER_ZERO, op->loop = (uint8_t)(loop - run_loops(run));
    loop->finish = (uint32_t)(finish - run->ops);
}

static void defer_sums(hart_xlut_run *run, run_loop *loop, const lut_unit *u)
{
    const uint8_t sums = loop->step[0].sums;
    uint32_t cleared = 0;
    run_op *scale = run->ops + loop->branch + 1;
    for (; is_quiet(scale) || clears(scale, ~0u); scale++)
        cleared |= scale->kind == RUN_ZERO ? 1u << scale->rd : 0;
    const uint32_t tiles = 1u << sums | 1u << scale->rd;
    if (scale->dispatch != RUN_DEQUANTIZE || scale->rs3 != sums || !scale->scale ||
        scale->in->type != XLUT_SUM_I32 || scale->rd == sums || (cleared & ~tiles) ||
        cleared >> sums & 1 || (loop->loaded & tiles))
        return;
    run_op *const first = find_clears(run, loop, tiles, tiles & ~cleared);
    run_op *const store = find_store(scale + 1, scale->rd, u);
    if (!first)
        return;
    defer(run, loop, first, scale, store ? store : scale);
    scale->dispatch = RUN_DEFER_SCALE;
    if (store)
        store->dispatch = RUN_DEFER_STORE;
}

static void defer_result(hart_xlut_run *run, run_loop *loop, const lut_unit *u)
{
    const uint8_t tile = loop->strip[0].strip.result;
    run_op *const first = find_clears(run, loop, 1u << tile, 1u << tile);
    run_op *const store = find_store(run->ops + loop->branch + 1, tile, u);
    if (!first || !store)
        return;
    defer(run, loop, first, run->ops + loop->first, store);
    store->dispatch = RUN_DEFER_STORE;
}

void hart_xlut_prepare_deferral(hart_xlut_run *run, run_loop *loop, const lut_unit *u)
{
    const lut_strip *strip = &loop->strip[0].strip;
    if (!loop->is_even || loop->strips != 1 || loop->leaves_last)
        return;
    if (strip->only_sums)
        defer_sums(run, loop, u);
    else if (strip->scaled && loop->step[0].start)
        defer_result(run, loop, u);
}

// ------------------------------------------------------------------------------- execution

static void clear_tiles(lut_unit *u, uint32_t tiles)
{
    for (; tiles; tiles &= tiles - 1) {
        const isa_instruction in = {.opcode = ISA_LUT_ZERO, .rd = (uint8_t)__builtin_ctz(tiles)};
        clear(u, &in);
    }
}

// Executes one by one what waits.
static void undefer(hart *h, const hart_xlut_run *run, run_deferred *d, uint32_t *passing)
{
    lut_unit *u = h->lut;
    const run_loop *loop = d->loop;
    d->loop = NULL;
    clear_tiles(u, d->zero);
    if (!d->planned)
        return;
    if (!hart_xlut_execute_strips(u, loop, &d->rounds.loop)) {
        hart_xlut_execute_rounds(u, run, loop, &d->rounds);
        *passing = (*passing & ~loop->loaded) | (loop->loaded & ~d->rounds.lasting);
    }
    if (d->scale)
        d->scale->scale(u, d->scale->rd, d->scale->rs3, d->epilogue.scales, d->epilogue.factors);
}

// False: the unit cannot; nothing was done.
static bool finish(hart *h, run_deferred *d)
{
    const run_strip *of = d->loop->strip;
    lut_strip strip = of->strip;
    strip.step = d->loop->step + of->first;
    strip.epilogue = &d->epilogue;
    own_written(h->lut, d->loop);
    if (!of->kernel(h->lut, &strip, &d->rounds.loop))
        return false;
    d->loop = NULL;
    return true;
}

bool hart_xlut_defer_loop(hart *h, const hart_xlut_run *run, run_deferred *d, uint32_t *passing)
{
    d->epilogue = (lut_epilogue){.result = d->loop->strip[0].strip.result};
    d->planned = hart_xlut_plan_loop(h, run, d->loop, &d->rounds, passing);
    if (!d->planned)
        undefer(h, run, d, passing);
    return d->planned;
}

bool hart_xlut_defer_scaling(hart *h, const hart_xlut_run *run, run_deferred *d, const run_op *op,
                             uint32_t *passing)
{
    const uint32_t tiles = 1u << op->rd | 1u << op->rs3;
    lut_epilogue *e = &d->epilogue;
    if (!d->planned || d->zero != tiles || !find_scaling(h, op, &e->scales, &e->factors)) {
        undefer(h, run, d, passing);
        return false;
    }
    h->lut->counters.bytes_read += op->reads.bytes + op->reads.factor_bytes;
    e->result = op->rd;
    e->wide_scales = op->reads.alignment == 4;
    d->scale = op;
    if (d->loop->finish == (uint32_t)(op - run->ops) && !finish(h, d))
        undefer(h, run, d, passing);
    return true;
}

bool hart_xlut_finish_with_store(hart *h, const hart_xlut_run *run, run_deferred *d,
                                 const run_op *op, uint32_t *passing)
{
    lut_extent r;
    uint8_t *to = find_part(h, op, true, &r);
    if (to) {
        settle_overlapped(h->lut, passing, to, 0, &r);
        d->epilogue.to = to;
        if (finish(h, d)) {
            h->lut->counters.bytes_written += r.bytes;
            return true;
        }
    }
    undefer(h, run, d, passing);
    return false;
}
