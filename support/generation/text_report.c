#include "support/generation/text_run.h"

#include <math.h>

static double per(double amount, double of)
{
    return of > 0 ? amount / of : 0;
}

static void print_phase(const char *name, const generation_phase *p, FILE *stream)
{
    double tokens = (double)p->tokens;
    if (!p->tokens)
        return;
    fprintf(stream, "%-8s %8zu tokens in %8.3f s, %8.1f tokens/s", name, p->tokens, p->seconds,
            per(tokens, p->seconds));
    if (p->work.instructions)
        fprintf(stream, "; per token %.0f instructions, %.0f lmma, %.0f lookups",
                per((double)p->work.instructions, tokens), per((double)p->work.lmma, tokens),
                per((double)p->work.lookups, tokens));
    fputc('\n', stream);
}

void text_report_print(const text_report *r, FILE *stream)
{
    print_phase("prompt", &r->counts.prompt, stream);
    print_phase("decode", &r->counts.decode, stream);
    print_phase("text", &r->perplexity.work, stream);
}

// ------------------------------------------------------------------------------- JSON

// JSON has no infinities.
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *phase_json(const generation_phase *p)
{
    double tokens = (double)p->tokens;
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "tokens", (json_int_t)p->tokens, "seconds",
                     p->seconds, "tokens_per_second", per(tokens, p->seconds),
                     "instructions_per_token", per((double)p->work.instructions, tokens),
                     "lmma_per_token", per((double)p->work.lmma, tokens), "lookups_per_token",
                     per((double)p->work.lookups, tokens));
}

static json_t *perplexity_json(const perplexity_result *r)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:o, s:I, s:I}", "perplexity", number(r->perplexity),
                     "standard_error", number(r->standard_error), "windows", (json_int_t)r->windows,
                     "counted_tokens", (json_int_t)r->counted.count, "mean_loss",
                     number(r->mean_loss), "loss_tokens", (json_int_t)r->all.count, "loss_window",
                     (json_int_t)r->loss_window);
}

json_t *text_report_json(const text_report *r)
{
    if (r->is_perplexity)
        return json_pack("{s:o, s:o}", "perplexity", perplexity_json(&r->perplexity), "text",
                         phase_json(&r->perplexity.work));
    return json_pack("{s:o, s:o}", "prompt", phase_json(&r->counts.prompt), "decode",
                     phase_json(&r->counts.decode));
}
