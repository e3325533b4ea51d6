// lutc explore: estimates of a program on many machines.
#include "compiler/driver/driver.h"

#include "compiler/estimate/estimate.h"
#include "compiler/explore/explore.h"
#include "compiler/quant/mix.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 100000, USUAL_BUDGET = 512 };

typedef struct sweep {
    driver *driver;
    explore_space space;
    explore_rows rows;
    text graph; // the program, its formats chosen
    size_t done;
    explore_journal *journal;
    const char *csv, *html, *journal_path;
} sweep;

// ------------------------------------------------------------------------- what to sweep

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
typedef ARRAY_OF(uint32_t) numbers;

static void add_number(arena *a, numbers *list, uint32_t value)
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
                         long long greatest, numbers *out)
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

static bool read_widths_and_rows(driver *d, explore_space *s)
{
    const struct explore_settings *given = &d->explore;
    numbers rows = {0}, widths = {0}, units = {0};
    const char *own = arena_format(d->arena, "%u", d->machine.units);
    if (!read_numbers(d, "--rows", given->rows ? given->rows : "1,2,4,8", 1, 64, &rows) ||
        !read_numbers(d, "--widths", given->widths ? given->widths : "2,3,4,5,6", AREA_LEAST_WIDTH,
                      AREA_MOST_WIDTH, &widths) ||
        !read_numbers(d, "--units", given->units ? given->units : own, 1, 65536, &units))
        return false;
    for (size_t i = 0; i < rows.count; i++)
        ARRAY_PUSH(d->arena, &s->rows, rows.items[i]);
    for (size_t i = 0; i < widths.count; i++)
        ARRAY_PUSH(d->arena, &s->widths, widths.items[i]);
    for (size_t i = 0; i < units.count; i++)
        ARRAY_PUSH(d->arena, &s->units, units.items[i]);
    return true;
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

static bool read_space(driver *d, explore_space *s)
{
    s->machine = &d->machine;
    s->budget = (uint32_t)(d->explore.budget ? d->explore.budget : USUAL_BUDGET);
    if (!machine_has(&d->machine, ISA_UNIT_LUT)) {
        diagnostic_error(d->diagnostics, NOWHERE, "--machine: %s has no LUT unit to sweep",
                         d->machine.name);
        return false;
    }
    if (!read_area(d, s) || !read_widths_and_rows(d, s) || !read_tiles(d, s) ||
        !read_bandwidths(d, s))
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

// ---------------------------------------------------------------------------- identity

static const char *or_usual(const char *given)
{
    return given ? given : "";
}

static void print_space(text *out, const explore_space *s)
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

static const char *options_of(const sweep *s)
{
    const driver *d = s->driver;
    const struct estimate_settings *e = &d->estimate;
    text plain = {0}, quoted = {0};
    text_printf(&plain,
                "passes '%s' disable '%s' tables '%s' precompute '%s' entry '%s' batch %lld "
                "position %lld compute %.17g memory %.17g",
                or_usual(d->passes), or_usual(d->disable), or_usual(d->tables),
                or_usual(e->precompute), or_usual(d->entry), e->batch, e->position, e->compute,
                e->memory);
    for (size_t i = 0; i < d->dims.count; i++)
        text_printf(&plain, " dim '%s'", d->dims.items[i]);
    print_space(&plain, &s->space);
    text_quoted(&quoted, plain.data, plain.length);
    const char *options = arena_string(d->arena, quoted.data, quoted.length);
    text_free(&plain);
    text_free(&quoted);
    return options;
}

static const char *base_name(const driver *d)
{
    const char *slash = strrchr(d->files.items[0], '/');
    return slash ? slash + 1 : d->files.items[0];
}

static const char *name_and_hash(driver *d, const char *name, const text *content)
{
    text quoted = {0};
    text_quoted(&quoted, name, strlen(name));
    const char *both = arena_format(d->arena, "%s %016" PRIx64, text_string(&quoted),
                                    explore_hash(text_string(content), content->length));
    text_free(&quoted);
    return both;
}

// Without the comments behind lines: they say where the program lies.
static void copy_without_places(text *out, const text *graph)
{
    for (const char *at = text_string(graph); *at; at += *at == '\n') {
        size_t length = strcspn(at, "\n");
        const char *place = strstr(at, "   // ");
        bool within = place && place < at + length;
        text_append_n(out, at, within ? (size_t)(place - at) : length);
        text_char(out, '\n');
        at += length;
    }
}

static explore_identity identity_of(const sweep *s)
{
    driver *d = s->driver;
    text settings = {0}, program = {0};
    copy_without_places(&program, &s->graph);
    machine_print(&settings, &d->machine);
    explore_identity id = {.program = name_and_hash(d, base_name(d), &program),
                           .machine = name_and_hash(d, d->machine.name, &settings),
                           .options = options_of(s)};
    text_free(&settings);
    text_free(&program);
    return id;
}

// -------------------------------------------------------------------------- estimating

static void take_result(explore_row *r, const estimate *e)
{
    const estimate_work *w = &e->total;
    double seconds = estimate_seconds(e, w);
    r->result = (explore_result){.seconds = seconds,
                                 .joules = w->energy,
                                 .bound = estimate_bound_names[estimate_bound(e->machine, w, NULL)],
                                 .lut = w->busy[ISA_UNIT_LUT] / w->cycles,
                                 .memory = (w->memory_read + w->memory_written) /
                                           (seconds * e->machine->memory_bandwidth)};
}

// One of the phases: the settings that `lutc estimate` would have.
static bool estimate_phase(driver *p, const driver *d, estimate_tables tables, explore_row *r)
{
    estimate_options options;
    estimate result;
    p->estimate = d->estimate;
    if (p->estimate.prefill && p->estimate.decode)
        *(r->phase_index ? &p->estimate.prefill : &p->estimate.decode) = 0;
    if (!read_estimate_options(p, &options))
        return false;
    options.tables = tables;
    if (!estimate_module(p->arena, p->diagnostics, p->module, &options, &result))
        return false;
    take_result(r, &result);
    return true;
}

// Blocks of rows are column tiles: those of the machine.
static void fit_blocks(driver *p)
{
    for (ir_global *g = p->module->globals; g; g = g->next) {
        const ir_type *t = g->value.type;
        quant_mix mix;
        if (t->kind != IR_WEIGHT || !quant_mix_parse(t->format, &mix) || !quant_is_mixed(&mix))
            continue;
        text name = {0};
        mix = quant_mix_in_blocks(&mix, t->dims[0].value, p->machine.tile_n);
        quant_mix_print(&name, &mix);
        const char *format = ir_intern(p->module, text_string(&name));
        g->value.type = ir_type_weight(p->module, format, t->rank, t->dims);
        text_free(&name);
    }
}

static bool compile_for(driver *p, const sweep *s, estimate_tables *tables)
{
    const source *graph =
        diagnostics_source(p->diagnostics, "<graph>", text_string(&s->graph), s->graph.length);
    estimate_options options = {0};
    p->module = ir_parse(p->arena, p->diagnostics, graph);
    if (p->module) {
        p->module->after = NULL;
        fit_blocks(p);
    }
    bool ok = p->module && lower_for_estimate(p, &options);
    *tables = options.tables;
    return ok;
}

// The rows of a machine, all of its phases. Warnings are shown for the first machine alone.
static bool estimate_rows(const sweep *s, explore_row *r, size_t n)
{
    driver p = *s->driver;
    p.arena = arena_create();
    p.diagnostics = diagnostics_create(stderr);
    p.pipeline = (pipeline){0};
    p.behind = NULL; // every machine has all passes
    memset(&p.times, 0, sizeof p.times);
    p.machine = r->machine;
    estimate_tables tables;
    bool ok = compile_for(&p, s, &tables);
    for (size_t i = 0; i < n && ok; i++)
        ok = estimate_phase(&p, s->driver, tables, &r[i]);
    if (!ok)
        diagnostic_note(p.diagnostics, NOWHERE, "with %s", explore_name(p.arena, r));
    if (ok && r != s->rows.items)
        diagnostics_clear(p.diagnostics);
    diagnostics_destroy(p.diagnostics);
    arena_destroy(p.arena);
    return ok;
}

static size_t phases_at(const sweep *s, size_t index)
{
    return s->rows.items[index].estimated ? s->space.phases.count : 1;
}

static bool add_rows(sweep *s, size_t n)
{
    for (size_t i = 0; i < n; i++, s->done++)
        if (!explore_journal_add(s->driver->arena, s->driver->diagnostics, s->journal,
                                 &s->rows.items[s->done]))
            return false;
    return true;
}

static bool run_rows(sweep *s)
{
    progress shown = {.what = "exploring"};
    long long limit = s->driver->explore.limit;
    bool ok = true;
    for (long long n = 0; ok && s->done < s->rows.count && (!limit || n < limit); n++) {
        size_t begun = s->rows.items[s->done].phase_index, start = s->done - begun;
        size_t count = phases_at(s, start);
        explore_row *r = &s->rows.items[start];
        progress_update(&shown, (double)start / (double)s->rows.count,
                        explore_name(s->driver->arena, r));
        ok = (!r->estimated || estimate_rows(s, r, count)) && add_rows(s, count - begun);
    }
    progress_end(&shown);
    return ok;
}

// A journal of another compiler would mix what does not belong together.
static bool check_first(const sweep *s)
{
    size_t first = 0;
    while (first < s->done && !s->rows.items[first].estimated)
        first++;
    if (first == s->done)
        return true;
    size_t n = phases_at(s, first);
    explore_row *fresh = arena_copy(s->driver->arena, &s->rows.items[first], n * sizeof *fresh);
    if (!estimate_rows(s, fresh, n))
        return false;
    text before = {0}, now = {0};
    explore_print_row(&before, &s->rows.items[first]);
    explore_print_row(&now, fresh);
    bool same = !strcmp(text_string(&before), text_string(&now));
    if (!same)
        diagnostic_error(s->driver->diagnostics, NOWHERE,
                         "the journal's first estimate is '%s', that of this compiler '%s'; remove "
                         "'%s' to begin anew",
                         text_string(&before), text_string(&now), s->journal_path);
    text_free(&before);
    text_free(&now);
    return same;
}

// ----------------------------------------------------------------------------- results

static bool write_results(sweep *s, output_file *csv, output_file *html)
{
    driver *d = s->driver;
    text table = {0}, page = {0}, summary = {0};
    explore_mark_fronts(&s->rows);
    explore_print_csv(&table, &s->rows);
    explore_print_summary(&summary, &s->rows);
    explore_print_html(
        &page, arena_format(d->arena, "%s on machines like %s", base_name(d), d->machine.name),
        options_of(s), &s->rows);
    fwrite(table.data, 1, table.length, output_stream(csv));
    fwrite(page.data, 1, page.length, output_stream(html));
    bool ok = output_commit(d->diagnostics, html);
    ok = output_commit(d->diagnostics, csv) && ok;
    if (ok)
        fputs(text_string(&summary), stdout);
    text_free(&table);
    text_free(&page);
    text_free(&summary);
    return ok;
}

// Rows are done, or as many as --limit allows.
static bool finish(sweep *s, output_file *csv, output_file *html, bool *complete)
{
    *complete = s->done == s->rows.count;
    if (*complete)
        return write_results(s, csv, html);
    output_abandon(csv);
    output_abandon(html);
    printf("%zu of %zu rows; the same command goes on with the others\n", s->done, s->rows.count);
    return true;
}

static bool run_sweep(sweep *s)
{
    driver *d = s->driver;
    explore_identity id = identity_of(s);
    output_file *csv = output_open(d->diagnostics, s->csv);
    output_file *html = csv ? output_open(d->diagnostics, s->html) : NULL;
    if (html)
        s->journal = explore_journal_open(d->arena, d->diagnostics, s->journal_path, &id, &s->rows,
                                          &s->done);
    bool complete = false, ok = s->journal && check_first(s) && run_rows(s);
    if (ok)
        ok = finish(s, csv, html, &complete);
    else {
        output_abandon(csv);
        output_abandon(html);
    }
    explore_journal_close(s->journal, complete ? ok : !s->done);
    return ok;
}

static bool choose_outputs(sweep *s)
{
    driver *d = s->driver;
    const char *path = d->files.items[0];
    s->csv = d->explore.csv ? d->explore.csv : derived_name(d, path, ".csv");
    s->html = d->explore.html ? d->explore.html : derived_name(d, path, ".html");
    s->journal_path = arena_format(d->arena, "%s.journal", s->csv);
    if (!strcmp(s->csv, "-") || !strcmp(s->html, "-")) {
        diagnostic_error(d->diagnostics, NOWHERE,
                         "--csv and --html: expected the names of two files, found '%s' and '%s'",
                         s->csv, s->html);
        return false;
    }
    const char *outputs[] = {s->csv, s->html, s->journal_path};
    return outputs_have_places(d, outputs, 3);
}

int command_explore(driver *d)
{
    sweep s = {.driver = d};
    if (!choose_outputs(&s) || !load_machine(d) || !load_module(d) ||
        !is_graph(d, "sweeps lower a program for every machine") || !read_space(d, &s.space))
        return EXIT_USER_ERROR;
    ir_print_module(&s.graph, d->module);
    explore_list(d->arena, &s.space, &s.rows);
    if (!s.rows.count) // rounded up, so that it can be given
        diagnostic_error(d->diagnostics, NOWHERE,
                         "--area: no machine of the sweep is that small; the smallest has %.6f mm2",
                         1e-6 * ceil(explore_least_area(d->arena, &s.space)));
    bool ok = s.rows.count && run_sweep(&s);
    text_free(&s.graph);
    return ok ? EXIT_OK : EXIT_USER_ERROR;
}
