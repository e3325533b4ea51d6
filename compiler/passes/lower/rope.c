// Rotary position embeddings: the angles of a strip of pairs are loaded once for all heads.
#include "compiler/passes/lower/lower.h"

typedef struct rotation {
    const place *x, *cosine, *sine, *y;
    ir_dim heads;
    int64_t pairs, columns;
    bool half; // pair p is (p, p + pairs), not (2 p, 2 p + 1)
    const char *width;
} rotation;

static ir_value *head_row(lowering *l, const rotation *r, ir_value *row, ir_value *head)
{
    return low_add(l, low_mul(l, row, low_dim(l, r->heads)), head);
}

static low_pair load_pairs(lowering *l, const rotation *r, ir_value *row, ir_value *pair)
{
    ir_value *x = r->x->buffer;
    if (!r->half)
        return low_vload_pairs(l, x, row, low_mul(l, pair, low_index(l, 2)));
    ir_value *second = low_add(l, pair, low_index(l, r->pairs));
    return (low_pair){low_vload(l, x, row, pair, 1), low_vload(l, x, row, second, 1)};
}

static void store_pairs(lowering *l, const rotation *r, low_pair x, ir_value *row, ir_value *pair)
{
    ir_value *y = r->y->buffer;
    if (!r->half) {
        low_vstore_pairs(l, x, y, row, low_mul(l, pair, low_index(l, 2)));
        return;
    }
    low_vstore(l, x.first, y, row, pair, 1);
    low_vstore(l, x.second, y, row, low_add(l, pair, low_index(l, r->pairs)), 1);
}

static void rotate(lowering *l, const rotation *r, ir_value *row, ir_value *pair, ir_value *cosine,
                   ir_value *sine)
{
    scalar_type to = r->y->type->scalar;
    low_pair x = load_pairs(l, r, row, pair);
    ir_value *a = low_cast(l, x.first, SCALAR_F32), *b = low_cast(l, x.second, SCALAR_F32);
    ir_value *minus = low_unary(l, IR_NEG, low_binary(l, IR_MUL, b, sine));
    ir_value *plus = low_binary(l, IR_MUL, b, cosine);
    ir_value *u = ir_build1(&l->at, IR_FMA, a->type, a, cosine, minus);
    ir_value *v = ir_build1(&l->at, IR_FMA, a->type, a, sine, plus);
    store_pairs(l, r, (low_pair){low_cast(l, u, to), low_cast(l, v, to)}, row, pair);
}

static void rotate_heads(lowering *l, const rotation *r, ir_value *row)
{
    ir_value *zero = low_index(l, 0), *one = low_index(l, 1);
    low_loop strip, heads;
    low_strip_begin(l, &strip, low_index(l, r->pairs), r->width, 0, NULL);
    ir_value *cosine = low_vload(l, r->cosine->buffer, row, strip.counter, 1);
    ir_value *sine = low_vload(l, r->sine->buffer, row, strip.counter, 1);
    low_for_begin(l, &heads, zero, low_dim(l, r->heads), one, 0, NULL);
    rotate(l, r, head_row(l, r, row, heads.counter), strip.counter, cosine, sine);
    low_loop_end(l, &heads, NULL);
    low_loop_end(l, &strip, NULL);
}

// Columns behind the pairs stay as they are.
static void copy_rest(lowering *l, const rotation *r, ir_value *row)
{
    ir_value *first = low_index(l, 2 * r->pairs);
    low_loop heads, strip;
    low_for_begin(l, &heads, low_index(l, 0), low_dim(l, r->heads), low_index(l, 1), 0, NULL);
    ir_value *head = head_row(l, r, row, heads.counter);
    low_strip_begin(l, &strip, low_index(l, r->columns - 2 * r->pairs), r->width, 0, NULL);
    ir_value *column = low_add(l, first, strip.counter);
    ir_value *x = low_vload(l, r->x->buffer, head, column, 1);
    low_vstore(l, low_cast(l, x, r->y->type->scalar), r->y->buffer, head, column, 1);
    low_loop_end(l, &strip, NULL);
    low_loop_end(l, &heads, NULL);
}

bool lower_rope_kernel(lowering *l)
{
    const ir_op *op = l->region->first;
    while (op->code != IR_ROPE)
        op = op->next;
    const ir_type *x = ir_operand(op, 0)->type, *angles = ir_operand(op, 1)->type;
    rotation r = {.x = low_input(l, ir_operand(op, 0)),
                  .cosine = low_input(l, ir_operand(op, 1)),
                  .sine = low_input(l, ir_operand(op, 2)),
                  .y = &l->outputs[0],
                  .heads = x->dims[x->rank - 2],
                  .pairs = low_columns(angles).value,
                  .columns = low_columns(x).value,
                  .half = ir_name_is(op, "layout", "half"),
                  .width = low_region_width(l->region)};
    l->at.where = op->where;
    low_loop rows;
    low_shared_begin(l, &rows, low_row_count(l, angles), "turns");
    rotate_heads(l, &r, rows.counter);
    if (2 * r.pairs < r.columns)
        copy_rest(l, &r, rows.counter);
    low_loop_end(l, &rows, NULL);
    return true;
}
