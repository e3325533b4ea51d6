// link: lutra_quant lutra_support
// Format names, quantizers, the canonical form, packing.
#include "tests/unit/quant_fixture.h"

#include "compiler/quant/levels.h"
#include "support/array.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const plane_formats[] = {
    "w1",          "w2",           "w3",         "w4",         "ternary",    "w1z",
    "w2z",         "w4z",          "w2g16",      "w2g32",      "w2g64",      "w2g128",
    "w2g256",      "w3g64",        "w4g32",      "w4g32z",     "w4g32zf",    "w1g16zf",
    "w3g128z",     "w4g256f",      "ternaryg16", "ternaryg32", "ternaryg64", "ternaryg128",
    "ternaryg256", "ternaryg256f", "w2g64zf",    "w3z",        "w5",         "w5g32z",
    "w6g16zf",     "w7g64",        "w8",         "w8g32z",
};
enum { N_FORMATS = sizeof plane_formats / sizeof plane_formats[0] };

static double next_uniform(uint64_t *state)
{
    return (double)(next_bits(state) >> 11) * 0x1p-53;
}

static float next_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(1 - next_uniform(state)));
    return (float)(radius * cos(6.283185307179586 * next_uniform(state)));
}

static float *normal_weights(arena *a, int64_t count, uint64_t seed)
{
    float *w = ARENA_ARRAY(a, float, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        w[i] = next_normal(&seed);
    return w;
}

// --------------------------------------------------------------------- the names

static void names_parse_to_their_parts(void **state)
{
    (void)state;
    quant_format f = format_of("w4g32z");
    assert_int_equal(f.kind, QUANT_UNIFORM);
    assert_int_equal(f.planes, 4);
    assert_int_equal(f.group, 32);
    assert_true(f.offset);
    assert_int_equal(f.scale, SCALAR_F16);
    assert_string_equal(f.name, "w4g32z");
    f = format_of("ternaryg256f");
    assert_int_equal(f.kind, QUANT_TERNARY);
    assert_int_equal(f.planes, 2);
    assert_int_equal(f.group, 256);
    assert_false(f.offset);
    assert_int_equal(f.scale, SCALAR_F32);
    assert_int_equal(format_of("w2").scale, SCALAR_F32);
    f = format_of("bf16");
    assert_int_equal(f.kind, QUANT_DENSE);
    assert_int_equal(f.planes, 0);
    assert_int_equal(f.scale, SCALAR_BF16);
}

static void wrong_names_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",          "w",           "w0",
                                        "w9",        "w2g",         "w2g0",
                                        "w2g48",     "w2g064",      "w2f",
                                        "w2zf",      "w2gz",        "w2g64zz",
                                        "w2g64fz",   "w2zg64",      "ternaryz",
                                        "ternary64", "f16g32",      "f32z",
                                        "bf16f",     "W2",          "w2 ",
                                        " w2",       "w2g64 ",      "q4_0",
                                        "f64",       "ternaryg16z", "w2g99999999999999999999",
                                        "w2g-64",    "w2g+64"};
    quant_format f = {.name = "kept"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (quant_format_parse(wrong[i], &f))
            fail_msg("'%s' was accepted", wrong[i]);
    assert_string_equal(f.name, "kept");
}

// ------------------------------------------------------------------ quantization

// The value of each code by the formulas of docs/weights.md, written out.
static double by_formula(const quant_rows *q, int64_t n, int64_t k)
{
    int64_t size = q->format.group ? q->format.group : q->k;
    int64_t group = n * quant_groups(&q->format, q->k) + k / size;
    double value = q->offset ? (double)q->offset[group] : 0;
    for (unsigned p = 0; p < q->format.planes; p++) {
        double alpha =
            (double)q->scale[group] * (q->format.kind == QUANT_TERNARY ? 1.0 : (double)(1 << p));
        value += q->codes[n * q->k + k] >> p & 1 ? alpha : -alpha;
    }
    return value;
}

