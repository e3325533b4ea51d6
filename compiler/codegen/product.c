// native.multiply: a function for each kind of product, and the sums of one row.
#include "compiler/codegen/product.h"

#include <string.h>

// ---------------------------------------------------------------------- groups

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

static LLVMValueRef least(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    LLVMTypeRef i64 = int_type(e, 64);
    return call_intrinsic(e, "llvm.smin", 1, &i64, 2, (LLVMValueRef[]){x, y});
}

product_group group_at(const product *p, LLVMValueRef number)
{
    emitter *e = p->e;
    int64_t per_weight_group = p->weight_group / p->group;
    product_group g = {.number = number, .weight_group = number};
    g.first_unit = index_mul(e, number, p->group_units);
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, constant64(p, p->g.units), g.first_unit, "");
    bool even = p->g.units % p->group_units == 0;
    g.units = even ? constant64(p, p->group_units) : least(e, constant64(p, p->group_units), left);
    if (p->weight_group >= p->depth) {
        g.weight_group = constant64(p, 0);
    } else if (per_weight_group > 1) {
        g.weight_group = LLVMBuildUDiv(e->builder, number, constant64(p, per_weight_group), "");
    }
    LLVMValueRef header = index_mul(e, g.weight_group, p->g.group_bytes);
    LLVMValueRef before = index_mul(e, g.weight_group, p->g.per_group * p->g.unit_bytes);
    g.header = byte_at(e, p->weights, index_add(e, header, before));
    LLVMValueRef units = index_mul(e, g.first_unit, p->g.unit_bytes);
    LLVMValueRef groups = index_add(e, header, constant64(p, p->g.group_bytes));
    g.units_at = byte_at(e, p->weights, index_add(e, groups, units));
    return g;
}

LLVMValueRef row_at(const product *p, LLVMValueRef row)
{
    return byte_at(p->e, p->entries, index_mul(p->e, row, p->row.bytes));
}

LLVMValueRef result_at(const product *p, LLVMValueRef row, LLVMValueRef part, unsigned vector)
{
    emitter *e = p->e;
    LLVMValueRef at = byte_at(e, p->to, index_mul(e, row, COLUMN_BLOCK * 4));
    if (part)
        at = byte_at(e, at, index_mul(e, part, p->vectors * p->lanes * 4));
    return byte_at_constant(e, at, vector * p->lanes * 4);
}

static LLVMTypeRef float_lanes(const product *p)
{
    return LLVMVectorType(LLVMFloatTypeInContext(p->e->context), p->lanes);
}

// Scales or offsets of a vector's columns, as f32.
LLVMValueRef column_values(const product *p, const product_group *g, bool offset, LLVMValueRef part,
                           unsigned vector)
{
    emitter *e = p->e;
    scalar_type t = p->format.scale;
    int64_t size = (int64_t)scalar_size(t);
    LLVMValueRef at =
        byte_at_constant(e, g->header, (offset ? p->g.value_bytes : 0) + vector * p->lanes * size);
    if (part)
        at = byte_at(e, at, index_mul(e, part, p->vectors * p->lanes * size));
    LLVMTypeRef type = LLVMVectorType(scalar_llvm_type(e, t), p->lanes);
    LLVMValueRef x = load_as(e, type, at, (unsigned)(p->lanes * size));
    return cast_scalar_type(e, x, t, SCALAR_F32);
}

LLVMValueRef sum_of_group(const product *p, const product_group *g, LLVMValueRef row,
                          LLVMTypeRef type)
{
    emitter *e = p->e;
    bool floating = type == LLVMFloatTypeInContext(e->context);
    int64_t each = (p->group + p->sum_group - 1) / p->sum_group;
    LLVMValueRef at = byte_at_constant(e, row_at(p, row), p->row.sums);
    LLVMValueRef from = index_mul(e, g->number, each);
    if (each == 1)
        return load_as(e, type, byte_at(e, at, index_mul(e, from, 4)), 4);
    LLVMValueRef to = index_add(e, from, constant64(p, each));
    to = least(e, to, constant64(p, p->row.sum_groups));
    LLVMValueRef sum = LLVMConstNull(type);
    counted_loop l = counted_begin(e, from, to, 1, 1, &sum);
    LLVMValueRef x = load_as(e, type, byte_at(e, at, index_mul(e, l.i, 4)), 4);
    x = primitive2(e, floating ? P_FADD : P_ADD, l.phis[0], x);
    counted_end(e, &l, &x);
    return l.phis[0];
}

