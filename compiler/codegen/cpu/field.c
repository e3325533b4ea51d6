// Fields of packed weights, and sums of their products with activations.
#include "compiler/codegen/cpu/product.h"

#include <string.h>

// ------------------------------------------------------------------- small parts

LLVMValueRef byte_at(emitter *e, LLVMValueRef base, LLVMValueRef offset)
{
    return LLVMBuildInBoundsGEP2(e->builder, int_type(e, 8), base, &offset, 1, "");
}

LLVMValueRef byte_at_constant(emitter *e, LLVMValueRef base, int64_t offset)
{
    return offset ? byte_at(e, base, int_constant(e, 64, offset)) : base;
}

LLVMValueRef load_as(emitter *e, LLVMTypeRef type, LLVMValueRef at, unsigned align)
{
    LLVMValueRef x = LLVMBuildLoad2(e->builder, type, at, "");
    LLVMSetAlignment(x, align);
    return x;
}

static void prefetch_data(emitter *e, LLVMValueRef at, bool to_write, prefetch_cache cache)
{
    enum { DATA = 1 };
    LLVMTypeRef type = LLVMTypeOf(at);
    LLVMValueRef arguments[] = {at, int_constant(e, 32, to_write), int_constant(e, 32, cache),
                                int_constant(e, 32, DATA)};
    call_intrinsic(e, "llvm.prefetch", 1, &type, 4, arguments);
}

void prefetch(emitter *e, LLVMValueRef at, prefetch_cache cache)
{
    prefetch_data(e, at, false, cache);
}

void prefetch_to_write(emitter *e, LLVMValueRef at)
{
    prefetch_data(e, at, true, PREFETCH_FIRST);
}

void store_to(emitter *e, LLVMValueRef x, LLVMValueRef at, unsigned align)
{
    LLVMSetAlignment(LLVMBuildStore(e->builder, x, at), align);
}

LLVMValueRef index_add(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildNSWAdd(e->builder, x, y, "");
}

LLVMValueRef index_mul(emitter *e, LLVMValueRef x, int64_t y)
{
    return y == 1 ? x : LLVMBuildNSWMul(e->builder, x, int_constant(e, 64, y), "");
}

counted_loop counted_begin(emitter *e, LLVMValueRef from, LLVMValueRef to, int64_t step, unsigned n,
                           LLVMValueRef *initial)
{
    counted_loop l = {.from = from, .to = to, .step = step, .n = n};
    l.before = LLVMGetInsertBlock(e->builder);
    l.body = new_block(e, "body");
    LLVMBuildBr(e->builder, l.body);
    LLVMPositionBuilderAtEnd(e->builder, l.body);
    l.i = LLVMBuildPhi(e->builder, int_type(e, 64), "");
    LLVMAddIncoming(l.i, &from, &l.before, 1);
    l.phis = ARENA_ARRAY(e->arena, LLVMValueRef, n + 1);
    for (unsigned i = 0; i < n; i++) {
        l.phis[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(initial[i]), "");
        LLVMAddIncoming(l.phis[i], &initial[i], &l.before, 1);
    }
    return l;
}

void counted_end(emitter *e, counted_loop *l, LLVMValueRef *next)
{
    LLVMBasicBlockRef last = LLVMGetInsertBlock(e->builder), end = new_block(e, "end");
    LLVMValueRef i = index_add(e, l->i, int_constant(e, 64, l->step));
    LLVMAddIncoming(l->i, &i, &last, 1);
    for (unsigned k = 0; k < l->n; k++) {
        LLVMAddIncoming(l->phis[k], &next[k], &last, 1);
        l->phis[k] = next[k];
    }
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, i, l->to, "");
    LLVMBuildCondBr(e->builder, more, l->body, end);
    LLVMPositionBuilderAtEnd(e->builder, end);
}

outer_function enter_function(emitter *e, LLVMValueRef f)
{
    outer_function outer = {LLVMGetInsertBlock(e->builder), e->llvm_function};
    e->llvm_function = f;
    LLVMSetCurrentDebugLocation2(e->builder, NULL);
    LLVMPositionBuilderAtEnd(e->builder, new_block(e, "entry"));
    return outer;
}

