// What is known of a function without running it: addresses as linear forms, from which follow the
// scalar instructions that code generation needs for them (addresses.c); loops whose rounds differ;
// loops that harts may share.
#include "compiler/estimate/analyze.h"

#include <string.h>

// ------------------------------------------------------------------------------ hashes

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static uint64_t fresh(analysis *s)
{
    return mix(++s->next) | 1; // odd: no coefficient makes it vanish
}

linear_form form_of(const analysis *s, const ir_value *v)
{
    if (v && v->kind == IR_VALUE_GLOBAL) // which has no number
        return (linear_form){.hash = mix((uint64_t)(uintptr_t)v) | 1};
    return v ? info_of(s->out, v)->form : (linear_form){0};
}

static bool is_constant(linear_form f)
{
    return f.hash == 0;
}

linear_form form_scaled(linear_form f, int64_t by)
{
    return (linear_form){f.hash * (uint64_t)by, (int64_t)((uint64_t)f.constant * (uint64_t)by),
                         f.varies};
}

linear_form form_sum(linear_form x, linear_form y)
{
    return (linear_form){x.hash + y.hash, (int64_t)((uint64_t)x.constant + (uint64_t)y.constant),
                         x.varies | y.varies};
}

// Equal operations on equal forms are equal.
static linear_form opaque(const analysis *s, const ir_op *op)
{
    linear_form f = {.hash = mix(op->code)};
    for (unsigned i = 0; i < op->n_operands; i++) {
        linear_form x = form_of(s, ir_operand(op, i));
        f.hash = mix(f.hash ^ mix(x.hash ^ mix((uint64_t)x.constant)));
        f.varies |= x.varies;
    }
    f.hash |= 1;
    return f;
}

// --------------------------------------------------------------------------- addresses

int64_t element_stride(const ir_type *t, unsigned dimension)
{
    int64_t stride = 1;
    for (unsigned i = dimension + 1; i < t->rank; i++)
        stride *= t->dims[i].symbol ? ir_dim_maximum(t->dims[i]) : t->dims[i].value;
    return stride;
}

linear_form index_form(const analysis *s, const ir_op *op, const ir_type *t, unsigned first)
{
    linear_form f = {0};
    for (unsigned i = first; i < op->n_operands && i - first < t->rank; i++)
        f = form_sum(f, form_scaled(form_of(s, ir_operand(op, i)), element_stride(t, i - first)));
    return f;
}

// ------------------------------------------------------------------------------ values

static bool is_integer_type(const ir_type *t)
{
    return t->kind == IR_INDEX || (t->kind == IR_SCALAR && !scalar_is_float(t->scalar));
}

static linear_form integer_form(analysis *s, const ir_op *op)
{
    linear_form x = form_of(s, ir_operand(op, 0)), y = form_of(s, ir_operand(op, 1));
    switch (op->code) {
    case IR_CONSTANT: return (linear_form){.constant = (int64_t)ir_number(op, "value")};
    case IR_ADD: return form_sum(x, y);
    case IR_SUB: return form_sum(x, form_scaled(y, -1));
    case IR_CAST: return x;
    case IR_MUL:
        if (is_constant(x) || is_constant(y))
            return is_constant(x) ? form_scaled(y, x.constant) : form_scaled(x, y.constant);
        return opaque(s, op);
    case IR_DIMENSION: {
        const char *name = ir_find(op, "symbol")->text;
        uint64_t hash = 0;
        for (const char *p = name; *p; p++)
            hash = mix(hash ^ (uint64_t)(unsigned char)*p);
        return (linear_form){.hash = hash | 1};
    }
    default: return opaque(s, op);
    }
}

// Of integer operations that are no part of an address.
static void charge_integer(analysis *s, const ir_op *op, linear_form f)
{
    linear_form y = form_of(s, ir_operand(op, 1));
    bool by_constant = is_constant(y);
    switch (op->code) {
    case IR_MUL:
        charge(s, f.varies, 0, !is_constant(form_of(s, ir_operand(op, 0))) && !by_constant, 0);
        break;
    case IR_DIV:
    case IR_REM: charge(s, f.varies, by_constant ? 2 : 0, 0, !by_constant); break;
    case IR_MIN:
    case IR_MAX:
    case IR_COMPARE: charge(s, f.varies, 1, 0, 0); break;
    case IR_CAST:
        if (op->results[0].type->kind == IR_SCALAR) // saturates
            charge(s, f.varies, 3, 0, 0);
        break;
    default: break;
    }
}

static void number_value(analysis *s, ir_value *v)
{
    v->mark = (int64_t)s->out->values.count;
    value_info i = {.is_integer = is_integer_type(v->type)};
    ARRAY_PUSH(s->arena, &s->out->values, i);
}

static void describe_result(analysis *s, ir_op *op)
{
    ir_value *v = &op->results[0];
    value_info *i = info_of(s->out, v);
    if (v->type->kind == IR_BUFFER && op->code == IR_VIEW) {
        const ir_value *buffer = ir_operand(op, 0);
        linear_form index = index_form(s, op, buffer->type, 1);
        i->root = info_of(s->out, buffer)->root;
        i->form = form_sum(form_of(s, buffer),
                           form_scaled(index, (int64_t)scalar_size(buffer->type->scalar)));
    } else if (v->type->kind == IR_BUFFER) {
        i->root = v;
        i->form = (linear_form){.hash = fresh(s)};
    } else if (i->is_integer && (ir_op_rows[op->code].traits & IR_PURE)) {
        i->form = integer_form(s, op);
        charge_integer(s, op, i->form);
    } else {
        i->form = opaque(s, op);
    }
}

