// Products with activations as they are: weights become f32 and are multiplied as such.
#include "compiler/codegen/product.h"

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

// -------------------------------------------------------------------- codebooks

LLVMValueRef codebook_vector(emitter *e, const quant_codebook *book, unsigned first, unsigned count)
{
    LLVMValueRef numbers[QUANT_BOOK];
    for (unsigned i = 0; i < count; i++)
        numbers[i] = LLVMConstReal(LLVMFloatTypeInContext(e->context), book->levels[first + i]);
    return LLVMConstVector(numbers, count);
}

LLVMValueRef codebook_address(emitter *e, const quant_codebook *book)
{
    const char *name = arena_format(e->arena, "codebook.%s", book->name);
    LLVMValueRef found = LLVMGetNamedGlobal(e->llvm, name);
    if (found)
        return found;
    LLVMValueRef numbers = codebook_vector(e, book, 0, QUANT_BOOK);
    found = LLVMAddGlobal(e->llvm, LLVMTypeOf(numbers), name);
    LLVMSetInitializer(found, numbers);
    LLVMSetGlobalConstant(found, true);
    LLVMSetLinkage(found, LLVMPrivateLinkage);
    LLVMSetAlignment(found, COLUMN_LINE);
    return found;
}

// Numbers of a codebook: all in one register, in two, or read one by one.
static LLVMValueRef look_up(const product *p, LLVMValueRef index)
{
    emitter *e = p->e;
    LLVMValueRef half[2], book = codebook_vector(e, p->format.codebook, 0, QUANT_BOOK);
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context);
    if (p->lanes == QUANT_BOOK)
        return call_intrinsic(e, "llvm.x86.avx512.permvar.sf.512", 0, NULL, 2,
                              (LLVMValueRef[]){book, index});
    if (p->lanes == QUANT_BOOK / 2) {
        for (unsigned i = 0; i < 2; i++) {
            book = codebook_vector(e, p->format.codebook, i * p->lanes, p->lanes);
            half[i] = call_intrinsic(e, "llvm.x86.avx2.permps", 0, NULL, 2,
                                     (LLVMValueRef[]){book, index});
        }
        LLVMValueRef upper = compare_int(e, LLVMIntUGE, index, bits_like(index, p->lanes));
        return choose(e, upper, half[1], half[0]);
    }
    LLVMValueRef all = LLVMGetUndef(float_lanes(p)), base = codebook_address(e, p->format.codebook);
    for (unsigned i = 0; i < p->lanes; i++) {
        LLVMValueRef lane = int_constant(e, 32, i);
        LLVMValueRef number = LLVMBuildExtractElement(e->builder, index, lane, "");
        number = LLVMBuildZExt(e->builder, number, int_type(e, 64), "");
        LLVMValueRef x = load_as(e, f32, byte_at(e, base, index_mul(e, number, 4)), 4);
        all = LLVMBuildInsertElement(e->builder, all, x, lane, "");
    }
    return all;
}

// Byte `i` of every lane as its level: 2 f - n, or a number of the codebook.
static LLVMValueRef level_of(const product *p, LLVMValueRef field, unsigned i)
{
    emitter *e = p->e;
    LLVMTypeRef words = LLVMVectorType(int_type(e, 32), p->lanes);
    LLVMValueRef x = LLVMBuildBitCast(e->builder, field, words, "");
    if (i)
        x = primitive2(e, P_LSHR, x, int_constant(e, 32, 8 * i));
    x = primitive2(e, P_AND, x, int_constant(e, 32, 255));
    if (p->format.codebook)
        return look_up(p, x);
    x = primitive2(e, P_SUB, primitive2(e, P_ADD, x, x), int_constant(e, 32, p->g.levels));
    return LLVMBuildSIToFP(e->builder, x, float_lanes(p), "");
}

static LLVMValueRef add_unit(const product *p, LLVMValueRef *lines, LLVMValueRef at,
                             LLVMValueRef sum)
{
    emitter *e = p->e;
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context);
    for (unsigned f = 0; f < p->fields; f++) {
        LLVMValueRef field = field_vector(p, lines, f, FIELD_LOW);
        for (unsigned i = 0; i < COLUMN_FIELD; i++) {
            int64_t k = f * COLUMN_FIELD + i;
            LLVMValueRef x = load_as(e, f32, byte_at_constant(e, at, 4 * k), 4);
            sum = primitive3(e, P_FMA, level_of(p, field, i), x, sum);
        }
    }
    return sum;
}

static void add_float_group(product *p, const product_group *g, LLVMValueRef sum, LLVMValueRef row,
                            LLVMValueRef part, unsigned vector)
{
    emitter *e = p->e;
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context);
    LLVMValueRef at = result_at(p, row, part, vector);
    LLVMValueRef y = load_as(e, float_lanes(p), at, p->bytes);
    y = primitive3(e, P_FMA, sum, column_values(p, g, false, part, vector), y);
    if (p->format.offset) {
        LLVMValueRef of_row = sum_of_group(p, g, row, f32);
        y = primitive3(e, P_FMA, of_row, column_values(p, g, true, part, vector), y);
    }
    store_to(e, y, at, p->bytes);
}

static void float_part(product *p, const product_group *g, LLVMValueRef row, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMValueRef sums[PRODUCT_MOST_VECTORS];
    for (unsigned v = 0; v < p->vectors; v++)
        sums[v] = LLVMConstNull(float_lanes(p));
    counted_loop units = counted_begin(e, constant64(p, 0), g->units, 1, p->vectors, sums);
    LLVMValueRef unit = byte_at(e, g->units_at, index_mul(e, units.i, p->g.unit_bytes));
    LLVMValueRef number = index_add(e, g->first_unit, units.i);
    LLVMValueRef at = byte_at(e, row_at(p, row), index_mul(e, number, p->g.unit * 4));
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef lines[COLUMN_MOST_LINES];
        for (unsigned l = 0; l < p->g.lines; l++)
            lines[l] = load_line(p, unit, l, part, v);
        sums[v] = add_unit(p, lines, at, units.phis[v]);
    }
    counted_end(e, &units, sums);
    for (unsigned v = 0; v < p->vectors; v++)
        add_float_group(p, g, units.phis[v], row, part, v);
}

void emit_floats(product *p)
{
    emitter *e = p->e;
    LLVMValueRef zero = constant64(p, 0);
    int64_t groups = (p->g.units + p->group_units - 1) / p->group_units;
    counted_loop loop = counted_begin(e, zero, constant64(p, groups), 1, 0, NULL);
    product_group g = group_at(p, loop.i);
    counted_loop rows = counted_begin(e, zero, p->rows, 1, 0, NULL);
    counted_loop parts = counted_begin(e, zero, constant64(p, p->parts), 1, 0, NULL);
    float_part(p, &g, rows.i, parts.i);
    counted_end(e, &parts, NULL);
    counted_end(e, &rows, NULL);
    counted_end(e, &loop, NULL);
}
