// Strips of a CPU: whole vectors in a loop, and the lanes that are left over behind it.
#include "compiler/codegen/cpu/native.h"

#include <math.h>
#include <string.h>

LLVMValueRef lane_numbers(emitter *e, unsigned lanes, unsigned bits)
{
    LLVMValueRef *numbers = ARENA_ARRAY(e->arena, LLVMValueRef, lanes);
    for (unsigned i = 0; i < lanes; i++)
        numbers[i] = int_constant(e, bits, i);
    return LLVMConstVector(numbers, lanes);
}

// ----------------------------------------------------------------------- loops

typedef struct strip {
    ir_op *op;
    unsigned lanes;
    LLVMValueRef *carried; // what goes into the next round, by result
} strip;

static ir_value *argument_of(const strip *s, unsigned i)
{
    return s->op->regions[0]->arguments.items[i];
}

// One round from `position` on; s->carried becomes what it yields.
static void emit_round(emitter *e, strip *s, LLVMValueRef position, LLVMValueRef count)
{
    ir_op *op = s->op;
    bind_value(e, argument_of(s, 0), position);
    bind_value(e, argument_of(s, 1), count);
    for (unsigned i = 0; i < op->n_results; i++)
        if (s->carried[i])
            bind_value(e, argument_of(s, i + 2), s->carried[i]);
    e->lanes = s->lanes;
    emit_block(e, op->regions[0]);
    debug_location(e, op->where);
    for (unsigned i = 0; i < op->n_results; i++) {
        if (!s->carried[i])
            continue;
        LLVMValueRef next = value_of(e, ir_operand(op->regions[0]->last, i));
        next = vector_of(e, next, lanes_of(s->carried[i]));
        if (e->mask && is_vector(next))
            next = LLVMBuildSelect(e->builder, e->mask, next, s->carried[i], "");
        s->carried[i] = next;
    }
    e->lanes = 0;
}

// Joins what two ways give: values[i] from `from`, s->carried[i] from here.
static void join_carried(emitter *e, strip *s, LLVMValueRef *values, LLVMBasicBlockRef from,
                         LLVMBasicBlockRef to)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    LLVMBuildBr(e->builder, to);
    LLVMPositionBuilderAtEnd(e->builder, to);
    for (unsigned i = 0; i < s->op->n_results; i++) {
        if (!s->carried[i])
            continue;
        LLVMValueRef phi = LLVMBuildPhi(e->builder, LLVMTypeOf(values[i]), "");
        LLVMAddIncoming(phi, &values[i], &from, 1);
        LLVMAddIncoming(phi, &s->carried[i], &here, 1);
        s->carried[i] = phi;
    }
}

static LLVMValueRef *copy_carried(emitter *e, const strip *s)
{
    LLVMValueRef *copy = ARENA_ARRAY(e->arena, LLVMValueRef, s->op->n_results + 1);
    memcpy(copy, s->carried, s->op->n_results * sizeof *copy);
    return copy;
}

// Rounds of all lanes from 0 up to `end`, a multiple of the lanes and not 0.
static void emit_whole(emitter *e, strip *s, LLVMValueRef end)
{
    LLVMTypeRef i64 = int_type(e, 64);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->builder), body = new_block(e, "body");
    LLVMBasicBlockRef after = new_block(e, "end");
    LLVMBuildBr(e->builder, body);
    LLVMPositionBuilderAtEnd(e->builder, body);
    LLVMValueRef position = LLVMBuildPhi(e->builder, i64, ""), start = int_constant(e, 64, 0);
    LLVMAddIncoming(position, &start, &before, 1);
    LLVMValueRef *phis = ARENA_ARRAY(e->arena, LLVMValueRef, s->op->n_results + 1);
    for (unsigned i = 0; i < s->op->n_results; i++) {
        if (!s->carried[i])
            continue;
        phis[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(s->carried[i]), "");
        LLVMAddIncoming(phis[i], &s->carried[i], &before, 1);
        s->carried[i] = phis[i];
    }
    LLVMValueRef lanes = int_constant(e, 64, s->lanes);
    emit_round(e, s, position, lanes);
    LLVMValueRef next = LLVMBuildNSWAdd(e->builder, position, lanes, "");
    LLVMBasicBlockRef last = LLVMGetInsertBlock(e->builder);
    LLVMAddIncoming(position, &next, &last, 1);
    for (unsigned i = 0; i < s->op->n_results; i++)
        if (phis[i])
            LLVMAddIncoming(phis[i], &s->carried[i], &last, 1);
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, next, end, "");
    LLVMBuildCondBr(e->builder, more, body, after);
    LLVMPositionBuilderAtEnd(e->builder, after);
}

