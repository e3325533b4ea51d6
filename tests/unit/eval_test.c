// link: lutra_eval lutra_ir lutra_quant lutra_support
// The oracle against figures computed by hand.
#include "tests/unit/eval_fixture.h"

// ------------------------------------------------------------------ elementwise

static void unary_operations(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *op, *type;
        double x, y;
    } cases[] = {
        {"neg", "f32", 2.5, -2.5},
        {"abs", "f32", -2.5, 2.5},
        {"square", "f32", 3, 9},
        {"sqrt", "f32", 2, 1.41421353816986083984375},
        {"rsqrt", "f32", 4, 0.5},
        {"exp", "f32", 0, 1},
        {"exp", "f16", 1, 2.71875}, // e between 2.716796875 and 2.71875, nearer to 2.71875
        {"tanh", "f32", 0, 0},
        {"erf", "f32", 30, 1},
        {"sin", "f32", 1, 0x1.aed548p-1},
        {"cos", "f16", 3, -0.990234375},
        {"sigmoid", "f32", 0, 0.5},
        {"silu", "f32", 0, 0},
        {"relu", "f32", -1, 0},
        {"relu", "f16", 7, 7},
        {"round", "f32", 2.5, 2},
        {"round", "f32", -3.5, -4},
        {"sqrt", "f32", -1, NAN},
        {"neg", "i8", -128, 127}, // saturates
        {"abs", "i32", -5, 5},
        {"square", "i16", 200, 32767},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scalar_type t;
        array y;
        scalar_by_name(cases[i].type, &t);
        const char *type = arena_format(f->a, "%s[1]", cases[i].type);
        load_body(f, "", arena_format(f->a, "%%x: %s", type), type,
                  arena_format(f->a, "  %%y = %s %%x : %s", cases[i].op, type));
        named_array x = input(f, "x", t, SHAPE(1), &cases[i].x);
        assert_true(call(f, 1, &x, &y));
        assert_values(f, &y, 1, &cases[i].y);
    }
}

static void gelu_has_two_forms(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *form;
        double y;
    } cases[] = {{"erf", 0.841344746068543}, {"tanh", 0.841191990608276}};
    for (int i = 0; i < 2; i++) {
        array y;
        load_body(f, "", "%x: f64[1]", "f64[1]",
                  arena_format(f->a, "  %%y = gelu %%x {form = %s} : f64[1]", cases[i].form));
        named_array x = input(f, "x", SCALAR_F64, SHAPE(1), VALUES(1));
        assert_true(call(f, 1, &x, &y));
        assert_true(fabs(array_get(&y, 0) - cases[i].y) < 1e-14);
    }
}

static void binary_operations(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *op, *type;
        double x, y, z;
    } cases[] = {
        {"add", "f16", 2048, 1, 2048}, // 2049 is halfway, 2048 even
        {"add", "f16", 2050, 1, 2052},   {"sub", "f32", 1, 3, -2},
        {"mul", "f32", 1.5, 4, 6},       {"div", "f32", 1, 3, 0x1.555556p-2},
        {"div", "i32", -7, 2, -3},       {"div", "i32", 7, 0, -1},
        {"max", "f32", NAN, 2, 2},       {"min", "f32", 2, NAN, 2},
        {"max", "i8", -3, 4, 4},         {"add", "i8", 100, 100, 127}, // saturates
        {"mul", "i32", 65536, 65536, 0}, {"add", "u8", 200, 100, 255},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scalar_type t;
        array z;
        scalar_by_name(cases[i].type, &t);
        const char *type = arena_format(f->a, "%s[1]", cases[i].type);
        load_body(f, "", arena_format(f->a, "%%a: %s, %%b: %s", type, type), type,
                  arena_format(f->a, "  %%y = %s %%a, %%b : %s", cases[i].op, type));
        named_array inputs[] = {input(f, "a", t, SHAPE(1), &cases[i].x),
                                input(f, "b", t, SHAPE(1), &cases[i].y)};
        assert_true(call(f, 2, inputs, &z));
        assert_values(f, &z, 1, &cases[i].z);
    }
}

static void broadcasting_repeats_rows_and_columns(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%x: f32[2, 3], %r: f32[3], %c: f32[2, 1]", "f32[2, 3]",
              "  %t = add %x, %r : f32[2, 3]\n  %y = mul %t, %c : f32[2, 3]");
    named_array inputs[] = {input(f, "x", SCALAR_F32, SHAPE(2, 3), VALUES(0, 1, 2, 3, 4, 5)),
                            input(f, "r", SCALAR_F32, SHAPE(3), VALUES(10, 20, 30)),
                            input(f, "c", SCALAR_F32, SHAPE(2, 1), VALUES(1, -1))};
    assert_true(call(f, 3, inputs, &y));
    assert_values(f, &y, 6, VALUES(10, 21, 32, -13, -24, -35));
}

