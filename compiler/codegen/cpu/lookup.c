// Lookups where 16 bytes of a vector ask one table (vpshufb). Weights stand in the order that four
// tables for 16 bytes ask for, so vectors of indices are transposed: each then asks one table for
// all columns of a part. Entries are biased by 128 and summed in 16 bits: in `all` whole words, in
// `odd` their upper bytes; what `all` has beside 256 * odd is the sum of the lower ones.
#include "compiler/codegen/cpu/product.h"

enum { LANE = 16, BIAS = 128, TABLES = 4 }; // tables: of a half of a unit's 32 weights
enum { ALL, ODD };

bool looks_up_lanes(const product *p)
{
    return p->form == ACTIVATION_LOOKUPS && p->e->level->lookup == LOOKUP_LANES;
}

typedef enum interleaving { LOW, HIGH } interleaving;

// vpunpckl, vpunpckh of elements of `bits` bits.
static LLVMValueRef interleaved(const product *p, LLVMValueRef x, LLVMValueRef y, unsigned bits,
                                interleaving which)
{
    emitter *e = p->e;
    unsigned n = p->bytes * 8 / bits, lane = LANE * 8 / bits;
    LLVMTypeRef type = LLVMVectorType(int_type(e, bits), n);
    LLVMValueRef from[64];
    for (unsigned i = 0; i < n; i++) {
        unsigned element = i / lane * lane + which * (lane / 2) + i % lane / 2;
        from[i] = int_constant(e, 32, element + (i % 2 ? n : 0));
    }
    x = LLVMBuildBitCast(e->builder, x, type, "");
    y = LLVMBuildBitCast(e->builder, y, type, "");
    return LLVMBuildShuffleVector(e->builder, x, y, LLVMConstVector(from, n), "");
}

// Of each lane the bytes of four columns: those for table 0 first.
static LLVMValueRef by_table(const product *p, LLVMValueRef x)
{
    LLVMValueRef from[64];
    for (unsigned i = 0; i < p->bytes; i++)
        from[i] = int_constant(p->e, 32, i / LANE * LANE + i % 4 * 4 + i % LANE / 4);
    return LLVMBuildShuffleVector(p->e->builder, x, LLVMGetPoison(LLVMTypeOf(x)),
                                  LLVMConstVector(from, p->bytes), "");
}

static LLVMValueRef masked_half(const product *p, LLVMValueRef x, unsigned half)
{
    emitter *e = p->e;
    LLVMTypeRef words = LLVMVectorType(int_type(e, 16), p->bytes / 2);
    LLVMTypeRef bytes = LLVMVectorType(int_type(e, 8), p->bytes);
    x = LLVMBuildBitCast(e->builder, x, words, "");
    if (half)
        x = primitive2(e, P_LSHR, x, int_constant(e, 16, 4));
    return primitive2(e, P_AND, LLVMBuildBitCast(e->builder, x, bytes, ""), int_constant(e, 8, 15));
}

void lookup_indices(const product *p, LLVMValueRef unit, LLVMValueRef part, LLVMValueRef *out)
{
    LLVMValueRef line[TABLES], pairs[TABLES], all[TABLES];
    for (unsigned v = 0; v < TABLES; v++)
        line[v] = by_table(p, load_line(p, unit, 0, part, v));
    for (unsigned i = 0; i < TABLES; i++) // tables 2 (i / 2) and the next, of vectors 2 (i % 2) on
        pairs[i] = interleaved(p, line[i % 2 * 2], line[i % 2 * 2 + 1], 32, i / 2 ? HIGH : LOW);
    for (unsigned t = 0; t < TABLES; t++)
        all[t] = interleaved(p, pairs[t / 2 * 2], pairs[t / 2 * 2 + 1], 64, t % 2 ? HIGH : LOW);
    for (unsigned i = 0; i < PRODUCT_LANE_STEPS; i++)
        out[i] = masked_half(p, all[i % TABLES], i / TABLES);
}

// The table of step `step`, in every lane.
static LLVMValueRef lane_table(const product *p, LLVMValueRef tables, unsigned step)
{
    emitter *e = p->e;
    LLVMValueRef at = byte_at_constant(e, tables, (int64_t)step * LANE), from[64];
    LLVMValueRef table = load_as(e, LLVMVectorType(int_type(e, 8), LANE), at, LANE);
    for (unsigned i = 0; i < p->bytes; i++)
        from[i] = int_constant(e, 32, i % LANE);
    return LLVMBuildShuffleVector(e->builder, table, LLVMGetPoison(LLVMTypeOf(table)),
                                  LLVMConstVector(from, p->bytes), "");
}

void lookup_step(const product *p, LLVMValueRef *sums, LLVMValueRef index, LLVMValueRef tables,
                 unsigned step)
{
    emitter *e = p->e;
    LLVMValueRef operands[] = {lane_table(p, tables, step), index};
    LLVMValueRef entries = call_intrinsic(e, "llvm.x86.avx2.pshuf.b", 0, NULL, 2, operands);
    entries = LLVMBuildBitCast(e->builder, entries, LLVMTypeOf(sums[ALL]), "");
    sums[ALL] = primitive2(e, P_ADD, sums[ALL], entries);
    LLVMValueRef upper = primitive2(e, P_LSHR, entries, int_constant(e, 16, 8));
    sums[ODD] = primitive2(e, P_ADD, sums[ODD], upper);
}

void lookup_widen(const product *p, const LLVMValueRef *sums, LLVMValueRef units, LLVMValueRef *out)
{
    emitter *e = p->e;
    LLVMTypeRef i32 = int_type(e, 32), lanes = LLVMVectorType(i32, p->lanes);
    LLVMValueRef upper = primitive2(e, P_SHL, sums[ODD], int_constant(e, 16, 8));
    LLVMValueRef even = primitive2(e, P_SUB, sums[ALL], upper);
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(even));
    LLVMValueRef bias = index_mul(e, units, PRODUCT_LANE_STEPS * BIAS);
    bias = LLVMBuildTrunc(e->builder, bias, i32, "");
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef words = interleaved(p, even, sums[ODD], 16, v / 2 ? HIGH : LOW);
        LLVMValueRef sum = interleaved(p, words, zero, 16, v % 2 ? HIGH : LOW);
        sum = LLVMBuildBitCast(e->builder, sum, lanes, "");
        sum = primitive2(e, P_SUB, sum, vector_of(e, bias, p->lanes));
        out[v] = primitive2(e, P_ADD, out[v], sum);
    }
}
