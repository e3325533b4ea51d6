// link: lutra_quant lutra_support
// Second moments, and quantizing with error feedback.
#include "compiler/quant/calibrate.h"
#include "compiler/quant/moments.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const formats[] = {
    "w1",     "w1g32z", "w2",     "w2g64", "w2g64z",     "w3g64",      "w3z",
    "w4g32",  "w4g32z", "w6g32",  "w8z",   "ternary",    "bcq2",       "bcq3g64z",
    "nf4g64", "fp4g32", "cb4g64", "cb2",   "bitmod3g64", "bitmod4g64", "ternaryg64",
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static const quant_calibration bare = {
    .method = QUANT_NEAREST, .scales = 1, .sweeps = 0, .damping = 0.01};

static double next_uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double next_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(1 - next_uniform(state)));
    return radius * cos(6.283185307179586 * next_uniform(state));
}

static float *normal_weights(arena *a, int64_t count, uint64_t seed)
{
    float *w = ARENA_ARRAY(a, float, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        w[i] = (float)next_normal(&seed);
    return w;
}

// Inputs whose columns go together, as activations do: a few causes and some noise.
static double *correlated_inputs(arena *a, int64_t rows, int64_t k, uint64_t seed)
{
    enum { CAUSES = 6 };
    double *x = ARENA_ARRAY(a, double, (size_t)(rows * k));
    double *mix = ARENA_ARRAY(a, double, (size_t)(CAUSES * k));
    for (int64_t i = 0; i < CAUSES * k; i++)
        mix[i] = next_normal(&seed);
    for (int64_t r = 0; r < rows; r++) {
        double causes[CAUSES];
        for (int c = 0; c < CAUSES; c++)
            causes[c] = next_normal(&seed);
        for (int64_t i = 0; i < k; i++) {
            x[r * k + i] = 0.3 * next_normal(&seed);
            for (int c = 0; c < CAUSES; c++)
                x[r * k + i] += causes[c] * mix[c * k + i];
        }
    }
    return x;
}

static quant_moments *moments_of(const double *x, const double *scale, int64_t rows, int64_t k)
{
    quant_moments *m = quant_moments_create(k);
    quant_moments_add(m, x, scale, rows);
    assert_true(quant_moments_finish(m, bare.damping));
    return m;
}

static quant_moments *identity(arena *a, int64_t k)
{
    double *x = ARENA_ARRAY(a, double, (size_t)(k * k));
    for (int64_t i = 0; i < k; i++)
        x[i * k + i] = 1;
    return moments_of(x, NULL, k, k);
}

// Rows of a format with its codebook: a learned one is learned from the weights.
static quant_rows rows_of(arena *a, const char *name, const float *w, int64_t n, int64_t k)
{
    quant_format f;
    assert_true(quant_format_parse(name, &f));
    quant_rows q = quant_rows_create(a, &f, n, k);
    if (f.codebook && f.codebook->learned) {
        quant_learner *l = quant_learner_create(a, &f, k);
        quant_learner_add(l, w, n);
        quant_learner_finish(l, q.book);
    }
    return q;
}

static void assert_same_rows(const char *what, const quant_rows *x, const quant_rows *y)
{
    size_t groups = (size_t)(x->n * quant_groups(&x->format, x->k));
    if (memcmp(x->codes, y->codes, (size_t)(x->n * x->k)) != 0)
        fail_msg("%s: other codes", what);
    if (memcmp(x->scale, y->scale, groups * x->format.terms * sizeof(float)) != 0)
        fail_msg("%s: other scales", what);
    if (x->offset && memcmp(x->offset, y->offset, groups * sizeof(float)) != 0)
        fail_msg("%s: other offsets", what);
}

// ------------------------------------------------------------------------- moments

static void moments_are_sums_of_products(void **state)
{
    (void)state;
    arena *a = arena_create();
    enum { K = 70, ROWS = 45 };
    double *x = correlated_inputs(a, ROWS, K, 1), scale[ROWS];
    for (int r = 0; r < ROWS; r++)
        scale[r] = 0.5 + r;
    quant_moments *m = quant_moments_create(K);
    quant_moments_add(m, x, scale, 20);
    quant_moments_add(m, x + 20 * K, scale + 20, ROWS - 20);
    assert_true(quant_moments_finish(m, 0.01));
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            double want = i == j ? m->damping : 0;
            for (int r = 0; r < ROWS; r++)
                want += x[r * K + i] * x[r * K + j] * scale[r] * scale[r];
            assert_true(fabs(m->moments[i * K + j] - want) < 1e-9 * m->moments[0]);
        }
    assert_true(m->damping > 0);
    quant_moments_destroy(m);
    arena_destroy(a);
}

