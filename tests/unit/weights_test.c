// link: lutra_import lutra_ir lutra_quant lutra_support
// Tensor types against formulas of the GGUF specification, and a program's weights.
#include "weights_fixture.h"

#include <unistd.h>

// ------------------------------------------- block types, by other formulas than ours

typedef double element(const uint8_t *block, int i);

static double half(const uint8_t *at)
{
    return (double)f16_to_float((uint16_t)(at[0] | at[1] << 8));
}
static double f32_element(const uint8_t *block, int i)
{
    (void)i;
    return scalar_load(SCALAR_F32, block);
}
static double f16_element(const uint8_t *block, int i)
{
    return half(block + 2 * i);
}
static double bf16_element(const uint8_t *block, int i)
{
    return scalar_load(SCALAR_BF16, block + 2 * i);
}
static double q8_0_element(const uint8_t *block, int i)
{
    return half(block) * (int8_t)block[2 + i];
}
static double q4_0_element(const uint8_t *block, int i)
{
    return half(block) * ((block[2 + i % 16] >> i / 16 * 4 & 15) - 8);
}
static double tq2_0_element(const uint8_t *block, int i)
{
    int byte = i / 128 * 32 + i % 32, shift = i % 128 / 32 * 2;
    return half(block + 64) * ((block[byte] >> shift & 3) - 1);
}

// A byte is a fraction of 256; its digits in base 3, most significant first.
static double tq1_0_element(const uint8_t *block, int i)
{
    int byte, digit;
    if (i < 160)
        byte = i % 32, digit = i / 32;
    else if (i < 240)
        byte = 32 + i % 16, digit = (i - 160) / 16;
    else
        byte = 48 + i % 4, digit = (i - 240) / 4;
    int fraction = block[byte];
    for (int j = 0; j < digit; j++)
        fraction = fraction * 3 % 256;
    return half(block + 52) * (fraction * 3 / 256 - 1);
}