static void every_typed_value_is_rounded(void **state)
{
    fixture *f = *state;
    array y;
    // 1/3 in f16 times 3: 0.333251953125 * 3 = 0.999755859375, exact in f32.
    load_body(f, "", "%x: f32[1]", "f32[1]",
              "  %h = cast %x : f16[1]\n  %w = cast %h : f32[1]\n  %three = constant 3 : f32\n"
              "  %y = mul %w, %three : f32[1]");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(1), VALUES(1.0 / 3));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 1, VALUES(0.999755859375));
}

static void casts_saturate(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%x: f32[4]", "i8[4]", "  %y = cast %x : i8[4]");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(4), VALUES(2.5, -300, 300, NAN));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 4, VALUES(2, -128, 127, 0));
}

// ------------------------------------------------------------------ rows

static void norms(void **state)
{
    fixture *f = *state;
    array y;
    // mean of squares of (1, 7) is 25; gains are 1, 2 (the test's table)
    load_body(f, "weight @g : f32[2]", "%x: f32[1, 2]", "f32[1, 2]",
              "  %y = rms_norm %x, gain = @g {eps = 0.0} : f32[1, 2]");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(1, 2), VALUES(1, 7));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 2, VALUES((double)0.2f, (double)2.8f));
    // mean 4, deviation 3
    load_body(f, "weight @g : f32[2]", "%x: f32[1, 2]", "f32[1, 2]",
              "  %y = layer_norm %x, gain = @g, bias = @g {eps = 0.0} : f32[1, 2]");
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 2, VALUES(0, 4));
}

static void softmax_is_safe(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%x: f32[2, 2]", "f32[2, 2]", "  %y = softmax %x : f32[2, 2]");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(2, 2), VALUES(1000, 1000, 0, -INFINITY));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 4, VALUES(0.5, 0.5, 1, 0));
}

static void quantize_scales_rows(void **state)
{
    fixture *f = *state;
    named_array out[2];
    load(f, "module \"t\"\nentry func @f(%x: f32[2, 3]) -> (i8[2, 3], f32[2]) {\n"
            "  %q, %s = quantize %x : i8[2, 3], f32[2]\n  return %q, %s\n}\n");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(2, 3), VALUES(-2, 1, 0.5, 0, 0, 0));
    assert_true(eval_call(f->e, f->a, f->m->functions, 1, &x, out));
    assert_string_equal(out[1].name, "result1");
    // 1 / (2/127) = 63.5 to even, 0.5 / (2/127) = 31.75
    assert_values(f, &out[0].value, 6, VALUES(-127, 64, 32, 0, 0, 0));
    assert_values(f, &out[1].value, 2, VALUES((double)(2.0f / 127), 0));
}

// ------------------------------------------------------------------ products

static void dense_linear(void **state)
{
    fixture *f = *state;
    array y;
    // w = [1 2; 3 4]
    load_body(f, "weight @table : weight<f32>[2, 2]", "%x: f32[2, 2]", "f16[2, 2]",
              "  %y = linear %x, @table : f16[2, 2]");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(2, 2), VALUES(1, 1, 0.5, -2000));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 4, VALUES(3, 7, -4000, -8000)); // -3999.5, -7998.5 in f16
}

static void plane_linear(void **state)
{
    fixture *f = *state;
    array y;
    // codes 0 1 2 3 are levels -3 -1 1 3, scale 1/2: weights -1.5 -0.5 0.5 1.5
    load_body(f, "weight @w : w2[1, 4]", "%x: f32[1, 4]", "f32[1, 1]",
              "  %y = linear %x, @w : f32[1, 1]");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(1, 4), VALUES(1, 10, 100, 1000));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 1, VALUES(-1.5 - 5 + 50 + 1500));
    // ternary: codes 0 1 2 3 are -2 0 0 2
    load_body(f, "weight @w : ternary[1, 4]", "%x: f32[1, 4]", "f32[1, 1]",
              "  %y = linear %x, @w : f32[1, 1]");
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 1, VALUES(-1 + 1000));
}

// Two groups of 16 with scales 1/2 and 1, offsets -1/4, a row scale: the steps of ops.def.
static void integer_linear_is_exact(void **state)
{
    fixture *f = *state;
    array y;
    double x[20];
    for (int i = 0; i < 20; i++)
        x[i] = 100 - 13 * i;
    load_body(f, "weight @w : w2g16z[1, 20]", "%x: i8[1, 20], %s: f32[1]", "f32[1, 1]",
              "  %y = linear %x, @w, scale = %s : f32[1, 1]");
    named_array inputs[] = {input(f, "x", SCALAR_I8, SHAPE(1, 20), x),
                            input(f, "s", SCALAR_F32, SHAPE(1), VALUES(0.1))};
    assert_true(call(f, 2, inputs, &y));
    float want = 0;
    for (int g = 0; g < 2; g++) {
        int c = 0, sum = 0;
        for (int k = 16 * g; k < 20 && k < 16 * (g + 1); k++) {
            c += (int)array_get(&inputs[0].value, k) * (2 * (k % 4) - 3);
            sum += (int)array_get(&inputs[0].value, k);
        }
        want = fmaf((float)c, 0.5f * (float)(g + 1) * 0.1f, want);
        want = fmaf((float)sum * 0.1f, -0.25f, want);
    }
    assert_values(f, &y, 1, VALUES((double)want));
}

