// Native code for vectors of f32: as in vector_float_quick.c, all elements are computed by the
// host, and stored if softfloat would give the same and raise nothing but inexact, which is raised
// already. If not, the handler is called.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

enum { CONSTANT_HELD = 10, OPERAND = 11, OTHER = 12 }; // host registers

static results take(translation *t, unsigned count)
{
    return (results){hart_native_take_registers(t, count), count};
}

// Host vectors of results, in registers; of f32, unmasked, and so on.
static unsigned vectors_of(const translation *t, const hart_op *op, const vector_row *row)
{
    const unsigned chunks = vector_sew(t) == 2 ? hart_native_chunks_of(t, op, row) : 0;
    const unsigned vectors = chunks >> width_of(t, chunks);
    return vectors <= MOST_RESULTS ? vectors : 0;
}

static void begin_exact(translation *t, hart_op *op, const vector_row *row)
{
    hart_native_require_elements(t, op);
    hart_native_find_nearest_even(t, op);
    t->width = width_of(t, hart_native_chunks_of(t, op, row));
    hart_native_broadcast(t, op, row);
}

static void begin(translation *t, hart_op *op, const vector_row *row)
{
    begin_exact(t, op, row);
    hart_native_require_inexact(t, op);
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
    hart_native_require_range(t, op, r, normal);
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
    const unsigned chunks = hart_native_chunks(t, lmul + 1),
                   vectors = chunks >> width_of(t, chunks);
    if (!vectors || vectors > MOST_RESULTS || vector_sew(t) != 1 || !op->in->vm ||
        !__builtin_cpu_supports("f16c") || !is_group(op->rd, lmul + 1) ||
        !is_group(op->rs2, lmul) || !are_apart(op->rd, lmul + 1, op->rs2, lmul))
        return false;
    hart_native_find_nearest_even(t, op);
    hart_native_require_shape(t, op);
    t->width = width_of(t, chunks);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++)
        on_memory(t, row->code[1], r.first + c, 0, at_v(t, op->rs2, host_bytes(t) / 2 * c));
    hart_native_require_range(t, op, r, false);
    store_results(t, op, r);
    return true;
}

// Chunks of a group of f32 that goes with one of f16, of a chunk or more; 0: not here.
static unsigned chunks_of_halves(const translation *t, const hart_op *op)
{
    const unsigned chunks = hart_native_chunks(t, vector_lmul(t) + 1);
    const bool good = chunks > 1 && chunks >> width_of(t, chunks) <= MOST_RESULTS &&
                      vector_sew(t) == 1 && op->in->vm && __builtin_cpu_supports("f16c");
    return good ? chunks : 0;
}

// Host vectors of f32 become halves, in one register for two of them, to nearest-even, whatever
// the host's mode.
static void store_halves(translation *t, const hart_op *op, unsigned code, results r)
{
    static const unsigned insert_upper[] = {0, P66 | M0F3A | 0x38, P66 | M0F3A | 0x3a | EVEX_W1};
    const uint8_t width = t->width;
    for (unsigned c = 0; c < r.count; c++) {
        const bool is_upper = c % 2;
        const unsigned reg = r.first + c / 2;
        on_registers(t, code, r.first + c, 0, is_upper ? OTHER : reg);
        byte(t, 0);
        if (is_upper) {
            on_registers(t, insert_upper[width], reg, reg, OTHER);
            byte(t, 1);
        }
    }
    t->vectors.dirty |= width > 0;
    if (r.count > 1)
        store_results(t, op, (results){r.first, r.count / 2});
    else
        t->width--, store(t, r.first, op->rd, 0);
    hart_native_end_wide(t);
}

bool hart_native_vector_to_half(translation *t, hart_op *op, const vector_row *row)
{
    const int lmul = vector_lmul(t);
    const unsigned chunks = chunks_of_halves(t, op);
    if (!chunks || !is_group(op->rd, lmul) || !is_group(op->rs2, lmul + 1) ||
        !(op->rd == op->rs2 || are_apart(op->rd, lmul, op->rs2, lmul + 1)))
        return false;
    hart_native_find_nearest_even(t, op);
    hart_native_require_shape(t, op);
    hart_native_require_inexact(t, op);
    t->width = width_of(t, chunks);
    const results r = take(t, chunks >> t->width);
    for (unsigned c = 0; c < r.count; c++)
        load(t, r.first + c, op->rs2, c);
    hart_native_require_half_range(t, op, r);
    store_halves(t, op, row->code[1], r);
    return true;
}

