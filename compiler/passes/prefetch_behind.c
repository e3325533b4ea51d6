// What is read behind a loop, up to the next one, of the streams that it reads.
#include "compiler/passes/prefetch_streams.h"

// What is read behind the loop, up to the next one, of a stream that the loop reads.
static void collect_behind(const prefetching *p, const stream *of, prefetching *behind)
{
    *behind = *p;
    behind->count = 0;
    for (ir_op *op = p->loop->next; op && !op->n_regions; op = op->next) {
        ir_value *view = tile_read_by(op);
        stream s = {.view = view, .reader = op};
        if (!view || !is_op(view, IR_VIEW) || !address_of(view, &s.root, &s.at) ||
            s.root != of->root)
            continue;
        s.bytes = buffer_bytes(view->type);
        add_stream(behind, &s);
    }
    join_streams(behind);
}

static const ir_value *counter_of(const ir_op *loop)
{
    return loop->regions[0]->arguments.items[0];
}

// Bytes from where the loop and what stands behind it stop reading to where the next round of the
// loop around begins. False: not known when compiling.
static bool gap_behind(const prefetching *p, const prefetching *behind, const stream *s,
                       int64_t *gap)
{
    const ir_op *around = p->loop->block->parent;
    const ir_value *lower = ir_operand_named(p->loop, "lower");
    if (!around || around->code != IR_FOR || p->loop->code != IR_FOR || !is_op(lower, IR_CONSTANT))
        return false;
    int64_t begin =
        (int64_t)ir_number(lower->op, "value") * address_factor(&s->at, counter_of(p->loop));
    int64_t bytes = (int64_t)rounds_of(p->loop) * s->advance;
    for (unsigned i = 0; i < behind->count; i++)
        bytes += behind->streams[i].bytes;
    *gap = address_factor(&s->at, counter_of(around)) * loop_step(around) - bytes;
    return begin == 0;
}

// Counters, and what is computed in front of `around`.
static bool is_known_for_rounds(const stream *s, const ir_op *around)
{
    bool known = true;
    for (unsigned i = 0; i < s->at.count; i++) {
        const ir_value *v = s->at.terms[i].value;
        known &= v->kind == IR_VALUE_ARGUMENT || !is_inside(v->op->block, around);
    }
    return known;
}

// A view that is made in `around`, as it will be in its round `counter`.
static ir_value *view_in_round(ir_builder *b, const ir_op *around, ir_value *v, ir_value *counter)
{
    if (!is_op(v, IR_VIEW) || !is_inside(v->op->block, around))
        return v;
    ir_value *operands[4] = {view_in_round(b, around, ir_operand(v->op, 0), counter)};
    for (unsigned i = 1; i < v->op->n_operands; i++)
        operands[i] = value_in_round(b, around, ir_operand(v->op, i), around, counter);
    return ir_result(ir_build(b, IR_VIEW, v->op->n_operands, operands, 1, &v->type), 0);
}

static ir_value *next_round_of(const prefetching *p, ir_builder *b, const ir_op *around)
{
    const ir_type *index = ir_type_index(p->module);
    ir_value *step = ir_build1(b, IR_CONSTANT, index, NULL, NULL, NULL);
    ir_set_number(step->op, "value", (double)loop_step(around));
    return ir_build1(b, IR_ADD, index, around->regions[0]->arguments.items[0], step, NULL);
}

static ir_op *lookup_behind(const ir_op *loop, int64_t index)
{
    ir_op *found = NULL;
    for (ir_op *op = loop->next; op && !op->n_regions && index >= 0; op = op->next) {
        if (op->code == IR_XLUT_MMA) {
            found = op;
            index--;
        }
    }
    return found;
}

static unsigned lookups_behind(const ir_op *loop)
{
    unsigned count = 0;
    for (const ir_op *op = loop->next; op && !op->n_regions; op = op->next)
        count += op->code == IR_XLUT_MMA;
    return count;
}

// The first bytes of a stream, as many as its rounds ask for ahead, as it is in the round `counter`
// of the loop around: asked for behind the loop, among the lookups there.
static void prefetch_beginning(prefetching *p, const stream *s, int64_t bytes, ir_builder *b,
                               ir_value *counter)
{
    ir_op *around = p->loop->block->parent;
    const int64_t tile = (int64_t)machine_tile_bytes(p->machine);
    const int64_t count = (bytes + tile - 1) / tile, lookups = lookups_behind(p->loop);
    ir_value *view = view_in_round(b, around, s->view, counter);
    for (int64_t t = count; t-- > 0;) {
        ir_op *at = lookups ? lookup_behind(p->loop, t * lookups / count) : view->op;
        prefetch_at(p, at, view, t * tile - s->before);
    }
}

