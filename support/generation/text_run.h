// Text in, text out, as the tools offer it: options, prompts, streams, what is said at the end.
// Shared by lutrun (the emulator) and `lutc eval` (the oracle).
#pragma once

#include "support/generation/perplexity.h"
#include "support/options.h"
#include "support/tokenizer/tokenizer.h"

#include <jansson.h>
#include <stdio.h>

typedef struct text_settings {
    option_values prompts;
    const char *prompt_file, *perplexity;
    long long count, top_k, seed, context, windows;
    double temperature, top_p;
    bool interactive, ignore_end, no_bos, show_special;
} text_settings;

extern const text_settings text_defaults;

enum { TEXT_OPTIONS = 14 };
// Fills `rows` with that many options, which set *s. Nothing behind them.
void text_option_rows(text_settings *s, option_row rows[TEXT_OPTIONS]);
// Whether any option asks for text; the others must come with one that does.
bool text_wanted(const text_settings *s);
// False: the options do not go together or are out of range; said on stderr as usage errors are.
bool text_check(const char *tool, const text_settings *s);

typedef struct text_report {
    bool is_perplexity;
    generation_counts counts;
    perplexity_result perplexity;
} text_report;

// Does what was asked for: texts go to stdout as they come, a perplexity when it is known. False:
// reported; *out says what was done until then.
bool text_run(arena *a, diagnostics *d, const text_settings *s, const language_model *m,
              const tokenizer *t, text_report *out);
// Tokens per second, and work per token where it is counted.
void text_report_print(const text_report *r, FILE *stream);
json_t *text_report_json(const text_report *r); // a new reference