row_factors factors_of(const product *p, const product_group *g, LLVMValueRef row)
{
    emitter *e = p->e;
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context), i32 = int_type(e, 32);
    LLVMValueRef at = row_at(p, row), index = g->number;
    int64_t each = p->activation_group / p->group;
    if (each > 1)
        index = p->row.scale_groups == 1
                    ? constant64(p, 0)
                    : LLVMBuildUDiv(e->builder, index, constant64(p, each), "");
    LLVMValueRef scales =
        byte_at(e, byte_at_constant(e, at, p->row.scales), index_mul(e, index, 4));
    if (p->integer)
        scales = byte_at(e, p->scales, index_mul(e, row, 4));
    return (row_factors){.scale = load_as(e, f32, scales, 4), .sum = sum_of_group(p, g, row, i32)};
}

// Of levels 2 f - n: 2 sum(f x) - n sum(x). Entries of tables have their signs.
LLVMValueRef signed_sum(const product *p, LLVMValueRef sum, LLVMValueRef of_activations)
{
    emitter *e = p->e;
    if (p->form == ACTIVATION_LOOKUPS)
        return sum;
    LLVMValueRef twice =
        LLVMBuildShl(e->builder, sum, vector_of(e, int_constant(e, 32, 1), p->lanes), "");
    LLVMValueRef shift =
        LLVMBuildMul(e->builder, of_activations, int_constant(e, 32, p->g.levels), "");
    return LLVMBuildSub(e->builder, twice, vector_of(e, shift, p->lanes), "");
}

// Integers: the exact sum, times both factors at once.
static LLVMValueRef add_exact(const product *p, const product_group *g, LLVMValueRef sum,
                              row_factors factors, LLVMValueRef y, LLVMValueRef part,
                              unsigned vector)
{
    emitter *e = p->e;
    LLVMValueRef columns = column_values(p, g, false, part, vector);
    LLVMValueRef x =
        LLVMBuildSIToFP(e->builder, signed_sum(p, sum, factors.sum), float_lanes(p), "");
    return primitive3(e, P_FMA, x, primitive2(e, P_FMUL, columns, factors.scale), y);
}

// Rounded activations: (2 sum - levels * sum of x) * scale, as one fma of floats, since CPUs add
// elsewhere than they multiply.
static LLVMValueRef add_rounded(const product *p, const product_group *g, LLVMValueRef sum,
                                row_factors factors, LLVMValueRef y, LLVMValueRef part,
                                unsigned vector)
{
    emitter *e = p->e;
    bool entries = p->form == ACTIVATION_LOOKUPS;
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context);
    LLVMValueRef scale = p->late_activation ? LLVMConstReal(f32, 1) : factors.scale;
    LLVMValueRef x = LLVMBuildSIToFP(e->builder, sum, float_lanes(p), "");
    if (entries && p->late_weight)
        return primitive3(e, P_FMA, x, scale, y);
    if (entries) {
        x = primitive2(e, P_FMUL, x, scale);
    } else {
        LLVMValueRef s = LLVMBuildSIToFP(e->builder, factors.sum, f32, "");
        LLVMValueRef less = primitive2(e, P_FMUL, LLVMConstReal(f32, -(double)p->g.levels), s);
        x = primitive3(e, P_FMA, x, primitive2(e, P_FADD, scale, scale),
                       primitive2(e, P_FMUL, less, scale));
    }
    if (p->late_weight)
        return primitive2(e, P_FADD, x, y);
    return primitive3(e, P_FMA, x, column_values(p, g, false, part, vector), y);
}

void add_group(const product *p, const product_group *g, LLVMValueRef sum, row_factors factors,
               LLVMValueRef row, LLVMValueRef part, unsigned vector)
{
    emitter *e = p->e;
    LLVMValueRef at = result_at(p, row, part, vector);
    unsigned align = p->lanes * 4;
    LLVMValueRef y = load_as(e, float_lanes(p), at, align);
    y = (p->integer ? add_exact : add_rounded)(p, g, sum, factors, y, part, vector);
    if (p->format.offset) {
        LLVMValueRef s =
            LLVMBuildSIToFP(e->builder, factors.sum, LLVMFloatTypeInContext(e->context), "");
        if (!p->late_activation)
            s = primitive2(e, P_FMUL, s, factors.scale);
        y = primitive3(e, P_FMA, s, column_values(p, g, true, part, vector), y);
    }
    store_to(e, y, at, align);
}

// ------------------------------------------------------------------ before, after

static LLVMTypeRef block_type(const product *p)
{
    return LLVMVectorType(LLVMFloatTypeInContext(p->e->context), p->lanes);
}

static void clear_results(product *p)
{
    emitter *e = p->e;
    LLVMValueRef vectors = index_mul(e, p->rows, COLUMN_BLOCK / p->lanes);
    counted_loop l = counted_begin(e, constant64(p, 0), vectors, 1, 0, NULL);
    LLVMValueRef at = byte_at(e, p->to, index_mul(e, l.i, p->lanes * 4));
    store_to(e, LLVMConstNull(block_type(p)), at, p->lanes * 4);
    counted_end(e, &l, NULL);
}

