// Table building: the scales of i8 tables, the tables of a row tile, and the
// sums of activations that offsets need, taken through the tables themselves.
#include "compiler/passes/lower/contract.h"
#include "compiler/passes/lower/native.h"

enum { TURNS = 4, MOST_PARTS = 2 }; // tiles of a round; parts of a table

int64_t table_depth_tiles(const lowering *l, const ir_type *table)
{
    return (low_columns(table).value + l->depth - 1) / l->depth;
}

int64_t low_scale_tiles(const lowering *l, const ir_type *table)
{
    switch (table->scale) {
    case TABLE_SCALE_SLICE: return 1;
    case TABLE_SCALE_GROUP: return table->group / l->depth;
    default: return table_depth_tiles(l, table);
    }
}

int64_t table_scale_count(const lowering *l, const ir_type *table)
{
    if (table->scale == TABLE_SCALE_NONE)
        return 0;
    int64_t span = low_scale_tiles(l, table);
    int64_t spans = (table_depth_tiles(l, table) + span - 1) / span;
    return table->scale == TABLE_SCALE_SLICE ? QUARTERS * spans : spans;
}

// Slices of the tile depth that have sums of their own; 1: sums of whole tiles. The sum of a whole
// short row needs no slices: beyond the row everything is 0.
static int64_t sum_slices_per_tile(const lowering *l, const ir_type *table)
{
    int64_t slices = l->depth / table->sums;
    return l->depth % table->sums == 0 && slices <= 4 ? slices : 1;
}

// Groups smaller than the tile depth are counted by whole tiles, as packing does.
int64_t table_sum_count(const lowering *l, const ir_type *table)
{
    if (table->sums == 0)
        return 0;
    int64_t slices = table->sums < l->depth ? sum_slices_per_tile(l, table) : 1;
    if (slices > 1)
        return table_depth_tiles(l, table) * slices;
    return (low_columns(table).value + table->sums - 1) / table->sums;
}

int64_t table_entry_bytes(const lowering *l, const ir_type *table)
{
    if (table->format)
        return low_codebook(table)->bits * book_table_bytes(l, table);
    return table->scalar == SCALAR_I8 ? machine_table_bytes(l->context->machine)
                                      : l->tile_bytes * table->parts;
}

// The most of ROWS rows, `apart` bytes from one to the next, that begin in a quarter of a way of
// scratch.
enum { ROWS = 8 };
static unsigned rows_crowded(int64_t apart, int64_t way)
{
    unsigned most = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        unsigned count = 0;
        for (int64_t j = 0; j < ROWS; j++)
            count += (j - i + ROWS) * apart % way < way / 4;
        most = count > most ? count : most;
    }
    return most;
}

// Rows of a block that scratch does not hold as a whole are read in parts, side by side: such parts
// should lie in all of its sets alike.
int64_t table_row_bytes(const lowering *l, const ir_type *table)
{
    enum { LINE = 64, MOST_PADDING = 16 }; // a share of the row
    const machine *m = l->context->machine;
    const int64_t bytes = table_depth_tiles(l, table) * table_entry_bytes(l, table);
    const int64_t way = (int64_t)(m->scratch_size / m->scratch_ways);
    int64_t best = bytes;
    unsigned least = ROWS + 1;
    if (ROWS * bytes <= (int64_t)m->scratch_size / 2)
        return bytes;
    for (int64_t padded = bytes; padded <= bytes + bytes / MOST_PADDING; padded += LINE) {
        unsigned crowded = rows_crowded(padded, way);
        if (crowded < least)
            best = padded, least = crowded;
    }
    return best;
}

// --------------------------------------------------------------------- tables

// What lut.tbl reads, for a part of the table; NULL: nothing of this type.
static const char *activation_name(scalar_type t, unsigned part)
{
    switch (t) {
    case SCALAR_I16: return part ? "i16hi" : "i16lo";
    case SCALAR_F32:
    case SCALAR_F16:
    case SCALAR_BF16:
    case SCALAR_E4M3:
    case SCALAR_E5M2:
    case SCALAR_I8: return scalar_rows[t].name;
    default: return NULL;
    }
}

