// link: lutra_isa lutra_support
// Machine descriptions: what is read, what is refused and how.
#include "tests/unit/unit.h"

#include "isa/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORE                                                                                       \
    "harts = 1;\n"                                                                                 \
    "issue { width = 1; mispredict = 3; }\n"                                                       \
    "scalar { load = 3; multiply = 3; divide = 20; float = 4; float_divide = 16; }\n"              \
    "vector { bits = 256; latency = 4; divide = 8; permute = 2; reduce = 8; }\n"
#define SCRATCH "scratch { size = 1 MB; ways = 8; bytes = 32; }\n"
#define MEMORY "memory { bandwidth = 1 GB/s; latency = 1 ns; outstanding = 8; }\n"
#define REST "clock = 1 GHz;\n" CORE SCRATCH MEMORY
#define UNIT                                                                                       \
    "unit { m = 2; n = 64; k = 4; count = 1; wide = 2; latency = 4; }\n"                           \
    "table { groups = 4; latency = 8; }\ndequantize { lanes = 64; latency = 6; }\n"
#define TILES "tiles { load = 64; store = 64; latency = 4; }\n"
#define TILE "tile { m = 2; n = 64; }\n" TILES

typedef struct outcome {
    arena *arena;
    machine machine;
    char *messages;
    bool read;
} outcome;

static outcome parse(const char *body)
{
    outcome o = {.arena = arena_create()};
    size_t size = 0;
    FILE *stream = open_memstream(&o.messages, &size);
    diagnostics *d = diagnostics_create(stream);
    o.read = machine_parse(o.arena, d, diagnostics_source(d, "x.machine", body, strlen(body)),
                           &o.machine);
    assert_int_equal(o.read, diagnostics_errors(d) == 0);
    diagnostics_destroy(d);
    fclose(stream);
    return o;
}

static void release(outcome o)
{
    free(o.messages);
    arena_destroy(o.arena);
}

static void test_builtin_machines(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{2, 64}, {1, 64}, {2, 128}, {4, 128}, {4, 256}};
    for (size_t i = 0; machine_builtin_names[i]; i++) {
        arena *a = arena_create();
        diagnostics *d = diagnostics_create(stderr);
        machine m;
        assert_true(machine_load(a, d, machine_builtin_names[i], &m));
        assert_string_equal(m.name, machine_builtin_names[i]);
        if (i < sizeof shapes / sizeof *shapes) {
            assert_int_equal(m.tile_m, shapes[i][0]);
            assert_int_equal(m.tile_n, shapes[i][1]);
        }
        diagnostics_destroy(d);
        arena_destroy(a);
    }
}

static void test_values_have_units(void **state)
{
    (void)state;
    outcome o = parse("machine m { vlen = 128; " TILE UNIT "clock = 1.41 GHz; " CORE SCRATCH
                      "memory { bandwidth = 25.6 GB/s; latency = 0.1 us; outstanding = 8; } "
                      "energy { instruction = 20 pJ; scalar = 1 pJ; vector = 0.5 pJ; "
                      "vector_float = 1 pJ; lookup = 50 fJ; lookup_wide = 0.1 pJ; group = 1 pJ; "
                      "dequantize = 2 pJ; matrix_i8 = 0.2 pJ; matrix_f16 = 1 pJ; tile = 0.1 pJ; "
                      "scratch = 1 pJ; l2 = 0 pJ; memory = 10 pJ; static = 250 mW; } }");
    assert_true(o.read);
    assert_true(o.machine.clock == 1.41e9);
    assert_true(o.machine.memory_bandwidth == 25.6e9);
    assert_true(o.machine.memory_latency == 0.1 * 1e-6);
    assert_int_equal(o.machine.scratch_size, 1 << 20);
    assert_true(o.machine.energy_lookup == 50 * 1e-15 && o.machine.energy_static == 250 * 1e-3);
    assert_int_equal(machine_tile_bytes(&o.machine), 512);
    release(o);
}

static void test_printing_parses_back(void **state)
{
    (void)state;
    for (size_t i = 0; machine_builtin_names[i]; i++) {
        arena *a = arena_create();
        diagnostics *d = diagnostics_create(stderr);
        machine m;
        text t = {0}, again = {0};
        assert_true(machine_load(a, d, machine_builtin_names[i], &m));
        m.clock = 1234567891.25, m.memory_latency = 1.0 / 3e7, m.scratch_size = 12345;
        machine_print(&t, &m);
        outcome o = parse(text_string(&t));
        assert_true(o.read);
        machine_print(&again, &o.machine);
        assert_string_equal(text_string(&t), text_string(&again));
        assert_true(o.machine.clock == m.clock && o.machine.memory_latency == m.memory_latency);
        assert_int_equal(machine_hash(&o.machine), machine_hash(&m));
        release(o);
        text_free(&t);
        text_free(&again);
        diagnostics_destroy(d);
        arena_destroy(a);
    }
}

