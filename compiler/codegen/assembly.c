// Statements of inline assembly.
#include "compiler/codegen/emit.h"

#include <string.h>

LLVMValueRef assembly(emitter *e, const char *code, const char *constraints, LLVMTypeRef result,
                      LLVMValueRef *operands, unsigned n)
{
    LLVMTypeRef types[ASSEMBLY_OPERANDS];
    for (unsigned i = 0; i < n; i++)
        types[i] = LLVMTypeOf(operands[i]);
    LLVMTypeRef type = LLVMFunctionType(result, types, n, false);
    LLVMValueRef statement =
        LLVMGetInlineAsm(type, code, strlen(code), constraints, strlen(constraints), true, false,
                         LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(e->builder, type, statement, operands, n, "");
}
