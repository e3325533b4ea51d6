#include "compiler/target/method.h"

#include <string.h>

static const method_cost costs[] = {
#define METHOD(...) {__VA_ARGS__},
#include "compiler/target/methods.def"
};

const method_cost *method_cost_find(const target_level *level, unsigned bits)
{
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (costs[i].bits == bits && strcmp(costs[i].level, level->name) == 0)
            return &costs[i];
    return NULL;
}

product_method method_choose(const code_target *t, unsigned bits, const method_cost **why)
{
    const target_level *best = t->levels[0];
    for (size_t i = 0; t->levels[i]; i++)
        best = t->levels[i];
    *why = method_cost_find(best, bits);
    return *why && (*why)->lookup > (*why)->multiply ? METHOD_LOOKUP : METHOD_MULTIPLY;
}