void leave_function(emitter *e, outer_function outer)
{
    e->llvm_function = outer.function;
    LLVMPositionBuilderAtEnd(e->builder, outer.block);
    debug_location(e, e->where);
}

// ----------------------------------------------------------------------- fields

static LLVMTypeRef byte_vector(const product *p)
{
    return LLVMVectorType(int_type(p->e, 8), p->bytes);
}

static LLVMValueRef splat_byte(const product *p, unsigned value)
{
    return vector_of(p->e, int_constant(p->e, 8, value), p->bytes);
}

LLVMValueRef load_line(const product *p, LLVMValueRef unit, unsigned line, LLVMValueRef part,
                       unsigned vector)
{
    int64_t offset = (int64_t)line * COLUMN_TILES * COLUMN_LINE + vector * p->bytes;
    LLVMValueRef at = byte_at_constant(p->e, unit, offset);
    if (part)
        at = byte_at(p->e, at, index_mul(p->e, part, p->vectors * p->bytes));
    return load_as(p->e, byte_vector(p), at, p->bytes < 64 ? p->bytes : 64);
}

// Moves bits down by `n`; those of the neighbouring byte come along, so a mask has to follow.
static LLVMValueRef moved_down(const product *p, LLVMValueRef x, int n)
{
    if (!n)
        return x;
    LLVMTypeRef words = LLVMVectorType(int_type(p->e, 16), p->bytes / 2);
    LLVMValueRef by = vector_of(p->e, int_constant(p->e, 16, n < 0 ? -n : n), p->bytes / 2);
    x = LLVMBuildBitCast(p->e->builder, x, words, "");
    x = (n < 0 ? LLVMBuildShl : LLVMBuildLShr)(p->e->builder, x, by, "");
    return LLVMBuildBitCast(p->e->builder, x, byte_vector(p), "");
}

static LLVMValueRef masked(const product *p, LLVMValueRef x, unsigned mask)
{
    return LLVMBuildAnd(p->e->builder, x, splat_byte(p, mask), "");
}

enum { SPLIT_PLACE = 5 }; // a split field: its lowest bit

unsigned field_place(const product *p, unsigned field, field_form form)
{
    column_field at = column_field_of(p->g.bits, field);
    if (form == FIELD_IN_HALF)
        return at.shift % 4;
    if (form != FIELD_IN_PLACE)
        return form == FIELD_DOUBLED;
    return at.split ? SPLIT_PLACE : at.shift;
}

unsigned field_places(const product *p, field_form form, unsigned *places)
{
    unsigned n = 0;
    for (unsigned f = 0; f < p->fields; f++) {
        unsigned place = p->form == ACTIVATION_LOOKUPS ? 0 : field_place(p, f, form), i = 0;
        while (i < n && places[i] != place)
            i++;
        if (i == n)
            places[n++] = place;
    }
    return n;
}

bool field_reads(const product *p, unsigned field, unsigned line)
{
    if (p->form == ACTIVATION_LOOKUPS)
        return line == 0;
    column_field at = column_field_of(p->g.bits, field);
    return line == at.line || (at.split && line == 2);
}

// Byte i of a vector asks table i % 4 of the four in a register.
static LLVMValueRef index_vector(const product *p, LLVMValueRef line, unsigned half)
{
    LLVMValueRef *tables = ARENA_ARRAY(p->e->arena, LLVMValueRef, p->bytes);
    for (unsigned i = 0; i < p->bytes; i++)
        tables[i] = int_constant(p->e, 8, i % 4 * 16);
    LLVMValueRef index = masked(p, moved_down(p, line, 4 * (int)half), 0x0f);
    return LLVMBuildOr(p->e->builder, index, LLVMConstVector(tables, p->bytes), "");
}

LLVMValueRef field_vector(const product *p, LLVMValueRef *lines, unsigned field, field_form form)
{
    if (p->form == ACTIVATION_LOOKUPS)
        return index_vector(p, lines[0], field);
    column_field at = column_field_of(p->g.bits, field);
    unsigned mask = (1u << p->g.bits) - 1, place = field_place(p, field, form);
    LLVMValueRef line = lines[at.line];
    if (!at.split)
        return masked(p, moved_down(p, line, (int)at.shift - (int)place), mask << place);
    unsigned lowest = 1u << place, upper = (mask << place) & ~lowest;
    LLVMValueRef high = masked(p, moved_down(p, line, SPLIT_PLACE - (int)place), upper);
    LLVMValueRef low = masked(p, moved_down(p, lines[2], (int)at.low - (int)place), lowest);
    return LLVMBuildOr(p->e->builder, high, low, "");
}

