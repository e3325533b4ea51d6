// How sums of one row become the numbers that groups scale. Fields that stand at unlike places of
// their bytes have sums of their own, multiples of 2^place.
//
// f32 from 2^23 to 2^24 are integers, which stand in the lower bits: a sum that begins with the
// bits of such a number is one, too. So an fma joins two sums, without a shift and a conversion;
// where they are small enough nothing is rounded, and the result is that of integers.
#include "compiler/codegen/cpu/product.h"

#include <math.h>

#define ULP_ONE 0x1p23
static const double FIRST = 1.5 * ULP_ONE, OTHERS = 1.125 * ULP_ONE; // what sums begin with

// The sum that becomes a number first. What stands highest joins the next one as an integer: so
// instructions are divided among the CPU's units.
static unsigned first_number(const place_sums *s)
{
    return s->count > 2 ? s->count - 2 : s->count - 1;
}

static int distance(const place_sums *s, unsigned i)
{
    return (int)(s->places[i + 1] - s->places[i]);
}

// ---------------------------------------------------------------------- bounds

enum { ACTIVATION = 128 }; // the greatest magnitude

// Of a group's products with the fields at a place.
static double greatest_sum(const product *p, unsigned place)
{
    unsigned n = 0, field = (1u << p->g.bits) - 1;
    for (unsigned f = 0; f < p->fields; f++)
        n += field_place(p, f, FIELD_IN_PLACE) == place;
    return (double)p->group_units * n * COLUMN_FIELD * field * ldexp(ACTIVATION, (int)place);
}

// With what is taken from it, which is half of what a field may be.
static double greatest_first(const product *p, const place_sums *s)
{
    unsigned first = first_number(s), last = s->count - 1;
    double weights = (double)p->group_units * (double)p->g.unit;
    double most = weights * p->g.levels * ldexp(ACTIVATION, (int)s->places[last] - 1);
    return first == last ? most
                         : ldexp(most, -distance(s, first)) + greatest_sum(p, s->places[first]);
}

static bool are_numbers(const product *p, const place_sums *s)
{
    if (p->form != ACTIVATION_BYTES || direct_place(p) != FIELD_IN_PLACE || s->count < 2 ||
        p->g.step != 2 || greatest_first(p, s) > ULP_ONE / 2)
        return false;
    bool small = true;
    for (unsigned i = 0; i < first_number(s); i++)
        small = small && distance(s, i) >= 2 && greatest_sum(p, s->places[i]) <= ULP_ONE / 8;
    return small;
}

// -------------------------------------------------------------------- beginning

place_sums place_sums_of(const product *p)
{
    place_sums s = {.count = 0};
    s.count = field_places(p, direct_place(p), s.places);
    s.numbers = are_numbers(p, &s);
    return s;
}

// What is taken from all fields, from those that stand highest.
static LLVMValueRef taken(const product *p, const place_sums *s, const product_group *g)
{
    emitter *e = p->e;
    LLVMTypeRef i32 = int_type(e, 32);
    int64_t levels = (int64_t)p->g.levels << (s->places[s->count - 1] - 1);
    LLVMValueRef sum = sum_of_group(p, g, int_constant(e, 64, 0), i32);
    return LLVMBuildMul(e->builder, sum, int_constant(e, 32, -levels), "");
}

void begin_sums(const product *p, const place_sums *s, const product_group *g, LLVMValueRef *out)
{
    emitter *e = p->e;
    LLVMTypeRef i32 = int_type(e, 32), f32 = LLVMFloatTypeInContext(e->context);
    for (unsigned i = 0; i < s->count; i++) {
        LLVMValueRef begin = LLVMConstNull(i32);
        if (s->numbers && i <= first_number(s))
            begin = LLVMConstBitCast(LLVMConstReal(f32, i < first_number(s) ? OTHERS : FIRST), i32);
        if (s->numbers && i == s->count - 1)
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
    for (unsigned i = 0; i < s->count; i++)
        x[i] = sums[i * p->vectors];
    unsigned i = first_number(s), last = s->count - 1;
    if (i < last) {
        x[last] = primitive2(e, P_ASHR, x[last], bits_like(x[last], distance(s, i)));
        x[i] = LLVMBuildAdd(e->builder, x[i], x[last], "");
    }
    for (unsigned k = 0; k <= i; k++)
        x[k] = LLVMBuildBitCast(e->builder, x[k], float_lanes(p), "");
    LLVMValueRef sum = x[i];
    double begun = FIRST, factor;
    for (i--; i; i--) {
        factor = ldexp(1, -distance(s, i));
        sum = primitive3(e, P_FMA, sum, constant_like(sum, factor), x[i]);
        begun = begun * factor + OTHERS;
    }
    factor = ldexp(1, 1 - distance(s, 0));
    LLVMValueRef less = constant_like(sum, -2 * OTHERS - begun * factor);
    LLVMValueRef low = primitive3(e, P_FMA, x[0], constant_like(sum, 2), less);
    return primitive3(e, P_FMA, sum, constant_like(sum, factor), low);
}

LLVMValueRef joined(const product *p, const place_sums *s, const LLVMValueRef *sums)
{
    return (s->numbers ? joined_number : joined_integer)(p, s, sums);
}

bool is_number(LLVMValueRef sum)
{
    return LLVMGetTypeKind(LLVMGetElementType(LLVMTypeOf(sum))) == LLVMFloatTypeKind;
}
