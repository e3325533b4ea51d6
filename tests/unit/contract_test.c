// link: lutra_generation lutra_support
// Which programs are language models, what their context is, and what is said of the others.
#include "unit.h"

#include "diagnostics_fixture.h"
#include "support/generation/model.h"

#include <stdlib.h>
#include <string.h>

// ----------------------------------------------------------- signatures from a line of text

enum { DIMS = 4, ENTRIES = 3, VALUES = 8 };
static const signature_dim dims[DIMS] = {{"B", 1, 4}, {"T", 1, 64}, {"L", 8, 16}, {"Z", 0, 0}};

// "name:type[B,2*T,8]"; moves *s behind it.
static signature_value parse_value(const char **s)
{
    signature_value v = {0};
    char word[64];
    int length = 0;
    sscanf(*s, "%63[^:]:%n", word, &length);
    v.name = arena_string(a, word, strlen(word));
    *s += length;
    length = (int)strcspn(*s, "[ ");
    v.type = arena_string(a, *s, (size_t)length);
    *s += length;
    while (**s == '[' || **s == ',') {
        long long factor = 1;
        char *end;
        signature_extent *e = &v.shape[v.rank++];
        *s += 1;
        factor = strtoll(*s, &end, 10);
        *e = (signature_extent){end == *s ? 1 : factor, -1};
        *s = *end == '*' ? end + 1 : end;
        for (int i = 0; i < DIMS; i++)
            if (**s == dims[i].name[0])
                e->dim = i;
        *s += e->dim >= 0;
    }
    *s += **s == ']';
    return v;
}

static signature_list parse_list(const char *s)
{
    signature_value *items = ARENA_ARRAY(a, signature_value, VALUES);
    size_t count = 0;
    for (; *s; s += *s == ' ')
        items[count++] = parse_value(&s);
    return (signature_list){items, count};
}

typedef struct program {
    const char *inputs, *outputs;             // of forward; NULL: it has none
    const char *score_inputs, *score_outputs; // NULL: it has none
    const char *states;
} program;

static bool find(const program *p, model_contract *out)
{
    signature_entry *entries = ARENA_ARRAY(a, signature_entry, ENTRIES);
    size_t count = 0;
    entries[count++] = (signature_entry){"main", parse_list("x:f32"), parse_list("result:f32")};
    if (p->score_inputs)
        entries[count++] =
            (signature_entry){"score", parse_list(p->score_inputs), parse_list(p->score_outputs)};
    if (p->inputs)
        entries[count++] =
            (signature_entry){"forward", parse_list(p->inputs), parse_list(p->outputs)};
    program_signature s = {"m.elf", dims, DIMS, entries, count, parse_list(p->states)};
    return model_contract_find(a, d, &s, out);
}

#define INPUTS "tokens:i32[B,T] pos:i32[B]"

// ---------------------------------------------------------------------------------- tests

static void batches_of_sequences(void **state)
{
    (void)state;
    model_contract c;
    const program p = {"pos:i32[B] tokens:i32[B,T]", "result:f32[B,100]", INPUTS,
                       "result:f32[B,T,100]",
                       "k:f16[B,32,2,8] v:f16[4,30,2,8] w:f16[3,5,9] x:f32[B,7] y:f32[2*B,1,1]"};
    assert_true(find(&p, &c));
    assert_int_equal(c.vocabulary, 100);
    assert_int_equal(c.context_length, 30);
    assert_int_equal(c.largest_batch, 4);
    assert_int_equal(c.largest_tokens, 30); // T is up to 64
    assert_int_equal(c.forward.index, 2);
    assert_int_equal(c.forward.tokens, 1);
    assert_int_equal(c.forward.positions, 0);
    assert_string_equal(c.score.name, "score");
    assert_int_equal(c.score.tokens, 0);
    assert_true(c.forward.batched);
}

static void single_sequences(void **state)
{
    (void)state;
    model_contract c;
    const program p = {"tokens:i32[T] pos:index", "result:f32[50]", NULL, NULL,
                       "k:f16[20,2,8] h:f32[3,4]"};
    assert_true(find(&p, &c));
    assert_int_equal(c.context_length, 20);
    assert_int_equal(c.largest_batch, 1);
    assert_false(c.forward.batched);
    assert_null(c.score.name);
    const program one = {"tokens:i32[1,1] pos:i32[1]", "result:f32[1,50]", NULL, NULL, ""};
    assert_true(find(&one, &c));
    assert_true(c.context_length == MODEL_UNLIMITED);
    assert_int_equal(c.largest_tokens, 1);
    assert_int_equal(c.forward.token_dim, -1);
}

