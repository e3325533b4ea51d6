// Lowering of kernels to tile functions; private to compiler/passes.
//
// Every kernel of the graph becomes a function over buffers: first its inputs,
// then its outputs, scratch memory, and the values of the symbolic dimensions
// it needs. A tensor is seen as rows x columns: the columns are its last
// dimension, the rows the product of the others.
#pragma once

#include "compiler/passes/graph.h"
#include "compiler/passes/passes.h"
#include "compiler/quant/mix.h"

// What a graph value is at the tile level.
typedef struct place {
    const ir_type *type; // the graph value's
    ir_value *buffer;    // tensor, weight stream, table entries
    ir_value *scales;    // table: f32 [row tiles, scales * m], or NULL
    ir_value *sums;      // table: f32 [row tiles, sums * m], or NULL
    ir_value *scalar;    // index and scalar values
} place;
enum { PLACE_MAX_PARTS = 3 };

// Where a tile function's argument comes from at its call.
typedef enum argument_kind {
    ARGUMENT_INPUT,
    ARGUMENT_OUTPUT,
    ARGUMENT_SCRATCH,
    ARGUMENT_SYMBOL
} argument_kind;
typedef struct argument_source {
    argument_kind kind;
    unsigned index, part;
    const ir_type *type;     // scratch
    const ir_symbol *symbol; // symbol
} argument_source;

// The kernel being lowered.
typedef struct lowering {
    ir_module *module;
    pass_context *context;
    arena *arena;
    ir_op *kernel;
    ir_block *region;
    ir_function *function;
    ir_builder at;
    ARRAY_OF(argument_source) arguments;
    place *inputs;  // by region argument
    place *outputs; // by yield operand
    unsigned n_inputs, n_outputs;
    struct {
        const ir_symbol *symbol;
        ir_value *value;
    } symbols[16];
    unsigned n_symbols;
    ir_op *last_constant; // constants stand at the function's head
    // the machine's tile
    int64_t m, n, depth, tile_bytes;
    ir_value *rows; // number of rows the kernel works on
    // Made by prepare_table for kernels that build tables, NULL otherwise.
    ir_value *inverse_scales;    // f32 [m]
    ir_value *slice_scales;      // f32 [quarters of a span's depth tiles * m]
    ir_value *unit_plane, *ones; // a plane of +1 and n scales of 1, in memory
    // n times a factor in memory, made by prepare_pieces: 1, 16, 256.
    struct {
        int factor;
        ir_value *vector;
    } factors[4];
} lowering;

// What a region argument of the kernel is.
static inline const place *low_input(const lowering *l, const ir_value *v)
{
    return &l->inputs[v->index];
}

// ---- small builders (build.c); index arithmetic folds constants
// For passes over tile functions: builds in front of an operation.
lowering low_before(ir_module *m, pass_context *context, ir_function *f, ir_op *before);
// A call without results becomes one with further operands.
void low_call_with(lowering *l, ir_op *call, ir_value *const *more, unsigned count);
// A loop over 0 .. *rounds, a number.
bool low_counts_from_zero(const ir_op *loop, int64_t *rounds);
int64_t low_lanes(const machine *m, const ir_op *strip); // of a machine
// A value as it is in another round of a loop with that body, whose counter the mapping has: what
// it takes to compute it is built.
ir_value *low_in_round(lowering *l, const ir_block *body, ir_value *v, ir_mapping *map);
ir_value *low_index(lowering *l, int64_t value);
ir_value *low_number(lowering *l, scalar_type t, double value);
bool low_is_constant(const ir_value *v, int64_t *out);
// What an index is that constants and arguments of its function give; -1: that is not known.
// `given`: what an argument is, likewise.
int64_t low_evaluate(const ir_value *v,
                     int64_t (*given)(const ir_value *argument, const void *context),
                     const void *context);
ir_value *low_add(lowering *l, ir_value *x, ir_value *y);
ir_value *low_sub(lowering *l, ir_value *x, ir_value *y);
ir_value *low_mul(lowering *l, ir_value *x, ir_value *y);
ir_value *low_div(lowering *l, ir_value *x, ir_value *y);
ir_value *low_rem(lowering *l, ir_value *x, ir_value *y);
ir_value *low_min(lowering *l, ir_value *x, ir_value *y);
ir_value *low_compare(lowering *l, const char *is, ir_value *x, ir_value *y);
ir_value *low_unary(lowering *l, ir_opcode code, ir_value *x);
ir_value *low_binary(lowering *l, ir_opcode code, ir_value *x, ir_value *y);
ir_value *low_exp_of_rest(lowering *l, ir_value *x, ir_value *greatest); // exp(x - greatest)
ir_value *low_cast(lowering *l, ir_value *x, scalar_type t); // scalar or vector; itself when equal
ir_value *low_to_index(lowering *l, ir_value *scalar);
ir_value *low_broadcast(lowering *l, ir_value *scalar);
ir_value *low_reduce(lowering *l, ir_value *x, const char *by); // f32 lanes; "add", "max"
// An index operand of the kernel's op: an input, or a constant that stands beside it.
ir_value *low_index_operand(lowering *l, const ir_value *v);
ir_value *low_dim(lowering *l, ir_dim d);
ir_value *low_row_count(lowering *l, const ir_type *t);
ir_dim low_columns(const ir_type *t); // 1 for rank 0
ir_value *low_scratch(lowering *l, scalar_type t, int64_t rows, int64_t columns);

