// Addresses, and scalars and vectors that are loaded and stored.
#include "compiler/estimate/walk.h"

#include <math.h>

// Harts whose accesses are the same, because the address does not vary with what divides them.
static double share_of(const walker *w, uint64_t varies)
{
    double share = 1;
    for (unsigned d = 0; w->harts > 1 && d < MAX_DEPTH; d++)
        if (w->division[d] > 1 && !(varies >> d & 1))
            share *= w->division[d];
    return share;
}

static void set_share(const walker *w, access *a, uint64_t varies)
{
    const machine *m = w->frame->options->machine;
    double together = m->parts & MACHINE_CLUSTER ? m->cluster_harts : 1;
    unsigned divisions = 0;
    for (unsigned d = 0; w->harts > 1 && d < MAX_DEPTH; d++)
        divisions += w->division[d] > 1;
    a->share = a->write ? 1 : share_of(w, varies);
    // Harts that are divided in two directions stand in a square.
    a->nearby = fmin(a->share, divisions > 1 ? sqrt(together) : together);
}

static uint64_t varies_of(const walker *w, const ir_op *op, const ir_value *buffer, unsigned first)
{
    uint64_t varies = info(w, buffer)->form.varies;
    for (unsigned i = first; i < op->n_operands; i++)
        varies |= info(w, ir_operand(op, i))->form.varies;
    return varies;
}

static unsigned root_of(const walker *w, const ir_value *buffer)
{
    const ir_value *r = info(w, buffer)->root;
    return r && r->kind == IR_VALUE_ARGUMENT && !r->block->parent ? r->index : MAX_ROOTS;
}

// Bytes behind the root's start. Where an index is not known, somewhere.
static int64_t address_of(walker *w, const ir_op *op, const ir_value *buffer, unsigned first)
{
    const ir_type *t = buffer->type;
    int64_t at = 0;
    for (unsigned i = first; i < op->n_operands && i - first < t->rank; i++)
        at += info(w, ir_operand(op, i))->value * element_stride(t, i - first);
    return info(w, buffer)->value + at * (int64_t)scalar_size(t->scalar);
}

void walk_view(walker *w, ir_op *op)
{
    value_info *r = info(w, &op->results[0]);
    r->value = address_of(w, op, ir_operand(op, 0), 1);
    r->known = true;
    r->at = at_once;
}

access walk_span(walker *w, const ir_value *buffer, int64_t stride, int64_t bytes, unsigned rows,
                 bool write)
{
    access a = {.root = root_of(w, buffer),
                .offset = info(w, buffer)->value,
                .stride = stride,
                .bytes = bytes,
                .rows = rows,
                .write = write};
    set_share(w, &a, info(w, buffer)->form.varies);
    return a;
}

// -------------------------------------------------------------------- scalars and vectors

void walk_scalar_access(walker *w, ir_op *op, bool write)
{
    const ir_value *buffer = ir_operand(op, write);
    unsigned bytes = (unsigned)scalar_size(buffer->type->scalar);
    bool floating = ir_type_is_float(buffer->type);
    access a = {.root = root_of(w, buffer),
                .offset = address_of(w, op, buffer, write + 1),
                .bytes = bytes,
                .rows = 1,
                .write = write};
    set_share(w, &a, varies_of(w, op, buffer, 1));
    isa_instruction in = {.opcode = write ? (floating ? ISA_FSW : ISA_SW)
                                          : (floating ? ISA_FLW : ISA_LW)};
    operands x = {0};
    if (write)
        x = walk_operand(w, ir_operand(op, 0));
    result y = hart_issue(w->hart, &in, &w->shape, &x, 1, &a);
    w->info->ops.items[op->mark].last_address = a.offset;
    if (write)
        return;
    value_info *r = info(w, &op->results[0]);
    r->at = y;
    r->known = r->is_integer;
    bool row = w->info->gathers && buffer->kind == IR_VALUE_ARGUMENT;
    r->value = row ? w->gathered++ : w->frame->options->position;
}

