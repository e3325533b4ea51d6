// link: lutra_import lutra_ir lutra_quant lutra_support
// GGUF files that are right, and many that are wrong, each with its message.
#include "unit.h"

#include "compiler/import/gguf_write.h"
#include "compiler/import/import.h"

#include <stdlib.h>
#include <string.h>

// ------------------------------------------------------- files, byte by byte

typedef text bytes;

static void put(bytes *b, const void *data, size_t size)
{
    text_append_n(b, data, size);
}

static void u8(bytes *b, uint8_t x)
{
    put(b, &x, sizeof x);
}
static void u32(bytes *b, uint32_t x)
{
    put(b, &x, sizeof x);
}
static void u64(bytes *b, uint64_t x)
{
    put(b, &x, sizeof x);
}

static void string(bytes *b, const char *s)
{
    u64(b, strlen(s));
    put(b, s, strlen(s));
}

static void zeros(bytes *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        u8(b, 0);
}

static void header(bytes *b, uint32_t version, uint64_t tensors, uint64_t entries)
{
    put(b, "GGUF", 4);
    u32(b, version);
    u64(b, tensors);
    u64(b, entries);
}

static void entry(bytes *b, const char *key, uint32_t type)
{
    string(b, key);
    u32(b, type);
}

static void tensor(bytes *b, const char *name, uint64_t columns, uint64_t rows, uint32_t type,
                   uint64_t offset)
{
    string(b, name);
    u32(b, 2);
    u64(b, columns);
    u64(b, rows);
    u32(b, type);
    u64(b, offset);
}

static void data(bytes *b, size_t size)
{
    zeros(b, (32 - b->length % 32) % 32);
    zeros(b, size);
}

// --------------------------------------------------------------- wrong files

static void empty(bytes *b)
{
    (void)b;
}
static void only_magic(bytes *b)
{
    put(b, "GGUF", 4);
}
static void other_file(bytes *b)
{
    put(b,
        "\x7f"
        "ELF and more",
        14);
}
static void version_1(bytes *b)
{
    header(b, 1, 0, 0);
}
static void version_9(bytes *b)
{
    header(b, 9, 0, 0);
}
static void version_0(bytes *b)
{
    header(b, 0, 0, 0);
}
static void big_endian(bytes *b)
{
    header(b, 3u << 24, 1u << 31, 0);
}

static void no_counts(bytes *b)
{
    put(b, "GGUF", 4);
    u32(b, 3);
    u32(b, 7);
}

static void too_many_entries(bytes *b)
{
    header(b, 3, 0, UINT64_MAX);
}

static void too_many_tensors(bytes *b)
{
    header(b, 3, UINT64_MAX / 8, 0);
    zeros(b, 64);
}

static void entries_missing(bytes *b)
{
    header(b, 3, 0, 2);
    entry(b, "a", 4);
    u32(b, 1);
    zeros(b, 15); // not enough for an entry with a name
}

static void key_beyond_end(bytes *b)
{
    header(b, 3, 0, 1);
    u64(b, 1000);
    zeros(b, 20);
}

static void key_length_overflow(bytes *b)
{
    header(b, 3, 0, 1);
    u64(b, UINT64_MAX - 7);
    zeros(b, 20);
}

static void key_empty(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "", 4);
    u32(b, 1);
}

static void key_with_nul(bytes *b)
{
    header(b, 3, 0, 1);
    u64(b, 3);
    put(b, "a\0b", 3);
    u32(b, 4);
    u32(b, 1);
}

static void key_not_utf8(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "caf\xe9", 4);
    u32(b, 1);
}

static void key_overlong_utf8(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "\xc0\xaf", 4);
    u32(b, 1);
}

static void key_huge(bytes *b)
{
    header(b, 3, 0, 1);
    u64(b, 70000);
    zeros(b, 70020);
}

static void key_twice(bytes *b)
{
    header(b, 3, 0, 3);
    for (int i = 0; i < 3; i++) {
        entry(b, i == 1 ? "other" : "same", 4);
        u32(b, 1);
    }
}

static void value_type_unknown(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "a.b", 13);
    u64(b, 0);
}

