/* The .lut grammar (docs/language.md). Actions build the tree and nothing else. */
%code requires {
#include "compiler/frontend/parse.h"
}
%code provides {
int lut_yylex(ast_node **value, location *where, yyscan_t scanner);
int lut_yylex_init_extra(parser *p, yyscan_t *scanner);
int lut_yylex_destroy(yyscan_t scanner);
struct yy_buffer_state *lut_yy_scan_bytes(const char *bytes, int length, yyscan_t scanner);
}
%code {
#define YYLLOC_DEFAULT(current, rhs, n)                                                            \
    ((current) = (n) ? parser_span(p, YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) : empty_after(YYRHSLOC(rhs, 0)))

static location empty_after(location l)
{
    l.column += l.length;
    l.length = 1;
    return l;
}
static void lut_yyerror(location *where, yyscan_t scanner, parser *p, const char *message);

#define NODE0(kind) parser_node(p, AST_##kind, yyloc)
#define NODE1(kind, x) parser_node1(p, AST_##kind, yyloc, x)
#define NODE2(kind, x, y) parser_node2(p, AST_##kind, yyloc, x, y)
#define NODE3(kind, x, y, z) parser_node3(p, AST_##kind, yyloc, x, y, z)
#define BINARY(x, name, y) parser_operator(p, NODE2(BINARY, x, y), name)
}
%define api.pure full
%define api.prefix {lut_yy}
%define api.value.type {ast_node *}
%define api.location.type {location}
%define api.token.prefix {TOKEN_}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%lex-param { yyscan_t scanner }
%parse-param { yyscan_t scanner } { parser *p }
%initial-action { @$ = (location){p->source, 1, 1, 0}; }

%token END 0 "the end of the file"
%token MODEL "model" CONST "const" DIM "dim" IN "in" WEIGHTS "weights" WEIGHT "weight" STATE "state"
%token ENTRY "entry" FN "fn" RETURN "return" FOR "for" IF "if" ELSE "else" AS "as" OR "or"
%token OPTIONAL "optional" ASSERT "assert"
%token BOOLEAN "true or false" NAME "a name" INTEGER "a whole number" NUMBER "a number" TEXT "a text"
%token RANGE ".." ARROW "->" EQ "==" NE "!=" LE "<=" GE ">=" AND "&&" OROR "||"

%%
file: declarations                      { p->file = $1; }
    ;
declarations: %empty                    { $$ = NODE0(FILE); }
    | declarations declaration          { if ($2) p->recovering = false;
                                          $$ = parser_append(p, $1, $2); }
    | declarations constants ';'        { $$ = $1; for (size_t i = 0; i < $2->children.count; i++)
                                              parser_append(p, $$, ast_child($2, i)); }
    ;
declaration: "model" NAME ';'           { $$ = parser_named(NODE0(MODEL), $2); }
    | "dim" NAME "in" expression ".." expression ';'
                                        { $$ = parser_named(NODE2(DIM, $4, $6), $2); }
    | "weights" '{' fields '}'          { $$ = $3; $$->kind = AST_WEIGHTS; $$->where = @$; }
    | "weight" field                    { $$ = parser_append(p, NODE0(WEIGHTS), $2); }
    | "state" declarators ':' type ';'  { $$ = NODE2(STATE, $2, $4); }
    | assert
    | function
    | "entry" function                  { $$ = $2; if ($$) $$->integer = 1; }
    | error ';'                         { yyerrok; p->recovering = true; $$ = NULL; }
    | error '}'                         { yyerrok; p->recovering = true; $$ = NULL; }
    ;
assert: "assert" expression ',' expression ';' { $$ = NODE2(ASSERT, $2, $4); }
    ;
constants: "const" constant             { $$ = NODE1(LIST, $2); }
    | constants ',' constant            { $$ = parser_append(p, $1, $3); }
    ;
constant: NAME '=' expression           { $$ = parser_named(NODE1(CONST, $3), $1); }
    ;

fields: %empty                          { $$ = NODE0(LIST); }
    | fields field                      { $$ = parser_append(p, $1, $2); }
    | fields error ';'                  { yyerrok; $$ = $1; }
    ;
field: declarators ':' type sources ';' { $$ = NODE3(FIELD, $1, $3, $4); }
    | declarators ':' type "optional" sources ';' { $$ = NODE3(FIELD, $1, $3, $5); $$->integer = 1; }
    | declarator '{' fields '}'         { $$ = parser_named(NODE2(STRUCT, ast_child($1, 0), $3), $1); }
    ;
