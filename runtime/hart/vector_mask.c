// Instructions on masks.

#include "runtime/hart/vector.h"

//   OP(name, bits of the result from a = vs2, b = vs1)
#define LOGICAL_OPS(OP)                                                                            \
    OP(VMAND_MM, a &b)                                                                             \
    OP(VMNAND_MM, ~(a & b))                                                                        \
    OP(VMANDN_MM, a & ~b)                                                                          \
    OP(VMXOR_MM, a ^ b)                                                                            \
    OP(VMOR_MM, a | b)                                                                             \
    OP(VMNOR_MM, ~(a | b))                                                                         \
    OP(VMORN_MM, a | ~b)                                                                           \
    OP(VMXNOR_MM, ~(a ^ b))

// Bits vstart .. vl - 1 that lie in byte i.
static unsigned body_of_byte(const hart *h, uint64_t i)
{
    unsigned bits = 0xff;
    if (8 * i < h->vstart)
        bits &= 0xffu << (h->vstart - 8 * i);
    if (8 * i + 8 > h->vl)
        bits &= 0xffu >> (8 * i + 8 - h->vl);
    return bits;
}

#define DEFINE_LOGICAL(E, expression)                                                              \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        require_vtype(h);                                                                          \
        uint8_t *d = vector_register(h, in->rd);                                                   \
        const uint8_t *pa = vector_register(h, in->rs2), *pb = vector_register(h, in->rs1);        \
        for (uint64_t i = h->vstart / 8; 8 * i < h->vl; i++) {                                     \
            unsigned a = pa[i], b = pb[i], body = body_of_byte(h, i);                              \
            d[i] = (uint8_t)((d[i] & ~body) | ((expression) & body));                              \
        }                                                                                          \
        h->vstart = 0;                                                                             \
    }
LOGICAL_OPS(DEFINE_LOGICAL)

// The active bits of vs2, below vl, in byte i.
static unsigned active_byte(const hart *h, const isa_instruction *in, uint64_t i)
{
    unsigned bits = vector_register(h, in->rs2)[i] & body_of_byte(h, i);
    return in->vm ? bits : bits & h->v[i];
}

static void require_start(hart *h)
{
    require_vtype(h);
    hart_require(h, h->vstart == 0);
}

static void execute_VCPOP_M(hart *h, const isa_instruction *in)
{
    require_start(h);
    uint64_t count = 0;
    for (uint64_t i = 0; 8 * i < h->vl; i++)
        count += (unsigned)__builtin_popcount(active_byte(h, in, i));
    hart_write_x(h, in->rd, count);
}

// Index of the first active one, or vl.
static uint64_t first_one(const hart *h, const isa_instruction *in)
{
    for (uint64_t i = 0; 8 * i < h->vl; i++) {
        unsigned bits = active_byte(h, in, i);
        if (bits)
            return 8 * i + (unsigned)__builtin_ctz(bits);
    }
    return h->vl;
}

static void execute_VFIRST_M(hart *h, const isa_instruction *in)
{
    require_start(h);
    uint64_t first = first_one(h, in);
    hart_write_x(h, in->rd, first < h->vl ? first : UINT64_MAX);
}

//   active element i becomes the expression in i and `first`, the index of the first active one
#define FIRST_OPS(OP)                                                                              \
    OP(VMSBF_M, i < first)                                                                         \
    OP(VMSIF_M, i <= first)                                                                        \
    OP(VMSOF_M, i == first)

#define DEFINE_FIRST(E, expression)                                                                \
    static void execute_##E(hart *h, const isa_instruction *in)                                    \
    {                                                                                              \
        require_start(h);                                                                          \
        require_apart(h, in->rd, 1, in->rs2, 1);                                                   \
        hart_require(h, in->vm || in->rd != 0);                                                    \
        vector_buffer result;                                                                      \
        uint64_t first = first_one(h, in);                                                         \
        for (uint64_t i = 0; i < h->vl; i++)                                                       \
            result.bytes[i] = expression;                                                          \
        vector_commit_mask(h, in->rd, in->vm, result.bytes);                                       \
    }
FIRST_OPS(DEFINE_FIRST)

static void execute_VIOTA_M(hart *h, const isa_instruction *in)
{
    require_start(h);
    require_group(h, in->rd, h->lmul);
    require_apart(h, in->rd, vector_group(h->lmul), in->rs2, 1);
    const uint8_t *bits = vector_register(h, in->rs2);
    vector_buffer result;
    uint64_t count = 0;
    for (uint64_t i = 0; i < h->vl; i++) {
        vector_store_element(result.bytes, h->sew, i, count);
        count += vector_active(h, in, i) && vector_mask_bit(bits, i);
    }
    vector_commit(h, in, result.bytes, h->sew);
}

static void execute_VID_V(hart *h, const isa_instruction *in)
{
    require_vtype(h);
    require_group(h, in->rd, h->lmul);
    vector_buffer result;
    for (uint64_t i = 0; i < h->vl; i++)
        vector_store_element(result.bytes, h->sew, i, i);
    vector_commit(h, in, result.bytes, h->sew);
}

const hart_handler_row hart_vector_mask_rows[] = {
#define ROW(E, ...) {ISA_##E, execute_##E},
    LOGICAL_OPS(ROW) FIRST_OPS(ROW) ROW(VCPOP_M) ROW(VFIRST_M) ROW(VIOTA_M)
        ROW(VID_V){ISA_ILLEGAL, NULL},
#undef ROW
};
