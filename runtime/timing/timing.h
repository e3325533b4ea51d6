// `lutrun --time`: the cycles and the energy that a program takes on its machine.
#pragma once

#include "runtime/observe/settings.h"

typedef struct timing_settings {
    const char *time; // NULL: none; "": to stderr; "json"; "json:FILE"
} timing_settings;

enum { TIMING_OPTIONS = 1 };
void timing_option_rows(timing_settings *s, option_row rows[TIMING_OPTIONS]);
// Whether --time is given as it can be; otherwise what is wrong is printed.
bool timing_check(const char *tool, const timing_settings *s);
// Whether --time makes the trace what units do.
bool timing_takes_trace(const timing_settings *s, const trace_settings *trace);
// Attaches the model to the program; host_finish writes the report, and the trace if it is timed.
// `a` and the settings must outlive the program. False: reported.
bool timing_start(host_program *p, arena *a, diagnostics *d, const timing_settings *s,
                  const trace_settings *trace);
