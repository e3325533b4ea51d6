// Machine descriptions:   machine NAME { setting = number unit; group { setting = number from "source"; } }
%require "3.8"
%define api.pure full
%define api.prefix {machine_yy}
%define api.token.prefix {TOKEN_}
%define parse.error custom
%define parse.lac full
%locations
%param { void *scanner }
%parse-param { machine_builder *b }

%code requires {
#include "isa/machine_parser.h"
}

%union {
    machine_name name;
    machine_number number;
    const char *string;
}

%token MACHINE "'machine'"
%token LIKE "'like'"
%token FROM "'from'"
%token <name> NAME "a name"
%token <string> STRING "a string"
%token <number> NUMBER "a number"
%token '{' "'{'" '}' "'}'" '=' "'='" ';' "';'"
%type <name> unit like
%type <string> from

%code {
int machine_yylex(MACHINE_YYSTYPE *value, MACHINE_YYLTYPE *where, void *scanner);
static void machine_yyerror(MACHINE_YYLTYPE *where, void *scanner, machine_builder *b,
                            const char *message);
}

%%

file:
    machine
  | file machine
  ;

machine:
    MACHINE NAME like '{'  { machine_begin(b, $NAME, $like); }
    items '}'
  | error '}'
  ;

like:
    %empty  { $$ = (machine_name){0}; }
  | LIKE NAME  { $$ = $NAME; }
  ;

items:
    %empty
  | items item
  ;

item:
    setting
  | NAME from '{'  { machine_group_begin(b, $NAME, $from); }
    settings '}'  { machine_group_end(b); }
  | error ';'
  ;

settings:
    %empty
  | settings setting
  | settings error ';'
  ;

setting:
    NAME '=' NUMBER unit from ';'  { machine_set(b, $NAME, $NUMBER, $unit, $from); }
  ;

from:
    %empty  { $$ = NULL; }
  | FROM STRING  { $$ = $STRING; }
  ;

unit:
    %empty  { $$ = (machine_name){0}; }
  | NAME
  ;

%%

static location at(const machine_builder *b, const MACHINE_YYLTYPE *where)
{
    bool one_line = where->first_line == where->last_line;
    int length = one_line ? where->last_column - where->first_column : 1;
    return (location){b->source, (uint32_t)where->first_line, (uint32_t)where->first_column,
                      length > 0 ? (uint32_t)length : 1};
}

static void machine_yyerror(MACHINE_YYLTYPE *where, void *scanner, machine_builder *b,
                            const char *message)
{
    (void)scanner;
    diagnostic_error(b->diagnostics, at(b, where), "%s", message);
}

// "expected ';' or a name, found '}'"
static int yyreport_syntax_error(const yypcontext_t *context, void *scanner, machine_builder *b)
{
    (void)scanner;
    yysymbol_kind_t expected[8];
    int count = yypcontext_expected_tokens(context, expected, 8);
    yysymbol_kind_t found = yypcontext_token(context);
    text t = {0};
    for (int i = 0; i < count; i++)
        text_printf(&t, "%s%s", i == 0 ? "expected " : i + 1 < count ? ", " : " or ",
                    yysymbol_name(expected[i]));
    text_printf(&t, "%sfound %s", count > 0 ? ", " : "",
                found == YYSYMBOL_YYEOF ? "the end of the file" : yysymbol_name(found));
    diagnostic_error(b->diagnostics, at(b, yypcontext_location(context)), "%s", text_string(&t));
    text_free(&t);
    return 0;
}
