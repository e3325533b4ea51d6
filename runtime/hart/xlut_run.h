// Runs of Xlut instructions, decoded: what xlut_run.c, which executes them, and xlut_follow.c,
// which follows loops among them, xlut_loop.c, which executes these as a whole, and xlut_strip.c,
// which tells apart what they sum, share.
#pragma once

#include "runtime/hart/xlut.h"

typedef enum run_kind {
    RUN_NOTHING, // of these
    RUN_LOAD,
    RUN_LMMA,
    RUN_DEQUANTIZE,
    RUN_OFFSET,
    RUN_ZERO,
    RUN_WHOLE, // lut.sta, lut.st, lut.stm, lut.tbl
    RUN_FILL,  // lut.lda, lut.ldm, lut.ldt
    RUN_PUT,   // the former, but for lut.tbl, where the unit moves rows a stride apart
    RUN_GET,   // the latter, likewise
    RUN_TABLE, // lut.tbl of one row
    RUN_MMA,
    RUN_PREFETCH, // prefetch.r
    RUN_IDLE,     // does nothing: other prefetches
    RUN_OTHER,    // Xlut
    RUN_BRANCH,   // bne back to an instruction of the run
    RUN_LESS,     // blt, likewise
    RUN_LOOP,     // only dispatched to: where an even loop starts
    RUN_END,      // likewise: behind the run
    // Likewise: what a run_deferred takes, see there.
    RUN_DEFER_ZERO,
    RUN_DEFER_SCALE,
    RUN_DEFER_STORE,
    RUN_ARITHMETIC, // likewise: several that machine code executes
// The arithmetic between them.
#define REGISTER(E, result) RUN_##E,
#define IMMEDIATE(E, result) RUN_##E,
#include "runtime/hart/integer.def"
} run_kind;

// The operands of a lut.tbl of one row: activations and scales.
typedef struct run_table {
    uint16_t bytes;
    uint8_t alignment;
    uint8_t scale_bytes;
} run_table;

// Those of a lut.deq: bytes of scales, which are aligned to the last, and of factors.
typedef struct run_scale {
    uint16_t bytes;
    uint8_t factor_bytes;
    uint8_t alignment;
} run_scale;

typedef struct run_op {
    const isa_instruction *in;
    union {
        const lut_lmma *choice; // of an lmma
        lut_scale *scale;       // of a lut.deq
        lut_build *build;       // of a RUN_TABLE
        hart_run_code *code;    // of RUN_ARITHMETIC
    };
    union {
        int32_t value;   // immediate; of mma: multiply-accumulates; of RUN_ARITHMETIC: ops
        run_table table; // of RUN_TABLE
        run_scale reads; // of RUN_DEQUANTIZE
    };
    uint8_t kind;
    uint8_t dispatch; // the kind, or what comes before it
    uint8_t rd, rs1, rs2, rs3, half;
    uint8_t loop; // the number of the loop that starts here, or that this branch ends
    union {
        lut_place place[2]; // of memory operands, in even loops
        lut_extent rows;    // of RUN_PUT and RUN_GET, whose tile is rd and whose stride is rs2
    };
} run_op;

// Computes with integer registers, or does nothing.
static inline bool is_arithmetic(const run_op *op)
{
    return op->dispatch == op->kind && (op->kind == RUN_IDLE || op->kind > RUN_ARITHMETIC);
}

enum { NO_LOOP = 255, MOST_CHANGES = 8 };

// Of offsets and advances: sums of a few of them, and as many as a loop has rounds, never overflow.
enum { MOST_OFFSET = 1 << 30 };

static inline bool is_moderate(int64_t offset)
{
    return -MOST_OFFSET <= offset && offset <= MOST_OFFSET;
}

// What something advances by in each round: a constant, and a register (x0: nothing), shifted left,
// that rounds do not write.
typedef struct run_advance {
    int32_t constant;
    uint8_t reg, shift;
} run_advance;

// A register, and another one (x0: nothing) shifted left.
typedef struct run_pair {
    uint8_t base, index, shift;
} run_pair;

// Memory that a loop reads at addresses which advance by the same in each round: from `low` to
// `high` behind the sum of two registers as they are at the start of the round. `aligned` behind it
// is aligned.
typedef struct run_span {
    run_pair at;
    uint32_t alignment;
    int32_t low, high, aligned;
    run_advance advance;
    uint32_t tiles; // that were loaded from it last
    bool has_rows;  // more of the same, as far apart as the loop's stride says
    bool written;
} run_span;

// What a register holds after a round: such a sum, and so much more.
typedef struct run_change {
    uint8_t reg;
    run_pair at;
    int32_t offset;
    run_advance advance;
    bool steady; // itself and a constant
} run_change;

