// The intermediate representation: SSA values over typed operations, one
// framework for the graph level (tensors) and the tile level (buffers, vectors,
// tile registers). Operations are rows of ops.def. Everything prints as text
// and what prints parses (docs/ir.md is the reference).
//
// Ownership: a module and all it contains live in one arena, named at creation.
// Nothing is freed one by one; types, dimensions' symbols and strings are
// interned per module, so that equality is pointer equality.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/scalar.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ir_module ir_module;
typedef struct ir_function ir_function;
typedef struct ir_block ir_block;
typedef struct ir_op ir_op;
typedef struct ir_value ir_value;
typedef struct ir_type ir_type;
typedef struct ir_global ir_global;
typedef struct ir_symbol ir_symbol;

// ---------------------------------------------------------------- dimensions

// A named size known when the program runs: "dim T in 1..512".
struct ir_symbol {
    const char *name; // interned
    int64_t minimum, maximum;
    location where;
};

// constant (symbol NULL), or coefficient * symbol: 2560, T, 32*T. Printed so.
typedef struct ir_dim {
    const ir_symbol *symbol;
    int64_t value; // the constant, or the coefficient (>= 1)
} ir_dim;

static inline ir_dim ir_dim_constant(int64_t value)
{
    return (ir_dim){0, value};
}
static inline bool ir_dim_equal(ir_dim a, ir_dim b)
{
    return a.symbol == b.symbol && a.value == b.value;
}
static inline bool ir_dim_is_constant(ir_dim d)
{
    return !d.symbol;
}
// The largest value the dimension can have (workspace sizes are planned for it).
int64_t ir_dim_maximum(ir_dim d);
void ir_dim_print(text *out, ir_dim d);

// --------------------------------------------------------------------- types

enum { IR_MAX_RANK = 6 };

typedef enum ir_type_kind {
    IR_INDEX,  // index: a 64-bit signed loop counter, size or position
    IR_SCALAR, // f32, i8, ...
    IR_TENSOR, // f16[T, 2560]                      graph level
    IR_WEIGHT, // w2g64[6912, 2560]                 a matrix in a weight format
    IR_TABLE,  // table<i8, scale = group(64), sums = 64>[T, 2560]
    IR_BUFFER, // buffer<f16>[?, 2560]              tile level: row-major memory
    IR_VECTOR, // vec<f32>                          one strip of a strip-mined loop
    IR_TILE,   // tile<plane>, tile<table>, tile<i32>, tile<f32>
} ir_type_kind;

// How the entries of an i8 table are scaled (XLUT: "i8 table scales").
typedef enum table_scale {
    TABLE_SCALE_NONE,  // f16 and i16 tables: scale 1
    TABLE_SCALE_ROW,   // one per row
    TABLE_SCALE_GROUP, // one per row and `group` activations
    TABLE_SCALE_SLICE, // one per row and quarter of the tile depth, found by lut.tbl (dynamic)
} table_scale;

enum { IR_TILE_REGISTERS = 32 }; // as ISA_TILE_REGISTERS
typedef enum tile_kind { TILE_PLANE, TILE_TABLE, TILE_I32, TILE_F32, TILE_MATRIX } tile_kind;
enum { TILE_KINDS = TILE_MATRIX + 1 };

struct ir_type {
    ir_type_kind kind;
    scalar_type scalar; // element: SCALAR, TENSOR, BUFFER, VECTOR; TABLE: i8, i16, f16
    const char *format; // WEIGHT: format name from the quant table ("w2g64", "ternary",
                        // "f16", ...), or "w": not decided yet. TABLE of a codebook: its
                        // name ("nf4"): entries are its numbers times activations
    table_scale scale;  // TABLE
    int64_t group;      // TABLE with TABLE_SCALE_GROUP: activations per scale
    int64_t sums;       // TABLE: activations per sum for offsets; 0: no sums kept
    unsigned parts;     // TABLE: 2 of i16 activations, whose bytes have tables of their own; else 1
    tile_kind tile;     // TILE
    bool multiplied;    // TABLE of a CPU: the activations as bytes, to be multiplied
    unsigned rank;
    ir_dim dims[IR_MAX_RANK]; // a buffer's first dimension may be unknown: value -1, prints "?"
};

