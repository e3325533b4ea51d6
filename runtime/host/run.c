// Execution: the loop around a single hart.
#include "runtime/host/team.h"

#include "support/clock.h"

#include <stdio.h>

enum {
    SLICE = 1 << 16, // instructions between two looks at the clock; an lmma may take 100 us
    A0 = 10,
    A7 = 17,
};

// ------------------------------------------------------------------------- loop

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

hart_stop host_run_slice(hart *h, const host_limits *limits, uint64_t done, uint64_t most)
{
    const uint64_t left = limits->instructions ? limits->instructions - done : UINT64_MAX;
    most = smaller(most, left);
    return most < SLICE ? hart_run(h, most) : hart_run_about(h, SLICE);
}

// A hart that is alone waits for nobody.
static bool serve(host_program *p, hart *h, int *exit_code)
{
    if (!p->is_model || h->x[A7] != HOST_SERVICE_BARRIER)
        return host_service(p, h, exit_code);
    h->x[A0] = 0;
    return true;
}

bool host_has_ended(host_program *p, hart *h, hart_stop stop, host_outcome *outcome)
{
    bool goes_on;
    switch (stop) {
    case HART_STOP_RETURN: outcome->end = HOST_RETURNED; return true;
    case HART_STOP_FAULT: outcome->end = HOST_FAULTED; return !observers_fault(p, h);
    case HART_STOP_OBSERVER: outcome->end = HOST_STOPPED; return !observers_stopped(p, h);
    case HART_STOP_ECALL:
        outcome->end = HOST_EXITED;
        goes_on = serve(p, h, &outcome->exit_code);
        hart_finish_ecall(h);
        return !goes_on;
    default: return false;
    }
}

bool host_time_is_up(const host_limits *limits, double start)
{
    return limits->seconds > 0 && clock_seconds() - start >= limits->seconds;
}

bool host_limit_reached(const host_limits *limits, double start, host_outcome *outcome)
{
    if (limits->instructions && outcome->instructions >= limits->instructions) {
        outcome->end = HOST_INSTRUCTION_LIMIT;
        return true;
    }
    if (host_time_is_up(limits, start)) {
        outcome->end = HOST_TIME_LIMIT;
        return true;
    }
    return false;
}

static host_outcome run_alone(host_program *p, const char *name, const host_limits *limits)
{
    host_outcome outcome = {0};
    hart *h = p->hart;
    observers_begin(p, h, name);
    double start = clock_seconds();
    uint64_t before = h->retired;
    do {
        observers_settle(p);
        hart_stop stop = host_run_slice(h, limits, outcome.instructions, checkpoint_distance(p));
        double stopped = clock_seconds();
        p->under_way = stopped - start;
        bool ended = host_has_ended(p, h, stop, &outcome);
        if (stop == HART_STOP_OBSERVER ||
            stop == HART_STOP_FAULT) // what it took is not the program's time
            start += clock_seconds() - stopped;
        outcome.instructions = h->retired - before;
        if (ended)
            break;
        checkpoint_if_due(p, name);
    } while (!host_limit_reached(limits, start, &outcome));
    outcome.longest = outcome.instructions;
    outcome.seconds = clock_seconds() - start;
    observers_end(p, h);
    return outcome;
}

static void account(host_program *p, double seconds)
{
    p->seconds += seconds;
    p->fastest = p->fastest > 0 && p->fastest < seconds ? p->fastest : seconds;
    p->runs++;
    p->under_way = 0;
}

host_outcome host_run(host_program *p, const char *name, const host_limits *limits)
{
    host_outcome outcome =
        p->hart_count > 1 ? team_run(p, name, limits) : run_alone(p, name, limits);
    fflush(stdout);
    account(p, outcome.seconds);
    return outcome;
}