static const char table_program[] =
    "module \"t\"\ndim T in 1..64\nweight @random : %s[32, 256]\n"
    "entry func @f(%%x: f32[T, 256]) -> (f32[T, 32], f32[T, 32]) {\n"
    "  %%t = lut.precompute %%x : %s[T, 256]\n"
    "  %%y = lut.mpgemm %%t, @random : f32[T, 32]\n"
    "  %%z = linear %%x, @random : f32[T, 32]\n"
    "  return %%y, %%z\n}\n";

static double table_error(fixture *f, const char *weight, const char *table, bool rounded,
                          double *predicted)
{
    named_array out[2];
    int64_t shape[] = {16, 256};
    input_spec random = {.name = "x", .kind = INPUT_RANDOM, .seed = 5, .scale = 1};
    named_array x = {"x", {0}};
    quant_format format;
    load_with(f, arena_format(f->a, table_program, weight, table), rounded);
    assert_true(input_make(f->a, f->d, &random, SCALAR_F32, 2, shape, &x.value));
    assert_true(eval_call(f->e, f->a, f->m->functions, 1, &x, out));
    assert_true(quant_format_parse(weight, &format));
    quant_rows rows = quant_rows_create(f->a, &format, 32, 256);
    random_rows(&rows, 0);
    int64_t span = strstr(table, "group") ? 64 : strstr(table, "slice") ? 16 : 0;
    *predicted = eval_predict_table_noise(&x.value, &rows, span);
    return array_compare(&out[0].value, &out[1].value, 0, 0).nmse;
}

static void tables_round_as_predicted(void **state)
{
    fixture *f = *state;
    static const char *const weights[] = {"w1", "w2g64", "w2g32z", "w4g16", "ternary", "w3"};
    static const char *const tables[] = {"table<i8, scale = row>", "table<i8, scale = slice>",
                                         "table<i8, scale = group(64)>"};
    for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
        double predicted, error;
        for (size_t t = 0; t < 3; t++) {
            error = table_error(f, weights[w], tables[t], true, &predicted);
            if (!(error < 2 * predicted && error > predicted / 2))
                fail_msg("%s %s: %g, predicted %g", weights[w], tables[t], error, predicted);
        }
        error = table_error(f, weights[w], "table<f16>", true, &predicted);
        assert_true(error > 1e-9 && error < 1e-6);
        assert_true(table_error(f, weights[w], "table<i8, scale = row>", false, &predicted) == 0);
    }
}

static void weights_that_fail_stop_the_call(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "weight @broken : f32[2]", "%x: f32[1, 2]", "f32[1, 2]",
              "  %y = rms_norm %x, gain = @broken : f32[1, 2]");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(1, 2), VALUES(1, 7));
    assert_false(call(f, 1, &x, &y));
    assert_said(f, "weight 'broken' cannot be read");
}

// ------------------------------------------------------------------ states, kernels

static void states_are_kept(void **state)
{
    fixture *f = *state;
    array y;
    load(f, "module \"t\"\nstate @s : f32[3, 2]\n"
            "entry func @f(%x: f32[1, 2], %p: index) -> (f32[3, 2]) {\n"
            "  state.write @s, %x, position = %p\n  %y = state.read @s : f32[3, 2]\n"
            "  return %y\n}\n");
    for (int i = 0; i < 2; i++) {
        named_array inputs[] = {input(f, "x", SCALAR_F32, SHAPE(1, 2), VALUES(i + 1, i + 2)),
                                input(f, "p", SCALAR_I64, 0, NULL, VALUES(2 * i))};
        assert_true(call(f, 2, inputs, &y));
    }
    assert_values(f, &y, 6, VALUES(1, 2, 0, 0, 2, 3));
    assert_true(eval_state(f->e, f->a, "s", &y) && array_get(&y, 5) == 3);
    eval_reset_states(f->e);
    assert_true(eval_state(f->e, f->a, "s", &y) && array_get(&y, 5) == 0);
    named_array outside[] = {input(f, "x", SCALAR_F32, SHAPE(1, 2), VALUES(1, 2)),
                             input(f, "p", SCALAR_I64, 0, NULL, VALUES(3))};
    assert_false(call(f, 2, outside, &y));
    assert_said(f, "rows 3 .. 4 are outside the state's 3 rows");
}

