// link: lutra_eval lutra_ir lutra_quant lutra_support
// What models of sequences need, against figures computed by hand or by a few lines of their own.
#include "tests/unit/eval_fixture.h"

// Close to figures that were worked out with other roundings.
static void assert_near(const array *x, int64_t count, const double *want)
{
    assert_int_equal(array_count(x), count);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(array_get(x, i) - want[i]) < 1e-6))
            fail_msg("element %lld is %.9g, not %.9g", (long long)i, array_get(x, i), want[i]);
}

// ------------------------------------------------------------------ positions and parts

static void iota_counts(void **state)
{
    fixture *f = *state;
    array y;
    load(f, "module \"t\"\ndim T in 1..8\nentry func @f(%x: f32[T]) -> (i32[T]) {\n"
            "  %y = iota : i32[T]\n  return %y\n}\n");
    named_array x = input(f, "x", SCALAR_F32, SHAPE(5), VALUES(9, 9, 9, 9, 9));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 5, VALUES(0, 1, 2, 3, 4));
}

static void constants_are_what_they_say(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "constant @c : f16[3] = [1, 0.1, -2]", "%x: f16[3]", "f16[3]",
              "  %y = mul %x, @c : f16[3]");
    named_array x = input(f, "x", SCALAR_F16, SHAPE(3), VALUES(1, 1, 4));
    assert_true(call(f, 1, &x, &y));
    assert_values(f, &y, 3, VALUES(1, 0.0999755859375, -8)); // 0.1 in f16
}

static void slices_are_parts(void **state)
{
    fixture *f = *state;
    array y;
    load(f, "module \"t\"\ndim T in 1..8\n"
            "entry func @f(%x: i32[2, T, 2], %s: index) -> (i32[2, 2, 2]) {\n"
            "  %y = slice %x, %s {dimension = 1} : i32[2, 2, 2]\n  return %y\n}\n");
    named_array x[] = {
        input(f, "x", SCALAR_I32, SHAPE(2, 3, 2), VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)),
        input(f, "s", SCALAR_I64, 0, NULL, VALUES(1))};
    assert_true(call(f, 2, x, &y));
    assert_values(f, &y, 8, VALUES(2, 3, 4, 5, 8, 9, 10, 11));
    for (int start = -1; start < 3; start += 3) {
        x[1] = input(f, "s", SCALAR_I64, 0, NULL, (double[]){start});
        assert_false(call(f, 2, x, &y));
        assert_said(f, start < 0 ? "-1 .. 1 is outside dimension 1, whose size is 3"
                                 : "2 .. 4 is outside dimension 1, whose size is 3");
    }
}

// ------------------------------------------------------------------ rows of tables

static void gather_takes_rows(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%t: f32[3, 2], %i: i32[2, 2]", "f16[2, 2, 2]",
              "  %y = gather %t, %i : f16[2, 2, 2]");
    named_array x[] = {input(f, "t", SCALAR_F32, SHAPE(3, 2), VALUES(0, 1, 2, 3, 0.1, 5)),
                       input(f, "i", SCALAR_I32, SHAPE(2, 2), VALUES(2, 0, 0, 1))};
    assert_true(call(f, 2, x, &y));
    assert_values(f, &y, 8, VALUES(0.0999755859375, 5, 0, 1, 0, 1, 2, 3));
}

static void gather_reads_weights(void **state)
{
    fixture *f = *state;
    array y;
    named_array i = input(f, "i", SCALAR_I32, SHAPE(3), VALUES(1, 0, 1));
    // rows (1, 2) and (3, 4), as a matrix and as a tensor
    static const char *const types[] = {"weight<f16>[2, 2]", "f32[2, 2]"};
    for (int k = 0; k < 2; k++) {
        load_body(f, arena_format(f->a, "weight @table : %s", types[k]), "%i: i32[3]", "f32[3, 2]",
                  "  %y = gather @table, %i : f32[3, 2]");
        assert_true(call(f, 1, &i, &y));
        assert_values(f, &y, 6, VALUES(3, 4, 1, 2, 3, 4));
    }
    load_body(f, "weight @table : w[2, 2]", "%i: i32[3]", "f32[3, 2]",
              "  %y = gather @table, %i : f32[3, 2]");
    assert_false(call(f, 1, &i, &y));
    assert_said(f, "weight 'table' has no format yet ('w')");
}

