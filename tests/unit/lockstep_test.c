// link: lutra_eval lutra_ir lutra_quant lutra_support
// Calls that run together, operation by operation.
#include "tests/unit/eval_fixture.h"

#include "compiler/eval/lockstep.h"

// Two rows are kept, their squares summed with what was kept before: calls that shared a state
// would see each other's.
static const char program[] =
    "module \"t\"\nstate @s : f32[2, 2]\n"
    "entry func @f(%x: f32[1, 2], %p: index) -> (f32[1, 2]) {\n"
    "  state.write @s, %x, position = %p\n  %y = square %x : f32[1, 2]\n"
    "  %k = state.read @s : f32[2, 2]\n"
    "  %z = slice %k, %p {dimension = 0} : f32[1, 2]\n  %w = add %y, %z : f32[1, 2]\n"
    "  return %w\n}\n";

typedef struct watched {
    int ops;
    int stop; // in front of this one
    eval_verdict verdict;
    double sums[3][2]; // operands of `add` in each call
} watched;

static eval_verdict watch(void *context, eval_lockstep *s, const ir_op *op)
{
    watched *w = context;
    assert_int_equal(eval_lockstep_calls(s), 3);
    if (w->ops++ == w->stop)
        return w->verdict;
    for (size_t i = 0; i < 3 && op->code == IR_ADD; i++) {
        eval_matrix a, b;
        assert_true(eval_lockstep_operand(s, i, "x", &a) && eval_lockstep_operand(s, i, "y", &b));
        assert_int_equal(a.rows, 1);
        assert_int_equal(a.columns, 2);
        for (int k = 0; k < 2; k++)
            w->sums[i][k] = a.data[k] + b.data[k];
    }
    return EVAL_GO_ON;
}

static bool run_three(fixture *f, watched *w)
{
    named_array inputs[6];
    for (int i = 0; i < 3; i++) {
        inputs[2 * i] = input(f, "x", SCALAR_F32, SHAPE(1, 2), VALUES(i + 1.0, -i));
        inputs[2 * i + 1] = input(f, "p", SCALAR_I64, 0, NULL, VALUES(1));
    }
    eval_watch watcher = {w, watch};
    return eval_call_together(f->e, f->m->functions, 3, 2, inputs, &watcher);
}

static void calls_have_values_and_states_of_their_own(void **state)
{
    fixture *f = *state;
    watched w = {.stop = -1};
    load(f, program);
    assert_true(run_three(f, &w));
    for (int i = 0; i < 3; i++) {
        assert_true(w.sums[i][0] == (i + 1.0) * (i + 1.0) + i + 1);
        assert_true(w.sums[i][1] == (double)(i * i - i));
    }
    array kept;
    assert_true(eval_state(f->e, f->a, "s", &kept));
    assert_values(f, &kept, 4, VALUES(0, 0, 0, 0)); // the evaluator's own
}

static void the_watcher_ends_the_run(void **state)
{
    fixture *f = *state;
    load(f, program);
    watched done = {.stop = 2, .verdict = EVAL_DONE}, failed = {.stop = 2, .verdict = EVAL_FAILED};
    assert_true(run_three(f, &done));
    assert_int_equal(done.ops, 3);
    assert_false(run_three(f, &failed));
    assert_int_equal(failed.ops, 3);
}

static void failures_are_reported(void **state)
{
    fixture *f = *state;
    load(f, program);
    watched w = {.stop = -1};
    eval_watch watcher = {&w, watch};
    named_array inputs[] = {input(f, "x", SCALAR_F32, SHAPE(1, 3), VALUES(1, 2, 3)),
                            input(f, "p", SCALAR_I64, 0, NULL, VALUES(1))};
    assert_false(eval_call_together(f->e, f->m->functions, 1, 2, inputs, &watcher));
    assert_int_equal(w.ops, 0);
    assert_said(f, "dimension 1 of 'x' is 2, not 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_have_values_and_states_of_their_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_watcher_ends_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_are_reported, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
