#include "runtime/hart/vector.h"

void vector_splat(void *to, uint64_t value, unsigned sew, size_t n)
{
    switch (sew) {
    case 0: memset(to, (int)(value & 0xff), n); return;
#define WIDTH(sew, bits)                                                                           \
    case sew:                                                                                      \
        for (size_t i = 0; i < n; i++)                                                             \
            ((uint##bits##_t *)to)[i] = (uint##bits##_t)value;                                     \
        return;
        WIDTH(1, 16)
        WIDTH(2, 32)
        WIDTH(3, 64)
#undef WIDTH
    default: UNREACHABLE();
    }
}

const void *vector_second_operand(hart *h, const isa_instruction *in, vector_second second,
                                  unsigned sew, size_t n, vector_buffer *buffer)
{
    if (second == SECOND_V)
        return vector_register(h, in->rs1);
    vector_splat(buffer->bytes, second == SECOND_X ? h->x[in->rs1] : (uint64_t)(int64_t)in->imm,
                 sew, n);
    return buffer->bytes;
}

void vector_commit_all(hart *h, unsigned rd, const void *result, unsigned eew)
{
    if (h->vstart < h->vl) {
        size_t from = h->vstart << eew, to = h->vl << eew;
        vector_move(vector_register(h, rd) + from, (const uint8_t *)result + from, to - from);
    }
    h->vstart = 0;
}

void vector_commit(hart *h, const isa_instruction *in, const void *result, unsigned eew)
{
    if (in->vm) {
        vector_commit_all(h, in->rd, result, eew);
        return;
    }
    switch (eew) {
#define WIDTH(eew, bits)                                                                           \
    case eew: {                                                                                    \
        uint##bits##_t *to = (uint##bits##_t *)vector_register(h, in->rd);                         \
        const uint##bits##_t *from = result;                                                       \
        for (uint64_t i = h->vstart; i < h->vl; i++)                                               \
            to[i] = vector_mask_bit(h->v, i) ? from[i] : to[i];                                    \
        break;                                                                                     \
    }
        WIDTH(0, 8)
        WIDTH(1, 16)
        WIDTH(2, 32)
        WIDTH(3, 64)
#undef WIDTH
    default: UNREACHABLE();
    }
    h->vstart = 0;
}

static void write_mask_bit(uint8_t *mask, uint64_t i, bool value)
{
    uint8_t bit = (uint8_t)(1u << (i & 7));
    mask[i >> 3] = (uint8_t)((mask[i >> 3] & ~bit) | (value ? bit : 0));
}

void vector_commit_mask(hart *h, unsigned rd, bool all, const uint8_t *result)
{
    uint8_t *mask = vector_register(h, rd);
    uint64_t i = h->vstart;
    if (all && i == 0) {
        for (; i + 8 <= h->vl; i += 8) {
            uint64_t eight;
            memcpy(&eight, result + i, 8);
            mask[i >> 3] = (uint8_t)(eight * 0x0102040810204080ull >> 56);
        }
    }
    for (; i < h->vl; i++)
        if (all || vector_mask_bit(h->v, i))
            write_mask_bit(mask, i, result[i]);
    h->vstart = 0;
}

void vector_expand_mask(const hart *h, void *to, unsigned sew, size_t n)
{
    switch (sew) {
#define WIDTH(sew, bits)                                                                           \
    case sew:                                                                                      \
        for (size_t i = 0; i < n; i++)                                                             \
            ((uint##bits##_t *)to)[i] = vector_mask_bit(h->v, i);                                  \
        return;
        WIDTH(0, 8)
        WIDTH(1, 16)
        WIDTH(2, 32)
        WIDTH(3, 64)
#undef WIDTH
    default: UNREACHABLE();
    }
}

void vector_binary(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                   vector_second second, bool reads_destination)
{
    require_vtype(h);
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, h->lmul);
    if (second == SECOND_V)
        require_group(h, in->rs1, h->lmul);
    vector_buffer result, splat;
    const void *b = vector_second_operand(h, in, second, h->sew, h->vl, &splat);
    unsigned size = vector_group(h->lmul);
    if (vector_in_place(h, in, size, size, second == SECOND_V ? size : 0)) {
        kernels->of[h->sew](vector_register(h, in->rd), vector_register(h, in->rs2), b, h->vl);
        return;
    }
    if (reads_destination)
        vector_move(result.bytes, vector_register(h, in->rd), h->vl << h->sew);
    kernels->of[h->sew](result.bytes, vector_register(h, in->rs2), b, h->vl);
    vector_commit(h, in, result.bytes, h->sew);
}

void vector_compare(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                    vector_second second, bool carry)
{
    require_vtype(h);
    require_group(h, in->rs2, h->lmul);
    require_overlap(h, in->rd, 0, -1, in->rs2, h->lmul, h->sew);
    if (second == SECOND_V) {
        require_group(h, in->rs1, h->lmul);
        require_overlap(h, in->rd, 0, -1, in->rs1, h->lmul, h->sew);
    }
    vector_buffer result, splat;
    const void *b = vector_second_operand(h, in, second, h->sew, h->vl, &splat);
    if (carry && !in->vm)
        vector_expand_mask(h, result.bytes, 0, h->vl);
    else
        memset(result.bytes, 0, h->vl);
    kernels->of[h->sew](result.bytes, vector_register(h, in->rs2), b, h->vl);
    vector_commit_mask(h, in->rd, carry || in->vm, result.bytes);
}
