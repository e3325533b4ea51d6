// What gdb has said so far, and what that means for the program.
#pragma once

#include "runtime/gdb/connection.h"
#include "runtime/gdb/points.h"

// Why the program stands still, as a stop reply says it.
typedef struct gdb_stop {
    unsigned signal;  // in gdb's numbering
    const char *what; // "swbreak", "hwbreak", "watch", "rwatch", "awatch"; NULL: nothing more
    uint64_t address; // of a watchpoint's first byte
    bool has_address;
} gdb_stop;

typedef enum gdb_motion {
    GDB_HALTED, // answering packets
    GDB_CONTINUE,
    GDB_STEP,     // one instruction
    GDB_RANGE,    // while pc is in range_low .. range_high - 1
    GDB_KILLED,   // the run is to end
    GDB_DETACHED, // the program runs on alone
} gdb_motion;

typedef struct gdb_session {
    gdb_target target;
    gdb_connection connection;
    gdb_points points;
    gdb_motion motion;
    uint64_t range_low, range_high;
    bool first;       // the next instruction is where the program stood: no breakpoint stops it
    bool greeted;     // gdb is there, and has been given the stop it asked for
    bool signalled;   // it was set in motion with a signal
    bool faulted;     // the program has ended by a fault, of signal stop.signal
    gdb_stop stop;    // the last one, or the one to come
    bool stopping;    // *stop is to come: before the next instruction
    unsigned unasked; // instructions since gdb was last looked for
    text reply;
} gdb_session;

enum { GDB_ERROR_MEMORY = 0x0e, GDB_ERROR_ARGUMENT = 0x16 };
// The answer is that error, and nothing else.
void gdb_fail(gdb_session *s, unsigned error);

// qXfer: OBJECT:read:ANNEX:OFFSET,SIZE. qRcmd: a command in hexadecimal.
void gdb_transfer(gdb_session *s, gdb_cursor *c);
void gdb_monitor(gdb_session *s, gdb_cursor *c);

// Takes one packet, the connection's last, and answers it or sets the program in motion.
void gdb_handle(gdb_session *s);
// Tells gdb why the program stands still, then answers it until it moves again.
void gdb_serve(gdb_session *s, bool tell);
