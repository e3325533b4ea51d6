// Typing rules of tile operations.
#include "compiler/ir/verify.h"

#include <string.h>

enum { MOST_PREFETCHED = 1 << 20, MOST_TILE = 1 << 16 };

// ---------------------------------------------------------------------- values

static bool rule_compare(verifier *v, const ir_op *op)
{
    const ir_type *x = op->operands[0].value->type, *y = op->operands[1].value->type;
    const ir_type *z = op->results[0].type;
    if (x != y)
        return verify_error(v, op, "needs operands of one type, not %s and %s", verify_type(v, x),
                            verify_type(v, y));
    bool lanes = (x->kind == IR_VECTOR) == (z->kind == IR_VECTOR);
    return (lanes && z->scalar == SCALAR_I1 && x->kind != IR_TENSOR) ||
           verify_error(v, op, "of %s does not give %s", verify_type(v, x), verify_type(v, z));
}

static bool rule_select(verifier *v, const ir_op *op)
{
    const ir_type *c = op->operands[0].value->type, *z = op->results[0].type;
    if (c->scalar != SCALAR_I1 || (c->kind == IR_VECTOR && z->kind != IR_VECTOR))
        return verify_error(v, op, "needs a condition of type i1 or vec<i1>, not %s",
                            verify_type(v, c));
    for (unsigned i = 1; i < 3; i++)
        if (op->operands[i].value->type != z)
            return verify_error(v, op, "needs operands of its result's type %s, not %s",
                                verify_type(v, z), verify_type(v, op->operands[i].value->type));
    return true;
}

static bool rule_lanes(verifier *v, const ir_op *op) // broadcast, reduce
{
    const ir_type *x = op->operands[0].value->type, *y = op->results[0].type;
    return x->scalar == y->scalar ||
           verify_error(v, op, "keeps the element type: %s cannot become %s", verify_type(v, x),
                        verify_type(v, y));
}

// ---------------------------------------------------------------------- memory

static bool rule_alloc(verifier *v, const ir_op *op)
{
    const ir_type *t = op->results[0].type;
    int64_t offset = ir_integer(op, "offset");
    for (unsigned i = 0; i < t->rank; i++)
        if (ir_dim_maximum(t->dims[i]) < 0)
            return verify_error(v, op, "needs a known size, not %s", verify_type(v, t));
    return (offset >= -1 && (offset < 0 || offset % 64 == 0)) ||
           verify_error(v, op, "needs an offset of -1 or a multiple of 64, not %lld",
                        (long long)offset);
}

static bool rule_prefetch(verifier *v, const ir_op *op)
{
    const ir_type *t = op->operands[0].value->type;
    int64_t bytes = (int64_t)scalar_size(t->scalar);
    for (unsigned i = 0; i < t->rank; i++) {
        if (!ir_dim_is_constant(t->dims[i]) || t->dims[i].value < 1 ||
            t->dims[i].value > MOST_PREFETCHED / bytes)
            return verify_error(v, op, "needs a known size of at most %d bytes, not %s",
                                MOST_PREFETCHED, verify_type(v, t));
        bytes *= t->dims[i].value;
    }
    return true;
}

static bool rule_lane(verifier *v, const ir_op *op)
{
    const ir_type *y = op->results[0].type;
    return y->scalar == SCALAR_I32 ||
           verify_error(v, op, "gives vec<i32>, not %s", verify_type(v, y));
}

static bool rule_address(verifier *v, const ir_op *op)
{
    return op->operands[0].value->kind == IR_VALUE_GLOBAL ||
           verify_error(v, op, "needs a global like @weight");
}

static bool rule_view(verifier *v, const ir_op *op)
{
    const ir_type *t = op->operands[0].value->type;
    return op->n_operands - 1 <= t->rank ||
           verify_error(v, op, "takes at most %u indices for %s, not %u", t->rank,
                        verify_type(v, t), op->n_operands - 1);
}

static bool inside_strip(const ir_op *op)
{
    for (const ir_op *at = op->block->parent; at; at = at->block->parent)
        if (at->code == IR_STRIP)
            return true;
    return false;
}

// load, store, vload, vstore: an element `x` of buffer `b`, indices from `first` on.
static bool check_access(verifier *v, const ir_op *op, const ir_type *x, const ir_type *b,
                         unsigned first)
{
    if (op->n_operands - first != b->rank)
        return verify_error(v, op, "needs %u indices for %s, not %u", b->rank, verify_type(v, b),
                            op->n_operands - first);
    if (x->scalar != b->scalar)
        return verify_error(v, op, "moves elements of %s as %s; cast or view", verify_type(v, b),
                            verify_type(v, x));
    return x->kind != IR_VECTOR || inside_strip(op) ||
           verify_error(v, op, "moves a strip's lanes and stands outside of every 'strip'");
}

static bool rule_load(verifier *v, const ir_op *op)
{
    return check_access(v, op, op->results[0].type, op->operands[0].value->type, 1);
}

static bool rule_store(verifier *v, const ir_op *op)
{
    return check_access(v, op, op->operands[0].value->type, op->operands[1].value->type, 2);
}

