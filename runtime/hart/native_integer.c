// Scalar integer instructions, loads and stores in native code: rows of instructions, and how each
// form of them is written.

#ifdef __x86_64__

#include "runtime/hart/native_x86.h"

#include <stdlib.h>

typedef enum native_form {
    FORM_NONE,       // not here
    FORM_REGISTER,   // code rax, x[rs2]
    FORM_REGISTER_W, // the same in 32 bits
    FORM_IMMEDIATE,  // operation rax, value
    FORM_IMMEDIATE_W,
    FORM_SHIFT, // shift by x[rs2]
    FORM_SHIFT_W,
    FORM_SHIFT_I,
    FORM_SHIFT_IW,
    FORM_SET, // condition on x[rs2]
    FORM_SET_I,
    FORM_CONSTANT,
    FORM_SHIFT_ADD, // (x[rs1] << code) + x[rs2]
    FORM_SHIFT_ADD_UW,
    FORM_EXTEND, // code rax, x[rs1]
    FORM_BIT,    // code rax, bit x[rs2]
    FORM_BIT_I,
    FORM_BIT_TEST, // is it set
    FORM_BIT_TEST_I,
    FORM_SHIFT_UW, // of 32 bits, zero-extended
    FORM_SELECT,   // x[rs2] on condition, compared with x[rs1]
    FORM_INVERTED, // code rax, ~x[rs2]
    FORM_ZERO,     // 0 if x[rs2] compares so with 0
    FORM_HIGH,     // of the product
    FORM_LOAD,
    FORM_STORE,
    FORM_LOAD_FLOAT,
    FORM_STORE_FLOAT,
    FORM_NOTHING,
    FORM_PREFETCH,
} native_form;

typedef struct native_row {
    uint8_t form, wide;
    uint16_t code;
} native_row;

