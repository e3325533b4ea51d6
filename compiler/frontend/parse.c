// Drives scanner and grammar, and says in human words what the grammar wanted.
#include "compiler/frontend/parse.h"
#include "grammar.h"
#include "support/reader.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SOURCE = 1 << 20, MAX_SHOWN = 6, MAX_LEXICAL = 10 };

void parser_error(parser *p, location where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(p->diagnostics, SEVERITY_ERROR, where, format, args);
    va_end(args);
    p->errors++;
}

void parser_lexical_error(parser *p, location where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (++p->lexical <= MAX_LEXICAL)
        diagnostic_vreport(p->diagnostics, SEVERITY_ERROR, where, format, args);
    va_end(args);
    p->errors++;
}

static void count_lexical_errors(parser *p)
{
    location whole = {.source = p->source};
    if (p->lexical > MAX_LEXICAL)
        diagnostic_error(p->diagnostics, whole,
                         "%u more places have no meaning in a program: is this the right file?",
                         p->lexical - MAX_LEXICAL);
}

location parser_span(const parser *p, location first, location last)
{
    uint32_t end =
        first.line == last.line ? last.column + last.length : p->line_lengths[first.line] + 1;
    if (end > first.column + first.length)
        first.length = end - first.column;
    return first;
}

// -------------------------------------------------------------- syntax errors

// A set of tokens that reads better under one name. Where all the required ones are expected,
// they and the others are replaced by the phrase; earlier rows go first.
typedef struct token_group {
    const char *phrase;
    const char *required[8];
    const char *others[16];
} token_group;

static const token_group groups[] = {
    {"a declaration (model, const, dim, weights, weight, state, fn or entry fn)",
     {"model", "const", "dim", "weights", "weight", "state", "entry", "fn"},
     {"the end of the file", "assert"}},
    {"a statement",
     {"return", "for", "if", "a name"},
     {"true or false", "a whole number", "a number", "a text", "(", "assert"}},
    {"an expression",
     {"a name", "a whole number", "a number", "a text", "true or false", "("},
     {"-", "!"}},
    {"an operator",
     {"+", "*", "/"},
     {"-", "%", "as", "(", "[", ".", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "?"}},
};
enum { N_GROUPS = sizeof groups / sizeof *groups };

static int find_word(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (words[i] && !strcmp(words[i], word))
            return (int)i;
    return -1;
}

static bool group_matches(const token_group *g, const char *const *expected, size_t count)
{
    for (size_t i = 0; i < 8 && g->required[i]; i++)
        if (find_word(expected, count, g->required[i]) < 0)
            return false;
    return true;
}

static void drop_words(const char *const *drop, size_t limit, const char **expected, size_t count)
{
    for (size_t i = 0; i < limit && drop[i]; i++) {
        int at = find_word(expected, count, drop[i]);
        if (at >= 0)
            expected[at] = NULL;
    }
}

// Bison names ';' with its quotes.
static const char *without_quotes(parser *p, const char *name)
{
    size_t length = strlen(name);
    return length > 2 && *name == '\'' ? arena_intern_n(p->arena, name + 1, length - 2) : name;
}

// "';', ',' or an expression": single tokens first.
static void describe_expected(parser *p, text *out, const char *const *names, size_t count)
{
    const char **expected = ARENA_ARRAY(p->arena, const char *, count);
    const char **phrases = ARENA_ARRAY(p->arena, const char *, count + N_GROUPS);
    const char *matched[N_GROUPS];
    size_t n = 0, n_matched = 0;
    memcpy(expected, names, count * sizeof *names);
    for (const token_group *g = groups; g < groups + N_GROUPS; g++)
        if (group_matches(g, expected, count)) {
            matched[n_matched++] = g->phrase;
            drop_words(g->required, 8, expected, count);
            drop_words(g->others, 16, expected, count);
        }
    for (size_t i = 0; i < count; i++)
        if (expected[i])
            phrases[n++] = expected[i];
    for (size_t i = 0; i < n_matched; i++)
        phrases[n++] = matched[i];
    for (size_t i = 0; i < n && i < MAX_SHOWN; i++) {
        if (i)
            text_append(out, i + 1 == n ? " or " : ", ");
        text_printf(out, strchr(phrases[i], ' ') ? "%s" : "'%s'", phrases[i]);
    }
    if (n > MAX_SHOWN)
        text_append(out, ", ...");
}

