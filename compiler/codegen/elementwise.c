// Elementwise operations on index, scalar and vector values: operands are
// converted to the type that the operation is computed in, the result is rounded
// once to its own type.
#include "compiler/codegen/emit.h"

#include <math.h>
#include <string.h>

static scalar_type element_type(const ir_type *t)
{
    return t->kind == IR_INDEX ? SCALAR_I64 : t->scalar;
}

static bool has_operand(const ir_op *op, bool (*is)(const ir_type *t))
{
    for (unsigned i = 0; i < op->n_operands; i++)
        if (op->operands[i].value && is(op->operands[i].value->type))
            return true;
    return false;
}

static bool is_f64(const ir_type *t)
{
    return element_type(t) == SCALAR_F64;
}
static bool is_float(const ir_type *t)
{
    return scalar_is_float(element_type(t));
}
static bool is_i64(const ir_type *t)
{
    return element_type(t) == SCALAR_I64;
}
static bool is_index(const ir_type *t)
{
    return t->kind == IR_INDEX;
}

// The type an operation is computed in: f64, f32, i64 or i32. Integers below 32
// bits thus do not overflow before their result saturates.
scalar_type compute_type(const ir_op *op, bool as_float)
{
    const ir_type *result = op->results[0].type;
    if (has_operand(op, is_f64) || is_f64(result))
        return SCALAR_F64;
    if (as_float || has_operand(op, is_float) || is_float(result))
        return SCALAR_F32;
    return has_operand(op, is_i64) || is_i64(result) ? SCALAR_I64 : SCALAR_I32;
}

LLVMValueRef operand_as(emitter *e, const ir_op *op, unsigned slot, scalar_type t)
{
    const ir_value *v = op->operands[slot].value;
    return cast_scalar_type(e, value_of(e, v), element_type(v->type), t);
}

// ------------------------------------------------------------------ arithmetic

// Operations that are one primitive on floats and one on integers.
static const struct arithmetic_row {
    ir_opcode code;
    primitive on_float, on_int;
} arithmetic_rows[] = {{IR_ADD, P_FADD, P_ADD},    {IR_SUB, P_FSUB, P_SUB},
                       {IR_MUL, P_FMUL, P_MUL},    {IR_DIV, P_FDIV, P_SDIV},
                       {IR_MAX, P_MAXNUM, P_SMAX}, {IR_MIN, P_MINNUM, P_SMIN}};

static const struct arithmetic_row *arithmetic_row(ir_opcode code)
{
    for (size_t i = 0; i < sizeof arithmetic_rows / sizeof *arithmetic_rows; i++)
        if (arithmetic_rows[i].code == code)
            return &arithmetic_rows[i];
    return NULL;
}

static LLVMValueRef arithmetic(emitter *e, ir_opcode code, LLVMValueRef x, LLVMValueRef y,
                               bool floating)
{
    const struct arithmetic_row *row = arithmetic_row(code);
    return primitive2(e, floating ? row->on_float : row->on_int, x, y);
}

static LLVMValueRef negate(emitter *e, LLVMValueRef x, bool floating)
{
    return floating ? primitive1(e, P_FNEG, x) : primitive2(e, P_SUB, bits_like(x, 0), x);
}

static LLVMValueRef absolute(emitter *e, LLVMValueRef x, bool floating)
{
    return floating ? primitive1(e, P_FABS, x) : primitive2(e, P_SMAX, x, negate(e, x, false));
}

static LLVMValueRef zero_like(LLVMValueRef x)
{
    return LLVMConstNull(element_of(x));
}

static LLVMValueRef multiply_add(emitter *e, LLVMValueRef *x, bool floating)
{
    if (floating)
        return primitive3(e, P_FMA, x[0], x[1], x[2]);
    return primitive2(e, P_ADD, primitive2(e, P_MUL, x[0], x[1]), x[2]);
}

// As RISC-V divides: x / 0 is -1, x % 0 is x, and the quotient by -1 wraps. LLVM leaves them
// undefined, so it divides by 1 there.
static LLVMValueRef divide(emitter *e, LLVMValueRef x, LLVMValueRef y, bool remainder)
{
    LLVMValueRef one = bits_like(y, 1), minus_one = bits_like(y, -1);
    LLVMValueRef by_zero = compare_int(e, LLVMIntEQ, y, bits_like(y, 0));
    LLVMValueRef by_minus_one = compare_int(e, LLVMIntEQ, y, minus_one);
    LLVMValueRef safe = choose(e, by_zero, one, choose(e, by_minus_one, one, y));
    if (remainder)
        return choose(e, by_zero, x, primitive2(e, P_SREM, x, safe));
    LLVMValueRef quotient = primitive2(e, P_SDIV, x, safe);
    quotient = choose(e, by_minus_one, negate(e, x, false), quotient);
    return choose(e, by_zero, minus_one, quotient);
}

