// Rows of weights in planes, put together from the packed stream (docs/program.md).
#include "compiler/passes/lower/unpack.h"

enum { WORD_LOOKUPS = 4, LOOKUP_WEIGHTS = 4 };

plane_table unpack_table(lowering *l, const place *weight, const quant_format *format)
{
    plane_table p = {.format = *format, .tile_n = l->n, .stream = weight->buffer};
    pack_shape shape = {(unsigned)l->m, (unsigned)l->n};
    p.columns = weight->type->dims[1].value;
    if (!pack_geometry_of(format, weight->type->dims[0].value, p.columns, shape, &p.geometry))
        INTERNAL_ERROR("weight format '%s' does not fit the machine's tiles", format->name);
    p.lookups = p.geometry.depth_tiles * p.geometry.depth / LOOKUP_WEIGHTS;
    p.words = low_scratch(l, SCALAR_I32, format->planes, p.lookups / WORD_LOOKUPS);
    p.spread = format->codebook ? LOOKUP_WEIGHTS : 1;
    if (format->codebook)
        low_book(l, format->codebook, weight, p.book);
    p.scales = low_scratch(l, SCALAR_F32, format->terms, p.lookups * p.spread);
    p.offsets = format->offset ? low_scratch(l, SCALAR_F32, 1, p.lookups * p.spread) : NULL;
    p.values = low_scratch(l, SCALAR_F32, 1, p.lookups * LOOKUP_WEIGHTS);
    return p;
}

// Where depth tile `t` of a column tile's stream starts: behind its planes and the groups that
// ended before.
static ir_value *tile_start(lowering *l, const plane_table *p, ir_value *t)
{
    const pack_geometry *g = &p->geometry;
    ir_value *groups = low_mul(l, low_div(l, t, low_index(l, g->tiles_per_group)),
                               low_index(l, g->groups_per_tile));
    return low_add(l, low_mul(l, t, low_index(l, p->format.planes * g->plane_bytes)),
                   low_mul(l, groups, low_index(l, g->group_bytes)));
}

static ir_value *view_at(lowering *l, const plane_table *p, ir_value *offset, scalar_type t)
{
    ir_dim dims[1] = {ir_dim_constant(1)};
    return low_view(l, p->stream, low_index(l, 0), offset, ir_type_buffer(l->module, t, 1, dims));
}

// The words of column `column` of a column tile that starts at `start`.
static void collect_words(lowering *l, const plane_table *p, ir_value *start, ir_value *column)
{
    const pack_geometry *g = &p->geometry;
    ir_value *zero = low_index(l, 0), *one = low_index(l, 1);
    int64_t per_tile = g->depth / (WORD_LOOKUPS * LOOKUP_WEIGHTS);
    ir_value *word = low_add(l, low_mul(l, low_div(l, column, low_index(l, 32)), low_index(l, 64)),
                             low_mul(l, low_rem(l, column, low_index(l, 16)), low_index(l, 4)));
    low_loop tiles, planes;
    low_for_begin(l, &tiles, zero, low_index(l, g->depth_tiles), one, 0, NULL);
    ir_value *tile = low_add(l, low_add(l, start, word), tile_start(l, p, tiles.counter));
    low_for_begin(l, &planes, zero, low_index(l, p->format.planes), one, 0, NULL);
    ir_value *plane = low_add(l, tile, low_mul(l, planes.counter, low_index(l, g->plane_bytes)));
    for (int64_t i = 0; i < per_tile; i++) {
        ir_value *from = low_add(l, plane, low_index(l, i * p->tile_n * 2));
        ir_value *to =
            low_add(l, low_mul(l, tiles.counter, low_index(l, per_tile)), low_index(l, i));
        low_store(l, low_load(l, view_at(l, p, from, SCALAR_I32), zero, zero), p->words,
                  planes.counter, to);
    }
    low_loop_end(l, &planes, NULL);
    low_loop_end(l, &tiles, NULL);
}

