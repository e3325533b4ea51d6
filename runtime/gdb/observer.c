// When the program stops for gdb, and what gdb hears of its end.
#include "runtime/gdb/session.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ASK_EVERY = 4096 }; // instructions

// In gdb's numbering, which is not that of Linux.
enum { SIGNAL_INT = 2, SIGNAL_ILL = 4, SIGNAL_TRAP = 5, SIGNAL_BUS = 10, SIGNAL_SEGV = 11 };

static const uint8_t cause_signals[] = {
    [HART_FETCH_MISALIGNED] = SIGNAL_BUS,    [HART_FETCH_FAULT] = SIGNAL_SEGV,
    [HART_ILLEGAL_INSTRUCTION] = SIGNAL_ILL, [HART_BREAKPOINT] = SIGNAL_TRAP,
    [HART_LOAD_MISALIGNED] = SIGNAL_BUS,     [HART_LOAD_FAULT] = SIGNAL_SEGV,
    [HART_STORE_MISALIGNED] = SIGNAL_BUS,    [HART_STORE_FAULT] = SIGNAL_SEGV,
};

static bool stop_for(gdb_session *s, unsigned signal, const char *what)
{
    s->stop = (gdb_stop){.signal = signal, .what = what};
    s->stopping = true;
    return false;
}

static bool is_step_over(const gdb_session *s, uint64_t pc)
{
    return s->motion == GDB_STEP ||
           (s->motion == GDB_RANGE && (pc < s->range_low || pc >= s->range_high));
}

static bool wants_interrupt(gdb_session *s)
{
    if (++s->unasked < ASK_EVERY)
        return false;
    s->unasked = 0;
    return gdb_interrupted(&s->connection) || s->connection.gone;
}

// As gdb expects on RISC-V, a watchpoint stops in front of the instruction that will touch it.
static bool check_watchpoints(gdb_session *s, hart *h, const isa_instruction *in)
{
    static const char *const names[GDB_POINT_KINDS] = {
        [GDB_WATCH_WRITE] = "watch", [GDB_WATCH_READ] = "rwatch", [GDB_WATCH_ACCESS] = "awatch"};
    const gdb_watchpoint *w = gdb_watchpoint_touched(&s->points, h, in);
    if (!w)
        return true;
    stop_for(s, SIGNAL_TRAP, names[w->kind]);
    s->stop.address = w->address;
    s->stop.has_address = true;
    return false;
}

// Whether the instruction at pc, which is not where the program stood, may execute.
static bool check(gdb_session *s, hart *h, const isa_instruction *in)
{
    const gdb_breakpoint *b = gdb_breakpoint_at(&s->points, h->pc);
    if (b)
        return stop_for(s, SIGNAL_TRAP, b->kind == GDB_SOFTWARE_BREAKPOINT ? "swbreak" : "hwbreak");
    if (is_step_over(s, h->pc))
        return stop_for(s, SIGNAL_TRAP, NULL);
    if (wants_interrupt(s))
        return stop_for(s, SIGNAL_INT, NULL);
    return check_watchpoints(s, h, in);
}

static bool gate(void *context, hart *h, const isa_instruction *in)
{
    gdb_session *s = context;
    if (s->motion == GDB_DETACHED)
        return true;
    if (s->stopping || s->motion == GDB_KILLED)
        return false;
    if (!s->first && !check(s, h, in))
        return false;
    s->first = false;
    return true;
}

static bool stopped(void *context, hart *h)
{
    (void)h;
    gdb_session *s = context;
    if (s->motion != GDB_KILLED) {
        gdb_serve(s, s->greeted);
        s->greeted = true;
    }
    return s->motion != GDB_KILLED;
}

static void begin(void *context, hart *h, const char *name)
{
    (void)h;
    (void)name;
    gdb_session *s = context;
    gdb_transport *t = &s->connection.transport;
    if (s->greeted)
        return;
    if (t->connect && !t->connect(t->context))
        s->motion = GDB_KILLED;
    stop_for(s, SIGNAL_TRAP, NULL);
}

static bool idle(void *context)
{
    return ((gdb_session *)context)->motion == GDB_DETACHED;
}

// When gdb goes on with a signal, that is the end, as in a process without a handler; when it does
// not, the instruction at pc is tried (again). Breakpoints need not be in code: those of gdb where
// functions that it has called return to lie in the stack.
static bool fault(void *context, hart *h)
{
    gdb_session *s = context;
    if (s->motion == GDB_DETACHED || s->motion == GDB_KILLED)
        return false;
    bool breakpoint = h->cause == HART_FETCH_FAULT && gdb_breakpoint_at(&s->points, h->pc);
    if (breakpoint)
        stop_for(s, SIGNAL_TRAP, "swbreak");
    else
        stop_for(s, cause_signals[h->cause], NULL);
    gdb_serve(s, true);
    s->faulted = s->signalled;
    return !s->signalled && s->motion != GDB_KILLED;
}

static void finish(void *context, int exit_code)
{
    gdb_session *s = context;
    gdb_transport *t = &s->connection.transport;
    if (s->greeted && s->motion != GDB_DETACHED && s->motion != GDB_KILLED) {
        text_clear(&s->reply);
        text_printf(&s->reply, "%c%02x", s->faulted ? 'X' : 'W',
                    s->faulted ? s->stop.signal : (unsigned)exit_code & 0xff);
        gdb_send(&s->connection, text_string(&s->reply), s->reply.length);
    }
    if (t->close)
        t->close(t->context);
    text_free(&s->reply);
    text_free(&s->connection.sent);
    free(s);
}

void gdb_observer(const gdb_target *target, const gdb_transport *transport, observer *out)
{
    gdb_session *s = calloc(1, sizeof *s);
    if (!s)
        INTERNAL_ERROR("out of memory");
    s->target = *target;
    s->connection.transport = *transport;
    *out = (observer){.context = s,
                      .begin = begin,
                      .gate = gate,
                      .stopped = stopped,
                      .idle = idle,
                      .fault = fault,
                      .finish = finish};
}