static void test_hash_is_of_the_architecture(void **state)
{
    (void)state;
    machine m = {.vlen = 256, .tile_m = 2, .tile_n = 64, .clock = 1e9}, other = m;
    other.clock = 2e9, other.units = 8, other.name = "other";
    assert_int_equal(machine_hash(&m), machine_hash(&other));
    other.vlen = 512;
    assert_int_not_equal(machine_hash(&m), machine_hash(&other));
    other = m, other.tile_m = 4;
    assert_int_not_equal(machine_hash(&m), machine_hash(&other));
}

static void test_a_machine_without_lut_unit(void **state)
{
    (void)state;
    outcome o = parse("machine plain { vlen = 256;\n" REST "}");
    assert_true(o.read);
    assert_int_equal(o.machine.tile_m, 0);
    text t = {0};
    machine_print(&t, &o.machine);
    assert_null(strstr(text_string(&t), "tile"));
    text_free(&t);
    release(o);
}

static void test_a_machine_like_another(void **state)
{
    (void)state;
    outcome o = parse("machine twice like m2n64k4 { unit { count = 2 from \"a guess\"; } }");
    assert_true(o.read);
    assert_string_equal(o.machine.name, "twice");
    assert_int_equal(o.machine.units, 2);
    assert_int_equal(o.machine.unit_n, 64);
    text t = {0};
    machine_print(&t, &o.machine);
    assert_non_null(strstr(text_string(&t), "count = 2 from \"a guess\";"));
    assert_non_null(strstr(text_string(&t), "one channel of DDR4"));
    text_free(&t);
    release(o);
    o = parse("machine twice like m2n64 { }");
    assert_false(o.read);
    assert_non_null(strstr(o.messages, "no machine 'm2n64' that this one can be like"));
    release(o);
}

// One row per mistake: the text inside the braces, and what the messages contain.
static void test_mistakes_are_explained(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"vlen = 256; vlne = 3; " REST,
         "x.machine:1:25: error: unknown setting 'vlne'; did you mean 'vlen'?"},
        {"vlen = 256; tlie { m = 2; }" REST, "unknown group 'tlie'; did you mean 'tile'?"},
        {"vlen = 256; vlen = 256;" REST, "'vlen' is set twice"},
        {REST, "machine 'm' lacks 'vlen'"},
        {"vlen = 256; " TILE "unit { m = 2; } " REST, "machine 'm' lacks 'unit.k'"},
        {"vlen = 300; " REST, "vlen is a power of two from 128 to 1024, found 300"},
        {"vlen = 2048; " REST, "'vlen' is a whole number from 128 to 1024, found 2048"},
        {"vlen = -1; " REST, "'vlen' is a whole number from 128 to 1024, found -1"},
        {"vlen = 128.5; " REST, "'vlen' is a whole number from 128 to 1024, found 128.5"},
        {"vlen = 256 KB; " REST, "'vlen' is a number without a unit, found 'KB'"},
        {"vlen = 256; tile { m = 1; n = 128; } " TILES UNIT REST, "found m1 n128"},
        {"vlen = 256; unit { k = 8; } " REST, "'k' is a whole number from 4 to 4, found 8"},
        {"vlen = 256; clock = 1.41 ns; scratch = 1 KB;",
         "'clock' is a frequency in Hz, kHz, MHz or GHz, found 'ns'"},
        {"vlen = 256; clock = 1.41; scratch = 1 KB;",
         "'clock' is a frequency in Hz, kHz, MHz or GHz, found no unit"},
        {"vlen = 256; clock = 1e400 GHz;", "'clock' is 1 kHz to 1000 GHz, found 1e400"},
        {"vlen = 256 clock = 1 GHz;", "expected 'from' or ';', found '='"},
        {"vlen 256;", "expected 'from', '{' or '=', found a number"},
        {"vlen = ;", "expected a number, found ';'"},
        {"vlen = 256; @ " REST, "'@' has no meaning in a machine description"},
        {"vlen = 256; \xff " REST, "byte 0xff has no meaning in a machine description"},
        {"vlen = 256; tile { tile { } }", "expected '=', found '{'"},
        {"vlen = 256; " UNIT REST, "lacks 'tile': a LUT unit works on tile registers"},
        {"vlen = 256 from paper;", "expected a string, found a name"},
        {"vlen = 256; l2 { ways = 4; } " REST, "machine 'm' lacks 'l2.size'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[2048];
        snprintf(body, sizeof body, "machine m { %s}", rows[i][0]);
        outcome o = parse(body);
        if (o.read)
            fail_msg("'%s' is read", body);
        if (!strstr(o.messages, rows[i][1]))
            fail_msg("'%s' gives\n%swithout '%s'", body, o.messages, rows[i][1]);
        release(o);
    }
}

