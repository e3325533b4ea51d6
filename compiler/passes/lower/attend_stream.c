// Attention of one row on CPUs, a step of decoding. The heads of a key lie side by side, and keys
// behind each other: who reads them as they lie reads 28 GB/s on a Zen 4, who takes head after head
// 10. So each key meets the queries of all heads before the next one does, and asks for its value,
// which then is near when head after head sums them up.
#include "compiler/passes/lower/attend.h"

// Blocks of queries, some of all groups of heads.
typedef struct query_blocks {
    attention *a;
    unsigned size;   // of each
    ir_value *count; // of a group
    ir_value *done;  // queries of a group in front of them
    ir_value *bounds[2];
} query_blocks;

// Some rows of scratch memory.
static ir_value *rows_from(lowering *l, ir_value *buffer, ir_value *row, unsigned count)
{
    ir_dim dims[2] = {ir_dim_constant(count), buffer->type->dims[1]};
    return low_view(l, buffer, row, low_index(l, 0),
                    ir_type_buffer(l->module, buffer->type->scalar, 2, dims));
}

// Block `number`, and the attention that has its scratch memory.
static query_block block_at(const query_blocks *s, ir_value *number, attention *a)
{
    lowering *l = s->a->l;
    ir_value *size = low_index(l, s->size), *row = low_mul(l, number, size);
    *a = *s->a;
    a->group = low_div(l, number, s->count);
    a->scaled = rows_from(l, s->a->scaled, row, s->size);
    a->weights = rows_from(l, s->a->weights, row, s->size);
    ir_value *first = low_mul(l, low_rem(l, number, s->count), size);
    return attend_block_of(a, low_add(l, s->done, first), s->size);
}

// A part of attend_block for each block.
static void for_blocks(const query_blocks *s, void (*part)(const attention *, query_block *))
{
    attention a;
    low_loop blocks;
    low_for_begin(s->a->l, &blocks, s->bounds[0], s->bounds[1], low_index(s->a->l, 1), 0, NULL);
    query_block b = block_at(s, blocks.counter, &a);
    part(&a, &b);
    low_loop_end(s->a->l, &blocks, NULL);
}

static void prefetch_value(const attention *a, ir_value *row)
{
    lowering *l = a->l;
    ir_dim columns[1] = {low_columns(a->v->type)};
    ir_value *from = low_view(l, a->v->buffer, row, low_index(l, 0),
                              ir_type_buffer(l->module, a->v->type->scalar, 1, columns));
    ir_build(&l->at, IR_PREFETCH, 1, &from, 0, NULL);
}

static void score_key(const attention *a, const query_block *b, ir_value *key)
{
    lowering *l = a->l;
    scalar_type width = attend_strip_width(a->k, b->count);
    const unsigned parts = attend_row_parts(l, a->depth, width);
    const int64_t part = a->depth / parts;
    ir_value *sums[QUERY_BLOCK], *row = attend_cache_row(a, low_add(l, b->first, key));
    low_loop columns;
    prefetch_value(a, row);
    for (unsigned i = 0; i < b->count; i++)
        sums[i] = low_broadcast(l, low_number(l, SCALAR_F32, 0));
    low_strip_begin(l, &columns, low_index(l, part), low_width(width), b->count, sums);
    for (unsigned j = 0; j < parts; j++) {
        ir_value *column = low_add(l, columns.counter, low_index(l, j * part));
        ir_value *k = low_cast(l, low_vload(l, a->k->buffer, row, column, 1), SCALAR_F32);
        for (unsigned i = 0; i < b->count; i++) {
            ir_value *q = low_vload(l, a->scaled, low_index(l, i), column, 1);
            sums[i] = ir_build1(&l->at, IR_FMA, k->type, q, k, j ? sums[i] : columns.carried[i]);
        }
    }
    low_loop_end(l, &columns, sums);
    for (unsigned i = 0; i < b->count; i++)
        low_store(l, low_reduce(l, ir_result(columns.op, i), "add"), a->weights, low_index(l, i),
                  key);
}

// Queries of a row see the same keys.
static void score_blocks(const query_blocks *s)
{
    lowering *l = s->a->l;
    ir_value *one = low_index(l, 1);
    attention a;
    low_loop keys, blocks;
    query_block any = block_at(s, s->bounds[0], &a);
    low_for_begin(l, &keys, low_index(l, 0), any.keys, one, 0, NULL);
    low_for_begin(l, &blocks, s->bounds[0], s->bounds[1], one, 0, NULL);
    query_block b = block_at(s, blocks.counter, &a);
    score_key(&a, &b, keys.counter);
    low_loop_end(l, &blocks, NULL);
    low_loop_end(l, &keys, NULL);
}

void attend_streamed_row(attention *a)
{
    lowering *l = a->l;
    const int64_t share = a->heads / a->groups;
    const block_sizes sizes = attend_block_sizes(a);
    int64_t done = 0;
    for (unsigned i = 0; i < sizes.count; i++) {
        const int64_t count = (share - done) / sizes.size[i];
        ir_value *all = low_index(l, a->groups * count);
        low_loop blocks;
        query_blocks s = {.a = a,
                          .size = sizes.size[i],
                          .count = low_index(l, count),
                          .done = low_index(l, done)};
        low_cuts_begin(l, &blocks, all, all, s.bounds);
        for_blocks(&s, attend_scale_queries);
        score_blocks(&s);
        for_blocks(&s, attend_weigh_values);
        low_loop_end(l, &blocks, blocks.carried);
        done += count * sizes.size[i];
    }
}
