// A model's entries called one after the other, with its states kept, for scripts:
//
//    model_session oracle GRAPH.lir WEIGHTS      model_session emulator MODEL.elf
//    model_session rounded GRAPH.lir WEIGHTS     the oracle, with table entries as the machine
//    rounds them
//
// A line of stdin is a call: ENTRY B T, then the B positions and the B * T tokens. The elements of
// its first result, in f32, go to stdout as they are in memory.
//
//    model_session tokens WEIGHTS FILE.txt
//
// The ids of a text, without those that mark its begin and end.
#include "compiler/eval/eval.h"
#include "compiler/import/import.h"
#include "isa/isa.h"
#include "runtime/host/host.h"
#include "support/file.h"
#include "support/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1 << 16, MOST_DIMS = 16 };

typedef struct session {
    arena *arena;
    diagnostics *diagnostics;
    // One of the two.
    ir_module *module;
    evaluator *evaluator;
    host_program *program;
} session;

typedef struct model_call {
    char entry[64];
    array tokens, positions;
} model_call;

// ------------------------------------------------------------------ calls as text

static bool read_numbers(array *out)
{
    for (int64_t i = 0; i < array_count(out); i++) {
        long long value;
        if (scanf("%lld", &value) != 1)
            return false;
        array_set(out, i, (double)value);
    }
    return true;
}

static bool read_call(arena *a, model_call *c)
{
    long long batch, count;
    if (scanf("%63s %lld %lld", c->entry, &batch, &count) != 3 || batch < 1 || count < 1 ||
        batch > MOST_TOKENS || count > MOST_TOKENS / batch)
        return false;
    c->positions = array_create(a, SCALAR_I32, 1, (int64_t[]){batch});
    c->tokens = array_create(a, SCALAR_I32, 2, (int64_t[]){batch, count});
    return read_numbers(&c->positions) && read_numbers(&c->tokens);
}

// ------------------------------------------------------------------ the oracle

static bool read_values(void *w, diagnostics *d, const ir_global *g, int64_t first, int64_t count,
                        double *out)
{
    return weights_values(w, d, g, first, count, out);
}

static bool read_canonical(void *w, diagnostics *d, const ir_global *g, int64_t first,
                           int64_t count, quant_rows *out)
{
    return weights_canonical(w, d, g, first, count, out);
}

static bool read_parts(void *w, diagnostics *d, const ir_global *g, uint8_t *part_of_block)
{
    return weights_parts(w, d, g, part_of_block);
}

static bool open_oracle(session *s, const char *path, const char *weights_spec, bool rounded)
{
    mapped_file f;
    weights *w = weights_open(s->arena, s->diagnostics, weights_spec);
    if (!w || !file_map(s->diagnostics, path, &f))
        return false;
    s->module = ir_parse(s->arena, s->diagnostics,
                         diagnostics_source(s->diagnostics, path, (const char *)f.data, f.size));
    file_unmap(&f);
    if (!s->module)
        return false;
    eval_weights *reader = ARENA_NEW(s->arena, eval_weights);
    *reader = (eval_weights){w, read_values, read_canonical, read_parts};
    machine m = {0};
    if (rounded && !machine_load(s->arena, s->diagnostics, s->module->machine, &m))
        return false;
    eval_options options = {reader, rounded, rounded ? machine_tile_depth(&m) : 0};
    s->evaluator = eval_create(s->diagnostics, s->module, &options);
    return true;
}

static bool call_oracle(session *s, arena *a, const model_call *c, array *out)
{
    const ir_function *f = ir_function_find(s->module, c->entry);
    const named_array inputs[] = {{"tokens", c->tokens}, {"pos", c->positions}};
    named_array outputs[4];
    if (!f || !eval_call(s->evaluator, a, f, 2, inputs, outputs))
        return false;
    *out = outputs[0].value;
    return true;
}

// ------------------------------------------------------------------ the emulator

static bool open_emulator(session *s, const char *path)
{
    s->program = host_open(s->arena, s->diagnostics, path);
    return s->program && host_load(s->program, &(host_options){0});
}

