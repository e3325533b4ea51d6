// The weight file: the names that its tensors must have, and whether they are there.
#include "compiler/frontend/elaborate.h"

#include <string.h>

enum { MAX_NAME = 4096 };

// ------------------------------------------------------- names of the file's tensors

// The n-th of "a,b,c"; NULL unless there are exactly `count`.
static bool append_alternative(text *out, const char *list, size_t length, unsigned n,
                               unsigned count)
{
    unsigned at = 0;
    for (size_t i = 0; i < length; i++) {
        if (list[i] == ',')
            at++;
        else if (at == n)
            text_char(out, list[i]);
    }
    return at + 1 == count;
}

static bool append_placeholder(frontend *f, text *out, const ast_node *pattern, const char *name,
                               size_t length, const weight_node *leaf, int64_t instance)
{
    int64_t indices[WEIGHTS_MAX_LEVELS];
    unsigned levels = weights_indices(leaf, instance, indices);
    unsigned level = length == 1 ? (unsigned)(name[0] - 'i') : WEIGHTS_MAX_LEVELS;
    if (length == 5 && !strncmp(name, "field", 5)) {
        text_append(out, leaf->name);
    } else if (level < levels) {
        text_printf(out, "%lld", (long long)indices[level]);
    } else if (memchr(name, ',', length)) {
        if (!append_alternative(out, name, length, leaf->ordinal, leaf->siblings)) {
            fail(f, pattern->where,
                 "'{%.*s}' must have one name for each of the %u weights of this line", (int)length,
                 name, leaf->siblings);
            return false;
        }
    } else {
        fail(f, pattern->where,
             "'{%.*s}' is unknown here: expected {field}, {a,b} with a name for each weight of the "
             "line, or {i}, {j}, .. for the indices of the arrays around",
             (int)(length > 40 ? 40 : length), name);
        return false;
    }
    return true;
}

static const char *expand(frontend *f, const ast_node *pattern, const weight_node *leaf,
                          int64_t instance)
{
    text out = {0};
    bool good = true;
    for (const char *s = pattern->name; good && *s; s++) {
        const char *end = *s == '{' ? strchr(s, '}') : NULL;
        if (*s != '{') {
            text_char(&out, *s);
        } else if (!end) {
            fail(f, pattern->where, "'{' without '}' in the name of a tensor");
            good = false;
        } else {
            good =
                append_placeholder(f, &out, pattern, s + 1, (size_t)(end - s - 1), leaf, instance);
            s = end;
        }
        if (good && out.length > MAX_NAME) {
            fail(f, pattern->where, "the name of a tensor is longer than %d bytes", MAX_NAME);
            good = false;
        }
    }
    const char *name = good ? arena_intern(f->arena, text_string(&out)) : NULL;
    text_free(&out);
    return name;
}

// What `or NAME` stands for: a weight of the same group, or one that is no part of an array.
static weight_node *find_alias(frontend *f, const ast_node *name, const weight_node *leaf)
{
    weight_node *other = leaf->parent ? weights_field(leaf->parent, name->name) : NULL;
    const declaration *d = declaration_find(f, name->name);
    if (!other && weights_failed(f, name->name))
        return NULL;
    if (!other && d && d->kind == DECLARATION_WEIGHT)
        other = d->weight;
    bool fits = other && other->leaf && other != leaf &&
                (other->instances == 1 ||
                 (other->parent && other->parent == leaf->parent && other->length == leaf->length));
    if (!fits || other->sources->children.count != 1 ||
        ast_child(other->sources, 0)->kind != AST_TEXT) {
        size_t count;
        const char *const *names = declaration_names(f, &count);
        fail(f, name->where, "'%s' is not a weight with a tensor of its own%s", name->name,
             other ? "" : suggestion(f, name->name, names, count));
        return NULL;
    }
    if (other->optional) {
        fail(f, name->where, "'%s' is optional and cannot stand for '%s'", name->name, leaf->name);
        note(f, other->where, "'%s' is declared here", other->name);
        return NULL;
    }
    if (ir_type_same_dims(other->type, leaf->type) && other->type->kind == leaf->type->kind)
        return other;
    fail(f, name->where, "'%s' cannot stand for '%s': it is %s, not %s", name->name, leaf->name,
         describe_type(f, other->type), describe_type(f, leaf->type));
    note(f, other->where, "'%s' is declared here", other->name);
    return NULL;
}

static bool has_tensors(const frontend *f)
{
    return f->options->metadata && f->options->metadata->tensor;
}

bool weights_in_file(const frontend *f, const char *name, frontend_tensor *out)
{
    const frontend_metadata *m = f->options->metadata;
    return has_tensors(f) && m->tensor(m->context, name, out);
}

// Without a file every tensor is there but those that the metadata says are not.
static bool is_there(const frontend *f, const char *name)
{
    frontend_tensor found;
    const frontend_metadata *m = f->options->metadata;
    if (has_tensors(f))
        return weights_in_file(f, name, &found);
    return !m || !m->lacks || !m->lacks(m->context, name);
}

