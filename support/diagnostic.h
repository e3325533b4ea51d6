// Errors, warnings, notes and remarks: collected, shown with the line and a caret.
//
//   ffn.lut:14:38: error: what was expected, what was found
//      14 |     return linear(x, down);
//         |            ^~~~~~~~~~~~~~~
//   note: what to do (ffn.lut:6:5)
//
// User errors are reported together: code goes on after an error as far as it
// can and asks diagnostic_errors() before it uses the result.
#pragma once

#include "support/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// A text that locations point into. Owned by the diagnostics that registered it.
typedef struct source {
    const char *name; // as the user wrote it
    const char *text; // may be NULL: locations are then shown without the line
    size_t length;
} source;

// Lines and columns count from 1 (columns in bytes); line 0: the file as a
// whole; source NULL: nowhere. `length` is what the caret underlines (>= 1).
typedef struct location {
    const source *source;
    uint32_t line, column, length;
} location;

typedef enum severity {
    SEVERITY_REMARK,
    SEVERITY_NOTE, // belongs to the message before it
    SEVERITY_WARNING,
    SEVERITY_ERROR,
} severity;

typedef struct diagnostics diagnostics;

// Of all messages of the process: on terminals, unless the environment has NO_COLOR, or as told.
typedef enum diagnostic_color {
    DIAGNOSTIC_COLOR_AUTO,
    DIAGNOSTIC_COLOR_ALWAYS,
    DIAGNOSTIC_COLOR_NEVER,
} diagnostic_color;
void diagnostics_color(diagnostic_color when);

// Messages are written to `stream` (normally stderr) by diagnostics_flush, in
// the order of their report, coloured when the stream is a terminal and
// NO_COLOR is unset.
diagnostics *diagnostics_create(FILE *stream);
void diagnostics_destroy(diagnostics *d); // flushes first; NULL is fine

// Copies name and text. The returned source lives as long as `d`.
const source *diagnostics_source(diagnostics *d, const char *name, const char *text, size_t length);

void diagnostic_report(diagnostics *d, severity s, location where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void diagnostic_vreport(diagnostics *d, severity s, location where, const char *format,
                        va_list args);
#define diagnostic_error(d, where, ...) diagnostic_report((d), SEVERITY_ERROR, (where), __VA_ARGS__)
#define diagnostic_warning(d, where, ...)                                                          \
    diagnostic_report((d), SEVERITY_WARNING, (where), __VA_ARGS__)
#define diagnostic_note(d, where, ...) diagnostic_report((d), SEVERITY_NOTE, (where), __VA_ARGS__)
#define NOWHERE ((location){0})

// After 50 errors further ones are counted, not kept.
size_t diagnostics_errors(const diagnostics *d);
void diagnostics_flush(diagnostics *d);
// Drops messages not yet flushed (used by tests and by trial parses).
void diagnostics_clear(diagnostics *d);

// One problem in our own code: message, then exit code 3. Never for bad input.
_Noreturn void internal_error(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Called once by internal_error, after the message: to leave a reproducer. NULL: none.
void internal_error_hook(void (*hook)(void));
#define INTERNAL_ERROR(...) internal_error(__FILE__, __LINE__, __VA_ARGS__)
#define UNREACHABLE() INTERNAL_ERROR("reached a place that must not be reached")

enum { EXIT_OK = 0, EXIT_USER_ERROR = 1, EXIT_USAGE = 2, EXIT_BUG = 3 };
