// The instructions that operations become: one row each. What functions take was counted in what
// code generation makes of a program that consists of the function; a test compares.
#include "compiler/estimate/internal.h"

#include <string.h>

#define STEP(mnemonic, count) {ISA_##mnemonic, count}

typedef struct expansion_row {
    ir_opcode code;
    expansion_step floats[EXPANSION_STEPS], integers[EXPANSION_STEPS];
    unsigned chain; // 0: all
} expansion_row;

static const expansion_row rows[] = {
    {IR_ADD, {STEP(VFADD_VV, 1)}, {STEP(VADD_VV, 1)}, 0},
    {IR_SUB, {STEP(VFSUB_VV, 1)}, {STEP(VSUB_VV, 1)}, 0},
    {IR_MUL, {STEP(VFMUL_VV, 1)}, {STEP(VMUL_VV, 1)}, 0},
    {IR_DIV, {STEP(VFDIV_VV, 1)}, {STEP(VDIV_VV, 1)}, 0},
    {IR_MAX, {STEP(VFMAX_VV, 1)}, {STEP(VMAX_VV, 1)}, 0},
    {IR_MIN, {STEP(VFMIN_VV, 1)}, {STEP(VMIN_VV, 1)}, 0},
    {IR_FMA, {STEP(VFMACC_VV, 1)}, {STEP(VMACC_VV, 1)}, 0},
    {IR_NEG, {STEP(VFSGNJN_VV, 1)}, {STEP(VRSUB_VX, 1)}, 0},
    {IR_ABS, {STEP(VFSGNJX_VV, 1)}, {STEP(VRSUB_VX, 1), STEP(VMAX_VV, 1)}, 0},
    {IR_SQUARE, {STEP(VFMUL_VV, 1)}, {STEP(VMUL_VV, 1)}, 0},
    {IR_RELU, {STEP(VFMAX_VV, 1)}, {STEP(VMAX_VX, 1)}, 0},
    {IR_SQRT, {STEP(VFSQRT_V, 1)}, {{0}}, 0},
    {IR_RSQRT, {STEP(VFSQRT_V, 1), STEP(VFRDIV_VF, 1)}, {{0}}, 0},
    {IR_ROUND,
     {STEP(VFSGNJX_VV, 1), STEP(VMFLT_VF, 1), STEP(VSETVLI, 1), STEP(VFCVT_X_F_V, 1),
      STEP(VFCVT_F_X_V, 1), STEP(VFSGNJ_VV, 1)},
     {{0}},
     0},
    {IR_EXP,
     {STEP(VFMACC_VV, 17), STEP(VADD_VV, 6), STEP(VSLL_VI, 2), STEP(VMV_V_V, 1)},
     {{0}},
     18},
    {IR_SIGMOID,
     {STEP(VFMACC_VV, 19), STEP(VADD_VV, 7), STEP(VSLL_VI, 2), STEP(VFRDIV_VF, 1)},
     {{0}},
     20},
    {IR_SILU,
     {STEP(VFMACC_VV, 14), STEP(VADD_VV, 1), STEP(VSLL_VI, 1), STEP(VL4RE8_V, 2), STEP(ADDI, 2),
      STEP(VMV_V_V, 1), STEP(VFDIV_VV, 1)},
     {{0}},
     17},
    {IR_TANH,
     {STEP(VFMACC_VV, 31), STEP(VADD_VV, 11), STEP(VMV4R_V, 2), STEP(VL4RE8_V, 6), STEP(ADDI, 6),
      STEP(VSETVLI, 2), STEP(VFRDIV_VF, 1)},
     {{0}},
     22},
    {IR_ERF,
     {STEP(VFMACC_VV, 34), STEP(VADD_VV, 10), STEP(VFMV_V_F, 9), STEP(VL4RE8_V, 7), STEP(ADDI, 7),
      STEP(VSETVLI, 18), STEP(VMV_V_V, 2)},
     {{0}},
     22},
    {IR_GELU,
     {STEP(VFMACC_VV, 39), STEP(VADD_VV, 10), STEP(VFMV_V_F, 9), STEP(VL4RE8_V, 8), STEP(ADDI, 9),
      STEP(VSETVLI, 18), STEP(VS4R_V, 1), STEP(VMV_V_V, 2)},
     {{0}},
     24},
    // In pairs, as rotations need them: both share what comes before their polynomials.
    {IR_SIN,
     {STEP(VFMACC_VV, 12), STEP(VADD_VV, 10), STEP(VFMV_V_F, 5), STEP(VSETVLI, 10),
      STEP(VL4RE8_V, 3), STEP(ADDI, 3), STEP(VMV4R_V, 1)},
     {{0}},
     16},
    {IR_COS,
     {STEP(VFMACC_VV, 12), STEP(VADD_VV, 10), STEP(VFMV_V_F, 5), STEP(VSETVLI, 10),
      STEP(VL4RE8_V, 3), STEP(ADDI, 3), STEP(VMV4R_V, 1)},
     {{0}},
     16},
    {IR_COMPARE, {STEP(VMFLT_VV, 1)}, {STEP(VMSLE_VI, 1)}, 0},
    {IR_SELECT, {STEP(VMERGE_VVM, 1)}, {STEP(VMERGE_VVM, 1)}, 0},
};

