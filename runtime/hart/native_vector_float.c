// Native code for vectors of f32: as in vector_float_quick.c, all elements are computed by the
// host, and stored if softfloat would give the same and raise nothing but inexact, which is raised
// already. If not, the handler is called.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

enum { CHECK = 8, NEXT = 9, CONSTANT_HELD = 10 }; // host registers of checks

static bool is_wide(unsigned chunks)
{
    return chunks > 1; // they are powers of two
}

// Host vectors of results, in registers; of f32, unmasked, and so on.
static unsigned vectors_of(const translation *t, const hart_op *op, const vector_row *row)
{
    const unsigned chunks = vector_sew(t) == 2 ? hart_native_chunks_of(t, op, row) : 0;
    const unsigned vectors = chunks >> is_wide(chunks);
    return vectors <= MOST_RESULTS ? vectors : 0;
}

static void begin_exact(translation *t, hart_op *op, const vector_row *row)
{
    hart_native_require_shape(t, op);
    hart_native_require_nearest_even(t, op);
    t->wide = is_wide(hart_native_chunks_of(t, op, row));
    hart_native_broadcast(t, op, row);
}

static void begin(translation *t, hart_op *op, const vector_row *row)
{
    begin_exact(t, op, row);
    hart_native_require_inexact(t, op);
}

enum { ADD_32 = INTEGER_OP(0xfe), SUBTRACT_32 = INTEGER_OP(0xfa), MOST_32 = INTEGER_OP38(0x3f) };

// The handler is called unless all elements of CHECK are at most those of the constant.
static void require_most(translation *t, hart_op *op, native_constant limit)
{
    on_constant(t, MOST_32, CHECK, CHECK, limit);
    on_constant(t, COMPARE_EQUAL_32, CHECK, CHECK, limit);
    on_registers(t, M0F | 0x50, RAX, 0, CHECK); // move mask
    with_immediate(t, NARROW, 7, RAX, t->wide ? 0xff : 0xf);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
}

// Of all results: finite or, if that is asked for, normal. The sign leaves when bits are doubled.
static void require_range(translation *t, hart_op *op, unsigned chunks, bool normal)
{
    if (normal)
        on_constant(t, LOAD, CONSTANT_HELD, 0, CONSTANT_SMALLEST);
    for (unsigned c = 0; c < chunks; c++) {
        const unsigned reg = c == 0 ? CHECK : NEXT;
        on_registers(t, ADD_32, reg, c, c);
        if (normal)
            on_registers(t, SUBTRACT_32, reg, reg, CONSTANT_HELD);
        if (c > 0)
            on_registers(t, MOST_32, CHECK, CHECK, NEXT);
    }
    require_most(t, op, normal ? CONSTANT_NORMAL : CONSTANT_FINITE);
}

// Upper halves of host vectors are left clean, for code that knows none of them.
static void end_wide(translation *t)
{
    if (!t->wide)
        return;
    byte(t, 0xc5), byte(t, 0xf8), byte(t, 0x77); // vzeroupper
    t->wide = false;
}

static void store_results(translation *t, const hart_op *op, unsigned chunks)
{
    for (unsigned c = 0; c < chunks; c++)
        on_memory(t, STORE, c, 0, at_v(t, op->rd, host_bytes(t) * c));
    end_wide(t);
}

// Result c of `code` with operands in this order, or in the other one.
static void compute(translation *t, const hart_op *op, const vector_row *row, unsigned c)
{
    const unsigned code = row->code[2];
    if (row->source == SOURCE_NONE) {
        on_memory(t, code, c, 0, at_v(t, op->rs2, host_bytes(t) * c));
    } else if (row->option) {
        on_memory(t, code, c, SCALAR, at_v(t, op->rs2, host_bytes(t) * c));
    } else {
        on_memory(t, LOAD, c, 0, at_v(t, op->rs2, host_bytes(t) * c));
        hart_native_with_second(t, op, row, code, c, c, c);
    }
}

// All results, not stored yet: the number of chunks. 0: nothing was emitted.
static unsigned compute_all(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned chunks = vectors_of(t, op, row);
    if (chunks)
        begin(t, op, row);
    for (unsigned c = 0; c < chunks; c++)
        compute(t, op, row, c);
    return chunks;
}

static bool write_computed(translation *t, hart_op *op, const vector_row *row, bool normal)
{
    const unsigned chunks = compute_all(t, op, row);
    if (!chunks)
        return false;
    require_range(t, op, chunks, normal);
    store_results(t, op, chunks);
    return true;
}

// Integers, whose conversion is always right.
bool hart_native_vector_from_integer(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned chunks = compute_all(t, op, row);
    if (chunks)
        store_results(t, op, chunks);
    return chunks;
}

