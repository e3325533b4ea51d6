// The LUT unit: 32 tile registers and what each Xlut instruction does to them.
//
// The plain C of this folder is the definition of the instructions (docs/xlut.md): formulas in the
// tile shape m, n and the depth L = 8m, in the order in which results round.
//
// A hart executes an Xlut instruction in three steps:
//   1. lut_operands_of: is it legal, and which memory does it touch?
//   2. check every operand's alignment, probe every row of every operand, enter the host pointers;
//      nothing has changed yet, so a fault leaves no trace;
//   3. lut_execute.
#pragma once

#include "isa/isa.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Most rows in memory: of a transposed matrix operand, n/4.
enum { LUT_MAX_ROWS = 4, LUT_MAX_MEMORY_ROWS = 64, LUT_MAX_OPERANDS = 3, LUT_TILE_ALIGNMENT = 64 };
enum { LUT_QUARTERS = 4 }; // of the depth: slices of lmma, scales of i8dynamic tables

// A memory operand: `rows` pieces of `bytes` bytes, `stride` apart. Rows of 0 bytes touch nothing
// and need no host pointer.
typedef struct lut_operand {
    uint64_t address, stride;           // guest; row r is at address + r * stride (modulo 2^64)
    uint32_t rows, bytes;               // rows <= LUT_MAX_MEMORY_ROWS
    uint32_t alignment;                 // required of every row's address: a power of two
    bool write;                         // else read
    uint8_t *host[LUT_MAX_MEMORY_ROWS]; // set by the hart; rows may be in different mappings
} lut_operand;

typedef struct lut_operands {
    unsigned count;
    lut_operand item[LUT_MAX_OPERANDS];
} lut_operands;

// Work done since creation (or since the caller cleared it).
typedef struct lut_counters {
    uint64_t lookups;                   // table entries added by lmma: see lut_lookups
    uint64_t multiply_accumulates;      // of weights by lmma: see lut_multiply_accumulates
    uint64_t mma_multiply_accumulates;  // by mma
    uint64_t bytes_read, bytes_written; // memory operands of all Xlut instructions
} lut_counters;

typedef struct lut_unit lut_unit;
// Moves rows that lie `stride` apart and are all accessible: bytes > 0 of each. What is not loaded
// of the tile becomes 0.
typedef void lut_move(lut_unit *u, unsigned tile, uint8_t *first, int64_t stride, uint32_t rows,
                      uint32_t bytes);
// lut.deq after lut_settle of ltd and lts; keeps half_zero of ltd true. No factors: 1.
typedef void lut_scale(lut_unit *u, unsigned rd, unsigned rs3, const uint8_t *scales,
                       const uint8_t *factors);
// lut.tbl of one row after lut_forget of ltd. `only_scales`: nobody looks at the tile before all of
// it is written again.
typedef void lut_build(lut_unit *u, const isa_instruction *in, const uint8_t *row, uint8_t *scales,
                       bool only_scales);
typedef void lut_function(lut_unit *u, const isa_instruction *in, const lut_operands *memory);
// Executes an lmma after lut_own of its ltc; its slice begins at group `first` of 4 lookups. Halves
// are only referred to as tables of i8, which are no larger.
typedef void lut_kernel(lut_unit *u, const isa_instruction *in, uint32_t first);

