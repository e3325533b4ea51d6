// link: lutra_import lutra_ir lutra_quant lutra_support
// Packed weight files: written, read back, reused, damaged.
#include "weights_fixture.h"

// -------------------------------------------------------------------- packed files

static const pack_shape tiles = {2, 64};

static ir_module *small_program(const char *format)
{
    ir_module *m = ir_module_create(a, "m");
    declare(m, "up", format, 150, 70);
    declare_vector(m, "norm", SCALAR_F32, 70);
    ir_dim dims[3] = {ir_dim_constant(2), ir_dim_constant(3), ir_dim_constant(5)};
    ir_global_create(m, IR_GLOBAL_WEIGHT, "stacked", ir_type_tensor(m, SCALAR_F16, 3, dims),
                     "stacked", NOWHERE);
    ir_global *copy = declare(m, "up.dense", "bf16", 150, 70);
    copy->source = "up";
    return m;
}

static text packed(const weights *w, ir_module *m, pack_shape shape)
{
    char *data = NULL;
    size_t size = 0;
    assert_true(pack_file_place(m, d, shape));
    FILE *f = open_memstream(&data, &size);
    if (!pack_file_write(f, d, w, m, shape))
        fail_msg("%s", messages());
    fclose(f);
    assert_int_equal(size, pack_file_size(w, m, shape));
    text t = {0};
    t.data = arena_copy(a, data, size);
    t.length = size;
    free(data);
    return t;
}

static void assert_same_values(const weights *x, const weights *y, const ir_module *m)
{
    for (const ir_global *g = m->globals; g; g = g->next) {
        weights_tensor t;
        assert_true(weights_resolve(x, d, g, &t));
        double *p = ARENA_ARRAY(a, double, (size_t)(t.rows * t.columns));
        double *q = ARENA_ARRAY(a, double, (size_t)(t.rows * t.columns));
        assert_true(weights_values(x, d, g, 0, t.rows, p));
        assert_true(weights_values(y, d, g, 0, t.rows, q));
        for (int64_t i = 0; i < t.rows * t.columns; i++)
            assert_true(p[i] == q[i]);
        for (int64_t n = 0; n < t.rows; n += 37) { // and from the middle
            assert_true(weights_values(y, d, g, n, 1, q));
            assert_memory_equal(q, p + n * t.columns, (size_t)t.columns * sizeof *p);
        }
    }
}

static void packed_files_hold_what_they_were_made_from(void **state)
{
    (void)state;
    static const char *const formats[] = {"w2g64",
                                          "w4g32z",
                                          "ternary",
                                          "w1",
                                          "w3g16zf",
                                          "f16",
                                          "i8",
                                          "e4m3",
                                          "w2g64_1x64_w4g64",
                                          "w1z_1x64_w3z_1x64_w8z"};
    weights *w = small_model();
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        ir_module *m = small_program(formats[i]);
        text file = packed(w, m, tiles);
        weights *p = weights_parse(a, d, "m.lutw", file.data, file.length);
        assert_non_null(p);
        assert_int_equal(weights_kind_of(p), WEIGHTS_PACKED);
        assert_int_equal(weights_count(p), 4);
        assert_string_equal(weights_at(p, 0)->format.name, formats[i]);
        assert_int_equal(weights_meta(p, "model.size")->integer, 70);
        for (size_t j = 0; j < 4; j++)
            assert_true(weights_verify(p, d, weights_at(p, j)));
        assert_same_values(w, p, m);
    }
    assert_silent();
}

