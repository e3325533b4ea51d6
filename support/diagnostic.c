#include "support/diagnostic.h"

#include "support/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ERRORS = 50, SHOWN_COLUMNS = 160, MOST_SHOWN = 1 << 14 };

typedef struct message {
    severity severity;
    location where;
    const char *text;
} message;

struct diagnostics {
    FILE *stream;
    arena *sources;
    arena *messages; // emptied by every flush
    ARRAY_OF(message) pending;
    size_t errors, pending_errors;
    bool dropping; // the last error was over the limit: its notes go as well
    bool terminal;
};

static const struct {
    const char *name, *colour;
} severities[] = {
    [SEVERITY_REMARK] = {"remark", "\033[1;34m"},
    [SEVERITY_NOTE] = {"note", "\033[1;36m"},
    [SEVERITY_WARNING] = {"warning", "\033[1;35m"},
    [SEVERITY_ERROR] = {"error", "\033[1;31m"},
};

static diagnostic_color color = DIAGNOSTIC_COLOR_AUTO;

void diagnostics_color(diagnostic_color when)
{
    color = when;
}

static bool is_coloured(const diagnostics *d)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (color != DIAGNOSTIC_COLOR_AUTO)
        return color == DIAGNOSTIC_COLOR_ALWAYS;
    return d->terminal && !(no && *no) && !(terminal && !strcmp(terminal, "dumb"));
}

diagnostics *diagnostics_create(FILE *stream)
{
    diagnostics *d = calloc(1, sizeof *d);
    if (!d)
        INTERNAL_ERROR("out of memory");
    d->stream = stream;
    d->sources = arena_create();
    d->messages = arena_create();
    d->terminal = isatty(fileno(stream));
    return d;
}

void diagnostics_destroy(diagnostics *d)
{
    if (!d)
        return;
    diagnostics_flush(d);
    arena_destroy(d->sources);
    arena_destroy(d->messages);
    free(d);
}

const source *diagnostics_source(diagnostics *d, const char *name, const char *content,
                                 size_t length)
{
    source *s = ARENA_NEW(d->sources, source);
    s->name = arena_string(d->sources, name, strlen(name));
    s->text = content ? arena_string(d->sources, content, length) : NULL;
    s->length = content ? length : 0;
    return s;
}

static bool over_limit(diagnostics *d, severity s)
{
    if (s == SEVERITY_NOTE)
        return d->dropping;
    d->dropping = false;
    if (s == SEVERITY_ERROR) {
        d->errors++;
        d->pending_errors++;
        d->dropping = d->errors > MOST_ERRORS;
    }
    return d->dropping;
}

void diagnostic_vreport(diagnostics *d, severity s, location where, const char *format,
                        va_list args)
{
    if (over_limit(d, s))
        return;
    char *formatted = NULL;
    if (vasprintf(&formatted, format, args) < 0)
        INTERNAL_ERROR("bad format '%s'", format);
    const char *kept = arena_string(d->messages, formatted, strlen(formatted));
    free(formatted);
    ARRAY_PUSH(d->messages, &d->pending, (message){s, where, kept});
}

void diagnostic_report(diagnostics *d, severity s, location where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(d, s, where, format, args);
    va_end(args);
}

size_t diagnostics_errors(const diagnostics *d)
{
    return d->errors;
}

static void forget_messages(diagnostics *d)
{
    arena_restore(d->messages, (arena_mark){0});
    d->pending.items = NULL;
    d->pending.count = d->pending.capacity = 0;
    d->pending_errors = 0;
    d->dropping = false;
}

void diagnostics_clear(diagnostics *d)
{
    d->errors -= d->pending_errors;
    forget_messages(d);
}

// ------------------------------------------------------------------ showing

// A name in a message may be as long as a file.
static void print_visible(const diagnostics *d, const char *s)
{
    size_t length = strlen(s);
    text_print_visible(d->stream, s, length < MOST_SHOWN ? length : MOST_SHOWN);
    if (length > MOST_SHOWN)
        fputs("...", d->stream);
}

