// Packing: codes become index planes, docs/program.md gives the stream and
// docs/xlut.md the layout of a plane.
//
// A lookup is four codes of a column, a byte each; columns 16 apart share a byte
// of the planes. Both columns' codes, in the nibbles of one word, are transposed
// as 4 x 4 bits, after which byte p holds plane p's two nibbles; so one word is
// a lookup of two columns in all planes.
#include "compiler/quant/quant.h"
#include "support/clones.h"

#include <assert.h>
#include <string.h>

enum { LINE_LOOKUPS = 4, LINE_COLUMNS = 32, LINE_BYTES = 64, LINE_CODES = 16 };
enum { BLOCK_LINES = 4, BLOCK_CODES = BLOCK_LINES * LINE_CODES }; // a cache line of codes

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are loaded as they lie");

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline uint32_t load32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

// Bit p of byte i to bit i of byte p, in the low nibbles and in the high ones.
static inline uint32_t transpose(uint32_t x)
{
    uint32_t moved = (x ^ x >> 7) & 0x00aa00aa;
    x ^= moved ^ moved << 7;
    moved = (x ^ x >> 14) & 0x0000cccc;
    return x ^ moved ^ moved << 14;
}

// Sign bits b3 b2 b1 b0 in all nibbles to indices into the half table: b2 b1 b0 if b3, else
// 8 + their complement.
static inline uint32_t remap(uint32_t signs)
{
    uint32_t negative = ~signs >> 3 & 0x11111111;
    return signs ^ 0x88888888 ^ ((negative << 3) - negative);
}

// What one column tile is packed from: columns beyond `columns` are padding.
typedef struct packing {
    const quant_rows *rows;
    const pack_geometry *geometry;
    int64_t first, columns, tile_n;
} packing;

// Lines of 32 columns in all planes: byte p of a word is for plane p.
typedef uint32_t block_lines[BLOCK_LINES][LINE_BYTES];

static inline void index_block(const uint8_t *restrict codes, int64_t stride, block_lines lines)
{
    for (int64_t c = 0; c < LINE_COLUMNS / 2; c++) {
        const uint8_t *low = codes + c * stride, *high = low + LINE_COLUMNS / 2 * stride;
        uint32_t words[BLOCK_CODES / 4];
        for (int i = 0; i < BLOCK_CODES / 4; i++)
            words[i] = remap(transpose(load32(low + 4 * i) | load32(high + 4 * i) << 4));
        for (int i = 0; i < BLOCK_LINES; i++)
            memcpy(&lines[i][LINE_LOOKUPS * c], words + LINE_LOOKUPS * i, LINE_LOOKUPS * 4);
    }
}

// Zeros in what lies beyond the matrix's columns, and in lookups beyond its K.
static void clear_padding(block_lines lines, int64_t columns, int64_t codes)
{
    for (int i = 0; i < BLOCK_LINES; i++)
        for (int at = 0; at < LINE_BYTES; at++) {
            int column = at / LINE_LOOKUPS, code = LINE_CODES * i + at % LINE_LOOKUPS * 4;
            uint32_t low = column < columns ? 0x0f0f0f0f : 0;
            uint32_t high = column + LINE_COLUMNS / 2 < columns ? 0xf0f0f0f0 : 0;
            lines[i][at] &= code < codes ? low | high : 0;
        }
}

static void index_edge(const uint8_t *codes, int64_t stride, int64_t columns, int64_t count,
                       block_lines lines)
{
    uint8_t padded[LINE_COLUMNS][BLOCK_CODES] = {0};
    for (int64_t c = 0; c < columns && count > 0; c++)
        memcpy(padded[c], codes + c * stride, (size_t)count);
    index_block(padded[0], BLOCK_CODES, lines);
    clear_padding(lines, columns, count);
}

