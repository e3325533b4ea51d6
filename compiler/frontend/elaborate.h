// The state of one compilation and what its parts offer each other. Private to
// the front end. Functions that return a value report errors themselves and
// return VALUE_POISON, on which everything is silent.
#pragma once

#include "compiler/frontend/ast.h"
#include "compiler/frontend/frontend.h"
#include "compiler/ir/signature.h"

typedef enum value_kind {
    VALUE_POISON,  // an error was reported
    VALUE_INTEGER, // compile-time values
    VALUE_NUMBER,
    VALUE_BOOLEAN,
    VALUE_TEXT,
    VALUE_DIMENSION, // a size: coefficient * symbol
    VALUE_RUNTIME,   // an IR value: tensor, scalar, index
    VALUE_WEIGHTS,   // a group of weights, an array of them, or one weight
    VALUE_STATE,     // a state or an array of states; read where it is used
    VALUE_TUPLE,     // several results of a call
} value_kind;

typedef struct weight_node weight_node;
typedef struct state_node state_node;
typedef struct value value;
struct value {
    value_kind kind;
    int64_t integer; // INTEGER, BOOLEAN; WEIGHTS: which instance; STATE: which element
    double number;
    const char *text;
    ir_dim dim;
    ir_value *runtime;
    weight_node *weights;
    state_node *state;
    bool array;         // WEIGHTS, STATE: an array that still needs its index
    const value *items; // TUPLE
    size_t count;
};

// A declared weight (leaf) or group of weights, with the arrays above it.
struct weight_node {
    const char *name;
    const weight_node *parent;
    location where;
    int64_t length;    // elements when it is an array, else 0
    int64_t instances; // product of the lengths from the root to here
    bool leaf;
    ARRAY_OF(weight_node *) fields; // of a group
    // Leaves:
    const ir_type *type; // weight (matrices) or tensor, of the module being built
    const ast_node *sources;
    unsigned ordinal, siblings; // place among the names of its declaration
    bool optional;
    ir_value **globals; // by instance, made on first use
};

struct state_node {
    const char *name;
    location where;
    int64_t length; // elements when it is an array, else 0
    const ir_type *type;
    ir_value **globals;
};

typedef enum declaration_kind {
    DECLARATION_CONST,
    DECLARATION_DIM,
    DECLARATION_WEIGHT,
    DECLARATION_STATE,
    DECLARATION_FUNCTION,
} declaration_kind;

typedef enum progress_state { NOT_STARTED, IN_PROGRESS, DONE } progress_state;

typedef struct declaration {
    declaration_kind kind;
    const char *name;
    location where;
    ast_node *syntax;
    progress_state progress;  // CONST, DIM: evaluation; FUNCTION: expansion
    value value;              // CONST
    const char *override;     // CONST: from the command line
    int64_t minimum, maximum; // DIM
    ir_symbol *symbol;        // DIM, made on first use
    weight_node *weight;
    state_node *state;
} declaration;

// A local name. `target` is where it was assigned, marked when it is read.
typedef struct binding {
    const char *name;
    value value;
    ast_node *target;
} binding;

// What a declared type says, its dimensions aside.
typedef enum spec_kind {
    SPEC_ERROR,
    SPEC_INDEX, // compile-time: a whole number, a number, a truth value, a text
    SPEC_NUMBER,
    SPEC_BOOLEAN,
    SPEC_TEXT,
    SPEC_GROUP, // an element of a group of weights
    SPEC_SCALAR,
    SPEC_TENSOR,
    SPEC_WEIGHT,
} spec_kind;

typedef struct type_spec {
    spec_kind kind;
    scalar_type scalar;
    const char *format;
    weight_node *group;
    const ast_node *dims; // LIST, or EMPTY
} type_spec;

