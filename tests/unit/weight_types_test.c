// link: lutra_import lutra_ir lutra_quant lutra_support
// Tensor types of GGUF files against formulas of their own, and what is exact where.
#include "weights_fixture.h"

// ------------------------------------------- block types, by other formulas than ours

typedef double element(const uint8_t *block, int i);

static double half(const uint8_t *at)
{
    return (double)f16_to_float((uint16_t)(at[0] | at[1] << 8));
}
static double f32_element(const uint8_t *block, int i)
{
    (void)i;
    return scalar_load(SCALAR_F32, block);
}
static double f16_element(const uint8_t *block, int i)
{
    return half(block + 2 * i);
}
static double bf16_element(const uint8_t *block, int i)
{
    return scalar_load(SCALAR_BF16, block + 2 * i);
}
static double q8_0_element(const uint8_t *block, int i)
{
    return half(block) * (int8_t)block[2 + i];
}
static double q4_0_element(const uint8_t *block, int i)
{
    return half(block) * ((block[2 + i % 16] >> i / 16 * 4 & 15) - 8);
}
static double tq2_0_element(const uint8_t *block, int i)
{
    int byte = i / 128 * 32 + i % 32, shift = i % 128 / 32 * 2;
    return half(block + 64) * ((block[byte] >> shift & 3) - 1);
}

// A byte is a fraction of 256; its digits in base 3, most significant first.
static double tq1_0_element(const uint8_t *block, int i)
{
    int byte, digit;
    if (i < 160)
        byte = i % 32, digit = i / 32;
    else if (i < 240)
        byte = 32 + i % 16, digit = (i - 160) / 16;
    else
        byte = 48 + i % 4, digit = (i - 240) / 4;
    int fraction = block[byte];
    for (int j = 0; j < digit; j++)
        fraction = fraction * 3 % 256;
    return half(block + 52) * (fraction * 3 / 256 - 1);
}
static double f64_element(const uint8_t *block, int i)
{
    double x;
    (void)i;
    memcpy(&x, block, sizeof x);
    return x;
}

// Little-endian, two's complement
static double integer(const uint8_t *bytes, int size)
{
    uint64_t bits = bytes[size - 1] & 0x80 ? ~UINT64_C(0) : 0;
    for (int i = size; i-- > 0;)
        bits = bits << 8 | bytes[i];
    return (double)(int64_t)bits;
}
static double i8_element(const uint8_t *block, int i)
{
    return integer(block + i, 1);
}
static double i16_element(const uint8_t *block, int i)
{
    return integer(block + 2 * i, 2);
}
static double i32_element(const uint8_t *block, int i)
{
    return integer(block + 4 * i, 4);
}
static double i64_element(const uint8_t *block, int i)
{
    return integer(block + 8 * i, 8);
}

static int bit(const uint8_t *bytes, int i)
{
    return bytes[i / 8] >> i % 8 & 1;
}
static int nibble(const uint8_t *bytes, int i)
{
    return bytes[i / 2] >> i % 2 * 4 & 15;
}
// Of 32 weights, the two nibbles of a byte are 16 apart.
static int nibble_16(const uint8_t *bytes, int i)
{
    return nibble(bytes, i % 16 * 2 + i / 16);
}
// Of 256 weights, the two nibbles of a byte are 32 apart.
static int nibble_32(const uint8_t *bytes, int i)
{
    return nibble(bytes, i / 64 * 64 + i % 32 * 2 + i / 32 % 2);
}
// Four 2-bit numbers of a byte, 32 apart
static int pair_32(const uint8_t *bytes, int i)
{
    const uint8_t *byte = bytes + i / 128 * 32 + i % 32;
    return bit(byte, i / 32 % 4 * 2) + 2 * bit(byte, i / 32 % 4 * 2 + 1);
}

