// Native code for scalar f32 and f64 arithmetic in the common case, where the host's result and no
// new flag is what the handler would give: rounding is to nearest-even, the result is in the normal
// range, and inexact is raised already or the result is exact (fast_float.h). Everything else is
// left to the handler.

#ifdef __x86_64__

#include "runtime/hart/native_x86.h"

enum { MOVE = 0x10, ROOT = 0x51, ADD = 0x58, MULTIPLY = 0x59, SUBTRACT = 0x5c, DIVIDE = 0x5e };
// Of vfmadd213ss and its like.
enum { FUSED_ADD = 0xa9, FUSED_SUBTRACT = 0xab, FUSED_NEGATED_ADD = 0xad, FUSED_NEGATED = 0xaf };

typedef struct native_float {
    bool wide; // f64
    bool fused;
    bool may_be_small; // without a flag or an error
    uint8_t code;
} native_float;

static const struct {
    uint16_t opcode;
    native_float row;
} rows[] = {
    {ISA_FADD_S, {false, false, true, ADD}},
    {ISA_FSUB_S, {false, false, true, SUBTRACT}},
    {ISA_FMUL_S, {false, false, false, MULTIPLY}},
    {ISA_FDIV_S, {false, false, false, DIVIDE}},
    {ISA_FSQRT_S, {false, false, false, ROOT}},
    {ISA_FADD_D, {true, false, true, ADD}},
    {ISA_FSUB_D, {true, false, true, SUBTRACT}},
    {ISA_FMUL_D, {true, false, false, MULTIPLY}},
    {ISA_FDIV_D, {true, false, false, DIVIDE}},
    {ISA_FSQRT_D, {true, false, false, ROOT}},
    {ISA_FMADD_S, {false, true, false, FUSED_ADD}},
    {ISA_FMSUB_S, {false, true, false, FUSED_SUBTRACT}},
    {ISA_FNMSUB_S, {false, true, false, FUSED_NEGATED_ADD}},
    {ISA_FNMADD_S, {false, true, false, FUSED_NEGATED}},
    {ISA_FMADD_D, {true, true, false, FUSED_ADD}},
    {ISA_FMSUB_D, {true, true, false, FUSED_SUBTRACT}},
    {ISA_FNMSUB_D, {true, true, false, FUSED_NEGATED_ADD}},
    {ISA_FNMADD_D, {true, true, false, FUSED_NEGATED}},
};

// Code 0: not executed here.
static native_float row_of(const isa_instruction *in)
{
    if (in->rm != ROUND_NEAREST_EVEN && in->rm != ROUND_DYNAMIC)
        return (native_float){0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].opcode == in->opcode && (!rows[i].row.fused || __builtin_cpu_supports("fma")))
            return rows[i].row;
    return (native_float){0};
}

void hart_native_require_nearest_even(translation *t, hart_op *op)
{
    with_memory(t, NARROW, 0x80, 7, RSI, offsetof(hart, frm)); // compare
    byte(t, ROUND_NEAREST_EVEN);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
}

void hart_native_require_rounding(translation *t, hart_op *op)
{
    if (op->in->rm == ROUND_DYNAMIC)
        hart_native_require_nearest_even(t, op);
}

// If inexact is not raised yet, the result must be exact.
static void inexact_or(translation *t, hart_op *op, exit_kind otherwise)
{
    with_memory(t, NARROW, 0xf6, 0, RSI, offsetof(hart, fflags)); // test
    byte(t, FLAG_INEXACT);
    hart_native_exit_if(t, EQUAL, op, otherwise);
}

void hart_native_require_inexact(translation *t, hart_op *op)
{
    inexact_or(t, op, EXIT_HANDLER);
}

void hart_native_require_box(translation *t, hart_op *op, unsigned r)
{
    if (t->boxed >> r & 1)
        return;
    with_memory(t, NARROW, 0x83, 7, RSI, at_f(r) + 4); // compare with -1
    byte(t, 0xff);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
}

// code xmm, f[r]
static void with_float(translation *t, bool wide, unsigned code, unsigned xmm, unsigned r)
{
    byte(t, wide ? 0xf2 : 0xf3);
    with_memory(t, NARROW, TWO_BYTES | code, xmm, RSI, at_f(r));
}

static void fused_with_float(translation *t, bool wide, unsigned code, unsigned r)
{
    byte(t, 0xc4);
    byte(t, 0xe2);
    byte(t, wide ? 0xf1 : 0x71); // xmm1 is the second operand
    with_memory(t, NARROW, code, 0, RSI, at_f(r));
}