static const native_row rows[ISA_OPCODE_COUNT] = {
    [ISA_ADD] = {FORM_REGISTER, WIDE, 0x03},
    [ISA_SUB] = {FORM_REGISTER, WIDE, 0x2b},
    [ISA_AND] = {FORM_REGISTER, WIDE, 0x23},
    [ISA_OR] = {FORM_REGISTER, WIDE, 0x0b},
    [ISA_XOR] = {FORM_REGISTER, WIDE, 0x33},
    [ISA_MUL] = {FORM_REGISTER, WIDE, TWO_BYTES | 0xaf},
    [ISA_ADDW] = {FORM_REGISTER_W, NARROW, 0x03},
    [ISA_SUBW] = {FORM_REGISTER_W, NARROW, 0x2b},
    [ISA_MULW] = {FORM_REGISTER_W, NARROW, TWO_BYTES | 0xaf},
    [ISA_ADDI] = {FORM_IMMEDIATE, WIDE, 0},
    [ISA_ORI] = {FORM_IMMEDIATE, WIDE, 1},
    [ISA_ANDI] = {FORM_IMMEDIATE, WIDE, 4},
    [ISA_XORI] = {FORM_IMMEDIATE, WIDE, 6},
    [ISA_ADDIW] = {FORM_IMMEDIATE_W, NARROW, 0},
    [ISA_SLL] = {FORM_SHIFT, WIDE, 4},
    [ISA_SRL] = {FORM_SHIFT, WIDE, 5},
    [ISA_SRA] = {FORM_SHIFT, WIDE, 7},
    [ISA_ROL] = {FORM_SHIFT, WIDE, 0},
    [ISA_ROR] = {FORM_SHIFT, WIDE, 1},
    [ISA_SLLW] = {FORM_SHIFT_W, NARROW, 4},
    [ISA_SRLW] = {FORM_SHIFT_W, NARROW, 5},
    [ISA_SRAW] = {FORM_SHIFT_W, NARROW, 7},
    [ISA_ROLW] = {FORM_SHIFT_W, NARROW, 0},
    [ISA_RORW] = {FORM_SHIFT_W, NARROW, 1},
    [ISA_SLLI] = {FORM_SHIFT_I, WIDE, 4},
    [ISA_SRLI] = {FORM_SHIFT_I, WIDE, 5},
    [ISA_SRAI] = {FORM_SHIFT_I, WIDE, 7},
    [ISA_RORI] = {FORM_SHIFT_I, WIDE, 1},
    [ISA_SLLIW] = {FORM_SHIFT_IW, NARROW, 4},
    [ISA_SRLIW] = {FORM_SHIFT_IW, NARROW, 5},
    [ISA_SRAIW] = {FORM_SHIFT_IW, NARROW, 7},
    [ISA_RORIW] = {FORM_SHIFT_IW, NARROW, 1},
    [ISA_SLT] = {FORM_SET, WIDE, LESS},
    [ISA_SLTU] = {FORM_SET, WIDE, BELOW},
    [ISA_SLTI] = {FORM_SET_I, WIDE, LESS},
    [ISA_SLTIU] = {FORM_SET_I, WIDE, BELOW},
    [ISA_LUI] = {FORM_CONSTANT},
    [ISA_AUIPC] = {FORM_CONSTANT},
    [ISA_SH1ADD] = {FORM_SHIFT_ADD, WIDE, 1},
    [ISA_SH2ADD] = {FORM_SHIFT_ADD, WIDE, 2},
    [ISA_SH3ADD] = {FORM_SHIFT_ADD, WIDE, 3},
    [ISA_ADD_UW] = {FORM_SHIFT_ADD_UW, WIDE, 0},
    [ISA_SH1ADD_UW] = {FORM_SHIFT_ADD_UW, WIDE, 1},
    [ISA_SH2ADD_UW] = {FORM_SHIFT_ADD_UW, WIDE, 2},
    [ISA_SH3ADD_UW] = {FORM_SHIFT_ADD_UW, WIDE, 3},
    [ISA_SEXT_B] = {FORM_EXTEND, WIDE, TWO_BYTES | 0xbe},
    [ISA_SEXT_H] = {FORM_EXTEND, WIDE, TWO_BYTES | 0xbf},
    [ISA_ZEXT_H] = {FORM_EXTEND, NARROW, TWO_BYTES | 0xb7},
    [ISA_SLLI_UW] = {FORM_SHIFT_UW, WIDE, 4},
    [ISA_BSET] = {FORM_BIT, WIDE, TWO_BYTES | 0xab},
    [ISA_BCLR] = {FORM_BIT, WIDE, TWO_BYTES | 0xb3},
    [ISA_BINV] = {FORM_BIT, WIDE, TWO_BYTES | 0xbb},
    [ISA_BSETI] = {FORM_BIT_I, WIDE, 5},
    [ISA_BCLRI] = {FORM_BIT_I, WIDE, 6},
    [ISA_BINVI] = {FORM_BIT_I, WIDE, 7},
    [ISA_BEXT] = {FORM_BIT_TEST, WIDE, TWO_BYTES | 0xa3},
    [ISA_BEXTI] = {FORM_BIT_TEST_I, WIDE, 4},
    [ISA_MAX] = {FORM_SELECT, WIDE, LESS},
    [ISA_MIN] = {FORM_SELECT, WIDE, GREATER},
    [ISA_MAXU] = {FORM_SELECT, WIDE, BELOW},
    [ISA_MINU] = {FORM_SELECT, WIDE, ABOVE},
    [ISA_ANDN] = {FORM_INVERTED, WIDE, 0x23},
    [ISA_ORN] = {FORM_INVERTED, WIDE, 0x0b},
    [ISA_XNOR] = {FORM_INVERTED, WIDE, 0x33},
    [ISA_CZERO_EQZ] = {FORM_ZERO, WIDE, EQUAL},
    [ISA_CZERO_NEZ] = {FORM_ZERO, WIDE, NOT_EQUAL},
    [ISA_MULHU] = {FORM_HIGH, WIDE, 4},
    [ISA_MULH] = {FORM_HIGH, WIDE, 5},
    [ISA_LB] = {FORM_LOAD, WIDE, TWO_BYTES | 0xbe},
    [ISA_LH] = {FORM_LOAD, WIDE, TWO_BYTES | 0xbf},
    [ISA_LW] = {FORM_LOAD, WIDE, 0x63},
    [ISA_LD] = {FORM_LOAD, WIDE, 0x8b},
    [ISA_LBU] = {FORM_LOAD, NARROW, TWO_BYTES | 0xb6},
    [ISA_LHU] = {FORM_LOAD, NARROW, TWO_BYTES | 0xb7},
    [ISA_LWU] = {FORM_LOAD, NARROW, 0x8b},
    [ISA_SB] = {FORM_STORE, NARROW, 0x88},
    [ISA_SH] = {FORM_STORE, NARROW, 0x6689},
    [ISA_SW] = {FORM_STORE, NARROW, 0x89},
    [ISA_SD] = {FORM_STORE, WIDE, 0x89},
    [ISA_FLW] = {FORM_LOAD_FLOAT, NARROW, 0x8b},
    [ISA_FLD] = {FORM_LOAD_FLOAT, WIDE, 0x8b},
    [ISA_FSW] = {FORM_STORE_FLOAT, NARROW, 0x89},
    [ISA_FSD] = {FORM_STORE_FLOAT, WIDE, 0x89},
    [ISA_PREFETCH_I] = {FORM_NOTHING},
    [ISA_PREFETCH_R] = {FORM_PREFETCH},
    [ISA_PREFETCH_W] = {FORM_NOTHING},
};

