// Native code for scalar floats where nothing is computed: sign injection from one register,
// comparisons, moves, and conversions. What NaN, flags or rounding make special is left to the
// handler.

#ifdef __x86_64__

#include "runtime/hart/native_x86.h"

typedef struct move_row move_row;
typedef bool move_form(translation *t, hart_op *op, const move_row *row);

struct move_row {
    move_form *write; // false: nothing written, as in native_x86.h
    bool wide;        // the float has 64 bits
    uint8_t code;
    bool wide_integer;
    bool rounds; // as rm says, with inexact raised at times
};

// A prefix byte, then code xmm or reg, [rsi + offset]
static void with_prefix(translation *t, unsigned prefix, unsigned wide, unsigned code, unsigned reg,
                        int32_t offset)
{
    if (prefix)
        byte(t, prefix);
    with_memory(t, wide, TWO_BYTES | code, reg, RSI, offset);
}

static unsigned scalar_prefix(const move_row *row)
{
    return row->wide ? 0xf2 : 0xf3;
}

// rax = xmm0
static void take_result(translation *t, bool wide)
{
    byte(t, 0x66);
    with_register(t, wide, TWO_BYTES | 0x7e, 0, RAX);
}

enum { COPY, SIGN_COMPLEMENT = 7, SIGN_RESET = 6 }; // of bt and its like

// fmv, fneg and fabs.
static bool write_sign(translation *t, hart_op *op, const move_row *row)
{
    if (op->rs1 != op->rs2)
        return false;
    if (!row->wide)
        hart_native_require_box(t, op, op->rs1);
    with_memory(t, WIDE, 0x8b, RAX, RSI, at_f(op->rs1));
    if (row->code != COPY) {
        with_register(t, WIDE, TWO_BYTES | 0xba, row->code, RAX);
        byte(t, row->wide ? 63 : 31);
    }
    store_float(t, true, op->rd);
    if (!row->wide)
        t->boxed |= 1u << op->rd;
    return true;
}

// Conditions hold of the second operand compared with the first.
static bool write_compare(translation *t, hart_op *op, const move_row *row)
{
    if (op->rd == 0)
        return false;
    if (!row->wide) {
        hart_native_require_box(t, op, op->rs1);
        hart_native_require_box(t, op, op->rs2);
    }
    with_prefix(t, scalar_prefix(row), NARROW, 0x10, 0, at_f(op->rs2)); // mov
    with_prefix(t, row->wide ? 0x66 : 0, NARROW, 0x2e, 0, at_f(op->rs1));
    hart_native_exit_if(t, PARITY, op, EXIT_HANDLER);
    store_condition(t, op, row->code);
    return true;
}

static bool write_from_bits(translation *t, hart_op *op, const move_row *row)
{
    load_rax(t, op->rs1);
    if (!row->wide)
        with_register(t, NARROW, 0x8b, RAX, RAX);
    store_float(t, row->wide, op->rd);
    return true;
}

static bool write_to_bits(translation *t, hart_op *op, const move_row *row)
{
    if (op->rd == 0)
        return false;
    with_memory(t, WIDE, row->wide ? 0x8b : 0x63, RAX, RSI, at_f(op->rs1));
    store_rd(t, op);
    return true;
}

static bool is_nearest_even(const hart_op *op)
{
    return op->in->rm == ROUND_NEAREST_EVEN || op->in->rm == ROUND_DYNAMIC;
}

// Every f32 but NaN.
static bool write_widen(translation *t, hart_op *op, const move_row *row)
{
    if (!is_nearest_even(op))
        return false;
    hart_native_require_rounding(t, op);
    hart_native_require_box(t, op, op->rs1);
    with_prefix(t, 0xf3, NARROW, row->code, 0, at_f(op->rs1));
    byte(t, 0x66);
    with_register(t, NARROW, TWO_BYTES | 0x2e, 0, 0);
    hart_native_exit_if(t, PARITY, op, EXIT_HANDLER);
    take_result(t, true);
    store_float(t, true, op->rd);
    return true;
}

