// The report as text.
#include "runtime/timing/report.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS_SHOWN = 24, STALLS_SHOWN = 3 };

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

// A number with three or four digits and a prefix of its unit.
static void print_scaled(text *out, double value, const char *unit)
{
    static const struct {
        double factor;
        const char *prefix;
    } prefixes[] = {{1e12, "T"}, {1e9, "G"},  {1e6, "M"},  {1e3, "k"},  {1, ""},
                    {1e-3, "m"}, {1e-6, "u"}, {1e-9, "n"}, {1e-12, "p"}};
    size_t i = 0, last = sizeof prefixes / sizeof *prefixes - 1;
    while (i < last && value < prefixes[i].factor)
        i++;
    if (value == 0)
        i = 4;
    text_printf(out, "%.4g %s%s", value / prefixes[i].factor, prefixes[i].prefix, unit);
}

static const char *scaled(arena *a, double value, const char *unit)
{
    text t = {0};
    print_scaled(&t, value, unit);
    const char *string = arena_string(a, t.data, t.length);
    text_free(&t);
    return string;
}

static void print_head(const timing_report *r, arena *a, FILE *stream)
{
    fprintf(stream,
            "time of %s on %s: %" PRIu64 " cycles, %s, %" PRIu64
            " instructions, %.2f per cycle, in %" PRIu64 " calls",
            host_path(r->program), r->machine->name, r->cycles, scaled(a, timing_seconds(r), "s"),
            r->total.instructions, (double)r->total.instructions / (double)(r->cycles | !r->cycles),
            r->calls);
    if (r->harts > 1)
        fprintf(stream, ", by %u harts", r->harts);
    fputc('\n', stream);
}

static void print_units(const timing_report *r, FILE *stream)
{
    fprintf(stream, "\n%16s  %5s  %16s  units\n", "busy cycles", "%", "instructions");
    for (unsigned i = 0; i < ISA_UNIT_COUNT; i++)
        if (r->by_unit[i].instructions)
            fprintf(stream, "%16" PRIu64 "  %5.1f  %16" PRIu64 "  %s\n", r->total.busy[i],
                    100 * timing_unit_share(r, &r->total, i), r->by_unit[i].instructions,
                    isa_unit_names[i]);
    fprintf(stream, "%16.0f  %5.1f  %16s  memory\n", (double)r->total.memory_lines * r->line_cycles,
            100 * timing_memory_share(r, &r->total), "-");
}

static void print_stalls(const timing_report *r, FILE *stream)
{
    unsigned order[TIMING_REASON_COUNT], count = timing_stalls(&r->total, order);
    uint64_t waits = 0, all = r->cycles * r->harts;
    for (unsigned i = 0; i < count; i++)
        waits += r->total.stalls[order[i]];
    fprintf(stream, "\n%16s  %5s  what the front does\n", "cycles", "%");
    fprintf(stream, "%16" PRIu64 "  %5.1f  issues\n", r->total.cycles - waits,
            percent((double)(r->total.cycles - waits), (double)all));
    for (unsigned i = 0; i < count; i++) {
        text name = {0};
        timing_reason_print(order[i], &name);
        fprintf(stream, "%16" PRIu64 "  %5.1f  waits: %s\n", r->total.stalls[order[i]],
                percent((double)r->total.stalls[order[i]], (double)all), text_string(&name));
        text_free(&name);
    }
    if (all > r->total.cycles)
        fprintf(stream, "%16" PRIu64 "  %5.1f  has ended\n", all - r->total.cycles,
                percent((double)(all - r->total.cycles), (double)all));
}

static void print_bytes(const char *name, uint64_t read, uint64_t written, const char *rest,
                        FILE *stream)
{
    fprintf(stream, "%16" PRIu64 "  %16" PRIu64 "  %s%s\n", read, written, name, rest);
}

static void print_memory(const timing_report *r, arena *a, FILE *stream)
{
    const timing_traffic *t = &r->traffic;
    text rest = {0};
    fprintf(stream, "\n%16s  %16s  level\n", "bytes read", "written");
    text_printf(&rest, ", %.2f %% of lines hit",
                percent((double)t->hits, (double)(t->hits + t->misses)));
    print_bytes("scratch", r->total.read, r->total.written, text_string(&rest), stream);
    if (r->machine->parts & MACHINE_L2) {
        text_clear(&rest);
        text_printf(&rest, " moved in all, %.2f %% of lines hit",
                    percent((double)t->l2_hits, (double)(t->l2_hits + t->l2_misses)));
        print_bytes("l2", t->l2_lines * TIMING_LINE, 0, text_string(&rest), stream);
    }
    double bytes = (double)(t->lines_read + t->lines_written) * TIMING_LINE;
    text_clear(&rest);
    text_printf(&rest, ", %s of %s", scaled(a, bytes / timing_seconds(r), "B/s"),
                scaled(a, r->machine->memory_bandwidth, "B/s"));
    print_bytes("memory", t->lines_read * TIMING_LINE, t->lines_written * TIMING_LINE,
                text_string(&rest), stream);
    fprintf(stream, "%16" PRIu64 "  %16s  prefetched, %" PRIu64 " lines dropped\n",
            t->prefetched * TIMING_LINE, "-", t->dropped);
    text_free(&rest);
}

