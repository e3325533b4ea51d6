// The contraction over the depth: for each weight group, lookups into an integer or f32
// accumulator, then scaling into D. Shared by the mpgemm (weights from a packed stream) and
// by the sums for offsets (one constant plane of +1 with scale 1).
#include "compiler/passes/lower_contract.h"

enum { UNROLL = 4 }; // tiles or spans of up to this many are written out

const char *low_slice_name(int64_t parts, int64_t index)
{
    static const char *const halves[] = {"half0", "half1"};
    static const char *const quarters[] = {"quarter0", "quarter1", "quarter2", "quarter3"};
    return parts == 1 ? "all" : parts == 2 ? halves[index] : quarters[index];
}

ir_value *low_tile_load(lowering *l, tile_kind kind, ir_value *bytes, bool half)
{
    ir_value *t = ir_build1(&l->at, IR_XLUT_LD, ir_type_tile(l->module, kind), bytes, NULL, NULL);
    if (half)
        ir_set_boolean(t->op, "half", true);
    return t;
}

tile_kind low_accumulator_kind(const ir_type *table)
{
    return table->scalar == SCALAR_F16 ? TILE_F32 : TILE_I32;
}

ir_value *low_tile_zero(lowering *l, tile_kind kind)
{
    return ir_build1(&l->at, IR_XLUT_ZERO, ir_type_tile(l->module, kind), NULL, NULL, NULL);
}

ir_value *low_mma(lowering *l, const ir_type *table, ir_value *entries, ir_value *accumulator,
                  unsigned n_planes, ir_value *const *planes, const char *form, const char *slice,
                  bool one_row)
{
    ir_value *operands[2 + 8] = {entries, accumulator};
    for (unsigned i = 0; i < n_planes; i++)
        operands[2 + i] = planes[i];
    const ir_type *type = ir_type_tile(l->module, low_accumulator_kind(table));
    ir_op *op = ir_build(&l->at, IR_XLUT_MMA, 2 + n_planes, operands, 1, &type);
    ir_set_name(op, "entry", scalar_rows[table->scalar].name);
    if (form[0] != 'p')
        ir_set_name(op, "form", form);
    if (one_row)
        ir_set_name(op, "rows", "one");
    if (slice[0] != 'a')
        ir_set_name(op, "slice", slice);
    return ir_result(op, 0);
}

// ------------------------------------------------------------------- operands

typedef struct planes {
    ir_value *tile[8];
    unsigned count;
    const char *form;
} planes;

static planes load_planes(lowering *l, const contraction *c, ir_value *offset)
{
    planes p = {.count = 1, .form = "planes"};
    if (c->constant_plane) {
        p.tile[0] = c->constant_plane;
        return p;
    }
    p.count = c->format.planes;
    p.form = c->format.kind == QUANT_TERNARY ? "ternary" : "planes";
    for (unsigned i = 0; i < p.count; i++) {
        ir_value *at = low_add(l, offset, low_index(l, i * c->geometry.plane_bytes));
        ir_value *bytes = low_bytes(l, c->stream, low_index(l, 0), at, c->geometry.plane_bytes);
        p.tile[i] = low_tile_load(l, TILE_PLANE, bytes, false);
    }
    return p;
}

static ir_value *load_table(lowering *l, const contraction *c, unsigned j, ir_value *tile)
{
    int64_t bytes = table_entry_bytes(l, c->table);
    ir_value *row = low_add(l, c->row_tile, low_index(l, j));
    ir_value *at = low_mul(l, tile, low_index(l, bytes));
    return low_tile_load(l, TILE_TABLE, low_bytes(l, c->tables, row, at, bytes),
                         c->table->scalar == SCALAR_I8);
}

static ir_value *f32_view(lowering *l, ir_value *buffer, ir_value *row, ir_value *column)
{
    ir_dim dims[1] = {ir_dim_constant(l->m)};
    return low_view(l, buffer, row, column, ir_type_buffer(l->module, SCALAR_F32, 1, dims));
}

static bool scaled_by_slice(const contraction *c)
{
    return c->table->scale == TABLE_SCALE_SLICE;
}