// ------------------------------------------------------------------------- sums

bool fields_are_signed(const product *p)
{
    return p->e->level->dot == DOT_NEON && p->format.planes == 8;
}

field_form direct_place(const product *p)
{
    unsigned places[PRODUCT_MOST_CLASSES];
    if (p->form == ACTIVATION_BYTES && p->run_units && p->g.bits <= 2)
        return FIELD_IN_HALF;
    if (p->form != ACTIVATION_BYTES || p->e->level->dot != DOT_VNNI)
        return FIELD_LOW;
    bool few = field_places(p, FIELD_IN_PLACE, places) * p->vectors <= 16;
    return few ? FIELD_IN_PLACE : FIELD_LOW;
}

// Sums of 16 bits have no room for doubled fields, nor have bytes for those of 7 bits and more,
// where they may be signed.
field_form panel_place(const product *p)
{
    return p->e->level->dot == DOT_MADD || p->format.planes > 6 ? FIELD_LOW : FIELD_DOUBLED;
}

int64_t operand_bytes(const product *p)
{
    if (looks_up_lanes(p))
        return 16;
    return p->form == ACTIVATION_LOOKUPS ? 64 : COLUMN_FIELD;
}

LLVMValueRef operand_at(const product *p, LLVMValueRef at)
{
    emitter *e = p->e;
    if (p->form == ACTIVATION_LOOKUPS)
        return load_as(e, LLVMVectorType(int_type(e, 8), COLUMN_LINE), at, COLUMN_LINE);
    if (e->level->dot == DOT_GENERIC)
        return at;
    LLVMValueRef four = load_as(e, int_type(e, 32), at, 4);
    LLVMValueRef all = vector_of(e, four, p->bytes / 4);
    return LLVMBuildBitCast(e->builder, all, byte_vector(p), "");
}

LLVMValueRef step_operand(const product *p, LLVMValueRef row, LLVMValueRef unit, unsigned field)
{
    emitter *e = p->e;
    LLVMValueRef at = byte_at(e, row, index_mul(e, unit, operand_bytes(p) * p->fields));
    return operand_at(p, byte_at_constant(e, at, operand_bytes(p) * field));
}

static LLVMValueRef call3(emitter *e, const char *name, LLVMValueRef x, LLVMValueRef y,
                          LLVMValueRef z)
{
    LLVMValueRef arguments[] = {x, y, z};
    unsigned n = z ? 3 : 2;
    return call_intrinsic(e, name, 0, NULL, n, arguments);
}

static LLVMTypeRef words_type(const product *p, unsigned bits)
{
    return LLVMVectorType(int_type(p->e, bits), p->bytes * 8 / bits);
}

static LLVMValueRef as_words(const product *p, LLVMValueRef x, unsigned bits)
{
    return LLVMBuildBitCast(p->e->builder, x, words_type(p, bits), "");
}

// sum + x0 y0 + x1 y1 + x2 y2 + x3 y3 in every lane, x unsigned.
static LLVMValueRef vnni(const product *p, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef y)
{
    return call3(p->e, "llvm.x86.avx512.vpdpbusd.512", sum, as_words(p, x, 32), as_words(p, y, 32));
}

static LLVMValueRef generic_dot(const product *p, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef at)
{
    emitter *e = p->e;
    LLVMValueRef wide = as_words(p, x, 32), mask = vector_of(e, int_constant(e, 32, 255), p->lanes);
    for (unsigned i = 0; i < COLUMN_FIELD; i++) {
        LLVMValueRef byte = load_as(e, int_type(e, 8), byte_at_constant(e, at, i), 1);
        LLVMValueRef y =
            vector_of(e, LLVMBuildSExt(e->builder, byte, int_type(e, 32), ""), p->lanes);
        LLVMValueRef by = vector_of(e, int_constant(e, 32, 8 * i), p->lanes);
        LLVMValueRef w =
            LLVMBuildAnd(e->builder, LLVMBuildLShr(e->builder, wide, by, ""), mask, "");
        sum = LLVMBuildAdd(e->builder, sum, LLVMBuildMul(e->builder, w, y, ""), "");
    }
    return sum;
}

