// link: lutra_import lutra_ir lutra_quant lutra_support
// Tensor types against formulas of the GGUF specification, weights of a program, packed files.
#include "unit.h"

#include "compiler/import/gguf_write.h"
#include "compiler/import/import.h"
#include "support/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static arena *a;
static diagnostics *d;
static char *said;
static size_t said_length;
static FILE *talk;
static random_stream stream;

static int setup(void **state)
{
    (void)state;
    a = arena_create();
    talk = open_memstream(&said, &said_length);
    d = diagnostics_create(talk);
    stream = random_seed(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    diagnostics_destroy(d);
    fclose(talk);
    free(said);
    arena_destroy(a);
    return 0;
}

static const char *messages(void)
{
    diagnostics_flush(d);
    fflush(talk);
    return said;
}

#define assert_silent() assert_string_equal(messages(), "")

static weights *parsed(gguf_writer *g)
{
    text file = {0};
    gguf_write(g, &file);
    void *copy = arena_copy(a, file.data, file.length);
    weights *w = weights_parse(a, d, "test.gguf", copy, file.length);
    text_free(&file);
    if (!w)
        fail_msg("%s", messages());
    return w;
}

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

static ir_global *declare(ir_module *m, const char *name, const char *format, int64_t n, int64_t k)
{
    ir_dim dims[2] = {ir_dim_constant(n), ir_dim_constant(k)};
    return ir_global_create(m, IR_GLOBAL_WEIGHT, name, ir_type_weight(m, format, 2, dims), name,
                            NOWHERE);
}

static ir_global *declare_vector(ir_module *m, const char *name, scalar_type type, int64_t k)
{
    ir_dim dims[1] = {ir_dim_constant(k)};
    return ir_global_create(m, IR_GLOBAL_WEIGHT, name, ir_type_tensor(m, type, 1, dims), name,
                            NOWHERE);
}

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

static weights *small_model(void)
{
    gguf_writer *g = gguf_writer_create(a);
    float *values = ARENA_ARRAY(a, float, 150 * 70);
    for (int i = 0; i < 150 * 70; i++)
        values[i] = (float)random_normal(&stream);
    gguf_put_u32(g, "model.size", 70);
    gguf_put_floats(g, "up", SCALAR_F16, 2, (int64_t[]){150, 70}, values);
    gguf_put_floats(g, "norm", SCALAR_F32, 1, (int64_t[]){70}, values + 7);
    gguf_put_floats(g, "stacked", SCALAR_BF16, 3, (int64_t[]){2, 3, 5}, values);
    values[71] = INFINITY;
    gguf_put_floats(g, "broken", SCALAR_F32, 2, (int64_t[]){3, 70}, values);
    values[71] = 1e6f;
    gguf_put_floats(g, "large", SCALAR_F32, 2, (int64_t[]){3, 70}, values);
    return parsed(g);
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

// -------------------------------------------------------------------- packed files

static const pack_shape tiles = {2, 64};

static ir_module *small_program(const char *format)
{
    ir_module *m = ir_module_create(a, "m");
    declare(m, "up", format, 150, 70);
    declare_vector(m, "norm", SCALAR_F32, 70);
    ir_dim dims[3] = {ir_dim_constant(2), ir_dim_constant(3), ir_dim_constant(5)};
    ir_global_create(m, IR_GLOBAL_WEIGHT, "stacked", ir_type_tensor(m, SCALAR_F16, 3, dims),
                     "stacked", NOWHERE);
    ir_global *copy = declare(m, "up.dense", "bf16", 150, 70);
    copy->source = "up";
    return m;
}

static text packed(const weights *w, ir_module *m, pack_shape shape)
{
    char *data = NULL;
    size_t size = 0;
    assert_true(pack_file_place(m, d, shape));
    FILE *f = open_memstream(&data, &size);
    if (!pack_file_write(f, d, w, m, shape))
        fail_msg("%s", messages());
    fclose(f);
    assert_int_equal(size, pack_file_size(w, m, shape));
    text t = {0};
    t.data = arena_copy(a, data, size);
    t.length = size;
    free(data);
    return t;
}

static void assert_same_values(const weights *x, const weights *y, const ir_module *m)
{
    for (const ir_global *g = m->globals; g; g = g->next) {
        weights_tensor t;
        assert_true(weights_resolve(x, d, g, &t));
        double *p = ARENA_ARRAY(a, double, (size_t)(t.rows * t.columns));
        double *q = ARENA_ARRAY(a, double, (size_t)(t.rows * t.columns));
        assert_true(weights_values(x, d, g, 0, t.rows, p));
        assert_true(weights_values(y, d, g, 0, t.rows, q));
        for (int64_t i = 0; i < t.rows * t.columns; i++)
            assert_true(p[i] == q[i]);
        for (int64_t n = 0; n < t.rows; n += 37) { // and from the middle
            assert_true(weights_values(y, d, g, n, 1, q));
            assert_memory_equal(q, p + n * t.columns, (size_t)t.columns * sizeof *p);
        }
    }
}

static void packed_files_hold_what_they_were_made_from(void **state)
{
    (void)state;
    static const char *const formats[] = {"w2g64", "w4g32z", "ternary", "w1", "w3g16zf", "f16"};
    weights *w = small_model();
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        ir_module *m = small_program(formats[i]);
        text file = packed(w, m, tiles);
        weights *p = weights_parse(a, d, "m.lutw", file.data, file.length);
        assert_non_null(p);
        assert_int_equal(weights_kind_of(p), WEIGHTS_PACKED);
        assert_int_equal(weights_count(p), 4);
        assert_string_equal(weights_at(p, 0)->format.name, formats[i]);
        assert_int_equal(weights_meta(p, "model.size")->integer, 70);
        for (size_t j = 0; j < 4; j++)
            assert_true(weights_verify(p, d, weights_at(p, j)));
        assert_same_values(w, p, m);
    }
    assert_silent();
}

static void the_packed_bytes_are_those_of_pack_rows(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = small_program("w2g32z");
    text file = packed(w, m, tiles);
    const ir_global *g = m->globals;
    assert_int_equal(g->address, PACK_BASE + 4096);
    quant_format f;
    weights_global_format(g, &f);
    quant_rows rows = quant_rows_create(a, &f, 150, 70);
    assert_true(weights_canonical(w, d, g, 0, 150, &rows));
    uint64_t size = pack_size(&f, 150, 70, tiles);
    assert_int_equal(g->size, size);
    uint8_t *want = arena_alloc(a, size);
    pack_rows(&rows, tiles, want);
    assert_memory_equal(file.data + 4096, want, size);
}

static void packing_again_copies_and_gives_the_same_file(void **state)
{
    (void)state;
    weights *w = small_model();
    text one = packed(w, small_program("w3g64"), tiles);
    text two = packed(w, small_program("w3g64"), tiles);
    assert_int_equal(one.length, two.length);
    assert_memory_equal(one.data, two.data, one.length);
    weights *p = weights_parse(a, d, "one.lutw", one.data, one.length);
    text three = packed(p, small_program("w3g64"), tiles);
    assert_int_equal(one.length, three.length);
    assert_memory_equal(one.data, three.data, one.length);
}

static void other_tiles_hold_the_same_values(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = small_program("w3g64");
    text one = packed(w, m, tiles);
    weights *p = weights_parse(a, d, "one.lutw", one.data, one.length);
    text two = packed(p, small_program("w3g64"), (pack_shape){4, 128});
    weights *q = weights_parse(a, d, "two.lutw", two.data, two.length);
    assert_same_values(p, q, m);
}

static void machines_without_tiles_have_dense_weights(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = small_program("f16");
    text file = packed(w, m, (pack_shape){0, 0});
    weights *p = weights_parse(a, d, "dense.lutw", file.data, file.length);
    assert_non_null(p);
    assert_same_values(w, p, m);
    assert_false(pack_file_place(small_program("w2"), d, (pack_shape){0, 0}));
}

static void damaged_weights_are_not_copied(void **state)
{
    (void)state;
    weights *w = small_model();
    text one = packed(w, small_program("w3g64"), tiles);
    one.data[5000] ^= 1;
    weights *p = weights_parse(a, d, "one.lutw", one.data, one.length);
    assert_non_null(p);
    assert_false(weights_verify(p, d, weights_at(p, 0)));
    FILE *f = fopen("/dev/null", "w");
    ir_module *m = small_program("w3g64");
    assert_true(pack_file_place(m, d, tiles));
    assert_false(pack_file_write(f, d, p, m, tiles));
    fclose(f);
    assert_string_equal(messages(),
                        "one.lutw: error: weight 'up' is damaged: its bytes do not have "
                        "the hash that the directory gives\n"
                        "one.lutw: error: weight 'up' is damaged: its bytes do not have "
                        "the hash that the directory gives\n");
}

static void what_cannot_be_packed_is_explained(void **state)
{
    (void)state;
    ir_module *m = ir_module_create(a, "m");
    declare(m, "x", "w2g16", 64, 64);
    declare(m, "y", "w", 64, 64);
    declare_vector(m, "z", SCALAR_I32, 4);
    declare(m, "huge", "f32", INT64_MAX / 2, 8);
    assert_false(pack_file_place(m, d, (pack_shape){4, 128}));
    assert_string_equal(
        messages(),
        "error: weight 'x': format w2g16 cannot be packed for tiles of m4 n128, whose depth of 128 "
        "weights needs groups of at least 32\n"
        "error: weight 'y' has no format that can be packed\n"
        "error: weight 'z' has no format that can be packed\n"
        "error: weight 'huge': format f32 cannot be packed: it is too large, or the machine has no "
        "LUT tiles\n");
}

static void full_disks_are_reported(void **state)
{
    (void)state;
    FILE *f = fopen("/dev/full", "w");
    if (!f)
        skip();
    weights *w = small_model();
    ir_module *m = small_program("w2");
    assert_true(pack_file_place(m, d, tiles));
    assert_false(pack_file_write(f, d, w, m, tiles));
    fclose(f);
    assert_string_equal(messages(),
                        "error: packed weights cannot be written: No space left on device\n");
}

// ------------------------------------------------------------- packed files, wrong

static const char *message_after(text file, const char *from, const char *to)
{
    uint8_t *copy = arena_copy(a, file.data, file.length);
    uint8_t *at = memmem(copy, file.length, from, strlen(from));
    if (!at || strlen(from) != strlen(to))
        fail_msg("the test changes '%s', which is not there", from);
    memcpy(at, to, strlen(to));
    size_t start = strlen(messages());
    if (weights_parse(a, d, "bad.lutw", copy, file.length))
        fail_msg("accepted with '%s'", to);
    return messages() + start;
}

static void wrong_directories_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } rows[] = {
        {"[\n{", "{\n{", "directory: string or '}' expected near '{' (line 2)"},
        {"[\n{\"name\":\"up\"", "[\n{\"nam\":\"upp\"", "directory entry 1: it has no name"},
        {"\"w3g64\"", "\"w5g64\"", "directory entry 1: the format is unknown"},
        {"\"w3g64\"", "\"w3g16\"",
         "directory entry 1: the size is not that of the shape and format"},
        {"[150,70]", "[150,-7]", "directory entry 1: a size in the shape is not a whole number"},
        {"[150,70]", "\"150070\"", "directory entry 1: the shape is not a list of up to 6 sizes"},
        {"[150,70]", "[214,70]", "directory entry 1: the size is not that of the shape and format"},
        {"\"offset\":4096", "\"offset\":4100",
         "directory entry 1: the weight is misaligned, overlaps its neighbour or leaves the file"},
        {"\"offset\":4096", "\"offset\":4032",
         "directory entry 1: the weight is misaligned, overlaps its neighbour or leaves the file"},
        {"\"offset\":4096", "\"offset\":40.5",
         "directory entry 1: offset and size are not whole numbers"},
        {"\"hash\":\"", "\"HASH\":\"", "directory entry 1: the hash is not 16 hexadecimal digits"},
        {"\"source\":\"up\"", "\"source\":1234",
         "directory entry 1: the source is neither a name nor null"},
        {"\"name\":\"norm\"", "\"name\":\"up\"  ", "tensor 'up' appears twice"},
    };
    text file = packed(small_model(), small_program("w3g64"), tiles);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *message = message_after(file, rows[i].from, rows[i].to);
        char *want = arena_format(a, "bad.lutw: error: %s\n", rows[i].message);
        assert_string_equal(message, want);
    }
}

