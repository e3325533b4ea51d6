// lutrun: runs compiled models and plain RISC-V programs, instruction by instruction.
#include "runtime/host/host.h"

#include "runtime/gdb/program.h"
#include "runtime/host/lutrun_settings.h"
#include "runtime/host/model_file.h"
#include "runtime/host/refuse.h"
#include "runtime/library/library.h"
#include "runtime/lut/host.h"
#include "support/file.h"
#include "support/options.h"
#include "support/streams.h"
#include "support/text.h"

#include <math.h>
#include <string.h>

static const char synopsis[] = "MODEL.elf [options]\n"
                               "       lutrun MODEL.gguf [options]\n"
                               "       lutrun --native MODEL.so [options]\n"
                               "       lutrun [options] PROGRAM.elf [its arguments]";

typedef struct session {
    arena *arena;
    diagnostics *diagnostics;
    settings settings;
    host_program *program;
    output_file *compiled; // the program of a model file, while it is needed
    bool json_due;         // as the last line of stderr
    text_report report;    // for it, of a text
    bool has_report;
} session;

#define REPORT(s, ...) refuse((s)->diagnostics, NOWHERE, __VA_ARGS__)

enum { CHECKPOINT_EVERY = 1000000000 }; // instructions
// --------------------------------------------------------------------- outputs

typedef struct output_request {
    size_t index;
    const char *path;
} output_request;

typedef struct expectation {
    size_t index;
    expect_spec spec;
} expectation;

typedef struct requests {
    ARRAY_OF(output_request) outputs;
    ARRAY_OF(expectation) expects;
} requests;

// NAME=@FILE
static bool read_output(session *s, const program_entry *entry, const char *argument, requests *r)
{
    const char *equals = strchr(argument, '=');
    if (!equals || equals == argument || equals[1] != '@' || !equals[2])
        return REPORT(s, "--output '%s': expected NAME=@FILE.npy", argument);
    output_request o = {.path = equals + 2};
    const char *name = arena_string(s->arena, argument, (size_t)(equals - argument));
    if (!host_find_output(s->program, entry, name, &o.index))
        return false;
    ARRAY_PUSH(s->arena, &r->outputs, o);
    return true;
}

static bool read_expect(session *s, const program_entry *entry, const char *argument, requests *r)
{
    expectation e;
    if (!expect_spec_parse(s->arena, s->diagnostics, argument, &e.spec) ||
        !host_find_output(s->program, entry, e.spec.name, &e.index))
        return false;
    ARRAY_PUSH(s->arena, &r->expects, e);
    return true;
}

static bool read_requests(session *s, const program_entry *entry, requests *r)
{
    bool ok = true;
    for (size_t i = 0; i < s->settings.outputs.count; i++)
        ok &= read_output(s, entry, s->settings.outputs.items[i], r);
    for (size_t i = 0; i < s->settings.expects.count; i++)
        ok &= read_expect(s, entry, s->settings.expects.items[i], r);
    return ok;
}

// Name, type, shape; the first elements; smallest, largest, mean.
static void summarise(const program_value *v, const array *x)
{
    enum { SHOWN = 6 };
    int64_t count = array_count(x), not_numbers = 0;
    double smallest = INFINITY, largest = -INFINITY, sum = 0;
    text t = {0};
    text_printf(&t, "%s: %s", v->name, description_type_name(v));
    if (x->rank > 0)
        array_print_shape(&t, x->rank, x->shape);
    printf("%s\n ", text_string(&t));
    for (int64_t i = 0; i < count && i < SHOWN; i++)
        printf(" %.6g", array_get(x, i));
    printf("%s\n", count > SHOWN ? " ..." : "");
    for (int64_t i = 0; i < count; i++) {
        double value = array_get(x, i);
        not_numbers += value != value;
        smallest = fmin(smallest, value);
        largest = fmax(largest, value);
        sum += value;
    }
    if (count > 1)
        printf("  min %.6g  max %.6g  mean %.6g%s\n", smallest, largest, sum / (double)count,
               not_numbers ? "  (contains NaN)" : "");
    text_free(&t);
}

// JSON on stderr stays alone there, but for errors and warnings, and what observers write.
static bool json_on_stderr(const session *s)
{
    return s->settings.stats && strcmp(s->settings.stats, "json") == 0;
}

