// Tensor types of GGUF files, one row per type. Types of single elements have a
// function that makes them floats. A block of the others is codes, and for each
// group of weights a scale and an offset: w = scale * code + offset.
#include "compiler/import/source.h"
#include "support/clones.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum { MAX_BLOCK = 256, MAX_GROUPS = 16 };

static uint16_t load16(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return bits;
}

// ----------------------------------------------------------------------- elements

static void dequantize_f32(const weight_type *type, const uint8_t *in, int64_t count, float *out)
{
    (void)type;
    memcpy(out, in, (size_t)count * sizeof *out);
}

// Without branches, so that the compiler vectorizes it: the exponent is moved by
// a multiplication, which also normalizes subnormal numbers, exactly.
static inline float half_bits_to_float(uint16_t half)
{
    uint32_t moved = (uint32_t)(int16_t)half << 13 & 0x8fffe000u;
    uint32_t special = (moved & 0x0f800000u) == 0x0f800000u ? 0x7f800000u : 0; // infinity, NaN
    float value;
    memcpy(&value, &moved, sizeof value);
    value *= 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits |= special;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float load_half(const uint8_t *at)
{
    return half_bits_to_float(load16(at));
}

// A processor by itself does not prefetch beyond a page. Rows are read in turn, so that what is
// ahead of these is wanted as well; an address beyond the file does no harm.
static HOST_CLONES void dequantize_f16(const weight_type *type, const uint8_t *restrict in,
                                       int64_t count, float *restrict out)
{
    enum { LINE = 32, PAGE = 4096 };
    int64_t i = 0;
    (void)type;
    for (; i + LINE <= count; i += LINE) {
        __builtin_prefetch((const void *)((uintptr_t)(in + 2 * i) + PAGE));
        for (int64_t j = i; j < i + LINE; j++)
            out[j] = half_bits_to_float(load16(in + 2 * j));
    }
    for (; i < count; i++)
        out[i] = half_bits_to_float(load16(in + 2 * i));
}

static void dequantize_bf16(const weight_type *type, const uint8_t *restrict in, int64_t count,
                            float *restrict out)
{
    (void)type;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)load16(in + 2 * i) << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

// Rounded to nearest where a float cannot hold the value.
#define DEQUANTIZE_ELEMENTS(name, element)                                                         \
    static void dequantize_##name(const weight_type *type, const uint8_t *in, int64_t count,       \
                                  float *out)                                                      \
    {                                                                                              \
        (void)type;                                                                                \
        for (int64_t i = 0; i < count; i++) {                                                      \
            element value;                                                                         \
            memcpy(&value, in + i * (int64_t)sizeof value, sizeof value);                          \
            out[i] = (float)value;                                                                 \
        }                                                                                          \
    }
DEQUANTIZE_ELEMENTS(f64, double)
DEQUANTIZE_ELEMENTS(i8, int8_t)
DEQUANTIZE_ELEMENTS(i16, int16_t)
DEQUANTIZE_ELEMENTS(i32, int32_t)
DEQUANTIZE_ELEMENTS(i64, int64_t)

// -------------------------------------------------------------------- codes of blocks

// Fields of `width` bits: of every `run` bytes first the lowest field of each, in turn.
static inline void unpack(const uint8_t *bytes, int size, int run, int width, uint8_t *codes)
{
    for (int at = 0; at < size; at += run)
        for (int shift = 0; shift < 8; shift += width)
            for (int j = 0; j < run; j++)
                *codes++ = (uint8_t)(bytes[at + j] >> shift & ((1 << width) - 1));
}

// The same, as the bits from `place` up of codes whose lower bits are there.
static inline void unpack_high(const uint8_t *bytes, int size, int run, int width, int place,
                               uint8_t *codes)
{
    uint8_t high[MAX_BLOCK];
    unpack(bytes, size, run, width, high);
    for (int i = 0; i < size * 8 / width; i++)
        codes[i] |= (uint8_t)(high[i] << place);
}

// i8[32] behind d
static void codes_q8_0(const uint8_t *block, uint8_t *codes)
{
    for (int j = 0; j < 32; j++)
        codes[j] = block[2 + j] ^ 128;
}

// Nibbles behind d; behind d and m
static void codes_q4_0(const uint8_t *block, uint8_t *codes)
{
    unpack(block + 2, 16, 16, 4, codes);
}
static void codes_q4_1(const uint8_t *block, uint8_t *codes)
{
    unpack(block + 4, 16, 16, 4, codes);
}

