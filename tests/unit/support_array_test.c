// link: lutra_support
// npy in and out, hostile headers, inputs, expectations, comparison.
#include "tests/unit/unit.h"

#include "support/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct fixture {
    arena *a;
    diagnostics *d;
    FILE *log;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.a = arena_create(), .log = tmpfile()};
    f.d = diagnostics_create(f.log);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    diagnostics_destroy(f->d);
    arena_destroy(f->a);
    fclose(f->log);
    return 0;
}

// The messages so far contain `part`; forgets them.
static void assert_said(fixture *f, const char *part)
{
    char said[4096] = {0};
    diagnostics_flush(f->d);
    rewind(f->log);
    size_t n = fread(said, 1, sizeof said - 1, f->log);
    said[n] = '\0';
    if (!strstr(said, part))
        fail_msg("expected '%s' in '%s'", part, said);
    rewind(f->log);
    if (ftruncate(fileno(f->log), 0) != 0)
        fail();
}

static array sample(arena *a, scalar_type type)
{
    array x = array_create(a, type, 3, (int64_t[]){2, 3, 4});
    random_stream r = random_seed(3);
    for (int64_t i = 0; i < 24; i++)
        array_set(&x, i, 3 * random_normal(&r));
    return x;
}

static void every_type_survives_a_file(void **state)
{
    fixture *f = *state;
    for (unsigned t = 0; t < SCALAR_COUNT; t++) {
        array x = sample(f->a, (scalar_type)t), y;
        assert_true(array_write_npy(f->d, "array_test.npy", &x));
        assert_true(array_read_npy(f->a, f->d, "array_test.npy", &y));
        if (t == SCALAR_E4M3 || t == SCALAR_E5M2) {
            assert_int_equal(y.type, SCALAR_U8);
            assert_true(array_cast_bits(&y, (scalar_type)t));
        }
        assert_int_equal(y.type, t);
        assert_true(array_same_shape(&y, 3, (int64_t[]){2, 3, 4}));
        assert_memory_equal(x.data, y.data, (size_t)array_bytes(&x));
    }
    assert_int_equal(diagnostics_errors(f->d), 0);
    remove("array_test.npy");
}

static void scalars_and_empty_arrays(void **state)
{
    fixture *f = *state;
    array x = array_create(f->a, SCALAR_F32, 0, NULL), y;
    array_set(&x, 0, 2.5);
    assert_true(array_write_npy(f->d, "array_test.npy", &x));
    assert_true(array_read_npy(f->a, f->d, "array_test.npy", &y));
    assert_true(y.rank == 0 && array_get(&y, 0) == 2.5);
    x = array_create(f->a, SCALAR_I8, 2, (int64_t[]){0, 7});
    assert_true(array_write_npy(f->d, "array_test.npy", &x));
    assert_true(array_read_npy(f->a, f->d, "array_test.npy", &y));
    assert_true(y.rank == 2 && y.shape[0] == 0 && y.shape[1] == 7);
    remove("array_test.npy");
}

// An npy file of version `major` with this dictionary and n zero bytes of data.
static size_t build(uint8_t *out, int major, const char *dictionary, size_t n)
{
    size_t length = strlen(dictionary), start = major == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)major;
    out[7] = 0;
    for (size_t i = 8; i < start; i++)
        out[i] = (uint8_t)(length >> (8 * (i - 8)));
    memcpy(out + start, dictionary, length);
    memset(out + start + length, 0, n);
    return start + length + n;
}

static void versions_and_spellings(void **state)
{
    fixture *f = *state;
    static const char *const good[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n",
        "{'shape':(2,3,),'fortran_order':False,'descr':'<f4'}",
        " { \"descr\" : \"<f4\" , 'shape' : ( 2 , 3 ) , 'fortran_order' : False } ",
    };
    uint8_t file[512];
    array x;
    for (int major = 1; major <= 3; major++) {
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            size_t n = build(file, major, good[i], 24);
            assert_true(array_parse_npy(f->a, f->d, "good", file, n, &x));
            assert_true(x.type == SCALAR_F32 && x.rank == 2 && x.shape[1] == 3);
        }
    }
}

