// vset{i}vl{i}: the only writers of vtype and vl.

#include "runtime/hart/vector.h"

// SEW is at most LMUL * ELEN for fractional LMUL.
static bool valid_vtype(uint64_t vtype)
{
    unsigned lmul = vtype & 7, sew = vtype >> 3 & 7;
    if (vtype >> 8 != 0 || sew > 3 || lmul == 4)
        return false;
    return lmul < 4 || sew + (8 - lmul) <= 3;
}

static void set_vtype(hart *h, uint64_t vtype)
{
    h->vill = !valid_vtype(vtype);
    unsigned lmul = h->vill ? 0 : vtype & 7;
    h->lmul = (int8_t)(lmul < 4 ? (int)lmul : (int)lmul - 8);
    h->sew = h->vill ? 0 : vtype >> 3 & 7;
    h->vta = !h->vill && (vtype >> 6 & 1);
    h->vma = !h->vill && (vtype >> 7 & 1);
}

static void configure(hart *h, const isa_instruction *in, uint64_t vtype, uint64_t length)
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
