// Writing x86-64 code for native steps: the state of a translation, and the encoder.
//
// Registers: the arguments of a step in theirs (rdi: the record at which the code was entered, rsi:
// the hart, rdx: guest memory, r8: its limit, r9: the budget); rax, rcx and r10 are free.
#pragma once

#include "runtime/hart/native.h"

#include <string.h>

enum {
    MOST_PENDING = 64,
    MOST_EXITS = 16 * HART_LONGEST_BLOCK,
    MOST_JUMPS = 8192,
};

// A host instruction that accesses guest memory. One that only tries goes where a jump leads
// instead of a fault: the end of that jump's distance.
typedef struct site {
    uint32_t offset, otherwise; // 0: none
    const hart_op *op;
} site;

// A jump behind the stretch, and what is done there.
typedef enum exit_kind {
    EXIT_TRANSFER,
    EXIT_BAD_ACCESS,
    EXIT_HANDLER, // calls the record's handler and comes back
    EXIT_EXACT,   // the same, unless the float result at hand proves to be exact
    EXIT_SMALL,   // the same, unless small results of vectors need no care
    EXIT_STEP,    // calls the handler, and goes on with the step of the next record
    EXIT_IDLE,    // does nothing: vl is 0
    EXIT_LENGTH,  // vector instructions that may have to leave elements behind vl alone
} exit_kind;
// Results of vector instructions stay in host registers for those behind: the first host registers
// have the values of these places in the vector registers, which are always written as well. `next`
// is where the next result goes.
enum { MOST_HELD = 8 };
typedef struct held_vectors {
    uint16_t place[MOST_HELD]; // 1 more than its byte; 0: none
    uint8_t next;
    uint8_t width; // of each, as translation.width
    bool dirty;    // upper parts of host registers
} held_vectors;

typedef struct exit_stub {
    uint32_t from;  // end of the distance that leads there
    uint32_t back;  // behind the instruction
    uint32_t store; // where it stores its result
    uint8_t first;  // host register of the first result
    uint8_t count;  // of results, in host vectors
    uint8_t width;  // of those, as translation.width
    uint32_t shape; // that is expected
    hart_op *op;
    const hart_op *end; // EXIT_LENGTH: behind the instructions
    exit_kind kind;
    bool masked;                // in code for any vl
    held_vectors before, after; // what is held there, and where it comes back
} exit_stub;

// What vector instructions behind one that has found it out need not look at again. Who finds
// something else leaves for code that assumes nothing.
enum {
    KNOWN_ELEMENTS = 1, // hart.full is as expected
    KNOWN_NEAREST_EVEN = 2,
    KNOWN_MASKS = 4, // of elements behind vl are there
};

// A jump to the native code of a record.
typedef struct jump {
    uint32_t from;
    hart_op *to;
} jump;

typedef struct translation {
    hart_native *n;
    hart_op *start; // rdi, as long as no transfer is taken
    uint8_t held;   // guest register whose value is in rax
    uint32_t boxed; // set of float registers that hold a NaN-boxed f32
    uint32_t shape; // hart.shape, as it is expected to be
    uint8_t width;  // log2 of the chunks of 16 bytes of a host vector
    bool masked;    // code for any vl is written
    bool partial;   // elements behind vl are left alone
    uint8_t known;  // KNOWN_...
    held_vectors vectors;
    bool repeated[HART_LONGEST_BLOCK]; // records of the block, that its branches go back to
    hart_op *pending[MOST_PENDING];
    unsigned pending_count;
    exit_stub exits[MOST_EXITS];
    unsigned exit_count, straight; // exits; those in front of what is straight vector code
    jump jumps[MOST_JUMPS];
    unsigned jump_count;
} translation;

struct hart_native {
    uint8_t *writable, *executable; // the same memory
    uint32_t used, fixed;           // fixed: what is not flushed
    uint32_t data;                  // where data begins that code refers to, behind all code
    uint32_t pause, bad_access;     // code that jumps to these steps
    uint32_t indirect;              // and to that of indirect jumps
    uint32_t call;                  // code that calls the handler of the record in r10
    uint32_t call_run;              // code that executes the run at r10
    uint32_t call_single;           // code that executes the Xlut instruction at r10
    uint32_t step;                  // code that jumps to the step of the record that rdi points to
    uint32_t constants;             // of vectors
    bool avx512;                    // vectors are in EVEX encoding
    const hart *hart;               // whose code it is
    site *sites;                    // in the order of their offsets
    size_t site_count, site_capacity;
    const lut_unit *lut;     // of the hart
    translation translation; // the one in progress
};

