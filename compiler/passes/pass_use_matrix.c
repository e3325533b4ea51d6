// use-matrix: which kernels multiply with the conventional matrix unit.
#include "compiler/passes/graph.h"

#include <string.h>

// Keys and values in 16 bits: what is multiplied with them is split into parts of their type.
static const char *attend_obstacle(const ir_op *op)
{
    scalar_type k = ir_operand_named(op, "k")->type->scalar;
    if (k != SCALAR_F16 && k != SCALAR_BF16)
        return "keys are neither f16 nor bf16";
    return k == ir_operand_named(op, "v")->type->scalar ? NULL
                                                        : "keys and values are of different types";
}

static const ir_op *operation_of(const ir_op *kernel, ir_opcode code)
{
    IR_FOR_OPS(op, kernel->regions[0])
    {
        if (op->code == code)
            return op;
    }
    return NULL;
}

static void choose(pass_context *c, ir_op *kernel)
{
    const ir_op *op = operation_of(kernel, IR_ATTEND);
    if (!op)
        return;
    const char *obstacle = attend_obstacle(op);
    if (obstacle) {
        pass_remark(c, REMARK_MISSED, op->where, "attention stays with the vector unit: %s",
                    obstacle);
        return;
    }
    ir_set_name(kernel, "unit", "matrix");
    ir_set_name(kernel, "precision", pass_argument_text(c, "precision"));
    pass_remark(c, REMARK_APPLIED, op->where, "attention of %u queries and more on the matrix unit",
                4 * c->machine->tile_m);
}

bool pass_use_matrix(ir_module *m, pass_context *c)
{
    for (ir_function *f = m->functions; f && c->machine->parts & MACHINE_MATRIX; f = f->next)
        IR_FOR_OPS(op, f->body)
        {
            if (op->code == IR_KERNEL)
                choose(c, op);
        }
    return true;
}
