// First-level memory of a hart (scratch), second-level memory, and DRAM: what hits, what misses,
// and when lines arrive.
//
// Times are cycles. Requests are served in the order in which the program makes them; the buses of
// l2 and memory carry a line in 64 bytes / bandwidth, exactly (in fractions of cycles), one after
// the other. Lines that are evicted and were written travel back over the same bus.
#pragma once

#include "isa/isa.h"

enum { TIMING_LINE = 64 }; // bytes

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

// The memory accesses of an instruction: its pieces of memory one behind the other.
typedef struct timing_request {
    uint64_t at;    // the cycle in which it begins
    uint64_t end;   // in which what it writes can be read
    uint32_t rate;  // bytes that it asks for in a cycle
    uint32_t bytes; // until now
    uint64_t
        last; // cycle of its last request, which may have waited until a line less was under way
    uint64_t there; // when all that it reads is there
} timing_request;

// Each line of a piece that is read or written. One that is written as a whole need not be fetched.
void timing_read(timing_memory *t, timing_request *r, uint64_t address, uint64_t size);
void timing_write(timing_memory *t, timing_request *r, uint64_t address, uint64_t size);
// Lines that are dropped when no line more can be under way.
void timing_prefetch(timing_memory *t, timing_request *r, uint64_t address, uint64_t size);
const timing_traffic *timing_memory_traffic(const timing_memory *t);
double timing_line_cycles(const timing_memory *t); // that the bus of memory takes for a line
