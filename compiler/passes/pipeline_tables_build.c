// pipeline-tables: rounds of tables among the rounds of lookups of another kernel.
#include "compiler/passes/pipeline_tables.h"

// ------------------------------------------------------------------------------- code

// The builder's operations as they are built in the reader.
typedef struct copying {
    lowering *l;
    ir_mapping *map;
} copying;

static const ir_block *block_of(const ir_value *v)
{
    return v->kind == IR_VALUE_ARGUMENT ? v->block : v->op->block;
}

static ir_op *copy_op(copying *c, ir_op *op);

// Whatever the value takes to compute stands in front of the builder's place.
static void copy_value(copying *c, ir_value *v)
{
    if (ir_mapping_get(c->map, v) != v || v->kind != IR_VALUE_RESULT)
        return;
    if (v->op->code == IR_CONSTANT && v->type->kind == IR_INDEX)
        ir_mapping_set(c->map, v, low_index(c->l, (int64_t)ir_number(v->op, "value")));
    else
        copy_op(c, v->op);
}

static void copy_operands(copying *c, const ir_op *op, const ir_op *whole)
{
    for (unsigned i = 0; i < op->n_operands; i++)
        if (ir_operand(op, i) && !is_inside(block_of(ir_operand(op, i)), whole))
            copy_value(c, ir_operand(op, i));
    for (unsigned r = 0; r < op->n_regions; r++)
        IR_FOR_OPS(inner, op->regions[r])
    copy_operands(c, inner, whole);
}

static ir_op *copy_op(copying *c, ir_op *op)
{
    copy_operands(c, op, op);
    return ir_clone(&c->l->at, op, c->map);
}

// All that the builder does from an operation on, in front of another one, but for prefetches.
static void copy_range(copying *c, ir_op *from, const ir_op *end)
{
    for (ir_op *op = from; op != end; op = op->next) {
        bool effect = !(ir_op_rows[op->code].traits & IR_PURE);
        if (effect && op->code != IR_PREFETCH && op->code != IR_YIELD)
            copy_op(c, op);
    }
}

// The reader while rounds of tables go into it.
typedef struct insertion {
    lowering l;
    const builder_kernel *builder;
    const reader_kernel *reader;
    ir_value **arguments; // the reader's, by the builder's
    bool *scratch;        // by the builder's
    ir_value *active;     // 1: there is a block behind this one, and a single rank; else 0
    ir_value *first;      // row tile of that block
    ir_value *stage;  // row tile of the first way, from 0, in a column tile; less 1: of the second
    ir_value *begun;  // depth tiles that column tiles before this one have done in the stage
    ir_value *rounds; // of this column tile that take others
} insertion;

// The builder's operations for a row tile.
static copying copy_of_tile(insertion *g, ir_value *row_tile)
{
    const ir_block *body = g->builder->function->body;
    copying c = {.l = &g->l, .map = ir_mapping_create(g->l.arena)};
    ir_mapping_set(c.map, g->builder->tiles->regions[0]->arguments.items[0], row_tile);
    for (size_t i = 0; i < body->arguments.count; i++)
        ir_mapping_set(c.map, body->arguments.items[i], g->arguments[i]);
    return c;
}

// Row tile `number` of the block behind this one, 0 if that is -1.
static ir_value *row_tile_before(insertion *g, ir_value *number)
{
    lowering *l = &g->l;
    ir_value *before = low_sub(l, number, low_min(l, number, low_index(l, 1)));
    return low_add(l, g->first, before);
}

// A round of either way.
static copying copy_of_round(insertion *g, const ir_op *way, ir_value *depth_tile)
{
    lowering *l = &g->l;
    ir_value *last = low_index(l, g->reader->block - 1);
    ir_value *row_tile = way == g->builder->build
                             ? row_tile_before(g, g->stage)
                             : low_add(l, g->first, low_min(l, g->stage, last));
    copying c = copy_of_tile(g, row_tile);
    ir_mapping_set(c.map, way->regions[0]->arguments.items[0], depth_tile);
    return c;
}

// How a row tile begins: sums start at 0.
static void copy_beginning(insertion *g, copying *c)
{
    copy_range(c, g->builder->tiles->regions[0]->first, g->builder->find);
}

static void begin_block(insertion *g)
{
    const reader_kernel *r = g->reader;
    lowering *l = &g->l;
    ir_block *body = r->blocks->regions[0];
    l->at = ir_builder_before(body->first);
    l->at.where = r->blocks->where;
    ir_value *one = low_index(l, 1), *next = low_add(l, body->arguments.items[0], one);
    ir_value *more = low_min(l, low_sub(l, ir_operand(r->blocks, 1), next), one);
    ir_block *arguments = r->function->body;
    ir_value *single = arguments->arguments.items[arguments->arguments.count - 1];
    g->active = low_mul(l, more, single);
    g->first = low_mul(l, next, low_index(l, r->block));
    copying c = copy_of_tile(g, g->first);
    copy_beginning(g, &c);
}