static void factors_multiply_to_moments(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 31, 32, 33, 97};
    arena *a = arena_create();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t k = sizes[s];
        quant_moments *m = moments_of(correlated_inputs(a, 200, k, s), NULL, 200, k);
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < k; j++) {
                double sum = 0;
                for (int64_t t = i > j ? i : j; t < k; t++)
                    sum += m->factor[t * k + i] * m->factor[t * k + j];
                assert_true(fabs(sum - m->moments[i * k + j]) < 1e-9 * m->moments[0]);
            }
        quant_moments_destroy(m);
    }
    arena_destroy(a);
}

static void inputs_must_be_finite(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, 1e200};
    for (size_t i = 0; i < 3; i++) {
        double x[2] = {1, bad[i]};
        quant_moments *m = quant_moments_create(2);
        quant_moments_add(m, x, NULL, 1);
        assert_false(quant_moments_finish(m, 0.01));
        quant_moments_destroy(m);
    }
    quant_moments_destroy(NULL);
}

// Fewer inputs than columns, and inputs that are all zeros: damping makes the factor exist.
static void few_inputs_are_enough(void **state)
{
    (void)state;
    arena *a = arena_create();
    double zeros[40] = {0}, *x = correlated_inputs(a, 3, 40, 5);
    const double *inputs[] = {zeros, x};
    float *w = normal_weights(a, 4 * 40, 6);
    for (int i = 0; i < 2; i++) {
        quant_moments *m = moments_of(inputs[i], NULL, i ? 3 : 1, 40);
        quant_rows q = rows_of(a, "w3g32", w, 4, 40);
        quant_quantize(w, &q);
        double before = quant_product_error(m, w, &q);
        quant_calibrate(m, &quant_calibration_usual, w, &q);
        assert_true(quant_product_error(m, w, &q) <= before);
        quant_moments_destroy(m);
    }
    arena_destroy(a);
}

// ------------------------------------------------------------------------- feedback

// H = [1 -0.9; -0.9 1], w = (1, 0.2) in binary: the scale is 0.6. Rounding 1 to 0.6 leaves 0.4,
// which the second weight makes up for if it is 0.2 - 0.9 * 0.4 = -0.16 instead of 0.2; that rounds
// to -0.6. The error is 0.4^2 + 0.8^2 - 2 * 0.9 * 0.4 * 0.8 = 0.224, with +0.6 it is 0.608.
static void two_columns_by_hand(void **state)
{
    (void)state;
    arena *a = arena_create();
    const double x[] = {1, -0.9, 0, sqrt(1 - 0.81)};
    const float w[] = {1, 0.2f};
    quant_moments *m = moments_of(x, NULL, 2, 2);
    quant_rows q = rows_of(a, "w1", w, 1, 2);
    quant_quantize(w, &q);
    assert_int_equal(q.codes[1], 1);
    assert_true(fabs(quant_product_error(m, w, &q) - 0.608) < 1e-6);
    quant_calibrate(m, &bare, w, &q);
    assert_int_equal(q.codes[0], 1);
    assert_int_equal(q.codes[1], 0);
    assert_true(fabsf(q.scale[0] - 0.6f) < 1e-6f);
    assert_true(fabs(quant_product_error(m, w, &q) - 0.224) < 1e-6);
    quant_moments_destroy(m);
    arena_destroy(a);
}

// Independent inputs have nothing to make up for.
static void independent_inputs_give_plain_rounding(void **state)
{
    (void)state;
    enum { N = 19, K = 150 };
    arena *a = arena_create();
    quant_moments *m = identity(a, K);
    for (int i = 0; i < N_FORMATS; i++) {
        float *w = normal_weights(a, N * K, (uint64_t)i);
        quant_rows want = rows_of(a, formats[i], w, N, K), q = rows_of(a, formats[i], w, N, K);
        quant_quantize(w, &want);
        quant_calibrate(m, &bare, w, &q); // from zeros, which everything is better than
        assert_same_rows(formats[i], &want, &q);
    }
    quant_moments_destroy(m);
    arena_destroy(a);
}

