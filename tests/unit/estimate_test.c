// link: lutra_estimate lutra_quant lutra_ir lutra_isa lutra_support
// The estimator on small modules at tile level, whose work can be counted by hand, and the peaks of
// the machines that stand in papers.
#include "tests/unit/unit.h"

#include "compiler/estimate/estimate.h"
#include "tests/unit/diagnostics_fixture.h"

#include <math.h>
#include <string.h>

static machine load(const char *name)
{
    machine m;
    assert_true(machine_load(a, d, name, &m));
    return m;
}

static bool run(const machine *m, const char *content, int64_t rows, estimate *out)
{
    ir_module *module = ir_parse(a, d, diagnostics_source(d, "test.lir", content, strlen(content)));
    assert_non_null(module);
    estimate_options o = {.machine = m};
    if (rows)
        ARRAY_PUSH(a, &o.dims, (estimate_dim){"T", rows});
    return estimate_module(a, d, module, &o, out);
}

static double cycles(const char *machine_name, const char *content, int64_t rows)
{
    machine m = load(machine_name);
    estimate e;
    assert_true(run(&m, content, rows, &e));
    return e.total.cycles;
}

// A column of 100 depth tiles of 2 planes for every two rows, what is left with `rows = one`.
static const char product[] =
    "module \"m\" {machine = m2n64k4}\n"
    "dim T in 1..64\n"
    "weight @w : w2[64, 6400] = \"w\" at 0x100001000 size 102400\n"
    "func @k(%w: buffer<u8>[102400], %t: buffer<u8>[?, 25600], %y: buffer<f32>[?, 64], %n: index) "
    "-> () {\n"
    "  %c0 = constant 0 : index\n"
    "  %c1 = constant 1 : index\n"
    "  %c2 = constant 2 : index\n"
    "  %c100 = constant 100 : index\n"
    "  %c1024 = constant 1024 : index\n"
    "  %c512 = constant 512 : index\n"
    "  %c256 = constant 256 : index\n"
    "  %tiles = div %n, %c2 : index\n"
    "  for %i = %c0 to %tiles step %c1 {\n"
    "    %z = xlut.zero {register = 0} : tile<i32>\n"
    "    %s = for %k = %c0 to %c100 step %c1 carry (%a = %z : tile<i32>) {\n"
    "      %at = mul %k, %c1024 : index\n"
    "      %next = add %at, %c512 : index\n"
    "      %p0 = view %w, %at : buffer<u8>[512]\n"
    "      %l0 = xlut.ld %p0 {register = 2} : tile<plane>\n"
    "      %p1 = view %w, %next : buffer<u8>[512]\n"
    "      %l1 = xlut.ld %p1 {register = 3} : tile<plane>\n"
    "      %to = mul %k, %c256 : index\n"
    "      %pt = view %t, %i, %to : buffer<u8>[256]\n"
    "      %tt = xlut.ld %pt {half = true, register = 4} : tile<table>\n"
    "      %b = xlut.mma %tt, accumulator = %a, %l0, %l1 {entry = i8, register = 0} : tile<i32>\n"
    "      yield %b\n"
    "    } : tile<i32>\n"
    "    %r = mul %i, %c2 : index\n"
    "    %to = view %y, %r, %c0 : buffer<f32>[64]\n"
    "    xlut.sta %s, %to, stride = %c256 {type = i32}\n"
    "    yield\n"
    "  }\n"
    "  return\n"
    "}\n"
    "entry func @main(%x: buffer<u8>[T, 25600], %y: buffer<f32>[T, 64]) -> () {\n"
    "  %c0 = constant 0 : index\n"
    "  %n = dim T : index\n"
    "  %w = address @w : buffer<u8>[102400]\n"
    "  %t = view %x, %c0, %c0 : buffer<u8>[?, 25600]\n"
    "  %o = view %y, %c0, %c0 : buffer<f32>[?, 64]\n"
    "  call @k(%w, %t, %o, %n)\n"
    "  call @k(%w, %t, %o, %n)\n"
    "  return\n"
    "}\n";

