// lutc: commands and options as tables.
#include "compiler/driver/driver.h"

#include "compiler/codegen/codegen.h"
#include "support/streams.h"

#include <stdio.h>
#include <string.h>

// Which commands take an option.
enum {
    COMPILE = 1,
    OPT = 2,
    INSPECT = 4,
    LIST = 8,
    EVAL = 16,
    PACK = 32,
    ESTIMATE = 64,
    EXPLORE = 128,
    ALL = 255
};
enum { MOST_OPTIONS = 64 };

static const struct command {
    const char *name; // NULL: without a command word
    unsigned bit, least_files, most_files;
    int (*run)(driver *d);
    const char *synopsis, *help;
} commands[] = {
    {NULL, COMPILE, 1, 1, command_compile, "FILE.lut|FILE.lir|- [options]", "compile a program"},
    {"opt", OPT, 1, 1, command_opt, "opt FILE.lir|- [options]", "run passes over IR"},
    {"inspect", INSPECT, 1, 1, command_inspect, "inspect FILE",
     "describe a GGUF, packed, npy, IR or ELF file"},
    {"list", LIST, 1, 1, command_list,
     "list ops|passes|functions|insns|machines|formats|targets|areas",
     "show a table of the compiler"},
    {"eval", EVAL, 1, 1, command_eval, "eval FILE.lut|FILE.lir [options]",
     "evaluate an entry in double precision (the oracle)"},
    {"pack", PACK, 1, 1, command_pack, "pack FILE.lut|FILE.lir [options]",
     "write a program's packed weights"},
    {"estimate", ESTIMATE, 1, 1, command_estimate, "estimate FILE.lut|FILE.lir [options]",
     "tell how long an entry takes on a machine"},
    {"explore", EXPLORE, 1, 1, command_explore, "explore FILE.lut|FILE.lir [options]",
     "sweep machines: LUT units, tiles, bandwidths; latency, energy and area"},
};
#define FOR_COMMANDS(c)                                                                            \
    for (const struct command *c = commands; c < commands + sizeof commands / sizeof *commands; c++)

// Of clang, llc and opt.
static const option_row foreign[] = {
    FOREIGN_OPTION(
        "-O", "-O",
        "there are no levels, programs are always optimized; --disable leaves passes out"),
    FOREIGN_OPTION("-S", NULL, "--emit=asm writes assembly"),
    FOREIGN_OPTION("-c", NULL, "--emit=obj writes an object"),
    FOREIGN_OPTION("-g", NULL, "line tables are there, unless --no-debug is given"),
    FOREIGN_OPTION("-emit-llvm", NULL, "--emit=llvm writes LLVM's IR"),
    FOREIGN_OPTION("-march", NULL, "--machine and --target say what code is for"),
    FOREIGN_OPTION("-mcpu", "-mtune", "--machine and --target say what code is for"),
    FOREIGN_OPTION("-target", "-mtriple", "--machine and --target say what code is for"),
    FOREIGN_OPTION("-shared", "-static", "--emit=lib makes libraries, of CPUs"),
    FOREIGN_OPTION("-fsyntax-only", NULL, "--emit=graph stops where the program is checked"),
    FOREIGN_OPTION("-W", "-W", "warnings are always shown"),
    FOREIGN_OPTION("-Rpass", "-Rpass", "--remarks=REGEX says what passes did"),
    FOREIGN_OPTION("--print-after-all", "-print-after-all",
                   "--print-after all shows the module behind every pass"),
    FOREIGN_OPTION("--save-temps", "-save-temps", "--dump-dir DIR keeps every stage"),
    FOREIGN_OPTION("--verify-each", NULL, "modules are verified behind every pass"),
    FOREIGN_OPTION("--verbose", NULL,
                   "--print-passes, --remarks, --stats and --time-passes show what is done"),
};

