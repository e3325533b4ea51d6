// Quantizers of formats whose levels are not evenly spaced: binary coding with free scales,
// codebooks, codebooks with a number of the group's own. All of them choose the nearest of at most
// 17 values, which are kept in order.
#include "compiler/quant/levels.h"

#include <assert.h>

enum { RUNGS = QUANT_RUNGS, ROUNDS = 8 };
static_assert(1 << QUANT_TERMS <= RUNGS, "a binary coding has no more values");

// Values in ascending order with their codes.
typedef struct ladder {
    unsigned count;
    double value[RUNGS];
    uint8_t code[RUNGS];
} ladder;

static void add_rung(ladder *l, double value, unsigned code)
{
    unsigned at = l->count++;
    for (; at && l->value[at - 1] > value; at--) {
        l->value[at] = l->value[at - 1];
        l->code[at] = l->code[at - 1];
    }
    l->value[at] = value;
    l->code[at] = (uint8_t)code;
}

// The number of values between which a weight lies above the middle.
static void nearest_codes(const ladder *l, const float *w, int64_t count, uint8_t *codes)
{
    double middle[RUNGS];
    for (unsigned i = 0; i + 1 < l->count; i++)
        middle[i] = (l->value[i] + l->value[i + 1]) / 2;
    for (int64_t k = 0; k < count; k++) {
        unsigned rung = 0;
        for (unsigned i = 0; i + 1 < l->count; i++)
            rung += (double)w[k] > middle[i];
        codes[k] = l->code[rung];
    }
}

// ------------------------------------------------------------------- what codes are worth

unsigned quant_usable_codes(const quant_format *f, unsigned special, uint8_t codes[RUNGS])
{
    unsigned count = 0;
    if (f->kind == QUANT_CODED) {
        for (; count < quant_code_count(f); count++)
            codes[count] = (uint8_t)count;
        return count;
    }
    for (; count < f->codebook->count; count++)
        codes[count] = (uint8_t)count;
    if (f->kind == QUANT_SPECIAL)
        codes[count++] = (uint8_t)f->codebook->special;
    else if (f->codebook->n_specials)
        codes[count++] = (uint8_t)(f->codebook->special + special);
    return count;
}

// The levels of the usable codes, term by term.
typedef struct level_table {
    unsigned codes, terms;
    uint8_t code[RUNGS];
    double level[QUANT_TERMS][QUANT_CODES];
} level_table;

static level_table levels_for(const quant_rows *row, unsigned special)
{
    level_table t = {.terms = row->format.terms};
    t.codes = quant_usable_codes(&row->format, special, t.code);
    for (unsigned i = 0; i < t.terms; i++)
        quant_levels(&row->format, row->book, i, t.level[i]);
    return t;
}

static ladder ladder_of(const quant_rows *row, int64_t group, const level_table *t)
{
    const float *scale = row->scale + group * t->terms;
    ladder l = {0};
    for (unsigned i = 0; i < t->codes; i++) {
        double value = row->offset ? (double)row->offset[group] : 0;
        for (unsigned term = 0; term < t->terms; term++)
            value += (double)scale[term] * t->level[term][t->code[i]];
        add_rung(&l, value, t->code[i]);
    }
    return l;
}

static double group_error(const quant_rows *row, int64_t group, const level_table *t,
                          const float *w, const uint8_t *codes, int64_t count)
{
    const float *scale = row->scale + group * t->terms;
    double offset = row->offset ? (double)row->offset[group] : 0, sum = 0;
    for (int64_t k = 0; k < count; k++) {
        double error = (double)w[k] - offset;
        for (unsigned term = 0; term < t->terms; term++)
            error -= (double)scale[term] * t->level[term][codes[k]];
        sum += error * error;
    }
    return sum;
}

// -------------------------------------------------------------------- numbers of a group

// Scales, then the offset where there is one.
typedef struct numbers {
    double x[QUANT_TERMS + 1];
} numbers;

