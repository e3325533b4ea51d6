#include "runtime/timing/report.h"

#include <stdlib.h>
#include <string.h>

double timing_seconds(const timing_report *r)
{
    return (double)r->cycles / r->machine->clock;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

double timing_unit_share(const timing_report *r, const timing_counts *c, isa_unit unit)
{
    uint64_t cycles = c == &r->total ? r->cycles * r->harts : c->cycles;
    return share((double)c->busy[unit], (double)cycles);
}

double timing_memory_share(const timing_report *r, const timing_counts *c)
{
    double cycles = c == &r->total ? (double)r->cycles : (double)c->cycles / r->harts;
    return share((double)c->memory_lines * r->line_cycles, cycles);
}

// --------------------------------------------------------------------------- groups

static int by_name(const void *left, const void *right)
{
    return strcmp(((const timing_row *)left)->name, ((const timing_row *)right)->name);
}

static int by_cycles(const void *left, const void *right)
{
    const timing_row *a = left, *b = right;
    if (a->counts.cycles != b->counts.cycles)
        return a->counts.cycles > b->counts.cycles ? -1 : 1;
    return by_name(left, right);
}

// Joins rows of one name.
static void join(timing_rows *rows)
{
    size_t kept = 0;
    if (rows->count == 0)
        return;
    qsort(rows->items, rows->count, sizeof *rows->items, by_name);
    for (size_t i = 1; i < rows->count; i++) {
        if (strcmp(rows->items[kept].name, rows->items[i].name) != 0)
            rows->items[++kept] = rows->items[i];
        else
            timing_counts_add(&rows->items[kept].counts, &rows->items[i].counts);
    }
    rows->count = kept + 1;
    qsort(rows->items, rows->count, sizeof *rows->items, by_cycles);
}

typedef struct gathering {
    timing_report *report;
    arena *arena;
} gathering;

static void gather(void *context, const timing_op *op)
{
    const gathering *g = context;
    timing_report *r = g->report;
    timing_counts_add(&r->total, &op->counts);
    timing_counts_add(&r->by_unit[op->unit], &op->counts);
    for (size_t i = 0; i < OBSERVE_GROUPINGS; i++) {
        text name = {0};
        observe_groupings[i].print(r->program, op->pc, &name);
        ARRAY_PUSH(g->arena, &r->groups[i],
                   (timing_row){arena_string(g->arena, name.data, name.length), op->counts});
        text_free(&name);
    }
}

static void add_traffic(timing_traffic *sum, const timing_traffic *t)
{
    sum->hits += t->hits;
    sum->misses += t->misses;
    sum->l2_lines += t->l2_lines;
    sum->l2_hits += t->l2_hits;
    sum->l2_misses += t->l2_misses;
    sum->lines_read += t->lines_read;
    sum->lines_written += t->lines_written;
    sum->prefetched += t->prefetched;
    sum->dropped += t->dropped;
    sum->waits += t->waits;
}

void timing_report_make(timing_report *r, arena *a, timing_hart *const *harts)
{
    gathering g = {r, a};
    for (unsigned i = 0; i < r->harts; i++) {
        timing_each(harts[i], gather, &g);
        add_traffic(&r->traffic, timing_memory_traffic(harts[i]->memory));
        uint64_t end = timing_end(harts[i]);
        r->cycles = end > r->cycles ? end : r->cycles;
    }
    r->line_cycles = timing_line_cycles(harts[0]->memory) / r->harts;
    for (size_t i = 0; i < OBSERVE_GROUPINGS; i++)
        join(&r->groups[i]);
}

// -------------------------------------------------------------------------- figures

unsigned timing_stalls(const timing_counts *c, unsigned order[TIMING_REASON_COUNT])
{
    unsigned count = 0;
    for (unsigned i = 0; i < TIMING_REASON_COUNT; i++) {
        if (c->stalls[i] == 0)
            continue;
        unsigned at = count++;
        for (; at > 0 && c->stalls[order[at - 1]] < c->stalls[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return count;
}

unsigned timing_components(const timing_report *r, timing_component out[TIMING_COMPONENTS])
{
    const machine *m = r->machine;
    const bool l2 = m->parts & MACHINE_L2;
    const timing_counts *c = &r->total;
    unsigned count = 0;
    if (!(m->parts & MACHINE_ENERGY))
        return 0;
    out[count++] = (timing_component){"issue", (double)c->instructions * m->energy_instruction};
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++) {
        if (r->by_unit[i].energy > 0)
            out[count++] = (timing_component){isa_unit_names[i], r->by_unit[i].energy};
    }
    double lines = (double)(l2 ? c->l2_lines : c->memory_lines) * TIMING_LINE;
    out[count++] =
        (timing_component){"scratch", ((double)(c->read + c->written) + lines) * m->energy_scratch};
    if (l2)
        out[count++] = (timing_component){"l2", (double)(c->l2_lines + c->memory_lines) *
                                                    TIMING_LINE * m->energy_l2};
    out[count++] =
        (timing_component){"memory", (double)c->memory_lines * TIMING_LINE * m->energy_memory};
    out[count++] = (timing_component){"static", timing_seconds(r) * m->energy_static};
    return count;
}

static double unit_peak(const machine *m, isa_unit unit)
{
    double per_cycle =
        unit == ISA_UNIT_LUT ? (double)m->unit_m * m->unit_n * m->units : (double)m->matrix_i8;
    return per_cycle * m->clock;
}

bool timing_roofline_of(const timing_report *r, timing_roofline *out)
{
    const timing_counts *c = &r->total;
    out->unit = c->lookups ? ISA_UNIT_LUT : ISA_UNIT_MATRIX;
    double work = (double)(c->lookups ? c->lookups : c->multiplies);
    double bytes = (double)c->memory_lines * TIMING_LINE;
    if (work == 0 || bytes == 0)
        return false;
    out->work = work / timing_seconds(r);
    out->peak = unit_peak(r->machine, out->unit) * r->harts;
    out->intensity = work / bytes;
    out->balance = out->peak / r->machine->memory_bandwidth;
    return true;
}