// The exponent of the result in rax: not that of infinities and NaN; of small results only if
// allowed.
static void require_range(translation *t, hart_op *op, native_float row)
{
    unsigned lowest = row.may_be_small ? 0 : row.wide ? 64 : 2, highest = row.wide ? 2046 : 254;
    with_register(t, row.wide, 0x8b, R10, RAX);
    with_register(t, row.wide, 0x03, R10, RAX);
    prefixed(t, row.wide << 3 | 1, 0xc1); // shr r10
    byte(t, 0xc0 | 5 << 3 | (R10 & 7));
    byte(t, row.wide ? 53 : 24);
    if (lowest)
        with_immediate(t, NARROW, 5, R10, (int32_t)lowest);
    with_immediate(t, NARROW, 7, R10, (int32_t)(highest - lowest));
    hart_native_exit_if(t, ABOVE, op, EXIT_HANDLER);
}

// ---- exact results, in doubles: products are, sums are if both operands come out again.

// code xmm, other
static void with_double(translation *t, unsigned code, unsigned xmm, unsigned other)
{
    byte(t, 0xf2);
    with_register(t, NARROW, TWO_BYTES | code, xmm, other);
}

// xmm = f[r]
static void load_double(translation *t, unsigned xmm, unsigned r)
{
    byte(t, 0xf3);
    with_memory(t, NARROW, TWO_BYTES | 0x5a, xmm, RSI, at_f(r));
}

static uint32_t jump_if_unequal(translation *t, unsigned xmm, unsigned other)
{
    byte(t, 0x66);
    with_register(t, NARROW, TWO_BYTES | 0x2e, xmm, other);
    return jump_if(t, NOT_EQUAL);
}

// xmm3 = xmm1 + xmm2, or the difference, which must be exact.
static void add_doubles(translation *t, bool subtract, uint32_t unequal[2])
{
    with_double(t, MOVE, 3, 1);
    with_double(t, subtract ? SUBTRACT : ADD, 3, 2);
    with_double(t, MOVE, 4, subtract ? 1 : 3);
    with_double(t, SUBTRACT, 4, subtract ? 3 : 1);
    unequal[0] = jump_if_unequal(t, 4, 2);
    with_double(t, MOVE, 4, 3);
    with_double(t, subtract ? ADD : SUBTRACT, 4, 2);
    unequal[1] = jump_if_unequal(t, 4, 1);
}

void hart_native_if_exact(translation *t, const hart_op *op, uint32_t store)
{
    native_float row = row_of(op->in);
    uint32_t unequal[3];
    unsigned count = 0, result = 1;
    load_double(t, 1, op->rs1);
    load_double(t, 2, op->rs2);
    if (row.fused || row.code == MULTIPLY)
        with_double(t, MULTIPLY, 1, 2);
    if (row.fused)
        load_double(t, 2, op->rs3);
    if (row.code != MULTIPLY) {
        add_doubles(t, row.code == SUBTRACT || row.code == FUSED_SUBTRACT, unequal);
        count = 2;
        result = 3;
    }
    byte(t, 0xf3);
    with_register(t, NARROW, TWO_BYTES | 0x5a, 4, 0); // xmm4 = the result as a double
    unequal[count++] = jump_if_unequal(t, 4, result);
    jump_to_offset(t, store);
    while (count > 0)
        arrive(t, unequal[--count]);
}

// Only f32 results are proven exact here, of sums and products, and no negated ones.
static exit_kind when_exact(native_float row)
{
    switch (row.code) {
    case ADD:
    case SUBTRACT:
    case MULTIPLY:
    case FUSED_ADD:
    case FUSED_SUBTRACT: return row.wide ? EXIT_HANDLER : EXIT_EXACT;
    default: return EXIT_HANDLER;
    }
}

static void require_boxes(translation *t, hart_op *op, native_float row)
{
    hart_native_require_box(t, op, op->rs1);
    if (row.code != ROOT)
        hart_native_require_box(t, op, op->rs2);
    if (row.fused)
        hart_native_require_box(t, op, op->rs3);
}

// xmm0 = the result
static void compute(translation *t, const hart_op *op, native_float row)
{
    with_float(t, row.wide, MOVE, 0, op->rs1);
    if (row.fused) {
        with_float(t, row.wide, MOVE, 1, op->rs2);
        fused_with_float(t, row.wide, row.code, op->rs3);
    } else {
        with_float(t, row.wide, row.code, 0, row.code == ROOT ? op->rs1 : op->rs2);
    }
}

bool hart_native_write_float(translation *t, hart_op *op)
{
    const native_float row = row_of(op->in);
    if (!row.code)
        return false;
    const unsigned first = t->exit_count;
    hart_native_require_rounding(t, op);
    if (!row.wide)
        require_boxes(t, op, row);
    compute(t, op, row);
    byte(t, 0x66);
    with_register(t, row.wide, TWO_BYTES | 0x7e, 0, RAX);
    require_range(t, op, row);
    inexact_or(t, op, when_exact(row));
    for (unsigned i = first; i < t->exit_count; i++)
        t->exits[i].store = t->n->used;
    store_float(t, row.wide, op->rd);
    return true;
}

#endif
