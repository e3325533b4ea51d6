#include "runtime/timing/memory.h"

#include <math.h>
#include <stdlib.h>

enum { FRACTION_BITS = 20, MOST_LINES = 1 << 26 };

// Of a line that a cache holds; the places of a set lie one behind the other.
typedef struct cache {
    uint64_t *numbers; // address / 64, plus 1; 0: empty
    uint64_t *arrivals;
    uint64_t *used;      // when last, in accesses; and whether it was written, in bit 0
    uint64_t sets, mask; // mask: of a power of two of sets, else 0
    unsigned ways;
    uint64_t accesses; // in steps of 2
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
    uint64_t last_number, last; // the line that was looked up, and its place
    timing_traffic traffic;
};

// ------------------------------------------------------------------------- caches

static bool create_cache(cache *c, uint64_t size, unsigned ways)
{
    c->ways = ways;
    c->sets = size / TIMING_LINE / ways;
    if (c->sets == 0)
        c->sets = 1;
    c->mask = c->sets & (c->sets - 1) ? 0 : c->sets - 1;
    if (c->sets > MOST_LINES / ways)
        return false;
    c->numbers = calloc(c->sets * ways, sizeof *c->numbers);
    c->arrivals = calloc(c->sets * ways, sizeof *c->arrivals);
    c->used = calloc(c->sets * ways, sizeof *c->used);
    return c->numbers && c->arrivals && c->used;
}

static void destroy_cache(cache *c)
{
    free(c->numbers);
    free(c->arrivals);
    free(c->used);
}

static inline uint64_t set_of(const cache *c, uint64_t number)
{
    return (c->mask ? number & c->mask : number % c->sets) * c->ways;
}

static inline void use(cache *c, uint64_t place)
{
    c->accesses += 2;
    c->used[place] = c->accesses | (c->used[place] & 1);
}

enum { NOWHERE_IN_CACHE = -1 };

// Its place.
static inline int64_t find(cache *c, uint64_t number)
{
    const uint64_t set = set_of(c, number);
    for (unsigned i = 0; i < c->ways; i++)
        if (c->numbers[set + i] == number + 1) {
            use(c, set + i);
            return (int64_t)(set + i);
        }
    return NOWHERE_IN_CACHE;
}

static inline bool is_dirty(const cache *c, uint64_t place)
{
    return c->used[place] & 1;
}

static inline void set_dirty(cache *c, uint64_t place, bool dirty)
{
    c->used[place] = (c->used[place] & ~UINT64_C(1)) | dirty;
}

// The place of the line that was not used for longest.
static uint64_t victim(const cache *c, uint64_t number)
{
    const uint64_t set = set_of(c, number);
    uint64_t oldest = set;
    for (unsigned i = 1; i < c->ways; i++)
        if (c->used[set + i] < c->used[oldest])
            oldest = set + i;
    return oldest;
}

