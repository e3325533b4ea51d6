// Small builders for the lowering: index arithmetic, memory access, loops.
#include "compiler/passes/lower/lower.h"

#include <string.h>

lowering low_before(ir_module *m, pass_context *context, ir_function *f, ir_op *before)
{
    lowering l = {.module = m,
                  .context = context,
                  .arena = context->arena,
                  .kernel = before,
                  .function = f,
                  .at = ir_builder_before(before)};
    l.at.where = before->where;
    return l;
}

void low_call_with(lowering *l, ir_op *call, ir_value *const *more, unsigned count)
{
    const unsigned n = call->n_operands;
    ir_value **operands = ARENA_ARRAY(l->arena, ir_value *, n + count);
    for (unsigned i = 0; i < n + count; i++)
        operands[i] = i < n ? ir_operand(call, i) : more[i - n];
    ir_op *new = ir_build(&l->at, IR_CALL, n + count, operands, 0, NULL);
    ir_set_text(new, "callee", ir_find(call, "callee")->text);
    ir_op_remove(call);
}

bool low_counts_from_zero(const ir_op *loop, int64_t *rounds)
{
    int64_t lower, step;
    return loop->code == IR_FOR && low_is_constant(ir_operand(loop, 0), &lower) && lower == 0 &&
           low_is_constant(ir_operand(loop, 1), rounds) &&
           low_is_constant(ir_operand(loop, 2), &step) && step == 1 && *rounds > 0;
}

int64_t low_lanes(const machine *m, const ir_op *strip)
{
    scalar_type width = SCALAR_F32;
    scalar_by_name(ir_name(strip, "width"), &width);
    return 4 * (int64_t)m->vlen / scalar_rows[width].bits;
}

ir_value *low_in_round(lowering *l, const ir_block *body, ir_value *v, ir_mapping *map)
{
    const ir_value *known = ir_mapping_get(map, v);
    if (known == v && v->kind == IR_VALUE_RESULT && v->op->block == body) {
        for (unsigned i = 0; i < v->op->n_operands; i++)
            if (ir_operand(v->op, i))
                low_in_round(l, body, ir_operand(v->op, i), map);
        ir_clone(&l->at, v->op, map);
    }
    return ir_mapping_get(map, v);
}

// ------------------------------------------------------------------ constants

static ir_value *constant(lowering *l, const ir_type *type, double value)
{
    for (ir_op *op = l->function->body->first; op && op->code == IR_CONSTANT; op = op->next) {
        if (op->results[0].type == type && ir_number(op, "value") == value)
            return &op->results[0];
    }
    ir_builder head = l->last_constant           ? ir_builder_after(l->last_constant)
                      : l->function->body->first ? ir_builder_before(l->function->body->first)
                                                 : ir_builder_at_end(l->function->body);
    head.where = l->kernel->where;
    ir_op *op = ir_build(&head, IR_CONSTANT, 0, NULL, 1, &type);
    ir_set_number(op, "value", value);
    l->last_constant = op;
    // A builder that stood at an empty function's end stays behind the constants.
    return &op->results[0];
}

ir_value *low_index(lowering *l, int64_t value)
{
    ir_value *v = constant(l, ir_type_index(l->module), (double)value);
    if (!v->name)
        v->name = ir_intern(l->module, arena_format(l->arena, "c%lld", (long long)value));
    return v;
}

ir_value *low_number(lowering *l, scalar_type t, double value)
{
    return constant(l, ir_type_scalar(l->module, t), value);
}

bool low_is_constant(const ir_value *v, int64_t *out)
{
    if (v->kind != IR_VALUE_RESULT || v->op->code != IR_CONSTANT || v->type->kind != IR_INDEX)
        return false;
    *out = (int64_t)ir_number(v->op, "value");
    return true;
}

int64_t low_evaluate(const ir_value *v,
                     int64_t (*given)(const ir_value *argument, const void *context),
                     const void *context)
{
    int64_t known;
    if (low_is_constant(v, &known))
        return known;
    if (v->kind == IR_VALUE_ARGUMENT)
        return v->block->parent ? -1 : given(v, context);
    if (v->kind != IR_VALUE_RESULT || v->op->n_operands != 2)
        return -1;
    int64_t x = low_evaluate(ir_operand(v->op, 0), given, context);
    int64_t y = low_evaluate(ir_operand(v->op, 1), given, context);
    if (x < 0 || y < 0 || !ir_evaluate_integer(v->op->code, x, y, &known))
        return -1;
    return known;
}

