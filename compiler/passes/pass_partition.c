// partition: those that run an entry together, its ranks, divide the work of its kernels.
//
// Loops whose rounds are independent (`share`) are divided inside the kernels; what a kernel does
// outside of them, every rank does in scratch memory of its own. Kernels without such loops, and
// those that write other memory outside of them, are called by rank 0 alone. A barrier stands in
// front of a call that touches what the calls since the last one wrote, or writes what they read.
// Of what cannot be divided in a call of one row, every rank makes a copy (partition_copies.c).
// Nothing here knows what a rank is: a hart, or a thread.
#include "compiler/passes/partition.h"

// ------------------------------------------------------------------ what kernels touch

const ir_op *partition_shared_around(const ir_op *op)
{
    return shared_loop_around(op->block->parent);
}

static void note_op(ir_op *op, void *context)
{
    kernel_use *k = context;
    bool inside = partition_shared_around(op) != NULL;
    if (shared_loop_around(op) == op)
        ARRAY_PUSH(k->loops.arena, &k->loops.items, op);
    for (unsigned i = 0; i < op->n_operands && op->code != IR_VIEW; i++) {
        const ir_value *v = ir_operand(op, i);
        if (!v || v->type->kind != IR_BUFFER || graph_root(v)->kind != IR_VALUE_ARGUMENT)
            continue;
        argument_use *use = &k->arguments[graph_root(v)->index];
        bool written = graph_writes(op, i);
        use->written = use->written || written;
        use->read = use->read || !written || op->code == IR_CALL;
        use->written_by_all = use->written_by_all || (written && !inside);
    }
}

kernel_use *partition_kernel(const partitioning *p, const ir_op *call)
{
    const ir_function *f = ir_function_find(p->module, ir_find(call, "callee")->text);
    for (size_t i = 0; i < p->kernels.count; i++) {
        if (p->kernels.items[i].function == f)
            return &p->kernels.items[i];
    }
    return NULL;
}

static void note_kernels(partitioning *p)
{
    arena *a = p->context->arena;
    for (ir_function *f = p->module->functions; f; f = f->next) {
        if (f->entry)
            continue;
        kernel_use k = {.function = f, .loops = {.arena = a}};
        k.arguments = ARENA_ARRAY(a, argument_use, f->body->arguments.count);
        ir_walk(f->body, note_op, &k);
        k.shared = k.loops.items.count > 0;
        ARRAY_PUSH(a, &p->kernels, k);
    }
}

// ------------------------------------------------------------------ scratch memory

// The only call that uses the memory; NULL: there are several. *calls counts them.
static void count_calls(const ir_value *v, const ir_op **call, unsigned *calls)
{
    for (const ir_use *u = v->uses; u; u = u->next) {
        if (u->op->code == IR_VIEW) {
            count_calls(&u->op->results[0], call, calls);
        } else if (u->op != *call) {
            *call = u->op;
            ++*calls;
        }
    }
}

// What a single call uses, it uses as scratch memory: nobody knows what was there before, or sees
// what is there behind it.
static void find_scratch(ir_op *op, void *context)
{
    (void)context;
    const ir_op *call = NULL;
    unsigned calls = 0;
    if (op->code != IR_ALLOC)
        return;
    count_calls(&op->results[0], &call, &calls);
    if (calls <= 1)
        ir_set_boolean(op, "private", true);
}

bool partition_is_private(const ir_value *root)
{
    return root->kind == IR_VALUE_RESULT && root->op->code == IR_ALLOC &&
           ir_boolean(root->op, "private");
}

// Whoever writes memory that others see does so in a shared loop, or alone.
static void check_call(ir_op *op, void *context)
{
    partitioning *p = context;
    if (op->code != IR_CALL)
        return;
    kernel_use *k = partition_kernel(p, op);
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *v = ir_operand(op, i);
        if (v->type->kind == IR_BUFFER && k->arguments[i].written_by_all &&
            !partition_is_private(graph_root(v)))
            k->shared = false;
    }
}

