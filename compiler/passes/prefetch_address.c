// Addresses as sums, for the prefetching of streams and of rows.
#include "compiler/passes/prefetch.h"

bool is_op(const ir_value *v, ir_opcode code)
{
    return v->kind == IR_VALUE_RESULT && v->op->code == code;
}

static bool add_term(address *sum, const ir_value *v, int64_t factor)
{
    unsigned i = 0;
    while (i < sum->count && sum->terms[i].value != v)
        i++;
    if (i == MOST_TERMS)
        return false;
    if (i == sum->count) {
        sum->terms[sum->count++].value = v;
        sum->terms[i].factor = 0;
    }
    sum->terms[i].factor += factor;
    return true;
}

static bool add_product(address *sum, const ir_value *v, int64_t factor)
{
    if (is_op(v, IR_CONSTANT)) {
        sum->constant += factor * (int64_t)ir_number(v->op, "value");
        return true;
    }
    if (is_op(v, IR_ADD))
        return add_product(sum, ir_operand(v->op, 0), factor) &&
               add_product(sum, ir_operand(v->op, 1), factor);
    for (unsigned i = 0; i < 2 && is_op(v, IR_MUL); i++) {
        const ir_value *x = ir_operand(v->op, i);
        if (is_op(x, IR_CONSTANT))
            return add_product(sum, ir_operand(v->op, 1 - i),
                               factor * (int64_t)ir_number(x->op, "value"));
    }
    return add_term(sum, v, factor);
}

// Adds the element [at..] of a buffer, in bytes; `place` has the buffer and then these indices.
static bool add_place(address *at, const ir_op *place)
{
    const ir_type *whole = ir_operand(place, 0)->type;
    int64_t stride = (int64_t)scalar_size(whole->scalar);
    for (unsigned i = place->n_operands - 1; i > 0; i--) {
        if (!add_product(at, ir_operand(place, i), stride))
            return false;
        if (i > 1 && !ir_dim_is_constant(whole->dims[i - 1]))
            return false;
        stride *= i > 1 ? whole->dims[i - 1].value : 1;
    }
    return true;
}

bool address_of_place(const ir_op *place, const ir_value **root, address *at)
{
    *at = (address){0};
    for (*root = ir_operand(place, 0);; *root = ir_operand((*root)->op, 0)) {
        if (!add_place(at, place))
            return false;
        if (!is_op(*root, IR_VIEW))
            return true;
        place = (*root)->op;
    }
}

bool address_of(const ir_value *buffer, const ir_value **root, address *at)
{
    if (is_op(buffer, IR_VIEW))
        return address_of_place(buffer->op, root, at);
    *at = (address){0};
    *root = buffer;
    return true;
}

int64_t address_factor(const address *sum, const ir_value *v)
{
    for (unsigned i = 0; i < sum->count; i++) {
        if (sum->terms[i].value == v)
            return sum->terms[i].factor;
    }
    return 0;
}

bool address_same_terms(const address *x, const address *y)
{
    bool same = x->count == y->count;
    for (unsigned i = 0; i < x->count && same; i++)
        same = address_factor(y, x->terms[i].value) == x->terms[i].factor;
    return same;
}

int64_t buffer_bytes(const ir_type *t)
{
    int64_t bytes = (int64_t)scalar_size(t->scalar);
    for (unsigned i = 0; i < t->rank; i++)
        bytes *= t->dims[i].value;
    return bytes;
}

int64_t loop_step(const ir_op *loop)
{
    const ir_value *step = ir_operand_named(loop, "step");
    return is_op(step, IR_CONSTANT) ? (int64_t)ir_number(step->op, "value") : 0;
}

double rounds_of(const ir_op *loop)
{
    const ir_value *from = ir_operand_named(loop, "lower"), *to = ir_operand_named(loop, "upper");
    bool known = is_op(from, IR_CONSTANT) && is_op(to, IR_CONSTANT) && loop_step(loop) > 0;
    return known ? (ir_number(to->op, "value") - ir_number(from->op, "value")) /
                       (double)loop_step(loop)
                 : 1;
}

typedef struct loaded {
    const ir_value *counter; // of the loop around
    unsigned count;
    const ir_value *roots[16]; // that were read by the loops before, and are the same in all rounds
} loaded;

static bool was_loaded(const loaded *l, const ir_value *root)
{
    bool was = false;
    for (unsigned i = 0; i < l->count; i++)
        was |= l->roots[i] == root;
    return was;
}

static double bytes_of_load(loaded *l, const ir_op *op, const ir_value **root)
{
    address at;
    const ir_value *from = ir_operand_named(op, "from");
    bool known = address_of(from, root, &at) && !address_factor(&at, l->counter);
    if (known && was_loaded(l, *root))
        return 0;
    *root = known ? *root : NULL;
    return (double)buffer_bytes(from->type);
}

static double bytes_of_block(loaded *l, const ir_block *b)
{
    double bytes = 0;
    const ir_value *root = NULL, *last = NULL;
    IR_FOR_OPS(op, b)
    {
        if (op->code == IR_XLUT_LD) {
            bytes += bytes_of_load(l, op, &root);
            last = root ? root : last;
        }
        if (op->code == IR_FOR)
            bytes += rounds_of(op) * bytes_of_block(l, op->regions[0]);
    }
    if (last && !was_loaded(l, last) && l->count < 16)
        l->roots[l->count++] = last;
    return bytes;
}

double bytes_loaded(const ir_block *b)
{
    loaded l = {.counter = b->arguments.count ? b->arguments.items[0] : NULL};
    return bytes_of_block(&l, b);
}

static ir_value *first_counter(ir_builder *b, const ir_op *loop)
{
    if (loop->code == IR_FOR)
        return ir_operand_named(loop, "lower");
    ir_value *zero =
        ir_build1(b, IR_CONSTANT, loop->regions[0]->arguments.items[0]->type, NULL, NULL, NULL);
    ir_set_number(zero->op, "value", 0);
    return zero;
}

bool is_inside(const ir_block *b, const ir_op *loop)
{
    while (b && b->parent != loop)
        b = b->parent ? b->parent->block : NULL;
    return b;
}

ir_value *value_in_round(ir_builder *b, const ir_op *outer, ir_value *v, const ir_op *loop,
                         ir_value *counter)
{
    const ir_block *block = v->kind == IR_VALUE_RESULT ? v->op->block : v->block;
    if (!is_inside(block, outer))
        return v;
    if (v->kind == IR_VALUE_ARGUMENT)
        return counter && block->parent == loop ? counter : first_counter(b, block->parent);
    ir_value *x[2] = {NULL};
    if (is_op(v, IR_CONSTANT)) {
        ir_value *y = ir_build1(b, IR_CONSTANT, v->type, NULL, NULL, NULL);
        ir_set_number(y->op, "value", ir_number(v->op, "value"));
        return y;
    }
    for (unsigned i = 0; i < 2; i++)
        x[i] = value_in_round(b, outer, ir_operand(v->op, i), loop, counter);
    return ir_build1(b, v->op->code, v->type, x[0], x[1], NULL);
}

bool looks_up(const ir_op *op)
{
    bool does = op->code == IR_XLUT_MMA;
    for (unsigned i = 0; i < op->n_regions; i++)
        IR_FOR_OPS(inner, op->regions[i])
    does = does || looks_up(inner);
    return does;
}

int64_t lookups_of_rows(const ir_op *loop)
{
    int64_t count = 0;
    IR_FOR_OPS(op, loop->regions[0])
    count += op->code == IR_XLUT_MMA && !ir_name_is(op, "rows", "one");
    return count;
}