static void describe_found(parser *p, text *out, const char *found)
{
    if (!strcmp(found, "the end of the file"))
        text_append(out, found);
    else if (!strcmp(found, "a name"))
        text_printf(out, "'%.*s'", (int)p->token_length, p->token_text);
    else if (strchr(found, ' '))
        text_printf(out, "%s %.*s", strchr(found, ' ') + 1,
                    (int)(p->token_length < 40 ? p->token_length : 40), p->token_text);
    else
        text_printf(out, "'%s'", found);
}

static bool is_keyword(const char *name)
{
    return name[0] >= 'a' && name[0] <= 'z' && !strchr(name, ' ');
}

// A keyword that is expected here, or that the name before was meant to be ("retrun x").
static const char *suggest_keyword(parser *p, const char *const *expected, size_t count)
{
    static const char *const leading[] = {"model", "const",  "dim", "weights", "weight", "state",
                                          "entry", "return", "for", "if",      "fn",     "assert"};
    if (p->previous_name)
        return text_nearest(p->previous_name, leading, sizeof leading / sizeof *leading);
    if (!p->name)
        return NULL;
    const char *keywords[64];
    size_t n = 0;
    for (size_t i = 0; i < count && n < 64; i++)
        if (is_keyword(expected[i]))
            keywords[n++] = expected[i];
    return text_nearest(p->name, keywords, n);
}

static void missing_semicolon(parser *p)
{
    location end = p->previous;
    end.column += end.length;
    end.length = 1;
    parser_error(p, end, "expected ';' at the end of this line");
}

static void unexpected(parser *p, location where, const char *found, const char *const *expected,
                       size_t count)
{
    text message = {0};
    text_append(&message, "expected ");
    describe_expected(p, &message, expected, count);
    text_append(&message, ", found ");
    describe_found(p, &message, found);
    if (is_keyword(found) && find_word(expected, count, "a name") >= 0)
        text_append(&message, ", which is a keyword and cannot be a name");
    const char *keyword = suggest_keyword(p, expected, count);
    if (keyword)
        text_printf(&message, "; did you mean '%s'?", keyword);
    parser_error(p, where, "%s", text_string(&message));
    text_free(&message);
}

void parser_syntax_error(parser *p, location where, const char *found, const char *const *names,
                         size_t count)
{
    const char **expected = ARENA_ARRAY(p->arena, const char *, count);
    for (size_t i = 0; i < count; i++)
        expected[i] = without_quotes(p, names[i]);
    if (p->recovering && find_word(expected, count, "fn") >= 0)
        p->errors++; // what is left of a broken declaration
    else if (find_word(expected, count, ";") >= 0 && p->previous.line &&
             where.line != p->previous.line)
        missing_semicolon(p);
    else
        unexpected(p, where, without_quotes(p, found), expected, count);
}

// -------------------------------------------------------------- leaves, nodes

ast_node *parser_integer(parser *p, location where, const char *digits)
{
    ast_node *n = ast_create(p->arena, AST_INTEGER, where);
    bool hexadecimal = digits[0] == '0' && (digits[1] | 32) == 'x';
    errno = 0;
    n->integer = strtoll(digits, NULL, hexadecimal ? 16 : 10);
    if (errno == ERANGE)
        parser_error(p, where, "'%.40s' does not fit a whole number of 64 bits", digits);
    return n;
}

