// Tensor types of GGUF files, one row per type: how a block becomes floats, and
// for types that are a canonical form, how it becomes codes, scale and offset.
#include "compiler/import/source.h"

#include <string.h>

static uint16_t load16(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return bits;
}

static float load_half(const uint8_t *at)
{
    return f16_to_float(load16(at));
}

// ------------------------------------------------------------------------- dense

static void dequantize_f32(const uint8_t *in, int64_t count, float *out)
{
    memcpy(out, in, (size_t)count * sizeof *out);
}

// Without branches, so that the compiler vectorizes it: the exponent is moved by
// a multiplication, which also normalizes subnormal numbers, exactly.
static float half_bits_to_float(uint32_t half)
{
    uint32_t magnitude = (half & 0x7fff) << 13, sign = (half & 0x8000) << 16;
    uint32_t special = (half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0; // infinity, NaN
    float value;
    memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign | special;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void dequantize_f16(const uint8_t *restrict in, int64_t count, float *restrict out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = half_bits_to_float(load16(in + 2 * i));
}

static void dequantize_bf16(const uint8_t *restrict in, int64_t count, float *restrict out)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)load16(in + 2 * i) << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

// ------------------------------------------------------------ Q8_0: f16 d, i8[32]

static void dequantize_q8_0(const uint8_t *in, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i += 32, in += 34) {
        float d = load_half(in);
        for (int j = 0; j < 32; j++)
            out[i + j] = d * (float)(int8_t)in[2 + j];
    }
}

// --------------------------- Q4_0: f16 d, then nibbles q: weights 0-15 low, 16-31 high

static void codes_q4_0(const uint8_t *block, uint8_t *codes)
{
    for (int j = 0; j < 16; j++) {
        codes[j] = block[2 + j] & 15;
        codes[j + 16] = block[2 + j] >> 4;
    }
}

static void dequantize_q4_0(const uint8_t *in, int64_t count, float *out)
{
    uint8_t codes[32];
    for (int64_t i = 0; i < count; i += 32, in += 18) {
        float d = load_half(in);
        codes_q4_0(in, codes);
        for (int j = 0; j < 32; j++)
            out[i + j] = d * (float)(codes[j] - 8);
    }
}

// d (q - 8) = d/2 (2q - 15) - d/2
static bool canonical_q4_0(const uint8_t *block, uint8_t *codes, float *scale, float *offset)
{
    codes_q4_0(block, codes);
    *scale = load_half(block) / 2;
    *offset = -*scale;
    return true;
}

// ------------------------ TQ2_0: 2 bits of 4 weights 32 apart in a byte, then f16 d

static void codes_tq2_0(const uint8_t *block, uint8_t *codes)
{
    for (int half = 0; half < 64; half += 32)
        for (int shift = 0; shift < 8; shift += 2)
            for (int j = 0; j < 32; j++)
                *codes++ = block[half + j] >> shift & 3;
}

// ---- TQ1_0: 5 ternary digits in a byte (32 bytes, then 16), 4 in each of the last 4

// Digits of bytes[0..width), the first digit of all bytes first.
static uint8_t *digits_tq1_0(const uint8_t *bytes, int width, int digits, uint8_t *codes)
{
    static const uint8_t powers[] = {1, 3, 9, 27, 81};
    for (int digit = 0; digit < digits; digit++)
        for (int j = 0; j < width; j++) {
            uint8_t shifted = (uint8_t)(bytes[j] * powers[digit]); // a fraction of 256
            *codes++ = (uint8_t)(shifted * 3 >> 8);
        }
    return codes;
}

static void codes_tq1_0(const uint8_t *block, uint8_t *codes)
{
    codes = digits_tq1_0(block, 32, 5, codes);
    codes = digits_tq1_0(block + 32, 16, 5, codes);
    digits_tq1_0(block + 48, 4, 4, codes);
}