const ir_type *ir_type_index(ir_module *m);
const ir_type *ir_type_scalar(ir_module *m, scalar_type s);
const ir_type *ir_type_tensor(ir_module *m, scalar_type s, unsigned rank, const ir_dim *dims);
const ir_type *ir_type_weight(ir_module *m, const char *format, unsigned rank, const ir_dim *dims);
const ir_type *ir_type_table(ir_module *m, scalar_type entry, table_scale scale, int64_t group,
                             int64_t sums, unsigned rank, const ir_dim *dims);
// The same table for a codebook; NULL: for signs.
const ir_type *ir_type_table_of_codebook(ir_module *m, const ir_type *table, const char *name);
// The same table in so many parts.
const ir_type *ir_type_table_in_parts(ir_module *m, const ir_type *table, unsigned parts);
// For products on CPUs that multiply bytes instead of looking entries up.
const ir_type *ir_type_table_multiplied(ir_module *m, const ir_type *table);
const ir_type *ir_type_buffer(ir_module *m, scalar_type s, unsigned rank, const ir_dim *dims);
const ir_type *ir_type_vector(ir_module *m, scalar_type s);
const ir_type *ir_type_tile(ir_module *m, tile_kind kind);
void ir_type_print(text *out, const ir_type *t);
static inline bool ir_type_is_float(const ir_type *t)
{
    return t->kind != IR_INDEX && t->kind != IR_WEIGHT && t->kind != IR_TILE &&
           scalar_is_float(t->scalar);
}
// Same rank and dimensions, whatever the elements.
bool ir_type_same_dims(const ir_type *a, const ir_type *b);
const ir_type *ir_type_with_scalar(ir_module *m, const ir_type *t, scalar_type s);

// ---------------------------------------------------------------- attributes

typedef enum ir_attribute_kind {
    IR_ATTR_INTEGER, // 64
    IR_ATTR_NUMBER,  // 1e-05
    IR_ATTR_BOOLEAN, // true, false
    IR_ATTR_NAME,    // a bare word: an enumerator, a scalar type: f16, row, half0
    IR_ATTR_TEXT,    // "..."
    IR_ATTR_LIST,    // [1, 2, 3] integers
} ir_attribute_kind;

typedef struct ir_attribute {
    const char *name; // interned
    ir_attribute_kind kind;
    int64_t integer; // INTEGER, BOOLEAN; LIST: the length
    double number;
    const char *text; // NAME, TEXT; interned
    const int64_t *list;
} ir_attribute;

// ---------------------------------------------------------------- operations

typedef enum ir_opcode {
#define OP(E, ...) IR_##E,
#include "compiler/ir/ops.def"
    IR_OPCODE_COUNT
} ir_opcode;

typedef enum ir_trait {
    IR_PURE = 1 << 0,        // no effect: may be merged, moved, removed
    IR_ELEMENTWISE = 1 << 1, // result[i] depends on operands' [i] alone, numpy broadcasting
    IR_COMMUTATIVE = 1 << 2,
    IR_ROWWISE = 1 << 3, // each result row depends on the operand's same row alone
    IR_TERMINATOR = 1 << 4,
    IR_GRAPH = 1 << 5, // the levels an op may stand in
    IR_TILE_LEVEL = 1 << 6,
    IR_KERNEL_BODY = 1 << 7, // may stand in a kernel's region
} ir_trait;

// A row of ops.def, parsed once. Signatures are lists "name:kinds" separated by
// ", ": kinds is one or more of  tensor weight table buffer vector tile index
// scalar  joined by '|' ("any" for all). Behind a name '?' marks an optional
// operand (NULL when absent; printed as "name = %v"), '*' a variadic rest (last).
// Attributes: "name:kind" or "name:kind = default" with kind integer, number,
// boolean, text, list, or a set of words "{a b c}".
typedef struct ir_op_row {
    const char *name;
    const char *operands, *results, *attributes;
    unsigned n_regions;
    unsigned traits;
    const char *doc;
} ir_op_row;
extern const ir_op_row ir_op_rows[IR_OPCODE_COUNT];
bool ir_opcode_by_name(const char *name, ir_opcode *out);

// Of whole numbers, y 0 where the operation has one operand; division truncates. False: it is none
// of whole numbers, divides by 0, or the result has more than 64 bits.
bool ir_evaluate_integer(ir_opcode code, int64_t x, int64_t y, int64_t *out);

// Position of a named operand in the row, or -1: ir_operand_slot(IR_LINEAR, "bias").
int ir_operand_slot(ir_opcode code, const char *name);

