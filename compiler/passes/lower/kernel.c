// A kernel becomes a function over buffers, vectors and tile registers.
#include "compiler/passes/lower/kernel.h"
#include "compiler/passes/lower/native.h"
#include "compiler/quant/mix.h"

#include <string.h>

// ------------------------------------------------------------------ places

const ir_type *flat_buffer(ir_module *m, const ir_type *t)
{
    ir_dim columns = low_columns(t), dims[2] = {{NULL, -1}, columns};
    if (!ir_dim_is_constant(columns))
        return ir_type_buffer(m, t->scalar, 1, dims);
    return ir_type_buffer(m, t->scalar, 2, dims);
}

static const ir_type *rows_of(ir_module *m, scalar_type t, int64_t columns)
{
    ir_dim dims[2] = {{NULL, -1}, ir_dim_constant(columns)};
    return ir_type_buffer(m, t, 2, dims);
}

static unsigned table_parts(const lowering *l, const ir_type *t, const ir_type **parts)
{
    unsigned n = 0;
    if (is_native(l->context)) {
        parts[n++] = rows_of(l->module, SCALAR_U8, native_row(t).bytes);
        return n;
    }
    int64_t scales = table_scale_count(l, t), sums = table_sum_count(l, t);
    parts[n++] = rows_of(l->module, SCALAR_U8, table_row_bytes(l, t));
    if (scales)
        parts[n++] = rows_of(l->module, SCALAR_F32, scales * l->m);
    if (sums)
        parts[n++] = rows_of(l->module, SCALAR_F32, sums * l->m);
    return n;
}

static const ir_type *weight_buffer(const lowering *l, const ir_type *t)
{
    quant_mix mix;
    pack_mix packed;
    if (!quant_mix_parse(t->format, &mix))
        INTERNAL_ERROR("weight format '%s' reached the lowering", t->format);
    if (mix.parts[0].format.kind == QUANT_DENSE)
        return ir_type_buffer(l->module, mix.parts[0].format.scale, t->rank, t->dims);
    bool packs =
        pack_mix_of(&mix, t->dims[0].value, t->dims[1].value, pass_pack_shape(l->context), &packed);
    ir_dim dims[1] = {ir_dim_constant(packs ? (int64_t)packed.size : 0)};
    return ir_type_buffer(l->module, SCALAR_U8, 1, dims);
}

unsigned parts_of(const lowering *l, const ir_type *t, const ir_type **parts)
{
    switch (t->kind) {
    case IR_TABLE: return table_parts(l, t, parts);
    case IR_TENSOR: parts[0] = flat_buffer(l->module, t); return 1;
    case IR_WEIGHT: parts[0] = weight_buffer(l, t); return 1;
    default: parts[0] = t; return 1;
    }
}

ir_value **part_slot(place *p, unsigned part)
{
    if (p->type->kind == IR_INDEX || p->type->kind == IR_SCALAR)
        return &p->scalar;
    if (part == 0)
        return &p->buffer;
    bool has_scales = p->type->kind == IR_TABLE && p->type->scale != TABLE_SCALE_NONE;
    return part == 1 && has_scales ? &p->scales : &p->sums;
}

// ------------------------------------------------------------------ kernels

void machine_shape(lowering *l)
{
    const machine *target = l->context->machine;
    l->m = target->tile_m;
    l->n = target->tile_n;
    l->depth = machine_tile_depth(target);
    l->tile_bytes = machine_tile_bytes(target);
}

static void bind_arguments(lowering *l, place *places, unsigned count, argument_kind kind)
{
    for (unsigned i = 0; i < count; i++) {
        const ir_type *parts[PLACE_MAX_PARTS];
        unsigned n = parts_of(l, places[i].type, parts);
        for (unsigned p = 0; p < n; p++) {
            const char *name = kind == ARGUMENT_INPUT ? l->region->arguments.items[i]->name
                                                      : ir_operand(l->region->last, i)->name;
            *part_slot(&places[i], p) = ir_block_argument(l->function->body, parts[p], name);
            ARRAY_PUSH(l->arena, &l->arguments,
                       (argument_source){.kind = kind, .index = i, .part = p});
        }
    }
}

static const char *free_function_name(ir_module *m, arena *a, const char *wish)
{
    const char *name = wish;
    for (int i = 2; ir_function_find(m, name); i++)
        name = arena_format(a, "%s.%d", wish, i);
    return ir_intern(m, name);
}

// A kernel's own name where it can be a symbol's.
static const char *wished_name(const ir_op *kernel)
{
    const ir_attribute *name = ir_find(kernel, "name");
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    bool fits = name && *name->text && !name->text[strspn(name->text, letters)];
    return fits ? name->text : "kernel";
}

// Kernels of a form have one of its operations at least, or exactly one on the kernel's arguments.
typedef struct kernel_form {
    const char *kind;
    bool (*lower)(lowering *l);
    bool single;
    bool tables;        // it can build tables of what it gives
    ir_opcode codes[3]; // none: any
    unsigned n_codes;
} kernel_form;

