// link: lutra_explore lutra_isa lutra_support
// Sweeps: what is in them, which rows are best, and journals that are refused.
#include "tests/unit/unit.h"

#include "compiler/explore/explore.h"
#include "tests/unit/diagnostics_fixture.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static machine base;

static explore_space space_of(uint32_t budget)
{
    assert_true(machine_load(a, d, "m2n64k4", &base));
    explore_space s = {.machine = &base, .budget = budget};
    static const uint32_t rows[] = {1, 2, 4, 8};
    for (size_t i = 0; i < 4; i++)
        ARRAY_PUSH(a, &s.rows, rows[i]);
    for (uint32_t k = 2; k <= 6; k++)
        ARRAY_PUSH(a, &s.widths, k);
    static const explore_tile tiles[] = {{1, 64}, {2, 64}, {2, 128}, {4, 128}, {4, 256}};
    for (size_t i = 0; i < 5; i++)
        ARRAY_PUSH(a, &s.tiles, tiles[i]);
    ARRAY_PUSH(a, &s.units, 1);
    ARRAY_PUSH(a, &s.bandwidths, 25.6e9);
    ARRAY_PUSH(a, &s.phases, "prefill 512");
    ARRAY_PUSH(a, &s.phases, "decode 512");
    return s;
}

static explore_rows list(void)
{
    explore_space s = space_of(512);
    explore_rows rows = {0};
    explore_list(a, &s, &rows);
    return rows;
}

static void test_columns_are_powers_of_two_near_the_budget(void **state)
{
    (void)state;
    assert_int_equal(explore_columns(512, 2, 4), 64);
    assert_int_equal(explore_columns(512, 4, 4), 32);
    assert_int_equal(explore_columns(512, 2, 3), 64);
    assert_int_equal(explore_columns(512, 2, 6), 32);
    assert_int_equal(explore_columns(1, 8, 8), 1);
    assert_int_equal(explore_columns(1u << 31, 1, 1), 1 << 16);
}

static void test_tiles_have_room_for_tables(void **state)
{
    (void)state;
    static const char *const good[] = {"m1n64", "m2n64", "m4n256", "m8n256", "m16n512"};
    static const char *const bad[] = {"m1n32",    "m3n96",  "m4n64", "m8n128",
                                      "m32n1024", "m2n64 ", ""};
    explore_tile t;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(explore_read_tile(good[i], &t));
    assert_true(t.m == 16 && t.n == 512);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(explore_read_tile(bad[i], &t));
}

static void test_units_stand_with_every_tile_that_holds_them(void **state)
{
    (void)state;
    explore_rows rows = list();
    unsigned held = 0, alone = 0;
    for (size_t i = 0; i < rows.count; i++) {
        const explore_row *r = &rows.items[i];
        const machine *m = &r->machine;
        if (r->estimated)
            assert_true(m->unit_m <= m->tile_m && m->unit_n <= m->tile_n);
        held += r->estimated && m->unit_m == 2 && m->unit_n == 64 && m->unit_k == 4;
        alone += !r->estimated && m->unit_m == 8;
    }
    assert_int_equal(held, 2 * 4); // two phases; all tiles but m1 n64
    assert_int_equal(alone, 5);
}

// The machine's own unit and tile are itself.
static void test_the_machine_itself_is_unchanged(void **state)
{
    (void)state;
    explore_rows rows = list();
    for (size_t i = 0; i < rows.count; i++) {
        const machine *m = &rows.items[i].machine;
        if (m->unit_m != 2 || m->unit_n != 64 || m->unit_k != 4 || m->tile_n != 64)
            continue;
        text before = {0}, now = {0};
        machine_print(&before, &base);
        machine_print(&now, m);
        assert_string_equal(text_string(&before), text_string(&now));
        text_free(&before);
        text_free(&now);
        return;
    }
    fail();
}

static void set_result(explore_row *r, double seconds, double joules, double area)
{
    r->result = (explore_result){.seconds = seconds, .joules = joules, .bound = "latency"};
    r->area.total = area;
}

static void test_fronts_leave_out_what_is_beaten(void **state)
{
    (void)state;
    explore_rows rows = list();
    rows.count = 0;
    static const double results[][3] = {{1, 5, 9}, {2, 4, 5}, {3, 4, 6}, {2, 4, 5}, {9, 1, 1}};
    for (size_t i = 0; i < 5; i++) {
        rows.items[i].phase_index = 0;
        rows.items[i].estimated = true;
        rows.items[i].machine.memory_bandwidth = 1;
        set_result(&rows.items[i], results[i][0], results[i][1], results[i][2]);
    }
    rows.count = 5;
    explore_mark_fronts(&rows);
    static const bool latency[] = {true, true, false, true, true};
    static const bool energy[] = {false, false, false, false, true};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(rows.items[i].front[EXPLORE_LATENCY], latency[i]);
        assert_int_equal(rows.items[i].front[EXPLORE_ENERGY], energy[i]);
    }
    // Of another phase or bandwidth it competes with nothing.
    rows.items[2].phase_index = 1;
    explore_mark_fronts(&rows);
    assert_true(rows.items[2].front[EXPLORE_LATENCY]);
    rows.items[2].phase_index = 0;
    rows.items[2].machine.memory_bandwidth = 2;
    explore_mark_fronts(&rows);
    assert_true(rows.items[2].front[EXPLORE_LATENCY]);
}

