// link: lutra_quant lutra_support
// Weights of 8 bits with a scale for each row.
#include "tests/unit/quant_fixture.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const char *const names[] = {"i8", "e4m3", "e5m2"};
enum { N_NAMES = sizeof names / sizeof *names };

static float *normal(arena *a, int64_t count, uint64_t seed)
{
    float *w = ARENA_ARRAY(a, float, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        w[i] = (float)(sqrt(-2 * log((double)((next_bits(&seed) >> 11) + 1) * 0x1p-53)) *
                       cos(2 * M_PI * (double)(next_bits(&seed) >> 11) * 0x1p-53));
    return w;
}

static void names_have_no_parts(void **state)
{
    (void)state;
    static const char *const wrong[] = {"i8g64", "i8z", "e4m3f", "e5m2g32f", "i16", "e4m", "u8"};
    quant_format f;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(quant_format_parse(wrong[i], &f));
    for (int i = 0; i < N_NAMES; i++) {
        f = format_of(names[i]);
        assert_int_equal(f.kind, QUANT_BYTES);
        assert_false(quant_looks_up(&f));
        assert_non_null(quant_obstacle(&f, SCALAR_I8));
        assert_string_equal(quant_tables(&f, SCALAR_F32), "-");
    }
}

// No element is nearer to a weight than the chosen one, and the largest weight has the largest.
static void codes_are_the_nearest(void **state)
{
    enum { N = 3, K = 257 };
    arena *a = *state;
    for (int i = 0; i < N_NAMES; i++) {
        quant_format f = format_of(names[i]);
        quant_rows q = quant_rows_create(a, &f, N, K);
        double levels[QUANT_CODES];
        float *w = normal(a, N * K, 7);
        quant_quantize(w, &q);
        quant_levels(&f, NULL, 0, levels);
        for (int64_t at = 0; at < N * K; at++) {
            double scale = (double)q.scale[at / K],
                   own = fabs(quant_value(&q, at / K, at % K) - (double)w[at]);
            assert_true(isfinite(own) && fabs(levels[q.codes[at]]) <= scalar_largest(f.element));
            for (unsigned code = 0; code < QUANT_CODES; code++)
                if (isfinite(levels[code]) && levels[code] != -128) // whose negative is none
                    assert_true(own <= fabs(scale * levels[code] - (double)w[at]) + 1e-6 * scale);
        }
    }
}

static void zeros_and_extremes_are_kept(void **state)
{
    arena *a = *state;
    for (int i = 0; i < N_NAMES; i++) {
        quant_format f = format_of(names[i]);
        quant_rows q = quant_rows_create(a, &f, 3, 4);
        float w[12] = {0, 0, 0, 0, FLT_MAX, -FLT_MAX, 0, 1, 0x1p-149f, -0x1p-149f, 0, 0};
        quant_quantize(w, &q);
        for (int k = 0; k < 4; k++)
            assert_true(quant_value(&q, 0, k) == 0);
        assert_true(quant_value(&q, 1, 0) > 3.4e38 && quant_value(&q, 1, 1) < -3.4e38);
        for (int k = 0; k < 4; k++)
            assert_true(fabs(quant_value(&q, 2, k)) <= 0x1p-140);
    }
}

static void errors_are_those_of_the_page(void **state)
{
    static const double most[] = {0.000065, 0.00075, 0.0030}, least[] = {0.00005, 0.0006, 0.0024};
    enum { N = 64, K = 1024 };
    arena *a = *state;
    float *w = normal(a, N * K, 1);
    double *values = ARENA_ARRAY(a, double, N *K);
    for (int i = 0; i < N_NAMES; i++) {
        quant_format f = format_of(names[i]);
        quant_rows q = quant_rows_create(a, &f, N, K);
        double error = 0, sum = 0;
        quant_quantize(w, &q);
        quant_dequantize(&q, values);
        for (int64_t at = 0; at < N * K; at++) {
            error += (values[at] - (double)w[at]) * (values[at] - (double)w[at]);
            sum += (double)w[at] * (double)w[at];
        }
        assert_true(error / sum > least[i] && error / sum < most[i]);
    }
}

static void packing_is_undone(void **state)
{
    arena *a = *state;
    for (int trial = 0; trial < N_SHAPES * N_NAMES; trial++) {
        quant_format f = format_of(names[trial % N_NAMES]);
        pack_shape shape = shapes[trial / N_NAMES];
        int64_t n = 70 + 61 * trial, k = 1 + 37 * trial;
        quant_rows q = quant_rows_create(a, &f, n, k), back = quant_rows_create(a, &f, n, k);
        pack_geometry g;
        quant_quantize(normal(a, n * k, 3), &q);
        assert_true(pack_geometry_of(&f, n, k, shape, &g));
        assert_int_equal(g.column_tile_bytes, (shape.tile_n * k + 63) / 64 * 64 + 4 * shape.tile_n);
        uint64_t size = pack_size(&f, n, k, shape);
        assert_int_equal(size, g.column_tiles * g.column_tile_bytes);
        uint8_t *bytes = arena_alloc(a, size);
        memset(bytes, 0xa5, size);
        pack_rows(&q, shape, bytes);
        pack_unpack_rows(bytes, shape, &back);
        assert_memory_equal(back.codes, q.codes, (size_t)(n * k));
        assert_memory_equal(back.scale, q.scale, (size_t)n * sizeof *q.scale);
    }
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    quant_format f = format_of("i8");
    pack_geometry g;
    assert_false(pack_geometry_of(&f, 64, INT64_MAX / 64, (pack_shape){2, 64}, &g));
    assert_false(pack_geometry_of(&f, INT64_MAX / 2, 4096, (pack_shape){2, 64}, &g));
    assert_false(pack_geometry_of(&f, 64, INT64_MAX / 64, (pack_shape){0, 64}, &g));
    assert_int_equal(pack_size(&f, 0, 64, (pack_shape){2, 64}), 0);
    assert_int_equal(pack_size(&f, 64, 0, (pack_shape){2, 64}), 0);
}

// Elements of another type, and planes as wide, are other formats.
static void only_the_same_elements_are_converted(void **state)
{
    arena *a = *state;
    for (int i = 0; i < N_NAMES; i++)
        for (int j = 0; j < N_NAMES; j++) {
            quant_format from = format_of(names[i]), to = format_of(names[j]),
                         planes = format_of("w8");
            quant_rows x = quant_rows_create(a, &from, 2, 9), y = quant_rows_create(a, &to, 2, 9);
            quant_rows z = quant_rows_create(a, &planes, 2, 9);
            quant_quantize(normal(a, 18, 5), &x);
            assert_int_equal(quant_convert(&x, &y), i == j);
            assert_false(quant_convert(&x, &z));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_have_no_parts),
        TEST(codes_are_the_nearest),
        TEST(zeros_and_extremes_are_kept),
        TEST(errors_are_those_of_the_page),
        TEST(packing_is_undone),
        TEST(sizes_that_overflow_are_refused),
        TEST(only_the_same_elements_are_converted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
