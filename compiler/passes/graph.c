#include "compiler/passes/graph.h"

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

void graph_list_add(text *list, const char *name)
{
    text_printf(list, "%s%s", list->length ? ", " : "", name);
}

void graph_number_ops(ir_block *b)
{
    int64_t number = 0;
    IR_FOR_OPS(op, b)
    op->mark = ++number;
}
