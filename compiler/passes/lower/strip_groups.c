// Strips of few vectors: registers come in groups of eight instead of four, so that as much work
// takes half as many instructions.
#include "compiler/passes/lower/native.h"

static bool is_vector(const ir_value *v)
{
    return v->type->kind == IR_VECTOR;
}

// Takes no registers but those of its operands and its result; a broadcast takes none.
static bool is_plain(const ir_op *op)
{
    static const ir_opcode plain[] = {IR_VLOAD, IR_ADD, IR_SUB, IR_MUL,
                                      IR_FMA,   IR_MAX, IR_ABS, IR_BROADCAST};
    bool is = !op->n_regions && (op->n_results == 0 || !is_vector(&op->results[0]));
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        is |= op->code == plain[i];
    return is;
}

static bool is_used_behind(const ir_value *v, const ir_op *op)
{
    bool used = false;
    for (const ir_use *u = v->uses; u; u = u->next)
        for (const ir_op *next = op->next; next && !used; next = next->next)
            used = next == u->op;
    return used;
}

// Vectors that are alive behind an operation of a strip: those carried, and those computed so far.
static unsigned alive_behind(const ir_op *op)
{
    unsigned alive = op->block->parent->n_results;
    for (const ir_op *from = op; from; from = from->previous)
        alive += from->n_results && from->code != IR_BROADCAST && is_vector(&from->results[0]) &&
                 is_used_behind(&from->results[0], op);
    return alive;
}

// Whether registers in groups of eight are enough for a strip: three, beside that of masks.
static bool fits_groups_of_eight(const ir_op *strip)
{
    enum { GROUPS = 3 };
    bool fits = true;
    IR_FOR_OPS(op, strip->regions[0])
    {
        fits = fits && is_plain(op) && alive_behind(op) <= GROUPS;
    }
    return fits;
}

// Twice the lanes: as many as halves would have.
void low_widen_groups(const lowering *l, ir_op *strip)
{
    if (!is_native(l->context) && ir_name_is(strip, "width", "f32") && fits_groups_of_eight(strip))
        ir_set_name(strip, "width", "f16");
}
