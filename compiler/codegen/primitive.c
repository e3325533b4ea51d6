#include "compiler/codegen/cpu/native.h"

#include <string.h>

typedef struct lane_row {
    const char *name;
    unsigned arity;
    LLVMOpcode opcode;
} lane_row;

static const lane_row primitive_rows[] = {
#define PRIMITIVE(E, name, arity, opcode) {name, arity, opcode},
#include "compiler/codegen/primitives.def"
};

static const lane_row conversion_rows[] = {
#define CONVERSION(E, name, opcode) {name, 1, opcode},
#include "compiler/codegen/primitives.def"
};

LLVMValueRef call_intrinsic(emitter *e, const char *name, unsigned n_overloads,
                            LLVMTypeRef *overloads, unsigned n, LLVMValueRef *arguments)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id)
        INTERNAL_ERROR("LLVM has no intrinsic %s", name);
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(e->llvm, id, overloads, n_overloads);
    LLVMTypeRef type = LLVMIntrinsicGetType(e->context, id, overloads, n_overloads);
    return LLVMBuildCall2(e->builder, type, f, arguments, n, "");
}

LLVMValueRef all_lanes(emitter *e, unsigned lanes)
{
    return vector_of(e, LLVMConstInt(int_type(e, 1), 1, false), lanes);
}

// llvm.vp.NAME over `n` vectors, followed by mask and length.
static LLVMValueRef call_predicated(emitter *e, const char *name, unsigned n_overloads,
                                    LLVMTypeRef *overloads, unsigned n, LLVMValueRef *operands)
{
    char full[48];
    LLVMValueRef arguments[6];
    snprintf(full, sizeof full, "llvm.vp.%s", name);
    memcpy(arguments, operands, n * sizeof *operands);
    arguments[n] = all_lanes(e, lanes_of(operands[0]));
    arguments[n + 1] = e->evl;
    return call_intrinsic(e, full, n_overloads, overloads, n + 2, arguments);
}

// Makes all operands as wide as the widest; true when that is a vector.
static bool widen(emitter *e, unsigned n, LLVMValueRef *operands)
{
    unsigned lanes = 0;
    for (unsigned i = 0; i < n; i++)
        if (is_vector(operands[i]))
            lanes = lanes_of(operands[i]);
    for (unsigned i = 0; i < n; i++)
        operands[i] = vector_of(e, operands[i], lanes);
    return lanes;
}

static LLVMValueRef apply(emitter *e, primitive p, LLVMValueRef *operands)
{
    const lane_row *row = &primitive_rows[p];
    bool vector = widen(e, row->arity, operands);
    LLVMTypeRef type = LLVMTypeOf(operands[0]);
    if (vector && e->evl)
        return call_predicated(e, row->name, 1, &type, row->arity, operands);
    if (e->level && p == P_FMA && !e->level->fma)
        return fused_by_integers(e, operands[0], operands[1], operands[2]);
    if (e->level && p == P_RINT && !e->level->rounding)
        return soft_rint(e, operands[0]);
    if (row->opcode == LLVMFNeg)
        return LLVMBuildFNeg(e->builder, operands[0], "");
    if (row->opcode)
        return LLVMBuildBinOp(e->builder, row->opcode, operands[0], operands[1], "");
    char name[32];
    snprintf(name, sizeof name, "llvm.%s", row->name);
    return call_intrinsic(e, name, 1, &type, row->arity, operands);
}

LLVMValueRef primitive1(emitter *e, primitive p, LLVMValueRef x)
{
    return apply(e, p, (LLVMValueRef[]){x});
}

LLVMValueRef primitive2(emitter *e, primitive p, LLVMValueRef x, LLVMValueRef y)
{
    return apply(e, p, (LLVMValueRef[]){x, y});
}

LLVMValueRef primitive3(emitter *e, primitive p, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    return apply(e, p, (LLVMValueRef[]){x, y, z});
}

