// fuse-tables: tables of what a matrix product or attention gives are built where that is computed,
// from blocks that are still in near memory, instead of in a kernel of their own.
//
// A kernel that does nothing but build a table disappears: its lut.precompute moves into the kernel
// in front. What nobody else reads is not stored any more. Blocks have some of the columns, so that
// scales and sums of the table must be those of groups of activations.
#include "compiler/passes/graph.h"
#include "compiler/passes/table_blocks.h"

#include <string.h>

typedef struct table_fusion {
    pass_context *context;
    ir_module *module;
} table_fusion;

// A kernel that builds one table of one activation, and where that comes from.
typedef struct table_kernel {
    ir_op *kernel, *precompute;
    ir_value *x; // the producer's result
    ir_op *producer;
    bool reshaped;
} table_kernel;

static ir_op *only_precompute(const ir_op *kernel)
{
    ir_op *op = kernel->regions[0]->first;
    bool alone = op->code == IR_LUT_PRECOMPUTE && op->next == kernel->regions[0]->last;
    return alone && kernel->n_operands == 1 ? op : NULL;
}

static bool find_table(ir_op *op, table_kernel *t)
{
    if (op->code != IR_KERNEL || !ir_name_is(op, "kind", "rows") || !only_precompute(op))
        return false;
    *t = (table_kernel){.kernel = op, .precompute = only_precompute(op), .x = ir_operand(op, 0)};
    while (t->x->kind == IR_VALUE_RESULT && t->x->op->code == IR_RESHAPE) {
        t->x = ir_operand(t->x->op, 0);
        t->reshaped = true;
    }
    t->producer = t->x->kind == IR_VALUE_RESULT ? t->x->op : NULL;
    return t->producer && t->producer->code == IR_KERNEL;
}

// ------------------------------------------------------------------- obstacles

// Whether `v` is read by the table alone, maybe through reshapes.
static bool is_read_once(const ir_value *v, const ir_op *kernel)
{
    for (const ir_use *use = v->uses; use; use = use->next) {
        bool own = use->op == kernel ||
                   (use->op->code == IR_RESHAPE && is_read_once(&use->op->results[0], kernel));
        if (!own)
            return false;
    }
    return true;
}

static bool has_mixed_product(const ir_op *kernel)
{
    IR_FOR_OPS(op, kernel->regions[0])
    {
        if (op->code == IR_LUT_MPGEMM && graph_is_mixed(ir_operand(op, 1)))
            return true;
    }
    return false;
}

static const char *obstacle(table_fusion *f, const table_kernel *t)
{
    int64_t tiles;
    if (ir_name_is(t->producer, "kind", "attend")) {
        const ir_op *attend = ir_operand(t->producer->regions[0]->last, 0)->op;
        if (!is_read_once(t->x, t->kernel))
            return "others need what attention gives as well";
        return attend_table_obstacle(f->context, attend, t->precompute);
    }
    if (!ir_name_is(t->producer, "kind", "mpgemm"))
        return arena_format(f->context->arena, "no epilogue of a kernel of kind '%s' builds tables",
                            ir_name(t->producer, "kind"));
    if (t->reshaped)
        return "it is reshaped in between";
    const char *reason = product_table_obstacle(f->context, t->precompute, &tiles);
    int64_t columns = t->x->type->dims[t->x->type->rank - 1].value;
    bool whole = !reason && tiles == 1 && columns % f->context->machine->tile_n == 0;
    if (!reason && !whole && has_mixed_product(t->producer))
        return "its weight's column tiles are of several formats, and are taken one by one";
    return reason;
}

// --------------------------------------------------------------------- moving

// The kernel's results: those that are still needed, and the table.
typedef struct new_results {
    ARRAY_OF(ir_value *) old;    // of the producer, but x where only the table needs it
    ARRAY_OF(ir_value *) values; // inside, as yielded
} new_results;

static ir_value *clone_region(table_fusion *f, const table_kernel *t, ir_op *kernel, new_results *r)
{
    arena *a = f->context->arena;
    ir_mapping *map = ir_mapping_create(a);
    ir_block *from = t->producer->regions[0], *to = kernel->regions[0];
    ir_builder at = ir_builder_at_end(to);
    for (size_t i = 0; i < from->arguments.count; i++) {
        ir_value *v = from->arguments.items[i];
        ir_mapping_set(map, v, ir_block_argument(to, v->type, v->name));
    }
    for (ir_op *op = from->first; op != from->last; op = op->next)
        ir_clone(&at, op, map);
    for (size_t i = 0; i < r->old.count; i++) {
        ir_value *inside = ir_operand(from->last, r->old.items[i]->index);
        ARRAY_PUSH(a, &r->values, ir_mapping_get(map, inside));
    }
    return ir_mapping_get(map, ir_operand(from->last, t->x->index));
}

