// link: lutra_quant lutra_support
// Formats whose levels are not evenly spaced: binary coding, codebooks, specials. Known cases by
// hand, fits that never get worse, packing there and back.
#include "tests/unit/quant_fixture.h"

#include "compiler/quant/levels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const free_formats[] = {
    "bcq1",   "bcq2",   "bcq3g128", "bcq4g16",     "bcq2g64z",    "bcq3z",   "bcq4g32zf",
    "nf4",    "nf4g64", "fp4g32",   "fp4g32f",     "iq4nlg32",    "cb4",     "cb4g128",
    "cb2g64", "cb2",    "cb2g16",   "bitmod3g128", "bitmod4g128", "bitmod4", "bitmod4g32f",
};
enum { N_FORMATS = sizeof free_formats / sizeof free_formats[0] };

static float next_normal(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(next_bits(state) >> 11) * 0x1p-53;
    return (float)(sum - 6);
}

static float *normal_weights(arena *a, int64_t count, uint64_t seed)
{
    float *w = ARENA_ARRAY(a, float, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        w[i] = next_normal(&seed);
    return w;
}

// Rows for `w`, with their codebook learned where that is needed.
static quant_rows rows_for(arena *a, const quant_format *f, const float *w, int64_t n, int64_t k)
{
    quant_rows q = quant_rows_create(a, f, n, k);
    if (f->codebook && f->codebook->learned) {
        quant_learner *l = quant_learner_create(a, f, k);
        quant_learner_add(l, w, n);
        quant_learner_finish(l, q.book);
    }
    return q;
}

static double nmse_of(const quant_rows *q, const float *w)
{
    double error = 0, energy = 0;
    for (int64_t i = 0; i < q->n * q->k; i++) {
        double x = (double)w[i], off = quant_value(q, i / q->k, i % q->k) - x;
        error += off * off;
        energy += x * x;
    }
    return error / energy;
}

static double measured_nmse(arena *a, const char *name, quant_method method)
{
    enum { N = 16, K = 512 };
    quant_format f = format_of(name);
    float *w = normal_weights(a, N * K, 7);
    quant_rows q = rows_for(a, &f, w, N, K);
    quant_quantize_by(method, w, &q);
    return nmse_of(&q, w);
}

// --------------------------------------------------------------------- known cases

static void greedy_binary_coding_by_hand(void **state)
{
    quant_format f = format_of("bcq2");
    const float w[4] = {4, -2, 1, -1}; // mean magnitude 2; what is left: 2, 0, -1, 1, mean 1
    quant_rows q = quant_rows_create(*state, &f, 1, 4);
    quant_quantize(w, &q);
    assert_true(q.scale[0] == 2.0f && q.scale[1] == 1.0f);
    const double want[4] = {3, -1, 1, -1}; // -2 lies between -3 and -1: the first is not nearer
    for (int k = 0; k < 4; k++)
        if (k != 1)
            assert_true(quant_value(&q, 0, k) == want[k]);
    assert_true(fabs(quant_value(&q, 0, 1) + 2) == 1);
}

// Weights that are sums of two numbers with signs are found exactly by alternating.
static void alternating_finds_exact_codes(void **state)
{
    quant_format f = format_of("bcq2");
    const float w[8] = {5, 1, -1, -5, 5, 1, -5, -1}; // +-3 +-2
    quant_rows q = quant_rows_create(*state, &f, 1, 8);
    quant_quantize_by(QUANT_REFINED, w, &q);
    for (int k = 0; k < 8; k++)
        assert_true(fabs(quant_value(&q, 0, k) - (double)w[k]) < 1e-6);
}

static void offsets_shift_binary_codes(void **state)
{
    quant_format f = format_of("bcq1z");
    const float w[4] = {10, 12, 10, 12};
    quant_rows q = quant_rows_create(*state, &f, 1, 4);
    quant_quantize(w, &q);
    assert_true(q.offset[0] == 11.0f && q.scale[0] == 1.0f);
    for (int k = 0; k < 4; k++)
        assert_true(quant_value(&q, 0, k) == (double)w[k]);
}

static void codebook_numbers_are_kept_exactly(void **state)
{
    static const char *const names[] = {"nf4", "fp4", "iq4nl"};
    for (size_t i = 0; i < 3; i++) {
        quant_format f = format_of(names[i]);
        quant_rows q = quant_rows_create(*state, &f, 1, 16);
        for (int k = 0; k < 16; k++)
            assert_true(q.book[k] == f.codebook->levels[k]);
        float w[16];
        for (int k = 0; k < 16; k++)
            w[k] = 0.25f * q.book[k];
        quant_quantize(w, &q);
        assert_true(q.scale[0] == 0.25f);
        for (int k = 0; k < 16; k++)
            assert_true(quant_value(&q, 0, k) == (double)w[k]);
    }
}

static void e2m1_is_what_its_bits_say(void **state)
{
    (void)state;
    quant_format f = format_of("fp4");
    for (unsigned code = 0; code < 16; code++) {
        unsigned exponent = code >> 1 & 3, mantissa = code & 1;
        double value = exponent ? ldexp(1 + mantissa / 2.0, (int)exponent - 1) : mantissa / 2.0;
        assert_true((double)f.codebook->levels[code] == (code & 8 ? -2 : 2) * value);
    }
}

// A group takes the special that fits it; in the next group it may be another one.
static void groups_choose_their_special(void **state)
{
    static const struct {
        const char *name;
        float special[4];
    } rows[] = {{"bitmod4g16f", {10, -10, 16, -16}}, {"bitmod3g16f", {3, -3, 6, -6}}};
    for (size_t r = 0; r < 2; r++) {
        quant_format f = format_of(rows[r].name);
        const float *level = f.codebook->levels;
        float w[64];
        for (int k = 0; k < 64; k++)
            w[k] = 0.5f * (k % 16 < 7 ? level[k % 16] : rows[r].special[k / 16]);
        for (int k = 0; k < 64 && r == 0; k++) // the largest of E2M1 beside it
            w[k] = k % 16 == 0 ? 6.0f : k % 16 == 1 ? -6.0f : w[k];
        for (int k = 0; k < 64 && r == 1; k++)
            w[k] = k % 16 == 0 ? 2.0f : k % 16 == 1 ? -2.0f : w[k];
        quant_rows q = quant_rows_create(*state, &f, 1, 64);
        quant_quantize(w, &q);
        for (int k = 0; k < 64; k++)
            if (fabs(quant_value(&q, 0, k) - (double)w[k]) > 1e-6)
                fail_msg("%s: %g became %g", f.name, (double)w[k], quant_value(&q, 0, k));
    }
}

// ----------------------------------------------------------------------- the fits

static void refined_is_never_worse_than_nearest(void **state)
{
    arena *a = *state;
    for (size_t i = 0; i < N_FORMATS; i++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            quant_format f = format_of(free_formats[i]);
            float *w = normal_weights(a, 300, seed);
            w[seed] *= 7; // an outlier
            quant_rows q = rows_for(a, &f, w, 1, 300);
            quant_quantize(w, &q);
            double nearest = nmse_of(&q, w);
            quant_quantize_by(QUANT_REFINED, w, &q);
            if (nmse_of(&q, w) > nearest)
                fail_msg("%s, seed %d: %g became %g", f.name, (int)seed, nearest, nmse_of(&q, w));
        }
}

static void errors_are_what_theory_says(void **state)
{
    // Normal weights. One plane: 1 - 2/pi; the best 4 and 16 levels 0.1175 and 0.0095 (Lloyd-Max),
    // of groups' fractions a little more or less.
    static const struct {
        const char *name;
        quant_method method;
        double low, high;
    } rows[] = {
        {"bcq1", QUANT_NEAREST, 0.35, 0.375},       {"bcq2", QUANT_NEAREST, 0.11, 0.16},
        {"bcq2", QUANT_REFINED, 0.11, 0.122},       {"bcq3g128", QUANT_REFINED, 0.025, 0.04},
        {"bcq4g128", QUANT_REFINED, 0.007, 0.012},  {"nf4g64", QUANT_NEAREST, 0.006, 0.0105},
        {"fp4g64", QUANT_NEAREST, 0.008, 0.016},    {"cb4g64", QUANT_NEAREST, 0.006, 0.0095},
        {"cb2g64", QUANT_NEAREST, 0.1, 0.125},      {"bitmod4g128", QUANT_NEAREST, 0.007, 0.0125},
        {"bitmod3g128", QUANT_NEAREST, 0.03, 0.06},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double found = measured_nmse(*state, rows[i].name, rows[i].method);
        if (found < rows[i].low || found > rows[i].high)
            fail_msg("%s: %.5f", rows[i].name, found);
    }
    assert_true(measured_nmse(*state, "bitmod4g128", QUANT_REFINED) <
                measured_nmse(*state, "fp4g128", QUANT_REFINED));
    assert_true(measured_nmse(*state, "cb4g64", QUANT_NEAREST) <
                measured_nmse(*state, "nf4g64", QUANT_NEAREST));
}

static void k_means_never_gets_worse(void **state)
{
    enum { N = 400, K = 7 };
    arena *a = *state;
    double *x = ARENA_ARRAY(a, double, N), *weight = ARENA_ARRAY(a, double, N), center[K];
    uint64_t seed = 3;
    for (int i = 0; i < N; i++) {
        x[i] = (i ? x[i - 1] : -1) + (double)(next_bits(&seed) % 100) / 1e4;
        weight[i] = (double)(next_bits(&seed) % 50);
    }
    for (int i = 0; i < K; i++)
        center[i] = -1 + 0.02 * i;
    double before = INFINITY, error = 0;
    for (int round = 0; round < 60; round++, before = error) {
        error = quant_k_means(x, weight, N, center, K, 1);
        if (error > before * (1 + 1e-12))
            fail_msg("round %d: %g became %g", round, before, error);
        for (int i = 1; i < K; i++)
            assert_true(center[i - 1] <= center[i]);
    }
}

static void clusters_are_found(void **state)
{
    quant_format f = format_of("cb2g16");
    quant_rows q = quant_rows_create(*state, &f, 1, 64);
    float w[64];
    static const float four[4] = {-1, -0.25f, 0.5f, 0.75f};
    for (int k = 0; k < 64; k++)
        w[k] = four[k % 4] * (float)(1 << k / 16); // the groups' scales differ
    quant_learner *l = quant_learner_create(*state, &f, 64);
    quant_learner_add(l, w, 1);
    quant_learner_finish(l, q.book);
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(q.book[i] - four[i]) < 1e-6f);
    quant_quantize(w, &q);
    for (int k = 0; k < 64; k++)
        assert_true(fabs(quant_value(&q, 0, k) - (double)w[k]) < 1e-5);
}

