// native.multiply: a function for each kind of product.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

// Rows of the block's memory: rows of a block, or blocks of a row.
static LLVMValueRef result_rows(const product *p)
{
    return LLVMBuildNSWMul(p->e->builder, p->rows, p->stream.taken, "");
}

static void clear_results(product *p)
{
    emitter *e = p->e;
    LLVMValueRef vectors = index_mul(e, result_rows(p), COLUMN_BLOCK / p->lanes);
    counted_loop l = counted_begin(e, constant64(p, 0), vectors, 1, 0, NULL);
    LLVMValueRef at = byte_at(e, p->to, index_mul(e, l.i, p->lanes * 4));
    store_to(e, LLVMConstNull(float_lanes(p)), at, p->lanes * 4);
    counted_end(e, &l, NULL);
}

// ---------------------------------------------------------------------- choices

// How many vectors of columns and rows are taken at a time, from the level's registers.
static void choose_blocks(product *p)
{
    const target_level *level = p->e->level;
    p->bytes = level->vector_bits / 8;
    p->lanes = p->bytes / 4;
    p->vectors = 4;
    p->parts = COLUMN_BLOCK / (p->lanes * p->vectors);
    p->fields = p->g.fields;
    if (p->form == ACTIVATION_LOOKUPS)
        p->fields = looks_up_lanes(p) ? PRODUCT_LANE_STEPS : 2;
}

static int64_t group_or_all(int64_t group, int64_t depth)
{
    return group && group < depth ? group : depth;
}

// Whether groups begin together, and have whole units: what passes make does.
static bool check_groups(const product *p)
{
    int64_t most = p->weight_group > p->activation_group ? p->weight_group : p->activation_group;
    bool whole = p->group == p->depth || p->group % p->g.unit == 0;
    bool nested = most == p->depth || most % p->group == 0;
    bool unused = !p->g.step && !p->format.offset;
    bool sums = unused || p->group == p->depth || p->group % p->sum_group == 0;
    if (!whole || !nested || !sums)
        emit_error(p->e,
                   "groups of %lld weights, scales of %lld activations and sums of %lld do not "
                   "begin together; pass choose-activations, in front of fuse, sees to it",
                   (long long)p->weight_group, (long long)p->activation_group,
                   (long long)p->sum_group);
    return whole && nested && sums;
}

static bool choose_groups(product *p, int64_t activation_group, int64_t sum_group)
{
    p->weight_group = group_or_all(p->format.group, p->depth);
    p->activation_group = group_or_all(activation_group, p->depth);
    p->sum_group = group_or_all(sum_group, p->depth);
    p->group = p->weight_group < p->activation_group ? p->weight_group : p->activation_group;
    if (!check_groups(p))
        return false;
    p->group_units = p->group < p->depth ? p->group / p->g.unit : p->g.units;
    bool several = p->group < p->depth;
    p->late_weight = several && p->weight_group == p->depth && !p->format.offset;
    p->late_activation = several && p->activation_group == p->depth && is_scaled(p);
    choose_spans(p);
    return true;
}

// Sums of a block's rows stay in registers, and results where a span has several groups.
static void choose_rows(product *p)
{
    bool results = p->span_units > p->group_units;
    p->panelled = p->form == ACTIVATION_LOOKUPS || p->e->level->dot != DOT_VNNI || crosses_spans(p);
    p->block_rows = 2;
    if (p->e->level->registers >= 32)
        p->block_rows = results || p->form == ACTIVATION_LOOKUPS ? 3 : 6;
}

static activation_form form_of(const ir_op *op)
{
    for (unsigned i = 0; i < 3; i++)
        if (ir_name_is(op, "form", activation_form_names[i]))
            return (activation_form)i;
    UNREACHABLE();
}

// A row of results to which nothing has been added.
static LLVMValueRef zeros_of(const product *p)
{
    emitter *e = p->e;
    LLVMTypeRef type = LLVMArrayType2(int_type(e, 8), COLUMN_BLOCK * 4);
    LLVMValueRef zeros = LLVMGetNamedGlobal(e->llvm, "zeros");
    if (zeros)
        return zeros;
    zeros = LLVMAddGlobal(e->llvm, type, "zeros");
    LLVMSetInitializer(zeros, LLVMConstNull(type));
    LLVMSetGlobalConstant(zeros, true);
    LLVMSetLinkage(zeros, LLVMInternalLinkage);
    LLVMSetAlignment(zeros, COLUMN_LINE);
    return zeros;
}

static bool describe(product *p, const ir_op *op)
{
    activation_form form = form_of(op);
    p->depth = ir_integer(op, "depth");
    if (!quant_format_parse(ir_find(op, "format")->text, &p->format) ||
        !column_geometry_of(&p->format, COLUMN_BLOCK, p->depth, &p->g)) {
        emit_error(p->e, "weights of format %s have no layout for CPUs",
                   ir_find(op, "format")->text);
        return false;
    }
    p->form = form == ACTIVATION_LOOKUPS && !p->e->level->lookup ? ACTIVATION_BYTES : form;
    p->integer = ir_boolean(op, "integers");
    p->row_scales = p->integer && ir_operand_named(op, "scales");
    int64_t group = ir_integer(op, "group"), sums = ir_integer(op, "sums");
    p->row = activation_row_of(form, p->depth, group, sums);
    choose_blocks(p);
    if (!choose_groups(p, group, sums))
        return false;
    choose_runs(p);
    choose_rows(p);
    p->zeros = zeros_of(p);
    return true;
}