static isa_opcode vector_access(unsigned bits, bool strided, bool write)
{
    static const isa_opcode opcodes[2][2][4] = {
        {{ISA_VLE8_V, ISA_VLE16_V, ISA_VLE32_V, ISA_VLE64_V},
         {ISA_VSE8_V, ISA_VSE16_V, ISA_VSE32_V, ISA_VSE64_V}},
        {{ISA_VLSE8_V, ISA_VLSE16_V, ISA_VLSE32_V, ISA_VLSE64_V},
         {ISA_VSSE8_V, ISA_VSSE16_V, ISA_VSSE32_V, ISA_VSSE64_V}}};
    unsigned size = bits <= 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
    return opcodes[strided][write][size];
}

void walk_vector_access(walker *w, ir_op *op, bool write)
{
    const ir_value *buffer = ir_operand(op, write);
    int64_t size = (int64_t)scalar_size(buffer->type->scalar), step = ir_integer(op, "stride");
    bool strided = step != 1;
    access a = {.root = root_of(w, buffer),
                .offset = address_of(w, op, buffer, write + 1),
                .stride = step * size,
                .bytes = strided ? size : size * (int64_t)w->lanes,
                .rows = strided ? (unsigned)w->lanes : 1,
                .write = write};
    set_share(w, &a, varies_of(w, op, buffer, 1));
    isa_instruction in = {.opcode = (uint16_t)vector_access((unsigned)(8 * size), strided, write)};
    operands x = {0};
    if (write)
        x = walk_operand(w, ir_operand(op, 0));
    result y = hart_issue(w->hart, &in, &w->shape, &x, 1, &a);
    w->info->ops.items[op->mark].last_address = a.offset;
    if (!write)
        info(w, &op->results[0])->at = y;
}

// Neighbours move as lanes of twice the number.
static result move_pairs(walker *w, ir_op *op, unsigned slot, const operands *x)
{
    const ir_value *buffer = ir_operand(op, slot);
    int64_t size = (int64_t)scalar_size(buffer->type->scalar);
    access a = {.root = root_of(w, buffer),
                .offset = address_of(w, op, buffer, slot + 1),
                .bytes = 2 * size * (int64_t)w->lanes,
                .rows = 1,
                .write = slot > 0};
    set_share(w, &a, varies_of(w, op, buffer, 1));
    isa_instruction in = {.opcode = (uint16_t)vector_access((unsigned)(8 * size), false, slot > 0)};
    isa_shape shape = {.vl = 2 * w->lanes, .sew = (unsigned)(8 * size)};
    result y = hart_issue(w->hart, &in, &shape, x, 1, &a);
    w->info->ops.items[op->mark].last_address = a.offset;
    return y;
}

// Lanes are narrowed: from wide ones of two neighbours each.
void walk_load_pairs(walker *w, ir_op *op)
{
    unsigned bits = scalar_rows[ir_operand(op, 0)->type->scalar].bits;
    isa_shape narrow = {.vl = w->lanes, .sew = bits};
    operands x = {.n = 1, .items = {move_pairs(w, op, 0, &(operands){0})}};
    for (unsigned i = 0; i < 2; i++)
        info(w, &op->results[i])->at = hart_issue_plain(w->hart, ISA_VNSRL_WI, &narrow, &x);
}

// Two neighbours become a wide lane by a widening sum and product.
void walk_store_pairs(walker *w, ir_op *op)
{
    unsigned bits = scalar_rows[ir_operand(op, 2)->type->scalar].bits;
    isa_shape wide = {.vl = w->lanes, .sew = bits};
    operands x = walk_operand(w, ir_operand(op, 0)), y = walk_operand(w, ir_operand(op, 1));
    operands both = {.n = 2, .items = {x.items[0], y.items[0]}};
    both.items[0] = hart_issue_plain(w->hart, ISA_VWADDU_VV, &wide, &both);
    both.items[0] = hart_issue_plain(w->hart, ISA_VWMACCU_VX, &wide, &both);
    both.n = 1;
    move_pairs(w, op, 2, &both);
}
