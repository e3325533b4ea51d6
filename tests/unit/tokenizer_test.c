// link: lutra_tokenizer lutra_support
// Tokenizers over small vocabularies: encoding by hand, round trips, everything that is refused.
#include "unit.h"

#include "diagnostics_fixture.h"
#include "support/tokenizer/internal.h"
#include "tokenizer_fixture.h"

#include <math.h>
#include <stdlib.h>

static fixture tiny;

static tokenizer *create(const fixture *f)
{
    tokenizer *t = tokenizer_create(a, d, &f->vocabulary);
    if (!t)
        fail_msg("%s", messages());
    return t;
}

// ----------------------------------------------------------------- what comes out, as text

static const char *spell(const tokenizer *t, const char *input, size_t length, encode_options o)
{
    token_list ids = {0};
    text out = {0};
    assert_true(tokenizer_encode(t, a, d, input, length, o, &ids));
    for (size_t i = 0; i < ids.count; i++) {
        token_bytes spelled = tokenizer_text(t, ids.items[i]);
        text_printf(&out, "%s%.*s", i ? " " : "", (int)spelled.length, spelled.data);
    }
    char *copy = arena_string(a, text_string(&out), out.length);
    text_free(&out);
    return copy;
}

static void assert_encodes(const tokenizer *t, const char *input, const char *expected)
{
    assert_string_equal(spell(t, input, strlen(input), (encode_options){0}), expected);
}

static void assert_parses(const tokenizer *t, const char *input, const char *expected)
{
    encode_options all = {.add_special = true, .parse_special = true};
    assert_string_equal(spell(t, input, strlen(input), all), expected);
}

static void assert_round_trip(const tokenizer *t, const char *input, size_t length,
                              encode_options o)
{
    token_list ids = {0};
    text out = {0};
    assert_true(tokenizer_encode(t, a, d, input, length, o, &ids));
    token_decoder s = tokenizer_decoder(t, false);
    for (size_t i = 0; i < ids.count; i++)
        decoder_put(&s, ids.items[i], &out);
    decoder_end(&s, &out);
    assert_int_equal(out.length, length);
    assert_memory_equal(text_string(&out), input, length);
    text_free(&out);
}

// --------------------------------------------------------------------------- SentencePiece

#define SP "\xe2\x96\x81"

static void scores_decide_what_merges(void **state)
{
    (void)state;
    fixture_llama(&tiny);
    tiny.vocabulary.add_space_prefix = 0;
    const tokenizer *t = create(&tiny);
    assert_encodes(t, "", "");
    assert_encodes(t, "abc", "abc"); // bc scores above ab, then a and bc
    assert_encodes(t, "ab", "ab");
    assert_encodes(t, "aaa", "aa a");   // equal: leftmost first
    assert_encodes(t, "aaab", "aa ab"); // aa before ab, whichever is more to the left
    assert_encodes(t, " ab", SP "ab");
    assert_encodes(t, SP "ab", SP "ab"); // as SentencePiece reads it
    assert_encodes(t, "é", "é");
    assert_encodes(t, "ü", "<0xC3> <0xBC>");
    assert_encodes(t, "x", "<0x78>");
    assert_encodes(t,
                   "\xe2"
                   "abc\xff",
                   "<0xE2> abc <0xFF>");
    assert_encodes(t, "<s><0x41>",
                   "<0x3C> <0x73> <0x3E> <0x3C> <0x30> <0x78> <0x34> <0x31> <0x3E>");
}

static void a_space_goes_in_front(void **state)
{
    (void)state;
    fixture_llama(&tiny);
    const tokenizer *t = create(&tiny);
    assert_true(tokenizer_adds_bos(t));
    assert_encodes(t, "", "");
    assert_encodes(t, "ab", SP "ab");
    assert_encodes(t, " ab", SP " " SP "ab");
    assert_parses(t, "ab", "<s> " SP "ab");
    assert_parses(t, "", "<s>");
    assert_parses(t, "ab</s>c<unk>", "<s> " SP "ab </s> " SP " c <unk>");
    assert_encodes(t, "a<tool>b", SP " a <tool> " SP " b"); // user-defined: always
    tiny.vocabulary.add_eos = 1;
    tiny.vocabulary.add_bos = 0;
    assert_parses(create(&tiny), "ab", SP "ab </s>");
}

