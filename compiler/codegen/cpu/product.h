// Products on CPUs: a block of 64 columns times some rows of activations. Private to this folder.
//
// A unit of 32 (or 16) weights of a column is taken apart into fields: vectors with a byte for each
// column and four weights, which meet four activations; or, by lookups, with an index for each
// column and four tables, which meet 64 entries.
#pragma once

#include "compiler/codegen/cpu/native.h"
#include "compiler/quant/columns.h"
#include "compiler/target/activation.h"

enum { PRODUCT_MOST_VECTORS = 4, PRODUCT_MOST_ROWS = 12, PRODUCT_MOST_CLASSES = 8 };
enum { PRODUCT_ROWS = 128 }; // most rows of a call (compiler/passes/lower/native.c)
enum { COLUMN_MOST_LINES = 8 };
enum { PRODUCT_LANE_STEPS = 8 }; // tables of 16 entries for 32 weights

// Where the fields of a unit stand in the bytes that are multiplied.
typedef enum field_form {
    FIELD_IN_PLACE, // where they are stored; sums of unlike places are kept apart
    FIELD_IN_HALF,  // likewise, but from the upper half of a byte moved to the lower one
    FIELD_LOW,
    FIELD_DOUBLED, // one bit up: sums are those of the levels, but for what they begin with
} field_form;

// Blocks beside each other: where `weights` has the parts of one of them. `weights` itself is the
// block's stream where it stands alone.
typedef struct column_stream {
    LLVMValueRef start, count, number; // the stream; of its blocks this one
    LLVMValueRef taken;                // of one row: as many blocks from this one on
    LLVMValueRef span, span_unit;      // what the block has of a span, which begins with the unit
} column_stream;

typedef struct product {
    emitter *e;
    quant_format format;
    column_geometry g;
    activation_form form; // BYTES where the level has no lookups
    activation_row row;
    int64_t depth;            // K
    int64_t activation_group; // of scales; K: one
    int64_t sum_group;        // of sums of activations, divides `group`
    int64_t weight_group;     // K: one
    int64_t group;            // of both: what is summed in integers
    int64_t group_units;
    int64_t span_units;                // whole groups, at most one of the activations' scales
    int64_t chunk_units;               // of the panel: a span, or a part of a long group
    bool integer;                      // integer activations
    bool row_scales;                   // of those: the operand's, one a row; else 1
    bool panelled;                     // several rows take the weights apart once
    bool late_weight, late_activation; // factors that multiply at the end
    LLVMValueRef entries, weights, to, rows, scales, book;
    LLVMValueRef results, stride;     // where results belong; `to` is a block of its own, or that
    LLVMValueRef zeros;               // of a row, where nothing has been added yet
    LLVMValueRef panel, values, sums; // of several rows
    column_stream stream;             // of blocks beside each other

    unsigned bytes;   // of a vector
    unsigned lanes;   // columns of a vector
    unsigned vectors; // taken at a time
    unsigned parts;   // of the block's columns
    unsigned block_rows;
    unsigned fields;     // of a unit: steps of 4 or (lookups) 16 weights
    int64_t run_units;   // units that are summed in 16 bits, widened times `step`; 0: none
    unsigned step_units; // of them, in a round of one row's loop
} product;

// ---- field.c
// How far the fields of a unit are from the low end of their bytes.
unsigned field_place(const product *p, unsigned field, field_form form);
unsigned field_places(const product *p, field_form form, unsigned *places); // distinct ones
LLVMValueRef field_vector(const product *p, LLVMValueRef *lines, unsigned field, field_form form);
bool field_reads(const product *p, unsigned field, unsigned line);
LLVMValueRef load_line(const product *p, LLVMValueRef unit, unsigned line, LLVMValueRef part,
                       unsigned vector);

// Sums of products of bytes in 32-bit lanes. Some levels add a few products in 16 bits first.
typedef struct byte_sum {
    LLVMValueRef sum, partial;
    unsigned pending;
} byte_sum;
// The operand of step `field` of unit `unit` (a number of the row's) of a row of entries.
LLVMValueRef step_operand(const product *p, LLVMValueRef row, LLVMValueRef unit, unsigned field);
LLVMValueRef operand_at(const product *p, LLVMValueRef at);
int64_t operand_bytes(const product *p); // from one step's operand to the next
void sum_step(const product *p, byte_sum *s, LLVMValueRef weights, LLVMValueRef operand);
// Of two vectors side by side: CPUs with two schedulers (Zen) give them instructions in turn, so
// where masks and multiplications alternate, one has all multiplications.
enum { SUM_PAIR = 2 };
// What gives all of the values, two or more, stands in front of what takes one of them.
void hand_on(const product *p, LLVMValueRef *all, unsigned n);
void sum_steps(const product *p, byte_sum *s, LLVMValueRef *weights, LLVMValueRef operand);
void sum_flush(const product *p, byte_sum *s);
field_form direct_place(const product *p); // of one row
field_form panel_place(const product *p);  // of several
bool fields_are_signed(const product *p);  // less 128

