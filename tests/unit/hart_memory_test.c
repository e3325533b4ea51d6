// link: lutra_hart
//
// Guest memory: what can be mapped, from where, and who may touch it.
#include "hart_helpers.h"

#include <stdio.h>
#include <unistd.h>

static void keeps_access_rights(void **state)
{
    (void)state;
    hart_memory *m = hart_memory_create();
    uint64_t page = hart_memory_page(), at = 0x100000000;
    assert_true(hart_memory_map(m, at, 4 * page, HART_READ));
    assert_true(hart_memory_protect(m, at + page, page, HART_READ | HART_WRITE));
    assert_non_null(hart_memory_range(m, at, 4 * page, HART_READ));
    assert_null(hart_memory_range(m, at, 2 * page, HART_WRITE));
    assert_non_null(hart_memory_range(m, at + page, page, HART_WRITE));
    assert_null(hart_memory_range(m, at + 3 * page, page + 1, HART_READ));
    assert_null(hart_memory_range(m, UINT64_MAX - 1, 4, HART_READ));
    assert_int_equal(hart_memory_extent(m, at + 10, HART_READ), 4 * page - 10);
    assert_int_equal(hart_memory_extent(m, at + page + 10, HART_WRITE), page - 10);
    assert_int_equal(hart_memory_extent(m, at - 1, HART_READ), 0);
    size_t count;
    assert_int_equal(hart_memory_segments(m, &count)[1].size, page);
    assert_int_equal(count, 3);
    assert_true(hart_memory_protect(m, at + page, page, HART_READ));
    hart_memory_segments(m, &count);
    assert_int_equal(count, 1);
    assert_true(hart_memory_unmap(m, at + page, page));
    assert_null(hart_memory_range(m, at + page, 1, HART_READ));
    assert_non_null(hart_memory_range(m, at + 2 * page, 1, HART_READ));
    hart_memory_destroy(m);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    hart_memory *m = hart_memory_create();
    uint64_t limit = hart_memory_limit(m);
    assert_false(hart_memory_map(m, limit, 4096, HART_READ));
    assert_false(hart_memory_map(m, limit - 4096, 8192, HART_READ));
    assert_false(hart_memory_map(m, 0x1001, 4096, HART_READ));
    assert_false(hart_memory_map(m, 0x1000, UINT64_MAX, HART_READ));
    assert_false(hart_memory_protect(m, 0x1000, 4096, HART_READ));
    assert_false(hart_memory_write(m, 0x1000, "x", 1));
    assert_true(hart_memory_map(m, limit - hart_memory_page(), hart_memory_page(), HART_READ));
    hart_memory_destroy(m);
}

static void maps_files_with_zero_tails(void **state)
{
    (void)state;
    char path[] = "/tmp/hart_test_XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    unlink(path);
    uint8_t bytes[5000];
    memset(bytes, 7, sizeof bytes);
    assert_int_equal(write(descriptor, bytes, sizeof bytes), sizeof bytes);
    hart_memory *m = hart_memory_create();
    assert_true(hart_memory_map_file(m, 0x100000000, 3 * hart_memory_page(), HART_READ, descriptor,
                                     0, 4500));
    const uint8_t *at = hart_memory_range(m, 0x100000000, 3 * hart_memory_page(), HART_READ);
    assert_int_equal(at[4499], 7);
    assert_int_equal(at[4500], 0);
    assert_int_equal(at[3 * hart_memory_page() - 1], 0);
    assert_false(hart_memory_map_file(m, 0x10000, 4096, HART_READ, descriptor, 0, 4097));
    close(descriptor);
    hart_memory_destroy(m);
}

// Of several MiB, as weights are: whether they are copied or mapped.
static void maps_large_files(void **state)
{
    (void)state;
    enum { WORDS = 5 << 18, SKIPPED = 4096 };
    char path[] = "/tmp/hart_test_XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    unlink(path);
    uint32_t *words = malloc(4 * WORDS);
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = i;
    assert_int_equal(write(descriptor, words, 4 * WORDS), 4 * WORDS);
    free(words);
    hart_memory *m = hart_memory_create();
    const uint64_t at = 0x100000000, size = 4 * WORDS + 8192, bytes = 4 * WORDS - SKIPPED - 40;
    assert_true(hart_memory_map_file(m, at, size, HART_READ, descriptor, SKIPPED, bytes));
    const uint32_t *there = hart_memory_range(m, at, size, HART_READ);
    assert_non_null(there);
    assert_null(hart_memory_range(m, at, size, HART_WRITE));
    for (uint32_t i = 0; i < size / 4; i++)
        assert_int_equal(there[i], i < bytes / 4 ? i + SKIPPED / 4 : 0);
    assert_true(hart_memory_write(m, at + 8, "abcd", 4));
    uint32_t word;
    assert_int_equal(pread(descriptor, &word, 4, SKIPPED + 8), 4);
    assert_int_equal(word, SKIPPED / 4 + 2);
    close(descriptor);
    hart_memory_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_access_rights),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(maps_files_with_zero_tails),
        cmocka_unit_test(maps_large_files),
    };
    return cmocka_run_group_tests_name("hart_memory", tests, NULL, NULL);
}
