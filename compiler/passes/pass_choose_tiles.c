// choose-tiles: each mpgemm kernel's schedule (compiler/schedule).
#include "compiler/passes/table_blocks.h"
#include "compiler/schedule/schedule.h"

static bool choose(pass_context *c, ir_op *kernel)
{
    int64_t columns;
    if (!check_table_blocks(c, kernel, &columns))
        return false;
    kernel_schedule s =
        schedule_mpgemm(c->machine, kernel, columns, pass_argument_integer(c, "row_block"));
    ir_set_integer(kernel, "row_block", s.row_block);
    ir_set_integer(kernel, "column_block", s.column_block);
    pass_remark(c, REMARK_NOTE, kernel->where,
                "%s: %lld row tile%s per sweep, %u of %d tile registers, about %.3g ms",
                ir_name(kernel, "name"), (long long)s.row_block, s.row_block == 1 ? "" : "s",
                s.registers, ISA_TILE_REGISTERS, 1e3 * s.seconds);
    return true;
}

bool pass_choose_tiles(ir_module *m, pass_context *c)
{
    bool good = true;
    for (ir_function *f = m->functions; f; f = f->next)
        IR_FOR_OPS(op, f->body)
        {
            if (op->code == IR_KERNEL && ir_name_is(op, "kind", "mpgemm"))
                good = choose(c, op) && good;
        }
    return good;
}
