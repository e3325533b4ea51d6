// overlap: while the array looks up, the sums of the lookup before are scaled and stored, and the
// planes of the next one are loaded.
//
// Instructions issue in order: what scales the sums of a lookup waits for it, and everything behind
// waits too. So it goes behind the next lookup and the loads that follow. No sum is added to in
// another order. Lookups of one row are left alone: prefetches fill their wait, and their loops
// stay what the emulator executes as a whole.
#include "compiler/passes/graph.h"
#include "compiler/passes/prefetch.h"

static bool uses(const ir_op *user, const ir_op *op)
{
    for (unsigned i = 0; i < user->n_operands; i++) {
        const ir_value *v = ir_operand(user, i);
        if (v && v->kind == IR_VALUE_RESULT && v->op == op)
            return true;
    }
    return false;
}

static bool is_made_in(const ir_value *v, const ir_block *b)
{
    return v && v->kind == IR_VALUE_RESULT && v->op->block == b;
}

static bool stands_before(const ir_op *x, const ir_op *y)
{
    for (x = x->next; x && x != y;)
        x = x->next;
    return x;
}

static bool moves_up(const ir_op *op)
{
    bool pure = ir_op_rows[op->code].traits & IR_PURE;
    return (pure && !op->n_regions) || op->code == IR_XLUT_ZERO;
}

// Writes no memory, so that loads may stand on either side of it.
static bool may_be_passed(const ir_op *op)
{
    return graph_writes_tiles(op) || moves_up(op);
}

static bool is_quiet(const ir_op *from, const ir_op *to)
{
    while (from != to && may_be_passed(from))
        from = from->next;
    return from == to;
}

// In front of `before`, which stands before it: with what it is computed from, if that is possible.
static bool may_move_up(const ir_op *op, const ir_op *before)
{
    bool may = is_quiet(before, op);
    for (unsigned i = 0; i < op->n_operands && may; i++) {
        const ir_value *v = ir_operand(op, i);
        if (is_made_in(v, op->block) && !stands_before(v->op, before))
            may = v->op != before && moves_up(v->op) && may_move_up(v->op, before);
    }
    return may;
}

static void move_up(ir_op *op, ir_op *before);

static void move_operands_up(const ir_op *op, ir_op *before)
{
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *v = ir_operand(op, i);
        if (is_made_in(v, op->block) && !stands_before(v->op, before))
            move_up(v->op, before);
    }
}

static void move_up(ir_op *op, ir_op *before)
{
    move_operands_up(op, before);
    ir_op_move_before(op, before);
}

static ir_op *next_lookup(ir_op *op)
{
    for (op = op->next; op && op->code != IR_XLUT_MMA;)
        op = op->next;
    return op;
}

static ir_op *lookup_before(ir_op *op)
{
    for (op = op->previous; op && op->code != IR_XLUT_MMA;)
        op = op->previous;
    return op;
}

// -------------------------------------------------------------------------- scaling

// Nothing up to `behind`, that included, takes its result.
static bool may_move_down(const ir_op *op, const ir_op *behind)
{
    const ir_op *next = op;
    while (next != behind && !uses(next->next, op))
        next = next->next;
    return next == behind && is_quiet(op, behind);
}

// What scales the sums of a lookup goes behind the next one and the loads that follow, up to the
// third; in a round without a third behind the next one.
static void place_scaling(ir_op *op)
{
    ir_value *sums = ir_operand_named(op, "c");
    if (!is_made_in(sums, op->block) || sums->op->code != IR_XLUT_MMA ||
        ir_name_is(sums->op, "rows", "one"))
        return;
    ir_op *next = next_lookup(sums->op), *third = next ? next_lookup(next) : NULL;
    ir_op *anchor = third ? third : next;
    if (!anchor)
        return;
    if (stands_before(anchor, op) && may_move_up(op, anchor)) {
        move_operands_up(op, anchor);
        ir_op_move_before(op, third ? third : next->next);
    } else if (stands_before(op, anchor) && may_move_down(op, third ? third->previous : next)) {
        ir_op_move_before(op, third ? third : next->next);
    }
}

// --------------------------------------------------------------------------- stores

static const ir_value *buffer_of(const ir_value *v)
{
    while (is_op(v, IR_VIEW))
        v = ir_operand(v->op, 0);
    return v;
}

// Loads of other buffers may stand on either side of a store.
static bool lets_store_pass(const ir_op *op, const ir_op *store)
{
    const ir_value *to = buffer_of(ir_operand(store, 1));
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *v = ir_operand(op, i);
        if (v && v->type->kind == IR_BUFFER && !moves_up(op) && buffer_of(v) == to)
            return false;
    }
    return may_be_passed(op) || op->code == store->code;
}

// The lookup behind which results that were scaled are stored: the second one behind the scaling,
// since the first one is under way when that begins.
static ir_op *lookup_for_store(const ir_op *store)
{
    const ir_value *results = ir_operand(store, 0);
    if (!is_made_in(results, store->block))
        return NULL;
    ir_op *next = next_lookup(results->op);
    return next && stands_before(next, store) ? next : NULL;
}

static void place_store(ir_op *store)
{
    ir_op *lookup = lookup_for_store(store);
    const ir_op *op = lookup;
    while (op && op != store && lets_store_pass(op, store))
        op = op->next;
    if (!lookup || op != store)
        return;
    move_operands_up(store, lookup);
    ir_op_move_before(store, lookup->next);
}

// ---------------------------------------------------------------------------- loads

// Loads of planes take longer than those of tables: they go in front of the lookup before.
static void place_planes(ir_op *lookup)
{
    ir_op *before = lookup_before(lookup);
    const unsigned first = (unsigned)ir_operand_slot(IR_XLUT_MMA, "planes");
    if (!before || ir_name_is(lookup, "rows", "one"))
        return;
    for (unsigned i = first; i < lookup->n_operands; i++) {
        ir_value *plane = ir_operand(lookup, i);
        if (is_made_in(plane, lookup->block) && stands_before(before, plane->op) &&
            may_move_up(plane->op, before))
            move_up(plane->op, before);
    }
}

// What the block has of an opcode; moving ops does not change the list.
typedef ARRAY_OF(ir_op *) op_list;

static op_list ops_of(arena *a, const ir_block *b, ir_opcode code)
{
    op_list found = {0};
    IR_FOR_OPS(op, b)
    {
        if (op->code == code)
            ARRAY_PUSH(a, &found, op);
    }
    return found;
}

// The last scaling first: what it makes room for follows.
static void overlap_block(arena *a, const ir_block *b)
{
    op_list lookups = ops_of(a, b, IR_XLUT_MMA), scalings = ops_of(a, b, IR_XLUT_DEQ);
    for (size_t i = 0; i < lookups.count; i++)
        place_planes(lookups.items[i]);
    for (size_t i = scalings.count; i-- > 0;)
        place_scaling(scalings.items[i]);
    op_list stores = ops_of(a, b, IR_XLUT_STA);
    for (size_t i = 0; i < stores.count; i++)
        place_store(stores.items[i]);
}

static void visit(ir_op *op, void *context)
{
    bool steps = op->code == IR_FOR || op->code == IR_IF;
    for (unsigned i = 0; steps && i < op->n_regions; i++)
        overlap_block(((pass_context *)context)->arena, op->regions[i]);
}

bool pass_overlap(ir_module *m, pass_context *c)
{
    for (ir_function *f = m->functions; f; f = f->next)
        if (!is_prefetched(f)) // prefetches have been put where there is time
            ir_walk(f->body, visit, c);
    return true;
}