// The fuzzer's file with two rows of every type: as dense, kept and quantized weights.
static void every_type_is_packed(void **state)
{
    (void)state;
    const char *path =
        arena_format(a, "%s/tests/fuzz/corpus/gguf/every-type.gguf", getenv("LUTRA_SOURCE"));
    weights *w = weights_open(a, d, path);
    assert_non_null(w);
    ir_module *m = ir_module_create(a, "m");
    for (const weight_type *type = weight_types; type->name && type->dequantize; type++) {
        const weights_tensor *t = weights_find(w, type->name);
        if (!t || t->type != type)
            fail_msg("%s has no tensor of type %s", path, type->name);
        const char *formats[] = {weights_dense_format(t), weights_keep_format(w, t), "w3g32"};
        assert_true(!formats[1] == !type->canonical);
        for (int i = 0; i < 3; i++)
            if (formats[i])
                declare(m, arena_format(a, "%s.%d", t->name, i), formats[i], t->rows, t->columns)
                    ->source = t->name;
    }
    text file = packed(w, m, tiles);
    weights *p = weights_parse(a, d, "m.lutw", file.data, file.length);
    assert_non_null(p);
    assert_same_values(w, p, m);
    weights_close(w);
    assert_silent();
}

static void the_packed_bytes_are_those_of_pack_rows(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = small_program("w2g32z");
    text file = packed(w, m, tiles);
    const ir_global *g = m->globals;
    assert_int_equal(g->address, PACK_BASE + 4096);
    quant_format f;
    weights_global_format(g, &f);
    quant_rows rows = quant_rows_create(a, &f, 150, 70);
    assert_true(weights_canonical(w, d, g, 0, 150, &rows));
    uint64_t size = pack_size(&f, 150, 70, tiles);
    assert_int_equal(g->size, size);
    uint8_t *want = arena_alloc(a, size);
    pack_rows(&rows, tiles, want);
    assert_memory_equal(file.data + 4096, want, size);
}

// Every half, the middle to the next one, and the floats beside it.
static void floats_are_packed_as_the_nearest_halves(void **state)
{
    (void)state;
    enum { HALVES = 0x7bff, COUNT = 8 * HALVES };
    float *values = ARENA_ARRAY(a, float, COUNT);
    for (unsigned i = 0; i < HALVES; i++) {
        float x = f16_to_float((uint16_t)i), middle = (x + f16_to_float((uint16_t)(i + 1))) / 2;
        float here[4] = {x, middle, nextafterf(middle, 0), nextafterf(middle, INFINITY)};
        for (unsigned j = 0; j < 4; j++) {
            values[8 * i + j] = here[j];
            values[8 * i + j + 4] = -here[j];
        }
    }
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_tensor(g, "w", "F32", 1, (int64_t[]){COUNT}, values, COUNT * sizeof *values);
    weights *w = parsed(g);
    ir_module *m = ir_module_create(a, "m");
    declare_vector(m, "w", SCALAR_F16, COUNT);
    text file = packed(w, m, tiles);
    for (unsigned i = 0; i < COUNT; i++) {
        uint16_t got;
        memcpy(&got, file.data + 4096 + 2 * i, sizeof got);
        assert_int_equal(got, f16_from_float(values[i]));
    }
}

static void values_beyond_f16_are_not_packed(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = ir_module_create(a, "m");
    declare(m, "large", "f16", 3, 70);
    assert_true(pack_file_place(m, d, tiles));
    FILE *f = fopen("/dev/null", "w");
    assert_false(pack_file_write(f, d, w, m, tiles));
    fclose(f);
    assert_string_equal(messages(), "error: weight 'large': 1e+06 in tensor 'large' is beyond the "
                                    "range of f16\n");
}

static void packing_again_copies_and_gives_the_same_file(void **state)
{
    (void)state;
    weights *w = small_model();
    text one = packed(w, small_program("w3g64"), tiles);
    text two = packed(w, small_program("w3g64"), tiles);
    assert_int_equal(one.length, two.length);
    assert_memory_equal(one.data, two.data, one.length);
    weights *p = weights_parse(a, d, "one.lutw", one.data, one.length);
    text three = packed(p, small_program("w3g64"), tiles);
    assert_int_equal(one.length, three.length);
    assert_memory_equal(one.data, three.data, one.length);
}

