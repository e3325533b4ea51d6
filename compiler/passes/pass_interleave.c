// interleave: while the array looks up a column tile, the epilogue of the one before is computed.
//
// Instructions issue in order, so an epilogue that stands behind its products keeps the array
// waiting. Here the strips of one column tile go into the first products' rounds of the next one,
// a few to a round, and the last ones among the lookups behind these rounds; code generation
// spreads their instructions among lookups. The first column tile has no strips in its rounds; the
// epilogue of the last one stands behind the loop. Nothing is computed in another way, so results
// do not change.
//
// Only where several row tiles share what is loaded: there the array is what programs wait for.
// Loops of one row wait for memory, and stay what the emulator executes as a whole.
#include "compiler/passes/lower/lower.h"
#include "compiler/passes/prefetch.h"

enum { LEAST_LOOKUPS = 4, MOST_STRIPS = 4 }; // of a round

// A loop over column tiles, and what is in it.
typedef struct column_loop {
    ir_op *loop, *products, *epilogue, *strip;
    int64_t rounds, rows, columns; // of the first products, of the epilogue, of its strips
    int64_t lanes, parts;          // of a strip; strips in a row
    int64_t per_round, busy;       // strips of a round, rounds that have some
    unsigned behind;               // lookups behind the rounds, in front of what writes memory
    int64_t rest;                  // strips among these
} column_loop;

// ------------------------------------------------------------------------- what fits

// Rounds of a strip without reductions, and what prefetches for them.
static ir_op *only_strip(const ir_op *loop)
{
    ir_op *strip = NULL;
    IR_FOR_OPS(op, loop->regions[0])
    {
        bool fits = (ir_op_rows[op->code].traits & IR_PURE) || op->code == IR_PREFETCH ||
                    op->code == IR_YIELD;
        if (op->code == IR_STRIP && !strip && !op->n_results)
            strip = op;
        else if (!fits)
            return NULL;
    }
    return loop->n_results ? NULL : strip;
}

// What a strip does is done lane by lane, in one place.
static bool is_straight(const ir_op *strip)
{
    IR_FOR_OPS(op, strip->regions[0])
    {
        if (op->n_regions || op->code == IR_REDUCE || op->code == IR_CALL)
            return false;
    }
    return true;
}

// Writes nothing but tiles.
static bool leaves_memory(const ir_op *op)
{
    switch (op->code) {
    case IR_PREFETCH:
    case IR_LOAD:
    case IR_YIELD: return true;
    default: return graph_writes_tiles(op) || ir_op_rows[op->code].traits & IR_PURE;
    }
}

// The first loop, if it looks up, and nothing up to its end writes memory.
static ir_op *first_products(const ir_op *loop)
{
    ir_op *op = loop->regions[0]->first;
    while (op && op->code != IR_FOR && leaves_memory(op))
        op = op->next;
    if (!op || op->code != IR_FOR || lookups_of_rows(op) < LEAST_LOOKUPS)
        return NULL;
    IR_FOR_OPS(inner, op->regions[0])
    if (!leaves_memory(inner))
        return NULL;
    return op;
}

static bool same_places(const ir_op *products, const ir_value *written)
{
    bool same = false;
    IR_FOR_OPS(op, products->regions[0])
    {
        for (unsigned i = 0; i < op->n_operands; i++) {
            const ir_value *root, *v = ir_operand(op, i);
            address at;
            if (v && v->type->kind == IR_BUFFER && address_of(v, &root, &at))
                same |= root == written;
        }
    }
    return same;
}

// The products read nothing that the strip writes.
static bool is_independent(const column_loop *c)
{
    IR_FOR_OPS(op, c->strip->regions[0])
    {
        for (unsigned i = 0; i < op->n_operands; i++) {
            const ir_value *root;
            address at;
            if (graph_writes(op, i) &&
                (!address_of(ir_operand(op, i), &root, &at) || same_places(c->products, root)))
                return false;
        }
    }
    return true;
}

