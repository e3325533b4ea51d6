// link: lutra_import lutra_ir lutra_quant lutra_support
// Opening sources, and a program's weights.
#include "weights_fixture.h"

#include <unistd.h>

// ------------------------------------------------------------- a program's weights

static void other_tensors_are_quantized(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_global *g = declare(ir_module_create(a, "m"), "up", "w3g16z", 150, 70);
    quant_format f;
    assert_true(weights_global_format(g, &f));
    quant_rows got = quant_rows_create(a, &f, 20, 70), want = quant_rows_create(a, &f, 20, 70);
    float *values = ARENA_ARRAY(a, float, 20 * 70);
    assert_true(weights_canonical(w, d, g, 100, 20, &got));
    assert_true(weights_read_rows(w, d, weights_find(w, "up"), 100, 20, values));
    quant_quantize_by(QUANT_CLIPPED, values, &want);
    assert_memory_equal(got.codes, want.codes, 20 * 70);
    assert_memory_equal(got.scale, want.scale, 20 * 5 * sizeof(float));
    assert_memory_equal(got.offset, want.offset, 20 * 5 * sizeof(float));
}

static void missing_and_misshaped_tensors_are_explained(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = ir_module_create(a, "m");
    weights_tensor t;
    assert_false(weights_resolve(w, d, declare(m, "upp", "w2", 150, 70), &t));
    assert_false(weights_resolve(w, d, declare(m, "up", "w2", 70, 150), &t));
    assert_false(weights_resolve(w, d, declare_vector(m, "norm", SCALAR_F32, 71), &t));
    assert_true(weights_resolve(w, d, declare(m, "norm", "f32", 1, 70), &t));
    assert_string_equal(messages(),
                        "error: weight 'upp': test.gguf has no tensor 'upp'\n"
                        "   note: did you mean 'up'?\n"
                        "error: weight 'up' is declared [70, 150], but tensor 'up' of test.gguf is "
                        "[150, 70]\n"
                        "error: weight 'norm' is declared [71], but tensor 'norm' of test.gguf is "
                        "[70]\n");
}

static void weights_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = ir_module_create(a, "m");
    double values[3 * 70];
    assert_false(weights_values(w, d, declare(m, "broken", "w2", 3, 70), 0, 3, values));
    assert_false(weights_values(w, d, declare(m, "broken", "f16", 3, 70), 0, 3, values));
    assert_false(weights_values(w, d, declare(m, "large", "f16", 3, 70), 0, 3, values));
    assert_true(weights_values(w, d, declare(m, "large", "f32", 3, 70), 0, 3, values));
    assert_string_equal(
        messages(),
        "test.gguf: error: tensor 'broken': row 1, column 1 is not a finite 32-bit number (inf)\n"
        "test.gguf: error: tensor 'broken': row 1, column 1 is not a finite 32-bit number (inf)\n"
        "error: weight 'large': 1e+06 in tensor 'large' is beyond the range of f16\n");
}

static void random_weights_are_normal_and_the_same_every_time(void **state)
{
    (void)state;
    enum { N = 64, K = 256 };
    weights *w = weights_open(a, d, "random:7"), *other = weights_open(a, d, "random:8");
    ir_module *m = ir_module_create(a, "m");
    ir_global *g = declare(m, "x", "f32", N, K), *v = declare_vector(m, "v", SCALAR_F32, N);
    double all[N * K], row[K], gains[N];
    assert_true(weights_values(w, d, g, 0, N, all));
    assert_true(weights_values(w, d, g, 9, 1, row));
    assert_memory_equal(all + 9 * K, row, sizeof row);
    double sum = 0, squares = 0, fourth = 0;
    for (int i = 0; i < N * K; i++) {
        double x = all[i] * 16; // sqrt K
        sum += x, squares += x * x, fourth += x * x * x * x;
    }
    assert_true(fabs(sum / (N * K)) < 0.03 && fabs(squares / (N * K) - 1) < 0.03);
    assert_true(fabs(fourth / (N * K) - 2.85) < 0.15); // 3 - 1.2 / 8 for a sum of eight
    assert_true(weights_values(other, d, g, 9, 1, row));
    assert_memory_not_equal(all + 9 * K, row, sizeof row);
    assert_true(weights_values(w, d, v, 0, 1, gains));
    for (int i = 0; i < N; i++)
        assert_true(fabs(gains[i] - 1) < 0.5);
    assert_null(weights_meta(w, "anything"));
}

static void sources_without_values_say_so(void **state)
{
    (void)state;
    weights *w = weights_open(a, d, "none");
    double row[4];
    assert_false(
        weights_values(w, d, declare(ir_module_create(a, "m"), "x", "w2", 1, 4), 0, 1, row));
    assert_null(weights_open(a, d, "random:seven"));
    assert_null(weights_open(a, d, "/nonexistent/model.gguf"));
    assert_non_null(strstr(messages(), "the values of 'x' are needed, but weights are 'none'"));
    assert_non_null(strstr(messages(), "expected random:SEED with a whole number"));
    assert_non_null(strstr(messages(), "/nonexistent/model.gguf"));
}

