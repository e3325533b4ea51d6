// The contraction over the depth: for each weight group, lookups into integer or f32 accumulators,
// then scaling into D. Shared by the mpgemm (weights from a packed stream) and by the sums for
// offsets (one constant plane of +1 with scale 1).
#include "compiler/passes/lower/contract.h"

#include <string.h>

enum { UNROLL = 4 }; // tiles or spans of up to this many are written out
// What a round of longer loops does at least: their tiles stand in other registers, so that those
// of one are loaded while the array looks up the other's.
enum { TURNS = 2, MOST_TURNS = 4 };
// Planes that the array looks up in a round of several rows: where it ends, the array waits.
enum { ROUND = 28, LONG = 8 };
// But no more sums than this are scaled in a round: of loops with some 200 addresses LLVM computes
// each one anew, where it moves pointers otherwise.
enum { MOST_SCALED = 64 };

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

ir_value *low_mma(lowering *l, const ir_type *table, ir_value *entries, ir_value *high,
                  ir_value *accumulator, unsigned n_planes, ir_value *const *planes,
                  const char *form, const char *slice, bool one_row)
{
    ir_value *operands[3 + 8] = {entries, high, accumulator};
    for (unsigned i = 0; i < n_planes; i++)
        operands[3 + i] = planes[i];
    const ir_type *type = ir_type_tile(l->module, low_accumulator_kind(table));
    ir_op *op = ir_build(&l->at, IR_XLUT_MMA, 3 + n_planes, operands, 1, &type);
    ir_set_name(op, "entry", scalar_rows[table->scalar].name);
    if (form[0] != 'p')
        ir_set_name(op, "form", form);
    if (one_row)
        ir_set_name(op, "rows", "one");
    if (slice[0] != 'a')
        ir_set_name(op, "slice", slice);
    return ir_result(op, 0);
}

// --------------------------------------------------------------------- pieces

static void add_piece(piece_list *list, piece p, unsigned parts)
{
    for (p.part = 0; p.part < parts; p.part++, p.factor *= 256) {
        if (list->count == MOST_PIECES)
            INTERNAL_ERROR("a format needs more than %d accumulators", MOST_PIECES);
        list->items[list->count++] = p;
    }
}

piece_list pieces_of(const quant_format *f, const ir_type *table)
{
    enum { PLANES = 4 }; // of an lmma, or of all in turn with a codebook
    piece_list list = {0};
    for (unsigned i = 0; i < f->terms; i++) {
        quant_term t = quant_term_of(f, i);
        unsigned end = t.first + t.planes, factor = 1;
        for (unsigned first = t.first; first < end; first += PLANES, factor <<= PLANES) {
            unsigned planes = end - first < PLANES ? end - first : PLANES;
            piece p = {i, t.form, first, planes, 0, (int)factor};
            add_piece(&list, p, table->parts);
        }
    }
    return list;
}

piece_list pieces_of_term(const piece_list *pieces, unsigned term)
{
    piece_list own = {0};
    for (unsigned i = 0; i < pieces->count; i++)
        if (pieces->items[i].term == term)
            own.items[own.count++] = pieces->items[i];
    return own;
}

static unsigned pieces_in_term(const piece_list *list, unsigned first)
{
    unsigned count = 1;
    while (first + count < list->count &&
           list->items[first + count].term == list->items[first].term)
        count++;
    return count;
}

static ir_value **factor_slot(lowering *l, int factor)
{
    unsigned i = 0;
    while (l->factors[i].vector && l->factors[i].factor != factor)
        i++;
    l->factors[i].factor = factor;
    return &l->factors[i].vector;
}

void prepare_pieces(lowering *l, const piece_list *pieces)
{
    for (unsigned i = 0; i < pieces->count; i += pieces_in_term(pieces, i))
        for (unsigned k = i; pieces_in_term(pieces, i) > 1 && k < i + pieces_in_term(pieces, i);
             k++) {
            int factor = pieces->items[k].factor;
            ir_value **vector = factor_slot(l, factor), *zero = low_index(l, 0);
            if (*vector)
                continue;
            *vector = low_scratch(l, SCALAR_F16, 1, l->n);
            low_fill(l, *vector, zero, zero, low_index(l, l->n), factor);
        }
}

