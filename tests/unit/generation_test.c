// link: lutra_generation lutra_tokenizer lutra_support
// Sampling, generation and perplexity over a model whose logits are known in closed form.
#include "unit.h"

#include "diagnostics_fixture.h"
#include "support/generation/perplexity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 8, MOST_BATCH = 4, CONTEXT = 32, MOST_CALLS = 256 };
enum { MOST_LOGITS = MOST_BATCH * CONTEXT * VOCABULARY };

static void assert_said(const char *words)
{
    if (!strstr(messages(), words))
        fail_msg("expected '%s' in: %s", words, messages());
}

// ------------------------------------------------------------------------- the model

// The logits behind a token: the same for all, or 1 for each token by which the sum of all tokens
// so far, modulo the vocabulary, is smaller; so what was read before matters.
typedef enum fake_rule { UNIFORM, SUMS, NOT_NUMBERS } fake_rule;

typedef struct fake {
    language_model model;
    fake_rule rule;
    size_t length[MOST_BATCH], sum[MOST_BATCH];
    size_t calls, counts[MOST_CALLS];
    bool fails;
    float logits[MOST_LOGITS];
} fake;

static void give_logits(const fake *f, size_t b, float *logits)
{
    for (size_t i = 0; i < VOCABULARY; i++) {
        size_t distance = (i + VOCABULARY - f->sum[b] % VOCABULARY) % VOCABULARY;
        logits[i] = f->rule == UNIFORM ? 3 : f->rule == SUMS ? -(float)distance : NAN;
    }
}

static const float *fake_call(fake *f, size_t batch, size_t count, const int32_t *tokens,
                              const int32_t *positions, bool every)
{
    assert_in_range(batch * (every ? count : 1) * VOCABULARY, 1, MOST_LOGITS);
    assert_in_range(batch, 1, f->model.largest_batch);
    assert_in_range(count, 1, f->model.largest_tokens);
    f->counts[f->calls++ % MOST_CALLS] = count;
    for (size_t b = 0; b < batch; b++) {
        assert_int_equal(positions[b], f->length[b]);
        for (size_t t = 0; t < count; t++) {
            assert_in_range(tokens[b * count + t], 0, VOCABULARY - 1);
            f->sum[b] += (size_t)tokens[b * count + t];
            if (every)
                give_logits(f, b, f->logits + (b * count + t) * VOCABULARY);
        }
        f->length[b] += count;
        assert_true(f->length[b] <= f->model.context_length);
        if (!every)
            give_logits(f, b, f->logits + b * VOCABULARY);
    }
    return f->fails ? NULL : f->logits;
}

static const float *forward(void *context, size_t batch, size_t count, const int32_t *tokens,
                            const int32_t *positions)
{
    return fake_call(context, batch, count, tokens, positions, false);
}

static const float *score(void *context, size_t batch, size_t count, const int32_t *tokens,
                          const int32_t *positions)
{
    return fake_call(context, batch, count, tokens, positions, true);
}

static void reset(void *context)
{
    fake *f = context;
    memset(f->length, 0, sizeof f->length);
    memset(f->sum, 0, sizeof f->sum);
}

static fake *create(fake_rule rule, size_t batch, size_t tokens)
{
    fake *f = ARENA_NEW(a, fake);
    f->rule = rule;
    f->model = (language_model){VOCABULARY, CONTEXT, batch, tokens, f, forward, score, reset, NULL};
    return f;
}

// --------------------------------------------------------------------------- sampler

