// Declared types, shapes, broadcasting.
#include "compiler/frontend/elaborate.h"

#include "compiler/quant/quant.h"

#include <string.h>

static const int64_t max_elements = (int64_t)1 << 46;
static const int64_t max_dimension = (int64_t)1 << 40;

// Types that exist while the program is compiled.
static const struct {
    const char *name;
    spec_kind kind;
} compile_time_types[] = {
    {"index", SPEC_INDEX}, {"number", SPEC_NUMBER}, {"boolean", SPEC_BOOLEAN}, {"text", SPEC_TEXT}};

// ----------------------------------------------------------------- type names

// What the modifiers of a type say, in whatever order.
typedef struct format_parts {
    int64_t group;
    bool row, zero, scales, wide;
} format_parts;

static bool read_scales(const ast_node *argument, format_parts *out)
{
    if (out->scales || argument->kind != AST_NAME)
        return false;
    out->scales = true;
    out->wide = !strcmp(argument->name, "f32");
    return out->wide || !strcmp(argument->name, "f16");
}

static bool read_modifier(frontend *f, const ast_node *m, format_parts *out)
{
    ast_node *argument = ast_child(m, 0);
    bool bare = ast_is_empty(argument), sized = out->group || out->row, good = false;
    if (!strcmp(m->name, "group") && !bare && !sized)
        return evaluate_whole(f, argument, "a group", 1, 1 << 20, &out->group);
    if (!strcmp(m->name, "row"))
        good = bare && !sized && (out->row = true);
    else if (!strcmp(m->name, "zero"))
        good = bare && !out->zero && (out->zero = true);
    else if (!strcmp(m->name, "scales"))
        good = read_scales(argument, out);
    if (!good)
        fail(f, m->where,
             "'%s' does not fit here; a weight format takes group(G) or row, zero, scales(f32), "
             "each once",
             describe_syntax(f, m));
    return good;
}

// w2 group(64) zero -> w2g64z. NULL: reported.
static const char *find_format(frontend *f, const ast_node *type)
{
    const ast_node *modifiers = ast_child(type, 1);
    format_parts parts = {0};
    for (size_t i = 0; i < modifiers->children.count; i++)
        if (!read_modifier(f, ast_child(modifiers, i), &parts))
            return NULL;
    quant_format parsed;
    const char *group = parts.group ? arena_format(f->arena, "g%lld", (long long)parts.group) : "";
    const char *name =
        arena_intern(f->arena, arena_format(f->arena, "%s%s%s%s", type->name, group,
                                            parts.zero ? "z" : "", parts.wide ? "f" : ""));
    if (quant_format_is_open(name) || quant_format_parse(name, &parsed))
        return name;
    bool zero = quant_format_parse(arena_format(f->arena, "%sz", type->name), &parsed);
    fail(f, type->where,
         "there is no weight format '%s': %s takes group(16, 32, 64, 128 or 256) or row%s "
         "scales(f32) (with a group)",
         describe_syntax(f, type), type->name, zero ? ", then zero and" : ", then");
    return NULL;
}

static bool is_format_base(const char *name)
{
    quant_format format;
    return quant_format_is_open(name) || quant_format_parse(name, &format);
}

static type_spec unknown_type(frontend *f, const ast_node *type)
{
    const declaration *d = declaration_find(f, type->name);
    if (weights_failed(f, type->name) || (d && d->kind == DECLARATION_CONST && is_poison(d->value)))
        return (type_spec){SPEC_ERROR};
    static const char *const names[] = {"f64",   "f32",    "f16",     "bf16", "e4m3",  "e5m2",
                                        "i64",   "i32",    "i16",     "i8",   "u8",    "i1",
                                        "index", "number", "boolean", "w",    "dense", "text"};
    size_t count = sizeof names / sizeof *names, bases = 0;
    while (quant_base_name(bases))
        bases++;
    const char **candidates =
        ARENA_ARRAY(f->arena, const char *, count + bases + f->declarations.count);
    memcpy(candidates, names, sizeof names);
    text formats = {0};
    for (size_t i = 0; i < bases; i++) {
        scalar_type scalar;
        candidates[count++] = quant_base_name(i);
        if (!scalar_by_name(quant_base_name(i), &scalar))
            text_printf(&formats, " %s", quant_base_name(i));
    }
    for (size_t i = 0; i < f->declarations.count; i++)
        if (f->declarations.items[i]->kind == DECLARATION_WEIGHT)
            candidates[count++] = f->declarations.items[i]->name;
    if (d && d->kind == DECLARATION_CONST)
        fail(f, type->name_at, "constant '%s' is %s, not the name of an element type", type->name,
             describe(f, d->value));
    else
        fail(f, type->name_at, "there is no type '%s'%s", type->name,
             suggestion(f, type->name, candidates, count));
    note(f, NOWHERE,
         "types are f64 f32 f16 bf16 e4m3 e5m2 i64 i32 i16 i8 u8 i1, for weights also w dense%s, "
         "for "
         "parameters also index number boolean text and the names of weight groups",
         text_string(&formats));
    text_free(&formats);
    return (type_spec){SPEC_ERROR};
}