static void emit_tail(emitter *e, strip *s, LLVMValueRef position, LLVMValueRef count)
{
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, count, position, "");
    LLVMValueRef few = LLVMBuildTrunc(e->builder, left, int_type(e, 32), "");
    e->mask = LLVMBuildICmp(e->builder, LLVMIntULT, lane_numbers(e, s->lanes, 32),
                            vector_of(e, few, s->lanes), "");
    e->vl = left;
    emit_round(e, s, position, left);
    e->mask = e->vl = NULL;
}

typedef void part(emitter *e, strip *s, LLVMValueRef position, LLVMValueRef count);

static void whole_part(emitter *e, strip *s, LLVMValueRef position, LLVMValueRef count)
{
    (void)position;
    emit_whole(e, s, count);
}

// The part where `condition` holds.
static void emit_where(emitter *e, strip *s, LLVMValueRef condition, part *emit,
                       LLVMValueRef position, LLVMValueRef count)
{
    if (LLVMIsConstant(condition)) {
        if (LLVMConstIntGetZExtValue(condition))
            emit(e, s, position, count);
        return;
    }
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->builder), then = new_block(e, "then");
    LLVMBasicBlockRef end = new_block(e, "join");
    LLVMValueRef *values = copy_carried(e, s);
    LLVMBuildCondBr(e->builder, condition, then, end);
    LLVMPositionBuilderAtEnd(e->builder, then);
    emit(e, s, position, count);
    join_carried(e, s, values, before, end);
}

void native_strip(emitter *e, ir_op *op)
{
    if (e->lanes) {
        emit_error(e, "a strip cannot stand inside a strip");
        bind_undefined(e, op);
        return;
    }
    strip s = {.op = op, .lanes = strip_lanes(e, strip_width(op))};
    s.carried = ARENA_ARRAY(e->arena, LLVMValueRef, op->n_results + 1);
    for (unsigned i = 0; i < op->n_results; i++) {
        const ir_type *type = op->results[i].type;
        LLVMValueRef initial = value_of(e, ir_operand(op, i + 1));
        s.carried[i] = vector_of(e, initial, type->kind == IR_VECTOR ? s.lanes : 0);
    }
    LLVMValueRef count = value_of(e, ir_operand(op, 0)), zero = int_constant(e, 64, 0);
    LLVMValueRef whole =
        LLVMBuildAnd(e->builder, count, int_constant(e, 64, -(int64_t)s.lanes), "");
    LLVMValueRef some = LLVMBuildICmp(e->builder, LLVMIntSGT, whole, zero, "");
    emit_where(e, &s, some, whole_part, NULL, whole);
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, whole, count, "");
    emit_where(e, &s, more, emit_tail, whole, count);
    for (unsigned i = 0; i < op->n_results; i++)
        bind_value(e, ir_result(op, i), s.carried[i]);
}

// ----------------------------------------------------------------------- lanes

void native_lane(emitter *e, ir_op *op)
{
    if (!e->lanes) {
        emit_error(e, "lanes are numbered inside a strip");
        bind_undefined(e, op);
        return;
    }
    bind_value(e, ir_result(op, 0), lane_numbers(e, e->lanes, 32));
}

// Lanes `from` .. `from` + count of x.
static LLVMValueRef some_lanes(emitter *e, LLVMValueRef x, unsigned from, unsigned count)
{
    LLVMValueRef *numbers = ARENA_ARRAY(e->arena, LLVMValueRef, count);
    for (unsigned i = 0; i < count; i++)
        numbers[i] = int_constant(e, 32, from + i);
    return LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(LLVMTypeOf(x)),
                                  LLVMConstVector(numbers, count), "");
}

// The upper half joins the lower one until one lane is left: the same order at every level.
static LLVMValueRef fold_lanes(emitter *e, primitive p, LLVMValueRef x)
{
    for (unsigned n = lanes_of(x) / 2; n; n /= 2)
        x = primitive2(e, p, some_lanes(e, x, 0, n), some_lanes(e, x, n, n));
    return LLVMBuildExtractElement(e->builder, x, int_constant(e, 64, 0), "");
}

static primitive fold_of(const char *by, bool floating)
{
    bool add = !strcmp(by, "add"), max = !strcmp(by, "max");
    if (floating)
        return add ? P_FADD : max ? P_MAXNUM : P_MINNUM;
    return add ? P_ADD : max ? P_SMAX : P_SMIN;
}

void native_reduce(emitter *e, ir_op *op)
{
    const char *by = ir_name(op, "by");
    scalar_type type = compute_type(op, false);
    LLVMValueRef x = operand_as(e, op, 0, type);
    bool floating = scalar_is_float(type);
    if (!is_vector(x) && e->lanes)
        x = vector_of(e, x, e->lanes);
    if (!is_vector(x)) {
        emit_error(e, "reduce needs a vector that a strip has carried");
        bind_result(e, op, x, type);
        return;
    }
    if (e->mask)
        x = choose(e, e->mask, x, identity_of(x, by, floating));
    bind_result(e, op, fold_lanes(e, fold_of(by, floating), x), type);
}