static void errors_never_grow(void **state)
{
    (void)state;
    enum { N = 18, K = 200, ROWS = 300 };
    arena *a = arena_create();
    for (int i = 0; i < N_FORMATS; i++) {
        double *x = correlated_inputs(a, ROWS, K, 50 + (uint64_t)i);
        quant_moments *m = moments_of(x, NULL, ROWS, K);
        float *w = normal_weights(a, N * K, 90 + (uint64_t)i);
        for (int row = 0; row < N; row++) {
            quant_rows q = rows_of(a, formats[i], w, 1, K);
            quant_quantize(w + row * K, &q);
            double plain = quant_product_error(m, w + row * K, &q);
            quant_calibrate(m, &bare, w + row * K, &q);
            double fed_back = quant_product_error(m, w + row * K, &q);
            quant_calibrate(m, &quant_calibration_usual, w + row * K, &q);
            double swept = quant_product_error(m, w + row * K, &q);
            if (fed_back > plain || swept > fed_back)
                fail_msg("%s: errors %g, %g, %g", formats[i], plain, fed_back, swept);
            if (swept > 0.6 * plain)
                fail_msg("%s: calibration gains too little, %g of %g", formats[i], swept, plain);
        }
        quant_moments_destroy(m);
    }
    arena_destroy(a);
}

// The error is that of products with the inputs themselves.
static void error_is_that_of_products(void **state)
{
    (void)state;
    enum { N = 5, K = 33, ROWS = 40 };
    arena *a = arena_create();
    double *x = correlated_inputs(a, ROWS, K, 3), values[N * K], want = 0;
    quant_moments *m = moments_of(x, NULL, ROWS, K);
    float *w = normal_weights(a, N * K, 4);
    quant_rows q = rows_of(a, "w2g32z", w, N, K);
    quant_quantize(w, &q);
    quant_dequantize(&q, values);
    for (int r = 0; r < ROWS; r++)
        for (int n = 0; n < N; n++) {
            double y = 0;
            for (int k = 0; k < K; k++)
                y += x[r * K + k] * ((double)w[n * K + k] - values[n * K + k]);
            want += y * y;
        }
    assert_true(fabs(quant_product_error(m, w, &q) - want) < 1e-9 * want);
    quant_moments_destroy(m);
    arena_destroy(a);
}

static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    enum { N = 37, K = 90 };
    arena *a = arena_create();
    quant_moments *m = moments_of(correlated_inputs(a, 200, K, 7), NULL, 200, K);
    float *w = normal_weights(a, N * K, 8);
    for (int i = 0; i < N_FORMATS; i++) {
        quant_rows all = rows_of(a, formats[i], w, N, K), parts = rows_of(a, formats[i], w, N, K);
        quant_calibrate(m, &quant_calibration_usual, w, &all);
        for (int n = 0; n < N; n += 3) {
            quant_rows some = quant_rows_slice(&parts, n, N - n < 3 ? N - n : 3);
            quant_calibrate(m, &quant_calibration_usual, w + n * K, &some);
        }
        assert_same_rows(formats[i], &all, &parts);
    }
    quant_moments_destroy(m);
    arena_destroy(a);
}

// What a format holds exactly stays as it is.
static void exact_rows_stay(void **state)
{
    (void)state;
    enum { N = 6, K = 64 };
    arena *a = arena_create();
    quant_moments *m = moments_of(correlated_inputs(a, 99, K, 9), NULL, 99, K);
    float *random = normal_weights(a, N * K, 10), w[N * K];
    double values[N * K];
    quant_rows q = rows_of(a, "w4g32z", random, N, K), kept = rows_of(a, "w4g32z", random, N, K);
    quant_quantize(random, &q);
    quant_dequantize(&q, values);
    for (int i = 0; i < N * K; i++)
        w[i] = (float)values[i];
    quant_rows_copy(&q, &kept);
    quant_calibrate(m, &quant_calibration_usual, w, &q);
    assert_true(quant_product_error(m, w, &q) <= quant_product_error(m, w, &kept));
    quant_dequantize(&q, values);
    for (int i = 0; i < N * K; i++)
        assert_true(fabs(values[i] - (double)w[i]) < 1e-6);
    quant_moments_destroy(m);
    arena_destroy(a);
}

static void empty_matrices_are_nothing(void **state)
{
    (void)state;
    arena *a = arena_create();
    quant_moments *m = moments_of(NULL, NULL, 0, 0);
    quant_rows q = rows_of(a, "w2", NULL, 3, 0);
    quant_calibrate(m, &quant_calibration_usual, NULL, &q);
    assert_true(quant_product_error(m, NULL, &q) == 0);
    quant_moments_destroy(m);
    arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_sums_of_products),
        cmocka_unit_test(factors_multiply_to_moments),
        cmocka_unit_test(inputs_must_be_finite),
        cmocka_unit_test(few_inputs_are_enough),
        cmocka_unit_test(two_columns_by_hand),
        cmocka_unit_test(independent_inputs_give_plain_rounding),
        cmocka_unit_test(errors_never_grow),
        cmocka_unit_test(error_is_that_of_products),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
        cmocka_unit_test(exact_rows_stay),
        cmocka_unit_test(empty_matrices_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
