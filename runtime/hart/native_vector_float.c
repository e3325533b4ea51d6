// Native code for vectors of f32: as in vector_float_quick.c, all elements are computed by the
// host, and stored if softfloat would give the same and raise nothing but inexact, which is raised
// already. If not, the handler is called.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

enum { CHECK = 8, NEXT = 9, CONSTANT_HELD = 10 }; // host registers of checks

// Host registers of results.
typedef struct results {
    unsigned first, count;
} results;

static results take(translation *t, unsigned count)
{
    return (results){hart_native_take_registers(t, count), count};
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
    hart_native_require_elements(t, op);
    hart_native_find_nearest_even(t, op);
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

// The jump is taken if this flag is not raised.
static uint32_t jump_unless_raised(translation *t, unsigned flag)
{
    with_memory(t, NARROW, 0xf6, 0, RSI, offsetof(hart, fflags)); // test
    byte(t, flag);
    return jump_if(t, EQUAL);
}

// Of all results: finite, or normal as well. The sign leaves when bits are doubled.
static void require_finite(translation *t, hart_op *op, results r, bool normal)
{
    if (normal)
        on_constant(t, LOAD, CONSTANT_HELD, 0, CONSTANT_SMALLEST);
    for (unsigned c = 0; c < r.count; c++) {
        const unsigned reg = c == 0 ? CHECK : NEXT;
        on_registers(t, ADD_32, reg, r.first + c, r.first + c);
        hart_native_ignore_rest(t, reg, c, CONSTANT_ORDINARY);
        if (normal)
            on_registers(t, SUBTRACT_32, reg, reg, CONSTANT_HELD);
        if (c > 0)
            on_registers(t, MOST_32, CHECK, CHECK, NEXT);
    }
    require_most(t, op, normal ? CONSTANT_NORMAL : CONSTANT_FINITE);
}

// The same. Where underflow is raised already, as inexact is, numbers need not be normal.
static void require_range(translation *t, hart_op *op, results r, bool normal)
{
    if (!normal) {
        require_finite(t, op, r, false);
        return;
    }
    const uint32_t not_raised = jump_unless_raised(t, FLAG_UNDERFLOW);
    require_finite(t, op, r, false);
    const uint32_t done = jump_ahead(t);
    arrive(t, not_raised);
    require_finite(t, op, r, true);
    arrive(t, done);
    exit_stub *e = &t->exits[t->exit_count - 1];
    e->kind = EXIT_ZEROS;
    e->first = (uint8_t)r.first;
    e->store = t->n->used;
}

// A host vector of ones where the product of which a result consists has a factor 0.
static void find_zeros(translation *t, const exit_stub *e, const vector_row *row, unsigned c)
{
    enum { ZERO = CONSTANT_HELD, SECOND_IS = 12, EQUAL_TO = M0F | 0xc2 };
    const hart_op *op = e->op;
    const bool adds_to_rs2 = row->write == hart_native_vector_multiply_add && row->option;
    on_memory(t, EQUAL_TO, NEXT, ZERO, at_v(t, adds_to_rs2 ? op->rd : op->rs2, host_bytes(t) * c));
    byte(t, 0);
    if (row->source == SOURCE_NONE)
        return;
    if (row->source == SOURCE_V)
        on_memory(t, EQUAL_TO, SECOND_IS, ZERO, at_v(t, op->rs1, host_bytes(t) * c));
    else
        on_registers(t, EQUAL_TO, SECOND_IS, ZERO, SCALAR);
    byte(t, 0);
    on_registers(t, VECTOR_OR, NEXT, NEXT, SECOND_IS);
}

void hart_native_vector_if_zeros(translation *t, const exit_stub *e, const vector_row *row)
{
    enum { GOOD = 11, FINITE = 12 };
    const unsigned vectors = vectors_of(t, e->op, row);
    t->wide = is_wide(hart_native_chunks_of(t, e->op, row));
    on_registers(t, VECTOR_XOR, CONSTANT_HELD, CONSTANT_HELD, CONSTANT_HELD);
    for (unsigned c = 0; c < vectors; c++) {
        find_zeros(t, e, row, c);
        on_registers(t, ADD_32, CHECK, e->first + c, e->first + c);
        on_constant(t, MOST_32, FINITE, CHECK, CONSTANT_FINITE);
        on_constant(t, COMPARE_EQUAL_32, FINITE, FINITE, CONSTANT_FINITE);
        on_constant(t, SUBTRACT_32, CHECK, CHECK, CONSTANT_SMALLEST);
        on_constant(t, MOST_32, CHECK, CHECK, CONSTANT_NORMAL);
        on_constant(t, COMPARE_EQUAL_32, CHECK, CHECK, CONSTANT_NORMAL);
        on_registers(t, VECTOR_OR, CHECK, CHECK, NEXT);
        on_registers(t, VECTOR_AND, c == 0 ? GOOD : CHECK, CHECK, FINITE);
        hart_native_ignore_rest(t, c == 0 ? GOOD : CHECK, c, CONSTANT_ONES);
        if (c > 0)
            on_registers(t, VECTOR_AND, GOOD, GOOD, CHECK);
    }
    on_registers(t, M0F | 0x50, RAX, 0, GOOD); // move mask
    with_immediate(t, NARROW, 7, RAX, t->wide ? 0xff : 0xf);
    t->wide = false;
    const uint32_t others = jump_if(t, NOT_EQUAL);
    jump_to_offset(t, e->store);
    arrive(t, others);
}

static void store_results(translation *t, const hart_op *op, results r)
{
    for (unsigned c = 0; c < r.count; c++)
        store_held(t, r.first + c, op->rd, c);
    hart_native_end_wide(t);
}

// Result c of `code` with operands in this order, or in the other one.
static void compute(translation *t, const hart_op *op, const vector_row *row, unsigned reg,
                    unsigned c)
{
    const unsigned code = row->code[2];
    if (row->source == SOURCE_NONE) {
        on_vector(t, code, reg, 0, op->rs2, c);
    } else if (row->option) {
        on_vector(t, code, reg, SCALAR, op->rs2, c);
    } else {
        const unsigned first = in_register(t, reg, op->rs2, c);
        hart_native_with_second(t, op, row, code, reg, first, c);
    }
}

// All results, not stored yet. None: nothing was emitted.
static results compute_all(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned vectors = vectors_of(t, op, row);
    if (!vectors)
        return (results){0};
    begin(t, op, row);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < r.count; c++)
        compute(t, op, row, r.first + c, c);
    return r;
}

