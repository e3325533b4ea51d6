// vset{i}vl{i}: the only writers of vtype and vl.

#include "runtime/hart/vector.h"

// Bit 8 * SEW + LMUL as vtype encodes them: SEW is at most LMUL * ELEN for fractional LMUL.
static const uint32_t valid_pairs = 0x0f8fcfef;

static bool valid_vtype(uint64_t vtype)
{
    return (vtype & ~0xdfull) == 0 && (valid_pairs >> (vtype & 31) & 1);
}

static inline void set_vtype(hart *h, uint64_t vtype)
{
    const bool valid = valid_vtype(vtype);
    if (__builtin_expect(!valid, 0))
        vtype = 0;
    const int32_t lmul = (int32_t)((uint32_t)vtype << 29) >> 29;
    // vill, sew and lmul at once: it is compared at once.
    h->shape = !valid | (vtype >> 3 & 7) << 8 | (uint32_t)(uint8_t)lmul << 16;
    h->vta = vtype >> 6 & 1;
    h->vma = vtype >> 7 & 1;
}

static inline void configure(hart *h, const isa_instruction *in, uint64_t vtype, uint64_t length)
{
    set_vtype(h, vtype);
    uint64_t maximum = h->vill ? 0 : vector_length_maximum(h);
    h->vl = length < maximum ? length : maximum;
    h->vstart = 0;
    hart_write_x(h, in->rd, h->vl);
}

// x0 as the length asks for the longest vector, or with rd = x0 to keep vl.
static uint64_t requested_length(const hart *h, const isa_instruction *in)
{
    if (in->rs1 != 0)
        return h->x[in->rs1];
    return in->rd != 0 ? UINT64_MAX : h->vl;
}

static void execute_VSETVLI(hart *h, const isa_instruction *in)
{
    configure(h, in, (uint64_t)in->imm, requested_length(h, in));
}

static void execute_VSETVL(hart *h, const isa_instruction *in)
{
    configure(h, in, h->x[in->rs2], requested_length(h, in));
}

static void execute_VSETIVLI(hart *h, const isa_instruction *in)
{
    configure(h, in, (uint64_t)in->imm, in->rs1);
}

const hart_handler_row hart_vector_config_rows[] = {
    {ISA_VSETVLI, execute_VSETVLI},
    {ISA_VSETVL, execute_VSETVL},
    {ISA_VSETIVLI, execute_VSETIVLI},
    {ISA_ILLEGAL, NULL},
};
