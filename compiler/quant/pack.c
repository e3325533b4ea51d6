// Packing: codes become index planes, docs/program.md gives the stream and
// docs/xlut.md the layout of a plane.
//
// Sixteen codes of a column (four lookups) are two 64-bit words. Bit p of eight
// codes is masked out, and one multiplication gathers the bits of each four codes
// into a nibble; the remap to a half table works on the eight nibbles of two
// columns at once.
#include "compiler/quant/quant.h"

#include <assert.h>
#include <string.h>

enum { LINE_LOOKUPS = 4, LINE_COLUMNS = 32, LINE_BYTES = 64, LINE_CODES = 16 };

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are loaded as they lie");

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline void store32(uint8_t *at, uint32_t word)
{
    memcpy(at, &word, sizeof word);
}

// Bit p of codes 0..3 to bits 24..27, of codes 4..7 to bits 56..59; other bits are rubbish.
static inline uint64_t gather(uint64_t codes, unsigned p)
{
    return (codes >> p & 0x0101010101010101u) * 0x01020408u;
}

// Sign bits b3 b2 b1 b0 in both nibbles of every other byte to indices into the half table:
// b2 b1 b0 if b3, else 8 + their complement.
static inline uint64_t remap(uint64_t signs)
{
    uint64_t negative = ~signs >> 3 & 0x0011001100110011u;
    return signs ^ 0x0088008800880088u ^ negative * 7;
}

// The indices of four lookups, a byte each: low nibbles of one column, high nibbles of the other.
// On the way lookups 0, 2, 1, 3 stand in bytes 0, 2, 4, 6.
static inline uint32_t indices(const uint64_t low[2], const uint64_t high[2], unsigned p)
{
    uint64_t signs = (gather(low[0], p) >> 24 & 0x0000000f0000000fu) |
                     (gather(low[1], p) >> 8 & 0x000f0000000f0000u) |
                     (gather(high[0], p) >> 20 & 0x000000f0000000f0u) |
                     (gather(high[1], p) >> 4 & 0x00f0000000f00000u);
    uint64_t spread = remap(signs);
    return (uint32_t)(spread | spread >> 24);
}

// Up to 16 codes of a column; `valid` keeps the lookups within K.
typedef struct line_codes {
    uint64_t words[2];
    uint32_t valid;
} line_codes;

static line_codes load_last_codes(const uint8_t *codes, int64_t left)
{
    uint8_t padded[LINE_CODES] = {0};
    if (left <= 0)
        return (line_codes){{0, 0}, 0};
    memcpy(padded, codes, (size_t)left);
    int lookups = (int)(left + 3) / 4;
    return (line_codes){{load64(padded), load64(padded + 8)}, 0x0f0f0f0fu >> 8 * (4 - lookups)};
}

// codes NULL: a column beyond N.
static inline line_codes load_codes(const uint8_t *codes, int64_t at, int64_t left)
{
    if (!codes)
        return (line_codes){{0, 0}, 0};
    if (left >= LINE_CODES)
        return (line_codes){{load64(codes + at), load64(codes + at + 8)}, 0x0f0f0f0fu};
    return load_last_codes(codes + at, left);
}

// What one column tile is packed from: columns beyond `columns` are padding.
typedef struct packing {
    const quant_rows *rows;
    const pack_geometry *geometry;
    int64_t first, columns, tile_n;
} packing;

static const uint8_t *column_codes(const packing *p, int64_t column, int64_t k)
{
    return column < p->columns ? p->rows->codes + (p->first + column) * p->rows->k + k : NULL;
}

// A pair of columns 16 apart shares four bytes of each line; `out` is their place in the first
// line of plane 0. All lines of a depth tile in turn: that reads a column's cache lines once.
// Inlined for each number of planes, so that the loop over them is unrolled.
static inline __attribute__((always_inline)) void
pack_pair(const packing *p, int64_t column, int64_t k, unsigned planes, uint8_t *out)
{
    const uint8_t *low = column_codes(p, column, k);
    const uint8_t *high = column_codes(p, column + LINE_COLUMNS / 2, k);
    const int64_t plane_bytes = p->geometry->plane_bytes, depth = p->geometry->depth;
    const int64_t step = p->tile_n / LINE_COLUMNS * LINE_BYTES, left = p->rows->k - k;
    for (int64_t i = 0; i < depth; i += LINE_CODES, out += step) {
        line_codes x = load_codes(low, i, left - i), y = load_codes(high, i, left - i);
        uint32_t valid = x.valid | y.valid << 4;
        for (unsigned plane = 0; plane < planes; plane++)
            store32(out + plane * plane_bytes, indices(x.words, y.words, plane) & valid);
    }
}

static void pack_pair_planes(const packing *p, int64_t column, int64_t k, uint8_t *out)
{
    switch (p->rows->format.planes) {
    case 1: pack_pair(p, column, k, 1, out); break;
    case 2: pack_pair(p, column, k, 2, out); break;
    case 3: pack_pair(p, column, k, 3, out); break;
    default: pack_pair(p, column, k, 4, out); break;
    }
}

static uint8_t *pack_planes(const packing *p, int64_t depth_tile, uint8_t *out)
{
    uint8_t *line = out;
    for (int64_t column = 0; column < p->tile_n; column += LINE_COLUMNS, line += LINE_BYTES)
        for (int64_t c = 0; c < LINE_COLUMNS / 2; c++)
            pack_pair_planes(p, column + c, depth_tile * p->geometry->depth, line + 4 * c);
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

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
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
