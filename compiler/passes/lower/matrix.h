// The conventional matrix unit: tiles of A[8m][d], B[n/8][d] and C[8m][n/8]; private to the
// lowering.
#pragma once

#include "compiler/passes/lower/epilogue.h"

// Of elements in xlut.mac; NULL: there is none.
const char *matrix_type_name(scalar_type t);
int64_t matrix_rows(const lowering *l);    // 8m
int64_t matrix_columns(const lowering *l); // n/8
int64_t matrix_depth(const lowering *l, scalar_type t);
// Bytes of piece `i` of rows of `all` elements that are taken `each` at a time; 0: it is whole.
int64_t matrix_piece_bytes(int64_t all, int64_t each, unsigned i, scalar_type t);

// Part of an operand: `rows` rows (NULL: all) of `bytes` bytes (0: all).
ir_value *matrix_part(lowering *l, ir_value *rows, int64_t bytes);
// `operand`: "a", "b", "bt". The first row is row `row` of the buffer, from `column` on; the next
// ones are `stride` elements apart.
ir_value *matrix_load(lowering *l, const char *operand, ir_value *buffer, ir_value *row,
                      ir_value *column, int64_t stride, ir_value *part);
void matrix_store(lowering *l, ir_value *c, ir_value *buffer, ir_value *row, ir_value *column,
                  int64_t stride, ir_value *part);
ir_value *matrix_multiply(lowering *l, const char *type, ir_value *c, ir_value *a, ir_value *b);
ir_value *matrix_zero(lowering *l, scalar_type t); // accumulators of products of this type

// A dense kernel whose products the matrix unit takes.
void lower_dense_matrix(lowering *l, product *products, unsigned n_products);