static bool check_expectation(session *s, const expect_spec *spec, const array *x)
{
    array_difference difference;
    if (!expect_check(s->diagnostics, spec, x, &difference))
        return false;
    if (!json_on_stderr(s))
        fprintf(stderr, "%s: as expected, nmse %.3g\n", spec->name, difference.nmse);
    return true;
}

static bool deliver(session *s, const host_call *call, const program_entry *entry,
                    const requests *r)
{
    bool ok = true;
    for (size_t i = 0; i < r->outputs.count; i++) {
        array x = host_call_output(call, s->arena, r->outputs.items[i].index);
        ok &= array_write_npy(s->diagnostics, r->outputs.items[i].path, &x);
    }
    for (size_t i = 0; i < r->expects.count; i++) {
        array x = host_call_output(call, s->arena, r->expects.items[i].index);
        ok &= check_expectation(s, &r->expects.items[i].spec, &x);
    }
    for (size_t i = 0; r->outputs.count + r->expects.count == 0 && i < entry->outputs.count; i++) {
        array x = host_call_output(call, s->arena, i);
        summarise(&entry->outputs.items[i], &x);
    }
    return ok;
}

// ------------------------------------------------------------------------- run

static host_limits limits_of(const settings *s)
{
    return (host_limits){(uint64_t)s->instructions, s->timeout};
}

static bool write_json(const session *s, const host_statistics *statistics, const char *path)
{
    output_file *f = output_open(s->diagnostics, path);
    if (!f)
        return false;
    host_statistics_print_json(s->program, statistics, false, output_stream(f));
    return output_commit(s->diagnostics, f);
}

static bool print_statistics(const session *s, const text_report *report)
{
    host_statistics statistics;
    if (report && !json_on_stderr(s))
        text_report_print(report, stderr);
    if (!s->settings.stats || json_on_stderr(s))
        return true;
    host_statistics_get(s->program, &statistics);
    statistics.text = report;
    if (settings_json_file(s->settings.stats))
        return write_json(s, &statistics, settings_json_file(s->settings.stats));
    host_statistics_print(s->program, &statistics, stderr);
    return true;
}

static void print_last_line(const session *s)
{
    host_statistics statistics;
    host_statistics_get(s->program, &statistics);
    statistics.text = s->has_report ? &s->report : NULL;
    host_statistics_print_json(s->program, &statistics, true, stderr);
}

static int finish(session *s, const host_outcome *outcome, const text_report *report)
{
    host_checkpoint_finish(s->program);
    diagnostics_flush(s->diagnostics);
    host_report_stop(s->program, outcome, stderr);
    s->json_due = json_on_stderr(s);
    s->has_report = report != NULL;
    if (report)
        s->report = *report;
    int code = host_exit_code(s->program, outcome);
    return print_statistics(s, report) || code ? code : EXIT_USER_ERROR;
}

static int run_model(session *s)
{
    host_arguments arguments;
    requests r = {0};
    const program_entry *entry = host_choose_entry(s->program, s->settings.entry);
    if (!entry)
        return EXIT_USER_ERROR;
    bool bound =
        host_bind_arguments(s->program, entry, &s->settings.inputs, &s->settings.dims, &arguments);
    if (!read_requests(s, entry, &r) || !bound)
        return EXIT_USER_ERROR;
    host_call *call = host_call_create(s->program, entry, arguments.dims, arguments.inputs);
    if (!call)
        return EXIT_USER_ERROR;
    if (host_finished_calls(s->program) >= (uint64_t)s->settings.repeat) {
        REPORT(s, "--resume: the checkpoint is in a call beyond those of --repeat %lld",
               s->settings.repeat);
        return EXIT_USER_ERROR;
    }
    host_limits limits = limits_of(&s->settings);
    host_outcome outcome = {0};
    for (long long i = (long long)host_finished_calls(s->program);
         i < s->settings.repeat && outcome.end == HOST_RETURNED; i++)
        outcome = host_call_run(call, &limits);
    bool delivered = outcome.end != HOST_RETURNED || deliver(s, call, entry, &r);
    int code = finish(s, &outcome, NULL);
    return delivered ? code : EXIT_USER_ERROR;
}

// Options that name arguments of one call mean nothing beside a text.
static bool check_text(session *s)
{
    const settings *t = &s->settings;
    const struct {
        const char *name;
        bool given;
    } rows[] = {{"--entry", t->entry != NULL},      {"--input", t->inputs.count > 0},
                {"--dim", t->dims.count > 0},       {"--output", t->outputs.count > 0},
                {"--expect", t->expects.count > 0}, {"--repeat", t->repeat != 1},
                {"--checkpoint", t->checkpoint},    {"--resume", t->resume}};
    bool ok = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given)
            ok = REPORT(s, "%s is for calls of an entry; a text goes through 'forward' and 'score'",
                        rows[i].name);
    return ok;
}

