// A module at tile level becomes an LLVM module: kernels as internal functions,
// entries as docs/program.md says they are called.
#include "compiler/codegen/cpu/native.h"

#include <string.h>

void emit_error(emitter *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(e->diagnostics, SEVERITY_ERROR, e->where, format, args);
    va_end(args);
}

// ---------------------------------------------------------------------- values

void bind_value(emitter *e, ir_value *v, LLVMValueRef llvm)
{
    if (is_vector(llvm))
        fits_registers(e, llvm);
    v->mark = (int64_t)e->values.count;
    ARRAY_PUSH(e->arena, &e->values, llvm);
}

// A vector from a strip of another width cannot be used lane by lane.
static LLVMValueRef check_lanes(emitter *e, LLVMValueRef v)
{
    unsigned lanes = lanes_of(v);
    if (!e->lanes || !lanes || lanes == e->lanes)
        return v;
    emit_error(e, "this vector has the lanes of a strip of another width");
    return LLVMGetUndef(element_of(v));
}

LLVMValueRef value_of(emitter *e, const ir_value *v)
{
    return check_lanes(e, e->values.items[v->mark]);
}

void bind_undefined(emitter *e, ir_op *op)
{
    for (unsigned i = 0; i < op->n_results; i++) {
        const ir_type *t = op->results[i].type;
        LLVMTypeRef type = value_llvm_type(e, t->kind == IR_BUFFER ? t : ir_type_index(e->module));
        if (t->kind == IR_SCALAR || t->kind == IR_VECTOR)
            type = scalar_llvm_type(e, t->scalar);
        bind_value(e, ir_result(op, i), LLVMGetUndef(type));
    }
}

// ------------------------------------------------------------------ operations

static void emit_broadcast(emitter *e, ir_op *op)
{
    bind_value(e, ir_result(op, 0), value_of(e, ir_operand(op, 0)));
}

// What is not a row here is elementwise, an Xlut operation, or of the graph.
static const struct emit_row {
    ir_opcode code;
    void (*emit)(emitter *e, ir_op *op);
} emit_rows[] = {
    {IR_CONSTANT, emit_elementwise},
    {IR_REM, emit_elementwise},
    {IR_FOR, emit_for},
    {IR_STRIP, emit_strip},
    {IR_IF, emit_if},
    {IR_TRAP, emit_trap},
    {IR_CALL, emit_call},
    {IR_RANK, emit_rank},
    {IR_RANKS, emit_rank},
    {IR_BARRIER, emit_barrier},
    {IR_COMPARE, emit_compare},
    {IR_SELECT, emit_select},
    {IR_REDUCE, emit_reduce},
    {IR_BROADCAST, emit_broadcast},
    {IR_LANE, emit_lane},
    {IR_DIMENSION, emit_dimension},
    {IR_ALLOC, emit_alloc},
    {IR_ADDRESS, emit_address},
    {IR_VIEW, emit_view},
    {IR_LOAD, emit_load},
    {IR_STORE, emit_store},
    {IR_VLOAD, emit_vload},
    {IR_VSTORE, emit_vstore},
    {IR_VLOAD_PAIRS, emit_vload_pairs},
    {IR_VSTORE_PAIRS, emit_vstore_pairs},
    {IR_PREFETCH, emit_prefetch},
};

void emit_operation(emitter *e, ir_op *op)
{
    e->where = op->where;
    debug_location(e, op->where);
    if (e->level && emit_native_op(e, op))
        return;
    for (size_t i = 0; i < sizeof emit_rows / sizeof *emit_rows; i++)
        if (emit_rows[i].code == op->code) {
            emit_rows[i].emit(e, op);
            return;
        }
    if (ir_op_rows[op->code].traits & IR_ELEMENTWISE)
        emit_elementwise(e, op);
    else if (text_starts_with(ir_op_rows[op->code].name, "xlut."))
        emit_xlut(e, op);
    else {
        emit_error(e, "'%s' is not an operation of the tile level; lower-to-tile replaces it",
                   ir_op_rows[op->code].name);
        bind_undefined(e, op);
    }
}

void emit_block(emitter *e, const ir_block *b)
{
    IR_FOR_OPS(op, b)
    if (!(ir_op_rows[op->code].traits & IR_TERMINATOR))
        emit_operation(e, op);
}

// ------------------------------------------------------------------- functions