// ---- narrow.c
// A loop over units that carries sums of 16 bits: of each row one of each vector, or, of entries
// that lanes looked up, two.
typedef struct narrow_loop {
    unsigned rows, step; // units a round
    // Adds the units of a round, from number `unit` on.
    void (*add)(product *p, const void *context, LLVMValueRef unit, LLVMValueRef *carried);
    const void *context;
} narrow_loop;
void choose_runs(product *p); // run_units, step_units
// Adds the sums of `units` units, of which there are at most `most`, to those of rows and vectors.
void sum_narrow(product *p, const narrow_loop *n, LLVMValueRef units, int64_t most,
                LLVMValueRef *sums);

// ---- lookup.c
bool looks_up_lanes(const product *p); // each 16 bytes of a vector ask one table
// Of a unit, for each table, which entries the part's columns ask for; in an order of their own.
void lookup_indices(const product *p, LLVMValueRef unit, LLVMValueRef part, LLVMValueRef *out);
void lookup_step(const product *p, LLVMValueRef *sums, LLVMValueRef index, LLVMValueRef tables,
                 unsigned step);
// Adds the sums of `units` units, of the columns in order, to `out`.
void lookup_widen(const product *p, const LLVMValueRef *sums, LLVMValueRef units,
                  LLVMValueRef *out);

// ---- floats.c
// What a term's scale is multiplied by (quant_levels), as f32, of fields in 32-bit lanes; with one
// lane of a field.
LLVMValueRef term_level(const product *p, LLVMValueRef field, unsigned term);

// ---- loops of generated code
typedef struct counted_loop {
    LLVMBasicBlockRef before, body;
    LLVMValueRef i, from, to;
    int64_t step;
    unsigned n;
    LLVMValueRef *phis;
} counted_loop;
// At least one round is made.
counted_loop counted_begin(emitter *e, LLVMValueRef from, LLVMValueRef to, int64_t step, unsigned n,
                           LLVMValueRef *initial);
void counted_end(emitter *e, counted_loop *l, LLVMValueRef *next); // phis: the last values

// A function of its own in the middle of another one.
typedef struct outer_function {
    LLVMBasicBlockRef block;
    LLVMValueRef function;
} outer_function;
outer_function enter_function(emitter *e, LLVMValueRef f);
void leave_function(emitter *e, outer_function outer);

