// What native steps execute, and how they lead to one another: transfers, calls, and the ways out.

#ifdef __x86_64__

#include "runtime/hart/native_x86.h"

// How a record is executed here.
typedef enum native_kind {
    LEFT, // to its own step
    INTEGER,
    BRANCH,
    JUMP,
    INDIRECT,
    CALL, // of its handler, unless there is something better
} native_kind;

// Conditions of x[rs1] compared with x[rs2], those of branches.
static const uint8_t conditions[ISA_OPCODE_COUNT] = {
    [ISA_BEQ] = EQUAL,         [ISA_BNE] = NOT_EQUAL, [ISA_BLT] = LESS,
    [ISA_BGE] = GREATER_EQUAL, [ISA_BLTU] = BELOW,    [ISA_BGEU] = ABOVE_EQUAL,
};

static native_kind kind_of(const hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    if (op->index == b->count)
        return LEFT;
    const unsigned opcode = b->details[op->index].in.opcode;
    if (hart_native_is_integer(opcode))
        return INTEGER;
    if (conditions[opcode])
        return BRANCH;
    if (opcode == ISA_JAL)
        return JUMP;
    if (opcode == ISA_JALR)
        return INDIRECT;
    return op->execute ? CALL : LEFT;
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
    hart_native_leave_vectors(t);
    point(t, R10, op);
    byte(t, 0xe8);
    word(t, t->n->call - (t->n->used + 4));
    t->held = NO_REGISTER;
    t->boxed = 0;
}

// To the step of the record that rdi points to.
static void jump_to_step(translation *t)
{
    with_memory(t, NARROW, 0xff, 4, RDI, offsetof(hart_op, step));
}

// Room for data, which lies behind all code.
static uint32_t reserve(hart_native *n, size_t bytes)
{
    n->data -= ((uint32_t)bytes + 63) / 64 * 64;
    return n->data;
}

static void call_with(translation *t, uint32_t code, uint32_t data)
{
    prefixed(t, WIDE << 3 | 1 << 2, 0x8d); // lea r10, [rip +]
    byte(t, 0x15);
    word(t, data - (t->n->used + 4));
    byte(t, 0xe8);
    word(t, code - (t->n->used + 4));
}

// How many ops of the run from `at` on can be written here.
static unsigned count_arithmetic(const hart_xlut_run *run, hart_op *op, unsigned at)
{
    const unsigned most = hart_xlut_run_arithmetic(run, at);
    unsigned count = 0;
    while (count < most && (kind_of(op + at + count) == INTEGER ||
                            hart_op_details(op + at + count)->in.opcode == ISA_LUT_PF))
        count++;
    return count;
}

// Functions for the arithmetic of a run.
static void write_arithmetic(translation *t, hart_xlut_run *run, hart_op *op, unsigned length)
{
    hart_native *n = t->n;
    const uint32_t over = jump_ahead(t);
    for (unsigned at = 0, count; at < length; at += count + 1) {
        count = count_arithmetic(run, op, at);
        if (count < 2)
            continue;
        hart_xlut_run_use(run, at, count, (hart_run_code *)(uintptr_t)(n->executable + n->used));
        t->held = NO_REGISTER;
        for (unsigned i = at; i < at + count; i++)
            if (kind_of(op + i) == INTEGER)
                hart_native_write_integer(t, op + i);
        byte(t, 0xc3);
    }
    arrive(t, over);
}

static void call_run(translation *t, hart_op *op, unsigned length)
{
    hart_native *n = t->n;
    const uint32_t data = reserve(n, hart_xlut_run_bytes(op, length));
    hart_xlut_run *const run = (hart_xlut_run *)(void *)(n->writable + data);
    hart_xlut_prepare_run(run, op, length, n->lut);
    write_arithmetic(t, run, op, length);
    call_with(t, n->call_run, data);
    with_register(t, WIDE, 0x85, RAX, RAX);
    const uint32_t done = jump_if(t, EQUAL);
    with_register(t, WIDE, 0x8b, RDI, RAX);
    jump_to_step(t);
    arrive(t, done);
    t->held = NO_REGISTER;
    t->boxed = 0;
}

// An Xlut instruction by itself. False: nothing has been written.
static bool call_single(translation *t, const hart_op *op)
{
    hart_native *n = t->n;
    const uint32_t before = n->data, single = reserve(n, hart_xlut_single_bytes());
    if (!hart_xlut_prepare_single((hart_xlut_single *)(void *)(n->writable + single), op, n->lut)) {
        n->data = before;
        return false;
    }
    hart_native_leave_vectors(t);
    call_with(t, n->call_single, single);
    t->held = NO_REGISTER;
    return true;
}

