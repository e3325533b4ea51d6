#include "compiler/passes/fuse.h"

#include <string.h>

enum { MAX_OPS = 48, MAX_REDUCTIONS = 6, MAX_PRODUCTS = 8 };

// ------------------------------------------------------------------- questions

unit *fuse_unit_of(const fusion *f, const ir_value *v)
{
    return v && v->kind == IR_VALUE_RESULT && v->op->mark ? f->units.items[v->op->mark - 1] : NULL;
}

static bool is_elementwise(const ir_op *op)
{
    return ir_op_rows[op->code].traits & IR_ELEMENTWISE;
}

static bool is_reduction(const ir_op *op)
{
    return (ir_op_rows[op->code].traits & IR_ROWWISE) && op->code != IR_LUT_PRECOMPUTE;
}

// An iota is computed anew in every kernel that uses it, unless some use needs its memory.
static bool stands_everywhere(const ir_op *iota)
{
    ir_dim columns = iota->results[0].type->dims[0];
    for (const ir_use *use = iota->results[0].uses; use; use = use->next) {
        const ir_type *y = use->op->n_results ? use->op->results[0].type : NULL;
        if (!is_elementwise(use->op) || !ir_dim_equal(y->dims[y->rank - 1], columns))
            return false;
    }
    return true;
}

static unit_kind kind_of(const ir_op *op)
{
    bool tensor = op->n_results && op->results[0].type->kind == IR_TENSOR;
    switch (op->code) {
    case IR_LUT_MPGEMM: return UNIT_MPGEMM;
    case IR_LINEAR: return UNIT_DENSE;
    case IR_STATE_READ:
    case IR_STATE_WRITE:
    case IR_SLICE: return UNIT_COPY;
    case IR_GATHER: return UNIT_GATHER;
    case IR_ROPE: return UNIT_ROPE;
    case IR_ATTEND: return UNIT_ATTEND;
    case IR_LUT_PRECOMPUTE: return UNIT_ROWS;
    case IR_IOTA: return stands_everywhere(op) ? UNIT_OUTSIDE : UNIT_ROWS;
    default: return tensor && (is_elementwise(op) || is_reduction(op)) ? UNIT_ROWS : UNIT_OUTSIDE;
    }
}

// Reads or writes a state: such ops keep their order.
static bool is_state_access(const ir_op *op)
{
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *v = ir_operand(op, i);
        if (v && v->kind == IR_VALUE_GLOBAL && v->global->kind == IR_GLOBAL_STATE)
            return true;
    }
    return false;
}

static unsigned count_ops(const unit *u, bool (*is)(const ir_op *op))
{
    unsigned count = 0;
    for (size_t i = 0; i < u->ops.count; i++)
        count += is(u->ops.items[i]);
    return count;
}

static bool is_softmax(const ir_op *op)
{
    return op->code == IR_SOFTMAX;
}

static bool is_mpgemm(const ir_op *op)
{
    return op->code == IR_LUT_MPGEMM;
}

typedef ARRAY_OF(unit *) unit_stack;

// What ends before `target` begins cannot need it: values come from ops that stand before.
static void push(fusion *f, unit_stack *stack, unit *u, const unit *target)
{
    if (!u || u->visit == f->visit || u->last < target->first)
        return;
    u->visit = f->visit;
    ARRAY_PUSH(f->context->arena, stack, u);
}

static void push_needed(fusion *f, unit_stack *stack, const unit *u, const unit *target)
{
    for (size_t i = 0; i < u->ops.count; i++)
        for (unsigned j = 0; j < u->ops.items[i]->n_operands; j++)
            push(f, stack, fuse_unit_of(f, ir_operand(u->ops.items[i], j)), target);
    if (u->previous)
        push(f, stack, f->units.items[u->previous->mark - 1], target);
}

// Whether `from`, which is another unit, or what it needs, needs a value of `target`.
static bool depends(fusion *f, unit *from, const unit *target)
{
    arena_mark mark = arena_save(f->context->arena);
    unit_stack stack = {0};
    bool found = false;
    push(f, &stack, from, target);
    while (stack.count && !found) {
        unit *u = stack.items[--stack.count];
        found = u == target;
        push_needed(f, &stack, u, target);
    }
    arena_restore(f->context->arena, mark);
    return found;
}