static void value_missing(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "a.key.that.is.long", 10);
    u32(b, 0);
}

static void value_beyond_int64(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "big", 10);
    u64(b, UINT64_MAX);
}

static void value_half_boolean(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "flag", 7);
    u8(b, 2);
}

static void string_beyond_end(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "s", 8);
    u64(b, 1u << 30);
    put(b, "short", 5);
}

static void array_header(bytes *b, uint32_t type, uint64_t count)
{
    header(b, 3, 0, 1);
    entry(b, "list", 9);
    u32(b, type);
    u64(b, count);
}

static void array_of_unknown(bytes *b)
{
    array_header(b, 99, 0);
}
static void array_of_arrays(bytes *b)
{
    array_header(b, 9, 1);
}
static void array_count_overflow(bytes *b)
{
    array_header(b, 4, UINT64_MAX / 2);
}
static void array_of_many_strings(bytes *b)
{
    array_header(b, 8, 1ull << 40);
}

static void array_string_beyond_end(bytes *b)
{
    array_header(b, 8, 2);
    string(b, "first");
    u64(b, 99);
}

static void array_too_long(bytes *b)
{
    array_header(b, 12, 3);
    zeros(b, 23);
}

static void alignment_of(bytes *b, uint32_t value)
{
    header(b, 3, 0, 1);
    entry(b, "general.alignment", 4);
    u32(b, value);
}

static void alignment_zero(bytes *b)
{
    alignment_of(b, 0);
}
static void alignment_not_power(bytes *b)
{
    alignment_of(b, 48);
}
static void alignment_huge(bytes *b)
{
    alignment_of(b, 1u << 31);
}

static void alignment_text(bytes *b)
{
    header(b, 3, 0, 1);
    entry(b, "general.alignment", 8);
    string(b, "32");
}

static void tensor_cut(bytes *b)
{
    header(b, 3, 1, 0);
    tensor(b, "weight", 4, 4, 0, 0);
    b->length -= 6;
}

static void tensor_rank(bytes *b, uint32_t rank)
{
    header(b, 3, 1, 0);
    string(b, "w");
    u32(b, rank);
    zeros(b, 64);
}

static void tensor_rank_0(bytes *b)
{
    tensor_rank(b, 0);
}
static void tensor_rank_5(bytes *b)
{
    tensor_rank(b, 5);
}
static void tensor_rank_huge(bytes *b)
{
    tensor_rank(b, UINT32_MAX);
}

static void one_tensor(bytes *b, uint64_t columns, uint64_t rows, uint32_t type, uint64_t offset)
{
    header(b, 3, 1, 0);
    tensor(b, "w", columns, rows, type, offset);
    data(b, 64);
}

static void dimension_negative(bytes *b)
{
    one_tensor(b, UINT64_MAX, 1, 0, 0);
}
static void product_overflow(bytes *b)
{
    one_tensor(b, 1ull << 40, 1ull << 40, 0, 0);
}
static void empty_but_huge(bytes *b)
{
    one_tensor(b, 1ull << 41, 0, 0, 0);
}
static void bytes_overflow(bytes *b)
{
    one_tensor(b, 1ull << 31, 1ull << 31, 0, 0);
}
static void type_not_supported(bytes *b)
{
    one_tensor(b, 256, 1, 16, 0);
}
static void type_unknown(bytes *b)
{
    one_tensor(b, 4, 4, 4096, 0);
}
static void not_whole_blocks(bytes *b)
{
    one_tensor(b, 33, 1, 8, 0);
}
static void offset_misaligned(bytes *b)
{
    one_tensor(b, 2, 2, 0, 8);
}
static void offset_beyond_end(bytes *b)
{
    one_tensor(b, 2, 2, 0, 1ull << 62);
}
static void data_beyond_end(bytes *b)
{
    one_tensor(b, 4, 5, 0, 0);
}

static void data_missing(bytes *b)
{
    header(b, 3, 1, 0);
    tensor(b, "w", 2, 2, 0, 0);
}

