#include "support/generation/sampler.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate {
    float logit;
    uint32_t id;
    double weight;
} candidate;

sampler sampler_create(arena *a, const sampler_settings *settings, size_t vocabulary)
{
    sampler s = {
        .settings = *settings, .random = random_seed(settings->seed), .vocabulary = vocabulary};
    if (settings->temperature > 0)
        s.candidates = ARENA_ARRAY(a, candidate, vocabulary);
    return s;
}

// Without a branch for each, which compilers make vectors of.
static bool any_greater(const float *x, size_t count, float limit)
{
    uint32_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= x[i] > limit;
    return any;
}

static int64_t largest(const float *logits, size_t count)
{
    enum { BLOCK = 256 };
    int64_t best = -1;
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t end = count - first < BLOCK ? count : first + BLOCK;
        if (best >= 0 && !any_greater(logits + first, end - first, logits[best]))
            continue;
        for (size_t i = first; i < end; i++)
            if (!isnan(logits[i]) && (best < 0 || logits[i] > logits[best]))
                best = (int64_t)i;
    }
    return best;
}

static int by_logit(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static size_t collect(sampler *s, const float *logits)
{
    size_t count = 0;
    for (size_t i = 0; i < s->vocabulary; i++)
        if (!isnan(logits[i]))
            s->candidates[count++] = (candidate){logits[i], (uint32_t)i, 0};
    return count;
}

// exp of the distance to the largest; an infinite largest logit takes all.
static double weigh(candidate *c, size_t count, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        bool equal = c[i].logit == c[0].logit;
        c[i].weight = equal ? 1 : exp(((double)c[i].logit - (double)c[0].logit) / temperature);
        sum += c[i].weight;
    }
    return sum;
}

// How many of the most likely ones reach the share p, and their sum.
static size_t nucleus(const candidate *c, size_t count, double p, double *sum)
{
    double reached = 0, wanted = p * *sum;
    size_t kept = 0;
    while (kept < count && (kept == 0 || reached < wanted))
        reached += c[kept++].weight;
    *sum = reached;
    return kept;
}

int64_t sampler_choose(sampler *s, const float *logits)
{
    if (!(s->settings.temperature > 0))
        return largest(logits, s->vocabulary);
    candidate *c = s->candidates;
    size_t count = collect(s, logits);
    if (!count)
        return -1;
    qsort(c, count, sizeof *c, by_logit);
    if (s->settings.top_k && s->settings.top_k < count)
        count = s->settings.top_k;
    double sum = weigh(c, count, s->settings.temperature);
    if (s->settings.top_p < 1)
        count = nucleus(c, count, s->settings.top_p, &sum);
    double at = random_uniform(&s->random) * sum;
    size_t i = 0;
    while (i + 1 < count && at >= c[i].weight)
        at -= c[i++].weight;
    return c[i].id;
}