// --------------------------------------------------------------------------- kernels

// Of `count` rounds a rank has those from count * rank / ranks to count * (rank + 1) / ranks,
// quotients rounded up: of a single one, rank 0. The first quotient's dividend; `count` more is the
// second's.
static ir_value *dividend(lowering *l, ir_value *count, ir_value *rank, ir_value *ranks)
{
    ir_value *less = low_sub(l, ranks, low_index(l, 1));
    return low_add(l, low_mul(l, count, rank), less);
}

static void divide_parts(lowering *l, ir_op *loop, ir_value *rank, ir_value *ranks)
{
    ir_value *lower = ir_operand(loop, 0), *upper = ir_operand(loop, 1);
    ir_value *step = ir_operand(loop, 2), *count = low_sub(l, upper, lower);
    int64_t single;
    bool by_one = low_is_constant(step, &single) && single == 1;
    if (!by_one)
        count = low_div(l, low_add(l, count, low_sub(l, step, low_index(l, 1))), step);
    ir_value *before = dividend(l, count, rank, ranks);
    ir_value *last = low_div(l, low_add(l, before, count), ranks);
    ir_value *first = low_div(l, before, ranks), *end = low_add(l, lower, low_mul(l, last, step));
    ir_set_operand(loop, 0, low_add(l, lower, low_mul(l, first, step)));
    ir_set_operand(loop, 1, by_one ? end : low_min(l, upper, end));
}

// Of n numbers those that parts of steps of 1 would be. Rounds begin where they did.
static void divide_cuts(lowering *l, ir_op *loop, ir_value *rank, ir_value *ranks)
{
    ir_value *lower = ir_operand(loop, 0), *step = ir_operand(loop, 2);
    ir_value *count = low_sub(l, ir_operand(loop, 1), lower);
    ir_value *before = dividend(l, count, rank, ranks), *first = low_div(l, before, ranks);
    ir_value *end = low_add(l, lower, low_div(l, low_add(l, before, count), ranks));
    first = low_add(l, lower, first);
    ir_value *all = low_mul(l, low_sub(l, end, first), step); // 0: no round at all
    ir_value *back = low_min(l, low_rem(l, low_sub(l, first, lower), step), all);
    ir_set_operand(loop, 0, low_sub(l, first, back));
    ir_set_operand(loop, 1, end);
    ir_set_operand(loop, 3, first);
    ir_set_operand(loop, 4, end);
}

static void divide_turns(lowering *l, ir_op *loop, ir_value *rank, ir_value *ranks)
{
    ir_value *lower = ir_operand(loop, 0), *step = ir_operand(loop, 2);
    ir_set_operand(loop, 0, low_add(l, lower, low_mul(l, rank, step)));
    ir_set_operand(loop, 2, low_mul(l, step, ranks));
}

static void divide_loop(lowering *l, ir_op *loop, ir_value *rank, ir_value *ranks)
{
    if (ir_name_is(loop, "share", "parts"))
        divide_parts(l, loop, rank, ranks);
    else if (ir_name_is(loop, "share", "turns"))
        divide_turns(l, loop, rank, ranks);
    else
        divide_cuts(l, loop, rank, ranks);
}

// Loops inside one that is divided stay whole.
static void divide_kernel(partitioning *p, kernel_use *k)
{
    const ir_type *index = ir_type_index(p->module);
    k->rank = ir_block_argument(k->function->body, index, "rank");
    k->ranks = ir_block_argument(k->function->body, index, "ranks");
    for (size_t i = 0; i < k->loops.items.count; i++) {
        ir_op *loop = k->loops.items.items[i];
        lowering l = low_before(p->module, p->context, k->function, loop);
        if (partition_shared_around(loop))
            continue;
        divide_loop(&l, loop, k->rank, k->ranks);
    }
    for (size_t i = 0; i < k->loops.items.count; i++)
        ir_remove_attribute(k->loops.items.items[i], "share");
}

