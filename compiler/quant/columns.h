// The layout of packed weights for CPUs (docs/native.md): codes of 16 columns x 4 weights stand in
// a line of 64 bytes, byte 4 c + k % 4 for column c, several fields of some bits in each byte. All
// that is read for 64 columns is one forward stream.
//
//     for each 64 columns:
//         scales of the row, term by term, then offsets         (formats without groups)
//         for each group:
//             scales of the group, likewise, then offsets       (formats with groups)
//             for each unit of 32 (groups of 16: 16) weights of the group:
//                 for each line of the unit: 4 x 64 bytes, one for each 16 columns
//
// Weights of one bit are looked up, in tables that do not stay in the nearest cache while a whole
// block streams through it. So up to 64 blocks stand beside each other:
//
//     for each 64 blocks:
//         for each block: scales of the row, then offsets       (formats without groups)
//         for each span of 1024 weights of depth:
//             for each block: groups or units of the span, as above
//
// A learned codebook stands in front of the matrix, as it does in tiles.
#pragma once

#include "compiler/quant/quant.h"

enum { COLUMN_BLOCK = 64, COLUMN_LINE = 64, COLUMN_TILES = 4, COLUMN_FIELD = 4 };
enum { COLUMN_BESIDE = 64, COLUMN_SPAN = 1024 };

typedef struct column_geometry {
    unsigned bits; // of a field; of groups of 16 the next power of two, above 4 a byte
    // Evenly spaced codes: value = scale (step field - levels) + offset; of others step is 0, and
    // a field is the code.
    unsigned step, levels;
    int64_t unit;        // weights of a unit: 32 or 16
    unsigned fields;     // of a unit: 8 or 4, of 4 weights each
    unsigned lines;      // of a unit
    int64_t units;       // of a column: ceil(K / unit)
    int64_t groups;      // of a column
    int64_t per_group;   // units of a group, the last one of which may be short
    int64_t value_bytes; // of 64 scales
    int64_t group_bytes; // of the scales of all terms and of offsets
    int64_t unit_bytes;  // lines of 4 x 64 bytes
    int64_t block_bytes; // of 64 columns
    int64_t blocks;      // ceil(N / 64)
    int64_t beside;      // blocks beside each other, at most: 64, or 1
    int64_t front_bytes; // of a block, in front of its spans: the scales of rows
    int64_t span_units, span_bytes, last_span_bytes; // of a block
} column_geometry;

// Of `count` blocks beside each other, which are one stream, the one with this number.
typedef struct column_place {
    int64_t count, number;
} column_place;

// Whether levels are evenly spaced, so that products are sums of integers.
bool column_is_even(const quant_format *f);
// False: a dense format, or a matrix that is too large.
bool column_geometry_of(const quant_format *f, int64_t n, int64_t k, column_geometry *out);

// Where field `f` of a unit stands: bits shift .. shift + bits of a line; of 3 bits, the fields 6
// and 7 are split: their upper two bits there, the lowest one at bit `low` of line 2.
typedef struct column_field {
    unsigned line, shift;
    bool split;
    unsigned low;
} column_field;
column_field column_field_of(unsigned bits, unsigned f);

// A block, up to 64 rows, to its place in the stream, and back.
void column_pack_block(const quant_rows *q, column_place p, uint8_t *stream);
void column_unpack_block(const uint8_t *stream, column_place p, quant_rows *out);
// As pack_rows and pack_unpack_rows: all rows of a matrix, or of a block that stands alone.
void column_pack_rows(const quant_rows *q, uint8_t *out);
void column_unpack_rows(const uint8_t *in, quant_rows *out);
