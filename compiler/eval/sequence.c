// What models of sequences need: positions, rows of tables, states, rotation, attention.
#include "compiler/eval/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The product of dimensions first .. last - 1.
static int64_t count_of(const tensor *t, unsigned first, unsigned last)
{
    int64_t count = 1;
    for (unsigned i = first; i < last; i++)
        count *= t->shape[i];
    return count;
}

bool eval_iota(evaluator *e, const ir_op *op)
{
    tensor *y = eval_result(e, op, 0);
    for (int64_t i = 0; y && i < y->count; i++)
        y->data[i] = scalar_round(y->type, (double)i);
    return y;
}

bool eval_slice(evaluator *e, const ir_op *op)
{
    const tensor *x = eval_operand(e, op, 0), *start = eval_operand(e, op, 1);
    tensor *y = eval_result(e, op, 0);
    if (!x || !start || !y)
        return false;
    unsigned at = (unsigned)ir_integer(op, "dimension");
    int64_t first = (int64_t)start->data[0], size = x->shape[at], part = y->shape[at];
    int64_t outer = count_of(x, 0, at), inner = count_of(x, at + 1, x->rank);
    if (first < 0 || first > size - part)
        return eval_error(e, op, "%lld .. %lld is outside dimension %u, whose size is %lld",
                          (long long)first, (long long)(first + part), at, (long long)size);
    for (int64_t i = 0; i < outer; i++)
        memcpy(y->data + i * part * inner, x->data + (i * size + first) * inner,
               (size_t)(part * inner) * sizeof *y->data);
    return true;
}

// ------------------------------------------------------------------ rows of tables

typedef struct row_table {
    const tensor *tensor;
    const ir_global *weight; // or a matrix of weights, in any format
    int64_t rows, columns;
} row_table;

static bool find_table(evaluator *e, const ir_op *op, row_table *t)
{
    const ir_type *type = ir_operand(op, 0)->type;
    quant_mix mix;
    if (type->kind == IR_WEIGHT) {
        t->weight = eval_weight_of(e, op, 0, &mix);
        t->rows = type->dims[0].value;
        t->columns = type->dims[1].value;
        return t->weight;
    }
    t->tensor = eval_operand(e, op, 0);
    if (t->tensor) {
        t->rows = t->tensor->shape[0];
        t->columns = t->tensor->shape[1];
    }
    return t->tensor;
}

static bool read_row(evaluator *e, const row_table *t, int64_t row, double *out)
{
    const eval_weights *w = e->options.weights;
    const double *kept = t->weight ? e->globals[t->weight->value.mark].values : t->tensor->data;
    if (!kept)
        return w->values(w->context, e->diagnostics, t->weight, row, 1, out);
    memcpy(out, kept + row * t->columns, (size_t)t->columns * sizeof *out);
    return true;
}

bool eval_gather(evaluator *e, const ir_op *op)
{
    row_table table = {0};
    const tensor *indices = eval_operand(e, op, 1);
    tensor *y = eval_result(e, op, 0);
    if (!indices || !y || !find_table(e, op, &table))
        return false;
    for (int64_t i = 0; i < indices->count; i++) {
        double *to = y->data + i * table.columns;
        int64_t row = (int64_t)indices->data[i];
        if (row < 0 || row >= table.rows)
            return eval_error(e, op, "index %lld is outside the table's %lld rows", (long long)row,
                              (long long)table.rows);
        if (!read_row(e, &table, row, to))
            return false;
        for (int64_t k = 0; k < table.columns; k++)
            to[k] = scalar_round(y->type, to[k]);
    }
    return true;
}

// ------------------------------------------------------------------ states

// Rows of one slot: `count` of `row` elements each, at position `first` of `rows`.
static bool write_rows(evaluator *e, const ir_op *op, const tensor *state, int64_t slot_first,
                       int64_t rows, int64_t first, const double *x, int64_t count, int64_t row)
{
    if (first < 0 || first > rows - count)
        return eval_error(e, op, "rows %lld .. %lld are outside the state's %lld rows",
                          (long long)first, (long long)(first + count), (long long)rows);
    for (int64_t i = 0; i < count * row; i++)
        state->data[slot_first + first * row + i] = scalar_round(state->type, x[i]);
    return true;
}

// Without positions the whole state is one slot; a scalar is its own row.
bool eval_state_write(evaluator *e, const ir_op *op)
{
    const tensor *state = eval_operand(e, op, 0), *x = eval_operand(e, op, 1), *position;
    if (!state || !x || !eval_optional(e, op, "position", &position))
        return false;
    unsigned at = position && position->rank;
    int64_t slots = count_of(x, 0, at), row = at < x->rank ? count_of(x, at + 1, x->rank) : 1;
    int64_t rows = at < x->rank ? state->shape[at] : 1, count = at < x->rank ? x->shape[at] : 1;
    for (int64_t i = 0; i < slots; i++) {
        int64_t first = position ? (int64_t)position->data[i] : 0;
        if (!write_rows(e, op, state, i * rows * row, rows, first, x->data + i * count * row, count,
                        row))
            return false;
    }
    return true;
}

// ------------------------------------------------------------------ rotary embedding

typedef struct rotation {
    int64_t pairs, step, next; // pair p is (p * step, p * step + next)
    scalar_type type;
} rotation;