static void spread(lowering *l, ir_value *x, ir_value *to, ir_value *row, ir_value *from,
                   ir_value *end)
{
    low_loop strip;
    low_strip_begin(l, &strip, low_sub(l, end, from), "f32", 0, NULL);
    low_vstore(l, low_broadcast(l, x), to, row, low_add(l, from, strip.counter), 1);
    low_loop_end(l, &strip, NULL);
}

// Scales and offsets of the column, one for each lookup.
static void collect_groups(lowering *l, const plane_table *p, ir_value *start, ir_value *column)
{
    const pack_geometry *g = &p->geometry;
    ir_value *zero = low_index(l, 0), *one = low_index(l, 1);
    ir_value *all = low_index(l, p->lookups * p->spread);
    int64_t size = p->format.group ? p->format.group / LOOKUP_WEIGHTS : p->lookups;
    size *= p->spread;
    ir_value *per_tile = low_index(l, g->groups_per_tile);
    low_loop groups;
    low_for_begin(l, &groups, zero, low_index(l, quant_groups(&p->format, p->columns)), one, 0,
                  NULL);
    // Behind the planes of the last tile that the group reaches.
    ir_value *tiles = low_mul(l, low_add(l, low_div(l, groups.counter, per_tile), one),
                              low_index(l, g->tiles_per_group));
    ir_value *tile = low_sub(l, low_min(l, tiles, low_index(l, g->depth_tiles)), one);
    ir_value *at = low_add(l, start, tile_start(l, p, tile));
    at = low_add(l, at, low_index(l, p->format.planes * g->plane_bytes));
    at = low_add(l, at,
                 low_mul(l, low_rem(l, groups.counter, per_tile), low_index(l, g->group_bytes)));
    at = low_add(l, at, low_mul(l, column, low_index(l, (int64_t)scalar_size(p->format.scale))));
    ir_value *from = low_mul(l, groups.counter, low_index(l, size));
    ir_value *end = low_min(l, low_add(l, from, low_index(l, size)), all);
    for (unsigned i = 0; i < p->format.terms + p->format.offset; i++) {
        ir_value *block = low_add(l, at, low_index(l, i * g->scale_bytes));
        ir_value *x = low_load(l, view_at(l, p, block, p->format.scale), zero, zero);
        bool scale = i < p->format.terms;
        spread(l, low_cast(l, x, SCALAR_F32), scale ? p->scales : p->offsets,
               low_index(l, scale ? i : 0), from, end);
    }
    low_loop_end(l, &groups, NULL);
}

static ir_value *integer(lowering *l, int64_t value)
{
    return low_broadcast(l, low_number(l, SCALAR_I32, (double)value));
}

static ir_value *halved(lowering *l, ir_value *x)
{
    return low_binary(l, IR_DIV, x, integer(l, 2));
}

// +1 where x is odd, else -1.
static ir_value *sign_of(lowering *l, ir_value *x)
{
    ir_value *bit = low_binary(l, IR_SUB, x, low_binary(l, IR_MUL, halved(l, x), integer(l, 2)));
    return low_binary(l, IR_SUB, low_binary(l, IR_ADD, bit, bit), integer(l, 1));
}

// Adds `weight` times the four signs of indices into the half table: below 8 they are bits 0 to 2
// and +1, from 8 on the same of index - 8, all negated.
static void add_signs(lowering *l, ir_value *index, int64_t weight, ir_value *sums[LOOKUP_WEIGHTS])
{
    ir_value *second = low_compare(l, "ge", index, integer(l, 8));
    ir_value *negated =
        ir_build1(&l->at, IR_SELECT, index->type, second, integer(l, -weight), integer(l, weight));
    ir_value *bits = index;
    for (unsigned i = 0; i < LOOKUP_WEIGHTS; i++) {
        ir_value *sign = negated;
        if (i < 3) // bit 3, above, does not change these
            sign = low_binary(l, IR_MUL, sign_of(l, bits), negated);
        sums[i] = sums[i] ? low_binary(l, IR_ADD, sums[i], sign) : sign;
        if (i < 2)
            bits = halved(l, bits);
    }
}

