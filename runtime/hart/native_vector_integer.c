// Native code for vectors of integers: arithmetic, comparisons and what masks select, gathers.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

enum { SECOND = 8 }; // host register of another operand

// ------------------------------------------------------------------- integers

bool hart_native_vector_binary(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned code = row->code[vector_sew(t)], chunks = hart_native_chunks_of(t, op, row);
    if (!chunks || !code)
        return false;
    hart_native_require_elements(t, op);
    t->wide = is_wide(chunks);
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> t->wide; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        if (row->option) { // the other way round, with one for all
            on_vector(t, code, reg, SCALAR, op->rs2, c);
        } else {
            const unsigned first = in_register(t, reg, op->rs2, c);
            hart_native_with_second(t, op, row, code, reg, first, c);
        }
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

// SCALAR = the count of a shift, modulo the width.
static void load_count(translation *t, const hart_op *op, const vector_row *row)
{
    const int32_t most = (8 << vector_sew(t)) - 1;
    if (row->source == SOURCE_I) {
        constant_to_rax(t, op->in->imm & most);
    } else {
        load_x(t, RAX, op->rs1);
        with_immediate(t, NARROW, 4, RAX, most);
    }
    on_registers(t, MOVE_FROM_RAX, SCALAR, 0, RAX);
    t->held = NO_REGISTER;
}

// Bytes are shifted in pairs; option: what is left of the bits of each.
bool hart_native_vector_shift(translation *t, hart_op *op, const vector_row *row)
{
    enum { KEPT = 14 };
    const unsigned sew = vector_sew(t), code = row->code[sew],
                   chunks = hart_native_chunks_of(t, op, row), count = (unsigned)op->in->imm & 7;
    if (!chunks || !code || (sew == 0 && row->source != SOURCE_I))
        return false;
    hart_native_require_elements(t, op);
    load_count(t, op, row);
    t->wide = is_wide(chunks);
    if (sew == 0) {
        constant_to_rax(t, row->option ? 0xff >> count : 0xff << count & 0xff);
        hart_native_broadcast_rax(t, KEPT, 0);
    }
    for (unsigned c = 0; c < chunks >> t->wide; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        on_registers(t, code, reg, in_register(t, reg, op->rs2, c), SCALAR);
        if (sew == 0)
            on_registers(t, VECTOR_AND, reg, reg, KEPT);
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

bool hart_native_vector_fused(translation *t, hart_op *op, const vector_row *row)
{
    static const uint16_t sums[][4] = {{0, INTEGER_OP(0xfd), INTEGER_OP(0xfe)},
                                       {0, INTEGER_OP(0xf9), INTEGER_OP(0xfa)}};
    const unsigned sew = vector_sew(t), chunks = hart_native_chunks_of(t, op, row);
    if (!chunks || !row->code[sew])
        return false;
    const unsigned factor = row->option & TO_PRODUCT ? op->rd : op->rs2,
                   addend = row->option & TO_PRODUCT ? op->rs2 : op->rd;
    hart_native_require_elements(t, op);
    t->wide = is_wide(chunks);
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> t->wide; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        hart_native_with_second(t, op, row, row->code[sew], reg, in_register(t, reg, factor, c), c);
        on_registers(t, sums[row->option & SUBTRACTED ? 1 : 0][sew], reg,
                     in_register(t, SECOND, addend, c), reg);
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

// By the narrow SEW, to twice that.
static const uint16_t extensions[][4] = {
    {INTEGER_OP38(0x30), INTEGER_OP38(0x33), INTEGER_OP38(0x35)},
    {INTEGER_OP38(0x20), INTEGER_OP38(0x23), INTEGER_OP38(0x25)},
};

bool hart_native_vector_widening(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned sew = vector_sew(t), code = row->code[sew];
    const int lmul = vector_lmul(t);
    const unsigned chunks = hart_native_chunks(t, lmul + 1);
    if (!chunks || !op->in->vm || !code || !is_group(op->rd, lmul + 1) ||
        !is_group(op->rs1, lmul) || !is_group(op->rs2, lmul) ||
        !are_apart(op->rd, lmul + 1, op->rs1, lmul) || !are_apart(op->rd, lmul + 1, op->rs2, lmul))
        return false;
    static const uint16_t sums[] = {INTEGER_OP(0xfd), INTEGER_OP(0xfe), INTEGER_OP(0xd4)};
    const unsigned extend = extensions[row->option & SIGNED][sew];
    hart_native_require_shape(t, op);
    t->wide = is_wide(chunks);
    for (unsigned c = 0; c < chunks >> t->wide; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        on_memory(t, extend, reg, 0, at_v(t, op->rs2, host_bytes(t) / 2 * c));
        on_memory(t, extend, SECOND, 0, at_v(t, op->rs1, host_bytes(t) / 2 * c));
        on_registers(t, code, reg, reg, SECOND);
        if (row->option & ACCUMULATES)
            on_vector(t, sums[sew], reg, reg, op->rd, c);
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

// Option: log2 of how many times wider the elements of the result are; code by their SEW.
bool hart_native_vector_extension(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned code = row->code[vector_sew(t)];
    const int lmul = vector_lmul(t), from = lmul - row->option;
    const unsigned chunks = hart_native_chunks(t, lmul);
    if (!chunks || !op->in->vm || !code || !is_group(op->rd, lmul) || !is_group(op->rs2, from) ||
        !are_apart(op->rd, lmul, op->rs2, from))
        return false;
    hart_native_require_shape(t, op);
    t->wide = is_wide(chunks);
    for (unsigned c = 0; c < chunks >> t->wide; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        on_memory(t, code, reg, 0, at_v(t, op->rs2, host_bytes(t) * c >> row->option));
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

// ----------------------------------------------------------------------- masks

bool hart_native_mask_fits(const translation *t, unsigned chunks)
{
    const unsigned elements = chunks * VECTOR_CHUNK >> vector_sew(t);
    return elements == 8 || elements == 16;
}

void hart_native_store_mask(translation *t, unsigned r, unsigned chunks)
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

// Bits of rax behind vl become those in memory.
static void keep_rest_of_bits(translation *t, int32_t at, unsigned chunk)
{
    const unsigned mask = hart_native_rest_mask(t, chunk);
    byte(t, 0xc5), byte(t, 0xfb), byte(t, 0x93), byte(t, 0xc0 | RCX << 3 | mask); // kmovd ecx
    with_memory(t, NARROW, TWO_BYTES | 0xb6, R10, RSI, at);
    with_register(t, NARROW, 0x33, R10, RAX); // xor
    with_register(t, NARROW, 0x23, R10, RCX); // and
    with_register(t, NARROW, 0x33, RAX, R10);
}

void hart_native_store_wide_mask(translation *t, unsigned r, unsigned first, unsigned vectors)
{
    for (unsigned c = 0; c < vectors; c++) {
        on_registers(t, M0F | 0x50, RAX, 0, first + c); // the words' upper bits
        if (t->partial)
            keep_rest_of_bits(t, at_v(t, r, c), c);
        with_memory(t, NARROW, 0x88, RAX, RSI, at_v(t, r, c));
    }
    hart_native_forget_place(t, r * t->n->hart->vlenb, vectors);
    hart_native_end_wide(t);
}

bool hart_native_vector_compare(translation *t, hart_op *op, const vector_row *row)
{
    enum { FIRST = 8 };
    const unsigned code = row->code[vector_sew(t)];
    const int lmul = vector_lmul(t);
    const unsigned chunks = code && op->in->vm ? hart_native_chunks_of_sources(t, op, row) : 0;
    const bool wide = vector_sew(t) == 2 && is_wide(chunks);
    if (!chunks || !(wide || hart_native_mask_fits(t, chunks)) ||
        !are_apart(op->rd, 0, op->rs2, lmul) ||
        (row->source == SOURCE_V && !are_apart(op->rd, 0, op->rs1, lmul)))
        return false;
    if (wide) {
        hart_native_require_elements(t, op);
    } else {
        hart_native_require_shape(t, op);
        hart_native_forget_vectors(t);
    }
    t->wide = wide;
    hart_native_broadcast(t, op, row);
    const unsigned first = wide ? hart_native_take_registers(t, chunks / 2) : 0;
    for (unsigned c = 0; c < chunks >> wide; c++) {
        const unsigned reg = first + c;
        hart_native_with_second(t, op, row, LOAD, reg, 0, c);
        if (row->option & SWAPPED)
            on_vector(t, code, reg, reg, op->rs2, c);
        else
            on_registers(t, code, reg, in_register(t, FIRST, op->rs2, c), reg);
        if (row->option & INVERTED)
            on_constant(t, VECTOR_XOR, reg, reg, CONSTANT_ONES);
    }
    if (wide)
        hart_native_store_wide_mask(t, op->rd, first, chunks / 2);
    else
        hart_native_store_mask(t, op->rd, chunks);
    t->held = NO_REGISTER;
    return true;
}

// The register gets all ones in each element of the chunk whose bit in v0 is set. Wide ones have
// elements of 32 bits.
static void load_selection(translation *t, unsigned reg, unsigned chunk)
{
    static const uint16_t equal[] = {INTEGER_OP(0x74), INTEGER_OP(0x75), COMPARE_EQUAL_32};
    const unsigned sew = vector_sew(t), first = chunk * host_bytes(t) >> sew;
    const native_constant bits = sew == 0   ? CONSTANT_BITS_8
                                 : sew == 1 ? CONSTANT_BITS_16
                                 : t->wide  ? CONSTANT_BITS_32_WIDE
                                            : CONSTANT_BITS_32;
    on_memory(t, hart_native_broadcasts[sew == 2 ? 2 : 1], reg, 0, at_v(t, 0, first / 8));
    if (sew == 0)
        on_constant(t, INTEGER_OP38(0x00), reg, reg, CONSTANT_SPREAD); // shuffle
    on_constant(t, VECTOR_AND, reg, reg, bits);
    on_constant(t, equal[sew], reg, reg, bits);
}

bool hart_native_vector_merge(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned sew = vector_sew(t), chunks = hart_native_chunks_of_sources(t, op, row);
    if (!chunks || sew == 3 || (row->source == SOURCE_F && sew != 2) || op->rd == 0 ||
        !is_group(op->rd, vector_lmul(t)))
        return false;
    hart_native_require_elements(t, op);
    if (row->source == SOURCE_F)
        hart_native_find_nearest_even(t, op);
    t->wide = sew == 2 && is_wide(chunks);
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> t->wide; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        load_selection(t, SECOND, c);
        const unsigned first = in_register(t, reg, op->rs2, c);
        hart_native_with_second(t, op, row, P66 | M0F3A | 0x4c, reg, first, c); // blend
        byte(t, SECOND << 4);
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

// --------------------------------------------------------------------- gathers

// Bytes, from tables of few chunks, which are held in registers.
bool hart_native_vector_gather(translation *t, hart_op *op, const vector_row *row)
{
    enum { MOST_TABLES = 4, TABLE = 4, INDEX = 0, SUM, NEXT, TWICE_16_BYTES = INTEGER_OP38(0x5a) };
    const unsigned shuffle = INTEGER_OP38(0x00), add_saturating = INTEGER_OP(0xdc);
    const unsigned chunks = vector_sew(t) == 0 ? hart_native_chunks_of(t, op, row) : 0;
    const int lmul = vector_lmul(t);
    if (!chunks || chunks > MOST_TABLES || !are_apart(op->rd, lmul, op->rs1, lmul) ||
        !are_apart(op->rd, lmul, op->rs2, lmul))
        return false;
    hart_native_require_shape(t, op);
    hart_native_forget_vectors(t);
    t->wide = is_wide(chunks);
    for (unsigned k = 0; k < chunks; k++)
        on_memory(t, t->wide ? TWICE_16_BYTES : LOAD, TABLE + k, 0,
                  at_v(t, op->rs2, VECTOR_CHUNK * k));
    for (unsigned c = 0; c < chunks >> t->wide; c++) {
        load(t, INDEX, op->rs1, c);
        for (unsigned k = 0; k < chunks; k++) {
            on_constant(t, add_saturating, NEXT, INDEX, CONSTANT_SHUFFLE_END);
            on_registers(t, shuffle, k == 0 ? SUM : NEXT, TABLE + k, NEXT);
            if (k > 0)
                on_registers(t, VECTOR_OR, SUM, SUM, NEXT);
            if (k + 1 < chunks)
                on_constant(t, INTEGER_OP(0xf8), INDEX, INDEX, CONSTANT_TABLE); // subtract
        }
        store(t, SUM, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

#endif
