// link: lutra_host
//
// Program descriptions and packed weight files: right ones are read, wrong fields are named.
#include "runtime/host/description.h"
#include "runtime/host/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char good[] =
    "{'version': 1,"
    " 'machine': {'name': 'm2n64k4', 'vlen': 256, 'tile_m': 2, 'tile_n': 64,"
    "             'hash': '0123456789abcdef'},"
    " 'dims': [{'name': 'T', 'min': 1, 'max': 512}],"
    " 'entries': [{'name': 'main', 'symbol': 'lutra_main',"
    "   'inputs': [{'name': 'x', 'type': 'f16', 'shape': ['T', '8*T', 64]},"
    "              {'name': 'pos', 'type': 'index', 'shape': []}],"
    "   'outputs': [{'name': 'y', 'type': 'f32', 'shape': [0]}]}],"
    " 'states': [{'name': 'k.0', 'type': 'f16', 'shape': [512, 4], 'offset': 64}],"
    " 'state_size': 4160, 'workspace_size': 65536,"
    " 'weights': {'address': 4294967296, 'size': 8192, 'file': null}}";

static char message[4096]; // of the last parse

// Single quotes stand for double ones; the first `from` is replaced by `to` (NULL: nothing is).
static char *json_text(const char *base, const char *from, const char *to)
{
    const char *at = from ? strstr(base, from) : base;
    assert_non_null(at);
    size_t length = strlen(base) + (to ? strlen(to) : 0) + 1;
    char *out = malloc(length);
    snprintf(out, length, "%.*s%s%s", (int)(at - base), base, to ? to : "",
             at + (from ? strlen(from) : 0));
    for (char *c = out; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return out;
}

static bool parse(arena *a, const char *from, const char *to, program_description *out)
{
    char *json = json_text(good, from, to);
    FILE *stream = fmemopen(message, sizeof message, "w");
    diagnostics *d = diagnostics_create(stream);
    bool ok = description_parse(a, d, "test.elf", json, strlen(json), out);
    assert_true(ok == (diagnostics_errors(d) == 0));
    diagnostics_destroy(d);
    fclose(stream);
    free(json);
    return ok;
}

static void the_description_is_read(void **state)
{
    (void)state;
    program_description p;
    arena *a = arena_create();
    assert_true(parse(a, NULL, NULL, &p));
    assert_string_equal(p.machine.name, "m2n64k4");
    assert_true(p.machine.hash == 0x0123456789abcdef);
    assert_int_equal(p.dims[0].maximum, 512);
    const program_entry *e = &p.entries[0];
    assert_string_equal(e->symbol, "lutra_main");
    assert_int_equal(e->inputs.count, 2);
    assert_int_equal(e->inputs.items[0].shape[1].factor, 8);
    assert_int_equal(e->inputs.items[0].shape[1].dim, 0);
    assert_int_equal(e->inputs.items[0].shape[2].dim, -1);
    assert_true(e->inputs.items[1].is_index);
    int64_t dims[] = {17};
    assert_int_equal(description_extent(&e->inputs.items[0].shape[1], dims), 136);
    dims[0] = INT64_MAX / 2;
    assert_int_equal(description_extent(&e->inputs.items[0].shape[1], dims), -1);
    assert_int_equal(p.states.items[0].offset, 64);
    assert_null(p.weights.file);
    text t = {0};
    description_print_value(&t, &p, &e->inputs.items[0]);
    text_char(&t, ' ');
    description_print_value(&t, &p, &e->inputs.items[1]);
    assert_string_equal(text_string(&t), "f16[T, 8*T, 64] index");
    text_free(&t);
    arena_destroy(a);
}

static void programs_without_weights_are_fine(void **state)
{
    (void)state;
    program_description p;
    arena *a = arena_create();
    assert_true(parse(a, "{'address': 4294967296, 'size': 8192, 'file': null}", "null", &p));
    assert_int_equal(p.weights.size, 0);
    assert_true(parse(a, "'file': null", "'file': 'model.lutw'", &p));
    assert_string_equal(p.weights.file, "model.lutw");
    arena_destroy(a);
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *said;
    } rows[] = {
        {"'version': 1,", "", "version: expected an integer, found nothing"},
        {"'version': 1", "'version': 2", "version: 2 is not within 1..1"},
        {"'version': 1", "'version': '1'", "version: expected an integer, found a string"},
        {"{'version'", "[{'version'", "JSON: line"},
        {"'name': 'm2n64k4'", "'name': 7", "machine.name: expected a string, found an integer"},
        {"'vlen': 256", "'vlen': -1", "machine.vlen: -1 is not within"},
        {"'vlen': 256", "'vlen': 256.5", "machine.vlen: expected an integer, found a fraction"},
        {"0123456789abcdef", "0123456789ABCDEF", "machine.hash: expected 16 hexadecimal digits"},
        {"0123456789abcdef", "0123", "machine.hash: expected 16 hexadecimal digits"},
        {"'dims': [", "'dims': [5, ", "dims[0]: expected an object, found an integer"},
        {"'min': 1", "'min': 900", "dims[0].max: 512 is not within 900.."},
        {"'min': 1", "'min': -3", "dims[0].min: -3 is not within 0.."},
        {"'max': 512}", "'max': 512}, {'name': 'T', 'min': 1, 'max': 2}",
         "dims[1]: dimension 'T' is there twice"},
        {"'symbol': 'lutra_main',", "", "entries[0].symbol: expected a string, found nothing"},
        {"'inputs': [", "'input': [", "entries[0].inputs: expected an array, found nothing"},
        {"'type': 'f16', 'shape': ['T'", "'type': 'f17', 'shape': ['T'",
         "entries[0].inputs[0].type: 'f17' is not a type"},
        {"['T', ", "['U', ", "entries[0].inputs[0].shape[0]: 'U' is not one of the dims"},
        {"'8*T'", "'x*T'", "entries[0].inputs[0].shape[1]: 'x*T' is not of the form 8*T"},
        {"'8*T'", "'-8*T'", "entries[0].inputs[0].shape[1]: '-8*T' is not of the form 8*T"},
        {", 64]", ", -64]", "entries[0].inputs[0].shape[2]: -64 is not within 0.."},
        {", 64]", ", true]", "entries[0].inputs[0].shape[2]: expected an integer or a dimension"},
        {", 64]", ", 999999999999, 999999999999]", "entries[0].inputs[0].shape: more than 2^48"},
        {", 64]", ", 1, 1, 1, 1, 1, 1, 1]", "entries[0].inputs[0].shape: 9 dimensions"},
        {"'name': 'pos'", "'name': 'x'", "entries[0].inputs[1]: 'x' is there twice"},
        {"'name': 'pos'", "'name': ''", "entries[0].inputs[1].name: a name has 1 to 1024 bytes"},
        {"'name': 'pos'", "'name': 'a\\nb'", "entries[0].inputs[1].name: a name has no control"},
        {"'offset': 64", "'offset': 65", "states[0]: 4096 bytes at offset 65 exceed state_size"},
        {"'offset': 64", "'offset': -1", "states[0].offset: -1 is not within 0.."},
        {"'state_size': 4160,", "", "state_size: expected an integer, found nothing"},
        {"'workspace_size': 65536", "'workspace_size': 9223372036854775807", "workspace_size: "},
        {"'workspace_size'", "'harts': 0, 'workspace_size'", "harts: 0 is not within 1..256"},
        {"'workspace_size'", "'harts': '2', 'workspace_size'", "harts: expected an integer"},
        {"'workspace_size'", "'scratch_size': -1, 'workspace_size'", "scratch_size: -1 is not"},
        {"{'address': 4294967296", "[], 'no': {'address': 4294967296",
         "weights: expected an object or null, found an array"},
        {"'file': null", "'file': 1", "weights.file: expected a string or null, found an integer"},
        {"'address': 4294967296", "'address': null", "weights.address: expected an integer"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        program_description p;
        arena *a = arena_create();
        assert_false(parse(a, rows[i].from, rows[i].to, &p));
        if (!strstr(message, rows[i].said))
            fail_msg("expected '%s' in: %s", rows[i].said, message);
        arena_destroy(a);
    }
}

static void an_empty_list_of_entries_is_refused(void **state)
{
    (void)state;
    static const char json[] =
        "{\"version\": 1, \"machine\": {}, \"dims\": [], \"entries\": [], \"states\": []}";
    program_description p;
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    assert_false(description_parse(a, d, "test.elf", json, sizeof json - 1, &p));
    assert_true(diagnostics_errors(d) >= 6); // reported together
    diagnostics_clear(d);
    assert_false(description_parse(a, d, "test.elf", "5", 1, &p));
    assert_false(description_parse(a, d, "test.elf", "", 0, &p));
    diagnostics_clear(d);
    diagnostics_destroy(d);
    arena_destroy(a);
}

// ------------------------------------------------------------------ packed files

enum { PACKED_SIZE = 4096 + 256 };

static size_t build_packed(uint8_t *bytes, const char *directory)
{
    memset(bytes, 0, PACKED_SIZE);
    memcpy(bytes, "LUTWPACK", 8);
    uint32_t words[] = {1, 2, 64, 0};
    uint64_t place[] = {PACKED_SIZE, strlen(directory)};
    memcpy(bytes + 8, words, sizeof words);
    memcpy(bytes + 24, place, sizeof place);
    memcpy(bytes + PACKED_SIZE, directory, strlen(directory));
    return PACKED_SIZE + strlen(directory);
}

static bool parse_packed(arena *a, const uint8_t *bytes, size_t size, packed_file *out)
{
    FILE *stream = fmemopen(message, sizeof message, "w");
    diagnostics *d = diagnostics_create(stream);
    bool ok = packed_file_parse(a, d, "w.lutw", bytes, size, out);
    assert_true(ok == (diagnostics_errors(d) == 0));
    diagnostics_destroy(d);
    fclose(stream);
    return ok;
}

static const char directory[] = "[{\"name\": \"w\", \"source\": \"blk.0.w\", \"format\": \"w2g64\","
                                " \"shape\": [64, 64], \"offset\": 4096, \"size\": 192,"
                                " \"hash\": \"0\"}]";

static void packed_files_are_read(void **state)
{
    (void)state;
    static uint8_t bytes[PACKED_SIZE + 1024];
    packed_file f;
    arena *a = arena_create();
    size_t size = build_packed(bytes, directory);
    assert_true(parse_packed(a, bytes, size, &f));
    assert_int_equal(f.tile_n, 64);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.weights[0].shape, "64x64");
    assert_int_equal(f.weights[0].offset, 4096);
    for (size_t cut = 0; cut < size; cut += 7) { // every truncation is refused
        uint8_t *copy = malloc(cut ? cut : 1);
        memcpy(copy, bytes, cut);
        assert_false(parse_packed(a, copy, cut, &f));
        free(copy);
    }
    arena_destroy(a);
}

