// The options by which a run is observed, and what they attach.
#pragma once

#include "runtime/host/host.h"
#include "support/options.h"

typedef struct trace_settings {
    const char *path;        // NULL: no trace
    option_values functions; // only these
    const char *range;       // "LOW..HIGH": only these addresses, HIGH excluded
    long long from;          // instructions before the first one shown
    long long limit;         // lines, or slices; 0: TRACE_LIMIT
    bool is_timed;           // somebody else writes it, with times
} trace_settings;
enum { TRACE_LIMIT = 1000000 };

typedef struct observe_settings {
    option_values plugins; // FILE.so[:ARGUMENTS]
    const char *profile;   // NULL: none; "": to stderr; a path
    trace_settings trace;
    bool wrap; // sums that leave 32 bits are errors
} observe_settings;

enum { OBSERVE_OPTIONS = 8 };
void observe_option_rows(observe_settings *s, option_row rows[OBSERVE_OPTIONS]);

// Attaches what the settings ask for; host_finish writes and releases it. False: every problem is
// reported, nothing may run.
bool observe_start(host_program *p, arena *a, diagnostics *d, const observe_settings *s);

// One of them each. What they write appears when it is complete; problems then are reported to `d`.
bool observe_plugin_open(host_program *p, arena *a, diagnostics *d, const char *argument,
                         observer *out);
bool observe_profile_open(host_program *p, diagnostics *d, const char *path, observer *out);
bool observe_trace_open(host_program *p, arena *a, diagnostics *d, const trace_settings *s,
                        observer *out);
bool observe_wrap_open(host_program *p, diagnostics *d, observer *out);
