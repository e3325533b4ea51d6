// A product's part of a block: its weight stream is contracted with the block's tables, by parts of
// the depth where the block takes it so, and the results are stored.
#include "compiler/passes/lower/mpgemm.h"

// Copies the block's row scales next to each other; rows that do not exist get 0.
static void gather_row_scales(mpgemm *k, unsigned i, const row_range *r)
{
    lowering *l = k->l;
    if (!k->weights[i].row_scales)
        k->weights[i].row_scales = low_scratch(l, SCALAR_F32, k->row_block, l->m);
    ir_value *to = k->weights[i].row_scales, *zero = low_index(l, 0);
    ir_value *from = low_input(l, ir_operand_named(k->products[i].op, "scale"))->buffer;
    ir_value *first = low_mul(l, r->tile, low_index(l, l->m));
    low_loop rows;
    low_for_begin(l, &rows, zero, r->rows, low_index(l, 1), 0, NULL);
    low_store(l, low_load(l, from, zero, low_add(l, first, rows.counter)), to, zero, rows.counter);
    low_loop_end(l, &rows, NULL);
    if (r->whole)
        return;
    low_for_begin(l, &rows, r->rows, low_index(l, r->tiles * l->m), low_index(l, 1), 0, NULL);
    low_store(l, low_number(l, SCALAR_F32, 0), to, zero, rows.counter);
    low_loop_end(l, &rows, NULL);
}

static const place *place_of_sums(mpgemm *k, unsigned i)
{
    const ir_op *op = k->products[i].op;
    const ir_value *signs = ir_operand_named(op, "signs");
    return low_input(k->l, signs ? signs : ir_operand(op, 0));
}

// Offsets take sums of the activations' values: the table's integer sums times the row scales.
static void scale_sums(mpgemm *k, unsigned i, const row_range *r)
{
    lowering *l = k->l;
    const place *table = place_of_sums(k, i);
    int64_t sums = table_sum_count(l, table->type);
    if (!k->weights[i].scaled_sums)
        k->weights[i].scaled_sums = low_scratch(l, SCALAR_F32, k->row_block, sums * l->m);
    for (unsigned j = 0; j < r->tiles; j++) {
        low_loop rows, strip;
        low_for_begin(l, &rows, low_index(l, 0), low_index(l, l->m), low_index(l, 1), 0, NULL);
        ir_value *tile = low_index(l, j), *from = low_add(l, r->tile, tile);
        ir_value *scale = low_load(l, k->weights[i].row_scales, tile, rows.counter);
        low_strip_begin(l, &strip, low_index(l, sums), "f32", 0, NULL);
        ir_value *at = low_mul(l, strip.counter, low_index(l, l->m));
        at = low_add(l, at, rows.counter);
        ir_value *sum = low_vload(l, table->sums, from, at, l->m);
        ir_value *scaled = low_binary(l, IR_MUL, sum, low_broadcast(l, scale));
        low_vstore(l, scaled, k->weights[i].scaled_sums, tile, at, l->m);
        low_loop_end(l, &strip, NULL);
        low_loop_end(l, &rows, NULL);
    }
}

void mpgemm_prepare_rows(mpgemm *k, const row_range *r)
{
    for (unsigned i = 0; i < k->n_products; i++) {
        if (!ir_operand_named(k->products[i].op, "scale"))
            continue;
        gather_row_scales(k, i, r);
        if (k->weights[i].packed.mix.parts[0].format.offset)
            scale_sums(k, i, r);
    }
}

static void store_accumulator(lowering *l, ir_value *d, ir_value *to, int64_t stride,
                              ir_value *columns, bool one_row)
{
    ir_value *operands[4] = {d, to, one_row ? NULL : low_index(l, stride), columns};
    ir_op *op = ir_build(&l->at, IR_XLUT_STA, 4, operands, 0, NULL);
    ir_set_name(op, "type", scalar_rows[to->type->scalar].name);
}

void mpgemm_prepare_block(mpgemm *k, product *p)
{
    lowering *l = k->l;
    scalar_type t = product_stored_type(p->op->results[0].type->scalar);
    if (!p->block)
        p->block = low_scratch(l, t, k->row_block * l->m, k->column_block * l->n);
}

static void store_product(mpgemm *k, unsigned i, const row_range *r, ir_value *const *d,
                          const column_tile *at, ir_value *width)
{
    lowering *l = k->l;
    const place *out = r->whole || r->one_row ? product_direct_output(l, k->products[i].op) : NULL;
    scalar_type t = product_stored_type(k->products[i].op->results[0].type->scalar);
    int64_t row_elements = out ? k->columns : k->column_block * l->n, known;
    bool whole_width = !out || (low_is_constant(width, &known) && known == l->n);
    if (!out)
        mpgemm_prepare_block(k, &k->products[i]);
    for (unsigned j = 0; j < r->tiles; j++) {
        ir_value *row = low_index(l, j * l->m), *column = low_index(l, at->place * l->n);
        if (out) {
            row = low_mul(l, low_add(l, r->tile, low_index(l, j)), low_index(l, l->m));
            column = low_mul(l, at->number, low_index(l, l->n));
        }
        ir_dim dims[1] = {ir_dim_constant(l->n)};
        ir_value *to = low_view(l, out ? out->buffer : k->products[i].block, row, column,
                                ir_type_buffer(l->module, t, 1, dims));
        store_accumulator(l, d[j], to, row_elements * (int64_t)scalar_size(t),
                          whole_width ? NULL : width, r->one_row);
    }
}

