// A program as a language model: its entries behind the callbacks of support/generation.
#include "runtime/host/internal.h"

#include "runtime/host/refuse.h"

// An entry and the call that is kept for it, with room for `batch` x `count` tokens.
typedef struct kept_call {
    const contract_entry *entry;
    host_call *call;
    size_t batch, count;
} kept_call;

typedef struct language {
    host_language public;
    host_program *program;
    host_limits limits;
    model_contract contract;
    kept_call forward, score;
    int64_t *dims;
} language;

// ----------------------------------------------------------------------- signature

static signature_list signature_of(arena *a, const program_values *values)
{
    signature_value *items = ARENA_ARRAY(a, signature_value, values->count);
    for (size_t i = 0; i < values->count; i++) {
        const program_value *v = &values->items[i];
        items[i] = (signature_value){v->name, description_type_name(v), v->rank, {{0}}};
        for (unsigned k = 0; k < v->rank; k++)
            items[i].shape[k] = (signature_extent){v->shape[k].factor, v->shape[k].dim};
    }
    return (signature_list){items, values->count};
}

static program_signature describe(host_program *p)
{
    const program_description *d = &p->description;
    signature_dim *dims = ARENA_ARRAY(p->arena, signature_dim, d->dim_count);
    signature_entry *entries = ARENA_ARRAY(p->arena, signature_entry, d->entry_count);
    for (size_t i = 0; i < d->dim_count; i++)
        dims[i] = (signature_dim){d->dims[i].name, d->dims[i].minimum, d->dims[i].maximum};
    for (size_t i = 0; i < d->entry_count; i++)
        entries[i] =
            (signature_entry){d->entries[i].name, signature_of(p->arena, &d->entries[i].inputs),
                              signature_of(p->arena, &d->entries[i].outputs)};
    return (program_signature){p->path, dims,           d->dim_count,
                               entries, d->entry_count, signature_of(p->arena, &d->states)};
}

// --------------------------------------------------------------------------- calls

static void set_dims(language *l, const contract_entry *e, size_t batch, size_t count)
{
    for (size_t i = 0; i < l->program->description.dim_count; i++)
        l->dims[i] = l->program->description.dims[i].minimum;
    if (e->batch_dim >= 0)
        l->dims[e->batch_dim] = (int64_t)batch;
    if (e->token_dim >= 0)
        l->dims[e->token_dim] = (int64_t)count;
}

// The inputs of the entry; `position` holds what a scalar position has.
static void make_inputs(const contract_entry *e, const program_entry *entry, size_t batch,
                        size_t count, const int32_t *tokens, const int32_t *positions,
                        int64_t *position, array inputs[2])
{
    array *t = &inputs[e->tokens], *p = &inputs[e->positions];
    *t = (array){.type = SCALAR_I32, .rank = e->batched ? 2 : 1, .data = (void *)tokens};
    t->shape[0] = (int64_t)(e->batched ? batch : count);
    t->shape[1] = (int64_t)(e->batched ? count : 0);
    *position = positions[0];
    *p = (array){.type = entry->inputs.items[e->positions].type, .data = position};
    if (e->batched)
        *p = (array){
            .type = SCALAR_I32, .rank = 1, .shape = {(int64_t)batch}, .data = (void *)positions};
}

static const program_entry *entry_of(const language *l, const kept_call *k)
{
    return &l->program->description.entries[k->entry->index];
}

static bool make_room(language *l, kept_call *k, size_t batch, size_t count)
{
    if (k->call && batch <= k->batch && count <= k->count)
        return true;
    k->batch = batch > k->batch ? batch : k->batch;
    k->count = count > k->count ? count : k->count;
    set_dims(l, k->entry, k->batch, k->count);
    k->call = host_call_reserve(l->program, entry_of(l, k), l->dims);
    return k->call;
}

// What is left of the limits; at least so little that the next run ends soon.
static host_limits limits_left(const language *l)
{
    host_limits left = l->limits;
    const host_outcome *used = &l->public.outcome;
    if (left.instructions)
        left.instructions =
            used->longest < left.instructions ? left.instructions - used->longest : 1;
    if (left.seconds > 0)
        left.seconds = used->seconds < left.seconds ? left.seconds - used->seconds : 1e-9;
    return left;
}

