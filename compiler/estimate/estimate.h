// How long a program takes on a machine, from its tile IR, without running it: for models and
// machines too large to emulate. Loops are executed until they repeat themselves, on an in-order
// pipeline with the costs of isa/cost.h, and counted for the rest; docs/estimate.md says what is
// exact, what is modelled and what is left out.
#pragma once

#include "compiler/ir/ir.h"
#include "isa/cost.h"

typedef struct estimate_dim {
    const char *name;
    int64_t value;
} estimate_dim;

// What becomes of tables: the question of how much their precompute costs.
typedef enum estimate_tables {
    ESTIMATE_TABLES_COMPILED, // as the program says
    ESTIMATE_TABLES_FREE,     // lut.tbl, and storing what it makes, takes nothing
    ESTIMATE_TABLES_REPEATED, // made anew wherever a product would load them
} estimate_tables;

typedef struct estimate_options {
    const machine *machine;
    const char *entry; // NULL: the only one, else "forward", else "main"
    ARRAY_OF(estimate_dim) dims;
    // What integers in memory are taken for: the position of the first new token.
    int64_t position;
    // Fractions of the peak rates that are reached at best; 0 stands for 1.
    double compute, memory;
    estimate_tables tables;
    uint64_t most_steps; // operations that are walked in all; 0: some seconds' worth
} estimate_options;

// What some piece of work takes: sums over all harts, but `cycles`, `busy` and `issued`, which are
// those of the hart that is busy longest. Only members of type double: sums go over them as an
// array.
typedef struct estimate_work {
    double cycles;
    double busy[ISA_UNIT_COUNT];
    double issued;                   // instructions of that hart
    double classes[ISA_CLASS_COUNT]; // instructions
    double lookups, multiplies;      // of lmma; of mma
    double table_groups;             // groups of four activations made into tables
    double scratch, l2;              // bytes between the harts and scratch, scratch and l2
    double memory_read, memory_written;
    double weights; // of the bytes read, those of weights
    double energy;  // joules, 0 where the machine has no figures
} estimate_work;

// What limits: a unit (isa_unit), or
enum {
    ESTIMATE_ISSUE = ISA_UNIT_COUNT, // instructions are issued all the time
    ESTIMATE_L2,                     // bandwidth
    ESTIMATE_MEMORY,
    ESTIMATE_LATENCY, // nothing is busy: results are waited for
    ESTIMATE_BOUNDS
};
extern const char *const estimate_bound_names[ESTIMATE_BOUNDS];

typedef enum estimate_class {
    ESTIMATE_LINEAR,
    ESTIMATE_ATTENTION,
    ESTIMATE_ELEMENTWISE, // everything row by row: norms, tables, gathers, copies
    ESTIMATE_CLASSES
} estimate_class;
extern const char *const estimate_class_names[ESTIMATE_CLASSES];

// One function, all of its calls.
typedef struct estimate_kernel {
    const char *name;
    estimate_class class;
    unsigned calls;
    uint32_t harts; // most that work at a time
    estimate_work work;
    unsigned bound;
} estimate_kernel;

typedef struct estimate {
    const char *entry;
    const machine *machine;
    ARRAY_OF(estimate_kernel) kernels; // in the order of their first calls
    estimate_work classes[ESTIMATE_CLASSES], total;
    double new_tokens; // product of the dims that were given
} estimate;

// The module is at tile level, as lower-to-tile leaves it, with or without what comes behind; its
// marks are used. False: reported.
bool estimate_module(arena *a, diagnostics *d, ir_module *m, const estimate_options *options,
                     estimate *out);

double estimate_seconds(const estimate *e, const estimate_work *w);
double estimate_instructions(const estimate_work *w);
// The resource that work keeps busy longest, and the fraction of the time.
unsigned estimate_bound(const machine *m, const estimate_work *w, double *fraction);

void estimate_print(text *out, const estimate *e);
void estimate_print_json(text *out, const estimate *e);
