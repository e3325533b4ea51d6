// link: lutra_isa lutra_support
// What is generated from the rows for people: the manual is current, the headers are complete.
#include "tests/unit/unit.h"

#include "isa/isa.h"
#include "isa/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static text read_manual(void)
{
    const char *root = getenv("LUTRA_SOURCE");
    char path[4096], buffer[4096];
    snprintf(path, sizeof path, "%s/docs/xlut.md", root ? root : "../..");
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text t = {0};
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        text_append_n(&t, buffer, n);
    fclose(f);
    return t;
}

static void test_manual_is_current(void **state)
{
    (void)state;
    text manual = read_manual(), made = {0};
    assert_true(isa_publish_manual(&made, text_string(&manual)));
    if (strcmp(text_string(&manual), text_string(&made)))
        fail_msg("docs/xlut.md is stale: run isa_publish manual docs/xlut.md");
    text_free(&manual);
    text_free(&made);
}

static void test_manual_needs_its_markers(void **state)
{
    (void)state;
    text made = {0};
    assert_false(isa_publish_manual(&made, "# Xlut\n"));
    assert_false(isa_publish_manual(&made, "<!-- generated -->\nand no end\n"));
    assert_true(
        isa_publish_manual(&made, "<!-- generated -->\nold\n<!-- end of generated -->\nrest"));
    assert_null(strstr(text_string(&made), "old"));
    assert_non_null(strstr(text_string(&made), "rest"));
    text_free(&made);
}

// Every bit of every Xlut row is in the manual's tables: each ends with bits 6:0.
static void test_manual_has_every_row(void **state)
{
    (void)state;
    text made = {0};
    assert_true(isa_publish_manual(&made, "<!-- generated -->\n<!-- end of generated -->\n"));
    unsigned rows = 0, tables = 0;
    for (unsigned o = 1; o < ISA_OPCODE_COUNT; o++) {
        if (strcmp(isa_rows[o].extension, "Xlut"))
            continue;
        rows++;
        assert_non_null(strstr(text_string(&made), isa_rows[o].syntax));
    }
    for (const char *s = text_string(&made); (s = strstr(s, "| 6:0 |\n")); s++)
        tables++;
    assert_int_equal(tables, rows);
    text_free(&made);
}

static unsigned count(const char *s, const char *what)
{
    unsigned n = 0;
    for (; (s = strstr(s, what)); s++)
        n++;
    return n;
}

static void test_headers_are_complete(void **state)
{
    (void)state;
    text header = {0}, macros = {0};
    isa_publish_header(&header);
    isa_publish_macros(&macros);
    assert_non_null(strstr(text_string(&header), "#define XLUT_SLICE_QUARTER3 7\n"));
    assert_int_equal(count(text_string(&header), "__asm__ volatile"), 29);
    // lmma: tables x forms x rows x start x slices; lut.tbl: see test_xlut_forms.
    assert_int_equal(count(text_string(&macros), ".macro lmma."), 3 * 6 * 2 * 2 * 7);
    assert_int_equal(count(text_string(&macros), ".macro lut.tbl."), 20);
    assert_int_equal(count(text_string(&macros), ".macro mma."), 5);
    assert_int_equal(count(text_string(&macros), ".macro lut.deq."), 4);
    text_free(&header);
    text_free(&macros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manual_is_current),
        cmocka_unit_test(test_manual_needs_its_markers),
        cmocka_unit_test(test_manual_has_every_row),
        cmocka_unit_test(test_headers_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
