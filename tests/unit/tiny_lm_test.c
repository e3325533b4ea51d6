// link: lutra_tiny_lm lutra_import lutra_tokenizer lutra_support
// The trainer of examples/tiny-lm: its arithmetic against formulas, gradients against differences,
// training that is the same on any number of threads and any machine, and the file it writes.
#include "unit.h"

#include "compiler/import/gguf_write.h"
#include "compiler/import/import.h"
#include "examples/tiny-lm/corpus.h"
#include "examples/tiny-lm/evaluate.h"
#include "examples/tiny-lm/layers.h"
#include "examples/tiny-lm/matmul.h"
#include "examples/tiny-lm/network.h"
#include "examples/tiny-lm/random.h"
#include "examples/tiny-lm/train.h"

#include "diagnostics_fixture.h"
#include "support/file.h"
#include "support/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static float *random_floats(random_stream *r, size_t count)
{
    float *x = ARENA_ARRAY(a, float, count);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)random_normal(r);
    return x;
}

// ---------------------------------------------------------------------------- stories

static void stories_are_whole_and_repeatable(void **state)
{
    (void)state;
    text story = {0}, again = {0};
    for (uint64_t i = 0; i < 3000; i++) {
        text_clear(&story);
        text_clear(&again);
        corpus_story(7, CORPUS_TRAINING, i, &story);
        corpus_story(7, CORPUS_TRAINING, i, &again);
        assert_string_equal(story.data, again.data);
        assert_null(strpbrk(story.data, "[]<>{}|/\n"));
        assert_null(strstr(story.data, "  "));
        assert_non_null(strchr(".!\"", story.data[story.length - 1]));
        assert_in_range(story.length, 150, 900);
    }
    text_free(&story);
    text_free(&again);
}

static void parts_have_stories_of_their_own(void **state)
{
    (void)state;
    text training = {0}, held_out = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        corpus_story(7, CORPUS_TRAINING, i, &training);
        text_char(&training, '\n');
    }
    for (uint64_t i = 0; i < 50; i++) {
        text_clear(&held_out);
        corpus_story(7, CORPUS_VALIDATION, i, &held_out);
        assert_null(strstr(training.data, held_out.data));
    }
    text_free(&training);
    text_free(&held_out);
}

// -------------------------------------------------------------------------- tokenizer

static void frequent_pairs_merge_first(void **state)
{
    (void)state;
    static const char words[] = "abab ab cab\nabab";
    bpe_vocabulary v = bpe_train(a, words, strlen(words), BPE_FIRST_MERGE + 7);
    // "ab" 6 times, " abab" twice, its parts included; then the characters by their codes
    static const char *const tokens[] = {"ab",
                                         "\xe2\x96\x81"
                                         "ab",
                                         "\xe2\x96\x81"
                                         "abab",
                                         "\xe2\x96\x81",
                                         "a",
                                         "b",
                                         "c"};
    assert_int_equal(v.count, BPE_FIRST_MERGE + 7);
    for (int i = 0; i < 7; i++) {
        assert_string_equal(v.tokens[BPE_FIRST_MERGE + i], tokens[i]);
        assert_float_equal(v.scores[BPE_FIRST_MERGE + i], -i, 0);
    }
}

static void any_text_survives_the_tokenizer(void **state)
{
    (void)state;
    static const char foreign[] = "Zo\xc3\xab 42\n\n\xff?";
    corpus c = corpus_create(a, d, 3, 500);
    text input = {0}, output = {0};
    corpus_story(3, CORPUS_VALIDATION, 1, &input);
    text_append(&input, foreign);
    token_list tokens = {0};
    assert_true(tokenizer_encode(c.tokenizer, a, d, input.data, input.length,
                                 (encode_options){.add_special = true}, &tokens));
    assert_int_equal(tokens.items[0], BPE_BOS);
    assert_true(tokens.count < input.length / 2);
    tokens_text(c.tokenizer, &tokens, &output);
    assert_string_equal(output.data, input.data);
    text_free(&input);
    text_free(&output);
}

// ------------------------------------------------------------------------- arithmetic

static void elementary_functions_are_near_libm(void **state)
{
    (void)state;
    for (float x = -80; x < 80; x += 0.037f)
        assert_true(fabs((double)layer_exp(x) / exp((double)x) - 1) < 4e-7);
    assert_true(layer_exp(-1000) < 1e-37f && layer_exp(-1000) >= 0);
    for (double x = -3.15; x <= 3.15; x += 0.01) {
        assert_true(fabs(layer_cosine(x) - cos(x)) < 1e-13);
        assert_true(fabs(layer_sine(x) - sin(x)) < 1e-13);
    }
}