// The option table of one command, ended by a NULL name.
static void build_options(driver *d, unsigned command, option_row *out)
{
    const struct {
        unsigned commands;
        option_row row;
    } all[] = {
#define OPTION(commands, name, alias, kind, target, ...)                                           \
    {commands, {name, alias, OPTION_##kind, &d->target, __VA_ARGS__}},
#include "compiler/driver/options.def"
#undef OPTION
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].commands & command)
            *out++ = all[i].row;
    if (command == EVAL) {
        text_option_rows(&d->text, out);
        out += TEXT_OPTIONS;
    }
    standard_option_rows(&d->standard, out);
    out += STANDARD_OPTIONS;
    memcpy(out, foreign, sizeof foreign);
    out[sizeof foreign / sizeof *foreign] = (option_row){0};
}

// What --version adds.
static const char *built_with(arena *a)
{
    text t = {0};
    text_printf(&t, "LLVM %s\ntargets:", codegen_llvm_version());
    for (size_t i = 0; target_at(i); i++)
        text_printf(&t, " %s", target_at(i)->name);
    const code_target *native = target_find("native");
    text_printf(&t, "\nthis CPU: %s\n", native ? native->name : "none of them");
    const char *lines = arena_string(a, text_string(&t), t.length);
    text_free(&t);
    return lines;
}

static void print_commands(void)
{
    printf("\ncommands:\n");
    FOR_COMMANDS(c)
    {
        if (c->name)
            printf("  %-10s%s\n", c->name, c->help);
    }
    printf("\n'lutc COMMAND --help' shows a command's options.\n");
}

static const struct command *find_command(const char *word)
{
    FOR_COMMANDS(c)
    {
        if (c->name && word && strcmp(c->name, word) == 0)
            return c;
    }
    return commands;
}

// A lone word that is no file is a mistyped command more often than a program.
static bool looks_mistyped(const char *word)
{
    const char *names[sizeof commands / sizeof *commands];
    size_t count = 0;
    FOR_COMMANDS(c)
    {
        if (c->name)
            names[count++] = c->name;
    }
    const char *nearest = text_nearest(word, names, count);
    if (!nearest || strpbrk(word, "./-"))
        return false;
    fprintf(stderr, "lutc: error: there is no command '%s'; did you mean '%s'?\n", word, nearest);
    return true;
}

static int check_files(const driver *d, const struct command *c)
{
    size_t count = d->files.count;
    if (count >= c->least_files && count <= c->most_files)
        return EXIT_OK;
    if (count < c->least_files)
        fprintf(stderr, "%s: error: an argument is missing\n", d->command);
    else
        fprintf(stderr, "%s: error: unexpected argument '%s'\n", d->command,
                d->files.items[c->most_files]);
    fprintf(stderr, "usage: lutc %s\n", c->synopsis);
    return EXIT_USAGE;
}

static int run_command(driver *d, const struct command *c, int argc, char **argv)
{
    option_row rows[MOST_OPTIONS];
    options_result result;
    d->command = c->name ? arena_format(d->arena, "lutc %s", c->name) : "lutc";
    build_options(d, c->bit, rows);
    if (!options_parse(d->command, rows, argc, argv, false, d->arena, &result))
        return EXIT_USAGE;
    d->files = result.positional;
    const char *more = d->standard.version ? built_with(d->arena) : "";
    int code;
    if (standard_options_end("lutc", &d->standard, more, &code))
        return code;
    if (d->standard.help) {
        options_help("lutc", c->synopsis, rows);
        if (!c->name)
            print_commands();
        return EXIT_OK;
    }
    if (!c->name && d->files.count && looks_mistyped(d->files.items[0]))
        return EXIT_USAGE;
    code = check_files(d, c);
    if (code != EXIT_OK)
        return code;
    code = c->run(d);
    return code == EXIT_OK && diagnostics_errors(d->diagnostics) ? EXIT_USER_ERROR : code;
}

// lutc help [COMMAND]
static int show_help(driver *d, char *word)
{
    char option[] = "--help", *arguments[] = {word, option, NULL};
    const struct command *c = find_command(word);
    if (c->name || !word)
        return run_command(d, c, 2, arguments);
    if (!looks_mistyped(word))
        fprintf(stderr, "lutc: error: there is no command '%s'; 'lutc help' lists them\n", word);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    streams_hold();
    driver d = {
        .arena = arena_create(), .diagnostics = diagnostics_create(stderr), .text = text_defaults};
    const struct command *c = find_command(argc > 1 ? argv[1] : NULL);
    int skip = c->name != NULL;
    int code = argc > 1 && !strcmp(argv[1], "help") ? show_help(&d, argv[2])
                                                    : run_command(&d, c, argc - skip, argv + skip);
    weights_close(d.weights);
    diagnostics_destroy(d.diagnostics);
    arena_destroy(d.arena);
    return streams_end("lutc", code);
}
