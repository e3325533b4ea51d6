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

// Eight bits as bytes of 0 or 1.
static void expand_eight(uint8_t flags[8], uint8_t bits)
{
    uint64_t each = bits * 0x0101010101010101ull & 0x8040201008040201ull;
    each = (each + 0x7f7f7f7f7f7f7f7full) >> 7 & 0x0101010101010101ull;
    memcpy(flags, &each, sizeof each);
}

#define COMMIT_ACTIVE(bits)                                                                        \
    HOST_CLONES static void commit_##bits(const uint8_t *mask, uint##bits##_t *to,                 \
                                          const uint##bits##_t *from, uint64_t start, uint64_t n)  \
    {                                                                                              \
        uint64_t i = start;                                                                        \
        for (uint8_t flags[8]; i % 8 == 0 && i + 8 <= n; i += 8) {                                 \
            uint##bits##_t merged[8];                                                              \
            expand_eight(flags, mask[i / 8]);                                                      \
            for (size_t k = 0; k < 8; k++)                                                         \
                merged[k] = flags[k] ? from[i + k] : to[i + k];                                    \
            memcpy(to + i, merged, sizeof merged);                                                 \
        }                                                                                          \
        for (; i < n; i++)                                                                         \
            if (vector_mask_bit(mask, i))                                                          \
                to[i] = from[i];                                                                   \
    }
COMMIT_ACTIVE(8)
COMMIT_ACTIVE(16)
COMMIT_ACTIVE(32)
COMMIT_ACTIVE(64)

void vector_commit(hart *h, const isa_instruction *in, const void *result, unsigned eew)
{
    if (in->vm) {
        vector_commit_all(h, in->rd, result, eew);
        return;
    }
    void *to = vector_register(h, in->rd);
    switch (eew) {
#define WIDTH(eew, bits)                                                                           \
    case eew: commit_##bits(h->v, to, result, h->vstart, h->vl); break;
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

#define EXPAND_MASK(bits)                                                                          \
    HOST_CLONES static void expand_##bits(const uint8_t *mask, uint##bits##_t *to, size_t n)       \
    {                                                                                              \
        for (size_t i = 0; i < n; i += 8) {                                                        \
            uint8_t flags[8];                                                                      \
            expand_eight(flags, mask[i / 8]);                                                      \
            for (size_t k = 0; k < 8; k++)                                                         \
                to[i + k] = flags[k];                                                              \
        }                                                                                          \
    }
EXPAND_MASK(8)
EXPAND_MASK(16)
EXPAND_MASK(32)
EXPAND_MASK(64)

void vector_expand_mask(const hart *h, vector_buffer *to, unsigned sew, size_t n)
{
    switch (sew) {
#define WIDTH(sew, bits)                                                                           \
    case sew: expand_##bits(h->v, (uint##bits##_t *)(void *)to->bytes, n); return;
        WIDTH(0, 8)
        WIDTH(1, 16)
        WIDTH(2, 32)
        WIDTH(3, 64)
#undef WIDTH
    default: UNREACHABLE();
    }
}

void vector_require_binary(hart *h, const isa_instruction *in, vector_second second)
{
    require_vtype(h);
    require_group(h, in->rd, h->lmul);
    require_group(h, in->rs2, h->lmul);
    if (second == SECOND_V)
        require_group(h, in->rs1, h->lmul);
    vector_is_legal(h);
}

void vector_compute_some(hart *h, const isa_instruction *in, vector_kernel *kernel,
                         vector_operand b, unsigned eew, bool reads_destination)
{
    vector_buffer result;
    if (reads_destination)
        vector_move(result.bytes, vector_register(h, in->rd), h->vl << eew);
    kernel(result.bytes, vector_register(h, in->rs2), b, h->vl);
    vector_commit(h, in, result.bytes, eew);
}

static void require_compare(hart *h, const isa_instruction *in, vector_second second)
{
    require_vtype(h);
    require_group(h, in->rs2, h->lmul);
    require_overlap(h, in->rd, 0, -1, in->rs2, h->lmul, h->sew);
    if (second == SECOND_V) {
        require_group(h, in->rs1, h->lmul);
        require_overlap(h, in->rd, 0, -1, in->rs1, h->lmul, h->sew);
    }
    vector_is_legal(h);
}

void vector_compare(hart *h, const isa_instruction *in, const vector_kernels *kernels,
                    vector_second second, bool carry)
{
    if (__builtin_expect(!vector_was_legal(h), 0))
        require_compare(h, in, second);
    vector_buffer result;
    vector_copy copy;
    const vector_operand b = vector_second_of(h, in, second, &copy);
    if (carry && !in->vm)
        vector_expand_mask(h, &result, 0, h->vl);
    else if (carry)
        memset(result.bytes, 0, h->vl);
    kernels->of[h->sew](result.bytes, vector_register(h, in->rs2), b, h->vl);
    vector_commit_mask(h, in->rd, carry || in->vm, result.bytes);
}
