// A remote stub: lets gdb stop a hart, look at it and change it, over a socket, in gdb's remote
// serial protocol. docs/debugging.md says what it can do.
#pragma once

#include "runtime/hart/hart.h"
#include "runtime/observe/observe.h"
#include "support/diagnostic.h"

#include <stdio.h>

// `monitor NAME`: what it prints goes to gdb's console.
typedef struct gdb_command {
    const char *name, *help;
    void (*run)(void *context, FILE *stream);
} gdb_command;

typedef struct gdb_target {
    hart *hart;
    const char *path;            // of the program; NULL: not known
    const gdb_command *commands; // `help` is there without them
    size_t command_count;
    void *context; // of the commands
} gdb_target;

// How bytes come and go.
typedef struct gdb_transport {
    void *context;
    bool (*connect)(void *context);                              // waits for gdb; NULL: it is there
    size_t (*read)(void *context, void *data, size_t size);      // waits for some; 0: gdb has gone
    bool (*ready)(void *context);                                // read would not wait
    bool (*write)(void *context, const void *data, size_t size); // all; false: gdb has gone
    void (*close)(void *context);
} gdb_transport;

// Listens on a port of this host ("1234"; "0": a free one) or a socket in the file system (any name
// with a '/'). Says on stderr where, so that gdb can be told. False: reported.
bool gdb_listen(diagnostics *d, const char *where, gdb_transport *out);

// An observer that stops in front of the first instruction, waits for gdb, and does what it says.
// The target is copied, what it points to is not. Taken over: the transport.
void gdb_observer(const gdb_target *target, const gdb_transport *transport, observer *out);
