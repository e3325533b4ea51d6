// Error feedback. With L^T L = H, a row's error e = w - q costs |L e|^2, and L is lower
// triangular: whatever the first columns are, a later one can cancel what they do to its own term
// but for its rounding. So columns are rounded from the first to the last, each towards what
// cancels its term.
//
// QUANT_LANES rows go side by side: a row of L is read once for all of them.
#include "compiler/quant/ladder.h"
#include "compiler/quant/moments.h"

#include <stdlib.h>

enum { LANES = QUANT_LANES, NUMBERS = QUANT_TERMS + 1 };

const quant_calibration quant_calibration_usual = {
    .method = QUANT_CLIPPED, .scales = 5, .sweeps = 4, .damping = 0.01};

// What a group's scale is multiplied by, the first one first.
static const double factors[] = {1, 0.9, 1.1, 0.8, 1.2};

// The scales of a group and its offset.
typedef struct numbers {
    float x[NUMBERS];
    unsigned special;
} numbers;

typedef struct block {
    const quant_moments *m;
    const quant_calibration *c;
    const float *weights;
    quant_rows rows; // of the block
    int64_t lanes, size, groups;
    double *error;   // [k][LANES]
    double *before;  // [size][LANES]: the terms by the errors of earlier groups
    float *target;   // [LANES][size]
    uint8_t *codes;  // [LANES][size]: a try
    numbers *chosen; // [groups][LANES]
    quant_ladder ladders[LANES];
} block;

// ------------------------------------------------------------------- numbers of a group

static float *scales_of(const quant_rows *row, int64_t group)
{
    return row->scale + group * row->format.terms;
}

static numbers read_numbers(const quant_rows *row, int64_t group, unsigned special)
{
    numbers n = {.special = special};
    memcpy(n.x, scales_of(row, group), row->format.terms * sizeof *n.x);
    n.x[row->format.terms] = row->offset ? row->offset[group] : 0;
    return n;
}

static void write_numbers(const quant_rows *row, int64_t group, const numbers *n)
{
    memcpy(scales_of(row, group), n->x, row->format.terms * sizeof *n->x);
    if (row->offset)
        row->offset[group] = n->x[row->format.terms];
}

// The offset stays, but where it is a part of the levels.
static numbers scaled_numbers(const quant_format *f, const numbers *n, double factor)
{
    numbers scaled = *n;
    unsigned count = f->terms + (f->kind == QUANT_SPECIAL);
    for (unsigned i = 0; i < count; i++)
        scaled.x[i] = quant_stored(f->scale, (double)n->x[i] * factor);
    return scaled;
}

// ------------------------------------------------------------------------- columns

static quant_rows lane_row(const block *b, int64_t lane)
{
    return quant_rows_slice(&b->rows, lane, 1);
}

static const float *lane_weights(const block *b, int64_t lane)
{
    return b->weights + lane * b->m->k;
}

static int64_t group_count(const block *b, int64_t group)
{
    int64_t left = b->m->k - group * b->size;
    return left < b->size ? left : b->size;
}

static void find_before(block *b, int64_t start, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        quant_lanes_dot(b->m->factor + (start + j) * b->m->k, b->error, start,
                        b->before + j * LANES);
}

// The terms of column start + j by all columns in front of it.
static void sum_terms(const block *b, int64_t start, int64_t j, double terms[LANES])
{
    quant_lanes_dot(b->m->factor + (start + j) * b->m->k + start, b->error + start * LANES, j,
                    terms);
    for (int l = 0; l < LANES; l++)
        terms[l] += b->before[j * LANES + l];
}

// The weights of a group that would cancel all that was rounded before it.
static void find_targets(block *b, int64_t start, int64_t count)
{
    for (int64_t j = 0; j < count; j++) {
        double terms[LANES], pivot = b->m->factor[(start + j) * (b->m->k + 1)];
        sum_terms(b, start, j, terms);
        for (int64_t l = 0; l < b->lanes; l++) {
            double feedback = terms[l] / pivot;
            b->target[l * b->size + j] = (float)((double)lane_weights(b, l)[start + j] + feedback);
            b->error[(start + j) * LANES + l] = -feedback;
        }
    }
}