// ------------------------------------------------------------------- operands

// Quarters of the depth of a tile.
typedef struct depth_slice {
    int64_t first, count;
} depth_slice;

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

static unsigned count_results(const contraction *c)
{
    return c->row_tiles * c->column_tiles;
}

static bool takes_several_rows(const contraction *c)
{
    return !c->one_row && c->row_tiles > 1;
}

// Depth tiles of a round, of `tiles` in all: `least` or, in long loops, as many times more as keep
// the array at work.
static int64_t at_least(const contraction *c, int64_t least, int64_t tiles)
{
    int64_t turns = least, planes = count_results(c) * c->format.planes;
    while (takes_several_rows(c) && turns < MOST_TURNS && turns * planes < ROUND &&
           tiles >= LONG * turns)
        turns *= 2;
    return turns;
}

static unsigned row_of(const contraction *c, unsigned result)
{
    return result % c->row_tiles;
}

static unsigned column_of(const contraction *c, unsigned result)
{
    return result / c->row_tiles;
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
    return low_mma(l, c->table, tile[0], tile[1], accumulator, 1,
                   &loaded->plane[column_of(c, j)][plane], "full", slice, c->one_row);
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

// accumulator (NULL: start afresh) += the piece's lookups in a slice of the loaded tile.
static ir_value *look_up(lowering *l, const contraction *c, const piece *p, unsigned j,
                         tile_operands *loaded, ir_value *accumulator, depth_slice slice)
{
    if (p->form == QUANT_BOOKED)
        return look_up_booked(l, c, p, j, loaded, accumulator, slice);
    const char *form = p->form == QUANT_EQUAL ? "ternary" : "planes";
    return low_mma(l, c->table, table_at(l, c, row_of(c, j), loaded, p->part), NULL, accumulator,
                   p->planes, loaded->plane[column_of(c, j)] + p->first, form, slice_name(slice),
                   c->one_row);
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

static ir_value *stream_numbers(lowering *l, const contraction *c, unsigned column,
                                ir_value *offset)
{
    ir_dim dims[1] = {ir_dim_constant(l->n)};
    return low_view(l, c->stream[column], low_index(l, 0), offset,
                    ir_type_buffer(l->module, c->format.scale, 1, dims));
}

// ------------------------------------------------------------------- scaling

// Accumulators of all pieces, for each result.
typedef ir_value *accumulators[MOST_PIECES][MOST_RESULTS];

ir_value *low_scale_into(lowering *l, ir_value *d, ir_value *sum, ir_value *weight_scale,
                         ir_value *row_scale)
{
    ir_value *operands[4] = {d, sum, weight_scale, row_scale};
    const ir_type *type = ir_type_tile(l->module, TILE_F32);
    ir_op *op = ir_build(&l->at, IR_XLUT_DEQ, 4, operands, 1, &type);
    if (weight_scale->type->scalar == SCALAR_F32)
        ir_set_name(op, "scale", "f32");
    return ir_result(op, 0);
}

// A result that nothing was added to takes no register before.
static ir_value *begun(lowering *l, ir_value *d)
{
    return d ? d : low_tile_zero(l, TILE_F32);
}

static void begin_all(lowering *l, const contraction *c, ir_value **d)
{
    for (unsigned j = 0; j < count_results(c); j++)
        d[j] = begun(l, d[j]);
}

// A term's sum in f32, rounded once: the sums of pieces are below 2^24 in magnitude where they are
// integers, so that all but the last addition are exact.
static ir_value *combined(lowering *l, const contraction *c, accumulators acc, unsigned first,
                          unsigned count, unsigned j)
{
    ir_value *sum = acc[first][j];
    if (count == 1)
        return sum;
    sum = low_tile_zero(l, TILE_F32);
    ir_dim dims[1] = {ir_dim_constant(l->n)};
    const ir_type *row = ir_type_buffer(l->module, SCALAR_F16, 1, dims);
    for (unsigned i = first; i < first + count; i++) {
        ir_value *zero = low_index(l, 0), *factors = *factor_slot(l, c->pieces.items[i].factor);
        sum = low_scale_into(l, sum, acc[i][j], low_view(l, factors, zero, zero, row), NULL);
    }
    return sum;
}

static void dequantize(lowering *l, const contraction *c, ir_value **d, accumulators acc,
                       ir_value *tile, int64_t quarter, ir_value *scale_offset)
{
    for (unsigned first = 0; first < c->pieces.count;) {
        unsigned count = pieces_in_term(&c->pieces, first);
        int64_t behind = c->pieces.items[first].term * c->geometry.scale_bytes;
        ir_value *at = low_add(l, scale_offset, low_index(l, behind)), *scales = c->ones;
        for (unsigned j = 0; j < count_results(c); j++) {
            if (!c->ones && row_of(c, j) == 0)
                scales = stream_numbers(l, c, column_of(c, j), at);
            ir_value *sum = combined(l, c, acc, first, count, j), *begin = begun(l, d[j]);
            d[j] = low_scale_into(l, begin, sum, scales,
                                  table_scale_of(l, c, row_of(c, j), tile, quarter));
        }
        first += count;
    }
}

// `offset`: of the group's offsets, behind its scales.
static void add_offsets(lowering *l, const contraction *c, ir_value **d, ir_value *sum_index,
                        ir_value *offset)
{
    if (c->constant_plane || !c->format.offset || c->without_offsets)
        return;
    ir_value *v = NULL;
    for (unsigned j = 0; j < count_results(c); j++) {
        ir_value *row = low_index(l, row_of(c, j));
        if (row_of(c, j) == 0)
            v = stream_numbers(l, c, column_of(c, j), offset);
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

static ir_value *offsets_behind(lowering *l, const contraction *c, ir_value *scale_offset)
{
    return low_add(l, scale_offset, low_index(l, c->format.terms * c->geometry.scale_bytes));
}

// ---------------------------------------------------------------------- spans

// A loop that carries tiles: inside, `tiles` are the carried ones, behind it the results.
static void sweep_begin(lowering *l, low_loop *loop, ir_value *count, unsigned n, ir_value **tiles)
{
    low_for_begin(l, loop, low_index(l, 0), count, low_index(l, 1), n, tiles);
    for (unsigned i = 0; i < n; i++)
        tiles[i] = loop->carried[i];
}

static void sweep_end(lowering *l, low_loop *loop, ir_value **tiles)
{
    low_loop_end(l, loop, tiles);
    for (unsigned i = 0; i < loop->n_carried; i++)
        tiles[i] = ir_result(loop->op, i);
}

// Accumulators side by side, as a loop carries them, and back.
static unsigned flatten(const contraction *c, accumulators acc, ir_value **tiles)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->pieces.count; i++)
        for (unsigned j = 0; j < count_results(c); j++)
            tiles[n++] = acc[i][j];
    return n;
}

static void unflatten(const contraction *c, ir_value *const *tiles, accumulators acc)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->pieces.count; i++)
        for (unsigned j = 0; j < count_results(c); j++)
            acc[i][j] = tiles[n++];
}