static bool write_computed(translation *t, hart_op *op, const vector_row *row, bool normal)
{
    const results r = compute_all(t, op, row);
    if (!r.count)
        return false;
    require_range(t, op, r, normal);
    store_results(t, op, r);
    return true;
}

// Integers, whose conversion is always right.
bool hart_native_vector_from_integer(translation *t, hart_op *op, const vector_row *row)
{
    const results r = compute_all(t, op, row);
    if (r.count)
        store_results(t, op, r);
    return r.count;
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
    hart_native_find_nearest_even(t, op);
    t->wide = is_wide(chunks);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++)
        on_memory(t, row->code[1], r.first + c, 0, at_v(t, op->rs2, host_bytes(t) / 2 * c));
    require_range(t, op, r, false);
    store_results(t, op, r);
    return true;
}

// Of f32 in host vectors that are not stored yet: as f16 they are zero or normal, or may be less as
// underflow is raised already.
static void require_half_range(translation *t, hart_op *op, results r)
{
    enum { LEAST_32 = INTEGER_OP38(0x3b), LOWER = 11 };
    on_constant(t, LOAD, CONSTANT_HELD, 0, CONSTANT_ONES);
    for (unsigned c = 0; c < r.count; c++) {
        const unsigned reg = c == 0 ? CHECK : NEXT;
        on_registers(t, ADD_32, reg, r.first + c, r.first + c);
        on_registers(t, ADD_32, c == 0 ? LOWER : 12, reg, CONSTANT_HELD); // less 1
        if (c > 0) {
            on_registers(t, MOST_32, CHECK, CHECK, NEXT);
            on_registers(t, LEAST_32, LOWER, LOWER, 12);
        }
    }
    require_most(t, op, CONSTANT_HALF_MOST);
    with_memory(t, NARROW, 0xf6, 0, RSI, offsetof(hart, fflags)); // test
    byte(t, FLAG_UNDERFLOW);
    const uint32_t raised = jump_if(t, NOT_EQUAL);
    on_constant(t, MOST_32, CHECK, LOWER, CONSTANT_HALF_LEAST);
    on_registers(t, COMPARE_EQUAL_32, CHECK, CHECK, LOWER);
    on_registers(t, M0F | 0x50, RAX, 0, CHECK); // move mask
    with_immediate(t, NARROW, 7, RAX, 0xff);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
    arrive(t, raised);
}