static const float *run_call(language *l, kept_call *k, size_t batch, size_t count,
                             const int32_t *tokens, const int32_t *positions)
{
    array inputs[2];
    int64_t position;
    if (!make_room(l, k, batch, count))
        return NULL;
    set_dims(l, k->entry, batch, count);
    make_inputs(k->entry, entry_of(l, k), batch, count, tokens, positions, &position, inputs);
    if (!host_call_set(k->call, l->dims, inputs))
        return NULL;
    host_limits left = limits_left(l);
    host_outcome *all = &l->public.outcome, one = host_call_run(k->call, &left);
    all->end = one.end;
    all->exit_code = one.exit_code;
    all->instructions += one.instructions;
    all->longest += one.longest;
    all->seconds += one.seconds;
    if (one.end == HOST_RETURNED && l->limits.seconds > 0 && all->seconds >= l->limits.seconds)
        all->end = one.end = HOST_TIME_LIMIT;
    return one.end == HOST_RETURNED ? host_call_result(k->call, 0) : NULL;
}

static const float *forward(void *context, size_t batch, size_t count, const int32_t *tokens,
                            const int32_t *positions)
{
    language *l = context;
    l->forward.count = l->contract.largest_tokens; // prompts come in all lengths
    return run_call(l, &l->forward, batch, count, tokens, positions);
}

static const float *score(void *context, size_t batch, size_t count, const int32_t *tokens,
                          const int32_t *positions)
{
    language *l = context;
    return run_call(l, &l->score, batch, count, tokens, positions);
}

static void reset(void *context)
{
    host_reset_states(((language *)context)->program);
}

// What is at hand: counts of opcodes take a walk over all code.
static void count_work(void *context, model_work *out)
{
    const host_program *p = ((language *)context)->program;
    *out = (model_work){0};
    for (unsigned i = 0; i < p->hart_count; i++) {
        const hart *h = p->harts[i];
        out->instructions += h->retired;
        if (!h->lut)
            continue;
        out->lmma += h->lut->lmma_count;
        out->lookups += h->lut->counters.lookups;
    }
}

host_language *host_language_create(host_program *p, const host_limits *limits)
{
    language *l = ARENA_NEW(p->arena, language);
    program_signature signature = describe(p);
    if (!model_contract_find(p->arena, p->diagnostics, &signature, &l->contract))
        return NULL;
    const model_contract *c = &l->contract;
    l->program = p;
    l->limits = *limits;
    l->forward.entry = &c->forward;
    l->score.entry = &c->score;
    l->dims = ARENA_ARRAY(p->arena, int64_t, p->description.dim_count);
    l->public.model = (language_model){.vocabulary = c->vocabulary,
                                       .context_length = c->context_length,
                                       .largest_batch = c->largest_batch,
                                       .largest_tokens = c->largest_tokens,
                                       .context = l,
                                       .forward = forward,
                                       .score = c->score.name ? score : NULL,
                                       .reset = reset,
                                       .work = count_work};
    return &l->public;
}

static tokenizer *find_tokenizer(host_program *p)
{
    metadata m;
    if (!host_metadata(p, &m))
        return NULL;
    if (m.values.count)
        return tokenizer_from_metadata(p->arena, p->diagnostics, p->path, &m);
    refuse(p->diagnostics, host_where(p),
           "the program has no vocabulary: it was compiled without a model file; compile it with "
           "--weights FILE.gguf");
    return NULL;
}

bool host_run_text(host_program *p, const text_settings *settings, const host_limits *limits,
                   text_report *report, host_outcome *outcome)
{
    *report = (text_report){.is_perplexity = settings->perplexity};
    *outcome = (host_outcome){0};
    host_language *l = host_language_create(p, limits);
    tokenizer *t = find_tokenizer(p);
    if (!l || !t)
        return false;
    bool ok = text_run(p->arena, p->diagnostics, settings, &l->model, t, report);
    *outcome = l->outcome;
    return ok;
}
