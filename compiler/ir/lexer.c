#include "compiler/ir/lexer.h"
#include "support/reader.h"

#include <string.h>

lexer lexer_create(arena *a, const source *s)
{
    return (lexer){.arena = a, .text = s, .line = 1, .first = true};
}

static char peek(const lexer *l, size_t ahead)
{
    size_t at = l->at + ahead;
    return at < l->text->length ? l->text->text[at] : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(char c)
{
    return is_letter(c) || is_digit(c) || c == '.';
}

static void skip_line(lexer *l)
{
    while (l->at < l->text->length && l->text->text[l->at] != '\n')
        l->at++;
}

static void skip_space(lexer *l)
{
    while (l->at < l->text->length) {
        char c = l->text->text[l->at];
        if (c == ';') {
            skip_line(l);
        } else if (c == '\n') {
            l->line_start = ++l->at;
            l->line++;
            l->first = true;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            l->at++;
        } else {
            return;
        }
    }
}

static void bad(token *t, const char *why)
{
    if (t->kind != TOKEN_BAD)
        t->value = why;
    t->kind = TOKEN_BAD;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The character that the escape at l->at (behind the backslash) means; 0 for none.
static char escape(lexer *l)
{
    char c = peek(l, 0);
    l->at++;
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case '"':
    case '\\': return c;
    case 'x': {
        int high = hex_digit(peek(l, 0)), low = high < 0 ? -1 : hex_digit(peek(l, 1));
        l->at += low < 0 ? 0 : 2;
        return low < 0 ? 0 : (char)(16 * high + low);
    }
    default: return 0;
    }
}

// Bytes up to the closing quote of the text that starts at l->at; escapes count as written.
static size_t text_extent(const lexer *l)
{
    size_t n = 0;
    for (; peek(l, n) && peek(l, n) != '\n' && peek(l, n) != '"'; n++)
        n += peek(l, n) == '\\' && peek(l, n + 1) && peek(l, n + 1) != '\n';
    return n;
}

static void lex_text(lexer *l, token *t)
{
    t->kind = TOKEN_TEXT;
    l->at++;
    size_t end = l->at + text_extent(l), n = 0;
    char *value = arena_alloc(l->arena, end - l->at + 1);
    while (l->at < end) {
        char c = peek(l, 0);
        l->at++;
        if (c == '\\' && !(c = escape(l)))
            bad(t, "a text with an unknown escape; known are \\n \\t \\\" \\\\ \\xNN (not 00)");
        value[n++] = c;
    }
    if (peek(l, 0) == '"')
        l->at++;
    else
        bad(t, "a text without its closing quote");
    if (!utf8_valid(value, n))
        bad(t, "a text that is not UTF-8");
    if (t->kind == TOKEN_TEXT)
        t->value = arena_intern_n(l->arena, value, n);
}

static void lex_number(lexer *l, token *t)
{
    t->kind = TOKEN_NUMBER;
    l->at += peek(l, 0) == '-';
    bool hexadecimal = peek(l, 0) == '0' && peek(l, 1) == 'x';
    for (l->at += hexadecimal ? 2 : 0; hexadecimal && hex_digit(peek(l, 0)) >= 0;)
        l->at++;
    while (is_digit(peek(l, 0)))
        l->at++;
    if (peek(l, 0) == '.' && peek(l, 1) != '.')
        for (l->at++; is_digit(peek(l, 0));)
            l->at++;
    size_t sign = peek(l, 1) == '-' || peek(l, 1) == '+';
    if (peek(l, 0) == 'e' && is_digit(peek(l, 1 + sign)))
        for (l->at += 1 + sign; is_digit(peek(l, 0));)
            l->at++;
    if (is_letter(peek(l, 0)))
        bad(t, "a number that a letter follows");
}

static void lex_name(lexer *l, token *t)
{
    t->kind = peek(l, 0) == '%' ? TOKEN_VALUE : TOKEN_GLOBAL;
    l->at++;
    if (t->kind == TOKEN_GLOBAL && peek(l, 0) == '"') {
        lex_text(l, t);
        t->kind = t->kind == TOKEN_TEXT ? TOKEN_GLOBAL : t->kind;
        return;
    }
    size_t start = l->at;
    bool number = is_digit(peek(l, 0)), digits = true;
    for (; is_name(peek(l, 0)); l->at++)
        digits &= is_digit(peek(l, 0));
    t->value = arena_intern_n(l->arena, l->text->text + start, l->at - start);
    if (l->at == start)
        bad(t, "a sign without a name");
    else if (number && !digits)
        bad(t, "a name that starts with a digit");
    else if (l->text->text[start] == '.')
        bad(t, "a name that starts with '.'");
}

static void lex_location(lexer *l, token *t)
{
    t->kind = TOKEN_LOCATION;
    l->at += 2;
    l->at += peek(l, 0) == ' ';
    size_t start = l->at, end;
    skip_line(l);
    for (end = l->at; end > start && strchr(" \t\r", l->text->text[end - 1]);)
        end--;
    t->value = arena_intern_n(l->arena, l->text->text + start, end - start);
}

static void lex_mark(lexer *l, token *t)
{
    t->kind = TOKEN_MARK;
    char c = peek(l, 0), next = peek(l, 1);
    if ((c == '-' && next == '>') || (c == '.' && next == '.')) {
        l->at += 2;
        return;
    }
    l->at++;
    if (!c || !strchr("()[]{}<>,:=*?", c))
        bad(t, "a character that means nothing here");
}

static void lex(lexer *l, token *t)
{
    char c = peek(l, 0);
    if (is_letter(c)) {
        t->kind = TOKEN_WORD;
        while (is_name(peek(l, 0)))
            l->at++;
    } else if (is_digit(c) || (c == '-' && is_digit(peek(l, 1)))) {
        lex_number(l, t);
    } else if (c == '-' && is_letter(peek(l, 1))) { // -inf, -nan
        t->kind = TOKEN_NUMBER;
        for (l->at++; is_letter(peek(l, 0));)
            l->at++;
    } else if (c == '"') {
        lex_text(l, t);
    } else if (c == '%' || c == '@') {
        lex_name(l, t);
    } else if (c == '/' && peek(l, 1) == '/') {
        lex_location(l, t);
    } else {
        lex_mark(l, t);
    }
}

token lexer_next(lexer *l)
{
    skip_space(l);
    token t = {.start = l->text->text + l->at, .first = l->first};
    t.where = (location){l->text, l->line, (uint32_t)(l->at - l->line_start + 1), 1};
    l->first = false;
    size_t start = l->at;
    if (l->at >= l->text->length)
        t.kind = TOKEN_END;
    else
        lex(l, &t);
    t.length = l->at - start;
    t.where.length = t.length ? (uint32_t)t.length : 1;
    return t;
}

bool token_is(const token *t, const char *s)
{
    return (t->kind == TOKEN_MARK || t->kind == TOKEN_WORD) && strlen(s) == t->length &&
           !memcmp(t->start, s, t->length);
}
