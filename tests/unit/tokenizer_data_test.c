// link: lutra_tokenizer lutra_support
// Tokenizers of real models: known ids, and real text there and back. Skipped where the
// vocabularies are not there.
#include "unit.h"

#include "support/file.h"
#include "support/reader.h"
#include "support/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static arena *a;
static diagnostics *d;

static int setup(void **state)
{
    (void)state;
    a = arena_create();
    d = diagnostics_create(stderr);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    diagnostics_destroy(d);
    arena_destroy(a);
    return 0;
}

// ----------------------------------------------------------------------------------- files

static const char *path_of(const char *name)
{
    const char *folder = getenv("LUTRA_TEST_DATA"), *root = getenv("LUTRA_SOURCE");
    const char *path = folder ? arena_format(a, "%s/%s", folder, name)
                              : arena_format(a, "%s/../shared/data/%s", root ? root : ".", name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    return path;
}

static const char *read_all(const char *name, size_t *length)
{
    mapped_file file;
    assert_true(file_map(d, path_of(name), &file));
    const char *copy = arena_string(a, (const char *)file.data, file.size);
    *length = file.size;
    file_unmap(&file);
    return copy;
}

static tokenizer *load(const char *name)
{
    mapped_file file;
    gguf_header header;
    metadata m = {0};
    assert_true(file_map(d, path_of(name), &file));
    byte_reader r = {.data = file.data, .size = file.size, .diagnostics = d};
    assert_true(gguf_metadata_read(a, &r, &header, &m));
    tokenizer *t = tokenizer_from_metadata(a, d, name, &m);
    file_unmap(&file); // the tokenizer keeps nothing of it
    assert_non_null(t);
    return t;
}

// ------------------------------------------------------------------------------- known ids

static void assert_ids(const tokenizer *t, size_t which, const char *input, size_t length,
                       const char *expected, size_t expected_length)
{
    token_list ids = {0};
    text got = {0};
    assert_true(tokenizer_encode(t, a, d, input, length, (encode_options){0}, &ids));
    for (size_t i = 0; i < ids.count; i++)
        text_printf(&got, " %u", ids.items[i]);
    if (got.length != expected_length || memcmp(text_string(&got), expected, got.length) != 0)
        fail_msg("text %zu \"%.*s\":\n got     %s\n expected%.*s", which, (int)length, input,
                 text_string(&got), (int)expected_length, expected);
    text_free(&got);
}

static void check_known_ids(const char *name, size_t texts)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    tokenizer *t = load(name);
    size_t size, count = 0;
    const char *input = read_all(arena_format(a, "%s.inp", name), &size);
    const char *expected = read_all(arena_format(a, "%s.out", name), &size);
    for (const char *end; (end = strstr(input, separator)); input = end + strlen(separator)) {
        size_t line = strcspn(expected, "\n");
        assert_ids(t, count++, input, (size_t)(end - input), expected, line);
        expected += line + 1;
    }
    assert_int_equal(count, texts);
    assert_int_equal(*expected, '\0'); // every line was used
}

static void gpt_2_gives_the_known_ids(void **state)
{
    (void)state;
    check_known_ids("vocab/ggml-vocab-gpt-2.gguf", 46);
}

static void phi_3_gives_the_known_ids(void **state)
{
    (void)state;
    check_known_ids("vocab/ggml-vocab-phi-3.gguf", 46);
}

// -------------------------------------------------------------------------------- real text

static void check_round_trip(const tokenizer *t, const char *name, double bytes_per_token)
{
    size_t length;
    const char *input = read_all(name, &length);
    token_list ids = {0};
    text out = {0};
    encode_options options = {.add_special = true};
    assert_true(tokenizer_encode(t, a, d, input, length, options, &ids));
    token_decoder s = tokenizer_decoder(t, false);
    for (size_t i = 0; i < ids.count; i++)
        decoder_put(&s, ids.items[i], &out);
    decoder_end(&s, &out);
    assert_int_equal(out.length, length);
    assert_memory_equal(out.data, input, length);
    assert_true((double)length / (double)ids.count > bytes_per_token);
    text_free(&out);
}

static void real_text_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double tales, plays; // bytes per token, at least
    } rows[] = {
        {"vocab/ggml-vocab-gpt-2.gguf", 3.5, 3},
        {"vocab/ggml-vocab-phi-3.gguf", 3.5, 2.7},
        {"stories260k/stories260K-F32.gguf", 2, 1.5},
        {"bitnet-3m/bit3M-bitnet-TQ2_0.gguf", 2, 1.5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const tokenizer *t = load(rows[i].name);
        check_round_trip(t, "text/tinystories_sample.txt", rows[i].tales);
        check_round_trip(t, "text/tinyshakespeare.txt", rows[i].plays);
    }
}

static void special_tokens_of_real_models(void **state)
{
    (void)state;
    static const char chat[] = "<|user|>\nHi<|end|>";
    const tokenizer *t = load("vocab/ggml-vocab-phi-3.gguf");
    token_list ids = {0};
    encode_options all = {.add_special = true, .parse_special = true};
    assert_true(tokenizer_encode(t, a, d, chat, strlen(chat), all, &ids));
    // <s> <|user|> _ \n Hi <|end|>
    static const uint32_t expected[] = {1, 32010, 29871, 13, 18567, 32007};
    assert_int_equal(ids.count, 6);
    assert_memory_equal(ids.items, expected, sizeof expected);
    assert_true(tokenizer_ends(t, 32000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(gpt_2_gives_the_known_ids),
        TEST(phi_3_gives_the_known_ids),
        TEST(real_text_comes_back),
        TEST(special_tokens_of_real_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
