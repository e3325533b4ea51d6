#include "runtime/host/team.h"

#include "support/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    A0 = 10,
    A1 = 11,
    A2 = 12,
    A7 = 17,
    SERVICE_WRITE = 64,
    STREAMS = 2,           // stdout, stderr
    MOST_OUTPUT = 1 << 20, // bytes that a hart prints between two barriers
    LOOKS = 1 << 11,       // at a barrier, before the host's scheduler is asked to wait
    PATIENCE = 1 << 26,    // instructions on the way to a barrier at which the run will end
};

typedef enum member_state { MEMBER_RUNS, MEMBER_WAITS, MEMBER_ENDED } member_state;

typedef struct member {
    struct team *team;
    hart *hart;
    member_state state;
    host_outcome outcome; // once it has ended
    uint64_t retired;     // before the run
    uint64_t last;        // retired at which it ends, when the run will; 0: not known to it
    text output[STREAMS];
    pthread_t thread;
} member;

typedef struct team {
    host_program *program;
    const host_limits *limits;
    double start;
    member *members;
    unsigned count;
    int looks;            // at a barrier: none where the host has too few processors for all harts
    pthread_mutex_t lock; // of what follows, of all states and of services
    pthread_cond_t passed;
    unsigned running;
    bool over;                 // the run is
    bool refused;              // the host has not enough threads
    _Atomic unsigned barriers; // passed
    _Atomic bool ending;       // at the next barrier, the run is over
} team;

// --------------------------------------------------------------------------- barriers

static void print_output(member *m)
{
    FILE *const streams[STREAMS] = {stdout, stderr};
    for (unsigned i = 0; i < STREAMS; i++) {
        if (i > 0 && m->output[i].length > 0)
            fflush(stdout); // the two may be one terminal
        fwrite(text_string(&m->output[i]), 1, m->output[i].length, streams[i]);
        m->output[i].length = 0;
    }
}

static bool has_failed(const member *m)
{
    return m->state == MEMBER_ENDED && m->outcome.end != HOST_RETURNED;
}

// All have come. What those behind the one that ends the run printed, nobody would have seen.
static void pass(team *t)
{
    bool failed = false;
    for (unsigned i = 0; i < t->count && !failed; i++) {
        print_output(&t->members[i]);
        failed = has_failed(&t->members[i]);
    }
    for (unsigned i = 0; i < t->count && !failed; i++) {
        if (t->members[i].state == MEMBER_WAITS) {
            t->members[i].state = MEMBER_RUNS;
            t->running++;
        }
    }
    t->over = t->running == 0;
    atomic_fetch_add(&t->barriers, 1);
    pthread_cond_broadcast(&t->passed);
}

// The hart runs no more: it waits, or has ended.
static void arrive(member *m, member_state state)
{
    team *t = m->team;
    pthread_mutex_lock(&t->lock);
    m->state = state;
    if (has_failed(m))
        atomic_store(&t->ending, true);
    if (--t->running == 0)
        pass(t);
    pthread_mutex_unlock(&t->lock);
}