static unsigned greatest_field(const product *p)
{
    return (1u << p->format.planes) - 1;
}

// How many sums of two products stay in 16 bits; 0: not even one does.
static unsigned most_pending(const product *p)
{
    return 32767 / (2 * 128 * greatest_field(p));
}

static LLVMValueRef add_pairs(const product *p, LLVMValueRef sum, LLVMValueRef pairs, int64_t by)
{
    LLVMValueRef all = vector_of(p->e, int_constant(p->e, 16, by), p->bytes / 2);
    LLVMValueRef fours = call3(p->e, "llvm.x86.avx2.pmadd.wd", pairs, all, NULL);
    return LLVMBuildAdd(p->e->builder, sum, fours, "");
}

// Fields of 8 bits: their upper bits alone.
static void madd_halves(const product *p, byte_sum *s, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef low = masked(p, x, 0x0f), high = masked(p, moved_down(p, x, 4), 0x0f);
    const char *name = "llvm.x86.avx2.pmadd.ub.sw";
    s->sum = add_pairs(p, s->sum, call3(p->e, name, low, y, NULL), 1);
    s->sum = add_pairs(p, s->sum, call3(p->e, name, high, y, NULL), 16);
}

// An addition that is not moved into a tree with others, which would wait in registers for it.
static LLVMValueRef in_order(const product *p, LLVMValueRef x)
{
    LLVMTypeRef words = words_type(p, 16), type = LLVMFunctionType(words, &words, 1, false);
    LLVMValueRef nothing =
        LLVMGetInlineAsm(type, "", 0, "=x,0", 4, false, false, LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(p->e->builder, type, nothing, &x, 1, "");
}

static void madd(const product *p, byte_sum *s, LLVMValueRef x, LLVMValueRef y)
{
    if (!most_pending(p)) {
        madd_halves(p, s, x, y);
        return;
    }
    LLVMValueRef pairs = call3(p->e, "llvm.x86.avx2.pmadd.ub.sw", x, y, NULL);
    s->partial = s->partial ? LLVMBuildAdd(p->e->builder, s->partial, pairs, "") : pairs;
    if (p->run_units)
        s->partial = in_order(p, s->partial);
    if (++s->pending == most_pending(p) && !p->run_units)
        sum_flush(p, s);
}

void sum_flush(const product *p, byte_sum *s)
{
    if (!s->pending)
        return;
    s->sum = add_pairs(p, s->sum, s->partial, p->run_units ? p->g.step : 1);
    s->partial = NULL;
    s->pending = 0;
}

// Fields of 8 bits less 128, as signed_sum knows.
static LLVMValueRef neon(const product *p, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef y)
{
    if (fields_are_signed(p))
        x = LLVMBuildXor(p->e->builder, x, splat_byte(p, 0x80), "");
    LLVMTypeRef overloads[] = {LLVMTypeOf(sum), LLVMTypeOf(x)};
    return call_intrinsic(p->e, "llvm.aarch64.neon.sdot", 2, overloads, 3,
                          (LLVMValueRef[]){sum, x, y});
}

// Entries of four tables in a register, or in four.
static LLVMValueRef look_up(const product *p, LLVMValueRef tables, LLVMValueRef index)
{
    enum { REGISTERS = 4, TABLE = 16 };
    emitter *e = p->e;
    if (e->level->lookup == LOOKUP_VBMI)
        return call3(e, "llvm.x86.avx512.permvar.qi.512", tables, index, NULL);
    LLVMValueRef operands[REGISTERS + 1] = {NULL};
    LLVMTypeRef type = byte_vector(p);
    for (unsigned r = 0; r < REGISTERS; r++) {
        LLVMValueRef from[TABLE];
        for (unsigned i = 0; i < TABLE; i++)
            from[i] = int_constant(e, 32, r * TABLE + i);
        operands[r] = LLVMBuildShuffleVector(e->builder, tables, LLVMGetPoison(LLVMTypeOf(tables)),
                                             LLVMConstVector(from, TABLE), "");
    }
    operands[REGISTERS] = index;
    return call_intrinsic(e, "llvm.aarch64.neon.tbl4", 1, &type, REGISTERS + 1, operands);
}

// Adds up fours of bytes by pairs: saddlp, sadalp.
static LLVMValueRef neon_pairs(const product *p, LLVMValueRef sum, LLVMValueRef x)
{
    LLVMTypeRef words[] = {words_type(p, 16), byte_vector(p)};
    x = call_intrinsic(p->e, "llvm.aarch64.neon.saddlp", 2, words, 1, &x);
    LLVMTypeRef lanes[] = {LLVMTypeOf(sum), words[0]};
    x = call_intrinsic(p->e, "llvm.aarch64.neon.saddlp", 2, lanes, 1, &x);
    return LLVMBuildAdd(p->e->builder, sum, x, "");
}

static LLVMValueRef add_entries(const product *p, LLVMValueRef sum, LLVMValueRef entries)
{
    switch (p->e->level->dot) {
    case DOT_VNNI: return vnni(p, sum, splat_byte(p, 1), entries);
    case DOT_NEON: return neon(p, sum, entries, splat_byte(p, 1));
    default: return neon_pairs(p, sum, entries);
    }
}

// What weights of a step are added as: entries that they ask for, or themselves.
static LLVMValueRef summand(const product *p, LLVMValueRef weights, LLVMValueRef operand)
{
    return p->form == ACTIVATION_LOOKUPS ? look_up(p, operand, weights) : weights;
}

static void add_summand(const product *p, byte_sum *s, LLVMValueRef x, LLVMValueRef operand)
{
    if (p->form == ACTIVATION_LOOKUPS) {
        s->sum = add_entries(p, s->sum, x);
        return;
    }
    switch (p->e->level->dot) {
    case DOT_VNNI: s->sum = vnni(p, s->sum, x, operand); break;
    case DOT_MADD: madd(p, s, x, operand); break;
    case DOT_NEON: s->sum = neon(p, s->sum, x, operand); break;
    case DOT_GENERIC: s->sum = generic_dot(p, s->sum, x, operand); break;
    }
}

void sum_step(const product *p, byte_sum *s, LLVMValueRef weights, LLVMValueRef operand)
{
    add_summand(p, s, summand(p, weights, operand), operand);
}

void hand_on(const product *p, LLVMValueRef *all, unsigned n)
{
    emitter *e = p->e;
    LLVMTypeRef types[PRODUCT_MOST_ROWS * PRODUCT_MOST_VECTORS];
    const char *results = "", *operands = "";
    for (unsigned i = 0; i < n; i++) {
        types[i] = LLVMTypeOf(all[i]);
        results = arena_format(e->arena, "%s=v,", results);
        operands = arena_format(e->arena, "%s%s%u", operands, i ? "," : "", i);
    }
    LLVMTypeRef together = LLVMStructTypeInContext(e->context, types, n, false);
    LLVMTypeRef type = LLVMFunctionType(together, types, n, false);
    const char *constraints = arena_format(e->arena, "%s%s", results, operands);
    LLVMValueRef nothing = LLVMGetInlineAsm(type, "", 0, constraints, strlen(constraints), false,
                                            false, LLVMInlineAsmDialectATT, false);
    LLVMValueRef x = LLVMBuildCall2(e->builder, type, nothing, all, n, "");
    for (unsigned i = 0; i < n; i++)
        all[i] = LLVMBuildExtractValue(e->builder, x, i, "");
}

void sum_steps(const product *p, byte_sum *s, LLVMValueRef *weights, LLVMValueRef operand)
{
    if (p->e->level->dot == DOT_VNNI)
        hand_on(p, weights, SUM_PAIR);
    for (unsigned i = 0; i < SUM_PAIR; i++)
        weights[i] = summand(p, weights[i], operand);
    for (unsigned i = 0; i < SUM_PAIR; i++)
        add_summand(p, &s[i], weights[i], operand);
}