// Strips of a loop while its round is followed: lmma form groups, which begin with a start or with
// the first use of sums of the round before; groups that are scaled into one result, in this order,
// form a chain, and so does a group that nobody scales.
enum { MOST_STEPS = 32, MOST_STRIPS = 16 };
typedef struct draft_group {
    const isa_instruction *in; // its first lmma
    lut_strip_kernel *kernel;
    uint8_t sums, last;  // tile; its last step
    uint8_t chain, next; // the group that follows in the chain
    bool starts;
} draft_group;
typedef struct draft_chain {
    uint8_t first, last; // groups
    uint8_t result;      // tile
    bool scaled;
} draft_chain;
typedef struct strip_draft {
    bool failed;
    unsigned steps, groups, chains;
    lut_step step[MOST_STEPS];
    uint8_t group_of[MOST_STEPS]; // steps
    draft_group group[MOST_STEPS];
    draft_chain chain[MOST_STRIPS];
    uint8_t open[ISA_TILE_REGISTERS];     // groups that summed last into a tile
    uint8_t chain_of[ISA_TILE_REGISTERS]; // results
} strip_draft;

void hart_xlut_start_draft(strip_draft *d);
// The step that an instruction of a round belongs to, for its places to be entered. NULL: the loop
// has no strips.
lut_step *hart_xlut_draft_lmma(strip_draft *d, const run_op *op);
lut_step *hart_xlut_draft_dequantize(strip_draft *d, const run_op *op);
lut_step *hart_xlut_draft_offset(strip_draft *d, const run_op *op);
// A lut.deq of a row of numbers in memory.
lut_step *hart_xlut_draft_row(strip_draft *d, const run_op *op, lut_strip_kernel *kernel);

typedef struct run_strip {
    lut_strip strip;
    lut_strip_kernel *kernel;
    uint8_t first; // step of the loop
} run_strip;

// A tile, and where it was loaded from last.
typedef struct run_load {
    lut_place from;
    uint8_t tile;
} run_load;

typedef struct run_loop {
    uint32_t first, branch; // ops
    bool is_even;           // every round does the same at addresses that advance
    bool less;              // the branch is a blt
    bool leaves_last;       // round to be executed singly, which leaves tiles as they have to be
    bool builds;            // tables that find their scales, and does nothing else
    bool steady;            // memory is few spans that advance by constants
    int32_t advance;        // of what the branch compares
    unsigned spans, changes;
    run_span span[LUT_MOST_SPANS];
    run_change change[MOST_CHANGES];
    uint32_t loaded, halves; // tiles; those of which half is loaded
    unsigned loads;
    run_load load[ISA_TILE_REGISTERS];
    // Registers that rounds do not write: one that rows of numbers are apart by; those that 30 bits
    // have to be enough for.
    uint8_t stride;
    uint64_t narrow;
    lut_counters work;   // of a round
    uint64_t lmma_count; // likewise
    // Strips that together do what a round does to tiles; none: there are no such.
    unsigned strips;
    // Tiles: all sums and results; those whose old value counts; those that change as a whole.
    uint32_t written, entering, filled;
    run_strip strip[MOST_STRIPS];
    lut_step step[MOST_STEPS];
    uint32_t finish; // the op that a run_deferred of this loop ends with; 0: there is none
} run_loop;

// All rounds of a loop, checked.
typedef struct run_rounds {
    lut_strip_loop loop; // spans are on the host
    uint32_t lasting;    // tiles that are loaded from where nobody writes
} run_rounds;

// Fills in the loop's strips, if the draft is of any.
void hart_xlut_finish_draft(strip_draft *d, run_loop *loop, const lut_unit *u);
// In front of strips: tiles that they write are in place, and no half is known to be 0 that need
// not stay it.
static inline void own_written(lut_unit *u, const run_loop *loop)
{
    lut_settle(u, loop->written);
    u->half_zero &= ~loop->filled;
}
// Executes all rounds. False: there are no strips, or they cannot; nothing was done.
bool hart_xlut_execute_strips(lut_unit *u, const run_loop *loop, const lut_strip_loop *rounds);

struct hart_xlut_run {
    hart_op *first;
    uint32_t length, loops;
    run_op ops[]; // one more behind the last; loops follow
};

// An instruction that is no part of a run. What executes it is called as (h, &single).
struct hart_xlut_single {
    const hart_op *record;
    void (*execute)(hart *h, const hart_xlut_single *single);
    run_op op;
};

static inline run_loop *run_loops(const hart_xlut_run *run)
{
    return (run_loop *)(uintptr_t)(run->ops + run->length + 1);
}

