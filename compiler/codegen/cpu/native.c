// Functions of a CPU: their first parameter is the run, of which runtime/native/lutra.h says what
// its words are. Every function exists once for each level.
#include "compiler/codegen/cpu/native.h"

#include <string.h>

// The words of a run.
typedef enum run_word {
    RUN_WORDS,
    RUN_WORKSPACE,
    RUN_STATES,
    RUN_WEIGHTS,
    RUN_RANK,
    RUN_RANKS,
    RUN_SCRATCH,
    RUN_BARRIER,
    RUN_FAIL,
} run_word;

LLVMTypeRef pointer_type(emitter *e)
{
    return LLVMPointerTypeInContext(e->context, 0);
}

static LLVMValueRef load_run(emitter *e, run_word word, LLVMTypeRef type)
{
    LLVMValueRef offset = int_constant(e, 64, 8 * (int64_t)word);
    LLVMValueRef at = LLVMBuildInBoundsGEP2(e->builder, int_type(e, 8), e->run, &offset, 1, "");
    return LLVMBuildLoad2(e->builder, type, at, "");
}

// ------------------------------------------------------------------- functions

const char *native_symbol(emitter *e, const ir_function *f)
{
    return arena_format(e->arena, "%s.%s", f->name, e->level->name);
}

LLVMTypeRef native_function_type(emitter *e, const ir_function *f)
{
    size_t n = f->entry ? 0 : f->body->arguments.count;
    LLVMTypeRef *types = ARENA_ARRAY(e->arena, LLVMTypeRef, n + 1);
    types[0] = pointer_type(e);
    for (size_t i = 0; i < n; i++)
        types[i + 1] = value_llvm_type(e, f->body->arguments.items[i]->type);
    return LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, (unsigned)n + 1, false);
}

static void add_text(emitter *e, LLVMValueRef f, const char *name, const char *value)
{
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->context, name, (unsigned)strlen(name), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, a);
}

void native_attributes(emitter *e, LLVMValueRef f)
{
    const char *bits = arena_format(e->arena, "%u", e->level->vector_bits);
    add_text(e, f, "target-cpu", e->level->cpu);
    if (*e->level->features)
        add_text(e, f, "target-features", e->level->features);
    add_text(e, f, "prefer-vector-width", bits);
    add_text(e, f, "min-legal-vector-width", bits);
}

void native_tune(emitter *e, LLVMValueRef f)
{
    if (e->level->tune)
        add_text(e, f, "tune-cpu", e->level->tune);
}

static void bind_entry(emitter *e, const ir_function *f)
{
    LLVMTypeRef i64 = int_type(e, 64), pointer = pointer_type(e);
    e->words = load_run(e, RUN_WORDS, pointer);
    e->workspace = load_run(e, RUN_WORKSPACE, pointer);
    e->states = load_run(e, RUN_STATES, pointer);
    e->weights = load_run(e, RUN_WEIGHTS, pointer);
    e->rank = load_run(e, RUN_RANK, i64);
    e->ranks = load_run(e, RUN_RANKS, i64);
    e->scratch = load_run(e, RUN_SCRATCH, pointer);
    bind_entry_arguments(e, f);
}

void native_begin_function(emitter *e, const ir_function *f)
{
    e->run = LLVMGetParam(e->llvm_function, 0);
    LLVMSetValueName2(e->run, "run", 3);
    if (f->entry) {
        bind_entry(e, f);
        return;
    }
    for (size_t i = 0; i < f->body->arguments.count; i++) {
        ir_value *v = f->body->arguments.items[i];
        LLVMValueRef parameter = LLVMGetParam(e->llvm_function, (unsigned)i + 1);
        if (v->name)
            LLVMSetValueName2(parameter, v->name, strlen(v->name));
        bind_value(e, v, parameter);
    }
}

LLVMValueRef native_weight_address(emitter *e, const ir_global *g)
{
    LLVMValueRef offset = int_constant(e, 64, (int64_t)(g->address - PROGRAM_WEIGHTS_ADDRESS));
    return LLVMBuildInBoundsGEP2(e->builder, int_type(e, 8), e->weights, &offset, 1, "");
}

// ------------------------------------------------------------------ operations

static void call_run(emitter *e, run_word word, unsigned n, LLVMValueRef *arguments)
{
    LLVMTypeRef types[] = {pointer_type(e), pointer_type(e)};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, n, false);
    LLVMBuildCall2(e->builder, type, load_run(e, word, pointer_type(e)), arguments, n, "");
}

static void native_barrier(emitter *e, ir_op *op)
{
    const ir_value *ranks = ir_operand_named(op, "ranks");
    LLVMBasicBlockRef wait = NULL, end = NULL;
    if (ranks) {
        wait = new_block(e, "wait"), end = new_block(e, "together");
        LLVMValueRef one = int_constant(e, 64, 1);
        LLVMValueRef alone = LLVMBuildICmp(e->builder, LLVMIntEQ, value_of(e, ranks), one, "");
        LLVMBuildCondBr(e->builder, alone, end, wait);
        LLVMPositionBuilderAtEnd(e->builder, wait);
    }
    call_run(e, RUN_BARRIER, 1, (LLVMValueRef[]){e->run});
    if (ranks) {
        LLVMBuildBr(e->builder, end);
        LLVMPositionBuilderAtEnd(e->builder, end);
    }
}

// Does not come back.
static void native_trap(emitter *e, ir_op *op)
{
    LLVMValueRef reason =
        LLVMBuildGlobalStringPtr(e->builder, ir_find(op, "reason")->text, "reason");
    call_run(e, RUN_FAIL, 2, (LLVMValueRef[]){e->run, reason});
}

static const struct native_row {
    ir_opcode code;
    void (*emit)(emitter *e, ir_op *op);
} native_rows[] = {
    {IR_STRIP, native_strip},
    {IR_VLOAD, native_vload},
    {IR_VSTORE, native_vstore},
    {IR_VLOAD_PAIRS, native_vload_pairs},
    {IR_VSTORE_PAIRS, native_vstore_pairs},
    {IR_REDUCE, native_reduce},
    {IR_LANE, native_lane},
    {IR_BARRIER, native_barrier},
    {IR_TRAP, native_trap},
    {IR_NATIVE_PREPARE, emit_prepare},
    {IR_NATIVE_MULTIPLY, emit_multiply},
    {IR_NATIVE_UNPACK, emit_unpack},
};

bool emit_native_op(emitter *e, ir_op *op)
{
    for (size_t i = 0; i < sizeof native_rows / sizeof *native_rows; i++)
        if (native_rows[i].code == op->code) {
            native_rows[i].emit(e, op);
            return true;
        }
    return false;
}
