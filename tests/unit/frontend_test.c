// The language with a weight file beside it: metadata, overrides, tensors, formats; limits; what
// the graph of right programs contains. Errors in programs alone are golden tests (tests/lit).
// link: lutra_frontend lutra_ir lutra_quant lutra_support
#include "tests/unit/frontend_fixture.h"

// ----------------------------------------------------------------------------- metadata

static void test_metadata_gives_constants(void **state)
{
    (void)state;
    expect_graph("const D = meta(\"llama.embedding_length\");\n" MAIN, &with_file,
                 "%x: f16[4, 64]");
    expect_graph("const D = count(\"tokenizer.ggml.tokens\");\n" MAIN, &with_file,
                 "%x: f16[4, 512]");
    expect_graph("const D = meta(\"llama.tied\") ? 3 : 4;\n" MAIN, &with_file, "%x: f16[4, 3]");
    expect_graph("const A = meta(\"general.architecture\"), D = meta(A + \".block_count\");\n" MAIN,
                 &with_file, "%x: f16[4, 2]");
    expect_graph("const D = meta(\"absent\", default = 7);\n" MAIN, &with_file, "%x: f16[4, 7]");
    expect_graph("const D = meta(\"llama.block_count\", default = 7);\n" MAIN, NULL,
                 "%x: f16[4, 7]");
    expect_graph("const D = 8, E = meta(\"llama.eps\");\n"
                 "entry fn main(x: f16[4, D]) -> f16[4, D] { return rms_norm(x, eps = E); }\n",
                 &with_file, "{eps = 1e-06}");
}

static void test_metadata_errors(void **state)
{
    (void)state;
    expect_error("const D = meta(\"llama.embeding_length\");\n" MAIN, &with_file,
                 "p.lut:1:11: error: m.gguf has no metadata 'llama.embeding_length'; did you mean "
                 "'llama.embedding_length'?");
    expect_error("const D = meta(\"tokenizer.ggml.tokens\");\n" MAIN, &with_file,
                 "metadata 'tokenizer.ggml.tokens' is an array of 512; only "
                 "count(\"tokenizer.ggml.tokens\") can be used");
    expect_error("const D = count(\"llama.block_count\");\n" MAIN, &with_file,
                 "metadata 'llama.block_count' is not an array; use meta(\"llama.block_count\")");
    expect_error("const D = meta(\"general.architecture\");\n" MAIN, &with_file,
                 "a size must be a whole number or a multiple of a dimension; 'D' is the text "
                 "\"llama\"");
}

static void test_defines_override_constants(void **state)
{
    (void)state;
    const char *defines[] = {"D=16", "EPS=0.5", NULL};
    frontend_options options = {.defines = defines};
    expect_graph("const D = meta(\"a\"), EPS = 1.0;\n"
                 "entry fn main(x: f16[4, D]) -> f16[4, D] { return x * EPS; }\n",
                 &options, "constant 0.5 : f16");
    expect_error("const D = 3, EPSS = 3;\n" MAIN, &options,
                 "error: -D EPS=0.5: the program has no constant 'EPS'; did you mean 'EPSS'?");
    const char *infinite[] = {"D=nan", NULL};
    options.defines = infinite;
    expect_error("const D = 3;\n" MAIN, &options, "'D' is the text \"nan\"");
    const char *broken[] = {"=3", "D", NULL};
    options.defines = broken;
    expect_error("const D = 3;\n" MAIN, &options, "error: -D D: expected NAME=VALUE");
    expect_error("const D = 3;\n" MAIN, &options, "error: -D =3: expected NAME=VALUE");
}

// ------------------------------------------------------------------------------ weights

static void test_weights_are_found_in_the_file(void **state)
{
    (void)state;
    expect_graph("const L = 2;\n"
                 "weights {\n"
                 "  embed : f16[512, 64] = \"token_embd.weight\";\n"
                 "  head : w[512, 64] = \"output.weight\" or embed;\n"
                 "  blk[L] { wq : w[64, 64] = \"blk.{i}.attn_q.weight\"; }\n"
                 "  scale : f32[1];\n"
                 "}\n"
                 "entry fn main(x: f32[4, 64]) -> f32[4, 512] {\n"
                 "  for i in 0..L { x = linear(x, blk[i].wq); }\n"
                 "  return linear(x * scale, head);\n"
                 "}\n",
                 &with_file,
                 "weight @blk.0.wq : w[64, 64] = \"blk.0.attn_q.weight\"\n"
                 "weight @blk.1.wq : w[64, 64] = \"blk.1.attn_q.weight\"\n"
                 "weight @scale : f32[1] = \"scale\"\n"
                 "weight @embed : weight<f16>[512, 64] = \"token_embd.weight\"\n");
}

