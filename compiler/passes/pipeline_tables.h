// What finds kernels for pipeline-tables, and what changes them; private to the pass.
#pragma once

#include "compiler/passes/lower/lower.h"
#include "compiler/passes/prefetch.h"

// A kernel of tables: its loop over row tiles, the two ways over a row tile's depth tiles in it.
typedef struct builder_kernel {
    ir_function *function;
    ir_op *tiles, *find, *build;
    const ir_value *rows; // the argument that says how many there are
    int64_t m, rounds;    // rows of a row tile, rounds of either way
} builder_kernel;

// A call of either kernel, one after the other.
typedef struct call_pair {
    ir_op *builder, *reader;
} call_pair;

// A kernel that looks these tables up: its loop over blocks of row tiles, over column tiles, and
// the rounds.
typedef struct reader_kernel {
    ir_function *function;
    ir_op *blocks, *columns, *rounds;
    const ir_value *rows;
    int64_t m, block;      // rows of a row tile, row tiles of a block
    int64_t places, taken; // rounds of a column tile, and those that take others
    int64_t stage;         // column tiles for a row tile
    call_pair first;       // of its calls
} reader_kernel;

// ---- finding (pipeline_tables_find.c)
bool describe_builder(ir_function *f, const machine *m, builder_kernel *k);
// A kernel that has enough rounds for the builder's, with which its own tables stay in scratch.
bool describe_reader(ir_function *f, reader_kernel *r, const builder_kernel *b,
                     const call_pair *first, const machine *m);
// The reader gets the tables that the builder writes, of as many rows, and leaves what these are
// built from.
bool fit_together(const builder_kernel *b, const reader_kernel *r, const call_pair *p);
bool is_scratch(const ir_op *call, unsigned operand);
// The operand of `call` that is the same value; -1: none.
int same_operand(const ir_op *call, const ir_value *v);

// ---- building (pipeline_tables_build.c)
// Rounds of the builder go into the reader. Its new arguments are those of the builder that it does
// not have, in their order, and behind them whether there is a single rank.
void insert_rounds(ir_module *m, pass_context *c, const builder_kernel *b, const reader_kernel *r);