static void wrong_packed_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *said;
    } rows[] = {
        {"4096", "4352", "'w' lies outside the file"}, {"4096", "64", "'w' lies outside the file"},
        {"4096", "4100", "'w' is not aligned"},        {"192", "1e9", "'w' lies outside the file"},
        {"192", "-1", "'w' lies outside the file"},    {"\"name\"", "\"nome\"", "lacks its name"},
        {"[{", "{\"a\":[{", "not a JSON array"},
    };
    static uint8_t bytes[PACKED_SIZE + 1024];
    packed_file f;
    arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *json = json_text(directory, rows[i].from, rows[i].to);
        size_t size = build_packed(bytes, json);
        free(json);
        assert_false(parse_packed(a, bytes, size, &f));
        if (!strstr(message, rows[i].said))
            fail_msg("expected '%s' in: %s", rows[i].said, message);
    }
    size_t size = build_packed(bytes, directory);
    bytes[8] = 2;
    assert_false(parse_packed(a, bytes, size, &f));
    size = build_packed(bytes, directory);
    memset(bytes + 24, 0xff, 16);
    assert_false(parse_packed(a, bytes, size, &f));
    arena_destroy(a);
}

// A packed file whose metadata, at 4352, are a count and these bytes.
static size_t build_metadata(uint8_t *bytes, uint64_t count, const void *pairs, size_t size)
{
    uint64_t place[] = {PACKED_SIZE + 256, strlen(directory), 4352, 8 + size};
    build_packed(bytes, "");
    memcpy(bytes + 24, place, sizeof place);
    memcpy(bytes + 4352, &count, sizeof count);
    memcpy(bytes + 4360, pairs, size);
    memcpy(bytes + PACKED_SIZE + 256, directory, strlen(directory));
    return PACKED_SIZE + 256 + strlen(directory);
}

