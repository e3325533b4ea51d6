// Trains the model, and shows what a trained one does: tiny_lm_train --help
#include "examples/tiny-lm/evaluate.h"
#include "examples/tiny-lm/train.h"
#include "support/file.h"
#include "support/options.h"

#include <math.h>
#include <string.h>

enum { VALIDATION_STORIES = 400 };

static const model_sizes sizes = {.vocabulary = 768,
                                  .context = 256,
                                  .dim = 256,
                                  .ffn = 256,
                                  .layers = 3,
                                  .heads = 8,
                                  .kv_heads = 4};

typedef struct arguments {
    const char *output, *sample, *reference, *prompt, *text;
    long long stories, count, steps, threads, seed;
    bool help;
} arguments;

// --------------------------------------------------------------------------- commands

static bool train_into(output_file *out, arena *a, diagnostics *d, const arguments *args)
{
    int threads = (int)args->threads, steps = (int)args->steps;
    corpus c = corpus_create(a, d, (uint64_t)args->seed, (size_t)sizes.vocabulary);
    if (!c.tokenizer)
        return false;
    model_sizes actual = sizes;
    actual.vocabulary = (int)c.vocabulary.count;
    model m = model_create(a, &actual);
    training_settings settings = {
        .seed = (uint64_t)args->seed,
        .batch = 16,
        .shares = 8,
        .threads = threads,
        .optimizer = {.rate = 3e-3f, .decay = 0.05f, .clip = 1, .warmup = 40, .steps = steps},
        .log = stderr,
    };
    train(a, &m, &c, &settings);
    double loss = corpus_loss(a, &m, &c, CORPUS_VALIDATION, VALIDATION_STORIES, threads);
    printf("validation loss %.4f nats per token, perplexity %.3f\n", loss, exp(loss));
    text bytes = {0};
    model_write(a, &m, &c.vocabulary, &bytes);
    fwrite(bytes.data, bytes.length, 1, output_stream(out));
    text_free(&bytes);
    return true;
}

// Minutes of training are not to end with a file that cannot be opened.
static bool train_model(arena *a, diagnostics *d, const arguments *args)
{
    output_file *out = output_open(d, args->output);
    if (!out)
        return false;
    if (train_into(out, a, d, args))
        return output_commit(d, out);
    output_abandon(out);
    return false;
}

static void tell_stories(const arguments *args)
{
    for (long long i = 0; i < args->stories; i++) {
        text story = {0};
        corpus_story((uint64_t)args->seed, CORPUS_VALIDATION, (uint64_t)i, &story);
        printf("%s%s\n", i ? "\n" : "", text_string(&story));
        text_free(&story);
    }
}

static bool print_continuation(arena *a, diagnostics *d, const loaded_model *m,
                               const arguments *args, continuation *c)
{
    text out = {0};
    if (!continue_text(a, d, m, args->prompt, (int)args->count, c))
        return false;
    tokens_text(m->tokenizer, &c->tokens, &out);
    printf("%s\n", text_string(&out));
    text_free(&out);
    return true;
}

static bool sample(arena *a, diagnostics *d, const arguments *args)
{
    loaded_model m;
    continuation c;
    return model_read(a, d, args->sample, &m) && print_continuation(a, d, &m, args, &c);
}

static void print_tokens(const continuation *c)
{
    printf("tokens:");
    for (size_t i = 0; i < c->tokens.count; i++)
        printf(" %u", c->tokens.items[i]);
    printf("\nprompt tokens: %zu\nsmallest margin: %.4f\n", c->prompt, (double)c->margin);
}

static bool print_loss(arena *a, diagnostics *d, const loaded_model *m, const char *path)
{
    mapped_file file;
    text_loss loss;
    if (!file_map(d, path, &file))
        return false;
    bool good = measure_text(a, d, m, (const char *)file.data, file.size, &loss);
    file_unmap(&file);
    if (good)
        printf("text tokens: %zu\nmean loss: %.4f\nperplexity: %.4f\n", loss.tokens, loss.mean,
               loss.perplexity);
    return good;
}

// The lines of expected.txt.
static bool print_reference(arena *a, diagnostics *d, const arguments *args)
{
    loaded_model m;
    continuation c;
    if (!model_read(a, d, args->reference, &m))
        return false;
    printf("prompt: %s\ntext: ", args->prompt);
    if (!print_continuation(a, d, &m, args, &c))
        return false;
    print_tokens(&c);
    return !args->text || print_loss(a, d, &m, args->text);
}

// ------------------------------------------------------------------------------- main

static int task_count(const arguments *args)
{
    return (args->output != NULL) + (args->sample != NULL) + (args->reference != NULL) +
           (args->stories != 0);
}

static bool run(const arguments *args)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    bool good = true;
    if (args->stories)
        tell_stories(args);
    else if (args->sample)
        good = sample(a, d, args);
    else if (args->reference)
        good = print_reference(a, d, args);
    else
        good = train_model(a, d, args);
    diagnostics_destroy(d);
    arena_destroy(a);
    return good;
}

int main(int argc, char **argv)
{
    static const char synopsis[] = "-o FILE | --sample FILE | --reference FILE | --stories N";
    arguments args = {
        .prompt = "Once upon a time", .count = 100, .steps = 600, .threads = 2, .seed = 1};
    const option_row rows[] = {
        {"--output", "-o", OPTION_STRING, &args.output, "FILE", "train, and write the model"},
        {"--steps", NULL, OPTION_INTEGER, &args.steps, "N", "steps of training", 1, 1000000},
        {"--threads", NULL, OPTION_INTEGER, &args.threads, "N", "threads that train", 1, 64},
        {"--seed", NULL, OPTION_INTEGER, &args.seed, "N", "of stories and first weights", 0,
         1 << 30},
        {"--sample", NULL, OPTION_STRING, &args.sample, "FILE", "continue a text by a model"},
        {"--prompt", NULL, OPTION_STRING, &args.prompt, "TEXT", "the text to continue"},
        {"--count", "-n", OPTION_INTEGER, &args.count, "N", "new tokens at most", 0, 1 << 20},
        {"--reference", NULL, OPTION_STRING, &args.reference, "FILE", "the same, with token ids"},
        {"--text", NULL, OPTION_STRING, &args.text, "FILE", "and the loss over this text"},
        {"--stories", NULL, OPTION_INTEGER, &args.stories, "N", "print held-out stories", 1,
         1 << 20},
        {"--help", "-h", OPTION_FLAG, &args.help, NULL, "this text"},
        {0},
    };
    arena *a = arena_create();
    options_result result;
    bool good = options_parse("tiny_lm_train", rows, argc, argv, false, a, &result);
    size_t extra = result.positional.count;
    arena_destroy(a);
    if (good && args.help) {
        options_help("tiny_lm_train", synopsis, rows);
        return EXIT_OK;
    }
    if (!good || extra || task_count(&args) != 1) {
        if (good)
            fprintf(stderr, "usage: tiny_lm_train %s\n", synopsis);
        return EXIT_USAGE;
    }
    return run(&args) ? EXIT_OK : EXIT_USER_ERROR;
}