static void note_control(analysis *s, linear_form f)
{
    for (unsigned d = 0; d < s->depth; d++)
        if (f.varies >> d & 1)
            s->loops[d].info->dependent = true;
}

static bool stops(const ir_block *b)
{
    return b->first && b->first->code == IR_TRAP;
}

static void note_decisions(analysis *s, const ir_op *op)
{
    unsigned bounds = op->code == IR_FOR ? 3 : op->code == IR_STRIP ? 1 : 0;
    for (unsigned i = 0; i < bounds; i++)
        note_control(s, form_of(s, ir_operand(op, i)));
    if (op->code == IR_IF && !stops(op->regions[0]) && !stops(op->regions[1]))
        note_control(s, form_of(s, ir_operand(op, 0)));
    if (op->code == IR_XLUT_STA || op->code == IR_XLUT_LDA)
        note_control(s, form_of(s, ir_operand_named(op, "columns")));
    if (op->code == IR_XLUT_STM || op->code == IR_XLUT_LDM)
        note_control(s, form_of(s, ir_operand_named(op, "part")));
}

// ------------------------------------------------------------------------------- loops

static void visit_block(analysis *s, ir_block *b);

static bool is_shared(const ir_op *op)
{
    const ir_attribute *a = op->code == IR_FOR ? ir_find(op, "share") : NULL;
    return a && strcmp(a->text, "none") != 0;
}

// A loop around one that is shared goes over rows of the same independent work.
static bool is_divisible(const ir_op *op)
{
    if (op->code != IR_FOR || is_shared(op))
        return op->code == IR_FOR;
    IR_FOR_OPS(inner, op->regions[0])
    {
        if (is_shared(inner))
            return op->n_results == 0;
    }
    return false;
}

static bool has_loops(const ir_block *b)
{
    IR_FOR_OPS(op, b)
    {
        if (op->code == IR_FOR || op->code == IR_STRIP)
            return true;
        for (unsigned i = 0; i < op->n_regions; i++)
            if (has_loops(op->regions[i]))
                return true;
    }
    return false;
}

static void visit_loop(analysis *s, ir_op *op)
{
    ir_block *body = op->regions[0];
    if (s->depth == MAX_DEPTH)
        INTERNAL_ERROR("more than %d loops inside one another", MAX_DEPTH);
    loop_state *l = &s->loops[s->depth];
    loop_info *info = ARENA_NEW(s->arena, loop_info);
    *info = (loop_info){
        .depth = s->depth, .innermost = !has_loops(body), .divisible = is_divisible(op)};
    s->out->ops.items[op->mark].loop = info;
    *l = (loop_state){.op = op, .info = info, .counter = fresh(s)};
    for (size_t i = 0; i < body->arguments.count; i++) {
        ir_value *v = body->arguments.items[i];
        number_value(s, v);
        info_of(s->out, v)->form =
            (linear_form){.hash = i ? fresh(s) : l->counter, .varies = UINT64_C(1) << s->depth};
        if (v->type->kind == IR_BUFFER)
            info_of(s->out, v)->root = v;
    }
    if (op->code == IR_STRIP) // lanes: as many in every round but the last
        info_of(s->out, body->arguments.items[1])->form.varies = 0;
    s->depth++;
    visit_block(s, body);
    s->depth--;
    finish_pointers(s, l);
}

static void visit_op(analysis *s, ir_op *op)
{
    op->mark = (int64_t)s->out->ops.count;
    s->op = op->mark;
    ARRAY_PUSH(s->arena, &s->out->ops, (op_info){0});
    note_decisions(s, op);
    note_access(s, op);
    if (op->code == IR_FOR || op->code == IR_STRIP) {
        visit_loop(s, op);
    } else {
        for (unsigned i = 0; i < op->n_regions; i++)
            visit_block(s, op->regions[i]);
    }
    for (unsigned i = 0; i < op->n_results; i++)
        number_value(s, &op->results[i]);
    if (op->n_results == 1 && !op->n_regions)
        describe_result(s, op);
    else
        for (unsigned i = 0; i < op->n_results; i++)
            info_of(s->out, &op->results[i])->form = (linear_form){.hash = fresh(s)};
}

static void visit_block(analysis *s, ir_block *b)
{
    IR_FOR_OPS(op, b)
    {
        visit_op(s, op);
    }
}

// ------------------------------------------------------------------------------- class

static void note_mma(ir_op *op, void *context)
{
    bool *found = context;
    *found = *found || op->code == IR_XLUT_MMA || op->code == IR_XLUT_MAC;
}

static bool begins_with(const char *name, const char *word)
{
    return strncmp(name, word, strlen(word)) == 0;
}

static estimate_class class_of(const ir_function *f)
{
    bool product = begins_with(f->name, "linear");
    ir_walk(f->body, note_mma, &product);
    return begins_with(f->name, "attend") ? ESTIMATE_ATTENTION
           : product                      ? ESTIMATE_LINEAR
                                          : ESTIMATE_ELEMENTWISE;
}

function_info *analyze_function(arena *a, const ir_function *f)
{
    function_info *out = ARENA_NEW(a, function_info);
    *out = (function_info){
        .function = f, .class = class_of(f), .gathers = begins_with(f->name, "gather")};
    analysis *s = ARENA_NEW(a, analysis);
    *s = (analysis){.arena = a, .out = out};
    for (size_t i = 0; i < f->body->arguments.count; i++) {
        ir_value *v = f->body->arguments.items[i];
        number_value(s, v);
        value_info *info = info_of(out, v);
        info->form = (linear_form){.hash = fresh(s)};
        info->root = v->type->kind == IR_BUFFER ? v : NULL;
    }
    s->outside.info = &out->outside;
    visit_block(s, f->body);
    finish_pointers(s, &s->outside);
    return out;
}