// Whether `op`, were it a member of `u`, would need a value that itself needs `u`.
static bool makes_cycle(fusion *f, const ir_op *op, const unit *u)
{
    for (unsigned i = 0; i < op->n_operands; i++) {
        unit *from = fuse_unit_of(f, ir_operand(op, i));
        f->visit++;
        if (from && from != u && depends(f, from, u))
            return true;
    }
    return false;
}

// ------------------------------------------------------------------- obstacles

// Why `op`'s operands that `u` computes cannot be taken inside a kernel; NULL: they can. Values
// inside have the rows and columns of the kernel; gains are inputs.
static const char *operand_obstacle(const fusion *f, const ir_op *op, const unit *u)
{
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *x = ir_operand(op, i);
        if (fuse_unit_of(f, x) != u)
            continue;
        if (x->index > 0)
            return "it uses a scale per row";
        if (is_reduction(op) && i > 0)
            return "its gain is computed there";
        if (!ir_type_same_dims(x->type, u->shape))
            return "it broadcasts a value that is computed there";
    }
    return NULL;
}

static const char *size_obstacle(const unit *u, unsigned ops, unsigned reductions, unsigned softmax)
{
    if (u->ops.count + ops > MAX_OPS)
        return "the kernel is large enough";
    if (count_ops(u, is_reduction) + reductions > MAX_REDUCTIONS)
        return "the kernel has enough reductions";
    return count_ops(u, is_softmax) + softmax > 1 ? "the kernel has a softmax already" : NULL;
}

static const char *rows_obstacle(fusion *f, const ir_op *op, const unit *u)
{
    bool table = op->code == IR_LUT_PRECOMPUTE;
    if (!(table ? f->precompute : f->rows))
        return "it is switched off";
    const char *reason = operand_obstacle(f, op, u);
    if (!reason && !ir_type_same_dims(op->results[0].type, u->shape))
        reason = "their shapes differ";
    return reason ? reason : size_obstacle(u, 1, is_reduction(op), is_softmax(op));
}

static const char *epilogue_obstacle(fusion *f, const ir_op *op, const unit *u)
{
    if (!is_elementwise(op))
        return "the matrix product gives columns, not whole rows";
    if (!f->epilogue)
        return "it is switched off";
    const char *reason = operand_obstacle(f, op, u);
    if (!reason && !ir_type_same_dims(op->results[0].type, u->shape))
        reason = "their shapes differ";
    return reason ? reason : size_obstacle(u, 1, 0, 0);
}

static const ir_op *first_product(const unit *u);

static const char *product_obstacle(fusion *f, const ir_op *op, const unit *u)
{
    if (!f->products)
        return "it is switched off";
    if (!ir_type_same_dims(op->results[0].type, u->shape))
        return "their numbers of columns differ";
    if (graph_is_mixed(ir_operand(op, 1)) || graph_is_mixed(ir_operand(first_product(u), 1)))
        return "blocks of their rows differ in format";
    if (fuse_unit_of(f, ir_operand_named(op, "scale")) == u)
        return "its scale is computed there";
    return count_ops(u, is_mpgemm) == MAX_PRODUCTS ? "the kernel has enough products" : NULL;
}

// Why `op` cannot join `u`; NULL: it can.
static const char *obstacle(fusion *f, const ir_op *op, const unit *u)
{
    const char *reason;
    if (op->code == IR_LUT_MPGEMM)
        reason = product_obstacle(f, op, u);
    else if (u->kind == UNIT_ROWS)
        reason = rows_obstacle(f, op, u);
    else
        reason = epilogue_obstacle(f, op, u);
    return reason || !makes_cycle(f, op, u) ? reason : "a value between them stays outside";
}

// --------------------------------------------------------------------- remarks

static const char *short_name(const ir_op *op)
{
    const char *name = ir_op_rows[op->code].name, *dot = strchr(name, '.');
    return dot ? dot + 1 : name;
}