static void print_roofline(const timing_report *r, arena *a, FILE *stream)
{
    timing_roofline f;
    if (!timing_roofline_of(r, &f))
        return;
    const char *work = f.unit == ISA_UNIT_LUT ? "lookups" : "multiply-accumulates";
    double bound = f.intensity < f.balance ? f.peak * f.intensity / f.balance : f.peak;
    fprintf(stream,
            "\nroofline: %.4g %s per byte of memory, the machine's balance is %.4g: bound by %s\n"
            "  %s/s of at most %s/s, %.1f %%\n",
            f.intensity, work, f.balance,
            f.intensity < f.balance ? "memory" : isa_unit_names[f.unit], scaled(a, f.work, work),
            scaled(a, bound, work), percent(f.work, bound));
}

static void print_energy(const timing_report *r, arena *a, FILE *stream)
{
    timing_component parts[TIMING_COMPONENTS];
    unsigned count = timing_components(r, parts);
    double all = 0;
    for (unsigned i = 0; i < count; i++)
        all += parts[i].joules;
    if (count == 0 || all == 0)
        return;
    fprintf(stream, "\n%16s  %5s  energy, %s on average\n", scaled(a, all, "J"), "%",
            scaled(a, all / timing_seconds(r), "W"));
    for (unsigned i = 0; i < count; i++)
        fprintf(stream, "%16s  %5.1f  %s\n", scaled(a, parts[i].joules, "J"),
                percent(parts[i].joules, all), parts[i].name);
}

// ----------------------------------------------------------------------------- groups

static void print_reasons(const timing_counts *c, text *out)
{
    unsigned order[TIMING_REASON_COUNT], count = timing_stalls(c, order);
    for (unsigned i = 0; i < count && i < STALLS_SHOWN; i++) {
        double part = percent((double)c->stalls[order[i]], (double)c->cycles);
        if (part < 1)
            break;
        text_append(out, i ? ", " : "  waits: ");
        timing_reason_print(order[i], out);
        text_printf(out, " %.0f %%", part);
    }
}

// Units go on while other instructions issue: what shares of them a single instruction has says
// nothing.
static void print_row(const timing_report *r, const timing_row *row, size_t group, FILE *stream)
{
    text waits = {0};
    fprintf(stream, "%16" PRIu64 "  %5.1f", row->counts.cycles,
            percent((double)row->counts.cycles, (double)r->total.cycles));
    if (group != OBSERVE_OPCODES)
        fprintf(stream, "  %5.1f  %5.1f", 100 * timing_unit_share(r, &row->counts, ISA_UNIT_LUT),
                100 * timing_memory_share(r, &row->counts));
    if (group == OBSERVE_FUNCTIONS || group == OBSERVE_OPCODES)
        print_reasons(&row->counts, &waits);
    fprintf(stream, "  %s%s\n", row->name, text_string(&waits));
    text_free(&waits);
}

static void print_group(const timing_report *r, size_t group, FILE *stream)
{
    const timing_rows *rows = &r->groups[group];
    fprintf(stream, "\n%16s  %5s", "cycles", "%");
    if (group != OBSERVE_OPCODES)
        fprintf(stream, "  %5s  %5s", "LUT %", "mem %");
    fprintf(stream, "  %s\n", observe_groupings[group].title);
    for (size_t i = 0; i < rows->count && i < ROWS_SHOWN; i++)
        print_row(r, &rows->items[i], group, stream);
    char name[64];
    snprintf(name, sizeof name, "(%zu more)", rows->count - ROWS_SHOWN);
    timing_row rest = {.name = name};
    for (size_t i = ROWS_SHOWN; i < rows->count; i++)
        timing_counts_add(&rest.counts, &rows->items[i].counts);
    if (rows->count > ROWS_SHOWN)
        print_row(r, &rest, group, stream);
}

void timing_report_print(const timing_report *r, FILE *stream)
{
    arena *a = arena_create();
    print_head(r, a, stream);
    print_units(r, stream);
    print_stalls(r, stream);
    print_memory(r, a, stream);
    print_roofline(r, a, stream);
    print_energy(r, a, stream);
    for (size_t i = 0; i < OBSERVE_GROUPINGS; i++)
        if (i != OBSERVE_PLACES || r->groups[i].count > r->groups[OBSERVE_LINES].count)
            print_group(r, i, stream);
    arena_destroy(a);
}
