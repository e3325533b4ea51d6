// Runs of Xlut instructions, decoded: what xlut_run.c, which executes them, and xlut_loop.c, which
// executes loops among them as a whole, share.
#pragma once

#include "runtime/hart/xlut.h"

// The arithmetic that stands between Xlut instructions.
#define EACH_ARITHMETIC(DO)                                                                        \
    DO(ADDI, a + (uint64_t)op->value)                                                              \
    DO(ADD, a + b)                                                                                 \
    DO(MUL, a *b)                                                                                  \
    DO(SLLI, a << op->value)                                                                       \
    DO(SRLI, a >> op->value)                                                                       \
    DO(SH1ADD, (a << 1) + b)                                                                       \
    DO(SH2ADD, (a << 2) + b)                                                                       \
    DO(SH3ADD, (a << 3) + b)

typedef enum run_kind {
    RUN_NOTHING, // of these
    RUN_LOAD,
    RUN_LMMA,
    RUN_DEQUANTIZE,
    RUN_OFFSET,
    RUN_ZERO,
    RUN_WHOLE,    // lut.sta, lut.st, lut.tbl
    RUN_PREFETCH, // does nothing
    RUN_OTHER,    // Xlut
    RUN_BRANCH,   // back to an instruction of the run
#define KIND(E, result) RUN_##E,
    EACH_ARITHMETIC(KIND)
#undef KIND
} run_kind;

typedef struct run_op {
    const isa_instruction *in;
    const lut_lmma *choice; // of an lmma
    int32_t value;          // immediate
    uint8_t kind;
    uint8_t rd, rs1, rs2, half;
    uint8_t loop;       // the number of the loop that starts here, or that this branch ends
    lut_place place[2]; // of memory operands, in even loops
} run_op;

enum { NO_LOOP = 255, MOST_CHANGES = 8 };

// Memory that a loop reads at addresses which advance by the same in each round: from `low` to
// `high` behind the sum of two registers (of which x0 can be one) as they are at the start of the
// round. `aligned` behind it is aligned.
typedef struct run_span {
    uint8_t base, index;
    uint32_t alignment;
    int32_t low, high, aligned, advance;
    uint32_t tiles; // that were loaded from it last
} run_span;

// What a register holds after a round: such a sum, and so much more.
typedef struct run_change {
    uint8_t reg, base, index;
    int32_t offset, advance;
} run_change;

typedef struct run_loop {
    uint32_t first, branch; // ops
    bool is_even;           // every round does the same at addresses that advance
    bool is_strip;
    int32_t advance; // of what the branch compares
    unsigned spans, changes;
    run_span span[LUT_MOST_SPANS];
    run_change change[MOST_CHANGES];
    uint32_t loaded, halves; // tiles; those of which half is loaded
    lut_counters work;       // of a round
    lut_strip strip;
    lut_step step[LUT_MOST_STEPS];
} run_loop;

struct hart_xlut_run {
    hart_op *first;
    uint32_t length, loops;
    run_op ops[]; // loops follow
};

static inline run_loop *run_loops(const hart_xlut_run *run)
{
    return (run_loop *)(uintptr_t)(run->ops + run->length);
}

// Fills in what is known of the loop from its first op to its branch.
void hart_xlut_prepare_loop(hart_xlut_run *run, run_loop *loop, const lut_unit *u);
// Executes many rounds of an even loop at once, none of which can fault, up to the branch of the
// last one. False: nothing was done.
bool hart_xlut_execute_loop(hart *h, const hart_xlut_run *run, const run_loop *loop,
                            uint32_t *passing);
