// Writing x86-64 code for native steps: the state of a translation, and the encoder.
//
// Registers: the arguments of a step in theirs (rdi: the record at which the code was entered, rsi:
// the hart, rdx: guest memory, r8: its limit, r9: the budget); rax, rcx and r10 are free.
#pragma once

#include "runtime/hart/native.h"

#include <string.h>

enum {
    MOST_PENDING = 64,
    MOST_EXITS = 8 * HART_LONGEST_BLOCK,
    MOST_JUMPS = 8192,
};

// A host instruction that accesses guest memory.
typedef struct site {
    uint32_t offset;
    const hart_op *op;
} site;

// A jump behind the stretch, and what is done there.
typedef enum exit_kind {
    EXIT_TRANSFER,
    EXIT_BAD_ACCESS,
    EXIT_HANDLER, // calls the record's handler and comes back
    EXIT_EXACT,   // the same, unless the float result at hand proves to be exact
} exit_kind;
typedef struct exit_stub {
    uint32_t from;  // end of the distance that leads there
    uint32_t back;  // behind the instruction
    uint32_t store; // where it stores its result
    hart_op *op;
    exit_kind kind;
} exit_stub;

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
    hart_op *pending[MOST_PENDING];
    unsigned pending_count;
    exit_stub exits[MOST_EXITS];
    unsigned exit_count;
    jump jumps[MOST_JUMPS];
    unsigned jump_count;
} translation;

struct hart_native {
    uint8_t *writable, *executable; // the same memory
    uint32_t used, fixed;           // fixed: what is not flushed
    uint32_t pause, bad_access;     // code that jumps to these steps
    uint32_t call;                  // code that calls the handler of the record in r10
    uint32_t call_run;              // code that executes the run at r10
    site *sites;                    // in the order of their offsets
    size_t site_count, site_capacity;
    translation translation; // the one in progress
};

// ---- native_code.c
// Asks for native code of the first record, from this one on, of which there can be some.
void hart_native_request(translation *t, hart_op *op);
// Writes it, from this record to the end of its block or to what has its own.
void hart_native_write(translation *t, hart_op *op);

void hart_native_exit_if(translation *t, unsigned condition, hart_op *op, exit_kind kind);

// ---- native_float.c
// How native code executes an opcode; code 0: not at all.
typedef struct native_float {
    bool wide; // f64
    bool fused;
    bool may_be_small; // without a flag or an error
    uint8_t code;
} native_float;
native_float hart_native_float(const isa_instruction *in);
void hart_native_write_float(translation *t, hart_op *op, native_float row);
// Goes on at `store` if the f32 result in xmm0 is exact.
void hart_native_if_exact(translation *t, const hart_op *op, uint32_t store);

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

// code reg, [base + offset]; base is rsi or rdi. For codes without a register, reg extends them.
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

static inline void arrive(translation *t, uint32_t from)
{
    uint32_t distance = t->n->used - from;
    memcpy(t->n->writable + from - 4, &distance, 4);
}

// Conditions of jumps, sets and moves.
enum {
    BELOW = 2,
    ABOVE_EQUAL = 3,
    EQUAL = 4,
    NOT_EQUAL = 5,
    ABOVE = 7,
    SIGN = 8,
    LESS = 12,
    GREATER_EQUAL = 13,
    GREATER = 15
};

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
