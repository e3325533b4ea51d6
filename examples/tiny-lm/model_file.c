#include "examples/tiny-lm/model_file.h"

#include "compiler/import/gguf_write.h"
#include "compiler/import/import.h"

#include <math.h>
#include <string.h>

enum { TQ2_0_WEIGHTS = 256, TQ2_0_BYTES = 66, MOSTLY_TQ2_0 = 37 };

static const char license[] = "Apache-2.0 WITH LLVM-exception";

static const char epsilon_key[] = "bitnet.attention.layer_norm_rms_epsilon";

// Keys that are sizes of the model: SIZE(key behind "bitnet.", value)
#define SIZES(SIZE)                                                                                \
    SIZE("context_length", context)                                                                \
    SIZE("embedding_length", dim)                                                                  \
    SIZE("block_count", layers)                                                                    \
    SIZE("feed_forward_length", ffn)                                                               \
    SIZE("attention.head_count", heads)                                                            \
    SIZE("attention.head_count_kv", kv_heads)                                                      \
    SIZE("vocab_size", vocabulary)

// ---------------------------------------------------------------------------- writing

static void put_sizes(gguf_writer *g, const model_sizes *s)
{
#define SIZE(key, field) gguf_put_u32(g, "bitnet." key, (uint32_t)s->field);
    SIZES(SIZE)
#undef SIZE
    gguf_put_u32(g, "bitnet.rope.dimension_count", (uint32_t)head_size(s));
    gguf_put_f32(g, epsilon_key, NORM_EPSILON);
}

static void put_vocabulary(gguf_writer *g, const bpe_vocabulary *v)
{
    gguf_put_text(g, "tokenizer.ggml.model", "llama");
    gguf_put_texts(g, "tokenizer.ggml.tokens", v->count, v->tokens);
    gguf_put_numbers(g, "tokenizer.ggml.scores", v->count, v->scores);
    gguf_put_integers(g, "tokenizer.ggml.token_type", v->count, v->types);
    gguf_put_u32(g, "tokenizer.ggml.bos_token_id", BPE_BOS);
    gguf_put_u32(g, "tokenizer.ggml.eos_token_id", BPE_EOS);
    gguf_put_u32(g, "tokenizer.ggml.unknown_token_id", BPE_UNKNOWN);
    gguf_put_bool(g, "tokenizer.ggml.add_bos_token", true);
}

// Codes 0, 1, 2 for -1, 0, 1: of each 128 weights four in a byte, 32 apart; then d in f16.
static void encode_block(const float *values, uint8_t *block)
{
    const uint16_t one = 0x3c00;
    memset(block, 0, TQ2_0_BYTES);
    for (int i = 0; i < TQ2_0_WEIGHTS; i++)
        block[i / 128 * 32 + i % 32] |= (uint8_t)((int)(values[i] + 1) << i % 128 / 32 * 2);
    memcpy(block + TQ2_0_WEIGHTS / 4, &one, sizeof one);
}

static void put_ternary(arena *a, gguf_writer *g, const model *m, const tensor *t)
{
    size_t blocks = (size_t)t->rows * (size_t)t->columns / TQ2_0_WEIGHTS;
    uint8_t *bytes = ARENA_ARRAY(a, uint8_t, blocks *TQ2_0_BYTES);
    if (t->columns % TQ2_0_WEIGHTS)
        INTERNAL_ERROR("%s: rows of %d weights are not whole blocks", t->name, t->columns);
    for (size_t i = 0; i < blocks; i++)
        encode_block(model_values(m, t) + i * TQ2_0_WEIGHTS, bytes + i * TQ2_0_BYTES);
    gguf_put_tensor(g, arena_format(a, "%s.weight", t->name), "TQ2_0", 2,
                    (int64_t[]){t->rows, t->columns}, bytes, blocks * TQ2_0_BYTES);
    gguf_put_floats(g, arena_format(a, "%s.scale", t->name), SCALAR_F32, 1, (int64_t[]){1},
                    &t->scale);
}

static void put_dense(arena *a, gguf_writer *g, const model *m, const tensor *t)
{
    bool vector = t->rows == 1;
    const int64_t shape[] = {vector ? t->columns : t->rows, t->columns};
    gguf_put_floats(g, arena_format(a, "%s.weight", t->name),
                    t->kind == TENSOR_HALF ? SCALAR_F16 : SCALAR_F32, vector ? 1 : 2, shape,
                    model_values(m, t));
}