// ----------------------------------------------------------------- arithmetic

// x is *base and a constant, added or multiplied.
static bool is_combined(const ir_value *x, ir_opcode code, ir_value **base, int64_t *constant)
{
    if (x->kind != IR_VALUE_RESULT || x->op->code != code)
        return false;
    bool first = low_is_constant(ir_operand(x->op, 0), constant);
    *base = ir_operand(x->op, first);
    return first || low_is_constant(ir_operand(x->op, 1), constant);
}

static ir_value *index_op(lowering *l, ir_opcode code, ir_value *x, ir_value *y);

// Constants move outward, so that addresses that differ by a constant share what comes before it:
// (x + a) + b, (x + a) * b and (x * a) * b. NULL: x is none of these.
static ir_value *combine(lowering *l, ir_opcode code, ir_value *x, int64_t b)
{
    ir_value *base;
    int64_t a, both;
    if ((code == IR_ADD || code == IR_MUL) && is_combined(x, code, &base, &a) &&
        ir_evaluate_integer(code, a, b, &both))
        return index_op(l, code, base, low_index(l, both));
    if (code == IR_MUL && is_combined(x, IR_ADD, &base, &a) &&
        ir_evaluate_integer(IR_MUL, a, b, &both))
        return low_add(l, low_mul(l, base, low_index(l, b)), low_index(l, both));
    return NULL;
}

static ir_value *combine_either(lowering *l, ir_opcode code, ir_value *x, ir_value *y)
{
    int64_t known;
    if (low_is_constant(y, &known))
        return combine(l, code, x, known);
    return low_is_constant(x, &known) ? combine(l, code, y, known) : NULL;
}

static ir_value *index_op(lowering *l, ir_opcode code, ir_value *x, ir_value *y)
{
    int64_t a = 0, b = 0, both;
    bool known_a = low_is_constant(x, &a), known_b = low_is_constant(y, &b);
    if (known_a && known_b && ir_evaluate_integer(code, a, b, &both))
        return low_index(l, both);
    if (known_b && ((b == 0 && (code == IR_ADD || code == IR_SUB)) ||
                    (b == 1 && (code == IR_MUL || code == IR_DIV))))
        return x;
    if (known_a && ((a == 0 && code == IR_ADD) || (a == 1 && code == IR_MUL)))
        return y;
    if ((known_a && a == 0 && code == IR_MUL) || (known_b && b == 0 && code == IR_MUL))
        return low_index(l, 0);
    if (known_b && b == 1 && code == IR_REM)
        return low_index(l, 0);
    ir_value *combined = combine_either(l, code, x, y);
    return combined ? combined : ir_build1(&l->at, code, ir_type_index(l->module), x, y, NULL);
}

ir_value *low_add(lowering *l, ir_value *x, ir_value *y)
{
    return index_op(l, IR_ADD, x, y);
}
ir_value *low_sub(lowering *l, ir_value *x, ir_value *y)
{
    return index_op(l, IR_SUB, x, y);
}
ir_value *low_mul(lowering *l, ir_value *x, ir_value *y)
{
    return index_op(l, IR_MUL, x, y);
}
ir_value *low_div(lowering *l, ir_value *x, ir_value *y)
{
    return index_op(l, IR_DIV, x, y);
}
ir_value *low_rem(lowering *l, ir_value *x, ir_value *y)
{
    return index_op(l, IR_REM, x, y);
}
ir_value *low_min(lowering *l, ir_value *x, ir_value *y)
{
    return index_op(l, IR_MIN, x, y);
}

ir_value *low_compare(lowering *l, const char *is, ir_value *x, ir_value *y)
{
    const ir_type *type = x->type->kind == IR_VECTOR ? ir_type_vector(l->module, SCALAR_I1)
                                                     : ir_type_scalar(l->module, SCALAR_I1);
    ir_value *v = ir_build1(&l->at, IR_COMPARE, type, x, y, NULL);
    ir_set_name(v->op, "is", is);
    return v;
}

