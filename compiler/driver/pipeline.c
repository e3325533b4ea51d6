// Running passes, and what can be seen of it: dumps, prints, times, remarks.
#include "compiler/driver/driver.h"

#include "support/clock.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ------------------------------------------------------------------ times

void add_time(driver *d, const char *name, double start)
{
    ARRAY_PUSH(d->arena, &d->times, (phase_time){name, clock_seconds() - start});
}

void show_times(driver *d)
{
    double total = 0;
    if (!d->time_passes)
        return;
    for (size_t i = 0; i < d->times.count; i++)
        total += d->times.items[i].seconds;
    fprintf(stderr, "%10s %6s  phase\n", "ms", "%");
    for (size_t i = 0; i < d->times.count; i++)
        fprintf(stderr, "%10.3f %6.1f  %s\n", 1e3 * d->times.items[i].seconds,
                total > 0 ? 100 * d->times.items[i].seconds / total : 0, d->times.items[i].name);
    fprintf(stderr, "%10.3f %6.1f  total\n", 1e3 * total, 100.0);
}

// ------------------------------------------------------------------ outputs

void stage_output(driver *d, output_file *f)
{
    ARRAY_PUSH(d->arena, &d->staged, f);
}

bool commit_staged(driver *d)
{
    size_t count = d->staged.count;
    d->staged.count = 0;
    return outputs_commit(d->diagnostics, d->staged.items, count);
}

void abandon_staged(driver *d)
{
    while (d->staged.count)
        output_abandon(d->staged.items[--d->staged.count]);
}

static output_file *open_with(driver *d, const char *path, const text *content)
{
    output_file *f = output_open(d->diagnostics, path);
    if (f)
        fwrite(text_string(content), 1, content->length, output_stream(f));
    return f;
}

bool stage_text(driver *d, const char *path, const text *content)
{
    output_file *f = open_with(d, path, content);
    if (f)
        stage_output(d, f);
    return f;
}

bool write_output(driver *d, const char *path, const text *content)
{
    output_file *f = open_with(d, path, content);
    return f && output_commit(d->diagnostics, f);
}

static bool make_dump_dir(driver *d)
{
    struct stat there;
    if (!d->dump_dir || mkdir(d->dump_dir, 0777) == 0)
        return true;
    int reason = errno;
    if (reason == EEXIST && stat(d->dump_dir, &there) == 0 && S_ISDIR(there.st_mode))
        return true;
    location where = {.source = diagnostics_source(d->diagnostics, d->dump_dir, NULL, 0)};
    diagnostic_error(d->diagnostics, where, "cannot make the folder: %s",
                     reason == EEXIST ? "there is a file of that name" : strerror(reason));
    return false;
}

bool dump_text(driver *d, const char *name, const char *extension, const text *content)
{
    if (!d->dump_dir)
        return true;
    const char *path =
        arena_format(d->arena, "%s/%02u-%s%s", d->dump_dir, d->dumped++, name, extension);
    return write_output(d, path, content);
}

// ------------------------------------------------------------------ around a pass

static bool wants_print(const driver *d, const char *pass)
{
    return d->print_after && (!strcmp(d->print_after, "all") || !strcmp(d->print_after, pass));
}

// The pass that follows `index` others, if it is to be printed before; else NULL.
static const char *printed_before(const driver *d, unsigned index)
{
    const pipeline *p = &d->pipeline;
    const char *next = index < p->steps.count ? p->steps.items[index].pass->name : NULL;
    return next && d->print_before && !strcmp(d->print_before, next) ? next : NULL;
}

static void after_pass(void *context, unsigned index, const char *pass, const ir_module *m,
                       double seconds)
{
    driver *d = context;
    const char *name = index ? pass : "graph";
    if (index)
        ARRAY_PUSH(d->arena, &d->times, (phase_time){pass, seconds});
    module_counts counts = {0};
    count_products(m, &counts);
    if (!index)
        d->chosen_dense = count_chosen_dense(d, m);
    if (counts.lut_linears + counts.other_linears)
        d->counts = counts; // products are gone once they are lowered
    const char *before = printed_before(d, index);
    if (!d->dump_dir && !wants_print(d, name) && !before)
        return;
    text printed = {0};
    ir_print_module(&printed, m);
    if (wants_print(d, name))
        fprintf(stderr, "// ---- after %s\n%s", name, text_string(&printed));
    if (before)
        fprintf(stderr, "// ---- before %s\n%s", before, text_string(&printed));
    if (!dump_text(d, name, ".lir", &printed))
        d->dump_dir = NULL; // reported once
    text_free(&printed);
}

// `pass`: what --print-before or --print-after names, if anything.
static bool check_printed(driver *d, const char *option, const char *pass)
{
    if (!pass || pass_find(pass))
        return true;
    const char *names[64];
    size_t count = 0;
    for (const pass_row *row = pass_rows; row->name && count < 64; row++)
        names[count++] = row->name;
    const char *nearest = text_nearest(pass, names, count);
    diagnostic_error(d->diagnostics, NOWHERE, "%s: there is no pass '%s'%s%s%s", option, pass,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "; see 'lutc list passes'");
    return false;
}

