// link: lutra_ir lutra_support
// Wrong modules give exactly the errors that tests/ir/errors.lir shows, on their lines.
#include "tests/unit/unit.h"

#include "compiler/ir/ir.h"
#include "support/file.h"

#include <stdlib.h>
#include <string.h>

// "line: message" for every error, sorted as they come in the text.
static void expected_errors(const char *from, const char *to, text *out)
{
    unsigned line = 1;
    for (const char *at = from; at < to; line++) {
        const char *end = memchr(at, '\n', (size_t)(to - at));
        end = end ? end : to;
        char *copy = strndup(at, (size_t)(end - at));
        for (char *mark = strstr(copy, "; error: "), *next; mark; mark = next) {
            next = strstr(mark + 9, " ; error: ");
            if (next)
                *next++ = 0;
            text_printf(out, "%u: %s\n", line, mark + 9);
        }
        free(copy);
        at = end + (end < to);
    }
}

static int by_line(const void *a, const void *b)
{
    return atoi(*(char *const *)a) - atoi(*(char *const *)b);
}

// From what was written: "case:LINE:COLUMN: error: message". Errors of one line keep their order.
static void reported_errors(char *written, text *out)
{
    char *lines[256];
    size_t n = 0;
    for (char *line = strtok(written, "\n"); line && n < 256; line = strtok(NULL, "\n")) {
        char *message = strstr(line, ": error: ");
        if (!text_starts_with(line, "case:") || !message)
            continue;
        char *joined = malloc(strlen(line) + 8);
        sprintf(joined, "%u: %s\n", (unsigned)atoi(line + 5), message + 9);
        lines[n++] = joined;
    }
    for (size_t i = 1; i < n; i++) // insertion: stable
        for (size_t j = i; j && by_line(&lines[j - 1], &lines[j]) > 0; j--) {
            char *swap = lines[j];
            lines[j] = lines[j - 1];
            lines[j - 1] = swap;
        }
    for (size_t i = 0; i < n; i++) {
        text_append(out, lines[i]);
        free(lines[i]);
    }
}

static bool check_case(const char *title, const char *from, const char *to)
{
    char *written = NULL;
    size_t size;
    FILE *stream = open_memstream(&written, &size);
    diagnostics *d = diagnostics_create(stream);
    arena *a = arena_create();
    ir_module *m = ir_parse(a, d, diagnostics_source(d, "case", from, (size_t)(to - from)));
    diagnostics_destroy(d);
    arena_destroy(a);
    fclose(stream);
    text want = {0}, got = {0};
    expected_errors(from, to, &want);
    reported_errors(written, &got);
    bool good = !m && got.length && !strcmp(text_string(&want), text_string(&got));
    if (!good)
        print_message("%s: expected\n%sgot\n%s", title, text_string(&want), text_string(&got));
    text_free(&want);
    text_free(&got);
    free(written);
    return good;
}

static void every_case(void **state)
{
    (void)state;
    diagnostics *d = diagnostics_create(stderr);
    arena *a = arena_create();
    mapped_file file;
    assert_true(
        file_map(d, arena_format(a, "%s/tests/ir/errors.lir", getenv("LUTRA_SOURCE")), &file));
    char *content = arena_string(a, (const char *)file.data, file.size);
    unsigned cases = 0, failed = 0;
    for (char *at = strstr(content, "; ---- "), *next; at; at = next) {
        char *body = strchr(at, '\n') + 1;
        *(body - 1) = 0;
        next = strstr(body, "; ---- ");
        failed += !check_case(at + 7, body, next ? next : content + file.size);
        cases++;
    }
    file_unmap(&file);
    arena_destroy(a);
    diagnostics_destroy(d);
    assert_int_equal(failed, 0);
    assert_true(cases >= 40);
}

// Parses and returns the number of errors; the module must be refused.
static size_t errors_of(const char *input, size_t length)
{
    FILE *nowhere = fopen("/dev/null", "w");
    diagnostics *d = diagnostics_create(nowhere);
    arena *a = arena_create();
    assert_null(ir_parse(a, d, diagnostics_source(d, "text", input, length)));
    size_t errors = diagnostics_errors(d);
    diagnostics_destroy(d);
    arena_destroy(a);
    fclose(nowhere);
    return errors;
}

static void empty_text(void **state)
{
    (void)state;
    assert_int_equal(errors_of("", 0), 1);
    assert_int_equal(errors_of(" ; nothing\n", 11), 1);
}

// Nesting is bounded: no stack is exhausted by text.
static void deep_nesting(void **state)
{
    (void)state;
    text deep = {0};
    text_append(&deep, "module \"x\"\nfunc @f(%b: i1) -> () {\n");
    for (int i = 0; i < 100000; i++)
        text_append(&deep, "if %b {\n");
    assert_true(errors_of(deep.data, deep.length) > 0);
    text_free(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case), cmocka_unit_test(empty_text),
                                       cmocka_unit_test(deep_nesting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