// 32 columns, as deep as the depth tile that starts at k; `out` is their place in its plane 0.
// The least depth is half a block: the other half then is not used.
static HOST_CLONES void pack_columns(const packing *p, int64_t column, int64_t k,
                                     uint8_t *restrict out)
{
    const int64_t stride = p->rows->k, columns = least(p->columns - column, LINE_COLUMNS);
    const int64_t plane_bytes = p->geometry->plane_bytes, end = k + p->geometry->depth;
    const int64_t step = p->tile_n / LINE_COLUMNS * LINE_BYTES;
    const int64_t used = least(p->geometry->depth / LINE_CODES, BLOCK_LINES);
    const uint8_t *codes = p->rows->codes + (p->first + column) * stride;
    for (; k < end; k += BLOCK_CODES) {
        block_lines lines;
        int64_t left = least(stride - k, BLOCK_CODES);
        if (columns == LINE_COLUMNS && left == BLOCK_CODES)
            index_block(codes + k, stride, lines);
        else
            index_edge(codes + k, stride, columns, left, lines);
        for (int64_t i = 0; i < used; i++, out += step)
            for (unsigned plane = 0; plane < p->rows->format.planes; plane++)
                for (int at = 0; at < LINE_BYTES; at++)
                    out[plane * plane_bytes + at] = (uint8_t)(lines[i][at] >> 8 * plane);
    }
}

static uint8_t *pack_planes(const packing *p, int64_t depth_tile, uint8_t *out)
{
    uint8_t *line = out;
    for (int64_t column = 0; column < p->tile_n; column += LINE_COLUMNS, line += LINE_BYTES)
        pack_columns(p, column, depth_tile * p->geometry->depth, line);
    return out + p->rows->format.planes * p->geometry->plane_bytes;
}

// --------------------------------------------------------------- scales, offsets

// The groups whose values follow depth tile t: [*first, *last). Groups beyond
// the matrix's own are padding.
static void groups_after(const quant_format *f, const pack_geometry *g, int64_t t, int64_t *first,
                         int64_t *last)
{
    if (f->group && f->group <= g->depth) {
        *first = t * g->groups_per_tile;
        *last = *first + g->groups_per_tile;
        return;
    }
    bool ends = (t + 1) % g->tiles_per_group == 0 || t + 1 == g->depth_tiles;
    *first = t / g->tiles_per_group;
    *last = *first + ends;
}

// The f16 bits of a finite value that is one: the exponent is moved by an exact multiplication.
static inline uint16_t half_bits(float value)
{
    uint32_t sign, bits;
    float moved = value * 0x1p-112f;
    memcpy(&sign, &value, sizeof sign);
    memcpy(&bits, &moved, sizeof bits);
    return (uint16_t)((sign >> 16 & 0x8000) | (bits >> 13 & 0x7fff));
}

static uint8_t *pack_values(const packing *p, const float *values, int64_t group, uint8_t *out)
{
    const int64_t groups = quant_groups(&p->rows->format, p->rows->k);
    const bool half = p->rows->format.scale == SCALAR_F16;
    const float *value = values + p->first * groups + group;
    memset(out, 0, (size_t)p->geometry->scale_bytes);
    for (int64_t c = 0; group < groups && c < p->columns; c++, value += groups) {
        uint16_t bits = half_bits(*value);
        if (half)
            memcpy(out + 2 * c, &bits, sizeof bits);
        else
            memcpy(out + 4 * c, value, sizeof *value);
    }
    return out + p->geometry->scale_bytes;
}

static uint8_t *pack_groups(const packing *p, int64_t depth_tile, uint8_t *out)
{
    int64_t first, last;
    groups_after(&p->rows->format, p->geometry, depth_tile, &first, &last);
    for (int64_t group = first; group < last; group++) {
        out = pack_values(p, p->rows->scale, group, out);
        if (p->rows->offset)
            out = pack_values(p, p->rows->offset, group, out);
    }
    return out;
}