static void values_are_sums_of_planes(void **state)
{
    arena *a = *state;
    for (size_t i = 0; i < N_FORMATS; i++) {
        quant_format f = format_of(plane_formats[i]);
        quant_rows q = quant_rows_create(a, &f, 3, 300);
        quant_quantize(normal_weights(a, 3 * 300, i), &q);
        double *all = ARENA_ARRAY(a, double, 3 * 300);
        quant_dequantize(&q, all);
        for (int64_t n = 0; n < 3; n++)
            for (int64_t k = 0; k < 300; k++) {
                assert_true(quant_value(&q, n, k) == by_formula(&q, n, k));
                assert_true(all[n * 300 + k] == by_formula(&q, n, k));
            }
    }
}

static double nearest_distance(const quant_rows *q, int64_t n, int64_t k, double w)
{
    uint8_t *code = &q->codes[n * q->k + k], chosen = *code;
    double least = INFINITY;
    for (unsigned other = 0; other < 1u << q->format.planes; other++) {
        *code = (uint8_t)other;
        least = fmin(least, fabs(quant_value(q, n, k) - w));
    }
    *code = chosen;
    return least;
}

static void codes_are_the_nearest_to_the_stored_scales(void **state)
{
    arena *a = *state;
    for (size_t i = 0; i < N_FORMATS; i++) {
        quant_format f = format_of(plane_formats[i]);
        float *w = normal_weights(a, 2 * 520, 100 + i);
        quant_rows q = quant_rows_create(a, &f, 2, 520);
        quant_quantize(w, &q);
        for (int64_t n = 0; n < 2; n++)
            for (int64_t k = 0; k < 520; k++) {
                double x = (double)w[n * 520 + k];
                double error = fabs(quant_value(&q, n, k) - x);
                if (error > nearest_distance(&q, n, k, x) + 1e-6)
                    fail_msg("%s: %g became %g", f.name, x, quant_value(&q, n, k));
            }
    }
}

static void scales_and_offsets_are_what_the_format_stores(void **state)
{
    arena *a = *state;
    for (size_t i = 0; i < N_FORMATS; i++) {
        quant_format f = format_of(plane_formats[i]);
        quant_rows q = quant_rows_create(a, &f, 2, 520);
        quant_quantize(normal_weights(a, 2 * 520, 200 + i), &q);
        for (int64_t g = 0; g < 2 * quant_groups(&f, 520); g++) {
            assert_true(scalar_round(f.scale, (double)q.scale[g]) == (double)q.scale[g]);
            if (f.offset)
                assert_true(scalar_round(f.scale, (double)q.offset[g]) == (double)q.offset[g]);
        }
    }
}

static double nmse(const float *w, const double *got, int64_t count)
{
    double error = 0, energy = 0;
    for (int64_t i = 0; i < count; i++) {
        error += ((double)w[i] - got[i]) * ((double)w[i] - got[i]);
        energy += (double)w[i] * (double)w[i];
    }
    return error / energy;
}

static double measured_nmse(arena *a, const char *name, quant_method method)
{
    enum { N = 64, K = 1024 };
    quant_format f = format_of(name);
    float *w = normal_weights(a, N * K, 7);
    quant_rows q = quant_rows_create(a, &f, N, K);
    quant_quantize_by(method, w, &q);
    double *got = ARENA_ARRAY(a, double, N *K);
    quant_dequantize(&q, got);
    return nmse(w, got, N * K);
}

static void expect_rounded_half(double x)
{
    double want = scalar_round(SCALAR_F16, x), found = quant_round(SCALAR_F16, x);
    if (found != want || signbit(found) != signbit(want))
        fail_msg("%a becomes %a, not %a", x, found, want);
}

// Around every half, and around the middle between it and the next one.
static void scales_round_as_scalars_do(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x7c00; bits++) {
        double here = (double)f16_to_float((uint16_t)bits);
        double next = bits == 0x7bff ? 65536.0 : (double)f16_to_float((uint16_t)(bits + 1));
        double middle = (here + next) / 2;
        const double around[] = {here,   nextafter(here, 1e9),   nextafter(here, -1e9),
                                 middle, nextafter(middle, 1e9), nextafter(middle, -1e9)};
        for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
            expect_rounded_half(around[i]);
            expect_rounded_half(-around[i]);
        }
    }
    expect_rounded_half(DBL_MAX);
    expect_rounded_half(-(double)INFINITY);
    expect_rounded_half(DBL_TRUE_MIN);
    assert_false(isfinite(quant_round(SCALAR_F16, (double)NAN)));
}