static double q4_1_element(const uint8_t *block, int i)
{
    return half(block) * nibble_16(block + 4, i) + half(block + 2);
}
static double q5_0_element(const uint8_t *block, int i)
{
    return half(block) * (nibble_16(block + 6, i) - 16 * !bit(block + 2, i));
}
static double q5_1_element(const uint8_t *block, int i)
{
    return half(block) * (nibble_16(block + 8, i) + 16 * bit(block + 4, i)) + half(block + 2);
}
static double iq4_nl_element(const uint8_t *block, int i)
{
    switch (nibble_16(block + 2, i)) {
    case 0: return half(block) * -127;
    case 1: return half(block) * -104;
    case 2: return half(block) * -83;
    case 3: return half(block) * -65;
    case 4: return half(block) * -49;
    case 5: return half(block) * -35;
    case 6: return half(block) * -22;
    case 7: return half(block) * -10;
    case 8: return half(block) * 1;
    case 9: return half(block) * 13;
    case 10: return half(block) * 25;
    case 11: return half(block) * 38;
    case 12: return half(block) * 53;
    case 13: return half(block) * 69;
    case 14: return half(block) * 89;
    default: return half(block) * 113;
    }
}
static double q2_k_element(const uint8_t *block, int i)
{
    int scale = nibble(block, i / 16 * 2), minimum = nibble(block, i / 16 * 2 + 1);
    return half(block + 80) * scale * pair_32(block + 16, i) - half(block + 82) * minimum;
}
static double q3_k_element(const uint8_t *block, int i)
{
    const uint8_t *scales = block + 96;
    int g = i / 16, low = nibble(scales, g % 8 * 2 + g / 8);
    int high = bit(scales + 8 + g % 4, g / 4 * 2) + 2 * bit(scales + 8 + g % 4, g / 4 * 2 + 1);
    int third = bit(block + i % 32, i / 32);
    return half(block + 108) * (16 * high + low - 32) * (pair_32(block + 32, i) + 4 * third - 4);
}
// Number g of the 8 scales (which = 0) or minima (which = 1), 6 bits each in 12 bytes
static int six_bits(const uint8_t *bytes, int which, int g)
{
    int byte = bytes[4 * which + g % 4];
    return g < 4 ? byte % 64 : byte / 64 * 16 + nibble(bytes + 8, (g - 4) * 2 + which);
}
static double k_element(const uint8_t *block, int i, int code)
{
    int scale = six_bits(block + 4, 0, i / 32), minimum = six_bits(block + 4, 1, i / 32);
    return half(block) * scale * code - half(block + 2) * minimum;
}
static double q4_k_element(const uint8_t *block, int i)
{
    return k_element(block, i, nibble_32(block + 16, i));
}
static double q5_k_element(const uint8_t *block, int i)
{
    return k_element(block, i, nibble_32(block + 48, i) + 16 * bit(block + 16 + i % 32, i / 32));
}
// Of each 128 weights, the two nibbles of a byte are 64 apart.
static double q6_k_element(const uint8_t *block, int i)
{
    int low = nibble(block, i / 128 * 128 + i % 64 * 2 + i % 128 / 64);
    int code = low + 16 * pair_32(block + 128, i) - 32;
    return half(block + 208) * (int8_t)block[192 + i / 16] * code;
}

