// Between the machine grammar (machine.y, machine.l) and what it builds (machine.c).
#pragma once

#include "isa/isa.h"

enum { MACHINE_MAX_SETTINGS = 64 };

typedef struct machine_builder {
    arena *arena;
    diagnostics *diagnostics;
    const source *source;
    machine *machine;
    location name;     // of the machine's name
    const char *group; // NULL outside of groups
    bool group_known;
    location seen[MACHINE_MAX_SETTINGS]; // by row of machine_settings.def; line 0: not yet
    unsigned machines;                   // in the file: one is right
} machine_builder;

typedef struct machine_name {
    const char *text;
    location where;
} machine_name;

typedef struct machine_number {
    const char *text;
    double value;
    location where;
} machine_number;

// Reports syntax errors and calls the functions below for what it reads. At most 1 MiB.
void machine_parse_text(machine_builder *b, const char *text, size_t length);

void machine_begin(machine_builder *b, machine_name name);
void machine_group_begin(machine_builder *b, machine_name name);
void machine_group_end(machine_builder *b);
// unit.text NULL: none was written.
void machine_set(machine_builder *b, machine_name name, machine_number value, machine_name unit);