// The result that is looked up as the k-th: all column tiles of a row tile, whose table is loaded.
static unsigned in_turn(const contraction *c, unsigned k)
{
    return k % c->column_tiles * c->row_tiles + k / c->column_tiles;
}

// acc (NULL: start afresh) += lookups of one depth tile.
static void accumulate_tile(lowering *l, const contraction *c, accumulators acc, ir_value *tile,
                            ir_value *offset)
{
    tile_operands loaded = load_tile(l, c, tile, offset);
    for (unsigned k = 0; k < count_results(c); k++) {
        unsigned j = in_turn(c, k);
        for (unsigned i = 0; i < c->pieces.count; i++)
            acc[i][j] = look_up(l, c, &c->pieces.items[i], j, &loaded, acc[i][j],
                                (depth_slice){0, QUARTERS});
    }
}

static int64_t planes_bytes(const contraction *c)
{
    return c->constant_plane ? 0 : c->format.planes * c->geometry.plane_bytes;
}

// acc += `count` depth tiles from `first` on, whose planes start at `offset`.
static void accumulate_tiles(lowering *l, const contraction *c, accumulators acc, ir_value *first,
                             int64_t count, ir_value *offset)
{
    for (int64_t i = 0; i < count; i++)
        accumulate_tile(l, c, acc, low_add(l, first, low_index(l, i)),
                        low_add(l, offset, low_index(l, i * planes_bytes(c))));
}