static unsigned lookups_behind(const ir_op *products)
{
    unsigned count = 0;
    for (const ir_op *op = products->next; op && leaves_memory(op); op = op->next)
        count += op->code == IR_XLUT_MMA;
    return count;
}

// Where rounds do nothing but look up one plane, and no other product's rounds have room for the
// next block's tables (pipeline-tables), strips leave half of the rounds to them.
static bool leaves_rounds(const column_loop *c)
{
    bool alone = true, plain = true;
    for (const ir_op *op = c->products->next; op; op = op->next)
        alone &= op->code != IR_FOR || !lookups_of_rows(op);
    IR_FOR_OPS(op, c->products->regions[0])
    plain &= op->code != IR_XLUT_DEQ && (op->code != IR_XLUT_MMA || op->n_operands <= 4);
    return alone && plain;
}

// The fewest strips in a round with which all rounds that have strips have as many. What is left
// over goes behind the rounds, if that is like another round.
static void divide(column_loop *c)
{
    const int64_t strips = c->rows * c->parts;
    const bool goes_on = 2 * c->behind >= lookups_of_rows(c->products);
    const int64_t places = (leaves_rounds(c) ? (c->rounds + 1) / 2 : c->rounds) + goes_on;
    c->per_round = (strips + places - 1) / places;
    while (!goes_on && strips % c->per_round)
        c->per_round++;
    c->busy = strips / c->per_round < c->rounds ? strips / c->per_round : c->rounds;
    c->rest = strips - c->busy * c->per_round;
}

static bool describe(const machine *m, ir_op *loop, column_loop *c)
{
    int64_t step;
    *c = (column_loop){.loop = loop};
    if (loop->code != IR_FOR || loop->n_results || !low_is_constant(ir_operand(loop, 2), &step) ||
        step != 1)
        return false;
    c->epilogue = loop->regions[0]->last->previous;
    c->products = first_products(loop);
    if (!c->products || c->products->n_results > LOW_MOST_CARRIED || !c->epilogue ||
        !low_counts_from_zero(c->products, &c->rounds) ||
        !low_counts_from_zero(c->epilogue, &c->rows))
        return false;
    c->strip = only_strip(c->epilogue);
    if (!c->strip || !is_straight(c->strip) || !is_independent(c))
        return false;
    c->lanes = low_lanes(m, c->strip);
    c->columns = 0;
    if (!low_is_constant(ir_operand(c->strip, 0), &c->columns) || c->columns < 1)
        return false;
    c->parts = (c->columns + c->lanes - 1) / c->lanes;
    c->behind = lookups_behind(c->products);
    divide(c);
    return c->per_round <= MOST_STRIPS;
}

// ------------------------------------------------------------------------------ code

// What an op of the epilogue takes from the loop's body.
static void prepare_operands(lowering *l, const column_loop *c, const ir_op *op, ir_mapping *map)
{
    for (unsigned i = 0; i < op->n_operands; i++)
        if (ir_operand(op, i))
            low_in_round(l, c->loop->regions[0], ir_operand(op, i), map);
    for (unsigned r = 0; r < op->n_regions; r++)
        IR_FOR_OPS(inner, op->regions[r])
    prepare_operands(l, c, inner, map);
}

// All that the epilogue needs must be known without its round having been executed.
static bool is_computable(const column_loop *c, const ir_value *v)
{
    if (v->kind != IR_VALUE_RESULT || v->op->block != c->loop->regions[0])
        return true;
    bool good = ir_op_rows[v->op->code].traits & IR_PURE;
    for (unsigned i = 0; good && i < v->op->n_operands; i++)
        good = !ir_operand(v->op, i) || is_computable(c, ir_operand(v->op, i));
    return good;
}

