// The steps of single instructions, and of the records that are none.

#include "runtime/hart/step.h"

#define STEP(E) static hart_op *step_##E(STEP_PARAMETERS)

#define WITH_RESULT(E)                                                                             \
    STEP(E)                                                                                        \
    {                                                                                              \
        uint64_t result;                                                                           \
        DO(E, op, h->x[op->rs1], result);                                                          \
        (void)result;                                                                              \
        GO(op + 1);                                                                                \
    }
#define REGISTER(E, result) WITH_RESULT(E)
#define IMMEDIATE(E, result) WITH_RESULT(E)
#define LOAD(E, bits, type) WITH_RESULT(E)
#define STORE(E, bits) WITH_RESULT(E)
#define LOAD_FLOAT(E, bits, box) WITH_RESULT(E)
#define STORE_FLOAT(E, bits) WITH_RESULT(E)
#define BRANCH(E, condition)                                                                       \
    STEP(E)                                                                                        \
    {                                                                                              \
        if (test_##E(op, h, h->x[op->rs1]))                                                        \
            FOLLOW(op);                                                                            \
        GO(op + 1);                                                                                \
    }
#include "runtime/hart/integer.def"

STEP(NOTHING)
{
    GO(op + 1);
}

STEP(JAL)
{
    h->x[op->rd] = (uint64_t)op[1].value;
    FOLLOW(op);
}

STEP(JALR)
{
    FOLLOW_INDIRECT(op, h->x[op->rs1]);
}

STEP(CALL)
{
    MAY_FAULT(op);
    op->execute(h, op->in);
    base = h->memory_base, limit = h->memory_limit, budget = h->budget;
    GO(op + 1);
}

STEP(FENCE_I)
{
    h->pc = hart_op_pc(op) + 4;
    hart_step_away(op, h, base, self, limit, budget);
    hart_flush_code(h);
    return NULL;
}

STEP(ECALL)
{
    MAY_FAULT(op);
    if (h->service && h->service(h->service_context, h))
        GO(op + 1);
    h->stop = HART_STOP_ECALL;
    GIVE_TO(hart_step_pause, budget);
}

STEP(EBREAK)
{
    (void)base, (void)self, (void)limit, (void)budget;
    MAY_FAULT(op);
    hart_raise(h, HART_BREAKPOINT, hart_op_pc(op));
}

STEP(ILLEGAL)
{
    (void)base, (void)self, (void)limit, (void)budget;
    MAY_FAULT(op);
    hart_raise_illegal(h);
}

typedef struct step_row {
    hart_step *step;
    bool writes_integer, is_direct;
} step_row;
static const step_row rows[ISA_OPCODE_COUNT];

hart_op *hart_step_watched(STEP_PARAMETERS)
{
    const hart_op_detail *detail = hart_op_details(op);
    const unsigned opcode = detail->in.opcode;
    (void)self;
    h->pc = hart_op_block(op)->pc + detail->offset;
    h->watcher(h->watcher_context, h, &detail->in);
    hart_step *step = rows[opcode].step ? rows[opcode].step : step_CALL;
    return step(op, h, base, step, limit, budget);
}

hart_op *hart_step_pause(STEP_PARAMETERS)
{
    (void)base, (void)self, (void)limit, (void)budget;
    hart_leave(h, op);
    return NULL;
}

hart_op *hart_step_away(STEP_PARAMETERS)
{
    (void)base, (void)self, (void)limit;
    h->remaining = (uint64_t)(budget + HART_LONGEST_BLOCK - op->index - 1);
    h->op = NULL;
    return NULL;
}

hart_op *hart_step_bad_access(STEP_PARAMETERS)
{
    (void)op, (void)base, (void)self, (void)limit;
    hart_raise_access(h, (uint64_t)budget);
}

hart_op *hart_step_end(STEP_PARAMETERS)
{
    FOLLOW(op);
}

hart_op *hart_step_returned(STEP_PARAMETERS)
{
    GIVE_TO(hart_step_pause, budget);
}

hart_op *hart_step_stub(STEP_PARAMETERS)
{
    GIVE_TO(hart_step_pause, budget);
}

static const step_row rows[ISA_OPCODE_COUNT] = {
#define REGISTER(E, result) [ISA_##E] = {step_##E, .writes_integer = true},
#define IMMEDIATE(E, result) [ISA_##E] = {step_##E, .writes_integer = true},
#define LOAD(E, bits, type) [ISA_##E] = {step_##E, .writes_integer = true},
#define STORE(E, bits) [ISA_##E] = {step_##E},
#define LOAD_FLOAT(E, bits, box) [ISA_##E] = {step_##E},
#define STORE_FLOAT(E, bits) [ISA_##E] = {step_##E},
#define BRANCH(E, condition) [ISA_##E] = {step_##E, .is_direct = true},
#define NOTHING(E) [ISA_##E] = {step_NOTHING},
#include "runtime/hart/integer.def"
    [ISA_JAL] = {step_JAL, .writes_integer = true, .is_direct = true},
    [ISA_JALR] = {step_JALR, .writes_integer = true},
    [ISA_FENCE_I] = {step_FENCE_I},
    [ISA_ECALL] = {step_ECALL},
    [ISA_EBREAK] = {step_EBREAK},
    [ISA_ILLEGAL] = {step_ILLEGAL},
};

hart_step *hart_step_of(unsigned opcode)
{
    if (rows[opcode].step)
        return rows[opcode].step;
    return hart_handler_of(opcode) ? step_CALL : NULL;
}

bool hart_op_writes_integer(unsigned opcode)
{
    return rows[opcode].writes_integer;
}

bool hart_op_is_direct(unsigned opcode)
{
    return rows[opcode].is_direct;
}
