// Splitting a text into the pieces that byte-level BPE works on, each model family in its way.
// The patterns are those that the families publish; \s is Unicode's White_Space there, but not
// in PCRE2, and is spelled out.
#include "support/tokenizer/internal.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#define S "\\p{White_Space}"
#define NOT_S "\\P{White_Space}"
#define SUFFIXES "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT_2                                                                                      \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" S "+(?!" NOT_S ")|" S "+"
// `digits` in a row are one piece.
#define LLAMA_3(digits)                                                                            \
    SUFFIXES "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*|" S       \
             "*[\\r\\n]+|" S "+(?!" NOT_S ")|" S "+"

enum { MOST_NAMES = 4, MOST_PATTERNS = 2 };

typedef struct pretokenizer_row {
    const char *names[MOST_NAMES];
    // Applied one after the other to the pieces of the one before; what a pattern does not match
    // is a piece as well.
    const char *patterns[MOST_PATTERNS];
    bool whole_pieces, add_bos;
} pretokenizer_row;

static const pretokenizer_row rows[] = {
    {{"gpt-2", "phi-2", "mpt", "olmo"}, {GPT_2}, false, false},
    {{"llama-bpe", "llama3", "llama-v3"}, {LLAMA_3("\\p{N}{1,3}")}, true, true},
    {{"qwen2", "deepseek-r1-qwen"}, {LLAMA_3("\\p{N}")}, false, false},
    {{"smollm", "starcoder", "refact", "command-r"}, {"\\p{N}", GPT_2}, false, false},
    {{"bloom"}, {" ?[^(" S "|.,!?…。，、।۔،)]+"}, false, false},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

struct pretokenizer {
    const pretokenizer_row *row;
    pcre2_code *patterns[MOST_PATTERNS];
};

bool pretokenizer_whole_pieces(const pretokenizer *p)
{
    return p->row->whole_pieces;
}

bool pretokenizer_adds_bos(const pretokenizer *p)
{
    return p->row->add_bos;
}

// -------------------------------------------------------------------------- creation

static void *allocate(size_t size, void *a)
{
    return arena_alloc(a, size);
}

static void release(void *block, void *a) // with the arena
{
    (void)block;
    (void)a;
}

static pcre2_general_context *memory_of(arena *a)
{
    return pcre2_general_context_create(allocate, release, a);
}

static pcre2_code *compile(arena *a, const char *pattern)
{
    int error;
    PCRE2_SIZE offset;
    pcre2_compile_context *context = pcre2_compile_context_create(memory_of(a));
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP, &error, &offset, context);
    if (!code)
        INTERNAL_ERROR("pattern '%s' is wrong at %zu (PCRE2 error %d)", pattern, offset, error);
    return code;
}

static const pretokenizer_row *find_row(const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        for (size_t n = 0; n < MOST_NAMES && rows[i].names[n]; n++)
            if (strcmp(rows[i].names[n], name) == 0)
                return &rows[i];
    return NULL;
}

static void report(arena *a, diagnostics *d, location where, const char *name)
{
    text list = {0};
    for (size_t i = 0; i < ROW_COUNT; i++)
        for (size_t n = 0; n < MOST_NAMES && rows[i].names[n]; n++)
            text_printf(&list, "%s%s", list.length ? ", " : "", rows[i].names[n]);
    if (name)
        diagnostic_error(d, where, "the pre-tokenizer %s is not known",
                         quoted(a, (token_bytes){name, strlen(name)}));
    else
        diagnostic_error(d, where, "the vocabulary does not say which pre-tokenizer it is for");
    diagnostic_note(d, where, "tokenizer.ggml.pre is expected to be one of: %s",
                    text_string(&list));
    text_free(&list);
}

const pretokenizer *pretokenizer_create(arena *a, diagnostics *d, location where, const char *name)
{
    const pretokenizer_row *row = name ? find_row(name) : NULL;
    if (!row) {
        report(a, d, where, name);
        return NULL;
    }
    pretokenizer *p = ARENA_NEW(a, pretokenizer);
    p->row = row;
    for (size_t i = 0; i < MOST_PATTERNS && row->patterns[i]; i++)
        p->patterns[i] = compile(a, row->patterns[i]);
    return p;
}

// ------------------------------------------------------------------------- splitting

typedef struct splitting {
    const pretokenizer *pretokenizer;
    pcre2_match_context *context;
    pcre2_match_data *match;
    piece_function *each;
    void *each_context;
} splitting;

// The next match in valid UTF-8; false: none.
static bool find(splitting *s, const pcre2_code *pattern, const char *input, size_t length,
                 size_t at, size_t *start, size_t *end)
{
    int result = pcre2_match(pattern, (PCRE2_SPTR)input, length, at, PCRE2_NO_UTF_CHECK, s->match,
                             s->context);
    if (result == PCRE2_ERROR_NOMATCH)
        return false;
    if (result < 0)
        INTERNAL_ERROR("PCRE2 error %d in a text of %zu bytes", result, length);
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(s->match);
    *start = found[0];
    *end = found[1];
    return true;
}

static void split(splitting *s, size_t stage, const char *input, size_t length)
{
    const pretokenizer *p = s->pretokenizer;
    if (!length)
        return;
    if (stage == MOST_PATTERNS || !p->patterns[stage]) {
        s->each(s->each_context, input, length);
        return;
    }
    size_t at = 0;
    for (size_t start, end; find(s, p->patterns[stage], input, length, at, &start, &end);
         at = end) {
        split(s, stage + 1, input + at, start - at);
        split(s, stage + 1, input + start, end - start);
    }
    split(s, stage + 1, input + at, length - at);
}

// Bytes at the beginning that are valid UTF-8 (or that are not).
static size_t run_length(const char *input, size_t length, bool valid)
{
    size_t at = 0;
    while (at < length) {
        int sequence = utf8_sequence(input + at, length - at);
        if ((sequence > 0) != valid)
            break;
        at += valid ? (size_t)sequence : 1;
    }
    return at;
}

void pretokenize(const pretokenizer *p, arena *scratch, const char *input, size_t length,
                 piece_function *each, void *context)
{
    pcre2_general_context *memory = memory_of(scratch);
    splitting s = {.pretokenizer = p,
                   .context = pcre2_match_context_create(memory),
                   .match = pcre2_match_data_create(1, memory),
                   .each = each,
                   .each_context = context};
    pcre2_set_match_limit(s.context, UINT32_MAX); // long runs of spaces; the time stays linear
    for (size_t at = 0; at < length;) {
        size_t valid = run_length(input + at, length - at, true);
        split(&s, 0, input + at, valid);
        at += valid;
        size_t invalid = run_length(input + at, length - at, false);
        if (invalid)
            each(context, input + at, invalid);
        at += invalid;
    }
}