static void hostile_headers_are_refused(void **state)
{
    fixture *f = *state;
#define BEFORE "{'descr': '<f4', 'fortran_order': False, 'shape': "
    static const struct {
        const char *dictionary, *message;
        size_t data;
    } cases[] = {
        {BEFORE "(2, 3)}", "need 24 bytes of data, the file has 23", 23},
        {BEFORE "(2, 3)}", "need 24 bytes of data, the file has 25", 25},
        {BEFORE "(4611686018427387904, 4)}", "too large", 0},
        {BEFORE "(1000000000000, 1000000000000)}", "size overflows", 0},
        {BEFORE "(999999999999999999, 9)}", "size overflows", 0},
        {BEFORE "(0, 999999999999999999)}", "need 0 bytes of data, the file has 4", 4},
        {BEFORE "(-1,)}", "expected a dimension", 0},
        {BEFORE "(1,1,1,1,1,1,1,1,1)}", "more than 8 dimensions", 4},
        {BEFORE "(2", "expected ')'", 0},
        {BEFORE "2}", "expected '('", 0},
        {BEFORE "()", "expected '}'", 0},
        {BEFORE "(), 'shape': ()}", "'shape' stands twice", 4},
        {BEFORE "(), 'color': 1}", "unknown key 'color'", 4},
        {"{'descr': '<f4', 'shape': ()}", "'fortran_order' is missing", 4},
        {"{}", "'descr' is missing", 0},
        {"", "expected '{'", 0},
        {"{'descr", "expected '''", 0},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': ()}", "big-endian arrays ('>f4')", 4},
        {"{'descr': '|O', 'fortran_order': False, 'shape': ()}", "object arrays", 4},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': ()}", "'<c8' is not supported", 8},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", "structured", 4},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", "Fortran order", 24},
        {"{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 3)}", "True or False", 24},
        {"{'descr': '<f4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "too long", 0},
        {"{'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa': 1}", "too long", 0},
    };
    uint8_t file[512];
    array x;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = build(file, 1, cases[i].dictionary, cases[i].data);
        assert_false(array_parse_npy(f->a, f->d, "bad.npy", file, n, &x));
        assert_said(f, cases[i].message);
    }
}

static void broken_starts_are_refused(void **state)
{
    fixture *f = *state;
    uint8_t file[64];
    array x;
    build(file, 1, BEFORE "()}", 0);
    assert_false(array_parse_npy(f->a, f->d, "x", file, 9, &x));
    assert_false(array_parse_npy(f->a, f->d, "x", NULL, 0, &x));
    assert_said(f, "not an npy file");
    assert_false(array_parse_npy(f->a, f->d, "x", file, 20, &x));
    assert_said(f, "the header claims 53 bytes, the file has 10");
    file[6] = 9;
    assert_false(array_parse_npy(f->a, f->d, "x", file, 63, &x));
    assert_said(f, "npy version 9.0");
    file[6] = 2;
    assert_false(array_parse_npy(f->a, f->d, "x", file, 11, &x));
    assert_said(f, "ends within its header");
    memset(file + 8, 0xff, 4);
    assert_false(array_parse_npy(f->a, f->d, "x", file, 63, &x));
    assert_said(f, "the header claims 4294967295 bytes");
}

// ------------------------------------------------------------------ inputs

static bool make(fixture *f, const char *spec, scalar_type type, array *out)
{
    input_spec s;
    return input_spec_parse(f->a, f->d, spec, &s) &&
           input_make(f->a, f->d, &s, type, 2, (int64_t[]){2, 3}, out);
}

