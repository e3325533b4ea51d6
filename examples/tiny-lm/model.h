// The model: sizes, and its tensors as one table. BitNet b1.58: the matrices of the blocks are
// ternary with one scale each, everything that goes into them is rounded to 8 bits.
#pragma once

#include "support/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct model_sizes {
    int vocabulary, context;
    int dim, ffn, layers, heads, kv_heads;
} model_sizes;

static inline int head_size(const model_sizes *s)
{
    return s->dim / s->heads;
}
static inline int kv_size(const model_sizes *s)
{
    return head_size(s) * s->kv_heads;
}

#define NORM_EPSILON 1e-5f // of the last norm always, of the others as a rule

typedef enum tensor_kind {
    TENSOR_TERNARY, // values -1, 0, 1 and a scale
    TENSOR_HALF,    // f16
    TENSOR_FLOAT,   // f32
} tensor_kind;

// TENSOR(enumerator, name, rows, columns, kind); %d is the block; %.0d is nothing, of tensors that
// are there once
#define MODEL_TENSORS(TENSOR)                                                                      \
    TENSOR(ATTN_NORM, "blk.%d.attn_norm", 1, s->dim, TENSOR_FLOAT)                                 \
    TENSOR(ATTN_SUB_NORM, "blk.%d.attn_sub_norm", 1, s->dim, TENSOR_FLOAT)                         \
    TENSOR(FFN_NORM, "blk.%d.ffn_norm", 1, s->dim, TENSOR_FLOAT)                                   \
    TENSOR(FFN_SUB_NORM, "blk.%d.ffn_sub_norm", 1, s->ffn, TENSOR_FLOAT)                           \
    TENSOR(ATTN_Q, "blk.%d.attn_q", s->dim, s->dim, TENSOR_TERNARY)                                \
    TENSOR(ATTN_K, "blk.%d.attn_k", kv_size(s), s->dim, TENSOR_TERNARY)                            \
    TENSOR(ATTN_V, "blk.%d.attn_v", kv_size(s), s->dim, TENSOR_TERNARY)                            \
    TENSOR(ATTN_OUTPUT, "blk.%d.attn_output", s->dim, s->dim, TENSOR_TERNARY)                      \
    TENSOR(FFN_GATE, "blk.%d.ffn_gate", s->ffn, s->dim, TENSOR_TERNARY)                            \
    TENSOR(FFN_DOWN, "blk.%d.ffn_down", s->dim, s->ffn, TENSOR_TERNARY)                            \
    TENSOR(FFN_UP, "blk.%d.ffn_up", s->ffn, s->dim, TENSOR_TERNARY)                                \
    TENSOR(EMBEDDING, "token_embd%.0d", s->vocabulary, s->dim, TENSOR_HALF)                        \
    TENSOR(OUTPUT_NORM, "output_norm%.0d", 1, s->dim, TENSOR_FLOAT)

typedef enum tensor_role {
#define TENSOR(E, ...) E,
    MODEL_TENSORS(TENSOR)
#undef TENSOR
        ROLE_COUNT,
    BLOCK_ROLES = EMBEDDING, // those before are of each block
} tensor_role;

typedef struct tensor {
    char name[32]; // of the file, without ".weight"
    tensor_kind kind;
    int rows, columns;
    size_t first; // position of its values among all parameters
    float scale;  // TERNARY
} tensor;

typedef struct model {
    model_sizes sizes;
    tensor *tensors; // those of each block, then the others
    int tensor_count;
    size_t parameter_count;
    float epsilon; // of the norms in blocks
    bool exact;    // neither weights nor activations are rounded: for tests of gradients
    float *master; // what is trained; NULL: the model is only run
    float *values; // what the network computes with: -1, 0, 1 where TERNARY
} model;

model model_describe(arena *a, const model_sizes *sizes); // without memory for values
model model_create(arena *a, const model_sizes *sizes);   // values are zeros
tensor *model_tensor(const model *m, int layer, tensor_role role);
static inline float *model_values(const model *m, const tensor *t)
{
    return m->values + t->first;
}
// Master values to start from.
void model_initialize(arena *a, model *m, uint64_t seed);
// Values and scale of one tensor from its master values.
void model_round(model *m, tensor *t);
