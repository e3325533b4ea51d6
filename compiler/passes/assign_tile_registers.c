// assign-tile-registers: every tile value gets one of the 32 registers.
//
// Tile instructions update their accumulator in place, so an accumulator operand
// and its result share a register, and so do a loop's initial, carried, yielded
// and final values: these are joined into one web. The planes of an lmma stand
// in consecutive registers: their webs are joined into a run. Runs are
// allocated by a linear scan over their live ranges.
#include "compiler/passes/passes.h"

#include <stdlib.h>

typedef struct web {
    int parent;      // union-find
    int run, offset; // the run it belongs to and its place in it
    int start, end;  // live range over the positions of the function's ops
    location where;
} web;

typedef struct run {
    int size, align, start, end, reg;
    location where;
} run;

typedef struct allocation {
    pass_context *context;
    ARRAY_OF(web) webs;
    ARRAY_OF(run) runs;
    ARRAY_OF(ir_value *) values; // by web number at creation
    int position;
    bool good;
} allocation;

static int find_web(allocation *a, int w)
{
    while (a->webs.items[w].parent != w)
        w = a->webs.items[w].parent = a->webs.items[a->webs.items[w].parent].parent;
    return w;
}

static int web_of(allocation *a, const ir_value *v)
{
    return find_web(a, (int)v->mark - 1);
}

static void add_value(allocation *a, ir_value *v, int position, location where)
{
    if (v->type->kind != IR_TILE)
        return;
    int w = (int)a->webs.count;
    ARRAY_PUSH(a->context->arena, &a->webs,
               (web){.parent = w, .run = -1, .start = position, .end = position, .where = where});
    ARRAY_PUSH(a->context->arena, &a->values, v);
    v->mark = w + 1;
}

static void extend(allocation *a, const ir_value *v, int position)
{
    web *w = &a->webs.items[web_of(a, v)];
    if (position > w->end)
        w->end = position;
}

static void join(allocation *a, const ir_value *x, const ir_value *y)
{
    if (x->type->kind != IR_TILE)
        return;
    int i = web_of(a, x), j = web_of(a, y);
    if (i == j)
        return;
    web *into = &a->webs.items[i], *from = &a->webs.items[j];
    from->parent = i;
    into->start = from->start < into->start ? from->start : into->start;
    into->end = from->end > into->end ? from->end : into->end;
}

// ---- live ranges

static ir_value *updated_operand(const ir_op *op)
{
    switch (op->code) {
    case IR_XLUT_MMA: return ir_operand_named(op, "accumulator");
    case IR_XLUT_MAC: return ir_operand_named(op, "c");
    case IR_XLUT_DEQ:
    case IR_XLUT_OFF: return ir_operand_named(op, "d");
    default: return NULL;
    }
}

static void number_block(allocation *a, ir_block *b);

static void number_op(allocation *a, ir_op *op)
{
    int start = a->position++;
    op->mark = start;
    for (unsigned r = 0; r < op->n_regions; r++) {
        for (size_t i = 0; i < op->regions[r]->arguments.count; i++)
            add_value(a, op->regions[r]->arguments.items[i], start, op->where);
        number_block(a, op->regions[r]);
    }
    // An instruction's result is live together with its operands: lmma and lut.deq need them
    // apart. A loop's result is defined where the loop ends.
    int end = a->position++;
    for (unsigned i = 0; i < op->n_results; i++)
        add_value(a, &op->results[i], op->n_regions ? end : start, op->where);
}

static void number_block(allocation *a, ir_block *b)
{
    IR_FOR_OPS(op, b)
    number_op(a, op);
}

// The position up to which a use keeps its value: the end of the outermost loop that the
// definition stands outside of.
static int use_position(const ir_value *v, const ir_op *user)
{
    int position = (int)user->mark + 1;
    const ir_block *defined = v->kind == IR_VALUE_RESULT ? v->op->block : v->block;
    for (const ir_block *b = user->block; b && b != defined;
         b = b->parent ? b->parent->block : NULL) {
        if (b->parent && (b->parent->code == IR_FOR || b->parent->code == IR_STRIP))
            position = (int)b->last->mark + 2;
    }
    return position;
}

