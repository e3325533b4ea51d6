// Key-value metadata as GGUF files hold it, and the frame it stands in: the header of a GGUF file,
// or a packed weight file, which keeps the pairs of the file that its weights came from
// (docs/program.md).
//
// Files are hostile: every count, length and type is checked against the bytes that are there.
// Values point into them.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct byte_reader byte_reader; // support/reader.h

typedef enum meta_kind { META_INTEGER, META_NUMBER, META_BOOLEAN, META_TEXT, META_ARRAY } meta_kind;

typedef struct meta_text { // UTF-8 as a rule, never guaranteed; not NUL-terminated
    const char *data;
    size_t length;
} meta_text;

typedef struct meta_value {
    const char *key;
    meta_kind kind;
    meta_kind element; // ARRAY: of what (never ARRAY)
    const char *type;  // as the file names it: "u32", "array of string"
    int64_t integer;   // INTEGER (64-bit ones beyond int64 are refused), BOOLEAN
    double number;     // NUMBER, and INTEGER as well
    meta_text text;    // TEXT
    uint64_t count;    // ARRAY
    const void *items; // private
    uint32_t item_type;
    const uint8_t *pair; // key, type and value as they stand in the file
    size_t pair_size;
} meta_value;

// Items of an ARRAY; index < count, and the element kind must fit.
int64_t meta_integer_at(const meta_value *v, uint64_t index);
double meta_number_at(const meta_value *v, uint64_t index);
meta_text meta_text_at(const meta_value *v, uint64_t index);

typedef struct metadata {
    ARRAY_OF(meta_value) values; // in file order
    const meta_value **by_key;   // sorted
    const uint8_t *data;         // the pairs as they stand in the file
    size_t size;
} metadata;

// `count` pairs at the reader into *m, which starts as zeros. False: reported.
bool metadata_parse(metadata *m, arena *a, byte_reader *r, uint64_t count);
// NULL: no such key.
const meta_value *metadata_find(const metadata *m, const char *key);
// The key nearest to `key` by spelling, for did-you-mean, or NULL.
const char *metadata_nearest(const metadata *m, arena *a, const char *key);

// The header of a GGUF file, versions 2 and 3, little-endian: the numbers of its tensors and of its
// pairs, which follow.
#define GGUF_MAGIC "GGUF"
typedef struct gguf_header {
    uint64_t tensors, pairs;
} gguf_header;
// Header and pairs of a whole file; where the reader stands then, tensors begin. False: reported.
bool gguf_metadata_read(arena *a, byte_reader *r, gguf_header *header, metadata *out);
