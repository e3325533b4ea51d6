// link: lutra_quant lutra_support
// Matrices whose blocks of rows differ in format: names, choices, places in packed files.
#include "tests/unit/unit.h"

#include "compiler/quant/columns.h"
#include "compiler/quant/mix.h"

#include <string.h>

static const pack_shape shapes[] = {{1, 64}, {2, 64}, {2, 128}, {4, 256}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static quant_mix mix_of(const char *name)
{
    quant_mix m;
    if (!quant_mix_parse(name, &m))
        fail_msg("'%s' is no mix", name);
    return m;
}

static void names_are_read(void **state)
{
    (void)state;
    quant_mix m = mix_of("w2g64_4x64_w4g64");
    assert_int_equal(m.n_parts, 2);
    assert_int_equal(m.rows, 64);
    assert_int_equal(m.parts[1].blocks, 4);
    assert_string_equal(m.parts[0].format.name, "w2g64");
    assert_string_equal(m.parts[1].format.name, "w4g64");
    m = mix_of("w1z_1x128_w2z_20x128_w8z_3x128_w3z");
    assert_int_equal(m.n_parts, 4);
    assert_int_equal(m.parts[2].blocks, 20);
    m = mix_of("f16");
    assert_false(quant_is_mixed(&m));
}

// What cannot share a table, or is no name, is refused.
static void other_names_are_not(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "w2_",
        "_1x64_w2",
        "w2_1x64",
        "w2_1x64_",
        "w2_x64_w4",
        "w2_1x_w4",
        "w2_0x64_w4",
        "w2_01x64_w4",
        "w2_1x064_w4",
        "w2_-1x64_w4",
        "w2_1x64_w4_",
        "w2_1x64_w4 ",
        "w2_1x64_f16",
        "f16_1x64_w2",
        "w2_1x64_i8",
        "w2_1x64_w4g64",
        "w2g64_1x64_w4g32",
        "w2g64_1x64_w4g64f",
        "w2_1x64_w4z",
        "w2_1x64_nf4",
        "nf4_1x64_fp4",
        "cb4_1x64_cb4",
        "w2_1x64_w3_1x128_w4",
        "w1_1x64_w2_1x64_w3_1x64_w4_1x64_w5",
        "w2_99999999999999999999x64_w4",
        "w2_1x99999999999999999999_w4",
        "w2_4294967296x64_w4",
        "w2_1x64_w2_1x64_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    quant_mix m;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (quant_mix_parse(wrong[i], &m))
            fail_msg("'%s' is read", wrong[i]);
}

static void blocks_cover_the_rows(void **state)
{
    (void)state;
    quant_mix m = mix_of("w2_1x64_w4"), plain = mix_of("w2");
    assert_int_equal(quant_mix_blocks(&m, 300), 5);
    assert_int_equal(quant_mix_block_rows(&m, 300, 3), 64);
    assert_int_equal(quant_mix_block_rows(&m, 300, 4), 44);
    assert_int_equal(quant_mix_blocks(&m, 64), 1);
    assert_int_equal(quant_mix_blocks(&plain, 300), 1);
    assert_int_equal(quant_mix_block_rows(&plain, 300, 0), 300);
}

// The last format takes what it helps most, though others would be helped too.
static void blocks_go_where_they_gain_most(void **state)
{
    (void)state;
    enum { BLOCKS = 5 };
    quant_mix m = mix_of("w1_2x64_w2_1x64_w4");
    const double errors[3 * BLOCKS] = {
        10, 20, 30, 40, 50, // w1
        9,  10, 10, 39, 10, // w2 gains 1, 10, 20, 1, 40
        8,  10, 10, 0,  20, // w4 gains 2, 10, 20, 40, 30
    };
    uint8_t parts[BLOCKS];
    quant_mix_choose(&m, BLOCKS, errors, parts);
    assert_memory_equal(parts, ((uint8_t[]){0, 0, 1, 2, 1}), BLOCKS);
    const double equal[3 * BLOCKS] = {0};
    quant_mix_choose(&m, BLOCKS, equal, parts);
    assert_memory_equal(parts, ((uint8_t[]){2, 1, 1, 0, 0}), BLOCKS);
    quant_mix_choose(&m, 2, errors, parts); // fewer blocks than the name has
    assert_true(parts[0] && parts[1]);
}

// Shares of the rows stay, as near as whole blocks come.
static void blocks_of_other_sizes_have_the_same_share(void **state)
{
    (void)state;
    static const struct {
        const char *name, *becomes;
        int64_t n, rows;
    } rows[] = {
        {"w2g64_4x64_w4g64", "w2g64_2x128_w4g64", 1024, 128},
        {"w2g64_4x64_w4g64", "w2g64_8x32_w4g64", 1024, 32},
        {"w2g64_1x64_w4g64", "w2g64", 1024, 256},                  // a quarter of a block
        {"w2_1x64_w3_1x64_w4", "w2_1x128_w3", 512, 128},           // half a block, then one of both
        {"w2_8x64_w3_8x64_w4", "w2_4x128_w3_4x128_w4", 1024, 128}, // nothing in w2
        {"w2", "w2", 1024, 128},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text name = {0};
        quant_mix m = mix_of(rows[i].name);
        m = quant_mix_in_blocks(&m, rows[i].n, rows[i].rows);
        quant_mix_print(&name, &m);
        assert_string_equal(text_string(&name), rows[i].becomes);
        text_free(&name);
    }
}

static void places_follow_each_other(void **state)
{
    (void)state;
    quant_mix m = mix_of("w2g64_2x64_w4g64");
    pack_shape shape = {2, 64};
    pack_mix p;
    pack_geometry low, high;
    assert_true(pack_mix_of(&m, 300, 200, shape, &p));
    assert_true(pack_geometry_of(&m.parts[0].format, 64, 200, shape, &low));
    assert_true(pack_geometry_of(&m.parts[1].format, 64, 200, shape, &high));
    assert_int_equal(p.map_bytes, 64);
    assert_int_equal(p.parts[0].tiles, 3);
    assert_int_equal(p.parts[0].at, 64);
    assert_int_equal(p.parts[1].tiles, 2);
    assert_int_equal(p.parts[1].first, 3);
    assert_int_equal(p.parts[1].at, 64 + 3 * low.column_tile_bytes);
    assert_int_equal(p.size, p.parts[1].at + 2 * high.column_tile_bytes);
    assert_false(pack_mix_of(&m, 64, 200, shape, &p));                 // one block
    assert_false(pack_mix_of(&m, 300, 200, (pack_shape){2, 128}, &p)); // blocks are no tiles
    assert_false(pack_mix_of(&m, 300, 200, (pack_shape){0, 0}, &p));   // no tiles
    assert_false(pack_mix_of(&m, 300, INT64_MAX / 4, shape, &p));      // too large
    assert_false(pack_mix_of(&m, INT64_MAX / 4, 200, shape, &p));
    assert_true(pack_mix_named("w2g64_5x64_w4g64", 300, 200, shape, &p)); // nothing is left
    assert_int_equal(p.parts[0].tiles, 0);
}

// For CPUs blocks are those of 64 columns.
static void columns_mix_as_tiles_do(void **state)
{
    (void)state;
    quant_mix m;
    quant_format f;
    pack_mix p;
    column_geometry low, high;
    assert_true(quant_mix_parse("w2g64_2x64_w4g64", &m));
    assert_true(pack_mix_of(&m, 300, 200, (pack_shape){0, 64}, &p));
    assert_true(quant_format_parse("w2g64", &f) && column_geometry_of(&f, 64, 200, &low));
    assert_true(quant_format_parse("w4g64", &f) && column_geometry_of(&f, 64, 200, &high));
    assert_int_equal(p.parts[1].at, 64 + 3 * low.block_bytes);
    assert_int_equal(p.size, p.parts[1].at + 2 * high.block_bytes);
}

static void plain_formats_are_packed_as_ever(void **state)
{
    (void)state;
    static const char *const names[] = {"w2g64", "cb4g64", "i8", "w4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t s = 0; s < N_SHAPES; s++) {
            quant_format f;
            pack_mix p;
            assert_true(quant_format_parse(names[i], &f));
            assert_true(pack_mix_named(names[i], 300, 200, shapes[s], &p));
            assert_int_equal(p.size, pack_size(&f, 300, 200, shapes[s]));
            assert_int_equal(p.map_bytes, 0);
            assert_int_equal(p.tiles, (300 + shapes[s].tile_n - 1) / shapes[s].tile_n);
        }
}

static void maps_are_undone_and_others_refused(void **state)
{
    (void)state;
    enum { TILES = 5 };
    pack_mix p;
    uint8_t parts[TILES] = {1, 0, 0, 1, 0}, back[TILES], map[64];
    assert_true(pack_mix_named("w2_2x64_w4", 300, 200, (pack_shape){2, 64}, &p));
    pack_mix_map(&p, parts, map);
    int32_t tiles[TILES];
    memcpy(tiles, map, sizeof tiles);
    assert_memory_equal(tiles, ((int32_t[]){1, 2, 4, 0, 3}), sizeof tiles);
    assert_true(pack_mix_unmap(&p, map, back));
    assert_memory_equal(back, parts, TILES);
    static const int32_t wrong[][TILES] = {{2, 1, 4, 0, 3},  {1, 2, 4, 0, 4}, {1, 2, 5, 0, 3},
                                           {1, 2, 4, -1, 3}, {1, 1, 4, 0, 3}, {1, 2, 4, 0, 2}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(map, wrong[i], sizeof wrong[i]);
        assert_false(pack_mix_unmap(&p, map, back));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(other_names_are_not),
        cmocka_unit_test(blocks_cover_the_rows),
        cmocka_unit_test(blocks_go_where_they_gain_most),
        cmocka_unit_test(blocks_of_other_sizes_have_the_same_share),
        cmocka_unit_test(places_follow_each_other),
        cmocka_unit_test(columns_mix_as_tiles_do),
        cmocka_unit_test(plain_formats_are_packed_as_ever),
        cmocka_unit_test(maps_are_undone_and_others_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
