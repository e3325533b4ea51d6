// Whether what the host has computed for vectors of f32 is what softfloat would give, which raises
// nothing but inexact, and that is raised already. If not, the handler is called.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

enum { ADD_32 = INTEGER_OP(0xfe), SUBTRACT_32 = INTEGER_OP(0xfa), MOST_32 = INTEGER_OP38(0x3f) };

// ------------------------------------------------------------ elements that need care

enum { CARE_MASK = 0, CARE_MASK_OF_NEXT = MASK }; // host mask registers

// Collected, of registers of this host: first |= second, first &= ~second.
static void unite(translation *t, unsigned first, unsigned second)
{
    if (t->n->avx512)
        on_masks(t, MASK_OR, first, first, second);
    else
        on_registers(t, VECTOR_OR, first, first, second);
}

static void exclude(translation *t, unsigned first, unsigned second)
{
    if (t->n->avx512)
        on_masks(t, MASK_AND_NOT, first, second, first);
    else
        on_registers(t, VECTOR_AND_NOT, first, second, first);
}

unsigned hart_native_care(translation *t, unsigned c)
{
    if (!t->n->avx512)
        return c == 0 ? CHECK : NEXT;
    if (c >= 2) // the last two are united by the test
        unite(t, CARE_MASK, CARE_MASK_OF_NEXT);
    return c == 0 ? CARE_MASK : CARE_MASK_OF_NEXT;
}

void hart_native_note_care(translation *t, unsigned c)
{
    const unsigned mask = c == 0 ? CARE_MASK : CARE_MASK_OF_NEXT;
    if (t->partial)
        on_masks(t, MASK_AND_NOT, mask, REST_MASK + c, mask);
    if (!t->n->avx512 && c > 0)
        unite(t, CHECK, NEXT);
}

// Condition NOT_EQUAL: elements of these host vectors need care.
static void test_care(translation *t, unsigned count)
{
    if (t->n->avx512)
        on_masks(t, MASK_TEST, CARE_MASK, 0, count > 1 ? CARE_MASK_OF_NEXT : CARE_MASK);
    else
        on_registers(t, INTEGER_OP38(0x17), CHECK, 0, CHECK);
}

void hart_native_require_no_care(translation *t, hart_op *op, unsigned count)
{
    test_care(t, count);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
}

// ---------------------------------------------------------------------- the range

// Of all results: finite, or normal as well. The sign leaves when bits are doubled.
static void require_finite_avx2(translation *t, hart_op *op, results r, bool normal)
{
    enum { LEAST_HELD = 10 };
    const native_constant most = normal ? CONSTANT_NORMAL : CONSTANT_FINITE;
    if (normal)
        on_constant(t, LOAD, LEAST_HELD, 0, CONSTANT_SMALLEST);
    for (unsigned c = 0; c < r.count; c++) {
        const unsigned reg = c == 0 ? CHECK : NEXT;
        on_registers(t, ADD_32, reg, r.first + c, r.first + c);
        if (normal)
            on_registers(t, SUBTRACT_32, reg, reg, LEAST_HELD);
        if (c > 0)
            on_registers(t, MOST_32, CHECK, CHECK, NEXT);
    }
    on_constant(t, MOST_32, CHECK, CHECK, most);
    on_constant(t, COMPARE_EQUAL_32, CHECK, CHECK, most);
    on_registers(t, M0F | 0x50, RAX, 0, CHECK); // move mask
    with_immediate(t, NARROW, 7, RAX, t->width ? 0xff : 0xf);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
}

// The same. Numbers up to the smallest normal ones, and what is not finite, are next to one another
// once 1 is added to their exponents; some more is within the bits that are tested.
static void require_finite_avx512(translation *t, hart_op *op, results r, bool normal)
{
    enum { TEST_NONE = PF3 | M0F38 | 0x27, CLASSIFY = P66 | M0F3A | 0x66, NOT_FINITE = 0x99 };
    for (unsigned c = 0; c < r.count; c++) {
        const unsigned care = hart_native_care(t, c);
        if (normal) {
            on_constant(t, ADD_32, CHECK, r.first + c, CONSTANT_INCREMENT);
            on_constant(t, TEST_NONE, care, CHECK, CONSTANT_EXPONENT);
        } else {
            on_registers(t, CLASSIFY, care, 0, r.first + c);
            byte(t, NOT_FINITE);
        }
        hart_native_note_care(t, c);
    }
    hart_native_require_no_care(t, op, r.count);
}

static void require_finite(translation *t, hart_op *op, results r, bool normal)
{
    (t->n->avx512 ? require_finite_avx512 : require_finite_avx2)(t, op, r, normal);
}

void hart_native_require_range(translation *t, hart_op *op, results r, bool normal)
{
    require_finite(t, op, r, normal);
    if (!normal)
        return;
    exit_stub *e = &t->exits[t->exit_count - 1];
    e->kind = EXIT_SMALL;
    e->first = (uint8_t)r.first;
    e->count = (uint8_t)r.count;
    e->width = t->width;
    e->store = t->n->used;
}

