// Native code for vectors of integers: arithmetic, gathers.

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
    t->width = width_of(t, chunks);
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> t->width; c++) {
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
    t->width = width_of(t, chunks);
    if (sew == 0) {
        constant_to_rax(t, row->option ? 0xff >> count : 0xff << count & 0xff);
        hart_native_broadcast_rax(t, KEPT, 0);
    }
    for (unsigned c = 0; c < chunks >> t->width; c++) {
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
    t->width = width_of(t, chunks);
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> t->width; c++) {
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
    static const uint16_t sums[] = {INTEGER_OP(0xfd), INTEGER_OP(0xfe), INTEGER_OP(0xd4) | EVEX_W1};
    const unsigned extend = extensions[row->option & SIGNED][sew];
    hart_native_require_shape(t, op);
    t->width = width_of(t, chunks);
    for (unsigned c = 0; c < chunks >> t->width; c++) {
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
    t->width = width_of(t, chunks);
    for (unsigned c = 0; c < chunks >> t->width; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        on_memory(t, code, reg, 0, at_v(t, op->rs2, host_bytes(t) * c >> row->option));
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

// --------------------------------------------------------------------- gathers

// Bytes, from tables of few chunks, which are held in registers.
bool hart_native_vector_gather(translation *t, hart_op *op, const vector_row *row)
{
    enum { MOST_TABLES = 4, TABLE = 4, INDEX = 0, SUM, REPEATED_16_BYTES = INTEGER_OP38(0x5a) };
    const unsigned shuffle = INTEGER_OP38(0x00), add_saturating = INTEGER_OP(0xdc);
    const unsigned chunks = vector_sew(t) == 0 ? hart_native_chunks_of(t, op, row) : 0;
    const int lmul = vector_lmul(t);
    if (!chunks || chunks > MOST_TABLES || !are_apart(op->rd, lmul, op->rs1, lmul) ||
        !are_apart(op->rd, lmul, op->rs2, lmul))
        return false;
    hart_native_require_shape(t, op);
    hart_native_forget_vectors(t);
    t->width = width_of(t, chunks);
    for (unsigned k = 0; k < chunks; k++)
        on_memory(t, t->width ? REPEATED_16_BYTES : LOAD, TABLE + k, 0,
                  at_v(t, op->rs2, VECTOR_CHUNK * k));
    for (unsigned c = 0; c < chunks >> t->width; c++) {
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
