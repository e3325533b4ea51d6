// What differs for CPUs (docs/native.md). Private to compiler/codegen.
//
// Vectors have a fixed size, NATIVE_STRIP_BITS of the widest element at every level, so that all
// levels compute the same sums in the same order. A strip is a loop of whole vectors and then, at
// most once, its tail: there e->mask has the lanes that exist. Every function has a first
// parameter, the run (runtime/native/lutra.h).
#pragma once

#include "compiler/codegen/emit.h"

// True: emitted; false: the operation is the same on all targets.
bool emit_native_op(emitter *e, ir_op *op);
const char *native_symbol(emitter *e, const ir_function *f);
void native_attributes(emitter *e, LLVMValueRef f);
void native_tune(emitter *e, LLVMValueRef f);                 // orders its code for a core
void native_begin_function(emitter *e, const ir_function *f); // binds arguments
LLVMTypeRef native_function_type(emitter *e, const ir_function *f);
LLVMValueRef native_weight_address(emitter *e, const ir_global *g);
void native_emit_levels(emitter *e); // all functions, and the description: native_program.c
LLVMTypeRef pointer_type(emitter *e);

// strip.c
void native_strip(emitter *e, ir_op *op);
void native_reduce(emitter *e, ir_op *op);
void native_lane(emitter *e, ir_op *op);
LLVMValueRef lane_numbers(emitter *e, unsigned lanes, unsigned bits); // 0, 1, 2, ...

// lanes.c
void native_vload(emitter *e, ir_op *op);
void native_vload_pairs(emitter *e, ir_op *op);
void native_vstore_pairs(emitter *e, ir_op *op);
void native_vstore(emitter *e, ir_op *op);

// Products: product.c, prepare.c, unpack.c
void emit_multiply(emitter *e, ir_op *op);
void emit_prepare(emitter *e, ir_op *op);
void emit_unpack(emitter *e, ir_op *op);

// soft.c: what a level's instructions cannot do, in those that all have; the same results.
LLVMValueRef fused_by_integers(emitter *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);
LLVMValueRef soft_rint(emitter *e, LLVMValueRef x);
LLVMValueRef soft_f32_from_f16(emitter *e, LLVMValueRef x);
LLVMValueRef soft_f16_from_f32(emitter *e, LLVMValueRef x);
