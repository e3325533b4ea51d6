// Rows of weights in planes as numbers; private to the lowering.
#pragma once

#include "compiler/passes/lower/lower.h"

// A row in planes: four weights share a lookup, a nibble in every plane. The row's bytes are
// scattered over the stream, four to a word; they are collected first, then decoded side by side.
typedef struct plane_table {
    quant_format format;
    pack_geometry geometry;
    int64_t tile_n, columns, lookups; // lookups: of all depth tiles, of four weights
    int64_t spread;                   // numbers kept for the weights of a lookup: 1, or with a
                                      // codebook one for each
    ir_value *book[QUANT_BOOK];
    ir_value *stream;  // u8
    ir_value *words;   // scratch i32 [planes, words of a row]
    ir_value *scales;  // scratch f32 [terms, lookups * spread]
    ir_value *offsets; // scratch f32 [lookups * spread], NULL without
    ir_value *values;  // scratch f32 [4 lookups]
} plane_table;

// Sets up scratch memory for the rows of a weight.
plane_table unpack_table(lowering *l, const place *weight, const quant_format *format);
// Row `index` of the weight, into the values.
void unpack_row(lowering *l, const plane_table *p, ir_value *index);
