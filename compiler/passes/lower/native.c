// Products on CPUs: prepared rows of activations, blocks of 64 columns, epilogues behind them.
#include "compiler/passes/lower/native.h"
#include "compiler/passes/lower/epilogue.h"
#include "compiler/quant/columns.h"
#include "compiler/quant/mix.h"

#include <assert.h>

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
    if (table->multiplied)
        return ACTIVATION_BYTES;
    return table->scalar == SCALAR_I8 ? ACTIVATION_LOOKUPS : ACTIVATION_FLOATS;
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
    pack_mix *weights; // of each; several products have as many blocks, and one part
    unsigned count;
    int64_t columns; // N
    bool together;   // blocks that stand beside each other
} native_product;

// Blocks of columns of a part: the first one's place among them, and in the matrix.
typedef struct native_block {
    unsigned part;
    ir_value *place, *number, *count;
} native_block;

// A learned codebook, which stands in front of the weights; NULL: there is none.
static ir_value *book_of(lowering *l, const place *weight, const quant_format *f)
{
    if (!f->codebook || !f->codebook->learned)
        return NULL;
    ir_value *zero = low_index(l, 0);
    ir_dim dims[1] = {ir_dim_constant(QUANT_BOOK)};
    return low_view(l, weight->buffer, zero, zero, ir_type_buffer(l->module, SCALAR_F32, 1, dims));
}

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

// Results that are only yielded go where they belong, if blocks of columns fill it.
static const place *direct_output(native_product *k)
{
    const ir_op *op = k->products[0].op;
    bool alone = k->count == 1 && k->l->region->last->n_operands == 1;
    bool whole = op->results[0].type->scalar == SCALAR_F32 && k->columns % COLUMN_BLOCK == 0;
    return alone && whole ? product_direct_output(k->l, op) : NULL;
}

static bool stands_beside(const pack_part *part)
{
    return part->geometry.beside > 1;
}

// The block's stream; all of them, where blocks stand beside each other.
static ir_value *stream_of(native_product *k, const pack_part *part, const place *weight,
                           const native_block *b)
{
    lowering *l = k->l;
    const int64_t size = part->geometry.column_tile_bytes;
    ir_value *zero = low_index(l, 0), *at = low_index(l, part->at);
    if (stands_beside(part))
        return low_bytes(l, weight->buffer, zero, at, part->tiles * size);
    at = low_add(l, low_mul(l, b->place, low_index(l, size)), at);
    return low_bytes(l, weight->buffer, zero, at, size);
}

// Results of a row's blocks are as large as those of a block's rows.
static ir_value *results_of(native_product *k, unsigned i, ir_value *row)
{
    ir_value *block = k->products[i].block;
    return low_view(k->l, block, row, low_index(k->l, 0), block->type);
}

// The results begin in row `block_row` of the product's block.
static void multiply(native_product *k, unsigned i, const native_block *b, ir_value *block_row,
                     ir_value *first_row, ir_value *rows)
{
    lowering *l = k->l;
    const product *p = &k->products[i];
    const pack_part *part = &k->weights[i].parts[b->part];
    const quant_format *format = &k->weights[i].mix.parts[b->part].format;
    const place *table = &l->inputs[ir_operand(p->op, 0)->index];
    const place *weight = &l->inputs[ir_operand(p->op, 1)->index];
    ir_value *zero = low_index(l, 0);
    l->at.where = p->op->where;
    ir_value *stream = stream_of(k, part, weight, b);
    ir_value *entries = low_bytes(l, table->buffer, first_row, zero, native_row(table->type).bytes);
    const place *output = direct_output(k);
    ir_value *block = results_of(k, i, block_row), *to = block;
    if (output)
        to = low_view(l, output->buffer, first_row,
                      low_mul(l, b->number, low_index(l, COLUMN_BLOCK)), p->block->type);
    const bool beside = stands_beside(part);
    ir_value *operands[9] = {entries,
                             stream,
                             to,
                             rows,
                             block,
                             scales_of(k, p->op, first_row),
                             book_of(l, weight, format),
                             beside ? b->place : NULL,
                             beside ? b->count : NULL};
    unsigned n = 9;
    while (!operands[n - 1])
        n--;
    ir_op *op = ir_build(&l->at, IR_NATIVE_MULTIPLY, n, operands, 0, NULL);
    if (output)
        ir_set_integer(op, "stride", k->columns * (int64_t)sizeof(float));
    if (beside)
        ir_set_integer(op, "blocks", part->tiles);
    ir_set_text(op, "format", format->name);
    ir_set_integer(op, "depth", weight->type->dims[1].value);
    describe_activations(op, table->type);
    if (table->type->scalar == SCALAR_I16)
        ir_set_boolean(op, "integers", true);
}

