// The language for whole models: optional weights, assertions, frequencies, slopes, size.
// link: lutra_frontend lutra_ir lutra_quant lutra_support
#include "tests/unit/frontend_fixture.h"

#include <time.h>

// --------------------------------------------------------------------- optional weights

#define BLOCKS                                                                                     \
    "weights { blk[2] { wq : w[64, 64] = \"blk.{i}.attn_q.weight\"; bq : f32[64] optional = "      \
    "\"blk.{i}.attn_q.bias\"; } norm : f32[64] optional = \"output_norm.weight\" or \"norm\"; }\n"

static void test_absent_weights_are_left_out(void **state)
{
    (void)state;
    const char *program =
        BLOCKS "entry fn main(x: f32[4, 64]) -> f32[4, 64] {\n"
               "  for i in 0..2 { b = blk[i]; x = linear(x, b.wq, bias = b.bq); }\n"
               "  return has(blk[1].bq) ? x : has(blk[0].wq) ? rms_norm(x, norm) : -x; }\n";
    expect_graph(program, &with_file,
                 "  %0 = linear %x, @blk.0.wq : f32[4, 64]\n"
                 "  %x_1 = add %0, @blk.0.bq : f32[4, 64]\n"
                 "  %x_2 = linear %x_1, @blk.1.wq : f32[4, 64]\n"
                 "  %1 = rms_norm %x_2, gain = @norm : f32[4, 64]\n");
    expect_graph(program, NULL,
                 "  %x_1 = linear %x, @blk.0.wq : f32[4, 64]\n"
                 "  %x_2 = linear %x_1, @blk.1.wq : f32[4, 64]\n"
                 "  %0 = rms_norm %x_2 : f32[4, 64]\n");
}

static void test_absent_weights_cannot_be_used(void **state)
{
    (void)state;
    expect_error(BLOCKS "entry fn main(x: f32[4, 64]) -> f32[4, 64] { return x + blk[1].bq; }\n",
                 &with_file,
                 "error: 'blk[1].bq' is optional, and m.gguf lacks it; ask has(blk[1].bq) first");
    expect_error(
        "weights { scale : f32[2] optional; absent : f32[2] optional; }\n"
        "entry fn main(x: f32[4]) -> f32[4] { return x; }\n",
        &with_file,
        "p.lut:1:11: error: weight 'scale' is f32[2], but 'scale' in m.gguf is F32 [1, 1]");
}

// --------------------------------------------------------------------------- assertions

static void test_a_failed_assertion_comes_alone(void **state)
{
    (void)state;
    job j = compile_with("const A = meta(\"general.architecture\"), D = meta(A + \".missing\");\n"
                         "weights { w : w[D, D] = \"none\"; v : f32[3] = \"no\"; }\n"
                         "assert A == \"opt\", \"this is for opt, not \" + A;\n"
                         "entry fn main(x: f32[D]) -> f32[D] { return linear(x, w); }\n",
                         &with_file);
    assert_null(j.module);
    assert_string_equal(j.messages, "p.lut:3:8: error: this is for opt, not llama\n"
                                    "    3 | assert A == \"opt\", \"this is for opt, not \" + A;\n"
                                    "      |        ^~~~~~~~~~\n");
    finish(&j);
}

static void test_metadata_must_be_finite(void **state)
{
    (void)state;
    expect_error("const D = 4, E = meta(\"llama.broken\");\n" MAIN, &with_file,
                 "p.lut:1:18: error: metadata 'llama.broken' is not a finite number");
}

// ------------------------------------------------------------------ computed constants

static const ir_global *only_constant(const ir_module *m)
{
    const ir_global *found = NULL;
    for (const ir_global *g = m->globals; g; g = g->next)
        if (g->kind == IR_GLOBAL_CONSTANT) {
            assert_null(found);
            found = g;
        }
    assert_non_null(found);
    return found;
}

static void expect_constant(const char *expression, size_t count, const double *want,
                            double tolerance)
{
    char program[512];
    snprintf(program, sizeof program,
             "state s : f32[32, 12, 16];\n"
             "entry fn main(x: f32[4, 12, 16], pos: i32) -> f32[4, 12, 16] { return %s; }",
             expression);
    job j = compile_with(program, NULL);
    assert_non_null(j.module);
    const ir_global *g = only_constant(j.module);
    assert_int_equal(ir_constant_count(g), count);
    for (size_t i = 0; i < count; i++)
        if (fabs(g->values[i] - want[i]) > tolerance * fabs(want[i])) {
            print_error("%s: element %zu is %.17g, not %.17g\n", expression, i, g->values[i],
                        want[i]);
            fail();
        }
    finish(&j);
}

