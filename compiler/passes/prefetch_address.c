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

// Where a buffer begins, in bytes behind what it is a part of. False: not known when compiling.
bool address_of(const ir_value *buffer, const ir_value **root, address *at)
{
    *at = (address){0};
    for (*root = buffer; is_op(*root, IR_VIEW); *root = ir_operand((*root)->op, 0)) {
        const ir_op *view = (*root)->op;
        const ir_type *whole = ir_operand(view, 0)->type;
        int64_t stride = (int64_t)scalar_size(whole->scalar);
        for (unsigned i = view->n_operands - 1; i > 0; i--) {
            if (!add_product(at, ir_operand(view, i), stride))
                return false;
            if (i > 1 && !ir_dim_is_constant(whole->dims[i - 1]))
                return false;
            stride *= i > 1 ? whole->dims[i - 1].value : 1;
        }
    }
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
