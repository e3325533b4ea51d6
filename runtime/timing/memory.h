// First-level memory of a hart (scratch), second-level memory, and DRAM: what hits, what misses,
// and when lines arrive.
//
// Times are cycles. Requests are served in the order in which the program makes them; the buses of
// l2 and memory carry a line in 64 bytes / bandwidth, exactly (in fractions of cycles), one after
// the other. Lines that are evicted and were written travel back over the same bus.
#pragma once

#include "isa/isa.h"

enum { TIMING_LINE = 64 }; // bytes

typedef enum timing_access_kind {
    TIMING_READ,
    TIMING_WRITE_WHOLE, // a whole line: it need not be fetched
    TIMING_WRITE_PART,
    TIMING_PREFETCH, // dropped when no line more can be under way
} timing_access_kind;

typedef struct timing_traffic {
    uint64_t hits, misses; // of lines in scratch
    uint64_t l2_lines;     // moved between scratch and l2
    uint64_t l2_hits, l2_misses;
    uint64_t lines_read, lines_written; // of memory
    uint64_t prefetched, dropped;       // lines
    uint64_t waits;                     // cycles that requests waited for their turn
} timing_traffic;

typedef struct timing_memory timing_memory;

// `sharers` harts have equal parts of the bandwidths of l2 and memory, and of l2's size. NULL: the
// host has too little memory for the caches.
timing_memory *timing_memory_create(const machine *m, unsigned sharers);
void timing_memory_destroy(timing_memory *t); // NULL is fine

// One line (address / 64), at cycle `at`. *request: when it was asked for, no sooner than `at` and
// before: it may have to wait until a line less is under way. Gives when it is there.
uint64_t timing_line(timing_memory *t, uint64_t line, timing_access_kind kind, uint64_t at,
                     uint64_t *request);
// A write that ends at `cycle`: nobody can read the line before.
void timing_line_written(timing_memory *t, uint64_t line, uint64_t cycle);
const timing_traffic *timing_memory_traffic(const timing_memory *t);
double timing_line_cycles(const timing_memory *t); // that the bus of memory takes for a line
