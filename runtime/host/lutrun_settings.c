#include "runtime/host/lutrun_settings.h"

#include "runtime/hart/hart.h"
#include "runtime/host/host.h"
#include "support/file.h"
#include "support/text.h"

#include <stdio.h>
#include <string.h>

const char settings_tool[] = "lutrun";
static const char json_to_file[] = "json:";

// Of qemu, llama.cpp and compilers.
static const option_row foreign[SETTINGS_FOREIGN] = {
    FOREIGN_OPTION("--native", NULL, "it comes first, lutrun --native MODEL.so [options]"),
    FOREIGN_OPTION("-cpu", NULL, "--machine and --vlen say what machine it is"),
    FOREIGN_OPTION("-smp", NULL, "--harts N runs on several harts"),
    FOREIGN_OPTION("-M", "-machine", "--machine NAME says what machine it is"),
    FOREIGN_OPTION("-g", "-gdb", "--gdb PORT waits for gdb"),
    FOREIGN_OPTION("-strace", NULL, "--trace FILE writes down what executes"),
    FOREIGN_OPTION("-nographic", "-serial", "a program has the standard streams, and nothing else"),
    FOREIGN_OPTION("-kernel", "-bios", "the program stands alone, lutrun [options] PROGRAM"),
    FOREIGN_OPTION("-plugin", NULL, "--plugin FILE.so looks on"),
    FOREIGN_OPTION("--model", NULL, "the model stands alone, lutrun MODEL.gguf [options]"),
    FOREIGN_OPTION("-f", "--file", "--prompt-file FILE has the prompt"),
    FOREIGN_OPTION("-t", "--threads", "--harts N runs on N harts, each on a thread"),
    FOREIGN_OPTION("-c", "--ctx-size",
                   "a model's context is as long as its program says; --context N is that of "
                   "--perplexity"),
    FOREIGN_OPTION("--temp", NULL, "--temperature X"),
    FOREIGN_OPTION("-ngl", "--n-gpu-layers", "all of a model is emulated"),
    FOREIGN_OPTION("-O", "-O", "lutc compiles, and always optimizes"),
    FOREIGN_OPTION("-E", NULL, "--env NAME=VALUE sets a variable"),
    FOREIGN_OPTION("-L", NULL, "programs are static and load no libraries"),
};

void settings_rows(settings *s, option_row rows[SETTINGS_ROWS])
{
    const option_row table[SETTINGS_OWN] = {
        {"--entry", "-e", OPTION_STRING, &s->entry, "NAME",
         "the entry to call (default: the only one, or main)"},
        {"--input", "-i", OPTION_LIST, &s->inputs, "NAME=@FILE.npy",
         "an input: a file, zeros, ones, iota, random[:SEED[:SCALE]] or a number"},
        {"--dim", "-d", OPTION_LIST, &s->dims, "NAME=N", "the value of a dimension"},
        {"--output", "-o", OPTION_LIST, &s->outputs, "NAME=@FILE.npy",
         "where an output goes (default: all are summarised)"},
        {"--expect", NULL, OPTION_LIST, &s->expects, "NAME=@FILE.npy[,rtol=X]",
         "compare an output; also atol=X, nmse=X, exact"},
        {"--list", "-l", OPTION_FLAG, &s->list, NULL,
         "show entries, inputs, outputs and weights, run nothing"},
        {"--repeat", NULL, OPTION_INTEGER, &s->repeat, "N", "call the entry N times", 1, 1000000},
        {"--stats", "-s", OPTION_OPTIONAL, &s->stats, "json[:FILE]",
         "counts (docs/stats.md): as text or JSON to stderr, or as JSON to a file"},
        {"--machine", "-m", OPTION_STRING, &s->machine, "NAME",
         "machine description: a name or a file"},
        {"--vlen", NULL, OPTION_INTEGER, &s->vlen, "BITS", "vector register length", 128,
         HART_MAX_VLEN},
        {"--harts", NULL, OPTION_INTEGER, &s->harts, "N",
         "run entries on N harts, each on a thread of its own (default: 1)", 1, HOST_MOST_HARTS},
        {"--max-instructions", NULL, OPTION_INTEGER, &s->instructions, "N",
         "stop after N instructions of a hart", 1, INT64_MAX},
        {"--timeout", NULL, OPTION_NUMBER, &s->timeout, "SECONDS", "stop after this long"},
        {"--env", NULL, OPTION_LIST, &s->environment, "NAME=VALUE",
         "a variable in the environment of a plain program"},
        {"--gdb", NULL, OPTION_STRING, &s->gdb, "PORT",
         "wait for gdb on this port, or on a socket named by a path"},
        {"--checkpoint", NULL, OPTION_STRING, &s->checkpoint, "FILE",
         "save the whole machine now and then"},
        {"--every", NULL, OPTION_INTEGER, &s->every, "N",
         "instructions between checkpoints (default: 1000000000)", 1, INT64_MAX},
        {"--resume", NULL, OPTION_STRING, &s->resume, "FILE",
         "go on from a checkpoint of the same run"},
        {"--quant", NULL, OPTION_STRING, &s->quant, "RULES",
         "of a GGUF file: the weight formats, as lutc takes them"},
        {"--calibrate", NULL, OPTION_STRING, &s->calibrate, "FILE",
         "of a GGUF file: the text it is quantized for, as lutc takes it"},
        {"--tables", NULL, OPTION_STRING, &s->tables, "TYPE",
         "of a GGUF file: the entries of tables, as lutc takes them"},
        {"--define", "-D", OPTION_LIST, &s->defines, "NAME=VALUE",
         "of a GGUF file: the value of a constant of its model"},
        {"--save", NULL, OPTION_STRING, &s->save, "FILE.elf",
         "of a GGUF file: keep the program it was compiled to"}};
    memcpy(rows, table, sizeof table);
    text_option_rows(&s->text, rows += SETTINGS_OWN);
    observe_option_rows(&s->observe, rows += TEXT_OPTIONS);
    timing_option_rows(&s->timing, rows += OBSERVE_OPTIONS);
    standard_option_rows(&s->standard, rows += TIMING_OPTIONS);
    memcpy(rows += STANDARD_OPTIONS, foreign, sizeof foreign);
    rows[SETTINGS_FOREIGN] = (option_row){NULL};
}

