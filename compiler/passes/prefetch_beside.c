// What strips beside the products of a loop read of memory that the kernel wrote before the loop:
// weights of attention, which what the loop reads may have pushed out of scratch since.
#include "compiler/passes/prefetch_rows.h"

static bool is_written_beside(const ir_value *root, const ir_op *loop)
{
    bool written = false;
    IR_FOR_OPS(op, loop->regions[0])
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *to = graph_writes(op, i) ? ir_operand(op, i) : NULL;
        while (to && is_op(to, IR_VIEW))
            to = ir_operand(to->op, 0);
        written |= to == root;
    }
    return written;
}

// Those of the next round, `bytes` behind what this one reads; they need not begin with a line.
static void prefetch_lanes(ir_module *m, ir_op *strip, const ir_op *load, int64_t lanes,
                           int64_t bytes)
{
    ir_builder b = ir_builder_before(strip);
    b.where = strip->where;
    ir_value *operands[IR_MAX_RANK + 1] = {ir_operand(load, 0)};
    const unsigned last = load->n_operands - 1;
    const scalar_type scalar = operands[0]->type->scalar;
    for (unsigned i = 1; i <= last; i++)
        operands[i] = value_in_round(&b, strip, ir_operand(load, i), strip, NULL);
    ir_value *more = constant_index(m, &b, bytes / (int64_t)scalar_size(scalar));
    operands[last] = ir_build1(&b, IR_ADD, ir_type_index(m), operands[last], more, NULL);
    ir_dim dims[1] = {ir_dim_constant(lanes + LINE / (int64_t)scalar_size(scalar))};
    const ir_type *type = ir_type_buffer(m, scalar, 1, dims);
    ir_value *at = ir_result(ir_build(&b, IR_VIEW, last + 1, operands, 1, &type), 0);
    ir_build(&b, IR_PREFETCH, 1, &at, 0, NULL);
}

static bool multiplies(const ir_block *b)
{
    bool does = false;
    IR_FOR_OPS(op, b)
    does |= op->code == IR_XLUT_MAC;
    return does;
}

// Blocks of queries that the matrix unit takes have shorter ways: nothing has left scratch yet.
void prefetch_beside(ir_module *m, const machine *target, ir_op *loop)
{
    const ir_value *counter = loop->regions[0]->arguments.items[0];
    if (multiplies(loop->regions[0]))
        return;
    IR_FOR_OPS(strip, loop->regions[0])
    {
        if (strip->code != IR_STRIP || !ir_boolean(strip, "beside"))
            continue;
        const row_reads r = {.module = m, .machine = target, .loop = strip};
        IR_FOR_OPS(op, strip->regions[0])
        {
            const ir_value *root;
            address at;
            if (op->code != IR_VLOAD || ir_integer(op, "stride") != 1 ||
                !address_of_place(op, &root, &at) ||
                !is_written_in(root, loop->block->function->body) || is_written_beside(root, loop))
                continue;
            int64_t advance = address_factor(&at, counter) * loop_step(loop);
            if (advance > 0)
                prefetch_lanes(m, strip, op, lanes_of_round(&r), advance);
        }
    }
}
