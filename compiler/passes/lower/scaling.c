// Accumulators become results: times the scales of the weights and of the tables, plus offsets.
#include "compiler/passes/lower/contract_internal.h"

static ir_value *f32_view(lowering *l, ir_value *buffer, ir_value *row, ir_value *column)
{
    ir_dim dims[1] = {ir_dim_constant(l->m)};
    return low_view(l, buffer, row, column, ir_type_buffer(l->module, SCALAR_F32, 1, dims));
}

bool scaled_by_slice(const contraction *c)
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

// A result that nothing was added to takes no register before.
static ir_value *begun(lowering *l, ir_value *d)
{
    return d ? d : low_tile_zero(l, TILE_F32);
}

void begin_results(lowering *l, const contraction *c, ir_value **d)
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
        ir_value *zero = low_index(l, 0), *factors = *piece_factor(l, c->pieces.items[i].factor);
        sum = low_scale_into(l, sum, acc[i][j], low_view(l, factors, zero, zero, row), NULL);
    }
    return sum;
}

void dequantize(lowering *l, const contraction *c, ir_value **d, accumulators acc, ir_value *tile,
                int64_t quarter, ir_value *scale_offset)
{
    for (unsigned first = 0, count; first < c->pieces.count; first += count) {
        count = pieces_in_term(&c->pieces, first);
        int64_t behind = c->pieces.items[first].term * c->geometry.scale_bytes;
        ir_value *at = low_add(l, scale_offset, low_index(l, behind)), *scales = c->ones;
        for (unsigned j = 0; j < count_results(c); j++) {
            if (!c->ones && row_of(c, j) == 0)
                scales = stream_numbers(l, c, column_of(c, j), at);
            ir_value *sum = combined(l, c, acc, first, count, j), *begin = begun(l, d[j]);
            d[j] = low_scale_into(l, begin, sum, scales,
                                  table_scale_of(l, c, row_of(c, j), tile, quarter));
        }
    }
}

void add_offsets(lowering *l, const contraction *c, ir_value **d, ir_value *sum,
                 ir_value *scale_offset)
{
    if (c->constant_plane || !c->format.offset || c->without_offsets)
        return;
    int64_t behind = c->format.terms * c->geometry.scale_bytes;
    ir_value *offset = low_add(l, scale_offset, low_index(l, behind)), *v = NULL;
    for (unsigned j = 0; j < count_results(c); j++) {
        ir_value *row = low_index(l, row_of(c, j));
        if (row_of(c, j) == 0)
            v = stream_numbers(l, c, column_of(c, j), offset);
        if (!c->row_scales)
            row = low_add(l, c->row_tile, row);
        ir_value *u = f32_view(l, c->sums, row, low_mul(l, sum, low_index(l, l->m)));
        d[j] = ir_build1(&l->at, IR_XLUT_OFF, ir_type_tile(l->module, TILE_F32), d[j], u, v);
        if (c->format.scale == SCALAR_F32)
            ir_set_name(d[j]->op, "offset", "f32");
    }
}