static type_spec without_dims(frontend *f, const ast_node *type, type_spec s)
{
    if (ast_is_empty(s.dims))
        return s;
    fail(f, type->where, "'%s' has no dimensions", type->name);
    return (type_spec){SPEC_ERROR};
}

static type_spec resolve_group(frontend *f, const ast_node *type, const declaration *d)
{
    type_spec s = {.kind = SPEC_GROUP, .group = d->weight, .dims = ast_child(type, 0)};
    if (d->weight->leaf) {
        fail(f, type->where, "'%s' is a weight, not a type; write its type, as in w[N, K]",
             d->name);
        note(f, d->where, "'%s' is declared here", d->name);
        return (type_spec){SPEC_ERROR};
    }
    return without_dims(f, type, s);
}

bool type_scalar(frontend *f, const char *name, location where, scalar_type *out)
{
    if (scalar_by_name(name, out))
        return true;
    declaration *d = declaration_find(f, name);
    if (!d || d->kind != DECLARATION_CONST)
        return false;
    value v = declaration_value(f, d, where);
    return v.kind == VALUE_TEXT && scalar_by_name(v.text, out);
}

type_spec type_resolve(frontend *f, const ast_node *type)
{
    const ast_node *dims = ast_child(type, 0), *modifiers = ast_child(type, 1);
    type_spec s = {.dims = dims};
    for (size_t i = 0; i < sizeof compile_time_types / sizeof *compile_time_types; i++)
        if (!strcmp(type->name, compile_time_types[i].name)) {
            s.kind = compile_time_types[i].kind;
            return without_dims(f, type, s);
        }
    if (type_scalar(f, type->name, type->where, &s.scalar)) {
        s.kind = ast_is_empty(dims) ? SPEC_SCALAR : SPEC_TENSOR;
        if (!modifiers->children.count)
            return s;
        fail(f, ast_child(modifiers, 0)->where,
             "'%s' has no groups: its elements are not quantized", type->name);
        return (type_spec){SPEC_ERROR};
    }
    if (is_format_base(type->name)) {
        s.kind = SPEC_WEIGHT;
        s.format = find_format(f, type);
        if (s.format && dims->children.count == 2)
            return s;
        if (s.format)
            fail(f, type->where, "a weight in format '%s' is a matrix: expected %s[N, K]",
                 type->name, type->name);
        return (type_spec){SPEC_ERROR};
    }
    const declaration *d = declaration_find(f, type->name);
    return d && d->kind == DECLARATION_WEIGHT && d->weight ? resolve_group(f, type, d)
                                                           : unknown_type(f, type);
}

// --------------------------------------------------------------------- shapes

bool type_dim(frontend *f, ast_node *n, ir_dim *out)
{
    value v = evaluate(f, n);
    if (is_poison(v))
        return false;
    if (v.kind == VALUE_DIMENSION) {
        *out = v.dim;
    } else if (v.kind == VALUE_INTEGER) {
        *out = ir_dim_constant(v.integer);
    } else {
        fail(f, n->where,
             v.kind == VALUE_RUNTIME
                 ? "a size must be a whole number or a multiple of a dimension; '%s' "
                   "is computed at run time (%s)"
                 : "a size must be a whole number or a multiple of a dimension; '%s' is %s",
             describe_syntax(f, n), describe(f, v));
        return false;
    }
    if (out->value >= 0 && out->value <= max_dimension)
        return true;
    fail(f, n->where, "a size must be between 0 and 2^40, this is %lld", (long long)out->value);
    return false;
}

bool type_dims(frontend *f, const ast_node *dims, unsigned *rank, ir_dim *out)
{
    if (dims->children.count > IR_MAX_RANK) {
        fail(f, dims->where, "a tensor has at most %d dimensions, these are %zu", IR_MAX_RANK,
             dims->children.count);
        return false;
    }
    bool good = true;
    *rank = (unsigned)dims->children.count;
    for (unsigned i = 0; i < *rank; i++)
        good &= type_dim(f, ast_child(dims, i), &out[i]);
    return good;
}