static void test_work_is_counted_exactly(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    estimate e;
    assert_true(run(&m, product, 7, &e)); // three tiles of two rows, in each of two calls
    const estimate_work *w = &e.total;
    assert_int_equal(e.kernels.count, 2); // the entry is the second
    assert_int_equal(e.kernels.items[0].calls, 2);
    assert_int_equal(e.kernels.items[0].class, ESTIMATE_LINEAR);
    assert_int_equal(llround(w->classes[ISA_CLASS_LUT_MMA]), 600);
    assert_int_equal(llround(w->classes[ISA_CLASS_TILE_LOAD]), 1800);
    assert_int_equal(llround(w->classes[ISA_CLASS_TILE_STORE]), 6);
    assert_int_equal(llround(w->lookups), 600 * 2 * 16 * 2 * 64);
    assert_int_equal(llround(w->busy[ISA_UNIT_LUT]), 600 * 32);
    // Weights and tables fit in scratch: they are read once, but for a few that met in a full set.
    assert_true(w->weights >= 102400 && w->weights < 1.05 * 102400);
    assert_true(w->memory_read < 1.05 * (102400 + 3 * 25600 + 4096));
}

static void test_time_grows_with_rows_and_shrinks_with_bandwidth(void **state)
{
    (void)state;
    double two = cycles("m2n64k4", product, 2), eight = cycles("m2n64k4", product, 8);
    const char *large = "m2n64k4,scratch.size=1MB"; // where all of it stays
    assert_true(eight > two);
    assert_true(cycles(large, product, 8) < 4 * cycles(large, product, 2));
    assert_true(cycles(large, product, 8) < eight);
    assert_true(cycles("m2n64k4,memory.bandwidth=102.4GB/s", product, 8) < eight);
    assert_true(cycles("m2n64k4,memory.bandwidth=2GB/s", product, 8) > 2 * eight);
    // 204,800 bytes of weights and tables at 1 GB/s, which waits at times: nothing is prefetched.
    double slow = cycles("m2n64k4,memory.bandwidth=1GB/s,scratch.size=1MB", product, 8);
    assert_true(slow > 204800 * 1.41 && slow < 1.35 * 204800 * 1.41);
}

// Rounds of a loop that is shared, 64 of them.
static const char shared[] =
    "module \"m\" {machine = m2n64k4}\n"
    "func @k(%x: buffer<f32>[64, 4096], %y: buffer<f32>[64, 4096]) -> () {\n"
    "  %c0 = constant 0 : index\n"
    "  %c1 = constant 1 : index\n"
    "  %c64 = constant 64 : index\n"
    "  %n = constant 4096 : index\n"
    "  for %i = %c0 to %c64 step %c1 {share = parts} {\n"
    "    strip %j, %lanes in %n {\n"
    "      %v = vload %x, %i, %j : vec<f32>\n"
    "      %e = exp %v : vec<f32>\n"
    "      vstore %e, %y, %i, %j\n"
    "      yield\n"
    "    }\n"
    "    yield\n"
    "  }\n"
    "  return\n"
    "}\n"
    "entry func @main(%x: buffer<f32>[64, 4096], %y: buffer<f32>[64, 4096]) -> () {\n"
    "  call @k(%x, %y)\n"
    "  return\n"
    "}\n";

static void test_harts_share_rounds_and_bandwidth(void **state)
{
    (void)state;
    machine one = load("m2n64k4"), many = load("m2n64k4,harts=24,memory.bandwidth=25.6TB/s"),
            narrow = load("m2n64k4,harts=64");
    estimate x, y, z;
    assert_true(run(&one, shared, 0, &x));
    assert_true(run(&many, shared, 0, &y));
    assert_true(run(&narrow, shared, 0, &z));
    // 64 rounds on 24 harts: three each on those that have most, for which 22 are enough.
    double factor = x.total.busy[ISA_UNIT_VECTOR] / y.total.busy[ISA_UNIT_VECTOR];
    assert_true(fabs(factor - 64 / 3.0) < 0.1);
    assert_int_equal(y.kernels.items[0].harts, 22);
    // The work is the same.
    assert_true(fabs(x.total.classes[ISA_CLASS_VECTOR_FLOAT] -
                     y.total.classes[ISA_CLASS_VECTOR_FLOAT]) < 1);
    // All harts wait for one memory: 1 MiB to be read at least.
    assert_true(z.total.cycles >= 64 * 4096 * 4 / 25.6e9 * 1.41e9);
}

static void test_mistakes_are_reported(void **state)
{
    (void)state;
    machine m = load("m2n64k4"), other = load("a100-fp16");
    estimate e;
    assert_false(run(&m, product, 0, &e));
    assert_non_null(strstr(messages(), "the size of 'T' is not given"));
    assert_false(run(&m, product, 65, &e));
    assert_non_null(strstr(messages(), "'T' is 1..64 in this program, found 65"));
    assert_false(run(&other, product, 8, &e));
    assert_non_null(strstr(messages(), "the machine lacks the unit"));
}