// ---------------------------------------------------------------------- real models

static weights *real(const char *name)
{
    const char *folder = getenv("LUTRA_TEST_DATA"), *root = getenv("LUTRA_SOURCE");
    char *path = folder ? arena_format(a, "%s/%s", folder, name)
                        : arena_format(a, "%s/../shared/data/%s", root ? root : ".", name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    weights *w = weights_open(a, d, path);
    if (!w)
        fail_msg("%s", messages());
    return w;
}

static void the_ternary_model_is_kept_exactly(void **state)
{
    (void)state;
    weights *ternary = real("bitnet-3m/bit3M-bitnet-TQ2_0.gguf");
    weights *half_file = real("bitnet-3m/bit3M-bitnet-F16.gguf");
    size_t matrices = 0;
    for (size_t i = 0; i < weights_count(ternary); i++) {
        const weights_tensor *t = weights_at(ternary, i), *u = weights_find(half_file, t->name);
        if (strcmp(t->type->name, "TQ2_0") != 0)
            continue;
        matrices++;
        assert_string_equal(weights_keep_format(ternary, t), "ternary");
        ir_global *g = declare(ir_module_create(a, "m"), t->name, "ternary", t->rows, t->columns);
        size_t count = (size_t)(t->rows * t->columns);
        double *x = ARENA_ARRAY(a, double, count), *y = ARENA_ARRAY(a, double, count);
        float *plain = ARENA_ARRAY(a, float, count);
        assert_true(weights_values(ternary, d, g, 0, t->rows, x));
        assert_true(weights_values(half_file, d, g, 0, t->rows, y)); // quantized from f16
        assert_true(weights_read_rows(half_file, d, u, 0, t->rows, plain));
        for (size_t j = 0; j < count; j++)
            assert_true(x[j] == y[j] && x[j] == (double)plain[j]);
    }
    assert_int_equal(matrices, 56);
    weights_close(ternary);
    weights_close(half_file);
}

// Every weight is within half a step, 1/127 of its block's largest, of the one in the other file.
static void assert_rounded_by_blocks(const float *x, const float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i += 32) {
        float most = 0;
        for (int64_t j = i; j < i + 32; j++)
            most = fmaxf(most, fabsf(y[j]));
        for (int64_t j = i; j < i + 32; j++)
            assert_true(fabsf(x[j] - y[j]) <= most / 127 * 0.51f + most * 0x1p-11f);
    }
}

static void real_files_are_read(void **state)
{
    (void)state;
    weights *q8 = real("stories260k/stories260K-Q8_0.gguf");
    weights *f32 = real("stories260k/stories260K-F32.gguf");
    weights *vocabulary = real("vocab/ggml-vocab-gpt-2.gguf");
    assert_int_equal(weights_meta(vocabulary, "tokenizer.ggml.tokens")->count, 50257);
    assert_int_equal(weights_meta(f32, "llama.block_count")->integer, 5);
    size_t quantized = 0;
    for (size_t i = 0; i < weights_count(q8); i++) {
        const weights_tensor *t = weights_at(q8, i), *u = weights_find(f32, t->name);
        if (strcmp(t->type->name, "Q8_0") != 0)
            continue;
        quantized++;
        size_t count = (size_t)(t->rows * t->columns);
        float *x = ARENA_ARRAY(a, float, count), *y = ARENA_ARRAY(a, float, count);
        assert_true(weights_read_rows(q8, d, t, 0, t->rows, x));
        assert_true(weights_read_rows(f32, d, u, 0, t->rows, y));
        assert_rounded_by_blocks(x, y, (int64_t)count);
        assert_memory_not_equal(x, y, count * sizeof *x);
    }
    assert_true(quantized > 30);
    weights_close(q8);
    weights_close(f32);
    weights_close(vocabulary);
}

static void fixtures_of_others_are_read(void **state)
{
    (void)state;
    weights *w = real("gguf-fixtures/test-le-v3.gguf");
    assert_int_equal(weights_meta(w, "answer")->integer, 42);
    assert_true(weights_meta(w, "answer_in_float")->number == 42);
    assert_int_equal(weights_meta(w, "tokenizer.ggml.tokens")->count, 5);
    assert_int_equal(weights_find(w, "tensor3")->columns, 96);
    weights_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(other_tensors_are_quantized),
        TEST(missing_and_misshaped_tensors_are_explained),
        TEST(weights_that_are_not_finite_are_refused),
        TEST(random_weights_are_normal_and_the_same_every_time),
        TEST(sources_without_values_say_so),
        TEST(the_ternary_model_is_kept_exactly),
        TEST(real_files_are_read),
        TEST(fixtures_of_others_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