// An embedding tied to the head: what the product keeps is what gather reads.
static void gather_shares_kept_weights(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "weight @table : weight<f32>[2, 2]", "%i: i32[1]", "f32[1, 2]",
              "  %h = gather @table, %i : f32[1, 2]\n  %y = linear %h, @table : f32[1, 2]");
    named_array i = input(f, "i", SCALAR_I32, SHAPE(1), VALUES(1));
    for (int k = 0; k < 2; k++) {
        assert_true(call(f, 1, &i, &y));
        assert_values(f, &y, 2, VALUES(11, 25)); // (3, 4) by (1, 2) and (3, 4)
    }
}

static void gather_refuses_indices_outside(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "weight @table : f32[2, 2]", "%i: i32[2]", "f32[2, 2]",
              "  %y = gather @table, %i : f32[2, 2]");
    named_array i = input(f, "i", SCALAR_I32, SHAPE(2), VALUES(0, 2));
    assert_false(call(f, 1, &i, &y));
    assert_said(f, "index 2 is outside the table's 2 rows");
    i = input(f, "i", SCALAR_I32, SHAPE(2), VALUES(-1, 0));
    assert_false(call(f, 1, &i, &y));
    assert_said(f, "index -1 is outside the table's 2 rows");
}

// ------------------------------------------------------------------ states of several slots

static const char slots_program[] =
    "module \"t\"\ndim B in 1..3\nstate @s : f32[B, 3, 1]\n"
    "entry func @f(%x: f32[B, 2, 1], %p: i32[B]) -> (f32[B, 3, 1]) {\n"
    "  state.write @s, %x, position = %p\n  %y = state.read @s : f32[B, 3, 1]\n"
    "  return %y\n}\n";

static bool write_slots(fixture *f, int64_t batch, const double *x, const double *p, array *y)
{
    named_array inputs[] = {input(f, "x", SCALAR_F32, SHAPE(batch, 2, 1), x),
                            input(f, "p", SCALAR_I32, SHAPE(batch), p)};
    return call(f, 2, inputs, y);
}

// Three slots are written at positions of their own, then one, then two: the others stay.
static void slots_have_positions_of_their_own(void **state)
{
    fixture *f = *state;
    array y;
    load(f, slots_program);
    assert_true(write_slots(f, 3, VALUES(1, 2, 3, 4, 5, 6), VALUES(0, 1, 0), &y));
    assert_values(f, &y, 9, VALUES(1, 2, 0, 0, 3, 4, 5, 6, 0));
    assert_true(write_slots(f, 1, VALUES(7, 8), VALUES(1), &y));
    assert_values(f, &y, 3, VALUES(1, 7, 8));
    assert_true(write_slots(f, 2, VALUES(9, 10, 11, 12), VALUES(1, 0), &y));
    assert_values(f, &y, 6, VALUES(1, 9, 10, 11, 12, 4));
    assert_true(eval_state(f->e, f->a, "s", &y));
    assert_values(f, &y, 9, VALUES(1, 9, 10, 11, 12, 4, 5, 6, 0));
    eval_reset_states(f->e);
    assert_true(eval_state(f->e, f->a, "s", &y));
    assert_values(f, &y, 9, (double[9]){0});
}

static void positions_outside_are_refused(void **state)
{
    fixture *f = *state;
    array y;
    load(f, slots_program);
    assert_false(write_slots(f, 2, VALUES(1, 2, 3, 4), VALUES(0, 2), &y));
    assert_said(f, "rows 2 .. 4 are outside the state's 3 rows");
    assert_false(write_slots(f, 1, VALUES(1, 2), VALUES(-1), &y));
    assert_said(f, "rows -1 .. 1 are outside the state's 3 rows");
}

// ------------------------------------------------------------------ rotary embedding

// Angles 90 degrees and 0 at the first position, 180 and 90 at the second; two heads of five
// columns, so that the last one stays.
static void rope_rotates_pairs(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *layout;
        double y[20];
    } cases[] = {
        {"interleaved", {-2, 1, 3, 4, 5, -7, 6, 8, 9, 10, -1, -2, -4, 3, 5, -6, -7, -9, 8, 10}},
        {"half", {-3, 2, 1, 4, 5, -8, 7, 6, 9, 10, -1, -4, -3, 2, 5, -6, -9, -8, 7, 10}},
    };
    for (int i = 0; i < 2; i++) {
        array y;
        load_body(f, "", "%x: f32[2, 2, 5], %c: f32[2, 2], %s: f32[2, 2]", "f32[2, 2, 5]",
                  arena_format(f->a, "  %%y = rope %%x, %%c, %%s {layout = %s} : f32[2, 2, 5]",
                               cases[i].layout));
        named_array inputs[] = {
            input(f, "x", SCALAR_F32, SHAPE(2, 2, 5),
                  VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
            input(f, "c", SCALAR_F32, SHAPE(2, 2), VALUES(0, 1, -1, 0)),
            input(f, "s", SCALAR_F32, SHAPE(2, 2), VALUES(1, 0, 0, 1))};
        assert_true(call(f, 3, inputs, &y));
        assert_values(f, &y, 20, cases[i].y);
    }
}

