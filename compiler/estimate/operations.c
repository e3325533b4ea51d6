// Operations without regions: what is known of their values, and their instructions.
#include "compiler/estimate/walk.h"

#include <string.h>

static operands operands_of(const walker *w, const ir_op *op)
{
    operands x = {0};
    for (unsigned i = 0; i < op->n_operands && x.n < MOST_OPERANDS; i++)
        if (ir_operand(op, i) && ir_operand(op, i)->type->kind != IR_BUFFER)
            x.items[x.n++] = info(w, ir_operand(op, i))->at;
    return x;
}

operands walk_operand(const walker *w, const ir_value *v)
{
    return (operands){1, {info(w, v)->at}};
}

void walk_fail(walker *w, const ir_op *op, const char *what)
{
    if (!w->failed)
        diagnostic_error(w->frame->diagnostics, op->where, "estimate: %s ('%s' in '%s')", what,
                         ir_op_rows[op->code].name, w->info->function->name);
    w->failed = true;
}

void walk_plain(walker *w, isa_opcode opcode, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        hart_issue_plain(w->hart, opcode, &w->shape, NULL);
}

// ---------------------------------------------------------------------- integer values

static int64_t dimension(walker *w, const ir_op *op)
{
    const char *name = ir_find(op, "symbol")->text;
    for (size_t i = 0; i < w->frame->options->dims.count; i++)
        if (!strcmp(w->frame->options->dims.items[i].name, name))
            return w->frame->options->dims.items[i].value;
    walk_fail(w, op, "the size of a dimension is not given");
    return 1;
}

bool evaluate_integer(const ir_op *op, const int64_t *x, int64_t *out)
{
    switch (op->code) {
    case IR_CONSTANT: *out = (int64_t)ir_number(op, "value"); return true;
    case IR_CAST: *out = x[0]; return true;
    case IR_SELECT: *out = x[0] ? x[1] : x[2]; return true;
    case IR_COMPARE: {
        static const char *const words[] = {"eq", "ne", "lt", "le", "gt", "ge"};
        bool results[] = {x[0] == x[1], x[0] != x[1], x[0]<x[1], x[0] <= x[1], x[0]> x[1],
                          x[0] >= x[1]};
        for (unsigned i = 0; i < 6; i++)
            if (ir_name_is(op, "is", words[i]))
                *out = results[i];
        return true;
    }
    default: return ir_evaluate_integer(op->code, x[0], x[1], out);
    }
}

static void evaluate(walker *w, ir_op *op)
{
    value_info *r = info(w, &op->results[0]);
    int64_t x[3] = {0};
    r->known = op->n_operands <= 3;
    for (unsigned i = 0; i < op->n_operands && r->known; i++) {
        const value_info *v = info(w, ir_operand(op, i));
        r->known = v->known;
        x[i] = v->value;
    }
    if (op->code == IR_DIMENSION)
        r->value = dimension(w, op);
    else if (op->code == IR_RANK)
        r->value = 0;
    else if (op->code == IR_RANKS)
        r->value = w->frame->options->machine->harts;
    else
        r->known = r->known && evaluate_integer(op, x, &r->value);
    r->at = at_once;
}

// ------------------------------------------------------------------- scalars and vectors

static void set_width(walker *w, unsigned sew, unsigned policy)
{
    if (w->sew == sew && (w->policy == policy || policy == 0))
        return;
    hart_issue_plain(w->hart, ISA_VSETVLI, &w->shape, NULL);
    w->sew = sew;
    w->policy = policy;
}

static bool has_lanes(const ir_op *op)
{
    if (op->n_results && op->results[0].type->kind == IR_VECTOR)
        return true;
    const ir_value *x = ir_operand(op, 0);
    return x && x->type->kind == IR_VECTOR;
}

static bool computes(isa_opcode opcode)
{
    const isa_class class = isa_rows[opcode].class;
    return class != ISA_CLASS_INTEGER && class != ISA_CLASS_VECTOR_SETUP &&
           class != ISA_CLASS_VECTOR_LOAD && class != ISA_CLASS_VECTOR_STORE;
}

// The step that lags behind most, if each is spread evenly over `n` instructions.
static unsigned next_step(const expansion *e, const unsigned *done, unsigned n, unsigned at)
{
    unsigned best = 0;
    int64_t most = INT64_MIN;
    for (unsigned i = 0; i < EXPANSION_STEPS && e->steps[i].count; i++) {
        int64_t behind = (int64_t)e->steps[i].count * (at + 1) - (int64_t)done[i] * n;
        if (done[i] < e->steps[i].count && behind > most) {
            most = behind;
            best = i;
        }
    }
    return best;
}

// The steps of an expansion, mixed as they are scheduled: constants, spilled registers and widths
// between what computes, `chain` of which wait for the one before.
static result run_steps(walker *w, const expansion *e, const operands *x)
{
    unsigned n = 0, computing = 0, links = 0, computed = 0, done[EXPANSION_STEPS] = {0};
    operands chain = *x;
    result last = at_once;
    for (unsigned i = 0; i < EXPANSION_STEPS && e->steps[i].count; i++) {
        n += e->steps[i].count;
        computing += computes(e->steps[i].opcode) ? e->steps[i].count : 0;
    }
    for (unsigned k = 0; k < n; k++) {
        const unsigned i = next_step(e, done, n, k);
        const isa_opcode opcode = e->steps[i].opcode;
        done[i]++;
        if (!computes(opcode)) {
            hart_issue_plain(w->hart, opcode, &w->shape, NULL);
            continue;
        }
        bool linked = links * computing < e->chain * ++computed;
        result t = hart_issue_plain(w->hart, opcode, &w->shape, linked ? &chain : x);
        if (linked)
            chain = (operands){1, {t}, 0, false};
        last = t.ready > last.ready ? t : last;
        links += linked;
    }
    return last;
}