// The scales of row tile j's rows at quarter `quarter` of table tile `tile`; NULL: they are 1.
static ir_value *table_scale_of(lowering *l, const contraction *c, unsigned j, ir_value *tile,
                                int64_t quarter)
{
    if (c->row_scales)
        return f32_view(l, c->row_scales, low_index(l, j), low_index(l, 0));
    if (!c->scales)
        return NULL;
    ir_value *index = low_index(l, 0); // a scale per row
    if (c->table->scale == TABLE_SCALE_GROUP)
        index = low_div(l, tile, low_index(l, low_scale_tiles(l, c->table)));
    if (scaled_by_slice(c))
        index = low_add(l, low_mul(l, tile, low_index(l, QUARTERS)), low_index(l, quarter));
    ir_value *row = low_add(l, c->row_tile, low_index(l, j));
    return f32_view(l, c->scales, row, low_mul(l, index, low_index(l, l->m)));
}

static ir_value *stream_numbers(lowering *l, const contraction *c, ir_value *offset)
{
    ir_dim dims[1] = {ir_dim_constant(l->n)};
    return low_view(l, c->stream, low_index(l, 0), offset,
                    ir_type_buffer(l->module, c->format.scale, 1, dims));
}

static ir_value *weight_scale(lowering *l, const contraction *c, ir_value *offset)
{
    return c->ones ? c->ones : stream_numbers(l, c, offset);
}

static const char *weight_scale_type(const contraction *c)
{
    return c->ones ? "f16" : scalar_rows[c->format.scale].name;
}

static void dequantize(lowering *l, const contraction *c, ir_value **d, ir_value *const *acc,
                       ir_value *tile, int64_t quarter, ir_value *scale_offset)
{
    ir_value *ws = weight_scale(l, c, scale_offset);
    for (unsigned j = 0; j < c->row_tiles; j++) {
        ir_value *operands[4] = {d[j], acc[j], ws, table_scale_of(l, c, j, tile, quarter)};
        const ir_type *type = ir_type_tile(l->module, TILE_F32);
        ir_op *op = ir_build(&l->at, IR_XLUT_DEQ, 4, operands, 1, &type);
        if (weight_scale_type(c)[1] != '1')
            ir_set_name(op, "scale", "f32");
        d[j] = ir_result(op, 0);
    }
}

static void add_offsets(lowering *l, const contraction *c, ir_value **d, ir_value *sum_index,
                        ir_value *offset)
{
    if (c->constant_plane || !c->format.offset)
        return;
    ir_value *v = stream_numbers(l, c, offset);
    for (unsigned j = 0; j < c->row_tiles; j++) {
        ir_value *row = low_index(l, j);
        if (!c->row_scales)
            row = low_add(l, c->row_tile, row);
        ir_value *u = f32_view(l, c->sums, row, low_mul(l, sum_index, low_index(l, l->m)));
        ir_value *out =
            ir_build1(&l->at, IR_XLUT_OFF, ir_type_tile(l->module, TILE_F32), d[j], u, v);
        if (c->format.scale == SCALAR_F32)
            ir_set_name(out->op, "offset", "f32");
        d[j] = out;
    }
}

// ---------------------------------------------------------------------- spans

// A loop that carries one tile per row tile: inside, `tiles` are the carried ones, behind it the
// results.
static void sweep_begin(lowering *l, const contraction *c, low_loop *loop, ir_value *count,
                        ir_value **tiles)
{
    low_for_begin(l, loop, low_index(l, 0), count, low_index(l, 1), c->row_tiles, tiles);
    for (unsigned j = 0; j < c->row_tiles; j++)
        tiles[j] = loop->carried[j];
}

static void sweep_end(lowering *l, const contraction *c, low_loop *loop, ir_value **tiles)
{
    low_loop_end(l, loop, tiles);
    for (unsigned j = 0; j < c->row_tiles; j++)
        tiles[j] = ir_result(loop->op, j);
}

