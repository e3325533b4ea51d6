// Matrix products that stay off the LUT path: dense weights times activations as vector dot
// products, a block of columns of one row at a time.
#include "compiler/passes/lower_epilogue.h"

enum { COLUMN_BLOCK = 64 };

typedef struct dense {
    lowering *l;
    product *products;
    unsigned n_products;
} dense;

static ir_value *dot(lowering *l, ir_value *x, ir_value *row, ir_value *w, ir_value *column,
                     int64_t depth)
{
    ir_value *initial = low_broadcast(l, low_number(l, SCALAR_F32, 0)), *zero = low_index(l, 0);
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, depth), "f32", 1, &initial);
    ir_value *a = low_cast(l, low_vload(l, x, row, strip.counter, 1), SCALAR_F32);
    ir_value *b =
        low_cast(l,
                 low_vload(l, w, zero,
                           low_add(l, low_mul(l, column, low_index(l, depth)), strip.counter), 1),
                 SCALAR_F32);
    ir_value *next = ir_build1(&l->at, IR_FMA, a->type, a, b, strip.carried[0]);
    low_loop_end(l, &strip, &next);
    ir_value *sum = ir_build1(&l->at, IR_REDUCE, ir_type_scalar(l->module, SCALAR_F32),
                              ir_result(strip.op, 0), NULL, NULL);
    ir_set_name(sum->op, "by", "add");
    return sum;
}

static void build_product(dense *k, unsigned i, ir_value *row, ir_value *first, ir_value *width)
{
    lowering *l = k->l;
    ir_op *op = k->products[i].op;
    l->at.where = op->where;
    ir_value *x = l->inputs[ir_operand(op, 0)->index].buffer;
    ir_value *w = l->inputs[ir_operand(op, 1)->index].buffer;
    ir_value *scale = ir_operand_named(op, "scale"), *zero = low_index(l, 0);
    low_loop columns;
    low_for_begin(l, &columns, zero, width, low_index(l, 1), 0, NULL);
    ir_value *y = dot(l, x, row, w, low_add(l, first, columns.counter),
                      ir_operand(op, 1)->type->dims[1].value);
    if (scale)
        y = low_binary(l, IR_MUL, y, low_load(l, l->inputs[scale->index].buffer, zero, row));
    low_store(l, low_cast(l, y, op->results[0].type->scalar), k->products[i].block, zero,
              columns.counter);
    low_loop_end(l, &columns, NULL);
}

bool lower_dense_kernel(lowering *l)
{
    dense k = {.l = l};
    k.n_products = kernel_products(l, IR_LINEAR, &k.products);
    int64_t n = 0;
    for (unsigned i = 0; i < k.n_products; i++) {
        ir_op *op = k.products[i].op;
        const ir_type *w = ir_operand(op, 1)->type;
        quant_format format;
        if (!quant_format_parse(w->format, &format) || format.kind != QUANT_DENSE) {
            diagnostic_error(l->context->diagnostics, op->where,
                             "weights of format %s need lookups, which machine '%s' does not have "
                             "for them; use another --quant or --machine",
                             w->format, l->context->machine->name);
            return false;
        }
        n = w->dims[0].value;
        k.products[i].block = low_scratch(l, op->results[0].type->scalar, 1, COLUMN_BLOCK);
    }
    l->rows = low_row_count(l, ir_operand(k.products[0].op, 0)->type);
    ir_value *zero = low_index(l, 0), *one = low_index(l, 1), *block = low_index(l, COLUMN_BLOCK);
    low_loop columns, rows;
    low_for_begin(l, &columns, zero, low_index(l, n), block, 0, NULL);
    ir_value *width = block;
    if (n % COLUMN_BLOCK)
        width = low_min(l, block, low_sub(l, low_index(l, n), columns.counter));
    low_for_begin(l, &rows, zero, l->rows, one, 0, NULL);
    for (unsigned i = 0; i < k.n_products; i++)
        build_product(&k, i, rows.counter, columns.counter, width);
    epilogue e = {k.products, k.n_products, rows.counter, one, columns.counter, width};
    lower_epilogue(l, &e);
    low_loop_end(l, &rows, NULL);
    low_loop_end(l, &columns, NULL);
    return true;
}
