#include "runtime/gdb/points.h"

#include "runtime/observe/access.h"

// ------------------------------------------------------------------- breakpoints

static uint64_t filter_bit(uint64_t address)
{
    return UINT64_C(1) << (address / 2 % 64);
}

static size_t find_breakpoint(const gdb_points *p, gdb_point_kind kind, uint64_t address)
{
    size_t i = 0;
    while (i < p->breakpoint_count &&
           !(p->breakpoints[i].address == address && p->breakpoints[i].kind == kind))
        i++;
    return i;
}

static bool add_breakpoint(gdb_points *p, gdb_point_kind kind, uint64_t address)
{
    if (find_breakpoint(p, kind, address) < p->breakpoint_count)
        return true;
    if (p->breakpoint_count == GDB_MOST_BREAKPOINTS)
        return false;
    p->breakpoints[p->breakpoint_count++] = (gdb_breakpoint){address, kind};
    p->filter |= filter_bit(address);
    return true;
}

static void remove_breakpoint(gdb_points *p, gdb_point_kind kind, uint64_t address)
{
    size_t i = find_breakpoint(p, kind, address);
    if (i == p->breakpoint_count)
        return;
    p->breakpoints[i] = p->breakpoints[--p->breakpoint_count];
    p->filter = 0;
    for (i = 0; i < p->breakpoint_count; i++)
        p->filter |= filter_bit(p->breakpoints[i].address);
}

const gdb_breakpoint *gdb_breakpoint_at(const gdb_points *p, uint64_t address)
{
    if (!(p->filter & filter_bit(address)))
        return NULL;
    for (size_t i = 0; i < p->breakpoint_count; i++)
        if (p->breakpoints[i].address == address)
            return &p->breakpoints[i];
    return NULL;
}

// ------------------------------------------------------------------- watchpoints

static size_t find_watchpoint(const gdb_points *p, const gdb_watchpoint *w)
{
    size_t i = 0;
    while (i < p->watchpoint_count &&
           !(p->watchpoints[i].address == w->address && p->watchpoints[i].size == w->size &&
             p->watchpoints[i].kind == w->kind))
        i++;
    return i;
}

static bool add_watchpoint(gdb_points *p, const gdb_watchpoint *w)
{
    if (w->size == 0 || w->address + (w->size - 1) < w->address)
        return false;
    if (find_watchpoint(p, w) < p->watchpoint_count)
        return true;
    if (p->watchpoint_count == GDB_MOST_WATCHPOINTS)
        return false;
    p->watchpoints[p->watchpoint_count++] = *w;
    return true;
}

static void remove_watchpoint(gdb_points *p, const gdb_watchpoint *w)
{
    size_t i = find_watchpoint(p, w);
    if (i < p->watchpoint_count)
        p->watchpoints[i] = p->watchpoints[--p->watchpoint_count];
}

static bool watches(gdb_point_kind kind, bool write)
{
    return kind == GDB_WATCH_ACCESS || kind == (write ? GDB_WATCH_WRITE : GDB_WATCH_READ);
}

// Whether [a, a + n) and [b, b + m) share a byte, modulo 2^64; n, m > 0.
static bool overlap(uint64_t a, uint64_t n, uint64_t b, uint64_t m)
{
    return b - a < n || a - b < m;
}

typedef struct search {
    const gdb_points *points;
    const gdb_watchpoint *found;
} search;

static void visit(void *context, const observe_access *a)
{
    search *s = context;
    for (size_t i = 0; !s->found && i < s->points->watchpoint_count; i++) {
        const gdb_watchpoint *w = &s->points->watchpoints[i];
        if (watches(w->kind, a->write) && overlap(a->address, a->size, w->address, w->size))
            s->found = w;
    }
}

const gdb_watchpoint *gdb_watchpoint_touched(const gdb_points *p, hart *h,
                                             const isa_instruction *in)
{
    search s = {p, NULL};
    if (p->watchpoint_count)
        observe_accesses(h, in, visit, &s);
    return s.found;
}

// -------------------------------------------------------------------------- both

static bool is_breakpoint(gdb_point_kind kind)
{
    return kind == GDB_SOFTWARE_BREAKPOINT || kind == GDB_HARDWARE_BREAKPOINT;
}

bool gdb_points_add(gdb_points *p, gdb_point_kind kind, uint64_t address, uint64_t size)
{
    return is_breakpoint(kind) ? add_breakpoint(p, kind, address)
                               : add_watchpoint(p, &(gdb_watchpoint){address, size, kind});
}

void gdb_points_remove(gdb_points *p, gdb_point_kind kind, uint64_t address, uint64_t size)
{
    if (is_breakpoint(kind))
        remove_breakpoint(p, kind, address);
    else
        remove_watchpoint(p, &(gdb_watchpoint){address, size, kind});
}
