// Buffers: where they lie, views of them, loads and stores. A buffer is row-major
// and its inner dimensions are constants, so an element's place is a sum of
// products with constant strides.
#include "compiler/codegen/cpu/native.h"

#include <string.h>

// ------------------------------------------------------------------- addresses

static LLVMValueRef byte_offset(emitter *e, LLVMValueRef base, LLVMValueRef bytes)
{
    LLVMTypeRef byte = int_type(e, 8);
    return LLVMBuildInBoundsGEP2(e->builder, byte, base, &bytes, 1, "");
}

// Elements from one index of dimension `d` to the next; -1, reported, when the
// dimensions behind it are not constant.
static int64_t stride_of(emitter *e, const ir_type *t, unsigned d)
{
    int64_t stride = 1;
    for (unsigned i = d + 1; i < t->rank; i++) {
        if (!ir_dim_is_constant(t->dims[i]) || t->dims[i].value < 0) {
            emit_error(e, "only a buffer's first dimension may be unknown here");
            return -1;
        }
        stride *= t->dims[i].value;
    }
    return stride;
}

static bool is_integer_constant(const ir_value *v, int64_t *value)
{
    if (!v || v->kind != IR_VALUE_RESULT || v->op->code != IR_CONSTANT)
        return false;
    *value = (int64_t)ir_number(v->op, "value");
    return true;
}

// The address of element [at..] of the buffer, `at` being the operands from
// `first` on; indices that are not given are 0.
LLVMValueRef element_address(emitter *e, const ir_op *op, const ir_value *buffer, unsigned first)
{
    const ir_type *t = buffer->type;
    LLVMValueRef element = NULL;
    for (unsigned i = first; i < op->n_operands && i - first < t->rank; i++) {
        int64_t index;
        if (is_integer_constant(ir_operand(op, i), &index) && index == 0)
            continue; // whatever its stride
        LLVMValueRef stride = int_constant(e, 64, stride_of(e, t, i - first));
        LLVMValueRef part = LLVMBuildNSWMul(e->builder, value_of(e, ir_operand(op, i)), stride, "");
        element = element ? LLVMBuildNSWAdd(e->builder, element, part, "") : part;
    }
    LLVMValueRef base = value_of(e, buffer);
    if (!element)
        return base;
    LLVMValueRef size = int_constant(e, 64, (int64_t)scalar_size(t->scalar));
    return byte_offset(e, base, LLVMBuildNSWMul(e->builder, element, size, ""));
}

void emit_view(emitter *e, ir_op *op)
{
    bind_value(e, ir_result(op, 0), element_address(e, op, ir_operand(op, 0), 1));
}

// Takes constant addends off an index; NULL when nothing else is left of it.
static const ir_value *peel_constants(const ir_value *index, int64_t *sum)
{
    int64_t value;
    while (index->kind == IR_VALUE_RESULT && index->op->code == IR_ADD) {
        const ir_value *x = ir_operand(index->op, 0), *y = ir_operand(index->op, 1);
        if (is_integer_constant(x, &value))
            index = y;
        else if (is_integer_constant(y, &value))
            index = x;
        else
            return index;
        *sum += value;
    }
    if (!is_integer_constant(index, &value))
        return index;
    *sum += value;
    return NULL;
}

LLVMValueRef split_address(emitter *e, const ir_value *buffer, int64_t *constant)
{
    if (buffer->kind != IR_VALUE_RESULT || buffer->op->code != IR_VIEW) {
        *constant = 0;
        return value_of(e, buffer);
    }
    const ir_op *op = buffer->op;
    const ir_type *t = ir_operand(op, 0)->type;
    LLVMValueRef address = split_address(e, ir_operand(op, 0), constant);
    for (unsigned i = 1; i < op->n_operands && i <= t->rank; i++) {
        int64_t sum = 0;
        const ir_value *rest = peel_constants(ir_operand(op, i), &sum);
        if (!rest && sum == 0)
            continue; // whatever its stride
        int64_t stride = stride_of(e, t, i - 1) * (int64_t)scalar_size(t->scalar);
        *constant += sum * stride;
        if (!rest)
            continue;
        LLVMValueRef bytes =
            LLVMBuildNSWMul(e->builder, value_of(e, rest), int_constant(e, 64, stride), "");
        address = LLVMBuildGEP2(e->builder, int_type(e, 8), address, &bytes, 1, "");
    }
    return address;
}