LLVMValueRef convert(emitter *e, conversion c, LLVMValueRef x, LLVMTypeRef element)
{
    const lane_row *row = &conversion_rows[c];
    LLVMTypeRef to = like(x, element);
    if (LLVMTypeOf(x) == to)
        return x;
    bool soft = e->level && !e->level->half;
    if (soft && LLVMGetTypeKind(element_of(x)) == LLVMHalfTypeKind)
        return soft_f32_from_f16(e, x);
    if (soft && LLVMGetTypeKind(element) == LLVMHalfTypeKind)
        return soft_f16_from_f32(e, x);
    if (is_vector(x) && e->evl)
        return call_predicated(e, row->name, 2, (LLVMTypeRef[]){to, LLVMTypeOf(x)}, 1, &x);
    return LLVMBuildCast(e->builder, row->opcode, x, to, "");
}

LLVMValueRef reinterpret(emitter *e, LLVMValueRef x, LLVMTypeRef element)
{
    return LLVMBuildBitCast(e->builder, x, like(x, element), "");
}

// The predicate operand of llvm.vp.fcmp and llvm.vp.icmp.
static LLVMValueRef predicate_text(emitter *e, const char *name)
{
    LLVMMetadataRef string = LLVMMDStringInContext2(e->context, name, strlen(name));
    return LLVMMetadataAsValue(e->context, string);
}

static LLVMValueRef compare_predicated(emitter *e, const char *intrinsic, const char *predicate,
                                       LLVMValueRef *operands)
{
    LLVMTypeRef type = LLVMTypeOf(operands[0]);
    LLVMValueRef arguments[] = {operands[0], operands[1], predicate_text(e, predicate)};
    return call_predicated(e, intrinsic, 1, &type, 3, arguments);
}

LLVMValueRef compare_float(emitter *e, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y)
{
    static const char *const names[] = {
        [LLVMRealOEQ] = "oeq", [LLVMRealOGT] = "ogt", [LLVMRealOGE] = "oge",
        [LLVMRealOLT] = "olt", [LLVMRealOLE] = "ole", [LLVMRealONE] = "one",
        [LLVMRealORD] = "ord", [LLVMRealUNO] = "uno", [LLVMRealUNE] = "une"};
    LLVMValueRef operands[] = {x, y};
    if (widen(e, 2, operands) && e->evl)
        return compare_predicated(e, "fcmp", names[p], operands);
    return LLVMBuildFCmp(e->builder, p, operands[0], operands[1], "");
}

LLVMValueRef compare_int(emitter *e, LLVMIntPredicate p, LLVMValueRef x, LLVMValueRef y)
{
    static const char *const names[] = {
        [LLVMIntEQ] = "eq",   [LLVMIntNE] = "ne",   [LLVMIntSGT] = "sgt",
        [LLVMIntSGE] = "sge", [LLVMIntSLT] = "slt", [LLVMIntSLE] = "sle"};
    LLVMValueRef operands[] = {x, y};
    if (widen(e, 2, operands) && e->evl)
        return compare_predicated(e, "icmp", names[p], operands);
    return LLVMBuildICmp(e->builder, p, operands[0], operands[1], "");
}

LLVMValueRef choose(emitter *e, LLVMValueRef condition, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef operands[] = {x, y, condition};
    if (!is_vector(condition) && !widen(e, 2, operands))
        return LLVMBuildSelect(e->builder, condition, x, y, "");
    if (!is_vector(condition))
        return LLVMBuildSelect(e->builder, condition, operands[0], operands[1], "");
    widen(e, 3, operands);
    if (!e->evl)
        return LLVMBuildSelect(e->builder, condition, operands[0], operands[1], "");
    LLVMTypeRef type = LLVMTypeOf(operands[0]);
    LLVMValueRef arguments[] = {condition, operands[0], operands[1], e->evl};
    return call_intrinsic(e, "llvm.vp.select", 1, &type, 4, arguments);
}

LLVMValueRef merge_tail(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef arguments[] = {all_lanes(e, lanes_of(x)), x, y, e->evl};
    return call_intrinsic(e, "llvm.vp.merge", 1, &type, 4, arguments);
}