// Figures from the formulas of the papers, in double precision (Python).
static void test_frequencies(void **state)
{
    (void)state;
    static const double plain[] = {1,    0.31622776601683794,   0.1,   0.031622776601683794,
                                   0.01, 0.0031622776601683794, 0.001, 0.00031622776601683794};
    static const double half[] = {0.5, 0.05, 0.005, 0.0005};
    // Over 2048 positions pair 2 still turns more than 32 times and pair 6 less than once.
    static const double yarn[] = {1,       0.31622776601683794,   0.1,     0.02569350598886808,
                                  0.00625, 0.0013834964763236657, 0.00025, 7.905694150420948e-05};
    static const double interpolated[] = {0.25};
    expect_constant("rope(x, pos)", 8, plain, 1e-15);
    expect_constant("rope(x, pos, pairs = 4, scaling = linear, factor = 2)", 4, half, 1e-15);
    expect_constant("rope(x, pos, scaling = yarn, factor = 4, original_context = 2048)", 8, yarn,
                    1e-15);
    expect_constant("rope(x, pos, pairs = 1, scaling = yarn, factor = 4, original_context = 2048, "
                    "extrapolation = 0)",
                    1, interpolated, 1e-15);
}

static void test_magnitude_of_yarn(void **state)
{
    (void)state;
#define YARN "rope(x, pos, scaling = yarn, factor = 4, original_context = 2048"
#define ENTRY(e) "entry fn main(x: f32[4, 2, 16], pos: i32) -> f32[4, 2, 16] { return " e "; }"
    expect_graph(ENTRY(YARN ")"), NULL, "constant 1.138629436111989 : f64");
    expect_graph(ENTRY(YARN ", magnitude = 0.5)"), NULL, "constant 0.5 : f64");
    job j = compile_with(ENTRY(YARN ", extrapolation = 0)"), NULL);
    assert_null(strstr(text_string(&j.graph), "constant 1"));
    finish(&j);
}

static void test_slopes_of_alibi(void **state)
{
    (void)state;
    // 12 heads: 2^-1 .. 2^-8, then the odd terms of the sequence for 16 heads.
    static const double want[] = {0.5,
                                  0.25,
                                  0.125,
                                  0.0625,
                                  0.03125,
                                  0.015625,
                                  0.0078125,
                                  0.00390625,
                                  0.70710678118654752,
                                  0.35355339059327376,
                                  0.17677669529663688,
                                  0.08838834764831844};
    expect_constant("attend(x, s, s, pos, alibi = 8)", 12, want, 1e-7);
}

// ----------------------------------------------------------------------------- size

// The largest published models of the families: OPT-175B has 96 layers of 16 tensors.
static void test_large_models_elaborate_fast(void **state)
{
    (void)state;
    const char *program =
        "const L = 96, D = 12288, F = 4 * D, H = 96, S = 2048;\n"
        "dim B in 1..1; dim T in 1..512;\n"
        "weights { embed : f16[50272, D]; pos_embed : f16[2050, D]; blk[L] {\n"
        "  n1, n2, b1, b2, bq, bk, bv, bo, bd : f32[D]; bu : f32[F];\n"
        "  wq, wk, wv, wo : w2[D, D]; up : w2[F, D]; down : w2[D, F]; } }\n"
        "state k[L], v[L] : f16[B, S, H, D / H];\n"
        "entry fn main(t: i32[B, T], pos: i32[B]) -> f32[B, T, D] {\n"
        "  x = embedding(embed, t) + embedding(pos_embed, (pos as [B, 1]) + range(T) + 2);\n"
        "  for i in 0..L { b = blk[i]; h = layer_norm(x, b.n1, b.b1);\n"
        "    q = rope(linear(h, b.wq, bias = b.bq) as [B, T, H, D / H], pos);\n"
        "    k[i][:, pos : pos + T] = f16(linear(h, b.wk, bias = b.bk)) as [B, T, H, D / H];\n"
        "    v[i][:, pos : pos + T] = f16(linear(h, b.wv, bias = b.bv)) as [B, T, H, D / H];\n"
        "    x = x + linear(attend(q, k[i], v[i], pos) as [B, T, D], b.wo, bias = b.bo);\n"
        "    h = layer_norm(x, b.n2, b.b2);\n"
        "    x = x + linear(relu(linear(h, b.up, bias = b.bu)), b.down, bias = b.bd); }\n"
        "  return x; }\n";
    clock_t start = clock();
    job j = compile_with(program, NULL);
    assert_non_null(j.module);
    assert_non_null(ir_global_find(j.module, "blk.95.down"));
    only_constant(j.module);
    // Printed and parsed again too; without sanitizers it takes a tenth of a second.
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10);
    finish(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_weights_are_left_out),
        cmocka_unit_test(test_absent_weights_cannot_be_used),
        cmocka_unit_test(test_a_failed_assertion_comes_alone),
        cmocka_unit_test(test_metadata_must_be_finite),
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_magnitude_of_yarn),
        cmocka_unit_test(test_slopes_of_alibi),
        cmocka_unit_test(test_large_models_elaborate_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