// f16 and narrower floats are computed in f32.
static bool is_narrow(const ir_type *t)
{
    return ir_type_is_float(t) && scalar_rows[t->scalar].bits < 32;
}

// Carried vectors keep the lanes that the last strip does not have.
static bool is_carried(const ir_value *v)
{
    for (const ir_use *u = v->uses; u; u = u->next)
        if (u->op->code == IR_YIELD && u->op->block->parent &&
            u->op->block->parent->code == IR_STRIP)
            return true;
    return false;
}

static result run_vector(walker *w, const ir_op *op, const expansion *e)
{
    operands x = operands_of(w, op);
    bool narrow = op->code != IR_CAST && op->n_results && is_narrow(op->results[0].type);
    for (unsigned i = 0; narrow && i < x.n; i++) {
        if (!is_narrow(ir_operand(op, i)->type))
            continue;
        set_width(w, 16, 0);
        w->shape.sew = 16;
        operands single = {1, {x.items[i]}};
        x.items[i] = hart_issue_plain(w->hart, ISA_VFWCVT_F_F_V, &w->shape, &single);
    }
    set_width(w, e->sew, is_carried(&op->results[0]));
    w->shape.sew = e->sew;
    result y = run_steps(w, e, &x);
    if (narrow) {
        set_width(w, 16, 0);
        w->shape.sew = 16;
        y = hart_issue_plain(w->hart, ISA_VFNCVT_F_F_W, &w->shape, &(operands){1, {y}});
    }
    return y;
}

static const struct {
    ir_opcode code;
    isa_opcode single;
} scalar_floats[] = {
    {IR_DIV, ISA_FDIV_S},  {IR_SQRT, ISA_FSQRT_S}, {IR_RSQRT, ISA_FSQRT_S},
    {IR_FMA, ISA_FMADD_S}, {IR_MUL, ISA_FMUL_S},
};

// Functions of single floats take as many instructions as those of vectors.
static result run_scalar(walker *w, const ir_op *op, const expansion *e)
{
    operands x = operands_of(w, op);
    for (size_t i = 0; i < sizeof scalar_floats / sizeof *scalar_floats; i++)
        if (scalar_floats[i].code == op->code)
            return hart_issue_plain(w->hart, scalar_floats[i].single, &w->shape, &x);
    for (unsigned i = 0; i < e->chain; i++)
        x = (operands){1, {hart_issue_plain(w->hart, ISA_FADD_S, &w->shape, &x)}};
    return x.items[0];
}

static void elementwise(walker *w, ir_op *op)
{
    expansion e;
    value_info *r = info(w, &op->results[0]);
    if (r->is_integer && op->results[0].type->kind != IR_VECTOR) {
        evaluate(w, op);
        return;
    }
    if (!expand_elementwise(op, &e)) {
        walk_fail(w, op, "it is not known what an operation takes");
        return;
    }
    r->at = has_lanes(op) ? run_vector(w, op, &e) : run_scalar(w, op, &e);
}

static void reduce(walker *w, ir_op *op)
{
    w->shape.sew = scalar_rows[ir_operand(op, 0)->type->scalar].bits;
    if (!w->lanes) { // all lanes of a register group
        w->shape.vl = 4 * w->frame->options->machine->vlen / w->shape.sew;
        set_width(w, w->shape.sew, 2);
    }
    operands x = operands_of(w, op);
    x = (operands){1, {hart_issue_plain(w->hart, ISA_VFREDUSUM_VS, &w->shape, &x)}};
    info(w, &op->results[0])->at = hart_issue_plain(w->hart, ISA_VFMV_F_S, &w->shape, &x);
}

// -------------------------------------------------------------------------- operations

void walk_operation(walker *w, ir_op *op)
{
    switch (op->code) {
    case IR_VIEW: walk_view(w, op); return;
    case IR_LOAD:
    case IR_STORE: walk_scalar_access(w, op, op->code == IR_STORE); return;
    case IR_VLOAD:
    case IR_VSTORE: walk_vector_access(w, op, op->code == IR_VSTORE); return;
    case IR_VLOAD_PAIRS: walk_load_pairs(w, op); return;
    case IR_VSTORE_PAIRS: walk_store_pairs(w, op); return;
    case IR_REDUCE: reduce(w, op); return;
    case IR_PREFETCH: walk_prefetch(w, op); return;
    case IR_BROADCAST: take(w, &op->results[0], ir_operand(op, 0)); return;
    case IR_LANE: info(w, &op->results[0])->at = at_once; return;
    case IR_YIELD:
    case IR_RETURN:
    case IR_TRAP: return;
    case IR_DIMENSION: evaluate(w, op); return;
    case IR_CONSTANT:
        if (info(w, &op->results[0])->is_integer)
            evaluate(w, op);
        return;
    default:
        if (op->code == IR_RANK || op->code == IR_RANKS)
            evaluate(w, op);
        else if (ir_op_rows[op->code].traits & IR_ELEMENTWISE || op->code == IR_COMPARE ||
                 op->code == IR_SELECT)
            elementwise(w, op);
        else if (!walk_tile(w, op))
            walk_fail(w, op, "it is not known what an operation takes");
    }
}
