#include "compiler/passes/lower/attend_beside.h"

static ir_value *not_negative(lowering *l, ir_value *v)
{
    return low_sub(l, v, low_min(l, v, low_index(l, 0)));
}

int64_t beside_lanes(const lowering *l)
{
    return 4 * (int64_t)l->context->machine->vlen / scalar_rows[SCALAR_F32].bits;
}

// Threads of a cluster wait for units beside each other.
beside_memory beside_scratch(lowering *l, int64_t queries)
{
    bool pieces = l->context->machine->cluster_threads <= 1;
    return (beside_memory){.across =
                               pieces ? low_scratch(l, SCALAR_F32, queries, beside_lanes(l)) : NULL,
                           .maxima = low_scratch(l, SCALAR_F32, 1, queries),
                           .sums = low_scratch(l, SCALAR_F32, 1, queries)};
}

int64_t beside_keys(const beside *b, int64_t tile)
{
    return !b->across || 2 * tile > b->lanes ? 2 * tile : b->lanes;
}

dealing beside_deal(const beside *b, const strip_work *work, ir_value *round, int64_t keys,
                    int64_t ahead)
{
    lowering *l = b->l;
    if (!b->across)
        return (dealing){0};
    const int64_t strips = keys / b->lanes;
    dealing d = {.with = *b, .work = work, .count = (unsigned)(strips * b->queries)};
    ir_value *first = low_mul(l, low_add(l, round, low_index(l, ahead)), low_index(l, keys));
    ir_value *some = ahead < 0 ? low_min(l, round, low_index(l, 1)) : low_index(l, 1);
    d.pieces = ARENA_ARRAY(l->arena, strip_piece, d.count);
    for (int64_t i = 0; i < strips; i++) {
        strip_piece p = {.column = low_add(l, first, low_index(l, i * b->lanes))};
        ir_value *left = not_negative(l, low_sub(l, b->seen, p.column));
        p.count = low_mul(l, low_min(l, left, low_index(l, b->lanes)), some);
        for (int64_t q = 0; q < b->queries; q++) {
            p.query = low_index(l, q);
            d.pieces[i * b->queries + q] = p;
        }
    }
    return d;
}

static void work_in_lanes(const beside *b, const strip_work *work, const strip_piece *p,
                          bool is_beside)
{
    lowering *l = b->l;
    ir_value *zero = low_index(l, 0);
    low_loop strip;
    low_strip_begin(l, &strip, p->count, "f32", 0, NULL);
    if (is_beside)
        ir_set_boolean(strip.op, "beside", true);
    ir_value *y = work->compute(b->of, p->query, low_add(l, p->column, strip.counter));
    ir_value *before = low_vload(l, b->across, p->query, zero, 1);
    low_vstore(l, low_binary(l, work->by, before, y), b->across, p->query, zero, 1);
    low_loop_end(l, &strip, NULL);
}

void beside_deal_out(dealing *d)
{
    d->seen++;
    for (; d->done < d->count && d->seen * d->count >= (d->done + 1) * d->products; d->done++)
        work_in_lanes(&d->with, d->work, &d->pieces[d->done], true);
}

void beside_in_lanes(const beside *b, const strip_work *work, const strip_piece *p)
{
    work_in_lanes(b, work, p, false);
}

ir_value *beside_alone(const beside *b, const strip_work *work, const strip_piece *p)
{
    lowering *l = b->l;
    ir_value *y = low_broadcast(l, low_number(l, SCALAR_F32, work->none));
    low_loop strip;
    low_strip_begin(l, &strip, p->count, "f32", 1, &y);
    y = work->compute(b->of, p->query, low_add(l, p->column, strip.counter));
    y = low_binary(l, work->by, strip.carried[0], y);
    low_loop_end(l, &strip, &y);
    return low_reduce(l, ir_result(strip.op, 0), work->name);
}

void beside_begin_lanes(const beside *b, const strip_work *work, ir_value *query)
{
    lowering *l = b->l;
    low_fill(l, b->across, query, low_index(l, 0), low_index(l, b->lanes), work->none);
}

static void reduce_lanes(const beside *b, const strip_work *work, ir_value *cells, ir_value *query,
                         bool adds)
{
    lowering *l = b->l;
    ir_value *zero = low_index(l, 0);
    low_loop strip;
    low_strip_begin(l, &strip, low_index(l, b->lanes), "f32", 0, NULL);
    ir_value *y = low_reduce(l, low_vload(l, b->across, query, strip.counter, 1), work->name);
    if (adds)
        y = low_binary(l, work->by, low_load(l, cells, zero, query), y);
    low_store(l, y, cells, zero, query);
    low_loop_end(l, &strip, NULL);
}

void beside_add_lanes(const beside *b, const strip_work *work, ir_value *cells, ir_value *query)
{
    reduce_lanes(b, work, cells, query, true);
}

void beside_end_lanes(const beside *b, const strip_work *work, ir_value *cells, ir_value *query)
{
    reduce_lanes(b, work, cells, query, false);
}