// What goes into a round of lookups: an operation, or memory that a later one reads.
typedef struct item {
    copying *from;
    ir_op *op;          // NULL: memory
    const ir_op *reads; // whose operands are buffer, row and column
    int64_t row;        // this many rows behind it
    int64_t position;   // behind this many lookups
} item;
typedef struct item_list {
    arena *arena;
    ARRAY_OF(item) items;
} item_list;

// Whether a table of the second way is built from what the first way writes.
static bool reads_scratch(const insertion *g, const ir_op *table)
{
    const ir_value *root = graph_root(ir_operand(table, 0));
    return root->kind == IR_VALUE_ARGUMENT && g->scratch[root->index];
}

// All but prefetches, in order. What they take stands at the beginning of the round, and so do
// tables that are built from scratch memory, before the first way writes it for another row tile.
static void list_work(insertion *g, item_list *list, copying *c, const ir_op *way)
{
    IR_FOR_OPS(op, way->regions[0])
    {
        if (ir_op_rows[op->code].traits & IR_PURE || op->code == IR_PREFETCH ||
            op->code == IR_YIELD)
            continue;
        bool used = op->n_results && ir_has_uses(ir_result(op, 0));
        if (used && reads_scratch(g, op))
            copy_op(c, op);
        else
            ARRAY_PUSH(list->arena, &list->items, (item){.from = c, .op = op});
        if (op->code == IR_STRIP) // which is spread among lookups in front of it
            copy_operands(c, op, op);
    }
}

// What is asked for with other memory, as much as a tile holds behind where that begins, is not
// listed again.
static void list_memory(insertion *g, item_list *list, copying *c, const ir_op *reads, int64_t row)
{
    address at, before;
    const ir_value *root, *other;
    if (reads->n_operands != 3 || !address_of_place(reads, &root, &at))
        return;
    for (size_t i = 0; i < list->items.count; i++) {
        const item *x = &list->items.items[i];
        int64_t behind = address_of_place(x->reads, &other, &before) && other == root &&
                                 address_same_terms(&at, &before) && x->row == row
                             ? at.constant - before.constant
                             : -1;
        if (behind >= 0 && behind < machine_tile_bytes(g->l.context->machine))
            return;
    }
    ARRAY_PUSH(list->arena, &list->items, (item){.from = c, .reads = reads, .row = row});
}

// What strips of the first way load from memory that is not scratch memory.
static void list_loads(insertion *g, item_list *list, copying *c)
{
    IR_FOR_OPS(strip, g->builder->find->regions[0])
    {
        if (strip->code != IR_STRIP)
            continue;
        ir_mapping_set(c->map, strip->regions[0]->arguments.items[0], low_index(&g->l, 0));
        IR_FOR_OPS(op, strip->regions[0])
        {
            const ir_value *from = ir_operand(op, 0);
            if (op->code == IR_VLOAD && from->kind == IR_VALUE_ARGUMENT && !g->scratch[from->index])
                list_memory(g, list, c, op, 0);
        }
    }
}

// What tables of either way are built from, but for what the way has written itself.
static void list_activations(insertion *g, item_list *list, copying *c, const ir_op *way)
{
    IR_FOR_OPS(op, way->regions[0])
    {
        const ir_value *from = op->code == IR_XLUT_TBL ? ir_operand(op, 0) : NULL;
        if (!from || !is_op(from, IR_VIEW) || from->op->n_operands != 3)
            continue;
        const ir_value *buffer = ir_operand(from->op, 0);
        bool written = way == g->builder->find && buffer->kind == IR_VALUE_ARGUMENT &&
                       g->scratch[buffer->index];
        for (int64_t row = 0; !written && row < g->builder->m; row++)
            list_memory(g, list, c, from->op, row);
    }
}

// As much as a tile holds, from there on.
static void ask(lowering *l, const item *x)
{
    const ir_value *buffer = ir_operand(x->reads, 0);
    for (unsigned i = 0; i < x->reads->n_operands; i++)
        copy_value(x->from, ir_operand(x->reads, i));
    ir_value *row = ir_mapping_get(x->from->map, ir_operand(x->reads, 1));
    ir_value *column = ir_mapping_get(x->from->map, ir_operand(x->reads, 2));
    ir_dim dims[1] = {ir_dim_constant(machine_tile_bytes(l->context->machine) /
                                      (int64_t)scalar_size(buffer->type->scalar))};
    ir_value *memory = low_view(l, ir_mapping_get(x->from->map, ir_operand(x->reads, 0)),
                                low_add(l, row, low_index(l, x->row)), column,
                                ir_type_buffer(l->module, buffer->type->scalar, 1, dims));
    ir_build(&l->at, IR_XLUT_PF, 1, &memory, 0, NULL);
}

