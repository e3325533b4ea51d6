// link: lutra_support
// Conversions: exhaustive over the codes of the narrow formats, and around every
// rounding boundary between two of them.
#include "tests/unit/unit.h"

#include "support/scalar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct narrow_format {
    const char *name;
    unsigned bits;
    float (*widen)(uint32_t code);
    uint32_t (*narrow)(double value);
    double largest;
    bool infinities;
} narrow_format;

static float widen_f16(uint32_t c)
{
    return f16_to_float((uint16_t)c);
}
static float widen_bf16(uint32_t c)
{
    return bf16_to_float((uint16_t)c);
}
static float widen_e4m3(uint32_t c)
{
    return e4m3_to_float((uint8_t)c);
}
static float widen_e5m2(uint32_t c)
{
    return e5m2_to_float((uint8_t)c);
}
static uint32_t narrow_f16(double x)
{
    return f16_from_double(x);
}
static uint32_t narrow_bf16(double x)
{
    return bf16_from_double(x);
}
static uint32_t narrow_e4m3(double x)
{
    return e4m3_from_double(x);
}
static uint32_t narrow_e5m2(double x)
{
    return e5m2_from_double(x);
}

static const narrow_format formats[] = {
    {"f16", 16, widen_f16, narrow_f16, 65504, true},
    {"bf16", 16, widen_bf16, narrow_bf16, 0x1.fep127, true},
    {"e4m3", 8, widen_e4m3, narrow_e4m3, 448, false},
    {"e5m2", 8, widen_e5m2, narrow_e5m2, 57344, true},
};
#define FOR_FORMATS(f)                                                                             \
    for (const narrow_format *f = formats; f < formats + sizeof formats / sizeof *formats; f++)

static void every_code_survives_the_round_trip(void **state)
{
    (void)state;
    FOR_FORMATS(f)
    {
        uint32_t wrong = 0;
        for (uint32_t code = 0; code < 1u << f->bits; code++) {
            float value = f->widen(code);
            uint32_t back = f->narrow((double)value);
            bool same = isnan(value) ? isnan(f->widen(back)) && (back ^ code) >> (f->bits - 1) == 0
                                     : back == code;
            wrong += !same;
        }
        assert_int_equal(wrong, 0);
    }
}

// Codes of positive values are in the order of the values.
static void codes_are_monotonic(void **state)
{
    (void)state;
    FOR_FORMATS(f)
    {
        for (uint32_t code = 0; f->widen(code) < f->largest; code++) {
            assert_true(f->widen(code) < f->widen(code + 1));
            assert_true(f->widen(code | 1u << (f->bits - 1)) == -f->widen(code));
        }
    }
}

// The middle of two neighbours goes to the even code; one double below or above
// it goes to the nearer one. Through f32 first, the last two would go wrong.
static void boundaries_round_once(void **state)
{
    (void)state;
    FOR_FORMATS(f)
    {
        for (uint32_t code = 0; f->widen(code) < f->largest; code++) {
            double middle = ((double)f->widen(code) + (double)f->widen(code + 1)) / 2;
            uint32_t even = code & 1 ? code + 1 : code;
            assert_int_equal(f->narrow(middle), even);
            assert_int_equal(f->narrow(nextafter(middle, 0)), code);
            assert_int_equal(f->narrow(nextafter(middle, INFINITY)), code + 1);
            assert_int_equal(f->narrow(-middle), even | 1u << (f->bits - 1));
        }
    }
}

static void overflow_and_underflow(void **state)
{
    (void)state;
    FOR_FORMATS(f)
    {
        float huge = f->widen(f->narrow(1e300));
        assert_true(f->infinities ? isinf(huge) : (double)huge == f->largest);
        assert_true(f->widen(f->narrow(-INFINITY)) == -huge);
        assert_int_equal(f->narrow(1e-300), 0);
        assert_int_equal(f->narrow(-4.9e-324), 1u << (f->bits - 1));
        assert_true(isnan(f->widen(f->narrow(NAN))));
    }
    assert_int_equal(f16_from_double(65519.999), 0x7bff);
    assert_int_equal(f16_from_double(65520), 0x7c00);
    assert_int_equal(e4m3_from_double(1e6), 0x7e);
    assert_int_equal(e4m3_from_double(NAN), 0x7f);
    assert_int_equal(e5m2_from_double(61440), 0x7c);
}

static void known_codes(void **state)
{
    (void)state;
    assert_int_equal(f16_from_double(1), 0x3c00);
    assert_int_equal(f16_from_double(0x1p-24), 1);
    assert_int_equal(f16_from_double(0x1p-25), 0);
    assert_int_equal(f16_from_double(0x1.8p-25), 1);
    assert_int_equal(bf16_from_double(1), 0x3f80);
    assert_int_equal(bf16_from_float(-2.0f), 0xc000);
    assert_int_equal(e4m3_from_double(1), 0x38);
    assert_int_equal(e4m3_from_double(0x1p-9), 1);
    assert_int_equal(e5m2_from_double(1), 0x3c);
    assert_int_equal(e5m2_from_double(0x1p-16), 1);
}

static void floats_agree_with_doubles(void **state)
{
    (void)state;
    uint32_t step = getenv("LUTRA_TEST_QUICK") ? 65537 : 4099;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += step) {
        uint32_t b = (uint32_t)bits;
        float x;
        memcpy(&x, &b, sizeof x);
        assert_int_equal(f16_from_float(x), f16_from_double((double)x));
        assert_int_equal(bf16_from_float(x), bf16_from_double((double)x));
    }
}

static void stores_saturate(void **state)
{
    (void)state;
    static const struct {
        scalar_type type;
        double value, stored;
    } cases[] = {
        {SCALAR_I8, 127.4, 127},
        {SCALAR_I8, 127.5, 127},
        {SCALAR_I8, -1e9, -128},
        {SCALAR_I8, 2.5, 2},
        {SCALAR_I8, 3.5, 4},
        {SCALAR_I8, -0.5, 0},
        {SCALAR_U8, 300, 255},
        {SCALAR_U8, -3, 0},
        {SCALAR_I16, 40000, 32767},
        {SCALAR_I32, 1e12, 0x7fffffff},
        {SCALAR_I32, -1e12, -2147483648.0},
        {SCALAR_I64, 1e30, 0x1p63},
        {SCALAR_I64, -1e30, -0x1p63},
        {SCALAR_I1, 7, 1},
        {SCALAR_I1, 0.2, 0},
        {SCALAR_I32, NAN, 0},
        {SCALAR_F32, 0x1.000001p0, 1},
        {SCALAR_F16, 1e9, INFINITY},
        {SCALAR_E4M3, -1e9, -448},
        {SCALAR_F64, 0.1, 0.1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(scalar_round(cases[i].type, cases[i].value) == cases[i].stored);
}

static void names_and_sizes(void **state)
{
    (void)state;
    scalar_type t = SCALAR_F64;
    assert_true(scalar_by_name("bf16", &t));
    assert_int_equal(t, SCALAR_BF16);
    assert_int_equal(scalar_size(t), 2);
    assert_false(scalar_by_name("f8", &t));
    assert_true(scalar_is_integer(SCALAR_U8) && !scalar_is_integer(SCALAR_I1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_survives_the_round_trip),
        cmocka_unit_test(codes_are_monotonic),
        cmocka_unit_test(boundaries_round_once),
        cmocka_unit_test(overflow_and_underflow),
        cmocka_unit_test(known_codes),
        cmocka_unit_test(floats_agree_with_doubles),
        cmocka_unit_test(stores_saturate),
        cmocka_unit_test(names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
