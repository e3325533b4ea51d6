// The options that every tool has: --color, --help, --version.
#pragma once

#include "support/options.h"

typedef struct standard_options {
    bool help, version;
    const char *color;
} standard_options;

enum { STANDARD_OPTIONS = 3 };
// They stand at the end of a tool's table.
void standard_option_rows(standard_options *s, option_row rows[STANDARD_OPTIONS]);
// Behind options_parse: applies --color, and answers --version, "TOOL 1.2.3" and then `more`, lines
// about what the tool was built with (may be ""). True: there is nothing else to do but to return
// *code; what is wrong was said. --help is up to the tool.
bool standard_options_end(const char *tool, const standard_options *s, const char *more, int *code);
