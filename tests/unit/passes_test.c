// link: lutra_passes lutra_support
// The pass manager: pipelines as text, arguments and defaults, observers, remarks.
#include "tests/unit/unit.h"

#include "compiler/passes/passes.h"

#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    arena *arena;
    diagnostics *diagnostics;
    FILE *nowhere;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->arena = arena_create();
    f->nowhere = fopen("/dev/null", "w");
    f->diagnostics = diagnostics_create(f->nowhere);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    diagnostics_destroy(f->diagnostics);
    arena_destroy(f->arena);
    fclose(f->nowhere);
    free(f);
    return 0;
}

static void check_printed(fixture *f, const char *input, const char *want)
{
    pipeline p;
    text printed = {0};
    assert_true(pipeline_parse(f->arena, f->diagnostics, input, &p));
    pipeline_print(&printed, &p);
    assert_string_equal(text_string(&printed), want);
    assert_true(pipeline_parse(f->arena, f->diagnostics, text_string(&printed), &p));
    text_free(&printed);
}

static void pipelines_print_and_parse(void **state)
{
    fixture *f = *state;
    check_printed(f, "", "");
    check_printed(f, " fold , fuse ( rows = false , epilogue=true ) ",
                  "fold,fuse(rows=false,epilogue=true)");
    check_printed(f, "quantize-weights(rules=\"a.*=w2g64;b=f16\")",
                  "quantize-weights(rules=\"a.*=w2g64;b=f16\")");
    check_printed(f, "quantize-weights(rules=\"\")", "quantize-weights(rules=\"\")");
    check_printed(f, pipeline_default, pipeline_default);
}

// The steps of a pipeline are rows in order, none twice. Marks the rows that it runs.
static void check_order(fixture *f, const char *passes, bool *seen)
{
    pipeline p;
    assert_true(pipeline_parse(f->arena, f->diagnostics, passes, &p));
    const pass_row *last = NULL;
    for (size_t i = 0; i < p.steps.count; i++) {
        assert_true(!last || p.steps.items[i].pass > last);
        last = p.steps.items[i].pass;
        seen[last - pass_rows] = true;
    }
}

// Every pass is in the usual pipeline or in that of CPUs.
static void pipelines_are_the_table(void **state)
{
    fixture *f = *state;
    bool usual[64] = {false}, native[64] = {false};
    check_order(f, pipeline_default, usual);
    check_order(f, pipeline_native, native);
    for (const pass_row *row = pass_rows; row->name; row++) {
        assert_true(usual[row - pass_rows] || native[row - pass_rows]);
        assert_ptr_equal(pass_find(row->name), row);
    }
    assert_false(native[pass_find("quantize-tables") - pass_rows]);
    assert_false(usual[pass_find("choose-activations") - pass_rows]);
    assert_null(pass_find("no-such-pass"));
}

static const char *disabled(fixture *f, const char *names, const char *input, pipeline *p)
{
    text printed = {0};
    assert_true(pipeline_parse(f->arena, f->diagnostics, input, p));
    assert_true(pipeline_disable(f->arena, f->diagnostics, names, p));
    pipeline_print(&printed, p);
    const char *result = arena_string(f->arena, text_string(&printed), printed.length);
    text_free(&printed);
    return result;
}

static void optional_passes_are_disabled(void **state)
{
    fixture *f = *state;
    pipeline p;
    assert_string_equal(disabled(f, " fold , fuse", "fold,fuse(rows=true),fold,partition", &p),
                        "fuse(rows=false,precompute=false,products=false,epilogue=false),"
                        "partition");
    assert_int_equal(p.disabled.count, 2);
    assert_string_equal(disabled(f, "fold", "fuse", &p), "fuse");
    assert_int_equal(p.disabled.count, 0);
    assert_false(pipeline_disable(f->arena, f->diagnostics, "fuse,pack-weights", &p));
    assert_false(pipeline_disable(f->arena, f->diagnostics, "fuze", &p));
    assert_false(pipeline_disable(f->arena, f->diagnostics, "fuse,", &p));
}

