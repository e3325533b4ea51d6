// Shared by the files that turn tile-level operations into LLVM IR. Private to
// this folder.
//
// How values are held: index, scalars and buffers as i64, their type, and ptr
// (bf16 and the 8-bit floats as their bits, i1 as i1). A vector is a scalable
// LLVM vector, or, while all of its lanes are known to be equal, the scalar they
// equal: vector_of makes lanes where lanes are needed. Tiles have no LLVM value:
// they are the registers that assign-tile-registers chose.
#pragma once

#include "compiler/codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>

typedef struct debug_info {
    LLVMDIBuilderRef builder; // NULL: no debug information
    LLVMMetadataRef unit, type;
    ARRAY_OF(struct debug_file {
        const source *source;
        LLVMMetadataRef file;
    })
    files;
    LLVMMetadataRef function; // scope of the function being emitted
    const source *function_source;
} debug_info;

typedef struct emitter {
    arena *arena;
    diagnostics *diagnostics;
    const codegen_options *options;
    ir_module *module;
    LLVMContextRef context;
    LLVMModuleRef llvm;
    LLVMBuilderRef builder;
    ARRAY_OF(LLVMValueRef) values; // by ir_value.mark
    debug_info debug;

    const target_level *level;   // of a CPU; NULL: RISC-V
    const ir_function *function; // being emitted
    LLVMValueRef llvm_function;
    int64_t first_value; // of `values`: the first one of this function
    // Of an entry; NULL in other functions.
    LLVMValueRef words, workspace, states, rank, ranks, scratch;
    LLVMValueRef run, weights; // of a CPU
    LLVMValueRef barrier;      // the function; NULL: not called yet
    location where;            // of the operation being emitted

    // Inside a strip; lanes is 0 outside.
    unsigned lanes;                  // minimum lanes of a vector: <vscale x lanes x T>
    LLVMValueRef vl, evl;            // lanes of this strip, as i64 and i32
    LLVMValueRef mask;               // of a CPU: the lanes of a tail; NULL: all of them
    ARRAY_OF(LLVMValueRef) products; // of this block, behind the last strip beside them
    bool scalings;                   // these are what the dequantizer adds: there are no others
} emitter;

