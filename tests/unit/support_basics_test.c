// link: lutra_support
// Arena, text, diagnostics, options and files.
#include "tests/unit/unit.h"

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/file.h"
#include "support/hash.h"
#include "support/options.h"
#include "support/text.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// ------------------------------------------------------------------ arena

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void arena_memory_is_zero_and_aligned(void **state)
{
    (void)state;
    arena *a = arena_create();
    for (size_t size = 1; size < 200000; size = size * 3 + 1) {
        arena_mark mark = arena_save(a);
        unsigned char *p = arena_alloc(a, size);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_true(all_zero(p, size));
        memset(p, 0xff, size);
        arena_restore(a, mark);
        assert_true(all_zero(arena_alloc(a, size), size)); // memory that was used before
    }
    arena_destroy(a);
    arena_destroy(NULL);
}

static void arena_restore_releases_to_the_mark(void **state)
{
    (void)state;
    arena *a = arena_create();
    char *kept = arena_string(a, "kept", 4);
    arena_mark mark = arena_save(a);
    for (int i = 0; i < 1000; i++)
        arena_alloc(a, 1000);
    arena_restore(a, mark);
    char *next = arena_alloc(a, 16);
    assert_ptr_equal(next, kept + 16);
    assert_string_equal(kept, "kept");
    arena_restore(a, (arena_mark){0});
    arena_destroy(a);
}

static void interned_strings_are_pointers(void **state)
{
    (void)state;
    arena *a = arena_create();
    const char *x = arena_intern(a, "alpha");
    arena_mark mark = arena_save(a);
    const char *late = arena_intern(a, "late");
    arena_restore(a, mark);
    memset(arena_alloc(a, 4096), 'x', 4096);
    assert_string_equal(late, "late"); // survives the restore
    assert_ptr_equal(arena_intern_n(a, "alphabet", 5), x);
    assert_ptr_not_equal(arena_intern(a, "alphabet"), x);
    for (int i = 0; i < 5000; i++)
        arena_intern(a, arena_format(a, "name%d", i));
    assert_ptr_equal(arena_intern(a, "alpha"), x);
    assert_ptr_equal(arena_intern(a, "name4999"), arena_intern(a, "name4999"));
    arena_destroy(a);
}

// The values of FNV's own tests.
static void hashes_are_fnv(void **state)
{
    (void)state;
    assert_int_equal(hash_bytes(NULL, 0), UINT64_C(0xcbf29ce484222325));
    assert_int_equal(hash_bytes("a", 1), UINT64_C(0xaf63dc4c8601ec8c));
    assert_int_equal(hash_bytes("foobar", 6), UINT64_C(0x85944171f73967e8));
}

static void arrays_grow(void **state)
{
    (void)state;
    arena *a = arena_create();
    ARRAY_OF(int) list = {0};
    for (int i = 0; i < 1000; i++)
        ARRAY_PUSH(a, &list, i);
    assert_int_equal(list.count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(list.items[i], i);
    arena_destroy(a);
}

// ------------------------------------------------------------------ text

static void doubles_read_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0.0"},        {1, "1.0"},
                 {-0.0, "-0.0"},    {0.1, "0.1"},
                 {1e-5, "1e-05"},   {1e300, "1e+300"},
                 {INFINITY, "inf"}, {-INFINITY, "-inf"},
                 {NAN, "nan"},      {1.0 / 3, "0.3333333333333333"},
                 {100, "100.0"},    {4.9e-324, "5e-324"}};
    text t = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text_clear(&t);
        text_double(&t, cases[i].value);
        assert_string_equal(text_string(&t), cases[i].text);
        double back;
        assert_true(text_to_double(text_string(&t), &back));
        assert_true(back == cases[i].value || isnan(back));
    }
    text_free(&t);
}

static void quoting_escapes(void **state)
{
    (void)state;
    text t = {0};
    assert_string_equal(text_string(&t), "");
    text_quoted(&t, "a\"\\\n\t\0\x01\xc3\xa4", 9);
    assert_string_equal(text_string(&t), "\"a\\\"\\\\\\n\\t\\x00\\x01\xc3\xa4\"");
    text_free(&t);
}

