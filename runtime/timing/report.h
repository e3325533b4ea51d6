// What the timing model found, added up and written.
#pragma once

#include "runtime/observe/places.h"
#include "runtime/timing/model.h"

typedef struct timing_row {
    const char *name;
    timing_counts counts;
} timing_row;
typedef ARRAY_OF(timing_row) timing_rows; // the longest first

typedef struct timing_report {
    host_program *program;
    const machine *machine;
    unsigned harts;
    uint64_t calls, cycles;
    timing_counts total;
    timing_counts by_unit[ISA_UNIT_COUNT]; // of instructions
    timing_traffic traffic;
    double line_cycles; // of the bus of memory, for a line, with all harts' shares together
    timing_rows groups[OBSERVE_GROUPINGS];
} timing_report;

// `harts` of them, whose memories have the same machine.
void timing_report_make(timing_report *r, arena *a, timing_hart *const *harts);
double timing_seconds(const timing_report *r);

// Shares of the machine's work, from 0 to 1, in `cycles` of each hart.
double timing_unit_share(const timing_report *r, const timing_counts *c, isa_unit unit);
double timing_memory_share(const timing_report *r, const timing_counts *c);

// What energy goes to, in joules.
enum { TIMING_COMPONENTS = ISA_UNIT_COUNT + 5 };
typedef struct timing_component {
    const char *name;
    double joules;
} timing_component;
// The used ones; gives how many. 0: the machine has no figures.
unsigned timing_components(const timing_report *r, timing_component out[TIMING_COMPONENTS]);

// Reasons to wait, the longest first: *order, of which so many are not 0.
unsigned timing_stalls(const timing_counts *c, unsigned order[TIMING_REASON_COUNT]);

// Where the program stands in the roofline of its machine. Work is what the array counts, lookups,
// as what one of them stands for depends on the format; without any, multiply-accumulates of mma.
typedef struct timing_roofline {
    double work, peak;         // per second: lookups of the array, or multiplies of the matrix unit
    double intensity, balance; // work per byte of memory: the program's; at which both are busy
    isa_unit unit;
} timing_roofline;
// False: it has no such work, or moves nothing.
bool timing_roofline_of(const timing_report *r, timing_roofline *out);

void timing_report_print(const timing_report *r, FILE *stream);
void timing_report_print_json(const timing_report *r, FILE *stream);