// f32 and halves, which become f32 exactly.
bool hart_native_vector_half_sum(translation *t, hart_op *op, const vector_row *row)
{
    enum { FROM_HALF = INTEGER_OP38(0x13) };
    const int lmul = vector_lmul(t);
    const unsigned chunks = chunks_of_halves(t, op);
    if (!chunks || !is_group(op->rd, lmul + 1) || !is_group(op->rs2, lmul + 1) ||
        !is_group(op->rs1, lmul) || !are_apart(op->rd, lmul + 1, op->rs1, lmul))
        return false;
    hart_native_find_nearest_even(t, op);
    hart_native_require_shape(t, op);
    hart_native_require_inexact(t, op);
    t->width = width_of(t, chunks);
    const results r = take(t, chunks >> t->width);
    for (unsigned c = 0; c < r.count; c++) {
        const unsigned first = in_register(t, r.first + c, op->rs2, c);
        on_memory(t, FROM_HALF, OPERAND, 0, at_v(t, op->rs1, host_bytes(t) / 2 * c));
        on_registers(t, row->code[1], r.first + c, first, OPERAND);
    }
    hart_native_require_range(t, op, r, false);
    store_results(t, op, r);
    return true;
}

// Option: what becomes of the sign of the second operand; code takes it, or its inverse.
bool hart_native_vector_sign(translation *t, hart_op *op, const vector_row *row)
{
    enum { B = OPERAND };
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
            on_vector(t, VECTOR_AND_NOT, reg, CONSTANT_HELD, op->rs2, c);
            on_registers(t, VECTOR_OR, reg, reg, B);
        }
    }
    store_results(t, op, r);
    return true;
}

// Of each pair none is NaN, and not both are zero, which has two signs: the sum of their magnitudes
// is more than zero.
bool hart_native_vector_extreme(translation *t, hart_op *op, const vector_row *row)
{
    enum { MAGNITUDE = 13, ADD = M0F | 0x58 };
    const unsigned vectors = vectors_of(t, op, row);
    if (!vectors)
        return false;
    begin_exact(t, op, row);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        const unsigned a = in_register(t, OPERAND, op->rs2, c), care = hart_native_care(t, c);
        const unsigned b = row->source == SOURCE_V ? in_register(t, OTHER, op->rs1, c) : SCALAR;
        on_registers(t, row->code[2], r.first + c, a, b);
        on_constant(t, VECTOR_AND, MAGNITUDE, a, CONSTANT_MAGNITUDE);
        on_constant(t, VECTOR_AND, OTHER, b, CONSTANT_MAGNITUDE);
        on_registers(t, ADD, MAGNITUDE, MAGNITUDE, OTHER);
        compare_with_constant(t, care, MAGNITUDE, CONSTANT_ZERO, IS_NOT_MORE);
        hart_native_note_care(t, c);
    }
    hart_native_require_no_care(t, op, vectors);
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

static void care_for_nan(translation *t, unsigned reg, unsigned c)
{
    on_registers(t, COMPARE_FLOATS, hart_native_care(t, c), reg, reg);
    byte(t, IS_UNORDERED);
    hart_native_note_care(t, c);
}

// Element 0 of reg becomes the extreme of all.
static void reduce(translation *t, unsigned code, unsigned reg)
{
    enum { MIX = P66 | M0F | 0x70, SWAP_PAIRS = 0x4e, SWAP = 0xb1 };
    static const unsigned upper_half[] = {0, P66 | M0F3A | 0x39, P66 | M0F3A | 0x3b | EVEX_W1};
    for (; t->width > 0; t->width--) {
        on_registers(t, upper_half[t->width], reg, 0, OTHER);
        byte(t, 1);
        on_registers(t, code, reg, reg, OTHER);
    }
    for (unsigned i = 0; i < 2; i++) {
        on_registers(t, MIX, OTHER, 0, reg);
        byte(t, i == 0 ? SWAP_PAIRS : SWAP);
        on_registers(t, code, reg, reg, OTHER);
    }
}

