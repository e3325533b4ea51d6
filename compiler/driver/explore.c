// lutc explore: estimates of a program on many machines.
#include "compiler/driver/explore.h"

#include "compiler/estimate/estimate.h"
#include "compiler/quant/mix.h"
#include "support/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct sweep {
    driver *driver;
    explore_space space;
    explore_rows rows;
    text graph; // the program, its formats chosen
    size_t done;
    explore_journal *journal;
    const char *csv, *html, *journal_path;
} sweep;

// ---------------------------------------------------------------------------- identity

static const char *or_usual(const char *given)
{
    return given ? given : "";
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
    explore_space_print(&plain, &s->space);
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
                                    hash_bytes(text_string(content), content->length));
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
    output_file *const both[] = {csv, html};
    bool ok = outputs_commit(d->diagnostics, both, 2);
    if (ok)
        fputs(text_string(&summary), stdout);
    else
        diagnostic_note(d->diagnostics, NOWHERE,
                        "the rows are kept in %s; the same command writes them without estimating "
                        "them anew",
                        s->journal_path);
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

static bool is_special(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
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
    if (is_special(s->csv)) {
        diagnostic_error(d->diagnostics, NOWHERE,
                         "--csv: expected the name of a file, beside which the journal lies; '%s' "
                         "is none",
                         s->csv);
        return false;
    }
    const char *outputs[] = {s->csv, s->html, s->journal_path};
    return outputs_have_places(d, outputs, 3);
}

int command_explore(driver *d)
{
    sweep s = {.driver = d};
    if (!choose_outputs(&s) || !load_machine(d) || !load_module(d) ||
        !is_graph(d, "sweeps lower a program for every machine") ||
        !explore_space_read(d, &s.space))
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
