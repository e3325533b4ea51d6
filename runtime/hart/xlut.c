// Xlut: resolves and probes every memory operand, then lets the LUT unit execute.

#include "runtime/hart/internal.h"

// Where the rows of each operand were found last, as an index of hart_memory_segments, by the first
// base register: a guess, checked against the segments of this moment.
static _Thread_local size_t recent[LUT_MAX_OPERANDS][32];

// The segment's host address of [address, address + bytes); NULL: not in it, or not so accessible.
static uint8_t *in_segment(const hart *h, const hart_segment *s, uint64_t address, uint32_t bytes,
                           unsigned access)
{
    uint64_t offset = address - s->address;
    if (offset >= s->size || bytes > s->size - offset || (s->access & access) != access)
        return NULL;
    return h->memory_base + address;
}

_Noreturn static void raise_fault(hart *h, uint64_t address, unsigned access)
{
    uint64_t faulting = address + hart_memory_extent(h->memory, address, access);
    hart_raise(h, access == HART_WRITE ? HART_STORE_FAULT : HART_LOAD_FAULT, faulting);
}

// Looks where no guess helped: the range may span several segments.
static uint8_t *search(hart *h, uint64_t address, uint32_t bytes, unsigned access, size_t *guess)
{
    uint8_t *host = hart_memory_range(h->memory, address, bytes, access);
    if (!host)
        raise_fault(h, address, access);
    size_t count;
    const hart_segment *s = hart_memory_segments(h->memory, &count);
    for (size_t i = 0; i < count; i++)
        if (in_segment(h, &s[i], address, bytes, access))
            *guess = i;
    return host;
}

static inline uint8_t *find(hart *h, uint64_t address, uint32_t bytes, unsigned access,
                            size_t *guess)
{
    size_t count;
    const hart_segment *s = hart_memory_segments(h->memory, &count);
    uint8_t *host = NULL;
    if (__builtin_expect(*guess < count && bytes > 0, 1))
        host = in_segment(h, &s[*guess], address, bytes, access);
    return __builtin_expect(host != NULL, 1) ? host : search(h, address, bytes, access, guess);
}

static inline void resolve_row(hart *h, lut_operand *operand, unsigned row, size_t *guess)
{
    uint64_t address = operand->address + row * operand->stride;
    if (__builtin_expect((address & (operand->alignment - 1)) != 0, 0))
        hart_raise(h, operand->write ? HART_STORE_MISALIGNED : HART_LOAD_MISALIGNED, address);
    unsigned access = operand->write ? HART_WRITE : HART_READ;
    operand->host[row] = find(h, address, operand->bytes, access, guess);
}

static void execute(hart *h, const isa_instruction *in)
{
    lut_operands operands;
    hart_require(h, h->lut && lut_operands_of(h->lut, in, h->x, &operands));
    for (unsigned i = 0; i < operands.count; i++)
        for (unsigned row = 0; row < operands.item[i].rows; row++)
            resolve_row(h, &operands.item[i], row, &recent[i][in->rs1]);
    lut_execute(h->lut, in, &operands);
}

// lut.ld, the most frequent of those with an operand.
static void execute_load(hart *h, const isa_instruction *in)
{
    lut_operands operands;
    hart_require(h, h->lut && lut_operands_of(h->lut, in, h->x, &operands));
    resolve_row(h, &operands.item[0], 0, &recent[0][in->rs1]);
    lut_execute(h->lut, in, &operands);
}

// Of instructions without memory operands.
static void execute_tiles(hart *h, const isa_instruction *in)
{
    lut_operands none;
    none.count = 0;
    hart_require(h, h->lut != NULL);
    lut_execute(h->lut, in, &none);
}

const hart_handler_row hart_xlut_rows[] = {
    {ISA_LMMA, execute_tiles}, {ISA_MMA, execute_tiles},      {ISA_LUT_TBL, execute},
    {ISA_LUT_LDA, execute},    {ISA_LUT_STA, execute},        {ISA_LUT_LD, execute_load},
    {ISA_LUT_ST, execute},     {ISA_LUT_PF, execute_tiles},   {ISA_LUT_DEQ, execute},
    {ISA_LUT_OFF, execute},    {ISA_LUT_ZERO, execute_tiles}, {ISA_ILLEGAL, NULL},
};