static void live_ranges(allocation *a)
{
    for (size_t i = 0; i < a->values.count; i++) {
        ir_value *v = a->values.items[i];
        for (const ir_use *u = v->uses; u; u = u->next)
            extend(a, v, use_position(v, u->op));
    }
}

// ---- webs

static void check_last_use(allocation *a, const ir_op *op, const ir_value *v)
{
    for (const ir_use *u = v->uses; u; u = u->next) {
        if (u->op == op || u->op->block != op->block || u->op->mark < op->mark)
            continue;
        diagnostic_error(a->context->diagnostics, u->op->where,
                         "'%s' uses a tile value that '%s' has already updated in place",
                         ir_op_rows[u->op->code].name, ir_op_rows[op->code].name);
        a->good = false;
    }
}

static void join_loop(allocation *a, ir_op *op, unsigned first_initial, unsigned first_argument)
{
    ir_block *body = op->regions[0];
    for (unsigned i = 0; i < op->n_results; i++) {
        const ir_value *carried = body->arguments.items[first_argument + i];
        join(a, carried, ir_operand(op, first_initial + i));
        join(a, carried, ir_operand(body->last, i));
        join(a, carried, &op->results[i]);
    }
}

static void join_webs(ir_op *op, void *context)
{
    allocation *a = context;
    ir_value *updated = updated_operand(op);
    if (updated) {
        check_last_use(a, op, updated);
        join(a, updated, &op->results[0]);
    }
    if (op->code == IR_FOR)
        join_loop(a, op, 3, 1);
    if (op->code == IR_STRIP)
        join_loop(a, op, 1, 2);
    if (op->code == IR_IF) {
        for (unsigned i = 0; i < op->n_results; i++) {
            join(a, &op->results[i], ir_operand(op->regions[0]->last, i));
            join(a, &op->results[i], ir_operand(op->regions[1]->last, i));
        }
    }
}

// ---- runs

static void make_run(allocation *a, unsigned size, int align, ir_value *const *tiles,
                     location where)
{
    bool known = a->webs.items[web_of(a, tiles[0])].run >= 0;
    int r = known ? a->webs.items[web_of(a, tiles[0])].run : (int)a->runs.count;
    if (!known)
        ARRAY_PUSH(
            a->context->arena, &a->runs,
            (run){
                .size = (int)size, .align = align, .start = INT32_MAX, .reg = -1, .where = where});
    for (unsigned i = 0; i < size; i++) {
        web *w = &a->webs.items[web_of(a, tiles[i])];
        bool fits = known ? w->run == r && w->offset == (int)i && a->runs.items[r].size == (int)size
                          : w->run < 0;
        if (!fits) {
            diagnostic_error(a->context->diagnostics, where,
                             "these tiles cannot stand in consecutive registers: another "
                             "instruction uses them in another order");
            a->good = false;
            return;
        }
        w->run = r;
        w->offset = (int)i;
    }
}

static void plane_runs(ir_op *op, void *context)
{
    allocation *a = context;
    if (op->code != IR_XLUT_MMA)
        return;
    ir_value *planes[8];
    unsigned first = (unsigned)ir_operand_slot(IR_XLUT_MMA, "planes"), n = op->n_operands - first;
    for (unsigned i = 0; i < n; i++)
        planes[i] = ir_operand(op, first + i);
    make_run(a, n, 1, planes, op->where);
    ir_value *table[2] = {ir_operand_named(op, "table"), ir_operand_named(op, "high")};
    if (table[1]) // a pair begins at an even register
        make_run(a, 2, 2, table, op->where);
}

static void close_runs(allocation *a)
{
    for (size_t i = 0; i < a->webs.count; i++) {
        if (find_web(a, (int)i) != (int)i)
            continue;
        web *w = &a->webs.items[i];
        if (w->run < 0) {
            w->run = (int)a->runs.count;
            ARRAY_PUSH(
                a->context->arena, &a->runs,
                (run){.size = 1, .align = 1, .start = INT32_MAX, .reg = -1, .where = w->where});
        }
        run *r = &a->runs.items[w->run];
        r->start = w->start < r->start ? w->start : r->start;
        r->end = w->end > r->end ? w->end : r->end;
    }
}

