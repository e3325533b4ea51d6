// How steps are written: the bodies of the scalar instructions, and how one step leads to the next.
//
// With HART_TAIL_CALLS each step jumps to the next one, with the arguments left in their registers;
// without (builds in which the compiler does not promise that) it returns the next record to a
// loop.
#pragma once

#include "runtime/hart/internal.h"

#define INLINE static inline __attribute__((always_inline))

#ifdef HART_TAIL_CALLS
#define GO(next)                                                                                   \
    do {                                                                                           \
        (void)self;                                                                                \
        op = (next);                                                                               \
        __asm__("" : "+r"(op)); /* gcc would compute it twice */                                   \
        hart_step *next_step = op->step;                                                           \
        return next_step(op, h, base, next_step, limit, budget);                                   \
    } while (0)
#else
#define GO(next)                                                                                   \
    do {                                                                                           \
        (void)h, (void)base, (void)self, (void)limit, (void)budget;                                \
        return (next);                                                                             \
    } while (0)
#endif
// Goes on at an exceptional step; the same arguments in the same registers cost nothing.
#define GIVE_TO(step, last) return step(op, h, base, self, limit, (last))

// Takes the direct transfer `from`.
#define FOLLOW(from)                                                                               \
    do {                                                                                           \
        (from)->taken++;                                                                           \
        budget -= (from)->cost;                                                                    \
        op = (from)->target;                                                                       \
        h->budget = budget;                                                                        \
        if (__builtin_expect(budget < 0, 0))                                                       \
            GIVE_TO(hart_step_pause, budget);                                                      \
        GO(op);                                                                                    \
    } while (0)

// Whatever may fault is preceded by this; a host fault must find it done.
#define MAY_FAULT(op) (*(const hart_op *volatile *)&h->op = (op))

#define s(x) ((int64_t)(x))
#define u(x) ((uint64_t)(uint32_t)(x))
#define w(x) sign_extend32(x)

INLINE uint64_t rotate(uint64_t a, uint64_t right)
{
    return a >> (right & 63) | a << (-right & 63);
}

INLINE uint64_t or_combine(uint64_t a)
{
    uint64_t high = 0x8080808080808080ull;
    uint64_t nonzero = ((a | ((a & ~high) + ~high)) & high) >> 7;
    return nonzero * 255;
}

// An address behind the limit, if there was one.
typedef struct bad_access {
    bool is_bad;
    uint64_t address;
} bad_access;

// do_E executes one instruction, `a` being the value of x[rs1], and gives what it wrote to x[rd].
#define BODY(E)                                                                                    \
    INLINE uint64_t do_##E(const hart_op *op, hart *h, uint8_t *base, uint64_t limit, uint64_t a,  \
                           bad_access *bad)
#define UNUSED_MEMORY (void)base, (void)limit, (void)bad

#define REGISTER(E, result)                                                                        \
    BODY(E)                                                                                        \
    {                                                                                              \
        uint64_t b = h->x[op->rs2];                                                                \
        UNUSED_MEMORY;                                                                             \
        return h->x[op->rd] = (uint64_t)(result);                                                  \
    }
#define IMMEDIATE(E, result)                                                                       \
    BODY(E)                                                                                        \
    {                                                                                              \
        uint64_t b = (uint64_t)op->value;                                                          \
        UNUSED_MEMORY, (void)a, (void)b;                                                           \
        return h->x[op->rd] = (uint64_t)(result);                                                  \
    }
#define ADDRESS                                                                                    \
    uint64_t address = a + (uint64_t)op->value;                                                    \
    MAY_FAULT(op);                                                                                 \
    if (__builtin_expect(address >= limit, 0)) {                                                   \
        *bad = (bad_access){true, address};                                                        \
        return 0;                                                                                  \
    }
#define LOAD(E, bits, type)                                                                        \
    BODY(E)                                                                                        \
    {                                                                                              \
        ADDRESS                                                                                    \
        return h->x[op->rd] = (uint64_t)(int64_t)(type)GUEST(bits, base + address);                \
    }
#define STORE(E, bits)                                                                             \
    BODY(E)                                                                                        \
    {                                                                                              \
        ADDRESS                                                                                    \
        GUEST(bits, base + address) = (uint##bits##_t)h->x[op->rs2];                               \
        return 0;                                                                                  \
    }
#define LOAD_FLOAT(E, bits, box)                                                                   \
    BODY(E)                                                                                        \
    {                                                                                              \
        ADDRESS                                                                                    \
        h->f[op->rd] = (box) | GUEST(bits, base + address);                                        \
        return 0;                                                                                  \
    }
#define STORE_FLOAT(E, bits)                                                                       \
    BODY(E)                                                                                        \
    {                                                                                              \
        ADDRESS                                                                                    \
        GUEST(bits, base + address) = (uint##bits##_t)h->f[op->rs2];                               \
        return 0;                                                                                  \
    }
// test_E: whether the branch is taken.
#define BRANCH(E, condition)                                                                       \
    INLINE bool test_##E(const hart_op *op, const hart *h, uint64_t a)                             \
    {                                                                                              \
        uint64_t b = h->x[op->rs2];                                                                \
        return condition;                                                                          \
    }
#include "runtime/hart/integer.def"

#undef s
#undef u
#undef w

// Executes E at record `at`, x[rs1] being `a`; `result` gets what it wrote.
#define DO(E, at, a, result)                                                                       \
    do {                                                                                           \
        bad_access bad = {0};                                                                      \
        (result) = do_##E((at), h, base, limit, (a), &bad);                                        \
        if (__builtin_expect(bad.is_bad, 0))                                                       \
            GIVE_TO(hart_step_bad_access, (int64_t)bad.address);                                   \
    } while (0)

// Takes the indirect jump `from` to x[rs1] = a, plus its immediate.
#define FOLLOW_INDIRECT(from, a)                                                                   \
    do {                                                                                           \
        uint64_t pc = ((a) + (uint64_t)(from)->value) & ~1ull;                                     \
        h->x[(from)->rd] = (uint64_t)(from)[1].value;                                              \
        hart_jump *slot = hart_jump_slot(h, pc);                                                   \
        if (__builtin_expect(slot->pc != pc, 0)) {                                                 \
            h->pc = pc;                                                                            \
            op = (from);                                                                           \
            GIVE_TO(hart_step_away, budget);                                                       \
        }                                                                                          \
        ++*slot->entries;                                                                          \
        budget -= (from)->index + 1 - slot->index;                                                 \
        op = slot->op;                                                                             \
        h->budget = budget;                                                                        \
        if (__builtin_expect(budget < 0, 0))                                                       \
            GIVE_TO(hart_step_pause, budget);                                                      \
        GO(op);                                                                                    \
    } while (0)