// ---- memory

static void add_site(translation *t, const hart_op *op, uint32_t otherwise)
{
    hart_native *n = t->n;
    if (n->site_count == n->site_capacity) {
        n->site_capacity = n->site_capacity ? 2 * n->site_capacity : 1024;
        n->sites = realloc(n->sites, n->site_capacity * sizeof *n->sites);
        if (!n->sites)
            INTERNAL_ERROR("out of memory");
    }
    n->sites[n->site_count++] = (site){n->used, otherwise, op};
}

void hart_native_site(translation *t, const hart_op *op)
{
    add_site(t, op, 0);
}

void hart_native_trying_site(translation *t, const hart_op *op)
{
    add_site(t, op, t->exits[t->exit_count - 1].from);
}

void hart_native_address(translation *t, hart_op *op, int64_t offset)
{
    if (t->held == op->rs1)
        with_register(t, WIDE, 0x8b, R10, RAX);
    else
        load_x(t, R10, op->rs1);
    if (offset)
        with_immediate(t, WIDE, 0, R10, (int32_t)offset);
    with_register(t, WIDE, 0x3b, R10, R8);
    hart_native_exit_if(t, ABOVE_EQUAL, op, EXIT_BAD_ACCESS);
}

// Hosts' prefetches never fault either; those beyond the guest's memory are left out, as in runs.
void hart_native_write_prefetch(translation *t, unsigned rs1, int64_t offset, uint32_t bytes)
{
    enum { LINE = 64 };
    load_x(t, R10, rs1);
    if (offset)
        with_immediate(t, WIDE, 0, R10, (int32_t)offset);
    with_register(t, WIDE, 0x3b, R10, R8);
    const uint32_t beyond = jump_if(t, ABOVE_EQUAL);
    for (uint32_t i = 0; i < bytes; i += LINE) { // prefetcht0 [rdx + r10 + i]
        prefixed(t, 2, TWO_BYTES | 0x18);
        byte(t, 0x80 | 1 << 3 | 4);
        byte(t, (R10 & 7) << 3 | RDX);
        word(t, i);
    }
    arrive(t, beyond);
}

static void write_load(translation *t, hart_op *op, native_row row)
{
    hart_native_address(t, op, op->value);
    hart_native_site(t, op);
    with_guest(t, row.wide, row.code, RAX);
    store_rd(t, op);
}

static void write_load_float(translation *t, hart_op *op, native_row row)
{
    hart_native_address(t, op, op->value);
    hart_native_site(t, op);
    with_guest(t, row.wide, row.code, RAX);
    store_float(t, row.wide, op->rd);
}

static void write_store(translation *t, hart_op *op, native_row row)
{
    hart_native_address(t, op, op->value);
    if (row.form == FORM_STORE_FLOAT) {
        with_memory(t, WIDE, 0x8b, RAX, RSI, at_f(op->rs2));
        t->held = NO_REGISTER;
    } else {
        load_rax(t, op->rs2);
    }
    hart_native_site(t, op);
    if (row.code >> 8 == 0x66)
        byte(t, 0x66);
    with_guest(t, row.wide, row.code & 0xff, RAX);
}

// ---- arithmetic

static void write_high(translation *t, const hart_op *op, unsigned operation)
{
    load_rax(t, op->rs1);
    with_register(t, WIDE, 0x8b, R10, RDX);
    with_memory(t, WIDE, 0xf7, operation, RSI, at_x(op->rs2));
    with_register(t, WIDE, 0x8b, RAX, RDX);
    with_register(t, WIDE, 0x8b, RDX, R10);
    store_rd(t, op);
}

static void write_zero(translation *t, const hart_op *op, unsigned condition)
{
    load_rax(t, op->rs1);
    with_register(t, NARROW, 0x33, RCX, RCX);
    with_memory(t, WIDE, 0x83, 7, RSI, at_x(op->rs2)); // compare with 0
    byte(t, 0);
    with_register(t, WIDE, TWO_BYTES | 0x40 | condition, RAX, RCX);
    store_rd(t, op);
}

static void write_shift_add(translation *t, const hart_op *op, native_row row)
{
    if (row.form == FORM_SHIFT_ADD)
        load_rax(t, op->rs1);
    else
        with_memory(t, NARROW, 0x8b, RAX, RSI, at_x(op->rs1));
    if (row.code) {
        with_register(t, WIDE, 0xc1, 4, RAX);
        byte(t, row.code);
    }
    with_memory(t, WIDE, 0x03, RAX, RSI, at_x(op->rs2));
    store_rd(t, op);
}

