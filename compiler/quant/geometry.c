// Where things are in a packed weight: the arithmetic of docs/program.md.
#include "compiler/quant/columns.h"

#include <assert.h>
#include <string.h>

enum { BOOK_BYTES = 64 };
static_assert(BOOK_BYTES == QUANT_BOOK * sizeof(float), "a line holds a codebook");

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}
static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static int64_t align64(int64_t bytes)
{
    return divide_up(bytes, 64) * 64;
}

// The index layout needs whole lines of 32 columns, the tables n >= 32 m.
static bool shape_valid(pack_shape s)
{
    return s.tile_m >= 1 && s.tile_m <= 64 && (s.tile_m & (s.tile_m - 1)) == 0 &&
           s.tile_n % 32 == 0 && s.tile_n >= 32 * s.tile_m && s.tile_n <= 1 << 16;
}

// Blocks of scales in one column tile: all of a padded last tile when G < D,
// else one where each group ends.
static int64_t scale_blocks(const quant_format *f, int64_t k, const pack_geometry *g)
{
    if (k == 0)
        return 0;
    return f->group && f->group < g->depth ? g->depth_tiles * g->groups_per_tile
                                           : quant_groups(f, k);
}

static int64_t tiles_per_group(const quant_format *f, const pack_geometry *g)
{
    if (!f->group)
        return g->depth_tiles;
    return f->group > g->depth ? f->group / g->depth : 1;
}

// No rows of a tile: columns for CPUs.
static bool is_for_cpus(pack_shape s)
{
    return !s.tile_m && s.tile_n == COLUMN_BLOCK;
}

static int64_t book_bytes(const quant_format *f)
{
    return f->codebook && f->codebook->learned ? BOOK_BYTES : 0;
}

// All that they share with tiles: a stream for so many columns, behind a learned codebook.
static bool columns_geometry(const quant_format *f, int64_t n, int64_t k, pack_geometry *out)
{
    column_geometry g;
    if (!column_geometry_of(f, n, k, &g))
        return false;
    int64_t total = g.blocks * g.block_bytes;
    if (__builtin_add_overflow(total, book_bytes(f), &total))
        return false;
    *out = (pack_geometry){.column_tiles = g.blocks,
                           .depth_tiles = g.units,
                           .depth = g.unit,
                           .groups_per_tile = 1,
                           .column_tile_bytes = g.block_bytes,
                           .beside = g.blocks ? least(g.beside, g.blocks) : 1,
                           .book_bytes = book_bytes(f)};
    return true;
}

// Rows of elements, n for each column tile, then their scales.
static bool bytes_geometry(const quant_format *f, int64_t n, int64_t k, pack_shape shape,
                           pack_geometry *out)
{
    int64_t elements, total;
    pack_geometry g = {.column_tiles = divide_up(n, shape.tile_n),
                       .depth_tiles = k > 0,
                       .depth = k,
                       .groups_per_tile = 1,
                       .tiles_per_group = 1,
                       .beside = 1,
                       .scale_bytes = align64((int64_t)scalar_size(f->scale) * shape.tile_n)};
    if (__builtin_mul_overflow(k, (int64_t)shape.tile_n, &elements) || elements > INT64_MAX / 2)
        return false;
    g.plane_bytes = align64(elements);
    g.group_bytes = g.scale_bytes;
    g.column_tile_bytes = g.plane_bytes + g.group_bytes;
    if (__builtin_mul_overflow(g.column_tile_bytes, g.column_tiles, &total))
        return false;
    *out = g;
    return true;
}

bool pack_geometry_of(const quant_format *f, int64_t n, int64_t k, pack_shape shape,
                      pack_geometry *out)
{
    if (is_for_cpus(shape))
        return columns_geometry(f, n, k, out);
    if (!f->planes || !shape_valid(shape) || n < 0 || k < 0)
        return false;
    if (f->kind == QUANT_BYTES)
        return bytes_geometry(f, n, k, shape, out);
    int64_t depth = 32 * (int64_t)shape.tile_m;
    if (f->group && f->group * 4 < depth)
        return false;
    pack_geometry g = {.column_tiles = divide_up(n, shape.tile_n),
                       .depth_tiles = divide_up(k, depth),
                       .depth = depth,
                       .plane_bytes = 4 * (int64_t)shape.tile_m * shape.tile_n,
                       .groups_per_tile = 1,
                       .beside = 1};
    g.scale_bytes = align64((int64_t)scalar_size(f->scale) * shape.tile_n);
    g.offset_bytes = f->offset ? g.scale_bytes : 0;
    g.group_bytes = f->terms * g.scale_bytes + g.offset_bytes;
    g.book_bytes = book_bytes(f);
    if (f->group && f->group < depth)
        g.groups_per_tile = depth / f->group;
    g.tiles_per_group = tiles_per_group(f, &g);
    int64_t planes, scales, total;
    if (__builtin_mul_overflow(g.depth_tiles, f->planes * g.plane_bytes, &planes) ||
        __builtin_mul_overflow(scale_blocks(f, k, &g), g.group_bytes, &scales) ||
        __builtin_add_overflow(planes, scales, &g.column_tile_bytes) ||
        __builtin_mul_overflow(g.column_tile_bytes, g.column_tiles, &total) ||
        __builtin_add_overflow(total, g.book_bytes, &total))
        return false;
    *out = g;
    return true;
}

uint64_t pack_size(const quant_format *f, int64_t n, int64_t k, pack_shape shape)
{
    if (f->planes) {
        pack_geometry g;
        if (!pack_geometry_of(f, n, k, shape, &g) || !g.column_tiles || !g.depth_tiles)
            return 0;
        return (uint64_t)(g.book_bytes + g.column_tiles * g.column_tile_bytes);
    }
    int64_t count, bytes;
    if (n < 0 || k < 0 || __builtin_mul_overflow(n, k, &count) ||
        __builtin_mul_overflow(count, (int64_t)scalar_size(f->scale), &bytes))
        return 0;
    return (uint64_t)bytes;
}
