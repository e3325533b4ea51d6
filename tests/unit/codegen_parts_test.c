// link: lutra_codegen lutra_host lutra_ir lutra_isa lutra_support
// Long entries become several functions, and compute what they say.
#include "tests/unit/codegen_program.h"

#include "support/file.h"

enum { CALLS = 5000, ROWS = 3, SUM_LENGTH = 40 };

static const char beginning[] =
    "module \"long\"\n"
    "dim T in 1..8\n"
    "func @add(%a: buffer<f32>[?], %b: buffer<f32>[?], %n: index, %v: f32) -> () {\n"
    "  %c0 = constant 0 : index\n  %c1 = constant 1 : index\n"
    "  for %i = %c0 to %n step %c1 {\n"
    "    %x = load %a, %i : f32\n    %y = add %x, %v : f32\n    store %y, %b, %i\n    yield\n"
    "  }\n  return\n}\n"
    "entry func @main(%x: buffer<f32>[T], %result: buffer<f32>[T]) -> () {\n"
    "  %c0 = constant 0 : index\n  %c1 = constant 1 : index\n  %one = constant 1.0 : f32\n"
    "  %T = dim T : index\n"
    "  %a = alloc {offset = 0} : buffer<f32>[8]\n"
    "  %b = alloc {offset = 64} : buffer<f32>[8]\n"
    "  %v0 = view %a, %c0 : buffer<f32>[?]\n  %v1 = view %b, %c0 : buffer<f32>[?]\n"
    "  %given = view %x, %c0 : buffer<f32>[?]\n"
    "  %first = load %x, %c0 : f32\n"
    "  call @add(%given, %v0, %T, %first)\n"
    "  %sum0 = sub %T, %T : index\n";

static const char end[] = "    %y = load %v0, %i : f32\n"
                          "    store %y, %result, %i\n    yield\n  }\n  return\n}\n";

// The result is x + x[0] + CALLS; `last` stands behind the calls, and begins the loop over it.
static char *write_program(const char *last)
{
    text out = {0};
    text_append(&out, beginning);
    for (int i = 0; i < SUM_LENGTH; i++)
        text_printf(&out, "  %%sum%d = add %%sum%d, %%c1 : index\n", i + 1, i);
    for (int i = 0; i < CALLS; i++)
        text_printf(&out, "  call @add(%%v%d, %%v%d, %%T, %%one)\n", i % 2, (i + 1) % 2);
    text_append(&out, last);
    text_append(&out, end);
    return out.data;
}

static bool has_symbol(const char *path, const char *name)
{
    diagnostics *d = diagnostics_create(stderr);
    mapped_file file;
    assert_true(file_map(d, path, &file));
    const bool found = memmem(file.data, file.size, name, strlen(name) + 1) != NULL;
    file_unmap(&file);
    diagnostics_destroy(d);
    return found;
}

// Compiles and runs it; true when the entry has become parts.
static bool check(const char *last, float more)
{
    char *lir = write_program(last);
    compiled p = compile(lir);
    const bool cut = has_symbol(p.path, "main.part2");
    const int64_t n = ROWS;
    array x = array_create(p.arena, SCALAR_F32, 1, &n);
    for (int i = 0; i < ROWS; i++)
        ((float *)x.data)[i] = (float)(i + 2);
    run(&p, &n, &x);
    const float *got = output(&p, 0).data;
    for (int i = 0; i < ROWS; i++)
        assert_float_equal(got[i], (float)(i + 2) + 2 + CALLS + more, 0);
    release(&p);
    free(lir);
    return cut;
}

static void what_is_defined_early_is_there_late(void **state)
{
    (void)state;
    assert_true(check("  for %i = %c0 to %T step %c1 {\n", 0));
    assert_true(check("  %half = view %v0, %c0 : buffer<f32>[?]\n"
                      "  call @add(%half, %v0, %T, %one)\n  for %i = %c0 to %T step %c1 {\n",
                      1));
}

// A cut would be in front of the last use of what cannot be defined anew.
static void what_is_loaded_is_not_loaded_again(void **state)
{
    (void)state;
    assert_false(
        check("  for %i = %c0 to %T step %c1 {\n    %unused = add %first, %one : f32\n", 0));
}

static void what_takes_many_definitions_is_kept(void **state)
{
    (void)state;
    assert_false(check("  %nought = sub %sum40, %sum40 : index\n"
                       "  for %i = %nought to %T step %c1 {\n",
                       0));
    assert_true(check("  %nought = sub %sum3, %sum3 : index\n"
                      "  for %i = %nought to %T step %c1 {\n",
                      0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_defined_early_is_there_late),
        cmocka_unit_test(what_is_loaded_is_not_loaded_again),
        cmocka_unit_test(what_takes_many_definitions_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
