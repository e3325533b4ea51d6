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

static quant_rows one_bit_rows(arena *a, const char *name, int64_t n, int64_t k)
{
    quant_format f;
    assert_true(quant_format_parse(name, &f));
    quant_rows q = quant_rows_create(a, &f, n, k);
    unsigned x = 1;
    for (int64_t i = 0; i < n * k; i++) {
        x = x * 1664525 + 1013904223;
        q.codes[i] = (uint8_t)(x >> 31);
    }
    int64_t groups = quant_groups(&f, k);
    for (int64_t i = 0; i < n * groups; i++) {
        q.scale[i] = (float)(i % 61 + 1) / 64;
        if (q.offset)
            q.offset[i] = (float)(i % 31) / -32;
    }
    return q;
}

// 66 blocks, of which 64 and 2 stand beside each other, the last one short; spans of 1024,
// 1024, 52.
static void blocks_of_one_bit_stand_beside_each_other(void **state)
{
    (void)state;
    static const char *const names[] = {"w1", "w1z", "w1g32", "w1g256z", "bcq1g64"};
    enum { ROWS = 65 * 64 + 5, DEPTH = 2100 };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        arena *a = arena_create();
        quant_rows q = one_bit_rows(a, names[i], ROWS, DEPTH);
        const pack_shape shape = {0, COLUMN_BLOCK};
        pack_geometry g;
        assert_true(pack_geometry_of(&q.format, ROWS, DEPTH, shape, &g));
        assert_int_equal(g.beside, COLUMN_BESIDE);
        size_t size = (size_t)pack_size(&q.format, ROWS, DEPTH, shape);
        uint8_t *whole = arena_alloc(a, size), *tiles = arena_alloc(a, size);
        memset(tiles, 0xff, size);
        pack_rows(&q, shape, whole);
        quant_rows back = quant_rows_create(a, &q.format, ROWS, DEPTH);
        for (int64_t t = 0; t < g.column_tiles; t++) {
            int64_t first = t * COLUMN_BLOCK, left = ROWS - first;
            int64_t count = left < COLUMN_BLOCK ? left : COLUMN_BLOCK;
            quant_rows from = quant_rows_slice(&q, first, count);
            quant_rows to = quant_rows_slice(&back, first, count);
            uint8_t *stream = tiles + (t - t % g.beside) * g.column_tile_bytes;
            pack_tile(&from, shape, &g, t, stream);
            pack_unpack_tile(stream, shape, &g, t, &to);
        }
        assert_memory_equal(tiles, whole, size);
        assert_memory_equal(back.codes, q.codes, ROWS * DEPTH);
        size_t values = (size_t)(ROWS * quant_groups(&q.format, DEPTH)) * sizeof *q.scale;
        assert_memory_equal(back.scale, q.scale, values);
        if (q.offset)
            assert_memory_equal(back.offset, q.offset, values);
        arena_destroy(a);
    }
}

// As docs/native.md has it: of 3 blocks beside each other, column 64 + 17, weights 5 and 1024 + 5.
static void a_weight_beside_others_is_where_it_is_said_to_be(void **state)
{
    (void)state;
    enum { BLOCKS = 3, DEPTH = 1056, SCALES = 4 * 64, SPAN = 1024 / 32 * 256, LAST = 256 };
    arena *a = arena_create();
    quant_rows q = one_bit_rows(a, "w1", BLOCKS * 64, DEPTH);
    memset(q.codes, 0, BLOCKS * 64 * DEPTH);
    q.codes[(64 + 17) * DEPTH + 5] = q.codes[(64 + 17) * DEPTH + 1024 + 5] = 1;
    uint8_t *packed = arena_alloc(a, BLOCKS * (SCALES + SPAN + LAST));
    column_pack_rows(&q, packed);
    const int within = 64 + 4 + 1; // of a unit: column 17, weight 1 of field 1
    const int first = BLOCKS * SCALES + SPAN + within;
    const int second = BLOCKS * (SCALES + SPAN) + LAST + within;
    for (int i = BLOCKS * SCALES; i < BLOCKS * (SCALES + SPAN + LAST); i++)
        assert_int_equal(packed[i], i == first || i == second ? 1 << 1 : 0);
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
        cmocka_unit_test(blocks_of_one_bit_stand_beside_each_other),
        cmocka_unit_test(a_weight_beside_others_is_where_it_is_said_to_be),
        cmocka_unit_test(some_formats_have_no_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
