// What every rank computes for itself where an entry is called for one row, as a step of decoding
// is.
//
// Kernels that divide rows leave the row to one rank. The others wait for it, and then fetch what
// it computed from its cache. So all of them compute the row, each into a copy of its own, and need
// no barrier. Copies stand side by side where rows of longer calls would, so that there are some as
// soon as memory has room for as many rows; for more ranks than that, all is done as for several
// rows. Whatever writes memory that is copied must be done so: other memory needs one writer.
#include "compiler/passes/partition.h"

enum { LEAST_COPIES = 8 };

// ------------------------------------------------------------------ one row

// What an argument of the called kernel is where all dimensions are 1.
static int64_t given_for_one(const ir_value *argument, const void *call)
{
    const ir_value *given = ir_operand(call, argument->index);
    int64_t known;
    if (low_is_constant(given, &known))
        return known;
    return given->kind == IR_VALUE_RESULT && given->op->code == IR_DIMENSION ? 1 : -1;
}

typedef struct round_check {
    const ir_op *call;
    bool single;
} round_check;

static void check_rounds(ir_op *op, void *context)
{
    round_check *c = context;
    if (shared_loop_around(op) != op || partition_shared_around(op))
        return;
    const int64_t lower = low_evaluate(ir_operand(op, 0), given_for_one, c->call);
    const int64_t upper = low_evaluate(ir_operand(op, 1), given_for_one, c->call);
    const int64_t step = low_evaluate(ir_operand(op, 2), given_for_one, c->call);
    c->single &= ir_name_is(op, "share", "turns") && lower >= 0 && upper >= 0 && step > 0 &&
                 upper <= lower + step;
}

// Whether one rank would do all of it.
static bool is_of_one(const partitioning *p, const ir_op *call)
{
    const kernel_use *k = partition_kernel(p, call);
    round_check c = {call, k->shared};
    ir_walk(k->function->body, check_rounds, &c);
    return c.single;
}

// ------------------------------------------------------------------ memory

static int64_t copies_in(const ir_op *alloc)
{
    const int64_t least = ir_integer(alloc, "least");
    return least ? ir_dim_maximum(alloc->results[0].type->dims[0]) / least : 0;
}

static bool is_zero(const ir_value *v)
{
    int64_t known;
    return low_is_constant(v, &known) && known == 0;
}

// Whether calls see views of it only, from its beginning on, which can begin elsewhere.
static bool is_viewed(const ir_op *alloc)
{
    bool good = true;
    for (const ir_use *u = alloc->results[0].uses; u; u = u->next)
        good = good && u->op->code == IR_VIEW && u->slot == 0 && is_zero(ir_operand(u->op, 1));
    return good;
}

// ------------------------------------------------------------------ which

static bool contains(const ir_op *const *items, size_t count, const ir_op *op)
{
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found |= items[i] == op;
    return found;
}

bool partition_is_copied(const row_copies *c, const ir_op *call)
{
    return contains(c->calls.items, c->calls.count, call);
}

bool partition_has_copies(const row_copies *c, const ir_value *buffer)
{
    const ir_value *root = graph_root(buffer);
    return root->kind == IR_VALUE_RESULT &&
           contains(c->allocations.items, c->allocations.count, root->op);
}

// Memory that others see and that is not copied.
static bool writes_elsewhere(const partitioning *p, const row_copies *c, const ir_op *call)
{
    const kernel_use *k = partition_kernel(p, call);
    bool elsewhere = false;
    for (unsigned i = 0; i < call->n_operands; i++) {
        const ir_value *v = ir_operand(call, i);
        elsewhere |= v->type->kind == IR_BUFFER && k->arguments[i].written &&
                     !partition_is_private(graph_root(v)) && !partition_has_copies(c, v);
    }
    return elsewhere;
}

static bool writes(const partitioning *p, const ir_op *call, const ir_op *alloc)
{
    const kernel_use *k = partition_kernel(p, call);
    bool written = false;
    for (unsigned i = 0; i < call->n_operands; i++) {
        const ir_value *v = ir_operand(call, i);
        written |= v->type->kind == IR_BUFFER && k->arguments[i].written &&
                   graph_root(v) == &alloc->results[0];
    }
    return written;
}

// Whether a call writes it that is not every rank's own.
static bool is_written_by_one(const partitioning *p, const row_copies *c, const ir_function *entry,
                              const ir_op *alloc)
{
    bool found = false;
    IR_FOR_OPS(op, entry->body)
    {
        found |= op->code == IR_CALL && !partition_is_copied(c, op) && writes(p, op, alloc);
    }
    return found;
}

