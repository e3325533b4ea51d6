#include "compiler/ir/module.h"
#include "compiler/ir/signature.h"

#include <string.h>

bool ir_evaluate_integer(ir_opcode code, int64_t x, int64_t y, int64_t *out)
{
    switch (code) {
    case IR_ADD: return !__builtin_add_overflow(x, y, out);
    case IR_SUB: return !__builtin_sub_overflow(x, y, out);
    case IR_MUL: return !__builtin_mul_overflow(x, y, out);
    case IR_NEG: return !__builtin_sub_overflow(0, x, out);
    case IR_ABS: return x < 0 ? !__builtin_sub_overflow(0, x, out) : (*out = x, true);
    case IR_MIN: *out = x < y ? x : y; return true;
    case IR_MAX: *out = x > y ? x : y; return true;
    case IR_DIV:
    case IR_REM:
        if (y == 0 || (y == -1 && x == INT64_MIN))
            return false;
        *out = code == IR_DIV ? x / y : x % y;
        return true;
    default: return false;
    }
}

// ------------------------------------------------------------ blocks, builders

ir_block *ir_block_create(ir_op *parent, ir_function *f)
{
    ir_block *b = ARENA_NEW(f->module->arena, ir_block);
    b->parent = parent;
    b->function = f;
    return b;
}

ir_value *ir_block_argument(ir_block *b, const ir_type *type, const char *name)
{
    ir_module *m = b->function->module;
    ir_value *v = ARENA_NEW(m->arena, ir_value);
    v->kind = IR_VALUE_ARGUMENT;
    v->type = type;
    v->name = ir_intern(m, name);
    v->block = b;
    v->index = (unsigned)b->arguments.count;
    ARRAY_PUSH(m->arena, &b->arguments, v);
    return v;
}

ir_builder ir_builder_at_end(ir_block *b)
{
    return (ir_builder){b->function->module, b, NULL, NOWHERE};
}

ir_builder ir_builder_before(ir_op *op)
{
    return (ir_builder){op->block->function->module, op->block, op, op->where};
}

ir_builder ir_builder_after(ir_op *op)
{
    return (ir_builder){op->block->function->module, op->block, op->next, op->where};
}

// ------------------------------------------------------------------------ uses

static void use_link(ir_use *use, ir_value *value)
{
    use->value = value;
    if (!value)
        return;
    use->next = value->uses;
    use->link = &value->uses;
    if (use->next)
        use->next->link = &use->next;
    value->uses = use;
}

static void use_unlink(ir_use *use)
{
    if (!use->value)
        return;
    *use->link = use->next;
    if (use->next)
        use->next->link = use->link;
    use->value = NULL;
}

void ir_set_operand(ir_op *op, unsigned slot, ir_value *value)
{
    if (slot >= op->n_operands)
        INTERNAL_ERROR("'%s' has no operand %u", ir_op_rows[op->code].name, slot);
    use_unlink(&op->operands[slot]);
    use_link(&op->operands[slot], value);
}

void ir_replace_uses(ir_value *from, ir_value *to)
{
    if (from == to)
        return;
    while (from->uses)
        ir_set_operand(from->uses->op, from->uses->slot, to);
}

bool ir_has_uses(const ir_value *v)
{
    return v->uses != NULL;
}

unsigned ir_count_uses(const ir_value *v)
{
    unsigned count = 0;
    for (const ir_use *use = v->uses; use; use = use->next)
        count++;
    return count;
}

ir_value *ir_operand_named(const ir_op *op, const char *name)
{
    int slot = ir_operand_slot(op->code, name);
    if (slot < 0)
        INTERNAL_ERROR("'%s' has no operand '%s'", ir_op_rows[op->code].name, name);
    return ir_operand(op, (unsigned)slot);
}

// ------------------------------------------------------------------- placement

static void op_link(ir_op *op, ir_block *b, ir_op *before)
{
    op->block = b;
    op->next = before;
    op->previous = before ? before->previous : b->last;
    *(op->previous ? &op->previous->next : &b->first) = op;
    *(before ? &before->previous : &b->last) = op;
}

static void op_unlink(ir_op *op)
{
    ir_block *b = op->block;
    *(op->previous ? &op->previous->next : &b->first) = op->next;
    *(op->next ? &op->next->previous : &b->last) = op->previous;
    op->previous = op->next = NULL;
}

// An op that moves into a region of another function would carry regions that
// name the old one.
static void place(ir_op *op, ir_block *b, ir_op *before)
{
    if (b->function != op->block->function)
        INTERNAL_ERROR("'%s' cannot move between functions", ir_op_rows[op->code].name);
    op_unlink(op);
    op_link(op, b, before);
}

