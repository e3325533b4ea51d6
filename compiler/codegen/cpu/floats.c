// Products with activations as they are: weights become f32 and are multiplied as such.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

static LLVMValueRef constant64(const product *p, int64_t value)
{
    return int_constant(p->e, 64, value);
}

// -------------------------------------------------------------------- codebooks

static LLVMValueRef codebook_vector(emitter *e, const quant_codebook *book, unsigned first,
                                    unsigned count)
{
    LLVMValueRef numbers[QUANT_BOOK];
    for (unsigned i = 0; i < count; i++)
        numbers[i] = LLVMConstReal(LLVMFloatTypeInContext(e->context), book->levels[first + i]);
    return LLVMConstVector(numbers, count);
}

static LLVMValueRef codebook_address(emitter *e, const quant_codebook *book)
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

// Where the numbers of the product's codebook are: a constant, or in front of the weights.
static LLVMValueRef book_address(const product *p)
{
    const quant_codebook *book = p->format.codebook;
    return book->learned ? p->book : codebook_address(p->e, book);
}

// Numbers first .. first + lanes of it.
static LLVMValueRef book_vector(const product *p, unsigned first)
{
    emitter *e = p->e;
    if (!p->format.codebook->learned)
        return codebook_vector(e, p->format.codebook, first, p->lanes);
    LLVMValueRef at = byte_at_constant(e, p->book, 4 * (int64_t)first);
    return load_as(e, float_lanes(p), at, 4);
}

static LLVMValueRef read_number(const product *p, LLVMValueRef index)
{
    emitter *e = p->e;
    index = LLVMBuildZExt(e->builder, index, int_type(e, 64), "");
    LLVMValueRef at = byte_at(e, book_address(p), index_mul(e, index, 4));
    return load_as(e, LLVMFloatTypeInContext(e->context), at, 4);
}

// Numbers of a codebook: all in one register, in two, or read one by one.
static LLVMValueRef look_up(const product *p, LLVMValueRef index)
{
    emitter *e = p->e;
    if (p->lanes == 1)
        return read_number(p, index);
    if (p->lanes == QUANT_BOOK)
        return call_intrinsic(e, "llvm.x86.avx512.permvar.sf.512", 0, NULL, 2,
                              (LLVMValueRef[]){book_vector(p, 0), index});
    if (p->lanes == QUANT_BOOK / 2) {
        LLVMValueRef half[2];
        for (unsigned i = 0; i < 2; i++)
            half[i] = call_intrinsic(e, "llvm.x86.avx2.permps", 0, NULL, 2,
                                     (LLVMValueRef[]){book_vector(p, i * p->lanes), index});
        LLVMValueRef upper = compare_int(e, LLVMIntUGE, index, bits_like(index, p->lanes));
        return choose(e, upper, half[1], half[0]);
    }
    LLVMValueRef all = LLVMGetUndef(float_lanes(p));
    for (unsigned i = 0; i < p->lanes; i++) {
        LLVMValueRef lane = int_constant(e, 32, i);
        LLVMValueRef x = read_number(p, LLVMBuildExtractElement(e->builder, index, lane, ""));
        all = LLVMBuildInsertElement(e->builder, all, x, lane, "");
    }
    return all;
}

LLVMValueRef term_level(const product *p, LLVMValueRef field, unsigned term)
{
    emitter *e = p->e;
    if (p->format.kind == QUANT_BYTES && !p->g.step) {
        LLVMValueRef element = convert(e, C_TRUNC, field, int_type(e, 8));
        return cast_scalar_type(e, element, p->format.element, SCALAR_F32);
    }
    quant_term t = quant_term_of(&p->format, term);
    int64_t step = p->g.step, levels = p->g.levels;
    if (!step) { // bits of a code
        field = primitive2(e, P_LSHR, field, bits_like(field, t.first));
        field = primitive2(e, P_AND, field, bits_like(field, (1 << t.planes) - 1));
        step = 2;
        levels = (1 << t.planes) - 1;
    }
    if (t.form == QUANT_BOOKED)
        return look_up(p, field);
    field = primitive2(e, P_MUL, field, bits_like(field, step));
    field = primitive2(e, P_SUB, field, bits_like(field, levels));
    return convert(e, C_SITOFP, field, LLVMFloatTypeInContext(e->context));
}

// Byte `i` of every lane.
static LLVMValueRef field_lanes(const product *p, LLVMValueRef field, unsigned i)
{
    emitter *e = p->e;
    LLVMTypeRef words = LLVMVectorType(int_type(e, 32), p->lanes);
    LLVMValueRef x = LLVMBuildBitCast(e->builder, field, words, "");
    if (i)
        x = primitive2(e, P_LSHR, x, int_constant(e, 32, 8 * i));
    return primitive2(e, P_AND, x, int_constant(e, 32, 255));
}

typedef struct term_range {
    unsigned first, count;
} term_range;

