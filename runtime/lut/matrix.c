// mma: the conventional multiply-accumulate on the same tiles.
//
//    C[i][j] += A[i][k] * B[j][k]     i < 8m, j < n/8, k < n/4 (f16, bf16) or n/2 (i8, e4m3, e5m2)
//
// All three row-major in their tiles, with rows of n/2 bytes. Float products are fused with their
// addition to f32, k ascending; integer sums are i32 and wrap.
#include "runtime/lut/reference.h"

#include "support/scalar.h"

uint32_t lut_mma_depth(const lut_unit *u, const isa_instruction *in)
{
    return in->type == XLUT_MMA_F16 || in->type == XLUT_MMA_BF16 ? u->n / 4 : u->n / 2;
}

float lut_mma_element(unsigned type, const uint8_t *row, uint32_t k)
{
    uint16_t bits;
    switch (type) {
    case XLUT_MMA_E4M3: return e4m3_to_float(row[k]);
    case XLUT_MMA_E5M2: return e5m2_to_float(row[k]);
    default:
        memcpy(&bits, row + 2 * k, 2);
        return type == XLUT_MMA_F16 ? f16_to_float(bits) : bf16_to_float(bits);
    }
}

static float dot_floats(unsigned type, float c, const uint8_t *a, const uint8_t *b, uint32_t depth)
{
    for (uint32_t k = 0; k < depth; k++)
        c = __builtin_fmaf(lut_mma_element(type, a, k), lut_mma_element(type, b, k), c);
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
    uint32_t depth = lut_mma_depth(u, in), columns = u->n / 8, row_bytes = u->n / 2;
    for (uint32_t i = 0; i < 8 * u->m; i++)
        for (uint32_t j = 0; j < columns; j++) {
            const uint8_t *a = lut_tile(u, in->rs1) + i * row_bytes;
            const uint8_t *b = lut_tile(u, in->rs2) + j * row_bytes;
            uint32_t at = i * columns + j;
            if (in->type == XLUT_MMA_I8)
                lut_tile_i32(u, in->rd)[at] =
                    (int32_t)dot_bytes((uint32_t)lut_tile_i32(u, in->rd)[at], a, b, depth);
            else
                lut_tile_f32(u, in->rd)[at] =
                    dot_floats(in->type, lut_tile_f32(u, in->rd)[at], a, b, depth);
        }
}

// Whole rows, which are frequent, are copied by a few moves.
static void copy_row(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    switch (bytes) {
    case 32: memcpy(to, from, 32); break;
    case 64: memcpy(to, from, 64); break;
    case 128: memcpy(to, from, 128); break;
    default: memcpy(to, from, bytes);
    }
}

// What is not loaded becomes 0.
void lut_reference_ldm(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    uint8_t *tile = lut_tile(u, in->rd);
    memset(tile, 0, u->tile_bytes);
    for (uint32_t r = 0; r < rows->rows; r++)
        copy_row(tile + r * (u->n / 2), rows->host[r], rows->bytes);
}

void lut_reference_ldt(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    uint8_t *tile = lut_tile(u, in->rd);
    memset(tile, 0, u->tile_bytes);
    for (uint32_t k = 0; k < rows->rows; k++)
        for (uint32_t j = 0; j < rows->bytes / 2; j++)
            memcpy(tile + j * (u->n / 2) + 2 * k, rows->host[k] + 2 * j, 2);
}

void lut_reference_stm(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    for (uint32_t r = 0; r < rows->rows; r++)
        copy_row(rows->host[r], lut_tile(u, in->rd) + r * (u->n / 2), rows->bytes);
}
