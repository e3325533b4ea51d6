// Breakpoints and watchpoints.
#pragma once

#include "runtime/hart/hart.h"

enum { GDB_MOST_BREAKPOINTS = 1024, GDB_MOST_WATCHPOINTS = 64 };

// As the protocol numbers them.
typedef enum gdb_point_kind {
    GDB_SOFTWARE_BREAKPOINT,
    GDB_HARDWARE_BREAKPOINT,
    GDB_WATCH_WRITE,
    GDB_WATCH_READ,
    GDB_WATCH_ACCESS,
    GDB_POINT_KINDS,
} gdb_point_kind;

typedef struct gdb_breakpoint {
    uint64_t address;
    gdb_point_kind kind;
} gdb_breakpoint;

typedef struct gdb_watchpoint {
    uint64_t address, size;
    gdb_point_kind kind;
} gdb_watchpoint;

typedef struct gdb_points {
    uint64_t filter; // bit (address / 2) % 64 of every breakpoint
    gdb_breakpoint breakpoints[GDB_MOST_BREAKPOINTS];
    size_t breakpoint_count;
    gdb_watchpoint watchpoints[GDB_MOST_WATCHPOINTS];
    size_t watchpoint_count;
} gdb_points;

// Adding one twice is fine, as is removing one that is not there. False: no room, or not valid.
bool gdb_points_add(gdb_points *p, gdb_point_kind kind, uint64_t address, uint64_t size);
void gdb_points_remove(gdb_points *p, gdb_point_kind kind, uint64_t address, uint64_t size);

// The breakpoint at that address; NULL: none.
const gdb_breakpoint *gdb_breakpoint_at(const gdb_points *p, uint64_t address);
// The watchpoint that `in`, at pc, is going to touch; NULL: none.
const gdb_watchpoint *gdb_watchpoint_touched(const gdb_points *p, hart *h,
                                             const isa_instruction *in);
