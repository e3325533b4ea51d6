// --quant: which format each weight gets whose format is open ('w').
//
//    --quant w2g64,*.ffn_down=w4g32,blk.0.*=keep
//
// The first word is for all; of the patterns behind it ('*' stands for anything)
// the last one that fits a weight's name or its tensor's counts. keep: the file's
// values in a plane format if one holds them exactly, else dense. none: dense.
#include "compiler/driver/driver.h"

#include <fnmatch.h>
#include <string.h>

static const char fallback[] = "w4g32";

typedef struct rule {
    const char *pattern, *format; // format "": the default
} rule;
typedef ARRAY_OF(rule) rule_list;

static bool parse_format(driver *d, const char *name)
{
    quant_format format;
    if (!strcmp(name, "keep") || !strcmp(name, "none") || quant_format_parse(name, &format))
        return true;
    text known = {0};
    quant_format_list(&known);
    diagnostic_error(d->diagnostics, NOWHERE,
                     "--quant: '%s' is not a weight format, 'keep' or 'none'\n%s", name,
                     text_string(&known));
    text_free(&known);
    return false;
}

static bool parse_rules(driver *d, const char *spec, rule_list *out)
{
    ARRAY_PUSH(d->arena, out, (rule){"*", ""});
    for (const char *at = spec; at && *at;) {
        size_t length = strcspn(at, ",");
        char *word = arena_string(d->arena, at, length), *equals = strchr(word, '=');
        rule r = {"*", word};
        if (equals) {
            *equals = '\0';
            r = (rule){word, equals + 1};
        }
        if (!parse_format(d, r.format))
            return false;
        ARRAY_PUSH(d->arena, out, r);
        at += length + (at[length] == ',');
    }
    return true;
}

static const char *find_rule(const rule_list *rules, const ir_global *g)
{
    const char *format = "";
    for (size_t i = 0; i < rules->count; i++) {
        const char *pattern = rules->items[i].pattern;
        if (fnmatch(pattern, g->name, 0) == 0 || (g->source && !fnmatch(pattern, g->source, 0)))
            format = rules->items[i].format;
    }
    return format;
}

// The format that keeps the tensor's values in planes, or NULL.
static const char *lossless_planes(driver *d, const weights_tensor *t)
{
    switch (weights_kind_of(d->weights)) {
    case WEIGHTS_GGUF: return weights_keep_format(d->weights, t);
    case WEIGHTS_PACKED: return t->format.planes ? ir_intern(d->module, t->format.name) : NULL;
    default: return NULL; // no values: nothing to keep
    }
}

static const char *format_for(driver *d, const rule_list *rules, const ir_global *g)
{
    const char *format = find_rule(rules, g);
    bool keep = !strcmp(format, "keep"), none = !strcmp(format, "none");
    if (*format && !keep && !none)
        return format;
    weights_tensor t;
    if (!weights_resolve(d->weights, d->diagnostics, g, &t))
        return NULL;
    const char *planes = none ? NULL : lossless_planes(d, &t);
    if (planes)
        return planes;
    return keep || none ? ir_intern(d->module, weights_dense_format(&t)) : fallback;
}

bool choose_formats(driver *d, const char *spec)
{
    rule_list rules = {0};
    bool ok = parse_rules(d, spec, &rules);
    for (ir_global *g = d->module->globals; ok && g; g = g->next) {
        const ir_type *t = g->value.type;
        if (t->kind != IR_WEIGHT || strcmp(t->format, "w") != 0)
            continue;
        const char *format = format_for(d, &rules, g);
        if (format)
            g->value.type = ir_type_weight(d->module, format, t->rank, t->dims);
    }
    return ok && !diagnostics_errors(d->diagnostics);
}
