// native.prepare: a row of activations as products take it.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

enum { LANES = 16, MOST_VECTORS = 4 }; // lanes at every level: the same sums in the same order

typedef struct preparation {
    emitter *e;
    activation_form form;
    scalar_type type;
    activation_row row;
    int64_t scale_group, sum_group; // the row's length, rounded up, where there is one
    LLVMValueRef from, to;
} preparation;

static LLVMValueRef constant64(const preparation *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

static LLVMTypeRef lanes_of_type(const preparation *p, scalar_type t)
{
    return LLVMVectorType(scalar_llvm_type(p->e, t), LANES);
}

// Activations from number `k` on, as f32.
static LLVMValueRef load_lanes(const preparation *p, LLVMValueRef k)
{
    emitter *e = p->e;
    unsigned size = (unsigned)scalar_size(p->type);
    LLVMValueRef at = byte_at(e, p->from, index_mul(e, k, size));
    LLVMValueRef x = load_as(e, lanes_of_type(p, p->type), at, size);
    return cast_scalar_type(e, x, p->type, SCALAR_F32);
}

static LLVMValueRef rotated(emitter *e, LLVMValueRef x, unsigned by)
{
    LLVMValueRef lanes[LANES];
    for (unsigned i = 0; i < LANES; i++)
        lanes[i] = int_constant(e, 32, (i + by) % LANES);
    return LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(LLVMTypeOf(x)),
                                  LLVMConstVector(lanes, LANES), "");
}

static LLVMValueRef first_lane(emitter *e, LLVMValueRef x)
{
    return LLVMBuildExtractElement(e->builder, x, int_constant(e, 64, 0), "");
}

static LLVMValueRef over_lanes(emitter *e, primitive with, LLVMValueRef x)
{
    for (unsigned by = LANES / 2; by; by /= 2)
        x = primitive2(e, with, x, rotated(e, x, by));
    return first_lane(e, x);
}

static LLVMValueRef end_of(const preparation *p, LLVMValueRef start, int64_t length)
{
    emitter *e = p->e;
    LLVMTypeRef i64 = int_type(e, 64);
    LLVMValueRef end = index_add(e, start, constant64(p, length));
    LLVMValueRef operands[] = {end, constant64(p, p->row.padded)};
    return call_intrinsic(e, "llvm.smin", 1, &i64, 2, operands);
}

// ---------------------------------------------------------------------- scales

// Quarters of x and y: `first` and `first` + `by` of each.
static LLVMValueRef quarters(emitter *e, LLVMValueRef x, LLVMValueRef y, unsigned first,
                             unsigned by)
{
    enum { QUARTER = LANES / 4 };
    LLVMValueRef from[LANES];
    for (unsigned i = 0; i < LANES; i++) {
        unsigned quarter = first + i / QUARTER % 2 * by;
        from[i] = int_constant(e, 32, i / (2 * QUARTER) * LANES + quarter * QUARTER + i % QUARTER);
    }
    return LLVMBuildShuffleVector(e->builder, x, y, LLVMConstVector(from, LANES), "");
}

static LLVMValueRef sum_of_quarters(emitter *e, LLVMValueRef x, LLVMValueRef y, unsigned second,
                                    unsigned by)
{
    return primitive2(e, P_FADD, quarters(e, x, y, 0, by), quarters(e, x, y, second, by));
}

// Of `n` vectors the greatest magnitudes of what is rounded: of activations, or of tables' entries.
// Gives how many vectors there are of them.
static unsigned magnitudes(const preparation *p, LLVMValueRef *x, unsigned n)
{
    emitter *e = p->e;
    for (unsigned i = 0; i < n; i++)
        x[i] = primitive1(e, P_FABS, x[i]);
    if (p->form != ACTIVATION_LOOKUPS)
        return n;
    if (n == MOST_VECTORS) {
        for (unsigned i = 0; i < 2; i++)
            x[i] = sum_of_quarters(e, x[2 * i], x[2 * i + 1], 2, 1);
        x[0] = sum_of_quarters(e, x[0], x[1], 1, 2);
        return 1;
    }
    for (unsigned i = 0; i < n; i++) {
        x[i] = primitive2(e, P_FADD, x[i], rotated(e, x[i], 8));
        x[i] = primitive2(e, P_FADD, x[i], rotated(e, x[i], 4));
    }
    return n;
}