// Rounds a group's columns one after the other; what that costs each row.
static void round_group(block *b, int64_t start, int64_t count, uint8_t *codes, double cost[LANES])
{
    for (int64_t l = 0; l < LANES; l++)
        cost[l] = 0;
    for (int64_t j = 0; j < count; j++) {
        double terms[LANES], pivot = b->m->factor[(start + j) * (b->m->k + 1)];
        sum_terms(b, start, j, terms);
        for (int64_t l = 0; l < b->lanes; l++) {
            double w = (double)lane_weights(b, l)[start + j], q;
            q = quant_ladder_nearest(&b->ladders[l], w + terms[l] / pivot, &codes[l * b->size + j]);
            double term = terms[l] + pivot * (w - q);
            b->error[(start + j) * LANES + l] = w - q;
            cost[l] += term * term;
        }
    }
}

// -------------------------------------------------------------------------- groups

static void use_numbers(block *b, int64_t group, int64_t lane, const numbers *n)
{
    quant_rows row = lane_row(b, lane);
    write_numbers(&row, group, n);
    quant_ladder_of(&row, group, n->special, &b->ladders[lane]);
}

static void fit_lanes(block *b, int64_t group, int64_t count)
{
    for (int64_t l = 0; l < b->lanes; l++) {
        quant_rows row = lane_row(b, l);
        unsigned special = quant_fit(b->c->method, &row, group, b->target + l * b->size, count);
        b->chosen[group * LANES + l] = read_numbers(&row, group, special);
    }
}

static void keep_codes(block *b, int64_t start, int64_t count, int64_t lane)
{
    uint8_t *codes = b->rows.codes + lane * b->m->k + start;
    memcpy(codes, b->codes + lane * b->size, (size_t)count);
}

static void restore_errors(block *b, int64_t group, int64_t count, int64_t lane)
{
    quant_rows row = lane_row(b, lane);
    int64_t start = group * b->size;
    for (int64_t j = 0; j < count; j++)
        b->error[(start + j) * LANES + lane] =
            (double)lane_weights(b, lane)[start + j] -
            quant_ladder_value(&b->ladders[lane], row.codes[start + j]);
}

// Of a few scales around the fitted one, each row takes the one whose rounding costs least.
static void choose_group(block *b, int64_t group)
{
    const int64_t start = group * b->size, count = group_count(b, group);
    numbers fitted[LANES], *chosen = b->chosen + group * LANES;
    double least[LANES], cost[LANES];
    find_before(b, start, count);
    find_targets(b, start, count);
    fit_lanes(b, group, count);
    memcpy(fitted, chosen, sizeof fitted);
    for (unsigned i = 0; i < b->c->scales; i++) {
        numbers tried[LANES];
        for (int64_t l = 0; l < b->lanes; l++) {
            tried[l] = scaled_numbers(&b->rows.format, &fitted[l], factors[i]);
            use_numbers(b, group, l, &tried[l]);
        }
        round_group(b, start, count, b->codes, cost);
        for (int64_t l = 0; l < b->lanes; l++) {
            if (i && cost[l] >= least[l])
                continue;
            least[l] = cost[l];
            chosen[l] = tried[l];
            keep_codes(b, start, count, l);
        }
    }
    for (int64_t l = 0; l < b->lanes; l++) {
        use_numbers(b, group, l, &chosen[l]);
        restore_errors(b, group, count, l);
    }
}

// -------------------------------------------------------------------------- sweeps

