// A, and fences: on host atomics, sequentially consistent whatever aq and rl say.

#include "runtime/hart/internal.h"

// The host address of an aligned atomic operand.
static void *atomic_host(hart *h, const isa_instruction *in, unsigned size)
{
    uint64_t address = h->x[in->rs1];
    bool load = in->opcode == ISA_LR_W || in->opcode == ISA_LR_D;
    if (address % size != 0)
        hart_raise(h, load ? HART_LOAD_MISALIGNED : HART_STORE_MISALIGNED, address);
    return hart_host(h, address);
}

//   AMO(name, new value from old and b); W: 32 bits, D: 64 bits; S: signed type, U: unsigned type
#define AMO_ROWS(AMO)                                                                              \
    AMO(AMOSWAP, U, b)                                                                             \
    AMO(AMOADD, U, old + b)                                                                        \
    AMO(AMOXOR, U, old ^ b)                                                                        \
    AMO(AMOAND, U, old &b)                                                                         \
    AMO(AMOOR, U, old | b)                                                                         \
    AMO(AMOMIN, S, old < b ? old : b)                                                              \
    AMO(AMOMAX, S, old > b ? old : b)                                                              \
    AMO(AMOMINU, U, old < b ? old : b)                                                             \
    AMO(AMOMAXU, U, old > b ? old : b)

typedef int32_t type_S32;
typedef uint32_t type_U32;
typedef int64_t type_S64;
typedef uint64_t type_U64;

#define DEFINE_SIZE(E, size, type, expression)                                                     \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        type *at = atomic_host(h, in, sizeof(type));                                               \
        type b = (type)h->x[in->rs2], old = __atomic_load_n(at, __ATOMIC_SEQ_CST);                 \
        while (!__atomic_compare_exchange_n(at, &old, (type)(expression), true, __ATOMIC_SEQ_CST,  \
                                            __ATOMIC_SEQ_CST))                                     \
            ;                                                                                      \
        hart_write_x(h, in->rd, (uint64_t)(int64_t)(int##size##_t)old);                            \
    }
#define DEFINE(E, kind, expression)                                                                \
    DEFINE_SIZE(E##_W, 32, type_##kind##32, expression)                                            \
    DEFINE_SIZE(E##_D, 64, type_##kind##64, expression)
AMO_ROWS(DEFINE)

// A store-conditional succeeds when it has the address and size of the last load-reserved and
// memory still holds what was read.
#define DEFINE_RESERVED(suffix, size)                                                              \
    static void execute_LR_##suffix(hart *h, const isa_instruction *in)                            \
    {                                                                                              \
        uint##size##_t *at = atomic_host(h, in, size / 8);                                         \
        uint##size##_t value = __atomic_load_n(at, __ATOMIC_SEQ_CST);                              \
        h->reservation = h->x[in->rs1];                                                            \
        h->reservation_bits = size;                                                                \
        h->reserved_value = value;                                                                 \
        hart_write_x(h, in->rd, (uint64_t)(int64_t)(int##size##_t)value);                          \
    }                                                                                              \
    static void execute_SC_##suffix(hart *h, const isa_instruction *in)                            \
    {                                                                                              \
        uint##size##_t *at = atomic_host(h, in, size / 8);                                         \
        uint##size##_t expected = (uint##size##_t)h->reserved_value;                               \
        bool done = h->reservation == h->x[in->rs1] && h->reservation_bits == size &&              \
                    __atomic_compare_exchange_n(at, &expected, (uint##size##_t)h->x[in->rs2],      \
                                                false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
        h->reservation = 1;                                                                        \
        hart_write_x(h, in->rd, !done);                                                            \
    }
DEFINE_RESERVED(W, 32)
DEFINE_RESERVED(D, 64)

// Of all kinds the strongest, which orders stores before loads as well.
static void execute_FENCE(hart *h, const isa_instruction *in)
{
    (void)in;
#ifdef LUTRA_SANITIZE_THREAD // which does not know fences
    __atomic_fetch_add(&h->reservation, 0, __ATOMIC_SEQ_CST);
#else
    (void)h;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

const hart_handler_row hart_atomic_rows[] = {
#define ROW(E, kind, expression) {ISA_##E##_W, execute_##E##_W}, {ISA_##E##_D, execute_##E##_D},
    AMO_ROWS(ROW)
#undef ROW
        {ISA_LR_W, execute_LR_W},
    {ISA_SC_W, execute_SC_W},
    {ISA_LR_D, execute_LR_D},
    {ISA_SC_D, execute_SC_D},
    {ISA_FENCE, execute_FENCE},
    {ISA_FENCE_TSO, execute_FENCE},
    {ISA_ILLEGAL, NULL},
};