// A loop over the depth: in each round the same steps on memory that advances. A step is an lmma,
// then lut.deq of its sums to `result`, then lut.off to it; what a step has of these. Sums are
// those of the step before unless it starts. The first step begins with what its tile holds unless
// it starts, in later rounds with the sums of the last step. Or else all steps are lut.deq of
// rows of numbers in memory, as if lut.lda had put them into a tile.
enum { LUT_MOST_SPANS = 24 };
typedef struct lut_place {
    int32_t offset; // behind where a span is
    uint8_t span;
} lut_place;
typedef struct lut_step {
    bool adds, start, scaled, offset;
    bool kept;                              // its sums stay in their tile when the loop ends
    bool wide_scales, wide_offsets;         // f32, else f16
    bool has_factors;                       // else the rows' factors are 1
    bool wide_values;                       // likewise
    uint8_t sums;                           // the tile
    lut_place table, plane[4];              // what the slice covers of them
    lut_place scales, factors, row, column; // of lut.deq; of lut.off
    lut_place values;                       // that lut.deq scales instead of sums
} lut_step;
typedef struct lut_strip_loop {
    uint64_t count; // rounds
    const uint8_t *span[LUT_MOST_SPANS];
    int64_t advance[LUT_MOST_SPANS];
    int64_t stride; // between rows of numbers
} lut_strip_loop;
// What follows a strip, whose result was 0: lut.sta of its first row as f32. In front of that, if
// the strip is of only sums, which begin with 0 then, lut.deq to the result.
typedef struct lut_epilogue {
    uint8_t result;                  // the tile: no reference
    bool wide_scales;                // f32, else f16
    const uint8_t *scales, *factors; // of only sums; factors NULL: 1
    uint8_t *to;                     // NULL: no lut.sta
} lut_epilogue;
typedef struct lut_strip {
    const isa_instruction *in; // an lmma: the others only differ in tiles, slice and start; or a
                               // lut.deq of rows of numbers
    const lut_step *step;
    unsigned steps;
    uint8_t result;
    bool scaled;                  // a step is
    bool only_sums;               // all steps are lookups into the same tile, none starts
    const lut_epilogue *epilogue; // NULL: none
} lut_strip;
// Executes all rounds where the sums and the result are no references; half_zero holds of the tiles
// that keep more rows than that many bytes, and of no others. False: it cannot, nothing was done.
typedef bool lut_strip_kernel(lut_unit *u, const lut_strip *s, const lut_strip_loop *loop);

// An lmma as its options choose it.
typedef struct lut_lmma {
    lut_kernel *execute;
    uint32_t first;                         // for it
    lut_strip_kernel *strip;                // NULL: none
    bool keeps_half;                        // leaves what is behind half_bytes as it is
    uint64_t lookups, multiply_accumulates; // that it adds to the counters
} lut_lmma;
enum { LUT_LMMA_CHOICES = 1 << 9 };

struct lut_unit {
    uint32_t m, n;       // tile shape
    uint32_t lookups;    // L = 8m: depth of one lmma
    uint32_t tile_bytes; // 4mn
    uint32_t half_bytes; // 64 m^2: what the half forms of lut.ld and lut.st move
    uint8_t *tiles;      // 32 tiles one after the other, 64-byte aligned; behind them as much again
                         // for whoever has to save some
    // What executes each instruction, by opcode (NULL for those that are not Xlut). Chosen at
    // creation; every choice gives the same bits.
    lut_function *const *functions;
    lut_lmma *lmma; // see lut_lmma_of
    // For lut_extent_of, lut_scale_of and lut_build_of. NULL: there are none.
    lut_move *(*choose_move)(const isa_instruction *in);
    lut_scale *(*choose_scale)(const lut_unit *u, const isa_instruction *in);
    lut_build *(*choose_build)(const lut_unit *u, const isa_instruction *in);
    void (*copy_references)(lut_unit *u, uint32_t tiles); // lut_settle of references; NULL
    lut_strip_kernel *add_rows; // strips of rows of numbers in memory; NULL: none
    // Where each tile's bytes are: its place in `tiles`, or memory (see lut_refer). Sets of tiles,
    // a bit each: those in memory, those of them of which all behind half_bytes is 0 instead, those
    // in whose place that is known to be 0.
    const uint8_t *at[ISA_TILE_REGISTERS];
    uint32_t references, half_references, half_zero;
    lut_counters counters;
    uint64_t lmma_count; // executed since creation
    // Behind the planes of the last strip, see lut_fetch: up to where they are on their way, and up
    // to where they may be.
    uintptr_t fetched, fetchable;
};

// True for the five shapes of docs/xlut.md: m1 n64, m2 n64, m2 n128, m4 n128, m4 n256.
bool lut_shape_valid(uint32_t m, uint32_t n);
// All tiles zero. NULL: not a valid shape.
lut_unit *lut_unit_create(uint32_t m, uint32_t n);
void lut_unit_destroy(lut_unit *u); // NULL is fine

// A tile's place. It holds the tile's bytes unless the tile is a reference.
static inline uint8_t *lut_tile(const lut_unit *u, unsigned number)
{
    return u->tiles + (size_t)number * u->tile_bytes;
}

// Has some of the planes fetched that most likely follow those of the last strip, for memory to be
// busy while something else is executed: as many lines as hosts have under way in that time.
static inline void lut_fetch(lut_unit *u)
{
    enum { LINES = 16, LINE = 64 };
    if (u->fetched >= u->fetchable)
        return;
    for (unsigned i = 0; i < LINES; i++)
        __builtin_prefetch((const void *)(u->fetched + LINE * i), 0, 2);
    u->fetched += LINE * LINES;
}