static void learning_does_not_depend_on_how_rows_come(void **state)
{
    arena *a = *state;
    quant_format f = format_of("cb4g32");
    float *w = normal_weights(a, 10 * 100, 1), whole[QUANT_BOOK], parts[QUANT_BOOK];
    quant_learner *x = quant_learner_create(a, &f, 100), *y = quant_learner_create(a, &f, 100);
    quant_learner_add(x, w, 10);
    for (int n = 0; n < 10; n += 5)
        quant_learner_add(y, w + n * 100, 5);
    quant_learner_finish(x, whole);
    quant_learner_finish(y, parts);
    assert_memory_equal(whole, parts, sizeof whole);
}

static void nothing_and_zeros_can_be_learned_from(void **state)
{
    quant_format f = format_of("cb4");
    const float zeros[8] = {0};
    quant_rows q = quant_rows_create(*state, &f, 1, 8);
    quant_learner *l = quant_learner_create(*state, &f, 8);
    quant_learner_finish(l, q.book);
    quant_learner_add(l, zeros, 1);
    quant_learner_finish(l, q.book);
    quant_quantize(zeros, &q);
    for (int k = 0; k < 8; k++)
        assert_true(quant_value(&q, 0, k) == 0);
}

// Group by group, and weight by weight, the steps give what the whole does.
static void steps_give_what_the_whole_gives(void **state)
{
    arena *a = *state;
    static const char *const names[] = {"w3g64z", "ternaryg64", "w8g64",     "bcq3g64z",
                                        "nf4g64", "bitmod3g64", "bitmod4g64"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int method = QUANT_NEAREST; method <= QUANT_REFINED; method++) {
            quant_format f = format_of(names[i]);
            float *w = normal_weights(a, 192, i);
            quant_rows whole = quant_rows_create(a, &f, 1, 192);
            quant_rows steps = quant_rows_create(a, &f, 1, 192);
            quant_quantize_by((quant_method)method, w, &whole);
            for (int64_t g = 0; g < 3; g++) {
                unsigned special = quant_fit((quant_method)method, &steps, g, w + 64 * g, 64);
                for (int64_t k = 64 * g; k < 64 * g + 64; k++)
                    quant_encode(&steps, g, special, w + k, 1, steps.codes + k);
            }
            for (int64_t k = 0; k < 192; k++)
                if (quant_value(&whole, 0, k) != quant_value(&steps, 0, k))
                    fail_msg("%s: weight %d", names[i], (int)k);
        }
}

