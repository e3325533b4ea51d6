// Sums of 16 bits: of products (vpmaddubsw) and of entries (vpshufb), for as many units as they
// have room for. Loops carry them; behind the loop they are widened.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

static unsigned per_row(const product *p)
{
    enum { ALL_AND_ODD = 2 };
    return looks_up_lanes(p) ? ALL_AND_ODD : p->vectors;
}

// Units whose sums have room; 1 and less: none.
static int64_t units_with_room(const product *p)
{
    if (looks_up_lanes(p))
        return UINT16_MAX / (UINT8_MAX * PRODUCT_LANE_STEPS);
    if (p->form != ACTIVATION_BYTES || !p->g.step || p->e->level->dot != DOT_MADD || p->g.bits > 4)
        return 0;
    int64_t greatest = 2 * 128 * ((1 << p->format.planes) - 1); // of a field, two bytes of it
    return INT16_MAX / (greatest * p->fields);
}

void choose_runs(product *p)
{
    int64_t room = units_with_room(p), run = 1;
    while (2 * run <= room)
        run *= 2;
    p->run_units = run > 1 ? run : 0;
    bool even = p->g.units % 2 == 0 && p->group_units % 2 == 0;
    p->step_units = p->run_units && !looks_up_lanes(p) && even ? 2 : 1;
}

// Adds what a row's narrow sums of `units` units are.
static void widen(const product *p, const LLVMValueRef *carried, LLVMValueRef units,
                  LLVMValueRef *sums)
{
    if (looks_up_lanes(p)) {
        lookup_widen(p, carried, units, sums);
        return;
    }
    for (unsigned v = 0; v < p->vectors; v++) {
        byte_sum s = {.sum = sums[v], .partial = carried[v], .pending = 1};
        sum_flush(p, &s);
        sums[v] = s.sum;
    }
}

static void sum_run(product *p, const narrow_loop *n, LLVMValueRef from, LLVMValueRef units,
                    LLVMValueRef *sums)
{
    emitter *e = p->e;
    LLVMValueRef carried[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    const unsigned each = per_row(p), all = n->rows * each;
    for (unsigned i = 0; i < all; i++)
        carried[i] = LLVMConstNull(LLVMVectorType(int_type(e, 16), p->bytes / 2));
    LLVMValueRef to = index_add(e, from, units);
    counted_loop l = counted_begin(e, from, to, n->step, all, carried);
    memcpy(carried, l.phis, all * sizeof *carried);
    n->add(p, n->context, l.i, carried);
    counted_end(e, &l, carried);
    for (unsigned r = 0; r < n->rows; r++)
        widen(p, l.phis + r * each, units, sums + r * p->vectors);
}

void sum_narrow(product *p, const narrow_loop *n, LLVMValueRef units, int64_t most,
                LLVMValueRef *sums)
{
    emitter *e = p->e;
    LLVMValueRef zero = constant64(p, 0), size = constant64(p, p->run_units);
    if (most <= p->run_units) {
        sum_run(p, n, zero, units, sums);
        return;
    }
    unsigned all = n->rows * p->vectors;
    counted_loop l = counted_begin(e, zero, units, p->run_units, all, sums);
    memcpy(sums, l.phis, all * sizeof *sums);
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, units, l.i, "");
    sum_run(p, n, l.i, least_index(e, left, size), sums);
    counted_end(e, &l, sums);
    memcpy(sums, l.phis, all * sizeof *sums);
}
