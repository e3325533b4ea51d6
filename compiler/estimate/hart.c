// A hart: an in-order pipeline that issues to units, with results that are waited for, and the
// memory behind it. Whether a line lies in scratch is told by how many bytes were touched since it
// was: a cache of least recently used lines without conflicts.
#include "compiler/estimate/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct line {
    uint64_t key; // 0: free
    double clock, common;
    double arrival; // cycle, skipped ones included: what was under way before arrives in them
    bool dirty;
} line;

// What lies behind scratch: a queue that moves lines.
typedef struct channel {
    double cycles;  // of a line, for this hart
    double latency; // cycles
    double free;
} channel;

struct hart {
    const machine *machine;
    uint32_t active;
    write_backs write_backs;
    counts counts;
    root roots[MAX_ROOTS + 1];
    double now; // of the next instruction; skipped cycles are not in it
    unsigned issued;
    double free[ISA_UNIT_COUNT];
    double read_until[ISA_TILE_REGISTERS + 1], written[ISA_TILE_REGISTERS + 1]; // of tiles
    channel memory, l2;
    double *outstanding; // when the lines under way arrive
    uint32_t oldest;
    line *lines;
    size_t capacity, used;
};

static channel channel_of(const machine *m, double bandwidth, double latency, uint32_t active)
{
    return (channel){.cycles = LINE * m->clock * active / bandwidth,
                     .latency = ceil(latency * m->clock)};
}

hart *hart_create(const machine *m, uint32_t active, double memory_efficiency, write_backs w)
{
    hart *h = calloc(1, sizeof *h);
    if (!h)
        INTERNAL_ERROR("out of memory");
    h->machine = m;
    h->active = active;
    h->write_backs = w;
    h->memory = channel_of(m, m->memory_bandwidth * memory_efficiency, m->memory_latency, active);
    if (m->parts & MACHINE_L2)
        h->l2 = channel_of(m, m->l2_bandwidth * memory_efficiency, m->l2_latency, active);
    h->capacity = 1 << 12;
    h->lines = calloc(h->capacity, sizeof *h->lines);
    h->outstanding = calloc(m->memory_outstanding, sizeof *h->outstanding);
    if (!h->lines || !h->outstanding)
        INTERNAL_ERROR("out of memory");
    return h;
}

void hart_destroy(hart *h)
{
    free(h->lines);
    free(h->outstanding);
    free(h);
}

counts *hart_counts(hart *h)
{
    return &h->counts;
}

root *hart_root(hart *h, unsigned index)
{
    return &h->roots[index < MAX_ROOTS ? index : MAX_ROOTS];
}

double hart_time(const hart *h)
{
    return h->now + h->counts.skipped;
}

void hart_wait(hart *h, double cycles)
{
    h->now = ceil(h->now) + cycles;
    h->issued = 0;
}

double hart_end(const hart *h)
{
    double end = h->now;
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        end = fmax(end, h->free[i]);
    return end + h->counts.skipped;
}

// ------------------------------------------------------------------------------- lines

static size_t slot_of(const hart *h, uint64_t key)
{
    uint64_t x = key * 0x9e3779b97f4a7c15;
    size_t i = (size_t)(x >> 32) & (h->capacity - 1);
    while (h->lines[i].key && h->lines[i].key != key)
        i = (i + 1) & (h->capacity - 1);
    return i;
}

static void grow(hart *h)
{
    line *old = h->lines;
    size_t n = h->capacity;
    h->capacity *= 2;
    h->lines = calloc(h->capacity, sizeof *h->lines);
    if (!h->lines)
        INTERNAL_ERROR("out of memory");
    for (size_t i = 0; i < n; i++)
        if (old[i].key)
            h->lines[slot_of(h, old[i].key)] = old[i];
    free(old);
}

typedef enum level { IN_SCRATCH, IN_L2, IN_MEMORY } level;

// A number from 0 to 1, another one for each line.
static double lot_of(uint64_t number)
{
    return (double)((number * 0x9e3779b97f4a7c15) >> 40) / (double)(1 << 24);
}

// A line stays until as many others as there are ways have come to its set. Of what was touched
// since, sets have the mean give or take one, since most of it lies side by side.
static bool in_scratch(const machine *m, double age, uint64_t number)
{
    double size = (double)m->scratch_size, ways = (double)m->scratch_ways;
    if (m->parts & MACHINE_CLUSTER) // registers and shared memory: no sets
        return age < size;
    double others = age / size * ways;
    return erfc((others - ways + 0.5) / sqrt(2)) / 2 > lot_of(number);
}

static level level_of(const hart *h, double age, double common, uint64_t number)
{
    if (in_scratch(h->machine, age, number))
        return IN_SCRATCH;
    if ((h->machine->parts & MACHINE_L2) && common < (double)h->machine->l2_size)
        return IN_L2;
    return IN_MEMORY;
}

