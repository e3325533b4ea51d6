// Declared weights and states: their tree, their globals in the module.
#include "compiler/frontend/elaborate.h"

#include "compiler/quant/quant.h"

#include <string.h>

enum { MAX_ARRAY = 65536, MAX_FIELDS = 4096 };
static const int64_t max_weights = 1 << 20;

// ----------------------------------------------------------------- names

// Indices of an instance, outermost first; returns how many arrays there are.
unsigned weights_indices(const weight_node *n, int64_t instance, int64_t *out)
{
    int64_t reversed[WEIGHTS_MAX_LEVELS];
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
const char *weights_written(frontend *f, const weight_node *n, int64_t instance)
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

weight_node *weights_field(const weight_node *group, const char *name)
{
    for (size_t i = 0; i < group->fields.count; i++)
        if (group->fields.items[i]->name == name)
            return group->fields.items[i];
    return NULL;
}

bool weights_failed(const frontend *f, const char *name)
{
    for (size_t i = 0; i < f->failed.count; i++)
        if (f->failed.items[i] == name)
            return true;
    return false;
}

// ------------------------------------------------------------------- declaring

static weight_node *create_node(frontend *f, const weight_node *parent, const ast_node *declarator,
                                bool leaf)
{
    weight_node *n = ARENA_NEW(f->arena, weight_node);
    *n = (weight_node){
        .name = declarator->name, .parent = parent, .where = declarator->name_at, .leaf = leaf};
    ast_node *length = ast_child(declarator, 0);
    int64_t above = parent ? parent->instances : 1, indices[WEIGHTS_MAX_LEVELS];
    if (!ast_is_empty(length)) {
        if (parent && weights_indices(parent, 0, indices) == WEIGHTS_MAX_LEVELS - 1) {
            fail(f, length->where, "arrays of weights nest at most %d deep",
                 WEIGHTS_MAX_LEVELS - 1);
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
    const weight_node *other = weights_field(parent, n->name);
    if (other) {
        fail(f, n->where, "'%s' is declared twice in '%s'", n->name, parent->name);
        note(f, other->where, "the first is here");
        return;
    }
    if (parent->fields.count < MAX_FIELDS)
        ARRAY_PUSH(f->arena, &parent->fields, n);
    else
        fail(f, n->where, "more than %d fields", MAX_FIELDS);
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
    if (!n) {
        ARRAY_PUSH(f->arena, &f->failed, syntax->name);
        return;
    }
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
        if (!n || !t) {
            ARRAY_PUSH(f->arena, &f->failed, ast_child(names, i)->name);
            continue;
        }
        n->type = t;
        n->sources = ast_child(syntax, 2);
        n->ordinal = (unsigned)i;
        n->siblings = (unsigned)names->children.count;
        n->optional = syntax->integer != 0;
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

// ----------------------------------------------------------------- using them

value weights_member(frontend *f, location where, value group, const char *name)
{
    const weight_node *n = group.weights;
    if (group.array)
        return fail(f, where, "'%s' is an array of %lld; index it before naming a field", n->name,
                    (long long)n->length);
    weight_node *field = weights_field(n, name);
    if (field)
        return (value){.kind = VALUE_WEIGHTS,
                       .weights = field,
                       .integer = group.integer,
                       .array = field->length > 0};
    if (n->leaf)
        return fail(f, where, "'%s' is a weight and has no fields", n->name);
    if (weights_failed(f, name))
        return poison();
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

bool weights_absent(frontend *f, value v)
{
    return v.kind == VALUE_WEIGHTS && !v.array && v.weights->leaf && v.weights->optional &&
           !weights_present(f, v.weights, v.integer);
}

bool weights_require(frontend *f, const ast_node *n, value v)
{
    if (!weights_absent(f, v))
        return true;
    const char *name = describe_syntax(f, n);
    const frontend_metadata *m = f->options->metadata;
    fail(f, n->where, "'%s' is optional, and %s; ask has(%s) first", name,
         m ? arena_format(f->arena, "%s lacks it", m->file) : "there is no weight file", name);
    note(f, v.weights->where, "'%s' is declared here", v.weights->name);
    return false;
}

static const ir_type *decide_format(frontend *f, const weight_node *leaf, const char *name,
                                    const char *tensor)
{
    frontend_tensor found;
    quant_format format;
    const frontend_options *o = f->options;
    if (leaf->type->kind != IR_WEIGHT || strcmp(leaf->type->format, "w") || !o->weight_format)
        return leaf->type;
    const char *chosen = o->weight_format(o->weight_format_context, name,
                                          weights_in_file(f, tensor, &found) ? &found : NULL,
                                          leaf->type->dims[0].value, leaf->type->dims[1].value);
    if (!chosen)
        return leaf->type;
    if (!quant_format_parse(chosen, &format)) {
        fail(f, leaf->where, "'%s' is not a weight format (for weight '%s')", chosen, name);
        return leaf->type;
    }
    return ir_type_weight(f->module, format.name, leaf->type->rank, leaf->type->dims);
}

// Tied weights: `leaf` has no tensor of its own but that of `alias`.
static ir_value *shared_global(frontend *f, const weight_node *leaf, int64_t instance,
                               weight_node *alias)
{
    const frontend_options *o = f->options;
    int64_t other = alias->instances > 1 ? instance : 0;
    if (o->tied)
        o->tied(o->tied_context, weights_path(f, leaf, instance), weights_path(f, alias, other));
    return weights_global(f, alias, other);
}

ir_value *weights_global(frontend *f, weight_node *leaf, int64_t instance)
{
    weight_node *alias;
    if (!leaf->globals)
        leaf->globals = ARENA_ARRAY(f->arena, ir_value *, (size_t)leaf->instances);
    if (leaf->globals[instance])
        return leaf->globals[instance];
    const char *tensor = weights_source(f, leaf, instance, &alias);
    if (alias)
        return leaf->globals[instance] = shared_global(f, leaf, instance, alias);
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