static void several_missing(bytes *b)
{
    header(b, 3, 3, 0);
    tensor(b, "w", 2, 2, 0, 64);
    tensor(b, "u", 2, 2, 0, 32);
    tensor(b, "v", 2, 2, 0, 0);
    data(b, 32);
}

static void name_twice(bytes *b)
{
    header(b, 3, 2, 0);
    tensor(b, "w", 2, 2, 0, 0);
    tensor(b, "w", 2, 2, 0, 32);
    data(b, 64);
}

static void all_at_once(bytes *b)
{
    header(b, 3, 5, 0);
    tensor(b, "a", 256, 1, 29, 0);
    tensor(b, "b", 2, 2, 0, 0);
    tensor(b, "c", 2, 2, 0, 7);
    tensor(b, "d", 256, 1, 23, 0);
    tensor(b, "b", 2, 2, 0, 1u << 20);
    data(b, 64);
}

#define BAD "bad.gguf: error: "
#define SUPPORTED                                                                                  \
    "   note: supported types: F32, F16, BF16, F64, I8, I16, I32, I64, Q8_0, Q4_0, Q4_1, Q5_0, "   \
    "Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, MXFP4, TQ1_0, TQ2_0\n"
#define WRONG(function, message) {#function, function, message}

static const struct {
    const char *name;
    void (*make)(bytes *b);
    const char *message;
} wrong[] = {
    WRONG(empty, BAD "neither a GGUF file nor a file of packed weights: it is empty\n"),
    WRONG(only_magic, BAD "header: the file ends here: 4 bytes wanted, 0 left (at byte 4)\n"),
    WRONG(other_file,
          BAD "neither a GGUF file nor a file of packed weights, but an ELF file: lutrun runs "
              "programs, lutdump shows their instructions\n"),
    WRONG(version_1, BAD "header: version 1 is not supported, only 2 and 3 (at byte 8)\n"),
    WRONG(version_9, BAD "header: version 9 is not supported, only 2 and 3 (at byte 8)\n"),
    WRONG(version_0, BAD "header: version 0 is not supported, only 2 and 3 (at byte 8)\n"),
    WRONG(big_endian, BAD "header: the file is big-endian; convert it to little-endian (gguf-py: "
                          "gguf_convert_endian.py FILE little) (at byte 8)\n"),
    WRONG(no_counts, BAD "header: the file ends here: 8 bytes wanted, 4 left (at byte 8)\n"),
    WRONG(too_many_entries, BAD "header: 18446744073709551615 metadata entries cannot fit in the 0 "
                                "bytes left (at byte 24)\n"),
    WRONG(too_many_tensors,
          BAD "header: 2305843009213693951 tensors cannot fit in the 64 bytes left (at byte 24)\n"),
    WRONG(entries_missing, BAD "metadata entry 2 of 2: the name is empty (at byte 49)\n"),
    WRONG(key_beyond_end, BAD
          "metadata entry 1 of 1: the file ends here: 1000 bytes wanted, 20 left (at byte 32)\n"),
    WRONG(key_length_overflow, BAD "metadata entry 1 of 1: the file ends here: "
                                   "18446744073709551608 bytes wanted, 20 left (at byte 32)\n"),
    WRONG(key_empty, BAD "metadata entry 1 of 1: the name is empty (at byte 32)\n"),
    WRONG(key_with_nul,
          BAD "metadata entry 1 of 1: the name is not valid UTF-8 text (at byte 35)\n"),
    WRONG(key_not_utf8,
          BAD "metadata entry 1 of 1: the name is not valid UTF-8 text (at byte 36)\n"),
    WRONG(key_overlong_utf8,
          BAD "metadata entry 1 of 1: the name is not valid UTF-8 text (at byte 34)\n"),
    WRONG(key_huge,
          BAD "metadata entry 1 of 1: the name has 70000 bytes, more than 65535 (at byte 70032)\n"),
    WRONG(key_twice, BAD "metadata: key 'same' appears twice (at byte 85)\n"),
    WRONG(value_type_unknown, BAD "metadata 'a.b': unknown value type 13 (at byte 39)\n"),
    WRONG(
        value_missing, BAD
        "metadata 'a.key.that.is.long': the file ends here: 8 bytes wanted, 4 left (at byte 54)\n"),
    WRONG(value_beyond_int64, BAD "metadata 'big': the number does not fit 63 bits (at byte 47)\n"),
    WRONG(value_half_boolean, BAD "metadata 'flag': a boolean is 2, not 0 or 1 (at byte 41)\n"),
    WRONG(string_beyond_end,
          BAD "metadata 's': the file ends here: 1073741824 bytes wanted, 5 left (at byte 45)\n"),
    WRONG(array_of_unknown, BAD "metadata 'list': unknown type 99 of array items (at byte 52)\n"),
    WRONG(array_of_arrays,
          BAD "metadata 'list': arrays of arrays are not supported (at byte 52)\n"),
    WRONG(array_count_overflow, BAD "metadata 'list': an array of 9223372036854775807 u32 cannot "
                                    "fit in the 0 bytes left (at byte 52)\n"),
    WRONG(array_of_many_strings, BAD "metadata 'list': an array of 1099511627776 strings cannot "
                                     "fit in the 0 bytes left (at byte 52)\n"),
    WRONG(array_string_beyond_end,
          BAD "metadata 'list': the file ends here: 99 bytes wanted, 0 left (at byte 73)\n"),
    WRONG(array_too_long,
          BAD "metadata 'list': an array of 3 f64 cannot fit in the 23 bytes left (at byte 52)\n"),
    WRONG(alignment_zero, BAD
          "metadata 'general.alignment': 0 is not a power of two from 8 to 1048576 (at byte 57)\n"),
    WRONG(
        alignment_not_power, BAD
        "metadata 'general.alignment': 48 is not a power of two from 8 to 1048576 (at byte 57)\n"),
    WRONG(alignment_huge, BAD "metadata 'general.alignment': 2147483648 is not a power of two from "
                              "8 to 1048576 (at byte 57)\n"),
    WRONG(alignment_text,
          BAD "metadata 'general.alignment': expected a number, found string (at byte 63)\n"),
    WRONG(tensor_cut,
          BAD "tensor 'weight': the file ends here: 8 bytes wanted, 2 left (at byte 62)\n"),
    WRONG(tensor_rank_0, BAD "tensor 'w': 0 dimensions, expected 1 to 4 (at byte 37)\n"),
    WRONG(tensor_rank_5, BAD "tensor 'w': 5 dimensions, expected 1 to 4 (at byte 37)\n"),
    WRONG(tensor_rank_huge,
          BAD "tensor 'w': 4294967295 dimensions, expected 1 to 4 (at byte 37)\n"),
    WRONG(dimension_negative,
          BAD "tensor 'w': dimension 18446744073709551615 is too large (at byte 45)\n"),
    WRONG(product_overflow, BAD "tensor 'w': its dimensions are too large\n"),
    WRONG(empty_but_huge, BAD "tensor 'w': its dimensions are too large\n"),
    WRONG(bytes_overflow, BAD "tensor 'w': its size in bytes overflows\n"),
    WRONG(type_not_supported, BAD "tensor 'w': type IQ2_XXS is not supported\n" SUPPORTED),
    WRONG(type_unknown, BAD "tensor 'w': unknown type 4096\n" SUPPORTED),
    WRONG(not_whole_blocks,
          BAD "tensor 'w': rows of 33 weights are not a multiple of Q8_0's block of 32\n"),
    WRONG(offset_misaligned, BAD "tensor 'w': offset 8 is not a multiple of the alignment 32\n"),
    WRONG(offset_beyond_end,
          BAD "tensor 'w': 16 bytes at offset 4611686018427387904 reach beyond the file's 64 bytes "
              "of data; the file is truncated or its header is wrong\n"),
    WRONG(data_beyond_end, BAD "tensor 'w': 80 bytes at offset 0 reach beyond the file's 64 bytes "
                               "of data; the file is truncated or its header is wrong\n"),
    WRONG(data_missing, BAD "tensor 'w': 16 bytes at offset 0 reach beyond the file's 0 bytes of "
                            "data; the file is truncated or its header is wrong\n"),
    WRONG(several_missing, BAD
          "tensor 'u': 16 bytes at offset 32 reach beyond the file's 32 bytes of data, as 1 other "
          "does; the file is truncated or its header is wrong\n"),
    WRONG(name_twice, BAD "tensor 'w' appears twice\n"),
    WRONG(all_at_once,
          BAD "tensor 'a': type IQ1_M is not supported\n" BAD
              "tensor 'd': type IQ4_XS is not supported\n" SUPPORTED BAD
              "tensor 'c': offset 7 is not a multiple of the alignment 32\n" BAD
              "tensor 'b': 16 bytes at offset 1048576 reach beyond the file's 64 bytes of data; "
              "the file is truncated or its header is wrong\n" BAD "tensor 'b' appears twice\n"),
};

