// Loops in halves: each half uses the tables that the other one reads, so that they stay in scratch
// from column tile to column tile.
#include "compiler/passes/prefetch_streams.h"

// What is loaded until the tables are read again pushes them out, but half of it would not.
#define HALF_KEPT 0.9 // of scratch, with tables that are used twice
bool halves_keep_tables(const prefetching *p)
{
    const ir_op *around = shared_loop_around(p->loop);
    bool far = false;
    for (unsigned i = 0; around && i < p->count; i++)
        far |= loads_far_table(p, p->streams[i].reader) &&
               bytes_between_reads(&p->streams[i], around) <
                   2 * HALF_KEPT * (double)p->machine->scratch_size;
    return far && looks_up_one_row(p) && p->loop->code == IR_FOR && rounds_of(p->loop) >= 2;
}

// The loop becomes two, one behind the other. Gives the second one; the first one has `rounds`.
static ir_op *halve(prefetching *p, int64_t rounds)
{
    ir_op *loop = p->loop;
    ir_builder before = ir_builder_before(loop), after = ir_builder_after(loop);
    double from = ir_number(ir_operand(loop, 0)->op, "value");
    ir_value *middle = ir_build1(&before, IR_CONSTANT, ir_type_index(p->module), NULL, NULL, NULL);
    ir_set_number(middle->op, "value", from + (double)(rounds * loop_step(loop)));
    ir_op *second = ir_clone(&after, loop, ir_mapping_create(p->context->arena));
    ir_set_operand(loop, 1, middle);
    ir_set_operand(second, 0, middle);
    for (unsigned i = 0; i < loop->n_results; i++) {
        ir_replace_uses(&loop->results[i], &second->results[i]);
        ir_set_operand(second, 3 + i, &loop->results[i]);
    }
    return second;
}

// Tables that a half reads are used while the other half is executed: `rounds` on, or back.
static void refresh_tables(prefetching *p, int64_t rounds)
{
    const int64_t tile = (int64_t)machine_tile_bytes(p->machine);
    for (unsigned i = 0; i < p->count; i++) {
        const stream *s = &p->streams[i];
        if (s->reader->code != IR_XLUT_LD || loads_plane(s->reader))
            continue;
        for (int64_t t = (s->bytes + tile - 1) / tile; t-- > 0;)
            prefetch_at(p, s->reader, s->view, rounds * s->advance + t * tile - s->before);
    }
}

static bool is_known_before(const ir_value *v, const ir_op *loop)
{
    return v->kind == IR_VALUE_ARGUMENT || v->op->block != loop->block ||
           v->op->code == IR_CONSTANT;
}

// Scales of the tables, which sums behind the loop are multiplied by, have left scratch too.
static void prefetch_scales(prefetching *p)
{
    for (ir_op *op = p->loop->next; op; op = op->next) {
        ir_value *at = op->code == IR_XLUT_DEQ ? ir_operand_named(op, "table_scale") : NULL;
        bool known = at && is_op(at, IR_VIEW);
        for (unsigned i = 0; known && i < at->op->n_operands; i++)
            known = is_known_before(ir_operand(at->op, i), p->loop);
        if (!known)
            continue;
        ir_builder b = ir_builder_before(p->loop);
        b.where = p->loop->where;
        ir_value *operands[IR_MAX_RANK + 1];
        for (unsigned i = 0; i < at->op->n_operands; i++)
            operands[i] = value_in_round(&b, p->loop, ir_operand(at->op, i), p->loop, NULL);
        ir_value *line =
            ir_result(ir_build(&b, IR_VIEW, at->op->n_operands, operands, 1, &at->type), 0);
        ir_build(&b, IR_PREFETCH, 1, &line, 0, NULL);
        return;
    }
}

void prefetch_halves(prefetching *p)
{
    const int64_t rounds = (int64_t)rounds_of(p->loop), half = rounds / 2;
    ir_op *second = halve(p, half);
    p->halved = true;
    measure_round(p);
    refresh_tables(p, rounds - half);
    prefetch_streams(p);
    p->loop = second;
    p->count = 0;
    collect_streams(p);
    prefetch_scales(p);
    refresh_tables(p, -half);
    prefetch_streams(p);
    prefetch_behind(p);
}
