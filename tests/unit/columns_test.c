// link: lutra_quant lutra_support
// The layout of packed weights for CPUs.
#include "compiler/quant/columns.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static const char *const formats[] = {
    "w1",     "w2",         "w3",       "w4",        "ternary", "w1g16",   "w2g16z",
    "w3g16",  "w4g16zf",    "w1g32",    "w2g32f",    "w3g64z",  "w4g128z", "w2g256",
    "w3z",    "ternaryg32", "w5",       "w6g64",     "w7g16z",  "w8",      "w8g32",
    "nf4g64", "fp4",        "iq4nlg32", "cb4g32",    "cb2",     "bitmod3", "bitmod4g64",
    "bcq1",   "bcq2g16z",   "bcq3g32",  "bcq4g64zf", "i8",      "e4m3",    "e5m2"};
enum { N = 70, K = 150 };

static quant_rows random_rows(arena *a, const char *name)
{
    quant_format f;
    assert_true(quant_format_parse(name, &f));
    quant_rows q = quant_rows_create(a, &f, N, K);
    unsigned x = 1;
    for (int i = 0; i < N * K; i++) {
        x = x * 1664525 + 1013904223;
        q.codes[i] = (uint8_t)(x >> 20 & ((1u << f.planes) - 1));
        if (f.kind == QUANT_TERNARY && q.codes[i] == 2)
            q.codes[i] = 3;
    }
    for (int64_t i = 0; i < N * quant_groups(&f, K) * f.terms; i++)
        q.scale[i] = (float)(i % 61 + 1) / 64;
    for (int64_t i = 0; q.offset && i < N * quant_groups(&f, K); i++)
        q.offset[i] = (float)(i % 31) / -32;
    return q;
}

static void every_format_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        arena *a = arena_create();
        quant_rows q = random_rows(a, formats[i]);
        column_geometry g;
        assert_true(column_geometry_of(&q.format, N, K, &g));
        pack_shape shape = {0, COLUMN_BLOCK};
        const int64_t book = q.format.codebook && q.format.codebook->learned ? 64 : 0;
        assert_int_equal(pack_size(&q.format, N, K, shape), book + g.blocks * g.block_bytes);
        uint8_t *packed = arena_alloc(a, (size_t)(g.blocks * g.block_bytes));
        pack_rows(&q, shape, packed);
        quant_rows back = quant_rows_create(a, &q.format, N, K);
        pack_unpack_rows(packed, shape, &back);
        assert_memory_equal(back.codes, q.codes, N * K);
        size_t values = (size_t)(N * quant_groups(&q.format, K)) * sizeof *q.scale;
        assert_memory_equal(back.scale, q.scale, values * q.format.terms);
        if (q.offset)
            assert_memory_equal(back.offset, q.offset, values);
        arena_destroy(a);
    }
}

// Fields of a unit do not overlap and fill its lines.
static void fields_fill_their_lines(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits <= 4; bits++) {
        uint8_t used[4] = {0};
        for (unsigned f = 0; f < 8; f++) {
            column_field at = column_field_of(bits, f);
            unsigned width = at.split ? bits - 1 : bits, mask = ((1u << width) - 1) << at.shift;
            assert_int_equal(used[at.line] & mask, 0);
            used[at.line] |= (uint8_t)mask;
            if (at.split) {
                assert_int_equal(used[2] >> at.low & 1, 0);
                used[2] |= (uint8_t)(1u << at.low);
            }
        }
        for (unsigned line = 0; line < bits; line++)
            assert_int_equal(used[line], 0xff);
    }
}

// As docs/native.md has it: column 17, weight 5 of 4-bit weights.
static void a_weight_is_where_it_is_said_to_be(void **state)
{
    (void)state;
    arena *a = arena_create();
    quant_format f;
    column_geometry g;
    assert_true(quant_format_parse("w4g32", &f));
    quant_rows q = quant_rows_create(a, &f, 64, 32);
    memset(q.codes, 0, 64 * 32);
    q.codes[17 * 32 + 5] = 9;
    q.scale[17] = 0.5f;
    assert_true(column_geometry_of(&f, 64, 32, &g));
    uint8_t *packed = arena_alloc(a, (size_t)g.block_bytes);
    column_pack_rows(&q, packed);
    for (int64_t i = 0; i < g.block_bytes; i++) {
        bool scale = i == 2 * 17 + 1, weight = i == 128 + 64 + 4 + 1;
        assert_int_equal(packed[i], scale ? 0x38 : weight ? 9 << 4 : 0);
    }
    arena_destroy(a);
}

static void some_formats_have_no_columns(void **state)
{
    (void)state;
    quant_format f;
    column_geometry g;
    assert_true(quant_format_parse("f16", &f));
    assert_false(column_geometry_of(&f, 64, 64, &g));
    assert_true(quant_format_parse("w4", &f));
    assert_false(column_geometry_of(&f, INT64_MAX / 2, INT64_MAX / 2, &g));
    assert_false(column_geometry_of(&f, -1, 64, &g));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_comes_back),
        cmocka_unit_test(fields_fill_their_lines),
        cmocka_unit_test(a_weight_is_where_it_is_said_to_be),
        cmocka_unit_test(some_formats_have_no_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