// What multiplies a whole row or column comes last.
static void multiply_late(product *p)
{
    emitter *e = p->e;
    if (!p->late_weight && !p->late_activation)
        return;
    product_group g = group_at(p, constant64(p, 0));
    counted_loop rows = counted_begin(e, constant64(p, 0), p->rows, 1, 0, NULL);
    row_factors f = factors_of(p, &g, rows.i);
    for (unsigned v = 0; v < COLUMN_BLOCK / p->lanes; v++) {
        LLVMValueRef at = result_at(p, rows.i, NULL, v);
        LLVMValueRef y = load_as(e, block_type(p), at, p->lanes * 4);
        if (p->late_weight)
            y = primitive2(e, P_FMUL, y, column_values(p, &g, false, NULL, v));
        if (p->late_activation)
            y = primitive2(e, P_FMUL, y, f.scale);
        store_to(e, y, at, p->lanes * 4);
    }
    counted_end(e, &rows, NULL);
}

// --------------------------------------------------------------------- one row

typedef struct direct_sums {
    unsigned places[PRODUCT_MOST_CLASSES], classes;
    byte_sum sums[PRODUCT_MOST_CLASSES][PRODUCT_MOST_VECTORS];
} direct_sums;

static unsigned class_of(const product *p, const direct_sums *s, unsigned field, bool in_place)
{
    unsigned place = p->form == ACTIVATION_LOOKUPS ? 0 : field_place(p, field, in_place), i = 0;
    while (s->places[i] != place)
        i++;
    return i;
}