static void inputs_are_generated(void **state)
{
    fixture *f = *state;
    array x, y;
    assert_true(make(f, "x=zeros", SCALAR_F32, &x) && array_get(&x, 5) == 0);
    assert_true(make(f, "x=ones", SCALAR_F16, &x) && array_get(&x, 5) == 1);
    assert_true(make(f, "x=iota", SCALAR_I8, &x) && array_get(&x, 5) == 5);
    assert_true(make(f, "x=-2.5", SCALAR_BF16, &x) && array_get(&x, 0) == -2.5);
    assert_true(make(f, "x=random:7", SCALAR_F32, &x) && make(f, "x=random:7", SCALAR_F32, &y));
    assert_memory_equal(x.data, y.data, 24);
    assert_true(make(f, "x=random:7:2", SCALAR_F32, &y));
    assert_true(array_get(&y, 1) == (double)(float)(2 * array_get(&x, 1)) ||
                fabs(array_get(&y, 1) / array_get(&x, 1) - 2) < 1e-6);
    assert_true(make(f, "x=random:8", SCALAR_F32, &y) && memcmp(x.data, y.data, 24) != 0);
    assert_true(make(f, "x=random", SCALAR_I1, &x));
    for (int i = 0; i < 6; i++)
        assert_true(array_get(&x, i) == 0 || array_get(&x, i) == 1);
}

static void bad_inputs_are_explained(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *spec, *message;
        scalar_type type;
    } cases[] = {
        {"x", "expected NAME=", SCALAR_F32},
        {"=zeros", "expected NAME=", SCALAR_F32},
        {"x=", "expected @FILE.npy", SCALAR_F32},
        {"x=@", "file name must follow", SCALAR_F32},
        {"x=zeroes", "expected @FILE.npy, zeros", SCALAR_F32},
        {"x=random:a", "seed must be a whole number", SCALAR_F32},
        {"x=random:1:b", "scale must be a number", SCALAR_F32},
        {"x=1.5", "1.5 is not a value of type i8", SCALAR_I8},
        {"x=@no/such.npy", "cannot open it", SCALAR_F32},
    };
    array x;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(make(f, cases[i].spec, cases[i].type, &x));
        assert_said(f, cases[i].message);
    }
}

static void files_convert_only_exactly(void **state)
{
    fixture *f = *state;
    array x = array_create(f->a, SCALAR_F32, 2, (int64_t[]){2, 3}), y;
    array_set(&x, 4, 0.5);
    assert_true(array_write_npy(f->d, "array_test.npy", &x));
    assert_true(make(f, "x=@array_test.npy", SCALAR_F16, &y) && array_get(&y, 4) == 0.5);
    assert_false(make(f, "x=@array_test.npy", SCALAR_I32, &y));
    assert_said(f, "element 4, 0.5, is not a value of type i32");
    input_spec s;
    assert_true(input_spec_parse(f->a, f->d, "x=@array_test.npy", &s));
    assert_false(input_make(f->a, f->d, &s, SCALAR_F32, 1, (int64_t[]){6}, &y));
    assert_said(f, "'x' is f32[6], but array_test.npy holds f32[2, 3]");
    remove("array_test.npy");
}

// The stream is a promise: these figures must never change.
static void random_stream_is_fixed(void **state)
{
    (void)state;
    random_stream r = random_seed(0);
    assert_true(random_bits(&r) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(random_bits(&r) == UINT64_C(0x6e789e6aa1b965f4));
    double sum = 0, square = 0, fourth = 0;
    enum { N = 200000 };
    for (int i = 0; i < N; i++) {
        double x = random_normal(&r);
        sum += x;
        square += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / N) < 0.01 && fabs(square / N - 1) < 0.01 && fabs(fourth / N - 3) < 0.1);
}

// ------------------------------------------------------------------ comparison

static array row(fixture *f, scalar_type t, int64_t n, const double *values)
{
    array x = array_create(f->a, t, 1, &n);
    for (int64_t i = 0; i < n; i++)
        array_set(&x, i, values[i]);
    return x;
}