LLVMValueRef byte_at(emitter *e, LLVMValueRef base, LLVMValueRef offset);
LLVMValueRef byte_at_constant(emitter *e, LLVMValueRef base, int64_t offset);
LLVMValueRef load_as(emitter *e, LLVMTypeRef type, LLVMValueRef at, unsigned align);
// Into the caches up to the one named; may lie anywhere.
typedef enum prefetch_cache { PREFETCH_SECOND = 2, PREFETCH_FIRST = 3 } prefetch_cache;
void prefetch(emitter *e, LLVMValueRef at, prefetch_cache cache);
void prefetch_to_write(emitter *e, LLVMValueRef at);
void store_to(emitter *e, LLVMValueRef x, LLVMValueRef at, unsigned align);
LLVMValueRef index_add(emitter *e, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef index_mul(emitter *e, LLVMValueRef x, int64_t y);

// ---- span.c
// What is known of group `group`: where it lies, its units, the columns' factors.
typedef struct product_group {
    LLVMValueRef number, weight_group, header, units_at, first_unit, units;
} product_group;
product_group group_at(const product *p, LLVMValueRef number);
LLVMValueRef row_at(const product *p, LLVMValueRef row);
LLVMValueRef result_at(const product *p, LLVMValueRef row, LLVMValueRef part, unsigned vector);
LLVMTypeRef float_lanes(const product *p);
LLVMValueRef least_index(emitter *e, LLVMValueRef x, LLVMValueRef y);
typedef struct row_factors {
    LLVMValueRef scale, sum; // of the activations; f32, i32
} row_factors;
// The sum of a row's activations in the group, of type i32 or f32.
LLVMValueRef sum_of_group(const product *p, const product_group *g, LLVMValueRef row,
                          LLVMTypeRef type);
row_factors factors_of(const product *p, const product_group *g, LLVMValueRef row);
// Of a vector's columns, as f32: the scales of each term, then the offsets.
LLVMValueRef group_values(const product *p, const product_group *g, unsigned which,
                          LLVMValueRef part, unsigned vector);
LLVMValueRef column_values(const product *p, const product_group *g, bool offset, LLVMValueRef part,
                           unsigned vector); // offsets, or the scales of one term
LLVMValueRef signed_sum(const product *p, LLVMValueRef sum, LLVMValueRef of_activations);
void sums_to_numbers(const product *p, LLVMValueRef *sums, unsigned n); // integers become f32

// Groups under one scale of activations, or a part of a long group.
typedef struct chunk {
    const product_group *group; // the long one
    LLVMValueRef first;         // unit of the row; of a long group: of that
    LLVMValueRef units;         // of a long group
    LLVMValueRef first_group, groups;
    LLVMValueRef begins, ends; // i1: of the row
} chunk;
bool is_scaled(const product *p); // activations have scales of their own
void choose_spans(product *p);
bool is_chunked(const product *p); // groups are longer than a chunk
typedef void on_part(product *p, const chunk *c, LLVMValueRef part);
void for_parts(product *p, const chunk *c, on_part *emit);
chunk span_at(const product *p, LLVMValueRef unit); // the one that begins there
void for_spans(product *p, on_part *emit);
// What a span's groups are added to, for one row and vector, and where that goes: products of
// rounded activations are scaled once a span.
LLVMValueRef earlier_result(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef part,
                            unsigned vector);
bool spans_are_scaled(const product *p);
LLVMValueRef scaled_span(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef result,
                         LLVMValueRef y);
LLVMValueRef span_begin(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef part,
                        unsigned vector);
void start_results(const product *p, LLVMValueRef *results, unsigned n); // zeros for NULL
LLVMValueRef add_group(const product *p, LLVMValueRef sum, row_factors factors, LLVMValueRef scale,
                       LLVMValueRef offset, LLVMValueRef y);
LLVMValueRef span_result(const product *p, const chunk *c, LLVMValueRef row, LLVMValueRef part,
                         unsigned vector, LLVMValueRef result);
// Rows of results that meet the end of a span together.
typedef struct span_rows {
    const chunk *chunk;
    LLVMValueRef part;
    const LLVMValueRef *numbers;
    unsigned rows;
} span_rows;
void span_end(const product *p, const span_rows *s, LLVMValueRef *results);
void multiply_late(const product *p, const span_rows *s, LLVMValueRef *results);
// ---- beside.c
bool stands_beside(const column_geometry *g);
// The stream in which block `block` stands, of a matrix of `blocks` blocks.
column_stream column_stream_of(emitter *e, const column_geometry *g, LLVMValueRef streams,
                               LLVMValueRef block, LLVMValueRef blocks);
// Sets what the block has of the span that a unit is in.
void column_enter_span(emitter *e, const column_geometry *g, column_stream *s, LLVMValueRef unit);
// Of a group in that span the scales, and one of its units.
LLVMValueRef column_header(emitter *e, const column_geometry *g, const column_stream *s,
                           LLVMValueRef group);
LLVMValueRef column_unit(emitter *e, const column_geometry *g, const column_stream *s,
                         LLVMValueRef group, LLVMValueRef unit);
void enter_span(product *p, LLVMValueRef unit); // nothing where blocks stand alone
bool crosses_spans(const product *p);           // groups are longer than a span
LLVMValueRef unit_at(const product *p, const product_group *g, LLVMValueRef unit); // of the group
void for_taken(product *p, void (*emit)(product *p));                              // block by block
// Span by span all blocks that are taken, of one row: units `from` .. `to`.
typedef void on_block(product *p, LLVMValueRef from, LLVMValueRef to);
void for_blocks(product *p, on_block *emit);
// ---- join.c
// Sums of one row for each place where fields stand, the lowest first.
typedef struct place_sums {
    unsigned places[PRODUCT_MOST_CLASSES], count;
    bool numbers; // joined they are what groups scale, as f32; else sums of fields
} place_sums;
place_sums place_sums_of(const product *p);
// Of each place `p->vectors` sums.
void begin_sums(const product *p, const place_sums *s, const product_group *g, LLVMValueRef *out);
LLVMValueRef joined(const product *p, const place_sums *s, const LLVMValueRef *sums); // a vector's
bool is_number(LLVMValueRef sum);
// ---- what makes a product
void emit_direct(product *p);    // direct.c: of one row
void panel_allocate(product *p); // panel.c, at the function's head
void emit_panel(product *p);
// Rows that meet a chunk together.
typedef struct row_block {
    const chunk *chunk;
    LLVMValueRef part;
    unsigned rows;
    bool first;                                // takes the weights apart
    LLVMValueRef ahead[2 * COLUMN_MOST_LINES]; // from a unit to what comes closer
    unsigned pieces;                           // that do: a vector of a line each
    int64_t next; // from scales of a group to those that come closer; 0: none do
    LLVMValueRef numbers[PRODUCT_MOST_ROWS], at[PRODUCT_MOST_ROWS];
} row_block;
void row_groups(product *p, const row_block *b, LLVMValueRef *results);
void emit_registers(product *p); // registers.c
void emit_floats(product *p);    // floats.c
