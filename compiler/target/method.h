// Which way products on CPUs take, from what was measured: the rows of methods.def.
#pragma once

#include "compiler/target/target.h"

typedef enum product_method { METHOD_MULTIPLY, METHOD_LOOKUP } product_method;

typedef struct method_cost {
    const char *level;
    unsigned bits;           // of a weight as stored; ternary: 2
    double multiply, lookup; // GOP/s of one thread from cache, groups of 128; 0: there is none
} method_cost;

// The measured row, or NULL.
const method_cost *method_cost_find(const target_level *level, unsigned bits);
// The faster method for the best level of a target; others do what they can.
product_method method_choose(const code_target *t, unsigned bits, const method_cost **why);