static void dequantize_ternary(const uint8_t *in, int64_t count, float *out, int bytes,
                               void (*codes_of)(const uint8_t *block, uint8_t *codes))
{
    uint8_t codes[256];
    for (int64_t i = 0; i < count; i += 256, in += bytes) {
        float d = load_half(in + bytes - 2);
        codes_of(in, codes);
        for (int j = 0; j < 256; j++)
            out[i + j] = d * (float)(codes[j] - 1);
    }
}

// Digits 0, 1, 2 to codes 0, 1, 3. Two bits could also say 3, which is no ternary weight.
static bool canonical_ternary(const uint8_t *d, uint8_t *codes, float *scale)
{
    static const uint8_t code_of[] = {0, 1, 3};
    for (int j = 0; j < 256; j++) {
        if (codes[j] > 2)
            return false;
        codes[j] = code_of[codes[j]];
    }
    *scale = load_half(d) / 2;
    return true;
}

static void dequantize_tq2_0(const uint8_t *in, int64_t count, float *out)
{
    dequantize_ternary(in, count, out, 66, codes_tq2_0);
}

static void dequantize_tq1_0(const uint8_t *in, int64_t count, float *out)
{
    dequantize_ternary(in, count, out, 54, codes_tq1_0);
}

static bool canonical_tq2_0(const uint8_t *block, uint8_t *codes, float *scale, float *offset)
{
    (void)offset;
    codes_tq2_0(block, codes);
    return canonical_ternary(block + 64, codes, scale);
}

static bool canonical_tq1_0(const uint8_t *block, uint8_t *codes, float *scale, float *offset)
{
    (void)offset;
    codes_tq1_0(block, codes);
    return canonical_ternary(block + 52, codes, scale);
}

// --------------------------------------------------------------------- the table

#define TERNARY_KEEP {"ternary", "ternaryg256", "ternaryg256f"}

const weight_type weight_types[] = {
    {"F32", 0, 1, 4, "f32", dequantize_f32},
    {"F16", 1, 1, 2, "f16", dequantize_f16},
    {"BF16", 30, 1, 2, "bf16", dequantize_bf16},
    {"Q8_0", 8, 32, 34, "f32", dequantize_q8_0},
    {"Q4_0", 2, 32, 18, "f32", dequantize_q4_0, "w4g32zf", {"w4g32z", "w4g32zf"}, canonical_q4_0},
    {"TQ1_0", 34, 256, 54, "f16", dequantize_tq1_0, "ternaryg256f", TERNARY_KEEP, canonical_tq1_0},
    {"TQ2_0", 35, 256, 66, "f16", dequantize_tq2_0, "ternaryg256f", TERNARY_KEEP, canonical_tq2_0},
    // Known by name only.
    // clang-format off
    {"Q4_1", 3}, {"Q5_0", 6}, {"Q5_1", 7}, {"Q8_1", 9}, {"Q2_K", 10}, {"Q3_K", 11},
    {"Q4_K", 12}, {"Q5_K", 13}, {"Q6_K", 14}, {"Q8_K", 15}, {"IQ2_XXS", 16}, {"IQ2_XS", 17},
    {"IQ3_XXS", 18}, {"IQ1_S", 19}, {"IQ4_NL", 20}, {"IQ3_S", 21}, {"IQ2_S", 22},
    {"IQ4_XS", 23}, {"I8", 24}, {"I16", 25}, {"I32", 26}, {"I64", 27}, {"F64", 28},
    {"IQ1_M", 29}, {"MXFP4", 39},
    // clang-format on
    {NULL},
};

const weight_type *weight_type_find(uint32_t id)
{
    for (const weight_type *t = weight_types; t->name; t++)
        if (t->id == id)
            return t;
    return NULL;
}

void weight_types_list(text *out)
{
    for (const weight_type *t = weight_types; t->name; t++)
        if (t->dequantize)
            text_printf(out, "%s%s", out->length ? ", " : "", t->name);
}