ir_value *low_view(lowering *l, ir_value *buffer, ir_value *row, ir_value *column,
                   const ir_type *type);
// The number in the matrix of a part's column tile: the map in front of the streams says it, where
// there are several parts.
ir_value *low_part_tile(lowering *l, const place *weight, const pack_mix *p, unsigned part,
                        ir_value *counter);
// The view's bytes of `buffer` from byte offset on: streams and tables are u8 buffers.
ir_value *low_bytes(lowering *l, ir_value *buffer, ir_value *row, ir_value *offset, int64_t size);
ir_value *low_load(lowering *l, ir_value *buffer, ir_value *row, ir_value *column);
void low_store(lowering *l, ir_value *x, ir_value *buffer, ir_value *row, ir_value *column);
ir_value *low_vload(lowering *l, ir_value *buffer, ir_value *row, ir_value *column, int64_t stride);
void low_vstore(lowering *l, ir_value *x, ir_value *buffer, ir_value *row, ir_value *column,
                int64_t stride);
// Neighbouring elements, from `column` on: the lanes of the first and of the second ones.
typedef struct low_pair {
    ir_value *first, *second;
} low_pair;
low_pair low_vload_pairs(lowering *l, ir_value *buffer, ir_value *row, ir_value *column);
void low_vstore_pairs(lowering *l, low_pair x, ir_value *buffer, ir_value *row, ir_value *column);
// Fills columns [from, to) of a row with a number.
void low_fill(lowering *l, ir_value *buffer, ir_value *row, ir_value *from, ir_value *to,
              double value);

// The strip width that fits elements of a type.
const char *low_width(scalar_type t);
// That of strips which compute what stands in a region: f64 where a tensor has 64-bit elements,
// else f32.
const char *low_region_width(const ir_block *region);

enum { LOW_MOST_CARRIED = 64 };

// A loop under construction: build its body at l->at between begin and end.
typedef struct low_loop {
    ir_op *op;
    ir_builder outside;
    ir_value *counter, *lanes;
    ir_value *carried[LOW_MOST_CARRIED];
    unsigned n_carried;
} low_loop;
void low_for_begin(lowering *l, low_loop *loop, ir_value *lower, ir_value *upper, ir_value *step,
                   unsigned n_carried, ir_value *const *initial);
// A loop over 0 .. count without carried values whose rounds are independent: a round writes
// scratch memory and what no other round touches. `share`: how ranks divide them, see `for`.
void low_shared_begin(lowering *l, low_loop *loop, ir_value *count, const char *share);
// The same in steps that ranks may cut: `round` is what a round does, from the first number on and
// below the second. The loop carries two values, which it yields as they are.
void low_cuts_begin(lowering *l, low_loop *loop, ir_value *count, ir_value *step,
                    ir_value *round[2]);
void low_strip_begin(lowering *l, low_loop *loop, ir_value *count, const char *width,
                     unsigned n_carried, ir_value *const *initial);
// Doubles the lanes of a whole strip of f32 whose vectors leave room for it.
void low_widen_groups(const lowering *l, ir_op *strip);
// `next`: the carried values of the next round; afterwards results[i] are loop->op's.
void low_loop_end(lowering *l, low_loop *loop, ir_value *const *next);
// The first rounds of a loop of steps of 1, up to `end`, as a loop of their own in front of it:
// what is built between the two is their body, in which the mapping has the counter and what is
// carried, and at the end what is passed on. The loop goes on from there.
void low_first_rounds_begin(lowering *l, low_loop *first, const ir_op *loop, ir_value *end,
                            ir_mapping *map);
void low_first_rounds_end(lowering *l, low_loop *first, ir_op *loop, const ir_mapping *map);
// An if without results: the builder moves into the first region; end moves it back out.
typedef struct low_if {
    ir_op *op;
    ir_builder outside;
} low_if;
void low_if_begin(lowering *l, low_if *branch, ir_value *condition);
void low_if_end(lowering *l, low_if *branch);
void low_check_range(lowering *l, ir_value *x, ir_value *most, const char *reason); // 0..most