// A part of the table of depth tile `tile`; it reads scales or, i8dynamic, writes them.
static ir_value *table_tile(lowering *l, const table_source *s, ir_value *tile, unsigned part,
                            const char *kind, ir_value *scales, bool one_row)
{
    int64_t row_elements = s->activations->type->dims[1].value;
    ir_dim dims[1] = {ir_dim_constant(l->depth)};
    ir_value *column = tile;
    if (s->first_tile)
        column = tile == s->first_tile ? low_index(l, 0) : low_sub(l, tile, s->first_tile);
    ir_value *from =
        low_view(l, s->activations, s->first_row, low_mul(l, column, low_index(l, l->depth)),
                 ir_type_buffer(l->module, s->scalar, 1, dims));
    ir_value *stride =
        one_row ? NULL : low_index(l, row_elements * (int64_t)scalar_size(s->scalar));
    ir_value *t =
        ir_build1(&l->at, IR_XLUT_TBL, ir_type_tile(l->module, TILE_TABLE), from, stride, scales);
    ir_set_name(t->op, "activation", activation_name(s->scalar, part));
    ir_set_name(t->op, "table", kind);
    return t;
}

// The scales of a depth tile's quarters, which i8dynamic writes, in row `row_tile` of `to`.
static ir_value *quarter_scales(lowering *l, ir_value *to, ir_value *row_tile, ir_value *tile)
{
    ir_dim dims[1] = {ir_dim_constant(QUARTERS * l->m)};
    return low_view(l, to, row_tile, low_mul(l, tile, low_index(l, QUARTERS * l->m)),
                    ir_type_buffer(l->module, SCALAR_F32, 1, dims));
}

// The parts of the table of a depth tile.
static void make_tile(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                      ir_value *tile, bool one_row, ir_value **parts)
{
    const ir_type *type = table->type;
    const char *kind = scalar_rows[type->scalar].name;
    ir_value *scales = type->scale == TABLE_SCALE_NONE ? NULL : l->inverse_scales;
    if (type->scale == TABLE_SCALE_SLICE) {
        kind = "i8dynamic";
        scales = quarter_scales(l, table->scales, row_tile, tile);
    }
    for (unsigned part = 0; part < type->parts; part++)
        parts[part] = table_tile(l, s, tile, part, kind, scales, one_row);
}

static void store_tile(lowering *l, const place *table, ir_value *row_tile, ir_value *tile,
                       ir_value *const *parts)
{
    const ir_type *type = table->type;
    int64_t bytes = table_entry_bytes(l, type), size = bytes / type->parts;
    for (unsigned part = 0; part < type->parts; part++) {
        ir_value *at = low_add(l, low_mul(l, tile, low_index(l, bytes)), low_index(l, part * size));
        ir_value *operands[2] = {parts[part], low_bytes(l, table->buffer, row_tile, at, size)};
        ir_op *store = ir_build(&l->at, IR_XLUT_ST, 2, operands, 0, NULL);
        if (type->scalar == SCALAR_I8)
            ir_set_boolean(store, "half", true);
    }
}

// Those of `count` tiles from `first` on: while one leaves the builder, the next one is built.
static void build_turns(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                        ir_value *first, int64_t count, bool one_row)
{
    ir_value *tiles[TURNS], *parts[TURNS][MOST_PARTS];
    for (int64_t i = 0; i <= count; i++) {
        if (i < count) {
            tiles[i] = i ? low_add(l, first, low_index(l, i)) : first;
            make_tile(l, table, s, row_tile, tiles[i], one_row, parts[i]);
        }
        if (i > 0)
            store_tile(l, table, row_tile, tiles[i - 1], parts[i - 1]);
    }
}

static void build_tiles(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                        ir_value *first, int64_t count, bool one_row)
{
    int64_t rounds = count / TURNS, rest = count % TURNS;
    if (rounds > 0) {
        low_loop loop;
        low_for_begin(l, &loop, low_index(l, 0), low_index(l, rounds), low_index(l, 1), 0, NULL);
        ir_value *tile = low_add(l, first, low_mul(l, loop.counter, low_index(l, TURNS)));
        build_turns(l, table, s, row_tile, tile, TURNS, one_row);
        low_loop_end(l, &loop, NULL);
    }
    if (rest)
        build_turns(l, table, s, row_tile, low_add(l, first, low_index(l, count - rest)), rest,
                    one_row);
}

// --------------------------------------------------------------------- scales

