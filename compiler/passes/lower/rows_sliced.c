// Tables of a row tile, a few depth tiles after the others: what table entries reach is found in
// one way over the row, a second one builds the tables. The first way also adds up the squares of a
// norm and keeps the products with its gain in the panel. Every round does little and alike, so
// that rounds can stand among lookups (pipeline-tables).
//
// Sums are kept in memory, lane by lane as a strip over the whole row would carry them: the result
// is the same.
#include "compiler/passes/lower/contract.h"
#include "compiler/passes/lower/native.h"
#include "compiler/passes/lower/rows.h"

enum { TILES = 4 }; // of a round without a norm: one is stored while another one is built

static const ir_op *only_precompute(const rows_kernel *k)
{
    const ir_op *found = NULL;
    IR_FOR_OPS(op, k->l->region)
    {
        bool expected = op == k->deferred || op->code == IR_CONSTANT || op->code == IR_YIELD ||
                        (op->code == IR_LUT_PRECOMPUTE && !found);
        if (!expected)
            return NULL;
        found = op->code == IR_LUT_PRECOMPUTE ? op : found;
    }
    return found;
}

bool rows_are_sliced(const rows_kernel *k)
{
    const lowering *l = k->l;
    const int64_t lanes = 4 * (int64_t)l->context->machine->vlen / 16; // of f32, in groups of eight
    const ir_op *precompute = only_precompute(k);
    if (!precompute || is_native(l->context) || l->m != 2 || lanes != l->depth ||
        k->columns.value != k->padded)
        return false;
    const ir_type *table = precompute->results[0].type;
    if (!k->deferred && k->padded / l->depth % TILES)
        return false; // a round of few tables waits for the builder
    return table->scalar == SCALAR_I8 && table->scale == TABLE_SCALE_ROW && !table->sums &&
           !table->format;
}

void rows_prepare_slices(rows_kernel *k)
{
    lowering *l = k->l;
    k->round_tiles = k->deferred ? 1 : TILES;
    k->bounds = low_scratch(l, SCALAR_F32, 1, k->round_tiles * l->m * QUARTERS);
    if (k->deferred)
        k->squares = low_scratch(l, SCALAR_F32, l->m, l->depth);
}

static void build_slice(rows_kernel *k, ir_value *tile)
{
    lowering *l = k->l;
    low_loop strip;
    k->stage = 0;
    low_strip_begin(l, &strip, low_index(l, l->depth), "f16", 0, NULL);
    strip_scope scope = {.row = k->row, .find = rows_find_kept, .context = k};
    scope.column = low_add(l, low_mul(l, tile, low_index(l, l->depth)), strip.counter);
    rows_build_values(k, &scope);
    ir_value *sum = low_vload(l, k->squares, k->tile_row, strip.counter, 1);
    sum = rows_reduced(k, &scope, &k->reductions.items[0], 0, sum);
    low_vstore(l, sum, k->squares, k->tile_row, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
}

// What entries of the last round's tables reach, which by now is known, joins that of those before.
static void join_bounds(rows_kernel *k)
{
    lowering *l = k->l;
    ir_value *zero = low_index(l, 0);
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, k->bounds->type->dims[1].value), "f32", 0, NULL);
    ir_value *x = low_vload(l, l->slice_scales, zero, strip.counter, 1);
    ir_value *greatest = low_vload(l, k->bounds, zero, strip.counter, 1);
    low_vstore(l, low_binary(l, IR_MAX, greatest, x), k->bounds, zero, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
}

static void conclude_row(rows_kernel *k)
{
    lowering *l = k->l;
    low_loop strip; // all of it at once
    low_strip_begin(l, &strip, low_index(l, l->depth), "f16", 0, NULL);
    ir_value *sum = low_vload(l, k->squares, k->tile_row, strip.counter, 1);
    rows_conclude(k, &k->reductions.items[0], low_reduce(l, sum, "add"));
    low_loop_end(l, &strip, NULL);
}

static void set_row(rows_kernel *k, ir_value *row_tile, int64_t i)
{
    lowering *l = k->l;
    k->tile_row = low_index(l, i);
    k->row = low_add(l, low_mul(l, row_tile, low_index(l, l->m)), k->tile_row);
}

static const place *table_of(const rows_kernel *k, const ir_op *precompute)
{
    const ir_op *yield = k->l->region->last;
    for (unsigned i = 0; i < yield->n_operands; i++)
        if (ir_operand(yield, i) == &precompute->results[0])
            return &k->l->outputs[i];
    UNREACHABLE();
}

// Sums and bounds start at 0.
static void begin_row_tile(rows_kernel *k)
{
    lowering *l = k->l;
    ir_value *zero = low_index(l, 0), *bounds = low_index(l, k->bounds->type->dims[1].value);
    for (int64_t i = 0; k->deferred && i < l->m; i++)
        low_fill(l, k->squares, low_index(l, i), zero, low_index(l, l->depth), 0);
    low_fill(l, l->slice_scales, zero, zero, bounds, 0);
    low_fill(l, k->bounds, zero, zero, bounds, 0);
}

static void find_in_round(rows_kernel *k, const table_source *from, ir_value *row_tile,
                          ir_value *round)
{
    lowering *l = k->l;
    ir_value *first = low_mul(l, round, low_index(l, k->round_tiles));
    location where = l->at.where;
    join_bounds(k);
    for (int64_t i = 0; k->deferred && i < l->m; i++) {
        set_row(k, row_tile, i);
        build_slice(k, first);
    }
    l->at.where = where;
    for (int64_t i = 0; i < k->round_tiles; i++)
        table_find_bounds(l, from, low_add(l, first, low_index(l, i)), i);
}

void rows_build_sliced_tile(rows_kernel *k, ir_value *row_tile)
{
    lowering *l = k->l;
    const ir_op *precompute = only_precompute(k);
    const place *table = table_of(k, precompute);
    table_source from = rows_table_source(k, precompute, row_tile);
    ir_value *rounds = low_index(l, table_depth_tiles(l, table->type) / k->round_tiles);
    ir_value *zero = low_index(l, 0), *one = low_index(l, 1);
    low_loop loop;
    l->at.where = precompute->where;
    begin_row_tile(k);
    low_for_begin(l, &loop, zero, rounds, one, 0, NULL);
    find_in_round(k, &from, row_tile, loop.counter);
    low_loop_end(l, &loop, NULL);
    for (int64_t i = 0; k->deferred && i < l->m; i++) {
        set_row(k, row_tile, i);
        conclude_row(k);
    }
    l->at.where = precompute->where;
    join_bounds(k);
    table_find_scales(l, table, &from, k->bounds, row_tile);
    low_for_begin(l, &loop, zero, rounds, one, 0, NULL);
    table_build_tiles(l, table, &from, row_tile,
                      low_mul(l, loop.counter, low_index(l, k->round_tiles)), k->round_tiles);
    low_loop_end(l, &loop, NULL);
}
