// Shared by the files of the estimator. Private to this folder.
#pragma once

#include "compiler/estimate/estimate.h"
#include "compiler/target/instruction.h"

enum { LINE = 64, MAX_ROOTS = 32, MAX_DEPTH = 64 }; // as deep as the parser takes regions

// ------------------------------------------------------------------ analyze.c: what codegen makes

// An integer value or an address as a sum: hash(variables) + constant. Equal hashes: equal but for
// the constant. Coefficients are part of the hash, which is linear.
typedef struct linear_form {
    uint64_t hash;
    int64_t constant;
    uint64_t varies; // bit d: with the counter of the loop at depth d around it
} linear_form;

// When the result of an instruction can be used.
typedef struct result {
    double ready;  // all of it
    double early;  // how much sooner the first elements
    isa_unit unit; // that made it
    uint8_t tile;  // the tile register that holds it, from 1 on; 0: none, or not known
} result;

typedef struct value_info {
    linear_form form; // of buffers: bytes behind the root's start
    const ir_value *root;
    bool is_integer;
    // Filled by the walk.
    bool known;
    int64_t value; // of buffers: bytes behind the root's start
    result at;
} value_info;

// What a loop takes beyond the operations in it.
typedef struct loop_info {
    unsigned depth;
    bool dependent; // rounds differ: control inside depends on the counter
    bool innermost;
    bool divisible;                         // its rounds may be given to different harts
    unsigned integers, multiplies, divides; // scalar instructions at a round's end
    unsigned pointers;                      // that are set up before the first round
} loop_info;

typedef struct op_info {
    loop_info *loop;      // FOR, STRIP
    int64_t last_address; // of the access, in the round before
    bool done;            // a load that was moved up
    unsigned integers;    // scalar instructions in front of it, in every round
} op_info;

typedef struct function_info {
    const ir_function *function;
    ARRAY_OF(value_info) values; // by ir_value.mark
    ARRAY_OF(op_info) ops;       // by ir_op.mark
    loop_info outside;           // of all loops
    estimate_class class;
    bool gathers;
} function_info;

function_info *analyze_function(arena *a, const ir_function *f);
static inline value_info *info_of(const function_info *f, const ir_value *v)
{
    return &f->values.items[v->mark];
}
int64_t element_stride(const ir_type *t, unsigned dimension);

// ------------------------------------------------------------------------ expand.c: instructions

typedef struct expansion_step {
    isa_opcode opcode;
    unsigned count;
} expansion_step;

enum { EXPANSION_STEPS = 8 };
// The instructions that an elementwise operation on vectors or scalars becomes.
typedef struct expansion {
    expansion_step steps[EXPANSION_STEPS];
    unsigned chain; // how many of them wait for one another
    unsigned sew;   // of the operands that decide the element width
} expansion;
bool expand_elementwise(const ir_op *op, expansion *out);

// ---------------------------------------------------------------------- hart.c: pipeline, memory

// Everything that adds up; only doubles.
typedef struct counts {
    estimate_work work;           // behind a loop that is divided: of all harts, but for `busy`
    double skipped;               // cycles of rounds that were counted, not executed
    double clock, common;         // bytes touched: by this hart, by all of them
    double unique, unique_common; // those touched for the first time
    double first[MAX_ROOTS];      // by this hart, of each root
    double dirtied;               // bytes written that were not dirty, by this hart
} counts;
enum { COUNTS = sizeof(counts) / sizeof(double) };

// How far memory is: bytes touched since.
typedef struct root {
    double age;    // when the kernel begins, of its first bytes; infinite: never touched
    double extent; // bytes at most; 0: not known
    double share;  // harts that touch the same bytes, as far as is known
    bool is_weight;
} root;

typedef struct access {
    unsigned root; // MAX_ROOTS: none
    int64_t offset, stride;
    int64_t bytes; // of a row
    unsigned rows;
    double share;  // harts that read the same bytes
    double nearby; // of these, those that have the same scratch
    bool write;
} access;

typedef struct hart hart;
// What travels back for every line that is written: to l2 or, without one, to memory; and from l2.
typedef struct write_backs {
    double near, far;
} write_backs;
hart *hart_create(const machine *m, uint32_t active, double memory_efficiency, write_backs w);
void hart_destroy(hart *h);
counts *hart_counts(hart *h);
root *hart_root(hart *h, unsigned index);
double hart_time(const hart *h); // cycles, skipped ones included
double hart_end(const hart *h);  // when everything is done that was issued
void hart_wait(hart *h, double cycles);

enum { MOST_OPERANDS = 8 };
typedef struct operands {
    unsigned n;
    result items[MOST_OPERANDS];
    uint8_t writes; // the tile register of the result, as in `result`
    bool adds;      // to what is in it
} operands;
// The lines of an access are in scratch: rounds that were counted, not executed, brought them.
void hart_have(hart *h, const access *a);
// Issues an instruction as soon as its operands are ready, its unit free, and all before issued.
result hart_issue(hart *h, const isa_instruction *in, const isa_shape *shape, const operands *x,
                  unsigned n, const access *accesses);
result hart_issue_plain(hart *h, isa_opcode opcode, const isa_shape *shape, const operands *x);

// ------------------------------------------------------------------------- call.c: one call

typedef struct call_result {
    counts counts;
    uint32_t harts;
} call_result;

typedef struct call_frame {
    arena *arena;
    diagnostics *diagnostics;
    const estimate_options *options;
    const int64_t *values; // of the arguments: integers, offsets of buffers
    const root *roots;     // of the buffers among them
    double evicted;        // of what earlier calls wrote: bytes that leave scratch in this one
    uint64_t *steps_left;  // operations that may still be walked
} call_frame;
bool walk_call(function_info *f, const call_frame *frame, call_result *out);

// Integer operations on known values. False: not one of them.
bool evaluate_integer(const ir_op *op, const int64_t *operands, int64_t *out);
