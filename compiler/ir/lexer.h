// Words of the IR's text form.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum token_kind {
    TOKEN_END,
    TOKEN_WORD,     // rms_norm, lut.mpgemm, f16
    TOKEN_NUMBER,   // 64, -1, 0x100, 1e-05
    TOKEN_TEXT,     // "..."; value: the text without escapes
    TOKEN_VALUE,    // %name; value: name
    TOKEN_GLOBAL,   // @name, @"any name"; value: name
    TOKEN_MARK,     // one of ( ) [ ] { } < > , : = * ? or -> or ..
    TOKEN_LOCATION, // "// file:line:column" or "// -"; value: what follows "// "
    TOKEN_BAD,      // value: what is wrong with it
} token_kind;

typedef struct token {
    token_kind kind;
    const char *start; // in the source
    size_t length;
    const char *value;
    location where;
    bool first; // on its line
} token;

typedef struct lexer {
    arena *arena;
    const source *text;
    size_t at, line_start;
    uint32_t line;
    bool first;
} lexer;

lexer lexer_create(arena *a, const source *text);
token lexer_next(lexer *l);
bool token_is(const token *t, const char *mark_or_word);