const ir_type *type_tensor(frontend *f, location where, scalar_type s, unsigned rank,
                           const ir_dim *dims)
{
    int64_t count = 1;
    if (rank > IR_MAX_RANK) {
        fail(f, where, "a tensor has at most %d dimensions", IR_MAX_RANK);
        return NULL;
    }
    for (unsigned i = 0; i < rank; i++)
        if (ir_dim_maximum(dims[i]) &&
            (__builtin_mul_overflow(count, ir_dim_maximum(dims[i]), &count) ||
             count > max_elements)) {
            const char *all = describe_type(f, ir_type_tensor(f->module, s, rank, dims));
            fail(f, where, "a tensor or matrix %s has more than 2^46 elements", strchr(all, '['));
            return NULL;
        }
    return ir_type_tensor(f->module, s, rank, dims);
}

const ir_type *type_of_spec(frontend *f, location where, const type_spec *s)
{
    unsigned rank;
    ir_dim dims[IR_MAX_RANK];
    if (s->kind == SPEC_SCALAR)
        return ir_type_scalar(f->module, s->scalar);
    if (!type_dims(f, s->dims, &rank, dims))
        return NULL;
    const ir_type *tensor = type_tensor(f, where, s->scalar, rank, dims);
    if (s->kind == SPEC_WEIGHT && tensor)
        return ir_type_weight(f->module, s->format, rank, dims);
    return tensor;
}

const char *type_element(const ir_type *t)
{
    return t->kind == IR_INDEX    ? "index"
           : t->kind == IR_WEIGHT ? t->format
                                  : scalar_rows[t->scalar].name;
}

bool type_same_element(const ir_type *a, const ir_type *b)
{
    return (a->kind == IR_INDEX) == (b->kind == IR_INDEX) &&
           (a->kind == IR_INDEX || a->scalar == b->scalar);
}

// The dimension `from_end` places before the last, 1 beyond the first.
static ir_dim dim_from_end(const ir_type *t, unsigned from_end)
{
    return from_end < t->rank ? t->dims[t->rank - 1 - from_end] : ir_dim_constant(1);
}

static bool is_one(ir_dim d)
{
    return !d.symbol && d.value == 1;
}

const ir_type *type_broadcast(frontend *f, location where, const char *op, const ir_type *x,
                              const ir_type *y)
{
    if (x->kind != IR_TENSOR && y->kind != IR_TENSOR)
        return x;
    unsigned rank = x->rank > y->rank ? x->rank : y->rank;
    ir_dim dims[IR_MAX_RANK];
    for (unsigned i = 0; i < rank; i++) {
        ir_dim a = dim_from_end(x, i), b = dim_from_end(y, i);
        if (!ir_dim_equal(a, b) && !is_one(a) && !is_one(b)) {
            fail(f, where,
                 "the shapes of '%s' do not fit together: %s and %s (counted from the last, "
                 "dimension %u is %s and %s)",
                 op, describe_type(f, x), describe_type(f, y), i + 1, describe_dim(f, a),
                 describe_dim(f, b));
            return NULL;
        }
        dims[rank - 1 - i] = is_one(a) ? b : a;
    }
    return type_tensor(f, where, x->kind == IR_TENSOR ? x->scalar : y->scalar, rank, dims);
}

// A product of sizes in normal form: the coefficient and the symbols in order.
typedef struct product {
    __int128 coefficient;
    unsigned count;
    const ir_symbol *symbols[IR_MAX_RANK];
} product;

static product multiply(unsigned rank, const ir_dim *dims)
{
    product p = {.coefficient = 1};
    for (unsigned i = 0; i < rank; i++) {
        p.coefficient *= dims[i].value;
        if (!dims[i].symbol)
            continue;
        unsigned at = p.count++;
        for (; at && (uintptr_t)p.symbols[at - 1] > (uintptr_t)dims[i].symbol; at--)
            p.symbols[at] = p.symbols[at - 1];
        p.symbols[at] = dims[i].symbol;
    }
    return p;
}

bool type_same_count(const ir_type *t, unsigned rank, const ir_dim *dims)
{
    product a = multiply(t->rank, t->dims), b = multiply(rank, dims);
    return a.coefficient == b.coefficient &&
           (a.coefficient == 0 ||
            (a.count == b.count && !memcmp(a.symbols, b.symbols, a.count * sizeof *a.symbols)));
}
