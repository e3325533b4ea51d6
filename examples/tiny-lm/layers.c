#include "examples/tiny-lm/layers.h"

#include "examples/tiny-lm/matmul.h"
#include "support/clones.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

static const float magic = 0x1.8p23f; // adding it rounds to an integer, ties to even

// ------------------------------------------------------------------------ elementary

// 2^n * e^r with |r| <= ln 2 / 2, e^r by its series.
INLINE float exp_inline(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = x * 0x1.715476p0f + magic - magic;
    float r = x - n * 0x1.62e4p-1f - n * 0x1.7f7d1cp-20f; // ln 2 in two parts
    float y = 1.0f / 5040;
    y = y * r + 1.0f / 720;
    y = y * r + 1.0f / 120;
    y = y * r + 1.0f / 24;
    y = y * r + 1.0f / 6;
    y = y * r + 0.5f;
    y = y * r + 1;
    y = y * r + 1;
    union {
        int32_t bits;
        float value;
    } power = {.bits = ((int32_t)n + 127) << 23};
    return y * power.value;
}

float layer_exp(float x)
{
    return exp_inline(x);
}

// Sums of x^n / n! with alternating signs, from the smallest term.
static double series(double x, int first)
{
    double sum = 1;
    for (int n = 24 + first; n > first; n -= 2)
        sum = 1 - x * x / (double)(n * (n - 1)) * sum;
    return sum;
}

double layer_cosine(double x)
{
    return series(x, 0);
}

double layer_sine(double x)
{
    return x * series(x, 1);
}

// The sum of x y z in eight parts, then those in order; y and z may be NULL.
INLINE float sum_products(const float *x, const float *y, const float *z, int count)
{
    enum { PARTS = 8 };
    float parts[PARTS] = {0}, sum = 0;
    int i = 0;
#define TERM(i) (x[i] * (y ? y[i] : 1.0f) * (z ? z[i] : 1.0f))
    for (; i + PARTS <= count; i += PARTS)
        for (int j = 0; j < PARTS; j++)
            parts[j] += TERM(i + j);
    for (; i < count; i++)
        parts[i % PARTS] += TERM(i);
#undef TERM
    for (int j = 0; j < PARTS; j++)
        sum += parts[j];
    return sum;
}

// ------------------------------------------------------------------------------- norm

HOST_CLONES void rms_norm(int rows, int columns, float epsilon, const float *x, const float *gain,
                          float *y, float *inverse)
{
    for (int i = 0; i < rows; i++, x += columns, y += columns) {
        inverse[i] = 1 / sqrtf(sum_products(x, x, NULL, columns) / (float)columns + epsilon);
        for (int j = 0; j < columns; j++)
            y[j] = x[j] * inverse[i] * gain[j];
    }
}

HOST_CLONES static void norm_row_backward(int columns, const float *restrict x,
                                          const float *restrict gain, float inverse,
                                          const float *restrict dy, float *restrict add_dx,
                                          float *restrict add_dgain)
{
    float common = sum_products(x, dy, gain, columns) * inverse * inverse / (float)columns;
    for (int j = 0; j < columns; j++)
        add_dgain[j] += dy[j] * x[j] * inverse;
    for (int j = 0; j < columns; j++)
        add_dx[j] += (dy[j] * gain[j] - x[j] * common) * inverse;
}

void rms_norm_backward(int rows, int columns, const float *x, const float *gain,
                       const float *inverse, const float *dy, float *add_dx, float *add_dgain)
{
    for (int i = 0; i < rows; i++) {
        long at = (long)i * columns;
        norm_row_backward(columns, x + at, gain, inverse[i], dy + at, add_dx + at, add_dgain);
    }
}

// --------------------------------------------------------------------------- rounding