// Wide host vectors of a group of f32 that goes with one of f16; 0: not here.
static unsigned vectors_of_halves(const translation *t, const hart_op *op)
{
    const unsigned chunks = hart_native_chunks(t, vector_lmul(t) + 1);
    const bool good = chunks > 1 && chunks / 2 <= MOST_RESULTS && vector_sew(t) == 1 &&
                      op->in->vm && __builtin_cpu_supports("f16c");
    return good ? chunks / 2 : 0;
}

// To nearest-even, whatever the host's mode.
bool hart_native_vector_to_half(translation *t, hart_op *op, const vector_row *row)
{
    const int lmul = vector_lmul(t);
    const unsigned vectors = vectors_of_halves(t, op);
    if (!vectors || !is_group(op->rd, lmul) || !is_group(op->rs2, lmul + 1) ||
        !(op->rd == op->rs2 || are_apart(op->rd, lmul, op->rs2, lmul + 1)))
        return false;
    hart_native_require_shape(t, op);
    hart_native_find_nearest_even(t, op);
    hart_native_require_inexact(t, op);
    t->wide = true;
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++)
        load(t, r.first + c, op->rs2, c);
    require_half_range(t, op, r);
    for (unsigned c = 0; c < vectors; c++) {
        on_memory(t, row->code[1], r.first + c, 0, at_v(t, op->rd, VECTOR_CHUNK * c));
        byte(t, 0);
    }
    hart_native_forget_place(t, place_of(t, op->rd, 0), VECTOR_CHUNK * vectors);
    hart_native_end_wide(t);
    return true;
}

// f32 and halves, which become f32 exactly.
bool hart_native_vector_half_sum(translation *t, hart_op *op, const vector_row *row)
{
    enum { FROM_HALF = INTEGER_OP38(0x13), ADDEND = 11 };
    const int lmul = vector_lmul(t);
    const unsigned vectors = vectors_of_halves(t, op);
    if (!vectors || !is_group(op->rd, lmul + 1) || !is_group(op->rs2, lmul + 1) ||
        !is_group(op->rs1, lmul) || !are_apart(op->rd, lmul + 1, op->rs1, lmul))
        return false;
    hart_native_require_shape(t, op);
    hart_native_find_nearest_even(t, op);
    hart_native_require_inexact(t, op);
    t->wide = true;
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        const unsigned first = in_register(t, r.first + c, op->rs2, c);
        on_memory(t, FROM_HALF, ADDEND, 0, at_v(t, op->rs1, VECTOR_CHUNK * c));
        on_registers(t, row->code[1], r.first + c, first, ADDEND);
    }
    require_range(t, op, r, false);
    store_results(t, op, r);
    return true;
}

