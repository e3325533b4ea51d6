// Areas and energies by formula.
#include "isa/area.h"

#include <math.h>

#define AREA_CONSTANT(name, value, unit, source) static const double name = value;
#include "isa/area.def"
#undef AREA_CONSTANT

const area_constant area_constants[] = {
#define AREA_CONSTANT(name, value, unit, source) {#name, value, unit, source},
#include "isa/area.def"
#undef AREA_CONSTANT
    {0}};

const char *const area_part_names[AREA_PART_COUNT] = {
#define AREA_PART(E, name) [AREA_##E] = name,
    AREA_PARTS(AREA_PART)
#undef AREA_PART
};

static const area_unit published = {2, 64, 4};

// -------------------------------------------------------------------------- LUT array

static double entries_of(unsigned k)
{
    return ldexp(1, (int)k - 1);
}

unsigned area_table_additions(unsigned k)
{
    if (k < 2)
        return 0;
    return area_table_additions(k - k / 2) + area_table_additions(k / 2) + (1u << (k - 1));
}

// A lookup selects an entry, negates it, and adds it to its sum, which lies in a tile register.
static double lookup_cells(double entries, bool negates)
{
    return (entries - 1) * entry_bits * mux2 + (negates ? entry_bits * xor2 : 0) +
           sum_bits * full_adder;
}

// Sums of k activations of 8 bits.
static double builder_cells(area_unit u)
{
    double bits = 8 + ceil(log2(u.k));
    return u.m * (double)area_table_additions(u.k) * bits * full_adder;
}

double area_array_counted(area_unit u, unsigned lacking)
{
    bool full = lacking & AREA_FULL_TABLES;
    double entries = entries_of(u.k) * (full ? 2 : 1);
    double lookups = (double)u.m * u.n * lookup_cells(entries, !full);
    double registers = (u.m * entries * entry_bits + (double)u.n * u.k) * flip_flop;
    double negation = lacking & AREA_INDEX_NEGATION ? (double)u.n * (u.k - 1) * xor2 : 0;
    double own = lacking & AREA_OWN_TABLES ? builder_cells(u) : 0;
    return shrink * (lookups + registers + negation + own);
}

double area_array(area_unit u)
{
    return area_array_counted(u, 0) * array_area / area_array_counted(published, 0);
}

double area_array_power(area_unit u)
{
    return area_array(u) / array_area * array_power;
}

double area_array_energy(area_unit u)
{
    return area_array_power(u) / array_clock;
}

// ----------------------------------------------------------------------- other parts

static double group_area(unsigned k)
{
    return shrink * (area_table_additions(k) * float_add + entries_of(k) * float_multiply);
}

// Energy goes with length: the square root of area.
double area_group_energy(unsigned k)
{
    return 1e-12 * sqrt(shrink) *
           (area_table_additions(k) * float_add_energy + entries_of(k) * float_multiply_energy);
}

static double memory_area(double bytes)
{
    return 8 * bytes * bit_cell / cell_share;
}

static area_unit unit_of(const machine *m)
{
    return (area_unit){m->unit_m, m->unit_n, m->unit_k};
}

static void add_units(const machine *m, double *parts)
{
    if (m->parts & MACHINE_LUT) {
        parts[AREA_ARRAY] = m->units * area_array(unit_of(m));
        parts[AREA_BUILDER] = m->table_groups * group_area(m->unit_k);
        parts[AREA_DEQUANTIZER] = m->dequantize_lanes * shrink * (2 * float_multiply + float_add);
    }
    if (m->parts & MACHINE_MATRIX)
        parts[AREA_MATRIX] = shrink * (m->matrix_i8 * (byte_multiply + word_add) +
                                       m->matrix_f16 * (half_multiply + float_add));
    parts[AREA_VECTOR] = m->vector_bits / 32.0 * shrink * (float_multiply + float_add);
    parts[AREA_SCALAR] = scalar_core * scalar_shrink;
}

machine_area area_of_machine(const machine *m)
{
    machine_area a = {0};
    double sharing = m->parts & MACHINE_CLUSTER ? m->cluster_harts : 1;
    add_units(m, a.parts);
    if (m->parts & MACHINE_TILES)
        a.parts[AREA_TILES] = memory_area((double)ISA_TILE_REGISTERS * machine_tile_bytes(m));
    a.parts[AREA_SCRATCH] = memory_area((double)m->scratch_size) / sharing;
    for (unsigned i = 0; i < AREA_PART_COUNT; i++)
        a.hart += a.parts[i];
    a.l2 = m->parts & MACHINE_L2 ? memory_area((double)m->l2_size) : 0;
    a.total = m->harts * a.hart + a.l2;
    return a;
}

// -------------------------------------------------------------------- other machines

static double lookup_energy(area_unit u)
{
    return area_array_energy(u) / ((double)u.m * u.n);
}

void area_change_unit(machine *m, area_unit u)
{
    double lookup = lookup_energy(u) / lookup_energy(unit_of(m));
    m->energy_lookup *= lookup;
    m->energy_lookup_wide *= lookup;
    m->energy_group *= area_group_energy(u.k) / area_group_energy(m->unit_k);
    m->unit_m = u.m;
    m->unit_n = u.n;
    m->unit_k = u.k;
}

void area_change_tile(machine *m, uint32_t rows, uint32_t columns)
{
    double before = machine_tile_bytes(m);
    m->tile_m = rows;
    m->tile_n = columns;
    m->energy_tile *= pow(machine_tile_bytes(m) / before, size_exponent);
}