static bool check_prints(driver *d)
{
    const char *after = d->print_after;
    bool other = after && (!strcmp(after, "all") || !strcmp(after, "graph"));
    return check_printed(d, "--print-before", d->print_before) &&
           check_printed(d, "--print-after", other ? NULL : after);
}

// `pass` is one that there is.
static void warn_unless_printed(driver *d, const char *option, const char *pass)
{
    text list = {0};
    bool runs = !pass || !pass_find(pass); // nothing, or not a pass: input and all
    for (size_t i = 0; i < d->pipeline.steps.count; i++) {
        const char *name = d->pipeline.steps.items[i].pass->name;
        runs = runs || !strcmp(name, pass);
        text_printf(&list, "%s%s", i ? ", " : "", name);
    }
    if (!runs)
        diagnostic_warning(d->diagnostics, NOWHERE,
                           "%s %s shows nothing: this pass does not run here; %s%s", option, pass,
                           list.length ? "those that do: " : "no pass does", text_string(&list));
    text_free(&list);
}

static void print_passes(const driver *d)
{
    text list = {0};
    pipeline_print(&list, &d->pipeline);
    fprintf(stderr, "--passes '%s'\n", text_string(&list));
    text_free(&list);
}

// ------------------------------------------------------------------ remarks

static bool compile_filter(driver *d, regex_t *out)
{
    char reason[200];
    int code = regcomp(out, d->remarks, REG_EXTENDED | REG_NOSUB);
    if (!code)
        return true;
    regerror(code, out, reason, sizeof reason);
    diagnostic_error(d->diagnostics, NOWHERE, "--remarks: '%s' is not a regular expression: %s",
                     d->remarks, reason);
    return false;
}

// "[fuse] applied: ..." where the expression is found in that text.
static bool show_remarks(driver *d, const pass_context *c)
{
    static const char *const kinds[] = {
        [REMARK_APPLIED] = "applied", [REMARK_MISSED] = "missed", [REMARK_NOTE] = "note"};
    regex_t filter;
    if (!d->remarks)
        return true;
    if (!compile_filter(d, &filter))
        return false;
    for (size_t i = 0; i < c->remarks.count; i++) {
        const remark *r = &c->remarks.items[i];
        const char *line =
            arena_format(d->arena, "[%s] %s: %s", r->pass, kinds[r->kind], r->message);
        if (regexec(&filter, line, 0, NULL, 0) == 0)
            diagnostic_report(d->diagnostics, SEVERITY_REMARK, r->where, "%s", line);
    }
    regfree(&filter);
    diagnostics_flush(d->diagnostics);
    return true;
}

// The slow path is never taken in silence, unless it was asked for.
static void warn_of_misses(driver *d, const pass_context *c)
{
    unsigned misses = 0;
    for (size_t i = 0; i < c->remarks.count; i++)
        misses +=
            c->remarks.items[i].kind == REMARK_MISSED && !strcmp(c->remarks.items[i].pass, "lut");
    misses -= misses < d->chosen_dense ? misses : d->chosen_dense;
    if (misses && !d->remarks)
        diagnostic_warning(d->diagnostics, NOWHERE,
                           "%u matrix product%s off the LUT path; --remarks=lut says why", misses,
                           misses == 1 ? " stays" : "s stay");
}

// ------------------------------------------------------------------ the run

// What --tables may say, and the parameters of quantize-tables that it stands for.
static const struct {
    const char *choice, *parameters;
    bool native; // CPUs have it
} table_choices[] = {
    {"f16", "type=f16", true},
    {"i8", "type=i8", true},
    {"i8,row", "type=i8,scale=row", true},
    {"i8,group", "type=i8,scale=group", true},
    {"i8,tile", "type=i8,scale=tile", false},
    {"i8,slice", "type=i8,scale=slice", false},
};

// The usual pipeline, its tables as --tables says. NULL: reported.
static const char *usual_passes(driver *d)
{
    bool native = d->target && d->target->native;
    const char *all = native ? pipeline_native : pipeline_default;
    const char *step = native ? "choose-activations" : "quantize-tables", *at = strstr(all, step);
    if (!d->tables || !at)
        return all;
    int before = (int)(at - all) + (int)strlen(step);
    for (size_t i = 0; i < sizeof table_choices / sizeof *table_choices; i++) {
        if (!strcmp(d->tables, table_choices[i].choice) && (table_choices[i].native || !native))
            return arena_format(d->arena, "%.*s(%s)%s", before, all, table_choices[i].parameters,
                                at + strlen(step));
    }
    diagnostic_error(d->diagnostics, NOWHERE,
                     "--tables: expected f16, i8, or i8 with its scales: i8,row i8,group%s; found "
                     "'%s'",
                     native ? " for CPUs" : " i8,tile i8,slice", d->tables);
    return NULL;
}

