// Which way products on CPUs take, from what was measured: the rows of methods.def.
#pragma once

#include "compiler/target/target.h"

typedef enum product_method { METHOD_MULTIPLY, METHOD_LOOKUP } product_method;

typedef struct method_cost {
    const char *level;
    unsigned bits;           // of a weight as stored; ternary: 2
    unsigned rows;           // of activations: 1, or as many as METHOD_ROWS
    double multiply, lookup; // GOP/s of one thread from cache, groups of 128; 0: there is none
} method_cost;

enum { METHOD_ROWS = 128 };

// The measured row, or NULL.
const method_cost *method_cost_find(const target_level *level, unsigned bits, unsigned rows);
// The faster method at the best level of a target, for one row and, where there may be more
// (`several`), for many as well: by the geometric mean. Levels without lookups multiply.
product_method method_choose(const code_target *t, unsigned bits, bool several);
// Whether the best level has both methods.
bool method_has_lookups(const code_target *t, unsigned bits);