// Lines that were used just now, or prefetched, do not push others out once more.
static void advance(hart *h, double age, const access *a)
{
    enum { RECENT = 16 }; // part of scratch
    if (age * RECENT < (double)h->machine->scratch_size)
        return;
    h->counts.clock += LINE / a->nearby;
    h->counts.common += LINE * h->active / a->share;
}

static double through(channel *c, double from, double part)
{
    double start = from > c->free ? from : c->free;
    c->free = start + c->cycles * part;
    return start + c->latency + c->cycles * part;
}

// Moves a line nearer; *request: when it was asked for, which may have to wait until a line less
// is under way. Gives the cycle it is there.
static double fetch(hart *h, level where, const root *r, const access *a, double *request)
{
    const double share = a->share;
    counts *n = &h->counts;
    double *slot = &h->outstanding[h->oldest];
    *request = *request > *slot ? *request : *slot;
    double there = *request;
    if (h->machine->parts & MACHINE_L2) {
        n->work.l2 += LINE / a->nearby;
        there = through(&h->l2, there, 1 / a->nearby);
    }
    if (where == IN_MEMORY) {
        n->work.memory_read += LINE / share;
        n->work.weights += r->is_weight ? LINE / share : 0;
        there = through(&h->memory, there, 1 / share);
    }
    *slot = there;
    h->oldest = (h->oldest + 1) % h->machine->memory_outstanding;
    return there;
}

// Dirty lines make room for others in the course of time.
static void write_back(hart *h, double now)
{
    const write_backs w = h->write_backs;
    bool l2 = h->machine->parts & MACHINE_L2;
    double far = l2 ? w.far : w.near;
    h->counts.dirtied += LINE;
    if (l2 && w.near > 0) {
        h->counts.work.l2 += LINE * w.near;
        through(&h->l2, now, w.near);
    }
    if (far > 0) {
        h->counts.work.memory_written += LINE * far;
        through(&h->memory, now, far);
    }
}

// Harts meet at the same bytes: because nothing that divides them moves the address, or because
// there are not enough bytes for all.
static access shared_access(const hart *h, const access *a)
{
    const root *r = &h->roots[a->root < MAX_ROOTS ? a->root : MAX_ROOTS];
    access s = *a;
    if (!a->write && r->share > s.share)
        s.share = r->share;
    return s;
}

// The line as it is before it is used again; *where: the level it is found at.
static line *find_line(hart *h, const access *a, int64_t number, level *where)
{
    unsigned index = a->root < MAX_ROOTS ? a->root : MAX_ROOTS;
    uint64_t key = ((uint64_t)(a->root + 1) << 44) ^ ((uint64_t)number & 0xfffffffffff);
    if (2 * h->used >= h->capacity)
        grow(h);
    line *l = &h->lines[slot_of(h, key)];
    counts *n = &h->counts;
    double age = fmin(n->clock - l->clock, n->unique);
    double common = fmin(n->common - l->common, n->unique_common);
    if (!l->key) {
        *l = (line){.key = key};
        h->used++;
        n->first[index < MAX_ROOTS ? index : MAX_ROOTS - 1] += LINE;
        age = h->roots[index].age + n->unique;
        common = h->roots[index].age * h->active + n->unique_common;
        n->unique += LINE / a->nearby;
        n->unique_common += LINE * h->active / a->share;
        advance(h, INFINITY, a);
    } else {
        advance(h, age, a);
    }
    *where = level_of(h, age, common, (uint64_t)number);
    return l;
}

// A line of an access. Lines that are written as a whole are not read first.
static double touch(hart *h, const access *a, int64_t number, bool whole, double *request)
{
    level where;
    line *l = find_line(h, a, number, &where);
    const root *r = &h->roots[a->root < MAX_ROOTS ? a->root : MAX_ROOTS];
    if (where != IN_SCRATCH) {
        l->arrival = a->write && whole ? *request : fetch(h, where, r, a, request);
        l->arrival += h->counts.skipped;
        l->dirty = false;
    }
    if (a->write && !l->dirty)
        write_back(h, *request);
    l->dirty = l->dirty || a->write;
    l->clock = h->counts.clock;
    l->common = h->counts.common;
    return l->arrival - h->counts.skipped;
}

void hart_have(hart *h, const access *a)
{
    const counts before = h->counts;
    for (int64_t l = a->offset >> 6; l * LINE < a->offset + a->bytes; l++) {
        level where;
        line *x = find_line(h, a, l, &where);
        if (where != IN_SCRATCH)
            x->arrival = hart_time(h);
        x->clock = before.clock;
        x->common = before.common;
    }
    h->counts = before;
}

typedef struct reach {
    double arrival; // of all that is read
    double request; // when the last line was asked for
} reach;