// Sums stand for groups of their own: those of the products.
static const char *name_of(product *p, const ir_op *op)
{
    return arena_format(p->e->arena, "multiply.%s.%lld.%s.%lld.%lld%s.%s", p->format.name,
                        (long long)p->depth, ir_name(op, "form"), (long long)p->activation_group,
                        (long long)p->sum_group,
                        p->row_scales ? ".scaled"
                        : p->integer  ? ".integer"
                                      : "",
                        p->e->level->name);
}

// From the block to where results belong; those of a row's blocks lie side by side there, too.
static void copy_results(product *p)
{
    emitter *e = p->e;
    LLVMBasicBlockRef copy = new_block(e, "copy"), end = new_block(e, "copied");
    LLVMValueRef there = LLVMBuildICmp(e->builder, LLVMIntEQ, p->to, p->results, "");
    LLVMBuildCondBr(e->builder, there, end, copy);
    LLVMPositionBuilderAtEnd(e->builder, copy);
    LLVMValueRef one = LLVMBuildICmp(e->builder, LLVMIntEQ, p->rows, constant64(p, 1), "");
    LLVMValueRef stride =
        LLVMBuildSelect(e->builder, one, constant64(p, COLUMN_BLOCK * 4), p->stride, "");
    counted_loop rows = counted_begin(e, constant64(p, 0), result_rows(p), 1, 0, NULL);
    LLVMValueRef offset = LLVMBuildNSWMul(e->builder, rows.i, stride, "");
    LLVMValueRef to = byte_at(e, p->results, offset);
    for (unsigned v = 0; v < COLUMN_BLOCK / p->lanes; v++) {
        LLVMValueRef y = load_as(e, float_lanes(p), result_at(p, rows.i, NULL, v), p->lanes * 4);
        store_to(e, y, byte_at_constant(e, to, v * p->lanes * 4), 4);
    }
    counted_end(e, &rows, NULL);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

static void emit_rows(product *p)
{
    emitter *e = p->e;
    LLVMBasicBlockRef one = new_block(e, "one"), several = new_block(e, "several");
    LLVMBasicBlockRef end = new_block(e, "done");
    LLVMValueRef single = LLVMBuildICmp(e->builder, LLVMIntEQ, p->rows, constant64(p, 1), "");
    LLVMBuildCondBr(e->builder, single, one, several);
    LLVMPositionBuilderAtEnd(e->builder, one);
    emit_direct(p);
    copy_results(p);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, several);
    if (p->panelled) {
        emit_panel(p);
        copy_results(p);
    } else {
        emit_registers(p);
    }
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

static LLVMValueRef define(product *p, const char *name)
{
    emitter *e = p->e;
    LLVMTypeRef pointer = pointer_type(e), i64 = int_type(e, 64);
    LLVMTypeRef types[] = {pointer, pointer, pointer, i64, pointer, i64,
                           pointer, pointer, i64,     i64, i64};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 11, false);
    LLVMValueRef first, taken, blocks;
    LLVMValueRef f = internal_function(e, name, type);
    native_tune(e, f);
    LLVMValueRef *parameters[] = {&p->entries, &p->weights, &p->results, &p->rows,
                                  &p->to,      &p->stride,  &p->scales,  &p->book,
                                  &first,      &taken,      &blocks};
    for (unsigned i = 0; i < 11; i++)
        *parameters[i] = LLVMGetParam(f, i);
    outer_function outer = enter_function(e, f);
    panel_allocate(p);
    p->stream = column_stream_of(e, &p->g, p->weights, first, blocks);
    p->stream.taken = taken;
    if (p->form == ACTIVATION_FLOATS) {
        clear_results(p);
        for_taken(p, emit_floats);
        copy_results(p);
    } else {
        emit_rows(p);
    }
    LLVMBuildRetVoid(e->builder);
    leave_function(e, outer);
    return f;
}

void emit_multiply(emitter *e, ir_op *op)
{
    product p = {.e = e};
    if (!describe(&p, op))
        return;
    const char *name = name_of(&p, op);
    LLVMValueRef f = LLVMGetNamedFunction(e->llvm, name);
    if (!f)
        f = define(&p, name);
    const ir_value *scales = ir_operand_named(op, "scales"), *book = ir_operand_named(op, "book");
    const ir_value *first = ir_operand_named(op, "first"), *count = ir_operand_named(op, "count");
    LLVMValueRef none = LLVMConstNull(pointer_type(e));
    LLVMValueRef arguments[] = {value_of(e, ir_operand_named(op, "entries")),
                                value_of(e, ir_operand_named(op, "weights")),
                                value_of(e, ir_operand_named(op, "to")),
                                value_of(e, ir_operand_named(op, "rows")),
                                value_of(e, ir_operand_named(op, "block")),
                                int_constant(e, 64, ir_integer(op, "stride")),
                                scales ? value_of(e, scales) : none,
                                book ? value_of(e, book) : none,
                                first ? value_of(e, first) : int_constant(e, 64, 0),
                                count ? value_of(e, count) : int_constant(e, 64, 1),
                                int_constant(e, 64, ir_integer(op, "blocks"))};
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, arguments, 11, "");
}