// acc[j] (NULL: start afresh) += lookups of one depth tile.
static void accumulate_tile(lowering *l, const contraction *c, ir_value **acc, ir_value *tile,
                            ir_value *offset, const char *slice)
{
    planes p = load_planes(l, c, offset);
    for (unsigned j = 0; j < c->row_tiles; j++)
        acc[j] = low_mma(l, c->table, load_table(l, c, j, tile), acc[j], p.count, p.tile, p.form,
                         slice, c->one_row);
}

static int64_t planes_bytes(const contraction *c)
{
    return c->constant_plane ? 0 : c->format.planes * c->geometry.plane_bytes;
}

// `count` depth tiles from `first` on, whose planes start at `offset`, into fresh accumulators.
static void accumulate_span(lowering *l, const contraction *c, ir_value **acc, ir_value *first,
                            int64_t count, ir_value *offset)
{
    for (unsigned j = 0; j < c->row_tiles; j++)
        acc[j] = NULL;
    ir_value *step = low_index(l, planes_bytes(c));
    if (count <= UNROLL) {
        for (int64_t i = 0; i < count; i++)
            accumulate_tile(l, c, acc, low_add(l, first, low_index(l, i)),
                            low_add(l, offset, low_mul(l, step, low_index(l, i))), "all");
        return;
    }
    for (unsigned j = 0; j < c->row_tiles; j++)
        acc[j] = low_tile_zero(l, low_accumulator_kind(c->table));
    low_loop tiles;
    sweep_begin(l, c, &tiles, low_index(l, count), acc);
    accumulate_tile(l, c, acc, low_add(l, first, tiles.counter),
                    low_add(l, offset, low_mul(l, step, tiles.counter)), "all");
    sweep_end(l, c, &tiles, acc);
}

static void lookup_slice(lowering *l, const contraction *c, ir_value **d, ir_value *tile,
                         const planes_tile *loaded, int64_t parts, int64_t index, int64_t quarter,
                         ir_value *scale_offset)
{
    ir_value *acc[64];
    for (unsigned j = 0; j < c->row_tiles; j++)
        acc[j] = low_mma(l, c->table, loaded->table[j], NULL, loaded->count, loaded->plane,
                         loaded->form, low_slice_name(parts, index), c->one_row);
    dequantize(l, c, d, acc, tile, quarter, scale_offset);
}

// d += part `index` of `parts` of one depth tile, by quarters where each has a table scale.
static void lookup_part(lowering *l, const contraction *c, ir_value **d, ir_value *tile,
                        const planes_tile *loaded, int64_t parts, int64_t index,
                        ir_value *scale_offset)
{
    if (!scaled_by_slice(c)) {
        lookup_slice(l, c, d, tile, loaded, parts, index, 0, scale_offset);
        return;
    }
    for (int64_t q = index * QUARTERS / parts; q < (index + 1) * QUARTERS / parts; q++)
        lookup_slice(l, c, d, tile, loaded, QUARTERS, q, q, scale_offset);
}

static void one_span(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                     int64_t count, ir_value *offset, ir_value *scale_offset)
{
    if (scaled_by_slice(c)) {
        planes_tile loaded = load_planes_tile(l, c, first, offset);
        lookup_part(l, c, d, first, &loaded, 1, 0, scale_offset);
        return;
    }
    ir_value *acc[64];
    accumulate_span(l, c, acc, first, count, offset);
    dequantize(l, c, d, acc, first, 0, scale_offset);
}