// `depth` loops inside one another, each to where the one around stands: rounds all differ.
static ir_module *staircase(unsigned depth)
{
    text t = {0};
    text_printf(&t, "module \"m\" {machine = m2n64k4}\n"
                    "func @k(%%y: buffer<f32>[64]) -> () {\n"
                    "  %%c0 = constant 0 : index\n"
                    "  %%c1 = constant 1 : index\n"
                    "  %%i0 = constant 1000000000000 : index\n");
    for (unsigned i = 0; i < depth; i++)
        text_printf(&t, "for %%i%u = %%c0 to %%i%u step %%c1 {\n", i + 1, i);
    text_printf(&t, "%%v = load %%y, %%c0 : f32\n");
    for (unsigned i = 0; i < depth; i++)
        text_printf(&t, "yield\n}\n");
    text_printf(&t, "  return\n}\n"
                    "entry func @main(%%y: buffer<f32>[64]) -> () {\n"
                    "  call @k(%%y)\n"
                    "  return\n}\n");
    ir_module *module = ir_parse(a, d, diagnostics_source(d, "t.lir", text_string(&t), t.length));
    assert_non_null(module);
    text_free(&t);
    return module;
}

// As deep as the parser takes loops, whatever they count to.
static void test_walks_end(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    estimate e;
    estimate_options o = {.machine = &m, .most_steps = 10000};
    assert_true(estimate_module(a, d, staircase(2), &o, &e));
    assert_true(e.total.cycles > 1e20);
    assert_false(estimate_module(a, d, staircase(63), &o, &e));
    assert_non_null(
        strstr(messages(), "the loops inside one another have too many different rounds ('for'"));
}

// -------------------------------------------------------------------------- machines

// Operations a second: a lookup in tables of four stands for four multiply-accumulates of a plane.
static double lookup_peak(const machine *m, unsigned bits)
{
    double lookups = (double)m->units * m->unit_m * m->unit_n;
    return 2 * m->harts * m->clock * lookups * m->unit_k / bits;
}

static double matrix_peak(const machine *m, uint32_t rate)
{
    return 2 * (double)m->harts * m->clock * rate;
}

static void test_peaks_are_those_published(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        char unit; // f16, i8, l: two-bit weights by lookup
        double tops;
    } rows[] = {
        {"a100-fp16", 'f', 312},      {"a100-int8", 'i', 624},      {"a100-lut4x", 'l', 1248},
        {"a100-lut8x", 'l', 2496},    {"a100-lut4x-2r", 'l', 1248}, {"a100-lut8x-2r", 'l', 2496},
        {"h100-fp8", 'i', 1525},      {"h100-lut4x", 'l', 1525},    {"h100-lut8x", 'l', 3049},
        {"h100-lut4x-2r", 'l', 1525}, {"h100-lut8x-2r", 'l', 3049}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        machine m = load(rows[i].name);
        double peak = rows[i].unit == 'l'   ? lookup_peak(&m, 2)
                      : rows[i].unit == 'f' ? matrix_peak(&m, m.matrix_f16)
                                            : matrix_peak(&m, m.matrix_i8);
        assert_true(fabs(peak / (rows[i].tops * 1e12) - 1) < 0.002);
    }
    machine unpu = load("unpu");
    assert_true(fabs(lookup_peak(&unpu, 1) / 7372e9 - 1) < 0.002);
}

// Every figure of the machines of papers says where it comes from.
static void test_figures_have_sources(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a100-fp16", "a100-int8",  "a100-lut4x", "a100-lut4x-2r", "a100-lut8x",   "a100-lut8x-2r",
        "h100-fp8",  "h100-lut4x", "h100-lut8x", "h100-lut4x-2r", "h100-lut8x-2r"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        machine m = load(names[i]);
        text t = {0};
        machine_print(&t, &m);
        unsigned values = 0, sources = 0;
        for (unsigned k = 0; k < MACHINE_SETTINGS; k++)
            sources += m.sources[k] != NULL;
        for (const char *p = text_string(&t); *p; p++)
            values += !strncmp(p, " = ", 3);
        assert_int_equal(values, sources);
        assert_true(values > 30);
        text_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_work_is_counted_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_grows_with_rows_and_shrinks_with_bandwidth, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_harts_share_rounds_and_bandwidth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes_are_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walks_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peaks_are_those_published, setup, teardown),
        cmocka_unit_test_setup_teardown(test_figures_have_sources, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
