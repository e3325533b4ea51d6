// Elementwise operations: a row each, computed in double (integers in int64,
// wrapping or saturating like the machine's) and rounded once to the result's type.
#include "compiler/eval/internal.h"

#include <math.h>
#include <string.h>

typedef double float_function(double x, double y, double z);
typedef int64_t integer_function(int64_t x, int64_t y, int64_t z);

#define FLOAT(name, expression)                                                                    \
    static double name##_float(double x, double y, double z)                                       \
    {                                                                                              \
        (void)x, (void)y, (void)z;                                                                 \
        return expression;                                                                         \
    }
#define INTEGER(name, expression)                                                                  \
    static int64_t name##_integer(int64_t x, int64_t y, int64_t z)                                 \
    {                                                                                              \
        (void)x, (void)y, (void)z;                                                                 \
        return expression;                                                                         \
    }
#define WRAP(x) ((uint64_t)(x))

static int64_t quotient(int64_t x, int64_t y)
{
    if (y == 0)
        return -1; // as RISC-V divides
    return y == -1 ? (int64_t)-WRAP(x) : x / y;
}

FLOAT(add, x + y)
FLOAT(sub, x - y)
FLOAT(mul, x *y)
FLOAT(div, x / y)
FLOAT(max, fmax(x, y))
FLOAT(min, fmin(x, y))
FLOAT(fma, fma(x, y, z))
FLOAT(neg, -x)
FLOAT(abs, fabs(x))
FLOAT(square, x *x)
FLOAT(sqrt, sqrt(x))
FLOAT(rsqrt, 1 / sqrt(x))
FLOAT(exp, exp(x))
FLOAT(tanh, tanh(x))
FLOAT(erf, erf(x))
FLOAT(sin, sin(x))
FLOAT(cos, cos(x))
FLOAT(sigmoid, 1 / (1 + exp(-x)))
FLOAT(silu, x / (1 + exp(-x)))
FLOAT(gelu, x / 2 * (1 + erf(x / 1.4142135623730951)))
FLOAT(gelu_tanh, x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))))
FLOAT(relu, fmax(x, 0))
FLOAT(round, rint(x))
FLOAT(cast, x)

INTEGER(add, (int64_t)(WRAP(x) + WRAP(y)))
INTEGER(sub, (int64_t)(WRAP(x) - WRAP(y)))
INTEGER(mul, (int64_t)(WRAP(x) * WRAP(y)))
INTEGER(div, quotient(x, y))
INTEGER(rem, y == 0 ? x : (int64_t)(WRAP(x) - WRAP(quotient(x, y)) * WRAP(y)))
INTEGER(max, x > y ? x : y)
INTEGER(min, x < y ? x : y)
INTEGER(fma, (int64_t)(WRAP(x) * WRAP(y) + WRAP(z)))
INTEGER(neg, (int64_t)-WRAP(x))
INTEGER(abs, x < 0 ? (int64_t)-WRAP(x) : x)
INTEGER(square, (int64_t)(WRAP(x) * WRAP(x)))
INTEGER(relu, x > 0 ? x : 0)
INTEGER(round, x)

static const struct {
    float_function *on_floats;
    integer_function *on_integers; // when operands and result are integers
} rows[IR_OPCODE_COUNT] = {
    [IR_ADD] = {add_float, add_integer},
    [IR_SUB] = {sub_float, sub_integer},
    [IR_MUL] = {mul_float, mul_integer},
    [IR_DIV] = {div_float, div_integer},
    [IR_REM] = {NULL, rem_integer},
    [IR_MAX] = {max_float, max_integer},
    [IR_MIN] = {min_float, min_integer},
    [IR_FMA] = {fma_float, fma_integer},
    [IR_NEG] = {neg_float, neg_integer},
    [IR_ABS] = {abs_float, abs_integer},
    [IR_SQUARE] = {square_float, square_integer},
    [IR_SQRT] = {sqrt_float, NULL},
    [IR_RSQRT] = {rsqrt_float, NULL},
    [IR_EXP] = {exp_float, NULL},
    [IR_TANH] = {tanh_float, NULL},
    [IR_ERF] = {erf_float, NULL},
    [IR_SIN] = {sin_float, NULL},
    [IR_COS] = {cos_float, NULL},
    [IR_SIGMOID] = {sigmoid_float, NULL},
    [IR_SILU] = {silu_float, NULL},
    [IR_GELU] = {gelu_float, NULL},
    [IR_RELU] = {relu_float, relu_integer},
    [IR_ROUND] = {round_float, round_integer},
    [IR_CAST] = {cast_float, NULL},
};

// An operand with the step between neighbours of each result dimension; 0 where
// it is broadcast.
typedef struct stream {
    const tensor *value;
    int64_t step[IR_MAX_RANK], at;
} stream;

static void broadcast(const tensor *t, const tensor *result, stream *s)
{
    int64_t step = 1;
    *s = (stream){.value = t};
    for (unsigned i = 0; i < t->rank; i++) {
        unsigned from = t->rank - 1 - i, to = result->rank - 1 - i;
        s->step[to] = t->shape[from] == 1 ? 0 : step;
        step *= t->shape[from];
    }
}

// Moves the index and all streams to the next element in row-major order.
static void advance(const tensor *result, int64_t *index, stream *streams, unsigned count)
{
    for (unsigned i = result->rank; i-- > 0;) {
        for (unsigned k = 0; k < count; k++)
            streams[k].at += streams[k].step[i];
        if (++index[i] < result->shape[i])
            return;
        for (unsigned k = 0; k < count; k++)
            streams[k].at -= streams[k].step[i] * result->shape[i];
        index[i] = 0;
    }
}

// An integer result in its type: 8 and 16 bits saturate, as conversions do, 32 and 64 wrap.
static double fitted(scalar_type t, int64_t value)
{
    if (scalar_rows[t].bits < 32)
        return scalar_round(t, (double)value);
    unsigned unused = 64 - scalar_rows[t].bits;
    return (double)((int64_t)((uint64_t)value << unused) >> unused);
}

static void apply(const ir_op *op, tensor *y, stream *s, unsigned count)
{
    float_function *on_floats = rows[op->code].on_floats;
    integer_function *on_integers = rows[op->code].on_integers;
    int64_t index[IR_MAX_RANK] = {0};
    bool integers = on_integers && scalar_is_integer(y->type);
    for (unsigned k = 0; k < count; k++)
        integers = integers && scalar_is_integer(s[k].value->type);
    if (op->code == IR_GELU && ir_name_is(op, "form", "tanh"))
        on_floats = gelu_tanh_float;
    for (int64_t i = 0; i < y->count; i++) {
        double x[3] = {0};
        for (unsigned k = 0; k < count; k++)
            x[k] = s[k].value->data[s[k].at];
        y->data[i] = integers
                         ? fitted(y->type, on_integers((int64_t)x[0], (int64_t)x[1], (int64_t)x[2]))
                         : scalar_round(y->type, on_floats(x[0], x[1], x[2]));
        advance(y, index, s, count);
    }
}

bool eval_elementwise(evaluator *e, const ir_op *op)
{
    stream streams[3];
    tensor *y = eval_result(e, op, 0);
    if (!y)
        return false;
    for (unsigned k = 0; k < op->n_operands; k++) {
        const tensor *x = eval_operand(e, op, k);
        if (!x)
            return false;
        if (!rows[op->code].on_floats && !scalar_is_integer(x->type))
            return eval_error(e, op, "'%s' is for integers", ir_op_rows[op->code].name);
        broadcast(x, y, &streams[k]);
    }
    apply(op, y, streams, op->n_operands);
    return true;
}