static const kernel_form kernel_forms[] = {
    {"rows", lower_rows_kernel, false, true, {0}, 0},
    {"mpgemm", lower_mpgemm_kernel, false, true, {IR_LUT_MPGEMM}, 1},
    {"dense", lower_dense_kernel, false, false, {IR_LINEAR}, 1},
    {"copy", lower_copy_kernel, true, false, {IR_STATE_READ, IR_STATE_WRITE, IR_SLICE}, 3},
    {"gather", lower_gather_kernel, true, false, {IR_GATHER}, 1},
    {"rope", lower_rope_kernel, true, false, {IR_ROPE}, 1},
    {"attend", lower_attend_kernel, true, true, {IR_ATTEND}, 1},
};

static const kernel_form *form_of(const ir_op *kernel)
{
    for (size_t i = 0; i < sizeof kernel_forms / sizeof *kernel_forms; i++) {
        if (ir_name_is(kernel, "kind", kernel_forms[i].kind))
            return &kernel_forms[i];
    }
    INTERNAL_ERROR("a kernel of unknown kind");
}

static bool is_of_form(const kernel_form *form, const ir_op *op)
{
    for (unsigned i = 0; i < form->n_codes; i++) {
        if (form->codes[i] == op->code)
            return true;
    }
    return false;
}

// The operation's results, in order, are what the kernel yields.
static bool is_yielded(const ir_op *op, const ir_op *yield)
{
    bool good = op->n_results == yield->n_operands;
    for (unsigned i = 0; good && i < op->n_results; i++)
        good = ir_operand(yield, i) == &op->results[i];
    return good;
}

// A single operation's result, as rows, and the tables of it.
static bool is_of_tables(const kernel_form *form, const ir_op *op)
{
    return form->single && form->tables &&
           (op->code == IR_RESHAPE || op->code == IR_LUT_PRECOMPUTE);
}

static bool yields_tables(const ir_op *yield)
{
    for (unsigned i = 0; i < yield->n_operands; i++) {
        if (ir_operand(yield, i)->type->kind != IR_TABLE)
            return false;
    }
    return yield->n_operands > 0;
}

// What only some forms have behind their operations: tables, and reshapes in front of them.
static bool check_tables(const lowering *l, const kernel_form *form)
{
    bool tables = form->tables && (!is_native(l->context) || !strcmp(form->kind, "rows"));
    IR_FOR_OPS(op, l->region)
    {
        bool good = op->code == IR_LUT_PRECOMPUTE ? tables
                    : op->code == IR_RESHAPE      ? is_of_tables(form, op)
                                                  : true;
        if (good)
            continue;
        diagnostic_error(l->context->diagnostics, op->where,
                         "'%s' cannot stand in a kernel of kind '%s'", ir_op_rows[op->code].name,
                         form->kind);
        return false;
    }
    return true;
}

// Kernels may be written by hand.
static bool check_form(const lowering *l, const kernel_form *form)
{
    unsigned count = 0, others = 0;
    bool yielded = false;
    if (!check_tables(l, form))
        return false;
    IR_FOR_OPS(op, l->region)
    {
        if (op->code == IR_CONSTANT || op->code == IR_YIELD || is_of_tables(form, op))
            continue;
        bool fits = is_of_form(form, op);
        count += fits;
        others += !fits;
        yielded = yielded || is_yielded(op, l->region->last);
    }
    yielded = yielded || (form->tables && yields_tables(l->region->last));
    bool good = form->single ? count == 1 && !others && yielded : count || !form->n_codes;
    if (!good)
        diagnostic_error(l->context->diagnostics, l->kernel->where,
                         form->single ? "a kernel of kind '%s' is one such operation on its "
                                        "arguments, and yields what it gives"
                                      : "a kernel of kind '%s' needs such an operation",
                         form->kind);
    return good;
}

static place *places_for(arena *a, unsigned count)
{
    return ARENA_ARRAY(a, place, count);
}

bool lower_kernel(lowering *l)
{
    const kernel_form *form = form_of(l->kernel);
    if (!check_form(l, form))
        return false;
    ir_op *yield = l->region->last;
    l->n_inputs = (unsigned)l->region->arguments.count;
    l->n_outputs = yield->n_operands;
    l->inputs = places_for(l->arena, l->n_inputs);
    l->outputs = places_for(l->arena, l->n_outputs);
    for (unsigned i = 0; i < l->n_inputs; i++)
        l->inputs[i].type = l->region->arguments.items[i]->type;
    for (unsigned i = 0; i < l->n_outputs; i++)
        l->outputs[i].type = ir_operand(yield, i)->type;
    l->function = ir_function_create(
        l->module, free_function_name(l->module, l->arena, wished_name(l->kernel)), false,
        l->kernel->where);
    bind_arguments(l, l->inputs, l->n_inputs, ARGUMENT_INPUT);
    bind_arguments(l, l->outputs, l->n_outputs, ARGUMENT_OUTPUT);
    l->at = ir_builder_at_end(l->function->body);
    l->at.where = l->kernel->where;
    if (!form->lower(l))
        return false;
    l->at.where = l->kernel->where;
    ir_build(&l->at, IR_RETURN, 0, NULL, 0, NULL);
    return true;
}
