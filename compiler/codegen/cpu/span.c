// Groups of packed weights, and spans of them under one scale of activations.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

// ---------------------------------------------------------------------- groups

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

LLVMValueRef least_index(emitter *e, LLVMValueRef x, LLVMValueRef y)
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
    g.units =
        even ? constant64(p, p->group_units) : least_index(e, constant64(p, p->group_units), left);
    if (p->weight_group >= p->depth) {
        g.weight_group = constant64(p, 0);
    } else if (per_weight_group > 1) {
        g.weight_group = LLVMBuildUDiv(e->builder, number, constant64(p, per_weight_group), "");
    }
    if (stands_beside(&p->g)) {
        const column_stream *s = &p->stream;
        g.header = column_header(e, &p->g, s, g.weight_group);
        if (s->span)
            g.units_at = column_unit(e, &p->g, s, g.weight_group, g.first_unit);
        return g;
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

LLVMTypeRef float_lanes(const product *p)
{
    return LLVMVectorType(LLVMFloatTypeInContext(p->e->context), p->lanes);
}

LLVMValueRef column_values(const product *p, const product_group *g, bool offset, LLVMValueRef part,
                           unsigned vector)
{
    return group_values(p, g, offset ? p->format.terms : 0, part, vector);
}

LLVMValueRef group_values(const product *p, const product_group *g, unsigned which,
                          LLVMValueRef part, unsigned vector)
{
    emitter *e = p->e;
    scalar_type t = p->format.scale;
    int64_t size = (int64_t)scalar_size(t);
    LLVMValueRef at =
        byte_at_constant(e, g->header, which * p->g.value_bytes + vector * p->lanes * size);
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
    to = least_index(e, to, constant64(p, p->row.sum_groups));
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
    if (p->row_scales)
        scales = byte_at(e, p->scales, index_mul(e, row, 4));
    bool one = p->integer && !p->row_scales;
    return (row_factors){.scale = one ? LLVMConstReal(f32, 1) : load_as(e, f32, scales, 4),
                         .sum = sum_of_group(p, g, row, i32)};
}

// Of levels step f - n: step sum(f x) - n sum(x). Entries of tables have their signs.
LLVMValueRef signed_sum(const product *p, LLVMValueRef sum, LLVMValueRef of_activations)
{
    emitter *e = p->e;
    if (p->form == ACTIVATION_LOOKUPS || is_number(sum))
        return sum;
    int64_t levels = (int64_t)p->g.levels - (fields_are_signed(p) ? 128 * (int64_t)p->g.step : 0);
    if (p->g.step == 2 && !p->run_units) // widening has doubled narrow ones
        sum = LLVMBuildShl(e->builder, sum, vector_of(e, int_constant(e, 32, 1), p->lanes), "");
    LLVMValueRef shift = LLVMBuildMul(e->builder, of_activations, int_constant(e, 32, levels), "");
    return LLVMBuildSub(e->builder, sum, vector_of(e, shift, p->lanes), "");
}

// All of them, before one is scaled (SUM_PAIR).
void sums_to_numbers(const product *p, LLVMValueRef *sums, unsigned n)
{
    if (is_number(sums[0]))
        return;
    for (unsigned i = 0; i < n; i++)
        sums[i] = LLVMBuildSIToFP(p->e->builder, sums[i], float_lanes(p), "");
    if (p->e->level->dot == DOT_VNNI && n > 1)
        hand_on(p, sums, n);
}

// ------------------------------------------------------------------------ spans

bool is_scaled(const product *p)
{
    return !p->integer && p->form != ACTIVATION_FLOATS;
}

LLVMValueRef earlier_result(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef part,
                            unsigned vector)
{
    emitter *e = p->e;
    LLVMValueRef at = result_at(p, row, NULL, 0);
    at = LLVMBuildSelect(e->builder, c->begins, p->zeros, at, "");
    if (part)
        at = byte_at(e, at, index_mul(e, part, p->vectors * p->lanes * 4));
    at = byte_at_constant(e, at, vector * p->lanes * 4);
    return load_as(e, float_lanes(p), at, p->lanes * 4);
}

bool spans_are_scaled(const product *p)
{
    return is_scaled(p) && !p->late_activation;
}

// NULL: the first group's product is the span's.
LLVMValueRef span_begin(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef part,
                        unsigned vector)
{
    return spans_are_scaled(p) ? NULL : earlier_result(p, c, row, part, vector);
}

void start_results(const product *p, LLVMValueRef *results, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!results[i])
            results[i] = LLVMConstNull(float_lanes(p));
}

LLVMValueRef scaled_span(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef result,
                         LLVMValueRef y)
{
    product_group g = {.number = c->first_group};
    return primitive3(p->e, P_FMA, result, factors_of(p, &g, row).scale, y);
}

LLVMValueRef span_result(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef part,
                         unsigned vector, LLVMValueRef result)
{
    if (!spans_are_scaled(p))
        return result;
    return scaled_span(p, c, row, result, earlier_result(p, c, row, part, vector));
}

