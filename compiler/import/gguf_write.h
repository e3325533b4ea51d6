// Writing GGUF v3 files: small models for examples and tests. The data of all
// tensors is held in memory.
#pragma once

#include "support/arena.h"
#include "support/scalar.h"
#include "support/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct gguf_writer gguf_writer;

gguf_writer *gguf_writer_create(arena *a);
void gguf_put_text(gguf_writer *g, const char *key, const char *value);
void gguf_put_u32(gguf_writer *g, const char *key, uint32_t value);
void gguf_put_f32(gguf_writer *g, const char *key, float value);
void gguf_put_bool(gguf_writer *g, const char *key, bool value);
void gguf_put_texts(gguf_writer *g, const char *key, uint64_t count, const char *const *values);
void gguf_put_numbers(gguf_writer *g, const char *key, uint64_t count, const float *values);
void gguf_put_integers(gguf_writer *g, const char *key, uint64_t count, const int32_t *values);

// A tensor of the given row-major shape, as bytes of a GGUF type ("Q4_0"), which are copied.
void gguf_put_tensor(gguf_writer *g, const char *name, const char *type, unsigned rank,
                     const int64_t *shape, const void *data, size_t size);
// The same from floats, rounded to f32, f16 or bf16.
void gguf_put_floats(gguf_writer *g, const char *name, scalar_type type, unsigned rank,
                     const int64_t *shape, const float *values);

// Appends the whole file. The same calls in the same order give the same bytes.
void gguf_write(const gguf_writer *g, text *out);
