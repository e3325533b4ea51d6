// Xlut: resolves and probes every memory operand, then lets the LUT unit execute.

#include "runtime/hart/xlut.h"

_Noreturn static void raise_fault(hart *h, uint64_t address, unsigned access)
{
    uint64_t faulting = address + hart_memory_extent(h->memory, address, access);
    hart_raise(h, access == HART_WRITE ? HART_STORE_FAULT : HART_LOAD_FAULT, faulting);
}

// Remembers the segment of this address until hart_run ends: mappings do not change before. An
// observer may do what it likes in between.
static void remember(hart *h, uint64_t address)
{
    size_t count;
    const hart_segment *s = hart_memory_segments(h->memory, &count);
    for (size_t i = 0; i < count && !h->observer; i++) {
        if (!lies_in(&s[i], address, 1) || !(s[i].access & HART_READ))
            continue;
        for (unsigned k = SEGMENTS - 1; k > VARIABLE && s[i].access & HART_WRITE; k--)
            h->operands[k] = h->operands[k - 1];
        h->operands[s[i].access & HART_WRITE ? VARIABLE : CONSTANT] = s[i];
        h->operand_changes++;
    }
}

uint8_t *hart_xlut_search(hart *h, uint64_t address, uint32_t bytes, unsigned access)
{
    uint8_t *host = hart_memory_range(h->memory, address, bytes, access);
    if (!host)
        raise_fault(h, address, access);
    remember(h, address);
    return host;
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

static void execute_load(hart *h, const isa_instruction *in)
{
    uint32_t passing = 0;
    hart_require(h, h->lut != NULL);
    load(h, h->lut, in->rd, in->half, h->x[in->rs1] + (uint64_t)(int64_t)in->imm, &passing);
    lut_settle(h->lut, passing);
}

static void execute_lmma(hart *h, const isa_instruction *in)
{
    hart_require(h, h->lut != NULL);
    look_up_and_count(h->lut, in, lut_lmma_of(h->lut, in));
}

static void execute_dequantize(hart *h, const isa_instruction *in)
{
    hart_require(h, h->lut != NULL);
    dequantize(h, h->lut, in);
}

// Of instructions without memory operands.
static void execute_tiles(hart *h, const isa_instruction *in)
{
    lut_operands none;
    none.count = 0;
    hart_require(h, h->lut != NULL);
    lut_execute(h->lut, in, &none);
}

void hart_settle_tiles(hart *h)
{
    if (h->lut)
        lut_own(h->lut, UINT32_MAX);
    for (unsigned i = 0; i < SEGMENTS; i++)
        h->operands[i] = (hart_segment){0};
    h->operand_changes++;
}

const hart_handler_row hart_xlut_rows[] = {
    {ISA_LMMA, execute_lmma}, {ISA_MMA, execute_tiles},      {ISA_LUT_TBL, execute},
    {ISA_LUT_LDM, execute},   {ISA_LUT_STM, execute},        {ISA_LUT_LDT, execute},
    {ISA_LUT_LDA, execute},   {ISA_LUT_STA, execute},        {ISA_LUT_LD, execute_load},
    {ISA_LUT_ST, execute},    {ISA_LUT_PF, execute_tiles},   {ISA_LUT_DEQ, execute_dequantize},
    {ISA_LUT_OFF, execute},   {ISA_LUT_ZERO, execute_tiles}, {ISA_ILLEGAL, NULL},
};