static float element(matrix m, int i, int j)
{
    return m.data[i * m.row + j * m.column];
}

static void check_product(int m, int n, int k, matrix x, matrix y, bool add)
{
    enum { C_ROW = 40 };
    float c[64 * C_ROW], *scratch = ARENA_ARRAY(a, float, (size_t)matmul_scratch(m, k));
    for (int i = 0; i < 64 * C_ROW; i++)
        c[i] = 0.5f;
    matmul(m, n, k, x, y, c, C_ROW, add, scratch);
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < C_ROW; j++) {
            float sum = 0;
            for (int p = 0; p < k && i < m && j < n; p++)
                sum += element(x, i, p) * element(y, p, j);
            float want = i >= m || j >= n ? 0.5f : add ? 0.5f + sum : sum;
            assert_memory_equal(&c[i * C_ROW + j], &want, sizeof want);
        }
}

static void products_are_sums_in_order(void **state)
{
    (void)state;
    random_stream r = random_seed(5);
    const float *x = random_floats(&r, 64 * 64), *y = random_floats(&r, 64 * 64);
    static const int sizes[][3] = {{1, 1, 1}, {6, 16, 8}, {7, 17, 5}, {23, 33, 40}, {64, 40, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int form = 0; form < 8; form++)
            check_product(sizes[i][0], sizes[i][1], sizes[i][2],
                          form & 1 ? matrix_transposed(x, 64) : matrix_rows(x, 64),
                          form & 2 ? matrix_transposed(y, 64) : matrix_rows(y, 64), form & 4);
}

static void rounding_is_to_127_levels_and_even(void **state)
{
    (void)state;
    const float x[] = {254, -254, 1, 3, 5, 0, 0, 0, 0, 0}; // of halves to the even one
    const float want[] = {127, -127, 0, 2, 2, 0, 0, 0, 0, 0};
    float q[10], scale[2];
    quantize_rows(2, 5, x, q, scale);
    assert_memory_equal(q, want, sizeof q);
    assert_float_equal(scale[0], 2, 0);
    assert_float_equal(scale[1], 0, 0); // a row of zeros
}

static void rotation_turns_halves_by_position(void **state)
{
    (void)state;
    enum { SIZE = 8, ROWS = 300 };
    rotation r = {SIZE, ARENA_ARRAY(a, float, ROWS *SIZE / 2),
                  ARENA_ARRAY(a, float, ROWS *SIZE / 2)};
    random_stream random = random_seed(1);
    float *x = random_floats(&random, ROWS * 2 * SIZE);
    float *y = arena_copy(a, x, ROWS * 2 * SIZE * sizeof *x);
    rotation_fill(&r, ROWS);
    rotate(&r, ROWS, 2, y, false);
    for (int p = 0; p < ROWS; p++)
        for (int i = 0; i < SIZE / 2; i++) {
            const float *from = x + (p * 2 + 1) * SIZE, *to = y + (p * 2 + 1) * SIZE;
            double angle = p * pow(10000, -2.0 * i / SIZE), c = cos(angle), s = sin(angle);
            double low = (double)from[i], high = (double)from[i + SIZE / 2];
            assert_float_equal(to[i], low * c - high * s, 1e-6);
            assert_float_equal(to[i + SIZE / 2], low * s + high * c, 1e-6);
        }
    rotate(&r, ROWS, 2, y, true);
    for (int i = 0; i < ROWS * 2 * SIZE; i++)
        assert_float_equal(y[i], x[i], 1e-6);
}

// -------------------------------------------------------------------------- gradients

static const model_sizes small = {
    .vocabulary = 40, .context = 24, .dim = 32, .ffn = 48, .layers = 2, .heads = 4, .kv_heads = 2};

// Larger weights than training starts with, so that nothing is nearly linear.
static model small_model(bool exact)
{
    model m = model_create(a, &small);
    m.exact = exact;
    model_initialize(a, &m, 11);
    random_stream r = random_seed(12);
    for (size_t i = 0; i < m.parameter_count; i++)
        m.master[i] += 0.3f * (float)random_normal(&r);
    for (int i = 0; i < m.tensor_count; i++)
        model_round(&m, &m.tensors[i]);
    return m;
}

static void small_tokens(uint32_t *tokens, int count)
{
    random_stream r = random_seed(13);
    for (int i = 0; i < count; i++)
        tokens[i] = random_below(&r, (uint32_t)small.vocabulary);
}

static size_t size_of(const tensor *t)
{
    return (size_t)t->rows * (size_t)t->columns;
}

static double dot(const float *x, const float *y, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

// The slope of the loss where one tensor moves by `by` times a direction.
static double loss_moved(network *n, const model *m, const tensor *t, const float *direction,
                         float by, const uint32_t *tokens, int count)
{
    float *values = model_values(m, t);
    float *kept = arena_copy(a, values, size_of(t) * sizeof *values);
    for (size_t i = 0; i < size_of(t); i++)
        values[i] += by * direction[i];
    double loss = network_loss(n, tokens, count);
    memcpy(values, kept, size_of(t) * sizeof *values);
    return loss;
}

// Along the gradient itself, so that the slope is well above what rounding does.
static void gradients_are_slopes_of_the_loss(void **state)
{
    (void)state;
    enum { COUNT = 17 };
    uint32_t tokens[COUNT];
    small_tokens(tokens, COUNT);
    model m = small_model(true);
    network *n = network_create(a, &m);
    float *gradient = ARENA_ARRAY(a, float, m.parameter_count);
    double loss = network_learn(n, tokens, COUNT, 1, gradient);
    assert_float_equal(loss, network_loss(n, tokens, COUNT), 0);
    for (int i = 0; i < m.tensor_count; i++) {
        const tensor *t = &m.tensors[i];
        const float *direction = gradient + t->first;
        double square = dot(direction, direction, size_of(t));
        float step = (float)fmin(0.05 / square, 0.02 / sqrt(square));
        double slope = (loss_moved(n, &m, t, direction, step, tokens, COUNT) -
                        loss_moved(n, &m, t, direction, -step, tokens, COUNT)) /
                       (2 * (double)step);
        if (fabs(slope / square - 1) > 0.01)
            fail_msg("%s: slope %g, by the gradient %g", t->name, slope, square);
    }
}

static void learning_adds_weighted_gradients(void **state)
{
    (void)state;
    enum { COUNT = 9 };
    uint32_t tokens[COUNT];
    small_tokens(tokens, COUNT);
    model m = small_model(false);
    network *n = network_create(a, &m);
    float *once = ARENA_ARRAY(a, float, m.parameter_count);
    float *twice = ARENA_ARRAY(a, float, m.parameter_count);
    network_learn(n, tokens, COUNT, 1, once);
    network_learn(n, tokens, COUNT, 0.5f, twice);
    network_learn(n, tokens, COUNT, 1.5f, twice);
    double norm = sqrt(dot(once, once, m.parameter_count));
    for (size_t i = 0; i < m.parameter_count; i++)
        assert_float_equal(twice[i], 2 * (double)once[i], 1e-5 * norm);
}

// Straight-through: the gradient of the rounded model is nearly that of a model without rounding
// which has the rounded weights, and passes to the master weights as it is.
static void rounding_is_straight_through(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    uint32_t tokens[COUNT];
    small_tokens(tokens, COUNT);
    model rounded = small_model(false), exact = small_model(true);
    for (int i = 0; i < exact.tensor_count; i++) {
        const tensor *t = &rounded.tensors[i];
        for (size_t j = 0; j < size_of(t); j++)
            model_values(&exact, t)[j] = model_values(&rounded, t)[j] * t->scale;
    }
    float *of_rounded = ARENA_ARRAY(a, float, rounded.parameter_count);
    float *of_exact = ARENA_ARRAY(a, float, rounded.parameter_count);
    network_learn(network_create(a, &rounded), tokens, COUNT, 1, of_rounded);
    network_learn(network_create(a, &exact), tokens, COUNT, 1, of_exact);
    for (int i = 0; i < exact.tensor_count; i++) {
        const tensor *t = &rounded.tensors[i];
        const float *x = of_rounded + t->first, *y = of_exact + t->first;
        double xx = dot(x, x, size_of(t)), yy = dot(y, y, size_of(t));
        if (dot(x, y, size_of(t)) < 0.99 * sqrt(xx * yy) || fabs(xx / yy - 1) > 0.1)
            fail_msg("%s: gradients differ", t->name);
    }
}

static void weights_round_to_ternary(void **state)
{
    (void)state;
    model m = small_model(false);
    for (int i = 0; i < m.tensor_count; i++) {
        const tensor *t = &m.tensors[i];
        double sum = 0;
        for (size_t j = 0; j < size_of(t); j++)
            sum += fabs((double)m.master[t->first + j]);
        if (t->kind == TENSOR_TERNARY)
            assert_float_equal(t->scale, sum / (double)size_of(t), 2e-5);
        for (size_t j = 0; j < size_of(t) && t->kind == TENSOR_TERNARY; j++) {
            float w = m.master[t->first + j] / t->scale;
            float want = w > 0.5f ? 1 : w < -0.5f ? -1 : 0;
            assert_float_equal(m.values[t->first + j], want, 0);
        }
    }
}

// A later token never changes what was predicted before it.
static void predictions_are_causal(void **state)
{
    (void)state;
    enum { COUNT = 20, PREFIX = 13 };
    uint32_t tokens[COUNT];
    small_tokens(tokens, COUNT);
    model m = small_model(false);
    network *n = network_create(a, &m);
    size_t size = (size_t)PREFIX * (size_t)small.vocabulary * sizeof(float);
    float *whole = arena_copy(a, network_forward(n, tokens, COUNT), size);
    assert_memory_equal(network_forward(n, tokens, PREFIX), whole, size);
}

// --------------------------------------------------------------------------- training

static const model_sizes trained_sizes = {.vocabulary = 400,
                                          .context = 48,
                                          .dim = 256,
                                          .ffn = 256,
                                          .layers = 1,
                                          .heads = 4,
                                          .kv_heads = 2};
enum { STEPS = 6 };

// Short sequences and few steps, for time.
static model train_small(const corpus *c, int threads, double *loss)
{
    const training_settings settings = {
        .seed = 3,
        .batch = 4,
        .shares = 4,
        .threads = threads,
        .optimizer = {.rate = 0.01f, .decay = 0.05f, .clip = 1, .warmup = 2, .steps = STEPS},
    };
    model m = model_create(a, &trained_sizes);
    double before;
    model fresh = model_create(a, &trained_sizes);
    model_initialize(a, &fresh, 3);
    for (int i = 0; i < fresh.tensor_count; i++)
        model_round(&fresh, &fresh.tensors[i]);
    before = corpus_loss(a, &fresh, c, CORPUS_VALIDATION, 4, threads);
    *loss = train(a, &m, c, &settings);
    assert_true(corpus_loss(a, &m, c, CORPUS_VALIDATION, 4, threads) < before - 1);
    return m;
}

typedef struct trained {
    corpus corpus;
    model model;
    text bytes;
} trained;

static trained train_and_write(int threads)
{
    double loss;
    trained t = {.corpus = corpus_create(a, d, 3, (size_t)trained_sizes.vocabulary)};
    t.model = train_small(&t.corpus, threads, &loss);
    assert_true(loss < log(trained_sizes.vocabulary));
    model_write(a, &t.model, &t.corpus.vocabulary, &t.bytes);
    return t;
}

// What it is worth on one machine, it is worth on all: the bytes are known.
static void training_gives_known_bytes(void **state)
{
    (void)state;
    trained one = train_and_write(1), two = train_and_write(2);
    assert_int_equal(one.bytes.length, two.bytes.length);
    assert_memory_equal(one.bytes.data, two.bytes.data, one.bytes.length);
    assert_int_equal(hash_bytes(one.bytes.data, one.bytes.length), UINT64_C(0xdf29163e43be9d1b));
    text_free(&one.bytes);
    text_free(&two.bytes);
}

static void check_tensor(const weights *w, const model *m, const tensor *t)
{
    const weights_tensor *stored = weights_find(w, arena_format(a, "%s.weight", t->name));
    assert_non_null(stored);
    float *values = ARENA_ARRAY(a, float, size_of(t));
    assert_true(weights_read_rows(w, d, stored, 0, stored->rows, values));
    assert_memory_equal(values, model_values(m, t), size_of(t) * sizeof *values);
    if (t->kind == TENSOR_TERNARY)
        assert_string_equal(weights_keep_format(w, stored), "ternary");
}

static void the_file_holds_the_model_exactly(void **state)
{
    (void)state;
    static const char path[] = "tiny_lm_test.gguf";
    trained t = train_and_write(2);
    FILE *f = fopen(path, "wb");
    assert_true(f && fwrite(t.bytes.data, t.bytes.length, 1, f) == 1 && fclose(f) == 0);
    weights *w = weights_open(a, d, path);
    assert_non_null(w);
    for (int i = 0; i < t.model.tensor_count; i++)
        check_tensor(w, &t.model, &t.model.tensors[i]);
    weights_close(w);

    loaded_model m;
    assert_true(model_read(a, d, path, &m));
    uint32_t tokens[32], again[32];
    int count = corpus_sequence(&t.corpus, CORPUS_VALIDATION, 5, 32, tokens);
    assert_float_equal(network_loss(network_create(a, &m.model), tokens, count),
                       network_loss(network_create(a, &t.model), tokens, count), 0);
    t.corpus.tokenizer = m.tokenizer;
    assert_int_equal(corpus_sequence(&t.corpus, CORPUS_VALIDATION, 5, 32, again), count);
    assert_memory_equal(tokens, again, sizeof *tokens * (size_t)count);
    text_free(&t.bytes);
    remove(path);
}

static void the_rate_rises_and_falls(void **state)
{
    (void)state;
    const optimizer_settings s = {.rate = 2, .warmup = 4, .steps = 104};
    assert_float_equal(optimizer_rate(&s, 0), 0.5, 1e-7);
    assert_float_equal(optimizer_rate(&s, 3), 2, 1e-7);
    assert_float_equal(optimizer_rate(&s, 54), 1, 1e-6);
    assert_true(optimizer_rate(&s, 103) < 0.001f);
}

// ------------------------------------------------------------------------- evaluation

static loaded_model small_loaded(void)
{
    corpus *c = ARENA_NEW(a, corpus);
    *c = corpus_create(a, d, 3, (size_t)trained_sizes.vocabulary);
    loaded_model m = {model_create(a, &trained_sizes), (tokenizer *)c->tokenizer};
    model_initialize(a, &m.model, 3);
    for (int i = 0; i < m.model.tensor_count; i++)
        model_round(&m.model, &m.model.tensors[i]);
    return m;
}

static void continuations_take_the_largest_logit(void **state)
{
    (void)state;
    loaded_model m = small_loaded();
    continuation c;
    assert_true(continue_text(a, d, &m, "Once upon", 7, &c));
    assert_int_equal(c.tokens.count, c.prompt + 7);
    network *n = network_create(a, &m.model);
    float smallest = INFINITY;
    for (size_t i = c.prompt; i < c.tokens.count; i++) {
        const float *logits =
            network_forward(n, c.tokens.items, (int)i) + (i - 1) * (size_t)m.model.sizes.vocabulary;
        for (uint32_t j = 0; j < (uint32_t)m.model.sizes.vocabulary; j++)
            if (j != c.tokens.items[i])
                smallest = fminf(smallest, logits[c.tokens.items[i]] - logits[j]);
    }
    assert_float_equal(c.margin, smallest, 0);
    assert_true(continue_text(a, d, &m, "Once upon", 1000, &c)); // the context ends first
    assert_int_equal(c.tokens.count, m.model.sizes.context);
}

static void prompts_beyond_the_context_are_refused(void **state)
{
    (void)state;
    loaded_model m = small_loaded();
    continuation c;
    text story = {0};
    for (uint64_t i = 0; i < 3; i++)
        corpus_story(1, CORPUS_TRAINING, i, &story);
    assert_false(continue_text(a, d, &m, story.data, 1, &c));
    assert_non_null(strstr(messages(), "the context holds 48"));
    text_free(&story);
}

// Both rules, token by token.
static void losses_follow_their_rules(void **state)
{
    (void)state;
    loaded_model m = small_loaded();
    int context = m.model.sizes.context, counted = 0, halves = 0;
    text story = {0};
    corpus_story(1, CORPUS_TRAINING, 4, &story);
    text_loss got;
    assert_true(measure_text(a, d, &m, story.data, story.length, &got));
    token_list t = {0};
    assert_true(
        tokenizer_encode(m.tokenizer, a, d, story.data, story.length, (encode_options){0}, &t));
    assert_true(t.count > (size_t)context);
    network *n = network_create(a, &m.model);
    double all = 0, half = 0;
    for (size_t i = 0; i < t.count; i++) {
        uint32_t window[64] = {BPE_BOS};
        int at = (int)i % context;
        memcpy(window + 1, t.items + i - at, (size_t)(at + 1) * sizeof *window);
        double before = at ? network_loss(n, window, at + 1) : 0;
        all += network_loss(n, window, at + 2) - before;
        counted++;
    }
    for (size_t w = 0; (w + 1) * (size_t)context <= t.count; w++) {
        t.items[w * (size_t)context] = BPE_BOS;
        half += network_loss(n, t.items + w * (size_t)context, context) -
                network_loss(n, t.items + w * (size_t)context, context / 2 + 1);
        halves += context - context / 2 - 1;
    }
    assert_int_equal(got.tokens, counted);
    assert_float_equal(got.mean, all / counted, 1e-6);
    assert_float_equal(got.perplexity, exp(half / halves), 1e-4);
    assert_false(measure_text(a, d, &m, "", 0, &got));
    text_free(&story);
}

static const char *data_path(const char *name)
{
    const char *folder = getenv("LUTRA_TEST_DATA"), *root = getenv("LUTRA_SOURCE");
    const char *path = folder ? arena_format(a, "%s/%s", folder, name)
                              : arena_format(a, "%s/../shared/data/%s", root ? root : ".", name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    return path;
}

// The forward pass is that of models that others have trained.
static void a_real_model_tells_its_known_story(void **state)
{
    (void)state;
    loaded_model m;
    continuation c;
    mapped_file known;
    text got = {0};
    assert_true(file_map(d, data_path("bitnet-3m/expected-greedy-256.txt"), &known));
    assert_true(model_read(a, d, data_path("bitnet-3m/bit3M-bitnet-TQ2_0.gguf"), &m));
    assert_true(continue_text(a, d, &m, "Once upon a time", 40, &c));
    tokens_text(m.tokenizer, &c.tokens, &got);
    assert_true(got.length > 100 && got.length < known.size);
    assert_memory_equal(got.data, known.data, got.length);
    text_free(&got);
    file_unmap(&known);
}

// ------------------------------------------------------------------------ wrong files

static void check_refused(gguf_writer *g, const char *message)
{
    static const char path[] = "tiny_lm_wrong.gguf";
    text bytes = {0};
    loaded_model m;
    gguf_write(g, &bytes);
    FILE *f = fopen(path, "wb");
    assert_true(f && fwrite(bytes.data, bytes.length, 1, f) == 1 && fclose(f) == 0);
    assert_false(model_read(a, d, path, &m));
    if (!strstr(messages(), message))
        fail_msg("'%s' is not in: %s", message, messages());
    text_free(&bytes);
    remove(path);
}

static gguf_writer *file_of_sizes(const char *architecture, unsigned dim, unsigned heads)
{
    static const char *const keys[] = {"context_length", "block_count", "feed_forward_length",
                                       "vocab_size", "attention.head_count_kv"};
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_text(g, "general.architecture", architecture);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        gguf_put_u32(g, arena_format(a, "bitnet.%s", keys[i]), 1);
    gguf_put_u32(g, "bitnet.embedding_length", dim);
    gguf_put_u32(g, "bitnet.attention.head_count", heads);
    return g;
}

static void files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    check_refused(file_of_sizes("llama", 256, 8), "the architecture is not 'bitnet'");
    check_refused(file_of_sizes("bitnet", 1u << 30, 8), "'bitnet.embedding_length' must be");
    check_refused(file_of_sizes("bitnet", 96, 8), "heads of 8 of 96");
    check_refused(file_of_sizes("bitnet", 4096, 8), "tensors are missing");
    gguf_writer *g = file_of_sizes("bitnet", 16, 8);
    gguf_put_floats(g, "token_embd.weight", SCALAR_F32, 2, (int64_t[]){4096, 16},
                    ARENA_ARRAY(a, float, 4096 * 16));
    check_refused(g, "tensor 'blk.0.attn_norm.weight' of shape [1, 16] is missing");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(stories_are_whole_and_repeatable),
        TEST(parts_have_stories_of_their_own),
        TEST(frequent_pairs_merge_first),
        TEST(any_text_survives_the_tokenizer),
        TEST(elementary_functions_are_near_libm),
        TEST(products_are_sums_in_order),
        TEST(rounding_is_to_127_levels_and_even),
        TEST(rotation_turns_halves_by_position),
        TEST(gradients_are_slopes_of_the_loss),
        TEST(learning_adds_weighted_gradients),
        TEST(rounding_is_straight_through),
        TEST(weights_round_to_ternary),
        TEST(predictions_are_causal),
        TEST(training_gives_known_bytes),
        TEST(the_file_holds_the_model_exactly),
        TEST(the_rate_rises_and_falls),
        TEST(continuations_take_the_largest_logit),
        TEST(prompts_beyond_the_context_are_refused),
        TEST(losses_follow_their_rules),
        TEST(a_real_model_tells_its_known_story),
        TEST(files_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