void contract_group(lowering *l, const contraction *c, ir_value **d, ir_value *group,
                    ir_value *first, int64_t count, ir_value *offset)
{
    int64_t span = low_scale_tiles(l, c->table), bytes = planes_bytes(c);
    if (span > count)
        span = count;
    ir_value *scale_offset = low_add(l, offset, low_index(l, count * bytes));
    int64_t full = count / span, rest = count % span;
    if (full <= UNROLL) {
        for (int64_t i = 0; i < full; i++)
            one_span(l, c, d, low_add(l, first, low_index(l, i * span)), span,
                     low_add(l, offset, low_index(l, i * span * bytes)), scale_offset);
    } else {
        low_loop spans;
        sweep_begin(l, c, &spans, low_index(l, full), d);
        ir_value *tile = low_mul(l, spans.counter, low_index(l, span));
        one_span(l, c, d, low_add(l, first, tile), span,
                 low_add(l, offset, low_mul(l, tile, low_index(l, bytes))), scale_offset);
        sweep_end(l, c, &spans, d);
    }
    if (rest)
        one_span(l, c, d, low_add(l, first, low_index(l, full * span)), rest,
                 low_add(l, offset, low_index(l, full * span * bytes)), scale_offset);
    add_offsets(l, c, d, group, low_add(l, scale_offset, low_index(l, c->geometry.scale_bytes)));
}

void contract_slice(lowering *l, const contraction *c, ir_value **d, ir_value *tile, int64_t slice,
                    const planes_tile *loaded, ir_value *offset)
{
    int64_t parts = c->geometry.groups_per_tile;
    int64_t numbers = c->geometry.scale_bytes + c->geometry.offset_bytes;
    ir_value *at = low_add(l, offset, low_index(l, planes_bytes(c) + slice * numbers));
    lookup_part(l, c, d, tile, loaded, parts, slice, at);
    ir_value *group = low_add(l, low_mul(l, tile, low_index(l, parts)), low_index(l, slice));
    add_offsets(l, c, d, group, low_add(l, at, low_index(l, c->geometry.scale_bytes)));
}

planes_tile load_planes_tile(lowering *l, const contraction *c, ir_value *tile, ir_value *offset)
{
    planes p = load_planes(l, c, offset);
    planes_tile out = {.count = p.count, .form = p.form};
    for (unsigned i = 0; i < p.count; i++)
        out.plane[i] = p.tile[i];
    for (unsigned j = 0; j < c->row_tiles; j++)
        out.table[j] = load_table(l, c, j, tile);
    return out;
}

// --------------------------------------------------------------- whole depth

static void contract_groups(lowering *l, const contraction *c, ir_value **d)
{
    const pack_geometry *g = &c->geometry;
    int64_t numbers = g->scale_bytes + g->offset_bytes;
    int64_t group_bytes = g->tiles_per_group * planes_bytes(c) + numbers;
    int64_t full = g->depth_tiles / g->tiles_per_group, rest = g->depth_tiles % g->tiles_per_group;
    ir_value *tiles = low_index(l, g->tiles_per_group);
    if (full == 1) {
        contract_group(l, c, d, low_index(l, 0), low_index(l, 0), g->tiles_per_group,
                       low_index(l, 0));
    } else if (full > 1) {
        low_loop groups;
        sweep_begin(l, c, &groups, low_index(l, full), d);
        contract_group(l, c, d, groups.counter, low_mul(l, groups.counter, tiles),
                       g->tiles_per_group, low_mul(l, groups.counter, low_index(l, group_bytes)));
        sweep_end(l, c, &groups, d);
    }
    if (rest)
        contract_group(l, c, d, low_index(l, full), low_index(l, full * g->tiles_per_group), rest,
                       low_index(l, full * group_bytes));
}

static void contract_slices(lowering *l, const contraction *c, ir_value **d)
{
    const pack_geometry *g = &c->geometry;
    int64_t tile_bytes = planes_bytes(c) + g->groups_per_tile * (g->scale_bytes + g->offset_bytes);
    low_loop tiles;
    sweep_begin(l, c, &tiles, low_index(l, g->depth_tiles), d);
    ir_value *offset = low_mul(l, tiles.counter, low_index(l, tile_bytes));
    planes_tile loaded = load_planes_tile(l, c, tiles.counter, offset);
    for (int64_t slice = 0; slice < g->groups_per_tile; slice++)
        contract_slice(l, c, d, tiles.counter, slice, &loaded, offset);
    sweep_end(l, c, &tiles, d);
}

void lower_contraction(lowering *l, const contraction *c, ir_value **d)
{
    if (c->geometry.groups_per_tile > 1)
        contract_slices(l, c, d);
    else
        contract_groups(l, c, d);
}