// A part of the depth: the next column tile's begins elsewhere. Its first bytes are asked for
// behind the loop, where rounds would have done it.
static void prefetch_next_column(prefetching *p, const stream *s)
{
    ir_op *around = p->loop->block->parent;
    if (!is_known_for_rounds(s, around))
        return;
    ir_builder b = ir_builder_after(p->loop);
    b.where = p->loop->where;
    prefetch_beginning(p, s, stream_distance(p, s), &b, next_round_of(p, &b, around));
}

static ir_op *first_products(ir_op *op)
{
    while (op && !(op->code == IR_FOR && looks_up(op)))
        op = op->next;
    return op;
}

// The products of several matrices take turns: their loop that is executed next, in the next round
// of the loop around (`wraps`) or in this one. NULL: there is only one, or nothing behind the loop
// during which something could be asked for.
static ir_op *products_in_turn(const prefetching *p, bool *wraps)
{
    const ir_op *around = p->loop->block->parent;
    if (!around || around->code != IR_FOR || !lookups_behind(p->loop))
        return NULL;
    ir_op *next = first_products(p->loop->next);
    *wraps = !next;
    next = next ? next : first_products(around->regions[0]->first);
    return next != p->loop ? next : NULL;
}

static bool goes_on_behind(const prefetching *p, const stream *s);

// What other products read first. If the loop asked for what its own stream goes on with, that
// would have left scratch when it comes to it.
static void prefetch_next_products(prefetching *p, ir_op *products, bool wraps)
{
    ir_op *around = p->loop->block->parent;
    prefetching next = *p;
    next.loop = products;
    next.count = 0;
    collect_streams(&next);
    measure_round(&next);
    ir_builder b = ir_builder_after(p->loop);
    b.where = p->loop->where;
    ir_value *counter =
        wraps ? next_round_of(p, &b, around) : around->regions[0]->arguments.items[0];
    for (unsigned i = 0; i < next.count; i++) {
        const stream *s = &next.streams[i];
        if (goes_on_behind(&next, s) && is_known_for_rounds(s, around))
            prefetch_beginning(p, s, stream_distance(&next, s), &b, counter);
    }
}

// Scales and the last planes, which stand behind those that the loop reads: as far ahead as these,
// `beyond` what is read there or up to its end.
static void prefetch_further(prefetching *p, const stream *s, const prefetching *behind,
                             bool beyond)
{
    const int64_t tile = (int64_t)machine_tile_bytes(p->machine), ahead = stream_distance(p, s);
    for (unsigned i = 0; i < behind->count; i++) {
        const stream *read = &behind->streams[i];
        for (int64_t t = (read->bytes + tile - 1) / tile; t-- > 0;)
            if (beyond || ahead + t * tile < read->bytes)
                prefetch_at(p, read->reader, read->view, ahead + t * tile - read->before);
    }
}

static bool loads_sum(const ir_op *op)
{
    return op->code == IR_XLUT_LD &&
           (op->results[0].type->tile == TILE_F32 || op->results[0].type->tile == TILE_I32);
}

// Sums that the part of the depth before left are loaded in front of the loop: those of the next
// column tile are asked for behind it.
static void prefetch_next_sums(prefetching *p)
{
    ir_op *around = p->loop->block->parent;
    prefetching sums = *p;
    sums.count = 0;
    if (!around || around->code != IR_FOR)
        return;
    for (ir_op *op = p->loop->previous; op; op = op->previous) {
        stream s = {.reader = op, .view = loads_sum(op) ? ir_operand_named(op, "from") : NULL};
        if (!s.view || !is_op(s.view, IR_VIEW) || !address_of(s.view, &s.root, &s.at) ||
            !is_known_for_rounds(&s, around) || address_factor(&s.at, counter_of(around)) <= 0)
            continue;
        s.bytes = buffer_bytes(s.view->type);
        add_stream(&sums, &s);
    }
    ir_builder b = ir_builder_after(p->loop);
    b.where = p->loop->where;
    for (unsigned i = 0; i < sums.count; i++)
        prefetch_beginning(p, &sums.streams[i], sums.streams[i].bytes, &b,
                           next_round_of(p, &b, around));
}

// The first of its buffer, which goes on from round to round of the loop around.
static bool goes_on_behind(const prefetching *p, const stream *s)
{
    const ir_op *around = p->loop->block->parent;
    const stream *first = p->streams;
    while (first->root != s->root)
        first++;
    return first == s &&
           (!around || around->code != IR_FOR || address_factor(&s->at, counter_of(around)) > 0);
}

void prefetch_behind(prefetching *p)
{
    bool wraps;
    ir_op *next = products_in_turn(p, &wraps);
    for (unsigned i = 0; i < p->count; i++) {
        const stream *s = &p->streams[i];
        prefetching behind;
        int64_t gap;
        if (!goes_on_behind(p, s))
            continue;
        collect_behind(p, s, &behind);
        if (gap_behind(p, &behind, s, &gap) && gap > stream_distance(p, s))
            prefetch_next_column(p, s);
        else
            prefetch_further(p, s, &behind, !next);
    }
    if (next)
        prefetch_next_products(p, next, wraps);
    prefetch_next_sums(p);
}
