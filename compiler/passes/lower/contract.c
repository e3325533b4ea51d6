// The contraction over the depth: for each weight group, lookups into integer or f32 accumulators,
// then scaling into D. Shared by the mpgemm (weights from a packed stream) and by the sums for
// offsets (one constant plane of +1 with scale 1).
#include "compiler/passes/lower/contract_internal.h"

#include <string.h>

enum { UNROLL = 4 }; // tiles or spans of up to this many are written out
// What a round of longer loops does at least: their tiles stand in other registers, so that those
// of one are loaded while the array looks up the other's.
enum { TURNS = 2, MOST_TURNS = 4 };
// Planes that the array looks up in a round of several rows: where it ends, the array waits.
enum { ROUND = 28, LONG = 8 };
// But no more sums than this are scaled in a round: of loops with some 200 addresses LLVM computes
// each one anew, where it moves pointers otherwise.
enum { MOST_SCALED = 64 };

static bool takes_several_rows(const contraction *c)
{
    return !c->one_row && c->row_tiles > 1;
}

// Depth tiles of a round, of `tiles` in all: `least` or, in long loops, as many times more as keep
// the array at work.
static int64_t at_least(const contraction *c, int64_t least, int64_t tiles)
{
    int64_t turns = least, planes = count_results(c) * c->format.planes;
    while (takes_several_rows(c) && turns < MOST_TURNS && turns * planes < ROUND &&
           tiles >= LONG * turns)
        turns *= 2;
    return turns;
}

// ---------------------------------------------------------------------- spans

// A loop that carries tiles: inside, `tiles` are the carried ones, behind it the results.
static void sweep_begin(lowering *l, low_loop *loop, ir_value *count, unsigned n, ir_value **tiles)
{
    low_for_begin(l, loop, low_index(l, 0), count, low_index(l, 1), n, tiles);
    for (unsigned i = 0; i < n; i++)
        tiles[i] = loop->carried[i];
}

static void sweep_end(lowering *l, low_loop *loop, ir_value **tiles)
{
    low_loop_end(l, loop, tiles);
    for (unsigned i = 0; i < loop->n_carried; i++)
        tiles[i] = ir_result(loop->op, i);
}

// Accumulators side by side, as a loop carries them, and back.
static unsigned flatten(const contraction *c, accumulators acc, ir_value **tiles)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->pieces.count; i++)
        for (unsigned j = 0; j < count_results(c); j++)
            tiles[n++] = acc[i][j];
    return n;
}

static void unflatten(const contraction *c, ir_value *const *tiles, accumulators acc)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->pieces.count; i++)
        for (unsigned j = 0; j < count_results(c); j++)
            acc[i][j] = tiles[n++];
}

// The result that is looked up as the k-th: all column tiles of a row tile, whose table is loaded.
static unsigned in_turn(const contraction *c, unsigned k)
{
    return k % c->column_tiles * c->row_tiles + k / c->column_tiles;
}

// acc (NULL: start afresh) += lookups of one depth tile.
static void accumulate_tile(lowering *l, const contraction *c, accumulators acc, ir_value *tile,
                            ir_value *offset)
{
    tile_operands loaded = load_tile(l, c, tile, offset);
    for (unsigned k = 0; k < count_results(c); k++) {
        unsigned j = in_turn(c, k);
        for (unsigned i = 0; i < c->pieces.count; i++)
            acc[i][j] = look_up(l, c, &c->pieces.items[i], j, &loaded, acc[i][j],
                                (depth_slice){0, QUARTERS});
    }
}

static int64_t planes_bytes(const contraction *c)
{
    return c->constant_plane ? 0 : c->format.planes * c->geometry.plane_bytes;
}

// acc += `count` depth tiles from `first` on, whose planes start at `offset`.
static void accumulate_tiles(lowering *l, const contraction *c, accumulators acc, ir_value *first,
                             int64_t count, ir_value *offset)
{
    for (int64_t i = 0; i < count; i++)
        accumulate_tile(l, c, acc, low_add(l, first, low_index(l, i)),
                        low_add(l, offset, low_index(l, i * planes_bytes(c))));
}

