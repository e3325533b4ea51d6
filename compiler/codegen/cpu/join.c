// How sums of one row become the numbers that groups scale. Fields that stand at unlike places of
// their bytes have sums of their own, multiples of 2^place.
//
// f32 from 2^(23 + n) to 2^(24 + n) are multiples of 2^n, counted by the lower bits: a sum of
// integers that begins with the bits of such a number becomes one. With n = 1 - place all sums are
// of the same unit, and additions join them, which CPUs do beside multiplications; where they are
// small enough nothing is rounded, and the result is that of integers.
#include "compiler/codegen/cpu/product.h"

#include <math.h>

// ---------------------------------------------------------------------- bounds

enum { ACTIVATION = 128 }; // the greatest magnitude
enum { TAKES = 1 };        // the sum from which what all fields are over is taken

// Of a group's products with the fields at a place.
static double greatest_sum(const product *p, unsigned place)
{
    unsigned n = 0, field = (1u << p->g.bits) - 1;
    for (unsigned f = 0; f < p->fields; f++)
        n += field_place(p, f, FIELD_IN_PLACE) == place;
    return (double)p->group_units * n * COLUMN_FIELD * field * ldexp(ACTIVATION, (int)place);
}

// Of the sum that holds what is taken from all fields: half of what a field may be.
static double greatest_taken(const product *p, unsigned place)
{
    double weights = (double)p->group_units * (double)p->g.unit;
    return weights * p->g.levels * ldexp(ACTIVATION, (int)place - 1);
}

// Sums have room about what they begin with; what is over the lowest place together, too.
static bool are_numbers(const product *p, const place_sums *s)
{
    enum { TOGETHER = 24 }; // bits of an f32
    const double room = ldexp(1, TOGETHER - 2);
    if (p->form != ACTIVATION_BYTES || direct_place(p) != FIELD_IN_PLACE || s->count < 2 ||
        p->g.step != 2 || s->places[0] || greatest_taken(p, s->places[TAKES]) > room)
        return false;
    double upper = 0;
    bool small = true;
    for (unsigned i = 0; i < s->count; i++) {
        small = small && (i == TAKES || greatest_sum(p, s->places[i]) <= room);
        upper += i ? ldexp(1, TOGETHER + 1 - (int)s->places[i]) : 0;
    }
    return small && upper <= ldexp(1, TOGETHER);
}

// -------------------------------------------------------------------- beginning

place_sums place_sums_of(const product *p)
{
    place_sums s = {.count = 0};
    s.count = field_places(p, direct_place(p), s.places);
    s.numbers = are_numbers(p, &s);
    return s;
}

// What a sum begins with, as the number that it is.
static double begun(const place_sums *s, unsigned i)
{
    return ldexp(1.5, 24 - (int)s->places[i]);
}

// What is taken from all fields.
static LLVMValueRef taken(const product *p, const place_sums *s, const product_group *g)
{
    emitter *e = p->e;
    LLVMTypeRef i32 = int_type(e, 32);
    int64_t levels = (int64_t)p->g.levels << (s->places[TAKES] - 1);
    LLVMValueRef sum = sum_of_group(p, g, int_constant(e, 64, 0), i32);
    return LLVMBuildMul(e->builder, sum, int_constant(e, 32, -levels), "");
}

void begin_sums(const product *p, const place_sums *s, const product_group *g, LLVMValueRef *out)
{
    emitter *e = p->e;
    LLVMTypeRef i32 = int_type(e, 32), f32 = LLVMFloatTypeInContext(e->context);
    for (unsigned i = 0; i < s->count; i++) {
        LLVMValueRef begin = LLVMConstNull(i32);
        if (s->numbers)
            begin = LLVMConstBitCast(LLVMConstReal(f32, begun(s, i)), i32);
        if (s->numbers && i == TAKES)
            begin = LLVMBuildAdd(e->builder, begin, taken(p, s, g), "");
        for (unsigned v = 0; v < p->vectors; v++)
            out[i * p->vectors + v] = vector_of(e, begin, p->lanes);
    }
}

// ----------------------------------------------------------------------- joining

// Each moved down to its place: multiples of it, so nothing is lost.
static LLVMValueRef joined_integer(const product *p, const place_sums *s, const LLVMValueRef *sums)
{
    LLVMValueRef sum = NULL;
    for (unsigned i = 0; i < s->count; i++) {
        LLVMValueRef x = sums[i * p->vectors];
        if (s->places[i])
            x = primitive2(p->e, P_ASHR, x, bits_like(x, s->places[i]));
        sum = sum ? LLVMBuildAdd(p->e->builder, sum, x, "") : x;
    }
    return sum;
}

static LLVMValueRef joined_number(const product *p, const place_sums *s, const LLVMValueRef *sums)
{
    emitter *e = p->e;
    LLVMValueRef x[PRODUCT_MOST_CLASSES];
    double all = 0;
    for (unsigned i = 0; i < s->count; i++) {
        x[i] = LLVMBuildBitCast(e->builder, sums[i * p->vectors], float_lanes(p), "");
        all += begun(s, i);
    }
    x[0] = primitive2(e, P_FSUB, x[0], constant_like(x[0], all));
    for (unsigned i = s->count - 1; i; i--)
        x[i - 1] = primitive2(e, P_FADD, x[i - 1], x[i]);
    return x[0];
}

LLVMValueRef joined(const product *p, const place_sums *s, const LLVMValueRef *sums)
{
    return (s->numbers ? joined_number : joined_integer)(p, s, sums);
}

bool is_number(LLVMValueRef sum)
{
    return LLVMGetTypeKind(LLVMGetElementType(LLVMTypeOf(sum))) == LLVMFloatTypeKind;
}
