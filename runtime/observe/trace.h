// What the two kinds of trace share: which instructions are wanted, and where the trace goes.
#pragma once

#include "runtime/observe/settings.h"
#include "support/file.h"

typedef struct trace {
    host_program *program;
    diagnostics *diagnostics;
    const trace_settings *settings;
    output_file *file;
    uint64_t low, high; // addresses that are wanted: low .. high - 1
    uint64_t limit;     // of lines or slices
    uint64_t executed;  // instructions so far
    uint64_t written;   // lines or slices
    bool limit_reached;
} trace;

// Checks the settings and opens the file. False: reported.
bool trace_open(host_program *p, arena *a, diagnostics *d, const trace_settings *s, trace *out);
// Whether an instruction at `pc`, the next to be counted, is wanted by its address and function.
bool trace_wants(const trace *t, uint64_t pc);
bool trace_wants_function(const trace *t, const char *name);
// One more line or slice; false: there are enough.
bool trace_take(trace *t);
FILE *trace_stream(const trace *t);
// Says where it was cut, and puts the file in its place.
void trace_commit(trace *t);

// Observers that own `t`, which is on the heap.
void trace_text_observer(trace *t, observer *out);
void trace_calls_observer(trace *t, observer *out);
