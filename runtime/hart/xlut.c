// Xlut: resolves and probes every memory operand, then lets the LUT unit execute.

#include "runtime/hart/internal.h"

static void resolve_row(hart *h, lut_operand *operand, unsigned row)
{
    uint64_t address = operand->address + row * operand->stride;
    if (address % operand->alignment != 0)
        hart_raise(h, operand->write ? HART_STORE_MISALIGNED : HART_LOAD_MISALIGNED, address);
    unsigned access = operand->write ? HART_WRITE : HART_READ;
    operand->host[row] = hart_memory_range(h->memory, address, operand->bytes, access);
    if (operand->host[row])
        return;
    uint64_t faulting = address + hart_memory_extent(h->memory, address, access);
    hart_raise(h, operand->write ? HART_STORE_FAULT : HART_LOAD_FAULT, faulting);
}

static void execute(hart *h, const isa_instruction *in)
{
    lut_operands operands;
    hart_require(h, h->lut && lut_operands_of(h->lut, in, h->x, &operands));
    for (unsigned i = 0; i < operands.count; i++)
        for (unsigned row = 0; row < operands.item[i].rows; row++)
            resolve_row(h, &operands.item[i], row);
    lut_execute(h->lut, in, &operands);
}

const hart_handler_row hart_xlut_rows[] = {
    {ISA_LMMA, execute},    {ISA_MMA, execute},     {ISA_LUT_TBL, execute},  {ISA_LUT_LDA, execute},
    {ISA_LUT_STA, execute}, {ISA_LUT_LD, execute},  {ISA_LUT_ST, execute},   {ISA_LUT_PF, execute},
    {ISA_LUT_DEQ, execute}, {ISA_LUT_OFF, execute}, {ISA_LUT_ZERO, execute}, {ISA_ILLEGAL, NULL},
};
