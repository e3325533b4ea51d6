// Execution: the loop around the hart.
#include "runtime/host/internal.h"

#include "support/clock.h"

#include <stdio.h>

enum {
    SLICE = 1 << 14, // instructions between two looks at the clock; an lmma may take 100 us
};

// ------------------------------------------------------------------------- loop

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t budget(const host_program *p, const host_limits *limits, uint64_t done)
{
    uint64_t left = limits->instructions ? limits->instructions - done : SLICE;
    return smaller(smaller(left, SLICE), checkpoint_distance(p));
}

// True when the program has ended, with the reason in *outcome.
static bool has_ended(host_program *p, hart_stop stop, host_outcome *outcome)
{
    bool goes_on;
    switch (stop) {
    case HART_STOP_RETURN: outcome->end = HOST_RETURNED; return true;
    case HART_STOP_FAULT: outcome->end = HOST_FAULTED; return !observers_fault(p);
    case HART_STOP_OBSERVER: outcome->end = HOST_STOPPED; return !observers_stopped(p);
    case HART_STOP_ECALL:
        outcome->end = HOST_EXITED;
        goes_on = host_service(p, &outcome->exit_code);
        hart_finish_ecall(p->hart);
        return !goes_on;
    default: return false;
    }
}

static bool limit_reached(const host_limits *limits, double start, host_outcome *outcome)
{
    if (limits->instructions && outcome->instructions >= limits->instructions) {
        outcome->end = HOST_INSTRUCTION_LIMIT;
        return true;
    }
    if (limits->seconds > 0 && clock_seconds() - start >= limits->seconds) {
        outcome->end = HOST_TIME_LIMIT;
        return true;
    }
    return false;
}

static void account(host_program *p, double seconds)
{
    p->seconds += seconds;
    p->fastest = p->runs == 0 || seconds < p->fastest ? seconds : p->fastest;
    p->runs++;
}

host_outcome host_run(host_program *p, const char *name, const host_limits *limits)
{
    host_outcome outcome = {0};
    observers_begin(p, name);
    double start = clock_seconds();
    uint64_t before = p->hart->retired;
    do {
        observers_settle(p);
        hart_stop stop = hart_run(p->hart, budget(p, limits, outcome.instructions));
        double stopped = clock_seconds();
        bool ended = has_ended(p, stop, &outcome);
        if (stop == HART_STOP_OBSERVER ||
            stop == HART_STOP_FAULT) // what it took is not the program's time
            start += clock_seconds() - stopped;
        outcome.instructions = p->hart->retired - before;
        if (ended)
            break;
        checkpoint_if_due(p, name);
    } while (!limit_reached(limits, start, &outcome));
    fflush(stdout);
    outcome.seconds = clock_seconds() - start;
    account(p, outcome.seconds);
    observers_end(p);
    return outcome;
}