static const struct {
    const char *name;
    element *value;
    int d_at; // where a block's f16 scale is; -1: none
} types[] = {
    {"F32", f32_element, -1},     {"F16", f16_element, -1},  {"BF16", bf16_element, -1},
    {"Q8_0", q8_0_element, 0},    {"Q4_0", q4_0_element, 0}, {"TQ1_0", tq1_0_element, 52},
    {"TQ2_0", tq2_0_element, 64},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

static const weight_type *type_named(const char *name)
{
    const weight_type *t = weight_types;
    while (strcmp(t->name, name) != 0)
        t++;
    return t;
}

// Random bits with finite scales; ternary digits stay ternary.
static void random_blocks(size_t type, uint8_t *bytes, size_t size)
{
    const weight_type *t = type_named(types[type].name);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_bits(&stream);
    if (strcmp(t->name, "TQ2_0") == 0)
        for (size_t i = 0; i < size; i++)
            bytes[i] &= (uint8_t)~(bytes[i] >> 1 & 0x55);
    for (size_t block = 0; block < size / t->bytes && types[type].d_at >= 0; block++) {
        uint16_t scale = (uint16_t)(random_bits(&stream) % 0x7c00);
        memcpy(bytes + block * t->bytes + types[type].d_at, &scale, 2);
    }
    if (types[type].d_at < 0) // no infinities, no NaN: clear a bit of every exponent
        for (size_t i = t->bytes - 1; i < size; i += t->bytes)
            bytes[i] &= 0xbf;
}

static void random_tensor(size_t type, int64_t n, int64_t k, weights **w)
{
    const weight_type *t = type_named(types[type].name);
    size_t size = (size_t)(n * k / t->block * t->bytes);
    uint8_t *bytes = arena_alloc(a, size);
    random_blocks(type, bytes, size);
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", t->name, 2, (int64_t[]){n, k}, bytes, size);
    *w = parsed(g);
}

static double by_formula(size_t type, const weights_tensor *t, int64_t i)
{
    return types[type].value(t->data + i / t->type->block * t->type->bytes,
                             (int)(i % t->type->block));
}

static void every_type_dequantizes_by_its_formula(void **state)
{
    (void)state;
    enum { N = 9, K = 512 };
    for (size_t type = 0; type < N_TYPES; type++) {
        weights *w;
        random_tensor(type, N, K, &w);
        const weights_tensor *t = weights_find(w, "w");
        float got[4 * K];
        assert_true(weights_read_rows(w, d, t, 3, 4, got));
        for (int i = 0; i < 4 * K; i++)
            assert_true((double)got[i] == by_formula(type, t, 3 * K + i));
    }
    assert_silent();
}

static void halves_become_floats_exactly(void **state)
{
    (void)state;
    uint16_t all[65536];
    float got[65536];
    for (unsigned i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    type_named("F16")->dequantize((const uint8_t *)all, 65536, got);
    for (unsigned i = 0; i < 65536; i++) {
        float want = f16_to_float((uint16_t)i);
        if (isnan(want))
            assert_true(isnan(got[i]) && !signbit(got[i]) == !signbit(want));
        else
            assert_memory_equal(&got[i], &want, sizeof want);
    }
}

static void written_trits_come_back_from_tq1_0(void **state)
{
    (void)state;
    uint8_t block[54] = {0};
    int trits[256];
    for (int i = 0; i < 256; i++)
        trits[i] = (int)(random_bits(&stream) % 3);
    for (int byte = 0; byte < 52; byte++) {
        int first = byte < 32 ? byte : byte < 48 ? 160 + byte - 32 : 240 + byte - 48;
        int step = byte < 32 ? 32 : byte < 48 ? 16 : 4, digits = byte < 48 ? 5 : 4, number = 0;
        for (int j = 0; j < 5; j++)
            number = number * 3 + (j < digits ? trits[first + j * step] : 0);
        block[byte] = (uint8_t)((number * 256 + 242) / 243);
    }
    block[53] = 0x40; // 2.0
    float got[256];
    type_named("TQ1_0")->dequantize(block, 256, got);
    for (int i = 0; i < 256; i++)
        assert_true(got[i] == 2.0f * (float)(trits[i] - 1));
}

// ------------------------------------------------------------- a program's weights

static void kept_formats_are_exact(void **state)
{
    (void)state;
    enum { N = 5, K = 512 };
    for (size_t type = 4; type < N_TYPES; type++) {
        weights *w;
        random_tensor(type, N, K, &w);
        const weights_tensor *t = weights_find(w, "w");
        const char *format = weights_keep_format(w, t);
        assert_non_null(format);
        ir_global *g = declare(ir_module_create(a, "m"), "w", format, N, K);
        double got[N * K];
        assert_true(weights_values(w, d, g, 0, N, got));
        for (int i = 0; i < N * K; i++)
            assert_true(got[i] == by_formula(type, t, i));
    }
    assert_silent();
}

static const char *kept(const char *type, const void *data, size_t size, int64_t n, int64_t k)
{
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", type, 2, (int64_t[]){n, k}, data, size);
    weights *w = parsed(g);
    return weights_keep_format(w, weights_find(w, "w"));
}

static void the_simplest_exact_format_is_kept(void **state)
{
    (void)state;
    uint8_t q4[36] = {0}, tq[4 * 66] = {0};
    q4[1] = q4[19] = 0x3c; // d = 1
    assert_string_equal(kept("Q4_0", q4, 36, 2, 32), "w4g32z");
    q4[1] = 0, q4[0] = 1; // the smallest half: d/2 is none
    assert_string_equal(kept("Q4_0", q4, 36, 2, 32), "w4g32zf");
    for (int i = 0; i < 4; i++)
        tq[i * 66 + 65] = 0x3c;
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternary");
    tq[2 * 66 + 65] = tq[3 * 66 + 65] = 0x40; // another scale for the second row
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternary");
    tq[3 * 66 + 65] = 0x44; // two in one row
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternaryg256");
    tq[3 * 66 + 65] = 0, tq[3 * 66 + 64] = 1;
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternaryg256f");
    tq[0] = 3; // 2 d: no ternary weight
    assert_null(kept("TQ2_0", tq, sizeof tq, 2, 512));
    assert_null(kept("F16", tq, 256, 1, 128));
}

static void dense_formats_are_exact(void **state)
{
    (void)state;
    for (size_t type = 0; type < N_TYPES; type++) {
        weights *w;
        random_tensor(type, 3, 256, &w);
        const weights_tensor *t = weights_find(w, "w");
        ir_global *g = declare(ir_module_create(a, "m"), "w", weights_dense_format(t), 3, 256);
        double got[3 * 256];
        assert_true(weights_values(w, d, g, 0, 3, got));
        for (int i = 0; i < 3 * 256; i++)
            assert_true(got[i] == by_formula(type, t, i));
    }
}

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
    quant_quantize(values, &want);
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
        "test.gguf: error: tensor 'broken': row 1, column 1 is not a finite number (inf)\n"
        "test.gguf: error: tensor 'broken': row 1, column 1 is not a finite number (inf)\n"
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
    assert_true(weights_has(w, "anything"));
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

static void real_files_are_read(void **state)
{
    (void)state;
    weights *q8 = real("stories260k/stories260K-Q8_0.gguf");
    weights *f32 = real("stories260k/stories260K-F32.gguf");
    weights *vocabulary = real("vocab/ggml-vocab-gpt-2.gguf");
    assert_int_equal(weights_meta(vocabulary, "tokenizer.ggml.tokens")->count, 50257);
    assert_int_equal(weights_meta(f32, "llama.block_count")->integer, 5);
    const weights_tensor *t = weights_find(q8, "blk.0.ffn_gate.weight");
    const weights_tensor *u = weights_find(f32, "blk.0.ffn_gate.weight");
    float x[172 * 64], y[172 * 64];
    assert_true(weights_read_rows(q8, d, t, 0, 172, x) && weights_read_rows(f32, d, u, 0, 172, y));
    double error = 0, energy = 0;
    for (int i = 0; i < 172 * 64; i++) {
        error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        energy += (double)y[i] * (double)y[i];
    }
    assert_true(error > 0 && error / energy < 1e-4);
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
        TEST(every_type_dequantizes_by_its_formula),
        TEST(halves_become_floats_exactly),
        TEST(written_trits_come_back_from_tq1_0),
        TEST(kept_formats_are_exact),
        TEST(the_simplest_exact_format_is_kept),
        TEST(dense_formats_are_exact),
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
