// The elementwise operations behind the products of a kernel, on one block of rows and columns;
// private to the lowering.
#pragma once

#include "compiler/passes/lower/table_epilogue.h"

// A product (lut.mpgemm or linear) and where its block of results lies.
typedef struct product {
    ir_op *op;
    ir_value *block; // [rows of the block, columns of the block], its own type or a wider one
} product;

typedef struct epilogue {
    product *products;
    unsigned n_products;
    ir_value *first_row, *rows;       // of the block, in the kernel's row space
    ir_value *first_column, *columns; // of the block
    bool direct;                      // products that are only yielded are in their outputs already
    ir_value *block_row;              // where these rows begin in the products' blocks; NULL: 0
    const table_panels *panels;       // or NULL
} epilogue;

// Computes and stores everything the kernel yields for the block.
void lower_epilogue(lowering *l, const epilogue *e);
// The type in which accumulators of results of type `t` are stored: its own, or f32.
scalar_type product_stored_type(scalar_type t);
// The product's result is only yielded, by this output; NULL: more is done with it.
const place *product_direct_output(lowering *l, const ir_op *op);
// The products of the kernel's region, in order.
unsigned kernel_products(lowering *l, ir_opcode code, product **out);