INLINE float largest_magnitude(const float *x, int columns)
{
    float largest = 0;
    for (int j = 0; j < columns; j++) {
        float magnitude = x[j] < 0 ? -x[j] : x[j];
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

HOST_CLONES void quantize_rows(int rows, int columns, const float *x, float *q, float *scale)
{
    for (int i = 0; i < rows; i++, x += columns, q += columns) {
        scale[i] = largest_magnitude(x, columns) / 127.0f;
        float divisor = scale[i] > 0 ? scale[i] : 1;
        for (int j = 0; j < columns; j++)
            q[j] = x[j] / divisor + magic - magic;
    }
}

HOST_CLONES void scale_rows(int rows, int columns, float *y, const float *scale, float factor)
{
    for (int i = 0; i < rows; i++, y += columns) {
        float by = scale[i] * factor;
        for (int j = 0; j < columns; j++)
            y[j] *= by;
    }
}

// --------------------------------------------------------------------------- rotation

typedef struct turn {
    double cos, sin;
} turn;

// cos and sin of all multiples of an angle by repeated multiplication of complex numbers.
void rotation_fill(rotation *r, int positions)
{
    int half = r->size / 2;
    double step = 1e-4, angle = 1;
    for (int n = half; n > 1; n /= 2)
        step = sqrt(step); // in the end 10000^(-1 / half)
    for (int i = 0; i < half; i++, angle *= step) {
        turn by = {layer_cosine(angle), layer_sine(angle)}, at = {1, 0};
        for (int p = 0; p < positions; p++) {
            r->cos[p * half + i] = (float)at.cos;
            r->sin[p * half + i] = (float)at.sin;
            at = (turn){at.cos * by.cos - at.sin * by.sin, at.sin * by.cos + at.cos * by.sin};
        }
    }
}

HOST_CLONES static void rotate_head(int half, const float *restrict cosine,
                                    const float *restrict sine, float sign, float *restrict low,
                                    float *restrict high)
{
    for (int i = 0; i < half; i++) {
        float x = low[i], y = high[i], s = sine[i] * sign;
        low[i] = x * cosine[i] - y * s;
        high[i] = x * s + y * cosine[i];
    }
}

void rotate(const rotation *r, int rows, int heads, float *x, bool back)
{
    int half = r->size / 2;
    for (int p = 0; p < rows; p++)
        for (int h = 0; h < heads; h++, x += r->size)
            rotate_head(half, r->cos + p * half, r->sin + p * half, back ? -1.0f : 1.0f, x,
                        x + half);
}

// ------------------------------------------------------------------------------- gate

HOST_CLONES void gated(int count, const float *gate, const float *up, float *m)
{
    for (int i = 0; i < count; i++)
        m[i] = gate[i] / (1.0f + exp_inline(-gate[i])) * up[i];
}

HOST_CLONES void gated_backward(int count, const float *gate, const float *up, const float *dm,
                                float *dgate, float *dup)
{
    for (int i = 0; i < count; i++) {
        float sigmoid = 1.0f / (1.0f + exp_inline(-gate[i])), silu = gate[i] * sigmoid;
        dup[i] = dm[i] * silu;
        dgate[i] = dm[i] * up[i] * (sigmoid + silu * (1.0f - sigmoid));
    }
}

// -------------------------------------------------------------------------- attention

// exp(x - largest) and their sum.
HOST_CLONES static float exponentials(float *x, int count)
{
    float largest = x[0];
    for (int i = 1; i < count; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (int i = 0; i < count; i++)
        x[i] = exp_inline(x[i] - largest);
    return sum_products(x, NULL, NULL, count);
}

// Scores of one head become weights; what comes later in the text weighs nothing.
static void causal_softmax(int rows, float factor, float *scores)
{
    for (int i = 0; i < rows; i++, scores += rows) {
        for (int j = 0; j <= i; j++)
            scores[j] *= factor;
        float sum = exponentials(scores, i + 1);
        for (int j = 0; j <= i; j++)
            scores[j] /= sum;
        memset(scores + i + 1, 0, (size_t)(rows - i - 1) * sizeof *scores);
    }
}

HOST_CLONES static void causal_softmax_backward(int rows, float factor, const float *weights,
                                                float *scores)
{
    for (int i = 0; i < rows; i++, weights += rows, scores += rows) {
        float common = sum_products(weights, scores, NULL, rows);
        for (int j = 0; j < rows; j++)
            scores[j] = weights[j] * (scores[j] - common) * factor;
    }
}

static float score_factor(attention_shape s)
{
    return 1 / sqrtf((float)s.size);
}

void attention(attention_shape s, const float *q, const float *k, const float *v, float *weights,
               float *y, float *scratch)
{
    int t = s.rows, n = s.size, q_row = s.heads * n, kv_row = s.kv_heads * n;
    for (int h = 0; h < s.heads; h++, weights += (long)t * t) {
        long kv = (long)(h / (s.heads / s.kv_heads)) * n, at = (long)h * n;
        matmul(t, t, n, matrix_rows(q + at, q_row), matrix_transposed(k + kv, kv_row), weights, t,
               false, scratch);
        causal_softmax(t, score_factor(s), weights);
        matmul(t, n, t, matrix_rows(weights, t), matrix_rows(v + kv, kv_row), y + at, q_row, false,
               scratch);
    }
}

void attention_backward(attention_shape s, const float *q, const float *k, const float *v,
                        const float *weights, const float *dy, float *dq, float *dk, float *dv,
                        float *scratch)
{
    int t = s.rows, n = s.size, q_row = s.heads * n, kv_row = s.kv_heads * n;
    float *scores = scratch;
    scratch += (long)t * t;
    for (int h = 0; h < s.heads; h++, weights += (long)t * t) {
        int group = s.heads / s.kv_heads;
        long kv = (long)(h / group) * n, at = (long)h * n;
        bool add = h % group > 0; // heads of a group share keys and values
        matmul(t, n, t, matrix_transposed(weights, t), matrix_rows(dy + at, q_row), dv + kv, kv_row,
               add, scratch);
        matmul(t, t, n, matrix_rows(dy + at, q_row), matrix_transposed(v + kv, kv_row), scores, t,
               false, scratch);
        causal_softmax_backward(t, score_factor(s), weights, scores);
        matmul(t, n, t, matrix_rows(scores, t), matrix_rows(k + kv, kv_row), dq + at, q_row, false,
               scratch);
        matmul(t, n, t, matrix_transposed(scores, t), matrix_rows(q + at, q_row), dk + kv, kv_row,
               add, scratch);
    }
}

// ------------------------------------------------------------------------------- loss

double cross_entropy(int rows, int columns, float *logits, const uint32_t *targets, bool gradient,
                     float weight)
{
    double loss = 0;
    for (int i = 0; i < rows; i++, logits += columns) {
        float sum = exponentials(logits, columns), factor = weight / sum;
        loss -= log((double)logits[targets[i]] / (double)sum);
        if (!gradient)
            continue;
        for (int j = 0; j < columns; j++)
            logits[j] *= factor;
        logits[targets[i]] -= weight;
    }
    return loss;
}
