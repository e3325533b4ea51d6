// Several harts that run an entry together.
//
// Each has a host thread of its own, the first one the caller's; they stay for all runs. While
// observers look on, harts take turns on the caller's.
// Between two barriers they share nothing but guest memory: what they print is kept until all have
// come to the barrier, or to their end, and appears in the order of their ranks. A hart that does
// not return (a fault, the end of the program, a limit) ends the run there; of several, the lowest
// rank says how. So a program whose harts do not race gives the same in every run: results, output,
// counts, reports.
#pragma once

#include "runtime/host/internal.h"

// As host_run. p->hart is the hart that ended the run, the first one if all returned.
host_outcome team_run(host_program *p, const char *name, const host_limits *limits);

// Ends the threads. NULL is fine.
void team_destroy(team *t);
