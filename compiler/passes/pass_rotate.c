// rotate: a round of lookups loads what the next one begins with.
//
// The first lookup of a round waits for its planes and its table, whose loads stand right in front
// of it; a lookup of one plane is over before they are there. So both are loaded among the last
// lookups of the round before, and carried into it. The loads of the last round are those of the
// lookup behind the loop, or of the loop that goes on where this one ends; where neither reads on
// from there, rounds stay as they are.
//
// Only where several row tiles share what is loaded: loops of one row wait for memory, and stay
// what the emulator executes as a whole.
#include "compiler/passes/lower/lower.h"
#include "compiler/passes/prefetch.h"

enum { LEAST_LOOKUPS = 4, MOST_LOOPS = 4 };

// The first lookup of a block, or behind a loop, and the loads that it waits for.
typedef struct beginning {
    ir_op *lookup, *loads[2]; // planes, table
} beginning;

// Loops each of which goes on where the one before ends, and the lookup behind them.
typedef struct loop_chain {
    ir_op *loops[MOST_LOOPS];
    beginning begin[MOST_LOOPS], behind;
    unsigned count;
} loop_chain;

static bool find_beginning(ir_op *from, beginning *b)
{
    *b = (beginning){0};
    for (b->lookup = from; b->lookup && b->lookup->code != IR_XLUT_MMA; b->lookup = b->lookup->next)
        if (b->lookup->n_regions)
            return false;
    // One plane, one table: registers of several have to stand in a row.
    if (!b->lookup || b->lookup->n_operands != 4 || ir_operand(b->lookup, 1))
        return false;
    const ir_value *loaded[2] = {ir_operand(b->lookup, 3), ir_operand(b->lookup, 0)};
    for (unsigned i = 0; i < 2; i++) {
        if (!is_op(loaded[i], IR_XLUT_LD) || loaded[i]->op->block != b->lookup->block)
            return false;
        b->loads[i] = loaded[i]->op;
    }
    return true;
}

// Where a load of a loop reads in round `counter`, in bytes of *root.
static bool address_in_round(const ir_op *load, const ir_op *loop, const ir_value *counter,
                             const ir_value **root, address *at)
{
    int64_t known = 0;
    if (!address_of(ir_operand(load, 0), root, at))
        return false;
    for (unsigned i = 0; loop && i < at->count; i++) {
        if (at->terms[i].value != loop->regions[0]->arguments.items[0])
            continue;
        if (low_is_constant(counter, &known)) {
            at->constant += at->terms[i].factor * known;
            at->terms[i] = at->terms[--at->count];
        } else {
            at->terms[i].value = counter;
        }
        return true;
    }
    return true;
}

// Whether both loads of y, in a loop or behind all of them (NULL), read what those of x would in
// round `counter`.
static bool goes_on(const beginning *x, const ir_op *loop, const beginning *y, const ir_op *next,
                    const ir_value *counter)
{
    for (unsigned i = 0; i < 2; i++) {
        const ir_value *roots[2];
        address at[2];
        if (!address_in_round(x->loads[i], loop, counter, &roots[0], &at[0]) ||
            !address_in_round(y->loads[i], next, counter, &roots[1], &at[1]) ||
            roots[0] != roots[1] || at[0].constant != at[1].constant ||
            !address_same_terms(&at[0], &at[1]) ||
            ir_operand(x->loads[i], 0)->type != ir_operand(y->loads[i], 0)->type)
            return false;
    }
    return true;
}

// The unit of tile loads has time for another one in front of a lookup.
static bool has_time(const ir_op *lookup)
{
    unsigned loads = 0;
    for (const ir_op *op = lookup->previous; op && op->code != IR_XLUT_MMA; op = op->previous)
        loads += op->code == IR_XLUT_LD || op->code == IR_XLUT_PF;
    return loads <= 1;
}

static ir_op *lookup_before(ir_op *op)
{
    do
        op = op->previous;
    while (op && op->code != IR_XLUT_MMA);
    return op;
}

// The lookup in front of which a load for the next round stands: the table in front of the last one
// at least, the planes, which take longer, in front of one before.
static ir_op *place_of_load(const ir_op *loop, unsigned load)
{
    enum { TRIED = 4 };
    ir_op *last = lookup_before(loop->regions[0]->last),
          *lookup = load ? last : lookup_before(last);
    ir_op *found = lookup;
    for (unsigned i = 0; i < TRIED && found && !has_time(found); i++)
        found = lookup_before(found);
    return found ? found : lookup;
}

static bool is_behind(const ir_op *op, const ir_op *other)
{
    while (op && op != other)
        op = op->previous;
    return op != NULL;
}

// What is carried, in one register, is used no more where the next round's is loaded, and nothing
// behind that place writes memory that the loads read.
static bool can_load_early(const ir_op *loop, const beginning *b)
{
    for (unsigned k = 0; k < 2; k++) {
        const ir_op *early = place_of_load(loop, k);
        for (const ir_use *u = ir_result(b->loads[k], 0)->uses; u; u = u->next)
            if (u->op->block != loop->regions[0] || is_behind(u->op, early))
                return false;
        for (const ir_op *op = early; op; op = op->next)
            for (unsigned i = 0; i < op->n_operands; i++)
                if (graph_writes(op, i) &&
                    graph_root(ir_operand(op, i)) == graph_root(ir_operand(b->loads[k], 0)))
                    return false;
    }
    return true;
}