static LLVMValueRef simple(emitter *e, const ir_op *op, LLVMValueRef *x, bool floating)
{
    bool index = op->results[0].type->kind == IR_INDEX; // sizes: positive
    if ((op->code == IR_DIV || op->code == IR_REM) && !floating && !index)
        return divide(e, x[0], x[1], op->code == IR_REM);
    switch (op->code) {
    case IR_REM: return primitive2(e, P_SREM, x[0], x[1]);
    case IR_FMA: return multiply_add(e, x, floating);
    case IR_NEG: return negate(e, x[0], floating);
    case IR_ABS: return absolute(e, x[0], floating);
    case IR_SQUARE: return arithmetic(e, IR_MUL, x[0], x[0], floating);
    case IR_RELU: return arithmetic(e, IR_MAX, x[0], zero_like(x[0]), floating);
    case IR_ROUND: return floating ? primitive1(e, P_RINT, x[0]) : x[0];
    default: return arithmetic(e, op->code, x[0], x[1], floating);
    }
}

// ------------------------------------------------------------------- functions

static LLVMValueRef reciprocal_root(emitter *e, LLVMValueRef x)
{
    LLVMValueRef root = primitive1(e, P_SQRT, x);
    return primitive2(e, P_FDIV, constant_like(root, 1.0), root);
}

static LLVMValueRef square_root(emitter *e, LLVMValueRef x)
{
    return primitive1(e, P_SQRT, x);
}

// Operations that are functions of one float. `f64`: also exact enough there.
static const struct function_row {
    ir_opcode code;
    LLVMValueRef (*emit)(emitter *e, LLVMValueRef x);
    bool f64;
} function_rows[] = {
    {IR_SQRT, square_root, true}, {IR_RSQRT, reciprocal_root, true},
    {IR_EXP, math_exp, false},    {IR_TANH, math_tanh, false},
    {IR_ERF, math_erf, false},    {IR_SIGMOID, math_sigmoid, false},
    {IR_SILU, math_silu, false},  {IR_GELU, math_gelu_erf, false},
    {IR_SIN, math_sin, true},     {IR_COS, math_cos, true},
};

static const struct function_row *function_row(ir_opcode code)
{
    for (size_t i = 0; i < sizeof function_rows / sizeof *function_rows; i++)
        if (function_rows[i].code == code)
            return &function_rows[i];
    return NULL;
}

static LLVMValueRef function(emitter *e, const ir_op *op, const struct function_row *row,
                             LLVMValueRef x, scalar_type type)
{
    if (type == SCALAR_F64 && !row->f64) {
        emit_error(e, "'%s' is generated for f32 and narrower, not for f64; convert with f32(..)",
                   ir_op_rows[op->code].name);
        return x;
    }
    if (op->code == IR_GELU && ir_name_is(op, "form", "tanh"))
        return math_gelu_tanh(e, x);
    if (op->code == IR_EXP && ir_name_is(op, "of", "nonpositive"))
        return math_exp_nonpositive(e, x);
    return row->emit(e, x);
}

// ------------------------------------------------------------------------- ops

// Index arithmetic does not overflow: it counts bytes and elements of memory.
static void mark_no_wrap(LLVMValueRef v)
{
    if (!LLVMIsAInstruction(v))
        return;
    LLVMOpcode code = LLVMGetInstructionOpcode(v);
    if (code == LLVMAdd || code == LLVMSub || code == LLVMMul)
        LLVMSetNSW(v, true);
}

void bind_result(emitter *e, ir_op *op, LLVMValueRef v, scalar_type computed)
{
    scalar_type to = element_type(op->results[0].type);
    bind_value(e, ir_result(op, 0), cast_scalar_type(e, v, computed, to));
}

LLVMValueRef number_constant(emitter *e, scalar_type t, double value)
{
    if (t == SCALAR_F64 || t == SCALAR_F32 || t == SCALAR_F16)
        return LLVMConstReal(scalar_llvm_type(e, t), scalar_round(t, value));
    uint64_t bits = 0;
    scalar_store(t, &bits, value);
    return LLVMConstInt(scalar_llvm_type(e, t), bits, false);
}

static void emit_constant(emitter *e, ir_op *op)
{
    const ir_attribute *a = ir_find(op, "value");
    scalar_type t = element_type(op->results[0].type);
    LLVMValueRef v;
    if (a && a->kind == IR_ATTR_INTEGER && !scalar_is_float(t))
        v = LLVMConstInt(scalar_llvm_type(e, t), (unsigned long long)a->integer, true);
    else
        v = number_constant(e, t, ir_number(op, "value"));
    bind_value(e, ir_result(op, 0), v);
}