typedef struct ir_use {
    ir_op *op;
    unsigned slot;
    struct ir_use *next, **link; // the value's list of uses
    ir_value *value;             // NULL: optional operand absent
} ir_use;

typedef enum ir_value_kind { IR_VALUE_RESULT, IR_VALUE_ARGUMENT, IR_VALUE_GLOBAL } ir_value_kind;

struct ir_value {
    ir_value_kind kind;
    const ir_type *type;
    const char *name; // wish, may be NULL; the printer makes names unique
    ir_op *op;        // RESULT
    ir_block *block;  // ARGUMENT
    ir_global *global;
    unsigned index;
    ir_use *uses;
    int64_t mark; // scratch for the pass that is running
};

struct ir_op {
    ir_opcode code;
    location where;
    ir_block *block;
    ir_op *previous, *next;
    unsigned n_operands, n_results, n_regions;
    ir_use *operands;
    ir_value *results;
    ir_block **regions; // each region is one block
    ARRAY_OF(ir_attribute) attributes;
    int64_t mark;
};

struct ir_block {
    ir_op *parent; // NULL: a function's body
    ir_function *function;
    ir_op *first, *last;
    ARRAY_OF(ir_value *) arguments;
};

struct ir_function {
    const char *name; // interned
    location where;
    ir_module *module;
    bool entry; // callable from outside
    ir_block *body;
    ARRAY_OF(const ir_type *) results;
    ir_function *next;
};

typedef enum ir_global_kind {
    IR_GLOBAL_WEIGHT,   // from the weight file
    IR_GLOBAL_STATE,    // a tensor that is kept from call to call
    IR_GLOBAL_CONSTANT, // a tensor whose elements are known when compiling
} ir_global_kind;

enum { IR_CONSTANT_MAX_ELEMENTS = 1 << 20 };

struct ir_global {
    ir_global_kind kind;
    const char *name;   // "blk.0.wq"; printed @blk.0.wq
    const char *source; // weight: tensor name in the file; NULL: none given
    ir_value value;     // its type is the global's type (weight, or tensor for vectors and states)
    location where;
    const double *values; // CONSTANT: row-major, each one as its type holds it
    // Filled by pack-weights; printed when set.
    bool packed;
    uint64_t address, size; // guest address (64-byte aligned) and bytes
    ir_global *next;
};

struct ir_module {
    arena *arena;
    const char *name; // "ffn"
    // How far it was compiled, and what for, as the pipeline notes it; NULL: not said.
    const char *machine;      // machine description's name
    const char *architecture; // its part that code depends on
    const char *target;       // "riscv64", a CPU
    const char *after;        // the last pass of the usual pipeline that it is behind
    const source *text;       // what it was parsed from, or NULL; locations in it are not printed
    ARRAY_OF(ir_symbol *) symbols;
    ir_global *globals, *last_global;
    ir_function *functions, *last_function;
    void *intern; // private
};

ir_module *ir_module_create(arena *a, const char *name);
ir_symbol *ir_symbol_create(ir_module *m, const char *name, int64_t minimum, int64_t maximum,
                            location where);
ir_symbol *ir_symbol_find(const ir_module *m, const char *name);
ir_global *ir_global_create(ir_module *m, ir_global_kind kind, const char *name,
                            const ir_type *type, const char *origin, location where);
// `values` are copied and rounded to the type's elements, whose sizes are constant.
ir_global *ir_constant_create(ir_module *m, const char *name, const ir_type *type,
                              const double *values, location where);
int64_t ir_constant_count(const ir_global *g); // elements
ir_global *ir_global_find(const ir_module *m, const char *name);
ir_function *ir_function_create(ir_module *m, const char *name, bool entry, location where);
ir_function *ir_function_find(const ir_module *m, const char *name);
void ir_function_remove(ir_function *f);
const char *ir_intern(ir_module *m, const char *s);

// ------------------------------------------------------------------- building

// Where new operations go: before `before`, or at the end of `block`.
typedef struct ir_builder {
    ir_module *module;
    ir_block *block;
    ir_op *before; // NULL: at the end
    location where;
} ir_builder;

ir_builder ir_builder_at_end(ir_block *b);
ir_builder ir_builder_before(ir_op *op);
ir_builder ir_builder_after(ir_op *op);

ir_value *ir_block_argument(ir_block *b, const ir_type *type, const char *name);
ir_block *ir_block_create(ir_op *parent, ir_function *f);