// Option: what becomes of the sign of the second operand; code takes it, or its inverse.
bool hart_native_vector_sign(translation *t, hart_op *op, const vector_row *row)
{
    enum { B = 11, WITHOUT = INTEGER_OP(0xdf) };
    const unsigned vectors = vectors_of(t, op, row);
    if (!vectors)
        return false;
    begin_exact(t, op, row);
    on_constant(t, LOAD, CONSTANT_HELD, 0, CONSTANT_LOWEST);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        const unsigned reg = r.first + c;
        hart_native_with_second(t, op, row, LOAD, B, 0, c);
        on_registers(t, row->code[2], B, B, CONSTANT_HELD);
        if (row->option == SIGN_XOR) {
            on_vector(t, VECTOR_XOR, reg, B, op->rs2, c);
        } else {
            on_vector(t, WITHOUT, reg, CONSTANT_HELD, op->rs2, c);
            on_registers(t, VECTOR_OR, reg, reg, B);
        }
    }
    store_results(t, op, r);
    return true;
}

// The larger magnitude of each pair is neither zero, which has two signs, nor that of NaN.
bool hart_native_vector_extreme(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned vectors = vectors_of(t, op, row), a = 11, b = 12;
    if (!vectors)
        return false;
    begin_exact(t, op, row);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        load(t, a, op->rs2, c);
        hart_native_with_second(t, op, row, LOAD, b, 0, c);
        on_registers(t, row->code[2], r.first + c, a, b);
        on_registers(t, ADD_32, a, a, a);
        on_registers(t, ADD_32, b, b, b);
        on_registers(t, MOST_32, a, a, b);
        on_constant(t, SUBTRACT_32, c == 0 ? CHECK : NEXT, a, CONSTANT_TWOS);
        hart_native_ignore_rest(t, c == 0 ? CHECK : NEXT, c, CONSTANT_ORDINARY);
        if (c > 0)
            on_registers(t, MOST_32, CHECK, CHECK, NEXT);
    }
    require_most(t, op, CONSTANT_FINITE);
    store_results(t, op, r);
    return true;
}

// reg = the integer that orders f32 as numbers, and back.
static void order_as_integer(translation *t, unsigned reg, unsigned from)
{
    enum { SHIFT_32 = INTEGER_OP(0x72), RIGHT = 2, RIGHT_SIGNED = 4, BITS = 12 };
    on_registers(t, SHIFT_32, RIGHT_SIGNED, BITS, from);
    byte(t, 31);
    on_registers(t, SHIFT_32, RIGHT, BITS, BITS);
    byte(t, 1);
    on_registers(t, VECTOR_XOR, reg, from, BITS);
}