// Vectors that a round takes from spans of `length`, the last one of which may be short.
static unsigned vectors_of(const preparation *p, int64_t length)
{
    unsigned n = p->form == ACTIVATION_FLOATS ? 1 : MOST_VECTORS;
    while (length % (n * LANES) || p->row.padded % (n * LANES))
        n /= 2;
    return n;
}

// y where x is not a number.
static LLVMValueRef greater(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    return choose(e, compare_float(e, LLVMRealOGT, x, y), x, y);
}

// Rows begin on new pages, where the CPU's own prefetching stops. While one is rounded, the next
// one comes.
static void prefetch_ahead(const preparation *p, LLVMValueRef k)
{
    int64_t size = (int64_t)scalar_size(p->type);
    LLVMValueRef at = byte_at(p->e, p->from, index_mul(p->e, k, size));
    at = byte_at_constant(p->e, at, p->row.padded * size);
    prefetch(p->e, at, PREFETCH_SECOND);
}

static LLVMValueRef scale_at(const preparation *p, LLVMValueRef start)
{
    LLVMValueRef group = LLVMBuildUDiv(p->e->builder, start, constant64(p, p->scale_group), "");
    LLVMValueRef at = byte_at_constant(p->e, p->to, p->row.scales);
    return byte_at(p->e, at, index_mul(p->e, group, 4));
}

// Stores the scale of what lies from `start` to `end`.
static void find_scale(const preparation *p, LLVMValueRef start, LLVMValueRef end)
{
    emitter *e = p->e;
    unsigned n = vectors_of(p, p->scale_group);
    LLVMValueRef most = LLVMConstNull(lanes_of_type(p, SCALAR_F32)), each[MOST_VECTORS];
    for (unsigned i = 0; i < n; i++)
        each[i] = most;
    counted_loop l = counted_begin(e, start, end, n * LANES, n, each);
    for (unsigned i = 0; i < n; i++)
        each[i] = load_lanes(p, index_add(e, l.i, constant64(p, i * LANES)));
    unsigned found = magnitudes(p, each, n);
    for (unsigned i = 0; i < n; i++)
        each[i] = i < found ? greater(e, each[i], l.phis[i]) : l.phis[i];
    counted_end(e, &l, each);
    for (unsigned i = 1; i < n; i++)
        each[0] = greater(e, each[i], each[0]);
    for (unsigned by = LANES / 2; by; by /= 2)
        each[0] = greater(e, each[0], rotated(e, each[0], by));
    most = first_lane(e, each[0]);
    store_to(e, primitive2(e, P_FDIV, most, constant_like(most, 127)), scale_at(p, start), 4);
}

// What activations are multiplied by; 0 where nothing is as large as a normal number.
static LLVMValueRef inverse_scale(const preparation *p, LLVMValueRef start)
{
    emitter *e = p->e;
    LLVMValueRef scale = load_as(e, LLVMFloatTypeInContext(e->context), scale_at(p, start), 4);
    LLVMValueRef normal = compare_float(e, LLVMRealOGE, scale, constant_like(scale, 0x1p-126));
    LLVMValueRef inverse = primitive2(e, P_FDIV, constant_like(scale, 1), scale);
    return choose(e, normal, inverse, constant_like(scale, 0));
}

// --------------------------------------------------------------- the three forms

enum { ROUNDING_BITS = 0x4b400000 }; // of the f32 1.5 * 2^23

