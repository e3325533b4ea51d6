// Command-line options as a table: one row per option drives parsing, --help and
// did-you-mean. Long options take "--name=value" or "--name value"; short ones
// "-o value", "-ovalue" or "-o=value".
#pragma once

#include "support/arena.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum option_kind {
    OPTION_FLAG,     // bool *
    OPTION_STRING,   // const char **
    OPTION_INTEGER,  // long long *, within [minimum, maximum]
    OPTION_NUMBER,   // double *
    OPTION_FRACTION, // double *, within [0.001, 1]
    OPTION_LIST,     // option_values *, may be repeated
    OPTION_OPTIONAL, // const char **: "--name" stores "", "--name=value" the value
    OPTION_FOREIGN,  // no target: what other tools call something; `help` says what it is here
} option_kind;

typedef struct option_values {
    const char **items;
    size_t count, capacity;
} option_values;

typedef struct option_row {
    const char *name;  // "--output" (NULL ends the table)
    const char *alias; // "-o" or NULL
    option_kind kind;
    void *target;
    const char *argument;       // "FILE", shown in help; NULL for flags
    const char *help;           // one sentence, lower case, no full stop
    long long minimum, maximum; // OPTION_INTEGER only
} option_row;

// A row of OPTION_FOREIGN: the names that other tools have, the second one or NULL.
#define FOREIGN_OPTION(name, alias, help) {name, alias, OPTION_FOREIGN, NULL, NULL, help, 0, 0}

typedef struct options_result {
    option_values positional;
    int first_unparsed; // index into argv where parsing stopped
} options_result;

// Parses argv[1..]. "--" ends the options. With `stop_at_positional`, parsing
// ends behind the first positional argument (what follows belongs to a guest).
// On bad usage prints "tool: error: ..." with a suggestion to stderr and
// returns false: the caller exits with EXIT_USAGE. Strings point into argv.
bool options_parse(const char *tool, const option_row *rows, int argc, char **argv,
                   bool stop_at_positional, arena *a, options_result *result);

// "usage: TOOL SYNOPSIS", then a line per option, to stdout.
void options_help(const char *tool, const char *synopsis, const option_row *rows);