// Halves become f32 exactly, but NaN.
bool hart_native_vector_from_half(translation *t, hart_op *op, const vector_row *row)
{
    const int lmul = vector_lmul(t);
    const unsigned chunks = hart_native_chunks(t, lmul + 1), vectors = chunks >> is_wide(chunks);
    if (!vectors || vectors > MOST_RESULTS || vector_sew(t) != 1 || !op->in->vm ||
        !__builtin_cpu_supports("f16c") || !is_group(op->rd, lmul + 1) ||
        !is_group(op->rs2, lmul) || !are_apart(op->rd, lmul + 1, op->rs2, lmul))
        return false;
    hart_native_require_shape(t, op);
    hart_native_require_nearest_even(t, op);
    t->wide = is_wide(chunks);
    for (unsigned c = 0; c < vectors; c++)
        on_memory(t, row->code[1], c, 0, at_v(t, op->rs2, host_bytes(t) / 2 * c));
    require_range(t, op, vectors, false);
    store_results(t, op, vectors);
    return true;
}

// The larger magnitude of each pair is neither zero, which has two signs, nor that of NaN.
bool hart_native_vector_extreme(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned chunks = vectors_of(t, op, row), a = 11, b = 12;
    if (!chunks)
        return false;
    begin_exact(t, op, row);
    for (unsigned c = 0; c < chunks; c++) {
        on_memory(t, LOAD, a, 0, at_v(t, op->rs2, host_bytes(t) * c));
        hart_native_with_second(t, op, row, LOAD, b, 0, c);
        on_registers(t, row->code[2], c, a, b);
        on_registers(t, ADD_32, a, a, a);
        on_registers(t, ADD_32, b, b, b);
        on_registers(t, MOST_32, a, a, b);
        on_constant(t, SUBTRACT_32, c == 0 ? CHECK : NEXT, a, CONSTANT_TWOS);
        if (c > 0)
            on_registers(t, MOST_32, CHECK, CHECK, NEXT);
    }
    require_most(t, op, CONSTANT_FINITE);
    store_results(t, op, chunks);
    return true;
}

bool hart_native_vector_sum(translation *t, hart_op *op, const vector_row *row)
{
    return write_computed(t, op, row, false);
}

bool hart_native_vector_product(translation *t, hart_op *op, const vector_row *row)
{
    return write_computed(t, op, row, true);
}

// Option 0: d is the addend, or else a factor.
bool hart_native_vector_multiply_add(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned chunks = __builtin_cpu_supports("fma") ? vectors_of(t, op, row) : 0;
    if (!chunks)
        return false;
    const unsigned factor = 11;
    begin(t, op, row);
    for (unsigned c = 0; c < chunks; c++) {
        on_memory(t, LOAD, c, 0, at_v(t, op->rd, host_bytes(t) * c));
        if (row->option) { // d * b + a
            hart_native_with_second(t, op, row, LOAD, factor, 0, c);
            on_memory(t, row->code[2], c, factor, at_v(t, op->rs2, host_bytes(t) * c));
        } else { // a * b + d
            on_memory(t, LOAD, factor, 0, at_v(t, op->rs2, host_bytes(t) * c));
            hart_native_with_second(t, op, row, row->code[2], c, factor, c);
        }
    }
    require_range(t, op, chunks, true);
    store_results(t, op, chunks);
    return true;
}

// The host gives the lowest integer where there is no other.
bool hart_native_vector_to_integer(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned chunks = vectors_of(t, op, row);
    if (!chunks)
        return false;
    begin(t, op, row);
    on_constant(t, LOAD, CONSTANT_HELD, 0, CONSTANT_LOWEST);
    for (unsigned c = 0; c < chunks; c++) {
        compute(t, op, row, c);
        on_registers(t, COMPARE_EQUAL_32, c == 0 ? CHECK : NEXT, c, CONSTANT_HELD);
        if (c > 0)
            on_registers(t, VECTOR_OR, CHECK, CHECK, NEXT);
    }
    on_registers(t, INTEGER_OP38(0x17), CHECK, 0, CHECK); // test
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
    store_results(t, op, chunks);
    return true;
}

// Option: the host's predicate.
bool hart_native_vector_float_compare(translation *t, hart_op *op, const vector_row *row)
{
    enum { UNORDERED = 3 };
    const unsigned chunks = vector_sew(t) == 2 ? hart_native_chunks_of(t, op, row) : 0, a = 11;
    const int lmul = vector_lmul(t);
    if (!chunks || chunks > MOST_RESULTS || !hart_native_mask_fits(t, chunks) ||
        !are_apart(op->rd, 0, op->rs2, lmul) ||
        (row->source == SOURCE_V && !are_apart(op->rd, 0, op->rs1, lmul)))
        return false;
    begin_exact(t, op, row);
    t->wide = false; // masks are made of chunks
    for (unsigned c = 0; c < chunks; c++) {
        on_memory(t, LOAD, a, 0, at_v(t, op->rs2, host_bytes(t) * c));
        hart_native_with_second(t, op, row, row->code[2], c, a, c);
        byte(t, row->option);
        hart_native_with_second(t, op, row, row->code[2], c == 0 ? CHECK : NEXT, a, c);
        byte(t, UNORDERED);
        if (c > 0)
            on_registers(t, VECTOR_OR, CHECK, CHECK, NEXT);
    }
    on_registers(t, INTEGER_OP38(0x17), CHECK, 0, CHECK);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
    hart_native_store_mask(t, op->rd, chunks);
    t->held = NO_REGISTER;
    return true;
}

#endif
