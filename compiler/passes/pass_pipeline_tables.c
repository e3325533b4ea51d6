// pipeline-tables: while the array looks up a block of row tiles, the tables of the next one are
// built.
//
// Norms and their tables are a kernel of their own, in which the array waits. Where the kernel goes
// over a row tile's depth tiles twice, once to find what entries reach and once to build them, a
// round of either way is a few strips and tile operations. Such rounds go into rounds of lookups of
// the kernel that reads the tables, of its last product, which has no other strips in them: one of
// the first way for a row tile, and one of the second for the row tile before. What stands between
// the two ways is done in front of a column tile. The tables' own kernel does the first block, what
// is no whole block, and all of it for several ranks, who would wait for one another.
//
// A row tile takes as many column tiles as its depth tiles need, the same for all. In those of the
// first row tile, the second way builds tables of what is there by chance, which are built again;
// in those behind the last one, the first way finds once more what it has found. A depth tile is
// read for the second way before the first one writes it for the next row tile, so that scratch
// memory for one is enough.
#include "compiler/passes/pipeline_tables.h"

typedef struct pipelining {
    ir_module *module;
    pass_context *context;
    ARRAY_OF(call_pair) pairs;       // all calls of a builder
    ARRAY_OF(reader_kernel) readers; // called there
} pipelining;

// ------------------------------------------------------------------------------- calls

static ir_function *callee(const pipelining *p, const ir_op *call)
{
    return ir_function_find(p->module, ir_find(call, "callee")->text);
}

static ir_op *next_call(ir_op *op)
{
    do
        op = op->next;
    while (op && op->code != IR_CALL);
    return op;
}

// The builder leaves out the blocks that are built elsewhere: as many row tiles as its last
// argument says, behind the first block.
static void leave_out(pipelining *p, const builder_kernel *b, int64_t block)
{
    ir_value *skipped = ir_block_argument(b->function->body, ir_type_index(p->module), "skipped");
    ir_value *counter = b->tiles->regions[0]->arguments.items[0];
    lowering l = low_before(p->module, p->context, b->function, b->tiles);
    ir_set_operand(b->tiles, 1, low_sub(&l, ir_operand(b->tiles, 1), skipped));
    l.at = ir_builder_before(b->tiles->regions[0]->first);
    l.at.where = b->tiles->where;
    ARRAY_OF(ir_use) uses = {0};
    for (const ir_use *u = counter->uses; u; u = u->next)
        ARRAY_PUSH(p->context->arena, &uses, *u);
    ir_value *behind = low_min(&l, low_div(&l, counter, low_index(&l, block)), low_index(&l, 1));
    ir_value *number = low_add(&l, counter, low_mul(&l, behind, skipped));
    for (size_t i = 0; i < uses.count; i++)
        ir_set_operand(uses.items[i].op, uses.items[i].slot, number);
}

// 1 for a single rank, else 0.
static ir_value *is_single(lowering *l, const ir_op *call)
{
    IR_FOR_OPS(op, call->block->function->body)
    {
        if (op->code == IR_RANKS)
            return low_div(l, low_index(l, 1), &op->results[0]);
    }
    return low_index(l, 1);
}

static void change_calls(pipelining *p, const builder_kernel *b, const reader_kernel *r,
                         const call_pair *calls)
{
    lowering l = low_before(p->module, p->context, calls->builder->block->function, calls->builder);
    ir_value *single = is_single(&l, calls->builder), *one = low_index(&l, 1);
    ir_value *tiles = low_div(&l, ir_operand(calls->builder, b->rows->index), low_index(&l, b->m));
    ir_value *blocks = low_div(&l, tiles, low_index(&l, r->block));
    ir_value *others = low_sub(&l, blocks, low_min(&l, blocks, one));
    ir_value *skipped = low_mul(&l, low_mul(&l, others, low_index(&l, r->block)), single);
    ir_value **more = ARENA_ARRAY(p->context->arena, ir_value *, calls->builder->n_operands + 1);
    unsigned count = 0;
    for (unsigned i = 0; i < calls->builder->n_operands; i++) {
        ir_value *given = ir_operand(calls->builder, i);
        if (same_operand(calls->reader, given) >= 0)
            continue;
        if (is_scratch(calls->builder, i)) {
            given = ir_build1(&l.at, IR_ALLOC, given->type, NULL, NULL, NULL);
            ir_set_boolean(given->op, "private", true);
        }
        more[count++] = given;
    }
    more[count++] = single;
    low_call_with(&l, calls->builder, &skipped, 1);
    l.at = ir_builder_before(calls->reader);
    l.at.where = calls->reader->where;
    low_call_with(&l, calls->reader, more, count);
}

