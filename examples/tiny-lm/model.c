#include "examples/tiny-lm/model.h"

#include "examples/tiny-lm/random.h"
#include "support/clones.h"
#include "support/scalar.h"

#include <math.h>
#include <string.h>

// ----------------------------------------------------------------------------- shapes

static void describe(const model_sizes *s, int layer, tensor_role role, tensor *t)
{
    switch (role) {
#define TENSOR(E, name_, rows_, columns_, kind_)                                                   \
    case E:                                                                                        \
        snprintf(t->name, sizeof t->name, name_, layer);                                           \
        t->rows = (rows_);                                                                         \
        t->columns = (columns_);                                                                   \
        t->kind = (kind_);                                                                         \
        break;
        MODEL_TENSORS(TENSOR)
#undef TENSOR
    case ROLE_COUNT: UNREACHABLE();
    }
}

tensor *model_tensor(const model *m, int layer, tensor_role role)
{
    int index = role < BLOCK_ROLES ? layer * BLOCK_ROLES + (int)role
                                   : m->sizes.layers * BLOCK_ROLES + (int)role - BLOCK_ROLES;
    return &m->tensors[index];
}

static void add_tensor(model *m, int layer, tensor_role role)
{
    tensor *t = model_tensor(m, layer, role);
    describe(&m->sizes, layer, role, t);
    t->first = m->parameter_count;
    t->scale = 1;
    m->parameter_count += (size_t)t->rows * (size_t)t->columns;
}

model model_describe(arena *a, const model_sizes *sizes)
{
    model m = {.sizes = *sizes, .epsilon = NORM_EPSILON};
    m.tensor_count = sizes->layers * BLOCK_ROLES + ROLE_COUNT - BLOCK_ROLES;
    m.tensors = ARENA_ARRAY(a, tensor, (size_t)m.tensor_count);
    for (int layer = 0; layer < sizes->layers; layer++)
        for (int role = 0; role < BLOCK_ROLES; role++)
            add_tensor(&m, layer, (tensor_role)role);
    for (int role = BLOCK_ROLES; role < ROLE_COUNT; role++)
        add_tensor(&m, 0, (tensor_role)role);
    return m;
}

model model_create(arena *a, const model_sizes *sizes)
{
    model m = model_describe(a, sizes);
    m.values = ARENA_ARRAY(a, float, m.parameter_count);
    return m;
}

// ----------------------------------------------------------------------------- values

static const float deviation[] = {
    [TENSOR_TERNARY] = 0.04f, [TENSOR_HALF] = 0.05f, [TENSOR_FLOAT] = 0};
static const float middle[] = {[TENSOR_TERNARY] = 0, [TENSOR_HALF] = 0, [TENSOR_FLOAT] = 1};

void model_initialize(arena *a, model *m, uint64_t seed)
{
    m->master = ARENA_ARRAY(a, float, m->parameter_count);
    for (int i = 0; i < m->tensor_count; i++) {
        const tensor *t = &m->tensors[i];
        random_stream r = random_create(seed, 1000, (uint64_t)i);
        size_t count = (size_t)t->rows * (size_t)t->columns;
        for (size_t j = 0; j < count; j++)
            m->master[t->first + j] =
                middle[t->kind] + deviation[t->kind] * (float)random_normal(&r);
    }
}

static const float smallest_scale = 1e-5f; // of matrices that are all zeros

static float mean_magnitude(const float *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += fabs((double)x[i]);
    return (float)(sum / (double)count);
}

static HOST_CLONES void round_ternary(const float *restrict x, size_t count, float scale,
                                      float *restrict to)
{
    const float magic = 0x1.8p23f; // adding it rounds to an integer, ties to even
    for (size_t i = 0; i < count; i++) {
        float q = x[i] / scale + magic - magic;
        q = q > 1 ? 1 : q;
        to[i] = q < -1 ? -1 : q;
    }
}

static void round_half(const float *x, size_t count, float *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = f16_to_float(f16_from_float(x[i]));
}

void model_round(model *m, tensor *t)
{
    size_t count = (size_t)t->rows * (size_t)t->columns;
    const float *from = m->master + t->first;
    float *to = model_values(m, t);
    if (m->exact || t->kind == TENSOR_FLOAT) {
        memcpy(to, from, count * sizeof *to);
    } else if (t->kind == TENSOR_HALF) {
        round_half(from, count, to);
    } else {
        t->scale = mean_magnitude(from, count) + smallest_scale;
        round_ternary(from, count, t->scale, to);
    }
}