static void extreme_weights_stay_finite(void **state)
{
    static const float extremes[] = {0, -0.0f, 3e38f, -3e38f, 1e-38f, 1e-45f, 1e30f, -1e-8f};
    for (size_t i = 0; i < N_FORMATS; i++)
        for (unsigned choice = 0; choice < 64; choice++) {
            quant_format f = format_of(free_formats[i]);
            float w[32];
            for (int k = 0; k < 32; k++)
                w[k] = extremes[k % 2 ? choice % 8 : choice / 8];
            quant_rows q = rows_for(*state, &f, w, 1, 32);
            for (int method = QUANT_NEAREST; method <= QUANT_REFINED; method++) {
                quant_quantize_by((quant_method)method, w, &q);
                for (int k = 0; k < 32; k++)
                    assert_true(isfinite(quant_value(&q, 0, k)));
            }
        }
}

// ----------------------------------------------------------------------- conversion

static void conversion_needs_the_same_codebook(void **state)
{
    arena *a = *state;
    quant_format nf4 = format_of("nf4g64f"), fp4 = format_of("fp4g64f"), row = format_of("nf4"),
                 learned = format_of("cb4g64f");
    float *w = normal_weights(a, 128, 4);
    quant_rows x = quant_rows_create(a, &nf4, 1, 128), y = quant_rows_create(a, &fp4, 1, 128);
    quant_rows z = quant_rows_create(a, &row, 1, 128);
    quant_quantize(w, &x);
    assert_false(quant_convert(&x, &y));
    assert_false(quant_convert(&x, &z)); // two scales
    x.scale[1] = x.scale[0];
    assert_true(quant_convert(&x, &z));
    quant_rows p = rows_for(a, &learned, w, 1, 128), q = quant_rows_create(a, &learned, 1, 128);
    quant_quantize(w, &p);
    assert_false(quant_convert(&p, &q)); // its numbers are zeros
    memcpy(q.book, p.book, QUANT_BOOK * sizeof *q.book);
    assert_true(quant_convert(&p, &q));
}