static void test_missing_and_misshaped_weights_are_reported_together(void **state)
{
    (void)state;
    const char *program = "weights {\n"
                          "  blk[2] {\n"
                          "    wq : w[64, 32] = \"blk.{i}.attn_q.weight\";\n"
                          "    wv : w[32, 64] = \"blk.{i}.attn_v.weight\";\n"
                          "  }\n"
                          "  norm : f32[63] = \"output_norm.weight\";\n"
                          "}\n"
                          "entry fn main(x: f32[4, 64]) -> f32[4, 64] { return x; }\n";
    expect_error(program, &with_file,
                 "p.lut:3:5: error: weight 'blk[0].wq' is w[64, 32], but 'blk.0.attn_q.weight' in "
                 "m.gguf is F16 [64, 64] (and 1 more of 'wq')");
    expect_error(program, &with_file,
                 "p.lut:4:5: error: weight 'blk[0].wv': m.gguf has no tensor "
                 "'blk.0.attn_v.weight'; did you mean 'blk.0.attn_");
    expect_error(
        program, &with_file,
        "p.lut:6:3: error: weight 'norm' is f32[63], but 'output_norm.weight' in m.gguf is "
        "F32 [64]");
}

static void test_defaults_are_pointed_out_where_no_weight_fits(void **state)
{
    (void)state;
    expect_error(
        "const D = meta(\"other.embedding_length\", default = 128);\n"
        "weights { norm : f32[D] = \"output_norm.weight\"; }\n"
        "entry fn main(x: f32[D]) -> f32[D] { return x * norm; }\n",
        &with_file,
        "note: m.gguf lacks the metadata of this expression, so its default is used: is the "
        "file for this program? (p.lut:1:11)");
}

static void test_alternatives_and_fields_in_tensor_names(void **state)
{
    (void)state;
    expect_graph("weights { blk[2] {\n"
                 "  attn_q : w[64, 64] = \"blk.{i}.{field}.weight\";\n"
                 "  wk, wq : w[8, 64] = \"b{i}.{k,q}\";\n"
                 "} }\n"
                 "entry fn main(x: f16[4, 64]) -> f16[4, 8] { b = blk[1];\n"
                 "  return linear(linear(x, b.attn_q), b.wq) + linear(x, b.wk); }\n",
                 NULL,
                 "weight @blk.1.attn_q : w[64, 64] = \"blk.1.attn_q.weight\"\n"
                 "weight @blk.1.wq : w[8, 64] = \"b1.q\"\n"
                 "weight @blk.1.wk : w[8, 64] = \"b1.k\"\n");
    expect_graph("weights { a[2] { b[3] { w : w2[4, 4] = \"{i}-{j}\"; } } v[2] : f32[4] = "
                 "\"v{i}\"; }\n"
                 "entry fn main(x: f32[4, 4]) -> f32[4, 4] { return linear(x, a[1].b[2].w) + v[1]; "
                 "}\n",
                 NULL, "weight @a.1.b.2.w : w2[4, 4] = \"1-2\"\nweight @v.1 : f32[4] = \"v1\"\n");
}

static void test_open_formats_are_decided_by_the_caller(void **state)
{
    (void)state;
    const char *program =
        "weights { wq : w[64, 64] = \"blk.0.attn_q.weight\"; wk : w[32, 64] = "
        "\"blk.0.attn_k.weight\"; fixed : w1[64, 64] = \"blk.1.attn_q.weight\"; }\n"
        "entry fn main(x: f16[4, 64]) -> f16[4, 32] { return linear(linear("
        "linear(x, wq), fixed), wk); }\n";
    frontend_options options = {.metadata = &metadata, .weight_format = weight_format};
    const char *want = "weight @wq : w4g32[64, 64] = \"blk.0.attn_q.weight\"\n"
                       "weight @fixed : w1[64, 64] = \"blk.1.attn_q.weight\"\n"
                       "weight @wk : w[32, 64] = \"blk.0.attn_k.weight\"\n";
    expect_graph(program, &options, want);
    options.metadata = NULL;
    expect_graph(program, &options, "weight @wq : w2g64[64, 64]");
}

