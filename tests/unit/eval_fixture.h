// Calling the oracle on programs written as text, with weights that are easy to know.
#pragma once

#include "tests/unit/unit.h"

#include "compiler/eval/eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// ------------------------------------------------------------------ weights for the tests
//
// "table" of 2 x 2 doubles, planes with codes k % 4 and scales 0.5, 1, 1.5...,
// offsets -0.25; anything named "random" is drawn and quantized; "broken" fails.

static inline bool test_values(void *context, diagnostics *d, const ir_global *g, int64_t first,
                               int64_t count, double *out)
{
    (void)context;
    static const double table[] = {1, 2, 3, 4};
    if (strcmp(g->name, "broken") == 0) {
        diagnostic_error(d, NOWHERE, "weight 'broken' cannot be read");
        return false;
    }
    int64_t columns = g->value.type->dims[g->value.type->rank - 1].value;
    for (int64_t i = 0; i < count * columns; i++)
        out[i] = table[(first * columns + i) % 4];
    return true;
}

static inline void random_rows(quant_rows *out, int64_t first)
{
    float row[4096];
    random_stream r = random_seed(99);
    for (int64_t n = -first; n < out->n; n++) {
        for (int64_t k = 0; k < out->k; k++)
            row[k] = (float)random_normal(&r);
        if (n < 0)
            continue;
        quant_rows one = quant_rows_slice(out, n, 1);
        quant_quantize(row, &one);
    }
}

static inline bool test_canonical(void *context, diagnostics *d, const ir_global *g, int64_t first,
                                  int64_t count, quant_rows *out)
{
    (void)context, (void)d;
    if (strcmp(g->name, "random") == 0) {
        random_rows(out, first);
        return true;
    }
    for (int64_t i = 0; i < count * out->k; i++)
        out->codes[i] = (uint8_t)(i % out->k % (1 << out->format.planes));
    int64_t groups = quant_groups(&out->format, out->k);
    for (int64_t i = 0; i < count * groups; i++) {
        out->scale[i] = 0.5f * (float)(i % groups + 1);
        if (out->offset)
            out->offset[i] = -0.25f;
    }
    return true;
}

static const eval_weights test_weights = {NULL, test_values, test_canonical};

// ------------------------------------------------------------------ fixture

typedef struct fixture {
    arena *a;
    diagnostics *d;
    FILE *log;
    ir_module *m;
    evaluator *e;
} fixture;

static inline int set_up(void **state)
{
    static fixture f;
    f = (fixture){.a = arena_create(), .log = tmpfile()};
    f.d = diagnostics_create(f.log);
    *state = &f;
    return 0;
}

static inline int tear_down(void **state)
{
    fixture *f = *state;
    eval_destroy(f->e);
    diagnostics_destroy(f->d);
    arena_destroy(f->a);
    fclose(f->log);
    return 0;
}

static inline void load_with(fixture *f, const char *program, bool quantize_tables)
{
    eval_options options = {&test_weights, quantize_tables, 64};
    eval_destroy(f->e);
    f->m = ir_parse(f->a, f->d, diagnostics_source(f->d, "test.lir", program, strlen(program)));
    if (!f->m) {
        diagnostics_flush(f->d);
        char said[4096] = {0};
        rewind(f->log);
        if (fread(said, 1, sizeof said - 1, f->log))
            fail_msg("%s", said);
    }
    f->e = eval_create(f->d, f->m, &options);
}

static inline void load(fixture *f, const char *program)
{
    load_with(f, program, false);
}

// A function's body between a fixed head and tail; one result %y.
static inline void load_body(fixture *f, const char *globals, const char *arguments,
                             const char *result, const char *body)
{
    load(f,
         arena_format(f->a, "module \"t\"\n%s\nentry func @f(%s) -> (%s) {\n%s\n  return %%y\n}\n",
                      globals, arguments, result, body));
}

static inline named_array input(fixture *f, const char *name, scalar_type t, unsigned rank,
                                const int64_t *shape, const double *values)
{
    named_array x = {name, array_create(f->a, t, rank, shape)};
    for (int64_t i = 0; i < array_count(&x.value); i++)
        array_set(&x.value, i, values[i]);
    return x;
}
#define SHAPE(...)                                                                                 \
    (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define VALUES(...)                                                                                \
    (double[])                                                                                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static inline bool call(fixture *f, size_t n, const named_array *inputs, array *out)
{
    named_array outputs[4];
    bool ok = eval_call(f->e, f->a, f->m->functions, n, inputs, outputs);
    if (ok)
        *out = outputs[0].value;
    return ok;
}

static inline void assert_values(fixture *f, const array *x, int64_t count, const double *want)
{
    (void)f;
    assert_int_equal(array_count(x), count);
    for (int64_t i = 0; i < count; i++)
        if (!(array_get(x, i) == want[i] || (isnan(want[i]) && isnan(array_get(x, i)))))
            fail_msg("element %lld is %.17g, not %.17g", (long long)i, array_get(x, i), want[i]);
}

static inline void assert_said(fixture *f, const char *part)
{
    char said[4096] = {0};
    diagnostics_flush(f->d);
    rewind(f->log);
    said[fread(said, 1, sizeof said - 1, f->log)] = '\0';
    if (!strstr(said, part))
        fail_msg("expected '%s' in '%s'", part, said);
    rewind(f->log);
    if (ftruncate(fileno(f->log), 0) != 0)
        fail();
}
