#include "support/standard_options.h"

#include "support/diagnostic.h"

#include <stdio.h>
#include <string.h>

void standard_option_rows(standard_options *s, option_row rows[STANDARD_OPTIONS])
{
    const option_row table[STANDARD_OPTIONS] = {
        {"--color", NULL, OPTION_STRING, &s->color, "WHEN",
         "of messages: auto (default: on terminals, unless NO_COLOR is set), always or never"},
        {"--help", "-h", OPTION_FLAG, &s->help, NULL, "this text"},
        {"--version", "-v", OPTION_FLAG, &s->version, NULL, "the version, and what is in it"}};
    memcpy(rows, table, sizeof table);
}

static bool apply_color(const char *tool, const char *when)
{
    static const char *const words[] = {
        [DIAGNOSTIC_COLOR_AUTO] = "auto",
        [DIAGNOSTIC_COLOR_ALWAYS] = "always",
        [DIAGNOSTIC_COLOR_NEVER] = "never",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!when || !strcmp(when, words[i])) {
            diagnostics_color((diagnostic_color)i);
            return true;
        }
    fprintf(stderr, "%s: error: --color is auto, always or never, not '%s'\n", tool, when);
    return false;
}

bool standard_options_end(const char *tool, const standard_options *s, const char *more, int *code)
{
    if (!apply_color(tool, s->color)) {
        *code = EXIT_USAGE;
        return true;
    }
    if (!s->version)
        return false;
    printf("%s %s\n%s", tool, LUTRA_VERSION, more);
    *code = EXIT_OK;
    return true;
}
