// Private to import: an opened source.
#pragma once

#include "compiler/import/import.h"
#include "support/file.h"
#include "support/reader.h"

#include <assert.h>

// Learned codebooks that were needed before.
typedef struct learned_book learned_book;
struct learned_book {
    const char *tensor;
    const quant_codebook *format;
    int64_t group;
    float numbers[QUANT_BOOK];
    learned_book *next;
};

// Which blocks of a tensor's rows have which of a weight's formats (mixed.c).
typedef struct known_parts known_parts;

typedef struct learned_books {
    learned_book *first;
    known_parts *parts;
} learned_books;

// Rows of a tensor that were found otherwise.
typedef struct placed_rows placed_rows;
struct placed_rows {
    const char *tensor;
    int64_t first;
    quant_rows rows;
    placed_rows *next;
};

struct weights {
    learned_books *books;
    placed_rows *placed;
    weights_kind kind;
    const char *name;
    arena *arena;
    location where; // the file as a whole
    mapped_file file;
    bool mapped;
    uint64_t seed; // RANDOM
    quant_method method;
    pack_shape shape; // PACKED
    metadata meta;
    ARRAY_OF(weights_tensor) tensors;
    const weights_tensor **by_name, **by_origin; // sorted
};

// -------------------------------------------------------------------- the formats

// Each fills *w from the file's bytes; false: reported.
bool gguf_parse(weights *w, diagnostics *d, const uint8_t *data, size_t size);
bool packed_parse(weights *w, diagnostics *d, const uint8_t *data, size_t size);
// Sorts the tensors by name; false: reported, two have the same one.
bool tensors_index(weights *w, diagnostics *d);

// rows, columns from the shape; false: too large.
bool tensor_matrix(weights_tensor *t);
// "f32[2, 3]" without the type: "[2, 3]".
void shape_print(text *out, unsigned rank, const int64_t *shape);
const weight_type *weight_type_find(uint32_t id); // NULL: unknown
void weight_types_list(text *out);                // the supported ones, ", " between
bool weight_type_raw(const weight_type *type);    // its bytes are those of its dense format

// ------------------------------------------------------------------- reading rows

// Says that bytes of the mapped file, or a tensor's rows from `first` on, are not needed again: a
// model larger than memory is read without keeping it resident. Reading them again is possible.
void bytes_release(const weights *w, const uint8_t *data, uint64_t size);
void tensor_release(const weights *w, const weights_tensor *t, int64_t first, int64_t count);
// Unchecked: rows as floats, from the file's blocks, packed planes or the random stream.
void tensor_rows(const weights *w, const weights_tensor *t, int64_t first, int64_t count,
                 float *out);
// The canonical form that the tensor is stored in; false: it has none.
bool tensor_canonical_format(const weights_tensor *t, quant_format *out);
// Rows in that form, in `a`. exact[i]: the row has one, with finite values.
quant_rows tensor_canonical(const weights *w, arena *a, const weights_tensor *t, int64_t first,
                            int64_t count, bool *exact);

// Rows of a tensor of several formats, unchecked: floats, and in the format of `out`, exactly where
// that has their form.
void mixed_floats(const weights *w, const weights_tensor *t, int64_t first, int64_t count,
                  float *out);
void mixed_canonical(const weights *w, const weights_tensor *t, int64_t first, quant_rows *out);

// ------------------------------------------------------------ the packed file's frame

enum { PACK_HEADER = 4096, PACK_ALIGN = 64 };
// Of the layout: for tiles, and for CPUs, which have no rows of tiles.
enum { PACK_TILES_VERSION = 1, PACK_COLUMNS_VERSION = 2 };
static inline uint32_t pack_version(pack_shape shape)
{
    return shape.tile_n && !shape.tile_m ? PACK_COLUMNS_VERSION : PACK_TILES_VERSION;
}
#define PACK_MAGIC "LUTWPACK"

typedef struct pack_header {
    char magic[8];
    uint32_t version, tile_m, tile_n, zero;
    uint64_t directory, directory_size;
    uint64_t metadata, metadata_size; // u64 count, then key-value pairs as in GGUF; 0: none
    uint64_t layout;                  // pack_file_layout
} pack_header;
static_assert(sizeof(pack_header) == 64, "the header is read and written as it is");
