// Loops, branches and calls.
#include "compiler/codegen/cpu/native.h"

#include <string.h>

// Numbers of services: docs/program.md.
typedef enum service { SERVICE_BARRIER = 4096 } service;

LLVMBasicBlockRef new_block(emitter *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->context, e->llvm_function, name);
}

static LLVMBasicBlockRef current_block(emitter *e)
{
    return LLVMGetInsertBlock(e->builder);
}

static void move_to(emitter *e, LLVMBasicBlockRef block)
{
    LLVMPositionBuilderAtEnd(e->builder, block);
}

unsigned strip_lanes(const emitter *e, unsigned width)
{
    return (e->level ? NATIVE_STRIP_BITS : 4 * 64) / width;
}

unsigned strip_width(const ir_op *op)
{
    scalar_type t = SCALAR_F32;
    scalar_by_name(ir_name(op, "width"), &t);
    return scalar_rows[t].bits;
}

static const ir_op *terminator(const ir_op *op, unsigned region)
{
    return op->regions[region]->last;
}

// ----------------------------------------------------------------------- loops

// How many lanes a carried vector has whose initial value is one broadcast
// scalar: what the strips want that it reaches; 0 when it reaches none.
static unsigned wanted_lanes(const emitter *e, const ir_value *v, unsigned depth);

static unsigned wanted_by(const emitter *e, const ir_use *u, unsigned depth)
{
    const ir_op *op = u->op;
    if (op->code == IR_STRIP && u->slot >= 1)
        return strip_lanes(e, strip_width(op));
    if (op->code == IR_FOR && u->slot >= 3)
        return wanted_lanes(e, op->regions[0]->arguments.items[u->slot - 2], depth + 1);
    for (unsigned i = 0; i < op->n_results; i++)
        if (op->results[i].type->kind == IR_VECTOR) {
            unsigned lanes = wanted_lanes(e, &op->results[i], depth + 1);
            if (lanes)
                return lanes;
        }
    return 0;
}

static unsigned wanted_lanes(const emitter *e, const ir_value *v, unsigned depth)
{
    enum { MAX_DEPTH = 64 };
    unsigned lanes = 0;
    for (const ir_use *u = v->uses; u && !lanes && depth < MAX_DEPTH; u = u->next)
        lanes = wanted_by(e, u, depth);
    return lanes;
}

static unsigned carried_lanes(const emitter *e, const ir_op *op, const ir_value *argument)
{
    if (argument->type->kind != IR_VECTOR)
        return 0;
    if (e->lanes) // a loop inside of a strip
        return e->lanes;
    if (op->code == IR_STRIP)
        return strip_lanes(e, strip_width(op));
    unsigned lanes = wanted_lanes(e, argument, 0);
    return lanes ? lanes : strip_lanes(e, 32);
}

typedef struct loop {
    ir_op *op;
    unsigned first_initial, first_argument; // of the carried values
    LLVMBasicBlockRef before, head, body, end;
    LLVMValueRef counter;
} loop;

static ir_value *carried_argument(const loop *l, unsigned i)
{
    return l->op->regions[0]->arguments.items[l->first_argument + i];
}

// A phi in the head for every carried value but tiles, which stay where they are.
static void begin_carried(emitter *e, loop *l)
{
    LLVMValueRef *initial = ARENA_ARRAY(e->arena, LLVMValueRef, l->op->n_results);
    for (unsigned i = 0; i < l->op->n_results; i++) {
        const ir_value *v = ir_operand(l->op, l->first_initial + i);
        if (v->type->kind != IR_TILE)
            initial[i] =
                vector_of(e, value_of(e, v), carried_lanes(e, l->op, carried_argument(l, i)));
    }
    LLVMBuildBr(e->builder, l->head);
    move_to(e, l->head);
    LLVMTypeRef i64 = int_type(e, 64);
    l->counter = LLVMBuildPhi(e->builder, i64, "");
    for (unsigned i = 0; i < l->op->n_results; i++) {
        if (!initial[i])
            continue;
        LLVMValueRef phi = LLVMBuildPhi(e->builder, LLVMTypeOf(initial[i]), "");
        LLVMAddIncoming(phi, &initial[i], &l->before, 1);
        bind_value(e, carried_argument(l, i), phi);
    }
}

