// Which blocks of columns a kernel can make tables of while it computes them; private to this
// folder.
#pragma once

#include "compiler/passes/lower/contract.h"

// Why the table that `precompute` builds of a product cannot be built from blocks of its columns,
// column tile by column tile; NULL: it can, and *tiles is what a block has at least.
const char *product_table_obstacle(pass_context *c, const ir_op *precompute, int64_t *tiles);
// The same for what attention gives, head by head.
const char *attend_table_obstacle(pass_context *c, const ir_op *attend, const ir_op *precompute);
// Of all tables that an mpgemm kernel builds; false: reported.
bool check_table_blocks(pass_context *c, const ir_op *kernel, int64_t *tiles);