static void store_numbers(quant_rows *row, int64_t group, const numbers *n)
{
    unsigned terms = row->format.terms;
    for (unsigned t = 0; t < terms; t++)
        row->scale[group * terms + t] = quant_stored(row->format.scale, n->x[t]);
    if (row->offset)
        row->offset[group] = quant_stored(row->format.scale, n->x[terms]);
}

// The numbers of a codebook with the special `value` under scale s: the plane adds it, half by its
// sign, half as the offset.
static numbers book_numbers(const quant_format *f, double s, double value)
{
    numbers n = {{s}};
    if (f->kind == QUANT_SPECIAL)
        n.x[1] = n.x[2] = s * value / 2;
    return n;
}

// Greedy binary coding: each plane takes the mean magnitude of what the others left.
static numbers greedy_numbers(const quant_rows *row, const float *w, int64_t count)
{
    const unsigned planes = row->format.terms;
    numbers n = {{0}};
    double center = 0;
    for (int64_t k = 0; k < count && row->offset; k++)
        center += (double)w[k] / (double)count;
    n.x[planes] = center;
    for (unsigned p = 0; p < planes; p++) {
        double sum = 0;
        for (int64_t k = 0; k < count; k++) {
            double rest = (double)w[k] - center;
            for (unsigned i = 0; i < p; i++)
                rest -= rest >= 0 ? n.x[i] : -n.x[i];
            sum += fabs(rest);
        }
        n.x[p] = sum / (double)count;
    }
    return n;
}

// Evenly spaced, as uniform formats are.
static numbers even_numbers(const quant_rows *row, const float *w, int64_t count)
{
    const unsigned planes = row->format.terms;
    numbers n = {{0}};
    double low = (double)w[0], high = (double)w[0];
    for (int64_t k = 1; k < count; k++) {
        low = fmin(low, (double)w[k]);
        high = fmax(high, (double)w[k]);
    }
    double reach = row->offset ? (high - low) / 2 : fmax(high, -low);
    n.x[planes] = (high + low) / 2;
    for (unsigned p = 0; p < planes; p++)
        n.x[p] = reach * (1 << p) / ((1 << planes) - 1);
    return n;
}

// The least scale under which the levels reach all weights; learned levels are fractions of the
// largest magnitude.
static double reaching_scale(const quant_codebook *book, const level_table *t, double special,
                             const float *w, int64_t count)
{
    double high = special, low = special, most = 0, least = 0;
    for (unsigned i = 0; i < t->codes; i++) {
        high = fmax(high, t->level[0][t->code[i]]);
        low = fmin(low, t->level[0][t->code[i]]);
    }
    for (int64_t k = 0; k < count; k++) {
        most = fmax(most, (double)w[k]);
        least = fmin(least, (double)w[k]);
    }
    if (book->learned)
        return fmax(most, -least);
    double up = high > 0 ? most / high : 0, down = low < 0 ? least / low : 0;
    return fmax(up, down);
}

// --------------------------------------------------------------------- least squares

// Solves the symmetric system a x = b of n unknowns in place; false: it has no single solution.
static bool solve(unsigned n, double a[][QUANT_TERMS + 1], double *b)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned pivot = i;
        for (unsigned r = i + 1; r < n; r++)
            pivot = fabs(a[r][i]) > fabs(a[pivot][i]) ? r : pivot;
        if (fabs(a[pivot][i]) < 1e-12)
            return false;
        for (unsigned c = 0; c < n; c++) {
            double x = a[i][c];
            a[i][c] = a[pivot][c];
            a[pivot][c] = x;
        }
        double x = b[i];
        b[i] = b[pivot];
        b[pivot] = x;
        for (unsigned r = 0; r < n; r++) {
            double factor = r == i ? 0 : a[r][i] / a[i][i];
            for (unsigned c = i; c < n; c++)
                a[r][c] -= factor * a[i][c];
            b[r] -= factor * b[i];
        }
    }
    for (unsigned i = 0; i < n; i++)
        b[i] /= a[i][i];
    return true;
}

