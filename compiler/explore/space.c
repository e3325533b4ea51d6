// What there is to sweep, and which of it is best.
#include "compiler/explore/explore.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_COLUMNS_LOG2 = 16, MOST_TILE_ROWS = 16, MOST_TILE_COLUMNS = 512 };

const char explore_usual_tiles[] = "m1n64,m2n64,m2n128,m4n128,m4n256";

// Whose registers hold a table.
static uint32_t least_columns(uint32_t tile_rows)
{
    return tile_rows == 1 ? 64 : 32 * tile_rows;
}

bool explore_read_tile(const char *word, explore_tile *out)
{
    for (uint32_t m = 1; m <= MOST_TILE_ROWS; m *= 2)
        for (uint32_t n = least_columns(m); n <= MOST_TILE_COLUMNS; n *= 2) {
            char name[32];
            snprintf(name, sizeof name, "m%un%u", m, n);
            if (strcmp(word, name))
                continue;
            *out = (explore_tile){m, n};
            return true;
        }
    return false;
}

uint32_t explore_columns(uint32_t budget, uint32_t m, uint32_t k)
{
    double n = round(log2((double)budget / ((double)m * k)));
    return 1u << (unsigned)fmin(fmax(n, 0), MOST_COLUMNS_LOG2);
}

// ------------------------------------------------------------------------------- rows

static void add_row(arena *a, explore_rows *out, const machine *m, const char *phase,
                    unsigned index)
{
    area_unit u = {m->unit_m, m->unit_n, m->unit_k};
    double weights = (double)u.m * u.n * u.k;
    explore_row r = {.phase = phase,
                     .phase_index = index,
                     .estimated = phase != NULL,
                     .machine = *m,
                     .area = area_of_machine(m),
                     .density = weights / (area_array(u) * 1e-6),
                     .weight_energy = area_array_energy(u) / weights};
    ARRAY_PUSH(a, out, r);
}

static bool is_too_large(const explore_space *s, const machine *m)
{
    return s->most_area > 0 && area_of_machine(m).total * 1e-6 > s->most_area;
}

static void add_machine(arena *a, const explore_space *s, const machine *m, explore_rows *out)
{
    if (is_too_large(s, m))
        return;
    for (size_t i = 0; i < s->phases.count; i++)
        add_row(a, out, m, s->phases.items[i], (unsigned)i);
}

static void add_tile(arena *a, const explore_space *s, const machine *with_unit, explore_tile tile,
                     explore_rows *out)
{
    machine m = *with_unit;
    area_change_tile(&m, tile.m, tile.n);
    for (size_t i = 0; i < s->units.count; i++)
        for (size_t k = 0; k < s->bandwidths.count; k++) {
            m.units = s->units.items[i];
            m.memory_bandwidth = s->bandwidths.items[k];
            add_machine(a, s, &m, out);
        }
}

static explore_tile least_tile(const machine *m)
{
    explore_tile t = {1, least_columns(1)};
    while (t.m < m->unit_m)
        t.m *= 2;
    while (t.n < m->unit_n || t.n < least_columns(t.m))
        t.n *= 2;
    return t;
}

static void add_array(arena *a, const explore_space *s, const machine *with_unit, explore_rows *out)
{
    machine m = *with_unit;
    explore_tile tile = least_tile(&m);
    area_change_tile(&m, tile.m, tile.n);
    m.units = 1;
    if (!is_too_large(s, &m))
        add_row(a, out, &m, NULL, 0);
}

static void add_unit(arena *a, const explore_space *s, area_unit u, explore_rows *out)
{
    machine m = *s->machine;
    bool held = false;
    area_change_unit(&m, u);
    for (size_t i = 0; i < s->tiles.count; i++) {
        explore_tile tile = s->tiles.items[i];
        if (u.m > tile.m || u.n > tile.n)
            continue;
        held = true;
        add_tile(a, s, &m, tile, out);
    }
    if (!held)
        add_array(a, s, &m, out);
}

void explore_list(arena *a, const explore_space *s, explore_rows *out)
{
    for (size_t i = 0; i < s->widths.count; i++)
        for (size_t j = 0; j < s->rows.count; j++) {
            area_unit u = {.m = s->rows.items[j], .k = s->widths.items[i]};
            u.n = explore_columns(s->budget, u.m, u.k);
            add_unit(a, s, u, out);
        }
}

double explore_least_area(arena *a, const explore_space *s)
{
    explore_space all = *s;
    explore_rows rows = {0};
    double least = INFINITY;
    all.most_area = 0;
    explore_list(a, &all, &rows);
    for (size_t i = 0; i < rows.count; i++)
        least = fmin(least, rows.items[i].area.total);
    return least;
}

// ------------------------------------------------------------------------------- best

static double cost_of(const explore_row *r, unsigned front)
{
    return front == EXPLORE_LATENCY ? r->result.seconds : r->result.joules;
}

static bool competes(const explore_row *x, const explore_row *y)
{
    return x->estimated && y->estimated && x->phase_index == y->phase_index &&
           x->machine.memory_bandwidth == y->machine.memory_bandwidth;
}

static bool beats(const explore_row *x, const explore_row *y, unsigned front)
{
    double cost_x = cost_of(x, front), cost_y = cost_of(y, front);
    bool no_worse = cost_x <= cost_y && x->area.total <= y->area.total;
    return no_worse && (cost_x < cost_y || x->area.total < y->area.total);
}

static bool is_on_front(const explore_rows *rows, const explore_row *r, unsigned front)
{
    if (!r->estimated || cost_of(r, front) <= 0)
        return false;
    for (size_t i = 0; i < rows->count; i++)
        if (competes(&rows->items[i], r) && beats(&rows->items[i], r, front))
            return false;
    return true;
}

void explore_mark_fronts(explore_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        for (unsigned front = 0; front < EXPLORE_FRONTS; front++)
            rows->items[i].front[front] = is_on_front(rows, &rows->items[i], front);
}

// Equal but for rounding.
static bool is_less(double x, double y)
{
    return x < y * (1 - 1e-9);
}

bool explore_is_densest(const explore_rows *rows, const explore_row *r)
{
    for (size_t i = 0; i < rows->count; i++)
        if (is_less(r->density, rows->items[i].density))
            return false;
    return true;
}

bool explore_is_thriftiest(const explore_rows *rows, const explore_row *r)
{
    for (size_t i = 0; i < rows->count; i++)
        if (is_less(rows->items[i].weight_energy, r->weight_energy))
            return false;
    return true;
}