// emit.c
void emit_module(emitter *e);
void emit_block(emitter *e, const ir_block *b); // all but the terminator
void emit_operation(emitter *e, ir_op *op);
void begin_function(emitter *e, const ir_function *f, LLVMValueRef llvm); // binds arguments
void end_function(emitter *e, location where);
void bind_value(emitter *e, ir_value *v, LLVMValueRef llvm);
LLVMValueRef value_of(emitter *e, const ir_value *v);
void bind_undefined(emitter *e, ir_op *op); // after an error: something for every result
void emit_error(emitter *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
LLVMBasicBlockRef new_block(emitter *e, const char *name);
void emit_functions(emitter *e); // of one level
const char *symbol_of(emitter *e, const ir_function *f);
void add_attributes(emitter *e, LLVMValueRef f, bool entry);
// A function that only code of this module calls.
LLVMValueRef internal_function(emitter *e, const char *name, LLVMTypeRef type);
void bind_entry_arguments(emitter *e, const ir_function *f);

// parts.c: an entry that is too long for one function. False: it is not, nothing is emitted.
bool emit_in_parts(emitter *e, const ir_function *f, LLVMValueRef entry);

// types.c
LLVMTypeRef scalar_llvm_type(emitter *e, scalar_type s);
LLVMTypeRef value_llvm_type(emitter *e, const ir_type *t); // not of vectors and tiles
LLVMTypeRef int_type(emitter *e, unsigned bits);
LLVMTypeRef vector_type(emitter *e, LLVMTypeRef element, unsigned lanes);
LLVMTypeRef like(LLVMValueRef shape, LLVMTypeRef element); // `element` or a vector as wide as shape
bool is_vector(LLVMValueRef v);
unsigned lanes_of(LLVMValueRef v); // 0 for a scalar
LLVMTypeRef element_of(LLVMValueRef v);
LLVMValueRef int_constant(emitter *e, unsigned bits, int64_t value);
LLVMValueRef constant_like(LLVMValueRef shape, double value); // a scalar of shape's element type
LLVMValueRef bits_like(LLVMValueRef shape, int64_t value);
LLVMValueRef vector_of(emitter *e, LLVMValueRef v, unsigned lanes);
// At most eight vector registers; false: reported. Operations that LLVM can split
// may go beyond on their way, values and RISC-V's own intrinsics may not.
bool fits_registers(emitter *e, LLVMValueRef v);

// primitive.c: operations on scalars and on a strip's vectors alike. When one
// operand is a vector, scalars are taken for vectors of equal lanes.
typedef enum primitive {
#define PRIMITIVE(E, name, arity, opcode) P_##E,
#include "compiler/codegen/primitives.def"
} primitive;
LLVMValueRef primitive1(emitter *e, primitive p, LLVMValueRef x);
LLVMValueRef primitive2(emitter *e, primitive p, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef primitive3(emitter *e, primitive p, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);
static inline LLVMValueRef float_add(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    return primitive2(e, P_FADD, x, y);
}
static inline LLVMValueRef float_sub(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    return primitive2(e, P_FSUB, x, y);
}
static inline LLVMValueRef float_mul(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    return primitive2(e, P_FMUL, x, y);
}
// Conversions to `element` lanes.
typedef enum conversion {
#define CONVERSION(E, name, opcode) C_##E,
#include "compiler/codegen/primitives.def"
} conversion;
LLVMValueRef convert(emitter *e, conversion c, LLVMValueRef x, LLVMTypeRef element);
LLVMValueRef reinterpret(emitter *e, LLVMValueRef x, LLVMTypeRef element);
LLVMValueRef compare_float(emitter *e, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef compare_int(emitter *e, LLVMIntPredicate p, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef choose(emitter *e, LLVMValueRef condition, LLVMValueRef x, LLVMValueRef y);
// x in this strip's lanes, y in the others.
LLVMValueRef merge_tail(emitter *e, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef call_intrinsic(emitter *e, const char *name, unsigned n_overloads,
                            LLVMTypeRef *overloads, unsigned n, LLVMValueRef *arguments);
LLVMValueRef all_lanes(emitter *e, unsigned lanes); // the mask of all ones

// assembly.c: a statement of inline assembly, which stays where it is and in order with others.
enum { ASSEMBLY_OPERANDS = 3 };
LLVMValueRef assembly(emitter *e, const char *code, const char *constraints, LLVMTypeRef result,
                      LLVMValueRef *operands, unsigned n);

// convert.c: between the values of scalar types, as `cast` defines it.
LLVMValueRef cast_scalar_type(emitter *e, LLVMValueRef x, scalar_type from, scalar_type to);

// math.c: functions of f32, sin and cos of f64 too; the error bounds are stated there and tested.
LLVMValueRef math_exp(emitter *e, LLVMValueRef x);
LLVMValueRef math_exp_nonpositive(emitter *e, LLVMValueRef x);
LLVMValueRef math_tanh(emitter *e, LLVMValueRef x);
LLVMValueRef math_erf(emitter *e, LLVMValueRef x);
LLVMValueRef math_sigmoid(emitter *e, LLVMValueRef x);
LLVMValueRef math_silu(emitter *e, LLVMValueRef x);
LLVMValueRef math_gelu_erf(emitter *e, LLVMValueRef x);
LLVMValueRef math_gelu_tanh(emitter *e, LLVMValueRef x);
LLVMValueRef math_sin(emitter *e, LLVMValueRef x);
LLVMValueRef math_cos(emitter *e, LLVMValueRef x);

// The groups of operations, each function emitting one.
void emit_elementwise(emitter *e, ir_op *op); // elementwise.c, also constant and rem
// The type an operation is computed in, its operands in a type, its result from one.
scalar_type compute_type(const ir_op *op, bool as_float);
LLVMValueRef operand_as(emitter *e, const ir_op *op, unsigned slot, scalar_type t);
void bind_result(emitter *e, ir_op *op, LLVMValueRef v, scalar_type computed);
// What leaves every other value as it is: of "add", "max", "min".
LLVMValueRef identity_of(LLVMValueRef x, const char *by, bool floating);
LLVMValueRef number_constant(emitter *e, scalar_type t, double value); // as a value of type t
void emit_compare(emitter *e, ir_op *op);
void emit_select(emitter *e, ir_op *op);
void emit_reduce(emitter *e, ir_op *op);
void emit_lane(emitter *e, ir_op *op);
void emit_for(emitter *e, ir_op *op); // control.c
void emit_strip(emitter *e, ir_op *op);
void emit_if(emitter *e, ir_op *op);
void emit_trap(emitter *e, ir_op *op);
void emit_call(emitter *e, ir_op *op);
void emit_barrier(emitter *e, ir_op *op);
void emit_barrier_function(emitter *e); // if it is called
void emit_rank(emitter *e, ir_op *op);  // memory.c, also ranks
void emit_dimension(emitter *e, ir_op *op);
void emit_alloc(emitter *e, ir_op *op);
void emit_address(emitter *e, ir_op *op);
void emit_constant_globals(emitter *e);
void emit_view(emitter *e, ir_op *op);
void emit_load(emitter *e, ir_op *op);
void emit_store(emitter *e, ir_op *op);
void emit_vload(emitter *e, ir_op *op);
void emit_vload_pairs(emitter *e, ir_op *op);
void emit_vstore_pairs(emitter *e, ir_op *op);
void emit_vstore(emitter *e, ir_op *op);
void emit_prefetch(emitter *e, ir_op *op); // prefetch.c
// The address of element [at..] of the buffer, `at` being the operands from `first` on.
LLVMValueRef element_address(emitter *e, const ir_op *op, const ir_value *buffer, unsigned first);
LLVMTypeRef memory_type(emitter *e, scalar_type s); // i1 is a byte in memory, 0 or 1
LLVMValueRef from_memory(emitter *e, LLVMValueRef x, scalar_type s);
LLVMValueRef to_memory(emitter *e, LLVMValueRef x, scalar_type s);
void emit_xlut(emitter *e, ir_op *op); // xlut.c
// The address of a buffer in two parts, the second a constant: constants that
// views add are taken out of the address computation.
LLVMValueRef split_address(emitter *e, const ir_value *buffer, int64_t *constant);

// beside.c
void note_product(emitter *e, LLVMValueRef product, bool scaling);
void emit_strip_beside(emitter *e, ir_op *op);

// debug.c
void debug_begin(emitter *e);
void debug_function(emitter *e, LLVMValueRef function);
void debug_location(emitter *e, location where);
void debug_end(emitter *e);

// Strips: `width` in bits gives the minimum lanes of a vector, LMUL 4 for the
// widest element; of a CPU, its lanes.
unsigned strip_lanes(const emitter *e, unsigned width);
unsigned strip_width(const ir_op *op);
// Lanes for as many of the elements that are left as fit, of this width, LMUL 4.
LLVMValueRef set_lanes(emitter *e, LLVMValueRef left, unsigned width);