static void test_weight_types_name_formats(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"w2[4, 4]", "w2[4, 4]"},
        {"w2[4, 4] row", "w2[4, 4]"},
        {"w4[4, 4] group(32) zero", "w4g32z[4, 4]"},
        {"w3[4, 4] group(128) scales(f32)", "w3g128f[4, 4]"},
        {"w4[4, 4] scales(f32) zero group(32)", "w4g32zf[4, 4]"},
        {"w4g32z[4, 4]", "w4g32z[4, 4]"},
        {"ternary[4, 4]", "ternary[4, 4]"},
        {"bf16[4, 4]", "weight<bf16>[4, 4]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char program[256], want[64];
        snprintf(program, sizeof program,
                 "weight m: %s;\nentry fn main(x: f16[2, 4]) -> f16[2, 4] { return linear(x, m); }",
                 rows[i][0]);
        snprintf(want, sizeof want, "weight @m : %s = \"m\"\n", rows[i][1]);
        expect_graph(program, NULL, want);
    }
}

// --------------------------------------------------------------------------- elaboration

static void test_only_what_entries_use_is_kept(void **state)
{
    (void)state;
    job j = compile_with(
        "dim T in 1..8;\ndim B in 1..8;\nweights { used, unused, other : w2[4, 4]; }\n"
        "state k[2] : f16[8, 4];\n"
        "fn helper(x: f16[B, 4]) -> f16[B, 4] { _ = k[1]; return linear(x, unused); }\n"
        "entry fn main(x: f16[T, 4]) -> f16[T, 4] { k[0][0 : T] = x; return "
        "linear(x, used); }\n",
        NULL);
    assert_non_null(j.module);
    assert_non_null(ir_global_find(j.module, "used"));
    assert_non_null(ir_global_find(j.module, "k.0"));
    assert_null(ir_global_find(j.module, "unused"));
    assert_null(ir_global_find(j.module, "other"));
    assert_null(ir_global_find(j.module, "k.1"));
    assert_null(ir_symbol_find(j.module, "B"));
    assert_null(ir_function_find(j.module, "helper"));
    assert_non_null(strstr(j.messages, "warning: function 'helper' is never called"));
    finish(&j);
}

static void test_loops_unroll_and_rebind(void **state)
{
    (void)state;
    job j = compile_with("entry fn main(x: f32[4]) -> f32[4] {\n"
                         "  for i in 0..3 { if i == 1 { x = x * 2.0; } else { x = x + i; } }\n"
                         "  return x;\n}\n",
                         NULL);
    assert_non_null(j.module);
    unsigned adds = 0, muls = 0;
    IR_FOR_OPS(op, ir_function_find(j.module, "main")->body)
    {
        adds += op->code == IR_ADD;
        muls += op->code == IR_MUL;
    }
    assert_int_equal(adds, 2);
    assert_int_equal(muls, 1);
    finish(&j);
}

static void test_dimensions_of_a_function_follow_its_arguments(void **state)
{
    (void)state;
    expect_graph("dim T in 1..8;\nweights { a : w2[32, 64]; b : w2[16, 32]; }\n"
                 "fn twice(x: f16[M, K], p: w[N, K], q: w[P, N]) -> f16[M, P] {\n"
                 "  return linear(linear(x, p), q) as [M, P]; }\n"
                 "entry fn main(x: f16[2 * T, 64]) -> f16[2 * T, 16] { return twice(x, a, b); }\n",
                 NULL,
                 "  %0 = linear %x, @a : f16[2*T, 32]\n  %1 = linear %0, @b : f16[2*T, 16]\n"
                 "  return %1\n");
}