// i1 is a byte in memory, 0 or 1.
LLVMTypeRef memory_type(emitter *e, scalar_type s)
{
    return s == SCALAR_I1 ? int_type(e, 8) : scalar_llvm_type(e, s);
}

// ------------------------------------------------------------------- constants

static LLVMValueRef elements_of(emitter *e, const ir_global *g)
{
    int64_t count = ir_constant_count(g);
    scalar_type t = g->value.type->scalar, stored = t == SCALAR_I1 ? SCALAR_U8 : t;
    arena_mark mark = arena_save(e->arena);
    LLVMValueRef *elements = ARENA_ARRAY(e->arena, LLVMValueRef, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        elements[i] = number_constant(e, stored, g->values[i]);
    LLVMValueRef array = LLVMConstArray2(memory_type(e, t), elements, (uint64_t)count);
    arena_restore(e->arena, mark);
    return array;
}

// Arrays in .rodata, of which LLVM keeps one when several are equal.
void emit_constant_globals(emitter *e)
{
    for (ir_global *g = e->module->globals; g; g = g->next) {
        if (g->kind != IR_GLOBAL_CONSTANT || !ir_has_uses(&g->value))
            continue;
        LLVMValueRef elements = elements_of(e, g);
        LLVMValueRef array = LLVMAddGlobal(e->llvm, LLVMTypeOf(elements),
                                           arena_format(e->arena, "constant.%s", g->name));
        LLVMSetInitializer(array, elements);
        LLVMSetGlobalConstant(array, true);
        LLVMSetLinkage(array, LLVMInternalLinkage);
        LLVMSetUnnamedAddress(array, LLVMGlobalUnnamedAddr);
        LLVMSetAlignment(array, PROGRAM_ALIGNMENT);
        bind_value(e, &g->value, array);
    }
}

// ------------------------------------------------------------ where memory lies

static bool in_entry(emitter *e, const char *what)
{
    if (e->words)
        return true;
    emit_error(e, "%s exists in entry functions; pass it to this one as an argument", what);
    return false;
}

static LLVMValueRef placeholder(emitter *e, const ir_value *v)
{
    return LLVMGetUndef(value_llvm_type(e, v->type));
}

void emit_alloc(emitter *e, ir_op *op)
{
    ir_value *buffer = ir_result(op, 0);
    int64_t offset = ir_integer(op, "offset");
    bool ok = in_entry(e, "the workspace");
    if (ok && offset < 0) {
        emit_error(e, "alloc has no 'offset' in the workspace yet; plan-memory sets it");
        ok = false;
    }
    LLVMValueRef memory = ir_boolean(op, "private") ? e->scratch : e->workspace;
    bind_value(e, buffer,
               ok ? byte_offset(e, memory, int_constant(e, 64, offset)) : placeholder(e, buffer));
}

static LLVMValueRef weight_address(emitter *e, const ir_global *g)
{
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0);
    if (!g->packed)
        emit_error(e, "weight '%s' has no address yet; pack-weights sets it", g->name);
    if (e->level)
        return native_weight_address(e, g);
    return LLVMConstIntToPtr(int_constant(e, 64, (int64_t)g->address), pointer);
}

static LLVMValueRef state_address(emitter *e, const ir_global *g, const ir_value *buffer)
{
    const program_state *state = program_find_state(e->options->program, g->name);
    if (!state)
        emit_error(e, "the program's description has no state '%s'", g->name);
    if (!in_entry(e, "the state memory") || !state)
        return placeholder(e, buffer);
    return byte_offset(e, e->states, int_constant(e, 64, (int64_t)state->offset));
}

