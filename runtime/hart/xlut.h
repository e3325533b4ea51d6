// What the files that execute Xlut share: where operands are, and the frequent instructions.
#pragma once

#include "runtime/hart/internal.h"

// Of hart.operands: memory that the guest only reads, and what it writes, the latest first.
enum { CONSTANT, VARIABLE, SEGMENTS = 5 };
_Static_assert(sizeof((hart *)0)->operands == SEGMENTS * sizeof(hart_segment), "one for each");

static inline bool lies_in(const hart_segment *s, uint64_t address, uint64_t bytes)
{
    uint64_t offset = address - s->address;
    return offset < s->size && bytes <= s->size - offset;
}

// Looks where no segment helped that is remembered: the range may span several.
uint8_t *hart_xlut_search(hart *h, uint64_t address, uint32_t bytes, unsigned access);

// Whether a segment that is remembered has all of this.
static inline bool is_remembered(const hart *h, uint64_t address, uint64_t bytes, unsigned access)
{
    bool found = lies_in(&h->operands[VARIABLE], address, bytes) ||
                 (access == HART_READ && lies_in(&h->operands[CONSTANT], address, bytes));
    for (unsigned i = VARIABLE + 1; !found && i < SEGMENTS; i++)
        found = lies_in(&h->operands[i], address, bytes);
    return found;
}

