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

static bool allocate(evaluator *e, const char *what, const ir_type *type, scalar_type scalar,
                     tensor *out)
{
    array probe = {.type = SCALAR_F64, .rank = type->rank};
    tensor t = {.type = scalar, .rank = type->rank};
    if (!eval_shape_of(e, what, type, t.shape))
        return false;
    memcpy(probe.shape, t.shape, sizeof t.shape);
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

static bool load_tensor(evaluator *e, const ir_global *g, tensor *t)
{
    const eval_weights *w = e->options.weights;
    return g->kind == IR_GLOBAL_STATE || !t->count ||
           w->values(w->context, e->diagnostics, g, 0, eval_rows(t), t->data);
}

const tensor *eval_global_content(evaluator *e, const ir_global *g)
{
    eval_global *content = &e->globals[g->value.mark];
    if (content->loaded)
        return &content->value;
    if (!allocate(e, g->name, g->value.type, g->value.type->scalar, &content->value) ||
        !load_tensor(e, g, &content->value))
        return NULL;
    content->loaded = true;
    return &content->value;
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

tensor *eval_result(evaluator *e, const ir_op *op, unsigned index)
{
    const ir_value *v = &op->results[index];
    tensor *t = &e->slots[v->mark].value;
    const char *what = v->name ? v->name : ir_op_rows[op->code].name;
    return allocate(e, what, v->type, eval_scalar_of(v->type), t) ? t : NULL;
}