static void rope_rounds_once(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%x: f32[1, 1, 2], %c: f32[1, 1], %s: f32[1, 1]", "f16[1, 1, 2]",
              "  %y = rope %x, %c, %s {layout = half} : f16[1, 1, 2]");
    named_array inputs[] = {input(f, "x", SCALAR_F32, SHAPE(1, 1, 2), VALUES(2048, 1)),
                            input(f, "c", SCALAR_F32, SHAPE(1, 1), VALUES(1)),
                            input(f, "s", SCALAR_F32, SHAPE(1, 1), VALUES(-1))};
    assert_true(call(f, 3, inputs, &y));
    assert_values(f, &y, 2, VALUES(2048, -2047)); // 2049 lies between, -2047 is exact in f16
}

// ------------------------------------------------------------------ attention

// q . k is 0 or ln 2 (in f32): weights 1 and 2.
#define LN2 ((double)0x1.62e43p-1f)

static void attention_is_causal(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%q: f32[2, 1, 1], %k: f32[3, 1, 1], %v: f32[3, 1, 2], %p: index",
              "f32[2, 1, 2]", "  %y = attend %q, %k, %v, %p {scale = 0.5} : f32[2, 1, 2]");
    named_array x[] = {input(f, "q", SCALAR_F32, SHAPE(2, 1, 1), VALUES(2, 2)),
                       input(f, "k", SCALAR_F32, SHAPE(3, 1, 1), VALUES(0, LN2, 0)),
                       input(f, "v", SCALAR_F32, SHAPE(3, 1, 2), VALUES(3, 30, 6, 60, 9, 90)),
                       input(f, "p", SCALAR_I64, 0, NULL, VALUES(0))};
    assert_true(call(f, 4, x, &y)); // keys 0; 0 and 1
    assert_near(&y, 4, VALUES(3, 30, 5, 50));
    x[3] = input(f, "p", SCALAR_I64, 0, NULL, VALUES(1)); // keys 0, 1; 0, 1, 2
    assert_true(call(f, 4, x, &y));
    assert_near(&y, 4, VALUES(5, 50, 6, 60));
    x[3] = input(f, "p", SCALAR_I64, 0, NULL, VALUES(2));
    assert_false(call(f, 4, x, &y));
    assert_said(f, "positions 2 .. 4 are outside the 3 rows of k and v");
}

// A window of two keys; a slope that halves a key's weight with every step back.
static void attention_has_windows_and_slopes(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%q: f32[3, 1, 1], %k: f32[3, 1, 1], %v: f32[3, 1, 1], %s: f32[1]",
              "f32[3, 1, 1]",
              "  %p = constant 0 : index\n"
              "  %y = attend %q, %k, %v, %p, slopes = %s {scale = 1.0, window = 2} : f32[3, 1, 1]");
    named_array x[] = {input(f, "q", SCALAR_F32, SHAPE(3, 1, 1), VALUES(0, 0, 0)),
                       input(f, "k", SCALAR_F32, SHAPE(3, 1, 1), VALUES(1, 2, 3)),
                       input(f, "v", SCALAR_F32, SHAPE(3, 1, 1), VALUES(3, 6, 12)),
                       input(f, "s", SCALAR_F32, SHAPE(1), &(double){LN2})};
    assert_true(call(f, 4, x, &y));
    assert_near(&y, 3, VALUES(3, 5, 10)); // (3 + 2 * 6) / 3, (6 + 2 * 12) / 3
}

