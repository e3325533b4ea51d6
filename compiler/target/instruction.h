// The Xlut instructions that operations on tiles are. Code generation emits them, the estimator
// counts them.
#pragma once

#include "compiler/ir/ir.h"
#include "isa/isa.h"

// Opcode and option fields; registers and addresses are left 0. False: it is no operation on tiles.
// An xlut.mma may have planes that no form has: see xlut_form_planes.
bool tile_instruction(const ir_op *op, isa_instruction *out);
// The slot of an xlut.mma's first plane.
unsigned tile_first_plane(void);
