// native.unpack: a column of weights as values.
#include "compiler/codegen/cpu/product.h"

typedef struct unpacking {
    emitter *e;
    quant_format format;
    column_geometry g;
    LLVMValueRef column, to, book;
    column_stream stream;
} unpacking;

// Of a group: a scale for each term, an offset or NULL.
typedef struct group_numbers {
    LLVMValueRef scale[QUANT_TERMS], offset;
} group_numbers;

// The word of the column's four weights in each field of a line.
static LLVMValueRef load_word(const unpacking *u, LLVMValueRef unit, unsigned line)
{
    emitter *e = u->e;
    // Lines of 16 columns stand side by side: a word for each column.
    LLVMValueRef at = byte_at(e, unit, index_mul(e, u->column, 4));
    return load_as(e, int_type(e, 32),
                   byte_at_constant(e, at, (int64_t)line * COLUMN_TILES * COLUMN_LINE), 4);
}

static LLVMValueRef bits_of(emitter *e, LLVMValueRef word, unsigned shift, unsigned mask)
{
    LLVMValueRef x = primitive2(e, P_LSHR, word, int_constant(e, 32, shift));
    return primitive2(e, P_AND, x, int_constant(e, 32, mask));
}

static LLVMValueRef field_value(const unpacking *u, LLVMValueRef *words, unsigned field, unsigned i)
{
    emitter *e = u->e;
    column_field at = column_field_of(u->g.bits, field);
    unsigned mask = (1u << u->g.bits) - 1;
    LLVMValueRef x = bits_of(e, words[at.line], 8 * i + at.shift, at.split ? mask >> 1 : mask);
    if (!at.split)
        return x;
    LLVMValueRef low = bits_of(e, words[2], 8 * i + at.low, 1);
    return primitive2(e, P_OR, primitive2(e, P_ADD, x, x), low);
}

static LLVMValueRef group_value(const unpacking *u, LLVMValueRef header, unsigned which)
{
    emitter *e = u->e;
    scalar_type t = u->format.scale;
    unsigned size = (unsigned)scalar_size(t);
    LLVMValueRef at = byte_at(e, byte_at_constant(e, header, which * u->g.value_bytes),
                              index_mul(e, u->column, size));
    return cast_scalar_type(e, load_as(e, scalar_llvm_type(e, t), at, size), t, SCALAR_F32);
}

static group_numbers numbers_of(const unpacking *u, LLVMValueRef header)
{
    group_numbers n = {.offset = NULL};
    const unsigned terms = u->format.terms;
    for (unsigned term = 0; term < terms; term++)
        n.scale[term] = group_value(u, header, term);
    if (u->format.offset)
        n.offset = group_value(u, header, terms);
    return n;
}

// The sum of scales times levels and the offset, in f32: of one term exact but for one rounding.
static LLVMValueRef weight_value(const unpacking *u, LLVMValueRef field, const group_numbers *n)
{
    emitter *e = u->e;
    const product p = {.e = e, .format = u->format, .g = u->g, .lanes = 1, .book = u->book};
    LLVMValueRef x = n->offset;
    for (unsigned term = 0; term < u->format.terms; term++) {
        LLVMValueRef level = term_level(&p, field, term);
        x = x ? primitive3(e, P_FMA, n->scale[term], level, x)
              : primitive2(e, P_FMUL, n->scale[term], level);
    }
    return x;
}

static void unpack_unit(const unpacking *u, LLVMValueRef unit, LLVMValueRef to,
                        const group_numbers *n)
{
    emitter *e = u->e;
    LLVMValueRef words[COLUMN_MOST_LINES];
    for (unsigned l = 0; l < u->g.lines; l++)
        words[l] = load_word(u, unit, l);
    for (unsigned k = 0; k < u->g.unit; k++) {
        LLVMValueRef field = field_value(u, words, k / COLUMN_FIELD, k % COLUMN_FIELD);
        store_to(e, weight_value(u, field, n), byte_at_constant(e, to, 4 * (int64_t)k), 4);
    }
}

static void unpack_group(unpacking *u, LLVMValueRef group)
{
    emitter *e = u->e;
    const column_geometry *g = &u->g;
    LLVMValueRef first = index_mul(e, group, g->per_group), all = int_constant(e, 64, g->units);
    column_enter_span(e, g, &u->stream, first);
    group_numbers numbers = numbers_of(u, column_header(e, g, &u->stream, group));
    LLVMValueRef end = index_add(e, first, int_constant(e, 64, g->per_group));
    counted_loop units = counted_begin(e, first, least_index(e, end, all), 1, 0, NULL);
    column_enter_span(e, g, &u->stream, units.i);
    LLVMValueRef unit = column_unit(e, g, &u->stream, group, units.i);
    unpack_unit(u, unit, byte_at(e, u->to, index_mul(e, units.i, 4 * g->unit)), &numbers);
    counted_end(e, &units, NULL);
}

static void define_unpack(unpacking *u, LLVMValueRef f)
{
    emitter *e = u->e;
    LLVMValueRef zero = int_constant(e, 64, 0), size = int_constant(e, 64, COLUMN_BLOCK);
    outer_function outer = enter_function(e, f);
    LLVMValueRef column = LLVMGetParam(f, 1);
    LLVMValueRef block = LLVMBuildUDiv(e->builder, column, size, "");
    u->stream = column_stream_of(e, &u->g, LLVMGetParam(f, 0), block, LLVMGetParam(f, 4));
    u->column = LLVMBuildURem(e->builder, column, size, "");
    u->to = LLVMGetParam(f, 2);
    u->book = LLVMGetParam(f, 3);
    counted_loop groups = counted_begin(e, zero, int_constant(e, 64, u->g.groups), 1, 0, NULL);
    unpack_group(u, groups.i);
    counted_end(e, &groups, NULL);
    LLVMBuildRetVoid(e->builder);
    leave_function(e, outer);
}

void emit_unpack(emitter *e, ir_op *op)
{
    unpacking u = {.e = e};
    int64_t depth = ir_integer(op, "depth");
    const char *format = ir_find(op, "format")->text;
    if (!quant_format_parse(format, &u.format) ||
        !column_geometry_of(&u.format, COLUMN_BLOCK, depth, &u.g)) {
        emit_error(e, "weights of format %s have no layout for CPUs", format);
        return;
    }
    const char *name = arena_format(e->arena, "unpack.%s.%lld.%s", u.format.name, (long long)depth,
                                    e->level->name);
    LLVMValueRef f = LLVMGetNamedFunction(e->llvm, name);
    const ir_value *book = ir_operand_named(op, "book");
    LLVMTypeRef types[] = {pointer_type(e), int_type(e, 64), pointer_type(e), pointer_type(e),
                           int_type(e, 64)};
    if (!f) {
        f = internal_function(e, name,
                              LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 5, false));
        define_unpack(&u, f);
    }
    LLVMValueRef arguments[] = {value_of(e, ir_operand_named(op, "weights")),
                                value_of(e, ir_operand_named(op, "column")),
                                value_of(e, ir_operand_named(op, "to")),
                                book ? value_of(e, book) : LLVMConstNull(pointer_type(e)),
                                int_constant(e, 64, ir_integer(op, "blocks"))};
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, arguments, 5, "");
}
