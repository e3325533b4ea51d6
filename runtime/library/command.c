// lutrun --native MODEL.so: texts by a library for this CPU.
#include "runtime/library/library.h"

#include "support/standard_options.h"

#include <string.h>

static const char tool[] = "lutrun --native";
static const char synopsis[] = "MODEL.so [options]";

enum { OWN_OPTIONS = 2, FOREIGN_OPTIONS = 4, MOST_THREADS = 1024 };
enum { ALL_OPTIONS = OWN_OPTIONS + TEXT_OPTIONS + STANDARD_OPTIONS + FOREIGN_OPTIONS + 1 };

// Of the emulator, and of llama.cpp.
static const option_row foreign[FOREIGN_OPTIONS] = {
    FOREIGN_OPTION("--harts", "-t", "--threads N runs on N threads"),
    FOREIGN_OPTION("--stats", "-s",
                   "instructions are counted where they are emulated, lutrun MODEL.elf"),
    FOREIGN_OPTION("--time", NULL, "cycles are those of an emulated machine, lutrun MODEL.elf"),
    FOREIGN_OPTION("--temp", NULL, "--temperature X"),
};

typedef struct settings {
    const char *weights;
    long long threads;
    standard_options standard;
    text_settings text;
} settings;

static void option_table(settings *s, option_row rows[ALL_OPTIONS])
{
    const option_row table[OWN_OPTIONS] = {
        {"--weights", NULL, OPTION_STRING, &s->weights, "FILE.lutw",
         "the weights (default: beside the library)"},
        {"--threads", NULL, OPTION_INTEGER, &s->threads, "N",
         "run on N threads (default: 1); the text is the same", 1, MOST_THREADS}};
    memcpy(rows, table, sizeof table);
    text_option_rows(&s->text, rows + OWN_OPTIONS);
    standard_option_rows(&s->standard, rows + OWN_OPTIONS + TEXT_OPTIONS);
    memcpy(rows + OWN_OPTIONS + TEXT_OPTIONS + STANDARD_OPTIONS, foreign, sizeof foreign);
    rows[ALL_OPTIONS - 1] = (option_row){NULL};
}

static bool run_text(arena *a, diagnostics *d, const char *path, const settings *s)
{
    library_options options = {s->weights, (unsigned)s->threads};
    language_model model;
    text_report report;
    library *l = library_open(a, d, path, &options);
    bool found = l && library_language(a, d, l, &model);
    tokenizer *t = found ? library_tokenizer(l) : NULL;
    bool ok = t && text_run(a, d, &s->text, &model, t, &report);
    diagnostics_flush(d);
    if (t)
        text_report_print(&report, stderr);
    library_close(l);
    return ok;
}

// False: *code is what to return.
static bool read_options(arena *a, int argc, char **argv, settings *s, const char **path, int *code)
{
    option_row rows[ALL_OPTIONS];
    options_result result;
    option_table(s, rows);
    *code = EXIT_USAGE;
    if (!options_parse(tool, rows, argc, argv, false, a, &result))
        return false;
    if (standard_options_end("lutrun", &s->standard, "", code))
        return false;
    if (s->standard.help) {
        options_help(tool, synopsis, rows);
        *code = EXIT_OK;
        return false;
    }
    if (result.positional.count != 1 || !text_wanted(&s->text)) {
        fprintf(stderr, "%s: error: expected a library and what to write: %s --prompt TEXT\n", tool,
                "lutrun --native MODEL.so");
        return false;
    }
    *path = result.positional.items[0];
    return text_check(tool, &s->text);
}

int library_command(int argc, char **argv)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    settings s = {.threads = 1, .text = text_defaults};
    const char *path;
    int code;
    if (read_options(a, argc, argv, &s, &path, &code))
        code = run_text(a, d, path, &s) ? EXIT_OK : EXIT_USER_ERROR;
    diagnostics_flush(d);
    diagnostics_destroy(d);
    arena_destroy(a);
    return code;
}
