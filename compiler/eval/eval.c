// The evaluator's life, dimensions and calls.
#include "compiler/eval/eval.h"
#include "compiler/eval/internal.h"

#include <stdlib.h>
#include <string.h>

// Marks number the globals, and the values of each function from 0.
static void number_op(ir_op *op, void *context)
{
    int64_t *next = context;
    for (unsigned i = 0; i < op->n_results; i++)
        op->results[i].mark = (*next)++;
    for (unsigned i = 0; i < op->n_regions; i++)
        for (size_t k = 0; k < op->regions[i]->arguments.count; k++)
            op->regions[i]->arguments.items[k]->mark = (*next)++;
}

static int64_t number_function(ir_function *f)
{
    int64_t next = 0;
    for (size_t i = 0; i < f->body->arguments.count; i++)
        f->body->arguments.items[i]->mark = next++;
    ir_walk(f->body, number_op, &next);
    return next;
}

// Back to what is given or has one possible value; the inputs of a call decide the others.
static void forget_dims(evaluator *e)
{
    for (size_t i = 0; i < e->module->symbols.count; i++) {
        const ir_symbol *s = e->module->symbols.items[i];
        if (!e->dims[i].given)
            e->dims[i].value = s->minimum == s->maximum ? s->minimum : -1;
    }
}

evaluator *eval_create(diagnostics *d, ir_module *m, const eval_options *options)
{
    arena *a = arena_create();
    evaluator *e = ARENA_NEW(a, evaluator);
    *e = (evaluator){.arena = a, .diagnostics = d, .module = m, .options = *options};
    int64_t globals = 0, values = 0;
    for (ir_global *g = m->globals; g; g = g->next)
        g->value.mark = globals++;
    for (ir_function *f = m->functions; f; f = f->next) {
        int64_t count = number_function(f);
        values = count > values ? count : values;
    }
    e->globals = ARENA_ARRAY(a, eval_global, (size_t)globals);
    e->slots = ARENA_ARRAY(a, slot, (size_t)values);
    e->n_slots = values;
    e->dims = arena_alloc_array(a, m->symbols.count, sizeof *e->dims);
    forget_dims(e);
    return e;
}

void eval_destroy(evaluator *e)
{
    if (!e)
        return;
    for (ir_global *g = e->module->globals; g; g = g->next)
        eval_release(&e->globals[g->value.mark].memory);
    arena_destroy(e->arena);
}

void eval_reset_states(evaluator *e)
{
    for (ir_global *g = e->module->globals; g; g = g->next) {
        eval_global *content = &e->globals[g->value.mark];
        if (g->kind == IR_GLOBAL_STATE && content->loaded)
            memset(content->memory.data, 0, (size_t)content->memory.count * sizeof(double));
    }
}

// ------------------------------------------------------------------ dimensions

static int64_t find_symbol(const evaluator *e, const char *name)
{
    for (size_t i = 0; i < e->module->symbols.count; i++)
        if (strcmp(e->module->symbols.items[i]->name, name) == 0)
            return (int64_t)i;
    return -1;
}