// Fills in what is known of the loop from its first op to its branch.
void hart_xlut_prepare_loop(hart_xlut_run *run, run_loop *loop, const lut_unit *u);
// Executes many rounds of an even loop at once, none of which can fault, up to the branch of the
// last one, or all but that one. False: nothing was done.
bool hart_xlut_execute_loop(hart *h, const hart_xlut_run *run, const run_loop *loop,
                            uint32_t *passing);
// Checks all rounds of an even loop, up to its end, and leaves everything but sums and results as
// they do. False: they may fault, or are too many; nothing was done.
bool hart_xlut_plan_loop(hart *h, const hart_xlut_run *run, const run_loop *loop, run_rounds *r,
                         uint32_t *passing);
// Executes planned rounds one by one.
void hart_xlut_execute_rounds(lut_unit *u, const hart_xlut_run *run, const run_loop *loop,
                              run_rounds *r);

// ---- xlut_defer.c
// Sums that begin with 0 and are scaled once, behind their loop: lut.zero of them and of the
// result, the loop, lut.deq and, mostly, lut.sta. Or a result that begins with 0 and that the loop
// scales sums into: lut.zero, the loop and lut.sta. All of it waits for the last of them, and is
// one call of the LUT unit then; what lies between is arithmetic, which is executed meanwhile.
typedef struct run_deferred {
    const run_loop *loop; // NULL: nothing waits
    uint32_t zero;        // tiles
    bool planned;         // registers and counts are those behind the loop
    const run_op *scale;  // NULL: not yet
    lut_epilogue epilogue;
    run_rounds rounds;
} run_deferred;

static inline void defer_zero(run_deferred *d, const run_loop *loop, unsigned tile)
{
    if (d->loop != loop) {
        d->loop = loop;
        d->zero = 0;
        d->planned = false;
        d->scale = NULL;
    }
    d->zero |= 1u << tile;
}

// Looks for all this around the loop.
void hart_xlut_prepare_deferral(hart_xlut_run *run, run_loop *loop, const lut_unit *u);
// Each of these takes one of what waits. False: it is left to whoever executes it singly; nothing
// waits any more.
bool hart_xlut_defer_loop(hart *h, const hart_xlut_run *run, run_deferred *d, uint32_t *passing);
bool hart_xlut_defer_scaling(hart *h, const hart_xlut_run *run, run_deferred *d, const run_op *op,
                             uint32_t *passing);
bool hart_xlut_finish_with_store(hart *h, const hart_xlut_run *run, run_deferred *d,
                                 const run_op *op, uint32_t *passing);

// ---- operands
// In front of a write to these rows: references among `passing` that do not overlap them stay.
static inline void settle_overlapped(lut_unit *u, uint32_t *passing, const uint8_t *first,
                                     int64_t stride, const lut_extent *rows)
{
    const int64_t reach = (rows->rows - 1) * stride;
    const uintptr_t low = (uintptr_t)first + (uintptr_t)(reach < 0 ? reach : 0);
    const uintptr_t bytes = rows->bytes + (uintptr_t)(reach < 0 ? -reach : reach);
    for (uint32_t left = *passing; left; left &= left - 1) {
        const unsigned tile = (unsigned)__builtin_ctz(left);
        const uintptr_t at = (uintptr_t)u->at[tile];
        if (at - low < bytes || low - at < u->tile_bytes) {
            lut_settle(u, 1u << tile);
            *passing &= ~(1u << tile);
        }
    }
}

// Operands of a lut.deq that are where others were before. False: the usual way has to find out.
static inline bool find_scaling(const hart *h, const run_op *op, const uint8_t **scales,
                                const uint8_t **factors)
{
    const uint64_t first = h->x[op->rs1], second = h->x[op->rs2];
    const run_scale reads = op->reads;
    if ((first & (reads.alignment - 1u)) || !is_remembered(h, first, reads.bytes, HART_READ))
        return false;
    if (reads.factor_bytes &&
        ((second & 3) || !is_remembered(h, second, reads.factor_bytes, HART_READ)))
        return false;
    *scales = h->memory_base + first;
    *factors = reads.factor_bytes ? h->memory_base + second : NULL;
    return true;
}

// The rows of RUN_PUT and RUN_GET that are asked for, and the first of them; NULL: the usual way
// has to find out.
static inline uint8_t *find_part(const hart *h, const run_op *op, bool write, lut_extent *rows)
{
    const uint64_t address = h->x[op->rs1] + (uint64_t)(int64_t)op->value;
    *rows = op->rows;
    if (op->rs3 && !lut_take_part(rows, h->x[op->rs3]))
        return NULL;
    return find_extent(h, address, (int64_t)h->x[op->rs2], rows->rows, rows->bytes, rows->alignment,
                       write);
}
