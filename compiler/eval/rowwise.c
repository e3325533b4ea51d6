// Operations over the last dimension.
#include "compiler/eval/internal.h"

#include <math.h>

typedef struct norm {
    const tensor *x, *gain, *bias;
    tensor *y;
    double epsilon;
    bool centred;
} norm;

static void norm_row(const norm *n, int64_t row)
{
    int64_t columns = eval_columns(n->x);
    const double *x = n->x->data + row * columns;
    double *y = n->y->data + row * columns, mean = 0, square = 0;
    for (int64_t i = 0; i < columns && n->centred; i++)
        mean += x[i] / (double)columns;
    for (int64_t i = 0; i < columns; i++)
        square += (x[i] - mean) * (x[i] - mean);
    double root = sqrt(square / (double)columns + n->epsilon);
    for (int64_t i = 0; i < columns; i++) {
        double value = (x[i] - mean) / root;
        value = n->gain ? value * n->gain->data[i] : value;
        y[i] = scalar_round(n->y->type, n->bias ? value + n->bias->data[i] : value);
    }
}

static bool eval_norm(evaluator *e, const ir_op *op, bool centred)
{
    norm n = {.x = eval_operand(e, op, 0),
              .y = eval_result(e, op, 0),
              .epsilon = ir_number(op, "eps"),
              .centred = centred};
    if (!n.x || !n.y || !eval_optional(e, op, "gain", &n.gain) ||
        (centred && !eval_optional(e, op, "bias", &n.bias)))
        return false;
    for (int64_t row = 0; row < eval_rows(n.x); row++)
        norm_row(&n, row);
    return true;
}

bool eval_rms_norm(evaluator *e, const ir_op *op)
{
    return eval_norm(e, op, false);
}
bool eval_layer_norm(evaluator *e, const ir_op *op)
{
    return eval_norm(e, op, true);
}

bool eval_softmax(evaluator *e, const ir_op *op)
{
    const tensor *x = eval_operand(e, op, 0);
    tensor *y = eval_result(e, op, 0);
    if (!x || !y)
        return false;
    int64_t columns = eval_columns(x);
    for (int64_t row = 0; row < eval_rows(x); row++) {
        const double *from = x->data + row * columns;
        double *to = y->data + row * columns, largest = -INFINITY, sum = 0;
        for (int64_t i = 0; i < columns; i++)
            largest = fmax(largest, from[i]);
        for (int64_t i = 0; i < columns; i++)
            sum += to[i] = exp(from[i] - largest);
        for (int64_t i = 0; i < columns; i++)
            to[i] = scalar_round(y->type, to[i] / sum);
    }
    return true;
}

bool eval_quantize(evaluator *e, const ir_op *op)
{
    const tensor *x = eval_operand(e, op, 0);
    tensor *q = eval_result(e, op, 0), *scale = eval_result(e, op, 1);
    if (!x || !q || !scale)
        return false;
    int64_t columns = eval_columns(x);
    double most = scalar_largest(q->type);
    for (int64_t row = 0; row < eval_rows(x); row++) {
        const double *from = x->data + row * columns;
        double largest = 0;
        for (int64_t i = 0; i < columns; i++)
            largest = fmax(largest, fabs(from[i]));
        float s = (float)largest / (float)most;
        scale->data[row] = scalar_round(scale->type, (double)s);
        for (int64_t i = 0; i < columns; i++)
            q->data[row * columns + i] =
                s == 0 ? 0 : scalar_round(q->type, (double)((float)from[i] / s));
    }
    return true;
}