static bool refuse(evaluator *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(evaluator *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(e->diagnostics, SEVERITY_ERROR, NOWHERE, format, args);
    va_end(args);
    return false;
}

static bool check_range(evaluator *e, const ir_symbol *s, int64_t value)
{
    return (value >= s->minimum && value <= s->maximum) ||
           refuse(e, "dimension '%s' must be within %lld..%lld, not %lld", s->name,
                  (long long)s->minimum, (long long)s->maximum, (long long)value);
}

static bool unknown_dimension(evaluator *e, const char *name)
{
    size_t count = e->module->symbols.count;
    const char **names = ARENA_ARRAY(e->arena, const char *, count);
    for (size_t i = 0; i < count; i++)
        names[i] = e->module->symbols.items[i]->name;
    const char *nearest = text_nearest(name, names, count);
    return refuse(e, "the program has no dimension '%s'%s%s%s", name,
                  nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

bool eval_set_dim(evaluator *e, const char *name, int64_t value)
{
    int64_t i = find_symbol(e, name);
    if (i < 0)
        return unknown_dimension(e, name);
    if (!check_range(e, e->module->symbols.items[i], value))
        return false;
    e->dims[i].value = value;
    e->dims[i].given = true;
    return true;
}

static bool match_dimension(evaluator *e, const char *what, unsigned at, ir_dim d, int64_t size)
{
    if (ir_dim_is_constant(d))
        return d.value == size || refuse(e, "dimension %u of '%s' is %lld, not %lld", at, what,
                                         (long long)d.value, (long long)size);
    int64_t i = find_symbol(e, d.symbol->name);
    if (size % d.value)
        return refuse(e, "dimension %u of '%s' is %lld*%s, which %lld is not", at, what,
                      (long long)d.value, d.symbol->name, (long long)size);
    if (!check_range(e, d.symbol, size / d.value))
        return false;
    if (e->dims[i].value >= 0 && e->dims[i].value != size / d.value)
        return refuse(e, "dimension '%s' is %lld, but '%s' makes it %lld", d.symbol->name,
                      (long long)e->dims[i].value, what, (long long)(size / d.value));
    e->dims[i].value = size / d.value;
    return true;
}

bool eval_match_shape(evaluator *e, const char *what, const ir_type *type, unsigned rank,
                      const int64_t *shape)
{
    bool ok = true;
    if (rank != type->rank)
        return refuse(e, "'%s' has %u dimensions, not %u", what, type->rank, rank);
    for (unsigned i = 0; i < rank; i++)
        ok = match_dimension(e, what, i, type->dims[i], shape[i]) && ok;
    return ok;
}

bool eval_shape_of(evaluator *e, const char *what, const ir_type *type, int64_t shape[IR_MAX_RANK])
{
    for (unsigned i = 0; i < type->rank; i++) {
        ir_dim d = type->dims[i];
        int64_t size = 1;
        if (!ir_dim_is_constant(d))
            size = e->dims[find_symbol(e, d.symbol->name)].value;
        if (size < 0)
            return refuse(e, "the size of dimension '%s' of '%s' is not known; give --dim %s=N",
                          d.symbol->name, what, d.symbol->name);
        if (__builtin_mul_overflow(size, d.value, &shape[i]))
            return refuse(e, "the size of '%s' overflows", what);
    }
    return true;
}

scalar_type eval_scalar_of(const ir_type *type)
{
    return type->kind == IR_INDEX ? SCALAR_I64 : type->scalar;
}

// ------------------------------------------------------------------ calls

const char *eval_result_name(arena *a, const ir_function *f, size_t index)
{
    return f->results.count == 1 ? "result" : arena_format(a, "result%zu", index);
}

static const named_array *find_input(evaluator *e, const ir_value *argument, size_t n,
                                     const named_array *inputs)
{
    for (size_t i = 0; i < n; i++)
        if (argument->name && strcmp(inputs[i].name, argument->name) == 0)
            return &inputs[i];
    const char *name = argument->name ? argument->name : "(unnamed)";
    refuse(e, "input '%s' is missing; give --input %s=@FILE.npy, %s=random:1, ...", name, name,
           name);
    return NULL;
}

static bool check_names(evaluator *e, const ir_function *f, size_t n, const named_array *inputs)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (size_t k = 0; k < f->body->arguments.count; k++) {
            const char *name = f->body->arguments.items[k]->name;
            known = known || (name && strcmp(name, inputs[i].name) == 0);
        }
        if (!known)
            ok = refuse(e, "function '%s' has no input '%s'", f->name, inputs[i].name);
    }
    return ok;
}

static bool match_input(evaluator *e, const ir_value *argument, const named_array *input)
{
    scalar_type type = eval_scalar_of(argument->type);
    if (input->value.type != type)
        return refuse(e, "input '%s' is %s, not %s", input->name, scalar_rows[type].name,
                      scalar_rows[input->value.type].name);
    return eval_match_shape(e, input->name, argument->type, input->value.rank, input->value.shape);
}

static tensor from_array(const array *x)
{
    tensor t = {.type = x->type, .rank = x->rank, .count = array_count(x)};
    memcpy(t.shape, x->shape, sizeof t.shape);
    t.data = calloc((size_t)t.count + 1, sizeof(double));
    if (!t.data)
        INTERNAL_ERROR("out of memory");
    for (int64_t i = 0; i < t.count; i++)
        t.data[i] = array_get(x, i);
    return t;
}

static array to_array(arena *a, const tensor *t)
{
    array x = array_create(a, t->type, t->rank, t->shape);
    for (int64_t i = 0; i < t->count; i++)
        array_set(&x, i, t->data[i]);
    return x;
}

static bool run(evaluator *e, arena *a, const ir_function *f, named_array *outputs)
{
    const ir_op *end = eval_block(e, f->body);
    for (size_t i = 0; end && i < f->results.count; i++) {
        const tensor *t = eval_operand(e, end, (unsigned)i);
        if (!t)
            return false;
        outputs[i] = (named_array){eval_result_name(a, f, i), to_array(a, t)};
    }
    return end;
}

bool eval_bind_inputs(evaluator *e, arena *a, const ir_function *f, size_t n_inputs,
                      const named_array *inputs, tensor *held)
{
    size_t n = f->body->arguments.count;
    const named_array **found = ARENA_ARRAY(a, const named_array *, n);
    forget_dims(e);
    bool ok = check_names(e, f, n_inputs, inputs);
    for (size_t i = 0; i < n; i++) {
        found[i] = find_input(e, f->body->arguments.items[i], n_inputs, inputs);
        ok = found[i] && match_input(e, f->body->arguments.items[i], found[i]) && ok;
    }
    for (size_t i = 0; i < n && ok; i++) {
        held[i] = from_array(&found[i]->value);
        eval_bind_argument(e, f->body->arguments.items[i], &held[i]);
    }
    return ok;
}

bool eval_call(evaluator *e, arena *a, const ir_function *f, size_t n_inputs,
               const named_array *inputs, named_array *outputs)
{
    size_t n = f->body->arguments.count;
    tensor *held = ARENA_ARRAY(a, tensor, n);
    if (!eval_bind_inputs(e, a, f, n_inputs, inputs, held))
        return false;
    bool ok = run(e, a, f, outputs);
    for (int64_t i = 0; i < e->n_slots; i++)
        eval_release_slot(&e->slots[i]);
    for (size_t i = 0; i < n; i++)
        eval_release(&held[i]);
    return ok;
}

bool eval_state(evaluator *e, arena *a, const char *name, array *out)
{
    const ir_global *g = ir_global_find(e->module, name);
    if (!g || g->kind != IR_GLOBAL_STATE)
        return refuse(e, "the program has no state '%s'", name);
    const tensor *t = eval_global_memory(e, g);
    if (t)
        *out = to_array(a, t);
    return t;
}
