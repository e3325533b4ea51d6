// Packing: codes become index planes, docs/program.md gives the stream and
// docs/xlut.md the layout of a plane.
//
// A lookup is four codes of a column, a byte each; columns 16 apart share a byte
// of the planes. Both columns' codes, in the nibbles of one word, are transposed
// as 4 x 4 bits, after which byte p holds plane p's two nibbles; so one word is
// a lookup of two columns in all planes.
#include "compiler/quant/columns.h"
#include "support/clones.h"

#include <assert.h>
#include <math.h>
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

// Four planes from bit `shift` of the codes on, which are of 4 bits if it is -1.
static inline uint32_t load_bits(const uint8_t *codes, int shift)
{
    return shift < 0 ? load32(codes) : load32(codes) >> shift & 0x0f0f0f0f;
}

static inline __attribute__((always_inline)) void
index_block(const uint8_t *restrict codes, int64_t stride, int shift, block_lines lines)
{
    for (int64_t c = 0; c < LINE_COLUMNS / 2; c++) {
        const uint8_t *low = codes + c * stride, *high = low + LINE_COLUMNS / 2 * stride;
        uint32_t words[BLOCK_CODES / 4];
        for (int i = 0; i < BLOCK_CODES / 4; i++)
            words[i] = remap(
                transpose(load_bits(low + 4 * i, shift) | load_bits(high + 4 * i, shift) << 4));
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

static void index_edge(const uint8_t *codes, int64_t stride, int shift, int64_t columns,
                       int64_t count, block_lines lines)
{
    uint8_t padded[LINE_COLUMNS][BLOCK_CODES] = {0};
    for (int64_t c = 0; c < columns && count > 0; c++)
        memcpy(padded[c], codes + c * stride, (size_t)count);
    index_block(padded[0], BLOCK_CODES, shift, lines);
    clear_padding(lines, columns, count);
}

// `count` planes, at most 4, that the codes' bits from `first` on make.
typedef struct plane_range {
    unsigned first, count;
} plane_range;

static inline __attribute__((always_inline)) void columns_of(const packing *p, int64_t column,
                                                             int64_t k, plane_range planes,
                                                             int shift, uint8_t *restrict out)
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
            index_block(codes + k, stride, shift, lines);
        else
            index_edge(codes + k, stride, shift, columns, left, lines);
        for (int64_t i = 0; i < used; i++, out += step)
            for (unsigned plane = 0; plane < planes.count; plane++)
                for (int at = 0; at < LINE_BYTES; at++)
                    out[plane * plane_bytes + at] = (uint8_t)(lines[i][at] >> 8 * plane);
    }
}

// 32 columns, as deep as the depth tile that starts at k; `out` is their place in the first plane.
// The least depth is half a block: the other half then is not used.
static HOST_CLONES void pack_columns(const packing *p, int64_t column, int64_t k,
                                     plane_range planes, uint8_t *restrict out)
{
    if (p->rows->format.planes <= 4)
        columns_of(p, column, k, planes, -1, out);
    else
        columns_of(p, column, k, planes, (int)planes.first, out);
}

static void pack_signs(const packing *p, int64_t depth_tile, quant_term term, uint8_t *out)
{
    const unsigned end = term.first + term.planes;
    for (unsigned first = term.first; first < end; first += 4) {
        plane_range planes = {first, end - first < 4 ? end - first : 4};
        uint8_t *line = out + first * p->geometry->plane_bytes;
        for (int64_t column = 0; column < p->tile_n; column += LINE_COLUMNS, line += LINE_BYTES)
            pack_columns(p, column, depth_tile * p->geometry->depth, planes, line);
    }
}

// Where the code of weight k of a depth tile stands in the planes of a codebook: in turn each
// plane has the nibbles of its part of the depth, one or two codes to a nibble.
typedef struct book_place {
    int64_t byte; // from the first plane on
    unsigned shift;
} book_place;

static book_place book_place_of(const packing *p, unsigned bits, int64_t column, int64_t k)
{
    int64_t per_nibble = 4 / bits, per_plane = p->geometry->depth / bits;
    int64_t lookup = k % per_plane / per_nibble;
    int64_t line = lookup / LINE_LOOKUPS * (p->tile_n / LINE_COLUMNS) + column / LINE_COLUMNS;
    return (book_place){
        .byte = k / per_plane * p->geometry->plane_bytes + line * LINE_BYTES +
                column % 16 * LINE_LOOKUPS + lookup % LINE_LOOKUPS,
        .shift = (unsigned)(column % LINE_COLUMNS < 16 ? 0 : 4) + (unsigned)(k % per_nibble) * bits,
    };
}

static void pack_codes(const packing *p, int64_t depth_tile, unsigned bits, uint8_t *out)
{
    int64_t start = depth_tile * p->geometry->depth;
    int64_t count = least(p->rows->k - start, p->geometry->depth);
    memset(out, 0, (size_t)(bits * p->geometry->plane_bytes));
    for (int64_t column = 0; column < p->columns; column++) {
        const uint8_t *codes = p->rows->codes + (p->first + column) * p->rows->k + start;
        for (int64_t k = 0; k < count; k++) {
            book_place at = book_place_of(p, bits, column, k);
            out[at.byte] |= (uint8_t)((codes[k] & ((1 << bits) - 1)) << at.shift);
        }
    }
}

