// A growable, always NUL-terminated text on the heap, and helpers over names.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct text {
    char *data; // NULL until the first append; then NUL-terminated
    size_t length, capacity;
} text;

void text_append(text *t, const char *s);
void text_append_n(text *t, const char *s, size_t n);
void text_char(text *t, char c);
void text_printf(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(text *t, const char *format, va_list args);
const char *text_string(const text *t); // "" when empty
void text_clear(text *t);               // keeps the memory
void text_free(text *t);

// The shortest decimal that reads back as the same double, always with '.' or
// 'e' (so that it reads as a float), or inf, -inf, nan.
void text_double(text *t, double value);
// "..." with \n \t \" \\ and \xNN escapes; the IR and JSON-like dumps use it.
void text_quoted(text *t, const char *s, size_t n);

// A blank for each control character but line ends, which would move the terminal.
void text_print_visible(FILE *stream, const char *s, size_t n);

// Of names of entries, values and machines, in bytes.
enum { TEXT_LONGEST_NAME = 1024 };

// The candidate nearest to `name` by edit distance, or NULL when none is near
// enough to be a plausible typing mistake (did-you-mean).
const char *text_nearest(const char *name, const char *const *candidates, size_t count);

bool text_starts_with(const char *s, const char *prefix);
bool text_ends_with(const char *s, const char *suffix);

// Whole-string numbers with range check; false leaves *out alone.
bool text_to_int64(const char *s, long long *out); // decimal or 0x, optional '-'
bool text_to_double(const char *s, double *out);
