// Rows that rounds of a loop read; private to the pass.
#pragma once

#include "compiler/passes/prefetch.h"

enum { MOST_SPANS = 64, MOST_WORK = 128 };

// `rows` rows of `bytes` bytes each, `stride` bytes apart.
typedef struct span {
    const ir_value *root;
    address at;
    int64_t rows, stride, bytes, advance;
    int64_t piece;       // bytes that are asked for at once: a line, or a tile
    int64_t apart;       // where rows begin: multiples of this, which divides a line
    const ir_op *place;  // its first reader: a buffer and indices
    unsigned first_work; // behind which that is known
} span;

typedef struct row_reads {
    ir_module *module;
    const machine *machine;
    ir_op *loop;
    unsigned count, work_count;
    span spans[MOST_SPANS];
    ir_op *work[MOST_WORK]; // what takes the round's time
    ir_value *counter;      // of a round whose rows are asked for; NULL: of the first
    ir_op *around;  // the loop whose next round's rows the last round asks for; NULL: it does not
    ir_value *last; // 1 in the last round, else 0
} row_reads;

void collect_rows(row_reads *r); // spans and work of r->loop
// The strip that the loop is, or that is around it; NULL: none.
const ir_op *strip_of_rows(const row_reads *r);
bool is_short_strip(const row_reads *r); // too few rounds to ask for rows in
bool is_written_in(const ir_value *root, const ir_block *b);
int64_t rows_apart(const row_reads *r, const span *s); // span.apart
int64_t lanes_of_round(const row_reads *r);
int64_t pieces_of_round(const row_reads *r);
bool is_sum(const ir_op *op); // of indices, a difference, product or quotient
ir_value *constant_index(ir_module *m, ir_builder *b, int64_t value);
bool views_move_before(const row_reads *r, const ir_op *op); // what the rows' places depend on
// The first pieces of a round, r->counter, or of the first one.
void prefetch_first_rows(row_reads *r, ir_builder *b, int64_t pieces);
