// A library as a language model: its entries behind the callbacks of support/generation.
#include "runtime/library/library.h"

typedef struct language {
    arena *arena;
    library *library;
    model_contract contract;
    int64_t *dims;
    float *logits;
    size_t room; // of rows of them
} language;

// ------------------------------------------------------------------------- signature

static signature_value signature_of_value(const lutra_value *v)
{
    signature_value out = {v->name, v->type, (unsigned)v->rank, {{0}}};
    for (unsigned i = 0; i < out.rank; i++)
        out.shape[i] = (signature_extent){v->shape[i].value, (int)v->shape[i].dim};
    return out;
}

static signature_list signature_of(arena *a, const lutra_value *values, size_t count)
{
    signature_value *items = ARENA_ARRAY(a, signature_value, count);
    for (size_t i = 0; i < count; i++)
        items[i] = signature_of_value(&values[i]);
    return (signature_list){items, count};
}

static signature_list signature_of_states(arena *a, const lutra_program *p)
{
    signature_value *items = ARENA_ARRAY(a, signature_value, p->state_count);
    for (size_t i = 0; i < p->state_count; i++)
        items[i] = signature_of_value(&p->states[i].value);
    return (signature_list){items, p->state_count};
}

static program_signature describe(arena *a, const lutra_program *p)
{
    signature_dim *dims = ARENA_ARRAY(a, signature_dim, p->dim_count);
    signature_entry *entries = ARENA_ARRAY(a, signature_entry, p->entry_count);
    for (size_t i = 0; i < p->dim_count; i++)
        dims[i] = (signature_dim){p->dims[i].name, p->dims[i].minimum, p->dims[i].maximum};
    for (size_t i = 0; i < p->entry_count; i++) {
        const lutra_entry *e = &p->entries[i];
        entries[i] = (signature_entry){e->name, signature_of(a, e->inputs, e->input_count),
                                       signature_of(a, e->outputs, e->output_count)};
    }
    return (program_signature){p->name, dims,           p->dim_count,
                               entries, p->entry_count, signature_of_states(a, p)};
}

// ----------------------------------------------------------------------------- calls

static void set_dims(language *l, const contract_entry *e, size_t batch, size_t count)
{
    const lutra_program *p = library_program(l->library);
    for (size_t i = 0; i < p->dim_count; i++)
        l->dims[i] = p->dims[i].minimum;
    if (e->batch_dim >= 0)
        l->dims[e->batch_dim] = (int64_t)batch;
    if (e->token_dim >= 0)
        l->dims[e->token_dim] = (int64_t)count;
}

static uint64_t word(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

static void make_room(language *l, size_t rows)
{
    if (rows <= l->room)
        return;
    l->logits = ARENA_ARRAY(l->arena, float, rows * l->contract.vocabulary);
    l->room = rows;
}

static const float *run(language *l, const contract_entry *e, size_t batch, size_t count,
                        const int32_t *tokens, const int32_t *positions, size_t rows)
{
    make_room(l, rows);
    uint64_t inputs[2], outputs[1] = {word(l->logits)};
    set_dims(l, e, batch, count);
    inputs[e->tokens] = word(tokens);
    inputs[e->positions] = e->batched ? word(positions) : (uint64_t)(int64_t)positions[0];
    return library_call(l->library, e->index, l->dims, inputs, outputs) ? l->logits : NULL;
}

static const float *forward(void *context, size_t batch, size_t count, const int32_t *tokens,
                            const int32_t *positions)
{
    language *l = context;
    return run(l, &l->contract.forward, batch, count, tokens, positions, batch);
}

static const float *score(void *context, size_t batch, size_t count, const int32_t *tokens,
                          const int32_t *positions)
{
    language *l = context;
    return run(l, &l->contract.score, batch, count, tokens, positions, batch * count);
}

static void reset(void *context)
{
    library_reset(((language *)context)->library);
}

bool library_language(arena *a, diagnostics *d, library *from, language_model *out)
{
    language *l = ARENA_NEW(a, language);
    const lutra_program *p = library_program(from);
    program_signature signature = describe(a, p);
    *l = (language){.arena = a, .library = from, .dims = ARENA_ARRAY(a, int64_t, p->dim_count)};
    if (!model_contract_find(a, d, &signature, &l->contract))
        return false;
    *out = (language_model){.vocabulary = l->contract.vocabulary,
                            .context_length = l->contract.context_length,
                            .largest_batch = l->contract.largest_batch,
                            .largest_tokens = l->contract.largest_tokens,
                            .context = l,
                            .forward = forward,
                            .score = l->contract.score.name ? score : NULL,
                            .reset = reset};
    return true;
}