static void other_tiles_hold_the_same_values(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = small_program("w3g64");
    text one = packed(w, m, tiles);
    weights *p = weights_parse(a, d, "one.lutw", one.data, one.length);
    text two = packed(p, small_program("w3g64"), (pack_shape){4, 128});
    weights *q = weights_parse(a, d, "two.lutw", two.data, two.length);
    assert_same_values(p, q, m);
}

// One bit for CPUs: three column tiles, the last one short, whose streams are one.
static void tiles_beside_each_other_come_back(void **state)
{
    (void)state;
    static const char *const formats[] = {"w1", "w1g32z", "bcq1g64", "w1_1x64_w1"};
    const pack_shape columns = {0, 64};
    weights *w = small_model();
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        ir_module *m = small_program(formats[i]);
        text one = packed(w, m, columns);
        weights *p = weights_parse(a, d, "one.lutw", one.data, one.length);
        assert_non_null(p);
        assert_same_values(w, p, m);
        text other = packed(p, small_program(formats[i]), tiles);
        weights *q = weights_parse(a, d, "other.lutw", other.data, other.length);
        text again = packed(q, small_program(formats[i]), columns);
        assert_int_equal(again.length, one.length);
        assert_memory_equal(again.data, one.data, one.length);
    }
    assert_silent();
}

static void files_of_an_earlier_layout_are_refused(void **state)
{
    (void)state;
    text file = packed(small_model(), small_program("w1"), (pack_shape){0, 64});
    size_t start = strlen(messages());
    file.data[8] = 1;
    assert_null(weights_parse(a, d, "m.lutw", (uint8_t *)file.data, file.length));
    assert_non_null(strstr(messages() + start, "header: version 1 is not supported, only 2"));
}

static void machines_without_tiles_have_dense_weights(void **state)
{
    (void)state;
    weights *w = small_model();
    ir_module *m = small_program("f16");
    text file = packed(w, m, (pack_shape){0, 0});
    weights *p = weights_parse(a, d, "dense.lutw", file.data, file.length);
    assert_non_null(p);
    assert_same_values(w, p, m);
    assert_false(pack_file_place(small_program("w2"), d, (pack_shape){0, 0}));
}

static void damaged_weights_are_not_copied(void **state)
{
    (void)state;
    weights *w = small_model();
    text one = packed(w, small_program("w3g64"), tiles);
    one.data[5000] ^= 1;
    weights *p = weights_parse(a, d, "one.lutw", one.data, one.length);
    assert_non_null(p);
    assert_false(weights_verify(p, d, weights_at(p, 0)));
    FILE *f = fopen("/dev/null", "w");
    ir_module *m = small_program("w3g64");
    assert_true(pack_file_place(m, d, tiles));
    assert_false(pack_file_write(f, d, p, m, tiles));
    fclose(f);
    assert_string_equal(messages(),
                        "one.lutw: error: weight 'up' is damaged: its bytes do not have "
                        "the hash that the directory gives\n"
                        "one.lutw: error: weight 'up' is damaged: its bytes do not have "
                        "the hash that the directory gives\n");
}

static void what_cannot_be_packed_is_explained(void **state)
{
    (void)state;
    ir_module *m = ir_module_create(a, "m");
    declare(m, "x", "w2g16", 64, 64);
    declare(m, "y", "w", 64, 64);
    declare_vector(m, "z", SCALAR_I32, 4);
    declare(m, "huge", "f32", INT64_MAX / 2, 8);
    assert_false(pack_file_place(m, d, (pack_shape){4, 128}));
    assert_string_equal(
        messages(),
        "error: weight 'x': format w2g16 cannot be packed for tiles of m4 n128, whose depth of 128 "
        "weights needs groups of at least 32\n"
        "error: weight 'y' has no format that can be packed\n"
        "error: weight 'z' has no format that can be packed\n"
        "error: weight 'huge': format f32 cannot be packed: it is too large\n");
}

