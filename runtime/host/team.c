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
    LOOKS = 1 << 11,       // before the host's scheduler is asked to wait
    PATIENCE = 1 << 26,    // instructions on the way to a barrier at which the run will end
};

typedef enum member_state { MEMBER_RUNS, MEMBER_WAITS, MEMBER_ENDED } member_state;

typedef struct member {
    team *team;
    hart *hart;
    member_state state;
    host_outcome outcome; // once it has ended
    uint64_t retired;     // before the run
    uint64_t last;        // retired at which it ends, when the run will; 0: not known to it
    text output[STREAMS];
    pthread_t thread;
} member;

struct team {
    host_program *program;
    const host_limits *limits; // of the run
    double start;
    member *members;
    unsigned count, threads; // harts; threads that were made for them
    int looks;               // before a wait is a sleep: none where the host has too few processors
    bool refused;            // the host has not enough threads
    _Atomic bool closing;
    _Atomic unsigned runs;     // begun
    _Atomic unsigned inside;   // threads beside the caller's that are at work on one
    _Atomic unsigned barriers; // passed
    _Atomic unsigned running;  // harts on their way to the next one
    _Atomic bool ending;       // there the run is over
    bool over;                 // it is
    pthread_mutex_t services, sleeps;
    pthread_cond_t woken;
    _Atomic unsigned sleepers;
};

// --------------------------------------------------------------------------- waiting

// Comes back when *word is no longer `value`.
static void wait_while(team *t, _Atomic unsigned *word, unsigned value)
{
    for (int i = 0; i < t->looks; i++) {
        if (atomic_load(word) != value)
            return;
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&t->sleeps);
    atomic_fetch_add(&t->sleepers, 1);
    while (atomic_load(word) == value)
        pthread_cond_wait(&t->woken, &t->sleeps);
    atomic_fetch_sub(&t->sleepers, 1);
    pthread_mutex_unlock(&t->sleeps);
}

// A word has changed: who is not counted as a sleeper yet will see that and not sleep.
static void wake(team *t)
{
    if (!atomic_load(&t->sleepers))
        return;
    pthread_mutex_lock(&t->sleeps);
    pthread_cond_broadcast(&t->woken);
    pthread_mutex_unlock(&t->sleeps);
}

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

// All have come, and wait. What those behind the one that ends the run printed, nobody would have
// seen.
static void pass(team *t)
{
    bool failed = false;
    unsigned running = 0;
    for (unsigned i = 0; i < t->count && !failed; i++) {
        print_output(&t->members[i]);
        failed = has_failed(&t->members[i]);
    }
    for (unsigned i = 0; i < t->count && !failed; i++) {
        if (t->members[i].state == MEMBER_WAITS) {
            t->members[i].state = MEMBER_RUNS;
            running++;
        }
    }
    t->over = running == 0;
    atomic_store(&t->running, running);
    atomic_fetch_add(&t->barriers, 1);
    wake(t);
}

