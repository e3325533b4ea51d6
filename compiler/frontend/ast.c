#include "compiler/frontend/ast.h"

static const char *const kind_names[AST_KIND_COUNT] = {
#define AST(E, name, ...) name,
#include "compiler/frontend/ast.def"
};

ast_node *ast_create(arena *a, ast_kind kind, location where)
{
    ast_node *n = ARENA_NEW(a, ast_node);
    n->kind = kind;
    n->where = n->name_at = where;
    n->depth = 1;
    return n;
}

ast_node *ast_add(arena *a, ast_node *parent, ast_node *child)
{
    if (!child)
        return parent;
    ARRAY_PUSH(a, &parent->children, child);
    if (parent->depth <= child->depth)
        parent->depth = child->depth + 1;
    return parent;
}

bool ast_equal(const ast_node *a, const ast_node *b)
{
    if (a->kind != b->kind || a->name != b->name || a->integer != b->integer ||
        a->number != b->number || a->children.count != b->children.count)
        return false;
    for (size_t i = 0; i < a->children.count; i++)
        if (!ast_equal(ast_child(a, i), ast_child(b, i)))
            return false;
    return true;
}

static void print_payload(text *out, const ast_node *n)
{
    switch (n->kind) {
    case AST_INTEGER: text_printf(out, " %lld", (long long)n->integer); break;
    case AST_NUMBER:
        text_char(out, ' ');
        text_double(out, n->number);
        break;
    case AST_BOOLEAN: text_append(out, n->integer ? " true" : " false"); break;
    case AST_TEXT:
        text_char(out, ' ');
        text_quoted(out, n->name, __builtin_strlen(n->name));
        break;
    case AST_FUNCTION: text_printf(out, " %s%s", n->name, n->integer ? " entry" : ""); break;
    case AST_FIELD: text_append(out, n->integer ? " optional" : ""); break;
    default:
        if (n->name)
            text_printf(out, " %s", n->name);
    }
}

static void print_node(text *out, const ast_node *n, unsigned level)
{
    text_printf(out, "%*s%s", (int)(2 * level), "", kind_names[n->kind]);
    print_payload(out, n);
    if (n->where.line)
        text_printf(out, "  // %u:%u", n->where.line, n->where.column);
    text_char(out, '\n');
    for (size_t i = 0; i < n->children.count; i++)
        print_node(out, ast_child(n, i), level + 1);
}

void ast_print(text *out, const ast_node *n)
{
    print_node(out, n, 0);
}