static double mxfp4_element(const uint8_t *block, int i)
{
    static const double numbers[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    int code = nibble_16(block + 1, i);
    double x = (code & 8 ? -1 : 1) * numbers[code & 7];
    return block[0] == 255 ? NAN : ldexp(x, block[0] - 127);
}

// Where a block's halves are, and the other bytes that scales are made of.
static const struct {
    const char *name;
    element *value;
    int halves, half_at, scales, scales_at;
} types[] = {
    {"F32", f32_element, 0, 0, 0, 0},       {"F16", f16_element, 0, 0, 0, 0},
    {"BF16", bf16_element, 0, 0, 0, 0},     {"F64", f64_element, 0, 0, 0, 0},
    {"I8", i8_element, 0, 0, 0, 0},         {"I16", i16_element, 0, 0, 0, 0},
    {"I32", i32_element, 0, 0, 0, 0},       {"I64", i64_element, 0, 0, 0, 0},
    {"Q8_0", q8_0_element, 1, 0, 0, 0},     {"Q4_0", q4_0_element, 1, 0, 0, 0},
    {"Q4_1", q4_1_element, 2, 0, 0, 0},     {"Q5_0", q5_0_element, 1, 0, 0, 0},
    {"Q5_1", q5_1_element, 2, 0, 0, 0},     {"Q2_K", q2_k_element, 2, 80, 16, 0},
    {"Q3_K", q3_k_element, 1, 108, 12, 96}, {"Q4_K", q4_k_element, 2, 0, 12, 4},
    {"Q5_K", q5_k_element, 2, 0, 12, 4},    {"Q6_K", q6_k_element, 1, 208, 16, 192},
    {"IQ4_NL", iq4_nl_element, 1, 0, 0, 0}, {"TQ1_0", tq1_0_element, 1, 52, 0, 0},
    {"TQ2_0", tq2_0_element, 1, 64, 0, 0},  {"MXFP4", mxfp4_element, 0, 0, 1, 0},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

static const weight_type *type_named(const char *name)
{
    const weight_type *t = weight_types;
    while (strcmp(t->name, name) != 0)
        t++;
    return t;
}

static void dequantize(const weight_type *t, const uint8_t *blocks, int64_t count, float *out)
{
    t->dequantize(t, blocks, count, out);
}

static void put_half(uint8_t *at, unsigned bits)
{
    at[0] = (uint8_t)bits, at[1] = (uint8_t)(bits >> 8);
}

// Random bits; ternary digits stay ternary, doubles in the range of floats. Scales of any finite
// size, or (tame) within three octaves.
static void random_blocks(size_t type, bool tame, uint8_t *bytes, size_t size)
{
    const weight_type *t = type_named(types[type].name);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_bits(&stream);
    if (strcmp(t->name, "TQ2_0") == 0)
        for (size_t i = 0; i < size; i++)
            bytes[i] &= (uint8_t)~(bytes[i] >> 1 & 0x55);
    for (size_t i = 0; i < size && strcmp(t->name, "F64") == 0; i += 8)
        memcpy(bytes + i, &(double){random_normal(&stream)}, 8);
    for (size_t block = 0; block < size; block += t->bytes)
        for (int i = 0; i < types[type].halves; i++) {
            uint64_t bits = random_bits(&stream);
            uint64_t magnitude = tame ? 0x2800 + bits % 0xc00 : bits % 0x7c00;
            put_half(bytes + block + types[type].half_at + 2 * i,
                     (unsigned)(magnitude | (bits >> 32 & 0x8000)));
        }
    for (size_t i = 0; i < size && strcmp(t->name, "MXFP4") == 0; i += t->bytes)
        bytes[i] = (uint8_t)(tame ? 120 + bytes[i] % 3 : bytes[i] % 250);
    if (!types[type].halves) // no infinities, no NaN: clear a bit of every exponent
        for (size_t i = t->bytes - 1; i < size; i += t->bytes)
            bytes[i] &= 0xbf;
}

static const weights_tensor *random_tensor(size_t type, bool tame, int64_t n, int64_t k,
                                           weights **w)
{
    const weight_type *t = type_named(types[type].name);
    size_t size = (size_t)(n * k / t->block * t->bytes);
    uint8_t *bytes = arena_alloc(a, size);
    random_blocks(type, tame, bytes, size);
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", t->name, 2, (int64_t[]){n, k}, bytes, size);
    *w = parsed(g);
    return weights_find(*w, "w");
}

static double by_formula(size_t type, const weights_tensor *t, int64_t i)
{
    return types[type].value(t->data + i / t->type->block * t->type->bytes,
                             (int)(i % t->type->block));
}

static void every_supported_type_has_a_formula(void **state)
{
    (void)state;
    size_t supported = 0;
    for (const weight_type *t = weight_types; t->name; t++)
        supported += t->dequantize != NULL;
    assert_int_equal(supported, N_TYPES);
}

static void the_rows_of_the_table_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TYPES; i++) {
        const weight_type *t = type_named(types[i].name);
        quant_format form, kept;
        assert_true(quant_format_parse(t->dense, &form) && !form.planes);
        assert_true((t->block > 1) == (t->group > 0) && (!t->group || t->block % t->group == 0));
        assert_true(!t->canonical == !t->to_canonical && !t->canonical == !t->keep[0]);
        if (!t->canonical)
            continue;
        assert_true(quant_format_parse(t->canonical, &form) && form.scale == SCALAR_F32);
        assert_int_equal(form.group, t->group);
        for (int j = 0; j < 3 && t->keep[j]; j++)
            assert_true(quant_format_parse(t->keep[j], &kept) && kept.kind == form.kind &&
                        kept.planes == form.planes && kept.offset == form.offset);
    }
}

// -------------------------------------------------------------------------- values