static void enter(cache *c, uint64_t place, uint64_t number)
{
    c->numbers[place] = number + 1;
    set_dirty(c, place, false);
    use(c, place);
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

static uint64_t place_in_l2(timing_memory *t, uint64_t number, uint64_t at)
{
    uint64_t place = victim(&t->l2, number);
    if (is_dirty(&t->l2, place))
        to_memory(t, at);
    enter(&t->l2, place, number);
    return place;
}

static uint64_t from_l2(timing_memory *t, uint64_t number, uint64_t at)
{
    uint64_t there = carry(t, &t->l2_bus, at);
    int64_t found = find(&t->l2, number);
    t->traffic.l2_lines++;
    if (found >= 0) {
        t->traffic.l2_hits++;
        return there > t->l2.arrivals[found] ? there : t->l2.arrivals[found];
    }
    t->traffic.l2_misses++;
    uint64_t place = place_in_l2(t, number, at);
    return t->l2.arrivals[place] = from_memory(t, there);
}

static void to_l2(timing_memory *t, uint64_t number, uint64_t at)
{
    carry(t, &t->l2_bus, at);
    t->traffic.l2_lines++;
    int64_t found = find(&t->l2, number);
    uint64_t place = found >= 0 ? (uint64_t)found : place_in_l2(t, number, at);
    if (found < 0)
        t->l2.arrivals[place] = at;
    set_dirty(&t->l2, place, true);
}

static uint64_t place_in_scratch(timing_memory *t, uint64_t number, uint64_t at)
{
    cache *c = &t->scratch;
    uint64_t place = victim(c, number);
    if (is_dirty(c, place)) {
        if (t->l2.numbers)
            to_l2(t, c->numbers[place] - 1, at);
        else
            to_memory(t, at);
    }
    enter(c, place, number);
    return place;
}

static uint64_t fetch(timing_memory *t, uint64_t number, uint64_t at, uint64_t *place)
{
    *place = place_in_scratch(t, number, at);
    uint64_t arrival = t->l2.numbers ? from_l2(t, number, at) : from_memory(t, at);
    t->returns[t->next] = arrival;
    t->next = t->next + 1 == t->outstanding ? 0 : t->next + 1;
    return t->scratch.arrivals[*place] = arrival;
}

// ------------------------------------------------------------------------ accesses

typedef enum access_kind { READ, WRITE_WHOLE, WRITE_PART, PREFETCH } access_kind;

static uint64_t miss(timing_memory *t, uint64_t number, access_kind kind, uint64_t *request)
{
    uint64_t place, arrival, turn = t->returns[t->next];
    t->traffic.misses++;
    if (turn > *request && kind == PREFETCH) {
        t->traffic.dropped++;
        return *request;
    }
    if (kind == WRITE_WHOLE) {
        place = place_in_scratch(t, number, *request);
        arrival = t->scratch.arrivals[place] = *request;
    } else {
        *request = turn > *request ? turn : *request;
        arrival = fetch(t, number, *request, &place);
    }
    set_dirty(&t->scratch, place, kind == WRITE_WHOLE || kind == WRITE_PART);
    t->traffic.prefetched += kind == PREFETCH;
    t->last_number = number + 1;
    t->last = place;
    return arrival;
}

// The place of a line that hits; -1 otherwise.
static inline int64_t look_up(timing_memory *t, uint64_t number)
{
    if (t->last_number == number + 1 && t->scratch.numbers[t->last] == number + 1)
        return (int64_t)t->last;
    int64_t place = find(&t->scratch, number);
    if (place >= 0) {
        t->last_number = number + 1;
        t->last = (uint64_t)place;
    }
    return place;
}

static inline void touch(timing_memory *t, timing_request *r, uint64_t number, access_kind kind)
{
    const uint64_t at = r->at + r->bytes / r->rate;
    const int64_t place = look_up(t, number);
    uint64_t arrival;
    r->last = r->last > at ? r->last : at;
    if (place >= 0) {
        t->traffic.hits++;
        arrival = t->scratch.arrivals[place];
    } else {
        arrival = miss(t, number, kind, &r->last);
    }
    if (kind == READ && arrival > r->there)
        r->there = arrival;
    if (kind != WRITE_WHOLE && kind != WRITE_PART)
        return;
    t->scratch.used[t->last] |= 1;
    if (arrival < r->end)
        t->scratch.arrivals[t->last] = r->end;
}

// Calls `touch` for each line of a piece; `kind` may look at `whole`.
#define EACH_LINE(kind)                                                                            \
    while (size > 0) {                                                                             \
        const uint64_t left = TIMING_LINE - address % TIMING_LINE,                                 \
                       part = size < left ? size : left;                                           \
        const bool whole = part == TIMING_LINE;                                                    \
        (void)whole;                                                                               \
        touch(t, r, address / TIMING_LINE, kind);                                                  \
        r->bytes += (uint32_t)part;                                                                \
        address += part;                                                                           \
        size -= part;                                                                              \
    }

void timing_read(timing_memory *t, timing_request *r, uint64_t address, uint64_t size)
{
    EACH_LINE(READ)
}

void timing_write(timing_memory *t, timing_request *r, uint64_t address, uint64_t size)
{
    EACH_LINE(whole ? WRITE_WHOLE : WRITE_PART)
}

void timing_prefetch(timing_memory *t, timing_request *r, uint64_t address, uint64_t size)
{
    EACH_LINE(PREFETCH)
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
    destroy_cache(&t->scratch);
    destroy_cache(&t->l2);
    free(t->returns);
    free(t);
}
