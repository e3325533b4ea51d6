#include "examples/tiny-lm/optimizer.h"

#include "examples/tiny-lm/jobs.h"
#include "examples/tiny-lm/layers.h"
#include "support/clones.h"

#include <math.h>

static const float keep_mean = 0.9f, keep_square = 0.98f, tiny = 1e-8f;

optimizer optimizer_create(arena *a, const optimizer_settings *s, const model *m)
{
    return (optimizer){
        .settings = *s,
        .mean = ARENA_ARRAY(a, float, m->parameter_count),
        .square = ARENA_ARRAY(a, float, m->parameter_count),
    };
}

float optimizer_rate(const optimizer_settings *s, int step)
{
    const double pi = 3.14159265358979;
    if (step < s->warmup)
        return s->rate * (float)(step + 1) / (float)s->warmup;
    double done = (double)(step - s->warmup) / (double)(s->steps - s->warmup);
    return s->rate * (float)(0.5 + 0.5 * layer_cosine(pi * done));
}

// One step, for the jobs: each does one tensor.
typedef struct step_context {
    optimizer *optimizer;
    model *model;
    float *const *gradients;
    int count;
    double *squares; // of the gradient, by tensor
    float shrink, rate;
} step_context;

static size_t tensor_size(const tensor *t)
{
    return (size_t)t->rows * (size_t)t->columns;
}

HOST_CLONES static void add_to(float *restrict sum, const float *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += x[i];
}

static void sum_gradients(void *context, int thread, int index)
{
    step_context *c = context;
    const tensor *t = &c->model->tensors[index];
    float *sum = c->gradients[0] + t->first;
    (void)thread;
    for (int i = 1; i < c->count; i++)
        add_to(sum, c->gradients[i] + t->first, tensor_size(t));
    for (size_t i = 0; i < tensor_size(t); i++)
        c->squares[index] += (double)sum[i] * (double)sum[i];
}

typedef struct update_factors {
    float shrink, mean, square, rate, decay;
} update_factors;

HOST_CLONES static void update(size_t count, update_factors f, const float *restrict gradient,
                               float *restrict mean, float *restrict square, float *restrict value)
{
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] * f.shrink;
        mean[i] = keep_mean * mean[i] + (1 - keep_mean) * g;
        square[i] = keep_square * square[i] + (1 - keep_square) * g * g;
        float move = mean[i] * f.mean / (sqrtf(square[i] * f.square) + tiny);
        value[i] -= f.rate * (move + f.decay * value[i]);
    }
}

static void update_tensor(void *context, int thread, int index)
{
    step_context *c = context;
    optimizer *o = c->optimizer;
    tensor *t = &c->model->tensors[index];
    update_factors f = {
        .shrink = c->shrink,
        .mean = (float)(1 / o->mean_weight),
        .square = (float)(1 / o->square_weight),
        .rate = c->rate,
        .decay = t->kind == TENSOR_TERNARY ? o->settings.decay : 0,
    };
    (void)thread;
    update(tensor_size(t), f, c->gradients[0] + t->first, o->mean + t->first, o->square + t->first,
           c->model->master + t->first);
    model_round(c->model, t);
}

static float clip_factor(const step_context *c)
{
    double sum = 0;
    for (int i = 0; i < c->model->tensor_count; i++)
        sum += c->squares[i];
    double norm = sqrt(sum), most = (double)c->optimizer->settings.clip;
    return norm > most ? (float)(most / norm) : 1;
}

void optimizer_step(optimizer *o, model *m, float *const *gradients, int count, int threads)
{
    arena *a = arena_create();
    step_context c = {o,
                      m,
                      gradients,
                      count,
                      ARENA_ARRAY(a, double, (size_t)m->tensor_count),
                      1,
                      optimizer_rate(&o->settings, o->step++)};
    run_jobs(threads, m->tensor_count, sum_gradients, &c);
    c.shrink = clip_factor(&c);
    o->mean_weight = o->mean_weight * (double)keep_mean + (1 - (double)keep_mean);
    o->square_weight = o->square_weight * (double)keep_square + (1 - (double)keep_square);
    run_jobs(threads, m->tensor_count, update_tensor, &c);
    arena_destroy(a);
}
