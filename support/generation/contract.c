// Whether a program is a language model, and what is missing where it is none.
#include "support/generation/model.h"

#include "support/text.h"

#include <string.h>

enum { LARGEST_VOCABULARY = 1 << 28, LARGEST_CALL = 1 << 20 };

typedef struct checking {
    arena *arena;
    diagnostics *diagnostics;
    const program_signature *program;
    const signature_entry *entry;
    bool ok;
} checking;

__attribute__((format(printf, 2, 3))) static bool fail(checking *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    location where = {.source = diagnostics_source(c->diagnostics, c->program->program, NULL, 0)};
    diagnostic_vreport(c->diagnostics, SEVERITY_ERROR, where, format, args);
    va_end(args);
    return c->ok = false;
}

// ------------------------------------------------------------------------ printing

static void print_extent(text *out, const program_signature *p, const signature_extent *e)
{
    if (e->dim < 0)
        text_printf(out, "%lld", (long long)e->factor);
    else if (e->factor == 1)
        text_append(out, p->dims[e->dim].name);
    else
        text_printf(out, "%lld*%s", (long long)e->factor, p->dims[e->dim].name);
}

static const char *describe(const checking *c, const signature_value *v)
{
    text t = {0};
    text_append(&t, v->type);
    for (unsigned i = 0; i < v->rank; i++) {
        text_append(&t, i ? ", " : "[");
        print_extent(&t, c->program, &v->shape[i]);
    }
    if (v->rank)
        text_char(&t, ']');
    const char *copy = arena_string(c->arena, text_string(&t), t.length);
    text_free(&t);
    return copy;
}

static const char *list_values(const checking *c, const signature_list *list)
{
    text t = {0};
    for (size_t i = 0; i < list->count; i++)
        text_printf(&t, "%s%s: %s", i ? ", " : "", list->items[i].name,
                    describe(c, &list->items[i]));
    const char *copy = list->count ? arena_string(c->arena, t.data, t.length) : "none";
    text_free(&t);
    return copy;
}

static const char *list_entries(const checking *c)
{
    text t = {0};
    for (size_t i = 0; i < c->program->entry_count; i++)
        text_printf(&t, "%s%s", i ? ", " : "", c->program->entries[i].name);
    const char *copy = arena_string(c->arena, text_string(&t), t.length);
    text_free(&t);
    return copy;
}

// --------------------------------------------------------------------------- entries

static bool same_extent(const signature_extent *a, const signature_extent *b)
{
    return a->dim == b->dim && a->factor == b->factor;
}

// A dimension that may be 1, or the constant 1.
static bool check_extent(checking *c, const char *what, const signature_extent *e, int *dim)
{
    const signature_dim *d = e->dim < 0 ? NULL : &c->program->dims[e->dim];
    *dim = e->dim;
    if (e->factor != 1)
        return fail(c, "entry '%s': the number of %s must be a dimension or 1", c->entry->name,
                    what);
    if (d && (d->minimum > 1 || d->maximum < 1))
        return fail(
            c, "entry '%s': dimension '%s', the number of %s, is in %lld..%lld; texts need 1, too",
            c->entry->name, d->name, what, (long long)d->minimum, (long long)d->maximum);
    return true;
}

static const signature_value *find_input(checking *c, const char *name, const char *expected,
                                         size_t *index)
{
    const signature_list *list = &c->entry->inputs;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) {
            *index = i;
            return &list->items[i];
        }
    fail(c, "entry '%s' has no input '%s' (%s); its inputs: %s", c->entry->name, name, expected,
         list_values(c, list));
    return NULL;
}

static bool check_tokens(checking *c, const signature_value *v, contract_entry *out)
{
    if (strcmp(v->type, "i32") != 0 || v->rank < 1 || v->rank > 2)
        return fail(c, "entry '%s': input 'tokens' is %s, expected i32[B, T] or i32[T]",
                    c->entry->name, describe(c, v));
    out->batched = v->rank == 2;
    out->batch_dim = -1;
    bool batch = !out->batched || check_extent(c, "sequences", &v->shape[0], &out->batch_dim);
    return check_extent(c, "tokens", &v->shape[v->rank - 1], &out->token_dim) && batch;
}

static bool check_positions(checking *c, const signature_value *v, const signature_value *tokens)
{
    bool scalar = tokens->rank == 1;
    bool type = strcmp(v->type, "i32") == 0 || (scalar && strcmp(v->type, "index") == 0);
    if (type && v->rank == tokens->rank - 1 &&
        (scalar || same_extent(&v->shape[0], &tokens->shape[0])))
        return true;
    return fail(c, "entry '%s': input 'pos' is %s, expected i32%s: a position for each sequence",
                c->entry->name, describe(c, v), scalar ? "" : "[B]");
}

