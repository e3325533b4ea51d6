// Weight sources: where a program's weights and metadata come from.
//
//   FILE.gguf (v2, v3), FILE.lutw (a packed file, docs/program.md), told apart by their
//   content; "random:SEED" (every weight exists, with the shape asked for); "none" (the same
//   without values: shapes only).
//
// Files are hostile: every count, offset, length and type is checked against the file before
// use, and nothing is allocated by a number that was not. Data stays in the mapped file; reading
// rows streams. All pointers live until weights_close or as long as the arena, whichever is less.
#pragma once

#include "compiler/ir/ir.h"
#include "compiler/quant/mix.h"
#include "support/metadata.h"

typedef struct weights weights;

typedef enum weights_kind {
    WEIGHTS_NONE,
    WEIGHTS_RANDOM,
    WEIGHTS_GGUF,
    WEIGHTS_PACKED
} weights_kind;

// NULL: reported, all bad tensors at once. `spec` as above; "-" is a file from stdin.
weights *weights_open(arena *a, diagnostics *d, const char *spec);
void weights_close(weights *w); // NULL is fine
// The same from memory, which must outlive the result.
weights *weights_parse(arena *a, diagnostics *d, const char *name, const void *data, size_t size);
// How rows become codes that are none yet; at first QUANT_CLIPPED.
void weights_quantize_by(weights *w, quant_method method);
weights_kind weights_kind_of(const weights *w);
const char *weights_name(const weights *w); // as the user wrote it

// --------------------------------------------------------------------- metadata

// NULL: no such key. Random and empty sources have no metadata of their own.
const meta_value *weights_meta(const weights *w, const char *key);
size_t weights_meta_count(const weights *w);
const meta_value *weights_meta_at(const weights *w, size_t index); // in file order
// The key nearest to `key` by spelling, for did-you-mean, or NULL.
const char *weights_meta_nearest(const weights *w, const char *key);
const metadata *weights_metadata(const weights *w); // all of it; may be empty
// Replaces and adds the keys of a JSON object: numbers, booleans, texts, and arrays of one of
// these. False: reported, and the source is as before.
bool weights_override_metadata(weights *w, diagnostics *d, const source *json);

// ---------------------------------------------------------------------- tensors

enum { WEIGHTS_MAX_RANK = 6 };

// A tensor type of GGUF files. One row per type (types.c); docs/weights.md says how to add one.
typedef struct weight_type weight_type;
struct weight_type {
    const char *name;
    uint32_t id;           // in the file
    uint32_t block, bytes; // weights and bytes of a block
    // The narrowest dense format that holds every value exactly, or f32 where none does.
    const char *dense;
    // Floats of whole blocks, rounded to nearest. NULL: not supported.
    void (*dequantize)(const weight_type *type, const uint8_t *blocks, int64_t count, float *out);
    // Types of blocks: each `group` weights share scale and offset, and w = scale * code + offset.
    uint32_t group;
    void (*codes)(const uint8_t *block, uint8_t *codes);
    void (*scales)(const uint8_t *block, float *scale, float *offset);
    // Types that are exactly a canonical form: that form, with scales in f32; and the formats that
    // `keep` tries, the first that is exact for the whole tensor wins. The function is false where
    // a block's values have no such form.
    const char *canonical;
    const char *keep[3];
    bool (*to_canonical)(const weight_type *type, const quant_format *format, const uint8_t *blocks,
                         int64_t count, uint8_t *codes, float *scale, float *offset);
};
extern const weight_type weight_types[]; // ended by a NULL name

typedef struct weights_tensor {
    const char *name;        // of the file; packed: of the weight in the program
    const char *origin;      // packed: the tensor it was made from, or NULL; otherwise the name
    const weight_type *type; // GGUF; NULL otherwise
    quant_format format;     // packed: of the bytes; otherwise the dense format that is exact
    const pack_mix *mix;     // packed in several formats; `format` then has nothing but their name
    unsigned rank;
    int64_t shape[WEIGHTS_MAX_RANK]; // row-major: [N, K]
    int64_t rows, columns;           // of the matrix of all but the last dimension and the last
    const uint8_t *data;             // NULL: random, none
    uint64_t size;
    uint64_t hash; // packed: XXH3 (64 bits) of the bytes
} weights_tensor;