static void test_rows_read_as_written(void **state)
{
    (void)state;
    explore_rows rows = list();
    explore_row *r = &rows.items[0], again = *r;
    text t = {0}, second = {0};
    set_result(r, 1.23456789e-3, 4.5e-4, r->area.total);
    r->result.bound = "LUT array";
    explore_print_row(&t, r);
    assert_true(explore_read_row(a, t.data, t.length, &again));
    assert_string_equal(again.result.bound, "LUT array");
    assert_true(fabs(again.result.seconds / r->result.seconds - 1) < 1e-5);
    explore_print_row(&second, &again);
    assert_string_equal(text_string(&t), text_string(&second));
    assert_false(explore_read_row(a, t.data, t.length - 1, &again)); // ends with a comma
    assert_false(explore_read_row(a, t.data, t.length, &rows.items[1]));
    text_free(&t);
    text_free(&second);
}

// ---------------------------------------------------------------------------- journals

static const explore_identity mine = {"p", "m", "o"};
static const char path[] = "explore_test.journal";

static bool reopen(const explore_identity *id, explore_rows *rows, size_t *done)
{
    explore_journal *j = explore_journal_open(a, d, path, id, rows, done);
    explore_journal_close(j, false);
    return j != NULL;
}

static void write_two_rows(void)
{
    explore_rows rows = list();
    size_t done;
    unlink(path);
    explore_journal *j = explore_journal_open(a, d, path, &mine, &rows, &done);
    assert_non_null(j);
    for (size_t i = 0; i < 2; i++) {
        set_result(&rows.items[i], 1e-3, 1e-3, rows.items[i].area.total);
        assert_true(explore_journal_add(a, d, j, &rows.items[i]));
    }
    explore_journal_close(j, false);
}

static void test_journals_go_on(void **state)
{
    (void)state;
    explore_rows rows = list();
    size_t done;
    write_two_rows();
    assert_true(reopen(&mine, &rows, &done));
    assert_int_equal(done, 2);
    assert_true(rows.items[1].result.seconds == 1e-3);
    FILE *f = fopen(path, "a"); // cut off in the middle of a line
    fputs("decode 512,yes,1", f);
    fclose(f);
    assert_true(reopen(&mine, &rows, &done));
    assert_int_equal(done, 2);
    assert_true(reopen(&mine, &rows, &done));
    unlink(path);
}

static void test_journals_of_others_are_refused(void **state)
{
    (void)state;
    static const struct {
        explore_identity id;
        const char *message;
    } others[] = {{{"q", "m", "o"}, "journal:3:1: error: the journal is of another program"},
                  {{"p", "n", "o"}, "journal:2:1: error: the journal is of another machine"},
                  {{"p", "m", "x"}, "journal:4:1: error: the journal is of a sweep with other"}};
    write_two_rows();
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        explore_rows rows = list();
        size_t done;
        assert_false(reopen(&others[i].id, &rows, &done));
        assert_non_null(strstr(messages(), others[i].message));
    }
    explore_rows rows = list();
    size_t done;
    rows.count = 1;
    assert_false(reopen(&mine, &rows, &done));
    assert_non_null(strstr(messages(), "journal:8:1: error: the journal has more rows"));
    rows.count = 2;
    FILE *f = fopen(path, "a");
    fputs("something\n", f);
    fclose(f);
    rows = list();
    assert_false(reopen(&mine, &rows, &done));
    assert_non_null(strstr(messages(), "journal:9:1: error: this is not what the sweep writes"));
    unlink(path);
}

static void test_a_journal_in_use_is_refused(void **state)
{
    (void)state;
    explore_rows rows = list(), second = list();
    size_t done;
    unlink(path);
    explore_journal *j = explore_journal_open(a, d, path, &mine, &rows, &done);
    assert_non_null(j);
    assert_false(reopen(&mine, &second, &done));
    assert_non_null(strstr(messages(), "another sweep is at work on this journal"));
    explore_journal_close(j, true);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_powers_of_two_near_the_budget),
        cmocka_unit_test(test_tiles_have_room_for_tables),
        cmocka_unit_test_setup_teardown(test_units_stand_with_every_tile_that_holds_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_machine_itself_is_unchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fronts_leave_out_what_is_beaten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_read_as_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journals_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journals_of_others_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_journal_in_use_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