static void test_states_are_read_when_they_are_named(void **state)
{
    (void)state;
    expect_graph("state k : f16[8, 4];\n"
                 "entry fn main(x: f16[2, 4], pos: i32) -> f16[8, 4] {\n"
                 "  before = k;\n  k[pos : pos + 2] = x;\n  return before + k;\n}\n",
                 NULL,
                 "  %before = state.read @k : f16[8, 4]\n"
                 "  %0 = cast %pos : index\n"
                 "  state.write @k, %x, position = %0\n"
                 "  %1 = state.read @k : f16[8, 4]\n"
                 "  %2 = add %before, %1 : f16[8, 4]\n");
}

static void test_linear_variants(void **state)
{
    (void)state;
    expect_graph("dim T in 1..8;\nweights { a : w2[8, 4]; b : f32[8]; }\n"
                 "entry fn main(x: f16[T, 4]) -> f16[T, 8], f32[T, 8], f32[T, 8] {\n"
                 "  q, s = quantize(x, type = i16);\n"
                 "  return linear(x, a, bias = b), linear(x, a, type = f32), linear(q, a, scale = "
                 "s * 0.5);\n}\n",
                 NULL,
                 "  %q, %s = quantize %x : i16[T, 4], f32[T]\n"
                 "  %0 = linear %x, @a : f32[T, 8]\n"
                 "  %1 = add %0, @b : f16[T, 8]\n"
                 "  %2 = linear %x, @a : f32[T, 8]\n"
                 "  %3 = constant 0.5 : f32\n"
                 "  %4 = mul %s, %3 : f32[T]\n"
                 "  %5 = linear %q, @a, scale = %4 : f32[T, 8]\n"
                 "  return %1, %2, %5\n");
}

static void test_sizes_at_run_time(void **state)
{
    (void)state;
    expect_graph("dim T in 1..8;\n"
                 "entry fn main(x: f32[T, 4], pos: i32) -> f32[T, 4], i32 {\n"
                 "  return x / f32(T), pos + 2 * T - 1;\n}\n",
                 NULL,
                 "  %0 = dim T : index\n"
                 "  %1 = cast %0 : f32\n"
                 "  %2 = div %x, %1 : f32[T, 4]\n"
                 "  %3 = dim T : index\n"
                 "  %4 = constant 2 : index\n"
                 "  %5 = mul %3, %4 : index\n"
                 "  %6 = cast %5 : i32\n"
                 "  %7 = add %pos, %6 : i32\n");
}

static void test_warnings(void **state)
{
    (void)state;
    job j = compile_with("entry fn main(x: f32[4]) -> f32[4] {\n"
                         "  a = x * 2.0;\n  q, _ = quantize(x);\n  _s = x;\n  return x;\n"
                         "  b = x;\n}\n",
                         NULL);
    assert_non_null(j.module);
    assert_non_null(strstr(j.messages, "p.lut:2:3: warning: the value of 'a' is never used"));
    assert_non_null(strstr(j.messages, "p.lut:3:3: warning: the value of 'q' is never used"));
    assert_null(strstr(j.messages, "'_'"));
    assert_null(strstr(j.messages, "'_s'"));
    assert_non_null(strstr(j.messages, "p.lut:6:3: warning: this is never reached"));
    finish(&j);
}

static void test_model_names(void **state)
{
    (void)state;
    expect_graph("entry fn main(x: f32[4]) -> f32[4] { return x; }", NULL, "module \"p\"");
    expect_graph("model mine; entry fn main(x: f32[4]) -> f32[4] { return x; }", NULL,
                 "module \"mine\"");
}

// --------------------------------------------------------------------------------- limits

static void repeat(text *t, const char *s, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        text_append(t, s);
}

static void expect_refused(text *program, const char *want)
{
    expect_error(text_string(program), NULL, want);
    text_free(program);
}

static void test_nesting_is_bounded(void **state)
{
    (void)state;
    text t = {0};
    text_append(&t, "entry fn main(x: f32[4]) -> f32[4] { return ");
    repeat(&t, "-", 1000);
    text_append(&t, "x; }");
    expect_refused(&t, "nested more than 250 levels");
    text_append(&t, "const D = 1");
    repeat(&t, " + 1", 100000);
    text_append(&t, ";");
    expect_refused(&t, "nested more than 250 levels");
    text_append(&t, "entry fn main(x: f32[4]) -> f32[4] { ");
    repeat(&t, "if true { ", 400);
    repeat(&t, "}", 400);
    text_append(&t, " return x; }");
    expect_refused(&t, "nested more than 250 levels");
    text_append(&t, "const D = ");
    repeat(&t, "(", 100000);
    expect_refused(&t, "nested too deeply to be read");
}