static void numbers_need_the_whole_string(void **state)
{
    (void)state;
    long long i = 7;
    double x = 7;
    assert_true(text_to_int64("-12", &i) && i == -12);
    assert_true(text_to_int64("0x1F", &i) && i == 31);
    assert_true(text_to_int64("9223372036854775807", &i) && i == INT64_MAX);
    static const char *const bad[] = {"",   "-", "1x", "0x", " 1", "+1", "9223372036854775808",
                                      "--1"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_false(text_to_int64(bad[k], &i));
    assert_true(text_to_double("1e-3", &x) && x == 1e-3);
    assert_false(text_to_double("1e999", &x) || text_to_double("1.0f", &x) ||
                 text_to_double("", &x) || text_to_double(" 1", &x));
}

static void typing_mistakes_are_found(void **state)
{
    (void)state;
    static const char *const names[] = {"linear", "softmax", "rms_norm", "up", "down", "f16"};
    static const struct {
        const char *typed, *meant;
    } cases[] = {{"linaer", "linear"},
                 {"Softmax", "softmax"},
                 {"rmsnorm", "rms_norm"},
                 {"dwon", "down"},
                 {"f17", "f16"},
                 {"zebra", NULL},
                 {"xy", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = text_nearest(cases[i].typed, names, 6);
        if (cases[i].meant)
            assert_string_equal(found, cases[i].meant);
        else
            assert_null(found);
    }
    assert_true(text_starts_with("abc", "ab") && !text_starts_with("a", "ab"));
    assert_true(text_ends_with("x.lut", ".lut") && !text_ends_with("lut", ".lut"));
}

// ------------------------------------------------------------------ diagnostics

// What `report` writes, as a text.
static void shown(text *out, void (*report)(diagnostics *d))
{
    FILE *f = tmpfile();
    diagnostics *d = diagnostics_create(f);
    report(d);
    diagnostics_destroy(d);
    rewind(f);
    text_clear(out);
    for (int c; (c = fgetc(f)) != EOF;)
        text_char(out, (char)c);
    fclose(f);
}

static void report_with_caret(diagnostics *d)
{
    static const char program[] = "one\n\tfn f(x) { y }\nlast";
    const source *s = diagnostics_source(d, "a.lut", program, sizeof program - 1);
    diagnostic_error(d, ((location){s, 2, 13, 1}), "'%s' is unknown", "y");
    diagnostic_note(d, ((location){s, 1, 1, 3}), "declared here");
    diagnostic_warning(d, ((location){s, 3, 1, 99}), "long");
    diagnostic_error(d, ((location){.source = s}), "whole file");
    diagnostic_error(d, NOWHERE, "nowhere");
    assert_int_equal(diagnostics_errors(d), 3);
}

static void messages_show_line_and_caret(void **state)
{
    (void)state;
    text t = {0};
    shown(&t, report_with_caret);
    assert_string_equal(text_string(&t), "a.lut:2:13: error: 'y' is unknown\n"
                                         "    2 |  fn f(x) { y }\n"
                                         "      |             ^\n"
                                         "   note: declared here (a.lut:1:1)\n"
                                         "a.lut:3:1: warning: long\n"
                                         "    3 | last\n"
                                         "      | ^~~~\n"
                                         "a.lut: error: whole file\n"
                                         "error: nowhere\n");
    text_free(&t);
}

static void report_beyond_the_text(diagnostics *d)
{
    const source *s = diagnostics_source(d, "b", "x", 1);
    const source *none = diagnostics_source(d, "c", NULL, 0);
    diagnostic_error(d, ((location){s, 9, 9, 9}), "no such line");
    diagnostic_error(d, ((location){none, 9, 9, 9}), "no text");
}

static void places_outside_the_text_are_harmless(void **state)
{
    (void)state;
    text t = {0};
    shown(&t, report_beyond_the_text);
    assert_string_equal(text_string(&t), "b:9:9: error: no such line\n"
                                         "    9 | \n      | ^\n"
                                         "c:9:9: error: no text\n");
    text_free(&t);
}

static void report_many(diagnostics *d)
{
    for (int i = 0; i < 60; i++) {
        diagnostic_error(d, NOWHERE, "error %d", i);
        diagnostic_note(d, NOWHERE, "note %d", i);
    }
}

static void report_long_line(diagnostics *d)
{
    char line[5000];
    memset(line, 'a', sizeof line);
    line[4000] = 'B';
    const source *s = diagnostics_source(d, "l", line, sizeof line);
    diagnostic_error(d, ((location){s, 1, 4001, 1}), "far right");
}

static void output_stays_bounded(void **state)
{
    (void)state;
    text t = {0};
    shown(&t, report_many);
    assert_non_null(strstr(text_string(&t), "note 49\n10 more errors not shown\n"));
    assert_null(strstr(text_string(&t), "error 50"));
    assert_null(strstr(text_string(&t), "note 50"));
    shown(&t, report_long_line);
    const char *b = strchr(text_string(&t), 'B'), *caret = strchr(text_string(&t), '^');
    assert_true(b && caret && t.length < 500);
    const char *second = strchr(b, '\n') + 1, *first = second;
    while (first[-1] != '\n' || first == second)
        first--;
    assert_int_equal(b - first, caret - second);
    text_free(&t);
}

static void clear_drops_what_was_not_flushed(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    diagnostics *d = diagnostics_create(f);
    diagnostic_error(d, NOWHERE, "first");
    diagnostics_flush(d);
    diagnostic_error(d, NOWHERE, "trial");
    diagnostics_clear(d);
    assert_int_equal(diagnostics_errors(d), 1);
    diagnostics_destroy(d);
    assert_int_equal(ftell(f), strlen("error: first\n"));
    fclose(f);
}

// ------------------------------------------------------------------ options

typedef struct settings {
    bool verbose;
    const char *output, *stats;
    long long level;
    double rate;
    option_values inputs;
} settings;

static bool parse(settings *s, options_result *r, arena *a, bool stop, int argc, char **argv)
{
    const option_row rows[] = {
        {"--verbose", "-v", OPTION_FLAG, &s->verbose, NULL, "says more", 0, 0},
        {"--output", "-o", OPTION_STRING, &s->output, "FILE", "where", 0, 0},
        {"--stats", NULL, OPTION_OPTIONAL, &s->stats, "json", "counts", 0, 0},
        {"--level", "-O", OPTION_INTEGER, &s->level, "N", "how much", 0, 3},
        {"--rate", NULL, OPTION_NUMBER, &s->rate, "X", "how fast", 0, 0},
        {"--input", NULL, OPTION_LIST, &s->inputs, "NAME=VALUE", "what", 0, 0},
        {"-f", NULL, OPTION_FOREIGN, NULL, NULL, "--output does it", 0, 0},
        {0},
    };
    *s = (settings){0};
    return options_parse("tool", rows, argc, argv, stop, a, r);
}
#define WORDS(...) ((char *[]){"tool", __VA_ARGS__, NULL})
#define COUNT(...) ((int)(sizeof(WORDS(__VA_ARGS__)) / sizeof(char *)) - 1)
#define PARSE(stop, ...) parse(&s, &r, a, stop, COUNT(__VA_ARGS__), WORDS(__VA_ARGS__))

static void options_are_parsed(void **state)
{
    (void)state;
    settings s;
    options_result r;
    arena *a = arena_create();
    assert_true(PARSE(false, "in", "-v", "-o", "x", "--stats", "-O2", "--rate=0.5", "--input",
                      "a=1", "--input=b=2", "--", "-z"));
    assert_true(s.verbose && s.level == 2 && s.rate == 0.5);
    assert_string_equal(s.output, "x");
    assert_string_equal(s.stats, "");
    assert_int_equal(s.inputs.count, 2);
    assert_string_equal(s.inputs.items[1], "b=2");
    assert_int_equal(r.positional.count, 2);
    assert_string_equal(r.positional.items[1], "-z");
    assert_true(PARSE(false, "--stats=json", "-oy", "-"));
    assert_string_equal(s.stats, "json");
    assert_string_equal(s.output, "y");
    assert_string_equal(r.positional.items[0], "-");
    assert_true(PARSE(true, "-v", "guest.elf", "--unknown"));
    assert_int_equal(r.first_unparsed, 3);
    arena_destroy(a);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    settings s;
    options_result r;
    arena *a = arena_create();
    assert_false(PARSE(false, "--outptu", "x"));
    assert_false(PARSE(false, "--output"));
    assert_false(PARSE(false, "--verbose=1"));
    assert_false(PARSE(false, "--level=4"));
    assert_false(PARSE(false, "--level=x"));
    assert_false(PARSE(false, "--rate", "fast"));
    assert_false(PARSE(false, "-x"));
    assert_false(PARSE(false, "-f"));
    assert_false(PARSE(false, "-f=1"));
    arena_destroy(a);
}

// ------------------------------------------------------------------ files

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int entries_like(const char *prefix)
{
    text command = {0};
    text_printf(&command, "exit $(ls | grep -c '^%s')", prefix);
    int status = system(text_string(&command));
    text_free(&command);
    return WEXITSTATUS(status);
}

static void outputs_appear_whole_or_not(void **state)
{
    (void)state;
    diagnostics *d = diagnostics_create(stderr);
    mapped_file m;
    remove("basics.out");
    output_file *f = output_open(d, "basics.out");
    fputs("content", output_stream(f));
    assert_false(exists("basics.out"));
    output_make_executable(f);
    assert_true(output_commit(d, f));
    assert_true(file_map(d, "basics.out", &m));
    assert_memory_equal(m.data, "content", 7);
    file_unmap(&m);
    assert_int_equal(access("basics.out", X_OK), 0);
    f = output_open(d, "basics.out");
    fputs("other", output_stream(f));
    output_abandon(f);
    output_abandon(NULL);
    assert_int_equal(entries_like("basics.out"), 1); // the old one, no temporary
    remove("basics.out");
    assert_int_equal(diagnostics_errors(d), 0);
    diagnostics_destroy(d);
}

static void exit_and_signals_leave_nothing(void **state)
{
    (void)state;
    for (int with_signal = 0; with_signal < 2; with_signal++) {
        pid_t child = fork();
        if (child == 0) {
            static diagnostics *d; // reachable until the end: no leak
            d = diagnostics_create(stderr);
            output_open(d, "basics.left");
            if (with_signal)
                raise(SIGTERM);
            exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(with_signal ? WIFSIGNALED(status) : WIFEXITED(status));
        assert_int_equal(entries_like("basics.left"), 0);
    }
}

static void unreadable_files_are_reported(void **state)
{
    (void)state;
    FILE *stream = fopen("/dev/null", "w");
    diagnostics *d = diagnostics_create(stream);
    mapped_file m;
    assert_false(file_map(d, "no/such/file", &m));
    assert_false(file_map(d, ".", &m));
    assert_null(output_open(d, "no/such/folder/file"));
    assert_null(output_open(d, "."));
    assert_int_equal(diagnostics_errors(d), 4);
    assert_true(file_map(d, "/dev/null", &m) && m.size == 0 && !m.data);
    file_unmap(&m);
    output_file *f = output_open(d, "/dev/null"); // a device is written, not replaced
    fputs("x", output_stream(f));
    assert_true(output_commit(d, f));
    struct stat status;
    assert_true(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));
    f = output_open(d, "/dev/full");
    fputs("x", output_stream(f));
    assert_false(output_commit(d, f));
    diagnostics_destroy(d);
    fclose(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_zero_and_aligned),
        cmocka_unit_test(arena_restore_releases_to_the_mark),
        cmocka_unit_test(interned_strings_are_pointers),
        cmocka_unit_test(hashes_are_fnv),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(doubles_read_back),
        cmocka_unit_test(quoting_escapes),
        cmocka_unit_test(numbers_need_the_whole_string),
        cmocka_unit_test(typing_mistakes_are_found),
        cmocka_unit_test(messages_show_line_and_caret),
        cmocka_unit_test(places_outside_the_text_are_harmless),
        cmocka_unit_test(output_stays_bounded),
        cmocka_unit_test(clear_drops_what_was_not_flushed),
        cmocka_unit_test(options_are_parsed),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(outputs_appear_whole_or_not),
        cmocka_unit_test(exit_and_signals_leave_nothing),
        cmocka_unit_test(unreadable_files_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