// --------------------------------------------------------------------------- conversions

static void add_step(expansion *e, isa_opcode opcode, unsigned count)
{
    unsigned i = 0;
    while (i < EXPANSION_STEPS - 1 && e->steps[i].count)
        i++;
    e->steps[i] = (expansion_step){opcode, count};
    e->chain += count;
}

static void convert_floats(expansion *e, unsigned from, unsigned to)
{
    for (unsigned bits = from; bits < to; bits *= 2)
        add_step(e, ISA_VFWCVT_F_F_V, 1);
    for (unsigned bits = from; bits > to; bits /= 2)
        add_step(e, ISA_VFNCVT_F_F_W, 1);
}

// Steps of halving or doubling around one conversion at the same width.
static void convert_float_to_int(expansion *e, unsigned from, unsigned to)
{
    add_step(e, to < from ? ISA_VFNCVT_X_F_W : ISA_VFCVT_X_F_V, 1);
    add_step(e, ISA_VMERGE_VVM, 1); // of what is no number
    for (unsigned bits = from / 2; bits > to; bits /= 2)
        add_step(e, ISA_VNCLIP_WI, 1);
}

static void convert_int_to_float(expansion *e, unsigned from, unsigned to)
{
    if (from < to / 2)
        add_step(e, ISA_VSEXT_VF2, 1);
    add_step(e, from < to ? ISA_VFWCVT_F_X_V : from > to ? ISA_VFNCVT_F_X_W : ISA_VFCVT_F_X_V, 1);
}

static void convert_ints(expansion *e, unsigned from, unsigned to)
{
    if (from < to)
        add_step(e, ISA_VSEXT_VF2, 1);
    for (unsigned bits = from; bits > to; bits /= 2)
        add_step(e, ISA_VNCLIP_WI, 1);
}

static void expand_cast(const ir_op *op, expansion *e)
{
    scalar_type from = ir_operand(op, 0)->type->scalar, to = op->results[0].type->scalar;
    unsigned from_bits = scalar_rows[from].bits, to_bits = scalar_rows[to].bits;
    bool from_float = scalar_is_float(from), to_float = scalar_is_float(to);
    e->sew = from_bits < to_bits ? from_bits : to_bits;
    if (from_float && to_float)
        convert_floats(e, from_bits, to_bits);
    else if (from_float)
        convert_float_to_int(e, from_bits, to_bits);
    else if (to_float)
        convert_int_to_float(e, from_bits, to_bits);
    else
        convert_ints(e, from_bits, to_bits);
}

static unsigned count_steps(const expansion_step *steps)
{
    unsigned n = 0;
    for (unsigned i = 0; i < EXPANSION_STEPS && steps[i].count; i++)
        n += steps[i].count;
    return n;
}

// Whole numbers times or divided by a power of two are shifts.
static bool is_shift(const ir_op *op)
{
    const ir_value *y = op->code == IR_MUL || op->code == IR_DIV ? ir_operand(op, 1) : NULL;
    if (y && y->kind == IR_VALUE_RESULT && y->op->code == IR_BROADCAST)
        y = ir_operand(y->op, 0);
    if (!y || y->kind != IR_VALUE_RESULT || y->op->code != IR_CONSTANT || ir_type_is_float(y->type))
        return false;
    int64_t value = (int64_t)ir_number(y->op, "value");
    return value > 0 && !(value & (value - 1));
}

static const expansion_row nonpositive_exp = {
    IR_EXP,
    {STEP(VFMACC_VV, 13), STEP(VADD_VV, 1), STEP(VSLL_VI, 1), STEP(VMFLT_VF, 1),
     STEP(VMERGE_VVM, 1), STEP(VMV_V_V, 6), STEP(VSETVLI, 12)},
    {{0}},
    15};

// NULL: none.
static const expansion_row *row_of(const ir_op *op)
{
    if (op->code == IR_EXP && ir_name_is(op, "of", "nonpositive"))
        return &nonpositive_exp;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == op->code)
            return &rows[i];
    return NULL;
}

bool expand_elementwise(const ir_op *op, expansion *out)
{
    const ir_type *t = op->n_operands ? ir_operand(op, op->n_operands - 1)->type : NULL;
    *out = (expansion){0};
    if (op->code == IR_CAST) {
        expand_cast(op, out);
        return true;
    }
    if (t && is_shift(op)) { // what is divided is rounded toward zero
        add_step(out, ISA_VSLL_VI, op->code == IR_DIV ? 3 : 1);
        out->sew = scalar_rows[t->scalar].bits;
        return true;
    }
    const expansion_row *r = row_of(op);
    if (!r || !t)
        return false;
    bool floating = ir_type_is_float(t);
    memcpy(out->steps, floating ? r->floats : r->integers, sizeof out->steps);
    out->chain = r->chain ? r->chain : count_steps(out->steps);
    unsigned bits = t->kind == IR_INDEX ? 64 : scalar_rows[t->scalar].bits;
    out->sew = floating && bits < 32 ? 32 : bits < 8 ? 8 : bits;
    return true;
}
