// What native steps execute: rows of instructions, and how each form of them is written.

#ifdef __x86_64__

#include "runtime/hart/native_x86.h"

#include <stdlib.h>

// ------------------------------------------------------------------ registers

// Of a member of a record, from rdi.
static int32_t at_op(const translation *t, const hart_op *op, size_t member)
{
    return (int32_t)((op - t->start) * (ptrdiff_t)sizeof(hart_op) + (ptrdiff_t)member);
}

static void load_x(translation *t, unsigned reg, unsigned r)
{
    with_memory(t, WIDE, 0x8b, reg, RSI, at_x(r));
}

static void load_rax(translation *t, unsigned r)
{
    if (t->held != r)
        load_x(t, RAX, r);
    t->held = (uint8_t)r;
}

// rax is the result. Writes to x0 have no effect.
static void store_rd(translation *t, const hart_op *op)
{
    t->held = NO_REGISTER;
    if (op->rd == 32)
        return;
    with_memory(t, WIDE, 0x89, RAX, RSI, at_x(op->rd));
    t->held = op->rd;
}

static void sign_extend_rax(translation *t)
{
    byte(t, 0x48);
    byte(t, 0x98);
}

static void constant_to_rax(translation *t, int64_t value)
{
    if (value == (int32_t)value) {
        with_register(t, WIDE, 0xc7, 0, RAX);
        word(t, (uint32_t)value);
    } else {
        byte(t, 0x48);
        byte(t, 0xb8);
        long_word(t, (uint64_t)value);
    }
    t->held = NO_REGISTER;
}

// --------------------------------------------------------------- instructions

typedef enum native_form {
    FORM_NONE,       // left to the record's own step
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
    FORM_EXTEND,   // code rax, x[rs1]
    FORM_SELECT,   // x[rs2] on condition, compared with x[rs1]
    FORM_INVERTED, // code rax, ~x[rs2]
    FORM_ZERO,     // 0 if x[rs2] compares so with 0
    FORM_HIGH,     // of the product
    FORM_LOAD,
    FORM_STORE,
    FORM_LOAD_FLOAT,
    FORM_STORE_FLOAT,
    FORM_BRANCH,
    FORM_JAL,
    FORM_NOTHING,
    FORM_CALL, // of the handler
} native_form;

typedef struct native_row {
    uint8_t form, wide;
    uint16_t code;
} native_row;

static const native_row native_rows[ISA_OPCODE_COUNT] = {
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
    [ISA_BEQ] = {FORM_BRANCH, WIDE, EQUAL},
    [ISA_BNE] = {FORM_BRANCH, WIDE, NOT_EQUAL},
    [ISA_BLT] = {FORM_BRANCH, WIDE, LESS},
    [ISA_BGE] = {FORM_BRANCH, WIDE, GREATER_EQUAL},
    [ISA_BLTU] = {FORM_BRANCH, WIDE, BELOW},
    [ISA_BGEU] = {FORM_BRANCH, WIDE, ABOVE_EQUAL},
    [ISA_JAL] = {FORM_JAL},
    [ISA_FENCE] = {FORM_NOTHING},
    [ISA_FENCE_TSO] = {FORM_NOTHING},
    [ISA_PREFETCH_I] = {FORM_NOTHING},
    [ISA_PREFETCH_R] = {FORM_NOTHING},
    [ISA_PREFETCH_W] = {FORM_NOTHING},
};

static native_row row_of(const hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    if (op->index == b->count)
        return (native_row){FORM_NONE};
    native_row row = native_rows[b->details[op->index].in.opcode];
    return row.form == FORM_NONE && op->execute ? (native_row){FORM_CALL} : row;
}

// ---- transfers and calls

static bool fits(ptrdiff_t distance)
{
    return distance == (int32_t)distance;
}

// Makes rdi or r10 point to the record.
static void point(translation *t, unsigned reg, const hart_op *op)
{
    ptrdiff_t distance = (const uint8_t *)op - (const uint8_t *)t->start;
    if (distance == 0 && reg == RDI)
        return;
    if (fits(distance)) {
        with_memory(t, WIDE, 0x8d, reg, RDI, (int32_t)distance);
    } else {
        prefixed(t, WIDE << 3 | reg >> 3, 0xb8 | (reg & 7));
        long_word(t, (uint64_t)(uintptr_t)op);
    }
}

static void call_handler(translation *t, const hart_op *op)
{
    point(t, R10, op);
    byte(t, 0xe8);
    word(t, t->n->call - (t->n->used + 4));
    t->held = NO_REGISTER;
    t->boxed = 0;
}