// Adding 1.5 * 2^23 rounds to an integer that then stands in the low bits, over ROUNDING_BITS.
static LLVMValueRef rounded_over(emitter *e, LLVMValueRef x, LLVMValueRef inverse)
{
    return reinterpret(e, primitive3(e, P_FMA, x, inverse, constant_like(x, 0x1.8p23)),
                       int_type(e, 32));
}

static LLVMValueRef rounded(emitter *e, LLVMValueRef x, LLVMValueRef inverse)
{
    LLVMValueRef bits = rounded_over(e, x, inverse);
    return primitive2(e, P_SUB, bits, bits_like(bits, ROUNDING_BITS));
}

static LLVMValueRef narrowed(emitter *e, LLVMValueRef x)
{
    return LLVMBuildTrunc(e->builder, x, LLVMVectorType(int_type(e, 8), LANES), "");
}

static LLVMValueRef prepare_bytes(const preparation *p, LLVMValueRef k, LLVMValueRef inverse,
                                  LLVMValueRef sum)
{
    emitter *e = p->e;
    LLVMValueRef x;
    if (p->type == SCALAR_I8)
        x = convert(e, C_SEXT, load_as(e, lanes_of_type(p, p->type), byte_at(e, p->from, k), 1),
                    int_type(e, 32));
    else
        x = rounded(e, load_lanes(p, k), inverse);
    store_to(e, narrowed(e, x), byte_at(e, p->to, k), LANES);
    return primitive2(e, P_ADD, sum, x);
}

static LLVMValueRef prepare_floats(const preparation *p, LLVMValueRef k, LLVMValueRef inverse,
                                   LLVMValueRef sum)
{
    emitter *e = p->e;
    LLVMValueRef x = load_lanes(p, k);
    (void)inverse;
    store_to(e, x, byte_at(e, p->to, index_mul(e, k, 4)), 4 * LANES);
    return primitive2(e, P_FADD, sum, x);
}

static LLVMValueRef shuffled(emitter *e, LLVMValueRef x, LLVMValueRef y, const unsigned *from,
                             unsigned n)
{
    LLVMValueRef numbers[4 * LANES];
    for (unsigned i = 0; i < n; i++)
        numbers[i] = int_constant(e, 32, from[i]);
    return LLVMBuildShuffleVector(e->builder, x, y, LLVMConstVector(numbers, n), "");
}

enum { HALF = 8 }; // entries of a table that are computed: the others are their negatives

// x, negative where bit `bit` of an entry's number, that of activation 4 bit + table, is not set.
static LLVMValueRef with_signs(emitter *e, LLVMValueRef x, unsigned bit)
{
    LLVMValueRef lanes[LANES], bits = reinterpret(e, x, int_type(e, 32));
    for (unsigned i = 0; i < LANES; i++)
        lanes[i] = int_constant(e, 32, i % HALF >> bit & 1 ? 0 : INT64_C(1) << 31);
    bits = primitive2(e, P_XOR, bits, LLVMConstVector(lanes, LANES));
    return reinterpret(e, bits, LLVMFloatTypeInContext(e->context));
}

static LLVMValueRef signs(emitter *e, unsigned bit)
{
    LLVMValueRef lanes[LANES];
    for (unsigned i = 0; i < LANES; i++)
        lanes[i] = LLVMConstReal(LLVMFloatTypeInContext(e->context), i % HALF >> bit & 1 ? 1 : -1);
    return LLVMConstVector(lanes, LANES);
}

// The lower halves of tables 2 `pair` and 2 `pair` + 1. What multipliers do is little, as shuffles
// share them: the first activation's sign is changed, the last one subtracted from all.
static LLVMValueRef half_tables(const preparation *p, LLVMValueRef x, unsigned pair)
{
    enum { LAST = 3 };
    emitter *e = p->e;
    LLVMValueRef entry = NULL;
    for (unsigned bit = 0; bit <= LAST; bit++) {
        unsigned from[LANES];
        for (unsigned i = 0; i < LANES; i++)
            from[i] = 4 * bit + 2 * pair + i / HALF;
        LLVMValueRef each = shuffled(e, x, LLVMGetPoison(LLVMTypeOf(x)), from, LANES);
        if (!bit)
            entry = with_signs(e, each, bit);
        else if (bit < LAST)
            entry = primitive3(e, P_FMA, signs(e, bit), each, entry);
        else
            entry = primitive2(e, P_FSUB, entry, each);
    }
    return entry;
}

