// Operations on tiles that several lowerings build.
#include "compiler/passes/lower/lower.h"

ir_value *low_tile_load(lowering *l, tile_kind kind, ir_value *bytes, bool half)
{
    ir_value *t = ir_build1(&l->at, IR_XLUT_LD, ir_type_tile(l->module, kind), bytes, NULL, NULL);
    if (half)
        ir_set_boolean(t->op, "half", true);
    return t;
}

ir_value *low_tile_zero(lowering *l, tile_kind kind)
{
    return ir_build1(&l->at, IR_XLUT_ZERO, ir_type_tile(l->module, kind), NULL, NULL, NULL);
}

ir_value *low_scale_into(lowering *l, ir_value *d, ir_value *sum, ir_value *weight_scale,
                         ir_value *row_scale)
{
    ir_value *operands[4] = {d, sum, weight_scale, row_scale};
    const ir_type *type = ir_type_tile(l->module, TILE_F32);
    ir_op *op = ir_build(&l->at, IR_XLUT_DEQ, 4, operands, 1, &type);
    if (weight_scale->type->scalar == SCALAR_F32)
        ir_set_name(op, "scale", "f32");
    return ir_result(op, 0);
}
