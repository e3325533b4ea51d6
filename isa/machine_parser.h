// Between the machine grammar (machine.y, machine.l) and what it builds (machine.c).
#pragma once

#include "isa/isa.h"

typedef struct machine_builder {
    arena *arena;
    diagnostics *diagnostics;
    const source *source;
    machine *machine;
    location name;     // of the machine's name
    const char *group; // NULL outside of groups
    bool group_known;
    location seen[MACHINE_SETTINGS]; // by row of machine_settings.def; line 0: not yet
    unsigned machines;               // in the file: one is right
    const char *group_source;        // where the group's figures come from; NULL: not said
    bool inherited;                  // from another machine, which has
    unsigned inherited_parts;        // these parts
    unsigned depth;                  // of machines that are like this one
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

// base.text NULL: like no other.
void machine_begin(machine_builder *b, machine_name name, machine_name base);
// Sources (where figures come from) are NULL where none is given.
void machine_group_begin(machine_builder *b, machine_name name, const char *from);
void machine_group_end(machine_builder *b);
// unit.text NULL: none was written.
void machine_set(machine_builder *b, machine_name name, machine_number value, machine_name unit,
                 const char *from);
// Fills the builder's machine with a built-in one. False: there is none, or what was wrong with it
// was reported.
bool machine_load_like(machine_builder *b, const char *name);
