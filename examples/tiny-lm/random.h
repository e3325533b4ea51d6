// Random streams by seed, purpose and number, independent of each other.
#pragma once

#include "support/array.h"

static inline random_stream random_create(uint64_t seed, uint64_t purpose, uint64_t number)
{
    random_stream r = random_seed(seed);
    r = random_seed(random_bits(&r) + purpose);
    return random_seed(random_bits(&r) + number);
}

static inline uint32_t random_below(random_stream *r, uint32_t count) // 0 .. count - 1
{
    return (uint32_t)((random_bits(r) >> 32) * count >> 32);
}
