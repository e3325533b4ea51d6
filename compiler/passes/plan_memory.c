// plan-memory: gives every workspace buffer of an entry its offset. Buffers whose
// live ranges do not overlap may share memory.
#include "compiler/passes/passes.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

typedef struct buffer {
    ir_op *alloc;
    int64_t size, offset;
    int start, end; // positions of the function body's ops
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

// The last position at which the buffer, or a view of it, is used.
static int last_use(const ir_value *v, const ir_block *body)
{
    int last = (int)top_level(v->op, body)->mark;
    for (const ir_use *u = v->uses; u; u = u->next) {
        int position = (int)top_level(u->op, body)->mark;
        if (u->op->code == IR_VIEW) {
            int through = last_use(&u->op->results[0], body);
            position = through > position ? through : position;
        }
        last = position > last ? position : last;
    }
    return last;
}

typedef struct plan {
    pass_context *context;
    ir_block *body;
    ARRAY_OF(buffer) buffers;
    int position;
    bool good;
} plan;

static void collect(ir_op *op, void *context)
{
    plan *p = context;
    if (op->block == p->body)
        op->mark = p->position++;
    if (op->code != IR_ALLOC)
        return;
    int64_t size = buffer_size(op->results[0].type);
    if (size < 0) {
        diagnostic_error(p->context->diagnostics, op->where,
                         "this buffer would be larger than the address space");
        p->good = false;
        return;
    }
    ARRAY_PUSH(p->context->arena, &p->buffers, (buffer){.alloc = op, .size = size, .offset = -1});
}

// A buffer starts to live at its first use: allocations stand well before it.
static void set_ranges(plan *p)
{
    for (size_t i = 0; i < p->buffers.count; i++) {
        buffer *b = &p->buffers.items[i];
        b->start = (int)top_level(b->alloc, p->body)->mark;
        b->end = last_use(&b->alloc->results[0], p->body);
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

// The lowest gap among the placed buffers that live at the same time.
static int64_t place(buffer *b, buffer **placed, size_t count, buffer **scratch)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (placed[i]->start <= b->end && b->start <= placed[i]->end)
            scratch[n++] = placed[i];
    }
    qsort(scratch, n, sizeof *scratch, lower_first);
    int64_t offset = 0;
    for (size_t i = 0; i < n && scratch[i]->offset < offset + b->size; i++) {
        int64_t end = scratch[i]->offset + scratch[i]->size;
        offset = end > offset ? end : offset;
    }
    return offset;
}

static bool plan_function(ir_function *f, pass_context *c)
{
    plan p = {.context = c, .body = f->body, .good = true};
    ir_walk(f->body, collect, &p);
    set_ranges(&p);
    size_t n = p.buffers.count;
    buffer **order = ARENA_ARRAY(c->arena, buffer *, n),
           **scratch = ARENA_ARRAY(c->arena, buffer *, n);
    for (size_t i = 0; i < n; i++)
        order[i] = &p.buffers.items[i];
    qsort(order, n, sizeof *order, larger_first);
    int64_t total = 0, sum = 0;
    for (size_t i = 0; i < n && p.good; i++) {
        order[i]->offset = place(order[i], order, i, scratch);
        ir_set_integer(order[i]->alloc, "offset", order[i]->offset);
        int64_t end = order[i]->offset + order[i]->size;
        total = end > total ? end : total;
        sum += order[i]->size;
    }
    if (n && p.good)
        pass_remark(c, REMARK_APPLIED, f->where,
                    "workspace of '%s': %lld bytes for %zu buffers of %lld bytes in all", f->name,
                    (long long)total, n, (long long)sum);
    return p.good;
}

bool pass_plan_memory(ir_module *m, pass_context *c)
{
    bool good = true;
    for (ir_function *f = m->functions; f; f = f->next)
        good = plan_function(f, c) && good;
    return good;
}
