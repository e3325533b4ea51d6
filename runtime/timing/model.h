// The timing model of one hart: what each instruction waits for, when it issues, what it moves.
// docs/timing.md says what is modelled and how.
#pragma once

#include "isa/cost.h"
#include "runtime/hart/hart.h"
#include "runtime/timing/memory.h"

// Why the front waits. Results and units first, a row per unit each.
// REASON(enumerator, name)
#define TIMING_REASONS(REASON)                                                                     \
    REASON(DATA, "data from memory")                                                               \
    REASON(REGISTER, "registers that are still read")                                              \
    REASON(BRANCH, "mispredicted branches")                                                        \
    REASON(FENCE, "fences")                                                                        \
    REASON(HARTS, "other harts at a barrier")

enum {
    TIMING_RESULT = 0,            // + unit: an operand that the unit computes
    TIMING_BUSY = ISA_UNIT_COUNT, // + unit: the unit
    TIMING_OTHER = 2 * ISA_UNIT_COUNT - 1,
#define REASON(E, name) TIMING_##E,
    TIMING_REASONS(REASON)
#undef REASON
        TIMING_REASON_COUNT
};
// "LUT array: result", "LUT array: busy", "data from memory"
void timing_reason_print(unsigned reason, text *out);

// What is counted of each instruction of the program, and added up for groups of them.
typedef struct timing_counts {
    uint64_t instructions;
    uint64_t cycles; // from the issue of the one before it to its own
    uint64_t stalls[TIMING_REASON_COUNT];
    uint64_t busy[ISA_UNIT_COUNT]; // of units, in cycles
    uint64_t lookups, multiplies;
    uint64_t read, written;          // bytes of memory that it names
    uint64_t memory_lines, l2_lines; // that it moved from or to them
    double energy;                   // joules of units: isa_cost.energy without that of issue
} timing_counts;
void timing_counts_add(timing_counts *sum, const timing_counts *other);
// Joules of issue, units, and bytes and lines moved.
double timing_counts_energy(const timing_counts *c, const machine *m);

enum { TIMING_X = 0, TIMING_F = 32, TIMING_V = 64, TIMING_LT = 96, TIMING_REGISTERS = 128 };
enum { TIMING_MOST_SOURCES = 40 };

// How an instruction uses memory.
typedef enum timing_use {
    TIMING_NOTHING,
    TIMING_LOADS,      // one piece at x[rs1] + imm
    TIMING_STORES,     // one piece there
    TIMING_PREFETCHES, // lines there
    TIMING_MORE,       // as observe_accesses tells
} timing_use;

// An instruction at a place in the program. What every execution needs comes first.
typedef struct timing_op {
    uint64_t pc;
    struct timing_op *behind; // that was executed behind it, the last time
    struct timing_op *next;   // in its bucket
    uint64_t shape;           // of vectors or rows, for which what follows holds
    uint32_t word, busy, latency;
    bool is_shaped;   // what it does depends on `shape`
    uint8_t access;   // timing_use
    bool needs_data;  // before its unit begins
    bool is_transfer; // may go on elsewhere
    bool is_fence;
    bool chains;  // takes element after element
    uint8_t unit; // isa_unit
    uint8_t sums; // register that it adds to; 0: none
    uint8_t result, result_count;
    uint8_t source_count, sources[TIMING_MOST_SOURCES];
    uint64_t executed;    // with this shape
    timing_counts counts; // without those, but for cycles, stalls and lines
    isa_instruction in;
    isa_class class;
    isa_cost cost;
} timing_op;

typedef struct timing_hart {
    const machine *machine;
    hart *hart;
    timing_memory *memory;
    uint64_t now;   // cycle in which the next instruction can issue
    unsigned slots; // taken in that cycle
    // By register: when it is there, how much earlier its first elements are, and why that late;
    // until when it is being read, and why that long.
    uint64_t ready[TIMING_REGISTERS], read_until[TIMING_REGISTERS];
    uint32_t early[TIMING_REGISTERS];
    uint8_t reason[TIMING_REGISTERS], read_reason[TIMING_REGISTERS];
    uint64_t free[ISA_UNIT_COUNT]; // when the unit takes the next instruction, and why that late
    uint8_t busy_reason[ISA_UNIT_COUNT];
    timing_op *transfer;     // the last instruction, if it may have jumped or waited
    const uint64_t *barrier; // when all harts had come to it; NULL: it is at none
    timing_op *last;         // instruction
    timing_op **buckets;
    size_t op_count;
    uint64_t issue; // the last one
    // Told of each instruction, and when its unit works on it. NULL: nobody.
    void (*issued)(void *context, const timing_op *op, uint64_t begin, uint64_t end);
    void *issued_context;
} timing_hart;

// `memory` is borrowed.
timing_hart *timing_hart_create(const machine *m, hart *h, timing_memory *memory);
void timing_hart_destroy(timing_hart *t); // NULL is fine
// The instruction at the hart's pc is about to execute: a hart_watcher.
void timing_watch(void *context, hart *h, const isa_instruction *in);
// When everything is done that was issued.
uint64_t timing_end(const timing_hart *t);
// Nothing issues before.
void timing_wait_until(timing_hart *t, uint64_t cycle);
// The hart has come to a barrier; *passed is set before it goes on.
void timing_barrier(timing_hart *t, const uint64_t *passed);

// All instructions that were executed, in no order.
typedef void timing_visit(void *context, const timing_op *op);
void timing_each(timing_hart *t, timing_visit *visit, void *context);

// ---- operands.c
// Registers, cost and kind of the instruction `in`.
void timing_prepare(timing_op *op, const machine *m);
// The same, of what depends on the shape: vectors, rows of lut.lda and lut.sta.
void timing_reshape(timing_op *op, const machine *m, const hart *h);
uint64_t timing_shape(const timing_op *op, const hart *h);
// Adds what was executed with the current shape to the counts.
void timing_settle(timing_op *op);

// ---- access.c
// Moves what the instruction touches, from cycle `at` on.
timing_request timing_access(timing_hart *t, timing_op *op, uint64_t at);