static char *message_of(const bytes *b, bool *accepted)
{
    char *said = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&said, &length);
    diagnostics *d = diagnostics_create(stream);
    arena *a = arena_create();
    // A copy of exactly the right size: the sanitizer sees every byte read beyond it.
    void *copy = malloc(b->length ? b->length : 1);
    if (b->length)
        memcpy(copy, b->data, b->length);
    *accepted = weights_parse(a, d, "bad.gguf", copy, b->length) != NULL;
    diagnostics_destroy(d);
    arena_destroy(a);
    free(copy);
    fclose(stream);
    return said;
}

static void wrong_files_are_explained(void **state)
{
    (void)state;
    bool show = getenv("SHOW_MESSAGES");
    int differ = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bytes b = {0};
        bool accepted;
        wrong[i].make(&b);
        char *said = message_of(&b, &accepted);
        if (show)
            printf("%s: %s", wrong[i].name, said);
        if (accepted || strcmp(said, wrong[i].message) != 0) {
            print_error("%s:\n  said     %s  expected %s", wrong[i].name, said, wrong[i].message);
            differ++;
        }
        free(said);
        text_free(&b);
    }
    assert_true(sizeof wrong / sizeof wrong[0] >= 40);
    assert_int_equal(differ, 0);
}

// ---------------------------------------------------------------- right files

