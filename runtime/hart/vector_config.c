// vset{i}vl{i}: the only writers of vtype and vl.

#include "runtime/hart/vector.h"

// By LMUL and SEW as vtype encodes them. SEW is at most LMUL * ELEN for fractional LMUL.
#define VALID(sew, lmul) {(sew) << 8 | (uint32_t)(uint8_t)(lmul) << 16, (sew) + 3 - (lmul)}
#define ILLEGAL {1, 31}
#define WHOLE(sew) VALID(sew, 0), VALID(sew, 1), VALID(sew, 2), VALID(sew, 3), ILLEGAL
static const vector_shape shapes[32] = {
    WHOLE(0), VALID(0, -3), VALID(0, -2), VALID(0, -1), //
    WHOLE(1), ILLEGAL,      VALID(1, -2), VALID(1, -1), //
    WHOLE(2), ILLEGAL,      ILLEGAL,      VALID(2, -1), //
    WHOLE(3), ILLEGAL,      ILLEGAL,      ILLEGAL,
};

uint64_t hart_vlmax(uint64_t vlenb, unsigned sew, int lmul)
{
    enum { LARGEST_SEW = 3, LARGEST_LMUL = 3 };
    if (sew > LARGEST_SEW || lmul < -LARGEST_LMUL || lmul > LARGEST_LMUL ||
        (int)sew > LARGEST_SEW + (lmul < 0 ? lmul : 0))
        return 0;
    uint64_t elements = vlenb >> sew;
    return lmul < 0 ? elements >> -lmul : elements << lmul;
}

vector_shape vector_shape_of(uint64_t vtype)
{
    return (vtype & ~0xdfull) == 0 ? shapes[vtype & 31] : (vector_shape)ILLEGAL;
}

void hart_update_full(hart *h)
{
    if (h->vill || h->vstart != 0)
        h->full = HART_NOT_FULL;
    else
        h->full = h->shape | (h->vl == vector_length_maximum(h) ? 0 : HART_SHORT);
}

static inline void configure(hart *h, const isa_instruction *in, uint64_t vtype, uint64_t length)
{
    const vector_shape s = vector_shape_of(vtype);
    const uint64_t maximum = (uint64_t)h->vlenb << 3 >> s.shift;
    const bool valid = s.shape != 1;
    h->shape = s.shape;
    h->vta = valid & vtype >> 6;
    h->vma = valid & vtype >> 7;
    h->vl = length < maximum ? length : maximum;
    h->vstart = 0;
    h->full = s.shape | (length >= maximum ? 0 : HART_SHORT); // nothing is made for that of vill
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