// One output: the extents of tokens (but the last, for `forward`), then the vocabulary.
static bool check_logits(checking *c, const signature_value *tokens, bool every, size_t *vocabulary)
{
    const signature_list *list = &c->entry->outputs;
    unsigned leading = every ? tokens->rank : tokens->rank - 1;
    const char *batch = tokens->rank == 2 ? "B, " : "";
    if (list->count != 1)
        return fail(c, "entry '%s' has %zu outputs, expected one: f32[%s%sV]", c->entry->name,
                    list->count, batch, every ? "T, " : "");
    const signature_value *v = &list->items[0];
    bool fits = strcmp(v->type, "f32") == 0 && v->rank == leading + 1;
    for (unsigned i = 0; fits && i < leading; i++)
        fits = same_extent(&v->shape[i], &tokens->shape[i]);
    const signature_extent *last = v->rank ? &v->shape[v->rank - 1] : NULL;
    if (!fits || last->dim >= 0 || last->factor < 1 || last->factor > LARGEST_VOCABULARY)
        return fail(c,
                    "entry '%s' gives %s, expected f32[%s%sV], a logit for each token of the "
                    "vocabulary",
                    c->entry->name, describe(c, v), batch, every ? "T, " : "");
    if (*vocabulary && *vocabulary != (size_t)last->factor)
        return fail(c, "entry '%s' gives %lld logits, but 'forward' gives %zu", c->entry->name,
                    (long long)last->factor, *vocabulary);
    *vocabulary = (size_t)last->factor;
    return true;
}

static void check_entry(checking *c, bool every, contract_entry *out, size_t *vocabulary)
{
    const signature_value *tokens = find_input(c, "tokens", "i32[B, T] or i32[T]", &out->tokens);
    const signature_value *positions = find_input(c, "pos", "i32[B] or i32", &out->positions);
    out->name = c->entry->name;
    out->index = (size_t)(c->entry - c->program->entries);
    for (size_t i = 0; i < c->entry->inputs.count; i++)
        if (tokens && positions && i != out->tokens && i != out->positions)
            fail(c, "entry '%s' has an input '%s' that is neither 'tokens' nor 'pos'",
                 c->entry->name, c->entry->inputs.items[i].name);
    if (tokens && check_tokens(c, tokens, out)) {
        if (positions)
            check_positions(c, positions, tokens);
        check_logits(c, tokens, every, vocabulary);
    }
}

static bool find_entry(checking *c, const char *name)
{
    c->entry = NULL;
    for (size_t i = 0; i < c->program->entry_count; i++)
        if (strcmp(c->program->entries[i].name, name) == 0)
            c->entry = &c->program->entries[i];
    return c->entry;
}

// ---------------------------------------------------------------------------- limits

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t largest(const checking *c, int dim)
{
    return dim < 0 ? 1 : smaller((size_t)c->program->dims[dim].maximum, LARGEST_CALL);
}

// The states that keep keys and values: [B, S, ..], where the first extent may be the most that B
// can be; without a batch [S, G, D].
static size_t state_positions(const checking *c, const contract_entry *e, const signature_value *v)
{
    if (v->rank < 3)
        return MODEL_UNLIMITED;
    const signature_extent *first = &v->shape[0], *places = e->batched ? &v->shape[1] : first;
    bool keeps = !e->batched || (first->dim < 0 ? first->factor == (int64_t)largest(c, e->batch_dim)
                                                : first->dim == e->batch_dim && first->factor == 1);
    return keeps && places->dim < 0 ? (size_t)places->factor : MODEL_UNLIMITED;
}

static void find_limits(const checking *c, model_contract *out)
{
    const contract_entry *used[] = {&out->forward, &out->score};
    out->context_length = MODEL_UNLIMITED;
    out->largest_batch = out->largest_tokens = LARGEST_CALL;
    for (size_t i = 0; i < 2; i++)
        if (used[i]->name) {
            out->largest_batch = smaller(out->largest_batch, largest(c, used[i]->batch_dim));
            out->largest_tokens = smaller(out->largest_tokens, largest(c, used[i]->token_dim));
        }
    for (size_t i = 0; i < c->program->states.count; i++)
        out->context_length = smaller(
            out->context_length, state_positions(c, &out->forward, &c->program->states.items[i]));
    out->largest_tokens = smaller(out->largest_tokens, out->context_length);
}

bool model_contract_find(arena *a, diagnostics *d, const program_signature *s, model_contract *out)
{
    checking c = {a, d, s, NULL, true};
    *out = (model_contract){0};
    if (!find_entry(&c, "forward"))
        return fail(&c,
                    "not a language model: it has no entry 'forward(tokens: i32[B, T], pos: "
                    "i32[B]) -> f32[B, V]'; its entries: %s",
                    list_entries(&c));
    check_entry(&c, false, &out->forward, &out->vocabulary);
    if (find_entry(&c, "score"))
        check_entry(&c, true, &out->score, &out->vocabulary);
    if (c.ok)
        find_limits(&c, out);
    if (c.ok && !out->context_length)
        fail(&c, "its states have no room for a token");
    return c.ok;
}
