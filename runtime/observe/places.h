// What instructions are grouped by: functions, lines and places of the source, opcodes.
#pragma once

#include "runtime/host/host.h"

typedef struct observe_grouping {
    const char *title, *key; // in text, in JSON
    // The name of the group that an instruction belongs to.
    void (*print)(host_program *p, uint64_t pc, text *out);
} observe_grouping;

enum { OBSERVE_FUNCTIONS, OBSERVE_LINES, OBSERVE_PLACES, OBSERVE_OPCODES, OBSERVE_GROUPINGS };
extern const observe_grouping observe_groupings[OBSERVE_GROUPINGS];