// The fifth bits in the order of the weights, then nibbles
static void codes_q5(const uint8_t *bits, uint8_t *codes)
{
    unpack(bits + 4, 16, 16, 4, codes);
    unpack_high(bits, 4, 1, 1, 4, codes);
}
static void codes_q5_0(const uint8_t *block, uint8_t *codes)
{
    codes_q5(block + 2, codes);
}
static void codes_q5_1(const uint8_t *block, uint8_t *codes)
{
    codes_q5(block + 4, codes);
}

// Nibbles that choose from a code book; the codes are its values + 128.
static void codes_iq4_nl(const uint8_t *block, uint8_t *codes)
{
    static const int8_t book[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
    codes_q4_0(block, codes);
    for (int j = 0; j < 32; j++)
        codes[j] = (uint8_t)(book[codes[j]] + 128);
}

// u8 scales[16], 2 bits of each weight, f16 d, f16 dmin
static void codes_q2_k(const uint8_t *block, uint8_t *codes)
{
    unpack(block + 16, 64, 32, 2, codes);
}

// Third bits, 2 bits of each weight, u8 scales[12], f16 d
static void codes_q3_k(const uint8_t *block, uint8_t *codes)
{
    unpack(block + 32, 64, 32, 2, codes);
    unpack_high(block, 32, 32, 1, 2, codes);
}

// f16 d, f16 dmin, u8 scales[12], nibbles
static void codes_q4_k(const uint8_t *block, uint8_t *codes)
{
    unpack(block + 16, 128, 32, 4, codes);
}

// The same with the fifth bits in front of the nibbles
static void codes_q5_k(const uint8_t *block, uint8_t *codes)
{
    unpack(block + 48, 128, 32, 4, codes);
    unpack_high(block + 16, 32, 32, 1, 4, codes);
}

// 4 bits of each weight, 2 bits of each, i8 scales[16], f16 d
static void codes_q6_k(const uint8_t *block, uint8_t *codes)
{
    unpack(block, 128, 64, 4, codes);
    unpack_high(block + 128, 64, 32, 2, 4, codes);
}

// 2 bits of each weight, f16 d
static void codes_tq2_0(const uint8_t *block, uint8_t *codes)
{
    unpack(block, 64, 32, 2, codes);
}

// 5 ternary digits in each byte (32 bytes, then 16), 4 in each of the last 4, f16 d.
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

// ------------------------------------------------------------------- scales of blocks

// One scale, and the code that stands for zero
static void scale_around(const uint8_t *d, int zero, float *scale, float *offset)
{
    *scale = load_half(d);
    *offset = *scale * (float)-zero;
}
static void scales_q4_0(const uint8_t *block, float *scale, float *offset)
{
    scale_around(block, 8, scale, offset);
}
static void scales_q5_0(const uint8_t *block, float *scale, float *offset)
{
    scale_around(block, 16, scale, offset);
}
static void scales_q8_0(const uint8_t *block, float *scale, float *offset)
{
    scale_around(block, 128, scale, offset);
}
static void scales_tq1_0(const uint8_t *block, float *scale, float *offset)
{
    scale_around(block + 52, 1, scale, offset);
}
static void scales_tq2_0(const uint8_t *block, float *scale, float *offset)
{
    scale_around(block + 64, 1, scale, offset);
}

static void scales_q4_1(const uint8_t *block, float *scale, float *offset)
{
    *scale = load_half(block);
    *offset = load_half(block + 2);
}

// Nibbles: multiples of d, and of -dmin
static void scales_q2_k(const uint8_t *block, float *scale, float *offset)
{
    float d = load_half(block + 80), dmin = load_half(block + 82);
    for (int g = 0; g < 16; g++) {
        scale[g] = d * (float)(block[g] & 15);
        offset[g] = -dmin * (float)(block[g] >> 4);
    }
}

// 6 bits - 32, multiples of d: the low nibbles of 8 bytes, then their high nibbles; the two high
// bits in 4 more bytes.
static void scales_q3_k(const uint8_t *block, float *scale, float *offset)
{
    uint8_t codes[16];
    float d = load_half(block + 108);
    unpack(block + 96, 8, 8, 4, codes);
    unpack_high(block + 104, 4, 4, 2, 4, codes);
    for (int g = 0; g < 16; g++) {
        scale[g] = d * (float)(codes[g] - 32);
        offset[g] = -4 * scale[g];
    }
}

// 6 bits, multiples of d, and of -dmin. Scales 0-3 are the low bits of bytes 0-3, minima 0-3 of
// bytes 4-7. Bytes 8-11 are the low nibbles of scales and minima 4-7, whose two high bits are
// those of bytes 0-3 and 4-7.
static void scales_q4_k(const uint8_t *block, float *scale, float *offset)
{
    float d = load_half(block), dmin = load_half(block + 2);
    const uint8_t *low = block + 4, *minimum = low + 4, *more = low + 8;
    for (int g = 0; g < 4; g++) {
        scale[g] = d * (float)(low[g] & 63);
        offset[g] = -dmin * (float)(minimum[g] & 63);
        scale[g + 4] = d * (float)((more[g] & 15) | low[g] >> 6 << 4);
        offset[g + 4] = -dmin * (float)(more[g] >> 4 | minimum[g] >> 6 << 4);
    }
}

// i8, multiples of d
static void scales_q6_k(const uint8_t *block, float *scale, float *offset)
{
    float d = load_half(block + 208);
    for (int g = 0; g < 16; g++) {
        scale[g] = d * (float)(int8_t)block[192 + g];
        offset[g] = -32 * scale[g];
    }
}

// ------------------------------------------------------------------------ whole blocks

// scale * code has 24 significant bits at most (Q6_K: 11 of d, 7 of its multiple, 6 of the code):
// it is exact, and the value is rounded once, if at all.
static void dequantize_blocks(const weight_type *type, const uint8_t *in, int64_t count, float *out)
{
    uint8_t codes[MAX_BLOCK];
    float scale[MAX_GROUPS], offset[MAX_GROUPS];
    for (int64_t i = 0; i < count; i += type->block, in += type->bytes) {
        type->codes(in, codes);
        type->scales(in, scale, offset);
        for (uint32_t j = 0, g = 0; j < type->block; g++)
            for (uint32_t end = j + type->group; j < end; j++)
                *out++ = scale[g] * (float)codes[j] + offset[g];
    }
}

// scale q + offset = scale/2 (2q - (2^b - 1)) + (offset + scale/2 (2^b - 1)), where a float can
// hold the new offset.
static HOST_CLONES bool canonical_uniform(const weight_type *type, const quant_format *format,
                                          const uint8_t *in, int64_t count, uint8_t *codes,
                                          float *restrict scale, float *restrict offset)
{
    const double middle = ((1 << format->planes) - 1) / 2.0;
    const int64_t groups = count * (type->block / type->group);
    int64_t exact = 0;
    for (int64_t i = 0; i < count; i++, in += type->bytes) {
        int64_t first = i * (type->block / type->group);
        type->codes(in, codes + i * type->block);
        type->scales(in, scale + first, offset + first);
    }
    for (int64_t g = 0; g < groups; g++) {
        double center = (double)offset[g] + (double)scale[g] * middle;
        scale[g] /= 2;
        offset[g] = (float)center;
        exact += (double)offset[g] == center;
    }
    return exact == groups;
}

// Digits 0, 1, 2 to codes 0, 1, 3. Two bits could also say 3, which is no ternary weight.
static HOST_CLONES bool canonical_ternary(const weight_type *type, const quant_format *format,
                                          const uint8_t *in, int64_t count, uint8_t *restrict codes,
                                          float *scale, float *offset)
{
    float unused;
    uint8_t seen = 0;
    (void)format, (void)offset;
    for (int64_t i = 0; i < count; i++, in += type->bytes) {
        type->codes(in, codes + i * type->block);
        type->scales(in, &scale[i], &unused);
        scale[i] /= 2;
    }
    for (int64_t i = 0; i < count * type->block; i++) {
        codes[i] += codes[i] > 1;
        seen |= codes[i];
    }
    return seen < 4;
}

// Nibbles are the codebook's codes; its numbers are over 128.
static bool canonical_iq4nl(const weight_type *type, const quant_format *format, const uint8_t *in,
                            int64_t count, uint8_t *codes, float *scale, float *offset)
{
    (void)format, (void)offset;
    for (int64_t i = 0; i < count; i++, in += type->bytes) {
        codes_q4_0(in, codes + i * type->block);
        scale[i] = 128 * load_half(in);
    }
    return true;
}

// E8M0 in front of E2M1: half of the power of two, since fp4's numbers are doubled. 255 is NaN.
static float scale_mxfp4(uint8_t e)
{
    return e == UINT8_MAX ? NAN : ldexpf(1, e - 128);
}

static void dequantize_mxfp4(const weight_type *type, const uint8_t *in, int64_t count, float *out)
{
    static const float numbers[] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    uint8_t codes[MAX_BLOCK];
    for (int64_t i = 0; i < count; i += type->block, in += type->bytes) {
        unpack(in + 1, 16, 16, 4, codes);
        for (uint32_t j = 0; j < type->block; j++)
            *out++ = numbers[codes[j]] * scale_mxfp4(*in);
    }
}

// Nibbles are the codebook's codes. Scales so large that values are beyond f32 have no such form.
static bool canonical_mxfp4(const weight_type *type, const quant_format *format, const uint8_t *in,
                            int64_t count, uint8_t *codes, float *scale, float *offset)
{
    bool good = true;
    (void)format, (void)offset;
    for (int64_t i = 0; i < count; i++, in += type->bytes) {
        unpack(in + 1, 16, 16, 4, codes + i * type->block);
        scale[i] = scale_mxfp4(*in);
        good &= scale[i] < 0x1p123f;
    }
    return good;
}

// --------------------------------------------------------------------- the table

#define BLOCKS(group, layout, scaling) dequantize_blocks, group, codes_##layout, scales_##scaling
#define UNIFORM(base) base "zf", {base "z", base "zf"}, canonical_uniform
#define CODEBOOK(base, name) base "f", {base, base "f"}, canonical_##name
#define TERNARY "ternaryg256f", {"ternary", "ternaryg256", "ternaryg256f"}, canonical_ternary

const weight_type weight_types[] = {
    {"F32", 0, 1, 4, "f32", dequantize_f32},
    {"F16", 1, 1, 2, "f16", dequantize_f16},
    {"BF16", 30, 1, 2, "bf16", dequantize_bf16},
    {"F64", 28, 1, 8, "f32", dequantize_f64},
    {"I8", 24, 1, 1, "f16", dequantize_i8},
    {"I16", 25, 1, 2, "f32", dequantize_i16},
    {"I32", 26, 1, 4, "f32", dequantize_i32},
    {"I64", 27, 1, 8, "f32", dequantize_i64},
    {"Q8_0", 8, 32, 34, "f32", BLOCKS(32, q8_0, q8_0), UNIFORM("w8g32")},
    {"Q4_0", 2, 32, 18, "f32", BLOCKS(32, q4_0, q4_0), UNIFORM("w4g32")},
    {"Q4_1", 3, 32, 20, "f32", BLOCKS(32, q4_1, q4_1), UNIFORM("w4g32")},
    {"Q5_0", 6, 32, 22, "f32", BLOCKS(32, q5_0, q5_0), UNIFORM("w5g32")},
    {"Q5_1", 7, 32, 24, "f32", BLOCKS(32, q5_1, q4_1), UNIFORM("w5g32")},
    {"Q2_K", 10, 256, 84, "f32", BLOCKS(16, q2_k, q2_k), UNIFORM("w2g16")},
    {"Q3_K", 11, 256, 110, "f32", BLOCKS(16, q3_k, q3_k), UNIFORM("w3g16")},
    {"Q4_K", 12, 256, 144, "f32", BLOCKS(32, q4_k, q4_k), UNIFORM("w4g32")},
    {"Q5_K", 13, 256, 176, "f32", BLOCKS(32, q5_k, q4_k), UNIFORM("w5g32")},
    {"Q6_K", 14, 256, 210, "f32", BLOCKS(16, q6_k, q6_k), UNIFORM("w6g16")},
    {"IQ4_NL", 20, 32, 18, "f32", BLOCKS(32, iq4_nl, q8_0), CODEBOOK("iq4nlg32", iq4nl)},
    {"MXFP4", 39, 32, 17, "bf16", dequantize_mxfp4, 32, NULL, NULL, CODEBOOK("fp4g32", mxfp4)},
    {"TQ1_0", 34, 256, 54, "f16", BLOCKS(256, tq1_0, tq1_0), TERNARY},
    {"TQ2_0", 35, 256, 66, "f16", BLOCKS(256, tq2_0, tq2_0), TERNARY},
    // Known by name only. Q8_1 and Q8_K are activations' types: files have none.
    // clang-format off
    {"Q4_2", 4}, {"Q4_3", 5}, {"Q8_1", 9}, {"Q8_K", 15}, {"IQ2_XXS", 16}, {"IQ2_XS", 17},
    {"IQ3_XXS", 18}, {"IQ1_S", 19}, {"IQ3_S", 21}, {"IQ2_S", 22}, {"IQ4_XS", 23}, {"IQ1_M", 29},
    {"Q4_0_4_4", 31}, {"Q4_0_4_8", 32}, {"Q4_0_8_8", 33}, {"IQ4_NL_4_4", 36}, {"IQ4_NL_4_8", 37},
    {"IQ4_NL_8_8", 38}, {"NVFP4", 40}, {"Q1_0", 41}, {"Q2_0", 42},
    // clang-format on
    {NULL},
};

bool weight_type_raw(const weight_type *type)
{
    return type->dense && strcasecmp(type->name, type->dense) == 0;
}

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