static void add_attribute(emitter *e, LLVMValueRef f, const char *name, uint64_t value)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(e->context, kind, value));
}

const char *symbol_of(emitter *e, const ir_function *f)
{
    return e->level ? native_symbol(e, f) : f->name;
}

// No library functions exist, so none may be recognised; vectors have one size.
void add_attributes(emitter *e, LLVMValueRef f, bool entry)
{
    uint64_t vscale = e->options->machine->vlen / 64;
    LLVMAttributeRef no_builtins = LLVMCreateStringAttribute(e->context, "no-builtins", 11, "", 0);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, no_builtins);
    add_attribute(e, f, "nounwind", 0);
    if (e->level)
        native_attributes(e, f);
    else
        add_attribute(e, f, "vscale_range", vscale << 32 | vscale);
    if (!entry)
        add_attribute(e, f, "noinline", 0);
}

LLVMValueRef internal_function(emitter *e, const char *name, LLVMTypeRef type)
{
    LLVMValueRef f = LLVMAddFunction(e->llvm, name, type);
    LLVMSetLinkage(f, LLVMInternalLinkage);
    add_attributes(e, f, false);
    return f;
}

enum { ENTRY_PARAMETERS = 6 };

static LLVMTypeRef function_type(emitter *e, const ir_function *f)
{
    if (e->level)
        return native_function_type(e, f);
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0);
    LLVMTypeRef nothing = LLVMVoidTypeInContext(e->context);
    if (f->entry) {
        LLVMTypeRef i64 = int_type(e, 64);
        LLVMTypeRef types[ENTRY_PARAMETERS] = {pointer, pointer, pointer, i64, i64, pointer};
        return LLVMFunctionType(nothing, types, ENTRY_PARAMETERS, false);
    }
    size_t n = f->body->arguments.count;
    LLVMTypeRef *types = ARENA_ARRAY(e->arena, LLVMTypeRef, n + 1);
    for (size_t i = 0; i < n; i++)
        types[i] = value_llvm_type(e, f->body->arguments.items[i]->type);
    return LLVMFunctionType(nothing, types, (unsigned)n, false);
}

static bool check_signature(emitter *e, const ir_function *f)
{
    bool ok = !f->results.count;
    for (size_t i = 0; i < f->body->arguments.count; i++)
        ok &= value_llvm_type(e, f->body->arguments.items[i]->type) != NULL;
    e->where = f->where;
    if (!ok)
        emit_error(e,
                   "at tile level function '%s' may take index, scalar and buffer arguments and "
                   "has no results",
                   f->name);
    if (*f->name == '.' || text_starts_with(f->name, "llvm.")) {
        emit_error(e, "'%s' is a name of LLVM's own; give the function another one", f->name);
        return false;
    }
    return ok;
}

static void declare_function(emitter *e, const ir_function *f)
{
    LLVMValueRef llvm = LLVMAddFunction(e->llvm, symbol_of(e, f), function_type(e, f));
    bool outside = f->entry && !e->level;
    LLVMSetLinkage(llvm, outside ? LLVMExternalLinkage : LLVMInternalLinkage);
    add_attributes(e, llvm, f->entry);
}

// A scalar of an entry's words: its low bits.
static LLVMValueRef scalar_from_word(emitter *e, LLVMValueRef word, const ir_type *t)
{
    LLVMTypeRef type = value_llvm_type(e, t);
    if (t->kind == IR_INDEX)
        return word;
    unsigned bits = t->scalar == SCALAR_I1 ? 1 : scalar_rows[t->scalar].bits;
    LLVMValueRef low = LLVMBuildTrunc(e->builder, word, int_type(e, bits), "");
    return LLVMBuildBitCast(e->builder, low, type, "");
}

void bind_entry_arguments(emitter *e, const ir_function *f)
{
    size_t first = e->options->program->dims.count;
    LLVMTypeRef i64 = int_type(e, 64), pointer = LLVMPointerTypeInContext(e->context, 0);
    for (size_t i = 0; i < f->body->arguments.count; i++) {
        ir_value *v = f->body->arguments.items[i];
        bool buffer = v->type->kind == IR_BUFFER;
        LLVMValueRef at = int_constant(e, 64, (int64_t)(first + i) * 8);
        at = LLVMBuildInBoundsGEP2(e->builder, int_type(e, 8), e->words, &at, 1, "");
        LLVMValueRef word = LLVMBuildLoad2(e->builder, buffer ? pointer : i64, at, "");
        bind_value(e, v, buffer ? word : scalar_from_word(e, word, v->type));
    }
}