// Until the barrier behind `passed` others is passed. Who sees so by looking needs no lock: the
// last one to come still holds it, and waiting for it would be a sleep.
static void wait_for_others(member *m, unsigned passed)
{
    team *t = m->team;
    for (int i = 0; i < t->looks; i++) {
        if (atomic_load(&t->barriers) != passed)
            return;
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&t->lock);
    while (atomic_load(&t->barriers) == passed)
        pthread_cond_wait(&t->passed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

// --------------------------------------------------------------------------- services

static int64_t keep_output(member *m)
{
    const hart_memory *memory = m->team->program->memory;
    uint64_t stream = m->hart->x[A0], address = m->hart->x[A1], size = m->hart->x[A2];
    if (stream != STDOUT_FILENO && stream != STDERR_FILENO)
        return -EBADF;
    if (size == 0)
        return 0;
    uint64_t readable = hart_memory_extent(memory, address, HART_READ);
    size = size < readable ? size : readable;
    if (size == 0)
        return -EFAULT;
    text *out = &m->output[stream - STDOUT_FILENO];
    if (size > MOST_OUTPUT - out->length)
        return -ENOSPC;
    text_append_n(out, hart_memory_range(memory, address, size, HART_READ), size);
    return (int64_t)size;
}

static bool at_barrier(const member *m, hart_stop stop)
{
    return stop == HART_STOP_ECALL && m->hart->x[A7] == HOST_SERVICE_BARRIER;
}

// Whether the hart has ended, with the reason in its outcome.
static bool act(member *m, hart_stop stop)
{
    team *t = m->team;
    if (stop == HART_STOP_ECALL && m->hart->x[A7] == SERVICE_WRITE) {
        m->hart->x[A0] = (uint64_t)keep_output(m);
        hart_finish_ecall(m->hart);
        return false;
    }
    if (stop != HART_STOP_ECALL)
        return host_has_ended(t->program, m->hart, stop, &m->outcome);
    pthread_mutex_lock(&t->lock);
    bool ended = host_has_ended(t->program, m->hart, stop, &m->outcome);
    pthread_mutex_unlock(&t->lock);
    return ended;
}

// --------------------------------------------------------------------------- turns

// Another one has ended the run: this hart goes on to the barrier, but not forever.
static bool is_too_late(member *m)
{
    uint64_t now = m->hart->retired;
    if (!atomic_load(&m->team->ending))
        return false;
    if (m->last == 0)
        m->last = now + PATIENCE;
    return now >= m->last;
}

static member_state state_behind(member *m, hart_stop stop)
{
    team *t = m->team;
    host_outcome *o = &m->outcome;
    if (at_barrier(m, stop)) {
        m->hart->x[A0] = 0;
        hart_finish_ecall(m->hart);
        o->instructions = m->hart->retired - m->retired;
        observers_barrier(t->program, m->hart);
        return MEMBER_WAITS;
    }
    bool ended = act(m, stop);
    o->instructions = m->hart->retired - m->retired;
    if (ended || host_limit_reached(t->limits, t->start, o))
        return MEMBER_ENDED;
    if (!is_too_late(m))
        return MEMBER_RUNS;
    o->end = HOST_RETURNED; // nothing to say about it
    return MEMBER_ENDED;
}

// Executes a slice.
static member_state take_turn(member *m)
{
    hart_stop stop = hart_run(m->hart, host_slice(m->team->limits, m->outcome.instructions));
    member_state state = state_behind(m, stop);
    if (state != MEMBER_RUNS)
        arrive(m, state);
    return state;
}

static void run_member(member *m)
{
    member_state state;
    do {
        unsigned passed = atomic_load(&m->team->barriers);
        while ((state = take_turn(m)) == MEMBER_RUNS)
            ;
        if (state == MEMBER_WAITS)
            wait_for_others(m, passed);
    } while (state == MEMBER_WAITS && !m->team->over);
}

// One slice each, in the order of their ranks.
static void run_in_turns(team *t)
{
    while (!t->over) {
        for (unsigned i = 0; i < t->count; i++) {
            if (t->members[i].state != MEMBER_RUNS)
                continue;
            t->program->hart = t->members[i].hart;
            observers_settle(t->program);
            take_turn(&t->members[i]);
        }
    }
}

// Nobody starts before all threads are there.
static void *begin_thread(void *context)
{
    member *m = context;
    pthread_mutex_lock(&m->team->lock);
    bool refused = m->team->refused;
    pthread_mutex_unlock(&m->team->lock);
    if (!refused)
        run_member(m);
    return NULL;
}

static void run_on_threads(team *t)
{
    unsigned threads = 1;
    pthread_mutex_lock(&t->lock);
    while (threads < t->count && !t->refused) {
        member *m = &t->members[threads];
        t->refused = pthread_create(&m->thread, NULL, begin_thread, m) != 0;
        threads += !t->refused;
    }
    pthread_mutex_unlock(&t->lock);
    if (!t->refused)
        run_member(&t->members[0]);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(t->members[i].thread, NULL);
    if (!t->refused)
        return;
    diagnostic_warning(t->program->diagnostics, host_where(t->program),
                       "the host gives threads for %u of %u harts: they take turns on one", threads,
                       t->count);
    run_in_turns(t);
}

// --------------------------------------------------------------------------- runs

static void open_team(team *t, host_program *p, const host_limits *limits)
{
    *t = (team){.program = p, .limits = limits, .count = p->hart_count, .running = p->hart_count};
    t->looks = sysconf(_SC_NPROCESSORS_ONLN) >= (long)t->count ? LOOKS : 0;
    t->members = calloc(t->count, sizeof *t->members);
    if (!t->members)
        INTERNAL_ERROR("out of memory");
    for (unsigned i = 0; i < t->count; i++)
        t->members[i] = (member){.team = t, .hart = p->harts[i], .retired = p->harts[i]->retired};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->passed, NULL);
}

static void close_team(team *t)
{
    pthread_cond_destroy(&t->passed);
    pthread_mutex_destroy(&t->lock);
    for (unsigned i = 0; i < t->count; i++)
        for (unsigned k = 0; k < STREAMS; k++)
            text_free(&t->members[i].output[k]);
    free(t->members);
}

// That of the lowest rank that did not return, with the counts of all.
static host_outcome conclude(team *t)
{
    host_outcome outcome = {.end = HOST_RETURNED};
    uint64_t sum = 0, longest = 0;
    t->program->hart = t->members[0].hart;
    for (unsigned i = t->count; i-- > 0;) {
        const member *m = &t->members[i];
        sum += m->outcome.instructions;
        longest = m->outcome.instructions > longest ? m->outcome.instructions : longest;
        if (!has_failed(m))
            continue;
        outcome = m->outcome;
        t->program->hart = m->hart;
    }
    outcome.instructions = sum;
    outcome.longest = longest;
    outcome.seconds = clock_seconds() - t->start;
    return outcome;
}

host_outcome team_run(host_program *p, const char *name, const host_limits *limits)
{
    team t;
    open_team(&t, p, limits);
    for (unsigned i = 0; i < t.count; i++)
        observers_begin(p, p->harts[i], name);
    t.start = clock_seconds();
    (p->observers.count ? run_in_turns : run_on_threads)(&t);
    host_outcome outcome = conclude(&t);
    for (unsigned i = 0; i < t.count; i++)
        observers_end(p, p->harts[i]);
    close_team(&t);
    return outcome;
}