static bool needs_computable(const column_loop *c, const ir_op *op)
{
    bool good = true;
    for (unsigned i = 0; good && i < op->n_operands; i++)
        good = !ir_operand(op, i) || is_computable(c, ir_operand(op, i));
    for (unsigned r = 0; r < op->n_regions; r++)
        IR_FOR_OPS(inner, op->regions[r])
    good = good && needs_computable(c, inner);
    return good;
}

// Strip `number` of the epilogue of the column tile that the mapping has the counter of: what it
// needs at `l`, the strip itself at `at`. `some`: 0 if there is no such column tile; NULL: there
// is.
static void build_strip(lowering *l, ir_builder at, const column_loop *c, ir_value *number,
                        ir_value *some, bool begins_row, ir_mapping *map)
{
    ir_value *row = low_div(l, number, low_index(l, c->parts));
    ir_value *column =
        low_mul(l, low_rem(l, number, low_index(l, c->parts)), low_index(l, c->lanes));
    ir_value *count = low_index(l, c->lanes);
    if (c->columns % c->lanes)
        count = low_min(l, count, low_sub(l, low_index(l, c->columns), column));
    if (some)
        count = low_mul(l, count, some);
    ir_mapping_set(map, c->epilogue->regions[0]->arguments.items[0], row);
    IR_FOR_OPS(op, c->epilogue->regions[0])
    if (ir_op_rows[op->code].traits & IR_PURE)
        ir_clone(&l->at, op, map);
    IR_FOR_OPS(op, c->epilogue->regions[0])
    if (op->code == IR_PREFETCH && begins_row)
        ir_clone(&at, op, map);
    ir_op *strip = ir_build(&at, IR_STRIP, 1, &count, 0, NULL);
    strip->where = c->strip->where;
    ir_set_name(strip, "width", ir_name(c->strip, "width"));
    ir_set_boolean(strip, "beside", true);
    ir_block_argument(strip->regions[0], ir_type_index(l->module), NULL);
    ir_value *lanes = ir_block_argument(strip->regions[0], ir_type_index(l->module), "lanes");
    ir_mapping_set(map, c->strip->regions[0]->arguments.items[0], column);
    ir_mapping_set(map, c->strip->regions[0]->arguments.items[1], lanes);
    ir_builder inside = ir_builder_at_end(strip->regions[0]);
    IR_FOR_OPS(op, c->strip->regions[0])
    ir_clone(&inside, op, map);
}

// A round of the products with strips in it; `map` has what the strips take from outside.
static void build_round(lowering *l, const column_loop *c, const low_loop *round,
                        ir_mapping *products, ir_mapping *map)
{
    const ir_block *body = c->products->regions[0];
    ir_op *head = ir_build(&l->at, IR_YIELD, 0, NULL, 0, NULL); // what strips need goes before it
    lowering early = *l;
    early.at = ir_builder_before(head);
    int64_t lookups = lookups_of_rows(c->products), seen = 0, strips = 0;
    ir_value *first = low_mul(&early, round->counter, low_index(&early, c->per_round));
    l->last_constant = early.last_constant;
    IR_FOR_OPS(op, body)
    {
        if (op == body->last)
            break;
        ir_clone(&l->at, op, products);
        seen += op->code == IR_XLUT_MMA;
        if (op->code != IR_XLUT_MMA || seen * c->per_round < (strips + 1) * lookups)
            continue;
        bool begins_row = c->per_round % c->parts || strips % c->parts == 0;
        ir_value *number = low_add(&early, first, low_index(&early, strips++));
        build_strip(&early, l->at, c, number, NULL, begins_row, map);
        l->last_constant = early.last_constant;
    }
    ir_op_remove(head);
}

// The strips that are left over, among the lookups behind the rounds.
static void build_behind(lowering *l, const column_loop *c, ir_value *some, ir_mapping *map)
{
    int64_t seen = 0, strips = 0;
    for (ir_op *op = c->products->next; strips < c->rest; op = op->next) {
        seen += op->code == IR_XLUT_MMA;
        while (strips < c->rest && seen * c->rest >= (strips + 1) * c->behind) {
            ir_value *number = low_index(l, c->busy * c->per_round + strips++);
            build_strip(l, ir_builder_after(op), c, number, some, true, map);
        }
    }
}

