// The parameter texts of passes.def, taken apart; private to the pass manager.
#pragma once

#include "compiler/passes/passes.h"

typedef struct parameter {
    char name[32], value[32]; // value: the default
    const char *words;        // "a b c}..." or NULL
    bool integer, boolean;
    long long least, greatest; // of integers
} parameter;

// Steps through "name:kind = default, ..."; false at the end.
bool parameter_next(const char **at, parameter *out);
bool parameter_find(const pass_row *row, const char *name, parameter *out);
