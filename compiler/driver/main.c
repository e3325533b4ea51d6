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
        {COMPILE | OPT | PACK,
         {"--output", "-o", OPTION_STRING, &d->output, "FILE",
          "where the result goes; - is stdout"}},
        {COMPILE | EVAL | PACK | ESTIMATE | EXPLORE,
         {"--weights", NULL, OPTION_STRING, &d->weights_spec, "SOURCE",
          "FILE.gguf, FILE.lutw, random:SEED or none (default)"}},
        {COMPILE | EVAL | PACK | ESTIMATE | EXPLORE,
         {"--metadata", NULL, OPTION_STRING, &d->metadata, "FILE",
          "a JSON object of metadata keys, beside or instead of those of the weight file"}},
        {COMPILE | EVAL | PACK | ESTIMATE | EXPLORE,
         {"--quant", NULL, OPTION_STRING, &d->quant, "RULES",
          "FORMAT, keep or none, then ,PATTERN=FORMAT...; default: keep what is lossless, else "
          "w4g32"}},
        {COMPILE | EVAL | PACK,
         {"--refine", NULL, OPTION_FLAG, &d->refine, NULL,
          "quantize to the least squared error; a little better, but far slower"}},
        {COMPILE | EVAL | PACK,
         {"--plain", NULL, OPTION_FLAG, &d->plain, NULL,
          "quantize so that no weight is clipped; faster, but far worse at 2 and 3 bits"}},
        {COMPILE | EVAL | PACK,
         {"--calibrate", NULL, OPTION_STRING, &d->calibrate, "FILE",
          "quantize a language model by what it computes of this text (of its first 4096 tokens, "
          "or FILE,tokens=N)"}},
        {COMPILE | OPT | EVAL | PACK | ESTIMATE | EXPLORE,
         {"--machine", "-m", OPTION_STRING, &d->machine_name, "NAME",
          "a machine of 'lutc list machines' or a .machine file (default m2n64k4)"}},
        {COMPILE | PACK,
         {"--target", NULL, OPTION_STRING, &d->target_name, "NAME",
          "riscv64 (default), or a CPU: native, x86-64, x86-64-v3, x86-64-v4, aarch64"}},
        {COMPILE,
         {"--emit", NULL, OPTION_STRING, &d->emit, "STAGE",
          "ast, graph, kernel, tile, llvm, asm, obj or elf (default); of a CPU lib (default)"}},
        {COMPILE | OPT | EVAL | ESTIMATE | EXPLORE,
         {"--passes", NULL, OPTION_STRING, &d->passes, "LIST",
          "passes to run, 'a,b(c=1),d', instead of the usual ones"}},
        {COMPILE | OPT | EVAL | ESTIMATE | EXPLORE,
         {"--disable", NULL, OPTION_STRING, &d->disable, "LIST",
          "passes to leave out, 'a,b'; 'lutc list passes' says which are optional"}},
        {COMPILE | EVAL | ESTIMATE | EXPLORE,
         {"--tables", NULL, OPTION_STRING, &d->tables, "TYPE",
          "entries of float tables: f16 or i8 (default), and the scales of i8: "
          "i8,row|group|tile|slice"}},
        {COMPILE | OPT | ESTIMATE,
         {"--print-passes", NULL, OPTION_FLAG, &d->print_passes, NULL,
          "print the passes that run to stderr, as --passes takes them"}},
        {COMPILE | OPT | ESTIMATE,
         {"--print-before", NULL, OPTION_STRING, &d->print_before, "PASS",
          "print the module to stderr before a pass"}},
        {COMPILE | OPT | ESTIMATE,
         {"--print-after", NULL, OPTION_STRING, &d->print_after, "PASS",
          "print the module to stderr after a pass, or after all"}},
        {COMPILE | OPT | ESTIMATE,
         {"--dump-dir", NULL, OPTION_STRING, &d->dump_dir, "DIR",
          "write the module after every pass into this folder"}},
        {COMPILE | OPT | EVAL | ESTIMATE,
         {"--remarks", NULL, OPTION_OPTIONAL, &d->remarks, "REGEX",
          "say what passes did and did not do, and why"}},
        {COMPILE | OPT | ESTIMATE,
         {"--time-passes", NULL, OPTION_FLAG, &d->time_passes, NULL, "show how long phases took"}},
        {COMPILE,
         {"--stats", NULL, OPTION_OPTIONAL, &d->stats, "json",
          "count multiply-accumulates, bytes and kernels"}},
        {COMPILE,
         {"--packed", NULL, OPTION_STRING, &d->packed, "FILE",
          "write the weights to a file beside the program instead of into it"}},
        {COMPILE, {"--no-debug", NULL, OPTION_FLAG, &d->no_debug, NULL, "leave out line tables"}},
        {COMPILE | EVAL | PACK | ESTIMATE | EXPLORE,
         {"--define", "-D", OPTION_LIST, &d->defines, "NAME=VALUE",
          "the value of a constant of the program"}},
        {EVAL | ESTIMATE | EXPLORE,
         {"--entry", "-e", OPTION_STRING, &d->entry, "NAME",
          "the function to evaluate (default: the only entry, or main)"}},
        {EVAL,
         {"--input", "-i", OPTION_LIST, &d->inputs, "NAME=WHAT",
          "@FILE.npy, zeros, ones, iota, random[:SEED[:SCALE]] or a number"}},
        {EVAL, {"--output", "-o", OPTION_LIST, &d->outputs, "NAME=@FILE", "write a result as npy"}},
        {EVAL,
         {"--expect", NULL, OPTION_LIST, &d->expectations, "NAME=@FILE",
          "compare with an npy file; then ,rtol=X ,atol=X ,nmse=X ,exact"}},
        {EVAL | ESTIMATE | EXPLORE,
         {"--dim", "-d", OPTION_LIST, &d->dims, "NAME=N", "the size of a dimension"}},
        {EVAL,
         {"--rounded-tables", NULL, OPTION_FLAG, &d->rounded_tables, NULL,
          "round table entries as the machine does; otherwise tables are ideal"}},
        {EVAL,
         {"--table-noise", NULL, OPTION_FLAG, &d->table_noise, NULL,
          "print the error that rounding i8 tables adds to each product of an input, relative to "
          "the product"}},
        {ESTIMATE | EXPLORE,
         {"--batch", NULL, OPTION_INTEGER, &d->estimate.batch, "N",
          "sequences at a time (default 1)", 1, INT32_MAX}},
        {ESTIMATE | EXPLORE,
         {"--prefill", NULL, OPTION_INTEGER, &d->estimate.prefill, "N",
          "a prompt of N tokens for each", 1, INT32_MAX}},
        {ESTIMATE | EXPLORE,
         {"--decode", NULL, OPTION_INTEGER, &d->estimate.decode, "N",
          "a token for each, behind N others", 1, INT32_MAX}},
        {ESTIMATE | EXPLORE,
         {"--position", NULL, OPTION_INTEGER, &d->estimate.position, "N",
          "tokens that are there already, for --prefill", 1, INT32_MAX}},
        {ESTIMATE | EXPLORE,
         {"--compute", NULL, OPTION_FRACTION, &d->estimate.compute, "X",
          "the fraction of their peak that LUT and matrix units reach at best"}},
        {ESTIMATE | EXPLORE,
         {"--memory", NULL, OPTION_FRACTION, &d->estimate.memory, "X",
          "the fraction of its peak bandwidth that memory reaches at best"}},
        {ESTIMATE | EXPLORE,
         {"--precompute", NULL, OPTION_STRING, &d->estimate.precompute, "HOW",
          "tables fused (default), unfused, none (for free) or repeated for every product"}},
        {ESTIMATE,
         {"--json", NULL, OPTION_STRING, &d->estimate.json, "FILE",
          "write the estimate as JSON; - is stdout"}},
        {EXPLORE,
         {"--budget", NULL, OPTION_INTEGER, &d->explore.budget, "N",
          "weights of a plane that a unit does in a cycle, rows x columns x width (default 512)", 1,
          1 << 20}},
        {EXPLORE,
         {"--rows", NULL, OPTION_STRING, &d->explore.rows, "LIST",
          "rows of units, 1 to 64 (default 1,2,4,8)"}},
        {EXPLORE,
         {"--widths", NULL, OPTION_STRING, &d->explore.widths, "LIST",
          "weights that a lookup stands for, 2 to 8 (default 2,3,4,5,6)"}},
        {EXPLORE,
         {"--units", NULL, OPTION_STRING, &d->explore.units, "LIST",
          "units of a hart (default: as the machine)"}},
        {EXPLORE,
         {"--tiles", NULL, OPTION_STRING, &d->explore.tiles, "LIST",
          "tile shapes (default m1n64,m2n64,m2n128,m4n128,m4n256)"}},
        {EXPLORE,
         {"--bandwidths", NULL, OPTION_STRING, &d->explore.bandwidths, "LIST",
          "of memory, 12.8GB/s,25.6GB/s for example (default: as the machine)"}},
        {EXPLORE,
         {"--area", NULL, OPTION_STRING, &d->explore.area, "MM2",
          "leave out machines that are larger"}},
        {EXPLORE,
         {"--limit", NULL, OPTION_INTEGER, &d->explore.limit, "N",
          "stop after N more machines, before files are written; the same command goes on", 1,
          INT32_MAX}},
        {EXPLORE,
         {"--csv", NULL, OPTION_STRING, &d->explore.csv, "FILE",
          "where the rows go (default: named after the program); FILE.journal has them meanwhile"}},
        {EXPLORE,
         {"--html", NULL, OPTION_STRING, &d->explore.html, "FILE",
          "where the page with the fronts goes (default: named after the program)"}},
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
