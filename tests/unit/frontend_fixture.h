// Programs of the language with a weight file beside them, compiled and looked at.
#pragma once

#include "tests/unit/unit.h"

#include "compiler/frontend/frontend.h"
#include "support/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ------------------------------------------------------------ a weight file of our own

typedef struct key_row {
    const char *key;
    frontend_meta value;
} key_row;

static const key_row keys[] = {
    {"llama.embedding_length", {FRONTEND_META_INTEGER, 64, 0, NULL}},
    {"llama.block_count", {FRONTEND_META_INTEGER, 2, 0, NULL}},
    {"llama.eps", {FRONTEND_META_NUMBER, 0, 1e-6, NULL}},
    {"llama.tied", {FRONTEND_META_BOOLEAN, 1, 0, NULL}},
    {"llama.broken", {FRONTEND_META_NUMBER, 0, NAN, NULL}},
    {"general.architecture", {FRONTEND_META_TEXT, 0, 0, "llama"}},
    {"tokenizer.ggml.tokens", {FRONTEND_META_ARRAY, 512, 0, NULL}},
};
enum { N_KEYS = sizeof keys / sizeof *keys };

typedef struct tensor_row {
    const char *name;
    frontend_tensor tensor;
} tensor_row;

static const tensor_row tensors[] = {
    {"token_embd.weight", {"F16", 2, {512, 64}}},
    {"output_norm.weight", {"F32", 1, {64}}},
    {"blk.0.attn_q.weight", {"F16", 2, {64, 64}}},
    {"blk.1.attn_q.weight", {"F16", 2, {64, 64}}},
    {"blk.0.attn_k.weight", {"F16", 2, {32, 64}}},
    {"blk.1.attn_k.weight", {"F16", 2, {32, 64}}},
    {"scale", {"F32", 2, {1, 1}}},
    {"blk.0.attn_q.bias", {"F32", 1, {64}}},
};
enum { N_TENSORS = sizeof tensors / sizeof *tensors };

static inline bool lookup(void *context, const char *key, frontend_meta *out)
{
    (void)context;
    for (size_t i = 0; i < N_KEYS; i++)
        if (!strcmp(keys[i].key, key)) {
            *out = keys[i].value;
            return true;
        }
    return false;
}

static inline bool tensor(void *context, const char *name, frontend_tensor *out)
{
    (void)context;
    for (size_t i = 0; i < N_TENSORS; i++)
        if (!strcmp(tensors[i].name, name)) {
            *out = tensors[i].tensor;
            return true;
        }
    return false;
}

static inline const char *nearest_key(void *context, const char *key)
{
    const char *names[N_KEYS];
    (void)context;
    for (size_t i = 0; i < N_KEYS; i++)
        names[i] = keys[i].key;
    return text_nearest(key, names, N_KEYS);
}

static inline const char *nearest_tensor(void *context, const char *name)
{
    const char *names[N_TENSORS];
    (void)context;
    for (size_t i = 0; i < N_TENSORS; i++)
        names[i] = tensors[i].name;
    return text_nearest(name, names, N_TENSORS);
}

static const frontend_metadata metadata = {
    .file = "m.gguf",
    .lookup = lookup,
    .tensor = tensor,
    .nearest_key = nearest_key,
    .nearest_tensor = nearest_tensor,
};

static inline const char *weight_format(void *context, const char *name,
                                        const frontend_tensor *file, int64_t n, int64_t k)
{
    (void)context;
    assert_true(n > 0 && k > 0);
    if (strstr(name, "wk"))
        return NULL;
    return file ? "w4g32" : "w2g64";
}

// ------------------------------------------------------------------------- the harness

typedef struct job {
    arena *arena;
    ir_module *module;
    text graph;     // printed, without locations
    char *messages; // as the user sees them
} job;

// "... // file:1:2" at the ends of lines goes.
static inline void strip_locations(text *t)
{
    char *to = t->data;
    for (char *s = t->data; s && *s;) {
        char *end = strchr(s, '\n'), *comment = strstr(s, "   // ");
        size_t length = (size_t)((comment && comment < end ? comment : end) - s);
        memmove(to, s, length);
        to += length;
        *to++ = '\n';
        s = end + 1;
    }
    if (to) {
        *to = '\0';
        t->length = (size_t)(to - t->data);
    }
}

static inline void check_round_trip(arena *a, diagnostics *d, const text *graph)
{
    text again = {0};
    const ir_module *m =
        ir_parse(a, d, diagnostics_source(d, "p.lir", text_string(graph), graph->length));
    assert_non_null(m);
    ir_print_module(&again, m);
    assert_string_equal(text_string(&again), text_string(graph));
    text_free(&again);
}

static inline job compile_with(const char *program, const frontend_options *options)
{
    job j = {.arena = arena_create()};
    size_t size;
    FILE *stream = open_memstream(&j.messages, &size);
    diagnostics *d = diagnostics_create(stream);
    const source *s = diagnostics_source(d, "p.lut", program, strlen(program));
    j.module = frontend_compile(j.arena, d, s, options);
    assert_int_equal(j.module == NULL, diagnostics_errors(d) > 0);
    if (j.module) {
        ir_print_module(&j.graph, j.module);
        check_round_trip(j.arena, d, &j.graph);
        strip_locations(&j.graph);
    }
    diagnostics_destroy(d);
    fclose(stream);
    return j;
}

static inline void finish(job *j)
{
    arena_destroy(j->arena);
    text_free(&j->graph);
    free(j->messages);
}

static inline void expect_graph(const char *program, const frontend_options *options,
                                const char *want)
{
    job j = compile_with(program, options);
    if (!j.module || !strstr(text_string(&j.graph), want))
        print_error("expected:\n%s\nin:\n%s\n%s\n", want, text_string(&j.graph), j.messages);
    assert_non_null(j.module);
    assert_non_null(strstr(text_string(&j.graph), want));
    finish(&j);
}

static inline void expect_error(const char *program, const frontend_options *options,
                                const char *want)
{
    job j = compile_with(program, options);
    if (j.module || !strstr(j.messages, want))
        print_error("expected:\n%s\nin:\n%s\n", want, j.messages);
    assert_null(j.module);
    assert_non_null(strstr(j.messages, want));
    finish(&j);
}

static const frontend_options with_file = {.metadata = &metadata};
#define MAIN "entry fn main(x: f16[4, D]) -> f16[4, D] { return x; }\n"