// ------------------------------------------------------------------ small numbers

enum { MAGNITUDE = 11, OF_TWO = 12, THIRD = 13 }; // host registers

// A register for the comparison of elements, beside those for care.
static unsigned other_register(const translation *t, unsigned vector, unsigned mask)
{
    return t->n->avx512 ? mask : vector;
}

// Elements with a factor 0 of the product of which a result consists are excluded.
static void exclude_zeros(translation *t, const exit_stub *e, const vector_row *row, unsigned from,
                          unsigned c)
{
    const hart_op *op = e->op;
    const bool adds_to_rs2 = row->write == hart_native_vector_multiply_add && row->option;
    const unsigned zeros = other_register(t, THIRD, THIRD_MASK), factor = MAGNITUDE;
    on_memory(t, LOAD, factor, 0, at_v(t, adds_to_rs2 ? op->rd : op->rs2, host_bytes(t) * c));
    compare_with_constant(t, zeros, factor, CONSTANT_ZERO, IS_EQUAL);
    exclude(t, from, zeros);
    if (row->source == SOURCE_NONE)
        return;
    if (row->source == SOURCE_V)
        on_memory(t, LOAD, factor, 0, at_v(t, op->rs1, host_bytes(t) * c));
    compare_with_constant(t, zeros, row->source == SOURCE_V ? factor : SCALAR, CONSTANT_ZERO,
                          IS_EQUAL);
    exclude(t, from, zeros);
}

// The jump is taken on this condition of underflow's being raised.
static uint32_t jump_if_underflow(translation *t, unsigned condition)
{
    with_memory(t, NARROW, 0xf6, 0, RSI, offsetof(hart, fflags)); // test
    byte(t, FLAG_UNDERFLOW);
    return jump_if(t, condition);
}

// Either is taken if any results are not finite, or are small with no factor 0.
static void find_small(translation *t, const exit_stub *e, const vector_row *row,
                       uint32_t others[static 2])
{
    for (unsigned c = 0; c < e->count; c++) {
        const unsigned care = hart_native_care(t, c);
        on_constant(t, VECTOR_AND, MAGNITUDE, e->first + c, CONSTANT_MAGNITUDE);
        compare_with_constant(t, care, MAGNITUDE, CONSTANT_INFINITE, IS_NOT_LESS);
        hart_native_note_care(t, c);
    }
    test_care(t, e->count);
    others[0] = jump_if(t, NOT_EQUAL);
    const uint32_t not_raised = jump_if_underflow(t, EQUAL);
    jump_to_offset(t, e->store);
    arrive(t, not_raised);
    for (unsigned c = 0; c < e->count; c++) {
        const unsigned care = hart_native_care(t, c);
        on_constant(t, VECTOR_AND, MAGNITUDE, e->first + c, CONSTANT_MAGNITUDE);
        compare_with_constant(t, care, MAGNITUDE, CONSTANT_LEAST, IS_LESS);
        exclude_zeros(t, e, row, care, c);
        hart_native_note_care(t, c);
    }
    test_care(t, e->count);
    others[1] = jump_if(t, NOT_EQUAL);
}

void hart_native_vector_if_small(translation *t, const exit_stub *e, const vector_row *row)
{
    uint32_t others[2];
    t->width = e->width;
    find_small(t, e, row, others);
    t->width = 0;
    jump_to_offset(t, e->store);
    arrive(t, others[0]);
    arrive(t, others[1]);
}

// ------------------------------------------------------------------------- halves

void hart_native_require_half_range(translation *t, hart_op *op, results r)
{
    const unsigned zeros = other_register(t, OF_TWO, OTHER_MASK);
    for (unsigned c = 0; c < r.count; c++) {
        const unsigned care = hart_native_care(t, c);
        on_constant(t, VECTOR_AND, MAGNITUDE, r.first + c, CONSTANT_MAGNITUDE);
        compare_with_constant(t, care, MAGNITUDE, CONSTANT_HALF_MOST, IS_NOT_AT_MOST);
        hart_native_note_care(t, c);
    }
    hart_native_require_no_care(t, op, r.count);
    const uint32_t raised = jump_if_underflow(t, NOT_EQUAL);
    for (unsigned c = 0; c < r.count; c++) {
        const unsigned care = hart_native_care(t, c);
        on_constant(t, VECTOR_AND, MAGNITUDE, r.first + c, CONSTANT_MAGNITUDE);
        compare_with_constant(t, care, MAGNITUDE, CONSTANT_HALF_LEAST, IS_LESS);
        compare_with_constant(t, zeros, MAGNITUDE, CONSTANT_ZERO, IS_EQUAL);
        exclude(t, care, zeros);
        hart_native_note_care(t, c);
    }
    hart_native_require_no_care(t, op, r.count);
    arrive(t, raised);
}

#endif
