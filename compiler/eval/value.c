// Values during a call, and the content of globals.
#include "compiler/eval/internal.h"

#include <stdlib.h>
#include <string.h>

#define MOST_ELEMENTS (INT64_C(1) << 32) // of one value; beyond, something is wrong

int64_t eval_columns(const tensor *t)
{
    return t->rank ? t->shape[t->rank - 1] : 1;
}

int64_t eval_rows(const tensor *t)
{
    int64_t rows = 1;
    for (unsigned i = 0; i + 1 < t->rank; i++)
        rows *= t->shape[i];
    return rows;
}

void eval_release(tensor *t)
{
    free(t->data);
    *t = (tensor){0};
}

bool eval_error(evaluator *e, const ir_op *op, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diagnostic_vreport(e->diagnostics, SEVERITY_ERROR, op->where, format, args);
    va_end(args);
    return false;
}

static bool allocate(evaluator *e, const char *what, scalar_type scalar, unsigned rank,
                     const int64_t *shape, tensor *out)
{
    array probe = {.type = SCALAR_F64, .rank = rank};
    tensor t = {.type = scalar, .rank = rank};
    for (unsigned i = 0; i < rank; i++)
        probe.shape[i] = t.shape[i] = shape[i];
    t.count = array_count(&probe);
    if (t.count < 0 || t.count > MOST_ELEMENTS) {
        diagnostic_error(e->diagnostics, NOWHERE, "'%s' is too large to evaluate", what);
        return false;
    }
    t.data = calloc((size_t)t.count + 1, sizeof(double));
    if (!t.data)
        INTERNAL_ERROR("out of memory for '%s'", what);
    *out = t;
    return true;
}

// ------------------------------------------------------------------ globals

static bool load_content(evaluator *e, const ir_global *g, tensor *t)
{
    const eval_weights *w = e->options.weights;
    switch (g->kind) {
    case IR_GLOBAL_STATE: return true;
    case IR_GLOBAL_CONSTANT:
        memcpy(t->data, g->values, (size_t)t->count * sizeof *t->data);
        return true;
    case IR_GLOBAL_WEIGHT:
        return !t->count || w->values(w->context, e->diagnostics, g, 0, eval_rows(t), t->data);
    }
    UNREACHABLE();
}

static bool load_global(evaluator *e, const ir_global *g, eval_global *content)
{
    const ir_type *type = g->value.type;
    int64_t largest[IR_MAX_RANK];
    for (unsigned i = 0; i < type->rank; i++)
        largest[i] = ir_dim_maximum(type->dims[i]);
    content->loaded = allocate(e, g->name, type->scalar, type->rank, largest, &content->memory) &&
                      load_content(e, g, &content->memory);
    if (!content->loaded)
        eval_release(&content->memory);
    return content->loaded;
}

const tensor *eval_global_memory(evaluator *e, const ir_global *g)
{
    eval_global *content = &e->globals[g->value.mark];
    return content->loaded || load_global(e, g, content) ? &content->memory : NULL;
}

const tensor *eval_global_content(evaluator *e, const ir_global *g)
{
    eval_global *content = &e->globals[g->value.mark];
    tensor *t = &content->value;
    if (!eval_global_memory(e, g))
        return NULL;
    *t = content->memory;
    if (!eval_shape_of(e, g->name, g->value.type, t->shape))
        return NULL;
    t->count = 1;
    for (unsigned i = 0; i < t->rank; i++)
        t->count *= t->shape[i];
    return t;
}

// ------------------------------------------------------------------ operands and results

const ir_global *eval_global_of(const evaluator *e, const ir_value *v)
{
    return v->kind == IR_VALUE_GLOBAL ? v->global : e->slots[v->mark].alias;
}

static const tensor *value_of(evaluator *e, const ir_op *op, const ir_value *v)
{
    const ir_global *g = v ? eval_global_of(e, v) : NULL;
    if (!g)
        return v ? &e->slots[v->mark].value : NULL;
    if (v->type->kind == IR_TENSOR)
        return eval_global_content(e, g);
    eval_error(e, op, "'%s' is a matrix of weights, not a tensor", g->name);
    return NULL;
}

const tensor *eval_operand(evaluator *e, const ir_op *op, unsigned slot_index)
{
    return value_of(e, op, ir_operand(op, slot_index));
}

const tensor *eval_operand_named(evaluator *e, const ir_op *op, const char *name)
{
    return value_of(e, op, ir_operand_named(op, name));
}

bool eval_optional(evaluator *e, const ir_op *op, const char *name, const tensor **out)
{
    *out = NULL;
    return !ir_operand_named(op, name) || (*out = eval_operand_named(e, op, name));
}

const ir_global *eval_weight_of(evaluator *e, const ir_op *op, unsigned slot_index, quant_mix *mix)
{
    const ir_value *w = ir_operand(op, slot_index);
    const ir_global *g = eval_global_of(e, w);
    if (!g)
        eval_error(e, op, "the matrix must be a weight of the module");
    else if (!quant_mix_parse(w->type->format, mix))
        eval_error(e, op, "weight '%s' has no format yet ('%s'); run quantize-weights first",
                   g->name, w->type->format);
    else
        return g;
    return NULL;
}

tensor *eval_result(evaluator *e, const ir_op *op, unsigned index)
{
    const ir_value *v = &op->results[index];
    tensor *t = &e->slots[v->mark].value;
    const char *what = v->name ? v->name : ir_op_rows[op->code].name;
    int64_t shape[IR_MAX_RANK];
    bool ok = eval_shape_of(e, what, v->type, shape) &&
              allocate(e, what, eval_scalar_of(v->type), v->type->rank, shape, t);
    return ok ? t : NULL;
}