static void programs_that_are_none(void **state)
{
    (void)state;
    static const struct {
        program program;
        const char *said[3];
    } rows[] = {
        {{NULL, NULL, INPUTS, "r:f32[B,T,9]", ""},
         {"not a language model: it has no entry 'forward(tokens: i32[B, T], pos: i32[B]) -> "
          "f32[B, V]'; its entries: main, score"}},
        {{"ids:i32[B,T] position:i32[B]", "r:f32[B,9]", NULL, NULL, ""},
         {"entry 'forward' has no input 'tokens' (i32[B, T] or i32[T]); its inputs: ids: "
          "i32[B, T], position: i32[B]",
          "entry 'forward' has no input 'pos' (i32[B] or i32)"}},
        {{"", "r:f32[B,9]", NULL, NULL, ""}, {"no input 'tokens'", "its inputs: none"}},
        {{"tokens:i64[B,T] pos:i32[B]", "r:f32[B,9]", NULL, NULL, ""},
         {"input 'tokens' is i64[B, T], expected i32[B, T] or i32[T]"}},
        {{"tokens:i32 pos:i32", "r:f32[9]", NULL, NULL, ""}, {"input 'tokens' is i32, expected"}},
        {{"tokens:i32[B,2*T] pos:i32[B]", "r:f32[B,9]", NULL, NULL, ""},
         {"entry 'forward': the number of tokens must be a dimension or 1"}},
        {{"tokens:i32[B,8] pos:i32[B]", "r:f32[B,9]", NULL, NULL, ""},
         {"the number of tokens must be a dimension or 1"}},
        {{"tokens:i32[2,T] pos:i32[2]", "r:f32[2,9]", NULL, NULL, ""},
         {"the number of sequences must be a dimension or 1"}},
        {{"tokens:i32[B,L] pos:i32[B]", "r:f32[B,9]", NULL, NULL, ""},
         {"dimension 'L', the number of tokens, is in 8..16; texts need 1, too"}},
        {{"tokens:i32[Z,T] pos:i32[Z]", "r:f32[Z,9]", NULL, NULL, ""},
         {"dimension 'Z', the number of sequences, is in 0..0"}},
        {{"tokens:i32[B,T] pos:i32", "r:f32[B,9]", NULL, NULL, ""},
         {"input 'pos' is i32, expected i32[B]: a position for each sequence"}},
        {{"tokens:i32[B,T] pos:i32[T]", "r:f32[B,9]", NULL, NULL, ""},
         {"input 'pos' is i32[T], expected i32[B]"}},
        {{"tokens:i32[T] pos:f32", "r:f32[9]", NULL, NULL, ""},
         {"input 'pos' is f32, expected i32: a position"}},
        {{INPUTS " mask:f32[T]", "r:f32[B,9]", NULL, NULL, ""},
         {"entry 'forward' has an input 'mask' that is neither 'tokens' nor 'pos'"}},
        {{INPUTS, "r:f32[B,9] h:f32[B,4]", NULL, NULL, ""},
         {"entry 'forward' has 2 outputs, expected one: f32[B, V]"}},
        {{INPUTS, "r:f16[B,9]", NULL, NULL, ""},
         {"entry 'forward' gives f16[B, 9], expected f32[B, V], a logit for each token"}},
        {{INPUTS, "r:f32[B,T,9]", NULL, NULL, ""},
         {"entry 'forward' gives f32[B, T, 9], expected f32[B, V]"}},
        {{INPUTS, "r:f32[B,T]", NULL, NULL, ""}, {"entry 'forward' gives f32[B, T], expected"}},
        {{INPUTS, "r:f32[B,0]", NULL, NULL, ""}, {"entry 'forward' gives f32[B, 0], expected"}},
        {{INPUTS, "r:f32[B,9]", INPUTS, "r:f32[B,9]", ""},
         {"entry 'score' gives f32[B, 9], expected f32[B, T, V]"}},
        {{INPUTS, "r:f32[B,500]", INPUTS, "r:f32[B,T,512]", ""},
         {"entry 'score' gives 512 logits, but 'forward' gives 500"}},
        {{INPUTS, "r:f32[B,9]", NULL, NULL, "k:f16[B,0,4]"},
         {"its states have no room for a token"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        model_contract c;
        if (find(&rows[i].program, &c))
            fail_msg("row %zu was accepted", i);
        diagnostics_flush(d);
        fflush(stream);
        for (size_t k = 0; k < 3 && rows[i].said[k]; k++)
            if (!strstr(messages(), rows[i].said[k]))
                fail_msg("row %zu: expected '%s' in: %s", i, rows[i].said[k], messages());
        rewind(stream);
        fputc('\0', stream);
        rewind(stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(batches_of_sequences),
        TEST(single_sequences),
        TEST(programs_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