// Single bits of x[rs1], which hosts count modulo 64 as well.
static void write_bit(translation *t, const hart_op *op, native_row row)
{
    const bool immediate = row.form == FORM_BIT_I || row.form == FORM_BIT_TEST_I;
    load_rax(t, op->rs1);
    if (immediate) {
        with_register(t, WIDE, TWO_BYTES | 0xba, row.code, RAX);
        byte(t, (uint8_t)op->value);
    } else {
        load_x(t, RCX, op->rs2);
        with_register(t, WIDE, row.code, RCX, RAX);
    }
    if (row.form == FORM_BIT_TEST || row.form == FORM_BIT_TEST_I)
        store_condition(t, op, BELOW); // carry
    else
        store_rd(t, op);
}

// What leaves its result in rax, reduced to 32 bits if it is narrow.
static void write_plain(translation *t, const hart_op *op, native_row row)
{
    if (row.form == FORM_SHIFT || row.form == FORM_SHIFT_W || row.form == FORM_INVERTED)
        load_x(t, RCX, op->rs2);
    if (row.form == FORM_SHIFT_UW)
        with_memory(t, NARROW, 0x8b, RAX, RSI, at_x(op->rs1));
    else if (row.form != FORM_EXTEND)
        load_rax(t, op->rs1);
    switch (row.form) {
    case FORM_REGISTER:
    case FORM_REGISTER_W: with_memory(t, row.wide, row.code, RAX, RSI, at_x(op->rs2)); break;
    case FORM_IMMEDIATE:
    case FORM_IMMEDIATE_W:
        if (op->value || row.code)
            with_immediate(t, row.wide, row.code, RAX, (int32_t)op->value);
        break;
    case FORM_SHIFT:
    case FORM_SHIFT_W: with_register(t, row.wide, 0xd3, row.code, RAX); break;
    case FORM_SHIFT_I:
    case FORM_SHIFT_IW:
    case FORM_SHIFT_UW:
        with_register(t, row.wide, 0xc1, row.code, RAX);
        byte(t, (uint8_t)op->value);
        break;
    case FORM_INVERTED:
        with_register(t, WIDE, 0xf7, 2, RCX);
        with_register(t, WIDE, row.code, RAX, RCX);
        break;
    case FORM_SELECT:
        with_memory(t, WIDE, 0x3b, RAX, RSI, at_x(op->rs2));
        with_memory(t, WIDE, TWO_BYTES | 0x40 | row.code, RAX, RSI, at_x(op->rs2));
        break;
    default: with_memory(t, row.wide, row.code, RAX, RSI, at_x(op->rs1)); break; // FORM_EXTEND
    }
    if (!row.wide && row.form != FORM_EXTEND)
        sign_extend_rax(t);
    store_rd(t, op);
}

bool hart_native_is_integer(unsigned opcode)
{
    return rows[opcode].form != FORM_NONE;
}

void hart_native_write_integer(translation *t, hart_op *op)
{
    const native_row row = rows[hart_op_details(op)->in.opcode];
    switch (row.form) {
    case FORM_NOTHING: return;
    case FORM_PREFETCH: hart_native_write_prefetch(t, op->rs1, op->value, 1); return;
    case FORM_CONSTANT:
        constant_to_rax(t, op->value);
        store_rd(t, op);
        return;
    case FORM_SET:
        load_rax(t, op->rs1);
        with_memory(t, WIDE, 0x3b, RAX, RSI, at_x(op->rs2));
        store_condition(t, op, row.code);
        return;
    case FORM_SET_I:
        load_rax(t, op->rs1);
        with_immediate(t, WIDE, 7, RAX, (int32_t)op->value);
        store_condition(t, op, row.code);
        return;
    case FORM_BIT:
    case FORM_BIT_I:
    case FORM_BIT_TEST:
    case FORM_BIT_TEST_I: write_bit(t, op, row); return;
    case FORM_SHIFT_ADD:
    case FORM_SHIFT_ADD_UW: write_shift_add(t, op, row); return;
    case FORM_ZERO: write_zero(t, op, row.code); return;
    case FORM_HIGH: write_high(t, op, row.code); return;
    case FORM_LOAD: write_load(t, op, row); return;
    case FORM_LOAD_FLOAT: write_load_float(t, op, row); return;
    case FORM_STORE:
    case FORM_STORE_FLOAT: write_store(t, op, row); return;
    default: write_plain(t, op, row); return;
    }
}

#endif
