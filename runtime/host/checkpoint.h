// Checkpoints: the whole machine in a file, between two instructions. What a file holds is in
// docs/debugging.md; files come from outside and are checked before anything is changed.
#pragma once

#include "runtime/hart/hart.h"
#include "support/diagnostic.h"

#include <stdio.h>

// What a program brings to every run, so that a checkpoint need not hold it.
typedef struct checkpoint_origin {
    uint64_t identity;                // of the program and its weights
    uint64_t layout;                  // of the regions that the host has made
    uint64_t kept_address, kept_size; // whole pages that are not written: the weights
} checkpoint_origin;

// Numbers that the hart does not know: finished calls, and those of the Linux process.
enum { CHECKPOINT_EXTRA_WORDS = 512 };
typedef struct checkpoint_extra {
    uint64_t calls;
    uint64_t words[CHECKPOINT_EXTRA_WORDS];
} checkpoint_extra;

// What a run is given from outside: a file that an argument names (of other arguments: zeros), or
// an input of a call.
typedef struct checkpoint_input {
    uint64_t size, hash;
} checkpoint_input;
typedef struct checkpoint_inputs {
    const checkpoint_input *items;
    uint64_t count;
} checkpoint_inputs;

typedef struct checkpoint_segment {
    uint64_t address, size, access;
} checkpoint_segment;

// A file's contents, checked; pointers into it.
typedef struct checkpoint {
    checkpoint_origin origin;
    uint64_t vlenb, tile_m, tile_n;
    const checkpoint_extra *extra;
    const uint64_t *fields;
    const uint64_t *x, *f; // 32 each
    const uint8_t *v, *tiles;
    const uint64_t *lut_counters;
    const uint64_t *opcodes; // how often each was executed, ISA_OPCODE_COUNT of them
    const checkpoint_segment *segments;
    uint64_t segment_count;
    const uint64_t *runs; // each: address, size, and that many bytes
    uint64_t run_count;
    checkpoint_inputs inputs;
} checkpoint;

// `opcodes`: how often each was executed in all. False: reported.
bool checkpoint_write(diagnostics *d, const char *path, const checkpoint_origin *origin,
                      const checkpoint_extra *extra, const hart *h, const uint64_t *opcodes,
                      checkpoint_inputs inputs);

// `data` is aligned to 8 bytes and outlives *out. False: reported.
bool checkpoint_parse(diagnostics *d, const char *name, const uint8_t *data, size_t size,
                      checkpoint *out);
// The machine as it was. False: the hart is of another kind, or the host refused memory; reported,
// and the hart is not to be run.
bool checkpoint_apply(diagnostics *d, const char *name, const checkpoint *c, hart *h);

// Of bytes in groups of 8, what is left being padded with zeros. Begins with CHECKPOINT_SEED.
#define CHECKPOINT_SEED UINT64_C(0xcbf29ce484222325)
uint64_t checkpoint_hash(uint64_t hash, const void *data, size_t size);
