// fold: constants, identities that are exact, equal operations, unused ones.
//
// A rule returns a value that its op's result can be replaced by, bit for bit, or NULL.
// Termination: every rule gives a value that was there before (with fewer ops behind it) or a
// constant, or rewrites an operand to one that is nearer to the function's arguments; no rule
// makes an op that another one takes apart.
#include "compiler/passes/graph.h"

#include <math.h>
#include <string.h>

// ------------------------------------------------------------------- constants

static bool is_constant(const ir_value *v, double *out)
{
    if (!v || v->kind != IR_VALUE_RESULT || v->op->code != IR_CONSTANT)
        return false;
    *out = ir_number(v->op, "value");
    return true;
}

static bool is_number(const ir_value *v, double wanted)
{
    double value;
    return is_constant(v, &value) && value == wanted && signbit(value) == signbit(wanted);
}

static ir_value *constant(ir_op *before, const ir_type *type, double value)
{
    ir_builder b = ir_builder_before(before);
    ir_value *v = ir_build1(&b, IR_CONSTANT, type, NULL, NULL, NULL);
    ir_set_number(v->op, "value", value);
    v->op->mark = before->mark;
    return v;
}

// Whole numbers: exact, or not folded at all.
static bool evaluate_integer(ir_opcode code, double x, double y, double *out)
{
    const int64_t most = INT64_C(1) << 53;
    int64_t z;
    if (!(fabs(x) <= (double)most && fabs(y) <= (double)most) ||
        !ir_evaluate_integer(code, (int64_t)x, (int64_t)y, &z) || z < -most || z > most)
        return false;
    *out = (double)z;
    return true;
}

// The operations that IEEE 754 defines to the bit, in f32 (f64 for f64).
static bool evaluate_float(ir_opcode code, bool wide, double x, double y, double *out)
{
#define COMPUTE(expression32, expression64) (*out = wide ? (expression64) : (double)(expression32))
    float a = (float)x, b = (float)y;
    switch (code) {
    case IR_ADD: COMPUTE(a + b, x + y); return true;
    case IR_SUB: COMPUTE(a - b, x - y); return true;
    case IR_MUL: COMPUTE(a * b, x * y); return true;
    case IR_DIV: COMPUTE(a / b, x / y); return true;
    case IR_SQUARE: COMPUTE(a * a, x * x); return true;
    case IR_SQRT: COMPUTE(sqrtf(a), sqrt(x)); return true;
    case IR_NEG: COMPUTE(-a, -x); return true;
    case IR_ABS: COMPUTE(fabsf(a), fabs(x)); return true;
    case IR_ROUND: COMPUTE(rintf(a), rint(x)); return true;
    default: return false;
    }
#undef COMPUTE
}

static bool evaluate_cast(const ir_type *t, double x, double *out)
{
    *out = t->kind == IR_INDEX ? rint(x) : scalar_round(t->scalar, x);
    return fabs(x) <= 0x1p53 || t->kind != IR_INDEX;
}

static ir_value *rule_evaluate(ir_op *op)
{
    const ir_type *t = op->results[0].type;
    double x = 0, y = 0, z;
    if ((t->kind != IR_INDEX && t->kind != IR_SCALAR) || op->n_operands < 1 || op->n_operands > 2 ||
        !is_constant(ir_operand(op, 0), &x) ||
        (op->n_operands == 2 && !is_constant(ir_operand(op, 1), &y)))
        return NULL;
    bool integral = t->kind == IR_INDEX || !scalar_is_float(t->scalar);
    bool known = op->code == IR_CAST ? evaluate_cast(t, x, &z)
                 : integral          ? evaluate_integer(op->code, x, y, &z)
                                     : evaluate_float(op->code, t->scalar == SCALAR_F64, x, y, &z);
    if (!known)
        return NULL;
    double rounded = t->kind == IR_INDEX ? z : scalar_round(t->scalar, z);
    if (isnan(z) || (integral && rounded != z)) // overflow is left to the machine
        return NULL;
    return constant(op, t, rounded);
}