// The indices of one plane, the low or (divisor 16) the high halves of its bytes.
static ir_value *indices_of(lowering *l, const plane_table *p, unsigned plane, ir_value *column,
                            ir_value *divisor)
{
    ir_dim dims[1] = {ir_dim_constant(p->lookups)};
    ir_value *bytes = low_view(l, p->words, low_index(l, plane), low_index(l, 0),
                               ir_type_buffer(l->module, SCALAR_U8, 1, dims));
    ir_value *byte = low_cast(l, low_vload(l, bytes, low_index(l, 0), column, 1), SCALAR_I32);
    ir_value *index = low_binary(l, IR_DIV, byte, low_broadcast(l, divisor));
    ir_value *above = low_binary(l, IR_DIV, index, integer(l, 16));
    return low_binary(l, IR_SUB, index, low_binary(l, IR_MUL, above, integer(l, 16)));
}

// The levels of a term for the four weights of a strip of lookups.
static void term_levels(lowering *l, const plane_table *p, unsigned term, ir_value *column,
                        ir_value *divisor, ir_value *levels[LOOKUP_WEIGHTS])
{
    quant_term t = quant_term_of(&p->format, term);
    for (unsigned i = 0; i < t.planes; i++) {
        int64_t weight = t.form == QUANT_EQUAL ? 1 : 1 << i;
        add_signs(l, indices_of(l, p, t.first + i, column, divisor), weight, levels);
    }
    for (unsigned i = 0; i < LOOKUP_WEIGHTS; i++)
        levels[i] = low_cast(l, levels[i], SCALAR_F32);
}

// fma(scale, level, x), which is exact for one term with an offset; x may be NULL.
static void add_term(lowering *l, const plane_table *p, unsigned term, ir_value *at,
                     ir_value *const levels[LOOKUP_WEIGHTS], ir_value *values[LOOKUP_WEIGHTS])
{
    ir_value *from = low_mul(l, at, low_index(l, p->spread));
    ir_value *scale = low_vload(l, p->scales, low_index(l, term), from, p->spread);
    for (unsigned i = 0; i < LOOKUP_WEIGHTS; i++)
        values[i] = values[i] ? ir_build1(&l->at, IR_FMA, scale->type, scale, levels[i], values[i])
                              : low_binary(l, IR_MUL, scale, levels[i]);
}

// The codebook's numbers for the codes of a strip of weights.
static ir_value *numbers_of(lowering *l, const plane_table *p, ir_value *codes)
{
    ir_value *x = low_broadcast(l, p->book[0]);
    for (unsigned i = 1; i < 1u << p->format.codebook->bits; i++) {
        ir_value *same = low_compare(l, "eq", codes, integer(l, i));
        x = ir_build1(&l->at, IR_SELECT, x->type, same, low_broadcast(l, p->book[i]), x);
    }
    return x;
}

// Code `which` of each lookup of a strip: the lowest first.
static ir_value *code_of(lowering *l, const plane_table *p, ir_value *index, int64_t which)
{
    int64_t count = INT64_C(1) << p->format.codebook->bits;
    ir_value *code = which ? low_binary(l, IR_DIV, index, integer(l, count)) : index;
    ir_value *above = low_binary(l, IR_DIV, code, integer(l, count));
    return low_binary(l, IR_SUB, code, low_binary(l, IR_MUL, above, integer(l, count)));
}

