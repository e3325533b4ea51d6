// Tiles to and from memory, and what happens to accumulators C[m][n] outside lmma.
#include "runtime/lut/reference.h"

#include "support/scalar.h"

void lut_reference_pf(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    (void)u, (void)in, (void)memory;
}

void lut_reference_zero(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    (void)memory;
    memset(lut_tile(u, in->rd), 0, u->tile_bytes);
}

// After the half form the rest of the tile is 0.
void lut_reference_ld(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    uint8_t *tile = lut_tile(u, in->rd);
    uint32_t bytes = in->half ? u->half_bytes : u->tile_bytes;
    memcpy(tile, memory->item[0].host[0], bytes);
    memset(tile + bytes, 0, u->tile_bytes - bytes);
}

void lut_reference_st(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    memcpy(memory->item[0].host[0], lut_tile(u, in->rs2), memory->item[0].bytes);
}

// Element i of an operand of type f16 or f32.
static void scales_to_float(unsigned type, const uint8_t *from, uint32_t count, float *to)
{
    if (type == XLUT_SCALE_F32) {
        memcpy(to, from, 4 * count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, from + 2 * i, 2);
        to[i] = f16_to_float(bits);
    }
}

// One f32 per row of the tile, from an operand that x0 leaves out: then 1.
static float row_factor(const lut_operand *operand, uint32_t row)
{
    float factor = 1;
    if (operand)
        memcpy(&factor, operand->host[0] + 4 * row, 4);
    return factor;
}

HOST_CLONES static void add_scaled(tile_f32 *restrict d, const float *restrict s,
                                   const float *restrict scale, float factor, uint32_t n)
{
    for (uint32_t j = 0; j < n; j++)
        d[j] = lut_canonical(__builtin_fmaf(s[j], scale[j] * factor, d[j]));
}

HOST_CLONES static void add_product(tile_f32 *restrict d, float u, const float *restrict v,
                                    uint32_t n)
{
    for (uint32_t j = 0; j < n; j++)
        d[j] = lut_canonical(__builtin_fmaf(u, v[j], d[j]));
}

static void sums_to_float(const lut_unit *u, const isa_instruction *in, uint32_t row, float *to)
{
    if (in->type == XLUT_SUM_F32) {
        memcpy(to, lut_tile(u, in->rs3) + 4 * row * u->n, 4 * u->n);
        return;
    }
    const tile_i32 *from = lut_tile_i32(u, in->rs3) + row * u->n;
    for (uint32_t j = 0; j < u->n; j++)
        to[j] = (float)from[j];
}

// D[r][j] = fma(f32(S[r][j]), f32(ws[j]) * ts[r], D[r][j])
void lut_reference_deq(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    float scale[LUT_MAX_COLUMNS], s[LUT_MAX_COLUMNS];
    const lut_operand *factors = memory->count > 1 ? &memory->item[1] : NULL;
    scales_to_float(in->scale_type, memory->item[0].host[0], u->n, scale);
    for (uint32_t row = 0; row < u->m; row++) {
        sums_to_float(u, in, row, s);
        add_scaled(lut_tile_f32(u, in->rd) + row * u->n, s, scale, row_factor(factors, row), u->n);
    }
}

// D[r][j] = fma(u[r], f32(v[j]), D[r][j])
void lut_reference_off(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    float v[LUT_MAX_COLUMNS];
    scales_to_float(in->scale_type, memory->item[1].host[0], u->n, v);
    for (uint32_t row = 0; row < u->m; row++)
        add_product(lut_tile_f32(u, in->rd) + row * u->n, row_factor(&memory->item[0], row), v,
                    u->n);
}

// One element between its type in memory and the accumulator's 32 bits: i32 and f32 move as they
// are, the others convert from or to f32.
static uint32_t load_element(unsigned type, const uint8_t *from, uint32_t j)
{
    uint32_t word;
    uint16_t half;
    if (type == XLUT_DATA_F32 || type == XLUT_DATA_I32) {
        memcpy(&word, from + 4 * j, 4);
        return word;
    }
    memcpy(&half, from + 2 * j, 2);
    float value = type == XLUT_DATA_F16 ? f16_to_float(half) : bf16_to_float(half);
    value = lut_canonical(value);
    memcpy(&word, &value, 4);
    return word;
}

static void store_element(unsigned type, uint8_t *to, uint32_t j, uint32_t word)
{
    if (type == XLUT_DATA_F32 || type == XLUT_DATA_I32) {
        memcpy(to + 4 * j, &word, 4);
        return;
    }
    float value;
    memcpy(&value, &word, 4);
    value = lut_canonical(value);
    uint16_t half = type == XLUT_DATA_F16 ? f16_from_float(value) : bf16_from_float(value);
    memcpy(to + 2 * j, &half, 2);
}

// Elements that are not loaded become 0.
void lut_reference_lda(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    uint32_t columns = rows->bytes / xlut_data_bytes(in->type);
    memset(lut_tile(u, in->rd), 0, u->tile_bytes);
    for (uint32_t row = 0; row < rows->rows; row++)
        for (uint32_t j = 0; j < columns; j++)
            lut_tile_i32(u, in->rd)[row * u->n + j] =
                (int32_t)load_element(in->type, rows->host[row], j);
}

void lut_reference_sta(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    uint32_t columns = rows->bytes / xlut_data_bytes(in->type);
    for (uint32_t row = 0; row < rows->rows; row++)
        for (uint32_t j = 0; j < columns; j++)
            store_element(in->type, rows->host[row], j,
                          (uint32_t)lut_tile_i32(u, in->rd)[row * u->n + j]);
}