static ir_value *rule_dim(ir_op *op)
{
    const ir_symbol *s = ir_symbol_find(op->block->function->module, ir_name(op, "symbol"));
    return s->minimum == s->maximum ? constant(op, op->results[0].type, (double)s->minimum) : NULL;
}

// ------------------------------------------------------------------- identities

// x, when the result has its type.
static ir_value *same(const ir_op *op, ir_value *x)
{
    return x->type == op->results[0].type ? x : NULL;
}

static bool is_float(const ir_op *op)
{
    return ir_type_is_float(op->results[0].type);
}

// x + -0 is x for every x; x + 0 turns -0 into 0.
static ir_value *rule_add(ir_op *op)
{
    return is_number(ir_operand(op, 1), is_float(op) ? -0.0 : 0.0) ? same(op, ir_operand(op, 0))
                                                                   : NULL;
}

static ir_value *rule_sub(ir_op *op)
{
    return is_number(ir_operand(op, 1), 0) ? same(op, ir_operand(op, 0)) : NULL;
}

static ir_value *rule_mul(ir_op *op)
{
    if (is_number(ir_operand(op, 1), 1))
        return same(op, ir_operand(op, 0));
    return !is_float(op) && is_number(ir_operand(op, 1), 0) ? same(op, ir_operand(op, 1)) : NULL;
}

static ir_value *rule_div(ir_op *op)
{
    return is_number(ir_operand(op, 1), 1) ? same(op, ir_operand(op, 0)) : NULL;
}

static ir_value *rule_idempotent_pair(ir_op *op) // max(x, x), min(x, x)
{
    return ir_operand(op, 0) == ir_operand(op, 1) ? same(op, ir_operand(op, 0)) : NULL;
}

static const ir_op *producer(const ir_value *v, ir_opcode code)
{
    return v->kind == IR_VALUE_RESULT && v->op->code == code ? v->op : NULL;
}

static ir_value *rule_neg(ir_op *op)
{
    const ir_op *inner = producer(ir_operand(op, 0), IR_NEG);
    if (!inner || ir_operand(op, 0)->type != op->results[0].type)
        return NULL;
    return same(op, ir_operand(inner, 0));
}

static ir_value *rule_idempotent(ir_op *op) // abs, relu, round of themselves
{
    return producer(ir_operand(op, 0), op->code) ? same(op, ir_operand(op, 0)) : NULL;
}

// Bits of a significand that hold every value of an integer type, and of a float type.
static unsigned significant_bits(scalar_type t)
{
    switch (t) {
    case SCALAR_F64: return 53;
    case SCALAR_F32: return 24;
    case SCALAR_F16: return 11;
    case SCALAR_BF16: return 8;
    case SCALAR_E4M3: return 4;
    case SCALAR_E5M2: return 3;
    case SCALAR_U8: return 8;
    case SCALAR_I1: return 1;
    default: return scalar_rows[t].bits - 1;
    }
}

// Whether every value of `from` is one of `to`.
static bool widens(scalar_type from, scalar_type to)
{
    bool float_from = scalar_is_float(from), float_to = scalar_is_float(to);
    if (from == to)
        return true;
    if (float_from && !float_to)
        return false;
    if (!float_to)
        return to != SCALAR_U8 && to != SCALAR_I1 && significant_bits(from) < scalar_rows[to].bits;
    if (!float_from)
        return significant_bits(from) <= significant_bits(to) && scalar_rows[to].bits >= 16;
    if (from == SCALAR_E4M3 || from == SCALAR_E5M2)
        return scalar_rows[to].bits >= 16;
    return scalar_rows[to].bits > scalar_rows[from].bits;
}

