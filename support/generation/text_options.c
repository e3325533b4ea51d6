// The options of text_run.h, and what they say together.
#include "support/generation/text_run.h"

#include <math.h>
#include <string.h>

const text_settings text_defaults = {.count = 128, .context = 0, .top_p = 1};

void text_option_rows(text_settings *s, option_row rows[TEXT_OPTIONS])
{
    enum { MOST_TOKENS = 1 << 20 };
    const option_row table[TEXT_OPTIONS] = {
        {"--prompt", "-p", OPTION_LIST, &s->prompts, "TEXT",
         "continue this text; several make a batch"},
        {"--prompt-file", NULL, OPTION_STRING, &s->prompt_file, "FILE",
         "continue the text in a file (- is stdin), without its last line end"},
        {"--interactive", NULL, OPTION_FLAG, &s->interactive, NULL,
         "continue each line of stdin, and remember what was before"},
        {"--predict", "-n", OPTION_INTEGER, &s->count, "N", "new tokens of each text (default 128)",
         0, MOST_TOKENS},
        {"--temperature", NULL, OPTION_NUMBER, &s->temperature, "X",
         "0 (default) takes the likeliest token, 1 draws by the model's probabilities"},
        {"--top-k", NULL, OPTION_INTEGER, &s->top_k, "K", "draw from the K likeliest (0: all)", 0,
         MOST_TOKENS},
        {"--top-p", NULL, OPTION_NUMBER, &s->top_p, "P",
         "draw from the likeliest that make up this share (default 1)"},
        {"--seed", NULL, OPTION_INTEGER, &s->seed, "N", "of the drawing (default 0)", 0, INT64_MAX},
        {"--ignore-eos", NULL, OPTION_FLAG, &s->ignore_end, NULL,
         "go on behind tokens that end a text"},
        {"--no-bos", NULL, OPTION_FLAG, &s->no_bos, NULL,
         "do not begin with the token that begins a text"},
        {"--show-special", NULL, OPTION_FLAG, &s->show_special, NULL,
         "show tokens that stand for no text, such as </s>"},
        {"--perplexity", NULL, OPTION_STRING, &s->perplexity, "FILE",
         "how well the text in a file is predicted"},
        {"--context", NULL, OPTION_INTEGER, &s->context, "N",
         "tokens of a window of --perplexity (default 512, or what the model has)", LEAST_WINDOW,
         MOST_TOKENS},
        {"--windows", NULL, OPTION_INTEGER, &s->windows, "N", "only the first N windows", 1,
         MOST_TOKENS}};
    memcpy(rows, table, sizeof table);
}

static bool continues(const text_settings *s)
{
    return s->prompts.count || s->prompt_file || s->interactive;
}

bool text_wanted(const text_settings *s)
{
    return continues(s) || s->perplexity;
}

static bool wrong(const char *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(const char *tool, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: error: ", tool);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

// Options that mean something only beside others.
static bool check_company(const char *tool, const text_settings *s)
{
    const struct {
        const char *name, *needed;
        bool given, allowed;
    } rows[] = {
#define PROMPT_ROW(name, given)                                                                    \
    {name, "--prompt, --prompt-file or --interactive", given, continues(s)}
        PROMPT_ROW("--predict", s->count != text_defaults.count),
        PROMPT_ROW("--temperature", s->temperature != text_defaults.temperature),
        PROMPT_ROW("--top-k", s->top_k != text_defaults.top_k),
        PROMPT_ROW("--top-p", s->top_p != text_defaults.top_p),
        PROMPT_ROW("--seed", s->seed != text_defaults.seed),
        PROMPT_ROW("--ignore-eos", s->ignore_end),
        PROMPT_ROW("--show-special", s->show_special),
        {"--no-bos", "--prompt or --perplexity", s->no_bos, text_wanted(s)},
        {"--context", "--perplexity", s->context != 0, s->perplexity},
        {"--windows", "--perplexity", s->windows != 0, s->perplexity},
#undef PROMPT_ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given && !rows[i].allowed)
            return wrong(tool, "%s means something only with %s", rows[i].name, rows[i].needed);
    return true;
}

bool text_check(const char *tool, const text_settings *s)
{
    if (!check_company(tool, s))
        return false;
    if (s->perplexity && continues(s))
        return wrong(tool, "--perplexity reads a text, it continues none: use it alone");
    if (s->prompt_file && s->prompts.count)
        return wrong(tool, "--prompt and --prompt-file: give one of them");
    if (s->interactive && s->prompts.count > 1)
        return wrong(tool, "--interactive continues one text, there are %zu prompts",
                     s->prompts.count);
    if (!(s->temperature >= 0 && s->temperature <= 1e6))
        return wrong(tool, "--temperature must be within 0..1e6");
    if (!(s->top_p > 0 && s->top_p <= 1))
        return wrong(tool, "--top-p must be above 0 and at most 1");
    return true;
}