static void rotate(const rotation *r, const double *cosine, const double *sine, const double *x,
                   double *y)
{
    for (int64_t p = 0; p < r->pairs; p++) {
        int64_t first = p * r->step, second = first + r->next;
        double a = x[first], b = x[second];
        y[first] = scalar_round(r->type, a * cosine[p] - b * sine[p]);
        y[second] = scalar_round(r->type, a * sine[p] + b * cosine[p]);
    }
}

bool eval_rope(evaluator *e, const ir_op *op)
{
    const tensor *x = eval_operand(e, op, 0), *cosine = eval_operand(e, op, 1);
    const tensor *sine = eval_operand(e, op, 2);
    tensor *y = eval_result(e, op, 0);
    if (!x || !cosine || !sine || !y)
        return false;
    bool half = ir_name_is(op, "layout", "half");
    int64_t pairs = eval_columns(cosine), columns = eval_columns(x);
    int64_t heads = x->shape[x->rank - 2];
    rotation r = {pairs, half ? 1 : 2, half ? pairs : 1, y->type};
    for (int64_t i = 0; i < x->count; i++)
        y->data[i] = scalar_round(y->type, x->data[i]);
    for (int64_t row = 0; row < eval_rows(x); row++) {
        int64_t angles = row / heads * pairs;
        rotate(&r, cosine->data + angles, sine->data + angles, x->data + row * columns,
               y->data + row * columns);
    }
    return true;
}

// ------------------------------------------------------------------ attention

typedef struct attention {
    const tensor *q, *k, *v, *position, *slopes;
    tensor *y;
    double scale;
    int64_t window;
    int64_t batch, queries, heads, keys, groups, columns, width; // B T H, S G, D, E
    double *weights;                                             // one query's, over the keys
} attention;

// A query's weights of keys first .. last; their sum.
static double weigh(const attention *a, const double *q, const double *k, double slope,
                    int64_t first, int64_t last)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t j = first; j <= last; j++) {
        const double *key = k + j * a->groups * a->columns;
        double score = 0;
        for (int64_t i = 0; i < a->columns; i++)
            score += q[i] * key[i];
        a->weights[j] = a->scale * score + slope * (double)(j - last);
        largest = fmax(largest, a->weights[j]);
    }
    for (int64_t j = first; j <= last; j++)
        sum += a->weights[j] = exp(a->weights[j] - largest);
    return sum;
}

static void attend_head(const attention *a, int64_t b, int64_t t, int64_t h)
{
    int64_t group = h / (a->heads / a->groups);
    int64_t last = (int64_t)a->position->data[b] + t;
    int64_t first = a->window && last >= a->window ? last - a->window + 1 : 0;
    int64_t row = (b * a->queries + t) * a->heads + h, base = b * a->keys * a->groups + group;
    const double *v = a->v->data + base * a->width;
    double *y = a->y->data + row * a->width;
    double sum = weigh(a, a->q->data + row * a->columns, a->k->data + base * a->columns,
                       a->slopes ? a->slopes->data[h] : 0, first, last);
    for (int64_t j = first; j <= last; j++)
        for (int64_t i = 0; i < a->width; i++)
            y[i] += a->weights[j] * v[j * a->groups * a->width + i];
    for (int64_t i = 0; i < a->width; i++)
        y[i] = scalar_round(a->y->type, y[i] / sum);
}

static bool check_position(evaluator *e, const ir_op *op, const attention *a, int64_t b)
{
    int64_t first = (int64_t)a->position->data[b];
    return (first >= 0 && first <= a->keys - a->queries) ||
           eval_error(e, op, "positions %lld .. %lld are outside the %lld rows of k and v",
                      (long long)first, (long long)(first + a->queries), (long long)a->keys);
}

static bool find_attention(evaluator *e, const ir_op *op, attention *a)
{
    *a = (attention){.q = eval_operand(e, op, 0),
                     .k = eval_operand(e, op, 1),
                     .v = eval_operand(e, op, 2),
                     .position = eval_operand(e, op, 3)};
    if (!a->q || !a->k || !a->v || !a->position || !eval_optional(e, op, "slopes", &a->slopes) ||
        !(a->y = eval_result(e, op, 0)))
        return false;
    unsigned at = a->position->rank;
    a->scale = ir_number(op, "scale");
    a->window = ir_integer(op, "window");
    a->batch = count_of(a->q, 0, at);
    a->queries = a->q->shape[at];
    a->heads = a->q->shape[at + 1];
    a->columns = a->q->shape[at + 2];
    a->keys = a->k->shape[at];
    a->groups = a->k->shape[at + 1];
    a->width = a->v->shape[at + 2];
    return true;
}

bool eval_attend(evaluator *e, const ir_op *op)
{
    attention a;
    if (!find_attention(e, op, &a))
        return false;
    for (int64_t b = 0; b < a.batch; b++)
        if (!check_position(e, op, &a, b))
            return false;
    a.weights = calloc((size_t)a.keys + 1, sizeof *a.weights);
    if (!a.weights)
        INTERNAL_ERROR("out of memory");
    for (int64_t b = 0; b < a.batch; b++)
        for (int64_t t = 0; t < a.queries; t++)
            for (int64_t h = 0; h < a.heads; h++)
                attend_head(&a, b, t, h);
    free(a.weights);
    return true;
}