// --------------------------------------------------------------------------- entries

typedef struct access {
    const ir_value *root;
    bool written;
} access;

// Accesses since the last barrier.
typedef struct access_list {
    ARRAY_OF(access) all;
} access_list;

typedef struct entry_partition {
    partitioning *partitioning;
    ir_function *function;
    ir_value *rank, *ranks, *is_first;
    row_copies copies;
    access_list since;        // in calls of several rows
    access_list since_in_one; // in calls of one, which leave some barriers out
    unsigned barriers, left_out, alone, calls;
} entry_partition;

static bool depends(const access_list *since, const ir_value *root, const argument_use *use)
{
    for (size_t i = 0; i < since->all.count; i++) {
        const access *earlier = &since->all.items[i];
        if (earlier->root == root && (earlier->written || use->written))
            return true;
    }
    return false;
}

// Whether the call needs a barrier in front of it. `of_one`: what ranks have copies of is no
// reason.
static bool needs_barrier(const access_list *since, bool of_one, const ir_op *call,
                          const kernel_use *k)
{
    for (unsigned i = 0; i < call->n_operands; i++) {
        const ir_value *v = ir_operand(call, i);
        if (v->type->kind == IR_BUFFER && !(of_one && partition_has_copies(v)) &&
            depends(since, graph_root(v), &k->arguments[i]))
            return true;
    }
    return false;
}

static void note_accesses(entry_partition *e, const ir_op *call, const kernel_use *k)
{
    arena *a = e->partitioning->context->arena;
    for (unsigned i = 0; i < call->n_operands; i++) {
        const ir_value *v = ir_operand(call, i);
        if (v->type->kind != IR_BUFFER || partition_is_private(graph_root(v)))
            continue;
        access x = {graph_root(v), k->arguments[i].written};
        ARRAY_PUSH(a, &e->since.all, x);
        ARRAY_PUSH(a, &e->since_in_one.all, x);
    }
}

static void build_barriers(entry_partition *e, lowering *l, const ir_op *call, const kernel_use *k)
{
    const bool several = needs_barrier(&e->since, false, call, k);
    const bool one = needs_barrier(&e->since_in_one, true, call, k);
    ir_value *ranks = one ? e->copies.ranks_of_one : e->copies.ranks;
    if (several || one)
        ir_build(&l->at, IR_BARRIER, several != one, &ranks, 0, NULL);
    e->barriers += several;
    e->left_out += several && !one;
    if (several)
        e->since.all.count = 0;
    if (one)
        e->since_in_one.all.count = 0;
}

static void call_together(entry_partition *e, lowering *l, ir_op *call)
{
    const bool copied = partition_is_copied(call);
    ir_value *rank = copied ? e->copies.rank : e->rank;
    ir_value *ranks = copied ? e->copies.ranks : e->ranks;
    low_call_with(l, call, (ir_value *[]){rank, ranks}, 2);
}

static void call_alone(entry_partition *e, lowering *l, ir_op *call)
{
    low_if first;
    low_if_begin(l, &first, e->is_first);
    ir_op_move_to_end(call, l->at.block);
    low_if_end(l, &first);
    e->alone++;
}

static void partition_call(entry_partition *e, ir_op *call)
{
    const kernel_use *k = partition_kernel(e->partitioning, call);
    lowering l = low_before(e->partitioning->module, e->partitioning->context, e->function, call);
    build_barriers(e, &l, call, k);
    note_accesses(e, call, k);
    e->calls++;
    (k->shared ? call_together : call_alone)(e, &l, call);
}

static ir_value *number_of(lowering *l, ir_opcode code, const char *name)
{
    ir_value *v = ir_build1(&l->at, code, ir_type_index(l->module), NULL, NULL, NULL);
    v->name = ir_intern(l->module, name);
    return v;
}

