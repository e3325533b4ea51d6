// Kernels as functions, for the lowering of entries that call them; private to lower-to-tile.
#pragma once

#include "compiler/passes/lower/lower.h"

// A tensor's memory as rows x columns.
const ir_type *flat_buffer(ir_module *m, const ir_type *t);
// The buffers (or the scalar) that a graph value of type `t` is passed as.
unsigned parts_of(const lowering *l, const ir_type *t, const ir_type **parts);
ir_value **part_slot(place *p, unsigned part);
// Sets the machine's tile in `l`.
void machine_shape(lowering *l);
// Fills l->function and l->arguments from l->kernel and l->region; false: reported.
bool lower_kernel(lowering *l);
