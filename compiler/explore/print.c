// Rows as CSV, and what a reader wants to know first.
#include "compiler/explore/explore.h"

#include <stdlib.h>
#include <string.h>

const char explore_columns_line[] =
    "phase,estimated,unit_m,unit_n,unit_k,units,tile_m,tile_n,bandwidth_gb_s,array_mm2,builder_mm2,"
    "hart_mm2,machine_mm2,weights_per_cycle_mm2,array_fj_per_weight,ms,mj,bound,lut_percent,"
    "memory_percent";

const char *explore_name(arena *a, const explore_row *r)
{
    const machine *m = &r->machine;
    const char *unit = arena_format(a, "M%u N%u K%u", m->unit_m, m->unit_n, m->unit_k);
    if (!r->estimated)
        return unit;
    return arena_format(a, "%s x%u, tile m%u n%u, %.6g GB/s", unit, m->units, m->tile_m, m->tile_n,
                        m->memory_bandwidth * 1e-9);
}

// What is known before anything is estimated.
static void print_machine(text *out, const explore_row *r)
{
    const machine *m = &r->machine;
    text_printf(out, "%s,%s,%u,%u,%u,%u,", r->estimated ? r->phase : "",
                r->estimated ? "yes" : "no", m->unit_m, m->unit_n, m->unit_k, m->units);
    if (r->estimated)
        text_printf(out, "%u,%u,%.6g", m->tile_m, m->tile_n, m->memory_bandwidth * 1e-9);
    else
        text_append(out, ",,");
    text_printf(out, ",%.6g,%.6g,", r->area.parts[AREA_ARRAY] * 1e-6,
                r->area.parts[AREA_BUILDER] * 1e-6);
    if (r->estimated)
        text_printf(out, "%.6g,%.6g", r->area.hart * 1e-6, r->area.total * 1e-6);
    else
        text_char(out, ',');
    text_printf(out, ",%.6g,%.6g,", r->density, r->weight_energy * 1e15);
}

static bool has_energy(const explore_row *r)
{
    return r->machine.parts & MACHINE_ENERGY;
}

void explore_print_row(text *out, const explore_row *r)
{
    print_machine(out, r);
    if (!r->estimated) {
        text_append(out, ",,,,");
        return;
    }
    const explore_result *x = &r->result;
    text_printf(out, "%.6g,", x->seconds * 1e3);
    if (has_energy(r))
        text_printf(out, "%.6g", x->joules * 1e3);
    text_printf(out, ",%s,%.6g,%.6g", x->bound, x->lut * 100, x->memory * 100);
}

// One of the fields of results, up to the comma behind it or the end.
static bool read_field(arena *a, const char **at, const char *end, const char **out)
{
    if (*at > end)
        return false;
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma ? comma : end;
    *out = arena_string(a, *at, (size_t)(stop - *at));
    *at = stop + 1;
    return true;
}

static bool read_number(arena *a, const char **at, const char *end, double scale, double *out)
{
    const char *field;
    if (!read_field(a, at, end, &field) || !text_to_double(field, out) ||
        !(*out >= 0 && *out < 1e30))
        return false;
    *out *= scale;
    return true;
}

static bool read_bound(arena *a, const char **at, const char *end, const char **out)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 /";
    return read_field(a, at, end, out) && **out && strspn(*out, letters) == strlen(*out);
}

// Empty where the machine has no figures of energy.
static bool read_energy(arena *a, const char **at, const char *end, bool has, double *out)
{
    const char *field;
    *out = 0;
    return has ? read_number(a, at, end, 1e-3, out) : read_field(a, at, end, &field) && !*field;
}

static bool read_result(arena *a, const char *at, const char *end, bool energy, explore_result *x)
{
    return read_number(a, &at, end, 1e-3, &x->seconds) &&
           read_energy(a, &at, end, energy, &x->joules) && read_bound(a, &at, end, &x->bound) &&
           read_number(a, &at, end, 1e-2, &x->lut) && read_number(a, &at, end, 1e-2, &x->memory) &&
           at == end + 1;
}