size_t weights_count(const weights *w); // 0 for random and none
const weights_tensor *weights_at(const weights *w, size_t index);
// By the tensor's name in the file (packed: its origin, then its name); NULL: none.
const weights_tensor *weights_find(const weights *w, const char *name);
const char *weights_nearest(const weights *w, const char *name);

// The plane format that holds the tensor exactly (`--quant keep`), or NULL. Reads the tensor.
const char *weights_keep_format(const weights *w, const weights_tensor *t);
// The dense format of its type (`--quant none`): exact, or f32 (docs/weights.md).
const char *weights_dense_format(const weights_tensor *t);

// Rows first .. first + count as floats, streamed. False: reported (a weight is not finite).
bool weights_read_rows(const weights *w, diagnostics *d, const weights_tensor *t, int64_t first,
                       int64_t count, float *out);

// ------------------------------------------------------------- a program's weights

// The tensor that a weight global of the module is filled from; its rank and dimensions are
// those of the global (leading dimensions of 1 aside). False: reported at the global.
bool weights_resolve(const weights *w, diagnostics *d, const ir_global *g, weights_tensor *out);
// The format of a global: of its type, or its element type as a dense format. False: not decided
// yet ("w", "dense"), an element type without a format, or several formats.
bool weights_global_format(const ir_global *g, quant_format *out);
// The formats of a weight; false: not decided yet.
bool weights_global_mix(const ir_global *g, quant_mix *out);
// Which of them each block of rows has: those of the packed file, or those whose squared error is
// worth it, unless they were placed.
bool weights_parts(const weights *w, diagnostics *d, const ir_global *g, uint8_t *part_of_block);
void weights_place_parts(weights *w, const weights_tensor *t, const ir_global *g,
                         const uint8_t *part_of_block);

// Rows of a plane-format global (of several formats: rows that have that of `out`) exactly as they
// are packed: a row that the source holds in a canonical form which fits the format is converted
// exactly, every other one is quantized. `out` comes from quant_rows_create with the global's
// format, `count` and K.
bool weights_canonical(const weights *w, diagnostics *d, const ir_global *g, int64_t first,
                       int64_t count, quant_rows *out);
// From now on these are the rows of the tensor from `first` on in their format. They live as long
// as w.
void weights_place_rows(weights *w, const weights_tensor *t, int64_t first, const quant_rows *rows);
// The exact values of rows as packed, dense formats included (rounded to their type). The rows
// of a vector or tensor are those of the matrix of all but its last dimension; a scalar has one.
bool weights_values(const weights *w, diagnostics *d, const ir_global *g, int64_t first,
                    int64_t count, double *out);
// For `lutc inspect`: metadata, then tensors.
void weights_print(text *out, const weights *w);

// ------------------------------------------------------------ packed weight files

// Guest address of a packed file's first byte.
#define PACK_BASE UINT64_C(0x100000000)

// Gives every weight of the module its address and size, in order. False: reported (a format
// that cannot be packed for this tile shape, a size beyond 2^47).
bool pack_file_place(ir_module *m, diagnostics *d, pack_shape shape);
// Whether every weight is where pack_file_place puts it, as text from outside may not have it;
// false: reported.
bool pack_file_check(const ir_module *m, diagnostics *d, pack_shape shape);
// Bytes of the whole file for a module whose weights are placed.
uint64_t pack_file_size(const weights *w, const ir_module *m, pack_shape shape);
// What programs are compiled for: a hash of the weights' names, formats, shapes and places, and of
// the version of the layout for CPUs.
uint64_t pack_file_layout(const ir_module *m, pack_shape shape);
// Writes those bytes at the stream's position, strictly forward, one column tile in memory at a
// time, or those that stand beside each other. Weights that a packed source holds in the same
// format and tile shape are copied, their hashes checked. Metadata of the source is kept. False:
// reported, the output is incomplete.
bool pack_file_write(FILE *out, diagnostics *d, const weights *w, const ir_module *m,
                     pack_shape shape);
// Compares the hash of a packed tensor. False: reported.
bool weights_verify(const weights *w, diagnostics *d, const weights_tensor *t);