ir_value *low_exp_of_rest(lowering *l, ir_value *x, ir_value *greatest)
{
    ir_value *y = low_unary(l, IR_EXP, low_binary(l, IR_SUB, x, greatest));
    ir_set_name(y->op, "of", "nonpositive");
    return y;
}

ir_value *low_unary(lowering *l, ir_opcode code, ir_value *x)
{
    return ir_build1(&l->at, code, x->type, x, NULL, NULL);
}

ir_value *low_binary(lowering *l, ir_opcode code, ir_value *x, ir_value *y)
{
    return ir_build1(&l->at, code, x->type, x, y, NULL);
}

// A narrow value that was only widened comes back as itself.
static ir_value *widened_from(const ir_value *x, scalar_type t)
{
    if (x->kind != IR_VALUE_RESULT || x->op->code != IR_CAST)
        return NULL;
    ir_value *narrow = ir_operand(x->op, 0);
    scalar_type wide = x->type->scalar;
    bool exact = narrow->type->kind == x->type->kind && narrow->type->scalar == t &&
                 scalar_size(t) < scalar_size(wide) && scalar_is_float(t) == scalar_is_float(wide);
    return exact ? narrow : NULL;
}

ir_value *low_cast(lowering *l, ir_value *x, scalar_type t)
{
    ir_value *narrow = widened_from(x, t);
    if (narrow)
        return narrow;
    const ir_type *type =
        x->type->kind == IR_VECTOR ? ir_type_vector(l->module, t) : ir_type_scalar(l->module, t);
    return x->type == type ? x : ir_build1(&l->at, IR_CAST, type, x, NULL, NULL);
}

ir_value *low_to_index(lowering *l, ir_value *scalar)
{
    return ir_build1(&l->at, IR_CAST, ir_type_index(l->module), scalar, NULL, NULL);
}

ir_value *low_index_operand(lowering *l, const ir_value *v)
{
    if (v->kind == IR_VALUE_RESULT)
        return low_index(l, (int64_t)ir_number(v->op, "value"));
    return low_input(l, v)->scalar;
}

ir_value *low_broadcast(lowering *l, ir_value *scalar)
{
    const ir_type *type = ir_type_vector(l->module, scalar->type->scalar);
    return ir_build1(&l->at, IR_BROADCAST, type, scalar, NULL, NULL);
}

ir_value *low_reduce(lowering *l, ir_value *x, const char *by)
{
    ir_value *y =
        ir_build1(&l->at, IR_REDUCE, ir_type_scalar(l->module, SCALAR_F32), x, NULL, NULL);
    ir_set_name(y->op, "by", by);
    return y;
}

// ----------------------------------------------------------------- dimensions

static ir_value *symbol_value(lowering *l, const ir_symbol *symbol)
{
    for (unsigned i = 0; i < l->n_symbols; i++) {
        if (l->symbols[i].symbol == symbol)
            return l->symbols[i].value;
    }
    if (l->n_symbols == sizeof l->symbols / sizeof l->symbols[0])
        INTERNAL_ERROR("a kernel with more than %u symbolic dimensions", l->n_symbols);
    ir_value *v = ir_block_argument(l->function->body, ir_type_index(l->module), symbol->name);
    ARRAY_PUSH(l->arena, &l->arguments,
               (argument_source){.kind = ARGUMENT_SYMBOL, .symbol = symbol});
    l->symbols[l->n_symbols].symbol = symbol;
    l->symbols[l->n_symbols++].value = v;
    return v;
}

// A dimension that is the same in every run is a constant.
static ir_dim low_known(ir_dim d)
{
    bool known = d.symbol && d.symbol->minimum == d.symbol->maximum;
    return known ? ir_dim_constant(ir_dim_maximum(d)) : d;
}

ir_value *low_dim(lowering *l, ir_dim d)
{
    if (ir_dim_is_constant(low_known(d)))
        return low_index(l, low_known(d).value);
    return low_mul(l, symbol_value(l, d.symbol), low_index(l, d.value));
}

ir_value *low_row_count(lowering *l, const ir_type *t)
{
    ir_value *rows = low_index(l, 1);
    for (unsigned i = 0; i + 1 < t->rank; i++)
        rows = low_mul(l, rows, low_dim(l, t->dims[i]));
    return rows;
}

