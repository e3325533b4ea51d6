// Native code for vectors of integers that are compared, and for what masks select.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

enum { SECOND = 8 }; // host register of another operand

// --------------------------------------------------- mask registers of the host

static unsigned elements_of(const translation *t)
{
    return host_bytes(t) >> vector_sew(t);
}

// Code 0x90 loads, 0x91 stores, as many bits as a host vector has elements, or 8.
static void move_mask(translation *t, unsigned code, unsigned mask, int32_t at)
{
    const unsigned elements = elements_of(t);
    const unsigned kind = elements <= 8    ? P66 | M0F
                          : elements == 16 ? M0F
                          : elements == 32 ? P66 | M0F | W1
                                           : M0F | W1;
    vex(t, kind | code, mask, 0, false, 0, 0);
    byte(t, 0x80 | mask << 3 | RSI);
    word(t, (uint32_t)at);
}

void hart_native_load_mask(translation *t, unsigned mask, unsigned r, unsigned chunk)
{
    move_mask(t, 0x90, mask, at_v(t, r, elements_of(t) * chunk / 8));
}

void hart_native_store_mask(translation *t, unsigned mask, unsigned r, unsigned chunk)
{
    if (t->partial) {
        hart_native_load_mask(t, THIRD_MASK, r, chunk);
        on_masks(t, MASK_AND, THIRD_MASK, THIRD_MASK, REST_MASK + chunk);
        on_masks(t, MASK_AND_NOT, mask, REST_MASK + chunk, mask);
        on_masks(t, MASK_OR, mask, mask, THIRD_MASK);
    }
    const unsigned offset = elements_of(t) * chunk / 8;
    move_mask(t, 0x91, mask, at_v(t, r, offset));
    hart_native_forget_place(t, r * t->n->hart->vlenb + offset, elements_of(t) / 8);
}

// ---------------------------------------------- bits of comparisons without them

bool hart_native_bits_fit(const translation *t, unsigned chunks)
{
    const unsigned elements = chunks * VECTOR_CHUNK >> vector_sew(t);
    return elements == 8 || elements == 16;
}

void hart_native_store_bits(translation *t, unsigned r, unsigned chunks)
{
    static const uint16_t packs[] = {0, INTEGER_OP(0x63), INTEGER_OP(0x6b)}; // to half the width
    const unsigned elements = chunks * VECTOR_CHUNK >> vector_sew(t);
    for (unsigned sew = vector_sew(t); sew > 0; sew--, chunks = (chunks + 1) / 2)
        for (unsigned c = 0; c < chunks; c += 2)
            on_registers(t, packs[sew], c / 2, c, c + 1 < chunks ? c + 1 : c);
    on_registers(t, INTEGER_OP(0xd7), RAX, 0, 0); // the bytes' upper bits
    if (elements == 16)
        byte(t, 0x66);
    with_memory(t, NARROW, elements == 16 ? 0x89 : 0x88, RAX, RSI, at_v(t, r, 0));
}

void hart_native_store_wide_bits(translation *t, unsigned r, unsigned first, unsigned vectors)
{
    for (unsigned c = 0; c < vectors; c++) {
        on_registers(t, M0F | 0x50, RAX, 0, first + c); // the words' upper bits
        with_memory(t, NARROW, 0x88, RAX, RSI, at_v(t, r, c));
    }
    hart_native_forget_place(t, r * t->n->hart->vlenb, vectors);
}

// ------------------------------------------------------------------- comparisons

static bool is_apart_from_sources(const translation *t, const hart_op *op, const vector_row *row)
{
    const int lmul = vector_lmul(t);
    return are_apart(op->rd, 0, op->rs2, lmul) &&
           (row->source != SOURCE_V || are_apart(op->rd, 0, op->rs1, lmul));
}

static bool compare_avx2(translation *t, hart_op *op, const vector_row *row, unsigned chunks)
{
    enum { FIRST = 8 };
    const unsigned code = row->code[vector_sew(t)];
    const bool is_wide = vector_sew(t) == 2 && chunks > 1;
    if (!is_wide && !hart_native_bits_fit(t, chunks))
        return false;
    hart_native_require_elements(t, op);
    if (!is_wide)
        hart_native_forget_vectors(t);
    t->width = is_wide;
    hart_native_broadcast(t, op, row);
    const unsigned first = is_wide ? hart_native_take_registers(t, chunks / 2) : 0;
    for (unsigned c = 0; c < chunks >> t->width; c++) {
        const unsigned reg = first + c;
        hart_native_with_second(t, op, row, LOAD, reg, 0, c);
        if (row->option & SWAPPED)
            on_vector(t, code, reg, reg, op->rs2, c);
        else
            on_registers(t, code, reg, in_register(t, FIRST, op->rs2, c), reg);
        if (row->option & INVERTED)
            on_constant(t, VECTOR_XOR, reg, reg, CONSTANT_ONES);
    }
    if (is_wide)
        hart_native_store_wide_bits(t, op->rd, first, chunks / 2);
    else
        hart_native_store_bits(t, op->rd, chunks);
    return true;
}

