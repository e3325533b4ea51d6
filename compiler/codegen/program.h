// What a program says about itself: the contents of its Lutra note
// (docs/program.md). Collected from the graph while tensors still have their
// shapes, kept beside the module while passes lower it, written by codegen_link.
#pragma once

#include "compiler/ir/ir.h"
#include "isa/isa.h"

// A tensor or scalar of an entry, or a state. `type` is "index" for IR_INDEX,
// otherwise a scalar type's name. Rank 0 is a scalar.
typedef struct program_value {
    const char *name, *type;
    unsigned rank;
    ir_dim shape[IR_MAX_RANK];
} program_value;

typedef struct program_entry {
    const char *name, *symbol;
    ARRAY_OF(program_value) inputs;
    ARRAY_OF(program_value) outputs;
} program_entry;

typedef struct program_state {
    program_value value;
    uint64_t offset; // in the state memory, 64-byte aligned
} program_state;

enum { PROGRAM_ALIGNMENT = 64, PROGRAM_MOST_HARTS = 256 };
#define PROGRAM_WEIGHTS_ADDRESS UINT64_C(0x100000000)

typedef struct program_description {
    ARRAY_OF(const ir_symbol *) dims; // in the order of an entry's first words
    ARRAY_OF(program_entry) entries;
    ARRAY_OF(program_state) states;
    uint64_t state_size;
    // Filled by program_plan_workspace after plan-memory.
    uint64_t workspace_size, scratch_size;
    int64_t harts;            // the most that an entry can be run on
    uint64_t weights_size;    // bytes of the packed file; 0: the program has no weights
    uint64_t weights_layout;  // of it (import.h)
    const char *weights_file; // a packed file beside the program; NULL: a segment of the ELF
} program_description;

// Entries, dimensions and states of a module. At graph level an entry's tensor
// arguments are inputs and its results outputs ("result", or "result0"...). At
// tile level the trailing buffers named "result", "result0"... are outputs; every
// shape must be known (no '?'). Strings and symbols are the module's. NULL:
// errors were reported.
program_description *program_describe(arena *a, diagnostics *d, const ir_module *m);

// Sets workspace_size and scratch_size to what the entries' allocs need, and harts: 1 unless all
// entries are partitioned. False: an alloc has no offset yet or no known size.
bool program_plan_workspace(program_description *p, diagnostics *d, const ir_module *m);

// The C name of the description in an object for CPUs: of module "my-model", my_model_program.
const char *program_symbol(arena *a, const char *module);

const program_state *program_find_state(const program_description *p, const char *name);

// The note's JSON: one line, keys in the order of docs/program.md, always the
// same text for the same input.
void program_print_json(text *out, const program_description *p, const machine *target);