static void begin_entry(emitter *e, const ir_function *f)
{
    static const char *const names[ENTRY_PARAMETERS] = {"words", "workspace", "states",
                                                        "rank",  "ranks",     "scratch"};
    LLVMValueRef *parameters[ENTRY_PARAMETERS] = {&e->words, &e->workspace, &e->states,
                                                  &e->rank,  &e->ranks,     &e->scratch};
    for (unsigned i = 0; i < ENTRY_PARAMETERS; i++) {
        *parameters[i] = LLVMGetParam(e->llvm_function, i);
        LLVMSetValueName2(*parameters[i], names[i], strlen(names[i]));
    }
    bind_entry_arguments(e, f);
}

static void bind_arguments(emitter *e, const ir_function *f)
{
    for (size_t i = 0; i < f->body->arguments.count; i++) {
        ir_value *v = f->body->arguments.items[i];
        LLVMValueRef parameter = LLVMGetParam(e->llvm_function, (unsigned)i);
        if (v->name)
            LLVMSetValueName2(parameter, v->name, strlen(v->name));
        bind_value(e, v, parameter);
    }
}

void begin_function(emitter *e, const ir_function *f, LLVMValueRef llvm)
{
    e->function = f;
    e->where = f->where;
    e->llvm_function = llvm;
    e->first_value = (int64_t)e->values.count;
    e->words = e->workspace = e->states = e->rank = e->ranks = e->scratch = NULL;
    LLVMPositionBuilderAtEnd(e->builder, new_block(e, "entry"));
    debug_function(e, llvm);
    debug_location(e, f->where);
    if (e->level)
        native_begin_function(e, f);
    else if (f->entry)
        begin_entry(e, f);
    else
        bind_arguments(e, f);
}

void end_function(emitter *e, location where)
{
    debug_location(e, where);
    LLVMBuildRetVoid(e->builder);
}

static void emit_function(emitter *e, const ir_function *f)
{
    LLVMValueRef llvm = LLVMGetNamedFunction(e->llvm, symbol_of(e, f));
    if (f->entry && emit_in_parts(e, f, llvm))
        return;
    begin_function(e, f, llvm);
    emit_block(e, f->body);
    end_function(e, f->body->last ? f->body->last->where : f->where);
}

// ------------------------------------------------------------------------ note

// An ELF note: sizes of name and description, type, name, description; words.
static void emit_note(emitter *e)
{
    static const char owner[8] = "Lutra\0\0";
    text json = {0};
    program_print_json(&json, e->options->program, e->options->machine);
    uint32_t head[3] = {6, (uint32_t)json.length, 1};
    while (json.length % 4)
        text_char(&json, '\0');
    text note = {0};
    text_append_n(&note, (const char *)head, sizeof head);
    text_append_n(&note, owner, sizeof owner);
    text_append_n(&note, json.data, json.length);
    LLVMValueRef bytes = LLVMConstStringInContext2(e->context, note.data, note.length, true);
    LLVMValueRef global = LLVMAddGlobal(e->llvm, LLVMTypeOf(bytes), "lutra.note");
    LLVMSetInitializer(global, bytes);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMExternalLinkage);
    LLVMSetVisibility(global, LLVMHiddenVisibility);
    LLVMSetSection(global, ".note.lutra");
    LLVMSetAlignment(global, 4);
    text_free(&json);
    text_free(&note);
}

void emit_functions(emitter *e)
{
    for (const ir_function *f = e->module->functions; f; f = f->next)
        declare_function(e, f);
    for (const ir_function *f = e->module->functions; f; f = f->next)
        emit_function(e, f);
}

void emit_module(emitter *e)
{
    bool ok = true;
    for (const ir_function *f = e->module->functions; f; f = f->next)
        ok &= check_signature(e, f);
    if (!ok)
        return;
    debug_begin(e);
    emit_constant_globals(e);
    if (e->options->target && e->options->target->native) {
        native_emit_levels(e);
    } else {
        emit_functions(e);
        emit_barrier_function(e);
        emit_note(e);
    }
    debug_end(e);
}