static loop begin_loop(emitter *e, ir_op *op, unsigned first_initial, unsigned first_argument,
                       LLVMValueRef from)
{
    loop l = {.op = op, .first_initial = first_initial, .first_argument = first_argument};
    l.before = current_block(e);
    l.head = new_block(e, "head");
    l.body = new_block(e, "body");
    l.end = new_block(e, "end");
    begin_carried(e, &l);
    LLVMAddIncoming(l.counter, &from, &l.before, 1);
    return l;
}

static void enter_body(emitter *e, loop *l, LLVMValueRef upper)
{
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, l->counter, upper, "");
    LLVMBuildCondBr(e->builder, more, l->body, l->end);
    move_to(e, l->body);
}

static bool has_tiles(const ir_op *op)
{
    for (unsigned i = 0; i < op->n_results; i++)
        if (op->results[i].type->kind == IR_TILE)
            return true;
    for (unsigned i = 0; i < op->n_operands; i++)
        if (ir_operand(op, i) && ir_operand(op, i)->type->kind == IR_TILE)
            return true;
    return false;
}

// Loops of tile instructions stay loops: unrolled by LLVM they have more addresses than registers,
// and the emulator executes loops as a whole.
static void keep_loop(emitter *e, const loop *l, LLVMValueRef back)
{
    bool tiles = false;
    for (const ir_op *op = l->op->regions[0]->first; op && !tiles; op = op->next)
        tiles = has_tiles(op);
    if (!tiles)
        return;
    static const char loop_name[] = "llvm.loop", disable[] = "llvm.loop.unroll.disable";
    LLVMMetadataRef self = LLVMTemporaryMDNode(e->context, NULL, 0);
    LLVMMetadataRef option = LLVMMDStringInContext2(e->context, disable, sizeof disable - 1);
    LLVMMetadataRef parts[] = {self, LLVMMDNodeInContext2(e->context, &option, 1)};
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->context, parts, 2);
    LLVMMetadataReplaceAllUsesWith(self, node);
    unsigned kind = LLVMGetMDKindIDInContext(e->context, loop_name, sizeof loop_name - 1);
    LLVMSetMetadata(back, kind, LLVMMetadataAsValue(e->context, node));
}

// Yields the next round's values and counter, and binds the loop's results.
static void end_loop(emitter *e, loop *l, LLVMValueRef step)
{
    const ir_op *yield = terminator(l->op, 0);
    LLVMValueRef next = LLVMBuildNSWAdd(e->builder, l->counter, step, "");
    for (unsigned i = 0; i < l->op->n_results; i++) {
        if (l->op->results[i].type->kind == IR_TILE)
            continue;
        LLVMValueRef phi = value_of(e, carried_argument(l, i));
        LLVMValueRef v = vector_of(e, value_of(e, ir_operand(yield, i)), lanes_of(phi));
        if (is_vector(phi) &&
            l->op->code == IR_STRIP) // a loop inside has the same lanes throughout
            v = merge_tail(e, v, phi);
        LLVMBasicBlockRef here = current_block(e);
        LLVMAddIncoming(phi, &v, &here, 1);
        bind_value(e, ir_result(l->op, i), phi);
    }
    LLVMBasicBlockRef last = current_block(e);
    LLVMAddIncoming(l->counter, &next, &last, 1);
    keep_loop(e, l, LLVMBuildBr(e->builder, l->head));
    move_to(e, l->end);
}

// Rounds that look up for several row tiles.
static bool has_rounds(const ir_op *columns)
{
    enum { LEAST = 4 };
    unsigned lookups = 0;
    IR_FOR_OPS(op, columns->regions[0])
    {
        const ir_op *inner = op->code == IR_FOR ? op->regions[0]->first : NULL;
        for (; inner; inner = inner->next)
            lookups += inner->code == IR_XLUT_MMA && !ir_name_is(inner, "rows", "one");
    }
    return lookups >= LEAST;
}

// A number that LLVM knows nothing of: what depends on it is computed anew where it is used.
static LLVMValueRef opaque(emitter *e, LLVMValueRef v)
{
    return assembly(e, "", "=r,0", LLVMTypeOf(v), &v, 1);
}