static const char *words_of_copies(const entry_partition *e)
{
    if (!e->copies.calls)
        return "";
    return arena_format(e->partitioning->context->arena,
                        "; of one row %u are every rank's own, and %u barriers left out",
                        e->copies.calls, e->left_out);
}

static void partition_entry(partitioning *p, ir_function *f, const row_copies *copies)
{
    entry_partition e = {.partitioning = p, .function = f, .copies = *copies};
    ir_op *first = f->body->first;
    while (first->code == IR_CONSTANT)
        first = first->next;
    lowering l = low_before(p->module, p->context, f, first);
    e.rank = number_of(&l, IR_RANK, "rank");
    e.ranks = number_of(&l, IR_RANKS, "ranks");
    e.is_first = low_compare(&l, "eq", e.rank, low_index(&l, 0));
    if (e.copies.calls)
        partition_make_copies(p, f, e.rank, e.ranks, &e.copies);
    IR_FOR_OPS_SAFE(op, f->body)
    {
        if (op->code == IR_CALL)
            partition_call(&e, op);
    }
    pass_remark(p->context, REMARK_APPLIED, f->where,
                "'%s': %u calls divided, %u by rank 0 alone, %u barriers%s", f->name,
                e.calls - e.alone, e.alone, e.barriers, words_of_copies(&e));
}

// Entries as lower-to-tile makes them: calls, and what computes their arguments.
static bool is_sequence(const ir_function *f)
{
    IR_FOR_OPS(op, f->body)
    {
        bool known = op->code == IR_CALL || op->code == IR_ALLOC || op->code == IR_RETURN;
        const unsigned traits = ir_op_rows[op->code].traits;
        if (op->n_regions || !(traits & IR_TILE_LEVEL) || !(known || (traits & IR_PURE)))
            return false;
        ir_function *callee =
            op->code == IR_CALL ? ir_function_find(f->module, ir_find(op, "callee")->text) : NULL;
        if (op->code == IR_CALL &&
            (!callee || callee->entry || callee->body->arguments.count != op->n_operands))
            return false;
    }
    return f->body->first != NULL;
}

static void find_ranks(ir_op *op, void *context)
{
    bool *found = context;
    *found = *found || op->code == IR_RANKS;
}

static bool can_partition(const ir_module *m, pass_context *c)
{
    bool good = true, done = false;
    for (const ir_function *f = m->functions; f; f = f->next)
        ir_walk(f->body, find_ranks, &done);
    if (done)
        return false;
    for (const ir_function *f = m->functions; f; f = f->next) {
        if (!f->entry || is_sequence(f))
            continue;
        pass_remark(c, REMARK_MISSED, f->where,
                    "'%s' is not a sequence of calls: the program is for one rank", f->name);
        good = false;
    }
    return good;
}

bool pass_partition(ir_module *m, pass_context *c)
{
    partitioning p = {.module = m, .context = c};
    if (!can_partition(m, c))
        return true;
    note_kernels(&p);
    for (ir_function *f = m->functions; f; f = f->next) {
        if (f->entry)
            ir_walk(f->body, find_scratch, NULL);
    }
    for (ir_function *f = m->functions; f; f = f->next) {
        if (f->entry)
            ir_walk(f->body, check_call, &p);
    }
    // Before loops lose what says how they are shared.
    ARRAY_OF(row_copies) copies = {0};
    for (ir_function *f = m->functions; f; f = f->next) {
        if (f->entry)
            ARRAY_PUSH(c->arena, &copies, partition_find_copies(&p, f));
    }
    for (size_t i = 0; i < p.kernels.count; i++) {
        if (p.kernels.items[i].shared)
            divide_kernel(&p, &p.kernels.items[i]);
    }
    const row_copies *of_entry = copies.items;
    for (ir_function *f = m->functions; f; f = f->next) {
        if (f->entry)
            partition_entry(&p, f, of_entry++);
    }
    return true;
}
