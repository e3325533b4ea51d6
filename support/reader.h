// Bounded reading of bytes from outside: forward, little-endian, never beyond the end. After the
// first failure, which is reported with what was being read and where, everything fails.
#pragma once

#include "support/diagnostic.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read in place");

typedef struct byte_reader {
    const uint8_t *data;
    size_t size, at;
    diagnostics *diagnostics;
    location where;
    const char *what; // "tensor 3 of 10"
    bool failed;
} byte_reader;

static inline uint64_t read_left(const byte_reader *r)
{
    return r->size - r->at;
}
bool read_bytes(byte_reader *r, void *out, size_t count);
bool read_skip(byte_reader *r, uint64_t count, const uint8_t **start);
bool read_u32(byte_reader *r, uint32_t *out);
bool read_u64(byte_reader *r, uint64_t *out);
// A 64-bit length and that many bytes: a name, that is valid UTF-8 without NUL and not empty,
// as a NUL-terminated copy.
bool read_name(byte_reader *r, arena *a, const char **out);
// Reports what is wrong at this place; always false.
bool read_fail(byte_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool utf8_valid(const char *data, size_t length);
