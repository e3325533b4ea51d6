// Execution: the loop around the hart, and services.
#include "runtime/host/internal.h"

#include "support/clock.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    SLICE = 1 << 14, // instructions between two looks at the clock; an lmma may take 100 us
    SERVICE_WRITE = 64,
    SERVICE_EXIT = 93,
    SERVICE_EXIT_GROUP = 94,
    // Linux error numbers
    GUEST_EBADF = 9,
    GUEST_EFAULT = 14,
    GUEST_ENOSYS = 38,
    A0 = 10,
    A1 = 11,
    A2 = 12,
    A7 = 17,
    MAX_WARNINGS = 32,
};

// --------------------------------------------------------------------- services

static int64_t write_bytes(host_program *p, uint64_t descriptor, uint64_t address, uint64_t size)
{
    if (descriptor != 1 && descriptor != 2)
        return -GUEST_EBADF;
    const void *data = hart_memory_range(p->memory, address, size, HART_READ);
    if (!data && size > 0)
        return -GUEST_EFAULT;
    FILE *stream = descriptor == 1 ? stdout : stderr;
    if (descriptor == 2)
        fflush(stdout); // the two may be one terminal
    return size > 0 ? (int64_t)fwrite(data, 1, size, stream) : 0;
}

// Said once per number, so that a program that ignores the error is not a mystery.
static int64_t refuse_service(host_program *p, uint64_t number)
{
    for (size_t i = 0; i < p->refused_services.count; i++)
        if (p->refused_services.items[i] == number)
            return -GUEST_ENOSYS;
    if (p->refused_services.count < MAX_WARNINGS) {
        ARRAY_PUSH(p->arena, &p->refused_services, number);
        text place = {0};
        host_print_place(p, p->hart->pc, &place);
        diagnostic_warning(p->diagnostics, host_where(p),
                           "service %" PRIu64 " at %s is not implemented: ENOSYS", number,
                           text_string(&place));
        diagnostics_flush(p->diagnostics);
        text_free(&place);
    }
    return -GUEST_ENOSYS;
}

bool host_service(host_program *p, int *exit_code)
{
    uint64_t *x = p->hart->x;
    int64_t result;
    switch (x[A7]) {
    case SERVICE_EXIT:
    case SERVICE_EXIT_GROUP: *exit_code = (int)(x[A0] & 0xff); return false;
    case SERVICE_WRITE: result = write_bytes(p, x[A0], x[A1], x[A2]); break;
    default: result = refuse_service(p, x[A7]);
    }
    x[A0] = (uint64_t)result;
    return true;
}

// ------------------------------------------------------------------------- loop

static uint64_t budget(const host_limits *limits, uint64_t done)
{
    uint64_t left = limits->instructions ? limits->instructions - done : SLICE;
    return left < SLICE ? left : SLICE;
}

// True when the program has ended, with the reason in *outcome.
static bool has_ended(host_program *p, hart_stop stop, host_outcome *outcome)
{
    bool goes_on;
    switch (stop) {
    case HART_STOP_RETURN: outcome->end = HOST_RETURNED; return true;
    case HART_STOP_FAULT: outcome->end = HOST_FAULTED; return true;
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

host_outcome host_run(host_program *p, const host_limits *limits)
{
    host_outcome outcome = {0};
    double start = clock_seconds();
    uint64_t before = p->hart->retired;
    do {
        hart_stop stop = hart_run(p->hart, budget(limits, outcome.instructions));
        bool ended = has_ended(p, stop, &outcome);
        outcome.instructions = p->hart->retired - before;
        if (ended)
            break;
    } while (!limit_reached(limits, start, &outcome));
    fflush(stdout);
    outcome.seconds = clock_seconds() - start;
    p->seconds += outcome.seconds;
    p->fastest = p->runs == 0 || outcome.seconds < p->fastest ? outcome.seconds : p->fastest;
    p->runs++;
    return outcome;
}