// A codebook's plane has a table of its own: a contraction behind that of the codes.
static void contract(mpgemm *k, unsigned i, unsigned part, contraction *c, ir_value **d)
{
    const ir_value *signs = ir_operand_named(k->products[i].op, "signs");
    if (!signs) {
        lower_contraction(k->l, c, d);
        return;
    }
    c->pieces = pieces_of_term(&k->weights[i].pieces[part], 0);
    c->without_offsets = true;
    lower_contraction(k->l, c, d);
    const place *table = low_input(k->l, signs);
    c->table = table->type;
    c->tables = table->buffer;
    c->scales = table->scales;
    c->pieces = pieces_of_term(&k->weights[i].pieces[part], 1);
    c->without_offsets = false;
    lower_contraction(k->l, c, d);
}

// The columns that a tile has.
static ir_value *width_of(const mpgemm *k, ir_value *tile)
{
    lowering *l = k->l;
    ir_value *n = low_index(l, l->n);
    if (k->columns % l->n == 0)
        return n;
    return low_min(l, n, low_sub(l, low_index(l, k->columns), low_mul(l, tile, n)));
}

static ir_value *stream_of(mpgemm *k, unsigned i, const column_tile *tile)
{
    lowering *l = k->l;
    const pack_part *part = &k->weights[i].packed.parts[tile->part];
    int64_t bytes = part->geometry.column_tile_bytes;
    return low_bytes(
        l, low_input(l, ir_operand(k->products[i].op, 1))->buffer, low_index(l, 0),
        low_add(l, low_mul(l, tile->stream, low_index(l, bytes)), low_index(l, part->at)), bytes);
}

// Tiles that a column tile carries from one part of the depth to the next lie side by side.
static ir_value *partial_tile(mpgemm *k, unsigned i, const contraction *c, ir_value *column,
                              unsigned tile)
{
    lowering *l = k->l;
    int64_t each = contraction_carried(l, c) / c->column_tiles * l->tile_bytes;
    if (!k->weights[i].partial)
        k->weights[i].partial = low_scratch(l, SCALAR_U8, 1, k->weights[i].packed.tiles * each);
    ir_value *at =
        low_add(l, low_mul(l, column, low_index(l, each)), low_index(l, tile * l->tile_bytes));
    return low_bytes(l, k->weights[i].partial, low_index(l, 0), at, l->tile_bytes);
}

// True: results are there, the last part of the depth is done.
static bool contract_part(mpgemm *k, unsigned i, const row_range *r, contraction *c, ir_value **d,
                          const column_tile *at)
{
    lowering *l = k->l;
    unsigned n = contraction_carried(l, c);
    if (r->depth.begins && r->depth.ends) {
        contract(k, i, at->part, c, d);
        return true;
    }
    for (unsigned j = 0; j < n && !r->depth.begins; j++)
        d[j] = low_tile_load(l, contraction_carried_kind(l, c),
                             partial_tile(k, i, c, at->number, j), false);
    lower_contraction_part(l, c, d, &r->depth);
    for (unsigned j = 0; j < n && !r->depth.ends; j++)
        ir_build(&l->at, IR_XLUT_ST, 2, (ir_value *[]){d[j], partial_tile(k, i, c, at->number, j)},
                 0, NULL);
    return r->depth.ends;
}

void mpgemm_build_product(mpgemm *k, unsigned i, const row_range *r, const column_tile *at,
                          unsigned count)
{
    lowering *l = k->l;
    ir_op *op = k->products[i].op;
    const place *table = low_input(l, ir_operand(op, 0));
    const pack_part *part = &k->weights[i].packed.parts[at->part];
    contraction c = {.table = table->type,
                     .tables = table->buffer,
                     .scales = table->scales,
                     .sums = k->weights[i].scaled_sums ? k->weights[i].scaled_sums
                                                       : place_of_sums(k, i)->sums,
                     .row_scales = k->weights[i].row_scales,
                     .row_tile = r->tile,
                     .row_tiles = r->tiles,
                     .column_tiles = count,
                     .one_row = r->one_row,
                     .format = k->weights[i].packed.mix.parts[at->part].format,
                     .geometry = part->geometry,
                     .pieces = k->weights[i].pieces[at->part]};
    ir_value *d[MOST_RESULTS] = {NULL};
    l->at.where = op->where;
    for (unsigned j = 0; j < count; j++)
        c.stream[j] = stream_of(k, i, &at[j]);
    bool done = contract_part(k, i, r, &c, d, at);
    for (unsigned j = 0; j < count && done; j++)
        store_product(k, i, r, d + j * r->tiles, &at[j], width_of(k, at[j].number));
}
