// Products on CPUs: prepared rows of activations, blocks of 64 columns, epilogues behind them.
#include "compiler/passes/lower/native.h"
#include "compiler/passes/lower/epilogue.h"
#include "compiler/quant/columns.h"

enum { BLOCK_ROWS = 128 }; // of activations at once, PRODUCT_ROWS of code generation

pack_shape pass_pack_shape(const pass_context *c)
{
    if (is_native(c))
        return (pack_shape){0, COLUMN_BLOCK};
    return (pack_shape){c->machine->tile_m, c->machine->tile_n};
}

// ---------------------------------------------------------------------- tables

activation_form native_form(const ir_type *table)
{
    if (table->scalar == SCALAR_F16)
        return ACTIVATION_FLOATS;
    return table->scalar == SCALAR_I16 || table->multiplied ? ACTIVATION_BYTES : ACTIVATION_LOOKUPS;
}

int64_t native_scale_group(const ir_type *table)
{
    return table->scale == TABLE_SCALE_GROUP ? table->group : 0;
}

activation_row native_row(const ir_type *table)
{
    return activation_row_of(native_form(table), low_columns(table).value,
                             native_scale_group(table), table->sums);
}

static void describe_activations(ir_op *op, const ir_type *table)
{
    ir_set_name(op, "form", activation_form_names[native_form(table)]);
    if (native_scale_group(table))
        ir_set_integer(op, "group", native_scale_group(table));
    if (table->sums)
        ir_set_integer(op, "sums", table->sums);
}

bool lower_native_table(lowering *l, const place *table, const table_source *s, ir_value *row)
{
    ir_value *zero = low_index(l, 0);
    ir_dim columns[1] = {ir_dim_constant(native_row(table->type).padded)};
    ir_value *from = low_view(l, s->activations, s->first_row, zero,
                              ir_type_buffer(l->module, s->scalar, 1, columns));
    ir_value *operands[2] = {from,
                             low_bytes(l, table->buffer, row, zero, native_row(table->type).bytes)};
    ir_op *op = ir_build(&l->at, IR_NATIVE_PREPARE, 2, operands, 0, NULL);
    ir_set_integer(op, "columns", s->columns);
    describe_activations(op, table->type);
    return true;
}

// -------------------------------------------------------------------- products

typedef struct native_product {
    lowering *l;
    product *products;
    unsigned count;
    int64_t columns; // N
} native_product;

static ir_value *scales_of(native_product *k, const ir_op *op, ir_value *first_row)
{
    lowering *l = k->l;
    const ir_value *scale = ir_operand_named(op, "scale");
    if (!scale)
        return NULL;
    ir_dim dims[1] = {ir_dim_constant(1)};
    return low_view(l, l->inputs[scale->index].buffer, low_index(l, 0), first_row,
                    ir_type_buffer(l->module, SCALAR_F32, 1, dims));
}

static void multiply(native_product *k, const product *p, ir_value *block, ir_value *first_row,
                     ir_value *rows)
{
    lowering *l = k->l;
    const place *table = &l->inputs[ir_operand(p->op, 0)->index];
    const place *weight = &l->inputs[ir_operand(p->op, 1)->index];
    ir_value *zero = low_index(l, 0);
    quant_format format;
    column_geometry g;
    quant_format_parse(weight->type->format, &format);
    column_geometry_of(&format, k->columns, weight->type->dims[1].value, &g);
    l->at.where = p->op->where;
    ir_value *stream = low_bytes(l, weight->buffer, zero,
                                 low_mul(l, block, low_index(l, g.block_bytes)), g.block_bytes);
    ir_value *entries = low_bytes(l, table->buffer, first_row, zero, native_row(table->type).bytes);
    ir_value *operands[5] = {entries, stream, p->block, rows, scales_of(k, p->op, first_row)};
    ir_op *op = ir_build(&l->at, IR_NATIVE_MULTIPLY, operands[4] ? 5 : 4, operands, 0, NULL);
    ir_set_text(op, "format", weight->type->format);
    ir_set_integer(op, "depth", weight->type->dims[1].value);
    describe_activations(op, table->type);
}

static void build_block(native_product *k, ir_value *block, ir_value *first_row, ir_value *rows)
{
    lowering *l = k->l;
    ir_value *size = low_index(l, COLUMN_BLOCK), *first = low_mul(l, block, size), *width = size;
    if (k->columns % COLUMN_BLOCK)
        width = low_min(l, size, low_sub(l, low_index(l, k->columns), first));
    for (unsigned i = 0; i < k->count; i++)
        multiply(k, &k->products[i], block, first_row, rows);
    epilogue e = {.products = k->products,
                  .n_products = k->count,
                  .first_row = first_row,
                  .rows = rows,
                  .first_column = first,
                  .columns = width};
    lower_epilogue(l, &e);
}

bool lower_native_mpgemm(lowering *l)
{
    native_product k = {.l = l};
    k.count = kernel_products(l, IR_LUT_MPGEMM, &k.products);
    for (unsigned i = 0; i < k.count; i++) {
        k.columns = ir_operand(k.products[i].op, 1)->type->dims[0].value;
        k.products[i].block = low_scratch(l, SCALAR_F32, BLOCK_ROWS, COLUMN_BLOCK);
    }
    const ir_type *table = ir_operand(k.products[0].op, 0)->type;
    ir_value *rows = low_row_count(l, table), *most = low_index(l, BLOCK_ROWS);
    int64_t blocks = (k.columns + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
    low_loop columns, parts;
    low_shared_begin(l, &columns, low_index(l, blocks), "parts");
    low_for_begin(l, &parts, low_index(l, 0), rows, most, 0, NULL);
    ir_value *count = low_min(l, most, low_sub(l, rows, parts.counter));
    build_block(&k, columns.counter, parts.counter, count);
    low_loop_end(l, &parts, NULL);
    low_loop_end(l, &columns, NULL);
    return true;
}

// ----------------------------------------------------------------- single rows

ir_value *native_row_scratch(lowering *l, const ir_type *weight)
{
    int64_t k = weight->dims[1].value;
    return low_scratch(l, SCALAR_F32, 1,
                       (k + ACTIVATION_DEPTH - 1) / ACTIVATION_DEPTH * ACTIVATION_DEPTH);
}

ir_value *native_weight_row(lowering *l, const place *table, ir_value *index, ir_value *scratch)
{
    quant_format format;
    column_geometry g;
    ir_value *zero = low_index(l, 0), *size = low_index(l, COLUMN_BLOCK);
    quant_format_parse(table->type->format, &format);
    column_geometry_of(&format, table->type->dims[0].value, table->type->dims[1].value, &g);
    ir_value *start = low_mul(l, low_div(l, index, size), low_index(l, g.block_bytes));
    ir_value *operands[3] = {low_bytes(l, table->buffer, zero, start, g.block_bytes),
                             low_rem(l, index, size), scratch};
    ir_op *op = ir_build(&l->at, IR_NATIVE_UNPACK, 3, operands, 0, NULL);
    ir_set_text(op, "format", table->type->format);
    ir_set_integer(op, "depth", table->type->dims[1].value);
    return scratch;
}
