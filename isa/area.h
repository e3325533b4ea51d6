// How large a machine is, in 28 nm, and how its energies change with the shape of its LUT units and
// tiles. Every constant is a row of isa/area.def with its source; docs/explore.md has the formulas.
// A model of what is counted, not of circuits: cells, operators and bits of memory, without wires,
// control and clock trees. Memory and its interface are not in it.
#pragma once

#include "isa/isa.h"

typedef struct area_constant {
    const char *name;
    double value;
    const char *unit, *source;
} area_constant;
extern const area_constant area_constants[]; // ended by a NULL name

// A LUT unit: m n lookups in a cycle, each for k weights.
typedef struct area_unit {
    uint32_t m, n, k;
} area_unit;
enum { AREA_LEAST_WIDTH = 2, AREA_MOST_WIDTH = 8 }; // of k

// What an array has that lacks a step of LUT Tensor Core's design (its Table 2).
enum {
    AREA_FULL_TABLES = 1,    // without reinterpretation: all 2^k entries, none negated
    AREA_INDEX_NEGATION = 2, // the array complements indices: not folded into codes offline
    AREA_OWN_TABLES = 4,     // the array makes its tables, of 8-bit activations
};

// um2. `counted` is the sum of cells alone; the other is in the proportion of the published area of
// M2 N64 K4 to what is counted there, so that this array has exactly the published one.
double area_array_counted(area_unit u, unsigned lacking);
double area_array(area_unit u);
// Joules of a cycle in which all lookups of a unit are made; watts if one follows the other at the
// published clock.
double area_array_energy(area_unit u);
double area_array_power(area_unit u);
// Of the table builder: additions for the 2^(k-1) entries of a group of k activations.
unsigned area_table_additions(unsigned k);
double area_group_energy(unsigned k); // joules

// AREA_PART(enumerator, name)
#define AREA_PARTS(AREA_PART)                                                                      \
    AREA_PART(ARRAY, "LUT array")                                                                  \
    AREA_PART(BUILDER, "table builder")                                                            \
    AREA_PART(DEQUANTIZER, "dequantizer")                                                          \
    AREA_PART(MATRIX, "matrix unit")                                                               \
    AREA_PART(VECTOR, "vector unit")                                                               \
    AREA_PART(TILES, "tile registers")                                                             \
    AREA_PART(SCRATCH, "scratch")                                                                  \
    AREA_PART(SCALAR, "scalar core")
typedef enum area_part {
#define AREA_PART(E, name) AREA_##E,
    AREA_PARTS(AREA_PART)
#undef AREA_PART
        AREA_PART_COUNT
} area_part;
extern const char *const area_part_names[AREA_PART_COUNT];

typedef struct machine_area {
    double parts[AREA_PART_COUNT]; // um2, of a hart
    double hart, l2, total;        // um2; l2 is that of all harts
} machine_area;
machine_area area_of_machine(const machine *m);

// The same machine with other units, or other tiles: energies of lookups, groups and tile registers
// change as the model has it, in proportion to what the machine says of its own. Units of another k
// than 4 are for estimates: there is no encoding for them.
void area_change_unit(machine *m, area_unit u);
void area_change_tile(machine *m, uint32_t rows, uint32_t columns);