static LLVMValueRef global_address(emitter *e, const ir_value *v, const ir_value *buffer)
{
    switch (v->global->kind) {
    case IR_GLOBAL_WEIGHT: return weight_address(e, v->global);
    case IR_GLOBAL_STATE: return state_address(e, v->global, buffer);
    case IR_GLOBAL_CONSTANT: return value_of(e, v);
    }
    UNREACHABLE();
}

void emit_address(emitter *e, ir_op *op)
{
    const ir_value *v = ir_operand(op, 0);
    ir_value *buffer = ir_result(op, 0);
    if (v->kind != IR_VALUE_GLOBAL) {
        emit_error(e, "address needs a weight, a state or a constant");
        bind_undefined(e, op);
        return;
    }
    bind_value(e, buffer, global_address(e, v, buffer));
}

void emit_rank(emitter *e, ir_op *op)
{
    bool known = in_entry(e, "its rank");
    LLVMValueRef number = op->code == IR_RANK ? e->rank : e->ranks;
    bind_value(e, ir_result(op, 0), known ? number : LLVMGetUndef(int_type(e, 64)));
}

void emit_dimension(emitter *e, ir_op *op)
{
    const char *name = ir_find(op, "symbol")->text;
    const program_description *p = e->options->program;
    size_t i = 0;
    while (i < p->dims.count && strcmp(p->dims.items[i]->name, name))
        i++;
    if (i == p->dims.count)
        emit_error(e, "the program's description has no dimension '%s'", name);
    LLVMTypeRef i64 = int_type(e, 64);
    if (!in_entry(e, "a dimension's size") || i == p->dims.count) {
        bind_value(e, ir_result(op, 0), LLVMGetUndef(i64));
        return;
    }
    LLVMValueRef at = byte_offset(e, e->words, int_constant(e, 64, (int64_t)i * 8));
    bind_value(e, ir_result(op, 0), LLVMBuildLoad2(e->builder, i64, at, name));
}

// ------------------------------------------------------------- loads and stores

LLVMValueRef from_memory(emitter *e, LLVMValueRef x, scalar_type s)
{
    return s == SCALAR_I1 ? compare_int(e, LLVMIntNE, x, bits_like(x, 0)) : x;
}

LLVMValueRef to_memory(emitter *e, LLVMValueRef x, scalar_type s)
{
    return s == SCALAR_I1 ? convert(e, C_ZEXT, x, int_type(e, 8)) : x;
}

static void align(LLVMValueRef access, scalar_type s)
{
    LLVMSetAlignment(access, (unsigned)scalar_size(s));
}

void emit_load(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 0);
    scalar_type s = buffer->type->scalar;
    LLVMValueRef at = element_address(e, op, buffer, 1);
    LLVMValueRef x = LLVMBuildLoad2(e->builder, memory_type(e, s), at, "");
    align(x, s);
    bind_value(e, ir_result(op, 0), from_memory(e, x, s));
}

void emit_store(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 1);
    scalar_type s = buffer->type->scalar;
    LLVMValueRef x = to_memory(e, value_of(e, ir_operand(op, 0)), s);
    align(LLVMBuildStore(e->builder, x, element_address(e, op, buffer, 2)), s);
}

// The alignment of a predicated access is an attribute of its address operand.
static void align_operand(emitter *e, LLVMValueRef call, unsigned operand, scalar_type s)
{
    unsigned kind = LLVMGetEnumAttributeKindForName("align", 5);
    LLVMAttributeRef a = LLVMCreateEnumAttribute(e->context, kind, scalar_size(s));
    LLVMAddCallSiteAttribute(call, operand + 1, a);
}

static LLVMValueRef stride_bytes(emitter *e, const ir_op *op, scalar_type s)
{
    return int_constant(e, 64, ir_integer(op, "stride") * (int64_t)scalar_size(s));
}

void emit_vload(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 0);
    scalar_type s = buffer->type->scalar;
    LLVMValueRef at = element_address(e, op, buffer, 1), mask = all_lanes(e, e->lanes), x;
    LLVMTypeRef overloads[] = {LLVMScalableVectorType(memory_type(e, s), e->lanes), LLVMTypeOf(at),
                               int_type(e, 64)};
    if (ir_integer(op, "stride") == 1)
        x = call_intrinsic(e, "llvm.vp.load", 2, overloads, 3, (LLVMValueRef[]){at, mask, e->evl});
    else
        x = call_intrinsic(e, "llvm.experimental.vp.strided.load", 3, overloads, 4,
                           (LLVMValueRef[]){at, stride_bytes(e, op, s), mask, e->evl});
    align_operand(e, x, 0, s);
    bind_value(e, ir_result(op, 0), from_memory(e, x, s));
}