ast_node *parser_number(parser *p, location where, const char *digits)
{
    ast_node *n = ast_create(p->arena, AST_NUMBER, where);
    if (!text_to_double(digits, &n->number) || n->number > DBL_MAX)
        parser_error(p, where, "'%.40s' is outside the range of numbers", digits);
    return n;
}

ast_node *parser_text(parser *p, location where, const char *quoted, size_t length)
{
    ast_node *n = ast_create(p->arena, AST_TEXT, where);
    char *out = arena_alloc(p->arena, length);
    size_t used = 0;
    bool known = true;
    for (size_t i = 1; i + 1 < length; i++) {
        char c = quoted[i];
        if (c == '\\') {
            c = quoted[++i];
            const char *escape = c ? strchr("nt\"\\", c) : NULL;
            if (!escape && known)
                parser_lexical_error(
                    p, where, "unknown escape in a text: only \\n, \\t, \\\" and \\\\ are known");
            known = known && escape;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        if (!c)
            parser_error(p, where, "a text cannot contain the byte 0");
        out[used++] = c;
    }
    if (!utf8_valid(out, used))
        parser_lexical_error(p, where, "a text must be UTF-8");
    n->name = arena_intern_n(p->arena, out, used);
    return n;
}

static ast_node *check_depth(parser *p, ast_node *n)
{
    if (n->depth == AST_MAX_DEPTH + 1) {
        parser_error(p, n->where, "this is nested more than %d levels deep; give parts of it names",
                     AST_MAX_DEPTH);
        n->depth++;
    }
    return n;
}

ast_node *parser_node(parser *p, ast_kind kind, location where)
{
    return ast_create(p->arena, kind, where);
}

ast_node *parser_node1(parser *p, ast_kind kind, location where, ast_node *x)
{
    return check_depth(p, ast_add(p->arena, parser_node(p, kind, where), x));
}

ast_node *parser_node2(parser *p, ast_kind kind, location where, ast_node *x, ast_node *y)
{
    return check_depth(p, ast_add(p->arena, parser_node1(p, kind, where, x), y));
}

ast_node *parser_node3(parser *p, ast_kind kind, location where, ast_node *x, ast_node *y,
                       ast_node *z)
{
    return check_depth(p, ast_add(p->arena, parser_node2(p, kind, where, x, y), z));
}

ast_node *parser_append(parser *p, ast_node *list, ast_node *item)
{
    return check_depth(p, ast_add(p->arena, list, item));
}

ast_node *parser_named(ast_node *n, const ast_node *name)
{
    n->name = name->name;
    n->name_at = name->name_at;
    return n;
}

ast_node *parser_operator(parser *p, ast_node *n, const char *name)
{
    n->name = arena_intern(p->arena, name);
    return n;
}

// --------------------------------------------------------------------- driver

static void measure_lines(parser *p)
{
    size_t lines = 1;
    for (size_t i = 0; i < p->source->length; i++)
        lines += p->source->text[i] == '\n';
    p->line_lengths = ARENA_ARRAY(p->arena, uint32_t, lines + 2);
    size_t line = 1;
    for (size_t i = 0; i < p->source->length; i++) {
        if (p->source->text[i] == '\n')
            line++;
        else
            p->line_lengths[line]++;
    }
}

ast_node *ast_parse(arena *a, diagnostics *d, const source *input)
{
    if (input->length > MAX_SOURCE) {
        diagnostic_error(d, ((location){input, 0, 0, 0}),
                         "the program is larger than 1 MiB: is this the right file?");
        return NULL;
    }
    parser p = {.arena = a, .diagnostics = d, .source = input, .line = 1, .column = 1};
    measure_lines(&p);
    yyscan_t scanner;
    if (lut_yylex_init_extra(&p, &scanner))
        INTERNAL_ERROR("out of memory");
    lut_yy_scan_bytes(input->text, (int)input->length, scanner);
    int status = lut_yyparse(scanner, &p);
    lut_yylex_destroy(scanner);
    count_lexical_errors(&p);
    return status || p.errors ? NULL : p.file;
}