// ----------------------------------------------------------------------- packing

static void random_rows(quant_rows *q, uint64_t seed)
{
    int64_t groups = q->n * quant_groups(&q->format, q->k);
    for (int64_t i = 0; i < q->n * q->k; i++)
        q->codes[i] = (uint8_t)(next_bits(&seed) % (1u << q->format.planes));
    for (int64_t g = 0; g < groups * q->format.terms; g++)
        q->scale[g] = (float)scalar_round(q->format.scale, (double)next_normal(&seed));
    for (int64_t g = 0; g < groups && q->offset; g++)
        q->offset[g] = (float)scalar_round(q->format.scale, (double)next_normal(&seed));
}

static void packed_rows_unpack_to_themselves(void **state)
{
    arena *a = *state;
    uint64_t seed = 5;
    for (size_t s = 0; s < N_SHAPES; s++)
        for (size_t i = 0; i < N_FORMATS; i++) {
            quant_format f = format_of(free_formats[i]);
            int64_t n = 1 + (int64_t)(next_bits(&seed) % 200),
                    k = 1 + (int64_t)(next_bits(&seed) % 500);
            pack_geometry g;
            if (!pack_geometry_of(&f, n, k, shapes[s], &g))
                continue;
            assert_int_equal(g.book_bytes, f.codebook && f.codebook->learned ? 64 : 0);
            size_t size = (size_t)(pack_size(&f, n, k, shapes[s]) - (uint64_t)g.book_bytes);
            quant_rows q = quant_rows_create(a, &f, n, k), back = quant_rows_create(a, &f, n, k);
            random_rows(&q, seed);
            uint8_t *packed = arena_alloc(a, size + 64);
            memset(packed, 0xa5, size + 64);
            pack_rows(&q, shapes[s], packed);
            for (int j = 0; j < 64; j++)
                assert_int_equal(packed[size + (size_t)j], 0xa5);
            pack_unpack_rows(packed, shapes[s], &back);
            size_t groups = (size_t)(n * quant_groups(&f, k));
            assert_memory_equal(q.codes, back.codes, (size_t)(n * k));
            assert_memory_equal(q.scale, back.scale, groups * f.terms * sizeof(float));
            if (q.offset)
                assert_memory_equal(q.offset, back.offset, groups * sizeof(float));
        }
}