// The terms of binary coding have a plane each, which are packed together.
static uint8_t *pack_planes(const packing *p, int64_t depth_tile, uint8_t *out)
{
    const quant_format *f = &p->rows->format;
    unsigned signs = f->codebook ? f->codebook->bits : 0;
    if (f->codebook)
        pack_codes(p, depth_tile, f->codebook->bits, out);
    if (signs < f->planes)
        pack_signs(p, depth_tile, (quant_term){.first = signs, .planes = f->planes - signs}, out);
    return out + f->planes * p->geometry->plane_bytes;
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

// One number of each column: a row has `width` of them for a group.
static uint8_t *pack_values(const packing *p, const float *values, int64_t width, int64_t group,
                            uint8_t *out)
{
    const int64_t groups = quant_groups(&p->rows->format, p->rows->k), row = groups * width;
    const bool half = p->rows->format.scale == SCALAR_F16;
    const float *value = values + p->first * row + group * width;
    memset(out, 0, (size_t)p->geometry->scale_bytes);
    for (int64_t c = 0; group < groups && c < p->columns; c++, value += row) {
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
        for (unsigned term = 0; term < p->rows->format.terms; term++)
            out = pack_values(p, p->rows->scale + term, p->rows->format.terms, group, out);
        if (p->rows->offset)
            out = pack_values(p, p->rows->offset, 1, group, out);
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

void pack_book(const float *book, uint8_t *out)
{
    memcpy(out, book, QUANT_BOOK * sizeof *book);
}

bool pack_unpack_book(const uint8_t *in, float *book)
{
    bool finite = true;
    memcpy(book, in, QUANT_BOOK * sizeof *book);
    for (int i = 0; i < QUANT_BOOK; i++)
        finite &= isfinite(book[i]);
    return finite;
}

static uint8_t *pack_bytes(const packing *p, uint8_t *out)
{
    const size_t used = (size_t)(p->columns * p->rows->k);
    memcpy(out, p->rows->codes + p->first * p->rows->k, used);
    memset(out + used, 0, (size_t)p->geometry->plane_bytes - used);
    return pack_values(p, p->rows->scale, 1, 0, out + p->geometry->plane_bytes);
}

void pack_rows(const quant_rows *q, pack_shape shape, uint8_t *out)
{
    if (!shape.tile_m) {
        column_pack_rows(q, out);
        return;
    }
    pack_geometry g = must_have_geometry(q, shape);
    packing p = {.rows = q, .geometry = &g, .tile_n = shape.tile_n};
    for (; p.first < q->n; p.first += p.tile_n) {
        p.columns = least(q->n - p.first, p.tile_n);
        if (q->format.kind == QUANT_BYTES) {
            out = pack_bytes(&p, out);
            continue;
        }
        for (int64_t t = 0; t < g.depth_tiles; t++) {
            out = pack_planes(&p, t, out);
            out = pack_groups(&p, t, out);
        }
    }
}

static column_place place_of(const pack_geometry *g, int64_t tile)
{
    return (column_place){pack_tiles_beside(g, tile), tile % g->beside};
}

void pack_tile(const quant_rows *q, pack_shape shape, const pack_geometry *g, int64_t tile,
               uint8_t *stream)
{
    if (shape.tile_m)
        pack_rows(q, shape, stream);
    else
        column_pack_block(q, place_of(g, tile), stream);
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
    const quant_codebook *book = p->rows->format.codebook;
    unsigned signs = book ? book->bits : 0;
    if (book) {
        book_place at = book_place_of(p, signs, column, k);
        code = planes[at.byte] >> at.shift & ((1u << signs) - 1);
    }
    for (unsigned plane = signs; plane < p->rows->format.planes; plane++) {
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

static const uint8_t *unpack_values(const packing *p, float *values, int64_t width, int64_t group,
                                    const uint8_t *in)
{
    int64_t groups = quant_groups(&p->rows->format, p->rows->k);
    scalar_type type = p->rows->format.scale;
    for (int64_t c = 0; group < groups && c < p->columns; c++)
        values[((p->first + c) * groups + group) * width] =
            (float)scalar_load(type, in + (size_t)c * scalar_size(type));
    return in + p->geometry->scale_bytes;
}

static const uint8_t *unpack_groups(const packing *p, int64_t depth_tile, const uint8_t *in)
{
    int64_t first, last;
    groups_after(&p->rows->format, p->geometry, depth_tile, &first, &last);
    for (int64_t group = first; group < last; group++) {
        for (unsigned term = 0; term < p->rows->format.terms; term++)
            in = unpack_values(p, p->rows->scale + term, p->rows->format.terms, group, in);
        if (p->rows->offset)
            in = unpack_values(p, p->rows->offset, 1, group, in);
    }
    return in;
}

static const uint8_t *unpack_bytes(const packing *p, const uint8_t *in)
{
    memcpy(p->rows->codes + p->first * p->rows->k, in, (size_t)(p->columns * p->rows->k));
    return unpack_values(p, p->rows->scale, 1, 0, in + p->geometry->plane_bytes);
}

void pack_unpack_rows(const uint8_t *in, pack_shape shape, quant_rows *out)
{
    if (!shape.tile_m) {
        column_unpack_rows(in, out);
        return;
    }
    pack_geometry g = must_have_geometry(out, shape);
    packing p = {.rows = out, .geometry = &g, .tile_n = shape.tile_n};
    for (; p.first < out->n; p.first += p.tile_n) {
        p.columns = least(out->n - p.first, p.tile_n);
        if (out->format.kind == QUANT_BYTES) {
            in = unpack_bytes(&p, in);
            continue;
        }
        for (int64_t t = 0; t < g.depth_tiles; t++) {
            in = unpack_planes(&p, t, in);
            in = unpack_groups(&p, t, in);
        }
    }
}

void pack_unpack_tile(const uint8_t *stream, pack_shape shape, const pack_geometry *g, int64_t tile,
                      quant_rows *out)
{
    if (shape.tile_m)
        pack_unpack_rows(stream, shape, out);
    else
        column_unpack_block(stream, place_of(g, tile), out);
}
