// What an instruction costs on a machine: the one place that the instruction-level timing model of
// the emulator and the analytical estimator of the compiler share, so that they cannot disagree
// about the machine. Rates and energies come from the machine description; docs/timing.md lists
// what each class of instructions takes.
//
// A hart issues in order, at most issue_width instructions in a cycle, each to one unit. A unit
// takes the next instruction when it has been busy with the last one for `busy` cycles; a result
// can be used `latency` cycles after issue (a scoreboard makes consumers wait). Memory traffic is
// not in here but its bytes: what hits and misses is for the models to find out.
#pragma once

#include "isa/isa.h"

// ISA_UNIT(enumerator, name, what it does)
#define ISA_UNITS(ISA_UNIT)                                                                        \
    ISA_UNIT(SCALAR, "scalar", "integer and floating-point operations, branches, vector setup")    \
    ISA_UNIT(MEMORY, "load/store", "scalar and vector accesses to memory")                         \
    ISA_UNIT(VECTOR, "vector", "vector operations")                                                \
    ISA_UNIT(TILE_LOAD, "tile load", "tiles from memory, prefetches")                              \
    ISA_UNIT(TILE_STORE, "tile store", "tiles to memory")                                          \
    ISA_UNIT(TABLE, "table builder", "lut.tbl")                                                    \
    ISA_UNIT(LUT, "LUT array", "lmma")                                                             \
    ISA_UNIT(DEQUANTIZE, "dequantizer", "lut.deq, lut.off and lut.zero")                           \
    ISA_UNIT(MATRIX, "matrix", "mma")

typedef enum isa_unit {
#define ISA_UNIT(E, name, doc) ISA_UNIT_##E,
    ISA_UNITS(ISA_UNIT)
#undef ISA_UNIT
        ISA_UNIT_COUNT
} isa_unit;
extern const char *const isa_unit_names[ISA_UNIT_COUNT];

// The registers that decide how much an instruction does.
typedef struct isa_shape {
    uint64_t vl;  // elements
    unsigned sew; // bits of an element
    // Rows and columns of lut.lda and lut.sta; rows of lut.ldm, lut.ldt and lut.stm and bytes of
    // each; columns: bytes of lut.ld and lut.st. 0: all.
    uint64_t tile_rows, tile_columns;
} isa_shape;

typedef struct isa_cost {
    isa_unit unit;
    uint32_t busy;    // cycles, at least 1
    uint32_t latency; // cycles from issue to use of the whole result, operands lying in scratch
    // Joules: fetch and issue included; the registers of tiles included; scratch and what is
    // behind it is for the models to add, by the bytes they move.
    double energy;
    uint64_t read, written; // bytes of memory; prefetches: 0
    uint64_t lookups;       // of lmma, all planes
    uint64_t multiplies;    // multiply-accumulates of mma
} isa_cost;

// Uses the fields of *in and its row, not the word. For a machine that lacks the unit
// (machine_has), busy and latency are 0 and nothing else means anything.
isa_cost isa_cost_of(const machine *m, const isa_instruction *in, const isa_shape *shape);
bool machine_has(const machine *m, isa_unit unit);
