// The syntax tree: one kind of node for everything, its children as ast.def says.
// Nodes live in the compilation's arena; names are interned there.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ast_kind {
#define AST(E, ...) AST_##E,
#include "compiler/frontend/ast.def"
    AST_KIND_COUNT
} ast_kind;

// Deeper trees are refused by the parser, so that walking one is safe.
enum { AST_MAX_DEPTH = 250 };

typedef struct ast_node ast_node;
struct ast_node {
    ast_kind kind;
    location where;   // the whole construct, as far as its first line goes
    location name_at; // its name alone, where it has one
    const char *name; // interned; TEXT: the contents; UNARY, BINARY: the operator
    int64_t integer;  // INTEGER, BOOLEAN; FUNCTION: 1 for an entry; FIELD: 1 if optional
    double number;    // NUMBER
    unsigned depth;   // levels of the tree from here down
    bool used;        // NAME as a target: the value was read
    ARRAY_OF(ast_node *) children;
};

ast_node *ast_create(arena *a, ast_kind kind, location where);
// Returns `parent`, for building in one expression. NULL children are left out.
ast_node *ast_add(arena *a, ast_node *parent, ast_node *child);

static inline ast_node *ast_child(const ast_node *n, size_t index)
{
    return n->children.items[index];
}
static inline bool ast_is_empty(const ast_node *n)
{
    return n->kind == AST_EMPTY;
}

// Whether two expressions are the same text, white space aside.
bool ast_equal(const ast_node *a, const ast_node *b);
// One line per node, indented: kind, name or number, line:column.
void ast_print(text *out, const ast_node *n);

// NULL: errors were reported to `d`, all that recovery at ';' and '}' could reach.
ast_node *ast_parse(arena *a, diagnostics *d, const source *input);