static void insert(lowering *l, const item *x)
{
    if (!x->op) {
        ask(l, x);
        return;
    }
    l->at.where = x->op->where;
    ir_op *copy = copy_op(x->from, x->op);
    if (copy->code == IR_STRIP)
        ir_set_boolean(copy, "beside", true);
}

// What the rounds for a depth tile will read.
static item_list list_reads(insertion *g, copying rounds[2], ir_value *depth_tile)
{
    item_list list = {.arena = g->l.arena};
    rounds[0] = copy_of_round(g, g->builder->find, depth_tile);
    rounds[1] = copy_of_round(g, g->builder->build, depth_tile);
    list_loads(g, &list, &rounds[0]);
    list_activations(g, &list, &rounds[0], g->builder->find);
    list_activations(g, &list, &rounds[1], g->builder->build);
    return list;
}

static void ask_for_first(insertion *g)
{
    copying rounds[2];
    item_list list = list_reads(g, rounds, low_index(&g->l, 0));
    for (size_t i = 0; i < list.items.count; i++)
        ask(&g->l, &list.items.items[i]);
}

// x / y, of a number of column tiles: dividing takes long, or a constant from memory.
static ir_value *divided(lowering *l, ir_value *x, int64_t y)
{
    const int64_t one = INT64_C(1) << 32; // exact below one / y
    return low_div(l, low_mul(l, x, low_index(l, (one + y - 1) / y)), low_index(l, one));
}

// In front of a column tile with which a stage begins: what stands between the two ways of the row
// tile whose first one has ended.
static void begin_column_tile(insertion *g)
{
    const reader_kernel *r = g->reader;
    lowering *l = &g->l;
    ir_block *body = r->columns->regions[0];
    l->at = ir_builder_before(body->first);
    l->at.where = g->builder->find->where;
    ir_value *column = body->arguments.items[0];
    ir_value *zero = low_index(l, 0), *last = low_index(l, r->block);
    g->stage = divided(l, column, r->stage);
    ir_value *tile = low_sub(l, column, low_mul(l, g->stage, low_index(l, r->stage)));
    g->begun = low_mul(l, tile, low_index(l, r->taken));
    ir_value *beyond = low_sub(l, g->stage, low_min(l, g->stage, last));
    ir_value *rounds =
        low_min(l, low_index(l, r->taken), low_sub(l, low_index(l, g->builder->rounds), g->begun));
    ir_value *one = low_index(l, 1);
    g->rounds = low_mul(l, low_sub(l, one, low_min(l, beyond, one)), low_mul(l, rounds, g->active));
    ir_value *others = low_add(l, beyond, tile), *ended = low_mul(l, g->stage, g->active);
    low_if some, begins;
    low_if_begin(l, &begins, low_compare(l, "eq", others, zero));
    low_if_begin(l, &some, low_compare(l, "gt", ended, zero));
    ask_for_first(g);
    copying c = copy_of_tile(g, row_tile_before(g, g->stage));
    copy_range(&c, g->builder->find->next, g->builder->build);
    copy_beginning(g, &c);
    low_if_end(l, &some);
    low_if_end(l, &begins);
}

// Evenly over the lookups from..to: strips, or all others.
static void place_evenly(item_list *list, bool strips, int64_t from, int64_t to)
{
    int64_t count = 0, number = 0;
    for (size_t i = 0; i < list->items.count; i++)
        count += (list->items.items[i].op && list->items.items[i].op->code == IR_STRIP) == strips;
    for (size_t i = 0; i < list->items.count; i++) {
        item *x = &list->items.items[i];
        if ((x->op && x->op->code == IR_STRIP) == strips)
            x->position = from + ++number * (to - from) / (count + !strips);
    }
}

static void insert_items(lowering *l, const item_list *list, int64_t position)
{
    for (size_t i = 0; i < list->items.count; i++)
        if (list->items.items[i].position == position)
            insert(l, &list->items.items[i]);
}

// Between two lookups the unit of tile loads has time for one of these.
static void insert_asks(lowering *l, const item_list *memory, size_t *asked, int64_t seen,
                        int64_t lookups, bool busy)
{
    const size_t left = memory->items.count - *asked;
    bool late = (int64_t)(2 * left) >= lookups - seen;
    if (left && (late || (!busy && memory->items.items[*asked].position <= seen)))
        insert(l, &memory->items.items[(*asked)++]);
}