// Each column towards the least error that the others allow. Whether a code changed.
static bool sweep_codes(block *b, int64_t group)
{
    bool changed = false;
    int64_t start = group * b->size, end = start + group_count(b, group), k = b->m->k;
    for (int64_t i = start; i < end; i++) {
        double slope[LANES], curvature = b->m->moments[i * (k + 1)];
        quant_lanes_dot(b->m->moments + i * k, b->error, k, slope);
        for (int64_t l = 0; l < b->lanes; l++) {
            uint8_t *code = &b->rows.codes[l * k + i], now;
            double w = (double)lane_weights(b, l)[i], *e = &b->error[i * LANES + l];
            double q = quant_ladder_nearest(&b->ladders[l], w - *e + slope[l] / curvature, &now);
            changed |= now != *code;
            *code = now;
            *e = w - q;
        }
    }
    return changed;
}

// The direction in which a number of the group moves the values: its levels, or 1.
static void find_direction(const block *b, int64_t group, unsigned number, double *out)
{
    const int64_t start = group * b->size, count = group_count(b, group);
    double levels[QUANT_CODES];
    bool offset = number == b->rows.format.terms;
    if (!offset)
        quant_levels(&b->rows.format, b->rows.book, number, levels);
    for (int64_t j = 0; j < count; j++)
        for (int64_t l = 0; l < LANES; l++) {
            bool live = l < b->lanes;
            uint8_t code = live ? b->rows.codes[l * b->m->k + start + j] : 0;
            out[j * LANES + l] = !live ? 0 : offset ? 1 : levels[code];
        }
}

// Moves a number to where the error is least, if it is less there once the number is stored.
// Whether it moved.
static bool step_number(block *b, int64_t group, unsigned number, int64_t lane, double slope,
                        double curvature, const double *direction)
{
    const int64_t start = group * b->size, count = group_count(b, group);
    numbers *n = &b->chosen[group * LANES + lane];
    double old = (double)n->x[number];
    if (!(curvature > 0))
        return false;
    float next = quant_stored(b->rows.format.scale, old + slope / curvature);
    double step = (double)next - old;
    if (step * (step * curvature - 2 * slope) >= 0)
        return false;
    n->x[number] = next;
    use_numbers(b, group, lane, n);
    for (int64_t j = 0; j < count; j++)
        b->error[(start + j) * LANES + lane] -= step * direction[j * LANES + lane];
    return true;
}

static bool sweep_number(block *b, int64_t group, unsigned number, double *direction)
{
    const int64_t start = group * b->size, count = group_count(b, group), k = b->m->k;
    double slope[LANES] = {0}, curvature[LANES] = {0};
    find_direction(b, group, number, direction);
    for (int64_t j = 0; j < count; j++) {
        const double *moments = b->m->moments + (start + j) * k;
        double by_error[LANES], by_direction[LANES];
        quant_lanes_dot(moments, b->error, k, by_error);
        quant_lanes_dot(moments + start, direction, count, by_direction);
        for (int l = 0; l < LANES; l++) {
            slope[l] += direction[j * LANES + l] * by_error[l];
            curvature[l] += direction[j * LANES + l] * by_direction[l];
        }
    }
    bool moved = false;
    for (int64_t l = 0; l < b->lanes; l++)
        moved |= step_number(b, group, number, l, slope[l], curvature[l], direction);
    return moved;
}

// The numbers of a codebook with a special of its own follow from one another: they stay.
static bool sweep_numbers(block *b, int64_t group)
{
    const quant_format *f = &b->rows.format;
    unsigned count = f->kind == QUANT_SPECIAL ? 0 : f->terms + f->offset;
    bool moved = false;
    for (unsigned i = 0; i < count; i++)
        moved |= sweep_number(b, group, i, b->before);
    return moved;
}

// False: nothing moved, in no row, and nothing would in another sweep.
static bool sweep(block *b)
{
    bool changed = false;
    for (int64_t group = 0; group < b->groups; group++) {
        for (int64_t l = 0; l < b->lanes; l++)
            use_numbers(b, group, l, &b->chosen[group * LANES + l]);
        changed |= sweep_numbers(b, group);
        changed |= sweep_codes(b, group);
    }
    return changed;
}

// -------------------------------------------------------------------------- errors

