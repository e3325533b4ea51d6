// What lutc explore sweeps: the lists of its options.
#include "compiler/driver/explore.h"

#include "isa/cost.h"

#include <math.h>
#include <string.h>

enum { MOST_ROWS = 100000, USUAL_BUDGET = 512 };

// The next of a list with commas; NULL: there is none.
static const char *next_item(arena *a, const char **list)
{
    if (!*list)
        return NULL;
    size_t length = strcspn(*list, ",");
    const char *item = arena_string(a, *list, length);
    *list = (*list)[length] ? *list + length + 1 : NULL;
    return item;
}

// In lists, what stands twice counts once.
static void add_number(arena *a, explore_numbers *list, uint32_t value)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == value)
            return;
    ARRAY_PUSH(a, list, value);
}

static void add_tile(arena *a, explore_space *s, explore_tile tile)
{
    for (size_t i = 0; i < s->tiles.count; i++)
        if (s->tiles.items[i].m == tile.m && s->tiles.items[i].n == tile.n)
            return;
    ARRAY_PUSH(a, &s->tiles, tile);
}

// 25.6GB/s and 25600MB/s are equal but for rounding.
static void add_bandwidth(arena *a, explore_space *s, double bandwidth)
{
    for (size_t i = 0; i < s->bandwidths.count; i++)
        if (fabs(s->bandwidths.items[i] - bandwidth) <= 1e-9 * bandwidth)
            return;
    ARRAY_PUSH(a, &s->bandwidths, bandwidth);
}

static bool read_numbers(driver *d, const char *option, const char *list, long long least,
                         long long greatest, explore_numbers *out)
{
    long long value;
    for (const char *item; (item = next_item(d->arena, &list));) {
        if (!text_to_int64(item, &value) || value < least || value > greatest) {
            diagnostic_error(d->diagnostics, NOWHERE,
                             "%s: expected numbers from %lld to %lld, with commas between them, "
                             "found '%s'",
                             option, least, greatest, item);
            return false;
        }
        add_number(d->arena, out, (uint32_t)value);
    }
    return true;
}

static bool read_units(driver *d, explore_space *s)
{
    const struct explore_settings *given = &d->explore;
    const char *own = arena_format(d->arena, "%u", d->machine.units);
    return read_numbers(d, "--rows", given->rows ? given->rows : "1,2,4,8", 1, 64, &s->rows) &&
           read_numbers(d, "--widths", given->widths ? given->widths : "2,3,4,5,6",
                        AREA_LEAST_WIDTH, AREA_MOST_WIDTH, &s->widths) &&
           read_numbers(d, "--units", given->units ? given->units : own, 1, 65536, &s->units);
}

static bool read_tiles(driver *d, explore_space *s)
{
    const char *list = d->explore.tiles ? d->explore.tiles : explore_usual_tiles;
    for (const char *item; (item = next_item(d->arena, &list));) {
        explore_tile tile;
        if (!explore_read_tile(item, &tile)) {
            diagnostic_error(
                d->diagnostics, NOWHERE,
                "--tiles: expected shapes like m2n64, powers of two, rows up to 16 and "
                "columns from 32 times as many to 512, found '%s'",
                item);
            return false;
        }
        add_tile(d->arena, s, tile);
    }
    return true;
}

static bool read_area(driver *d, explore_space *s)
{
    const char *given = d->explore.area;
    if (!given || (strspn(given, "0123456789.eE+-") == strlen(given) &&
                   text_to_double(given, &s->most_area) && s->most_area > 0))
        return true;
    diagnostic_error(d->diagnostics, NOWHERE, "--area: expected mm2, more than 0, found '%s'",
                     given);
    return false;
}

// As settings of machines are read, with their units and ranges.
static bool read_bandwidths(driver *d, explore_space *s)
{
    const char *list = d->explore.bandwidths;
    if (!list)
        ARRAY_PUSH(d->arena, &s->bandwidths, d->machine.memory_bandwidth);
    for (const char *item; (item = next_item(d->arena, &list));) {
        machine m;
        const char *words = arena_format(d->arena, "m2n64k4,memory.bandwidth=%s", item);
        if (!machine_load(d->arena, d->diagnostics, words, &m)) {
            diagnostic_note(d->diagnostics, NOWHERE, "this is of --bandwidths");
            return false;
        }
        add_bandwidth(d->arena, s, m.memory_bandwidth);
    }
    return true;
}

static const char *name_of_dims(driver *d)
{
    text t = {0};
    for (size_t i = 0; i < d->dims.count; i++)
        text_printf(&t, "%s%s", i ? " " : "", d->dims.items[i]);
    const char *name = d->dims.count ? arena_string(d->arena, t.data, t.length) : "entry";
    text_free(&t);
    return name;
}

// Prefill before decode; a program that is no language model has one phase.
static void name_phases(driver *d, explore_space *s)
{
    const struct estimate_settings *e = &d->estimate;
    if (e->prefill)
        ARRAY_PUSH(d->arena, &s->phases, arena_format(d->arena, "prefill %lld", e->prefill));
    if (e->decode)
        ARRAY_PUSH(d->arena, &s->phases, arena_format(d->arena, "decode %lld", e->decode));
    if (!s->phases.count)
        ARRAY_PUSH(d->arena, &s->phases, name_of_dims(d));
}

bool explore_space_read(driver *d, explore_space *s)
{
    s->machine = &d->machine;
    s->budget = (uint32_t)(d->explore.budget ? d->explore.budget : USUAL_BUDGET);
    if (!machine_has(&d->machine, ISA_UNIT_LUT)) {
        diagnostic_error(d->diagnostics, NOWHERE, "--machine: %s has no LUT unit to sweep",
                         d->machine.name);
        return false;
    }
    if (!read_area(d, s) || !read_units(d, s) || !read_tiles(d, s) || !read_bandwidths(d, s))
        return false;
    name_phases(d, s);
    double most = (double)s->rows.count * (double)s->widths.count * (double)s->units.count *
                  (double)s->tiles.count * (double)s->bandwidths.count * (double)s->phases.count;
    if (most <= MOST_ROWS)
        return true;
    diagnostic_error(d->diagnostics, NOWHERE,
                     "%.0f combinations are too many: a sweep has at most %d", most, MOST_ROWS);
    return false;
}

void explore_space_print(text *out, const explore_space *s)
{
    text_printf(out, " budget %u area %.17g rows", s->budget, s->most_area);
    for (size_t i = 0; i < s->rows.count; i++)
        text_printf(out, " %u", s->rows.items[i]);
    text_append(out, " widths");
    for (size_t i = 0; i < s->widths.count; i++)
        text_printf(out, " %u", s->widths.items[i]);
    text_append(out, " units");
    for (size_t i = 0; i < s->units.count; i++)
        text_printf(out, " %u", s->units.items[i]);
    text_append(out, " tiles");
    for (size_t i = 0; i < s->tiles.count; i++)
        text_printf(out, " m%un%u", s->tiles.items[i].m, s->tiles.items[i].n);
    text_append(out, " bandwidths");
    for (size_t i = 0; i < s->bandwidths.count; i++)
        text_printf(out, " %.17g", s->bandwidths.items[i]);
    for (size_t i = 0; i < s->phases.count; i++)
        text_printf(out, " phase %s", s->phases.items[i]);
}