static inline uint8_t *find(hart *h, uint64_t address, uint32_t bytes, unsigned access)
{
    if (is_remembered(h, address, bytes, access))
        return h->memory_base + address;
    return hart_xlut_search(h, address, bytes, access);
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

// ------------------------------------------- the frequent ones, without detours

// Tiles are not copied. Memory that nobody writes, as that of weights, may be referred to for long;
// other references are added to `passing`, to be settled before somebody may write memory.
static inline void load(hart *h, lut_unit *u, unsigned rd, bool half, uint64_t address,
                        uint32_t *passing)
{
    const uint32_t bytes = half ? u->half_bytes : u->tile_bytes;
    check_alignment(h, address, LUT_TILE_ALIGNMENT, false);
    const bool lasting = lies_in(&h->operands[CONSTANT], address, bytes);
    const uint8_t *host = lasting ? h->memory_base + address : find(h, address, bytes, HART_READ);
    lut_refer(u, rd, half, host);
    *passing = (*passing & ~(1u << rd)) | (uint32_t)!lasting << rd;
    u->counters.bytes_read += bytes;
}

static inline void look_up(lut_unit *u, const isa_instruction *in, const lut_lmma *choice)
{
    const uint32_t narrow = in->table == XLUT_TABLE_I8 ? 1u << in->rs1 : 0;
    if (__builtin_expect(u->half_references & ~narrow, 0))
        lut_settle(u, u->half_references & ~narrow);
    lut_settle(u, 1u << in->rd);
    u->half_zero &= ~((uint32_t)!choice->keeps_half << in->rd);
    choice->execute(u, in, choice->first);
}

static inline void look_up_and_count(lut_unit *u, const isa_instruction *in, const lut_lmma *choice)
{
    look_up(u, in, choice);
    u->lmma_count++;
    u->counters.lookups += choice->lookups;
    u->counters.multiply_accumulates += choice->multiply_accumulates;
}

static inline uint32_t scale_size(const isa_instruction *in)
{
    return in->scale_type == XLUT_SCALE_F16 ? 2 : 4;
}

// The operands of a lut.deq, and their bytes: scales of that size, factors unless rs2 is 0.
typedef struct deq_operands {
    uint8_t *scales, *factors;
    uint32_t bytes;
} deq_operands;

static inline deq_operands find_scales(hart *h, const lut_unit *u, unsigned rs1, unsigned rs2,
                                       uint32_t size)
{
    deq_operands o = {.bytes = u->n * size};
    check_alignment(h, h->x[rs1], size, false);
    o.scales = find(h, h->x[rs1], o.bytes, HART_READ);
    if (rs2) {
        check_alignment(h, h->x[rs2], 4, false);
        o.factors = find(h, h->x[rs2], 4 * u->m, HART_READ);
        o.bytes += 4 * u->m;
    }
    return o;
}

static inline void dequantize(hart *h, lut_unit *u, const isa_instruction *in)
{
    const deq_operands o = find_scales(h, u, in->rs1, in->rs2, scale_size(in));
    lut_operands operands;
    operands.count = o.factors ? 2 : 1;
    operands.item[0].host[0] = o.scales;
    operands.item[1].host[0] = o.factors;
    lut_own(u, 1u << in->rd);
    lut_settle(u, 1u << in->rs3);
    u->functions[ISA_LUT_DEQ](u, in, &operands);
    u->counters.bytes_read += o.bytes;
}

static inline void clear(lut_unit *u, const isa_instruction *in)
{
    lut_forget(u, in->rd);
    u->functions[ISA_LUT_ZERO](u, in, NULL);
}

enum { MOST_STRIDE = 1 << 24 };

// The first of some rows, where a remembered segment holds all of them; NULL: nothing is known.
static inline uint8_t *find_extent(const hart *h, uint64_t address, int64_t stride, uint32_t rows,
                                   uint32_t row_bytes, uint32_t alignment, bool write)
{
    const uint64_t last = rows - 1;
    if (stride > MOST_STRIDE || stride < -MOST_STRIDE ||
        ((address | (uint64_t)stride) & (alignment - 1)) != 0)
        return NULL;
    const uint64_t lowest = address + (stride < 0 ? last * (uint64_t)stride : 0);
    const uint32_t bytes = (uint32_t)(last * (uint64_t)(stride < 0 ? -stride : stride)) + row_bytes;
    return is_remembered(h, lowest, bytes, write ? HART_WRITE : HART_READ)
               ? h->memory_base + address
               : NULL;
}

// False: nothing was done.
static inline bool find_rows(const hart *h, lut_operand *o)
{
    const int64_t stride = (int64_t)o->stride;
    uint8_t *host = find_extent(h, o->address, stride, o->rows, o->bytes, o->alignment, o->write);
    for (unsigned row = 0; host && row < o->rows; row++, host += stride)
        o->host[row] = host;
    return host != NULL;
}

static inline void resolve(hart *h, lut_operands *operands)
{
    for (unsigned i = 0; i < operands->count; i++) {
        lut_operand *o = &operands->item[i];
        if (!find_rows(h, o))
            for (unsigned row = 0; row < o->rows; row++)
                resolve_row(h, o, row);
    }
}

static inline void count_bytes(lut_counters *c, const lut_operands *operands)
{
    for (unsigned i = 0; i < operands->count; i++) {
        const lut_operand *o = &operands->item[i];
        *(o->write ? &c->bytes_written : &c->bytes_read) += (uint64_t)o->rows * o->bytes;
    }
}

// lut.sta, lut.st, lut.stm and lut.tbl, which write memory or a whole tile.
static inline void execute_whole(hart *h, lut_unit *u, const isa_instruction *in)
{
    lut_operands operands;
    hart_require(h, lut_operands_of(u, in, h->x, &operands));
    resolve(h, &operands);
    count_bytes(&u->counters, &operands);
    if (in->opcode == ISA_LUT_TBL)
        lut_forget(u, in->rd);
    else
        lut_settle(u, 1u << (in->opcode == ISA_LUT_ST ? in->rs2 : in->rd));
    u->functions[in->opcode](u, in, &operands);
}

// lut.lda, lut.ldm and lut.ldt, which write a whole tile and no memory.
static inline void fill(hart *h, lut_unit *u, const isa_instruction *in)
{
    lut_operands operands;
    hart_require(h, lut_operands_of(u, in, h->x, &operands));
    resolve(h, &operands);
    count_bytes(&u->counters, &operands);
    lut_forget(u, in->rd);
    u->half_zero &= ~(1u << in->rd);
    u->functions[in->opcode](u, in, &operands);
}

static inline void multiply(lut_unit *u, const isa_instruction *in, uint64_t work)
{
    lut_settle(u, 1u << in->rs1 | 1u << in->rs2);
    lut_own(u, 1u << in->rd);
    u->counters.mma_multiply_accumulates += work;
    u->functions[ISA_MMA](u, in, NULL);
}