// Neighbours are loaded and stored side by side, as integers of their size, and are taken apart and
// put together in registers.
static LLVMTypeRef pairs_type(emitter *e, scalar_type s)
{
    return LLVMScalableVectorType(int_type(e, (unsigned)(8 * scalar_size(s))), 2 * e->lanes);
}

static LLVMValueRef twice(emitter *e, LLVMValueRef x)
{
    return LLVMBuildNUWAdd(e->builder, x, x, "");
}

void emit_vload_pairs(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 0);
    scalar_type s = buffer->type->scalar;
    LLVMTypeRef pairs = pairs_type(e, s),
                lanes = LLVMScalableVectorType(memory_type(e, s), e->lanes);
    LLVMValueRef at = element_address(e, op, buffer, 1), mask = all_lanes(e, 2 * e->lanes);
    LLVMTypeRef overloads[] = {pairs, LLVMTypeOf(at)};
    LLVMValueRef x = call_intrinsic(e, "llvm.vp.load", 2, overloads, 3,
                                    (LLVMValueRef[]){at, mask, twice(e, e->evl)});
    align_operand(e, x, 0, s);
    x = call_intrinsic(e, "llvm.vector.deinterleave2", 1, &pairs, 1, &x);
    for (unsigned i = 0; i < 2; i++) {
        LLVMValueRef each = LLVMBuildExtractValue(e->builder, x, i, "");
        each = LLVMBuildBitCast(e->builder, each, lanes, "");
        bind_value(e, ir_result(op, i), from_memory(e, each, s));
    }
}

void emit_vstore_pairs(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 2);
    scalar_type s = buffer->type->scalar;
    LLVMTypeRef pairs = pairs_type(e, s);
    LLVMTypeRef half = LLVMScalableVectorType(LLVMGetElementType(pairs), e->lanes);
    LLVMValueRef both[2];
    for (unsigned i = 0; i < 2; i++) {
        LLVMValueRef x = vector_of(e, value_of(e, ir_operand(op, i)), e->lanes);
        both[i] = LLVMBuildBitCast(e->builder, to_memory(e, x, s), half, "");
    }
    LLVMValueRef x = call_intrinsic(e, "llvm.vector.interleave2", 1, &pairs, 2, both);
    LLVMValueRef at = element_address(e, op, buffer, 3), mask = all_lanes(e, 2 * e->lanes);
    LLVMTypeRef overloads[] = {pairs, LLVMTypeOf(at)};
    LLVMValueRef store = call_intrinsic(e, "llvm.vp.store", 2, overloads, 4,
                                        (LLVMValueRef[]){x, at, mask, twice(e, e->evl)});
    align_operand(e, store, 1, s);
}

void emit_vstore(emitter *e, ir_op *op)
{
    const ir_value *buffer = ir_operand(op, 1);
    scalar_type s = buffer->type->scalar;
    LLVMValueRef x = to_memory(e, vector_of(e, value_of(e, ir_operand(op, 0)), e->lanes), s);
    LLVMValueRef at = element_address(e, op, buffer, 2), mask = all_lanes(e, e->lanes), store;
    LLVMTypeRef overloads[] = {LLVMTypeOf(x), LLVMTypeOf(at), int_type(e, 64)};
    if (ir_integer(op, "stride") == 1)
        store = call_intrinsic(e, "llvm.vp.store", 2, overloads, 4,
                               (LLVMValueRef[]){x, at, mask, e->evl});
    else
        store = call_intrinsic(e, "llvm.experimental.vp.strided.store", 3, overloads, 5,
                               (LLVMValueRef[]){x, at, stride_bytes(e, op, s), mask, e->evl});
    align_operand(e, store, 1, s);
}
