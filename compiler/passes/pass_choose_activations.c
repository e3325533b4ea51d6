// choose-activations: how products on CPUs take their activations, from what their consumers are.
//
// Activations of floats become bytes with a scale for every 256, or 8-bit tables where looking up
// is measured to be faster; both round to 8 bits, with like errors. `f16` keeps them exact.
#include "compiler/passes/graph.h"
#include "compiler/passes/lower/native.h"
#include "compiler/quant/columns.h"
#include "compiler/quant/mix.h"
#include "compiler/target/method.h"

#include <math.h>
#include <string.h>

const char pipeline_native[] = "fold,quantize-weights,split-precompute,choose-activations,"
                               "pack-weights,fuse,lower-to-tile,partition,plan-memory";

enum { MOST = 256 }; // activations under one scale, unless rows are asked for

typedef struct choice {
    int64_t group;   // the smallest of the consumers' groups; 0: rows
    unsigned planes; // of all consumers; 0: they differ
    bool several;    // rows
    bool lookups;
    bool floats; // a consumer's levels are not evenly spaced
} choice;

static void add_consumer(choice *c, const ir_op *op, bool first)
{
    quant_mix m;
    if (!quant_mix_parse(ir_operand(op, 1)->type->format, &m))
        return;
    for (unsigned i = 0; i < m.n_parts; i++, first = false) {
        const quant_format *f = &m.parts[i].format;
        unsigned planes = f->kind == QUANT_TERNARY ? 2 : f->planes;
        c->floats = c->floats || !column_is_even(f);
        c->planes = first || c->planes == planes ? planes : 0;
        if (f->group && (!c->group || f->group < c->group))
            c->group = f->group;
    }
}

static bool has_one_row(const ir_type *t)
{
    for (unsigned i = 0; i + 1 < t->rank; i++)
        if (ir_dim_maximum(t->dims[i]) != 1)
            return false;
    return true;
}

static product_method wanted_method(const pass_context *c, const choice *x)
{
    const char *wish = pass_argument_text(c, "method");
    if (!strcmp(wish, "auto"))
        return method_choose(c->target, x->planes, x->several);
    return strcmp(wish, "lookup") ? METHOD_MULTIPLY : METHOD_LOOKUP;
}

static choice look_at(const pass_context *c, const ir_value *table)
{
    enum { SMALLEST = 32 }; // tables are looked up by units of 32 weights
    choice found = {0};
    bool first = true;
    for (const ir_use *use = table->uses; use; use = use->next, first = false)
        if (use->op->code == IR_LUT_MPGEMM)
            add_consumer(&found, use->op, first);
    found.several = !has_one_row(table->type);
    bool can = found.planes && method_has_lookups(c->target, found.planes) &&
               (!found.group || found.group >= SMALLEST);
    found.lookups = can && wanted_method(c, &found) == METHOD_LOOKUP;
    return found;
}

static const ir_type *chosen_type(ir_module *m, const pass_context *c, const ir_type *t, choice *x)
{
    const char *wish = pass_argument_text(c, "scale");
    bool exact = x->floats || !strcmp(pass_argument_text(c, "type"), "f16");
    if (t->scalar == SCALAR_I16 || exact) {
        x->lookups = false;
        bool bytes = t->scalar == SCALAR_I16 && !x->floats;
        t = ir_type_table(m, t->scalar, TABLE_SCALE_NONE, 0, x->group, t->rank, t->dims);
        return bytes ? ir_type_table_multiplied(m, t) : t;
    }
    int64_t group = x->group && !strcmp(wish, "group") ? x->group : MOST;
    bool whole = group >= low_columns(t).value;
    if (whole || !strcmp(wish, "row") || (!strcmp(wish, "group") && !x->group))
        group = 0;
    int64_t sums = x->group && (!group || x->group < group) ? x->group : group;
    t = ir_type_table(m, SCALAR_I8, group ? TABLE_SCALE_GROUP : TABLE_SCALE_ROW, group, sums,
                      t->rank, t->dims);
    return x->lookups ? t : ir_type_table_multiplied(m, t);
}

// What was measured at each level, " avx2 337 and 201, 435 and 270;".
static const char *figures(const pass_context *c, const choice *x)
{
    const char *all = "";
    for (const target_level *const *l = c->target->levels; *l; l++) {
        const method_cost *one = method_cost_find(*l, x->planes, 1);
        const method_cost *many = method_cost_find(*l, x->planes, METHOD_ROWS);
        if (!one || !one->lookup)
            continue;
        all = arena_format(c->arena, "%s%s %s %.0f and %.0f", all, *all ? ";" : "", (*l)->name,
                           one->lookup, one->multiply);
        if (x->several && many)
            all = arena_format(c->arena, "%s, %.0f and %.0f", all, many->lookup, many->multiply);
    }
    return all;
}

