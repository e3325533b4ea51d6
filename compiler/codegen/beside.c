// Strips beside products, lookups or those of the matrix unit: their instructions are spread among
// the products in front of them in the block, so that a hart that issues in order has both units at
// work.
//
// Operations on tiles are volatile and keep their order, and none of them touches what the strip
// writes. The strip's instructions keep their order too; of equal parts of them, one goes in front
// of each product, where the loads of its operands have been issued already.
#include "compiler/codegen/emit.h"

#include <string.h>

typedef struct strip_code {
    LLVMValueRef *items; // its instructions
    unsigned count, work;
} strip_code;

// In front of `before`, where it is.
static void move_before(emitter *e, LLVMValueRef instruction, LLVMValueRef before)
{
    LLVMMetadataRef where = LLVMInstructionGetDebugLoc(instruction);
    LLVMInstructionRemoveFromParent(instruction);
    LLVMPositionBuilderBefore(e->builder, before);
    LLVMInsertIntoBuilder(e->builder, instruction);
    LLVMInstructionSetDebugLoc(instruction, where);
}

static bool is_division(LLVMValueRef instruction)
{
    static const char *const names[] = {"llvm.vp.fdiv", "llvm.vp.sqrt"};
    size_t length;
    if (LLVMGetInstructionOpcode(instruction) != LLVMCall)
        return false;
    const char *name = LLVMGetValueName2(LLVMGetCalledValue(instruction), &length);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(name, names[i], strlen(names[i])))
            return true;
    return false;
}

// How long it keeps the vector unit, or that of loads and stores, in passes over its lanes.
static unsigned work_of(const emitter *e, LLVMValueRef instruction)
{
    bool works = LLVMGetInstructionOpcode(instruction) == LLVMCall || is_vector(instruction);
    return is_division(instruction) ? e->options->machine->vector_divide : works;
}

static strip_code code_from(emitter *e, LLVMValueRef first)
{
    strip_code c = {0};
    for (LLVMValueRef v = first; v; v = LLVMGetNextInstruction(v))
        c.count++;
    c.items = ARENA_ARRAY(e->arena, LLVMValueRef, c.count);
    c.count = 0;
    for (LLVMValueRef v = first; v; v = LLVMGetNextInstruction(v)) {
        c.items[c.count++] = v;
        c.work += work_of(e, v);
    }
    return c;
}

// The builder stands where `v` has to have been computed: an empty statement, in order with those
// of tiles, hands it on. LLVM would compute it just before it is used otherwise.
static LLVMValueRef pinned(emitter *e, LLVMValueRef v)
{
    return assembly(e, "", "=^vr,0", LLVMTypeOf(v), &v, 1);
}

static bool replace_uses(const strip_code *c, unsigned from, LLVMValueRef old, LLVMValueRef new)
{
    bool found = false;
    for (unsigned i = from; i < c->count; i++) {
        unsigned n = (unsigned)LLVMGetNumOperands(c->items[i]);
        for (unsigned k = 0; k < n; k++) {
            if (LLVMGetOperand(c->items[i], k) != old)
                continue;
            if (new)
                LLVMSetOperand(c->items[i], k, new);
            found = true;
        }
    }
    return found;
}

// What instructions from .. to compute and others behind them use.
static void pin_results(emitter *e, const strip_code *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        LLVMValueRef v = c->items[i];
        if (is_vector(v) && replace_uses(c, to, v, NULL))
            replace_uses(c, to, v, pinned(e, v));
    }
}

// Equal parts of the strip's work in front of the products.
static void spread(emitter *e, const strip_code *c)
{
    const size_t products = e->products.count;
    unsigned done = 0, next = 0;
    for (size_t part = 0; part < products; part++) {
        const unsigned from = next;
        while (next < c->count &&
               (part + 1 == products || done * products < (part + 1) * c->work)) {
            done += work_of(e, c->items[next]);
            move_before(e, c->items[next++], e->products.items[part]);
        }
        LLVMPositionBuilderBefore(e->builder, e->products.items[part]);
        pin_results(e, c, from, next);
    }
}

// What the dequantizer adds counts where nothing else is multiplied.
void note_product(emitter *e, LLVMValueRef product, bool scaling)
{
    LLVMBasicBlockRef block = LLVMGetInsertBlock(e->builder);
    if (e->products.count && LLVMGetInstructionParent(e->products.items[0]) != block)
        e->products.count = 0;
    if (e->products.count && scaling && !e->scalings)
        return;
    if (e->scalings && !scaling)
        e->products.count = 0;
    e->scalings = scaling;
    ARRAY_PUSH(e->arena, &e->products, product);
}

// LLVM knows how long instructions take on this core, which issues in order as well, and moves
// what one waits for away from it. Functions without such strips are left as they are: there that
// has taken registers and gained nothing.
static void order_for_units(emitter *e, LLVMBasicBlockRef block)
{
    static const char key[] = "tune-cpu", core[] = "sifive-7-series";
    LLVMAttributeRef tune =
        LLVMCreateStringAttribute(e->context, key, sizeof key - 1, core, sizeof core - 1);
    LLVMAddAttributeAtIndex(LLVMGetBasicBlockParent(block), LLVMAttributeFunctionIndex, tune);
}

void emit_strip_beside(emitter *e, ir_op *op)
{
    LLVMBasicBlockRef block = LLVMGetInsertBlock(e->builder);
    LLVMValueRef last = LLVMGetLastInstruction(block), count = value_of(e, ir_operand(op, 0));
    unsigned width = strip_width(op);
    e->lanes = strip_lanes(e, width);
    e->vl = set_lanes(e, count, width);
    e->evl = LLVMBuildTrunc(e->builder, e->vl, int_type(e, 32), "");
    bind_value(e, op->regions[0]->arguments.items[0], int_constant(e, 64, 0));
    bind_value(e, op->regions[0]->arguments.items[1], e->vl);
    emit_block(e, op->regions[0]);
    debug_location(e, op->where);
    e->lanes = 0;
    e->vl = e->evl = NULL;
    bool here = e->products.count && last &&
                LLVMGetInstructionParent(e->products.items[0]) == block &&
                LLVMGetInsertBlock(e->builder) == block;
    if (here) {
        strip_code c = code_from(e, LLVMGetNextInstruction(last));
        spread(e, &c);
        order_for_units(e, block);
        LLVMPositionBuilderAtEnd(e->builder, block);
    }
    e->products.count = 0;
}