// ---- native_code.c
// Asks for native code of the first record, from this one on, of which there can be some.
void hart_native_request(translation *t, hart_op *op);
// Writes it, from this record to the end of its block or to what has its own.
void hart_native_write(translation *t, hart_op *op);

void hart_native_exit_if(translation *t, unsigned condition, hart_op *op, exit_kind kind);

// ---- native_integer.c
bool hart_native_is_integer(unsigned opcode);
void hart_native_write_integer(translation *t, hart_op *op);
// Asks the host for the lines of these bytes at x[rs1] + offset.
void hart_native_write_prefetch(translation *t, unsigned rs1, int64_t offset, uint32_t bytes);
// r10 = x[rs1] + offset, below the memory's limit.
void hart_native_address(translation *t, hart_op *op, int64_t offset);
// The next host instruction is an access of op's to guest memory.
void hart_native_site(translation *t, const hart_op *op);
// The same, and where it faults the exit that was written last is taken.
void hart_native_trying_site(translation *t, const hart_op *op);

// Instead of a call of the handler; exits of kind EXIT_HANDLER come back behind it. False: nothing
// has been written.
// ---- native_float.c
bool hart_native_write_float(translation *t, hart_op *op);
// Goes on at `store` if the f32 result in xmm0 is exact.
void hart_native_if_exact(translation *t, const hart_op *op, uint32_t store);
// Unless these hold, the handler is called: nearest-even; inexact is raised already; f[r] is an
// f32.
void hart_native_require_nearest_even(translation *t, hart_op *op);
void hart_native_require_rounding(translation *t, hart_op *op); // as rm says
void hart_native_require_inexact(translation *t, hart_op *op);
void hart_native_require_box(translation *t, hart_op *op, unsigned r);
// ---- native_move.c
bool hart_native_write_move(translation *t, hart_op *op);
// ---- native_vector.c
bool hart_native_write_vector(translation *t, hart_op *op);
bool hart_native_is_vector(unsigned opcode); // that knows what is held
// Goes on where results are stored if they are finite, and either underflow is raised already, or
// all that are not normal are those of a factor 0, which are exact.
void hart_native_if_small(translation *t, const exit_stub *e);
// No vector is held, and the upper halves of host registers are clean, for code that knows none.
void hart_native_leave_vectors(translation *t);
// What is held becomes this.
void hart_native_hold_again(translation *t, const held_vectors *wanted);
bool hart_native_configures(unsigned opcode); // writes vtype
// Whether the instruction configures what is configured so already.
bool hart_native_is_configured(const translation *t, const hart_op *op);
// The masks that code for any vl assumes.
void hart_native_write_masks(translation *t);
// What hart.shape will probably be at this record.
uint32_t hart_native_expected_shape(const translation *t, const hart_op *op);

// ------------------------------------------------------------------- encoding

enum { RAX, RCX, RDX, RSI = 6, RDI, R8, R9, R10 };
enum { NO_REGISTER = 255, WIDE = 1, NARROW = 0, TWO_BYTES = 0x0f00 };

static inline void byte(translation *t, unsigned value)
{
    t->n->writable[t->n->used++] = (uint8_t)value;
}

static inline void word(translation *t, uint32_t value)
{
    memcpy(t->n->writable + t->n->used, &value, 4);
    t->n->used += 4;
}

static inline void long_word(translation *t, uint64_t value)
{
    memcpy(t->n->writable + t->n->used, &value, 8);
    t->n->used += 8;
}

static inline void prefixed(translation *t, unsigned rex, unsigned code)
{
    if (rex)
        byte(t, 0x40 | rex);
    if (code & TWO_BYTES)
        byte(t, 0x0f);
    byte(t, code & 0xff);
}

// code reg, [base + offset]; base is rsi, rdi or rcx. For codes without a register, reg extends
// them.
static inline void with_memory(translation *t, unsigned wide, unsigned code, unsigned reg,
                               unsigned base, int32_t offset)
{
    bool is_near = offset >= -128 && offset < 128;
    prefixed(t, wide << 3 | reg >> 3 << 2, code);
    byte(t, (is_near ? 0x40 : 0x80) | (reg & 7) << 3 | base);
    if (is_near)
        byte(t, (uint8_t)offset);
    else
        word(t, (uint32_t)offset);
}