// Four heads in two groups, scores far from 0.
static void heads_read_their_group(void **state)
{
    fixture *f = *state;
    array y;
    load_body(f, "", "%q: f32[1, 4, 1], %k: f32[2, 2, 1], %v: f32[2, 2, 1]", "f32[1, 4, 1]",
              "  %p = constant 1 : index\n"
              "  %y = attend %q, %k, %v, %p {scale = 1.0} : f32[1, 4, 1]");
    named_array x[] = {input(f, "q", SCALAR_F32, SHAPE(1, 4, 1), VALUES(1, -1, 1, -1)),
                       input(f, "k", SCALAR_F32, SHAPE(2, 2, 1), VALUES(1000, -1000, -1000, 1000)),
                       input(f, "v", SCALAR_F32, SHAPE(2, 2, 1), VALUES(1, 2, 3, 4))};
    assert_true(call(f, 3, x, &y));
    assert_values(f, &y, 4, VALUES(1, 3, 4, 2));
}

// Two sequences at positions of their own, k and v being states: each gives what it gives alone.
static void sequences_of_a_batch_are_apart(void **state)
{
    fixture *f = *state;
    array y, alone;
    load(f, "module \"t\"\ndim B in 1..2\nstate @k : f16[B, 4, 1, 1]\nstate @v : f16[B, 4, 1, 1]\n"
            "entry func @f(%x: f16[B, 2, 1, 1], %p: i32[B]) -> (f32[B, 2, 1, 1]) {\n"
            "  state.write @k, %x, position = %p\n  state.write @v, %x, position = %p\n"
            "  %y = attend %x, @k, @v, %p {scale = 1.0} : f32[B, 2, 1, 1]\n  return %y\n}\n");
    static const double x[] = {1, 2, -1, 0.5}, p[] = {2, 0};
    named_array both[] = {input(f, "x", SCALAR_F16, SHAPE(2, 2, 1, 1), x),
                          input(f, "p", SCALAR_I32, SHAPE(2), p)};
    assert_true(call(f, 2, both, &y));
    for (int b = 0; b < 2; b++) {
        named_array one[] = {input(f, "x", SCALAR_F16, SHAPE(1, 2, 1, 1), x + 2 * b),
                             input(f, "p", SCALAR_I32, SHAPE(1), p + b)};
        eval_reset_states(f->e);
        assert_true(call(f, 2, one, &alone));
        assert_values(f, &alone, 2, (double[]){array_get(&y, 2 * b), array_get(&y, 2 * b + 1)});
    }
    // the second sequence begins at its own key, the first one sees two empty ones
    double e = exp(1), low = exp(-0.5), high = exp(0.25);
    assert_near(&y, 4,
                VALUES(e / (2 + e), (exp(2) + 2 * exp(4)) / (2 + exp(2) + exp(4)), -1,
                       (high / 2 - low) / (high + low)));
    both[1] = input(f, "p", SCALAR_I32, SHAPE(2), VALUES(0, 3));
    assert_false(call(f, 2, both, &y));
    assert_said(f, "rows 3 .. 5 are outside the state's 4 rows");
}

static void kernels_see_states(void **state)
{
    fixture *f = *state;
    array y;
    load(f, "module \"t\"\nstate @k : f32[4, 1, 1]\n"
            "entry func @f(%x: f32[2, 1, 1], %p: index) -> (f32[2, 1, 1]) {\n"
            "  state.write @k, %x, position = %p\n"
            "  %y = kernel \"a\" attend (%q = %x : f32[2, 1, 1], %s = @k : f32[4, 1, 1], %n = %p : "
            "index) {\n"
            "    %z = attend %q, %s, %s, %n {scale = 1.0} : f32[2, 1, 1]\n    yield %z\n"
            "  } : f32[2, 1, 1]\n  return %y\n}\n");
    named_array x[] = {input(f, "x", SCALAR_F32, SHAPE(2, 1, 1), VALUES(1, 1)),
                       input(f, "p", SCALAR_I64, 0, NULL, VALUES(2))};
    assert_true(call(f, 2, x, &y));
    assert_near(&y, 2, VALUES(exp(1) / (2 + exp(1)), 2 * exp(1) / (2 + 2 * exp(1))));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(iota_counts),
        TEST(constants_are_what_they_say),
        TEST(slices_are_parts),
        TEST(gather_takes_rows),
        TEST(gather_reads_weights),
        TEST(gather_shares_kept_weights),
        TEST(gather_refuses_indices_outside),
        TEST(slots_have_positions_of_their_own),
        TEST(positions_outside_are_refused),
        TEST(rope_rotates_pairs),
        TEST(rope_rounds_once),
        TEST(attention_is_causal),
        TEST(attention_has_windows_and_slopes),
        TEST(heads_read_their_group),
        TEST(sequences_of_a_batch_are_apart),
        TEST(kernels_see_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
