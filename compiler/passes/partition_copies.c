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

// Whether one rank would do all of the loop.
static bool has_one_round(const ir_op *loop, const ir_op *call)
{
    const int64_t lower = low_evaluate(ir_operand(loop, 0), given_for_one, call);
    const int64_t upper = low_evaluate(ir_operand(loop, 1), given_for_one, call);
    const int64_t step = low_evaluate(ir_operand(loop, 2), given_for_one, call);
    return ir_name_is(loop, "share", "turns") && lower >= 0 && upper >= 0 && step > 0 &&
           upper <= lower + step;
}

static bool is_of_one(const partitioning *p, const ir_op *call)
{
    const kernel_use *k = partition_kernel(p, call);
    bool one = k->shared;
    for (size_t i = 0; i < k->loops.items.count && one; i++) {
        const ir_op *loop = k->loops.items.items[i];
        one = partition_shared_around(loop) || has_one_round(loop, call);
    }
    return one;
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

// Calls and allocations have a mark if they are among them.
bool partition_is_copied(const ir_op *call)
{
    return call->mark != 0;
}

bool partition_has_copies(const ir_value *buffer)
{
    const ir_value *root = graph_root(buffer);
    return root->kind == IR_VALUE_RESULT && root->op->code == IR_ALLOC && root->op->mark != 0;
}

// Memory that others see and a call writes: either both are among them, or neither. Whether one has
// been left out.
static bool agree(const partitioning *p, ir_op *call)
{
    const kernel_use *k = partition_kernel(p, call);
    bool left_out = false;
    for (unsigned i = 0; i < call->n_operands; i++) {
        const ir_value *v = ir_operand(call, i), *root = graph_root(v);
        if (v->type->kind != IR_BUFFER || !k->arguments[i].written || partition_is_private(root) ||
            partition_is_copied(call) == partition_has_copies(v))
            continue;
        *(partition_is_copied(call) ? &call->mark : &root->op->mark) = 0;
        left_out = true;
    }
    return left_out;
}

row_copies partition_find_copies(const partitioning *p, const ir_function *entry)
{
    row_copies c = {0};
    bool left_out = true;
    IR_FOR_OPS(op, entry->body)
    {
        op->mark = op->code == IR_CALL    ? is_of_one(p, op)
                   : op->code == IR_ALLOC ? !ir_boolean(op, "private") && is_viewed(op) &&
                                                copies_in(op) >= LEAST_COPIES
                                          : 0;
    }
    while (left_out) {
        left_out = false;
        IR_FOR_OPS(op, entry->body)
        left_out = (op->code == IR_CALL && agree(p, op)) || left_out;
    }
    IR_FOR_OPS(op, entry->body)
    {
        c.calls += op->code == IR_CALL && op->mark;
        const int64_t room = op->code == IR_ALLOC && op->mark ? copies_in(op) : 0;
        c.count = room && (!c.count || room < c.count) ? room : c.count;
    }
    return c;
}

// ------------------------------------------------------------------ code

// 0 or 1.
static ir_value *at_most_one(lowering *l, ir_value *x)
{
    return low_min(l, x, low_index(l, 1));
}

// By how much dimensions are beyond 1, all together.
static ir_value *more_rows(lowering *l, const ir_function *entry)
{
    ir_value *more = low_index(l, 0);
    IR_FOR_OPS(op, entry->body)
    {
        if (op->code != IR_DIMENSION)
            continue;
        ir_value *size = &op->results[0];
        more = low_add(l, more, low_sub(l, size, at_most_one(l, size)));
    }
    return more;
}

// Behind the entry's constants, dimensions and rank.
static ir_op *behind_head(const ir_function *entry)
{
    ir_op *at = entry->body->first;
    while (at->code == IR_CONSTANT || at->code == IR_DIMENSION || at->code == IR_RANK ||
           at->code == IR_RANKS || at->code == IR_COMPARE)
        at = at->next;
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
static void begin_at_copies(const partitioning *p, lowering *l, const ir_function *entry,
                            ir_value *copy)
{
    typedef struct first_row {
        int64_t least;
        ir_value *row;
    } first_row;
    ARRAY_OF(first_row) rows = {0};
    IR_FOR_OPS(op, entry->body)
    {
        if (op->code != IR_ALLOC || !op->mark)
            continue;
        first_row first = {ir_integer(op, "least"), NULL};
        for (size_t i = 0; i < rows.count && !first.row; i++)
            first.row = rows.items[i].least == first.least ? rows.items[i].row : NULL;
        if (!first.row) {
            first.row = low_mul(l, copy, low_index(l, first.least));
            ARRAY_PUSH(p->context->arena, &rows, first);
        }
        set_first_row(p, op, first.row);
    }
}

void partition_make_copies(const partitioning *p, ir_function *entry, ir_value *rank,
                           ir_value *ranks, row_copies *c)
{
    lowering l = low_before(p->module, p->context, entry, behind_head(entry));
    ir_value *one = low_index(&l, 1), *room = low_index(&l, c->count);
    ir_value *others = low_sub(&l, ranks, low_min(&l, ranks, room));
    ir_value *several = at_most_one(&l, low_add(&l, more_rows(&l, entry), others));
    ir_value *copy = low_mul(&l, rank, low_sub(&l, one, several));
    c->rank = low_mul(&l, rank, several);
    c->ranks = low_add(&l, one, low_mul(&l, low_sub(&l, ranks, one), several));
    c->ranks_of_one = low_sub(&l, low_add(&l, ranks, one), c->ranks);
    begin_at_copies(p, &l, entry, copy);
}
