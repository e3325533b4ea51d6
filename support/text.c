#include "support/text.h"

#include "support/diagnostic.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void reserve(text *t, size_t more)
{
    size_t needed = t->length + more + 1;
    if (needed <= t->capacity)
        return;
    size_t larger = t->capacity ? 2 * t->capacity : 64;
    if (larger < needed)
        larger = needed;
    char *p = realloc(t->data, larger);
    if (!p) {
        fprintf(stderr, "error: out of memory (%zu bytes of text)\n", larger);
        exit(EXIT_BUG);
    }
    t->data = p;
    t->capacity = larger;
}

void text_append_n(text *t, const char *s, size_t n)
{
    reserve(t, n);
    if (n)
        memcpy(t->data + t->length, s, n);
    t->length += n;
    t->data[t->length] = '\0';
}

void text_append(text *t, const char *s)
{
    text_append_n(t, s, strlen(s));
}

void text_char(text *t, char c)
{
    text_append_n(t, &c, 1);
}

void text_vprintf(text *t, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0)
        INTERNAL_ERROR("bad format '%s'", format);
    reserve(t, (size_t)n);
    vsnprintf(t->data + t->length, (size_t)n + 1, format, again);
    t->length += (size_t)n;
    va_end(again);
}

void text_printf(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(t, format, args);
    va_end(args);
}

const char *text_string(const text *t)
{
    return t->data ? t->data : "";
}

void text_clear(text *t)
{
    t->length = 0;
    if (t->data)
        t->data[0] = '\0';
}

void text_free(text *t)
{
    free(t->data);
    *t = (text){0};
}

void text_double(text *t, double value)
{
    if (isnan(value) || isinf(value)) {
        text_append(t, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    char digits[40];
    if (value == rint(value) && fabs(value) < 1e15) { // 100.0, not 1e+02
        text_printf(t, "%.1f", value);
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_append(t, digits);
    if (!strpbrk(digits, ".e"))
        text_append(t, ".0");
}

void text_quoted(text *t, const char *s, size_t n)
{
    static const char escaped[] = "\n\t\"\\", letters[] = "nt\"\\";
    text_char(t, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *e = c ? strchr(escaped, c) : NULL;
        if (e)
            text_printf(t, "\\%c", letters[e - escaped]);
        else if (c < 0x20 || c == 0x7f)
            text_printf(t, "\\x%02x", c);
        else
            text_char(t, (char)c);
    }
    text_char(t, '"');
}

void text_print_visible(FILE *stream, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool moves = ((unsigned char)s[i] < 0x20 && s[i] != '\n') || s[i] == 0x7f;
        fputc(moves ? ' ' : s[i], stream);
    }
}

// ------------------------------------------------------------------ did-you-mean

enum { LONGEST_NAME = 64 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

// Insertions, deletions, replacements and swaps of neighbours; case is ignored.
static unsigned edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned d[LONGEST_NAME + 1][LONGEST_NAME + 1];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            int p = tolower((unsigned char)a[i - 1]), q = tolower((unsigned char)b[j - 1]);
            unsigned best = d[i - 1][j - 1] + (p != q);
            best = least(best, least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && p == tolower((unsigned char)b[j - 2]) &&
                q == tolower((unsigned char)a[i - 2]))
                best = least(best, d[i - 2][j - 2] + 1);
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *text_nearest(const char *name, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t n = strlen(name);
    unsigned best = UINT32_MAX;
    if (n > LONGEST_NAME)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t m = strlen(candidates[i]);
        if (m > LONGEST_NAME)
            continue;
        unsigned distance = edit_distance(name, n, candidates[i], m);
        size_t longer = n > m ? n : m;
        if (distance * 3 <= longer && distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

// ------------------------------------------------------------------ small helpers

bool text_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

// strtoll and strtod skip white space and take a '+', which no number of ours has.
static bool looks_like_number(const char *s)
{
    return *s && !isspace((unsigned char)*s) && *s != '+';
}

bool text_to_int64(const char *s, long long *out)
{
    const char *digits = s + (*s == '-');
    bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    char *end;
    if (!isdigit((unsigned char)*digits))
        return false;
    errno = 0;
    long long value = strtoll(s, &end, hexadecimal ? 16 : 10);
    if (errno || *end || end[-1] == 'x' || end[-1] == 'X')
        return false;
    *out = value;
    return true;
}

bool text_to_double(const char *s, double *out)
{
    char *end;
    if (!looks_like_number(s))
        return false;
    errno = 0;
    double value = strtod(s, &end);
    if (*end || end == s || (errno == ERANGE && isinf(value)))
        return false;
    *out = value;
    return true;
}
