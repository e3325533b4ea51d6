// What takes the time of a loop's round, so that prefetches can be spread over it.
#include "compiler/passes/prefetch.h"

static bool is_lanes(const ir_op *op)
{
    return op->n_results == 1 && op->results[0].type->kind == IR_VECTOR && op->code != IR_BROADCAST;
}

static bool is_work(const ir_op *op)
{
    return op->code == IR_XLUT_MAC || op->code == IR_XLUT_DEQ || op->code == IR_XLUT_TBL ||
           (is_lanes(op) && op->code != IR_VLOAD);
}

static double tile_cycles(const machine *m, isa_opcode opcode)
{
    return isa_cost_of(m, &(isa_instruction){.opcode = opcode}, &(isa_shape){0}).busy;
}

// Elementary functions take about as many instructions.
static double instructions_of(const ir_op *op)
{
    enum { FUNCTION = 20 };
    switch (op->code) {
    case IR_EXP:
    case IR_TANH:
    case IR_SIGMOID:
    case IR_SILU:
    case IR_GELU: return FUNCTION;
    default: return 1;
    }
}

static double cycles_of(const machine *m, const ir_op *op, double lanes)
{
    switch (op->code) {
    case IR_XLUT_MAC: return tile_cycles(m, ISA_MMA);
    case IR_XLUT_DEQ: return tile_cycles(m, ISA_LUT_DEQ);
    case IR_XLUT_TBL: return tile_cycles(m, ISA_LUT_TBL);
    case IR_VLOAD: return ir_integer(op, "stride") == 1 ? 0 : lanes;
    default: return instructions_of(op) * lanes * 32 / (double)m->vector_bits;
    }
}

// A strip whose lanes are done in one round.
static bool is_one_round(const ir_op *strip, double lanes)
{
    const ir_value *count = ir_operand(strip, 0);
    return strip->code == IR_STRIP && is_op(count, IR_CONSTANT) &&
           ir_number(count->op, "value") <= lanes;
}

static void add_work(work_list *w, ir_op *op, double cycles)
{
    if (w->count == MOST_WORK)
        return;
    w->items[w->count++] = (work){op, w->cycles};
    w->cycles += cycles;
}

static void add_strip(work_list *w, const machine *m, const ir_op *strip)
{
    double lanes = ir_number(ir_operand(strip, 0)->op, "value");
    IR_FOR_OPS(op, strip->regions[0])
    if (is_lanes(op))
        add_work(w, op, cycles_of(m, op, lanes));
}

void find_work(work_list *w, const machine *m, const ir_op *loop)
{
    double lanes = 4.0 * m->vlen / 32;
    bool strips = false;
    IR_FOR_OPS(op, loop->regions[0])
    strips |= is_one_round(op, lanes);
    IR_FOR_OPS(op, loop->regions[0])
    {
        if (is_one_round(op, lanes))
            add_strip(w, m, op);
        else if (is_work(op))
            add_work(w, op, strips ? cycles_of(m, op, lanes) : 1);
    }
}

unsigned work_at(const work_list *w, double part)
{
    unsigned i = 0;
    while (i + 1 < w->count && w->items[i + 1].before <= part * w->cycles)
        i++;
    return i;
}