// Element 0 of rs1 and all of rs2, none of which is NaN.
bool hart_native_vector_extreme_of_all(translation *t, hart_op *op, const vector_row *row)
{
    enum { SUM = 11, OTHER = 12, ELEMENT = 13, UPPER_HALF = P66 | M0F3A | 0x39 };
    enum { MIX = P66 | M0F | 0x70, SWAP_PAIRS = 0x4e, SWAP = 0xb1, STORE_WORD = P66 | M0F | 0x7e };
    const int lmul = vector_lmul(t);
    const unsigned chunks = vector_sew(t) == 2 ? hart_native_chunks(t, lmul) : 0;
    const unsigned code = row->code[2];
    if (!is_wide(chunks) || !op->in->vm || !is_group(op->rs2, lmul))
        return false;
    hart_native_require_shape(t, op);
    hart_native_find_nearest_even(t, op);
    t->wide = true;
    on_memory(t, hart_native_broadcasts[2], ELEMENT, 0, at_v(t, op->rs1, 0));
    on_registers(t, ADD_32, CHECK, ELEMENT, ELEMENT);
    order_as_integer(t, SUM, ELEMENT);
    for (unsigned c = 0; c < chunks / 2; c++) {
        const unsigned x = in_register(t, ELEMENT, op->rs2, c);
        on_registers(t, ADD_32, NEXT, x, x);
        on_registers(t, MOST_32, CHECK, CHECK, NEXT);
        order_as_integer(t, NEXT, x);
        on_registers(t, code, SUM, SUM, NEXT);
    }
    require_most(t, op, CONSTANT_INFINITE);
    on_registers(t, UPPER_HALF, SUM, 0, OTHER);
    byte(t, 1);
    hart_native_end_wide(t);
    on_registers(t, code, SUM, SUM, OTHER);
    for (unsigned i = 0; i < 2; i++) {
        on_registers(t, MIX, OTHER, 0, SUM);
        byte(t, i == 0 ? SWAP_PAIRS : SWAP);
        on_registers(t, code, SUM, SUM, OTHER);
    }
    order_as_integer(t, SUM, SUM);
    on_memory(t, STORE_WORD, SUM, 0, at_v(t, op->rd, 0));
    hart_native_forget_place(t, op->rd * t->n->hart->vlenb, 4);
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
    const unsigned vectors = __builtin_cpu_supports("fma") ? vectors_of(t, op, row) : 0;
    if (!vectors)
        return false;
    const unsigned factor = 11;
    begin(t, op, row);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        load(t, r.first + c, op->rd, c);
        if (row->option) { // d * b + a
            const unsigned b =
                row->source == SOURCE_V ? in_register(t, factor, op->rs1, c) : SCALAR;
            on_vector(t, row->code[2], r.first + c, b, op->rs2, c);
        } else { // a * b + d
            const unsigned a = in_register(t, factor, op->rs2, c);
            hart_native_with_second(t, op, row, row->code[2], r.first + c, a, c);
        }
    }
    require_range(t, op, r, true);
    store_results(t, op, r);
    return true;
}

// The host gives the lowest integer where there is no other.
bool hart_native_vector_to_integer(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned vectors = vectors_of(t, op, row);
    if (!vectors)
        return false;
    begin(t, op, row);
    on_constant(t, LOAD, CONSTANT_HELD, 0, CONSTANT_LOWEST);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        compute(t, op, row, r.first + c, c);
        on_registers(t, COMPARE_EQUAL_32, c == 0 ? CHECK : NEXT, r.first + c, CONSTANT_HELD);
        if (c > 0)
            on_registers(t, VECTOR_OR, CHECK, CHECK, NEXT);
    }
    on_registers(t, INTEGER_OP38(0x17), CHECK, 0, CHECK); // test
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
    store_results(t, op, r);
    return true;
}

// Option: the host's predicate.
bool hart_native_vector_float_compare(translation *t, hart_op *op, const vector_row *row)
{
    enum { UNORDERED = 3 };
    const unsigned vectors = vectors_of(t, op, row), a = 11;
    const int lmul = vector_lmul(t);
    if (!vectors || !is_wide(hart_native_chunks_of(t, op, row)) ||
        !are_apart(op->rd, 0, op->rs2, lmul) ||
        (row->source == SOURCE_V && !are_apart(op->rd, 0, op->rs1, lmul)))
        return false;
    begin_exact(t, op, row);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        const unsigned first = in_register(t, a, op->rs2, c);
        hart_native_with_second(t, op, row, row->code[2], r.first + c, first, c);
        byte(t, row->option);
        hart_native_with_second(t, op, row, row->code[2], c == 0 ? CHECK : NEXT, first, c);
        byte(t, UNORDERED);
        if (c > 0)
            on_registers(t, VECTOR_OR, CHECK, CHECK, NEXT);
    }
    on_registers(t, INTEGER_OP38(0x17), CHECK, 0, CHECK);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
    hart_native_store_wide_mask(t, op->rd, r.first, vectors);
    t->held = NO_REGISTER;
    return true;
}

#endif
