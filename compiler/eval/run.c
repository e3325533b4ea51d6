// Runs blocks: operations in order, values released after their last use.
#include "compiler/eval/internal.h"

#include <string.h>

// Also tables: they are kept as their activations, whatever their entries are.
static bool copy_content(evaluator *e, const ir_op *op)
{
    const tensor *x = eval_operand(e, op, 0);
    tensor *y = eval_result(e, op, 0);
    if (!x || !y)
        return false;
    if (x->count != y->count)
        return eval_error(e, op, "%lld elements become %lld", (long long)x->count,
                          (long long)y->count);
    y->type = x->type;
    memcpy(y->data, x->data, (size_t)x->count * sizeof *x->data);
    return true;
}

static bool run_constant(evaluator *e, const ir_op *op)
{
    tensor *y = eval_result(e, op, 0);
    if (y)
        y->data[0] = scalar_round(y->type, ir_number(op, "value"));
    return y;
}

static bool run_dimension(evaluator *e, const ir_op *op)
{
    const ir_attribute *symbol = ir_find(op, "symbol");
    for (size_t i = 0; symbol && i < e->module->symbols.count; i++) {
        if (strcmp(e->module->symbols.items[i]->name, symbol->text) != 0)
            continue;
        tensor *y = eval_result(e, op, 0);
        if (e->dims[i].value < 0)
            return eval_error(e, op, "the size of dimension '%s' is not known", symbol->text);
        if (y)
            y->data[0] = (double)e->dims[i].value;
        return y;
    }
    return eval_error(e, op, "unknown dimension");
}

static bool run_kernel(evaluator *e, const ir_op *op);

static bool (*const runners[IR_OPCODE_COUNT])(evaluator *e, const ir_op *op) = {
    [IR_CONSTANT] = run_constant,
    [IR_DIMENSION] = run_dimension,
    [IR_RMS_NORM] = eval_rms_norm,
    [IR_LAYER_NORM] = eval_layer_norm,
    [IR_SOFTMAX] = eval_softmax,
    [IR_QUANTIZE] = eval_quantize,
    [IR_RESHAPE] = copy_content,
    [IR_LINEAR] = eval_linear,
    [IR_STATE_READ] = copy_content,
    [IR_STATE_WRITE] = eval_state_write,
    [IR_LUT_PRECOMPUTE] = copy_content,
    [IR_LUT_MPGEMM] = eval_mpgemm,
    [IR_IOTA] = eval_iota,
    [IR_SLICE] = eval_slice,
    [IR_GATHER] = eval_gather,
    [IR_ROPE] = eval_rope,
    [IR_ATTEND] = eval_attend,
    [IR_KERNEL] = run_kernel,
};

static bool run_op(evaluator *e, const ir_op *op)
{
    const ir_op_row *row = &ir_op_rows[op->code];
    if (runners[op->code])
        return runners[op->code](e, op);
    if (row->traits & IR_ELEMENTWISE && row->traits & IR_GRAPH)
        return eval_elementwise(e, op);
    return eval_error(e, op, "'%s' cannot be evaluated: only graph-level operations can",
                      row->name);
}

void eval_release_slot(slot *s)
{
    if (!s->borrowed)
        eval_release(&s->value);
    *s = (slot){0};
}

static void slot_unuse(slot *s)
{
    if (s->uses && --s->uses == 0)
        eval_release_slot(s);
}

static void release_operands(evaluator *e, const ir_op *op)
{
    for (unsigned i = 0; i < op->n_operands; i++) {
        const ir_value *v = ir_operand(op, i);
        if (v && v->kind != IR_VALUE_GLOBAL)
            slot_unuse(&e->slots[v->mark]);
    }
}

static void prepare_results(evaluator *e, const ir_op *op)
{
    for (unsigned i = 0; i < op->n_results; i++)
        e->slots[op->results[i].mark].uses = ir_count_uses(&op->results[i]);
}

bool eval_run(evaluator *e, const ir_op *op)
{
    prepare_results(e, op);
    if (!run_op(e, op))
        return false;
    release_operands(e, op);
    for (unsigned i = 0; i < op->n_results; i++)
        if (!e->slots[op->results[i].mark].uses)
            eval_release_slot(&e->slots[op->results[i].mark]);
    return true;
}

const ir_op *eval_block(evaluator *e, const ir_block *block)
{
    IR_FOR_OPS(op, block)
    {
        if (ir_op_rows[op->code].traits & IR_TERMINATOR)
            return op;
        if (!eval_run(e, op))
            return NULL;
    }
    UNREACHABLE(); // the verifier wants a terminator
}

void eval_bind_argument(evaluator *e, const ir_value *argument, const tensor *value)
{
    e->slots[argument->mark] =
        (slot){.value = *value, .uses = ir_count_uses(argument), .borrowed = true};
}

static bool bind_input(evaluator *e, const ir_op *op, unsigned i)
{
    const ir_value *argument = op->regions[0]->arguments.items[i];
    const ir_global *g = eval_global_of(e, ir_operand(op, i));
    if (g) {
        e->slots[argument->mark] = (slot){.alias = g};
        return true;
    }
    const tensor *x = eval_operand(e, op, i);
    if (x)
        eval_bind_argument(e, argument, x);
    return x;
}

// The region computes on the inputs; what it yields becomes the results.
static bool run_kernel(evaluator *e, const ir_op *op)
{
    for (unsigned i = 0; i < op->n_operands; i++)
        if (!bind_input(e, op, i))
            return false;
    const ir_op *yield = eval_block(e, op->regions[0]);
    for (unsigned i = 0; yield && i < op->n_results; i++) {
        const tensor *from = eval_operand(e, yield, i);
        tensor *to = from ? eval_result(e, op, i) : NULL;
        if (!to)
            return false;
        to->type = from->type;
        memcpy(to->data, from->data, (size_t)from->count * sizeof *from->data);
    }
    if (yield)
        release_operands(e, yield);
    return yield;
}