void ir_op_move_before(ir_op *op, ir_op *before)
{
    if (op != before)
        place(op, before->block, before);
}

void ir_op_move_to_end(ir_op *op, ir_block *b)
{
    place(op, b, NULL);
}

static void drop_operands(ir_op *op, void *context)
{
    (void)context;
    for (unsigned i = 0; i < op->n_operands; i++)
        use_unlink(&op->operands[i]);
}

void ir_op_remove(ir_op *op)
{
    for (unsigned i = 0; i < op->n_results; i++)
        if (op->results[i].uses)
            INTERNAL_ERROR("'%s' is removed while its result %u is used", ir_op_rows[op->code].name,
                           i);
    drop_operands(op, NULL);
    for (unsigned i = 0; i < op->n_regions; i++)
        ir_walk(op->regions[i], drop_operands, NULL);
    op_unlink(op);
}

void ir_walk(ir_block *b, void (*visit)(ir_op *op, void *context), void *context)
{
    IR_FOR_OPS_SAFE(op, b)
    {
        visit(op, context);
        for (unsigned i = 0; i < op->n_regions; i++)
            ir_walk(op->regions[i], visit, context);
    }
}

// -------------------------------------------------------------------- building

static ir_op *op_create(ir_builder *b, ir_opcode code, unsigned n_operands, unsigned n_results)
{
    arena *a = b->module->arena;
    const ir_signature *s = ir_signature_of(code);
    ir_op *op = ARENA_NEW(a, ir_op);
    op->code = code;
    op->where = b->where;
    op->n_operands = n_operands < ir_fixed_operands(s) ? ir_fixed_operands(s) : n_operands;
    op->n_results = n_results;
    op->operands = ARENA_ARRAY(a, ir_use, op->n_operands);
    op->results = ARENA_ARRAY(a, ir_value, n_results);
    for (unsigned i = 0; i < op->n_operands; i++)
        op->operands[i] = (ir_use){.op = op, .slot = i};
    op->n_regions = ir_op_rows[code].n_regions;
    op->regions = ARENA_ARRAY(a, ir_block *, op->n_regions);
    for (unsigned i = 0; i < op->n_regions; i++)
        op->regions[i] = ir_block_create(op, b->block->function);
    return op;
}

ir_op *ir_build(ir_builder *b, ir_opcode code, unsigned n_operands, ir_value *const *operands,
                unsigned n_results, const ir_type *const *results)
{
    ir_op *op = op_create(b, code, n_operands, n_results);
    for (unsigned i = 0; i < n_operands; i++)
        use_link(&op->operands[i], operands[i]);
    for (unsigned i = 0; i < n_results; i++)
        op->results[i] =
            (ir_value){.kind = IR_VALUE_RESULT, .type = results[i], .op = op, .index = i};
    op_link(op, b->block, b->before);
    return op;
}

ir_value *ir_build1(ir_builder *b, ir_opcode code, const ir_type *result, ir_value *x, ir_value *y,
                    ir_value *z)
{
    ir_value *operands[] = {x, y, z};
    unsigned n = z ? 3 : y ? 2 : x ? 1 : 0;
    return ir_result(ir_build(b, code, n, operands, 1, &result), 0);
}

// --------------------------------------------------------------------- cloning

static void clone_block(ir_block *to, const ir_block *from, ir_mapping *map)
{
    for (size_t i = 0; i < from->arguments.count; i++) {
        const ir_value *v = from->arguments.items[i];
        ir_mapping_set(map, v, ir_block_argument(to, v->type, v->name));
    }
    ir_builder b = ir_builder_at_end(to);
    IR_FOR_OPS(op, from)
    ir_clone(&b, op, map);
}

ir_op *ir_clone(ir_builder *b, const ir_op *op, ir_mapping *map)
{
    ir_op *copy = op_create(b, op->code, op->n_operands, op->n_results);
    copy->where = op->where;
    for (unsigned i = 0; i < op->n_operands; i++)
        use_link(&copy->operands[i], ir_mapping_get(map, op->operands[i].value));
    for (unsigned i = 0; i < op->n_results; i++) {
        const ir_value *v = &op->results[i];
        copy->results[i] = (ir_value){
            .kind = IR_VALUE_RESULT, .type = v->type, .name = v->name, .op = copy, .index = i};
        ir_mapping_set(map, v, &copy->results[i]);
    }
    for (size_t i = 0; i < op->attributes.count; i++)
        ARRAY_PUSH(b->module->arena, &copy->attributes, op->attributes.items[i]);
    op_link(copy, b->block, b->before);
    for (unsigned i = 0; i < op->n_regions; i++)
        clone_block(copy->regions[i], op->regions[i], map);
    return copy;
}
