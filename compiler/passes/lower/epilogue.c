// Epilogues: what follows a matrix product elementwise, while its results are in near memory.
#include "compiler/passes/lower/epilogue.h"

typedef struct epilogue_scope {
    const epilogue *e;
    ir_value *row, *column; // inside the block
    ir_value *panel_row;
} epilogue_scope;

static ir_value *find_product(lowering *l, strip_scope *s, ir_value *v)
{
    const epilogue_scope *scope = s->context;
    for (unsigned i = 0; i < scope->e->n_products; i++) {
        const product *p = &scope->e->products[i];
        if (v == &p->op->results[0])
            return low_cast(l, low_vload(l, p->block, scope->row, scope->column, 1),
                            v->type->scalar);
    }
    return NULL;
}

static bool is_stored(lowering *l, const epilogue *e, const ir_value *v)
{
    for (unsigned i = 0; e->direct && i < e->n_products; i++) {
        const ir_op *op = e->products[i].op;
        if (v == &op->results[0])
            return product_direct_output(l, op);
    }
    return false;
}

static void store_outputs(lowering *l, strip_scope *s)
{
    const epilogue_scope *scope = s->context;
    ir_op *yield = l->region->last;
    for (unsigned i = 0; i < yield->n_operands; i++) {
        ir_value *v = ir_operand(yield, i);
        if (v->type->kind == IR_TABLE || is_stored(l, scope->e, v))
            continue;
        ir_value *vector = low_cast(l, strip_value(l, s, v), v->type->scalar);
        low_vstore(l, vector, l->outputs[i].buffer, s->row, s->column, 1);
    }
}

static void store_panels(lowering *l, strip_scope *s)
{
    const epilogue_scope *scope = s->context;
    const table_panels *panels = scope->e->panels;
    for (unsigned i = 0; panels && i < panels->count; i++) {
        const table_panel *p = &panels->items[i];
        if (p->stored)
            continue;
        ir_value *vector = low_cast(l, strip_value(l, s, p->value), p->value->type->scalar);
        low_vstore(l, vector, p->buffer, scope->panel_row, scope->column, 1);
    }
}

// Nothing is computed where products are all that is wanted, and are where they belong.
static bool is_done(lowering *l, const epilogue *e)
{
    const ir_op *yield = l->region->last;
    bool done = e->panels != NULL;
    for (unsigned i = 0; done && i < yield->n_operands; i++) {
        const ir_value *v = ir_operand(yield, i);
        done = v->type->kind == IR_TABLE || is_stored(l, e, v);
    }
    for (unsigned i = 0; done && i < e->panels->count; i++)
        done = e->panels->items[i].stored;
    return done;
}

void lower_epilogue(lowering *l, const epilogue *e)
{
    low_loop rows, strip;
    if (is_done(l, e))
        return;
    low_for_begin(l, &rows, low_index(l, 0), e->rows, low_index(l, 1), 0, NULL);
    low_strip_begin(l, &strip, e->columns, low_region_width(l->region), 0, NULL);
    ir_value *row = e->block_row ? low_add(l, e->block_row, rows.counter) : rows.counter;
    epilogue_scope inside = {e, row, strip.counter, rows.counter};
    strip_scope s = {.row = low_add(l, e->first_row, rows.counter),
                     .column = low_add(l, e->first_column, strip.counter),
                     .find = find_product,
                     .context = &inside};
    IR_FOR_OPS(op, l->region)
    {
        if ((ir_op_rows[op->code].traits & IR_ELEMENTWISE) && op->n_operands > 0)
            strip_elementwise(l, &s, op);
    }
    store_outputs(l, &s);
    store_panels(l, &s);
    low_loop_end(l, &strip, NULL);
    low_loop_end(l, &rows, NULL);
}

scalar_type product_stored_type(scalar_type t)
{
    return t == SCALAR_F16 || t == SCALAR_BF16 ? t : SCALAR_F32;
}

const place *product_direct_output(lowering *l, const ir_op *op)
{
    const ir_use *use = op->results[0].uses;
    scalar_type t = op->results[0].type->scalar;
    if (!use || use->next || use->op != l->region->last || product_stored_type(t) != t)
        return NULL;
    return &l->outputs[use->slot];
}

unsigned kernel_products(lowering *l, ir_opcode code, product **out)
{
    unsigned count = 0;
    IR_FOR_OPS(op, l->region)
    count += op->code == code;
    *out = ARENA_ARRAY(l->arena, product, count);
    count = 0;
    IR_FOR_OPS(op, l->region)
    {
        if (op->code == code)
            (*out)[count++].op = op;
    }
    return count;
}
