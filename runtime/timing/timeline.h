// What the units do, as a Chrome trace, which Perfetto shows: a microsecond there is a cycle here.
#pragma once

#include "runtime/observe/settings.h"
#include "runtime/timing/model.h"

typedef struct timeline timeline;

// The filters and the limit of traces hold. NULL: reported. `harts` have a process each.
timeline *timeline_open(host_program *p, arena *a, diagnostics *d, const trace_settings *s,
                        unsigned harts);
void timeline_attach(timeline *l, timing_hart *t, unsigned rank);
// Puts the file in its place, if the run began, and releases it. NULL is fine.
void timeline_close(timeline *l, int exit_code);