// One nibble as docs/xlut.md defines it.
static unsigned nibble(const uint8_t *plane, pack_shape shape, int64_t n, int64_t lookup)
{
    int64_t line = lookup / 4 * (shape.tile_n / 32) + n / 32;
    uint8_t byte = plane[line * 64 + 4 * (n % 16) + lookup % 4];
    return n % 32 < 16 ? byte & 15u : byte >> 4;
}

// Plane j of a depth tile has the codes of its j-th part, in order.
static void planes_of_codebooks_are_nibbles_in_order(void **state)
{
    arena *a = *state;
    for (size_t s = 0; s < N_SHAPES; s++) {
        int64_t n = shapes[s].tile_n, depth = 32 * shapes[s].tile_m, lookups = 8 * shapes[s].tile_m;
        quant_format four = format_of("nf4"), two = format_of("cb2");
        quant_rows x = quant_rows_create(a, &four, n, depth),
                   y = quant_rows_create(a, &two, n, depth);
        random_rows(&x, s);
        random_rows(&y, s + 1);
        uint8_t *fours = arena_alloc(a, pack_size(&four, n, depth, shapes[s]));
        uint8_t *twos = arena_alloc(a, pack_size(&two, n, depth, shapes[s]));
        pack_rows(&x, shapes[s], fours);
        pack_rows(&y, shapes[s], twos);
        int64_t plane = 4 * shapes[s].tile_m * n;
        for (int64_t c = 0; c < n; c++)
            for (int64_t g = 0; g < lookups; g++) {
                for (int64_t p = 0; p < 4; p++)
                    assert_int_equal(nibble(fours + p * plane, shapes[s], c, g),
                                     x.codes[c * depth + p * lookups + g]);
                for (int64_t p = 0; p < 2; p++) {
                    const uint8_t *pair = y.codes + c * depth + 2 * (p * lookups + g);
                    assert_int_equal(nibble(twos + p * plane, shapes[s], c, g),
                                     pair[0] | pair[1] << 2);
                }
            }
    }
}

