#include "compiler/target/method.h"

#include <string.h>

static const method_cost costs[] = {
#define METHOD(...) {__VA_ARGS__},
#include "compiler/target/methods.def"
};

const method_cost *method_cost_find(const target_level *level, unsigned bits, unsigned rows)
{
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (costs[i].bits == bits && costs[i].rows == rows && !strcmp(costs[i].level, level->name))
            return &costs[i];
    return NULL;
}

// The best one, for which is chosen.
static const target_level *method_level(const code_target *t)
{
    const target_level *best = t->levels[0];
    for (size_t i = 0; t->levels[i]; i++)
        best = t->levels[i];
    return best;
}

// How many times as fast lookups are; 1 where nothing was measured.
static double gain(const code_target *t, unsigned bits, unsigned rows)
{
    const method_cost *c = method_cost_find(method_level(t), bits, rows);
    return c ? c->lookup / c->multiply : 1;
}

bool method_has_lookups(const code_target *t, unsigned bits)
{
    const method_cost *c = method_cost_find(method_level(t), bits, 1);
    return c && c->lookup;
}

product_method method_choose(const code_target *t, unsigned bits, bool several)
{
    double all = gain(t, bits, 1) * (several ? gain(t, bits, METHOD_ROWS) : 1);
    return all > 1 ? METHOD_LOOKUP : METHOD_MULTIPLY;
}