static void characters_without_bytes_are_unknown(void **state)
{
    (void)state;
    fixture_llama(&tiny);
    tiny.types[3 + 0xc3] = TOKEN_UNUSED;
    const tokenizer *t = create(&tiny);
    assert_encodes(t, "aüb", SP " a <unk> b");
    text out = {0};
    token_decoder s = tokenizer_decoder(t, false);
    decoder_put(&s, 0, &out);
    assert_string_equal(out.data, "\xef\xbf\xbd");
    text_free(&out);
}

// ------------------------------------------------------------------------------ byte level

static void ranks_decide_what_merges(void **state)
{
    (void)state;
    fixture_gpt2(&tiny, "gpt-2");
    const tokenizer *t = create(&tiny);
    assert_false(tokenizer_adds_bos(t));
    assert_encodes(t, "", "");
    assert_encodes(t, "abc", "abc"); // b c goes first, then a bc
    assert_encodes(t, "aaa", "aa a");
    assert_encodes(t, "aab", "a ab");
    assert_encodes(t, " ab ab", "Ġab Ġab");
    assert_encodes(t, "  ab", "Ġ Ġab");
    assert_encodes(t, "a b", "a Ġ b");
    assert_encodes(t, "ü\xff\n", "Ã ¼ ÿ Ċ");
    assert_encodes(t, "a<tool>b", "a <tool> b");
    assert_encodes(t, "<|end|>", "< | e n d | >");
    assert_parses(t, "ab<|end|>c", "ab <|end|> c");
    tiny.vocabulary.add_bos = tiny.vocabulary.add_eos = tiny.vocabulary.add_space_prefix = 1;
    assert_parses(create(&tiny), "ab", "<|end|> Ġab <|end|>");
}

static void llama_3_takes_whole_pieces(void **state)
{
    (void)state;
    fixture_gpt2(&tiny, "llama-bpe");
    fixture_add(&tiny, "cab", TOKEN_NORMAL, 0); // no merge leads there
    const tokenizer *t = create(&tiny);
    assert_true(tokenizer_adds_bos(t));
    assert_encodes(t, "cab", "cab");
    assert_encodes(t, "cabb", "c ab b");
    assert_encodes(t, "1121", "112 1");
    tiny.vocabulary.pre = "qwen2";
    t = create(&tiny);
    assert_encodes(t, "cab", "c ab");
    assert_encodes(t, "1121", "1 1 2 1");
}

// -------------------------------------------------------------------------- pre-tokenizers

static void add_piece(void *out, const char *piece, size_t length)
{
    text *t = out;
    text_printf(t, "%s%.*s", t->length ? "|" : "", (int)length, piece);
}

