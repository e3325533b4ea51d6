#include "compiler/passes/graph.h"
#include "compiler/quant/mix.h"

#include <string.h>

const char *graph_value_name(const ir_value *v)
{
    if (v->kind == IR_VALUE_GLOBAL)
        return v->global->name;
    return v->name ? v->name : "a value";
}

const char *graph_describe_value(arena *a, const ir_value *v)
{
    if (v->kind == IR_VALUE_GLOBAL || v->name)
        return arena_format(a, "'%s'", graph_value_name(v));
    if (v->kind == IR_VALUE_ARGUMENT)
        return "an argument";
    return arena_format(a, "the result of '%s'", ir_op_rows[v->op->code].name);
}

int64_t graph_rows(const ir_type *t)
{
    int64_t rows = 1;
    for (unsigned i = 0; i + 1 < t->rank; i++)
        if (__builtin_mul_overflow(rows, ir_dim_maximum(t->dims[i]), &rows))
            return INT64_MAX;
    return rows;
}

const ir_value *graph_root(const ir_value *v)
{
    while (v->kind == IR_VALUE_RESULT && (v->op->code == IR_VIEW || v->op->code == IR_ADDRESS))
        v = ir_operand(v->op, 0);
    return v;
}

bool graph_writes(const ir_op *op, unsigned slot)
{
    switch (op->code) {
    case IR_NATIVE_MULTIPLY: return slot == 2 || slot == 4;
    case IR_VSTORE_PAIRS:
    case IR_NATIVE_UNPACK: return slot == 2;
    case IR_STORE:
    case IR_VSTORE:
    case IR_NATIVE_PREPARE:
    case IR_XLUT_ST:
    case IR_XLUT_STA:
    case IR_XLUT_STM: return slot == 1;
    case IR_XLUT_TBL: return slot == 2 && ir_name_is(op, "table", "i8dynamic"); // scales
    default: return op->code == IR_CALL;
    }
}

bool graph_writes_tiles(const ir_op *op)
{
    switch (op->code) {
    case IR_XLUT_LD:
    case IR_XLUT_PF:
    case IR_XLUT_ZERO:
    case IR_XLUT_MMA:
    case IR_XLUT_DEQ:
    case IR_XLUT_OFF: return true;
    default: return false;
    }
}

bool graph_is_mixed(const ir_value *weight)
{
    quant_mix m;
    return quant_mix_parse(weight->type->format, &m) && quant_is_mixed(&m);
}

// "a, b, c": appends a name to a list being built.
static void graph_list_add(text *list, const char *name)
{
    text_printf(list, "%s%s", list->length ? ", " : "", name);
}

// The products stand behind the table; the search ends with the last one that uses it.
void graph_print_consumers(text *out, const char *table, const ir_op *precompute)
{
    const ir_value *t = &precompute->results[0];
    unsigned left = ir_count_uses(t), n = 0;
    text names = {0};
    for (const ir_op *op = precompute->next; op && left; op = op->next) {
        if (op->code != IR_LUT_MPGEMM ||
            (ir_operand(op, 0) != t && ir_operand_named(op, "signs") != t))
            continue;
        graph_list_add(&names, graph_value_name(ir_operand(op, 1)));
        left--;
        n++;
    }
    text_printf(out, "%s for %u consumer%s (%s)", table, n, n == 1 ? "" : "s", text_string(&names));
    text_free(&names);
}

void graph_number_ops(ir_block *b)
{
    int64_t number = 0;
    IR_FOR_OPS(op, b)
    op->mark = ++number;
}