static int run_text(session *s)
{
    host_limits limits = limits_of(&s->settings);
    host_outcome outcome;
    text_report report;
    if (!check_text(s))
        return EXIT_USER_ERROR;
    bool ok = host_run_text(s->program, &s->settings.text, &limits, &report, &outcome);
    int code = finish(s, &outcome, &report);
    return ok || code ? code : EXIT_USER_ERROR;
}

// Options of model programs mean nothing to a plain one.
static bool check_plain(session *s, const char *path)
{
    const settings *t = &s->settings;
    const struct {
        const char *name;
        bool given;
    } rows[] = {{"--entry", t->entry != NULL},      {"--input", t->inputs.count > 0},
                {"--dim", t->dims.count > 0},       {"--output", t->outputs.count > 0},
                {"--expect", t->expects.count > 0}, {"--list", t->list},
                {"--repeat", t->repeat != 1},       {"--prompt", text_wanted(&t->text)}};
    bool ok = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given)
            ok = REPORT(s, "%s: '%s' is a plain program (it has no Lutra note): it has no entries",
                        rows[i].name, path);
    return ok;
}

static int run_plain(session *s, int count, char **arguments, const char *path)
{
    if (!check_plain(s, path))
        return EXIT_USER_ERROR;
    const char **argv = ARENA_ARRAY(s->arena, const char *, (size_t)count + 2);
    argv[0] = path;
    for (int i = 0; i < count; i++)
        argv[i + 1] = arguments[i];
    ARRAY_PUSH(s->arena, &s->settings.environment, NULL);
    bool ok;
    host_limits limits = limits_of(&s->settings);
    host_outcome outcome =
        host_run_process(s->program, argv, s->settings.environment.items, &limits, &ok);
    return ok ? finish(s, &outcome, NULL) : EXIT_USER_ERROR;
}

// Options of a model may follow its file name; a plain program's arguments do.
static bool parse_rest(session *s, int argc, char **argv, int first)
{
    option_row rows[SETTINGS_ROWS];
    options_result rest;
    settings_rows(&s->settings, rows);
    if (!options_parse(settings_tool, rows, argc - first + 1, argv + first - 1, false, s->arena,
                       &rest))
        return false;
    if (rest.positional.count == 0)
        return true;
    fprintf(stderr, "lutrun: error: unexpected argument '%s'; inputs are given by --input\n",
            rest.positional.items[0]);
    return false;
}

// --help and --version are all there is to do.
static bool has_ended(session *s, int *code)
{
    lut_host host = LUT_HOST_COUNT - 1;
    while (!lut_host_supported(host))
        host--;
    const char *more = arena_format(s->arena, "LUT unit: %s\n", lut_host_names[host]);
    if (standard_options_end(settings_tool, &s->settings.standard, more, code))
        return true;
    if (!s->settings.standard.help)
        return false;
    settings unused;
    option_row rows[SETTINGS_ROWS];
    settings_rows(&unused, rows);
    options_help(settings_tool, synopsis, rows);
    *code = EXIT_OK;
    return true;
}

// Of a GGUF file: the program that lutc makes of it. What follows the file name are our options.
static bool compile_model(session *s, const char *path, const char **program)
{
    const settings *t = &s->settings;
    model_file_options options = {t->quant,   t->calibrate, t->tables,
                                  t->machine, t->save,      &t->defines};
    return model_file_compile(s->arena, s->diagnostics, path, &options, program, &s->compiled);
}

static bool check_model_options(session *s, const char *path)
{
    const settings *t = &s->settings;
    const struct {
        const char *name;
        bool given;
    } rows[] = {{"--quant", t->quant != NULL},
                {"--calibrate", t->calibrate != NULL},
                {"--tables", t->tables != NULL},
                {"--define", t->defines.count > 0},
                {"--save", t->save != NULL}};
    bool ok = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given)
            ok = REPORT(s, "%s is for GGUF files; '%s' is a program, compiled already",
                        rows[i].name, path);
    return ok;
}