// Whether there will be native code for the record when this translation is done.
static bool request(translation *t, hart_op *op)
{
    if (t->jump_count == MOST_JUMPS)
        return false;
    if (hart_op_details(op)->native)
        return true;
    if (kind_of(op) == LEFT)
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

// To the native code whose place eax holds.
static void jump_to_place_in_rax(translation *t)
{
    prefixed(t, WIDE << 3 | 1 << 2, 0x8d); // lea r10, [rip +]
    byte(t, 0x15);
    word(t, 0 - (t->n->used + 4));
    with_register(t, WIDE, 0x03, RAX, R10);
    byte(t, 0xff); // jmp rax
    byte(t, 0xe0);
}

// Follows the indirect jump `op`, where its slot knows the target; or else its own step does.
static void follow_indirect(translation *t, hart_op *op)
{
    _Static_assert(sizeof(hart_jump) == 32 && (HART_JUMPS & (HART_JUMPS - 1)) == 0, "shifts below");
    load_rax(t, op->rs1);
    with_immediate(t, WIDE, 0, RAX, (int32_t)op->value);
    with_immediate(t, WIDE, 4, RAX, ~1);
    with_register(t, NARROW, 0x8b, RCX, RAX);
    with_immediate(t, NARROW, 4, RCX, (HART_JUMPS - 1) << 1);
    with_register(t, NARROW, 0xc1, 4, RCX); // times 16: slots have 32 bytes, pc is even
    byte(t, 4);
    prefixed(t, WIDE << 3 | R10 >> 3, 0xb8 | (R10 & 7));
    long_word(t, (uint64_t)(uintptr_t)t->n->hart->jumps);
    with_register(t, WIDE, 0x03, RCX, R10);
    with_memory(t, WIDE, 0x3b, RAX, RCX, offsetof(hart_jump, pc));
    const uint32_t unknown = jump_if(t, NOT_EQUAL);
    if (op->rd != 32) {
        constant_to_rax(t, op[1].value);
        with_memory(t, WIDE, 0x89, RAX, RSI, at_x(op->rd));
    }
    with_memory(t, WIDE, 0x8b, RDI, RCX, offsetof(hart_jump, entries));
    with_memory(t, WIDE, 0xff, 0, RDI, 0); // inc
    with_memory(t, NARROW, 0x8b, RAX, RCX, offsetof(hart_jump, index));
    with_register(t, WIDE, 0x03, R9, RAX);
    with_immediate(t, WIDE, 5, R9, op->index + 1);
    with_memory(t, WIDE, 0x8b, RDI, RCX, offsetof(hart_jump, op));
    store_budget(t);
    const uint32_t spent = jump_if(t, SIGN);
    with_memory(t, NARROW, 0x8b, RAX, RCX, offsetof(hart_jump, native));
    jump_to_place_in_rax(t);
    arrive(t, spent);
    jump_to_offset(t, t->n->pause);
    arrive(t, unknown);
    point(t, RDI, op);
    jump_to_offset(t, t->n->indirect);
}

void hart_native_exit_if(translation *t, unsigned condition, hart_op *op, exit_kind kind)
{
    t->exits[t->exit_count++] = (exit_stub){.from = jump_if(t, condition),
                                            .shape = t->shape,
                                            .op = op,
                                            .kind = kind,
                                            .masked = t->masked,
                                            .before = t->vectors};
    t->exits[t->exit_count - 1].before.dirty |= t->width > 0;
}

static void report_bad_access(translation *t, const hart_op *op)
{
    hart_native_leave_vectors(t);
    point(t, RDI, op);
    with_memory(t, WIDE, 0x89, RDI, RSI, offsetof(hart, op));
    with_register(t, WIDE, 0x8b, R9, R10);
    jump_to_offset(t, t->n->bad_access);
}

// Straight vector code ends in front of this record: nothing is known, and whoever left it for
// code that assumes less is back.
static void end_straight(translation *t, const hart_op *op)
{
    for (unsigned i = t->straight; i < t->exit_count; i++) {
        exit_stub *e = &t->exits[i];
        if (e->kind != EXIT_LENGTH)
            continue;
        t->held = NO_REGISTER;
        t->boxed = 0;
        e->end = op;
        e->back = t->n->used;
        e->after = t->vectors;
    }
    t->straight = t->exit_count;
    t->known = 0;
}

static void write_vectors(translation *t, const exit_stub *e);

// The handler's way, and back.
static void write_handler(translation *t, const exit_stub *e)
{
    call_handler(t, e->op);
    t->shape = e->shape;
    if (e->masked)
        hart_native_write_masks(t);
    hart_native_hold_again(t, &e->after);
    jump_to_offset(t, e->back);
}

// The same, but the records behind are executed by their steps.
static void write_step(translation *t, const exit_stub *e)
{
    call_handler(t, e->op);
    point(t, RDI, e->op + 1);
    jump_to_step(t);
}

static void write_idle(translation *t, const exit_stub *e)
{
    hart_native_hold_again(t, &e->after);
    jump_to_offset(t, e->back);
}

// The code behind the instructions that was jumped to.
static void write_exits(translation *t)
{
    for (unsigned i = 0; i < t->exit_count; i++) {
        exit_stub e = t->exits[i];
        arrive(t, e.from);
        const exit_stub *next = &t->exits[i + 1];
        if (i + 1 < t->exit_count && next->op == e.op && next->kind == e.kind &&
            next->masked == e.masked)
            continue; // the same
        t->vectors = e.before;
        if (e.kind == EXIT_EXACT)
            hart_native_if_exact(t, e.op, e.store);
        if (e.kind == EXIT_SMALL)
            hart_native_if_small(t, &e);
        switch (e.kind) {
        case EXIT_TRANSFER: follow(t, e.op); break;
        case EXIT_BAD_ACCESS: report_bad_access(t, e.op); break;
        case EXIT_LENGTH: write_vectors(t, &e); break;
        case EXIT_STEP: write_step(t, &e); break;
        case EXIT_IDLE: write_idle(t, &e); break;
        default: write_handler(t, &e);
        }
    }
    t->exit_count = 0;
}

static void write_call(translation *t, hart_op *op)
{
    const unsigned first = t->exit_count, opcode = op->in->opcode;
    if (opcode == ISA_LUT_PF && t->n->lut) {
        hart_native_write_prefetch(t, op->in->rs1, op->in->imm, t->n->lut->tile_bytes);
        return;
    }
    if (hart_native_is_configured(t, op))
        return;
    if (t->n->lut && call_single(t, op)) {
        t->known &= (uint8_t)~KNOWN_MASKS;
        return;
    }
    if (!hart_native_is_vector(opcode) || hart_native_configures(opcode))
        end_straight(t, op);
    if (!hart_native_is_vector(opcode))
        hart_native_leave_vectors(t);
    if (hart_native_write_float(t, op) || hart_native_write_move(t, op) ||
        hart_native_write_vector(t, op)) {
        if (t->exit_count > first)
            t->held = NO_REGISTER;
        for (unsigned i = first; i < t->exit_count; i++) {
            t->exits[i].back = t->n->used;
            t->exits[i].after = t->vectors;
        }
    } else {
        end_straight(t, op);
        call_handler(t, op);
    }
}

// One instruction. False: the code does not go on behind it.
static bool write_instruction(translation *t, hart_op *op, native_kind kind)
{
    if (kind != INTEGER && kind != CALL) {
        end_straight(t, op);
        hart_native_leave_vectors(t);
    }
    switch (kind) {
    case INTEGER: hart_native_write_integer(t, op); return true;
    case BRANCH:
        load_rax(t, op->rs1);
        with_memory(t, WIDE, 0x3b, RAX, RSI, at_x(op->rs2));
        hart_native_exit_if(t, conditions[hart_op_details(op)->in.opcode], op, EXIT_TRANSFER);
        return true;
    case JUMP:
        if (op->rd != 32) {
            constant_to_rax(t, op[1].value);
            store_rd(t, op);
        }
        follow(t, op);
        return false;
    case INDIRECT: follow_indirect(t, op); return false;
    default: write_call(t, op); return true;
    }
}

// ---------------------------------------------------------------- translation

// The straight vector code from here on again, for any vl.
static void write_vectors(translation *t, const exit_stub *e)
{
    t->shape = e->shape;
    t->held = NO_REGISTER;
    t->boxed = 0;
    t->known = 0;
    t->masked = t->partial = true;
    t->straight = t->exit_count;
    for (hart_op *op = e->op; op < e->end; op++)
        write_instruction(t, op, kind_of(op));
    t->masked = t->partial = false;
    hart_native_hold_again(t, &e->after);
    jump_to_offset(t, e->back);
}

void hart_native_request(translation *t, hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    while (op->index < b->count && kind_of(op) == LEFT)
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
    if (request(t, op)) {
        jump_to_record(t, op);
        return;
    }
    jump_to_step(t);
    hart_native_request(t, op);
}

// Notes the records behind this one that branches of the block go back to.
static void find_loops(translation *t, const hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    memset(t->repeated, 0, sizeof t->repeated);
    for (unsigned i = op->index + 1; i < b->count; i++) {
        const isa_instruction *in = &b->details[i].in;
        const int64_t to = (int64_t)b->details[i].offset + in->imm;
        unsigned k = i;
        if ((!conditions[in->opcode] && in->opcode != ISA_JAL) || in->imm >= 0)
            continue;
        while (k > op->index && (int64_t)b->details[k].offset > to)
            k--;
        t->repeated[k] |= k > op->index && (int64_t)b->details[k].offset == to;
    }
}

void hart_native_write(translation *t, hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    t->start = op;
    t->held = NO_REGISTER;
    t->boxed = 0;
    t->vectors = (held_vectors){0};
    t->known = 0;
    t->straight = 0;
    t->shape = hart_native_expected_shape(t, op);
    hart_op_details(op)->native = t->n->used;
    find_loops(t, op);
    bool goes_on = true;
    for (; goes_on && op->index < b->count; op++) {
        const native_kind kind = kind_of(op);
        if (kind == LEFT || (op != t->start && hart_op_details(op)->native) ||
            (t->repeated[op->index] && request(t, op)))
            break;
        const unsigned run = t->n->lut ? hart_xlut_run_length(op) : 0;
        if (run) {
            end_straight(t, op);
            hart_native_leave_vectors(t);
            call_run(t, op, run);
            op += run - 1;
        } else {
            goes_on = write_instruction(t, op, kind);
        }
    }
    if (goes_on) {
        end_straight(t, op);
        hart_native_leave_vectors(t);
        write_end(t, op);
    }
    write_exits(t);
}

#endif
