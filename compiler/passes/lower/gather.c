// Rows of a table by number: of a tensor or dense weight copied, of a weight in planes put together
// from its packed stream.
#include "compiler/passes/lower/native.h"
#include "compiler/passes/lower/unpack.h"

// Columns of a row, converted.
static void copy_row(lowering *l, ir_value *from, ir_value *first, const place *y, ir_value *row)
{
    ir_value *zero = low_index(l, 0), *columns = low_dim(l, low_columns(y->type));
    low_loop strip;
    low_strip_begin(l, &strip, columns, "f32", 0, NULL);
    ir_value *x = low_vload(l, from, zero, low_add(l, first, strip.counter), 1);
    x = low_cast(l, low_cast(l, x, low_compute_scalar(x->type->scalar)), y->type->scalar);
    low_vstore(l, x, y->buffer, row, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
}

// Columns of a row of elements in bytes, each times the row's scale.
static void scale_row(lowering *l, const place *table, const quant_format *f, ir_value *index,
                      const place *y, ir_value *row)
{
    pack_geometry g;
    pack_shape shape = {(unsigned)l->m, (unsigned)l->n};
    int64_t depth = table->type->dims[1].value;
    pack_geometry_of(f, table->type->dims[0].value, depth, shape, &g);
    ir_value *zero = low_index(l, 0), *n = low_index(l, l->n), *in_tile = low_rem(l, index, n);
    ir_value *tile = low_mul(l, low_div(l, index, n), low_index(l, g.column_tile_bytes));
    ir_dim dims[1] = {ir_dim_constant(depth)};
    ir_value *from =
        low_view(l, table->buffer, zero, low_add(l, tile, low_mul(l, in_tile, low_index(l, depth))),
                 ir_type_buffer(l->module, f->element, 1, dims));
    ir_value *scales =
        low_view(l, table->buffer, zero, low_add(l, tile, low_index(l, g.plane_bytes)),
                 ir_type_buffer(l->module, SCALAR_F32, 1, dims));
    ir_value *scale = low_load(l, scales, zero, in_tile);
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, depth), "f32", 0, NULL);
    ir_value *x = low_cast(l, low_vload(l, from, zero, strip.counter, 1), SCALAR_F32);
    x = low_binary(l, IR_MUL, x, low_broadcast(l, scale));
    low_vstore(l, low_cast(l, x, y->type->scalar), y->buffer, row, strip.counter, 1);
    low_loop_end(l, &strip, NULL);
}

bool lower_gather_kernel(lowering *l)
{
    const ir_op *op = l->region->first;
    while (op->code != IR_GATHER)
        op = op->next;
    l->at.where = op->where;
    const place *table = low_input(l, ir_operand(op, 0));
    const place *indices = low_input(l, ir_operand(op, 1)), *y = &l->outputs[0];
    quant_format format = {.kind = QUANT_DENSE};
    if (table->type->kind == IR_WEIGHT && !quant_format_parse(table->type->format, &format)) {
        diagnostic_error(l->context->diagnostics, op->where,
                         "rows of a weight in several formats (%s) cannot be read by number; give "
                         "this one a format of its own",
                         table->type->format);
        return false;
    }
    plane_table planes = {0};
    ir_value *scratch = NULL;
    if (format.planes && is_native(l->context))
        scratch = native_row_scratch(l, table->type);
    else if (quant_looks_up(&format))
        planes = unpack_table(l, table, &format);
    ir_value *zero = low_index(l, 0), *one = low_index(l, 1);
    ir_value *last = low_sub(l, low_dim(l, table->type->dims[0]), one);
    low_loop rows;
    low_shared_begin(l, &rows, low_row_count(l, y->type), "turns");
    ir_value *index = low_to_index(l, low_load(l, indices->buffer, zero, rows.counter));
    low_check_range(l, index, last, "index beyond the table's rows");
    if (scratch) {
        copy_row(l, native_weight_row(l, table, index, scratch), zero, y, rows.counter);
    } else if (format.kind == QUANT_BYTES) {
        scale_row(l, table, &format, index, y, rows.counter);
    } else if (format.planes) {
        unpack_row(l, &planes, index);
        copy_row(l, planes.values, zero, y, rows.counter);
    } else {
        ir_value *columns = low_dim(l, low_columns(y->type));
        copy_row(l, table->buffer, low_mul(l, index, columns), y, rows.counter);
    }
    low_loop_end(l, &rows, NULL);
    return true;
}