static void books_pack_and_bad_ones_are_refused(void **state)
{
    (void)state;
    float book[QUANT_BOOK], back[QUANT_BOOK];
    uint8_t bytes[64];
    for (int i = 0; i < QUANT_BOOK; i++)
        book[i] = (float)i / 16 - 0.5f;
    pack_book(book, bytes);
    assert_true(pack_unpack_book(bytes, back));
    assert_memory_equal(book, back, sizeof book);
    book[3] = INFINITY;
    pack_book(book, bytes);
    assert_false(pack_unpack_book(bytes, back));
}

// docs/weights.md says what the list says. LUTRA_BLESS=1 writes it.
static void the_manual_has_the_list(void **state)
{
    static const char begin[] = "<!-- lutc list formats -->\n```\n", end[] = "```\n<!-- end -->\n";
    const char *path = arena_format(*state, "%s/docs/weights.md", getenv("LUTRA_SOURCE"));
    text page = {0}, list = {0};
    char buffer[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;)
        text_append_n(&page, buffer, n);
    fclose(file);
    quant_format_list(&list);
    const char *from = strstr(text_string(&page), begin);
    const char *to = from ? strstr(from, end) : NULL;
    assert_non_null(to);
    from += sizeof begin - 1;
    bool same = (size_t)(to - from) == list.length && memcmp(from, list.data, list.length) == 0;
    if (!same && getenv("LUTRA_BLESS")) {
        file = fopen(path, "w");
        assert_non_null(file);
        fwrite(page.data, 1, (size_t)(from - page.data), file);
        fwrite(list.data, 1, list.length, file);
        fputs(to, file);
        assert_int_equal(fclose(file), 0);
        same = true;
    }
    if (!same)
        fail_msg(
            "docs/weights.md does not say what lutc list formats says; LUTRA_BLESS=1 writes it");
    text_free(&page);
    text_free(&list);
}

// Every base says for every activation whether there are tables, or why not.
static void every_base_is_in_the_list(void **state)
{
    (void)state;
    text list = {0};
    quant_support_list(&list);
    for (size_t i = 0; quant_base_name(i); i++) {
        quant_format f = format_of(quant_base_name(i));
        for (scalar_type t = 0; f.planes && t < SCALAR_COUNT; t++)
            assert_int_equal(strcmp(quant_tables(&f, t), "-") == 0, quant_obstacle(&f, t) != NULL);
        if (f.planes)
            assert_non_null(strstr(text_string(&list), f.name));
    }
    quant_format w8 = format_of("w8"), nf4 = format_of("nf4"), fp4 = format_of("fp4");
    assert_non_null(quant_obstacle(&w8, SCALAR_I16));
    assert_non_null(quant_obstacle(&nf4, SCALAR_I8));
    assert_null(quant_obstacle(&fp4, SCALAR_I8));
    assert_null(quant_obstacle(&nf4, SCALAR_E5M2));
    text_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(greedy_binary_coding_by_hand),
        TEST(alternating_finds_exact_codes),
        TEST(offsets_shift_binary_codes),
        TEST(codebook_numbers_are_kept_exactly),
        TEST(e2m1_is_what_its_bits_say),
        TEST(groups_choose_their_special),
        TEST(refined_is_never_worse_than_nearest),
        TEST(errors_are_what_theory_says),
        TEST(k_means_never_gets_worse),
        TEST(clusters_are_found),
        TEST(learning_does_not_depend_on_how_rows_come),
        TEST(nothing_and_zeros_can_be_learned_from),
        TEST(steps_give_what_the_whole_gives),
        TEST(extreme_weights_stay_finite),
        TEST(conversion_needs_the_same_codebook),
        TEST(packed_rows_unpack_to_themselves),
        TEST(planes_of_codebooks_are_nibbles_in_order),
        TEST(books_pack_and_bad_ones_are_refused),
        TEST(every_base_is_in_the_list),
        TEST(the_manual_has_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
