// Tables as an epilogue of attention: the results of the heads that share keys, of whole row tiles,
// stand in a panel until their tables are built.
#include "compiler/passes/lower/attend.h"
#include "compiler/passes/table_blocks.h"

static int64_t share_of(const attention *a)
{
    return a->heads / a->groups;
}

static bool check_tables(lowering *l, const ir_op *attend)
{
    bool good = true;
    IR_FOR_OPS(op, l->region)
    {
        const char *reason =
            op->code == IR_LUT_PRECOMPUTE ? attend_table_obstacle(l->context, attend, op) : NULL;
        if (reason)
            diagnostic_error(l->context->diagnostics, op->where,
                             "attention's kernel cannot build this table: %s", reason);
        good = good && !reason;
    }
    return good;
}

// As many rows as a block has at most; all panels are of the same values.
bool attend_prepare_tables(attention *a)
{
    lowering *l = a->l;
    int64_t share = share_of(a), rows = share <= 8 ? 8 * l->m / share : l->m;
    if (!check_tables(l, a->op))
        return false;
    a->panels = table_panels_of(l);
    if (!a->panels.count)
        return true;
    if (a->panels.count > 1) {
        diagnostic_error(l->context->diagnostics, a->op->where,
                         "attention's kernel can build tables of one value, not of %u",
                         a->panels.count);
        return false;
    }
    table_panels_allocate(l, &a->panels, rows, share * a->width);
    a->panels.items[0].stored = true;
    ir_value *buffer = a->panels.items[0].buffer, *zero = low_index(l, 0);
    ir_dim dims[2] = {ir_dim_constant(rows * share), ir_dim_constant(a->width)};
    a->panel.type = a->op->results[0].type;
    a->panel.buffer =
        low_view(l, buffer, zero, zero, ir_type_buffer(l->module, buffer->type->scalar, 2, dims));
    a->y = &a->panel;
    return true;
}

bool attend_build_tables(const attention *a, ir_value *row, ir_value *count)
{
    lowering *l = a->l;
    ir_value *m = low_index(l, l->m), *more = low_index(l, l->m - 1);
    ir_value *tiles = low_div(l, low_add(l, count, more), m);
    int64_t depth = share_of(a) * a->width / l->depth;
    table_panels_clear(l, &a->panels, count, low_mul(l, tiles, m));
    table_block b = {.row_tile = low_div(l, row, m),
                     .row_tiles = tiles,
                     .row = low_index(l, 0),
                     .depth = {low_mul(l, a->group, low_index(l, depth)), depth}};
    return lower_table_block(l, &a->panels, &b);
}

// Queries 0 .. count of the group, in the blocks in which they are taken without tables: their
// results are the same to the last bit.
static void attend_queries(const attention *a, ir_value *count)
{
    lowering *l = a->l;
    ir_value *done = low_index(l, 0);
    block_sizes sizes = attend_block_sizes(a);
    for (unsigned i = 0; i < sizes.count; i++) {
        unsigned size = sizes.size[i];
        ir_value *step = low_index(l, size), *blocks = low_div(l, low_sub(l, count, done), step);
        low_loop loop;
        int64_t known;
        if (low_is_constant(blocks, &known) && known == 0)
            continue;
        low_for_begin(l, &loop, low_index(l, 0), blocks, low_index(l, 1), 0, NULL);
        attend_block(a, low_add(l, done, low_mul(l, loop.counter, step)), size);
        low_loop_end(l, &loop, NULL);
        done = low_add(l, done, low_mul(l, blocks, step));
    }
}

bool attend_few_rows(attention *a)
{
    lowering *l = a->l;
    low_loop groups;
    low_shared_begin(l, &groups, low_index(l, a->groups), "turns");
    a->group = groups.counter;
    a->panel_row = low_index(l, 0);
    ir_value *share = low_index(l, share_of(a));
    attend_queries(a, a->one_row ? share : low_mul(l, a->rows, share));
    bool good = attend_build_tables(a, low_index(l, 0), a->rows);
    low_loop_end(l, &groups, NULL);
    return good;
}

bool attend_single_rows(attention *a)
{
    lowering *l = a->l;
    const ir_type *q = a->q->type;
    bool tables = a->panels.count > 0;
    ir_value *m = low_index(l, tables ? l->m : 1), *all = low_index(l, 1);
    a->one_row = a->few;
    if (q->rank == 4)
        all = low_dim(l, q->dims[0]);
    ir_value *tiles = low_div(l, low_add(l, all, low_sub(l, m, low_index(l, 1))), m);
    low_loop loop, rows;
    low_shared_begin(l, &loop, low_mul(l, tiles, low_index(l, a->groups)), "turns");
    a->group = low_div(l, loop.counter, tiles);
    ir_value *first = low_mul(l, low_rem(l, loop.counter, tiles), m);
    ir_value *count = low_min(l, m, low_sub(l, all, first));
    low_for_begin(l, &rows, low_index(l, 0), count, low_index(l, 1), 0, NULL);
    a->batch = low_add(l, first, rows.counter);
    a->panel_row = tables ? rows.counter : NULL;
    attend_find_position(a);
    attend_queries(a, low_index(l, share_of(a)));
    low_loop_end(l, &rows, NULL);
    bool good = !tables || attend_build_tables(a, first, count);
    low_loop_end(l, &loop, NULL);
    return good;
}