// ------------------------------------------------------------------------------- pairs

typedef struct call_list {
    arena *arena;
    ARRAY_OF(ir_op *) items;
} call_list;

static void list_call(ir_op *op, void *context)
{
    call_list *calls = context;
    if (op->code == IR_CALL)
        ARRAY_PUSH(calls->arena, &calls->items, op);
}

static bool is_paired(const pipelining *p, const ir_op *call)
{
    bool found = false;
    for (size_t i = 0; i < p->pairs.count; i++)
        found |= p->pairs.items[i].reader == call;
    return found;
}

// The arguments that two calls of the builder share with theirs of the reader stand at the same
// places.
static bool same_places(const call_pair *x, const call_pair *y)
{
    bool same = true;
    for (unsigned i = 0; i < x->builder->n_operands; i++)
        same &= same_operand(x->reader, ir_operand(x->builder, i)) ==
                same_operand(y->reader, ir_operand(y->builder, i));
    return same;
}

static const reader_kernel *reader_of(const pipelining *p, const ir_op *call)
{
    const ir_function *f = callee(p, call);
    for (size_t i = 0; i < p->readers.count; i++)
        if (p->readers.items[i].function == f)
            return &p->readers.items[i];
    return NULL;
}

// A call of the builder with that of a reader behind it, alike for all calls of either one.
static bool add_pair(pipelining *p, const builder_kernel *b, ir_op *call)
{
    call_pair pair = {call, next_call(call)};
    reader_kernel r;
    if (!pair.reader || pair.reader->block != call->block)
        return false;
    const reader_kernel *known = reader_of(p, pair.reader);
    if (!known) {
        if (!describe_reader(callee(p, pair.reader), &r, b, &pair, p->context->machine))
            return false;
        ARRAY_PUSH(p->context->arena, &p->readers, r);
        known = &p->readers.items[p->readers.count - 1];
    }
    ARRAY_PUSH(p->context->arena, &p->pairs, pair);
    return known->block == p->readers.items[0].block && fit_together(b, known, &pair) &&
           same_places(&known->first, &pair);
}

// All calls of the builder, and all of its readers.
static bool find_pairs(pipelining *p, const builder_kernel *b, const call_list *calls)
{
    p->pairs.count = p->readers.count = 0;
    for (size_t i = 0; i < calls->items.count; i++)
        if (callee(p, calls->items.items[i]) == b->function &&
            !add_pair(p, b, calls->items.items[i]))
            return false;
    for (size_t i = 0; i < calls->items.count; i++)
        if (reader_of(p, calls->items.items[i]) && !is_paired(p, calls->items.items[i]))
            return false;
    return p->pairs.count > 0;
}

bool pass_pipeline_tables(ir_module *m, pass_context *c)
{
    pipelining p = {.module = m, .context = c};
    if (!machine_has(c->machine, ISA_UNIT_LUT))
        return true;
    for (ir_function *f = m->functions; f; f = f->next) {
        builder_kernel b;
        call_list calls = {.arena = c->arena};
        if (f->entry || !describe_builder(f, c->machine, &b))
            continue;
        for (ir_function *other = m->functions; other; other = other->next)
            ir_walk(other->body, list_call, &calls);
        if (!find_pairs(&p, &b, &calls))
            continue;
        for (size_t i = 0; i < p.readers.count; i++)
            insert_rounds(m, c, &b, &p.readers.items[i]);
        leave_out(&p, &b, p.readers.items[0].block);
        for (size_t i = 0; i < p.pairs.count; i++)
            change_calls(&p, &b, reader_of(&p, p.pairs.items[i].reader), &p.pairs.items[i]);
    }
    return true;
}