// Bounds within 3 % of what is right: binary 1 - 2/pi = 0.363; ternary by absolute mean
// 0.264; a uniform step s = 2 max / (2^b - 1) gives s^2 / 12 with max = 2.6 for 64 normal values;
// the best 4 evenly spaced levels for a normal distribution 0.119, fewer than that per group.
static void errors_are_what_theory_says(void **state)
{
    arena *a = *state;
    static const struct {
        const char *name;
        double nearest_low, nearest_high, refined_high;
    } rows[] = {
        {"w1", 0.3534, 0.3752, 0.3752},           {"w1g32", 0.3425, 0.3637, 0.3637},
        {"w2g64", 0.2491, 0.2645, 0.1171},        {"w2g64z", 0.1958, 0.2079, 0.1063},
        {"w3g64", 0.04542, 0.04822, 0.03404},     {"w4g32", 0.008032, 0.008528, 0.007488},
        {"w4g32z", 0.005966, 0.006334, 0.005181}, {"w4g128", 0.01171, 0.01243, 0.0103},
        {"ternary", 0.2563, 0.2721, 0.1964},      {"ternaryg64", 0.2519, 0.2674, 0.1901},
        {"w5g64", 0.00228, 0.00243, 0.0023},      {"w8g64", 3.37e-5, 3.6e-5, 3.6e-5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double nearest = measured_nmse(a, rows[i].name, QUANT_NEAREST);
        double refined = measured_nmse(a, rows[i].name, QUANT_REFINED);
        if (nearest < rows[i].nearest_low || nearest > rows[i].nearest_high ||
            refined > rows[i].refined_high || refined > nearest)
            fail_msg("%s: nearest %.5f, refined %.5f", rows[i].name, nearest, refined);
    }
}

// In whole vectors and beside them; of one weight, too. Never worse than where no weight is
// clipped, but for the rounding of scales, and half the way to the refined error at least.
static void clipping_is_never_worse(void **state)
{
    arena *a = *state;
    static const int64_t lengths[] = {1, 3, 8, 13, 32, 64, 100, 128, 300};
    for (size_t i = 0; i < N_FORMATS; i++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            quant_format f = format_of(plane_formats[i]);
            int64_t n = 40, k = lengths[l];
            float *w = normal_weights(a, n * k, 1000 * i + l);
            quant_rows q = quant_rows_create(a, &f, n, k);
            double *values = ARENA_ARRAY(a, double, (size_t)(n * k)), errors[3] = {0};
            for (int method = QUANT_NEAREST; method <= QUANT_REFINED; method++) {
                quant_quantize_by((quant_method)method, w, &q);
                quant_dequantize(&q, values);
                for (int64_t j = 0; j < n * k; j++)
                    errors[method] += (values[j] - (double)w[j]) * (values[j] - (double)w[j]);
            }
            double gained = errors[QUANT_NEAREST] - errors[QUANT_CLIPPED];
            double most = errors[QUANT_NEAREST] - errors[QUANT_REFINED];
            if (gained < -1e-3 * errors[QUANT_NEAREST] - 1e-6)
                fail_msg("%s, %lld: %g became %g", f.name, (long long)k, errors[QUANT_NEAREST],
                         errors[QUANT_CLIPPED]);
            if (k >= 64 && f.planes > 1 && f.planes <= 4 && gained < 0.5 * most)
                fail_msg("%s, %lld: gained %g of %g", f.name, (long long)k, gained, most);
        }
}

static void ternary_weights_are_kept_exactly(void **state)
{
    arena *a = *state;
    float w[600];
    uint64_t seed = 3;
    for (int i = 0; i < 600; i++)
        w[i] = 0.0123f * (float)((int)(next_bits(&seed) % 3) - 1);
    quant_format f = format_of("ternary");
    quant_rows q = quant_rows_create(a, &f, 2, 300);
    for (int method = QUANT_NEAREST; method <= QUANT_CLIPPED; method++) {
        quant_quantize_by((quant_method)method, w, &q);
        for (int i = 0; i < 600; i++)
            assert_true(quant_value(&q, i / 300, i % 300) == (double)w[i]);
    }
}

static void evenly_spaced_weights_are_kept_exactly(void **state)
{
    arena *a = *state;
    quant_format f = format_of("w4g32z");
    float w[32];
    for (int i = 0; i < 32; i++)
        w[i] = 0.25f * (float)(i % 16) - 1.5f;
    quant_rows q = quant_rows_create(a, &f, 1, 32);
    for (int method = QUANT_NEAREST; method <= QUANT_CLIPPED; method++) {
        quant_quantize_by((quant_method)method, w, &q);
        for (int i = 0; i < 32; i++)
            assert_true(quant_value(&q, 0, i) == (double)w[i]);
    }
}

static void absolute_mean_rounds_as_bitnet_does(void **state)
{
    arena *a = *state;
    const float w[4] = {1.0f, -3.0f, 0.9f, 0.5f}; // mean magnitude 1.35, halves at 0.675
    quant_format f = format_of("ternary");
    quant_rows q = quant_rows_create(a, &f, 1, 4);
    quant_quantize(w, &q);
    const double s = 2 * (double)q.scale[0];
    assert_true(fabs(s - 1.35) < 1e-6);
    assert_true(quant_value(&q, 0, 0) == s && quant_value(&q, 0, 1) == -s);
    assert_true(quant_value(&q, 0, 2) == s && quant_value(&q, 0, 3) == 0);
}

// Extremes give finite results and no undefined conversions (the sanitizers watch).
static void extreme_weights_stay_finite(void **state)
{
    arena *a = *state;
    static const float extremes[] = {0, -0.0f, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f, 1e30f, -1e-8f};
    for (size_t i = 0; i < N_FORMATS; i++)
        for (unsigned choice = 0; choice < 64; choice++) {
            quant_format f = format_of(plane_formats[i]);
            float w[32];
            for (int k = 0; k < 32; k++)
                w[k] = extremes[k % 2 ? choice % 8 : choice / 8];
            quant_rows q = quant_rows_create(a, &f, 1, 32);
            for (int method = QUANT_NEAREST; method <= QUANT_REFINED; method++) {
                quant_quantize_by((quant_method)method, w, &q);
                for (int k = 0; k < 32; k++) {
                    assert_true(q.codes[k] < 1 << f.planes);
                    assert_true(isfinite(quant_value(&q, 0, k)));
                }
            }
        }
}

static void rows_do_not_depend_on_their_neighbours(void **state)
{
    arena *a = *state;
    quant_format f = format_of("w3g64z");
    float *w = normal_weights(a, 10 * 100, 5);
    quant_rows all = quant_rows_create(a, &f, 10, 100), one = quant_rows_create(a, &f, 1, 100);
    quant_quantize(w, &all);
    for (int64_t n = 0; n < 10; n++) {
        quant_rows slice = quant_rows_slice(&all, n, 1);
        quant_quantize(w + n * 100, &one);
        assert_memory_equal(one.codes, slice.codes, 100);
        assert_memory_equal(one.scale, slice.scale, 2 * sizeof(float));
        assert_memory_equal(one.offset, slice.offset, 2 * sizeof(float));
    }
}

// -------------------------------------------------------------------- conversion

static void conversion_is_exact_or_refused(void **state)
{
    arena *a = *state;
    static const struct {
        const char *from, *to;
        bool possible; // with scales that all are 0.5
    } rows[] = {
        {"ternaryg256f", "ternary", true},
        {"ternary", "ternaryg16", true},
        {"ternaryg32", "ternaryg128", true},
        {"w4g32zf", "w4g32z", true},
        {"w4g32z", "w4g32", false}, // offsets are not zero
        {"w4", "w4z", true},
        {"w4", "w3", false},
        {"w2", "ternary", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        quant_format from = format_of(rows[i].from), to = format_of(rows[i].to);
        quant_rows x = quant_rows_create(a, &from, 2, 300), y = quant_rows_create(a, &to, 2, 300);
        uint64_t seed = i;
        for (int64_t k = 0; k < 600; k++)
            x.codes[k] = (uint8_t)(next_bits(&seed) % (1u << from.planes));
        for (int64_t g = 0; g < 2 * quant_groups(&from, 300); g++) {
            x.scale[g] = 0.5f;
            if (x.offset)
                x.offset[g] = -0.75f;
        }
        assert_int_equal(quant_convert(&x, &y), rows[i].possible);
        for (int64_t k = 0; rows[i].possible && k < 600; k++)
            assert_true(quant_value(&x, k / 300, k % 300) == quant_value(&y, k / 300, k % 300));
    }
}

static void conversion_refuses_what_it_would_round(void **state)
{
    arena *a = *state;
    quant_format wide = format_of("ternaryg32f"), narrow = format_of("ternaryg32"),
                 row = format_of("ternary");
    quant_rows x = quant_rows_create(a, &wide, 1, 64), y = quant_rows_create(a, &narrow, 1, 64),
               z = quant_rows_create(a, &row, 1, 64);
    x.scale[0] = x.scale[1] = 0.1f; // not an f16
    assert_false(quant_convert(&x, &y));
    assert_true(quant_convert(&x, &z));
    x.scale[1] = 0.2f;
    assert_false(quant_convert(&x, &z));
}

// ----------------------------------------------------------------------- packing

static void random_rows(quant_rows *q, uint64_t seed)
{
    int64_t groups = q->n * quant_groups(&q->format, q->k);
    for (int64_t i = 0; i < q->n * q->k; i++)
        q->codes[i] = (uint8_t)(next_bits(&seed) % (1u << q->format.planes));
    for (int64_t g = 0; g < groups; g++) {
        q->scale[g] = (float)scalar_round(q->format.scale, next_uniform(&seed) + 0.01);
        if (q->offset)
            q->offset[g] = (float)scalar_round(q->format.scale, next_uniform(&seed) - 0.5);
    }
}

static void assert_same_rows(const quant_rows *x, const quant_rows *y)
{
    size_t groups = (size_t)(x->n * quant_groups(&x->format, x->k));
    assert_memory_equal(x->codes, y->codes, (size_t)(x->n * x->k));
    assert_memory_equal(x->scale, y->scale, groups * sizeof(float));
    if (x->offset)
        assert_memory_equal(x->offset, y->offset, groups * sizeof(float));
}

static void round_trip(arena *a, const char *name, pack_shape shape, int64_t n, int64_t k)
{
    quant_format f = format_of(name);
    uint64_t size = pack_size(&f, n, k, shape);
    quant_rows q = quant_rows_create(a, &f, n, k), back = quant_rows_create(a, &f, n, k);
    random_rows(&q, (uint64_t)(n * 1000 + k));
    uint8_t *packed = arena_alloc(a, size + 64);
    memset(packed, 0xa5, size + 64);
    pack_rows(&q, shape, packed);
    for (int i = 0; i < 64; i++)
        assert_int_equal(packed[size + (uint64_t)i], 0xa5);
    pack_unpack_rows(packed, shape, &back);
    assert_same_rows(&q, &back);
}

static bool packable(const char *name, pack_shape shape)
{
    quant_format f = format_of(name);
    pack_geometry g;
    return pack_geometry_of(&f, 1, 1, shape, &g);
}

static void packed_rows_unpack_to_themselves(void **state)
{
    arena *a = *state;
    uint64_t seed = 11;
    for (size_t s = 0; s < N_SHAPES; s++)
        for (size_t i = 0; i < N_FORMATS; i++)
            for (int trial = 0; trial < 6 && packable(plane_formats[i], shapes[s]); trial++) {
                arena_mark mark = arena_save(a);
                int64_t n = 1 + (int64_t)(next_bits(&seed) % 300);
                int64_t k = 1 + (int64_t)(next_bits(&seed) % 600);
                round_trip(a, plane_formats[i], shapes[s], n, k);
                arena_restore(a, mark);
            }
}

// One nibble as docs/xlut.md defines it, from the packed bytes.
static unsigned nibble(const uint8_t *plane, pack_shape shape, int64_t n, int64_t lookup)
{
    int64_t line = lookup / 4 * (shape.tile_n / 32) + n / 32;
    uint8_t byte = plane[line * 64 + 4 * (n % 16) + lookup % 4];
    return n % 32 < 16 ? byte & 15u : byte >> 4;
}

// The entry that a nibble selects, for table T[e] = sum of +-a[j], against the
// plain sum over the plane's signs: this is what the hardware will compute.
static void nibbles_select_the_sum_of_their_signs(void **state)
{
    arena *a = *state;
    static const int activations[4] = {1, 10, 100, 1000};
    quant_format f = format_of("w3");
    for (size_t s = 0; s < N_SHAPES; s++) {
        int64_t n_columns = shapes[s].tile_n, k = 32 * shapes[s].tile_m;
        quant_rows q = quant_rows_create(a, &f, n_columns, k);
        random_rows(&q, s);
        uint8_t *packed = arena_alloc(a, pack_size(&f, n_columns, k, shapes[s]));
        pack_rows(&q, shapes[s], packed);
        for (int64_t n = 0; n < n_columns; n++)
            for (int64_t g = 0; g < k / 4; g++)
                for (unsigned p = 0; p < 3; p++) {
                    const uint8_t *plane = packed + p * 4 * shapes[s].tile_m * shapes[s].tile_n;
                    unsigned i = nibble(plane, shapes[s], n, g);
                    int entry = activations[3], want = 0;
                    for (unsigned j = 0; j < 4; j++)
                        want +=
                            q.codes[n * k + 4 * g + j] >> p & 1 ? activations[j] : -activations[j];
                    for (unsigned j = 0; j < 3; j++)
                        entry += i >> j & 1 ? activations[j] : -activations[j];
                    assert_int_equal(i & 8 ? -entry : entry, want);
                }
    }
}

static void every_finite_half_packs_as_a_scale(void **state)
{
    arena *a = *state;
    enum { N = 63488 }; // both signs, without infinities and NaN
    quant_format f = format_of("w1g16z");
    quant_rows q = quant_rows_create(a, &f, N, 16), back = quant_rows_create(a, &f, N, 16);
    for (unsigned i = 0; i < N; i++) {
        q.scale[i] = f16_to_float((uint16_t)(i < 31744 ? i : i - 31744 + 32768));
        q.offset[i] = -q.scale[i];
    }
    uint8_t *packed = arena_alloc(a, pack_size(&f, N, 16, shapes[1]));
    pack_rows(&q, shapes[1], packed);
    pack_unpack_rows(packed, shapes[1], &back);
    assert_same_rows(&q, &back);
}

static void padding_is_zero(void **state)
{
    arena *a = *state;
    quant_format f = format_of("w2g16z");
    const pack_shape shape = {2, 64};
    quant_rows q = quant_rows_create(a, &f, 1, 5); // two lookups of one column
    random_rows(&q, 1);
    pack_geometry g;
    assert_true(pack_geometry_of(&f, 1, 5, shape, &g));
    uint8_t *packed = arena_alloc(a, (size_t)g.column_tile_bytes);
    memset(packed, 0xff, (size_t)g.column_tile_bytes);
    pack_rows(&q, shape, packed);
    for (unsigned p = 0; p < 2; p++)
        for (int64_t n = 0; n < 64; n++)
            for (int64_t l = 0; l < 16; l++)
                if (n > 0 || l > 1)
                    assert_int_equal(nibble(packed + p * 512, shape, n, l), 0);
    // Four groups, scales then offsets: all zero but the first of the first group.
    for (int64_t at = 1024; at < g.column_tile_bytes; at += 2)
        if (at != 1024 && at != 1024 + 128)
            assert_int_equal(packed[at] | packed[at + 1], 0);
    assert_int_equal(packed[1024] | packed[1025] << 8, f16_from_float(q.scale[0]));
    assert_int_equal(packed[1152] | packed[1153] << 8, f16_from_float(q.offset[0]));
}

static void sizes_are_those_computed_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t n, k;
        pack_shape shape;
        uint64_t size;
    } rows[] = {
        // column tiles * (depth tiles * planes * plane bytes + scale blocks * bytes)
        {"w2g64", 6912, 2560, {2, 64}, 108 * (40 * 2 * 512 + 40 * 128)},
        {"w2g16", 64, 65, {2, 64}, 2 * 2 * 512 + 8 * 128},
        {"w2g128", 64, 200, {2, 64}, 4 * 2 * 512 + 2 * 128},
        {"w4g32z", 65, 64, {2, 64}, 2 * (4 * 512 + 2 * 256)},
        {"ternary", 100, 100, {4, 128}, 2 * 2048 + 512},
        {"w1zg", 0, 0, {0, 0}, 0},
        {"w3g256f", 256, 300, {4, 256}, 3 * 3 * 4096 + 2 * 1024},
        {"w2g16", 128, 128, {4, 128}, 0}, // a group of a sixteenth... below a quarter
        {"f16", 3, 5, {2, 64}, 30},
        {"f32", 0, 5, {2, 64}, 0},
        {"w2", 0, 64, {2, 64}, 0},
        {"w2", 64, 0, {2, 64}, 0},
        {"w2", INT64_MAX, INT64_MAX, {2, 64}, 0},
        {"f32", INT64_MAX, 2, {2, 64}, 0},
        {"w2", 64, 64, {3, 96}, 0},
        {"w2", 64, 64, {2, 32}, 0},
        {"w2", 64, 64, {0, 0}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        quant_format f;
        if (!quant_format_parse(rows[i].name, &f))
            continue;
        assert_int_equal(pack_size(&f, rows[i].n, rows[i].k, rows[i].shape), rows[i].size);
    }
}

static void column_tiles_pack_one_by_one_to_the_same_bytes(void **state)
{
    arena *a = *state;
    quant_format f = format_of("w4g32z");
    const pack_shape shape = {2, 64};
    quant_rows q = quant_rows_create(a, &f, 150, 99);
    random_rows(&q, 9);
    uint64_t size = pack_size(&f, 150, 99, shape);
    uint8_t *whole = arena_alloc(a, size), *parts = arena_alloc(a, size);
    pack_rows(&q, shape, whole);
    for (int64_t first = 0; first < 150; first += 64) {
        quant_rows slice = quant_rows_slice(&q, first, first + 64 < 150 ? 64 : 150 - first);
        pack_rows(&slice, shape, parts + (uint64_t)first / 64 * (size / 3));
    }
    assert_memory_equal(whole, parts, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_parse_to_their_parts),
        TEST(wrong_names_are_refused),
        TEST(values_are_sums_of_planes),
        TEST(codes_are_the_nearest_to_the_stored_scales),
        TEST(scales_and_offsets_are_what_the_format_stores),
        TEST(scales_round_as_scalars_do),
        TEST(errors_are_what_theory_says),
        TEST(clipping_is_never_worse),
        TEST(ternary_weights_are_kept_exactly),
        TEST(evenly_spaced_weights_are_kept_exactly),
        TEST(absolute_mean_rounds_as_bitnet_does),
        TEST(extreme_weights_stay_finite),
        TEST(rows_do_not_depend_on_their_neighbours),
        TEST(conversion_is_exact_or_refused),
        TEST(conversion_refuses_what_it_would_round),
        TEST(packed_rows_unpack_to_themselves),
        TEST(nibbles_select_the_sum_of_their_signs),
        TEST(every_finite_half_packs_as_a_scale),
        TEST(padding_is_zero),
        TEST(sizes_are_those_computed_by_hand),
        TEST(column_tiles_pack_one_by_one_to_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
