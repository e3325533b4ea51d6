// lutc eval --prompt, --perplexity: the oracle as a language model.
#include "compiler/driver/driver.h"

#include "compiler/eval/eval.h"

typedef struct oracle {
    driver *d;
    evaluator *evaluator;
    arena *scratch; // of the last call
    arena_mark empty;
    const ir_function *forward, *score;
    model_contract contract;
} oracle;

// ----------------------------------------------------------------------- signature

static int dim_of(const ir_module *m, const ir_symbol *symbol)
{
    for (size_t i = 0; symbol && i < m->symbols.count; i++)
        if (m->symbols.items[i] == symbol)
            return (int)i;
    return -1;
}

static signature_value describe_value(const ir_module *m, const char *name, const ir_type *t)
{
    signature_value v = {name, scalar_rows[eval_scalar_of(t)].name, t->rank, {{0}}};
    if (t->kind == IR_INDEX)
        v.type = "index";
    for (unsigned i = 0; i < t->rank; i++)
        v.shape[i] = (signature_extent){t->dims[i].value, dim_of(m, t->dims[i].symbol)};
    return v;
}

static signature_list describe_inputs(arena *a, const ir_function *f)
{
    size_t count = f->body->arguments.count;
    signature_value *items = ARENA_ARRAY(a, signature_value, count);
    for (size_t i = 0; i < count; i++) {
        const ir_value *v = f->body->arguments.items[i];
        items[i] = describe_value(f->module, v->name ? v->name : "(unnamed)", v->type);
    }
    return (signature_list){items, count};
}

static signature_list describe_outputs(arena *a, const ir_function *f)
{
    signature_value *items = ARENA_ARRAY(a, signature_value, f->results.count);
    for (size_t i = 0; i < f->results.count; i++)
        items[i] = describe_value(f->module, eval_result_name(a, f, i), f->results.items[i]);
    return (signature_list){items, f->results.count};
}

static signature_list describe_states(arena *a, const ir_module *m)
{
    struct {
        signature_value *items;
        size_t count, capacity;
    } list = {0};
    for (const ir_global *g = m->globals; g; g = g->next)
        if (g->kind == IR_GLOBAL_STATE)
            ARRAY_PUSH(a, &list, describe_value(m, g->name, g->value.type));
    return (signature_list){list.items, list.count};
}

static program_signature describe(arena *a, const char *path, const ir_module *m)
{
    struct {
        signature_entry *items;
        size_t count, capacity;
    } entries = {0};
    signature_dim *dims = ARENA_ARRAY(a, signature_dim, m->symbols.count);
    for (size_t i = 0; i < m->symbols.count; i++) {
        const ir_symbol *s = m->symbols.items[i];
        dims[i] = (signature_dim){s->name, s->minimum, s->maximum};
    }
    for (const ir_function *f = m->functions; f; f = f->next)
        if (f->entry)
            ARRAY_PUSH(a, &entries,
                       (signature_entry){f->name, describe_inputs(a, f), describe_outputs(a, f)});
    return (program_signature){path,          dims,          m->symbols.count,
                               entries.items, entries.count, describe_states(a, m)};
}

// --------------------------------------------------------------------------- calls

static array tokens_array(const contract_entry *e, size_t batch, size_t count, const int32_t *data)
{
    array x = {.type = SCALAR_I32, .rank = e->batched ? 2 : 1, .data = (void *)data};
    x.shape[0] = (int64_t)(e->batched ? batch : count);
    x.shape[1] = (int64_t)(e->batched ? count : 0);
    return x;
}

// A position of its own is i32 or index.
static array positions_array(arena *a, const contract_entry *e, const ir_function *f, size_t batch,
                             const int32_t *data)
{
    if (e->batched)
        return (array){SCALAR_I32, 1, {(int64_t)batch}, (void *)data};
    const ir_type *type = f->body->arguments.items[e->positions]->type;
    array x = array_create(a, eval_scalar_of(type), 0, NULL);
    array_set(&x, 0, data[0]);
    return x;
}

