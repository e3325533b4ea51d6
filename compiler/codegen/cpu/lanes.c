// Loads and stores of a strip's lanes on CPUs. What a level has no masked or strided instruction
// for is a small function of its own, one element after the other: LLVM would write a branch for
// every lane wherever it is needed.
#include "compiler/codegen/cpu/native.h"

#include <string.h>

static LLVMTypeRef lanes_type(emitter *e, scalar_type s)
{
    return vector_type(e, memory_type(e, s), e->lanes);
}

// ------------------------------------------------------------ element by element

static LLVMValueRef at_byte(emitter *e, LLVMValueRef base, LLVMValueRef index, LLVMValueRef stride)
{
    LLVMValueRef offset = LLVMBuildNSWMul(e->builder, index, stride, "");
    return LLVMBuildInBoundsGEP2(e->builder, int_type(e, 8), base, &offset, 1, "");
}

// Copies `count` > 0 elements.
static void copy_elements(emitter *e, LLVMTypeRef element, LLVMValueRef to, LLVMValueRef to_stride,
                          LLVMValueRef from, LLVMValueRef from_stride, LLVMValueRef count,
                          unsigned align)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->builder), body = new_block(e, "body");
    LLVMBasicBlockRef end = new_block(e, "end");
    LLVMBuildBr(e->builder, body);
    LLVMPositionBuilderAtEnd(e->builder, body);
    LLVMValueRef i = LLVMBuildPhi(e->builder, int_type(e, 64), ""), zero = int_constant(e, 64, 0);
    LLVMValueRef x = LLVMBuildLoad2(e->builder, element, at_byte(e, from, i, from_stride), "");
    LLVMSetAlignment(x, align);
    LLVMSetAlignment(LLVMBuildStore(e->builder, x, at_byte(e, to, i, to_stride)), align);
    LLVMValueRef next = LLVMBuildNSWAdd(e->builder, i, int_constant(e, 64, 1), "");
    LLVMAddIncoming(i, &zero, &before, 1);
    LLVMAddIncoming(i, &next, &body, 1);
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, next, count, "");
    LLVMBuildCondBr(e->builder, more, body, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

// load(address, stride, count) and store(address, stride, count, lanes).
static LLVMValueRef declare_helper(emitter *e, const char *name, LLVMTypeRef lanes, bool load)
{
    LLVMTypeRef i64 = int_type(e, 64), nothing = LLVMVoidTypeInContext(e->context);
    LLVMTypeRef types[] = {pointer_type(e), i64, i64, lanes};
    LLVMTypeRef type = LLVMFunctionType(load ? lanes : nothing, types, load ? 3 : 4, false);
    return internal_function(e, name, type);
}

static void define_helper(emitter *e, LLVMValueRef f, LLVMTypeRef lanes, unsigned size, bool load)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    LLVMValueRef function = e->llvm_function;
    e->llvm_function = f;
    LLVMSetCurrentDebugLocation2(e->builder, NULL);
    LLVMPositionBuilderAtEnd(e->builder, new_block(e, "entry"));
    LLVMValueRef panel = LLVMBuildAlloca(e->builder, lanes, "panel");
    LLVMValueRef address = LLVMGetParam(f, 0), stride = LLVMGetParam(f, 1);
    LLVMValueRef count = LLVMGetParam(f, 2), dense = int_constant(e, 64, size);
    LLVMTypeRef element = LLVMGetElementType(lanes);
    LLVMBuildStore(e->builder, load ? LLVMConstNull(lanes) : LLVMGetParam(f, 3), panel);
    if (load) {
        copy_elements(e, element, panel, dense, address, stride, count, size);
        LLVMBuildRet(e->builder, LLVMBuildLoad2(e->builder, lanes, panel, ""));
    } else {
        copy_elements(e, element, address, stride, panel, dense, count, size);
        LLVMBuildRetVoid(e->builder);
    }
    e->llvm_function = function;
    LLVMPositionBuilderAtEnd(e->builder, here);
    debug_location(e, e->where);
}

static LLVMValueRef helper(emitter *e, scalar_type s, bool load)
{
    LLVMTypeRef lanes = lanes_type(e, s);
    const char *name = arena_format(e->arena, "%s.%s.%u.%s", load ? "load" : "store",
                                    scalar_rows[s].name, e->lanes, e->level->name);
    LLVMValueRef f = LLVMGetNamedFunction(e->llvm, name);
    if (f)
        return f;
    f = declare_helper(e, name, lanes, load);
    define_helper(e, f, lanes, (unsigned)scalar_size(s), load);
    return f;
}