static void greedy_takes_the_first_of_the_largest(void **state)
{
    (void)state;
    sampler s = sampler_create(a, &(sampler_settings){.top_p = 1}, 4);
    assert_int_equal(sampler_choose(&s, (float[]){1, 2, 2, 0}), 1);
    assert_int_equal(sampler_choose(&s, (float[]){NAN, -5, -4, -4}), 2);
    assert_int_equal(sampler_choose(&s, (float[]){-INFINITY, -INFINITY, -INFINITY, NAN}), 0);
    assert_int_equal(sampler_choose(&s, (float[]){NAN, NAN, NAN, NAN}), -1);
    enum { MANY = 1000 };
    float logits[MANY];
    sampler large = sampler_create(a, &(sampler_settings){.top_p = 1}, MANY);
    for (int peak = 0; peak < MANY; peak += 37) {
        for (int i = 0; i < MANY; i++)
            logits[i] = i % 7 == 3 ? NAN : (float)(i % 11) - 40;
        logits[peak] = logits[MANY - 1] = 3;
        assert_int_equal(sampler_choose(&large, logits), peak);
    }
}

static void count_draws(const sampler_settings *settings, const float *logits, unsigned draws,
                        unsigned counts[4])
{
    sampler s = sampler_create(a, settings, 4);
    memset(counts, 0, 4 * sizeof *counts);
    for (unsigned i = 0; i < draws; i++)
        counts[sampler_choose(&s, logits)]++;
}

static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    static const float logits[] = {0, 1, -1, NAN};
    for (double temperature = 0.5; temperature < 3; temperature += 0.75) {
        unsigned counts[4];
        double sum = 0;
        count_draws(&(sampler_settings){temperature, 0, 1, 7}, logits, DRAWS, counts);
        for (int i = 0; i < 3; i++)
            sum += exp(logits[i] / temperature);
        for (int i = 0; i < 3; i++) {
            double p = exp(logits[i] / temperature) / sum;
            double sigma = sqrt(p * (1 - p) / DRAWS);
            assert_true(fabs((double)counts[i] / DRAWS - p) < 5 * sigma);
        }
        assert_int_equal(counts[3], 0);
    }
}

static void filters_keep_the_likeliest(void **state)
{
    (void)state;
    // Probabilities 0.4, 0.3, 0.2, 0.1, in another order.
    const float logits[] = {logf(0.2f), logf(0.4f), logf(0.1f), logf(0.3f)};
    static const struct {
        sampler_settings settings;
        unsigned kept; // a bit per token
    } rows[] = {
        {{1, 1, 1, 1}, 2},      {{1, 2, 1, 1}, 2 | 8},   {{1, 3, 1, 1}, 1 | 2 | 8},
        {{1, 0, 0.1, 1}, 2},    {{1, 0, 0.39, 1}, 2},    {{1, 0, 0.6, 1}, 2 | 8},
        {{1, 0, 0.8, 1}, 11},   {{1, 0, 0.99, 1}, 15},   {{1, 9, 1, 1}, 15},
        {{1, 2, 0.5, 1}, 2},    {{1, 2, 0.6, 1}, 2 | 8}, // shares of what top-k left
        {{0.01, 0, 0.9, 1}, 2},                          // the temperature comes first
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned counts[4], kept = 0;
        count_draws(&rows[i].settings, logits, 4000, counts);
        for (unsigned k = 0; k < 4; k++)
            kept |= (counts[k] > 0) << k;
        if (kept != rows[i].kept)
            fail_msg("row %zu: kept %x, expected %x", i, kept, rows[i].kept);
    }
}

static void a_seed_repeats(void **state)
{
    (void)state;
    static const float logits[4] = {0};
    sampler x = sampler_create(a, &(sampler_settings){1, 0, 1, 5}, 4), y = x;
    sampler z = sampler_create(a, &(sampler_settings){1, 0, 1, 6}, 4);
    unsigned unlike = 0;
    for (int i = 0; i < 100; i++) {
        int64_t token = sampler_choose(&x, logits);
        assert_int_equal(token, sampler_choose(&y, logits));
        unlike += token != sampler_choose(&z, logits);
    }
    assert_in_range(unlike, 50, 95);
}

// ------------------------------------------------------------------------ generation

typedef struct record {
    uint32_t tokens[MOST_BATCH][CONTEXT + 8];
    size_t length[MOST_BATCH], from_prompt[MOST_BATCH];
    int end[MOST_BATCH];
    uint32_t stop;
} record;

