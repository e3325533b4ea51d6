// --quant: which format each weight gets whose format is open ('w' or 'dense').
//
//    --quant w2g64,*.ffn_down=w4g32,blk.0.*=keep,head=w2_10%_w4
//
// A word alone is for all 'w'; of the patterns behind it ('*' stands for anything)
// the last one that fits counts: a weight's name, its tensor's, or that of a weight
// tied to it. keep: the file's values in a plane format if one holds them exactly,
// else dense. none: dense. A 'dense' weight is dense unless a pattern names it.
#include "compiler/driver/driver.h"

#include "compiler/quant/mix.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char fallback[] = "w4g32";

typedef struct rule {
    const char *pattern; // NULL: a word alone
    const char *format;
    bool open, any; // it names a weight of open format; any weight
} rule;
typedef ARRAY_OF(rule) rule_list;

// The format nearest to a name, or the word; NULL: none is near.
static const char *nearest_format(driver *d, const char *name)
{
    static const char *const ends[] = {"", "z", "f", "zf"};
    ARRAY_OF(const char *) names = {0};
    quant_format format;
    ARRAY_PUSH(d->arena, &names, "keep");
    ARRAY_PUSH(d->arena, &names, "none");
    for (size_t i = 0; quant_base_name(i); i++) {
        ARRAY_PUSH(d->arena, &names, quant_base_name(i));
        for (int group = 16; group <= 256; group *= 2)
            for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
                const char *whole =
                    arena_format(d->arena, "%sg%d%s", quant_base_name(i), group, ends[k]);
                if (quant_format_parse(whole, &format))
                    ARRAY_PUSH(d->arena, &names, whole);
            }
    }
    return text_nearest(name, names.items, names.count);
}

// "_10%" of a name; 0: it is none.
static double share_of(const char *part, size_t length)
{
    char *end;
    double share = *part == '_' ? strtod(part + 1, &end) : 0;
    return *part == '_' && *end == '%' && end + 1 == part + length && share > 0 ? share : 0;
}

// "w2_10%_w4": the shares of blocks as numbers of them in a matrix of n rows, their sums rounded,
// so that they are never more than there are; a format without blocks is left out. NULL: the shares
// are more than all.
static const char *with_blocks(driver *d, const char *name, int64_t n)
{
    text out = {0};
    double shares = 0;
    int64_t counted = 0;
    int64_t rows = d->machine.tile_n, blocks = rows ? (n + rows - 1) / rows : 0;
    for (size_t length; *name && shares <= 100; name += length) {
        length = 1 + strcspn(name + 1, "_");
        double share = share_of(name, length);
        shares += share;
        int64_t count = (int64_t)((double)blocks * shares / 100 + 0.5) - counted;
        counted += count;
        if (share == 0)
            text_printf(&out, "%.*s", (int)length, name);
        else if (count)
            text_printf(&out, "_%lldx%lld", (long long)count, (long long)rows);
        else if (name[length])
            length += 1 + strcspn(name + length + 1, "_");
    }
    const char *known = shares <= 100 ? ir_intern(d->module, text_string(&out)) : NULL;
    text_free(&out);
    return known;
}

static bool parse_format(driver *d, const char *name)
{
    quant_mix mix;
    const char *counted = strchr(name, '%') ? with_blocks(d, name, INT32_MAX) : name;
    if (!strcmp(name, "keep") || !strcmp(name, "none") ||
        (counted && quant_mix_parse(counted, &mix)))
        return true;
    if (!counted) {
        diagnostic_error(d->diagnostics, NOWHERE, "--quant: the shares of '%s' are more than 100%%",
                         name);
        return false;
    }
    const char *problem = quant_mix_problem(d->arena, counted);
    if (problem) {
        diagnostic_error(d->diagnostics, NOWHERE, "--quant: no mix of formats is '%s': %s", name,
                         problem);
        return false;
    }
    const char *nearest = nearest_format(d, name);
    diagnostic_error(d->diagnostics, NOWHERE,
                     "--quant: '%s' is not a weight format, 'keep' or 'none'; %s%s%s'lutc list "
                     "formats' has all formats",
                     name, nearest ? "did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'? " : "");
    return false;
}

// "FORMAT" or "PATTERN=FORMAT"; changes the word.
static bool parse_rule(driver *d, const char *spec, char *word, rule *out)
{
    char *equals = strchr(word, '=');
    *out = (rule){.format = word};
    if (equals) {
        *equals = '\0';
        *out = (rule){.pattern = word, .format = equals + 1};
    }
    if (*out->format && (!out->pattern || *out->pattern))
        return parse_format(d, out->format);
    diagnostic_error(d->diagnostics, NOWHERE,
                     "--quant: something is missing in '%s': expected FORMAT or PATTERN=FORMAT, "
                     "separated by commas",
                     spec);
    return false;
}

static bool parse_rules(driver *d, const char *spec, rule_list *out)
{
    for (const char *at = spec; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        rule r;
        if (!parse_rule(d, spec, arena_string(d->arena, at, strcspn(at, ",")), &r))
            return false;
        if (!r.pattern && out->count) {
            diagnostic_error(d->diagnostics, NOWHERE,
                             "--quant: '%s' would be for all weights, whatever stands before it: "
                             "put it first, once",
                             r.format);
            return false;
        }
        ARRAY_PUSH(d->arena, out, r);
    }
    return true;
}