static LLVMValueRef call_helper(emitter *e, int64_t step, LLVMValueRef at, scalar_type s,
                                LLVMValueRef x)
{
    LLVMValueRef f = helper(e, s, !x);
    int64_t stride = step * (int64_t)scalar_size(s);
    LLVMValueRef count = e->mask ? e->vl : int_constant(e, 64, e->lanes);
    LLVMValueRef arguments[] = {at, int_constant(e, 64, stride), count, x};
    return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, arguments, x ? 4 : 3, "");
}

// ------------------------------------------------------------------ instructions

// The instructions that the access needs exist.
static bool has_masks(const emitter *e, int64_t step, scalar_type s)
{
    if (step != 1)
        return e->level->vector_bits >= 512 && scalar_size(s) >= 4;
    return !e->mask || e->level->vector_bits >= 512 ||
           (e->level->vector_bits >= 256 && scalar_size(s) >= 4);
}

// The addresses of the lanes' elements.
static LLVMValueRef lane_addresses(emitter *e, int64_t step, LLVMValueRef at, scalar_type s)
{
    LLVMValueRef *offsets = ARENA_ARRAY(e->arena, LLVMValueRef, e->lanes);
    int64_t stride = step * (int64_t)scalar_size(s);
    for (unsigned i = 0; i < e->lanes; i++)
        offsets[i] = int_constant(e, 64, i * stride);
    LLVMValueRef all = LLVMConstVector(offsets, e->lanes);
    return LLVMBuildGEP2(e->builder, int_type(e, 8), at, &all, 1, "");
}

static LLVMValueRef mask_or_all(emitter *e)
{
    return e->mask ? e->mask : all_lanes(e, e->lanes);
}

// Elements of two bytes at strides of whole words: of the aligned words that they lie in.
static bool gathers_words(const emitter *e, int64_t step, scalar_type s)
{
    return e->level->vector_bits >= 512 && scalar_size(s) == 2 && step % 2 == 0;
}

static LLVMValueRef load_words(emitter *e, int64_t step, LLVMValueRef at, scalar_type s)
{
    LLVMTypeRef i64 = int_type(e, 64), words = vector_type(e, int_type(e, 32), e->lanes);
    LLVMTypeRef pointer = LLVMTypeOf(at), overloads[] = {pointer, i64};
    LLVMValueRef aligned = call_intrinsic(e, "llvm.ptrmask", 2, overloads, 2,
                                          (LLVMValueRef[]){at, int_constant(e, 64, ~INT64_C(3))});
    LLVMValueRef low =
        LLVMBuildTrunc(e->builder, LLVMBuildPtrToInt(e->builder, at, i64, ""), int_type(e, 32), "");
    LLVMValueRef bits = primitive2(e, P_AND, primitive2(e, P_SHL, low, int_constant(e, 32, 3)),
                                   int_constant(e, 32, 16));
    LLVMValueRef all = lane_addresses(e, step, aligned, s);
    LLVMTypeRef gather[] = {words, LLVMTypeOf(all)};
    LLVMValueRef x = call_intrinsic(
        e, "llvm.masked.gather", 2, gather, 4,
        (LLVMValueRef[]){all, int_constant(e, 32, 4), mask_or_all(e), LLVMConstNull(words)});
    x = LLVMBuildLShr(e->builder, x, vector_of(e, bits, e->lanes), "");
    x = LLVMBuildTrunc(e->builder, x, vector_type(e, int_type(e, 16), e->lanes), "");
    return LLVMBuildBitCast(e->builder, x, lanes_type(e, s), "");
}

static LLVMValueRef load_lanes(emitter *e, int64_t step, LLVMValueRef at, scalar_type s)
{
    LLVMTypeRef type = lanes_type(e, s);
    if (step != 1 && gathers_words(e, step, s))
        return load_words(e, step, at, s);
    if (!has_masks(e, step, s))
        return call_helper(e, step, at, s, NULL);
    LLVMValueRef align = int_constant(e, 32, (int64_t)scalar_size(s)), zero = LLVMConstNull(type);
    if (step != 1) {
        LLVMValueRef all = lane_addresses(e, step, at, s);
        LLVMTypeRef overloads[] = {type, LLVMTypeOf(all)};
        return call_intrinsic(e, "llvm.masked.gather", 2, overloads, 4,
                              (LLVMValueRef[]){all, align, mask_or_all(e), zero});
    }
    if (e->mask) {
        LLVMTypeRef overloads[] = {type, LLVMTypeOf(at)};
        return call_intrinsic(e, "llvm.masked.load", 2, overloads, 4,
                              (LLVMValueRef[]){at, align, e->mask, zero});
    }
    LLVMValueRef x = LLVMBuildLoad2(e->builder, type, at, "");
    LLVMSetAlignment(x, (unsigned)scalar_size(s));
    return x;
}

