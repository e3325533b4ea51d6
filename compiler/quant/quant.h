// The canonical weight form, quantizers, and packing.
//
//    w[n][k] = sum over planes p of alpha_p[n][k/G] * s_p[n][k] + beta[n][k/G],   s_p in {+1, -1}
//
// Every format is a row of quant/formats (docs/weights.md). A dense format (f32,
// f16, bf16) has no planes. Formats of one scale per group keep alpha_p =
// scale * 2^p (uniform) or alpha_0 = alpha_1 = scale (ternary).
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/scalar.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum quant_kind { QUANT_DENSE, QUANT_UNIFORM, QUANT_TERNARY } quant_kind;

// A format name:  f32 f16 bf16 | w1..w4 or ternary, then optionally g16 g32 g64
// g128 g256 (absent: one scale per row), z (with zero points, so with offsets;
// not for ternary), f (group scales in f32; the default is f16, and row scales
// are always f32, so that f needs a group). Every format has exactly one name.
typedef struct quant_format {
    char name[24];
    quant_kind kind;
    unsigned planes;   // 0 for dense
    int64_t group;     // 0: one per row
    bool offset;       // beta present
    scalar_type scale; // of scales and offsets; for dense the element type
} quant_format;

bool quant_format_parse(const char *name, quant_format *out);
// Names of formats that are still to be decided: "w", any format, and "dense", which stays dense
// unless a rule names the weight. quant_format_parse refuses them.
bool quant_format_is_open(const char *name);
void quant_format_list(
    text *out); // the grammar with examples, for messages and `lutc list formats`

// Groups along K (the last one may be short).
static inline int64_t quant_groups(const quant_format *f, int64_t k)
{
    return f->group ? (k + f->group - 1) / f->group : 1;
}

// Rows of a matrix in canonical form. Signs: bit p of codes[n * k + i] is 1 where s_p = +1.
// Scales and offsets are already rounded to the format's scale type.
typedef struct quant_rows {
    quant_format format;
    int64_t n, k;
    uint8_t *codes; // n * k
    float *scale;   // n * groups
    float *offset;  // n * groups; NULL without offsets
} quant_rows;

quant_rows quant_rows_create(arena *a, const quant_format *f, int64_t n, int64_t k);
// A view of rows first .. first + count.
quant_rows quant_rows_slice(const quant_rows *q, int64_t first, int64_t count);

// Round to nearest: uniform by absolute maximum (symmetric) or range (z), binary and ternary by
// absolute mean. `weights` is n * k floats, row-major. Non-finite weights are the caller's to
// refuse. Deterministic, and independent of which rows are given together.
void quant_quantize(const float *weights, quant_rows *out);
// REFINED searches scale and offset for a smaller squared error, several times slower.
typedef enum quant_method { QUANT_NEAREST, QUANT_REFINED } quant_method;
void quant_quantize_by(quant_method method, const float *weights, quant_rows *out);

// Writes the same values in out's format (same n and k). False, with *out undefined, when they
// have no exact form there: other kind or planes, groups that do not agree, a scale or offset
// that its type cannot hold.
bool quant_convert(const quant_rows *from, quant_rows *out);

// The exact values that the canonical form stands for.
double quant_value(const quant_rows *q, int64_t n, int64_t k);
void quant_dequantize(const quant_rows *q, double *out); // n * k

// ------------------------------------------------------------ packing, docs/program.md

typedef struct pack_shape {
    unsigned tile_m, tile_n;
} pack_shape;

// Bytes of one packed weight (dense formats included), 0 when the format cannot be packed for
// this tile shape (a group smaller than a quarter of the tile depth), and for empty matrices.
uint64_t pack_size(const quant_format *f, int64_t n, int64_t k, pack_shape shape);
// Byte offset, within one column tile's stream, of what the generated code reads: the geometry
// that packing and lowering share.
typedef struct pack_geometry {
    int64_t column_tiles, depth_tiles; // ceil(N / n), ceil(K / D)
    int64_t depth;                     // D = 32 m weights
    int64_t plane_bytes;               // 4 m n
    int64_t groups_per_tile;           // G < D: D / G; else 1
    int64_t tiles_per_group;           // G > D: G / D; row: depth_tiles; else 1
    int64_t scale_bytes;               // n scales padded to 64
    int64_t offset_bytes;              // 0 without offsets
    int64_t column_tile_bytes;         // the whole stream of one column tile
} pack_geometry;
// False: a dense format, or one that cannot be packed for this shape.
bool pack_geometry_of(const quant_format *f, int64_t n, int64_t k, pack_shape shape,
                      pack_geometry *out);
// Packs rows first .. first + q->n of the matrix (first a multiple of tile_n) to `out`, the
// streams of those column tiles.
void pack_rows(const quant_rows *q, pack_shape shape, uint8_t *out);
// The inverse, into rows made by quant_rows_create. Every byte string of the right size unpacks
// (a ternary code then may be 2, which is 0 as well).
void pack_unpack_rows(const uint8_t *in, pack_shape shape, quant_rows *out);