static void good_file(bytes *b)
{
    static const char *const tokens[] = {"<s>", "", "\xc3\xa9"};
    static const float scores[] = {0, -1.5f, 3e-9f};
    static const float values[6] = {1, 2, 3, -4, 0.5f, -0.25f};
    arena *a = arena_create();
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_text(g, "general.architecture", "llama");
    gguf_put_u32(g, "llama.block_count", 12);
    gguf_put_f32(g, "eps", 1e-5f);
    gguf_put_bool(g, "flag", true);
    gguf_put_texts(g, "tokens", 3, tokens);
    gguf_put_numbers(g, "scores", 3, scores);
    gguf_put_floats(g, "m", SCALAR_F16, 2, (int64_t[]){2, 3}, values);
    gguf_put_floats(g, "v", SCALAR_F32, 1, (int64_t[]){6}, values);
    gguf_put_floats(g, "e", SCALAR_BF16, 2, (int64_t[]){0, 5}, values);
    gguf_write(g, b);
    arena_destroy(a);
}

// Every prefix of a right file is refused, or (cut in padding that no tensor needs) right.
static void truncated_files_are_refused(void **state)
{
    (void)state;
    bytes b = {0};
    bool accepted;
    good_file(&b);
    size_t whole = b.length;
    for (size_t length = 0; length < whole; length++) {
        b.length = length;
        char *said = message_of(&b, &accepted);
        assert_false(accepted);
        assert_true(strstr(said, "bad.gguf: error: ") == said);
        free(said);
    }
    b.length = whole;
    char *said = message_of(&b, &accepted);
    assert_true(accepted);
    assert_string_equal(said, "");
    free(said);
    text_free(&b);
}