static void texts_split_as_the_family_does(void **state)
{
    (void)state;
    static const struct {
        const char *name, *input, *expected;
    } rows[] = {
        {"gpt-2", "I'll say  'Hello' 123!", "I|'ll| say| | '|Hello|'| 123|!"},
        {"gpt-2", "I'LL", "I|'|LL"},
        {"gpt-2", "a\n\n b  ", "a|\n\n| b|  "},
        {"gpt-2",
         "été\xc2\xa0"
         "12½ 你好",
         "été|\xc2\xa0|12½| 你好"},
        {"gpt-2",
         "a\xff\xfe"
         "b\xe4\xbd",
         "a|\xff\xfe|b|\xe4\xbd"},
        {"gpt-2",
         "a\xe1\xa0\x8e"
         "b",
         "a|\xe1\xa0\x8e|b"},                        // U+180E is no space
        {"gpt-2", "a\xc2\x85  b", "a|\xc2\x85 | b"}, // U+0085 is one
        {"llama-bpe", "I'LL pay 12345!!\n\n  x", "I|'LL| pay| |123|45|!!\n\n| | x"},
        {"llama-bpe", "(hello)\t\n \n  y", "(hello|)|\t\n \n| | y"},
        {"qwen2", "I'LL pay 123!", "I|'LL| pay| |1|2|3|!"},
        {"smollm", "a  12 b'll", "a|  |1|2| b|'ll"},
        {"bloom", "Hello, world (x)\n", "Hello|,| world| (|x|)\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text out = {0};
        const pretokenizer *p = pretokenizer_create(a, d, NOWHERE, rows[i].name);
        assert_non_null(p);
        pretokenize(p, a, rows[i].input, strlen(rows[i].input), add_piece, &out);
        assert_string_equal(text_string(&out), rows[i].expected);
        text_free(&out);
    }
}

// -------------------------------------------------------------------------------- decoding

static void characters_are_held_until_whole(void **state)
{
    (void)state;
    fixture_gpt2(&tiny, "gpt-2");
    const tokenizer *t = create(&tiny);
    token_decoder s = tokenizer_decoder(t, false);
    text out = {0};
    static const struct {
        uint32_t id;
        const char *so_far;
    } steps[] = {
        {'x', "x"},
        {0xe4, "x"},
        {0xbd, "x"},
        {0xa0, "x你"},
        {0xe4, "x你"},
        {'y', "x你\xe4y"},      // never became one
        {0xff, "x你\xe4y\xff"}, // cannot begin one
        {0xf0, "x你\xe4y\xff"},
        {264, "x你\xe4y\xff\xf0"},                // a control token ends it
        {100000, "x你\xe4y\xff\xf0\xef\xbf\xbd"}, // no such token
        {0xc3, "x你\xe4y\xff\xf0\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        decoder_put(&s, steps[i].id, &out);
        assert_string_equal(out.data, steps[i].so_far);
    }
    decoder_end(&s, &out);
    assert_true(text_ends_with(out.data, "\xef\xbf\xbd\xc3"));
    text_free(&out);
}

static void special_tokens_are_shown_when_asked(void **state)
{
    (void)state;
    fixture_llama(&tiny);
    const tokenizer *t = create(&tiny);
    text out = {0};
    token_decoder s = tokenizer_decoder(t, true);
    for (uint32_t id = 0; id < 3; id++)
        decoder_put(&s, id, &out);
    assert_string_equal(out.data, "<unk><s></s>");
    text_free(&out);
    assert_true(tokenizer_ends(t, 2));
    assert_false(tokenizer_ends(t, 1));
    assert_int_equal(tokenizer_find(t, "abc", 3), 265);
    assert_int_equal(tokenizer_find(t, "abcd", 4), -1);
    assert_int_equal(tokenizer_type(t, 265), TOKEN_NORMAL);
    assert_int_equal(tokenizer_count(t), 270);
    assert_int_equal(tokenizer_special(t).bos, 1);
    assert_memory_equal(tokenizer_piece(t, 268).data, " ab", 3);
}

// Bytes of a small alphabet, so that merges and special tokens occur.
static void random_text(char *out, size_t length, uint64_t seed)
{
    static const char *const parts[] = {"a", "b",      "c",   " ",       "1",    "2",    "\n",
                                        "é", "<tool>", "<s>", "<|end|>", "\xe2", "\x80", "'ll"};
    size_t at = 0;
    while (at < length) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        const char *part = parts[(seed >> 33) % (sizeof parts / sizeof *parts)];
        for (; *part && at < length; part++)
            out[at++] = *part;
    }
}

static void everything_comes_back(void **state)
{
    (void)state;
    static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "smollm", "bloom", NULL};
    char input[3000];
    for (size_t p = 0; p < 6; p++) {
        if (pres[p])
            fixture_gpt2(&tiny, pres[p]);
        else
            fixture_llama(&tiny);
        const tokenizer *t = create(&tiny);
        for (uint64_t seed = 0; seed < 20; seed++) {
            random_text(input, sizeof input, seed);
            assert_round_trip(t, input, sizeof input, (encode_options){.add_special = true});
        }
    }
}

// Were the time quadratic, this would take hours.
static void long_runs_take_linear_time(void **state)
{
    (void)state;
    static const char *const pres[] = {"gpt-2", "llama-bpe", "smollm", "bloom", NULL};
    static const char fill[] = {'a', ' ', '<', '1', '\n'};
    size_t length = getenv("LUTRA_TEST_QUICK") ? 100000 : 1000000;
    char *input = ARENA_ARRAY(a, char, length);
    for (size_t p = 0; p < 5; p++)
        for (size_t i = 0; i < sizeof fill; i++) {
            if (pres[p])
                fixture_gpt2(&tiny, pres[p]);
            else
                fixture_llama(&tiny);
            memset(input, fill[i], length);
            assert_round_trip(create(&tiny), input, length, (encode_options){0});
        }
}

