// mma: the conventional multiply-accumulate on the same tiles.
//
//    C[i][j] += A[i][k] * B[j][k]     i < 8m, j < n/8, k < n/4 (f16, bf16 -> f32) or n/2 (i8 ->
//    i32)
//
// All three row-major in their tiles. Float products are fused with their addition, k ascending;
// integer sums wrap.
#include "runtime/lut/reference.h"

#include "support/scalar.h"

uint32_t lut_mma_depth(const lut_unit *u, const isa_instruction *in)
{
    return in->type == XLUT_MMA_I8 ? u->n / 2 : u->n / 4;
}

static float half_element(const isa_instruction *in, const uint8_t *tile, uint32_t index)
{
    uint16_t bits;
    memcpy(&bits, tile + 2 * index, 2);
    return in->type == XLUT_MMA_F16 ? f16_to_float(bits) : bf16_to_float(bits);
}

static float dot_halves(const isa_instruction *in, float c, const uint8_t *a, const uint8_t *b,
                        uint32_t depth)
{
    for (uint32_t k = 0; k < depth; k++)
        c = __builtin_fmaf(half_element(in, a, k), half_element(in, b, k), c);
    return lut_canonical(c);
}

static uint32_t dot_bytes(uint32_t c, const uint8_t *a, const uint8_t *b, uint32_t depth)
{
    for (uint32_t k = 0; k < depth; k++)
        c += (uint32_t)((int8_t)a[k] * (int8_t)b[k]);
    return c;
}

void lut_reference_mma(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    (void)memory;
    uint32_t depth = lut_mma_depth(u, in), columns = u->n / 8;
    bool integer = in->type == XLUT_MMA_I8;
    uint32_t row_bytes = integer ? depth : 2 * depth;
    for (uint32_t i = 0; i < 8 * u->m; i++)
        for (uint32_t j = 0; j < columns; j++) {
            const uint8_t *a = lut_tile(u, in->rs1) + i * row_bytes;
            const uint8_t *b = lut_tile(u, in->rs2) + j * row_bytes;
            uint32_t at = i * columns + j;
            if (integer)
                lut_tile_i32(u, in->rd)[at] =
                    (int32_t)dot_bytes((uint32_t)lut_tile_i32(u, in->rd)[at], a, b, depth);
            else
                lut_tile_f32(u, in->rd)[at] =
                    dot_halves(in, lut_tile_f32(u, in->rd)[at], a, b, depth);
        }
}