void emit_elementwise(emitter *e, ir_op *op)
{
    if (op->code == IR_CONSTANT) {
        emit_constant(e, op);
        return;
    }
    if (op->code == IR_CAST) {
        bind_result(e, op, value_of(e, ir_operand(op, 0)), element_type(ir_operand(op, 0)->type));
        return;
    }
    const struct function_row *row = function_row(op->code);
    scalar_type type = compute_type(op, row != NULL);
    LLVMValueRef x[3] = {0};
    for (unsigned i = 0; i < op->n_operands; i++)
        x[i] = operand_as(e, op, i, type);
    LLVMValueRef y =
        row ? function(e, op, row, x[0], type) : simple(e, op, x, scalar_is_float(type));
    if (has_operand(op, is_index))
        mark_no_wrap(y);
    bind_result(e, op, y, type);
}

// ---------------------------------------------------------- compare and select

static const struct comparison_row {
    const char *word;
    LLVMRealPredicate on_float;
    LLVMIntPredicate on_int;
} comparison_rows[] = {{"eq", LLVMRealOEQ, LLVMIntEQ},  {"ne", LLVMRealUNE, LLVMIntNE},
                       {"lt", LLVMRealOLT, LLVMIntSLT}, {"le", LLVMRealOLE, LLVMIntSLE},
                       {"gt", LLVMRealOGT, LLVMIntSGT}, {"ge", LLVMRealOGE, LLVMIntSGE}};

void emit_compare(emitter *e, ir_op *op)
{
    scalar_type type = compute_type(op, false);
    LLVMValueRef x = operand_as(e, op, 0, type), y = operand_as(e, op, 1, type);
    for (size_t i = 0; i < sizeof comparison_rows / sizeof *comparison_rows; i++) {
        const struct comparison_row *row = &comparison_rows[i];
        if (ir_name_is(op, "is", row->word))
            bind_value(e, ir_result(op, 0),
                       scalar_is_float(type) ? compare_float(e, row->on_float, x, y)
                                             : compare_int(e, row->on_int, x, y));
    }
}

void emit_select(emitter *e, ir_op *op)
{
    scalar_type to = element_type(op->results[0].type);
    LLVMValueRef condition = value_of(e, ir_operand(op, 0));
    bind_value(e, ir_result(op, 0),
               choose(e, condition, operand_as(e, op, 1, to), operand_as(e, op, 2, to)));
}

// ----------------------------------------------------------------------- lanes

void emit_lane(emitter *e, ir_op *op)
{
    if (!e->lanes) {
        emit_error(e, "lanes are numbered inside a strip");
        bind_undefined(e, op);
        return;
    }
    LLVMTypeRef type = LLVMScalableVectorType(int_type(e, 32), e->lanes);
    bind_value(e, ir_result(op, 0),
               call_intrinsic(e, "llvm.experimental.stepvector", 1, &type, 0, NULL));
}

// What leaves every other value as it is.
LLVMValueRef identity_of(LLVMValueRef x, const char *by, bool floating)
{
    bool add = !strcmp(by, "add"), max = !strcmp(by, "max");
    if (floating)
        return LLVMConstReal(element_of(x), add ? -0.0 : max ? -HUGE_VAL : HUGE_VAL);
    unsigned bits = LLVMGetIntTypeWidth(element_of(x));
    uint64_t lowest = UINT64_C(1) << (bits - 1);
    return LLVMConstInt(element_of(x), add ? 0 : max ? lowest : lowest - 1, false);
}

static LLVMValueRef reduce_lanes(emitter *e, const char *by, LLVMValueRef x, bool floating)
{
    char name[40];
    LLVMTypeRef type = LLVMTypeOf(x);
    const char *kind = floating ? "f" : strcmp(by, "add") ? "s" : "";
    snprintf(name, sizeof name, "llvm.%s.reduce.%s%s", e->evl ? "vp" : "vector", kind, by);
    LLVMValueRef arguments[] = {identity_of(x, by, floating), x, NULL, NULL};
    bool ordered = floating && !strcmp(by, "add");
    if (!e->evl && !ordered)
        return call_intrinsic(e, name, 1, &type, 1, &x);
    if (e->evl) {
        arguments[2] = all_lanes(e, lanes_of(x));
        arguments[3] = e->evl;
    }
    LLVMValueRef y = call_intrinsic(e, name, 1, &type, e->evl ? 4 : 2, arguments);
    if (ordered)
        LLVMSetFastMathFlags(y, LLVMFastMathAllowReassoc);
    return y;
}

void emit_reduce(emitter *e, ir_op *op)
{
    scalar_type type = compute_type(op, false);
    LLVMValueRef x = operand_as(e, op, 0, type);
    if (!is_vector(x)) {
        emit_error(e, "reduce needs a vector that a strip has carried");
        bind_result(e, op, x, type);
        return;
    }
    bind_result(e, op, reduce_lanes(e, ir_name(op, "by"), x, scalar_is_float(type)), type);
}