// -------------------------------------------------------------------- refused vocabularies

typedef struct refusal {
    const char *model;
    void (*spoil)(vocabulary *v);
    const char *message;
} refusal;

static void other_model(vocabulary *v)
{
    v->model = "bert";
}
static void no_model(vocabulary *v)
{
    v->model = NULL;
}
static void other_pre(vocabulary *v)
{
    v->pre = "tekken";
}
static void no_pre(vocabulary *v)
{
    v->pre = NULL;
}
static void no_tokens(vocabulary *v)
{
    v->token_count = v->type_count = 0;
}
static void too_many(vocabulary *v)
{
    v->token_count = SIZE_MAX;
}
static void few_types(vocabulary *v)
{
    v->type_count--;
}
static void few_scores(vocabulary *v)
{
    v->score_count--;
}
static void no_score(vocabulary *v)
{
    (void)v;
    tiny.scores[259] = NAN;
}
static void wild_type(vocabulary *v)
{
    (void)v;
    tiny.types[7] = 9;
}
static void twice(vocabulary *v)
{
    (void)v;
    tiny.tokens[261] = tiny.tokens[260];
}
static void no_bytes(vocabulary *v)
{
    v->special.unknown = -1;
    for (size_t i = 3 + 'a'; i < 3 + 'd'; i++)
        tiny.types[i] = TOKEN_UNUSED;
}
static void no_letter(vocabulary *v)
{
    (void)v;
    tiny.tokens['q'] = bytes_of("qq");
}
static void spelled_wrong(vocabulary *v)
{
    (void)v;
    tiny.tokens[3] = bytes_of("<0xZZ>");
}
static void far_eos(vocabulary *v)
{
    v->special.eos = 270;
}
static void far_bos(vocabulary *v)
{
    v->special.bos = INT64_MIN;
}
static void no_bos(vocabulary *v)
{
    v->special.bos = -1;
    v->add_bos = 1;
}
static void no_eos(vocabulary *v)
{
    v->special.eos = -1;
    v->add_eos = 1;
}
static void no_space(vocabulary *v)
{
    (void)v;
    tiny.merges[2] = bytes_of("abc");
}
static void space_last(vocabulary *v)
{
    (void)v;
    tiny.merges[2] = bytes_of("abc ");
}
static void empty_merge(vocabulary *v)
{
    (void)v;
    tiny.merges[2] = bytes_of("");
}
static void unknown_left(vocabulary *v)
{
    (void)v;
    tiny.merges[2] = bytes_of("xyz a");
}
static void unknown_right(vocabulary *v)
{
    (void)v;
    tiny.merges[2] = bytes_of("a xyz");
}
static void unknown_whole(vocabulary *v)
{
    (void)v;
    tiny.merges[2] = bytes_of("a c");
}
static void many_merges(vocabulary *v)
{
    v->merge_count = SIZE_MAX;
}
static void long_token(vocabulary *v)
{
    static char bytes[LONGEST_TOKEN + 1];
    (void)v;
    memset(bytes, 'x', sizeof bytes);
    tiny.tokens[260] = (token_bytes){bytes, sizeof bytes};
}

