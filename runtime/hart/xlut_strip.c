// Strips of a loop: what each result of its rounds is summed and scaled from, told apart.
//
// A round may work on several results in turns, sum into other tiles each time, and scale sums
// while it already forms the next. Chains read nothing of each other, so that each can do all its
// rounds alone.

#include "runtime/hart/xlut_run.h"

#include <string.h>

enum { NONE = 255 };

static lut_step *no_strip(strip_draft *d)
{
    d->failed = true;
    return NULL;
}

void hart_xlut_start_draft(strip_draft *d)
{
    *d = (strip_draft){0};
    memset(d->open, NONE, sizeof d->open);
    memset(d->chain_of, NONE, sizeof d->chain_of);
}

// ------------------------------------------------------------------- groups and their steps

static uint8_t add_group(strip_draft *d, uint8_t sums, bool starts)
{
    if (d->groups == MOST_STEPS) {
        d->failed = true;
        return 0;
    }
    d->group[d->groups] =
        (draft_group){.sums = sums, .starts = starts, .last = NONE, .chain = NONE, .next = NONE};
    d->open[sums] = (uint8_t)d->groups;
    return (uint8_t)d->groups++;
}

static lut_step *add_step(strip_draft *d, uint8_t group)
{
    if (d->failed || d->steps == MOST_STEPS)
        return no_strip(d);
    d->step[d->steps] = (lut_step){.sums = d->group[group].sums};
    d->group_of[d->steps] = group;
    d->group[group].last = (uint8_t)d->steps;
    return &d->step[d->steps++];
}

// Whether a group is the last of its chain, if it has one: an earlier one is done with.
static bool goes_on(const strip_draft *d, uint8_t group)
{
    const uint8_t chain = d->group[group].chain;
    return chain == NONE || d->chain[chain].last == group;
}

lut_step *hart_xlut_draft_lmma(strip_draft *d, const run_op *op)
{
    if (d->failed)
        return NULL;
    const isa_instruction *in = op->in;
    uint8_t group = d->open[in->rd];
    if (in->start || group == NONE)
        group = add_group(d, in->rd, in->start);
    draft_group *g = &d->group[group];
    lut_step *step = add_step(d, group);
    const bool other = g->in && (g->kernel != op->choice->strip || g->in->form != in->form);
    if (!step || !op->choice->strip || other || !goes_on(d, group))
        return no_strip(d);
    g->in = in;
    g->kernel = op->choice->strip;
    step->adds = true;
    step->start = in->start;
    return step;
}

// --------------------------------------------------------------------- chains and results

static void append(strip_draft *d, uint8_t chain, uint8_t group)
{
    draft_chain *c = &d->chain[chain];
    *(c->first == NONE ? &c->first : &d->group[c->last].next) = group;
    c->last = group;
    d->group[group].chain = chain;
}

static uint8_t add_chain(strip_draft *d, uint8_t result, bool scaled)
{
    if (d->chains == MOST_STRIPS) {
        d->failed = true;
        return 0;
    }
    d->chain[d->chains] =
        (draft_chain){.first = NONE, .last = NONE, .result = result, .scaled = scaled};
    return (uint8_t)d->chains++;
}

lut_step *hart_xlut_draft_dequantize(strip_draft *d, const run_op *op)
{
    if (d->failed)
        return NULL;
    const isa_instruction *in = op->in;
    uint8_t group = d->open[in->rs3], *chain = &d->chain_of[op->rd];
    if (group == NONE) // sums of the round before
        group = add_group(d, in->rs3, false);
    if (*chain == NONE)
        *chain = add_chain(d, op->rd, true);
    if (d->failed || in->type != XLUT_SUM_I32)
        return no_strip(d);
    draft_group *g = &d->group[group];
    if (g->chain == NONE)
        append(d, *chain, group);
    lut_step *step = g->last == NONE ? add_step(d, group) : &d->step[g->last];
    if (g->chain != *chain || !goes_on(d, group) || !step || step->scaled)
        return no_strip(d);
    step->scaled = true;
    return step;
}

// A group by itself: numbers in memory are no sums that another step may go on with.
lut_step *hart_xlut_draft_row(strip_draft *d, const run_op *op, lut_strip_kernel *kernel)
{
    uint8_t *chain = &d->chain_of[op->rd];
    const uint8_t group = d->failed ? 0 : add_group(d, op->in->rs3, true);
    if (!d->failed && *chain == NONE)
        *chain = add_chain(d, op->rd, true);
    lut_step *step = add_step(d, group);
    if (!step || !kernel)
        return no_strip(d);
    d->group[group].in = op->in;
    d->group[group].kernel = kernel;
    append(d, *chain, group);
    step->scaled = true;
    return step;
}

lut_step *hart_xlut_draft_offset(strip_draft *d, const run_op *op)
{
    if (d->failed)
        return NULL;
    const uint8_t chain = d->chain_of[op->rd];
    if (chain == NONE)
        return no_strip(d);
    lut_step *step = &d->step[d->group[d->chain[chain].last].last];
    if (!step->scaled || step->offset)
        return no_strip(d);
    step->offset = true;
    return step;
}