void table_find_bounds(lowering *l, const table_source *s, ir_value *tile, int64_t slot)
{
    table_tile(l, s, tile, 0, "i8dynamic",
               quarter_scales(l, l->slice_scales, low_index(l, 0), low_index(l, slot)), false);
}

// The scales of all quarters of `count` depth tiles from `first` on, found by lut.tbl.
static void find_slice_scales(lowering *l, const table_source *s, ir_value *first, int64_t count,
                              bool one_row)
{
    low_loop tiles;
    low_for_begin(l, &tiles, low_index(l, 0), low_index(l, count), low_index(l, 1), 0, NULL);
    table_tile(l, s, low_add(l, first, tiles.counter), 0, "i8dynamic",
               quarter_scales(l, l->slice_scales, low_index(l, 0), tiles.counter), one_row);
    low_loop_end(l, &tiles, NULL);
}

// The greatest scale of a row's first `count` quarters: that of all of them together.
static ir_value *greatest_scale(lowering *l, ir_value *scales, ir_value *row, int64_t count)
{
    ir_value *greatest = low_broadcast(l, low_number(l, SCALAR_F32, 0));
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, count), "f32", 1, &greatest);
    ir_value *at = low_add(l, low_mul(l, strip.counter, low_index(l, l->m)), row);
    ir_value *scale = low_vload(l, scales, low_index(l, 0), at, l->m);
    greatest = low_binary(l, IR_MAX, strip.carried[0], scale);
    low_loop_end(l, &strip, &greatest);
    return low_reduce(l, ir_result(strip.op, 0), "max");
}

// The same of both rows of a tile of two, whose scales stand side by side.
static low_pair greatest_scales(lowering *l, ir_value *scales, int64_t count)
{
    ir_value *zero = low_broadcast(l, low_number(l, SCALAR_F32, 0)), *greatest[2] = {zero, zero};
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, count), "f32", 2, greatest);
    low_pair x =
        low_vload_pairs(l, scales, low_index(l, 0), low_mul(l, strip.counter, low_index(l, 2)));
    greatest[0] = low_binary(l, IR_MAX, strip.carried[0], x.first);
    greatest[1] = low_binary(l, IR_MAX, strip.carried[1], x.second);
    low_loop_end(l, &strip, greatest);
    return (low_pair){low_reduce(l, ir_result(strip.op, 0), "max"),
                      low_reduce(l, ir_result(strip.op, 1), "max")};
}

// The scale of a row of the tile, and its inverse.
static void store_scale(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                        ir_value *scale_index, ir_value *row, ir_value *scale)
{
    ir_value *one = low_number(l, SCALAR_F32, 1), *zero = low_number(l, SCALAR_F32, 0);
    ir_value *at = low_add(l, low_mul(l, scale_index, low_index(l, l->m)), row);
    ir_value *factor = s->factors ? low_load(l, s->factors, low_index(l, 0), row) : NULL;
    low_store(l, factor ? low_binary(l, IR_MUL, scale, factor) : scale, table->scales, row_tile,
              at);
    ir_value *is_zero = low_compare(l, "eq", scale, zero);
    ir_value *quotient = low_binary(l, IR_DIV, one, scale);
    low_store(l, ir_build1(&l->at, IR_SELECT, scale->type, is_zero, zero, quotient),
              l->inverse_scales, low_index(l, 0), row);
}

// Scale and inverse scale of each row of the tile, from those of `count` quarters.
static void conclude_scales(lowering *l, const place *table, const table_source *s,
                            ir_value *scales, ir_value *row_tile, ir_value *scale_index,
                            int64_t count, bool one_row)
{
    if (l->m == 2 && !one_row) {
        low_pair both = greatest_scales(l, scales, count);
        store_scale(l, table, s, row_tile, scale_index, low_index(l, 0), both.first);
        store_scale(l, table, s, row_tile, scale_index, low_index(l, 1), both.second);
        return;
    }
    low_loop rows;
    low_for_begin(l, &rows, low_index(l, 0), low_index(l, one_row ? 1 : l->m), low_index(l, 1), 0,
                  NULL);
    store_scale(l, table, s, row_tile, scale_index, rows.counter,
                greatest_scale(l, scales, rows.counter, count));
    low_loop_end(l, &rows, NULL);
    for (int64_t rest = 1; one_row && rest < l->m; rest++) // what memory holds might be NaN
        low_store(l, low_number(l, SCALAR_F32, 0), table->scales, row_tile,
                  low_add(l, low_mul(l, scale_index, low_index(l, l->m)), low_index(l, rest)));
}