static void full_disks_are_reported(void **state)
{
    (void)state;
    FILE *f = fopen("/dev/full", "w");
    if (!f)
        skip();
    weights *w = small_model();
    ir_module *m = small_program("w2");
    assert_true(pack_file_place(m, d, tiles));
    assert_false(pack_file_write(f, d, w, m, tiles));
    fclose(f);
    assert_string_equal(messages(),
                        "error: packed weights cannot be written: No space left on device\n");
}

// ------------------------------------------------------------- packed files, wrong

static const char *message_after(text file, const char *from, const char *to)
{
    uint8_t *copy = arena_copy(a, file.data, file.length);
    uint8_t *at = memmem(copy, file.length, from, strlen(from));
    if (!at || strlen(from) != strlen(to))
        fail_msg("the test changes '%s', which is not there", from);
    memcpy(at, to, strlen(to));
    size_t start = strlen(messages());
    if (weights_parse(a, d, "bad.lutw", copy, file.length))
        fail_msg("accepted with '%s'", to);
    return messages() + start;
}

static void wrong_directories_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } rows[] = {
        {"[\n{", "{\n{", "directory: string or '}' expected near '{' (line 2)"},
        {"[\n{\"name\":\"up\"", "[\n{\"nam\":\"upp\"", "directory entry 1: it has no name"},
        {"\"w3g64\"", "\"w9g64\"", "directory entry 1: the format is unknown"},
        {"\"w3g64\"", "\"w3g16\"",
         "directory entry 1: the size is not that of the shape and format"},
        {"[150,70]", "[150,-7]", "directory entry 1: a size in the shape is not a whole number"},
        {"[150,70]", "\"150070\"", "directory entry 1: the shape is not a list of up to 6 sizes"},
        {"[150,70]", "[214,70]", "directory entry 1: the size is not that of the shape and format"},
        {"\"offset\":4096", "\"offset\":4100",
         "directory entry 1: the weight is misaligned, overlaps its neighbour or leaves the file"},
        {"\"offset\":4096", "\"offset\":4032",
         "directory entry 1: the weight is misaligned, overlaps its neighbour or leaves the file"},
        {"\"offset\":4096", "\"offset\":40.5",
         "directory entry 1: offset and size are not whole numbers"},
        {"\"hash\":\"", "\"HASH\":\"", "directory entry 1: the hash is not 16 hexadecimal digits"},
        {"\"source\":\"up\"", "\"source\":1234",
         "directory entry 1: the source is neither a name nor null"},
        {"\"name\":\"norm\"", "\"name\":\"up\"  ", "tensor 'up' appears twice"},
    };
    text file = packed(small_model(), small_program("w3g64"), tiles);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *message = message_after(file, rows[i].from, rows[i].to);
        char *want = arena_format(a, "bad.lutw: error: %s\n", rows[i].message);
        assert_string_equal(message, want);
    }
}

// Of three blocks one is w4, the second: column tiles 0, 2, 1.
static void wrong_maps_are_refused(void **state)
{
    (void)state;
    static const int32_t wrong[][3] = {{2, 0, 1}, {0, 1, 1}, {0, 3, 1}, {0, -1, 1}, {1, 2, 1}};
    text file = packed(small_model(), small_program("w2g64_1x64_w4g64"), tiles);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t *copy = arena_copy(a, file.data, file.length);
        memcpy(copy + 4096, wrong[i], sizeof wrong[i]);
        size_t start = strlen(messages());
        assert_null(weights_parse(a, d, "bad.lutw", copy, file.length));
        assert_string_equal(messages() + start,
                            "bad.lutw: error: directory entry 1: its column tiles do not each "
                            "have one format, in order\n");
    }
}

