// From text to a verified module: parse, declare, expand the entries, check the rest.
#include "compiler/frontend/elaborate.h"

#include <string.h>

// "dir/ffn.lut" -> "ffn": the model's name where the program gives none.
static const char *stem(arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strcspn(name, ".");
    return length ? arena_intern_n(a, name, length) : "model";
}

static void expand_entries(frontend *f)
{
    size_t entries = 0;
    for (size_t i = 0; i < f->declarations.count; i++) {
        declaration *d = f->declarations.items[i];
        if (d->kind != DECLARATION_FUNCTION || !d->syntax->integer)
            continue;
        entries++;
        expand_entry(f, d);
    }
    if (!entries)
        fail(f, (location){f->source, 0, 0, 0}, "the program has no entry: expected an 'entry fn'");
}

static void forget_globals(weight_node *n)
{
    n->globals = NULL;
    for (size_t i = 0; i < n->fields.count; i++)
        forget_globals(n->fields.items[i]);
}

// Into a module that is thrown away, so that only what entries use is kept.
static void check_uncalled(frontend *f)
{
    ir_module *module = f->module;
    f->module = ir_module_create(f->arena, "unused");
    f->constants.count = 0;
    for (size_t i = 0; i < f->declarations.count; i++) {
        declaration *d = f->declarations.items[i];
        if (d->weight)
            forget_globals(d->weight);
        if (d->state)
            d->state->globals = NULL;
    }
    const bool complete = diagnostics_errors(f->diagnostics) == 0; // no call has come to nothing
    for (size_t i = 0; i < f->declarations.count; i++) {
        declaration *d = f->declarations.items[i];
        if (d->kind == DECLARATION_FUNCTION && d->progress == NOT_STARTED)
            check_alone(f, d, complete);
    }
    f->module = module;
}

static void warn_all(frontend *f)
{
    for (size_t i = 0; i < f->declarations.count; i++)
        if (f->declarations.items[i]->kind == DECLARATION_FUNCTION)
            warn_unused(f, ast_child(f->declarations.items[i]->syntax, 2));
}

ir_module *frontend_compile(arena *a, diagnostics *d, const source *text_in,
                            const frontend_options *options)
{
    static const frontend_options defaults;
    ast_node *file = ast_parse(a, d, text_in);
    if (!file)
        return NULL;
    frontend f = {.arena = a,
                  .diagnostics = d,
                  .options = options ? options : &defaults,
                  .source = text_in,
                  .file = file,
                  .module = ir_module_create(a, stem(a, text_in->name))};
    if (!declare_all(&f))
        return NULL;
    weights_check(&f);
    expand_entries(&f);
    check_uncalled(&f);
    if (f.errors)
        return NULL;
    warn_all(&f);
    if (!ir_verify(d, f.module)) {
        diagnostics_flush(d);
        INTERNAL_ERROR("the front end built an invalid module from '%s'", text_in->name);
    }
    return f.module;
}

bool frontend_print_ast(arena *a, diagnostics *d, const source *text_in, text *out)
{
    const ast_node *file = ast_parse(a, d, text_in);
    if (file)
        ast_print(out, file);
    return file != NULL;
}