static void find_errors(block *b, double *values)
{
    quant_dequantize(&b->rows, values);
    for (int64_t k = 0; k < b->m->k; k++)
        for (int64_t l = 0; l < LANES; l++)
            b->error[k * LANES + l] =
                l < b->lanes ? (double)lane_weights(b, l)[k] - values[l * b->m->k + k] : 0;
}

// e^T H e of each row, without damping.
static void measure(block *b, double *values, double out[LANES])
{
    const int64_t k = b->m->k;
    find_errors(b, values);
    for (int l = 0; l < LANES; l++)
        out[l] = 0;
    for (int64_t i = 0; i < k; i++) {
        double slope[LANES], *e = b->error + i * LANES;
        quant_lanes_dot(b->m->moments + i * k, b->error, k, slope);
        for (int l = 0; l < LANES; l++)
            out[l] += e[l] * (slope[l] - b->m->damping * e[l]);
    }
}

// --------------------------------------------------------------------------- blocks

static block *block_create(arena *a, const quant_moments *m, const quant_format *f)
{
    block *b = ARENA_NEW(a, block);
    *b = (block){.m = m, .size = f->group && f->group < m->k ? f->group : m->k};
    size_t k = (size_t)m->k, size = (size_t)b->size;
    b->groups = quant_groups(f, m->k);
    b->error = arena_alloc_array(a, k, LANES * sizeof *b->error);
    b->before = arena_alloc_array(a, size, LANES * sizeof *b->before);
    b->target = arena_alloc_array(a, size, LANES * sizeof *b->target);
    b->codes = arena_alloc_array(a, size, LANES);
    b->chosen = arena_alloc_array(a, (size_t)b->groups, LANES * sizeof *b->chosen);
    return b;
}

static void block_use(block *b, const float *weights, const quant_rows *rows, int64_t first)
{
    b->lanes = rows->n - first < LANES ? rows->n - first : LANES;
    b->weights = weights + first * rows->k;
    b->rows = quant_rows_slice(rows, first, b->lanes);
}

static void calibrate_block(block *b)
{
    memset(b->error, 0, (size_t)(b->m->k * LANES) * sizeof *b->error);
    for (int64_t group = 0; group < b->groups; group++)
        choose_group(b, group);
    bool changed = true;
    for (unsigned i = 0; i < b->c->sweeps && changed; i++)
        changed = sweep(b);
}

void quant_calibrate(const quant_moments *m, const quant_calibration *c, const float *weights,
                     quant_rows *rows)
{
    if (!rows->k || !rows->n)
        return;
    arena *a = arena_create();
    block *b = block_create(a, m, &rows->format);
    quant_rows given = quant_rows_create(a, &rows->format, LANES, rows->k);
    double *values = arena_alloc_array(a, (size_t)rows->k, LANES * sizeof *values);
    b->c = c;
    for (int64_t first = 0; first < rows->n; first += LANES) {
        double before[LANES], after[LANES];
        block_use(b, weights, rows, first);
        measure(b, values, before);
        for (int64_t l = 0; l < b->lanes; l++) {
            quant_rows from = lane_row(b, l), to = quant_rows_slice(&given, l, 1);
            quant_rows_copy(&from, &to);
        }
        calibrate_block(b);
        measure(b, values, after);
        for (int64_t l = 0; l < b->lanes; l++) {
            quant_rows from = quant_rows_slice(&given, l, 1), to = lane_row(b, l);
            if (!(after[l] < before[l]))
                quant_rows_copy(&from, &to);
        }
    }
    arena_destroy(a);
}

double quant_product_error(const quant_moments *m, const float *weights, const quant_rows *rows)
{
    if (!rows->k)
        return 0;
    arena *a = arena_create();
    block *b = block_create(a, m, &rows->format);
    double *values = arena_alloc_array(a, (size_t)rows->k, LANES * sizeof *values), sum = 0;
    for (int64_t first = 0; first < rows->n; first += LANES) {
        double errors[LANES];
        block_use(b, weights, rows, first);
        measure(b, values, errors);
        for (int64_t l = 0; l < b->lanes; l++)
            sum += errors[l];
    }
    arena_destroy(a);
    return sum;
}