// The same, in a loop if they are many.
static void accumulate_span(lowering *l, const contraction *c, accumulators acc, ir_value *first,
                            int64_t count, ir_value *offset)
{
    ir_value *carried[MOST_RESULTS];
    if (count <= UNROLL) {
        accumulate_tiles(l, c, acc, first, count, offset);
        return;
    }
    for (unsigned i = 0; i < c->pieces.count; i++)
        for (unsigned j = 0; j < count_results(c); j++)
            acc[i][j] = acc[i][j] ? acc[i][j] : low_tile_zero(l, low_accumulator_kind(c->table));
    low_loop rounds;
    int64_t turns = at_least(c, TURNS, count), whole = count / turns;
    if (takes_several_rows(c) && count % turns == 0)
        whole--; // behind the loop, where its sums are scaled while others are looked up
    sweep_begin(l, &rounds, low_index(l, whole), flatten(c, acc, carried), carried);
    unflatten(c, carried, acc);
    accumulate_tiles(
        l, c, acc, low_add(l, first, low_mul(l, rounds.counter, low_index(l, turns))), turns,
        low_add(l, offset, low_mul(l, rounds.counter, low_index(l, turns * planes_bytes(c)))));
    flatten(c, acc, carried);
    sweep_end(l, &rounds, carried);
    unflatten(c, carried, acc);
    accumulate_tiles(l, c, acc, low_add(l, first, low_index(l, whole * turns)),
                     count - whole * turns,
                     low_add(l, offset, low_index(l, whole * turns * planes_bytes(c))));
}

// d += a slice of one depth tile under one table scale.
static void lookup_slice(lowering *l, const contraction *c, ir_value **d, tile_operands *loaded,
                         depth_slice slice, ir_value *scale_offset)
{
    accumulators acc = {{0}};
    for (unsigned k = 0; k < count_results(c); k++) {
        unsigned j = in_turn(c, k);
        for (unsigned i = 0; i < c->pieces.count; i++)
            acc[i][j] = look_up(l, c, &c->pieces.items[i], j, loaded, NULL, slice);
    }
    dequantize(l, c, d, acc, loaded->tile, slice.first, scale_offset);
}

// d += a slice of one depth tile, by quarters where each has a table scale.
static void lookup_part(lowering *l, const contraction *c, ir_value **d, tile_operands *loaded,
                        depth_slice slice, ir_value *scale_offset)
{
    int64_t step = scaled_by_slice(c) ? 1 : slice.count;
    for (int64_t q = slice.first; q < slice.first + slice.count; q += step)
        lookup_slice(l, c, d, loaded, (depth_slice){q, step}, scale_offset);
}

static void one_span(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                     int64_t count, ir_value *offset, ir_value *scale_offset)
{
    if (scaled_by_slice(c)) {
        tile_operands loaded = load_tile(l, c, first, offset);
        lookup_part(l, c, d, &loaded, (depth_slice){0, QUARTERS}, scale_offset);
        return;
    }
    accumulators acc = {{0}};
    accumulate_span(l, c, acc, first, count, offset);
    dequantize(l, c, d, acc, first, 0, scale_offset);
}