static void metadata_is_read(void **state)
{
    (void)state;
    bytes b = {0};
    good_file(&b);
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    weights *w = weights_parse(a, d, "good.gguf", b.data, b.length);
    assert_non_null(w);
    assert_int_equal(weights_meta_count(w), 6);
    const meta_value *v = weights_meta(w, "llama.block_count");
    assert_int_equal(v->kind, META_INTEGER);
    assert_int_equal(v->integer, 12);
    assert_true(v->number == 12);
    assert_string_equal(v->type, "u32");
    v = weights_meta(w, "general.architecture");
    assert_int_equal(v->text.length, 5);
    assert_memory_equal(v->text.data, "llama", 5);
    assert_true(weights_meta(w, "eps")->number == (double)1e-5f);
    assert_int_equal(weights_meta(w, "flag")->integer, 1);
    v = weights_meta(w, "tokens");
    assert_string_equal(v->type, "array of string");
    assert_int_equal(v->count, 3);
    assert_int_equal(meta_text_at(v, 1).length, 0);
    assert_memory_equal(meta_text_at(v, 2).data, "\xc3\xa9", 2);
    assert_true(meta_number_at(weights_meta(w, "scores"), 1) == -1.5);
    assert_null(weights_meta(w, "llama.blockcount"));
    assert_string_equal(weights_meta_nearest(w, "llama.blockcount"), "llama.block_count");
    diagnostics_destroy(d);
    arena_destroy(a);
    text_free(&b);
}

static void tensors_are_row_major(void **state)
{
    (void)state;
    bytes b = {0};
    good_file(&b);
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    weights *w = weights_parse(a, d, "good.gguf", b.data, b.length);
    assert_int_equal(weights_count(w), 3);
    const weights_tensor *t = weights_find(w, "m");
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 3);
    float row[3];
    assert_true(weights_read_rows(w, d, t, 1, 1, row));
    assert_true(row[0] == -4 && row[1] == 0.5f && row[2] == -0.25f);
    assert_int_equal(weights_find(w, "e")->size, 0);
    assert_null(weights_find(w, "x"));
    assert_non_null(weights_find(w, "v"));
    assert_null(weights_find(w, "vv"));
    diagnostics_destroy(d);
    arena_destroy(a);
    text_free(&b);
}

static void every_number_type_is_read(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        unsigned size;
        uint64_t bits;
        double value;
    } rows[] = {
        {0, 1, 200, 200},         {1, 1, 0x9c, -100},
        {2, 2, 65535, 65535},     {3, 2, 0xfffe, -2},
        {4, 4, 4000000000u, 4e9}, {5, 4, 0xffffffff, -1},
        {6, 4, 0x3fc00000, 1.5},  {10, 8, 1ull << 40, 1099511627776.0},
        {11, 8, UINT64_MAX, -1},  {12, 8, 0x3ff8000000000000, 1.5},
    };
    enum { COUNT = sizeof rows / sizeof rows[0] };
    bytes b = {0};
    header(&b, 2, 0, 2 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        entry(&b, (char[]){'a', (char)('a' + i), 0}, rows[i].type);
        put(&b, &rows[i].bits, rows[i].size);
        entry(&b, (char[]){'b', (char)('a' + i), 0}, 9);
        u32(&b, rows[i].type);
        u64(&b, 2);
        zeros(&b, rows[i].size);
        put(&b, &rows[i].bits, rows[i].size);
    }
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    weights *w = weights_parse(a, d, "numbers.gguf", b.data, b.length);
    assert_non_null(w);
    for (int i = 0; i < COUNT; i++) {
        assert_true(weights_meta(w, (char[]){'a', (char)('a' + i), 0})->number == rows[i].value);
        const meta_value *list = weights_meta(w, (char[]){'b', (char)('a' + i), 0});
        assert_true(meta_number_at(list, 0) == 0 && meta_number_at(list, 1) == rows[i].value);
    }
    diagnostics_destroy(d);
    arena_destroy(a);
    text_free(&b);
}

static void writing_is_deterministic(void **state)
{
    (void)state;
    bytes x = {0}, y = {0};
    good_file(&x);
    good_file(&y);
    assert_int_equal(x.length, y.length);
    assert_memory_equal(x.data, y.data, x.length);
    text_free(&x);
    text_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_explained), cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(metadata_is_read),          cmocka_unit_test(tensors_are_row_major),
        cmocka_unit_test(every_number_type_is_read), cmocka_unit_test(writing_is_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