// The same, in a loop if they are many.
static void accumulate_span(lowering *l, const contraction *c, accumulators acc, ir_value *first,
                            int64_t count, ir_value *offset)
{
    ir_value *carried[MOST_RESULTS];
    if (count <= UNROLL) {
        accumulate_tiles(l, c, acc, first, count, offset);
        return;
    }
    for (unsigned i = 0; i < c->pieces.count; i++)
        for (unsigned j = 0; j < count_results(c); j++)
            acc[i][j] = acc[i][j] ? acc[i][j] : low_tile_zero(l, low_accumulator_kind(c->table));
    low_loop rounds;
    int64_t turns = at_least(c, TURNS, count), whole = count / turns;
    if (takes_several_rows(c) && count % turns == 0)
        whole--; // behind the loop, where its sums are scaled while others are looked up
    sweep_begin(l, &rounds, low_index(l, whole), flatten(c, acc, carried), carried);
    unflatten(c, carried, acc);
    accumulate_tiles(
        l, c, acc, low_add(l, first, low_mul(l, rounds.counter, low_index(l, turns))), turns,
        low_add(l, offset, low_mul(l, rounds.counter, low_index(l, turns * planes_bytes(c)))));
    flatten(c, acc, carried);
    sweep_end(l, &rounds, carried);
    unflatten(c, carried, acc);
    accumulate_tiles(l, c, acc, low_add(l, first, low_index(l, whole * turns)),
                     count - whole * turns,
                     low_add(l, offset, low_index(l, whole * turns * planes_bytes(c))));
}

// d += a slice of one depth tile under one table scale.
static void lookup_slice(lowering *l, const contraction *c, ir_value **d, tile_operands *loaded,
                         depth_slice slice, ir_value *scale_offset)
{
    accumulators acc = {{0}};
    for (unsigned k = 0; k < count_results(c); k++) {
        unsigned j = in_turn(c, k);
        for (unsigned i = 0; i < c->pieces.count; i++)
            acc[i][j] = look_up(l, c, &c->pieces.items[i], j, loaded, NULL, slice);
    }
    dequantize(l, c, d, acc, loaded->tile, slice.first, scale_offset);
}

// d += a slice of one depth tile, by quarters where each has a table scale.
static void lookup_part(lowering *l, const contraction *c, ir_value **d, tile_operands *loaded,
                        depth_slice slice, ir_value *scale_offset)
{
    int64_t step = scaled_by_slice(c) ? 1 : slice.count;
    for (int64_t q = slice.first; q < slice.first + slice.count; q += step)
        lookup_slice(l, c, d, loaded, (depth_slice){q, step}, scale_offset);
}

static void one_span(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                     int64_t count, ir_value *offset, ir_value *scale_offset)
{
    if (scaled_by_slice(c)) {
        tile_operands loaded = load_tile(l, c, first, offset);
        lookup_part(l, c, d, &loaded, (depth_slice){0, QUARTERS}, scale_offset);
        return;
    }
    accumulators acc = {{0}};
    accumulate_span(l, c, acc, first, count, offset);
    dequantize(l, c, d, acc, first, 0, scale_offset);
}