// d += `count` depth tiles from `first` on under one scale of the weights, span by span of the
// table's scales.
static void contract_spans(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                           int64_t count, ir_value *offset, ir_value *scale_offset)
{
    int64_t span = low_scale_tiles(l, c->table), bytes = planes_bytes(c);
    if (span > count)
        span = count;
    int64_t full = count / span, rest = count % span;
    if (full <= UNROLL) {
        for (int64_t i = 0; i < full; i++)
            one_span(l, c, d, low_add(l, first, low_index(l, i * span)), span,
                     low_add(l, offset, low_index(l, i * span * bytes)), scale_offset);
    } else {
        low_loop spans;
        begin_results(l, c, d);
        sweep_begin(l, &spans, low_index(l, full), count_results(c), d);
        ir_value *tile = low_mul(l, spans.counter, low_index(l, span));
        one_span(l, c, d, low_add(l, first, tile), span,
                 low_add(l, offset, low_mul(l, tile, low_index(l, bytes))), scale_offset);
        sweep_end(l, &spans, d);
    }
    if (rest)
        one_span(l, c, d, low_add(l, first, low_index(l, full * span)), rest,
                 low_add(l, offset, low_index(l, full * span * bytes)), scale_offset);
}

void contract_group(lowering *l, const contraction *c, ir_value **d, ir_value *group,
                    ir_value *first, int64_t count, ir_value *offset)
{
    ir_value *scale_offset = low_add(l, offset, low_index(l, count * planes_bytes(c)));
    contract_spans(l, c, d, first, count, offset, scale_offset);
    add_offsets(l, c, d, group, scale_offset);
}

void contract_slice(lowering *l, const contraction *c, ir_value **d, int64_t slice,
                    tile_operands *loaded, ir_value *offset)
{
    int64_t parts = c->geometry.groups_per_tile, quarters = QUARTERS / parts;
    ir_value *at =
        low_add(l, offset, low_index(l, planes_bytes(c) + slice * c->geometry.group_bytes));
    lookup_part(l, c, d, loaded, (depth_slice){slice * quarters, quarters}, at);
    ir_value *group =
        low_add(l, low_mul(l, loaded->tile, low_index(l, parts)), low_index(l, slice));
    add_offsets(l, c, d, group, at);
}

// --------------------------------------------------------------- whole depth

// `count` groups of `tiles` depth tiles from group `first` on.
static void contract_row(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                         int64_t count, int64_t tiles)
{
    const pack_geometry *g = &c->geometry;
    int64_t bytes = g->tiles_per_group * planes_bytes(c) + g->group_bytes;
    for (int64_t i = 0; i < count; i++) {
        ir_value *group = low_add(l, first, low_index(l, i));
        contract_group(l, c, d, group, low_mul(l, group, low_index(l, g->tiles_per_group)), tiles,
                       low_mul(l, group, low_index(l, bytes)));
    }
}

// Tiles of a round, whose sums are scaled in `slices` pieces: `most`, or a part of them.
static int64_t turns_of(const contraction *c, int64_t slices, int64_t most)
{
    while (most > 1 && most * slices * count_results(c) > MOST_SCALED)
        most /= 2;
    return most;
}

static void contract_groups(lowering *l, const contraction *c, ir_value **d, const depth_part *part)
{
    const pack_geometry *g = &c->geometry;
    int64_t full = part->count / g->tiles_per_group, rest = part->count % g->tiles_per_group;
    int64_t most =
        g->tiles_per_group <= TURNS ? at_least(c, UNROLL, part->count) / g->tiles_per_group : 1;
    int64_t turns = turns_of(c, scaled_by_slice(c) ? QUARTERS * g->tiles_per_group : 1, most);
    int64_t rounds = full > 1 ? full / turns : 0;
    ir_value *first = low_div(l, part->first, low_index(l, g->tiles_per_group));
    if (rounds > 0) {
        low_loop groups;
        begin_results(l, c, d);
        sweep_begin(l, &groups, low_index(l, rounds), count_results(c), d);
        ir_value *group = low_mul(l, groups.counter, low_index(l, turns));
        contract_row(l, c, d, low_add(l, first, group), turns, g->tiles_per_group);
        sweep_end(l, &groups, d);
    }
    contract_row(l, c, d, low_add(l, first, low_index(l, rounds * turns)), full - rounds * turns,
                 g->tiles_per_group);
    contract_row(l, c, d, low_add(l, first, low_index(l, full)), rest > 0, rest);
}