ir_dim low_columns(const ir_type *t)
{
    return t->rank ? low_known(t->dims[t->rank - 1]) : ir_dim_constant(1);
}

// --------------------------------------------------------------------- memory

ir_value *low_scratch(lowering *l, scalar_type t, int64_t rows, int64_t columns)
{
    ir_dim dims[2] = {ir_dim_constant(rows), ir_dim_constant(columns)};
    const ir_type *type = ir_type_buffer(l->module, t, 2, dims);
    ARRAY_PUSH(l->arena, &l->arguments, (argument_source){.kind = ARGUMENT_SCRATCH, .type = type});
    return ir_block_argument(l->function->body, type, "scratch");
}

static const place *place_of_buffer(const place *places, unsigned count, const ir_value *buffer)
{
    for (unsigned i = 0; i < count; i++) {
        if (places[i].buffer == buffer && places[i].type->kind == IR_TENSOR)
            return &places[i];
    }
    return NULL;
}

// The place of [row, column] in a buffer of rank 1: one row, or rows of a length known at run time.
static ir_value *flat_index(lowering *l, const ir_value *buffer, ir_value *row, ir_value *column)
{
    const place *p = place_of_buffer(l->inputs, l->n_inputs, buffer);
    if (!p)
        p = place_of_buffer(l->outputs, l->n_outputs, buffer);
    if (!p || p->type->rank < 2)
        return column;
    return low_add(l, low_mul(l, row, low_dim(l, low_columns(p->type))), column);
}

// The index operands of element [row, column].
static unsigned indices(lowering *l, ir_value *buffer, ir_value *row, ir_value *column,
                        ir_value **out)
{
    if (buffer->type->rank != 2) {
        out[0] = flat_index(l, buffer, row, column);
        return 1;
    }
    out[0] = row;
    out[1] = column;
    return 2;
}

ir_value *low_view(lowering *l, ir_value *buffer, ir_value *row, ir_value *column,
                   const ir_type *type)
{
    ir_value *operands[3] = {buffer};
    unsigned count = 1 + indices(l, buffer, row, column, operands + 1);
    return ir_result(ir_build(&l->at, IR_VIEW, count, operands, 1, &type), 0);
}

ir_value *low_part_tile(lowering *l, const place *weight, const pack_mix *p, unsigned part,
                        ir_value *counter)
{
    if (!p->map_bytes)
        return counter;
    ir_value *zero = low_index(l, 0);
    ir_dim dims[1] = {ir_dim_constant(p->tiles)};
    ir_value *map =
        low_view(l, weight->buffer, zero, zero, ir_type_buffer(l->module, SCALAR_I32, 1, dims));
    ir_value *at = low_add(l, counter, low_index(l, p->parts[part].first));
    return low_to_index(l, low_load(l, map, zero, at));
}

ir_value *low_bytes(lowering *l, ir_value *buffer, ir_value *row, ir_value *offset, int64_t size)
{
    ir_dim dims[1] = {ir_dim_constant(size)};
    return low_view(l, buffer, row, offset,
                    ir_type_buffer(l->module, buffer->type->scalar, 1, dims));
}

ir_value *low_load(lowering *l, ir_value *buffer, ir_value *row, ir_value *column)
{
    ir_value *operands[3] = {buffer};
    unsigned count = 1 + indices(l, buffer, row, column, operands + 1);
    const ir_type *type = ir_type_scalar(l->module, buffer->type->scalar);
    return ir_result(ir_build(&l->at, IR_LOAD, count, operands, 1, &type), 0);
}

void low_store(lowering *l, ir_value *x, ir_value *buffer, ir_value *row, ir_value *column)
{
    ir_value *operands[4] = {x, buffer};
    unsigned count = 2 + indices(l, buffer, row, column, operands + 2);
    ir_build(&l->at, IR_STORE, count, operands, 0, NULL);
}

ir_value *low_vload(lowering *l, ir_value *buffer, ir_value *row, ir_value *column, int64_t stride)
{
    ir_value *operands[3] = {buffer};
    unsigned count = 1 + indices(l, buffer, row, column, operands + 1);
    const ir_type *type = ir_type_vector(l->module, buffer->type->scalar);
    ir_op *op = ir_build(&l->at, IR_VLOAD, count, operands, 1, &type);
    if (stride != 1)
        ir_set_integer(op, "stride", stride);
    return ir_result(op, 0);
}