void native_vload(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 0);
    scalar_type s = buffer->type->scalar;
    LLVMValueRef at = element_address(e, op, buffer, 1);
    LLVMValueRef x = load_lanes(e, ir_integer(op, "stride"), at, s);
    bind_value(e, ir_result(op, 0), from_memory(e, x, s));
}

static LLVMValueRef next_element(emitter *e, LLVMValueRef at, scalar_type s)
{
    return at_byte(e, at, int_constant(e, 64, 1), int_constant(e, 64, (int64_t)scalar_size(s)));
}

// Neighbours of all lanes are one run of memory, taken apart in registers.
static void load_run(emitter *e, LLVMValueRef at, scalar_type s, LLVMValueRef *pair)
{
    LLVMTypeRef type = vector_type(e, memory_type(e, s), 2 * e->lanes);
    LLVMValueRef *numbers = ARENA_ARRAY(e->arena, LLVMValueRef, e->lanes);
    LLVMValueRef x = LLVMBuildLoad2(e->builder, type, at, "");
    LLVMSetAlignment(x, (unsigned)scalar_size(s));
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned j = 0; j < e->lanes; j++)
            numbers[j] = int_constant(e, 32, 2 * j + i);
        pair[i] = LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(type),
                                         LLVMConstVector(numbers, e->lanes), "");
    }
}

void native_vload_pairs(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 0);
    scalar_type s = buffer->type->scalar;
    LLVMValueRef at = element_address(e, op, buffer, 1), pair[2];
    if (!e->mask)
        load_run(e, at, s, pair);
    for (unsigned i = 0; i < 2; i++) {
        if (e->mask)
            pair[i] = load_lanes(e, 2, i ? next_element(e, at, s) : at, s);
        bind_value(e, ir_result(op, i), from_memory(e, pair[i], s));
    }
}

static void store_lanes(emitter *e, int64_t step, LLVMValueRef x, LLVMValueRef at, scalar_type s)
{
    LLVMValueRef align = int_constant(e, 32, (int64_t)scalar_size(s));
    x = to_memory(e, vector_of(e, x, e->lanes), s);
    if (!has_masks(e, step, s)) {
        call_helper(e, step, at, s, x);
    } else if (step != 1) {
        LLVMValueRef all = lane_addresses(e, step, at, s);
        LLVMTypeRef overloads[] = {LLVMTypeOf(x), LLVMTypeOf(all)};
        call_intrinsic(e, "llvm.masked.scatter", 2, overloads, 4,
                       (LLVMValueRef[]){x, all, align, mask_or_all(e)});
    } else if (e->mask) {
        LLVMTypeRef overloads[] = {LLVMTypeOf(x), LLVMTypeOf(at)};
        call_intrinsic(e, "llvm.masked.store", 2, overloads, 4,
                       (LLVMValueRef[]){x, at, align, e->mask});
    } else {
        LLVMSetAlignment(LLVMBuildStore(e->builder, x, at), (unsigned)scalar_size(s));
    }
}

void native_vstore(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 1);
    LLVMValueRef x = value_of(e, ir_operand(op, 0)), at = element_address(e, op, buffer, 2);
    store_lanes(e, ir_integer(op, "stride"), x, at, buffer->type->scalar);
}

static void store_run(emitter *e, LLVMValueRef *pair, LLVMValueRef at, scalar_type s)
{
    LLVMValueRef *numbers = ARENA_ARRAY(e->arena, LLVMValueRef, 2 * e->lanes);
    for (unsigned i = 0; i < 2 * e->lanes; i++)
        numbers[i] = int_constant(e, 32, i % 2 * e->lanes + i / 2);
    for (unsigned i = 0; i < 2; i++)
        pair[i] = to_memory(e, vector_of(e, pair[i], e->lanes), s);
    LLVMValueRef all = LLVMConstVector(numbers, 2 * e->lanes);
    LLVMValueRef x = LLVMBuildShuffleVector(e->builder, pair[0], pair[1], all, "");
    LLVMSetAlignment(LLVMBuildStore(e->builder, x, at), (unsigned)scalar_size(s));
}

void native_vstore_pairs(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 2);
    scalar_type s = buffer->type->scalar;
    LLVMValueRef at = element_address(e, op, buffer, 3);
    LLVMValueRef pair[2] = {value_of(e, ir_operand(op, 0)), value_of(e, ir_operand(op, 1))};
    if (!e->mask) {
        store_run(e, pair, at, s);
        return;
    }
    store_lanes(e, 2, pair[0], at, s);
    store_lanes(e, 2, pair[1], next_element(e, at, s), s);
}
