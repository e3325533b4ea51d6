#include "compiler/passes/fuse.h"

#include <string.h>

// -------------------------------------------------------------------- kernels

typedef struct kernel_values {
    ARRAY_OF(ir_value *) inputs;  // from outside, in order of first use
    ARRAY_OF(ir_value *) outputs; // used outside
} kernel_values;

// Stands in every kernel that uses it.
static bool is_everywhere(const fusion *f, const ir_value *v)
{
    if (v->kind != IR_VALUE_RESULT)
        return false;
    return v->op->code == IR_CONSTANT ||
           (v->op->code == IR_IOTA && fuse_unit_of(f, v)->kind == UNIT_OUTSIDE);
}

static void add_input(fusion *f, kernel_values *k, ir_value *v)
{
    for (size_t i = 0; i < k->inputs.count; i++)
        if (k->inputs.items[i] == v)
            return;
    ARRAY_PUSH(f->context->arena, &k->inputs, v);
}

static bool used_outside(const fusion *f, const unit *u, const ir_value *v)
{
    for (const ir_use *use = v->uses; use; use = use->next)
        if (!use->op->mark || f->units.items[use->op->mark - 1] != u)
            return true;
    return false;
}

static kernel_values find_values(fusion *f, const unit *u)
{
    kernel_values k = {0};
    ir_op *last = u->ops.items[u->ops.count - 1];
    for (size_t i = 0; i < u->ops.count; i++) {
        ir_op *op = u->ops.items[i];
        for (unsigned j = 0; j < op->n_operands; j++) {
            ir_value *v = ir_operand(op, j);
            if (v && !is_everywhere(f, v) && fuse_unit_of(f, v) != u)
                add_input(f, &k, v);
        }
        for (unsigned j = 0; j < op->n_results; j++)
            if (used_outside(f, u, &op->results[j]))
                ARRAY_PUSH(f->context->arena, &k.outputs, &op->results[j]);
    }
    // Nobody needs it, but a kernel computes something.
    if (!k.outputs.count && last->n_results)
        ARRAY_PUSH(f->context->arena, &k.outputs, &last->results[0]);
    return k;
}

// "rms_norm_precompute": what the kernel does, the same for every layer.
static const char *kernel_name(fusion *f, const unit *u)
{
    text name = {0};
    for (size_t i = 0; i < u->ops.count && name.length < 32; i++) {
        const char *op = ir_op_rows[u->ops.items[i]->code].name;
        if (text_starts_with(op, "lut."))
            op += 4;
        text_printf(&name, "%s%s", i ? "_" : "", op);
    }
    for (size_t i = 0; i < name.length; i++)
        if (name.data[i] == '.')
            name.data[i] = '_';
    const char *copy = ir_intern(f->module, text_string(&name));
    text_free(&name);
    return copy;
}

static void map_constants(const fusion *f, ir_builder *inside, const ir_op *op, ir_mapping *map)
{
    for (unsigned i = 0; i < op->n_operands; i++) {
        ir_value *v = ir_operand(op, i);
        if (v && is_everywhere(f, v) && ir_mapping_get(map, v) == v)
            ir_clone(inside, v->op, map);
    }
}

static void fill_region(fusion *f, const unit *u, ir_op *kernel, const kernel_values *k)
{
    ir_mapping *map = ir_mapping_create(f->context->arena);
    ir_block *region = kernel->regions[0];
    ir_builder inside = ir_builder_at_end(region);
    for (size_t i = 0; i < k->inputs.count; i++) {
        ir_value *v = k->inputs.items[i];
        ir_mapping_set(map, v, ir_block_argument(region, v->type, v->name));
    }
    for (size_t i = 0; i < u->ops.count; i++) {
        map_constants(f, &inside, u->ops.items[i], map);
        ir_clone(&inside, u->ops.items[i], map);
    }
    ir_value **yielded = ARENA_ARRAY(f->context->arena, ir_value *, k->outputs.count);
    for (size_t i = 0; i < k->outputs.count; i++)
        yielded[i] = ir_mapping_get(map, k->outputs.items[i]);
    inside.where = kernel->where;
    ir_build(&inside, IR_YIELD, (unsigned)k->outputs.count, yielded, 0, NULL);
}

static void build_kernel(fusion *f, unit *u)
{
    static const char *const kinds[] = {
        [UNIT_ROWS] = "rows",    [UNIT_MPGEMM] = "mpgemm", [UNIT_DENSE] = "dense",
        [UNIT_COPY] = "copy",    [UNIT_GATHER] = "gather", [UNIT_ROPE] = "rope",
        [UNIT_ATTEND] = "attend"};
    kernel_values k = find_values(f, u);
    const ir_type **types = ARENA_ARRAY(f->context->arena, const ir_type *, k.outputs.count);
    for (size_t i = 0; i < k.outputs.count; i++)
        types[i] = k.outputs.items[i]->type;
    ir_builder b = ir_builder_at_end(f->function->body);
    b.where = u->ops.items[0]->where;
    ir_op *kernel = ir_build(&b, IR_KERNEL, (unsigned)k.inputs.count, k.inputs.items,
                             (unsigned)k.outputs.count, types);
    kernel->mark = u->index + 1;
    ir_set_text(kernel, "name", kernel_name(f, u));
    ir_set_name(kernel, "kind", kinds[u->kind]);
    fill_region(f, u, kernel, &k);
    for (size_t i = 0; i < k.outputs.count; i++) {
        kernel->results[i].name = k.outputs.items[i]->name;
        ir_replace_uses(k.outputs.items[i], &kernel->results[i]);
    }
    for (size_t i = u->ops.count; i-- > 0;)
        ir_op_remove(u->ops.items[i]);
}

// --------------------------------------------------------------------- ordering

// Behind everything that it needs. Units have no cycles, and few stand before what they need, so
// this does not go deep.
static void place(fusion *f, unit *u)
{
    if (u->placed || !u->ops.count)
        return;
    u->placed = true;
    for (size_t i = 0; i < u->ops.count; i++) {
        const ir_op *op = u->ops.items[i];
        for (unsigned j = 0; j < op->n_operands; j++) {
            unit *from = fuse_unit_of(f, ir_operand(op, j));
            if (from && from != u)
                place(f, from);
        }
    }
    if (u->previous)
        place(f, f->units.items[u->previous->mark - 1]);
    if (u->kind == UNIT_OUTSIDE)
        ir_op_move_to_end(u->ops.items[0], f->function->body);
    else
        build_kernel(f, u);
}

static void remove_unused_constants(ir_block *b)
{
    IR_FOR_OPS_SAFE(op, b)
    if ((op->code == IR_CONSTANT || op->code == IR_IOTA) && !ir_has_uses(&op->results[0]))
        ir_op_remove(op);
}

void fuse_build(fusion *f)
{
    for (size_t i = 0; i < f->units.count; i++)
        place(f, f->units.items[i]);
    remove_unused_constants(f->function->body);
}