// code reg, rm
static inline void with_register(translation *t, unsigned wide, unsigned code, unsigned reg,
                                 unsigned rm)
{
    prefixed(t, wide << 3 | reg >> 3 << 2 | rm >> 3, code);
    byte(t, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

// code reg, [rdx + r10]: guest memory.
static inline void with_guest(translation *t, unsigned wide, unsigned code, unsigned reg)
{
    prefixed(t, wide << 3 | 2, code);
    byte(t, (reg & 7) << 3 | 4);
    byte(t, (R10 & 7) << 3 | RDX);
}

// One of the eight operations with an immediate: add 0, or 1, and 4, sub 5, xor 6, cmp 7.
static inline void with_immediate(translation *t, unsigned wide, unsigned operation, unsigned rm,
                                  int32_t value)
{
    bool is_short = value >= -128 && value < 128;
    with_register(t, wide, is_short ? 0x83 : 0x81, operation, rm);
    if (is_short)
        byte(t, (uint8_t)value);
    else
        word(t, (uint32_t)value);
}

static inline void jump_to_offset(translation *t, uint32_t to)
{
    byte(t, 0xe9);
    word(t, to - (t->n->used + 4));
}

// A conditional jump to code that is not there yet; where its distance ends.
static inline uint32_t jump_if(translation *t, unsigned condition)
{
    prefixed(t, 0, TWO_BYTES | 0x80 | condition);
    word(t, 0);
    return t->n->used;
}

// The same, unconditional.
static inline uint32_t jump_ahead(translation *t)
{
    jump_to_offset(t, 0);
    return t->n->used;
}

static inline void arrive(translation *t, uint32_t from)
{
    uint32_t distance = t->n->used - from;
    memcpy(t->n->writable + from - 4, &distance, 4);
}

// Conditions of jumps, sets and moves.
enum {
    OVERFLOW = 0,
    BELOW = 2,
    ABOVE_EQUAL = 3,
    EQUAL = 4,
    NOT_EQUAL = 5,
    ABOVE = 7,
    SIGN = 8,
    PARITY = 10, // of a comparison: unordered
    LESS = 12,
    GREATER_EQUAL = 13,
    GREATER = 15
};

// Of a member of a record, from rdi.
static inline int32_t at_op(const translation *t, const hart_op *op, size_t member)
{
    return (int32_t)((op - t->start) * (ptrdiff_t)sizeof(hart_op) + (ptrdiff_t)member);
}
static inline int32_t at_x(unsigned r)
{
    return (int32_t)(offsetof(hart, x) + 8 * r);
}
static inline int32_t at_f(unsigned r)
{
    return (int32_t)(offsetof(hart, f) + 8 * r);
}

// f[r] = rax, of which only the low half matters if it is narrow.
static inline void store_float(translation *t, bool wide, unsigned r)
{
    if (!wide) {
        prefixed(t, WIDE << 3 | R10 >> 3, 0xb8 | (R10 & 7));
        long_word(t, 0xffffffff00000000);
        with_register(t, WIDE, 0x0b, RAX, R10);
    }
    with_memory(t, WIDE, 0x89, RAX, RSI, at_f(r));
    t->boxed = wide ? t->boxed & ~(1u << r) : t->boxed | 1u << r;
    t->held = NO_REGISTER;
}

static inline void load_x(translation *t, unsigned reg, unsigned r)
{
    with_memory(t, WIDE, 0x8b, reg, RSI, at_x(r));
}

static inline void load_rax(translation *t, unsigned r)
{
    if (t->held != r)
        load_x(t, RAX, r);
    t->held = (uint8_t)r;
}

// rax is the result. Writes to x0 have no effect.
static inline void store_rd(translation *t, const hart_op *op)
{
    t->held = NO_REGISTER;
    if (op->rd == 32)
        return;
    with_memory(t, WIDE, 0x89, RAX, RSI, at_x(op->rd));
    t->held = op->rd;
}

static inline void store_condition(translation *t, const hart_op *op, unsigned condition)
{
    prefixed(t, 0, TWO_BYTES | 0x90 | condition); // set
    byte(t, 0xc0);
    with_register(t, NARROW, TWO_BYTES | 0xb6, RAX, RAX);
    store_rd(t, op);
}

static inline void sign_extend_rax(translation *t)
{
    byte(t, 0x48);
    byte(t, 0x98);
}

static inline void constant_to_rax(translation *t, int64_t value)
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