// A rotation is computed in f32 and rounded once: to f32, which loses nothing, or at once to what
// is all that is wanted of it.
static bool rounds_rotation(const ir_op *op, const ir_value *x)
{
    const ir_type *t = op->results[0].type;
    return producer(x, IR_ROPE) && x->type->scalar == SCALAR_F32 && !x->uses->next &&
           (t->scalar == SCALAR_F16 || t->scalar == SCALAR_BF16);
}

// cast(cast(x)) needs one cast when the inner one loses nothing.
static ir_value *rule_cast(ir_op *op)
{
    ir_value *x = ir_operand(op, 0);
    if (rounds_rotation(op, x))
        x->type = op->results[0].type;
    if (same(op, x))
        return x;
    const ir_op *inner = producer(x, IR_CAST);
    if (!inner || x->type->kind == IR_INDEX || ir_operand(inner, 0)->type->kind == IR_INDEX ||
        !widens(ir_operand(inner, 0)->type->scalar, x->type->scalar))
        return NULL;
    ir_set_operand(op, 0, ir_operand(inner, 0));
    return same(op, ir_operand(inner, 0));
}

static ir_value *rule_reshape(ir_op *op)
{
    const ir_op *inner = producer(ir_operand(op, 0), IR_RESHAPE);
    if (inner)
        ir_set_operand(op, 0, ir_operand(inner, 0));
    return same(op, ir_operand(op, 0));
}

typedef ir_value *fold_rule(ir_op *op);
static fold_rule *const identities[IR_OPCODE_COUNT] = {
    [IR_ADD] = rule_add,
    [IR_SUB] = rule_sub,
    [IR_MUL] = rule_mul,
    [IR_DIV] = rule_div,
    [IR_MAX] = rule_idempotent_pair,
    [IR_MIN] = rule_idempotent_pair,
    [IR_NEG] = rule_neg,
    [IR_ABS] = rule_idempotent,
    [IR_RELU] = rule_idempotent,
    [IR_ROUND] = rule_idempotent,
    [IR_CAST] = rule_cast,
    [IR_RESHAPE] = rule_reshape,
    [IR_DIMENSION] = rule_dim,
};

// Constants stand on the right, so that the rules look there only.
static void order_operands(ir_op *op)
{
    double ignored;
    if (!(ir_op_rows[op->code].traits & IR_COMMUTATIVE) || op->n_operands != 2 ||
        !is_constant(ir_operand(op, 0), &ignored) || is_constant(ir_operand(op, 1), &ignored))
        return;
    ir_value *x = ir_operand(op, 0), *y = ir_operand(op, 1);
    ir_set_operand(op, 0, y);
    ir_set_operand(op, 1, x);
}

static ir_value *simplified(ir_op *op)
{
    if (op->n_results != 1 || op->code == IR_CONSTANT)
        return NULL;
    order_operands(op);
    ir_value *v = ir_op_rows[op->code].traits & IR_ELEMENTWISE ? rule_evaluate(op) : NULL;
    if (!v && identities[op->code])
        v = identities[op->code](op);
    return v;
}

// ------------------------------------------------------------- equal operations

static bool is_pure(const ir_op *op)
{
    return (ir_op_rows[op->code].traits & IR_PURE) && op->n_regions == 0;
}

static bool same_operands(const ir_op *a, const ir_op *b)
{
    for (unsigned i = 0; i < a->n_operands; i++)
        if (ir_operand(a, i) != ir_operand(b, i))
            return false;
    return true;
}

static bool equal_ops(const ir_op *a, const ir_op *b)
{
    if (a->code != b->code || a->n_operands != b->n_operands || a->n_results != b->n_results ||
        !same_operands(a, b))
        return false;
    for (unsigned i = 0; i < a->n_results; i++)
        if (a->results[i].type != b->results[i].type)
            return false;
    return ir_same_attributes(a, b);
}

// The block's pure operations so far, by a hash of what equal ones have in common.
typedef struct op_table {
    struct op_entry {
        ir_op *op;
        struct op_entry *next;
    } **chains;
    size_t mask;
} op_table;