// Around rounds of lookups, addresses that are computed anew for each column tile take less time
// than pointers that are kept on the stack and advanced: there are many more than registers.
void emit_for(emitter *e, ir_op *op)
{
    LLVMValueRef upper = value_of(e, ir_operand(op, 1)), step = value_of(e, ir_operand(op, 2));
    loop l = begin_loop(e, op, 3, 1, value_of(e, ir_operand(op, 0)));
    enter_body(e, &l, upper);
    bind_value(e, op->regions[0]->arguments.items[0],
               has_rounds(op) ? opaque(e, l.counter) : l.counter);
    emit_block(e, op->regions[0]);
    debug_location(e, op->where);
    end_loop(e, &l, step);
}

// vsetvli for the elements that are left, at the strip's widest element and LMUL 4.
LLVMValueRef set_lanes(emitter *e, LLVMValueRef left, unsigned width)
{
    enum { LMUL4 = 2 };
    LLVMTypeRef i64 = int_type(e, 64);
    LLVMValueRef arguments[] = {left, int_constant(e, 64, __builtin_ctz(width / 8)),
                                int_constant(e, 64, LMUL4)};
    return call_intrinsic(e, "llvm.riscv.vsetvli", 1, &i64, 3, arguments);
}

void emit_strip(emitter *e, ir_op *op)
{
    if (e->lanes) {
        emit_error(e, "a strip cannot stand inside a strip");
        bind_undefined(e, op);
        return;
    }
    if (ir_boolean(op, "beside")) {
        emit_strip_beside(e, op);
        return;
    }
    unsigned width = strip_width(op);
    LLVMValueRef count = value_of(e, ir_operand(op, 0));
    loop l = begin_loop(e, op, 1, 2, int_constant(e, 64, 0));
    enter_body(e, &l, count);
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, count, l.counter, "");
    e->lanes = strip_lanes(e, width);
    e->vl = set_lanes(e, left, width);
    e->evl = LLVMBuildTrunc(e->builder, e->vl, int_type(e, 32), "");
    bind_value(e, op->regions[0]->arguments.items[0], l.counter);
    bind_value(e, op->regions[0]->arguments.items[1], e->vl);
    emit_block(e, op->regions[0]);
    debug_location(e, op->where);
    end_loop(e, &l, e->vl);
    e->lanes = 0;
    e->vl = e->evl = NULL;
}

// -------------------------------------------------------------------- branches

typedef struct branch {
    LLVMBasicBlockRef last; // where the region's code ends
    LLVMValueRef *values;   // what it yields
} branch;

static branch emit_branch(emitter *e, ir_op *op, unsigned region, LLVMBasicBlockRef start)
{
    move_to(e, start);
    emit_block(e, op->regions[region]);
    branch b = {.values = ARENA_ARRAY(e->arena, LLVMValueRef, op->n_results)};
    for (unsigned i = 0; i < op->n_results; i++)
        if (op->results[i].type->kind != IR_TILE)
            b.values[i] = value_of(e, ir_operand(terminator(op, region), i));
    b.last = current_block(e);
    return b;
}

// One side may have left lanes unmade that the other has.
static void leave_branch(emitter *e, const ir_op *op, branch *b, const branch *other,
                         LLVMBasicBlockRef end)
{
    move_to(e, b->last);
    for (unsigned i = 0; i < op->n_results; i++)
        if (b->values[i])
            b->values[i] = vector_of(e, b->values[i], lanes_of(other->values[i]));
    LLVMBuildBr(e->builder, end);
}

void emit_if(emitter *e, ir_op *op)
{
    LLVMBasicBlockRef then = new_block(e, "then"), otherwise = new_block(e, "else");
    LLVMBasicBlockRef end = new_block(e, "end");
    LLVMBuildCondBr(e->builder, value_of(e, ir_operand(op, 0)), then, otherwise);
    branch first = emit_branch(e, op, 0, then);
    branch second = emit_branch(e, op, 1, otherwise);
    leave_branch(e, op, &first, &second, end);
    leave_branch(e, op, &second, &first, end);
    move_to(e, end);
    for (unsigned i = 0; i < op->n_results; i++) {
        if (!first.values[i])
            continue;
        LLVMValueRef phi = LLVMBuildPhi(e->builder, LLVMTypeOf(first.values[i]), "");
        LLVMAddIncoming(phi, &first.values[i], &first.last, 1);
        LLVMAddIncoming(phi, &second.values[i], &second.last, 1);
        bind_value(e, ir_result(op, i), phi);
    }
}