// Scales (and offset) of least squared error for codes already chosen. Of a codebook with a
// special, only its scale: the other numbers follow from it.
static bool least_squares(const quant_rows *row, const level_table *t, double special,
                          const float *w, const uint8_t *codes, int64_t count, numbers *out)
{
    bool derived = row->format.kind == QUANT_SPECIAL;
    unsigned n = derived ? 1 : t->terms + (row->offset != NULL);
    double a[QUANT_TERMS + 1][QUANT_TERMS + 1] = {{0}}, b[QUANT_TERMS + 1] = {0};
    for (int64_t k = 0; k < count; k++) {
        double x[QUANT_TERMS + 1] = {0};
        for (unsigned i = 0; i < n; i++)
            x[i] = i < t->terms ? t->level[i][codes[k]] : 1;
        if (derived && codes[k] >= row->format.codebook->special)
            x[0] = special;
        for (unsigned i = 0; i < n; i++) {
            b[i] += x[i] * (double)w[k];
            for (unsigned j = 0; j < n; j++)
                a[i][j] += x[i] * x[j];
        }
    }
    if (!solve(n, a, b))
        return false;
    *out = derived ? book_numbers(&row->format, b[0], special) : (numbers){{0}};
    for (unsigned i = 0; i < n && !derived; i++)
        out->x[i] = b[i];
    return true;
}

// ------------------------------------------------------------------------- searching

// The best that was found so far.
typedef struct search {
    quant_rows *row;
    int64_t group, count;
    const float *w;
    uint8_t *codes; // scratch: the group's own
    double least;
    numbers best;
    unsigned special;
} search;

static double special_value(const quant_format *f, unsigned special)
{
    return f->kind == QUANT_SPECIAL ? (double)f->codebook->specials[special] : 0;
}

// Codes for the numbers, numbers for the codes, and so on from `n`; the first only when nearest.
static void try_numbers(search *s, quant_method method, unsigned special, const level_table *t,
                        numbers n)
{
    double value = special_value(&s->row->format, special);
    for (int round = 0; round < (method == QUANT_REFINED ? ROUNDS : 1); round++) {
        store_numbers(s->row, s->group, &n);
        ladder l = ladder_of(s->row, s->group, t);
        nearest_codes(&l, s->w, s->count, s->codes);
        double error = group_error(s->row, s->group, t, s->w, s->codes, s->count);
        if (error < s->least) {
            s->least = error;
            s->best = n;
            s->special = special;
        }
        if (!least_squares(s->row, t, value, s->w, s->codes, s->count, &n))
            break;
    }
}

static void try_book(search *s, quant_method method, unsigned special)
{
    enum { STARTS = 5 };
    const quant_format *f = &s->row->format;
    level_table t = levels_for(s->row, special);
    double value = special_value(f, special);
    double first = reaching_scale(f->codebook, &t, value, s->w, s->count);
    for (int start = 0; start < (method == QUANT_REFINED ? STARTS : 1); start++)
        try_numbers(s, method, special, &t, book_numbers(f, first * (1 - 0.08 * start), value));
}

unsigned quant_fit_free(quant_method method, quant_rows *row, int64_t group, const float *w,
                        int64_t count)
{
    const quant_format *f = &row->format;
    search s = {.row = row, .group = group, .count = count, .w = w, .least = INFINITY};
    s.codes = row->codes + group * (f->group ? f->group : row->k);
    if (f->kind == QUANT_CODED) {
        level_table t = levels_for(row, 0);
        try_numbers(&s, method, 0, &t, greedy_numbers(row, w, count));
        if (method == QUANT_REFINED)
            try_numbers(&s, method, 0, &t, even_numbers(row, w, count));
    }
    unsigned choices = !f->codebook ? 0 : f->codebook->n_specials ? f->codebook->n_specials : 1;
    for (unsigned i = 0; i < choices; i++)
        try_book(&s, method, i);
    store_numbers(row, group, &s.best);
    return s.special;
}

void quant_encode_free(const quant_rows *row, int64_t group, unsigned special, const float *w,
                       int64_t count, uint8_t *codes)
{
    level_table t = levels_for(row, special);
    ladder l = ladder_of(row, group, &t);
    nearest_codes(&l, w, count, codes);
}