// n_operands may be smaller than the row's: the missing optional ones are absent. The op's
// regions are there, empty.
ir_op *ir_build(ir_builder *b, ir_opcode code, unsigned n_operands, ir_value *const *operands,
                unsigned n_results, const ir_type *const *results);
// One result, up to three operands (NULL: absent).
ir_value *ir_build1(ir_builder *b, ir_opcode code, const ir_type *result, ir_value *x, ir_value *y,
                    ir_value *z);

void ir_set_integer(ir_op *op, const char *name, int64_t value);
void ir_set_number(ir_op *op, const char *name, double value);
void ir_set_boolean(ir_op *op, const char *name, bool value);
void ir_set_name(ir_op *op, const char *name, const char *word);
void ir_set_text(ir_op *op, const char *name, const char *value);
void ir_remove_attribute(ir_op *op, const char *name);
const ir_attribute *ir_find(const ir_op *op, const char *name); // NULL: not set
// With the row's default when not set; an error of ours when there is none.
int64_t ir_integer(const ir_op *op, const char *name);
double ir_number(const ir_op *op, const char *name);
bool ir_boolean(const ir_op *op, const char *name);
const char *ir_name(const ir_op *op, const char *name);
bool ir_name_is(const ir_op *op, const char *name, const char *word);

static inline ir_value *ir_operand(const ir_op *op, unsigned slot)
{
    return slot < op->n_operands ? op->operands[slot].value : NULL;
}
ir_value *ir_operand_named(const ir_op *op, const char *name); // NULL: absent
void ir_set_operand(ir_op *op, unsigned slot, ir_value *value);
static inline ir_value *ir_result(ir_op *op, unsigned index)
{
    return &op->results[index];
}

void ir_replace_uses(ir_value *from, ir_value *to);
bool ir_has_uses(const ir_value *v);
unsigned ir_count_uses(const ir_value *v);
void ir_op_remove(ir_op *op); // its results must have no uses
void ir_op_move_before(ir_op *op, ir_op *before);
void ir_op_move_to_end(ir_op *op, ir_block *b);
// Deep copy with operands mapped through `map` (from-value -> to-value pairs it
// extends with the results it makes); used for outlining and unrolling.
typedef struct ir_mapping ir_mapping;
ir_mapping *ir_mapping_create(arena *a);
void ir_mapping_set(ir_mapping *map, const ir_value *from, ir_value *to);
ir_value *ir_mapping_get(const ir_mapping *map, ir_value *from); // itself when not mapped
ir_op *ir_clone(ir_builder *b, const ir_op *op, ir_mapping *map);

#define IR_FOR_OPS(op, block) for (ir_op *op = (block)->first; op; op = op->next)
// Safe when the body removes `op`.
#define IR_FOR_OPS_SAFE(op, block)                                                                 \
    for (ir_op *op = (block)->first, *op##_next = op ? op->next : NULL; op;                        \
         op = op##_next, op##_next = op ? op->next : NULL)
// Every op of a block and the regions inside, outer before inner. `visit` may change the op and
// build others, not remove it.
void ir_walk(ir_block *b, void (*visit)(ir_op *op, void *context), void *context);

// ----------------------------------------------------- printing, parsing, checks

// Deterministic. Locations print as a trailing "// file:line:column", where they differ from that
// of the operation before ("// -": none), and parse back; ';' starts a comment.
void ir_print_module(text *out, const ir_module *m);

// NULL: errors were reported (several, each with line and caret). The result is
// verified already. Hostile input: nesting and counts are bounded.
ir_module *ir_parse(arena *a, diagnostics *d, const source *input);

// Checks structure, the rows' signatures, and each op's own typing rule
// (verify.c). False: errors reported at the ops' locations. A pass that leaves
// an invalid module behind has a bug: the pass manager turns that into one.
bool ir_verify(diagnostics *d, const ir_module *m);

// docs/ops.md: every row of ops.def as Markdown.
void ir_print_reference(text *out);

// Of two ops of one opcode: the same values, defaults included.
bool ir_same_attributes(const ir_op *a, const ir_op *b);
// Structural equality of two functions' bodies, names aside (kernel sharing).
bool ir_function_equal(const ir_function *a, const ir_function *b);
uint64_t ir_function_hash(const ir_function *f);
// The same of two blocks of one module that see nothing from outside but globals.
bool ir_block_equal(const ir_block *a, const ir_block *b);
uint64_t ir_block_hash(const ir_block *b);