// An instruction that is illegal on every machine, where docs/program.md says the reason is. What
// follows is never reached.
void emit_trap(emitter *e, ir_op *op)
{
    const char *reason = ir_find(op, "reason")->text;
    LLVMValueRef operands[] = {LLVMBuildGlobalStringPtr(e->builder, reason, "reason"),
                               int_constant(e, 64, (int64_t)strlen(reason))};
    assembly(e, "unimp", "{a0},{a1},~{memory}", LLVMVoidTypeInContext(e->context), operands, 2);
}

// A service of docs/program.md without arguments.
static void call_service(emitter *e, service number)
{
    LLVMValueRef operand = int_constant(e, 64, number);
    assembly(e, "ecall", "{a7},~{a0},~{memory}", LLVMVoidTypeInContext(e->context), &operand, 1);
}

// Entries have hundreds of them, so they call one function. Of a single rank it does nothing.
static void declare_barrier(emitter *e)
{
    LLVMTypeRef ranks = int_type(e, 64);
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), &ranks, 1, false);
    e->barrier = internal_function(e, "barrier", type);
}

void emit_barrier_function(emitter *e)
{
    if (!e->barrier)
        return;
    e->llvm_function = e->barrier;
    LLVMSetCurrentDebugLocation2(e->builder, NULL);
    move_to(e, new_block(e, "entry"));
    LLVMBasicBlockRef wait = new_block(e, "wait"), end = new_block(e, "together");
    LLVMValueRef ranks = LLVMGetParam(e->barrier, 0), one = int_constant(e, 64, 1);
    LLVMValueRef single = LLVMBuildICmp(e->builder, LLVMIntEQ, ranks, one, "");
    LLVMBuildCondBr(e->builder, single, end, wait);
    move_to(e, wait);
    call_service(e, SERVICE_BARRIER);
    LLVMBuildBr(e->builder, end);
    move_to(e, end);
    LLVMBuildRetVoid(e->builder);
}

void emit_barrier(emitter *e, ir_op *op)
{
    const ir_value *given = ir_operand_named(op, "ranks");
    if (!e->ranks) {
        emit_error(e, "barriers stand in entry functions, which all ranks run through");
        return;
    }
    if (!e->barrier)
        declare_barrier(e);
    LLVMTypeRef type = LLVMGlobalGetValueType(e->barrier);
    LLVMValueRef ranks = given ? value_of(e, given) : e->ranks;
    LLVMBuildCall2(e->builder, type, e->barrier, &ranks, 1, "");
}

// ----------------------------------------------------------------------- calls

static bool arguments_match(const ir_op *op, const ir_function *f)
{
    if (op->n_operands != f->body->arguments.count || op->n_results)
        return false;
    for (unsigned i = 0; i < op->n_operands; i++)
        if (ir_operand(op, i)->type->kind != f->body->arguments.items[i]->type->kind ||
            (ir_operand(op, i)->type->scalar != f->body->arguments.items[i]->type->scalar))
            return false;
    return true;
}

void emit_call(emitter *e, ir_op *op)
{
    const char *name = ir_find(op, "callee")->text;
    const ir_function *f = ir_function_find(e->module, name);
    if (!f || f->entry || !arguments_match(op, f)) {
        emit_error(e,
                   !f         ? "there is no function '%s' to call"
                   : f->entry ? "'%s' is an entry: only the outside calls it"
                              : "the arguments do not fit those of '%s'",
                   name);
        return;
    }
    LLVMValueRef *arguments = ARENA_ARRAY(e->arena, LLVMValueRef, op->n_operands + 1);
    unsigned n = 0;
    if (e->level)
        arguments[n++] = e->run;
    for (unsigned i = 0; i < op->n_operands; i++)
        arguments[n++] = value_of(e, ir_operand(op, i));
    LLVMValueRef callee = LLVMGetNamedFunction(e->llvm, symbol_of(e, f));
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(callee), callee, arguments, n, "");
}