static const char *product_name(const ir_op *op)
{
    return graph_value_name(ir_operand(op, 1));
}

static const ir_op *first_product(const unit *u)
{
    for (size_t i = 0; i < u->ops.count; i++)
        if (u->ops.items[i]->code == IR_LUT_MPGEMM || u->ops.items[i]->code == IR_LINEAR)
            return u->ops.items[i];
    return NULL;
}

static const char *producer_name(const ir_op *op)
{
    const ir_value *x = ir_operand(op, 0);
    return x->kind == IR_VALUE_RESULT ? short_name(x->op) : "an argument";
}

static void remark_joined(fusion *f, const ir_op *op, const unit *u)
{
    pass_context *c = f->context;
    const ir_op *product = first_product(u);
    if (op->code == IR_LUT_PRECOMPUTE) {
        text consumers = {0};
        graph_print_consumers(&consumers, "1 table", op);
        pass_remark(c, REMARK_APPLIED, op->where, "table precompute of %s fused into %s; %s",
                    graph_describe_value(c->arena, ir_operand(op, 0)), producer_name(op),
                    text_string(&consumers));
        text_free(&consumers);
    } else if (op->code == IR_LUT_MPGEMM) {
        pass_remark(c, REMARK_APPLIED, op->where, "products of '%s' and '%s' share a kernel",
                    product_name(product), product_name(op));
    } else if (product) {
        pass_remark(c, REMARK_APPLIED, op->where, "%s fused behind the product of '%s'",
                    short_name(op), product_name(product));
    } else {
        pass_remark(c, REMARK_APPLIED, op->where, "%s fused with %s", short_name(op),
                    short_name(u->ops.items[0]));
    }
}

static void remark_missed(fusion *f, const ir_op *op, const unit *u, const char *reason)
{
    pass_context *c = f->context;
    const ir_op *product = first_product(u);
    if (op->code == IR_LUT_PRECOMPUTE)
        pass_remark(c, REMARK_MISSED, op->where, "table precompute of %s not fused into %s: %s",
                    graph_describe_value(c->arena, ir_operand(op, 0)), producer_name(op), reason);
    else if (op->code == IR_LUT_MPGEMM)
        pass_remark(c, REMARK_MISSED, op->where,
                    "products of '%s' and '%s' do not share a kernel: %s", product_name(product),
                    product_name(op), reason);
    else if (product)
        pass_remark(c, REMARK_MISSED, op->where, "%s not fused behind the product of '%s': %s",
                    short_name(op), product_name(product), reason);
    else
        pass_remark(c, REMARK_MISSED, op->where, "%s not fused with %s: %s", short_name(op),
                    short_name(u->ops.items[0]), reason);
}

// A table of an argument, a state or a reshaped value has nothing to be fused into.
static void remark_alone(fusion *f, const ir_op *op)
{
    const ir_value *x = ir_operand(op, 0);
    if (op->code != IR_LUT_PRECOMPUTE)
        return;
    pass_remark(f->context, REMARK_MISSED, op->where,
                "table precompute of %s not fused: it comes from %s",
                graph_describe_value(f->context->arena, x), producer_name(op));
}

// --------------------------------------------------------------------- forming

// Keeps the unit's ops in program order.
static void add_op(fusion *f, unit *u, ir_op *op)
{
    ARRAY_PUSH(f->context->arena, &u->ops, op);
    op->mark = u->index + 1;
    ir_op **ops = u->ops.items;
    for (size_t i = u->ops.count - 1; i && ops[i - 1]->results[0].mark > op->results[0].mark; i--) {
        ops[i] = ops[i - 1];
        ops[i - 1] = op;
    }
}

static unit *new_unit(fusion *f, ir_op *op, unit_kind kind)
{
    unit *u = ARENA_NEW(f->context->arena, unit);
    u->kind = kind;
    u->shape = op->n_results ? op->results[0].type : NULL;
    u->index = (unsigned)f->units.count;
    u->first = u->last = f->position;
    ARRAY_PUSH(f->context->arena, &f->units, u);
    ARRAY_PUSH(f->context->arena, &u->ops, op);
    op->mark = u->index + 1;
    return u;
}