// `count` depth tiles from `first` on, of several groups each.
static void contract_tiles(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                           int64_t count)
{
    const pack_geometry *g = &c->geometry;
    int64_t bytes = planes_bytes(c) + g->groups_per_tile * g->group_bytes;
    for (int64_t i = 0; i < count; i++) {
        ir_value *tile = low_add(l, first, low_index(l, i));
        ir_value *offset = low_mul(l, tile, low_index(l, bytes));
        tile_operands loaded = load_tile(l, c, tile, offset);
        for (int64_t slice = 0; slice < g->groups_per_tile; slice++)
            contract_slice(l, c, d, slice, &loaded, offset);
    }
}

static void contract_slices(lowering *l, const contraction *c, ir_value **d, const depth_part *part)
{
    int64_t turns = turns_of(c, QUARTERS, TURNS), rounds = part->count / turns;
    low_loop loop;
    if (rounds > 0) {
        begin_results(l, c, d);
        sweep_begin(l, &loop, low_index(l, rounds), count_results(c), d);
        ir_value *tile = low_mul(l, loop.counter, low_index(l, turns));
        contract_tiles(l, c, d, low_add(l, part->first, tile), turns);
        sweep_end(l, &loop, d);
    }
    contract_tiles(l, c, d, low_add(l, part->first, low_index(l, rounds * turns)),
                   part->count % turns);
}

// --------------------------------------------------------------- parts of the depth

// The whole depth is one group of weights, or even one sum that is scaled once.
static bool is_single_group(const contraction *c)
{
    const pack_geometry *g = &c->geometry;
    return g->groups_per_tile == 1 && g->tiles_per_group >= g->depth_tiles;
}

static bool is_single_sum(const lowering *l, const contraction *c)
{
    return is_single_group(c) && !scaled_by_slice(c) &&
           low_scale_tiles(l, c->table) >= c->geometry.depth_tiles;
}

unsigned contraction_carried(const lowering *l, const contraction *c)
{
    return count_results(c) * (is_single_sum(l, c) ? c->pieces.count : 1);
}

tile_kind contraction_carried_kind(const lowering *l, const contraction *c)
{
    return is_single_sum(l, c) ? low_accumulator_kind(c->table) : TILE_F32;
}

static void contract_part_of_group(lowering *l, const contraction *c, ir_value **tiles,
                                   const depth_part *part)
{
    accumulators acc = {{0}};
    ir_value *zero = low_index(l, 0), *bytes = low_index(l, planes_bytes(c));
    ir_value *offset = low_mul(l, part->first, bytes);
    ir_value *scales = low_index(l, c->geometry.depth_tiles * planes_bytes(c));
    if (!is_single_sum(l, c)) {
        contract_spans(l, c, tiles, part->first, part->count, offset, scales);
    } else {
        if (!part->begins)
            unflatten(c, tiles, acc);
        accumulate_span(l, c, acc, part->first, part->count, offset);
        if (!part->ends) {
            flatten(c, acc, tiles);
            return;
        }
        memset(tiles, 0, contraction_carried(l, c) * sizeof *tiles);
        dequantize(l, c, tiles, acc, zero, 0, scales);
    }
    if (part->ends)
        add_offsets(l, c, tiles, zero, scales);
}

void lower_contraction_part(lowering *l, const contraction *c, ir_value **tiles,
                            const depth_part *part)
{
    if (c->geometry.groups_per_tile > 1) {
        contract_slices(l, c, tiles, part);
    } else if (is_single_group(c) && !(part->begins && part->ends)) {
        contract_part_of_group(l, c, tiles, part);
        return;
    } else {
        contract_groups(l, c, tiles, part);
    }
    begin_results(l, c, tiles);
}

void lower_contraction(lowering *l, const contraction *c, ir_value **d)
{
    const depth_part whole = {low_index(l, 0), c->geometry.depth_tiles, true, true};
    lower_contraction_part(l, c, d, &whole);
}
