// Matrices of several formats: blocks of output rows in one of up to four.
//
//    w2g64_4x64_w4g64    w2g64, but 4 blocks of 64 rows, the last of which may be short, in w4g64
//
// The name says how many blocks have which format; which ones these are belongs to the values, as a
// learned codebook does. Formats of a matrix share their groups, offsets and codebook, so that they
// look up the same table. Every plain format is a mix of one part.
#pragma once

#include "compiler/quant/quant.h"

enum { QUANT_PARTS = 4 };

typedef struct quant_part {
    quant_format format;
    int64_t blocks; // of the first part: 0, it has all others
} quant_part;

typedef struct quant_mix {
    unsigned n_parts;
    quant_part parts[QUANT_PARTS];
    int64_t rows; // of a block; 0 with one part
} quant_mix;

bool quant_mix_parse(const char *name, quant_mix *out);
// What is wrong with a name of several formats that is none; NULL: it does not look like one.
const char *quant_mix_problem(arena *a, const char *name);
static inline bool quant_is_mixed(const quant_mix *m)
{
    return m->n_parts > 1;
}
void quant_mix_print(text *out, const quant_mix *m);
// The same for blocks of so many rows: each part keeps its share of a matrix of n rows, rounded,
// and parts of which nothing is left go.
quant_mix quant_mix_in_blocks(const quant_mix *m, int64_t n, int64_t rows);
// Blocks of a matrix of n rows; 1 with one part.
int64_t quant_mix_blocks(const quant_mix *m, int64_t n);
// The rows of a block.
int64_t quant_mix_block_rows(const quant_mix *m, int64_t n, int64_t block);

// errors[part * blocks + block]: what each block loses in each part. The last part takes the blocks
// to which it gives most, then the one before it of those that are left, and so on; the earlier
// block where two are equal. part_of_block: a part for each.
void quant_mix_choose(const quant_mix *m, int64_t blocks, const double *errors,
                      uint8_t *part_of_block);

// In a packed file: for every column tile in the order of the streams its number in the matrix,
// i32, padded to 64 bytes; then part by part its column tiles, ascending. Blocks are column tiles.
typedef struct pack_part {
    pack_geometry geometry; // of one column tile, which all of the part have
    int64_t tiles, first;   // column tiles; the first one's place in that order
    int64_t at;             // byte offset of their streams
} pack_part;
typedef struct pack_mix {
    quant_mix mix;
    pack_part parts[QUANT_PARTS];
    int64_t tiles;
    int64_t map_bytes; // 0 with one part
    uint64_t size;
} pack_mix;

// False: a dense format, or one that cannot be packed for this shape, blocks that are no column
// tiles, or more of them than the matrix has.
bool pack_mix_of(const quant_mix *m, int64_t n, int64_t k, pack_shape shape, pack_mix *out);
// The same by a name.
bool pack_mix_named(const char *name, int64_t n, int64_t k, pack_shape shape, pack_mix *out);
// The map in front of the streams; false: it is none, each part ascending.
void pack_mix_map(const pack_mix *p, const uint8_t *part_of_block, uint8_t *out);
bool pack_mix_unmap(const pack_mix *p, const uint8_t *in, uint8_t *part_of_block);
