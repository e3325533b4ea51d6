#include "compiler/codegen/emit.h"

LLVMTypeRef int_type(emitter *e, unsigned bits)
{
    return LLVMIntTypeInContext(e->context, bits);
}

LLVMTypeRef scalar_llvm_type(emitter *e, scalar_type s)
{
    switch (s) {
    case SCALAR_F64: return LLVMDoubleTypeInContext(e->context);
    case SCALAR_F32: return LLVMFloatTypeInContext(e->context);
    case SCALAR_F16: return LLVMHalfTypeInContext(e->context);
    case SCALAR_I1: return int_type(e, 1);
    default: return int_type(e, scalar_rows[s].bits);
    }
}

LLVMTypeRef value_llvm_type(emitter *e, const ir_type *t)
{
    switch (t->kind) {
    case IR_INDEX: return int_type(e, 64);
    case IR_SCALAR: return scalar_llvm_type(e, t->scalar);
    case IR_BUFFER: return LLVMPointerTypeInContext(e->context, 0);
    default: return NULL;
    }
}

bool is_vector(LLVMValueRef v)
{
    LLVMTypeKind kind = LLVMGetTypeKind(LLVMTypeOf(v));
    return kind == LLVMScalableVectorTypeKind || kind == LLVMVectorTypeKind;
}

LLVMTypeRef vector_type(emitter *e, LLVMTypeRef element, unsigned lanes)
{
    return e->level ? LLVMVectorType(element, lanes) : LLVMScalableVectorType(element, lanes);
}

unsigned lanes_of(LLVMValueRef v)
{
    return is_vector(v) ? LLVMGetVectorSize(LLVMTypeOf(v)) : 0;
}

LLVMTypeRef element_of(LLVMValueRef v)
{
    return is_vector(v) ? LLVMGetElementType(LLVMTypeOf(v)) : LLVMTypeOf(v);
}

LLVMTypeRef like(LLVMValueRef shape, LLVMTypeRef element)
{
    switch (LLVMGetTypeKind(LLVMTypeOf(shape))) {
    case LLVMScalableVectorTypeKind: return LLVMScalableVectorType(element, lanes_of(shape));
    case LLVMVectorTypeKind: return LLVMVectorType(element, lanes_of(shape));
    default: return element;
    }
}

LLVMValueRef int_constant(emitter *e, unsigned bits, int64_t value)
{
    return LLVMConstInt(int_type(e, bits), (unsigned long long)value, true);
}

LLVMValueRef constant_like(LLVMValueRef shape, double value)
{
    return LLVMConstReal(element_of(shape), value);
}

LLVMValueRef bits_like(LLVMValueRef shape, int64_t value)
{
    return LLVMConstInt(element_of(shape), (unsigned long long)value, true);
}

LLVMValueRef vector_of(emitter *e, LLVMValueRef v, unsigned lanes)
{
    if (is_vector(v) || !lanes)
        return v;
    LLVMTypeRef type = vector_type(e, LLVMTypeOf(v), lanes);
    LLVMValueRef poison = LLVMGetPoison(type);
    LLVMValueRef zero = LLVMConstNull(vector_type(e, int_type(e, 32), lanes));
    LLVMValueRef first = LLVMBuildInsertElement(e->builder, poison, v, int_constant(e, 64, 0), "");
    return LLVMBuildShuffleVector(e->builder, first, poison, zero, "");
}

static unsigned element_bits(LLVMTypeRef t)
{
    switch (LLVMGetTypeKind(t)) {
    case LLVMIntegerTypeKind: return LLVMGetIntTypeWidth(t);
    case LLVMHalfTypeKind:
    case LLVMBFloatTypeKind: return 16;
    case LLVMFloatTypeKind: return 32;
    default: return 64;
    }
}

bool fits_registers(emitter *e, LLVMValueRef v)
{
    enum { LARGEST_GROUP = 8 * 64 };
    if (e->level || lanes_of(v) * element_bits(element_of(v)) <= LARGEST_GROUP)
        return true;
    emit_error(e, "this strip's lanes do not fit the vector registers here; give it the width of "
                  "its widest element");
    return false;
}
