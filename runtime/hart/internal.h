// What the hart's files share: decoded records, blocks, handlers, guarded memory access.
#pragma once

#include "runtime/hart/hart.h"
#include "runtime/hart/softfloat.h"

typedef struct hart_block hart_block;

// Executes one instruction. Faults leave through hart_raise and friends; on return it has retired.
typedef void hart_handler(hart *h, const isa_instruction *in);

// Executes the instruction of `op`, or that and more behind it, and goes on with what follows
// (step.h). `budget` is h->budget, `base` and `limit` are the memory's. `self` is the step itself:
// it is at hand and needed no more, which leaves the register that x86 shifts by free.
#define STEP_PARAMETERS                                                                            \
    hart_op *op, hart *h, uint8_t *base, void *self, uint64_t limit, int64_t budget
typedef hart_op *hart_step(STEP_PARAMETERS);

// A decoded instruction, as dispatch reads it. Records of a block lie one behind the other.
struct hart_op {
    hart_step *step;
    uint8_t rd, rs1, rs2, rs3; // rd: x0 has become the slot for discarded writes
    uint16_t index;            // in its block
    union {
        int16_t cost;     // direct transfers: what a jump takes off the budget
        uint16_t illegal; // vector instructions: see vector.h
    };
    union {
        int64_t value;   // immediate; result of pc-relative instructions; behind jumps: their link
        hart_op *target; // direct transfers: the record jumped to, or a stub that finds it
        const isa_instruction *in; // what is executed by call
    };
    union {
        uint64_t taken;        // direct transfers: how often they jumped
        hart_handler *execute; // what is executed by call
    };
};

// What only slow paths need to know of a record.
typedef struct hart_op_detail {
    isa_instruction in;
    uint32_t offset; // pc - block->pc
    uint32_t native; // where its native step is; 0: there is none
} hart_op_detail;

// Straight-line code up to an unconditional transfer, an end record behind it. It is entered at any
// record and left by taken branches; no instruction is decoded twice.
struct hart_block {
    uint64_t pc;
    hart_block *next; // of all blocks
    hart_op_detail *details;
    uint64_t *entries; // executions that began there, less those that left before (modulo 2^64)
    uint16_t *opcodes; // of the instructions: what is counted lies close together
    uint8_t *direct;   // indices of direct transfers among them
    uint32_t count;    // instructions
    uint32_t direct_count;
    _Alignas(32) hart_op ops[];
};

enum { HART_LONGEST_BLOCK = 256 }; // instructions

// Where an indirect jump to pc goes; pc 1: unused. All it needs lies here: the record of what is
// seldom jumped to lies in no cache.
struct hart_jump {
    uint64_t pc;
    hart_op *op;
    int32_t index;     // of op
    uint32_t native;   // of op: where its native step is, or native code that jumps to its step
    uint64_t *entries; // of op
};
enum { HART_JUMPS = 1 << 12 };

static inline hart_jump *hart_jump_slot(const hart *h, uint64_t pc)
{
    return &h->jumps[(pc >> 1) % HART_JUMPS];
}

static inline hart_block *hart_op_block(const hart_op *op)
{
    return (hart_block *)((uint8_t *)(uintptr_t)(op - op->index) - offsetof(hart_block, ops));
}
static inline hart_op_detail *hart_op_details(const hart_op *op)
{
    return &hart_op_block(op)->details[op->index];
}
static inline uint64_t *hart_op_entries(const hart_op *op)
{
    return &hart_op_block(op)->entries[op->index];
}
static inline uint64_t hart_op_pc(const hart_op *op)
{
    return hart_op_block(op)->pc + hart_op_details(op)->offset;
}

// ---- memory.c
// Accesses start below the limit; those that cross it hit a guard of this many bytes.
enum { HART_MEMORY_GUARD = 1 << 20 };
uint8_t *hart_memory_base(const hart_memory *m);

// ---- cache.c
bool hart_cache_create(hart *h);
void hart_cache_destroy(hart *h);
// The record of the instruction at h->pc, decoded if need be. Raises fetch faults; may drop all
// other records. Resolves h->unlinked and the jump slot of that pc.
hart_op *hart_cache_find(hart *h);
void hart_cache_count(hart *h, unsigned opcode, uint64_t times);

// ---- run.c
// Between instructions: `op` is the next one. Undoes what only holds while h->op is being executed.
void hart_leave(hart *h, const hart_op *op);
uint64_t hart_retired_now(const hart *h); // instructions before h->op

// ---- steps.c
hart_step *hart_step_of(unsigned opcode);     // of this one instruction alone; NULL: none
bool hart_op_writes_integer(unsigned opcode); // x[rd], by a step of its own
bool hart_op_is_direct(unsigned opcode);      // conditional branches and jal
// Tells the watcher, and goes on with the instruction's own step.
hart_step hart_step_watched;
// Leave the loop: with `op` as the next instruction; with h->pc as the next one, `op` has retired.
hart_step hart_step_pause, hart_step_away;
// h->op accesses an address behind the limit: `budget`.
hart_step hart_step_bad_access;
// Records that are no instruction: the end of a block that goes on at its target; the address where
// hart_run ends; the target of transfers that have not been taken yet (`target`: of whom).
hart_step hart_step_end, hart_step_returned, hart_step_stub;

// ---- vector_config.c
#define HART_NOT_FULL UINT32_MAX
#define HART_SHORT (1u << 24)
// To be called where vl or vstart have changed, but by faults and by instructions that end with
// vstart 0.
void hart_update_full(hart *h);

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

// ---- xlut.c, xlut_run.c
// Tiles that refer to memory become copies, before somebody else looks at them or at memory.
void hart_settle_tiles(hart *h);
// Runs: Xlut instructions, the integer arithmetic between them and branches back among them,
// decoded for execution as a whole.
typedef struct hart_xlut_run hart_xlut_run;
unsigned hart_xlut_run_length(const hart_op *op); // of that which begins here; 0: none does
size_t hart_xlut_run_bytes(const hart_op *op, unsigned length);
void hart_xlut_prepare_run(hart_xlut_run *run, hart_op *op, unsigned length, const lut_unit *lut);
// How many ops from this one on only compute with integer registers, or do nothing.
unsigned hart_xlut_run_arithmetic(const hart_xlut_run *run, unsigned at);
// Has machine code execute them: a function of the hart, the second argument.
typedef void hart_run_code(const hart_op *op, hart *h);
void hart_xlut_run_use(hart_xlut_run *run, unsigned at, unsigned count, hart_run_code *code);
// Of a hart with that LUT unit that nobody observes. Gives the record to go on at; NULL: the one
// behind the run.
hart_op *hart_xlut_execute_run(hart *h, const hart_xlut_run *run);

// Single ones, decoded likewise: called directly by machine code. False: there is no such way.
typedef struct hart_xlut_single hart_xlut_single;
size_t hart_xlut_single_bytes(void);
bool hart_xlut_prepare_single(hart_xlut_single *single, const hart_op *op, const lut_unit *lut);
enum { HART_SINGLE_RECORD = 0, HART_SINGLE_EXECUTE = 8 }; // where it holds record and function

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

// Division as the M extension and V define it: by zero, and of the least number by -1.
static inline int64_t divide_signed(int64_t a, int64_t b)
{
    if (b == 0)
        return -1;
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static inline int64_t remainder_signed(int64_t a, int64_t b)
{
    if (b == 0)
        return a;
    return b == -1 ? 0 : a % b;
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