static void build_span(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                       ir_value *index, int64_t count, bool one_row)
{
    ir_value *first = low_mul(l, index, low_index(l, low_scale_tiles(l, table->type)));
    find_slice_scales(l, s, first, count, one_row);
    conclude_scales(l, table, s, l->slice_scales, row_tile, index, count * QUARTERS, one_row);
    build_tiles(l, table, s, row_tile, first, count, one_row);
}

void table_find_scales(lowering *l, const place *table, const table_source *s, ir_value *bounds,
                       ir_value *row_tile)
{
    conclude_scales(l, table, s, bounds, row_tile, low_index(l, 0),
                    bounds->type->dims[1].value / l->m, false);
}

void table_build_tiles(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                       ir_value *first, int64_t count)
{
    build_turns(l, table, s, row_tile, first, count, false);
}

// Scales first, then the tables that use them, span by span.
static void build_scaled(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                         const depth_range *r, bool one_row)
{
    int64_t span = low_scale_tiles(l, table->type), full = r->count / span, rest = r->count % span;
    ir_value *begin = low_div(l, r->first, low_index(l, span));
    low_loop spans;
    low_for_begin(l, &spans, low_index(l, 0), low_index(l, full), low_index(l, 1), 0, NULL);
    build_span(l, table, s, row_tile, low_add(l, begin, spans.counter), span, one_row);
    low_loop_end(l, &spans, NULL);
    if (rest)
        build_span(l, table, s, row_tile, low_add(l, begin, low_index(l, full)), rest, one_row);
}

// ----------------------------------------------------------------------- sums

static void store_sum(lowering *l, const place *table, ir_value *d, ir_value *row_tile,
                      ir_value *index)
{
    ir_dim dims[1] = {ir_dim_constant(l->m)};
    ir_value *to = low_view(l, table->sums, row_tile, low_mul(l, index, low_index(l, l->m)),
                            ir_type_buffer(l->module, SCALAR_F32, 1, dims));
    // One column of every row, the rows' numbers side by side.
    ir_value *operands[4] = {d, to, low_index(l, 4), low_index(l, 1)};
    ir_op *op = ir_build(&l->at, IR_XLUT_STA, 4, operands, 0, NULL);
    ir_set_name(op, "type", "f32");
}

static contraction sum_contraction(lowering *l, const place *table, ir_value *row_tile)
{
    contraction c = {.table = table->type,
                     .tables = table->buffer,
                     .scales = table->scales,
                     .row_tile = row_tile,
                     .row_tiles = 1,
                     .column_tiles = 1,
                     .format = {.kind = QUANT_UNIFORM, .planes = 1, .terms = 1}};
    c.format.group = table->type->sums;
    c.pieces = pieces_of(&c.format, table->type);
    ir_value *zero = low_index(l, 0);
    c.constant_plane =
        low_tile_load(l, TILE_PLANE, low_bytes(l, l->unit_plane, zero, zero, l->tile_bytes), false);
    ir_dim dims[1] = {ir_dim_constant(l->n)};
    c.ones = low_view(l, l->ones, zero, zero, ir_type_buffer(l->module, SCALAR_F16, 1, dims));
    return c;
}

static void sum_group(lowering *l, const place *table, contraction *c, ir_value *index,
                      ir_value *first, int64_t count)
{
    ir_value *d = low_tile_zero(l, TILE_F32);
    contract_group(l, c, &d, index, first, count, low_index(l, 0));
    store_sum(l, table, d, c->row_tile, index);
}

static void sum_groups(lowering *l, const place *table, contraction *c, const depth_range *r,
                       int64_t group_tiles)
{
    int64_t full = r->count / group_tiles, rest = r->count % group_tiles;
    ir_value *size = low_index(l, group_tiles), *begin = low_div(l, r->first, size);
    low_loop groups;
    low_for_begin(l, &groups, low_index(l, 0), low_index(l, full), low_index(l, 1), 0, NULL);
    ir_value *index = low_add(l, begin, groups.counter);
    sum_group(l, table, c, index, low_mul(l, index, size), group_tiles);
    low_loop_end(l, &groups, NULL);
    index = low_add(l, begin, low_index(l, full));
    if (rest)
        sum_group(l, table, c, index, low_mul(l, index, size), rest);
}