typedef struct frontend {
    arena *arena;
    diagnostics *diagnostics;
    const frontend_options *options;
    const source *source;
    ir_module *module;
    ast_node *file;
    ARRAY_OF(declaration *) declarations;
    ARRAY_OF(const char *) failed; // weights with errors of their own: silent where used
    ARRAY_OF(binding) bindings;
    size_t frame;             // first binding of the function being expanded
    ir_builder *builder;      // NULL outside functions
    ARRAY_OF(location) calls; // open calls, outermost first
    ARRAY_OF(location) reported;
    bool muted;                // the last error was a repetition: its notes are dropped
    bool exhausted;            // the limit of steps was reported
    size_t steps;              // expressions and statements expanded so far
    unsigned depth;            // of evaluation
    int64_t weights;           // declared, arrays multiplied out
    const ast_node *defaulted; // the first meta(...) whose key the weight file lacks
    size_t errors;
    ARRAY_OF(ir_global *) constants; // of the module, made by the front end
    int64_t constant_elements;       // computed so far
} frontend;

// ------------------------------------------------------------------ report.c

static inline value poison(void)
{
    return (value){0};
}
static inline bool is_poison(value v)
{
    return v.kind == VALUE_POISON;
}

// Reports once per place (functions are expanded at every call), with notes on
// the open calls. Returns poison.
value fail(frontend *f, location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void note(frontend *f, location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// "; did you mean 'x'?", or "" for NULL.
const char *did_you_mean(frontend *f, const char *nearest);
// The same with the candidate that is nearest to `name`.
const char *suggestion(frontend *f, const char *name, const char *const *candidates, size_t count);
// "f16[T, 64]", "the whole number 3", "a group of weights".
const char *describe(frontend *f, value v);
const char *describe_type(frontend *f, const ir_type *t);
const char *describe_dim(frontend *f, ir_dim d);
// The text an expression was written as, shortened.
const char *describe_syntax(frontend *f, const ast_node *n);
// Counts work; false (after one error) when the program expands without end.
bool step(frontend *f, location where);
// One level deeper in evaluation, ended by leave(). False: too deep, reported.
bool enter(frontend *f, location where);
static inline void leave(frontend *f)
{
    f->depth--;
}

// ---------------------------------------------------------------- constant.c

value value_integer(int64_t x);
value value_number(double x);
value value_boolean(bool x);
value value_text(const char *x);
value value_dim(ir_dim d);
static inline bool is_number(value v)
{
    return v.kind == VALUE_INTEGER || v.kind == VALUE_NUMBER;
}
static inline bool is_size(value v)
{
    return v.kind == VALUE_INTEGER || v.kind == VALUE_DIMENSION;
}
double value_as_double(value v);
bool is_compile_time(value v);
// Compile-time operators. *done is false, and nothing reported, when the result exists only at
// run time (T + 1).
value fold_unary(frontend *f, location where, const char *op, value x);
value fold_binary(frontend *f, location where, const char *op, value x, value y, bool *done);
// The value rounded to a type.
value fold_cast(frontend *f, location where, scalar_type t, value x);

// ----------------------------------------------------------------- declare.c

// False: an assertion does not hold, so that nothing more is worth checking.
bool declare_all(frontend *f);
// NULL: the name is taken, which was reported.
declaration *declare(frontend *f, declaration_kind kind, ast_node *syntax, const char *name,
                     location where);
declaration *declaration_find(const frontend *f, const char *name);
// The value of a constant, dimension, weight or state by its declaration.
value declaration_value(frontend *f, declaration *d, location where);
const char *const *declaration_names(frontend *f, size_t *count);
// An expression that must be a whole number within limits; `what` names it in the message.
bool evaluate_whole(frontend *f, ast_node *n, const char *what, int64_t minimum, int64_t maximum,
                    int64_t *out);
value evaluate_meta(frontend *f, ast_node *call);
value evaluate_count(frontend *f, ast_node *call);
// has(weight): whether the file has an optional weight.
value evaluate_has(frontend *f, ast_node *call);
// False: the assertion does not hold, which was reported.
bool evaluate_assert(frontend *f, ast_node *n);

// ----------------------------------------------------------------- weights.c

enum { WEIGHTS_MAX_LEVELS = 4 };

void weights_declare(frontend *f, ast_node *syntax);
value weights_member(frontend *f, location where, value group, const char *name);
value weights_index(frontend *f, location where, value array, value index);
// The IR value of one weight, declared in the module on first use.
ir_value *weights_global(frontend *f, weight_node *leaf, int64_t instance);
// An optional weight that the file lacks.
bool weights_absent(frontend *f, value v);
// Reports one, used where it cannot be left out.
bool weights_require(frontend *f, const ast_node *n, value v);
// One weight that is a matrix, not a tensor.
static inline bool is_weight_matrix(value v)
{
    return v.kind == VALUE_WEIGHTS && !v.array && v.weights->leaf &&
           v.weights->type->kind == IR_WEIGHT;
}
ir_value *state_global(frontend *f, state_node *s, int64_t element);
const char *weights_path(frontend *f, const weight_node *n, int64_t instance);    // "blk.0.wq"
const char *weights_written(frontend *f, const weight_node *n, int64_t instance); // "blk[0].wq"
const char *weights_fields(frontend *f, const weight_node *group);                // "wq, wk, wv"
weight_node *weights_field(const weight_node *group, const char *name);           // NULL: none
// Whether the declaration of a weight or group of this name was refused.
bool weights_failed(const frontend *f, const char *name);
// The indices of an instance, outermost first; returns how many arrays there are.
unsigned weights_indices(const weight_node *n, int64_t instance, int64_t *out);

// ------------------------------------------------------------- weight_file.c

// Every tensor that the program names is in the file, with its shape; all that are not are
// reported.
void weights_check(frontend *f);
// The tensor's name in the file: the first source that is there; without a file, or without any
// of them there, the first. *alias: the weight whose tensor it is, or NULL. NULL: reported.
const char *weights_source(frontend *f, const weight_node *leaf, int64_t instance,
                           weight_node **alias);
bool weights_in_file(const frontend *f, const char *name, frontend_tensor *out);
// The file has one of a weight's sources; false without a file.
bool weights_present(frontend *f, const weight_node *leaf, int64_t instance);

// -------------------------------------------------------------------- type.c

type_spec type_resolve(frontend *f, const ast_node *type);
// An element type: its own name, or that of a constant which is the text of it. False: neither.
bool type_scalar(frontend *f, const char *name, location where, scalar_type *out);
bool type_dim(frontend *f, ast_node *n, ir_dim *out);
bool type_dims(frontend *f, const ast_node *dims, unsigned *rank, ir_dim *out);
// NULL: reported (too many dimensions, too many elements).
const ir_type *type_tensor(frontend *f, location where, scalar_type s, unsigned rank,
                           const ir_dim *dims);
const ir_type *type_of_spec(frontend *f, location where, const type_spec *s);
// numpy broadcasting of two numeric types with equal elements. NULL: reported.
const ir_type *type_broadcast(frontend *f, location where, const char *op, const ir_type *x,
                              const ir_type *y);
bool type_same_count(const ir_type *t, unsigned rank, const ir_dim *dims);
// The element's name: "f16", "index".
const char *type_element(const ir_type *t);
bool type_same_element(const ir_type *a, const ir_type *b);

// -------------------------------------------------------------- expression.c

value evaluate(frontend *f, ast_node *n);
// The name of a function that the language has.
bool is_builtin(const char *name);
// As a value of the IR: states are read, single weights become tensors; numbers and sizes take
// the element type of `like`. NULL: reported, or poison.
ir_value *runtime(frontend *f, const ast_node *n, value v, const ir_type *like);
ir_value *emit(frontend *f, location where, ir_opcode code, const ir_type *result, ir_value *x,
               ir_value *y, ir_value *z);
ir_value *emit_cast(frontend *f, location where, ir_value *x, scalar_type s);
value runtime_value(ir_value *v);
// A two-operand elementwise operation on runtime values, with the rules of infix operators.
value evaluate_elementwise(frontend *f, location where, const char *name, ir_opcode code,
                           const ast_node *left, value x, const ast_node *right, value y);

// ------------------------------------- builtin.c, linear.c, sequence.c, rope.c

enum { BUILTIN_MAX_ATTRIBUTES = 16 };

typedef struct builtin_parameter {
    char name[24];
    bool optional;
} builtin_parameter;

// One call of a built-in function, its arguments sorted. The attributes of the operation are the
// first ones, those that only the language has follow.
typedef struct builtin_row builtin_row;
typedef struct builtin_call {
    const builtin_row *row;
    ast_node *syntax;
    const ir_signature *signature;
    unsigned n_operands, n_attributes;
    builtin_parameter operand_rows[IR_MAX_SLOTS], attribute_rows[BUILTIN_MAX_ATTRIBUTES];
    ast_node *operands[IR_MAX_SLOTS]; // NULL: absent
    value values[IR_MAX_SLOTS];
    ast_node *attributes[BUILTIN_MAX_ATTRIBUTES];
} builtin_call;
typedef value builtin_rule(frontend *f, const builtin_call *c);

struct builtin_row {
    const char *name;
    ir_opcode code;
    const char *operands, *attributes; // as builtins.def says
    builtin_rule *rule;
    double (*fold)(double);
    const char *doc;
};

// *known is false when no built-in function has this name.
value evaluate_builtin(frontend *f, ast_node *call, bool *known);
const char *const *builtin_names(size_t *count);
// For rules: an operand as a run-time value (NULL: absent, or reported), and what attributes say;
// *inout keeps its value where one is absent. False: reported.
ir_value *builtin_operand(frontend *f, const builtin_call *c, unsigned slot);
ast_node *builtin_attribute(const builtin_call *c, const char *name); // NULL: absent
bool builtin_float_type(frontend *f, const builtin_call *c, scalar_type otherwise,
                        scalar_type *out);
bool builtin_number(frontend *f, const builtin_call *c, const char *name, double *inout);
// `words`: "none linear yarn}", as in ir_attribute_row.
bool builtin_word(frontend *f, const builtin_call *c, const char *name, const char *words,
                  const char **inout);
// Sets the operation's own attributes.
bool builtin_attributes(frontend *f, const builtin_call *c, ir_op *op);
value builtin_finish(frontend *f, const builtin_call *c, ir_value *v);
value builtin_wrong_operand(frontend *f, const builtin_call *c, unsigned slot, const char *wanted,
                            const char *found);
builtin_rule rule_linear, rule_embedding, rule_range, rule_rope, rule_attend;
// Room for the elements of a constant. NULL: too many in all, reported.
double *constant_values(frontend *f, location where, int64_t count);
// A constant of the module, the same for the same content. `values` are rounded to the type.
ir_value *constant_vector(frontend *f, const char *name, scalar_type s, int64_t count,
                          double *values, location where);
// The positions of all tokens of x [.., T, H, D], i32[.., T], from an argument that has them or
// those of the first tokens. NULL: reported.
ir_value *token_positions(frontend *f, const builtin_call *c, unsigned slot, const ir_type *x);

// ---------------------------------------------------------------- subscript.c

// x[:, T - 1], k[i][pos : pos + T], read.
value subscript_read(frontend *f, ast_node *n, value base);
// The same as the target of an assignment to a state, or (not `part`) all of the state.
void subscript_write(frontend *f, ast_node *target, value state, bool part, const ast_node *from,
                     ir_value *x);
// A whole number computed at run time as an index. NULL: reported.
ir_value *runtime_position(frontend *f, const ast_node *n, value v);

// ------------------------------------------------------ function.c, statement.c

// A return statement that was reached, with its values.
typedef struct returned {
    const ast_node *syntax; // NULL: none was
    const value *items;
    size_t count;
} returned;

value call_function(frontend *f, declaration *d, ast_node *call);
void expand_entry(frontend *f, declaration *d);
// A function that nothing calls, on parameters made up for it where that can be. `warn`: says that
// nothing does.
void check_alone(frontend *f, declaration *d, bool warn);
// Expands statements up to the first return.
returned expand_block(frontend *f, ast_node *block);
void bind(frontend *f, const char *name, value v, ast_node *target);
binding *binding_find(frontend *f, const char *name);
// Warnings about what the function's text says and nothing uses.
void warn_unused(frontend *f, const ast_node *function);
