// lut.tbl: the symmetric table of one row, or m rows, of 4L activations.
//
//    x_j = +a_j where bit j of e is set, else -a_j (j < 3)
//    t[e] = (x_0 + x_1) + (x_2 + a_3)                            in f32
//    T[r][g][e] = t[e] rounded to f16; t[e] to i16; t[e] * inverse[r] to i8
//
// The rest of the tile, rows included that were not asked for, becomes 0.
#include "runtime/lut/reference.h"

#include "support/scalar.h"

#include <math.h>

enum { ENTRIES = 8, MAX_LOOKUPS = 8 * LUT_MAX_ROWS };

float lut_activation(unsigned type, const uint8_t *row, uint32_t index)
{
    float f32;
    uint16_t bits;
    switch (type) {
    case XLUT_ACTIVATION_F32: memcpy(&f32, row + 4 * index, 4); return f32;
    case XLUT_ACTIVATION_E4M3: return e4m3_to_float(row[index]);
    case XLUT_ACTIVATION_E5M2: return e5m2_to_float(row[index]);
    case XLUT_ACTIVATION_I8: return (int8_t)row[index];
    default: memcpy(&bits, row + 2 * index, 2);
    }
    switch (type) {
    case XLUT_ACTIVATION_F16: return f16_to_float(bits);
    case XLUT_ACTIVATION_BF16: return bf16_to_float(bits);
    case XLUT_ACTIVATION_I16HI: return (int8_t)(bits >> 8);
    default: return bits & 0xff; // i16lo
    }
}

static void entries_of(const float a[4], float t[ENTRIES])
{
    for (unsigned e = 0; e < ENTRIES; e++) {
        float x0 = e & 1 ? a[0] : -a[0], x1 = e & 2 ? a[1] : -a[1], x2 = e & 4 ? a[2] : -a[2];
        t[e] = (x0 + x1) + (x2 + a[3]);
    }
}

// To the nearest integer, ties to even, within +-limit; NaN gives 0.
static int32_t round_saturated(float x, float limit)
{
    if (x != x)
        return 0;
    return (int32_t)lrintf(fminf(fmaxf(x, -limit), limit));
}

// max |t|; a NaN is greater than everything.
static float magnitude(const float *t, uint32_t count)
{
    uint32_t greatest = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &t[i], 4);
        bits &= 0x7fffffff;
        greatest = bits > greatest ? bits : greatest;
    }
    float result;
    memcpy(&result, &greatest, 4);
    return lut_canonical(result);
}

static void store_f16(uint8_t *to, const float *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t bits = f16_from_float(lut_canonical(t[i]));
        memcpy(to + 2 * i, &bits, 2);
    }
}

static void store_i16(uint8_t *to, const float *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int16_t value = (int16_t)round_saturated(t[i], 32767);
        memcpy(to + 2 * i, &value, 2);
    }
}

static void store_i8(uint8_t *to, const float *t, uint32_t count, float inverse)
{
    for (uint32_t i = 0; i < count; i++)
        to[i] = (uint8_t)round_saturated(t[i] * inverse, 127);
}

// For each quarter q of the depth, scales[q][row] = max|t| / 127; the entries are t * (127 /
// max|t|), all 0 where max|t| is 0.
static void store_i8_dynamic(const lut_unit *u, uint8_t *to, const float *t, uint8_t *scale_out)
{
    uint32_t count = u->lookups * ENTRIES / LUT_QUARTERS;
    for (uint32_t q = 0; q < LUT_QUARTERS; q++, t += count, to += count, scale_out += 4 * u->m) {
        float greatest = magnitude(t, count), scale = lut_canonical(greatest / 127);
        memcpy(scale_out, &scale, 4);
        store_i8(to, t, count, greatest == 0 ? 0 : 127 / greatest);
    }
}

static void store_row(lut_unit *u, const isa_instruction *in, uint32_t row, const float *t,
                      const lut_operands *memory)
{
    uint32_t count = u->lookups * ENTRIES;
    uint8_t *tile = lut_tile(u, in->rd);
    uint8_t *scale = memory->count > 1 ? memory->item[1].host[0] + 4 * row : NULL;
    float inverse = 1;
    switch (in->table) {
    case XLUT_TABLE_F16: store_f16(tile + 2 * row * count, t, count); break;
    case XLUT_TABLE_I16: store_i16(tile + 2 * row * count, t, count); break;
    case XLUT_TABLE_I8:
        if (scale)
            memcpy(&inverse, scale, 4);
        store_i8(tile + row * count, t, count, inverse);
        break;
    default: store_i8_dynamic(u, tile + row * count, t, scale);
    }
}

void lut_reference_tbl(lut_unit *u, const isa_instruction *in, const lut_operands *memory)
{
    const lut_operand *rows = &memory->item[0];
    float t[MAX_LOOKUPS * ENTRIES];
    memset(lut_tile(u, in->rd), 0, u->tile_bytes);
    for (uint32_t row = 0; row < u->m; row++) {
        memset(t, 0, sizeof t);
        for (uint32_t g = 0; row < rows->rows && g < u->lookups; g++) {
            float a[4];
            for (unsigned j = 0; j < 4; j++)
                a[j] = lut_activation(in->activation, rows->host[row], 4 * g + j);
            entries_of(a, t + g * ENTRIES);
        }
        store_row(u, in, row, t, memory);
    }
}