static int compare_runs(const void *x, const void *y)
{
    const run *const *a = x, *const *b = y;
    return (*a)->start != (*b)->start ? (*a)->start - (*b)->start : (*a)->end - (*b)->end;
}

// The registers that runs before order[i] hold while it is live.
static uint64_t taken_beside(run *const *order, size_t i)
{
    uint64_t taken = 0;
    for (size_t j = 0; j < i; j++) {
        if (order[j]->reg >= 0 && order[j]->end > order[i]->start)
            taken |= ((UINT64_C(1) << order[j]->size) - 1) << order[j]->reg;
    }
    return taken;
}

// The first free place from `from` on, around the end; ISA_TILE_REGISTERS: there is none.
static int find_place(const run *r, uint64_t taken, int from)
{
    uint64_t want = (UINT64_C(1) << r->size) - 1;
    for (int i = 0; i < ISA_TILE_REGISTERS; i++) {
        int reg = (from + i) % ISA_TILE_REGISTERS;
        if (reg % r->align == 0 && reg + r->size <= ISA_TILE_REGISTERS && !(taken & want << reg))
            return reg;
    }
    return ISA_TILE_REGISTERS;
}

// Registers take turns: what a load replaces has been read long ago, so that it need not wait.
static bool scan(allocation *a, run *const *order, bool in_turn, location *where)
{
    int next = 0;
    for (size_t i = 0; i < a->runs.count; i++) {
        run *r = order[i];
        int reg = find_place(r, taken_beside(order, i), in_turn ? next : 0);
        if (reg == ISA_TILE_REGISTERS) {
            *where = r->where;
            return false;
        }
        r->reg = reg;
        next = (reg + r->size) % ISA_TILE_REGISTERS;
    }
    return true;
}

// Turns leave gaps: where many tiles are live, the lowest registers are taken first.
static void allocate(allocation *a)
{
    size_t n = a->runs.count;
    run **order = ARENA_ARRAY(a->context->arena, run *, n);
    for (size_t i = 0; i < n; i++)
        order[i] = &a->runs.items[i];
    qsort(order, n, sizeof *order, compare_runs);
    location where;
    if (scan(a, order, true, &where) || scan(a, order, false, &where))
        return;
    diagnostic_error(a->context->diagnostics, where,
                     "more than %d tile registers are live here; use a smaller row_block",
                     ISA_TILE_REGISTERS);
    a->good = false;
}

static void set_registers(ir_op *op, void *context)
{
    allocation *a = context;
    for (unsigned i = 0; i < op->n_results; i++) {
        const ir_value *v = &op->results[i];
        if (v->type->kind != IR_TILE || op->n_regions > 0)
            continue;
        const web *w = &a->webs.items[web_of(a, v)];
        ir_set_integer(op, "register", a->runs.items[w->run].reg + w->offset);
    }
}

// The most registers that are live at one place: where some run begins.
static int most_live(const allocation *a)
{
    int most = 0;
    for (size_t i = 0; i < a->runs.count; i++) {
        int live = 0;
        for (size_t j = 0; j < a->runs.count; j++) {
            const run *r = &a->runs.items[j];
            bool covers = r->start <= a->runs.items[i].start && r->end > a->runs.items[i].start;
            live += covers ? r->size : 0;
        }
        most = live > most ? live : most;
    }
    return most;
}

static void remark_registers(const allocation *a, const ir_function *f)
{
    int most = most_live(a);
    if (most)
        pass_remark(a->context, REMARK_APPLIED, f->where,
                    "'%s' needs %d of %d tile registers at once", f->name, most,
                    ISA_TILE_REGISTERS);
}

static bool assign_function(ir_function *f, pass_context *c)
{
    allocation a = {.context = c, .good = true};
    number_block(&a, f->body);
    live_ranges(&a);
    ir_walk(f->body, join_webs, &a);
    if (a.good)
        ir_walk(f->body, plane_runs, &a);
    close_runs(&a);
    if (a.good)
        allocate(&a);
    if (a.good)
        ir_walk(f->body, set_registers, &a);
    if (a.good)
        remark_registers(&a, f);
    return a.good;
}

bool pass_assign_tile_registers(ir_module *m, pass_context *c)
{
    bool good = true;
    for (ir_function *f = m->functions; f; f = f->next)
        good = assign_function(f, c) && good;
    return good;
}