static void differences_are_measured(void **state)
{
    fixture *f = *state;
    array want = row(f, SCALAR_F32, 4, (double[]){1, 2, -4, 0});
    array got = row(f, SCALAR_F32, 4, (double[]){1, 2.5, -4, 0.25});
    array_difference r = array_compare(&got, &want, 0, 0.3);
    assert_true(r.count == 4 && r.mismatches == 1 && r.first_mismatch == 1 && !r.identical);
    assert_true(r.max_absolute == 0.5 && isinf(r.max_relative));
    assert_true(fabs(r.nmse - (0.25 + 0.0625) / 21) < 1e-15);
    r = array_compare(&want, &want, 0, 0);
    assert_true(r.identical && r.mismatches == 0 && r.nmse == 0 && r.first_mismatch == -1);
    array zero = row(f, SCALAR_F32, 2, (double[]){0, 0}),
          off = row(f, SCALAR_F32, 2, (double[]){0, 1});
    assert_true(array_compare(&zero, &zero, 0, 0).nmse == 0);
    assert_true(isinf(array_compare(&off, &zero, 0, 0).nmse));
}

static void nan_and_infinity_compare(void **state)
{
    fixture *f = *state;
    array x = row(f, SCALAR_F32, 3, (double[]){NAN, INFINITY, -0.0});
    array y = row(f, SCALAR_F32, 3, (double[]){NAN, INFINITY, 0.0});
    array z = row(f, SCALAR_F32, 3, (double[]){1, -INFINITY, 0.0});
    array_difference same = array_compare(&x, &y, 0, 0);
    assert_true(same.mismatches == 0 && !same.identical && same.nmse == 0); // signed zeros differ
    assert_true(array_compare(&x, &x, 0, 0).identical);
    array_difference other = array_compare(&z, &x, 1, 1);
    assert_true(other.mismatches == 2 && other.first_mismatch == 0 && !(other.nmse < 1e300));
}

static bool expect(fixture *f, const char *spec, const array *got)
{
    expect_spec s;
    array_difference r;
    return expect_spec_parse(f->a, f->d, spec, &s) && expect_check(f->d, &s, got, &r);
}

static void expectations_are_checked(void **state)
{
    fixture *f = *state;
    array want = row(f, SCALAR_F32, 3, (double[]){1, 2, 3});
    array got = row(f, SCALAR_F32, 3, (double[]){1, 2, 3.003});
    assert_true(array_write_npy(f->d, "array_test.npy", &want));
    assert_true(expect(f, "y=@array_test.npy", &want));
    assert_true(expect(f, "y=@array_test.npy,exact", &want));
    assert_true(expect(f, "y=@array_test.npy,rtol=1e-2", &got));
    assert_true(expect(f, "y=@array_test.npy,nmse=1e-6", &got));
    assert_false(expect(f, "y=@array_test.npy", &got));
    assert_said(f, "'y' differs from array_test.npy: 1 of 3 elements, first at [2]: got 3.00");
    assert_false(expect(f, "y=@array_test.npy,nmse=1e-7", &got));
    assert_false(expect(f, "y=@array_test.npy,rtol=1e-2,exact", &got));
    static const char *const bad[] = {"y",
                                      "y=array_test.npy",
                                      "y=@",
                                      "y=@array_test.npy,rtol",
                                      "y=@array_test.npy,rtol=-1",
                                      "y=@array_test.npy,rtol=inf",
                                      "y=@array_test.npy,,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(expect(f, bad[i], &want));
        assert_said(f, "expectation '");
    }
    array shorter = row(f, SCALAR_F32, 2, (double[]){1, 2});
    assert_false(expect(f, "y=@array_test.npy", &shorter));
    assert_said(f, "'y' is f32[2], but array_test.npy holds f32[3]");
    remove("array_test.npy");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_type_survives_a_file), TEST(scalars_and_empty_arrays),
        TEST(versions_and_spellings),     TEST(hostile_headers_are_refused),
        TEST(broken_starts_are_refused),  TEST(inputs_are_generated),
        TEST(bad_inputs_are_explained),   TEST(files_convert_only_exactly),
        TEST(random_stream_is_fixed),     TEST(differences_are_measured),
        TEST(nan_and_infinity_compare),   TEST(expectations_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