// ---- elementwise operations on one strip (elementwise.c)

// The strip being built: where its elements are, and what was computed already.
typedef struct strip_scope {
    ir_value *row;    // row of the kernel's row space
    ir_value *column; // of the strip's first lane
    // Finds storage that the kernel's form knows (scratch, epilogue tiles); NULL result: none.
    ir_value *(*find)(lowering *l, struct strip_scope *s, ir_value *v);
    void *context;
    struct {
        ir_value *graph, *tile;
    } *known;
    unsigned n_known, capacity;
} strip_scope;

// The element type in which values of a type are computed: f32 for floats up to 32 bits.
scalar_type low_compute_scalar(scalar_type t);
// The vector of a graph value in compute type, rounded to the value's own type.
ir_value *strip_value(lowering *l, strip_scope *s, ir_value *v);
void strip_remember(lowering *l, strip_scope *s, ir_value *v, ir_value *vector);
// Rounds a compute-type vector or scalar to what storing as `t` would keep.
ir_value *low_round_to(lowering *l, ir_value *x, scalar_type t);
ir_value *strip_elementwise(lowering *l, strip_scope *s, ir_op *op);

// ---- kernel forms; false: reported
bool lower_rows_kernel(lowering *l);
bool lower_mpgemm_kernel(lowering *l);
bool lower_dense_kernel(lowering *l);
bool lower_copy_kernel(lowering *l);
bool lower_gather_kernel(lowering *l);
bool lower_rope_kernel(lowering *l);
bool lower_attend_kernel(lowering *l);

// ---- tables (tables.c)
// Sets up what building this table needs; called at the kernel's start.
void prepare_table(lowering *l, const ir_type *table);
// Builds the tables of one row tile. `rows`: its valid rows (1 or m forms are chosen); the
// activations are rows [first_row ..] of `activations`, zero beyond the columns and the rows.
typedef struct table_source {
    const place *book;     // the weight with a learned codebook, or NULL
    ir_value *activations; // buffer [?, padded columns]
    ir_value *first_row;
    ir_value *first_tile; // the depth tile that their columns begin with; NULL: the first
    scalar_type scalar;
    int64_t columns;   // K
    ir_value *factors; // f32 [1, m]: what the rows' scales are multiplied by, or NULL
} table_source;
// Depth tiles of a table.
typedef struct depth_range {
    ir_value *first;
    int64_t count;
} depth_range;
bool lower_table(lowering *l, const place *table, const table_source *source, ir_value *row_tile,
                 bool one_row);
// The part of the tables of a row tile that lies in these depth tiles: whole spans of scales and
// sums; of a codebook's tables all tiles.
bool lower_table_tiles(lowering *l, const place *table, const table_source *source,
                       ir_value *row_tile, const depth_range *range, bool one_row);
// The steps of an i8 table with a scale per row, of m rows, a few depth tiles after the others:
// what entries of one reach in its quarters, to slice_scales, from m * QUARTERS * slot on; the
// scales, from the greatest of these of all tiles; the entries of up to 4 tiles.
void table_find_bounds(lowering *l, const table_source *source, ir_value *tile, int64_t slot);
void table_find_scales(lowering *l, const place *table, const table_source *source,
                       ir_value *bounds, ir_value *row_tile);
void table_build_tiles(lowering *l, const place *table, const table_source *source,
                       ir_value *row_tile, ir_value *first, int64_t count);
int64_t table_depth_tiles(const lowering *l, const ir_type *table);
int64_t table_scale_count(const lowering *l, const ir_type *table);
int64_t table_sum_count(const lowering *l, const ir_type *table);
int64_t table_entry_bytes(const lowering *l, const ir_type *table); // of one tile's worth
int64_t table_row_bytes(const lowering *l, const ir_type *table);   // from row tile to row tile

// ---- codebooks (books.c)
// The codebook of a table or weight, NULL: none.
const quant_codebook *low_codebook(const ir_type *t);
// Its numbers as f32 scalars: constants, or what stands in front of the weight's streams.
void low_book(lowering *l, const quant_codebook *book, const place *weight,
              ir_value *numbers[QUANT_BOOK]);
int64_t book_table_bytes(const lowering *l, const ir_type *table); // of the lookups of one plane
void lower_book_table(lowering *l, const place *table, const table_source *source,
                      ir_value *row_tile, bool one_row);

// ---- tiles (tile.c)
ir_value *low_tile_zero(lowering *l, tile_kind kind);
ir_value *low_tile_load(lowering *l, tile_kind kind, ir_value *bytes, bool half);
// d + sum * weight scale * row scale (NULL: 1).
ir_value *low_scale_into(lowering *l, ir_value *d, ir_value *sum, ir_value *weight_scale,
                         ir_value *row_scale);