// The hart runs no more: it waits, or has ended.
static void arrive(member *m, member_state state)
{
    team *t = m->team;
    m->state = state;
    if (has_failed(m))
        atomic_store(&t->ending, true);
    if (atomic_fetch_sub(&t->running, 1) == 1)
        pass(t);
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

static bool at_barrier(const member *m)
{
    return m->hart->x[A7] == HOST_SERVICE_BARRIER;
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
    pthread_mutex_lock(&t->services);
    bool ended = host_has_ended(t->program, m->hart, stop, &m->outcome);
    pthread_mutex_unlock(&t->services);
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
    if (stop == HART_STOP_ECALL && at_barrier(m)) {
        m->hart->x[A0] = 0;
        hart_finish_ecall(m->hart);
        o->instructions = m->hart->retired - m->retired;
        observers_barrier(t->program, m->hart);
        if (!host_time_is_up(t->limits, t->start))
            return MEMBER_WAITS;
        o->end = HOST_TIME_LIMIT;
        return MEMBER_ENDED;
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
    hart_stop stop = host_run_slice(m->hart, m->team->limits, m->outcome.instructions, UINT64_MAX);
    member_state state = state_behind(m, stop);
    if (state != MEMBER_RUNS && m->state == MEMBER_RUNS) // or else it has come to the last barrier
        arrive(m, state);
    return state;
}

// The barrier, without leaving the hart, unless the run ends there.
static bool wait_in_place(void *context, hart *h)
{
    member *m = context;
    const unsigned passed = atomic_load(&m->team->barriers);
    if (!at_barrier(m) || host_time_is_up(m->team->limits, m->team->start))
        return false;
    h->x[A0] = 0;
    arrive(m, MEMBER_WAITS);
    wait_while(m->team, &m->team->barriers, passed);
    return !m->team->over;
}

static void run_member(member *m)
{
    while (take_turn(m) == MEMBER_RUNS)
        ;
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

// --------------------------------------------------------------------------- threads

static void *serve(void *context)
{
    member *m = context;
    team *t = m->team;
    for (unsigned run = 0;; run++) {
        wait_while(t, &t->runs, run);
        if (atomic_load(&t->closing))
            return NULL;
        run_member(m);
        if (atomic_fetch_sub(&t->inside, 1) == 1)
            wake(t);
    }
}

static void end_threads(team *t)
{
    atomic_store(&t->closing, true);
    atomic_fetch_add(&t->runs, 1);
    wake(t);
    while (t->threads > 0)
        pthread_join(t->members[t->threads--].thread, NULL);
}

// One for each hart but the first, for all runs. False: the host gives fewer; there are none.
static bool have_threads(team *t)
{
    while (t->threads + 1 < t->count && !t->refused) {
        member *m = &t->members[t->threads + 1];
        t->refused = pthread_create(&m->thread, NULL, serve, m) != 0;
        if (!t->refused) {
            t->threads++;
            continue;
        }
        diagnostic_warning(t->program->diagnostics, host_where(t->program),
                           "the host gives threads for %u of %u harts: they take turns on one",
                           t->threads + 1, t->count);
        end_threads(t);
    }
    return !t->refused;
}

static void run_on_threads(team *t)
{
    atomic_store(&t->inside, t->threads);
    atomic_fetch_add(&t->runs, 1);
    wake(t);
    run_member(&t->members[0]);
    for (unsigned left; (left = atomic_load(&t->inside)) > 0;)
        wait_while(t, &t->inside, left);
}

// --------------------------------------------------------------------------- runs

static team *create_team(host_program *p)
{
    team *t = ARENA_NEW(p->arena, team);
    *t = (team){.program = p, .count = p->hart_count};
    t->looks = sysconf(_SC_NPROCESSORS_ONLN) >= (long)t->count ? LOOKS : 0;
    t->members = ARENA_ARRAY(p->arena, member, t->count);
    for (unsigned i = 0; i < t->count; i++)
        t->members[i] = (member){.team = t, .hart = p->harts[i]};
    pthread_mutex_init(&t->services, NULL);
    pthread_mutex_init(&t->sleeps, NULL);
    pthread_cond_init(&t->woken, NULL);
    return t;
}

void team_destroy(team *t)
{
    if (!t)
        return;
    end_threads(t);
    pthread_cond_destroy(&t->woken);
    pthread_mutex_destroy(&t->sleeps);
    pthread_mutex_destroy(&t->services);
    for (unsigned i = 0; i < t->count; i++)
        for (unsigned k = 0; k < STREAMS; k++)
            text_free(&t->members[i].output[k]);
}

// Nobody is at work on a run.
static void begin_run(team *t, const host_limits *limits)
{
    t->limits = limits;
    t->over = false;
    atomic_store(&t->ending, false);
    atomic_store(&t->running, t->count);
    for (unsigned i = 0; i < t->count; i++) {
        member *m = &t->members[i];
        m->state = MEMBER_RUNS;
        m->outcome = (host_outcome){0};
        m->retired = m->hart->retired;
        m->last = 0;
    }
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
    team *t = p->team = p->team ? p->team : create_team(p);
    begin_run(t, limits);
    for (unsigned i = 0; i < t->count; i++)
        observers_begin(p, p->harts[i], name);
    const bool together = !p->observers.count && have_threads(t);
    for (unsigned i = 0; i < t->count; i++)
        hart_serve(p->harts[i], together ? wait_in_place : NULL, &t->members[i]);
    t->start = clock_seconds();
    (together ? run_on_threads : run_in_turns)(t);
    host_outcome outcome = conclude(t);
    for (unsigned i = 0; i < t->count; i++)
        observers_end(p, p->harts[i]);
    return outcome;
}
