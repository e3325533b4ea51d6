// lutdump: disassembly of RISC-V programs with Xlut mnemonics, symbols and source lines.
#include "isa/dump/dump.h"

#include "support/file.h"
#include "support/standard_options.h"
#include "support/streams.h"

#include <stdio.h>

typedef struct settings {
    bool notes, no_source;
    standard_options standard;
    option_values functions;
} settings;

static bool dump(diagnostics *d, arena *a, const settings *s, const char *path)
{
    mapped_file file;
    if (!file_map(d, path, &file))
        return false;
    dump_file f = {.arena = a, .diagnostics = d, .out = stdout};
    bool good = dump_open(&f, path, file.data, file.size);
    if (good)
        good = s->notes
                   ? dump_notes(&f)
                   : dump_disassembly(&f, s->functions.items, s->functions.count, !s->no_source);
    dump_close(&f);
    file_unmap(&file);
    return good;
}

static bool run(const settings *s, arena *a, const char *path)
{
    diagnostics *d = diagnostics_create(stderr);
    bool good = dump(d, a, s, path);
    diagnostics_destroy(d);
    return good;
}

int main(int argc, char **argv)
{
    streams_hold();
    settings s = {0};
    option_row rows[] = {
        {"--function", "-f", OPTION_LIST, &s.functions, "NAME",
         "only this function; may be repeated"},
        {"--notes", "-n", OPTION_FLAG, &s.notes, NULL,
         "the program's description instead, as JSON"},
        {"--no-source", NULL, OPTION_FLAG, &s.no_source, NULL, "no source lines in between"},
        FOREIGN_OPTION("-d", "--disassemble", "programs are, unless --notes is given"),
        FOREIGN_OPTION("-S", "--source", "lines are shown, unless --no-source is given"),
        FOREIGN_OPTION("-t", "--syms", "llvm-nm shows symbols"),
        [6 + STANDARD_OPTIONS] = {0},
    };
    standard_option_rows(&s.standard, rows + 6);
    options_result parsed;
    arena *a = arena_create();
    int code = EXIT_USAGE;
    if (!options_parse("lutdump", rows, argc, argv, false, a, &parsed)) {
        // reported
    } else if (standard_options_end("lutdump", &s.standard, "", &code)) {
        // done
    } else if (s.standard.help) {
        options_help("lutdump", "[options] FILE|-", rows);
        code = EXIT_OK;
    } else if (parsed.positional.count != 1) {
        fputs("lutdump: error: expected one file; see lutdump --help\n", stderr);
    } else {
        code = run(&s, a, parsed.positional.items[0]) ? EXIT_OK : EXIT_USER_ERROR;
    }
    arena_destroy(a);
    return streams_end("lutdump", code);
}