bool explore_read_row(arena *a, const char *line, size_t length, explore_row *r)
{
    text known = {0}, again = {0};
    explore_row read = *r;
    print_machine(&known, r);
    bool ok = length >= known.length && !memcmp(line, known.data, known.length);
    if (ok && r->estimated)
        ok = read_result(a, line + known.length, line + length, has_energy(r), &read.result);
    if (ok)
        explore_print_row(&again, &read);
    ok = ok && again.length == length && !memcmp(line, again.data, length);
    text_free(&known);
    text_free(&again);
    if (ok)
        *r = read;
    return ok;
}

void explore_print_csv(text *out, const explore_rows *rows)
{
    text_printf(out, "%s,latency_front,energy_front\n", explore_columns_line);
    for (size_t i = 0; i < rows->count; i++) {
        const explore_row *r = &rows->items[i];
        explore_print_row(out, r);
        for (unsigned front = 0; front < EXPLORE_FRONTS; front++)
            text_append(out, !r->estimated                               ? ","
                             : front == EXPLORE_ENERGY && !has_energy(r) ? ","
                             : r->front[front]                           ? ",yes"
                                                                         : ",no");
        text_char(out, '\n');
    }
}

// ---------------------------------------------------------------------------- summary

typedef bool best_of(const explore_rows *rows, const explore_row *r);

// A unit stands in several rows, one behind the other.
static void print_arrays(text *out, arena *a, const char *what, const explore_rows *rows,
                         best_of *is_best)
{
    const char *before = "";
    text_printf(out, "arrays with %s:", what);
    for (size_t i = 0; i < rows->count; i++) {
        explore_row r = rows->items[i];
        r.estimated = false;
        const char *name = explore_name(a, &r);
        if (!is_best(rows, &r) || !strcmp(name, before))
            continue;
        text_printf(out, "%s %s (%.0f weights a cycle and mm2, %.2f fJ a weight)",
                    *before ? "," : "", name, r.density, r.weight_energy * 1e15);
        before = name;
    }
    text_char(out, '\n');
}

static void print_front_row(text *out, const explore_row *r)
{
    const machine *m = &r->machine;
    char energy[32] = "-";
    if (has_energy(r))
        snprintf(energy, sizeof energy, "%.4f", r->result.joules * 1e3);
    text_printf(out, "%-14s %4u %5u %2u %5u  m%u n%-3u %9.6g %10.4f %12.4f %12s  %-11s %s%s\n",
                r->phase, m->unit_m, m->unit_n, m->unit_k, m->units, m->tile_m, m->tile_n,
                m->memory_bandwidth * 1e-9, r->area.total * 1e-6, r->result.seconds * 1e3, energy,
                r->result.bound, r->front[EXPLORE_LATENCY] ? "L" : " ",
                r->front[EXPLORE_ENERGY] ? "E" : "");
}

void explore_print_summary(text *out, const explore_rows *rows)
{
    arena *a = arena_create();
    size_t estimated = 0;
    for (size_t i = 0; i < rows->count; i++)
        estimated += rows->items[i].estimated;
    text_printf(out, "%-14s %4s %5s %2s %5s  %-7s %9s %10s %12s %12s  %-11s %s\n", "phase", "M",
                "N", "K", "units", "tile", "GB/s", "mm2", "ms", "mJ", "bound", "front");
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].front[EXPLORE_LATENCY] || rows->items[i].front[EXPLORE_ENERGY])
            print_front_row(out, &rows->items[i]);
    text_printf(out,
                "\n%zu row%s estimated; L: none is faster and no larger, E: none takes less "
                "energy and is no larger\n",
                estimated, estimated == 1 ? "" : "s");
    if (rows->count > estimated)
        text_printf(out, "%zu arrays that no tile holds, by formula alone\n",
                    rows->count - estimated);
    print_arrays(out, a, "most for their area", rows, explore_is_densest);
    print_arrays(out, a, "least energy", rows, explore_is_thriftiest);
    arena_destroy(a);
}