// The decoded run lies in front of the call.
static void call_run(translation *t, hart_op *op, unsigned length)
{
    hart_native *n = t->n;
    const uint32_t start = n->used + 5, run = (start + 7) / 8 * 8;
    const uint32_t behind = run + (uint32_t)hart_xlut_run_bytes(length);
    byte(t, 0xe9); // jump over it
    word(t, behind - start);
    hart_xlut_prepare_run((hart_xlut_run *)(void *)(n->writable + run), op, length);
    n->used = behind;
    prefixed(t, WIDE << 3 | 1 << 2, 0x8d); // lea r10, [rip +]
    byte(t, 0x15);
    word(t, run - (n->used + 4));
    byte(t, 0xe8);
    word(t, n->call_run - (n->used + 4));
    t->held = NO_REGISTER;
    t->boxed = 0;
}

// To the step of the record that rdi points to.
static void jump_to_step(translation *t)
{
    with_memory(t, NARROW, 0xff, 4, RDI, offsetof(hart_op, step));
}

// Whether there will be native code for the record when this translation is done.
static bool request(translation *t, hart_op *op)
{
    if (t->jump_count == MOST_JUMPS)
        return false;
    if (hart_op_details(op)->native)
        return true;
    if (row_of(op).form == FORM_NONE)
        return false;
    for (unsigned i = 0; i < t->pending_count; i++)
        if (t->pending[i] == op)
            return true;
    if (t->pending_count == MOST_PENDING)
        return false;
    t->pending[t->pending_count++] = op;
    return true;
}

static void jump_to_record(translation *t, hart_op *op)
{
    byte(t, 0xe9);
    word(t, 0);
    t->jumps[t->jump_count++] = (jump){t->n->used, op};
}

static void store_budget(translation *t)
{
    with_memory(t, WIDE, 0x89, R9, RSI, offsetof(hart, budget));
}

// Follows the direct transfer `op`: where its target is known, at once.
static void follow(translation *t, hart_op *op)
{
    hart_op *to = op->target;
    bool known = to->step != hart_step_stub;
    with_memory(t, WIDE, 0xff, 0, RDI, at_op(t, op, offsetof(hart_op, taken))); // inc
    if (known && request(t, to)) {
        with_immediate(t, WIDE, 5, R9, op->cost);
        store_budget(t);
        point(t, RDI, to);
        uint32_t spent = jump_if(t, SIGN);
        jump_to_record(t, to);
        arrive(t, spent);
        jump_to_offset(t, t->n->pause);
        return;
    }
    with_memory(t, WIDE, TWO_BYTES | 0xbf, RAX, RDI, at_op(t, op, offsetof(hart_op, cost)));
    with_memory(t, WIDE, 0x8b, RDI, RDI, at_op(t, op, offsetof(hart_op, target)));
    with_register(t, WIDE, 0x2b, R9, RAX);
    store_budget(t);
    uint32_t spent = jump_if(t, SIGN);
    jump_to_step(t);
    arrive(t, spent);
    jump_to_offset(t, t->n->pause);
}

void hart_native_exit_if(translation *t, unsigned condition, hart_op *op, exit_kind kind)
{
    t->exits[t->exit_count++] = (exit_stub){jump_if(t, condition), 0, 0, op, kind};
}

static void report_bad_access(translation *t, const hart_op *op)
{
    point(t, RDI, op);
    with_memory(t, WIDE, 0x89, RDI, RSI, offsetof(hart, op));
    with_register(t, WIDE, 0x8b, R9, R10);
    jump_to_offset(t, t->n->bad_access);
}

// The code behind the instructions that was jumped to.
static void write_exits(translation *t)
{
    for (unsigned i = 0; i < t->exit_count; i++) {
        exit_stub e = t->exits[i];
        arrive(t, e.from);
        const exit_stub *next = &t->exits[i + 1];
        if (i + 1 < t->exit_count && next->op == e.op && next->kind == e.kind)
            continue; // the same
        if (e.kind == EXIT_EXACT)
            hart_native_if_exact(t, e.op, e.store);
        if (e.kind == EXIT_TRANSFER)
            follow(t, e.op);
        else if (e.kind == EXIT_BAD_ACCESS)
            report_bad_access(t, e.op);
        else {
            call_handler(t, e.op);
            jump_to_offset(t, e.back);
        }
    }
    t->exit_count = 0;
}

// ---- memory

static void add_site(translation *t, const hart_op *op)
{
    hart_native *n = t->n;
    if (n->site_count == n->site_capacity) {
        n->site_capacity = n->site_capacity ? 2 * n->site_capacity : 1024;
        n->sites = realloc(n->sites, n->site_capacity * sizeof *n->sites);
        if (!n->sites)
            INTERNAL_ERROR("out of memory");
    }
    n->sites[n->site_count++] = (site){n->used, op};
}

// r10 = the address that op accesses, below the limit.
static void check_address(translation *t, hart_op *op)
{
    if (t->held == op->rs1)
        with_register(t, WIDE, 0x8b, R10, RAX);
    else
        load_x(t, R10, op->rs1);
    if (op->value)
        with_immediate(t, WIDE, 0, R10, (int32_t)op->value);
    with_register(t, WIDE, 0x3b, R10, R8);
    hart_native_exit_if(t, ABOVE_EQUAL, op, EXIT_BAD_ACCESS);
}