void text_inputs(arena *a, const contract_entry *e, const ir_function *f, size_t batch,
                 size_t count, const int32_t *tokens, const int32_t *positions, named_array out[2])
{
    out[0] = (named_array){"tokens", tokens_array(e, batch, count, tokens)};
    out[1] = (named_array){"pos", positions_array(a, e, f, batch, positions)};
}

static const float *call(oracle *o, const contract_entry *e, const ir_function *f, size_t batch,
                         size_t count, const int32_t *tokens, const int32_t *positions)
{
    arena_restore(o->scratch, o->empty);
    named_array inputs[2], result;
    text_inputs(o->scratch, e, f, batch, count, tokens, positions, inputs);
    bool ok = eval_call(o->evaluator, o->scratch, f, 2, inputs, &result);
    return ok ? result.value.data : NULL;
}

static const float *forward(void *context, size_t batch, size_t count, const int32_t *tokens,
                            const int32_t *positions)
{
    oracle *o = context;
    return call(o, &o->contract.forward, o->forward, batch, count, tokens, positions);
}

static const float *score(void *context, size_t batch, size_t count, const int32_t *tokens,
                          const int32_t *positions)
{
    oracle *o = context;
    return call(o, &o->contract.score, o->score, batch, count, tokens, positions);
}

static void reset(void *context)
{
    eval_reset_states(((oracle *)context)->evaluator);
}

static language_model model_of(oracle *o)
{
    const model_contract *c = &o->contract;
    return (language_model){.vocabulary = c->vocabulary,
                            .context_length = c->context_length,
                            .largest_batch = c->largest_batch,
                            .largest_tokens = c->largest_tokens,
                            .context = o,
                            .forward = forward,
                            .score = c->score.name ? score : NULL,
                            .reset = reset};
}

// --------------------------------------------------------------------------- command

static tokenizer *find_tokenizer(driver *d)
{
    const metadata *m = weights_metadata(d->weights);
    if (m->values.count)
        return tokenizer_from_metadata(d->arena, d->diagnostics, weights_name(d->weights), m);
    diagnostic_error(d->diagnostics, NOWHERE,
                     "a text needs a vocabulary; give a model file that has one: "
                     "--weights FILE.gguf");
    return NULL;
}

tokenizer *find_language_model(driver *d, model_contract *out)
{
    program_signature signature = describe(d->arena, d->files.items[0], d->module);
    tokenizer *t = find_tokenizer(d);
    return model_contract_find(d->arena, d->diagnostics, &signature, out) ? t : NULL;
}

size_t context_length_of(driver *d)
{
    program_signature signature = describe(d->arena, d->files.items[0], d->module);
    char *unread = NULL;
    size_t size;
    FILE *stream = open_memstream(&unread, &size); // why it is none is not asked
    diagnostics *reasons = diagnostics_create(stream);
    model_contract c;
    bool found = model_contract_find(d->arena, reasons, &signature, &c);
    diagnostics_destroy(reasons);
    fclose(stream);
    free(unread);
    return found ? c.context_length : MODEL_UNLIMITED;
}

bool evaluate_text(driver *d, evaluator *e)
{
    oracle o = {.d = d, .evaluator = e};
    tokenizer *t = find_language_model(d, &o.contract);
    if (!t)
        return false;
    o.forward = ir_function_find(d->module, "forward");
    o.score = ir_function_find(d->module, "score");
    o.scratch = arena_create();
    o.empty = arena_save(o.scratch);
    language_model model = model_of(&o);
    text_report report;
    bool ok = text_run(d->arena, d->diagnostics, &d->text, &model, t, &report);
    diagnostics_flush(d->diagnostics);
    text_report_print(&report, stderr);
    arena_destroy(o.scratch);
    return ok;
}
