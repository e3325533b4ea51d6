// What scanner, grammar and their driver share. Private to the front end.
#pragma once

#include "compiler/frontend/ast.h"

typedef struct parser {
    arena *arena;
    diagnostics *diagnostics;
    const source *source;
    uint32_t line, column;    // of the next character
    uint32_t *line_lengths;   // in bytes, by line number
    location token, previous; // the token just read, and the one before it
    const char *token_text;
    size_t token_length;
    const char *name, *previous_name; // these tokens, where they are names
    bool recovering;                  // between a broken declaration and the next good one
    unsigned errors, lexical;         // lexical: of these, those of the scanner
    ast_node *file;                   // the result
} parser;

#ifndef YY_TYPEDEF_YY_SCANNER_T
#define YY_TYPEDEF_YY_SCANNER_T
typedef void *yyscan_t;
#endif

void parser_error(parser *p, location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Of what is no token. The first ten are shown; ast_parse says how many more there are.
void parser_lexical_error(parser *p, location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// From the first location to the end of the last, or of the first's line.
location parser_span(const parser *p, location first, location last);
// `found` and `expected` are the grammar's names for tokens.
void parser_syntax_error(parser *p, location where, const char *found, const char *const *expected,
                         size_t count);

// Node makers of the scanner, for texts of its patterns. What does not fit is reported.
ast_node *parser_integer(parser *p, location where, const char *digits);
ast_node *parser_number(parser *p, location where, const char *digits);
ast_node *parser_text(parser *p, location where, const char *quoted, size_t length);

// Node makers of the grammar. Each refuses trees that grow too deep.
ast_node *parser_node(parser *p, ast_kind kind, location where);
ast_node *parser_node1(parser *p, ast_kind kind, location where, ast_node *x);
ast_node *parser_node2(parser *p, ast_kind kind, location where, ast_node *x, ast_node *y);
ast_node *parser_node3(parser *p, ast_kind kind, location where, ast_node *x, ast_node *y,
                       ast_node *z);
ast_node *parser_append(parser *p, ast_node *list, ast_node *item);
// The same node with a name.
ast_node *parser_named(ast_node *n, const ast_node *name);
ast_node *parser_operator(parser *p, ast_node *n, const char *name);