// ------------------------------------------------------------------------- finished strips

// Sums that nobody scales in this round go on where the next one begins with them.
static void place_unscaled(strip_draft *d, uint8_t group)
{
    const draft_group *g = &d->group[group];
    for (uint8_t chain = 0; chain < d->chains; chain++) {
        const draft_group *first = &d->group[d->chain[chain].first];
        if (!first->starts && first->sums == g->sums && d->open[g->sums] == group)
            return append(d, chain, group);
    }
    append(d, add_chain(d, 0, false), group);
}

// Whether each group begins where the one before it in the chain, or in the round, has ended.
static bool is_consistent(const strip_draft *d, const draft_chain *c)
{
    const draft_group *first = &d->group[c->first];
    if (!first->starts && d->open[first->sums] != c->last)
        return false;
    for (uint8_t g = first->next; g != NONE; g = d->group[g].next)
        if (!d->group[g].starts)
            return false;
    return true;
}

// The steps of a group behind those that the loop has. False: not of the strip's kind.
static bool take_group(const strip_draft *d, uint8_t group, run_loop *loop, unsigned *steps,
                       run_strip *strip)
{
    const draft_group *g = &d->group[group];
    if (g->in && !strip->strip.in) {
        strip->strip.in = g->in;
        strip->kernel = g->kernel;
    }
    for (unsigned i = 0; i < d->steps; i++)
        if (d->group_of[i] == group)
            loop->step[(*steps)++] = d->step[i];
    loop->step[*steps - 1].kept = d->open[g->sums] == group;
    loop->written |= 1u << g->sums;
    return !g->in || (g->kernel == strip->kernel && g->in->form == strip->strip.in->form);
}

// Whether these are sums that each round goes on with and the last one keeps.
static bool only_sums(const strip_draft *d, const draft_chain *c)
{
    const draft_group *g = &d->group[c->first];
    return !c->scaled && c->first == c->last && !g->starts && d->open[g->sums] == c->first;
}

static bool take_chain(const strip_draft *d, const draft_chain *c, run_loop *loop, unsigned *steps)
{
    run_strip *strip = &loop->strip[loop->strips++];
    *strip =
        (run_strip){.strip = {.result = c->result, .scaled = c->scaled}, .first = (uint8_t)*steps};
    bool same = is_consistent(d, c);
    for (uint8_t g = c->first; g != NONE; g = d->group[g].next)
        same &= take_group(d, g, loop, steps, strip);
    strip->strip.steps = *steps - strip->first;
    strip->strip.only_sums = only_sums(d, c);
    if (c->scaled)
        loop->written |= 1u << c->result, loop->entering |= 1u << c->result;
    if (!d->group[c->first].starts)
        loop->entering |= 1u << d->group[c->first].sums;
    return same && strip->kernel != NULL;
}

// Whether no result is a tile of sums.
static bool are_apart(const strip_draft *d)
{
    for (unsigned i = 0; i < d->groups; i++)
        if (d->chain_of[d->group[i].sums] != NONE)
            return false;
    return true;
}

void hart_xlut_finish_draft(strip_draft *d, run_loop *loop, const lut_unit *u)
{
    unsigned steps = 0;
    for (unsigned i = 0; i < d->groups && !d->failed; i++)
        if (d->group[i].chain == NONE)
            place_unscaled(d, (uint8_t)i);
    bool good = !d->failed && are_apart(d);
    for (unsigned i = 0; i < d->chains && good; i++)
        good = take_chain(d, &d->chain[i], loop, &steps);
    if (!good)
        loop->strips = 0;
    for (unsigned i = 0; i < loop->strips; i++) {
        const isa_instruction *in = loop->strip[i].strip.in;
        const bool keeps_half = in->opcode == ISA_LMMA && lut_lmma_of(u, in)->keeps_half;
        loop->filled |= keeps_half ? 0 : loop->written;
    }
}

// ------------------------------------------------------------------------------- execution

static void copy_tiles(const lut_unit *u, uint32_t tiles, bool back)
{
    const size_t all = (size_t)ISA_TILE_REGISTERS * u->tile_bytes;
    for (; tiles; tiles &= tiles - 1) {
        uint8_t *tile = lut_tile(u, (unsigned)__builtin_ctz(tiles));
        memcpy(back ? tile : tile + all, back ? tile + all : tile, u->tile_bytes);
    }
}

bool hart_xlut_execute_strips(lut_unit *u, const run_loop *loop, const lut_strip_loop *rounds)
{
    if (loop->strips == 0)
        return false;
    own_written(u, loop);
    if (loop->strips > 1)
        copy_tiles(u, loop->entering, false);
    for (unsigned i = 0; i < loop->strips; i++) {
        lut_strip strip = loop->strip[i].strip;
        strip.step = loop->step + loop->strip[i].first;
        if (loop->strip[i].kernel(u, &strip, rounds))
            continue;
        if (loop->strips > 1)
            copy_tiles(u, loop->entering, true);
        return false;
    }
    return true;
}