// What multiplies a whole row or column comes last.
void multiply_late(const product *p, const span_rows *s, LLVMValueRef *results)
{
    emitter *e = p->e;
    if (!p->late_weight && !p->late_activation)
        return;
    product_group g = group_at(p, constant64(p, 0));
    LLVMValueRef scales[PRODUCT_MOST_VECTORS] = {NULL};
    for (unsigned v = 0; p->late_weight && v < p->vectors; v++)
        scales[v] = column_values(p, &g, false, s->part, v);
    for (unsigned r = 0; r < s->rows; r++) {
        row_factors f = factors_of(p, &g, s->numbers[r]);
        for (unsigned v = 0; v < p->vectors; v++) {
            LLVMValueRef *y = &results[r * p->vectors + v];
            if (p->late_weight)
                *y = primitive2(e, P_FMUL, *y, scales[v]);
            if (p->late_activation)
                *y = primitive2(e, P_FMUL, *y, f.scale);
        }
    }
}

void span_end(const product *p, const span_rows *s, LLVMValueRef *results)
{
    enum { MOST = PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS };
    emitter *e = p->e;
    LLVMValueRef last[MOST];
    unsigned n = s->rows * p->vectors;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder), end = new_block(e, "end");
    LLVMBasicBlockRef done = new_block(e, "done");
    memcpy(last, results, n * sizeof *last);
    LLVMBuildCondBr(e->builder, s->chunk->ends, end, done);
    LLVMPositionBuilderAtEnd(e->builder, end);
    multiply_late(p, s, last);
    LLVMBuildBr(e->builder, done);
    end = LLVMGetInsertBlock(e->builder);
    LLVMPositionBuilderAtEnd(e->builder, done);
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef y = LLVMBuildPhi(e->builder, float_lanes(p), "");
        LLVMAddIncoming(y, &results[i], &here, 1);
        LLVMAddIncoming(y, &last[i], &end, 1);
        results[i] = y;
    }
    for (unsigned i = 0; i < n; i++)
        store_to(e, results[i], result_at(p, s->numbers[i / p->vectors], s->part, i % p->vectors),
                 p->lanes * 4);
}

// y + x * scale; x alone, or times the scale, where there is no y yet.
static LLVMValueRef add_product(const product *p, LLVMValueRef x, LLVMValueRef scale,
                                LLVMValueRef y)
{
    if (!scale)
        return y ? primitive2(p->e, P_FADD, x, y) : x;
    return y ? primitive3(p->e, P_FMA, x, scale, y) : primitive2(p->e, P_FMUL, x, scale);
}

// Integer activations have their scale in the product, as the emulator's instructions do.
LLVMValueRef add_group(const product *p, LLVMValueRef sum, row_factors factors, LLVMValueRef scale,
                       LLVMValueRef offset, LLVMValueRef y)
{
    emitter *e = p->e;
    LLVMValueRef x = is_number(sum) ? sum : LLVMBuildSIToFP(e->builder, sum, float_lanes(p), "");
    if (p->integer && scale)
        scale = primitive2(e, P_FMUL, scale, factors.scale);
    y = add_product(p, x, scale, y);
    if (!offset)
        return y;
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context);
    LLVMValueRef s = LLVMBuildSIToFP(e->builder, factors.sum, f32, "");
    if (p->integer)
        s = primitive2(e, P_FMUL, s, factors.scale);
    return primitive3(e, P_FMA, vector_of(e, s, p->lanes), offset, y);
}

enum { CHUNK = 256 }; // weights

bool is_chunked(const product *p)
{
    return p->group_units > CHUNK / p->g.unit;
}

void for_parts(product *p, const chunk *c, on_part *emit)
{
    emitter *e = p->e;
    if (p->parts == 1) {
        emit(p, c, NULL);
        return;
    }
    counted_loop parts = counted_begin(e, constant64(p, 0), constant64(p, p->parts), 1, 0, NULL);
    emit(p, c, parts.i);
    counted_end(e, &parts, NULL);
}

chunk span_at(const product *p, LLVMValueRef unit)
{
    emitter *e = p->e;
    LLVMValueRef all = constant64(p, p->g.units), each = constant64(p, p->group_units);
    LLVMValueRef units = constant64(p, p->span_units);
    if (p->g.units % p->span_units)
        units = least_index(e, units, LLVMBuildNSWSub(e->builder, all, unit, ""));
    LLVMValueRef up = index_add(e, units, constant64(p, p->group_units - 1));
    LLVMValueRef next = index_add(e, unit, constant64(p, p->span_units));
    return (chunk){.first = unit,
                   .begins = LLVMBuildICmp(e->builder, LLVMIntEQ, unit, constant64(p, 0), ""),
                   .ends = LLVMBuildICmp(e->builder, LLVMIntSGE, next, all, ""),
                   .first_group = LLVMBuildUDiv(e->builder, unit, each, ""),
                   .groups = LLVMBuildUDiv(e->builder, up, each, "")};
}

void for_spans(product *p, on_part *emit)
{
    LLVMValueRef all = constant64(p, p->g.units);
    counted_loop l = counted_begin(p->e, constant64(p, 0), all, p->span_units, 0, NULL);
    chunk c = span_at(p, l.i);
    enter_span(p, l.i);
    for_parts(p, &c, emit);
    counted_end(p->e, &l, NULL);
}

void choose_spans(product *p)
{
    int64_t most = CHUNK / p->g.unit;
    p->span_units = most / p->group_units * p->group_units;
    if (is_chunked(p) || p->activation_group == p->group)
        p->span_units = p->group_units;
    else if (is_scaled(p) && !p->late_activation)
        p->span_units = p->activation_group / p->g.unit;
    p->chunk_units = is_chunked(p) ? most : p->span_units;
}