// The first products' rounds up to `busy` have strips, but for the first column tile.
static void build_rounds(lowering *l, const column_loop *c)
{
    ir_value *counter = c->loop->regions[0]->arguments.items[0];
    ir_value *before = low_sub(l, counter, ir_operand(c->loop, 0));
    ir_value *busy = low_index(l, c->busy);
    ir_value *end = low_min(l, low_mul(l, before, busy), busy);
    ir_mapping *map = ir_mapping_create(l->arena);
    ir_mapping_set(map, counter, low_sub(l, counter, low_index(l, 1)));
    prepare_operands(l, c, c->epilogue, map);
    low_loop round;
    ir_mapping *products = ir_mapping_create(l->arena);
    low_first_rounds_begin(l, &round, c->products, end, products);
    build_round(l, c, &round, products, map);
    low_first_rounds_end(l, &round, c->products, products);
    build_behind(l, c, low_min(l, before, low_index(l, 1)), map);
}

// Behind the loop, if it had rounds.
static void move_last(lowering *l, const column_loop *c)
{
    ir_value *lower = ir_operand(c->loop, 0), *upper = ir_operand(c->loop, 1);
    ir_mapping *map = ir_mapping_create(l->arena);
    int64_t first, end;
    bool known = low_is_constant(lower, &first) && low_is_constant(upper, &end) && first < end;
    low_if some;
    if (!known)
        low_if_begin(l, &some, low_compare(l, "lt", lower, upper));
    ir_mapping_set(map, c->loop->regions[0]->arguments.items[0],
                   low_sub(l, upper, low_index(l, 1)));
    prepare_operands(l, c, c->epilogue, map);
    ir_clone(&l->at, c->epilogue, map);
    if (!known)
        low_if_end(l, &some);
    ir_op_remove(c->epilogue);
}

// What the first strips read is asked for in front of the products whose epilogue they are. Now
// that they stand in rounds of the next column tile, that would be too early to stay: it goes
// behind.
static void ask_late(const column_loop *c)
{
    ir_op *last = c->products;
    for (ir_op *op = last; op; op = op->next)
        last = op->code == IR_FOR ? op : last;
    ir_op *behind = last->next;
    for (ir_op *op = c->loop->regions[0]->first, *next; op != c->products; op = next) {
        next = op->next;
        if (op->code == IR_PREFETCH)
            ir_op_move_before(op, behind);
    }
}

static void interleave(ir_module *m, pass_context *context, ir_function *f, const column_loop *c)
{
    lowering rounds = low_before(m, context, f, c->products);
    build_rounds(&rounds, c);
    lowering last = low_before(m, context, f, c->loop);
    last.at = ir_builder_after(c->loop);
    last.at.where = c->loop->where;
    move_last(&last, c);
    ask_late(c);
    pass_remark(context, REMARK_APPLIED, c->strip->where,
                "%lld strips of the epilogue go into %lld of %lld rounds of lookups of the next "
                "column tile, %lld to a round, and %lld behind these",
                (long long)(c->rows * c->parts), (long long)c->busy, (long long)c->rounds,
                (long long)c->per_round, (long long)c->rest);
}

typedef struct visitor {
    ir_module *module;
    pass_context *context;
    ir_function *function;
} visitor;

static void visit(ir_op *op, void *context)
{
    visitor *v = context;
    column_loop c;
    if (describe(v->context->machine, op, &c) && needs_computable(&c, c.epilogue))
        interleave(v->module, v->context, v->function, &c);
}

bool pass_interleave(ir_module *m, pass_context *c)
{
    if (!machine_has(c->machine, ISA_UNIT_LUT))
        return true;
    for (ir_function *f = m->functions; f; f = f->next)
        ir_walk(f->body, visit, &(visitor){m, c, f});
    return true;
}
