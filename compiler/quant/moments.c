// Second moments of a product's inputs, and their triangular factor.
#include "compiler/quant/moments.h"
#include "support/clones.h"

#include <math.h>
#include <stdlib.h>

enum { PANEL = 32 };

quant_moments *quant_moments_create(int64_t k)
{
    quant_moments *m = calloc(1, sizeof *m);
    size_t count = 0;
    bool fits = k >= 0 && !__builtin_mul_overflow((size_t)k, (size_t)k, &count);
    if (m && fits)
        *m = (quant_moments){.k = k,
                             .moments = calloc(count + 1, sizeof(double)),
                             .factor = calloc(count + 1, sizeof(double))};
    if (!m || !m->moments || !m->factor)
        INTERNAL_ERROR("out of memory for the second moments of %lld inputs", (long long)k);
    return m;
}

void quant_moments_destroy(quant_moments *m)
{
    if (!m)
        return;
    free(m->moments);
    free(m->factor);
    free(m);
}

// y += sum of factors[i] * x[i], over `count` rows of n numbers that are `stride` apart.
static HOST_CLONES void add_rows(double *restrict y, int64_t n, const double *restrict x,
                                 int64_t stride, const double *factors, int64_t count)
{
    int64_t i = 0;
    for (; i + 4 <= count; i += 4, x += 4 * stride) {
        const double *f = factors + i;
        for (int64_t j = 0; j < n; j++)
            y[j] += (f[0] * x[j] + f[1] * x[stride + j]) +
                    (f[2] * x[2 * stride + j] + f[3] * x[3 * stride + j]);
    }
    for (; i < count; i++, x += stride)
        for (int64_t j = 0; j < n; j++)
            y[j] += factors[i] * x[j];
}

HOST_CLONES void quant_lanes_dot(const double *a, const double *x, int64_t count,
                                 double out[QUANT_LANES])
{
    double even[QUANT_LANES] = {0}, odd[QUANT_LANES] = {0};
    int64_t i = 0;
    for (; i + 2 <= count; i += 2, x += 2 * QUANT_LANES)
        for (int l = 0; l < QUANT_LANES; l++) {
            even[l] += a[i] * x[l];
            odd[l] += a[i + 1] * x[QUANT_LANES + l];
        }
    for (int l = 0; l < QUANT_LANES; l++)
        out[l] = even[l] + odd[l] + (i < count ? a[i] * x[l] : 0);
}

// ------------------------------------------------------------------------- moments

// The lower triangle is summed, a panel of inputs at a time.
static void add_panel(quant_moments *m, const double *panel, int64_t rows)
{
    for (int64_t i = 0; i < m->k; i++) {
        double factors[PANEL];
        for (int64_t r = 0; r < rows; r++)
            factors[r] = panel[r * m->k + i];
        add_rows(m->moments + i * m->k, i + 1, panel, m->k, factors, rows);
    }
}

void quant_moments_add(quant_moments *m, const double *x, const double *scale, int64_t rows)
{
    double *panel = calloc((size_t)m->k + 1, PANEL * sizeof *panel);
    if (!panel)
        INTERNAL_ERROR("out of memory");
    for (int64_t first = 0; first < rows; first += PANEL) {
        int64_t count = rows - first < PANEL ? rows - first : PANEL;
        for (int64_t r = 0; r < count; r++)
            for (int64_t i = 0; i < m->k; i++)
                panel[r * m->k + i] = x[(first + r) * m->k + i] * (scale ? scale[first + r] : 1);
        add_panel(m, panel, count);
    }
    free(panel);
}

static double mean_of_diagonal(const quant_moments *m)
{
    double sum = 0;
    for (int64_t i = 0; i < m->k; i++)
        sum += m->moments[i * m->k + i];
    return m->k ? sum / (double)m->k : 0;
}

static void copy_upwards(quant_moments *m)
{
    for (int64_t i = 0; i < m->k; i++)
        for (int64_t j = 0; j < i; j++)
            m->moments[j * m->k + i] = m->moments[i * m->k + j];
}

// -------------------------------------------------------------------------- factor

// Rows `first` .. `last` - 1 of the factor, from the last one up; false: a pivot is not positive.
static bool factor_panel(quant_moments *m, int64_t first, int64_t last)
{
    const int64_t k = m->k;
    for (int64_t j = last - 1; j >= first; j--) {
        double *row = m->factor + j * k, pivot = row[j];
        if (!(pivot > 0))
            return false;
        for (int64_t i = 0; i <= j; i++)
            row[i] /= sqrt(pivot);
        for (int64_t r = first; r < j; r++) {
            double factor = -row[r];
            add_rows(m->factor + r * k, r + 1, row, k, &factor, 1);
        }
    }
    return true;
}

// Cholesky from the last row to the first, in panels.
static bool factorize(quant_moments *m)
{
    const int64_t k = m->k;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j <= i; j++)
            m->factor[i * k + j] = m->moments[i * k + j];
    for (int64_t last = k; last > 0; last -= PANEL) {
        int64_t first = last > PANEL ? last - PANEL : 0;
        if (!factor_panel(m, first, last))
            return false;
        for (int64_t r = 0; r < first; r++) {
            double factors[PANEL];
            for (int64_t j = first; j < last; j++)
                factors[j - first] = -m->factor[j * k + r];
            add_rows(m->factor + r * k, r + 1, m->factor + first * k, k, factors, last - first);
        }
    }
    return true;
}

static void add_damping(quant_moments *m, double damping)
{
    for (int64_t i = 0; i < m->k; i++)
        m->moments[i * m->k + i] += damping;
    m->damping += damping;
}

bool quant_moments_finish(quant_moments *m, double damping)
{
    double mean = mean_of_diagonal(m), least = mean > 0 ? mean : 1;
    if (!isfinite(mean))
        return false;
    copy_upwards(m);
    if (!(mean > 0))
        add_damping(m, 1);
    else
        add_damping(m, mean * damping);
    for (double more = fmax(damping, 1e-6); !factorize(m); more *= 10)
        add_damping(m, least * more);
    return true;
}
