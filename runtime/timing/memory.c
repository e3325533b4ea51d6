#include "runtime/timing/memory.h"

#include <math.h>
#include <stdlib.h>

enum { FRACTION_BITS = 20, MOST_LINES = 1 << 26 };

typedef struct line {
    uint64_t number; // address / 64, plus 1; 0: empty
    uint64_t arrival;
    uint64_t used; // when last, in accesses
    bool dirty;
} line;

typedef struct cache {
    line *lines;
    uint64_t sets;
    unsigned ways;
    uint64_t accesses;
} cache;

// A bus that lines take one after the other. Times in 2^-20 cycles.
typedef struct bus {
    uint64_t free, line, latency; // line: what it takes for one
} bus;

struct timing_memory {
    cache scratch, l2; // l2.lines NULL: there is none
    bus l2_bus, memory_bus;
    uint64_t *returns; // of the last lines that were asked for, a ring
    unsigned outstanding, next;
    line *last; // that was looked up
    timing_traffic traffic;
};

// ------------------------------------------------------------------------- caches

static bool create_cache(cache *c, uint64_t size, unsigned ways)
{
    c->ways = ways;
    c->sets = size / TIMING_LINE / ways;
    if (c->sets == 0)
        c->sets = 1;
    if (c->sets > MOST_LINES / ways)
        return false;
    c->lines = calloc(c->sets * ways, sizeof *c->lines);
    return c->lines != NULL;
}

static line *set_of(const cache *c, uint64_t number)
{
    return c->lines +
           (c->sets & (c->sets - 1) ? number % c->sets : number & (c->sets - 1)) * c->ways;
}

static line *find(cache *c, uint64_t number)
{
    line *set = set_of(c, number);
    for (unsigned i = 0; i < c->ways; i++)
        if (set[i].number == number + 1) {
            set[i].used = ++c->accesses;
            return &set[i];
        }
    return NULL;
}

// The place of the line that was not used for longest.
static line *victim(cache *c, uint64_t number)
{
    line *set = set_of(c, number), *oldest = set;
    for (unsigned i = 1; i < c->ways; i++)
        if (set[i].used < oldest->used)
            oldest = &set[i];
    oldest->used = ++c->accesses;
    return oldest;
}

// -------------------------------------------------------------------------- buses

static bus create_bus(const machine *m, double bandwidth, double latency)
{
    const double one = (double)(1 << FRACTION_BITS), most = 0x1p50;
    return (bus){.line = (uint64_t)llround(fmin(TIMING_LINE / bandwidth * m->clock * one, most)),
                 .latency = (uint64_t)llround(fmin(latency * m->clock * one, most))};
}

// Carries a line that is asked for at `at`; gives when it is there, as a whole.
static uint64_t carry(timing_memory *t, bus *b, uint64_t at)
{
    uint64_t asked = at << FRACTION_BITS, start = asked > b->free ? asked : b->free;
    t->traffic.waits += (start - asked) >> FRACTION_BITS;
    b->free = start + b->line;
    return (b->free + b->latency + (1 << FRACTION_BITS) - 1) >> FRACTION_BITS;
}

static uint64_t from_memory(timing_memory *t, uint64_t at)
{
    t->traffic.lines_read++;
    return carry(t, &t->memory_bus, at);
}

static void to_memory(timing_memory *t, uint64_t at)
{
    t->traffic.lines_written++;
    carry(t, &t->memory_bus, at);
}

// -------------------------------------------------------------------------- levels

static line *place_in_l2(timing_memory *t, uint64_t number, uint64_t at)
{
    line *l = victim(&t->l2, number);
    if (l->number && l->dirty)
        to_memory(t, at);
    l->number = number + 1;
    l->dirty = false;
    return l;
}

static uint64_t from_l2(timing_memory *t, uint64_t number, uint64_t at)
{
    uint64_t there = carry(t, &t->l2_bus, at);
    line *l = find(&t->l2, number);
    t->traffic.l2_lines++;
    if (l) {
        t->traffic.l2_hits++;
        return there > l->arrival ? there : l->arrival;
    }
    t->traffic.l2_misses++;
    l = place_in_l2(t, number, at);
    return l->arrival = from_memory(t, there);
}

