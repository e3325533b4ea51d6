// choose-tiles: each mpgemm kernel's schedule (compiler/schedule).
#include "compiler/passes/passes.h"
#include "compiler/schedule/schedule.h"

static void choose(pass_context *c, ir_op *kernel)
{
    kernel_schedule s = schedule_mpgemm(c->machine, kernel, pass_argument_integer(c, "row_block"));
    ir_set_integer(kernel, "row_block", s.row_block);
    ir_set_integer(kernel, "column_block", s.column_block);
    pass_remark(c, REMARK_NOTE, kernel->where,
                "%s: %lld row tile%s per sweep, %u of %d tile registers, about %.3g ms",
                ir_name(kernel, "name"), (long long)s.row_block, s.row_block == 1 ? "" : "s",
                s.registers, ISA_TILE_REGISTERS, 1e3 * s.seconds);
}

bool pass_choose_tiles(ir_module *m, pass_context *c)
{
    for (ir_function *f = m->functions; f; f = f->next)
        IR_FOR_OPS(op, f->body)
    if (op->code == IR_KERNEL && ir_name_is(op, "kind", "mpgemm"))
        choose(c, op);
    return true;
}
