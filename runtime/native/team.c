// Threads that run an entry together, each with its rank: the caller is rank 0. Who waits spins
// for a while, then sleeps on a futex.
#include "runtime/native/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPINS = 4000 };

static void relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

// Comes back when *word is no longer `value`.
static void wait_while(lutra_context *c, _Atomic unsigned *word, unsigned value)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value)
            return;
        relax();
    }
    atomic_fetch_add(&c->sleepers, 1);
    while (atomic_load(word) == value)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&c->sleepers, 1);
}

// *word has changed: who is not counted as a sleeper yet will see that and not sleep.
static void wake(lutra_context *c, _Atomic unsigned *word)
{
    if (atomic_load(&c->sleepers))
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void leave_if_stopped(lutra_run *r)
{
    if (atomic_load(&r->context->reason))
        longjmp(r->escape, 1);
}

static void barrier(lutra_run *r)
{
    lutra_context *c = r->context;
    if (c->threads == 1)
        return;
    unsigned phase = atomic_load(&c->phase);
    leave_if_stopped(r);
    if (atomic_fetch_add(&c->arrived, 1) + 1 == c->threads) {
        atomic_store(&c->arrived, 0);
        atomic_fetch_add(&c->phase, 1);
        wake(c, &c->phase);
    } else {
        wait_while(c, &c->phase, phase);
    }
    leave_if_stopped(r);
}

// The others leave at their next barrier, where they may be waiting already.
static void fail(lutra_run *r, const char *reason)
{
    const char *none = NULL;
    atomic_compare_exchange_strong(&r->context->reason, &none, reason);
    atomic_fetch_add(&r->context->phase, 1);
    wake(r->context, &r->context->phase);
    longjmp(r->escape, 1);
}

static void run_rank(lutra_run *r)
{
    if (!setjmp(r->escape))
        r->context->code(r);
}

static void *work(void *argument)
{
    lutra_run *r = argument;
    lutra_context *c = r->context;
    for (unsigned call = 0;; call++) {
        wait_while(c, &c->call, call);
        if (atomic_load(&c->stop))
            return NULL;
        run_rank(r);
        if (atomic_fetch_sub(&c->running, 1) == 1)
            wake(c, &c->running);
    }
}

bool team_start(lutra_context *c)
{
    for (unsigned i = 0; i < c->threads; i++) {
        c->runs[i].barrier = barrier;
        c->runs[i].fail = fail;
    }
    unsigned all = c->threads;
    for (unsigned i = 1; i < all; i++)
        if (pthread_create(&c->runs[i].thread, NULL, work, &c->runs[i])) {
            c->threads = i;
            team_stop(c);
            return false;
        }
    return true;
}

void team_stop(lutra_context *c)
{
    atomic_store(&c->stop, true);
    atomic_fetch_add(&c->call, 1);
    wake(c, &c->call);
    for (unsigned i = 1; i < c->threads; i++)
        pthread_join(c->runs[i].thread, NULL);
}

void team_run(lutra_context *c)
{
    atomic_store(&c->reason, NULL);
    atomic_store(&c->arrived, 0);
    atomic_store(&c->running, c->threads - 1);
    if (c->threads > 1) {
        atomic_fetch_add(&c->call, 1);
        wake(c, &c->call);
    }
    run_rank(&c->runs[0]);
    for (unsigned left; (left = atomic_load(&c->running));)
        wait_while(c, &c->running, left);
}
