// What the hart's files share: decoded records, blocks, handlers, guarded memory access.
#pragma once

#include "runtime/hart/hart.h"
#include "runtime/hart/softfloat.h"

// Executes one instruction. Faults leave through hart_raise and friends; on return it has retired.
typedef void hart_handler(hart *h, const isa_instruction *in);

// A decoded instruction, ready for dispatch. Records of a block lie one behind the other.
struct hart_op {
    const void *label;     // where run.c executes it
    hart_handler *execute; // for the labels that call
    int64_t value;         // immediate; target or result address of pc-relative instructions
    uint32_t offset;       // pc - block->pc
    uint8_t rd, rs1, rs2;  // rd: x0 has become the slot for discarded writes
    isa_instruction in;
};

// Straight-line code: entered at its first instruction only; what may change pc ends it.
struct hart_block {
    uint64_t pc;
    uint64_t executions;   // completed or in progress
    hart_block *taken;     // successor when the final branch is taken, if known
    hart_block *next;      // successor otherwise
    hart_block *collision; // in the cache's hash chain
    uint32_t count;        // instructions; an end marker follows them
    uint32_t bytes;
    hart_op ops[];
};

// ---- memory.c
// Accesses start below the limit; those that cross it hit a guard of this many bytes.
enum { HART_MEMORY_GUARD = 1 << 20 };
uint8_t *hart_memory_base(const hart_memory *m);

// ---- cache.c
bool hart_cache_create(hart *h);
void hart_cache_destroy(hart *h);
// The block at pc, decoded if need be. Raises fetch faults; may drop all other blocks, then
// *dropped is set (pointers to blocks are stale).
hart_block *hart_cache_find(hart *h, uint64_t pc, bool *dropped);
// A block of its own for the first instruction of `block`.
hart_block *hart_cache_single(hart *h, const hart_block *block);
bool hart_cache_is_single(const hart *h, const hart_block *block);
void hart_cache_count(hart *h, unsigned opcode, uint64_t times);
hart_block *hart_cache_jump(hart *h, uint64_t pc); // quick: NULL when not at hand
uint64_t hart_retired_now(const hart *h);          // instructions before h->op

// ---- run.c
typedef struct hart_labels {
    const void *opcode[ISA_OPCODE_COUNT]; // NULL: call `execute`
    const void *call, *end, *returned;
} hart_labels;
const hart_labels *hart_run_labels(void);
// Whether the instruction is executed by a label of its own that writes an integer rd.
bool hart_op_writes_integer(unsigned opcode);

// ---- handlers.c
typedef struct hart_handler_row {
    uint16_t opcode;
    hart_handler *execute;
} hart_handler_row;
// Tables of the files below; a row of opcode ISA_ILLEGAL ends each.
extern const hart_handler_row hart_system_rows[], hart_atomic_rows[], hart_float_rows[],
    hart_float_convert_rows[], hart_vector_config_rows[], hart_vector_integer_rows[],
    hart_vector_widen_rows[], hart_vector_fixed_rows[], hart_vector_mask_rows[],
    hart_vector_reduce_rows[], hart_vector_permute_rows[], hart_vector_memory_rows[],
    hart_vector_float_rows[], hart_vector_float_fused_rows[], hart_vector_float_convert_rows[],
    hart_xlut_rows[];
hart_handler *hart_handler_of(unsigned opcode); // NULL: none

// ---- trap.c
_Noreturn void hart_raise(hart *h, hart_cause cause, uint64_t address);
_Noreturn void hart_raise_illegal(hart *h);
// A load or store fault, as the instruction in progress is one or the other.
_Noreturn void hart_raise_access(hart *h, uint64_t address);
// Idempotent; called at every start, for others in the process may have taken the signals.
void hart_catch_host_faults(void);
// The hart that runs on this host thread; NULL: none.
void hart_set_running(hart *h);
hart *hart_running(void);

static inline void hart_require(hart *h, bool legal)
{
    if (!legal)
        hart_raise_illegal(h);
}

static inline void hart_write_x(hart *h, unsigned rd, uint64_t value)
{
    h->x[rd ? rd : 32] = value;
}

static inline int64_t sign_extend32(uint64_t value)
{
    return (int32_t)(uint32_t)value;
}

// Guest memory at any alignment; the host's protection raises what the bound does not.
typedef struct __attribute__((packed, may_alias)) guest_u8 {
    uint8_t value;
} guest_u8;
typedef struct __attribute__((packed, may_alias)) guest_u16 {
    uint16_t value;
} guest_u16;
typedef struct __attribute__((packed, may_alias)) guest_u32 {
    uint32_t value;
} guest_u32;
typedef struct __attribute__((packed, may_alias)) guest_u64 {
    uint64_t value;
} guest_u64;

#define GUEST(bits, host) (((volatile guest_u##bits *)(host))->value)

static inline uint8_t *hart_host(hart *h, uint64_t address)
{
    if (__builtin_expect(address >= h->memory_limit, 0))
        hart_raise_access(h, address);
    return h->memory_base + address;
}

// Rounding mode of an instruction; illegal when reserved.
static inline uint8_t hart_rounding(hart *h, unsigned rm)
{
    unsigned mode = rm == ROUND_DYNAMIC ? h->frm : rm;
    hart_require(h, mode <= ROUND_NEAREST_AWAY);
    return (uint8_t)mode;
}
