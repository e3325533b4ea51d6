// Mixed-precision matrix products through tables. For a block of row tiles, the
// column tiles are swept once: of a block of column tiles each product contracts its weight
// stream with the block's tables, then the epilogue runs on the block, and makes tables of it.
#include "compiler/passes/lower/mpgemm.h"
#include "compiler/passes/lower/native.h"
#include "compiler/passes/table_blocks.h"
#include "compiler/quant/mix.h"
#include "compiler/schedule/schedule.h"

static bool describe(mpgemm *k)
{
    lowering *l = k->l;
    k->n_products = kernel_products(l, IR_LUT_MPGEMM, &k->products);
    k->weights = arena_alloc_array(l->arena, k->n_products, sizeof *k->weights);
    pack_shape shape = {(unsigned)l->m, (unsigned)l->n};
    for (unsigned i = 0; i < k->n_products; i++) {
        const ir_type *w = ir_operand(k->products[i].op, 1)->type;
        pack_mix *p = &k->weights[i].packed;
        k->columns = w->dims[0].value;
        if (!pack_mix_named(w->format, w->dims[0].value, w->dims[1].value, shape, p)) {
            diagnostic_error(l->context->diagnostics, k->products[i].op->where,
                             "weights of format %s cannot be packed for tile m%u n%u", w->format,
                             shape.tile_m, shape.tile_n);
            return false;
        }
        const ir_type *table = ir_operand(k->products[i].op, 0)->type;
        for (unsigned part = 0; part < p->mix.n_parts; part++) {
            k->weights[i].pieces[part] = pieces_of(&p->mix.parts[part].format, table);
            prepare_pieces(l, &k->weights[i].pieces[part]);
        }
        if (quant_is_mixed(&p->mix) && k->n_products > 1) {
            diagnostic_error(
                l->context->diagnostics, k->products[i].op->where,
                "products of weights in several formats (%s) have kernels of their own", w->format);
            return false;
        }
    }
    return true;
}

// Column tiles whose results fit the registers beside each other: those of the block, or one.
static unsigned columns_at_once(const mpgemm *k, const row_range *r, unsigned size)
{
    const machine *target = k->l->context->machine;
    bool waits = pass_is_disabled(k->l->context, "overlap");
    bool fit =
        r->tiles * size <= MOST_RESULTS &&
        schedule_registers(target, k->l->kernel, r->tiles, size, waits) <= ISA_TILE_REGISTERS;
    return fit ? size : 1;
}

static bool needs_epilogue(const mpgemm *k, const row_range *r)
{
    const ir_op *yield = k->l->region->last;
    for (unsigned i = 0; i < k->n_products; i++) {
        if (!(r->whole || r->one_row) || !product_direct_output(k->l, k->products[i].op))
            return true;
    }
    for (unsigned i = 0; i < yield->n_operands; i++) {
        if (ir_operand(yield, i)->type->kind == IR_TABLE)
            return true;
    }
    return false;
}

// Of row tile `tile` of the block, or of the whole block where it has no tables.
static epilogue epilogue_of(const mpgemm *k, const row_range *r, ir_value *tile)
{
    lowering *l = k->l;
    ir_value *m = low_index(l, l->m);
    epilogue e = {.products = k->products,
                  .n_products = k->n_products,
                  .first_row = low_mul(l, low_add(l, r->tile, tile), m),
                  .block_row = low_mul(l, tile, m),
                  .rows = k->panels.count && r->whole ? m : r->rows,
                  .direct = r->whole || r->one_row,
                  .panels = &k->panels};
    return e;
}

// Row tile by row tile, so that what becomes tables stays near.
static bool build_tables(mpgemm *k, const row_range *r, epilogue *e, ir_value *tile,
                         depth_range depth, int64_t columns)
{
    lowering *l = k->l;
    lower_epilogue(l, e);
    if (columns % l->depth)
        table_panels_pad(l, &k->panels, e->block_row, columns, depth.count * l->depth);
    if (!r->whole && !r->one_row)
        table_panels_clear(l, &k->panels, r->rows, low_index(l, l->m));
    table_block b = {.row_tile = low_add(l, r->tile, tile),
                     .row_tiles = low_index(l, 1),
                     .row = e->block_row,
                     .depth = depth,
                     .one_row = r->one_row};
    return lower_table_block(l, &k->panels, &b);
}