// Adds the codebook's term to what the signs gave, or stores it where there are none: plane by
// plane, each of which has its part of every depth tile.
static void decode_codes(lowering *l, const plane_table *p, ir_value *divisor)
{
    const int64_t planes = p->format.codebook->bits, per_lookup = LOOKUP_WEIGHTS / planes;
    const int64_t own = p->geometry.depth / LOOKUP_WEIGHTS;
    ir_value *zero = low_index(l, 0), *one = low_index(l, 1);
    for (int64_t plane = 0; plane < planes; plane++) {
        low_loop tiles, strip;
        low_for_begin(l, &tiles, zero, low_index(l, p->geometry.depth_tiles), one, 0, NULL);
        ir_value *first = low_mul(l, tiles.counter, low_index(l, p->geometry.depth));
        first = low_add(l, first, low_index(l, plane * own * per_lookup));
        low_strip_begin(l, &strip, low_index(l, own), "f32", 0, NULL);
        ir_value *byte = low_add(l, low_mul(l, tiles.counter, low_index(l, own)), strip.counter);
        ir_value *index = indices_of(l, p, (unsigned)plane, byte, divisor);
        ir_value *at = low_add(l, first, low_mul(l, strip.counter, low_index(l, per_lookup)));
        for (int64_t i = 0; i < per_lookup; i++) {
            ir_value *to = low_add(l, at, low_index(l, i));
            ir_value *number = numbers_of(l, p, code_of(l, p, index, i));
            ir_value *scale = low_vload(l, p->scales, zero, to, per_lookup);
            ir_value *x = low_binary(l, IR_MUL, scale, number);
            if (p->format.terms > 1)
                x = low_binary(l, IR_ADD, x, low_vload(l, p->values, zero, to, per_lookup));
            low_vstore(l, x, p->values, zero, to, per_lookup);
        }
        low_loop_end(l, &strip, NULL);
        low_loop_end(l, &tiles, NULL);
    }
}

static void decode(lowering *l, const plane_table *p, ir_value *column)
{
    ir_value *sixteen = low_index(l, 16), *one = low_index(l, 1), *zero = low_index(l, 0);
    ir_value *spread = low_index(l, p->spread);
    ir_value *half = low_rem(l, low_div(l, column, sixteen), low_index(l, 2));
    ir_value *divisor = low_add(l, one, low_mul(l, half, low_index(l, 15)));
    divisor = low_cast(l, divisor, SCALAR_I32);
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, p->lookups), "f32", 0, NULL);
    ir_value *values[LOOKUP_WEIGHTS] = {NULL};
    for (unsigned i = 0; p->offsets && i < LOOKUP_WEIGHTS; i++)
        values[i] = low_vload(l, p->offsets, zero, low_mul(l, strip.counter, spread), p->spread);
    for (unsigned term = 0; term < p->format.terms; term++) {
        if (quant_term_of(&p->format, term).form == QUANT_BOOKED)
            continue;
        ir_value *levels[LOOKUP_WEIGHTS] = {NULL};
        term_levels(l, p, term, strip.counter, divisor, levels);
        add_term(l, p, term, strip.counter, levels, values);
    }
    ir_value *at = low_mul(l, strip.counter, low_index(l, LOOKUP_WEIGHTS));
    for (unsigned i = 0; values[0] && i < LOOKUP_WEIGHTS; i++)
        low_vstore(l, values[i], p->values, zero, low_add(l, at, low_index(l, i)), LOOKUP_WEIGHTS);
    low_loop_end(l, &strip, NULL);
    if (p->format.codebook)
        decode_codes(l, p, divisor);
}

void unpack_row(lowering *l, const plane_table *p, ir_value *index)
{
    ir_value *n = low_index(l, p->tile_n), *column = low_rem(l, index, n);
    ir_value *start = low_mul(l, low_div(l, index, n), low_index(l, p->geometry.column_tile_bytes));
    start = low_add(l, start, low_index(l, p->geometry.book_bytes));
    collect_words(l, p, start, column);
    collect_groups(l, p, start, column);
    decode(l, p, column);
}