static bool fits(const driver *d, const char *pattern, const ir_global *g)
{
    if (fnmatch(pattern, g->name, 0) == 0 || (g->source && !fnmatch(pattern, g->source, 0)))
        return true;
    for (size_t i = 0; i < d->tied.count; i++)
        if (!strcmp(d->tied.items[i].shared, g->name) &&
            fnmatch(pattern, d->tied.items[i].name, 0) == 0)
            return true;
    return false;
}

static bool is_dense(const ir_global *g)
{
    return strcmp(g->value.type->format, "dense") == 0;
}

// "": the default. A packed file holds what was decided when it was made.
static const char *find_rule(const driver *d, const rule_list *rules, const ir_global *g)
{
    bool packed = weights_kind_of(d->weights) == WEIGHTS_PACKED;
    const char *format = !is_dense(g) ? "" : packed ? "keep" : "none";
    for (size_t i = 0; i < rules->count; i++) {
        const char *pattern = rules->items[i].pattern;
        if (pattern ? fits(d, pattern, g) : !is_dense(g))
            format = rules->items[i].format;
    }
    return format;
}

// The format that keeps the tensor's values in planes, or NULL.
static const char *lossless_planes(driver *d, const weights_tensor *t)
{
    switch (weights_kind_of(d->weights)) {
    case WEIGHTS_GGUF: return weights_keep_format(d->weights, t);
    case WEIGHTS_PACKED:
        return t->format.planes || t->mix ? ir_intern(d->module, t->format.name) : NULL;
    default: return NULL; // no values: nothing to keep
    }
}

// Of the file's values; without a file, 'dense' is what most files have.
static const char *dense_format(driver *d, const ir_global *g, const weights_tensor *t)
{
    bool file = weights_kind_of(d->weights) == WEIGHTS_GGUF ||
                weights_kind_of(d->weights) == WEIGHTS_PACKED;
    return is_dense(g) && !file ? "f16" : ir_intern(d->module, weights_dense_format(t));
}

static const char *format_for(driver *d, const rule_list *rules, const ir_global *g)
{
    const char *format = find_rule(d, rules, g);
    bool keep = !strcmp(format, "keep"), none = !strcmp(format, "none");
    if (*format && !keep && !none)
        return format;
    weights_tensor t;
    if (!weights_resolve(d->weights, d->diagnostics, g, &t))
        return NULL;
    const char *planes = none ? NULL : lossless_planes(d, &t);
    if (planes)
        return planes;
    if (keep && !is_dense(g))
        ARRAY_PUSH(d->arena, &d->unplaned, g);
    return keep || none ? dense_format(d, g, &t) : fallback;
}

static void note_uses(const driver *d, const ir_global *g, bool open, rule_list *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        rule *r = &rules->items[i];
        if (!r->pattern || (r->any && !open) || !fits(d, r->pattern, g))
            continue;
        r->any = true;
        r->open = r->open || open;
    }
}

static const char *nearest_weight(driver *d, const char *pattern)
{
    ARRAY_OF(const char *) names = {0};
    for (const ir_global *g = d->module->globals; g; g = g->next)
        if (g->kind == IR_GLOBAL_WEIGHT)
            ARRAY_PUSH(d->arena, &names, g->name);
    for (size_t i = 0; i < d->tied.count; i++)
        ARRAY_PUSH(d->arena, &names, d->tied.items[i].name);
    return text_nearest(pattern, names.items, names.count);
}

// A pattern that decides nothing is a mistake more often than not.
static void warn_of_idle(driver *d, const rule_list *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        const rule *r = &rules->items[i];
        if (!r->pattern || r->open)
            continue;
        const char *nearest = r->any ? NULL : nearest_weight(d, r->pattern);
        diagnostic_warning(d->diagnostics, NOWHERE, "--quant: '%s' names %s%s%s%s", r->pattern,
                           r->any ? "only weights whose format the program declares" : "no weight",
                           nearest ? "; did you mean '" : "", nearest ? nearest : "",
                           nearest ? "'?" : "");
    }
}

static void warn_of_decided(driver *d, const char *spec)
{
    diagnostic_warning(d->diagnostics, (location){.source = d->module->text},
                       "--quant %s decides nothing: the module says the formats of all weights; "
                       "give it when the .lut is compiled",
                       spec);
}

bool choose_formats(driver *d, const char *spec)
{
    rule_list rules = {0};
    bool ok = parse_rules(d, spec, &rules), any_open = false;
    for (ir_global *g = d->module->globals; ok && g; g = g->next) {
        const ir_type *t = g->value.type;
        bool open = t->kind == IR_WEIGHT && quant_format_is_open(t->format);
        any_open = any_open || open;
        if (g->kind == IR_GLOBAL_WEIGHT)
            note_uses(d, g, open, &rules);
        const char *format = open ? format_for(d, &rules, g) : NULL;
        if (format && strchr(format, '%') && t->rank)
            format = with_blocks(d, format, t->dims[0].value);
        if (format)
            g->value.type = ir_type_weight(d->module, format, t->rank, t->dims);
    }
    if (ok && rules.count && !any_open && d->is_module)
        warn_of_decided(d, spec);
    else if (ok)
        warn_of_idle(d, &rules);
    return ok && !diagnostics_errors(d->diagnostics);
}
