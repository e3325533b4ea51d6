// Xlut: resolves and probes every memory operand, then lets the LUT unit execute.

#include "runtime/hart/internal.h"

enum { CONSTANT, VARIABLE }; // of hart.operands: memory that the guest only reads, and other

static inline bool lies_in(const hart_segment *s, uint64_t address, uint32_t bytes)
{
    uint64_t offset = address - s->address;
    return offset < s->size && bytes <= s->size - offset;
}

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
        bool writable = (s[i].access & HART_WRITE) != 0;
        if (lies_in(&s[i], address, 1) && s[i].access & HART_READ)
            h->operands[writable ? VARIABLE : CONSTANT] = s[i];
    }
}

// Looks where no segment helped that is remembered: the range may span several.
__attribute__((noinline)) static uint8_t *search(hart *h, uint64_t address, uint32_t bytes,
                                                 unsigned access)
{
    uint8_t *host = hart_memory_range(h->memory, address, bytes, access);
    if (!host)
        raise_fault(h, address, access);
    remember(h, address);
    return host;
}

static inline uint8_t *find(hart *h, uint64_t address, uint32_t bytes, unsigned access)
{
    if (lies_in(&h->operands[VARIABLE], address, bytes) ||
        (access == HART_READ && lies_in(&h->operands[CONSTANT], address, bytes)))
        return h->memory_base + address;
    return search(h, address, bytes, access);
}

static inline void check_alignment(hart *h, uint64_t address, uint32_t alignment, bool write)
{
    if (__builtin_expect((address & (alignment - 1)) != 0, 0))
        hart_raise(h, write ? HART_STORE_MISALIGNED : HART_LOAD_MISALIGNED, address);
}

static inline void resolve_row(hart *h, lut_operand *operand, unsigned row)
{
    uint64_t address = operand->address + row * operand->stride;
    check_alignment(h, address, operand->alignment, operand->write);
    operand->host[row] = find(h, address, operand->bytes, operand->write ? HART_WRITE : HART_READ);
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

// ------------------------------------------- the frequent ones, without detours

// Whole tiles of memory that nobody writes, as weights are, are not copied.
static void execute_load(hart *h, const isa_instruction *in)
{
    lut_unit *u = h->lut;
    hart_require(h, u != NULL);
    const uint64_t address = h->x[in->rs1] + (uint64_t)(int64_t)in->imm;
    const uint32_t bytes = in->half ? u->tile_bytes / 2 : u->tile_bytes;
    check_alignment(h, address, LUT_TILE_ALIGNMENT, false);
    if (!in->half && lies_in(&h->operands[CONSTANT], address, bytes)) {
        lut_refer(u, in->rd, h->memory_base + address);
    } else {
        lut_operands operands;
        operands.count = 1;
        operands.item[0].bytes = bytes;
        operands.item[0].host[0] = find(h, address, bytes, HART_READ);
        lut_forget(u, in->rd);
        u->functions[ISA_LUT_LD](u, in, &operands);
    }
    u->counters.bytes_read += bytes;
}

static void execute_lmma(hart *h, const isa_instruction *in)
{
    lut_unit *u = h->lut;
    hart_require(h, u != NULL);
    const lut_lmma *choice = lut_lmma_of(u, in);
    if (u->references & 1u << in->rd)
        lut_settle(u, 1u << in->rd);
    choice->execute(u, in, choice->first);
    u->counters.lookups += choice->lookups;
    u->counters.multiply_accumulates += choice->multiply_accumulates;
}

static void execute_dequantize(hart *h, const isa_instruction *in)
{
    lut_unit *u = h->lut;
    hart_require(h, u != NULL);
    const uint32_t size = in->scale_type == XLUT_SCALE_F16 ? 2 : 4, bytes = u->n * size;
    lut_operands operands;
    check_alignment(h, h->x[in->rs1], size, false);
    operands.item[0].host[0] = find(h, h->x[in->rs1], bytes, HART_READ);
    operands.count = in->rs2 ? 2 : 1;
    if (in->rs2) {
        check_alignment(h, h->x[in->rs2], 4, false);
        operands.item[1].host[0] = find(h, h->x[in->rs2], 4 * u->m, HART_READ);
    }
    if (u->references & (1u << in->rd | 1u << in->rs3))
        lut_settle(u, 1u << in->rd | 1u << in->rs3);
    u->functions[ISA_LUT_DEQ](u, in, &operands);
    u->counters.bytes_read += bytes + (in->rs2 ? 4 * u->m : 0);
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
        lut_settle(h->lut, UINT32_MAX);
    h->operands[CONSTANT] = h->operands[VARIABLE] = (hart_segment){0};
}

const hart_handler_row hart_xlut_rows[] = {
    {ISA_LMMA, execute_lmma}, {ISA_MMA, execute_tiles},      {ISA_LUT_TBL, execute},
    {ISA_LUT_LDA, execute},   {ISA_LUT_STA, execute},        {ISA_LUT_LD, execute_load},
    {ISA_LUT_ST, execute},    {ISA_LUT_PF, execute_tiles},   {ISA_LUT_DEQ, execute_dequantize},
    {ISA_LUT_OFF, execute},   {ISA_LUT_ZERO, execute_tiles}, {ISA_ILLEGAL, NULL},
};