static void wrong_headers_are_explained(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
        size_t size;
        const char *message;
    } rows[] = {
        {8, 2, 4, "header: version 2 is not supported, only 1"},
        {12, 3, 4, "header: m3 n64 is not a tile shape"},
        {16, 0, 4, "header: m2 n0 is not a tile shape"},
        {24, UINT64_MAX, 8, "header: the directory lies outside the file, which may be truncated"},
        {24, 64, 8, "header: the directory lies outside the file, which may be truncated"},
        {32, 1u << 30, 8, "header: the directory lies outside the file, which may be truncated"},
        {40, 100, 8, "header: the metadata does not lie between weights and directory"},
        {48, 7, 8, "header: the metadata does not lie between weights and directory"},
        {48, UINT64_MAX, 8, "header: the metadata does not lie between weights and directory"},
    };
    text file = packed(small_model(), small_program("w3g64"), tiles);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *copy = arena_copy(a, file.data, file.length);
        memcpy(copy + rows[i].at, &rows[i].value, rows[i].size);
        size_t start = strlen(messages());
        assert_null(weights_parse(a, d, "bad.lutw", copy, file.length));
        assert_string_equal(messages() + start,
                            arena_format(a, "bad.lutw: error: %s\n", rows[i].message));
    }
    for (size_t length = 0; length < file.length; length += 97)
        assert_null(weights_parse(a, d, "cut.lutw", arena_copy(a, file.data, length), length));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(packed_files_hold_what_they_were_made_from),
        TEST(the_packed_bytes_are_those_of_pack_rows),
        TEST(packing_again_copies_and_gives_the_same_file),
        TEST(other_tiles_hold_the_same_values),
        TEST(machines_without_tiles_have_dense_weights),
        TEST(damaged_weights_are_not_copied),
        TEST(what_cannot_be_packed_is_explained),
        TEST(full_disks_are_reported),
        TEST(wrong_directories_are_explained),
        TEST(wrong_headers_are_explained),
        TEST(the_ternary_model_is_kept_exactly),
        TEST(real_files_are_read),
        TEST(fixtures_of_others_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
