// Learning a codebook from a matrix: k-means over its weights, each divided by the largest
// magnitude of its group. They are counted in bins, so that a matrix is read once and not kept.
#include "compiler/quant/levels.h"

enum { BINS = 4096, LEARNING_ROUNDS = 200 };

struct quant_learner {
    quant_format format;
    int64_t k;
    double weight[BINS], sum[BINS]; // of the squared scales; of the fractions times these
};

quant_learner *quant_learner_create(arena *a, const quant_format *f, int64_t k)
{
    quant_learner *l = ARENA_NEW(a, quant_learner);
    l->format = *f;
    l->k = k;
    return l;
}

// What a group's fractions are off counts by the square of its scale.
static void add_group(quant_learner *l, const float *w, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)w[i]));
    for (int64_t i = 0; i < count && most > 0; i++) {
        double x = (double)w[i] / most;
        int bin = (int)((x + 1) / 2 * (BINS - 1) + 0.5);
        l->weight[bin] += most * most;
        l->sum[bin] += x * (most * most);
    }
}

void quant_learner_add(quant_learner *l, const float *weights, int64_t rows)
{
    const int64_t size = l->format.group ? l->format.group : l->k;
    for (int64_t n = 0; n < rows; n++, weights += l->k)
        for (int64_t at = 0; at < l->k; at += size)
            add_group(l, weights + at, l->k - at < size ? l->k - at : size);
}

// The sums over the numbers that are nearest to one center, [first, last).
typedef struct cluster {
    unsigned last;
    double weight, sum;
} cluster;

static cluster cluster_from(const double *x, const double *weight, unsigned n, unsigned first,
                            double end)
{
    cluster c = {.last = first};
    for (; c.last < n && x[c.last] <= end; c.last++) {
        c.weight += weight[c.last];
        c.sum += weight[c.last] * x[c.last];
    }
    return c;
}

static double middle_above(const double *center, unsigned i, unsigned k)
{
    return i + 1 < k ? (center[i] + center[i + 1]) / 2 : INFINITY;
}

// True: some center has moved.
static bool move_centers(const double *x, const double *weight, unsigned n, double *center,
                         unsigned k)
{
    bool moved = false;
    double lower[QUANT_BOOK];
    for (unsigned i = 0; i < k; i++)
        lower[i] = middle_above(center, i, k);
    for (unsigned i = 0, at = 0; i < k; i++) {
        cluster c = cluster_from(x, weight, n, at, lower[i]);
        double mean = c.weight > 0 ? c.sum / c.weight : center[i];
        moved |= mean != center[i];
        center[i] = mean;
        at = c.last;
    }
    return moved;
}

static double clusters_error(const double *x, const double *weight, unsigned n,
                             const double *center, unsigned k)
{
    double sum = 0;
    for (unsigned i = 0, own = 0; i < n; i++) {
        while (x[i] > middle_above(center, own, k))
            own++;
        sum += weight[i] * (x[i] - center[own]) * (x[i] - center[own]);
    }
    return sum;
}

double quant_k_means(const double *x, const double *weight, unsigned n, double *center, unsigned k,
                     unsigned rounds)
{
    for (unsigned i = 0; i < rounds && move_centers(x, weight, n, center, k); i++)
        continue;
    return clusters_error(x, weight, n, center, k);
}

// At first each center stands for the same part of the weight.
static void place_centers(const double *x, const double *weight, unsigned n, double *center,
                          unsigned k)
{
    double all = 0, seen = 0;
    for (unsigned i = 0; i < n; i++)
        all += weight[i];
    for (unsigned i = 0, c = 0; i < n; i++)
        for (seen += weight[i]; c < k && seen >= all * (c + 0.5) / k; c++)
            center[c] = x[i];
}

void quant_learner_finish(const quant_learner *l, float *book)
{
    double x[BINS], weight[BINS], center[QUANT_BOOK] = {0};
    unsigned n = 0, k = l->format.codebook->count;
    for (unsigned i = 0; i < BINS; i++)
        if (l->weight[i] > 0) {
            weight[n] = l->weight[i];
            x[n++] = l->sum[i] / l->weight[i];
        }
    if (n) {
        place_centers(x, weight, n, center, k);
        quant_k_means(x, weight, n, center, k, LEARNING_ROUNDS);
    }
    for (unsigned i = 0; i < QUANT_BOOK; i++)
        book[i] = i < k ? (float)center[i] : 0;
}