static void direct_unit(product *p, direct_sums *s, LLVMValueRef unit_at, LLVMValueRef unit,
                        LLVMValueRef part)
{
    emitter *e = p->e;
    bool in_place = product_in_place(p);
    LLVMValueRef lines[PRODUCT_MOST_VECTORS][4], row = p->entries;
    for (unsigned l = 0; l < p->g.lines; l++)
        for (unsigned v = 0; v < p->vectors; v++)
            lines[v][l] = load_line(p, unit_at, l, part, v);
    for (unsigned f = 0; f < p->fields; f++) {
        LLVMValueRef operand = step_operand(p, row, unit, f);
        for (unsigned v = 0; v < p->vectors; v++)
            sum_step(p, &s->sums[class_of(p, s, f, in_place)][v],
                     field_vector(p, lines[v], f, in_place), operand);
    }
    for (unsigned c = 0; c < s->classes; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            sum_flush(p, &s->sums[c][v]);
    (void)e;
}

static unsigned gather_sums(const product *p, direct_sums *s, LLVMValueRef *out)
{
    unsigned n = 0;
    for (unsigned c = 0; c < s->classes; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            out[n++] = s->sums[c][v].sum;
    return n;
}

static void set_sums(const product *p, direct_sums *s, LLVMValueRef *from)
{
    for (unsigned c = 0; c < s->classes; c++)
        for (unsigned v = 0; v < p->vectors; v++)
            s->sums[c][v] = (byte_sum){.sum = *from++};
}

// The classes' sums, each moved down to its place: multiples of it, so nothing is lost.
static LLVMValueRef joined(const product *p, direct_sums *s, unsigned v)
{
    LLVMValueRef sum = NULL;
    for (unsigned c = 0; c < s->classes; c++) {
        LLVMValueRef x = s->sums[c][v].sum;
        if (s->places[c])
            x = LLVMBuildAShr(p->e->builder, x,
                              vector_of(p->e, int_constant(p->e, 32, s->places[c]), p->lanes), "");
        sum = sum ? LLVMBuildAdd(p->e->builder, sum, x, "") : x;
    }
    return sum;
}

static void direct_part(product *p, const product_group *g, row_factors factors, LLVMValueRef part)
{
    emitter *e = p->e;
    direct_sums s = {.classes = 0};
    s.classes = field_places(p, product_in_place(p), s.places);
    LLVMValueRef sums[PRODUCT_MOST_CLASSES * PRODUCT_MOST_VECTORS];
    unsigned n = s.classes * p->vectors;
    for (unsigned i = 0; i < n; i++)
        sums[i] = LLVMConstNull(LLVMVectorType(int_type(e, 32), p->lanes));
    counted_loop units = counted_begin(e, constant64(p, 0), g->units, 1, n, sums);
    set_sums(p, &s, units.phis);
    LLVMValueRef at = byte_at(e, g->units_at, index_mul(e, units.i, p->g.unit_bytes));
    direct_unit(p, &s, at, index_add(e, g->first_unit, units.i), part);
    gather_sums(p, &s, sums);
    counted_end(e, &units, sums);
    set_sums(p, &s, units.phis);
    LLVMValueRef row = constant64(p, 0);
    for (unsigned v = 0; v < p->vectors; v++)
        add_group(p, g, joined(p, &s, v), factors, row, part, v);
}

void emit_direct(product *p)
{
    emitter *e = p->e;
    LLVMValueRef zero = constant64(p, 0);
    int64_t groups = (p->g.units + p->group_units - 1) / p->group_units;
    counted_loop loop = counted_begin(e, zero, constant64(p, groups), 1, 0, NULL);
    product_group g = group_at(p, loop.i);
    row_factors factors = factors_of(p, &g, zero);
    if (p->parts == 1) {
        direct_part(p, &g, factors, NULL);
    } else {
        counted_loop parts = counted_begin(e, zero, constant64(p, p->parts), 1, 0, NULL);
        direct_part(p, &g, factors, parts.i);
        counted_end(e, &parts, NULL);
    }
    counted_end(e, &loop, NULL);
}

// --------------------------------------------------------------- the function

// How many vectors of columns and rows are taken at a time, from the level's registers.
static void choose_blocks(product *p)
{
    const target_level *level = p->e->level;
    p->bytes = level->vector_bits / 8;
    p->lanes = p->bytes / 4;
    p->vectors = 4;
    p->block_rows = 2;
    if (level->registers >= 32 && p->form == ACTIVATION_BYTES)
        p->block_rows = 6;
    else if (level->registers >= 32)
        p->block_rows = 4;
    p->parts = COLUMN_BLOCK / (p->lanes * p->vectors);
    p->fields = p->form == ACTIVATION_LOOKUPS ? 2 : p->g.fields;
}

static int64_t group_or_all(int64_t group, int64_t depth)
{
    return group && group < depth ? group : depth;
}

static void choose_groups(product *p, int64_t activation_group, int64_t sum_group)
{
    p->weight_group = group_or_all(p->format.group, p->depth);
    p->activation_group = group_or_all(activation_group, p->depth);
    p->sum_group = group_or_all(sum_group, p->depth);
    p->group = p->weight_group < p->activation_group ? p->weight_group : p->activation_group;
    p->group_units = p->group < p->depth ? p->group / p->g.unit : p->g.units;
    bool several = p->group < p->depth;
    p->late_weight = several && p->weight_group == p->depth && !p->format.offset;
    bool scaled = !p->integer && p->form != ACTIVATION_FLOATS;
    p->late_activation = several && p->activation_group == p->depth && scaled;
}

static activation_form form_of(const ir_op *op)
{
    for (unsigned i = 0; i < 3; i++)
        if (ir_name_is(op, "form", activation_form_names[i]))
            return (activation_form)i;
    UNREACHABLE();
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
    p->form = form == ACTIVATION_LOOKUPS && !p->e->level->lookups ? ACTIVATION_BYTES : form;
    p->integer = ir_operand_named(op, "scales") != NULL;
    int64_t group = ir_integer(op, "group"), sums = ir_integer(op, "sums");
    p->row = activation_row_of(form, p->depth, group, sums);
    choose_blocks(p);
    choose_groups(p, group, sums);
    return true;
}

// Sums stand for groups of their own: those of the products.
static const char *name_of(product *p, const ir_op *op)
{
    return arena_format(p->e->arena, "multiply.%s.%lld.%s.%lld.%lld%s.%s", p->format.name,
                        (long long)p->depth, ir_name(op, "form"), (long long)p->activation_group,
                        (long long)p->sum_group, p->integer ? ".integer" : "", p->e->level->name);
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
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, several);
    emit_panel(p);
    LLVMBuildBr(e->builder, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

static LLVMValueRef define(product *p, const char *name)
{
    emitter *e = p->e;
    LLVMTypeRef pointer = pointer_type(e), i64 = int_type(e, 64);
    LLVMTypeRef types[] = {pointer, pointer, pointer, i64, pointer};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 5, false);
    LLVMValueRef f = LLVMAddFunction(e->llvm, name, type);
    LLVMSetLinkage(f, LLVMInternalLinkage);
    add_attributes(e, f, false);
    LLVMValueRef *parameters[] = {&p->entries, &p->weights, &p->to, &p->rows, &p->scales};
    for (unsigned i = 0; i < 5; i++)
        *parameters[i] = LLVMGetParam(f, i);
    outer_function outer = enter_function(e, f);
    panel_allocate(p);
    clear_results(p);
    if (p->form == ACTIVATION_FLOATS)
        emit_floats(p);
    else
        emit_rows(p);
    multiply_late(p);
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
    const ir_value *scales = ir_operand_named(op, "scales");
    LLVMValueRef arguments[] = {
        value_of(e, ir_operand_named(op, "entries")), value_of(e, ir_operand_named(op, "weights")),
        value_of(e, ir_operand_named(op, "to")), value_of(e, ir_operand_named(op, "rows")),
        scales ? value_of(e, scales) : LLVMConstNull(pointer_type(e))};
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, arguments, 5, "");
}
