// The dispatch loop: threaded code over decoded blocks.
//
// Counts are settled once per block: entering one takes its instructions off the budget. Whatever
// leaves a block early (faults, ecall) goes through `settle`, which gives back what did not run.
// An observer or a nearly spent budget makes every block look too long for the budget; the loop
// then goes through single-instruction blocks. Normal execution pays nothing for either.

#include "runtime/hart/internal.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define s(x) ((int64_t)(x))
#define u(x) ((uint64_t)(uint32_t)(x))
#define w(x) sign_extend32(x)

static int64_t divide_signed(int64_t a, int64_t b)
{
    if (b == 0)
        return -1;
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_signed(int64_t a, int64_t b)
{
    if (b == 0)
        return a;
    return b == -1 ? 0 : a % b;
}

static uint64_t rotate(uint64_t a, uint64_t right)
{
    return a >> (right & 63) | a << (-right & 63);
}

static uint64_t or_combine(uint64_t a)
{
    uint64_t high = 0x8080808080808080ull;
    uint64_t nonzero = ((a | ((a & ~high) + ~high)) & high) >> 7;
    return nonzero * 255;
}

bool hart_op_writes_integer(unsigned opcode)
{
    switch (opcode) {
#define REGISTER(E, result) case ISA_##E:
#define IMMEDIATE(E, result) case ISA_##E:
#define LOAD(E, bits, type) case ISA_##E:
#define STORE(E, bits)
#define LOAD_FLOAT(E, bits, box)
#define STORE_FLOAT(E, bits)
#define BRANCH(E, condition)
#define NOTHING(E)
#include "runtime/hart/integer.def"
#undef REGISTER
#undef IMMEDIATE
#undef LOAD
#undef STORE
#undef LOAD_FLOAT
#undef STORE_FLOAT
#undef BRANCH
#undef NOTHING
    case ISA_JAL:
    case ISA_JALR: return true;
    default: return false;
    }
}

uint64_t hart_retired_now(const hart *h)
{
    uint64_t before = h->run_start - h->remaining - h->withheld;
    if (!h->block)
        return before;
    return before - (h->block->count - (uint64_t)(h->op - h->block->ops));
}

// One instruction is executed even though the budget is short or an observer looks on: the block
// for it, or NULL when the hart must stop, with the reason.
static hart_block *enter_single(hart *h, const hart_block *block, hart_stop *why)
{
    h->pc = block->pc;
    h->block = NULL;
    *why = HART_STOP_LIMIT;
    if (h->remaining + h->withheld == 0)
        return NULL;
    *why = HART_STOP_OBSERVER;
    if (h->observer && !h->observer(h->observer_context, h, &block->ops[0].in))
        return NULL;
    if (h->withheld)
        h->withheld--;
    else
        h->remaining--;
    hart_cache_count(h, block->ops[0].in.opcode, 1);
    return hart_cache_single(h, block);
}

// Executes from h->pc. With h NULL, only fills the table of labels.
__attribute__((noinline)) static hart_stop dispatch(hart *h, const hart_labels **labels)
{
    if (labels) {
        static const hart_labels table = {
            .opcode =
                {
#define REGISTER(E, result) [ISA_##E] = &&label_##E,
#define IMMEDIATE(E, result) [ISA_##E] = &&label_##E,
#define LOAD(E, bits, type) [ISA_##E] = &&label_##E,
#define STORE(E, bits) [ISA_##E] = &&label_##E,
#define LOAD_FLOAT(E, bits, box) [ISA_##E] = &&label_##E,
#define STORE_FLOAT(E, bits) [ISA_##E] = &&label_##E,
#define BRANCH(E, condition) [ISA_##E] = &&label_##E,
#define NOTHING(E) [ISA_##E] = &&label_NOTHING,
#include "runtime/hart/integer.def"
#undef REGISTER
#undef IMMEDIATE
#undef LOAD
#undef STORE
#undef LOAD_FLOAT
#undef STORE_FLOAT
#undef BRANCH
#undef NOTHING
                    [ISA_JAL] = &&label_JAL,
                    [ISA_JALR] = &&label_JALR,
                    [ISA_FENCE] = &&label_NOTHING,
                    [ISA_FENCE_TSO] = &&label_NOTHING,
                    [ISA_FENCE_I] = &&label_FENCE_I,
                    [ISA_ECALL] = &&label_ECALL,
                    [ISA_EBREAK] = &&label_EBREAK,
                    [ISA_ILLEGAL] = &&label_ILLEGAL,
                },
            .call = &&label_CALL,
            .end = &&label_END,
            .returned = &&label_RETURNED,
        };
        *labels = &table;
        return HART_STOP_LIMIT;
    }

    uint64_t *const x = h->x;
    uint64_t *const f = h->f;
    uint8_t *const base = h->memory_base;
    const uint64_t limit = h->memory_limit;
    hart_block *block = NULL, **link = NULL;
    const hart_op *op;
    uint64_t pc = h->pc;
    hart_stop why;
    bool dropped;

#define NEXT                                                                                       \
    do {                                                                                           \
        op++;                                                                                      \
        goto * op->label;                                                                          \
    } while (0)
#define ENTER                                                                                      \
    do {                                                                                           \
        if (__builtin_expect(block->count > h->remaining, 0))                                      \
            goto budget;                                                                           \
        h->remaining -= block->count;                                                              \
        block->executions++;                                                                       \
        h->block = block;                                                                          \
        op = block->ops;                                                                           \
        goto * op->label;                                                                          \
    } while (0)
// Goes on at pc `target`, whose block is, or will be, in block->which.
#define FOLLOW(which, target)                                                                      \
    do {                                                                                           \
        if (__builtin_expect(block->which != NULL, 1)) {                                           \
            block = block->which;                                                                  \
            ENTER;                                                                                 \
        }                                                                                          \
        link = &block->which;                                                                      \
        pc = (target);                                                                             \
        goto resolve;                                                                              \
    } while (0)

resolve:
    block = hart_cache_find(h, pc, &dropped);
    if (link && !dropped)
        *link = block;
    ENTER;

budget:
    block = enter_single(h, block, &why);
    if (!block)
        return why;
    h->block = block;
    op = block->ops;
    goto * op->label;

#define REGISTER(E, result)                                                                        \
    label_##E:                                                                                     \
    {                                                                                              \
        uint64_t a = x[op->rs1], b = x[op->rs2];                                                   \
        (void)a, (void)b;                                                                          \
        x[op->rd] = (uint64_t)(result);                                                            \
        NEXT;                                                                                      \
    }
#define IMMEDIATE(E, result)                                                                       \
    label_##E:                                                                                     \
    {                                                                                              \
        uint64_t a = x[op->rs1], b = (uint64_t)op->value;                                          \
        (void)a, (void)b;                                                                          \
        x[op->rd] = (uint64_t)(result);                                                            \
        NEXT;                                                                                      \
    }
#define ADDRESS                                                                                    \
    uint64_t address = x[op->rs1] + (uint64_t)op->value;                                           \
    *(const hart_op *volatile *)&h->op = op;                                                       \
    if (__builtin_expect(address >= limit, 0))                                                     \
        hart_raise_access(h, address);
#define LOAD(E, bits, type)                                                                        \
    label_##E:                                                                                     \
    {                                                                                              \
        ADDRESS                                                                                    \
        x[op->rd] = (uint64_t)(int64_t)(type)GUEST(bits, base + address);                          \
        NEXT;                                                                                      \
    }
#define STORE(E, bits)                                                                             \
    label_##E:                                                                                     \
    {                                                                                              \
        ADDRESS                                                                                    \
        GUEST(bits, base + address) = (uint##bits##_t)x[op->rs2];                                  \
        NEXT;                                                                                      \
    }
#define LOAD_FLOAT(E, bits, box)                                                                   \
    label_##E:                                                                                     \
    {                                                                                              \
        ADDRESS                                                                                    \
        f[op->rd] = (box) | GUEST(bits, base + address);                                           \
        NEXT;                                                                                      \
    }
#define STORE_FLOAT(E, bits)                                                                       \
    label_##E:                                                                                     \
    {                                                                                              \
        ADDRESS                                                                                    \
        GUEST(bits, base + address) = (uint##bits##_t)f[op->rs2];                                  \
        NEXT;                                                                                      \
    }
#define BRANCH(E, condition)                                                                       \
    label_##E:                                                                                     \
    {                                                                                              \
        uint64_t a = x[op->rs1], b = x[op->rs2];                                                   \
        if (condition)                                                                             \
            FOLLOW(taken, (uint64_t)op->value);                                                    \
        else                                                                                       \
            FOLLOW(next, block->pc + block->bytes);                                                \
    }
#define NOTHING(E)
#include "runtime/hart/integer.def"

label_NOTHING:
    NEXT;

label_JAL:
    x[op->rd] = block->pc + block->bytes;
    FOLLOW(taken, (uint64_t)op->value);

label_JALR:
    pc = (x[op->rs1] + (uint64_t)op->value) & ~1ull;
    x[op->rd] = block->pc + block->bytes;
    link = NULL;
    {
        hart_block *known = hart_cache_jump(h, pc);
        if (__builtin_expect(known == NULL, 0))
            goto resolve;
        block = known;
        ENTER;
    }

label_CALL:
    *(const hart_op *volatile *)&h->op = op;
    op->execute(h, &op->in);
    NEXT;

label_END:
    FOLLOW(next, block->pc + block->bytes);

label_RETURNED:
    h->pc = block->pc;
    h->block = NULL;
    return HART_STOP_RETURN;

label_FENCE_I:
    pc = block->pc + block->bytes;
    link = NULL;
    h->block = NULL;
    hart_flush_code(h);
    goto resolve;

label_ECALL:
    h->op = op;
    return HART_STOP_ECALL;

label_EBREAK:
    h->op = op;
    hart_raise(h, HART_BREAKPOINT, block->pc + op->offset);

label_ILLEGAL:
    h->op = op;
    hart_raise_illegal(h);
}

const hart_labels *hart_run_labels(void)
{
    const hart_labels *labels = NULL;
    dispatch(NULL, &labels);
    return labels;
}

// The instruction h->op did not retire: takes back what it and those behind it were counted for.
static void settle(hart *h)
{
    hart_block *block = h->block;
    if (!block)
        return;
    uint64_t done = (uint64_t)(h->op - block->ops), rest = block->count - done;
    h->pc = block->pc + h->op->offset;
    h->remaining += rest;
    if (hart_cache_is_single(h, block)) {
        hart_cache_count(h, h->op->in.opcode, (uint64_t)-1);
    } else {
        block->executions--;
        for (uint64_t i = 0; i < done; i++)
            hart_cache_count(h, block->ops[i].in.opcode, 1);
    }
    h->block = NULL;
}

hart_stop hart_run(hart *h, uint64_t limit)
{
    sigjmp_buf recovery;
    hart *const outer = hart_running();
    hart_stop why;
    h->recovery = &recovery;
    h->block = NULL;
    h->op = NULL;
    h->remaining = h->observer ? 0 : limit;
    h->withheld = h->observer ? limit : 0;
    h->run_start = h->retired + limit;
    hart_catch_host_faults();
    hart_set_running(h);
    if (sigsetjmp(recovery, 0) == 0)
        why = dispatch(h, NULL);
    else
        why = HART_STOP_FAULT;
    hart_set_running(outer);
    settle(h);
    h->retired = h->run_start - h->remaining - h->withheld;
    h->recovery = NULL;
    h->op = NULL;
    return why;
}

void hart_finish_ecall(hart *h)
{
    hart_cache_count(h, ISA_ECALL, 1);
    h->retired++;
    h->pc += 4;
}

void hart_observe(hart *h, hart_observer *observer, void *context)
{
    h->observer = observer;
    h->observer_context = context;
}

hart *hart_create(hart_memory *memory, uint32_t vlen, lut_unit *lut)
{
    if (vlen < 128 || vlen > HART_MAX_VLEN || (vlen & (vlen - 1)) != 0)
        return NULL;
    hart *h = calloc(1, sizeof *h);
    if (!h)
        INTERNAL_ERROR("out of memory");
    h->memory = memory;
    h->memory_base = hart_memory_base(memory);
    h->memory_limit = hart_memory_limit(memory);
    h->lut = lut;
    h->vlenb = vlen / 8;
    h->vill = true;
    h->return_address = 1;
    h->reservation = 1;
    h->v = aligned_alloc(64, (size_t)32 * h->vlenb);
    if (!h->v || !hart_cache_create(h))
        INTERNAL_ERROR("out of memory");
    memset(h->v, 0, (size_t)32 * h->vlenb);
    return h;
}

void hart_destroy(hart *h)
{
    if (!h)
        return;
    hart_cache_destroy(h);
    free(h->v);
    free(h);
}
