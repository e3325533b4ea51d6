// Lookups of one depth tile: its planes and tables are loaded, once for all its slices, and each
// piece of a format adds its own to an accumulator.
#include "compiler/passes/lower/contract_internal.h"

#include <string.h>

tile_kind low_accumulator_kind(const ir_type *table)
{
    return table->scalar == SCALAR_F16 ? TILE_F32 : TILE_I32;
}

// One lmma: of a piece in a slice, or of a plane of codes.
typedef struct lookup {
    const char *form, *slice;
    ir_value *entries, *high; // high: the second tile of a full table of 16-bit entries, or NULL
    unsigned n_planes;
    ir_value *const *planes;
} lookup;

static ir_value *accumulate(lowering *l, const contraction *c, ir_value *accumulator,
                            const lookup *x)
{
    ir_value *operands[3 + 8] = {x->entries, x->high, accumulator};
    for (unsigned i = 0; i < x->n_planes; i++)
        operands[3 + i] = x->planes[i];
    const ir_type *type = ir_type_tile(l->module, low_accumulator_kind(c->table));
    ir_op *op = ir_build(&l->at, IR_XLUT_MMA, 3 + x->n_planes, operands, 1, &type);
    ir_set_name(op, "entry", scalar_rows[c->table->scalar].name);
    if (strcmp(x->form, "planes") != 0)
        ir_set_name(op, "form", x->form);
    if (c->one_row)
        ir_set_name(op, "rows", "one");
    if (strcmp(x->slice, "all") != 0)
        ir_set_name(op, "slice", x->slice);
    return ir_result(op, 0);
}

static const char *slice_name(depth_slice s)
{
    static const char *const halves[] = {"half0", "half1"};
    static const char *const quarters[] = {"quarter0", "quarter1", "quarter2", "quarter3"};
    return s.count == QUARTERS ? "all" : s.count == 2 ? halves[s.first / 2] : quarters[s.first];
}

static bool is_used(const piece_list *pieces, unsigned plane)
{
    for (unsigned i = 0; i < pieces->count; i++) {
        const piece *p = &pieces->items[i];
        if (plane >= p->first && plane < p->first + p->planes)
            return true;
    }
    return false;
}

static void load_planes(lowering *l, const contraction *c, unsigned column, ir_value *offset,
                        ir_value **planes)
{
    for (unsigned i = 0; i < c->format.planes; i++) {
        if (!is_used(&c->pieces, i))
            continue;
        ir_value *at = low_add(l, offset, low_index(l, i * c->geometry.plane_bytes));
        ir_value *bytes =
            low_bytes(l, c->stream[column], low_index(l, 0), at, c->geometry.plane_bytes);
        planes[i] = low_tile_load(l, TILE_PLANE, bytes, false);
    }
}

tile_operands load_tile(lowering *l, const contraction *c, ir_value *tile, ir_value *offset)
{
    tile_operands loaded = {.tile = tile};
    if (c->constant_plane) {
        loaded.plane[0][0] = c->constant_plane;
        return loaded;
    }
    for (unsigned i = 0; i < c->column_tiles; i++)
        load_planes(l, c, i, offset, loaded.plane[i]);
    return loaded;
}

static ir_value *table_at(lowering *l, const contraction *c, unsigned row_tile,
                          tile_operands *loaded, unsigned part)
{
    ir_value **table = &loaded->table[row_tile][part];
    int64_t bytes = table_entry_bytes(l, c->table), size = bytes / c->table->parts;
    if (*table)
        return *table;
    ir_value *row = low_add(l, c->row_tile, low_index(l, row_tile));
    ir_value *at =
        low_add(l, low_mul(l, loaded->tile, low_index(l, bytes)), low_index(l, part * size));
    *table = low_tile_load(l, TILE_TABLE, low_bytes(l, c->tables, row, at, size),
                           c->table->scalar == SCALAR_I8);
    return *table;
}

// The codes of one plane: each has a full table of its own.
static ir_value *look_up_codes(lowering *l, const contraction *c, unsigned plane, unsigned j,
                               tile_operands *loaded, ir_value *accumulator, const char *slice)
{
    int64_t size = book_table_bytes(l, c->table), wide = size > l->tile_bytes;
    ir_value *row = low_add(l, c->row_tile, low_index(l, row_of(c, j))), *tile[2] = {NULL};
    ir_value *at =
        low_add(l, low_mul(l, loaded->tile, low_index(l, table_entry_bytes(l, c->table))),
                low_index(l, plane * size));
    for (int64_t i = 0; i <= wide; i++) {
        ir_value *from = low_add(l, at, low_index(l, i * l->tile_bytes));
        tile[i] =
            low_tile_load(l, TILE_TABLE, low_bytes(l, c->tables, row, from, l->tile_bytes), false);
    }
    const lookup x = {.form = "full",
                      .slice = slice,
                      .entries = tile[0],
                      .high = tile[1],
                      .n_planes = 1,
                      .planes = &loaded->plane[column_of(c, j)][plane]};
    return accumulate(l, c, accumulator, &x);
}

// Each plane of a codebook covers its part of the depth: a quarter, or with codes of 2 bits a half.
static ir_value *look_up_booked(lowering *l, const contraction *c, const piece *p, unsigned j,
                                tile_operands *loaded, ir_value *accumulator, depth_slice slice)
{
    const int64_t covered = QUARTERS / p->planes;
    for (int64_t q = slice.first; q < slice.first + slice.count; q += covered) {
        const char *part = slice.count >= covered ? "all" : q % covered ? "half1" : "half0";
        accumulator =
            look_up_codes(l, c, p->first + (unsigned)(q / covered), j, loaded, accumulator, part);
    }
    return accumulator;
}

ir_value *look_up(lowering *l, const contraction *c, const piece *p, unsigned result,
                  tile_operands *loaded, ir_value *accumulator, depth_slice slice)
{
    if (p->form == QUANT_BOOKED)
        return look_up_booked(l, c, p, result, loaded, accumulator, slice);
    const lookup x = {.form = p->form == QUANT_EQUAL ? "ternary" : "planes",
                      .slice = slice_name(slice),
                      .entries = table_at(l, c, row_of(c, result), loaded, p->part),
                      .n_planes = p->planes,
                      .planes = loaded->plane[column_of(c, result)] + p->first};
    return accumulate(l, c, accumulator, &x);
}