declarators: declarator                 { $$ = NODE1(LIST, $1); }
    | declarators ',' declarator        { $$ = parser_append(p, $1, $3); }
    ;
declarator: NAME                        { $$ = parser_named(NODE1(DECLARATOR, NODE0(EMPTY)), $1); }
    | NAME '[' expression ']'           { $$ = parser_named(NODE1(DECLARATOR, $3), $1); }
    ;
sources: %empty                         { $$ = NODE0(LIST); }
    | '=' source                        { $$ = NODE1(LIST, $2); }
    | sources "or" source               { $$ = parser_append(p, $1, $3); }
    ;
source: TEXT | NAME
    ;

type: NAME                              { $$ = parser_named(NODE2(TYPE, NODE0(EMPTY), NODE0(LIST)), $1); }
    | NAME '[' expressions ']' modifiers { $$ = parser_named(NODE2(TYPE, $3, $5), $1); }
    ;
modifiers: %empty                       { $$ = NODE0(LIST); }
    | modifiers modifier                { $$ = parser_append(p, $1, $2); }
    ;
modifier: NAME                          { $$ = parser_named(NODE1(MODIFIER, NODE0(EMPTY)), $1); }
    | NAME '(' expression ')'           { $$ = parser_named(NODE1(MODIFIER, $3), $1); }
    ;

function: "fn" NAME '(' parameters ')' results block
                                        { $$ = parser_named(NODE3(FUNCTION, $4, $6, $7), $2);
                                          $$->where = parser_span(p, @1, @5); }
    ;
parameters: %empty                      { $$ = NODE0(LIST); }
    | parameter_list
    | error                             { $$ = NODE0(LIST); }
    ;
parameter_list: parameter               { $$ = NODE1(LIST, $1); }
    | parameter_list ',' parameter      { $$ = parser_append(p, $1, $3); }
    ;
parameter: NAME ':' type                { $$ = parser_named(NODE1(PARAMETER, $3), $1); }
    ;
results: %empty                         { $$ = NODE0(LIST); }
    | "->" types                        { $$ = $2; }
    ;
types: type                             { $$ = NODE1(LIST, $1); }
    | types ',' type                    { $$ = parser_append(p, $1, $3); }
    ;

block: '{' statements '}'               { $$ = $2; $$->where = @$; $$->name_at = @3; }
    | '{' statements error '}'          { yyerrok; $$ = $2; $$->where = @$; $$->name_at = @4; }
    ;
statements: %empty                      { $$ = NODE0(BLOCK); }
    | statements statement              { $$ = parser_append(p, $1, $2); }
    ;
statement: targets '=' expression ';'   { $$ = NODE2(ASSIGN, $1, $3); }
    | postfix ';'                       { $$ = NODE1(EVALUATE, $1); }
    | "return" ';'                      { $$ = NODE0(RETURN); }
    | "return" expressions ';'          { $$ = $2; $$->kind = AST_RETURN; $$->where = @$; }
    | "for" NAME "in" expression ".." expression block
                                        { $$ = parser_named(NODE3(FOR, $4, $6, $7), $2);
                                          $$->where = parser_span(p, @1, @6); }
    | if
    | assert
    | error ';'                         { yyerrok; $$ = NULL; }
    ;
targets: postfix                        { $$ = NODE1(LIST, $1); }
    | targets ',' postfix               { $$ = parser_append(p, $1, $3); }
    ;
if: "if" expression block               { $$ = NODE3(IF, $2, $3, NODE0(EMPTY)); }
    | "if" expression block "else" block { $$ = NODE3(IF, $2, $3, $5); }
    | "if" expression block "else" if   { $$ = NODE3(IF, $2, $3, $5); }
    ;

expressions: expression                 { $$ = NODE1(LIST, $1); }
    | expressions ',' expression        { $$ = parser_append(p, $1, $3); }
    ;
expression: either
    | either '?' expression ':' expression { $$ = NODE3(CONDITIONAL, $1, $3, $5); }
    ;
either: both
    | either "||" both                  { $$ = BINARY($1, "||", $3); }
    ;
both: comparison
    | both "&&" comparison              { $$ = BINARY($1, "&&", $3); }
    ;
