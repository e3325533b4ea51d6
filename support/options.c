#include "support/options.h"

#include "support/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 28, MOST_ROWS = 128 };

static bool usage_error(const char *tool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool usage_error(const char *tool, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: error: ", tool);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry '%s --help'.\n", tool);
    return false;
}

static bool unknown_option(const char *tool, const option_row *rows, const char *argument)
{
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument, "="), argument);
    const char *names[2 * MOST_ROWS];
    size_t count = 0;
    for (; rows->name && count + 1 < 2 * MOST_ROWS; rows++) {
        if (rows->kind == OPTION_FOREIGN)
            continue;
        names[count++] = rows->name;
        if (rows->alias)
            names[count++] = rows->alias;
    }
    const char *nearest = text_nearest(name, names, count);
    if (nearest)
        return usage_error(tool, "unknown option '%s'; did you mean '%s'?", name, nearest);
    return usage_error(tool, "unknown option '%s'", name);
}

static bool is_named(const char *name, const char *argument, size_t length)
{
    return name && strlen(name) == length && strncmp(name, argument, length) == 0;
}

// The row that `argument` names; *value is what is attached to it, or NULL.
static const option_row *find_row(const option_row *rows, const char *argument, const char **value)
{
    const char *equals = strchr(argument, '=');
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    *value = NULL;
    for (const option_row *r = rows; r->name; r++) {
        if (is_named(r->name, argument, length) || is_named(r->alias, argument, length)) {
            *value = equals ? equals + 1 : NULL;
            return r;
        }
    }
    if (argument[1] == '-')
        return NULL;
    for (const option_row *r = rows; r->name; r++) {
        if (r->alias && r->kind != OPTION_FLAG && text_starts_with(argument, r->alias)) {
            *value = argument + strlen(r->alias);
            return r;
        }
    }
    return NULL;
}

static bool store_fraction(const char *tool, const option_row *row, const char *value)
{
    double *target = row->target;
    if (text_to_double(value, target) && *target >= 0.001 && *target <= 1)
        return true;
    return usage_error(tool, "option '%s' needs a number from 0.001 to 1, not '%s'", row->name,
                       value);
}

static bool store_integer(const char *tool, const option_row *row, const char *value)
{
    long long number;
    if (!text_to_int64(value, &number))
        return usage_error(tool, "option '%s' needs an integer, not '%s'", row->name, value);
    if (number < row->minimum || number > row->maximum)
        return usage_error(tool, "option '%s' must be within %lld..%lld, not %lld", row->name,
                           row->minimum, row->maximum, number);
    *(long long *)row->target = number;
    return true;
}

static bool store_value(const char *tool, const option_row *row, const char *value, arena *a)
{
    switch (row->kind) {
    case OPTION_FLAG: *(bool *)row->target = true; return true;
    case OPTION_STRING:
    case OPTION_OPTIONAL: *(const char **)row->target = value ? value : ""; return true;
    case OPTION_INTEGER: return store_integer(tool, row, value);
    case OPTION_NUMBER:
        if (!text_to_double(value, row->target))
            return usage_error(tool, "option '%s' needs a number, not '%s'", row->name, value);
        return true;
    case OPTION_FRACTION: return store_fraction(tool, row, value);
    case OPTION_LIST: ARRAY_PUSH(a, (option_values *)row->target, value); return true;
    case OPTION_FOREIGN: break;
    }
    return false;
}

// One option at argv[*at]; moves *at over a value of its own word.
static bool parse_option(const char *tool, const option_row *rows, int argc, char **argv, int *at,
                         arena *a)
{
    const char *value;
    const option_row *row = find_row(rows, argv[*at], &value);
    if (!row)
        return unknown_option(tool, rows, argv[*at]);
    if (row->kind == OPTION_FOREIGN)
        return usage_error(tool, "unknown option '%s': %s", argv[*at], row->help);
    if (row->kind == OPTION_FLAG && value)
        return usage_error(tool, "option '%s' takes no value", row->name);
    if (!value && row->kind != OPTION_FLAG && row->kind != OPTION_OPTIONAL) {
        if (*at + 1 >= argc)
            return usage_error(tool, "option '%s' needs a value: %s %s", argv[*at], row->name,
                               row->argument ? row->argument : "VALUE");
        value = argv[++*at];
    }
    return store_value(tool, row, value, a);
}

bool options_parse(const char *tool, const option_row *rows, int argc, char **argv,
                   bool stop_at_positional, arena *a, options_result *result)
{
    bool options = true;
    int i;
    *result = (options_result){0};
    for (i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            if (!parse_option(tool, rows, argc, argv, &i, a))
                return false;
        } else {
            ARRAY_PUSH(a, &result->positional, argv[i]);
            if (stop_at_positional) {
                i++;
                break;
            }
        }
    }
    result->first_unparsed = i < argc ? i : argc;
    return true;
}

void options_help(const char *tool, const char *synopsis, const option_row *rows)
{
    text left = {0};
    printf("usage: %s %s\n", tool, synopsis);
    if (rows->name)
        printf("\noptions:\n");
    for (; rows->name; rows++) {
        if (rows->kind == OPTION_FOREIGN)
            continue;
        text_clear(&left);
        text_printf(&left, "  %s%s%s", rows->alias ? rows->alias : "", rows->alias ? ", " : "",
                    rows->name);
        if (rows->argument && rows->kind == OPTION_OPTIONAL)
            text_printf(&left, "[=%s]", rows->argument);
        else if (rows->argument)
            text_printf(&left, " %s", rows->argument);
        if (left.length >= HELP_COLUMN)
            text_printf(&left, "\n%*s", HELP_COLUMN, "");
        printf("%-*s%s\n", HELP_COLUMN, text_string(&left), rows->help);
    }
    text_free(&left);
}