static void to_l2(timing_memory *t, uint64_t number, uint64_t at)
{
    carry(t, &t->l2_bus, at);
    t->traffic.l2_lines++;
    line *l = find(&t->l2, number);
    if (!l) {
        l = place_in_l2(t, number, at);
        l->arrival = at;
    }
    l->dirty = true;
}

static line *place(timing_memory *t, uint64_t number, uint64_t at)
{
    line *l = victim(&t->scratch, number);
    if (l->number && l->dirty) {
        if (t->l2.lines)
            to_l2(t, l->number - 1, at);
        else
            to_memory(t, at);
    }
    l->number = number + 1;
    l->dirty = false;
    return l;
}

static uint64_t fetch(timing_memory *t, uint64_t number, uint64_t at)
{
    line *l = place(t, number, at);
    l->arrival = t->l2.lines ? from_l2(t, number, at) : from_memory(t, at);
    t->returns[t->next] = l->arrival;
    t->next = t->next + 1 == t->outstanding ? 0 : t->next + 1;
    t->last = l;
    return l->arrival;
}

// ------------------------------------------------------------------------ accesses

static uint64_t miss(timing_memory *t, uint64_t number, timing_access_kind kind, uint64_t *request)
{
    t->traffic.misses++;
    if (kind == TIMING_WRITE_WHOLE) {
        t->last = place(t, number, *request);
        t->last->dirty = true;
        return t->last->arrival = *request;
    }
    uint64_t turn = t->returns[t->next];
    if (turn > *request && kind == TIMING_PREFETCH) {
        t->traffic.dropped++;
        return *request;
    }
    *request = turn > *request ? turn : *request;
    uint64_t arrival = fetch(t, number, *request);
    t->last->dirty = kind == TIMING_WRITE_PART;
    t->traffic.prefetched += kind == TIMING_PREFETCH;
    return arrival;
}

uint64_t timing_line(timing_memory *t, uint64_t number, timing_access_kind kind, uint64_t at,
                     uint64_t *request)
{
    *request = *request > at ? *request : at;
    line *l = t->last && t->last->number == number + 1 ? t->last : find(&t->scratch, number);
    if (!l)
        return miss(t, number, kind, request);
    t->last = l;
    t->traffic.hits++;
    l->dirty |= kind == TIMING_WRITE_PART || kind == TIMING_WRITE_WHOLE;
    return l->arrival;
}

void timing_line_written(timing_memory *t, uint64_t number, uint64_t cycle)
{
    line *l = t->last && t->last->number == number + 1 ? t->last : find(&t->scratch, number);
    if (l && l->arrival < cycle)
        l->arrival = cycle;
}

const timing_traffic *timing_memory_traffic(const timing_memory *t)
{
    return &t->traffic;
}

double timing_line_cycles(const timing_memory *t)
{
    return (double)t->memory_bus.line / (1 << FRACTION_BITS);
}

timing_memory *timing_memory_create(const machine *m, unsigned sharers)
{
    timing_memory *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->outstanding = m->memory_outstanding;
    t->returns = calloc(t->outstanding, sizeof *t->returns);
    t->memory_bus = create_bus(m, m->memory_bandwidth / sharers, m->memory_latency);
    bool ok = t->returns && create_cache(&t->scratch, m->scratch_size, m->scratch_ways);
    if (m->parts & MACHINE_L2) {
        t->l2_bus = create_bus(m, m->l2_bandwidth / sharers, m->l2_latency);
        ok = ok && create_cache(&t->l2, m->l2_size / sharers, m->l2_ways);
    }
    if (ok)
        return t;
    timing_memory_destroy(t);
    return NULL;
}

void timing_memory_destroy(timing_memory *t)
{
    if (!t)
        return;
    free(t->scratch.lines);
    free(t->l2.lines);
    free(t->returns);
    free(t);
}