static const char *reason(const pass_context *c, const choice *x, const ir_type *table)
{
    if (native_form(table) == ACTIVATION_FLOATS)
        return x->floats
                   ? "exact, as f32: weights that are not evenly spaced are multiplied as such"
                   : "exact, as f32";
    const char *how = x->lookups ? "looked up" : "multiplied";
    if (!x->planes)
        return how;
    if (!method_has_lookups(c->target, x->planes))
        return arena_format(c->arena, "%s: there are no lookups for %u-bit weights", how,
                            x->planes);
    return arena_format(c->arena,
                        "%s: GOP/s of %u-bit weights by lookups and by multiplying, %s:%s", how,
                        x->planes, x->several ? "one row and 128" : "one row", figures(c, x));
}

static double largest_level(const quant_format *f)
{
    double most = 0, levels[QUANT_CODES];
    for (unsigned term = 0; term < f->terms; term++) {
        quant_levels(f, f->codebook ? f->codebook->levels : NULL, term, levels);
        for (unsigned code = 0; code < 1u << f->planes; code++)
            most = fmax(most, fabs(levels[code]));
    }
    return most;
}

// Why sums of products of integers are not exact, in 32 bits, or in f32 where levels are not evenly
// spaced; NULL: they are.
static const char *integer_obstacle(const ir_op *product)
{
    quant_mix m;
    if (!quant_mix_parse(ir_operand(product, 1)->type->format, &m))
        return NULL;
    const int64_t depth = ir_operand(product, 1)->type->dims[1].value;
    for (unsigned i = 0; i < m.n_parts; i++) {
        const quant_format *f = &m.parts[i].format;
        int64_t most = INT32_MAX / (2 * 128 * ((1 << f->planes) - 1));
        if (!column_is_even(f))
            most = (int64_t)(0x1p24 / 128 / largest_level(f));
        if (depth > most && (!f->group || f->group > most))
            return "sums of so many products of integers are for --target=riscv64 alone";
    }
    return NULL;
}

// Tables of i16 are in two parts, high and low bytes; bytes and lookups of CPUs have one.
static bool has_products(const pass_context *c, const ir_op *op)
{
    const char *obstacle = NULL;
    scalar_type s = ir_operand(op, 0)->type->scalar;
    if (s == SCALAR_I16)
        obstacle = "products of i16 activations with weights of few bits are for --target=riscv64 "
                   "alone";
    const ir_use *use = s == SCALAR_I8 ? op->results[0].uses : NULL;
    for (; use && !obstacle; use = use->next)
        if (use->op->code == IR_LUT_MPGEMM)
            obstacle = integer_obstacle(use->op);
    if (obstacle)
        diagnostic_error(c->diagnostics, op->where, "%s, not for CPUs (%s); use %s", obstacle,
                         c->target->name, s == SCALAR_I16 ? "i8 or floats" : "floats");
    return !obstacle;
}

static void choose(ir_module *m, pass_context *c, ir_op *op)
{
    ir_value *table = &op->results[0];
    choice x = look_at(c, table);
    table->type = chosen_type(m, c, table->type, &x);
    text type = {0};
    ir_type_print(&type, table->type);
    pass_remark(c, REMARK_APPLIED, op->where, "%s becomes %s, %s",
                graph_describe_value(c->arena, ir_operand(op, 0)), text_string(&type),
                reason(c, &x, table->type));
    text_free(&type);
}

static bool is_for_cpu(pass_context *c, const ir_op *op)
{
    if (c->target && c->target->native)
        return true;
    diagnostic_error(c->diagnostics, op->where,
                     "the table of %s is for machine '%s': choose-activations is for CPUs "
                     "(--target=native); quantize-tables chooses entries of tables",
                     graph_describe_value(c->arena, ir_operand(op, 0)), c->machine->name);
    return false;
}

bool pass_choose_activations(ir_module *m, pass_context *c)
{
    bool good = true;
    for (ir_function *f = m->functions; f; f = f->next)
        IR_FOR_OPS(op, f->body)
        {
            if (op->code != IR_LUT_PRECOMPUTE)
                continue;
            if (is_for_cpu(c, op) && has_products(c, op))
                choose(m, c, op);
            else
                good = false;
        }
    return good;
}
