// quantize-weights: formats for the weights whose format is open.
#include "compiler/passes/graph.h"
#include "compiler/quant/mix.h"

#include <string.h>

// Without a rule: of 'w', and of 'dense'.
static const char fallback[] = "w4g32", dense_fallback[] = "f16";

// '*' stands for any run of characters.
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *resume = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == 0;
}

typedef struct format_rule {
    const char *pattern, *format;
} format_rule;
typedef ARRAY_OF(format_rule) format_rules;

static bool parse_rule(pass_context *c, const char *rule, format_rules *out)
{
    const char *equal = strchr(rule, '=');
    quant_mix mix;
    if (!equal || !quant_mix_parse(equal + 1, &mix)) {
        text grammar = {0};
        quant_format_list(&grammar);
        diagnostic_error(c->diagnostics, NOWHERE,
                         "'%s' is not a rule 'pattern=format' with a known format\n%s", rule,
                         text_string(&grammar));
        text_free(&grammar);
        return false;
    }
    format_rule r = {arena_string(c->arena, rule, (size_t)(equal - rule)), equal + 1};
    ARRAY_PUSH(c->arena, out, r);
    return true;
}

static bool parse_rules(pass_context *c, format_rules *out)
{
    bool good = true;
    for (const char *at = pass_argument_text(c, "rules"); *at;) {
        size_t length = strcspn(at, ";");
        good &= parse_rule(c, arena_string(c->arena, at, length), out);
        at += length + (at[length] == ';');
    }
    return good;
}

static const char *format_for(const format_rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->count; i++)
        if (matches(rules->items[i].pattern, name))
            return rules->items[i].format;
    return NULL;
}

bool pass_quantize_weights(ir_module *m, pass_context *c)
{
    format_rules rules = {0};
    if (!parse_rules(c, &rules))
        return false;
    for (ir_global *g = m->globals; g; g = g->next) {
        const ir_type *t = g->value.type;
        if (t->kind != IR_WEIGHT || !quant_format_is_open(t->format))
            continue;
        const char *format = format_for(&rules, g->name);
        const char *otherwise = strcmp(t->format, "dense") == 0 ? dense_fallback : fallback;
        if (format)
            pass_remark(c, REMARK_APPLIED, g->where, "'%s' becomes %s", g->name, format);
        else
            pass_remark(c, REMARK_NOTE, g->where, "'%s' becomes %s: no rule names it", g->name,
                        otherwise);
        g->value.type = ir_type_weight(m, format ? format : otherwise, t->rank, t->dims);
    }
    return true;
}