static void emit(void *context, size_t sequence, uint32_t token, bool from_prompt)
{
    record *r = context;
    r->tokens[sequence][r->length[sequence]++] = token;
    r->from_prompt[sequence] += from_prompt;
}

static void finish(void *context, size_t sequence, generation_end end)
{
    ((record *)context)->end[sequence] = (int)end;
}

static bool ends(void *context, uint32_t token)
{
    return token == ((record *)context)->stop;
}

static generation_settings settings_for(record *r, size_t count)
{
    memset(r, 0xff, sizeof *r);
    memset(r->length, 0, sizeof r->length);
    memset(r->from_prompt, 0, sizeof r->from_prompt);
    r->stop = VOCABULARY; // none
    return (generation_settings){{0, 0, 1, 0}, count, r, ends, emit, finish};
}

// The greedy rule of SUMS: the next token is the sum of all before.
static void assert_sums(const record *r, size_t sequence, size_t prompt)
{
    size_t sum = 0;
    for (size_t i = 0; i < r->length[sequence]; i++) {
        if (i >= prompt)
            assert_int_equal(r->tokens[sequence][i], sum % VOCABULARY);
        sum += r->tokens[sequence][i];
    }
    assert_int_equal(r->from_prompt[sequence], prompt);
}

static const uint32_t numbers[CONTEXT + 8] = {3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 1, 7, 7, 3, 2};

static void prompts_are_read_in_chunks(void **state)
{
    (void)state;
    record r;
    fake *f = create(SUMS, 1, 3);
    generation_settings s = settings_for(&r, 4);
    generation *g = generation_create(a, d, &f->model, &s, 1);
    assert_true(generation_run(g, &(token_span){numbers, 8}));
    static const size_t counts[] = {3, 3, 2, 1, 1, 1};
    assert_int_equal(f->calls, 6);
    assert_memory_equal(f->counts, counts, sizeof counts);
    assert_int_equal(r.length[0], 12);
    assert_sums(&r, 0, 8);
    assert_int_equal(r.end[0], GENERATION_COUNT);
    assert_int_equal(generation_counted(g)->prompt.tokens, 8);
    assert_int_equal(generation_counted(g)->decode.tokens, 3);
}

static void no_new_tokens_means_reading_only(void **state)
{
    (void)state;
    record r;
    fake *f = create(SUMS, 1, 32);
    generation_settings s = settings_for(&r, 0);
    generation *g = generation_create(a, d, &f->model, &s, 1);
    assert_true(generation_run(g, &(token_span){numbers, 5}));
    assert_int_equal(f->calls, 1);
    assert_int_equal(r.length[0], 5);
}

static void an_end_token_stops(void **state)
{
    (void)state;
    record r;
    fake *f = create(SUMS, 1, 32);
    generation_settings s = settings_for(&r, 20);
    r.stop = 6; // 1 1 2 4 0 0 ..: never; 3 3 6: soon
    generation *g = generation_create(a, d, &f->model, &s, 1);
    assert_true(generation_run(g, &(token_span){numbers, 1}));
    assert_int_equal(r.length[0], 3); // it is shown
    assert_int_equal(r.end[0], GENERATION_STOPPED);
}

static void the_context_ends_a_text(void **state)
{
    (void)state;
    for (size_t prompt = CONTEXT - 3; prompt <= CONTEXT; prompt++) {
        record r;
        fake *f = create(SUMS, 1, 32);
        generation_settings s = settings_for(&r, 20);
        generation *g = generation_create(a, d, &f->model, &s, 1);
        assert_true(generation_run(g, &(token_span){numbers, prompt}));
        assert_int_equal(r.length[0], CONTEXT + 1); // one more than is read
        assert_int_equal(r.end[0], GENERATION_CONTEXT);
        assert_sums(&r, 0, prompt);
    }
}