// What follows a single hart.
static bool check_harts(const settings *s)
{
    const struct {
        const char *name;
        bool given;
    } rows[] = {{"--gdb", s->gdb != NULL},
                {"--trace", s->observe.trace.path != NULL},
                {"--checkpoint", s->checkpoint != NULL},
                {"--resume", s->resume != NULL}};
    bool ok = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].given || s->harts == 1)
            continue;
        fprintf(stderr,
                "lutrun: error: %s is for runs on one hart; leave out --harts, which does not "
                "change results\n",
                rows[i].name);
        ok = false;
    }
    return ok;
}

static bool check_environment(const settings *s)
{
    for (size_t i = 0; i < s->environment.count; i++) {
        const char *variable = s->environment.items[i], *equals = strchr(variable, '=');
        if (!equals || equals == variable) {
            fprintf(stderr, "lutrun: error: --env %s: expected NAME=VALUE\n", variable);
            return false;
        }
    }
    return true;
}

bool settings_check(const settings *s)
{
    bool known =
        !s->stats || !*s->stats || strcmp(s->stats, "json") == 0 || settings_json_file(s->stats);
    if (!known) {
        fprintf(stderr,
                "lutrun: error: --stats=%s: expected --stats, --stats=json or --stats=json:FILE\n",
                s->stats);
        return false;
    }
    if (s->every && !s->checkpoint) {
        fprintf(stderr, "lutrun: error: --every says how often, and nothing says where: add "
                        "--checkpoint FILE\n");
        return false;
    }
    if (!(s->timeout >= 0)) {
        fprintf(stderr, "lutrun: error: --timeout: expected a number of seconds >= 0\n");
        return false;
    }
    return check_environment(s) && check_harts(s) && timing_check(settings_tool, &s->timing) &&
           text_check(settings_tool, &s->text);
}

// ---------------------------------------------------------------------- places

const char *settings_json_file(const char *value)
{
    const size_t length = sizeof json_to_file - 1;
    return value && !strncmp(value, json_to_file, length) && value[length] ? value + length : NULL;
}

typedef ARRAY_OF(const char *) paths;

static void add(arena *a, paths *list, const char *path)
{
    if (path && *path)
        ARRAY_PUSH(a, list, path);
}

// Of NAME=@FILE[,..].
static void add_named(arena *a, paths *list, const option_values *values, const char *end)
{
    for (size_t i = 0; i < values->count; i++) {
        const char *file = strstr(values->items[i], "=@");
        if (file)
            add(a, list, arena_string(a, file + 2, strcspn(file + 2, end)));
    }
}

// Of FILE[,tokens=N], as lutc takes it.
static const char *calibration_file(arena *a, const char *value)
{
    const char *comma = value ? strrchr(value, ',') : NULL;
    bool more = comma && !strncmp(comma, ",tokens=", 8);
    return more ? arena_string(a, value, (size_t)(comma - value)) : value;
}

bool settings_have_places(const settings *s, arena *a, diagnostics *d, const char *program,
                          const char *weights)
{
    paths outputs = {0}, inputs = {0}, arrays = {0};
    const char *all[] = {program,
                         weights,
                         s->machine,
                         calibration_file(a, s->calibrate),
                         s->text.prompt_file,
                         s->text.perplexity};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        add(a, &inputs, all[i]);
    add_named(a, &outputs, &s->outputs, "");
    const size_t results = outputs.count;
    const char *written[] = {settings_json_file(s->stats),
                             settings_json_file(s->timing.time),
                             s->observe.profile,
                             s->observe.trace.path,
                             s->checkpoint,
                             s->save};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        add(a, &outputs, written[i]);
    add_named(a, &arrays, &s->inputs, "");
    add_named(a, &arrays, &s->expects, ",");
    bool ok = outputs_apart(d, outputs.items, outputs.count, inputs.items, inputs.count);
    for (size_t i = results; i < outputs.count; i++)
        ok &= outputs_apart(d, &outputs.items[i], 1, arrays.items, arrays.count);
    for (size_t i = 0; i < outputs.count; i++)
        ok &= output_possible(d, outputs.items[i]);
    return ok;
}