static void test_chains_of_constants_and_functions_are_bounded(void **state)
{
    (void)state;
    text t = {0};
    for (int i = 0; i < 5000; i++)
        text_printf(&t, "const A%d = A%d + 1;\n", i, i + 1);
    text_append(&t, "const A5000 = 1;\nentry fn main(x: f32[4]) -> f32[4] { return x; }");
    expect_refused(&t, "nested evaluations");
    for (int i = 0; i < 3000; i++)
        text_printf(&t, "fn f%d(x: f32[4]) -> f32[4] { return f%d(x); }\n", i, i + 1);
    text_append(&t, "fn f3000(x: f32[4]) -> f32[4] { return x; }\n"
                    "entry fn main(x: f32[4]) -> f32[4] { return f0(x); }");
    expect_refused(&t, "nested evaluations");
}

static void test_large_programs_are_refused(void **state)
{
    (void)state;
    text t = {0};
    repeat(&t, "// 0123456789 0123456789 0123456789\n", 40000);
    expect_refused(&t, "p.lut: error: the program is larger than 1 MiB");
    text_append(&t, "entry fn main(x: f32[4]) -> f32[4] {\n"
                    "  for i in 0..2000 { for j in 0..2000 { } }\n  return x; }");
    expect_refused(&t, "the program is too large: more than 1048576 operations");
}

// -------------------------------------------------------------------------------- examples

static const char *const examples[] = {"linear/linear.lut", "ffn/ffn.lut", "blocks/llama_block.lut",
                                       "blocks/bitnet_block.lut"};

static void test_examples_compile_without_a_file(void **state)
{
    (void)state;
    const char *root = getenv("LUTRA_SOURCE");
    for (size_t i = 0; root && i < sizeof examples / sizeof *examples; i++) {
        char path[4096];
        mapped_file file;
        diagnostics *d = diagnostics_create(stderr);
        arena *a = arena_create();
        snprintf(path, sizeof path, "%s/examples/%s", root, examples[i]);
        assert_true(file_map(d, path, &file));
        const source *s = diagnostics_source(d, path, (const char *)file.data, file.size);
        text tree = {0};
        assert_non_null(frontend_compile(a, d, s, NULL));
        assert_true(frontend_print_ast(a, d, s, &tree));
        assert_int_equal(strncmp(text_string(&tree), "file", 4), 0);
        text_free(&tree);
        file_unmap(&file);
        arena_destroy(a);
        diagnostics_destroy(d);
    }
}

static void test_functions_are_listed(void **state)
{
    (void)state;
    text list = {0};
    frontend_list_functions(&list);
    assert_non_null(strstr(text_string(&list), "linear(x, w, [scale], [bias], [type = ..])"));
    text_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata_gives_constants),
        cmocka_unit_test(test_metadata_errors),
        cmocka_unit_test(test_defines_override_constants),
        cmocka_unit_test(test_weights_are_found_in_the_file),
        cmocka_unit_test(test_missing_and_misshaped_weights_are_reported_together),
        cmocka_unit_test(test_defaults_are_pointed_out_where_no_weight_fits),
        cmocka_unit_test(test_alternatives_and_fields_in_tensor_names),
        cmocka_unit_test(test_open_formats_are_decided_by_the_caller),
        cmocka_unit_test(test_weight_types_name_formats),
        cmocka_unit_test(test_only_what_entries_use_is_kept),
        cmocka_unit_test(test_loops_unroll_and_rebind),
        cmocka_unit_test(test_dimensions_of_a_function_follow_its_arguments),
        cmocka_unit_test(test_states_are_read_when_they_are_named),
        cmocka_unit_test(test_linear_variants),
        cmocka_unit_test(test_sizes_at_run_time),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_model_names),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_chains_of_constants_and_functions_are_bounded),
        cmocka_unit_test(test_large_programs_are_refused),
        cmocka_unit_test(test_examples_compile_without_a_file),
        cmocka_unit_test(test_functions_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