static bool compare_avx512(translation *t, hart_op *op, const vector_row *row, unsigned chunks)
{
    static const uint16_t codes[] = {P66 | M0F3A | 0x3f, P66 | M0F3A | 0x3f | W1,
                                     P66 | M0F3A | 0x1f, P66 | M0F3A | 0x1f | W1};
    const unsigned sew = vector_sew(t), code = row->code[sew] & 0xff;
    const bool is_equality = code >= 0x74;
    const unsigned predicate = is_equality ? (row->option & INVERTED ? IS_NOT_EQUAL : IS_EQUAL)
                               : row->option & SWAPPED  ? IS_LESS
                               : row->option & INVERTED ? IS_AT_MOST
                                                        : IS_NOT_AT_MOST;
    const uint8_t width = width_of(t, chunks);
    if (VECTOR_CHUNK << width >> sew < 8)
        return false;
    hart_native_require_elements(t, op);
    t->width = width;
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> width; c++) {
        hart_native_with_second(t, op, row, codes[sew], MASK, in_register(t, SECOND, op->rs2, c),
                                c);
        byte(t, predicate);
        hart_native_store_mask(t, MASK, op->rd, c);
    }
    return true;
}

bool hart_native_vector_compare(translation *t, hart_op *op, const vector_row *row)
{
    const bool usual = row->code[vector_sew(t)] && op->in->vm && is_apart_from_sources(t, op, row);
    const unsigned chunks = usual ? hart_native_chunks_of_sources(t, op, row) : 0;
    if (!chunks || !(t->n->avx512 ? compare_avx512 : compare_avx2)(t, op, row, chunks))
        return false;
    hart_native_end_wide(t);
    t->held = NO_REGISTER;
    return true;
}

// ----------------------------------------------------------------------- merges

// The register gets all ones in each element of the chunk whose bit in v0 is set. Wide ones have
// elements of 32 bits.
static void load_selection(translation *t, unsigned reg, unsigned chunk)
{
    static const uint16_t equal[] = {INTEGER_OP(0x74), INTEGER_OP(0x75), COMPARE_EQUAL_32};
    const unsigned sew = vector_sew(t), first = chunk * host_bytes(t) >> sew;
    const native_constant bits = sew == 0   ? CONSTANT_BITS_8
                                 : sew == 1 ? CONSTANT_BITS_16
                                 : t->width ? CONSTANT_BITS_32_WIDE
                                            : CONSTANT_BITS_32;
    on_memory(t, hart_native_broadcasts[sew == 2 ? 2 : 1], reg, 0, at_v(t, 0, first / 8));
    if (sew == 0)
        on_constant(t, INTEGER_OP38(0x00), reg, reg, CONSTANT_SPREAD); // shuffle
    on_constant(t, VECTOR_AND, reg, reg, bits);
    on_constant(t, equal[sew], reg, reg, bits);
}

// reg = elements of the second operand where v0 is set, of the first elsewhere.
static void select(translation *t, const hart_op *op, const vector_row *row, unsigned reg,
                   unsigned c)
{
    static const uint16_t blends[] = {INTEGER_OP38(0x66), INTEGER_OP38(0x66) | W1,
                                      INTEGER_OP38(0x64), INTEGER_OP38(0x64) | W1};
    if (t->n->avx512) {
        hart_native_load_mask(t, MASK, 0, c);
        hart_native_with_second(t, op, row, blends[vector_sew(t)] | UNDER(MASK), reg,
                                in_register(t, reg, op->rs2, c), c);
    } else {
        load_selection(t, SECOND, c);
        hart_native_with_second(t, op, row, BLEND, reg, in_register(t, reg, op->rs2, c), c);
        byte(t, SECOND << 4);
    }
}

bool hart_native_vector_merge(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned sew = vector_sew(t), chunks = hart_native_chunks_of_sources(t, op, row);
    if (!chunks || (sew == 3 && !t->n->avx512) || (row->source == SOURCE_F && sew != 2) ||
        op->rd == 0 || !is_group(op->rd, vector_lmul(t)))
        return false;
    hart_native_require_elements(t, op);
    if (row->source == SOURCE_F)
        hart_native_find_nearest_even(t, op);
    t->width = t->n->avx512 || sew == 2 ? width_of(t, chunks) : 0;
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> t->width; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        select(t, op, row, reg, c);
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

#endif
