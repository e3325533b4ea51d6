// The rows of *.isa files as the generator reads them. No other part of the build depends on this:
// the generator runs before everything else is compiled.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { MAX_ROWS = 1024, MAX_ROW_PIECES = 16, MAX_OVER = 2 };

typedef struct row_piece {
    const char *member; // of isa_instruction
    unsigned low, width, shift, bias;
} row_piece;

typedef struct row {
    const char *file;
    unsigned line;
    const char *syntax;     // "vl{seg}e8.v"
    const char *mnemonic;   // "vle8.v"
    const char *enumerator; // "VLE8_V"
    const char *operands, *extension, *class, *meaning;
    const char *bits; // as written, for the manual
    unsigned width;   // 32 or 16
    uint32_t match, mask;
    row_piece pieces[MAX_ROW_PIECES];
    unsigned piece_count;
    unsigned sign;        // width of the sign-extended immediate, 0: none
    uint64_t constraints; // bit per row of constraints.def
    const char *over[MAX_OVER];
    unsigned over_count;
} row;

typedef struct rows {
    row items[MAX_ROWS];
    unsigned count;
} rows;

// A field of fields.def.
typedef struct field {
    const char *name, *member;
    unsigned width, bias;
} field;
const field *field_by_name(const char *name); // NULL: none

// Reads a file; problems end the process with a message that names file and line.
void rows_read(rows *r, const char *path);
const row *row_by_mnemonic(const rows *r, const char *mnemonic); // of 32 bits; NULL: none
// Ends the process where two rows could mean the same word, `over` and constraints aside.
void rows_check_overlaps(const rows *r);

_Noreturn void row_fail(const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
