// Declared weights: their tree, their tensors in the weight file, their globals.
#include "compiler/frontend/elaborate.h"

#include "compiler/quant/quant.h"

#include <string.h>

enum { MAX_ARRAY = 65536, MAX_LEVELS = 4, MAX_NAME = 4096 };
static const int64_t max_weights = 1 << 20;

// ----------------------------------------------------------------- names

// Indices of an instance, outermost first; returns how many arrays there are.
static unsigned indices_of(const weight_node *n, int64_t instance, int64_t *out)
{
    int64_t reversed[MAX_LEVELS];
    unsigned count = 0;
    for (; n; n = n->parent)
        if (n->length) {
            reversed[count++] = instance % n->length;
            instance /= n->length;
        }
    for (unsigned i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

static void append_path(text *out, const weight_node *n, int64_t instance, const char *form)
{
    if (n->parent) {
        append_path(out, n->parent, n->length ? instance / n->length : instance, form);
        text_char(out, '.');
    }
    text_append(out, n->name);
    if (n->length)
        text_printf(out, form, (long long)(instance % n->length));
}

static const char *path(frontend *f, const weight_node *n, int64_t instance, const char *form)
{
    text out = {0};
    append_path(&out, n, instance, form);
    const char *name = arena_intern(f->arena, text_string(&out));
    text_free(&out);
    return name;
}

const char *weights_path(frontend *f, const weight_node *n, int64_t instance)
{
    return path(f, n, instance, ".%lld");
}

// As the program writes it: blk[0].wq.
static const char *written(frontend *f, const weight_node *n, int64_t instance)
{
    return path(f, n, instance, "[%lld]");
}

const char *weights_fields(frontend *f, const weight_node *group)
{
    text out = {0};
    for (size_t i = 0; i < group->fields.count && out.length < 200; i++)
        text_printf(&out, "%s%s", i ? ", " : "", group->fields.items[i]->name);
    char *copy = arena_string(f->arena, text_string(&out), out.length);
    text_free(&out);
    return copy;
}

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
    int64_t indices[MAX_LEVELS];
    unsigned levels = indices_of(leaf, instance, indices);
    unsigned level = length == 1 ? (unsigned)(name[0] - 'i') : MAX_LEVELS;
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

static weight_node *find_field(const weight_node *group, const char *name)
{
    for (size_t i = 0; i < group->fields.count; i++)
        if (group->fields.items[i]->name == name)
            return group->fields.items[i];
    return NULL;
}

// What `or NAME` stands for: a weight of the same group, or one that is no part of an array.
static weight_node *find_alias(frontend *f, const ast_node *name, const weight_node *leaf)
{
    weight_node *other = leaf->parent ? find_field(leaf->parent, name->name) : NULL;
    const declaration *d = declaration_find(f, name->name);
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
    if (type_same_dims(other->type, leaf->type) && other->type->kind == leaf->type->kind)
        return other;
    fail(f, name->where, "'%s' cannot stand for '%s': it is %s, not %s", name->name, leaf->name,
         describe_type(f, other->type), describe_type(f, leaf->type));
    note(f, other->where, "'%s' is declared here", other->name);
    return NULL;
}

static bool in_file(const frontend *f, const char *name, frontend_tensor *out)
{
    const frontend_metadata *m = f->options->metadata;
    return m && m->tensor(m->context, name, out);
}

// The tensor's name in the file: the first source that is there; without a file, or without any
// of them there, the first. *alias: the weight whose tensor it is.
static const char *find_source(frontend *f, const weight_node *leaf, int64_t instance,
                               weight_node **alias)
{
    frontend_tensor found;
    const char *first = NULL;
    *alias = NULL;
    for (size_t i = 0; i < leaf->sources->children.count; i++) {
        const ast_node *origin = ast_child(leaf->sources, i);
        if (origin->kind == AST_NAME) {
            if (first && !f->options->metadata)
                return first;
            *alias = find_alias(f, origin, leaf);
            return *alias ? expand(f, ast_child((*alias)->sources, 0), *alias,
                                   (*alias)->instances > 1 ? instance : 0)
                          : NULL;
        }
        const char *name = expand(f, origin, leaf, instance);
        if (!name || in_file(f, name, &found))
            return name;
        first = first ? first : name;
    }
    return first ? first : weights_path(f, leaf, instance);
}

// ------------------------------------------------------------------- declaring

static weight_node *create_node(frontend *f, const weight_node *parent, const ast_node *declarator,
                                bool leaf)
{
    weight_node *n = ARENA_NEW(f->arena, weight_node);
    *n = (weight_node){
        .name = declarator->name, .parent = parent, .where = declarator->name_at, .leaf = leaf};
    ast_node *length = ast_child(declarator, 0);
    int64_t above = parent ? parent->instances : 1, indices[MAX_LEVELS];
    if (!ast_is_empty(length)) {
        if (parent && indices_of(parent, 0, indices) == MAX_LEVELS - 1) {
            fail(f, length->where, "arrays of weights nest at most %d deep", MAX_LEVELS - 1);
            return NULL;
        }
        if (!evaluate_whole(f, length, "the length of an array of weights", 1, MAX_ARRAY,
                            &n->length))
            return NULL;
    }
    n->instances = above * (n->length ? n->length : 1);
    if (n->instances <= max_weights)
        return n;
    fail(f, declarator->where, "more than 2^20 weights");
    return NULL;
}

// A matrix of floats or of a weight format is a weight; anything else stays a tensor.
static const ir_type *leaf_type(frontend *f, const ast_node *syntax)
{
    type_spec spec = type_resolve(f, syntax);
    if (spec.kind == SPEC_ERROR)
        return NULL;
    if (spec.kind != SPEC_WEIGHT && spec.kind != SPEC_TENSOR) {
        fail(f, syntax->where,
             "a weight is a tensor or a matrix, such as f32[D] or w[N, K]; '%s' is neither",
             syntax->name);
        return NULL;
    }
    const ir_type *t = type_of_spec(f, syntax->where, &spec);
    quant_format format;
    for (unsigned i = 0; t && i < t->rank; i++)
        if (t->dims[i].symbol || t->dims[i].value < 1) {
            fail(f, ast_child(spec.dims, i)->where,
                 "the size of a weight must be known and at least 1, this is %s",
                 describe_dim(f, t->dims[i]));
            return NULL;
        }
    if (t && t->kind == IR_TENSOR && t->rank == 2 &&
        quant_format_parse(scalar_rows[t->scalar].name, &format))
        return ir_type_weight(f->module, format.name, t->rank, t->dims);
    return t;
}

static void attach(frontend *f, weight_node *parent, weight_node *n, ast_node *syntax)
{
    if (!parent) {
        declaration *d = declare(f, DECLARATION_WEIGHT, syntax, n->name, n->where);
        if (d)
            d->weight = n;
        return;
    }
    const weight_node *other = find_field(parent, n->name);
    if (other) {
        fail(f, n->where, "'%s' is declared twice in '%s'", n->name, parent->name);
        note(f, other->where, "the first is here");
        return;
    }
    ARRAY_PUSH(f->arena, &parent->fields, n);
}

static void declare_fields(frontend *f, weight_node *parent, const ast_node *list);

static void declare_group(frontend *f, weight_node *parent, ast_node *syntax)
{
    ast_node header = {.kind = AST_DECLARATOR,
                       .name = syntax->name,
                       .where = syntax->where,
                       .name_at = syntax->name_at};
    ast_add(f->arena, &header, ast_child(syntax, 0));
    weight_node *n = create_node(f, parent, &header, false);
    if (!n)
        return;
    attach(f, parent, n, syntax);
    declare_fields(f, n, ast_child(syntax, 1));
    if (!n->fields.count && !ast_child(syntax, 1)->children.count)
        fail(f, n->where, "'%s' has no fields", n->name);
}

static void declare_leaves(frontend *f, weight_node *parent, ast_node *syntax)
{
    const ast_node *names = ast_child(syntax, 0);
    const ir_type *t = leaf_type(f, ast_child(syntax, 1));
    for (size_t i = 0; i < names->children.count; i++) {
        weight_node *n = create_node(f, parent, ast_child(names, i), true);
        if (!n || !t)
            continue;
        n->type = t;
        n->sources = ast_child(syntax, 2);
        n->ordinal = (unsigned)i;
        n->siblings = (unsigned)names->children.count;
        f->weights += n->instances;
        if (f->weights > max_weights)
            fail(f, n->where, "more than 2^20 weights");
        else
            attach(f, parent, n, syntax);
    }
}

static void declare_fields(frontend *f, weight_node *parent, const ast_node *list)
{
    for (size_t i = 0; i < list->children.count; i++) {
        ast_node *field = ast_child(list, i);
        if (field->kind == AST_STRUCT)
            declare_group(f, parent, field);
        else
            declare_leaves(f, parent, field);
    }
}

void weights_declare(frontend *f, ast_node *syntax)
{
    declare_fields(f, NULL, syntax);
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
    const char *name = find_source(f, leaf, instance, &alias);
    if (!name || alias)
        return NULL;
    if (!in_file(f, name, &found)) {
        return arena_format(f->arena, "weight '%s': %s has no tensor '%s'%s",
                            written(f, leaf, instance), m->file, name,
                            did_you_mean(f, m->nearest_tensor(m->context, name)));
    }
    if (shape_fits(leaf->type, &found))
        return NULL;
    return arena_format(f->arena, "weight '%s' is %s, but '%s' in %s is %s",
                        written(f, leaf, instance), describe_type(f, leaf->type), name, m->file,
                        describe_shape(f, &found));
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

// ----------------------------------------------------------------- using them

value weights_member(frontend *f, location where, value group, const char *name)
{
    const weight_node *n = group.weights;
    if (group.array)
        return fail(f, where, "'%s' is an array of %lld; index it before naming a field", n->name,
                    (long long)n->length);
    weight_node *field = find_field(n, name);
    if (field)
        return (value){.kind = VALUE_WEIGHTS,
                       .weights = field,
                       .integer = group.integer,
                       .array = field->length > 0};
    if (n->leaf)
        return fail(f, where, "'%s' is a weight and has no fields", n->name);
    const char **names = ARENA_ARRAY(f->arena, const char *, n->fields.count);
    for (size_t i = 0; i < n->fields.count; i++)
        names[i] = n->fields.items[i]->name;
    fail(f, where, "'%s' has no field '%s'%s", n->name, name,
         suggestion(f, name, names, n->fields.count));
    note(f, n->where, "its fields are %s", weights_fields(f, n));
    return poison();
}

value weights_index(frontend *f, location where, value array, value index)
{
    bool state = array.kind == VALUE_STATE;
    const char *name = state ? array.state->name : array.weights->name;
    int64_t length = state ? array.state->length : array.weights->length;
    if (index.kind != VALUE_INTEGER)
        return fail(f, where,
                    "the index of '%s' must be a whole number known at compile time, this is %s",
                    name, describe(f, index));
    if (index.integer < 0 || index.integer >= length) {
        fail(f, where, "index %lld is outside '%s', which has elements 0 to %lld",
             (long long)index.integer, name, (long long)length - 1);
        note(f, state ? array.state->where : array.weights->where, "'%s' is declared here", name);
        return poison();
    }
    array.integer = state ? index.integer : array.integer * length + index.integer;
    array.array = false;
    return array;
}

static const ir_type *decide_format(frontend *f, const weight_node *leaf, const char *name,
                                    const char *tensor)
{
    frontend_tensor found;
    quant_format format;
    const frontend_options *o = f->options;
    if (leaf->type->kind != IR_WEIGHT || strcmp(leaf->type->format, "w") || !o->weight_format)
        return leaf->type;
    const char *chosen =
        o->weight_format(o->weight_format_context, name, in_file(f, tensor, &found) ? &found : NULL,
                         leaf->type->dims[0].value, leaf->type->dims[1].value);
    if (!chosen)
        return leaf->type;
    if (!quant_format_parse(chosen, &format)) {
        fail(f, leaf->where, "'%s' is not a weight format (for weight '%s')", chosen, name);
        return leaf->type;
    }
    return ir_type_weight(f->module, format.name, leaf->type->rank, leaf->type->dims);
}

ir_value *weights_global(frontend *f, weight_node *leaf, int64_t instance)
{
    weight_node *alias;
    if (!leaf->globals)
        leaf->globals = ARENA_ARRAY(f->arena, ir_value *, (size_t)leaf->instances);
    if (leaf->globals[instance])
        return leaf->globals[instance];
    const char *tensor = find_source(f, leaf, instance, &alias);
    if (alias)
        return leaf->globals[instance] =
                   weights_global(f, alias, alias->instances > 1 ? instance : 0);
    const char *name = weights_path(f, leaf, instance);
    ir_global *g =
        ir_global_create(f->module, IR_GLOBAL_WEIGHT, name,
                         decide_format(f, leaf, name, tensor ? tensor : name), tensor, leaf->where);
    return leaf->globals[instance] = &g->value;
}

ir_value *state_global(frontend *f, state_node *s, int64_t element)
{
    if (!s->globals)
        s->globals = ARENA_ARRAY(f->arena, ir_value *, (size_t)(s->length ? s->length : 1));
    if (!s->globals[element]) {
        const char *name =
            s->length ? arena_format(f->arena, "%s.%lld", s->name, (long long)element) : s->name;
        ir_global *g = ir_global_create(f->module, IR_GLOBAL_STATE, name, s->type, NULL, s->where);
        s->globals[element] = &g->value;
    }
    return s->globals[element];
}
