// use-matrix: which operations multiply with the conventional matrix unit.
#include "compiler/passes/graph.h"

#include "compiler/quant/quant.h"

static bool is_half(scalar_type t)
{
    return t == SCALAR_F16 || t == SCALAR_BF16;
}

static void miss(pass_context *c, const ir_op *op, const char *what, const char *obstacle)
{
    pass_remark(c, REMARK_MISSED, op->where, "%s stays with the vector unit: %s", what, obstacle);
}

static void attend(pass_context *c, ir_op *op, bool rounded)
{
    scalar_type k = ir_operand_named(op, "k")->type->scalar;
    if (!is_half(k) || k != ir_operand_named(op, "v")->type->scalar) {
        miss(c, op, "attention", "keys and values are not both f16, or both bf16");
        return;
    }
    ir_set_name(op, "unit", "matrix");
    if (rounded)
        ir_set_name(op, "precision", "rounded");
    pass_remark(c, REMARK_APPLIED, op->where, "attention of %u queries and more on the matrix unit",
                4 * c->machine->tile_m);
}

// x in the type of the weights: one conversion, however many products read it.
static ir_value *narrowed(ir_value *x, scalar_type t, const ir_op *user)
{
    for (const ir_use *use = x->uses; use; use = use->next)
        if (use->op->code == IR_CAST && use->op->block == user->block &&
            use->op->results[0].type->scalar == t && use->op->mark <= user->mark)
            return &use->op->results[0];
    ir_builder b = ir_builder_before((ir_op *)user);
    const ir_type *type =
        ir_type_tensor(user->block->function->module, t, x->type->rank, x->type->dims);
    ir_value *y = ir_build1(&b, IR_CAST, type, x, NULL, NULL);
    y->op->mark = user->mark;
    return y;
}

// x in 8 bits with a scale for each row, however many products read it; *scale is set.
static ir_value *quantized(ir_value *x, scalar_type t, const ir_op *user, ir_value **scale)
{
    ir_module *m = user->block->function->module;
    ir_op *op = NULL;
    for (const ir_use *use = x->uses; use && !op; use = use->next)
        if (use->op->code == IR_QUANTIZE && use->op->block == user->block &&
            use->op->results[0].type->scalar == t && use->op->mark <= user->mark)
            op = use->op;
    if (!op) {
        const ir_type *types[2] = {ir_type_tensor(m, t, x->type->rank, x->type->dims),
                                   ir_type_tensor(m, SCALAR_F32, x->type->rank - 1, x->type->dims)};
        ir_builder b = ir_builder_before((ir_op *)user);
        op = ir_build(&b, IR_QUANTIZE, 1, &x, 2, types);
        op->mark = user->mark;
    }
    *scale = &op->results[1];
    return &op->results[0];
}

// Why weights in 8 bits stay; NULL: `op` multiplies them with activations like them now.
static const char *multiply_bytes(pass_context *c, ir_op *op, const quant_format *f)
{
    enum { DEPTH = INT32_MAX / (128 * 128) };
    ir_value *x = ir_operand(op, 0), *scale;
    if (f->element == SCALAR_I8 && ir_operand(op, 1)->type->dims[1].value > DEPTH)
        return arena_format(c->arena, "sums of more than %d products are not exact", DEPTH);
    if (x->type->scalar == f->element)
        return NULL;
    if (!ir_type_is_float(x->type) || x->type->scalar == SCALAR_F64)
        return arena_format(c->arena, "activations are %s, weights %s",
                            scalar_rows[x->type->scalar].name, f->name);
    ir_set_operand(op, 0, quantized(x, f->element, op, &scale));
    ir_set_operand(op, (unsigned)ir_operand_slot(IR_LINEAR, "scale"), scale);
    return NULL;
}

static void linear_of_bytes(pass_context *c, ir_op *op, const quant_format *f)
{
    scalar_type before = ir_operand(op, 0)->type->scalar;
    const char *obstacle = multiply_bytes(c, op, f);
    if (obstacle) {
        miss(c, op, "a product", obstacle);
        return;
    }
    ir_set_name(op, "unit", "matrix");
    pass_remark(c, REMARK_APPLIED, op->where, "'%s' is multiplied by the matrix unit in %s%s",
                graph_value_name(ir_operand(op, 1)), f->name,
                before != f->element ? ", its activations quantized row by row" : "");
}

// The type in which the matrix unit multiplies with these weights; SCALAR_F32: it does not. Weights
// in planes are what split-precompute left.
static scalar_type multiplied(const quant_format *f)
{
    if (f->kind == QUANT_DENSE)
        return is_half(f->scale) ? f->scale : SCALAR_F32;
    return SCALAR_F16;
}

static void linear(pass_context *c, ir_op *op, bool rounded)
{
    quant_format f;
    ir_value *x = ir_operand(op, 0);
    scalar_type t = x->type->scalar;
    if (!quant_format_parse(ir_operand(op, 1)->type->format, &f))
        return;
    if (f.kind == QUANT_BYTES) {
        linear_of_bytes(c, op, &f);
        return;
    }
    scalar_type type = multiplied(&f);
    if (type == SCALAR_F32)
        return;
    if (t != type && !(rounded && (is_half(t) || t == SCALAR_F32))) {
        miss(c, op, "a dense product",
             arena_format(c->arena, "activations are %s, weights %s", scalar_rows[t].name,
                          scalar_rows[type].name));
        return;
    }
    if (t != type)
        ir_set_operand(op, 0, narrowed(x, type, op));
    ir_set_name(op, "unit", "matrix");
    pass_remark(c, REMARK_APPLIED, op->where, "'%s' is %smultiplied by the matrix unit%s",
                graph_value_name(ir_operand(op, 1)), f.kind == QUANT_DENSE ? "" : "unpacked and ",
                t != type ? ", its activations rounded" : "");
}

bool pass_use_matrix(ir_module *m, pass_context *c)
{
    const char *precision = pass_argument_text(c, "precision");
    bool rounded =
        precision[0] == 'r' || (precision[0] == 'a' && !(c->machine->parts & MACHINE_LUT));
    for (ir_function *f = m->functions; f && c->machine->parts & MACHINE_MATRIX; f = f->next) {
        graph_number_ops(f->body);
        IR_FOR_OPS(op, f->body)
        {
            if (op->code == IR_ATTEND)
                attend(c, op, rounded);
            if (op->code == IR_LINEAR)
                linear(c, op, rounded);
        }
    }
    return true;
}
