// Shared by the evaluator's files.
#pragma once

#include "compiler/eval/eval.h"

// A value: its elements as doubles, each rounded to `type`. Owns its data.
typedef struct tensor {
    scalar_type type;
    unsigned rank;
    int64_t shape[IR_MAX_RANK];
    int64_t count;
    double *data;
} tensor;

// A global's content once it was needed: a tensor (vectors, states, constants), or what could be
// kept of a matrix.
typedef struct eval_global {
    struct eval_global *blocks; // of a matrix in several formats: the matrices of its blocks
    uint8_t *part_of_block;
    bool loaded;
    tensor memory;    // in its largest shape: of a state, all slots
    tensor value;     // the same memory in its present shape
    quant_rows *rows; // canonical form
    double *values;   // what the weights stand for
    double *levels;   // what their codes stand for, before scaling
} eval_global;

typedef struct slot {
    tensor value;
    unsigned uses;          // left; at 0 the value is released
    bool borrowed;          // somebody else owns the data
    const ir_global *alias; // a kernel's argument that stands for a global
} slot;

struct evaluator {
    arena *arena;
    diagnostics *diagnostics;
    ir_module *module;
    eval_options options;
    struct eval_dim {
        int64_t value; // -1: not known
        bool given;
    } *dims; // like module->symbols
    eval_global *globals;
    int64_t kept; // bytes of weights kept in memory
    slot *slots;  // by the values' marks, during a call
    int64_t n_slots;
};

// The operand's value; NULL for an absent optional one or an unreadable weight (reported).
const tensor *eval_operand(evaluator *e, const ir_op *op, unsigned slot);
const tensor *eval_operand_named(evaluator *e, const ir_op *op, const char *name);
// The global that the operand is, or stands for in a kernel; NULL: none.
const ir_global *eval_global_of(const evaluator *e, const ir_value *v);
// The content of a tensor, state or constant; NULL: reported. A state whose first dimension is
// symbolic has memory for its largest size, and in a call the first so many slots of it.
const tensor *eval_global_memory(evaluator *e, const ir_global *g); // in its largest shape
const tensor *eval_global_content(evaluator *e, const ir_global *g);
// Room for a result, in its type and present shape; NULL: reported.
tensor *eval_result(evaluator *e, const ir_op *op, unsigned index);
// The weight global behind an operand, in formats that are decided; NULL: reported.
const ir_global *eval_weight_of(evaluator *e, const ir_op *op, unsigned slot, quant_mix *mix);
bool eval_error(evaluator *e, const ir_op *op, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// An optional operand: true when it is absent (NULL) or could be read.
bool eval_optional(evaluator *e, const ir_op *op, const char *name, const tensor **out);

int64_t eval_columns(const tensor *t); // the last dimension; 1 for scalars
int64_t eval_rows(const tensor *t);    // all the others
void eval_release(tensor *t);

// One function per kind of operation; false: reported.
bool eval_elementwise(evaluator *e, const ir_op *op);
bool eval_rms_norm(evaluator *e, const ir_op *op);
bool eval_layer_norm(evaluator *e, const ir_op *op);
bool eval_softmax(evaluator *e, const ir_op *op);
bool eval_quantize(evaluator *e, const ir_op *op);
bool eval_linear(evaluator *e, const ir_op *op);
bool eval_mpgemm(evaluator *e, const ir_op *op);
bool eval_iota(evaluator *e, const ir_op *op);
bool eval_slice(evaluator *e, const ir_op *op);
bool eval_gather(evaluator *e, const ir_op *op);
bool eval_rope(evaluator *e, const ir_op *op);
bool eval_attend(evaluator *e, const ir_op *op);
bool eval_state_write(evaluator *e, const ir_op *op);

// Runs one operation: results are made, operands released behind their last use.
bool eval_run(evaluator *e, const ir_op *op);
// Runs a block up to its terminator, which is returned; NULL: reported.
const ir_op *eval_block(evaluator *e, const ir_block *block);
// `value` stays the caller's and outlives the block.
void eval_bind_argument(evaluator *e, const ir_value *argument, const tensor *value);
void eval_release_slot(slot *s);
// Binds a function's arguments to arrays, whose values go to `held`, one for each argument; the
// caller releases them behind the call.
bool eval_bind_inputs(evaluator *e, arena *a, const ir_function *f, size_t n_inputs,
                      const named_array *inputs, tensor *held);

// The entries of a row's tables after rounding, as the values they stand for: 8
// per 4 activations, ceil(columns / 4) of them.
void eval_table_entries(const ir_type *table, int64_t tile_depth, const double *x, int64_t columns,
                        double *entries);
// The same of a codebook's tables: QUANT_BOOK for each lookup of `per_lookup` activations.
void eval_book_entries(const ir_type *table, int64_t tile_depth, const quant_codebook *codebook,
                       const float *book, const double *x, int64_t columns, double *entries);
// What nibble `bits` (bit j: weight j is +1) picks.
static inline double eval_table_lookup(const double *entries, unsigned bits)
{
    return bits & 8 ? entries[bits & 7] : -entries[~bits & 7];
}