// The blocks that are taken at once: in turn, or together.
static native_block begin_blocks(native_product *k, const native_block *all, low_loop *each)
{
    lowering *l = k->l;
    ir_value *size = k->together ? all->count : low_index(l, 1);
    low_for_begin(l, each, low_index(l, 0), all->count, size, 0, NULL);
    return (native_block){.part = all->part,
                          .place = low_add(l, all->place, each->counter),
                          .number = low_add(l, all->number, each->counter),
                          .count = size};
}

static void finish(native_product *k, const native_block *b, ir_value *block_row,
                   ir_value *first_row, ir_value *rows)
{
    lowering *l = k->l;
    ir_value *size = low_index(l, COLUMN_BLOCK), *first = low_mul(l, b->number, size);
    ir_value *width = low_mul(l, b->count, size);
    if (k->columns % COLUMN_BLOCK)
        width = low_min(l, width, low_sub(l, low_index(l, k->columns), first));
    epilogue e = {.products = k->products,
                  .n_products = k->count,
                  .first_row = first_row,
                  .rows = rows,
                  .block_row = block_row,
                  .first_column = first,
                  .columns = width};
    lower_epilogue(l, &e);
}

// One product after the other, so that their weights are read as they lie in memory: wherever a
// CPU begins to read elsewhere, it is slow for the first 12 KB.
static void build_block(native_product *k, const native_block *all, ir_value *first_row,
                        ir_value *rows)
{
    low_loop each;
    for (unsigned i = 0; i < k->count; i++) {
        native_block b = begin_blocks(k, all, &each);
        multiply(k, i, &b, each.counter, first_row, rows);
        low_loop_end(k->l, &each, NULL);
    }
    if (direct_output(k))
        return;
    native_block b = begin_blocks(k, all, &each);
    finish(k, &b, each.counter, first_row, rows);
    low_loop_end(k->l, &each, NULL);
}

// All rows, as many as a call takes at a time.
static void build_rows(native_product *k, const native_block *b)
{
    lowering *l = k->l;
    ir_value *rows = l->rows, *most = low_index(l, BLOCK_ROWS);
    low_loop parts;
    low_for_begin(l, &parts, low_index(l, 0), rows, most, 0, NULL);
    build_block(k, b, parts.counter, low_min(l, most, low_sub(l, rows, parts.counter)));
    low_loop_end(l, &parts, NULL);
}

// Of one row `most` blocks at a time, of several rows one.
static ir_value *blocks_at_once(lowering *l, int64_t most)
{
    ir_value *one = low_index(l, 1);
    ir_value *several = low_min(l, low_sub(l, l->rows, one), one);
    return low_sub(l, low_index(l, most), low_mul(l, several, low_index(l, most - 1)));
}

// The blocks of a part: those of all columns, where the matrix has one format.
static void build_part(native_product *k, unsigned part, ir_value *first_row, ir_value *rows)
{
    lowering *l = k->l;
    const pack_mix *mix = &k->weights[0];
    const place *weight = &l->inputs[ir_operand(k->products[0].op, 1)->index];
    ir_value *step = mix->map_bytes ? low_index(l, 1) : blocks_at_once(l, BLOCK_ROWS), *bounds[2];
    low_loop columns;
    low_cuts_begin(l, &columns, low_index(l, mix->parts[part].tiles), step, bounds);
    native_block b = {.part = part,
                      .place = bounds[0],
                      .number = low_part_tile(l, weight, mix, part, bounds[0]),
                      .count = low_sub(l, bounds[1], bounds[0])};
    if (mix->map_bytes) // CPUs protect nobody from what a damaged file says
        low_check_range(l, b.number, low_index(l, mix->tiles - 1),
                        "a block of weights beyond the matrix");
    build_block(k, &b, first_row, rows);
    low_loop_end(l, &columns, columns.carried);
}

// Products of the best level take weights apart in registers; others do so once for all rows.
static bool keeps_no_panel(const lowering *l)
{
    const target_level *const *level = l->context->target->levels;
    while (level[1])
        level++;
    return (*level)->dot == DOT_VNNI;
}

// How many rows meet all columns before others do: without a panel five or six blocks of rows,
// which bring all of the next block's weights closer and stay in the second cache.
static int64_t rows_together(const native_product *k)
{
    enum { WHOLE = 60 }; // blocks of 10 or 12
    const ir_op *op = k->products[0].op;
    const ir_type *table = k->l->inputs[ir_operand(op, 0)->index].type;
    bool bytes = native_form(table) == ACTIVATION_BYTES;
    return bytes && keeps_no_panel(k->l) ? WHOLE : BLOCK_ROWS;
}