static op_table table_of(arena *a, const ir_block *b)
{
    size_t chains = 1;
    IR_FOR_OPS(op, b)
    chains++;
    while (chains & (chains - 1))
        chains += chains & -chains;
    return (op_table){.chains = ARENA_ARRAY(a, struct op_entry *, chains), .mask = chains - 1};
}

static uint64_t mixed(uint64_t hash, uint64_t more)
{
    return (hash ^ more) * 0x9e3779b97f4a7c15;
}

static size_t hash_of(const ir_op *op)
{
    uint64_t hash = mixed(0, op->code), bits = 0;
    for (unsigned i = 0; i < op->n_operands; i++)
        hash = mixed(hash, (uintptr_t)ir_operand(op, i));
    const double value = op->code == IR_CONSTANT ? ir_number(op, "value") : 0;
    if (value != 0) // zeros have two signs
        memcpy(&bits, &value, sizeof bits);
    return (size_t)(mixed(hash, bits) >> 20);
}

// An equal op before `op`; if there is none, it is now among those.
static ir_op *earlier_equal(arena *a, op_table *t, ir_op *op)
{
    struct op_entry **chain = &t->chains[hash_of(op) & t->mask];
    for (struct op_entry *other = *chain; other; other = other->next)
        if (equal_ops(other->op, op))
            return other->op;
    struct op_entry *entry = ARENA_NEW(a, struct op_entry);
    *entry = (struct op_entry){op, *chain};
    *chain = entry;
    return NULL;
}

// --------------------------------------------------------------------- the pass

typedef struct folding {
    arena *arena;
    unsigned simplified, merged, removed; // operations
} folding;

static void fold_block(folding *f, ir_block *b);

static void fold_op(folding *f, ir_op *op)
{
    for (unsigned i = 0; i < op->n_regions; i++)
        fold_block(f, op->regions[i]);
    ir_value *v = simplified(op);
    if (!v)
        return;
    ir_replace_uses(&op->results[0], v);
    f->simplified++;
}

static void merge_equal(folding *f, ir_block *b)
{
    op_table table = table_of(f->arena, b);
    IR_FOR_OPS_SAFE(op, b)
    {
        ir_op *other = is_pure(op) ? earlier_equal(f->arena, &table, op) : NULL;
        if (!other)
            continue;
        for (unsigned i = 0; i < op->n_results; i++)
            ir_replace_uses(&op->results[i], &other->results[i]);
        ir_op_remove(op);
        f->merged++;
    }
}

static bool is_unused(const ir_op *op)
{
    for (unsigned i = 0; i < op->n_results; i++)
        if (ir_has_uses(&op->results[i]))
            return false;
    return true;
}

// Pure, or does nothing but read a state.
static bool has_no_effect(const ir_op *op)
{
    return is_pure(op) || op->code == IR_STATE_READ || op->code == IR_ATTEND;
}

// From the end, so that what only fed unused ops goes as well.
static void remove_unused(folding *f, ir_block *b)
{
    for (ir_op *op = b->last, *before; op; op = before) {
        before = op->previous;
        if (!has_no_effect(op) || !is_unused(op))
            continue;
        ir_op_remove(op);
        f->removed++;
    }
}

static void fold_block(folding *f, ir_block *b)
{
    graph_number_ops(b);
    IR_FOR_OPS_SAFE(op, b)
    fold_op(f, op);
    remove_unused(f, b);
    merge_equal(f, b);
    remove_unused(f, b);
}

bool pass_fold(ir_module *m, pass_context *c)
{
    for (ir_function *fn = m->functions; fn; fn = fn->next) {
        folding f = {.arena = c->arena};
        fold_block(&f, fn->body);
        if (f.simplified || f.merged || f.removed)
            pass_remark(c, REMARK_APPLIED, fn->where,
                        "'%s': %u operations simplified, %u equal to others, %u without use",
                        fn->name, f.simplified, f.merged, f.removed);
    }
    return true;
}