static bool rule_load_pairs(verifier *v, const ir_op *op)
{
    return check_access(v, op, op->results[0].type, op->operands[0].value->type, 1) &&
           check_access(v, op, op->results[1].type, op->operands[0].value->type, 1);
}

static bool rule_store_pairs(verifier *v, const ir_op *op)
{
    return check_access(v, op, op->operands[0].value->type, op->operands[2].value->type, 3) &&
           check_access(v, op, op->operands[1].value->type, op->operands[2].value->type, 3);
}

// ----------------------------------------------------------------------- Xlut

static bool check_register(verifier *v, const ir_op *op)
{
    int64_t r = ir_integer(op, "register");
    return (r >= -1 && r < IR_TILE_REGISTERS) ||
           verify_error(v, op, "has no tile register %lld; there are %d", (long long)r,
                        IR_TILE_REGISTERS);
}

static bool check_tile(verifier *v, const ir_op *op, const char *what, const ir_type *t,
                       unsigned kinds)
{
    if (kinds & 1u << t->tile)
        return true;
    text wanted = {0};
    for (unsigned i = 0; i < TILE_KINDS; i++)
        if (kinds & 1u << i)
            text_printf(&wanted, "%stile<%s>", wanted.length ? " or " : "", ir_tile_kind_words[i]);
    verify_error(v, op, "needs %s as %s, not %s", text_string(&wanted), what, verify_type(v, t));
    text_free(&wanted);
    return false;
}
enum {
    PLANE = 1 << TILE_PLANE,
    TABLE = 1 << TILE_TABLE,
    I32 = 1 << TILE_I32,
    F32 = 1 << TILE_F32,
    MATRIX = 1 << TILE_MATRIX
};

// Tiles lie in memory as bytes in a row. What is viewed for one is no larger than any tile that a
// machine could have: passes prefetch all of a view.
static bool check_bytes(verifier *v, const ir_op *op, const ir_value *buffer)
{
    const ir_type *t = buffer->type;
    uint64_t bytes = scalar_size(t->scalar);
    if (buffer->kind != IR_VALUE_RESULT || buffer->op->code != IR_VIEW)
        return true;
    for (unsigned i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(bytes, ir_dim_maximum(t->dims[i]), &bytes) || bytes > MOST_TILE)
            return verify_error(v, op, "moves a tile of at most %d bytes, and no view %s",
                                MOST_TILE, verify_type(v, t));
    return true;
}

static bool check_half(verifier *v, const ir_op *op, const ir_type *t)
{
    return !ir_boolean(op, "half") || check_tile(v, op, "a half tile", t, TABLE);
}

static bool rule_ld(verifier *v, const ir_op *op)
{
    return check_register(v, op) && check_half(v, op, op->results[0].type) &&
           check_bytes(v, op, ir_operand_named(op, "from"));
}

static bool rule_st(verifier *v, const ir_op *op)
{
    return check_half(v, op, op->operands[0].value->type) &&
           check_bytes(v, op, ir_operand_named(op, "to"));
}

static bool rule_zero(verifier *v, const ir_op *op)
{
    return check_register(v, op);
}

static bool rule_tbl(verifier *v, const ir_op *op)
{
    const char *activation = ir_name(op, "activation");
    bool integers = activation[0] == 'i', exact = ir_name_is(op, "table", "i16");
    if (integers != exact)
        return verify_error(v, op,
                            "cannot build %s entries of %s: i16 entries are of i8 and i16, the "
                            "others of floats",
                            ir_name(op, "table"), activation);
    if (ir_name_is(op, "table", "i8dynamic") && !ir_operand_named(op, "scales"))
        return verify_error(v, op, "with dynamic scales needs operand 'scales' to write them to");
    return check_register(v, op) && check_tile(v, op, "its result", op->results[0].type, TABLE);
}

static unsigned first_plane_of(const ir_op *op)
{
    return (unsigned)ir_operand_slot(op->code, "planes");
}

static bool check_planes(verifier *v, const ir_op *op)
{
    unsigned first = first_plane_of(op), n = op->n_operands - first;
    bool ternary = ir_name_is(op, "form", "ternary"), full = ir_name_is(op, "form", "full");
    if (ternary ? n != 2 : full ? n != 1 : n < 1 || n > 4)
        return verify_error(v, op, "of form %s takes %s planes, not %u", ir_name(op, "form"),
                            ternary ? "2"
                            : full  ? "1"
                                    : "1 to 4",
                            n);
    for (unsigned i = 0; i < n; i++)
        if (!check_tile(v, op, "a plane", op->operands[first + i].value->type, PLANE))
            return false;
    return true;
}

// The register that an op with a tile result was given; -1: none yet.
static int64_t register_of(const ir_value *x)
{
    if (x->kind != IR_VALUE_RESULT || !ir_attribute_row_of(x->op->code, "register"))
        return -1;
    return ir_integer(x->op, "register");
}

