#include "examples/tiny-lm/train.h"

#include "examples/tiny-lm/jobs.h"
#include "examples/tiny-lm/network.h"
#include "support/clock.h"

#include <string.h>

enum { LOG_STEPS = 50 };

typedef struct sequence {
    uint32_t *tokens;
    int count;
} sequence;

typedef struct trainer {
    model *model;
    const corpus *corpus;
    const training_settings *settings;
    network **networks; // by thread
    sequence *batch;
    float **gradients; // by share
    double *losses;    // by share
    int step, predicted;
} trainer;

// Jobs of a step ----------------------------------------------------------------------

static void make_sequence(void *context, int thread, int index)
{
    trainer *t = context;
    sequence *s = &t->batch[index];
    uint64_t number = (uint64_t)t->step * (uint64_t)t->settings->batch + (uint64_t)index;
    (void)thread;
    s->count =
        corpus_sequence(t->corpus, CORPUS_TRAINING, number, t->model->sizes.context, s->tokens);
}

static void learn_share(void *context, int thread, int index)
{
    trainer *t = context;
    int size = t->settings->batch / t->settings->shares;
    float *gradient = t->gradients[index], weight = 1 / (float)t->predicted;
    memset(gradient, 0, t->model->parameter_count * sizeof *gradient);
    t->losses[index] = 0;
    for (int i = index * size; i < (index + 1) * size; i++)
        t->losses[index] += network_learn(t->networks[thread], t->batch[i].tokens,
                                          t->batch[i].count, weight, gradient);
}

static void round_tensor(void *context, int thread, int index)
{
    model *m = context;
    (void)thread;
    model_round(m, &m->tensors[index]);
}

// The whole ----------------------------------------------------------------------------

static network **create_networks(arena *a, const model *m, int threads)
{
    network **networks = ARENA_ARRAY(a, network *, (size_t)threads);
    for (int i = 0; i < threads; i++)
        networks[i] = network_create(a, m);
    return networks;
}

static sequence sequence_create(arena *a, const model *m)
{
    return (sequence){ARENA_ARRAY(a, uint32_t, (size_t)m->sizes.context), 0};
}

static trainer trainer_create(arena *a, model *m, const corpus *c, const training_settings *s)
{
    trainer t = {m, c, s, create_networks(a, m, s->threads)};
    t.batch = ARENA_ARRAY(a, sequence, (size_t)s->batch);
    t.gradients = ARENA_ARRAY(a, float *, (size_t)s->shares);
    t.losses = ARENA_ARRAY(a, double, (size_t)s->shares);
    for (int i = 0; i < s->batch; i++)
        t.batch[i] = sequence_create(a, m);
    for (int i = 0; i < s->shares; i++)
        t.gradients[i] = ARENA_ARRAY(a, float, m->parameter_count);
    return t;
}

// The mean loss of the batch before the step.
static double train_step(trainer *t, optimizer *o)
{
    const training_settings *s = t->settings;
    double loss = 0;
    run_jobs(s->threads, s->batch, make_sequence, t);
    t->predicted = 0;
    for (int i = 0; i < s->batch; i++)
        t->predicted += t->batch[i].count - 1;
    run_jobs(s->threads, s->shares, learn_share, t);
    for (int i = 0; i < s->shares; i++)
        loss += t->losses[i];
    optimizer_step(o, t->model, t->gradients, s->shares, s->threads);
    return loss / t->predicted;
}

double train(arena *a, model *m, const corpus *c, const training_settings *s)
{
    trainer t = trainer_create(a, m, c, s);
    optimizer o = optimizer_create(a, &s->optimizer, m);
    double start = clock_seconds(), loss = 0, mean = 0;
    long tokens = 0;
    model_initialize(a, m, s->seed);
    run_jobs(s->threads, m->tensor_count, round_tensor, m);
    for (t.step = 0; t.step < s->optimizer.steps; t.step++) {
        loss += train_step(&t, &o);
        tokens += t.predicted;
        if ((t.step + 1) % LOG_STEPS && t.step + 1 < s->optimizer.steps)
            continue;
        mean = loss / (t.step % LOG_STEPS + 1);
        loss = 0;
        if (s->log)
            fprintf(s->log, "step %5d  loss %.4f  %.0f tokens/s\n", t.step + 1, mean,
                    (double)tokens / (clock_seconds() - start));
    }
    return mean;
}

// Validation ---------------------------------------------------------------------------

typedef struct validation {
    const corpus *corpus;
    corpus_part part;
    network **networks;
    sequence *sequences;
    int limit;
    double *losses;
} validation;

static void measure_sequence(void *context, int thread, int index)
{
    validation *v = context;
    sequence *s = &v->sequences[index];
    s->count = corpus_sequence(v->corpus, v->part, (uint64_t)index, v->limit, s->tokens);
    v->losses[index] = network_loss(v->networks[thread], s->tokens, s->count);
}

double corpus_loss(arena *a, const model *m, const corpus *c, corpus_part part, int count,
                   int threads)
{
    validation v = {c, part, create_networks(a, m, threads)};
    double loss = 0;
    long predicted = 0;
    v.sequences = ARENA_ARRAY(a, sequence, (size_t)count);
    v.losses = ARENA_ARRAY(a, double, (size_t)count);
    v.limit = m->sizes.context;
    for (int i = 0; i < count; i++)
        v.sequences[i] = sequence_create(a, m);
    run_jobs(threads, count, measure_sequence, &v);
    for (int i = 0; i < count; i++) {
        loss += v.losses[i];
        predicted += v.sequences[i].count - 1;
    }
    return loss / (double)predicted;
}
