// What the tests of weights share: an arena, collected messages, small models.
#pragma once

#include "unit.h"

#include "compiler/import/gguf_write.h"
#include "compiler/import/import.h"
#include "support/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static arena *a;
static diagnostics *d;
static char *said;
static size_t said_length;
static FILE *talk;
static random_stream stream;

static inline int setup(void **state)
{
    (void)state;
    a = arena_create();
    talk = open_memstream(&said, &said_length);
    d = diagnostics_create(talk);
    stream = random_seed(1);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    diagnostics_destroy(d);
    fclose(talk);
    free(said);
    arena_destroy(a);
    return 0;
}

static inline const char *messages(void)
{
    diagnostics_flush(d);
    fflush(talk);
    return said;
}

#define assert_silent() assert_string_equal(messages(), "")

static inline weights *parsed(gguf_writer *g)
{
    text file = {0};
    gguf_write(g, &file);
    void *copy = arena_copy(a, file.data, file.length);
    weights *w = weights_parse(a, d, "test.gguf", copy, file.length);
    text_free(&file);
    if (!w)
        fail_msg("%s", messages());
    return w;
}

static inline ir_global *declare(ir_module *m, const char *name, const char *format, int64_t n,
                                 int64_t k)
{
    ir_dim dims[2] = {ir_dim_constant(n), ir_dim_constant(k)};
    return ir_global_create(m, IR_GLOBAL_WEIGHT, name, ir_type_weight(m, format, 2, dims), name,
                            NOWHERE);
}

static inline ir_global *declare_vector(ir_module *m, const char *name, scalar_type type, int64_t k)
{
    ir_dim dims[1] = {ir_dim_constant(k)};
    return ir_global_create(m, IR_GLOBAL_WEIGHT, name, ir_type_tensor(m, type, 1, dims), name,
                            NOWHERE);
}

static inline weights *small_model(void)
{
    gguf_writer *g = gguf_writer_create(a);
    float *values = ARENA_ARRAY(a, float, 150 * 70);
    for (int i = 0; i < 150 * 70; i++)
        values[i] = (float)random_normal(&stream);
    gguf_put_u32(g, "model.size", 70);
    gguf_put_floats(g, "up", SCALAR_F16, 2, (int64_t[]){150, 70}, values);
    gguf_put_floats(g, "norm", SCALAR_F32, 1, (int64_t[]){70}, values + 7);
    gguf_put_floats(g, "stacked", SCALAR_BF16, 3, (int64_t[]){2, 3, 5}, values);
    values[71] = INFINITY;
    gguf_put_floats(g, "broken", SCALAR_F32, 2, (int64_t[]){3, 70}, values);
    values[71] = 1e6f;
    gguf_put_floats(g, "large", SCALAR_F32, 2, (int64_t[]){3, 70}, values);
    return parsed(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
