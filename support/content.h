// What a file is, told by its first bytes, for messages about a file of another kind than expected;
// and texts as they come in.
#pragma once

#include "support/diagnostic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum content_form {
    CONTENT_OTHER,
    CONTENT_PROGRAM, // .lut
    CONTENT_MODULE,  // .lir
    CONTENT_MACHINE, // .machine
    CONTENT_JSON,
} content_form;

typedef struct content_kind {
    const char *name; // "an ELF file"
    const char *use;  // what to do with it here: "lutrun runs it"; NULL: nothing
    content_form form;
} content_kind;

// NULL: text of no kind that is known, or nothing at all.
const content_kind *content_of(const uint8_t *data, size_t size);

// What follows "not an ELF file": ", but a PNG image", with what to do with it. May be empty.
enum { CONTENT_REMARK = 160 };
const char *content_remark(const uint8_t *data, size_t size, char remark[CONTENT_REMARK]);

// A text without the byte order mark that may stand in front of it.
const source *content_source(diagnostics *d, const char *name, const void *data, size_t size);
// That of a whole file, which is reported if it cannot be read (NULL), or is of some other kind.
const source *content_load(diagnostics *d, const char *path);
bool content_expect(diagnostics *d, const source *s, content_form form, const char *what);

// The CPU of an ELF file: "x86-64", or "ELF machine 99".
enum { CONTENT_CPU = 24 };
const char *content_machine(uint16_t e_machine, char name[CONTENT_CPU]);