// From cycle `at` on, `rate` bytes in a cycle; what is written can be read from `end` on.
static reach reach_memory(hart *h, unsigned n, const access *accesses, double at, double end,
                          double rate)
{
    reach r = {.request = at};
    int64_t bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        const access shared = shared_access(h, &accesses[i]), *a = &shared;
        for (unsigned row = 0; row < a->rows; row++) {
            int64_t from = a->offset + row * a->stride, to = from + a->bytes;
            for (int64_t l = from >> 6; l * LINE < to; l++) {
                int64_t first = l * LINE > from ? l * LINE : from;
                int64_t last = (l + 1) * LINE < to ? (l + 1) * LINE : to;
                r.request = fmax(r.request, at + floor((double)bytes / rate));
                double there = touch(h, a, l, last - first == LINE, &r.request);
                if (a->write)
                    h->lines[slot_of(h, ((uint64_t)(a->root + 1) << 44) ^
                                            ((uint64_t)l & 0xfffffffffff))]
                        .arrival = fmax(there, end) + h->counts.skipped;
                else
                    r.arrival = fmax(r.arrival, there);
                bytes += last - first;
            }
        }
    }
    h->counts.work.scratch += (double)bytes;
    return r;
}

// ---------------------------------------------------------------------------- pipeline

static double issue_at(hart *h, double ready)
{
    if (ready > h->now) {
        h->now = ceil(ready);
        h->issued = 0;
    }
    double slot = h->now;
    if (++h->issued == h->machine->issue_width) {
        h->now += 1;
        h->issued = 0;
    }
    return slot;
}

static double rate_of(const machine *m, isa_unit unit)
{
    return unit == ISA_UNIT_TILE_LOAD    ? m->tiles_load
           : unit == ISA_UNIT_TILE_STORE ? m->tiles_store
           : unit == ISA_UNIT_MEMORY     ? m->scratch_bytes
                                         : LINE;
}

// Vectors and scales go element after element: the first ones may be taken before the last are
// there, as long as the taker is not faster than the maker.
static bool chains(isa_class class)
{
    return (class >= ISA_CLASS_VECTOR && class <= ISA_CLASS_VECTOR_REDUCE) ||
           class == ISA_CLASS_DEQUANTIZE;
}

// Units that begin when their data is there.
static bool needs_data(isa_class class)
{
    return class == ISA_CLASS_TABLE_BUILD || class == ISA_CLASS_DEQUANTIZE;
}

static double start_of(const hart *h, isa_class class, const isa_cost *c, const operands *x)
{
    double t = h->free[c->unit], chained = chains(class) ? c->busy - 1 : 0;
    for (unsigned i = 0; x && i < x->n; i++)
        t = fmax(t, x->items[i].ready - fmin(x->items[i].early, chained));
    if (!x || !x->writes)
        return t;
    // Results are written in the order of the program, behind all reads of what was there.
    t = fmax(t, h->read_until[x->writes] - c->latency);
    return x->adds ? t : fmax(t, h->written[x->writes] - c->latency);
}

// Tiles are read while the unit works, which may begin late.
static void mark_tiles(hart *h, const operands *x, double end, double ready)
{
    for (unsigned i = 0; i < x->n; i++)
        h->read_until[x->items[i].tile] = fmax(h->read_until[x->items[i].tile], end);
    h->written[x->writes] = ready;
}

static void count(hart *h, const isa_instruction *in, const isa_cost *c)
{
    estimate_work *w = &h->counts.work;
    w->busy[c->unit] += c->busy;
    w->issued += 1;
    w->classes[isa_rows[in->opcode].class] += 1;
    w->lookups += (double)c->lookups;
    w->multiplies += (double)c->multiplies;
    w->energy += c->energy;
    if (in->opcode == ISA_LUT_TBL)
        w->table_groups +=
            (in->rs2 ? h->machine->tile_m : 1) * (double)machine_tile_lookups(h->machine);
}

result hart_issue(hart *h, const isa_instruction *in, const isa_shape *shape, const operands *x,
                  unsigned n, const access *accesses)
{
    const isa_class class = isa_rows[in->opcode].class;
    isa_cost c = isa_cost_of(h->machine, in, shape);
    double cycle = issue_at(h, start_of(h, class, &c, x)), begin = cycle;
    reach r = reach_memory(h, n, accesses, cycle, cycle + c.latency, rate_of(h->machine, c.unit));
    if (needs_data(class))
        begin = ceil(fmax(begin, r.arrival));
    result y = {.ready = begin + c.latency, .unit = c.unit};
    y.early = chains(class) ? c.busy - 1 : 0;
    double behind = r.arrival + c.latency - (c.busy - 1.0); // the last piece
    if (!needs_data(class) && r.arrival > cycle && behind > y.ready &&
        class != ISA_CLASS_TILE_PREFETCH)
        y = (result){.ready = ceil(behind), .unit = c.unit};
    h->free[c.unit] = fmax(begin + c.busy, n ? ceil(r.request) + 1 : 0);
    if (x && (c.busy > 1 || begin > cycle))
        mark_tiles(h, x, begin + c.busy, y.ready);
    y.tile = x ? x->writes : 0;
    count(h, in, &c);
    return y;
}

result hart_issue_plain(hart *h, isa_opcode opcode, const isa_shape *shape, const operands *x)
{
    isa_instruction in = {.opcode = (uint16_t)opcode};
    return hart_issue(h, &in, shape, x, 0, NULL);
}