// `wide`: the columns that the tiles have, where the kernel builds tables.
static bool build_epilogue(mpgemm *k, const row_range *r, ir_value *first_tile, unsigned tiles,
                           int64_t wide)
{
    lowering *l = k->l;
    int64_t span = tiles * l->n;
    bool loops = k->panels.count && r->tiles > 1;
    ir_value *first = low_mul(l, first_tile, low_index(l, l->n)), *columns = low_index(l, span);
    if (k->columns % l->n)
        columns = low_min(l, columns, low_sub(l, low_index(l, k->columns), first));
    depth_range depth = {low_mul(l, first_tile, low_index(l, l->n / l->depth)),
                         (wide + l->depth - 1) / l->depth};
    ir_value *tile = low_index(l, 0);
    low_loop rows;
    if (loops) {
        low_for_begin(l, &rows, tile, low_index(l, r->tiles), low_index(l, 1), 0, NULL);
        tile = rows.counter;
    }
    epilogue e = epilogue_of(k, r, tile);
    e.first_column = first;
    e.columns = columns;
    bool good = true;
    if (k->panels.count)
        good = build_tables(k, r, &e, tile, depth, wide);
    else
        lower_epilogue(l, &e);
    if (loops)
        low_loop_end(l, &rows, NULL);
    return good;
}

// `size` column tiles of a part from `first` on.
static bool build_block(mpgemm *k, const row_range *r, unsigned part, ir_value *first,
                        unsigned size, int64_t wide)
{
    lowering *l = k->l;
    unsigned count = columns_at_once(k, r, size);
    ir_value *number = low_part_tile(l, low_input(l, ir_operand(k->products[0].op, 1)),
                                     &k->weights[0].packed, part, first);
    column_tile at[MOST_COLUMN_TILES];
    for (unsigned i = 0; i < size; i++) {
        ir_value *next = low_index(l, i);
        at[i] = (column_tile){low_add(l, number, next), i, part, low_add(l, first, next)};
    }
    for (unsigned i = 0; i < size; i += count) {
        for (unsigned j = 0; j < k->n_products; j++)
            mpgemm_build_product(k, j, r, at + i, count);
    }
    return !r->depth.ends || !needs_epilogue(k, r) || build_epilogue(k, r, number, size, wide);
}

// The last block may have fewer column tiles: it is one of those that are shared all the same.
static bool build_part(mpgemm *k, const row_range *r, unsigned part)
{
    lowering *l = k->l;
    int64_t tiles = k->weights[0].packed.parts[part].tiles, size = k->column_block;
    int64_t wide = size * l->n, full = tiles / size;
    if (k->panels.count && full * wide > k->columns) // the last one has not all columns
        full--;
    int64_t rest = tiles - full * size;
    bool good = true;
    low_loop loop;
    low_if whole, last;
    low_shared_begin(l, &loop, low_index(l, full + (rest > 0)), "parts");
    ir_value *first = low_mul(l, loop.counter, low_index(l, size));
    if (full && rest)
        low_if_begin(l, &whole, low_compare(l, "lt", loop.counter, low_index(l, full)));
    if (full)
        good = build_block(k, r, part, first, (unsigned)size, wide);
    if (full && rest) {
        low_if_end(l, &whole);
        low_if_begin(l, &last, low_compare(l, "eq", loop.counter, low_index(l, full)));
    }
    if (rest)
        good = good && build_block(k, r, part, first, (unsigned)rest, k->columns - full * wide);
    if (full && rest)
        low_if_end(l, &last);
    low_loop_end(l, &loop, NULL);
    return good;
}

static bool build_depth(mpgemm *k, const row_range *r, depth_part depth)
{
    row_range part = *r;
    bool good = true;
    part.depth = depth;
    for (unsigned p = 0; p < k->weights[0].packed.mix.n_parts && good; p++)
        good = build_part(k, &part, p);
    return good;
}

// Blocks of row tiles part of the depth by part, so that the tables of a part stay near from column
// tile to column tile.
static bool build_rows(mpgemm *k, const row_range *r)
{
    lowering *l = k->l;
    int64_t tiles = k->weights[0].packed.parts[0].geometry.depth_tiles, size = k->depth_block;
    ir_value *zero = low_index(l, 0);
    mpgemm_prepare_rows(k, r);
    if (!size || size >= tiles || r->tiles == 1 || r->tiles < k->row_block)
        return build_depth(k, r, (depth_part){zero, tiles, true, true});
    int64_t parts = (tiles + size - 1) / size, last = (parts - 1) * size;
    bool good = build_depth(k, r, (depth_part){zero, size, true, false});
    if (parts > 2) {
        low_loop loop;
        low_for_begin(l, &loop, low_index(l, 1), low_index(l, parts - 1), low_index(l, 1), 0, NULL);
        ir_value *first = low_mul(l, loop.counter, low_index(l, size));
        good = good && build_depth(k, r, (depth_part){first, size, false, false});
        low_loop_end(l, &loop, NULL);
    }
    return good && build_depth(k, r, (depth_part){low_index(l, last), tiles - last, false, true});
}

// Blocks of `size` row tiles from *done on.
static bool build_blocks(mpgemm *k, unsigned size, ir_value *tiles, ir_value **done)
{
    lowering *l = k->l;
    ir_value *block = low_index(l, size);
    ir_value *blocks = low_div(l, low_sub(l, tiles, *done), block);
    low_loop loop;
    low_for_begin(l, &loop, low_index(l, 0), blocks, low_index(l, 1), 0, NULL);
    row_range r = {low_add(l, *done, low_mul(l, loop.counter, block)), size,
                   low_index(l, size * l->m), true, l->m == 1 && size == 1};
    bool good = build_rows(k, &r);
    low_loop_end(l, &loop, NULL);
    *done = low_add(l, *done, low_mul(l, blocks, block));
    return good;
}

