// Which records of a block are executed by one step: the cheapest way through the block is found
// for every record at which it can be entered.

#include "runtime/hart/internal.h"

enum { COST_OF_ONE = 10, COST_OF_PAIR = 13, COST_OF_FORWARDING_PAIR = 11 };

// Operands may change places without an effect.
static bool is_symmetric(unsigned opcode)
{
    switch (opcode) {
    case ISA_ADD:
    case ISA_ADDW:
    case ISA_MUL:
    case ISA_MULW:
    case ISA_AND:
    case ISA_OR:
    case ISA_XOR:
    case ISA_BEQ:
    case ISA_BNE: return true;
    default: return false;
    }
}

static void exchange_operands(hart_op *op)
{
    uint8_t rs1 = op->rs1;
    op->rs1 = op->rs2;
    op->rs2 = rs1;
}

// The step that executes both; NULL: none.
static hart_step *pair_of(hart_op *op, unsigned first, unsigned second, int *cost)
{
    hart_step *step = NULL;
    if (hart_op_writes_integer(first)) {
        if (op[0].rd == op[1].rs2 && op[0].rd != op[1].rs1 && is_symmetric(second))
            exchange_operands(op + 1);
        if (op[0].rd == op[1].rs1)
            step = hart_pair(first, second, true);
    }
    *cost = step ? COST_OF_FORWARDING_PAIR : COST_OF_PAIR;
    return step ? step : hart_pair(first, second, false);
}

void hart_fuse(hart_block *block)
{
    int cost[HART_LONGEST_BLOCK + 1]; // from this record to the end
    cost[block->count] = COST_OF_ONE;
    for (uint32_t i = block->count; i-- > 0;) {
        hart_op *op = &block->ops[i];
        unsigned opcode = block->details[i].in.opcode;
        op->step = hart_step_of(opcode);
        cost[i] = COST_OF_ONE + cost[i + 1];
        if (i + 1 == block->count)
            continue;
        int pair_cost;
        hart_step *pair = pair_of(op, opcode, block->details[i + 1].in.opcode, &pair_cost);
        if (pair && pair_cost + cost[i + 2] < cost[i]) {
            op->step = pair;
            cost[i] = pair_cost + cost[i + 2];
        }
    }
}