static pack_geometry must_have_geometry(const quant_rows *q, pack_shape shape)
{
    pack_geometry g;
    if (!pack_geometry_of(&q->format, q->n, q->k, shape, &g))
        INTERNAL_ERROR("format %s cannot be packed for m%u n%u", q->format.name, shape.tile_m,
                       shape.tile_n);
    return g;
}

void pack_rows(const quant_rows *q, pack_shape shape, uint8_t *out)
{
    pack_geometry g = must_have_geometry(q, shape);
    packing p = {.rows = q, .geometry = &g, .tile_n = shape.tile_n};
    for (; p.first < q->n; p.first += p.tile_n) {
        p.columns = least(q->n - p.first, p.tile_n);
        for (int64_t t = 0; t < g.depth_tiles; t++) {
            out = pack_planes(&p, t, out);
            out = pack_groups(&p, t, out);
        }
    }
}

// --------------------------------------------------------------------- unpacking

// The sign bit of lane k % 4 in a remapped index.
static unsigned index_bit(unsigned index, unsigned lane)
{
    unsigned positive = !(index & 8);
    return lane == 3 ? positive : (index >> lane & 1) ^ !positive;
}

static unsigned code_at(const packing *p, const uint8_t *planes, int64_t column, int64_t k)
{
    int64_t line = k / LINE_CODES * (p->tile_n / LINE_COLUMNS) + column / LINE_COLUMNS;
    int64_t byte = line * LINE_BYTES + column % 16 * LINE_LOOKUPS + k / 4 % LINE_LOOKUPS;
    unsigned shift = column % LINE_COLUMNS < 16 ? 0 : 4, code = 0;
    for (unsigned plane = 0; plane < p->rows->format.planes; plane++) {
        unsigned index = planes[plane * p->geometry->plane_bytes + byte] >> shift & 15u;
        code |= index_bit(index, (unsigned)(k % 4)) << plane;
    }
    return code;
}

static const uint8_t *unpack_planes(const packing *p, int64_t depth_tile, const uint8_t *in)
{
    int64_t start = depth_tile * p->geometry->depth;
    int64_t count = least(p->rows->k - start, p->geometry->depth);
    for (int64_t column = 0; column < p->columns; column++) {
        uint8_t *codes = p->rows->codes + (p->first + column) * p->rows->k + start;
        for (int64_t k = 0; k < count; k++)
            codes[k] = (uint8_t)code_at(p, in, column, k);
    }
    return in + p->rows->format.planes * p->geometry->plane_bytes;
}

static const uint8_t *unpack_values(const packing *p, float *values, int64_t group,
                                    const uint8_t *in)
{
    int64_t groups = quant_groups(&p->rows->format, p->rows->k);
    scalar_type type = p->rows->format.scale;
    for (int64_t c = 0; group < groups && c < p->columns; c++)
        values[(p->first + c) * groups + group] =
            (float)scalar_load(type, in + (size_t)c * scalar_size(type));
    return in + p->geometry->scale_bytes;
}

static const uint8_t *unpack_groups(const packing *p, int64_t depth_tile, const uint8_t *in)
{
    int64_t first, last;
    groups_after(&p->rows->format, p->geometry, depth_tile, &first, &last);
    for (int64_t group = first; group < last; group++) {
        in = unpack_values(p, p->rows->scale, group, in);
        if (p->rows->offset)
            in = unpack_values(p, p->rows->offset, group, in);
    }
    return in;
}

void pack_unpack_rows(const uint8_t *in, pack_shape shape, quant_rows *out)
{
    pack_geometry g = must_have_geometry(out, shape);
    packing p = {.rows = out, .geometry = &g, .tile_n = shape.tile_n};
    for (; p.first < out->n; p.first += p.tile_n) {
        p.columns = least(out->n - p.first, p.tile_n);
        for (int64_t t = 0; t < g.depth_tiles; t++) {
            in = unpack_planes(&p, t, in);
            in = unpack_groups(&p, t, in);
        }
    }
}
