// Processor seconds of this process, the clock of all native baselines.
#ifndef CLOCK_H
#define CLOCK_H

#include <time.h>

static inline double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