// The table of `x`, seen as the table kernel sees it, at the end of the region.
static ir_value *build_table(const table_kernel *t, ir_block *region, ir_value *x)
{
    ir_builder at = ir_builder_at_end(region);
    const ir_value *seen = ir_operand(t->kernel, 0);
    at.where = t->precompute->where;
    if (seen->type != x->type)
        x = ir_build1(&at, IR_RESHAPE, seen->type, x, NULL, NULL);
    ir_value *table =
        ir_build1(&at, IR_LUT_PRECOMPUTE, t->precompute->results[0].type, x, NULL, NULL);
    table->name = t->kernel->results[0].name;
    return table;
}

static ir_op *new_kernel(table_fusion *f, const table_kernel *t, const new_results *r)
{
    arena *a = f->context->arena;
    const ir_op *old = t->producer;
    unsigned n = (unsigned)r->old.count;
    const ir_type **types = ARENA_ARRAY(a, const ir_type *, n + 1);
    ir_value **operands = ARENA_ARRAY(a, ir_value *, old->n_operands);
    for (unsigned i = 0; i < old->n_operands; i++)
        operands[i] = ir_operand(old, i);
    for (unsigned i = 0; i < n; i++)
        types[i] = r->old.items[i]->type;
    types[n] = t->kernel->results[0].type;
    ir_builder b = ir_builder_before(t->producer);
    ir_op *kernel = ir_build(&b, IR_KERNEL, old->n_operands, operands, n + 1, types);
    const char *name = arena_format(a, "%s_precompute", ir_name(old, "name"));
    ir_set_text(kernel, "name", ir_intern(f->module, name));
    ir_set_name(kernel, "kind", ir_name(old, "kind"));
    return kernel;
}

static void take_results(const table_kernel *t, const new_results *r, ir_op *kernel)
{
    unsigned n = (unsigned)r->old.count;
    for (unsigned i = 0; i < n; i++) {
        kernel->results[i].name = r->old.items[i]->name;
        ir_replace_uses(r->old.items[i], &kernel->results[i]);
    }
    kernel->results[n].name = t->kernel->results[0].name;
    ir_replace_uses(&t->kernel->results[0], &kernel->results[n]);
}

// The reshapes between the producer and its table go with the kernel that built it.
static void remove_table_kernel(const table_kernel *t)
{
    ir_value *v = ir_operand(t->kernel, 0);
    ir_op_remove(t->kernel);
    while (v->kind == IR_VALUE_RESULT && v->op->code == IR_RESHAPE && !ir_has_uses(v)) {
        ir_value *next = ir_operand(v->op, 0);
        ir_op_remove(v->op);
        v = next;
    }
}

static void move(table_fusion *f, const table_kernel *t)
{
    arena *a = f->context->arena;
    new_results r = {0};
    bool dropped = is_read_once(t->x, t->kernel);
    for (unsigned i = 0; i < t->producer->n_results; i++) {
        if (&t->producer->results[i] != t->x || !dropped)
            ARRAY_PUSH(a, &r.old, &t->producer->results[i]);
    }
    ir_op *kernel = new_kernel(f, t, &r);
    ir_value *x = clone_region(f, t, kernel, &r);
    ARRAY_PUSH(a, &r.values, build_table(t, kernel->regions[0], x));
    ir_builder at = ir_builder_at_end(kernel->regions[0]);
    at.where = t->producer->where;
    ir_build(&at, IR_YIELD, (unsigned)r.values.count, r.values.items, 0, NULL);
    take_results(t, &r, kernel);
    remove_table_kernel(t);
    ir_op_remove(t->producer);
}

// --------------------------------------------------------------------- pass

static void fuse(table_fusion *f, const table_kernel *t)
{
    pass_context *c = f->context;
    const char *reason = obstacle(f, t);
    const ir_value *inside = ir_operand(t->producer->regions[0]->last, t->x->index);
    const char *name = graph_describe_value(c->arena, t->x->name ? t->x : inside);
    const char *producer = ir_name(t->producer, "name");
    if (reason) {
        pass_remark(c, REMARK_MISSED, t->precompute->where,
                    "table precompute of %s is not an epilogue of %s: %s", name, producer, reason);
        return;
    }
    pass_remark(c, REMARK_APPLIED, t->precompute->where,
                "table precompute of %s is an epilogue of %s%s", name, producer,
                is_read_once(t->x, t->kernel) ? "; the activations are not stored" : "");
    move(f, t);
}

bool pass_fuse_tables(ir_module *m, pass_context *c)
{
    for (ir_function *fn = m->functions; fn; fn = fn->next) {
        table_fusion f = {.context = c, .module = m};
        IR_FOR_OPS_SAFE(op, fn->body)
        {
            table_kernel t;
            if (find_table(op, &t))
                fuse(&f, &t);
        }
    }
    return true;
}