// Adds a unit's products to the sums of the terms.
static void add_unit(const product *p, const term_range *terms, LLVMValueRef *lines,
                     LLVMValueRef at, LLVMValueRef *sums)
{
    emitter *e = p->e;
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context);
    for (unsigned f = 0; f < p->fields; f++) {
        LLVMValueRef field = field_vector(p, lines, f, FIELD_LOW);
        for (unsigned i = 0; i < COLUMN_FIELD; i++) {
            int64_t k = f * COLUMN_FIELD + i;
            LLVMValueRef code = field_lanes(p, field, i);
            LLVMValueRef x = load_as(e, f32, byte_at_constant(e, at, 4 * k), 4);
            for (unsigned j = 0; j < terms->count; j++)
                sums[j] = primitive3(e, P_FMA, term_level(p, code, terms->first + j), x, sums[j]);
        }
    }
}

// The row's scale of integer activations; NULL: it has none.
static LLVMValueRef row_scale(const product *p, LLVMValueRef row)
{
    if (!p->row_scales)
        return NULL;
    LLVMValueRef at = byte_at(p->e, p->scales, index_mul(p->e, row, 4));
    return load_as(p->e, LLVMFloatTypeInContext(p->e->context), at, 4);
}

static LLVMValueRef scaled(const product *p, LLVMValueRef x, LLVMValueRef scale)
{
    return scale ? primitive2(p->e, P_FMUL, x, scale) : x;
}

static void add_float_group(product *p, const product_group *g, const term_range *terms,
                            const LLVMValueRef *sums, LLVMValueRef row, LLVMValueRef part,
                            unsigned vector)
{
    emitter *e = p->e;
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context);
    LLVMValueRef at = result_at(p, row, part, vector), scale = row_scale(p, row);
    LLVMValueRef y = load_as(e, float_lanes(p), at, p->bytes);
    for (unsigned i = 0; i < terms->count; i++) {
        LLVMValueRef weight = group_values(p, g, terms->first + i, part, vector);
        y = primitive3(e, P_FMA, sums[i], scaled(p, weight, scale), y);
    }
    if (p->format.offset && terms->first + terms->count == p->format.terms) {
        LLVMValueRef of_row = scaled(p, sum_of_group(p, g, row, f32), scale);
        y = primitive3(e, P_FMA, of_row, column_values(p, g, true, part, vector), y);
    }
    store_to(e, y, at, p->bytes);
}

static void float_part(product *p, const product_group *g, const term_range *terms,
                       LLVMValueRef row, LLVMValueRef part)
{
    emitter *e = p->e;
    LLVMValueRef sums[PRODUCT_MOST_VECTORS * QUANT_TERMS];
    const unsigned each = terms->count, n = p->vectors * each;
    for (unsigned i = 0; i < n; i++)
        sums[i] = LLVMConstNull(float_lanes(p));
    counted_loop units = counted_begin(e, constant64(p, 0), g->units, 1, n, sums);
    memcpy(sums, units.phis, n * sizeof *sums);
    LLVMValueRef unit = unit_at(p, g, units.i);
    LLVMValueRef number = index_add(e, g->first_unit, units.i);
    LLVMValueRef at = byte_at(e, row_at(p, row), index_mul(e, number, p->g.unit * 4));
    for (unsigned v = 0; v < p->vectors; v++) {
        LLVMValueRef lines[COLUMN_MOST_LINES];
        for (unsigned l = 0; l < p->g.lines; l++)
            lines[l] = load_line(p, unit, l, part, v);
        add_unit(p, terms, lines, at, sums + v * each);
    }
    counted_end(e, &units, sums);
    for (unsigned v = 0; v < p->vectors; v++)
        add_float_group(p, g, terms, units.phis + v * each, row, part, v);
}

static void add_terms(product *p, const term_range *terms)
{
    emitter *e = p->e;
    LLVMValueRef zero = constant64(p, 0);
    int64_t groups = (p->g.units + p->group_units - 1) / p->group_units;
    counted_loop loop = counted_begin(e, zero, constant64(p, groups), 1, 0, NULL);
    enter_span(p, index_mul(e, loop.i, p->group_units));
    product_group g = group_at(p, loop.i);
    counted_loop rows = counted_begin(e, zero, p->rows, 1, 0, NULL);
    counted_loop parts = counted_begin(e, zero, constant64(p, p->parts), 1, 0, NULL);
    float_part(p, &g, terms, rows.i, parts.i);
    counted_end(e, &parts, NULL);
    counted_end(e, &rows, NULL);
    counted_end(e, &loop, NULL);
}

// Of integers the order of f32 sums is given: a codebook's come before those of the plane beside.
void emit_floats(product *p)
{
    const unsigned all = p->format.terms;
    if (p->integer && p->format.kind == QUANT_SPECIAL) {
        add_terms(p, &(term_range){0, 1});
        add_terms(p, &(term_range){1, all - 1});
    } else {
        add_terms(p, &(term_range){0, all});
    }
}
