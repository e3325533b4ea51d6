// ELF64 executables for RISC-V: what the loader needs of them, checked. A file is hostile until
// every count, offset and size in it has been compared with the file.
#pragma once

#include "runtime/hart/hart.h"
#include "support/arena.h"
#include "support/diagnostic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct elf_segment { // a PT_LOAD
    uint64_t address, memory_size;
    uint64_t offset, file_size; // within the file; file_size <= memory_size
    unsigned access;            // of hart_access
} elf_segment;

typedef struct elf_symbol {
    const char *name; // points into the file
    uint64_t address, size;
    bool is_function;
} elf_symbol;

typedef struct elf_image {
    uint64_t entry;
    uint64_t header_address, header_count; // program headers in guest memory; 0: not loaded
    const elf_segment *segments;           // in address order, disjoint, not empty
    size_t segment_count;
    const elf_symbol *symbols; // functions and objects, in address order
    size_t symbol_count;
    const char *description; // of the note `Lutra` type 1, not NUL-terminated; NULL: none
    size_t description_length;
} elf_image;

// `data` outlives the image. False: every problem found is reported.
bool elf_parse(arena *a, diagnostics *d, const char *name, const uint8_t *data, size_t size,
               elf_image *out);

// Maps the segments: from the file (`descriptor`, copy on write) where their pages are their own,
// by copying where pages are shared or the file cannot be mapped (descriptor -1).
bool elf_map(diagnostics *d, const char *name, const elf_image *image, const uint8_t *data,
             int descriptor, hart_memory *memory);

const elf_symbol *elf_find_symbol(const elf_image *image, const char *name); // NULL: none
// The function, else the object, that `address` lies in; NULL: none.
const elf_symbol *elf_symbol_at(const elf_image *image, uint64_t address);