static bool check_environment(session *s, const char *path)
{
    return !s->settings.environment.count ||
           REPORT(s, "--env is for plain programs; '%s' is a model, which has no environment",
                  path);
}

static bool observe(session *s)
{
    settings *t = &s->settings;
    t->observe.trace.is_timed = timing_takes_trace(&t->timing, &t->observe.trace);
    bool ok = observe_start(s->program, s->arena, s->diagnostics, &t->observe);
    ok &= timing_start(s->program, s->arena, s->diagnostics, &t->timing, &t->observe.trace);
    if (t->checkpoint)
        host_checkpoint(s->program, t->checkpoint,
                        t->every ? (uint64_t)t->every : CHECKPOINT_EVERY);
    if (t->resume)
        host_resume(s->program, t->resume);
    return ok && (!t->gdb || gdb_attach(s->program, s->arena, s->diagnostics, t->gdb));
}

// Beside --save, which then is all there is to do.
static bool asks_for_nothing(const settings *s)
{
    return !text_wanted(&s->text) && !s->list && !s->entry && !s->inputs.count && !s->dims.count &&
           !s->outputs.count && !s->expects.count;
}

static int run_program(session *s, bool plain, int count, char **arguments, const char *path)
{
    bool loaded =
        host_load(s->program, &(host_options){s->settings.machine, (uint32_t)s->settings.vlen,
                                              (uint32_t)s->settings.harts});
    output_abandon(s->compiled); // mapped by now
    s->compiled = NULL;
    if (!loaded)
        return EXIT_USER_ERROR;
    if (s->settings.save && asks_for_nothing(&s->settings))
        return EXIT_OK;
    if (s->settings.list && !plain)
        return host_print_list(s->program, stdout), EXIT_OK;
    if (!observe(s))
        return EXIT_USER_ERROR;
    if (plain)
        return run_plain(s, count, arguments, path);
    return text_wanted(&s->settings.text) ? run_text(s) : run_model(s);
}

static int run(session *s, int argc, char **argv)
{
    option_row rows[SETTINGS_ROWS];
    options_result first;
    int code;
    settings_rows(&s->settings, rows);
    if (!options_parse(settings_tool, rows, argc, argv, true, s->arena, &first))
        return EXIT_USAGE;
    if (has_ended(s, &code))
        return code;
    if (first.positional.count == 0) {
        fprintf(stderr, "lutrun: error: no program given; see lutrun --help\n");
        return EXIT_USAGE;
    }
    const char *path = first.positional.items[0];
    bool model_file = model_file_is(path), plain = false;
    if (!model_file) {
        s->program = host_open(s->arena, s->diagnostics, path);
        if (!s->program)
            return EXIT_USER_ERROR;
        plain = host_description(s->program) == NULL;
    }
    if (!plain && !parse_rest(s, argc, argv, first.first_unparsed))
        return EXIT_USAGE;
    if (has_ended(s, &code))
        return code;
    if (!settings_check(&s->settings))
        return EXIT_USAGE;
    if ((!plain && !check_environment(s, path)) ||
        !settings_have_places(&s->settings, s->arena, s->diagnostics, path,
                              s->program ? host_weights_file(s->program) : NULL))
        return EXIT_USER_ERROR;
    if (model_file && !(compile_model(s, path, &path) &&
                        (s->program = host_open(s->arena, s->diagnostics, path))))
        return EXIT_USER_ERROR;
    if (!model_file && !check_model_options(s, path))
        return EXIT_USER_ERROR;
    return run_program(s, plain, argc - first.first_unparsed, argv + first.first_unparsed, path);
}

int main(int argc, char **argv)
{
    streams_hold();
    if (argc > 1 && strcmp(argv[1], "--native") == 0)
        return streams_end(settings_tool, library_command(argc - 1, argv + 1));
    session s = {.arena = arena_create(),
                 .diagnostics = diagnostics_create(stderr),
                 .settings = {.repeat = 1, .harts = 1, .text = text_defaults}};
    int code = run(&s, argc, argv);
    if (s.program)
        host_finish(s.program, code);
    if (code == EXIT_OK && diagnostics_errors(s.diagnostics)) // what observers could not write
        code = EXIT_USER_ERROR;
    diagnostics_flush(s.diagnostics);
    if (s.json_due)
        print_last_line(&s);
    output_abandon(s.compiled);
    host_close(s.program);
    diagnostics_destroy(s.diagnostics);
    arena_destroy(s.arena);
    return streams_end(settings_tool, code);
}
