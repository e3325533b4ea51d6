// The oracle: graph-level functions evaluated in plain C, in double precision,
// rounded at every typed value, on the same quantized weights as the program.
//
// It says what a program means. Everything is computed the obvious way; the one
// operation whose rounding order is fixed (linear with integer activations)
// follows its row in ops.def step by step. Integers are exact up to 2^53.
#pragma once

#include "compiler/ir/ir.h"
#include "compiler/quant/mix.h"
#include "support/array.h"

// Where the values of weight globals come from. The functions report their own errors.
typedef struct eval_weights {
    void *context;
    // Rows first .. first + count of the matrix (vectors and tensors: all but the last dimension
    // are rows) as the values that the global's type holds.
    bool (*values)(void *context, diagnostics *d, const ir_global *g, int64_t first, int64_t count,
                   double *out);
    // The same of a weight in a plane format, in canonical form; `out` was created.
    bool (*canonical)(void *context, diagnostics *d, const ir_global *g, int64_t first,
                      int64_t count, quant_rows *out);
    // Which of several formats each block of rows has; NULL: there are no such weights. Rows of a
    // block are asked for in its format.
    bool (*parts)(void *context, diagnostics *d, const ir_global *g, uint8_t *part_of_block);
} eval_weights;

typedef struct eval_options {
    const eval_weights *weights;
    // Table entries are rounded as the machine rounds them. Otherwise tables are
    // ideal: lut.mpgemm of a table is linear of its activations.
    bool quantize_tables;
    int64_t tile_depth; // of the machine: dynamic i8 tables have a scale per quarter of it
} eval_options;

typedef struct evaluator evaluator;

// Overwrites the marks of the module's values, which may not change while the
// evaluator lives. States start as zeros and are kept over calls.
evaluator *eval_create(diagnostics *d, ir_module *m, const eval_options *options);
void eval_destroy(evaluator *e); // NULL is fine
void eval_reset_states(evaluator *e);

// Dimensions are given by name, or found in the shapes of arrays that stand for
// values of a type; every mismatch is reported. Those found in shapes are
// forgotten when a call begins, those given stay.
bool eval_set_dim(evaluator *e, const char *name, int64_t value);
bool eval_match_shape(evaluator *e, const char *what, const ir_type *type, unsigned rank,
                      const int64_t *shape);
// The shape that a type has with the dimensions known so far.
bool eval_shape_of(evaluator *e, const char *what, const ir_type *type, int64_t shape[IR_MAX_RANK]);
// The element type of arrays that stand for values of a type (index: i64).
scalar_type eval_scalar_of(const ir_type *type);

typedef struct named_array {
    const char *name;
    array value;
} named_array;

// Name of a result as programs publish it: "result", or "result0", "result1"...
const char *eval_result_name(arena *a, const ir_function *f, size_t index);

// Calls a function. Inputs in any order, one per argument and of its type and
// shape. `outputs` has room for every result, in order; names and data are
// allocated in `a`. False: errors were reported.
bool eval_call(evaluator *e, arena *a, const ir_function *f, size_t n_inputs,
               const named_array *inputs, named_array *outputs);

// A copy of a state's content, for the largest sizes of its dimensions.
bool eval_state(evaluator *e, arena *a, const char *name, array *out);

// The NMSE that rounding the entries of i8 tables adds to x w^T when the rounding
// errors of entries are independent and uniform: an entry is a multiple of its
// scale (largest entry of the span / 127), so it is off with variance scale^2 /
// 12, times the square of what the planes that look it up weigh together. `x`
// has w->k columns; `span` activations share a scale (0: the whole row).
double eval_predict_table_noise(const array *x, const quant_rows *w, int64_t span);
// Activations that share a scale of an i8 table, for that prediction; 0: the whole row.
int64_t eval_table_span(const ir_type *table, int64_t tile_depth);
