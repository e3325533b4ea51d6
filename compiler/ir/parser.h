// The recursive-descent parser's parts; private to this folder.
//
// A parse function that returns false has reported its error. Statements
// recover: the rest of the line, and the braces that open on it, are skipped.
#pragma once

#include "compiler/ir/lexer.h"
#include "compiler/ir/module.h"
#include "compiler/ir/signature.h"

enum { PARSER_MAX_DEPTH = 64, PARSER_MAX_ERRORS = 50 };

typedef struct parsed_location {
    ir_op *op;
    location where;
} parsed_location;

typedef struct scoped_name {
    const char *name;
    ir_value *hidden;
} scoped_name;

typedef struct parser {
    arena *arena;
    diagnostics *diagnostics;
    lexer lexer;
    token now, last; // last: the one before
    ir_module *module;
    ir_mapping *names;             // visible values of the function being read
    ARRAY_OF(scoped_name) visible; // in order of definition, for leaving a region
    ir_mapping *files;             // file name -> source
    // Errors of verification concern the text that was read; the locations
    // written in it are set afterwards.
    ARRAY_OF(parsed_location) locations;
    ir_function *function;
    // What an op without a location has; a place in the text itself: nothing yet.
    location inherited;
    unsigned depth;
    bool ended;    // the text's end came where a region was open, and was reported
    size_t errors; // when parsing began
} parser;

// ---- tokens (parse.c)
void lir_advance(parser *p);
token lir_peek(const parser *p); // the token behind `now`
bool lir_error(parser *p, location where, const char *format, ...)
    __attribute__((format(printf, 3, 4))); // always false
// "expected what, found ..", at the end of the line before where a new line starts; always false.
bool lir_expected(parser *p, const char *what);
bool lir_unexpected(parser *p, const char *what); // where a new line may start
bool lir_accept(parser *p, const char *s);
bool lir_expect(parser *p, const char *s);
bool lir_word(parser *p, const char *what, const char **out);
bool lir_text(parser *p, const char *what, const char **out);
bool lir_integer(parser *p, const char *what, int64_t minimum, int64_t maximum, int64_t *out);
bool lir_number(parser *p, double *out);
// A location behind an operation or an opening brace, where "// -" stands for none: without one
// *out is the location of the line before, if that has one.
bool lir_op_location(parser *p, location *out);
// Skips to the next statement after an error in the one that began on `line`.
void lir_recover(parser *p, uint32_t line);
bool lir_gives_up(const parser *p);

// ---- parse_type.c
bool lir_type(parser *p, const ir_type **out);

// ---- parse_op.c
bool lir_define(parser *p, const token *name, ir_value *v);
// "{ ops }" into a block whose arguments are defined already; the names defined
// since `visible` are forgotten at its end. *where: a location behind "{".
bool lir_block(parser *p, ir_block *b, size_t visible, location *where);
// Stands for a value whose definition was in error: its uses are not reported. Never linked
// into a use.
extern ir_value lir_poison;