static bool call_emulator(session *s, arena *a, const model_call *c, array *out)
{
    const program_description *p = host_description(s->program);
    const program_entry *entry = host_choose_entry(s->program, c->entry);
    int64_t dims[MOST_DIMS];
    array inputs[2];
    if (!entry || entry->inputs.count != 2 || p->dim_count > MOST_DIMS)
        return false;
    for (size_t i = 0; i < p->dim_count; i++)
        dims[i] = c->tokens.shape[strcmp(p->dims[i].name, "T") == 0];
    for (size_t i = 0; i < 2; i++)
        inputs[i] = strcmp(entry->inputs.items[i].name, "pos") ? c->tokens : c->positions;
    host_call *call = host_call_create(s->program, entry, dims, inputs);
    if (!call)
        return false;
    host_outcome outcome = host_call_run(call, &(host_limits){0});
    if (outcome.end != HOST_RETURNED) {
        host_report_stop(s->program, &outcome, stderr);
        return false;
    }
    *out = host_call_output(call, a, 0);
    return true;
}

// ------------------------------------------------------------------ the session

static bool run_calls(session *s)
{
    bool ok = true;
    while (ok) {
        arena *a = arena_create();
        model_call c;
        array out;
        if (!read_call(a, &c)) {
            arena_destroy(a);
            return feof(stdin);
        }
        ok = (s->program ? call_emulator : call_oracle)(s, a, &c, &out) && out.type == SCALAR_F32 &&
             fwrite(out.data, sizeof(float), (size_t)array_count(&out), stdout) ==
                 (size_t)array_count(&out) &&
             fflush(stdout) == 0;
        arena_destroy(a);
    }
    return false;
}

// ------------------------------------------------------------------ tokens

static bool print_tokens(session *s, const char *weights_spec, const char *path)
{
    mapped_file f;
    token_list tokens = {0};
    weights *w = weights_open(s->arena, s->diagnostics, weights_spec);
    tokenizer *t =
        w ? tokenizer_from_metadata(s->arena, s->diagnostics, weights_spec, weights_metadata(w))
          : NULL;
    if (!t || !file_map(s->diagnostics, path, &f))
        return false;
    bool ok = tokenizer_encode(t, s->arena, s->diagnostics, (const char *)f.data, f.size,
                               (encode_options){0}, &tokens);
    file_unmap(&f);
    for (size_t i = 0; i < tokens.count; i++)
        printf("%u\n", tokens.items[i]);
    return ok;
}

static bool oracle_session(session *s, char **arguments)
{
    return open_oracle(s, arguments[0], arguments[1], false) && run_calls(s);
}

static bool rounded_session(session *s, char **arguments)
{
    return open_oracle(s, arguments[0], arguments[1], true) && run_calls(s);
}

static bool emulator_session(session *s, char **arguments)
{
    return open_emulator(s, arguments[0]) && run_calls(s);
}

static bool token_session(session *s, char **arguments)
{
    return print_tokens(s, arguments[0], arguments[1]);
}

static const struct {
    const char *name;
    int arguments;
    bool (*run)(session *s, char **arguments);
} commands[] = {
    {"oracle", 2, oracle_session},
    {"rounded", 2, rounded_session},
    {"emulator", 1, emulator_session},
    {"tokens", 2, token_session},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) || argc != 2 + commands[i].arguments)
            continue;
        session s = {.arena = arena_create(), .diagnostics = diagnostics_create(stderr)};
        bool ok = commands[i].run(&s, argv + 2);
        diagnostics_flush(s.diagnostics);
        eval_destroy(s.evaluator);
        host_close(s.program);
        diagnostics_destroy(s.diagnostics);
        arena_destroy(s.arena);
        return ok ? 0 : 1;
    }
    fputs("usage: model_session oracle|rounded GRAPH.lir WEIGHTS | emulator MODEL.elf | tokens "
          "WEIGHTS "
          "FILE.txt\n",
          stderr);
    return 2;
}