static void write_load(translation *t, hart_op *op, native_row row)
{
    check_address(t, op);
    add_site(t, op);
    with_guest(t, row.wide, row.code, RAX);
    store_rd(t, op);
}

static void write_load_float(translation *t, hart_op *op, native_row row)
{
    check_address(t, op);
    add_site(t, op);
    with_guest(t, row.wide, row.code, RAX);
    store_float(t, row.wide, op->rd);
}

static void write_store(translation *t, hart_op *op, native_row row)
{
    check_address(t, op);
    if (row.form == FORM_STORE_FLOAT) {
        with_memory(t, WIDE, 0x8b, RAX, RSI, at_f(op->rs2));
        t->held = NO_REGISTER;
    } else {
        load_rax(t, op->rs2);
    }
    add_site(t, op);
    if (row.code >> 8 == 0x66)
        byte(t, 0x66);
    with_guest(t, row.wide, row.code & 0xff, RAX);
}

// ---- arithmetic

static void write_compared(translation *t, const hart_op *op, unsigned condition)
{
    prefixed(t, 0, TWO_BYTES | 0x90 | condition); // set
    byte(t, 0xc0);
    with_register(t, NARROW, TWO_BYTES | 0xb6, RAX, RAX);
    store_rd(t, op);
}

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

// What leaves its result in rax, reduced to 32 bits if it is narrow.
static void write_plain(translation *t, const hart_op *op, native_row row)
{
    if (row.form == FORM_SHIFT || row.form == FORM_SHIFT_W || row.form == FORM_INVERTED)
        load_x(t, RCX, op->rs2);
    if (row.form != FORM_EXTEND)
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

static void write_call(translation *t, hart_op *op)
{
    native_float row = hart_native_float(op->in);
    if (row.code)
        hart_native_write_float(t, op, row);
    else
        call_handler(t, op);
}

// One instruction. False: the code does not go on behind it.
static bool write_instruction(translation *t, hart_op *op, native_row row)
{
    switch (row.form) {
    case FORM_NOTHING: return true;
    case FORM_CALL: write_call(t, op); return true;
    case FORM_CONSTANT:
        constant_to_rax(t, op->value);
        store_rd(t, op);
        return true;
    case FORM_SET:
        load_rax(t, op->rs1);
        with_memory(t, WIDE, 0x3b, RAX, RSI, at_x(op->rs2));
        write_compared(t, op, row.code);
        return true;
    case FORM_SET_I:
        load_rax(t, op->rs1);
        with_immediate(t, WIDE, 7, RAX, (int32_t)op->value);
        write_compared(t, op, row.code);
        return true;
    case FORM_SHIFT_ADD:
    case FORM_SHIFT_ADD_UW: write_shift_add(t, op, row); return true;
    case FORM_ZERO: write_zero(t, op, row.code); return true;
    case FORM_HIGH: write_high(t, op, row.code); return true;
    case FORM_LOAD: write_load(t, op, row); return true;
    case FORM_LOAD_FLOAT: write_load_float(t, op, row); return true;
    case FORM_STORE:
    case FORM_STORE_FLOAT: write_store(t, op, row); return true;
    case FORM_BRANCH:
        load_rax(t, op->rs1);
        with_memory(t, WIDE, 0x3b, RAX, RSI, at_x(op->rs2));
        hart_native_exit_if(t, row.code, op, EXIT_TRANSFER);
        return true;
    case FORM_JAL:
        if (op->rd != 32) {
            constant_to_rax(t, op[1].value);
            store_rd(t, op);
        }
        follow(t, op);
        return false;
    default: write_plain(t, op, row); return true;
    }
}

// ---------------------------------------------------------------- translation

void hart_native_request(translation *t, hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    while (op->index < b->count && row_of(op).form == FORM_NONE)
        op++;
    if (op->index < b->count)
        request(t, op);
}

// Ends a stretch in front of this record.
static void write_end(translation *t, hart_op *op)
{
    bool at_end = op->index == hart_op_block(op)->count;
    if (at_end && op->step == hart_step_end) {
        follow(t, op);
        return;
    }
    point(t, RDI, op);
    if (hart_op_details(op)->native) {
        jump_to_record(t, op);
        return;
    }
    jump_to_step(t);
    hart_native_request(t, op);
}

void hart_native_write(translation *t, hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    t->start = op;
    t->held = NO_REGISTER;
    t->boxed = 0;
    hart_op_details(op)->native = t->n->used;
    bool goes_on = true;
    for (; goes_on && op->index < b->count; op++) {
        native_row row = row_of(op);
        if (row.form == FORM_NONE || (op != t->start && hart_op_details(op)->native))
            break;
        const unsigned run = hart_xlut_run_length(op);
        if (run) {
            call_run(t, op, run);
            op += run - 1;
        } else {
            goes_on = write_instruction(t, op, row);
        }
    }
    if (goes_on)
        write_end(t, op);
    write_exits(t);
}

#endif