void model_write(arena *a, const model *m, const bpe_vocabulary *v, text *out)
{
    gguf_writer *g = gguf_writer_create(a);
    gguf_put_text(g, "general.architecture", "bitnet");
    gguf_put_text(g, "general.name", "tiny-lm: short stories (ternary)");
    gguf_put_text(g, "general.license", license);
    gguf_put_u32(g, "general.file_type", MOSTLY_TQ2_0);
    gguf_put_u32(g, "general.quantization_version", 2);
    put_sizes(g, &m->sizes);
    put_vocabulary(g, v);
    for (int i = 0; i < m->tensor_count; i++)
        if (m->tensors[i].kind == TENSOR_TERNARY)
            put_ternary(a, g, m, &m->tensors[i]);
        else
            put_dense(a, g, m, &m->tensors[i]);
    gguf_write(g, out);
}

// ---------------------------------------------------------------------------- reading

typedef struct reader {
    arena *arena;
    diagnostics *diagnostics;
    const weights *weights;
    bool ok;
} reader;

static void refuse(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void refuse(reader *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    location where = {.source =
                          diagnostics_source(r->diagnostics, weights_name(r->weights), NULL, 0)};
    diagnostic_vreport(r->diagnostics, SEVERITY_ERROR, where, format, args);
    va_end(args);
    r->ok = false;
}

static int read_size(reader *r, const char *key)
{
    enum { LARGEST = 4096 };
    const meta_value *v = weights_meta(r->weights, key);
    if (v && v->kind == META_INTEGER && v->integer > 0 && v->integer <= LARGEST)
        return (int)v->integer;
    refuse(r, "metadata '%s' must be a number from 1 to %d", key, LARGEST);
    return 1;
}

static float read_epsilon(const reader *r)
{
    const meta_value *v = weights_meta(r->weights, epsilon_key);
    return v && v->kind == META_NUMBER ? (float)v->number : NORM_EPSILON;
}

static bool read_sizes(reader *r, model_sizes *s)
{
    const meta_value *architecture = weights_meta(r->weights, "general.architecture");
    if (!architecture || architecture->kind != META_TEXT || architecture->text.length != 6 ||
        memcmp(architecture->text.data, "bitnet", 6) != 0)
        refuse(r, "the architecture is not 'bitnet'");
#define SIZE(key, field) s->field = read_size(r, "bitnet." key);
    SIZES(SIZE)
#undef SIZE
    int size = s->dim / s->heads;
    if (s->dim % s->heads || s->heads % s->kv_heads || size < 2 || size & (size - 1))
        refuse(r, "heads of %d of %d elements, %d for keys, cannot be", s->heads, s->dim,
               s->kv_heads);
    return r->ok;
}

// Rows of the file's tensor as floats, if it has as many.
static void read_rows(reader *r, const char *name, int rows, int columns, float *out)
{
    const weights_tensor *t = weights_find(r->weights, name);
    if (!t || t->rows != rows || t->columns != columns)
        refuse(r, "tensor '%s' of shape [%d, %d] is missing", name, rows, columns);
    else if (!weights_read_rows(r->weights, r->diagnostics, t, 0, rows, out))
        r->ok = false;
}

static void read_tensor(reader *r, const model *m, tensor *t)
{
    read_rows(r, arena_format(r->arena, "%s.weight", t->name), t->rows, t->columns,
              model_values(m, t));
    if (t->kind == TENSOR_TERNARY)
        read_rows(r, arena_format(r->arena, "%s.scale", t->name), 1, 1, &t->scale);
}

// No more values than the file has.
static bool create_model(reader *r, const model_sizes *s, model *m)
{
    uint64_t count = 0;
    for (size_t i = 0; i < weights_count(r->weights); i++)
        count += (uint64_t)weights_at(r->weights, i)->rows *
                 (uint64_t)weights_at(r->weights, i)->columns;
    *m = model_describe(r->arena, s);
    m->epsilon = read_epsilon(r);
    if (m->parameter_count > count)
        refuse(r, "tensors are missing: %zu weights are needed, there are %llu", m->parameter_count,
               (unsigned long long)count);
    else
        m->values = ARENA_ARRAY(r->arena, float, m->parameter_count);
    return r->ok;
}

static bool read_all(reader *r, loaded_model *out)
{
    model_sizes sizes;
    if (!read_sizes(r, &sizes) || !create_model(r, &sizes, &out->model))
        return false;
    for (int i = 0; i < out->model.tensor_count; i++)
        read_tensor(r, &out->model, &out->model.tensors[i]);
    out->tokenizer = tokenizer_from_metadata(r->arena, r->diagnostics, weights_name(r->weights),
                                             weights_metadata(r->weights));
    if (out->tokenizer && tokenizer_count(out->tokenizer) != (size_t)sizes.vocabulary)
        refuse(r, "the vocabulary has %zu tokens, the model %d", tokenizer_count(out->tokenizer),
               sizes.vocabulary);
    return r->ok && out->tokenizer;
}

bool model_read(arena *a, diagnostics *d, const char *path, loaded_model *out)
{
    weights *w = weights_open(a, d, path);
    if (!w)
        return false;
    reader r = {a, d, w, true};
    bool good = read_all(&r, out);
    weights_close(w);
    return good;
}