// Element 0 of rs1 and all of rs2, none of which is NaN.
bool hart_native_vector_extreme_of_all(translation *t, hart_op *op, const vector_row *row)
{
    enum { MOST = OPERAND, ELEMENT = 13, ORDERED = 14, STORE_WORD = P66 | M0F | 0x7e };
    const int lmul = vector_lmul(t);
    const unsigned chunks = vector_sew(t) == 2 ? hart_native_chunks(t, lmul) : 0;
    const unsigned code = row->code[2], vectors = chunks >> width_of(t, chunks);
    if (chunks < 2 || !op->in->vm || !is_group(op->rs2, lmul))
        return false;
    hart_native_find_nearest_even(t, op);
    hart_native_require_shape(t, op);
    t->width = width_of(t, chunks);
    on_memory(t, hart_native_broadcasts[2], ELEMENT, 0, at_v(t, op->rs1, 0));
    care_for_nan(t, ELEMENT, 0);
    order_as_integer(t, MOST, ELEMENT);
    for (unsigned c = 0; c < vectors; c++) {
        const unsigned x = in_register(t, ELEMENT, op->rs2, c);
        care_for_nan(t, x, c + 1);
        order_as_integer(t, ORDERED, x);
        on_registers(t, code, MOST, MOST, ORDERED);
    }
    hart_native_require_no_care(t, op, vectors + 1);
    t->vectors.dirty = true;
    reduce(t, code, MOST);
    order_as_integer(t, MOST, MOST);
    on_memory(t, STORE_WORD, MOST, 0, at_v(t, op->rd, 0));
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
    begin(t, op, row);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        load(t, r.first + c, op->rd, c);
        if (row->option) { // d * b + a
            const unsigned b =
                row->source == SOURCE_V ? in_register(t, OPERAND, op->rs1, c) : SCALAR;
            on_vector(t, row->code[2], r.first + c, b, op->rs2, c);
        } else { // a * b + d
            const unsigned a = in_register(t, OPERAND, op->rs2, c);
            hart_native_with_second(t, op, row, row->code[2], r.first + c, a, c);
        }
    }
    hart_native_require_range(t, op, r, true);
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
        on_registers(t, COMPARE_EQUAL_32, hart_native_care(t, c), r.first + c, CONSTANT_HELD);
        hart_native_note_care(t, c);
    }
    hart_native_require_no_care(t, op, vectors);
    store_results(t, op, r);
    return true;
}

// Option: the host's predicate.
bool hart_native_vector_float_compare(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned vectors = vectors_of(t, op, row);
    const int lmul = vector_lmul(t);
    if (!vectors || hart_native_chunks(t, lmul) < 2 || !are_apart(op->rd, 0, op->rs2, lmul) ||
        (row->source == SOURCE_V && !are_apart(op->rd, 0, op->rs1, lmul)))
        return false;
    begin_exact(t, op, row);
    for (unsigned c = 0; c < vectors; c++) {
        const unsigned a = in_register(t, OPERAND, op->rs2, c), care = hart_native_care(t, c);
        hart_native_with_second(t, op, row, COMPARE_FLOATS, care, a, c);
        byte(t, IS_UNORDERED);
        hart_native_note_care(t, c);
    }
    hart_native_require_no_care(t, op, vectors);
    const results r = take(t, vectors);
    for (unsigned c = 0; c < vectors; c++) {
        const unsigned a = in_register(t, OPERAND, op->rs2, c);
        const unsigned found = t->n->avx512 ? MASK : r.first + c;
        hart_native_with_second(t, op, row, COMPARE_FLOATS, found, a, c);
        byte(t, row->option);
        if (t->n->avx512)
            hart_native_store_mask(t, found, op->rd, c);
    }
    if (!t->n->avx512)
        hart_native_store_wide_bits(t, op->rd, r.first, vectors);
    hart_native_end_wide(t);
    t->held = NO_REGISTER;
    return true;
}

#endif
