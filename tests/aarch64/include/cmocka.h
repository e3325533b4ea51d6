// What the unit tests of the machine use of cmocka, for a target that Debian has no cmocka for: the
// first failure ends the run.
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
typedef int CMFixture(void **state);
#define cmocka_unit_test(function) {#function, function}
#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    run_tests(#tests, tests, sizeof(tests) / sizeof *(tests), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                  \
    run_tests(name, tests, sizeof(tests) / sizeof *(tests), setup, teardown)

#define print_message(...) printf(__VA_ARGS__)
#define fail_at(file, line, ...)                                                                   \
    (printf("%s:%d: ", file, line), printf(__VA_ARGS__), putchar('\n'), exit(1))
#define fail_msg(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)

#define assert_true(x) expect_truth((x) != 0, #x, __FILE__, __LINE__)
#define assert_false(x) assert_true(!(x))
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_null(x) assert_true((x) == NULL)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_string_equal(a, b) expect_bytes(a, b, strlen(b) + 1, __FILE__, __LINE__)
#define assert_memory_equal(a, b, size) expect_bytes(a, b, size, __FILE__, __LINE__)
#define assert_int_equal(a, b) expect_numbers((uint64_t)(a), (uint64_t)(b), __FILE__, __LINE__)
#define assert_int_not_equal(a, b) assert_true((uint64_t)(a) != (uint64_t)(b))
#define assert_in_range(x, low, high)                                                              \
    assert_true((uint64_t)(x) - (uint64_t)(low) <= (uint64_t)(high) - (uint64_t)(low))
#define test_malloc malloc
#define test_free free

static inline void expect_truth(int truth, const char *what, const char *file, int line)
{
    if (!truth)
        fail_at(file, line, "not so: %s", what);
}

static inline void expect_bytes(const void *a, const void *b, size_t size, const char *file,
                                int line)
{
    if (memcmp(a, b, size) != 0)
        fail_at(file, line, "%zu bytes differ", size);
}

static inline void expect_numbers(uint64_t a, uint64_t b, const char *file, int line)
{
    if (a != b)
        fail_at(file, line, "%llx is not %llx", (unsigned long long)a, (unsigned long long)b);
}

static inline int run_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                            CMFixture *setup, CMFixture *teardown)
{
    void *state = NULL;
    if (setup && setup(&state) != 0)
        fail_msg("%s: setup failed", name);
    for (size_t i = 0; i < count; i++) {
        tests[i].run(&state);
        printf("ok: %s\n", tests[i].name);
    }
    if (teardown && teardown(&state) != 0)
        fail_msg("%s: teardown failed", name);
    return 0;
}