static void long_prompts_are_refused(void **state)
{
    (void)state;
    record r;
    fake *f = create(SUMS, 2, 32);
    generation_settings s = settings_for(&r, 2);
    const token_span prompts[] = {{numbers, 2}, {numbers, CONTEXT + 1}};
    generation *g = generation_create(a, d, &f->model, &s, 2);
    assert_false(generation_run(g, prompts));
    assert_int_equal(f->calls, 0);
    assert_said("the text to read has 33 tokens; the context of 32 has room for 32");
    g = generation_create(a, d, &f->model, &s, 1);
    assert_true(generation_run(g, &(token_span){numbers, 20}));
    assert_false(generation_run(g, &(token_span){numbers, 11}));
    assert_said("the text to read has 12 tokens; the context of 32 has room for 11");
}

// Nothing chosen and nothing to read: the next turn chooses behind what was read.
static void an_empty_turn_goes_on(void **state)
{
    (void)state;
    record r;
    fake *f = create(SUMS, 1, 8);
    generation_settings s = settings_for(&r, 0);
    generation *g = generation_create(a, d, &f->model, &s, 1);
    assert_true(generation_run(g, &(token_span){numbers, 5}));
    size_t calls = f->calls;
    assert_true(generation_run(g, &(token_span){NULL, 0}));
    assert_int_equal(f->calls, calls);
    assert_int_equal(r.length[0], 5);
    assert_int_equal(r.end[0], GENERATION_COUNT);
}

// Prompts of unlike lengths give what each gives alone.
static void batches_give_the_same_texts(void **state)
{
    (void)state;
    for (size_t tokens = 1; tokens <= 8; tokens += 3)
        for (double temperature = 0; temperature < 2; temperature++) {
            static const size_t lengths[MOST_BATCH] = {7, 2, 11, 2};
            record together, alone;
            fake *f = create(SUMS, MOST_BATCH, tokens);
            generation_settings s = settings_for(&together, 9);
            s.sampling.temperature = temperature;
            token_span prompts[MOST_BATCH];
            for (size_t b = 0; b < MOST_BATCH; b++)
                prompts[b] = (token_span){numbers + b, lengths[b]};
            generation *g = generation_create(a, d, &f->model, &s, MOST_BATCH);
            assert_true(generation_run(g, prompts));
            for (size_t b = 0; b < MOST_BATCH; b++) {
                s = settings_for(&alone, 9);
                s.sampling = (sampler_settings){temperature, 0, 1, b};
                g = generation_create(a, d, &f->model, &s, 1);
                assert_true(generation_run(g, &prompts[b]));
                assert_int_equal(together.length[b], lengths[b] + 9);
                assert_int_equal(together.from_prompt[b], lengths[b]);
                assert_memory_equal(together.tokens[b], alone.tokens[0],
                                    together.length[b] * sizeof(uint32_t));
            }
        }
}

static void a_later_prompt_goes_on(void **state)
{
    (void)state;
    record r;
    fake *f = create(SUMS, 1, 4);
    generation_settings s = settings_for(&r, 3);
    generation *g = generation_create(a, d, &f->model, &s, 1);
    assert_true(generation_run(g, &(token_span){numbers, 2}));
    assert_true(generation_run(g, &(token_span){numbers + 5, 3}));
    assert_int_equal(r.length[0], 2 + 3 + 3 + 3);
    assert_memory_equal(r.tokens[0] + 5, numbers + 5, 3 * sizeof *numbers);
    size_t sum = 0;
    for (size_t i = 0; i < 8; i++)
        sum += r.tokens[0][i];
    assert_int_equal(r.tokens[0][8], sum % VOCABULARY); // all that was before counts
    assert_true(generation_run(g, &(token_span){NULL, 0}));
    assert_int_equal(r.length[0], 14);
}

static void failures_end_a_run(void **state)
{
    (void)state;
    record r;
    generation_settings s = settings_for(&r, 3);
    fake *f = create(NOT_NUMBERS, 1, 4);
    generation *g = generation_create(a, d, &f->model, &s, 1);
    assert_false(generation_run(g, &(token_span){numbers, 2}));
    assert_said("the logits at position 1 are no numbers");
    f = create(SUMS, 1, 4);
    g = generation_create(a, d, &f->model, &s, 1);
    f->fails = true;
    assert_false(generation_run(g, &(token_span){numbers, 2}));
    assert_int_equal(f->calls, 1);
}

