// stream-softmax: attention of prompts whose rows of scores would leave scratch memory weighs keys
// block by block, with the greatest score so far.
#include "compiler/passes/graph.h"

// Scores in f32 of a block of queries, and the halves of their weights, in half of a hart's
// scratch.
static int64_t keys_in_scratch(const machine *m, const ir_op *attend)
{
    bool rounded = ir_name_is(attend, "precision", "rounded");
    bool f16 = ir_operand_named(attend, "k")->type->scalar == SCALAR_F16;
    int64_t parts = rounded ? 1 : f16 ? 2 : 3, row = 4 + 2 * parts;
    int64_t sharers = m->cluster_harts ? m->cluster_harts : 1;
    return (int64_t)m->scratch_size / sharers / 2 / (8 * m->tile_m * row);
}

// A power of two, and whole tiles.
static int64_t block_of(const machine *m, int64_t keys)
{
    int64_t block = m->tile_n / 4;
    while (2 * block <= keys)
        block *= 2;
    return block;
}

static void attend(pass_context *c, ir_op *op)
{
    const ir_type *k = ir_operand_named(op, "k")->type;
    int64_t most = ir_dim_maximum(k->dims[k->rank - 3]), block = pass_argument_integer(c, "keys");
    if (!ir_name_is(op, "unit", "matrix")) {
        pass_remark(c, REMARK_MISSED, op->where,
                    "attention keeps rows of scores: it is not on the matrix unit");
        return;
    }
    block = block_of(c->machine, block ? block : keys_in_scratch(c->machine, op));
    if (most <= block) {
        pass_remark(c, REMARK_MISSED, op->where,
                    "attention keeps rows of scores: those of %lld keys stay in scratch memory",
                    (long long)most);
        return;
    }
    ir_set_integer(op, "key_block", block);
    pass_remark(c, REMARK_APPLIED, op->where, "attention of prompts weighs blocks of %lld keys",
                (long long)block);
}

bool pass_stream_softmax(ir_module *m, pass_context *c)
{
    for (ir_function *f = m->functions; f && c->machine->parts & MACHINE_MATRIX; f = f->next)
        IR_FOR_OPS(op, f->body)
    if (op->code == IR_ATTEND)
        attend(c, op);
    return true;
}