// Whole blocks of row tiles, then those that are left in smaller ones, then the rows of a last
// partial tile.
static bool build_ranges(mpgemm *k, int64_t most_rows)
{
    lowering *l = k->l;
    bool good = true;
    ir_value *m = low_index(l, l->m), *zero = low_index(l, 0);
    ir_value *tiles = low_div(l, l->rows, m), *done = zero;
    for (unsigned size = k->row_block; size > 0 && good;
         size = (unsigned)schedule_smaller_block(size))
        if (most_rows >= size * l->m)
            good = build_blocks(k, size, tiles, &done);
    ir_value *rest = low_rem(l, l->rows, m);
    int64_t known = -1;
    if (!good || (low_is_constant(rest, &known) && known == 0))
        return good;
    low_if branch;
    if (known < 0)
        low_if_begin(l, &branch, low_compare(l, "gt", rest, zero));
    row_range r = {tiles, 1, rest, false, l->m == 2};
    good = build_rows(k, &r);
    if (known < 0)
        low_if_end(l, &branch);
    return good;
}

static bool choose_column_block(mpgemm *k)
{
    lowering *l = k->l;
    int64_t wish = ir_integer(l->kernel, "column_block"), least = 1;
    if (!check_table_blocks(l->context, l->kernel, &least))
        return false;
    if (wish % least || wish > MOST_COLUMN_TILES) {
        diagnostic_error(l->context->diagnostics, l->kernel->where,
                         "column_block %lld: expected a multiple of %lld, which its tables need, "
                         "up to %d, or 0 to leave it open",
                         (long long)wish, (long long)least, MOST_COLUMN_TILES);
        return false;
    }
    k->column_block = (unsigned)(wish ? wish : least);
    bool parted = k->columns % l->n && k->panels.count;
    if ((k->column_block == 1 && !parted) || !quant_is_mixed(&k->weights[0].packed.mix))
        return true;
    diagnostic_error(l->context->diagnostics, l->kernel->where,
                     "column_block %u: column tiles of a weight in several formats are taken one "
                     "by one",
                     k->column_block);
    return false;
}

static bool check_depth_block(const mpgemm *k)
{
    const int64_t step = schedule_depth_step(k->l->context->machine, k->l->kernel);
    if (!k->depth_block || (step > 0 && k->depth_block > 0 && k->depth_block % step == 0))
        return true;
    diagnostic_error(k->l->context->diagnostics, k->l->kernel->where,
                     step ? "depth_block %lld: expected a multiple of %lld depth tiles, or 0 to "
                            "take the whole depth at once"
                          : "depth_block %lld: the depth of codebooks and of weights in several "
                            "formats is taken at once",
                     (long long)k->depth_block, (long long)step);
    return false;
}

// Panels of what becomes tables: of a product that keeps its type, its block of results, else one
// that the epilogue fills row tile by row tile.
static void prepare_panels(mpgemm *k)
{
    lowering *l = k->l;
    for (unsigned i = 0; i < k->panels.count; i++) {
        table_panel *panel = &k->panels.items[i];
        scalar_type t = panel->value->type->scalar;
        for (unsigned j = 0; j < k->n_products; j++) {
            product *p = &k->products[j];
            if (panel->value != &p->op->results[0] || product_stored_type(t) != t)
                continue;
            mpgemm_prepare_block(k, p);
            *panel = (table_panel){panel->value, p->block, true};
        }
    }
    table_panels_allocate(l, &k->panels, l->m, k->column_block * l->n);
}

bool lower_mpgemm_kernel(lowering *l)
{
    if (is_native(l->context))
        return lower_native_mpgemm(l);
    mpgemm k = {.l = l};
    if (!describe(&k))
        return false;
    const ir_type *table = ir_operand(k.products[0].op, 0)->type;
    int64_t block = ir_integer(l->kernel, "row_block");
    if (block < 0 || block > ISA_TILE_REGISTERS) {
        diagnostic_error(
            l->context->diagnostics, l->kernel->where,
            "row_block %lld: expected 1 to %d row tiles per sweep, or 0 to leave it open",
            (long long)block, ISA_TILE_REGISTERS);
        return false;
    }
    k.row_block = block ? (unsigned)block : 1;
    k.depth_block = ir_integer(l->kernel, "depth_block");
    k.panels = table_panels_of(l);
    if (!check_depth_block(&k) || !choose_column_block(&k))
        return false;
    l->rows = low_row_count(l, table);
    prepare_panels(&k);
    return build_ranges(&k, graph_rows(table));
}
