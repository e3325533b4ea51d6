// Random programs for the differential fuzzer: legal by construction, they start from random
// registers, loop over a random body, and write every register and a piece of memory to stdout.
#pragma once

#include "isa/isa.h"
#include "support/array.h"

#include <stdbool.h>
#include <stdint.h>

// Guest layout: one segment that may be read, written and executed.
enum {
    IMAGE_START = 0x10000,
    IMAGE_END = 0x58000,
    INITIAL_AT = 0x30000, // registers at the start
    DUMP_AT = 0x36000,    // registers at the end
    BUFFER_START = 0x3e000,
    BUFFER_AT = 0x40000, // what x2, x8 and x30 point to
    BUFFER_END = 0x56000,
    MAX_BODY = 4000,
};

typedef struct program_options {
    uint64_t seed;
    uint32_t length;     // instructions of the body
    uint32_t iterations; // of the body
    uint32_t vlen;
    const char *only; // extensions or a mnemonic's beginning, NULL: all
} program_options;

typedef struct program {
    uint8_t image[IMAGE_END - IMAGE_START];
    uint32_t body_at[MAX_BODY]; // address of each body instruction
    uint32_t body_count;
} program;

void program_generate(const program_options *options, program *out);
// A static ELF executable of the program.
bool program_write_elf(const program *p, const char *path);