comparison: sum
    | sum "==" sum                      { $$ = BINARY($1, "==", $3); }
    | sum "!=" sum                      { $$ = BINARY($1, "!=", $3); }
    | sum '<' sum                       { $$ = BINARY($1, "<", $3); }
    | sum '>' sum                       { $$ = BINARY($1, ">", $3); }
    | sum "<=" sum                      { $$ = BINARY($1, "<=", $3); }
    | sum ">=" sum                      { $$ = BINARY($1, ">=", $3); }
    ;
sum: product
    | sum '+' product                   { $$ = BINARY($1, "+", $3); }
    | sum '-' product                   { $$ = BINARY($1, "-", $3); }
    ;
product: cast
    | product '*' cast                  { $$ = BINARY($1, "*", $3); }
    | product '/' cast                  { $$ = BINARY($1, "/", $3); }
    | product '%' cast                  { $$ = BINARY($1, "%", $3); }
    ;
cast: unary
    | cast "as" as_type                 { $$ = NODE2(AS, $1, $3); }
    ;
as_type: NAME                           { $$ = parser_named(NODE2(TYPE, NODE0(EMPTY), NODE0(LIST)), $1); }
    | NAME '[' expressions ']'          { $$ = parser_named(NODE2(TYPE, $3, NODE0(LIST)), $1); }
    | '[' expressions ']'               { $$ = NODE2(TYPE, $2, NODE0(LIST)); }
    ;
unary: postfix
    | '-' unary                         { $$ = parser_operator(p, NODE1(UNARY, $2), "-"); }
    | '!' unary                         { $$ = parser_operator(p, NODE1(UNARY, $2), "!"); }
    ;
postfix: primary
    | postfix '.' NAME                  { $$ = parser_named(NODE1(MEMBER, $1), $3); }
    | postfix '[' subscripts ']'        { $$ = NODE1(INDEX, $1);
                                          for (size_t i = 0; i < $3->children.count; i++)
                                              parser_append(p, $$, ast_child($3, i)); }
    ;
subscripts: subscript                   { $$ = NODE1(LIST, $1); }
    | subscripts ',' subscript          { $$ = parser_append(p, $1, $3); }
    ;
subscript: expression
    | expression ':' expression         { $$ = NODE2(SLICE, $1, $3); }
    | expression ':'                    { $$ = NODE2(SLICE, $1, NODE0(EMPTY)); }
    | ':' expression                    { $$ = NODE2(SLICE, NODE0(EMPTY), $2); }
    | ':'                               { $$ = NODE2(SLICE, NODE0(EMPTY), NODE0(EMPTY)); }
    ;
primary: NAME | INTEGER | NUMBER | TEXT | BOOLEAN
    | '(' expression ')'                { $$ = $2; }
    | NAME '(' ')'                      { $$ = parser_named(NODE0(CALL), $1); }
    | NAME '(' arguments ')'            { $$ = $3; $$->kind = AST_CALL; $$->where = @$; parser_named($$, $1); }
    ;
arguments: argument                     { $$ = NODE1(LIST, $1); }
    | arguments ',' argument            { $$ = parser_append(p, $1, $3); }
    ;
argument: expression
    | NAME '=' expression               { $$ = parser_named(NODE1(ARGUMENT, $3), $1); }
    ;
%%

enum { MAX_EXPECTED = 64, MAX_ERRORS = 100 };

static int yyreport_syntax_error(const yypcontext_t *context, yyscan_t scanner, parser *p)
{
        (void)scanner;
    if (p->errors++ > MAX_ERRORS)
        return 0; // more than anyone reads
    yysymbol_kind_t kinds[MAX_EXPECTED];
    const char *names[MAX_EXPECTED];
    int count = yypcontext_expected_tokens(context, kinds, MAX_EXPECTED);
    if (count < 0)
        return count;
    for (int i = 0; i < count; i++)
        names[i] = yysymbol_name(kinds[i]);
    yysymbol_kind_t found = yypcontext_token(context);
    parser_syntax_error(p, *yypcontext_location(context),
                        found == YYSYMBOL_YYEMPTY ? "" : yysymbol_name(found), names, (size_t)count);
    return 0;
}

// The parser's own limits: only "memory exhausted" comes here.
static void lut_yyerror(location *where, yyscan_t scanner, parser *p, const char *message)
{
    (void)scanner;
    (void)message;
    parser_error(p, *where, "the program is nested too deeply to be read");
}
