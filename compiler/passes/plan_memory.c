// plan-memory: gives every workspace buffer of an entry its offset. Buffers whose
// live ranges do not overlap may share memory. Between two barriers, ranks run
// through the operations each at its own pace: what one of them touches there
// lives all the time, but for memory that is private to each. Barriers that some
// calls leave out do not count.
#include "compiler/passes/passes.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

typedef struct buffer {
    ir_op *alloc;
    int64_t size, offset;
    bool private;
    int start, end; // positions of the function body's ops, or numbers of barriers before them
} buffer;

static int64_t buffer_size(const ir_type *t)
{
    int64_t size = (int64_t)scalar_size(t->scalar);
    for (unsigned i = 0; i < t->rank; i++) {
        if (__builtin_mul_overflow(size, ir_dim_maximum(t->dims[i]), &size))
            return -1;
    }
    if (size > INT64_C(1) << 47)
        return -1;
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static const ir_op *top_level(const ir_op *op, const ir_block *body)
{
    while (op->block != body)
        op = op->block->parent;
    return op;
}

// Widens the range to all positions at which the buffer, or a view of it, is used.
static void add_uses(buffer *b, const ir_value *v, const ir_block *body)
{
    for (const ir_use *u = v->uses; u; u = u->next) {
        int position = (int)top_level(u->op, body)->mark;
        if (u->op->code == IR_VIEW) {
            add_uses(b, &u->op->results[0], body);
            continue;
        }
        b->start = position < b->start ? position : b->start;
        b->end = position > b->end ? position : b->end;
    }
}

typedef struct plan {
    pass_context *context;
    ir_block *body;
    ARRAY_OF(buffer) buffers;
    ARRAY_OF(int) barriers; // before each position
    bool ranks;             // several run through the operations
    bool good;
} plan;

static void number(plan *p, ir_op *op)
{
    size_t n = p->barriers.count;
    int before = n ? p->barriers.items[n - 1] : 0;
    op->mark = (int64_t)n;
    const bool always = op->code == IR_BARRIER && !ir_operand_named(op, "ranks");
    ARRAY_PUSH(p->context->arena, &p->barriers, before + always);
    p->ranks = p->ranks || op->code == IR_RANKS;
}

static void collect(ir_op *op, void *context)
{
    plan *p = context;
    if (op->block == p->body)
        number(p, op);
    if (op->code != IR_ALLOC)
        return;
    int64_t size = buffer_size(op->results[0].type);
    if (size < 0) {
        diagnostic_error(p->context->diagnostics, op->where,
                         "this buffer would be larger than the address space");
        p->good = false;
        return;
    }
    buffer b = {.alloc = op, .size = size, .offset = -1, .private = ir_boolean(op, "private")};
    ARRAY_PUSH(p->context->arena, &p->buffers, b);
}

// A buffer starts to live at its first use: allocations stand well before it.
static void set_ranges(plan *p)
{
    for (size_t i = 0; i < p->buffers.count; i++) {
        buffer *b = &p->buffers.items[i];
        b->start = (int)p->barriers.count - 1; // the return, which uses none
        b->end = 0;
        add_uses(b, &b->alloc->results[0], p->body);
        if (p->ranks && !b->private) {
            b->start = p->barriers.items[b->start];
            b->end = p->barriers.items[b->end];
        }
    }
}

static int larger_first(const void *x, const void *y)
{
    const buffer *const *a = x, *const *b = y;
    if ((*a)->size != (*b)->size)
        return (*a)->size > (*b)->size ? -1 : 1;
    return (*a)->start - (*b)->start;
}

static int lower_first(const void *x, const void *y)
{
    const buffer *const *a = x, *const *b = y;
    return ((*a)->offset > (*b)->offset) - ((*a)->offset < (*b)->offset);
}

// The placed buffers by when they live: one that lives throughout several spans of time is in the
// list of each. In most programs buffers live shortly, and few at a time.
enum { SPAN = 64 };
typedef struct placed {
    buffer *buffer;
    struct placed *next;
} placed;
typedef struct timeline {
    placed **spans;
    buffer **together; // those that live while the one in question does
} timeline;

static void add_to_timeline(arena *a, const timeline *t, buffer *b)
{
    for (int span = b->start / SPAN; span <= b->end / SPAN; span++) {
        placed *p = ARENA_NEW(a, placed);
        *p = (placed){b, t->spans[span]};
        t->spans[span] = p;
    }
}

// Each is found once: in the span in which the later one of the two begins.
static size_t find_together(const timeline *t, const buffer *b)
{
    size_t n = 0;
    for (int span = b->start / SPAN; span <= b->end / SPAN; span++) {
        for (const placed *p = t->spans[span]; p; p = p->next) {
            const buffer *other = p->buffer;
            const int later = other->start > b->start ? other->start : b->start;
            if (later / SPAN == span && other->start <= b->end && b->start <= other->end)
                t->together[n++] = p->buffer;
        }
    }
    return n;
}

// The lowest gap among the placed buffers that live at the same time.
static int64_t place(const buffer *b, const timeline *t)
{
    const size_t n = find_together(t, b);
    buffer **together = t->together;
    qsort(together, n, sizeof *together, lower_first);
    int64_t offset = 0;
    for (size_t i = 0; i < n && together[i]->offset < offset + b->size; i++) {
        int64_t end = together[i]->offset + together[i]->size;
        offset = end > offset ? end : offset;
    }
    return offset;
}

// Places the buffers of one kind, the largest first.
static void place_buffers(plan *p, const ir_function *f, bool private)
{
    arena *a = p->context->arena;
    buffer **order = ARENA_ARRAY(a, buffer *, p->buffers.count);
    timeline t = {ARENA_ARRAY(a, placed *, p->barriers.count / SPAN + 1),
                  ARENA_ARRAY(a, buffer *, p->buffers.count)};
    size_t n = 0;
    for (size_t i = 0; i < p->buffers.count; i++) {
        if (p->buffers.items[i].private == private)
            order[n++] = &p->buffers.items[i];
    }
    qsort(order, n, sizeof *order, larger_first);
    int64_t total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        order[i]->offset = place(order[i], &t);
        add_to_timeline(a, &t, order[i]);
        ir_set_integer(order[i]->alloc, "offset", order[i]->offset);
        int64_t end = order[i]->offset + order[i]->size;
        total = end > total ? end : total;
        sum += order[i]->size;
    }
    if (n)
        pass_remark(p->context, REMARK_APPLIED, f->where,
                    "%s of '%s': %lld bytes for %zu buffers of %lld bytes in all",
                    private ? "scratch memory" : "workspace", f->name, (long long)total, n,
                    (long long)sum);
}

static bool plan_function(ir_function *f, pass_context *c)
{
    plan p = {.context = c, .body = f->body, .good = true};
    ir_walk(f->body, collect, &p);
    if (!p.good)
        return false;
    set_ranges(&p);
    place_buffers(&p, f, false);
    place_buffers(&p, f, true);
    return true;
}

bool pass_plan_memory(ir_module *m, pass_context *c)
{
    bool good = true;
    for (ir_function *f = m->functions; f; f = f->next)
        good = plan_function(f, c) && good;
    return good;
}