static void kernels_compute_their_region(void **state)
{
    fixture *f = *state;
    array y;
    load(f, "module \"t\"\nweight @w : w2[1, 4]\n"
            "entry func @f(%x: f32[1, 4]) -> (f32[1, 1]) {\n"
            "  %y = kernel \"k\" dense (%a = %x : f32[1, 4], %b = @w : w2[1, 4]) {\n"
            "    %z = linear %a, %b : f32[1, 1]\n    yield %z\n  } : f32[1, 1]\n"
            "  return %y\n}\n");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(1, 4), VALUES(1, 1, 1, 3));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 1, VALUES(3));
}

// ------------------------------------------------------------------ dimensions, inputs

static void dimensions_come_from_shapes(void **state)
{
    fixture *f = *state;
    array y;
    load(f, "module \"t\"\ndim T in 1..8\nentry func @f(%x: f32[T, 2], %z: f32[2*T]) -> (index) {\n"
            "  %y = dim T : index\n  return %y\n}\n");
    double zeros[64] = {0};
    named_array good[] = {input(f, "x", SCALAR_F32, SHAPE(3, 2), zeros),
                          input(f, "z", SCALAR_F32, SHAPE(6), zeros)};
    assert_true(call(f, 2, good, &y));
    assert_values(f, &y, 1, VALUES(3));
    static const struct {
        int64_t rows, z;
        const char *message;
    } bad[] = {{3, 5, "dimension 0 of 'z' is 2*T, which 5 is not"},
               {3, 4, "dimension 'T' is 3, but 'z' makes it 2"},
               {9, 18, "dimension 'T' must be within 1..8, not 9"},
               {0, 0, "dimension 'T' must be within 1..8, not 0"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        named_array inputs[] = {input(f, "x", SCALAR_F32, SHAPE(bad[i].rows, 2), zeros),
                                input(f, "z", SCALAR_F32, SHAPE(bad[i].z), zeros)};
        assert_false(call(f, 2, inputs, &y));
        assert_said(f, bad[i].message);
    }
    assert_false(eval_set_dim(f->e, "TT", 3));
    assert_said(f, "the program has no dimension 'TT'");
    assert_true(eval_set_dim(f->e, "T", 2));
    assert_false(call(f, 2, good, &y));
    assert_said(f, "dimension 'T' is 2, but 'x' makes it 3");
}

static void wrong_inputs_are_refused(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%x: f32[2], %z: f32[2]", "f32[2]", "  %y = add %x, %z : f32[2]");
    named_array inputs[] = {input(f, "x", SCALAR_F32, SHAPE(2), VALUES(1, 2)),
                            input(f, "w", SCALAR_F32, SHAPE(2), VALUES(1, 2))};
    assert_false(call(f, 2, inputs, &y));
    assert_said(f, "function 'f' has no input 'w'\nerror: input 'z' is missing; give "
                   "--input z=@FILE.npy, z=random:1, ...");
    inputs[1] = input(f, "z", SCALAR_F16, SHAPE(2), VALUES(1, 2));
    assert_false(call(f, 2, inputs, &y));
    assert_said(f, "input 'z' is f32, not f16");
    inputs[1] = input(f, "z", SCALAR_F32, SHAPE(2, 1), VALUES(1, 2));
    assert_false(call(f, 2, inputs, &y));
    assert_said(f, "'z' has 1 dimensions, not 2");
    inputs[1] = input(f, "z", SCALAR_F32, SHAPE(3), VALUES(1, 2, 3));
    assert_false(call(f, 2, inputs, &y));
    assert_said(f, "dimension 0 of 'z' is 2, not 3");
}

static void tile_level_is_refused(void **state)
{
    fixture *f = *state;
    load(f,
         "module \"t\"\nentry func @f() -> () {\n  %b = alloc : buffer<f32>[1, 4]\n  return\n}\n");
    assert_false(eval_call(f->e, f->a, f->m->functions, 0, NULL, NULL));
    assert_said(f, "'alloc' cannot be evaluated: only graph-level operations can");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(unary_operations),
        TEST(gelu_has_two_forms),
        TEST(binary_operations),
        TEST(broadcasting_repeats_rows_and_columns),
        TEST(every_typed_value_is_rounded),
        TEST(casts_saturate),
        TEST(norms),
        TEST(softmax_is_safe),
        TEST(quantize_scales_rows),
        TEST(dense_linear),
        TEST(plane_linear),
        TEST(integer_linear_is_exact),
        TEST(tables_round_as_predicted),
        TEST(weights_that_fail_stop_the_call),
        TEST(states_are_kept),
        TEST(kernels_compute_their_region),
        TEST(dimensions_come_from_shapes),
        TEST(wrong_inputs_are_refused),
        TEST(tile_level_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