// Four whole tables from the low bytes of the halves: entry 15 - i is that of i with the other
// sign.
static LLVMValueRef whole_tables(emitter *e, LLVMValueRef first, LLVMValueRef second)
{
    LLVMTypeRef bytes = LLVMVectorType(int_type(e, 8), 4 * LANES);
    LLVMValueRef turned[4 * LANES];
    unsigned from[4 * LANES];
    for (unsigned i = 0; i < 4 * LANES; i++) {
        unsigned table = i / LANES, entry = i % LANES;
        from[i] = 4 * (HALF * table + (entry < HALF ? entry : LANES - 1 - entry));
        turned[i] = int_constant(e, 1, entry >= HALF);
    }
    first = LLVMBuildBitCast(e->builder, first, bytes, "");
    second = LLVMBuildBitCast(e->builder, second, bytes, "");
    LLVMValueRef all = shuffled(e, first, second, from, 4 * LANES);
    return LLVMBuildSelect(e->builder, LLVMConstVector(turned, 4 * LANES),
                           LLVMBuildNeg(e->builder, all, ""), all, "");
}

// Four tables of 16 entries; the sums are those of the entries that subtract everything, twice
// ROUNDING_BITS too large.
static LLVMValueRef prepare_lookups(const preparation *p, LLVMValueRef k, LLVMValueRef inverse,
                                    LLVMValueRef sum)
{
    emitter *e = p->e;
    LLVMValueRef x = load_lanes(p, k), halves[2];
    for (unsigned pair = 0; pair < 2; pair++) {
        halves[pair] = rounded_over(e, half_tables(p, x, pair), inverse);
        sum = primitive2(e, P_ADD, sum, halves[pair]);
    }
    LLVMValueRef at = byte_at(e, p->to, index_mul(e, k, 4));
    LLVMValueRef tables = whole_tables(e, halves[0], halves[1]);
    if (e->level->lookup == LOOKUP_LANES) // entries over -128, for sums of unsigned ones
        tables = primitive2(e, P_XOR, tables, bits_like(tables, 128));
    store_to(e, tables, at, 4 * LANES);
    return sum;
}

static LLVMValueRef (*const forms[])(const preparation *p, LLVMValueRef k, LLVMValueRef inverse,
                                     LLVMValueRef sum) = {prepare_bytes, prepare_lookups,
                                                          prepare_floats};

static LLVMValueRef total(const preparation *p, LLVMValueRef sum)
{
    switch (p->form) {
    case ACTIVATION_FLOATS: return over_lanes(p->e, P_FADD, sum);
    case ACTIVATION_LOOKUPS:
        sum = primitive2(p->e, P_ADD, sum, rotated(p->e, sum, HALF));
        return LLVMBuildNeg(p->e->builder, first_lane(p->e, sum), "");
    default: return over_lanes(p->e, P_ADD, sum);
    }
}

static void prepare_span(const preparation *p, LLVMValueRef start, LLVMValueRef inverse)
{
    emitter *e = p->e;
    bool floats = p->form == ACTIVATION_FLOATS;
    LLVMValueRef end = end_of(p, start, p->sum_group);
    LLVMValueRef sum = LLVMConstNull(lanes_of_type(p, floats ? SCALAR_F32 : SCALAR_I32));
    unsigned n = vectors_of(p, p->sum_group);
    counted_loop l = counted_begin(e, start, end, n * LANES, 1, &sum);
    LLVMValueRef next = l.phis[0];
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef k = index_add(e, l.i, constant64(p, i * LANES));
        prefetch_ahead(p, k);
        next = forms[p->form](p, k, inverse, next);
    }
    if (p->form == ACTIVATION_LOOKUPS)
        next = primitive2(e, P_SUB, next, bits_like(next, UINT32_C(2) * n * ROUNDING_BITS));
    counted_end(e, &l, &next);
    LLVMValueRef number = LLVMBuildUDiv(e->builder, start, constant64(p, p->sum_group), "");
    LLVMValueRef at = byte_at(e, byte_at_constant(e, p->to, p->row.sums), index_mul(e, number, 4));
    store_to(e, total(p, l.phis[0]), at, 4);
}