// ------------------------------------------------------------------------ perplexity

static const uint32_t story[100] = {1, 5, 2, 7, 7, 0, 3, 6, 4, 4, 1, 0, 2, 5, 3, 7, 6, 1, 2, 3,
                                    5, 5, 5, 0, 1, 1, 4, 6, 2, 7, 3, 0, 6, 6, 1, 3, 2, 4, 7, 5};

static perplexity_result measure(fake *f, size_t window, int64_t bos, size_t count)
{
    perplexity_result r;
    perplexity_settings s = {window, 0, bos, NULL, NULL};
    assert_true(perplexity_measure(a, d, &f->model, &s, story, count, &r));
    return r;
}

static void a_uniform_model_is_as_perplexed_as_its_vocabulary(void **state)
{
    (void)state;
    perplexity_result r = measure(create(UNIFORM, 1, 8), 16, 0, 100);
    assert_true(fabs(r.perplexity - VOCABULARY) < 1e-12);
    assert_true(r.standard_error < 1e-6);
    assert_true(fabs(r.mean_loss - log(VOCABULARY)) < 1e-14);
    assert_int_equal(r.windows, 6);           // 101 tokens with BOS
    assert_int_equal(r.counted.count, 6 * 7); // positions 8 .. 14 of 16
    assert_int_equal(r.all.count, 100);
    assert_int_equal(r.loss_window, CONTEXT);
    r = measure(create(UNIFORM, 1, 8), 15, -1, 100);
    assert_int_equal(r.windows, 6);
    assert_int_equal(r.counted.count, 6 * 7); // positions 7 .. 13 of 15
    assert_int_equal(r.all.count, 100 - 4);   // the first of each window of 32
}

// The loss that SUMS gives a token behind a sum.
static double loss_of(size_t sum, uint32_t token)
{
    double all = 0;
    for (int i = 0; i < VOCABULARY; i++)
        all += exp(-i);
    return (double)((token + VOCABULARY - sum % VOCABULARY) % VOCABULARY) + log(all);
}

// The definitions, written out.
static double expected_perplexity(size_t window, int64_t bos, size_t count, double *error)
{
    uint32_t all[101];
    size_t length = count + (bos >= 0), n = 0;
    double loss = 0, squares = 0;
    all[0] = (uint32_t)bos;
    memcpy(all + (bos >= 0), story, count * sizeof *all);
    for (size_t start = 0; start + window <= length; start += window) {
        size_t sum = 0;
        for (size_t i = 0; i + 1 < window; i++) {
            sum += i == 0 && bos >= 0 ? (size_t)bos : all[start + i];
            if (i < window / 2)
                continue;
            double one = loss_of(sum, all[start + i + 1]);
            loss += one;
            squares += one * one;
            n++;
        }
    }
    double mean = loss / (double)n, variance = squares / (double)n - mean * mean;
    *error = exp(mean) * sqrt(variance / (double)(n - 1));
    return exp(mean);
}

static double expected_loss(int64_t bos, size_t count)
{
    double loss = 0;
    size_t sum = 0, n = 0;
    for (size_t i = 0; i < count; i++) {
        bool starts = i % CONTEXT == 0;
        sum = starts ? (size_t)(bos >= 0 ? bos : 0) : sum + story[i - 1];
        if (starts && bos < 0)
            continue;
        loss += loss_of(sum, story[i]);
        n++;
    }
    return loss / (double)n;
}

static void windows_are_those_of_the_definition(void **state)
{
    (void)state;
    for (int64_t bos = -1; bos < 3; bos++)
        for (size_t window = 4; window <= CONTEXT; window += 7) {
            double error, perplexity = expected_perplexity(window, bos, 100, &error);
            perplexity_result r = measure(create(SUMS, 1, 5), window, bos, 100);
            assert_true(fabs(r.perplexity / perplexity - 1) < 1e-6);
            assert_true(fabs(r.standard_error / error - 1) < 1e-6);
            assert_true(fabs(r.mean_loss / expected_loss(bos, 100) - 1) < 1e-6);
        }
}