// `each` rows at a time: what is left behind them, fewer than that, joins the last ones, but for
// more than `most`.
static void build_parts(native_product *k)
{
    lowering *l = k->l;
    const int64_t each = rows_together(k);
    const int64_t most = 2 * each <= BLOCK_ROWS ? 2 * each - 1 : BLOCK_ROWS;
    ir_value *one = low_index(l, 1), *others = low_sub(l, l->rows, one);
    ir_value *behind = low_min(l, others, low_index(l, most - each)); // no rows begin there
    ir_value *end = low_min(l, l->rows, low_sub(l, l->rows, behind));
    low_loop rows;
    low_for_begin(l, &rows, low_index(l, 0), end, low_index(l, each), 0, NULL);
    ir_value *left = low_sub(l, l->rows, rows.counter), *some = low_index(l, each);
    ir_value *last = low_compare(l, "le", left, low_index(l, most));
    ir_value *count = ir_build1(&l->at, IR_SELECT, left->type, last, left, some);
    for (unsigned part = 0; part < k->weights[0].mix.n_parts; part++)
        build_part(k, part, rows.counter, count);
    low_loop_end(l, &rows, NULL);
}

// Blocks beside each other, of one row: all of them at once, so that each span of its tables meets
// all of their columns.
static void build_beside(native_product *k)
{
    static_assert((int)COLUMN_BESIDE <= (int)BLOCK_ROWS, "a row's results fit in the block");
    lowering *l = k->l;
    ir_value *bounds[2];
    low_loop columns;
    low_cuts_begin(l, &columns, low_index(l, k->weights[0].tiles), blocks_at_once(l, COLUMN_BESIDE),
                   bounds);
    ir_value *count = low_sub(l, bounds[1], bounds[0]);
    build_rows(k, &(native_block){.place = bounds[0], .number = bounds[0], .count = count});
    low_loop_end(l, &columns, columns.carried);
}

static bool all_beside(const native_product *k)
{
    bool all = true;
    for (unsigned i = 0; i < k->count; i++)
        all = all && stands_beside(&k->weights[i].parts[0]);
    return all;
}

bool lower_native_mpgemm(lowering *l)
{
    native_product k = {.l = l};
    k.count = kernel_products(l, IR_LUT_MPGEMM, &k.products);
    k.weights = ARENA_ARRAY(l->arena, pack_mix, k.count);
    for (unsigned i = 0; i < k.count; i++) {
        const ir_type *w = ir_operand(k.products[i].op, 1)->type;
        k.columns = w->dims[0].value;
        k.products[i].block = low_scratch(l, SCALAR_F32, BLOCK_ROWS, COLUMN_BLOCK);
        if (!pack_mix_named(w->format, k.columns, w->dims[1].value, pass_pack_shape(l->context),
                            &k.weights[i]))
            INTERNAL_ERROR("weight format '%s' reached the lowering", w->format);
    }
    l->rows = low_row_count(l, ir_operand(k.products[0].op, 0)->type);
    k.together = all_beside(&k);
    (k.together ? build_beside : build_parts)(&k);
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
    pack_geometry g;
    ir_value *zero = low_index(l, 0), *size = low_index(l, COLUMN_BLOCK);
    quant_format_parse(table->type->format, &format);
    pack_geometry_of(&format, table->type->dims[0].value, table->type->dims[1].value,
                     pass_pack_shape(l->context), &g);
    const bool beside = g.beside > 1;
    ir_value *start = low_index(l, g.book_bytes), *column = index;
    if (!beside) {
        start = low_add(l, low_mul(l, low_div(l, index, size), low_index(l, g.column_tile_bytes)),
                        start);
        column = low_rem(l, index, size);
    }
    const int64_t bytes = g.column_tile_bytes * (beside ? g.column_tiles : 1);
    ir_value *operands[4] = {low_bytes(l, table->buffer, zero, start, bytes), column, scratch,
                             book_of(l, table, &format)};
    ir_op *op = ir_build(&l->at, IR_NATIVE_UNPACK, operands[3] ? 4 : 3, operands, 0, NULL);
    if (beside)
        ir_set_integer(op, "blocks", g.column_tiles);
    ir_set_text(op, "format", table->type->format);
    ir_set_integer(op, "depth", table->type->dims[1].value);
    return scratch;
}
