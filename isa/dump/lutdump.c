// lutdump: disassembly of RISC-V programs with Xlut mnemonics, symbols and source lines.
#include "isa/dump/dump.h"

#include "support/file.h"
#include "support/options.h"

#include <stdio.h>

typedef struct settings {
    bool notes, no_source, help;
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

int main(int argc, char **argv)
{
    settings s = {0};
    const option_row rows[] = {
        {"--function", "-f", OPTION_LIST, &s.functions, "NAME",
         "only this function; may be repeated"},
        {"--notes", "-n", OPTION_FLAG, &s.notes, NULL,
         "the program's description instead, as JSON"},
        {"--no-source", NULL, OPTION_FLAG, &s.no_source, NULL, "no source lines in between"},
        {"--help", "-h", OPTION_FLAG, &s.help, NULL, "show this help"},
        {0},
    };
    options_result parsed;
    arena *a = arena_create();
    bool usable = options_parse("lutdump", rows, argc, argv, false, a, &parsed);
    if (usable && s.help) {
        options_help("lutdump", "[options] FILE", rows);
        arena_destroy(a);
        return EXIT_OK;
    }
    if (usable && parsed.positional.count != 1) {
        fputs("lutdump: error: expected one file; see lutdump --help\n", stderr);
        usable = false;
    }
    bool good = false;
    if (usable) {
        diagnostics *d = diagnostics_create(stderr);
        good = dump(d, a, &s, parsed.positional.items[0]);
        if (fflush(stdout) || ferror(stdout)) {
            diagnostic_error(d, NOWHERE, "the output cannot be written");
            good = false;
        }
        diagnostics_destroy(d);
    }
    arena_destroy(a);
    return !usable ? EXIT_USAGE : good ? EXIT_OK : EXIT_USER_ERROR;
}