static void every_type_dequantizes_by_its_formula(void **state)
{
    (void)state;
    enum { N = 9, K = 512 };
    for (size_t type = 0; type < N_TYPES; type++) {
        weights *w;
        const weights_tensor *t = random_tensor(type, false, N, K, &w);
        float got[4 * K];
        assert_true(weights_read_rows(w, d, t, 3, 4, got));
        for (int i = 0; i < 4 * K; i++)
            assert_true(got[i] == (float)by_formula(type, t, 3 * K + i));
    }
    assert_silent();
}

static void check_block(size_t type, const weight_type *t, const uint8_t *block)
{
    float got[256];
    dequantize(t, block, t->block, got);
    for (int i = 0; i < (int)t->block; i++) {
        float want = (float)types[type].value(block, i);
        if (got[i] != want && !(isnan(got[i]) && isnan(want)))
            fail_msg("%s: weight %d is %g, not %g", t->name, i, (double)got[i], (double)want);
    }
}

// Every byte everywhere, with zero, the smallest and the largest subnormal and normal halves.
static void every_byte_and_extreme_scales(void **state)
{
    (void)state;
    static const uint16_t halves[] = {0,      0x0001, 0x03ff, 0x0400, 0x3c00,
                                      0x7bff, 0x8001, 0x83ff, 0xbc01, 0xfbff};
    enum { N_HALVES = sizeof halves / sizeof halves[0] };
    for (size_t type = 0; type < N_TYPES; type++)
        for (unsigned byte = 0; byte < 256; byte++)
            for (int i = 0; i < (types[type].halves ? N_HALVES : 1); i++) {
                const weight_type *t = type_named(types[type].name);
                uint8_t block[256];
                memset(block, (int)byte, sizeof block);
                for (int j = 0; j < types[type].halves; j++)
                    put_half(block + types[type].half_at + 2 * j, halves[(i + 3 * j) % N_HALVES]);
                check_block(type, t, block);
            }
}

// Every value of each byte that scales are made of, the others random.
static void every_scale_is_read_from_its_place(void **state)
{
    (void)state;
    for (size_t type = 0; type < N_TYPES; type++)
        for (int i = 0; i < types[type].scales; i++)
            for (unsigned byte = 0; byte < 256; byte++) {
                const weight_type *t = type_named(types[type].name);
                uint8_t block[256];
                random_blocks(type, false, block, t->bytes);
                block[types[type].scales_at + i] = (uint8_t)byte;
                check_block(type, t, block);
            }
}