void low_vstore(lowering *l, ir_value *x, ir_value *buffer, ir_value *row, ir_value *column,
                int64_t stride)
{
    ir_value *operands[4] = {x, buffer};
    unsigned count = 2 + indices(l, buffer, row, column, operands + 2);
    ir_op *op = ir_build(&l->at, IR_VSTORE, count, operands, 0, NULL);
    if (stride != 1)
        ir_set_integer(op, "stride", stride);
}

low_pair low_vload_pairs(lowering *l, ir_value *buffer, ir_value *row, ir_value *column)
{
    ir_value *operands[3] = {buffer};
    unsigned count = 1 + indices(l, buffer, row, column, operands + 1);
    const ir_type *type = ir_type_vector(l->module, buffer->type->scalar);
    ir_op *op =
        ir_build(&l->at, IR_VLOAD_PAIRS, count, operands, 2, (const ir_type *[]){type, type});
    return (low_pair){ir_result(op, 0), ir_result(op, 1)};
}

void low_vstore_pairs(lowering *l, low_pair x, ir_value *buffer, ir_value *row, ir_value *column)
{
    ir_value *operands[5] = {x.first, x.second, buffer};
    unsigned count = 3 + indices(l, buffer, row, column, operands + 3);
    ir_build(&l->at, IR_VSTORE_PAIRS, count, operands, 0, NULL);
}

const char *low_width(scalar_type t)
{
    switch (scalar_size(t)) {
    case 8: return "f64";
    case 4: return "f32";
    case 2: return "f16";
    default: return "i8";
    }
}

static bool is_wide(const ir_type *t)
{
    return t->kind == IR_TENSOR && scalar_size(t->scalar) == 8;
}

const char *low_region_width(const ir_block *region)
{
    bool wide = false;
    for (size_t i = 0; i < region->arguments.count; i++)
        wide = wide || is_wide(region->arguments.items[i]->type);
    IR_FOR_OPS(op, region)
    {
        for (unsigned i = 0; i < op->n_results; i++)
            wide = wide || is_wide(op->results[i].type);
    }
    return wide ? "f64" : "f32";
}

void low_fill(lowering *l, ir_value *buffer, ir_value *row, ir_value *from, ir_value *to,
              double value)
{
    ir_value *number = low_number(l, buffer->type->scalar, value);
    low_loop strip;
    low_strip_begin(l, &strip, low_sub(l, to, from), low_width(buffer->type->scalar), 0, NULL);
    low_vstore(l, low_broadcast(l, number), buffer, row, low_add(l, from, strip.counter), 1);
    low_loop_end(l, &strip, NULL);
}

// ---------------------------------------------------------------------- loops

static void loop_open(lowering *l, low_loop *loop, ir_opcode code, unsigned n_bounds,
                      ir_value *const *bounds, unsigned n_carried, ir_value *const *initial)
{
    if (n_carried > LOW_MOST_CARRIED)
        INTERNAL_ERROR("a loop that carries %u values", n_carried);
    ir_value *operands[LOW_MOST_CARRIED + 3];
    const ir_type *types[LOW_MOST_CARRIED] = {NULL};
    memcpy(operands, bounds, n_bounds * sizeof *operands);
    for (unsigned i = 0; i < n_carried; i++) {
        operands[n_bounds + i] = initial[i];
        types[i] = initial[i]->type;
    }
    ir_op *op = ir_build(&l->at, code, n_bounds + n_carried, operands, n_carried, types);
    ir_block *body = op->regions[0];
    *loop = (low_loop){.op = op, .outside = l->at, .n_carried = n_carried};
    loop->counter = ir_block_argument(body, ir_type_index(l->module), NULL);
    if (code == IR_STRIP)
        loop->lanes = ir_block_argument(body, ir_type_index(l->module), "lanes");
    for (unsigned i = 0; i < n_carried; i++)
        loop->carried[i] = ir_block_argument(body, types[i], initial[i]->name);
    location where = l->at.where;
    l->at = ir_builder_at_end(body);
    l->at.where = where;
}