static void metadata_of_packed_files(void **state)
{
    (void)state;
    static const char pairs[] = "\x03\0\0\0\0\0\0\0abc\x04\0\0\0\x2a\0\0\0"; // abc: u32 = 42
    static uint8_t bytes[PACKED_SIZE + 1024];
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    packed_file f;
    metadata m;
    size_t size = build_metadata(bytes, 1, pairs, sizeof pairs - 1);
    assert_true(parse_packed(a, bytes, size, &f));
    assert_true(packed_file_metadata(a, d, "w.lutw", &f, bytes, &m));
    assert_int_equal(metadata_find(&m, "abc")->integer, 42);
    assert_null(metadata_find(&m, "abd"));
    assert_string_equal(metadata_nearest(&m, a, "abd"), "abc");

    build_metadata(bytes, 2, pairs, sizeof pairs - 1); // more than there are
    assert_true(parse_packed(a, bytes, size, &f));
    assert_false(packed_file_metadata(a, d, "w.lutw", &f, bytes, &m));
    diagnostics_clear(d);
    size = build_packed(bytes, directory); // none
    assert_true(parse_packed(a, bytes, size, &f));
    assert_true(packed_file_metadata(a, d, "w.lutw", &f, bytes, &m));
    assert_int_equal(m.values.count, 0);
    for (unsigned i = 0; i < 2; i++) { // offset, size
        size = build_metadata(bytes, 1, pairs, sizeof pairs - 1);
        memset(bytes + 40 + 8 * i, 0xff, 8);
        assert_false(parse_packed(a, bytes, size, &f));
        assert_non_null(strstr(message, "metadata does not lie between"));
    }
    diagnostics_destroy(d);
    arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_of_packed_files),
        cmocka_unit_test(the_description_is_read),
        cmocka_unit_test(programs_without_weights_are_fine),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(an_empty_list_of_entries_is_refused),
        cmocka_unit_test(packed_files_are_read),
        cmocka_unit_test(wrong_packed_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
