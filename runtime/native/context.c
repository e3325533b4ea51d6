// Contexts: their memory, and calls.
#include "runtime/native/team.h"

#include <string.h>

static size_t aligned(size_t size)
{
    return (size + LUTRA_ALIGNMENT - 1) / LUTRA_ALIGNMENT * LUTRA_ALIGNMENT;
}

static size_t word_count(const lutra_program *p)
{
    uint64_t most = 0;
    for (uint64_t i = 0; i < p->entry_count; i++) {
        uint64_t n = p->entries[i].input_count + p->entries[i].output_count;
        most = n > most ? n : most;
    }
    return (size_t)(p->dim_count + most);
}

// Where the parts of a context's memory begin.
typedef struct layout {
    size_t runs, words, workspace, scratch, end;
} layout;

static layout lay_out(const lutra_program *p, unsigned threads)
{
    layout l = {.runs = aligned(sizeof(lutra_context))};
    l.words = l.runs + aligned(threads * sizeof(lutra_run));
    l.workspace = l.words + aligned(word_count(p) * sizeof(uint64_t));
    l.scratch = l.workspace + aligned((size_t)p->workspace_size);
    l.end = l.scratch + threads * aligned((size_t)p->scratch_size);
    return l;
}

size_t lutra_context_size(const lutra_program *program, unsigned threads)
{
    if (program->abi != LUTRA_ABI || !threads || threads > program->most_threads)
        return 0;
    return lay_out(program, threads).end;
}

static void choose_level(lutra_context *c, uint64_t features)
{
    features &= lutra_cpu_features();
    for (unsigned i = 0; i < c->program->level_count; i++)
        if (!(c->program->levels[i].requires & ~features))
            c->level_index = i;
    c->level = &c->program->levels[c->level_index];
}

lutra_status lutra_start(lutra_context **out, const lutra_program *program, unsigned threads,
                         uint64_t features, void *memory, size_t size)
{
    *out = NULL;
    if (program->abi != LUTRA_ABI || !program->level_count)
        return LUTRA_BAD_PROGRAM;
    size_t needed = lutra_context_size(program, threads);
    if (!needed)
        return LUTRA_BAD_THREADS;
    if (!memory || size < needed || (uintptr_t)memory % LUTRA_ALIGNMENT)
        return LUTRA_BAD_MEMORY;
    layout l = lay_out(program, threads);
    char *base = memory;
    memset(base, 0, l.workspace);
    lutra_context *c = memory;
    c->program = program;
    c->threads = threads;
    c->runs = (lutra_run *)(base + l.runs);
    c->words = (uint64_t *)(base + l.words);
    choose_level(c, features);
    for (unsigned i = 0; i < threads; i++)
        c->runs[i] = (lutra_run){.words = c->words,
                                 .workspace = base + l.workspace,
                                 .rank = i,
                                 .ranks = threads,
                                 .scratch = base + l.scratch + i * aligned(program->scratch_size),
                                 .context = c};
    if (!team_start(c))
        return LUTRA_BAD_THREADS;
    *out = c;
    return LUTRA_OK;
}

void lutra_stop(lutra_context *context)
{
    if (context)
        team_stop(context);
}

const lutra_level *lutra_level_of(const lutra_context *context)
{
    return context->level;
}

const char *lutra_message(const lutra_context *context)
{
    return context->message ? context->message : "";
}

int lutra_find_entry(const lutra_program *program, const char *name)
{
    for (uint64_t i = 0; i < program->entry_count; i++)
        if (!strcmp(program->entries[i].name, name))
            return (int)i;
    return -1;
}

int64_t lutra_count(const lutra_value *value, const int64_t *dims)
{
    int64_t count = 1;
    for (uint64_t i = 0; i < value->rank; i++) {
        const lutra_extent *s = &value->shape[i];
        int64_t size = s->value;
        if ((s->dim >= 0 && __builtin_mul_overflow(size, dims[s->dim], &size)) ||
            __builtin_mul_overflow(count, size, &count))
            return -1;
    }
    return count;
}

static lutra_status refuse(lutra_context *c, lutra_status status, const char *message)
{
    c->message = message;
    return status;
}

lutra_status lutra_call(lutra_context *context, unsigned entry, const void *weights, void *states,
                        const int64_t *dims, const uint64_t *inputs, const uint64_t *outputs)
{
    lutra_context *c = context;
    const lutra_program *p = c->program;
    c->message = NULL;
    if (entry >= p->entry_count)
        return refuse(c, LUTRA_BAD_CALL, "the program has no such entry");
    if (p->weights_size && !weights)
        return refuse(c, LUTRA_BAD_CALL, "the program needs its weights");
    if (p->state_size && !states)
        return refuse(c, LUTRA_BAD_CALL, "the program needs memory for its states");
    for (uint64_t i = 0; i < p->dim_count; i++)
        if (dims[i] < p->dims[i].minimum || dims[i] > p->dims[i].maximum)
            return refuse(c, LUTRA_BAD_CALL, "a dimension is out of its range");
    const lutra_entry *e = &p->entries[entry];
    uint64_t *w = c->words;
    memcpy(w, dims, p->dim_count * sizeof *w);
    memcpy(w + p->dim_count, inputs, e->input_count * sizeof *w);
    memcpy(w + p->dim_count + e->input_count, outputs, e->output_count * sizeof *w);
    for (unsigned i = 0; i < c->threads; i++) {
        c->runs[i].weights = weights;
        c->runs[i].states = states;
    }
    c->code = e->code[c->level_index];
    team_run(c);
    const char *reason = atomic_load(&c->reason);
    return reason ? refuse(c, LUTRA_STOPPED, reason) : LUTRA_OK;
}