static bool check_consecutive(verifier *v, const ir_op *op)
{
    unsigned slot = first_plane_of(op);
    int64_t first = register_of(op->operands[slot].value);
    for (unsigned i = slot + 1; first >= 0 && i < op->n_operands; i++) {
        int64_t r = register_of(op->operands[i].value);
        if (r >= 0 && r != first + i - slot)
            return verify_error(v, op, "needs its planes in consecutive registers: lt%lld, lt%lld",
                                (long long)first, (long long)r);
    }
    return true;
}

// Full tables of 16-bit entries, and only these, are two tiles.
static bool check_high(verifier *v, const ir_op *op)
{
    const ir_value *high = ir_operand_named(op, "high");
    bool wide = ir_name_is(op, "form", "full") && !ir_name_is(op, "entry", "i8");
    if (wide != (high != NULL))
        return verify_error(v, op,
                            wide ? "of form full with %s entries needs operand 'high'"
                                 : "takes no operand 'high' with %s entries of its form",
                            ir_name(op, "entry"));
    return !high || check_tile(v, op, "the table's second half", high->type, TABLE);
}

static bool rule_mma(verifier *v, const ir_op *op)
{
    const ir_value *accumulator = ir_operand_named(op, "accumulator");
    unsigned kind = ir_name_is(op, "entry", "f16") ? F32 : I32;
    return check_register(v, op) &&
           check_tile(v, op, "the table", op->operands[0].value->type, TABLE) &&
           check_high(v, op) &&
           (!accumulator || check_tile(v, op, "the accumulator", accumulator->type, kind)) &&
           check_tile(v, op, "its result", op->results[0].type, kind) && check_planes(v, op) &&
           check_consecutive(v, op);
}

static bool rule_deq(verifier *v, const ir_op *op)
{
    return check_register(v, op) && check_tile(v, op, "d", op->operands[0].value->type, F32) &&
           check_tile(v, op, "c", op->operands[1].value->type, I32 | F32) &&
           check_tile(v, op, "its result", op->results[0].type, F32) &&
           check_bytes(v, op, ir_operand_named(op, "weight_scale"));
}

static bool rule_off(verifier *v, const ir_op *op)
{
    return check_register(v, op) && check_tile(v, op, "d", op->operands[0].value->type, F32) &&
           check_tile(v, op, "its result", op->results[0].type, F32) &&
           check_bytes(v, op, ir_operand_named(op, "v"));
}

static unsigned accumulator_of(const ir_op *op)
{
    return ir_name_is(op, "type", "i32") ? I32 : F32;
}

static bool rule_lda(verifier *v, const ir_op *op)
{
    return check_register(v, op) &&
           check_tile(v, op, "its result", op->results[0].type, accumulator_of(op));
}

static bool rule_sta(verifier *v, const ir_op *op)
{
    return check_tile(v, op, "the accumulators", op->operands[0].value->type, accumulator_of(op));
}

static bool rule_ldm(verifier *v, const ir_op *op)
{
    return check_register(v, op) && check_tile(v, op, "its result", op->results[0].type, MATRIX);
}

static bool rule_stm(verifier *v, const ir_op *op)
{
    return check_tile(v, op, "the accumulators", op->operands[0].value->type, I32 | F32);
}

static bool rule_mac(verifier *v, const ir_op *op)
{
    unsigned kind = ir_name_is(op, "type", "i8") ? I32 : F32;
    return check_register(v, op) && check_tile(v, op, "c", op->operands[0].value->type, kind) &&
           check_tile(v, op, "a", op->operands[1].value->type, MATRIX) &&
           check_tile(v, op, "b", op->operands[2].value->type, MATRIX) &&
           check_tile(v, op, "its result", op->results[0].type, kind);
}

verify_rule *const verify_tile_rules[IR_OPCODE_COUNT] = {
    [IR_COMPARE] = rule_compare,
    [IR_SELECT] = rule_select,
    [IR_BROADCAST] = rule_lanes,
    [IR_LANE] = rule_lane,
    [IR_REDUCE] = rule_lanes,
    [IR_ALLOC] = rule_alloc,
    [IR_ADDRESS] = rule_address,
    [IR_VIEW] = rule_view,
    [IR_LOAD] = rule_load,
    [IR_VLOAD] = rule_load,
    [IR_STORE] = rule_store,
    [IR_VSTORE] = rule_store,
    [IR_VLOAD_PAIRS] = rule_load_pairs,
    [IR_VSTORE_PAIRS] = rule_store_pairs,
    [IR_XLUT_LD] = rule_ld,
    [IR_XLUT_ST] = rule_st,
    [IR_XLUT_ZERO] = rule_zero,
    [IR_XLUT_TBL] = rule_tbl,
    [IR_XLUT_MMA] = rule_mma,
    [IR_XLUT_DEQ] = rule_deq,
    [IR_XLUT_OFF] = rule_off,
    [IR_XLUT_LDA] = rule_lda,
    [IR_XLUT_STA] = rule_sta,
    [IR_XLUT_LDM] = rule_ldm,
    [IR_XLUT_STM] = rule_stm,
    [IR_XLUT_MAC] = rule_mac,
    [IR_PREFETCH] = rule_prefetch,
};