// d += `count` depth tiles from `first` on under one scale of the weights, span by span of the
// table's scales.
static void contract_spans(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                           int64_t count, ir_value *offset, ir_value *scale_offset)
{
    int64_t span = low_scale_tiles(l, c->table), bytes = planes_bytes(c);
    if (span > count)
        span = count;
    int64_t full = count / span, rest = count % span;
    if (full <= UNROLL) {
        for (int64_t i = 0; i < full; i++)
            one_span(l, c, d, low_add(l, first, low_index(l, i * span)), span,
                     low_add(l, offset, low_index(l, i * span * bytes)), scale_offset);
    } else {
        low_loop spans;
        begin_all(l, c, d);
        sweep_begin(l, &spans, low_index(l, full), count_results(c), d);
        ir_value *tile = low_mul(l, spans.counter, low_index(l, span));
        one_span(l, c, d, low_add(l, first, tile), span,
                 low_add(l, offset, low_mul(l, tile, low_index(l, bytes))), scale_offset);
        sweep_end(l, &spans, d);
    }
    if (rest)
        one_span(l, c, d, low_add(l, first, low_index(l, full * span)), rest,
                 low_add(l, offset, low_index(l, full * span * bytes)), scale_offset);
}

void contract_group(lowering *l, const contraction *c, ir_value **d, ir_value *group,
                    ir_value *first, int64_t count, ir_value *offset)
{
    ir_value *scale_offset = low_add(l, offset, low_index(l, count * planes_bytes(c)));
    contract_spans(l, c, d, first, count, offset, scale_offset);
    add_offsets(l, c, d, group, offsets_behind(l, c, scale_offset));
}

void contract_slice(lowering *l, const contraction *c, ir_value **d, int64_t slice,
                    tile_operands *loaded, ir_value *offset)
{
    int64_t parts = c->geometry.groups_per_tile, quarters = QUARTERS / parts;
    ir_value *at =
        low_add(l, offset, low_index(l, planes_bytes(c) + slice * c->geometry.group_bytes));
    lookup_part(l, c, d, loaded, (depth_slice){slice * quarters, quarters}, at);
    ir_value *group =
        low_add(l, low_mul(l, loaded->tile, low_index(l, parts)), low_index(l, slice));
    add_offsets(l, c, d, group, offsets_behind(l, c, at));
}

// --------------------------------------------------------------- whole depth

// `count` groups of `tiles` depth tiles from group `first` on.
static void contract_row(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                         int64_t count, int64_t tiles)
{
    const pack_geometry *g = &c->geometry;
    int64_t bytes = g->tiles_per_group * planes_bytes(c) + g->group_bytes;
    for (int64_t i = 0; i < count; i++) {
        ir_value *group = low_add(l, first, low_index(l, i));
        contract_group(l, c, d, group, low_mul(l, group, low_index(l, g->tiles_per_group)), tiles,
                       low_mul(l, group, low_index(l, bytes)));
    }
}

// Tiles of a round, whose sums are scaled in `slices` pieces: `most`, or a part of them.
static int64_t turns_of(const contraction *c, int64_t slices, int64_t most)
{
    while (most > 1 && most * slices * count_results(c) > MOST_SCALED)
        most /= 2;
    return most;
}

static void contract_groups(lowering *l, const contraction *c, ir_value **d, const depth_part *part)
{
    const pack_geometry *g = &c->geometry;
    int64_t full = part->count / g->tiles_per_group, rest = part->count % g->tiles_per_group;
    int64_t most =
        g->tiles_per_group <= TURNS ? at_least(c, UNROLL, part->count) / g->tiles_per_group : 1;
    int64_t turns = turns_of(c, scaled_by_slice(c) ? QUARTERS * g->tiles_per_group : 1, most);
    int64_t rounds = full > 1 ? full / turns : 0;
    ir_value *first = low_div(l, part->first, low_index(l, g->tiles_per_group));
    if (rounds > 0) {
        low_loop groups;
        begin_all(l, c, d);
        sweep_begin(l, &groups, low_index(l, rounds), count_results(c), d);
        ir_value *group = low_mul(l, groups.counter, low_index(l, turns));
        contract_row(l, c, d, low_add(l, first, group), turns, g->tiles_per_group);
        sweep_end(l, &groups, d);
    }
    contract_row(l, c, d, low_add(l, first, low_index(l, rounds * turns)), full - rounds * turns,
                 g->tiles_per_group);
    contract_row(l, c, d, low_add(l, first, low_index(l, full)), rest > 0, rest);
}

