// link: lutra_isa lutra_support
// The area model against published figures it was not made from, within what they leave open.
#include "tests/unit/unit.h"

#include "isa/area.h"
#include "tests/unit/diagnostics_fixture.h"

#include <math.h>
#include <string.h>

static const area_unit best = {2, 64, 4};

static machine load(const char *name)
{
    machine m;
    assert_true(machine_load(a, d, name, &m));
    return m;
}

static bool within(double value, double expected, double tolerance)
{
    return fabs(value / expected - 1) <= tolerance;
}

static void test_every_constant_has_a_source(void **state)
{
    (void)state;
    unsigned n = 0;
    for (const area_constant *c = area_constants; c->name; c++, n++) {
        assert_true(c->value > 0);
        assert_true(strlen(c->source) > 5);
    }
    assert_true(n > 15);
}

// Table 2 of LUT Tensor Core. Cells are counted without wires, clocks and timing: a sixth is what
// synthesis of such a circuit may differ by.
static void test_counted_arrays_are_near_those_synthesized(void **state)
{
    (void)state;
    static const struct {
        unsigned lacking;
        double area;
    } rows[] = {{AREA_FULL_TABLES | AREA_INDEX_NEGATION | AREA_OWN_TABLES, 17271.71},
                {AREA_INDEX_NEGATION | AREA_OWN_TABLES, 13116.60},
                {AREA_OWN_TABLES, 12780.05},
                {0, 11991.29}};
    double before = INFINITY;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double counted = area_array_counted(best, rows[i].lacking);
        assert_true(within(counted, rows[i].area, 1 / 6.0));
        assert_true(counted < before);
        before = counted;
    }
    assert_true(within(area_array(best), 11991.29, 1e-12));
}

// Power goes with area in all four rows of Table 2, which the model supposes: within 1.5 %.
static void test_power_goes_with_area(void **state)
{
    (void)state;
    static const double rows[][2] = {
        {17271.71, 23.39}, {13116.60, 17.98}, {12780.05, 17.37}, {11991.29, 16.22}};
    double watts = area_array_energy(best) * 1.41e9 / area_array(best);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(within(rows[i][1] * 1e-3 / rows[i][0], watts, 0.015));
}

// A unit of 1-bit weights and 16-bit activations does 61.55 TFLOPs/mm2: here two passes of 8 bits.
static void test_density_of_16_bits(void **state)
{
    (void)state;
    double weights = 2 * 64 * 4 / (area_array(best) * 1e-6) / 2;
    assert_true(within(2 * weights * 1.41e9, 61.55e12, 0.03));
}

// Table 1 has the areas of the arrays of a multiprocessor, four harts; its own rounding is 0.3 %.
static void test_arrays_of_multiprocessors_are_those_published(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double mm2;
    } rows[] = {{"a100-lut4x", 0.187}, {"a100-lut8x", 0.373}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        machine m = load(rows[i].name);
        double array = 4 * area_of_machine(&m).parts[AREA_ARRAY] * 1e-6;
        assert_true(within(array, rows[i].mm2, 0.03));
    }
}

static void test_energies_are_those_of_the_machine_files(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    assert_true(within(area_array_energy(best) / 128, m.energy_lookup, 1e-3));
    // 0.6 of docs/timing.md is 28 / 45 = 0.622.
    assert_true(within(area_group_energy(4), m.energy_group, 0.04));
    double group = m.energy_group;
    area_change_unit(&m, best);
    assert_true(m.energy_group == group);
    assert_true(within(m.energy_lookup, 89.9e-15, 1e-12));
}

// By hand, in um2.
static void test_parts_are_sums_of_operators(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    machine_area x = area_of_machine(&m);
    assert_true(within(x.parts[AREA_BUILDER], 4 * 0.38716 * (12 * 4184 + 8 * 7700), 1e-9));
    assert_true(within(x.parts[AREA_DEQUANTIZER], 32 * 0.38716 * (2 * 7700 + 4184), 1e-9));
    assert_true(within(x.parts[AREA_TILES], 32 * 512 * 8 * 0.127 * 2, 1e-9));
    assert_true(within(x.parts[AREA_SCRATCH], 262144 * 8 * 0.127 * 2, 1e-9));
    assert_true(within(x.parts[AREA_VECTOR], 8 * 0.38716 * (7700 + 4184), 1e-9));
    double sum = 0;
    for (unsigned i = 0; i < AREA_PART_COUNT; i++)
        sum += x.parts[i];
    assert_true(within(x.total, sum, 1e-12));
    machine gpu = load("a100-lut4x");
    machine_area y = area_of_machine(&gpu);
    assert_true(within(y.total, gpu.harts * y.hart + y.l2, 1e-12));
    assert_true(y.l2 > 0);
}

static void test_additions_of_tables(void **state)
{
    (void)state;
    static const unsigned sums[] = {0, 0, 2, 6, 12, 24, 44};
    for (unsigned k = 1; k <= 6; k++)
        assert_int_equal(area_table_additions(k), sums[k]);
}

static void test_larger_tiles_take_more_energy(void **state)
{
    (void)state;
    machine m = load("m2n64k4");
    double before = m.energy_tile;
    area_change_tile(&m, 4, 128);
    assert_true(within(m.energy_tile, before * pow(4, 0.46), 1e-9));
    assert_int_equal(machine_tile_bytes(&m), 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_constant_has_a_source),
        cmocka_unit_test(test_counted_arrays_are_near_those_synthesized),
        cmocka_unit_test(test_power_goes_with_area),
        cmocka_unit_test(test_density_of_16_bits),
        cmocka_unit_test_setup_teardown(test_arrays_of_multiprocessors_are_those_published, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_energies_are_those_of_the_machine_files, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_parts_are_sums_of_operators, setup, teardown),
        cmocka_unit_test(test_additions_of_tables),
        cmocka_unit_test_setup_teardown(test_larger_tiles_take_more_energy, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