// All scales come first: what waits for one would keep the next one waiting.
static void find_scales(const preparation *p)
{
    LLVMValueRef all = constant64(p, p->row.padded), zero = constant64(p, 0);
    counted_loop groups = counted_begin(p->e, zero, all, p->scale_group, 0, NULL);
    find_scale(p, groups.i, end_of(p, groups.i, p->scale_group));
    counted_end(p->e, &groups, NULL);
}

static void prepare_row(preparation *p)
{
    emitter *e = p->e;
    bool scaled = p->form != ACTIVATION_FLOATS && p->type != SCALAR_I8;
    LLVMValueRef all = constant64(p, p->row.padded), zero = constant64(p, 0);
    if (scaled)
        find_scales(p);
    counted_loop groups = counted_begin(e, zero, all, p->scale_group, 0, NULL);
    LLVMValueRef end = end_of(p, groups.i, p->scale_group), inverse = NULL;
    if (scaled)
        inverse = inverse_scale(p, groups.i);
    counted_loop spans = counted_begin(e, groups.i, end, p->sum_group, 0, NULL);
    prepare_span(p, spans.i, inverse);
    counted_end(e, &spans, NULL);
    counted_end(e, &groups, NULL);
}

// ------------------------------------------------------------------- the function

static void define_prepare(preparation *p, LLVMValueRef f)
{
    emitter *e = p->e;
    p->from = LLVMGetParam(f, 0);
    p->to = LLVMGetParam(f, 1);
    outer_function outer = enter_function(e, f);
    prepare_row(p);
    LLVMBuildRetVoid(e->builder);
    leave_function(e, outer);
}

static int64_t span_of(int64_t group, const activation_row *row)
{
    return group && group < row->padded ? group : row->padded;
}

void emit_prepare(emitter *e, ir_op *op)
{
    preparation p = {.e = e, .type = ir_operand_named(op, "from")->type->scalar};
    int64_t group = ir_integer(op, "group"), sums = ir_integer(op, "sums");
    while (!ir_name_is(op, "form", activation_form_names[p.form]))
        p.form++;
    p.row = activation_row_of(p.form, ir_integer(op, "columns"), group, sums);
    p.scale_group = span_of(group, &p.row);
    p.sum_group = span_of(sums, &p.row);
    if (p.scale_group % LANES || p.sum_group % LANES) {
        emit_error(e, "scales of %lld activations and sums of %lld: they stand for multiples of %d",
                   (long long)p.scale_group, (long long)p.sum_group, LANES);
        return;
    }
    if (p.form == ACTIVATION_LOOKUPS && !e->level->lookup)
        p.form = ACTIVATION_BYTES; // in the same place
    const char *name = arena_format(
        e->arena, "prepare.%s.%s.%lld.%lld.%lld.%s", scalar_rows[p.type].name, ir_name(op, "form"),
        (long long)ir_integer(op, "columns"), (long long)group, (long long)sums, e->level->name);
    LLVMValueRef f = LLVMGetNamedFunction(e->llvm, name);
    LLVMTypeRef types[] = {pointer_type(e), pointer_type(e)};
    if (!f) {
        f = internal_function(e, name,
                              LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 2, false));
        define_prepare(&p, f);
    }
    LLVMValueRef arguments[] = {value_of(e, ir_operand_named(op, "from")),
                                value_of(e, ir_operand_named(op, "to"))};
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, arguments, 2, "");
}
