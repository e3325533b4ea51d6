// Blocks of columns whose streams stand beside each other (compiler/quant/columns.h): where a block
// has what, and the order in which one row meets them.
#include "compiler/codegen/cpu/product.h"

static LLVMValueRef constant64(emitter *e, int64_t value)
{
    return int_constant(e, 64, value);
}

bool stands_beside(const column_geometry *g)
{
    return g->beside > 1;
}

column_stream column_stream_of(emitter *e, const column_geometry *g, LLVMValueRef streams,
                               LLVMValueRef block, LLVMValueRef blocks)
{
    LLVMValueRef all = constant64(e, g->beside);
    LLVMValueRef number = LLVMBuildURem(e->builder, block, all, "");
    LLVMValueRef first = LLVMBuildNSWSub(e->builder, block, number, "");
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, blocks, first, "");
    return (column_stream){.start = byte_at(e, streams, index_mul(e, first, g->block_bytes)),
                           .count = least_index(e, left, all),
                           .number = number};
}

void column_enter_span(emitter *e, const column_geometry *g, column_stream *s, LLVMValueRef unit)
{
    LLVMValueRef span = LLVMBuildUDiv(e->builder, unit, constant64(e, g->span_units), "");
    LLVMValueRef last = LLVMBuildICmp(e->builder, LLVMIntEQ, span,
                                      constant64(e, (g->units - 1) / g->span_units), "");
    LLVMValueRef each = LLVMBuildSelect(e->builder, last, constant64(e, g->last_span_bytes),
                                        constant64(e, g->span_bytes), "");
    LLVMValueRef before =
        index_add(e, index_mul(e, span, g->span_bytes), constant64(e, g->front_bytes));
    before = LLVMBuildNSWMul(e->builder, before, s->count, "");
    LLVMValueRef beside = LLVMBuildNSWMul(e->builder, each, s->number, "");
    s->span = byte_at(e, s->start, index_add(e, before, beside));
    s->span_unit = index_mul(e, span, g->span_units);
}

// Groups of the block in the span before this one.
static LLVMValueRef groups_before(emitter *e, const column_geometry *g, const column_stream *s,
                                  LLVMValueRef group)
{
    LLVMValueRef first = LLVMBuildUDiv(e->builder, s->span_unit, constant64(e, g->per_group), "");
    return LLVMBuildNSWSub(e->builder, group, first, "");
}

LLVMValueRef column_header(emitter *e, const column_geometry *g, const column_stream *s,
                           LLVMValueRef group)
{
    if (g->front_bytes)
        return byte_at(e, s->start, index_mul(e, s->number, g->front_bytes));
    int64_t bytes = g->group_bytes + g->per_group * g->unit_bytes;
    return byte_at(e, s->span, index_mul(e, groups_before(e, g, s, group), bytes));
}

LLVMValueRef column_unit(emitter *e, const column_geometry *g, const column_stream *s,
                         LLVMValueRef group, LLVMValueRef unit)
{
    LLVMValueRef nth = LLVMBuildNSWSub(e->builder, unit, s->span_unit, "");
    LLVMValueRef at = byte_at(e, s->span, index_mul(e, nth, g->unit_bytes));
    if (g->front_bytes)
        return at;
    LLVMValueRef headers = index_add(e, groups_before(e, g, s, group), constant64(e, 1));
    return byte_at(e, at, index_mul(e, headers, g->group_bytes));
}

// -------------------------------------------------------------------- products

void enter_span(product *p, LLVMValueRef unit)
{
    if (stands_beside(&p->g))
        column_enter_span(p->e, &p->g, &p->stream, unit);
}

bool crosses_spans(const product *p)
{
    return stands_beside(&p->g) && p->group_units > p->g.span_units;
}

LLVMValueRef unit_at(const product *p, const product_group *g, LLVMValueRef unit)
{
    emitter *e = p->e;
    if (!crosses_spans(p))
        return byte_at(e, g->units_at, index_mul(e, unit, p->g.unit_bytes));
    column_stream s = p->stream;
    unit = index_add(e, g->first_unit, unit);
    column_enter_span(e, &p->g, &s, unit);
    return column_unit(e, &p->g, &s, g->weight_group, unit);
}

static product nth_block(const product *p, LLVMValueRef n)
{
    product q = *p;
    q.stream.number = index_add(p->e, p->stream.number, n);
    q.to = byte_at(p->e, p->to, index_mul(p->e, n, COLUMN_BLOCK * 4));
    return q;
}

void for_taken(product *p, void (*emit)(product *p))
{
    emitter *e = p->e;
    if (!stands_beside(&p->g)) {
        emit(p);
        return;
    }
    counted_loop blocks = counted_begin(e, constant64(e, 0), p->stream.taken, 1, 0, NULL);
    product q = nth_block(p, blocks.i);
    emit(&q);
    counted_end(e, &blocks, NULL);
}

void for_blocks(product *p, on_block *emit)
{
    emitter *e = p->e;
    LLVMValueRef zero = constant64(e, 0), all = constant64(e, p->g.units);
    counted_loop spans = counted_begin(e, zero, all, p->g.span_units, 0, NULL);
    counted_loop blocks = counted_begin(e, zero, p->stream.taken, 1, 0, NULL);
    LLVMValueRef end = index_add(e, spans.i, constant64(e, p->g.span_units));
    product q = nth_block(p, blocks.i);
    enter_span(&q, spans.i);
    emit(&q, spans.i, least_index(e, end, all));
    counted_end(e, &blocks, NULL);
    counted_end(e, &spans, NULL);
}
