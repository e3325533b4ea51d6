// The canonical weight form, quantizers, and packing.
//
//    w[n][k] = sum over terms t of scale_t[n][k/G] * level_t(code[n][k])  +  beta[n][k/G]
//
// A term is what one pass of lookups gives: planes of signs, weighted 2^p or equally, or the entry
// of a codebook. Every format is a base of format.c (docs/weights.md). A dense format (f32, f16,
// bf16) has no planes.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/scalar.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum quant_kind {
    QUANT_DENSE,
    QUANT_UNIFORM,  // planes weighted 2^p under one scale
    QUANT_TERNARY,  // two planes of equal weight
    QUANT_CODED,    // binary coding: a scale for every plane
    QUANT_CODEBOOK, // codes into up to 16 numbers, the same for the whole matrix
    QUANT_SPECIAL,  // a codebook and a plane, which gives each group one more number
    QUANT_BYTES,    // elements of 8 bits, row-major, under one scale a row: for matrix units
} quant_kind;

enum {
    QUANT_BOOK = 16,    // numbers of a codebook
    QUANT_CODES = 256,  // codes of a weight, at most
    QUANT_TERMS = 4,    // terms of a format, at most
    QUANT_SPECIALS = 4, // numbers a group may choose from
};

// The numbers that codes stand for, times a scale. A group that has specials takes one of them:
// the code `special` stands for it (QUANT_SPECIAL: the plane's +1), or the codes from `special` on
// stand for each and all but one are not used.
typedef struct quant_codebook {
    const char *name;
    unsigned bits;  // of a code: 2 or 4
    unsigned count; // numbers that any group may use
    bool learned;   // from the matrix; levels are then those of quant_rows.book
    bool whole;     // all levels are whole numbers: products with integers are exact
    float levels[QUANT_BOOK];
    unsigned n_specials, special;
    float specials[QUANT_SPECIALS];
} quant_codebook;

// A format name: a base (quant_format_list), then optionally g16 g32 g64 g128 g256 (absent: one
// scale per row), z (with offsets, where the base may have them), f (group scales in f32; the
// default is f16, and row scales are always f32, so that f needs a group). Every format has
// exactly one name.
typedef struct quant_format {
    char name[64]; // a tensor of several formats has their mix's (mix.h)
    quant_kind kind;
    unsigned planes;                // bits of a code, but for BYTES index planes; 0 for dense
    int64_t group;                  // 0: one per row
    bool offset;                    // beta present
    scalar_type scale;              // of scales and offsets; for dense the element type
    unsigned terms;                 // scales of a group
    scalar_type element;            // BYTES: i8, e4m3, e5m2
    const quant_codebook *codebook; // CODEBOOK, SPECIAL
} quant_format;

// How the planes of a term give a level.
typedef enum quant_form {
    QUANT_WEIGHTED, // sum of 2^p s_p
    QUANT_EQUAL,    // sum of s_p
    QUANT_BOOKED,   // the codebook's number
} quant_form;
typedef struct quant_term {
    quant_form form;
    unsigned first, planes; // of the format's planes, and of the bits of a code
} quant_term;
quant_term quant_term_of(const quant_format *f, unsigned term);
// What a term's scale is multiplied by for each code: uniform 2q - (2^b - 1), ternary -2, 0, 0, +2,
// binary coding +-1, a codebook its number, bytes their element. `book`: QUANT_BOOK numbers, of
// codebook formats.
void quant_levels(const quant_format *f, const float *book, unsigned term,
                  double levels[QUANT_CODES]);
// Accumulators of each row that the lookups of a group need, with tables in one part: one for
// every four planes of a term.
unsigned quant_accumulators(const quant_format *f);

bool quant_format_parse(const char *name, quant_format *out);
// Names of formats that are still to be decided: "w", any format, and "dense", which stays dense
// unless a rule names the weight. quant_format_parse refuses them.
bool quant_format_is_open(const char *name);
void quant_format_list(
    text *out); // the grammar with examples, for messages and `lutc list formats`
// Bases in order, for did-you-mean and tables; NULL behind the last one.
const char *quant_base_name(size_t index);
const char *quant_base_doc(size_t index);

// Whether the format's products are lookups: it has index planes.
static inline bool quant_looks_up(const quant_format *f)
{
    return f->planes && f->kind != QUANT_BYTES;
}
// Why there are no tables for products of a format in planes with such activations; NULL: there
// are. Depths may set further limits.
const char *quant_obstacle(const quant_format *f, scalar_type activation);
// The entries of these tables, "-" for none; and all of them as a list.
const char *quant_tables(const quant_format *f, scalar_type activation);
void quant_support_list(text *out);

// Groups along K (the last one may be short).
static inline int64_t quant_groups(const quant_format *f, int64_t k)
{
    return f->group ? (k + f->group - 1) / f->group : 1;
}