void low_for_begin(lowering *l, low_loop *loop, ir_value *lower, ir_value *upper, ir_value *step,
                   unsigned n_carried, ir_value *const *initial)
{
    ir_value *bounds[3] = {lower, upper, step};
    loop_open(l, loop, IR_FOR, 3, bounds, n_carried, initial);
}

void low_shared_begin(lowering *l, low_loop *loop, ir_value *count, const char *share)
{
    low_for_begin(l, loop, low_index(l, 0), count, low_index(l, 1), 0, NULL);
    ir_set_name(loop->op, "share", share);
}

void low_cuts_begin(lowering *l, low_loop *loop, ir_value *count, ir_value *step,
                    ir_value *round[2])
{
    ir_value *bounds[2] = {low_index(l, 0), count};
    low_for_begin(l, loop, bounds[0], count, step, 2, bounds);
    ir_set_name(loop->op, "share", "cuts");
    round[0] = low_binary(l, IR_MAX, loop->counter, loop->carried[0]);
    round[1] = low_min(l, low_add(l, loop->counter, step), loop->carried[1]);
}

void low_strip_begin(lowering *l, low_loop *loop, ir_value *count, const char *width,
                     unsigned n_carried, ir_value *const *initial)
{
    loop_open(l, loop, IR_STRIP, 1, &count, n_carried, initial);
    if (strcmp(width, "f32") != 0)
        ir_set_name(loop->op, "width", width);
}

void low_loop_end(lowering *l, low_loop *loop, ir_value *const *next)
{
    ir_build(&l->at, IR_YIELD, loop->n_carried, next, 0, NULL);
    location where = l->at.where;
    l->at = loop->outside;
    l->at.where = where;
}

void low_if_begin(lowering *l, low_if *branch, ir_value *condition)
{
    branch->op = ir_build(&l->at, IR_IF, 1, &condition, 0, NULL);
    branch->outside = l->at;
    location where = l->at.where;
    l->at = ir_builder_at_end(branch->op->regions[1]);
    l->at.where = where;
    ir_build(&l->at, IR_YIELD, 0, NULL, 0, NULL);
    l->at = ir_builder_at_end(branch->op->regions[0]);
    l->at.where = where;
}

void low_if_end(lowering *l, low_if *branch)
{
    ir_build(&l->at, IR_YIELD, 0, NULL, 0, NULL);
    location where = l->at.where;
    l->at = branch->outside;
    l->at.where = where;
}

// The program stops where the condition holds; the reason is what lutrun shows.
static void low_trap_if(lowering *l, ir_value *condition, const char *reason)
{
    low_if branch;
    low_if_begin(l, &branch, condition);
    ir_set_text(ir_build(&l->at, IR_TRAP, 0, NULL, 0, NULL), "reason", reason);
    low_if_end(l, &branch);
}

void low_check_range(lowering *l, ir_value *x, ir_value *most, const char *reason)
{
    low_trap_if(l, low_compare(l, "lt", x, low_index(l, 0)), reason);
    low_trap_if(l, low_compare(l, "gt", x, most), reason);
}

void low_first_rounds_begin(lowering *l, low_loop *first, const ir_op *loop, ir_value *end,
                            ir_mapping *map)
{
    const ir_block *body = loop->regions[0];
    ir_value *initial[LOW_MOST_CARRIED];
    for (unsigned i = 0; i < loop->n_results; i++)
        initial[i] = ir_operand(loop, i + 3);
    low_for_begin(l, first, ir_operand(loop, 0), end, low_index(l, 1), loop->n_results, initial);
    ir_mapping_set(map, body->arguments.items[0], first->counter);
    for (unsigned i = 0; i < first->n_carried; i++)
        ir_mapping_set(map, body->arguments.items[i + 1], first->carried[i]);
}

void low_first_rounds_end(lowering *l, low_loop *first, ir_op *loop, const ir_mapping *map)
{
    const ir_op *yield = loop->regions[0]->last;
    ir_value *next[LOW_MOST_CARRIED];
    for (unsigned i = 0; i < first->n_carried; i++)
        next[i] = ir_mapping_get(map, ir_operand(yield, i));
    low_loop_end(l, first, next);
    ir_set_operand(loop, 0, ir_operand(first->op, 1));
    for (unsigned i = 0; i < loop->n_results; i++)
        ir_set_operand(loop, i + 3, ir_result(first->op, i));
}