// A lut.ld without the copy: the tile's bytes are those at `memory` (64-byte aligned), which must
// stay as they are until lut_settle.
static inline void lut_refer(lut_unit *u, unsigned number, bool half, const uint8_t *memory)
{
    u->at[number] = memory;
    u->references |= 1u << number;
    u->half_references = (u->half_references & ~(1u << number)) | (uint32_t)half << number;
}
// The tile's bytes are those at its place again, whatever they are.
static inline void lut_forget(lut_unit *u, unsigned number)
{
    u->at[number] = lut_tile(u, number);
    u->references &= ~(1u << number);
    u->half_references &= ~(1u << number);
}
// References among these tiles become copies.
void lut_settle_references(lut_unit *u, uint32_t tiles);
static inline void lut_settle(lut_unit *u, uint32_t tiles)
{
    if (u->references & tiles)
        lut_settle_references(u, tiles);
}
// The same, in front of whatever may write these tiles.
static inline void lut_own(lut_unit *u, uint32_t tiles)
{
    lut_settle(u, tiles);
    u->half_zero &= ~tiles;
}

// What executes an lmma with these options, after lut_own of its ltc.
static inline unsigned lut_lmma_index(const isa_instruction *in)
{
    return in->form | in->slice << 3 | in->table << 6 | in->rows << 8;
}
static inline const lut_lmma *lut_lmma_of(const lut_unit *u, const isa_instruction *in)
{
    return &u->lmma[lut_lmma_index(in)];
}

// The memory operands of a decoded Xlut instruction (isa_decode has refused illegal fields), given
// the 32 integer registers. False: illegal, because a register asks for more than a tile has.
// lut.pf has none: it never faults.
bool lut_operands_of(const lut_unit *u, const isa_instruction *in, const uint64_t x[32],
                     lut_operands *out);

// The same of lut.lda, lut.sta, lut.ldm, lut.ldt, lut.stm and lut.st, decoded once: all that the
// instruction moves where X(rs3) asks for no part of it. `move` is NULL where there is no such way.
typedef struct lut_extent {
    lut_move *move;
    uint16_t rows, bytes; // of each
    uint8_t alignment;
    uint8_t element; // bytes: X(rs3) is a count of these; 0: rows, and bytes of each
} lut_extent;
lut_extent lut_extent_of(const lut_unit *u, const isa_instruction *in);
// The part that X(rs3) asks for. False: nothing, more than there is, or not so simple.
static inline bool lut_take_part(lut_extent *r, uint64_t part)
{
    uint64_t rows = part & 0xffff, bytes = part >> 16;
    if (r->element) {
        rows = r->rows;
        bytes = part <= r->bytes ? part * r->element : 0;
        if (bytes == 0)
            return false;
    }
    if (rows > r->rows || bytes > r->bytes || bytes % r->alignment)
        return false;
    r->rows = rows ? (uint16_t)rows : r->rows;
    r->bytes = bytes ? (uint16_t)bytes : r->bytes;
    return true;
}
// What executes a lut.deq; NULL: there is no such way.
static inline lut_scale *lut_scale_of(const lut_unit *u, const isa_instruction *in)
{
    return u->choose_scale ? u->choose_scale(u, in) : NULL;
}

// What executes a lut.tbl of one row; NULL: there is no such way.
static inline lut_build *lut_build_of(const lut_unit *u, const isa_instruction *in)
{
    return u->choose_build ? u->choose_build(u, in) : NULL;
}

// Executes a legal Xlut instruction whose operands all have their host pointers.
void lut_execute(lut_unit *u, const isa_instruction *in, const lut_operands *memory);

// The work of an lmma, for statistics: table lookups (rows * columns * depth of the slice *
// planes), and multiply-accumulates of weights (4 per lookup and column for symmetric tables,
// whatever the number of planes; 1 for full tables). 0 for every other opcode.
uint64_t lut_lookups(const lut_unit *u, const isa_instruction *in);
uint64_t lut_multiply_accumulates(const lut_unit *u, const isa_instruction *in);
// Multiply-accumulates of a conventional mma: 8m * n/8 * depth. 0 for every other opcode.
uint64_t lut_mma_multiply_accumulates(const lut_unit *u, const isa_instruction *in);