static void halves_become_floats_exactly(void **state)
{
    (void)state;
    uint16_t all[65536];
    float got[65536];
    for (unsigned i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    dequantize(type_named("F16"), (const uint8_t *)all, 65536, got);
    for (unsigned i = 0; i < 65536; i++) {
        float want = f16_to_float((uint16_t)i);
        if (isnan(want))
            assert_true(isnan(got[i]) && !signbit(got[i]) == !signbit(want));
        else
            assert_memory_equal(&got[i], &want, sizeof want);
    }
}

static void written_trits_come_back_from_tq1_0(void **state)
{
    (void)state;
    uint8_t block[54] = {0};
    int trits[256];
    for (int i = 0; i < 256; i++)
        trits[i] = (int)(random_bits(&stream) % 3);
    for (int byte = 0; byte < 52; byte++) {
        int first = byte < 32 ? byte : byte < 48 ? 160 + byte - 32 : 240 + byte - 48;
        int step = byte < 32 ? 32 : byte < 48 ? 16 : 4, digits = byte < 48 ? 5 : 4, number = 0;
        for (int j = 0; j < 5; j++)
            number = number * 3 + (j < digits ? trits[first + j * step] : 0);
        block[byte] = (uint8_t)((number * 256 + 242) / 243);
    }
    block[53] = 0x40; // 2.0
    float got[256];
    dequantize(type_named("TQ1_0"), block, 256, got);
    for (int i = 0; i < 256; i++)
        assert_true(got[i] == 2.0f * (float)(trits[i] - 1));
}

static void read_one(const char *type, const void *value, size_t size, float *got)
{
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", type, 1, (int64_t[]){1}, value, size);
    weights *w = parsed(g);
    if (!weights_read_rows(w, d, weights_find(w, "w"), 0, 1, got))
        *got = NAN;
}

static void wide_numbers_are_rounded_to_the_nearest_float(void **state)
{
    (void)state;
    float got;
    read_one("I32", &(int32_t){16777217}, 4, &got);
    assert_true(got == 16777216.0f);
    read_one("I32", &(int32_t){INT32_MIN}, 4, &got);
    assert_true(got == -0x1p31f);
    read_one("I64", &(int64_t){INT64_MAX}, 8, &got);
    assert_true(got == 0x1p63f);
    read_one("I64", &(int64_t){-16777219}, 8, &got);
    assert_true(got == -16777220.0f);
    read_one("F64", &(double){0.1}, 8, &got);
    assert_true(got == 0.1f);
    read_one("F64", &(double){-1e-46}, 8, &got);
    assert_true(got == 0);
    assert_silent();
    read_one("F64", &(double){1e300}, 8, &got);
    assert_true(isnan(got));
    assert_string_equal(messages(), "test.gguf: error: tensor 'w': row 0, column 0 is not a finite "
                                    "32-bit number (inf)\n");
}

// --------------------------------------------------------------------- kept exactly

static void kept_formats_are_exact(void **state)
{
    (void)state;
    enum { N = 5, K = 512 };
    for (size_t type = 0; type < N_TYPES; type++) {
        weights *w;
        const weights_tensor *t = random_tensor(type, true, N, K, &w);
        const char *format = weights_keep_format(w, t);
        assert_true(!format == !t->type->canonical);
        if (!format)
            continue;
        ir_global *g = declare(ir_module_create(a, "m"), "w", format, N, K);
        double got[N * K];
        assert_true(weights_values(w, d, g, 0, N, got));
        for (int i = 0; i < N * K; i++)
            assert_true(got[i] == by_formula(type, t, i));
    }
    assert_silent();
}

// A block whose codes are made of the bytes `even` and `odd`, with the scales of `from`.
static void fill_block(size_t type, const weight_type *t, const uint8_t *from, uint8_t even,
                       uint8_t odd, uint8_t *block)
{
    for (int i = 0; i < (int)t->bytes; i++)
        block[i] = i % 2 ? odd : even;
    memcpy(block + types[type].half_at, from + types[type].half_at, 2 * (size_t)types[type].halves);
    memcpy(block + types[type].scales_at, from + types[type].scales_at, (size_t)types[type].scales);
}

// The middle between the largest and the smallest code: all bits are 0 or 1, or, with a sign, all
// but that.
static bool middles_are_floats(size_t type, const uint8_t *scales, const weight_type *t)
{
    static const uint8_t bytes[] = {0, 0xff, 0x80, 0x7f};
    for (int g = 0; g < (int)(t->block / t->group); g++) {
        double low = INFINITY, high = -INFINITY;
        for (int i = 0; i < 4; i++) {
            uint8_t block[256];
            fill_block(type, t, scales, bytes[i], bytes[i], block);
            double x = types[type].value(block, g * (int)t->group);
            low = fmin(low, x);
            high = fmax(high, x);
        }
        double middle = (low + high) / 2;
        if ((double)(float)middle != middle)
            return false;
    }
    return true;
}

// With scales of any size, d and dmin may be too far apart for one float.
static void blocks_are_canonical_if_and_only_if_it_is_exact(void **state)
{
    (void)state;
    for (size_t type = 0; type < N_TYPES; type++) {
        const weight_type *t = type_named(types[type].name);
        quant_format format;
        int found[2] = {0, 0};
        if (!t->canonical || !quant_format_parse(t->canonical, &format) || !format.offset)
            continue;
        for (int round = 0; round < 2000; round++) {
            uint8_t block[256], template[256], codes[256];
            float scale[16], offset[16];
            random_blocks(type, false, template, t->bytes);
            fill_block(type, t, template, 0, 255, block);
            bool exact = t->to_canonical(t, &format, block, 1, codes, scale, offset);
            assert_int_equal(exact, middles_are_floats(type, template, t));
            found[exact]++;
            quant_rows row = {format, 1, t->block, codes, scale, offset, NULL};
            for (int i = 0; i < (int)t->block && exact; i++)
                assert_true(quant_value(&row, 0, i) == types[type].value(block, i));
        }
        assert_true(found[true] > 100);
        assert_int_equal(found[false] > 100, types[type].halves == 2);
    }
}

static const char *kept(const char *type, const void *data, size_t size, int64_t n, int64_t k)
{
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", type, 2, (int64_t[]){n, k}, data, size);
    weights *w = parsed(g);
    return weights_keep_format(w, weights_find(w, "w"));
}

static void the_simplest_exact_format_is_kept(void **state)
{
    (void)state;
    uint8_t q4[36] = {0}, tq[4 * 66] = {0};
    put_half(q4, 0x3c00), put_half(q4 + 18, 0x3c00); // d = 1
    assert_string_equal(kept("Q4_0", q4, 36, 2, 32), "w4g32z");
    put_half(q4, 1); // the smallest half: d/2 is none
    assert_string_equal(kept("Q4_0", q4, 36, 2, 32), "w4g32zf");
    for (int i = 0; i < 4; i++)
        put_half(tq + i * 66 + 64, 0x3c00);
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternary");
    put_half(tq + 2 * 66 + 64, 0x4000); // another scale for the second row
    put_half(tq + 3 * 66 + 64, 0x4000);
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternary");
    put_half(tq + 3 * 66 + 64, 0x4400); // two in one row
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternaryg256");
    put_half(tq + 3 * 66 + 64, 1);
    assert_string_equal(kept("TQ2_0", tq, sizeof tq, 2, 512), "ternaryg256f");
    uint8_t mx[34] = {[0] = 128, [17] = 142}; // 2^0 and 2^14, halves of the file's scales
    assert_string_equal(kept("MXFP4", mx, sizeof mx, 2, 32), "fp4g32");
    mx[17] = 144; // 2^16 is beyond f16
    assert_string_equal(kept("MXFP4", mx, sizeof mx, 2, 32), "fp4g32f");
    mx[17] = 255; // NaN
    assert_null(kept("MXFP4", mx, sizeof mx, 2, 32));
    tq[0] = 3; // 2 d: no ternary weight
    assert_null(kept("TQ2_0", tq, sizeof tq, 2, 512));
    assert_null(kept("F16", tq, 256, 1, 128));
}

// Floats of one magnitude in each row are ternary, and the packed values are the same.
static void ternary_floats_are_kept(void **state)
{
    (void)state;
    enum { N = 3, K = 64 };
    float values[N * K];
    for (int i = 0; i < N * K; i++)
        values[i] = (float)(i % 3 - 1) * (i < K ? 0.3f : 1e30f);
    assert_string_equal(kept("F32", values, sizeof values, N, K), "ternary");
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", "F32", 2, (int64_t[]){N, K}, values, sizeof values);
    double stored[N * K];
    ir_global *global = declare(ir_module_create(a, "m"), "w", "ternary", N, K);
    assert_true(weights_values(parsed(g), d, global, 0, N, stored));
    for (int i = 0; i < N * K; i++)
        assert_true((float)stored[i] == values[i]);

    uint8_t halves[2 * K] = {0};
    assert_string_equal(kept("BF16", halves, sizeof halves, 1, K), "ternary"); // nothing but zeros
    put_half(halves, 0x3c00), put_half(halves + 2 * 60, 0xbc00);
    assert_string_equal(kept("F16", halves, sizeof halves, 1, K), "ternary");
    put_half(halves + 2 * 63, 0x3c01); // nearly the same
    assert_null(kept("F16", halves, sizeof halves, 1, K));
    put_half(halves + 2 * 63, 0x7c00), put_half(halves, 0x7c00), put_half(halves + 2 * 60, 0xfc00);
    assert_null(kept("F16", halves, sizeof halves, 1, K)); // infinite
}

static void scales_and_minima_are_kept_where_a_float_holds_the_offset(void **state)
{
    (void)state;
    static const struct {
        const char *type, *half, *single;
        unsigned scale; // the byte of all scales
    } rows[] = {{"Q4_1", "w4g32z", "w4g32zf", 0},
                {"Q2_K", "w2g16z", "w2g16zf", 0x11},
                {"Q4_K", "w4g32z", "w4g32zf", 0x41}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const weight_type *t = type_named(rows[i].type);
        size_t type = 0;
        while (strcmp(types[type].name, t->name) != 0)
            type++;
        uint8_t block[256], *d_at = block + types[type].half_at;
        memset(block, (int)rows[i].scale, sizeof block);
        put_half(d_at, 0x4000), put_half(d_at + 2, 0x3c00); // 2, 1
        assert_string_equal(kept(t->name, block, t->bytes, 1, t->block), rows[i].half);
        put_half(d_at, 0x0001), put_half(d_at + 2, 0x0400); // d/2 is no half
        assert_string_equal(kept(t->name, block, t->bytes, 1, t->block), rows[i].single);
        put_half(d_at + 2, 0x7bff); // 65504 and 2^-24 have no sum
        assert_null(kept(t->name, block, t->bytes, 1, t->block));
        put_half(d_at, 0x7c00); // infinite
        assert_null(kept(t->name, block, t->bytes, 1, t->block));
    }
}

// Rows that are kept and rows that are quantized may be neighbours.
static void a_row_without_a_canonical_form_is_quantized(void **state)
{
    (void)state;
    uint8_t blocks[2][20];
    for (int i = 0; i < 20; i++)
        blocks[0][i] = blocks[1][i] = (uint8_t)(i * 37);
    put_half(blocks[0], 0x4001), put_half(blocks[0] + 2, 0xbc00);
    put_half(blocks[1], 0x0001), put_half(blocks[1] + 2, 0x7bff);
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", "Q4_1", 2, (int64_t[]){2, 32}, blocks, sizeof blocks);
    weights *w = parsed(g);
    ir_global *global = declare(ir_module_create(a, "m"), "w", "w4g32zf", 2, 32);
    double got[64];
    assert_true(weights_values(w, d, global, 0, 2, got));
    for (int i = 0; i < 32; i++) {
        assert_true(got[i] == q4_1_element(blocks[0], i));
        assert_true(fabs(got[32 + i] - q4_1_element(blocks[1], i)) < 1);
    }
}

// Types without a minimum are exact in their dense format, however large or small the scales;
// with one, and where numbers are wide, floats are the nearest ones.
static void dense_formats_are_exact(void **state)
{
    (void)state;
    for (size_t type = 0; type < N_TYPES; type++) {
        weights *w;
        const weights_tensor *t = random_tensor(type, false, 3, 256, &w);
        bool rounded = types[type].halves == 2 || (t->type->block == 1 && t->type->bytes > 4) ||
                       strcmp(t->type->name, "I32") == 0;
        ir_global *g = declare(ir_module_create(a, "m"), "w", weights_dense_format(t), 3, 256);
        double got[3 * 256];
        assert_true(weights_values(w, d, g, 0, 3, got));
        for (int i = 0; i < 3 * 256; i++) {
            double want = by_formula(type, t, i);
            assert_true(got[i] == (rounded ? (double)(float)want : want));
        }
    }
}

// No format before the chosen one in the order of width holds all values.
static void dense_formats_are_the_narrowest(void **state)
{
    (void)state;
    static const char *const narrow[] = {"f16", "bf16"};
    for (size_t type = 0; type < N_TYPES; type++) {
        weights *w;
        const weights_tensor *t = random_tensor(type, true, 16, 256, &w);
        if (strcmp(weights_dense_format(t), "f32") != 0)
            continue;
        for (int i = 0; i < 2; i++) {
            quant_format f;
            bool exact = true;
            assert_true(quant_format_parse(narrow[i], &f));
            for (int j = 0; j < 16 * 256 && exact; j++)
                exact = scalar_round(f.scale, by_formula(type, t, j)) == by_formula(type, t, j);
            assert_false(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_supported_type_has_a_formula),
        TEST(the_rows_of_the_table_are_sound),
        TEST(every_type_dequantizes_by_its_formula),
        TEST(every_byte_and_extreme_scales),
        TEST(every_scale_is_read_from_its_place),
        TEST(halves_become_floats_exactly),
        TEST(written_trits_come_back_from_tq1_0),
        TEST(wide_numbers_are_rounded_to_the_nearest_float),
        TEST(kept_formats_are_exact),
        TEST(blocks_are_canonical_if_and_only_if_it_is_exact),
        TEST(the_simplest_exact_format_is_kept),
        TEST(ternary_floats_are_kept),
        TEST(scales_and_minima_are_kept_where_a_float_holds_the_offset),
        TEST(a_row_without_a_canonical_form_is_quantized),
        TEST(dense_formats_are_exact),
        TEST(dense_formats_are_the_narrowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