// The tensor's name in the file: the first source that is there, or the first. *alias: the weight
// whose tensor it is.
const char *weights_source(frontend *f, const weight_node *leaf, int64_t instance,
                           weight_node **alias)
{
    const char *first = NULL;
    *alias = NULL;
    for (size_t i = 0; i < leaf->sources->children.count; i++) {
        const ast_node *origin = ast_child(leaf->sources, i);
        if (origin->kind == AST_NAME) {
            *alias = find_alias(f, origin, leaf);
            return *alias ? expand(f, ast_child((*alias)->sources, 0), *alias,
                                   (*alias)->instances > 1 ? instance : 0)
                          : NULL;
        }
        const char *name = expand(f, origin, leaf, instance);
        if (!name || is_there(f, name))
            return name;
        first = first ? first : name;
    }
    return first ? first : weights_path(f, leaf, instance);
}

bool weights_present(frontend *f, const weight_node *leaf, int64_t instance)
{
    weight_node *alias;
    frontend_tensor found;
    if (!f->options->metadata)
        return false;
    const char *name = weights_source(f, leaf, instance, &alias);
    return !name || alias || weights_in_file(f, name, &found); // NULL: reported
}

// ------------------------------------------------------------ against the file

// Leading dimensions of 1 aside.
static bool shape_fits(const ir_type *t, const frontend_tensor *found)
{
    unsigned ours = t->rank, theirs = found->rank;
    while (ours && theirs && t->dims[ours - 1].value == found->shape[theirs - 1])
        ours--, theirs--;
    while (ours && t->dims[ours - 1].value == 1)
        ours--;
    while (theirs && found->shape[theirs - 1] == 1)
        theirs--;
    return !ours && !theirs;
}

static const char *describe_shape(frontend *f, const frontend_tensor *t)
{
    text out = {0};
    for (unsigned i = 0; i < t->rank; i++)
        text_printf(&out, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
    const char *shape = arena_format(f->arena, "%s [%s]", t->type, text_string(&out));
    text_free(&out);
    return shape;
}

// What is wrong with one instance, or NULL.
static const char *check_instance(frontend *f, const weight_node *leaf, int64_t instance)
{
    const frontend_metadata *m = f->options->metadata;
    weight_node *alias;
    frontend_tensor found;
    const char *name = weights_source(f, leaf, instance, &alias);
    if (!name || alias)
        return NULL;
    if (!is_there(f, name)) {
        const char *nearest = has_tensors(f) ? m->nearest_tensor(m->context, name) : NULL;
        if (leaf->optional)
            return NULL;
        return arena_format(f->arena, "weight '%s': %s has no tensor '%s'%s",
                            weights_written(f, leaf, instance), m->file, name,
                            did_you_mean(f, nearest));
    }
    if (!weights_in_file(f, name, &found) || shape_fits(leaf->type, &found))
        return NULL;
    return arena_format(f->arena, "weight '%s' is %s, but '%s' in %s is %s",
                        weights_written(f, leaf, instance), describe_type(f, leaf->type), name,
                        m->file, describe_shape(f, &found));
}

// One error per declared name, with the number of further elements that have the same trouble.
static void check_leaf(frontend *f, const weight_node *leaf)
{
    const char *first = NULL;
    int64_t wrong = 0;
    size_t errors = f->errors;
    for (int64_t i = 0; i < leaf->instances && wrong < 1000 && f->errors == errors; i++) {
        const char *problem = check_instance(f, leaf, i);
        first = first ? first : problem;
        wrong += problem != NULL;
    }
    if (wrong > 1)
        fail(f, leaf->where, "%s (and %lld more of '%s')", first, (long long)wrong - 1, leaf->name);
    else if (wrong)
        fail(f, leaf->where, "%s", first);
}

static void check_node(frontend *f, const weight_node *n)
{
    if (n->leaf)
        check_leaf(f, n);
    for (size_t i = 0; i < n->fields.count; i++)
        check_node(f, n->fields.items[i]);
}

static void check_sources(frontend *f, const weight_node *n)
{
    for (size_t i = 0; n->leaf && i < n->sources->children.count; i++) {
        const ast_node *origin = ast_child(n->sources, i);
        if (origin->kind == AST_NAME)
            find_alias(f, origin, n);
        else
            expand(f, origin, n, 0);
    }
    for (size_t i = 0; i < n->fields.count; i++)
        check_sources(f, n->fields.items[i]);
}

// A file of another architecture fits nothing; say so once, behind all that does not.
static void hint_defaults(frontend *f)
{
    if (f->defaulted)
        note(f, f->defaulted->where,
             "%s lacks the metadata of this expression, so its default is used: is the file for "
             "this program?",
             f->options->metadata->file);
}

void weights_check(frontend *f)
{
    size_t before = f->errors;
    for (size_t i = 0; i < f->declarations.count; i++) {
        const weight_node *n = f->declarations.items[i]->weight;
        if (!n)
            continue;
        size_t errors = f->errors;
        check_sources(f, n);
        if (f->options->metadata && f->errors == errors)
            check_node(f, n);
    }
    if (f->errors > before)
        hint_defaults(f);
}