static void sum_slices(lowering *l, const place *table, contraction *c, const depth_range *r,
                       int64_t parts)
{
    c->geometry.groups_per_tile = parts;
    low_loop tiles;
    low_for_begin(l, &tiles, low_index(l, 0), low_index(l, r->count), low_index(l, 1), 0, NULL);
    ir_value *tile = low_add(l, r->first, tiles.counter);
    tile_operands loaded = load_tile(l, c, tile, low_index(l, 0));
    for (int64_t slice = 0; slice < parts; slice++) {
        ir_value *d = low_tile_zero(l, TILE_F32);
        contract_slice(l, c, &d, slice, &loaded, low_index(l, 0));
        ir_value *index = low_mul(l, tile, low_index(l, parts));
        store_sum(l, table, d, c->row_tile, low_add(l, index, low_index(l, slice)));
    }
    low_loop_end(l, &tiles, NULL);
}

static void build_sums(lowering *l, const place *table, ir_value *row_tile, const depth_range *r)
{
    contraction c = sum_contraction(l, table, row_tile);
    int64_t sums = table->type->sums, tiles = table_depth_tiles(l, table->type);
    int64_t slices = sums < l->depth ? sum_slices_per_tile(l, table->type) : 1;
    if (slices > 1) {
        sum_slices(l, table, &c, r, slices);
    } else {
        int64_t group_tiles = (sums + l->depth - 1) / l->depth;
        sum_groups(l, table, &c, r, group_tiles < tiles ? group_tiles : tiles);
    }
}

void prepare_table(lowering *l, const ir_type *table)
{
    if (is_native(l->context))
        return;
    bool scaled = table->scale == TABLE_SCALE_ROW || table->scale == TABLE_SCALE_GROUP;
    if (scaled && !table->format && !l->inverse_scales)
        l->inverse_scales = low_scratch(l, SCALAR_F32, 1, l->m);
    int64_t quarters = scaled ? low_scale_tiles(l, table) * QUARTERS * l->m : 0;
    if (scaled && (!l->slice_scales || l->slice_scales->type->dims[1].value < quarters))
        l->slice_scales = low_scratch(l, SCALAR_F32, 1, quarters);
    if (!table->sums)
        return;
    quant_format sums = {.kind = QUANT_UNIFORM, .planes = 1, .terms = 1};
    piece_list pieces = pieces_of(&sums, table);
    prepare_pieces(l, &pieces);
    if (l->unit_plane)
        return;
    l->unit_plane = low_scratch(l, SCALAR_U8, 1, l->tile_bytes);
    l->ones = low_scratch(l, SCALAR_F16, 1, l->n);
    ir_value *zero = low_index(l, 0);
    low_fill(l, l->unit_plane, zero, zero, low_index(l, l->tile_bytes), 0x77); // every weight +1
    low_fill(l, l->ones, zero, zero, low_index(l, l->n), 1);
}

static bool check_activations(lowering *l, const table_source *s)
{
    if (activation_name(s->scalar, 0))
        return true;
    diagnostic_error(l->context->diagnostics, l->at.where,
                     "tables cannot be built from %s activations; they can be f32, f16, bf16, "
                     "e4m3, e5m2, i8 or i16",
                     scalar_rows[s->scalar].name);
    return false;
}

bool lower_table_tiles(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                       const depth_range *r, bool one_row)
{
    table_scale scale = table->type->scale;
    if (!check_activations(l, s))
        return false;
    if (table->type->format)
        lower_book_table(l, table, s, row_tile, one_row);
    else if (scale == TABLE_SCALE_ROW || scale == TABLE_SCALE_GROUP)
        build_scaled(l, table, s, row_tile, r, one_row);
    else
        build_tiles(l, table, s, row_tile, r->first, r->count, one_row);
    if (table->type->sums)
        build_sums(l, table, row_tile, r);
    return true;
}

bool lower_table(lowering *l, const place *table, const table_source *s, ir_value *row_tile,
                 bool one_row)
{
    if (is_native(l->context))
        return check_activations(l, s) && lower_native_table(l, table, s, row_tile);
    depth_range all = {low_index(l, 0), table_depth_tiles(l, table->type)};
    return lower_table_tiles(l, table, s, row_tile, &all, one_row);
}
