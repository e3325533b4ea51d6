// lutdump: what it knows of an ELF file. Files are hostile: every count, offset and name comes
// through libelf's checks and ours.
#pragma once

#include "support/arena.h"
#include "support/diagnostic.h"
#include "support/text.h"

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct dump_symbol {
    size_t section;
    uint64_t address;
    const char *name;
} dump_symbol;

typedef struct dump_code { // an executable section
    size_t index;
    const char *name;
    uint64_t address;
    const uint8_t *bytes;
    size_t size;
} dump_code;

typedef struct dump_line { // holds from its address on
    uint64_t address;
    const char *file; // NULL: no source from here on
    unsigned line;
} dump_line;

typedef struct dump_file {
    arena *arena;
    diagnostics *diagnostics;
    FILE *out;
    location where;
    Elf *elf;
    bool relocatable;
    ARRAY_OF(dump_code) code;
    ARRAY_OF(dump_symbol) symbols; // by section, then address
    ARRAY_OF(dump_line) lines;     // by address; empty without DWARF
    struct dump_source *sources;   // source files read so far
} dump_file;

// The caller has set arena, diagnostics and out, and keeps `data` until dump_close. False: it is
// not an ELF file for RV64, or broken; reported.
bool dump_open(dump_file *f, const char *name, const uint8_t *data, size_t size);
void dump_close(dump_file *f);
// The last symbol of the section at or below the address; NULL: none.
const dump_symbol *dump_symbol_at(const dump_file *f, size_t section, uint64_t address);
// Fills lines; a file without DWARF, or with DWARF that libdw refuses, has none.
void dump_read_lines(dump_file *f);
// The text of a line of a source file, without its end; NULL: it cannot be read.
const char *dump_source_text(dump_file *f, const char *path, unsigned line);

// Both print to f->out. False: reported.
bool dump_notes(dump_file *f);
bool dump_disassembly(dump_file *f, const char *const *functions, size_t count, bool with_source);