// Code 1: unsigned ones of 32 bits, as signed ones of 64.
static bool write_from_integer(translation *t, hart_op *op, const move_row *row)
{
    if (!is_nearest_even(op))
        return false;
    hart_native_require_rounding(t, op);
    if (row->rounds)
        hart_native_require_inexact(t, op);
    if (row->code)
        with_memory(t, NARROW, 0x8b, RAX, RSI, at_x(op->rs1));
    else
        with_memory(t, WIDE, row->wide_integer ? 0x8b : 0x63, RAX, RSI, at_x(op->rs1));
    byte(t, scalar_prefix(row));
    with_register(t, WIDE, TWO_BYTES | 0x2a, 0, RAX);
    take_result(t, row->wide);
    store_float(t, row->wide, op->rd);
    return true;
}

// The host gives the lowest integer where there is no other.
static bool write_to_integer(translation *t, hart_op *op, const move_row *row)
{
    const bool truncates = op->in->rm == ROUND_TOWARD_ZERO;
    if (op->rd == 0 || (!truncates && !is_nearest_even(op)))
        return false;
    if (!truncates)
        hart_native_require_rounding(t, op);
    hart_native_require_inexact(t, op);
    if (!row->wide)
        hart_native_require_box(t, op, op->rs1);
    with_prefix(t, scalar_prefix(row), row->wide_integer, truncates ? 0x2c : 0x2d, RAX,
                at_f(op->rs1));
    with_register(t, row->wide_integer, 0x8b, R10, RAX);
    with_immediate(t, row->wide_integer, 5, R10, 1);
    hart_native_exit_if(t, OVERFLOW, op, EXIT_HANDLER);
    if (!row->wide_integer)
        sign_extend_rax(t);
    store_rd(t, op);
    return true;
}

static const move_row rows[ISA_OPCODE_COUNT] = {
    [ISA_FSGNJ_S] = {write_sign, false, COPY},
    [ISA_FSGNJN_S] = {write_sign, false, SIGN_COMPLEMENT},
    [ISA_FSGNJX_S] = {write_sign, false, SIGN_RESET},
    [ISA_FSGNJ_D] = {write_sign, true, COPY},
    [ISA_FSGNJN_D] = {write_sign, true, SIGN_COMPLEMENT},
    [ISA_FSGNJX_D] = {write_sign, true, SIGN_RESET},
    [ISA_FEQ_S] = {write_compare, false, EQUAL},
    [ISA_FLT_S] = {write_compare, false, ABOVE},
    [ISA_FLE_S] = {write_compare, false, ABOVE_EQUAL},
    [ISA_FEQ_D] = {write_compare, true, EQUAL},
    [ISA_FLT_D] = {write_compare, true, ABOVE},
    [ISA_FLE_D] = {write_compare, true, ABOVE_EQUAL},
    [ISA_FMV_W_X] = {write_from_bits, false},
    [ISA_FMV_D_X] = {write_from_bits, true},
    [ISA_FMV_X_W] = {write_to_bits, false},
    [ISA_FMV_X_D] = {write_to_bits, true},
    [ISA_FCVT_D_S] = {write_widen, true, 0x5a},
    [ISA_FCVT_S_W] = {write_from_integer, .rounds = true},
    [ISA_FCVT_S_WU] = {write_from_integer, .code = 1, .rounds = true},
    [ISA_FCVT_S_L] = {write_from_integer, .wide_integer = true, .rounds = true},
    [ISA_FCVT_D_W] = {write_from_integer, .wide = true},
    [ISA_FCVT_D_WU] = {write_from_integer, .wide = true, .code = 1},
    [ISA_FCVT_D_L] = {write_from_integer, .wide = true, .wide_integer = true, .rounds = true},
    [ISA_FCVT_W_S] = {write_to_integer},
    [ISA_FCVT_L_S] = {write_to_integer, .wide_integer = true},
    [ISA_FCVT_W_D] = {write_to_integer, .wide = true},
    [ISA_FCVT_L_D] = {write_to_integer, .wide = true, .wide_integer = true},
};

bool hart_native_write_move(translation *t, hart_op *op)
{
    const move_row *row = &rows[op->in->opcode];
    return row->write && row->write(t, op, row);
}

#endif