static bool is_disabled(const driver *d, const char *pass)
{
    for (size_t i = 0; i < d->pipeline.disabled.count; i++)
        if (!strcmp(d->pipeline.disabled.items[i]->name, pass))
            return true;
    return false;
}

static bool disable_passes(driver *d)
{
    if (!d->disable)
        return true;
    if (!pipeline_disable(d->arena, d->diagnostics, d->disable, &d->pipeline))
        return false;
    const char *tables = is_disabled(d, "quantize-tables")      ? "quantize-tables"
                         : is_disabled(d, "choose-activations") ? "choose-activations"
                                                                : NULL;
    if (!tables || !d->tables || !strcmp(d->tables, "f16") || d->passes)
        return true;
    diagnostic_error(d->diagnostics, NOWHERE,
                     "--tables %s is what pass '%s' does, which is disabled: tables are f16",
                     d->tables, tables);
    return false;
}

// Leaves out that pass and all behind it.
static void stop_before(driver *d, const pass_row *until)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->pipeline.steps.count; i++)
        if (d->pipeline.steps.items[i].pass < until)
            d->pipeline.steps.items[kept++] = d->pipeline.steps.items[i];
    d->pipeline.steps.count = kept;
}

// --tables is a parameter of one pass, which may have run.
static void warn_of_tables(driver *d)
{
    const char *pass = d->target && d->target->native ? "choose-activations" : "quantize-tables";
    if (d->tables && is_behind(d, pass))
        warn_of_late(d, arena_format(d->arena, "--tables %s", d->tables), pass);
}

// A list of passes has their parameters.
static bool check_list(driver *d)
{
    if (!d->passes || !d->tables)
        return true;
    diagnostic_error(d->diagnostics, NOWHERE,
                     "--tables %s: beside --passes it decides nothing; say it there, as "
                     "'quantize-tables(type=f16)', for CPUs 'choose-activations(type=f16)'",
                     d->tables);
    return false;
}

bool choose_pipeline(driver *d, const char *until)
{
    const char *list = d->passes ? d->passes : usual_passes(d);
    if (!list || !check_list(d) || !make_dump_dir(d) || !check_prints(d) ||
        !pipeline_parse(d->arena, d->diagnostics, list, &d->pipeline) || !disable_passes(d))
        return false;
    if (!d->passes) {
        warn_of_tables(d);
        leave_passed_out(d);
        if (until)
            stop_before(d, pass_find(until));
    }
    warn_unless_printed(d, "--print-before", d->print_before);
    warn_unless_printed(d, "--print-after", d->print_after);
    return true;
}

// What reproduces a bug of ours: the module before the passes, and the command.
static struct {
    text module;
    char *passes, *machine;
} reproducer;

static void write_reproducer(void)
{
    char path[64];
    snprintf(path, sizeof path, "lutc-bug-%d.lir", (int)getpid());
    FILE *f = fopen(path, "w");
    if (!f)
        return;
    fputs(text_string(&reproducer.module), f);
    fclose(f);
    fprintf(stderr, "It happens with: lutc opt %s --machine %s --passes '%s' -o -\n", path,
            reproducer.machine, reproducer.passes);
}

static void prepare_reproducer(driver *d)
{
    text list = {0};
    text_clear(&reproducer.module);
    ir_print_module(&reproducer.module, d->module);
    pipeline_print(&list, &d->pipeline);
    reproducer.passes = arena_string(d->arena, text_string(&list), list.length);
    reproducer.machine = (char *)d->machine.name;
    text_free(&list);
    internal_error_hook(write_reproducer);
}

// Where products find no unit because the pass was left out that would have found one.
static void explain_disabled(driver *d)
{
    bool native = d->target && d->target->native;
    if (is_disabled(d, "use-matrix") && !native && d->machine.parts & MACHINE_MATRIX &&
        !(d->machine.parts & MACHINE_LUT))
        diagnostic_note(d->diagnostics, NOWHERE,
                        "machine '%s' has no LUT unit, and a matrix unit, for which pass "
                        "use-matrix unpacks weights: do not disable it",
                        d->machine.name);
}

bool run_pipeline(driver *d)
{
    pass_context c = {.arena = d->arena,
                      .diagnostics = d->diagnostics,
                      .machine = &d->machine,
                      .target = d->target};
    pipeline_observer observer = {d, after_pass};
    if (d->print_passes)
        print_passes(d);
    prepare_reproducer(d);
    bool ok = pipeline_run(&d->pipeline, d->module, &c, &observer);
    internal_error_hook(NULL);
    text_free(&reproducer.module);
    if (ok)
        warn_of_misses(d, &c);
    else
        explain_disabled(d);
    return show_remarks(d, &c) && ok && !diagnostics_errors(d->diagnostics);
}