static bool is_chained(const loop_chain *c, const ir_op *next)
{
    const ir_op *last = c->loops[c->count - 1];
    bool carried = next->code == IR_FOR && next->n_results == last->n_results &&
                   ir_operand(next, 0) == ir_operand(last, 1);
    for (unsigned i = 0; carried && i < last->n_results; i++)
        carried = ir_operand(next, i + 3) == &last->results[i];
    return carried;
}

static bool find_chain(ir_op *loop, loop_chain *c)
{
    c->count = 0;
    for (ir_op *op = loop; op && c->count < MOST_LOOPS; op = op->next) {
        if (op->code == IR_XLUT_MMA)
            break;
        if (op->code != IR_FOR)
            continue;
        beginning *b = &c->begin[c->count];
        if ((c->count && !is_chained(c, op)) || loop_step(op) != 1 ||
            op->n_results + 2 > LOW_MOST_CARRIED || lookups_of_rows(op) < LEAST_LOOKUPS ||
            !find_beginning(op->regions[0]->first, b) || !can_load_early(op, b) ||
            (c->count && !goes_on(b - 1, c->loops[c->count - 1], b, op, ir_operand(op, 0))))
            break;
        c->loops[c->count++] = op;
    }
    if (!c->count)
        return false;
    const ir_op *last = c->loops[c->count - 1];
    return find_beginning(last->next, &c->behind) &&
           goes_on(&c->begin[c->count - 1], last, &c->behind, NULL, ir_operand(last, 1));
}

// ------------------------------------------------------------------------------- code

// A load of a loop as it is in round `counter`.
static ir_value *load_for(lowering *l, const ir_op *loop, ir_op *load, ir_value *counter)
{
    ir_mapping *map = ir_mapping_create(l->arena);
    ir_mapping_set(map, loop->regions[0]->arguments.items[0], counter);
    low_in_round(l, loop->regions[0], ir_operand(load, 0), map);
    return ir_result(ir_clone(&l->at, load, map), 0);
}

// The loop once more, which takes and gives two tiles more.
static ir_op *rotated(lowering *l, ir_op *loop, beginning *b, ir_value *const loaded[2])
{
    const unsigned n = loop->n_results;
    ir_value *initial[LOW_MOST_CARRIED], *next[LOW_MOST_CARRIED], *more[2];
    ir_mapping *map = ir_mapping_create(l->arena);
    const ir_block *body = loop->regions[0];
    const ir_op *places[2] = {place_of_load(loop, 0), place_of_load(loop, 1)};
    low_loop new;
    for (unsigned i = 0; i < n + 2; i++)
        initial[i] = i < n ? ir_operand(loop, i + 3) : loaded[i - n];
    l->at = ir_builder_before(loop);
    l->at.where = loop->where;
    low_for_begin(l, &new, ir_operand(loop, 0), ir_operand(loop, 1), ir_operand(loop, 2), n + 2,
                  initial);
    ir_mapping_set(map, body->arguments.items[0], new.counter);
    for (unsigned i = 0; i < n; i++)
        ir_mapping_set(map, body->arguments.items[i + 1], new.carried[i]);
    for (unsigned i = 0; i < 2; i++)
        ir_mapping_set(map, ir_result(b->loads[i], 0), new.carried[n + i]);
    IR_FOR_OPS(op, body)
    {
        for (unsigned i = 0; i < 2; i++)
            if (op == places[i])
                more[i] = load_for(l, loop, b->loads[i], low_add(l, new.counter, low_index(l, 1)));
        if (op != b->loads[0] && op != b->loads[1] && op != body->last)
            ir_clone(&l->at, op, map);
    }
    for (unsigned i = 0; i < n + 2; i++)
        next[i] = i < n ? ir_mapping_get(map, ir_operand(body->last, i)) : more[i - n];
    low_loop_end(l, &new, next);
    for (unsigned i = 0; i < n; i++)
        ir_replace_uses(&loop->results[i], ir_result(new.op, i));
    return new.op;
}

static void rotate(ir_module *m, pass_context *context, ir_function *f, loop_chain *c)
{
    lowering l = low_before(m, context, f, c->loops[0]);
    ir_value *loaded[2];
    for (unsigned i = 0; i < 2; i++)
        loaded[i] = load_for(&l, c->loops[0], c->begin[0].loads[i], ir_operand(c->loops[0], 0));
    for (unsigned k = 0; k < c->count; k++) {
        ir_op *new = rotated(&l, c->loops[k], &c->begin[k], loaded);
        for (unsigned i = 0; i < 2; i++)
            loaded[i] = ir_result(new, c->loops[k]->n_results + i);
        ir_op_remove(c->loops[k]);
        c->loops[k] = new;
    }
    for (unsigned i = 0; i < 2; i++) {
        ir_replace_uses(ir_result(c->behind.loads[i], 0), loaded[i]);
        ir_op_remove(c->behind.loads[i]);
    }
    pass_remark(context, REMARK_APPLIED, c->loops[0]->where,
                "rounds load the planes and the table that the next one begins with");
}

static void rotate_block(ir_module *m, pass_context *context, ir_function *f, ir_block *b)
{
    for (ir_op *op = b->first; op; op = op->next) {
        loop_chain c;
        for (unsigned r = 0; r < op->n_regions; r++)
            rotate_block(m, context, f, op->regions[r]);
        if (op->code == IR_FOR && lookups_of_rows(op) && find_chain(op, &c)) {
            rotate(m, context, f, &c);
            op = c.loops[c.count - 1];
        }
    }
}

bool pass_rotate(ir_module *m, pass_context *c)
{
    if (!machine_has(c->machine, ISA_UNIT_LUT))
        return true;
    for (ir_function *f = m->functions; f; f = f->next)
        rotate_block(m, c, f, f->body);
    return true;
}