// What stands in the place of a disabled pass is a weaker form of itself.
static void replacements_are_of_the_same_pass(void **state)
{
    fixture *f = *state;
    for (const pass_row *row = pass_rows; row->name; row++) {
        pipeline p;
        if (!row->without || !*row->without)
            continue;
        assert_true(pipeline_parse(f->arena, f->diagnostics, row->without, &p));
        assert_int_equal(p.steps.count, 1);
        assert_ptr_equal(p.steps.items[0].pass, row);
        assert_true(p.steps.items[0].arguments.count > 0);
    }
}

static void arguments_have_defaults(void **state)
{
    fixture *f = *state;
    pass_context c = {.arena = f->arena, .diagnostics = f->diagnostics, .running = "fuse"};
    assert_true(pass_argument_boolean(&c, "rows"));
    pass_argument given = {"rows", "false"};
    ARRAY_PUSH(f->arena, &c.arguments, given);
    assert_false(pass_argument_boolean(&c, "rows"));
    assert_true(pass_argument_boolean(&c, "epilogue"));
    c.running = "quantize-weights";
    assert_string_equal(pass_argument_text(&c, "rules"), "");
    c.running = "choose-tiles";
    assert_int_equal(pass_argument_integer(&c, "row_block"), 0);
}

static void count_calls(void *context, unsigned index, const char *pass, const ir_module *m,
                        double seconds)
{
    unsigned *calls = context;
    assert_int_equal(index, *calls);
    assert_string_equal(pass, index == 0 ? "input" : index == 1 ? "fold" : "fuse");
    assert_non_null(m);
    assert_true(seconds >= 0);
    ++*calls;
}

static void running_observes_and_remarks(void **state)
{
    fixture *f = *state;
    static const char module[] = "module \"m\"\n"
                                 "entry func @main(%x: f16[4]) -> (f16[4]) {\n"
                                 "  %y = silu %x : f16[4]\n"
                                 "  %z = tanh %y : f16[4]\n"
                                 "  return %z\n"
                                 "}\n";
    const source *s = diagnostics_source(f->diagnostics, "m.lir", module, strlen(module));
    ir_module *m = ir_parse(f->arena, f->diagnostics, s);
    assert_non_null(m);
    pipeline p;
    assert_true(pipeline_parse(f->arena, f->diagnostics, "fold,fuse", &p));
    machine target = {.name = "none"};
    pass_context c = {.arena = f->arena, .diagnostics = f->diagnostics, .machine = &target};
    unsigned calls = 0;
    pipeline_observer observer = {&calls, count_calls};
    assert_true(pipeline_run(&p, m, &c, &observer));
    assert_int_equal(calls, 3);
    assert_int_equal(c.remarks.count, 1);
    assert_string_equal(c.remarks.items[0].pass, "fuse");
    assert_int_equal(c.remarks.items[0].kind, REMARK_APPLIED);
    assert_int_equal(c.remarks.items[0].where.line, 4);
    assert_string_equal(c.remarks.items[0].message, "tanh fused with silu");
    assert_int_equal(m->functions->body->first->code, IR_KERNEL);
    assert_string_equal(m->machine, "none");
    assert_string_equal(m->architecture, "vlen 0, no tiles");
    assert_string_equal(m->target, "riscv64");
    assert_string_equal(m->after, "fold"); // quantize-weights is still to come
    assert_ptr_equal(pipeline_behind(m), pass_find("fold"));
}

// A module goes on behind one pass: those in front of it have rows in front of its row.
static void pipelines_are_in_order(void **state)
{
    fixture *f = *state;
    const char *const all[] = {pipeline_default, pipeline_native};
    for (size_t i = 0; i < 2; i++) {
        pipeline p;
        assert_true(pipeline_parse(f->arena, f->diagnostics, all[i], &p));
        for (size_t k = 1; k < p.steps.count; k++)
            assert_true(p.steps.items[k - 1].pass < p.steps.items[k].pass);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pipelines_print_and_parse),    TEST(pipelines_are_the_table),
        TEST(optional_passes_are_disabled), TEST(replacements_are_of_the_same_pass),
        TEST(arguments_have_defaults),      TEST(running_observes_and_remarks),
        TEST(pipelines_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