static bool loads_much(const ir_op *lookup)
{
    unsigned loads = 0;
    for (const ir_op *op = lookup->next; op && op->code != IR_XLUT_MMA; op = op->next)
        loads += op->code == IR_XLUT_PF || op->code == IR_XLUT_LD;
    return loads > 1;
}

// The lookup that strips end at: the tables behind them take a few each.
static int64_t end_of_strips(const item_list *list, int64_t lookups)
{
    enum { LOOKUPS = 4 };
    int64_t tables = 0;
    for (size_t i = 0; i < list->items.count; i++)
        tables += list->items.items[i].op->code == IR_XLUT_TBL;
    return LOOKUPS * tables < lookups / 2 ? lookups - LOOKUPS * tables : lookups / 2;
}

// A round of lookups with a round of either way among them, and memory for the next round. Strips
// are spread in front of their place, up to the round's beginning; tables may wait for them.
// Memory is asked for early, so that it is there when the next round begins.
static void build_round(insertion *g, item_list lists[3], ir_mapping *map)
{
    lowering *l = &g->l;
    const ir_block *body = g->reader->rounds->regions[0];
    const int64_t lookups = lookups_of_rows(g->reader->rounds),
                  strips = end_of_strips(&lists[0], lookups);
    int64_t seen = 0;
    size_t asked = 0;
    place_evenly(&lists[0], true, 0, strips);
    place_evenly(&lists[0], false, strips, lookups);
    place_evenly(&lists[1], false, 0, lookups);
    place_evenly(&lists[2], false, 0, lookups * 3 / 4);
    for (ir_op *op = body->first; op != body->last; op = op->next) {
        l->at.where = op->where;
        ir_clone(&l->at, op, map);
        if (op->code != IR_XLUT_MMA)
            continue;
        seen++;
        insert_items(l, &lists[0], seen);
        insert_items(l, &lists[1], seen);
        insert_asks(l, &lists[2], &asked, seen, lookups, loads_much(op));
    }
}

// The first rounds of a column tile take rounds of tables, the others go on from there.
static void build_rounds(insertion *g)
{
    const reader_kernel *r = g->reader;
    lowering *l = &g->l;
    ir_op *rounds = r->rounds;
    l->at = ir_builder_before(rounds);
    l->at.where = rounds->where;
    low_loop round;
    ir_mapping *map = ir_mapping_create(l->arena);
    ir_value *lower = ir_operand(rounds, 0), *end = low_add(l, lower, g->rounds);
    low_first_rounds_begin(l, &round, rounds, end, map);
    ir_value *tile = low_add(l, g->begun, low_sub(l, round.counter, lower));
    copying find = copy_of_round(g, g->builder->find, tile), next[2];
    copying build = copy_of_round(g, g->builder->build, tile);
    item_list lists[3] = {{.arena = l->arena}, {.arena = l->arena}};
    list_work(g, &lists[1], &build, g->builder->build);
    list_work(g, &lists[0], &find, g->builder->find);
    lists[2] = list_reads(g, next, low_add(l, tile, low_index(l, 1)));
    build_round(g, lists, map);
    low_first_rounds_end(l, &round, rounds, map);
}

// ----------------------------------------------------------------------------- kernels

// The reader's arguments for all of the builder's, and the last one: whether there is one rank.
static void add_arguments(insertion *g, const call_pair *p)
{
    const ir_block *from = g->builder->function->body;
    ir_block *to = g->reader->function->body;
    g->arguments = ARENA_ARRAY(g->l.arena, ir_value *, from->arguments.count);
    g->scratch = ARENA_ARRAY(g->l.arena, bool, from->arguments.count);
    for (unsigned i = 0; i < from->arguments.count; i++) {
        const ir_value *argument = from->arguments.items[i];
        const int known = same_operand(p->reader, ir_operand(p->builder, i));
        g->scratch[i] = is_scratch(p->builder, i);
        g->arguments[i] = known >= 0 ? to->arguments.items[known]
                                     : ir_block_argument(to, argument->type, argument->name);
    }
    ir_block_argument(to, ir_type_index(g->l.module), "single");
}

void insert_rounds(ir_module *m, pass_context *c, const builder_kernel *b, const reader_kernel *r)
{
    insertion g = {.builder = b, .reader = r};
    g.l = low_before(m, c, r->function, r->blocks);
    // Its rounds are no longer independent: whoever has them has all.
    ir_remove_attribute(r->columns, "share");
    add_arguments(&g, &r->first);
    begin_block(&g);
    begin_column_tile(&g);
    build_rounds(&g);
    pass_remark(
        c, REMARK_APPLIED, r->rounds->where,
        "the tables of the next %lld row tiles, by '%s', are built in %lld of %lld rounds of "
        "each column tile",
        (long long)r->block, b->function->name, (long long)r->taken, (long long)r->places);
}