static void bad_vocabularies_are_refused(void **state)
{
    (void)state;
    static const refusal rows[] = {
        {"llama", other_model, "the tokenizer model \"bert\" is not supported"},
        {"llama", other_model, "expected to be one of: llama, gpt2"},
        {"llama", no_model, "does not name its tokenizer model"},
        {"gpt2", other_pre, "the pre-tokenizer \"tekken\" is not known"},
        {"gpt2", other_pre, "gpt-2, phi-2, mpt, olmo, llama-bpe, llama3, llama-v3, qwen2"},
        {"gpt2", no_pre, "does not say which pre-tokenizer"},
        {"llama", no_tokens, "the vocabulary has 0 tokens"},
        {"llama", too_many, "the vocabulary has 18446744073709551615 tokens"},
        {"llama", few_types, "270 tokens have 269 types; expected one each"},
        {"llama", few_scores, "270 tokens have 269 scores; expected one each"},
        {"llama", no_score, "the score of token 259 \"" SP "\" is not a number"},
        {"llama", wild_type, "token 7 \"<0x04>\" has type 9; expected 1 to 6"},
        {"llama", twice, "tokens 260 and 261 are both \"a\""},
        {"gpt2", twice, "tokens 260 and 261 are both \"Ġa\""},
        {"llama", no_bytes, "nor one for each of these bytes: 61 62 63"},
        {"gpt2", no_letter, "nor one for each of these bytes: 71"},
        {"llama", spelled_wrong, "token 3 has the type of a byte, but is \"<0xZZ>\""},
        {"llama", far_eos, "the 'end of text' token is 270, but there are 270 tokens"},
        {"llama", far_bos, "the 'begin of text' token is -9223372036854775808"},
        {"llama", no_bos, "texts are to begin with a token, but none is named"},
        {"llama", no_eos, "texts are to end with a token, but none is named"},
        {"gpt2", no_space, "merge 2 is \"abc\"; expected two tokens with a space between"},
        {"gpt2", space_last, "merge 2 is \"abc \"; expected two tokens"},
        {"gpt2", empty_merge, "merge 2 is \"\"; expected two tokens"},
        {"gpt2", unknown_left, "merge 2 \"xyz a\" needs \"xyz\", which is not a token"},
        {"gpt2", unknown_right, "merge 2 \"a xyz\" needs \"xyz\", which is not a token"},
        {"gpt2", unknown_whole, "merge 2 \"a c\" needs \"ac\", which is not a token"},
        {"gpt2", many_merges, "18446744073709551615 merges are too many"},
        {"llama", long_token, "has 65536 bytes; at most 65535"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].model, "llama") == 0)
            fixture_llama(&tiny);
        else
            fixture_gpt2(&tiny, "gpt-2");
        rows[i].spoil(&tiny.vocabulary);
        assert_null(tokenizer_create(a, d, &tiny.vocabulary));
        if (!strstr(messages(), rows[i].message))
            fail_msg("row %zu: '%s' is not in: %s", i, rows[i].message, messages());
    }
}

static void bad_tokens_are_reported_together(void **state)
{
    (void)state;
    fixture_gpt2(&tiny, "tekken");
    unknown_left(&tiny.vocabulary);
    twice(&tiny.vocabulary);
    assert_null(tokenizer_create(a, d, &tiny.vocabulary));
    assert_non_null(strstr(messages(), "tiny.gguf: error: tokens 260 and 261"));
    assert_non_null(strstr(messages(), "tekken"));
    assert_non_null(strstr(messages(), "xyz"));
}

static void odd_but_right_vocabularies_are_taken(void **state)
{
    (void)state;
    fixture_llama(&tiny);
    fixture_add(&tiny, "", TOKEN_NORMAL, 0); // two tokens without text
    fixture_add(&tiny, "", TOKEN_CONTROL, 0);
    tiny.vocabulary.special.bos = -1; // nothing to begin with, and nobody asked
    assert_parses(create(&tiny), "ab", SP "ab");
    fixture_gpt2(&tiny, "gpt-2");
    fixture_merge(&tiny, "b c");           // again, of lower rank
    tiny.tokens[0xff] = bytes_of("never"); // no valid text has this byte
    const tokenizer *t = create(&tiny);
    assert_encodes(t, "abc", "abc");
    token_list ids = {0};
    assert_false(tokenizer_encode(t, a, d, "ab\xff\xff", 4, (encode_options){0}, &ids));
    assert_int_equal(ids.count, 0);
    assert_non_null(strstr(messages(), "the byte FF has no token"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(scores_decide_what_merges),
        TEST(a_space_goes_in_front),
        TEST(characters_without_bytes_are_unknown),
        TEST(ranks_decide_what_merges),
        TEST(llama_3_takes_whole_pieces),
        TEST(texts_split_as_the_family_does),
        TEST(characters_are_held_until_whole),
        TEST(special_tokens_are_shown_when_asked),
        TEST(everything_comes_back),
        TEST(long_runs_take_linear_time),
        TEST(bad_vocabularies_are_refused),
        TEST(bad_tokens_are_reported_together),
        TEST(odd_but_right_vocabularies_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
