// Tables that the epilogue of a kernel builds, from panels in near memory; private to the lowering.
#pragma once

#include "compiler/passes/lower/lower.h"

// The block of a value that tables are built of.
typedef struct table_panel {
    ir_value *value;
    ir_value *buffer; // [rows, columns] of the value's element type
    bool stored;      // it is the whole block; else what the epilogue stores of one row tile
} table_panel;

typedef struct table_panels {
    table_panel *items;
    unsigned count;
} table_panels;

// What the kernel's tables are of, still without buffers; called at the kernel's start.
table_panels table_panels_of(lowering *l);
// Scratch memory for those without a buffer.
void table_panels_allocate(lowering *l, table_panels *t, int64_t rows, int64_t columns);
// Rows from .. to become 0.
void table_panels_clear(lowering *l, const table_panels *t, ir_value *from, ir_value *to);

// Columns from .. to of a row tile become 0; `row`: where it begins in the block.
void table_panels_pad(lowering *l, const table_panels *t, ir_value *row, int64_t from, int64_t to);

typedef struct table_block {
    ir_value *row_tile, *row_tiles; // the first one, and how many
    ir_value *row;                  // where they begin in the block
    depth_range depth;              // of the panels' columns
    bool one_row;                   // a single row of the row tile is there
} table_block;
// All tables that the kernel yields, of one block. False: reported.
bool lower_table_block(lowering *l, const table_panels *t, const table_block *b);
