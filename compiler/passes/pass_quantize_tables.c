// quantize-tables: entry types and scales of the tables of float activations.
//
// An i8 table has one scale per row, per group of activations (at least the tile depth), or per
// slice: a quarter of the tile depth. Activations of real models have outliers, and the noise of a
// span grows with the square of its largest entry: auto takes slices, at the cost of a lut.deq for
// each. Coarser scales are there to be asked for.
#include "compiler/passes/graph.h"
#include "compiler/quant/mix.h"

#include <string.h>

typedef struct table_choice {
    table_scale scale;
    int64_t group;
    const char *reason;
} table_choice;

// The weight group of a consumer; 0: row scales.
static int64_t weight_group(const ir_op *mpgemm)
{
    quant_mix m; // whose parts share their groups
    return quant_mix_parse(ir_operand(mpgemm, 1)->type->format, &m) ? m.parts[0].format.group : 0;
}

// The smallest weight group among the consumers (0 when all have row scales), and whether all
// agree.
static int64_t smallest_group(const ir_value *table, bool *agree)
{
    int64_t smallest = -1;
    *agree = true;
    for (const ir_use *use = table->uses; use; use = use->next) {
        int64_t group = weight_group(use->op);
        *agree &= smallest < 0 || group == smallest;
        if (smallest < 0 || !smallest || (group && group < smallest))
            smallest = group;
    }
    return smallest < 0 ? 0 : smallest;
}

static table_choice by_slice(const char *reason)
{
    return (table_choice){TABLE_SCALE_SLICE, 0, reason};
}

static table_choice choose(const pass_context *c, const ir_value *table)
{
    const char *wish = pass_argument_text(c, "scale");
    int64_t depth = machine_tile_depth(c->machine);
    bool agree;
    int64_t group = smallest_group(table, &agree);
    if (!strcmp(wish, "row"))
        return (table_choice){TABLE_SCALE_ROW, 0, "as asked for"};
    if (!strcmp(wish, "tile"))
        return (table_choice){TABLE_SCALE_GROUP, depth, "as asked for"};
    if (strcmp(wish, "group"))
        return by_slice(strcmp(wish, "slice") ? "the least rounding noise" : "as asked for");
    if (!agree)
        return by_slice("the consumers' groups differ");
    if (!group)
        return (table_choice){TABLE_SCALE_ROW, 0, "as the weights"};
    if (group < depth)
        return by_slice("groups are smaller than the tile depth");
    return (table_choice){TABLE_SCALE_GROUP, group, "as the weights"};
}

// A table that leaves the function keeps the type that it has there.
static bool stays_inside(const ir_value *table)
{
    for (const ir_use *use = table->uses; use; use = use->next)
        if (use->op->code != IR_LUT_MPGEMM)
            return false;
    return true;
}

static void quantize(ir_module *m, pass_context *c, ir_op *op)
{
    ir_value *table = &op->results[0];
    const char *name = graph_describe_value(c->arena, ir_operand(op, 0));
    if (!stays_inside(table)) {
        pass_remark(c, REMARK_MISSED, op->where, "table of %s stays f16: the function returns it",
                    name);
        return;
    }
    const ir_type *t = table->type;
    table_choice choice = choose(c, table);
    table->type =
        ir_type_table(m, SCALAR_I8, choice.scale, choice.group, t->sums, t->rank, t->dims);
    table->type = ir_type_table_of_codebook(m, table->type, t->format);
    text type = {0};
    ir_type_print(&type, table->type);
    pass_remark(c, REMARK_APPLIED, op->where, "table of %s becomes %s: %s", name,
                text_string(&type), choice.reason);
    text_free(&type);
}

static bool is_float_table(const ir_op *op)
{
    return op->code == IR_LUT_PRECOMPUTE && op->results[0].type->scalar == SCALAR_F16;
}

// Inside kernels the types of tables are those of inputs and outputs as well.
static bool check_unfused(pass_context *c, const ir_op *kernel)
{
    bool good = true;
    IR_FOR_OPS(op, kernel->regions[0])
    {
        if (!is_float_table(op))
            continue;
        diagnostic_error(c->diagnostics, op->where,
                         "the table of %s is in a kernel: run quantize-tables before fuse",
                         graph_describe_value(c->arena, ir_operand(op, 0)));
        good = false;
    }
    return good;
}

static bool is_for_machine(pass_context *c, const ir_op *op)
{
    if (!c->target || !c->target->native)
        return true;
    diagnostic_error(c->diagnostics, op->where,
                     "the table of %s is for a CPU: quantize-tables is for machines; "
                     "choose-activations chooses what CPUs multiply or look up",
                     graph_describe_value(c->arena, ir_operand(op, 0)));
    return false;
}

bool pass_quantize_tables(ir_module *m, pass_context *c)
{
    bool good = true, wanted = !strcmp(pass_argument_text(c, "type"), "i8");
    for (ir_function *f = m->functions; f && wanted; f = f->next) {
        IR_FOR_OPS(op, f->body)
        {
            if (op->code == IR_KERNEL)
                good &= check_unfused(c, op);
            else if (is_float_table(op) && is_for_machine(c, op))
                quantize(m, c, op);
            else
                good &= !is_float_table(op);
        }
    }
    return good;
}