typedef struct candidates {
    unit *items[8];
    unsigned count;
} candidates;

static void add_candidate(candidates *c, unit *u)
{
    if (!u || u->kind == UNIT_OUTSIDE || u->kind >= UNIT_COPY)
        return;
    for (unsigned i = 0; i < c->count; i++)
        if (c->items[i] == u)
            return;
    if (c->count < sizeof c->items / sizeof *c->items)
        c->items[c->count++] = u;
}

// The units that `op` could join: those of products on the same table; those that compute its
// operands, matrix products first.
static candidates find_candidates(const fusion *f, const ir_op *op)
{
    candidates c = {0};
    if (op->code == IR_LUT_MPGEMM) {
        for (const ir_use *use = ir_operand(op, 0)->uses; use; use = use->next)
            if (use->op->code == IR_LUT_MPGEMM && use->op->mark)
                add_candidate(&c, f->units.items[use->op->mark - 1]);
        return c;
    }
    for (unsigned rows = 0; rows < 2; rows++) {
        for (unsigned i = op->n_operands; i-- > 0;) {
            unit *u = fuse_unit_of(f, ir_operand(op, i));
            if (u && (u->kind == UNIT_ROWS) == rows)
                add_candidate(&c, u);
        }
    }
    return c;
}

// Whether `u`, which computes an operand of `op` as `into` does, can become part of `into`.
static bool can_merge(fusion *f, const ir_op *op, unit *into, unit *u)
{
    if (u == into || u->kind != UNIT_ROWS || into->kind != UNIT_ROWS || !f->rows ||
        !ir_type_same_dims(u->shape, into->shape) || operand_obstacle(f, op, u) ||
        size_obstacle(into, (unsigned)u->ops.count + 1, count_ops(u, is_reduction) + 1,
                      count_ops(u, is_softmax)) ||
        makes_cycle(f, op, u))
        return false;
    f->visit++;
    if (depends(f, u, into))
        return false;
    f->visit++;
    return !depends(f, into, u);
}

// The op becomes a member of `into`; other row-wise producers of its operands follow where the
// values between allow it.
static void join(fusion *f, ir_op *op, unit *into, const candidates *c)
{
    remark_joined(f, op, into);
    for (unsigned i = 0; i < c->count && op->code != IR_LUT_MPGEMM; i++) {
        unit *u = c->items[i];
        if (!can_merge(f, op, into, u))
            continue;
        remark_joined(f, op, u);
        for (size_t j = 0; j < u->ops.count; j++)
            add_op(f, into, u->ops.items[j]);
        into->first = u->first < into->first ? u->first : into->first;
        u->ops.count = 0;
    }
    add_op(f, into, op);
    into->last = f->position;
}

static void place_op(fusion *f, ir_op *op, unit_kind kind)
{
    candidates c = find_candidates(f, op);
    const char *reason = NULL;
    for (unsigned i = 0; i < c.count; i++) {
        reason = obstacle(f, op, c.items[i]);
        if (!reason) {
            join(f, op, c.items[i], &c);
            return;
        }
    }
    if (reason)
        remark_missed(f, op, c.items[0], obstacle(f, op, c.items[0]));
    else
        remark_alone(f, op);
    new_unit(f, op, kind);
}

void fuse_form(fusion *f)
{
    const ir_op *access = NULL;
    int64_t position = 0;
    IR_FOR_OPS(op, f->function->body)
    {
        op->mark = 0;
        if (op->n_results)
            op->results[0].mark = ++position;
    }
    IR_FOR_OPS(op, f->function->body)
    {
        f->position++;
        unit_kind kind = kind_of(op);
        if (kind == UNIT_ROWS || kind == UNIT_MPGEMM) {
            place_op(f, op, kind);
            continue;
        }
        unit *u = new_unit(f, op, kind);
        if (is_state_access(op)) {
            u->previous = access;
            access = op;
        }
    }
}
