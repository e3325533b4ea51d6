// Tables as an epilogue: what a kernel computes block by block becomes tables while it is in near
// memory. A block has whole row tiles, and columns that span whole depth tiles, scales and sums.
#include "compiler/passes/lower/table_epilogue.h"

static table_panel *find_panel(const table_panels *t, const ir_value *v)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (t->items[i].value == v)
            return &t->items[i];
    }
    return NULL;
}

table_panels table_panels_of(lowering *l)
{
    table_panels t = {0};
    unsigned most = 0;
    IR_FOR_OPS(op, l->region)
    most += op->code == IR_LUT_PRECOMPUTE;
    t.items = ARENA_ARRAY(l->arena, table_panel, most);
    IR_FOR_OPS(op, l->region)
    {
        if (op->code != IR_LUT_PRECOMPUTE)
            continue;
        prepare_table(l, op->results[0].type);
        if (!find_panel(&t, ir_operand(op, 0)))
            t.items[t.count++] = (table_panel){.value = ir_operand(op, 0)};
    }
    return t;
}

void table_panels_allocate(lowering *l, table_panels *t, int64_t rows, int64_t columns)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (!t->items[i].buffer)
            t->items[i].buffer = low_scratch(l, t->items[i].value->type->scalar, rows, columns);
    }
}

void table_panels_clear(lowering *l, const table_panels *t, ir_value *from, ir_value *to)
{
    for (unsigned i = 0; i < t->count; i++) {
        ir_value *buffer = t->items[i].buffer;
        low_loop rows;
        low_for_begin(l, &rows, from, to, low_index(l, 1), 0, NULL);
        low_fill(l, buffer, rows.counter, low_index(l, 0),
                 low_index(l, buffer->type->dims[1].value), 0);
        low_loop_end(l, &rows, NULL);
    }
}

void table_panels_pad(lowering *l, const table_panels *t, ir_value *row, int64_t from, int64_t to)
{
    for (unsigned i = 0; i < t->count; i++) {
        const table_panel *p = &t->items[i];
        low_loop rows;
        low_for_begin(l, &rows, low_index(l, 0), low_index(l, l->m), low_index(l, 1), 0, NULL);
        ir_value *at = p->stored ? low_add(l, row, rows.counter) : rows.counter;
        low_fill(l, p->buffer, at, low_index(l, from), low_index(l, to), 0);
        low_loop_end(l, &rows, NULL);
    }
}

// The tables of one row tile, whose rows in the block begin at `row`.
static bool build_row_tile(lowering *l, const table_panels *t, const table_block *b,
                           ir_value *row_tile, ir_value *row)
{
    ir_op *yield = l->region->last;
    for (unsigned i = 0; i < yield->n_operands; i++) {
        const ir_value *table = ir_operand(yield, i);
        if (table->type->kind != IR_TABLE)
            continue;
        const ir_value *x = ir_operand(table->op, 0);
        const table_panel *panel = find_panel(t, x);
        table_source from = {.activations = panel->buffer,
                             .first_row = panel->stored ? row : low_index(l, 0),
                             .first_tile = b->depth.first,
                             .scalar = x->type->scalar,
                             .columns = low_columns(table->type).value};
        l->at.where = table->op->where;
        if (!lower_table_tiles(l, &l->outputs[i], &from, row_tile, &b->depth, b->one_row))
            return false;
    }
    return true;
}

bool lower_table_block(lowering *l, const table_panels *t, const table_block *b)
{
    int64_t tiles;
    if (low_is_constant(b->row_tiles, &tiles) && tiles == 1)
        return build_row_tile(l, t, b, b->row_tile, b->row);
    low_loop loop;
    low_for_begin(l, &loop, low_index(l, 0), b->row_tiles, low_index(l, 1), 0, NULL);
    bool good = build_row_tile(l, t, b, low_add(l, b->row_tile, loop.counter),
                               low_add(l, b->row, low_mul(l, loop.counter, low_index(l, l->m))));
    low_loop_end(l, &loop, NULL);
    return good;
}