// Leaves those out that need what others are not. False: all stay.
static bool leave_out(const partitioning *p, row_copies *c, const ir_function *entry)
{
    const size_t before = c->calls.count + c->allocations.count;
    size_t n = 0;
    for (size_t i = 0; i < c->calls.count; i++)
        if (!writes_elsewhere(p, c, c->calls.items[i]))
            c->calls.items[n++] = c->calls.items[i];
    c->calls.count = n;
    n = 0;
    for (size_t i = 0; i < c->allocations.count; i++)
        if (!is_written_by_one(p, c, entry, c->allocations.items[i]))
            c->allocations.items[n++] = c->allocations.items[i];
    c->allocations.count = n;
    return c->calls.count + n < before;
}

row_copies partition_find_copies(const partitioning *p, const ir_function *entry)
{
    arena *a = p->context->arena;
    row_copies c = {0};
    IR_FOR_OPS(op, entry->body)
    {
        if (op->code == IR_CALL && is_of_one(p, op))
            ARRAY_PUSH(a, &c.calls, op);
        if (op->code == IR_ALLOC && !ir_boolean(op, "private") && is_viewed(op) &&
            copies_in(op) >= LEAST_COPIES)
            ARRAY_PUSH(a, &c.allocations, op);
    }
    while (leave_out(p, &c, entry))
        ;
    for (size_t i = 0; i < c.allocations.count; i++) {
        const int64_t room = copies_in(c.allocations.items[i]);
        c.count = c.count && c.count < room ? c.count : room;
    }
    return c;
}

// ------------------------------------------------------------------ code

// 0 or 1.
static ir_value *at_most_one(lowering *l, ir_value *x)
{
    return low_min(l, x, low_index(l, 1));
}

// How far the product of all dimensions is beyond 1.
static ir_value *more_rows(lowering *l, const ir_function *entry)
{
    ir_value *rows = low_index(l, 1);
    IR_FOR_OPS(op, entry->body)
    {
        if (op->code == IR_DIMENSION)
            rows = low_mul(l, rows, &op->results[0]);
    }
    return low_sub(l, rows, at_most_one(l, rows));
}

// Behind the entry's dimensions and rank.
static ir_op *behind_head(const ir_function *entry, const ir_value *ranks)
{
    ir_op *at = ranks->op->next;
    IR_FOR_OPS(op, entry->body)
    {
        if (op->code == IR_DIMENSION && op->mark >= at->mark)
            at = op->next;
    }
    return at;
}

static void set_first_row(const partitioning *p, const ir_op *alloc, ir_value *row)
{
    ARRAY_OF(ir_op *) views = {0};
    for (const ir_use *u = alloc->results[0].uses; u; u = u->next)
        ARRAY_PUSH(p->context->arena, &views, u->op);
    for (size_t i = 0; i < views.count; i++)
        ir_set_operand(views.items[i], 1, row);
}

// Views begin at the rank's copy.
static void begin_at_copies(const partitioning *p, lowering *l, const row_copies *c, ir_value *copy)
{
    const size_t n = c->allocations.count;
    ir_value **rows = ARENA_ARRAY(p->context->arena, ir_value *, n);
    for (size_t i = 0; i < n; i++) {
        const int64_t least = ir_integer(c->allocations.items[i], "least");
        for (size_t k = 0; k < i && !rows[i]; k++)
            if (ir_integer(c->allocations.items[k], "least") == least)
                rows[i] = rows[k];
        if (!rows[i])
            rows[i] = low_mul(l, copy, low_index(l, least));
        set_first_row(p, c->allocations.items[i], rows[i]);
    }
}

void partition_make_copies(const partitioning *p, ir_function *entry, ir_value *rank,
                           ir_value *ranks, row_copies *c)
{
    graph_number_ops(entry->body);
    ir_op *at = behind_head(entry, ranks);
    lowering l = low_before(p->module, p->context, entry, at);
    ir_value *one = low_index(&l, 1), *room = low_index(&l, c->count);
    ir_value *others = low_sub(&l, ranks, low_min(&l, ranks, room));
    ir_value *several = at_most_one(&l, low_add(&l, more_rows(&l, entry), others));
    ir_value *copy = low_mul(&l, rank, low_sub(&l, one, several));
    c->several = several;
    c->several_rows = low_compare(&l, "eq", several, one);
    c->rank = low_mul(&l, rank, several);
    c->ranks = low_add(&l, one, low_mul(&l, low_sub(&l, ranks, one), several));
    begin_at_copies(p, &l, c, copy);
}