// The blocks with the largest errors have more bits; placed ones count instead.
static void blocks_of_rows_have_formats(void **state)
{
    (void)state;
    const weights *w = small_model();
    ir_global *g = declare(ir_module_create(a, "m"), "up", "w2g64_1x64_w4g64", 150, 70);
    ir_global *low = declare(ir_module_create(a, "l"), "up", "w2g64", 150, 70);
    ir_global *high = declare(ir_module_create(a, "h"), "up", "w4g64", 150, 70);
    static double mixed[150 * 70], all_low[150 * 70], all_high[150 * 70];
    uint8_t parts[3];
    assert_true(weights_parts(w, d, g, parts));
    assert_int_equal(parts[0] + parts[1] + parts[2], 1);
    assert_true(weights_values(w, d, g, 0, 150, mixed));
    assert_true(weights_values(w, d, low, 0, 150, all_low));
    assert_true(weights_values(w, d, high, 0, 150, all_high));
    for (int i = 0; i < 150 * 70; i++)
        assert_true(mixed[i] == (parts[i / 70 / 64] ? all_high : all_low)[i]);
    weights *again = small_model();
    weights_tensor t;
    assert_true(weights_resolve(again, d, g, &t));
    memcpy(parts, (uint8_t[]){0, 0, 1}, 3);
    weights_place_parts(again, &t, g, parts);
    assert_true(weights_values(again, d, g, 0, 150, mixed));
    assert_true(weights_values(again, d, low, 0, 150, all_low));
    assert_true(weights_values(again, d, high, 0, 150, all_high));
    for (int i = 0; i < 150 * 70; i++)
        assert_true(mixed[i] == (i / 70 / 64 == 2 ? all_high : all_low)[i]);
    assert_silent();
}

static void wrong_headers_are_explained(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
        size_t size;
        const char *message;
    } rows[] = {
        {8, 2, 4, "header: version 2 is not supported, only 1"},
        {12, 3, 4, "header: m3 n64 is not a tile shape"},
        {16, 0, 4, "header: m2 n0 is not a tile shape"},
        {24, UINT64_MAX, 8, "header: the directory lies outside the file, which may be truncated"},
        {24, 64, 8, "header: the directory lies outside the file, which may be truncated"},
        {32, 1u << 30, 8, "header: the directory lies outside the file, which may be truncated"},
        {40, 100, 8, "header: the metadata does not lie between weights and directory"},
        {48, 7, 8, "header: the metadata does not lie between weights and directory"},
        {48, UINT64_MAX, 8, "header: the metadata does not lie between weights and directory"},
    };
    text file = packed(small_model(), small_program("w3g64"), tiles);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *copy = arena_copy(a, file.data, file.length);
        memcpy(copy + rows[i].at, &rows[i].value, rows[i].size);
        size_t start = strlen(messages());
        assert_null(weights_parse(a, d, "bad.lutw", copy, file.length));
        assert_string_equal(messages() + start,
                            arena_format(a, "bad.lutw: error: %s\n", rows[i].message));
    }
    for (size_t length = 0; length < file.length; length += 97)
        assert_null(weights_parse(a, d, "cut.lutw", arena_copy(a, file.data, length), length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packed_files_hold_what_they_were_made_from),
        TEST(every_type_is_packed),
        TEST(the_packed_bytes_are_those_of_pack_rows),
        TEST(floats_are_packed_as_the_nearest_halves),
        TEST(values_beyond_f16_are_not_packed),
        TEST(packing_again_copies_and_gives_the_same_file),
        TEST(other_tiles_hold_the_same_values),
        TEST(tiles_beside_each_other_come_back),
        TEST(files_of_an_earlier_layout_are_refused),
        TEST(machines_without_tiles_have_dense_weights),
        TEST(damaged_weights_are_not_copied),
        TEST(what_cannot_be_packed_is_explained),
        TEST(full_disks_are_reported),
        TEST(wrong_directories_are_explained),
        TEST(wrong_maps_are_refused),
        TEST(blocks_of_rows_have_formats),
        TEST(wrong_headers_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