static void batches_and_chunks_give_the_same_numbers(void **state)
{
    (void)state;
    perplexity_result one = measure(create(SUMS, 1, 32), 12, 1, 100);
    for (size_t batch = 1; batch <= MOST_BATCH; batch++)
        for (size_t tokens = 1; tokens <= 32; tokens += 5) {
            fake *f = create(SUMS, batch, tokens);
            if (tokens == 6)
                f->model.score = NULL; // one by one
            perplexity_result r = measure(f, 12, 1, 100);
            assert_true(r.perplexity == one.perplexity);
            assert_true(r.standard_error == one.standard_error);
            assert_true(r.mean_loss == one.mean_loss);
        }
}

static void fewer_windows_on_demand(void **state)
{
    (void)state;
    perplexity_result r;
    fake *f = create(UNIFORM, 2, 8);
    perplexity_settings s = {10, 3, 0, NULL, NULL};
    assert_true(perplexity_measure(a, d, &f->model, &s, story, 100, &r));
    assert_int_equal(r.windows, 3);
    assert_int_equal(r.all.count, 29);
}

static void count_progress(void *context, double done, double perplexity)
{
    double *last = context;
    assert_true(done >= *last && done <= 1);
    assert_true(isnan(perplexity) || fabs(perplexity - VOCABULARY) < 1e-9);
    *last = done;
}

static void progress_reaches_the_end(void **state)
{
    (void)state;
    double last = 0;
    perplexity_result r;
    fake *f = create(UNIFORM, 1, 8);
    perplexity_settings s = {10, 0, 0, &last, count_progress};
    assert_true(perplexity_measure(a, d, &f->model, &s, story, 100, &r));
    assert_true(fabs(last - 1) < 1e-9);
}

static void perplexity_needs_a_window_and_numbers(void **state)
{
    (void)state;
    perplexity_result r;
    fake *f = create(NOT_NUMBERS, 1, 8);
    perplexity_settings s = {20, 0, 0, NULL, NULL};
    assert_false(perplexity_measure(a, d, &f->model, &s, story, 18, &r));
    assert_said("the text has 19 tokens, fewer than a window of 20");
    assert_false(perplexity_measure(a, d, &f->model, &s, story, 50, &r));
    assert_said("no numbers");
}

static void losses_of_extreme_logits(void **state)
{
    (void)state;
    assert_true(token_loss((float[]){1e30f, 0}, 2, 0) == 0);
    assert_true(token_loss((float[]){1e4f, 0}, 2, 1) == 1e4);
    assert_true(fabs(token_loss((float[]){-1e30f, -1e30f}, 2, 1) - log(2)) < 1e-12);
    assert_true(token_loss((float[]){0, -INFINITY}, 2, 1) == INFINITY);
    assert_true(isnan(token_loss((float[]){NAN, 0}, 2, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(greedy_takes_the_first_of_the_largest),
        TEST(draws_follow_the_probabilities),
        TEST(filters_keep_the_likeliest),
        TEST(a_seed_repeats),
        TEST(prompts_are_read_in_chunks),
        TEST(no_new_tokens_means_reading_only),
        TEST(an_end_token_stops),
        TEST(the_context_ends_a_text),
        TEST(long_prompts_are_refused),
        TEST(an_empty_turn_goes_on),
        TEST(batches_give_the_same_texts),
        TEST(a_later_prompt_goes_on),
        TEST(failures_end_a_run),
        TEST(a_uniform_model_is_as_perplexed_as_its_vocabulary),
        TEST(windows_are_those_of_the_definition),
        TEST(batches_and_chunks_give_the_same_numbers),
        TEST(fewer_windows_on_demand),
        TEST(progress_reaches_the_end),
        TEST(perplexity_needs_a_window_and_numbers),
        TEST(losses_of_extreme_logits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