static void print_place(const diagnostics *d, location w)
{
    print_visible(d, *w.source->name ? w.source->name : "''");
    if (w.line)
        fprintf(d->stream, ":%u:%u", w.line, w.column);
}

// The text of a line without its end; an empty one when there is no such line.
static const char *line_text(const source *s, uint32_t line, size_t *length)
{
    const char *p = s->text, *end = s->text + s->length;
    for (uint32_t i = 1; i < line && p; i++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    if (!p) {
        *length = 0;
        return "";
    }
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    *length = (size_t)((newline ? newline : end) - p);
    if (*length && p[*length - 1] == '\r')
        --*length;
    return p;
}

// Columns count bytes, terminals characters: bytes that continue one take no place.
static size_t visible_width(const char *s, size_t n)
{
    size_t width = 0;
    for (size_t i = 0; i < n; i++)
        width += ((unsigned char)s[i] & 0xc0) != 0x80;
    return width;
}

// The line, then the caret. Of a very long line only the part around the caret.
static void print_excerpt(const diagnostics *d, location w)
{
    size_t length, from = 0, column = w.column ? w.column - 1 : 0;
    const char *line = line_text(w.source, w.line, &length);
    if (column > length)
        column = length;
    if (column > SHOWN_COLUMNS * 3 / 4)
        from = column - SHOWN_COLUMNS / 2;
    size_t shown = length - from < SHOWN_COLUMNS ? length - from : SHOWN_COLUMNS;
    fprintf(d->stream, "%5u | ", w.line);
    text_print_visible(d->stream, line + from, shown);
    size_t lead = visible_width(line + from, column - from);
    fprintf(d->stream, "\n      | %*s", (int)lead, "");
    size_t rest = from + shown - column, under = w.length ? w.length : 1;
    size_t marks =
        under < rest ? visible_width(line + column, under) : visible_width(line + column, rest);
    const bool coloured = is_coloured(d);
    if (coloured)
        fputs("\033[1;32m", d->stream);
    fputc('^', d->stream);
    for (size_t i = 1; i < marks; i++)
        fputc('~', d->stream);
    fputs(coloured ? "\033[0m\n" : "\n", d->stream);
}

static void print_severity(const diagnostics *d, severity s)
{
    if (is_coloured(d))
        fprintf(d->stream, "%s%s:\033[0m ", severities[s].colour, severities[s].name);
    else
        fprintf(d->stream, "%s: ", severities[s].name);
}

static void print_message(const diagnostics *d, const message *m)
{
    if (m->severity == SEVERITY_NOTE) {
        fputs("   ", d->stream);
        print_severity(d, m->severity);
        print_visible(d, m->text);
        if (m->where.source) {
            fputs(" (", d->stream);
            print_place(d, m->where);
            fputc(')', d->stream);
        }
        fputc('\n', d->stream);
        return;
    }
    if (m->where.source) {
        print_place(d, m->where);
        fputs(": ", d->stream);
    }
    print_severity(d, m->severity);
    print_visible(d, m->text);
    fputc('\n', d->stream);
    if (m->where.source && m->where.source->text && m->where.line)
        print_excerpt(d, m->where);
}

void diagnostics_flush(diagnostics *d)
{
    for (size_t i = 0; i < d->pending.count; i++)
        print_message(d, &d->pending.items[i]);
    size_t dropped = d->errors > MOST_ERRORS ? d->errors - MOST_ERRORS : 0;
    if (dropped > d->pending_errors)
        dropped = d->pending_errors;
    if (dropped)
        fprintf(d->stream, "%zu more error%s not shown\n", dropped, dropped == 1 ? "" : "s");
    fflush(d->stream);
    forget_messages(d);
}

static void (*on_internal_error)(void);

void internal_error_hook(void (*hook)(void))
{
    on_internal_error = hook;
}

void internal_error(const char *file, int line, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "internal error: %s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\nThis is a bug in Lutra, not in your input. Please report it with the input.\n",
          stderr);
    void (*hook)(void) = on_internal_error;
    on_internal_error = NULL; // the hook may fail as well
    if (hook)
        hook();
    exit(EXIT_BUG);
}