// `count` depth tiles from `first` on, of several groups each.
static void contract_tiles(lowering *l, const contraction *c, ir_value **d, ir_value *first,
                           int64_t count)
{
    const pack_geometry *g = &c->geometry;
    int64_t bytes = planes_bytes(c) + g->groups_per_tile * g->group_bytes;
    for (int64_t i = 0; i < count; i++) {
        ir_value *tile = low_add(l, first, low_index(l, i));
        ir_value *offset = low_mul(l, tile, low_index(l, bytes));
        tile_operands loaded = load_tile(l, c, tile, offset);
        for (int64_t slice = 0; slice < g->groups_per_tile; slice++)
            contract_slice(l, c, d, slice, &loaded, offset);
    }
}

static void contract_slices(lowering *l, const contraction *c, ir_value **d, const depth_part *part)
{
    int64_t turns = turns_of(c, QUARTERS, TURNS), rounds = part->count / turns;
    low_loop loop;
    if (rounds > 0) {
        begin_all(l, c, d);
        sweep_begin(l, &loop, low_index(l, rounds), count_results(c), d);
        ir_value *tile = low_mul(l, loop.counter, low_index(l, turns));
        contract_tiles(l, c, d, low_add(l, part->first, tile), turns);
        sweep_end(l, &loop, d);
    }
    contract_tiles(l, c, d, low_add(l, part->first, low_index(l, rounds * turns)),
                   part->count % turns);
}

// --------------------------------------------------------------- parts of the depth

// The whole depth is one group of weights, or even one sum that is scaled once.
static bool is_single_group(const contraction *c)
{
    const pack_geometry *g = &c->geometry;
    return g->groups_per_tile == 1 && g->tiles_per_group >= g->depth_tiles;
}

static bool is_single_sum(const lowering *l, const contraction *c)
{
    return is_single_group(c) && !scaled_by_slice(c) &&
           low_scale_tiles(l, c->table) >= c->geometry.depth_tiles;
}

unsigned contraction_carried(const lowering *l, const contraction *c)
{
    return count_results(c) * (is_single_sum(l, c) ? c->pieces.count : 1);
}

tile_kind contraction_carried_kind(const lowering *l, const contraction *c)
{
    return is_single_sum(l, c) ? low_accumulator_kind(c->table) : TILE_F32;
}

static void contract_part_of_group(lowering *l, const contraction *c, ir_value **tiles,
                                   const depth_part *part)
{
    accumulators acc = {{0}};
    ir_value *zero = low_index(l, 0), *bytes = low_index(l, planes_bytes(c));
    ir_value *offset = low_mul(l, part->first, bytes);
    ir_value *scales = low_index(l, c->geometry.depth_tiles * planes_bytes(c));
    if (!is_single_sum(l, c)) {
        contract_spans(l, c, tiles, part->first, part->count, offset, scales);
    } else {
        if (!part->begins)
            unflatten(c, tiles, acc);
        accumulate_span(l, c, acc, part->first, part->count, offset);
        if (!part->ends) {
            flatten(c, acc, tiles);
            return;
        }
        memset(tiles, 0, contraction_carried(l, c) * sizeof *tiles);
        dequantize(l, c, tiles, acc, zero, 0, scales);
    }
    if (part->ends)
        add_offsets(l, c, tiles, zero, offsets_behind(l, c, scales));
}

void lower_contraction_part(lowering *l, const contraction *c, ir_value **tiles,
                            const depth_part *part)
{
    if (c->geometry.groups_per_tile > 1) {
        contract_slices(l, c, tiles, part);
    } else if (is_single_group(c) && !(part->begins && part->ends)) {
        contract_part_of_group(l, c, tiles, part);
        return;
    } else {
        contract_groups(l, c, tiles, part);
    }
    begin_all(l, c, tiles);
}

void lower_contraction(lowering *l, const contraction *c, ir_value **d)
{
    const depth_part whole = {low_index(l, 0), c->geometry.depth_tiles, true, true};
    lower_contraction_part(l, c, d, &whole);
}