// Rows of a matrix in canonical form. Signs: bit p of codes[n * k + i] is 1 where s_p = +1; the
// bits of a codebook's term are its code. Scales and offsets are already rounded to the format's
// scale type.
typedef struct quant_rows {
    quant_format format;
    int64_t n, k;
    uint8_t *codes; // n * k
    float *scale;   // n * groups * terms
    float *offset;  // n * groups; NULL without offsets
    // QUANT_BOOK numbers of a codebook format, the same for all rows of a matrix. Learned ones are
    // zeros at first, and the business of whoever fills the rows.
    float *book;
} quant_rows;

quant_rows quant_rows_create(arena *a, const quant_format *f, int64_t n, int64_t k);
// A view of rows first .. first + count.
quant_rows quant_rows_slice(const quant_rows *q, int64_t first, int64_t count);
// Everything, codebooks too, into rows of the same format and size.
void quant_rows_copy(const quant_rows *from, quant_rows *to);

// Round to nearest: uniform by absolute maximum (symmetric) or range (z), binary and ternary by
// absolute mean; binary coding greedily, plane by plane; codebooks by the scale that their range
// needs. `weights` is n * k floats, row-major. Non-finite weights are the caller's to
// refuse. Deterministic, and independent of which rows are given together.
void quant_quantize(const float *weights, quant_rows *out);
// CLIPPED tries a few smaller scales of evenly spaced levels and takes the one of least squared
// error; about half as fast, and the same as NEAREST for other levels. REFINED searches scales and
// offset for a smaller squared error, alternating between them and the codes; many times slower,
// never worse.
typedef enum quant_method { QUANT_NEAREST, QUANT_CLIPPED, QUANT_REFINED } quant_method;
void quant_quantize_by(quant_method method, const float *weights, quant_rows *out);

// The same in two steps, for quantizers that decide which weights a code is chosen for, and when.
// `row` is one row; quant_fit sets scales and offset of a group and may change the row's codes. It
// gives the special that the group takes, which quant_encode needs back.
unsigned quant_fit(quant_method method, quant_rows *row, int64_t group, const float *weights,
                   int64_t count);
// The nearest codes under the group's numbers: of any weights, also of one at a time.
void quant_encode(const quant_rows *row, int64_t group, unsigned special, const float *weights,
                  int64_t count, uint8_t *codes);

// Learns a matrix's codebook: the weights of each group over their largest magnitude, counted in
// bins, then k-means. The same rows in the same order give the same numbers, however many at a
// time.
typedef struct quant_learner quant_learner;
quant_learner *quant_learner_create(arena *a, const quant_format *f, int64_t k);
void quant_learner_add(quant_learner *l, const float *weights, int64_t rows);
// QUANT_BOOK numbers, ascending, those beyond the format's count 0.
void quant_learner_finish(const quant_learner *l, float *book);

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
    int64_t plane_bytes;               // 4 m n; BYTES: n rows of K elements, padded to 64
    int64_t groups_per_tile;           // G < D: D / G; else 1
    int64_t tiles_per_group;           // G > D: G / D; row: depth_tiles; else 1
    int64_t scale_bytes;               // n scales padded to 64
    int64_t offset_bytes;              // 0 without offsets
    int64_t group_bytes;               // the scales of all terms and the offsets
    int64_t column_tile_bytes;         // the whole stream of one column tile
    int64_t beside;                    // column tiles whose streams are one, at most; else 1
    int64_t book_bytes;                // in front of all streams: a learned codebook
} pack_geometry;
// False: a dense format, or one that cannot be packed for this shape.
bool pack_geometry_of(const quant_format *f, int64_t n, int64_t k, pack_shape shape,
                      pack_geometry *out);
// A learned codebook as it stands in front of the streams: QUANT_BOOK numbers.
void pack_book(const float *book, uint8_t *out);
// False: a number is not finite.
bool pack_unpack_book(const uint8_t *in, float *book);
// Packs rows first .. first + q->n of the matrix (first a multiple of tile_n) to `out`, the
// streams of those column tiles; a whole matrix, or one column tile, where tiles stand beside each
// other.
void pack_rows(const quant_rows *q, pack_shape shape, uint8_t *out);
// One column tile of a matrix, to its place in the stream of those beside it; and back.
void pack_tile(const quant_rows *q, pack_shape shape, const pack_geometry *g, int64_t tile,
               uint8_t *stream);
void pack_unpack_tile(const uint8_t *stream, pack_shape shape, const pack_geometry *g, int64_t tile,
                      quant_rows *out);
// Column tiles in the stream that this one stands in.
static inline int64_t pack_tiles_beside(const pack_geometry *g, int64_t tile)
{
    int64_t left = g->column_tiles - tile / g->beside * g->beside;
    return left < g->beside ? left : g->beside;
}
// The inverse, into rows made by quant_rows_create. Every byte string of the right size unpacks
// (a ternary code then may be 2, which is 0 as well).
void pack_unpack_rows(const uint8_t *in, pack_shape shape, quant_rows *out);