static void test_whole_files_are_checked(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "expected 'machine', found the end of the file"},
        {"machine", "expected a name, found the end of the file"},
        {"machine m {", "found the end of the file"},
        {"machine m { vlen = 256;\n" REST "} machine n { }", "a second machine"},
        {"machine m { vlen = 256;\n" REST "} }", "found '}'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        outcome o = parse(rows[i][0]);
        assert_false(o.read);
        if (!strstr(o.messages, rows[i][1]))
            fail_msg("'%s' gives\n%swithout '%s'", rows[i][0], o.messages, rows[i][1]);
        release(o);
    }
}

static void test_several_mistakes_are_reported_together(void **state)
{
    (void)state;
    outcome o =
        parse("machine m {\n vlne = 1;\n clock = 3 ns;\n tile { m = ; n = 64 }\n x = 1;\n}");
    assert_false(o.read);
    assert_non_null(strstr(o.messages, "x.machine:2:"));
    assert_non_null(strstr(o.messages, "x.machine:3:"));
    assert_non_null(strstr(o.messages, "x.machine:4:"));
    release(o);
}

static void test_settings_behind_the_name(void **state)
{
    (void)state;
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    machine m, plain;
    assert_true(machine_load(a, d, "m2n64k4", &plain));
    assert_true(
        machine_load(a, d, "m2n64k4,unit.count=8,memory.bandwidth=51.2GB/s,clock=2 GHz", &m));
    assert_string_equal(m.name, "m2n64k4");
    assert_int_equal(m.units, 8);
    assert_true(m.memory_bandwidth == 51.2e9);
    assert_true(m.clock == 2e9);
    assert_true(m.memory_latency == plain.memory_latency);
    assert_int_equal(machine_hash(&m), machine_hash(&plain));
    assert_true(
        machine_load(a, d, "m2n64k4,l2.size=1MB,l2.ways=8,l2.bandwidth=1TB/s,l2.latency=5ns", &m));
    assert_true(m.parts & MACHINE_L2);
    assert_int_equal(m.l2_size, 1 << 20);
    diagnostics_destroy(d);
    arena_destroy(a);
}

static void test_unknown_machines_and_files(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"m2n64k5", "did you mean 'm2n64k4'?"},
                                          {"./no/such.machine", "./no/such.machine: error:"},
                                          {"/", "/"},
                                          {"m2n64k5,clock=1GHz", "did you mean 'm2n64k4'?"},
                                          {"m2n64k4,", "expected a setting and its value"},
                                          {"m2n64k4,clock", "expected a setting and its value"},
                                          {"m2n64k4,clock=", "expected a setting and its value"},
                                          {"m2n64k4,unit.cuont=2", "did you mean 'count'?"},
                                          {"m2n64k4,uint.count=2", "did you mean 'unit'?"},
                                          {"m2n64k4,clock=2", "found no unit"},
                                          {"m2n64k4,clock=2GHz,clock=3GHz", "set twice"},
                                          {"m2n64k4,unit.count=0", "'count' is a whole number"},
                                          {"m2n64k4,l2.ways=4", "lacks 'l2.size'"},
                                          {"m2n64k4,tile.n=65", "found m2 n65"},
                                          {"m2n64k4,clock=1GHz; }", "expected"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        arena *a = arena_create();
        char *messages = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&messages, &size);
        diagnostics *d = diagnostics_create(stream);
        machine m;
        assert_false(machine_load(a, d, rows[i][0], &m));
        diagnostics_destroy(d);
        fclose(stream);
        assert_non_null(strstr(messages, rows[i][1]));
        free(messages);
        arena_destroy(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_machines),
        cmocka_unit_test(test_values_have_units),
        cmocka_unit_test(test_printing_parses_back),
        cmocka_unit_test(test_hash_is_of_the_architecture),
        cmocka_unit_test(test_a_machine_without_lut_unit),
        cmocka_unit_test(test_a_machine_like_another),
        cmocka_unit_test(test_mistakes_are_explained),
        cmocka_unit_test(test_whole_files_are_checked),
        cmocka_unit_test(test_several_mistakes_are_reported_together),
        cmocka_unit_test(test_settings_behind_the_name),
        cmocka_unit_test(test_unknown_machines_and_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
